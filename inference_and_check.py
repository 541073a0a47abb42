"""Generate answers to a benchmark, grade them, or both at once.

python inference_and_check.py --dataset MATH500 --model Qwen/Qwen2-7B-Instruct --tp 4 --max-tokens 4096 \\
    --split test --result-dir results --temperatures 0.7 --n 8

--inference generates, --check grades what is there, neither does both: grading while the engine generates.
Stop it at any moment; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from tasks import TASKS
from util import cli, hub, labels, prompts
from util.engines import engine_name, open_engine
from util.errors import UserError
from util.grading.pool import GradingPool
from util.models import short_name, system_prompt_name
from util.pipeline import Asked, Grading, Plan, generate, missing_count, ungraded_count, write_problems
from util.runs import Run, Wanted, find_run, made_with, read_records, read_run_json, run_name, text_digest
from util.statistics import summarise
from util.task import Task

LABELS_FOLDER = Path(__file__).parent / "labeled_numina_difficulty"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--dataset", required=True, metavar="NAME", help=f"benchmark: {', '.join(TASKS)}")
    parser.add_argument("--model", required=True, help=cli.MODEL_HELP)
    parser.add_argument(
        "--result-dir", type=Path, default=Path("results"), metavar="DIR", help="folder of runs (results)"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--inference", action="store_true", help="generate only")
    mode.add_argument("--check", action="store_true", help="grade what is there only")
    rows = parser.add_argument_group("which problems (in this order)")
    rows.add_argument("--split", help="split of the data set; default: the one results are reported on")
    rows.add_argument("--source", help="only rows of this source, such as math; 'all' or none: every row")
    rows.add_argument("--start", type=cli.at_least(0), default=0, metavar="I", help="first row (0)")
    rows.add_argument(
        "--end", type=cli.at_least(-1), default=-1, metavar="I", help="row after the last one; -1: to the end"
    )
    rows.add_argument(
        "--filter-difficulty", action="store_true", help="only rows with a difficulty label within the bounds"
    )
    rows.add_argument(
        "--math-difficulty-lower-bound", type=float, metavar="D", help="least difficulty, 1-10; default: open"
    )
    rows.add_argument(
        "--math-difficulty-upper-bound", type=float, metavar="D", help="most difficulty, 1-10; default: open"
    )
    rows.add_argument("--limit", type=cli.at_least(1), metavar="N", help="only the first N of what is left")
    cli.add_data_flags(rows)
    cli.add_sampling_flags(parser)
    cli.add_engine_flags(parser)
    parser.add_argument(
        "--overwrite-settings",
        action="store_true",
        help="when the settings differ from the run that is there, start a fresh folder beside it",
    )
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    task = _task(args)
    system_prompt = _system_prompt(args)
    wanted = Wanted(_run_name(args, task), _settings(args, task, system_prompt))
    folder = find_run(args.result_dir, wanted, fresh=args.overwrite_settings)
    if args.check:
        read_run_json(folder)  # grading needs a run that is there
    plan = Plan(
        model=args.model,
        temperatures=tuple(dict.fromkeys(args.temperatures)),
        n=args.n,
        max_tokens=args.max_tokens,
        seed=args.seed,
        system_prompt=system_prompt,
    )
    if args.n > 1 and 0 in plan.temperatures and not args.check:
        cli.say(
            "temperature 0 is greedy: one sample per problem there instead of --n, the others would be equal"
        )
    with Run(folder, settings=wanted.settings, made_with=made_with()) as opened:
        asked, counts = _problems(args, task, opened)
        status = 0
        with ExitStack() as stack:
            grading = None
            if not args.inference:
                pool = stack.enter_context(GradingPool(os.cpu_count() or 1))
                grading = Grading(opened, task, pool, asked.references)
                stack.callback(grading.close)
            if not args.check:
                status = _generate(args, opened, asked, plan, grading)
            if grading is not None:
                _grade_rest(opened, grading)
        return max(status, _report(args, opened, asked, plan, counts))


def _task(args: argparse.Namespace) -> Task:
    names = {name.lower(): name for name in TASKS}
    if args.dataset.lower() not in names:
        raise cli.closest("data set", args.dataset, list(TASKS))
    return TASKS[names[args.dataset.lower()]]


def _system_prompt(args: argparse.Namespace) -> str | None:
    name = args.system_prompt if args.system_prompt is not None else system_prompt_name(args.model)
    if name is None or name == "none":
        return None
    if Path(name).is_file():
        return Path(name).read_text(encoding="utf-8").removesuffix("\n")
    return prompts.load(name)


def _source(args: argparse.Namespace) -> str | None:
    return None if args.source in (None, "", "all") else args.source


def _end(args: argparse.Namespace) -> int:
    return args.end if args.end > 0 else -1


def _run_name(args: argparse.Namespace, task: Task) -> str:
    split = args.split or task.source.split
    return run_name(short_name(args.model), task.name, split, _source(args), args.start, _end(args))


def _settings(args: argparse.Namespace, task: Task, system_prompt: str | None) -> dict:
    """What must not change within a run folder; temperatures, n and limit may."""
    return {
        "task": task.name,
        "model": args.model,
        "split": args.split or task.source.split,
        "source": _source(args),
        "start": args.start,
        "end": _end(args),
        "filter_difficulty": args.filter_difficulty,
        "difficulty_lower_bound": args.math_difficulty_lower_bound,
        "difficulty_upper_bound": args.math_difficulty_upper_bound,
        "system_prompt": system_prompt,
        "system_prompt_hash": None if system_prompt is None else text_digest(system_prompt),
        "max_tokens": args.max_tokens,
        "top_p": args.top_p,
        "top_k": args.top_k,
        "min_p": args.min_p,
        "stop": args.stop,
        "seed": args.seed,
    }


def _problems(args: argparse.Namespace, task: Task, opened: Run) -> tuple[Asked, hub.Counts]:
    """Load the rows of this command at the run's own commit and write their problems down."""
    known = opened.info["dataset"].get("revision")
    rows = hub.open_rows(
        task.source, split=args.split, revision=args.revision or known, data_dir=args.data_dir
    )
    if known is not None and rows.revision != known:
        raise UserError(
            f"{opened.folder} was made with revision {known} of {rows.path}, this command reads "
            f"{rows.revision}: use the same one, or another --result-dir"
        )
    bounds = None
    known_labels = None
    if args.filter_difficulty:
        bounds = (args.math_difficulty_lower_bound, args.math_difficulty_upper_bound)
        if task.source.labels is not None:
            known_labels = labels.read_labels(
                task.source.labels, folder=LABELS_FOLDER, data_dir=args.data_dir
            ).of
    counts = hub.Counts()
    found = hub.problems(
        task,
        rows,
        source=_source(args),
        start=args.start,
        end=_end(args),
        difficulty=bounds,
        labels=known_labels,
        limit=args.limit,
        counts=counts,
    )
    asked = write_problems(opened, task, found, args.model)
    opened.info["dataset"] = {
        "path": rows.path,
        "split": rows.split,
        "revision": rows.revision,
        "rows": counts.rows,
        "licence": task.source.licence,
    }
    opened.save_info()
    _say_counts(task, counts)
    if not asked.ids:
        raise UserError(
            f"no problem of {task.name} is left: {counts.rows} rows of the source, {counts.chosen} between "
            "--start and --end; widen --source, --start/--end or the difficulty bounds"
        )
    return asked, counts


def _say_counts(task: Task, counts: hub.Counts) -> None:
    left_out = {
        **{reason: number for reason, number in counts.unusable.items()},
        "no difficulty label": counts.unlabelled,
        "difficulty outside the bounds": counts.outside,
    }
    parts = [f"{number} left out ({reason})" for reason, number in left_out.items() if number]
    cli.say(f"{task.name}: {', '.join([f'{counts.problems} problems', *parts])}")


def _generate(
    args: argparse.Namespace, opened: Run, asked: Asked, plan: Plan, grading: Grading | None
) -> int:
    missing = missing_count(opened, asked, plan)
    if not missing:
        cli.say("every sample is there already: nothing to generate")
        return 0
    options = cli.engine_options(args, log=opened.folder / "engine.log")
    with closing(open_engine(options)) as engine, cli.Progress(missing, "generating") as progress:
        opened.info["made_with"]["engine"] = getattr(engine, "version", engine_name(options))
        outcome = generate(opened, asked, plan, engine=engine, grading=grading, on_progress=progress.step)
    if outcome.failed:
        cli.say(
            f"{outcome.failed} of {missing} requests failed (the last one: {outcome.failure}); "
            "the same command asks them again"
        )
        return 1
    return 0


def _grade_rest(opened: Run, grading: Grading) -> None:
    left = ungraded_count(opened.folder)
    if left:
        with cli.Progress(left, "grading") as progress:
            grading.grade_rest(lambda tokens: progress.step(0))
    if grading.without_problem:
        cli.say(
            f"{grading.without_problem} samples could not be graded: their problems are not among the rows "
            "of this command (--limit, or another split)"
        )


def _report(args: argparse.Namespace, opened: Run, asked: Asked, plan: Plan, counts: hub.Counts) -> int:
    """Print the table and the JSON line; both cover everything in the folder."""
    summary = summarise(read_records(opened.folder))
    missing = 0 if args.check else missing_count(opened, asked, plan)
    opened.info["summary"] = summary
    opened.save_info()
    cli.say(f"\n{opened.folder}")
    cli.say(_table(summary))
    cli.print_result(
        {
            "dataset": args.dataset,
            "model": args.model,
            "run": str(opened.folder),
            "temperatures": summary,
            "missing": missing,
            "unusable": dict(counts.unusable),
        }
    )
    return 1 if missing else 0


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
        lines += [
            f"{'':13}{number} not judged ({reason})" for reason, number in numbers["not_judged"].items()
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    cli.main(parse, run)
