"""How are requests answered by OpenAI-compatible endpoints, none lost whatever the endpoints do?

One event loop in a thread of its own does the asking; `generate` pulls requests and yields results in the
caller's thread. HTTP is spoken through aiohttp: with 512 requests in flight it takes 0.5 ms of CPU a request,
the openai package 6.5 ms, as its pool looks at every connection each time; and retries are ours anyway.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import random
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections import OrderedDict, deque
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from util.engines.api_quirks import api_quirks
from util.engines.dispatch import (
    MOST_CONCURRENCY,
    START_CONCURRENCY,
    AdaptiveLimit,
    Dispatcher,
    Endpoint,
    Lease,
)
from util.engines.openai_replies import Answer, Kind, Trouble, read_reply
from util.errors import RunStopped, UserError
from util.keys import Key, KeyPool, environment_keys, no_keys, read_keys
from util.records import Completion, Failure, Request

if TYPE_CHECKING:
    from util.engines import EngineOptions

logger = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "https://api.openai.com/v1"
IDLE_S = 0.05  # how soon the source is asked again after it had nothing to ask
MOST_BROKEN = 8  # bad replies to one request before it is given up, when others are answered meanwhile
MOST_REPEATS = (
    8  # answers that came before already, beyond twice the new ones, until the ids are not believed
)
MOST_REFUSED = 20  # refused requests before any answer: something is wrong with all of them
MOST_PAGES = 3  # web pages from an endpoint before any proper reply
MOST_WAIT_S = 60.0
MOST_REST_S = 5.0  # between probes of an endpoint that is gone: when it is back, it shall not wait for us
CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 3.0  # less than servers keep idle connections (uvicorn: 5 s), so that none closes as we send
PROBE_TIMEOUT_S = 30.0
MOST_REPLY_BYTES = 256 * 2**20
KEPT_IDS = 4096

Outcome = Completion | Failure
ADDRESS_HINT = "is the address right? It usually ends in /v1"
_END = object()


@dataclass(frozen=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class _Tries:
    """What happened to one request so far."""

    dice: random.Random  # for the jitter of its waits
    broken: int = 0
    broken_at: float | None = None  # when the first bad reply came
    busy: int = 0
    with_limit: bool = True  # whether to say how long the answer may be
    limit_sent: bool = True  # whether the last try said it


def open_openai_engine(options: EngineOptions) -> OpenAIEngine:
    """The engine that a script's options describe; engine_args that are not its own go into each request."""
    extra = dict(options.engine_args)
    own = {
        name: extra.pop(name)
        for name in ("request_timeout_s", "retry_for_s", "rpm", "tpm")
        if extra.get(name) is not None
    }
    return OpenAIEngine(
        model=options.model.removeprefix("openai/"),
        api_base=options.api_base,
        keys=read_keys(options.keys_file) if options.keys_file else None,
        concurrency=options.concurrency,
        top_p=options.top_p,
        top_k=options.top_k,
        min_p=options.min_p,
        stop=options.stop,
        extra=extra,
        **own,
    )


class OpenAIEngine:
    """Asks one or several OpenAI-compatible endpoints; each request ends once, as Completion or Failure."""

    def __init__(
        self,
        *,
        model: str,
        api_base: tuple[str, ...] = (),
        keys: KeyPool | None = None,
        concurrency: int | None = None,  # most requests in flight; None finds out what the endpoints take
        top_p: float = 1.0,
        top_k: int = -1,
        min_p: float = 0.0,
        stop: tuple[str, ...] = (),
        request_timeout_s: float = 7200.0,
        retry_for_s: float = 1800.0,  # the run stops after so long without any answer
        rpm: float | None = None,
        tpm: float | None = None,
        extra: dict | None = None,  # further fields of each request body
        backoff_s: float = 1.0,  # the first wait after a bad reply; doubles up to a minute
    ) -> None:
        for name, value in (("concurrency", concurrency), ("rpm", rpm), ("tpm", tpm)):
            if value is not None and value <= 0:
                raise UserError(f"{name} must be positive, not {value}")
        urls = [
            _base_url(url) for url in api_base or (os.environ.get("OPENAI_BASE_URL") or DEFAULT_ENDPOINT,)
        ]
        keys = keys or environment_keys()
        if keys is None:
            if DEFAULT_ENDPOINT in urls:
                raise UserError(
                    f"{DEFAULT_ENDPOINT} needs an API key: set OPENAI_API_KEY or give --keys FILE"
                )
            keys = no_keys()
        self._model = model
        self._quirks = api_quirks(model)
        self._fields = _shared_fields(model, self._quirks.sampling, top_p, top_k, min_p, stop)
        self._extra = dict(extra or {})
        self._request_timeout_s = request_timeout_s
        self._retry_for_s = retry_for_s
        self._backoff_s = backoff_s
        self._keys = keys
        start, most = (
            (START_CONCURRENCY, MOST_CONCURRENCY) if concurrency is None else (concurrency, concurrency)
        )
        endpoints = [Endpoint(url, AdaptiveLimit(start, most), _proxy(url)) for url in dict.fromkeys(urls)]
        self._dispatcher = Dispatcher(endpoints, keys, most=concurrency, rpm=rpm, tpm=tpm)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._results: queue.SimpleQueue[tuple[Request, Outcome] | None] = queue.SimpleQueue()
        self._stopped: BaseException | None = None
        self._finish_outstanding = False
        self._backing_off = 0
        self._answers = 0
        self._refused = 0
        self._failing_since: float | None = None
        self._answered_at = float("-inf")
        self._mean_tokens: float | None = None
        self._said: set[tuple] = set()
        # Answers of late: id -> hash of the text; None once it is known that the endpoints' ids say nothing.
        self._seen: OrderedDict[str, int] | None = OrderedDict()
        self._repeats = 0

    # The caller's thread

    def generate(self, requests: Iterable[Request | None]) -> Iterator[tuple[Request, Outcome]]:
        """Yield each request with what became of it, in order of completion.

        `requests` is pulled in the caller's thread, as far as there is room; None says "nothing now".
        """
        self._open()
        source, ready, unfinished, exhausted = iter(requests), deque(), 0, False
        try:
            while self._stopped is None:
                pause_s = 0.5  # room may come without a result: when a request waits to be asked again
                while not exhausted and self._has_room(unfinished, len(ready)):
                    request = next(source, _END)
                    if request is None:
                        pause_s = IDLE_S
                        break
                    if request is _END:
                        exhausted = True
                    else:
                        self._loop.call_soon_threadsafe(self._begin, request)
                        unfinished += 1
                if not ready and not unfinished:
                    if exhausted:
                        return
                    time.sleep(IDLE_S)
                    continue
                unfinished -= self._collect(ready, 0.0 if ready else pause_s)
                if ready:
                    yield ready.popleft()
            while self._finish_outstanding and self._dispatcher.leases:
                self._collect(ready, pause_s)
                while ready:
                    yield ready.popleft()
            yield from self._finished(ready)
            raise self._stopped
        except KeyboardInterrupt:
            # What is finished is kept: it is handed over before the interrupt goes on its way.
            yield from self._finished(ready)
            raise
        finally:
            if self._thread is not None:
                self._call(self._abandon())

    def close(self) -> None:
        """End the event loop and all connections."""
        if self._thread is None:
            return
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def _open(self) -> None:
        if self._thread is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-engine", daemon=True)
        self._thread.start()
        self._call(self._begin_session())

    def _call(self, coroutine: Coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _has_room(self, unfinished: int, ready: int) -> bool:
        """Whether to pull one more: requests waiting to be asked again leave room, a slow caller takes it."""
        capacity = self._dispatcher.capacity()
        return unfinished < capacity + min(self._backing_off, capacity) and unfinished + ready < 2 * capacity

    def _collect(self, ready: deque[tuple[Request, Outcome]], wait_s: float) -> int:
        """Move finished results to `ready`, waiting for the first; returns how many."""
        before = len(ready)
        try:
            result = self._results.get(timeout=wait_s) if wait_s else self._results.get_nowait()
            while True:
                if result is not None:
                    ready.append(result)
                result = self._results.get_nowait()
        except queue.Empty:
            return len(ready) - before

    def _finished(self, ready: deque[tuple[Request, Outcome]]) -> list[tuple[Request, Outcome]]:
        """Whatever is finished and was not handed over yet."""
        self._call(
            asyncio.sleep(0)
        )  # tasks that ended in this turn of the loop put their results into the queue
        self._collect(ready, 0.0)
        return list(ready)

    # The event loop's thread

    async def _begin_session(self) -> None:
        import aiohttp

        _allow_open_files(2 * MOST_CONCURRENCY * len(self._dispatcher.endpoints))

        class Connector(aiohttp.TCPConnector):
            """Leaves a kept connection on which more came than was asked for."""

            async def connect(self, *args, **kwargs):
                while (connection := await super().connect(*args, **kwargs)).protocol.should_close:
                    connection.close()
                return connection

        keeping = Connector(limit=0, keepalive_timeout=KEEP_ALIVE_S, socket_factory=_socket)
        single = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_socket)
        self._session, self._single_use = (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            for connector in (keeping, single)
        )

    async def _abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._results = queue.SimpleQueue()

    async def _end(self) -> None:
        await self._abandon()
        await self._session.close()
        await self._single_use.close()

    def _begin(self, request: Request) -> None:
        if not self._tasks:
            self._failing_since = None  # what failed before the pause does not count
        results = self._results

        def ended(task: asyncio.Task[Outcome]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                return
            if task.exception() is None:
                results.put((request, task.result()))
            elif self._stopped is None:
                self._stopped = task.exception()  # raised again in the caller's thread
                results.put(None)  # wakes the caller

        task = self._loop.create_task(self._ask(request))
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _ask(self, request: Request) -> Outcome:
        """Ask until there is an answer, or no hope of one."""
        tries = _Tries(
            random.Random(f"{request.problem_id} {request.temperature} {request.index} {request.seed}")
        )
        while True:
            outcome = await self._try(request, tries)
            if isinstance(outcome, Answer):
                return outcome.completion
            if outcome.kind is Kind.REFUSED:
                self._count_refused(outcome)
                return Failure(outcome.message)
            if outcome.kind is Kind.TOO_LONG:
                if not tries.limit_sent:
                    return Completion("", "prompt_too_long", 0, 0)
                tries.with_limit = False  # the endpoint then takes what room the prompt leaves
            elif outcome.kind in (Kind.BROKEN, Kind.HTML):
                tries.broken += 1
                tries.broken_at = tries.broken_at or self._loop.time()
                if tries.broken >= MOST_BROKEN and self._answered_at > tries.broken_at:
                    return Failure(f"{tries.broken} bad replies, the last: {outcome.message}")
                await self._back_off(tries.broken, tries.dice)
            elif outcome.kind is Kind.BUSY and outcome.wait_s is None:
                tries.busy += 1
                await self._back_off(tries.busy, tries.dice)

    async def _try(self, request: Request, tries: _Tries) -> Answer | Trouble:
        """Ask once, as soon as an endpoint and a key are free, and take note of what it says about them."""
        lease = await self._dispatcher.acquire(self._expected_tokens(request))
        tokens_used = None
        try:
            outcome = await self._send(lease, request, tries)
            if isinstance(outcome, Answer):
                tokens_used = outcome.completion.prompt_tokens + outcome.completion.completion_tokens
                if self._belongs_to_another(outcome):
                    self._dispatcher.distrust(lease)
                if lease.suspect:
                    outcome = Trouble(Kind.BROKEN, f"answer {outcome.id} was another request's already")
            elif outcome.kind in (Kind.ADDRESS, Kind.HTML) and lease.endpoint.proven:
                outcome = replace(outcome, kind=Kind.BROKEN)  # from whatever stands in front of it
            self._note(lease, outcome)
        finally:
            self._dispatcher.release(lease, tokens_used)
        return outcome

    async def _back_off(self, times: int, dice: random.Random) -> None:
        self._backing_off += 1
        try:
            await asyncio.sleep(self._wait_s(times) * dice.uniform(0.5, 1.0))
        finally:
            self._backing_off -= 1

    def _wait_s(self, times: int) -> float:
        return min(MOST_WAIT_S, self._backoff_s * 2 ** min(times - 1, 30))

    def _expected_tokens(self, request: Request) -> float:
        """A guess at what a request will use, for the token limit; corrected when the answer is there."""
        if self._mean_tokens is not None:
            return self._mean_tokens
        return sum(len(message["content"]) for message in request.messages) / 4 + request.max_tokens

    async def _send(self, lease: Lease, request: Request, tries: _Tries) -> Answer | Trouble:
        endpoint = lease.endpoint
        if endpoint.to_probe:
            trouble = await self._probe(endpoint, lease.key)
            if trouble is not None:
                return trouble
        # vLLM refuses a limit that is more than its context; without one it takes what room there is.
        tries.limit_sent = tries.with_limit and (endpoint.room is None or request.max_tokens < endpoint.room)
        body = json.dumps(self._body(request, tries.limit_sent)).encode()
        reply = await self._exchange(endpoint, lease.key, "/chat/completions", body, self._request_timeout_s)
        return read_reply(reply.status, reply.headers, reply.body) if isinstance(reply, _Reply) else reply

    def _body(self, request: Request, with_limit: bool) -> dict:
        messages = request.messages if self._quirks.system_role else _without_system(request.messages)
        body = {**self._fields, "messages": messages, "seed": request.seed}
        if self._quirks.sampling:
            body["temperature"] = request.temperature
        if with_limit:
            body[self._quirks.limit_field] = request.max_tokens
        return {**body, **self._extra}

    async def _probe(self, endpoint: Endpoint, key: Key) -> Trouble | None:
        """Look whether anybody is there, and what vLLM says of its models."""
        reply = await self._exchange(endpoint, key, "/models", None, PROBE_TIMEOUT_S)
        if isinstance(reply, Trouble):
            return Trouble(Kind.AWAY, reply.message)
        if reply.status in (502, 503, 504):
            return Trouble(Kind.AWAY, f"HTTP {reply.status}")
        models = {model["id"]: model["max_model_len"] for model in _models_with_room(reply)}
        if models and self._model not in models:
            served = ", ".join(sorted(models))
            raise UserError(f"{endpoint.url} does not serve the model {self._model!r}: it serves {served}")
        endpoint.room = models.get(self._model)
        if endpoint.rests:
            logger.warning("%s is back", endpoint.url)
        self._dispatcher.answered(endpoint)
        return None

    async def _exchange(
        self, endpoint: Endpoint, key: Key, path: str, body: bytes | None, timeout_s: float
    ) -> _Reply | Trouble:
        """One HTTP request and its whole reply."""
        import aiohttp

        headers = {"Authorization": f"Bearer {key.secret}"} if key.secret else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        session = self._session if endpoint.keeps_apart else self._single_use
        try:
            async with session.request(
                "GET" if body is None else "POST",
                endpoint.url + path,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=endpoint.proxy,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            ) as response:
                reply = await _whole(response)
                if response.status != 200 and key.secret:
                    reply = reply.replace(
                        key.secret.encode(), key.tail.encode()
                    )  # some repeat what they refuse
                return _Reply(response.status, response.headers, reply)
        except aiohttp.ClientConnectorCertificateError as error:
            raise UserError(
                f"{endpoint.url} has a certificate that is not trusted: {error.certificate_error}"
            ) from error
        except aiohttp.ClientConnectorDNSError as error:
            if error.os_error.errno == socket.EAI_NONAME and not self._answers:
                raise UserError(
                    f"there is no host {error.host!r}: check the address {endpoint.url}"
                ) from error
            return Trouble(Kind.AWAY, f"the name {error.host} is not resolved")
        except aiohttp.ClientConnectorError as error:
            return Trouble(Kind.AWAY, error.os_error.strerror or str(error))
        except aiohttp.ConnectionTimeoutError:
            return Trouble(Kind.AWAY, f"no connection within {CONNECT_TIMEOUT_S:g} s")
        except asyncio.TimeoutError:
            return Trouble(Kind.BROKEN, f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientError, ConnectionError) as error:
            return Trouble(Kind.BROKEN, f"the connection broke ({type(error).__name__}: {error})")

    # What a try says about the endpoint, the key and the run

    def _note(self, lease: Lease, outcome: Answer | Trouble) -> None:
        """Remember what an outcome says; raises what ends the run."""
        if isinstance(outcome, Answer):
            self._note_answer(lease.endpoint, outcome)
        elif outcome.kind is Kind.KEY:
            self._drop_key(lease, outcome)
        elif outcome.kind is Kind.ADDRESS:
            raise UserError(f"{lease.endpoint.url}/chat/completions: {outcome.message}; {ADDRESS_HINT}")
        elif outcome.kind in (Kind.TOO_LONG, Kind.REFUSED):
            self._note_alive(lease.endpoint)
        else:
            self._note_failure(lease, outcome)

    def _note_alive(self, endpoint: Endpoint) -> None:
        endpoint.failures = 0
        endpoint.proven = True
        self._failing_since = None

    def _note_answer(self, endpoint: Endpoint, answer: Answer) -> None:
        self._note_alive(endpoint)
        if endpoint.full:
            endpoint.limit.succeeded()
        self._answers += 1
        self._answered_at = self._loop.time()
        tokens = answer.completion.prompt_tokens + answer.completion.completion_tokens
        self._mean_tokens = tokens if self._mean_tokens is None else 0.95 * self._mean_tokens + 0.05 * tokens
        if not answer.usage_known:
            self._say_once(("usage", endpoint.url), f"{endpoint.url} does not say how many tokens it used")

    def _note_failure(self, lease: Lease, trouble: Trouble) -> None:
        endpoint, now = lease.endpoint, self._loop.time()
        self._say_once(
            (trouble.kind, endpoint.url, trouble.message[:12]),
            f"{endpoint.url}: {trouble.message} (asking again; said once)",
        )
        endpoint.failures += 1
        if trouble.kind is Kind.AWAY:
            endpoint.to_probe = True
            endpoint.rests += 1
            self._dispatcher.rest(endpoint, min(MOST_REST_S, self._wait_s(endpoint.rests)))
        elif len(self._dispatcher.endpoints) > 1 and endpoint.failures >= 3:
            # It would draw all requests otherwise: who fails fast has the fewest in flight.
            self._dispatcher.rest(endpoint, min(MOST_REST_S, self._wait_s(endpoint.failures - 2)))
            endpoint.limit.too_much(lease.sent_at, now)
        if trouble.kind is Kind.BUSY:
            endpoint.limit.too_much(lease.sent_at, now)
            if trouble.wait_s is None and len(self._keys) > 1:
                self._keys.rest(lease.key, self._backoff_s)
        if trouble.wait_s is not None:
            self._rest_as_asked(lease, trouble)
        if trouble.kind is Kind.HTML:
            endpoint.pages += 1
            if endpoint.pages >= MOST_PAGES:
                raise UserError(f"{endpoint.url} is no API, it answers {trouble.message!r}: {ADDRESS_HINT}")
        self._stop_if_hopeless(lease, trouble, now)

    def _rest_as_asked(self, lease: Lease, trouble: Trouble) -> None:
        """Rest the key that was used too much, or the endpoint that has too much to do."""
        if trouble.status == 429 and len(self._keys) > 1:
            self._keys.rest(lease.key, trouble.wait_s)
        else:
            self._dispatcher.rest(lease.endpoint, trouble.wait_s)
        if self._dispatcher.wait_s() > self._retry_for_s:
            self._finish_outstanding = True
            raise RunStopped(
                f"{lease.endpoint.url} asks to wait {trouble.wait_s:.0f} s, more than a run waits "
                f"({self._retry_for_s:.0f} s); what is finished is kept, the same command goes on"
            )

    def _stop_if_hopeless(self, lease: Lease, trouble: Trouble, now: float) -> None:
        """Stop after long enough without any answer, unless some request may still be at work."""
        if self._failing_since is None:
            self._failing_since = now
        others = (other for other in self._dispatcher.leases.values() if other is not lease)
        oldest = min((other.sent_at for other in others), default=now)
        if now - self._failing_since < self._retry_for_s or now - oldest >= self._retry_for_s / 2:
            return
        urls = ", ".join(endpoint.url for endpoint in self._dispatcher.endpoints)
        raise RunStopped(
            f"no answer from {urls} for {self._retry_for_s:g} s, the last try: {trouble.message}; "
            "what is finished is kept, the same command goes on"
        )

    def _drop_key(self, lease: Lease, trouble: Trouble) -> None:
        url = lease.endpoint.url
        self._keys.drop(lease.key, trouble.message)
        if len(self._keys):
            return
        if trouble.status == 404:
            problem = f"{url} does not know the model {self._model!r}: {trouble.message}"
        elif self._keys.anonymous:
            problem = f"{url} wants an API key ({trouble.message}): set OPENAI_API_KEY or give --keys FILE"
        else:
            problem = f"{url} accepts none of the API keys: {'; '.join(self._keys.reasons)}"
        if self._answers:
            self._finish_outstanding = True
            raise RunStopped(f"{problem}; what is finished is kept, the same command goes on")
        raise UserError(problem)

    def _count_refused(self, trouble: Trouble) -> None:
        self._refused += 1
        if not self._answers and self._refused >= MOST_REFUSED:
            raise UserError(
                f"the first {self._refused} requests were all refused, the last: {trouble.message}"
            )

    def _belongs_to_another(self, answer: Answer) -> bool:
        """Whether this very answer was another request's: then something went wrong on the way."""
        if self._seen is None or not answer.id:
            return False
        text = hash(answer.completion.text)
        if answer.id not in self._seen:
            self._seen[answer.id] = text
            if len(self._seen) > KEPT_IDS:
                self._seen.popitem(last=False)
            return False
        self._repeats += 1
        if self._seen[answer.id] != text or self._repeats > MOST_REPEATS + 2 * len(self._seen):
            self._seen = None  # the endpoint names different answers alike: its ids say nothing
            return False
        return True

    def _say_once(self, about: tuple, message: str) -> None:
        if about not in self._said:
            self._said.add(about)
            logger.warning("%s", message)


def _base_url(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        usable = False
    if not usable:
        raise UserError(f"{url!r} is no address of an endpoint: it looks like http://HOST:PORT/v1")
    return url.rstrip("/").removesuffix("/chat/completions")


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for `url`."""
    parts = urllib.parse.urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _shared_fields(
    model: str, sampling: bool, top_p: float, top_k: int, min_p: float, stop: tuple[str, ...]
) -> dict:
    """The fields that are the same in each request; what OpenAI does not know is only sent when it is set."""
    fields: dict = {"model": model}
    if sampling:
        fields["top_p"] = top_p
    if top_k > 0:
        fields["top_k"] = top_k
    if min_p > 0:
        fields["min_p"] = min_p
    if stop:
        fields["stop"] = list(stop)
    return fields


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages with the system text in front of the first user message."""
    system = [
        message["content"] for message in messages if message["role"] == "system" and message["content"]
    ]
    others = [dict(message) for message in messages if message["role"] != "system"]
    if system and others:
        others[0]["content"] = "\n\n".join([*system, others[0]["content"]])
    return others


def _models_with_room(reply: _Reply) -> list[dict]:
    """The models in a reply of /models that say their context length, as vLLM's do."""
    try:
        listing = json.loads(reply.body)
    except (ValueError, RecursionError):
        return []
    models = listing.get("data") if reply.status == 200 and isinstance(listing, dict) else None
    return [
        model
        for model in (models if isinstance(models, list) else [])
        if isinstance(model, dict)
        and isinstance(model.get("id"), str)
        and isinstance(model.get("max_model_len"), int)
    ]


async def _whole(response) -> bytes:
    """The reply's body; one that never ends is broken off."""
    import aiohttp

    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MOST_REPLY_BYTES:
            raise aiohttp.ClientPayloadError(f"the reply is longer than {MOST_REPLY_BYTES} bytes")
    return bytes(body)


def _socket(address: tuple) -> socket.socket:
    """A socket that notices within minutes that the other machine is gone, however long the answer takes."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _allow_open_files(wanted: int) -> None:
    """Raise this process's limit of open files, as far as the system lets us."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
