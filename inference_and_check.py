"""Generate answers to a benchmark, grade them, or both at once.

python inference_and_check.py --dataset MATH500 --model Qwen/Qwen2-7B-Instruct --tp 4 --max-tokens 4096 \\
    --split test --result-dir results --temperatures 0.7 --n 8

--inference generates, --check grades what is there, neither does both: grading while the engine generates.
Stop it at any moment; the same command resumes.
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks import FILES, benchmarks, full_name, is_address, load_task
from util import cli
from util.errors import RunStopped, UserError
from util.runs.shards import shard_of
from util.settings import number_in
from util.terminal import Progress, number_of, print_result, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack
    from typing import Any

    from util.engines.metered import MeteredEngine
    from util.generation.benchmark import Benchmark, Results
    from util.generation.forecast import Forecast
    from util.generation.judging import Grading
    from util.generation.loop import Outcome
    from util.generation.order import Order
    from util.generation.rounds import Rounds, Stopping
    from util.generation.second_opinion import Asked, SecondOpinion
    from util.generation.tracking import Tracking
    from util.records import Failure
    from util.results.headline import Headline
    from util.runs.shards import Groups
    from util.task import Task

MATH_VERIFY = "math-verify"  # the second opinion that is no model
AUDIT_SHARE = 0.02
SYMBOLIC_TRIES = 3


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "--dataset",
        required=True,
        metavar="NAME",
        help=f"benchmark: {', '.join(FILES)}, or one of docs/benchmarks.md; or problems of your own: a "
        ".jsonl, .csv, .tsv or .parquet file, or hf://datasets/ORG/NAME[@REVISION][:CONFIG/SPLIT]",
    )
    parser.add_argument("--model", required=True, help=cli.MODEL_HELP)
    cli.add_result_dir_flag(parser)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--inference", action="store_true", help="only generate")
    mode.add_argument("--check", action="store_true", help="only grade existing samples")
    parser.add_argument(
        "--shard",
        type=shard_of,
        metavar="I/N",
        help="be job I of N that write to one run folder, each started with the same other flags; auto: the "
        "task of a Slurm array",
    )
    cli.add_run_flags(parser, "rows", "sampling", "stopping")
    cli.add_budget_flags(parser)
    cli.add_engine_flags(parser)
    cli.add_batch_flag(parser)
    cli.add_run_flags(parser, "own", "livecodebench", "grading")
    parser.add_argument(
        "--regrade",
        action="store_true",
        help="with --check: grade all samples again (`report.py explain` shows what changed)",
    )
    group = parser.add_argument_group("second opinion (after all answers are graded)")
    group.add_argument(
        "--second-opinion",
        metavar="VERIFIER",
        help="ask about answers that the rules leave undecided: math-verify, openai/NAME, or a model that "
        "vLLM runs; verdicts stay as they are, and the headline shows both",
    )
    group.add_argument(
        "--audit-share",
        type=number_in(0, 1),
        metavar="SHARE",
        help=f"share of the other answers to ask about as well, drawn by their names ({AUDIT_SHARE})",
    )
    cli.add_log_flag(parser)
    cli.add_overwrite_flag(parser)
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    from contextlib import ExitStack
    from functools import partial

    from util.generation.benchmark import (
        Results,
        about_few_samples,
        counts_line,
        open_benchmark,
        open_grading,
        results_of,
    )
    from util.generation.model_judge import judge_rest
    from util.generation.tracking import Tracking, check_installed
    from util.results.public import public_settings

    check_installed(args.log)
    if args.regrade and not args.check:
        raise UserError("--regrade grades existing samples again: give it together with --check")
    _check_shard(args)
    cli.settle_sampling(args)
    task = _task(args)
    cli.check_limits(args, [task])
    cli.check_judge(args, [task])
    _check_opinion_flags(args, task)
    order = cli.order_from(args, task, None if args.check else _stopping(args, task))
    if task.address and not args.check:
        cli.look_at_own(args, order, benchmarks())
    if args.dry_run:
        return _forecast(args, order)
    if args.n > 1 and 0 in order.plan.temperatures and not args.check:
        say(
            "temperature 0 is greedy: all samples of a problem would be equal, so one is taken instead of --n"
        )
    opened = open_benchmark(
        order, args.result_dir, fresh=args.overwrite_settings, must_exist=args.check, shard=args.shard
    )
    shard = "" if args.shard is None else f" {args.shard}"
    tracking = Tracking(
        args.log,
        name=f"{opened.run.folder.name}{shard}",
        folder=opened.run.folder,
        settings=lambda: public_settings(opened.run.info),
    )
    with opened, tracking:
        say(counts_line(opened.order.task, opened.counts))
        judge = opened.judge()
        if judge is not None and not args.regrade:
            judge.check_alone()
        if not args.check and (doubt := about_few_samples(len(opened.asked.ids), order.plan.n)):
            say(doubt)
        spent, results, is_whole = Spent(), None, True
        if args.shard is not None:
            spent = _work_beside_others(args, opened, tracking)
            if not opened.end_run():
                print_result({"dataset": order.task.name, "model": args.model, "run": str(opened.run.folder)})
                return spent.status
        with ExitStack() as stack:
            grading = None
            if not args.inference:
                grading = open_grading(opened, stack, again=args.regrade)
            if not args.check and args.shard is None:
                spent = _generate(args, opened, grading, tracking)
            if grading is not None:
                results = Results(opened, is_check=args.check)
                below = args.n if args.check and "n" in args.given else None
                is_whole = _grade_rest(grading, results, again=args.regrade, below=below)
        status = spent.status
        if judge is not None:  # as below: the engine is closed
            with ExitStack() as stack:
                is_judged = judge_rest(judge, opened.run, partial(_open_judge, args, opened, spent, stack))
            status = max(status, 0 if is_judged else 1)
            results = results_of(opened, is_check=args.check)
        if args.second_opinion is not None:  # the first engine is closed: a verifier may need its GPUs
            status = max(status, _ask_opinions(args, opened, spent))
        results = results or results_of(opened, is_check=args.check)
        return max(status, _report(args, opened, results, tracking, is_whole=is_whole))


@dataclass(frozen=True)
class Spent:
    """What generating came to: the exit status, and what it took of the budget."""

    status: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    is_all: bool = False


def _open_judge(
    args: argparse.Namespace, opened: Benchmark, spent: Spent, stack: ExitStack
) -> MeteredEngine | None:
    """The judge's engine, which ends with `stack`; None where answers took the whole budget."""
    if spent.is_all:
        return None
    log = opened.run.folder / "judge.log"
    engine = cli.open_judge(args, log, spent.prompt_tokens, spent.completion_tokens)
    if engine is not None:
        stack.callback(engine.close)
    return engine


def _check_shard(args: argparse.Namespace) -> None:
    """Settle which shard this is; raises UserError for flags that do not go with one."""
    from util.runs.shards import AUTO, of_slurm_array

    if args.shard is None:
        return
    if args.shard == AUTO:
        args.shard = of_slurm_array()
    for is_given, flag, why in (
        (args.check, "--check", "grades the samples of all shards at once"),
        (args.overwrite_settings, "--overwrite-settings", "begins a folder for each command"),
        (args.batch, "--batch", "hands all requests in at once"),
        (args.until_correct, "--until-correct", "needs the verdicts of all shards"),
        (args.give_up_after, "--give-up-after", "needs the verdicts of all shards"),
        (args.band, "--pass-rate-band", "needs the verdicts of all shards"),
    ):
        if is_given:
            raise UserError(f"{flag} {why}: leave it or --shard {args.shard} out")


def _work_beside_others(args: argparse.Namespace, opened: Benchmark, tracking: Tracking) -> Spent:
    """Generate this job's samples, and grade them."""
    from contextlib import ExitStack, closing

    from util.generation.benchmark import Results, open_grading
    from util.generation.loop import lease_groups

    with ExitStack() as stack:
        grading = None if args.inference else open_grading(opened, stack)
        with closing(lease_groups(opened.run, opened.asked, opened.order.plan)) as groups:
            spent = _generate(args, opened, grading, tracking, groups)
        if grading is not None:
            _grade_rest(grading, Results(opened), again=False)
    return spent


def _task(args: argparse.Namespace) -> Task:
    name, own = full_name(args.dataset, what="data set"), cli.own_choice(args)
    narrowed = cli.livecodebench_choice(args)
    if is_address(name):
        if narrowed:
            raise UserError(
                f"--{next(iter(narrowed)).replace('_', '-')} narrows LiveCodeBench alone: leave it out"
            )
        return load_task(name, **own, **cli.place_of_rows(args))
    if own:
        raise UserError(f"--{', --'.join(own)}: {name} says itself what its columns are; leave it out")
    return load_task(name, **narrowed)


def _stopping(args: argparse.Namespace, task: Task) -> Stopping | None:
    """When problems are done before they have all n samples, if the flags say so."""
    from util.generation.rounds import Stopping

    band = None if args.band is None else tuple(args.band)
    if args.until_correct is None and args.give_up_after is None and band is None:
        return None
    if args.inference:
        raise UserError(
            "--until-correct, --give-up-after and --pass-rate-band need verdicts: leave --inference out"
        )
    if task.ask_judge is not None:
        raise UserError(
            "--until-correct, --give-up-after and --pass-rate-band need verdicts while the model answers, "
            f"and a judge is asked about {task.name} when all answers are there: leave them out"
        )
    if 0 in args.temperatures:
        raise UserError(
            "temperature 0 is greedy: a problem's samples would all be the same, so asking again cannot make "
            "one correct; give --temperatures above 0"
        )
    if args.n < max(2, args.until_correct or 0):
        raise UserError(
            f"--n {args.n} is the most samples of a problem: give at least {max(2, args.until_correct or 0)}"
        )
    if band is not None and band[0] >= band[1]:
        raise UserError(f"--pass-rate-band {band[0]:g} {band[1]:g}: the first must be below the second")
    return Stopping(args.until_correct, args.give_up_after, band)


def _generate(
    args: argparse.Namespace,
    opened: Benchmark,
    grading: Grading | None,
    tracking: Tracking,
    groups: Groups | None = None,
) -> Spent:
    from contextlib import ExitStack, closing
    from dataclasses import replace

    from util.generation.loop import Job, generate, place_of
    from util.generation.tracking import progress_of
    from util.runs.journal import file_of

    job = Job(opened.run, opened.asked, opened.order.plan, grading, _rounds(opened, grading), groups)
    if job.rounds is None:
        total, unit, to_ask = opened.missing(), "samples", opened.missing() > 0
    else:
        total, unit = len(opened.asked.ids) * len(opened.order.plan.temperatures), "problems"
        to_ask = job.rounds.has_next()
    if not to_ask:
        say("every sample exists already: nothing to generate")
        return Spent()
    if groups is not None and not groups.has_work():
        say("other jobs have all that is left: nothing to generate")
        return Spent()
    log = file_of(opened.run.folder / "engine.log", opened.run.number)
    options = replace(opened.order.options, log=log)
    opened_engine = cli.open_within_budget(args, options, place_of=place_of)
    with closing(opened_engine) as engine, ExitStack() as stack:
        if flag := opened.order.needs_begun():
            engine.check_goes_on(flag)
        progress = stack.enter_context(Progress(total, opened.order.task.name, unit))
        opened.note_engine(engine)
        if grading is not None:
            progress.about(opened.order.task.name, grading.so_far)

        def numbers() -> dict[str, float]:
            gradings = {opened.order.task.name: grading}
            of = total if job.rounds is None else None  # of samples that verdicts call for nobody knows
            in_batches = args.batch is not None
            return progress_of(
                [job.outcome], model=args.model, of=of, gradings=gradings, in_batches=in_batches
            )

        def on_sample(job: Job, tokens: int) -> None:
            tracking.progress(numbers)
            if job.rounds is None:
                progress.step(tokens)
            else:
                progress.reach(job.rounds.ended, tokens)

        try:
            for _ in generate([job], engine=engine, on_sample=on_sample):
                pass
            if job.rounds is not None:
                progress.reach(job.rounds.ended, 0)
        finally:
            opened.note_generation(job.outcome)
    status = _say_outcome(args, job.outcome, engine.exhausted)
    return Spent(
        status, job.outcome.prompt_tokens, job.outcome.completion_tokens, is_all=bool(engine.exhausted)
    )


def _forecast(args: argparse.Namespace, order: Order) -> int:
    from util.generation.forecast import forecast

    found = forecast(order, args.result_dir, fresh=args.overwrite_settings)
    for line in found.lines(args.model):
        say(line)
    if order.plan.stopping is not None:
        say(f"  fewer where a problem is done before its {order.plan.n} samples")
    opinions = {} if args.second_opinion is None else _forecast_opinions(args, order, found)
    if args.judge is not None:
        from util.generation.model_judge import say_forecast

        opinions = say_forecast(
            order, args.result_dir, 0 if args.check else found.requests, fresh=args.overwrite_settings
        )
    print_result(found.as_json(args.model) | opinions)
    return 0


def _rounds(opened: Benchmark, grading: Grading | None) -> Rounds | None:
    """What verdicts say about the samples to ask; samples without one are graded before an engine starts."""
    from util.generation.benchmark import Results
    from util.generation.loop import open_rounds

    if opened.order.plan.stopping is None or grading is None:
        return None
    _grade_rest(grading, Results(opened), again=False)
    return open_rounds(opened.run, opened.asked, opened.order.plan)


def _say_outcome(args: argparse.Namespace, outcome: Outcome, exhausted: str) -> int:
    """Say what the requests of this command came to; returns the exit status."""
    from util.engines.failures import about_failures
    from util.engines.prices import cost_line

    used = (outcome.prompt_tokens, outcome.completion_tokens)
    say(f"spent {cost_line(args.model, *used, in_batches=args.batch is not None)}")
    if outcome.asked_ahead:
        say(
            f"{number_of(outcome.asked_ahead, 'sample was', 'samples were')} asked ahead of verdicts to keep "
            "the engine full: such samples are kept and count like all others"
        )
    if outcome.failed:
        say(about_failures(outcome.failed, outcome.failure, of=outcome.generated + outcome.failed))
    if exhausted:
        say(exhausted)
    return 1 if outcome.failed or exhausted else 0


def _grade_rest(grading: Grading, results: Results, *, again: bool, below: int | None = None) -> bool:
    """Grade what is left; the results get every sample of the folder, or those with an index `below`.

    Returns whether these are all.
    """
    rest = grading.find_rest(results.add, again=again, below=below)
    if told := rest.about_earlier_tries():
        say(told)
    if rest.count:
        with Progress(rest.count, "grading") as progress:
            progress.about("grading", grading.so_far)
            grading.grade_rest(progress.step, results.add, rest=rest)
    if grading.without_problem:
        say(
            f"{number_of(grading.without_problem, 'sample')} could not be graded: no problem of theirs is "
            "among the rows of this command (--limit, or another split)"
        )
    if rest.beyond:
        say(
            f"{rest.beyond} further samples of the folder are neither graded nor counted here, as they are "
            f"beyond --n {below}: leave --n out to take all"
        )
    return not rest.beyond


# --- second opinion ---


def _check_opinion_flags(args: argparse.Namespace, task: Task) -> None:
    if args.second_opinion is None:
        if args.audit_share is not None:
            raise UserError("--audit-share chooses answers for a second opinion: give --second-opinion, too")
        return
    if args.inference:
        raise UserError("--second-opinion is about verdicts: leave --inference out")
    if task.is_code:
        raise UserError(f"--second-opinion compares answers, and {task.name} is judged by running programs")
    if task.ask_judge is not None:
        raise UserError(f"--second-opinion is about verdicts of rules, and a judge grades {task.name}")
    if args.second_opinion == MATH_VERIFY:
        from importlib.util import find_spec

        if find_spec("math_verify") is None:
            raise UserError(f"{MATH_VERIFY} is not installed: install it, or name a model")
    else:
        cli.check_price(args, args.second_opinion)


def _second_opinion(args: argparse.Namespace, folder: Path) -> SecondOpinion:
    from util import prompts
    from util.generation.second_opinion import SecondOpinion, Verifier
    from util.runs.reader import text_digest

    words = "" if args.second_opinion == MATH_VERIFY else text_digest(prompts.load("second_opinion"))
    share = AUDIT_SHARE if args.audit_share is None else args.audit_share
    return SecondOpinion(folder, Verifier(args.second_opinion, words), audit_share=share)


def _write_question(question: str, first: str, second: str) -> str:
    from util import prompts
    from util.generation.second_opinion import fields

    return prompts.render(prompts.load("second_opinion"), **fields(question, first, second))


def _ask_opinions(args: argparse.Namespace, opened: Benchmark, spent: Spent) -> int:
    """Ask about what has no opinion yet; returns the exit status. What is finished is in the folder."""
    from util.generation.second_opinion import REPLY_TOKENS

    opinion = _second_opinion(args, opened.run.folder)
    to_ask = opinion.survey()
    if not to_ask.doubts:
        say(f"{args.second_opinion} has nothing more to be asked")
        return 0
    say(
        f"asking {args.second_opinion} about {to_ask.undecided} undecided answers, {to_ask.audited} others "
        f"and {to_ask.canaries} planted ones, each in both orders"
    )
    used = (spent.prompt_tokens, spent.completion_tokens)
    budget = cli.rest_of_budget(args, args.second_opinion, used, reply_tokens=REPLY_TOKENS)
    if budget is None or spent.is_all:
        say("no second opinion is asked for: the budget of this command is spent")
        return 1
    try:
        with Progress(to_ask.doubts, "second opinion", "answers") as progress:
            if args.second_opinion == MATH_VERIFY:
                asked, exhausted = opinion.compare(_same_by_engine, on_progress=progress.step), ""
            else:
                asked, exhausted = _ask_model(args, opened, opinion, budget, progress)
    except RunStopped as error:  # the rules' numbers are complete: they are reported in any case
        say(f"stopped: {error}")
        return error.status
    if asked.unreadable:
        say(f"{asked.unreadable} replies of {args.second_opinion} were neither yes nor no")
    if asked.failed:
        say(
            f"{asked.failed} of {to_ask.doubts} comparisons failed (the last one: {asked.failure}); the same "
            "command asks for them again"
        )
    if exhausted:
        say(exhausted)
    return 1 if asked.failed or exhausted else 0


def _ask_model(
    args: argparse.Namespace,
    opened: Benchmark,
    opinion: SecondOpinion,
    budget: dict[str, Any],
    progress: Progress,
) -> tuple[Asked, str]:
    """What came of asking a model, and which budget ended before, in words."""
    from contextlib import closing

    from util import prompts
    from util.engines.checked import Answers
    from util.engines.metered import open_metered
    from util.engines.prices import cost_line
    from util.generation.second_opinion import REPLY_TOKENS

    answers = Answers()
    opened_engine = open_metered(
        cli.options_of_another(args, args.second_opinion, opened.run.folder / "verifier.log"),
        max_tokens=REPLY_TOKENS,
        **budget,
    )
    try:
        with closing(opened_engine) as engine:
            asked = opinion.ask(
                engine,
                _write_question,
                reminder=prompts.load("second_opinion_again"),
                answers=answers,
                on_progress=progress.step,
            )
            return asked, engine.exhausted
    finally:
        say(
            "second opinions took "
            f"{cost_line(args.second_opinion, answers.prompt_tokens, answers.completion_tokens)}"
        )


def _same_by_engine(gold: str, answer: str) -> bool | Failure | None:
    """Whether math-verify finds two answers equal; None where it cannot read or compare them."""
    from util.grading.maths import symbolic
    from util.records import Failure

    busy = ""
    for _ in range(SYMBOLIC_TRIES):
        try:
            if not (symbolic.same(gold, gold) and symbolic.same(answer, answer)):
                return None  # what it cannot read it finds equal to nothing
            return symbolic.same(gold, answer)
        except symbolic.Unanswered:
            return None
        except symbolic.Busy as error:
            busy = str(error)
    return Failure(busy)


def _forecast_opinions(args: argparse.Namespace, order: Order, found: Forecast) -> dict:
    """Say what a second opinion would cost: about what is there, and about samples still to come."""
    from util.engines.prices import cost_line, dollars
    from util.runs.folder import find_run

    verifier, is_model = args.second_opinion, args.second_opinion != MATH_VERIFY
    folder = find_run(args.result_dir, order.wanted(), fresh=args.overwrite_settings)
    samples_to_come = 0 if args.check else found.requests
    to_ask = _second_opinion(args, folder).forecast(_write_question if is_model else None, samples_to_come)
    say(
        f"second opinion of {verifier}: {to_ask.requests:,} questions, two for each answer: "
        f"{to_ask.undecided} undecided and {to_ask.audited} others that are there, about {to_ask.to_come} to "
        f"come, {to_ask.canaries} planted"
    )
    costs = {}
    if is_model:
        say(f"  {cost_line(verifier, to_ask.prompt_tokens, to_ask.completion_tokens)}")
        costs["dollars"] = dollars(verifier, to_ask.prompt_tokens, to_ask.completion_tokens)
    return {"second_opinion": to_ask.as_json() | costs}


def _say_opinions(args: argparse.Namespace, opened: Benchmark, found_at: dict[str, Headline]) -> dict:
    """Say what second opinions make of the numbers; returns that for programs, too."""
    from util.results.counting import stopped_early
    from util.results.opinions import summarise_opinions

    found = summarise_opinions(
        opened.run.folder, verifier=args.second_opinion, stopped=stopped_early(opened.run.info)
    )
    if found is None:
        return {}
    for temperature in found.counts.keys() & found_at.keys():
        say(f"at {temperature}: {found.headline(temperature, found_at[temperature])}")
    for line in found.lines():
        say(line)
    opened.run.info["opinions"] = found.as_json()
    opened.run.save_info()
    return {"opinions": found.as_json()}


def _report(
    args: argparse.Namespace, opened: Benchmark, results: Results, tracking: Tracking, *, is_whole: bool
) -> int:
    """Print the table and the JSON line; both cover what this command asked.

    run.json keeps the numbers of the whole folder.
    """
    from util.generation.tracking import result_of
    from util.results.headline import about_alike, about_graders, about_loops, summary_line

    run, order = opened.run, opened.order
    found_at, without = results.asked(), results.without_doubtful()
    tracking.result(result_of(order.task.name, found_at))
    if is_whole:
        run.info["summary"] = results.of_folder(found_at)
    missing = 0 if args.check else opened.missing()
    run.save_info()
    say(f"\n{run.folder}")
    say(_table(found_at))
    for temperature, found in found_at.items():
        name = order.task.name if len(found_at) == 1 else f"{order.task.name} at {temperature}"
        say(summary_line(name, found))
        for told in (
            _about_stopping(found),
            about_alike(float(temperature), found),
            about_graders(found),
            about_loops(found, run.info["settings"].get("max_tokens")),
        ):
            if told:
                say(told)
    for temperature, found in (without or {}).items():
        name = f"{order.task.name} at {temperature} without problems known to be judged wrongly:"
        say(summary_line(name, found))
    if is_whole and (others := results.about_others()):
        say(others)
    opinions = _say_opinions(args, opened, found_at)
    print_result(
        {
            "dataset": order.task.name,
            "model": args.model,
            "run": str(run.folder),
            "temperatures": {at: found.in_short() for at, found in found_at.items()},
            **(
                {}
                if without is None
                else {"without_doubtful": {at: one.in_short() for at, one in without.items()}}
            ),
            **opinions,
            "missing": missing,
            "unusable": dict(opened.counts.unusable),
        }
    )
    return 1 if missing else 0


def _about_stopping(found: Headline) -> str:
    stopped = found.stopped_early
    if stopped is None:
        return ""
    return (
        f"{number_of(found.samples, 'sample')} cost {found.completion_tokens:,} completion tokens; "
        f"{stopped['n']} of each problem would have cost about {stopped['tokens_at_fixed_n']:,}, at its mean "
        f"length so far. {stopped['why']}"
    )


def _table(found_at: dict[str, Headline]) -> str:
    lines = ["temperature  correct of judged  samples  problems  truncated  no answer   tokens"]
    for temperature, found in found_at.items():
        judged, tokens = f"{found.correct} of {found.judged}", found.completion_tokens
        truncated, no_answer = (
            f"{count / found.samples:.1%}" if found.samples else "-"
            for count in (found.truncated, found.no_answer)
        )
        lines.append(
            f"{temperature:>11}  {judged:>17}  {found.samples:>7}  {found.problems:>8}  "
            f"{truncated:>9}  {no_answer:>9}  {tokens if tokens < 10**7 else f'{tokens / 1e6:.1f}M':>7}"
        )
        if found.undecided:
            lines.append(f"{'':13}{found.undecided} undecided")
        lines += [f"{'':13}{number} not judged ({reason})" for reason, number in found.not_judged.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    cli.main(parse, run)
