"""How does a finished piece of work get onto the disk so that nothing can take it away again?

One JSON object a line, appended and flushed at once. A line that was torn by a crash or a power cut can
only be the last one: it is cut off when the file is opened for appending, and its work is done again. One
that lacks nothing but its end, as some editors leave it, is whole.

Where several jobs write to one run, each has a file of its own of each journal (`samples.3.jsonl`). Who reads
reads them as one: `files_of` names them, and an offset says which file it lies in.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Self, TextIO

from util.errors import UserError, disk_trouble, not_writable
from util.runs.lines import FIELDS, PROBLEMS, SAMPLES, Fields, misfit
from util.terminal import say

FSYNC_EVERY_S = 0.5  # a flush survives the death of the process; the fsync bounds what a power cut can take
TAIL_BYTES = 1 << 16
FILE_BYTES = 1 << 40  # no file is so long: an offset in file number 3 of a journal is 3 times this, and more
JOINED_AT_ONCE = 64  # of the files of one journal, open to read; fewer where a process may open few
_DECODER = json.JSONDecoder()


class Closing(ABC):
    """What is closed at the end of a `with` block."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Journal(Closing):
    """An append-only file of JSON lines, open for one writer.

    Opening it cuts off a torn last line. `append` returns once the line belongs to the operating system; a
    full disk raises DiskTrouble and leaves the file with whole lines only.
    """

    def __init__(self, path: Path, *, number: int = 0) -> None:
        self.path = path = file_of(path, number)
        self._base = number * FILE_BYTES
        if os.path.lexists(path):
            check_is_file(path)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise not_writable(path, error, "folder") from error
        self._end = _cut_torn_tail(self._file, path)
        self._synced_at = time.monotonic()
        self._unsynced = False
        self._has_name = False  # on the disk, as far as this process knows

    def append(self, line: dict) -> int:
        """Append one object and return the offset of its line."""
        return self.append_encoded(encoded(line))

    def append_encoded(self, data: bytes) -> int:
        """Append whole lines, each of them `encoded`, and return the offset of the first."""
        start = self._end
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            os.ftruncate(self._file, start)
            raise disk_trouble(self.path, error) from error
        self._end += len(data)
        self._unsynced = True
        if time.monotonic() - self._synced_at > FSYNC_EVERY_S:
            self.sync()
        return self._base + start

    def clear(self) -> None:
        """Take out every line."""
        os.ftruncate(self._file, 0)
        self._end = 0

    def sync(self) -> None:
        if self._unsynced:
            try:
                os.fsync(self._file)
                if not self._has_name:
                    sync_names(self.path.parent)
                    self._has_name = True
            except OSError as error:
                raise disk_trouble(self.path, error) from error
            self._unsynced = False
        self._synced_at = time.monotonic()

    def close(self) -> None:
        if self._file >= 0:
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = -1


def encoded(line: dict) -> bytes:
    """The line of an object as it stands in a file."""
    return (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def file_of(path: Path, number: int) -> Path:
    """The file of a journal that the job with this number writes; 0: that of a command alone."""
    return path.with_name(f"{path.stem}.{number}{path.suffix}") if number else path


def file_number(offset: int) -> int:
    """The number of the file of a journal that an offset lies in."""
    return offset // FILE_BYTES


def files_of(path: Path) -> list[tuple[int, Path]]:
    """The files of a journal with their numbers, in the order in which they are read.

    Of several lines about one sample the first holds, of what is said about one the last: so the file with
    the lowest number has the say in either case, and a verdict is about the sample that holds.
    """
    if path.name not in FIELDS:  # no journal of a run
        return [(0, path)]
    found = [0, *numbers_of(path)]
    if path.name not in (SAMPLES, PROBLEMS):
        found.reverse()
    return [(number, file_of(path, number)) for number in found]


def numbers_of(path: Path) -> list[int]:
    """The numbers of the jobs that have a file of their own beside this one, the lowest first."""
    begin, end = f"{path.stem}.", path.suffix
    try:
        names = [name for name in os.listdir(path.parent) if name.startswith(begin) and name.endswith(end)]
    except (FileNotFoundError, NotADirectoryError):  # opening the file says what is wrong
        return []
    except PermissionError as error:  # what may not be listed may be opened by its name
        raise UserError(
            f"cannot look into {path.parent}: {error.strerror}; put that right, then run the same command "
            "again"
        ) from error
    numbers = (name[len(begin) : -len(end)] for name in names if name != path.name)
    return sorted(int(number) for number in numbers if number.isdecimal())


def read_lines(path: Path, fields: Fields | None = None) -> Iterator[tuple[int, dict]]:
    """Yield (offset, object) of each line; a torn last line is left out, a missing file has no lines.

    Raises UserError with file and line number when a line in the middle is damaged, or has other `fields`
    than its readers expect; a file of a run needs none to be named.
    """
    fields = fields or FIELDS.get(path.name)
    for offset, number, raw, file in _whole_lines(path):
        yield offset, _parsed_or_refused(raw, file, number, fields)


def read_line_at(file: BinaryIO | JoinedFiles, offset: int) -> dict:
    """The object on the line that starts at `offset` of what `open_to_read` has opened."""
    file.seek(offset)
    return parsed_line(file.readline(), file.name, offset)


def parsed_line(raw: bytes, path: str | Path, offset: int) -> dict:
    """The object on a line that was read from `offset` of a file."""
    fields = FIELDS.get(str(path).rpartition(os.sep)[2])
    try:
        return _parsed(raw, fields)
    except ValueError:
        file = file_of(Path(path), file_number(offset))
        return _parsed_or_refused(raw, file, _line_number(file, offset % FILE_BYTES), fields)


def read_keys(path: Path, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, re.Match[bytes] | dict, bytes]]:
    """As `read_lines`, but a line that begins with `pattern` is not decoded: its match stands for it.

    Decoding long lines costs ten times as much as looking at their first fields. The third is the line.
    """
    fields = FIELDS.get(path.name)
    for offset, number, raw, file in _whole_lines(path):
        yield offset, pattern.match(raw) or _parsed_or_refused(raw, file, number, fields), raw


def _whole_lines(path: Path) -> Iterator[tuple[int, int, bytes, Path]]:
    """(offset, number, bytes, file) of each line that is whole; of a missing file none."""
    for file_number, there in files_of(path):
        try:
            file = _open(there)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with file:
            offset = file_number * FILE_BYTES
            for number, raw in enumerate(file, start=1):
                if not raw.endswith(b"\n") and not _is_whole(raw):  # being written, or torn by a crash
                    if raw.endswith(b"\0"):
                        _say_zeros(there)
                    break
                yield offset, number, raw, there
                offset += len(raw)


def open_to_read(path: Path) -> BinaryIO | JoinedFiles:
    """The file, or the files that a journal has; raises FileNotFoundError where there is none, UserError
    where it cannot be read."""
    return _open(path) if files_of(path) == [(0, path)] else JoinedFiles(path)


class JoinedFiles:
    """The files of a journal, open as one for the offsets of `read_lines`: few at a time, as many jobs write
    more than a process may open."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._files: dict[int, BinaryIO] = {}
        self._now: BinaryIO
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)  # no limit is -1
        self._at_once = min(JOINED_AT_ONCE, max(4, allowed // 16)) if allowed >= 0 else JOINED_AT_ONCE

    def seek(self, offset: int) -> None:
        number, within = divmod(offset, FILE_BYTES)
        file = self._files.pop(number, None)
        if file is None:
            file = _open(file_of(self._path, number))
        self._files[number] = self._now = file  # the last one: the first was not read for the longest time
        if len(self._files) > self._at_once:
            self._files.pop(next(iter(self._files))).close()
        self._now.seek(within)

    def readline(self) -> bytes:
        return self._now.readline()

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def _open(path: Path) -> BinaryIO:
    try:
        check_is_file(path)
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:  # somebody else's, or a folder
        raise UserError(
            f"cannot read {path}: {error.strerror}; put that right, then run the same command again"
        ) from error


def check_is_file(path: Path) -> None:
    """Raises FileNotFoundError where nothing is, UserError for what stands where a file should be.

    What a link to nowhere held is not here just now, but it is not gone; a pipe keeps nothing, and whoever
    opens it waits.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if not path.is_symlink():
            raise
        raise UserError(
            f"{path} is a link to {os.readlink(path)}, which is not there: bring it back (is its disk "
            "mounted?), or take the link away"
        ) from None
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        raise UserError(f"{path} is a pipe, where a file should be: take it away, or put the file back")


def sha256_of(path: Path) -> str:
    """What a file's contents are known by, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(text: str) -> str:
    """The same of a text, which may hold halves of characters."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing."""
    for is_last in (False, False, False, True):
        missing = missing_folders(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in missing:
                sync_names(path.parent)
            return
        except FileNotFoundError:  # a command that was refused takes away the folders that it made
            if is_last:
                raise


def make_folder_of(flag: str, folder: Path) -> None:
    """Raises DiskTrouble where a folder that a flag names cannot be made."""
    try:
        make_folders(folder)
    except OSError as error:
        raise not_writable(folder, error, flag) from error


def sync_names(folder: Path) -> None:
    """Bring the names in a folder to the disk: until then a power cut may take a new file, synced or not."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of file systems that cannot say it of a folder
            raise
    finally:
        os.close(number)


def missing_folders(folder: Path) -> list[Path]:
    """The folders that have to be made so that `folder` is there, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, up to the first that holds something."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def whole_json(content: dict) -> str:
    """The text of a file that holds one JSON object, for people to read, too."""
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def write_whole(path: Path, text: str) -> None:
    """Write a whole file beside its target and move it into place, so that readers see the old or the new
    one."""
    write_lines(path, (text,))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """As `write_whole`, piece by piece for files larger than memory."""
    with replacing(path) as file:
        file.writelines(lines)


def json_list(rows: Iterable[dict]) -> Iterator[str]:
    """A JSON list with a row a line, for `write_lines`."""
    between = "[\n"
    for row in rows:
        yield between + json.dumps(row, ensure_ascii=False)
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file beside `path` that takes its place when the block ends without an error."""
    with _beside(path) as (file, part):
        yield file
        _to_disk(file)
        os.replace(part, path)
        sync_names(path.parent)


def write_all(texts: dict[Path, str]) -> None:
    """Write several files of which none takes its place before all are on the disk."""
    with ExitStack() as stack:
        parts = {}
        for path, text in texts.items():
            file, parts[path] = stack.enter_context(_beside(path))
            file.write(text)
            _to_disk(file)
        for path, part in parts.items():
            os.replace(part, path)
        for folder in {path.parent for path in parts}:
            sync_names(folder)


@contextmanager
def _beside(path: Path) -> Iterator[tuple[TextIO, Path]]:
    """A text file in the folder of `path`, open for writing, and its path; gone when the block ends."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(part, "w", encoding="utf-8", errors="backslashreplace") as file:
            yield file, part
    except OSError as error:
        raise disk_trouble(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def _to_disk(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _parsed_or_refused(raw: bytes, path: Path, number: int, fields: Fields | None) -> dict:
    try:
        return _parsed(raw, fields)
    except ValueError as error:
        raise UserError(
            f"{path}: line {number} is damaged ({error}); to set it aside, so that its work is done again, "
            f"run\n  sed -i.damaged '{number}d' '{path}'"
        ) from error


def _line_number(path: Path, offset: int) -> int:
    with _open(path) as file:
        return file.read(offset).count(b"\n") + 1


def _parsed(raw: bytes, fields: Fields | None) -> dict:
    """The object on a line; raises ValueError with what is wrong."""
    try:
        value = _value(raw.decode())  # as text: finding out the encoding of bytes costs more
    except (ValueError, RecursionError):  # JSON and UTF-8 errors alike
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"it starts with {raw[:40]!r}")
    if fields is not None and (wrong := misfit(value, fields)):
        raise ValueError(wrong)
    return value


def _value(text: str) -> Any:
    """As `json.loads`, which takes half as long again to look for blanks around the value."""
    try:
        value, end = _DECODER.raw_decode(text)
    except ValueError:
        return json.loads(text.removeprefix("\ufeff"))  # which some editors put before what they save
    return value if text[end:] == "\n" else json.loads(text)


@cache  # said once a command, however often it reads
def _say_zeros(path: Path) -> None:
    say(
        f"WARNING: {path} ends in zero bytes, as a power cut leaves a file: what stood there is lost, and is "
        "done again"
    )


def _cut_torn_tail(file: int, path: Path) -> int:
    """Cut the bytes after the last newline, or end their line; returns the length of what is there then."""
    end = size = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - TAIL_BYTES)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end == size:
        return end
    if os.pread(file, 1, size - 1) == b"\0":
        _say_zeros(path)
    elif _is_whole(os.pread(file, size - end, end)):
        return size + os.write(file, b"\n")
    os.ftruncate(file, end)
    return end


def _is_whole(raw: bytes) -> bool:
    """Whether a line is an object and no part of one."""
    try:
        return raw.rstrip().endswith(b"}") and isinstance(json.loads(raw), dict)
    except (ValueError, RecursionError):
        return False
