"""Which benchmarks are there, in the order of the README? Each is loaded when it is first asked for."""

from __future__ import annotations

from importlib import import_module

from util.errors import UserError
from util.terminal import closest

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    """A benchmark's name with its own capitals; raises UserError, with the nearest name, for another."""
    for known in FILES:
        if known.lower() == name.lower():
            return known
    raise closest(what, name, [*FILES, *besides])


def load_task(name: str, **choice: str) -> Task:
    """The benchmark of this name, narrowed by `choice`; raises KeyError for an unknown name."""
    module = import_module(f"tasks.{FILES[name]}")
    if not choice:
        return module.task
    if not hasattr(module, "narrowed"):
        raise UserError(f"{name} cannot be narrowed by {', '.join(choice)}: only LiveCodeBench can")
    return module.narrowed(module.task, **choice)
