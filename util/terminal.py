"""What does the person at the keyboard read?

Call `say` for a line, `Progress` for a bar, `Waiting` while something is waited for, `print_text` for a
result to read and `print_result` for one that programs read. Nothing else in the suite prints or logs: a line
that goes around a progress bar tears it. What models, programs and endpoints wrote may be part of a message,
so control characters are shown, never obeyed.
"""

from __future__ import annotations

import io
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO, cast

from util.errors import UserError, disk_trouble

# As tqdm has it, but what a narrow terminal cuts off at the end is the number that matters least.
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}, {rate_fmt}]"
TELL_S, TELL_LOG_S = (
    1.0,
    60.0,
)  # how often a terminal, and a log file, get the latest word on what is waited for
SHOW_S = 0.1  # how often a bar is asked to move; drawing one costs more than grading a short answer
WIDTH = 80  # columns of a terminal that nobody has made wider


class _Messages:
    """A stream of messages that stops no work: what cannot be written, as nobody reads, is left out."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # a full disk, a closed terminal
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare_streams() -> None:
    """Make standard output and error safe to write to, before any file is opened.

    A stream that the process was started without would lend its number to the next file that is opened, and
    whatever writes to that number would write into a journal. A character that a terminal does not know is
    shown as its number.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # closed with the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stderr = cast(TextIO, _Messages(sys.stderr))


def give_up_output() -> None:
    """Write nothing more to standard output: not even what is still in its buffer, at the end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def closest(kind: str, value: str, known: Sequence[str]) -> UserError:
    """The error for a name that is not known: names the closest one and all others."""
    import difflib

    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(value.lower(), lower, n=1, cutoff=0.4)
    hint = f"did you mean {lower[close[0]]}? " if close else ""
    return UserError(f"unknown {kind} {value!r}: {hint}choose from {', '.join(known)}")


def number_of(count: int, thing: str, things: str = "") -> str:
    """How many things there are, such as "1 sample" and "12,000 samples"."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"


# These steer the terminal, turn the direction of writing round, or cannot be written.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """The text with control characters as `\\u001b`, as JSON also writes them; line ends and tabs stay."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def columns() -> int:
    """How wide a line for people may be: $COLUMNS, or the terminal's width, but no more than WIDTH."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return min(WIDTH, os.get_terminal_size(2).columns or WIDTH)
    except OSError:  # a log file
        return WIDTH


# Stays in one piece: a command on a line of its own or between backticks, an interval.
_COMMAND = re.compile(r"\s*(python|sed) ")
_WIDE = "[\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\uff60\U0001f300-\U0003ffff]"
_PIECE = re.compile(rf"\s*(?:`[^`]*`\S*|\[[^][]{{,40}}\]\S*|{_WIDE}|(?:(?!{_WIDE})\S)+)")
_CELL = re.compile(r"\s*\S.{,30}?\s{2,}(?=\S)")  # the first of a table's row: what goes on stands behind it


def wrapped(text: str) -> str:
    """The text in lines that fit a terminal; words and commands stay whole."""
    return "\n".join(map(_wrapped_line, text.split("\n")))


def _wrapped_line(line: str) -> str:
    most = columns()
    if _width(line) <= most or _COMMAND.match(line):
        return line
    cell = _CELL.match(line)
    indent = " " * (_width(cell[0]) if cell else len(line) - len(line.lstrip()) + 2)
    lines = [""]
    for piece in _PIECE.findall(line):
        if _width(lines[-1] + piece) <= most or not lines[-1].strip():
            lines[-1] += piece
        else:
            lines.append(indent + piece.lstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns: a Chinese, Japanese or Korean character takes two."""
    return len(text) if text.isascii() else len(text) + len(re.findall(_WIDE, text))


def filled(pieces: Sequence[str]) -> str:
    """Pieces one behind the other, each whole, in as many lines as fit a terminal; what goes on is set in."""
    lines = [""]
    for piece in filter(None, pieces):
        longer = f"{lines[-1]} {piece}" if lines[-1] else piece
        if _width(longer) <= columns() or not lines[-1].strip():
            lines[-1] = longer
        else:
            lines.append(f"  {piece}")
    return "\n".join(lines)


def say(message: str) -> None:
    """Lines for people; a progress bar makes room for them."""
    message = wrapped(shown(message))
    # A signal may come while it is being loaded: there is no bar then, and it cannot be imported.
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is not None:
        tqdm.write(message, file=sys.stderr)
        sys.stderr.flush()
    else:
        print(message, file=sys.stderr, flush=True)


def print_text(text: str) -> None:
    """What a command was asked to show, on standard output, for people. Raises DiskTrouble when it cannot be
    written there."""
    _print(wrapped(shown(text)))


def _print(text: str) -> None:
    if sys.stdout is None:  # closed from the start
        return
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up_output()
        raise disk_trouble("the result to standard output", error) from error


def print_result(result: dict) -> None:
    """The last line of standard output: the result as JSON, for programs."""
    import json

    _print(shown(json.dumps(result, ensure_ascii=False)))


class Waiting:
    """What is waited for, on a line of its own; below it the latest word on it, until it is there.

    A log file, which keeps each word, gets one now and then.
    """

    def __init__(self, what: str, latest: Callable[[], str] = str) -> None:
        say(what)
        self._latest = latest
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Waiting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _tell(self) -> None:
        if not sys.stderr.isatty():
            while not self._is_over.wait(TELL_LOG_S):
                say(f"  {self._latest()}")
            return
        from tqdm import tqdm

        begun = time.monotonic()
        with tqdm(bar_format="{desc}", dynamic_ncols=True, leave=False) as line:
            while not self._is_over.wait(TELL_S):
                line.set_description_str(shown(f"  {time.monotonic() - begun:.0f} s  {self._latest()}"))


class Progress:
    """A bar on standard error: samples done, tokens per second, time left."""

    def __init__(self, total: int | None, what: str, unit: str = "samples") -> None:
        from tqdm import tqdm

        is_log = not sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            desc=what,
            unit=f" {unit}",
            dynamic_ncols=not is_log,
            ncols=WIDTH if is_log else None,
            mininterval=10.0 if is_log else 0.5,  # a log file keeps each of them
            bar_format=None if total is None else BAR,
        )
        self._begun = time.monotonic()
        self._done = self._tokens = 0
        self._so_far: Callable[[], str] = str
        self._shown_at = self._begun

    def step(self, tokens: int) -> None:
        """One sample more, with so many completion tokens."""
        self.reach(self._done + 1, tokens)

    def reach(self, done: int, tokens: int) -> None:
        """Show that so many are done, after a sample with so many completion tokens."""
        self._done = done
        self._tokens += tokens
        if time.monotonic() - self._shown_at >= SHOW_S:
            self._show()

    def about(self, what: str, so_far: Callable[[], str] = str) -> None:
        """What the bar is about from now on, and what tells how it stands."""
        self._bar.set_description_str(what, refresh=False)
        self._so_far = so_far

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        seconds = max(self._shown_at - self._begun, 1e-3)
        speed = f"{self._tokens / seconds:.0f} tokens/s" if self._tokens else ""
        self._bar.set_postfix_str(", ".join(filter(None, (self._so_far(), speed))), refresh=False)
        self._bar.update(self._done - self._bar.n)

    def expect(self, more: int) -> None:
        """Raise the total."""
        self._bar.total += more
        self._bar.refresh()

    @property
    def total(self) -> int:
        """How many there will be; 0 where nobody knows."""
        return self._bar.total or 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._show()
        self._bar.close()
