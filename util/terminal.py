"""What does the person at the keyboard read?

Call `say` for a line, `Progress` for a bar, `print_text` for a result to read and `print_result` for one that
programs read. Nothing else in the suite prints or logs: a line that goes around a progress bar tears it. What
models, programs and endpoints wrote may be part of a message, so control characters are shown, never obeyed.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO, cast

from util.errors import RunStopped, UserError


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


# These steer the terminal, turn the direction of writing round, or cannot be written.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """The text with control characters as `\\u001b`, as JSON also writes them; line ends and tabs stay."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(message: str) -> None:
    """A line for people; a progress bar makes room for it."""
    message = shown(message)
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(message, file=sys.stderr)
        sys.stderr.flush()
    else:
        print(message, file=sys.stderr, flush=True)


def print_text(text: str) -> None:
    """What a command was asked to show, on standard output.

    Raises RunStopped when it cannot be written there.
    """
    if sys.stdout is None:
        raise RunStopped("standard output is closed: run the command again where its result can be written")
    try:
        print(shown(text), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up_output()
        raise RunStopped(
            f"the result cannot be written to standard output ({error.strerror}); everything finished is "
            "kept: make room, then run the same command again"
        ) from error


def print_result(result: dict) -> None:
    """The last line of standard output: the result as JSON, for programs."""
    import json

    print_text(json.dumps(result, ensure_ascii=False))


class Progress:
    """A bar on standard error: samples done, tokens per second, time left."""

    def __init__(self, total: int | None, what: str, unit: str = "samples") -> None:
        from tqdm import tqdm

        every_s = 0.5 if sys.stderr.isatty() else 10.0  # a log file keeps each of them
        self._bar = tqdm(total=total, desc=what, unit=f" {unit}", dynamic_ncols=True, mininterval=every_s)
        self._tokens = 0

    def step(self, tokens: int) -> None:
        """One sample more, with so many completion tokens."""
        self._tokens += tokens
        if tokens and (seconds := self._bar.format_dict["elapsed"]) > 0:
            self._bar.set_postfix_str(f"{self._tokens / seconds:.0f} tokens/s", refresh=False)
        self._bar.update(1)

    def reach(self, done: int, tokens: int) -> None:
        """Show that so many are done, after a sample with so many completion tokens."""
        self._tokens += tokens
        self._bar.set_postfix_str(
            f"{self._tokens / max(self._bar.format_dict['elapsed'], 1e-3):.0f} tokens/s", refresh=False
        )
        self._bar.update(done - self._bar.n)

    def expect(self, more: int) -> None:
        """Raise the total."""
        self._bar.total += more
        self._bar.refresh()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
