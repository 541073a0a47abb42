"""How do the scripts speak with the person at the keyboard: flags, progress, errors and exit status?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from util import __version__
from util.engines.options import EMBEDDED, ENGINES
from util.errors import RunStopped, UserError
from util.terminal import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from util.engines.options import EngineOptions
    from util.generation.order import Order, Selection
    from util.generation.rounds import Stopping
    from util.task import Task

# What --help does not need is imported where it is used: a script's help is there at once.


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(
            prog, width=100
        )  # asking for the terminal's width would cost a quarter of a bare start


class Parser(argparse.ArgumentParser):
    """A parser that takes each long flag with "-" and with "_", and more flags from @FILE."""

    def __init__(self, description: str, **options: Any) -> None:
        super().__init__(
            description=description,
            fromfile_prefix_chars="@",
            allow_abbrev=False,
            formatter_class=_Help,
            **options,
        )
        self.add_argument("--version", action="version", version=f"distillery {__version__}")

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        import shlex

        return shlex.split(arg_line, comments=True)

    def _parse_optional(self, arg_string: str):
        return super()._parse_optional(self._as_declared(arg_string))

    def _as_declared(self, argument: str) -> str:
        """The spelling under which a flag was declared: both --max_tokens and --max-tokens are
        --max-tokens."""
        flag, equals, value = argument.partition("=")
        if flag.startswith("--") and flag not in self._option_string_actions:
            for spelling in (flag.replace("_", "-"), flag.replace("-", "_").replace("__", "--", 1)):
                if spelling in self._option_string_actions:
                    return spelling + equals + value
        return argument

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def main(parse: Callable[[Sequence[str]], argparse.Namespace], run: Callable[..., int]) -> NoReturn:
    """Run a script: 0 done, 1 stopped or incomplete, 2 the person can fix it, 130 Ctrl-C, 143 SIGTERM."""
    import signal

    signal.signal(signal.SIGTERM, _terminated)
    try:
        status = run(parse(sys.argv[1:]))
        sys.stdout.flush()
    except UserError as error:
        say(f"error: {error}")
        status = 2
    except RunStopped as error:
        say(f"stopped: {error}")
        status = 1
    except KeyboardInterrupt:
        say("interrupted: what is finished is kept; run the same command again to resume")
        status = 130
    except BrokenPipeError:  # the reader of our output went away
        sys.stderr.close()
        status = 1
    sys.exit(status)


def _terminated(*_: object) -> NoReturn:
    say("terminated: what is finished is kept; run the same command again to resume")
    sys.exit(143)


def at_least(least: int) -> Callable[[str], int]:
    """An argparse type: an integer that is not smaller than `least`."""

    def integer(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too small: give at least {least}")
        return value

    return integer


def end_position(text: str) -> int:
    """An argparse type: the position after the last one, or -1 for the end."""
    value = int(text)
    if value < -1 or value == 0:
        raise argparse.ArgumentTypeError(f"{value} leaves no row: give at least 1, or -1 for all")
    return value


def number_in(low: float, high: float, *, above_low: bool = False) -> Callable[[str], float]:
    """An argparse type: a number from `low` (or, with `above_low`, more than that) to `high`."""

    def number(text: str) -> float:
        value = float(text)
        if not low <= value <= high or (above_low and value == low):
            bounds = f"above {low:g} and at most {high:g}" if above_low else f"between {low:g} and {high:g}"
            raise argparse.ArgumentTypeError(f"{text} is not {bounds}")
        return value

    return number


def above(low: float) -> Callable[[str], float]:
    """An argparse type: a number larger than `low`."""

    def number(text: str) -> float:
        value = float(text)
        if not low < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above {low:g}")
        return value

    return number


def some_text(text: str) -> str:
    """An argparse type: a text that is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("the text is empty: give one, or leave the flag out")
    return text


def json_object(text: str) -> dict:
    """An argparse type: a JSON object."""
    import json

    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object such as '{{\"max_num_seqs\": 64}}'")
    return value


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """Where data sets come from; the same in every script."""
    add_data_dir_flag(parser)
    parser.add_argument(
        "--revision", help="commit, tag or branch of the data set; default: the commit pinned by the suite"
    )


def add_data_dir_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="read data sets from a local mirror (DIR/ORG/NAME/FILE) instead of the hub",
    )


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """What runs the model; the same in every script that generates."""
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--engine",
        choices=ENGINES,
        help="what runs the model; default: openai for openai/NAME or --api-base, else vllm",
    )
    group.add_argument(
        "--tp", type=at_least(1), default=1, metavar="N", help="GPUs that share one copy of the model (1)"
    )
    group.add_argument("--pp", type=at_least(1), default=1, metavar="N", help="pipeline parallel stages (1)")
    group.add_argument(
        "--dp", type=at_least(1), default=1, metavar="N", help="copies of the model on this machine (1)"
    )
    group.add_argument(
        "--replicas",
        type=at_least(1),
        default=1,
        metavar="N",
        help="with --engine ray: copies of the model on the cluster, each over --tp GPUs (1)",
    )
    group.add_argument(
        "--ray-address",
        type=some_text,
        metavar="HOST:PORT",
        help="head of the Ray cluster; default: $RAY_ADDRESS, else the cluster that this machine belongs to",
    )
    group.add_argument(
        "--api-base",
        nargs="+",
        default=[],
        metavar="URL",
        help="OpenAI-compatible endpoints, one or several; default: $OPENAI_BASE_URL, else OpenAI",
    )
    group.add_argument(
        "--keys", type=Path, metavar="FILE", help="API keys, one a line; default: $OPENAI_API_KEY"
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
        "--engine-args",
        type=json_object,
        default={},
        metavar="JSON",
        help="further arguments for the engine as a JSON object, such as '{\"max_num_seqs\": 64}'",
    )


def _concurrency(text: str) -> int | None:
    return None if text == "auto" else at_least(1)(text)


def add_sampling_flags(parser: argparse.ArgumentParser) -> None:
    """How answers are drawn; the same in every script that generates."""
    group = parser.add_argument_group("sampling")
    group.add_argument(
        "--temperatures",
        type=number_in(0, 10),
        nargs="+",
        default=[0.0],
        metavar="T",
        help="sampling temperatures (0: greedy); a further one adds only its own samples",
    )
    group.add_argument(
        "--n",
        type=at_least(1),
        default=1,
        metavar="N",
        help="samples per problem and temperature (1); a larger N later adds only what is missing",
    )
    group.add_argument(
        "--max-tokens",
        type=at_least(1),
        default=32768,
        metavar="N",
        help="most tokens of one answer (32768); less if the model's context ends before",
    )
    group.add_argument(
        "--seed", type=int, default=0, help="seed of the run (0); each sample's own seed follows from it"
    )
    group.add_argument(
        "--top-p",
        type=number_in(0, 1, above_low=True),
        default=1.0,
        metavar="P",
        help="nucleus sampling (1: off)",
    )
    group.add_argument(
        "--top-k",
        type=at_least(-1),
        default=-1,
        metavar="K",
        help="sample from the K likeliest tokens (-1: off)",
    )
    group.add_argument(
        "--min-p",
        type=number_in(0, 1),
        default=0.0,
        metavar="P",
        help="least share of the top probability (0: off)",
    )
    group.add_argument(
        "--stop", type=some_text, nargs="+", default=[], metavar="TEXT", help="texts that end an answer"
    )
    group.add_argument(
        "--system-prompt",
        metavar="NAME|FILE|hf://...",
        help="system message: a name under util/prompts, a text file, a field of a hub data set "
        "(hf://datasets/ORG/NAME#field), or 'none'; default: the one the model was trained with, "
        "if we know it",
    )
    group.add_argument(
        "--prompt",
        default="default",
        metavar="NAME",
        help="which wording of the task's prompt (default); the README's table names the others",
    )


def add_budget_flags(parser: argparse.ArgumentParser) -> None:
    """What a command may spend; the same in every script that asks a model."""
    group = parser.add_argument_group("budget")
    group.add_argument(
        "--dry-run", action="store_true", help="only say what would be asked and what it would cost"
    )
    group.add_argument(
        "--max-cost",
        type=above(0),
        metavar="DOLLARS",
        help="stop before this command has spent more, by the prices in util/engines/prices.txt",
    )
    group.add_argument(
        "--max-tokens-total",
        type=at_least(1),
        metavar="N",
        help="stop before this command has used more tokens, prompts and answers together",
    )


def add_grading_flags(parser: argparse.ArgumentParser) -> None:
    """How answers are judged; the same in every script that grades."""
    group = parser.add_argument_group("grading")
    group.add_argument(
        "--no-symbolic",
        action="store_true",
        help="maths: do not ask the symbolic engine where the rules do not know",
    )
    group.add_argument(
        "--compare",
        choices=("ordered", "legacy"),
        default="ordered",
        help="programs: outputs equal in order (ordered), or as lenient as older graders (legacy)",
    )
    group.add_argument(
        "--all-tests", action="store_true", help="programs: run the other tests after one has failed"
    )
    group.add_argument(
        "--require-isolation",
        choices=("weak", "no-namespace", "full"),
        default="no-namespace",
        help="programs: least isolation under which they may run (no-namespace); see doctor.py",
    )
    group.add_argument(
        "--grade-on-cluster",
        action="store_true",
        help="grade on the CPUs of the Ray cluster (see --ray-address) instead of this machine's",
    )


def add_livecodebench_flags(parser: argparse.ArgumentParser) -> None:
    """Which problems of LiveCodeBench: they carry the date of their contest."""
    group = parser.add_argument_group("LiveCodeBench")
    group.add_argument("--release", metavar="vN", help="release v1 to v6, each with those before it (v2)")
    group.add_argument("--start-date", metavar="YYYY-MM-DD", help="first contest day")
    group.add_argument("--end-date", metavar="YYYY-MM-DD", help="last contest day")


def livecodebench_choice(args: argparse.Namespace) -> dict:
    """The flags of `add_livecodebench_flags` that were given."""
    choice = {"release": args.release, "start_date": args.start_date, "end_date": args.end_date}
    return {name: value for name, value in choice.items() if value is not None}


def engine_options(args: argparse.Namespace, *, log: Path | None) -> EngineOptions:
    """The engine that the flags of `add_engine_flags` and `add_sampling_flags` describe."""
    from dataclasses import replace

    return replace(
        asking_options(args, log=log),
        top_p=args.top_p,
        top_k=args.top_k,
        min_p=args.min_p,
        stop=tuple(args.stop),
    )


def asking_options(
    args: argparse.Namespace,
    *,
    model: str | None = None,
    engine: str | None = None,
    log: Path | None = None,
) -> EngineOptions:
    """The engine that the flags of `add_engine_flags` describe, with nothing said of sampling.

    `model` is asked instead of --model; `engine` runs it where --engine is not given.
    """
    from util.engines.options import EngineOptions

    if args.engine != "ray" and args.replicas > 1:
        raise UserError(f"--replicas {args.replicas} needs --engine ray; on one machine use --dp")
    if args.engine != "ray" and args.ray_address and not getattr(args, "grade_on_cluster", False):
        raise UserError(f"--ray-address {args.ray_address} is of no use without --engine ray: add it")
    same = ("tp", "pp", "dp", "replicas", "ray_address", "concurrency", "rpm", "tpm", "engine_args")
    return EngineOptions(
        model=model or args.model,
        engine=args.engine or engine,
        api_base=tuple(url for urls in args.api_base for url in urls.split(",") if url),
        keys_file=args.keys,
        request_timeout_s=args.request_timeout,
        log=log,
        **{name: getattr(args, name) for name in same},
    )


MODEL_HELP = (
    f"name on the hub, local folder, openai/NAME for an endpoint, or {EMBEDDED} (small, needs no GPU)"
)


def order_from(
    args: argparse.Namespace,
    task: Task,
    selection: Selection,
    options: EngineOptions,
    stopping: Stopping | None = None,
) -> Order:
    """The order that the flags of `cli.add_sampling_flags` describe for one task."""
    from util.data.system_prompts import system_prompt
    from util.generation.order import Judging, Order, Plan

    system, origin = system_prompt(args.system_prompt, args.model, data_dir=args.data_dir)
    plan = Plan(
        model=args.model,
        temperatures=tuple(dict.fromkeys(args.temperatures)),
        n=args.n,
        max_tokens=args.max_tokens,
        seed=args.seed,
        system_prompt=system,
        stopping=stopping,
    )
    judging = Judging(
        not args.no_symbolic, args.compare, args.all_tests, args.require_isolation, args.grade_on_cluster
    )
    return Order(task, plan, selection, options, args.prompt, origin, judging)
