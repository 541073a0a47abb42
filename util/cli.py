"""How do the scripts speak with the person at the keyboard: flags, progress, errors and exit status?

`Parser` with the groups of `add_..._flags` parses, `main` runs a script, `order_from` makes an `Order`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from util import __version__
from util.engines.deadline import Deadline, end_of_job, moment, shown_time
from util.engines.options import BATCH_ENDPOINT, BATCH_FILES, EMBEDDED, STREAM_CHOICES, Engine, EngineOptions
from util.errors import DO_ABOUT, RunStopped, UserError, not_writable, why
from util.generation import TRACKERS
from util.response import THOUGHT_FORMS
from util.runs.lines import is_run_file
from util.settings import (
    BY_NAME,
    NEVER,
    SAMPLING,
    SETTINGS,
    TEXTS,
    Setting,
    above,
    at_least,
    misplaced_arg,
    number_in,
    plain_digits,
)
from util.terminal import columns, give_up_output, prepare_streams, say, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from util.engines.adapters import Adapter
    from util.engines.metered import MeteredEngine
    from util.generation.batches import PlaceOf
    from util.generation.order import Order
    from util.generation.rounds import Stopping
    from util.task import Source, Task
    from util.training.leaks import BenchmarkText

FEWEST_FILES = 64  # open in any command; with fewer, one may end somewhere in the middle
LARGEST_ALARM_S = 10**6  # twelve days: a deadline beyond it rings nobody
OVERLAP_WORDS = 13  # in a row, that a question shares with a benchmark's before anybody wonders
READ_AT_ONCE_BYTES = 256 << 20  # of a benchmark that is read before the first request
MOST_FLAGS_CHARS = 1 << 20  # of a file of flags
MESSAGE_CHARS = 800  # of what is wrong with a flag: its value may be a whole file

# What --help does not need is imported where it is used: a script's help is there at once.

GROUPS = {  # headings of --help
    "rows": "which problems (in this order)",
    "own": "problems of your own (--dataset FILE, or hf://datasets/ORG/NAME)",
    "livecodebench": "LiveCodeBench (its problems carry the date of their contest)",
    "sampling": "sampling",
    "stopping": "adaptive sampling (verdicts decide; --n is the most that a problem gets)",
    "engine": "engine",
    "grading": "grading",
}


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns())


def _name_of_command() -> str:
    """What the person typed: a script's name, or "python -m util.runs" for a package."""
    package = sys.modules["__main__"].__package__
    return f"python -m {package}" if package else os.path.basename(sys.argv[0])


def _paragraphs(text: str) -> str:
    """A docstring at the terminal's width; its commands stay as they are."""
    parts = text.strip().split("\n\n")
    return "\n\n".join(
        part if part.startswith("python ") else wrapped(" ".join(part.split())) for part in parts
    )


class Parser(argparse.ArgumentParser):
    """A parser that takes each long flag with "-" and with "_", and more flags from @FILE."""

    def __init__(self, description: str, *, prog: str | None = None, **options: Any) -> None:
        super().__init__(
            description=_paragraphs(description),
            prog=prog or _name_of_command(),
            fromfile_prefix_chars="@",
            allow_abbrev=False,
            formatter_class=_Help,
            **options,
        )
        self.add_argument("--version", action="version", version=f"distillery {__version__}")

    def _read_args_from_files(self, arg_strings: list[str]) -> list[str]:
        return self._with_words_of_files(arg_strings, ())

    def _with_words_of_files(self, words: list[str], within: tuple[str, ...]) -> list[str]:
        """The words, each @FILE replaced by those of the file; `within` are the files that name this one."""
        found: list[str] = []
        for word in words:
            if not word.startswith("@"):
                found.append(word)
                continue
            name, place = word[1:], os.path.realpath(word[1:])
            if place in within:
                self.error(f"@{name} reads itself: take the line with its own name out")
            found += self._with_words_of_files(self._words_in(name), (*within, place))
        return found

    def _words_in(self, name: str) -> list[str]:
        """The flags and values that stand in a file."""
        import shlex

        if not name:
            self.error("@ stands alone: write @FILE, with the name of a file of flags")
        file_of_flags = f"@{name} names a file of flags, and {name}"
        try:
            with open(name, encoding="utf-8-sig") as file:
                text = file.read(MOST_FLAGS_CHARS + 1)
        except FileNotFoundError:
            self.error(f"{file_of_flags} is not there: check the path")
        except OSError as error:
            self.error(f"{file_of_flags} cannot be read ({why(error)}): name a text file that you may read")
        except UnicodeError as error:
            self.error(f"{file_of_flags} is not a text file ({error}): check the path")
        if "\0" in text:
            self.error(f"{file_of_flags} is not a text file (it holds zero bytes): check the path")
        if len(text) > MOST_FLAGS_CHARS:
            self.error(f"{file_of_flags} has more than a million characters: check the path")
        words = []
        for line in text.splitlines():
            try:
                words += shlex.split(line, comments=True)
            except ValueError:
                self.error(f"a quotation mark of this line in {name} is not closed: {line[:200]}")
        return words

    def _parse_optional(self, arg_string: str) -> Any:
        return super()._parse_optional(self._as_declared(arg_string))

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """Refuse an empty text, as of a variable that is not set, where any other is taken as it stands."""
        is_text = action.type in TEXTS and action.nargs != argparse.PARSER
        if not arg_string and is_text:  # a subcommand's words are looked at by its own parser
            raise argparse.ArgumentError(action, "the text is empty: give one, or leave the flag out")
        try:
            value = super()._get_value(action, arg_string)
            if not isinstance(value, str | Path | dict | tuple):  # a number, a time, a shard
                plain_digits(arg_string)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(action, str(error)) from error
        except argparse.ArgumentError as error:
            if not isinstance(error.__context__, TypeError | ValueError):
                raise
            shown = arg_string[:MESSAGE_CHARS]
            words = [word for word in str(action.metavar).split("|")[1:] if word.islower()]
            told = f"neither a number nor {' or '.join(words)}" if words else "no number"
            raise argparse.ArgumentError(action, f"{shown!r} is {told}") from error
        return value

    def _as_declared(self, argument: str) -> str:
        """The spelling under which a flag was declared: both --max_tokens and --max-tokens are
        --max-tokens."""
        flag, equals, value = argument.partition("=")
        if flag.startswith("--") and flag not in self._option_string_actions:
            for spelling in (flag.replace("_", "-"), flag.replace("-", "_").replace("__", "--", 1)):
                if spelling in self._option_string_actions:
                    return spelling + equals + value
        return argument

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The flags; `given` names those of settings that were not left to their defaults."""
        found, others = super().parse_known_args(args, namespace)
        if "" in others:
            self.error("one of the words is empty, as of a variable that is not set: leave it out")
        declared = {action.dest for action in self._actions if action.default == argparse.SUPPRESS}
        settings = declared & BY_NAME.keys()
        given = settings & vars(found).keys()
        for name in settings - given:
            setattr(found, name, BY_NAME[name].default)
        found.given = getattr(found, "given", frozenset()) | given  # a command's own parser has said more
        return found, others

    def error(self, message: str) -> NoReturn:
        short = message if len(message) <= MESSAGE_CHARS else f"{message[:MESSAGE_CHARS]} ..."
        self.exit(2, wrapped(f"{self.prog}: {short} (see --help)\n"))


def main(
    parse: Callable[[Sequence[str]], argparse.Namespace],
    run: Callable[..., int],
    *,
    fewest_files: int = FEWEST_FILES,
) -> NoReturn:
    """Run a script: 0 done, 1 stopped or incomplete, 2 the person can fix it, 130 Ctrl-C, 143 SIGTERM.

    `fewest_files` is how many open files it may need.
    """
    import signal

    prepare_streams()
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGUSR1, _told_to_stop)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1))
        args = parse(sys.argv[1:])
        see_to_open_files(fewest_files)
        _wake_before_the_end(args)
        status = run(args)
    except (UserError, RunStopped) as error:
        status = error.status
        say(f"{'error' if status == 2 else 'stopped'}: {error}")
    except KeyboardInterrupt:
        say("interrupted: what is finished is kept; run the same command again to resume")
        status = 130
    except BrokenPipeError:  # the reader of our output went away
        give_up_output()
        status = 1
    except OSError as error:
        if error.errno not in DO_ABOUT:
            raise
        where = f" ({error.filename})" if error.filename else ""
        say(
            f"error: {error.strerror}{where}; what is finished is kept: {DO_ABOUT[error.errno]}, then run "
            "the same command again"
        )
        status = 2
    finally:  # Python lets signals kill it while it ends, with a status of their own
        signal.setitimer(signal.ITIMER_REAL, 0)
        for late in (signal.SIGALRM, signal.SIGUSR1):
            signal.signal(late, signal.SIG_IGN)
    sys.exit(status)


def see_to_open_files(fewest: int = FEWEST_FILES) -> int:
    """How many files this process may have open from now on; -1: no limit.

    Raises UserError where they are fewer than a command may need.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not 0 <= soft < fewest:  # no limit is -1
        return soft
    if 0 <= hard < fewest:
        raise UserError(
            f"a command needs {fewest} open files and may have {hard} here (ulimit -Hn): raise it "
            "where it is set (your shell, the container)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (fewest, hard))
    return fewest


def _terminated(*_: object) -> NoReturn:
    say("terminated: what is finished is kept; run the same command again to resume")
    sys.exit(143)


def unusual_flags(args: argparse.Namespace, usual: argparse.Namespace, names: Iterable[str]) -> list[str]:
    """Those of the flags that say something else than usual."""
    return [f"--{name.replace('_', '-')}" for name in names if getattr(args, name) != getattr(usual, name)]


def add_count(
    parser: argparse._ActionsContainer, flag: str, help: str, *, least: int = 1, default: int | None = None
) -> None:
    """A flag with a number of things, from `least` on."""
    parser.add_argument(flag, type=at_least(least), default=default, metavar="N", help=help)


def add_result_dir_flag(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--result-dir", type=Path, default=Path("results"), metavar="DIR", help="folder of runs (results)"
    )


def add_input_flag(parser: argparse._ActionsContainer) -> None:
    """The runs that a step reads; the same in every step after grading."""
    parser.add_argument(
        "--input_dir", required=True, type=Path, metavar="DIR", help="folder of runs, or one run"
    )


def end_of_time(args: argparse.Namespace) -> float | None:
    """When a command has to have ended, in seconds since 1970: what --until says, else the end of the job."""
    return args.until or end_of_job()


def _told_to_stop(*_: object) -> NoReturn:
    _stop_now("SIGUSR1 says that the time of this job ends; what is finished is kept: run it again")


def _stop_now(why: str) -> NoReturn:
    """End a command, whatever it does just now: as after SIGTERM, no step of it goes on without an engine."""
    say(f"stopped: {why}")
    sys.exit(1)


def _wake_before_the_end(args: argparse.Namespace) -> None:
    """Stop shortly before the time of a job is over, whatever is still under way then."""
    import signal

    end = end_of_time(args) if hasattr(args, "until") else None
    if end is None or (left := Deadline(end).left_s()) > LARGEST_ALARM_S:
        return

    def over(*_: object) -> NoReturn:
        _stop_now(
            f"the time of this job ends at {shown_time(end)}, and what was under way was left; what "
            "is finished is kept: run the same command again"
        )

    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, left)


def add_data_flags(parser: argparse._ActionsContainer) -> None:
    """Where data sets come from; the same in every script."""
    add_data_dir_flag(parser)
    parser.add_argument(
        "--revision", help="commit, tag or branch of the data set; default: the commit pinned by the suite"
    )


def add_data_dir_flag(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="read data sets from a local mirror (DIR/ORG/NAME/FILE) instead of the hub",
    )


def add_run_flags(parser: Parser, *groups: str) -> None:
    """The flags of settings, as the table has them, under the headings of their groups."""
    for name in groups:
        group = parser.add_argument_group(GROUPS[name])
        for setting in SETTINGS:
            if setting.group == name and setting.flag:
                _add(group, setting)
        if name == "rows":
            add_data_flags(group)
        if name == "own":
            group.add_argument(
                "--require-golds",
                type=number_in(0, 1),
                metavar="SHARE",
                help="ask nothing unless the grader accepts this share of the answers as their own answer",
            )


def add_settings(parser: Parser, *names: str) -> None:
    """The flags of these settings alone."""
    for name in names:
        _add(parser, BY_NAME[name])


def _add(group: argparse._ActionsContainer, setting: Setting) -> None:
    """Declare the flag without its default: `Parser` fills it in and notes which flags were given."""
    for flag, value, told in setting.switches:
        group.add_argument(
            flag, dest=setting.name, action="store_const", const=value, default=argparse.SUPPRESS, help=told
        )
    if setting.switches:
        return
    help = setting.help.replace("{default}", str(setting.default))
    if setting.type is bool:
        kind: dict[str, Any] = {"action": "store_false" if setting.default else "store_true"}
    else:
        kind = {name: getattr(setting, name) for name in ("type", "nargs", "choices", "metavar")}
    group.add_argument(setting.flag, dest=setting.name, default=argparse.SUPPRESS, help=help, **kind)


def add_engine_flags(parser: Parser) -> None:
    """What runs the model, and how endpoints are asked; the same in every script that generates."""
    add_run_flags(parser, "engine")
    group = parser.add_argument_group("endpoints")
    group.add_argument(
        "--keys", type=Path, metavar="FILE", help="API keys, one per line; default: $OPENAI_API_KEY"
    )
    group.add_argument(
        "--concurrency",
        type=_concurrency,
        default=None,
        metavar="N|auto",
        help="most requests in flight over all endpoints; auto, the default, finds what each takes",
    )
    group.add_argument(
        "--rpm", type=above(0), metavar="N", help="most requests per minute over all endpoints (no limit)"
    )
    group.add_argument(
        "--tpm",
        type=above(0),
        metavar="N",
        help="most tokens per minute, of prompts and answers, over all endpoints (no limit)",
    )
    group.add_argument(
        "--request-timeout",
        type=above(0),
        default=7200.0,
        metavar="SECONDS",
        help="how long to wait for one answer of an endpoint (7200)",
    )
    group.add_argument(
        "--stream",
        choices=STREAM_CHOICES,
        default="auto",
        help="whether endpoints send their answers as they are written; auto, the default: as soon as one "
        "cuts off requests that are silent for long, or takes no others",
    )


def add_batch_flag(parser: argparse.ArgumentParser) -> None:
    """Whether requests to an endpoint go out in batches; the same in every script that has it."""
    parser.add_argument(
        "--batch",
        nargs="?",
        choices=(BATCH_ENDPOINT, BATCH_FILES),
        const=BATCH_ENDPOINT,
        help="ask openai/NAME in batches, usually at half the price and within a day: by the batch interface "
        "of the endpoint, or with `files` by files for `vllm run-batch`",
    )


def _check_batch(args: argparse.Namespace, options: EngineOptions) -> None:
    """Raises UserError for what cannot be asked in batches."""
    from util.engines.openai_batches import check_installed

    if options.engine_name != "openai":
        is_named_so = options.model.startswith("openai/")
        how = f"leave --engine {options.engine_name} out" if is_named_so else "name the model openai/NAME"
        raise UserError(f"--batch is for endpoints, and {options.model} runs here: {how}")
    live = ("rpm", "tpm", "concurrency", "thinking_budget")
    given = [f"--{name.replace('_', '-')}" for name in live if getattr(args, name, None) is not None]
    given += ["--stream always"] * (args.stream == "always")
    given += ["several --api-base"] * (len(options.api_base) > 1)
    if given:
        raise UserError(
            f"--batch hands requests in all at once and hears no answer as it comes: leave "
            f"{', '.join(given)} out"
        )
    if options.batch == BATCH_ENDPOINT:
        check_installed()


def _concurrency(text: str) -> int | None:
    return None if text == "auto" else at_least(1)(text)


def add_budget_flags(parser: argparse.ArgumentParser) -> None:
    """What a command may spend; the same in every script that asks a model."""
    group = parser.add_argument_group("budget")
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="show what would be asked and what it would cost, without asking",
    )
    group.add_argument(
        "--max-cost",
        type=above(0),
        metavar="DOLLARS",
        help="stop before this command has spent more, by the prices in util/engines/prices.txt",
    )
    add_count(
        group,
        "--max-tokens-total",
        "stop before this command has used more tokens, prompts and answers together",
    )
    group.add_argument(
        "--until",
        type=moment,
        metavar="TIME",
        help="begin no request that would not end by then: 2h30m, 18:30 or 2026-12-01T06:00; default: "
        "the end of the Slurm job",
    )


def add_overwrite_flag(parser: argparse._ActionsContainer) -> None:
    """What to do where a run with other settings is there; the same in every script that begins runs."""
    parser.add_argument(
        "--overwrite-settings",
        action="store_true",
        help="when the settings differ from the existing run's, start a fresh folder beside it",
    )


def add_log_flag(parser: argparse._ActionsContainer) -> None:
    """Who hears how a command gets on; the same in every script that generates samples of benchmarks."""
    parser.add_argument(
        "--log",
        nargs="+",
        choices=TRACKERS,
        default=[],
        metavar="TRACKER",
        help=f"experiment trackers that hear progress, settings and the result: {', '.join(TRACKERS)}",
    )


def check_output(flag: str, path: Path) -> None:
    """Raises UserError where a file that a flag names cannot be written."""
    from tempfile import TemporaryFile

    check_no_run_file(flag, path)
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"lies in {path.parent}, which is not a folder"
        raise UserError(f"{flag} {path} {what}: name a file in a folder that exists")
    try:
        TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise not_writable(path.parent, error, flag) from error


def check_no_run_file(flag: str, path: Path) -> None:
    """Raises UserError where a file that a flag names belongs to a run, whose samples it would replace."""
    if is_run_file(path):
        raise UserError(f"{flag} {path} is a file of the run in {path.parent}: name another file")


def add_trust_flag(parser: argparse._ActionsContainer) -> None:
    """Whether second opinions count where the rules are undecided; the same in every step after grading."""
    parser.add_argument(
        "--trust-opinion",
        nargs="?",
        const=True,
        metavar="VERIFIER",
        help="take undecided samples as second opinions say, all that there are or those of VERIFIER; "
        "default: the rules alone count",
    )


def add_keep_budget_flag(parser: argparse._ActionsContainer) -> None:
    """Whether forced answers may be examples; the same in every script that writes training files."""
    parser.add_argument(
        "--keep-budget",
        action="store_true",
        help="also take samples whose thought was ended by --thinking-budget and whose answer was forced",
    )


def add_thought_flag(parser: argparse._ActionsContainer) -> None:
    """In which form rows hold their thought; the same in every script that writes training files."""
    parser.add_argument(
        "--thought",
        choices=THOUGHT_FORMS,
        metavar="FORM",
        help=f"how all rows hold their thought, {', '.join(THOUGHT_FORMS)}: between <think> tags, between "
        "the four markers, in a field reasoning_content, or not at all; default: think, or markers where "
        "the system message of the run asks for them",
    )


def livecodebench_choice(args: argparse.Namespace) -> dict[str, str]:
    """The flags of LiveCodeBench that were given."""
    return {name: getattr(args, name) for name in ("release", "start_date", "end_date") if name in args.given}


def own_choice(args: argparse.Namespace) -> dict[str, Any]:
    """The flags that describe problems of one's own, as far as they were given."""
    return {name: getattr(args, name) for name in ("columns", "grade") if name in args.given}


def place_of_rows(args: argparse.Namespace) -> dict[str, Any]:
    """Where the rows of problems of one's own are read from."""
    return {"split": getattr(args, "split", None), "revision": args.revision}


def look_at_own(args: argparse.Namespace, order: Order, benchmarks: Iterable[Task]) -> None:
    """Show what will be asked of problems of one's own, whether their answers can be graded, and which of
    them stand in those `benchmarks` that are on this machine."""
    from util.generation.preview import look_at

    benchmarks = list(benchmarks)
    known = [task for task in benchmarks if _is_read_at_once(task.source, args.data_dir)]
    text, _ = read_benchmarks(known, data_dir=args.data_dir, ngram=OVERLAP_WORDS)
    found = look_at(order, least_golds=args.require_golds, find=text.find if len(text) else None)
    for line in found.lines(order):
        say(line)
    here = ", ".join(text.revisions) or "none"
    say(
        f"these questions were compared with {len(text):,} of benchmarks that are here ({here}), not with "
        f"the other {len(benchmarks) - len(text.revisions)}, which are not or are large "
        "(recipes/fetch_benchmarks.sh)"
    )


def _is_read_at_once(source: Source, data_dir: Path | None) -> bool:
    from util.data.rows import local_bytes

    size = local_bytes(source, data_dir=data_dir)
    return size is not None and size <= READ_AT_ONCE_BYTES


def read_benchmarks(
    benchmarks: Iterable[Task], *, data_dir: Path | None, ngram: int | None
) -> tuple[BenchmarkText, dict[str, UserError]]:
    """The questions of benchmarks, on the splits of which results are told; and why some cannot be read."""
    from util.data.rows import open_rows, problems
    from util.training.leaks import BenchmarkText

    text, missing = BenchmarkText(ngram), {}
    for task in benchmarks:
        try:
            rows = open_rows(task.source, data_dir=data_dir)
            for problem in problems(task, rows):
                question = "\n".join((problem.question, *problem.choices))
                answer = problem.reference if isinstance(problem.reference, str) else None
                text.add(task.name, problem.id, question, answer=answer)
            text.revisions[task.name] = rows.revision
        except UserError as error:
            say(f"{task.name}: {error}")
            missing[task.name] = error
    text.close()
    return text, missing


def asking_options(
    args: argparse.Namespace,
    *,
    model: str | None = None,
    engine: str | None = None,
    log: Path | None = None,
    in_batches: bool = False,
) -> EngineOptions:
    """The engine that the flags of `add_engine_flags` describe, with nothing said of sampling.

    `model` is asked instead of --model, live, or as --batch says with `in_batches`; `engine` runs it where
    --engine is not given.
    """
    if args.engine != "ray" and args.replicas > 1:
        raise UserError(f"--replicas {args.replicas} needs --engine ray; on one machine use --dp")
    if args.engine != "ray" and args.ray_address and not getattr(args, "on_cluster", False):
        raise UserError(f"--ray-address {args.ray_address} has no effect without --engine ray: add it")
    same = ("tp", "pp", "dp", "replicas", "ray_address", "concurrency", "rpm", "tpm", "engine_args")
    options = EngineOptions(
        model=model or args.model,
        engine=args.engine or engine,
        api_base=tuple(url for urls in args.api_base for url in urls.split(",") if url),
        keys_file=args.keys,
        headers=tuple(args.headers),
        request_timeout_s=args.request_timeout,
        stream=args.stream,
        batch=getattr(args, "batch", None) if model is None or in_batches else None,
        log=log,
        **{name: getattr(args, name) for name in same},
    )
    if options.batch is not None:
        _check_batch(args, options)
    if options.model == "openai/":
        raise UserError("openai/ names no model: write openai/NAME, as the endpoint calls it")
    others = (getattr(args, name, None) for name in ("second_opinion", "judge"))
    if options.engine_name in ("vllm", "ray") and not any(others):
        for name in ("api_base", "headers", "keys", "rpm", "tpm"):
            if getattr(args, name):
                flag = BY_NAME[name].flag if name in BY_NAME else f"--{name}"
                raise UserError(
                    f"{flag} is for endpoints, and --model {options.model} runs here: leave it out, "
                    "or ask an endpoint for openai/NAME"
                )
    misplaced = misplaced_arg(options.engine_args, is_endpoint=options.engine_name == "openai")
    if misplaced is not None:
        name, flag = misplaced
        instead = f"give it as {flag}" if flag else "leave it out"
        raise UserError(f"--engine-args sets {name} = {options.engine_args[name]!r}: {instead}")
    return options


def options_of_another(args: argparse.Namespace, model: str, log: Path) -> EngineOptions:
    """The engine of a model that is asked about the answers. With --check it has the engine's flags for
    itself; else it takes over what suits it of those that describe the engine of the answers."""
    from dataclasses import replace

    options = asking_options(args, model=model, log=log)
    is_endpoint = model.startswith("openai/")
    if (
        getattr(args, "check", False)
        or args.engine == "scripted"
        or (args.engine == "ray" and not is_endpoint)
    ):
        return options
    engine = "openai" if is_endpoint else "vllm"
    if engine == asking_options(args).engine_name:
        return options
    return replace(options, engine=engine, engine_args={}, api_base=options.api_base if is_endpoint else ())


def rest_of_budget(
    args: argparse.Namespace, model: str, used: tuple[int, int], *, reply_tokens: int
) -> dict[str, Any] | None:
    """What answers that used so many prompt and completion tokens left of the budget, for a model that is
    asked about them.

    None where that does not allow a single reply.
    """
    from util.engines.prices import dollars

    cost, tokens = args.max_cost, args.max_tokens_total
    if cost is not None:
        cost -= dollars(args.model, *used, in_batches=getattr(args, "batch", None) is not None) or 0.0
    if tokens is not None:
        tokens -= sum(used)
    least = 4 * reply_tokens  # a prompt counts by its bytes until it is answered
    too_little = (cost is not None and cost < (dollars(model, 0, least) or 0.0)) or (
        tokens is not None and tokens < least
    )
    if too_little and used[1]:
        return None
    return {"max_cost": cost, "max_tokens_total": tokens, "until": end_of_time(args)}


def open_judge(
    args: argparse.Namespace, log: Path, prompt_tokens: int, completion_tokens: int
) -> MeteredEngine | None:
    """Start the judge's engine; None where answers of so many tokens left too little of the budget."""
    from dataclasses import replace

    from util.engines.metered import open_metered
    from util.generation.model_judge import REPLY_TOKENS

    used = (prompt_tokens, completion_tokens)
    budget = rest_of_budget(args, args.judge, used, reply_tokens=REPLY_TOKENS)
    if budget is None:
        return None
    options = options_of_another(args, args.judge, log)
    if options.engine_name not in ("openai", "scripted"):  # with --check: --engine is of the answers
        options = replace(options, engine="openai", engine_args={})
    return open_metered(options, max_tokens=REPLY_TOKENS, **budget)


def check_judge(args: argparse.Namespace, tasks: Sequence[Task]) -> None:
    """Raises UserError where a judge is missing, decides nothing or cannot be asked."""
    names = ", ".join(task.name for task in tasks if task.ask_judge is not None)
    if args.judge is None:
        if names and not getattr(args, "inference", False):
            raise UserError(f"{names}: answers are graded by a judge; say which one with --judge openai/NAME")
        return
    if not names:
        raise UserError(
            f"--judge {args.judge} would grade nothing: rules grade {', '.join(one.name for one in tasks)}; "
            "leave it out, or give --grade judge for problems of your own"
        )
    if getattr(args, "inference", False):
        raise UserError(f"--judge {args.judge} grades, and --inference only generates: leave one of them out")
    if not args.judge.startswith("openai/") and args.engine != "scripted":
        raise UserError(
            f"--judge {args.judge}: a judge is asked over an endpoint; write openai/NAME, as the endpoint "
            "calls it, and where it is with --api-base"
        )
    check_price(args, args.judge)
    if args.judge == args.model:
        say(f"WARNING: {args.judge} judges its own answers, and models tend to like those")


def check_price(args: argparse.Namespace, model: str) -> None:
    """Raises UserError where a cost is limited and a model has no price."""
    from util.engines.prices import limited_price

    if args.max_cost is not None:
        limited_price(model)


def open_within_budget(
    args: argparse.Namespace, options: EngineOptions, *, place_of: PlaceOf | None = None
) -> MeteredEngine:
    """Start an engine that stops asking before it has spent what the flags of `add_budget_flags` allow.

    With --batch what becomes of a request is written down at its `place_of`.
    """
    from functools import partial

    from util.engines import open_engine
    from util.engines.metered import open_metered
    from util.generation.batches import open_batches

    opening: Callable[[EngineOptions], Engine] = open_engine
    until = end_of_time(args)
    if options.batch is not None and place_of is not None:
        opening, until = partial(open_batches, place_of=place_of), None  # a batch goes on without us
    return open_metered(
        options,
        max_tokens=args.max_tokens,
        max_cost=args.max_cost,
        max_tokens_total=args.max_tokens_total,
        until=until,
        opening=opening,
    )


MODEL_HELP = (
    f"name on the hub, local folder, openai/NAME for an endpoint, or {EMBEDDED} (small, needs no GPU)"
)


def settle_sampling(args: argparse.Namespace) -> None:
    """Fill in how to sample what the flags leave to the model.

    With --sampling model that is its generation_config.json. A model that takes no temperature samples at
    its own, which its makers call 1. Raises UserError where the flags say another; a run that has samples
    under another temperature can still be checked.
    """
    from util.engines.openai_quirks import api_quirks

    options = asking_options(args)
    if options.engine_name == "openai" and not api_quirks(args.model).sampling:
        _settle_own_temperature(args)
    elif args.sampling == "model":
        from util.data.generation_config import FILE, recommended_sampling

        said = recommended_sampling(_model_folder(options))
        temperature = said.pop("temperature")
        if "temperatures" not in args.given:
            args.temperatures = [temperature]
        for name in said.keys() - args.given:
            setattr(args, name, said[name])
        args.given = args.given | {*said}
        told = "".join(f", {name} {getattr(args, name)}" for name in said)
        say(f"sampling by the model's {FILE}: temperature {args.temperatures[0]}{told}")
    elif 0 in args.temperatures and "temperatures" not in args.given and options.engine_name != "scripted":
        _warn_of_greed(_model_folder(options))


def _model_folder(options: EngineOptions) -> str:
    """Where the model's files are, or its name on the hub."""
    if options.model == EMBEDDED:
        from util.engines.embedded import embedded_model

        return str(embedded_model())
    return options.model.removeprefix("openai/")


def _settle_own_temperature(args: argparse.Namespace) -> None:
    refused = [setting.flag for setting in SAMPLING if setting.name in args.given and setting.name != "stop"]
    refused += ["--sampling"] * (args.sampling == "model")
    if "temperatures" in args.given and args.temperatures != [1.0]:
        refused = ["--temperatures", *refused]
    if not refused:
        args.temperatures = [1.0]
    elif not getattr(args, "check", False):
        raise UserError(
            f"{args.model} takes no {', '.join(refused)}: it samples at its own temperature, recorded as 1; "
            "leave the flags out"
        )


def _warn_of_greed(model: str) -> None:
    """Say that a model whose card samples is asked at temperature 0, as far as its files are here."""
    from util.data.generation_config import known_sampling

    said = known_sampling(model)
    if said is not None and said.get("temperature", 0) > 0:
        say(
            f"WARNING: temperature 0, and the model's generation_config.json says {said['temperature']}: "
            "reasoning models loop when they are greedy; --sampling model takes what it says"
        )


def check_limits(args: argparse.Namespace, tasks: Sequence[Task]) -> None:
    """Raises UserError for a limit of programs where no benchmark runs any."""
    for setting in (BY_NAME["time_limit"], BY_NAME["memory_limit"]):
        if setting.name in args.given and not any(setting.name in task.limits for task in tasks):
            names = ", ".join(task.name for task in tasks)
            raise UserError(
                f"{setting.flag} is for programs, and none are run for {names}: leave the flag out"
            )


def order_from(args: argparse.Namespace, task: Task, stopping: Stopping | None = None) -> Order:
    """The order that the flags describe for one task."""
    (order,) = orders_from(args, [task], stopping)
    return order


def orders_from(
    args: argparse.Namespace, tasks: Sequence[Task], stopping: Stopping | None = None
) -> list[Order]:
    """The orders that the flags describe, which share one system message."""
    from util.data.system_prompts import system_prompt

    system, origin = system_prompt(args.system_prompt, args.model, data_dir=args.data_dir)
    return [_order(args, task, stopping, system, origin) for task in tasks]


def _order(
    args: argparse.Namespace, task: Task, stopping: Stopping | None, system: str | None, origin: str | None
) -> Order:
    from dataclasses import replace

    from util.data.wordings import own_wording
    from util.generation.order import DEFAULT_PROMPT, Judging, Order, Plan, Selection, name_of_text

    options = asking_options(args)
    is_known = args.prompt in (DEFAULT_PROMPT, *task.prompts)
    wording = None if is_known else own_wording(args.prompt, data_dir=args.data_dir)
    plan = Plan(
        model=args.model,
        temperatures=tuple(dict.fromkeys(args.temperatures)),
        n=args.n,
        max_tokens=args.max_tokens,
        seed=args.seed,
        prompt=args.prompt if wording is None else name_of_text(wording.text),
        wording=wording,
        system_prompt=system,
        prefill=args.prefill,
        sampling=args.sampling,
        stopping=stopping,
        stop_loops=_stop_loops(args, options.engine_name),
    )
    sampling = {setting.name: getattr(args, setting.name) for setting in SAMPLING}
    return Order(
        task,
        plan,
        selection=Selection(**fields_of(Selection, args)),
        options=replace(
            options,
            adapter=_adapter(args, options.engine_name),
            sampling=sampling,
            thinking=_thinking(args),
            thinking_budget=args.thinking_budget,
        ),
        system_prompt_from=origin,
        judging=Judging(**fields_of(Judging, args)),
        limits={name: getattr(args, name) for name in task.limits if name in args.given},
        given=args.given,
    )


def _stop_loops(args: argparse.Namespace, engine: str) -> str:
    """When texts that repeat themselves are ended; never where nobody hears them as they come."""
    if args.stream != "never" or args.stop_loops == NEVER or engine != "openai":
        return args.stop_loops
    if "stop_loops" in args.given:
        raise UserError("--stop-loops listens to answers as they come: give it without --stream never")
    return NEVER


def _thinking(args: argparse.Namespace) -> str | None:
    if args.thinking == "off" and args.thinking_budget is not None:
        raise UserError(
            f"--thinking off asks for no thought, and --thinking-budget {args.thinking_budget} limits one: "
            "give one of them"
        )
    if args.thinking is not None and "chat_template_kwargs" in args.engine_args:
        raise UserError(
            f"--thinking {args.thinking} and chat_template_kwargs in --engine-args both speak to the chat "
            "template: give one of them"
        )
    return args.thinking


def _adapter(args: argparse.Namespace, engine: str) -> Adapter | None:
    from util.engines.adapters import read_adapter

    if args.lora is None:
        return None
    if engine == "openai":
        raise UserError(
            f"--lora {args.lora} is for models that run here: an endpoint's adapter is asked by its name, as "
            "`vllm serve` lists it: --model openai/NAME"
        )
    return read_adapter(args.lora, is_asked=not getattr(args, "check", False))


def fields_of(kind: type[Any], args: argparse.Namespace) -> dict[str, Any]:
    """The flags that are fields of `kind`, as far as the script has them."""
    return {name: getattr(args, name) for name in kind.__dataclass_fields__ if hasattr(args, name)}
