"""Why did an engine's process end?

Call `how_ended` for its exit status, `last_words` for its messages; `latest_words` while it has not.
"""

from __future__ import annotations

import re
import signal

SHOWN_CHARS = 300  # of a line of the engine's messages
# What vLLM puts before a message: "(EngineCore pid=7) ERROR 11-25 17:43:14 [core.py:1100] ".
_PREFIX = re.compile(r"^(\(.*?pid=\d+\)\s*)?([A-Z]+ \d\d-\d\d [\d:]+ (\[[^]]*\])?\s*)?")
_ERROR = re.compile(r"^[\w.]*(Error|Exception|Interrupt)\b|^Worker proc .* died unexpectedly")
# Errors that only say that another process had one.
_SECOND_HAND = ("Engine core initialization failed", "EngineDeadError", "EngineCore encountered an issue",
                "WorkerProc initialization failed", "cancelled")  # fmt: skip


def last_words(lines: list[str]) -> str:
    """The line of an engine's messages that says best why it ended."""
    said = [words for line in lines if (words := _PREFIX.sub("", line.rstrip().rstrip(".")))]
    said = [words for words in said if not words.startswith("[shutdown]") and "deprecated" not in words]
    errors = [_with_reason(at, said) for at, words in enumerate(said) if _ERROR.match(words)]
    own = [words for words in errors if not any(mark in words for mark in _SECOND_HAND)]
    return (own or errors or said or ["nothing"])[-1].strip()[:SHOWN_CHARS]


def latest_words(messages: str) -> str:
    """The last line of an engine's messages; of a progress bar its last state."""
    said = (_PREFIX.sub("", line).strip() for line in reversed(re.split(r"[\r\n]", messages)))
    return next(filter(None, said), "")[:SHOWN_CHARS]


def _with_reason(at: int, said: list[str]) -> str:
    """The error on a line; one about settings says below which one is wrong, and why.

    https://docs.pydantic.dev/latest/errors/errors/ shows the form.
    """
    if "validation error" not in said[at]:
        return said[at]
    reason = []
    for line in said[at + 1 : at + 3]:
        words, is_last, _ = line.partition(" [type=")
        reason.append(words.strip())
        if is_last:
            break
    return " ".join([f"{said[at]}:", *reason])


def how_ended(status: int | None) -> str:
    """What the exit status of a process, negative for a signal, says of its end."""
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    reason = ", which is what the system does when memory runs out" if -status == signal.SIGKILL else ""
    return f"was killed by {name}{reason}"
