"""Does an audit of an imported run give another suite's number, ours, and what makes the difference?"""

from __future__ import annotations

import random
import shlex
from pathlib import Path
from statistics import fmean

import pytest
from helpers import ROOT
from made_runs import make_imported, make_run
from test_gate import reported
from test_theirs import GOOD, WRONG, import_older, old_file

import inference_and_check
import report
import util.runs.__main__ as runs
from util.errors import UserError
from util.records import Verdict
from util.results.audit import CAUSES, EITHER, MEANS, NOT_MATCHED, audit, metric_of, shared_out
from util.results.sides import open_side
from util.runs.folder import Run
from util.runs.reader import read_records, text_digest
from util.runs.theirs import TheirScore, their_metrics


def audited(folder, samples, theirs, *, scores=None, metric="acc", tool="lm-eval"):
    """A run with our samples (see made_runs), and theirs as (problem, index) -> (score, answer)."""
    make_run(folder, [{"temperature": 0.0, **sample} for sample in samples])
    said = {(name, 0.0, index): TheirScore(metric, *one) for (name, index), one in theirs.items()}
    return make_imported(folder, said, scores=scores or {}, tool=tool)


def parts_of(last):
    """The parts that are not empty: points, samples that they rate higher, and that we do."""
    return {
        name: (round(part["points"], 6), part["above"], part["below"])
        for name, part in last["parts"].items()
        if any(part.values())
    }


MINE = {"right": {}, "wrong": {"correct": False}}
JUDGED = [  # what we found, what they said, and whose doing it is that they differ
    (MINE["right"], (0, ""), "extraction"),
    (MINE["right"], (False, "[invalid]"), "extraction"),
    (MINE["right"], (0.0, "7"), "extraction"),
    (MINE["right"], (0, " 42. "), "equivalence"),
    (MINE["right"], (0, "$42.0$"), "equivalence"),
    ({"extracted": r"\frac{1}{2}"}, (0, "0.5"), "equivalence"),
    (MINE["right"], (0, None), EITHER),
    (MINE["wrong"], (1, "41"), "equivalence"),
    (MINE["wrong"], (1, "42"), "extraction"),
    ({"correct": False, "reason": "no_answer", "extracted": None}, (1, "42"), "extraction"),
    ({"correct": False, "reason": "undecided", "extracted": "x"}, (1, "x"), "undecided"),
    ({"correct": False, "reason": "truncated", "extracted": None}, (1, "42"), "cut answers"),
    ({"correct": False, "finish_reason": "length"}, (1, "41"), "cut answers"),
    ({"grader": "choice-9", "extracted": "B"}, (0, "(b) Paris"), "equivalence"),
    ({"grader": "choice-9", "extracted": "B"}, (0, "Because"), "extraction"),
    ({"grader": "code-4", "extracted": "print( 1 )\n"}, (0, "print( 1 )"), "equivalence"),
    ({"grader": "instructions-1", "extracted": None}, (0, None), "equivalence"),
    ({"grader": "judge-1 openai/x, prompt y", "extracted": "It is 42."}, (0, "42"), "equivalence"),
    ({"grader": "code-4", "extracted": "print(1)"}, (0, "print(2)"), "extraction"),
]  # fmt: skip


@pytest.mark.parametrize(("sample", "said", "cause"), JUDGED)
def test_a_sample_that_is_judged_differently_has_its_cause(tmp_path, capsys, sample, said, cause):
    samples = [{"problem_id": f"p{at}", "index": 0} for at in range(3)] + [
        {"problem_id": "q", "index": 0, **sample}
    ]
    theirs = {(f"p{at}", 0): (1, "42") for at in range(3)} | {("q", 0): said}
    folder = audited(tmp_path / "r", samples, theirs)
    status, text, last = reported(capsys, "audit", folder)
    higher = float(said[0]) > sample.get("correct", True)
    assert (status, parts_of(last)) == (0, {cause: (25.0 if higher else -25.0, int(higher), int(not higher))})
    (flip,) = last["flips"]
    assert (flip["problem_id"], flip["cause"], flip["correct"]) == ("q", cause, sample.get("correct", True))
    assert flip["reference"] == "42"
    assert f"q, temperature 0, index 0: {cause}" in text
    assert f"Their number is 25.0 points {'above' if higher else 'below'} ours" in text


def test_what_both_judge_alike_is_no_difference(tmp_path, capsys):
    samples = [{"problem_id": "p", "index": 0}, {"problem_id": "q", "index": 0, "correct": False}]
    folder = audited(tmp_path / "r", samples, {("p", 0): (True, "42"), ("q", 0): (0, "")})
    _, text, last = reported(capsys, "audit", folder)
    assert parts_of(last) == {} and last["flipped"] == 0
    assert "Their number is the same as ours" in text


def made_up(dice):
    """Samples of ours, and what they say of some of them and of others."""
    samples, theirs = [], {}
    for problem in range(dice.randrange(1, 9)):
        for index in range(dice.randrange(1, 5)):
            kind, _, _ = dice.choice(JUDGED)
            sample = {"problem_id": f"p{problem}", "index": index, **kind}
            if dice.random() < 0.1:
                sample |= {"correct": False, "reason": "no_tests"}
            said = (
                dice.choice([0, 1, 0.0, 1.0, True, False, None, 0.25]),
                dice.choice(["", "41", "42", None]),
            )
            place = dice.random()
            if place > 0.1:
                samples.append(sample)
            if place < 0.9:
                theirs[f"p{problem}", index] = said
    samples.append({"problem_id": "last", "index": 0})
    theirs["last", 0] = (dice.choice([0, 1]), "41")
    return samples, theirs


@pytest.mark.parametrize("seed", range(30))
def test_the_points_of_all_parts_sum_exactly_to_the_difference(tmp_path, seed):
    dice = random.Random(seed)
    samples, theirs = made_up(dice)
    scored = [(name, float(score)) for (name, _), (score, _) in sorted(theirs.items()) if score is not None]
    of = {name: [score for one, score in scored if one == name] for name, _ in scored}
    means = [
        fmean(score for _, score in scored),
        fmean(map(fmean, of.values())),
        fmean(o[0] for o in of.values()),
    ]
    mean = dice.choice(means)
    logged = dice.choice([{}, {"acc": 0.123456}, {"acc": mean}])
    folder = audited(tmp_path / "r", samples, theirs, scores=logged)
    found = audit(open_side(folder), metric_of(folder))
    assert found.difference == found.theirs - found.ours
    assert sum(part.points for part in found.parts) == found.difference
    assert [part.name for part in found.parts] == [*CAUSES, NOT_MATCHED]
    for part in found.parts[:-1]:
        assert sum(flip.points for flip in found.flips if flip.cause == part.name) == part.points
    assert found.interval.low <= float(found.ours) + 1e-9 and float(found.ours) <= found.interval.high + 1e-9
    if logged == {"acc": mean}:
        assert found.logged[0].sure and abs(float(found.theirs) - mean) < 1e-12
    whole = [part.points * 1000 for part in found.parts]
    total = round(1000 * found.theirs) - round(1000 * found.ours)
    shown = shared_out(whole, total)
    assert sum(shown) == total and all(abs(one - part) < 2 for one, part in zip(shown, whole, strict=True))
    assert all(one == 0 for one, part in zip(shown, whole, strict=True) if not part)


TWO = {("p", 0): (1, "42"), ("p", 1): (0, "41"), ("p", 2): (0, "41"), ("q", 0): (1, "42"), ("r", 0): (0, "")}
ALL, PROBLEMS, FIRST = MEANS


@pytest.mark.parametrize(
    ("logged", "mean", "sure"),
    [
        (0.4, ALL, True),
        ("40.00", ALL, True),
        ("0.400000", ALL, True),
        (4 / 9, PROBLEMS, True),
        ("44.4", PROBLEMS, True),
        ("44.44", PROBLEMS, True),
        ("0.444", PROBLEMS, True),
        (2 / 3, FIRST, True),
        (0.6666666666666667, FIRST, True),
        ("66.67", FIRST, True),
        ("66.68", "", False),
        ("66.66", "", False),
        ("44", PROBLEMS, True),
        ("44.5", "", False),
        (0.45, "", False),
        ("0.4", ALL, True),
        ("0", "", False),
        ("1", "", False),
        (12.5, "", False),
    ],
)
def test_their_number_is_reproduced_to_its_last_digit_or_that_it_cannot_is_said(
    tmp_path, capsys, logged, mean, sure
):
    samples = [{"problem_id": name, "index": index} for name, index in TWO]
    _, text, last = reported(capsys, "audit", audited(tmp_path / "r", samples, TWO, scores={"acc": logged}))
    (one,) = last["logged"]
    assert (one["mean"], one["sure"]) == (mean, sure)
    assert last["mean"] == (mean if mean in (ALL, PROBLEMS, FIRST) else PROBLEMS)
    if not mean:
        assert f"acc {one['score']} as logged: cannot be reproduced from the scores of the samples" in text
        assert "theirs  44.4" in text
    else:
        assert f"as logged: reproduced to the last digit: {mean}" in text


@pytest.mark.parametrize(("logged", "mean"), [(5 / 9, "pass@2"), ("66.67", "pass@3"), (0.9, "")])
def test_a_pass_rate_is_named_and_the_split_is_that_of_the_means(tmp_path, capsys, logged, mean):
    right = {"p": (0, 1, 0), "q": (0, 0, 0), "r": (1, 1, 1)}
    theirs = {(name, at): (score, "42") for name, some in right.items() for at, score in enumerate(some)}
    samples = [{"problem_id": name, "index": index} for name, index in theirs]
    _, _, last = reported(capsys, "audit", audited(tmp_path / "r", samples, theirs, scores={"acc": logged}))
    assert (last["logged"][0]["mean"], last["mean"]) == (mean, PROBLEMS)
    assert last["theirs"] == pytest.approx(4 / 9)


def test_the_same_number_goes_before_one_that_is_rounded_to_it(tmp_path, capsys):
    theirs = {("p", 0): (1, "42"), ("p", 1): (0, "41"), ("p", 2): (1, "42"), ("q", 0): (0, "")}
    theirs |= {("p", 3): (0, "41"), ("p", 4): (0, "41"), ("p", 5): (0.25, "41")}
    samples = [{"problem_id": name, "index": index} for name, index in theirs]
    _, _, last = reported(capsys, "audit", audited(tmp_path / "r", samples, theirs, scores={"acc": 0.5}))
    assert (last["logged"][0]["mean"], last["logged"][0]["sure"]) == (FIRST, True)


def test_digits_that_do_not_show_a_single_sample_are_no_proof(tmp_path, capsys):
    theirs = {(f"p{at}", 0): (int(at < 9), "42") for at in range(20)}
    samples = [{"problem_id": name, "index": index} for name, index in theirs]
    _, text, last = reported(capsys, "audit", audited(tmp_path / "r", samples, theirs, scores={"acc": "0.5"}))
    assert last["logged"][0]["sure"] is False
    assert "agrees in the digits that it has, which do not show a single sample" in text


def test_samples_without_a_score_are_zeros_where_that_gives_their_number(tmp_path, capsys):
    theirs = {("p", 0): (1, "42"), ("q", 0): (None, None), ("r", 0): (1, "42")}
    samples = [{"problem_id": name, "index": index} for name, index in theirs]
    for score, zeros, parts in (("66.67", True, {EITHER: (-33.333333, 0, 1)}), ("1.0", False, {})):
        folder = audited(tmp_path / score, samples, theirs, scores={"acc": score})
        _, _, last = reported(capsys, "audit", folder)
        assert (last["logged"][0]["zeros"], parts_of(last)) == (zeros, parts)
    assert last["unmatched"]["samples"] == {"without a score of theirs": 1}


def test_scores_in_percent_are_shares_and_other_numbers_are_refused(tmp_path, capsys):
    samples = [{"problem_id": name, "index": 0} for name in "pq"]
    folder = audited(
        tmp_path / "r", samples, {("p", 0): (100.0, "42"), ("q", 0): (0, "")}, scores={"acc": 50.0}
    )
    _, _, last = reported(capsys, "audit", folder)
    assert last["theirs"] == 0.5 and parts_of(last) == {"extraction": (-50.0, 0, 1)}
    for score in (-1, 101):
        folder = audited(tmp_path / str(score), samples, {("p", 0): (score, "42")})
        with pytest.raises(UserError, match=f"acc has scores such as {score}, no share of right answers"):
            reported(capsys, "audit", folder)


def test_what_is_not_matched_moves_the_number_and_is_counted(tmp_path, capsys):
    samples = [
        {"problem_id": "p", "index": 0},
        {"problem_id": "q", "index": 0},
        {"problem_id": "no tests", "index": 0, "correct": False, "reason": "no_tests"},
        {"problem_id": "ours alone", "index": 0},
    ]
    theirs = {(name, 0): (0, "") for name in ("no tests", "no response")} | {
        (name, 0): (1, "42") for name in "pq"
    }
    _, text, last = reported(capsys, "audit", audited(tmp_path / "r", samples, theirs, scores={"acc": 0.5}))
    assert (last["theirs"], last["ours"]["value"]) == (0.5, 1.0)
    assert parts_of(last) == {NOT_MATCHED: (-50.0, 0, 0)}
    why = ("that cannot be judged (no_tests)", "without a score of theirs", "without a response in the log")
    assert last["unmatched"] == {"problems": 2, "samples": dict.fromkeys(why, 1)}
    assert "2 problems of theirs; samples: 1 that cannot be judged (no_tests), 1 without" in " ".join(
        text.split()
    )


def test_twenty_samples_are_listed_from_both_sides_and_all_where_that_is_asked(tmp_path, capsys):
    theirs = {(f"p{at:02}", 0): (0, "") for at in range(30)} | {(f"q{at}", 0): (1, "41") for at in range(4)}
    samples = [{"problem_id": name, "index": 0, "correct": name.startswith("p")} for name, _ in theirs]
    folder = audited(tmp_path / "r", samples, theirs)
    _, text, last = reported(capsys, "audit", folder)
    names = [flip["problem_id"] for flip in last["flips"]]
    assert names == [f"q{at}" for at in range(4)] + [f"p{at:02}" for at in range(16)]
    assert "and 14 more (--all lists every one)" in text and "p16" not in text
    _, text, last = reported(capsys, "audit", folder, "--all")
    assert len(last["flips"]) == 34 and "p29" in text and "--all" not in text


def test_the_metric_is_the_first_of_the_log_or_the_one_that_is_named(tmp_path, capsys):
    samples = [{"problem_id": name, "index": 0} for name in "pq"]
    scores = {"exact_match,loose": 1.0, "exact_match,strict (stderr)": 0.1, "exact_match,strict": 0.5}
    strict, loose = "exact_match,strict", "exact_match,loose"
    folder = audited(
        tmp_path / "r", samples, {("p", 0): (1, "42"), ("q", 0): (0, "")}, metric=strict, scores=scores
    )
    with Run(folder, settings={}, made_with={}) as run:
        for name in "pq":
            run.add_theirs((name, 0.0, 0), TheirScore(loose, 1, "42"))
    _, text, last = reported(capsys, "audit", folder)
    assert (last["metric"], last["theirs"], [one["name"] for one in last["logged"]]) == (
        strict,
        0.5,
        [strict],
    )
    assert f"Their log has other metrics, too (--metric): {loose}" in text
    assert reported(capsys, "audit", folder, "--metric", loose)[2]["theirs"] == 1.0
    with pytest.raises(UserError, match="unknown metric 'exact-match,loose': did you mean exact_match,loose"):
        reported(capsys, "audit", folder, "--metric", "exact-match,loose")


def test_only_the_samples_of_one_temperature_count(tmp_path, capsys):
    folder = audited(
        tmp_path / "r", [{"problem_id": "p", "index": 0}], {("p", 0): (0, "")}, scores={"acc": 0.0}
    )
    make_run(tmp_path / "warm", [{"problem_id": "p", "index": 0}])
    for name in ("samples.jsonl", "verdicts.jsonl"):
        with open(folder / name, "a") as file:
            file.write((tmp_path / "warm" / name).read_text())
    with pytest.raises(UserError, match="choose with --temperatures"):
        reported(capsys, "audit", folder)
    assert reported(capsys, "audit", folder, "--temperatures", "0")[2]["points"] == -100.0
    with pytest.raises(UserError, match="no score by acc at temperature 0.7: choose another"):
        reported(capsys, "audit", folder, "--temperatures", "0.7")


def test_an_audit_without_a_log_of_another_suite_or_without_verdicts_says_what_is_missing(tmp_path, capsys):
    folder = make_run(tmp_path / "own", [{"problem_id": "p", "index": 0}])
    with pytest.raises(
        UserError, match=r"own was not imported, so that .* import a log with python -m util.runs"
    ):
        reported(capsys, "audit", folder)
    folder = audited(tmp_path / "r", [{"problem_id": "p", "index": 0}], {})
    with pytest.raises(UserError, match="r has no scores of another suite: import its log once more"):
        reported(capsys, "audit", folder)
    folder = audited(tmp_path / "s", [{"problem_id": "p", "index": 0}], {("p", 0): (1, "42")})
    (folder / "verdicts.jsonl").write_text("")
    with pytest.raises(UserError, match=r"no verdicts yet: grade them with\n  python .* --check"):
        reported(capsys, "audit", folder)


def test_a_result_of_the_older_layout_is_audited_once_it_is_judged_again(tmp_path, capsys):
    path = old_file(tmp_path, {"0.0": [GOOD, WRONG]})
    folder = import_older(path, tmp_path / "results")
    with pytest.raises(UserError, match="4 with the verdict of their grader alone") as refused:
        report.run(report.parse(["audit", str(folder)]))
    command = shlex.split(str(refused.value).rpartition("\n")[2])[2:]
    assert command[-2:] == ["--check", "--regrade"]
    assert inference_and_check.run(inference_and_check.parse(command)) == 0
    capsys.readouterr()
    _, text, last = reported(capsys, "audit", folder)
    assert (last["from"], last["matched"], last["theirs"]) == ("the older layout", 4, 0.5)
    assert parts_of(last) == {EITHER: (50.0, 2, 0)}
    assert "their log has no accuracy for all samples together" in text


def the_example(folder):
    """What docs/evaluation.md shows: 200 problems, of which a pattern misses the answers to 25."""
    boxed = {
        "detail": "number; 42; 42",
        "how": "box",
        "trust": "high",
        "extracted": "42",
        "grader": "maths-18",
    }
    priced = {**boxed, "detail": "number; 1200; 1200", "extracted": "1,200"}
    cut = {"correct": False, "reason": "truncated", "extracted": None, "grader": "maths-18"}
    cut["detail"] = "the thought is not closed"
    kinds = [(boxed, (0, "[invalid]"))] * 25 + [(priced, (0, "1,200"))] * 3 + [(cut, (1, "42"))] * 2
    kinds += [(boxed, (1, "42"))] * 140 + [({**boxed, "correct": False}, (0, "42"))] * 30
    samples = [{"problem_id": f"gsm8k-{at}", "index": 0, **sample} for at, (sample, _) in enumerate(kinds)]
    theirs = {(f"gsm8k-{at}", 0): said for at, (_, said) in enumerate(kinds)}
    metric = "exact_match,strict-match"
    return audited(folder, samples[1:], theirs, scores={metric: 0.71}, metric=metric, tool="lm-eval")


def test_the_example_of_the_docs_is_what_the_command_says(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    _, text, _ = reported(capsys, "audit", the_example(Path("results/gsm8k")))
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    example = page.partition("## Why is my number different?")[2].split("```")[3]
    for paragraph in example.removeprefix("text\n").strip("\n").split("\n\n"):
        assert paragraph in text, text


def test_the_page_has_the_logged_score_beside_ours(tmp_path):
    samples = [{"problem_id": name, "index": 0} for name in "pq"]
    folder = audited(tmp_path / "r", samples, {}, scores={"acc<": "0.450"}, tool="lm&eval")
    assert report.run(report.parse([str(folder), "-o", str(tmp_path / "page.html")])) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "acc&lt; 0.450 as logged by lm&amp;eval, avg 100.0 here; report.py audit splits the two." in page


@pytest.mark.parametrize(
    ("log", "runs_there"),
    [("evalscope", 1), ("inspect_ai", 2), ("lighteval", 1), ("lighteval_0.8", 1), ("lm_eval", 1)],
)
def test_the_scores_of_other_suites_logs_are_reproduced(tmp_path, capsys, log, runs_there):
    command = ["import", str(ROOT / "tests" / "foreign" / log), "--result-dir", str(tmp_path)]
    assert runs.run(runs.parse(command)) == 0
    capsys.readouterr()
    folders = [path.parent for path in tmp_path.glob("*/run.json")]
    assert len(folders) == runs_there
    for folder in folders:
        with Run(folder, settings={}, made_with={}) as run:
            for record in read_records(folder):
                verdict = Verdict(True, extracted="1", grader="maths-18")
                run.add_verdict(record.sample.key, text_digest(record.graded_text), verdict)
        for metric in their_metrics(folder):
            _, _, last = reported(capsys, "audit", folder, "--metric", metric)
            assert [(one["name"], one["sure"]) for one in last["logged"]] == [(metric, True)]
