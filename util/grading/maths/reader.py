"""What does an answer written in LaTeX, Unicode or plain keyboard maths say?

Call `read` with what `clean` made of an answer: it gives a tree of `Node`s or raises `Unreadable`. Both are
bounded in length, depth and number of tokens, and evaluate nothing.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from util.grading.maths.conditions import without_conditions
from util.grading.maths.numbers import number, unending, with_period
from util.grading.maths.spelling import clean
from util.grading.maths.tokens import (
    CLOSERS,
    FUNCTIONS,
    LARGE_NUMBERS,
    LETTERS,
    PRODUCTS,
    RELATIONS,
    SEPARATORS,
    SYMBOL_NAMES,
    SYNONYMS,
    is_ambiguous,
    split_tokens,
)
from util.grading.maths.tree import (
    MAX_CHARS,
    MAX_DEPTH,
    MAX_SIGNS,
    Node,
    Opaque,
    Reading,
    Unreadable,
    has,
    replaced,
    symbols,
)
from util.grading.maths.units import BARE_UNITS
from util.grading.maths.words import unwrapped

__all__ = ["MAX_CHARS", "clean", "condition_in", "is_ambiguous", "read"]

_RELATED = r"\\(?:neq?|geq?|leq?|geqslant|leqslant|gt|lt|in|notin)(?![a-zA-Z])|[<>]|!="
_CLAUSES = re.compile(
    r"[,.]?\s*(?:\\text\s*\{\s*)?\(?\s*(?:\\text\s*\{\s*)?\b(?:for\s+(?:all|any|every|each|some)|where|with"
    rf"|such that|as required|for(?=[\s}}$]*[^,;={{}}]{{1,16}}?(?:{_RELATED})))\b.*$"
)
_BOUNDS = re.compile(rf"\b(?:for|where|with|such that)\b.*(?:{_RELATED}|[=≠<>≤≥])", re.DOTALL)
_NAMED_FREE = re.compile(
    r"\b(?:any|all|each|every|some|where|with|constants?|reals?|integers?|numbers?|arbitrary)[\s}$]*\\?([a-zA-Z])(?![a-zA-Z])"
)
_DENIED = re.compile(r"\b(?:wrong|incorrect|not|false|never|unless|otherwise|except|no)\b")
_IN_BRACKETS = re.compile(  # (x \ne 0), behind a formula
    rf"\(\s*(?:\\text\s*\{{\s*(?:for|where|with)\s*\}}\s*)?([^()=]{{1,20}}(?:{_RELATED})[^()=]{{1,40}})\)$"
)
_FOLLOWS_LABEL = re.compile(r"[=:\d]|-$")  # behind "max", which is a function otherwise
_SAYING_LITTLE = frozenset(
    "only approximately about either maximum minimum max min largest smallest greatest least".split()
)
_FORALL = re.compile(r"\s*,?\s*\(?\\forall\b(?=.).*$")
_PARAMETER = re.compile(
    r"[,;(]?\s*(?:\\text\s*\{\s*(?:where|for|with)?[^{}]{0,20}\}\s*)?\(?\b([a-zA-Z])\s*\\in\s*"
    r"(?:\\mathbb\s*|\\mathbf\s*)?\{?\s*([ZN])\s*\}?((?:\s*(?:\^|_)\s*(?:\{[^{}]{0,8}\}|[+*\d]))?)\s*\)?\s*$"
)
_SAYING_NOTHING = re.compile(  # of which the relation or the name behind says all
    r"\\forall\b|\$|\b(?:for|if|when|where|with|such|that|as required|and|all|any|every|each|some"
    r"|arbitrary|constants?|reals?|integers?|numbers?|values?|whole|natural|positive integers?"
    r"|is|are|be|an?(?=\s+[a-z]{2})|the|of|fixed|complex|rational|parameters?|can|may)\b"
)
_OF_NUMBERS = re.compile(r"\b(?:odd|even|prime|composite|positive|negative|irrational)\b")
_SAYING = re.compile(r"[a-zA-Z]{2}|[<>=\d]|\\[a-zA-Z]")


def _conditions(clause: str) -> tuple[Node, ...]:
    """What a clause such as "where a > 0 is real" says: relations, or one text of what is not understood."""
    clause = unwrapped(clause)
    if clause.count("}") > clause.count("{"):
        clause = clause.replace("}", " ", 1)
    said = " ".join(_SAYING_NOTHING.sub(" ", clause).split()).strip(" ,.;")
    if said[:1] == "(" and said.count(")") == 0 or said[-1:] == ")" and said.count("(") == 0:
        said = said.strip("() ,.;")
    if not _SAYING.search(said):
        return ()
    text = (Node("text", (), said),)
    try:
        reader = _Reader(split_tokens(said))
        tree = reader.whole()
    except Unreadable:
        return text
    nodes = tree.parts if tree.kind == "list" else (tree,)
    if reader.units or any(node.kind not in ("rel", "sym") for node in nodes):
        return text
    return tuple(node for node in nodes if node.kind == "rel")


def condition_in(written: str) -> str:
    """The clause of a text that bounds a symbol, as "for x > 0"; "" without one."""
    if not _BOUNDS.search(written):
        return ""
    clause = _CLAUSES.search(clean(written))
    return clause.group() if clause and _BOUNDS.search(clause.group()) else ""


@lru_cache(maxsize=2048)
def read(cleaned: str, *, as_list: bool = False) -> Reading:
    """A cleaned answer as a tree; `as_list` reads 1,234 as two numbers. Raises Unreadable."""
    if len(cleaned) >= MAX_CHARS:
        raise Unreadable("too long")
    if cleaned[:1] == "]" and cleaned[-1:] == "[":  # ]a, b[ is an open interval
        cleaned = "(" + cleaned[1:-1] + ")"
    elif cleaned[:1] == "]" and cleaned[-1:] == "]":
        cleaned = "(" + cleaned[1:]
    elif cleaned[:1] == "[" and cleaned[-1:] == "[":
        cleaned = cleaned[:-1] + ")"
    parameter = _PARAMETER.search(cleaned)
    free: tuple[str, ...] = ()
    conditions: tuple[Node, ...] = ()
    if parameter and parameter.start() > 0:
        name, domain, restricted = parameter.groups()
        domain += "+" if restricted else ""
        cleaned, free = cleaned[: parameter.start()].rstrip(" ,;("), (name,)
        conditions = (Node("rel", (Node("sym", (), name), Node("domain", (), domain)), ("in",)),)
    if "for" in cleaned or "wh" in cleaned or "th" in cleaned:
        clause = _CLAUSES.search(cleaned)
        if clause and cleaned[: clause.start()].strip():
            free += tuple(_NAMED_FREE.findall(clause.group()))
            cleaned, conditions = cleaned[: clause.start()], conditions + _conditions(clause.group())
    if (
        cleaned[-1:] == ")"
        and (at := cleaned.rfind("(")) > 0
        and (bracketed := _IN_BRACKETS.match(cleaned, at))
    ):
        formula = cleaned[:at].rstrip()
        if formula[-1:] == "}" or formula[-1:].isalnum() and formula[-1] not in "Pfgh":
            cleaned, conditions = formula, conditions + _conditions(bracketed.group(1))
    if r"\forall" in cleaned:
        clause = _FORALL.search(cleaned)
        shorter = _FORALL.sub("", cleaned)
        if clause and shorter.strip():
            cleaned, conditions = shorter, conditions + _conditions(clause.group())
        elif any(sign in RELATIONS for sign in split_tokens(cleaned)):
            cleaned = cleaned.replace(r"\forall", " ")
        else:
            raise Opaque(r"cannot read \forall")
    reader = _Reader(split_tokens(cleaned, as_list=as_list))
    tree, bounds = without_conditions(reader.whole())
    if r"\partial" in cleaned and has(tree, "sym", "partial"):
        raise Opaque(r"cannot read \partial")
    kinds = (Node("text", (), word) for word in reader.units if _OF_NUMBERS.search(word))  # n >= 3 odd
    return Reading(tree, tuple(reader.units), (*free, *reader.free), (*conditions, *bounds, *kinds))


class _Reader:
    """Recursive descent over the tokens of one answer."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, ""]  # "" is the end
        self.at = 0
        self.depth = 0
        self.digits = ""  # of the numeral read last, as written
        self.bars = 0  # open |
        self.builder = False  # inside { ... | ... }
        self.units: list[str] = []
        self.free: list[str] = []  # parameters that a set-builder lets run over the integers

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

    def follows(self, *tokens: str) -> bool:
        """Whether these tokens stand here."""
        return self.tokens[self.at : self.at + len(tokens)] == [*tokens]

    def written(self, start: int, without: str = "{}") -> str:
        """What has been read since `start`, without some signs."""
        return "".join(token for token in self.tokens[start : self.at] if token not in without)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")

    def skip_argument(self) -> None:
        """Skip a group or a single token."""
        depth = 0
        while True:
            token = self.take()
            depth += (token == "{") - (token == "}")
            if depth <= 0:
                return
            if not token:
                raise Unreadable("ends too early")

    def whole(self) -> Node:
        tree = self.statement()
        if self.tokens[self.at]:
            raise Unreadable(f"unexpected {self.tokens[self.at][:20]}")
        return tree

    # -- lists and relations

    def statement(self) -> Node:
        """Items separated by commas, semicolons, row breaks, "and", "or"."""
        self.deeper()
        items: list[Node] = []
        joints: list[str] = []  # between the items
        counted: list[str] = []  # the words behind each
        while self.tokens[self.at] in SEPARATORS:
            self.take()
        while self.tokens[self.at] and self.tokens[self.at] not in CLOSERS:
            units = len(self.units)
            items.append(self.item())
            counted.append(" ".join(self.units[units:]).removesuffix("s"))
            if self.tokens[self.at] not in SEPARATORS:
                break
            start = self.at
            while self.tokens[self.at] in SEPARATORS:
                self.take()
            joints.append(max(_JOINTS.get(token, "") for token in self.tokens[start : self.at]))
        self.depth -= 1
        if not items:
            raise Unreadable("nothing here")
        if len(items) > 1 and items[0].kind == "rel" and items[0].value == ("!=",):  # x != 1, 2
            items[1:] = [
                item if item.kind == "rel" else items[0]._replace(parts=(items[0].parts[0], item))
                for item in items[1:]
            ]
        if len(items) == 1:
            return items[0]
        if all(counted) and len(set(counted)) == len(items):
            items = [Node("counted", (item,), name) for item, name in zip(items, counted, strict=True)]
        return _joined(items, joints[: len(items) - 1])

    def item(self) -> Node:
        label = self.label()
        first = self.combination()
        parts, operators = [first], []
        while self.tokens[self.at] in RELATIONS:
            operators.append(RELATIONS[self.take()])
            parts.append(self.combination())
        if self.tokens[self.at] == r"\pmod" or self.opens_modulus():
            parts[-1] = Node("modulo", (parts[-1], self.modulus()))
        tree = Node("rel", tuple(parts), tuple(operators)) if operators else parts[0]
        if self.tokens[self.at] in (r"\choose", r"\over"):
            kind = "binom" if self.take() == r"\choose" else "div"
            tree = Node(kind, (tree, self.item()))
        return Node("label", (tree,), label) if label else tree

    def opens_modulus(self) -> bool:
        return self.tokens[self.at] == "(" and self.tokens[self.at + 1] in ("mod", r"\mod", r"\bmod")

    def modulus(self) -> Node:
        if self.take() == "(":
            self.take()
            value = self.sum()
            self.expect(")")
            return value
        return self.argument()

    def label(self) -> str:
        """A name in words before a value, as in "Minimum: 1" or "Paolo = 18"; its tokens are skipped."""
        if self.tokens[self.at] in (r"\max", r"\min") and _FOLLOWS_LABEL.match(self.tokens[self.at + 1]):
            name = self.take()[1:]
            self.at += self.tokens[self.at] in ("=", ":")
            return name
        at, words = self.at, []
        while _is_word(self.tokens[at]):
            words.append(self.tokens[at].removeprefix(r"\text{").rstrip("} "))
            at += 1
        if not words or at + 1 >= len(self.tokens):
            return ""
        ends_in_colon = words[-1].endswith((":", "=", " is"))
        if self.tokens[at] in (":", "=", r"\colon"):
            at += 1
        elif not ends_in_colon and not (len(words) == 1 and words[0].lower() in _SAYING_LITTLE):
            return ""
        self.at = at
        return " ".join(words).strip(" :=").lower()

    def combination(self) -> Node:
        """Unions, intersections and differences of sets; ratios; what stands beside a sign that is not known.

        Such a sign keeps its two sides in their order, and binds less than any sign that is known.
        """
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
            elif token[:1] == "\\" and self.joins(token, left):
                self.take()
                parts = (left,) if self.ends() else (left, self.ratio())
                left = Node("app", parts, SYMBOL_NAMES.get(token[1:], token))
                operations += 1
            else:
                return left
            if operations > MAX_DEPTH:
                raise Unreadable("too many operations")

    def joins(self, token: str, left: Node) -> bool:
        """Whether a command joins two sides in a way that is not known, as a ring joins functions."""
        return _is_unknown(token) or token == r"\circ" and self.starts_factor(self.tokens[self.at + 1], left)

    def ends(self) -> bool:
        """Whether nothing follows that a sign could apply to."""
        token = self.peek()
        return not token or token in CLOSERS or token in SEPARATORS or token in RELATIONS

    def ratio(self) -> Node:
        first = self.sum()
        if (
            self.tokens[self.at] not in _COLONS
            or self.builder
            or first.kind == "sym"
            and self.tokens[self.at] != ":"
        ):
            return first
        parts = [first]
        numerals = [self.tokens[self.at - 1]]
        while self.tokens[self.at] in _COLONS and not self.builder:
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
        tree = terms[0] if len(terms) == 1 else Node("add", tuple(terms))
        if self.units and self.tokens[self.at].isdecimal() and self.tokens[self.at - 1] not in RELATIONS:
            return Node("tuple", (tree, self.sum()), "()")  # 4 hours 30 minutes
        return tree

    def term(self) -> Node:
        factors = [self.signed()]
        operations = 0  # that nest the tree
        while True:
            token = self.tokens[self.at]
            if token in PRODUCTS and PRODUCTS[token] == "*":
                self.take()
                if token == r"\times" and _is_vector(factors[-1]) and self.opens_vector():
                    factors[-1] = _cross_product(factors[-1], self.signed())
                    continue
                factors.append(self.signed())
            elif token == "/" and (derived := self.slashed_derivative(_product(factors))):
                factors = [derived]
            elif token in PRODUCTS or token in (r"\bmod", r"\mod"):
                self.take()
                kind, value = ("div", None) if token in PRODUCTS else ("func", "mod")
                factors = [Node(kind, (_product(factors), self.signed()), value)]
                operations += 1
                if operations > MAX_DEPTH:
                    raise Unreadable("too many divisions")
            elif self.starts_factor(token, factors[-1]):
                factors.append(self.power())
            else:
                return _product(factors)

    def opens_vector(self) -> bool:
        """Whether a vector stands here: with an arrow, or a lone letter in what were braces of bold type."""
        return self.peek() in (r"\vec", r"\overrightarrow") or (
            self.peek() == "{" and len(self.tokens[self.at + 1]) == 1 and self.tokens[self.at + 2] == "}"
        )

    def starts_factor(self, token: str, left: Node) -> bool:
        """Whether `token` goes on with a product without a sign."""
        if not token or token in CLOSERS or token in SEPARATORS or token in RELATIONS:
            return False
        first = token[0]
        if first.isdecimal() or first == ".":
            return left.kind not in ("num", "decimal", "neg") and token[:3] != "..."
        if first.isalpha():
            return len(token) == 1 and (token != "U" or left.kind not in ("pair", "set", "union"))
        if first == "\\":
            if token.startswith((r"\{", r"\lbrace", r"\text", r"\end")):
                return False
            return (
                token.startswith(r"\operatorname:")
                or token.startswith(r"\begin{")
                or (token[1:].isalpha() and token[1:] not in _NOT_FACTORS and not _is_unknown(token))
            )
        if first == "|":
            return self.bars == 0 and not self.builder
        return first in "([{" and left.kind not in ("pair", "set", "tuple") and not self.opens_modulus()

    def signed(self) -> Node:
        sign = 1
        self.deeper()
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
        if self.tokens[self.at] not in ("^", "**"):
            return base
        self.take()
        exponent = self.exponent()
        if exponent.kind == "circ":
            return self.postfix(Node("deg", (base,)))
        if exponent.kind == "prime":
            return self.postfix(base._replace(value=f"{base.value}'") if base.kind == "sym" else base)
        if chosen := _chosen(base, exponent):
            return self.postfix(chosen)
        if exponent == _TRANSPOSE and base.kind in ("matrix", "tuple", "pair"):
            return Node("transpose", (base,))
        return self.postfix(Node("pow", (base, exponent)))

    def exponent(self) -> Node:
        """What stands behind ^ : a group, or one factor with its sign."""
        self.deeper()
        token = self.tokens[self.at]
        if token == r"\circ" or self.follows("{", r"\circ", "}"):
            self.at += 3 if token == "{" else 1
            tree = Node("circ")
        elif token in (r"\prime", "'") or self.follows("{", r"\prime", "}"):
            self.at += 3 if token == "{" else 1
            tree = Node("prime")
        elif _is_unknown(token):
            tree = Node("sym", (), self.take())  # as in A^\dagger
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
        """Signs and scales behind a value: factorials, percent, degrees, primes, millions, bases."""
        while True:
            token = self.tokens[self.at]
            is_number = tree.kind in ("num", "decimal")
            if token == "!":
                self.take()
                if self.tokens[self.at] == "!":
                    raise Opaque("double factorial")
                tree = Node("fact", (tree,))
            elif token in ("%", r"\%"):
                self.take()
                tree = Node("pct", (tree,))
            elif token == r"\degree" or is_number and (token == r"\deg" or self.is_degree_sign()):
                self.take()
                tree = Node("deg", (tree,))
            elif token == "'" and tree.kind in ("sym", "app"):
                self.take()
                tree = tree._replace(value=f"{tree.value}'")
            elif is_number and (scale := LARGE_NUMBERS.get(_word(token))):  # 8 million
                self.take()
                tree = Node("mul", (tree, Node("num", (), Fraction(scale))))
            elif token == "_" and is_number:
                self.take()
                tree = self.based(tree)
            elif token == "_" and tree.kind in ("set", "pair", "tuple"):
                self.take()
                start = self.at
                self.skip_argument()
                tree = Node("indexed", (tree,), self.written(start))
            else:
                return tree

    def is_degree_sign(self) -> bool:
        """Whether a ring joins nothing, as in 90∘."""
        return self.peek() == r"\circ" and self.tokens[self.at + 1] in ("", "+", "-", ")", "}", ",", "=")

    def unit(self) -> None:
        """Skip a unit behind a value: words, with a power, a quotient or "per"."""
        start = self.at
        while True:
            token = self.tokens[self.at]
            word = _word(token).lower()
            if _is_word(token) and (self.at or not token.isalpha()):
                if _DENIED.search(word):
                    raise Unreadable("a value that is taken back")
                self.take()
                self.units.append(word)
                self.unit_power()
            elif (
                token in ("/", r"\cdot")
                and self.at > start
                and (self.tokens[self.at + 1].startswith(r"\text{") or self.tokens[self.at + 1].isalpha())
            ):
                self.take()
                self.units.append("/" + self.take().removeprefix(r"\text{").rstrip("}"))
                self.unit_power()
            elif token == "." and self.at > start:
                self.take()
            else:
                return

    def unit_power(self) -> None:
        if self.peek() == "^":
            self.take()
            start = self.at
            self.exponent()
            self.units.append("^" + self.written(start))

    # -- the smallest parts

    def primary(self) -> Node:
        self.deeper()
        token = self.take()
        if not token:
            raise Unreadable("ends too early")
        first = token[0]
        if first.isdecimal() or first == "." and token[1:2].isdecimal():
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
            tree = _DOTS
        else:
            raise Unreadable(f"unexpected {token[:20]}")
        self.depth -= 1
        return tree

    def name(self, token: str) -> Node:
        if len(token) > 3 and token.lower() not in BARE_UNITS:
            return Node("text", (), token)
        if token == "not":
            raise Unreadable("a value that is taken back")
        if token in ("e", "i") and self.peek() != "_":
            return Node("const", (), token)
        tree = self.subscript(Node("sym", (), token))
        if self.follows("^", "{", "-", "1", "}") and token in "fghFGH":
            self.at += 5
            if self.peek() == "(":
                return self.application(tree._replace(value=f"{token}^-1"))
            return tree._replace(value=f"\\{token}^-1")  # an inverse function, or 1/f
        if self.follows("{", "(") and token in "fghFGHNPp" and self.closes_twice():
            del self.tokens[self.at]  # f{(x)}, as sympy prints it
        if self.peek() == "(" and token.isupper() and (point := self.point(tree)):
            return point
        if token == "C" and self.peek() == "(" and (choice := self.choice()):
            return choice
        if self.peek() == "(" and (token in "fghFGHPQTpq" or self.is_head()):
            return self.application(tree)
        return tree

    def point(self, name: Node) -> Node | None:
        """P(1, 2), a point with its name; None where the brackets hold anything but numbers."""
        end = self.at
        while self.tokens[end] not in (")", ""):
            end += 1
        if "," not in self.tokens[self.at : end] or any(
            token.isalpha() and token != "e" for token in self.tokens[self.at : end]
        ):
            return None
        at = self.at
        place = self.primary()
        if place.kind not in ("pair", "tuple") or place.value != "()":
            self.at = at
            return None
        return Node("rel", (name, place), ("=",))

    def choice(self) -> Node | None:
        """C(n, 2), how many ways there are to choose two of n."""
        at = self.at
        place = self.primary()
        if place.kind == "pair" and place.value == "()" and self.peek() != "=":
            return Node("binom", place.parts)
        self.at = at
        return None

    def closes_twice(self) -> bool:
        """Whether the next group in braces is one in brackets; takes the closing brace away."""
        end = self.at + 1
        while self.tokens[end] not in (")", ""):
            end += 1
        if self.tokens[end : end + 2] != [")", "}"]:
            return False
        del self.tokens[end + 1]
        return True

    def is_head(self) -> bool:
        """Whether an answer opens with x(t) = ...: then x is a function."""
        return self.at == 1 and self.tokens[3:5] == [")", "="] and self.tokens[2].isalpha()

    def application(self, symbol: Node) -> Node:
        """f(x); p(x-1) is a product where p is no usual name of a function."""
        at = self.at
        self.take()
        inside = self.statement()
        self.expect(")")
        if symbol.value[0] in "PQTpq" and inside.kind not in ("sym", "num", "list"):
            self.at = at
            return symbol
        parts = inside.parts if inside.kind == "list" else (inside,)
        if symbol.value == "C" and len(parts) == 2 and parts[0].kind == parts[1].kind == "num":
            return Node("binom", parts)
        return Node("app", parts, symbol.value)

    def group(self) -> Node:
        if self.peek() == "}":
            self.take()
            if self.peek() not in ("^", "_"):
                raise Unreadable("an empty group")
            return Node("num", (), Fraction(1))  # as in {}^\circ
        if self.is_builder():
            return self.braces("}")
        builder, self.builder = self.builder, False
        inside = self.statement()
        self.builder = builder
        self.expect("}")
        return Node("set", inside.parts) if inside.kind == "list" else inside

    def is_builder(self) -> bool:
        """Whether plain braces hold {x | x > 2} or {x : x > 2}."""
        name, bar = self.tokens[self.at], self.tokens[self.at + 1 : self.at + 2]
        if len(name) != 1 or not name.isalpha() or bar not in (["|"], [r"\mid"], [":"]):
            return False
        return any(token in RELATIONS for token in self.tokens[self.at + 2 : self.at + 12])

    def braces(self, closing: str) -> Node:
        if self.peek() == closing:
            self.take()
            return Node("set")
        outer, self.builder = self.builder, True
        self.ungroup()
        system = self.peek() in (r"\begin{array}", r"\begin{cases}", r"\begin{aligned}")
        inside = self.statement()
        if system and not self.peek() and inside.kind == "list":
            return inside  # \{ before a system of equations is never closed
        if self.peek() in ("|", r"\mid", ":", r"\vert", r"\colon"):
            self.take()
            self.builder = False
            condition = self.statement()
            inside = self.family(inside, condition) or Node("builder", (inside, condition))
        self.builder = outer
        self.expect(closing)
        if inside.kind in ("builder", "rel"):
            return inside
        return Node("set", inside.parts if inside.kind == "list" else (inside,))

    def family(self, name: Node, condition: Node) -> Node | None:
        """The x = 2k of {x | x = 2k, k in Z}, whose parameter is free."""
        if condition.kind != "list":
            return None
        first, *rest = condition.parts
        if first.kind != "rel" or first.value != ("=",) or first.parts[0] != name or len(rest) != 1:
            return None
        if rest[0].kind != "rel" or rest[0].value != ("in",) or rest[0].parts[0].kind != "sym":
            return None
        if rest[0].parts[1].kind not in ("domain", "sym") or rest[0].parts[1].value not in ("Z", "N"):
            return None
        self.free.append(str(rest[0].parts[0].value))
        return first

    def brackets(self, opening: str) -> Node:
        """A group in brackets, an interval, a pair or a tuple."""
        outer, self.builder, bars, self.bars = self.builder, False, self.bars, 0
        self.ungroup()
        inside = self.statement()
        self.builder, self.bars = outer, bars
        closing = self.take()
        if closing not in (")", "]"):
            raise Unreadable("unclosed bracket")
        if inside.kind == "list" and inside.value != "or":
            if opening == "[" and all(_is_round(part) for part in inside.parts):
                return inside  # [(1, 2), (3, 4)] is a list as Python writes it
            if len(inside.parts) == 2:
                return Node("pair", inside.parts, opening + closing)
        if opening + closing not in ("()", "[]"):
            raise Unreadable("mixed brackets")
        if inside.kind == "list" and inside.value != "or":
            return Node("tuple", inside.parts, opening + closing)
        if inside.kind == "neg" and self.peek()[:1].isdecimal():
            return Node("mul", (inside,))  # (-1) 5 is a product
        return inside

    def ungroup(self) -> None:
        """Two numbers for the one that stands alone in brackets, as in (12,345): why else the brackets?"""
        before = self.tokens[self.at - 2] if self.at > 1 else "="
        is_factor = before not in RELATIONS and before not in SEPARATORS and before not in ("(", "[", r"\{")
        if "," in self.peek()[1:] and self.tokens[self.at + 1] in CLOSERS and not is_factor:
            self.tokens[self.at : self.at + 1] = re.split("(,)", self.peek())

    def between(self, closing: str) -> Node:
        self.ungroup()
        inside = self.statement()
        if self.peek() in ("|", r"\rvert") and closing == r"\rvert":
            closing = self.peek()
        self.expect(closing)
        return inside

    # -- numerals

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

    def numeral(self, token: str) -> Node:
        self.digits = token
        following = self.tokens[self.at]
        if token.endswith("..."):
            return Node("num", (), unending(token[:-3]))
        if following in _LINES and "." in token:
            return self.recurring(token)
        if following in (r"\ldots", r"\dots", r"\cdots", "...") and "." in token and len(token) > 4:
            self.take()
            return Node("num", (), unending(token))
        if following == "(" and "." in token and self.tokens[self.at + 1].isdecimal():
            if self.tokens[self.at + 2] == ")" and self.tokens[self.at + 3] != "^":
                self.at += 3
                return Node("num", (), with_period(token, self.tokens[self.at - 2]))
        value = number(token)
        if "." in token or "e" in token.lower():
            mantissa, _, exponent = token.lower().partition("e")
            places = max(0, len(mantissa.partition(".")[2]) - int(exponent or 0))
            return Node("decimal", (places,), value)
        if following == r"\frac" and value:
            return self.mixed(value)
        return Node("num", (), value)

    def mixed(self, whole: Fraction) -> Node:
        at = self.at
        self.take()
        top, bottom = self.argument(), self.argument()
        if top.kind == bottom.kind == "num" and 0 < top.value and 0 < bottom.value:
            return Node("num", (), whole + top.value / bottom.value)
        self.at = at
        return Node("num", (), whole)

    def recurring(self, token: str) -> Node:
        """0.8\\overline{4}, 0.\\dot{1}\\dot{2}, 0.1\\dot{2}3\\dot{4}."""
        whole, _, written = token.partition(".")
        repeated, dotted = "", True
        while dotted and (self.peek() in _LINES or repeated and self.peek().isdecimal()):
            if self.peek().isdecimal():
                repeated += self.take()
            else:
                dotted = self.take() == r"\dot"
                repeated += self.argument_digits()
        return Node("num", (), with_period(f"{whole}.{written}", repeated))

    def argument_digits(self) -> str:
        token = self.take()
        if token == "{":
            token = self.take()
            self.expect("}")
        if not token.isdecimal():
            raise Unreadable("not a recurring decimal")
        return token

    # -- commands

    def argument(self) -> Node:
        """What a command applies to: a group, or the next single digit or token."""
        token = self.peek()
        if token[:1].isdecimal() and len(token) > 1 and token.isdecimal():
            self.tokens[self.at] = token[0]
            self.tokens.insert(self.at + 1, token[1:])
        return self.primary()

    def subscript(self, symbol: Node) -> Node:
        if self.follows("^", "{", "(") and self.tokens[self.at + 4 : self.at + 6] == [")", "}"]:
            order = self.tokens[self.at + 3]  # f^{(2)} is no power
            self.at += 6
            symbol = Node("sym", (), f"{symbol.value}^({order})")
        while self.peek() == "_" or self.peek() == "'":
            if self.take() == "'":
                symbol = Node("sym", (), f"{symbol.value}'")
                continue
            start = self.at
            self.skip_argument()
            symbol = Node("sym", (), f"{symbol.value}_{self.written(start)}")
        return symbol

    def command(self, token: str) -> Node:
        name = token[1:]
        if name in FUNCTIONS or name == "operatorname":
            return self.function(SYNONYMS.get(name, name))
        if name == "frac":
            top, bottom = self.argument(), self.argument()
            return self.derivative(top, bottom) or Node("div", (top, bottom))
        if name in ("boxed", "fbox"):
            return self.argument()
        if name in ("binom", "dbinom", "tbinom"):
            return Node("binom", (self.argument(), self.argument()))
        if token.startswith(r"\begin{"):
            return self.environment(token[token.index("{") + 1 : -1])
        if token.startswith(r"\text{") and token[6:-1].strip() in FUNCTIONS:
            name = token[6:-1].strip()
            return self.function(SYNONYMS.get(name, name))
        if token.startswith(r"\text{"):
            return Node("text", (), token[6:-1])
        if name in _FIXED:
            return _FIXED[name]
        if name == "pi":
            return self.subscript(Node("sym" if self.peek() == "_" else "const", (), "pi"))
        if name == "surd":
            return self.root()
        if token.startswith(r"\mathbb"):
            return Node("domain", (), name[-1] + self.restriction(may_have_star=name[-1] == "N"))
        if name in _DECORATIONS:
            return self.decorated(name)
        if name in ("lvert", "vert"):
            return Node("func", (self.between(r"\rvert" if name == "lvert" else r"\vert"),), "abs")
        if name in ("lfloor", "lceil"):
            return Node("func", (self.between(r"\r" + name[1:]),), name[1:])
        if name == "langle":
            inside = self.between(r"\rangle")
            if inside.kind != "list":
                return Node("app", (inside,), r"\langle")  # a mean
            return Node("pair" if len(inside.parts) == 2 else "tuple", inside.parts, "()")
        if name == "lbrace":
            return self.braces(r"\rbrace")
        if name in ("angle", "triangle", "measuredangle"):
            letters = "".join(self.letters())
            return Node("sym", (), name + (letters if name == "triangle" else min(letters, letters[::-1])))
        if name in ("sum", "prod"):
            return self.big(name)
        if name in _OPAQUE:
            raise Opaque(f"cannot read {token}")
        if name in _NOT_FACTORS:
            raise Unreadable(f"cannot read {token}")
        if name.startswith("operatorname:"):
            return self.unknown(rf"\{name.partition(':')[2]}")
        if _is_unknown(token):
            return self.unknown(SYMBOL_NAMES.get(name, token))
        return self.greek(self.subscript(Node("sym", (), SYMBOL_NAMES.get(name, name))))

    def unknown(self, name: str) -> Node:
        """A command that is not known, applied to its arguments or to the factor behind it."""
        symbol = self.subscript(Node("sym", (), name))
        parts: list[Node] = []
        if self.peek() == "(":
            parts = self.function_arguments()
        while self.peek() == "{":
            parts.append(self.argument())
        if not parts and not self.ends() and self.starts_factor(self.peek(), symbol):
            parts = [self.power()]
        return Node("app", tuple(parts), symbol.value) if parts else symbol

    def greek(self, symbol: Node) -> Node:
        r"""\varphi(n), \Gamma(1, x): the usual names of functions, in front of a name, a number or a list."""
        if self.peek() != "(" or str(symbol.value).partition("_")[0].rstrip("'") not in _GREEK_FUNCTIONS:
            return symbol
        at, units = self.at, len(self.units)
        self.take()
        inside = self.statement()
        if self.take() != ")" or inside.kind not in ("sym", "num", "list"):
            self.at = at
            del self.units[units:]
            return symbol
        return Node("app", inside.parts if inside.kind == "list" else (inside,), symbol.value)

    def derivative(self, top: Node, bottom: Node) -> Node | None:
        """dy/dx: what is derived, by what and how often; d/dx applies to the factors behind it."""
        above, below = _differential(top), _differential(bottom)
        if above is None or below is None or above.letter != below.letter:
            return None
        if below.before or not below.of or above.before and not above.of:
            return None
        derived = above.of
        if not derived and self.starts_factor(self.peek(), top):
            derived = (self.term(),)
        by = _product([*below.of])
        tree = Node(
            "app", (_product([*derived]), by, above.order) if derived else (by, above.order), "derivative"
        )
        return _product([*above.before, tree])

    def slashed_derivative(self, top: Node) -> Node | None:
        """dy/dx on one line; None, and nothing taken, for any other quotient."""
        if self.tokens[self.at + 1] not in ("d", r"\partial") or _differential(top) is None:
            return None
        at = self.at
        self.take()
        letter = self.primary()
        below = self.power() if self.starts_factor(self.peek(), letter) else None
        found = below and self.derivative(top, Node("mul", (letter, below)))
        if not found:
            self.at = at
        return found

    def restriction(self, *, may_have_star: bool) -> str:
        r"""The + of \mathbb{R}^+, the 2 of \mathbb{R}^2; what stands for the positive ones is one sign."""
        start = self.at
        while self.peek() in ("^", "_"):
            self.take()
            self.skip_argument()
        written = self.written(start, without="{}^_*")
        if written in _RESTRICTIONS:
            return _RESTRICTIONS[written]
        lowered = "_" if self.tokens[start] == "_" else ""  # the integers modulo 6 are no power
        star = "" if may_have_star or "*" not in self.tokens[start : self.at] else "*"
        return lowered + written + star

    def letters(self) -> list[str]:
        names = []
        while self.peek()[:1].isalpha() and len(self.peek()) == 1:
            names.append(self.subscript(Node("sym", (), self.take())).value)
        return names

    def decorated(self, decoration: str) -> Node:
        start = self.at
        inside = self.argument()
        written = self.written(start)
        if inside.kind in ("num", "decimal"):
            raise Unreadable("decorated number")
        if decoration == "overline" and inside.kind == "mul" and written.isupper():
            return inside  # a segment
        if decoration in _ARROWS and inside.kind == "mul" and len(written) == 2 and written.isupper():
            vector = Node("sym", (), "vec(" + "".join(sorted(written)) + ")")
            return vector if written == "".join(sorted(written)) else Node("neg", (vector,))
        if decoration == "overline" and inside.kind != "sym" and "+" not in written and "-" not in written:
            return Node("sym", (), written)
        if inside.kind == "sym":
            name = (
                written if decoration in _DRESSES else f"{_SAME_MARKS.get(decoration, decoration)}({written})"
            )
            return self.subscript(Node("sym", (), name))
        if decoration in ("overline", "bar") and not symbols(inside):
            return Node("func", (inside,), "conj")
        return Node("app", (inside,), "\\" + _SAME_MARKS.get(decoration, decoration))

    def function(self, name: str) -> Node:
        base = None
        if name == "sqrt":
            return self.root()
        if name == "arg" and self.peek() in (r"\max", r"\min"):
            name = f"arg {self.take()[1:]}"
        if self.peek() == "_":
            self.take()
            base = self.argument()
        exponent = None
        if self.peek() in ("^", "**"):
            self.take()
            exponent = self.exponent()
        arguments = self.function_arguments()
        if name in _NAMED_KINDS:
            tree = Node(_NAMED_KINDS[name], tuple(arguments))
        elif name in ("log", "lg") and base is not None:
            tree = Node("func", (*arguments, base), "logb")
        elif base is not None:  # the maximum over some set
            tree = Node("app", (*arguments, base), name)
        elif name.startswith("arg ") or name in _OF_MANY and len(arguments) == 1 and symbols(arguments[0]):
            tree = Node("app", tuple(arguments), name)  # the maximum of a function, not of numbers
        elif name in _OF_COMPLEX and any(map(symbols, arguments)):
            tree = Node("app", tuple(arguments), f"\\{name}")  # letters are real where a value is asked for
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
        if token in ("(", "[", "{", r"\{"):
            inside = self.primary()
            return list(inside.parts) if inside.kind in ("pair", "tuple", "set", "list") else [inside]
        if token == "-":
            self.take()
        factors = [self.power()]
        while (following := self.peek()) not in ("(", "|", r"\log"):
            bare = following.removeprefix("\\")
            if bare in FUNCTIONS and bare != "sqrt" or not self.starts_factor(following, factors[-1]):
                break
            factors.append(self.power())
        tree = _product(factors)
        if self.peek() == "/" and self.tokens[self.at + 1].isdecimal():
            self.take()  # sin x/2 is the sine of half of x
            tree = Node("div", (tree, self.power()))
        return [Node("neg", (tree,)) if token == "-" else tree]

    def big(self, name: str) -> Node:
        """A finite sum or product over whole numbers: its term, the ends, and the hidden name that runs."""
        if self.take() != "_":
            raise Opaque("a sum without its ends")
        start = self.primary()
        if (
            self.take() != "^"
            or start.kind != "rel"
            or start.value != ("=",)
            or start.parts[0].kind not in ("sym", "const")
        ):
            raise Opaque("a sum over something else")
        end = self.argument()
        inside = self.term()
        if any(has(part, "inf") for part in (start.parts[1], end)) or has(inside, "pm"):
            raise Opaque("an infinite sum")
        hidden = f"#{self.depth}"
        inside = replaced(inside, _with_index(inside, start.parts[0]))
        inside = replaced(inside, {start.parts[0]: Node("sym", (), hidden)})
        return Node("big", (inside, start.parts[1], end), (name, hidden))

    def environment(self, name: str) -> Node:
        if name == "array" and self.peek() == "{":
            self.skip_argument()
        if name in _ALIGNED and rf"\end{{{name}}}" in self.tokens[self.at :]:
            end = self.tokens.index(rf"\end{{{name}}}", self.at)
            self.tokens[self.at : end] = [token for token in self.tokens[self.at : end] if token != "&"]
        rows: list[tuple[Node, ...]] = []
        row: list[Node] = []
        while not (token := self.take()).startswith(r"\end"):
            if not token:
                raise Unreadable("unclosed environment")
            if token == "\\\\":
                rows.append(tuple(row))
                row = []
            elif token not in ("&", r"\hline"):
                self.at -= 1
                while name == "cases" and row and _word(self.peek()).lower() in _WHEN:
                    self.take()
                row.append(self.kind_of_number() if name == "cases" and row else self.item())
                if self.peek() in (",", ";"):
                    self.take()
        return table(name, [row for row in (*rows, tuple(row)) if row])

    def kind_of_number(self) -> Node:
        """A condition in words, as "if n is odd"; any other item as it is."""
        start = self.at
        while self.peek() and self.peek() not in ("&", "\\\\") and not self.peek().startswith(r"\end"):
            self.take()
        written = unwrapped(" ".join(self.tokens[start : self.at]))
        if _OF_NUMBERS.search(written):
            return Node("text", (), " ".join(_SAYING_NOTHING.sub(" ", written).strip(" ,.;").split()))
        self.at = start
        return self.item()


def table(name: str, rows: list[tuple[Node, ...]]) -> Node:
    """What the rows of an environment are: a matrix, the equations of a system, or a distinction of cases."""
    if not rows:
        raise Unreadable("empty matrix")
    widths = {len(row) for row in rows}
    if name in _SYSTEMS or name == "array" and widths == {1} and all(row[0].kind == "rel" for row in rows):
        if widths == {1}:
            return Node("list", tuple(row[0] for row in rows), "and")
        if name == "cases" and widths == {2}:
            return Node("cases", tuple(rows))
        raise Opaque("a case distinction")
    if len(widths) > 1:
        raise Unreadable("rows of different lengths")
    return Node("matrix", tuple(rows), name)


def _chosen(base: Node, exponent: Node) -> Node | None:
    """C_10^3, how many ways there are to choose three of ten."""
    letter, _, below = str(base.value).partition("_")
    if base.kind != "sym" or letter != "C" or exponent.kind != "num" or not below.isdecimal():
        return None
    whole = Fraction(int(below[:9]))
    return Node("binom", (Node("num", (), whole), exponent)) if exponent.value <= whole else None


def _joined(items: list[Node], joints: list[str]) -> Node:
    """A list; "and" joins more closely than "or" where both occur."""
    if not {"and", "or"} <= {*joints}:
        return Node("list", tuple(items), max(joints, default=""))
    groups = [[items[0]]]
    for joint, item in zip(joints, items[1:], strict=True):
        if joint == "and":
            groups[-1].append(item)
        else:
            groups.append([item])
    parts = (group[0] if len(group) == 1 else Node("list", tuple(group), "and") for group in groups)
    return Node("list", tuple(parts), "or")


def _is_unknown(token: str) -> bool:
    """Whether a command is none that this reader gives a meaning to."""
    return (
        token[:1] == "\\"
        and len(token) > 2
        and token[1:].isalpha()
        and token[1:] not in _KNOWN
        and not token.startswith(r"\mathbb")
    )


def _with_index(node: Node, index: Node) -> dict[Node, Node]:
    """Functions of what stands below for the a_i and a_{ij} of a sum over i. Raises Opaque for a_{i+1}."""
    found = {}
    for name in symbols(node):
        letter, _, below = name.partition("_")
        if index.value not in below:
            continue
        if not below.isalpha() or len(below) > 3:
            raise Opaque("a sum of terms with an index")
        signs = (index if sign == index.value else Node("sym", (), sign) for sign in below)
        found[Node("sym", (), name)] = Node("app", tuple(signs), letter)
    return found


class _Differential(NamedTuple):
    """A product such as 2 d^2 y."""

    before: tuple[Node, ...]
    letter: Node  # d, or the sign of partial ones
    order: Node
    of: tuple[Node, ...]


def _differential(node: Node) -> _Differential | None:
    """The first differential in a product; None where there is none."""
    factors = node.parts if node.kind == "mul" else (node,)
    for place, factor in enumerate(factors):
        letter, order = factor.parts if factor.kind == "pow" else (factor, Node("num", (), Fraction(1)))
        if letter in _DIFFERENTIALS:
            return _Differential(factors[:place], letter, order, factors[place + 1 :])
    return None


def _is_round(node: Node) -> bool:
    return node.kind in ("pair", "tuple") and node.value == "()"


def _is_vector(node: Node) -> bool:
    return node.kind == "sym" or node.kind == "neg" and node.parts[0].kind == "sym"


def _cross_product(left: Node, right: Node) -> Node:
    """A product of vectors, which changes its sign with their order."""
    if left.kind == "neg":
        return Node("neg", (_cross_product(left.parts[0], right),))
    if repr(left) <= repr(right):
        return Node("app", (left, right), "cross")
    return Node("neg", (Node("app", (right, left), "cross"),))


def _product(factors: list[Node]) -> Node:
    return factors[0] if len(factors) == 1 else Node("mul", tuple(factors))


def _word(token: str) -> str:
    r"""What stands in \text{...}; any other token as it is."""
    return token[6:-1] if token.startswith(r"\text{") else token


def _is_word(token: str) -> bool:
    return token.startswith(r"\text{") or len(token) > 1 and token.isalpha()


_PARTIAL = Node("sym", (), "partial")
_DIFFERENTIALS = (Node("sym", (), "d"), _PARTIAL)
_GREEK_FUNCTIONS = frozenset(
    "phi Phi psi Psi zeta Gamma sigma tau mu omega Omega Theta delta eta Lambda".split()
)
_DRESSES = frozenset(("vec", "overrightarrow"))  # of letters that may go without
_SAME_MARKS = {"overline": "bar", "widehat": "hat", "overbar": "bar"}
_OF_MANY = frozenset(("min", "max", "gcd", "lcm"))
_OF_COMPLEX = frozenset(("Re", "Im", "arg"))
_JOINTS = {r"\and": "and", r"\land": "and", r"\wedge": "and", r"\or": "or", r"\lor": "or", r"\vee": "or"}
_TRANSPOSE = Node("sym", (), "T")
_DOTS = Node("sym", (), "...")
_FIXED = {"infty": Node("inf"), "emptyset": Node("set"), "varnothing": Node("set")}
_FIXED.update(dict.fromkeys("ldots dots cdots dotsc dotsb dotsm vdots ddots".split(), _DOTS))
_COLONS = frozenset((":", r"\colon"))
_LINES = frozenset((r"\overline", r"\bar", r"\dot", r"\overbar"))  # above the digits that recur
_INVERSE = {
    "sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sinh": "arsinh", "cosh": "arcosh"
}  # fmt: skip
_ALIGNED = frozenset("aligned align align* gathered split".split())
_SYSTEMS = _ALIGNED | {"cases", "equation", "gather"}
_ARROWS = frozenset(("vec", "overrightarrow"))
_DECORATIONS = frozenset("overline bar vec hat widehat tilde overrightarrow dot ddot overbrace".split())
_NAMED_KINDS = {"factorial": "fact", "binomial": "binom"}  # as programs write them
_WHEN = frozenset("if when for where as".split())
_RESTRICTIONS = {"+": "+", ">0": "+", "-": "-", "<0": "-", "\\ast": "", "\\gt0": "+"}
_OPAQUE = frozenset("int iint oint lim limsup liminf nabla bigcup bigcap".split())
_NOT_FACTORS = frozenset(
    "and or pm mp cup cap cupdot setminus backslash mid vert rvert rfloor rceil rangle rbrace choose over"
    " pmod mod bmod land lor wedge vee cdot times div degree circ le ge ne in notin end colon prime to"
    " because therefore hline Vert rbrack deg".split()
)
_KNOWN = (
    frozenset(
        "operatorname frac binom dbinom tbinom pi surd boxed fbox lvert lfloor lceil langle lbrace".split()
    )
    | frozenset("angle triangle measuredangle sum prod".split())
    | FUNCTIONS
    | LETTERS
    | _FIXED.keys()
    | _DECORATIONS
    | _OPAQUE
    | _NOT_FACTORS
    | {sign[1:] for sign in (*RELATIONS, *PRODUCTS) if sign[0] == "\\"}
)
