"""What is each run called, so that its name is short and tells it from the others?"""

from __future__ import annotations

from collections.abc import Sequence

from util.records import exact_number
from util.results.page.gather import RunFacts

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


def run_names(runs: Sequence[RunFacts]) -> list[str]:
    """Names of runs, all different: task, model and temperature where these vary; where runs are still named
    alike, the settings that tell them apart, else their folders."""
    tasks = [str(run.info["settings"].get("task")) for run in runs]
    models = short_models([str(run.info["settings"].get("model")) for run in runs])
    parts = [values for values in (tasks, models) if len(set(values)) > 1] or [models]
    if len({temperature for run in runs for temperature in run.tallies}) > 1:
        parts.append([_only_temperature(run) for run in runs])
    names = [_joined(values) for values in zip(*parts, strict=True)]
    for name in {name for name in names if names.count(name) > 1}:
        places = [place for place, other in enumerate(names) if other == name]
        for place, more in zip(places, _told_apart([runs[place] for place in places]), strict=True):
            names[place] = f"{name}{more}"
    return names


def _only_temperature(run: RunFacts) -> str:
    return f"T {exact_number(next(iter(run.tallies)))}" if len(run.tallies) == 1 else ""


def _joined(parts: Sequence[str]) -> str:
    return " · ".join(filter(None, parts))


def _told_apart(runs: Sequence[RunFacts]) -> list[str]:
    """What follows the name that these runs have in common."""
    parts: list[list[str]] = []
    for key, form in MORE:
        values = [run.info["settings"].get(key) for run in runs]
        if len(set(map(str, values))) > 1:
            parts.append(["" if value is None else form.format(value) for value in values])
        found = [_joined(values) for values in zip(*parts, strict=True)]
        if len(set(found)) == len(runs):
            return [f" · {more}" if more else "" for more in found]
    folders = _without_common_end([list(run.folder.resolve().parts) for run in runs])
    return [f" ({folder})" for folder in _tails(folders)]


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
