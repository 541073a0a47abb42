"""Generate answers to a benchmark, grade them, or both at once.

python inference_and_check.py --dataset MATH500 --model Qwen/Qwen2-7B-Instruct --tp 4 --max-tokens 4096 \\
    --split test --result-dir results --temperatures 0.7 --n 8

--inference generates, --check grades what is there, neither does both: grading while the engine generates.
Stop it at any moment; the same command resumes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tasks import FILES, full_name, load_task
from util import cli
from util.errors import UserError
from util.settings import some_text
from util.terminal import Progress, print_result, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from util.generation.benchmark import Benchmark
    from util.generation.judging import Grading
    from util.generation.loop import Outcome
    from util.generation.order import Order
    from util.generation.rounds import Rounds, Stopping
    from util.task import Task


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--dataset", required=True, metavar="NAME", help=f"benchmark: {', '.join(FILES)}")
    parser.add_argument("--model", type=some_text, required=True, help=cli.MODEL_HELP)
    parser.add_argument(
        "--result-dir", type=Path, default=Path("results"), metavar="DIR", help="folder of runs (results)"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--inference", action="store_true", help="only generate")
    mode.add_argument("--check", action="store_true", help="only grade existing samples")
    cli.add_run_flags(parser, "rows", "sampling", "stopping")
    cli.add_budget_flags(parser)
    cli.add_engine_flags(parser)
    cli.add_run_flags(parser, "livecodebench", "grading")
    parser.add_argument(
        "--regrade",
        action="store_true",
        help="with --check: grade all samples again (`report.py explain` shows what changed)",
    )
    parser.add_argument(
        "--overwrite-settings",
        action="store_true",
        help="when the settings differ from the existing run's, start a fresh folder beside it",
    )
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    from contextlib import ExitStack

    from util.generation.benchmark import counts_line, open_benchmark, open_grading

    if args.regrade and not args.check:
        raise UserError("--regrade grades existing samples again: give it together with --check")
    task = _task(args)
    order = cli.order_from(args, task, None if args.check else _stopping(args))
    if args.dry_run:
        return _forecast(args, order)
    if args.n > 1 and 0 in order.plan.temperatures and not args.check:
        say(
            "temperature 0 is greedy: all samples of a problem would be equal, so one is taken instead of --n"
        )
    opened = open_benchmark(order, args.result_dir, fresh=args.overwrite_settings, must_exist=args.check)
    with opened.run:
        say(counts_line(task, opened.counts))
        status = 0
        with ExitStack() as stack:
            grading = None
            if not args.inference:
                grading = open_grading(opened, stack)
            if not args.check:
                status = _generate(args, opened, grading)
            if grading is not None:
                _grade_rest(opened, grading, again=args.regrade)
        return max(status, _report(args, opened))


def _task(args: argparse.Namespace) -> Task:
    return load_task(full_name(args.dataset, what="data set"), **cli.livecodebench_choice(args))


def _stopping(args: argparse.Namespace) -> Stopping | None:
    """When problems are done before they have all n samples, if the flags say so."""
    from util.generation.rounds import Stopping

    band = None if args.band is None else tuple(args.band)
    if args.until_correct is None and args.give_up_after is None and band is None:
        return None
    if args.inference:
        raise UserError(
            "--until-correct, --give-up-after and --pass-rate-band need verdicts: leave --inference out"
        )
    if 0 in args.temperatures:
        raise UserError(
            "temperature 0 is greedy: a problem's samples would all be the same, so asking again cannot make "
            "one correct; give --temperatures above 0"
        )
    if args.n < max(2, args.until_correct or 0):
        raise UserError(
            f"--n {args.n} is the most samples of a problem: give at least {max(2, args.until_correct or 0)}"
        )
    if band is not None and band[0] >= band[1]:
        raise UserError(f"--pass-rate-band {band[0]:g} {band[1]:g}: the first must be below the second")
    return Stopping(args.until_correct, args.give_up_after, band)


def _generate(args: argparse.Namespace, opened: Benchmark, grading: Grading | None) -> int:
    from contextlib import closing
    from dataclasses import replace

    from util.engines.metered import open_metered
    from util.generation.loop import Job, generate

    job = Job(opened.run, opened.asked, opened.order.plan, grading, _rounds(opened, grading))
    if job.rounds is None:
        total, unit, to_ask = opened.missing(), "samples", opened.missing() > 0
    else:
        total, unit = len(opened.asked.ids) * len(opened.order.plan.temperatures), "problems"
        to_ask = job.rounds.has_next()
    if not to_ask:
        say("every sample exists already: nothing to generate")
        return 0
    opened_engine = open_metered(
        replace(opened.order.options, log=opened.run.folder / "engine.log"),
        max_tokens=opened.order.plan.max_tokens,
        max_cost=args.max_cost,
        max_tokens_total=args.max_tokens_total,
    )
    with closing(opened_engine) as engine, Progress(total, "generating", unit) as progress:
        opened.note_engine(engine)

        def on_progress(tokens: int) -> None:
            if job.rounds is None:
                progress.step(tokens)
            else:
                progress.reach(job.rounds.ended, tokens)

        try:
            for _ in generate([job], engine=engine, on_progress=on_progress):
                pass
            if job.rounds is not None:
                progress.reach(job.rounds.ended, 0)
        finally:
            opened.note_generation(job.outcome)
    return _say_outcome(args, job.outcome, engine.exhausted)


def _forecast(args: argparse.Namespace, order: Order) -> int:
    from util.generation.forecast import forecast

    found = forecast(order, args.result_dir, fresh=args.overwrite_settings)
    for line in found.lines(args.model):
        say(line)
    if order.plan.stopping is not None:
        say(f"  fewer where a problem is done before its {order.plan.n} samples")
    print_result(found.as_json(args.model))
    return 0


def _rounds(opened: Benchmark, grading: Grading | None) -> Rounds | None:
    """What verdicts say about the samples to ask; samples without one are graded before an engine starts."""
    from util.generation.loop import open_rounds

    if opened.order.plan.stopping is None or grading is None:
        return None
    _grade_rest(opened, grading, again=False)
    return open_rounds(opened.run, opened.asked, opened.order.plan)


def _say_outcome(args: argparse.Namespace, outcome: Outcome, exhausted: str) -> int:
    """Say what the requests of this command came to; returns the exit status."""
    from util.engines.failures import about_failures
    from util.engines.prices import cost_line

    say(f"spent {cost_line(args.model, outcome.prompt_tokens, outcome.completion_tokens)}")
    if outcome.failed:
        say(about_failures(outcome.failed, outcome.failure, of=outcome.generated + outcome.failed))
    if exhausted:
        say(exhausted)
    return 1 if outcome.failed or exhausted else 0


def _grade_rest(opened: Benchmark, grading: Grading, *, again: bool) -> None:
    rest = grading.find_rest(again=again)
    if told := rest.about_earlier_tries():
        say(told)
    if rest.count:
        with Progress(rest.count, "grading") as progress:
            grading.grade_rest(lambda tokens: progress.step(0), rest=rest)
    if grading.without_problem:
        say(
            f"{grading.without_problem} samples could not be graded: their problems are not among the rows "
            "of this command (--limit, or another split)"
        )


def _report(args: argparse.Namespace, opened: Benchmark) -> int:
    """Print the table and the JSON line; both cover everything in the folder."""
    from util.generation.benchmark import summary, summary_without_doubtful
    from util.results.counting import summary_line

    run = opened.run
    numbers_at = run.info["summary"] = summary(opened)
    without = summary_without_doubtful(opened)
    missing = 0 if args.check else opened.missing()
    run.save_info()
    say(f"\n{run.folder}")
    say(_table(numbers_at))
    for temperature, numbers in numbers_at.items():
        name = args.dataset if len(numbers_at) == 1 else f"{args.dataset} at {temperature}"
        say(summary_line(name, numbers, expected=opened.expected(float(temperature))))
        if "stopped_early" in numbers:
            say(_about_stopping(numbers))
    for temperature, numbers in (without or {}).items():
        name = f"{args.dataset} at {temperature} without problems known to be judged wrongly"
        say(summary_line(name, numbers))
    print_result(
        {
            "dataset": args.dataset,
            "model": args.model,
            "run": str(run.folder),
            "temperatures": _short(numbers_at),
            **({} if without is None else {"without_doubtful": _short(without)}),
            "missing": missing,
            "unusable": dict(opened.counts.unusable),
        }
    )
    return 1 if missing else 0


def _short(summary: dict[str, dict]) -> dict[str, dict]:
    """What the table says; token statistics and groups are in run.json."""
    left_out = ("tokens", "tokens_to_first_correct", "groups", "graders")
    return {
        temperature: {name: value for name, value in numbers.items() if name not in left_out}
        for temperature, numbers in summary.items()
    }


def _about_stopping(numbers: dict) -> str:
    stopped = numbers["stopped_early"]
    return (
        f"{numbers['samples']} samples cost {numbers['completion_tokens']:,} completion tokens; "
        f"{stopped['n']} of each problem would have cost about {stopped['tokens_at_fixed_n']:,}, at its mean "
        "length so far. "
        f"{stopped['why']}"
    )


def _table(summary: dict[str, dict]) -> str:
    lines = ["temperature  accuracy  correct of judged    samples  problems  truncated  no answer     tokens"]
    for temperature, numbers in summary.items():
        accuracy = "-" if numbers["accuracy"] is None else f"{100 * numbers['accuracy']:.1f} %"
        judged = f"{numbers['correct']} of {numbers['judged']}"
        samples = numbers["samples"]
        lines.append(
            f"{temperature:>11}  {accuracy:>8}  {judged:>17}  {samples:>9}  {numbers['problems']:>8}  "
            f"{numbers['truncated'] / samples:>9.1%}  {numbers['no_answer'] / samples:>9.1%}  "
            f"{numbers['completion_tokens']:>9}"
        )
        if numbers["undecided"]:
            most = numbers["accuracy_up_to"]
            end = "" if most is None else f" (accuracy up to {100 * most:.1f} %)"
            lines.append(f"{'':13}{numbers['undecided']} undecided{end}")
        lines += [
            f"{'':13}{number} not judged ({reason})" for reason, number in numbers["not_judged"].items()
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    cli.main(parse, run)
