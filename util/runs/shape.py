"""Is what a run.json says of the kind that its readers expect?

Call `unfitting`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from util.runs.lines import ABSENT, shortened
from util.runs.theirs import digits_of
from util.settings import NOT_RECORDED, SETTINGS, Setting

PARTS = ("settings", "dataset", "made_with")  # each an object that every run.json has
OPTIONAL_PARTS = ("prompt", "asked", "grading", "generation", "summary")

TEXT, NUMBER, LIST, OBJECT = (str,), (int, float), (list,), (dict,)
NULL = type(None)
KINDS: dict[str, tuple[type, ...]] = {  # of values that are no settings, where they are there
    "dataset.path": (*TEXT, NULL),
    "dataset.split": (*TEXT, NULL),
    "dataset.revision": (*TEXT, NULL),
    "dataset.labels": (*OBJECT, NULL),
    "dataset.licence": (*TEXT, NULL),
    "made_with.suite": (*TEXT, NULL),
    "made_with.engine": (*TEXT, NULL),
    "made_with.model": OBJECT,
    "made_with.libraries": OBJECT,
    "made_with.hardware": OBJECT,
    "made_with.hardware.gpus": LIST,
    "made_with.left_out": LIST,
    "made_with.answered_as": LIST,
    "made_with.imported.from": TEXT,
    "made_with.imported.scores": OBJECT,
    "prompt.name": TEXT,
    "prompt.hash": TEXT,
    "prompt.text": TEXT,
    "groups": LIST,
    "asked.at": OBJECT,
    "asked.stopping": (*OBJECT, NULL),
    "asked.stopping.rule": TEXT,
    "asked.engine": OBJECT,
    "asked.data_dir": (*TEXT, NULL),
    "asked.system_prompt_from": (*TEXT, NULL),
    "generation.seconds": NUMBER,
    "generation.generated": NUMBER,
    "generation.prompt_tokens": NUMBER,
    "generation.completion_tokens": NUMBER,
    "generation.gpus": NUMBER,
}
ALWAYS = ("settings.task", "settings.model")
WITH_STOPPING = ("asked.stopping.rule", "asked.n")
PLACES = {"stopping": "asked.stopping", "engine": "asked.engine"}  # of settings; the others are parts


def unfitting(info: Mapping[str, Any]) -> str | None:
    """What is wrong with the first value that is of the wrong kind, in words; None where all are right."""
    for name in (*PARTS, *(name for name in OPTIONAL_PARTS if name in info)):
        if not isinstance(info.get(name), dict):
            return f"{name} is {shortened(info.get(name), 60)}, not an object"
    for path, kinds in KINDS.items():
        value = _value_at(info, path)
        if value is not ABSENT and (not isinstance(value, kinds) or isinstance(value, bool)):
            return f"{path} is {shortened(value, 60)}, not {_named(kinds)}"
    steps = _value_at(info, "asked.at")
    for step in () if steps is ABSENT else [step for some in steps.values() for step in _listed(some)]:
        if not (isinstance(step, list) and len(step) == 2 and all(type(count) is int for count in step)):
            return f"asked.at has {shortened(step, 60)}, not a number of problems and one of samples"
    for path in ("groups", "made_with.hardware.gpus", "made_with.left_out"):
        names = _value_at(info, path)
        if names is not ABSENT and not all(isinstance(name, str) for name in names):
            return f"{path} is {shortened(names, 60)}, not a list of names"
    scores = _value_at(info, "made_with.imported.scores")
    for metric, score in {} if scores is ABSENT else scores.items():
        if not isinstance(score, str) or digits_of(score) != score:
            return f"made_with.imported.scores.{metric} is {shortened(score, 60)}, not a number in quotes"
    for setting, value in _settings_in(info):
        if not _fits(setting, value):
            what = setting.flag or setting.name
            return f"{setting.place}.{setting.name} is {shortened(value, 60)}, which {what} cannot be"
    is_stopped = _value_at(info, "asked.stopping") not in (None, ABSENT)
    for path in (*ALWAYS, *(WITH_STOPPING if is_stopped else ())):
        if _value_at(info, path) in (None, ABSENT):
            return f"{path} is missing"
    return None


def _listed(value: Any) -> list:
    return value if isinstance(value, list) and value else [value]


def _value_at(info: Any, path: str) -> Any:
    for name in path.split("."):
        info = info.get(name, ABSENT) if isinstance(info, dict) else ABSENT
    return info


def _settings_in(info: Mapping[str, Any]) -> Iterator[tuple[Setting, Any]]:
    for setting in SETTINGS:
        there = _value_at(info, PLACES.get(setting.place, setting.place))
        if isinstance(there, dict) and setting.name in there:
            yield setting, there[setting.name]


def _fits(setting: Setting, value: Any) -> bool:
    """Whether a value is one that the setting's flag reads; a setting without a flag may hold any text."""
    if value == NOT_RECORDED or (value is None and not isinstance(setting.default, list | dict)):
        return True
    if setting.type is bool:
        return isinstance(value, bool)
    if isinstance(setting.before, dict):
        return isinstance(value, dict)
    if setting.nargs is None:
        return _reads(setting, value)
    return isinstance(value, list) and all(_reads(setting, one) for one in value)


def _reads(setting: Setting, value: Any) -> bool:
    try:
        return not isinstance(value, bool) and setting.type(setting.word(value)) == value
    except (ValueError, argparse.ArgumentTypeError):
        return False


def _named(kinds: tuple[type, ...]) -> str:
    names = {"str": "a text", "dict": "an object", "list": "a list"}
    return names.get(kinds[0].__name__, "a number")
