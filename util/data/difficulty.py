"""How difficult is a problem, by the labels of an earlier run or of the hub?

Call `read_labels`, then `of` for each question.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from util.data.hub import MissingFile
from util.data.rows import Rows, file_names, open_rows
from util.errors import UserError, why
from util.records import Problem
from util.task import Source
from util.terminal import number_of

LABELS_FOLDER = Path(__file__).resolve().parents[2] / "labeled_numina_difficulty"
COLUMNS = ("problem", "gpt_difficulty_parsed")
SHARDS = tuple(f"data/train-0000{shard}-of-00002.parquet" for shard in range(2))
CHUNK_CHARS = 1 << 20
BEFORE_NOTES = "local"  # revision in runs that were begun when label files hid those of the hub


@dataclass(frozen=True)
class Labels:
    """Difficulty by the text of a problem; a text labelled twice has its last label, over all sources."""

    note: dict[str, Any]  # where the labels of a run are from, as run.json keeps it
    values: dict[int, float]  # hash of the text -> label: the texts of 860,000 problems would not fit
    local: dict[int, float]  # of the label files here: these win
    told: str = ""  # how many came from where, for people

    def of(self, question: str) -> float | None:
        """The difficulty of a problem; None where it was never labelled, or the labelling failed."""
        name = hash(question)
        return self.local.get(name, self.values.get(name))


def read_labels(
    repository: str,
    chosen: Callable[[], Iterable[Problem]],
    *,
    folder: Path = LABELS_FOLDER,
    data_dir: str | Path | None = None,
    begun: dict[str, Any] | None = None,
) -> Labels:
    """The labels of the `chosen` problems: of the JSON files in `folder`, else of a hub repository.

    `begun` is the note of the run that is continued: it keeps its labels. Raises UserError when they are
    other ones now.
    """
    if begun is not None and begun.get("revision") == BEFORE_NOTES:
        return Labels(begun, {}, _local_labels(folder))
    if begun is not None and begun.get("from") != repository:
        raise UserError(
            f"the run was begun with the difficulty labels of {begun.get('from')}, this version takes those "
            f"of {repository}: use the version that began it, or choose another --result-dir"
        )
    local = _local_labels(folder)
    found = _look_up(local, chosen()) if local else _LookedUp()
    if begun is not None and "local" not in begun and found.digest is not None:
        told = f"the run was begun with the labels of {repository}: the label files in {folder} are not used"
        return replace(_with_hub(repository, {}, _LookedUp(), data_dir, begun), told=told)
    if begun is not None and begun.get("local") != found.digest:
        raise UserError(
            f"the label files in {folder} give the chosen problems other difficulties than when this run was "
            f"begun ({begun.get('local')}, now {found.digest}): restore them, or choose another --result-dir"
        )
    if found.digest is not None and (not found.missed or (begun and begun.get("revision") is None)):
        return Labels(_note(repository, None, found), {}, local, _told(folder, repository, found, {}))
    try:
        labels = _with_hub(repository, local, found, data_dir, begun)
    except UserError as error:
        if found.digest is None or begun is not None:
            raise
        told = f"{_told(folder, repository, found, {})}; labels of {repository} cannot be read: {error}"
        return Labels(_note(repository, None, found), {}, local, told)
    return replace(labels, told=_told(folder, repository, found, labels.values))


@dataclass(frozen=True)
class _LookedUp:
    """What the label files here say of the chosen problems."""

    digest: str | None = None  # of problems and labels; None: they say nothing of any
    labelled: int = 0
    missed: array[int] = field(default_factory=lambda: array("q"))  # hashes of the other questions


def _look_up(local: dict[int, float], chosen: Iterable[Problem]) -> _LookedUp:
    digest, labelled, missed = hashlib.sha256(), 0, array("q")
    for problem in chosen:
        label = local.get(hash(problem.question))
        if label is None:
            missed.append(hash(problem.question))
        else:
            labelled += 1
            digest.update(f"{problem.id} {float(label)}\n".encode("utf-8", "backslashreplace"))
    return _LookedUp(digest.hexdigest()[:16] if labelled else None, labelled, missed)


def _with_hub(
    repository: str,
    local: dict[int, float],
    found: _LookedUp,
    data_dir: str | Path | None,
    begun: dict[str, Any] | None,
) -> Labels:
    rows = _open_repository(repository, data_dir, None if begun is None else begun.get("revision"))
    pairs = ((row["problem"], row["gpt_difficulty_parsed"]) for row in rows)
    return Labels(_note(repository, rows.revision, found), _last_of_each(pairs), local)


def _note(repository: str, revision: str | None, found: _LookedUp) -> dict[str, Any]:
    """As run.json keeps it; a `revision` of None: the hub's labels were not read."""
    note: dict[str, Any] = {"from": repository, "revision": revision}
    return note if found.digest is None else {**note, "local": found.digest}


def _told(folder: Path, repository: str, found: _LookedUp, values: dict[int, float]) -> str:
    if found.digest is None:
        return ""
    of_hub = sum(name in values for name in found.missed)
    return (
        f"difficulty labels: {found.labelled} of the files in {folder}, {of_hub} of {repository}, "
        f"{number_of(len(found.missed) - of_hub, 'problem has', 'problems have')} none"
    )


def _local_labels(folder: Path) -> dict[int, float]:
    # A name with a dot in front is what a killed command left while it wrote a list.
    files = sorted(folder.glob("[!.]*.json*"), key=_in_natural_order)
    return _last_of_each(_pair(row, file) for file in files for row in _rows_of(file))


def _open_repository(repository: str, data_dir: str | Path | None, revision: str | None) -> Rows:
    source = Source(repository, {"train": SHARDS}, "train", columns=COLUMNS)
    try:
        return open_rows(source, data_dir=data_dir, revision=revision)
    except MissingFile:  # other shard names than the usual ones
        names = file_names(repository, "data", data_dir=data_dir, revision=revision)
        names = [name for name in names if re.fullmatch(r"data/train-.*\.parquet", name)]
        if not names:
            raise
        return open_rows(source, data_dir=data_dir, revision=revision, files=tuple(names))


def _last_of_each(pairs: Iterable[tuple[str | None, float | None]]) -> dict[int, float]:
    values: dict[int, float] = {}
    same: dict[float, float] = {}  # one object per label instead of one per problem
    for problem, label in pairs:
        if problem is None:
            continue
        if label is None or label < 0 or math.isnan(label):  # -1: the labelling model gave no number
            values.pop(hash(problem), None)
        else:
            values[hash(problem)] = same.setdefault(label, label)
    return values


def _pair(row: object, file: Path) -> tuple[str | None, float | None]:
    if not isinstance(row, dict) or not set(COLUMNS) <= row.keys():
        raise UserError(f"{file} holds a row without {' and '.join(COLUMNS)}: move it out of {file.parent}")
    problem, label = row["problem"], row["gpt_difficulty_parsed"]
    if not isinstance(problem, str | None):
        raise UserError(f"{file} holds a problem that is not text: correct it or move the file away")
    if isinstance(label, bool) or not isinstance(label, int | float | None):
        raise UserError(
            f"{file} holds the label {label!r}, which is not a number: correct it or move the file away"
        )
    return problem, label


def _rows_of(file: Path) -> Iterator[object]:
    try:
        with file.open(encoding="utf-8", newline="\n") as text:
            yield from _decoded(text, file)
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{file} cannot be read ({why(error)}): write it again or move it away") from error


def _decoded(text: TextIO, file: Path) -> Iterator[object]:
    """The rows of a JSON list, or of JSON lines, read piece by piece.

    A last line that was torn by a crash, or is being written just now, is left out; a list that does not end
    is refused.
    """
    decoder = json.JSONDecoder()
    buffer, ended, place = text.read(CHUNK_CHARS), False, 0
    is_list = buffer.lstrip().startswith("[")
    while True:
        separators = _SEPARATORS.match(buffer, place)
        assert separators is not None, "the pattern matches nothing, too"
        place = separators.end()
        try:
            row, place = decoder.raw_decode(buffer, place)
        except RecursionError as error:
            raise UserError(f"{file} is nested too deeply: write it again or move it away") from error
        except json.JSONDecodeError as error:
            if not ended:
                more = text.read(max(CHUNK_CHARS, len(buffer)))
                buffer, place, ended = buffer[separators.start() :] + more, 0, not more
                continue
            torn = file.suffix == ".jsonl" and "\n" not in buffer[place:]
            if (place < len(buffer) and not torn) or (is_list and "]" not in separators[0]):
                raise UserError(
                    f"{file} is not a complete list of labels ({error}): write it again"
                ) from error
            return
        yield row


_SEPARATORS = re.compile(r"[\s,\[\]]*")


def _in_natural_order(file: Path) -> list[int | str]:
    """labeled_math_100_... after labeled_math_20_..."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name)]
