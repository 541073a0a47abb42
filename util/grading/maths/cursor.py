"""Where in an answer's tokens is the reader?"""

from __future__ import annotations

from util.grading.maths.tree import Unreadable


class Cursor:
    """The tokens of one answer and a place among them."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, ""]  # "" is the end
        self.at = 0
        self.depth = 0
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

    def skip_group(self) -> None:
        depth = 0
        while True:
            token = self.take()
            if not token:
                raise Unreadable("ends too early")
            depth += (token == "{") - (token == "}")
            if depth == 0:
                return
