"""Does a result say over what it was computed, and say first that it is not complete?"""

import json
from pathlib import Path

import pytest
from made_runs import make_run
from test_statistics import line_of, record

import report
from util.errors import UserError
from util.records import Verdict
from util.results.counting import Stopped, Tally, counted
from util.results.headline import Target, headline, summary_line, target_in
from util.results.page.gather import read_run
from util.runs.folder import read_run_json


def result_of(records, target=None):
    tally = Tally()
    for one in records:
        tally.add(counted(one))
    return headline(tally, target)


def drawn(problem_id, correct, of, **given):
    return [record(problem_id, index, correct=index < correct, **given) for index in range(of)]


def test_problems_with_fewer_samples_make_a_range_and_only_what_all_have_is_a_headline():
    records = drawn("p0", 8, 8)
    for place in range(1, 40):
        records += drawn(f"p{place}", place < 3, 1)
    found = result_of(records, Target(40, 320))
    line = line_of("Warmup", found)
    assert line.startswith("Warmup INCOMPLETE: 47 of 320 asked (short answers end first")
    assert "avg@1-8 7.5 [" in line and " pass@1 7.5 maj@1 7.5 " in line and "pass@8" not in line
    assert line.endswith("completed-only 7.5 | 47 of 320") and "21.3" not in line
    assert found.as_json()["pass_at"]["8"] == {"value": 1.0, "problems": 1}
    assert (found.missing, found.complete, found.n_least, found.n) == (273, False, 1, 8)


@pytest.mark.parametrize("n, ks", [(1, [1]), (8, [1, 2, 4, 8]), (10, [1, 2, 4, 8, 10])])
def test_n_is_always_among_the_ks(n, ks):
    found = result_of([one for place in range(30) for one in drawn(f"p{place}", n * (place % 2), n)])
    assert list(found.pass_at) == list(found.maj_at) == ks
    assert (f"pass@{n} 50.0 maj@{n} 50.0" in line_of("AIME", found)) == (n > 1)


def test_where_nothing_is_cut_off_completed_only_is_the_mean_over_problems():
    records = [*drawn("p", 8, 8), *drawn("q", 0, 2)]
    found = result_of(records)
    assert found.completed_accuracy == found.avg.value == 0.5 and found.share_of_samples == 0.8
    cut = [
        record("q", index, correct=False, reason="truncated", finish_reason="length") for index in range(2, 8)
    ]
    assert result_of([*records, *cut]).completed_accuracy == 0.5


def test_problems_of_which_nothing_could_be_judged_are_told_beside_the_mean():
    records = [one for place in range(17) for one in drawn(f"p{place}", 2, 4)]
    for place, verdict in [(20, Verdict(False, "grader_error"))] * 10 + [(40, None)] * 3:
        place += len(records)
        records += [record(f"p{place}", index, verdict=verdict) for index in range(4)]
    found = result_of(records)
    assert " over 17 of 30 problems" in line_of("AIME", found)
    assert "INCOMPLETE: 12 not graded yet |" in line_of("AIME", found) and not found.complete
    graded = result_of([one for one in records if one.verdict is not None])
    assert not graded.unfinished() and not graded.complete and graded.over_some() == " over 17 of 27 problems"


def test_a_line_fits_a_terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    reasons = [{"finish_reason": "loop"}, {"finish_reason": "refusal", "reason": "no_answer"}, {}]
    records = [
        record(f"p{place}", index, correct=False, **{"reason": "undecided", **reasons[index % 3]})
        for place in range(30)
        for index in range(64)
    ]
    text = summary_line("GPQADiamond at 0.6", result_of(records, Target(198, 198 * 64)))
    assert max(map(len, text.split("\n"))) <= 80 and len(text.split("\n")) > 3
    assert text.startswith("GPQADiamond at 0.6 INCOMPLETE: 1920 of 12672 asked, 168 of 198 problems without")


def killed_run(folder, **asked):
    """40 problems at two temperatures, of which the second command part was killed."""
    samples = [
        {"problem_id": f"p{place}", "index": index, "temperature": 0.4, "correct": place < 20}
        for place in range(32)
        for index in range(8 if place < 31 else 5)
    ]
    make_run(folder, samples, problems=[{"id": f"p{place}"} for place in range(40)])
    info = json.loads((folder / "run.json").read_text())
    info["asked"] = {"temperatures": [0.4, 1.0], "n": 8, "limit": None, **asked}
    (folder / "run.json").write_text(json.dumps(info))
    return folder


@pytest.mark.parametrize("asked", [{}, {"at": {"0.4": [[40, 8]]}}])
def test_a_killed_run_says_what_is_missing_wherever_it_is_shown(tmp_path, asked):
    found = read_run(killed_run(tmp_path / "run", **asked)).headlines[0.4]
    assert found.unfinished().startswith(
        "INCOMPLETE: 253 of 320 asked, 8 of 40 problems without a sample (short answers"
    )
    assert "over 32 of 40 problems" in line_of("Warmup", found)


def test_the_page_says_what_is_missing_and_over_what_a_mean_is(tmp_path):
    page = tmp_path / "report.html"
    report.run(report.parse([str(killed_run(tmp_path / "run")), "-o", str(page)]))
    text = page.read_text(encoding="utf-8")
    assert "INCOMPLETE: 253 of 320 asked, 8 of 40 problems without a sample" in text
    assert "over 32 of 40 problems" in text


def test_a_rule_that_ends_problems_early_leaves_nothing_missing():
    tally = Tally()
    for one in [*drawn("p", 1, 1), *drawn("q", 0, 8)]:
        tally.add(counted(one))
    rule = Stopped("until 1 correct", 8)
    line = summary_line("AIME", headline(tally, Target(2, 16), rule))
    assert line.startswith("AIME until 1 correct, at most 8 samples: 1 of 2 problems solved |")
    assert line.endswith("| 9 of 9")
    assert "INCOMPLETE: 1 of 3 problems without" in summary_line("A", headline(tally, Target(3, 24), rule))


@pytest.mark.parametrize(
    "steps, samples", [([[4, 8], [30, 1]], 58), ([[30, 2]], 60), ([[2, 4], [4, 2], [8, 1]], 16)]
)
def test_commands_with_different_limits_are_added_up(steps, samples):
    info = {"asked": {"temperatures": [0.7], "n": 8, "at": {"0.7": steps}}}
    assert target_in(info, 0.7, Tally(), 30).samples == samples


def test_an_older_folder_with_equally_many_samples_everywhere_is_complete():
    tally = Tally()
    for place in range(5):
        for one in drawn(f"p{place}", 1, 4):
            tally.add(counted(one))
    info = {"asked": {"temperatures": [0.4, 0.7], "n": 8}}
    assert target_in(info, 0.7, tally, 5) == Target(5, 20)
    assert target_in({}, 0.7, tally, 5) == Target(5, 20)


@pytest.mark.parametrize("steps", [3, [3], [[1]], [[1, "2"]]])
def test_a_damaged_note_of_what_was_asked_is_refused(tmp_path, steps):
    folder = killed_run(tmp_path / "run", at={"0.4": steps})
    with pytest.raises(UserError, match="asked.at"):
        read_run_json(folder)


# --- groups ---


def test_results_are_split_by_what_the_benchmark_declares():
    tally = Tally(("area", "month"))
    for place, area in enumerate(["STEM", "STEM", "STEM", "other"]):
        about = {"area": area, "subject": f"s{place}", "month": "2024-01"}
        tally.add(counted(record(f"p{place}", correct=area == "other", about=about)))
    found = headline(tally)
    assert {name: [*values] for name, values in found.groups.items()} == {"area": ["STEM", "other"]}
    assert found.macro == {"area": 0.5} and found.avg.value == 0.25


@pytest.mark.parametrize(
    "about, groups",
    [
        ([{"category": "law"}, {"category": "maths"}], ["category"]),
        ([{"platform": "a", "contest_date": "2024-01-06T00"}, {"platform": "b"}], ["platform"]),
        ([{"contest_date": "2024-01-06T00"}, {"contest_date": "2024-03-09"}], ["month"]),
    ],
)
def test_folders_that_declare_no_groups_are_split_by_the_usual_ones(about, groups):
    found = result_of([record(f"p{place}", about=facts) for place, facts in enumerate(about)])
    assert list(found.groups) == groups


def test_benchmarks_declare_groups_that_their_problems_have():
    from tasks import FILES, aime, load_task, mmlu

    rows = json.loads((Path(__file__).parent / "rows.json").read_text())
    for name in FILES:
        task = load_task(name)
        if name in rows and task.groups:
            assert {*task.groups} & {*task.problem(rows[name]["row"]).about}, name
    assert aime.exam("https://x.org/wiki/2024_AIME_II_Problems/Problem_4") == "AIME II"
    assert aime.exam("https://x.org/wiki/2024_AIME_I_Problems/Problem_4") == "AIME I"
    assert {name: len(subjects) for name, subjects in mmlu.AREAS.items()} == {
        "humanities": 13,
        "social sciences": 12,
        "STEM": 18,
    }
    assert (mmlu.area("astronomy"), mmlu.area("virology")) == ("STEM", "other")
