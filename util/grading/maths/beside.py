r"""What stands right beside a box, and what does it make of the answer?

Call `sign_before`, `is_part`, `unit_behind`, `other_before` and `other_behind` with the text in front of a
box or behind it.

A minus sign or a unit beside a box belongs to the answer as if it stood within: -\boxed{6}, \boxed{5} m. A
box in the middle of a larger formula is no answer (10^{\boxed{6}}), and a value that "or", "and" or a comma
puts beside it is another one (5 or \boxed{3}).
"""

from __future__ import annotations

import re

from util.grading.maths.numbers import plain_number
from util.grading.maths.quantities import quantity
from util.grading.maths.spans import has_words
from util.grading.maths.spelling import TEXT_COMMANDS, clean
from util.grading.maths.units import unit_of

# ---------------------------------------------------------------- a formula that the box is part of

_SIGN = re.compile(  # at the head of a formula, behind a relation, or glued to the box: = -\boxed, is -\boxed
    r"(?:(?:^|=|≈|\\(?:approx|equiv|to|in|[a-zA-Z]*[rR]ightarrow|implies|q?quad)\b|(?<!\\)\$|\\[(\[,;:]|&)[^\S\n]*"
    r"|[\n(]|(?<![\\a-zA-Z])[a-zA-Z]{2,}:?[^\S\n])(?:(-|−|\\pm)[^\S\n]*|(-|−)\$)\Z"
)
_CURRENCY = re.compile(r"(?:\\\$|[€£₹¥])[\s$]*\Z")
_BULLET = re.compile(r"(?:^|\n)[^\S\n]*-[^\S\n]+\Z|[^\W\d_]{2}[^\S\n]+-[^\S\n]+\Z")  # a dash, no minus sign


def sign_before(before: str) -> str:
    """The sign, or the currency, with which the text in front of a box ends; "" where it has none."""
    head = before[-_NEAR:].rstrip(" ")
    while head.endswith(_THIN_SPACES):
        head = head[:-2].rstrip(" ")
    if head.rstrip("$ ").lower().endswith(("minus", "negative")):
        return "-"
    if head[-1:] not in _SIGNS or head[-1:] == "$" and head[-2:-1] not in _BEFORE_DOLLAR:
        return ""
    if head[-1:] == "m" and not head.endswith(r"\pm"):
        return ""
    if found := _CURRENCY.search(head):
        return r"\$" if found[0][0] == "\\" else found[0][0]
    if _BULLET.search(before[-_NEAR:]) or not (match := _SIGN.search(head)):
        return ""
    return r"\pm " if match[1] == r"\pm" else "-"


_THIN_SPACES = ("\\,", "\\;", "\\!", "\\:")
_SIGNS, _BEFORE_DOLLAR = frozenset("-−m$€£₹¥"), frozenset("\\-−€£₹¥")
_NEAR = 40  # characters in front of a box by which it is known to be a part of a formula

_NO_FACTOR = r"approx|equiv|to|in|[a-zA-Z]*[rR]ightarrow|implies|q?quad|therefore|iff|sim\w*|cong|pm"
_IN_A_FORMULA = re.compile(  # how a text ends that opens a formula of which the box is a part
    "|".join(
        (
            r"(?:[\d})]|(?<![a-zA-Z\\])[a-z])[^\S\n]*[-+/^][^\S\n]*\Z",  # 2 +
            r"\d[.,]?\Z",  # 2
            r"[\s$][<>][^\S\n]*\Z",
            rf"\\(?!(?:{_NO_FACTOR})\b)[a-zA-Z]+[^\S\n]*[-+/^][^\S\n]*\Z",  # \pi -
            r"(?<=[\w)}\]])[_^]\s*\{?[-+\s]*\Z",  # 10^{
            r"\\(?:sqrt(?:\[[^\]]*\])?|cdot|times|div|leq?|geq?|neq?|sin|cos|tan|log|ln|exp)\s*[{(]?\s*\Z",
            r"\\(?:overline|bar|hat|vec|tilde)\s*[{(]?\s*\Z",
            r"\\(?:[dt]?frac|[dt]?binom)\s*\{(?:[^{}]*\}\s*\{)?[^{}]*\Z",
            r"\\\w+_\s*\{[^{}]*\Z",
        )
    )
)
_FRACTION = r"\\(?:[dt]?frac|[dt]?binom)(?![a-z])"
_BEHIND_ALL = (  # that closes a formula or a sentence
    r"\^(?!\{?\s*(?:\\circ|\\prime|'))",  # a power, no degrees
    r"[!?]|[+x×·÷±]|\\(?:cdot|times|sqrt|div|pm)\b",
    r"\\?%[\s$]*of\s+\$?\d",
    r"(?:less|more|fewer|greater|larger|smaller) than\b|squared\b|cubed\b|factorial\b",
    r"or (?:(?:perhaps|maybe|even|possibly) )?(?:more|less|fewer|greater|above|below|higher|lower)\b",
)
_BEHIND_BLANKS = (
    r"[/÷]\s*(?:\d|\(|\\(?:sqrt|pi|[dt]?frac)\b|[a-zA-Z](?![a-zA-Z]))",
    r"-\s*(?:\d|\\(?:sqrt|pi|[dt]?frac)\b|[b-hj-z](?![a-z]))",
    rf"_\s*[{{\d]|{_FRACTION}",
    r"[<>](?:\s+[\w\\-]|\d)|[≤≥]|\\(?:leq?|geq?|lt|gt)\b",
    r"\s:\s?\d|\|\s*[-+/^*]",
)
_BEHIND_FORMULA = (  # in the same line
    r"(?:st|nd|rd|th)\b|[:–]\d|,?[^\S\n]*\\[lc]?dots\b",  # 3rd, 3:1, 3–5, 3, ...
    r"[^\S\n](?:to|through|plus|minus|times|divided by)[^\S\n]\$?\d",
)
_GOES_INTO = re.compile(  # how a text begins that goes on with the formula of which the box is a part
    r"[.,]\d"
    rf"|[\s$.)*}}]*(?:{'|'.join(_BEHIND_ALL)})"
    rf"|(?:\s|\\[,;!])*(?:{'|'.join(_BEHIND_BLANKS)})"
    rf"|[$)}}]*(?:{'|'.join(_BEHIND_FORMULA)})"
    r"|(?:\\,)?(?-i:[a-z])(?![a-zA-Z])|(?:\s|\\[,;! ])+[a-z](?:\$|\\[)\]])"  # a variable
    r"|[\s$]*and\s+(?:an?|one|two|three|\d+)[\s-]+(?:half|halves|thirds?|quarters?|fourths?|fifths?|\w+ths?)\b",
    re.IGNORECASE,
)


def is_part(before: str, behind: str) -> bool:
    """Whether a box is a part of a larger formula, such as a power, a product or a fraction."""
    last = before.rstrip(" ")[-1:]
    may_be_inside = last not in _BORDERS and (not last.isalpha() or "\\" in before[-_NEAR:])
    if may_be_inside and _IN_A_FORMULA.search(before, max(0, len(before) - _NEAR)):
        return True
    return _GOES_INTO.match(behind) is not None


_BORDERS = frozenset("=$:&\n[")


# ---------------------------------------------------------------- the unit behind a box

_DRESS = re.compile(
    rf"\\(?:{TEXT_COMMANDS}|mathrm|rm|operatorname)\s*(?=\{{)|[$~{{}}]|\\[,;:! ]|\\[)\]]|\\q?quad\b"
)
_DRESSES = re.compile(r"[\\~{$]")
_CLOSED = re.compile(r"\A\s*(?:\$\$?|\\[)\]])")
_MAY_BE_UNIT = re.compile(r"[^\S\n]*[A-Za-zµΩÅ°$€£~\\^{]")
_DEGREES = re.compile(r"[^\S\n]*(?:\^\s*\\circ|°|degrees?\b)\s*(?:([CF])\b|(Celsius|Fahrenheit)\b)?")
SCALE = re.compile(
    r"\s*\$?\s*(\\pi\b|\\?%|(?:hundred|thousand|million|billion|trillion|percent|dozen)\b)", re.IGNORECASE
)
_MORE = (  # of a unit: "/s^2", "per hour", "mol^-1"
    r"(?:\s?(?:/|\\cdot\b|·|\bper\b)\s?\(?[A-Za-zµΩÅ]+|\s(?!(?:in|us|pm|as|is|at|a|A|I)\b)[A-Za-zµΩÅ]{1,3}(?![A-Za-z]))"
    r"\)?(?:\s?\^\s?-?\d|[²³])?"
)
_UNIT = re.compile(  # as long as it may be: "m/s^2", "square feet", "kJ mol^-1", "miles per hour"
    rf"[^\S\n]*((?:(?:square|sq|cubic|cu)\b\.?\s)?[A-Za-zµΩÅ$€£]+(?:\s?\^\s?-?\d|[²³])?(?:{_MORE}){{0,3}})"
)
_LAST_FACTOR = re.compile(rf"{_MORE}\Z")
_MAY_BE_A_WORD = frozenset("in us pm second quarter a A I".split())
_ENDS = re.compile(r"\s*(?:[.,;:!?)\]\n&]|\\|$)")
_REST = re.compile(  # hours and 30 minutes
    r"\s*(?:,|,?\s*and\b)?\s*(\d+(?:\.\d+)?)\s*([A-Za-z]{1,7})(?![A-Za-z^])"
)
_BEHIND = 80  # characters behind a box in which its unit ends


def scale_behind(behind: str) -> str:
    """The percent sign, the π or the word such as "million" that stands behind a box, as it is written."""
    if behind[:1] == "." or not (scale := SCALE.match(behind)):
        return ""
    return scale[1] if scale[1][0] in "\\%" else f" {scale[1]}"


def unit_behind(behind: str) -> str:
    """The unit that stands behind a box, to be put behind what it holds; "" for none that is known."""
    behind = _CLOSED.sub("", behind[:_BEHIND], count=1)
    if not _MAY_BE_UNIT.match(behind):
        return ""
    plain = _DRESS.sub(" ", behind) if _DRESSES.search(behind) else behind
    if degrees := _DEGREES.match(plain):
        return r"^\circ" + (f" {(degrees[1] or degrees[2])[0]}" if degrees.lastindex else "")
    match = _UNIT.match(plain)
    if match is None:
        return ""
    unit, is_dressed = match[1], behind.lstrip()[:1] == "\\"
    while unit and unit_of(unit) is None:
        shorter = _LAST_FACTOR.search(unit)
        unit = unit[: shorter.start()] if shorter else ""
    end = match.start(1) + len(unit)
    if not unit or unit in "CF" or not is_dressed and unit in _MAY_BE_A_WORD and not _ENDS.match(plain, end):
        return ""  # C and F may be degrees
    if (rest := _REST.match(plain, end)) and unit_of(rest[2]):
        return f" {unit} and {rest[1]} {rest[2]}"
    return rf"\text{{ {unit}}}" if len(unit) == 1 else f" {unit}"


def with_unit(value: str, unit: str) -> str:
    """A value with the unit that stands behind it, where it is a number that has none."""
    if unit[:1] == "^":
        return value + unit if plain_number(value) else value
    found = quantity(clean(value + unit))
    return value if found is None or found.unit is None or quantity(clean(value)) else value + unit


# ---------------------------------------------------------------- another value beside a box

_NAME = r"[a-zA-Z](?:_(?:\w|\{[^{}=]{1,12}\})|')?"
_OR = (
    r"(?:\\(?:text|mathrm|textrm)\s*\{\s*)?\b(?:or|and)\b"
    r"(?:\s(?:also|else|even|rather|maybe|perhaps|possibly|it (?:could|may|might) be))?\s*\}?"
    r"|as well as\b|\\(?:lor|vee)\b|或|和"
)
_JOINTS = ("or", "nd", ",", ";", "vee", "as well", "或", "和")  # parts of them, to be looked up first
_GAP = r"(?:\s|\\q?quad\b|\\[,;:! ]|~|\*|&)*+"
_OPEN = rf"{_GAP}(\$+|\\[(\[])?{_GAP}(?:\(\s*)?(?:({_NAME})\s*&?=\s*)?"
_JOINT_BEFORE = re.compile(rf"({_OR}|[,;]){_OPEN}\Z")
_JOINT_BEHIND = re.compile(
    rf"{_GAP}(?:\$+|\\[)\]]|\}})?[.,;]?{_GAP}"
    rf"(\(?\s*(?:{_OR})|(?<=\.\s)(?:And|Or|Also|Alternatively)\b(?:\salso)?,?|[,;]|\\\\|/(?=\s*(?:\$|\\\()))"
    rf"{_GAP}(?:(?:{_OR}){_GAP})?{_OPEN}"
)
_PIECE = (  # a number or a formula without words and relations
    r"(?:\\(?!(?:text|mathrm|textrm|q?quad|end|begin)\b)[a-zA-Z]+|\.\d|[^\s\\$,;.:&=\n]|[^\S\n](?=[-+*/\d\\]))+"
)
_VALUE, _VALUE_BEFORE = re.compile(_PIECE), re.compile(rf"(?:({_NAME})\s*&?=\s*)?({_PIECE})\s*\Z")
_TO_DOLLAR = re.compile(r"(?:[^\\$\n]|\\[a-zA-Z,;:! {}])+")  # the rest of a formula
_OPENS = re.compile(r"(?:\$|\\[(\[{]|[(\[{,:])\s*\Z")
_VARIABLE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]")
_STANDS_ALONE = re.compile(
    r"(?:\s|[$)}\]*]|\\[)\],;:! }]|\\right\b)*(?:[,;:!?(]|\.(?!\w)|\\\\|\\end\b|\Z"
    r"|(?:are|both|too|works?|as well|also|is (?:also|another)|and|or)\b)"
)
_REFUSED = re.compile(
    r"[^.;\n]{0,60}?\b(?:extraneous|reject\w*|discard\w*|invalid|not|impossible|fails?|too|excluded|negative)\b|n['’]t\b"
)
_IS_OR = re.compile(r"\b[oO]r\b|或|\\(?:lor|vee)|as well")
_JOINT_LENGTH = 30  # characters in front of a box in which "or" stands, perhaps with the name of the value
_REACH = 160  # characters behind a box in which another value stands beside it


def other_before(before: str, name: str, content: str) -> str:
    """The value that "or", "and" or a comma joins to a box from the front; "" where there is none.

    `name` is what the box is said to be the value of, `content` what it holds.
    """
    near = before[-_JOINT_LENGTH:]
    if not any(part in near for part in _JOINTS) or not (joint := _JOINT_BEFORE.search(near)):
        return ""
    left = before[: len(before) - len(near) + joint.start()].rstrip(" ,;\n")
    in_one_formula = not joint[2] and left[-1:] != "$"
    match = _VALUE_BEFORE.search(left.removesuffix("$").removesuffix(r"\)"))
    if match is None:
        return ""
    ahead, value, other_name = left[: match.start()].rstrip(" &"), match[2].strip(), match[1] or ""
    if " " in value and has_words(value):
        value = value.rpartition(" ")[2]  # behind the words of the sentence
    if ahead[-1:] == "=" or other_name and _EXPRESSION_ENDS.search(ahead):
        return ""  # the value of an expression: 2x = 14, or x = 7
    if not _is_value(value, content) or _closes_more(value):
        return ""
    is_same = _letter(other_name) == _letter(joint[3] or name)
    is_listed = in_one_formula and (_OPENS.search(ahead) or value[0] in "([{")
    is_joined = is_same and (other_name or joint[1] not in ",;") or _IS_OR.search(joint[1])
    return _unbracketed(value) if is_joined or is_listed and (is_same or not name) else ""


_EQUALS = re.compile(r"(?:[\s$*}]|\\[()\[\]])*+=([^\n$]*?)(?:\\[)\]]|[$\n]|\.\s|\Z)")


def equal_behind(behind: str, content: str) -> str:
    """The value that a box is said to equal from behind, or that alone stands below it; "" for none."""
    near = behind[:_REACH]
    if (match := _EQUALS.match(near)) is not None:
        value = match[1].rpartition("=")[2].strip(" .,;*")
        return value if _is_value(value, content) else ""
    below = near.strip(" \n.$*\\()[]") if "\n" in near else ""
    return below if below and plain_number(below) else ""


def other_behind(behind: str, name: str, content: str) -> str:
    """The value that "or", "and" or a comma joins to a box from behind; "" where there is none."""
    joint = _JOINT_BEHIND.match(behind[:_REACH])
    if joint is None:
        return ""
    match = (_TO_DOLLAR if joint[2] else _VALUE).match(behind, joint.end(), _REACH)
    if match is None or not _is_value(value := match[0].strip(), content):
        return ""
    other_name = joint[3] or ""
    if other_name and _letter(other_name) != _letter(name) and not _IS_OR.search(joint[1]):
        return ""
    if joint[1] == r"\\" and not other_name:
        return ""
    rest = behind[match.end() : _REACH]
    if _REFUSED.match(rest) or not _STANDS_ALONE.match(rest):
        return ""
    return _unbracketed(value)


_EXPRESSION_ENDS = re.compile(r"[\d+\-*/^})]\Z")


def _letter(name: str) -> str:
    """A name, of an unknown without its index: x_1 and x_2 are two values of x, a_1 and a_2 two numbers."""
    return name[0] if name[:1] in ("x", "y", "z") else name


def _closes_more(value: str) -> bool:
    """Whether a value closes a bracket that it does not open: it begins in the middle of an expression."""
    return any(value.count(end) > value.count(start) for start, end in ("{}", "()"))


_MAY_BE_VALUE = re.compile(r"(?=.*[\d\\a-zA-Z])(?!.*(?:[<>≤≥]|\\(?:le|ge|lt|gt|ne)))", re.DOTALL)


def _is_value(text: str, content: str) -> bool:
    """Whether a text is a value such as a box may hold: no words, and no variables where that has none."""
    if not _MAY_BE_VALUE.match(text) or has_words(text):
        return False
    return _VARIABLE.search(text) is None or _VARIABLE.search(content.rpartition("=")[2]) is not None


def _unbracketed(value: str) -> str:
    """A value without the bracket of a list that it begins or ends."""
    for opening, closing in ("()", "[]", "{}"):
        if value.count(opening) != value.count(closing):
            value = value.strip(f" {opening}{closing}").removesuffix("\\").removeprefix("\\{")
    return value


_CASES = re.compile(r"\\begin\s*\{(cases|[pbvBV]?matrix|array)\}(?:\{[^{}]*\})?")
_ENVIRONMENT = 400  # characters in front of a box and behind it in which a system of cases begins and ends


def stands_among_cases(text: str, start: int, end: int, name: str, content: str) -> bool:
    """Whether a box is one row of several cases of one name, or an element of a matrix."""
    at = text.rfind(r"\begin", max(0, start - _ENVIRONMENT), start)
    if at < 0 or not (opening := _CASES.match(text, at)) or text.find(r"\end", at, start) >= 0:
        return False
    closing = text.find(r"\end", end, end + _ENVIRONMENT)
    if opening[1] == "array" and not re.search(r"\\(?:\{|lbrace)\s*\Z", text[max(0, at - 12) : at]):
        return False  # a sum, written out
    rows = text[opening.end() : start], text[end : closing if closing >= 0 else end + _ENVIRONMENT]
    others = rows[0].split(r"\\")[:-1] + rows[1].split(r"\\")[1:]
    if opening[1] not in ("cases", "array"):
        return True
    for row in others:
        other_name, _, value = row.partition("&")[0].rpartition("=")
        if _is_value(value := value.strip(" ,;&\n"), content) and other_name.strip(" &\n") in ("", name):
            return True
    return False
