"""Does a comparison say what the data say, an explanation what changed, and a command repeat its run?"""

import json
import re
import shlex

import pytest
from made_runs import make_run, sample_and_verdict

import inference_and_check
import report
from util.errors import UserError


def run_of(folder, shares, *, n=4, **given):
    """A run in which problem p<i> is solved in shares[i] of n samples."""
    samples = [
        {"problem_id": f"p{place}", "index": index, "correct": index < share}
        for place, share in enumerate(shares)
        for index in range(n)
    ]
    return make_run(folder, samples, **given)


def compared(capsys, *arguments):
    """What `report.py compare` prints: the text and the JSON of the last line."""
    assert report.run(report.parse(["compare", *map(str, arguments)])) == 0
    *text, last = capsys.readouterr().out.strip().split("\n")
    return "\n".join(text), json.loads(last)


def test_a_clear_difference_is_called_one(tmp_path, capsys):
    first, second = run_of(tmp_path / "a", [1] * 20), run_of(tmp_path / "b", [4] * 18 + [0, 1])
    text, found = compared(capsys, first, second)
    assert "The data can tell the two apart: B is better by 66.2 points" in text
    assert (found["higher_in_b"], found["higher_in_a"], found["differing"]) == (18, 1, 19)
    assert found["p_value"] < 0.001
    assert "A 1 of 4: 41 | B 4 of 4: 42 | reference 42" in text
    assert "higher in B: 18 problems" in text and "higher in A: 1 problem\n" in text


def test_a_small_difference_is_not_called_one_and_the_needed_samples_are_named(tmp_path, capsys):
    first, second = run_of(tmp_path / "a", [2, 1, 3, 2, 0]), run_of(tmp_path / "b", [2, 3, 2, 2, 1])
    text, found = compared(capsys, first, second)
    assert "cannot tell the two apart" in text
    assert f"about {found['needed_problems']} problems of 4 samples each would show it" in text
    assert found["exact"]


@pytest.mark.parametrize(("differing", "told"), [(1, False), (5, False), (6, True)])
def test_few_problems_that_differ_cannot_tell_two_runs_apart_and_it_says_so(
    tmp_path, capsys, differing, told
):
    first = run_of(tmp_path / "a", [0] * 30)
    text, found = compared(capsys, first, run_of(tmp_path / "b", [4] * differing + [0] * (30 - differing)))
    assert ("The data can tell the two apart" in text) == told == (found["p_value"] < 0.05)
    number = {1: "1 problem differs", 5: "5 problems differ"}.get(differing)
    assert number is None or f"Only {number}: even all of them in favour of the same run" in text


def test_a_single_common_problem_is_said_to_say_nothing_of_others(tmp_path, capsys):
    text, _ = compared(capsys, run_of(tmp_path / "a", [0]), run_of(tmp_path / "b", [4]))
    assert "A single problem says nothing about others." in text
    assert "There is no difference" not in text


@pytest.mark.parametrize("mode", ["page", "compare", "explain"])
def test_a_run_without_samples_is_told_how_to_get_them(tmp_path, mode):
    full, empty = run_of(tmp_path / "full", [1]), make_run(tmp_path / "empty", [])
    words = {"page": [], "compare": ["compare", str(full)], "explain": ["explain"]}[mode]
    with pytest.raises(UserError, match="has no samples yet: generate and grade them with") as error:
        report.run(report.parse([*words, str(empty)]))
    command = shlex.split(str(error.value).split("\n")[1])
    assert "--check" not in command and inference_and_check.parse(command[2:]).result_dir == tmp_path


def test_problems_may_have_different_numbers_of_samples(tmp_path, capsys):
    def run(name, counts):
        samples = [
            {"problem_id": f"p{place}", "index": index, "correct": index < correct}
            for place, (correct, drawn) in enumerate(counts)
            for index in range(drawn)
        ]
        return make_run(tmp_path / name, samples)

    first, second = run("a", [(1, 2), (3, 8), (1, 2), (0, 4)]), run("b", [(1, 2), (5, 8), (1, 4), (1, 2)])
    text, found = compared(capsys, first, second)
    assert found["difference"]["value"] == pytest.approx((0 + 0.25 - 0.25 + 0.5) / 4)
    assert (found["samples"], found["problems"]) == ({"first": [2, 8], "second": [2, 8]}, 4)
    assert "problems of as many samples as here would show it" in text
    assert "A  org/model-a at temperature 0.7  avg@2-8 " in text
    assert "the samples per problem differ from problem to problem: 2-8 in both runs" in text


def test_equal_runs_show_no_difference(tmp_path, capsys):
    text, found = compared(capsys, run_of(tmp_path / "a", [2, 1]), run_of(tmp_path / "b", [2, 1]))
    assert "the data show no difference" in text
    assert found["p_value"] == 1.0


def test_a_run_is_not_compared_with_itself(tmp_path):
    run = run_of(tmp_path / "a", [2, 1])
    with pytest.raises(UserError, match="are the same run"):
        report.run(report.parse(["compare", str(run), str(run)]))


def test_two_temperatures_of_one_run_can_be_compared(tmp_path, capsys):
    samples = [
        {"problem_id": f"p{place}", "index": 0, "temperature": temperature, "correct": temperature < 0.6}
        for place in range(8)
        for temperature in (0.5, 0.7)
    ]
    run = make_run(tmp_path / "a", samples)
    _, found = compared(capsys, run, run, "--temperatures", "0.5", "0.7")
    assert found["higher_in_a"] == 8
    with pytest.raises(UserError, match=r"temperatures 0\.5, 0\.7: choose with --temperatures"):
        compared(capsys, run, run_of(tmp_path / "b", [1]))


@pytest.mark.parametrize("changed", [{"revision": "b" * 40}, {"split": "train"}, {"path": "org/other"}])
def test_runs_on_different_data_are_refused(tmp_path, changed):
    first, second = run_of(tmp_path / "a", [1]), run_of(tmp_path / "b", [1], dataset=changed)
    with pytest.raises(UserError, match="only runs on the same data"):
        report.run(report.parse(["compare", str(first), str(second)]))


def test_an_imported_run_is_compared_by_the_ids_of_its_problems_and_that_is_said(tmp_path, capsys):
    first, second = run_of(tmp_path / "a", [2, 1]), run_of(tmp_path / "b", [2, 3])
    info = json.loads((first / "run.json").read_text())
    (first / "run.json").write_text(json.dumps({**info, "dataset": {}}))
    text, found = compared(capsys, first, second)
    assert f"{first} does not say from which data it was made" in text and found["problems"] == 2


def test_different_settings_and_graders_are_warned_of(tmp_path, capsys):
    first = run_of(tmp_path / "a", [1, 2])
    samples = [{"problem_id": f"p{place}", "index": 0, "grader": "maths-2"} for place in range(2)]
    second = make_run(tmp_path / "b", samples, settings={"max_tokens": 99, "system_prompt_hash": "f" * 16})
    info = json.loads((second / "run.json").read_text())
    info["prompt"] = {"name": "plain", "hash": "1" * 16}
    (second / "run.json").write_text(json.dumps(info))
    text, found = compared(capsys, first, second)
    assert len(found["warnings"]) == 5
    for part in (
        "the prompts differ",
        "token cap differs: 4096 and 99",
        "graders differ: maths-1 and maths-2",
    ):
        assert part in text


def test_the_comparison_is_drawn(tmp_path, capsys):
    first, second = run_of(tmp_path / "a", [1, 0]), run_of(tmp_path / "b", [4, 0])
    compared(capsys, first, second, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "1 higher in B, 0 higher in A" in page and "<svg" in page and 'id="paired"' in page


@pytest.mark.parametrize(("shares", "better"), [([1, 0], "A"), ([4, 0], "B")])
def test_the_difference_is_drawn_on_the_side_of_the_better_run(tmp_path, capsys, shares, better):
    first, second = run_of(tmp_path / "a", [2, 0]), run_of(tmp_path / "b", shares)
    compared(capsys, first, second, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    span = re.search(r'<line class="span" x1="([\d.-]+)" x2="([\d.-]+)"', page)
    dot = re.search(r'<circle class="dot" cx="([\d.-]+)"', page)
    low, value, high = float(span[1]), float(dot[1]), float(span[2])
    assert 30 <= low <= value <= high <= 430
    assert value < 230 if better == "A" else value > 230  # 0 is in the middle


def test_an_explanation_lists_what_flipped_and_why(tmp_path, capsys):
    run = make_run(tmp_path / "run", [{"problem_id": f"p{place}", "index": 0} for place in range(3)])
    again = [
        {"problem_id": "p0", "index": 0, "grader": "maths-2"},
        {"problem_id": "p1", "index": 0, "grader": "maths-2", "correct": False, "extracted": "0.33"},
        {"problem_id": "p2", "index": 0, "grader": "maths-2", "text": "rewritten since"},
    ]
    with open(run / "verdicts.jsonl", "a") as verdicts:
        for given in again:
            verdicts.write(json.dumps(sample_and_verdict(given)[1]) + "\n")
    assert report.run(report.parse(["explain", str(run)])) == 0
    out = capsys.readouterr().out
    assert "maths-1 -> maths-2: 2 graded again, 0 became correct, 1 became wrong" in out
    assert "before  correct, '42', maths-1" in out and "after   wrong_answer, '0.33', maths-2" in out
    found = json.loads(out.strip().split("\n")[-1])
    assert (found["gradings"], found["flipped"], found["graders"]) == (6, 1, {"maths-2": 3})


def test_a_comparison_says_which_side_has_undecided_samples_and_what_they_could_add(tmp_path, capsys):
    samples = [{"problem_id": f"p{place}", "index": 0} for place in range(4)]
    unknown = [{**samples[0], "correct": False, "reason": "undecided", "extracted": "3"}, *samples[1:]]
    text, found = compared(capsys, make_run(tmp_path / "a", samples), make_run(tmp_path / "b", unknown))
    assert f"WARNING: undecided samples of {tmp_path / 'b'}, counted as not correct: 1" in text
    assert "avg@1 75.0 (up to 100.0: 1 undecided) [" in text and "avg@1 100.0 [" in text
    assert "A 1 of 1: 42 | B 0 of 1: undecided |" in text
    assert (found["higher_in_a"], found["higher_in_b"]) == (1, 0)


def test_a_comparison_says_where_one_side_was_cut_off_more(tmp_path, capsys):
    samples = [{"problem_id": f"p{place}", "index": 0} for place in range(4)]
    cut = [{**samples[0], "correct": False, "reason": "truncated", "finish_reason": "length"}, *samples[1:]]
    one, other = make_run(tmp_path / "a", samples), make_run(tmp_path / "b", cut)
    said = "WARNING: the shares cut off differ: 0.0 % and 25.0 % of samples"
    assert said in compared(capsys, one, other)[0]
    assert "cut off" not in compared(capsys, one, make_run(tmp_path / "c", samples))[0]


def regraded(tmp_path, count=1):
    """An old run, whose verdicts have neither how nor trust nor cause, that today's grader judged again."""
    old = [
        {"problem_id": "a", "index": 0, "correct": False, "extracted": "3"},
        {"problem_id": "b", "index": 0},
        {"problem_id": "c", "index": 0, "correct": False, "extracted": "7"},
        {"problem_id": "d", "index": 0},
        *({"problem_id": f"e{number}", "index": 0} for number in range(count)),
    ]
    run = make_run(tmp_path / "run", old)
    lines = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    for line in lines:
        for name in ("how", "trust", "cause"):
            del line["verdict"][name]
    new = {"grader": "maths-2", "index": 0, "how": "answer tag", "trust": "high", "correct": False}
    again = [
        {"problem_id": "a", **new, "correct": True},
        {"problem_id": "b", **new, "reason": "undecided", "cause": "several candidates: 3, 5"},
        {"problem_id": "c", **new, "extracted": "7", "reason": "undecided", "cause": "not proven"},
        {"problem_id": "d", **new, "reason": "grader_error", "extracted": None},
        *({"problem_id": f"e{number}", **new} for number in range(count)),
    ]
    lines += [sample_and_verdict(given)[1] for given in again]
    (run / "verdicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def test_an_explanation_says_what_became_undecided_and_why(tmp_path, capsys):
    report.run(report.parse(["explain", str(regraded(tmp_path))]))
    out = capsys.readouterr().out
    assert (
        "maths-1 -> maths-2: 5 graded again, 1 became correct, 1 became wrong, 2 became undecided, "
        "1 could not be judged again, 0 changed in reason, answer or cause only" in out
    )
    assert "        1  wrong_answer -> undecided\n" in out and "        1  correct -> undecided\n" in out
    b = out.partition("\n  b, temperature 0.7, index 0\n")[2].partition("\n\n")[0]
    assert "before  correct, '42', maths-1: \n" in b
    assert "after   undecided, '41', maths-2:  | found by answer tag (high trust) | cause: several can" in b
    found = json.loads(out.strip().split("\n")[-1])
    assert (found["flipped"], found["to_correct"], found["to_undecided"]) == (4, 1, 2)
    assert found["moves"]["wrong_answer -> correct"] == 1


def test_an_explanation_lists_some_changes_or_all(tmp_path, capsys):
    run = regraded(tmp_path, count=60)
    report.run(report.parse(["explain", str(run)]))
    assert "and 24 more (--all lists every one)" in capsys.readouterr().out
    report.run(report.parse(["explain", str(run), "--all"]))
    out = capsys.readouterr().out
    assert out.count(", temperature 0.7, index 0\n") == 64 and "more (" not in out


def test_the_manifest_of_an_imported_run_says_that_its_command_is_a_guess(tmp_path, capsys):
    run = run_of(tmp_path / "a", [2])
    info = json.loads((run / "run.json").read_text())
    info.pop("asked")
    (run / "run.json").write_text(json.dumps(info))
    report.run(report.parse(["manifest", str(run)]))
    assert "does not say what was asked (it was imported)" in capsys.readouterr().err


def test_the_command_of_a_manifest_repeats_the_settings(tmp_path, capsys):
    settings = {
        "source": "math",
        "end": 50,
        "stop": ["\n\nQuestion:", "it's"],
        "top_p": 0.9,
        "prompt": "plain",
        "filter_difficulty": True,
        "difficulty_lower_bound": 3.0,
    }
    run = make_run(tmp_path / "run", [], settings=settings)
    info = json.loads((run / "run.json").read_text())
    engine = {"engine": "openai", "tp": 2, "api_base": ["http://a/v1"], "engine_args": {"seed": 1}}
    info["asked"] = {"temperatures": [0.0, 0.7], "n": 4, "limit": 9, "engine": engine}
    info["grading"] = {"symbolic": False, "compare": "ordered", "all_tests": True}
    (run / "run.json").write_text(json.dumps(info))
    assert report.run(report.parse(["manifest", str(run)])) == 0
    python, script, *flags = shlex.split(capsys.readouterr().out)
    args = inference_and_check.parse(flags)
    assert (python, script) == ("python", "inference_and_check.py")
    for name, value in settings.items():
        assert getattr(args, name) == value
    assert (args.temperatures, args.n, args.limit, args.revision) == ([0.0, 0.7], 4, 9, "a" * 40)
    assert (args.tp, args.api_base, args.engine_args) == (2, ["http://a/v1"], {"seed": 1})
    assert (args.system_prompt, args.symbolic, args.all_tests) == ("none", False, True)


# --- folders of several benchmarks, as eval.py makes them ---


def evaluated(folder, model, shares, **more):
    """A folder with a run of each benchmark: {name: shares}."""
    for task, correct in shares.items():
        run_of(folder / f"{model}_{task}", correct, settings={"task": task, "model": f"org/{model}", **more})
    (folder / f"{model}_eval.log").write_text("")
    return folder


def test_two_folders_are_compared_benchmark_by_benchmark(tmp_path, capsys):
    old = evaluated(tmp_path / "old", "m", {"AIME": [0] * 20, "MATH500": [2] * 20, "GPQADiamond": [1]})
    new = evaluated(tmp_path / "new", "n", {"MATH500": [2] * 20, "AIME": [4] * 20, "GSM8K": [1]})
    text, found = compared(capsys, old, new, "-o", tmp_path / "page.html")
    assert list(found["benchmarks"]) == ["AIME", "MATH500"]
    (aime,), (maths,) = (found["benchmarks"][name]["comparisons"] for name in ("AIME", "MATH500"))
    assert aime["difference"]["value"] == 1 and maths["difference"]["value"] == 0
    assert aime["p_value_corrected"] == pytest.approx(2 * aime["p_value"])  # of two comparisons
    assert "AIME:\nA  org/m at temperature 0.7" in text and "better than A" in text
    assert "Mean of 2 benchmarks, each weighing the same: A 25.0, B 75.0." in text
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>AIME</h2>" in page and "<h2>MATH500</h2>" in page and "Mean of 2 benchmarks" in page
    report.run(report.parse(["compare", str(old), str(new)]))
    err = capsys.readouterr().err
    for name in ("GPQADiamond", "GSM8K"):
        assert f"of {name} there is no other run to compare with" in err


def test_one_folder_with_runs_of_several_models_is_compared_within_each_benchmark(tmp_path, capsys):
    for model, share in (("a", 1), ("b", 2), ("c", 3)):
        evaluated(tmp_path / "results", model, {"AIME": [share] * 9, "MATH500": [share] * 9})
    text, found = compared(capsys, tmp_path / "results")
    assert [len(one["comparisons"]) for one in found["benchmarks"].values()] == [2, 2]
    assert "4 comparisons at once" in text
    assert "Mean of 2 benchmarks, each weighing the same: A 25.0, B 50.0, C 75.0." in text


def test_folders_that_share_one_benchmark_are_compared_problem_by_problem(tmp_path, capsys):
    old = evaluated(tmp_path / "old", "m", {"AIME": [0] * 20})
    text, found = compared(capsys, old, evaluated(tmp_path / "new", "m", {"AIME": [4] * 20, "GSM8K": [1]}))
    assert found["higher_in_b"] == 20 and "higher in B: 20 problems" in text
    one = run_of(tmp_path / "one", [1] * 20, settings={"task": "AIME"})
    assert compared(capsys, one, old)[1]["higher_in_a"] == 20  # a run and a folder
    report.run(report.parse(["compare", str(one), str(tmp_path / "new")]))
    assert "not compared" not in capsys.readouterr().err  # of which only the same benchmark counts


def test_runs_of_other_problems_of_a_benchmark_are_not_paired(tmp_path, capsys):
    old = evaluated(tmp_path / "old", "m", {"AIME": [0] * 9}, start=0, end=9)
    with pytest.raises(
        UserError, match=r"no benchmark has a run in each \(.*old has AIME, .*; .*new has AIME"
    ):
        compared(capsys, old, evaluated(tmp_path / "new", "m", {"AIME": [4] * 9}, start=9, end=18))


def test_a_folder_with_two_runs_of_a_benchmark_is_ambiguous_beside_another(tmp_path, capsys):
    results = evaluated(tmp_path / "results", "a", {"AIME": [1] * 9})
    evaluated(results, "b", {"AIME": [2] * 9})
    with pytest.raises(
        UserError, match="results has 2 runs of AIME, .*a_AIME and .*b_AIME: name one of them"
    ):
        compared(capsys, results, evaluated(tmp_path / "new", "c", {"AIME": [2] * 9}))


def test_a_folder_with_nothing_to_compare_says_what_it_lacks(tmp_path, capsys):
    alone = evaluated(tmp_path / "alone", "a", {"AIME": [1], "MATH500": [1]})
    with pytest.raises(
        UserError, match=r"alone has one run of each benchmark \(AIME, MATH500\): name another"
    ):
        compared(capsys, alone)
    with pytest.raises(UserError, match="none of 2 benchmarks can be compared: see the warnings"):
        compared(capsys, alone, alone)  # the same runs
    assert "are the same run" in capsys.readouterr().err
    for run in alone.glob("*/run.json"):
        run.write_text("{")
    with pytest.raises(UserError, match="a_AIME/run.json cannot be read"):
        compared(capsys, alone)


def test_a_damaged_run_in_a_folder_is_named_and_the_others_are_compared(tmp_path, capsys):
    folders = [
        evaluated(tmp_path / name, name, {"AIME": [1] * 9, "MATH500": [1] * 9, "GSM8K": [1] * 9})
        for name in ("old", "new")
    ]
    (folders[1] / "new_AIME" / "run.json").write_text("{")
    (folders[0] / "old_GSM8K" / "verdicts.jsonl").unlink()
    assert report.run(report.parse(["compare", *map(str, folders)])) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.strip().split("\n")[-1])["comparisons"][0]["problems"] == 9
    assert "not compared: " in err and "new_AIME/run.json cannot be read" in err and "no verdicts yet" in err
