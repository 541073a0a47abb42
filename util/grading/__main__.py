"""Why was a response judged as it was?

python -m util.grading explain --gold '\\frac12' --response 'so it is \\boxed{0.5}'
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence

from util import cli
from util.errors import UserError
from util.grading.explain import explain, response_text, shown
from util.grading.maths import symbolic
from util.terminal import print_text

# "/tmp/answer", "./answer", "~/answer" and "answer.txt"; "/2" and "1/2" are answers.
PATH = re.compile(r"(?:~|\.{1,2})?/[^\W\d][^\s\\${}]*|[^\s\\${}]*[^\W\d_]\.(?:txt|md|tex|jsonl?|log|out)")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "command", choices=("explain",), help="grade one response and print every step of the verdict"
    )
    parser.add_argument("--gold", required=True, help="the reference answer, or the letter with --choice")
    parser.add_argument(
        "--response",
        required=True,
        metavar="FILE|TEXT",
        help="the response, or a file that holds it; - reads stdin",
    )
    parser.add_argument(
        "--kind",
        choices=("any", "integer", "number"),
        default="any",
        help="what the answer has to be (any)",
    )
    parser.add_argument(
        "--choice", type=int, metavar="N", help="a multiple-choice problem with N options, 2 to 10"
    )
    parser.add_argument("--no-symbolic", action="store_true", help="do not ask the symbolic engine")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    _check_path(args.response)
    symbolic.use(not args.no_symbolic)
    verdict = explain(args.gold, response_text(args.response), kind=args.kind, options=args.choice)
    print_text(shown(verdict))
    return 0


def _check_path(given: str) -> None:
    """Raise UserError for what is surely meant as a file and is none that can be read."""
    if PATH.fullmatch(given) is None:
        return
    if not os.path.exists(given):
        raise UserError(
            f"--response {given}: there is no such file; name one that exists, or send the text "
            "to stdin with --response -"
        )
    if not os.path.isfile(given) or not os.access(given, os.R_OK):
        raise UserError(f"--response {given} is not a file that can be read: name another one")


if __name__ == "__main__":
    cli.main(parse, run)
