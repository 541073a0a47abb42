"""Separate every sample of the runs in a folder into thought and solution.

python convert_format.py --input_dir results --keys keys.txt

Rules come first and cost nothing; only what no rule covers goes to a model, whose text is checked against the
original. --no-llm leaves those samples out. Stop it at any moment; the same command resumes.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from util import cli
from util.terminal import Progress, print_result, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from util.engines.checked import Question, Refused, Usage
    from util.engines.options import Engine
    from util.records import Record
    from util.runs.folder import Run
    from util.training.formatting import Formatted


TRIES = 2
DONE, GIVEN_UP, FOR_MODEL = "formatted before", "given up before", "for the model"
WRONG = "no rule covers it, and it was judged wrong"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "--input_dir", required=True, type=Path, metavar="DIR", help="folder of runs, or one run"
    )
    parser.add_argument(
        "--model", default="openai/gpt-4o-mini", help="model that rewrites the rest (openai/gpt-4o-mini)"
    )
    parser.add_argument("--no-llm", action="store_true", help="use rules only and leave out what none covers")
    parser.add_argument(
        "--min-fidelity",
        type=cli.number_in(0, 1),
        default=0.9,
        metavar="SHARE",
        help="smallest share of the thought's words that a rewrite must keep in order (0.9)",
    )
    parser.add_argument(
        "--max-tokens",
        type=cli.at_least(1),
        default=16384,
        metavar="N",
        help="most tokens of a rewrite (16384); longer samples stay unformatted",
    )
    parser.add_argument("--retry", action="store_true", help="retry samples whose rewrite failed before")
    parser.add_argument(
        "--rewrite-wrong",
        action="store_true",
        help="also send samples that were judged wrong to the model; default: only rules apply to them",
    )
    cli.add_budget_flags(parser)
    cli.add_engine_flags(parser)
    return parser.parse_args(argv)


class Tally:
    """What becomes of the samples: rule or reason -> how many, and what the model would be asked."""

    # No dataclass, here and below: loading that module takes as long as all else that --help needs.
    def __init__(self) -> None:
        self.rules: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.for_model = self.done = self.prompt_tokens = self.completion_tokens = 0

    @property
    def samples(self) -> int:
        return self.done + sum(self.rules.values()) + sum(self.left_out.values()) + self.for_model

    def __iadd__(self, other: Tally) -> Tally:
        self.rules += other.rules
        self.left_out += other.left_out
        self.for_model += other.for_model
        self.done += other.done
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        return self


class Outcome:
    """What the model made of the samples it was given."""

    def __init__(self) -> None:
        self.rewritten = self.failed = 0
        self.refused: Counter[str] = Counter()
        self.failure = ""
        self.exhausted = ""  # which budget ended before every sample was asked about, in words


def run(args: argparse.Namespace) -> int:
    from util.engines.checked import Usage
    from util.runs.folder import find_runs

    folders = find_runs(args.input_dir)
    total = Tally()
    with Progress(None, "by rule") as progress:
        for folder in folders:
            total += _by_rule(folder, args, progress)
    say(_before(total, args))
    if args.dry_run:
        print_result(_result(total, Outcome(), Usage()))
        return 0
    outcome, usage = Outcome(), Usage()
    if total.for_model and not args.no_llm:
        _rewrite_all(folders, args, total.for_model, outcome, usage)
    say(_after(total, outcome))
    print_result(_result(total, outcome, usage))
    return 1 if outcome.failed or outcome.exhausted else 0


def _kind(record: Record, failed_before: bool, args: argparse.Namespace) -> Formatted | str:
    """The formatted text, DONE, GIVEN_UP, FOR_MODEL, or the reason that leaves a sample out."""
    from util.engines.tokens import estimate_tokens
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
    if _was_judged_wrong(record) and not args.rewrite_wrong:
        return WRONG
    if estimate_tokens(record.text()) * args.min_fidelity > args.max_tokens:
        return "longer than --max-tokens"
    return FOR_MODEL


def _was_judged_wrong(record: Record) -> bool:
    """Whether a grader said no; not whether one could not tell."""
    from util.records import NOT_JUDGED

    verdict = record.verdict
    return verdict is not None and not verdict.correct and verdict.reason not in NOT_JUDGED


def _kinds(folder: Path, args: argparse.Namespace) -> Iterator[tuple[Record, Formatted | str]]:
    from util.runs.reader import given_up, read_records

    failed_before = given_up(folder)
    for record in read_records(folder):
        yield record, _kind(record, failed_before.has(*record.sample.key), args)


def _by_rule(folder: Path, args: argparse.Namespace, progress: Progress) -> Tally:
    """Format what a rule covers, unless it is a dry run, and count what becomes of all samples."""
    from contextlib import ExitStack

    from util.engines.tokens import estimate_tokens
    from util.training.formatting import Formatted

    tally = Tally()
    with ExitStack() as stack:
        opened = None if args.dry_run else stack.enter_context(_open(folder))
        for record, kind in _kinds(folder, args):
            if isinstance(kind, Formatted):
                tally.rules[kind.rule] += 1
                if opened is not None:
                    opened.add_formatted(record.sample.key, kind.text, f"rule: {kind.rule}")
            elif kind == DONE:
                tally.done += 1
            elif kind == FOR_MODEL:
                tally.for_model += 1
                tally.prompt_tokens += estimate_tokens(_prompt(record))
                tally.completion_tokens += estimate_tokens(record.text())
            else:
                tally.left_out[kind] += 1
            progress.step(0)
    return tally


def _open(folder: Path) -> Run:
    from util.runs.folder import Run, read_run_json

    info = read_run_json(folder)
    return Run(folder, settings=info["settings"], made_with=info["made_with"])


def _rewrite_all(
    folders: list[Path], args: argparse.Namespace, count: int, outcome: Outcome, usage: Usage
) -> None:
    """Ask the model about every sample that is left for it, until the budget ends."""
    from contextlib import closing

    from util.engines.metered import open_metered
    from util.engines.prices import cost_line

    opened = open_metered(
        cli.asking_options(args, engine="openai"),
        max_tokens=args.max_tokens,
        max_cost=args.max_cost,
        max_tokens_total=args.max_tokens_total,
    )
    try:
        with closing(opened) as engine, Progress(count, "rewriting") as progress:
            for folder in folders:
                _rewrite(folder, args, engine, outcome, usage, progress)
                outcome.exhausted = engine.exhausted
                if outcome.exhausted:
                    break
    finally:
        say(f"spent {cost_line(args.model, usage.prompt_tokens, usage.completion_tokens)}")


def _rewrite(
    folder: Path,
    args: argparse.Namespace,
    engine: Engine,
    outcome: Outcome,
    usage: Usage,
    progress: Progress,
) -> None:
    from util import prompts
    from util.engines.checked import Question, Refused, ask
    from util.records import Failure
    from util.training.formatting import check_rewrite, graded_by, tidy_rewrite

    def check(question: Question, text: str) -> str | Refused:
        record = question.about
        wrong = check_rewrite(
            record.text(), text, min_fidelity=args.min_fidelity, graded_by=graded_by(record)
        )
        return tidy_rewrite(text) if wrong is None else Refused(wrong)

    questions = (
        Question(record.sample.problem_id, _prompt(record), args.max_tokens, about=record)
        for record, kind in _kinds(folder, args)
        if kind == FOR_MODEL
    )
    with _open(folder) as opened:
        reminder = prompts.load("rewrite_again")
        for question, _, said in ask(engine, questions, check, reminder=reminder, tries=TRIES, usage=usage):
            key = question.about.sample.key
            if isinstance(said, Failure):
                outcome.failed, outcome.failure = outcome.failed + 1, said.message
            elif isinstance(said, Refused):
                opened.add_unformatted(key, said.reason, args.model)
                outcome.refused[said.reason] += 1
            else:
                opened.add_formatted(key, said, args.model)
                outcome.rewritten += 1
            progress.step(0)


def _prompt(record: Record) -> str:
    from util import prompts

    return prompts.render(prompts.load("rewrite"), question=record.question, response=record.text())


def _before(total: Tally, args: argparse.Namespace) -> str:
    from util.engines import prices

    lines = [f"{total.samples} samples, {total.done} of them formatted before"]
    lines += [f"{number:>9}  by rule: {rule}" for rule, number in total.rules.most_common()]
    lines += [f"{number:>9}  left out: {reason}" for reason, number in total.left_out.most_common()]
    if total.left_out[WRONG] and not args.no_llm:
        lines.append(f"{'':>9}  (--rewrite-wrong sends those to the model, too)")
    if total.for_model and args.no_llm:
        lines.append(f"{total.for_model:>9}  left out: no rule covers them, and --no-llm is given")
    elif total.for_model:
        price = prices.cost_line(args.model, total.prompt_tokens, total.completion_tokens)
        lines.append(f"{total.for_model:>9}  for {args.model} (asked again once at most): about {price}")
    return "\n".join(lines)


def _after(total: Tally, outcome: Outcome) -> str:
    formatted = total.done + sum(total.rules.values()) + outcome.rewritten
    lines = [f"{formatted} of {total.samples} samples are formatted"]
    lines += [
        f"{number:>9}  rewrites refused: {reason}" for reason, number in outcome.refused.most_common(10)
    ]
    if outcome.failed:
        lines.append(
            f"{outcome.failed:>9}  requests failed (the last one: {outcome.failure}); "
            "the same command retries them"
        )
    if outcome.exhausted:
        lines.append(f"{_not_asked(total, outcome):>9}  samples were not asked about: {outcome.exhausted}")
    return "\n".join(lines)


def _not_asked(total: Tally, outcome: Outcome) -> int:
    """Samples for the model that this command did not get to."""
    return total.for_model - outcome.rewritten - sum(outcome.refused.values()) - outcome.failed


def _result(total: Tally, outcome: Outcome, usage: Usage) -> dict:
    return {
        "samples": total.samples,
        "formatted_before": total.done,
        "by_rule": dict(total.rules),
        "left_out": dict(total.left_out),
        "for_model": total.for_model,
        "rewritten": outcome.rewritten,
        "refused": dict(outcome.refused),
        "failed": outcome.failed,
        "not_asked": _not_asked(total, outcome),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }


if __name__ == "__main__":
    cli.main(parse, run)
