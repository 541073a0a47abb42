"""Which run folder holds what the log of another suite or version says, or what several folders hold?

python -m util.runs import QwQ-32B-Preview_MATH500_test_None_0_-1.json --dataset MATH500
python -m util.runs import 2026-01-31_aime2025.eval --dataset AIME25
python -m util.runs merge results/AIME-of-node-1 results/AIME-of-node-2 -o results/AIME-of-both
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tasks
from util import cli
from util.data.foreign.recognised import KNOWN, is_unknown_json, open_logs
from util.data.foreign.samples import Log
from util.data.rows import RowCounts
from util.data.system_prompts import system_prompt
from util.engines.options import EngineOptions
from util.errors import UserError
from util.generation.benchmark import about_rows
from util.generation.imports import (
    NO_REASON,
    ByText,
    Part,
    Survey,
    import_logs,
    own_problems,
    survey,
    write_problems,
)
from util.generation.order import Order, Plan, Selection
from util.records import exact_number
from util.runs.folder import find_run, read_run_json
from util.runs.lines import shortened
from util.runs.merge import merge_runs
from util.runs.older_layout import (
    METRIC,
    import_results,
    is_old_file,
    longest_response,
    read_old_file,
    said_beside,
)
from util.runs.repeat import check_command
from util.settings import BY_NAME, at_least, column
from util.task import Task
from util.terminal import closest, number_of, print_result, say


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser("Make run folders of the logs of other suites, or one of several runs.")
    parser.add_argument(
        "command",
        choices=("import", "merge"),
        help="import samples of others, or merge several runs into one",
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
    parser.add_argument(
        "path",
        type=Path,
        metavar="FILE_OR_DIR",
        help="samples, a log or a folder of logs of another suite; what wrote them is recognised",
    )
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        help="benchmark whose problems were asked, found by their texts; default: the problems of the log "
        "itself, written as a file of rows into the folder of runs",
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        type=column,
        default=(),
        metavar="WHAT=COLUMN",
        help="which columns are the question, response, answer, score and so on, where no known suite wrote "
        "the rows; default: guessed",
    )
    parser.add_argument(
        "--grade",
        choices=BY_NAME["grade"].choices,
        help="what judges answers to the log's own problems; default: guessed from them",
    )
    cli.add_data_dir_flag(parser)
    parser.add_argument(
        "--model",
        help="model that answered, or one of several in a file; default: what the log or its place says",
    )
    parser.add_argument("--split", help="split of the data set; default: the one results are reported on")
    parser.add_argument(
        "--max-tokens",
        type=at_least(1),
        metavar="N",
        help=f"token limit that the model answered under ({BY_NAME['max_tokens'].default}); a response of "
        "that length counts as truncated",
    )
    cli.add_result_dir_flag(parser)
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
    if is_unknown_json(args.path):
        if args.dataset is None and not is_old_file(args.path):
            raise UserError(f"no suite that is known here wrote {args.path}: name {KNOWN}")
        print_result(_import_older(args, args.path))
        return 0
    older = [path for path in sorted(args.path.glob("**/*.json")) if is_old_file(path)]
    logs = open_logs(args.path, dict(pair.split("=", 1) for pair in args.columns), read=older)
    runs = [_import_older(args, path) for path in older] + (_import_logs(args, logs) if logs else [])
    print_result(runs[0] if len(runs) == 1 else {"runs": runs})
    return 0


def _import_logs(args: argparse.Namespace, logs: list[Log]) -> list[dict[str, Any]]:
    surveys = _with_responses([(log, survey(log)) for log in _chosen(logs, args.model)])
    _check_limit(args.path, max(found.longest for _, found in surveys), args.max_tokens)
    for log, found in surveys:
        for name, rows in found.unlike.items():
            say(
                f"{log.path.name}: column {name} is left out where it has another number of values than "
                f"there are responses, in {number_of(rows, 'row')}"
            )
        for name, samples in found.unread.items():
            first = shortened(found.first_unread[name])
            say(
                f"{log.path.name}: column {name} is left out where it is no number, such as {first}, in "
                f"{number_of(samples, 'sample')}"
            )
    groups: dict[tuple[str, str], list[tuple[Log, Survey]]] = {}
    for log, found in surveys:
        if not found.is_told:
            usual = exact_number(found.temperature)
            say(f"{log.path.name} does not say the temperature: it is taken as {usual}")
        model = args.model or log.model
        if model is None:
            raise UserError(f"{log.path} does not say which model answered: give --model NAME")
        groups.setdefault((model, "" if args.dataset else log.task), []).append((log, found))
    for (model, _), group in groups.items():
        for log, _ in group[1:]:
            if log.task == group[0][0].task:
                raise UserError(
                    f"{group[0][0].path} and {log.path} are both of {model} on {log.task}: import each into "
                    "a --result-dir of its own"
                )
    return [_import_group(args, model, group) for (model, _), group in groups.items()]


def _check_limit(path: Path, longest: int, limit: int | None) -> None:
    if limit is not None and longest > limit:
        raise UserError(f"{path} has a response of {longest} tokens: --max-tokens was not {limit}")


def _with_responses(surveys: list[tuple[Log, Survey]]) -> list[tuple[Log, Survey]]:
    """The logs that hold responses; the others are told.

    Raises UserError where none does.
    """
    empty = [
        f"{log.path}: {', '.join(f'{number} {why}' for why, number in found.missing.items()) or 'no samples'}"
        for log, found in surveys
        if not found.responses
    ]
    if len(empty) == len(surveys):
        raise UserError(f"there is no response to import: {'; '.join(empty[:5])}")
    for line in empty:
        say(f"left out, as it holds no response: {line}")
    return [(log, found) for log, found in surveys if found.responses]


def _chosen(logs: list[Log], model: str | None) -> list[Log]:
    """The logs to import: where they are of several models, those of the one that was named."""
    names = list(dict.fromkeys(str(log.model) for log in logs))
    if model is None or len(names) == 1:
        return logs
    if model not in names:
        raise closest("--model", model, names)
    return [log for log in logs if log.model == model]


def _import_group(args: argparse.Namespace, model: str, group: list[tuple[Log, Survey]]) -> dict[str, Any]:
    """Import the logs of one model: one, or several that are parts of a benchmark."""
    if args.dataset:
        task = tasks.load_task(tasks.full_name(args.dataset, what="data set"))
    else:
        ((log, found),) = group
        if all(sample.reference is None for sample in found.asked.values()):
            raise UserError(
                f"{log.path} has no answers to judge by: name the benchmark with --dataset, or the column "
                "with --columns answer=NAME"
            )
        task = tasks.load_task(str(write_problems(found, log.task, args.result_dir)), grade=args.grade)
    limits = {log.max_tokens for log, _ in group}
    limit = args.max_tokens or (limits.pop() if len(limits) == 1 else None)
    order = _order(task, model, args.split, limit, args.data_dir)
    rows, counts = order.open_rows(), RowCounts()
    problems = list(order.problems(rows, None, counts))
    by_text = ByText(problems)
    parts = [
        Part(
            log,
            found,
            by_text.of_log(found) if args.dataset else own_problems(found, problems),
        )
        for log, found in group
    ]
    _say_unmatched(parts, task)
    wanted = order.wanted()
    folder = find_run(args.result_dir, wanted)
    done = import_logs(
        parts,
        folder,
        settings=wanted.settings,
        dataset=about_rows(rows, counts, task),
        limit=limit,
    )
    say(f"{group[0][0].tool}, {model}, {task.name}:")
    for what, number in done.items():
        say(f"{number:>9}  {what}")
    for reason, number in counts.unusable.items():
        say(f"{number:>9}  problems that cannot be graded: {reason}")
    if done[NO_REASON] and not limit:
        say(
            "nobody knows whether texts without a finish reason were cut off: they count as whole, unless "
            "--max-tokens says how many tokens they could have"
        )
    place = f" --data-dir {shlex.quote(str(args.data_dir))}" if args.data_dir else ""
    say(f"to judge the samples:\n  {check_command(folder)}{place}")
    return {"run": str(folder), **done}


def _say_unmatched(parts: list[Part], task: Task) -> None:
    """Say which problems of the logs are none of the benchmark's. Raises UserError where all are."""
    lines = []
    for part in parts:
        others = [part.found.asked[name] for name, problem in part.problems.items() if problem is None]
        if others:
            first = shortened(" ".join(others[0].question.split()), 60)
            lines.append(
                f"{len(others)} of the {len(part.problems)} problems of {part.log.path.name} are none of "
                f"{task.name}'s, such as {first}"
            )
    if not any(problem for part in parts for problem in part.problems.values()):
        raise UserError(f"{'; '.join(lines)}: name another --dataset, or none to take the log's own problems")
    for line in lines:
        say(f"{line}: their samples are left out")


def _import_older(args: argparse.Namespace, path: Path) -> dict[str, Any]:
    if args.dataset is None:
        raise UserError(f"{path} does not say which benchmark it answers: give --dataset NAME")
    task = tasks.load_task(tasks.full_name(args.dataset, what="data set"))
    content = read_old_file(path)
    _check_limit(path, longest_response(content), args.max_tokens)
    model = args.model or said_beside(path, "configuration", "model", "name") or _model_of(path, task.name)
    limit = args.max_tokens or said_beside(path, "configuration", "sampling_params", "max_tokens")
    most = limit if isinstance(limit, int) else None
    wanted = _order(task, str(model), args.split, most, args.data_dir).wanted()
    folder = find_run(args.result_dir, wanted)
    if (folder / "run.json").exists() and not read_run_json(folder)["made_with"].get("imported"):
        raise UserError(f"{folder} holds samples of this suite: import into another --result-dir")
    counts = import_results(
        content,
        task,
        folder,
        wanted.settings,
        with_verdicts=not args.without_verdicts,
        score=said_beside(path, METRIC),
    )
    for what, number in counts.items():
        say(f"{number:>9}  {what}")
    if counts["verdicts"]:
        say("the verdicts are the older grader's; to judge again: inference_and_check.py --check --regrade")
    return {"run": str(folder), **counts}


def _model_of(path: Path, task_name: str) -> str:
    """ "QwQ-32B-Preview" from QwQ-32B-Preview_MATH500_test_None_0_-1.json and converted_... of it."""
    stem = path.stem
    while stem.startswith("converted_"):
        stem = stem.removeprefix("converted_")
    at = stem.lower().find(f"_{task_name.lower()}_")
    if at <= 0:
        raise UserError(f"the name of {path} does not say which model answered: give --model NAME")
    return stem[:at]


def _order(task: Task, model: str, split: str | None, max_tokens: int | None, data_dir: Path | None) -> Order:
    """What a command with default flags, but for the token limit, means, so that --check finds the run."""
    system, origin = system_prompt(None, model)
    default = {name: setting.default for name, setting in BY_NAME.items()}
    plan = Plan(model, (0.0,), 1, max_tokens or default["max_tokens"], default["seed"], system_prompt=system)
    chosen = Selection(split=split, data_dir=data_dir)
    return Order(task, plan, chosen, EngineOptions(model), system_prompt_from=origin)


if __name__ == "__main__":
    cli.main(parse, run)
