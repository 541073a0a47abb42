"""Are two answers in words the same?

Call `text_of` to see whether an answer is words, and `same_text` to compare two such answers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from util.grading.maths.spelling import ROMAN_COMMANDS, TEXT_COMMANDS

_WRAPPED = re.compile(rf"\\(?:{TEXT_COMMANDS}|{ROMAN_COMMANDS})\s*\{{([^{{}}]*)\}}")
_TEXT = re.compile(r"[^\W\d_][^\\^_=<>+*|{}$:/%\[\]]*")
_LONG_WORD = re.compile(r"[^\W\d_]{2,}")
_MATHS_WORDS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan asin acos atan sinh cosh tanh ln log lg exp sqrt pi"
    " infinity infty oo inf min max gcd lcm and or union theta alpha beta gamma delta lambda mu omega sigma"
    " phi cup pm mod frac cdot".split()
)
_ARTICLES = frozenset(("the", "a", "an", "is", "are", "of"))
_KINDS_OF_NUMBERS = frozenset(
    "all every any each odd even positive negative natural whole real prime composite rational irrational"
    " complex nonnegative non-negative integer integers number numbers reals primes n x k".split()
)
_ORDINALS = dict(
    zip(
        "first second third fourth fifth sixth seventh eighth ninth tenth".split(),
        "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th".split(),
        strict=True,
    )
)
_NO_SUCH = re.compile(r"(?:there )?no such \w{1,12}(?: exists?)?")
_EACH = frozenset(("all", "every", "any", "each"))
_FULL_NAMES = {"reals": "real numbers", "primes": "prime numbers"}
_MONTHS = frozenset(
    "january february march april may june july august september october november december".split()
)
_WINS = re.compile(
    r"\s+(?:(?:will |can )?(?:always )?wins?|has (?:a |the )?winning strategy)(?: (?:the )?game)?$"
)
_ANSWERED = re.compile(r"(yes|no)\b\s*(?:[,.;:—–-]|$)", re.IGNORECASE)
_NOTHING = frozenset(
    "none|no solution|no solutions|no real solution|no real solutions|empty set|the empty set|no such|dne"
    "|does not exist|no real roots|no integer solutions|there is no solution"
    "|there are no solutions|no answer exists|impossible|no solutions exist|no solution exists|无解|无实数解"
    "|方程无解|不存在".split("|")
)
_ENDLESS = frozenset(("infinitely many", "infinite", "infinitely many solutions", "infinity"))
_LETTER = re.compile(r"(?:(?i:option|choice|answer)\s*)?\(?\s*([A-Za-z])\s*\)?[.:]?")
_LETTER_AND_MORE = re.compile(r"(?:\(\s*([A-Z])\s*\)|([A-Z])\s*[.):])\s*(?![,;+/*]|or\b|and\b)(\S.*)")
_YES_NO = {
    "是": "yes",
    "否": "no",
    "对": "yes",
    "错": "no",
    "oui": "yes",
    "non": "no",
    "ja": "yes",
    "nein": "no",
}
_PROVED = re.compile(r"proven\b")
_NEGATIONS = frozenset("not no never neither nor none or cannot".split())


def unwrapped(cleaned: str) -> str:
    r"""An answer without \text{} and its like."""
    if "\\" not in cleaned:
        return cleaned
    return " ".join(_WRAPPED.sub(r" \1 ", cleaned).replace(r"\ ", " ").split())


def text_of(cleaned: str) -> str | None:
    """The words of an answer that is words and nothing else; None for anything with maths in it."""
    text = unwrapped(cleaned).strip("\"'`* .")
    if not _TEXT.fullmatch(text):
        return None
    words = _LONG_WORD.findall(text)
    if not words or all(word in _MATHS_WORDS for word in words):
        return None
    if "(" in text and not re.fullmatch(r"[^()]*(?:\s\([^()]*\)[^()]*)*", text):  # f(x) is no word
        return None
    if max(len(word) for word in words) < 3 and " " in text:
        return None
    return text


def normal_text(text: str) -> str:
    """Case, articles and punctuation taken away; elements of an enumeration in one form."""
    text = _PROVED.sub("proved", text.casefold())
    text = _YES_NO.get(text.strip(), text).replace("’", "'")
    parts = re.split(r"\s*[,;]\s*(?:and\s+)?|\s+and\s+", text)
    plain = []
    for part in parts:
        words = [_ORDINALS.get(word, word) for word in re.findall(r"[\w'-]+", part)]
        plain.append(_in_order([word for word in words if word not in _ARTICLES] or words))
    text = ", ".join(part for part in plain if part)
    text = _WINS.sub("", text)
    if text in _NOTHING or text.replace("there ", "") in _NOTHING or _NO_SUCH.fullmatch(text):
        return "no solution"
    return "infinitely many" if text in _ENDLESS else text


def _in_order(words: list[str]) -> str:
    """Words of one part; the order of adjectives of numbers and of day and month does not count."""
    if words and _KINDS_OF_NUMBERS.issuperset(words) and (len(words) > 1 or words[0] in _FULL_NAMES):
        named = " ".join(_FULL_NAMES.get(word, word) for word in words).split()
        plain = {word.removesuffix("s") for word in named if len(word) > 1} - _EACH
        words = sorted(plain if plain & {"number", "integer"} else plain | {"number"})
    elif len(words) == 2 and _MONTHS & {*words}:
        words = sorted(words, reverse=True)
    return " ".join(words)


def may_be_same(gold: str, prediction: str) -> bool:
    """Whether one of two answers says all that the other says, and more: an even function is even."""
    if text_of(gold) is None or text_of(prediction) is None:
        return False
    plain, other = normal_text(gold), normal_text(prediction)
    if "," in plain + other:
        return False  # one more element
    left, right = {*plain.split()}, {*other.split()}
    return bool(left and right) and (left < right or right < left) and (left ^ right).isdisjoint(_ALTERING)


_ALTERING = _NEGATIONS | frozenset("and or if unless but than non either both yes one two only".split())


def same_text(gold: str, prediction: str) -> bool:
    """Whether two answers in words agree, up to case, articles, order of an enumeration, or a bare name."""
    left, right = normal_text(gold), normal_text(prediction)
    if left == right and _in_other_letters(gold, prediction):
        return False
    if left == right:
        return True
    parts, others = left.split(", "), right.split(", ")
    if sorted(parts) == sorted(others) and len({*parts}) == len(parts):  # "true, false, true" is a sequence
        return True
    if left.replace(" ", "").replace("-", "") == right.replace(" ", "").replace("-", ""):
        return True
    wanted, said = _ANSWERED.match(gold.strip()), _ANSWERED.match(prediction.strip())
    if wanted and said and {"yes", "no"} & {left, right}:
        return wanted.group(1).lower() == said.group(1).lower()
    return _names_the_subject(gold, prediction) or _names_the_subject(prediction, gold)


_DRESSED = re.compile(r"\\(?:ce|text(?:bf|it|rm)?|mathrm|rm)\b|[^A-Za-z]")


def _in_other_letters(gold: str, prediction: str) -> bool:
    """Whether two letters are two symbols here and one there: carbon monoxide and cobalt. "No" is a word."""
    left, right = (_DRESSED.sub("", text) for text in (gold, prediction))
    return (
        len(left) == 2 and {left, right} == {left.upper(), left.title()} and left.upper() not in ("NO", "PM")
    )


_OPPOSITES = (
    ("left", "right"), ("up", "down"), ("upward", "downward"), ("upwards", "downwards"), ("east", "west"),
    ("north", "south"), ("clockwise", "counterclockwise"), ("released", "absorbed"), ("inward", "outward"),
    ("gain", "loss"), ("odd", "even"),
)  # fmt: skip
_MAY_OPPOSE = re.compile(
    r"\b(?:" + "|".join(word for pair in _OPPOSITES for word in pair) + r")\b", re.IGNORECASE
)


_FROM_TO = re.compile(r"\b(north|south|east|west)\s+of\s+(?:due\s+)?(north|south|east|west)\b", re.IGNORECASE)


_COMPOUND_DRESS = re.compile(r"\\(?:ce|text|mathrm|rm|left|right)\b|[{}_$\s]")
_ELEMENTS = r"\(*[A-Z][a-z]?\d*(?:\(*[A-Z][a-z]?\d*|[()]\d*)*"
_COMPOUND = re.compile(
    rf"({_ELEMENTS}(?:·\d*{_ELEMENTS})?)(?:\^?(?:(\d?)([+-])|([+-])(\d)|(\+{{2,4}}|-{{2,4}})))?"
)
_IN_COMPOUNDS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉−[]⋅•", "+-01234567890123456789-()··")
_RAISED = re.compile("(?=[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹])(?<![⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹])")


def same_compound(gold: str, prediction: str) -> bool:
    r"""Whether both write the same chemical formula: H_2SO_4, \ce{H2SO4}, \text{Fe}^{3+}, Fe3+."""
    left, right = _compound(gold), _compound(prediction)
    if left is None or right is None:
        return False
    flat = f"{left.elements}{left.charge}"
    if len(flat) < 3 and not left.charge and not (_LOWERED.search(gold) or _LOWERED.search(prediction)):
        return False
    if left.is_raised == right.is_raised or not left.charge or not right.charge:
        return left[:2] == right[:2]
    # Fe3+ may be three atoms with one charge or one atom with three; A^-2 is a power.
    is_power = any(side.is_raised and side.is_signed_first for side in (left, right))
    return flat == f"{right.elements}{right.charge}" and not is_power


class _Compound(NamedTuple):
    elements: str
    charge: str  # as 2-
    is_raised: bool
    is_signed_first: bool  # -2


def is_compound(written: str) -> bool:
    """Whether a text is nothing but a chemical formula, of more than a letter and a number."""
    found = _compound(written)
    return found is not None and (found.charge != "" or len(found.elements) > 2)


def _compound(written: str) -> _Compound | None:
    if len(written) > 100 or not _MAY_BE_COMPOUND.match(written):
        return None
    text = _RAISED.sub("^", written).replace(r"\cdot", "·").translate(_IN_COMPOUNDS)
    match = _COMPOUND.fullmatch(text := _COMPOUND_DRESS.sub("", text))
    if match is None or len(text) < 2:
        return None
    digit, sign, sign_first, digit_behind, signs = (part or "" for part in match.groups()[1:])
    number = digit or digit_behind or (str(len(signs)) if signs else "")
    charge = f"{number if number != '1' else ''}{sign or sign_first or signs[:1]}"
    return _Compound(match[1], charge, "^" in text, bool(sign_first))


_LOWERED = re.compile(r"_|\\ce\b|[₀-₉]")
_MAY_BE_COMPOUND = re.compile(r"[\s$({\[]*(?:\\(?:ce|text|mathrm|rm|left)\b|[A-Z])")


_ORDER = re.compile(r"[<>≤≥]|\\(?:le|ge|lt|gt|leq|geq)\b")
_JOINT = re.compile(r"\b(?:and|or)\b")


_LONE_LETTERS = re.compile(r"\W*[a-zA-Z](?:\W+(?:and|or)\W+[a-zA-Z])+\W*")
_GIVEN = re.compile(r"(\w+)\s*=")


def _joins_claims(written: str) -> bool:
    text = unwrapped(written)
    return bool(_ORDER.search(text) or _LONE_LETTERS.fullmatch(text) or len({*_GIVEN.findall(text)}) > 1)


def are_opposed(gold: str, prediction: str) -> bool:
    """Whether one answer says "left" and the other "right" of what may be the same value.

    Of inequalities, of names and of values of several names, "and" is opposed to "or".
    """
    courses = [_FROM_TO.search(text) for text in (gold, prediction)]
    if all(courses):
        one, other = (tuple(map(str.lower, course.groups())) for course in courses if course)
        return one != other
    both = f"{gold} {prediction}"
    if "and" in both and "or" in both and _joins_claims(gold) and _joins_claims(prediction):
        joints = [{*_JOINT.findall(text)} for text in (gold, prediction)]
        if sorted(map(sorted, joints)) == [["and"], ["or"]]:
            return True
    if not (_MAY_OPPOSE.search(gold) and _MAY_OPPOSE.search(prediction)):
        return False
    left, right = ({*map(str.lower, _MAY_OPPOSE.findall(text))} for text in (gold, prediction))
    return any(
        one in left and other in right and other not in left and one not in right
        for pair in _OPPOSITES
        for one, other in (pair, pair[::-1])
    )


def _names_the_subject(sentence: str, name: str) -> bool:
    """Petya, for "Petya will receive the last token.": the sentence opens with the only name in it."""
    words, name = re.findall(r"[\w'-]+", sentence), name.strip()
    if not re.fullmatch(r"[A-Z][a-z]+", name) or len(words) < 2 or words[0] != name:
        return False
    return not any(
        word[0].isdecimal() or word[0].isupper() or word.lower() in _NEGATIONS for word in words[1:]
    )


def option_letter(cleaned: str) -> str | None:
    r"""The letter of an answer that is one option: B, (B), \text{B}, \textbf{(B)}, option b."""
    text = unwrapped(cleaned).strip()
    match = _LETTER.fullmatch(text)
    return match.group(1) if match else None


def option_with_text(cleaned: str) -> tuple[str, str] | None:
    r"""Letter and text of an answer such as \textbf{(B)}\ 35 or B. Paris."""
    match = _LETTER_AND_MORE.fullmatch(unwrapped(cleaned).strip())
    if match is None or re.search(r"\([A-Z]\)|\b[B-H][.):]\s", match.group(3)):
        return None
    return match.group(1) or match.group(2), match.group(3)
