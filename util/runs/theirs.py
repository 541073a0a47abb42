"""What did the suite that somebody else's samples come from say of them, and of all of them together?

`TheirScores` reads a run's theirs.jsonl, `Run.add_theirs` writes it; `imported` makes what run.json says of
the import, `logged_scores` reads the scores out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from util.records import Key
from util.runs.journal import Closing, open_to_read, read_line_at, read_lines
from util.runs.lines import THEIRS, is_their_score, key_of, named

MOST_DIGITS = 40  # before or behind the point: no score has more


@dataclass(frozen=True, slots=True)
class TheirScore:
    """What another suite logged about one sample, by one metric.

    `extracted` is the answer that it found in the response: "" where it found none, None where its log does
    not say. `score` is as it logs it: true or false, a share or percent; None where it gave none.
    """

    metric: str
    score: bool | float | None
    extracted: str | None = None


def imported(tool: str, scores: Mapping[str, object], **more: Any) -> dict[str, Any]:
    """What run.json says under made_with.imported: the suite that made the samples, its scores by metric as
    its log has them (a text keeps all digits), and what else is known of the log, such as its version.

    What is no number is left out.
    """
    digits = {metric: digits_of(score) for metric, score in scores.items()}
    return {"from": tool, **more, "scores": {metric: said for metric, said in digits.items() if said}}


def digits_of(score: object) -> str:
    """A score in the digits that its log has: "0.450", "0.00001" for 1e-05; "" where it is no number."""
    try:
        number = Decimal("NaN" if isinstance(score, bool) else str(score))
    except InvalidOperation:
        return ""
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) < MOST_DIGITS else ""


def logged_scores(info: Mapping[str, Any]) -> dict[str, str]:
    """The scores of an imported run as their log has them, by metric; none where it has none."""
    said = info["made_with"].get("imported")
    return dict(said.get("scores", {})) if isinstance(said, dict) else {}


def tool_of(info: Mapping[str, Any]) -> str:
    """The suite whose log a run was imported from."""
    said = info["made_with"].get("imported")
    return said.get("from", "another suite") if isinstance(said, dict) else "the older layout"


def their_line(key: Key, their: TheirScore) -> dict[str, Any]:
    """A line of theirs.jsonl; a score that is no number, or a number beyond all reason, is none."""
    score = their.score if is_their_score(their.score) else None
    return {**named(key), "metric": their.metric, "score": score, "extracted": their.extracted}


def read_theirs(folder: Path) -> Iterator[tuple[int, Key, TheirScore]]:
    """Each line of theirs.jsonl with its offset in bytes; no line where there is no such file."""
    for offset, line in read_lines(folder / THEIRS):
        problem_id, temperature, index = key_of(line)
        key = problem_id, float(temperature), index
        yield offset, key, TheirScore(line["metric"], line["score"], line["extracted"])


def their_metrics(folder: Path) -> list[str]:
    """The metrics of theirs.jsonl, in the order in which they are met; [] where there is no such file."""
    return list(dict.fromkeys(their.metric for _, _, their in read_theirs(folder)))


class TheirScores(Closing):
    """The scores of one metric by sample, in memory; the answers stay in the file until they are asked for.

    Of several lines about a sample the first counts.
    """

    def __init__(self, folder: Path, metric: str) -> None:
        self.scores: dict[Key, bool | float | None] = {}
        self._offsets: dict[Key, int] = {}
        for offset, key, their in read_theirs(folder):
            if their.metric == metric and key not in self.scores:
                self.scores[key] = their.score
                self._offsets[key] = offset
        self._file = open_to_read(folder / THEIRS)

    def extracted(self, key: Key) -> str | None:
        """The answer that they found in a sample; "" where they found none, None where they do not say."""
        found: str | None = read_line_at(self._file, self._offsets[key])["extracted"]
        return found

    def close(self) -> None:
        self._file.close()
