"""Does a gate say pass, fail and cannot tell rightly, and is the gap to a published number split as it is?"""

import json

import pytest
from helpers import own_process
from made_runs import make_run

import report
from util.errors import UserError
from util.results.sides import open_side


def run_of(folder, shares, *, n=4, asked=None, extra=(), **given):
    """A run in which problem p<i> is solved in shares[i] of n samples; `extra` problems have none."""
    samples = [
        {"problem_id": f"p{place}", "index": index, "correct": index < share}
        for place, share in enumerate(shares)
        for index in range(n)
    ]
    made = make_run(folder, samples, problems=[{"id": name} for name in extra], **given)
    info = json.loads((made / "run.json").read_text())
    info["asked"]["at"] = {"0.7": [[len(shares) + len(extra), asked or n]]}
    (made / "run.json").write_text(json.dumps(info))
    return made


def reported(capsys, *words):
    """Exit status, text and the JSON of the last line."""
    status = report.run(report.parse([*map(str, words)]))
    *text, last = capsys.readouterr().out.strip().split("\n")
    return status, "\n".join(text), json.loads(last)


@pytest.mark.parametrize(
    ("least", "status", "words"),
    [
        (40, 0, "PASS: {run} has avg@4 75.0 [59.4, 86.3] over 30 problems, and even the low end"),
        (60, 3, "CANNOT TELL: {run} has avg@4 75.0 [59.4, 86.3] over 30 problems, and 60 lies within"),
        (90, 1, "FAIL: {run} has avg@4 75.0 [59.4, 86.3] over 30 problems, and even the high end"),
    ],
)
def test_a_run_passes_fails_or_is_left_open_by_its_whole_interval(tmp_path, capsys, least, status, words):
    run = run_of(tmp_path / "run", [4] * 18 + [2] * 9 + [0] * 3)
    found, text, last = reported(capsys, "gate", run, "--at-least", least)
    assert found == status and text.startswith(words.format(run=run)), text
    assert last["gate"] == text.partition(":")[0].lower()


def test_an_incomplete_run_is_left_open_unless_its_bounds_decide(tmp_path, capsys):
    run = run_of(tmp_path / "run", [4] * 25, extra=[f"q{place}" for place in range(15)])
    status, text, _ = reported(capsys, "gate", run, "--at-least", 60)
    assert (
        status == 3
        and "or [45.8, 100.0] with 60 samples without a verdict either wrong or right, and 60 lies" in text
    )
    assert "over 25 of 40 problems, or" in text  # the mean, unlike its bounds, is over those with a verdict
    part = run_of(tmp_path / "part", [2] * 20, extra=[f"p{place}" for place in range(20, 25)])
    assert "over 20 of 25 problems of both" in reported(capsys, "gate", run, "--over", part)[1]
    assert reported(capsys, "gate", run, "--at-least", 40)[0] == 0  # even if all that is missing were wrong
    wrong = run_of(tmp_path / "wrong", [0] * 25, extra=[f"q{place}" for place in range(5)])
    assert reported(capsys, "gate", wrong, "--at-least", 60)[0] == 1  # even if all were right


def test_missing_samples_of_problems_that_have_some_leave_a_gate_open(tmp_path, capsys):
    whole, part = (run_of(tmp_path / str(n), [1] * 30, n=1, asked=n) for n in (1, 8))
    assert reported(capsys, "gate", whole, "--at-least", 80)[0] == 0
    status, text, _ = reported(capsys, "gate", part, "--at-least", 80)
    assert status == 3 and "with 210 samples without a verdict either" in text


def test_undecided_samples_widen_what_a_gate_sees(tmp_path, capsys):
    samples = [{"problem_id": f"p{place}", "index": 0, "correct": place < 15} for place in range(30)]
    samples = [one if one["correct"] else {**one, "reason": "undecided"} for one in samples]
    run = make_run(tmp_path / "run", samples)
    assert reported(capsys, "gate", run, "--at-least", 80)[0] == 3
    assert (
        "100.0] with 15 undecided either wrong or right, and 80 lies"
        in reported(capsys, "gate", run, "--at-least", 80)[1]
    )


def test_a_run_must_not_fall_below_another_by_the_margin(tmp_path, capsys):
    base = run_of(tmp_path / "base", [2] * 80)
    for name, shares, status in (("same", [2] * 80, 0), ("worse", [1] * 80, 1), ("few", [2] * 20, 3)):
        run = run_of(tmp_path / name, shares)
        assert reported(capsys, "gate", run, "--over", base, "--margin", 5)[0] == status, name
    better = run_of(tmp_path / "better", [3] * 80)
    assert reported(capsys, "gate", better, "--over", base, "--margin", 0)[0] == 0
    assert reported(capsys, "gate", tmp_path / "same", "--over", base, "--margin", 0)[0] == 3
    both = reported(capsys, "gate", better, "--over", base, "--at-least", 90)
    assert both[0] == 1 and len(both[2]["rules"]) == 2  # one rule that fails is enough


def test_a_gate_warns_of_runs_that_differ_in_more_than_their_model(tmp_path, capsys):
    base = run_of(tmp_path / "base", [2] * 20)
    run = run_of(tmp_path / "run", [2] * 20, settings={"max_tokens": 99})
    report.run(report.parse(["gate", str(run), "--over", str(base)]))
    assert "token cap differs: 4096 and 99" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gate", "RUN"], "a gate needs a rule: give --at-least NUMBER, --over RUN or both"),
        (["gate", "RUN", "--at-least", "60", "--margin", "3"], "name that one with --over"),
        (["gate", "--at-least", "60"], "arguments are required: RUN"),
        (["gate", "RUN", "--at-least", "101"], "101 is not between 0 and 100"),
        (["gate", "RUN", "--over", "RUN2", "--margin", "-1"], "-1 is not between 0 and 100"),
        (["gate", "RUN", "--at-least", "nan"], "nan is not between 0 and 100"),
        (["gate", "RUN", "--over", "RUN"], "are the same run"),
        (["gate", "RUN", "--over", "OTHER"], "only runs on the same data can be compared"),
        (["gate", "EMPTY", "--at-least", "60"], "has no samples yet"),
        (["gate", "NOWHERE", "--at-least", "60"], "no run at"),
        (["gate", "DAMAGED", "--at-least", "60"], "run.json"),
        (["reproduce", "RUN"], "arguments are required: --claim"),
        (["reproduce", "RUN", "--claim", "474"], "474 is not between 0 and 100"),
        (["reproduce", "EMPTY", "--claim", "47.4"], "has no samples yet"),
        (["reproduce", "RUN", "--claim", "nan"], "nan is not between 0 and 100"),
        (["reproduce", "RUN", "--claim", "-3"], "-3 is not between 0 and 100"),
        (["reproduce", "RUN", "--claim", "inf"], "inf is not between 0 and 100"),
        (["reproduce", "RUN", "--claim", ""], "'' is no number"),
        (["gate", "RUN", "--over", "RUN2", "--margin", "nan"], "nan is not between 0 and 100"),
        (
            ["gate", "RUN", "--at-least", "60", "--at-least", "70"],
            "is given twice, 60.0 and 70.0: give it once",
        ),
        (["gate", "RUN", "--over", "RUN2", "--over", "RUN3"], "--over is given twice, RUN2 and RUN3"),
        (["gate", "RUN", "--over", "RUN2", "--margin", "1", "--margin", "2"], "--margin is given twice"),
        (["gate", "RUN", "--at-least", "60", "--temperatures", "0.5", "0.7"], "takes one value, not 2"),
        (["gate", "RUN", "--over", "EMPTY"], "has no samples yet"),
        (["gate", "RUN", "--over", "NOWHERE"], "no run at"),
        (["gate", "RUN", "--over", "DAMAGED"], "run.json"),
        (["compare", "RUN", "EMPTY"], "has no samples yet"),
        (["compare", "RUN", "DAMAGED"], "run.json"),
        (["compare", "RUN", "RUN2", "--margin", "nan"], "nan is not between 0 and 100"),
        (["compare", "RUN"], "compare needs two runs or more"),
        (["compare", "RUN", "OTHER", "RUN2"], "only runs on the same data can be compared"),
        (["compare", "RUN", "RUN2", "RUN"], "are the same run"),
        (["compare", "RUN", "RUN2", "--margin", "-1"], "-1 is not between 0 and 100"),
        (["compare", "RUN", "RUN2", "RUN3", "--temperatures", "0.5", "0.7"], "or one for each of the 3 runs"),
        (["comapre", "RUN", "RUN2"], "did you mean the command compare?"),
        (["gaet", "RUN"], "did you mean the command gate?"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys, words, told):
    for name in ("RUN", "RUN2", "RUN3"):
        run_of(tmp_path / name, [1, 2])
    run_of(tmp_path / "OTHER", [1], dataset={"revision": "b" * 40})
    make_run(tmp_path / "EMPTY", [])
    (run_of(tmp_path / "DAMAGED", [1]) / "run.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UserError, SystemExit)) as error:
        report.run(report.parse(words))
    assert told in (str(error.value) if error.type is UserError else capsys.readouterr().err)
    assert error.type is UserError or error.value.code == 2


def test_the_exit_status_of_a_gate_is_for_ci(tmp_path):
    run_of(tmp_path / "run", [4] * 30)
    done = own_process("report.py", "gate", tmp_path / "run", "--at-least", 95)
    assert done.returncode == 3 and done.stdout.startswith("CANNOT TELL: ")


@pytest.mark.parametrize("mode", report.MODES)
def test_the_help_of_each_command_is_its_own(mode, capsys):
    with pytest.raises(SystemExit) as ended:
        report.parse([mode, "--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0 and out.split("[-h]")[0].endswith(f" {mode} ")
    assert ("--claim" in out) == (mode == "reproduce") and ("--at-least" in out) == (mode == "gate")
    with pytest.raises(SystemExit):
        report.parse(["--help"])
    assert f"\n    {mode}" in capsys.readouterr().out


def test_the_two_spellings_of_a_flag_hold_in_commands_too(tmp_path):
    assert report.parse(["gate", "RUN", "--at_least", "60"]).at_least == 60
    assert report.parse(["budget", "RUN", "--at", "5", "--max_tokens", "7"]).max_tokens == 7


# --- several runs ---


def test_several_runs_are_a_table_with_p_values_that_are_corrected_together(tmp_path, capsys):
    runs = [
        run_of(tmp_path / name, shares)
        for name, shares in (("a", [0] * 30), ("b", [4] * 6 + [0] * 24), ("c", [0] * 30), ("d", [4] * 30))
    ]
    status, text, found = reported(capsys, "compare", *runs, "-o", tmp_path / "page.html")
    ps = [(one["p_value"], one["p_value_corrected"]) for one in found["comparisons"]]
    assert status == 0 and ps[0] == (0.03125, 0.0625) and ps[2][1] < 0.001
    assert "B - A +20.0 points [" in text and "p = 0.0625: cannot be told from A" in text
    assert (
        "p = 3e-05: better than A" in text and "3 comparisons at once: p-values (Holm) and intervals" in text
    )
    for one in found["comparisons"]:  # corrected verdicts and intervals do not contradict each other either
        low, high = (one["difference_corrected"][end] for end in ("low", "high"))
        assert (low <= 0 <= high) == (one["p_value_corrected"] >= 0.05)
    assert "p-values (Holm)" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_by_problem_only_what_a_test_of_its_own_tells_apart_is_called_so(tmp_path, capsys):
    first, second = run_of(tmp_path / "a", [0, 3, 8], n=8), run_of(tmp_path / "b", [8, 4, 7], n=8)
    _, text, found = reported(capsys, "compare", first, second)
    assert found["told_apart"] == ["p0"]
    assert "By problem: 1 of 3 that differ are told apart by a test of each (Fisher's exact, 3 tests" in text
    assert "higher in B: 2 problems" in text and "higher in A: 1 problem\n" in text
    assert "A 0 of 8: 41 | B 8 of 8: 42 | reference 42 | told apart, p = 0.00047" in text
    once = [run_of(tmp_path / name, shares, n=1) for name, shares in (("c", [1, 0]), ("d", [0, 1]))]
    assert "one sample of each says nothing about a single problem" in reported(capsys, "compare", *once)[1]


def test_equivalence_is_said_with_its_margin(tmp_path, capsys):
    first, second = run_of(tmp_path / "a", [1, 3] * 100), run_of(tmp_path / "b", [1, 3] * 100)
    assert "The two are equivalent within 2 points" in reported(capsys, "compare", first, second)[1]
    narrow = reported(capsys, "compare", first, second, "--margin", 0.5)
    assert "cannot tell whether the two are equivalent within 0.5 points" in narrow[1]
    assert narrow[2]["equivalent"] is None


def test_a_comparison_says_that_a_run_is_incomplete(tmp_path, capsys):
    first = run_of(tmp_path / "a", [1, 2])
    second = run_of(tmp_path / "b", [1, 2], extra=["q0"])
    for others in ([second], [second, run_of(tmp_path / "c", [1, 2])]):
        text = reported(capsys, "compare", first, *others, "-o", tmp_path / "page.html")[1]
        assert f"{second} is INCOMPLETE: 8 of 12 asked, 1 of 3 problems without a sample" in text
        assert "A  org/model-a at temperature 0.7  avg@4 37.5 [" in text
        assert "B  org/model-a at temperature 0.7  INCOMPLETE avg@4 37.5 [" in text
        assert "INCOMPLETE avg@4 37.5 [" in (tmp_path / "page.html").read_text(encoding="utf-8")


# --- a published number ---


def published(tmp_path, capsys, claim, *, card=None, n=4):
    """A run of 20 problems: 10 solved always, 5 half; of 5 all samples are cut off but for one."""
    folder = tmp_path / "model"
    folder.mkdir()
    if card is not None:
        (folder / "generation_config.json").write_text(json.dumps(card))
    cut = {"correct": False, "reason": "truncated", "finish_reason": "length", "extracted": None}
    samples = [
        {"problem_id": f"p{place}", "index": index, **({} if place < 10 else {"correct": index < n // 2})}
        for place in range(15)
        for index in range(n)
    ]
    samples += [
        {"problem_id": f"p{place}", "index": index, **cut} for place in range(15, 20) for index in range(n)
    ]
    samples[-1] |= {"reason": "no_answer", "finish_reason": "stop"}
    run = make_run(tmp_path / "run", samples, settings={"model": str(folder), "top_p": 0.9})
    return reported(capsys, "reproduce", run, "--claim", claim)


def test_the_gap_is_split_into_what_is_cut_not_found_and_chance(tmp_path, capsys):
    status, text, found = published(tmp_path, capsys, 85.0)
    parts = {part["name"]: (part["samples"], part["most"]) for part in found["parts"]}
    assert status == 0 and found["number"] == 62.5 and found["gap"] == 22.5
    assert parts["answers cut off"] == (19, pytest.approx(23.75))
    assert parts["answers not found"] == (1, pytest.approx(1.25))
    assert parts["undecided answers"] == parts["samples without a verdict"] == (0, 0)
    assert found["enough_alone"] == ["answers cut off"] and found["unexplained"] == 0
    assert "This would explain the gap by itself: answers cut off." in text
    assert "grader, selection of problems, weights and precision: the run cannot show these" in text


def test_a_gap_that_is_larger_than_all_parts_and_chance_leaves_a_rest(tmp_path, capsys):
    _, text, found = published(tmp_path, capsys, 100.0)
    shares = [4.5 / 5] * 15 + [0.5] * 5  # of problems that are solved always, never (as likely wrong) or half
    of_samples = 1.96 * 100 * sum(share * (1 - share) / 3 for share in shares) ** 0.5 / 20
    assert found["noise"]["of_samples"] == pytest.approx(of_samples, rel=1e-3) and found["enough_alone"] == []
    assert found["unexplained"] == 0  # 25 points are cut or not found, and other problems add 12.5 and more
    assert "Only several of these together would explain the gap" in text


def test_causes_that_each_explain_the_gap_cannot_be_told_apart(tmp_path, capsys):
    _, text, found = published(tmp_path, capsys, 63.0)
    assert found["enough_alone"] == ["answers cut off", "answers not found", "chance"]
    assert "cannot be told apart: answers cut off, answers not found, chance." in text
    assert "published 63: 0.5 points above this run" in text


def test_a_number_below_the_run_s_is_explained_by_chance_alone(tmp_path, capsys):
    _, text, found = published(tmp_path, capsys, 30.0)
    assert "32.5 points below this run" in text and found["enough_alone"] == []
    assert found["unexplained"] == pytest.approx(32.5 - found["noise"]["down"])


@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize(
    ("claim", "alone"),
    [
        (20, []),  # below the interval of 50 [34.3, 65.7] with eight samples, [31.3, 68.7] with one
        (35, ["chance (other problems)"]),
        (48, ["chance"]),
        (50, []),
        (50.04, []),  # a published number is rounded
        (52, ["chance"]),
        (65, ["chance (other problems)"]),
        (90, []),
    ],
)
def test_chance_explains_what_lies_within_the_interval(tmp_path, capsys, n, claim, alone):
    run = run_of(tmp_path / "run", [n] * 10 + [n // 2] * 10 + [0] * 10 if n > 1 else [1, 0] * 15, n=n)
    _, text, found = reported(capsys, "reproduce", run, "--claim", claim)
    if n == 1:  # how far other samples of the same problems lie apart is not known
        alone = [
            name.replace("chance", "chance (other problems)") if name == "chance" else name for name in alone
        ]
    assert found["enough_alone"] == alone and found["complete"]
    noise = found["noise"]["up"] if claim > 50 else found["noise"]["down"]
    assert found["unexplained"] == pytest.approx(max(0, abs(claim - 50) - noise))
    for words, holds in (
        ("points remain that nothing in this run explains.", found["unexplained"] > 0),
        ("There is no gap to explain.", round(claim) == 50),
        ("\npublished 50: as this run\n", claim == 50),
        (f"This would explain the gap by itself: {(*alone, '')[0]}.", bool(alone)),
        ("INCOMPLETE", False),
    ):
        assert (words in text) == holds, words


def test_undecided_answers_hide_points_above_the_run_and_none_below(tmp_path, capsys):
    samples = [
        {"problem_id": f"p{place}", "index": index, "correct": index < 4,
         **({} if index < 4 else {"reason": "undecided"})} for place in range(20) for index in range(8)
    ]  # fmt: skip
    run = make_run(tmp_path / "run", samples)
    assert reported(capsys, "reproduce", run, "--claim", 75)[2]["enough_alone"] == ["undecided answers"]
    assert reported(capsys, "reproduce", run, "--claim", 25)[2]["unexplained"] > 10


def test_the_gap_of_an_incomplete_run_says_so_in_its_first_words(tmp_path, capsys):
    run = run_of(tmp_path / "run", [8] * 10 + [4] * 10, n=8, extra=[f"q{place}" for place in range(10)])
    for claim in (10, 75, 95):
        _, text, found = reported(capsys, "reproduce", run, "--claim", claim)
        assert text.startswith("INCOMPLETE: 160 of 240 asked, 10 of 30 problems without a sample")
        assert not found["complete"] and found["parts"][-1]["samples"] == 80


def test_where_there_is_no_gap_nothing_is_explained(tmp_path, capsys):
    assert "There is no gap to explain." in published(tmp_path, capsys, 62.5)[1]


def test_with_one_sample_of_each_problem_the_noise_of_n_is_not_known(tmp_path, capsys):
    _, text, found = published(tmp_path, capsys, 63.0, n=1)
    assert found["noise"]["down"] > 20 and found["noise"]["up"] > 15
    assert found["noise"]["of_samples"] is None and "one sample of a problem cannot say" in text


def test_sampling_that_differs_from_the_card_is_named_and_nobody_is_asked(tmp_path, capsys):
    _, text, found = published(tmp_path, capsys, 63.0, card={"temperature": 0.6, "top_p": 0.95, "top_k": 0})
    assert found["sampling"] == ["temperature 0.7 (card: 0.6)", "top-p 0.9 (card: 0.95)"]
    assert "Sampling differs from the card, and may explain any part of it." in text


def test_samples_without_a_verdict_are_a_part_of_the_gap(tmp_path, capsys):
    run = run_of(tmp_path / "run", [2] * 10, extra=[f"q{place}" for place in range(10)])
    _, text, found = reported(capsys, "reproduce", run, "--claim", 60)
    part = found["parts"][-1]
    assert part["samples"] == 40 and part["most"] == pytest.approx(25)  # (50 + 100) / 2 - 50
    assert part["fall"] == pytest.approx(25) and "-25.0 to +25.0 points (40 samples)" in text
    below = reported(capsys, "reproduce", run, "--claim", 25)[2]
    assert "samples without a verdict" in below["enough_alone"]
    assert open_side(run).bounds.told() == "40 samples without a verdict"


# --- folders of several benchmarks ---


def several(folder, **shares):
    for task, correct in shares.items():
        run_of(folder / task, correct, settings={"task": task})
    (folder / "model_eval.log").write_text("")
    return folder


def test_a_gate_of_a_folder_holds_if_it_holds_for_each_run(tmp_path, capsys):
    good = several(tmp_path / "good", AIME=[4] * 30, MATH500=[3] * 80)
    status, text, found = reported(capsys, "gate", good, "--at-least", 60)
    assert (status, found["gate"], len(found["rules"])) == (0, "pass", 2)
    assert f"{good}/AIME has avg@4 100.0" in text and f"{good}/MATH500 has avg@4 75.0" in text
    status, text, _ = reported(capsys, "gate", good, "--at-least", 80)
    assert status == 1 and text.startswith("FAIL, of 2 rules:\n")  # AIME passes, MATH500 does not
    assert f"  pass: {good}/AIME has" in text and f"  fail: {good}/MATH500 has" in text
    worse = several(tmp_path / "worse", MATH500=[1] * 80, AIME=[4] * 30)
    assert reported(capsys, "gate", worse, "--over", good)[0] == 1
    assert reported(capsys, "gate", good, "--over", worse, "--margin", 20)[0] == 0


def test_a_run_is_judged_against_that_of_its_benchmark_in_a_folder(tmp_path, capsys):
    base = several(tmp_path / "base", AIME=[4] * 30, MATH500=[3] * 80)
    run = run_of(tmp_path / "run", [1] * 80, settings={"task": "MATH500"})
    status, text, found = reported(capsys, "gate", run, "--over", base)
    assert (status, len(found["rules"])) == (1, 1) and f"against {base}/MATH500" in text
    with pytest.raises(UserError, match="of MMLU there is no other run|no benchmark has a run in each"):
        reported(capsys, "gate", run_of(tmp_path / "x", [1], settings={"task": "MMLU"}), "--over", base)


def test_a_gate_of_a_folder_judges_all_runs_or_none(tmp_path, capsys):
    base = several(tmp_path / "base", AIME=[4] * 30, MATH500=[3] * 80)
    part = several(tmp_path / "part", AIME=[4] * 30)
    with pytest.raises(UserError, match="a gate judges all runs or none: of MATH500 there is no other run"):
        reported(capsys, "gate", part, "--over", base)
    (base / "MATH500" / "run.json").write_text("{")
    for words in (["--at-least", 60], ["--over", part]):
        with pytest.raises(UserError, match="run.json cannot be read"):
            reported(capsys, "gate", base, *words)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="no run at .*nothing"):
        reported(capsys, "gate", tmp_path / "nothing", "--at-least", 60)
