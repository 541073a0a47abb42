"""What does a question say, in whatever spelling: which words, which numbers, and which way round?

Call `read_question`. Near duplicates and leaks of benchmarks are told by what it returns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import NamedTuple

from util.response import units

BREAK = ""  # stands among the words where a sentence, an option or a member of a list ends


class Question(NamedTuple):
    """What is compared of a question. Capitals, signs and the spelling of formulas make no difference."""

    marked: list[str]  # its words and numbers in order, with a BREAK after each stretch
    numbers: list[str]  # the numbers of each formula in order; the formulas sorted
    turns: list[str]  # sorted: the words that, replaced by their opposites, ask something else
    asked: list[str]  # sorted: the words behind "find the", "how many" and the like

    @property
    def words(self) -> list[str]:
        return [word for word in self.marked if word]


def read_question(question: str) -> Question:
    """The words, numbers and opposites of a question."""
    marked: list[str] = []
    numbers: list[str] = []
    formula: list[str] = []  # the numbers since the last word
    turns: list[str] = []
    asked: list[str] = []
    depth, asks, sign = 0, False, ""
    put = marked.append
    for token in _TOKEN.findall(_plain(question)):
        kind = _KINDS.get(token)
        if kind is None:
            if token[0] >= "a":  # a word that means nothing special
                if token.isascii():
                    put(token)
                else:
                    marked += units(token)
                if asks:
                    asked.append(token)
                    asks = False
            else:
                put(token)
                formula.append(sign + token)
                sign = ""
                continue
        elif kind == _LETTER:
            put(token)
            continue
        elif kind == _SIGN:
            sign = token
            continue
        elif kind == _STOP:
            if token == "(":
                depth += 1
                continue
            if token == ")":
                depth -= depth > 0
                continue
            if token == ",":
                if depth:
                    continue
            else:
                asks = False
            if marked and marked[-1]:
                put(BREAK)
        elif kind == _ASKING:
            put(token)
            asks = True
        elif kind == _IN_BETWEEN:
            put(token)
        elif kind[0] == "#":  # a number in words
            put(kind[1:])
            numbers.append(kind[1:])
            asks = False
        else:
            put(token)
            turns.append(kind)
            if asks:
                asked.append(token)
                asks = False
        sign = ""
        if formula:
            numbers.append(" ".join(formula))
            formula = []
    if formula:
        numbers.append(" ".join(formula))
    if not question.isascii():
        turns += (turn for said, turn in _CHINESE_TURNS.items() if said in question)
    return Question(marked, sorted(numbers), sorted(turns), sorted(asked))


def meanings(words: Sequence[str]) -> list[str]:
    """What a rewording keeps: stems of words, words of one meaning as one, and pieces of formulas."""
    found = []
    earlier = before = ""
    for word in words:
        if len(word) > 1 and not word[0].isdigit():
            found.append(_TURNS.get(word) or _SAME.get(word[:STEM], word[:STEM]))
            if before.isdigit():
                found.append(f"{before} {word[:STEM]}")
        elif len(before) == 1 or before[:1].isdigit():
            found.append(f"{earlier[:STEM]} {before} {word}")
        earlier, before = before, word
    return found


def opposed(one: Collection[str], other: Collection[str]) -> bool:
    """Whether two questions differ by a word in place of its opposite: sum and product, more and fewer."""
    here, there = set(one), set(other)
    return bool({turn[:2] for turn in here - there} & {turn[:2] for turn in there - here})


def _plain(text: str) -> str:
    """The text in small letters, with one spelling of signs and commands."""
    text = text.lower()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).replace("\u2044", "/")
    if "\\" in text:
        text = _BRACED.sub(r" \1 ", text)
        text = _FRACTION.sub(r"\1\2/\3\4 ", text)
        text = _COMMAND.sub(_said, text).replace("{,}", ",")
    if "(" in text or "\n" in text:
        text = _LABEL.sub("\n", text)
    return _THOUSANDS.sub("", text) if "," in text else text


def _said(command: re.Match[str]) -> str:
    name = command[1]
    if not name:
        return " " if command[0] == "\\\\" else ""
    return _COMMANDS.get(name, f" {name} ")


_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|[-/\n.?!;:,()]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d\d\d(?!\d))")
_LABEL = re.compile(r"(?:^|(?<=\n))[ \t]*\(?[a-j][).:]\s|(?<!\w)\([a-j]\)(?=[\s}~])")  # of an option
_BRACED = re.compile(r"\{\s*(\w)\s*\}")  # a single letter or digit
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}|(\w))\s*(?:\{([^{}]*)\}|(\w))")
_COMMAND = re.compile(r"\\([a-z]+|.)(?<![^a-z])|\\.", re.DOTALL)
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2013\u2014\u2010\u2011", "-"),
        **dict.fromkeys("\u00d7\u00b7\u22c5", " "),
        **{"\u2264": " leq ", "\u2265": " geq ", "\u2260": " neq ", "\u00b0": " degree ", "\u03c0": " pi "},
        **{"\u221a": " sqrt ", "\u00f7": "/", "\u2220": " angle ", "\u25b3": " triangle "},
        **{"\u3002": ".", "\u3001": ","},
    }
)
_COMMANDS = {
    **dict.fromkeys(
        "left right big bigl bigr bigg biggl biggr displaystyle textstyle limits quad qquad cdot times "
        "text mathrm mathbf textbf textit mathit mbox operatorname overline frac dfrac tfrac cfrac dots "
        "ldots cdots hspace hline boldsymbol bold".split(),
        " ",
    ),
    **{"le": " leq ", "ge": " geq ", "ne": " neq ", "circ": " degree ", "div": "/", "to": " rightarrow "},
    **{"lvert": " ", "rvert": " ", "mid": " ", "bmod": " mod ", "pmod": " mod ", "prime": " "},
}
_NUMERALS = {
    **{word: str(at) for at, word in enumerate("two three four five six seven eight nine ten".split(), 2)},
    **{word: str(at) for at, word in enumerate("eleven twelve thirteen fourteen fifteen".split(), 11)},
    **{"zero": "0", "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19", "dozen": "12"},
    **{word: f"{at}0" for at, word in enumerate("twenty thirty forty fifty sixty seventy".split(), 2)},
    **{"eighty": "80", "ninety": "90", "hundred": "100", "thousand": "1000", "million": "1000000"},
    **dict.fromkeys(("twice", "double", "doubles", "doubled", "half", "squared"), "2"),
    **dict.fromkeys(("thrice", "tripled", "cubed", "third", "thirds"), "3"),
    **dict.fromkeys(("quarter", "quarters", "fourth", "fourths"), "4"),
}
# A word in place of one behind another slash of its line makes another problem.
_OPPOSITES = """
sum sums / product products / difference differences / quotient / ratio / average mean / median / mode
minimum minimal min smallest least lowest fewest / maximum maximal max largest greatest most
more / fewer less
even / odd
positive / negative / nonnegative / nonpositive
increase increases increased increasing / decrease decreases decreased decreasing
inside / outside
first / last
clockwise / counterclockwise anticlockwise
true correct / false incorrect
area / perimeter / volume / circumference
radius / diameter
sine sin / cosine cos / tangent tan
numerator / denominator
horizontal / vertical
seconds second / minutes minute / hours hour / days day / weeks week / months month / years year
meters meter metres metre / kilometers kilometer km / centimeters centimeter cm / miles mile
feet foot / inches inch / yards yard
grams gram / kilograms kilogram kg / pounds pound / ounces ounce
dollars dollar / cents cent
degrees degree / radians radian
not never except
"""
_TURNS = {
    word: f"{line:02}{meaning}"
    for line, words in enumerate(_OPPOSITES.strip().split("\n"))
    for meaning, said in enumerate(words.split("/"))
    for word in said.split()
}
_CHINESE_TURNS = {
    "之和": "A.0", "的和": "A.0", "之积": "A.1", "的积": "A.1", "乘积": "A.1", "之差": "A.2", "平均": "A.3",
    "最小": "B.0", "最少": "B.0", "至少": "B.0", "最大": "B.1", "最多": "B.1", "至多": "B.1", "多多少": "C.0",
    "少多少": "C.1", "偶数": "D.0", "奇数": "D.1", "面积": "E.0", "周长": "E.1", "体积": "E.2", "不": "F.0",
}  # fmt: skip
STEM = 5  # letters
_SAME = {
    said[:STEM]: words.split()[0][:STEM]
    for words in (
        "probability chance likely odds likelihood",
        "divisible divisor divides factor multiple divided",
        "height altitude high tall",
        "number count amount many",
        "cost price paid pays spend spent spends money worth",
        "length long lengths distance far",
        "integer whole",
        "random randomly independently",
        "different distinct",
        "choose chosen pick select drawn picked chooses",
        "earn makes profit income",
        "smallest least minimum",
        "together total altogether combined",
        "equal equals same equates",
        "ratio quotient",
        "solution root zeros solve satisfy",
        "order arrangement arrange orders",
        "remain left keep rest",
        "remainder modulo mod remainders",
        "log logarithm",
        "reversed swapped reverse swapping",
    )
    for said in words.split()
}
# What a token is, where it is not a plain word or number: one of these, a turn, or "#" and a numeral.
_LETTER, _SIGN, _STOP, _ASKING, _IN_BETWEEN = "letter", "sign", "stop", "asking", "in between"
_KINDS = {
    **dict.fromkeys("bcdefghijklmnopqrstuvwxyz", _LETTER),
    **dict.fromkeys("-/", _SIGN),
    **dict.fromkeys("\n.?!;:,()", _STOP),
    **_TURNS,
    **dict.fromkeys(
        "find compute determine calculate evaluate what which how solve".split(),
        _ASKING,
    ),
    **dict.fromkeys(  # "find the ...", "how many of ...", "what is the value of ..."
        "the a an is are was were be of for its his her their in that do does did all many much value values "
        "possible number exact following will would can could this these problem problems question questions "
        "answer".split(),
        _IN_BETWEEN,
    ),
    **{word: f"#{number}" for word, number in _NUMERALS.items()},
}
