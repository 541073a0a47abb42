"""How accurate would a finished run have been with less thought?

Open a `Budgets`: `missing` are the answers that a model has yet to give after a thought that was cut, `ask`
gets them into budget.jsonl of the run folder, `table` grades them and counts. A thought that is short enough
stays as it is, and its verdict counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from util.engines.options import Engine
from util.engines.tokens import TokenCounter, estimate_tokens, tokens_per_char
from util.errors import UserError
from util.generation.judging import CarriedJudge, Graded, check_isolation, grade_as_recorded, references_of
from util.generation.judging import graded as as_graded
from util.generation.loop import Outcome
from util.generation.order import OnProgress, ends_loops
from util.generation.rounds import sample_seed
from util.grading.pool import GradingPool
from util.machines.cores import usable_cores
from util.records import Completion, Key, Record, Request, Sample, TestSuite, Verdict, ending, exact_number
from util.response import CLOSE, Thought, opening_of, thought_of
from util.results.counting import Tallies, counted
from util.results.headline import headline
from util.runs.folder import read_run_json
from util.runs.journal import Journal, read_lines
from util.runs.lines import named
from util.runs.reader import read_records, sample_from, text_digest
from util.runs.repeat import next_step
from util.settings import NOT_RECORDED, values_of
from util.task import Task

BUDGET = "budget.jsonl"
USUAL_ANSWER_TOKENS = 400


@dataclass(frozen=True)
class Cut:
    """A sample whose thought ends after `at` tokens."""

    record: Record
    at: int
    begun: str  # what the model goes on from
    thought: str  # what is left of a thought that came apart; "" where it stands in the text

    @property
    def name(self) -> tuple[Key, int]:
        return self.record.sample.key, self.at

    def answered(self, answer: Sample) -> Record:
        """The record as it would have been."""
        sample = replace(
            self.record.sample,
            text=answer.text if self.thought else f"{self.begun}{answer.text}",
            reasoning=self.thought or None,
            finish_reason="budget" if answer.finish_reason == "stop" else answer.finish_reason,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=self.at + answer.completion_tokens,
        )
        return replace(self.record, sample=sample, formatted=None, verdict=None)


@dataclass(frozen=True)
class Row:
    """What one budget comes to at one temperature."""

    at: int | None  # tokens of thought; None: as the run was
    temperature: str
    forced: int  # samples whose thought was cut
    numbers: dict  # as results are counted


class Budgets:
    """A finished run and the budgets that it is looked at with; raises UserError where nothing is graded."""

    def __init__(
        self, folder: Path, at: Sequence[int], counter: TokenCounter, *, max_tokens: int | None = None
    ) -> None:
        self._folder = folder
        self._at = sorted(set(at))
        self._counter = counter
        self._max_tokens = max_tokens  # of an answer; None: what the thought leaves of the run's
        self._info = read_run_json(folder)
        if all(record.verdict is None for record in read_records(folder)):
            raise UserError(next_step(folder, samples=sum(1 for _ in read_records(folder))))
        self._settings = values_of(self._info)
        self._thinks = any(_thought(record, False) for record in islice(read_records(folder), 1000))
        self._answers: dict[tuple[Key, int], tuple[str, Sample]] = {}  # with the digest of what was begun
        for _, line in read_lines(folder / BUDGET):
            self._note(line)

    def missing(self) -> Iterator[Cut]:
        """The answers that nobody gave yet."""
        for record in read_records(self._folder):
            yield from (cut for cut in self._cuts(record) if self._answer(cut) is None)

    def forecast(self) -> tuple[int, int, int]:
        """Requests, and about how many prompt and completion tokens they take."""
        requests = prompt_tokens = completion_tokens = 0
        for cut in self.missing():
            requests += 1
            prompt_tokens += sum(estimate_tokens(each["content"]) for each in self._request(cut, 0).messages)
            completion_tokens += min(USUAL_ANSWER_TOKENS, self._request(cut, 0).max_tokens)
        return requests, prompt_tokens, completion_tokens

    def ask(self, engine: Engine, on_progress: OnProgress = lambda tokens: None) -> Outcome:
        """Ask for what is missing; each answer is in the journal before the next is looked at."""
        outcome, under_way = Outcome(), dict[int, Cut]()

        def requests() -> Iterator[Request]:
            for number, cut in enumerate(self.missing()):
                under_way[number] = cut
                yield self._request(cut, number)

        with Journal(self._folder / BUDGET) as journal:
            for request, result in engine.generate(requests()):
                cut = under_way.pop(request.index)
                if not isinstance(result, Completion):
                    outcome.failed, outcome.failure = outcome.failed + 1, result.message
                    continue
                line = _line(cut, result)
                journal.append(line)
                outcome.add(self._note(line))
                on_progress(result.completion_tokens)
        return outcome

    def table(
        self, task: Task, *, data_dir: Path | None = None, on_progress: OnProgress = lambda tokens: None
    ) -> list[Row]:
        """Grade the answers and count; first the run as it is."""
        tallies: dict[int | None, Tallies] = {at: Tallies() for at in (None, *self._at)}
        forced: dict[tuple[int, float], int] = {}
        to_grade: list[tuple[int, Record]] = []
        for record in read_records(self._folder):
            cuts = {cut.at: cut for cut in self._cuts(record)}
            for at, tally in tallies.items():
                if at is None or at not in cuts:
                    tally.add(counted(record))
                elif (answer := self._answer(cuts[at])) is not None:
                    to_grade.append((at, cuts[at].answered(answer)))
                    place = at, record.sample.temperature
                    forced[place] = forced.get(place, 0) + 1
        for at, one in self._graded(task, to_grade, data_dir):
            tallies[at].add(one.counted)
            on_progress(0)
        return [
            Row(at, exact_number(warmth), forced.get((at or 0, warmth), 0), headline(tally).as_json())
            for at, some in tallies.items()
            for warmth, tally in some.rising().items()
        ]

    def _graded(
        self, task: Task, records: list[tuple[int, Record]], data_dir: Path | None
    ) -> Iterator[tuple[int, Graded]]:
        if not records:
            return
        if task.is_code:
            check_isolation(self._settings["require_isolation"])
        suites: dict[str, TestSuite] = references_of(self._folder, task, self._info, data_dir)
        judge = CarriedJudge(grade_as_recorded(task, self._info))
        workers = min(usable_cores(), len(records))
        with GradingPool(workers, judge, symbolic=self._settings["symbolic"]) as pool:
            done = 0
            for number, (_, record) in enumerate(records):
                job = (record,), suites.get(record.sample.problem_id)
                pool.submit(number, job, task.grade_timeout_s)
            while done < len(records):
                for number, result in pool.completed(block=True):
                    at, record = records[number]
                    done += 1
                    one = as_graded(record, result) if isinstance(result, Verdict) else result.results[0]
                    assert isinstance(one, Graded)  # nothing is read, so nothing can be damaged
                    yield at, one

    def _cuts(self, record: Record) -> Iterator[Cut]:
        """One for each budget that the thought of a sample is longer than."""
        sample = record.sample
        thought = _thought(record, self._thinks)
        if thought is None:
            return
        written = len(sample.text) + len(sample.reasoning or "")
        rate = tokens_per_char(sample.completion_tokens, written)
        whole = thought.text.rstrip()
        for at, kept in zip(self._at, self._counter.beginnings(whole, self._at, rate), strict=True):
            if kept == whole:
                return
            begun = f"{thought.opening}{kept}\n{thought.mark}\n\n"
            yield Cut(record, at, begun, kept if sample.reasoning else "")

    def _request(self, cut: Cut, number: int) -> Request:
        sample, settings = cut.record.sample, self._settings
        system, limit = self._info["settings"].get("system_prompt"), settings["max_tokens"]
        usual = 32768 if limit in (None, NOT_RECORDED) else limit
        seed = 0 if settings["seed"] == NOT_RECORDED else settings["seed"]
        return Request(
            problem_id=sample.problem_id,
            messages=[
                *([{"role": "system", "content": system}] if system else []),
                {"role": "user", "content": cut.record.prompt},
                {"role": "assistant", "content": cut.begun},
            ],
            temperature=sample.temperature,
            index=number,
            seed=sample_seed(seed, *sample.key),
            max_tokens=self._max_tokens or max(1, usual - cut.at),
            stop_loops=ends_loops(settings["stop_loops"], sample.temperature),
        )

    def _answer(self, cut: Cut) -> Sample | None:
        begun, answer = self._answers.get(cut.name, ("", None))
        return answer if begun == text_digest(cut.begun) else None

    def _note(self, line: dict) -> Sample:
        answer = sample_from(line)
        self._answers[(answer.key, line["at"])] = (line["begun"], answer)
        return answer


def _thought(record: Record, thinks: bool) -> Thought | None:
    """A sample's thought. Where others have one, a text that was cut off without any mark is all thought."""
    sample = record.sample
    if sample.reasoning:
        return Thought(opening_of(CLOSE), sample.reasoning, CLOSE)
    found = thought_of(sample.text)
    if found is None and thinks and ending(sample.finish_reason).cut_off and sample.text:
        return Thought(opening_of(CLOSE), sample.text, CLOSE)
    return found


def _line(cut: Cut, result: Completion) -> dict:
    """As budget.jsonl keeps an answer; what was begun is in the run already."""
    text = result.text.rpartition(cut.begun)[2]
    return {
        **named(cut.record.sample.key),
        "at": cut.at,
        "begun": text_digest(cut.begun),
        "text": f"{result.reasoning or ''}{text}",  # behind a closed thought all is answer
        "finish_reason": result.finish_reason,
        "prompt_tokens": result.prompt_tokens,
        "completion_tokens": result.completion_tokens,
    }


def as_text(rows: Sequence[Row]) -> str:
    """The table for people."""
    lines = [f"{'thought':<16} accuracy            forced  mean tokens  problems  samples"]
    several = len({row.temperature for row in rows}) > 1
    for row in rows:
        numbers, average = row.numbers, row.numbers["avg"]
        value = "not graded"
        if average is not None:
            value = "{:.1f} [{:.1f}, {:.1f}]".format(
                *(100 * average[name] for name in ("value", "low", "high"))
            )
        thought = "as it was" if row.at is None else f"{row.at:,}"
        lines.append(
            f"{f'{thought} T {row.temperature}' if several else thought:<16} {value:<19} "
            f"{100 * row.forced / numbers['samples']:5.1f} %  {numbers['tokens']['all']['mean']:11,.0f}  "
            f"{numbers['problems']:8}  {numbers['samples']:7}"
        )
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> list[dict]:
    return [
        {
            "thinking_budget": row.at,
            "temperature": float(row.temperature),
            "accuracy": row.numbers["avg"],
            "forced": row.forced,
            "mean_tokens": row.numbers["tokens"]["all"]["mean"],
            "problems": row.numbers["problems"],
            "samples": row.numbers["samples"],
        }
        for row in rows
    ]
