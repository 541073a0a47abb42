"""Which problems are worth training on by reinforcement learning, and how well did the model do on each?

Open an `RlExport` and use it as an `Export`: it chooses problems, where that one chooses samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from util.engines.tokens import estimate_tokens
from util.errors import UserError
from util.grading.code.places import BadRow
from util.grading.code.suites import plain_tests
from util.grading.judged import is_of_judge
from util.records import NOT_JUDGED, Record, TestSuite
from util.runs.offsets import name_digest
from util.runs.opinions import Opinions
from util.runs.reader import RecordPlace
from util.training.curation import Candidate
from util.training.datacard import grader_named
from util.training.export import (
    GENERATED,
    IN_BAND,
    PROBLEMS,
    WITH_TRUTH,
    Export,
    ExportOptions,
    Written,
    own_example,
)
from util.training.formats import ExampleFile, RlProblem

INDEX_BITS = 53  # as many as every reader of JSON keeps

Tests = Callable[[Path], Mapping[str, TestSuite]]  # of a run that is judged by tests, by problem


@dataclass
class _Tally:
    """What a model made of one problem."""

    origin: int
    place: RecordPlace
    problem_id: str
    source: int  # the number of its source
    n: int = 0
    correct: int = 0
    undecided: int = 0
    samples: int = 0
    tokens: int = 0

    @property
    def pass_rate(self) -> float:
        return self.correct / self.n


class RlExport(Export):
    """The problems of some runs of one model, one row each."""

    def __init__(
        self,
        runs: Mapping[Path, dict],
        options: ExportOptions,
        opinions: Mapping[Path, Opinions],
        *,
        band: tuple[float, float],
        tests: Tests,
    ) -> None:
        models = sorted({str(info["settings"]["model"]) for info in runs.values()})
        if len(models) > 1:
            raise UserError(
                f"the runs are of {len(models)} models ({', '.join(models)}), and a pass rate is of one: "
                "name a folder with the runs of one model as --input_dir"
            )
        if len({info["settings"].get("system_prompt") for info in runs.values()}) > 1:
            raise UserError(
                "the runs were asked under different system messages, and a pass rate is of one: name a "
                "folder with the runs of one of them as --input_dir"
            )
        super().__init__(runs, [], options, opinions)
        self._band = band
        self._tests = tests
        self._tallies: dict[int, _Tally] = {}
        self._suites: dict[int, Mapping[str, TestSuite]] = {}  # by run

    def collect(self, on_progress: Callable[[], None]) -> None:
        """First pass: count the samples of each problem, and take up the problems within the band."""
        generated = 0
        for origin, place, record in self._records(on_progress):
            generated += 1
            self._tally(origin, place, record)
        if not self.options.include_unjudged:
            self.summary.check_waiting(generated)
        judged_problems = {group: tally for group, tally in self._tallies.items() if tally.n}
        with_truth = {group: tally for group, tally in judged_problems.items() if self._has_truth(tally)}
        low, high = self._band
        chosen = [group for group, tally in with_truth.items() if low <= tally.pass_rate <= high]
        for stage, count in (
            (GENERATED, generated),
            (PROBLEMS, len(judged_problems)),
            (WITH_TRUTH, len(with_truth)),
            (IN_BAND, len(chosen)),
        ):
            self.summary.passed(stage, count)
        for group in chosen:
            tally = self._tallies[group]
            rank = name_digest(self.options.seed, group)
            place, tokens = tally.place, round(tally.tokens / tally.samples)
            self._candidates.add(
                Candidate(
                    *(tally.origin, place.sample, place.problem, -1, group, rank, tokens, True),
                    source=tally.source,
                    text=group,
                )
            )

    def _tally(self, origin: int, place: RecordPlace, record: Record) -> None:
        sample, verdict = record.sample, record.verdict
        group = name_digest(*self._problem(origin, record))
        source = self._source_of(origin, record)
        tally = self._tallies.setdefault(group, _Tally(origin, place, sample.problem_id, source))
        if verdict is not None and is_of_judge(verdict.grader):
            raise UserError(
                f"{self._folders[origin]} is graded by a judge, and rewards are given by rules: "
                "leave it out, or choose a format of responses"
            )
        tally.samples += 1
        tally.tokens += sample.completion_tokens or estimate_tokens(record.text())
        if verdict is None or verdict.reason in ("undecided", *NOT_JUDGED):
            tally.undecided += verdict is not None
            self._count_left_out(origin, record)
        else:
            tally.n += 1
            tally.correct += verdict.correct
            self.summary.graders.add(grader_named(verdict))

    def _has_truth(self, tally: _Tally) -> bool:
        if self._readers[tally.origin].problem_line(tally.place.problem)["answer"] is not None:
            return True
        if tally.origin not in self._suites:
            self._suites[tally.origin] = self._tests(self._folders[tally.origin])
        suite = self._suites[tally.origin].get(tally.problem_id)
        # A note says that several answers are right, or that the tests are wrong: no reward to learn from.
        return suite is not None and not suite.note

    def _encoded(self, candidate: Candidate, output: ExampleFile, *, drop: bool) -> tuple[bytes, Written]:
        info, tally = self.infos[candidate.origin], self._tallies[candidate.group]
        record = self._readers[candidate.origin].at(
            RecordPlace(candidate.sample, candidate.problem, candidate.formatted)
        )
        # The pass rate is that under the message that the run sent.
        own = info["settings"].get("system_prompt") if self.options.system_of_run else self.options.system
        name = self._folders[candidate.origin].name
        example = own_example(record, info, name, own, candidate.tokens)
        example = replace(example, response="", sample_id=f"{name}/{tally.problem_id}")
        suite = self._suites.get(candidate.origin, {}).get(tally.problem_id)
        problem = RlProblem(
            example=example,
            kind=info["settings"].get("grade") or example.task,
            truth=_truth(record, suite),
            index=int(candidate.group) & ((1 << INDEX_BITS) - 1),
            choices=record.choices,
            time_limit_s=0.0 if suite is None or suite.time_s is None else suite.time_s,
            pass_rate=tally.pass_rate,
            n=tally.n,
            undecided=tally.undecided,
            mean_tokens=tally.tokens / tally.samples,
        )
        return output.encode(problem), Written.of(candidate.origin, example)


def _truth(record: Record, suite: TestSuite | None) -> str:
    if record.answer is not None:
        return record.answer
    assert suite is not None, "only problems with a reference are chosen"
    try:
        return plain_tests(suite)
    except BadRow as error:
        raise UserError(f"the tests of problem {record.sample.problem_id} cannot be read: {error}") from error
