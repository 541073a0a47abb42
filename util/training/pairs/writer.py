"""How do samples and the cuts in them become preference pairs, and in what order are they written?

Open a `PairWriter`, `add` what each problem offers, then `finish`.
"""

from __future__ import annotations

import json
import random
import tempfile
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from util.engines.tokens import TokenCounter
from util.runs.journal import json_list, write_lines
from util.training.formats import PAIR_FORMATS, Pair
from util.training.pairs.attempts import pieces_of
from util.training.pairs.cutter import Cutter, Grade, Response
from util.training.pairs.survey import PossiblePairs, rate_of
from util.training.pairs.variants import (
    CUT_VARIANTS,
    NOT_CORRECT,
    OTHER_FORM,
    OTHER_VARIANT,
    SMALL_MARGIN,
    WHOLE,
    Ordered,
    cut_for,
    margin,
    pairs_file,
    shortened,
)

SILC = "silc"
NO_REFERENCE = "no reference answer"
MARGIN_BINS = 20


@dataclass
class VariantCounts:
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
        self.counts = {name: VariantCounts() for name in (*options.variants, SILC)}
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
        rejected_text = rejected.closed_text
        rejected_tokens = self._counter.count(rejected_text, rate_of(rejected.record))
        kept: set[int] = set()
        scores: list[bool | None] = []
        if set(self._options.variants) & set(CUT_VARIANTS) and chosen.record.answer is not None:
            scores = self._cutter.scores(chosen)
            self.attempts[len(scores)] += 1
        for variant in self._options.variants:
            text, keep, why_not = self._shortened(variant, chosen, scores, kept)
            if not why_not and chosen.slices.form != rejected.slices.form:
                why_not = OTHER_FORM
            tokens = self._counter.count(text, rate_of(chosen.record))
            share = margin(tokens, rejected_tokens)
            if not why_not and (share < self._options.min_margin or text == rejected_text):
                why_not = SMALL_MARGIN
            if why_not:
                self.counts[variant].fell_out[why_not] += 1
                continue
            kept.add(keep)
            about = {"attempts": len(scores) or None, "kept": keep or None}
            self._write(variant, (chosen, text, tokens), (rejected, rejected_text, rejected_tokens), about)

    def _shortened(
        self, variant: str, chosen: Response, scores: list[bool | None], kept: set[int]
    ) -> tuple[str, int, str]:
        """The text of a variant and how many attempts it keeps, or why there is none."""
        if variant == WHOLE:
            return chosen.closed_text, 0, ""
        if chosen.record.answer is None:
            return "", 0, NO_REFERENCE
        cut = cut_for(variant, scores)
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
        texts = [one.closed_text for one in (chosen, rejected)]
        tokens = [
            self._counter.count(text, rate_of(one.record))
            for text, one in zip(texts, (chosen, rejected), strict=True)
        ]
        share = margin(tokens[1], tokens[0])
        if share < self._options.min_margin or texts[0] == texts[1]:
            self.counts[SILC].fell_out[SMALL_MARGIN] += 1
            return
        self._write(SILC, (chosen, texts[0], tokens[0]), (rejected, texts[1], tokens[1]), {})

    def _write(
        self, kind: str, chosen: tuple[Response, str, int], rejected: tuple[Response, str, int], about: dict
    ) -> None:
        assert chosen[1] != rejected[1], "a text was to be preferred to itself"
        share = self.counts[kind].add(chosen[2], rejected[2])
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
            paths[variant] = pairs_file(self._folder, variant)
            write_lines(paths[variant], json_list(self._line(place)[1] for place in places))
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
