"""What does a streamed answer say so far, and is it whole?

Feed the pieces of an HTTP reply to `StreamedReply`; its `whole` is what the endpoint would have sent at once.
Events come as https://html.spec.whatwg.org/multipage/server-sent-events.html says, and as servers write them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from util.response import message_text, message_thought

# Told the new thought and the new text of each piece; a finish reason ends the answer there.
Listener = Callable[[str, str], str | None]

_BOM = b"\xef\xbb\xbf"
_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")


def is_stream(beginning: bytes) -> bool | None:
    """Whether a reply that begins so is a stream, whatever its headers say; None: too early to tell."""
    beginning = beginning.removeprefix(_BOM).lstrip()
    if beginning.startswith(_BEGINNINGS):
        return True
    return None if any(start.startswith(beginning) for start in _BEGINNINGS) else False


class _Growing:
    """A text that comes in pieces, kept in little more memory than its characters take.

    A list of its pieces takes 370 kB for 30,000 characters: too much with thousands of answers under way.
    """

    def __init__(self) -> None:
        self._so_far = bytearray()
        self._new: list[str] = []
        self.has_begun = False  # maybe with an empty piece

    def add(self, piece: str) -> None:
        self._new.append(piece)
        self.has_begun = True

    def take_new(self) -> str | None:
        """What came since the last call; None: no piece."""
        if not self._new:
            return None
        new = "".join(self._new)
        # A character may come in two halves, each a surrogate.
        self._so_far += new.encode("utf-8", "surrogatepass")
        self._new.clear()
        return new

    def __str__(self) -> str:
        return self._so_far.decode("utf-8", "surrogatepass") + "".join(self._new)


class StreamedReply:
    """Puts the chunks of a streamed chat completion together."""

    def __init__(self, listener: Listener | None = None, *, most_chars: int | None = None) -> None:
        self._listener = listener
        self._most_chars = most_chars  # a longer answer is ended: the endpoint does not keep the token limit
        self._rest: list[bytes] = []  # of a line that has no end yet
        self._unread = b""  # data of an event that is no JSON so far
        self._thought, self._text = _Growing(), _Growing()
        self._chars = 0
        self._message: dict[str, Any] = {}
        self._finish_reason: Any = None
        self._usage: Any = None
        self._model: Any = None
        self._error: dict | None = None
        self._names_error = False
        self._has_choice = self._is_done = False
        self.damage = ""  # a chunk that cannot be read
        self.is_ended = False  # whether to hang up: the listener or the limit ended the answer

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the answer is to come."""
        return self._finish_reason is not None or self._is_done or self._error is not None

    @property
    def heard_any(self) -> bool:
        """Whether the answer has begun."""
        return self._text.has_begun or self._thought.has_begun

    @property
    def heard(self) -> str:
        """Thought and text so far."""
        return f"{self._thought}{self._text}"

    def feed(self, data: bytes) -> None:
        """Take the next bytes, wherever they are cut."""
        # A "\r" at the end may be half of a line end.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        if not end:
            self._rest.append(data)
            return
        lines = b"".join((*self._rest, data[:end])).splitlines()
        self._rest = [data[end:]]
        for line in lines:
            self._read(line)
        self._tell()

    def end(self) -> None:
        """Take what has come as all there is; a last line may lack its end."""
        for line in b"".join(self._rest).splitlines():
            self._read(line)
        self._rest = []
        self._read(b"")
        self._tell()

    def whole(self) -> dict:
        """The reply as it would have come at once."""
        if self._error is not None:
            return self._error
        message = {**self._message}
        if self._text.has_begun:
            message.setdefault("content", str(self._text))
        if self._thought.has_begun:
            message["reasoning_content"] = str(self._thought)
        choices = [{"message": message, "finish_reason": self._finish_reason}] if self._has_choice else []
        return {"choices": choices, "usage": self._usage, "model": self._model}

    def _read(self, line: bytes) -> None:
        line = line.removeprefix(_BOM)
        if line.startswith(b"data:"):
            self._read_data(line[5:].strip())
        elif line.startswith(b"event:"):
            self._names_error = line[6:].strip() == b"error"
        elif not line and self._unread:
            self.damage = self.damage or self._unread[:120].decode("utf-8", "replace")
            self._unread = b""

    def _read_data(self, data: bytes) -> None:
        if self._unread:
            data = self._unread + b"\n" + data  # an event may have several lines
        if data == b"[DONE]":
            self._is_done = True
            return
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            self._unread = data
            return
        self._unread = b""
        if isinstance(chunk, dict):
            self._take(chunk)

    def _take(self, chunk: dict) -> None:
        if chunk.get("error") or chunk.get("object") == "error" or self._names_error:
            self._error = chunk if chunk.get("error") else {"error": chunk}
            return
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        self._model = self._model or chunk.get("model")
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                self._take_choice(choice)

    def _take_choice(self, choice: dict) -> None:
        self._has_choice = True
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            # Some vendors repeat the whole message at the end.
            delta = {} if self._chars else choice.get("message")
        if not isinstance(delta, dict):
            return
        content = delta.get("content")
        thought, text = message_thought(delta), message_text(content)
        if thought is not None:
            self._thought.add(thought)
        if text or isinstance(content, str):
            self._text.add(text)
        elif content is not None and thought is None:
            self._message["content"] = content  # no text: whoever reads the reply says so
        self._chars += len(thought or "") + len(text)
        for call in ("tool_calls", "function_call"):
            if delta.get(call):
                self._message[call] = delta[call]
        refusal = delta.get("refusal")
        if isinstance(refusal, str):
            self._message["refusal"] = self._message.get("refusal", "") + refusal

    def _tell(self) -> None:
        """Let the listener know what is new; an answer without end is ended."""
        if self._most_chars is not None and self._chars > self._most_chars:
            self._finish_reason, self.is_ended = "length", True
        thought, text = self._thought.take_new(), self._text.take_new()
        if self._listener is None or self.is_ended or thought is text is None:
            return
        if (finish_reason := self._listener(thought or "", text or "")) is not None:
            self._finish_reason, self.is_ended = finish_reason, True
