"""What are the rows of one file of a data set?

Call `read_rows`; a `RowFilter` says which of them are wanted.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from util.errors import UserError

BATCH_ROWS = 1000
TABLES = (".csv", ".tsv")  # each cell is a text
CELL_CHARS = 2**31 - 1  # Python's csv stops at 131,072, which many a response has
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
NO_TEXT = "it is UTF-16, or was cut by a power failure; save it as UTF-8"
_SAID_SIGN = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # a line for spreadsheets above the names


class DamagedFile(Exception):
    """A file that does not hold what its name promises."""


@dataclass(frozen=True)
class RowFilter:
    """Which rows of a file are wanted, and where the values met are noted."""

    column: str | None
    value: str | None
    seen: set[str] | None

    def takes(self, row: dict) -> bool:
        if self.column is None:
            return True
        if self.seen is not None and row[self.column] is not None:
            self.seen.add(row[self.column])
        return row[self.column] == self.value


def ending(path: Path) -> str:
    """What a file's name says of what it holds, such as ".jsonl", in whichever case it is written."""
    return path.suffix.lower()


def read_rows(
    file: Path,
    wanted: RowFilter,
    *,
    columns: tuple[str, ...] | None = None,
    unread: tuple[str, ...] = (),
    with_places: bool = False,
) -> Iterator[dict]:
    """The wanted rows of a file, in order; with `with_places` each says where it lies, under "tests_at".

    `columns` are read from parquet (None: all); `unread` are left out of JSON lines. Raises DamagedFile.
    """
    if not with_places:
        return READERS[ending(file)](file, columns, wanted)
    if ending(file) == ".parquet":
        return _read_parquet_with_places(file, columns, wanted)
    return _read_jsonl_with_places(file, unread, wanted)


def _read_parquet(file: Path, columns: tuple[str, ...] | None, wanted: RowFilter) -> Iterator[dict]:
    import pyarrow
    import pyarrow.parquet

    try:
        # With pre_buffer (the default) the reader holds the columns of a whole file: 125 MB in NUMINA.
        with pyarrow.parquet.ParquetFile(file, pre_buffer=False) as table:
            needed = {*(columns or ()), *filter(None, [wanted.column])}
            missing = needed - set(table.schema_arrow.names)
            if missing:
                raise UserError(
                    f"{file} has no column {', '.join(sorted(missing))}: choose another --revision"
                )
            for batch in table.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                yield from (batch if wanted.column is None else _of_value(batch, wanted)).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DamagedFile(str(error).splitlines()[0]) from error


def _of_value(batch: Any, wanted: RowFilter) -> Any:
    """The rows of a batch whose column has the value that is wanted."""
    import pyarrow.compute

    values = batch.column(wanted.column)
    # A value of the file's own: one made from Python imports pandas, where that is installed.
    found = {value.as_py(): value for value in values.unique()}
    if wanted.seen is not None:
        wanted.seen.update(found.keys() - {None})
    if wanted.value not in found:
        return batch.slice(length=0)
    return batch.filter(pyarrow.compute.equal(values, found[wanted.value]))


def _read_jsonl(file: Path, columns: tuple[str, ...] | None, wanted: RowFilter) -> Iterator[dict]:
    for _, row in _numbered_jsonl(file, (), wanted):
        yield row


def _read_jsonl_with_places(file: Path, unread: tuple[str, ...], wanted: RowFilter) -> Iterator[dict]:
    for offset, row in _numbered_jsonl(file, unread, wanted):
        row["tests_at"] = {"file": str(file), "offset": offset}
        yield row


def _without(line: bytes, column: str) -> bytes:
    """A line of JSON with the text of a column cut out, so that a long one is never copied and decoded."""
    key = json.dumps(column).encode() + b":"
    value = line.find(key) + len(key)
    begin = line.find(b'"', value)
    if value < len(key) or begin < 0 or line[value:begin].strip():  # no such column, or no text in it
        return line
    end = line.find(b'"', begin + 1)
    while end > 0 and _is_escaped(line, end):
        end = line.find(b'"', end + 1)
    return line[: begin + 1] + line[end:] if end > 0 else line


def _is_escaped(line: bytes, at: int) -> bool:
    backslashes = 0
    while line[at - 1 - backslashes : at - backslashes] == b"\\":
        backslashes += 1
    return backslashes % 2 == 1


def _numbered_jsonl(file: Path, unread: tuple[str, ...], wanted: RowFilter) -> Iterator[tuple[int, dict]]:
    """The rows that are wanted, each with the byte at which its line begins."""
    offset = 0
    with file.open("rb") as lines:  # in binary, lines end at "\n" alone: rows may hold U+2028 and U+0085
        for number, line in enumerate(lines, 1):
            begin = offset
            offset += len(line)
            if line.isspace():
                continue
            for column in unread:
                line = _without(line, column)
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DamagedFile(f"line {number}: {why_no_json(line, error)}") from error
            if not isinstance(row, dict):
                raise DamagedFile(f"line {number} is not a JSON object")
            if wanted.takes(row):
                yield begin, row


def _read_parquet_with_places(
    file: Path, columns: tuple[str, ...] | None, wanted: RowFilter
) -> Iterator[dict]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file, memory_map=True) as table:
            for index, (group, position, row) in enumerate(_placed(table, columns)):
                place = {"file": str(file), "row_group": group, "row": position, "index": index}
                row["tests_at"] = place
                if wanted.takes(row):
                    yield row
    except (pyarrow.ArrowException, OSError) as error:
        raise DamagedFile(str(error).splitlines()[0]) from error


def _placed(table: Any, columns: tuple[str, ...] | None) -> Iterator[tuple[int, int, dict]]:
    """Each row with its row group and its place there; few at a time are read, as tests are long."""
    for group in range(table.num_row_groups):
        batches = table.iter_batches(16, row_groups=[group], columns=columns, use_threads=False)
        rows = (row for batch in batches for row in batch.to_pylist())
        yield from ((group, position, row) for position, row in enumerate(rows))


def _read_csv(file: Path, columns: tuple[str, ...] | None, wanted: RowFilter) -> Iterator[dict]:
    """Every cell as the text it is: "NA" stays "NA"."""
    csv.field_size_limit(CELL_CHARS)
    with file.open("rb") as begin:  # as spreadsheets save "Unicode text"
        encoding = "utf-16" if begin.read(2) in UTF_16 else "utf-8-sig"
    with file.open(encoding=encoding, newline="") as lines:
        try:
            yield from _rows_of_table(lines, "\t,;" if ending(file) == ".tsv" else ",;\t", wanted)
        except UnicodeError as error:
            wrong = "its UTF-16 is cut" if encoding == "utf-16" else f"{_first_odd_line(file)} is not UTF-8"
            raise DamagedFile(f"{wrong}: save it in that encoding") from error


def _rows_of_table(lines: TextIO, signs: str, wanted: RowFilter) -> Iterator[dict]:
    """The rows below a first line with names, between which one of the `signs` stands."""
    first, before = lines.readline(), 1
    said = _SAID_SIGN.fullmatch(first)
    if not said:
        lines.seek(0)
        before = 0
    sign = said[1] if said else _sign_between(first, signs)
    reader = csv.DictReader(_without_zeros(lines), strict=True, delimiter=sign)
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        if not reader.fieldnames and first:
            raise DamagedFile("its first line is empty, where the names of the columns belong")
        names = Counter(filter(None, reader.fieldnames))
        if twice := [repr(name) for name, times in names.items() if times > 1]:
            raise DamagedFile(f"several columns are called {', '.join(twice)}: rename them in line 1")
        for row in reader:
            if any(row.pop(None, ())) or None in row.values():  # empty ones behind the last do no harm
                raise DamagedFile(
                    f"line {reader.line_num + before} has a different number of cells than the first line"
                )
            if wanted.takes(row):
                yield row
    except csv.Error as error:  # of the lines behind the last row
        raise DamagedFile(f"from line {reader.line_num + before + 1} on: {error}") from error


def _sign_between(first: str, signs: str) -> str:
    """The sign that cuts a line into the most cells: a spreadsheet whose language has the comma for decimals
    puts semicolons between them."""
    return max(signs, key=lambda sign: len(next(csv.reader([first], delimiter=sign), ())))


def _without_zeros(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a text; raises DamagedFile where a character is none."""
    for line in lines:
        if "\0" in line:
            raise DamagedFile(f"it holds zero bytes: {NO_TEXT}")
        yield line


def why_no_json(line: bytes, error: Exception) -> str:
    """What is wrong with a line that is no JSON."""
    return NO_TEXT if line[:2] in UTF_16 or b"\0" in line else str(error)


def _first_odd_line(file: Path) -> str:
    """Where a text file is not UTF-8."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"line {number} (byte 0x{line[error.start]:02x})"
    return "its text"


READERS = {".jsonl": _read_jsonl, ".csv": _read_csv, ".tsv": _read_csv, ".parquet": _read_parquet}
