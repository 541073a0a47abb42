"""What does an answer written in LaTeX, Unicode or plain keyboard maths say?

`clean` brings the many spellings of one thing together; `read` turns a cleaned answer into a tree of `Node`s,
or raises `Unreadable`. Both are bounded in length, depth and number of tokens, and evaluate nothing.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

MAX_CHARS = 4000
MAX_TOKENS = 1500
MAX_DEPTH = 60
MAX_SIGNS = 4  # plus-minus signs in one sum
MAX_DIGITS = 4000  # of one number


class Unreadable(ValueError):
    """The text is not an answer that this reader knows."""


class Opaque(Unreadable):
    """The text uses notation that this reader knows of and cannot read; another engine may."""


class Node(NamedTuple):
    """One node of an answer's tree; `kind` says how `parts` and `value` are meant.

    Parts are nodes, except the rows of a matrix (tuples of nodes) and the number of places of a decimal.
    """

    kind: str
    parts: tuple = ()
    value: object = None


class Reading(NamedTuple):
    """An answer as read."""

    tree: Node
    units: tuple[str, ...]  # words behind values, lower case
    free: tuple[str, ...]  # parameters said to run over the integers


# ---------------------------------------------------------------- cleaning

_UNICODE = {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "－": "-", "‐": "-", "‑": "-", "‒": "-", "―": "-", "＋": "+",
    "×": r"\times ", "✕": r"\times ",
    "⋅": r"\cdot ", "·": r"\cdot ", "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "＊": "*",
    "÷": r"\div ", "∕": "/",
    "⁄": "/", "／": "/", "＝": "=", "≠": r"\ne ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ",
    "⩾": r"\ge ", "≦": r"\le ",
    "≧": r"\ge ", "＜": "<", "＞": ">", "≈": r"\approx ", "≡": r"\equiv ", "±": r"\pm ",
    "∓": r"\mp ", "∞": r"\infty ",
    "π": r"\pi ", "𝜋": r"\pi ", "𝝅": r"\pi ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∉": r"\notin ",
    "∅": r"\emptyset ", "∖": r"\setminus ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}",
    "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "√": r"\sqrt ", "∛": r"\sqrt[3]",
    "∜": r"\sqrt[4]", "°": r"^\circ ",
    "º": r"^\circ ", "˚": r"^\circ ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"',
    "″": "''", "∠": r"\angle ",
    "（": "(", "）": ")", "［": "[", "］": "]", "｛": r"\{", "｝": r"\}", "，": ",", "、": ",",
    "；": ";", "：": ":",
    "。": ".", "．": ".", "％": "%", "﹪": "%", "￥": "", "¥": "", "€": "", "£": "", "₹": "",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "⟨": r"\langle ", "⟩": r"\rangle ", "…": r"\ldots ",
    "⋯": r"\ldots ", "∀": r"\forall ", "∃": r"\exists ", "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}",
    "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}", "⅖": r"\frac{2}{5}",
    "⅗": r"\frac{3}{5}", "⅘": r"\frac{4}{5}", "⅙": r"\frac{1}{6}", "⅚": r"\frac{5}{6}", "⅐": r"\frac{1}{7}",
    "⅛": r"\frac{1}{8}", "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}", "⅑": r"\frac{1}{9}",
    "⅒": r"\frac{1}{10}", "ℯ": "e", "ⅇ": "e", "ⅈ": "i", "𝑖": "i", "𝑒": "e", "𝑥": "x", "𝑦": "y", "ℓ": r"\ell ",
    "∣": "|", "｜": "|", "∥": "|", "→": r"\to ", "⇒": r"\Rightarrow ", "∧": r"\land ", "∨": r"\lor ",
    "\u2062": "", "\u2061": "", "\u200b": "", "\u200c": "", "\u200d": "", "\ufeff": "",
    "\u2060": "", "\u00ad": "",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2002": " ", "\u2003": " ", "\u2004": " ", "\u2005": " ",
    "\u2006": " ", "\u2007": " ", "\u2008": " ", "\u200a": " ", "\u3000": " ",
}  # fmt: skip
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi"
    " omicron pi rho sigma tau upsilon phi"
    " chi psi omega"
).split()
for _lower, _name in zip("αβγδεζηθικλμνξοπρστυφχψω", _GREEK, strict=True):
    _UNICODE.setdefault(_lower, f"\\{_name} ")
_OTHER_GREEK = {
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi",
    "Ψ": "Psi", "Ω": "Omega", "ϕ": "phi", "ϵ": "epsilon", "ϑ": "theta",
}  # fmt: skip
for _upper, _name in _OTHER_GREEK.items():
    _UNICODE[_upper] = f"\\{_name} "
for _first in (
    0xFF10,
    0x1D7CE,
    0x1D7D8,
    0x1D7E2,
    0x1D7EC,
    0x1D7F6,
    0x0660,
    0x06F0,
    0x0966,
):  # other decimal digits
    for _digit in range(10):
        _UNICODE[chr(_first + _digit)] = str(_digit)
for _offset in range(26):  # full-width letters
    _UNICODE[chr(0xFF21 + _offset)] = chr(65 + _offset)
    _UNICODE[chr(0xFF41 + _offset)] = chr(97 + _offset)
_TRANSLATE = str.maketrans(_UNICODE)
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣᵏᵐ", "0123456789+-()nixkm", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙᵢₓₖₘ", "0123456789+-()nixkm", strict=True))
_RAISED = re.compile("[" + "".join(_SUPERSCRIPTS) + "]+")
_LOWERED = re.compile("[" + "".join(_SUBSCRIPTS) + "]+")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]+")

_HTML = ((re.compile(r"<sup>(.{0,80}?)</sup>"), r"^{\1}"), (re.compile(r"<sub>(.{0,80}?)</sub>"), r"_{\1}"))
_ENTITIES = {
    "&lt;": "<",
    "&gt;": ">",
    "&le;": r"\le ",
    "&ge;": r"\ge ",
    "&nbsp;": " ",
    "&amp;": "&",
    "&pi;": r"\pi ",
}

# Spacing and size commands that say nothing; \\ (a row break) is kept.
_NOISE = re.compile(
    r"(\\\\)(?:\[[-\d.a-z]{1,8}\])?"
    r"|\\(?:[!,;:> ()\[\]]|(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|scriptstyle|"
    r"limits|nolimits|quad|qquad|"
    r"hspace\*?\{[^{}]{0,20}\}|phantom\{[^{}]{0,20}\}|thinspace|enspace|hfill|mathstrut|strut|middle|"
    r"tiny|small|normalsize|large|Large|LARGE|huge|Huge|boldsymbol|mathbf|mathit|mathsf|mathcal|mathfrak|mathscr|bm|bf|it|rm|"
    r"underline|mathop|mathrel|ensuremath|unicode|"
    r"tag\*?\{[^{}]{0,20}\})(?![a-zA-Z]))"
    r"|\\([dtc]frac)(?![a-zA-Z])"
    r"|\\\$|\$|~"
)
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z(){}\[\]])")
_BARE_RECURRING = re.compile(r"(?<!\d)\.(?=\\(?:overline|bar|dot)\b)")
_CONSTANT = re.compile(r"\bC(\d)\b")
_ROUGHLY = re.compile(
    r"^(?:\\approx|\\text\{\s*(?:about|approximately|roughly|only)\s*\}|about\b|approximately\b)\s*|\s*\(approx\w*\)$"
)
_GLUED = re.compile(r"\\q?quad(?=[a-zA-Z])")
_GROUPED_TIGHT = re.compile(r"(?<=\d)(?:\s*,\s*\\!\s*|\\!\s*,\s*|\{,\}(?:\\!)?|\{\\,\})(?=\d{3}(?!\d))")
_GROUPED_LOOSE = re.compile(r"(?<![\d.,])(\d{1,3}(?:(?:\\[,;: ]|~| |'|_)\d{3})+)(?![\d]|\.\d*,)")
_DECIMAL_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d)")
_MIXED_SPACED = re.compile(r"(?<![\d.,/^_}\\])(\d{1,9})(?:\\[ ,;:]|\s|~)+(\d{1,9})\s*/\s*(\d{1,9})(?![\d.])")
_WRAPPER = re.compile(r"\\f?boxed\s*\{|\\framebox\s*\{|\\fbox\s*\{")
_SPACES = re.compile(r"\s+")


def _noise(match: re.Match) -> str:
    if match.group(1):
        return "\\\\"
    if match.group(2):
        return r"\frac"
    return " " if match.group(0) not in (r"\$", r"\!") else ""


def clean(text: str) -> str:
    """`text` without the differences in spelling that carry no meaning."""
    text = text[:MAX_CHARS]
    if not text.isascii():
        text = _RAISED.sub(lambda m: "^{" + "".join(_SUPERSCRIPTS[c] for c in m.group()) + "}", text)
        text = _LOWERED.sub(lambda m: "_{" + "".join(_SUBSCRIPTS[c] for c in m.group()) + "}", text)
        text = re.sub("(\\d)((?:\u0305|\u0304))", r"\\overline{\1}", text)  # combining overline
        text = re.sub("(\\d)\u0307", r"\\dot{\1}", text)
        text = text.translate(_TRANSLATE)
    if not text.isprintable():
        text = _CONTROL.sub("", text)
    if "<s" in text:
        for pattern, replacement in _HTML:
            text = pattern.sub(replacement, text)
    if "&" in text:
        for entity, character in _ENTITIES.items():
            text = text.replace(entity, character)
    if "\\\\" in text and r"\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)  # LaTeX that went through JSON once too often
    if " " in text or "\\" in text or "{,}" in text or "'" in text or "_" in text:
        text = _GROUPED_TIGHT.sub("", text)
        text = _GROUPED_LOOSE.sub(lambda m: re.sub(r"\\?[^\d]", "", m.group(1)), text)
        text = _DECIMAL_COMMA.sub(".", text)
        text = _MIXED_SPACED.sub(r"\1\\frac{\2}{\3}", text)
    if "\\" in text or "$" in text or "~" in text:
        text = _NOISE.sub(_noise, text)
        text = _GLUED.sub(" ", text)
    text = _SPACES.sub(" ", text).strip()
    if "\\not" in text:
        text = text.replace(r"\not=", r"\ne ").replace(r"\not =", r"\ne ").replace(r"\not\in", r"\notin")
    if "." in text and "\\" in text:
        text = _BARE_RECURRING.sub("0.", text)
    if r"\angle" in text:
        text = text.replace(r"m\angle", r"\angle")
    elif "C" in text:
        text = _CONSTANT.sub(r"C_{\1}", text)
    text = _ROUGHLY.sub("", text)
    match = _WRAPPER.match(text)
    if match and text.endswith("}") and _closes_at_end(text, match.end()):
        text = text[match.end() : -1].strip()
    while text and text[-1] in ".,;:\\" and not text.endswith(("...", "\\\\")):
        text = text[:-1].rstrip()
    return text.lstrip("=:,; ") if text[:1] in "=:,; " else text


def _closes_at_end(text: str, start: int) -> bool:
    depth = 1
    for i in range(start, len(text) - 1):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return False
    return depth == 1


# ---------------------------------------------------------------- tokens

_TEXT = r"\\(?:text|mbox|textbf|textit|textrm|textnormal|textsf|texttt|hbox|emph)\s*\{[^{}]*\}"
_ROMAN = r"\\(?:mathrm|operatorname\*?|rm|mathnormal)\s*\{[^{}]*\}"
_GROUPED = r"(?<![\d,.])[1-9]\d{0,2}(?:,\d{3})+(?![\d]|,\d)(?:\.\d+)?"
_TOKEN = re.compile(
    rf"\s*({_TEXT}|{_ROMAN}|\\begin\s*\{{[a-zA-Z]+\*?\}}|\\end\s*\{{[a-zA-Z]+\*?\}}|\\mathbb\s*\{{?\s*[A-Z]\s*\}}?"
    rf"|\\[a-zA-Z]+|\\.|{_GROUPED}"
    r"|\d+(?:\.\d+)?\.\.\.|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+(?![\d.]))?"
    r"|[A-Za-z]+|\*\*|<=>|<=|>=|=<|!=|/=|<>|==|\.\.\.+|\S)"
)


@lru_cache(maxsize=1)
def _list_token() -> re.Pattern:
    """Tokens where 1,234 is two numbers; seldom needed, so compiled at the first use."""
    return re.compile(_TOKEN.pattern.replace(_GROUPED + "|", ""))


_AMBIGUOUS = re.compile(r"(?<![\d,.])[1-9]\d{0,2}(?:,[1-9]\d{2})+(?![\d.]|,\d)")
_JOINTS = re.compile(r"(?<=\w )(?:and|or)(?= \w)")

_RELATIONS = {
    "=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "=<": "<=",
    "!=": "!=", "/=": "!=", "<>": "!=",
    r"\le": "<=", r"\leq": "<=", r"\leqslant": "<=", r"\leqq": "<=", r"\ge": ">=",
    r"\geq": ">=", r"\geqslant": ">=",
    r"\geqq": ">=", r"\lt": "<", r"\gt": ">", r"\ne": "!=", r"\neq": "!=", r"\in": "in", r"\notin": "notin",
    r"\approx": "~", r"\simeq": "~", r"\sim": "~", r"\equiv": "==", r"\to": "->", r"\rightarrow": "->",
    r"\Rightarrow": "=>", r"\subset": "sub", r"\subseteq": "sub", r"\mapsto": "->",
    r"\propto": "prop", r"\colon": ":",
}  # fmt: skip
_PRODUCTS = {"*": "*", r"\cdot": "*", r"\times": "*", r"\ast": "*", "/": "/", r"\div": "/", r"\bullet": "*"}
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin"
    " acos atan sinh cosh tanh coth ln log lg exp"
    " min max gcd lcm arg det Re Im sgn sign sup inf cosec tg ctg arctg mod"
    " cbrt sqrt abs floor ceil deg dim ker"
    .split()
)  # fmt: skip
_SYNONYMS = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "tg": "tan", "ctg": "cot",
             "arctg": "arctan",
             "cosec": "csc", "sign": "sgn"}  # fmt: skip
_WORDS = {
    "infinity": r"\infty", "infty": r"\infty", "oo": r"\infty", "inf": r"\infty",
    "Infinity": r"\infty", "pi": r"\pi",
    "Pi": r"\pi", "PI": r"\pi", "and": r"\and", "or": r"\or", "AND": r"\and",
    "OR": r"\or", "union": r"\cup", "U": "U",
    "in": r"\in", "cup": r"\cup", "sqrt": r"\sqrt", "emptyset": r"\emptyset",
    "times": r"\times", "cdot": r"\cdot",
    "degrees": r"\degree", "degree": r"\degree", "deg": r"\degree", "percent": "%",
    "pm": r"\pm", "frac": r"\frac",
    "neq": r"\ne", "leq": r"\le", "geq": r"\ge", "cap": r"\cap", "binom": r"\binom",
}  # fmt: skip
_WORDS.update({name: f"\\{name}" for name in _GREEK if name != "pi"})
_WORDS.update(
    {
        name: f"\\{name}"
        for name in _FUNCTIONS
        if name not in ("inf", "sup", "arg", "dim", "ker", "deg", "mod")
    }
)
_WORDS["arcsine"] = r"\arcsin"
_SYMBOL_NAMES = {
    "varepsilon": "epsilon",
    "varphi": "phi",
    "vartheta": "theta",
    "varrho": "rho",
    "varsigma": "sigma",
}
UNITS = {
    "cm": "cm", "centimeters": "cm", "centimeter": "cm", "centimetres": "cm", "mm": "mm", "millimeters": "mm",
    "km": "km", "kilometers": "km", "kilometres": "km", "kilometer": "km", "m": "m",
    "meters": "m", "meter": "m",
    "metres": "m", "metre": "m", "inches": "in", "inch": "in", "feet": "ft",
    "foot": "ft", "ft": "ft", "miles": "mi",
    "mile": "mi", "yards": "yd", "yard": "yd", "dollars": "$", "dollar": "$", "usd": "$", "cents": "cent",
    "cent": "cent", "hours": "h", "hour": "h", "hrs": "h", "hr": "h", "minutes": "min",
    "minute": "min", "mins": "min",
    "min": "min", "seconds": "s", "second": "s", "sec": "s", "secs": "s", "days": "day", "day": "day",
    "weeks": "week", "week": "week", "months": "month", "month": "month", "years": "year", "year": "year",
    "kg": "kg", "kilograms": "kg", "kilogram": "kg", "g": "g", "grams": "g", "gram": "g",
    "mg": "mg", "lb": "lb",
    "lbs": "lb", "pounds": "lb", "pound": "lb", "oz": "oz", "ounces": "oz", "ml": "ml",
    "liters": "l", "liter": "l",
    "litres": "l", "litre": "l", "gallons": "gal", "gallon": "gal", "mph": "mph", "kph": "kph", "rad": "rad",
    "radians": "rad", "radian": "rad", "am": "am", "pm": "pm", "a.m": "am", "p.m": "pm",
    "units": "", "unit": "",
    "ev": "ev", "hz": "hz", "nm": "nm", "pa": "pa", "kj": "kj", "amu": "amu",
}  # fmt: skip
_BARE_UNITS = frozenset(unit for unit in UNITS if len(unit) > 1)
_SEPARATORS = frozenset((",", ";", r"\and", r"\or", "\\\\", r"\land", r"\lor", r"\wedge", r"\vee"))
_CLOSERS = frozenset(
    (")", "]", "}", r"\}", r"\rfloor", r"\rceil", r"\rangle", r"\rvert", r"\rVert", r"\rbrace", r"\rbrack")
)
_CLAUSES = re.compile(
    r"[,.]?\s*(?:\\text\s*\{\s*)?\(?\b(?:for\s+(?:all|any|every|each|some)|where|with"
    r"|such that|as required)\b.*$"
)
_FORALL = re.compile(r"\s*,?\s*\(?\\forall\b(?=.).*$")
_PARAMETER = re.compile(
    r"[,;(]?\s*(?:\\text\s*\{\s*(?:where|for|with)?[^{}]{0,20}\}\s*)?\(?\b([a-zA-Z])\s*\\in\s*(?:\\mathbb\s*|\\mathbf\s*)?\{?\s*[ZN]\s*\}?"
    r"(?:\s*(?:\^|_)\s*(?:\{[^{}]{0,8}\}|[+*]))?\s*\)?\s*$"
)


def _tokens(text: str, pattern: re.Pattern) -> list[str]:
    tokens: list[str] = []
    for token in pattern.findall(text):
        first = token[0]
        if first == "\\" and token[-1] == "}" and len(token) > 2:
            _add_braced(tokens, token)
        elif first.isalpha():
            _add_word(tokens, token)
        else:
            tokens.append(token)
    if len(tokens) > MAX_TOKENS:
        raise Unreadable("too many tokens")
    return tokens


def _add_braced(tokens: list[str], token: str) -> None:
    if token.startswith((r"\begin", r"\end")):
        tokens.append(token.replace(" ", ""))
    elif token.startswith(r"\mathbb"):
        tokens.append(r"\mathbb" + token.rstrip("} ")[-1])
    else:
        inside = token[token.index("{") + 1 : -1].strip()
        if re.fullmatch("[~ ]*[A-Zabcfghj-z]", inside) and tokens and tokens[-1][-1] in "0123456789)}":
            tokens.append(r"\text{" + inside.strip("~ ") + "}")  # 5 \mathrm{~m}
        elif re.fullmatch(r"[ap]\.\s?m\.?", inside, re.IGNORECASE):
            tokens.append(r"\text{" + inside.replace(" ", "").rstrip(".") + "}")
        elif not re.search(r"[A-Za-z]{2}", _JOINTS.sub(" ", inside)) or token.startswith(
            (r"\mathrm", r"\operatorname", r"\rm")
        ):
            tokens.extend(_tokens(inside, _TOKEN))
        else:
            _add_text(tokens, inside)


def _add_text(tokens: list[str], inside: str) -> None:
    if inside:
        word = inside.lower().strip(" ,;.")
        if word in ("and", "or", "and/or"):
            tokens.append("\\" + word[:3].rstrip("/"))
        elif word in ("degrees", "degree"):
            tokens.append(r"\degree")
        elif word in ("percent",):
            tokens.append("%")
        elif word == "to":
            tokens.append(":")
        elif word in ("union",):
            tokens.append(r"\cup")
        else:
            leading = re.match(r"\s*(and|or)\s+(.*)", inside)
            if leading:
                tokens.extend(("\\" + leading.group(1), r"\text{" + leading.group(2) + "}"))
            else:
                tokens.append(r"\text{" + inside + "}")


def _add_word(tokens: list[str], word: str) -> None:
    known = _WORDS.get(word)
    if known:
        tokens.append(known)
    elif len(word) == 1 or word.lower() in _BARE_UNITS or len(word) > 3:
        tokens.append(word)
    elif word[:2] in ("pi", "ln") and len(word) == 3:  # "pir"
        tokens.extend(("\\" + word[:2], word[2]))
    else:
        tokens.extend(word)


# ---------------------------------------------------------------- the reader


@lru_cache(maxsize=2048)
def read(cleaned: str, *, as_list: bool = False) -> Reading:
    """A cleaned answer as a tree; `as_list` reads 1,234 as two numbers. Raises Unreadable."""
    if len(cleaned) >= MAX_CHARS:
        raise Unreadable("too long")
    if cleaned[:1] == "]" and cleaned[-1:] == "[":  # ]a, b[ is an open interval
        cleaned = "(" + cleaned[1:-1] + ")"
    parameter = _PARAMETER.search(cleaned)
    free = ()
    if parameter and parameter.start() > 0:
        cleaned, free = cleaned[: parameter.start()].rstrip(" ,;("), (parameter.group(1),)
    if "for" in cleaned or "wh" in cleaned or "th" in cleaned:
        shorter = _CLAUSES.sub("", cleaned)
        cleaned = shorter if shorter.strip() else cleaned
    if r"\forall" in cleaned:
        shorter = _FORALL.sub("", cleaned)
        cleaned = shorter if shorter.strip() else cleaned.replace(r"\forall", " ")
    reader = _Reader(_tokens(cleaned, _list_token() if as_list else _TOKEN))
    tree = reader.whole()
    return Reading(tree, tuple(reader.units), free)


def is_ambiguous(cleaned: str) -> bool:
    """Whether commas may stand between thousands or between elements."""
    return _AMBIGUOUS.search(cleaned) is not None


def number(text: str) -> Fraction:
    """The value of a numeral."""
    if len(text) > MAX_DIGITS:
        raise Unreadable("too many digits")
    if text.isdigit():
        return Fraction(int(text))
    text = text.replace(",", "")
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent[:9])) > MAX_DIGITS:
        raise Unreadable("exponent too large")
    return Fraction(text if text[-1] != "." else text[:-1])


class _Reader:
    """Recursive descent over the tokens of one answer."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, ""]  # "" is the end
        self.at = 0
        self.depth = 0
        self.bars = 0  # open |
        self.builder = False  # inside { ... | ... }
        self.units: list[str] = []

    def peek(self) -> str:
        return self.tokens[self.at]

    def take(self) -> str:
        token = self.tokens[self.at]
        if token:
            self.at += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise Unreadable(f"expected {token}")

    def whole(self) -> Node:
        tree = self.statement()
        if self.tokens[self.at]:
            raise Unreadable(f"unexpected {self.tokens[self.at][:20]}")
        return tree

    # -- lists and relations

    def statement(self) -> Node:
        """Items separated by commas, semicolons, row breaks, "and", "or"."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        items, joint = [], ""
        while self.tokens[self.at] in _SEPARATORS:
            self.take()
        while self.tokens[self.at] and self.tokens[self.at] not in _CLOSERS:
            items.append(self.item())
            if self.tokens[self.at] not in _SEPARATORS:
                break
            while self.tokens[self.at] in _SEPARATORS:
                token = self.take()
                if token in (r"\and", r"\land", r"\wedge"):
                    joint = joint or "and"
                elif token in (r"\or", r"\lor", r"\vee"):
                    joint = "or"
        self.depth -= 1
        if not items:
            raise Unreadable("nothing here")
        return items[0] if len(items) == 1 else Node("list", tuple(items), joint)

    def item(self) -> Node:
        label = self.label()
        first = self.combination()
        parts, operators = [first], []
        while self.tokens[self.at] in _RELATIONS:
            operators.append(_RELATIONS[self.take()])
            parts.append(self.combination())
        if self.tokens[self.at] == r"\pmod" or (
            self.tokens[self.at] == "(" and self.tokens[self.at + 1 : self.at + 2] in (["mod"], [r"\mod"])
        ):
            parts[-1] = Node("modulo", (parts[-1], self.modulus()))
        tree = Node("rel", tuple(parts), tuple(operators)) if operators else first
        if self.tokens[self.at] in (r"\choose", r"\over"):
            kind = "binom" if self.take() == r"\choose" else "div"
            tree = Node(kind, (tree, self.item()))
        return Node("label", (tree,), label) if label else tree

    def modulus(self) -> Node:
        if self.take() == "(":
            self.take()
            value = self.sum()
            self.expect(")")
            return value
        return self.argument()

    def label(self) -> str:
        """A name in words before a value, as in "Minimum: 1" or "Paolo = 18"; its tokens are skipped."""
        at, words = self.at, []
        while at < len(self.tokens) and (
            self.tokens[at].startswith(r"\text{") or len(self.tokens[at]) > 1 and self.tokens[at].isalpha()
        ):
            words.append(self.tokens[at].removeprefix(r"\text{").rstrip("} "))
            at += 1
        if not words or at + 1 >= len(self.tokens):
            return ""
        ends_in_colon = words[-1].endswith((":", "=", " is"))
        if self.tokens[at] in (":", "=", r"\colon"):
            at += 1
        elif not ends_in_colon and not (
            len(words) == 1 and words[0].lower() in ("only", "approximately", "about", "either")
        ):
            return ""
        self.at = at
        return " ".join(words).strip(" :=").lower()

    def combination(self) -> Node:
        """Unions, intersections and differences of sets; ratios."""
        left, operations = self.ratio(), 0
        while True:
            token = self.tokens[self.at]
            if (
                token in (r"\cup", r"\cupdot", r"\bigcup", r"\uplus", r"\sqcup")
                or token == "U"
                and left.kind in ("pair", "set", "union")
            ):
                self.take()
                right = self.ratio()
                parts = left.parts if left.kind == "union" else (left,)
                left = Node("union", (*parts, right))
            elif token in (r"\cap", r"\setminus", r"\backslash", "\\-"):
                self.take()
                left = Node("inter" if token == r"\cap" else "minus", (left, self.ratio()))
                operations += 1
                if operations > MAX_DEPTH:
                    raise Unreadable("too many differences of sets")
            else:
                return left

    def ratio(self) -> Node:
        first = self.sum()
        if self.tokens[self.at] != ":" or self.builder:
            return first
        parts = [first]
        numerals = [self.tokens[self.at - 1]]
        while self.tokens[self.at] == ":" and not self.builder:
            self.take()
            numerals.append(self.tokens[self.at])
            parts.append(self.sum())
        return Node("ratio", tuple(parts), tuple(numerals))

    # -- arithmetic

    def sum(self) -> Node:
        terms, signs = [self.term()], 0
        while True:
            token = self.tokens[self.at]
            if token == "+":
                self.take()
                terms.append(self.term())
            elif token == "-":
                self.take()
                terms.append(Node("neg", (self.term(),)))
            elif token in (r"\pm", r"\mp"):
                self.take()
                signs += 1
                if signs > MAX_SIGNS:
                    raise Unreadable("too many plus-minus signs")
                left = terms[0] if len(terms) == 1 else Node("add", tuple(terms))
                terms = [Node("pm", (left, self.term()), token)]
            else:
                break
        self.unit()
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def term(self) -> Node:
        factors = [self.signed()]
        operations = 0  # that nest the tree
        while True:
            token = self.tokens[self.at]
            if token in _PRODUCTS and _PRODUCTS[token] == "*":
                self.take()
                factors.append(self.signed())
            elif token in _PRODUCTS or token in (r"\bmod", r"\mod"):
                self.take()
                kind, value = ("div", None) if token in _PRODUCTS else ("func", "mod")
                factors = [Node(kind, (_product(factors), self.signed()), value)]
                operations += 1
                if operations > MAX_DEPTH:
                    raise Unreadable("too many divisions")
            elif self.starts_factor(token, factors[-1]):
                factors.append(self.power())
            else:
                return _product(factors)

    def starts_factor(self, token: str, left: Node) -> bool:
        """Whether `token` goes on with a product without a sign."""
        if not token or token in _CLOSERS or token in _SEPARATORS or token in _RELATIONS:
            return False
        first = token[0]
        if first.isdigit() or first == ".":
            return left.kind not in ("num", "decimal", "neg") and token[:3] != "..."
        if first.isalpha():
            return (
                len(token) == 1
                and token != "U"
                or (len(token) == 1 and left.kind not in ("pair", "set", "union"))
            )
        if first == "\\":
            name = token[1:]
            if token in (r"\{", r"\lbrace"):
                return False
            return name.isalpha() and name not in _NOT_FACTORS and not token.startswith((r"\text", r"\end"))
        if first == "|":
            return self.bars == 0 and not self.builder
        return first in "([{" and left.kind not in ("pair", "set", "tuple")

    def signed(self) -> Node:
        sign = 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        while self.tokens[self.at] in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        if self.tokens[self.at] in (r"\pm", r"\mp"):
            token = self.take()
            tree = Node("pm", (Node("num", (), Fraction(0)), self.term()), token)
        else:
            tree = self.power()
        self.depth -= 1
        return Node("neg", (tree,)) if sign < 0 else tree

    def power(self) -> Node:
        base = self.postfix(self.primary())
        if self.tokens[self.at] in ("^", "**"):
            self.take()
            exponent = self.exponent()
            if exponent.kind == "circ":
                return self.postfix(Node("deg", (base,)))
            if exponent.kind == "prime":
                base = Node(base.kind, base.parts, f"{base.value}'") if base.kind == "sym" else base
                return self.power_of(self.postfix(base))
            if exponent == _TRANSPOSE and base.kind in ("matrix", "tuple", "pair"):
                return Node("transpose", (base,))
            return self.postfix(Node("pow", (base, exponent)))
        return base

    def power_of(self, base: Node) -> Node:
        if self.tokens[self.at] in ("^", "**"):
            self.take()
            return Node("pow", (base, self.exponent()))
        return base

    def exponent(self) -> Node:
        """What stands behind ^ : a group, or one factor with its sign."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        token = self.tokens[self.at]
        if token == r"\circ" or self.tokens[self.at : self.at + 3] == ["{", r"\circ", "}"]:
            self.at += 1 if token == r"\circ" else 3
            tree = Node("circ")
        elif token in (r"\prime", "'") or self.tokens[self.at : self.at + 3] == ["{", r"\prime", "}"]:
            self.at += 3 if token == "{" else 1
            tree = Node("prime")
        elif token in ("+", "-"):
            sign = self.take()
            tree = self.exponent()
            tree = Node("neg", (tree,)) if sign == "-" else tree
        else:
            tree = self.primary()
            if self.tokens[self.at] == "!":
                tree = self.postfix(tree)
            if self.tokens[self.at] in ("^", "**") and self.tokens[self.at + 1 : self.at + 2] != [r"\circ"]:
                self.take()
                tree = Node("pow", (tree, self.exponent()))
        self.depth -= 1
        return tree

    def postfix(self, tree: Node) -> Node:
        while True:
            token = self.tokens[self.at]
            if token == "!":
                self.take()
                if self.tokens[self.at] == "!":
                    raise Opaque("double factorial")
                tree = Node("fact", (tree,))
            elif token in ("%", r"\%"):
                self.take()
                tree = Node("pct", (tree,))
            elif token == r"\degree" or token == r"\deg" and tree.kind in ("num", "decimal"):
                self.take()
                tree = Node("deg", (tree,))
            elif token == "'" and tree.kind in ("sym", "app"):
                self.take()
                tree = Node(tree.kind, tree.parts, f"{tree.value}'")
            elif token == "_" and tree.kind in ("num", "decimal"):
                self.take()
                tree = self.based(tree)
            elif token == "_" and tree.kind in ("paren", "set", "pair", "tuple", "group"):
                self.take()
                self.primary()
            else:
                return tree

    def based(self, numeral: Node) -> Node:
        """A numeral in another base, as 52_8 or 1011_{2}."""
        digits = self.digits
        base = self.argument()
        if base.kind == "text":
            return numeral
        if base.kind != "num" or not 2 <= base.value <= 36 or numeral.kind != "num":
            raise Unreadable("unknown base")
        if base.value == 10:
            return numeral
        # In which base a number is written is part of the answer: 52_8 is not 42.
        return Node("sym", (), f"{digits.lstrip('0') or '0'} in base {base.value}")

    digits = ""  # of the numeral read last, as written

    # -- leaves and brackets

    def primary(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        token = self.take()
        if not token:
            raise Unreadable("ends too early")
        first = token[0]
        if first.isdigit() or first == "." and token[1:2].isdigit():
            tree = self.numeral(token)
        elif first == "\\" and token[1:2].isalpha():
            tree = self.command(token)
        elif first.isalpha():
            tree = self.name(token)
        elif token in ("(", "["):
            tree = self.brackets(token)
        elif token == "{":
            tree = self.group()
        elif token == r"\{":
            tree = self.braces(r"\}")
        elif first == "|" or token == r"\|":
            self.bars += 1
            inside = self.sum()
            self.bars -= 1
            self.expect(token)
            tree = Node("func", (inside,), "abs")
        elif token[:3] == "...":
            tree = Node("sym", (), "...")
        else:
            raise Unreadable(f"unexpected {token[:20]}")
        self.depth -= 1
        return tree

    def numeral(self, token: str) -> Node:
        self.digits = token
        if token.endswith("..."):
            return _unending(token[:-3])
        if self.peek() in (r"\overline", r"\bar", r"\dot", r"\overbar") and "." in token:
            return self.recurring(token)
        if self.peek() in (r"\ldots", r"\dots", r"\cdots", "...") and "." in token and len(token) > 4:
            self.take()
            return _unending(token)
        if (
            self.peek() == "("
            and "." in token
            and self.tokens[self.at + 2 : self.at + 3] == [")"]
            and self.tokens[self.at + 1].isdigit()
            and self.tokens[self.at + 3 : self.at + 4] != ["^"]
        ):
            self.take()
            repeated = self.take()
            self.take()
            return _repeat(token, repeated)
        value = number(token)
        if "." in token or "e" in token.lower():
            places = len(token.lower().partition("e")[0].partition(".")[2])
            return Node("decimal", (places,), value)
        if self.peek() == r"\frac" and value:
            return self.mixed(value)
        return Node("num", (), value)

    def mixed(self, whole: Fraction) -> Node:
        at = self.at
        self.take()
        top, bottom = self.argument(), self.argument()
        if top.kind == bottom.kind == "num" and 0 < top.value < bottom.value:
            return Node("num", (), whole + top.value / bottom.value)
        self.at = at
        return Node("num", (), whole)

    def recurring(self, token: str) -> Node:
        """0.8\\overline{4}, 0.\\dot{1}\\dot{2}, 0.1\\dot{2}3\\dot{4}."""
        written, start = token.rstrip("."), None
        digits = token.partition(".")[2]
        while (
            self.peek() in (r"\overline", r"\bar", r"\dot", r"\overbar")
            or start is not None
            and self.peek().isdigit()
        ):
            if self.peek().isdigit():
                digits += self.take()
                continue
            dotted = self.take() == r"\dot"
            group = self.argument_digits()
            if start is None:
                start = len(digits)
            digits += group
            if not dotted:
                break
        return _repeat(written.partition(".")[0] + "." + digits[:start], digits[start:])

    def argument_digits(self) -> str:
        token = self.take()
        if token == "{":
            token = self.take()
            self.expect("}")
        if not token.isdigit():
            raise Unreadable("not a recurring decimal")
        return token

    def name(self, token: str) -> Node:
        if len(token) > 3 and token.lower() not in _BARE_UNITS:
            return Node("text", (), token)
        tree = (
            Node("const", (), token) if token in ("e", "i") and self.peek() != "_" else Node("sym", (), token)
        )
        if tree.kind == "sym":
            tree = self.subscript(tree)
            if self.tokens[self.at : self.at + 6] == ["^", "{", "-", "1", "}", "("] and token in "fghFGH":
                self.at += 5
                return self.application(tree._replace(value=f"{token}^-1"))
            if self.peek() == "(" and (token in "fghFGHPQTpq" or self.is_head()):
                return self.application(tree)
        return tree

    def is_head(self) -> bool:
        """Whether an answer opens with x(t) = ...: then x is a function."""
        return self.at == 1 and self.tokens[3:5] == [")", "="] and self.tokens[2].isalpha()

    def subscript(self, symbol: Node) -> Node:
        while self.peek() == "_" or self.peek() == "'":
            if self.take() == "'":
                symbol = Node("sym", (), f"{symbol.value}'")
                continue
            start = self.at
            if self.peek() == "{":
                self.skip_group()
            else:
                self.take()
            written = "".join(token for token in self.tokens[start : self.at] if token not in "{}")
            symbol = Node("sym", (), f"{symbol.value}_{written}")
        return symbol

    def skip_group(self) -> None:
        depth = 0
        while True:
            token = self.take()
            if not token:
                raise Unreadable("ends too early")
            depth += (token == "{") - (token == "}")
            if depth == 0:
                return

    def application(self, symbol: Node) -> Node:
        """f(x); p(x-1) is a product where p is no usual name of a function."""
        at = self.at
        self.take()
        inside = self.statement()
        self.expect(")")
        if symbol.value[0] in "PQTpq" and inside.kind not in ("sym", "num", "list"):
            self.at = at
            return symbol
        return Node("app", inside.parts if inside.kind == "list" else (inside,), symbol.value)

    def argument(self) -> Node:
        """What a command applies to: a group, or the next single digit or token."""
        token = self.peek()
        if token[:1].isdigit() and len(token) > 1 and token.isdigit():
            self.tokens[self.at] = token[0]
            self.tokens.insert(self.at + 1, token[1:])
        return self.primary()

    def group(self) -> Node:
        if self.peek() == "}":
            self.take()
            return Node("num", (), Fraction(1))  # {} holds nothing, as in {}^\circ
        builder, self.builder = self.builder, False
        inside = self.statement()
        self.builder = builder
        self.expect("}")
        return Node("set", inside.parts) if inside.kind == "list" else inside

    def braces(self, closing: str) -> Node:
        if self.peek() == closing:
            self.take()
            return Node("set")
        outer, self.builder = self.builder, True
        system = self.peek() in (r"\begin{array}", r"\begin{cases}", r"\begin{aligned}")
        inside = self.statement()
        if system and not self.peek() and inside.kind == "list":
            return inside  # \{ before a system of equations is never closed
        if self.peek() in ("|", r"\mid", ":", r"\vert", r"\colon"):
            self.take()
            self.builder = False
            condition = self.statement()
            inside = Node("builder", (inside, condition))
        self.builder = outer
        self.expect(closing)
        if inside.kind == "builder":
            return inside
        return Node("set", inside.parts if inside.kind == "list" else (inside,))

    def brackets(self, opening: str) -> Node:
        """A group in brackets, an interval, a pair or a tuple."""
        outer, self.builder, bars, self.bars = self.builder, False, self.bars, 0
        inside = self.statement()
        self.builder, self.bars = outer, bars
        closing = self.take()
        if closing not in (")", "]"):
            raise Unreadable("unclosed bracket")
        if inside.kind == "list" and inside.value != "or":
            if opening == "[" and all(_is_round(part) for part in inside.parts):
                return inside  # [(1, 2), (3, 4)] is a list as Python writes it
            kind = "pair" if len(inside.parts) == 2 else "tuple"
            if kind == "tuple" and (opening, closing) not in (("(", ")"), ("[", "]")):
                raise Unreadable("mixed brackets")
            return Node(kind, inside.parts, opening + closing)
        if (opening, closing) not in (("(", ")"), ("[", "]")):
            raise Unreadable("mixed brackets")
        return inside

    def between(self, closing: str) -> Node:
        inside = self.statement()
        if self.peek() in ("|", r"\rvert") and closing == r"\rvert":
            closing = self.peek()
        self.expect(closing)
        return inside

    # -- commands

    def command(self, token: str) -> Node:
        name = token[1:]
        if name in _FUNCTIONS or name in ("operatorname",):
            return self.function(_SYNONYMS.get(name, name))
        if name == "frac":
            return Node("div", (self.argument(), self.argument()))
        if name in ("binom", "dbinom", "tbinom"):
            return Node("binom", (self.argument(), self.argument()))
        if token.startswith(r"\begin"):
            return self.environment(token[token.index("{") + 1 : -1])
        if token.startswith(r"\text{"):
            return Node("text", (), token[6:-1])
        if name == "infty":
            return Node("inf")
        if name == "pi":
            return (
                self.subscript(Node("const", (), "pi"))
                if self.peek() != "_"
                else self.subscript(Node("sym", (), "pi"))
            )
        if name in ("emptyset", "varnothing"):
            return Node("set")
        if token.startswith(r"\mathbb"):
            while self.peek() in ("^", "_"):
                self.take()
                self.take() if self.peek() in "+-*" else self.argument()
            return Node("domain", (), name[-1])
        if name in (
            "overline",
            "bar",
            "vec",
            "hat",
            "widehat",
            "tilde",
            "overrightarrow",
            "dot",
            "ddot",
            "overbrace",
        ):
            return self.decorated(name)
        if name in ("lvert", "vert"):
            return Node("func", (self.between(r"\rvert" if name == "lvert" else r"\vert"),), "abs")
        if name in ("lfloor", "lceil"):
            return Node(
                "func",
                (self.between(r"\r" + name[1:]),),
                name[1:].removesuffix("oor") == "fl" and "floor" or "ceil",
            )
        if name == "langle":
            inside = self.between(r"\rangle")
            return Node("pair" if len(inside.parts) == 2 else "tuple", inside.parts, "()")
        if name == "lbrace":
            return self.braces(r"\rbrace")
        if name in ("angle", "triangle", "measuredangle"):
            return Node("sym", (), name + "".join(self.letters()))
        if name in ("ldots", "dots", "cdots", "dotsc", "dotsb", "dotsm", "vdots", "ddots"):
            return Node("sym", (), "...")
        if name in _OPAQUE:
            raise Opaque(f"cannot read {token}")
        if name in _NOT_FACTORS:
            raise Unreadable(f"cannot read {token}")
        return self.subscript(Node("sym", (), _SYMBOL_NAMES.get(name, name)))

    def letters(self) -> list[str]:
        names = []
        while self.peek()[:1].isalpha() and len(self.peek()) == 1:
            names.append(self.subscript(Node("sym", (), self.take())).value)
        return names

    def decorated(self, decoration: str) -> Node:
        start = self.at
        inside = self.argument()
        written = "".join(token for token in self.tokens[start : self.at] if token not in "{}")
        if inside.kind in ("num", "decimal"):
            raise Unreadable("decorated number")
        if decoration == "overline" and inside.kind != "sym" and "+" not in written and "-" not in written:
            return Node("sym", (), written)
        if inside.kind == "sym":
            name = written if decoration in ("vec", "overline", "hat") else f"{decoration}({written})"
            return self.subscript(Node("sym", (), name))
        return Node("func", (inside,), "conj")

    def function(self, name: str) -> Node:
        base = None
        if name == "sqrt":
            return self.root()
        if self.peek() == "_":
            self.take()
            base = self.argument()
        exponent = None
        if self.peek() in ("^", "**"):
            self.take()
            exponent = self.exponent()
        arguments = self.function_arguments()
        if name in ("log", "lg") and base is not None:
            tree = Node("func", (*arguments, base), "logb")
        else:
            tree = Node("func", tuple(arguments), name)
        if exponent is None:
            return tree
        if exponent == Node("neg", (Node("num", (), Fraction(1)),)) and name in _INVERSE:
            return Node("func", tree.parts, _INVERSE[name])
        return Node("pow", (tree, exponent))

    def root(self) -> Node:
        degree = Node("num", (), Fraction(2))
        if self.peek() == "[":
            self.take()
            degree = self.sum()
            self.expect("]")
        return Node("root", (self.primary(), degree))

    def function_arguments(self) -> list[Node]:
        token = self.peek()
        if token in ("(", "[", "{"):
            inside = self.primary()
            return list(inside.parts) if inside.kind in ("pair", "tuple", "set", "list") else [inside]
        sign = token == "-"
        if sign:
            self.take()
        tree = self.power()
        factors = [tree]
        while True:
            token = self.peek()
            bare = token[1:] if token[:1] == "\\" else token
            if (
                token in ("(", "|", r"\log")
                or bare in _FUNCTIONS
                and bare != "sqrt"
                or not self.starts_factor(token, tree)
            ):
                break
            factors.append(self.power())
            tree = factors[-1]
        tree = _product(factors)
        if (
            self.peek() == "/"
            and self.tokens[self.at + 1 : self.at + 2]
            and self.tokens[self.at + 1].isdigit()
        ):
            self.take()  # sin x/2 is the sine of half of x
            tree = Node("div", (tree, self.power()))
        return [Node("neg", (tree,)) if sign else tree]

    def environment(self, name: str) -> Node:
        if name == "array" and self.peek() == "{":
            self.skip_group()
        rows, row = [], []
        while True:
            token = self.peek()
            if not token:
                raise Unreadable("unclosed environment")
            if token.startswith(r"\end"):
                self.take()
                break
            if token == "&":
                self.take()
            elif token == "\\\\":
                self.take()
                rows.append(tuple(row))
                row = []
            elif token == r"\hline":
                self.take()
            else:
                row.append(self.cell())
        if row:
            rows.append(tuple(row))
        rows = [row for row in rows if row]
        if not rows:
            raise Unreadable("empty matrix")
        if (
            name in _SYSTEMS
            or name == "array"
            and all(len(row) == 1 and row[0].kind == "rel" for row in rows)
        ):
            if any(len(row) > 1 for row in rows):
                raise Opaque("a case distinction")
            return Node("list", tuple(row[0] for row in rows), "and")
        if len({len(row) for row in rows}) > 1:
            raise Unreadable("rows of different lengths")
        return Node("matrix", tuple(rows), name)

    def cell(self) -> Node:
        tree = self.item()
        if self.peek() in (",", ";"):
            self.take()
        return tree

    def unit(self) -> None:
        """Skip a unit behind a value: words, with a power, a quotient or "per"."""
        start = self.at
        while True:
            token = self.peek()
            word = token[6:-1].lower() if token.startswith(r"\text{") else token.lower()
            is_word = token.startswith(r"\text{") or len(token) > 1 and token.isalpha()
            if is_word and not (token.isalpha() and self.at == 0):
                self.take()
                self.units.append(word)
                if self.peek() == "^":
                    self.take()
                    self.units.append("^" + self.peek())
                    self.exponent()
            elif token in ("/", r"\cdot") and self.at > start and self.tokens[self.at + 1 : self.at + 2] and (
                self.tokens[self.at + 1].startswith(r"\text{") or self.tokens[self.at + 1].isalpha()
            ):  # fmt: skip
                self.take()
                self.units.append("/" + self.take())
            elif token == "." and self.at > start:
                self.take()
            else:
                return


def _is_round(node: Node) -> bool:
    return node.kind in ("pair", "tuple") and node.value == "()"


def _product(factors: list[Node]) -> Node:
    return factors[0] if len(factors) == 1 else Node("mul", tuple(factors))


def _repeat(written: str, repeated: str) -> Node:
    whole, _, digits = written.partition(".")
    if len(digits) + len(repeated) > 200:
        raise Unreadable("too many digits")
    scale = 10 ** len(digits)
    value = Fraction(int((whole or "0") + digits), scale) + Fraction(
        int(repeated), scale * (10 ** len(repeated) - 1)
    )
    return Node("num", (), value)


def _unending(written: str) -> Node:
    """0.333... : a decimal whose last digits repeat at least three times."""
    digits = written.partition(".")[2]
    for length in range(1, len(digits) // 3 + 1):
        period = digits[-length:]
        if digits.endswith(period * 3) and (length > 1 or len(digits) >= 3):
            return _repeat(written, period)
    raise Unreadable("no period to be seen")


_TRANSPOSE = Node("sym", (), "T")
_INVERSE = {
    "sin": "arcsin",
    "cos": "arccos",
    "tan": "arctan",
    "cot": "arccot",
    "sinh": "arsinh",
    "cosh": "arcosh",
}
_SYSTEMS = frozenset(("aligned", "align", "align*", "gathered", "split", "cases", "equation", "gather"))
_OPAQUE = frozenset("sum prod int iint oint lim limsup liminf partial nabla bigcup bigcap".split())
_NOT_FACTORS = frozenset(
    "and or pm mp cup cap cupdot setminus backslash mid vert rvert rfloor rceil"
    " rangle rbrace choose over pmod mod bmod"
    " land lor wedge vee cdot times div degree circ le ge ne in notin end colon"
    " prime to because therefore hline Vert"
    " implies iff Leftrightarrow rbrack deg".split()
)
