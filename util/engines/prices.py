"""What will asking an API cost, and what did it?

Call `cost_line` for a sentence, `dollars` for a number, `price_of` for the two prices of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path

from util.errors import UserError

PRICES = Path(__file__).parent / "prices.txt"


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


def price_of(model: str, *, table: Path = PRICES) -> Price | None:
    """The price of `model` ("openai/NAME" or "NAME") in the table; None when it does not stand there."""
    name = model.removeprefix("openai/")
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        try:
            known, price = fields[0], Price(float(fields[1]), float(fields[2]))
            if not (0 <= price.prompt < inf and 0 <= price.completion < inf):
                raise ValueError(line)
        except (IndexError, ValueError):
            raise UserError(
                f"{table} line {number} is {line!r}: write a model and two prices in dollars"
            ) from None
        if known == name:
            return price
    return None


def dollars(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """What so many tokens cost; None where the table has no price."""
    price = price_of(model)
    return None if price is None else price.of(prompt_tokens, completion_tokens)


def cost_line(model: str, prompt_tokens: int, completion_tokens: int) -> str:
    """Tokens and dollars in words, for people."""
    tokens = f"{prompt_tokens:,} prompt and {completion_tokens:,} completion tokens"
    price = price_of(model)
    if price is None and not model.startswith("openai/"):  # a machine or an endpoint of one's own
        return tokens
    if price is None:
        return f"{tokens}; {PRICES.name} has no price for {model}"
    spent = price.of(prompt_tokens, completion_tokens)
    digits = 4 if 0 < spent < 0.01 else 2
    return f"{tokens}, ${spent:.{digits}f} at the prices in {PRICES.name}"
