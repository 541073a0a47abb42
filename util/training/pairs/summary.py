"""What came of making pairs, in a table and a picture?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from util.machines.versions import made_with
from util.results.page import charts
from util.runs.journal import write_whole
from util.training.pairs.cutter import Asked
from util.training.pairs.variants import OTHER_VARIANT
from util.training.pairs.writer import SILC, Tally


def tally_numbers(tally: Tally) -> dict:
    """A tally for the summary file."""
    return {
        "pairs": tally.written,
        "fell_out": dict(tally.fell_out.most_common()),
        "mean_tokens_chosen": _mean(tally.chosen_tokens, tally.written),
        "mean_tokens_rejected": _mean(tally.rejected_tokens, tally.written),
        "margins": tally.margins,
    }


def table(tallies: Mapping[str, Tally], *, problems: int, attempts: Counter[int], counted_by: str) -> str:
    """Yield, reasons and lengths of each variant, for people."""
    lines = [f"{'variant':<16} {'pairs':>6} {'of problems':>12}  {'rejected':>9} {'chosen':>9}  change"]
    for name, tally in tallies.items():
        if not tally.written and not tally.fell_out:
            continue
        lines.append(
            f"{name:<16} {tally.written:>6} {tally.written / problems:>12.1%}  "
            f"{_mean(tally.rejected_tokens, tally.written) or 0:>9.1f} "
            f"{_mean(tally.chosen_tokens, tally.written) or 0:>9.1f}  {_change(tally)}"
        )
        lines += [f"{'':>16} {number:>6} {reason}" for reason, number in tally.fell_out.most_common()]
    lines.append(f"mean tokens by {counted_by}; {problems} problems")
    if attempts:
        counts = ", ".join(f"{many} in {number}" for many, number in sorted(attempts.items()))
        lines.append(f"attempts in responses: {counts}")
    return "\n".join(lines)


def where_pairs_went(tallies: Mapping[str, Tally]) -> Iterator[str]:
    """A sentence for each variant whose pairs mostly stand in another one's file."""
    for variant, tally in tallies.items():
        if tally.fell_out[OTHER_VARIANT] > tally.written:
            yield (
                f"{variant}: most of its pairs are in another variant's file; --variants {variant} alone "
                "writes them all"
            )


def model_trouble(asked: Asked) -> Iterator[str]:
    """What went wrong in asking the rewrite model, a sentence each."""
    for why, number in asked.unusable.items():
        yield f"{number} answers of the rewrite model were unusable: {why}"
    if asked.failed:
        yield (
            f"{asked.failed} requests failed (the last one: {asked.failure}); the same command retries them"
        )


def model_numbers(asked: Asked) -> dict:
    """What was asked of the model, for the summary file."""
    return {
        "split": asked.split,
        "judged": asked.judged,
        "unusable": dict(asked.unusable),
        "failed": asked.failed,
        **asdict(asked.usage),
    }


def write_reports(folder: Path, tallies: Mapping[str, Tally], about: dict) -> None:
    """Write pairs-summary.json and margins.svg."""
    pairs = {name: tally_numbers(tally) for name, tally in tallies.items()}
    summary = {**about, "pairs": pairs, "made_with": made_with()}
    write_whole(folder / "pairs-summary.json", json.dumps(summary, ensure_ascii=False, indent=1) + "\n")
    write_whole(folder / "margins.svg", margins_picture(tallies))


def margins_picture(tallies: Mapping[str, Tally]) -> str:
    """The share of tokens by which the shorter text is shorter, as an SVG with a panel for each variant."""
    panels = []
    for name, tally in tallies.items():
        if not tally.written:
            continue
        hue = charts.HUES[len(panels) % len(charts.HUES)]
        along = f"% of tokens by which the {'rejected' if name == SILC else 'chosen'} text is shorter"
        picture = charts.bars([("pairs", hue, tally.margins)], along=along, step=100 // len(tally.margins))
        panels.append((f"{name}: {tally.written} pairs", picture))
    return charts.picture_file(panels)


def _mean(total: int, number: int) -> float | None:
    return round(total / number, 1) if number else None


def _change(tally: Tally) -> str:
    if not tally.rejected_tokens:
        return "-"
    return f"{100 * (tally.chosen_tokens / tally.rejected_tokens - 1):+.0f} %"
