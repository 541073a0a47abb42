"""Make preference pairs from a graded run: short correct answers over long ones, by cutting, never rewriting.

python response_rewrite.py --SILC --rewrite-model meta-llama/Meta-Llama-3-8B-Instruct \\
    --target-model NovaSky-AI/Sky-T1-32B-Preview --dataset results/RUN \\
    --result-dir pairs --checkpoint --tp 8

The shortest correct response is cut after its first correct attempt at the answer. Rules find the attempts;
the rewrite model is asked only for places to cut where rules find none, and only for True or False where
an attempt's answer cannot be read. Stop it at any moment; the same command resumes.
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tasks import FILES, load_task, task_of
from util import cli
from util.data.system_prompts import system_prompt
from util.engines.prices import cost_line
from util.engines.tokens import open_counter
from util.errors import RunStopped, UserError
from util.generation.batches import check_no_batch_waits
from util.records import Problem, Record, Verdict, worth_another_try
from util.response import IN_FIELD, WITHOUT
from util.runs.folder import find_runs, read_run_json
from util.runs.journal import write_whole
from util.runs.lock import locked_folder
from util.runs.older_layout import import_results, read_old_file
from util.runs.opinions import Opinions, trusted_opinions
from util.runs.reader import RecordPlace, RunReader
from util.settings import number_in
from util.task import Task
from util.terminal import Progress, number_of, print_result, say
from util.training.filters import ends_with_its_problem
from util.training.formats import JUDGED_FORMATS, PAIR_FORMATS, check_thought_field, dataset_info
from util.training.pairs.survey import (
    PLAIN,
    THINKING,
    FormOf,
    PossiblePairs,
    Survey,
    check_labels,
    check_references,
    check_samples,
    possible_pairs,
    survey,
)
from util.training.pairs.variants import (
    CUT_VARIANTS,
    JUDGED,
    MARGIN,
    SILC_PAIRINGS,
    VARIANTS,
    WHOLE,
    pairs_file,
)
from util.training.thoughts import NoAnswer, chosen_form, fitting, read_answer, suits

# What grades, or cuts by what the grader reads, is imported where it is used: it takes longer than all else.
if TYPE_CHECKING:
    from util.training.pairs.cutter import Cutter, Grade
    from util.training.pairs.writer import PairWriter

SYMBOLIC_TRIES = 3
ABOUT_PAIRS = ("SILC", "else_whole", "silc_pairing", "variants", "rewrite_model")  # flags


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "--dataset",
        required=True,
        nargs="+",
        type=Path,
        metavar="PATH",
        help="run folder with several samples per problem, or a result file of the older layout; of several "
        "runs of one benchmark, each problem's pair is from the first one that has such a pair",
    )
    parser.add_argument(
        "--target-model",
        required=True,
        metavar="MODEL",
        help="model to be trained: determines the system prompt and the tokenizer that counts",
    )
    parser.add_argument(
        "--rewrite-model", metavar="MODEL", help="model to ask where rules end; default: none is asked"
    )
    parser.add_argument(
        "--result-dir", type=Path, default=Path("pairs"), metavar="DIR", help="where pairs go (pairs)"
    )
    parser.add_argument(
        "--SILC",
        action="store_true",
        help="add pairs that prefer long correct answers to short incorrect ones, so that the "
        "model does not learn mere brevity",
    )
    parser.add_argument(
        "--silc-pairing",
        choices=SILC_PAIRINGS,
        default=MARGIN,
        help="with --SILC: the incorrect response with the largest difference in length to the next longer "
        "correct one (margin), or the shortest incorrect one and the next longer correct one (next-longer)",
    )
    parser.add_argument(
        "--else-whole",
        action="store_true",
        help="where there is nothing to cut, prefer the shortest correct response as it is",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        default=list(CUT_VARIANTS),
        metavar="NAME",
        help=f"which of {', '.join(VARIANTS)} (the first three); whole: the shortest response "
        "uncut, always used for code",
    )
    parser.add_argument(
        "--min-margin",
        type=number_in(0, 1),
        default=0.1,
        metavar="SHARE",
        help="smallest difference in length of a pair, as a share of tokens (0.1)",
    )
    parser.add_argument(
        "--format",
        choices=(*PAIR_FORMATS, *JUDGED_FORMATS),
        default="sharegpt-dpo",
        metavar="FORMAT",
        help=f"rows of the files: {', '.join(PAIR_FORMATS)} (sharegpt-dpo); llamafactory-dpo adds "
        f"dataset_info.json; {' and '.join(JUDGED_FORMATS)} are rows without pairs: a response and whether "
        "it is correct",
    )
    cli.add_thought_flag(parser)
    cli.add_trust_flag(parser)
    cli.add_keep_budget_flag(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the order of the pairs (0)")
    parser.add_argument("--no-llm", action="store_true", help="ask no model, even with --rewrite-model")
    parser.add_argument(
        "--checkpoint", action="store_true", help="always on: steps are kept in the result folder"
    )
    cli.add_count(
        parser,
        "--max-tokens",
        "most tokens in which the rewrite model names places to cut (1024)",
        default=1024,
    )
    parser.add_argument(
        "--tokenizer",
        metavar="MODEL|none",
        help="whose tokenizer counts tokens; default: --target-model; none: the run's own counts",
    )
    parser.add_argument(
        "--system-prompt",
        metavar="NAME|FILE|none",
        help="system message of the rows; default: the one the target model was trained with, if we know it",
    )
    parser.add_argument(
        "--task", metavar="NAME", help="benchmark of a result file of the older layout, if it does not say"
    )
    cli.add_data_flags(parser)
    cli.add_engine_flags(parser)
    cli.add_batch_flag(parser)
    cli.add_budget_flags(parser)
    args = parser.parse_args(argv)
    if args.no_llm:
        args.rewrite_model = None
    return args


def run(args: argparse.Namespace) -> int:
    if args.thought == IN_FIELD:
        check_thought_field(args.format)
    if args.thought == WITHOUT and set(args.variants) != {WHOLE} and args.format not in JUDGED_FORMATS:
        raise UserError("--thought none leaves nothing of what is cut in a thought: add --variants whole")
    if args.format in JUDGED_FORMATS:
        _check_no_pairs(args)
    if args.batch is not None and args.rewrite_model is None:
        raise UserError("--batch says how --rewrite-model is asked, and no model is: leave --batch out")
    if args.silc_pairing != MARGIN and not args.SILC:
        raise UserError(f"--silc-pairing {args.silc_pairing} says how --SILC pairs: give --SILC, too")
    if args.format == "llamafactory-dpo":
        dataset_info([pairs_file(args.result_dir, WHOLE)], pairs=True)  # refused before any work
    with _steps_folder(args) as steps:
        folders = [_run_folder(path, args, steps) for path in args.dataset]
        infos = [read_run_json(folder) for folder in folders]
        task = _common_task(folders, infos)
        found = _graded_survey(folders, task, args, steps)
        with ExitStack() as opened:
            readers = [opened.enter_context(RunReader(folder)) for folder in folders]
            return _make_pairs(args, infos, task, found, readers, steps)


def _common_task(folders: list[Path], infos: list[dict]) -> Task | None:
    """The benchmark of all runs. Raises UserError where they have several, or one run is given twice."""
    if len(set(folders)) < len(folders):
        raise UserError(f"--dataset names a run twice ({', '.join(map(str, folders))}): name each once")
    names = [info["settings"].get("task") for info in infos]
    for folder, name in zip(folders, names, strict=True):
        if name != names[0]:
            raise UserError(
                f"{folders[0]} answers {names[0]} and {folder} answers {name}: give runs of one benchmark"
            )
    return task_of(infos[0])


def _check_no_pairs(args: argparse.Namespace) -> None:
    """Raise UserError for a flag that is about pairs."""
    usual = parse(["--dataset", ".", "--target-model", "none"])
    if flags := cli.unusual_flags(args, usual, ABOUT_PAIRS):
        raise UserError(
            f"{flags[0]} is about pairs, and rows of --format {args.format} are in none: leave it out, or "
            f"choose one of {', '.join(PAIR_FORMATS)}"
        )


@contextmanager
def _steps_folder(args: argparse.Namespace) -> Iterator[Path]:
    """Where steps are kept: the result folder, locked, or in a dry run a copy that is gone afterwards."""
    if args.dry_run:
        from util.training.pairs.cutter import copy_steps

        with TemporaryDirectory() as copy:
            copy_steps(args.result_dir, Path(copy))
            yield Path(copy)
        return
    with locked_folder(args.result_dir, ".pairs.lock", flag="--result-dir"):
        yield args.result_dir


def _run_folder(path: Path, args: argparse.Namespace, steps: Path) -> Path:
    if not path.exists():
        raise UserError(f"no run at {path}: give the folder of a run, or a result file")
    if path.is_file():
        return _imported(path, args, steps)
    folders = find_runs(path)
    if len(folders) > 1:
        names = ", ".join(str(folder) for folder in folders[:5])
        raise UserError(
            f"{path} holds {len(folders)} runs: name those you want, the preferred one first, such as {names}"
        )
    return folders[0]


def _imported(path: Path, args: argparse.Namespace, steps: Path) -> Path:
    """The run folder made from a result file of the older layout, without that layout's verdicts."""
    content = read_old_file(path)
    words = path.stem.lower().split("_")
    named = args.task or next((name for name in FILES if name.lower() in words), None)
    task = _task(named)
    if task is None:
        known = ", ".join(FILES)
        raise UserError(f"{path} does not say which benchmark it answers: give --task NAME, one of {known}")
    model = path.stem[: path.stem.lower().find(f"_{task.name.lower()}")].strip("_")
    folder = steps / "imported" / path.stem
    settings = {"task": task.name, "model": model, "split": task.source.split}
    counts = import_results(content, task, folder, settings, with_verdicts=False)
    if counts["samples"]:
        read = number_of(counts["samples"], "sample was", "samples were")
        say(f"{read} read into {folder} from {path}, to be judged again")
    return folder


def _task(name: str | None) -> Task | None:
    known = next((known for known in FILES if known.lower() == (name or "").lower()), None)
    return None if known is None else load_task(known)


def _graded_survey(folders: list[Path], task: Task | None, args: argparse.Namespace, steps: Path) -> Survey:
    """What is known of each sample, after those without a verdict were graded where that may be."""
    opinions = trusted_opinions(folders, args.trust_opinion)
    found = _survey(folders, opinions, args.keep_budget)
    if not _why_whole(task) and set(args.variants) != {WHOLE} and args.format not in JUDGED_FORMATS:
        check_references(found, folders[0])
    graded = [
        _grade_rest(folder, task, args, steps, left=found.ungraded_in[number])
        for number, folder in enumerate(folders)
        if found.ungraded_in[number]
    ]
    return _survey(folders, opinions, args.keep_budget) if any(graded) else found


def _grade_rest(folder: Path, task: Task | None, args: argparse.Namespace, steps: Path, *, left: int) -> bool:
    """Grade so many samples of a run that have no verdict; returns whether that was done."""
    if args.dry_run and not folder.is_relative_to(steps):
        say(
            f"{number_of(left, 'sample')} of {folder} without a verdict would be graded first; "
            "what follows counts the others"
        )
        return False
    if task is None:
        raise UserError(
            f"{number_of(left, 'sample')} of {folder} without a verdict, and run.json names no "
            "benchmark that could judge them"
        )
    from util.generation.judging import grade_ungraded

    with Progress(left, "grading") as progress:
        gone = grade_ungraded(
            folder,
            task,
            left=left,
            data_dir=args.data_dir,
            on_progress=lambda tokens: progress.step(0),
        )
    if gone:
        say(f"{number_of(gone, 'sample')} could not be graded: the rows have their problems no longer")
    return True


def _survey(folders: list[Path], opinions: Mapping[Path, Opinions], keep_budget: bool) -> Survey:
    def judged(reader: RunReader) -> Iterator[tuple[RecordPlace, Record]]:
        known = opinions.get(reader.folder)
        return ((place, record if known is None else known.applied(record)) for place, record in reader)

    with ExitStack() as opened, Progress(None, "reading") as progress:
        readers = [opened.enter_context(RunReader(folder)) for folder in folders]
        return survey(map(judged, readers), lambda tokens: progress.step(0), keep_budget=keep_budget)


def _make_pairs(
    args: argparse.Namespace,
    infos: list[dict],
    task: Task | None,
    found: Survey,
    readers: list[RunReader],
    steps: Path,
) -> int:
    from util.grading.maths import symbolic
    from util.training.pairs.cutter import Cutter
    from util.training.pairs.writer import PairOptions, PairWriter

    variants = [JUDGED] if args.format in JUDGED_FORMATS else _variants(args, task)
    system, _ = system_prompt(args.system_prompt, args.target_model, data_dir=args.data_dir)
    sent = infos[0]["settings"].get("system_prompt")
    named = None if args.system_prompt is None else system
    form = chosen_form(
        args.thought, named, [system or info["settings"].get("system_prompt") for info in infos]
    )
    problems: list[PossiblePairs] = []
    if args.format in JUDGED_FORMATS:
        check_labels(found, readers[0].folder)
    else:
        problems = possible_pairs(
            found,
            _forms(found, readers, form),
            silc=args.SILC,
            min_margin=args.min_margin,
            silc_pairing=args.silc_pairing,
        )
        check_samples(found, problems, readers[0].folder)
    if args.system_prompt is None and system is None and suits(sent, form):
        system = sent
    if system != fitting([system], form, plain=False):
        say(f"the rows get no system message: that of {args.target_model} asks for another form of thought")
    elif any(system != info["settings"].get("system_prompt", system) for info in infos):
        say(f"the rows get the system prompt of {args.target_model}, the run was made with another one")
    counter = open_counter(args.tokenizer or args.target_model)
    say(f"tokens are counted by {counter.by}")
    symbolic.use(False)  # thousands of short answers: what rules do not know of an attempt stays unknown
    grade, grade_fully = _grade_with(task, infos[0]), _grade_with(task, infos[0], symbolic=True)
    model = args.rewrite_model
    options = PairOptions(
        tuple(variants), args.min_margin, args.seed, args.format, system, form, else_whole=args.else_whole
    )
    batches = args.result_dir / "rewriting"  # of a dry run, too, which writes nothing there
    with closing(Cutter(steps, readers, found, grade, model=model, batches=batches)) as cutter:
        rest = [] if variants in ([WHOLE], [JUDGED]) else _cut_by_rule(cutter, problems)
        if args.dry_run:
            return _forecast(args, cutter, rest)
        if model is None:
            if rest:
                say(f"{number_of(len(rest), 'response')} could be cut further with --rewrite-model")
        elif cutter.has_questions(rest):
            _ask(args, cutter, rest, model)
        writer = PairWriter(args.result_dir, cutter, counter, options, grade=grade, grade_fully=grade_fully)
        with closing(writer):
            if args.format in JUDGED_FORMATS:
                return _write_judged(args, writer, readers[0].folder, counter.by, found)
            with Progress(len(problems), "pairing") as progress:
                for possible in problems:
                    writer.add(possible)
                    progress.step(0)
            return _finish(args, writer, cutter, len(problems), readers[0].folder, counter.by, found)


def _forms(found: Survey, readers: list[RunReader], form: str) -> FormOf:
    """Whether samples have a thought in rows of this form, each read when it is asked for."""

    @cache
    def form_of(number: int) -> str | None:
        record = readers[found.run_of(number)].at(found.place(number))
        answer = read_answer(record.text())
        if isinstance(answer, NoAnswer) or not ends_with_its_problem(answer.solution):
            return None
        return PLAIN if answer.plain or form == WITHOUT else THINKING

    return form_of


def _write_judged(
    args: argparse.Namespace, writer: PairWriter, folder: Path, counted_by: str, found: Survey
) -> int:
    """Write each response with its label instead of pairs."""
    from util.training.pairs.summary import write_summary

    with Progress(len(found), "writing") as progress:
        for number, correct in found.judged():
            writer.add_judged(number, correct=correct)
            progress.step(0)
    paths = writer.finish()
    counts = {"correct": writer.labels[True], "wrong": writer.labels[False]}
    say(f"{counts['correct']} correct and {counts['wrong']} wrong responses, each in a row of its own")
    fell_out = writer.counts[JUDGED].fell_out
    for reason, number in fell_out.most_common():
        say(f"{number_of(number, 'response was', 'responses were')} left out: {reason}")
    if found.undecided:
        say(f"{_undecided(found)} left out: neither right nor wrong")
    _name_earlier_files(args.result_dir, paths)
    about = _about(args, writer, folder, counted_by, found)
    write_summary(args.result_dir, {**about, "rows": counts, "fell_out": dict(fell_out.most_common())})
    files = {name: str(path) for name, path in paths.items()}
    print_result(
        {"files": files, "rows": writer.counts[JUDGED].written, **counts, "undecided": found.undecided}
    )
    return 0


def _name_earlier_files(folder: Path, written: Mapping[str, Path]) -> None:
    """Say which files of pairs in the result folder an earlier command left there."""
    for path in sorted({pairs_file(folder, name) for name in (*VARIANTS, JUDGED)} - {*written.values()}):
        if path.exists():
            say(f"{path} is of an earlier command with other flags")


def _about(
    args: argparse.Namespace, writer: PairWriter, folder: Path, counted_by: str, found: Survey
) -> dict[str, Any]:
    """What pairs-summary.json says of any files."""
    flags = ("target_model", "rewrite_model", "SILC", "silc_pairing", "else_whole", "min_margin", "format")
    return {
        "run": str(folder),
        "pairs_of_runs": dict(writer.runs),
        "undecided": found.undecided,
        "graded_by": sorted(found.graders),
        "tokens_counted_by": counted_by,
        "settings": {
            **{name: getattr(args, name) for name in (*flags, "seed", "trust_opinion")},
            "thought": writer.form,
        },
    }


def _why_whole(task: Task | None) -> str:
    """Why responses are never cut; "" where their parts can be graded like the whole."""
    if task is not None and task.is_code:
        return f"{task.name} is answered with code, which is not cut"
    if task is not None and task.ask_judge is not None:
        return f"{task.name} is graded by a judge, who is not asked about parts"
    return ""


def _variants(args: argparse.Namespace, task: Task | None) -> list[str]:
    """The variants in their usual order."""
    if why := _why_whole(task):
        say(f"{why}: pairs consist of whole responses")
        return [WHOLE]
    return [variant for variant in VARIANTS if variant in args.variants]


def _grade_with(task: Task | None, info: dict, *, symbolic: bool = False) -> Grade:
    """The benchmark's own grader as the run says, or the one for maths where the benchmark is not known.

    With `symbolic`, the symbolic engine is asked where the rules do not know.
    """
    from util.generation.judging import grade_as_recorded
    from util.grading.maths import grade_maths
    from util.grading.maths import symbolic as symbolic_engine

    grade_problem = None if task is None else grade_as_recorded(task, info)

    def grade(record: Record, text: str) -> Verdict:
        if grade_problem is None:
            return grade_maths(record.answer or "", text)
        problem = Problem(
            record.sample.problem_id, record.question, record.answer, record.choices, record.about
        )
        return grade_problem(problem, text)

    def grade_fully(record: Record, text: str) -> Verdict:
        symbolic_engine.use(True)
        try:
            for _ in range(SYMBOLIC_TRIES):
                verdict = grade(record, text)
                if not worth_another_try(verdict):
                    break
            return verdict
        finally:
            symbolic_engine.use(False)

    return grade_fully if symbolic else grade


def _cut_by_rule(cutter: Cutter, problems: list[PossiblePairs]) -> list[int]:
    """Find attempts and their verdicts by rule; returns the responses about which a model could say more."""
    shortest = [possible.base.chosen for possible in problems if possible.base is not None]
    with Progress(len(shortest), "cutting by rule") as progress:
        return cutter.cut_by_rule(shortest, lambda tokens: progress.step(0))


def _forecast(args: argparse.Namespace, cutter: Cutter, rest: list[int]) -> int:
    """Say what the rewrite model would be asked about these responses."""
    from util.training.pairs.forecast import forecast

    asked = rest if args.rewrite_model else []
    if cutter.has_questions(asked):
        check_no_batch_waits(cutter.batches, args.batch)
    expected = forecast(cutter, asked, model=args.rewrite_model or "none", max_tokens=args.max_tokens)
    say("\n".join(expected.lines()) if expected.requests else "no model would be asked")
    print_result(expected.as_json())
    return 0


def _ask(args: argparse.Namespace, cutter: Cutter, rest: list[int], model: str) -> None:
    """Ask the model where attempts begin, then which are correct. Raises RunStopped when that may cost no
    more."""
    check_no_batch_waits(cutter.batches, args.batch)
    options = cli.asking_options(args, model=model, log=args.result_dir / "engine.log", in_batches=True)
    engine = cli.open_within_budget(args, options, place_of=lambda _: cutter.batches)
    try:
        with closing(engine), Progress(None, f"asking {model}", "answers") as progress:
            cutter.ask_for_cuts(engine, rest, max_tokens=args.max_tokens, on_progress=progress.step)
            if not engine.exhausted:
                cutter.ask_for_scores(engine, rest, on_progress=progress.step)
    finally:
        used = (cutter.answers.prompt_tokens, cutter.answers.completion_tokens)
        say(f"used {cost_line(model, *used, in_batches=args.batch is not None)}")
    if engine.exhausted:
        raise RunStopped(f"no pairs are written until everything is asked: {engine.exhausted}")


def _undecided(found: Survey) -> str:
    return number_of(found.undecided, "undecided sample was", "undecided samples were")


def _finish(
    args: argparse.Namespace,
    writer: PairWriter,
    cutter: Cutter,
    problems: int,
    folder: Path,
    counted_by: str,
    found: Survey,
) -> int:
    from util.training.pairs.summary import model_trouble, table, where_pairs_went, write_reports

    counts, answers = writer.counts, cutter.answers
    say(table(counts, problems=problems, attempts=writer.attempts, counted_by=counted_by))
    if found.undecided:
        say(f"{_undecided(found)} left out: neither chosen nor rejected")
    for line in (*where_pairs_went(counts), *model_trouble(answers)):
        say(line)
    if not any(one.written for one in counts.values()):
        if answers.failed:
            return 1
        raise UserError(
            "stage 'cutting': no pair is left, for the reasons above; a rewrite model may find attempts that "
            "rules do not, --variants whole prefers whole responses, --min-margin takes smaller differences"
        )
    paths = writer.finish()
    if args.format == "llamafactory-dpo":
        with_system = writer.system is not None
        write_whole(*dataset_info(list(paths.values()), pairs=True, with_system=with_system))
    _name_earlier_files(args.result_dir, paths)
    about = _about(args, writer, folder, counted_by, found)
    about |= {"problems": problems, "attempts_per_response": dict(sorted(writer.attempts.items()))}
    about["settings"]["variants"] = list(paths)
    write_reports(args.result_dir, counts, cutter, about)
    print_result(
        {
            "files": {name: str(path) for name, path in paths.items()},
            "pairs": {name: one.written for name, one in counts.items()},
            "problems": problems,
            "undecided": found.undecided,
            "tokens_counted_by": counted_by,
        }
    )
    return 1 if answers.failed else 0


if __name__ == "__main__":
    cli.main(parse, run)
