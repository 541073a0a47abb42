"""What is each run called, so that its name is short and tells it from the others?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

MORE = (  # settings that may tell runs of one model on one task apart, and how they are written
    ("split", "{}"),
    ("source", "{}"),
    ("prompt", "prompt {}"),
    ("max_tokens", "{} tokens at most"),
    ("seed", "seed {}"),
    ("start", "from {}"),
    ("end", "to {}"),
)


def short_models(models: Sequence[str]) -> list[str]:
    """The last part of each model's name, with parts before it where another model ends alike."""
    distinct = list(dict.fromkeys(models))
    tails = _tails([model.strip("/").split("/") for model in distinct])
    return [tails[distinct.index(model)] for model in models]


def run_names(settings: Sequence[dict], folders: Sequence[Path]) -> list[str]:
    """Names of runs, all different: of model, task and further settings those that tell them apart, else the
    folder."""
    models = short_models([str(one.get("model")) for one in settings])
    tasks = [str(one.get("task")) for one in settings]
    parts = [tasks] if len(set(tasks)) > 1 else []
    if not parts or len(set(models)) > 1:
        parts.append(models)
    for key, form in MORE:
        if len(set(zip(*parts, strict=True))) == len(settings):
            break
        values = [one.get(key) for one in settings]
        if len(set(map(str, values))) > 1:
            parts.append(["" if value is None else form.format(value) for value in values])
    names = [" · ".join(filter(None, entry)) for entry in zip(*parts, strict=True)]
    tails = _tails(_without_common_end([list(folder.resolve().parts) for folder in folders]))
    return [
        name if names.count(name) == 1 else f"{name} ({tail})"
        for name, tail in zip(names, tails, strict=True)
    ]


def _without_common_end(paths: list[list[str]]) -> list[list[str]]:
    while len(paths) > 1 and min(map(len, paths)) > 1 and len({path[-1] for path in paths}) == 1:
        paths = [path[:-1] for path in paths]
    return paths


def _tails(paths: Sequence[Sequence[str]]) -> list[str]:
    """Of each path as many of the last parts as no other path has."""

    def tail(path: Sequence[str], count: int) -> tuple[str, ...]:
        return tuple(path[-count:])

    found = []
    for path in paths:
        counts = range(1, len(path) + 1)
        is_own = (n for n in counts if sum(tail(other, n) == tail(path, n) for other in paths) == 1)
        found.append("/".join(tail(path, next(is_own, len(path)))))
    return found
