"""How does a command stop before it has spent more than it may?

Call `open_metered` instead of open_engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from util.engines import open_engine
from util.engines.deadline import Deadline, shown_time
from util.engines.options import Engine, EngineOptions
from util.engines.prices import limited_price, money, price_of
from util.errors import UserError
from util.records import Completion, Failure, Request

TEMPLATE_TOKENS = 100  # what a chat template may add to the messages of a request


def open_metered(
    options: EngineOptions,
    *,
    max_tokens: int,
    max_cost: float | None = None,
    max_tokens_total: int | None = None,
    until: float | None = None,
    opening: Callable[[EngineOptions], Engine] = open_engine,
) -> MeteredEngine:
    """Start an engine that stops asking before it has spent `max_cost` dollars or `max_tokens_total` tokens.

    Raises UserError when an answer of `max_tokens` is over a limit, when a cost is limited and the model has
    no price, and when the table of prices is damaged.
    """
    limits = []
    price_of(options.model)  # raises where the table is damaged: not once answers are paid for
    if max_cost is not None:
        price = limited_price(options.model)
        if options.batch is not None:
            price = price.in_batches
        limits.append(Limit(max_cost, price.of, "--max-cost", money))
    if max_tokens_total is not None:
        limits.append(
            Limit(
                max_tokens_total,
                lambda prompt, completion: prompt + completion,
                "--max-tokens-total",
                "{:,.0f} tokens".format,
            )
        )
    for limit in limits:
        limit.check_allows(limit.spent_on(0, max_tokens))
    budget = options.thinking_budget if options.engine_name == "openai" else None
    deadline = None if until is None else Deadline(until)  # before an engine starts: it may be past
    return MeteredEngine(opening(options), tuple(limits), budget, deadline)


@dataclass(frozen=True)
class Limit:
    """The most that may be spent of something."""

    most: float
    spent_on: Callable[[int, int], float]  # by a number of prompt tokens and one of completion tokens
    flag: str  # where the person set it
    unit: Callable[[float], str]  # writes an amount, such as 5,000 tokens

    def check_allows(self, one: float) -> None:
        """Raises UserError when a single request that uses so much is over the limit."""
        if one > self.most:
            raise UserError(
                f"{self.flag} allows {self.unit(self.most)}, but one request may use "
                f"{self.unit(one)}: raise {self.flag} or lower --max-tokens"
            )


class MeteredEngine:
    """An engine that is asked only what its limits surely allow.

    A request under way counts with the most it can use, `max_tokens` and a token for each byte of its
    prompt; when it is answered it counts with what it used, and so do answers that broke off. So a limit is
    never passed, but for those, as the request is asked again. No request begins that would not end before
    the deadline. `exhausted` says whether requests were left out.
    """

    def __init__(
        self,
        engine: Engine,
        limits: tuple[Limit, ...] = (),
        thinking_budget: int | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self._engine = engine
        self._deadline = deadline
        self._begun: dict[int, float] = {}  # id of a request -> when it was handed to the engine
        self._thinking_budget = thinking_budget  # prompt and thought are sent again when it is used up
        self._limits = limits
        self._answered = [0.0] * len(limits)  # spent on what was answered
        self._under_way: dict[int, list[float]] = {}  # id of a request -> the most that it can use
        self.exhausted = ""  # which limit is used up, in words
        self.version = getattr(engine, "version", None)
        self.model: dict[str, str] = getattr(engine, "model", {})

    @property
    def left_out(self) -> list[str]:
        """Fields of requests that an endpoint refuses."""
        return getattr(self._engine, "left_out", [])

    @property
    def answered_as(self) -> list[str]:
        """Other names of the model that an endpoint answers with."""
        return getattr(self._engine, "answered_as", [])

    def generate(self, requests: Iterable[Request | None]) -> Iterator[tuple[Request, Completion | Failure]]:
        """Raises UserError when a limit does not even allow the first request."""
        for request, result in self._engine.generate(self._allowed(requests)):
            self._under_way.pop(id(request))
            if self._deadline is not None:
                self._deadline.note(time.monotonic() - self._begun.pop(id(request)))
            if isinstance(result, Completion):
                used = (result.prompt_tokens, result.completion_tokens)
                self._answered = [
                    spent + limit.spent_on(*used)
                    for spent, limit in zip(self._answered, self._limits, strict=True)
                ]
            yield request, result

    def at_once(self, tokens: int) -> int:
        """How many requests of so many tokens it computes at a time, one more at little cost; 0: it does not
        say, or the person limits what is spent."""
        at_once = getattr(self._engine, "at_once", None)
        return 0 if at_once is None or self._limits else at_once(tokens)

    def check_goes_on(self, flag: str) -> None:
        """Raise UserError where no answer can be begun for the model, as `flag` needs, before it is asked."""
        check = getattr(self._engine, "check_goes_on", None)
        if check is not None:
            check(flag)

    def close(self) -> None:
        self._engine.close()

    def _allowed(self, requests: Iterable[Request | None]) -> Iterator[Request | None]:
        for request in requests:
            if request is not None:
                prompt_tokens = TEMPLATE_TOKENS + sum(
                    len(message["content"].encode("utf-8", "backslashreplace"))
                    for message in request.messages
                )
                if self._thinking_budget is not None:
                    prompt_tokens += prompt_tokens + min(self._thinking_budget, request.max_tokens)
                most = [limit.spent_on(prompt_tokens, request.max_tokens) for limit in self._limits]
                while (limit := self._passed(most)) is not None and self._under_way:
                    yield None  # answers to come use less than they might
                if limit is not None:
                    self._stop(limit, most)
                    return
                if self._deadline is not None:
                    if not self._deadline.allows_another():
                        self._stop_in_time(self._deadline)
                        return
                    self._begun[id(request)] = time.monotonic()
                self._under_way[id(request)] = most
            yield request

    def _spent(self, number: int) -> float:
        """What was spent of one limit's kind."""
        wasted: tuple[int, int] = getattr(self._engine, "wasted", (0, 0))
        return self._answered[number] + self._limits[number].spent_on(*wasted)

    def _passed(self, more: list[float]) -> Limit | None:
        """The limit that would be passed if so much more were spent."""
        for number, limit in enumerate(self._limits):
            under_way = sum(most[number] for most in self._under_way.values())
            if self._spent(number) + under_way + more[number] > limit.most:
                return limit
        return None

    def _stop_in_time(self, deadline: Deadline) -> None:
        seconds = deadline.expected_s()
        how_long = f"about {seconds:,.0f} s" if seconds >= 1 else "less than a second"
        self.exhausted = (
            f"the time of this job ends at {shown_time(deadline.end)}, and a request takes {how_long}: run "
            "the same command again for the rest"
        )

    def _stop(self, limit: Limit, most: list[float]) -> None:
        number = self._limits.index(limit)
        if not any(self._spent(each) for each in range(len(self._limits))):
            limit.check_allows(most[number])
        spent, allowed, one = map(limit.unit, (self._spent(number), limit.most, most[number]))
        self.exhausted = (
            f"{spent} of the {allowed} of {limit.flag} are spent, and another request may use {one}: "
            "run the same command again to spend as much again"
        )
