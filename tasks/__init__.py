"""Which benchmarks are there, in the order of the README? Each is loaded when it is first asked for."""

from __future__ import annotations

from importlib import import_module

from util.data.addresses import is_address as is_address
from util.errors import UserError
from util.terminal import closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from util.task import Task

# name on the command line -> file in this folder
FILES = {
    "Warmup": "warmup",
    "NUMINA": "numina",
    "APPS": "apps",
    "TACO": "taco",
    "MATH500": "math500",
    "AIME": "aime",
    "GPQADiamond": "gpqa",
    "MMLU": "mmlu",
    "MMLUPro": "mmlu_pro",
    "LiveCodeBench": "livecodebench",
    "GSM8K": "gsm8k",
    "ARC-C": "arc_c",
    "AMC23": "amc23",
}
_LANGUAGES = {
    "MGSM": "bn de en es fr ja ru sw te th zh",
    "PolyMath": "ar bn de en es fr id it ja ko ms pt ru sw te th vi zh",
}
# further benchmarks -> file that holds several of them
FAMILIES = {
    **dict.fromkeys("AIME25 AIME26 HMMT-Feb25 HMMT-Nov25 HMMT-Feb26 BRUMO25 CMIMC25".split(), "contests"),
    **dict.fromkeys("OlympiadBench Minerva MATH IMOAnswerBench".split(), "contests"),
    **dict.fromkeys(
        "OlymMATH-en-easy OlymMATH-en-hard OlymMATH-zh-easy OlymMATH-zh-hard".split(), "contests"
    ),
    **dict.fromkeys("GPQAMain GPQAExtended MMLURedux SuperGPQA".split(), "knowledge"),
    **dict.fromkeys(("HumanEval+", "MBPP+"), "programs"),
    **dict.fromkeys("IFEval IFBench".split(), "instructions"),
    **dict.fromkeys(("SimpleQA-Verified", "HLE-text"), "judged"),
    **{f"{name}-{code}": "languages" for name, codes in _LANGUAGES.items() for code in codes.split()},
}
TRAINING_POOLS = ("NUMINA",)  # problems to train on: nobody is tested on them
SETS = {  # what eval.py takes for several benchmarks at once
    "math-contests": ("AIME25", "AIME26", "HMMT-Feb25", "HMMT-Nov25", "HMMT-Feb26", "BRUMO25", "CMIMC25"),
    "reasoning": ("AIME25", "MATH500", "GPQADiamond", "LiveCodeBench"),
    "code": ("LiveCodeBench", "TACO", "APPS"),
    "knowledge": ("MMLUPro", "GPQADiamond", "SuperGPQA"),
    "instructions": ("IFEval", "IFBench"),
}


def full_name(name: str, *, what: str, besides: tuple[str, ...] = ()) -> str:
    """A benchmark's name with its own capitals, or the address of other problems as it is.

    Raises UserError, with the nearest name, for anything else.
    """
    if is_address(name):
        return name
    if (known := _known(name)) is None:
        raise closest(what, name, [*FILES, *FAMILIES, *besides])
    return known


def _known(name: str) -> str | None:
    return next((known for known in (*FILES, *FAMILIES) if known.lower() == name.lower()), None)


def load_task(name: str, **choice: Any) -> Task:
    """The benchmark of this name, or of the problems at this address, narrowed by `choice`.

    Raises KeyError for an unknown name and UserError where it cannot be narrowed so.
    """
    if is_address(name):
        from tasks.own import own_task

        return own_task(name, **choice)
    if name in FAMILIES:
        task = import_module(f"tasks.{FAMILIES[name]}").TASKS[name]
    else:
        task = import_module(f"tasks.{FILES[name]}").task
    if not choice:
        return task
    if task.narrow is None:
        raise UserError(f"{name} cannot be narrowed by {', '.join(choice)}: only LiveCodeBench can")
    return task.narrow(task, **choice)


def is_reserved(name: str) -> bool:
    """Whether the authors of a benchmark, or of a data set, ask that nobody publishes its rows."""
    reserved = [task for task in map(load_task, (*FILES, *FAMILIES)) if "publishing" in task.notes]
    known = {task.source.path.replace("/", "--").lower() for task in reserved}
    return name in {task.name for task in reserved} or name.lower().startswith(tuple(known))


def benchmarks() -> Iterator[Task]:
    """All that somebody may be tested on."""
    return (load_task(name) for name in (*FILES, *FAMILIES) if name not in TRAINING_POOLS)


def task_of(info: Mapping[str, Any]) -> Task | None:
    """The benchmark that a run.json is about; None where this suite has none of its name."""
    settings = info["settings"]
    said = info.get("dataset", {}).get("address") or settings.get("task") or ""
    name = said if is_address(said) else _known(said)
    if name is None:
        return None
    narrowed = ("columns", "grade", "split") if is_address(name) else ("release", "start_date", "end_date")
    return load_task(name, **{key: settings[key] for key in narrowed if settings.get(key)})
