"""How does a graded run become preference pairs: which samples, cut where, judged how, and written in what
order?

Two journals in the result folder hold what was found out (split.jsonl: where attempts begin, scores.jsonl:
which of them are correct), so a second run finds it there. Texts are read when they are needed and never
kept: memory holds some 60 bytes a sample.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from util import prompts, rewriting
from util.asking import Question, Refused, Usage, ask
from util.engines import Engine
from util.journal import Journal, read_line_at, read_lines, write_lines
from util.pair_formats import PAIR_FORMATS, Pair
from util.records import NOT_JUDGED, Failure, Record, Verdict
from util.rewriting import CUT_VARIANTS, WHOLE, Ordered, Parts
from util.runs import Place, RunReader, text_digest
from util.tokens import TokenCounter, tokens_per_char

SPLIT, SCORES = "split.jsonl", "scores.jsonl"
SILC = "silc"
NO_REFERENCE = "no reference answer"
TRIES = 2
MARGIN_BINS = 20
JUDGE_TOKENS = 64
UNUSABLE, WRONG, CORRECT = -1, 0, 1

Grade = Callable[[Record, str], Verdict]  # judges a text as an answer to the record's problem
OnProgress = Callable[[int], None]


def text_of(record: Record) -> str:
    """The response as a training text: the formatted one, else the sample with the thought it came with."""
    if record.formatted is not None:
        return record.formatted
    if record.sample.reasoning and record.sample.reasoning.strip():
        return f"<think>\n{record.sample.reasoning.strip()}\n</think>\n\n{record.sample.text}"
    return record.sample.text


# --- which samples ---


class Survey:
    """What is known of each sample without its text: its problem, where it lies, its length, its verdict."""

    def __init__(self) -> None:
        self._problems, self._samples, self._formatted = array("q"), array("q"), array("q")
        self.tokens = array("q")
        self._states = array("b")
        self.ungraded = self.with_reference = 0
        self.counts = Counter()

    def add(self, place: Place, record: Record) -> None:
        text = text_of(record)
        self._problems.append(place.problem)
        self._samples.append(place.sample)
        self._formatted.append(place.formatted)
        self.tokens.append(round(len(text) * rate_of(record)))
        self.ungraded += record.verdict is None
        self.with_reference += record.answer is not None
        state = _state(record, text)
        self._states.append(state)
        self.counts[state] += 1

    def __len__(self) -> int:
        return len(self._samples)

    def place(self, number: int) -> Place:
        return Place(self._samples[number], self._problems[number], self._formatted[number])

    def problems(self) -> Iterator[list[int]]:
        """The samples of each problem, in the order in which the problems were asked."""
        order = sorted(range(len(self)), key=self._problems.__getitem__)
        for _, numbers in itertools.groupby(order, key=self._problems.__getitem__):
            yield list(numbers)

    def of_state(self, numbers: Iterable[int], state: int) -> list[tuple[int, int]]:
        """(tokens, number) of those samples that are CORRECT, or WRONG."""
        return [(self.tokens[number], number) for number in numbers if self._states[number] == state]


def survey(reader: RunReader, on_progress: OnProgress = lambda tokens: None) -> Survey:
    found = Survey()
    for place, record in reader:
        found.add(place, record)
        on_progress(record.sample.completion_tokens)
    return found


def rate_of(record: Record) -> float:
    """Tokens per character, by the run's own count."""
    sample = record.sample
    return tokens_per_char(sample.completion_tokens, len(sample.text) + len(sample.reasoning or ""))


def _state(record: Record, text: str) -> int:
    verdict = record.verdict
    if verdict is None or verdict.reason in NOT_JUDGED or not text.strip():
        return UNUSABLE
    if verdict.correct:
        return CORRECT
    # A response that the token limit ended is long, and no example of a short wrong one.
    return UNUSABLE if record.sample.finish_reason in ("length", "prompt_too_long") else WRONG


@dataclass(frozen=True, slots=True)
class Candidate:
    """The samples of one problem that may become pairs, by their numbers in the survey."""

    base: Ordered | None  # shortest correct over longest correct
    silc: Ordered | None
    why_not: str = ""  # why there is no base


def candidates(found: Survey, *, silc: bool, min_margin: float) -> list[Candidate]:
    """What each problem offers, by the run's own token counts."""
    chosen = []
    for numbers in found.problems():
        correct = found.of_state(numbers, CORRECT)
        pair = None
        if silc:
            incorrect = found.of_state(numbers, WRONG)
            pair = rewriting.silc_pair(correct, incorrect, min_margin=min_margin)
        if len(correct) < 2:
            why_not = rewriting.ONE_CORRECT if correct else rewriting.NO_CORRECT
            chosen.append(Candidate(None, pair, why_not))
        else:
            chosen.append(Candidate(Ordered(min(correct)[1], max(correct)[1]), pair))
    return chosen


# --- what is found out, step by step ---


class StepBook:
    """A journal whose lines are found again by what they are about."""

    def __init__(self, path: Path) -> None:
        self._offsets = {_digest(line["step"]): offset for offset, line in read_lines(path)}
        self._journal = Journal(path)
        self._file = open(path, "rb")

    def get(self, *step: object) -> dict | None:
        offset = self._offsets.get(_digest(step))
        return None if offset is None else read_line_at(self._file, offset)

    def add(self, *step: object, **found: object) -> dict:
        line = {"step": step, **found}
        self._offsets[_digest(step)] = self._journal.append(line)
        return line

    def close(self) -> None:
        self._journal.close()
        self._file.close()


def _digest(step: Iterable[object]) -> int:
    data = json.dumps(list(step), ensure_ascii=False).encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Response:
    """A sample's text ready to be cut."""

    record: Record
    text: str
    parts: Parts

    @property
    def about(self) -> tuple[str, str]:
        """What names it in the journals: the problem and the text."""
        return self.record.sample.problem_id, text_digest(self.text)


@dataclass
class Asked:
    """What came of asking a model."""

    split: int = 0
    judged: int = 0
    unusable: Counter[str] = field(default_factory=Counter)  # answers that would not do -> how many
    failed: int = 0
    failure: str = ""
    usage: Usage = field(default_factory=Usage)


class Cutter:
    """Finds the attempts in responses and which of them are correct: by rule, and by a model where rules end.

    `model` is the name of the rewrite model, None when no model is to be asked.
    """

    def __init__(
        self, folder: Path, reader: RunReader, found: Survey, grade: Grade, *, model: str | None
    ) -> None:
        self._reader = reader
        self._survey = found
        self._grade = grade
        self._model = model
        self._splits = StepBook(folder / SPLIT)
        self._scores = StepBook(folder / SCORES)

    def read(self, number: int) -> Response:
        record = self._reader.at(self._survey.place(number))
        text = text_of(record)
        return Response(record, text, rewriting.parts_of(text))

    def cuts(self, response: Response) -> list[int]:
        """Where attempts begin, by rule, else as the model said."""
        line = self._splits.get(rewriting.RULES, *response.about)
        if line is None:
            cuts = rewriting.attempt_cuts(response.parts.thought)
            line = self._splits.add(rewriting.RULES, *response.about, cuts=cuts)
        if not line["cuts"] and self._model is not None:
            line = self._splits.get(self._model, *response.about) or line
        return line["cuts"]

    def scores(self, response: Response) -> list[bool | None]:
        """Which attempts are correct; None where neither a rule nor the model knows."""
        cuts = self.cuts(response)
        line = self._scores.get(rewriting.RULES, *response.about, cuts)
        if line is None:
            pieces = rewriting.pieces_of(response.parts.thought, cuts)
            found = [
                rewriting.score_piece(piece, lambda text: self._grade(response.record, text))
                for piece in pieces
            ]
            line = self._scores.add(
                rewriting.RULES,
                *response.about,
                cuts,
                correct=[correct for correct, _ in found],
                answers=[answer for _, answer in found],
            )
        correct = list(line["correct"])
        if self._model is not None:
            for number, known in enumerate(correct):
                said = known is None and self._scores.get(self._model, *response.about, cuts, number)
                if said:
                    correct[number] = said["correct"]
        return correct

    def cut_by_rule(self, numbers: Iterable[int], on_progress: OnProgress = lambda tokens: None) -> list[int]:
        """Split and score responses by rule; returns those about which a model could say more."""
        open_questions = []
        for number in numbers:
            response = self.read(number)
            if len(self.cuts(response)) == 0 or None in self.scores(response):
                open_questions.append(number)
            on_progress(0)
        return open_questions

    def has_questions(self, numbers: Iterable[int]) -> bool:
        """Whether the model has not been asked yet about one of these responses."""
        numbers = list(numbers)
        return (
            next(self._to_split(numbers, 1), None) is not None
            or next(self._to_judge(numbers), None) is not None
        )

    def ask_for_cuts(self, engine: Engine, numbers: Iterable[int], *, max_tokens: int, asked: Asked) -> None:
        """Ask the model where attempts begin in responses in which rules found a single one."""
        questions = self._to_split(numbers, max_tokens)
        reminder = prompts.load("split_again")
        for question, text, said in ask(
            engine, questions, _read_cuts, reminder=reminder, tries=TRIES, usage=asked.usage
        ):
            step = (self._model, *question.about.about)
            if isinstance(said, Failure):
                asked.failed, asked.failure = asked.failed + 1, said.message
            elif isinstance(said, Refused):
                asked.unusable[said.reason] += 1
                self._splits.add(*step, cuts=[], said=text, refused=said.reason)
            else:
                asked.split += 1
                self._splits.add(*step, cuts=said, said=text)

    def ask_for_scores(self, engine: Engine, numbers: Iterable[int], *, asked: Asked) -> None:
        """Ask the model about attempts in which no rule finds an answer."""
        reminder = prompts.load("judge_again")
        for question, text, said in ask(
            engine, self._to_judge(numbers), _read_truth, reminder=reminder, tries=TRIES, usage=asked.usage
        ):
            if isinstance(said, Failure):
                asked.failed, asked.failure = asked.failed + 1, said.message
            elif isinstance(said, Refused):
                asked.unusable[said.reason] += 1
                self._scores.add(*question.about, correct=None, said=text, refused=said.reason)
            else:
                asked.judged += 1
                self._scores.add(*question.about, correct=said, said=text)

    def _to_split(self, numbers: Iterable[int], max_tokens: int) -> Iterator[Question]:
        for response in map(self.read, numbers):
            if not self.cuts(response) and self._splits.get(self._model, *response.about) is None:
                name, prompt = response.record.sample.problem_id, _split_prompt(response)
                yield Question(name, prompt, max_tokens, about=response)

    def _to_judge(self, numbers: Iterable[int]) -> Iterator[Question]:
        for response in map(self.read, numbers):
            cuts = self.cuts(response)
            if not cuts:
                continue
            pieces = rewriting.pieces_of(response.parts.thought, cuts)
            correct = 0
            for number, known in enumerate(self.scores(response)):
                correct += bool(known)
                if correct == 2:  # what comes later changes no variant
                    break
                step = (self._model, *response.about, cuts, number)
                if known is None and self._scores.get(*step) is None:
                    prompt = _judge_prompt(response.record, pieces[number])
                    yield Question(response.record.sample.problem_id, prompt, JUDGE_TOKENS, about=step)

    def close(self) -> None:
        self._splits.close()
        self._scores.close()


def _split_prompt(response: Response) -> str:
    return prompts.render(
        prompts.load("split"), question=response.record.question, thought=response.parts.thought
    )


def _judge_prompt(record: Record, piece: str) -> str:
    return prompts.render(
        prompts.load("judge"), question=record.question, answer=record.answer or "", piece=piece.strip()
    )


def _read_cuts(question: Question, text: str) -> list[int] | Refused:
    cuts = rewriting.cuts_named(text, question.about.parts.thought)
    return Refused("none of its lines stands in the notes") if cuts is None else cuts


def _read_truth(question: Question, text: str) -> bool | Refused:
    said = rewriting.truth_of(text)
    return Refused("it says neither True nor False") if said is None else said


# --- pairs ---


@dataclass
class Tally:
    """What became of one variant, or of SILC."""

    written: int = 0
    fell_out: Counter[str] = field(default_factory=Counter)
    chosen_tokens: int = 0
    rejected_tokens: int = 0
    margins: list[int] = field(default_factory=lambda: [0] * MARGIN_BINS)

    def add(self, chosen: int, rejected: int) -> float:
        self.written += 1
        self.chosen_tokens += chosen
        self.rejected_tokens += rejected
        share = rewriting.margin(min(chosen, rejected), max(chosen, rejected))
        self.margins[min(MARGIN_BINS - 1, int(share * MARGIN_BINS))] += 1
        return round(share, 4)


@dataclass(frozen=True)
class PairOptions:
    """What is to be written."""

    variants: tuple[str, ...]
    min_margin: float
    seed: int
    format: str
    system: str | None


class PairWriter:
    """Makes the pairs and holds them on disk until all are there and can be put in their final order."""

    def __init__(
        self,
        folder: Path,
        cutter: Cutter,
        counter: TokenCounter,
        options: PairOptions,
        *,
        grade: Grade,
        grade_fully: Grade,
    ) -> None:
        self._folder = folder
        self._cutter = cutter
        self._grade = grade
        self._grade_fully = grade_fully
        self._counter = counter
        self._options = options
        self.system = options.system
        self._spool: BinaryIO = tempfile.TemporaryFile(dir=folder)
        self._places: dict[str, array] = {name: array("q") for name in (*options.variants, SILC)}
        self.tallies = {name: Tally() for name in (*options.variants, SILC)}
        self.attempts: Counter[int] = Counter()  # attempts per response -> responses

    def add(self, candidate: Candidate) -> None:
        """Make every pair that a problem allows."""
        if candidate.base is None:
            for variant in self._options.variants:
                self.tallies[variant].fell_out[candidate.why_not] += 1
        else:
            self._add_variants(candidate.base)
        if candidate.silc is not None:
            self._add_silc(candidate.silc)

    def _add_variants(self, base: Ordered) -> None:
        chosen, rejected = self._cutter.read(base.chosen), self._cutter.read(base.rejected)
        rejected_text = rewriting.closed(rejected.text, rejected.parts.form)
        rejected_tokens = self._counter.count(rejected_text, rate_of(rejected.record))
        kept: set[int] = set()
        scores: list[bool | None] = []
        if set(self._options.variants) & set(CUT_VARIANTS) and chosen.record.answer is not None:
            scores = self._cutter.scores(chosen)
            self.attempts[len(scores)] += 1
        for variant in self._options.variants:
            text, keep, why_not = self._shortened(variant, chosen, scores, kept)
            if not why_not and chosen.parts.form != rejected.parts.form:
                why_not = rewriting.OTHER_FORM
            tokens = self._counter.count(text, rate_of(chosen.record))
            share = rewriting.margin(tokens, rejected_tokens)
            if not why_not and (share < self._options.min_margin or text == rejected_text):
                why_not = rewriting.SMALL_MARGIN
            if why_not:
                self.tallies[variant].fell_out[why_not] += 1
                continue
            kept.add(keep)
            about = {"attempts": len(scores) or None, "kept": keep or None}
            self._write(variant, (chosen, text, tokens), (rejected, rejected_text, rejected_tokens), about)

    def _shortened(
        self, variant: str, chosen: Response, scores: list[bool | None], kept: set[int]
    ) -> tuple[str, int, str]:
        """The text of a variant and how many attempts it keeps, or why there is none."""
        if variant == WHOLE:
            return rewriting.closed(chosen.text, chosen.parts.form), 0, ""
        if chosen.record.answer is None:
            return "", 0, NO_REFERENCE
        cut = rewriting.cut_for(variant, scores)
        if cut.why_not:
            return "", 0, cut.why_not
        if cut.pieces in kept:
            return "", 0, rewriting.OTHER_VARIANT
        pieces = rewriting.pieces_of(chosen.parts.thought, self._cutter.cuts(chosen))
        text = rewriting.shortened(chosen.parts, pieces, cut.pieces)
        return text, cut.pieces, "" if self._still_correct(chosen, text) else rewriting.NOT_CORRECT

    def _still_correct(self, chosen: Response, text: str) -> bool:
        """Whether the grader accepts the cut text, by rule or, where no rule knows, with all it has."""
        return any(grade(chosen.record, text).correct for grade in (self._grade, self._grade_fully))

    def _add_silc(self, pair: Ordered) -> None:
        chosen, rejected = self._cutter.read(pair.chosen), self._cutter.read(pair.rejected)
        texts = [rewriting.closed(one.text, one.parts.form) for one in (chosen, rejected)]
        tokens = [
            self._counter.count(text, rate_of(one.record))
            for text, one in zip(texts, (chosen, rejected), strict=True)
        ]
        share = rewriting.margin(tokens[1], tokens[0])
        if share < self._options.min_margin or texts[0] == texts[1]:
            self.tallies[SILC].fell_out[rewriting.SMALL_MARGIN] += 1
            return
        self._write(SILC, (chosen, texts[0], tokens[0]), (rejected, texts[1], tokens[1]), {})

    def _write(
        self, kind: str, chosen: tuple[Response, str, int], rejected: tuple[Response, str, int], about: dict
    ) -> None:
        assert chosen[1] != rejected[1], "a text was to be preferred to itself"
        share = self.tallies[kind].add(chosen[2], rejected[2])
        record = chosen[0].record
        pair = Pair(self._options.system, record.prompt, chosen[1], rejected[1])
        note = {
            "kind": kind,
            "problem_id": record.sample.problem_id,
            "chosen": _named(chosen[0], chosen[2]) | {name: value for name, value in about.items() if value},
            "rejected": _named(rejected[0], rejected[2]),
            "margin": share,
            "about": record.about,
        }
        line = json.dumps([note, PAIR_FORMATS[self._options.format](pair)], ensure_ascii=False) + "\n"
        self._places[kind].append(self._spool.tell())
        self._spool.write(line.encode("utf-8", "backslashreplace"))

    def finish(self) -> dict[str, Path]:
        """Write the file of each variant, with the SILC pairs among its own in an order that follows from
        the seed, and pairs.jsonl, which says of each pair where it is from."""
        paths = {}
        for variant in self._options.variants:
            places = [*self._places[variant], *self._places[SILC]]
            random.Random(f"{self._options.seed} {variant}").shuffle(places)
            paths[variant] = self._folder / f"{variant}-conversations.json"
            write_lines(paths[variant], _as_list(self._line(place)[1] for place in places))
        self._spool.seek(0)
        notes = (json.dumps(json.loads(line)[0], ensure_ascii=False) + "\n" for line in self._spool)
        write_lines(self._folder / "pairs.jsonl", notes)
        return paths

    def _line(self, place: int) -> list:
        self._spool.seek(place)
        return json.loads(self._spool.readline())

    def close(self) -> None:
        self._spool.close()


def _named(response: Response, tokens: int) -> dict:
    sample = response.record.sample
    return {"temperature": sample.temperature, "index": sample.index, "tokens": tokens}


def _as_list(rows: Iterable[dict]) -> Iterator[str]:
    """A JSON list, a row a line."""
    between = "[\n"
    for row in rows:
        yield between + json.dumps(row, ensure_ascii=False)
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"
