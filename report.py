"""Report on runs: an HTML file, comparisons, a gate for CI, the gap to a published number, what a regrading
changed, why another suite's number for imported samples is not ours, the command that repeats a run, what
less thought would have come to, and records to publish.

python report.py results/QwQ-32B-Preview_AIME_train_all_0_-1 -o report.html
python report.py compare results/QwQ-32B-Preview_AIME_train_all_0_-1 results/Sky-T1-mini_AIME_train_all_0_-1
python report.py gate results/QwQ-32B-Preview_AIME_train_all_0_-1 --at-least 40
python report.py reproduce results/QwQ-32B-Preview_AIME_train_all_0_-1 --claim 50
python report.py explain results/QwQ-32B-Preview_AIME_train_all_0_-1
python report.py audit results/gsm8k
python report.py manifest results/QwQ-32B-Preview_AIME_train_all_0_-1
python report.py budget results/QwQ-32B-Preview_AIME_train_all_0_-1 --at 1024 4096 16384
python report.py publish results/QwQ-32B-Preview_AIME_train_all_0_-1 -o published
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from util import cli
from util.errors import UserError
from util.results.page import PAGE_MB, PAGE_SAMPLES
from util.settings import NOT_RECORDED, SAMPLING, SETTINGS, at_least, number_in
from util.terminal import Progress, number_of, print_result, print_text, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from util.engines.adapters import Adapter
    from util.generation.budget import Budgets

PAGE = "page"
MARGIN = 2.0  # points


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The first word chooses what is done; without one of MODES it is the HTML report."""
    parser = cli.Parser(__doc__)
    modes = parser.add_subparsers(dest="mode", metavar="COMMAND", required=True)
    for name, mode in MODES.items():
        help_text, declare, _ = mode
        words = help_text[0].upper() + help_text[1:]
        declare(modes.add_parser(name, prog=f"{parser.prog} {name}", help=help_text, description=f"{words}."))
    is_page = bool(argv) and argv[0] not in MODES and argv[0] not in ("-h", "--help", "--version")
    return parser.parse_args([PAGE, *argv] if is_page else argv)


def run(args: argparse.Namespace) -> int:
    return MODES[args.mode][2](args)


# --- flags ---


def _page_flags(parser: cli.Parser) -> None:
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="run folder, or a folder of runs: all in it"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help="(report.html)"
    )
    _size_flags(parser)
    parser.add_argument(
        "--counts",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="also show what was kept for training: FILE.card.json of convert_to_data.py, "
        "pairs-summary.json of response_rewrite.py",
    )


def _compare_flags(parser: cli.Parser) -> None:
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="run folders: A, then B and others; of folders of runs, those of the same benchmark",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write it as an HTML page")
    parser.add_argument(
        "--reports",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="reports of the runs, one for each, that the page links to; default: report.html or RUN.html "
        "beside the page or the run",
    )
    _size_flags(parser)
    _margin_flag(parser, f"points within which two runs count as equivalent ({MARGIN:g})")
    _temperatures_flag(parser, "+")


def _gate_flags(parser: cli.Parser) -> None:
    _run_flag(parser, "run folder, or a folder of runs: all have to pass")
    parser.add_argument(
        "--at-least",
        action=_Once,
        type=number_in(0, 100),
        metavar="NUMBER",
        help="avg in percent that the run has to reach, with its whole 95 %% interval",
    )
    parser.add_argument(
        "--over",
        action=_Once,
        type=Path,
        metavar="RUN2",
        help="run on the same data that RUN must not fall below by --margin points or more; of folders, each "
        "run is judged against that of the same benchmark",
    )
    _margin_flag(parser, f"with --over: points that RUN may lack ({MARGIN:g}); 0: it has to be better")
    _temperatures_flag(parser, "+")


def _reproduce_flags(parser: cli.Parser) -> None:
    _run_flag(parser)
    parser.add_argument(
        "--claim",
        type=number_in(0, 100),
        required=True,
        metavar="NUMBER",
        help="the published avg in percent",
    )
    _temperatures_flag(parser, 1)


def _explain_flags(parser: cli.Parser) -> None:
    _run_flag(parser)
    parser.add_argument(
        "--all", action="store_true", help="list every sample whose verdict changed, not only 40"
    )


def _audit_flags(parser: cli.Parser) -> None:
    _run_flag(parser, "run folder that was imported from another suite's log")
    parser.add_argument(
        "--metric", metavar="NAME", help="which of several metrics of the log; default: the first"
    )
    parser.add_argument(
        "--all", action="store_true", help="list every sample that is judged differently, not only 20"
    )
    _temperatures_flag(parser, 1)


def _budget_flags(parser: cli.Parser) -> None:
    _run_flag(parser)
    parser.add_argument(
        "--at",
        type=at_least(1),
        nargs="+",
        required=True,
        metavar="N",
        help="tokens of thought after which the answer is forced, one or several",
    )
    cli.add_count(
        parser,
        "--max-tokens",
        "most tokens of a forced answer; default: what the thought leaves of the run's",
    )
    parser.add_argument(
        "--tokenizer",
        metavar="MODEL",
        help="whose tokenizer counts thoughts; default: the run's model; none: the run's own counts",
    )
    cli.add_data_dir_flag(parser)
    cli.add_budget_flags(parser)
    cli.add_engine_flags(parser)


def _publish_flags(parser: cli.Parser) -> None:
    from util.results import RELATIONSHIPS

    _run_flag(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("published"),
        metavar="DIR",
        help="folder of records (published)",
    )
    parser.add_argument(
        "--model-id",
        metavar="ORG/NAME",
        help="name by which everybody knows the model; default: the run's, where it is one of the hub",
    )
    parser.add_argument(
        "--aggregate-only", action="store_true", help="the result alone, without a record of each sample"
    )
    parser.add_argument(
        "--incomplete", action="store_true", help="publish a run that is not finished, as what it is"
    )
    parser.add_argument(
        "--organization", default="not stated", metavar="NAME", help="who ran it (not stated)"
    )
    parser.add_argument(
        "--relationship",
        choices=RELATIONSHIPS,
        default="other",
        metavar="KIND",
        help=f"of who ran it to the model's makers: {', '.join(RELATIONSHIPS)} (other)",
    )
    parser.add_argument(
        "--source-url", metavar="URL", help="where samples and settings will be, linked from the model's page"
    )
    parser.add_argument(
        "--hub-task",
        metavar="ID",
        help="task of the hub's leaderboard, as eval.yaml of its data set has it; default: what is known",
    )
    _temperatures_flag(parser, 1)


def _run_flag(parser: argparse.ArgumentParser, what: str = "run folder") -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help=what)


def _size_flags(parser: argparse.ArgumentParser) -> None:
    cli.add_count(
        parser,
        "--samples",
        f"most samples in the list ({PAGE_SAMPLES}); of a larger run an even selection",
        least=0,
        default=PAGE_SAMPLES,
    )
    cli.add_count(
        parser,
        "--page-mb",
        f"most megabytes of the page ({PAGE_MB}); what has no room is left out evenly",
        default=PAGE_MB,
    )


class _Once(argparse.Action):
    """A rule that contradicts an earlier one is refused: argparse would take the last word."""

    def __call__(self, parser: Any, found: argparse.Namespace, value: Any, flag: str | None = None) -> None:
        known = getattr(found, self.dest)
        if known not in (None, value):
            parser.error(f"{flag} is given twice, {known} and {value}: give it once")
        setattr(found, self.dest, value)


def _margin_flag(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--margin", action=_Once, type=number_in(0, 100), metavar="POINTS", help=text)


def _temperatures_flag(parser: argparse.ArgumentParser, nargs: str | int) -> None:
    which = "one for all runs, or one for each" if nargs == "+" else "one of them"
    parser.add_argument(
        "--temperatures",
        type=number_in(0, 10),
        nargs=nargs,
        metavar="T",
        help=f"which samples of a run with several temperatures: {which}",
    )


# --- what is done ---


def _page(args: argparse.Namespace) -> int:
    from util.records import exact_number
    from util.results.headline import about_graders, summary_line
    from util.results.named import runs_in
    from util.results.page.counts import read_counts
    from util.results.page.folders import write_page

    _refuse_misspelt(args.runs[0])
    cli.check_output("-o", args.output)
    counts = read_counts(args.counts)
    named = runs_in(args.runs)
    for path in named.skipped:
        say(f"{path} is no run and holds none: skipped")
    page = write_page(args.output, named.runs, samples=args.samples, page_mb=args.page_mb, counts=counts)
    summaries: dict[str, dict] = {}
    for facts in page.runs:
        if facts.being_written_by:
            say(f"{facts.folder} is being written by {facts.being_written_by}: reporting what exists so far")
        found = facts.headlines.items()
        summaries[str(facts.folder)] = {exact_number(at): one.as_json()["avg"] for at, one in found}
        for at, one in found:
            say(summary_line(f"{facts.name} at {exact_number(at)}", one))
            if mixed := about_graders(one):
                say(mixed)
            if facts.opinions is not None:
                say(f"  {facts.opinions.headline(exact_number(at), one)}")
        for line in () if facts.opinions is None else facts.opinions.lines():
            say(line)
    for sentence in page.lacks():
        say(sentence)
    left_out = {"left_out": {str(folder): why for folder, why in page.left_out.items()}}
    print_result({"report": str(args.output), "runs": summaries, **(left_out if page.left_out else {})})
    return 0


def _compare(args: argparse.Namespace) -> int:
    from contextlib import closing

    from util.results import compare_runs
    from util.results.named import by_benchmark
    from util.results.page import comparison
    from util.results.page.gather import MB, Shelf
    from util.results.sides import open_sides

    if args.output is not None:
        cli.check_output("-o", args.output)
    found = by_benchmark(args.runs)
    for why in found.left_out:
        say(f"WARNING: not compared: {why}")
    first = found.together[0].runs
    if len(first) < 2:
        raise UserError(f"compare needs two runs or more, and {args.runs[0]} is one")
    if len(args.reports) not in (0, len(first)):
        raise UserError(f"--reports names {len(args.reports)} files for {len(first)} runs: give one for each")
    with closing(Shelf(args.samples, args.page_mb * MB, by_problem=True)) as shelf:
        if len(found.together) == 1 and len(first) == 2:
            keeps = None if args.output is None else shelf
            two = compare_runs.compare_runs(
                *open_sides(first, args.temperatures, shelf=keeps), margin=_margin(args)
            )
            if args.output is not None:
                comparison.write_comparison(args.output, two, shelf, args.reports)
            print_text(compare_runs.as_text(two))
            print_result(two.as_json())
            return 0
    sides = {}
    for one in found.together:
        try:
            sides[one.name] = open_sides(one.runs, args.temperatures)
        except UserError as error:
            if len(found.together) == 1:
                raise
            say(f"WARNING: not compared: {one.name}: {error}")
    if not sides:
        raise UserError(f"none of {len(found.together)} benchmarks can be compared: see the warnings")
    several = compare_runs.compare_several(sides, margin=_margin(args))
    if args.output is not None:
        comparison.write_table(args.output, several, args.reports)
    print_text(compare_runs.table_text(several))
    print_result(compare_runs.several_as_json(several))
    return 0


def _gate(args: argparse.Namespace) -> int:
    from util.results.compare_runs import warnings_of
    from util.results.gate import Gate, check_gate
    from util.results.named import Together, by_benchmark, runs_in
    from util.results.sides import open_sides

    if args.margin is not None and args.over is None:
        raise UserError("--margin is how far RUN may be below another run: name that one with --over")
    if args.over is None:
        together = [Together("", [run]) for run in runs_in([args.run]).runs]
    else:
        found = by_benchmark([args.run, args.over])
        if found.left_out:
            raise UserError(f"a gate judges all runs or none: {found.left_out[0]}")
        together = found.together
    rulings = []
    for one in together:
        run, *others = open_sides(one.runs, args.temperatures)
        for warning in [warning for base in others for warning in warnings_of(base, run)]:
            say(f"WARNING: {warning}")
        rulings += check_gate(
            run,
            at_least=None if args.at_least is None else args.at_least / 100,
            over=others[0] if others else None,
            margin=_margin(args),
        ).rulings
    gate = Gate(rulings)
    print_text(gate.as_text())
    print_result(gate.as_json())
    return gate.status


def _reproduce(args: argparse.Namespace) -> int:
    from util.data.generation_config import known_sampling
    from util.results.reproduce import as_text, split_gap
    from util.results.sides import open_side

    run = open_side(args.run, *args.temperatures or ())
    found = split_gap(run, args.claim, known_sampling(run.model))
    print_text(as_text(found))
    print_result(found.as_json())
    return 0


def _explain(args: argparse.Namespace) -> int:
    from util.results import history

    found = history.read_history(args.run)
    print_text(history.as_text(args.run, found, most=None if args.all else history.LISTED))
    print_result(found.as_json())
    return 0


def _audit(args: argparse.Namespace) -> int:
    from util.results import audit
    from util.results.sides import open_side

    metric = audit.metric_of(args.run, args.metric)
    found = audit.audit(open_side(args.run, *args.temperatures or ()), metric)
    most = None if args.all else audit.LISTED
    print_text(audit.as_text(found, most=most))
    print_result(found.as_json(most=most))
    return 0


def _manifest(args: argparse.Namespace) -> int:
    from tasks import task_of
    from util.machines.versions import made_with
    from util.runs.folder import read_run_json
    from util.runs.repeat import cautions, repeat_command

    for caution in cautions(args.run, made_with()):
        say(f"WARNING: {caution}")
    task = task_of(read_run_json(args.run))
    print_text(repeat_command(args.run, kept=() if task is None else task.limits))
    return 0


def _publish(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from tasks import is_reserved, task_of
    from util.results import publish
    from util.results.sides import open_side
    from util.runs.journal import make_folder_of

    if args.source_url is not None and not args.source_url.startswith("https://"):
        raise UserError(f"--source-url {args.source_url} is no address that begins with https://")
    side = open_side(args.run, *args.temperatures or ())
    publish.check_publishable(side, incomplete=args.incomplete, aggregate_only=args.aggregate_only)
    info = side.facts.info
    origin = publish.Origin(hub_task=args.hub_task or "")
    if "address" in info["dataset"]:
        origin = replace(
            origin, usual_split=info["dataset"]["split"], in_plain_text=not is_reserved(side.task)
        )
    elif (task := task_of(info)) is not None:
        origin = publish.Origin(
            usual_split=task.source.split,
            config=task.source.config,
            hub_task=args.hub_task or task.hub_task,
            notes=task.notes,
            in_plain_text=not is_reserved(task.name),
        )
    by = publish.Publisher(
        publish.model_id(side, args.model_id), args.organization, args.relationship, args.source_url
    )
    make_folder_of("-o", args.output)
    done = publish.write_records(args.output, side, origin, by, aggregate_only=args.aggregate_only)
    written = {"record": done.record, "samples": done.samples, "eval_results": done.entry}
    for path in filter(None, written.values()):
        say(f"wrote {path}")
    if done.why_no_entry:
        say(f"nothing for .eval_results on the model's page: {done.why_no_entry}")
    say("nothing was sent")
    print_result({name: None if path is None else str(path) for name, path in written.items()})
    return 0


def _budget(args: argparse.Namespace) -> int:
    from tasks import task_of
    from util.engines.prices import cost_line
    from util.engines.tokens import open_counter
    from util.generation import budget
    from util.results.counting import stopped_early
    from util.runs.folder import read_run_json
    from util.settings import values_of

    info = read_run_json(args.run)
    values = values_of(info)
    task = task_of(info)
    if task is None:
        raise UserError(f"{args.run} answers {values['task']}, which is no benchmark of this suite")
    if task.ask_judge is not None:
        raise UserError(f"{args.run} is graded by a judge, and budget grades by rules: choose another run")
    args.model = values["model"]
    counter = open_counter(args.tokenizer or args.model)
    budgets = budget.Budgets(args.run, args.at, counter, max_tokens=args.max_tokens)
    say(f"thoughts are counted by {counter.by}")
    if stopped_early(info) is not None:
        say("WARNING: verdicts decided how many samples a problem has: hard problems weigh too little")
    requests, *tokens = budgets.forecast()
    say(f"{number_of(requests, 'answer')} to ask for, about {cost_line(args.model, *tokens)}")
    if args.dry_run:
        print_result({"requests": requests, "prompt_tokens": tokens[0], "completion_tokens": tokens[1]})
        return 0
    status = _ask_at_budgets(args, budgets, requests, values) if requests else 0
    with Progress(None, "grading") as progress:
        rows = budgets.table(task, data_dir=args.data_dir, on_progress=progress.step)
    if not any(row.forced for row in rows):
        say(f"no thought of {args.run} is longer than {min(args.at)} tokens")
    print_text(budget.as_text(rows))
    print_result({"counted_by": counter.by, "budgets": budget.as_json(rows)})
    return status


def _ask_at_budgets(args: argparse.Namespace, budgets: Budgets, requests: int, values: dict) -> int:
    """Ask the engine of the run, but for what the flags say; returns the exit status."""
    from contextlib import closing
    from dataclasses import replace

    from util.engines.failures import about_failures
    from util.engines.prices import cost_line
    from util.runs.folder import check_nobody_writes
    from util.runs.lock import LOCK, locked_folder

    check_nobody_writes(args.run)
    for setting in SETTINGS:
        known = values[setting.name]
        if setting.place == "engine" and setting.name not in args.given and known != NOT_RECORDED:
            setattr(args, setting.name, known)
    args.engine_args = {**(values["engine_args"] or {}), **args.engine_args}
    args.max_tokens = args.max_tokens or 1
    options = replace(
        cli.asking_options(args, log=args.run / "engine.log"),
        sampling={setting.name: values[setting.name] for setting in SAMPLING},
        thinking=values["thinking"],
        adapter=_adapter_of(values),
    )
    with (
        locked_folder(args.run, LOCK, flag="RUN"),
        closing(cli.open_within_budget(args, options)) as engine,
    ):
        engine.check_goes_on("")
        with Progress(requests, "answering", "answers") as progress:
            outcome = budgets.ask(engine, progress.step)
    say(f"spent {cost_line(args.model, outcome.prompt_tokens, outcome.completion_tokens)}")
    if outcome.failed:
        say(about_failures(outcome.failed, outcome.failure, of=requests))
    if engine.exhausted:
        say(engine.exhausted)
    missing = requests - outcome.generated
    if missing:
        say(f"{missing} forced answers are missing: the table counts the others alone")
    return 1 if missing else 0


def _adapter_of(values: dict) -> Adapter | None:
    """The adapter of a run, as it was."""
    from util.engines.adapters import read_adapter

    if values["lora"] is None:
        return None
    adapter = read_adapter(values["lora"])
    if values["lora_hash"] not in (adapter.digest, NOT_RECORDED):
        raise UserError(
            f"the adapter {adapter} is {adapter.digest}, the run had {values['lora_hash']}: put it back"
        )
    return adapter


def _margin(args: argparse.Namespace) -> float:
    return (MARGIN if args.margin is None else args.margin) / 100


def _refuse_misspelt(path: Path) -> None:
    """A first word that is neither a folder nor a command, but nearly one."""
    import difflib

    close = [] if path.exists() else difflib.get_close_matches(str(path).lower(), MODES, n=1)
    if close:
        raise UserError(f"no run at {path}: did you mean the command {close[0]}?")


Mode = tuple[str, Callable[[cli.Parser], None], Callable[[argparse.Namespace], int]]
MODES: dict[str, Mode] = {  # by name: help, flags, what is done
    PAGE: ("draw runs as an HTML file (what is done without a command)", _page_flags, _page),
    "compare": ("pair the problems of two runs, or list several against the first", _compare_flags, _compare),
    "gate": ("judge a run by a rule: exit status 0 pass, 1 fail, 3 cannot tell", _gate_flags, _gate),
    "reproduce": ("split the gap between a run and a published number", _reproduce_flags, _reproduce),
    "explain": ("count and list what a regrading changed", _explain_flags, _explain),
    "audit": ("split what an imported log's number and ours differ by", _audit_flags, _audit),
    "manifest": ("print the command that repeats a run", _run_flag, _manifest),
    "publish": ("write records of a run that others can read: nothing is sent", _publish_flags, _publish),
    "budget": ("show accuracy against thinking budget, from one finished run", _budget_flags, _budget),
}

if __name__ == "__main__":
    cli.main(parse, run)
