"""What does a LaTeX command in an answer say: a fraction, a root, a function, a matrix?"""

from __future__ import annotations

from fractions import Fraction

from util.grading.maths.numerals import Numerals
from util.grading.maths.tokens import FUNCTIONS, SYMBOL_NAMES, SYNONYMS
from util.grading.maths.tree import Node, Opaque, Unreadable, has, replaced


class Commands(Numerals):
    """Reads commands; what inherits from it defines `statement`, `item`, `sum`, `power` and `primary`."""

    def argument(self) -> Node:
        """What a command applies to: a group, or the next single digit or token."""
        token = self.peek()
        if token[:1].isdecimal() and len(token) > 1 and token.isdecimal():
            self.tokens[self.at] = token[0]
            self.tokens.insert(self.at + 1, token[1:])
        return self.primary()

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

    def command(self, token: str) -> Node:
        name = token[1:]
        if name in FUNCTIONS or name in ("operatorname",):
            return self.function(SYNONYMS.get(name, name))
        if name == "frac":
            return Node("div", (self.argument(), self.argument()))
        if name in ("binom", "dbinom", "tbinom"):
            return Node("binom", (self.argument(), self.argument()))
        if token.startswith(r"\begin{"):
            return self.environment(token[token.index("{") + 1 : -1])
        if token.startswith(r"\text{"):
            return Node("text", (), token[6:-1])
        if name == "infty":
            return Node("inf")
        if name == "pi":
            return self.subscript(Node("sym" if self.peek() == "_" else "const", (), "pi"))
        if name == "surd":
            return self.root()
        if name in ("emptyset", "varnothing"):
            return Node("set")
        if token.startswith(r"\mathbb"):
            return Node("domain", (), name[-1] + self.restriction())
        if name in _DECORATIONS:
            return self.decorated(name)
        if name in ("lvert", "vert"):
            return Node("func", (self.between(r"\rvert" if name == "lvert" else r"\vert"),), "abs")
        if name in ("lfloor", "lceil"):
            return Node("func", (self.between(r"\r" + name[1:]),), name[1:])
        if name == "langle":
            inside = self.between(r"\rangle")
            return Node("pair" if len(inside.parts) == 2 else "tuple", inside.parts, "()")
        if name == "lbrace":
            return self.braces(r"\rbrace")
        if name in ("angle", "triangle", "measuredangle"):
            return Node("sym", (), name + "".join(self.letters()))
        if name in _DOTS:
            return Node("sym", (), "...")
        if name in ("sum", "prod"):
            return self.big(name)
        if name in _OPAQUE:
            raise Opaque(f"cannot read {token}")
        if name in NOT_FACTORS:
            raise Unreadable(f"cannot read {token}")
        return self.subscript(Node("sym", (), SYMBOL_NAMES.get(name, name)))

    def restriction(self) -> str:
        r"""The + of \mathbb{R}^+, the 2 of \mathbb{R}^2; what stands for the positive ones is one sign."""
        start = self.at
        while self.peek() in ("^", "_"):
            self.take()
            if self.peek() == "{":
                self.skip_group()
            else:
                self.take()
        written = "".join(token for token in self.tokens[start : self.at] if token not in "{}^_*")
        return _RESTRICTIONS.get(written, written)

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
        if decoration == "overline" and inside.kind == "mul" and written.isupper():
            return inside  # a segment
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
        if name in _NAMED_KINDS:
            tree = Node(_NAMED_KINDS[name], tuple(arguments))
        elif name in ("log", "lg") and base is not None:
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
                or bare in FUNCTIONS
                and bare != "sqrt"
                or not self.starts_factor(token, tree)
            ):
                break
            factors.append(self.power())
            tree = factors[-1]
        tree = product(factors)
        if (
            self.peek() == "/"
            and self.tokens[self.at + 1 : self.at + 2]
            and self.tokens[self.at + 1].isdecimal()
        ):
            self.take()  # sin x/2 is the sine of half of x
            tree = Node("div", (tree, self.power()))
        return [Node("neg", (tree,)) if sign else tree]

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
        inside = replaced(inside, start.parts[0], Node("sym", (), hidden))
        return Node("big", (inside, start.parts[1], end), (name, hidden))

    def environment(self, name: str) -> Node:
        if name == "array" and self.peek() == "{":
            self.skip_group()
        if name in _ALIGNED and rf"\end{{{name}}}" in self.tokens[self.at :]:
            end = self.tokens.index(rf"\end{{{name}}}", self.at)
            self.tokens[self.at : end] = [token for token in self.tokens[self.at : end] if token != "&"]
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
                while name == "cases" and row and self.peek().lower() in _WHEN:
                    self.take()
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
                if name == "cases" and all(len(row) == 2 for row in rows):
                    return Node("cases", tuple(rows))
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


def product(factors: list[Node]) -> Node:
    return factors[0] if len(factors) == 1 else Node("mul", tuple(factors))


_INVERSE = {
    "sin": "arcsin",
    "cos": "arccos",
    "tan": "arctan",
    "cot": "arccot",
    "sinh": "arsinh",
    "cosh": "arcosh",
}
_SYSTEMS = frozenset(("aligned", "align", "align*", "gathered", "split", "cases", "equation", "gather"))
_ALIGNED = frozenset(("aligned", "align", "align*", "gathered", "split"))
_DECORATIONS = frozenset("overline bar vec hat widehat tilde overrightarrow dot ddot overbrace".split())
_DOTS = frozenset("ldots dots cdots dotsc dotsb dotsm vdots ddots".split())
_NAMED_KINDS = {"factorial": "fact", "binomial": "binom"}  # as programs write them
_WHEN = frozenset(
    (r"\text{if}", r"\text{when}", r"\text{for}", r"\text{where}", r"\text{as}", "if", "when", "for")
)
_RESTRICTIONS = {"+": "+", ">0": "+", "-": "-", "<0": "-", "\\ast": "", "\\gt0": "+"}
_OPAQUE = frozenset("int iint oint lim limsup liminf partial nabla bigcup bigcap".split())
NOT_FACTORS = frozenset(
    "and or pm mp cup cap cupdot setminus backslash mid vert rvert rfloor rceil"
    " rangle rbrace choose over pmod mod bmod"
    " land lor wedge vee cdot times div degree circ le ge ne in notin end colon"
    " prime to because therefore hline Vert"
    " implies iff Leftrightarrow rbrack deg".split()
)
