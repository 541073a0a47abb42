"""Which settings does a run have, and how is each given, kept, compared and shown?

`SETTINGS` is the table. One entry brings a setting to the flags, run.json, the refusal of a changed setting,
the command that repeats a run, comparisons, pages and, if it says how to sample, to the engines.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_SAMPLES = 1_000_000  # of one problem at one temperature
NEVER, IF_GREEDY, ALWAYS = (
    "never",
    "at temperature 0",
    "always",
)  # when texts that repeat themselves are ended
LARGEST = 10**15  # of other numbers: more tokens, rows or seconds than anybody has
NOT_RECORDED = "not recorded"  # stands for a value that nobody knows any more


@dataclass(frozen=True)
class Setting:
    """One setting. To change a default, put the old one into `earlier`: folders that have it keep it."""

    name: str  # in run.json and among the parsed flags
    place: str  # part of run.json that keeps it; in "settings" a change is refused
    flag: str = ""  # "": it follows from something else
    help: str = ""  # "": the script declares the flag; {default} stands for the default
    type: Callable[[str], Any] = str  # reads a value of the flag; bool: the flag alone says "not the default"
    default: Any = None
    before: Any = NOT_RECORDED  # what was in force in runs whose run.json lacks it
    earlier: tuple[Any, ...] = ()  # defaults of earlier versions, the first one first
    nargs: int | str | None = None
    metavar: str | tuple[str, ...] | None = None
    choices: tuple[str, ...] | None = None
    group: str = ""  # flags that are declared together
    label: str = ""  # what people call it; "": never shown by itself
    compared: bool = False  # whether a comparison of two runs warns when it differs
    neutral: tuple[Any, ...] = ()  # of sampling: values that change nothing and that engines need not be told
    always: bool = False  # said even where it has its default
    switches: tuple[tuple[str, str, str], ...] = ()  # flags without a value: (flag, what it says, help)
    kept: bool = False  # a folder keeps its value, whatever it is, unless the flag is given

    def value_in(self, there: Mapping[str, Any]) -> Any:
        """Its value in the part of a run.json where it stands, or what was in force when that was written."""
        return there.get(self.name, self.before)

    def words(self, value: Any) -> list[str]:
        """The flag as it is written on the command line; nothing where the value needs no flag."""
        is_default = value == self.default and not self.always
        if not self.flag or is_default or value is None or value == NOT_RECORDED:
            return []
        if self.switches:
            return [flag for flag, meant, _ in self.switches if meant == value]
        if self.type is bool:
            return [self.flag]
        return [self.flag, *map(self.word, value if isinstance(value, list | tuple) else [value])]

    def word(self, value: Any) -> str:
        """A value as its flag reads it."""
        if isinstance(value, dict):
            import json

            return json.dumps(value, ensure_ascii=False)
        return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)

    def shown(self, value: Any) -> str:
        """Name and value for people; "" where it says nothing."""
        says_nothing = value in self.neutral if self.neutral else value == self.default
        if not self.label or value is None or (says_nothing and not self.always):
            return ""
        return f"{self.label} {value}"


# --- how a value of a flag is read ---


def plain_digits(text: str) -> str:
    """The text, unless a digit of it is of another script than 0 to 9, which int and float would read."""
    if any(sign.isdecimal() for sign in text if not sign.isascii()):
        raise argparse.ArgumentTypeError(f"{text!r} has digits of another script: write 0 to 9")
    return text


def at_least(least: int, most: int = LARGEST) -> Callable[[str], int]:
    """An argparse type: an integer from `least` to `most`."""

    def integer(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too small: give at least {least}")
        if value > most:
            raise argparse.ArgumentTypeError(f"{value} is too large: give at most {most}")
        return value

    return integer


def end_position(text: str) -> int:
    """An argparse type: the position after the last one, or -1 for the end."""
    value = int(text)
    if value < -1 or value == 0:
        raise argparse.ArgumentTypeError(f"{value} selects no rows: give at least 1, or -1 for all of them")
    if value > LARGEST:
        raise argparse.ArgumentTypeError(f"{value} is too large: give at most {LARGEST}, or -1 for all")
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
        if not low < value <= LARGEST:
            raise argparse.ArgumentTypeError(f"{text} is not above {low:g} and at most {LARGEST:g}")
        return value

    return number


def seconds_or_row(text: str) -> float | str:
    """An argparse type: seconds, or "row" for what each row says."""
    return text if text == "row" else above(0)(text)


def json_object(text: str, such_as: str = '{"max_num_seqs": 64}') -> dict[str, Any]:
    """An argparse type: a JSON object."""
    import json

    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text[:200]!r} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object such as '{such_as}'")
    return value


def token_scores(text: str) -> dict[str, float]:
    """An argparse type: a JSON object of numbers by the numbers of tokens."""
    scores = json_object(text, '{"50256": -100}')
    for token, score in scores.items():
        if (
            not (token.isascii() and token.isdecimal())
            or isinstance(score, bool)
            or not isinstance(score, int | float)
        ):
            raise argparse.ArgumentTypeError(f"{token!r}: {score!r} is no token's number with a number")
    return scores


def beginning(text: str) -> str:
    """An argparse type: a text in which \\n is a line break, as a shell hands it on."""
    return text.replace("\\n", "\n")


def column(text: str) -> str:
    """An argparse type: WHAT=COLUMN."""
    what, equals, name = text.partition("=")
    if not what or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not WHAT=COLUMN, such as question=problem")
    return text


def adapter_at(text: str) -> str:
    """An argparse type: NAME=PATH of an adapter, with the whole path: others may run elsewhere."""
    name, equals, path = text.partition("=")
    if not path or not re.fullmatch(r"[\w.-]+", name):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=PATH, a name of letters, digits, _, . and -, and a folder"
        )
    return f"{name}={os.path.abspath(os.path.expanduser(path))}"


def _source(text: str) -> str | None:
    return None if text in ("", "all") else text


TEXTS = (None, str, Path, beginning, _source)  # argparse types that would take an empty text


# --- the table ---

ENGINES = ("vllm", "ray", "openai", "scripted")  # what can run a model: see util/engines


def _entry(place: str, group: str) -> Callable[..., Setting]:
    """Makes entries that stand in one place and group: name, flag, help, default, and what is unusual.

    Before such a setting was there, its first default was in force.
    """

    def make(name: str, flag: str, default: Any, help: str, **more: Any) -> Setting:
        before = more.get("earlier", (default,))[0]
        same = {"place": place, "group": group, "default": default, "before": before}
        return Setting(name, flag=flag, help=help, **{**same, **more})

    return make


_row, _dated, _own = (_entry("settings", group) for group in ("rows", "livecodebench", "own"))
_drawn, _asked = _entry("settings", "sampling"), _entry("asked", "sampling")
_stopping, _engine, _grading = (_entry(name, name) for name in ("stopping", "engine", "grading"))


def _sampling(name: str, off: Any, help: str, **more: Any) -> Setting:
    """A parameter of sampling, by its name in vLLM and for endpoints; `off` changes nothing."""
    dashed = name.replace("_", "-")
    flag = more.pop("flag", f"--{dashed}")
    same = {"label": dashed, "compared": True, "neutral": (off,)}
    return _drawn(name, flag, off, help, **{**same, **more})


# fmt: off
SETTINGS = (
    Setting("task", "settings", "--dataset", always=True),
    Setting("model", "settings", "--model", always=True),

    _row("split", "--split", None, "split of the data set; default: the one results are reported on",
         before=NOT_RECORDED, label="split"),
    _row("source", "--source", None, "only rows of this source, such as math; 'all', or no flag: every row",
         type=_source, label="source"),
    _row("start", "--start", 0, "first row ({default})", type=at_least(0), metavar="I", label="from row"),
    _row("end", "--end", -1, "row after the last one; -1: to the end", type=end_position, metavar="I",
         label="to row"),
    _row("filter_difficulty", "--filter-difficulty", False,
         "only rows with a difficulty label within the bounds", type=bool, label="filtered by difficulty:"),
    _row("difficulty_lower_bound", "--math-difficulty-lower-bound", None,
         "lowest difficulty, 1-10; default: no limit", type=number_in(0, 10), metavar="D",
         label="least difficulty"),
    _row("difficulty_upper_bound", "--math-difficulty-upper-bound", None,
         "highest difficulty, 1-10; default: no limit", type=number_in(0, 10), metavar="D",
         label="most difficulty"),
    _row("limit", "--limit", None, "only the first N of what is left", place="asked",
         type=at_least(1), metavar="N"),

    _own("columns", "--columns", None,
         "which column is what, such as question=problem answer=solution; default: guessed, and shown",
         nargs="+", type=column, metavar="WHAT=COLUMN", label="columns", compared=True),
    _own("grade", "--grade", None, "what judges the answers; default: guessed, and shown",
         choices=("maths", "number", "letter", "code", "judge"), label="graded as", compared=True),

    _dated("release", "--release", None,
           "release v1 to v6, each with those before it (v6); v6-175 and v6-454: contests from 2025-02 or "
           "2024-08 to 2025-05", metavar="vN", label="release", before=None, earlier=("v2",)),
    _dated("start_date", "--start-date", None, "first contest day", metavar="YYYY-MM-DD",
           label="contests from"),
    _dated("end_date", "--end-date", None, "last contest day", metavar="YYYY-MM-DD", label="contests to"),

    _asked("temperatures", "--temperatures", [0.0],
           "sampling temperatures (0: greedy); a further one adds only its own samples",
           type=number_in(0, 10), nargs="+", metavar="T", always=True),
    _asked("n", "--n", 1,
           "samples per problem and temperature ({default}); a larger N later adds only what is missing",
           type=at_least(1, MOST_SAMPLES), metavar="N", always=True),
    _drawn("prompt", "--prompt", "default",
           "which wording of the task's prompt ({default}; the README's table names the others), or a text "
           "file or a field of a hub data set (hf://datasets/ORG/NAME#field) with {question} in it",
           metavar="NAME|FILE|hf://...", label="prompt"),
    _drawn("system_prompt", "--system-prompt", None,
           "system message: a name under util/prompts, a text file, a field of a hub data set "
           "(hf://datasets/ORG/NAME#field), or 'none'; default: the one the model was trained with, "
           "if we know it", metavar="NAME|FILE|hf://...", before=NOT_RECORDED, always=True),
    Setting("system_prompt_hash", "settings", label="system message", compared=True,
            earlier=("32653751a0de07dc",)),  # what version 0.9 sent to Sky-T1's models by default
    _drawn("max_tokens", "--max-tokens", 32768,
           "most tokens of one answer ({default}); fewer if the model's context is shorter",
           type=at_least(1), metavar="N", before=NOT_RECORDED, label="token cap", compared=True, always=True),
    _drawn("seed", "--seed", 0, "seed of the run ({default}); each sample's own seed follows from it",
           type=int, before=NOT_RECORDED, label="seed", always=True),
    _drawn("stop_loops", "--stop-loops", IF_GREEDY, "", before=NEVER, label="loops ended", compared=True,
           always=True, switches=(
               ("--stop-loops", ALWAYS, "end a text that repeats itself; default: at temperature 0"),
               ("--no-stop-loops", NEVER, "let a text repeat itself up to --max-tokens"),
           )),
    _drawn("thinking", "--thinking", None,
           "tell the chat template of a model that can do both to think, or not; default: its own way",
           choices=("on", "off"), label="thinking", compared=True),
    _drawn("thinking_budget", "--thinking-budget", None,
           "most tokens of thought: then the thought is closed and the answer follows; default: no limit",
           type=at_least(1), metavar="N", label="thinking budget", compared=True),
    _drawn("sampling", "--sampling", "flags",
           "where sampling comes from: flags, or the model's generation_config.json (a flag given wins)",
           choices=("flags", "model"), label="sampling by"),
    _sampling("top_p", 1.0, "nucleus sampling (1: off)", type=number_in(0, 1, above_low=True), metavar="P"),
    _sampling("top_k", -1, "sample from the K likeliest tokens (-1: off)", type=at_least(-1), metavar="K",
              neutral=(-1, 0)),
    _sampling("min_p", 0.0, "smallest share of the likeliest token's probability (0: off)",
              type=number_in(0, 1), metavar="P"),
    _sampling("repetition_penalty", 1.0,
              "above 1, tokens that the prompt or the answer already has become less likely (1: off)",
              type=above(0), metavar="F"),
    _sampling("presence_penalty", 0.0, "lowers the score of each token that the answer already has (0: off)",
              type=number_in(-2, 2), metavar="P"),
    _sampling("frequency_penalty", 0.0,
              "lowers the score of a token each time that the answer has it (0: off)",
              type=number_in(-2, 2), metavar="P"),
    _sampling("min_tokens", 0, "least tokens of an answer: what would end it sooner is not drawn (0: off)",
              flag="--min-new-tokens", type=at_least(0), metavar="N"),
    _sampling("stop_token_ids", [], "tokens, by number, that end an answer", type=at_least(0), nargs="+",
              metavar="ID"),
    _sampling("logit_bias", {}, "added to the scores of tokens, by number, such as '{\"50256\": -100}'",
              type=token_scores, metavar="JSON"),
    _sampling("stop", [], "texts that end an answer", nargs="+", metavar="TEXT"),
    _drawn("prefill", "--prefill", "",
           "how each answer begins, such as '<think>\\n'; the model goes on from there",
           type=beginning, metavar="TEXT", label="answers begin with"),
    _drawn("lora", "--lora", None,
           "ask the model with this LoRA adapter, a folder as PEFT saves it (local vLLM and Ray alone)",
           type=adapter_at, metavar="NAME=PATH", label="adapter", compared=True),
    Setting("lora_hash", "settings", before=None, label="the adapter's weights", compared=True),
    Setting("chat_template_kwargs", "settings", before={}, label="chat template", compared=True),
    Setting("model_args", "settings", before={}, label="model arguments", compared=True, default={}),

    _stopping("until_correct", "--until-correct", None, "a problem with K correct samples is done",
              type=at_least(1), metavar="K"),
    _stopping("give_up_after", "--give-up-after", None, "a problem with M wrong samples is done",
              type=at_least(1), metavar="M"),
    _stopping("band", "--pass-rate-band", None,
              "a problem is done when its pass rate is outside this range with 95 %% confidence",
              type=number_in(0, 1), nargs=2, metavar=("LO", "HI")),

    _engine("engine", "--engine", None,
            "what runs the model; default: openai for openai/NAME or --api-base, else vllm", choices=ENGINES),
    _engine("tp", "--tp", 1, "GPUs that share one replica, a copy of the model ({default})",
            type=at_least(1), metavar="N"),
    _engine("pp", "--pp", 1, "pipeline parallel stages ({default})", type=at_least(1), metavar="N"),
    _engine("dp", "--dp", 1, "replicas on this machine ({default})",
            type=at_least(1), metavar="N"),
    _engine("replicas", "--replicas", 1,
            "with --engine ray: replicas on the cluster, each on --tp GPUs ({default})",
            type=at_least(1), metavar="N"),
    _engine("ray_address", "--ray-address", None,
            "head of the Ray cluster; default: $RAY_ADDRESS, else the cluster that this machine belongs to",
            metavar="HOST:PORT"),
    _engine("api_base", "--api-base", [],
            "OpenAI-compatible endpoints, one or several; default: $OPENAI_BASE_URL, else OpenAI",
            nargs="+", metavar="URL"),
    _engine("headers", "--header", [],
            "sent with every request to an endpoint, such as api-key=KEY; only the names are stored",
            nargs="+", metavar="NAME=VALUE"),
    _engine("engine_args", "--engine-args", {},
            "additional engine arguments as a JSON object, such as '{\"max_num_seqs\": 64}'",
            type=json_object, metavar="JSON"),

    _grading("symbolic", "--no-symbolic", True,
             "maths: do not ask the symbolic engine where the rules do not know", type=bool,
             label="symbolic engine", compared=True),
    _grading("compare", "--compare", "ordered",
             "programs: outputs equal in order (ordered), or as lenient as older graders (legacy)",
             choices=("ordered", "legacy"), label="comparison of outputs", compared=True),
    _grading("all_tests", "--all-tests", False,
             "programs: run the other tests after one has failed", type=bool),
    _grading("time_limit", "--time-limit", 6.0,
             "programs: CPU seconds of one test, or 'row': what its row says; default: row for TACO, else 6",
             type=seconds_or_row, metavar="SECONDS|row", place="settings", kept=True, label="time limit",
             compared=True),
    _grading("memory_limit", "--memory-limit", 2048, "programs: most memory, in MiB ({default})",
             type=at_least(64), metavar="MIB", place="settings", kept=True, label="memory limit",
             compared=True),
    _grading("require_isolation", "--require-isolation", "no-namespace",
             "programs: weakest isolation under which they may run ({default}); see doctor.py",
             choices=("weak", "no-namespace", "full")),
    _grading("judge", "--judge", None,
             "the model that grades where a benchmark or --grade judge wants one, asked when all answers are "
             "there; its own prompt: not comparable with published numbers", metavar="openai/NAME",
             label="judge", compared=True),
    Setting("judge_prompt", "grading", before=None, label="the judge's prompt", compared=True),
    _grading("on_cluster", "--grade-on-cluster", False,
             "grade on the CPUs of the Ray cluster (see --ray-address) instead of this machine's", type=bool),
)
# fmt: on
BY_NAME = {setting.name: setting for setting in SETTINGS}
OF_A_RUN = tuple(setting for setting in SETTINGS if setting.place == "settings")
SAMPLING = tuple(setting for setting in SETTINGS if setting.neutral)


# --- engine arguments ---

OWN_ARGS = ("retry_for_s", "poll_s")  # of --engine-args, for us: no endpoint is told of them
# Those of --engine-args that say where and how fast a model answers; every other one is a setting of the run.
HARMLESS_ARGS = frozenset(
    # memory
    "gpu_memory_utilization kv_cache_memory_bytes swap_space cpu_offload_gb num_gpu_blocks_override"
    " block_size mm_processor_cache_gb disable_hybrid_kv_cache_manager enable_prefix_caching"
    " prefix_caching_hash_algo"
    # batches and steps
    " max_num_seqs max_num_batched_tokens max_num_partial_prefills max_long_partial_prefills"
    " long_prefill_token_threshold enable_chunked_prefill scheduling_policy async_scheduling stream_interval"
    " enforce_eager compilation_config cudagraph_capture_sizes max_seq_len_to_capture optimization_level"
    # parallelism
    " data_parallel_size distributed_executor_backend enable_expert_parallel disable_custom_all_reduce"
    " max_parallel_loading_workers"
    # loading, messages and accounts
    " download_dir trust_remote_code safetensors_load_strategy disable_log_stats disable_log_requests"
    " enable_log_requests hf_token user service_tier metadata store priority"
    # for the scripted engine
    " script".split()
).union(OWN_ARGS)
_FLAGS_OF_ARGS = {
    **{setting.name: setting.flag for setting in SAMPLING},
    **dict.fromkeys(("model", "model_tag"), "--model"),
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), "--max-tokens"),
    "temperature": "--temperatures",
    "n": "--n",
    "seed": "--seed",
    "tensor_parallel_size": "--tp",
    "pipeline_parallel_size": "--pp",
    "messages": "--prompt or --system-prompt",
    "stream": "",
}


def misplaced_arg(engine_args: Mapping[str, Any], *, is_endpoint: bool) -> tuple[str, str] | None:
    """An engine argument that has a flag of its own, and the flag ("" where nobody may set it).

    An endpoint's request may be sent without a field: null takes it out.
    """
    never = ("model", "messages", "stream")
    for name, value in engine_args.items():
        if name in _FLAGS_OF_ARGS and not (is_endpoint and value is None and name not in never):
            return name, _FLAGS_OF_ARGS[name]
    return None


def model_args(engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """The engine arguments that can change an answer and are no setting by another name."""
    return {
        name: value
        for name, value in engine_args.items()
        if name not in HARMLESS_ARGS and name != "chat_template_kwargs"
    }


def thinking_switches(thinking: str | None) -> dict[str, bool]:
    """What chat templates are told of --thinking, by the names that they have for it."""
    return {} if thinking is None else dict.fromkeys(("enable_thinking", "thinking"), thinking == "on")


# --- values of runs ---


def values_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every setting that a run.json tells or implies; NOT_RECORDED where nobody knows."""
    asked = info.get("asked", {})
    places = {
        "settings": info["settings"],
        "asked": asked,
        "stopping": asked.get("stopping") or {},
        "engine": asked.get("engine", {}),
        "grading": info.get("grading", {}),
    }
    return {setting.name: setting.value_in(places[setting.place]) for setting in SETTINGS}


def not_neutral(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of sampling that change something: what an engine has to be told."""
    values = {setting.name: sampling[setting.name] for setting in SAMPLING if setting.name in sampling}
    return {name: value for name, value in values.items() if value not in BY_NAME[name].neutral}


def continued(there: Mapping[str, Any], wanted: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """What a command wants of a run that is there: for flags not `given`, the defaults of its time."""
    kept = dict(wanted)
    for name in wanted.keys() - set(given):
        setting = BY_NAME[name]
        value = setting.value_in(there)
        is_default_of_its_time = value in setting.earlier or (name not in there and value != NOT_RECORDED)
        is_kept = is_default_of_its_time or (setting.kept and name in there)
        if setting.flag and is_kept and value is not None:
            kept[name] = value
    message, its_hash = "system_prompt", "system_prompt_hash"
    defaults = {there.get(its_hash), wanted.get(its_hash)} & {*BY_NAME[its_hash].earlier}
    if message not in given and wanted.get(message) is not None and defaults and message in there:
        kept |= {message: there[message], its_hash: there.get(its_hash)}
    return kept


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first setting with another value here than there, with both; the unrecorded never differ."""
    for name in sorted({*there, *here}):
        setting = BY_NAME.get(name, Setting(name, "settings", before=None))
        values = setting.value_in(there), setting.value_in(here)
        if NOT_RECORDED not in values and values[0] != values[1]:
            return name, *values
    return None


def unrecorded(there: Mapping[str, Any]) -> list[str]:
    """What people call the settings of a run whose values nobody knows."""
    return [
        setting.label for setting in OF_A_RUN if setting.label and setting.value_in(there) == NOT_RECORDED
    ]


def short_name(model: str) -> str:
    """The last path component: "Qwen/QwQ-32B-Preview" and "/models/QwQ-32B-Preview/" are both
    "QwQ-32B-Preview"."""
    name = model.rstrip("/").rsplit("/", 1)[-1]
    if name in ("", ".", ".."):  # a folder by its place: take its own name
        name = os.path.basename(os.path.realpath(model))
    return name or model


def public_name(name: str) -> str:
    """A model or data set as others may read it: of a path of this machine its last part."""
    return short_name(name) if name.startswith(("/", "~", "./", "../")) else name
