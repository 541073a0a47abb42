"""Of which tokens does a cleaned answer consist?

Call `split_tokens`: words, units and commands get one name each.
"""

from __future__ import annotations

import re
from functools import lru_cache

from util.grading.maths.spelling import GREEK, ROMAN_COMMANDS, TEXT_COMMANDS
from util.grading.maths.tree import MAX_TOKENS, Unreadable
from util.grading.maths.units import BARE_UNITS, is_unit

_TEXT = rf"\\(?:{TEXT_COMMANDS})\s*\{{[^{{}}]*\}}"
_ROMAN = rf"\\(?:{ROMAN_COMMANDS})\s*\{{[^{{}}]*\}}"
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

RELATIONS = {
    "=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "=<": "<=",
    "!=": "!=", "/=": "!=", "<>": "!=",
    r"\le": "<=", r"\leq": "<=", r"\leqslant": "<=", r"\leqq": "<=", r"\ge": ">=",
    r"\geq": ">=", r"\geqslant": ">=",
    r"\geqq": ">=", r"\lt": "<", r"\gt": ">", r"\ne": "!=", r"\neq": "!=", r"\in": "in", r"\notin": "notin",
    r"\approx": "~", r"\simeq": "~", r"\sim": "~", r"\equiv": "==", r"\to": "->", r"\rightarrow": "->",
    r"\Rightarrow": "=>", r"\implies": "=>", r"\Longrightarrow": "=>",
    r"\iff": "<=>", r"\Leftrightarrow": "<=>", r"\Longleftrightarrow": "<=>", "<=>": "<=>",
    r"\subset": "sub", r"\subseteq": "sub", r"\mapsto": "->",
    r"\propto": "prop", r"\colon": ":",
}  # fmt: skip
PRODUCTS = {"*": "*", r"\cdot": "*", r"\times": "*", "/": "/", r"\div": "/", r"\bullet": "*"}
FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh tanh coth"
    " sech csch arsinh arcosh artanh ln"
    " log lg exp min max gcd lcm arg det Re Im sgn sign sup inf cosec tg ctg arctg mod cbrt sqrt abs floor"
    " ceil deg dim ker cis factorial binomial ceiling Abs arcsinh asinh arccosh acosh arctanh atanh".split()
)
SYNONYMS = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "tg": "tan", "ctg": "cot", "arctg": "arctan",
    "cosec": "csc", "arcsinh": "arsinh", "asinh": "arsinh", "arccosh": "arcosh", "acosh": "arcosh",
    "arctanh": "artanh", "atanh": "artanh", "sign": "sgn", "ceiling": "ceil", "Abs": "abs",
}  # fmt: skip
_WORDS = {
    "infinity": r"\infty", "infty": r"\infty", "oo": r"\infty", "inf": r"\infty", "Infinity": r"\infty",
    "pi": r"\pi", "Pi": r"\pi", "PI": r"\pi", "and": r"\and", "or": r"\or", "AND": r"\and", "OR": r"\or",
    "union": r"\cup", "U": "U", "in": r"\in", "cup": r"\cup", "emptyset": r"\emptyset", "times": r"\times",
    "cdot": r"\cdot", "degrees": r"\degree", "degree": r"\degree", "deg": r"\degree", "percent": "%",
    "pm": r"\pm", "frac": r"\frac", "neq": r"\ne", "leq": r"\le", "geq": r"\ge", "cap": r"\cap",
    "binom": r"\binom", "arcsine": r"\arcsin",
}  # fmt: skip
_WORDS.update(
    {name: f"\\{name}" for name in (*GREEK, *FUNCTIONS - set("inf sup arg dim ker deg mod".split()))}
)
_TEXT_WORDS = {
    "and": r"\and", "or": r"\or", "and/or": r"\and", "degrees": r"\degree", "degree": r"\degree",
    "percent": "%", "to": ":", "union": r"\cup",
}  # fmt: skip
SYMBOL_NAMES = {
    "varepsilon": "epsilon", "varphi": "phi", "vartheta": "theta", "varrho": "rho", "varsigma": "sigma",
    "top": "T", "intercal": "T", "lnot": r"\neg",
}  # fmt: skip
LETTERS = frozenset(  # commands that are a letter; any other one that is not known is a sign or a function
    (
        *GREEK,
        *SYMBOL_NAMES.keys() - {"lnot"},
        *"Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split(),
        *"partial varGamma varDelta varkappa varpi hbar hslash ell wp aleph beth imath jmath".split(),
        *"bot AA square".split(),
    )
)
LARGE_NUMBERS = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?)\s+(?!(?:or|and|to)\b)([A-Za-z][A-Za-z ]*)")  # 16 square inches
SEPARATORS = frozenset((",", ";", r"\and", r"\or", "\\\\", r"\land", r"\lor", r"\wedge", r"\vee"))
CLOSERS = frozenset(
    (")", "]", "}", r"\}", *(rf"\r{name}" for name in "floor ceil angle vert Vert brace brack".split()))
)


def split_tokens(text: str, *, as_list: bool = False) -> list[str]:
    """The tokens of a cleaned answer; `as_list` reads 1,234 as two numbers. Raises Unreadable."""
    tokens: list[str] = []
    for token in (_list_token() if as_list else _TOKEN).findall(text):
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


def is_ambiguous(cleaned: str) -> bool:
    """Whether commas may stand between thousands or between elements."""
    return _AMBIGUOUS.search(cleaned) is not None


def _add_braced(tokens: list[str], token: str) -> None:
    if token.startswith((r"\begin", r"\end")):
        tokens.append(token.replace(" ", ""))
    elif token.startswith(r"\mathbb"):
        tokens.append(r"\mathbb" + token.rstrip("} ")[-1])
    else:
        inside = token[token.index("{") + 1 : -1].strip()
        if re.fullmatch("[~ ]*[A-Zabcfghj-z]", inside) and tokens and tokens[-1][-1] in "0123456789)}":
            tokens.append(r"\text{" + inside.strip("~ ") + "}")  # 5 \mathrm{~m}
        elif "/" in inside and tokens and tokens[-1][-1] in "0123456789)}" and is_unit(inside):
            tokens.append(r"\text{" + inside + "}")  # 5 \text{ m/s}
        elif token.startswith(r"\operatorname") and _is_operator(inside, tokens):
            tokens.append(rf"\operatorname:{inside}")
        elif re.fullmatch(r"[ap]\.\s?m\.?", inside, re.IGNORECASE):
            tokens.append(r"\text{" + inside.replace(" ", "").rstrip(".") + "}")
        elif not re.search(r"[A-Za-z]{2}", _JOINTS.sub(" ", inside)) or token.startswith(
            (r"\mathrm", r"\operatorname", r"\rm")
        ):
            tokens.extend(split_tokens(inside))
        else:
            _add_text(tokens, inside)


def _is_operator(name: str, before: list[str]) -> bool:
    """Whether a name is none that is known and none of a unit behind a number, as the trace of a matrix."""
    return (
        1 < len(name) < 12
        and name.isalpha()
        and name not in _WORDS
        and name not in FUNCTIONS
        and name not in _TEXT_WORDS
        and not (
            before and before[-1][-1] in "0123456789)}" and (name.lower() in BARE_UNITS or is_unit(name))
        )
    )


def _add_text(tokens: list[str], inside: str) -> None:
    if quantity := _QUANTITY.fullmatch(inside):
        tokens.append(quantity.group(1))
        inside = quantity.group(2)
    if not inside:
        return
    word = inside.lower().strip(" ,;.")
    large, _, rest = word.partition(" ")
    if large in LARGE_NUMBERS:
        tokens.append(r"\text{" + large + "}")
        _add_text(tokens, rest)
    elif word in _TEXT_WORDS:
        tokens.append(_TEXT_WORDS[word])
    elif leading := re.match(r"\s*(and|or)\s+(.*)", inside):
        tokens.extend(("\\" + leading.group(1), r"\text{" + leading.group(2) + "}"))
    elif trailing := re.match(r"(.*\w)[\s,]+(and|or)\s*$", inside):
        tokens.extend((r"\text{" + trailing.group(1) + "}", "\\" + trailing.group(2)))
    else:
        tokens.append(r"\text{" + inside + "}")


def _add_word(tokens: list[str], word: str) -> None:
    known = _WORDS.get(word)
    if known:
        tokens.append(known)
    elif len(word) == 1 or word in ("mod", "not") or word.lower() in BARE_UNITS or len(word) > 3:
        tokens.append(word)
    elif word[:2] in ("pi", "ln") and len(word) == 3:  # "pir"
        tokens.extend(("\\" + word[:2], word[2]))
    else:
        tokens.extend(word)
