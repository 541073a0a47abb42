"""Evaluate one model on several benchmarks; the model is loaded once.

python eval.py --model Qwen/QwQ-32B-Preview --evals=AIME,MATH500,GPQADiamond --tp=8 \\
    --output-file=results.txt --temperatures 0.7 --n 4

Each benchmark has its own run folder under --result-dir; stop at any moment, the same command resumes. The
last line of standard output is {"AIME": ACCURACY, ...}, as in --output-file; beside it lie all
details.
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
from collections.abc import Sequence
from pathlib import Path

from tasks import FILES, SETS, benchmarks, full_name, is_address, load_task
from util import cli
from util.errors import UserError
from util.settings import short_name
from util.terminal import print_result, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from util.generation.order import Order
    from util.task import Task


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--model", required=True, help=cli.MODEL_HELP)
    parser.add_argument(
        "--evals",
        required=True,
        metavar="NAME,...",
        help=f"benchmarks, with commas: {', '.join(FILES)}, those of docs/benchmarks.md, files of your own, "
        f"or a set: {', '.join(SETS)}",
    )
    parser.add_argument(
        "--output-file",
        type=Path,
        required=True,
        metavar="FILE",
        help="accuracies as JSON; FILE without its ending and .details.json has everything else",
    )
    cli.add_result_dir_flag(parser)
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="also write a page of all benchmarks, as report.py does"
    )
    cli.add_count(parser, "--limit", "only the first N problems of each benchmark")
    cli.add_data_flags(parser)
    cli.add_run_flags(parser, "sampling")
    cli.add_engine_flags(parser)
    cli.add_batch_flag(parser)
    cli.add_budget_flags(parser)
    cli.add_run_flags(parser, "own", "livecodebench", "grading")
    cli.add_log_flag(parser)
    cli.add_overwrite_flag(parser)
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    from dataclasses import replace
    from functools import partial

    from util.generation.evaluation import Evaluation, ResultFiles, check_orders
    from util.generation.loop import place_of
    from util.generation.tracking import Tracking, check_installed
    from util.runs.journal import make_folder_of

    check_installed(args.log)
    tasks = _tasks(args)
    cli.check_limits(args, tasks)
    cli.check_judge(args, tasks)
    if args.revision is not None and len(tasks) > 1:
        raise UserError(f"--revision {args.revision} is of one data set: give one benchmark in --evals")
    cli.settle_sampling(args)
    cli.check_output("--output-file", args.output_file)
    if args.report is not None:
        cli.check_output("--report", args.report)
    files = ResultFiles(args.output_file)
    name = short_name(args.model)
    orders = cli.orders_from(args, tasks)
    for order in orders:
        if order.task.address:
            cli.look_at_own(args, order, benchmarks())
    if args.dry_run:
        return _forecast(args, orders)
    check_orders(orders, args.result_dir, fresh=args.overwrite_settings)
    make_folder_of("--result-dir", args.result_dir)
    options = replace(orders[0].options, log=args.result_dir / f"{name}_engine.log")
    opening = partial(cli.open_within_budget, args, options, place_of=place_of)
    log = args.result_dir / f"{name}_eval.log"
    fresh = args.overwrite_settings
    tracking = Tracking(args.log, name=name, folder=args.result_dir, settings=lambda: _settings(orders))
    judge = partial(cli.open_judge, args, args.result_dir / f"{name}_judge.log")
    more = {"log": log, "fresh": fresh, "tracking": tracking, "open_judge": judge}
    parts = Evaluation(orders, args.result_dir, files, opening, **more)
    with tracking, parts as evaluation:
        evaluation.run()
    if args.report is not None:
        _write_page(args.report, evaluation.folders())
    print_result(evaluation.accuracies())
    return evaluation.status


def _settings(orders: Sequence[Order]) -> dict[str, Any]:
    """What all benchmarks share; what is of one of them is that of the first."""
    from util.results.public import public_settings

    plan = orders[0].plan
    asked = {"temperatures": [*plan.temperatures], "n": plan.n, "limit": orders[0].selection.limit}
    info = {"settings": orders[0].settings(), "asked": asked, "dataset": {}, "made_with": {}}
    return {**public_settings(info), "task": ", ".join(order.task.name for order in orders)}


def _write_page(path: Path, folders: Sequence[Path]) -> None:
    from util.results.page.folders import write_page

    if not folders:
        say(f"nothing is judged, so --report {path} is not written")
        return
    for sentence in write_page(path, folders).lacks():
        say(sentence)
    say(f"wrote {path}")


def _forecast(args: argparse.Namespace, orders: list[Order]) -> int:
    from util.generation.forecast import forecast, total_line
    from util.generation.model_judge import say_forecast

    found = [forecast(order, args.result_dir) for order in orders]
    for one in found:
        for line in one.lines(args.model):
            say(line)
    say(total_line(found, args.model))
    numbers = {one.task: one.as_json(args.model) for one in found}
    for order, one in zip(orders, found, strict=True):
        if order.task.ask_judge is not None:
            numbers[one.task] |= say_forecast(order, args.result_dir, one.requests)
    print_result(numbers)
    return 0


def _tasks(args: argparse.Namespace) -> list[Task]:
    """The tasks that --evals names, each once."""
    chosen = [name.strip() for name in args.evals.split(",") if name.strip()]
    if not chosen:
        raise UserError(f"--evals {args.evals!r} names no benchmark: choose from {', '.join(FILES)}")
    livecodebench, own = cli.livecodebench_choice(args), cli.own_choice(args)
    named = [one for name in chosen for one in SETS.get(name, (name,))]
    known = dict.fromkeys(full_name(name, what="benchmark", besides=(*SETS,)) for name in named)
    if livecodebench and "LiveCodeBench" not in known:
        raise UserError(f"{', '.join(livecodebench)} narrows LiveCodeBench, which --evals does not name")
    if own and not any(map(is_address, known)):
        raise UserError(f"{', '.join(own)} describes problems of your own, which --evals does not name")

    def load(name: str) -> Task:
        if is_address(name):
            return load_task(name, **own, **cli.place_of_rows(args))
        return load_task(name, **(livecodebench if name == "LiveCodeBench" else {}))

    tasks = [load(name) for name in known]
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two of --evals are called {name}: their results would be one; rename a file")
    return tasks


if __name__ == "__main__":
    cli.main(parse, run)
