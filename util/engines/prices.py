"""What will asking an API cost, and what did it?"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path

from util.engines import open_engine
from util.engines.metered import Limit, MeteredEngine
from util.engines.options import EngineOptions
from util.errors import UserError

PRICES = Path(__file__).parent / "prices.txt"
CHARS_PER_TOKEN = 4  # English text and LaTeX, roughly


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


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return len(text) // CHARS_PER_TOKEN + 1


def open_metered(
    options: EngineOptions,
    *,
    max_tokens: int,
    max_cost: float | None = None,
    max_tokens_total: int | None = None,
) -> MeteredEngine:
    """Start an engine that stops asking before it has spent `max_cost` dollars or `max_tokens_total` tokens.

    Raises UserError when an answer of `max_tokens` is over a limit, and when a cost is limited and the model
    has no price.
    """
    limits = []
    if max_cost is not None:
        price = price_of(options.model)
        if price is None:
            raise UserError(
                f"--max-cost needs the price of {options.model}: add a line for it to {PRICES}, "
                "or limit tokens with --max-tokens-total"
            )
        limits.append(Limit(max_cost, price.of, "--max-cost", "${:,.4f}"))
    if max_tokens_total is not None:
        limits.append(
            Limit(
                max_tokens_total,
                lambda prompt, completion: prompt + completion,
                "--max-tokens-total",
                "{:,.0f} tokens",
            )
        )
    for limit in limits:
        limit.check_allows(limit.spent_on(0, max_tokens))
    return MeteredEngine(open_engine(options), tuple(limits))


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
