"""How do samples and the cuts in them become preference pairs, and in what order are they written?

Open a `PairWriter`, `add` what each problem offers, then `finish`.
"""

from __future__ import annotations

import itertools
import json
import random
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from util.engines.tokens import TokenCounter
from util.errors import disk_trouble
from util.response import IN_FIELD, WITHOUT
from util.runs.journal import json_list, write_lines
from util.training.formats import JUDGED_FORMATS, PAIR_FORMATS, Judged, Pair
from util.training.pairs.attempts import pieces_of
from util.training.pairs.cutter import Cutter, Grade, Response
from util.training.pairs.survey import PossiblePairs, rate_of
from util.training.pairs.variants import (
    CUT_VARIANTS,
    JUDGED,
    NO_THOUGHT,
    NOT_CORRECT,
    NOTHING_TO_CUT,
    OTHER_FORM,
    OTHER_VARIANT,
    SMALL_MARGIN,
    TOLD_NOT_APART,
    WHOLE,
    Ordered,
    cut_for,
    margin,
    pairs_file,
    shortened,
)
from util.training.thoughts import Answer, fitting, read_answer, written

SILC = "silc"
PLAIN = "plain"  # of responses with labels, those without a thought: of one form each until all are known
NO_REFERENCE = "no reference answer"
MARGIN_BINS = 20


@dataclass
class VariantCounts:
    """What became of one variant, or of SILC."""

    written: int = 0
    whole: int = 0  # of those written: the response as it is, as there was nothing to cut
    fell_out: Counter[str] = field(default_factory=Counter)
    chosen_tokens: int = 0
    rejected_tokens: int = 0
    margins: list[int] = field(default_factory=lambda: [0] * MARGIN_BINS)

    def add(self, chosen: int, rejected: int) -> float:
        self.written += 1
        self.chosen_tokens += chosen
        self.rejected_tokens += rejected
        share = margin(min(chosen, rejected), max(chosen, rejected))
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
    form: str  # of the thought in all rows
    else_whole: bool = False  # a response in which there is nothing to cut enters as it is


@dataclass(frozen=True)
class Reply:
    """One side of a pair as it is written."""

    response: Response
    content: str
    thought: str | None  # "": it has none; None: none is wanted
    tokens: int


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
        self.system, self.form = options.system, options.form
        self._spool: BinaryIO = tempfile.TemporaryFile(dir=folder)
        self._places: dict[str, array] = {name: array("q") for name in (*options.variants, SILC, PLAIN)}
        self.counts = {name: VariantCounts() for name in (*options.variants, SILC)}
        self.runs: Counter[str] = Counter()  # where the pairs or rows that were written are from
        self.labels: Counter[bool] = Counter()  # of the rows that were written without pairs
        self.attempts: Counter[int] = Counter()  # attempts per response -> responses

    def add(self, possible: PossiblePairs) -> None:
        """Make every pair that a problem allows."""
        if possible.base is None:
            for variant in self._options.variants:
                self.counts[variant].fell_out[possible.why_not] += 1
        else:
            self._add_variants(possible.base)
        if possible.silc is not None:
            self._add_silc(possible.silc)

    def _add_variants(self, base: Ordered) -> None:
        chosen, rejected = self._cutter.read(base.chosen), self._cutter.read(base.rejected)
        worse = self._reply(rejected, rejected.closed_text)
        kept: set[int] = set()
        scores: list[bool | None] = []
        if set(self._options.variants) & set(CUT_VARIANTS) and chosen.record.answer is not None:
            scores = self._cutter.scores(chosen)
            self.attempts[len(scores)] += 1
        for variant in self._options.variants:
            text, keep, why_not = self._shortened(variant, chosen, scores, kept)
            better = None if why_not else self._reply(chosen, text)
            why_not = why_not or self._why_no_pair(better, worse)
            if why_not:
                self.counts[variant].fell_out[why_not] += 1
                continue
            assert better is not None and worse is not None, "both have an answer"
            kept.add(keep)
            self.counts[variant].whole += not keep and variant != WHOLE
            about = {"attempts": len(scores) or None, "kept": keep or None}
            self._write(variant, better, worse, about)

    def _reply(self, response: Response, text: str) -> Reply | None:
        """A text as it is written; None where thought and solution cannot be told apart."""
        answer = read_answer(text)
        if not isinstance(answer, Answer):
            return None
        form = self._options.form
        content = written(answer, form)
        counted = f"{answer.thought}\n{content}" if form == IN_FIELD and not answer.plain else content
        tokens = self._counter.count(counted, rate_of(response.record))
        return Reply(response, content, None if form == WITHOUT else answer.thought, tokens)

    def _why_no_pair(self, one: Reply | None, other: Reply | None) -> str:
        """Why two replies make no pair, such as too small a difference in length; "" if they make one."""
        if one is None or other is None:
            return TOLD_NOT_APART
        if bool(one.thought) != bool(other.thought):
            return OTHER_FORM
        shorter, longer = sorted((one.tokens, other.tokens))
        is_same = (one.content, one.thought) == (other.content, other.thought)
        return SMALL_MARGIN if is_same or margin(shorter, longer) < self._options.min_margin else ""

    def _shortened(
        self, variant: str, chosen: Response, scores: list[bool | None], kept: set[int]
    ) -> tuple[str, int, str]:
        """The text of a variant and how many attempts it keeps, or why there is none."""
        if variant == WHOLE:
            return chosen.closed_text, 0, ""
        if chosen.record.answer is None:
            return "", 0, NO_REFERENCE
        cut = cut_for(variant, scores)
        if self._options.else_whole and cut.why_not in NOTHING_TO_CUT:
            return chosen.closed_text, 0, ""
        if cut.why_not:
            return "", 0, cut.why_not
        if cut.pieces in kept:
            return "", 0, OTHER_VARIANT
        pieces = pieces_of(chosen.slices.thought, self._cutter.cuts(chosen))
        text = shortened(chosen.slices, pieces, cut.pieces)
        return text, cut.pieces, "" if self._still_correct(chosen, text) else NOT_CORRECT

    def _still_correct(self, chosen: Response, text: str) -> bool:
        """Whether the grader accepts the cut text, by rule or, where no rule knows, with all it has."""
        return any(grade(chosen.record, text).correct for grade in (self._grade, self._grade_fully))

    def _add_silc(self, pair: Ordered) -> None:
        chosen, rejected = self._cutter.read(pair.chosen), self._cutter.read(pair.rejected)
        better, worse = (self._reply(one, one.closed_text) for one in (chosen, rejected))
        why_not = self._why_no_pair(better, worse)
        if why_not:
            self.counts[SILC].fell_out[why_not] += 1
            return
        assert better is not None and worse is not None, "both have an answer"
        self._write(SILC, better, worse, {})

    def _write(self, kind: str, chosen: Reply, rejected: Reply, about: dict) -> None:
        share = self.counts[kind].add(chosen.tokens, rejected.tokens)
        record = chosen.response.record
        thoughts = (chosen.thought or "", rejected.thought or "")
        pair = Pair(
            system=fitting((self._options.system,), self._options.form, plain=not chosen.thought),
            prompt=record.prompt,
            chosen=chosen.content,
            rejected=rejected.content,
            thoughts=thoughts if self._options.form == IN_FIELD else None,
        )
        note = {
            "kind": kind,
            "problem_id": record.sample.problem_id,
            "chosen": _named(chosen) | {name: value for name, value in about.items() if value},
            "rejected": _named(rejected),
            "margin": share,
            "run": str(chosen.response.run),
            "about": record.about,
        }
        self._keep(kind, note, PAIR_FORMATS[self._options.format](pair))

    def add_judged(self, number: int, *, correct: bool) -> None:
        """Take a response with its label instead of a pair."""
        response = self._cutter.read(number)
        reply = self._reply(response, response.closed_text)
        if reply is None:
            self.counts[JUDGED].fell_out[TOLD_NOT_APART] += 1
            return
        kind = PLAIN if reply.thought == "" else JUDGED
        record = response.record
        judged = Judged(
            system=fitting((self._options.system,), self._options.form, plain=not reply.thought),
            prompt=record.prompt,
            response=reply.content,
            thought=reply.thought or "" if self._options.form == IN_FIELD else None,
            correct=correct,
        )
        note = {
            "kind": JUDGED,
            "problem_id": record.sample.problem_id,
            "sample": _named(reply),
            "correct": correct,
            "run": str(response.run),
            "about": record.about,
        }
        self._keep(kind, note, JUDGED_FORMATS[self._options.format](judged))

    def _take_one_form(self) -> None:
        """Of the responses with labels, leave those without a thought out where others have one."""
        plain = self._places.pop(PLAIN)
        if JUDGED not in self._places:
            return
        if not self._places[JUDGED]:
            self._places[JUDGED] = plain
        elif plain:
            self.counts[JUDGED].fell_out[NO_THOUGHT] += len(plain)
        self.counts[JUDGED].written = len(self._places[JUDGED])

    def _keep(self, kind: str, note: dict, row: dict) -> None:
        line = json.dumps([note, row], ensure_ascii=False) + "\n"
        try:
            self._places[kind].append(self._spool.tell())
            self._spool.write(line.encode("utf-8", "backslashreplace"))
            self._spool.flush()
        except OSError as error:
            raise disk_trouble(self._folder / "pairs.jsonl", error) from error

    def finish(self) -> dict[str, Path]:
        """Write the file of each variant, with the SILC pairs among its own in an order that follows from
        the seed, and pairs.jsonl, which says of each pair where it is from."""
        self._take_one_form()
        paths = {}
        for variant in self._options.variants:
            places = [*self._places[variant], *self._places[SILC]]
            random.Random(f"{self._options.seed} {variant}").shuffle(places)
            paths[variant] = pairs_file(self._folder, variant)
            write_lines(paths[variant], json_list(self._line(place)[1] for place in places))
        write_lines(self._folder / "pairs.jsonl", self._notes())
        return paths

    def _notes(self) -> Iterator[str]:
        for place in sorted(itertools.chain(*self._places.values())):
            note = self._line(place)[0]
            self.runs[note["run"]] += 1
            if "correct" in note:
                self.labels[note["correct"]] += 1
            yield json.dumps(note, ensure_ascii=False) + "\n"

    def _line(self, place: int) -> list:
        self._spool.seek(place)
        return json.loads(self._spool.readline())

    def close(self) -> None:
        self._spool.close()


def _named(reply: Reply) -> dict:
    sample = reply.response.record.sample
    return {"temperature": sample.temperature, "index": sample.index, "tokens": reply.tokens}
