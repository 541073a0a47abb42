"""How difficult is a problem, by the labels of an earlier run or of the hub?

Call `read_labels`, then `of` for each question.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from util.data.hub import MissingFile
from util.data.rows import Rows, file_names, open_rows
from util.errors import UserError
from util.task import Source

LABELS_FOLDER = Path(__file__).resolve().parents[2] / "labeled_numina_difficulty"
COLUMNS = ("problem", "gpt_difficulty_parsed")
SHARDS = tuple(f"data/train-0000{shard}-of-00002.parquet" for shard in range(2))
CHUNK_CHARS = 1 << 20


@dataclass(frozen=True)
class Labels:
    """Difficulty by the text of a problem; a text labelled twice has its last label, over all sources."""

    origin: str  # the folder, or the hub's data set
    revision: str
    values: dict[int, float]  # hash of the text -> label: the texts of 860,000 problems would not fit

    def of(self, question: str) -> float | None:
        """The difficulty of a problem; None where it was never labelled, or the labelling failed."""
        return self.values.get(hash(question))


def read_labels(
    repository: str, *, folder: Path = LABELS_FOLDER, data_dir: str | Path | None = None
) -> Labels:
    """The labels of the JSON files in `folder` if there are any, else those of a hub repository."""
    # A name with a dot in front is what a killed command left while it wrote a list.
    files = sorted(folder.glob("[!.]*.json*"), key=_in_natural_order)
    if files:
        pairs = (_pair(row, file) for file in files for row in _rows_of(file))
        return Labels(str(folder), "local", _last_of_each(pairs))
    rows = _open_repository(repository, data_dir)
    pairs = ((row["problem"], row["gpt_difficulty_parsed"]) for row in rows)
    return Labels(repository, rows.revision, _last_of_each(pairs))


def _open_repository(repository: str, data_dir: str | Path | None) -> Rows:
    source = Source(repository, {"train": SHARDS}, "train", columns=COLUMNS)
    try:
        return open_rows(source, data_dir=data_dir)
    except MissingFile:  # other shard names than the usual ones
        names = file_names(repository, "data", data_dir=data_dir)
        names = [name for name in names if re.fullmatch(r"data/train-.*\.parquet", name)]
        if not names:
            raise
        return open_rows(source, data_dir=data_dir, files=tuple(names))


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
        raise UserError(f"{file} cannot be read ({error}): write it again or move it away") from error


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
