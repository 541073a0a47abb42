"""What is each run called, so that its name is short and tells it from the others?

Call `run_names` for runs, `short_models` for models alone.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from util.records import exact_number
from util.results.page.gather import RunFacts
from util.settings import OF_A_RUN


def short_models(models: Sequence[str]) -> list[str]:
    """Of each model's name as many of the last parts as tell all models apart."""
    parts = [tuple(model.strip("/").split("/")) for model in models]
    count = next(n for n in itertools.count(1) if len({part[-n:] for part in parts}) == len(set(parts)))
    return ["/".join(part[-count:]) for part in parts]


def run_names(runs: Sequence[RunFacts]) -> list[str]:
    """Names of runs, all different: task, model and temperature where these vary, then the
    settings that tell apart what is named alike, and last the folders."""
    settings = [run.info["settings"] for run in runs]
    columns = [
        [str(one.get("task")) for one in settings],
        short_models([str(one.get("model")) for one in settings]),
    ]
    columns = [column for column in columns if len(set(column)) > 1] or columns[1:]
    if len({temperature for run in runs for temperature in run.tallies}) > 1:
        columns.append([_only_temperature(run) for run in runs])
    names = _joined(columns)
    for setting in (setting for setting in OF_A_RUN if setting.label):
        values = [setting.value_in(one) for one in settings]
        column = ["" if value is None else f"{setting.label} {value}" for value in values]
        longer = _joined([names, column])
        names = longer if len(set(longer)) > len(set(names)) else names
    folders = [run.folder.resolve() for run in runs]
    above = Path(os.path.commonpath(folders))
    return [
        name if names.count(name) == 1 else f"{name} ({folder.relative_to(above)})"
        for name, folder in zip(names, folders, strict=True)
    ]


def _only_temperature(run: RunFacts) -> str:
    return f"T {exact_number(next(iter(run.tallies)))}" if len(run.tallies) == 1 else ""


def _joined(columns: Sequence[Sequence[str]]) -> list[str]:
    return [" · ".join(filter(None, values)) for values in zip(*columns, strict=True)]
