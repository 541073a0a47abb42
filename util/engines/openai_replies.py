"""What does an endpoint's HTTP reply to a chat request mean: an answer, or which kind of trouble?

Call `read_reply`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

from util.engines.openai_streams import StreamedReply
from util.records import MOST_COUNTED, Completion, end_named
from util.response import message_text, message_thought
from util.terminal import say


class Kind(Enum):
    """Kinds of trouble, by what is to be done about them."""

    AWAY = "nobody listens: rest the endpoint and probe it"
    NO_HOST = "no host has this name: stop if nothing was ever answered, else as AWAY"
    BUSY = "too much at once: slow down and ask again"
    BROKEN = "a bad reply: ask again, a limited number of times"
    SLOW = "no answer in time: slow down and ask again, a limited number of times"
    KEY = "the key is not accepted: drop it"
    ADDRESS = "there is no such endpoint: stop"
    HTML = "a web page instead of an answer: stop if nothing else ever comes"
    TOO_LONG = "prompt or token limit exceed the context: ask without a limit, else record it"
    REFUSED = "this request is refused for what it is: a failure"
    OTHERWISE = "the endpoint wants to be asked in another way, now known: ask again"


@dataclass(frozen=True)
class Trouble:
    """Why a try did not bring an answer."""

    kind: Kind
    message: str
    wait_s: float | None = None  # how long the endpoint asks us to wait
    status: int | None = None  # of the HTTP reply, where it holds an error
    param: str = ""  # the field of the request that the endpoint does not want
    heard: str = ""  # what came of the answer: it was paid for
    silent_s: float = 0.0  # how long nothing came before the connection broke
    is_stale: bool = False  # whether the server closed a kept connection just as it was used again


@dataclass(frozen=True)
class Answer:
    """A usable reply; `usage_known` says whether the endpoint counted the tokens: what it did not is 0."""

    completion: Completion
    usage_known: bool
    thought_tokens: int = 0  # what the endpoint says of them; 0: nothing
    model: str = ""  # who answered, as the endpoint says

    @property
    def tokens(self) -> int:
        """What the answer and its prompt took together."""
        return self.completion.prompt_tokens + self.completion.completion_tokens


class AnswerWatch:
    """Sees what is odd about the answers of a model; each kind is said once of an address."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._said: set[tuple[str, str]] = set()  # kind, address
        self.answered_as: set[str] = set()  # other names than the one asked

    def note_name(self, answer: Answer, url: str) -> None:
        """Say who answers, if that is not who was asked."""
        if answer.model and answer.model != self._model and answer.model not in self.answered_as:
            self.answered_as.add(answer.model)
            say(f"{url}: {answer.model} answers (asked: {self._model}); run.json has both names")

    def with_end(self, answer: Answer, url: str, *, max_tokens: int, room: float | None) -> Answer:
        """The answer to a request with a limit, with the end that it must have had.

        `room` is the model's context length, where it is known. Says where the endpoint has a limit of
        its own.
        """
        if not answer.usage_known:
            return answer
        done, room = answer.completion, room or math.inf
        used = done.completion_tokens
        if done.finish_reason in ("stop", "unknown") and used == max_tokens >= SURE_LIMIT:
            words = f"{url} calls answers of exactly {used:,} tokens, the limit, finished: they"
            self._say_once(("end", url), f"{words} are taken for cut off")
            return replace(answer, completion=replace(done, finish_reason="length"))
        if done.finish_reason == "length" and used < 0.9 * max_tokens and answer.tokens < 0.9 * room:
            words = f"{url} cut an answer off at {used:,} tokens, before --max-tokens {max_tokens:,}"
            self._say_once(("limit", url), f"{words}: see to its own limit or context (said once)")
        return answer

    def _say_once(self, about: tuple[str, str], words: str) -> None:
        if about not in self._said:
            self._said.add(about)
            say(words)


# Error codes of OpenAI that come as 429 although waiting does not help.
NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated")
# "Prompt or token limit too long" as OpenAI, vLLM, SGLang, llama-server, TGI, Together, DeepSeek, DashScope,
# Fireworks, Anthropic, Mistral, Cohere, Gemini, Bedrock, Groq, xAI, Moonshot, SambaNova and LM Studio say it.
CONTEXT_WORDS = re.compile(
    r"context[ _]?(?:length|window|size|limit)|maximum (?:input|prompt|sequence) length"
    r"|(?:prompt|input) (?:is )?too long"
    r"|(?:input|prompt|request|tokens?)\b.{0,60}\b(?:longer than|exceed(?:s|ed)?)\b"
    r".{0,60}\b(?:model|context|maximum|limit|tokens)"
    r"|`?inputs`?.{0,40}\btokens\b.{0,40}max_new_tokens|`inputs` must have less than"
    r"|range of (?:input length|max_tokens|max_completion_tokens)|valid range of max_\w*tokens"
    r"|max_\w*tokens`?:? .{0,60}\b(?:maximum|less than or equal|at most|too large|<=)"
    r"|maximum allowed number of output tokens|too many (?:input )?tokens|reduce the length of"
    r"|too large for model|prompt 超长|输入.{0,10}(?:超过|超长)",
    re.IGNORECASE | re.DOTALL,
)
# Quotas of tokens are spoken of in the same words.
_RATE_WORDS = re.compile(r"per (?:minute|day|hour)|\b[TR]P[MD]\b|\bquota\b|rate[ _]limit", re.IGNORECASE)
SURE_LIMIT = 256  # tokens: so many that an answer does not end by itself exactly there
WITHOUT_TEXT = ("length", "content_filter", "refusal", "tool_calls")
KEY_STATUS = (401, 402, 403)  # 402: the account behind the key is empty
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
TIMEOUT_STATUS = (408, 409, 425)
BUSY_STATUS = (429, 503, 529)


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Trouble:
    """Sort a reply; error text never becomes the text of an answer."""
    if 300 <= status < 400:
        target = headers.get("Location", "another address")
        return Trouble(Kind.ADDRESS, f"it redirects to {target}: give that address")
    if is_html(headers, body) and status < 500 and status not in (*TIMEOUT_STATUS, *BUSY_STATUS):
        return Trouble(Kind.HTML, f"HTTP {status} with a web page: {first_words(body)}")
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        reply = None
    if status == 200:
        return _read_answer(reply, body)
    return _read_error(status, headers, reply, body)


def read_stream(streamed: StreamedReply) -> Answer | Trouble:
    """Sort a streamed reply; one that was torn is no answer, whatever came of it."""
    if streamed.damage:
        outcome: Answer | Trouble = Trouble(
            Kind.BROKEN, f"a chunk of the stream is not valid JSON: {streamed.damage}"
        )
    elif not streamed.is_whole:
        outcome = Trouble(Kind.BROKEN, f"the stream broke off after {len(streamed.heard)} characters")
    else:
        outcome = _read_answer(streamed.whole(), b"")
    return replace(outcome, heard=streamed.heard) if isinstance(outcome, Trouble) else outcome


def _read_answer(reply: object, body: bytes) -> Answer | Trouble:
    if not isinstance(reply, dict):
        return Trouble(Kind.BROKEN, f"the reply is not valid JSON: {first_words(body)}")
    # Some gateways report errors of the server behind them with status 200.
    if reply.get("error"):
        code = _error_fields(reply).get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return _read_error(status, {}, reply, body)
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Trouble(Kind.BROKEN, "the reply holds no choices")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        return Trouble(Kind.BROKEN, "the reply holds no message")
    reason = choices[0].get("finish_reason")
    finish_reason = end_named(reason) if isinstance(reason, str) and reason else "unknown"
    if finish_reason == "interrupted":
        return Trouble(Kind.BROKEN, f"the endpoint broke off the answer (finish_reason {reason})")
    content, reasoning = message.get("content"), message_thought(message)
    text, refusal = message_text(content), message.get("refusal")
    if not text and isinstance(refusal, str) and refusal:
        text, finish_reason = refusal, "refusal"
    elif not text and (message.get("tool_calls") or message.get("function_call")):
        finish_reason = "tool_calls"  # some servers call this end normal
    # Without text: the token limit was reached while thinking, or a filter took the text away.
    is_answer = text or isinstance(content, str) or reasoning is not None or finish_reason in WITHOUT_TEXT
    if not is_answer:
        return Trouble(Kind.BROKEN, f"the reply's content is {type(content).__name__}, not text")
    usage = reply.get("usage")
    prompt_tokens, completion_tokens = (
        next((count for name in names if (count := _count(usage.get(name)))), 0)
        if isinstance(usage, dict)
        else 0
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    )
    completion = Completion(
        text=_encodable(text),
        finish_reason=finish_reason,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        reasoning=None if reasoning is None else _encodable(reasoning),
    )
    is_empty = not text and not reasoning
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    thought_tokens = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    usage_known = prompt_tokens > 0 and (completion_tokens > 0 or is_empty)
    model = reply.get("model")
    return Answer(completion, usage_known, thought_tokens or 0, model if isinstance(model, str) else "")


def _read_error(status: int, headers: Mapping[str, str], reply: object, body: bytes) -> Trouble:
    error = _error_fields(reply)
    words = str(error.get("message") or "").strip() or first_words(body, 500)
    message = f"HTTP {status}: {words[:500]}" if words else f"HTTP {status}"
    codes, param = {str(error.get("code")), str(error.get("type"))}, str(error.get("param") or "")
    if status in KEY_STATUS or codes & set(NO_QUOTA):
        return Trouble(Kind.KEY, message, status=status)
    if status == 404:
        # A key may lack the right to a model; the endpoint then says that the model does not exist.
        return Trouble(Kind.KEY if "model" in message.lower() else Kind.ADDRESS, message, status=status)
    if status in BUSY_STATUS:
        return Trouble(Kind.BUSY, message, retry_after_s(headers), status)
    if status in TIMEOUT_STATUS or status >= 500:
        return Trouble(Kind.BROKEN, message, retry_after_s(headers), status)
    if status in (400, 413, 422):
        about_length = "context_length_exceeded" in codes or param in LIMIT_FIELDS
        if about_length or (CONTEXT_WORDS.search(words) and not _RATE_WORDS.search(words)):
            return Trouble(Kind.TOO_LONG, message, status=status, param=param)
    if status < 400:  # such as 204: nothing went wrong, but there is no answer either
        return Trouble(Kind.BROKEN, message)
    kind = Kind.ADDRESS if status == 405 else Kind.REFUSED
    return Trouble(kind, message, status=status, param=param)


def _error_fields(reply: object) -> dict:
    """The error object of a reply: {"error": {...}} with OpenAI, the reply itself with some servers."""
    if not isinstance(reply, dict):
        return {}
    error = reply.get("error", reply)
    return error if isinstance(error, dict) else {"message": error}


def _count(value: object) -> int | None:
    """A number of tokens, None for what can be none: a sample with such a number could not be read again."""
    return value if type(value) is int and 0 <= value < MOST_COUNTED else None


def _encodable(text: str) -> str:
    """The text with the halves of a character joined; one that is alone cannot be stored, and is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_html(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a reply is a web page."""
    return "text/html" in headers.get("Content-Type", "").lower() or body[:100].lstrip().startswith(b"<")


def first_words(body: bytes, limit: int = 120) -> str:
    """The beginning of a reply as one line, without markup."""
    text = re.sub(
        r"<(?:script|style)\b.*?(?:</|$)|<[^>]*>", " ", body[:4000].decode("utf-8", "replace"), flags=re.S
    )
    return " ".join(text.split())[:limit]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait, from Retry-After (seconds or a date) or retry-after-ms."""
    for value, unit in ((headers.get("retry-after-ms"), 1000.0), (headers.get("Retry-After"), 1.0)):
        if value is None:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            seconds = _seconds_until(value, headers.get("Date"))
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _seconds_until(date: str, now: str | None) -> float:
    """Seconds from the endpoint's own clock (its Date header, else ours) to a date; -1 when it is none."""
    try:
        until = _in_utc(parsedate_to_datetime(date))
        started = _in_utc(parsedate_to_datetime(now)) if now else datetime.now(UTC)
    except (ValueError, TypeError):
        return -1.0
    return max(0.0, (until - started).total_seconds())


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
