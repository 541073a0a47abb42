"""What would the rewrite model be asked about a run, and what would that cost?

`forecast` counts questions and tokens; its `lines` are for the person at the keyboard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from util.engines.prices import dollars, forecast_line
from util.engines.tokens import open_counter
from util.runs.batches import questions_waiting
from util.terminal import number_of
from util.training.pairs.cutter import JUDGE_TOKENS, TRIES, Cutter, judge_prompt

PASSAGES = 2  # assumed: so many to judge in a response that the model cuts, each half of it
SHARE_USED = 1 / 4  # assumed: of the tokens that an answer may have


@dataclass(frozen=True)
class ExpectedCost:
    """Questions and tokens; `most_` where every question is asked again and every answer as long as it may
    be."""

    model: str
    to_cut: int
    to_judge: int
    waiting: int  # questions that batches were asked already
    prompt_tokens: int
    completion_tokens: int
    most_completion_tokens: int
    counted_by: str

    @property
    def requests(self) -> int:
        return self.to_cut + self.to_judge

    @property
    def most_prompt_tokens(self) -> int:
        return TRIES * self.prompt_tokens

    def lines(self) -> list[str]:
        """The forecast for people."""
        expected = forecast_line(self.model, self.prompt_tokens, self.completion_tokens)
        most = forecast_line(self.model, self.most_prompt_tokens, self.most_completion_tokens)
        waiting = [f"  {number_of(self.waiting, 'question is', 'questions are')} asked in batches already"]
        return [
            f"{self.model} would be asked where attempts begin in {self.to_cut:,} responses",
            f"  and if {self.to_judge:,} passages are right ({PASSAGES} a response that it cuts, assumed)",
            *(waiting if self.waiting else []),
            f"  expected: {expected} (answers a quarter as long as they may be, {self.counted_by})",
            f"  at most: {most} (every question asked {TRIES} times)",
        ]

    def as_json(self) -> dict:
        return {
            "requests": self.requests,
            "to_cut": self.to_cut,
            "to_judge": self.to_judge,
            "in_batches": self.waiting,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "most_completion_tokens": self.most_completion_tokens,
            "dollars": dollars(self.model, self.prompt_tokens, self.completion_tokens),
            "batch_dollars": dollars(self.model, self.prompt_tokens, self.completion_tokens, in_batches=True),
            "most_dollars": dollars(self.model, self.most_prompt_tokens, self.most_completion_tokens),
        }


def forecast(cutter: Cutter, numbers: Iterable[int], *, model: str, max_tokens: int) -> ExpectedCost:
    """What `model` would be asked about these responses."""
    numbers = list(numbers)
    counter = open_counter(model if numbers else "none")
    to_cut = to_judge = waiting = prompt_tokens = 0
    is_waiting = questions_waiting(cutter.batches)
    for question in cutter.to_split(numbers, max_tokens):
        response = question.about
        half = response.slices.thought[: len(response.slices.thought) // PASSAGES]
        to_judge += PASSAGES
        if is_waiting(question.name):
            waiting += 1
        else:
            to_cut += 1
            prompt_tokens += counter.count(question.prompt)
        prompt_tokens += PASSAGES * counter.count(judge_prompt(response.record, half))
    for question in cutter.to_judge(numbers):
        if is_waiting(question.name):
            waiting += 1
            continue
        to_judge += 1
        prompt_tokens += counter.count(question.prompt)
    most = to_cut * max_tokens + to_judge * JUDGE_TOKENS
    return ExpectedCost(
        model=model,
        to_cut=to_cut,
        to_judge=to_judge,
        waiting=waiting,
        prompt_tokens=prompt_tokens,
        completion_tokens=round(most * SHARE_USED),
        most_completion_tokens=TRIES * most,
        counted_by=f"prompts counted by {counter.by}" if counter.encode else "one token per four characters",
    )
