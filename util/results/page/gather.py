"""What does a report need from its runs?

Call `read_run`: once for each run, in memory that does not grow with the responses.
"""

from __future__ import annotations

import heapq
import json
import math
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from util.errors import UserError
from util.records import Record
from util.response import part
from util.results.counting import OUTCOMES, Tally, counted, groups_of, outcome_of, stopped_early
from util.results.headline import Headline, headlines
from util.results.opinions import OpinionSummary, summarise_opinions
from util.results.page import PAGE_MB, PAGE_SAMPLES
from util.runs.folder import read_run_json, writer_of
from util.runs.offsets import name_digest
from util.runs.reader import StoredProblems, count_problems, read_records
from util.runs.repeat import next_step

MB = 1_000_000
EXTRACTED_CHARS = 300  # of an answer in the list; a longer one, as judges grade, is in the text


@dataclass
class RunFacts:
    """One run: where it lies, how it was made, and its numbers at each temperature."""

    folder: Path
    info: dict
    tallies: dict[float, Tally] = field(default_factory=dict)
    being_written_by: str | None = None
    opinions: OpinionSummary | None = None
    problems: int = 0  # how many are stored, answered or not

    @property
    def name(self) -> str:
        settings = self.info["settings"]
        return f"{settings.get('task')} · {settings.get('model')}"

    @cached_property
    def headlines(self) -> dict[float, Headline]:
        """The result at each temperature, of all that was asked."""
        return headlines(self.tallies, self.info, self.problems)

    @cached_property
    def numbers(self) -> dict[float, dict]:
        """The same as in run.json."""
        return {temperature: found.as_json() for temperature, found in self.headlines.items()}

    @property
    def judged(self) -> int:
        return sum(sum(tally.judged) for tally in self.tallies.values())


class Shelf:
    """Keeps at most `most` samples for the list, and no more than a page of `page_bytes` can hold.

    Of each run they are chosen evenly: those with the lowest hashes of their names. What is too much is taken
    from the run that takes most room, so that small runs are whole beside large ones. With `by_problem`,
    problems are chosen instead, and all their samples in all runs stay together.
    """

    def __init__(
        self, most: int = PAGE_SAMPLES, page_bytes: int = PAGE_MB * MB, *, by_problem: bool = False
    ) -> None:
        self.most = most
        self.page_bytes = page_bytes
        self._by_problem = by_problem
        self._runs: dict[int, _Kept] = {}  # by run; of problems, all runs in one
        self._sequence = 0
        self._file = tempfile.TemporaryFile()

    @property
    def seen(self) -> int:
        return sum(kept.seen for kept in self._runs.values())

    def offer(self, run: int, record: Record) -> None:
        kept = self._runs.setdefault(0 if self._by_problem else run, _Kept())
        kept.seen += 1
        self._sequence += 1
        key = record.sample.key
        rank = -name_digest(0, key[0], 0.0, 0) if self._by_problem else -name_digest(run, *key)
        if rank <= kept.left_out or not self.most:
            return
        data = zlib.compress(json.dumps(_listed(record), ensure_ascii=True).encode("ascii"), 1)
        if len(data) > self.page_bytes:
            return
        place = self._file.seek(0, 2)
        self._file.write(data)
        heapq.heappush(kept.samples, (rank, self._sequence, run, place, len(data)))
        kept.size += len(data)
        self._shrink_to(self.page_bytes)

    def forget(self, run: int) -> None:
        """Take back what was offered of a run that cannot be read to its end."""
        self._runs.pop(run, None)

    def shrink(self, share: float) -> None:
        """Keep about this share of what is there, still chosen evenly, and at least one sample less."""
        size = self._size()
        self._shrink_to(min(int(size * share), size - 1))

    def _size(self) -> int:
        return sum(kept.size for kept in self._runs.values())

    def _shrink_to(self, size: int) -> None:
        while len(self) > self.most or self._size() > size:
            is_many = len(self) > self.most
            largest = max(self._runs.values(), key=lambda kept: len(kept.samples) if is_many else kept.size)
            largest.pop()

    def told(self) -> str:
        """How many of the samples are on the page."""
        if len(self) == self.seen:
            return "all samples"
        return (
            f"{len(self):,} of {self.seen:,} samples, chosen evenly: a page holds at most "
            f"{self.most:,} samples (--samples) and {self.page_bytes / MB:g} MB (--page-mb)"
        )

    def told_of(self, run: int) -> str:
        """`30`, or `812 of 12,032`: how many samples of a run are on the page."""
        kept = self._runs.get(run, _Kept())
        return (
            f"{kept.seen:,}" if len(kept.samples) == kept.seen else f"{len(kept.samples):,} of {kept.seen:,}"
        )

    def __len__(self) -> int:
        return sum(len(kept.samples) for kept in self._runs.values())

    def samples(self) -> Iterator[tuple[int, dict]]:
        """(run, sample) of those kept, in the order in which they were offered."""
        entries = [entry for kept in self._runs.values() for entry in kept.samples]
        for _, _, run, place, length in sorted(entries, key=lambda entry: entry[1]):
            self._file.seek(place)
            yield run, json.loads(zlib.decompress(self._file.read(length)))

    def close(self) -> None:
        self._file.close()


@dataclass
class _Kept:
    """What a shelf keeps of a run."""

    seen: int = 0
    size: int = 0
    left_out: float = -math.inf  # the best rank that had no room: what ranks lower has none either
    samples: list[tuple[int, int, int, int, int]] = field(
        default_factory=list
    )  # -hash, sequence, run, place, length

    def pop(self) -> None:
        """Let go of what ranks lowest, with all that shares its rank."""
        self.left_out = self.samples[0][0]
        while self.samples and self.samples[0][0] == self.left_out:
            *_, length = heapq.heappop(self.samples)
            self.size -= length


def read_run(
    folder: Path, *, number: int = 0, shelf: Shelf | None = None, temperature: float | None = None
) -> RunFacts:
    """The facts of a run; its samples are offered to `shelf`, or those of a temperature.

    Raises UserError when nothing is graded yet.
    """
    facts = RunFacts(folder, read_run_json(folder), being_written_by=writer_of(folder))
    facts.problems = count_problems(folder)
    for record in read_records(folder):
        tally = facts.tallies.get(record.sample.temperature)
        if tally is None:
            tally = facts.tallies[record.sample.temperature] = Tally(groups_of(facts.info))
        tally.add(counted(record))
        if shelf is not None and temperature in (None, record.sample.temperature):
            shelf.offer(number, record)
    facts.tallies = dict(sorted(facts.tallies.items()))
    if not facts.judged:
        there = sum(tally.samples for tally in facts.tallies.values())
        reasons: Counter[str] = Counter()
        for tally in facts.tallies.values():
            reasons.update(tally.not_judged)
        left = reasons.pop("not_graded", 0)
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) if not left else ""
        raise UserError(next_step(folder, samples=there, ungradable=why))
    facts.opinions = summarise_opinions(folder, stopped=stopped_early(facts.info))
    return facts


def stored_problem(problems: StoredProblems, problem_id: str) -> dict:
    """What the list shows of a problem."""
    problem = problems.get(problem_id)
    assert problem is not None  # only those of samples that are there are asked for
    prompt, question = problems.prompt(problem_id), problem.question
    return {
        "id": problem_id,
        "question": problem.question,
        "reference": problem.reference,
        "choices": list(problem.choices),
        "about": problem.about,
        "prompt": prompt.split(question, 1) if question else [prompt],  # what is around the question
    }


def _short(extracted: str | None) -> str | None:
    if extracted is None or len(extracted) <= EXTRACTED_CHARS:
        return extracted
    return f"{extracted[:EXTRACTED_CHARS]} ..."


def _listed(record: Record) -> dict:
    sample, verdict = record.sample, record.verdict
    parts = part(record.text())
    return {
        "problem_id": sample.problem_id,
        "temperature": sample.temperature,
        "index": sample.index,
        "thought": parts.thought.strip(),
        "text": "\n\n".join(filter(None, (parts.solution, parts.behind))),
        "original": None if record.formatted is None else sample.text,
        "finish_reason": sample.finish_reason,
        "tokens": sample.completion_tokens,
        "outcome": OUTCOMES.index(outcome_of(record)),
        "extracted": None if verdict is None else _short(verdict.extracted),
        "reason": "not graded" if verdict is None else verdict.reason,
        "detail": "" if verdict is None else verdict.detail,
        "cause": "" if verdict is None else verdict.cause,
        "how": "" if verdict is None else verdict.how,
        "trust": "" if verdict is None else verdict.trust,
        "grader": "" if verdict is None else verdict.grader,
    }
