"""How do runs become one page: scores, pictures, how they were made, and their samples?

Call `write_report`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from util.records import ending, exact_number
from util.results.counting import OUTCOMES, WHY_BIASED, Tally, up_to
from util.results.page import charts
from util.results.page.counts import StepCounts, counts_tables
from util.results.page.frame import contents, new_page, table
from util.results.page.gather import RunFacts, Shelf
from util.results.page.index import index_of_runs
from util.results.page.letters import letters_section
from util.results.page.listing import listed
from util.results.page.names import run_names, short_models
from util.results.page.opinions import opinions_section
from util.runs.theirs import logged_scores, tool_of
from util.settings import NOT_RECORDED, OF_A_RUN, values_of

GROUPS_SHOWN = 60  # rows of a table by subject and the like
NAMES_IN_TITLE = 4


class Row(NamedTuple):
    """One run at one temperature."""

    label: str
    run: RunFacts
    tally: Tally
    found: dict  # its numbers
    temperature: float


def write_report(
    path: Path,
    runs: Sequence[RunFacts],
    shelf: Shelf,
    *,
    counts: Sequence[StepCounts] = (),
    left_out: Mapping[Path, str],
) -> None:
    """Write the report of `runs`, with the samples that `shelf` kept; `left_out` says why others lack."""
    names = run_names(runs)
    rows = _rows(runs, names)
    made = "".join(_made(run, name) for run, name in zip(runs, names, strict=True))
    above = _notices(runs, names, rows) + "<h2>Scores</h2>" + _scores(rows) + _logged(rows)
    below = "".join(
        (
            opinions_section(runs, names),
            letters_section(runs, names),
            _pictures(rows),
            _tokens(rows),
            _groups(rows),
            *map(counts_tables, counts),
            f'<h2>How the runs were made</h2><div class="columns">{made}</div>',
        )
    )
    with new_page(path, _title(runs)) as out:
        out.flush()
        others = above + below + index_of_runs(runs, names, left_out, shelf)
        samples = listed(runs, names, shelf, beside=os.fstat(out.fileno()).st_size + len(others.encode()))
        index = index_of_runs(runs, names, left_out, shelf)  # of the samples that had room
        out.write(contents([index, above, samples.head, below]))
        out.writelines(samples.data)


def _notices(runs: Sequence[RunFacts], names: Sequence[str], rows: Sequence[Row]) -> str:
    """What a reader has to know first."""
    told = [
        f"{name} is being written by {run.being_written_by}: this is what was there when it was read"
        for run, name in zip(runs, names, strict=True)
        if run.being_written_by
    ]
    told += [
        f"{row.label} is {unfinished}"
        for row in rows
        if (unfinished := row.run.headlines[row.temperature].unfinished())
    ]
    told += [
        f"{row.label} is graded by a judge ({found['label']}): F1 {_percent(found['F1'])}, correct of "
        f"attempted {_percent(found['correct_of_attempted'])}"
        for row in rows
        if (found := row.found.get("by_judge"))
    ]
    told += [failed for run in runs if (failed := run.info.get("grading", {}).get("judge_failed"))]
    return "".join(f'<p class="notice">{escape(one)}.</p>' for one in told)


def _title(runs: Sequence[RunFacts]) -> str:
    tasks = list(dict.fromkeys(str(run.info["settings"].get("task")) for run in runs))
    models = list(dict.fromkeys(short_models([str(run.info["settings"].get("model")) for run in runs])))
    return f"{_some(tasks, 'benchmarks')}: {_some(models, 'models')}"


def _some(names: Sequence[str], what: str) -> str:
    return ", ".join(names) if len(names) <= NAMES_IN_TITLE else f"{len(names)} {what}"


def _rows(runs: Sequence[RunFacts], names: Sequence[str]) -> list[Row]:
    """The numbers of each run and temperature; the label says the temperature where a run has several."""
    return [
        Row(
            f"{name} · T {exact_number(temperature)}" if len(run.numbers) > 1 else name,
            run,
            run.tallies[temperature],
            run.numbers[temperature],
            temperature,
        )
        for run, name in zip(runs, names, strict=True)
        for temperature in run.numbers
    ]


# --- numbers ---


def _scores(rows: Sequence[Row]) -> str:
    head = (
        "run", "avg@n, 95 % interval", "pass@k", "majority@k", "completed only", "truncated", "no answer",
        "not judged", "samples", "mean tokens", "tokens to first correct",
    )  # fmt: skip
    lines = []
    for label, run, _, found, temperature in rows:
        samples, average = found["samples"], found["avg"]
        over = run.headlines[temperature].over_some()
        first = found["tokens_to_first_correct"]
        unjudged = ", ".join(f"{count} {escape(why)}" for why, count in found["not_judged"].items()) or "0"
        lines.append(
            (
                escape(label),
                f"avg@{run.headlines[temperature].drawn()} {_with_bar(average)}{over}" if average else "–",
                _last(found["pass_at"], "pass", found["asked"]["problems"]),
                _last(found["maj_at"], "maj", found["asked"]["problems"]),
                _percent(found["completed_accuracy"]),
                f"{100 * found['truncated'] / samples:.1f} %",
                f"{100 * found['no_answer'] / samples:.1f} %",
                unjudged,
                f"{found['judged']} of {samples}<br>{found['problems']} problems{_apart(found)}",
                f"{found['tokens']['all']['mean']:,.0f}",
                f"{first['mean']:,.0f}" if first else "–",
            )
        )
    upper = (
        " Undecided samples count as not correct; behind avg@n is what it would be if all were correct."
        if any(row.found["undecided"] for row in rows)
        else ""
    )
    note = (
        '<p class="faint">avg@n is the mean over problems. The interval treats the samples of one problem as '
        f"one cluster: it says how far another draw of problems and samples would move the mean.{upper}</p>"
    )
    return (
        table(head, lines, words=(0,), cards=True, frame="scores")
        + note
        + "".join(map(_stopped, rows))
        + _rules(rows)
    )


def _logged(rows: Sequence[Row]) -> str:
    """What the logs of imported runs say, beside our score."""
    lines = []
    for label, run, _, found, _ in rows:
        for metric, score in logged_scores(run.info).items():
            ours = "–" if found["avg"] is None else f"avg {100 * found['avg']['value']:.1f}"
            said = f"{metric} {score} as logged by {tool_of(run.info)}, {ours} here"
            lines.append(
                f'<p class="faint">{escape(f"{label}: {said}")}; report.py audit splits the two.</p>'
            )
    return "".join(lines)


def _apart(found: dict) -> str:
    """The shares that few runs have."""
    shares = {"undecided": found["undecided"], "in another language": found["other_language"]}
    shares |= {ending(name).share: apart["samples"] for name, apart in found["apart"].items()}
    return "".join(
        f"<br>{100 * count / found['samples']:.1f} % {what}" for what, count in shares.items() if count
    )


def _rules(rows: Sequence[Row]) -> str:
    """How far the instructions of prompts are followed, where that was judged."""
    told = (
        (
            row.label,
            [f"{what} {followed}" for what, followed in row.run.headlines[row.temperature].rules.items()],
        )
        for row in rows
    )
    return "".join(f"<p>{escape(label)}: {escape(', '.join(rules))}.</p>" for label, rules in told if rules)


def _stopped(row: Row) -> str:
    """What a reader has to know of a run in which verdicts decided what was asked."""
    stopped = row.found.get("stopped_early")
    if stopped is None:
        return ""
    return (
        f"<p>{escape(row.label)} was sampled {escape(stopped['rule'])}, at most {stopped['n']} samples a "
        f"problem: {stopped['solved']} of {row.found['problems']} problems were solved. "
        f"{escape(WHY_BIASED)}</p>"
    )


def _value_and_interval(estimate: dict) -> str:
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    upper = f'<span class="upper">{up_to(estimate)}</span>' if estimate["undecided"] else ""
    return f'<strong>{value:.1f}</strong>{upper} <span class="interval">[{low:.1f}, {high:.1f}]</span>'


def _last(values: dict[str, dict], label: str, asked: int) -> str:
    """The value for the most samples that all problems have, else that over the most problems, and over how
    many."""
    if not values:
        return "–"
    over = _most_problems(values)
    k = max((k for k, found in values.items() if found["problems"] == over), key=int)
    few = "" if over >= asked else f'<br><span class="faint">{over} of {asked} problems</span>'
    return f"{label}@{k} {100 * values[k]['value']:.1f}{few}"


def _most_problems(values: dict[str, dict]) -> int:
    return max(entry["problems"] for entry in values.values())


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _pictures(rows: Sequence[Row]) -> str:
    parts = []
    curves = [(row.label, curve) for row in rows if len(curve := _curve(row.found["pass_at"])) > 1]
    if curves:
        names = [(label, charts.colour(number)) for number, (label, _) in enumerate(curves)]
        parts.append(_figure("pass@k: solved by one of k samples (%)", charts.curves(curves), names))
    for label, run, tally, *_ in rows:
        groups = _tokens_by_outcome(tally)
        names = [(f"{name} ({len(values)})", hue) for name, hue, values in groups]
        picture = charts.histogram(groups, along="completion tokens", longest=_longest(rows, run))
        parts.append(_figure(f"Tokens: {label}", picture, names))
    return f'<h2>Pictures</h2><div class="columns pictures">{"".join(parts)}</div>'


def _curve(values: dict[str, dict]) -> dict[int, float]:
    """The values that are over the same problems: points over fewer ones make no curve with the others."""
    return {
        int(k): entry["value"] for k, entry in values.items() if entry["problems"] == _most_problems(values)
    }


def _longest(rows: Sequence[Row], run: RunFacts) -> int:
    """The most tokens of a sample on the same task, so that pictures of one task can be compared."""
    task = run.info["settings"].get("task")
    return max(
        row.found["tokens"]["all"]["max"] for row in rows if row.run.info["settings"].get("task") == task
    )


def _tokens(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        for kind, found in row.found["tokens"].items():
            if found is not None:
                values = (f"{found[key]:,.0f}" for key in ("mean", "p5", "p25", "p50", "p75", "p95", "max"))
                lines.append((f"{escape(row.label)}: {kind}", f"{found['samples']:,}", *values))
    head = ("run", "samples", "mean", "5 %", "25 %", "median", "75 %", "95 %", "most")
    return f"<h2>Completion tokens</h2>{table(head, lines, words=(0,), cards=True)}"


def _tokens_by_outcome(tally: Tally) -> list[tuple[str, str, list[int]]]:
    """(name, colour, token counts) of the correct, wrong and truncated samples, and of undecided ones."""
    codes = {
        "correct": {OUTCOMES.index("correct")},
        "wrong": {OUTCOMES.index("wrong"), OUTCOMES.index("no_answer")},
        "truncated": {OUTCOMES.index("truncated")},
    }
    if any(tally.undecided):
        codes["undecided"] = {OUTCOMES.index("undecided")}
    return [
        (name, f"var(--{name})", list(tally.tokens_where(wanted.__contains__)))
        for name, wanted in codes.items()
    ]


def _figure(title: str, picture: str, names: Sequence[tuple[str, str]]) -> str:
    caption = f"<figcaption>{escape(title)}</figcaption>"
    return f"<figure>{caption}{picture}{charts.legend(names)}</figure>"


def _groups(rows: Sequence[Row]) -> str:
    of_task: dict[str, list[Row]] = {}  # subjects and levels of different tasks have nothing in common
    for row in rows:
        of_task.setdefault(str(row.run.info["settings"].get("task")), []).append(row)
    parts = []
    for task, some in of_task.items():
        title = "By {}" if len(of_task) == 1 else f"{task} by {{}}"
        names = dict.fromkeys(name for row in some for name in row.found["groups"])
        parts += [_by(name, some, title.format(name)) for name in names]
    return f"<h2>Accuracy by kind of problem</h2>{''.join(parts)}" if parts else ""


def _by(name: str, rows: Sequence[Row], title: str) -> str:
    """One line for each value of a fact such as the subject, one column for each row of the scores."""
    groups = [row.found["groups"].get(name, {}) for row in rows]
    values = list(dict.fromkeys(value for group in groups for value in group))
    lines = []
    for value in values[:GROUPS_SHOWN]:
        entries = [group.get(value) for group in groups]
        problems = max(entry["problems"] for entry in entries if entry)
        lines.append((escape(value), str(problems), *(_with_bar(entry) for entry in entries)))
    if values:
        macro = (
            f"{100 * row.found['macro'][name]:.1f}" if name in row.found["macro"] else "–" for row in rows
        )
        lines.append(("each weighing the same", "", *macro))
    head = (escape(name), "problems", *(escape(row.label) for row in rows))
    more = len(values) - GROUPS_SHOWN
    rest = f'<p class="faint">and {more} more</p>' if more > 0 else ""
    return f"<h3>{escape(title)}</h3>{table(head, lines, cards=True, frame='groups')}{rest}"


def _with_bar(entry: dict | None) -> str:
    if entry is None:
        return "–"
    bar = charts.interval_bar(entry["value"], entry["low"], entry["high"])
    return f"{_value_and_interval(entry)}{bar}"


def _said(values: dict, group: str, first: Sequence[str] = ()) -> str:
    """The settings of one group of flags that a reader has to know."""
    found = (setting.shown(values[setting.name]) for setting in OF_A_RUN if setting.group == group)
    return ", ".join(filter(None, (*first, *found)))


def _made(run: RunFacts, name: str) -> str:
    info = run.info
    values, asked, made, dataset = values_of(info), info.get("asked", {}), info["made_with"], info["dataset"]
    temperatures = ", ".join(map(exact_number, asked.get("temperatures", ()))) or NOT_RECORDED
    graders = sorted({grader for tally in run.tallies.values() for grader in tally.graders})
    hardware = made.get("hardware", {})
    machines = Counter(hardware.get("gpus") or [str(hardware.get("cpu", "unknown"))])
    machine = ", ".join(f"{count} × {name}" if count > 1 else name for name, count in machines.items())
    prompt = info.get("prompt", {})
    held = "".join(f", {name} {value}" for name, value in made.get("model", {}).items())
    engine = f"engine {made.get('engine', 'unknown')}{held}"
    facts = {
        "model": values["model"],
        "data set": dataset.get("path"),
        "revision": dataset.get("revision"),
        "rows": _said(values, "rows") or "all",
        "contests": _said(values, "livecodebench"),
        "prompt": f"{prompt.get('name', 'default')} (hash {prompt.get('hash')})",
        "system message": values["system_prompt_hash"] or "none",
        "sampling": _said(
            values, "sampling", (f"temperature {temperatures}", f"n {asked.get('n', NOT_RECORDED)}")
        ),
        "graders": ", ".join(graders),
        "suite": f"{made.get('suite')}, Python {made.get('python')}, {engine}",
        "machine": machine,
        "folder": run.folder.name,
    }
    told = ((name, str(value)) for name, value in facts.items() if value != "")
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in told)
    texts = {
        "Wording of the prompt": prompt.get("text"),
        "System message": info["settings"].get("system_prompt"),
    }
    folds = "".join(
        f'<details class="thought"><summary>{what}</summary>'
        f'<div class="prose" dir="auto">{escape(text)}</div></details>'
        for what, text in texts.items()
        if text
    )
    listed = f'<dl class="facts">{lines}</dl>{folds}'
    return f"<section><h3>{escape(name)}</h3>{listed}</section>"
