"""How are the requests of a run asked in batches, so that none is paid for twice and no result is lost?

Call `open_batches` where a live engine would be opened. Requests go into parts, each of one run; each step of
a part is written down before the next one is taken, and whatever a command leaves under way the next one
finds again. No run waits for the batches of another.
"""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Protocol

from util.engines.failures import REFUSED
from util.engines.loops import loop_end
from util.engines.openai_batches import (
    ENDED,
    UNDER_WAY,
    Batch,
    Full,
    NothingAsked,
    open_batch_endpoint,
    read_line,
)
from util.engines.openai_bodies import Bodies, body_fields, counted, counter_for, seconds_in, words_of
from util.engines.openai_budget import with_begun
from util.engines.openai_quirks import LEFT_OUT, LESSONS, NO_STREAM, OWN_BUDGET, STREAM, lesson_of
from util.engines.openai_replies import Answer, AnswerWatch, Kind, Trouble
from util.engines.options import BATCH_FILES, EngineOptions
from util.engines.tokens import TokenCounter, estimate_tokens
from util.errors import RunStopped, UserError
from util.records import Completion, Failure, Request
from util.runs.batches import (
    BatchBook,
    Part,
    Place,
    fetching_flag,
    model_asked,
    name_of,
    result_lines,
    waiting_parts,
)
from util.runs.journal import replacing
from util.terminal import number_of, say

MOST_REQUESTS, MOST_BYTES = 50_000, 190_000_000  # of one part; OpenAI takes 50,000 and 200 MB
MOST_ASKED = 4 * MOST_REQUESTS  # requests in memory, under way or about to be
MOST_ATTEMPTS = 3  # batches in which one request is asked before it is given up
MOST_UNSAID = 2  # such batches that have no line about it, though all was done: each may have been paid for
MOST_FETCHES = 4  # times that results with gaps are fetched
POLL_S, MOST_POLL_S, SLOWER = 20.0, 300.0, 1.5  # between two looks at a batch
MOST_UNKNOWN_S = 3600.0  # that batches may have a status which nobody knows, before a person has to look
SETTLE_S = 5.0  # so long the source may have nothing to ask before what it asked is handed in
IDLE_S = 0.05
GROWS_IN_S = 1.0  # a file of results that is being written

Result = Completion | Failure
PlaceOf = Callable[[Request], Place]


class Desk(Protocol):
    """Where parts are handed in, and where their results come from."""

    name: str
    waits: bool  # whether results come while a command waits
    room: int | None  # the model's context length, where it is known
    fills_in: bool  # whether the server takes what a request does not say from elsewhere

    def upload(self, path: Path, nonce: str) -> str: ...
    def create(self, file_id: str, nonce: str, about: dict[str, str]) -> Batch | Full: ...
    def find(self, file_id: str, nonce: str) -> Batch | None: ...
    def look(self, batch_id: str) -> Batch | None: ...
    def fetch(self, file_id: str, target: Any) -> bool: ...
    def close(self) -> None: ...


class FileDesk:
    """Parts are files, and the person has `vllm run-batch` make files of results of them."""

    name, waits, fills_in = BATCH_FILES, False, True
    room: int | None = None

    def upload(self, path: Path, nonce: str) -> str:
        return str(path)

    def create(self, file_id: str, nonce: str, about: dict[str, str]) -> Batch | Full:
        return Batch(file_id, "in_progress")

    def find(self, file_id: str, nonce: str) -> Batch | None:
        return Batch(file_id or nonce, "in_progress")

    def look(self, batch_id: str) -> Batch | None:
        return Batch(batch_id, "in_progress")

    def fetch(self, file_id: str, target: Any) -> bool:
        raise AssertionError("results are where they belong already")

    def close(self) -> None:
        pass


def open_batches(
    options: EngineOptions, *, place_of: PlaceOf, pause: Callable[[float], None] = time.sleep
) -> BatchEngine:
    """The engine that asks in batches; `place_of` says where what becomes of a request is written down."""
    desk: Desk = FileDesk() if options.batch == BATCH_FILES else open_batch_endpoint(options, pause=pause)
    return BatchEngine(options, desk, place_of, pause=pause)


def check_no_batch_waits(place: Place, told: str | None, *, is_shard: bool = False) -> None:
    """Raises UserError where a command that is told of no batches would pay for what they bring."""
    if told is None and (waiting := waiting_parts(place)):
        flag = " ".join(fetching_flag(waiting))
        what_to_do = f"give {flag} instead of --shard" if is_shard else f"give {flag} as well"
        raise UserError(
            f"{place.folder} has {number_of(len(waiting), 'batch', 'batches')} whose answers are not "
            f"fetched yet (the first: {waiting[0].batch_id or waiting[0].path}), and asking for "
            f"them now would pay twice: {what_to_do}"
        )


@dataclass(frozen=True)
class _Wish:
    """A request that is to be handed in."""

    name: str
    attempt: int = 1
    with_limit: bool = True


@dataclass
class _Run:
    """What a command asks of one run."""

    place: Place
    book: BatchBook
    asked: dict[str, Request] = field(default_factory=dict)  # by name: what has no result yet
    pending: deque[_Wish] = field(default_factory=deque)  # of these, what is in no part
    home: dict[str, Part] = field(default_factory=dict)  # by name: the last part that has it
    queued: set[str] = field(default_factory=set)  # names that are asked again and are in no new part yet

    def tokens(self, wish: _Wish) -> int:
        return estimate_tokens(words_of(self.asked[wish.name]))

    def forget(self, part: Part, name: str) -> None:
        part.left.pop(name)
        self.home.pop(name, None)


class BatchEngine:
    """Asks in batches; each request ends once, as Completion or Failure."""

    def __init__(
        self, options: EngineOptions, desk: Desk, place_of: PlaceOf, *, pause: Callable[[float], None]
    ) -> None:
        self._model = options.model.removeprefix("openai/")
        self._desk, self._place_of, self._pause = desk, place_of, pause
        self._bodies = Bodies(self._model, options.sampling, body_fields(options))
        self._poll_s = seconds_in(options.engine_args, "poll_s", POLL_S)
        self._runs: dict[Path, _Run] = {}
        self._most_tokens: int | None = None  # that may wait at the endpoint, where it says so
        self._is_full = False
        self._looks = self._fulls = 0  # at batches since something changed; and how often one was full
        self._answers = AnswerWatch(self._model)
        self._counter: TokenCounter | None = None
        self._waited_s = 0.0
        self._unknown: dict[
            Path, tuple[str, float]
        ] = {}  # status of a part that nobody knows, and since when

    @property
    def left_out(self) -> list[str]:
        """Fields that the endpoint refuses, so that they are not sent."""
        return sorted(self._lessons().intersection(LEFT_OUT))

    @property
    def answered_as(self) -> list[str]:
        """Other names that the endpoint gave the model that answered."""
        return sorted(self._answers.answered_as)

    def _lessons(self) -> set[str]:
        return {lesson for run in self._runs.values() for lesson in run.book.lessons}

    def close(self) -> None:
        for run in self._runs.values():
            run.book.close()
        self._desk.close()

    def generate(self, requests: Iterable[Request | None]) -> Iterator[tuple[Request, Result]]:
        """Yield each request with what became of it, batch by batch."""
        source, is_over = iter(requests), False
        try:
            while True:
                is_over = is_over or self._pull(source)
                self._hand_in()
                self._look()
                is_idle = True
                for run, part in self._open_parts():
                    for result in self._take(run, part):
                        is_idle = False
                        yield result
                    if part.status and not part.left:
                        run.book.taken(part)
                if is_over and not self._count_asked():
                    break
                if is_idle and not any(map(self._room_for_more, self._runs.values())):
                    self._wait()
            for run, part in self._open_parts():  # what this command did not ask for stays for another one
                if part.status:
                    run.book.taken(part)
        except (KeyboardInterrupt, SystemExit, RunStopped, UserError):
            if self._desk.waits and (told := self._come_back()):
                say(told)
            raise

    def _open_parts(self) -> list[tuple[_Run, Part]]:
        return [(run, part) for run in self._runs.values() for part in run.book.open()]

    def _count_asked(self) -> int:
        return sum(len(run.asked) for run in self._runs.values())

    # --- from requests to parts ---

    def _run_of(self, request: Request) -> _Run:
        """The run of a request, with the parts of earlier commands taken up."""
        place = self._place_of(request)
        if place.folder not in self._runs:
            run = self._runs[place.folder] = _Run(place, BatchBook(place))
            self._find_again(run)
        return self._runs[place.folder]

    def _find_again(self, run: _Run) -> None:
        for part in run.book.open():
            if not part.left:
                continue
            if part.status and (not part.results.exists() or _are_damaged(part)):
                if part.at == BATCH_FILES:
                    self._without_results(run, part)
                    continue
                part.status = ""  # somebody has taken results away: they are fetched once more
            if part.at != self._desk.name and not part.status:
                raise UserError(
                    f"{run.place.folder} has a batch under way at {part.at}, and this command asks "
                    f"{self._desk.name}: give the same --batch and --api-base until its results are there"
                )
            if (model := model_asked(part.path)) != self._model:
                raise UserError(
                    f"{run.place.folder} has a batch that asks {model}, and this command asks {self._model}: "
                    f"ask {model} until its results are there"
                )
            if not part.batch_id:
                found = self._desk.find(part.file_id, part.nonce)
                if found is None:
                    run.book.withdraw(part)
                    continue
                run.book.note(part, "created", batch_id=found.id)
            for name in part.left:
                if name in run.home:  # it was asked again
                    run.home[name].left.pop(name, None)
                run.home[name] = part

    def _without_results(self, run: _Run, part: Part) -> None:
        """Results that a person had made are gone after they were read: what they lacked is asked again."""
        say(
            f"{part.results} is gone: what was read of it is kept, and what it did not answer "
            f"({number_of(len(part.left), 'request')}) is asked again"
        )
        run.book.withdraw(part)

    def _pull(self, source: Iterator[Request | None]) -> bool:
        """Take what the source has to ask now; True once it has no more."""
        quiet_s = 0.0
        while self._count_asked() < MOST_ASKED:
            try:
                request = next(source)
            except StopIteration:
                return True
            if request is None:
                is_new = any(run.pending for run in self._runs.values())
                if not is_new or quiet_s >= min(SETTLE_S, self._poll_s):
                    return False
                self._pause(IDLE_S)
                quiet_s += IDLE_S
                continue
            quiet_s = 0.0
            name = name_of(request.problem_id, request.temperature, request.index)
            run = self._run_of(request)
            assert name not in run.asked, "requests of a place have names of their own"
            run.asked[name] = request
            if name not in run.home:
                run.pending.append(_Wish(name))
            if len(run.pending) >= MOST_REQUESTS:
                self._hand_in()
        return False

    def _hand_in(self) -> None:
        """Hand in what is in no part yet, as far as the endpoint takes it."""
        for run in self._runs.values():
            while self._room_for_more(run):
                part = self._write(run)
                made = self._made(run, part)
                if isinstance(made, Full):
                    self._withdraw_until_room(run, part, made)
                    return
                run.book.note(part, "created", batch_id=made.id)
                self._looks = 0
                if self._desk.waits:
                    say(
                        f"{self._desk.name} has {number_of(part.requests, 'request')} as batch {made.id}, "
                        "which may take a day: Ctrl-C leaves it there, and the same command fetches its "
                        "answers"
                    )

    def _made(self, run: _Run, part: Part) -> Batch | Full:
        """The batch of a part that was just written; one of which nothing was asked for sure binds nobody."""
        about = {"run": run.place.folder.name[:500], "part": str(part.number)}
        try:
            file_id = self._desk.upload(part.path, part.nonce)
        except (KeyboardInterrupt, SystemExit, RunStopped, UserError):  # no batch is made of half a file
            run.book.withdraw(part)
            raise
        run.book.note(part, "uploaded", file_id=file_id)
        try:
            return self._desk.create(part.file_id, part.nonce, about)
        except NothingAsked:
            run.book.withdraw(part)
            raise

    def _room_for_more(self, run: _Run) -> bool:
        """Whether there is something to hand in that the endpoint takes, as far as it said."""
        if not run.pending or self._is_full:
            return False
        return not self._under_way() or run.tokens(run.pending[0]) <= self._room()

    def _room(self) -> float:
        """Tokens that may still wait at the endpoint."""
        return (self._most_tokens or inf) - sum(part.tokens for _, part in self._under_way())

    def _write(self, run: _Run) -> Part:
        """Write the next part down, of at least one request."""
        first, room = run.pending[0], self._room()
        wishes: list[_Wish] = []
        names: dict[str, bool] = {}
        nonce = secrets.token_hex(16)
        part_of: dict[str, Any] = {"at": self._desk.name, "nonce": nonce, "attempt": first.attempt}

        def lines() -> Iterator[str]:
            size = tokens = 0
            while run.pending and len(wishes) < MOST_REQUESTS:
                wish = run.pending[0]
                has_limit = self._has_limit(run, wish)
                line = self._line(run, wish, with_limit=has_limit)
                size, tokens = size + len(line), tokens + run.tokens(wish)
                if wishes and (wish.attempt != first.attempt or size > MOST_BYTES or tokens > room):
                    return
                wishes.append(run.pending.popleft())
                names[wish.name] = has_limit
                part_of["tokens"] = tokens
                yield line

        try:
            part = run.book.write(part_of, names, lines())
        except BaseException:
            run.pending.extendleft(reversed(wishes))
            raise
        for wish in wishes:
            if wish.name in run.home:
                run.home[wish.name].left.pop(wish.name, None)
            run.home[wish.name] = part
            run.queued.discard(wish.name)
        return part

    def _has_limit(self, run: _Run, wish: _Wish) -> bool:
        """Whether a request says how long its answer may be: not where that is more than the context."""
        room = self._desk.room
        return wish.with_limit and (room is None or run.asked[wish.name].max_tokens < room)

    def _line(self, run: _Run, wish: _Wish, *, with_limit: bool) -> str:
        body = self._bodies.of(
            run.asked[wish.name],
            with_limit=with_limit,
            lessons={*self._lessons(), NO_STREAM},
            fills_in=self._desk.fills_in,
            asked_at=self._desk.name,
        )
        asked = {"custom_id": wish.name, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(asked) + "\n"  # ASCII: nothing in it may look like the end of a line

    def _withdraw_until_room(self, run: _Run, part: Part, full: Full) -> None:
        """Too much waits at the endpoint: ask when there is room, in smaller parts where one is too much."""
        others, limit = [one for _, one in self._under_way() if one is not part], full.limit
        if not others and part.requests > 1 and (limit is None or part.tokens * 4 > limit):
            self._most_tokens = max(1, min(part.tokens, limit or part.tokens) // 2)
        elif limit is not None and others:
            self._most_tokens = min(limit, self._most_tokens or limit)
        self._fulls += 1
        if self._fulls == 1:
            say(f"{self._desk.name} takes no more yet, as too many tokens wait there")
        for name, with_limit in reversed(part.left.items()):
            run.home.pop(name, None)
            if name in run.asked:
                run.pending.appendleft(_Wish(name, part.attempt, with_limit))
        run.book.withdraw(part)
        self._is_full = True

    # --- from batches to results ---

    def _under_way(self) -> list[tuple[_Run, Part]]:
        return [(run, part) for run, part in self._open_parts() if part.left and not part.status]

    def _wait(self) -> None:
        """Let time go by until there may be something to do."""
        under_way = self._under_way()
        if under_way and not self._desk.waits:
            raise RunStopped(self._come_back())
        if under_way or self._is_full:
            self._check_unknown(under_way)
            slower = SLOWER ** min(20, max(self._looks, self._fulls))
            wait_s = min(self._poll_s * slower, max(self._poll_s, MOST_POLL_S))
            self._pause(wait_s)
            self._waited_s += wait_s
            self._looks += 1
            self._is_full = self._is_full and bool(under_way)
        else:
            self._pause(IDLE_S)  # verdicts decide what to ask next

    def _note_unknown(self, part: Part, status: str) -> None:
        """Remember since when a batch has a status that may mean anything: nothing of it is taken or asked
        again."""
        if status in UNDER_WAY:
            self._unknown.pop(part.path, None)
        elif self._unknown.get(part.path, ("", 0.0))[0] != status:
            self._unknown[part.path] = status, self._waited_s
            say(
                f"{self._desk.name} says that batch {part.batch_id} is {status[:40]!r}, which is not known "
                "here: it is looked at again for a while"
            )

    def _check_unknown(self, under_way: list[tuple[_Run, Part]]) -> None:
        """Raises UserError where only batches are waited for whose status nobody has known for long."""
        parts = [part for _, part in under_way]
        since = [self._unknown.get(part.path, ("", inf))[1] for part in parts]
        if parts and self._waited_s - max(since) >= MOST_UNKNOWN_S:
            named = ", ".join(f"{part.batch_id} {self._unknown[part.path][0][:40]!r}" for part in parts[:3])
            raise UserError(
                f"{self._desk.name} calls its batches what is not known here ({named}), and has for an hour: "
                "look there what became of them; the same command looks again, and asks nothing anew"
            )

    def _look(self) -> None:
        """See which batches have ended, and fetch what they brought."""
        for run, part in self._under_way():
            if not self._desk.waits:
                if part.results.exists():
                    self._note_file(run, part)
                continue
            batch = self._desk.look(part.batch_id)
            if batch is None and (batch := self._desk.find(part.file_id, part.nonce)):
                run.book.note(part, "created", batch_id=batch.id)  # it has another name by now
            if batch is None and part.results.exists():
                run.book.note(part, "ended", status="gone")
                continue
            if batch is None:
                raise UserError(
                    f"{self._desk.name} knows no batch {part.batch_id}: give the key that made it, or, to "
                    f"pay for its answers again, delete batches.jsonl in {run.place.folder}"
                )
            if batch.status not in ENDED:
                self._note_unknown(part, batch.status)
                continue
            self._unknown.pop(part.path, None)
            self._is_full, self._looks = False, 0
            self._fulls *= batch.full is not None
            if batch.output or batch.errors or batch.status != "failed":
                self._fetch(run, part, batch)
            elif full := batch.full:
                self._withdraw_until_room(run, part, full)
            else:
                self._read_refusal(run, part, batch)

    def _fetch(self, run: _Run, part: Part, batch: Batch) -> None:
        """Bring the results of a batch onto the disk, once more where they have gaps that are not due.

        What lay here of them is kept: the endpoint may have lost what it once gave.
        """
        status = batch.status
        if part.results.exists():
            part.results.replace(part.earlier)
        for attempt in range(1, MOST_FETCHES + 1):
            status = batch.status
            with replacing(part.results) as file:
                for name in filter(None, (batch.output, batch.errors)):
                    if not self._desk.fetch(name, file.buffer) and name == batch.output:
                        status = "gone"
                    file.buffer.write(b"\n")
                if part.earlier.exists():
                    file.writelines(f"{json.dumps(line)}\n" for line in result_lines(part.earlier) if line)
            if status == "gone" or not _has_gaps(part):  # what had no time has a line, too
                break
            if attempt < MOST_FETCHES:
                self._pause(self._poll_s)
                batch = self._desk.look(part.batch_id) or batch
        run.book.note(part, "ended", status=status)
        part.earlier.unlink(missing_ok=True)

    def _note_file(self, run: _Run, part: Part) -> None:
        """Take results that the person had made; of a file that was cut, what is there."""
        size = part.results.stat().st_size
        lines = list(result_lines(part.results))
        there = part.names.keys() & {line["custom_id"] for line in lines if line}
        if None in lines or not there:
            self._pause(GROWS_IN_S)
        if not there or part.results.stat().st_size != size:
            raise RunStopped(
                f"{part.results} has {len(there)} of {number_of(len(part.names), 'line')} and may still be "
                "written: run the same command when it is whole, or delete it and have its requests answered"
            )
        if missing := len(part.names) - len(there):
            say(
                f"{part.results} lacks {missing} of {number_of(len(part.names), 'line')}: these requests are "
                "asked again, the others are kept"
            )
        run.book.note(part, "ended", status="completed")

    def _read_refusal(self, run: _Run, part: Part, batch: Batch) -> None:
        """A batch was refused before anything was asked: because of some lines, or as a whole."""
        names = [*part.names]
        bad = {line: words for line, words in batch.problems if line and line <= len(names)}
        if not bad or len(bad) == len(names):
            words = "; ".join(words for _, words in batch.problems[:3]) or "it does not say why"
            run.book.withdraw(part)
            raise UserError(f"{self._desk.name} refuses batch {part.batch_id} ({words}): nothing was asked")
        with replacing(part.results) as file:
            for line, words in bad.items():
                response = {"status_code": 400, "body": {"error": {"message": words}}}
                file.write(json.dumps({"custom_id": names[line - 1], "response": response}) + "\n")
        run.book.note(part, "ended", status="failed")

    def _take(self, run: _Run, part: Part) -> Iterator[tuple[Request, Result]]:
        """The results of a part that has ended, as far as they are asked for."""
        wanted = {name for name in part.left if name in run.asked and name not in run.queued}
        if not part.status or not wanted:
            return
        troubles: dict[str, Trouble | None] = {}
        learned: set[str] = set()
        strange: list[str | None] = []  # names that were not asked; None of a line that cannot be read
        answers = again = 0
        for line in result_lines(part.results):
            name = None if line is None else line["custom_id"]
            if name not in part.names:
                strange.append(name)
            if line is None or name not in wanted:
                continue
            outcome = read_line(line)
            if not isinstance(outcome, Answer):
                troubles.setdefault(name, outcome)
                continue
            request = run.asked.pop(name)
            wanted.discard(name)
            answers += 1
            yield request, self._completion(request, outcome, with_limit=part.names[name])
            if run.place.keeps(name):
                run.forget(part, name)
            else:  # read from here once more by a command that was killed before it asked on
                run.home.pop(name, None)
        rest = [name for name in part.left if name in wanted]
        unsaid = {name: None for name in rest if name not in troubles and part.status == "completed"}
        enough = _why_not_again(part, [*unsaid], strange)
        for name in rest:
            then: _Wish | Result
            if enough and name in unsaid:
                then = Failure(enough)
            else:
                then = self._what_then(run, part, name, troubles.get(name), learned)
            if isinstance(then, _Wish):
                again += 1
                run.pending.append(then)
                run.queued.add(name)
                continue
            yield run.asked.pop(name), then
            run.forget(part, name)
        asked_again = f", {number_of(again, 'is asked again', 'are asked again')}" if again else ""
        unknown = f", {len(strange):,} lines of its results belong to none of its requests" if strange else ""
        say(f"batch {part.batch_id} is {part.status}: {number_of(answers, 'answer')}{asked_again}{unknown}")

    def _completion(self, request: Request, answer: Answer, *, with_limit: bool) -> Completion:
        """An answer as a live engine gives it."""
        self._answers.note_name(answer, self._desk.name)
        if with_limit:
            answer = self._answers.with_end(
                answer, self._desk.name, max_tokens=request.max_tokens, room=self._desk.room
            )
        if not answer.usage_known:
            if self._counter is None:
                self._counter = counter_for(self._model)
            answer = counted(request, answer, self._counter)
        done = with_begun(request, answer.completion)
        if not request.stop_loops:
            return done
        thought = done.reasoning or ""
        end = loop_end(thought + done.text)  # nobody listened: what came after it was paid for, and is cut
        if end is None:
            return done
        text, reasoning = done.text[: max(0, end - len(thought))], thought[:end] or None
        return replace(done, text=text, reasoning=reasoning, finish_reason="loop")

    def _what_then(
        self, run: _Run, part: Part, name: str, trouble: Trouble | None, learned: set[str]
    ) -> _Wish | Result:
        """What becomes of a request that a batch has not answered; adds to what the batch has `learned`."""
        wish = _Wish(name, part.attempt, part.left[name])
        if trouble is None and part.status in ("cancelled", "gone"):
            told = "was cancelled" if part.status == "cancelled" else "has results that are gone"
            return Failure(f"batch {part.batch_id} {told}")
        trouble = trouble or Trouble(Kind.BROKEN, f"batch {part.batch_id} is {part.status} without an answer")
        known = {*self._lessons(), STREAM, NO_STREAM, OWN_BUDGET} - learned
        lesson = lesson_of(trouble, known, may_change_stream=False)
        if lesson is not None:
            if lesson not in learned:
                learned.add(lesson)
                run.book.learn(part, lesson)
                say(f"{self._desk.name} {LESSONS[lesson]} ({trouble.message[:200]})")
            return wish
        if trouble.kind is Kind.TOO_LONG:
            if not wish.with_limit:
                return Completion("", "prompt_too_long", 0, 0)
            return replace(wish, with_limit=False)
        if trouble.kind in (Kind.REFUSED, Kind.ADDRESS, Kind.KEY):
            return Failure(f"{REFUSED if trouble.kind is Kind.REFUSED else ''}{trouble.message}")
        if part.attempt >= MOST_ATTEMPTS:
            return Failure(f"{part.attempt} batches brought no answer, the last: {trouble.message}")
        return replace(wish, attempt=part.attempt + 1)

    def _come_back(self) -> str:
        """How to get what is under way; "" where nothing is."""
        under_way = [part for _, part in self._under_way() if part.at == self._desk.name]
        if not under_way:
            return ""
        if self._desk.waits:
            names = [part.batch_id or "one that may have been made" for part in under_way[:3]]
            more = f" and {len(under_way) - 3} more" if len(under_way) > 3 else ""
            return (
                f"batches go on without this command ({', '.join(names)}{more}): the same command fetches "
                "their answers"
            )
        program = "python -m vllm.entrypoints.openai.run_batch"
        words = ((f"{part.path}", "-o", f"{part.results}", "--model", self._model) for part in under_way)
        commands = "".join(f"\n  {program} -i {shlex.join(some)}" for some in words)
        return f"have vLLM answer these requests, and then run the same command again:{commands}"


def _why_not_again(part: Part, unsaid: list[str], strange: list[str | None]) -> str:
    """Why requests that a completed batch has no line about are not asked once more by themselves; "" where
    they are, as they are where they cost nothing."""
    if part.at == BATCH_FILES:
        return ""
    named = ", ".join(unsaid[:3]) + (f" and {len(unsaid) - 3} more" if len(unsaid) > 3 else "")
    if unsaid and strange:
        return (
            f"batch {part.batch_id} has no line about {named}, and {len(strange):,} that may be the answers "
            f"({'damaged' if strange[0] is None else f'about {strange[0]!r}'}): see {part.results}"
        )
    if unsaid and part.attempt >= MOST_UNSAID:
        return f"{part.attempt} batches brought no line about {named}, which may be paid for all the same"
    return ""


def _are_damaged(part: Part) -> bool:
    """Whether results that lie here lack lines that the endpoint may have."""
    return part.at != BATCH_FILES and part.status not in ("failed", "gone") and _has_gaps(part)


def _has_gaps(part: Part) -> bool:
    """Whether the results of a part lack a request, or have a damaged line, which may be anyone's."""
    found = {line and line["custom_id"] for line in result_lines(part.results)}
    return None in found or not part.left.keys() <= found
