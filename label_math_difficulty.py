"""Ask a model how hard NuminaMath problems are, from 1 to 10.

python label_math_difficulty.py --source amc_aime math olympiads --keys keys.txt --start 0 --end 1000

Writes labeled_numina_difficulty/labeled_SOURCE_START_END.json of each source, which --filter-difficulty of
inference_and_check.py reads. Stop it at any moment; the same command resumes.
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path

from tasks import load_task
from util import cli, prompts
from util.data.difficulty import LABELS_FOLDER
from util.data.rows import check_slice, open_rows
from util.engines.checked import Answers, AskedRequest, Question, Refused, ask
from util.engines.failures import about_failures
from util.engines.metered import MeteredEngine
from util.engines.prices import cost_line, forecast_line
from util.engines.tokens import estimate_tokens
from util.errors import UserError
from util.generation.batches import check_no_batch_waits
from util.records import Failure, Request
from util.runs.batches import QuestionsPlace, questions_waiting
from util.settings import at_least, end_position
from util.task import content_id
from util.terminal import Progress, closest, number_of, print_result, say
from util.training.ratings import LabelBook, parse_difficulty

TRIES = 3
ANSWER_TOKENS = 100  # of a usual answer; --max-tokens is the limit


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "--source",
        required=True,
        nargs="+",
        metavar="NAME",
        help="which problems: amc_aime, math, olympiads, ... or 'all'; several are rated one after the other",
    )
    parser.add_argument(
        "--model", default="openai/gpt-4o-mini", help="model that rates them (openai/gpt-4o-mini)"
    )
    parser.add_argument(
        "--start", type=at_least(0), default=0, metavar="I", help="first problem of the source (0)"
    )
    parser.add_argument(
        "--end", type=end_position, default=-1, metavar="I", help="problem after the last; -1: all"
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=LABELS_FOLDER,
        metavar="DIR",
        help="folder of the labels; default: where --filter-difficulty looks for them",
    )
    cli.add_count(parser, "--max-tokens", "most tokens of one answer (1024)", default=1024)
    parser.add_argument(
        "--retry", action="store_true", help="ask again about problems that got no usable answer before"
    )
    cli.add_data_flags(parser)
    cli.add_budget_flags(parser)
    cli.add_engine_flags(parser)
    cli.add_batch_flag(parser)
    args = parser.parse_args(argv)
    # Also as other tools write lists: [amc_aime, "math", 'olympiads']
    args.sources = list(dict.fromkeys(re.findall(r"[^\s,\[\]\"']+", " ".join(args.source))))
    if not args.sources or ("all" in args.sources and len(args.sources) > 1):
        parser.error(f"--source {' '.join(args.source)}: give the names of sources, or 'all' alone")
    return args


def run(args: argparse.Namespace) -> int:
    check_slice(args.start, args.end)
    with ExitStack() as stack:
        # All are counted before one is asked about: a source that is not known costs nothing.
        slices = [_open_slice(args, source, stack) for source in args.sources]
        if any(one.missing for one in slices):
            for one in slices:
                check_no_batch_waits(one.book.batches, args.batch)
        if args.dry_run:
            _print([one.told() for one in slices])
            return 0
        if any(one.missing for one in slices):
            _ask_all(args, slices)
        for one in slices:
            one.write()
        _print([one.told() for one in slices])
        return 1 if any(one.missing for one in slices) else 0


class Slice:
    """The problems of one source, with the book of their labels."""

    def __init__(self, args: argparse.Namespace, source: str, book: LabelBook) -> None:
        self.source = source
        self.book = book
        self.missing = self.total = self.waiting = self.prompt_tokens = 0
        self.labelled: int | None = None  # None: the list is not written
        self._args = args
        taken_over = 0
        is_waiting = questions_waiting(book.batches)
        for row in self.rows():
            self.total += 1
            if book.has(row["id"]):
                continue
            if book.take_over(row["id"], args.model):
                taken_over += 1
                continue
            self.missing += 1
            if is_waiting(row["id"]):
                self.waiting += 1
            else:
                self.prompt_tokens += estimate_tokens(_prompt(row["problem"]))
        to_ask = self.missing - self.waiting
        waiting = f" ({self.waiting} asked in batches already)" if self.waiting else ""
        say(
            f"{number_of(self.total, 'problem')} of {source}, {self.missing} to rate{waiting}: about "
            f"{forecast_line(args.model, self.prompt_tokens, to_ask * ANSWER_TOKENS)}"
        )
        if taken_over:
            say(f"{number_of(taken_over, 'label was', 'labels were')} taken over from other slices")

    def rows(self) -> Iterator[dict]:
        return _rows(self._args, self.source)

    def questions(self) -> Iterator[Question]:
        for row in self.rows():
            if not self.book.has(row["id"]):
                about = (self, row)
                yield Question(row["id"], _prompt(row["problem"]), self._args.max_tokens, about=about)

    def write(self) -> None:
        """Write the list, once nothing is missing."""
        if self.missing:
            return
        self.labelled = self.book.write_list(self.rows())
        if self.labelled:
            say(f"{number_of(self.labelled, 'label')} in {self.book.list_path}")
        if self.labelled < self.total:
            say(
                f"{number_of(self.total - self.labelled, 'problem')} without a label, with the reasons in "
                f"{self.book.unlabelled_path}"
            )

    def told(self) -> dict:
        """The result, for programs."""
        about = {"problems": self.total, "missing": self.missing}
        if self._args.dry_run:
            return {**about, "in_batches": self.waiting, "prompt_tokens": self.prompt_tokens}
        if self.labelled is None:
            return {"labels": None, **about}
        return {"labels": str(self.book.list_path), **about, "labelled": self.labelled}


def _open_slice(args: argparse.Namespace, source: str, stack: ExitStack) -> Slice:
    name = f"{source}_{args.start}_{args.end}"
    book = LabelBook(args.output_dir, name, retry=args.retry, read_only=args.dry_run)
    return Slice(args, source, stack.enter_context(book))


def _print(told: list[dict]) -> None:
    """The result of the one slice, or the sums with those of each."""
    if len(told) == 1:
        print_result(told[0])
    else:
        sums = {name: sum(one[name] for one in told) for name in ("problems", "missing")}
        print_result({**sums, "slices": told})


def _ask_all(args: argparse.Namespace, slices: list[Slice]) -> None:
    """Ask about every problem without a label, of one source after the other within one budget."""
    answers = Answers()
    total = sum(one.missing for one in slices)
    options = cli.asking_options(args, engine="openai")
    opened = cli.open_within_budget(args, options, place_of=_place_of)
    try:
        with closing(opened) as engine, Progress(total, "rating") as progress:
            _ask(args, engine, slices, answers, progress)
    finally:
        used = (answers.prompt_tokens, answers.completion_tokens)
        say(f"spent {cost_line(args.model, *used, in_batches=args.batch is not None)}")
    if answers.failed:
        say(about_failures(answers.failed, answers.failure, of=total))
    if engine.exhausted:
        say(engine.exhausted)


def _place_of(request: Request) -> QuestionsPlace:
    assert isinstance(request, AskedRequest)
    return request.question.about[0].book.batches


def _ask(
    args: argparse.Namespace,
    engine: MeteredEngine,
    slices: list[Slice],
    answers: Answers,
    progress: Progress,
) -> None:
    """Write down the label of each problem, or a reason why it has none."""
    reminder = prompts.load("difficulty_again")
    questions = (question for one in slices for question in one.questions())
    for question, text, said in ask(
        engine, questions, _read_rating, reminder=reminder, tries=TRIES, answers=answers
    ):
        one, row = question.about
        if isinstance(said, Refused):
            one.book.add_unlabelled(row, text, said.reason, args.model)
        elif not isinstance(said, Failure):
            one.book.add(row, text, said, args.model)
        one.missing -= not isinstance(said, Failure)
        progress.step(0)


def _read_rating(question: Question, text: str) -> float | Refused:
    number = parse_difficulty(text)
    return Refused("it holds no single number from 1 to 10") if number is None else number


def _prompt(problem: str) -> str:
    return prompts.render(prompts.load("difficulty"), problem=problem)


def _rows(args: argparse.Namespace, source: str) -> Iterator[dict]:
    """The problems of the slice, each text once."""
    task = load_task("NUMINA")
    rows = open_rows(task.source, revision=args.revision, data_dir=args.data_dir)
    chosen = None if source == "all" else source
    seen: set[str] = set()
    ids: set[str] = set()
    met = False
    for row in islice(
        rows.where("source", chosen, seen=seen), args.start, None if args.end < 0 else args.end
    ):
        met = True
        name = content_id(row["problem"])
        if row["problem"] and row["problem"].strip() and name not in ids:
            ids.add(name)
            yield {"id": name, "source": row["source"], "problem": row["problem"]}
    if not met and chosen is not None and chosen not in seen:
        raise closest("source", source, sorted(seen))
    if not met:
        raise UserError(
            f"{source} has no problem from {args.start} to {'the end' if args.end < 0 else args.end}: "
            "choose other --start and --end"
        )


if __name__ == "__main__":
    cli.main(parse, run)
