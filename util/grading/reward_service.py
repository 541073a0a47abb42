"""How do many callers get rewards from one pool of graders, over a pipe or over HTTP?

Open a `RewardService` and `ask` it; `answer_lines` and `serve_http` do so for whoever sends JSON.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import select
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, BinaryIO

from util.errors import UserError
from util.grading.pool import GradingPool
from util.grading.rewards import START_S, BadCall, Kind, RewardGrader, answer_of, read_call, refusal
from util.machines.versions import suite_version
from util.terminal import say

if TYPE_CHECKING:
    from aiohttp import web

MOST_CALLS = 512  # in one request
MOST_CONNECTIONS = 256
MOST_PENDING = 1024  # calls that are being answered over HTTP: a pool has room for so many
_ID = re.compile(rb'\{"id": (\d{1,18})\b')  # as rewards.py begins each line
READ_S = 30.0  # within which a client has to have sent its request


class RewardService:
    """Graders that live as long as it is open; may be asked from any thread."""

    def __init__(self, kinds: Mapping[str, Kind], *, workers: int, timeout_s: float, isolation: str) -> None:
        self.kinds, self.suite = kinds, suite_version()
        self._timeout_s = timeout_s
        grader = RewardGrader(kinds, program_s=timeout_s, isolation=isolation)
        # A trainer waits for its rewards: they are not what gives way to everything else.
        self._pool = GradingPool(workers, grader, niceness=0)
        self._submitted = threading.Semaphore(0)
        self._is_closing = False
        self._collector = threading.Thread(target=self._collect, name="rewards", daemon=True)

    def __enter__(self) -> RewardService:
        self._pool.__enter__()
        self._collector.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._is_closing = True
        self._submitted.release()  # the collector ends
        self._pool.__exit__(*error)
        self._collector.join()

    @property
    def pending(self) -> int:
        return self._pool.pending

    def ask(self, message: object) -> Future[dict[str, Any]]:
        """The answer to one call, when it is there; waits while very many are pending."""
        future: Future[dict[str, Any]] = Future()
        try:
            call = read_call(message, self.kinds)
        except BadCall as error:
            future.set_result(self.refused(str(error)))
            return future
        seconds = self._timeout_s + (START_S if self.kinds[call.kind].is_code else 0.0)
        self._pool.submit(future, call, seconds)
        self._submitted.release()
        return future

    def refused(self, why: str) -> dict[str, Any]:
        return {**refusal(why), "suite": self.suite}

    def _collect(self) -> None:
        try:
            while self._submitted.acquire() and not self._is_closing:
                for number, (future, verdict) in enumerate(self._pool.completed(block=True)):
                    if number:
                        self._submitted.acquire()
                    future.set_result({**answer_of(verdict), "suite": self.suite})
        finally:  # nobody would ever be answered again
            if not self._is_closing:
                say(traceback.format_exc())
                os._exit(1)


# ---------------------------------------------------------------- over a pipe


def answer_lines(service: RewardService, calls: BinaryIO, answers: BinaryIO) -> None:
    """Answer each line of `calls`, a call as JSON, with a line that has the same `id`, as soon as it can."""
    lock, done = threading.Lock(), threading.Semaphore(0)

    def write(name: object, future: Future[dict[str, Any]]) -> None:
        line = json.dumps({"id": name, **future.result()}).encode() + b"\n"
        with lock:
            try:
                answers.write(line)
                answers.flush()
            except OSError:  # whoever asked is gone
                pass
        done.release()

    asked = 0
    for line in calls:
        if not line.strip():
            continue
        name: object = None
        future: Future[dict[str, Any]] = Future()
        try:
            message = json.loads(line)
            name = message.get("id") if isinstance(message, dict) else None
            future = service.ask(message)
        except (ValueError, RecursionError) as error:  # nested too deeply for this Python, for example
            found = _ID.match(line)
            name = int(found[1]) if found else None
            future.set_result(service.refused(f"a line is no JSON: {error}"))
        asked += 1
        future.add_done_callback(partial(write, name))
    for _ in range(asked):
        done.acquire()


def end_with(process: int) -> None:
    """End this process as soon as that one ends, however that ends: its pipes may be held open by others.

    Raises UserError when there is no such process.
    """
    try:
        handle = os.pidfd_open(process)
    except OSError as error:
        raise UserError(f"--parent {process}: there is no such process ({error.strerror})") from error

    def wait() -> None:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll()
        os._exit(1)  # workers of the pool end with it

    threading.Thread(target=wait, name="parent", daemon=True).start()


# ---------------------------------------------------------------- over HTTP


def is_loopback(host: str) -> bool:
    """Whether this name or address can be this machine's own alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Door(asyncio.Protocol):
    """What a connection meets where there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Http:
    """The requests that are answered, and what clients may not do."""

    def __init__(
        self, service: RewardService, *, token: str | None, undecided: float | None, request_bytes: int
    ) -> None:
        self._service, self._undecided, self._request_bytes = service, undecided, request_bytes
        self._token = None if token is None else f"Bearer {token}".encode()
        self.silent: set[object] = set()  # new connections that have not sent the head of a request yet
        self._pending = 0

    async def health(self, request: web.Request) -> web.Response:
        """What answers here; tells nobody else anything."""
        refused = self._refused(request)
        if refused is not None:
            return refused
        tasks = sorted(self._service.kinds)
        return _json({"suite": self._service.suite, "pending": self._service.pending, "tasks": tasks})

    async def reward(self, request: web.Request) -> web.Response:
        """One call, or a list of them; the answers have the same form."""
        from aiohttp import web

        refused = self._refused(request)
        if refused is not None:
            return refused
        # A page in a browser on this machine cannot send this without being asked beforehand.
        if request.content_type != "application/json":
            return _json({"error": "send application/json"}, status=415)
        try:
            async with asyncio.timeout(READ_S):
                body = json.loads(await request.read())
        except TimeoutError:
            return _json({"error": f"the request was not there within {READ_S:g} s"}, status=408)
        except web.HTTPRequestEntityTooLarge:
            return _json({"error": f"more than {self._request_bytes} bytes"}, status=413)
        except (ValueError, RecursionError):
            return _json({"error": "the request is no JSON"}, status=400)
        calls = body if isinstance(body, list) else [body]
        if len(calls) > MOST_CALLS:
            return _json({"error": f"more than {MOST_CALLS} calls in one request"}, status=413)
        if self._pending + len(calls) > MOST_PENDING:
            return _json({"error": "too many calls are pending"}, status=503, headers={"Retry-After": "1"})
        self._pending += len(calls)
        try:
            futures = [asyncio.wrap_future(self._service.ask(call)) for call in calls]
            answers = [self._valued(answer) for answer in await asyncio.gather(*futures)]
        finally:
            self._pending -= len(calls)
        return _json(answers if isinstance(body, list) else answers[0])

    def _refused(self, request: web.Request) -> web.Response | None:
        self.silent.discard(request.protocol)
        # Without a token, a page in a browser could reach this machine under a name of its own.
        if self._token is None and not is_loopback(request.url.host or ""):
            return _json({"error": f"ask for 127.0.0.1 or localhost, not {request.host}"}, status=403)
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if self._token is not None and not hmac.compare_digest(given, self._token):
            return _json({"error": "a token is needed: Authorization: Bearer TOKEN"}, status=401)
        return None

    def _valued(self, answer: dict[str, Any]) -> dict[str, Any]:
        correct = answer["correct"]
        return {"score": self._undecided if correct is None else float(correct), **answer}


def _json(content: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    from aiohttp import web

    return web.json_response(content, status=status, headers=headers)


async def serve_http(
    service: RewardService,
    *,
    host: str,
    port: int,
    token: str | None,
    undecided: float | None,
    request_bytes: int,
    on_listening: Any,
) -> None:
    """Answer POST /reward and GET /health until this task is cancelled; `on_listening` gets the port."""
    from aiohttp import web

    http = _Http(service, token=token, undecided=undecided, request_bytes=request_bytes)
    app = web.Application(client_max_size=request_bytes)
    app.router.add_post("/reward", http.reward)
    app.router.add_get("/health", http.health)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=READ_S)
    await runner.setup()
    loop, server = asyncio.get_running_loop(), runner.server
    assert server is not None

    def connection() -> asyncio.Protocol:
        if len(server.connections) >= MOST_CONNECTIONS:
            return _Door()
        protocol = server()
        http.silent.add(protocol)
        loop.call_later(READ_S, drop_if_silent, protocol)
        return protocol

    def drop_if_silent(protocol: Any) -> None:
        if protocol in http.silent:
            http.silent.discard(protocol)
            if protocol.transport is not None:
                protocol.transport.abort()

    try:
        try:
            listener = await loop.create_server(connection, host, port)
        except OSError as error:
            raise UserError(
                f"cannot listen at {host}:{port} ({error.strerror}): choose another --port or --host"
            ) from error
        on_listening(listener.sockets[0].getsockname()[1])
        async with listener:
            await asyncio.Event().wait()
    finally:
        await runner.cleanup()
