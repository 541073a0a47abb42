"""What are the rows of any data set of the hub, whatever the layout of its files?

The package `datasets` knows, and reads them as a stream. Call `settle` for what is to be read, then `rows`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

from util.data import hub
from util.data.files import RowFilter
from util.errors import UserError

ONLY_CONFIG = "default"  # what the only configuration is called where nobody has named it
ALL = "*"  # every configuration, by their names
USUAL_SPLITS = ("test", "train")  # taken where a data set has them and nobody says which one


def settle(path: str, config: str | None, split: str | None, revision: str) -> tuple[str, str, str]:
    """Configuration, split and full commit that will be read; the configuration `ALL` means every one.

    Raises UserError where a data set has several and none is named, or none of that name.
    """
    commit = revision if hub.is_commit(revision) else hub.commit_of(path, revision)
    datasets = _datasets(path)
    configs = _asked(datasets, datasets.get_dataset_config_names, path, revision=commit)
    if config is None:
        config = ONLY_CONFIG if ONLY_CONFIG in configs else configs[0] if len(configs) == 1 else None
    if config is None or config not in (ALL, *configs):
        raise _none(path, "configuration", config, configs, ":CONFIG/SPLIT")
    first = configs[0] if config == ALL else config
    splits = _asked(datasets, datasets.get_dataset_split_names, path, first, revision=commit)
    if split is None:
        usual = [name for name in USUAL_SPLITS if name in splits]
        split = splits[0] if len(splits) == 1 else usual[0] if usual else None
    if split is None or split not in splits:
        raise _none(path, "split", split, splits, ":SPLIT")
    return config, split, commit


def rows(path: str, config: str, split: str, commit: str, wanted: RowFilter) -> Iterator[dict]:
    """The wanted rows, in order; of several configurations each row says which one it is of, as `config`."""
    datasets = _datasets(path)
    several = config == ALL
    names = (
        _asked(datasets, datasets.get_dataset_config_names, path, revision=commit) if several else [config]
    )
    for name in sorted(names):
        ask = partial(datasets.load_dataset, split=split, revision=commit, streaming=True)
        stream = iter(_asked(datasets, ask, path, name))
        while (row := _asked(datasets, next, stream, None, path=path)) is not None:
            if several:
                row["config"] = name
            if wanted.takes(row):
                yield row


def _none(path: str, what: str, name: str | None, there: list[str], how: str) -> UserError:
    said = f"no {what} {name!r}" if name is not None else f"several {what}s"
    return UserError(
        f"hf://datasets/{path} has {said}: name one of {', '.join(there)}, as in hf://datasets/{path}{how}"
    )


def _datasets(path: str) -> ModuleType:
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            f"hf://datasets/{path} is read with the package datasets, which is not installed: "
            "pip install -r requirements/datasets.txt"
        ) from error
    datasets.disable_progress_bars()
    return datasets


def _asked(datasets: ModuleType, ask: Any, *what: Any, path: str = "", **how: Any) -> Any:
    """What `datasets` answers; what it cannot read is one sentence."""
    from huggingface_hub.errors import HTTPError

    try:
        return ask(*what, **how)
    except (datasets.exceptions.DatasetsError, HTTPError, OSError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:300]
        raise UserError(
            f"hf://datasets/{path or what[0]} cannot be read as a stream ({why}): check the name and "
            f"{hub.endpoint()}, or download its files and name one of them"
        ) from error
