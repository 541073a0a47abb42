"""Which run folder holds what a result file of the older layout says, or what several folders hold?

python -m util.runs import QwQ-32B-Preview_MATH500_test_None_0_-1.json --dataset MATH500
python -m util.runs merge results/AIME-of-node-1 results/AIME-of-node-2 -o results/AIME-of-both
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import tasks
from util import cli
from util.data.system_prompts import system_prompt
from util.engines.options import EngineOptions
from util.errors import UserError
from util.generation.order import Order, Plan, Selection
from util.runs.folder import Wanted, find_run, read_run_json
from util.runs.merge import merge_runs
from util.runs.older_layout import METRIC, import_results, longest_response, read_old_file, said_beside
from util.settings import BY_NAME, at_least
from util.task import Task
from util.terminal import print_result, say


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser("Make a run folder of a result file of the older layout, or one of several runs.")
    parser.add_argument(
        "command", choices=("import", "merge"), help="import one result file, or merge several runs into one"
    )
    (_add_merge_flags if argv[:1] == ["merge"] else _add_import_flags)(parser)
    return parser.parse_args(argv)


def _add_merge_flags(parser: cli.Parser) -> None:
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="run folders of the same settings",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of all")


def _add_import_flags(parser: cli.Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the result file (JSON)")
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="benchmark that the file holds answers to"
    )
    parser.add_argument(
        "--model",
        help="model that answered; default: what a summary.json beside the file says, or the file's name "
        "before the benchmark's",
    )
    parser.add_argument("--split", help="split of the data set; default: the one results are reported on")
    parser.add_argument(
        "--max-tokens",
        type=at_least(1),
        metavar="N",
        help=f"token limit that the model answered under ({BY_NAME['max_tokens'].default}); a response of "
        "that length counts as truncated",
    )
    parser.add_argument(
        "--result-dir", type=Path, default=Path("results"), metavar="DIR", help="folder of runs (results)"
    )
    parser.add_argument(
        "--without-verdicts",
        action="store_true",
        help="leave out what the older grader said, so that --check judges every sample again",
    )


def run(args: argparse.Namespace) -> int:
    return _merge(args) if args.command == "merge" else _import(args)


def _merge(args: argparse.Namespace) -> int:
    if len(args.runs) < 2:
        raise UserError(f"{args.runs[0]} is one run: name two or more to merge")
    taken = merge_runs(args.runs, args.output)
    for folder, number in taken.items():
        say(f"{number:>9}  samples of {folder}")
    usual = args.runs[0].resolve().name
    if args.output.resolve().name != usual:
        say(f"the command that made {args.runs[0]} finds the merged run only where it is called {usual}, too")
    print_result({"run": str(args.output), "samples": taken})
    return 0


def _import(args: argparse.Namespace) -> int:
    task = tasks.load_task(tasks.full_name(args.dataset, what="data set"))
    content = read_old_file(args.file)
    longest = longest_response(content)
    if args.max_tokens is not None and longest > args.max_tokens:
        raise UserError(
            f"{args.file} has a response of {longest} tokens: --max-tokens was not {args.max_tokens}"
        )
    model = (
        args.model
        or said_beside(args.file, "configuration", "model", "name")
        or _model_of(args.file, task.name)
    )
    limit = args.max_tokens or said_beside(args.file, "configuration", "sampling_params", "max_tokens")
    wanted = _wanted(task, str(model), args.split, limit if isinstance(limit, int) else None)
    folder = find_run(args.result_dir, wanted)
    if (folder / "run.json").exists() and not read_run_json(folder)["made_with"].get("imported"):
        raise UserError(f"{folder} holds samples of this suite: import into another --result-dir")
    counts = import_results(
        content,
        task,
        folder,
        wanted.settings,
        with_verdicts=not args.without_verdicts,
        score=said_beside(args.file, METRIC),
    )
    for what, number in counts.items():
        say(f"{number:>9}  {what}")
    if counts["verdicts"]:
        say("the verdicts are the older grader's; to judge again: inference_and_check.py --check --regrade")
    print_result({"run": str(folder), **counts})
    return 0


def _model_of(path: Path, task_name: str) -> str:
    """ "QwQ-32B-Preview" from QwQ-32B-Preview_MATH500_test_None_0_-1.json and converted_... of it."""
    stem = path.stem
    while stem.startswith("converted_"):
        stem = stem.removeprefix("converted_")
    at = stem.lower().find(f"_{task_name.lower()}_")
    if at <= 0:
        raise UserError(f"the name of {path} does not say which model answered: give --model NAME")
    return stem[:at]


def _wanted(task: Task, model: str, split: str | None, max_tokens: int | None) -> Wanted:
    """The run that a command with default flags, but for the token limit, means, so that --check finds it."""
    system, origin = system_prompt(None, model)
    default = {name: setting.default for name, setting in BY_NAME.items()}
    plan = Plan(model, (0.0,), 1, max_tokens or default["max_tokens"], default["seed"], system_prompt=system)
    order = Order(task, plan, Selection(split=split), EngineOptions(model), system_prompt_from=origin)
    return order.wanted()


if __name__ == "__main__":
    cli.main(parse, run)
