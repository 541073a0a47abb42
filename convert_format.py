"""Separate every sample of the runs in a folder into thought and solution.

python convert_format.py --input_dir results --keys keys.txt

Rules come first and cost nothing; only what no rule covers goes to a model, whose text is checked against the
original. --no-llm leaves those samples out. Stop it at any moment; the same command resumes.
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from util import cli, prompts
from util.engines.checked import Answers, AskedRequest, Question, Refused, ask
from util.engines.failures import about_failures
from util.engines.options import Engine
from util.engines.prices import cost_line, forecast_line
from util.engines.tokens import estimate_tokens
from util.generation.batches import check_no_batch_waits
from util.records import NOT_JUDGED, Failure, Record, Request, worth_another_try
from util.runs.batches import QuestionsPlace, asked_about, name_of, questions_waiting
from util.runs.folder import Run, find_runs, read_run_json
from util.runs.reader import SampleSet, given_up, read_records
from util.settings import number_in
from util.terminal import Progress, number_of, print_result, say

# The formatter reads answers with the grader, which takes longer to load than all else; --help need not wait.
if TYPE_CHECKING:
    from util.training.formatting import Formatted

TRIES = 2
DONE, GIVEN_UP, FOR_MODEL = "formatted before", "given up before", "for the model"
WRONG = "no rule covers it, and it was judged wrong"
UNDECIDED = "no rule covers it, and it is undecided"  # so it enters no training set


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    cli.add_input_flag(parser)
    parser.add_argument(
        "--model", default="openai/gpt-4o-mini", help="model that rewrites the rest (openai/gpt-4o-mini)"
    )
    parser.add_argument("--no-llm", action="store_true", help="use rules only and leave out what none covers")
    parser.add_argument(
        "--min-fidelity",
        type=number_in(0, 1),
        default=0.9,
        metavar="SHARE",
        help="smallest share of the thought's words that a rewrite must keep in order (0.9)",
    )
    cli.add_count(
        parser,
        "--max-tokens",
        "most tokens of a rewrite (16384); longer samples stay unformatted",
        default=16384,
    )
    parser.add_argument("--retry", action="store_true", help="retry samples whose rewrite failed before")
    parser.add_argument(
        "--rewrite-wrong",
        action="store_true",
        help="also send samples that were judged wrong or are undecided to the model; default: only rules "
        "apply to them",
    )
    cli.add_budget_flags(parser)
    cli.add_engine_flags(parser)
    cli.add_batch_flag(parser)
    return parser.parse_args(argv)


@dataclass
class SampleCounts:
    """What becomes of the samples: rule or reason -> how many, and what the model would be asked."""

    rules: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    done: int = 0
    for_model: int = 0
    waiting: int = 0  # those of them that batches were asked already
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def samples(self) -> int:
        return self.done + self.rules.total() + self.left_out.total() + self.for_model


def run(args: argparse.Namespace) -> int:
    folders = find_runs(args.input_dir)
    counts, answers, exhausted = SampleCounts(), Answers(), ""
    with Progress(None, "by rule") as progress:
        for folder in folders:
            _by_rule(folder, args, counts, progress)
    say(_before(counts, args))
    if counts.for_model and not args.no_llm:
        for folder in folders:
            check_no_batch_waits(_Rewrites(folder, retry=args.retry).place, args.batch)
    if not args.dry_run:
        if counts.for_model and not args.no_llm:
            exhausted = _rewrite_all(folders, args, counts.for_model, answers)
        say(_after(counts, answers, exhausted))
    print_result(_result(counts, answers))
    return 1 if answers.failed or exhausted else 0


def _kind(record: Record, failed_before: bool, args: argparse.Namespace) -> Formatted | str:
    """The formatted text, DONE, GIVEN_UP, FOR_MODEL, or the reason that leaves a sample out."""
    from util.training.formatting import Formatted, format_record

    if record.formatted is not None:
        return DONE
    found = format_record(record)
    if isinstance(found, Formatted):
        return found
    if found.hopeless:
        return found.reason
    if failed_before and not args.retry:
        return GIVEN_UP
    if not args.rewrite_wrong and (unwanted := _unwanted(record)):
        return unwanted
    if estimate_tokens(record.text()) * args.min_fidelity > args.max_tokens:
        return "longer than --max-tokens"
    return FOR_MODEL


def _unwanted(record: Record) -> str:
    """Why it would be a waste to pay for a rewrite: a grader said no, or cannot tell; not that one failed."""
    verdict = record.verdict
    if verdict is None or verdict.correct or verdict.reason in NOT_JUDGED or worth_another_try(verdict):
        return ""
    return UNDECIDED if verdict.reason == "undecided" else WRONG


def _kinds(folder: Path, args: argparse.Namespace) -> Iterator[tuple[Record, Formatted | str]]:
    failed_before = given_up(folder)
    for record in read_records(folder):
        yield record, _kind(record, failed_before.has(*record.sample.key), args)


def _by_rule(folder: Path, args: argparse.Namespace, counts: SampleCounts, progress: Progress) -> None:
    """Format what a rule covers, unless it is a dry run, and count what becomes of all samples."""
    with nullcontext() if args.dry_run else _open(folder) as opened:
        is_waiting = questions_waiting(_Rewrites(folder, retry=args.retry).place)
        for record, kind in _kinds(folder, args):
            if kind == DONE:
                counts.done += 1
            elif kind == FOR_MODEL:
                counts.for_model += 1
                if is_waiting(name_of(*record.sample.key)):
                    counts.waiting += 1
                else:
                    counts.prompt_tokens += estimate_tokens(_prompt(record))
                    counts.completion_tokens += estimate_tokens(record.text())
            elif isinstance(kind, str):
                counts.left_out[kind] += 1
            else:
                counts.rules[kind.rule] += 1
                if opened is not None:
                    opened.add_formatted(record.sample.key, kind.text, f"rule: {kind.rule}")
            progress.step(0)


def _open(folder: Path) -> Run:
    info = read_run_json(folder)
    return Run(folder, settings=info["settings"], made_with=info["made_with"])


def _rewrite_all(folders: list[Path], args: argparse.Namespace, count: int, answers: Answers) -> str:
    """Ask the model about every sample that is left for it; returns which budget ended before, in words."""
    options = cli.asking_options(args, engine="openai")
    opened = cli.open_within_budget(args, options, place_of=_place_of)
    try:
        with closing(opened) as engine, Progress(count, "rewriting") as progress:
            for together in [folders] if args.batch else [[folder] for folder in folders]:
                _rewrite(together, args, engine, answers, progress)
                if engine.exhausted:
                    break
            return engine.exhausted
    finally:
        used = (answers.prompt_tokens, answers.completion_tokens)
        say(f"spent {cost_line(args.model, *used, in_batches=args.batch is not None)}")


class _Rewrites:
    """The rewrites of one run, and where it is written down what is asked for them in batches."""

    def __init__(self, folder: Path, run: Run | None = None, *, retry: bool) -> None:
        self.folder, self.run, self._retry = folder, run, retry
        sync = (lambda: None) if run is None else run.sync_formats
        self.place = QuestionsPlace(folder / "rewriting", self._is_done, sync)
        self._done: set[str] = set()  # samples that need no asking since this command asked
        self._before: set[str] | None = None  # or since before it, once anybody wants to know

    def _is_done(self, name: str) -> bool:
        if self._before is None:
            failed_before = SampleSet() if self._retry else given_up(self.folder)
            self._before = {
                asked_about(_name(record))
                for record in read_records(self.folder)
                if record.formatted is not None or failed_before.has(*record.sample.key)
            }
        return name in self._done or name in self._before

    def add(self, record: Record, said: str | Refused, model: str) -> None:
        assert self.run is not None, "it is open for writing"
        if isinstance(said, Refused):
            self.run.add_unformatted(record.sample.key, said.reason, model)
        else:
            self.run.add_formatted(record.sample.key, said, model)
        self._done.add(asked_about(_name(record)))


def _name(record: Record) -> str:
    """The name of the first request for a rewrite."""
    return name_of(name_of(*record.sample.key), 0.0, 0)


def _place_of(request: Request) -> QuestionsPlace:
    assert isinstance(request, AskedRequest)
    return request.question.about[0].place


def _rewrite(
    folders: list[Path], args: argparse.Namespace, engine: Engine, answers: Answers, progress: Progress
) -> None:
    from util.training.formatting import graded_by
    from util.training.rewrites import check_rewrite, tidy_rewrite

    def check(question: Question, text: str) -> str | Refused:
        _, record = question.about
        wrong = check_rewrite(
            record.text(), text, min_fidelity=args.min_fidelity, graded_by=graded_by(record)
        )
        return tidy_rewrite(text) if wrong is None else Refused(wrong)

    def questions() -> Iterator[Question]:
        for rewrites in opened:
            for record, kind in _kinds(rewrites.folder, args):
                if kind == FOR_MODEL:
                    name, about = name_of(*record.sample.key), (rewrites, record)
                    yield Question(name, _prompt(record), args.max_tokens, about=about)

    reminder = prompts.load("rewrite_again")
    with ExitStack() as stack:
        runs = [stack.enter_context(_open(folder)) for folder in folders]
        opened = [_Rewrites(run.folder, run, retry=args.retry) for run in runs]
        for question, _, said in ask(
            engine, questions(), check, reminder=reminder, tries=TRIES, answers=answers
        ):
            rewrites, record = question.about
            if not isinstance(said, Failure):
                rewrites.add(record, said, args.model)
            progress.step(0)


def _prompt(record: Record) -> str:
    return prompts.render(prompts.load("rewrite"), question=record.question, response=record.text())


def _before(counts: SampleCounts, args: argparse.Namespace) -> str:
    lines = [f"{number_of(counts.samples, 'sample')}, {counts.done} of them formatted before"]
    lines += [f"{number:>9}  by rule: {rule}" for rule, number in counts.rules.most_common()]
    lines += [f"{number:>9}  left out: {reason}" for reason, number in counts.left_out.most_common()]
    if (counts.left_out[WRONG] or counts.left_out[UNDECIDED]) and not args.no_llm:
        lines.append(f"{'':>9}  (--rewrite-wrong sends those to the model, too)")
    if counts.for_model and args.no_llm:
        lines.append(f"{counts.for_model:>9}  left out: no rule covers them, and --no-llm is given")
    elif counts.for_model:
        price = forecast_line(args.model, counts.prompt_tokens, counts.completion_tokens)
        waiting = f", {counts.waiting} asked in batches already" if counts.waiting else ""
        lines.append(
            f"{counts.for_model:>9}  for {args.model} (asked again once at most{waiting}): about {price}"
        )
    return "\n".join(lines)


def _after(counts: SampleCounts, answers: Answers, exhausted: str) -> str:
    formatted = counts.done + counts.rules.total() + answers.usable
    lines = [f"{formatted} of {counts.samples} samples are formatted"]
    lines += [
        f"{number:>9}  rewrites refused: {reason}" for reason, number in answers.refused.most_common(10)
    ]
    if answers.failed:
        lines.append(f"{'':>9}  {about_failures(answers.failed, answers.failure)}")
    if exhausted:
        lines.append(f"{_not_asked(counts, answers):>9}  samples were not asked about: {exhausted}")
    return "\n".join(lines)


def _not_asked(counts: SampleCounts, answers: Answers) -> int:
    """Samples for the model that this command did not get to."""
    return counts.for_model - answers.usable - answers.refused.total() - answers.failed


def _result(counts: SampleCounts, answers: Answers) -> dict:
    return {
        "samples": counts.samples,
        "formatted_before": counts.done,
        "by_rule": dict(counts.rules),
        "left_out": dict(counts.left_out),
        "for_model": counts.for_model,
        "in_batches": counts.waiting,
        "rewritten": answers.usable,
        "refused": dict(answers.refused),
        "failed": answers.failed,
        "not_asked": _not_asked(counts, answers),
        "prompt_tokens": answers.prompt_tokens,
        "completion_tokens": answers.completion_tokens,
    }


if __name__ == "__main__":
    cli.main(parse, run)
