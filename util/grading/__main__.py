"""Why was a response judged as it was?

python -m util.grading explain --gold '\\frac12' --response 'so it is \\boxed{0.5}'
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from util.errors import UserError
from util.grading.choice import LETTERS, grade_choice
from util.grading.maths import grade_maths, symbolic
from util.records import Verdict
from util.terminal import print_text, say


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m util.grading", description="explain how a response is graded"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    explain = commands.add_parser("explain", help="grade one response and print every step of the verdict")
    explain.add_argument("--gold", required=True, help="the reference answer, or the letter with --choice")
    explain.add_argument(
        "--response",
        required=True,
        metavar="FILE|TEXT",
        help="the response, or a file that holds it; - reads stdin",
    )
    explain.add_argument(
        "--kind",
        choices=("any", "integer", "number"),
        default="any",
        help="what the answer has to be (default any)",
    )
    explain.add_argument(
        "--choice", type=int, metavar="N", help="a multiple-choice problem with N options, 2 to 10"
    )
    explain.add_argument(
        "--no-symbolic", "--no_symbolic", action="store_true", help="do not ask the symbolic engine"
    )
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> Verdict:
    """Grade the response of the command line."""
    symbolic.use(not args.no_symbolic)
    response = _response(args.response)
    if args.choice is None:
        return grade_maths(args.gold, response, kind=args.kind)
    if not 2 <= args.choice <= len(LETTERS):
        raise UserError(f"--choice {args.choice}: give the number of options, 2 to {len(LETTERS)}")
    if args.gold not in LETTERS[: args.choice]:
        raise UserError(
            f"--gold {args.gold}: with --choice {args.choice} give a letter out of {LETTERS[: args.choice]}"
        )
    return grade_choice(args.gold, response, options=args.choice)


def _response(given: str) -> str:
    if given == "-":
        return sys.stdin.read()
    if len(given) < 4096 and "\n" not in given and "\0" not in given and os.path.isfile(given):
        return Path(given).read_text(encoding="utf-8", errors="replace")
    return given


def show(verdict: Verdict) -> str:
    """A verdict in lines for people."""
    lines = {
        "verdict": "correct" if verdict.correct else f"not correct: {verdict.reason}",
        "extracted": "nothing" if verdict.extracted is None else verdict.extracted,
        "decided by": verdict.detail,
        "grader": verdict.grader,
    }
    return "\n".join(f"{name:<11}{value}" for name, value in lines.items())


def main() -> int:
    """Run the command; 2 where the person can fix what is wrong."""
    try:
        verdict = run(parse())
    except UserError as error:
        say(f"error: {error}")
        return 2
    print_text(show(verdict))
    return 0


if __name__ == "__main__":
    sys.exit(main())
