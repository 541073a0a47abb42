"""What does a client of a batch interface see when everything that can go wrong with it does?

A server that speaks as much of OpenAI's files and batches as a client needs. `BatchEndpoint` takes the names
of faults; each happens once, at the first occasion.
"""

from __future__ import annotations

import copy
import json
import os
import random
import re
import ssl
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CALLS = ("upload", "create", "look", "list", "fetch")
# 429 and 500 say nothing was done; a cut comes before or after it was; html and torn replies come after.
KINDS = ("429", "500", "cut_before", "cut_after", "html", "torn")
CALL_FAULTS = tuple(f"{call}:{kind}" for call in CALLS for kind in KINDS)
RESULT_FAULTS = (  # of what a batch brings; nothing is lost or paid twice for them
    "torn_once",
    "lacking_once",
    "shuffled",
    "doubled",
    "error_then_answer",
    "strange",
    "damaged_once",
    "lying_counts",
    "separators",
    "surrogates",
    "long",
    "no_last_line_end",
    "wrong_fields",
    "status_late",
)
ASKED_AGAIN = (  # whose requests are asked in another batch, as nothing was paid for
    "expired",
    "half_expired",
    "error_500",
    "error_lines_deleted",
    "errors_alone_deleted",
    "no_seed",
    "too_long",
    "full",
    "full_at_create",
    "bad_line",
    "no_metadata",
)
# What is paid for and gone, or was stopped by somebody.
LOST = ("cancelled", "output_deleted", "lacking", "renamed")
FAULTS = (*CALL_FAULTS, *RESULT_FAULTS, *ASKED_AGAIN, *LOST)


class BatchEndpoint:
    """The server in a thread of this process."""

    def __init__(self, *faults: str, seed: int = 0, page: int = 2, others: int = 3, key: str = "") -> None:
        self.faults = Counter(faults)
        self.happened: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()  # requests that were run and paid for, by their names
        self.bodies: list[dict] = []  # of all requests that were in a batch
        self.files: dict[str, bytes] = {}
        self.names: dict[str, str] = {}  # of files, as they were uploaded
        self.batches: dict[str, dict] = {}
        self.missing: dict[str, int] = {}  # path -> status: what the vendor does not have
        self.owned_by, self.room, self.stuck = "someone", None, False
        self.spells: dict[str, dict] = {}  # status -> what is said of a batch that has it
        self.page, self.key, self.dice = page, key, random.Random(seed)
        self.looks: Counter[str] = Counter()
        self.says = "answer to {}".format  # what is answered to a prompt
        for number in range(others):  # of other runs, with parts of the same numbers
            about = {"run": "other", "part": "1", "nonce": f"other-{number}"}
            name = f"batch_other_{number}"
            self.batches[name] = {"id": name, "status": "completed", "metadata": about}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def ours(self) -> list[dict]:
        return [batch for name, batch in self.batches.items() if "other" not in name]

    def __enter__(self) -> BatchEndpoint:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"endpoint": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def known(self) -> dict:
        """All that it knows now, for `know`."""
        names = ("faults", "asked", "files", "names", "batches", "looks")
        return copy.deepcopy({name: getattr(self, name) for name in names})

    def know(self, known: dict) -> None:
        """Go back to a moment at which it knew this."""
        vars(self).update(copy.deepcopy(known))

    def strikes(self, fault: str) -> bool:
        """Whether a fault happens now, which it does once."""
        if not self.faults[fault]:
            return False
        self.faults[fault] -= 1
        self.happened[fault] += 1
        return True

    # --- what is done ---

    def upload(self, content: bytes, called: str = "results") -> dict:
        name = f"file_{len(self.files)}"
        self.files[name], self.names[name] = content, called
        return {"id": name, "object": "file", "purpose": "batch", "bytes": len(content)}

    def create(self, said: dict) -> tuple[int, dict]:
        if "metadata" in said and self.strikes("no_metadata"):
            return 400, {"error": {"message": "Unknown parameter: 'metadata'.", "param": "metadata"}}
        if self.strikes("full_at_create"):
            return 429, {"error": {"message": "Enqueued token limit reached. Limit: 90,000 enqueued tokens."}}
        name = f"batch_{len(self.batches)}"
        batch = {"id": name, "object": "batch", "status": "validating", **said, "output_file_id": None}
        self.batches[name] = batch
        return 200, batch

    def look(self, name: str) -> dict:
        batch = self.batches[name]
        self.looks[name] += 1
        if batch["status"] == "validating" and self.looks[name] > 1 and not self.stuck:
            self._run(batch)
        return batch | self.spells.get(batch["status"], {})

    def _run(self, batch: dict) -> None:
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        if self.strikes("full"):
            self._fail(batch, "token_limit_exceeded", "Enqueued token limit reached for m.")
            return
        if len(lines) > 1 and self.strikes("bad_line"):
            self._fail(batch, "invalid_value", "This prompt is against our policy", line=2)
            return
        self.bodies += [line["body"] for line in lines]
        status, left_out, refused = "completed", [], []
        if self.strikes("no_seed"):
            refused = [(line, 400, "Unsupported parameter: 'seed' is not supported") for line in lines]
        elif self.strikes("too_long"):
            words = "This model's maximum context length is 10 tokens. However, you want more"
            refused = [(line, 400, words) for line in lines if "max_tokens" in line["body"]]
        elif self.strikes("error_500"):
            refused = [(line, 500, "The server had an error") for line in lines[::2]]
        elif self.strikes("errors_alone_deleted"):
            refused = [(line, 500, "The server had an error") for line in lines]
            batch["error_file_id"] = "file_gone"
        elif self.strikes("error_lines_deleted"):
            refused = [(line, 500, "The server had an error") for line in lines[::2]]
            batch["error_file_id"] = "file_gone"
        for fault, share in (("expired", 1), ("half_expired", 2), ("cancelled", 2)):
            if self.strikes(fault):
                status, left_out = fault.removeprefix("half_"), lines[::share]
        kept = [line for line in lines if line not in left_out and line not in [one for one, *_ in refused]]
        self.asked.update(line["custom_id"] for line in kept)
        code = f"batch_{status}"
        errors = [_line(line["custom_id"], None, {"code": code, "message": code}) for line in left_out]
        errors += [
            _line(line["custom_id"], {"status_code": number, "body": {"error": {"message": words}}})
            for line, number, words in refused
        ]
        batch["status"] = status
        if self.strikes("status_late"):
            batch["status"] = "resting"  # a state that nobody has heard of
            self.looks[batch["id"]] = 0
            later = threading.Timer(0.01, lambda: batch.update(status=status))
            later.start()
        if kept:
            batch["output_file_id"] = self.upload(self._output(kept))["id"]
        if errors and "error_file_id" not in batch:
            batch["error_file_id"] = self.upload(b"".join(errors))["id"]
        batch["request_counts"] = {"total": len(lines), "completed": len(kept), "failed": len(errors)}
        if self.strikes("lying_counts"):
            batch["request_counts"] = {"total": -1, "completed": "many", "failed": 10**9}
        if self.strikes("wrong_fields"):
            batch |= {"request_counts": [1], "errors": "none", "metadata": 7, "created_at": "yesterday"}
        if self.strikes("output_deleted"):
            del self.files[batch["output_file_id"]]

    def _fail(self, batch: dict, code: str, words: str, line: int | None = None) -> None:
        problem = {"code": code, "message": words, "line": line, "param": None}
        batch |= {"status": "failed", "errors": {"object": "list", "data": [problem]}}

    def _output(self, lines: list[dict]) -> bytes:
        found = [
            _line(line["custom_id"], {"status_code": 200, "body": self._answer(line["body"])})
            for line in lines
        ]
        if self.strikes("separators"):
            found = [line.replace(b"answer", "\u2028\u0085answer".encode()) for line in found]
        if self.strikes("surrogates"):
            found = [line.replace(b"answer", b"\\ud83d answer") for line in found]
        if self.strikes("shuffled"):
            self.dice.shuffle(found)
        if self.strikes("doubled"):
            found = [line for line in found for _ in range(2)]
        if self.strikes("error_then_answer"):
            words = {"status_code": 500, "body": {"error": {"message": "no"}}}
            found = [_line(lines[0]["custom_id"], words), *found]
        if self.strikes("strange"):
            found.insert(1, _line("nobody/0/0", {"status_code": 200, "body": self._answer(lines[0]["body"])}))
        if self.strikes("lacking"):
            del found[0]
        if self.strikes("renamed"):
            found = [line.replace(b'"custom_id": "', b'"custom_id": "request-') for line in found]
        if self.strikes("no_last_line_end"):
            found[-1] = found[-1].rstrip()
        return b"".join(found)

    def _answer(self, body: dict) -> dict:
        prompt = body["messages"][-1]["content"]
        text = self.says(prompt) + (" and so on" * 3000 if self.strikes("long") else "")
        return {
            "id": "chatcmpl-1",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": 3},
        }

    def content(self, name: str) -> bytes | None:
        content = self.files.get(name)
        if content is not None and b'"response"' in content:
            if self.strikes("torn_once"):
                return content[:-30]
            if self.strikes("lacking_once"):
                return content[content.index(b"\n") + 1 :]
            if self.strikes("damaged_once"):
                return b"\xff\xfe" + content
        return content

    def listed(self, call: str, after: str | None) -> dict:
        """A page of batches, or of files."""
        hidden = [*self.batches][-1:] if call == "list" and self.strikes("listed_late") else []
        names = [*(self.batches if call == "list" else self.names)][::-1]  # the newest first
        names = [name for name in names if name not in hidden]
        begin = names.index(after) + 1 if after else 0
        page = names[begin : begin + self.page]
        about = self.batches if call == "list" else {n: {"id": n, "filename": self.names[n]} for n in page}
        data = [about[name] for name in page]
        return {"object": "list", "data": data, "has_more": begin + self.page < len(names)}


def quick_clients(monkeypatch) -> None:
    """A fixture: reading certificates takes a tenth of a second for each client, the disk as long for each
    command."""
    monkeypatch.setattr(
        ssl, "create_default_context", lambda *_, **__: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr("util.engines.openai_batches.LISTED_AFTER_S", 0.0)


def _line(name: str, response: dict | None, error: dict | None = None) -> bytes:
    line = {"id": "r1", "custom_id": name, "response": response, "error": error}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


class _Handler(BaseHTTPRequestHandler):
    endpoint: BatchEndpoint
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = 1 << 16, True  # each reply goes out at once

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:  # noqa: N802
        self.serve(None)

    def do_POST(self) -> None:  # noqa: N802
        self.serve(self.body())

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def serve(self, body: bytes | None) -> None:
        endpoint = self.endpoint
        path, _, query = self.path.removeprefix("/v1").partition("?")
        after = re.search(r"after=([^&]*)", query)
        call = self.call_of(path, body)
        endpoint.calls[call] += 1
        if endpoint.key and self.headers.get("Authorization") != f"Bearer {endpoint.key}":
            self.send(401, {"error": {"message": f"Incorrect API key: {self.headers.get('Authorization')}"}})
        elif path in endpoint.missing:
            self.send(endpoint.missing[path], {"error": {"message": "no such thing here"}})
        elif endpoint.strikes(f"{call}:429"):
            self.send(429, {"error": {"message": "slow down"}}, **{"Retry-After": "1"})
        elif endpoint.strikes(f"{call}:500"):
            self.send(500, {"error": {"message": "something broke"}})
        elif endpoint.strikes(f"{call}:cut_before"):
            self.cut()
        else:
            status, said = self.done(call, path, body, after[1] if after else None)
            if endpoint.strikes(f"{call}:cut_after"):
                self.cut()
            elif endpoint.strikes(f"{call}:html"):
                self.send(502, b"<html><body>Bad gateway</body></html>")
            elif endpoint.strikes(f"{call}:torn"):
                self.send(status, said, torn=True)
            else:
                self.send(status, said)

    def call_of(self, path: str, body: bytes | None) -> str:
        if path == "/files" and body is None:
            return "files"
        if path.startswith("/files"):
            return "fetch" if body is None else "upload"
        if path.startswith("/batches"):
            if path == "/batches":
                return "list" if body is None else "create"
            return "look"
        return "models"

    def done(self, call: str, path: str, body: bytes | None, after: str | None) -> tuple[int, dict | bytes]:
        endpoint = self.endpoint
        if call == "upload":
            name, _, part = body.split(b'filename="', 1)[1].partition(b"\r\n\r\n")
            return 200, endpoint.upload(part.partition(b"\r\n--")[0], name.partition(b'"')[0].decode())
        if call == "create":
            return endpoint.create(json.loads(body))
        if call in ("list", "files"):
            return 200, endpoint.listed(call, after)
        if call == "models":
            model = {"id": "test-model", "owned_by": endpoint.owned_by, "max_model_len": endpoint.room}
            return 200, {"object": "list", "data": [model]}
        name = path.split("/")[2]
        known = endpoint.content(name) if call == "fetch" else endpoint.batches.get(name)
        if known is None:
            return 404, {"error": {"message": f"No such object: {name}"}}
        return 200, known if call == "fetch" else endpoint.look(name)

    def send(self, status: int, said: dict | bytes, torn: bool = False, **headers: str) -> None:
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        kind = "text/html" if content.startswith(b"<") else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if torn else content)
        self.close_connection = torn

    def cut(self) -> None:
        self.close_connection = True
