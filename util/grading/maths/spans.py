"""What does the sentence say that holds an answer: one value, a list, or nothing certain?

Call `read_span` with what stands in a box or a tag, or behind "the answer is".

A span without words is handed on as it is. In a span with words every formula is a value, written as one
sign, and the words between the signs decide: what is denied is no answer, what is joined is a list, and what
depends on a case or is one of several candidates is said to be so. A span never counts as its first formula.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from util.grading.maths.numbers import SPELLED, number_word
from util.grading.maths.spelling import CHINESE_UNITS, TEXT_COMMANDS
from util.grading.maths.spoken import labelled
from util.grading.maths.units import unit_of

CASES = "the answer distinguishes cases"
BOUND = "the answer is a bound, not a value"
UNCLEAR = "the words next to the value may change it"
TAKEN_BACK = "the answer is taken back"
SEVERAL = "several candidates of equal rank"
DENIED = "the answer is denied"
RIVAL = "another answer stands beside it"
# What the words next to the answer say: whoever sees the answer alone cannot judge it.
AROUND = frozenset((DENIED, TAKEN_BACK, UNCLEAR, RIVAL))
MAX_SPAN = 2_000  # characters of a span with words; what is longer is a text, not a sentence


class Statement(NamedTuple):
    """What a span says."""

    text: str  # to be compared; the whole span where it says no single answer
    cause: str = ""  # why it says no single answer; "" where it does
    lead: str = ""  # the two words before the value, such as "area is"
    about: str = ""  # the number that the text gives as another way to write the value: "(about 7.2)"


def read_span(span: str, *, declared: bool = False) -> Statement:
    """What a span says; `declared`: it stands behind "the answer is"."""
    said = _read(span, declared=declared)
    return said._replace(text=_AGAIN.sub(r"\1, ", said.text)) if said.text.count("=") > 1 else said


_INDEX = r"(?:_\{?\w\}?)?\s*="
_AGAIN = re.compile(  # between two values of one name, which are no quotient or product: x = 7 / x = 8
    rf"((?<![\\\w])([a-zA-Z]){_INDEX}\s*[^=,;]*?[\d}})])"
    r"(?:(?:[/|&]|\\q?quad\b|\\[\\;:, ]|\\mid\b|\\(?:text|mathrm)\s*\{[\s/|]*\}|\s)++"
    rf"(?=\2{_INDEX})|\s*+(?:\\q?quad\b\s*+)+(?=[a-zA-Z]{_INDEX}))"
)


def _read(span: str, *, declared: bool) -> Statement:
    span = span.strip().strip("*").strip()
    if (")" in span or "or " in span or "h is" in span or "at is" in span or "i.e." in span) and (
        match := ABOUT.search(span)
    ):
        before, behind = span[: match.start()].rstrip(" ,"), span[match.end() :]
        if before and not behind.strip(" .$*"):
            return read_span(before, declared=declared)._replace(about=next(filter(None, match.groups())))
    if not has_words(span):
        return Statement(_bare(span))
    if ")" in span and (twice := _SAID_TWICE.search(span)) and number_word(twice[1]) == int(twice[2]):
        span = f"{span[: twice.start()]}{twice[2]}{span[twice.end() :]}"
    if ")" in span and (parts := labelled(span)):
        return Statement(", ".join(read_span(part).text for part in parts))
    if len(span) > MAX_SPAN:
        return Statement(span, SEVERAL)
    spoken = _SPACING.sub(" ", _TEXT.sub(_text_as_words, span).replace(r"\!", "")) if "\\" in span else span
    words, values = _in_signs(spoken)
    words = _divided(_named(words, values), values)
    if not values and len(spelled := SPELLED.findall(words)) == 1:
        values.append(str(number_word(spelled[0])))
        words = SPELLED.sub(chr(_FIRST), words)
    if not values:
        return Statement(_first_kept(words, REASON, _NOT_THAT).strip(" .,:;"))
    if _DATE.search(words):
        return Statement(span)
    if contrast := _NOT_BUT.search(words):
        words = contrast.group(1)
    words = _first_kept(words, REASON, needed=_VALUE)
    words = _MINUS.sub(lambda match: _negative(match.group(1) or match.group(2), values), words)
    if _WRONG.search(words):
        return Statement(span, DENIED)
    words = _first_kept(words, _NOT_THAT, _WHICH, needed=_VALUE)
    if not _VALUE.search(words) or _DENIAL.search(words):
        return Statement(span, DENIED)
    words = _ASIDE.sub(
        lambda aside: f" {aside.group(1)} " if _KEPT_ASIDE.search(aside.group()) else " ", words
    )
    if _CASE.search(words):
        return Statement(span, CASES)
    if _PERHAPS.search(words):
        return Statement(span, UNCLEAR)
    before = _first_kept(words, _CONDITION, needed=_VALUE)
    if _KIND.search(words, len(before)) or _AND_IF.search(words, len(before)):
        return Statement(span, CASES)
    cut = "".join(_values_in(words[len(before) :], values))
    if (
        not _SUBJECT.match(before)
        and _RELATES.search(cut)
        and not _LETTER.search("".join(_values_in(before, values)))
    ):
        return Statement(span, CASES)  # 42 for x < 1
    if _OTHER_VALUE.search(before):
        return Statement(span, UNCLEAR)
    if _BOUND.search(before) or _BOUNDS.search(span):
        return Statement(span, BOUND)
    subject = _SUBJECT.match(before)
    if subject and _STATED.search(subject.group()):
        return Statement(span, SEVERAL)
    if subject and _LABELLED.search(subject.group()):
        return Statement(", ".join(value.strip(" ,;") for value in values), SEVERAL)
    words = before[subject.end() :] if subject else before
    if (subject or declared) and not _is_neutral(words) or _ALTERED.search(words):
        return Statement(span, UNCLEAR)
    words = _LEAD.sub("", words).strip(" .:,;*")
    return _joined(words, values, span)._replace(
        lead=_LAST_WORDS.sub(r"\1", before[: _first_value(words, before)])
    )


_SAID_TWICE = re.compile(rf"({SPELLED.pattern})\s*\((\d{{1,9}})\)", re.IGNORECASE)
_ROUGHLY = r"(?:about|approx(?:imately|\.)?|roughly|around|≈|\\approx|(?:more )?(?:exactly|precisely))"
_DECIMAL = r"\$?\s*(-?\d[\d,]*(?:\.\d+)?(?:\s*\\?%)?)\$?"
EXPANDED = re.compile(rf"(?:≈|\\approx)\s*{_DECIMAL}")  # right behind a value
ABOUT = re.compile(
    rf"(?:\(\s*(?:(?:or|i\.e\.|that is|which is)[\s,]*)?{_ROUGHLY}\s*{_DECIMAL}\s*\)"
    rf"|\b(?:or|i\.e\.|that is|which is)[\s,]*{_ROUGHLY}\s*{_DECIMAL}(?=[.*]*(?:\s|$))"
    rf"|\(\s*(?:or\s+)?{_DECIMAL}\s*(?:(?:to be exact|exactly|before rounding|approximately)\s*|(?<=%))\))",
    re.IGNORECASE,
)


def is_denied(before: str) -> bool:
    """Whether the clause in front of a value denies, doubts or changes it."""
    before_value = before.rstrip("$*([{~\\ ")
    if _OTHER_VALUE.search(_SENTENCE_START.split(before_value)[-1]):
        return True
    if _NO_ANSWER.search(before_value):
        return True
    clause = CLAUSE.split(before_value)[-1]
    words = {word.lower() for word in _LONG_WORD.findall(clause)}
    if words <= _LEAVE_IT and not _CJK_WORD.search(clause):
        return _STRUCK.search(before) is not None
    said = f"{clause.rstrip()} {chr(_FIRST)}"
    return (
        any(sign.search(said) for sign in (_WRONG, _DENIAL, _DOUBT, _ALTERED))
        or _STRUCK.search(before) is not None
    )


# ---------------------------------------------------------------- values and words

_FORMULA = re.compile(
    r"\$\$(.+?)\$\$|\\\((.+?)\\\)|\\\[(.+?)\\\]|(?<![\\$])\$((?:\\\$|[^$])+?)(?<!\\)\$", re.DOTALL
)
_PROSE = re.compile(r"[a-z]{2,}[.,;!?]?\s+[a-z]{2,}\s", re.IGNORECASE)  # between the signs of two prices
_TEXT = re.compile(rf"\\(?:{TEXT_COMMANDS})\s*\{{([^{{}}]*)\}}")
_MATHS_WORDS = frozenset(
    "sin cos tan cot sec csc sinh cosh tanh sech csch arcsin arccos arctan asin acos atan ln log lg exp"
    " sqrt cbrt pi"
    " infinity infty inf max min gcd lcm mod alpha beta gamma delta theta lambda mu phi omega hbar abs"
    " floor ceil".split()
)
_LONG_WORD = re.compile(r"(?<![\\a-zA-Z])[^\W\d_]{2,}")
_WORD = re.compile(r"(?:[^\W\d_]++['’-]?){1,3}\.?")
_CJK = "\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f"
_CJK_WORD = re.compile(f"[{_CJK}]")
_TOKENS = re.compile(
    rf"[、，。；：]|[,;:—!?](?!\S)|[{_CJK}]+"
    rf"|(?:[^\s;—?!,:、，。；：{_CJK}]|[,:;!](?=[^\s{_CJK}]))+!?|\S"
)
_GROUP = re.compile(r"[(\[{][^()\[\]{}]{1,200}[)\]}]")
_OPERATOR = re.compile(r"[=<>+*/^≤≥≠±×·|-]")
_RAISED = frozenset("^/²³⁻·")
_POWERS = frozenset("²³⁴⁵⁶⁷⁸⁹¹⁰")
_SPACING = re.compile(r"(?<!\\)\\[,;: ]|\\q?quad\b")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{[a-z]+\*?\}")
_LONE = "\u2063"
_FIRST = 0xE000  # the sign of the first value
_MOST = 1_000
_V = f"[{chr(_FIRST)}-{chr(_FIRST + _MOST)}]"
_VALUE = re.compile(_V)


def has_words(span: str) -> bool:
    """Whether a span holds words next to its formulas; names of functions and commands are none."""
    plain = _TEXT.sub(r" \1 ", _ENVIRONMENT.sub("", span)) if "\\" in span else span
    return any(not _is_maths(word) for word in _LONG_WORD.findall(plain)) or (
        not plain.isascii() and _CJK_WORD.search(plain) is not None
    )


def _is_maths(word: str) -> bool:
    """Whether letters name a function or points: sin, ABC."""
    return word.lower() in _MATHS_WORDS or len(word) < 5 and word.isupper()


def formulas(text: str) -> list[tuple[int, int, str]]:
    """Start, end and contents of the formulas between dollar signs or LaTeX brackets."""
    found, at = [], 0
    while match := _FORMULA.search(text, at):
        inside = next(group for group in match.groups() if group is not None)
        at = match.end()
        if match.group(4) and (_PROSE.search(_TEXT.sub("", inside)) or "\n\n" in inside):
            at = match.start() + 1  # the dollar sign of a price
        elif inside.strip():
            found.append((match.start(), match.end(), inside.strip()))
    return found


def formula_at_head(text: str) -> int:
    """Where the formula ends that a text opens with; 0 where it opens with none."""
    if text[:1] not in ("$", "\\") or not (first := _FORMULA.match(text)):
        return 0
    return 0 if first.group(4) and _PROSE.search(_TEXT.sub("", first.group(4))) else first.end()


def _bare(span: str) -> str:
    """A span without words: its formulas joined by what stands between them."""
    found = formulas(span)
    if not found:
        return _last_step(span)
    if len(found) == 1 and found[0][1] - found[0][0] >= len(span.rstrip(" .")):
        return _last_step(found[0][2])
    parts, at = [], 0
    for start, end, inside in found:
        parts += [span[at:start], inside]
        at = end
    return "".join([*parts, span[at:]]).strip()


_ALIGNED = re.compile(r"\\begin\{(align(?:ed|\*)?|split)\}(.*)\\end\{\1\}", re.DOTALL)


def _last_step(formula: str) -> str:
    """Aligned rows that go on with "= ..." as their last value; any other formula as it is."""
    aligned = _ALIGNED.fullmatch(formula.strip())
    if aligned is None:
        return formula
    first, *others = (row.strip() for row in aligned[2].split(r"\\") if row.strip())
    if any(not row.startswith(("&=", "& =")) for row in others):
        return formula
    return (others[-1].partition("=")[2] if others else first.replace("&", "")).strip(" .")


def _in_signs(span: str) -> tuple[str, list[str]]:
    """The words of a span with one sign in place of each value, and the values."""
    values: list[str] = []
    words: list[str] = []

    def value(text: str) -> None:
        if words and _VALUE.fullmatch(words[-1]):
            values[-1] += " " + text
        elif len(values) < _MOST:
            words.append(chr(_FIRST + len(values)))
            values.append(text)

    def prose(text: str) -> None:
        tokens = _TOKENS.findall(_GROUP.sub(_closed_up, text.replace("**", " ").replace("i.e.", " : ")))
        for place, token in enumerate(tokens):
            token = token.strip("\"'“”‘’`_")
            core = token.strip("().")
            following = tokens[place + 1] if place + 1 < len(tokens) else ""
            if not token:
                continue  # a quotation mark alone
            if token[0] == _LONE:
                words.append(token[1:])
            elif not core or core in ",;:—!?、，。；：":
                words.append(token)
            elif token == "=" and not values and words and _LONG_WORD.fullmatch(words[-1]):
                words.append(token)
            elif token[0] in _RAISED and words and words[-1][-1:].isalpha():
                words[-1] += token  # the square of a unit
            elif _WORD.fullmatch(core) and _is_word(core, following, words):
                words.append(token)
            elif token[0] == "(" and token.count("(") > token.count(")"):
                words.append("(")
                value(token[1:])
            elif token.rstrip(".").endswith(")") and token.count(")") > token.count("("):
                value(token.rstrip(".")[:-1])
                words.append(")")
            else:
                value(token.rstrip("."))

    at = 0
    for start, end, inside in formulas(span):
        prose(span[at:start])
        if inside[0] == "=" and not values and words and _LONG_WORD.fullmatch(words[-1]):
            words.append("=")
            inside = inside[1:].strip()
        value(inside)
        at = end
    prose(span[at:])
    return " ".join(words), values


def _text_as_words(match: re.Match[str]) -> str:
    """The words of a text command; a lone letter, as in 32 \\text{ m}, is marked to be no variable."""
    inside = match.group(1).strip()
    return f" {_LONE}{inside} " if len(inside) == 1 and inside.isalpha() else f" {inside} "


def _closed_up(group: re.Match[str]) -> str:
    """A tuple, set or interval without blanks; an aside in words as it is."""
    return group.group() if has_words(group.group()) else group.group().replace(" ", "")


def _is_word(token: str, following: str, before: list[str]) -> bool:
    """Whether letters are a word and no variable, function or unit of a formula."""
    if token.lower() in _MATHS_WORDS or len(token) < 4 and following[:1] == "=":
        return token.lower() == "not"  # ab = 27
    if _POWERS & {*token}:
        return False  # x²
    if len(token) == 1 and ord(token) < 0x2000:
        if token not in "aAIèéà" or _OPERATOR.match(following) or following in ("and", "or", ","):
            return False
        return not (before and _VALUE.fullmatch(before[-1]))
    return True


# ---------------------------------------------------------------- what the words say

REASON = re.compile(
    r"[\s,;(—-]*(?:\b(?:because|since|as (?!well|follows|long)|due to|where|so that|by the|obtained|I hope"
    r"|as (?:required|desired|claimed)|no matter|regardless|independent(?:ly)? of)\b|因为).*$",
    re.IGNORECASE | re.DOTALL,
)
_WHICH = re.compile(r"[\s,;(—-]*\bwhich (?:is|was|are|equals|can|we|follows)\b.*$", re.IGNORECASE | re.DOTALL)
_MONTH = r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
_DATE = re.compile(rf"{_MONTH},? (?:the )?{_V}|{_V} (?:of )?{_MONTH}")
_REFUSED = (
    r"excluded|rejected|discarded|extraneous|ruled out|not allowed|impossible|fails?|too (?:small|large"
    r"|big)"
)
_WRONG = re.compile(
    rf"\b(?:wrong|incorrect|mistaken|false|invalid|doubt(?:ful)?|unlikely|claimed|alleged|{_REFUSED}|traps?"
    rf"|distractor|not (?:valid|allowed|possible|acceptable|right|correct|true))\b"
    rf"|错|不对|不正确",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:not|never|neither|nor|isn['’]t|aren['’]t|wasn['’]t"
    r"|don['’]t|doesn['’]t|won['’]t|cannot|can['’]t|couldn['’]t|unsure|unclear"
    r"|hardly|nobody|(?:remains?|is|are) (?:unknown|undetermined)|no way (?:the|that|it|this)"
    r"|rules? out|ruled out|exclud\w+|no solution|niet|nicht|kein\w*|n['’]est pas"
    r"|ne peut|no (?:es|puede)"
    r"|non (?:è|può|credo|penso)|não|не|nie|değil|không|no creo|ne (?:crois|pense))\b"
    r"|ليس|لا أعتقد|لا أظن|ไม่|(?:では|じゃ)(?:あり|な)|とは限|不(?:认为|觉得|相信)"
    r"|不是|不等于|不可能|不会|并非|绝非",
    re.IGNORECASE,
)
_DOUBT = re.compile(  # in front of a value
    r"\b(?:tempting|naive|erroneous|whether|if|suppos(?:e|ing)|bound|format|box like|students get"
    r"|mistake (?:is|to)|wrongly|guess was"
    rf"|no puede|non può|pas)(?!\w)|至少|至多|\b(?:than|at (?:least|most))\s+{_V}",
    re.IGNORECASE,
)
_OTHER_VALUE = re.compile(  # twice the number is, one less than the answer is
    r"\b(?:(?:twice|double|thrice|triple|half|(?:less|more|greater|fewer) than|minus|plus|times"
    r"|(?:negative|opposite|reciprocal|inverse|square|cube|root|half|third|quarter|double) of)"
    r"\s+(?:of\s+)?(?:the|our|this)\s+(?:\w+\s+)?(?:answer|number|value|result|solution)\b"
    r"|(?:answer|number|value|result) (?:squared|cubed|doubled|tripled|minus|plus|times|divided)\b"
    r"|answer to part\b|there are no\b"
    r"|(?:given|determined|defined|described) (?:by|in) (?:the )?(?:equation|eq|formula|expression|figure"
    r"|table|theorem|option)s?\b)"
    r"|^\W*(?:the (?:reciprocal|opposite|negative) is\b"
    r"|(?:twice|double|thrice|triple|half)\s+(?:of\s+)?(?:the|our|this|its)\s)",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(
    r"\b(?:suppose|assume|doubt|trap|naive|tempting|wrong|false)\b[^.,;:!?\n]*\banswer (?:is|was|were)$",
    re.IGNORECASE,
)
_SENTENCE_START = re.compile(r"[.!?]\s|\n")
_STRUCK = re.compile(
    r"(?:\b(?:lower|upper) bound\s*[:=]?|\be\.g\.|~~|<del>|\\(?:cancel|sout|xcancel)\{)[\s$]*$",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    r"[.;,:=!?\n。；，：！？]|\b(?:and|but|so|thus|hence|therefore|then|instead|answer\s*(?:is|:|=))(?!\w)",
    re.IGNORECASE,
)
_NOT_BUT = re.compile(
    rf"(?:\b(?:not|no longer|never)\b[^{_V[1:-1]}]{{0,30}}{_V}[^{_V[1:-1]}]{{0,30}}?\b(?:but"
    rf"|rather)\b(?:\s*(?:rather|instead|is|actually))*"
    rf"|不是\s*{_V}[^{_V[1:-1]}]{{0,10}}而?是)\s*(.*)$",
    re.IGNORECASE | re.DOTALL,
)
_NOT_THAT = re.compile(
    r"[\s,;(]*\b(?:and not|but not|rather than|instead of|as opposed to|"
    r"(?<!does )(?<!do )(?<!did )(?<!is )(?<!are )(?<!was )(?<!will )(?<!can )(?<!could )(?<!would"
    r" )(?<!it )(?<!need )not)\b"
    r"(?![^()]*\bbut\b).*$"
    r"|[,，]\s*(?:而不是|而非|não|nicht|no|non|y no|e não|et non|e non|en niet|niet|а не)(?!\w).*$",
    re.IGNORECASE | re.DOTALL,
)
_ASIDE = re.compile(r"\(([^()]*)\)")
_KEPT_ASIDE = re.compile(
    r"^\(\s*(?:and|if|unless|only (?:for|when|if|in))\b"
    r"|\b(?:or|possibly|possible|maybe|perhaps|alternatively)\b",
    re.IGNORECASE,
)
_CASE = re.compile(
    r"\b(?:if|unless|otherwise|else|provided|depending|depends|in (?:the )?case|assuming|only (?:for"
    r"|when|in))\b|如果|否则|或?当",
    re.IGNORECASE,
)
_PERHAPS = re.compile(r"\b(?:maybe|perhaps|possibly|probably|presumably)\b", re.IGNORECASE)
_CONDITION = re.compile(
    r"[\s,]*\b(?:when|whenever|for|where|with|at(?! (?:the very )?(?:least|most)))\b.*$",
    re.IGNORECASE | re.DOTALL,
)
_KIND = re.compile(
    r"\b(?:even|odd|prime|divisible|otherwise|positive|negative|not|except|small|large|sufficiently)\b",
    re.IGNORECASE,
)
_BOUND = re.compile(
    rf"(?:\b(?:more|less|greater|fewer|larger|smaller|higher|lower|bigger)\s+than\s+(?:or equal to\s+)?"
    rf"|\b(?:at least|at most|above|below|under|over|up to|no more than|no less than|between(?: \w+){{0,3}}"
    rf"|beyond|within|nearly|almost|close to|near)\s+){_V}"
    rf"|\b(?:mayor|menor|más|menos) (?:que|de) {_V}|\b(?:größer|kleiner|mehr|weniger) als {_V}"
    rf"|\b(?:plus|moins) (?:\w+ )?(?:que|de) {_V}|(?:больше|меньше|более|менее)(?: чем)? {_V}"
    rf"|(?:lớn|nhỏ|nhiều|ít) hơn {_V}|(?:أكبر|أصغر|أكثر|أقل) من {_V}|{_V}\s*より(?:大き|小さ|多|少な)"
    rf"|{_V} (?:\w+ )?(?:less|more|fewer|larger|smaller|greater) than\b"
    rf"|{_V} (?:or|and) (?:so|more|less|fewer|greater|above|below|higher|lower)\b|{_V}\s*以[上下内]"
    rf"|(?:大于|小于|多于|少于|不少于|不超过|至少|至多|超过|不到|介于|高于|低于)[是为]?\s*{_V}",
    re.IGNORECASE,
)
_BOUNDS = re.compile(r"\b(?:lower|upper) bound\b", re.IGNORECASE)
_SUBJECT = re.compile(
    rf"^.*(?:\b(?:is|are|was|were|be|equals?|becomes?|gives?|yields?|makes?|comes to|amounts to"
    rf"|totals?|è|é|ist|sind|lautet|beträgt|est|sont|vaut|es|son|são|равн\w+|составляет)\b|[:=：]|[是为為])"
    rf"(?=[^{_V[1:-1]}]*{_V})\s*",
    re.IGNORECASE | re.DOTALL,
)
_STATED = re.compile(  # "the area is 12 and the perimeter is"
    rf"(?:\b(?:is|are|was|were|equals?)\b|[=:])[^{_V[1:-1]}]*{_V}[^{_V[1:-1]}]*\b(?:and|while"
    rf"|whereas)\b[^{_V[1:-1]}]*$",
    re.IGNORECASE,
)
_LABELLED = re.compile(  # "minimum: 1, maximum:"
    rf"[=:：]\s*{_V}\s*[,;]?\s(?![^{_V[1:-1]}]*\b(?:answer|so|thus|hence|therefore|then|total|sum|giv\w+)\b)"
    rf"[^{_V[1:-1]}.]{{2,40}}[=:：]\s*$",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^(?:(?:so|thus|hence|therefore|then|that|simply|just|indeed|exactly|precisely|equal to|equals?"
    r"|only|clearly|always|now|given by"
    r"|finally|namely|about|approximately|roughly|around|either|both|the|an?|values?|numbers?"
    r"|constants?|functions?|of)\b[\s,:]*)+",
    re.IGNORECASE,
)
_JOINTS = frozenset(
    ", ; and or & either both also as well else maybe perhaps possibly even too the constant value"
    " function ("
    " und oder et ou и или 和 或 或者 以及 与 及 、 ， ；".split()
)
_NO_UNIT = frozenset(
    "for in on at from to with left by when if after before altogether total so and or but that than"
    " who which while"
    " during into is are was were remaining away each every more less all together overall of does do"
    " did can will there here now then not en de em im ao al au insgesamt directed pointing".split()
)


def _first_kept(words: str, *patterns: re.Pattern[str], needed: re.Pattern[str] | None = None) -> str:
    """`words` without what the patterns cut off at the end, as far as something (`needed`) is left."""
    for pattern in patterns:
        before = pattern.sub("", words)
        if needed.search(before) if needed else before.strip():
            words = before
    return words


_LAST_WORDS = re.compile(r"^.*?((?:\w+\W+)?\w*)\W*$", re.DOTALL)
_ALSO_SPELLED = re.compile(  # 5 pens and two books
    rf"(?:\b(?:and|plus|while|whereas|but)\b|[,;])[^.]*?(?:{SPELLED.pattern}|\ba dozen\b)", re.IGNORECASE
)
_NAME = re.compile(r"[a-zA-Z](?:_\{?\w\}?)?")
_NAMED = re.compile(
    rf"(^|(?:\b(?:and|or|so|then|thus|therefore)|[,;:]) )({_V}) (?:is|equals|equal to) ({_V})"
)


def _named(words: str, values: list[str]) -> str:
    """ "x is 2" as the equation that it means."""

    def equation(match: re.Match[str]) -> str:
        name, value = (ord(sign) - _FIRST for sign in match.groups()[1:])
        if not _NAME.fullmatch(values[name]):
            return match.group()
        values[value] = f"{values[name]} = {values[value]}"
        return match.group(1) + match.group(3)

    return _NAMED.sub(equation, words)


_RATIO = re.compile(rf"({_V}) out of ({_V})")


def _divided(words: str, values: list[str]) -> str:
    """5 out of 8 as the fraction that it means."""

    def fraction(match: re.Match[str]) -> str:
        top, bottom = (ord(sign) - _FIRST for sign in match.groups())
        values[top] = f"{values[top]}/{values[bottom]}"
        return match.group(1)

    return _RATIO.sub(fraction, words)


def _first_value(words: str, before: str) -> int:
    """Where the first value of what is left of a sentence stands in the sentence."""
    sign = _VALUE.search(words)
    return before.find(sign.group()) if sign else 0


_MINUS = re.compile(rf"\b(?:minus|negative|moins|menos|meno|минус)\s+({_V})|负\s*({_V})", re.IGNORECASE)
# Words that may stand between "is" and the value, and leave it as it is.
_NEUTRAL = frozenset(
    "rs usd eur gbp chf inr kr approx the a an of is are be to in and or both either value values"
    " number numbers total amount sum result answer answers solution solutions root roots point points"
    " pair pairs triple ordered set interval function functions line equation polynomial integer"
    " integers fraction ratio probability angle option choice expression matrix vector polar complex"
    " real rational prime positive natural whole equal exactly precisely about approximately roughly"
    " around simply just only also now then thus hence therefore so indeed clearly always given by found"
    " as follows following final simplified form namely there constant constants parabola circle base"
    " coordinates all any every each for at on de di la le el il lo les los las un una une der die das"
    " ein eine o os um uma da do het een alors donc also daher luego entonces portanto quindi dunque"
    " genau exactement exactamente circa ungefähr environ aproximadamente примерно около ровно равен"
    " равно dus pois demnach somit".split()
)
_LEAVE_IT = _NEUTRAL - {"root"}  # the root of a value is another one
_VERBS = frozenset(
    "consists consist includes meet meets intersect intersects lies occurs reaches has have had gets"
    " get got makes made takes took costs cost needs need pays paid earns earned spends spent sold sells"
    " ate eats left buys bought saves saved can will should charge charges covers walks runs drives"
    " weighs measures equals contains holds received receives collected there".split()
)
# What changes the value in front of which it stands.
_ALTERED = re.compile(
    rf"\b(?:multiples? of|divisible by|exceed(?:s|ing)?|twice|double|triple|thrice|half(?: of)?"
    rf"|third of|quarter of|out of|out of a total of"
    rf"|power of|square of|cube of|root of|minimum|maximum|anything(?: but)?|except|step|page|row|case"
    rf"|problem|different from|other than|far from"
    rf"|product of|one of|(?:lower|upper) bound:?|obtained after|instead of|mindestens|höchstens|über"
    rf"|unter|au moins|au plus|al menos"
    rf"|como máximo|pelo menos|no máximo|almeno|al massimo|minstens|hoogstens|co najmniej)\s+{_V}"
    rf"|(?:[比除非]|(?:至少|至多|最多|最少)有?|少なくとも|多くとも|せいぜい|マイナス"
    rf"|الأقل|الأكثر|أكثر من|ليس)\s*{_V}"
    rf"|\bdoppelt so \w+ wie {_V}|{_V}\s*的(?:约数|倍数|因数)"
    rf"|{_V}\s*(?:(?:squared|cubed|to the (?:\w+th|third|power)|factorial|hundreds|tens|plus|lakh|crore"
    rf"|mil|millionen"
    rf"|at (?:the very )?(?:least"
    rf"|most)|minimum|maximum)\b"
    rf"|的?(?:以[上下内外]|[一两二三四五]?倍|平方(?![米厘千公分])|立方(?![米厘分])|一半|左右|[大小多少]$)"
    rf"|[千百](?![米克瓦分])|\S*(?:未満|以上|以下|ではない|じゃない|でない)"
    rf"|(?:이상|이하|미만|초과))",
    re.IGNORECASE,
)
_AND_IF = re.compile(rf"\b(?:and|but|while)\b[^{_V[1:-1]}]*{_V}\s*(?:when|if|for|at)\b", re.IGNORECASE)


_LETTER = re.compile(r"(?<!\\)\b[a-zA-Z]\b")
_RELATES = re.compile(r"[=<>≤≥]|\\(?:le|ge|lt|gt|leq|geq|ne|neq)\b")


def _values_in(words: str, values: list[str]) -> str:
    return "".join(values[ord(sign) - _FIRST] for sign in _VALUE.findall(words))


def _negative(sign: str, values: list[str]) -> str:
    """A value behind the word "minus"."""
    values[ord(sign) - _FIRST] = f"-({values[ord(sign) - _FIRST]})"
    return sign


_CJK_NEUTRAL = re.compile(f"(?!.*(?:比|除|非|不|至|超|负|[大小多少高低]于))[{_CJK}]+")


def _is_neutral(words: str) -> bool:
    """Whether the words before the first value leave it as it is, or tell of it in a sentence."""
    first = _VALUE.search(words)
    ahead = words[: first.start()] if first else ""
    before = [word.strip(".,:;()-–—").lower() for word in ahead.split()]
    return all(
        not word or word in _NEUTRAL or _CJK_NEUTRAL.fullmatch(word) for word in before
    ) or not _VERBS.isdisjoint(before)


_INEQUALITY = re.compile(r"[<>≤≥]|\\(?:le|ge|lt|gt|leq|geq)\b")
_CLAIMED = (
    (r" \text{ or } ", frozenset(("or", "oder", "ou", "或", "或者"))),
    (r" \text{ and } ", frozenset(("and", "und", "et", "和", "且"))),
)
_OF_TWO = re.compile(r"\b(?:sum|product|difference|quotient|ratio|total|average|mean)\b", re.IGNORECASE)


def _named_in(value: str) -> str:
    """The x of x = 5."""
    return value.partition("=")[0].strip() if "=" in value else ""


def _are_joined(between: list[str]) -> bool:
    """Whether nothing but commas, "and" and "or" stands between values."""
    return all(_VALUE.fullmatch(token) or token.lower() in _JOINTS for token in between)


def _is_compound(tokens: list[str], places: list[int]) -> bool:
    """2 hours and 30 minutes: each value has a known unit of its own."""
    units = [unit_of(tokens[place + 1].strip(".,")) if place + 1 < len(tokens) else None for place in places]
    return None not in units and len(set(units)) == len(units)


def _joined(words: str, values: list[str], span: str) -> Statement:
    """One value with its unit, or several that the words join."""
    tokens = words.split()
    places = [place for place, token in enumerate(tokens) if _VALUE.fullmatch(token)]
    if not places:
        return Statement(span, DENIED)
    said = [values[ord(tokens[place]) - _FIRST].strip(" ,;") for place in places]
    if len(said) > 1:
        between = tokens[places[0] : places[-1]]
        if _OF_TWO.search(" ".join(tokens[: places[0]])) or not _are_joined(between):
            is_one = _is_compound(tokens, places) and "or" not in between
            return Statement(span, "" if is_one else SEVERAL)
        joint = next((joint for joint, signs in _CLAIMED if not signs.isdisjoint(between)), ", ")
        are_claims = any(map(_INEQUALITY.search, said)) or len({*map(_named_in, said)}) > 1
        return Statement((joint if are_claims else ", ").join(said))
    if tokens[places[0] + 1 : places[0] + 2] in (["and"], ["or"]) or _ALSO_SPELLED.search(
        " ".join(tokens[places[0] + 1 :])
    ):
        return Statement(span, SEVERAL)  # "and permutations"
    unit: list[str] = []
    for token in tokens[places[0] + 1 :]:
        if token in CHINESE_UNITS or token[0] in "万亿":
            unit.append(token)
        if token == "in" and token is tokens[-1]:
            unit.append(token)  # inches
        if token.lower() in _NO_UNIT or not token[0].isalpha() or _CJK_WORD.match(token) or len(unit) == 4:
            break
        unit.append(token.strip(".,"))
    if len(unit) == 1 and len(unit[0]) == 1:
        return Statement(rf"{said[0]} \text{{ {unit[0]}}}")  # no variable
    return Statement(" ".join([said[0], *unit]))
