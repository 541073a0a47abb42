"""Why was a response judged as it was, and which references can the grader not read?

python -m util.grading explain --gold '\\frac12' --response 'so it is \\boxed{0.5}'
python -m util.grading explain --dataset APPS --problem 4000 --response answer.md
python -m util.grading check-golds --dataset MATH500
python -m util.grading check-golds --dataset problems.csv --columns answer=result --grade maths
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from util import cli
from util.errors import UserError
from util.grading.code import limits_of
from util.grading.explain import explain, explain_program, given_text, problem_of, shown, span_of
from util.grading.maths import least_trust, symbolic
from util.records import ENDINGS, TRUSTS, Problem, as_finished
from util.settings import at_least, values_of
from util.task import Task
from util.terminal import print_text

# "/tmp/answer", "./answer", "~/answer" and "answer.txt"; "/2" and "1/2" are answers.
PATH = re.compile(r"(?:~|\.{1,2})?/[^\W\d][^\s\\${}]*|[^\s\\${}]*[^\W\d_]\.(?:txt|md|tex|jsonl?|log|out)")


# Flags of `explain` that say nothing about the references of a benchmark.
OF_EXPLAIN = (
    "gold problem run index temperature tests response kind choice question accept finish_reason tolerance"
).split()


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
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        help="benchmark whose references are checked, or that has the --problem",
    )
    parser.add_argument("--split", help="split of the data set; default: the one results are reported on")
    parser.add_argument("--limit", type=at_least(1), metavar="N", help="check only the first N references")
    cli.add_data_flags(parser)
    parser.add_argument("--gold", help="the reference answer, or the letter with --choice")
    parser.add_argument(
        "--problem",
        metavar="ID",
        help="the problem of --dataset that the response answers, by its id in a run",
    )
    parser.add_argument(
        "--run",
        type=Path,
        metavar="RUN",
        help="explain a sample of this run: that of --problem with --index and, where the run has several, "
        "--temperature",
    )
    parser.add_argument("--index", type=int, default=0, metavar="N", help="which sample of a run (0)")
    parser.add_argument("--temperature", type=float, metavar="T", help="of the sample of a run; default: any")
    parser.add_argument(
        "--tests",
        metavar="FILE|JSON",
        help="the tests of a program, as APPS writes them: "
        '{"inputs": [...], "outputs": [...], "fn_name": ...}, or a file that holds them; - reads stdin',
    )
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
        metavar="REASON",
        help=f"why the response ended: stop, {', '.join(ENDINGS)}; length: it was cut off (stop)",
    )
    parser.add_argument(
        "--tolerance",
        default="exact",
        metavar="HOW",
        help="how far a number may be off: exact, digits (the reference's significant digits), relative:X, "
        "absolute:X (exact)",
    )
    parser.add_argument("--no-symbolic", action="store_true", help="do not ask the symbolic engine")
    cli.add_settings(parser, "columns", "grade")
    cli.add_settings(parser, "compare", "all_tests", "time_limit", "memory_limit", "require_isolation")
    args = parser.parse_args(argv)
    if args.command == "explain":
        references = [name for name in ("gold", "tests", "problem") if getattr(args, name) is not None]
        if (args.response is None) == (args.run is None) or len(references) != 1:
            parser.error("explain needs --response, and --gold, --tests or --problem; or --run and --problem")
        if args.limit is not None:
            parser.error(f"--limit {args.limit} is for check-golds: leave it out")
        places = [place for place in (args.dataset, args.run) if place is not None]
        if len(places) != (args.problem is not None):
            parser.error("give --problem together with the --dataset that has it, or a --run")
        if args.response == args.tests == "-":
            parser.error("--response - and --tests - both read stdin: give a file for one of them")
    if args.gold is not None and not args.gold.strip():
        parser.error("--gold is empty: give the reference answer")
    if args.command == "check-golds":
        if args.dataset is None:
            parser.error("check-golds needs --dataset")
        for name in OF_EXPLAIN:
            if (value := getattr(args, name)) != parser.get_default(name):
                flag = f"--{name.replace('_', '-')}"
                parser.error(
                    f"{flag} {value} is for explain; check-golds grades as the benchmark does: leave it out"
                )
    return args


def run(args: argparse.Namespace) -> int:
    symbolic.use(not args.no_symbolic)
    if args.command == "check-golds":
        return _check_golds(args)
    if args.run is not None:
        return _explain_sample(args)
    response = _given(args.response, "--response")
    if args.tests is not None:
        problem = problem_of(_given(args.tests, "--tests"), args.question)
        return _explain_program(args, problem, response, {}, args.finish_reason)
    if args.problem is not None:
        return _explain_problem(args, response)
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


def _explain_problem(args: argparse.Namespace, response: str) -> int:
    """Explain a response to a problem of a benchmark, as its task grades it."""
    task, found = _problems(args)
    problem = next((one for one in found if one.id == args.problem), None)
    if problem is None:
        raise UserError(
            f"--problem {args.problem}: {task.name} has no such problem in this split; give a problem_id of "
            "samples.jsonl, and the run's --split and --revision"
        )
    if task.is_code:
        return _explain_program(args, problem, response, task.limits, args.finish_reason)
    return _explain_answer(args, task, problem, response, args.finish_reason)


def _explain_sample(args: argparse.Namespace) -> int:
    """Explain a sample of a run as `--check` would judge it, but for what flags say."""
    import tasks
    from util.generation.judging import references_of
    from util.runs.folder import read_run_json
    from util.runs.reader import read_records

    info = read_run_json(args.run)
    task, values = tasks.task_of(info), values_of(info)
    if task is None:
        raise UserError(f"{args.run} is of a benchmark that this version does not know")
    wanted = (args.problem, args.index)
    record = next(
        (
            record
            for record in read_records(args.run)
            if (record.sample.problem_id, record.sample.index) == wanted
            and args.temperature in (None, record.sample.temperature)
        ),
        None,
    )
    if record is None:
        at = "" if args.temperature is None else f" --temperature {args.temperature:g}"
        raise UserError(
            f"--problem {args.problem} --index {args.index}{at}: {args.run} has no such sample; "
            "samples.jsonl names them"
        )
    sample, reference = record.sample, record.answer
    suite = references_of(args.run, task, info, args.data_dir).get(args.problem) if task.is_code else None
    problem = Problem(args.problem, record.question, suite or reference, record.choices, record.about)
    if task.is_code:
        return _explain_program(args, problem, record.graded_text, values, sample.finish_reason)
    return _explain_answer(args, task, problem, record.graded_text, sample.finish_reason)


def _explain_answer(
    args: argparse.Namespace, task: Task, problem: Problem, response: str, finish_reason: str
) -> int:
    cli.check_limits(args, [task])
    if problem.reference is None:
        raise UserError(f"--problem {problem.id}: it has no reference, so that nothing can be judged")
    print_text(shown(as_finished(task.grade(problem, response), finish_reason)))
    return 0


def _explain_program(
    args: argparse.Namespace, problem: Problem, response: str, usual: Mapping, finish_reason: str
) -> int:
    """`usual`: settings where no flag says another."""
    from util.generation.judging import check_isolation

    found = check_isolation(args.require_isolation)
    time_limit, memory_limit, compare = (
        getattr(args, name) if name in args.given else usual.get(name, getattr(args, name))
        for name in ("time_limit", "memory_limit", "compare")
    )
    limits = limits_of(time_limit, memory_limit)
    told = explain_program(
        problem,
        response,
        finish_reason=finish_reason,
        compare=compare,
        all_tests=args.all_tests,
        limits=limits,
        time_of_row=time_limit == "row",
    )
    print_text(f"{told}\nisolation  {found.tier}")
    return 0


def _check_golds(args: argparse.Namespace) -> int:
    from util.generation.golds import check_golds, lines_of

    task, found = _problems(args)
    print_text("\n".join(lines_of(task, check_golds(task, found))))
    return 0


def _problems(args: argparse.Namespace) -> tuple[Task, Iterator[Problem]]:
    import tasks
    from util.data.rows import open_rows, problems

    name, own = tasks.full_name(args.dataset, what="benchmark"), cli.own_choice(args)
    if own and not tasks.is_address(name):
        raise UserError(f"--{', --'.join(own)}: {name} says itself what its columns are; leave it out")
    where = cli.place_of_rows(args) if tasks.is_address(name) else {}
    task = tasks.load_task(name, **own, **where)
    if task.address and args.data_dir is not None:
        raise UserError(
            f"{task.address} is read where it is, not from --data-dir {args.data_dir}: leave it out"
        )
    rows = open_rows(task.source, split=args.split, revision=args.revision, data_dir=args.data_dir)
    return task, problems(task, rows, limit=args.limit)


def _given(given: str, flag: str) -> str:
    """The text of a flag; raises UserError for what is surely meant as a file and cannot be read."""
    if PATH.fullmatch(given) is not None:
        if not os.path.exists(given):
            raise UserError(
                f"{flag} {given}: there is no such file; name one that exists, or send the text "
                f"to stdin with {flag} -"
            )
        if not os.path.isfile(given) or not os.access(given, os.R_OK):
            raise UserError(f"{flag} {given} is not a file that can be read: name another one")
    return given_text(given, flag)


if __name__ == "__main__":
    cli.main(parse, run)
