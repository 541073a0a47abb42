"""How is a file of requests handed to an OpenAI-compatible endpoint as a batch, and its results fetched?

Call `open_batch_endpoint`. Whatever may pass is tried again; what is uncertain, such as whether a batch was
made before the connection broke, is looked up before anything is asked twice. `read_line` says what a line
of results means.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from util.engines.keys import read_keys
from util.engines.openai_addresses import proxy_for
from util.engines.openai_bodies import RETRY_FOR_S, access_to, seconds_in
from util.engines.openai_replies import Answer, Kind, Trouble, read_reply
from util.engines.openai_transport import Reply
from util.engines.openai_watch import (
    FIRST_CONTACT_S,
    KEPT,
    MOST_PAGES,
    MOST_WAIT_S,
    fills_in,
    models_in,
    patience_with,
    room_of,
)
from util.errors import RunStopped, UserError
from util.terminal import say

if TYPE_CHECKING:
    from util.engines.options import EngineOptions

PACKAGE = "openai"
MISSING = (404, 405, 410, 501)
MOST_MISSING = 3  # times that something may be said to be missing before we believe it
CALL_S = 600.0  # for a call: a file has up to 200 MB
LISTED_AFTER_S = 5.0  # a batch that was just made may not be listed yet
ENDED = ("completed", "failed", "expired", "cancelled")
# Of these OpenAI says the first four. A word that is in neither list may mean anything.
UNDER_WAY = ("validating", "in_progress", "finalizing", "cancelling", "queued", "pending", "running")
SPELLED_ALIKE = {"canceled": "cancelled", "canceling": "cancelling"}
NOT_ASKED = ("batch_expired", "batch_cancelled")  # codes of requests that the end of their batch left out
_FULL = re.compile(r"token_limit_exceeded|enqueued[ _-]token", re.IGNORECASE)
_LIMIT = re.compile(r"limit:? *(?:of|is)? *(\d[\d,]*)", re.IGNORECASE)

Given = TypeVar("Given")


@dataclass(frozen=True)
class Batch:
    """What an endpoint says of a batch."""

    id: str
    status: str
    output: str = ""  # the file with the answers
    errors: str = ""  # and that with the errors
    problems: tuple[tuple[int | None, str], ...] = ()  # why its file is refused: (line, words)

    @property
    def full(self) -> Full | None:
        """Whether it failed because too much was waiting already."""
        words = " ".join(words for _, words in self.problems)
        return Full.in_words(words) if self.status == "failed" else None


@dataclass(frozen=True)
class Full:
    """An endpoint takes no more for now, as far as it says because of a limit of tokens that wait."""

    limit: int | None

    @staticmethod
    def in_words(words: str) -> Full | None:
        if not _FULL.search(words):
            return None
        limit = _LIMIT.search(words)
        return Full(int(limit[1].replace(",", "")) if limit else None)


class NothingAsked(UserError):
    """An endpoint refused something, and certainly made no batch."""


class _BadReply(Exception):
    """A reply with status 200 that cannot be what was asked for."""


def check_installed() -> None:
    """Raises UserError where the package that speaks to the interface is missing."""
    if find_spec(PACKAGE) is None:
        raise UserError(
            f"--batch needs the package {PACKAGE}, which is not installed: "
            "pip install -r requirements/batch.txt"
        )


def open_batch_endpoint(
    options: EngineOptions, *, pause: Callable[[float], None] = time.sleep
) -> BatchEndpoint:
    """The endpoint that the options describe; raises UserError where it has no such address or key."""
    check_installed()
    return BatchEndpoint(options, pause)


class BatchEndpoint:
    """One endpoint's files and batches."""

    waits = True  # results come by themselves

    def __init__(self, options: EngineOptions, pause: Callable[[float], None]) -> None:
        import openai

        given = read_keys(options.keys_file) if options.keys_file else None
        (self._address, *_), keys = access_to(options.api_base, options.headers, given)
        proxy_for(self._address.base)  # raises where it cannot be used
        key = keys.acquire()
        assert key is not None, "a new pool has keys"
        self._key, self._pause = key, pause
        self._retry_for_s = seconds_in(options.engine_args, "retry_for_s", RETRY_FOR_S)
        self._has_contact = False
        self._takes_metadata = True
        self._said: set[Kind] = set()
        self.name = self._address.shown
        headers = dict(self._address.headers)
        if not key.secret and not self._address.signs_in:
            headers["Authorization"] = ""
        self._client = openai.OpenAI(
            api_key=key.secret or "none",
            base_url=self._address.base,
            default_headers=headers,
            default_query=dict(_query(self._address.query)),
            max_retries=0,
            timeout=CALL_S,
        )
        self.room, self.fills_in = self._about(options.model.removeprefix("openai/"))

    def close(self) -> None:
        self._client.close()

    def upload(self, path: Path, nonce: str) -> str:
        """The id of a file of requests, which gets a name by which it can be found again."""

        def once() -> str:
            with open(path, "rb") as file:
                named = (f"{path.stem}-{nonce}{path.suffix}", file)
                return _id(self._client.files.with_raw_response.create(file=named, purpose="batch"))

        return self._given(f"the file {path.name}", self._call(once))

    def create(self, file_id: str, nonce: str, about: dict[str, str]) -> Batch | Full:
        """A batch of a file, made once, whatever breaks off meanwhile.

        Raises NothingAsked where it is refused, UserError where one may have been made all the same.
        """
        tries, odd = 0, ""

        def once() -> Batch:
            nonlocal tries, odd
            tries += 1
            if tries > 1 and (there := self._find_made({file_id}, nonce)):
                return there
            if odd:  # it may be made anew with each such reply
                raise UserError(f"{self.name} made a batch, it seems, but {odd}: look there")
            metadata: Any = {**about, "nonce": nonce} if self._takes_metadata else None
            said = self._client.batches.with_raw_response.create(
                input_file_id=file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                extra_headers={"Idempotency-Key": nonce},
                **({"metadata": metadata} if metadata else {}),
            )
            try:
                return _batch(_object(said))
            except _BadReply as error:
                odd = self._hidden(str(error))
                raise

        while True:
            try:
                made = self._call(once)
            except UserError as error:
                if tries > 1:
                    raise
                raise NothingAsked(str(error)) from error
            if isinstance(made, Trouble) and self._takes_metadata and "metadata" in made.message:
                self._takes_metadata = False  # the batch is then found again by its file
                continue
            if isinstance(made, Trouble) and (full := Full.in_words(made.message)):
                return full
            if isinstance(made, Trouble):
                raise NothingAsked(f"{self.name} refuses the batch: {made.message}")
            return self._given("the batch", made)

    def find(self, file_id: str, nonce: str) -> Batch | None:
        """The batch that was made before somebody could write its id down, or even that of its file ("")."""
        files = {file_id} if file_id else self._files_named(nonce)
        found = self._call(lambda: (self._find_made(files, nonce),), gone_after=1)
        if found is None:
            raise UserError(
                f"{self.name} lists no batches, so nobody knows whether one with the mark {nonce} was "
                "made: look there, and to pay for its answers again delete batches.jsonl of the run"
            )
        return self._given("to list batches", found)[0]

    def look(self, batch_id: str) -> Batch | None:
        """How a batch is getting on; None where there is none of this name any more."""
        seen = self._call(
            lambda: _batch(_object(self._client.batches.with_raw_response.retrieve(batch_id))),
            gone_after=MOST_MISSING,
        )
        return None if seen is None else self._given(f"to show batch {batch_id}", seen)

    def fetch(self, file_id: str, target: BinaryIO) -> bool:
        """Append a file of results; False where it is there no more."""
        start = target.tell()

        def once() -> bool:
            target.seek(start)
            target.truncate()
            with self._client.files.with_streaming_response.content(file_id) as streamed:
                for piece in streamed.iter_bytes(1 << 16):
                    target.write(piece)
            return True

        got = self._call(once, gone_after=MOST_MISSING)
        return got is not None and self._given(f"the file {file_id}", got)

    def _about(self, model: str) -> tuple[int | None, bool]:
        """The context length of the model, and whether its server takes what is not said from elsewhere."""

        def once() -> Reply:
            said = self._client.models.with_raw_response.list()
            return Reply(said.status_code, said.headers, said.content)

        reply = self._call(once, gone_after=1)
        models = models_in(reply) if isinstance(reply, Reply) else {}
        return room_of(models, model), fills_in(models, model)

    def _files_named(self, nonce: str) -> set[str]:
        """The files whose names hold a mark; none where the endpoint does not list files."""
        files = self._client.files.with_raw_response
        named = self._call(
            lambda: {one["id"] for one in _listed(files.list) if nonce in str(one.get("filename"))},
            gone_after=1,
        )
        return named if isinstance(named, set) else set()

    def _find_made(self, files: set[str], nonce: str) -> Batch | None:
        """The batch with a mark, or of one of these files; who finds none looks again a little later."""
        if found := self._find(files, nonce):
            return found
        self._pause(LISTED_AFTER_S)
        return self._find(files, nonce)

    def _find(self, files: set[str], nonce: str) -> Batch | None:
        for said in _listed(self._client.batches.with_raw_response.list):
            metadata = said.get("metadata")
            if isinstance(metadata, dict) and "nonce" in metadata:
                is_ours = metadata["nonce"] == nonce
            else:
                is_ours = said.get("input_file_id") in files
            if is_ours:
                return _batch(said)
        return None

    def _given(self, what: str, said: Given | Trouble | None) -> Given:
        """What an endpoint gave; raises UserError where it refuses it."""
        if isinstance(said, Trouble):
            raise UserError(f"{self.name} refuses {what}: {said.message}")
        assert said is not None
        return said

    def _call(self, once: Callable[[], Given], *, gone_after: int = 0) -> Given | Trouble | None:
        """What a call gives, tried until it is answered; a Trouble where it is refused, and None where it was
        said `gone_after` times that there is no such thing.

        Raises UserError where the interface or the key is of no use, RunStopped after `retry_for_s`.
        """
        import httpx2
        import openai

        tries, waited_s, missing, pages = 0, 0.0, 0, 0
        while True:
            try:
                given = once()
                self._has_contact = True
                return given
            except openai.APIStatusError as error:
                response = error.response
                trouble = self._trouble(response.status_code, response.headers, error.response.content)
            except (openai.APIConnectionError, httpx2.HTTPError) as error:
                cause = error.__cause__ or error
                words = self._hidden(f"{type(cause).__name__}: {cause}")
                trouble = Trouble(Kind.AWAY, f"the connection failed ({words})")
            except _BadReply as error:
                trouble = Trouble(Kind.BROKEN, self._hidden(str(error)))
            if trouble.status is not None:
                self._has_contact = True
            if trouble.status in MISSING:
                missing += 1
                if gone_after and missing >= gone_after:
                    return None
                if not gone_after:
                    raise UserError(
                        f"{self.name} has no batch interface ({trouble.message}): leave --batch out, or "
                        "write the requests for `vllm run-batch` with --batch files"
                    )
            elif trouble.kind is Kind.KEY:
                raise UserError(f"{self.name} does not accept the API key: {trouble.message}")
            elif trouble.kind in (Kind.REFUSED, Kind.TOO_LONG) or (_FULL.search(trouble.message)):
                return trouble
            elif trouble.kind is Kind.HTML:
                pages += 1
                if pages >= MOST_PAGES:
                    raise UserError(f"{self.name} is not an API, it answers {trouble.message!r}: check it")
            tries += 1
            waited_s += self._wait(trouble, tries, waited_s)

    def _wait(self, trouble: Trouble, tries: int, waited_s: float) -> float:
        """Wait before another try; raises what ends the run when that was enough."""
        first_contact_s = min(FIRST_CONTACT_S, self._retry_for_s)
        if not self._has_contact and waited_s >= first_contact_s:
            raise UserError(
                f"{self.name} was not reached ({trouble.message}): check that it runs, host and port"
            )
        if max(waited_s, trouble.wait_s or 0.0) >= self._retry_for_s:
            raise RunStopped(
                f"no answer from {self.name} for {self._retry_for_s:g} s, the last try: "
                f"{trouble.message}; {KEPT}"
            )
        if trouble.kind not in self._said:
            self._said.add(trouble.kind)
            patience = "retrying" if self._has_contact else patience_with(trouble, first_contact_s)
            say(f"{self.name}: {trouble.message} ({patience}; said once)")
        wait_s = min(MOST_WAIT_S, 2 ** (tries - 1)) if trouble.wait_s is None else trouble.wait_s
        self._pause(wait_s)
        return max(wait_s, 1.0)

    def _trouble(self, status: int, headers: Any, body: bytes) -> Trouble:
        found = read_reply(status, headers, body)
        assert isinstance(found, Trouble), "the client raises for these alone"
        return Trouble(found.kind, self._hidden(found.message), found.wait_s, status, found.param)

    def _hidden(self, words: str) -> str:
        return self._key.hidden_in(self._address.scrubbed(words))


def read_line(line: dict) -> Answer | Trouble | None:
    """What a line of results means; None for a request that was left out when its batch ended."""
    response, error = line.get("response"), line.get("error")
    if isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]  # vLLM puts its whole reply there
    if isinstance(error, dict) and error.get("code") in NOT_ASKED:
        return None
    if isinstance(response, dict):
        status, body = response.get("status_code", 200), response.get("body")
        if isinstance(status, int) and not isinstance(status, bool):
            said = body if isinstance(body, dict) and body else {"error": error or body}
            return read_reply(status, {}, json.dumps(said).encode())
    if isinstance(error, dict):
        return read_reply(500, {}, json.dumps({"error": error}).encode())
    return Trouble(Kind.BROKEN, "a line of the results holds neither a response nor an error")


def _listed(pages: Callable[..., Any]) -> Iterator[dict]:
    """All batches or files of the account, page by page."""
    seen: set[str] = set()
    more: dict[str, Any] = {}
    while True:
        page = _object(pages(limit=100, **more))
        listed = [one for one in page.get("data") or [] if isinstance(one, dict)]
        fresh = [one for one in listed if isinstance(one.get("id"), str) and one["id"] not in seen]
        yield from fresh
        if not fresh or not page.get("has_more"):
            return
        seen.update(one["id"] for one in fresh)
        more = {"after": listed[-1].get("id")}


def _object(said: Any) -> dict:
    """The JSON object of a raw response."""
    try:
        found = json.loads(said.content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _BadReply(f"the reply is not a JSON object: {said.content[:80]!r}")
    return found


def _id(said: Any) -> str:
    found = _object(said).get("id")
    if not isinstance(found, str) or not found:
        raise _BadReply("the reply holds no id")
    return found


def _batch(said: dict) -> Batch:
    """A batch as an endpoint describes it; what is no such description is asked for again."""
    name, status = said.get("id"), said.get("status")
    if not isinstance(name, str) or not name or not isinstance(status, str):
        raise _BadReply("the reply describes no batch")
    files = [said.get(f"{kind}_file_id") for kind in ("output", "error")]
    output, errors_in = (one if isinstance(one, str) else "" for one in files)
    errors = said.get("errors")
    listed = errors.get("data") if isinstance(errors, dict) else None
    return Batch(
        name,
        _known_status(status, said),
        output,
        errors_in,
        tuple(
            (
                one["line"] if isinstance(one.get("line"), int) else None,
                f"{one.get('code')}: {one.get('message')}",
            )
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict)
        ),
    )


def _known_status(status: str, said: dict) -> str:
    """A status as OpenAI spells it: some vendors write it in capitals. A word of their own means an end where
    the batch has the time of one."""
    word = "_".join(status.lower().replace("-", " ").split())
    word = SPELLED_ALIKE.get(word, word)
    if word in (*ENDED, *UNDER_WAY):
        return word
    return next((end for end in ENDED if said.get(f"{end}_at")), word)


def _query(query: str) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    return parse_qsl(query)
