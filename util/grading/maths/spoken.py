"""What do words, a date, a time of day, numbered parts or a vector in i, j, k say in plain notation?

Call `in_notation` with a cleaned answer, `same_moment` with two; `in_components` and `currency` with an
answer as it is written.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from util.grading.maths.numbers import number_word
from util.grading.maths.words import unwrapped

# ---------------------------------------------------------------- numbers in words

_ORDINALS = (
    "half third quarter fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
    " fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_PARTS = {name: value for value, name in enumerate(_ORDINALS, 2)} | {
    "fourth": 4, "thirtieth": 30, "fortieth": 40, "fiftieth": 50, "hundredth": 100,
    "thousandth": 1000, "halve": 2
}  # fmt: skip
_FRACTION = re.compile(r"(.+?)[ -](?:(?:of )?an? )?(\w+?)s?")
_AND = re.compile(r"(.+?)[ -]and[ -](?:an? )?(.+)")
_OVER = re.compile(r"(-?[\w.-]+) (?:over|out of|in every) ([\w.-]+)")
_DOZEN = re.compile(r"(?:(.+) )?dozens?")
_PERCENT = re.compile(r"(.+?) (?:percent|per cent)")


@lru_cache(maxsize=512)
def _number_said(text: str) -> str | None:
    """The numeral for "three fifths", "two and a half", "7 over 24", "half a dozen", "five percent"."""
    text = text.lower().strip(" .")
    if len(text) > 60 or not re.search(r"[a-z]{3}", text):
        return None
    if (whole := number_word(text)) is not None:
        return str(whole)
    if text in ("half", "a half", "one half", "one-half"):
        return "1/2"
    if text in ("half a dozen", "a half dozen", "half dozen"):
        return "6"
    if (match := _DOZEN.fullmatch(text)) and (count := _whole(match[1] or "a")) is not None:
        return str(12 * count)
    if (match := _PERCENT.fullmatch(text)) and (said := _whole(match[1]) or _number_said(match[1])):
        return f"{said}\\%"
    if match := _OVER.fullmatch(text):
        above, below = _whole(match[1]), _whole(match[2])
        return f"{above}/{below}" if above is not None and below else None
    if (match := _AND.fullmatch(text)) and (whole := _whole(match[1])) is not None:
        rest = match[2] if match[2] not in _PARTS else f"one {match[2]}"
        part = _number_said(rest) or ""
        top, _, bottom = part.partition("/")
        return (
            f"{whole * int(bottom) + int(top)}/{bottom}" if bottom.isdecimal() and top.isdecimal() else None
        )
    if (match := _FRACTION.fullmatch(text)) and (bottom_of := _PARTS.get(match[2])):
        count = _whole(match[1])
        return f"{count}/{bottom_of}" if count is not None else None
    return None


def _whole(word: str) -> int | None:
    word = word.strip()
    if re.fullmatch(r"-?\d{1,9}", word):
        return int(word)
    return 1 if word in ("a", "an") else number_word(word)


# ---------------------------------------------------------------- parts, arrows, names of values

_LABEL = re.compile(r"(?:^|[\s,;]+)(?:\(\s*([1-9]|[a-h]|i{1,3}|iv|v)\s*\)|([a-h]|i{1,3}|iv)\))\s*(?=\S)")
_ORDERS = ("123456789", "abcdefgh", ("i", "ii", "iii", "iv", "v"))
_ARROW = re.compile(r"\\(?:Rightarrow|implies|Longrightarrow|therefore)\b|=>")
_CLAIM = re.compile(r"(?:[a-zA-Z](?![a-zA-Z])|\\(?:neg|lnot|land|lor|wedge|vee|forall|exists)\b|[\s()'])*")


def has_arrow(cleaned: str) -> bool:
    """Whether an answer draws a conclusion, or states an implication."""
    return _ARROW.search(cleaned) is not None


_NAMED = re.compile(  # P(A \cap B) = 2/7: no name that a reader keeps
    r"(?:\\(?:operatorname|mathrm|text)\s*\{\s*)?(?:P|Pr|Prob|E|Var|\\Pr|\\mathbb\s*\{?\s*[PE]\s*\}?)(?:\s*\})?\s*[(\[{][^=]{1,80}[)\]}]\s*=\s*([^=]+)"
)
_ANGLE = re.compile(r"(?:m\s*)?\\angle\s*(?P<name>[A-Z]{1,3})\s*=\s*([^=]+)")
_LETTER_X = re.compile(r"(?<=\d)\s*x\s*(?=10\s*\^)|(?<=\d)\s+x\s+(?=\d)|(?<=\^\d)\s*x\s*(?=\d)")
_HBAR = re.compile(r"(?<![\\a-zA-Z])hbar(?![a-zA-Z])")


_NUMERAL = r"-?\d+(?:\.\d+)?|[a-z]+(?:-[a-z]+)?"
_RATIO = re.compile(rf"({_NUMERAL}) to ({_NUMERAL})(?: to ({_NUMERAL}))?", re.IGNORECASE)
_BASE = re.compile(
    r"([0-9A-Z]+)\s*(?:_\s*\{?\s*(?:base\s*)?|\(?\s*(?:in\s+)?base[\s_-]*)\{?\s*(\d{1,2}|[a-z]{3,8})\s*\}?\s*\)?"
)
_OF_BASE = re.compile(r"base|_\s*\{?\s*\\text|_\s*\{?[a-z]{3}")
_CHOSEN = re.compile(  # {}_{10}C_3, ^{10}C_3; behind a value the sign before C is an exponent or an index
    r"(?:\{\s*\}|(?<![\w})\]]))\s*[_^]\s*(?:\{\s*([^{}]{1,20})\s*\}|(\w))\s*([CP])\s*_\s*(?:\{\s*([^{}]{1,20})\s*\}|(\w))"
)


def one_value(cleaned: str) -> str:
    """A ratio or a numeral of another base in plain notation, where words say it; "" for anything else."""
    if "to" in cleaned:
        if match := _RATIO.fullmatch(unwrapped(cleaned)):
            parts = [_said_plainly(part) for part in match.groups() if part]
            return ":".join(parts) if all(parts) else ""
    if (
        ("base" in cleaned or "_" in cleaned)
        and _OF_BASE.search(cleaned)
        and (match := _BASE.fullmatch(unwrapped(cleaned)))
    ):
        base = _said_plainly(match[2])
        return f"{match[1]}_{{{base}}}" if base and match[1][0].isalnum() else ""
    return ""


def _said_plainly(word: str) -> str:
    if word[-1].isdecimal():
        return word
    value = number_word(word.lower())
    return "" if value is None else str(value)


def _ways(match: re.Match[str]) -> str:
    """How many ways there are to choose or to arrange so many of so many."""
    above, below = match[1] or match[2], match[4] or match[5]
    if match[3] == "C":
        return rf"\binom{{{above}}}{{{below}}}"
    return rf"\frac{{({above})!}}{{({above}-({below}))!}}"


def in_notation(cleaned: str, *, concluded: bool = True) -> str:
    """A cleaned answer with what is said in words or labels as it is written in maths.

    `concluded`: what stands behind a last arrow is all that is said, unless it is letters alone.
    """
    text = one_value(cleaned) or cleaned
    if "C" in text or "P" in text:
        text = _CHOSEN.sub(_ways, text)
    if match := _ordinal(text):
        return match[1]
    if "%" in text:
        text = _PERCENT_OF.sub(r"(\1)\\%", text)
    if "x" in text:
        text = _LETTER_X.sub(r" \\times ", text)
    if "hbar" in text:
        text = _HBAR.sub(r"\\hbar ", text)
    if ")" in text and (parts := labelled(text)):
        text = ", ".join(parts)
    if "=" in text or "\\" in text:
        last = _ARROW.split(text)[-1].strip() if concluded else ""
        text = text if _CLAIM.fullmatch(last) else last
        if match := _NAMED.fullmatch(text) or _ANGLE.fullmatch(text):
            text = match[match.re.groups].strip()
    is_said = text[:1].isalnum() or text[:5] == r"\text"
    if is_said and re.search(r"[a-z]{3}", text) and "\\" not in (words := unwrapped(text)):
        return _number_said(words) or _counted(words) or text
    return text


_NO_THINGS = frozenset(
    "of in and or to more less fewer times out per over a an the by on at is are percent point"
    " hundred thousand million billion dozen half halves third thirds fourth quarter fifth"
    " plus minus squared cubed".split()
)


def _counted(words: str) -> str:
    """12 apples, for "twelve apples"; "" where no number of things opens the text."""
    parts = words.split(" ")
    if not parts[0].isalpha() and "-" not in parts[0] or len(parts) > 9:
        return ""
    for end in range(len(parts) - 1, 0, -1):
        if (number := _number_said(" ".join(parts[:end]))) is not None:
            things = parts[end:]
            return (
                "" if len(things) > 3 or not _NO_THINGS.isdisjoint(things) else f"{number} {' '.join(things)}"
            )
    return ""


_NTH = re.compile(r"(\d+)\s*(?:\\text\s*\{\s*)?(?:st|nd|rd|th)\s*\}?")
_PERCENT_OF = re.compile(r"(?<![\d.])(\d+\s*/\s*\d+)\s*\\?%")


def _ordinal(text: str) -> re.Match[str] | None:
    return _NTH.fullmatch(text) if text[-1:] in "thd}" and text[:1].isdecimal() else None


def is_ordinal(cleaned: str) -> bool:
    """Whether an answer is a place in an order, as 42nd."""
    return _ordinal(cleaned) is not None


_EVENT = re.compile(r"\\?(?:P|Pr|E|Var)\s*([(\[](?:[A-Z]|\\(?:cap|cup|mid|overline)\b|[\s'|^{}c])+[)\]])\s*=")


def events_differ(gold: str, prediction: str) -> bool:
    """Whether two answers give the probabilities of different events, as P(A) and P(B)."""
    left, right = _EVENT.match(gold), _EVENT.match(prediction)
    return left is not None and right is not None and _plain(left[1]) != _plain(right[1])


def _plain(event: str) -> str:
    return re.sub(r"[\s{}]", "", event.replace(r"\mid", "|"))


def angles_differ(gold: str, prediction: str) -> bool:
    """Whether two answers give the sizes of different angles."""
    left, right = _ANGLE.fullmatch(gold), _ANGLE.fullmatch(prediction)
    return left is not None and right is not None and right["name"] not in (left["name"], left["name"][::-1])


def labelled(text: str) -> list[str]:
    """The parts of "(a) 0.2, (b) 0.7"; none where the labels are no sequence from the first."""
    found = list(_LABEL.finditer(text))
    labels = [match[1] or match[2] for match in found]
    if (
        len(found) < 2
        or found[0].start()
        or not any(list(order[: len(labels)]) == labels for order in _ORDERS)
    ):
        return []
    ends = [match.start() for match in found[1:]] + [len(text)]
    parts = [text[match.end() : end].strip(" ,;.") for match, end in zip(found, ends, strict=True)]
    return parts if all(re.match(r"[^,;=<>+*/)]", part) for part in parts) else []


def listed(text: str) -> list[str]:
    """The elements of a bare list, split at commas and semicolons outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if sign in ",;" and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]


# ---------------------------------------------------------------- vectors and currencies, as written

_UNIT_VECTOR = re.compile(
    r"\\(?:mathbf|boldsymbol|bm|hat|vec|overrightarrow|widehat)\s*\{?\s*(?:\\(?:hat|mathbf)\s*\{?\s*)?\\?([ijk])(?:math)?(?![a-zA-Z])\s*\}{0,2}"
)
_TERM = re.compile(r"\s*([+-]?)\s*([^+\-\ue000-\ue002]*(?:\{[^{}]*\}[^+\-\ue000-\ue002]*)*)([\ue000-\ue002])")
_CURRENCIES = (
    (re.compile(r"\\?\$(?=\s*\d)|\d\s*[kKM]\s?\\?\$|\bUSD\b"), "usd"), (re.compile(r"€|\bEUR\b"), "eur"),
    (re.compile(r"£|\\pounds\b|\bGBP\b"), "gbp"),
    (re.compile(r"₹|\bRs\b|\bINR\b"), "inr"), (re.compile(r"[¥￥]"), "yen"),
    (re.compile(r"R\\?\$(?=\s*\d)"), "brl"),
    (re.compile(r"\bCHF\b"), "chf"), (re.compile(r"\bkr\b"), "kr"),
)  # fmt: skip


def in_components(written: str) -> str:
    r"""3\mathbf{i} - \mathbf{j} + 5\mathbf{k} as (3, -1, 5); any other answer as it is."""
    if "\\" not in written or not _UNIT_VECTOR.search(written):
        return written
    text = _UNIT_VECTOR.sub(lambda match: chr(0xE000 + "ijk".index(match[1])), written).strip(" $.")
    components, at = {}, 0
    while match := _TERM.match(text, at):
        sign, size, axis = match[1], match[2].replace(r"\,", "").strip(), match[3]
        components[axis] = f"{'-' if sign == '-' else ''}{size or '1'}"
        at = match.end()
    if text[at:].strip() or not components:
        return written
    axes = "\ue000\ue001\ue002" if "\ue002" in components else "\ue000\ue001"
    return f"({', '.join(components.get(axis, '0') for axis in axes)})"


_IN_FRONT = re.compile(
    r"^\s*(?:\\(?:text|mathrm)\s*\{)?\s*(?:R\\?\$|US\s*\}?\s*\\?\$|A\\?\$|Rs\.?|USD|EUR|GBP|CHF|INR|BRL|kr\.?)\s*\}?\s*(?=[\d.])"
)


_SCALED = re.compile(
    r"(?<=\d)\s*(?:\\(?:text|mathrm)\s*\{\s*)?([kKMB]|bn)(?![a-zA-Z])\s*\}?\s*(?=\\?\$?\s*$)"
)
_SCALES = {"k": 3, "K": 3, "M": 6, "B": 9, "bn": 9}


def without_currency(written: str) -> str:
    """An amount without a currency that is named in letters before it; 5.5k as 5.5 times a thousand."""
    if _PAID.search(written):
        written = _SCALED.sub(lambda match: rf" \cdot 10^{_SCALES[match[1]]} ", written)
    return _IN_FRONT.sub("", written)


_PAID = re.compile(r"[$€£₹¥￥]|\\pounds|\b(?:USD|EUR|GBP|INR|CHF|Rs|kr)\b")


def currency(written: str) -> str:
    """Which currency an amount is in; "" where none is named."""
    if not _PAID.search(written):
        return ""
    found = [name for pattern, name in _CURRENCIES if pattern.search(written)]
    return found[-1] if found else ""


# ---------------------------------------------------------------- dates and times of day

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "|".join([*_MONTHS, *(name[:3] + r"\.?" for name in _MONTHS)])
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<month>{_MONTH})\s+(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s*,?\s*(?P<year>\d{{4}}))?",
        rf"(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?\s+(?P<month>{_MONTH})(?:\s*,?\s*(?P<year>\d{{4}}))?",
        r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})",
    )
)
_CLOCK = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s*(a\.?\s?m\.?|p\.?\s?m\.?|o'clock|noon)?", re.IGNORECASE)


class _Moment(NamedTuple):
    """A date, or a time of day; None where it is not said."""

    year: int | None = None
    day: tuple[int, int] | None = None  # month, day
    minutes: int | None = None  # since midnight, or since noon where the half is not said
    half: str = ""  # "a" or "p"


def _moment(cleaned: str) -> _Moment | None:
    text = unwrapped(cleaned).strip(" .")
    if len(text) > 40 or not text or not (text[0].isalnum()):
        return None
    if text.lower() in ("noon", "midnight"):
        return _Moment(minutes=0, half="p" if text.lower() == "noon" else "a")
    for pattern in _DATES:
        if match := pattern.fullmatch(text):
            name = match["month"].lower().rstrip(".")
            month = int(name) if name.isdecimal() else 1 + [month[:3] for month in _MONTHS].index(name[:3])
            year = match["year"]
            return _Moment(int(year) if year else None, (month, int(match["day"])))
    match = _CLOCK.fullmatch(text)
    if match is None or not (match[2] or match[3]) or int(match[1]) > 24 or int(match[2] or 0) > 59:
        return None
    hour, half = int(match[1]), (match[3] or "")[:1].lower()
    half = half if half in ("a", "p") and hour < 13 else "p" if hour > 12 else "a" if not hour else ""
    return _Moment(minutes=hour % 12 * 60 + int(match[2] or 0), half=half)


def same_moment(gold: str, prediction: str) -> bool | None:
    """Whether two dates or two times of day are the same; None for anything else."""
    if not (gold[-1:].isalnum() or gold[-1:] in ".}") or not _SAYS_WHEN.search(
        unwrapped(f"{gold} {prediction}")
    ):
        return None
    left, right = _moment(gold), _moment(prediction)
    if left is None or right is None:
        return False if (left or right or _Moment()).day else None  # a date is no number
    if (left.day is None) != (right.day is None):
        return None
    if left.day is not None:
        return left.day == right.day and (None in (left.year, right.year) or left.year == right.year)
    return left.minutes == right.minutes and ("" in (left.half, right.half) or left.half == right.half)


_SAYS_WHEN = re.compile(
    rf"\b(?:{_MONTH}|noon|midnight|o'clock)\b|\d\s*[ap]\.?\s?m\b|\d{{4}}-\d\d-\d\d", re.IGNORECASE
)
