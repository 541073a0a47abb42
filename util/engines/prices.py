"""What will asking an API cost, and what did it?

Call `cost_line` for a sentence, `dollars` for a number, `price_of` for the two prices of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf, log10
from pathlib import Path

from util.errors import UserError

PRICES = Path(__file__).parent / "prices.txt"


BATCH_FACTOR = 0.5  # what vendors usually take in a batch, where the table says nothing else


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens."""

    prompt: float
    completion: float
    batch: float = BATCH_FACTOR  # what a batch costs of it

    @property
    def in_batches(self) -> Price:
        """The price of the same tokens asked in a batch."""
        return Price(self.prompt * self.batch, self.completion * self.batch)

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


def price_of(model: str, *, table: Path = PRICES) -> Price | None:
    """The price of `model` ("openai/NAME" or "NAME") in the table; None when it does not stand there.

    Raises UserError for a line that is none, or the second one of its model.
    """
    found: dict[str, Price] = {}
    lines = table.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        name = fields[0].removeprefix("openai/")
        if name in found:
            raise UserError(f"{table} line {number} prices {name} a second time: keep one of the lines")
        try:
            found[name] = _read_price(fields[1:])
        except (TypeError, ValueError):
            raise UserError(
                f"{table} line {number} is {line!r}: write a model, two prices in dollars such as 0.15 and, "
                f"if it is not {BATCH_FACTOR:g}, the share of them that a batch costs"
            ) from None
    return found.get(model.removeprefix("openai/"))


def limited_price(model: str) -> Price:
    """The price of a model whose cost is limited; raises UserError where the table has none."""
    price = price_of(model)
    if price is None:
        raise UserError(
            f"--max-cost needs the price of {model}: add a line for it to {PRICES}, or limit tokens with "
            "--max-tokens-total"
        )
    return price


def _read_price(fields: list[str]) -> Price:
    """Raises TypeError for too few or too many numbers, ValueError for what is no price."""
    if not "".join(fields).isascii():
        raise ValueError("digits of another script")
    price = Price(*map(float, fields))
    if not all(0 <= one < inf for one in vars(price).values()) or price.batch > 1:
        raise ValueError("no price")
    return price


def dollars(
    model: str, prompt_tokens: int, completion_tokens: int, *, in_batches: bool = False
) -> float | None:
    """What so many tokens cost; None where the table has no price."""
    price = _price(model, in_batches)
    return None if price is None else price.of(prompt_tokens, completion_tokens)


def cost_line(model: str, prompt_tokens: int, completion_tokens: int, *, in_batches: bool = False) -> str:
    """Tokens and dollars in words, for people; without dollars where the table is damaged, and why."""
    tokens = f"{prompt_tokens:,} prompt and {completion_tokens:,} completion tokens"
    try:
        price = _price(model, in_batches)
    except UserError as error:  # when all is done, say: no reason to end as if it was not
        return f"{tokens}; {error}"
    if price is None and not model.startswith("openai/"):  # a machine or an endpoint of one's own
        return tokens
    if price is None:
        return f"{tokens}; {PRICES.name} has no price for {model}"
    return f"{tokens}, {money(price.of(prompt_tokens, completion_tokens))} at the prices in {PRICES.name}"


def money(dollars: float) -> str:
    """Dollars in words, less than a cent with two digits that count."""
    if 0 < dollars < 1e-9:
        return f"${dollars:.1e}"
    digits = 1 - floor(log10(dollars)) if 0 < dollars < 0.01 else 2
    return f"${dollars:,.{digits}f}"


def forecast_line(model: str, prompt_tokens: int, completion_tokens: int) -> str:
    """As `cost_line`, with the price in batches as well."""
    line = cost_line(model, prompt_tokens, completion_tokens)
    in_batches = dollars(model, prompt_tokens, completion_tokens, in_batches=True)
    return line if in_batches is None else f"{line}, {money(in_batches)} with --batch"


def _price(model: str, in_batches: bool) -> Price | None:
    price = price_of(model)
    return price.in_batches if price is not None and in_batches else price
