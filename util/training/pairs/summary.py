"""What came of making pairs, in a table and a picture?

`table` is for the person at the keyboard, `write_reports` for the result folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from util.engines.checked import Answers
from util.engines.failures import about_failures
from util.machines.versions import made_with
from util.results.page import charts
from util.runs.journal import whole_json, write_whole
from util.terminal import number_of
from util.training.pairs.cutter import Cutter
from util.training.pairs.variants import OTHER_VARIANT
from util.training.pairs.writer import SILC, VariantCounts

SUMMARY = "pairs-summary.json"


def table(
    counts: Mapping[str, VariantCounts], *, problems: int, attempts: Counter[int], counted_by: str
) -> str:
    """Yield, reasons and lengths of each variant, for people."""
    lines = [f"{'variant':<16} {'pairs':>6} {'of problems':>12}  {'rejected':>9} {'chosen':>9}  change"]
    for name, one in counts.items():
        if not one.written and not one.fell_out:
            continue
        lines.append(
            f"{name:<16} {one.written:>6} {one.written / problems:>12.1%}  "
            f"{_mean(one.rejected_tokens, one.written) or 0:>9.1f} "
            f"{_mean(one.chosen_tokens, one.written) or 0:>9.1f}  {_change(one)}"
        )
        if one.whole:
            lines.append(f"{'':>16} {one.whole:>6} of these whole responses, as there was nothing to cut")
        lines += [f"{'':>16} {number:>6} {reason}" for reason, number in one.fell_out.most_common()]
    lines.append(f"mean tokens by {counted_by}; {number_of(problems, 'problem')}")
    if attempts:
        shown = ", ".join(f"{many} in {number}" for many, number in sorted(attempts.items()))
        lines.append(f"attempts in responses: {shown}")
    return "\n".join(lines)


def where_pairs_went(counts: Mapping[str, VariantCounts]) -> Iterator[str]:
    """A sentence for each variant whose pairs mostly stand in another one's file."""
    for variant, one in counts.items():
        if one.fell_out[OTHER_VARIANT] > one.written:
            yield (
                f"{variant}: most of its pairs are in another variant's file; --variants {variant} alone "
                "writes them all"
            )


def model_trouble(answers: Answers) -> Iterator[str]:
    """What went wrong in asking the rewrite model, a sentence each."""
    for why, number in answers.refused.items():
        yield f"unusable: {number_of(number, 'answer')} of the rewrite model: {why}"
    if answers.failed:
        yield about_failures(answers.failed, answers.failure)


def write_summary(folder: Path, about: dict) -> None:
    """Write pairs-summary.json."""
    write_whole(folder / SUMMARY, whole_json({**about, "made_with": made_with()}))


def write_reports(folder: Path, counts: Mapping[str, VariantCounts], cutter: Cutter, about: dict) -> None:
    """Write pairs-summary.json and margins.svg."""
    answers = cutter.answers
    asked = {
        "split": cutter.split_by_model,
        "judged": answers.usable - cutter.split_by_model,
        "unusable": dict(answers.refused),
        "failed": answers.failed,
        "requests": answers.requests,
        "prompt_tokens": answers.prompt_tokens,
        "completion_tokens": answers.completion_tokens,
    }
    pairs = {
        name: {
            "pairs": one.written,
            "whole": one.whole,
            "fell_out": dict(one.fell_out.most_common()),
            "mean_tokens_chosen": _mean(one.chosen_tokens, one.written),
            "mean_tokens_rejected": _mean(one.rejected_tokens, one.written),
            "margins": one.margins,
        }
        for name, one in counts.items()
    }
    write_summary(folder, {**about, "model": asked, "pairs": pairs})
    write_whole(folder / "margins.svg", margins_picture(counts))


def margins_picture(counts: Mapping[str, VariantCounts]) -> str:
    """The share of tokens by which the shorter text is shorter, as an SVG with a panel for each variant."""
    panels: list[tuple[str, str]] = []
    for name, one in counts.items():
        if not one.written:
            continue
        hue = charts.HUES[len(panels) % len(charts.HUES)]
        along = f"% of tokens by which the {'rejected' if name == SILC else 'chosen'} text is shorter"
        picture = charts.bars([("pairs", hue, one.margins)], along=along, step=100 // len(one.margins))
        panels.append((f"{name}: {one.written} pairs", picture))
    return charts.picture_file(panels)


def _mean(total: int, number: int) -> float | None:
    return round(total / number, 1) if number else None


def _change(one: VariantCounts) -> str:
    if not one.rejected_tokens:
        return "-"
    return f"{100 * (one.chosen_tokens / one.rejected_tokens - 1):+.0f} %"
