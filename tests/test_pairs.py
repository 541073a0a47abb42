"""Does response_rewrite.py make the pairs that its user expects? Models are of paper or on loopback."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
from faulty_endpoint import FaultyEndpoint
from helpers import ROOT, json_lines, last_line, own_process, paper_engine, script
from hypothesis import given, settings
from hypothesis import strategies as st
from pair_runs import PADDING, attempt, make_run, think

import response_rewrite
from util import prompts
from util.errors import RunStopped, UserError
from util.grading.maths import grade_maths, symbolic
from util.results.page.counts import read_counts
from util.training.pairs.variants import Ordered, silc_pair

LONG = think(*[attempt(15, "Wait. " if number else "", 8) for number in range(5)])
SHORT = think(
    attempt(14), attempt(15, "Wait, no. "), attempt(15, "Alternatively, add. "), attempt(15, "Hmm. ")
)
FIRST_TWO = think(attempt(14), attempt(15, "Wait, no. "))
WRONG = think(attempt(3), answer="3")


@pytest.fixture(autouse=True)
def symbolic_stays_as_it_was():
    before = symbolic.enabled()
    yield
    symbolic.use(before)


@pytest.fixture
def pair(tmp_path, capsys):
    """Run the script in this process; returns its last line."""

    def start(*flags, run=tmp_path / "run", out=tmp_path / "out", status=0):
        words = [
            "--dataset",
            *([run] if isinstance(run, Path) else run),
            "--result-dir",
            out,
            "--target-model",
            "m",
            "--tokenizer",
            "none",
        ]
        words += [*(() if "--thought" in flags else ("--thought", "markers")), *flags]
        assert response_rewrite.run(response_rewrite.parse(list(map(str, words)))) == status
        printed = capsys.readouterr()
        result = json.loads(printed.out.strip().rsplit("\n", 1)[-1]) if printed.out else {}
        return result | {"said": printed.err}

    return start


def rows(folder, variant="fcs"):
    return json.loads((folder / f"{variant}-conversations.json").read_text(encoding="utf-8"))


def summary(folder):
    return json.loads((folder / "pairs-summary.json").read_text(encoding="utf-8"))


# --- what is written ---


def test_the_shortest_correct_response_is_cut_and_preferred_over_the_longest(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True), (think(attempt(15, padding=14)), True)]})
    result = pair()
    assert result["pairs"] == {"fcs": 1, "fcs_plus1": 1, "fcs_reflection": 0, "silc": 0}
    (row,) = rows(tmp_path / "out")
    assert row["conversations"] == [
        {"from": "user", "value": "What is three times five (p)? Put it into a box."}
    ]
    assert row["chosen"] == {"from": "assistant", "value": FIRST_TWO}
    assert row["rejected"] == {"from": "assistant", "value": LONG}
    (row,) = rows(tmp_path / "out", "fcs_plus1")
    assert row["chosen"]["value"] == think(
        attempt(14), attempt(15, "Wait, no. "), attempt(15, "Alternatively, add. ")
    )


def test_both_sides_of_every_pair_hold_their_thought_in_the_wanted_form(pair, tmp_path):
    tagged = [
        text.replace("<|begin_of_thought|>", "<reasoning>").replace("<|end_of_thought|>", "</reasoning>")
        for text in (LONG, SHORT)
    ]
    tagged = [re.sub(r"<\|\w+_of_solution\|>", "", text).strip() for text in tagged]
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)], "q": [(text, True) for text in tagged]})

    def sides(*flags):
        pair(*flags, "--variants", "whole", "--format", "trl-dpo")
        return [
            (row[side][0]["content"], row[side][0].get("reasoning_content"))
            for row in rows(tmp_path / "out", "whole")
            for side in ("chosen", "rejected")
        ]

    for text, thought in sides("--thought", "field"):
        assert text == "The result is \\boxed{15}." and thought.startswith(PADDING.strip()[:20])
    for form, begins in (("think", "<think>\n"), ("markers", "<|begin_of_thought|>\n\n")):
        assert {
            (text.startswith(begins), text.count("result is"), thought)
            for text, thought in sides("--thought", form)
        } == {(True, 1, None)}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--thought", "field"], "choose trl-dpo"),
        (["--thought", "none"], "add --variants whole"),
        (["--thought", "think", "--system-prompt", "system_thought"], "--thought think does not write that"),
    ],
)
def test_a_form_of_thought_that_the_rows_cannot_have_is_refused(pair, tmp_path, flags, told):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]})
    with pytest.raises(UserError, match=told):
        pair(*flags)


def test_pairs_have_the_form_that_the_message_of_run_or_target_asks_for(pair, tmp_path):
    asks = "Write <|begin_of_thought|> first."
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]}, settings={"system_prompt": asks})
    words = ["--dataset", tmp_path / "run", "--target-model", "m", "--tokenizer", "none", "--result-dir"]
    for flags, begins, system in (
        ((), "<|begin_of_thought|>", asks),
        (("--thought", "think"), "<think>", ""),
        (("--system-prompt", "none"), "<|begin_of_thought|>", ""),
    ):
        out = tmp_path / f"out{len(flags)}{begins[1]}"
        response_rewrite.run(response_rewrite.parse([*map(str, (*words, out, *flags))]))
        (row,) = rows(out)
        assert row["chosen"]["value"].startswith(begins) and row["rejected"]["value"].startswith(begins)
        assert row["system"] == system


def test_a_variant_alone_is_compared_with_no_other(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]})
    assert pair("--variants", "fcs_reflection")["pairs"]["fcs_reflection"] == 1
    together = pair("--variants", "fcs_reflection", "fcs_plus1")
    assert (together["pairs"]["fcs_plus1"], together["pairs"]["fcs_reflection"]) == (1, 0)
    assert "--variants fcs_reflection alone writes them all" in together["said"]


def test_each_way_to_fall_out_is_counted_with_its_reason(pair, tmp_path):
    tail = [attempt(15, "Wait. ", 8) for _ in range(4)]
    make_run(
        tmp_path / "run",
        {
            "pair": [(LONG, True), (SHORT, True)],
            "none": [(WRONG, False), (WRONG, False)],
            "one": [(SHORT, True), (WRONG, False)],
            "single": [(think(attempt(15)), True), (LONG, True)],
            "no correct attempt": [(think(attempt(14), attempt(13, "Wait. ")), True), (LONG, True)],
            "last attempt": [(think(attempt(14), attempt(15, "Wait. ")), True), (LONG, True)],
            "no second": [
                (think(attempt(15), attempt(14, "Wait. "), attempt(3, "Hmm. ")), True),
                (LONG, True),
            ],
            "margin": [(think(*tail, attempt(15, "Wait. ", 1)), True), (think(*tail), True)],
            "form": [(SHORT, True), (f"{PADDING * 40}So it is \\boxed{{15}}.", True)],
            "same": [(SHORT, True), (SHORT, True)],
            "ungradable": [(SHORT, True), ("", True)],
        },
    )  # fmt: skip
    pair("--variants", "fcs", "fcs_plus1", "fcs_reflection", "whole")
    found = {name: numbers["fell_out"] for name, numbers in summary(tmp_path / "out")["pairs"].items()}
    common = {"no correct sample": 1, "only one correct sample": 2}
    single = {"the shortest correct response is a single attempt": 1}
    cut = common | single | {"no attempt is correct by itself": 1}
    form = {"only one of chosen and rejected has a thought": 1}
    assert found["fcs"] == cut | form | {"equal to the full text": 1}
    assert found["fcs_plus1"] == cut | form | {"nothing follows the first correct attempt": 1}
    other = {"no second correct attempt": 2, "equal to another variant": 3}
    assert found["fcs_reflection"] == cut | form | other
    assert found["whole"] == common | form | {"margin too small": 2}


def test_a_cut_text_is_correct_by_the_graders_own_word_and_not_by_an_older_verdicts(pair, tmp_path):
    def samples(end):
        turns = ["", "Wait. ", "Hmm. ", "Wait. "]
        return [(think(*[attempt(15, turn) for turn in turns[:many]], answer=end), True) for many in (2, 4)]

    by_symbols = r"\int_0^1 30x\,dx"
    assert grade_maths("15", f"\\boxed{{{by_symbols}}}", symbolic=False).reason == "undecided"
    make_run(tmp_path / "run", {"p": samples(by_symbols), "q": samples("16"), "r": samples("15")})
    assert pair("--variants", "fcs")["pairs"]["fcs"] == 2
    assert summary(tmp_path / "out")["pairs"]["fcs"]["fell_out"] == {
        "not correct under the grader when cut": 1
    }
    for row in rows(tmp_path / "out"):
        assert grade_maths("15", row["chosen"]["value"], symbolic=True).correct


def test_a_text_is_never_preferred_to_itself_even_without_a_margin(pair, tmp_path):
    single = think(attempt(15))
    make_run(tmp_path / "run", {"p": [(single, True), (single, True)]})
    with pytest.raises(UserError, match="stage 'cutting'"):
        pair("--variants", "whole", "--min-margin", 0)


def test_a_smaller_margin_than_asked_for_is_not_written(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]})
    assert pair("--min-margin", 0.5)["pairs"]["fcs"] == 1
    with pytest.raises(UserError):
        pair("--min-margin", 0.95)


def test_short_incorrect_against_long_correct_pairs_are_mixed_into_every_file(pair, tmp_path):
    samples = [(LONG, True), (SHORT, True), (WRONG, False)]
    make_run(
        tmp_path / "run",
        {f"p{number}": samples for number in range(20)} | {"q": [(LONG, True), (WRONG, False)]},
    )
    assert pair("--SILC")["pairs"] == {"fcs": 20, "fcs_plus1": 20, "fcs_reflection": 0, "silc": 21}
    for variant, own in (("fcs", 20), ("fcs_plus1", 20), ("fcs_reflection", 0)):
        kinds = [row["rejected"]["value"] == WRONG for row in rows(tmp_path / "out", variant)]
        assert kinds.count(True) == 21 and kinds.count(False) == own
        assert not own or kinds != sorted(kinds) and kinds != sorted(kinds, reverse=True)
    assert pair()["pairs"]["silc"] == 0


def test_an_undecided_response_is_neither_chosen_nor_rejected_and_is_counted(pair, tmp_path):
    middle = think(attempt(15, padding=1), attempt(15, "Wait. ", 1))
    folder = make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True), (middle, False), (WRONG, False)]})
    lines = json_lines(folder / "verdicts.jsonl")
    for line in lines[2:]:
        line["verdict"] |= {"reason": "undecided", "cause": "two candidates"}
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = pair("--SILC")
    assert (result["pairs"]["silc"], result["pairs"]["fcs"], result["undecided"]) == (0, 1, 2)
    (row,) = rows(tmp_path / "out")
    assert not {middle, WRONG} & {row["chosen"]["value"], row["rejected"]["value"]}
    assert summary(tmp_path / "out")["undecided"] == 2
    assert summary(tmp_path / "out")["graded_by"] == ["maths-1"]
    assert "2 undecided samples were left out" in result["said"]
    (counts,) = read_counts([tmp_path / "out" / "pairs-summary.json"])
    yields, _ = counts.values()
    assert yields["undecided samples left out"] == 2


def test_a_truncated_response_is_no_short_incorrect_one(pair, tmp_path):
    folder = make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True), (WRONG, False)]})
    lines = json_lines(folder / "samples.jsonl")
    lines[2]["finish_reason"] = "length"
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert pair("--SILC")["pairs"]["silc"] == 0


@pytest.mark.parametrize(
    ("reason", "flags", "pairs"),
    [("loop", "", 0), ("refusal", "", 0), ("budget", "", 0), ("budget", "--keep-budget", 1)],
)
def test_a_response_that_did_not_end_by_itself_is_in_no_pair(pair, tmp_path, reason, flags, pairs):
    folder = make_run(
        tmp_path / "run", {"p": [(LONG, True), (SHORT, True)], "q": [(LONG, True), (SHORT, True)]}
    )
    lines = json_lines(folder / "samples.jsonl")
    lines[1]["finish_reason"] = reason
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = pair("--variants", "whole", *flags.split())["pairs"]
    assert sum(found.values()) == 1 + pairs


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_order(pair, tmp_path):
    samples = [(LONG, True), (SHORT, True), (WRONG, False)]
    make_run(tmp_path / "run", {f"p{number}": samples for number in range(12)})
    texts = []
    for number, seed in enumerate((1, 1, 2)):
        pair("--SILC", "--seed", seed, out=tmp_path / f"out{number}")
        texts.append((tmp_path / f"out{number}" / "fcs-conversations.json").read_text())
    assert texts[0] == texts[1] != texts[2]
    assert sorted(map(str, json.loads(texts[0]))) == sorted(map(str, json.loads(texts[2])))


def test_rows_for_trl_and_for_llamafactory(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]})
    sky = ["--target-model", "NovaSky-AI/Sky-T1-32B-Preview"]
    pair(*sky, "--format", "trl-dpo")
    (row,) = rows(tmp_path / "out")
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    assert row["chosen"] == [{"role": "assistant", "content": FIRST_TWO}]
    pair(*sky, "--format", "llamafactory-dpo")
    (row,) = rows(tmp_path / "out")
    entry = json.loads((tmp_path / "out" / "dataset_info.json").read_text())["fcs-conversations"]
    assert entry["ranking"] and entry["file_name"] == "fcs-conversations.json"
    assert {entry["columns"][name] for name in ("messages", "chosen", "rejected", "system")} <= set(row)


@pytest.mark.parametrize("system", ["", "Think."])
def test_rows_for_axolotl_and_for_ms_swift(pair, tmp_path, system):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]})
    (tmp_path / "system.txt").write_text(system)
    flags = (
        "--system-prompt",
        tmp_path / "system.txt" if system else "none",
        "--variants",
        "fcs",
        "--format",
    )
    asked = [{"role": "system", "content": system}] * bool(system)
    asked += [{"role": "user", "content": "What is three times five (p)? Put it into a box."}]
    chosen, rejected = ({"role": "assistant", "content": text} for text in (FIRST_TWO, LONG))
    pair(*flags, "axolotl-dpo")
    assert rows(tmp_path / "out") == [{"messages": asked, "chosen": chosen, "rejected": rejected}]
    pair(*flags, "swift-dpo")
    assert rows(tmp_path / "out") == [{"messages": [*asked, chosen], "rejected_response": LONG}]


def test_rows_without_pairs_are_all_responses_with_their_labels(pair, tmp_path):
    """A problem with one sample, or with right or wrong ones alone, has rows, too."""
    make_run(
        tmp_path / "run",
        {"both": [(LONG, True), (WRONG, False)], "right": [(SHORT, True)], "wrong": [(WRONG, False)]},
    )
    result = pair("--format", "trl-kto")
    assert (result["correct"], result["wrong"]) == (2, 2)
    assert summary(tmp_path / "out")["fell_out"] == {} and " left out" not in result["said"]
    found = rows(tmp_path / "out", "judged")
    labels = [(row["completion"][0]["content"], row["label"]) for row in found]
    assert sorted(labels) == sorted([(LONG, True), (WRONG, False), (SHORT, True), (WRONG, False)])
    assert {message["role"] for row in found for message in row["prompt"]} == {"user"}
    assert not list((tmp_path / "out").glob("fcs*"))
    pair("--format", "swift-kto", out=tmp_path / "swift")
    assert [
        (row["messages"][-1]["content"], row["label"]) for row in rows(tmp_path / "swift", "judged")
    ] == labels


def test_rows_without_pairs_have_one_form_and_are_counted_as_they_are_written(pair, tmp_path, monkeypatch):
    plain = "It is \\boxed{15}."
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True), (WRONG, False)], "q": [(plain, True)] * 2})
    pair("--variants", "whole")
    told = []
    monkeypatch.setattr(response_rewrite, "say", told.append)
    result = pair("--format", "trl-kto")
    assert (result["rows"], result["correct"], result["wrong"]) == (3, 2, 1)
    assert len(rows(tmp_path / "out", "judged")) == len(json_lines(tmp_path / "out" / "pairs.jsonl")) == 3
    counted = summary(tmp_path / "out")
    assert counted["rows"] == {"correct": 2, "wrong": 1}
    assert counted["fell_out"] == {"no thought, which the others have": 2}
    assert counted["pairs_of_runs"] == {str(tmp_path / "run"): 3}
    assert "2 responses were left out: no thought, which the others have" in told
    assert (
        f"{tmp_path / 'out' / 'whole-conversations.json'} is of an earlier command with other flags" in told
    )
    make_run(tmp_path / "plain", {"p": [(plain, True), ("It is \\boxed{14}.", False)]})
    no_thoughts = pair("--format", "trl-kto", run=tmp_path / "plain")
    assert no_thoughts["rows"] == 2, "where no response has a thought, none is missing"


@pytest.mark.parametrize(
    "unfit",
    [
        "It is \\boxed{15}.",
        SHORT.replace("\n\n<|end_of_thought|>", " It is the <think> tag.\n\n<|end_of_thought|>"),
        f"{FIRST_TWO}<|im_start|>user\nNext?",
    ],
)
def test_a_response_that_fits_no_pair_keeps_none_of_the_others_out(pair, tmp_path, unfit):
    """The shortest, or the longest, is then the next one."""
    texts = [(unfit, True), (SHORT, True), (LONG, True), (f"{PADDING * 200}{unfit}", True), (WRONG, False)]
    make_run(tmp_path / "run", {"p": [*texts, ("It is \\boxed{3}.", False)]})
    assert pair("--SILC", "--variants", "whole")["pairs"] == {"whole": 1, "silc": 1}
    for row in rows(tmp_path / "out", "whole"):
        sides = {row["chosen"]["value"], row["rejected"]["value"]}
        assert sides in ({SHORT, LONG}, {SHORT, WRONG}, {LONG, WRONG})


def test_responses_without_a_thought_make_pairs_where_others_cannot(pair, tmp_path):
    plain = [
        (f"{'So we add. ' * n}It is \\boxed{{{answer}}}.", answer == 15)
        for n, answer in ((2, 15), (30, 15), (1, 3))
    ]
    make_run(tmp_path / "run", {"p": [*plain, (LONG, True)]})
    assert pair("--SILC", "--variants", "whole")["pairs"] == {"whole": 1, "silc": 1}
    assert all("_of_thought" not in json.dumps(row) for row in rows(tmp_path / "out", "whole"))


def test_a_response_that_goes_on_with_another_problem_is_on_neither_side(pair, tmp_path):
    short, middle = (think(attempt(15, padding=padding)) for padding in (2, 6))
    on = short.replace("<|end_of_solution|>", "Question: And 4 times 4?\nAnswer: 16\n\n<|end_of_solution|>")
    make_run(tmp_path / "run", {"p": [(on, True), (middle, True), (LONG, True)]})
    pair("--variants", "whole")
    [row] = rows(tmp_path / "out", "whole")
    assert "4 times 4" not in json.dumps(row)


def test_a_way_of_pairing_for_silc_wants_silc(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (WRONG, False)]})
    with pytest.raises(UserError, match="--silc-pairing next-longer says how --SILC pairs: give --SILC"):
        pair("--silc-pairing", "next-longer")


@pytest.mark.parametrize(
    "flags", ["--SILC", "--else-whole", "--silc-pairing next-longer", "--variants whole", "--rewrite-model m"]
)
def test_a_flag_about_pairs_does_not_go_with_rows_without_pairs(pair, tmp_path, flags):
    make_run(tmp_path / "run", {"p": [(LONG, True), (WRONG, False)]})
    with pytest.raises(UserError, match=f"{flags.split()[0]} is about pairs"):
        pair("--format", "trl-kto", *flags.split())


def test_of_several_teachers_the_first_one_with_a_pair_is_taken(pair, tmp_path):
    longer = think(attempt(14), attempt(15, "Wait. "), attempt(15, "Hmm. ", 30))
    make_run(tmp_path / "a", {"p": [(LONG, True), (SHORT, True)], "q": [(SHORT, True), (WRONG, False)]})
    make_run(
        tmp_path / "b",
        {
            "r": [(longer, True), (SHORT, True)],
            "q": [(longer, True), (SHORT, True)],
            "p": [(longer, True), (SHORT, True)],
        },
    )
    teachers = {}
    for order in (("a", "b"), ("b", "a")):
        folders = [tmp_path / name for name in order]
        assert pair("--variants", "fcs", run=folders)["pairs"]["fcs"] == 3
        notes = json_lines(tmp_path / "out" / "pairs.jsonl")
        teachers[order] = {note["problem_id"]: Path(note["run"]).name for note in notes}
        rejected = {row["rejected"]["value"] for row in rows(tmp_path / "out")}
        assert rejected == ({LONG, longer} if order[0] == "a" else {longer})
    assert teachers == {
        ("a", "b"): {"p": "a", "q": "b", "r": "b"},
        ("b", "a"): {"p": "b", "q": "b", "r": "b"},
    }
    assert summary(tmp_path / "out")["pairs_of_runs"] == {str(tmp_path / "b"): 3}


def test_teachers_of_several_benchmarks_or_one_given_twice_are_refused(pair, tmp_path):
    make_run(tmp_path / "a", {"p": [(LONG, True)]})
    make_run(tmp_path / "b", {"p": [(LONG, True)]}, settings={"task": "AIME"})
    with pytest.raises(UserError, match="a answers MATH500 and .*b answers AIME: give runs of one benchmark"):
        pair(run=[tmp_path / "a", tmp_path / "b"])
    with pytest.raises(UserError, match="names a run twice"):
        pair(run=[tmp_path / "a", tmp_path / "a"])


@pytest.mark.parametrize(("right", "kind"), [(True, "wrong"), (False, "correct")])
def test_labels_that_are_all_the_same_are_named(pair, tmp_path, right, kind):
    make_run(tmp_path / "run", {"p": [(LONG, right), (SHORT, right)]})
    with pytest.raises(UserError, match=f"no usable one of the 2 samples of .* is {kind}"):
        pair("--format", "trl-kto")


def test_where_there_is_nothing_to_cut_the_whole_response_is_taken_on_request(pair, tmp_path):
    single, last = think(attempt(15)), think(attempt(14), attempt(15, "Wait. "))
    make_run(
        tmp_path / "run",
        {
            "single": [(single, True), (LONG, True)],
            "last": [(last, True), (LONG, True)],
            "cut": [(LONG, True), (SHORT, True)],
        },
    )
    assert pair("--variants", "fcs", "fcs_plus1")["pairs"]["fcs"] == 1
    result = pair("--variants", "fcs", "fcs_plus1", "--else-whole")
    assert result["pairs"] == {"fcs": 3, "fcs_plus1": 3, "silc": 0}
    assert {row["chosen"]["value"] for row in rows(tmp_path / "out")} == {single, last, FIRST_TWO}
    assert summary(tmp_path / "out")["pairs"]["fcs"]["whole"] == 2
    assert "2 of these whole responses, as there was nothing to cut" in result["said"]


def test_silc_takes_the_shortest_incorrect_response_or_the_largest_difference():
    correct, incorrect = [(30, 1), (50, 2), (200, 3)], [(28, 4), (60, 5), (400, 6)]
    assert silc_pair(correct, incorrect, min_margin=0.0) == Ordered(3, 5)
    assert silc_pair(correct, incorrect, min_margin=0.0, pairing="next-longer") == Ordered(1, 4)
    assert silc_pair(correct, incorrect, min_margin=0.1, pairing="next-longer") is None


def test_the_pairing_of_short_incorrect_with_long_correct_is_a_flag(pair, tmp_path):
    texts = [(think(attempt(14, padding=size)), False) for size in (1, 9)]
    texts += [(think(attempt(15, padding=size)), True) for size in (2, 40)]
    make_run(tmp_path / "run", {"p": texts})
    for pairing, rejected in (("margin", texts[1][0]), ("next-longer", texts[0][0])):
        pair("--variants", "whole", "--SILC", "--silc-pairing", pairing)
        assert rejected in {row["rejected"]["value"] for row in rows(tmp_path / "out", "whole")}


@pytest.mark.parametrize("content", ["[]", "{"])
def test_a_damaged_dataset_info_is_named_before_any_work(tmp_path, content):
    make_run(tmp_path / "run", {"p": [(LONG, None), (SHORT, True)]})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dataset_info.json").write_text(content)
    flags = ["--target-model", "m", "--tokenizer", "none", "--format", "llamafactory-dpo"]
    where = ["--dataset", str(tmp_path / "run"), "--result-dir", str(tmp_path / "out")]
    done = script("response_rewrite.py", *where, *flags)
    assert done.returncode == 2
    assert "dataset_info.json is not" in done.stderr and len(done.stderr.splitlines()) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dataset_info.json"]
    assert len(json_lines(tmp_path / "run" / "verdicts.jsonl")) == 1  # nothing was graded either


def test_the_system_prompt_is_the_target_models_to_the_byte(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]})
    result = pair("--target-model", "NovaSky-AI/Sky-T1-32B-Preview")
    assert rows(tmp_path / "out")[0]["system"] == prompts.load("system_thought")
    assert "the run was made with another one" in result["said"]
    pair()
    assert rows(tmp_path / "out")[0]["system"] == ""


def test_the_picture_and_the_table_show_what_was_written(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)], "q": [(WRONG, False)]})
    said = pair()["said"]
    picture = xml.etree.ElementTree.parse(tmp_path / "out" / "margins.svg")
    titles = [
        one.text
        for one in picture.iter("{http://www.w3.org/2000/svg}title")
        if one.text.startswith("pairs: 1 ")
    ]
    assert len(titles) == 2
    assert "no correct sample" in said and "attempts in responses: 4 in 1" in said
    (note, _) = json_lines(tmp_path / "out" / "pairs.jsonl")
    assert (note["kind"], note["chosen"]["kept"], note["chosen"]["attempts"]) == ("fcs", 2, 4)
    assert note["margin"] == pytest.approx(
        1 - note["chosen"]["tokens"] / note["rejected"]["tokens"], abs=1e-4
    )


def test_the_yields_can_be_shown_in_a_report(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)], "q": [(WRONG, False)]})
    pair()
    (counts,) = read_counts([tmp_path / "out" / "pairs-summary.json"])
    yields, reasons = counts.values()
    assert (yields["problems"], yields["fcs"]) == (2, 1) and reasons["fcs: no correct sample"] == 1


# --- properties ---

ATTEMPT = st.tuples(
    st.sampled_from([14, 15, "unclear"]),
    st.sampled_from(["Wait. ", "Alternatively, ", ""]),
    st.integers(0, 4),
)
RESPONSE = st.lists(ATTEMPT, min_size=1, max_size=5).flatmap(
    lambda attempts: st.booleans().map(
        lambda correct: (
            think(*[attempt(*one) for one in attempts], answer="15" if correct else "14"),
            correct,
        )
    )
)


@settings(max_examples=25)
@given(st.lists(st.lists(RESPONSE, min_size=2, max_size=5), min_size=1, max_size=3), st.integers(0, 5))
def test_chosen_is_correct_and_never_the_rejected_one_and_a_slice_of_a_sample(problems, seed):
    with tempfile.TemporaryDirectory() as folder:
        run, out = Path(folder) / "run", Path(folder) / "out"
        make_run(run, {f"p{number}": samples for number, samples in enumerate(problems)})
        words = [
            "--SILC",
            "--dataset",
            run,
            "--result-dir",
            out,
            "--target-model",
            "m",
            "--tokenizer",
            "none",
        ]
        words += ["--thought", "markers", "--seed", seed, "--variants", *response_rewrite.VARIANTS]
        try:
            response_rewrite.run(response_rewrite.parse(list(map(str, words))))
        except UserError:
            return
        texts = [text for samples in problems for text, _ in samples]
        for variant in response_rewrite.VARIANTS:
            for row in rows(out, variant):
                chosen, rejected = row["chosen"]["value"], row["rejected"]["value"]
                assert chosen != rejected and rejected in texts
                assert grade_maths("15", chosen, symbolic=False).correct
                thought, _, solution = chosen.partition("<|end_of_thought|>")
                assert any(text.startswith(thought.rstrip()) and text.endswith(solution) for text in texts)


# --- asking a model ---

STEPS = PADDING * 2
UNCLEAR = think(
    f"{STEPS}One gets fourteen. {STEPS}Then comes a second try: {STEPS}it makes 15 now. "
    f"{STEPS}Then comes a third try: {STEPS}it is 15 once more."
)
CUTS = {"contains": "Find the places", "text": "1. Then comes a second try\n2. Then comes a third try"}
JUDGE = [
    {"contains": "it makes 15 now. We go", "text": "**True.**"},
    {"contains": "Does the passage", "text": "False"},
]


def test_the_model_names_places_and_says_true_or_false_but_writes_no_text(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)]})
    engine = paper_engine(tmp_path, CUTS, *JUDGE)
    assert pair("--rewrite-model", "m", *engine)["pairs"]["fcs"] == 1
    (row,) = rows(tmp_path / "out")
    thought = row["chosen"]["value"].partition("<|end_of_thought|>")[0].rstrip()
    assert UNCLEAR.startswith(thought) and thought.endswith(STEPS.rstrip())
    assert "second try" in thought and "third try" not in thought
    model = summary(tmp_path / "out")["model"]
    assert (model["split"], model["judged"]) == (1, 2)  # the third attempt's answer is found by rule


def test_what_the_model_said_is_asked_only_once(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)]})
    first = pair("--rewrite-model", "m", *paper_engine(tmp_path, CUTS, *JUDGE))
    before = (tmp_path / "out" / "fcs-conversations.json").read_bytes()
    dead = paper_engine(tmp_path, {"stop": "nobody should ask"})
    again = pair("--rewrite-model", "m", *dead)
    assert first["pairs"] == again["pairs"]
    assert before == (tmp_path / "out" / "fcs-conversations.json").read_bytes()


def test_a_model_that_answers_rubbish_costs_two_questions_and_changes_nothing(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)], "q": [(LONG, True), (SHORT, True)]})
    engine = paper_engine(tmp_path, {"text": "As you wish! Here is a poem."})
    result = pair("--rewrite-model", "m", *engine)
    assert result["pairs"]["fcs"] == 1 and "unusable: 1 answer of the rewrite model" in result["said"]
    assert summary(tmp_path / "out")["model"]["requests"] == 2
    assert all("poem" not in row["chosen"]["value"] for row in rows(tmp_path / "out"))


def test_a_failed_request_is_asked_again_by_the_same_command(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)], "q": [(LONG, True), (SHORT, True)]})
    broken = paper_engine(tmp_path, {"fail": "it is late"})
    result = pair("--rewrite-model", "m", *broken, status=1)
    assert "1 request failed (the last one: it is late)" in result["said"]
    assert pair("--rewrite-model", "m", *paper_engine(tmp_path, CUTS, *JUDGE))["pairs"]["fcs"] == 2


def test_without_a_model_none_is_asked(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)], "q": [(LONG, True), (SHORT, True)]})
    dead = paper_engine(tmp_path, {"stop": "nobody should ask"})
    assert pair("--rewrite-model", "m", "--no-llm", *dead)["pairs"]["fcs"] == 1
    assert pair(*dead)["pairs"]["fcs"] == 1


def files_below(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_says_what_the_model_would_be_asked_and_writes_nothing(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)], "q": [(LONG, True), (SHORT, True)]})
    before = files_below(tmp_path)
    result = pair("--rewrite-model", "openai/gpt-4o-mini", "--max-tokens", 100, "--dry-run")
    assert files_below(tmp_path) == before and not (tmp_path / "out").exists()
    assert (result["to_cut"], result["to_judge"], result["requests"]) == (1, 2, 3)
    assert result["most_completion_tokens"] == 2 * (100 + 2 * 64)
    assert 0 < result["dollars"] < result["most_dollars"]
    assert "openai/gpt-4o-mini would be asked where attempts begin in 1 responses" in result["said"]
    assert "at most: " in result["said"] and "at the prices in prices.txt" in result["said"]
    for none in ((), ("--rewrite-model", "m", "--no-llm")):
        assert pair("--dry-run", *none)["requests"] == 0


def test_a_dry_run_counts_what_is_not_answered_yet(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)]})
    pair("--rewrite-model", "m", *paper_engine(tmp_path, CUTS, {"fail": "it is late"}), status=1)
    before = files_below(tmp_path)
    result = pair("--rewrite-model", "m", "--dry-run")
    assert (result["to_cut"], result["to_judge"]) == (0, 2) and files_below(tmp_path) == before
    pair("--rewrite-model", "m", *paper_engine(tmp_path, *JUDGE))
    assert pair("--rewrite-model", "m", "--dry-run")["requests"] == 0


def test_a_dry_run_grades_nothing_in_the_run_and_reads_old_files_aside(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, None), (LONG, True), (UNCLEAR, True)]})
    before = files_below(tmp_path)
    result = pair("--rewrite-model", "m", "--dry-run")
    assert (
        result["to_cut"] == 1
        and "1 sample of" in result["said"]
        and "would be graded first" in result["said"]
    )
    assert files_below(tmp_path) == before
    old = old_file(tmp_path / "m_MATH500_test.json")
    assert pair("--dry-run", run=old)["requests"] == 0 and not (tmp_path / "out").exists()


def test_a_budget_that_runs_out_writes_no_pairs_and_the_same_command_goes_on(pair, tmp_path):
    make_run(tmp_path / "run", {name: [(LONG, True), (UNCLEAR, True)] for name in "pqr"})
    model = ["--rewrite-model", "m", "--max-tokens", 50, *paper_engine(tmp_path, CUTS, *JUDGE)]
    whole = pair(*model, out=tmp_path / "whole")
    stops = 0
    while stops < 20:
        try:
            result = pair(*model, "--max-tokens-total", 2100)
            break
        except RunStopped as stopped:
            assert "--max-tokens-total" in str(stopped) and "no pairs are written" in str(stopped)
            assert "run the same command again" in str(stopped)
        assert not list((tmp_path / "out").glob("*.json")) and not list((tmp_path / "out").glob("*.svg"))
        stops += 1
    assert stops > 1 and result["pairs"] == whole["pairs"] and whole["pairs"]["fcs"] == 3
    assert rows(tmp_path / "out") == rows(tmp_path / "whole")
    asked = [line["said"] for line in json_lines(tmp_path / "out" / "split.jsonl") if "said" in line]
    assert len(asked) == 3


def test_a_budget_that_allows_no_question_or_has_no_price_is_bad_input(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)]})
    engine = ["--rewrite-model", "m", *paper_engine(tmp_path, CUTS, *JUDGE)]
    with pytest.raises(UserError, match="raise --max-tokens-total"):
        pair(*engine, "--max-tokens-total", 100)
    with pytest.raises(UserError, match="--max-cost needs the price of m"):
        pair(*engine, "--max-cost", 1)


class Helper(FaultyEndpoint):
    """An endpoint that answers as the model of these tests."""

    def answer(self, body):
        answer = super().answer(body)
        prompt = body["messages"][-1]["content"]
        said = next(line["text"] for line in (CUTS, *JUDGE) if line["contains"] in prompt)
        answer["choices"][0]["message"]["content"] = said
        return answer


def test_an_endpoint_does_as_well_as_an_engine_of_our_own(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (UNCLEAR, True)]})
    with Helper() as endpoint:
        result = pair("--rewrite-model", "openai/test-model", "--api-base", endpoint.url)
    assert result["pairs"]["fcs"] == 1
    assert {body.get("temperature") for body in endpoint.requests} == {0.0} and len(endpoint.requests) == 3


# --- other inputs ---


def test_ungraded_samples_are_graded_first(pair, tmp_path):
    folder = make_run(tmp_path / "run", {"p": [(LONG, None), (SHORT, None), (WRONG, None)]})
    assert pair("--SILC")["pairs"] == {"fcs": 1, "fcs_plus1": 1, "fcs_reflection": 0, "silc": 1}
    verdicts = json_lines(folder / "verdicts.jsonl")
    assert sorted(line["verdict"]["correct"] for line in verdicts) == [False, True, True]


def test_ungraded_samples_in_a_folder_that_cannot_be_written_are_named(pair, tmp_path, monkeypatch):
    make_run(tmp_path / "run", {"p": [(LONG, None), (SHORT, None)]})
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match="2 samples of .* are not graded, and the folder cannot be written"):
        pair()


def old_file(path, **more):
    """A result file of the older layout: single responses, lists of them and the older grader's verdicts."""
    samples = [{"content": text, "correctness": False, "reason": ""} for text in (LONG, SHORT, WRONG)]
    usage = [{"completion_tokens": len(one["content"]) // 4, "prompt_tokens": 9} for one in samples]
    row = {
        "problem": "What is three times five?",
        "answer": "15",
        "solution": "",
        "subject": "",
        "level": 1,
        "unique_id": "u",
        "responses": {"0.7": samples},
        "token_usages": {"0.7": usage},
        "prompt": "What is three times five?",
    }
    path.write_text(json.dumps({"What is three times five?": row | more}))
    return path


def test_a_result_file_of_the_older_layout_is_read_and_judged_anew(pair, tmp_path):
    path = old_file(tmp_path / "QwQ_MATH500_test_None_0_-1.json")
    for _ in range(2):
        assert pair("--SILC", run=path)["pairs"] == {"fcs": 1, "fcs_plus1": 1, "fcs_reflection": 0, "silc": 1}
    assert rows(tmp_path / "out")[0]["conversations"][0]["value"] == "What is three times five?"


def test_an_old_file_that_does_not_name_its_benchmark_needs_the_flag(pair, tmp_path):
    path = old_file(tmp_path / "results.json")
    with pytest.raises(UserError, match="give --task NAME"):
        pair(run=path)
    assert pair("--task", "math500", run=path)["pairs"]["fcs"] == 1


PROGRAM = "{padding}\n```python\nn = int(input())\n{line}\nprint(n * 2)\n```"


def test_code_is_paired_whole_and_never_cut(pair, tmp_path):
    short, long = (PROGRAM.format(padding=PADDING * many, line="n = n + 0") for many in (1, 9))
    wrong = "I give up."
    make_run(
        tmp_path / "run",
        {"p": [(long, True), (short, True), (wrong, False)]},
        settings={"task": "APPS"},
        answer=None,
    )
    result = pair("--SILC")
    assert result["pairs"] == {"whole": 1, "silc": 1} and "not cut" in result["said"]
    chosen = {row["chosen"]["value"] for row in rows(tmp_path / "out", "whole")}
    assert chosen == {short}


def test_a_thought_that_an_endpoint_kept_apart_is_part_of_the_response(pair, tmp_path):
    folder = make_run(tmp_path / "run", {"p": [("So \\boxed{15}.", True), ("So it is \\boxed{15}.", True)]})
    lines = json_lines(folder / "samples.jsonl")
    for line, many in zip(lines, (1, 8), strict=True):
        thought = "\n\n".join([attempt(15, padding=many), *[attempt(15, "Wait. ", many)] * 3])
        line.update(reasoning=thought, completion_tokens=len(thought) // 4)
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert pair("--thought", "think")["pairs"]["fcs"] == 1
    chosen = rows(tmp_path / "out")[0]["chosen"]["value"]
    assert chosen == f"<think>\n{attempt(15, padding=1)}\n</think>\n\nSo \\boxed{{15}}."


@pytest.mark.engine
def test_tokens_are_counted_by_the_target_models_tokenizer_when_it_is_there(pair, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    (tmp_path / "model").mkdir()
    tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]})
    result = pair("--tokenizer", tmp_path / "model")
    assert result["tokens_counted_by"] == f"the tokenizer of {tmp_path / 'model'}"
    note = json_lines(tmp_path / "out" / "pairs.jsonl")[0]
    assert note["chosen"]["tokens"] == len(FIRST_TWO.split())
    assert note["rejected"]["tokens"] == len(LONG.split())


def test_a_tokenizer_that_cannot_be_had_is_replaced_by_the_runs_own_counts_and_said(tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]})
    flags = ["--dataset", tmp_path / "run", "--result-dir", tmp_path / "out", "--target-model", "no/such"]
    done = own_process("response_rewrite.py", *flags, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "the run's own counts" in last_line(done)["tokens_counted_by"]
    assert "the tokenizer of no/such cannot be had" in done.stderr


# --- bad input ---


@pytest.mark.parametrize(
    ("problems", "sentence"),
    [
        ({"p": [(SHORT, True)], "q": [(LONG, True)]}, "one sample per problem; a pair needs at least two"),
        ({"p": [(WRONG, False), (WRONG, False)]}, "none of the 2 samples .* is correct"),
        (
            {"p": [(SHORT, True), (WRONG, False)]},
            "stage 'choosing samples': no problem .* two correct samples",
        ),
        ({}, "has no samples: generate them"),
        ({"p": [(think(attempt(15)), True), (LONG, True)]}, "stage 'cutting': no pair is left"),
    ],
)
def test_an_input_of_which_no_pair_can_come_is_named_with_the_stage(pair, tmp_path, problems, sentence):
    make_run(tmp_path / "run", problems)
    with pytest.raises(UserError, match=sentence):
        pair()


def test_the_command_that_draws_more_samples_is_one_that_the_script_understands(pair, tmp_path):
    settings = {"stop": ["Question:", "a 'b'"], "top_p": 0.9, "seed": 3, "prompt": "plain", "source": "x"}
    make_run(tmp_path / "run", {"p": [(SHORT, True)]}, settings=settings)
    with pytest.raises(UserError) as refused:
        pair()
    import shlex

    import inference_and_check

    _, name, *flags = shlex.split(str(refused.value).rsplit("\n", 1)[-1])
    args = inference_and_check.parse(flags)
    assert name == "inference_and_check.py" and (args.dataset, args.n) == ("MATH500", 8)
    assert {flag: getattr(args, flag) for flag in settings} == settings  # else it would be another run
    assert (args.max_tokens, args.temperatures, args.result_dir) == (1000, [0.7], tmp_path)


def test_a_run_without_references_can_only_be_paired_whole(pair, tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]}, answer=None)
    with pytest.raises(UserError, match="no problem of .* has a reference answer"):
        pair()
    assert pair("--variants", "whole")["pairs"]["whole"] == 1


@pytest.mark.parametrize("name", ["nothing-there", "."])
def test_a_folder_without_a_run_or_with_several_is_refused(pair, tmp_path, name):
    for number in range(2):
        make_run(tmp_path / f"run{number}", {"p": [(SHORT, True)]})
    with pytest.raises(UserError, match="no run at|holds 2 runs"):
        pair(run=tmp_path / name)


def test_the_documented_command_runs_as_it_stands_and_bad_input_ends_with_status_2(tmp_path):
    make_run(tmp_path / "run", {"p": [(LONG, True), (SHORT, True)]})
    flags = ["--SILC", "--rewrite-model", "meta-llama/Meta-Llama-3-8B-Instruct", "--checkpoint", "--tp", 8]
    flags += ["--target-model", "NovaSky-AI/Sky-T1-32B-Preview", "--result-dir", "./", "--max_tokens", 99]
    words = [sys.executable, str(ROOT / "response_rewrite.py"), *flags, "--tokenizer", "none"]
    done = subprocess.run(
        [*map(str, words), "--dataset", "run"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fcs-conversations.json").exists()
    done = subprocess.run(
        [*map(str, words), "--dataset", "nowhere"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2 and "no run at nowhere" in done.stderr


# --- killed ---


def test_killed_at_any_moment_the_same_command_ends_with_the_same_pairs(tmp_path):
    problems = {
        f"p{number:02}": [(LONG, True), (UNCLEAR, True), (SHORT, True), (WRONG, False)]
        for number in range(30)
    }
    for name in problems:  # SHORT is the longer of the two that are cut
        problems[name][1] = (UNCLEAR.replace("fourteen", f"fourteen {name}"), True)
        problems[name][2] = (SHORT.replace("So the", f"So {PADDING * 4} the", 1), True)
    make_run(tmp_path / "run", problems)
    slow = [{**line, "delay_s": 0.02} for line in (CUTS, *JUDGE)]

    def command(out, lines):
        flags = ["--SILC", "--rewrite-model", "m", "--target-model", "m", "--tokenizer", "none"]
        flags += [*paper_engine(tmp_path, *lines), "--dataset", tmp_path / "run", "--result-dir", out]
        return [sys.executable, str(ROOT / "response_rewrite.py"), *map(str, flags)]

    subprocess.run(command(tmp_path / "whole", (CUTS, *JUDGE)), check=True, capture_output=True)
    dice, kills = random.Random(0), 0
    for _ in range(60):
        process = subprocess.Popen(
            command(tmp_path / "out", slow), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        journal = tmp_path / "out" / "scores.jsonl"
        grown = (journal.stat().st_size if journal.exists() else 0) + dice.randint(200, 6000)
        while process.poll() is None and not (journal.exists() and journal.stat().st_size > grown):
            time.sleep(0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
    assert kills >= 2 and process.returncode == 0
    for name in ("fcs-conversations.json", "fcs_plus1-conversations.json", "pairs.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    steps = [json.dumps(line["step"]) for line in json_lines(tmp_path / "out" / "scores.jsonl")]
    assert len(steps) == len(set(steps))


def test_attempts_are_judged_by_the_rules_alone(monkeypatch):
    """There are thousands; the symbolic engine is asked about what is written only."""
    asked = []
    monkeypatch.setattr(symbolic, "use", asked.append)
    record = SimpleNamespace(answer="5")
    assert response_rewrite._grade_with(None, {})(record, "\\boxed{5}").correct and not asked
    assert response_rewrite._grade_with(None, {}, symbolic=True)(record, "\\boxed{5}").correct
    assert asked == [True, False]
