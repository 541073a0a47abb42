"""Where on disk do the tests of a problem lie, and how are they read when they are needed?

Call `place_of` when a problem is made and `read_row` when it is graded. Code benchmarks carry gigabytes
of tests: a problem keeps the place of its row, and the grading worker reads it.
"""

from __future__ import annotations

import json

from util.records import RowPlace


class BadRow(Exception):
    """The tests of a row cannot be used; says why."""


def place_of(tests_at: dict) -> RowPlace:
    """From what the loader adds to a row, {"file", "offset"} or {"file", "row_group", "row"}."""
    if "row_group" in tests_at:
        return RowPlace(tests_at["file"], tests_at["row"], tests_at["row_group"])
    return RowPlace(tests_at["file"], tests_at["offset"])


def read_row(place: RowPlace, columns: tuple[str, ...]) -> dict:
    """The row at a place; raises BadRow when it cannot be read."""
    try:
        row = _of_jsonl(place) if place.row_group is None else _of_parquet(place, columns)
    except (OSError, ValueError) as error:
        raise BadRow(f"the tests cannot be read from {place.file}: {error}") from error
    missing = [column for column in columns if column not in row]
    if missing:
        raise BadRow(f"the row in {place.file} has no {', '.join(missing)}")
    return row


def _of_jsonl(place: RowPlace) -> dict:
    with open(place.file, "rb") as lines:
        lines.seek(place.offset)
        row = json.loads(lines.readline())
    if not isinstance(row, dict):
        raise ValueError(f"no row at byte {place.offset}")
    return row


def _of_parquet(place: RowPlace, columns: tuple[str, ...]) -> dict:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(place.file) as table:
            group = table.read_row_group(place.row_group, columns=list(columns), use_threads=False)
            return group.slice(place.offset, 1).to_pylist()[0]
    except (pyarrow.ArrowException, IndexError) as error:
        raise ValueError(str(error)) from error
