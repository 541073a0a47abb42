"""In which words does a response declare, deny or doubt a letter?

`choice` reads these tables; `{valid}` stands for the letters of the options.
"""

from __future__ import annotations

import re

_LETTER = (  # the article "a" is no letter
    r"[(\[（{]?[^\S\n]?(?!(?-i:a)\s+[^\W\d_])([{valid}])(?![A-Za-z0-9_À-ỹА-я'’^/])(?!\s*[+=<>^])(?!-\w)(?!\.\d)"
)
_SAID = r"[\s:：]*" + _LETTER
_BRACKETED = r"[\s:：]*[(\[（]\s?([{valid}])\s?[)\]）]"
_SURELY = (
    r"(?:\s+(?:therefore|thus|then|hence|clearly|definitely|certainly|obviously|likely"
    r"|probably|simply|indeed|"
    r"most|best|actually|really|described|given|represented|by|just|either|both|only|also|equally))*"
)
_BE = r"(?:is|are|was|be|(?:would|should|must|will|has to|have to|seems to|appears to)\s+be|becomes)"
_KIND = r"(?:\s*(?:the\s+)?(?:correct\s+|right\s+)?(?:option|choice|answer|letter|statement))?"
_ANSWER = r"\b(?:answers?|ans|conclusion|solution|response|result)(?:\s+(?:choice|option|letter))?"
_ASIDE = r"(?:\s+(?:to|for)\s+(?:this|the|your)\s+(?:question|problem|multiple[\w -]{0,20}))?"
_CHOOSE = (
    r"\b(?:choos(?:e|es|ing)|chose|select(?:s|ing|ed)?|pick(?:s|ed|ing)?|go(?:ing)? (?:for|with)|opt for"
    r"|opting for|mark)"
)

# Nouns for an answer, the verbs and the words that may stand before the letter, in other languages.
_NOUNS = (
    r"respuestas?|opci[oó]n|alternativa|soluci[oó]n|inciso|resposta|op[cç][aã]o|solu[cç][aã]o|gabarito"
    r"|r[eé]ponse|choix|risposta|opzione|soluzione|scelta|antwort|l[oö]sung|antwoord|optie|keuze"
    r"|ответ(?:ом)?|вариант(?:ом)?|решение|đáp án|câu trả lời|phương án|lựa chọn"
)
_OTHERS = r"(?:\s+[^\W\d_]{2,14}(?:['’][^\W\d_]+)?){0,6}?"
_IS = (
    r"(?:es|ser[ií]a|será|debe ser|é|seria|est|serait|è|sarebbe|ist|lautet|wäre|is|luidt|это"
    r"|является|под|là)"
    r"(?:\s+(?:donc|dus|also|demnach|daher|somit|entonces|pues|portanto|então|quindi|dunque"
    r"|таким образом)(?!\w))?"
)
_BEFORE = (
    r"(?:\s+(?:(?:la|le|el|a|o|l['’]|il|lo|die|de|het|der|das|the)\s*)?(?:opci[oó]n"
    r"|alternativa|letra|inciso|respuesta"
    r"|op[cç][aã]o|resposta|r[eé]ponse|l['’]option|option|lettre|proposition|choix|lettera"
    r"|risposta|opzione|antwort"
    r"|buchstabe|möglichkeit|antwoord|optie|letter|keuze|вариант|буква|буквой|ответ|пункт"
    r"|đáp án|phương án|câu"
    r"|lựa chọn|la|le|die|de|a|o|il)(?:\s+(?:correcta|correta|correcte|corretta|richtige))?)?"
)
_RIGHT = (
    r"(?:(?:la|le|el|a|o|die|de|het|der|das|une?|una)\s+)?(?:(?:bonne|única|seule|enige|einzig)\s+)?"
    r"(?:(?:respuesta|opción|alternativa|resposta|opção|réponse|option|risposta|opzione"
    r"|antwort|lösung|antwoord|optie)\s+)?"
    r"(?:correct[aoe]?s?|corretta|corretto|correta|correto|certa|giusta|esatta|juste|exacte"
    r"|bonne réponse|la bonne"
    r"|richtig|korrekt|richtige antwort|richtige lösung|richtige|korrekte antwort|zutreffend|juist|goed"
    r"|juiste antwoord|goede antwoord|juiste|правильный|правильным|правильно|верный|верно|верным"
    r"|đúng|chính xác|đáp án đúng|câu trả lời đúng)(?![^\W\d_])"
)

FRAMES = (
    # "the answer is (B)", "Answer: B", "Ans. (B)", "answer choice B"
    rf"{_ANSWER}{_ASIDE}\W{{0,4}}(?:{_BE}{_SURELY}\b|[:：=.]|[-–—](?=\s)|\n|(?=\s*\())\s*{_KIND}{_SAID}",
    rf"\b(?:answer\s+(?:choice|option|letter)|answer){_SAID}(?=\s*[.!]?\s*$)",
    # "the correct option is B", "choice: B", "it is B", "must be B"
    (
        rf"\b(?:option|choice|letter|selection|correct|one)\s*(?:{_BE}{_SURELY}\b"
        rf"|[:：])[ :：]*{_KIND}\s?{_LETTER}"
    ),
    rf"\b(?:it|that|this)\s*(?:'s|\s{_BE}){_SURELY}\s*{_KIND}{_SAID}(?=\s*(?:[.!。]|$|\n|\)))",
    # "I choose B", "go with (C)", "we are left with B"
    rf"{_CHOOSE}{_KIND}{_SAID}",
    rf"\b(?:leaves|left with)(?:\s+us)?(?:\s+with)?(?:\s+only)?{_KIND}{_SAID}(?=\s*(?:[.!]|$))",
    # Spanish, Portuguese, French, Italian, German, Dutch, Russian, Vietnamese
    rf"(?<!\w)(?:{_NOUNS}){_OTHERS}\s*(?:\s{_IS}(?!\w)|[:：=]|[-–—](?=\s))[\s:：]*{_BEFORE}{_SAID}",
    (
        rf"(?<!\w)(?:antwort|antwoord|ответ|réponse|respuesta|resposta|risposta|đáp án"
        rf"|câu){_SAID}(?=\s*[.!]?\s*$)"
    ),
    (
        rf"\b(?:elijo|elegimos|escojo|selecciono|marco|escolho|escolhemos|assinalo|choisis"
        rf"|choisissons|scelgo"
        rf"|scegliamo|wähle|wählen|nehme|kies|kiezen|выбираю|выбираем|chọn){_BEFORE}{_SAID}"
    ),
    (
        rf"\b(?:correcta|correta|correto|correcte|corretta|richtig|korrekt|juist|правильный|верный"
        rf"|правильно|верно|đúng)"
        rf"\s*(?:\s{_IS}(?!\w)|[:：]|[-–—](?=\s)){_BEFORE}{_SAID}"
    ),
)
# The same in scripts of their own, for texts that hold such letters.
SCRIPT_FRAMES = (
    # Chinese: 答案是B, 故选B, 正确的是B
    rf"(?:答案|选项|選項|结论)(?:[应該该当當就]*[是为為])?\s*(?:选项|選項)?{_SAID}",
    rf"(?:而是|正确的是|正確的是|应该是|應該是)\s*(?:选项|選項)?{_SAID}",
    rf"(?<!不)(?<!不能)(?:选择|選擇|选|選)\s*(?:项|项是|的是)?{_SAID}",
    # Japanese, Korean, Thai, Arabic
    (
        rf"(?:正解|答え|解答|正答|回答|正しい(?:もの|選択肢|答え)?)\s*(?:の選択肢|の記号)?(?:は|:|："
        rf"|が)[、\s]*(?:選択肢)?{_SAID}"
    ),
    rf"(?:정답|답|답안|해답|옳은 것|올바른 것|선택지)(?:은|는|이|:|：)?\s*(?:선택지|보기|옵션)?{_SAID}",
    (
        rf"(?:คำตอบ|ข้อ|ตัวเลือก|เฉลย)(?:ที่ถูกต้อง|ที่ถูก|สุดท้าย)*\s*(?:คือ|เป็น|ได้แก่|:"
        rf"|：)\s*(?:ข้อ|ตัวเลือก|คำตอบ)?{_SAID}"
    ),
    rf"(?:เลือก|ตอบ)\s*(?:ข้อ|ตัวเลือก)?{_SAID}",
    (
        rf"(?:الإجابة|الاجابة|الجواب|الخيار|الحل|الإختيار|الاختيار)(?:\s+(?:الصحيحة?|الصحيح"
        rf"|النهائية?|النهائي|الأصح|الأنسب))*\s*"
        rf"(?:هي|هو|[:：])?\s*(?:الخيار|الإجابة|الحرف)?{_SAID}"
    ),
    rf"(?:أختار|نختار|اختار)\s*(?:الخيار|الإجابة)?{_SAID}",
)

# "the statement that does not follow is (B)": the denial is the question's own.
_NOUN = (
    r"(?:option|choice|answer|alternative|statement|sentence|claim|assertion|example"
    r"|explanation|description"
    r"|conclusion|reason|exception|one|response|item|pair|word|phrase|equation|reaction|step"
    r"|event|factor|inference)"
)
_WITH = r"(?:\s+(?:that|which|who|in|for|of|to|not|best|most)\b[^.,;:!?\n]{1,80}?)?"
NAMED = (
    (
        rf"\bthe\s+(?:[\w'’-]+\s+){{0,4}}?{_NOUN}{_WITH}\s(?:is|was|would be|must be"
        rf"|should be)\b{_KIND}{_SAID}"
    ),
    (
        rf"\bthe\s+(?:[\w'’-]+\s+){{1,3}}?(?:that|which|who)\s[^.,;:!?\n]{{1,80}}?\s(?:is|was"
        rf"|must be)\b{_KIND}{_BRACKETED}"
    ),
)
ANSWERS_WRONG = re.compile(
    r"\b(?:incorrect|wrong|false|worst|first|other|another)\s+(?:answers?|options?|choices?"
    r"|one|alternatives?)\b",
    re.IGNORECASE,
)

# "B is correct", "(C) is the right answer"; what is only `FAVOURABLE` counts where nothing else does.
_SUBJECT = (
    rf"(?:^|(?<=[\s(:,，。；;]))[(\[]?([{{valid}}])[)\].]?\s+{_BE}{_SURELY}"
    r"\s+(?:the\s+)?(?:only\s+|most\s+|single\s+|best\s+)*(?:WORDS)"
)
SUBJECTS = (
    _SUBJECT.replace(
        "WORDS", r"(?:correct|right)(?!\s+(?:about|that|in))|answer|best\s+(?:answer|choice|option)|one\b"
    ),
    # "(B) a lever is correct"
    (
        r"(?:^|(?<=[\s,]))[(\[]([{valid}])[)\]]\s[^.;!?\n()]{1,160}?\s(?:is"
        r"|are)\s(?:the\s)?(?:correct|right|best)"
        r"(?!\s+(?:about|that|in))\b"
    ),
    rf"(?<![A-Za-z]){_LETTER}[)）]?\s+(?:{_IS}|está|também é|ook|auch)?\s*{_RIGHT}",
)
FAVOURABLE = _SUBJECT.replace("WORDS", r"true|accurate|appropriate|valid|likely|best|suitable")
SCRIPT_SUBJECTS = (
    rf"(?<![A-Za-z]){_LETTER}[)）]?\s*[项項]?[是为為]?(?:正确|正確)",
    rf"(?<![A-Za-z]){_LETTER}[)）]?\s*(?:が|は)(?:正解|正しい|正答|答え)",
    rf"(?<![A-Za-z]){_LETTER}[)）]?\s*(?:번)?(?:이|가|은|는)?\s*(?:정답|맞|옳|올바)",
    rf"(?<![A-Za-z]){_LETTER}[)）]?\s*(?:เป็น|คือ)?(?:คำตอบที่)?ถูก",
    rf"(?<![A-Za-z]){_LETTER}[)）]?\s*(?:هي|هو)\s*(?:الإجابة|الجواب|الخيار|الصحيح)",
)
ALSO = re.compile(r"\b(?:also|equally)\b", re.IGNORECASE)

# What stands before a letter in its clause and takes the choice away.
UNSURE = re.compile(
    r"\b(?:not|never|neither|nor|none|cannot|without|except|unlikely|incorrect|wrong|false"
    r"|rather than|instead of"
    r"|(?:hard|difficult) to (?:believe|see|imagine)"
    r"|doubt|doubtful|hardly|nothing|nobody|no (?:way|chance|reason|one)|(?:false"
    r"|untrue) that|whether|if|unless"
    r"|suppos(?:e|ing)|assum(?:e|ing)|imagine|while|although|though|whereas|even"
    r"|no es|non|nicht|keine?|falsche?[nrs]?|pas|não|niet|geen|onjuist|falsa|falso|fausse"
    r"|incorrect[ao]|errada?"
    r"|si|wenn|falls|als|se|aunque|embora|obwohl|hoewel|sebbene|dudo|duvido|bezweifle|doute"
    r"|dubito|betwijfel"
    r"|не|нет|если|хотя|неверный|неправильный|không|nếu|sai|chưa)(?!\w)"
    r"|n['’]t\b|不|排除|如果|假设|错误|虽然|間違|誤|もし|틀린|오답|만약|아닌|ไม่|ผิด|ถ้า|ليس|غير|الخاطئ|إذا"
    r"|لا أظن",
    re.IGNORECASE,
)
# Turns of phrase whose denial or condition means nothing; they are left out before a text is read.
IDIOM = re.compile(
    r"\b(?:(?:there is |there's )?no doubt(?: that)?|without (?:a |any )?doubt|beyond (?:a "
    r"|any )?(?:reasonable )?doubt"
    r"|if i (?:am|'m) not mistaken|if not mistaken|not only|if i (?:had|have|must|were)(?: to"
    r"| forced to)? \w+(?: \w+)?"
    r"|why not|i (?=suppose|assume)(?:suppose|assume)(?: that)?|last but not least|if any"
    r"|sin duda|sans doute|ohne zweifel)\b",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    r"[.;,!?\n。；，！？、]|\b(?:but|so|thus|hence|therefore|then|because|since)\b"
    r"|\band\b(?=\s+(?:the|so|we|it|this|thus|hence|therefore|i|my|our)\b|\s*[(\[]?$)",
    re.IGNORECASE,
)
# What stands right behind a letter, or behind "B is correct", and takes the choice away.
DENIED_BEHIND = re.compile(
    r"[)\]）*]*\s*,?\s*"
    # "The answer is (B) a lever is incorrect because ..."
    r"(?:(?:(?!\b(?:because|since|but|so)\b|(?<!\w)[A-J](?!\w)"
    r"|[.] )[^;:!?\n]){1,200}?\s(?:is|are)\s"
    r"(?:incorrect|wrong|false|not correct|not right)\s+(?:because|since|as)\b|"
    r"(?:(?:which|that|this|it|option|but (?:that|this|it|which))\s+)?"
    r"(?:(?:is|was|are|were|would be|seems|looks|may be|might be|can be|could be)\s+"
    r"(?:\w+ly\s+)?(?:incorrect|wrong|false|untrue|not\b(?!\s+(?:only|surprising|unexpected"
    r"|hard))|never\b|ruled out|impossible|unlikely|eliminated|out\b)"
    r"|(?:is|was|does|do|would|ca|ca|could|wo)n['’]t\b|cannot\b|(?:does|do|would|could"
    r"|can) not\b|not\s+(?:correct|right|true|the|it|possible|supported|valid|an?)\b|not\s*[.,;]"
    r"|(?:incorrect|wrong|false)(?!\w)|(?:only\s+)?(?:if|unless)\b(?! (?:i|we) )|provided\b|assuming\b|\?"
    r"|(?:no es|non è|não é|n['’]est pas|ist nicht|ist falsch|is niet|is onjuist"
    r"|(?:[-–—]\s*)?не |(?:[-–—]\s*)?(?:неверн|неправильн)|không|là sai|sai)"
    r"|(?:では|じゃ)(?:な|あり)|は(?:間違|正しくな|不正解|誤)|(?:이|가)?\s*아[니닙]|ไม่|ผิด|ليس"
    r"|[项項]?是?[错錯误誤不]))",
    re.IGNORECASE,
)
TAKEN_BACK = re.compile(
    r"[\s)\].*_]*(?:wait|no|hmm+|actually|but|oh|oops|sorry|hold on)\b[^.\n]{0,60}?"
    r"\b(?:wrong|incorrect|not right|not correct|mistake|mistaken|not the answer)\b",
    re.IGNORECASE,
)
# Between two declarations: the second one corrects the first, or follows from it.
TURNS = re.compile(
    r"[.!?。；;]\s|\n|\b(?:but|so|thus|hence|therefore|then|wait|no|actually|rather|instead"
    r"|because|since|as|however"
    r"|making|means|i\.e|which|that is|not)\b|所以|因此|故|而是|但|∴|→|=>|[:：]",
    re.IGNORECASE,
)
LISTED = (
    r"[)\].\s]*(?:,|/|\bor\b|\band\b|&|或|和|、|とか|と|または|또는|와|과|และ|หรือ|أو|\bo\b|\by\b|\bou\b"
    r"|\bet\b|\be\b|\boder\b|\bund\b"
    r"|\bof\b|\ben\b|\bи\b|\bили\b|\bhoặc\b|\bvà\b)"
    r"\s*(?:or\s+|and\s+)?(?:the\s+)?(?:option\s+|both\s+|perhaps\s+|maybe\s+"
    r"|possibly\s+)?[(\[]?([{valid}])"
    r"[)\]]?(?![\w'’])(?!\s+(?:is|was|are|has|have|does|do|would|cannot|can|fails?|because"
    r"|since|am|think|believe)\b)"
)
# Behind the letters A and I, which are words too.
WORDS_AFTER_A_LETTER = frozenset(
    "is because since as and or with based due for not rather but would must should seems are if unless which"
    " está es est ist è é является là это porque ya pues weil denn da parce car perché poiché pois omdat want"
    " потому так vì do".split()
)
