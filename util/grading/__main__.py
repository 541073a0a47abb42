"""Why was a response judged as it was, and which references can the grader not read?

python -m util.grading explain --gold '\\frac12' --response 'so it is \\boxed{0.5}'
python -m util.grading check-golds --dataset MATH500
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence

from util import cli
from util.errors import UserError
from util.grading.explain import explain, response_text, shown, span_of
from util.grading.maths import least_trust, symbolic
from util.records import ENDINGS, TRUSTS, as_finished
from util.settings import at_least
from util.terminal import print_text

# "/tmp/answer", "./answer", "~/answer" and "answer.txt"; "/2" and "1/2" are answers.
PATH = re.compile(r"(?:~|\.{1,2})?/[^\W\d][^\s\\${}]*|[^\s\\${}]*[^\W\d_]\.(?:txt|md|tex|jsonl?|log|out)")


def _any_text(text: str) -> str:
    """An argparse type: a text, also an empty one."""
    return text


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "command",
        choices=("explain", "check-golds"),
        help="explain: grade one response and print every step of the verdict; check-golds: count the "
        "references of a benchmark that its grader cannot read or does not accept as their own answer",
    )
    parser.add_argument("--dataset", metavar="NAME", help="benchmark whose references are checked")
    parser.add_argument("--split", help="split of the data set; default: the one results are reported on")
    parser.add_argument("--limit", type=at_least(1), metavar="N", help="check only the first N references")
    cli.add_data_flags(parser)
    parser.add_argument("--gold", help="the reference answer, or the letter with --choice")
    parser.add_argument(
        "--response",
        type=_any_text,
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
    parser.add_argument(
        "--question",
        type=_any_text,
        default="",
        help="what was asked: a relation that it gives is no answer to it",
    )
    parser.add_argument(
        "--accept",
        choices=TRUSTS,
        help="least trust in the sign by which an answer is found; default: medium, and with --kind number "
        "low, which takes the last number, too",
    )
    parser.add_argument(
        "--finish-reason",
        default="stop",
        choices=("stop", *ENDINGS),
        help="why the response ended; length: it was cut off (stop)",
    )
    parser.add_argument(
        "--tolerance",
        default="exact",
        metavar="HOW",
        help="how far a number may be off: exact, digits (the reference's significant digits), relative:X, "
        "absolute:X (exact)",
    )
    parser.add_argument("--no-symbolic", action="store_true", help="do not ask the symbolic engine")
    args = parser.parse_args(argv)
    if args.command == "explain" and (args.gold is None or args.response is None):
        parser.error("explain needs --gold and --response")
    if args.gold is not None and not args.gold.strip():
        parser.error("--gold is empty: give the reference answer")
    if args.command == "check-golds" and args.dataset is None:
        parser.error("check-golds needs --dataset")
    return args


def run(args: argparse.Namespace) -> int:
    symbolic.use(not args.no_symbolic)
    if args.command == "check-golds":
        return _check_golds(args)
    _check_path(args.response)
    response = response_text(args.response)
    verdict = explain(
        args.gold,
        response,
        kind=args.kind,
        options=args.choice,
        accept=args.accept,
        question=args.question,
        tolerance=args.tolerance,
    )
    span = "" if args.choice else span_of(response, args.accept or least_trust(args.kind))
    print_text(shown(as_finished(verdict, args.finish_reason), span))
    return 0


def _check_golds(args: argparse.Namespace) -> int:
    import tasks
    from util.data.rows import open_rows, problems
    from util.generation.golds import check_golds, lines_of

    task = tasks.load_task(tasks.full_name(args.dataset, what="benchmark"))
    rows = open_rows(task.source, split=args.split, revision=args.revision, data_dir=args.data_dir)
    found = check_golds(task, problems(task, rows, limit=args.limit))
    print_text("\n".join(lines_of(task, found)))
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
