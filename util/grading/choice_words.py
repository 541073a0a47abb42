"""In which words does a response declare, deny or doubt a letter?

`choice` reads these patterns; `{valid}` stands for the letters of the options. What other languages say is in
the table of `languages`.
"""

from __future__ import annotations

import re

from util.grading.languages import SCRIPTS, SPACED, Words, any_of


def _called(table: dict[str, Words]) -> str:
    """What an answer is called where it is a choice."""
    return f"{any_of(table, 'answer')}|{any_of(table, 'option')}"


_THE = "la|le|el|il|lo|l['’]|a|o|die|de|het|der|das|the|une?|una|ein|eine"
_ONLY = "única|seule|enige|einzig|einzige"
# One of the words without which no frame of `SPACED` matches, and which are not English as well.
_COLUMNS = "|".join(any_of(SPACED, column) for column in ("answer", "option", "right", "choose"))
FOREIGN = re.compile(
    rf"(?<!\w)(?!(?:option|letter|correct|proposition)(?!\w))(?:{_COLUMNS})(?!\w)", re.IGNORECASE
)
# Parts of these words, to be looked up first: that is ten times faster.
FOREIGN_PARTS = frozenset(
    max(re.findall(r"[^\W\d_]+", word), key=len)
    for word in re.sub(r"\(\?:\w+\)\?|\[[^]]*\]|\w\?", " ", _COLUMNS).split("|")
) - {"option", "letter", "correct", "proposition"}

# ---------------------------------------------------------------- letters and their frames

_LETTER = (  # the article "a" is no letter
    r"[(\[（{]?[^\S\n]?(?!(?-i:a)\s+[^\W\d_])([{valid}])(?![A-Za-z0-9_À-ỹА-я'’^/])(?!\s*[+=<>^∩∪∧∨⊂⊆∈≤≥≠])(?!-\w)(?!\.\d)"
    r"(?!(?-i: [b-df-hj-nqrstvwxz] ))"
)
_CAPITAL = _LETTER.replace("([{valid}])", "((?-i:[{valid}]))")
_SAID = r"[\s:：]*" + _LETTER
_BRACKETED = r"[\s:：]*[(\[（]\s?([{valid}])\s?[)\]）]"
_SURELY = (
    r"(?:\s+(?:therefore|thus|then|hence|clearly|definitely|certainly|obviously|likely|probably|simply|indeed"
    r"|most|best|actually|really|described|given|represented|by|just|either|both|only|also|equally))*"
)
_BE = r"(?:is|are|was|be|(?:would|should|must|will|has to|have to|seems to|appears to)\s+be|becomes)"
_KIND = r"(?:\s*(?:the\s+)?(?:correct\s+|right\s+)?(?:option|choice|answer|letter|statement))?"
_ANSWER = r"\b(?:answers?|ans|conclusion|solution|response|result)(?:\s+(?:choice|option|letter))?"
_ASIDE = r"(?:\s+(?:to|for)\s+(?:this|the|your)\s+(?:question|problem|multiple[\w -]{0,20}))?"
_CHOOSE = (
    r"\b(?:choos(?:e|es|ing)|chose|select(?:s|ing|ed)?|pick(?:s|ed|ing)?|go(?:ing)? (?:for|with)"
    r"|opt(?:ing)? for|settl(?:e|ing) on|mark)"
)
FRAMES = (
    # "the answer is (B)", "Answer: B", "Ans. (B)", "answer choice B"
    rf"{_ANSWER}{_ASIDE}\W{{0,4}}(?:{_BE}{_SURELY}\b|[:：=.]|[-–—](?=\s)|\n|(?=\s*\())\s*{_KIND}{_SAID}",
    rf"\b(?:answer\s+(?:choice|option|letter)|answer){_SAID}(?=\s*[.!]?\s*$)",
    # "the correct option is B", "choice: B", "it is B", "must be B"
    (
        rf"\b(?:option|choice|letter|selection|correct|one)\s*(?:{_BE}{_SURELY}\b"
        rf"|[:：]|[-–—](?=\s))[ :：]*{_KIND}\s?{_LETTER}"
    ),
    rf"\b(?:it|that|this)\s*(?:'s|\s{_BE}){_SURELY}\s*{_KIND}{_SAID}(?=\s*(?:[.!。]|$|\n|\)))",
    # "I choose B", "go with (C)", "we are left with B", "it is not A but B"
    rf"{_CHOOSE}{_KIND}{_SAID}",
    rf"\b(?:leaves|leaving)\s+(?:us\s+with\s+)?(?:only\s+)?{_KIND}\s?{_LETTER}\s+as\b",
    rf"\bby (?:the )?(?:process of )?elimination,?\s*{_KIND}{_SAID}",
    rf"\b(?:final\s)?(?:answer|choice|option|letter)[\"']\s*[:：]{_SAID}",
    rf"\b(?:leaves|left with)(?:\s+us)?(?:\s+with)?(?:\s+only)?{_KIND}{_SAID}(?=\s*(?:[.!]|$))",
    rf"(?<=n.t )\(?[{{valid}}]\)?,?\s+but{_KIND}{_SAID}(?=\s*(?:[.!]|$))",
    # "so B it is"
    rf"\b(?:so|then|therefore|okay|ok),?\s+{_CAPITAL}(?=\s+it\s+is\s*(?:[.!]|$))",
)


def _frames(table: dict[str, Words], before: str, others: str, is_: str) -> tuple[str, ...]:
    """ "The answer is B", "I choose B", "correct is B", "not A but B" in the words of a table."""
    answer, right, but = _called(table), any_of(table, "right"), any_of(table, "but")
    said = rf"{before}[\s:：]*{_CAPITAL}"
    return (
        rf"(?<!\w)(?:{answer}){others}(?:{is_}|[:：=]|\s[-–—](?=\s)){said}",
        rf"(?<!\w)(?:{answer})[\s:：]*{_CAPITAL}(?=\s*[.!]?\s*$)",
        rf"(?<!\w)(?:{any_of(table, 'choose')}){said}",
        rf"(?<!\w)(?:{right})\s*(?:{is_}|[:：]|[-–—](?=\s)){said}",
        rf"(?<!\w)[({{]?(?-i:[{{valid}}])[)}}]?,?\s+(?:{but}){said}(?=\s*(?:[.!]|$))",
    )


_IS = rf"\s(?:{any_of(SPACED, 'be')})(?!\w)(?:\s+(?:{any_of(SPACED, 'so')})(?!\w))?"
_BEFORE = "".join(rf"(?:\s+(?:{words})(?!\w))?" for words in (_THE, _called(SPACED), any_of(SPACED, "right")))
SPACED_FRAMES = _frames(SPACED, _BEFORE, r"(?:\s+[^\W\d_]{2,14}(?:['’][^\W\d_]+)?){0,6}?\s*", _IS)
_SCRIPT_ANSWER, _SCRIPT_RIGHT = _called(SCRIPTS), any_of(SCRIPTS, "right")
_SCRIPT_FRAMES = _frames(
    SCRIPTS,
    rf"[、\s项的]*(?:{_SCRIPT_ANSWER}|選択肢|보기|옵션|الحرف)?(?:の記号)?",
    rf"(?:ที่ถูกต้อง|ที่ถูก|สุดท้าย|の選択肢|の記号|\s*(?:{_SCRIPT_RIGHT}|النهائية?))*\s*",
    rf"(?:{any_of(SCRIPTS, 'be')})",
)
SCRIPT_FRAMES = (
    *(frame.replace(r"(?<!\w)", "") for frame in _SCRIPT_FRAMES[:4]),
    rf"(?:而是|应该是|應該是)\s*(?:选项|選項)?{_CAPITAL}",
)

# "the statement that does not follow is (B)": the denial is the question's own.
_NOUN = (
    r"(?:option|choice|answer|alternative|statement|sentence|claim|assertion|example|explanation|description"
    r"|conclusion|reason|exception|one|response|item|pair|word|phrase|equation|reaction|step|event|factor"
    r"|inference)"
)
_WITH = r"(?:\s+here|\s+(?:that|which|who|in|for|of|to|not|best|most)\b[^.,;:!?\n]{1,80}?)?"
NAMED = (
    (
        rf"\bthe\s+(?:[\w'’-]+\s+){{0,4}}?{_NOUN}{_WITH}\s(?:is|was|would be|must be"
        rf"|should be)\b{_KIND}{_SAID}"
    ),
    (
        rf"\bthe\s+(?:[\w'’-]+\s+){{1,3}}?(?:that|which|who)\s[^.,;:!?\n]{{1,80}}?\s(?:is|was"
        rf"|must be)\b{_KIND}"
        rf"{_BRACKETED}"
    ),
)
ANSWERS_WRONG = re.compile(
    r"\b(?:incorrect|wrong|false|worst|first|other|another)\s+(?:answers?|options?|choices?|one"
    r"|alternatives?)\b",
    re.IGNORECASE,
)

# "B is correct", "(C) is the right answer"; what is only `FAVOURABLE` counts where nothing else does.
_SUBJECT = (
    rf"(?:^|(?<=[\s(:,，。；;]))[(\[]?([{{valid}}])[)\].]?\s+{_BE}{_SURELY}"
    r"\s+(?:the\s+|my\s+)?(?:only\s+|most\s+|single\s+|best\s+|final\s+)*(?:WORDS)"
)
SUBJECTS = (
    _SUBJECT.replace(
        "WORDS",
        r"(?:correct|right)(?!\s+(?:about|that|in))|answer|best\s+(?:answer|choice|option)"
        r"|(?<=the |nly |est |gle )one\b(?!\s+(?:of|to (?:avoid|reject|eliminate|exclude|rule out))\b)",
    ),
    # "(B) a lever is correct"
    (
        r"(?:^|(?<=[\s,]))[(\[]([{valid}])[)\]]\s(?!all\b|both\b|none\b"
        r"|neither\b)[^.;!?\n()]{1,160}?\s(?:is|are)\s(?:the\s)?(?:correct|right|best)"
        r"(?!\s+(?:about|that|in))\b"
    ),
    # "C best explains why"
    r"(?:^|(?<=[\s(:,]))[(\[]?([{valid}])[)\]]?\s+best\s+[a-z]+s\b",
)
SPACED_SUBJECTS = (
    (
        rf"(?<![A-Za-z]){_CAPITAL}[)）]?(?:\s+(?:{any_of(SPACED, 'be')}|está|também é|ook|auch)(?!\w))?"
        rf"(?:\s+(?:{_THE})(?!\w))?(?:\s+(?:{_ONLY}))?(?:\s+(?:{_called(SPACED)}"
        rf"))?\s+(?:{any_of(SPACED, 'right')})(?!\w)"
    ),
)
SCRIPT_SUBJECTS = (
    (
        rf"(?<![A-Za-z]){_CAPITAL}[)）]?\s*(?:选项|選項|[项項번]|ข้อ)?\s*(?:[是为為がは이가은는]|เป็น|คือ|هي"
        rf"|هو)?\s*(?:{_SCRIPT_RIGHT})"
    ),
)
FAVOURABLE = _SUBJECT.replace(
    "WORDS", r"true|accurate|appropriate|valid|likely|best|suitable|closest(?!\s+to\s+\(?(?-i:[A-J])\b)"
)
ALSO = re.compile(r"\b(?:also|equally)\b", re.IGNORECASE)
# What may stand right before a bare letter that is a subject; other words make it a name (vitamin C).
BEFORE_A_SUBJECT = frozenset(
    "option options choice answer letter statement and or but so thus hence therefore then that because since"
    " as only both either think believe say is while although though yes no neither nor also conclude if"
    " whether not clearly obviously now finally means actually instead rather find see show shows indeed when"
    " for".split()
)

# What the last line ends with: "so C", "the answer is Paris (C)", "thus 8 m/s (option C)". A place is no
# answer in words: "greater than in case (C)".
_IN_WORDS = (
    r"\banswer (?:is|was|must be|should be) (?:[^\n:;?!()]{0,80}\s)?"
    r"(?!(?:in|of|to|as|at|by|or|on|for|and|from|than|with|through|case|part|point|step|figure|graph|equation"
    r"|statement|region)\s)[^\s:;?!()]+\s(?=\()"
    r"|\b(?:so|thus|hence|therefore|answer|conclusion)\b[^\n]{1,100}?[(,–—]\s*(?:i\.e\.,?\s+)?"
    r"(?=(?:option|choice|answer)\b)"
)
CONCLUDED = (
    r"(?:\b(?:so|thus|hence|therefore|is|(?<!could )(?<!might )(?<!may )(?<!can )(?<!well )be|say|think"
    r"|believe|guess|answer|ans|conclusion|conclude|in summary|in short|listed as|yes|match(?:es|ing)?"
    r"|correspond(?:s|ing)? to|(?:points|leads|brings)(?: us)? to|leaves|supports|actually|rather|wait"
    rf"|instead|no(?=[\s,.:;–—-]+[(\[]?[A-J]\b))\b|=>|->|∴|→|⇒|[:：]|{_IN_WORDS})"
    r"[\s,:：.–—-]*(?:(?:the|with|for|it['’]s|it is|option|choice|letter|answer)\s+)*"
    r"[(\[]?([{valid}])[)\]]?(?:\s+it\s+is)?\s*[.!。)]*\s*$"
)
# "so C remains", "only option C satisfies both"
_NAMED_LETTER = r"(?:(?:option|choice|answer|statement)\s+)?\(?([{valid}])\)?"
ONLY = (
    rf"\b(?:so|thus|hence|therefore)[\s,]+{_NAMED_LETTER}\s+(?:remains|is left)\s*[.!]?\s*$",
    (
        rf"\b(?<!not )only\s+{_NAMED_LETTER}\s+(?:remains|is left|works|fits|matches|satisfies|meets|agrees"
        r"|applies|makes sense)\b"
    ),
)

# ---------------------------------------------------------------- denials

# What stands before a letter in its clause and takes the choice away.
_REPORTED = (
    r"(?:some|many|most|few|others?|one|people|students?|everyone|someone|they|he|she|friend|teacher"
    r"|textbook|book|key)"
    r"\b[^.,;:\n]{0,40}?\b(?:thinks?|thought|believes?|says?|said|claims?|insists?|argues?|guess(?:es)?"
    r"|choose|chooses|chose|picks?|picked|selects?|selected|answer|answered)\b"
)
UNSURE = re.compile(
    r"\b(?:not|never|neither|nor|none|cannot|without|except|unlikely|incorrect|wrong|false|rather than"
    r"|instead of"
    r"|doubt|doubtful|hardly|nothing|nobody|no (?:way|chance|reason|one)|untrue that|whether|if|unless"
    r"|suppos(?:e|ing)|assum(?:e|ing)|imagine|while|although|though|whereas|even"
    r"|(?:hard|difficult|impossible|absurd|foolish) to|tempt(?:ed|ing)|mistake|misconception|used to"
    r"|nonsense|absurd|ridiculous|reject|refuse|den(?:y|ied)|wrote|(?:(?:any|every)thing|all) but"
    r"|at first|initially|first thought|would answer|(?:saying|claiming|ignoring) that|should avoid"
    r"|(?:trap|second best) (?:answer|choice|option)"
    r"|(?:naive|initial|first|old|previous|tempting|intuitive|partial|alternative|rejected|obvious"
    r"|student['’]s)"
    r" (?:answer|choice|option|guess)"
    r"|last year['’]s|(?:old|previous|earlier) (?:version|edition|exam|paper)"
    rf"|(?:might|may|could) (?:say|think|believe|argue|guess|choose|pick)|{_REPORTED}"
    rf"|{any_of(SPACED, 'deny')}|{any_of(SPACED, 'if_')})(?!\w)"
    rf"|n['’]t\b|{any_of(SCRIPTS, 'deny')}|{any_of(SCRIPTS, 'if_')}",
    re.IGNORECASE,
)
# Turns of phrase whose denial or condition means nothing; they are left out before a clause is read.
IDIOM = re.compile(
    r"\b(?:(?:there is |there's )?no doubt(?: that)?|without (?:a |any )?doubt|beyond (?:a "
    r"|any )?(?:reasonable )?doubt"
    r"|if i (?:am|'m) not mistaken|if not mistaken|not only|if i (?:had|have|must|were)(?: to"
    r"| forced to)? \w+(?: \w+)?"
    r"|why not|i (?=suppose|assume)(?:suppose|assume)(?: that)?|last but not least|if any"
    r"|sin duda|sem dúvida|sans doute|ohne zweifel|senza dubbio)\b",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    r"[.;!?\n。；，！？、]|,(?!\s*(?:что|dass|daß|dat|que|che|that)\b)|[:：](?=\s+(?:the|so|it|i|my)\b)"
    rf"|\b(?:(?<!thing )(?<!all )but|so|thus|hence|therefore|then|because|since|{any_of(SPACED, 'but')})\b"
    r"|\band\b(?=\s+(?:the|so|we|it|this|thus|hence|therefore|i|my|our)\b|\s*[(\[]?$)",
    re.IGNORECASE,
)
_WRONG = r"(?:incorrect|wrong|false|untrue|mistaken|a mistake|absurd|nonsense|ridiculous)"
# What stands right behind a letter, or behind "B is correct", and takes the choice away.
DENIED_BEHIND = re.compile(
    r"[)\]）*]*\s*,?\s*"
    # "The answer is (B) a lever is incorrect because ..."
    r"(?:(?:(?!\b(?:because|since|but|so)\b|(?<!\w)(?-i:[A-J])(?!\w)"
    r"|[.] )[^;:!?\n]){1,300}?\s(?<!that )(?<!which )"
    rf"(?:is|are)\s(?:{_WRONG}|not (?:correct|right|the answer))\b|"
    r"(?:is|are)\s[^.;:!?\n]{0,40}\bcan be (?:excluded|ruled out|eliminated|discarded)\b"
    r"|can be (?:excluded|ruled out|eliminated"
    r"|discarded)\b|"
    r"(?:(?:which|that|this|it|option|but (?:that|this|it|which))\s+)?"
    rf"(?:(?:is|was|are|were|would be|seems|looks|may be|might be|can be|could be)\s+(?:\w+ly\s+)?"
    rf"(?:{_WRONG}|not\b(?!\s+(?:only|surprising|unexpected|hard))|never\b|what\b|ruled out|impossible"
    rf"|unlikely"
    r"|doubtful|eliminated|out\b)"
    r"|(?:is|was|does|do|would|ca|could|wo)n['’]t\b|cannot\b|(?:does|do|would|could|can) not\b"
    r"|not\s+(?:correct|right|true|the|it|possible|supported|valid|an?)\b|not\s*[.,;]"
    # the answer of another paper; a sentence that is only quoted, with something said of it
    r"|(?:in|on|for|of|to)\s+(?:the\s+|an?\s+)?(?:last|previous|earlier|old(?:er)?|former|original|other|practice"
    r"|sample)\b[^.,;:\n]{0,30}?\b(?:version|edition|exam|test|paper|quiz|draft|question|problem|year|one)\b"
    r"|[\"'”’»]\s+(?:is|was|seems|sounds|looks|would|makes|does|cannot|can['’]t)\b"
    r"|(?:incorrect|wrong|false)(?!\w)|(?:only\s+)?(?:if|unless)\b(?! (?:i|we) )|only (?:in|when|for"
    r"|under)\b|or so\b|provided\b|assuming\b|\?"
    rf"|(?:{any_of(SPACED, 'denied')})(?!\w))|(?:{any_of(SCRIPTS, 'denied')}))",
    re.IGNORECASE,
)
# The same behind an option's text that is not known and may hold any word or sign.
DENIED_TEXT = re.compile(
    rf"[)\]:]\s+(?!(?:because|since|as|is|and|or)\b)\w(?:(?!\([A-J]\)"
    rf"|\b[A-J][.):] )[^\n]){{1,400}}?\s(?:is|are)\s"
    rf"(?:{_WRONG}|not (?:correct|right))\s+(?:because|since|as)\b"
)
# What denies the head of a line whose text is not known: "B. All of it is false."
DENIED_LINE = re.compile(
    rf"\b(?:is|are|was|were|be|seems?|looks?)\s+(?:\w+ly\s+)?(?:{_WRONG}|not (?:correct|right|the)|a poor"
    rf"|out\b|ruled out)"
    rf"|(?:does|do|is|can)(?: not|n['’]t) (?:fit|work|apply|be)\b|cannot be (?:right|correct|the)"
    rf"|[:,–—-]\s*{_WRONG}\b",
    re.IGNORECASE,
)
COUNTERFACTUAL = re.compile(
    r"\b(?:if|unless|had|were)\b.{0,200}(?<!\bI )\bwould\b"
    r"|(?<!\bI )\bwould\b(?=.{0,20}\b(?:be|have)\b).{0,200}\b(?:if|unless|had|were)\b|\bunless\b"
    rf"|(?<!\w)(?:{any_of(SPACED, 'if_')})(?!\w).{{0,200}}(?<!\w)(?:{any_of(SPACED, 'would')})(?!\w)"
    rf"|(?:{any_of(SCRIPTS, 'if_')})(?!.*(?:所以|因此|故|したがって|よって|따라서|ดังนั้น|إذن))",
    re.IGNORECASE | re.DOTALL,
)
TAKEN_BACK = re.compile(
    r"[\s)\].*_]*(?:wait|no|hmm+|actually|but|oh|oops|sorry|hold on)\b[^.\n]{0,60}?"
    r"\b(?:wrong|incorrect|not right|not correct|mistake|mistaken|not the answer)\b",
    re.IGNORECASE,
)
# What says of another letter, behind the one that is chosen, that it is as good.
_GOOD = (
    rf"(?:correct|right|valid|works?|working|fits?|true|possible|acceptable|plausible|defensible|reasonable|appl(?:y|ies)"
    rf"|holds?|(?:good|best) (?:answer|choice|option)|answers?|{any_of(SPACED, 'right')})"
)
_ALSO = r"(?:also|equally|likewise|just as|también|também|aussi|anche|auch|ebenfalls|ook|тоже|также|cũng)"
AS_WELL = re.compile(rf"(?<!\w)(?:{_ALSO}|too|as well|defensible)(?!\w)|也|同样|も|도|ก็", re.IGNORECASE)
AS_GOOD = (
    r"(?<![\w(])[(\[]?((?-i:[{valid}]))[)\]]?(?![\w'’])[^.!?;\n]{0,40}?"
    rf"(?:(?<!\w){_ALSO}(?!\w)[^.!?;\n]{{0,30}}?(?<!\w){_GOOD}(?!\w)"
    rf"|\b{_GOOD}\b[^.!?;\n]{{0,20}}?\b(?:too|as well|{_ALSO})(?!\w)|\b(?:is|seems) defensible\b)"
    rf"|\b(?:could|might|may) {_ALSO} be (?:option |choice )?[(\[]?((?-i:[{{valid}}]))(?![\w'’])"
    r"|(?<![A-Za-z])((?-i:[{valid}]))[)）]?[^。，；\n]{0,4}(?:也|同样|も|도|ก็)[^。，；\n]{0,6}"
    rf"(?:{any_of(SCRIPTS, 'right')}|对|對|可以|成立)"
)
# Between two declarations: the second one corrects the first, or follows from it.
TURNS = re.compile(
    r"[.!?。；;]\s|\n|\b(?:but|so|thus|hence|therefore|then|wait|no|actually|rather|instead|because|since"
    r"|as|however"
    r"|making|means|i\.e|which|that is|not)\b|所以|因此|故|而是|但|∴|→|=>|[:：]",
    re.IGNORECASE,
)
LISTED = (
    r"[)\].;\s(]*(?:,|/|&|或|和|、|とか|と|または|또는|와|과|และ|หรือ|أو"
    r"|\b(?:or|and|[Aa]lternatively|o|y|ou|et|e|oder|und|of|en|и|или|hoặc|và)\b)"
    r"\s*,?\s*(?:or\s+|and\s+)?(?:the\s+)?(?:option\s+|both\s+|perhaps\s+|maybe\s+|possibly\s+)?[(\[]?([{valid}])"
    r"[)\]]?(?![\w'’])(?!\s+(?:is|was|are|has|have|does|do|would|cannot|can|fails?|because|since|am|think"
    r"|believe)\b)"
)
# Behind the letters A and I, which are words too.
WORDS_AFTER_A_LETTER = frozenset(
    "is because since as and or with based due for not rather but would must should seems are if unless which"
    " está es est ist è é является là это porque ya pues weil denn da parce car perché poiché pois omdat want"
    " потому так vì do mais sino ma mas maar sondern".split()
)
