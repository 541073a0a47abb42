"""Which benchmarks are there, in the order of the README? Each is loaded when it is first asked for."""

from __future__ import annotations

from importlib import import_module

from util.data.addresses import is_address as is_address
from util.errors import UserError
from util.terminal import closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
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


def full_name(name: str, *, what: str, besides: tuple[str, ...] = ()) -> str:
    """A benchmark's name with its own capitals, or the address of other problems as it is.

    Raises UserError, with the nearest name, for anything else.
    """
    if is_address(name):
        return name
    for known in FILES:
        if known.lower() == name.lower():
            return known
    raise closest(what, name, [*FILES, *besides])


def load_task(name: str, **choice: Any) -> Task:
    """The benchmark of this name, or of the problems at this address, narrowed by `choice`.

    Raises KeyError for an unknown name and UserError where it cannot be narrowed so.
    """
    if is_address(name):
        from tasks.own import own_task

        return own_task(name, **choice)
    module = import_module(f"tasks.{FILES[name]}")
    if not choice:
        return module.task
    if not hasattr(module, "narrowed"):
        raise UserError(f"{name} cannot be narrowed by {', '.join(choice)}: only LiveCodeBench can")
    return module.narrowed(module.task, **choice)


def task_of(info: Mapping[str, Any]) -> Task | None:
    """The benchmark that a run.json is about; None where this suite has none of its name."""
    settings = info["settings"]
    said = info.get("dataset", {}).get("address") or settings.get("task") or ""
    name = (
        said if is_address(said) else next((known for known in FILES if known.lower() == said.lower()), None)
    )
    if name is None:
        return None
    narrowed = ("columns", "grade", "split") if is_address(name) else ("release", "start_date", "end_date")
    return load_task(name, **{key: settings[key] for key in narrowed if settings.get(key)})
