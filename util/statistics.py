"""What do the records of a run say in numbers, and over how many samples was each number computed?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from util.records import NOT_JUDGED, Record


@dataclass
class Tally:
    """Counts over the samples at one temperature."""

    problems: set[str] = field(default_factory=set)
    samples: int = 0
    judged: int = 0  # samples with a verdict that says something about them
    correct: int = 0
    truncated: int = 0  # stopped by the token limit, or the prompt did not fit
    no_answer: int = 0  # judged, and no answer or program was found
    not_judged: dict[str, int] = field(default_factory=dict)  # reason -> samples
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, record: Record) -> None:
        self.problems.add(record.sample.problem_id)
        self.samples += 1
        self.truncated += record.sample.finish_reason in ("length", "prompt_too_long")
        self.prompt_tokens += record.sample.prompt_tokens
        self.completion_tokens += record.sample.completion_tokens
        verdict = record.verdict
        if verdict is None or verdict.reason in NOT_JUDGED:
            reason = "not_graded" if verdict is None else verdict.reason
            self.not_judged[reason] = self.not_judged.get(reason, 0) + 1
            return
        self.judged += 1
        self.correct += verdict.correct
        self.no_answer += verdict.reason in ("no_answer", "no_code")


def summarise(records: Iterable[Record]) -> dict[str, dict]:
    """Per temperature (as text, rising): accuracy with what it was computed over, shares and tokens.

    `accuracy` is correct / judged; None when nothing was judged. `truncated` and `no_answer` are counts of
    samples.
    """
    tallies: dict[float, Tally] = {}
    for record in records:
        tallies.setdefault(record.sample.temperature, Tally()).add(record)
    return {f"{temperature:g}": _numbers(tally) for temperature, tally in sorted(tallies.items())}


def _numbers(tally: Tally) -> dict:
    return {
        "accuracy": tally.correct / tally.judged if tally.judged else None,
        "correct": tally.correct,
        "judged": tally.judged,
        "samples": tally.samples,
        "problems": len(tally.problems),
        "truncated": tally.truncated,
        "no_answer": tally.no_answer,
        "not_judged": tally.not_judged,
        "prompt_tokens": tally.prompt_tokens,
        "completion_tokens": tally.completion_tokens,
    }
