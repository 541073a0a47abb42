"""What another suite said of its samples is kept beside them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from test_chain import GOOD, numbered_file, old_file

import util.runs.__main__ as runs
from util.errors import UserError
from util.records import Problem, Sample
from util.runs.folder import Run, read_run_json
from util.runs.merge import merge_runs
from util.runs.theirs import TheirScore, TheirScores, imported, logged_scores, read_theirs, their_metrics

SETTINGS = {"task": "MATH500", "model": "m"}
PROBLEM = Problem("p1", "What is 1 + 1?", "2")


def scored_run(folder, said, *, samples=(), scores=None, more=None):
    """A run folder with lines of theirs.jsonl by (problem, index) and samples of (problem, index)."""
    made = {"imported": imported("lm-eval", scores or {}, version="0.4.9", **(more or {}))}
    with Run(folder, settings=SETTINGS, made_with=made) as run:
        run.info["dataset"] = {"path": "ORG/NAME", "split": "test", "revision": "a"}
        run.save_info()
        for (problem_id, index), their in said:
            run.add_problem(replace(PROBLEM, id=problem_id), "Add.")
            run.add_theirs((problem_id, 0, index), their)
        for problem_id, index in samples:
            run.add_sample(Sample(problem_id, 0.0, index, f"{folder.name}: 2.", None, "unknown", 1, 1))
    return folder


def test_what_they_said_of_a_sample_is_read_back_by_metric(tmp_path):
    said = [
        (("p1", 0), TheirScore("strict", True, "2")),
        (("p1", 0), TheirScore("loose", 0.5, "")),
        (("p1", 1), TheirScore("strict", float("nan"))),
        (("é€", 0), TheirScore("strict", 1, "[invalid]")),
    ]
    folder = scored_run(tmp_path / "r", said)
    assert their_metrics(folder) == ["strict", "loose"]
    with TheirScores(folder, "strict") as theirs:
        assert theirs.scores == {("p1", 0.0, 0): True, ("p1", 0.0, 1): None, ("é€", 0.0, 0): 1}
        assert [theirs.extracted(key) for key in theirs.scores] == ["2", None, "[invalid]"]
    with TheirScores(folder, "loose") as theirs:
        assert [theirs.extracted(key) for key in theirs.scores] == [""]


def test_a_log_that_is_imported_again_says_nothing_twice_and_the_first_counts(tmp_path):
    for score in (True, False):
        folder = scored_run(tmp_path / "r", [(("p1", 0), TheirScore("strict", score, "2"))])
    assert [their.score for _, _, their in read_theirs(folder)] == [True]


@pytest.mark.parametrize(
    ("logged", "kept"),
    [
        (0.4533333333333333, "0.4533333333333333"),
        ("45.60", "45.60"),
        (1e-05, "0.00001"),
        (1, "1"),
        (0, "0"),
        ("N/A", None),
        (float("nan"), None),
        ("1e999999", None),
        (True, None),
        (None, None),
        ({"mean": 1}, None),
    ],
)
def test_their_score_keeps_its_digits_and_what_is_no_number_is_left_out(tmp_path, logged, kept):
    info = read_run_json(scored_run(tmp_path / "r", [], scores={"acc": logged}))
    assert logged_scores(info) == ({} if kept is None else {"acc": kept})
    assert info["made_with"]["imported"]["from"] == "lm-eval"


@pytest.mark.parametrize("score", [0.5, "half", None, "1e5", True])
def test_a_score_in_run_json_that_is_no_number_in_quotes_is_refused(tmp_path, score):
    folder = scored_run(tmp_path / "r", [], scores={"acc": 1})
    info = json.loads((folder / "run.json").read_text())
    info["made_with"]["imported"]["scores"]["acc"] = score
    (folder / "run.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=r"made_with.imported.scores.acc is .*, not a number in quotes"):
        read_run_json(folder)


@pytest.mark.parametrize(
    "changed", [{"score": "yes"}, {"score": float("inf")}, {"metric": None}, {"extracted": 7}]
)
def test_a_damaged_line_of_theirs_is_named(tmp_path, changed):
    folder = scored_run(tmp_path / "r", [(("p1", 0), TheirScore("strict", True))])
    line = json.loads((folder / "theirs.jsonl").read_text())
    (folder / "theirs.jsonl").write_text(json.dumps({**line, **changed}) + "\n")
    with pytest.raises(UserError, match=r"theirs.jsonl: line 1 is damaged \(its " + next(iter(changed))):
        their_metrics(folder)


def test_merged_runs_keep_what_was_said_of_the_samples_that_are_taken(tmp_path):
    def said(*pairs):
        return [(key, TheirScore("acc", score, answer)) for key, score, answer in pairs]

    first = said((("p1", 0), True, "a"), (("p2", 0), False, "a"))
    second = said(
        (("p1", 0), False, "b"), (("p1", 1), True, "b"), (("p3", 0), False, ""), (("p4", 0), True, "b")
    )
    one = scored_run(tmp_path / "a", first, samples=[("p1", 0), ("p4", 0)], scores={"acc": "0.5", "of": "3"})
    two = scored_run(tmp_path / "b", second, samples=[("p1", 0), ("p1", 1)], scores={"acc": "0.4", "of": "3"})
    for _ in range(2):  # as after a merge that was killed
        merge_runs([one, two], tmp_path / "all")
        with TheirScores(tmp_path / "all", "acc") as theirs:
            found = {(key[0], key[2]): (score, theirs.extracted(key)) for key, score in theirs.scores.items()}
    # p1's first sample is a's, p4's is a's and b's log is about another one, p2 and p3 have none.
    assert found == {
        ("p1", 0): (True, "a"),
        ("p2", 0): (False, "a"),
        ("p1", 1): (True, "b"),
        ("p3", 0): (False, ""),
    }
    assert sum(1 for _ in read_theirs(tmp_path / "all")) == 4
    made = read_run_json(tmp_path / "all")["made_with"]["imported"]
    assert made == {
        "from": "lm-eval",
        "version": "0.4.9",
        "scores": {"of": "3"},
    }  # a part's is not the whole's


WRONG = {"content": "It is 3.", "correctness": False, "reason": "Solution is incorrect."}


def import_older(path, results, *flags):
    command = ["import", str(path), "--dataset=Warmup", "--model=M", f"--result-dir={results}", *flags]
    assert runs.run(runs.parse(command)) == 0
    return next(path for path in results.iterdir())


@pytest.mark.parametrize("flags", [(), ("--without-verdicts",)])
def test_what_the_older_layout_says_of_its_samples_is_kept_with_or_without_its_verdicts(tmp_path, flags):
    lost = {"content": "", "correctness": False}
    path = old_file(tmp_path, {"0.7": [GOOD, WRONG, lost, {"content": "unjudged"}]})
    folder = import_older(path, tmp_path / "results", *flags)
    with TheirScores(folder, "accuracy") as theirs:
        found = [(key[2], score, theirs.extracted(key)) for key, score in theirs.scores.items()]
    assert found == [(0, True, None), (1, False, None), (2, False, None)] * 2


def test_the_score_of_a_summary_is_kept_and_a_folder_of_earlier_versions_gets_both_by_another_import(
    tmp_path,
):
    path = numbered_file(tmp_path)
    path.with_name("summary.json").write_text(json.dumps({"accuracy": 0.4333}))
    folder = import_older(path, tmp_path / "results")
    assert logged_scores(read_run_json(folder)) == {"accuracy": "0.4333"}
    info = json.loads((folder / "run.json").read_text())
    info["made_with"]["imported"] = True
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "theirs.jsonl").unlink()
    assert logged_scores(read_run_json(folder)) == {}
    assert their_metrics(folder) == []
    import_older(path, tmp_path / "results")
    assert logged_scores(read_run_json(folder)) == {"accuracy": "0.4333"}
    assert their_metrics(folder) == ["accuracy"]
