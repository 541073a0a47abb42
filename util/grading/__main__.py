"""Why was a response judged as it was?

python -m util.grading explain --gold '\\frac12' --response 'so it is \\boxed{0.5}'
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from util.errors import UserError
from util.grading.explain import explain, response_text, shown
from util.grading.maths import symbolic
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


def main() -> int:
    """Run the command; 2 where the person can fix what is wrong."""
    try:
        args = parse()
        symbolic.use(not args.no_symbolic)
        response = response_text(args.response)
        verdict = explain(args.gold, response, kind=args.kind, options=args.choice)
    except UserError as error:
        say(f"error: {error}")
        return 2
    print_text(shown(verdict))
    return 0


if __name__ == "__main__":
    sys.exit(main())
