"""Which API key should the next request carry?

Call `read_keys`, `environment_keys` or `no_keys` for a `KeyPool`, and `acquire` of it for a key.
"""

from __future__ import annotations

import codecs
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from util.errors import UserError
from util.terminal import say

VARIABLE = "OPENAI_API_KEY"
# A key may end in "=" itself, as base64 does.
_ASSIGNMENT = re.compile(
    r"(?:export\s+|set\s+|\$env:)?(?P<name>[A-Z][A-Z0-9_]*|\w*(?:key|token)\w*)\s*=(?P<value>[^=].*)?$"
)


@dataclass(eq=False)
class Key:
    """One API key and what it is doing; shows itself by its last four characters only."""

    secret: str = field(repr=False)
    in_flight: int = 0
    rests_until: float = 0.0
    dropped: str = ""  # why the key is no longer used

    @property
    def tail(self) -> str:
        # Of a short secret four characters would be too much of it.
        return f"...{self.secret[-4:]}" if len(self.secret) >= 12 else "..."

    def hidden_in(self, text: str) -> str:
        """A text in which the key shows its last characters only, if it holds the key."""
        return text.replace(self.secret, self.tail) if self.secret else text

    def __repr__(self) -> str:
        return f"Key({self.tail})"

    __str__ = __repr__


class KeyPool:
    """API keys that share the requests: the one with the fewest in flight comes next."""

    def __init__(self, secrets: Iterable[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = [Key(secret) for secret in dict.fromkeys(secrets)]
        self._clock = clock
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many keys are still in use."""
        return sum(not key.dropped for key in self._keys)

    def __repr__(self) -> str:
        return f"KeyPool({', '.join(key.tail for key in self._keys)})"

    def acquire(self) -> Key | None:
        """The key with the fewest requests in flight; None while all rest or when none is left."""
        with self._lock:
            now = self._clock()
            ready = [key for key in self._keys if not key.dropped and key.rests_until <= now]
            if not ready:
                return None
            key = min(ready, key=lambda key: key.in_flight)
            key.in_flight += 1
            return key

    def release(self, key: Key) -> None:
        """Say that the request that took `key` has ended."""
        with self._lock:
            key.in_flight -= 1

    def rest(self, key: Key, seconds: float) -> None:
        """Leave `key` alone for a while, as the endpoint asked."""
        with self._lock:
            key.rests_until = max(key.rests_until, self._clock() + seconds)

    def drop(self, key: Key, why: str) -> None:
        """Never use `key` again. A warning shows its last four characters; of the last key whoever stops then
        says what is the matter, which may be the model that it asked."""
        with self._lock:
            if key.dropped:
                return
            key.dropped = why
        if key.secret and len(self):
            say(f"API key {key.tail} is dropped, {len(self)} left: {why}")

    def wait_s(self) -> float | None:
        """Seconds until some key may be used; None when no key is left."""
        with self._lock:
            rests = [key.rests_until for key in self._keys if not key.dropped]
            return max(0.0, min(rests) - self._clock()) if rests else None

    @property
    def reasons(self) -> list[str]:
        """Why keys were dropped, each reason once."""
        return list(dict.fromkeys(key.dropped for key in self._keys if key.dropped))

    @property
    def anonymous(self) -> bool:
        """Whether requests go out without any key."""
        return not any(key.secret for key in self._keys)


def no_keys() -> KeyPool:
    """A pool for endpoints that ask for no key."""
    return KeyPool([""])


def read_keys(path: str | Path) -> KeyPool:
    """The keys in a file: one a line, or as the value of a variable; `#` begins a comment."""
    path = Path(path)
    try:
        lines = _decoded(path.read_bytes()).splitlines()
        others_may_read = os.name == "posix" and path.stat().st_mode & 0o004
    except OSError as error:
        raise UserError(f"cannot read the key file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the key file {path} is not text: write one key per line") from error
    found = [(number, *_variable(line)) for number, line in enumerate(lines, 1)]
    names = {name for _, name, value in found if name and value}
    if len(names) > 1:
        if VARIABLE not in names:
            raise UserError(
                f"the key file {path} sets {', '.join(sorted(names))}: leave only the keys of the "
                f"endpoint, one per line, or name them {VARIABLE}"
            )
        found = [each for each in found if each[1] in ("", VARIABLE)]
    secrets = []
    for number, name, value in found:
        # A variable may hold several, as in the environment.
        for secret in map(str.strip, value.split(",") if name else [value]):
            if secret and not _sendable(secret):
                raise UserError(
                    f"{path} line {number} is not an API key (blanks or signs beyond ASCII): one key per line"
                )
            secrets += [secret] if secret else []
    if not secrets:
        raise UserError(f"the key file {path} holds no key: write one per line")
    if others_may_read:
        say(f"every user of this machine can read the key file {path}: chmod 600 {path}")
    return KeyPool(secrets)


def environment_keys() -> KeyPool | None:
    """The keys in OPENAI_API_KEY, separated by commas; None when there are none."""
    value = _unquoted(os.environ.get(VARIABLE, ""))  # Docker's --env-file keeps quotation marks
    secrets = [secret for part in value.split(",") if (secret := part.strip())]
    if not all(map(_sendable, secrets)):
        raise UserError(f"{VARIABLE} holds blanks or signs beyond ASCII: separate several keys by commas")
    return KeyPool(secrets) if secrets else None


def _decoded(content: bytes) -> str:
    """The text of a file as editors and shells write it, on Windows as well."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8").replace("\ufeff", "")


def _variable(line: str) -> tuple[str, str]:
    """Name and value of a line of an .env file, else "" and the line."""
    line = line.partition("#")[0].strip()
    found = _ASSIGNMENT.match(line)
    return (found["name"], _unquoted(found["value"] or "")) if found else ("", line)


def _unquoted(value: str) -> str:
    value = value.strip()
    is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1].strip() if is_quoted else value


def _sendable(secret: str) -> bool:
    return secret.isascii() and secret.isprintable() and " " not in secret
