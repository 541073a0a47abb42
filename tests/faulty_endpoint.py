"""What does a client see when everything that can go wrong with an endpoint does?

python tests/faulty_endpoint.py --port 8000 --faults '{"error_500": 0.1, "stall": 0.01}' --seed 1

A server that speaks as much of OpenAI's HTTP as a client needs: POST /v1/chat/completions and GET /v1/models.
Which requests meet which fault follows from the seed and the order of arrival. It prints its address, and at
the end what happened how often.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import signal
import socket
import struct
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial

FAULTS = (
    "rate_limited",
    "rate_limited_seconds",
    "rate_limited_date",
    "error_408",
    "error_409",
    "error_500",
    "error_502_html",
    "error_503",
    "html",
    "reset_before_headers",
    "reset_after_headers",
    "closed_without_answer",
    "stall",
    "cut_short",
    "invalid_json",
    "not_utf8",
    "error_in_200",
    "no_choices",
    "no_content",
    "wrong_usage",
    "no_usage",
    "two_choices",
    "answered_twice",
)

# What can be the matter with an answer that is streamed, or only be written in another way.
STREAM_FAULTS = (
    "stream_torn",
    "stream_reset",
    "stream_ended_early",
    "stream_torn_in_a_chunk",
    "stream_silent",
    "stream_silent_midway",
    "stream_endless_comments",
    "stream_no_usage",
    "stream_usage_everywhere",
    "stream_wrong_usage",
    "stream_no_done",
    "stream_no_finish",
    "stream_lost_end",
    "stream_no_last_line_end",
    "stream_bytewise",
    "stream_crlf",
    "stream_cr",
    "stream_comments",
    "stream_bom",
    "stream_event_lines",
    "stream_data_lines",
    "stream_no_blanks",
    "stream_bad_chunk",
    "stream_not_utf8",
    "stream_error_chunk",
    "stream_error_event",
    "stream_empty",
    "stream_nothing",
    "stream_no_text",
    "stream_two_choices",
    "stream_as_json",
    "stream_wrong_type",
    "stream_whole_message_at_end",
    "stream_null_deltas",
    "stream_aborted",
)


@dataclass(frozen=True)
class Script:
    """How the endpoint behaves."""

    faults: dict[str, float] = field(default_factory=dict)  # fault -> share of requests; "ok" for the rest
    seed: int = 0
    model: str = "test-model"
    owned_by: str = "someone"  # what /models says of its server
    adapter_of: str | None = None  # the model whose adapter `model` is
    max_model_len: int | None = None  # given: /models speaks as vLLM does, and longer prompts are refused
    has_models: bool = True
    keys: tuple[str, ...] = ()  # accepted keys; none accepts any
    spent_keys: tuple[str, ...] = ()  # keys without quota
    service_s: float = 0.0  # how long an answer takes
    slots: int | None = None  # answers at once; more are refused with 429
    queues: bool = False  # more than `slots` wait for their turn instead
    retry_after_s: float = 0.05
    reasoning: str | None = None
    refuse_containing: str | None = None  # prompts with these words are refused with 400
    refused_fields: tuple[str, ...] = ()  # a request with one of them is refused with 400
    only_streams: bool = False  # an answer that is not streamed is refused with 400
    gathers: int = 0  # nothing is answered before so many requests are in flight
    fill: str = ""  # what follows each answer; streamed word by word, in parts over service_s
    closes: str = ""  # each connection: "after" its first answer, or "before" the second, which is asked for


class FaultyEndpoint:
    """The server in a thread of this process; can be stopped and started again on the same port."""

    def __init__(self, script: Script | None = None, port: int = 0) -> None:
        self.script = script or Script()
        self.port = port or _reserve_port(self)
        self.requests: list[dict] = []  # bodies of the chat requests, in order of arrival
        self.headers: list[dict[str, str]] = []
        self.arrived: list[float] = []
        self.happened: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.keep = True  # whether bodies, headers and times are kept
        self.most_answered: int | None = None  # requests after so many are never answered
        self._random = random.Random(self.script.seed)
        self._answers = self._begun = 0
        self._waiting: deque[tuple[_Connection, str, dict]] = deque()
        self._gathered: list[Callable[[], None]] | None = [] if self.script.gathers else None
        self._fill = _fill_parts(self.script.fill)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> FaultyEndpoint:
        self._loop = asyncio.new_event_loop()
        self._connections: set[_Connection] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        listening = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=2048)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        return self

    def stop(self) -> None:
        """End as a killed process does: nobody listens, every connection is reset."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.in_flight = 0

    async def _end(self) -> None:
        self._server.close()
        own = {asyncio.current_task()}
        while self._connections or asyncio.all_tasks() - own:  # a connection that is being accepted is a task
            for connection in list(self._connections):
                connection.reset()
            await asyncio.sleep(0.01)

    def __enter__(self) -> FaultyEndpoint:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def pick(self, body: dict) -> str:
        """What happens to a request: a fault or "ok"."""
        dice = self._random.random()
        for fault, share in self.script.faults.items():
            dice -= share
            if dice < 0:
                return fault
        return "ok"

    def refusal(self, body: dict, headers: dict[str, str]) -> bytes | None:
        """What a healthy endpoint refuses, and how."""
        script, prompt = self.script, body["messages"][-1]["content"]
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if script.keys and key not in script.keys:
            return _error(401, f"Incorrect API key provided: {key[:2]}***", "invalid_api_key")
        if key in script.spent_keys:
            return _error(429, "You exceeded your current quota", "insufficient_quota")
        if body["model"] != script.model:
            return _error(404, f"The model `{body['model']}` does not exist.", "model_not_found")
        if script.refuse_containing and script.refuse_containing in prompt:
            return _error(400, "This prompt is against our policy", "content_policy_violation")
        for name in script.refused_fields:
            if name in body:
                return _error(400, f"Unsupported parameter: '{name}' is not supported", "unsupported")
        if script.only_streams and not body.get("stream"):
            return _error(400, "This model only support stream mode, please enable the stream", "invalid")
        room = script.max_model_len
        used = len(prompt.split()) + (body.get("max_tokens") or body.get("max_completion_tokens") or 1)
        if room is not None and used > room:
            return _error(
                400, f"This model's maximum context length is {room} tokens. However, you want {used}", None
            )
        if script.slots is not None and self.in_flight >= script.slots and not script.queues:
            return _error(429, "Too many requests", "rate_limit_exceeded")
        return None

    def answer(self, body: dict) -> dict:
        """The right answer: it repeats the prompt, so that a mix-up shows."""
        self._answers += 1
        prompt = body["messages"][-1]["content"]
        fill = "" if body.get("stream") else self.script.fill
        message = {"role": "assistant", "content": f"answer to {prompt}{fill}"}
        if self.script.reasoning is not None:
            message["reasoning_content"] = self.script.reasoning
        tokens = len(prompt.split())
        return {
            "id": f"chatcmpl-{self.port}-{self._answers}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": tokens, "completion_tokens": 3, "total_tokens": tokens + 3},
        }


class _Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, endpoint: FaultyEndpoint) -> None:
        self.endpoint = endpoint
        self.buffer = b""
        self.asked = 0  # chat requests

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.endpoint._connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.endpoint._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            headers[":path"] = first.split(" ")[1]
            length = int(headers.get("content-length", 0))
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.request(first, headers, body)

    def request(self, first: str, headers: dict[str, str], body: bytes) -> None:
        endpoint = self.endpoint
        self.close_after = headers.get("connection", "").lower() == "close"
        if first.startswith("GET"):
            endpoint.happened["models"] += 1
            self.send(_models(endpoint.script))
            return
        self.asked += 1
        if endpoint.script.closes == "before" and self.asked > 1:
            endpoint.happened["closed"] += 1
            self.transport.close()
            return
        self.close_after |= endpoint.script.closes == "after"
        chat = json.loads(body)
        if endpoint.keep:
            endpoint.requests.append(chat)
            endpoint.headers.append(headers)
            endpoint.arrived.append(time.monotonic())
        refused = endpoint.refusal(chat, headers)
        if refused is not None:
            endpoint.happened["refused"] += 1
            self.send(refused)
            return
        is_enough = endpoint.most_answered is not None and endpoint._begun >= endpoint.most_answered
        fault = "stall" if is_enough else endpoint.pick(chat)
        endpoint._begun += not is_enough
        endpoint.happened[fault] += 1
        if endpoint.script.queues and endpoint.in_flight >= endpoint.script.slots:
            endpoint._waiting.append((self, fault, chat))
        else:
            self.work(fault, chat)

    def work(self, fault: str, chat: dict) -> None:
        endpoint = self.endpoint
        endpoint.in_flight += 1
        endpoint.most_in_flight = max(endpoint.most_in_flight, endpoint.in_flight)
        if fault == "stall":
            return
        loop, script = asyncio.get_running_loop(), endpoint.script
        is_filled = script.fill and chat.get("stream")
        begin = partial(loop.call_later, 0 if is_filled else script.service_s, self.respond, fault, chat)
        if endpoint._gathered is None:
            begin()
            return
        endpoint._gathered.append(begin)
        if len(endpoint._gathered) == script.gathers:
            for each in endpoint._gathered:
                each()
            endpoint._gathered = None

    def respond(self, fault: str, chat: dict) -> None:
        endpoint = self.endpoint
        endpoint.in_flight -= 1
        while endpoint._waiting and endpoint.in_flight < endpoint.script.slots:
            connection, *work = endpoint._waiting.popleft()
            if connection in endpoint._connections:  # else its client has given up
                connection.work(*work)
        if fault in ("reset_before_headers", "closed_without_answer"):
            self.reset() if fault == "reset_before_headers" else self.transport.close()
            return
        reply = _faulty_reply(fault, endpoint.script)
        if reply is None and chat.get("stream") and fault in ("ok", *STREAM_FAULTS):
            if fault != "stream_as_json":
                self.stream(fault, endpoint.answer(chat))
                return
        if reply is None:
            reply = self._with_answer(fault, chat)
        if fault in ("reset_after_headers", "cut_short"):
            self.transport.write(
                reply[: reply.index(b"\r\n\r\n") + (4 if fault == "reset_after_headers" else 40)]
            )
            asyncio.get_running_loop().call_later(
                0.01, self.reset if fault == "reset_after_headers" else self.transport.close
            )
            return
        self.send(reply)

    def _with_answer(self, fault: str, chat: dict) -> bytes:
        endpoint = self.endpoint
        answer = endpoint.answer(chat)
        if fault == "no_choices":
            answer["choices"] = []
        elif fault == "no_content":
            answer["choices"][0]["message"] = {"role": "assistant", "content": None}
        elif fault == "wrong_usage":
            answer["usage"] = {"prompt_tokens": "many", "completion_tokens": -3}
        elif fault == "no_usage":
            del answer["usage"]
        elif fault == "two_choices":
            answer["choices"] *= 2
        body = json.dumps(answer).encode()
        if fault == "invalid_json":
            body = body[:-20]
        elif fault == "not_utf8":
            body = body.replace(b"answer", b"\xff\xfe")
        reply = _http(200, body)
        return reply * 2 if fault == "answered_twice" else reply

    def stream(self, fault: str, answer: dict) -> None:
        """Send an answer as server-sent events in HTTP chunks."""
        events = _events(fault, answer)
        kind = "text/plain" if fault == "stream_wrong_type" else "text/event-stream"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.transport.write(head.encode())
        is_torn = fault in ("stream_torn", "stream_reset", "stream_ended_early", "stream_silent_midway")
        if is_torn or fault == "stream_torn_in_a_chunk":
            events = events[:3]
        if fault == "stream_torn_in_a_chunk":
            events[-1] = events[-1][:20]
        if fault == "stream_lost_end":
            events = events[:-2]
        if fault in ("stream_silent", "stream_nothing"):
            events = []
        if fault == "stream_endless_comments":
            self._comment_for_ever()
            return
        if self.endpoint._fill:
            end = events[-3:]
            self._send_parts([_chunks(events[:-3]), *self.endpoint._fill, _chunks([*end, b""])])
            return
        data = b"".join(events)
        pieces = [data[at : at + 1] for at in range(len(data))] if fault == "stream_bytewise" else events
        for piece in pieces:
            self.transport.write(_chunks([piece]))
        if fault in ("stream_silent", "stream_silent_midway"):
            return
        if fault in ("stream_reset", "stream_lost_end"):
            asyncio.get_running_loop().call_later(0.01, self.reset)
        elif fault in ("stream_torn", "stream_torn_in_a_chunk"):
            self.transport.close()
        else:
            self.send(b"0\r\n\r\n")

    def _send_parts(self, parts: list[bytes], number: int = 0) -> None:
        if not self.transport.is_closing():
            self.transport.write(parts[number])
            if number + 1 < len(parts):
                wait_s = self.endpoint.script.service_s / (len(parts) - 1)
                asyncio.get_running_loop().call_later(wait_s, self._send_parts, parts, number + 1)

    def _comment_for_ever(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"e\r\n: keep-alive\n\n\r\n")
            asyncio.get_running_loop().call_later(0.05, self._comment_for_ever)

    def send(self, reply: bytes) -> None:
        self.transport.write(reply)
        if self.close_after:
            self.transport.close()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _events(fault: str, answer: dict) -> list[bytes]:
    """The events of a streamed answer: its role, its words, its end, its usage and that it is done."""
    choice, usage = answer["choices"][0], answer["usage"]
    base = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def chunk(delta: dict, finish_reason: str | None = None, index: int = 0) -> dict:
        return base | {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}

    message = choice["message"]
    chunks = [chunk({"role": "assistant", "content": None if fault == "stream_null_deltas" else ""})]
    for name in ("reasoning_content", "content"):
        chunks += [chunk({name: piece}) for piece in _pieces(message.get(name) or "")]
    last = choice["finish_reason"]
    if fault == "stream_no_text":
        chunks = chunks[:1]
        chunks[0]["choices"][0]["delta"].pop("content")
    elif fault == "stream_two_choices":
        chunks = [each for both in chunks for each in (both, chunk({"content": "other "}, None, 1))]
    elif fault == "stream_bad_chunk":
        chunks[2] = "{not JSON"
    elif fault == "stream_error_chunk":
        chunks[2:] = [{"error": {"message": "the engine died", "code": 500}}]
    elif fault == "stream_null_deltas":
        chunks += [base | {"choices": [{"index": 0, "delta": None}]}, base | {"choices": None}]
    if fault == "stream_aborted":
        last = "abort"
    if fault not in ("stream_no_finish", "stream_error_chunk"):
        chunks.append(chunk({}, last))
    if fault == "stream_whole_message_at_end":
        chunks[-1]["choices"][0] = {"index": 0, "message": message, "finish_reason": last}
    if fault == "stream_usage_everywhere":
        chunks = [each | {"usage": usage | {"completion_tokens": 1}} for each in chunks]
    if fault == "stream_wrong_usage":
        usage = {"prompt_tokens": -1, "completion_tokens": "many"}
    if fault != "stream_no_usage":
        chunks.append(base | {"choices": [], "usage": usage})
    written = [each if isinstance(each, str) else json.dumps(each) for each in (*chunks, "[DONE]")]
    if fault == "stream_no_done":
        written.pop()
    if fault == "stream_empty":
        written = written[-1:]
    events = [f"data: {each}\n\n" for each in written]
    if fault == "stream_crlf":
        events = [each.replace("\n", "\r\n") for each in events]
    elif fault == "stream_cr":
        events = [each.replace("\n", "\r") for each in events]
    elif fault == "stream_no_blanks":
        events = [each.replace("data: ", "data:").replace("\n\n", "\n") for each in events]
    elif fault == "stream_comments":
        events = [f": still here\n\n{each}" for each in events]
    elif fault == "stream_event_lines":
        events = [f"event: message\nid: {number}\nretry: 10\n{each}" for number, each in enumerate(events)]
    elif fault == "stream_data_lines":
        events = [each.replace(', "', ',\ndata: "') for each in events]
    elif fault == "stream_bom":
        events[0] = "\ufeff" + events[0]
    elif fault == "stream_no_last_line_end":
        events[-1] = events[-1].rstrip("\n")
    elif fault == "stream_error_event":
        events[2:] = ['event: error\ndata: {"message": "the engine died", "code": 500}\n\n']
    sent = [each.encode() for each in events]
    if fault == "stream_not_utf8":
        sent[2] = sent[2].replace(b'"content": "', b'"content": "\xff\xfe')
    return sent


def _chunks(pieces: list[bytes]) -> bytes:
    """Pieces as HTTP chunks; an empty one is the end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def _fill_parts(text: str, count: int = 20) -> list[bytes]:
    """The events of a long text in so many parts, made once."""
    chunk = {"object": "chat.completion.chunk", "created": 1700000000, "model": "test-model"}
    events = [
        f"data: {json.dumps(chunk | {'choices': [{'index': 0, 'delta': {'content': piece}}]})}\n\n".encode()
        for piece in _pieces(text)
    ]
    size = -(-len(events) // count)
    return [_chunks(events[at : at + size]) for at in range(0, len(events), size or 1)]


def _pieces(text: str) -> list[str]:
    """A text word by word."""
    words = text.split(" ")
    return [word if number == len(words) - 1 else word + " " for number, word in enumerate(words) if text]


def _faulty_reply(fault: str, script: Script) -> bytes | None:
    """The replies that hold no answer."""
    page = b"<html><head><title>Oops</title></head><body><h1>Something went wrong</h1></body></html>"
    if fault == "rate_limited":
        return _error(429, "Rate limit reached", "rate_limit_exceeded")
    if fault == "rate_limited_seconds":
        wait = f"Retry-After: {script.retry_after_s}"
        return _error(429, "Rate limit reached", "rate_limit_exceeded", wait)
    if fault == "rate_limited_date":
        now = int(time.time())
        wait = f"Date: {formatdate(now, usegmt=True)}\r\nRetry-After: {formatdate(now + 1, usegmt=True)}"
        return _error(429, "Rate limit reached", "rate_limit_exceeded", wait)
    if fault == "error_502_html":
        return _http(502, page, "text/html")
    if fault == "html":
        return _http(200, page, "text/html; charset=utf-8")
    if fault == "error_in_200":
        return _http(200, json.dumps({"error": {"message": "upstream failed", "code": 502}}).encode())
    if fault.startswith("error_"):
        return _error(int(fault.removeprefix("error_")), "something went wrong", "server_error")
    return None


def _models(script: Script) -> bytes:
    if not script.has_models:
        return _http(404, b'{"detail":"Not Found"}')
    model = {"id": script.model, "object": "model", "owned_by": script.owned_by}
    if script.max_model_len is not None:
        model |= {"owned_by": "vllm", "max_model_len": script.max_model_len}
    listed = [model]
    if script.adapter_of is not None:  # vLLM says no room of an adapter
        listed = [
            model | {"id": script.adapter_of},
            model | {"max_model_len": None, "parent": script.adapter_of},
        ]
    return _http(200, json.dumps({"object": "list", "data": listed}).encode())


def _error(status: int, message: str, code: str | None, header: str = "") -> bytes:
    body = json.dumps({"error": {"message": message, "type": code, "code": code}}).encode()
    return _http(status, body, header=header)


def _http(status: int, body: bytes, kind: str = "application/json", header: str = "") -> bytes:
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return (head + (header + "\r\n" if header else "") + "\r\n").encode() + body


def _reserve_port(owner: FaultyEndpoint) -> int:
    """A port that the system gives to nobody else while the owner is there, whether it listens or not.

    Nor may a client that asks in vain reach itself, as it may where the port is any that is free just now.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the server may have it, too
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    weakref.finalize(owner, os.close, held.detach())
    return port


def main() -> None:
    parser = argparse.ArgumentParser(description="an OpenAI-compatible endpoint with scripted faults")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; any free one by default")
    parser.add_argument(
        "--faults", type=json.loads, default={}, metavar="JSON", help="share of requests per fault"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults")
    parser.add_argument("--service-s", type=float, default=0.0, help="seconds that an answer takes")
    parser.add_argument("--slots", type=int, help="answers at once, more get 429; no limit by default")
    parser.add_argument("--gathers", type=int, default=0, help="answer nothing before so many are in flight")
    parser.add_argument("--chars", type=int, default=0, help="characters that follow each answer")
    parser.add_argument("--model", default="test-model", help="name of the model")
    args = parser.parse_args()
    fill = " word" * (args.chars // 5)
    behaviour = {"service_s": args.service_s, "slots": args.slots, "gathers": args.gathers, "fill": fill}
    script = Script(args.faults, args.seed, args.model, **behaviour)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    endpoint = FaultyEndpoint(script, args.port)
    endpoint.keep = False
    endpoint.start()
    print(endpoint.url, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    print(json.dumps(endpoint.happened | {"most_in_flight": endpoint.most_in_flight}), flush=True)


if __name__ == "__main__":
    main()
