"""Which suite wrote a file, or the files of a folder?

Call `open_logs`; `LINES`, `OBJECTS` are the formats by what the first row or the whole object has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from util.data.files import READERS, TABLES, DamagedFile, RowFilter, ending, read_rows
from util.data.foreign import evalscope, inspect_ai, lighteval, lm_eval, opencompass, rows
from util.data.foreign.samples import ForeignSample, Log, json_lines, read_object
from util.errors import UserError
from util.terminal import say

LINES: tuple[ModuleType, ...] = (lm_eval, evalscope, lighteval)  # by the first row
OBJECTS: tuple[ModuleType, ...] = (inspect_ai, opencompass)  # by the object that the file is
SUFFIXES = (".json", ".eval", *READERS)
# What reading raises where a field is missing or is something else.
MISSHAPEN = (KeyError, TypeError, AttributeError, IndexError, ValueError, DamagedFile)
KNOWN = (
    "samples of lm-evaluation-harness (samples_*.jsonl), details of lighteval (parquet), logs of inspect_ai "
    "(.eval, .json), reviews or predictions of evalscope (.jsonl), predictions of OpenCompass (.json), "
    "results of SkyThought (.json), or rows with questions and responses (.jsonl, .csv, .tsv, .parquet)"
)


def open_logs(path: Path, columns: Mapping[str, str], *, read: Collection[Path] = ()) -> list[Log]:
    """The logs that a file or folder holds; `columns` names those of rows that no suite wrote.

    Files below a folder that were `read` already are passed over. Raises UserError where nothing is found.
    """
    if not path.exists():
        raise UserError(f"there is no {path}: name a file or folder with {KNOWN}")
    if not path.is_dir() and not path.is_file():
        raise UserError(f"{path} is a pipe, and an import reads more than once: write it into a file first")
    if path.is_dir() and any(path.glob("**/run.json")):
        raise UserError(f"{path} holds runs of this suite already: nothing is imported")
    logs = _logs_below(path, columns, read) if path.is_dir() else _logs(path, columns)
    if not logs and not read:
        raise UserError(f"{path} holds nothing that can be imported: name {KNOWN}")
    return logs


def is_unknown_json(path: Path) -> bool:
    """Whether a file holds no rows and no log of a suite that is named here."""
    if not path.is_file() or ending(path) in (*READERS, ".eval"):
        return False
    try:
        return not _of_json(path)
    except UserError as error:
        if ending(path) == ".json":
            raise
        raise UserError(f"{path} is no JSON, and its name says nothing else: name {KNOWN}") from error


def _logs_below(folder: Path, columns: Mapping[str, str], read: Collection[Path]) -> list[Log]:
    """What known suites wrote below a folder, else the rows there; files of neither are told."""
    paths = [path for path in sorted(folder.rglob("*")) if ending(path) in SUFFIXES and path.is_file()]
    found = {path: _logs(path, None) for path in paths if path not in read}
    if not any(found.values()) and not read:
        return [log for path in paths if ending(path) in READERS for log in _logs(path, columns)]
    logs = {(log.path, log.model): log for some in found.values() for log in some}
    others = [
        path for path, some in found.items() if not some and not _is_companion(path.relative_to(folder))
    ]
    if others:
        names = ", ".join(str(path.relative_to(folder)) for path in others[:5])
        say(f"left out, as no suite that is known here wrote them: {names}" + " ..." * (len(others) > 5))
    return list(logs.values())


def _is_companion(path: Path) -> bool:
    """Whether a file is read together with another one."""
    return bool({"reports", "results", "predictions", "configs"} & {*path.parts}) or path.name.startswith(
        "results_"
    )


def _logs(path: Path, columns: Mapping[str, str] | None) -> list[Log]:
    """The logs of a file; with `columns`, rows that no suite wrote count, too."""
    if ending(path) == ".eval":
        return _read(inspect_ai, path)
    if ending(path) not in READERS:
        return _of_json(path)
    first = {} if ending(path) in TABLES else _first_row(path)
    module = next((module for module in LINES if module.fits(first)), None)
    if module is not None:
        return _read(module, path)
    return [] if columns is None else rows.read(path, columns)


def _of_json(path: Path) -> list[Log]:
    content = read_object(path)
    return next((_read(module, path) for module in OBJECTS if module.fits(content)), [])


def _first_row(path: Path) -> Mapping[str, Any]:
    if ending(path) == ".jsonl":
        return next(json_lines(path), {})
    try:
        return next(read_rows(path, RowFilter(None, None, None)), {})
    except DamagedFile as error:
        raise UserError(f"{path} cannot be read ({error}): fetch the file again") from error


def _read(module: ModuleType, path: Path) -> list[Log]:
    """The logs of a file of a known format, whose samples raise UserError where it is not kept to."""
    try:
        logs: list[Log] = module.read(path)
    except MISSHAPEN as error:
        raise _unlike(module, path, "its header", error) from error
    return [
        replace(
            log,
            samples=partial(_as_written, module, log),
            task=str(log.task),
            model=log.model if isinstance(log.model, str) else None,
        )
        for log in logs
    ]


def _as_written(module: ModuleType, log: Log) -> Iterator[ForeignSample]:
    samples, at = log.samples(), 0
    while True:
        at += 1
        try:
            sample = next(samples)
        except StopIteration:
            return
        except MISSHAPEN as error:
            raise _unlike(module, log.path, f"sample {at}", error) from error
        yield sample


def _unlike(module: ModuleType, path: Path, what: str, error: Exception) -> UserError:
    why = f"there is no {error}" if isinstance(error, KeyError) else error
    return UserError(
        f"{what} of {path} is not as known versions of {module.TOOL} write it ({why}): take it out, or "
        "write rows with a question, an answer and a response each"
    )
