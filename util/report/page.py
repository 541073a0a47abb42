"""How do runs become one page: scores, pictures, how they were made, and their samples?"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from util.report import charts
from util.report.counts import Counts, counts_tables
from util.report.frame import new_page, table
from util.report.gather import RunFacts, Shelf
from util.report.listing import write_samples
from util.statistics import OUTCOMES, WHY_BIASED, Tally

GROUPS_SHOWN = 60  # rows of a table by subject and the like
Numbers = Sequence[tuple[str, RunFacts, dict]]  # label, run, numbers of one temperature


def write_report(
    path: Path, runs: Sequence[RunFacts], shelf: Shelf, *, counts: Sequence[Counts] = ()
) -> None:
    """Write the report of `runs`, with the samples that `shelf` kept."""
    with new_page(path, "Report: " + ", ".join(dict.fromkeys(run.name for run in runs))) as out:
        numbers = [
            (_label(run, temperature, runs), run, found)
            for run in runs
            for temperature, found in run.numbers.items()
        ]
        for run in runs:
            if run.being_written_by:
                out.write(
                    f'<p class="notice">{escape(run.name)} is being written by '
                    f"{escape(run.being_written_by)}: this is what was there when it was read.</p>"
                )
        out.write("<h2>Scores</h2>" + _scores(numbers))
        out.write(_pictures(numbers, runs))
        out.write(_groups(numbers))
        for some in counts:
            out.write(counts_tables(some))
        out.write("<h2>How the runs were made</h2>" + "".join(_made(run) for run in runs))
        write_samples(out, runs, shelf)


# --- numbers ---


def _label(run: RunFacts, temperature: float, runs: Sequence[RunFacts]) -> str:
    several = [other.name for other in runs].count(run.name) > 1
    name = f"{run.name} ({run.folder.parent.name}/{run.folder.name})" if several else run.name
    return f"{name} · T {temperature:g}"


def _scores(numbers: Numbers) -> str:
    head = (
        "run", "avg@n, 95 % interval", "pass@k", "majority@k", "completed only", "truncated", "no answer",
        "not judged", "samples", "mean tokens", "tokens to first correct",
    )  # fmt: skip
    rows = []
    for label, _, found in numbers:
        samples, average = found["samples"], found["avg"]
        tokens, first = found["tokens"]["all"], found["tokens_to_first_correct"]
        unjudged = ", ".join(f"{count} {escape(why)}" for why, count in found["not_judged"].items()) or "0"
        rows.append(
            (
                escape(label),
                _average(found["n"], average) if average else "–",
                _last(found["pass_at"], "pass"),
                _last(found["maj_at"], "maj"),
                _percent(found["completed_accuracy"]),
                f"{100 * found['truncated'] / samples:.1f} %",
                f"{100 * found['no_answer'] / samples:.1f} %",
                unjudged,
                f"{found['judged']} of {samples}<br>{found['problems']} problems",
                f"{tokens['mean']:.0f}",
                f"{first['mean']:.0f}" if first else "–",
            )
        )
    note = (
        '<p class="faint">avg@n is the mean over problems. The interval treats the samples of one problem as '
        "one cluster: it says how far another draw of problems and samples would move the mean.</p>"
    )
    return table(head, rows, words=(0,), cards=True) + note + "".join(map(_stopped, numbers))


def _stopped(numbers: tuple[str, RunFacts, dict]) -> str:
    """What a reader has to know of a run in which verdicts decided what was asked."""
    label, _, found = numbers
    stopped = found.get("stopped_early")
    if stopped is None:
        return ""
    return (
        f"<p>{escape(label)} was sampled {escape(stopped['rule'])}, at most {stopped['n']} samples a "
        f"problem: {stopped['solved']} of {found['problems']} problems were solved. {escape(WHY_BIASED)}</p>"
    )


def _average(n: int, average: dict) -> str:
    return f"@{n} {_value_and_interval(average)}"


def _value_and_interval(estimate: dict) -> str:
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f'<strong>{value:.1f}</strong> <span class="interval">[{low:.1f}, {high:.1f}]</span>'


def _last(values: dict[str, dict], label: str) -> str:
    if not values:
        return "–"
    k = max(values, key=int)
    return f"{label}@{k} {100 * values[k]['value']:.1f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _pictures(numbers: Numbers, runs: Sequence[RunFacts]) -> str:
    drawn = [
        (label, {int(k): entry["value"] for k, entry in found["pass_at"].items()})
        for label, _, found in numbers
        if len(found["pass_at"]) > 1
    ]
    parts = []
    if drawn:
        names = [(label, charts.colour(number)) for number, (label, _) in enumerate(drawn)]
        parts.append(_figure("pass@k: solved by at least one of k samples (%)", charts.curves(drawn), names))
    for run in runs:
        for temperature, tally in run.tallies.items():
            groups = _tokens_by_outcome(tally)
            names = [(f"{name} ({len(values)})", hue) for name, hue, values in groups]
            title = f"Tokens: {_label(run, temperature, runs)}"
            parts.append(_figure(title, charts.histogram(groups, along="completion tokens"), names))
    return f'<h2>Pictures</h2><div class="charts">{"".join(parts)}</div>'


def _tokens_by_outcome(tally: Tally) -> list[tuple[str, str, list[int]]]:
    """(name, colour, token counts) of the correct, wrong and truncated samples."""
    codes = {
        "correct": {OUTCOMES.index("correct")},
        "wrong": {OUTCOMES.index("wrong"), OUTCOMES.index("no_answer")},
        "truncated": {OUTCOMES.index("truncated")},
    }
    return [
        (name, f"var(--{name})", list(tally.tokens_where(wanted.__contains__)))
        for name, wanted in codes.items()
    ]


def _figure(title: str, picture: str, names: Sequence[tuple[str, str]]) -> str:
    caption = f"<figcaption>{escape(title)}</figcaption>"
    return f"<figure>{caption}{picture}{charts.legend(names)}</figure>"


def _groups(numbers: Numbers) -> str:
    names = dict.fromkeys(name for _, _, found in numbers for name in found["groups"])
    parts = [_by(name, numbers) for name in names]
    return f"<h2>Accuracy by kind of problem</h2>{''.join(parts)}" if parts else ""


def _by(name: str, numbers: Numbers) -> str:
    """One row for each value of a fact such as the subject, one column for each run."""
    groups = [found["groups"].get(name, {}) for _, _, found in numbers]
    values = list(dict.fromkeys(value for group in groups for value in group))
    rows = []
    for value in values[:GROUPS_SHOWN]:
        entries = [group.get(value) for group in groups]
        problems = max(entry["problems"] for entry in entries if entry)
        rows.append((escape(value), str(problems), *(_with_bar(entry) for entry in entries)))
    head = (escape(name), "problems", *(escape(label) for label, _, _ in numbers))
    more = len(values) - GROUPS_SHOWN
    rest = f'<p class="faint">and {more} more</p>' if more > 0 else ""
    return f"<h3>By {escape(name)}</h3>{table(head, rows)}{rest}"


def _with_bar(entry: dict | None) -> str:
    if entry is None:
        return "–"
    bar = charts.interval_bar(entry["value"], entry["low"], entry["high"])
    return f"{_value_and_interval(entry)}{bar}"


def _made(run: RunFacts) -> str:
    info = run.info
    settings, made, dataset = info["settings"], info["made_with"], info["dataset"]
    graders = sorted({grader for tally in run.tallies.values() for grader in tally.graders})
    hardware = made.get("hardware", {})
    machine = ", ".join(hardware.get("gpus") or [str(hardware.get("cpu", "unknown"))])
    prompt = info.get("prompt", {})
    engine = f"engine {made.get('engine', 'unknown')}"
    facts = {
        "model": settings.get("model"),
        "data set": f"{dataset.get('path')}, split {dataset.get('split')}",
        "revision": dataset.get("revision"),
        "prompt": f"{prompt.get('name', 'default')} (hash {prompt.get('hash')})",
        "system message": settings.get("system_prompt_hash") or "none",
        "most tokens": settings.get("max_tokens"),
        "graders": ", ".join(graders),
        "suite": f"{made.get('suite')}, Python {made.get('python')}, {engine}",
        "machine": machine,
        "folder": run.folder.name,
    }
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    wording = prompt.get("text", "")
    fold = (
        '<details class="thought"><summary>Wording of the prompt</summary>'
        f'<div class="prose">{escape(wording)}</div></details>'
    )
    return f'<h3>{escape(run.name)}</h3><dl class="facts">{lines}</dl>{fold if wording else ""}'
