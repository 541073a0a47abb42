"""Ask a model how hard NuminaMath problems are, from 1 to 10.

python label_math_difficulty.py --source amc_aime --keys keys.txt --start 0 --end 1000

Writes labeled_numina_difficulty/labeled_SOURCE_START_END.json, which --filter-difficulty of
inference_and_check.py reads. Stop it at any moment; the same command resumes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from tasks import load_task
from util import cli, prompts
from util.data.difficulty import LABELS_FOLDER
from util.data.rows import open_rows
from util.engines.checked import Answers, Question, Refused, ask
from util.engines.failures import about_failures
from util.engines.prices import cost_line
from util.engines.tokens import estimate_tokens
from util.errors import UserError
from util.records import Failure
from util.settings import at_least
from util.task import content_id
from util.terminal import Progress, closest, print_result, say
from util.training.ratings import LabelBook, parse_difficulty

TRIES = 3
ANSWER_TOKENS = 100  # of a usual answer; --max-tokens is the limit


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "--source", required=True, help="which problems: amc_aime, math, olympiads, ... or 'all'"
    )
    parser.add_argument(
        "--model", default="openai/gpt-4o-mini", help="model that rates them (openai/gpt-4o-mini)"
    )
    parser.add_argument(
        "--start", type=at_least(0), default=0, metavar="I", help="first problem of the source (0)"
    )
    parser.add_argument(
        "--end", type=at_least(-1), default=-1, metavar="I", help="problem after the last; -1: all"
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=LABELS_FOLDER,
        metavar="DIR",
        help="folder of the labels; default: where --filter-difficulty looks for them",
    )
    parser.add_argument(
        "--max-tokens",
        type=at_least(1),
        default=1024,
        metavar="N",
        help="most tokens of one answer (1024)",
    )
    parser.add_argument(
        "--retry", action="store_true", help="ask again about problems that got no usable answer before"
    )
    cli.add_data_flags(parser)
    cli.add_budget_flags(parser)
    cli.add_engine_flags(parser)
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    end = args.end if args.end > 0 else -1
    with LabelBook(args.output_dir, f"{args.source}_{args.start}_{end}", read_only=args.dry_run) as book:
        prompt_tokens = missing = total = taken_over = 0
        for row in _rows(args, end):
            total += 1
            if book.has(row["id"], retry=args.retry):
                continue
            if book.take_over(row["id"], args.model):
                taken_over += 1
            else:
                missing += 1
                prompt_tokens += estimate_tokens(_prompt(row["problem"]))
        say(
            f"{total} problems of {args.source}, {missing} to rate: about "
            f"{cost_line(args.model, prompt_tokens, missing * ANSWER_TOKENS)}"
        )
        if taken_over:
            say(f"{taken_over} labels were taken over from other slices")
        if args.dry_run:
            print_result({"problems": total, "missing": missing, "prompt_tokens": prompt_tokens})
            return 0
        missing = _ask(args, end, book, missing) if missing else 0
        if missing:
            print_result({"labels": None, "problems": total, "missing": missing})
            return 1
        labelled = book.write_list(_rows(args, end))
        if labelled:
            say(f"{labelled} labels in {book.list_path}")
        if labelled < total:
            say(f"{total - labelled} problems without a label, with the reasons in {book.unlabelled_path}")
        print_result({"labels": str(book.list_path), "problems": total, "labelled": labelled, "missing": 0})
        return 0


def _ask(args: argparse.Namespace, end: int, book: LabelBook, missing: int) -> int:
    """Ask about every problem without a label; returns how many are still missing."""
    questions = (
        Question(row["id"], _prompt(row["problem"]), args.max_tokens, about=row)
        for row in _rows(args, end)
        if not book.has(row["id"], retry=args.retry)
    )
    answers = Answers()
    opened = cli.open_within_budget(args, cli.asking_options(args, engine="openai"))
    try:
        with closing(opened) as engine, Progress(missing, "rating") as progress:
            reminder = prompts.load("difficulty_again")
            for question, text, said in ask(
                engine, questions, _read_rating, reminder=reminder, tries=TRIES, answers=answers
            ):
                if isinstance(said, Refused):
                    book.add_unlabelled(question.about, text, said.reason, args.model)
                elif not isinstance(said, Failure):
                    book.add(question.about, text, said, args.model)
                progress.step(0)
    finally:
        say(f"spent {cost_line(args.model, answers.prompt_tokens, answers.completion_tokens)}")
    if answers.failed:
        say(about_failures(answers.failed, answers.failure, of=missing))
    if engine.exhausted:
        say(engine.exhausted)
    return missing - answers.usable - answers.refused.total()


def _read_rating(question: Question, text: str) -> float | Refused:
    number = parse_difficulty(text)
    return Refused("it holds no single number from 1 to 10") if number is None else number


def _prompt(problem: str) -> str:
    return prompts.render(prompts.load("difficulty"), problem=problem)


def _rows(args: argparse.Namespace, end: int) -> Iterator[dict]:
    """The problems of the slice, each text once."""
    task = load_task("NUMINA")
    rows = open_rows(task.source, revision=args.revision, data_dir=args.data_dir)
    chosen = None if args.source == "all" else args.source
    seen: set[str] = set()
    ids: set[str] = set()
    met = False
    for row in islice(rows.where("source", chosen, seen=seen), args.start, end if end > 0 else None):
        met = True
        name = content_id(row["problem"])
        if row["problem"] and row["problem"].strip() and name not in ids:
            ids.add(name)
            yield {"id": name, "source": row["source"], "problem": row["problem"]}
    if not met and chosen is not None and chosen not in seen:
        raise closest("source", args.source, sorted(seen))
    if not met:
        raise UserError(
            f"{args.source} has no problem from {args.start} to {'the end' if end < 0 else end}: "
            "choose other --start and --end"
        )


if __name__ == "__main__":
    cli.main(parse, run)
