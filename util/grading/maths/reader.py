"""What does an answer written in LaTeX, Unicode or plain keyboard maths say?

`clean` brings the many spellings of one thing together; `read` turns a cleaned answer into a tree of `Node`s,
or raises `Unreadable`. Both are bounded in length, depth and number of tokens, and evaluate nothing.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from util.grading.maths.commands import NOT_FACTORS, product
from util.grading.maths.leaves import Leaves
from util.grading.maths.spelling import clean
from util.grading.maths.tokens import (
    CLOSERS,
    LARGE_NUMBERS,
    PRODUCTS,
    RELATIONS,
    SEPARATORS,
    is_ambiguous,
    split_tokens,
)
from util.grading.maths.tree import MAX_CHARS, MAX_DEPTH, MAX_SIGNS, Node, Opaque, Reading, Unreadable

__all__ = ["MAX_CHARS", "clean", "is_ambiguous", "read"]

_CLAUSES = re.compile(
    r"[,.]?\s*(?:\\text\s*\{\s*)?\(?\b(?:for\s+(?:all|any|every|each|some)|where|with"
    r"|such that|as required)\b.*$"
)
_NAMED_FREE = re.compile(
    r"\b(?:any|all|each|every|some|where|with|constants?|reals?|integers?|numbers?|arbitrary)[\s}$]*\\?([a-zA-Z])(?![a-zA-Z])"
)
_DENIED = re.compile(r"\b(?:wrong|incorrect|not|false|never|unless|otherwise|except|no)\b")
_CONDITION = re.compile(  # (x \\ne 0), behind an equation
    r"(?<=[\w}])\s*\(\s*[a-z]\s*(?:\\neq?|\\geq?|\\leq?|\\geqslant|\\leqslant|[<>])[^()=]{1,30}\)$"
)
_SAYING_LITTLE = frozenset(
    "only approximately about either maximum minimum max min largest smallest greatest least".split()
)
_FORALL = re.compile(r"\s*,?\s*\(?\\forall\b(?=.).*$")
_PARAMETER = re.compile(
    r"[,;(]?\s*(?:\\text\s*\{\s*(?:where|for|with)?[^{}]{0,20}\}\s*)?\(?\b([a-zA-Z])\s*\\in\s*(?:\\mathbb\s*|\\mathbf\s*)?\{?\s*[ZN]\s*\}?"
    r"(?:\s*(?:\^|_)\s*(?:\{[^{}]{0,8}\}|[+*]))?\s*\)?\s*$"
)


@lru_cache(maxsize=2048)
def read(cleaned: str, *, as_list: bool = False) -> Reading:
    """A cleaned answer as a tree; `as_list` reads 1,234 as two numbers. Raises Unreadable."""
    if len(cleaned) >= MAX_CHARS:
        raise Unreadable("too long")
    if cleaned[:1] == "]" and cleaned[-1:] == "[":  # ]a, b[ is an open interval
        cleaned = "(" + cleaned[1:-1] + ")"
    parameter = _PARAMETER.search(cleaned)
    free: tuple[str, ...] = ()
    if parameter and parameter.start() > 0:
        cleaned, free = cleaned[: parameter.start()].rstrip(" ,;("), (parameter.group(1),)
    if "for" in cleaned or "wh" in cleaned or "th" in cleaned:
        clause = _CLAUSES.search(cleaned)
        if clause and cleaned[: clause.start()].strip():
            free += tuple(_NAMED_FREE.findall(clause.group()))
            cleaned = cleaned[: clause.start()]
    if "=" in cleaned and (condition := _CONDITION.search(cleaned)):
        cleaned = cleaned[: condition.start()]
    if r"\forall" in cleaned:
        shorter = _FORALL.sub("", cleaned)
        cleaned = shorter if shorter.strip() else cleaned.replace(r"\forall", " ")
    reader = _Reader(split_tokens(cleaned, as_list=as_list))
    tree = reader.whole()
    return Reading(tree, tuple(reader.units), (*free, *reader.free))


class _Reader(Leaves):
    """Recursive descent over the tokens of one answer."""

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
        while self.tokens[self.at] in SEPARATORS:
            self.take()
        while self.tokens[self.at] and self.tokens[self.at] not in CLOSERS:
            items.append(self.item())
            if self.tokens[self.at] not in SEPARATORS:
                break
            while self.tokens[self.at] in SEPARATORS:
                token = self.take()
                if token in (r"\and", r"\land", r"\wedge"):
                    joint = joint or "and"
                elif token in (r"\or", r"\lor", r"\vee"):
                    joint = "or"
        self.depth -= 1
        if not items:
            raise Unreadable("nothing here")
        if len(items) > 1 and items[0].kind == "rel" and items[0].value == ("!=",):  # x != 1, 2
            items[1:] = [
                item if item.kind == "rel" else items[0]._replace(parts=(items[0].parts[0], item))
                for item in items[1:]
            ]
        return items[0] if len(items) == 1 else Node("list", tuple(items), joint)

    def item(self) -> Node:
        label = self.label()
        first = self.combination()
        parts, operators = [first], []
        while self.tokens[self.at] in RELATIONS:
            operators.append(RELATIONS[self.take()])
            parts.append(self.combination())
        if self.tokens[self.at] == r"\pmod" or (
            self.tokens[self.at] == "("
            and self.tokens[self.at + 1 : self.at + 2] in (["mod"], [r"\mod"], [r"\bmod"])
        ):
            parts[-1] = Node("modulo", (parts[-1], self.modulus()))
        tree = Node("rel", tuple(parts), tuple(operators)) if operators else parts[0]
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
        if self.tokens[self.at] in (r"\max", r"\min") and self.tokens[self.at + 1] == "=":
            self.at += 2
            return self.tokens[self.at - 2][1:]
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
        elif not ends_in_colon and not (len(words) == 1 and words[0].lower() in _SAYING_LITTLE):
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
                factors.append(self.signed())
            elif token in PRODUCTS or token in (r"\bmod", r"\mod"):
                self.take()
                kind, value = ("div", None) if token in PRODUCTS else ("func", "mod")
                factors = [Node(kind, (product(factors), self.signed()), value)]
                operations += 1
                if operations > MAX_DEPTH:
                    raise Unreadable("too many divisions")
            elif self.starts_factor(token, factors[-1]):
                factors.append(self.power())
            else:
                return product(factors)

    def starts_factor(self, token: str, left: Node) -> bool:
        """Whether `token` goes on with a product without a sign."""
        if not token or token in CLOSERS or token in SEPARATORS or token in RELATIONS:
            return False
        first = token[0]
        if first.isdecimal() or first == ".":
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
            if token.startswith(r"\begin{"):
                return True
            return name.isalpha() and name not in NOT_FACTORS and not token.startswith((r"\text", r"\end"))
        if first == "|":
            return self.bars == 0 and not self.builder
        if token == "(" and self.tokens[self.at + 1 : self.at + 2] in (["mod"], [r"\mod"], [r"\bmod"]):
            return False
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
            if chosen := _chosen(base, exponent):
                return self.postfix(chosen)
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
            elif tree.kind in ("num", "decimal") and (scale := self.large_number()):
                tree = Node("mul", (tree, Node("num", (), Fraction(scale))))
            elif token == "_" and tree.kind in ("num", "decimal"):
                self.take()
                tree = self.based(tree)
            elif token == "_" and tree.kind in ("paren", "set", "pair", "tuple", "group"):
                self.take()
                self.primary()
            else:
                return tree

    def large_number(self) -> int:
        """The million of 8 million, if it stands here; 0 otherwise."""
        token = self.tokens[self.at]
        word = token[6:-1] if token.startswith(r"\text{") else token
        scale = LARGE_NUMBERS.get(word, 0)
        if scale:
            self.take()
        return scale

    def unit(self) -> None:
        """Skip a unit behind a value: words, with a power, a quotient or "per"."""
        start = self.at
        while True:
            token = self.peek()
            word = token[6:-1].lower() if token.startswith(r"\text{") else token.lower()
            is_word = token.startswith(r"\text{") or len(token) > 1 and token.isalpha()
            if is_word and not (token.isalpha() and self.at == 0):
                if _DENIED.search(word):
                    raise Unreadable("a value that is taken back")
                self.take()
                self.units.append(word)
                self.unit_power()
            elif token in ("/", r"\cdot") and self.at > start and self.tokens[self.at + 1 : self.at + 2] and (
                self.tokens[self.at + 1].startswith(r"\text{") or self.tokens[self.at + 1].isalpha()
            ):  # fmt: skip
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
            self.units.append(
                "^" + "".join(token for token in self.tokens[start : self.at] if token not in "{}")
            )


def _chosen(base: Node, exponent: Node) -> Node | None:
    """C_10^3, how many ways there are to choose three of ten."""
    letter, _, below = str(base.value).partition("_")
    if base.kind != "sym" or letter != "C" or exponent.kind != "num" or not below.isdecimal():
        return None
    whole = Fraction(int(below[:9]))
    return Node("binom", (Node("num", (), whole), exponent)) if exponent.value <= whole else None


_TRANSPOSE = Node("sym", (), "T")
