"""Make a training file from the samples that were judged correct, with a data card beside it.

python convert_to_data.py --input_dir results --output data/train.json --format llamafactory --seed 1

Each question is kept once, and none that repeats one of a benchmark of the suite.
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tasks import FILES, TRAINING_POOLS, full_name, is_reserved, load_task, task_of
from util import cli
from util.data import hub
from util.data.rows import is_here
from util.data.system_prompts import system_prompt
from util.errors import UserError
from util.machines.versions import made_with
from util.records import TestSuite
from util.response import IN_FIELD, WITH_MARKERS, WITHOUT
from util.runs.folder import find_runs, read_run_json
from util.runs.journal import make_folder_of, sha256_of, whole_json, write_all
from util.runs.opinions import Opinions, trusted_opinions
from util.settings import at_least, number_in, plain_digits, public_name
from util.terminal import Progress, number_of, print_result, say
from util.training.datacard import card, described_file, lengths_picture, token_statistics
from util.training.drawing import Mix
from util.training.export import UNDECIDED, Export, ExportOptions, Summary
from util.training.extra_rows import SetAside
from util.training.filters import FILTERS, MAX_REPETITION, MIN_SOLUTION_WORDS, Limits
from util.training.formats import (
    FORMATS,
    RL_FORMATS,
    ExampleFile,
    check_output,
    check_repository,
    check_thought_field,
    dataset_info,
    publish,
)
from util.training.leaks import BenchmarkText
from util.training.rl_sets import RlExport
from util.training.thoughts import chosen_form

KEEP_RULES = ("shortest", "longest", "random", "all")
ALL, NONE = "all", "none"
MOST_REASONS = 5  # why extra rows were set aside
MAX_WEIGHT = 100.0  # copies of a row
FOR_RESPONSES = (  # flags that rows of problems have no use for
    "thought extra keep min_tokens max_tokens max_repetition min_solution_words unverified majority weights "
    "max_rows token_budget no_filter include_unformatted plain_share keep_budget no_extra_columns"
).split()
LEAKS = "contaminated.jsonl"  # what was taken out for standing in a benchmark, too


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    cli.add_input_flag(parser)
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FILE", help="training file: .json, .jsonl or .parquet"
    )
    parser.add_argument(
        "--format",
        choices=(*FORMATS, *RL_FORMATS),
        default="sharegpt",
        metavar="FORMAT",
        help=f"what a row looks like: {', '.join(FORMATS)} (sharegpt); for reinforcement learning, with one "
        f"row for each problem: {', '.join(RL_FORMATS)}",
    )
    cli.add_thought_flag(parser)
    parser.add_argument("--force", action="store_true", help="replace --output if it exists")
    rows = parser.add_argument_group("which samples")
    rows.add_argument(
        "--extra",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="JSON lines to mix in: ShareGPT, messages, or question and combined_text",
    )
    rows.add_argument(
        "--keep",
        type=_keep_rule,
        default="shortest",
        metavar="RULE",
        help=f"which correct samples of a problem: {', '.join(KEEP_RULES)}, or K drawn by seed (shortest)",
    )
    cli.add_count(rows, "--min-tokens", "fewest tokens of a response; default: no limit", least=0)
    cli.add_count(rows, "--max-tokens", "most tokens of a response; default: no limit")
    rows.add_argument(
        "--max-repetition",
        type=number_in(0, 1),
        default=MAX_REPETITION,
        metavar="SHARE",
        help="largest share of a response's 20-word passages that may be repetitions "
        f"({MAX_REPETITION}; 1: any)",
    )
    rows.add_argument(
        "--spread",
        action="store_true",
        help="with --keep K: keep those that differ most from each other in their words",
    )
    rows.add_argument(
        "--unverified",
        action="store_true",
        help="also take samples without a verdict or with an undecided one; the column verdict of a row says "
        "correct, undecided or none",
    )
    rows.add_argument(
        "--majority",
        type=number_in(0, 1, above_low=True),
        metavar="SHARE",
        help="of problems without a reference, take the samples that give the answer of most, where at least "
        "this share gives it; columns label and agreement say which and how many; default: none",
    )
    rows.add_argument(
        "--weights",
        nargs="+",
        type=_weight,
        default=[],
        metavar="SOURCE=W",
        help="how often rows of a source are taken: 0.5 half of them, 2 each twice; default: each once",
    )
    rows.add_argument("--max-rows", type=at_least(1), metavar="N", help="most rows; default: no limit")
    rows.add_argument(
        "--token-budget",
        type=at_least(1),
        metavar="N",
        help="most tokens of all responses together; default: no limit",
    )
    rows.add_argument(
        "--balance-lengths",
        action="store_true",
        help="with --max-rows or --token-budget: take as many rows of each class of lengths; a class is "
        "twice as long as the one before",
    )
    rows.add_argument(
        "--no-extra-columns",
        action="store_true",
        help="write only the columns that a trainer reads, without source, task, model and so on",
    )
    rows.add_argument(
        "--min-solution-words",
        type=at_least(0),
        default=MIN_SOLUTION_WORDS,
        metavar="N",
        help="fewest words of a solution, or of an answer without a thought; two characters of Chinese, "
        f"Japanese or Korean count as a word ({MIN_SOLUTION_WORDS})",
    )
    rows.add_argument(
        "--no-filter",
        nargs="+",
        choices=(*FILTERS, UNDECIDED),
        default=[],
        metavar="NAME",
        help=f"filters to switch off: {UNDECIDED} (verdict), "
        + ", ".join(f"{name} ({one.against})" for name, one in FILTERS.items()),
    )
    cli.add_count(rows, "--max-per-source", "most rows of a source; default: no limit")
    rows.add_argument(
        "--include-unformatted",
        action="store_true",
        help="also take samples and extra rows without a thought, such as those that convert_format.py could "
        "not separate into thought and solution",
    )
    rows.add_argument(
        "--include-unjudged",
        action="store_true",
        help="export what is judged although other samples wait for --check; without it that is an error",
    )
    rows.add_argument(
        "--plain-share",
        type=number_in(0, 1),
        metavar="SHARE",
        help="share of the rows that have no thought: those that came without one, then others whose thought "
        "is dropped; default: rows without a thought stay out",
    )
    rows.add_argument(
        "--pass-rate-band",
        type=number_in(0, 1),
        nargs=2,
        metavar=("LOW", "HIGH"),
        help=f"with {', '.join(RL_FORMATS)}: problems of which the model solved a share from LOW to HIGH, "
        "both included; default: all",
    )
    cli.add_trust_flag(rows)
    cli.add_keep_budget_flag(rows)
    rows.add_argument(
        "--dedup",
        choices=("exact", "near", NONE),
        default="near",
        help="which questions count as equal: up to white space, or also with a few different words (near)",
    )
    rows.add_argument(
        "--decontaminate",
        nargs="+",
        default=[ALL],
        metavar="NAME",
        help=f"benchmarks whose questions are excluded: names, {ALL} or {NONE} ({ALL})",
    )
    rows.add_argument(
        "--decontaminate-ngram",
        type=at_least(1),
        metavar="N",
        help="exclude every question with N words in a row of a benchmark, and no other; default: weigh what "
        "both have in common",
    )
    rows.add_argument("--seed", type=int, default=0, help="seed of the order and of what is drawn (0)")
    parser.add_argument(
        "--system-prompt",
        metavar="NAME|FILE|hf://...",
        help="system message of the rows: a name under util/prompts, a text file, a field of a hub data "
        f"set, or '{NONE}'; default: what the run sent if it asks for this form of thought, else "
        "system_thought for markers and none otherwise",
    )
    parser.add_argument(
        "--push-to-hub", metavar="REPO", help="also upload file and card to this data set (ORG/NAME, private)"
    )
    cli.add_data_dir_flag(parser)
    return parser.parse_args(argv)


def _keep_rule(text: str) -> str | int:
    if text in KEEP_RULES:
        return text
    if text.isdecimal() and int(text) > 0:
        return at_least(1)(text)
    raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(KEEP_RULES)} and no number from 1 on")


def _weight(text: str) -> tuple[str, float]:
    source, sign, weight = text.rpartition("=")
    if not sign or not source:
        raise argparse.ArgumentTypeError(f"{text!r} is not SOURCE=WEIGHT, such as math=0.5")
    return source, number_in(0, MAX_WEIGHT)(plain_digits(weight))


def run(args: argparse.Namespace) -> int:
    _check_choice(args)
    _check_rows(args)
    _check_output(args)
    if args.push_to_hub:
        check_repository(args.push_to_hub)
    runs = {folder: read_run_json(folder) for folder in find_runs(args.input_dir)}
    named = None if args.system_prompt is None else _message(args, args.system_prompt)
    form = chosen_form(args.thought, named, [info["settings"].get("system_prompt") for info in runs.values()])
    if form == IN_FIELD:
        check_thought_field(args.format)
    if args.system_prompt is None and form == WITH_MARKERS:
        named = _message(args, "system_thought")
    options = ExportOptions(
        mix=Mix(
            dict(args.weights), args.max_rows, args.token_budget, args.max_per_source, args.balance_lengths
        ),
        limits=Limits(args.min_solution_words, args.max_repetition, frozenset(args.no_filter)),
        form=form,
        system=named,
        system_of_run=args.system_prompt is None,
        **cli.fields_of(ExportOptions, args),
    )
    opinions = trusted_opinions(list(runs), args.trust_opinion)
    make_folder_of("--output", args.output.parent)
    with (
        _opened(args, runs, options, opinions) as export,
        ExampleFile(args.output, args.format, extra_columns=not args.no_extra_columns) as output,
    ):
        names = _benchmarks(args, export.infos)
        benchmarks = _benchmark_text(names, args.data_dir, args.decontaminate_ngram) if names else None
        with Progress(None, "reading") as progress:
            export.collect(lambda: progress.step(0))
        chosen = export.choose(benchmarks, _beside(args.output, LEAKS))
        with Progress(len(chosen), "writing") as progress:
            sha256 = export.write(chosen, output, lambda: progress.step(0))
        card, *others = _write_card(args, export, benchmarks, sha256)
        if benchmarks is None:  # the leaks of an earlier export
            _beside(args.output, LEAKS).unlink(missing_ok=True)
        output.commit()  # last: while it is not there, the same command may be given again
    _say(export.summary)
    for note in _notes_on_format(args, export.summary):
        say(note)
    if args.push_to_hub:
        _upload(args, export.summary, card, others)
    print_result(
        {
            "output": str(args.output),
            "rows": export.summary.funnel["final"],
            "funnel": export.summary.funnel,
            "undecided": export.summary.undecided.total(),
            "sha256": sha256,
        }
    )
    return 0


def _upload(args: argparse.Namespace, summary: Summary, card: Path, others: list[Path]) -> None:
    files = ", ".join(path.name for path in (args.output, card, *others))
    say(
        f"UPLOADING {files} to the data set {args.push_to_hub}: private if it is new; a "
        "public one stays public"
    )
    reserved = [name for name in summary.counts["task"] if is_reserved(name)]
    address = publish(args.push_to_hub, args.output, card, others, reserved=reserved)
    say(f"uploaded to {address}")


def _check_choice(args: argparse.Namespace) -> None:
    """Raise UserError where flags that choose rows contradict each other."""
    if None not in (args.min_tokens, args.max_tokens) and args.min_tokens > args.max_tokens:
        raise UserError(f"--min-tokens {args.min_tokens} is more than --max-tokens {args.max_tokens}")
    if args.spread and not isinstance(args.keep, int):
        raise UserError(f"--spread chooses among several, and --keep {args.keep} does not: give --keep K")
    if args.balance_lengths and args.max_rows is None and args.token_budget is None:
        raise UserError("--balance-lengths needs a size to share out: give --max-rows or --token-budget")
    twice = [name for name, number in Counter(name for name, _ in args.weights).items() if number > 1]
    if twice:
        raise UserError(f"--weights names the source {twice[0]!r} more than once: give it one weight")
    if args.thought == WITHOUT and args.plain_share is not None:
        raise UserError("--thought none leaves every row without a thought: leave --plain-share out")


def _check_rows(args: argparse.Namespace) -> None:
    """Raise UserError where flags about responses meet rows of problems, or the other way round."""
    if args.format not in RL_FORMATS:
        if args.pass_rate_band is not None:
            raise UserError(
                f"--pass-rate-band chooses problems, and --format {args.format} has responses: choose "
                f"{', '.join(RL_FORMATS)}, or leave it out"
            )
        return
    usual = parse(["--input_dir", ".", "--output", "."])
    if flags := cli.unusual_flags(args, usual, FOR_RESPONSES):
        raise UserError(
            f"{', '.join(flags)}: for responses, and --format {args.format} has problems alone: leave it out"
        )
    low, high = args.pass_rate_band or (0.0, 1.0)
    if low > high:
        raise UserError(f"--pass-rate-band {low:g} {high:g}: give the lower number first")


def _opened(
    args: argparse.Namespace,
    runs: dict[Path, dict],
    options: ExportOptions,
    opinions: Mapping[Path, Opinions],
) -> Export:
    if args.format not in RL_FORMATS:
        return Export(runs, args.extra, options, opinions)

    def tests(folder: Path) -> dict[str, TestSuite]:
        from util.generation.judging import references_of  # loads the graders, which --help need not wait for

        task = task_of(runs[folder])
        return {} if task is None else references_of(folder, task, runs[folder], args.data_dir)

    low, high = args.pass_rate_band or (0.0, 1.0)
    return RlExport(runs, options, opinions, band=(low, high), tests=tests)


def _message(args: argparse.Namespace, name: str) -> str | None:
    return system_prompt(name, "", data_dir=args.data_dir)[0]


def _check_output(args: argparse.Namespace) -> None:
    """Raise UserError when --output cannot be written, or would replace what is there."""
    check_output(args.format, args.output)
    cli.check_no_run_file("--output", args.output)
    if args.output.resolve() in (path.resolve() for path in args.extra):
        raise UserError(f"--output {args.output} is read as --extra: name another file to write")
    if args.output.exists() and not args.force:
        raise UserError(f"{args.output} exists already: give --force to replace it, or another --output")
    card = _beside(args.output, "card.json")
    described = described_file(card)
    if described not in (None, args.output.name) and not args.force:
        raise UserError(
            f"{card} is of {described}, and {args.output.name} would need the same name for its card: "
            "give --force to replace the card, or another --output"
        )
    if args.format == "llamafactory":
        dataset_info([args.output])


def _benchmarks(args: argparse.Namespace, infos: list[dict]) -> list[str]:
    """Names of the benchmarks to keep out, without those that the runs themselves are made of."""
    if args.decontaminate == [NONE]:
        return []
    wanted = [name for part in args.decontaminate for name in part.split(",") if name]
    if len(wanted) > 1 and {ALL, NONE} & set(wanted):
        raise UserError(f"--decontaminate {' '.join(wanted)}: give names of benchmarks, or {ALL}, or {NONE}")
    if wanted == [ALL]:
        wanted = [name for name in FILES if name not in TRAINING_POOLS]
    wanted = [full_name(name, what="benchmark", besides=(ALL, NONE)) for name in wanted]
    made_of = {(info["settings"].get("task"), info["settings"].get("split")) for info in infos}
    names = []
    for name in dict.fromkeys(wanted):
        split = load_task(name).source.split
        if (name, split) in made_of:
            say(
                f"{name} is not kept out: the runs are made of its {split} split, so do not report results "
                "on it after training"
            )
        else:
            names.append(name)
    return names


def _benchmark_text(names: list[str], data_dir: Path | None, ngram: int | None) -> BenchmarkText:
    """The questions of the benchmarks, on the split that results are reported on."""
    afar = [name for name in names if not is_here(load_task(name).source, data_dir=data_dir)]
    if afar and not hub.answers():
        raise UserError(
            f"{', '.join(afar)} cannot be read to be kept out of the training set: they are not on this "
            f"machine, and {hub.endpoint()} does not answer; fetch them once where it does "
            f"(recipes/fetch_benchmarks.sh), {_without(afar, names)}"
        )
    text, missing = cli.read_benchmarks(map(load_task, names), data_dir=data_dir, ngram=ngram)
    if missing:
        raise UserError(
            f"{', '.join(missing)} cannot be read to be kept out of the training set: fix that, "
            f"{_without(missing, names)}"
        )
    say(f"{len(text):,} questions of {', '.join(names)} are excluded")
    return text


def _without(missing: Collection[str], names: list[str]) -> str:
    """How to go on without some of the benchmarks."""
    others = " ".join(name for name in names if name not in missing)
    check = f"or check the others only, with --decontaminate {others}, " if others else ""
    return f"{check}or skip the check with --decontaminate {NONE}"


def _beside(output: Path, ending: str) -> Path:
    return output.with_name(f"{output.stem}.{ending}")


def _write_card(
    args: argparse.Namespace, export: Export, benchmarks: BenchmarkText | None, sha256: str
) -> list[Path]:
    """Write the data card and what belongs to it; returns those to upload, the card first."""
    summary = export.summary
    picture, text = _beside(args.output, "lengths.svg"), _beside(args.output, "card.md")
    revisions = {} if benchmarks is None else benchmarks.revisions
    about_rows = {
        "keep": args.keep,
        "tokens": f"{_open_end(args.min_tokens)} to {_open_end(args.max_tokens)}",
        "max repetition": args.max_repetition,
        "min solution words": args.min_solution_words,
        "filters switched off": ", ".join(args.no_filter) or NONE,
        "spread": "the most different ones" if args.spread else "by seed or length",
        "without verdict": "included" if args.unverified else "left out",
        "majority for problems without a reference": args.majority or NONE,
        "weights": ", ".join(f"{source}={weight:g}" for source, weight in args.weights) or NONE,
        "most rows": _open_end(args.max_rows),
        "token budget": _open_end(args.token_budget),
        "lengths balanced": "yes" if args.balance_lengths else "no",
        "forced answers": "included" if args.keep_budget else "left out",
        "thought": export.options.form,
        "share of plain rows": _open_end(args.plain_share),
        "unformatted samples": "included" if args.include_unformatted else "left out",
    }
    if args.format in RL_FORMATS:
        about_rows = {"pass rates": " to ".join(f"{share:g}" for share in args.pass_rate_band or (0, 1))}
    settings = {
        "format": args.format,
        **about_rows,
        "max per source": _open_end(args.max_per_source),
        "graded by": ", ".join(sorted(summary.graders)),
        **({} if args.trust_opinion is None else {"trusted second opinions": _trusted(args)}),
        "dedup": args.dedup,
        "decontaminated against": ", ".join(
            f"{name} at {revision[:12]}" for name, revision in revisions.items()
        )
        or NONE,
        **(
            {}
            if args.decontaminate_ngram is None
            else {"decontaminated by": f"{args.decontaminate_ngram} words in a row"}
        ),
        "seed": args.seed,
        "system prompt": args.system_prompt or ("system_thought" if export.options.system else "of the run"),
        **{f"made with {name}": version for name, version in made_with().items()},
    }
    counts = {
        "file": args.output.name,
        "funnel": summary.funnel,
        "undecided": dict(summary.undecided.most_common()),
        "filtered": dict(summary.filtered),
        "rules": dict(summary.counts["rule"].most_common()),
        "sha256": sha256,
    }
    files = {
        text: card(
            args.output.name,
            funnel=summary.funnel,
            counts=summary.counts,
            tokens=summary.tokens,
            settings=settings,
            sources=_sources(export.infos, args.extra, summary.origins),
            notes=[*_notes(summary), *_notes_on_format(args, summary)],
            sha256=sha256,
            picture=picture.name,
        ),
        picture: lengths_picture(summary.tokens),
    }
    if args.format == "llamafactory":
        info_path, info = dataset_info([args.output])
        files[info_path] = info
    funnel = {_beside(args.output, "card.json"): whole_json(counts)}
    write_all(files | funnel)
    return list(files)


def _trusted(args: argparse.Namespace) -> str:
    return "all" if args.trust_opinion is True else args.trust_opinion


def _open_end(value: object) -> object:
    return "open" if value is None else value


def _sources(infos: list[dict], extras: list[Path], origins: Counter[int]) -> list[dict[str, str]]:
    """Data set, revision, licence and model of each run and extra file that rows came from, and how many."""
    rows: Counter[tuple[str, ...]] = Counter()
    for origin, number in sorted(origins.items()):
        if origin < len(infos):
            info = infos[origin]
            data, model = info["dataset"], info["settings"]["model"]
            name, model = public_name(data.get("path", info["settings"]["task"])), public_name(model)
            place = (name, data.get("split", ""), data.get("revision", ""))
            rows[(*place, data.get("licence") or "not stated", model)] += number
        else:
            path = extras[origin - len(infos)]
            rows[(path.name, "", f"SHA-256 {sha256_of(path)}", "see its origin", "")] += number
    columns = ("data set", "split", "revision", "licence", "answered by", "rows")
    return [dict(zip(columns, (*source, f"{number:,}"), strict=True)) for source, number in rows.items()]


VERBS = {"were": "was", "are": "is", "have": "has"}


def _those(number: int, thing: str, verb: str) -> str:
    return number_of(number, f"{thing} {VERBS[verb]}", f"{thing}s {verb}")


def _without_reference(number: int) -> str:
    kind = "of problems without a reference"
    return number_of(number, f"sample {kind} was", f"samples {kind} were")


def _notes(summary: Summary) -> list[str]:
    notes = []
    if summary.ungraded:
        notes.append(f"{_those(summary.ungraded, 'sample', 'were')} left out: no verdict on the current text")
    if summary.undecided:
        causes = ", ".join(f"{cause} ({number:,})" for cause, number in summary.undecided.most_common())
        notes.append(f"{_those(summary.undecided.total(), 'undecided sample', 'were')} left out: {causes}")
    for reason, number in summary.unfit_endings.most_common():
        notes.append(f"{_those(number, 'correct sample', 'were')} left out for the finish reason {reason}")
    if summary.by_opinion:
        notes.append(f"{summary.by_opinion:,} of the correct samples are so by a second opinion alone")
    for reason, number in summary.unjudged.most_common():
        notes.append(f"{_those(number, 'sample', 'were')} left out, as nothing could judge them: {reason}")
    for why, number in summary.not_apart.most_common():
        notes.append(f"{_those(number, 'correct sample', 'were')} left out: {why}")
    if summary.not_agreed:
        notes.append(f"{_without_reference(summary.not_agreed)} left out: too few agree with them")
    if summary.no_vote:
        notes.append(f"{_without_reference(summary.no_vote)} left out: cut off, or without an answer")
    if summary.same_text:
        notes.append(
            f"{_those(summary.same_text, 'sample', 'have')} the text of another one of the problem, which is "
            "kept once"
        )
    for name, number in summary.filtered.items():
        notes.append(f"{_those(number, 'correct sample', 'were')} left out: {FILTERS[name].against}")
    for path, rows in summary.set_aside.items():
        notes.append(f"{number_of(len(rows), 'row')} of {path.name} were set aside: {_told(rows)}")
    for why, number in summary.unfit_extras.most_common():
        notes.append(f"{_those(number, 'extra row', 'were')} left out: {why}")
    for (benchmark, how), number in summary.contaminated.most_common():
        notes.append(f"{_those(number, 'problem', 'were')} removed for {how} as in {benchmark}")
    if summary.dropped:
        notes.append(
            f"{_those(summary.dropped, 'row', 'are')} written without the thought that their response had"
        )
    if summary.plain - summary.dropped:
        notes.append(
            f"{_those(summary.plain - summary.dropped, 'row', 'have')} no thought, as their response had none"
        )
    if summary.surplus_plain:
        notes.append(
            f"{summary.surplus_plain:,} rows without a thought were left out: more than --plain-share"
        )
    if summary.other_system:
        notes.append(
            f"{summary.other_system:,} extra rows asked for another form of thought in their system message, "
            "which was replaced or left out"
        )
    return notes


def _notes_on_format(args: argparse.Namespace, summary: Summary) -> list[str]:
    if args.format == "sharegpt" and summary.with_system:
        told = "rows have their system message in the column system, which TRL and axolotl leave out"
        return [f"{summary.with_system:,} {told}: --format messages has it among the messages"]
    return []


def _told(rows: list[SetAside]) -> str:
    """Why rows were set aside, the usual reasons first, with the first line of each."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.why, row.line)
    counted = Counter(row.why for row in rows).most_common()
    told = [f"line {first[why]} {why} ({number:,})" for why, number in counted[:MOST_REASONS]]
    others = sum(number for _, number in counted[MOST_REASONS:])
    return ", ".join([*told, *([f"others ({others:,})"] if others else [])])


def _say(summary: Summary) -> None:
    for stage, number in summary.funnel.items():
        say(f"{number:>11,}  {stage}")
    for note in _notes(summary):
        say(f"             ({note})")
    parts = (f"{name} {number:,}" for name, number in token_statistics(summary.tokens).items())
    say(f"tokens of a response: {', '.join(parts)}")


if __name__ == "__main__":
    cli.main(parse, run)
