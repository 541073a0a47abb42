"""How do runs and extra files become one training set?

Open an `Export`, then `collect`, `choose` and `write`.
Two passes over the samples: the first looks at every record and keeps some numbers of those that pass, the
second reads the chosen ones again and writes them. In between, questions are compared by their hashes.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from util.engines.tokens import estimate_tokens
from util.errors import UserError
from util.machines.cores import usable_cores
from util.records import NOT_JUDGED, Record, Verdict, exact_number, is_waiting, may_train
from util.response import IN_FIELD, WITH_TAGS, WITHOUT, program, solution_part
from util.runs.journal import Closing, write_lines
from util.runs.offsets import name_digest
from util.runs.opinions import Opinions
from util.runs.reader import RecordPlace, RunReader
from util.settings import public_name
from util.training.curation import (
    Candidate,
    Candidates,
    NearDuplicates,
    different_texts,
    first_of_each,
    keep_per_problem,
    question_digest,
)
from util.training.datacard import grader_named
from util.training.drawing import Mix, Source, drawn, sketch, spread_out
from util.training.extra_rows import ExtraRow, SetAside, extra_at, read_extra
from util.training.filters import FILTERS, REPETITION, SHORT, Draft, Limits
from util.training.formats import Example, ExampleFile
from util.training.leaks import BenchmarkText, Leak, Look, nothing_found
from util.training.majority import Label, Votes
from util.training.questions import read_question
from util.training.thoughts import (
    Answer,
    NoAnswer,
    fitting,
    read_answer,
    suits,
    written,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The stages of the funnel, and what to do when nothing is left after one.
GENERATED, CORRECT, WHOLE, FORMATTED, FITTING, KEPT, EXTRA, UNIQUE, CLEAN, FINAL = (
    "generated",
    "graded correct",
    "not truncated",
    "formatted",
    "within the limits",
    "kept per problem",
    "with extra rows",
    "after dedup",
    "decontaminated",
    "final",
)
DRAWN = "drawn"
AGREED = "agreed on"
# Of problems for reinforcement learning.
PROBLEMS, WITH_TRUTH, IN_BAND = "problems with a judged sample", "with a sure reference", "within the band"
ADVICE = {
    GENERATED: "generate samples first with inference_and_check.py",
    WHOLE: "all correct samples were cut off (generate with more --max-tokens), went in circles, or have a "
    "forced answer (--keep-budget takes those)",
    FORMATTED: "run convert_format.py on the folder; --include-unformatted takes answers without a thought, "
    "--thought none writes all rows without one",
    IN_BAND: "widen --pass-rate-band, or sample more (--n)",
    PROBLEMS: "judge with inference_and_check.py --check",
    WITH_TRUTH: "the data set has neither answers nor tests for these problems, or several answers are right",
    FITTING: "widen --min-tokens and --max-tokens",
    FILTERS[SHORT].stage: "lower --min-solution-words, or let a model format the rest with convert_format.py",
    FILTERS[REPETITION].stage: "raise --max-repetition",
    AGREED: "lower --majority, or sample more (--n)",
    DRAWN: "widen --weights, --max-rows and --token-budget",
    CLEAN: "see the side file of leaks; --decontaminate chooses the benchmarks",
    FINAL: "leave --plain-share out, or give a larger one",
}
JUDGED_CORRECT, UNDECIDED, UNJUDGED, MAJORITY = "correct", "undecided", "none", "majority"
VERDICTS = (JUDGED_CORRECT, UNDECIDED, UNJUDGED, MAJORITY)  # what the rows of a run say was judged
NO_THOUGHT = "no thought"  # why a response is left out where plain rows are not wanted
NO_LIMITS = "not within the limits"

SPAN = 250  # rows or questions that a worker takes at a time
MUCH = 5000  # so many are shared out over the cores
MOST_WORKERS = 4


@dataclass(frozen=True)
class ExportOptions:
    """What is wanted of the training set."""

    keep: str | int = "shortest"
    spread: bool = False  # whether of several the most different ones are kept
    unverified: bool = False  # also samples without a verdict
    mix: Mix = Mix()
    majority: float | None = None  # least share of samples that agree, for problems without a reference
    min_tokens: int | None = None
    max_tokens: int | None = None
    limits: Limits = Limits()
    include_unformatted: bool = False
    include_unjudged: bool = False  # also of a run of which samples wait for a verdict
    plain_share: float | None = None  # of the rows, without a thought
    keep_budget: bool = False  # also samples whose answer a thinking budget forced
    dedup: str = "near"
    seed: int = 0
    form: str = WITH_TAGS  # of the thought in all rows
    system: str | None = None  # the message of rows that bring none
    system_of_run: bool = False  # whether a run's own message goes before it, if it asks for this form

    @property
    def judged_stage(self) -> str:
        """What the samples are whose verdict, or the lack of one, lets them in."""
        others = ["undecided"] * (self.unverified or UNDECIDED in self.limits.off)
        others += ["not judged"] * self.unverified
        others += ["without a reference"] * (self.majority is not None)
        *more, last = [CORRECT, *others]
        return f"{', '.join(more)} or {last}" if more else last

    @property
    def takes_plain(self) -> bool:
        """Whether rows without a thought may enter."""
        return self.form == WITHOUT or self.include_unformatted or self.plain_share is not None


@dataclass
class Summary:
    """What became of the samples, for the data card."""

    funnel: dict[str, int] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {
            name: Counter() for name in ("source", "difficulty", "task", "model", "rule", "verdict")
        }
    )
    origins: Counter[int] = field(default_factory=Counter)  # number of the run or extra file -> rows
    tokens: array[int] = field(default_factory=lambda: array("I"))
    by_opinion: int = 0  # samples that are correct by a second opinion, where the rules are undecided
    unfit_endings: Counter[str] = field(default_factory=Counter)  # finish reason -> correct samples left out
    ungraded: int = 0  # samples without a verdict on today's text
    unjudged: Counter[str] = field(default_factory=Counter)  # why samples have no judgement -> samples
    waiting: Counter[Path] = field(default_factory=Counter)  # run -> samples without a verdict
    never_judged: int = 0  # of these, those that were formatted and not judged since
    not_apart: Counter[str] = field(
        default_factory=Counter
    )  # why thought and solution are not known -> samples
    undecided: Counter[str] = field(default_factory=Counter)  # kind of cause -> samples, all left out
    not_agreed: int = 0  # samples without a reference that are not of a large enough majority
    no_vote: int = 0  # samples without a reference that were cut off or have no answer
    same_text: int = 0  # samples whose text is that of another one of their problem
    filtered: Counter[str] = field(default_factory=Counter)  # filter -> samples that it leaves out
    graders: set[str] = field(default_factory=set)  # of the samples that may enter
    unfit_extras: Counter[str] = field(default_factory=Counter)  # why extra rows are left out -> rows
    set_aside: dict[Path, list[SetAside]] = field(default_factory=dict)  # extra rows of no known form
    contaminated: Counter[tuple[str, str]] = field(default_factory=Counter)  # benchmark, how -> taken out
    plain: int = 0  # rows without a thought
    surplus_plain: int = 0  # rows without a thought that are more than the wanted share
    dropped: int = 0  # rows whose response had a thought
    with_system: int = 0  # rows with a system message
    other_system: int = 0  # extra rows whose system message asks for another form of thought

    def passed(self, stage: str, number: int) -> None:
        """Note how many are left after a stage; nothing left is an error that says what to do."""
        before = list(self.funnel.items())
        self.funnel[stage] = number
        if number == 0:
            told = f"none of {before[-1][1]} ({before[-1][0]})" if before else "no sample"
            off = next((name for name, one in FILTERS.items() if one.stage == stage), "")
            advice = ADVICE.get(stage, f"--no-filter {off} switches this filter off" if off else "")
            advice = self._why_not_correct() if stage.startswith(CORRECT) else advice
            raise UserError(f'no row is left: {told} passed the stage "{stage}"; {advice}')

    def _why_not_correct(self) -> str:
        why = {
            "no verdict on their current text": self.ungraded,
            "an undecided verdict": self.undecided.total(),
        }
        why |= {"a verdict that judges nothing (" + ", ".join(self.unjudged) + ")": self.unjudged.total()}
        why["a wrong answer"] = self.funnel[GENERATED] - sum(why.values())
        told = ", ".join(f"{number:,} have {what}" for what, number in why.items() if number)
        return f"{told}: judge with inference_and_check.py --check, or sample more (--n, another model)"

    def check_waiting(self, generated: int) -> None:
        """Raise UserError when samples wait for their verdict: what is there is not all there will be."""
        if not self.ungraded:
            return
        formatted = f" ({self.never_judged:,} have a formatted text that was never judged)" * bool(
            self.never_judged
        )
        raise UserError(
            f"{self.ungraded:,} of {generated:,} samples in {', '.join(map(str, self.waiting))} wait for a "
            f"verdict{formatted}: run inference_and_check.py --check, with the flags of the run, or give "
            "--include-unjudged to export what is judged so far"
        )


class Export(Closing):
    """The runs and extra files of one training set, open for reading."""

    def __init__(
        self,
        runs: Mapping[Path, dict],  # folder -> its run.json
        extras: list[Path],
        options: ExportOptions,
        opinions: Mapping[Path, Opinions] | None = None,  # that are trusted where the rules are undecided
    ) -> None:
        self.options = options
        self.summary = Summary()
        self._open = ExitStack()
        self._folders = list(runs)
        self._opinions = opinions or {}
        self.infos = list(runs.values())
        sent = [info["settings"].get("system_prompt") for info in self.infos]
        self._filters = [name for name in FILTERS if name not in options.limits.off]
        self._votes: dict[int, Votes] = {}  # problem without a reference -> what its samples answer
        self._voters: list[tuple[Candidate, str]] = []  # samples of such problems, and their answers
        self._labels: dict[int, Label] = {}  # problem -> the answer of most
        self._sources: dict[Source, int] = {}  # source -> its number
        self._made_plain: (
            NDArray[Any] | Sequence[bool]
        ) = ()  # of each chosen row, whether its thought is dropped
        self._systems = [self._system_of(message) for message in sent]
        self._readers: dict[int, RunReader] = {}
        self._extra_paths = extras
        self._extra_files: list[BinaryIO] = []
        for path in extras:
            if not path.is_file():
                raise UserError(f"no extra file at {path}: give a file of JSON lines")
            self._extra_files.append(self._open.enter_context(open(path, "rb")))
        self._candidates, self._extra_candidates = Candidates(), Candidates()

    def collect(self, on_progress: Callable[[], None]) -> None:
        """First pass: find the samples and extra rows that may enter, and count the others."""
        self._find_extras()  # first, as a row that cannot be read should show before a long pass
        stages: Counter[str] = Counter()
        for origin, place, record in self._records(on_progress):
            self._look_at(origin, place, record, stages)
        if not self.options.include_unjudged:
            self.summary.check_waiting(stages[GENERATED])
        filters = [FILTERS[name].stage for name in self._filters]
        for stage in (GENERATED, self.options.judged_stage, WHOLE, FORMATTED, FITTING, *filters):
            self.summary.passed(stage, stages[stage])
        self._elect()

    def choose(self, benchmarks: BenchmarkText | None, side_file: Path) -> NDArray[Any]:
        """Keep rule, extra rows, dedup and decontamination: positions of the chosen, in their final order."""
        import numpy as np

        own = self._kept()
        self.summary.passed(KEPT, len(own))
        before = len(self._candidates)
        self._candidates.extend(self._extra_candidates)
        if self._extra_files:
            self.summary.passed(EXTRA, len(own) + len(self._candidates) - before)
        chosen = np.r_[own, np.arange(before, len(self._candidates))]
        groups, of_group = self._groups(chosen)
        alive, suspect = self._compare_questions(groups, benchmarks)
        self.summary.passed(UNIQUE, int(alive[of_group].sum()))
        if benchmarks is not None:
            leaks = self._leaks(groups, np.flatnonzero(alive & suspect), benchmarks)
            self._write_leaks(groups, leaks, side_file)
            alive[list(leaks)] = False
            self.summary.passed(CLEAN, int(alive[of_group].sum()))
        chosen = chosen[alive[of_group]]
        order_by = ("sample", "origin", "rank")  # the most important last
        chosen = chosen[np.lexsort([self._candidates.column(name)[chosen] for name in order_by])]
        if not self.options.mix.takes_all:
            chosen = self._with_plain_share(chosen)  # what would be left out below takes no row from others
            names = list(self._sources)
            sources = [names[number] for number in self._candidates.column("source")[chosen]]
            tokens = self._candidates.column("tokens")[chosen].tolist()
            chosen = chosen[drawn(sources, tokens, self.options.mix)]
            self.summary.passed(DRAWN, len(chosen))
        return self._with_plain_share(chosen)

    def _kept(self) -> NDArray[Any]:
        """Positions of the candidates that the keep rule takes."""
        import numpy as np

        options, candidates = self.options, self._candidates
        among = None if options.dedup == "none" else different_texts(candidates)
        self.summary.same_text = 0 if among is None else int((~among).sum())
        if not (options.spread and isinstance(options.keep, int)):
            return keep_per_problem(candidates, options.keep, among)
        order = keep_per_problem(candidates, "all", among)
        group, sketches = candidates.column("group"), candidates.column("sketch")
        return np.array(spread_out(order, group, sketches, options.keep), np.int64)

    def _with_plain_share(self, chosen: NDArray[Any]) -> NDArray[Any]:
        """Those of the chosen that stay so that the wanted share of rows is plain.

        Where too few rows have no thought, thoughts are dropped; where too many have none, some of these rows
        are left out. Both are spread over the file, whose order is drawn by seed.
        """
        import numpy as np

        share = self.options.plain_share
        self._made_plain = np.zeros(len(chosen), bool)
        if share is None:
            return chosen
        plain = self._candidates.column("plain")[chosen].astype(bool)
        missing = round(share * len(chosen)) - int(plain.sum())
        if missing >= 0:
            self._made_plain[_evenly(np.flatnonzero(~plain), missing)] = True
            return chosen
        kept = round(share / (1 - share) * int((~plain).sum()))
        left_out = _evenly(np.flatnonzero(plain), int(plain.sum()) - kept)
        self.summary.surplus_plain += len(left_out)
        self._made_plain = np.delete(self._made_plain, left_out)
        return np.delete(chosen, left_out)

    def write(self, chosen: NDArray[Any], output: ExampleFile, on_progress: Callable[[], None]) -> str:
        """Second pass: write the chosen ones and finish the file; returns its SHA-256."""

        def encode(span: range) -> list[tuple[bytes, Written]]:
            found = [(self._candidates[chosen[row]], bool(self._made_plain[row])) for row in span]
            return [self._encoded(candidate, output, drop=drop) for candidate, drop in found]

        for rows in self._shared_out(encode, len(chosen)):
            for encoded, about in rows:
                on_progress()
                output.write_encoded(encoded)
                self._count(about)
        self.summary.passed(FINAL, output.rows)
        return output.finish()

    def _shared_out(self, work: Callable[[range], Any], count: int) -> Iterator[Any]:
        """work(span) for spans of `count`, in order; over the cores when there is much to do."""
        from util.machines.forked import in_order  # loads multiprocessing, which --help need not wait for

        spans = (range(begin, min(begin + SPAN, count)) for begin in range(0, count, SPAN))
        workers = min(MOST_WORKERS, usable_cores()) if count >= MUCH else 0
        return in_order(work, spans, workers=workers, prepare=self._reopen)

    def _reopen(self) -> None:
        for reader in self._readers.values():
            reader.reopen()
        self._extra_files = [open(path, "rb") for path in self._extra_paths]

    def close(self) -> None:
        self._open.close()

    # --- the first pass ---

    def _records(self, on_progress: Callable[[], None]) -> Iterator[tuple[int, RecordPlace, Record]]:
        """Each record of the runs, with the number of its run, as the trusted opinions have it."""
        for origin, folder in enumerate(self._folders):
            reader = self._readers[origin] = self._open.enter_context(RunReader(folder))
            opinions = self._opinions.get(folder)
            for place, record in reader:
                on_progress()
                judged = record if opinions is None else opinions.applied(record)
                if judged is not record and judged.verdict is not None:
                    self.summary.by_opinion += judged.verdict.correct
                yield origin, place, judged

    def _look_at(self, origin: int, place: RecordPlace, record: Record, stages: Counter[str]) -> None:
        sample, verdict = record.sample, record.verdict
        stages[GENERATED] += 1
        judged = None if self._awaits_its_check(origin, record) else self._judged(verdict)
        voted: str | None = None
        if judged in (None, UNJUDGED) and self._has_no_reference(record):
            voted = self._vote(origin, record)
            judged = judged if voted is None else MAJORITY
            if judged is None:
                self.summary.no_vote += 1
                return
        if judged is None:
            self._count_left_out(origin, record)
            return
        stages[self.options.judged_stage] += 1
        if not may_train(sample.finish_reason, keep_budget=self.options.keep_budget):
            self.summary.unfit_endings[sample.finish_reason] += 1
            return
        stages[WHOLE] += 1
        text = record.text()
        answer = self._answer(text)
        if isinstance(answer, NoAnswer):
            self.summary.not_apart[answer.why] += 1
            return
        stages[FORMATTED] += 1
        tokens = self._tokens(answer, text, sample.completion_tokens)
        if not self._fits(tokens):
            return
        stages[FITTING] += 1
        original = "" if record.formatted is None else replace(record, formatted=None).text()
        for name, passed in self._filtered(Draft(record.prompt, text, answer, original)):
            if not passed:
                self.summary.filtered[name] += 1
                return
            stages[FILTERS[name].stage] += 1
        if verdict is not None:
            self.summary.graders.add(grader_named(verdict))
        problem, model = self._problem(origin, record), self.infos[origin]["settings"].get("model")
        drawn = (self.options.seed, *problem, model, sample.temperature, sample.index)
        group, rank = name_digest(*problem), name_digest(*drawn)
        thought = "" if self.options.form == WITHOUT else answer.thought
        candidate = Candidate(
            *(origin, place.sample, place.problem, place.formatted, group, rank, tokens, answer.plain),
            verdict=VERDICTS.index(judged),
            source=self._source_of(origin, record),
            sketch=sketch(text) if self.options.spread else 0,
            text=name_digest(group, thought, answer.solution),
        )
        if voted is None:
            self._candidates.add(candidate)
        else:
            self._voters.append((candidate, voted))

    def _source_of(self, origin: int, record: Record) -> int:
        """The number of the source of a record."""
        task = self.infos[origin]["settings"]["task"]
        return self._number_of(Source(task, str(record.about.get("source") or task)))

    def _number_of(self, source: Source) -> int:
        return self._sources.setdefault(source, len(self._sources))

    def _has_no_reference(self, record: Record) -> bool:
        """Whether a majority stands for the reference that the problem of a record lacks."""
        if self.options.majority is None or record.answer is not None or record.choices:
            return False
        # Tests of a program are no text either: only a verdict can say that there are none.
        return record.verdict is None or record.verdict.reason == "no_tests"

    def _vote(self, origin: int, record: Record) -> str | None:
        """Count the answer of a sample; None where it has none that can be read, or was cut off."""
        from util.grading.maths.answers import find_answer  # takes longer to load than all else

        solution = solution_part(record.graded_text) if may_train(record.sample.finish_reason) else None
        found = None if solution is None or program(solution) else find_answer(solution, lowest="medium")
        answer = None if found is None or found.cause else found.text
        self._votes.setdefault(name_digest(*self._problem(origin, record)), Votes()).add(answer)
        return answer

    def _problem(self, origin: int, record: Record) -> tuple[object, ...]:
        """What names the problem of a record, whichever run asked it."""
        settings = self.infos[origin]["settings"]
        return settings.get("task"), settings.get("split"), record.sample.problem_id

    def _elect(self) -> None:
        """Take up the samples that give the answer of most, where enough agree."""
        floor = self.options.majority
        if floor is None:
            return
        found = {group: votes.elected(floor) for group, votes in self._votes.items()}
        self._labels = {group: label for group, label in found.items() if label is not None}
        for candidate, answer in self._voters:
            label = self._labels.get(candidate.group)
            if label is not None and self._votes[candidate.group].agree(answer, label):
                self._candidates.add(candidate)
            elif self.options.unverified:
                self._candidates.add(candidate._replace(verdict=VERDICTS.index(UNJUDGED)))
            else:
                self.summary.not_agreed += 1
        self._voters = []
        self.summary.passed(AGREED, len(self._candidates))

    def _awaits_its_check(self, origin: int, record: Record) -> bool:
        """Whether a run was judged before this text was formatted: it may have been wrong."""
        return record.verdict is None and record.formatted is not None and "grading" in self.infos[origin]

    def _judged(self, verdict: Verdict | None) -> str | None:
        """What the row of a sample says of its verdict; None: the sample stays out."""
        unverified = self.options.unverified
        if verdict is None or verdict.reason in NOT_JUDGED:
            return UNJUDGED if unverified else None
        if verdict.reason == "undecided":
            return UNDECIDED if unverified or UNDECIDED in self.options.limits.off else None
        return JUDGED_CORRECT if verdict.correct else None

    def _count_left_out(self, origin: int, record: Record) -> None:
        """Note why a sample that is not judged correct stays out."""
        verdict = record.verdict
        if verdict is None or is_waiting(verdict):
            self.summary.ungraded += 1
            self.summary.waiting[self._folders[origin]] += 1
            self.summary.never_judged += record.formatted is not None
        elif verdict.reason == "undecided":
            self.summary.undecided[verdict.cause.partition(":")[0] or "no cause given"] += 1
        elif verdict.reason in NOT_JUDGED:
            self.summary.unjudged[verdict.reason] += 1

    def _answer(self, text: str, reasoning: str = "") -> Answer | NoAnswer:
        """Thought and solution of a response that may enter."""
        answer = read_answer(text, reasoning)
        if isinstance(answer, Answer) and answer.plain and not self.options.takes_plain:
            return NoAnswer(NO_THOUGHT)
        return answer

    def _tokens(self, answer: Answer, text: str, counted: int) -> int:
        """Tokens of a response as its row will have it; `counted`: of all of it, 0 if nobody knows."""
        if self.options.form == WITHOUT and not answer.plain:
            return estimate_tokens(answer.solution)
        return counted or estimate_tokens(text)

    def _filtered(self, draft: Draft) -> Iterator[tuple[str, bool]]:
        """Each filter that is on, and whether a response passes it."""
        limits = self.options.limits
        return ((name, FILTERS[name].passes(draft, limits)) for name in self._filters)

    def _fits(self, tokens: int) -> bool:
        """Whether a response is within the limits."""
        options = self.options
        return (options.min_tokens is None or tokens >= options.min_tokens) and (
            options.max_tokens is None or tokens <= options.max_tokens
        )

    def _find_extras(self) -> None:
        for number, path in enumerate(self._extra_paths):
            origin = len(self._folders) + number
            for offset, row in read_extra(path):
                if isinstance(row, SetAside):
                    self.summary.set_aside.setdefault(path, []).append(row)
                    continue
                answer = self._answer(row.response, row.reasoning)
                if isinstance(answer, NoAnswer):
                    self.summary.unfit_extras[answer.why] += 1
                    continue
                text = row.reasoning + row.response
                tokens = self._tokens(answer, text, 0)
                if not self._fits(tokens):
                    self.summary.unfit_extras[NO_LIMITS] += 1
                    continue
                draft = Draft(row.prompt, text, answer)
                failed = next((name for name, passed in self._filtered(draft) if not passed), "")
                if failed:
                    self.summary.unfit_extras[FILTERS[failed].against] += 1
                    continue
                name = name_digest("extra", number, offset)
                rank = name_digest(self.options.seed, name)
                self._extra_candidates.add(
                    Candidate(
                        *(origin, offset, -1, -1, name, rank, tokens, answer.plain),
                        source=self._number_of(Source(_task_of(row), row.about["source"] or path.stem)),
                    )
                )

    # --- questions ---

    def _groups(self, chosen: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """One candidate of each problem, and for each of `chosen` the number of its problem."""
        import numpy as np

        group = self._candidates.column("group")[chosen]
        _, first, of_group = np.unique(group, return_index=True, return_inverse=True)
        return chosen[first], of_group

    def _compare_questions(
        self, groups: NDArray[Any], benchmarks: BenchmarkText | None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Which problems stay when those with the same question are dropped (extra rows come last), and
        which may be a benchmark's."""
        import numpy as np

        dedup = self.options.dedup
        keys = np.zeros((len(groups), 2), np.uint64)
        suspect = np.zeros(len(groups), bool)
        near = NearDuplicates(len(groups)) if dedup == "near" else None

        def look(span: range) -> tuple[slice, NDArray[Any], Sequence[bool], Any, Any, Any]:
            found = [self._look_at_question(self._candidates[groups[at]], benchmarks, near) for at in span]
            digests, looks, signatures = zip(*found, strict=True)
            suspects, speech = zip(*looks, strict=True)
            hashes, numbers = ((), ()) if near is None else zip(*signatures, strict=True)
            columns = np.array(hashes), np.array(numbers, np.uint64)  # arrays travel faster than lists
            place = slice(span.start, span.stop)
            return place, np.array(digests, np.uint64), suspects, np.concatenate(speech), *columns

        for span, digests, suspects, speech, hashes, numbers in self._shared_out(look, len(groups)):
            keys[span], suspect[span] = digests, suspects
            if benchmarks is not None:
                benchmarks.note_speech(speech)
            if near is not None:
                near.set_signatures(span, hashes, numbers)
        if benchmarks is not None:
            benchmarks.heed_speech()
        if dedup == "none":
            return np.ones(len(groups), bool), suspect
        priority = self._priority(groups)
        is_extra = self._candidates.column("origin")[groups] >= len(self._folders)
        repeats_prompt = is_extra & ~first_of_each(keys[:, 1], priority)
        alive = first_of_each(keys[:, 0], priority) & ~repeats_prompt
        return (alive if near is None else alive & ~near.dropped(alive, priority)), suspect

    def _look_at_question(
        self, candidate: Candidate, benchmarks: BenchmarkText | None, near: NearDuplicates | None
    ) -> tuple[tuple[int, int], Look, tuple[NDArray[Any], int] | None]:
        """A question's digests, what it has in common with benchmarks, and its signature.

        The second digest is that of the whole prompt, by which an extra row repeats what a run has asked.
        """
        question, prompt = self._asked(candidate)
        digests = question_digest(question), question_digest(prompt)
        if benchmarks is None and near is None:
            return digests, nothing_found(), None
        read = read_question(question)
        found = nothing_found() if benchmarks is None else benchmarks.look(read)
        return digests, found, None if near is None else near.signature(read)

    def _priority(self, groups: NDArray[Any]) -> NDArray[Any]:
        """Ranks without ties: problems of the runs by name, then extra rows in the order of their files."""
        import numpy as np

        origin, rank, sample = (
            self._candidates.column(name)[groups] for name in ("origin", "group", "sample")
        )
        extra = origin >= len(self._folders)
        order = np.lexsort((np.where(extra, sample, 0), np.where(extra, 0, rank), np.where(extra, origin, 0)))
        priority = np.empty(len(groups), np.uint32)
        priority[order] = np.arange(len(groups), dtype=np.uint32)
        return priority

    def _leaks(
        self, groups: NDArray[Any], suspects: NDArray[Any], benchmarks: BenchmarkText
    ) -> dict[int, Leak]:
        """What the suspects repeat, by their positions, now that one knows what is a form of speech."""
        leaks = {}
        for at in suspects.tolist():
            candidate = self._candidates[groups[at]]
            leak = benchmarks.find(self._asked(candidate)[0], answer=self._reference(candidate))
            if leak is not None:
                leaks[at] = leak
        return leaks

    def _write_leaks(self, groups: NDArray[Any], leaks: dict[int, Leak], side_file: Path) -> None:
        """Write down what each of these problems shares with a benchmark, for a person to judge."""

        def lines() -> Iterator[str]:
            for at, leak in leaks.items():
                self.summary.contaminated[leak.benchmark, leak.how] += 1
                line = {**asdict(leak), "question": self._asked(self._candidates[groups[at]])[0]}
                yield json.dumps(line, ensure_ascii=False) + "\n"

        write_lines(side_file, lines())

    def _reference(self, candidate: Candidate) -> str | None:
        """The answer that the data set of a run gives, if any."""
        if candidate.origin >= len(self._folders):
            return None
        return self._readers[candidate.origin].problem_line(candidate.problem)["answer"]

    def _asked(self, candidate: Candidate) -> tuple[str, str]:
        """The question with its choices, and the prompt that it was asked in."""
        if candidate.origin >= len(self._folders):
            prompt = self._extra(candidate).prompt
            return prompt, prompt
        line = self._readers[candidate.origin].problem_line(candidate.problem)
        return "\n".join((line["question"], *line.get("choices", ()))), line["prompt"]

    # --- the second pass ---

    def _encoded(self, candidate: Candidate, output: ExampleFile, *, drop: bool) -> tuple[bytes, Written]:
        """A row as it is written, and what the card says of it; `drop`: its thought is not wanted."""
        origin, tokens = candidate.origin, candidate.tokens
        form = WITHOUT if drop else self.options.form
        other_system, rule = False, ""
        if origin >= len(self._folders):
            path = self._extra_paths[origin - len(self._folders)]
            row = self._extra(candidate)
            answer = read_answer(row.response, row.reasoning)
            assert isinstance(answer, Answer), "only rows with an answer are chosen"
            plain = answer.plain or form == WITHOUT
            system = fitting((row.system, self.options.system), self.options.form, plain=plain)
            other_system = bool(row.system) and system != row.system
            example = _extra_example(row, path, f"{path.name}@{candidate.sample}", system, tokens)
        else:
            place = RecordPlace(candidate.sample, candidate.problem, candidate.formatted)
            record = self._readers[origin].at(place)
            answer = read_answer(record.text())
            assert isinstance(answer, Answer), "only samples with an answer are chosen"
            rule = self._readers[origin].formatted_by(place)
            plain = answer.plain or form == WITHOUT
            system = self._systems[origin][plain]
            example = own_example(record, self.infos[origin], self._folders[origin].name, system, tokens)
        if not rule:
            rule = "no thought" if answer.plain else "marks in the text"
        thought = None if self.options.form != IN_FIELD else "" if plain else answer.thought
        tokens = estimate_tokens(answer.solution) if drop else tokens
        if origin < len(self._folders):
            example = replace(example, verdict=VERDICTS[candidate.verdict])
        if self.options.majority is not None:
            label = self._labels.get(candidate.group) if VERDICTS[candidate.verdict] == MAJORITY else None
            said = ("", "") if label is None else (label.answer, f"{label.agreement:.3f}")
            example = replace(example, label=said[0], agreement=said[1])
        example = replace(example, response=written(answer, form), thought=thought, tokens=tokens)
        dropped = plain and not answer.plain
        return output.encode(example), Written.of(
            origin, example, rule=rule, plain=plain, dropped=dropped, other_system=other_system
        )

    def _system_of(self, message: str | None) -> dict[bool, str | None]:
        """The system message of a run's rows: without a thought (True) and with one."""
        options = self.options
        own = message if options.system_of_run and suits(message, options.form) else None
        return {plain: fitting((own, options.system), options.form, plain=plain) for plain in (True, False)}

    def _extra(self, candidate: Candidate) -> ExtraRow:
        return extra_at(self._extra_files[candidate.origin - len(self._folders)], candidate.sample)

    def _count(self, about: Written) -> None:
        summary = self.summary
        for name, counter in summary.counts.items():
            counter[getattr(about, name) or "-"] += 1
        summary.origins[about.origin] += 1
        summary.tokens.append(about.tokens)
        summary.plain += about.plain
        summary.dropped += about.dropped
        summary.with_system += about.has_system
        summary.other_system += about.other_system


class Written(NamedTuple):
    """What the card says of a row."""

    origin: int
    source: str
    difficulty: str
    task: str
    model: str
    tokens: int
    verdict: str
    has_system: bool
    plain: bool = False  # without a thought
    dropped: bool = False  # the response had one
    other_system: bool = False  # than the one that an extra row came with
    rule: str = ""  # by which thought and solution are known

    @classmethod
    def of(cls, origin: int, example: Example, **more: Any) -> Written:
        return cls(
            origin=origin,
            source=example.source,
            difficulty=example.difficulty,
            task=example.task,
            model=example.model,
            tokens=example.tokens,
            verdict=example.verdict or "",
            has_system=bool(example.system),
            **more,
        )


def own_example(record: Record, info: dict, folder: str, system: str | None, tokens: int) -> Example:
    settings, sample, about = info["settings"], record.sample, record.about
    return Example(
        system=system,
        prompt=record.prompt,
        response=record.text(),
        question=record.question,
        answer=record.answer,
        data_source=public_name(info["dataset"].get("path") or settings["task"]),
        source=str(about.get("source") or settings["task"]),
        subject=str(about.get("subject") or ""),
        difficulty=_plain(about.get("difficulty", about.get("level"))),
        task=settings["task"],
        model=public_name(settings["model"]),
        sample_id=f"{folder}/{sample.problem_id}/{exact_number(sample.temperature)}/{sample.index}",
        tokens=tokens,
    )


def _extra_example(row: ExtraRow, path: Path, name: str, system: str | None, tokens: int) -> Example:
    return Example(
        system=system,
        prompt=row.prompt,
        response=row.response,
        question=row.prompt,
        answer=None,
        data_source=path.name,
        source=row.about["source"] or path.stem,
        subject=row.about["subject"],
        difficulty=row.about["difficulty"],
        task=_task_of(row),
        model=row.about["model"],
        sample_id=row.about["sample_id"] or name,
        tokens=tokens,
        verdict=row.about["verdict"] or UNJUDGED,
    )


def _task_of(row: ExtraRow) -> str:
    return row.about["task"] or "extra"


def _evenly(positions: NDArray[Any], number: int) -> NDArray[Any]:
    """So many of the positions, spread over all of them."""
    import numpy as np

    return positions[np.arange(number) * len(positions) // max(number, 1)]


def _plain(value: object) -> str:
    """Difficulty as text: "4", "EASY", "" where there is none."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
