"""What stands at one place of an answer: a numeral, a name, a command, or something in brackets?"""

from __future__ import annotations

from fractions import Fraction

from util.grading.maths.commands import Commands
from util.grading.maths.tokens import RELATIONS
from util.grading.maths.tree import MAX_DEPTH, Node, Unreadable
from util.grading.maths.units import BARE_UNITS


class Leaves(Commands):
    """Reads the smallest parts; what inherits from it defines `statement` and `sum`."""

    def primary(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
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
            tree = Node("sym", (), "...")
        else:
            raise Unreadable(f"unexpected {token[:20]}")
        self.depth -= 1
        return tree

    def name(self, token: str) -> Node:
        if len(token) > 3 and token.lower() not in BARE_UNITS:
            return Node("text", (), token)
        tree = (
            Node("const", (), token) if token in ("e", "i") and self.peek() != "_" else Node("sym", (), token)
        )
        if tree.kind == "sym":
            tree = self.subscript(tree)
            if self.tokens[self.at : self.at + 6] == ["^", "{", "-", "1", "}", "("] and token in "fghFGH":
                self.at += 5
                return self.application(tree._replace(value=f"{token}^-1"))
            if (
                self.tokens[self.at : self.at + 2] == ["{", "("]
                and token in "fghFGHNPp"
                and self.closes_twice()
            ):
                del self.tokens[self.at]  # f{(x)}, as sympy prints it
            if self.peek() == "(" and token.isupper() and (point := self.point(tree)):
                return point
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
        return Node("app", inside.parts if inside.kind == "list" else (inside,), symbol.value)

    def group(self) -> Node:
        if self.peek() == "}":
            self.take()
            return Node("num", (), Fraction(1))  # {} holds nothing, as in {}^\circ
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
        if rest[0].parts[1] not in _WHOLE_NUMBERS:
            return None
        self.free.append(str(rest[0].parts[0].value))
        return first

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
        if inside.kind == "neg" and self.peek()[:1].isdecimal():
            return Node("mul", (inside,))  # (-1) 5 is a product
        return inside

    def between(self, closing: str) -> Node:
        inside = self.statement()
        if self.peek() in ("|", r"\rvert") and closing == r"\rvert":
            closing = self.peek()
        self.expect(closing)
        return inside

    # -- commands


def _is_round(node: Node) -> bool:
    return node.kind in ("pair", "tuple") and node.value == "()"


_WHOLE_NUMBERS = (
    Node("domain", (), "Z"),
    Node("domain", (), "N"),
    Node("sym", (), "Z"),
    Node("sym", (), "N"),
)
