"""Report on runs: an HTML file, a paired comparison, what a regrading changed, the command that repeats one.

python report.py results/QwQ-32B-Preview_AIME_train_all_0_-1 -o report.html
python report.py compare results/QwQ-32B-Preview_AIME_train_all_0_-1 results/Sky-T1-mini_AIME_train_all_0_-1
python report.py explain results/QwQ-32B-Preview_AIME_train_all_0_-1
python report.py manifest results/QwQ-32B-Preview_AIME_train_all_0_-1
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from util import cli
from util.errors import UserError
from util.settings import at_least, number_in
from util.terminal import print_result, print_text, say

MODES = ("compare", "explain", "manifest")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The first word chooses what is done; without one of MODES it is the HTML report."""
    mode = argv[0] if argv and argv[0] in MODES else "page"
    parser = cli.Parser(__doc__)
    if mode == "page":
        parser.usage = "report.py RUN [RUN ...] -o FILE | report.py {compare,explain,manifest} ..."
        parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder")
        parser.add_argument(
            "-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help="(report.html)"
        )
        parser.add_argument(
            "--samples",
            type=at_least(0),
            default=10_000,
            metavar="N",
            help="most samples in the list (10000); of a larger run an even selection",
        )
        parser.add_argument(
            "--counts",
            type=Path,
            nargs="+",
            default=[],
            metavar="FILE",
            help="also show what was kept for training: FILE.card.json of convert_to_data.py, "
            "pairs-summary.json of response_rewrite.py",
        )
    elif mode == "compare":
        parser.add_argument("runs", type=Path, nargs=2, metavar="RUN", help="run folder: A, then B")
        parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write it as an HTML page")
        parser.add_argument(
            "--temperatures",
            type=number_in(0, 10),
            nargs="+",
            metavar="T",
            help="which samples of a run with several temperatures: one for both runs, or A's and B's",
        )
    else:
        parser.add_argument("run", type=Path, metavar="RUN", help="run folder")
        if mode == "explain":
            parser.add_argument(
                "--all", action="store_true", help="list every sample whose verdict changed, not only 40"
            )
    args = parser.parse_args(argv[1:] if mode != "page" else argv)
    args.mode = mode
    return args


def run(args: argparse.Namespace) -> int:
    modes: dict[str, Callable[[argparse.Namespace], None]] = {
        "page": _page,
        "compare": _compare,
        "explain": _explain,
        "manifest": _manifest,
    }
    modes[args.mode](args)
    return 0


def _page(args: argparse.Namespace) -> None:
    from contextlib import closing

    from util.records import exact_number
    from util.results.counting import summary_line
    from util.results.page.counts import read_counts
    from util.results.page.gather import Shelf, read_run
    from util.results.page.page import write_report

    _check_output(args.output)
    if len({folder.resolve() for folder in args.runs}) < len(args.runs):
        raise UserError("a run is named twice: name each run once")
    counts = read_counts(args.counts)
    with closing(Shelf(args.samples)) as shelf:
        runs = [read_run(folder, number=number, shelf=shelf) for number, folder in enumerate(args.runs)]
        summaries: dict[str, dict] = {}
        for facts in runs:
            if facts.being_written_by:
                say(
                    f"{facts.folder} is being written by {facts.being_written_by}: reporting "
                    "what exists so far"
                )
            summaries[str(facts.folder)] = {}
            for temperature, numbers in facts.numbers.items():
                say(summary_line(f"{facts.name} at {exact_number(temperature)}", numbers))
                summaries[str(facts.folder)][exact_number(temperature)] = numbers["avg"]
                if facts.opinions is not None:
                    say(f"  {facts.opinions.headline(exact_number(temperature), numbers)}")
            for line in () if facts.opinions is None else facts.opinions.lines():
                say(line)
        write_report(args.output, runs, shelf, counts=counts)
    print_result({"report": str(args.output), "runs": summaries})


def _compare(args: argparse.Namespace) -> None:
    from util.results import compare_runs

    if args.output is not None:
        _check_output(args.output)
    if args.temperatures is not None and len(args.temperatures) > 2:
        raise UserError(f"--temperatures takes one or two values, not {len(args.temperatures)}")
    first, second = args.runs
    found = compare_runs.compare_runs(first, second, args.temperatures)
    if args.output is not None:
        compare_runs.write_comparison(args.output, found)
    print_text(compare_runs.as_text(found))
    print_result(found.as_json())


def _explain(args: argparse.Namespace) -> None:
    from util.results import history

    found = history.read_history(args.run)
    print_text(history.as_text(args.run, found, most=None if args.all else history.LISTED))
    print_result(found.as_json())


def _manifest(args: argparse.Namespace) -> None:
    from tasks import FILES, load_task
    from util.machines.versions import made_with
    from util.runs.folder import read_run_json
    from util.runs.repeat import cautions, repeat_command

    for caution in cautions(args.run, made_with()):
        say(f"WARNING: {caution}")
    name = read_run_json(args.run)["settings"].get("task")
    limits = load_task(name).limits if name in FILES else ()
    print_text(repeat_command(args.run, kept=limits))


def _check_output(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"lies in {path.parent}, which is not a folder"
        raise UserError(f"-o {path} {what}: name a file in a folder that exists")


if __name__ == "__main__":
    cli.main(parse, run)
