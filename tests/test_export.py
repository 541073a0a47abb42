"""Is what we export what was judged correct, in the fields that the trainers read?"""

import base64
import errno
import hashlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers import ROOT, here, json_lines, last_line, own_process
from runs_on_paper import PaperSample, write_run

import convert_to_data
from util.errors import DiskTrouble, UserError
from util.grading.maths import grade_maths
from util.response import join_parts
from util.results.page.counts import read_counts
from util.training.curation import repeated_share
from util.training.drawing import Mix, Source, drawn
from util.training.extra_rows import read_extra
from util.training.filters import FILTERS, Draft, Limits
from util.training.formats import FORMATS, Example, ExampleFile
from util.training.thoughts import Answer, read_answer

QUESTIONS = {
    "a": "Anna cuts a round cake into equal slices for her guests, how many slices are there?",
    "b": "Ben paints every second post of the long fence around the garden, how many posts stay bare?",
    "c": "Carla stacks wooden blocks into towers of different heights, how many blocks does she need?",
}

ANY = ("--no-filter", "short", "repetition")  # filters


def samples(**changes) -> list[PaperSample]:
    return [PaperSample(name, question, **changes) for name, question in QUESTIONS.items()]


def export(folder, *flags, output="train.jsonl"):
    return here(
        convert_to_data,
        *("--input_dir", folder, "--output", folder.parent / output, "--decontaminate", "none"),
        *flags,
    )


def rows(folder, *flags, output="train.jsonl"):
    done = export(folder, *flags, output=output)
    assert done.returncode == 0, done.stderr
    return json_lines(folder.parent / output)


def test_a_thought_that_came_apart_is_in_the_row(tmp_path):
    folder = write_run(tmp_path / "run", samples(formatted=False, reasoning="I add.\n"))
    for row in rows(folder, "--include-unformatted"):
        response = row["conversations"][1]["value"]
        assert response.startswith("<think>\nI add.\n</think>\n\nI think about it.")


def test_wrong_truncated_ungraded_and_unformatted_samples_stay_out(tmp_path):
    folder = write_run(
        tmp_path / "run",
        [
            *samples(),
            PaperSample("wrong", "One?", correct=False),
            PaperSample("cut", "Two?", finish_reason="length"),
            PaperSample("ungraded", "Three?", correct=None),
            PaperSample("raw", "Four?", formatted=False),
        ],
    )
    done = export(folder, "--include-unjudged")
    assert last_line(done)["funnel"] == {
        "generated": 7,
        "graded correct": 5,
        "not truncated": 4,
        "formatted": 3,
        "within the limits": 3,
        "with a solution": 3,
        "with one thought": 3,
        "about one problem": 3,
        "boxes agree": 3,
        "in one language": 3,
        "not repetitive": 3,
        "kept per problem": 3,
        "after dedup": 3,
        "final": 3,
    }
    assert {row["sample_id"].split("/")[1] for row in json_lines(tmp_path / "train.jsonl")} == set("abc")


def test_what_was_broken_off_never_enters_and_forced_answers_only_when_wanted(tmp_path):
    ended = [
        PaperSample(reason, f"{reason}?", finish_reason=reason)
        for reason in ("loop", "refusal", "budget", "content_filter", "function_call", "network_error")
    ]
    folder = write_run(tmp_path / "run", [*samples(), *ended])
    done = export(folder)
    assert last_line(done)["rows"] == 3
    for reason in ("loop", "refusal", "budget", "content_filter", "function_call", "network_error"):
        assert f"1 correct sample was left out for the finish reason {reason}" in done.stderr
    done = export(folder, "--keep-budget", output="other.jsonl")
    names = {row["sample_id"].split("/")[1] for row in json_lines(tmp_path / "other.jsonl")}
    assert names == {"a", "b", "c", "budget"}


def test_undecided_samples_stay_out_and_are_counted_by_cause(tmp_path):
    causes = ["two candidates: 3, 5", "two candidates: 1, 2", "the reference is prose"]
    unknown = [
        PaperSample(f"open {number}", "One?", correct=False, reason="undecided", cause=cause)
        for number, cause in enumerate(causes)
    ]
    done = export(write_run(tmp_path / "run", [*samples(), *unknown]))
    found = last_line(done)
    assert (found["funnel"]["generated"], found["funnel"]["graded correct"], found["undecided"]) == (6, 3, 3)
    told = "3 undecided samples were left out: two candidates (2), the reference is prose (1)"
    assert told in done.stderr and f"- {told}" in (tmp_path / "train.card.md").read_text()
    assert {row["sample_id"].split("/")[1] for row in json_lines(tmp_path / "train.jsonl")} == set("abc")
    (counts,) = read_counts([tmp_path / "train.card.json"])
    assert counts["Undecided samples left out of train.jsonl"] == {
        "two candidates": 2,
        "the reference is prose": 1,
    }


def test_the_card_names_the_grader_and_the_tolerance_that_verdicts_name(tmp_path):
    near = grade_maths("5.00", r"\boxed{4.998}", tolerance="relative:0.001")
    assert near.correct
    rows(write_run(tmp_path / "run", samples(detail=near.detail)))
    line = "| graded by | `maths-1 (tolerance: relative:0.001)` |"
    assert line in (tmp_path / "train.card.md").read_text()
    rows(write_run(tmp_path / "other", samples()), output="other.jsonl")
    assert "| graded by | `maths-1` |" in (tmp_path / "other.card.md").read_text()


def test_a_verdict_on_the_text_before_formatting_does_not_count(tmp_path):
    from util.runs.folder import Run, read_run_json

    folder = write_run(tmp_path / "run", samples(formatted=False))
    info = read_run_json(folder)
    with Run(folder, settings=info["settings"], made_with={}) as run:
        run.add_formatted(("a", 0.7, 0), "another text", "rule: paper")
    assert len(rows(folder, "--include-unformatted", "--include-unjudged")) == 2


def test_the_keep_rule_and_the_limits_apply(tmp_path):
    lengths = [30, 10, 20]
    folder = write_run(
        tmp_path / "run",
        [
            PaperSample(
                "a",
                QUESTIONS["a"],
                index=number,
                tokens=tokens,
                response=f"All slices are counted one by one, which makes \\boxed{{{tokens}}}.",
            )
            for number, tokens in enumerate(lengths)
        ],
    )

    def kept(*flags):
        found = rows(folder, *flags, "--force")
        return sorted(int(row["sample_id"].rsplit("/", 1)[1]) for row in found)

    assert kept() == [1]
    assert kept("--keep", "longest") == [0]
    assert kept("--keep", "all") == [0, 1, 2]
    assert len(kept("--keep", "2")) == 2
    assert kept("--min-tokens", "15", "--max-tokens", "25") == [2]


@pytest.mark.parametrize("rule", ["0", "-1", "1.5", "shortes"])
def test_a_keep_rule_that_keeps_nothing_or_is_none_is_refused_and_the_rules_are_named(rule, capsys):
    with pytest.raises(SystemExit) as end:
        convert_to_data.parse(["--input_dir", "r", "--output", "t.jsonl", f"--keep={rule}"])
    assert end.value.code == 2
    assert f"'{rule}' is none of " in capsys.readouterr().err


def test_questions_of_two_runs_are_kept_once(tmp_path):
    write_run(tmp_path / "runs" / "one", samples())
    write_run(tmp_path / "runs" / "two", samples(), model="other")
    assert len(rows(tmp_path / "runs")) == 3


def test_max_per_source_caps_each_source(tmp_path):
    about = {"source": "math", "difficulty": 4.0}
    folder = write_run(tmp_path / "run", samples(about=about))
    found = rows(folder, "--max-per-source", "2")
    assert [(row["source"], row["difficulty"]) for row in found] == [("math", "4")] * 2
    assert len(rows(folder, "--max-per-source", "2", "--format", "rl-jsonl", "--force")) == 2


@pytest.mark.parametrize("flags", [("--weights", "a=5"), ("--max-per-source", "10")])
def test_the_share_of_plain_rows_is_that_of_the_file_and_spread_over_it(tmp_path, flags):
    own = [PaperSample(f"p{n}", f"Question {n}?", about={"source": "ab"[n % 2]}) for n in range(40)]
    found = rows(
        write_run(tmp_path / "run", own),
        "--plain-share",
        "0.3",
        "--dedup",
        "none",
        "--no-filter",
        "short",
        *flags,
    )
    plain = ["<think>" not in row["conversations"][-1]["value"] for row in found]
    half = len(found) // 2
    assert sum(plain) == round(0.3 * len(found))
    assert abs(sum(plain[:half]) - sum(plain[half:])) <= 1


def test_choices_belong_to_the_question(tmp_path):
    same = "Which of the following is true?"
    folder = write_run(
        tmp_path / "run",
        [PaperSample("a", same, choices=("up", "down")), PaperSample("b", same, choices=("left", "right"))],
    )
    assert len(rows(folder)) == 2


def test_the_order_depends_on_the_seed_alone(tmp_path):
    many = [PaperSample(str(number), f"{QUESTIONS['a']} {number}") for number in range(30)]
    one = write_run(tmp_path / "one" / "run", many)
    two = write_run(tmp_path / "two" / "run", list(reversed(many)))
    first, second = rows(one, "--seed", "5"), rows(two, "--seed", "5")
    assert first == second
    assert first != rows(one, "--seed", "6", "--force")


def test_extra_rows_of_all_forms_are_mixed_in_and_deduplicated(tmp_path):
    folder = write_run(tmp_path / "run", samples())
    prompt = f"{QUESTIONS['a']}"
    extra = tmp_path / "extra.jsonl"
    lines = [
        {"conversations": [{"from": "human", "value": "Q1?"}, {"from": "gpt", "value": "A1"}], "system": "S"},
        {"messages": [{"role": "user", "content": "Q2?"}, {"role": "assistant", "content": "A2"}]},
        {"question": "Q3?", "combined_text": "A3", "domain": "physics"},
        {"question": prompt, "combined_text": "a duplicate"},
        {"question": "Q3?", "combined_text": "A3 again"},
    ]
    extra.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = {
        row["conversations"][0]["value"]: row
        for row in rows(folder, "--extra", extra, "--dedup", "exact", "--include-unformatted", *ANY)
    }
    assert len(found) == 6
    assert found["Q1?"]["system"] == "S"
    assert found["Q3?"]["source"] == "physics"
    assert found["Q3?"]["conversations"][1]["value"] == "A3"
    assert prompt not in found


def test_an_earlier_training_file_can_be_mixed_in_again(tmp_path):
    about = {"source": "math", "difficulty": 4.0}
    folder = write_run(tmp_path / "run", samples(about=about))
    first = rows(folder, "--system-prompt", "none", output="first.jsonl")
    other = write_run(tmp_path / "other", [PaperSample("new", "Where does the river end?"), *samples()[1:]])
    flags = ("--extra", tmp_path / "first.jsonl", "--dedup", "exact", "--system-prompt", "none")
    found = {row["sample_id"]: row for row in rows(other, *flags)}
    assert set(found) == {"other/new/0.7/0", "other/b/0.7/0", "other/c/0.7/0", "run/a/0.7/0"}
    (kept,) = [row for row in first if row["sample_id"] == "run/a/0.7/0"]
    assert found["run/a/0.7/0"] == kept


def test_extra_rows_come_from_their_own_file_where_several_are_given(tmp_path):
    extras = [tmp_path / "first.jsonl", tmp_path / "second.jsonl", tmp_path / "third.jsonl"]
    for extra in extras:
        line = {"question": f"What is in the {extra.stem} file?", "combined_text": f"The {extra.stem} rows."}
        extra.write_text(json.dumps(line) + "\n")
    found = rows(write_run(tmp_path / "run", samples()), "--include-unformatted", *ANY, "--extra", *extras)
    told = {row["conversations"][0]["value"]: row["conversations"][1]["value"] for row in found}
    expected = {f"What is in the {extra.stem} file?": f"The {extra.stem} rows." for extra in extras}
    assert len(found) == 6 and expected.items() <= told.items()


def test_the_limits_hold_for_extra_rows_too(tmp_path):
    extra = tmp_path / "extra.jsonl"
    lines = [
        {"question": f"Q{words}?", "combined_text": "and one more word " * words} for words in (5, 50_000)
    ]
    extra.write_text("".join(json.dumps(line) + "\n" for line in lines))
    flags = ("--extra", extra, "--max-tokens", "1000", "--include-unformatted", *ANY)
    done = export(write_run(tmp_path / "run", samples()), *flags)
    assert last_line(done)["funnel"]["with extra rows"] == 4
    assert "1 extra row was left out: not within the limits" in done.stderr


@pytest.mark.parametrize("written", ["{0}\n{1}", "\ufeff{0}\n{1}\n", "{0}\r\n\r\n{1}\r\n"])
def test_every_row_of_an_extra_file_counts_however_its_lines_end(tmp_path, written):
    extra = tmp_path / "extra.jsonl"
    lines = [json.dumps({"question": f"Q{number}?", "combined_text": "A"}) for number in range(2)]
    extra.write_bytes(written.format(*lines).encode())
    flags = ("--extra", extra, "--include-unformatted", *ANY)
    assert len(rows(write_run(tmp_path / "run", samples()), *flags)) == 5


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no row"),
        (b'{\n "question": 1\n}', "line 1 is not JSON"),
        (b'"x"\n', "line 1 is not a JSON object"),
        (b'{"question": "\xff"}\n', "line 1 is not JSON"),
    ],
)
def test_an_extra_file_without_rows_is_refused(tmp_path, content, told):
    extra = tmp_path / "extra.jsonl"
    extra.write_bytes(content)
    done = export(write_run(tmp_path / "run", samples(correct=False)), "--extra", extra)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr  # before it looks at the run


def test_an_extra_row_of_no_known_form_is_named(tmp_path):
    extra = tmp_path / "extra.jsonl"
    extra.write_text('{"text": "hello"}\n')
    done = export(write_run(tmp_path / "run", samples()), "--extra", extra)
    assert done.returncode == 2
    assert "extra.jsonl line 1 has the fields text" in done.stderr


def test_a_benchmark_question_is_taken_out_and_shown(tmp_path):
    line = (ROOT / "tasks" / "warmup.jsonl").read_text().splitlines()[0]
    question = json.loads(line)["question"]
    folder = write_run(tmp_path / "run", [*samples(), PaperSample("copied", question)])
    done = export(folder, "--decontaminate", "Warmup")
    assert last_line(done)["funnel"]["decontaminated"] == 3
    (leak,) = json_lines(tmp_path / "train.contaminated.jsonl")
    assert (leak["benchmark"], leak["how"], leak["score"]) == ("Warmup", "the same words", 1.0)
    assert leak["passages"] == [leak["question"]] == [question]
    assert "1 problem was removed for the same words as in Warmup" in done.stderr


def test_the_answers_of_the_data_set_tell_a_rewording_from_another_problem(tmp_path):
    olives = "In a jar are 35 olives, and nobody takes an olive. How many olives does the jar hold?"
    boats = "There are 18 boats in the harbor, half of them with sails. How many boats sail away?"
    asked = [PaperSample("reworded", olives, reference="$35$"), PaperSample("other", boats, reference="9")]
    folder = write_run(tmp_path / "run", [*samples(), *asked])
    assert last_line(export(folder, "--decontaminate", "Warmup"))["funnel"]["decontaminated"] == 4
    (leak,) = json_lines(tmp_path / "train.contaminated.jsonl")
    assert (leak["question"], leak["how"]) == (olives, "the same in other words")


def test_benchmarks_that_are_neither_here_nor_at_the_hub_end_the_export_after_one_try(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("util.data.hub.cached", lambda *_: None)  # whatever this machine has
    folder = write_run(tmp_path / "run", samples())
    done = export(folder, "--decontaminate", "MATH500", "Warmup", "AIME")
    assert done.returncode == 2
    assert (
        "MATH500, AIME cannot be read" in done.stderr and "http://127.0.0.1:9 does not answer" in done.stderr
    )
    assert "recipes/fetch_benchmarks.sh" in done.stderr and "--decontaminate Warmup" in done.stderr
    assert "trying again" not in done.stderr


def test_the_older_rule_takes_out_what_shares_words_in_a_row(tmp_path):
    question = max((row["question"] for row in json_lines(ROOT / "tasks" / "warmup.jsonl")), key=len)
    part = " ".join(question.split()[:8])
    rest = "and 45 walls, which a painter from far away wants to paint in 77 days, with brushes of straw"
    longer = f"{part} {rest}. How much does he earn a day?"
    folder = write_run(tmp_path / "run", [*samples(), PaperSample("copied", longer)])
    assert last_line(export(folder, "--decontaminate", "Warmup"))["funnel"]["decontaminated"] == 4
    done = export(folder, "--decontaminate", "Warmup", "--decontaminate-ngram", 8, "--force")
    assert last_line(done)["funnel"]["decontaminated"] == 3
    assert "8 words in a row" in (tmp_path / "train.card.md").read_text()


def test_all_benchmarks_that_cannot_be_read_are_named(tmp_path):
    folder = write_run(tmp_path / "run", samples())
    done = export(folder, "--decontaminate", "MATH500", "Warmup", "AIME", "--data-dir", tmp_path)
    assert done.returncode == 2
    assert "error: MATH500, AIME cannot be read" in done.stderr
    assert "--decontaminate Warmup" in done.stderr and "--decontaminate none" in done.stderr
    assert not (tmp_path / "train.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "stage"),
    [({"correct": False}, "graded correct"), ({"formatted": False}, "formatted"), ({"tokens": 3}, "limits")],
)
def test_no_row_is_an_error_that_names_the_stage(tmp_path, changes, stage):
    done = export(write_run(tmp_path / "run", samples(**changes)), "--min-tokens", "5")
    assert done.returncode == 2
    assert stage in done.stderr


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--decontaminate", "none", "AIME"), "give names of benchmarks"),
        (("--push-to-hub", "not a name"), "write ORG/NAME"),
        (("--min-tokens", "9", "--max-tokens", "5"), "--min-tokens 9 is more than --max-tokens 5"),
        (("--weights", "a=1", "a=2"), "names the source 'a' more than once"),
        (("--thought", "none", "--plain-share", "0.2"), "--thought none leaves every row without a thought"),
        (("--output", "data/dataset_info.json"), "choose another --output"),
        (("--output", "data/train.parquet"), "writes .json or .jsonl files"),
    ],
)
def test_flags_that_mean_nothing_are_refused_before_any_work(tmp_path, flags, told):
    done = export(write_run(tmp_path / "run", samples()), *flags)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("name", ["samples.jsonl", "formatted.2.jsonl", "run.json"])
def test_a_file_of_a_run_is_no_output(tmp_path, name):
    folder = write_run(tmp_path / "run", samples())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = export(folder, "--force", output=f"run/{name}")
    assert (done.returncode, f"run/{name} is a file of the run" in done.stderr) == (2, True), done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert len(rows(folder, output="run/train.jsonl")) == 3


def test_a_file_that_is_read_is_no_output(tmp_path):
    extra = extra_file(tmp_path, {"question": "What?", "combined_text": AS_TAGS})
    before = extra.read_bytes()
    done = export(write_run(tmp_path / "run", samples()), "--extra", extra, "--force", output=extra.name)
    assert (done.returncode, "is read as --extra" in done.stderr) == (2, True), done.stderr
    assert extra.read_bytes() == before


def test_a_folder_is_no_output(tmp_path):
    (tmp_path / "train.jsonl").mkdir()
    done = export(write_run(tmp_path / "run", samples()), "--force")
    assert done.returncode == 2
    assert "is a folder" in done.stderr


def test_an_output_that_is_there_is_refused_without_force(tmp_path):
    folder = write_run(tmp_path / "run", samples())
    rows(folder)
    done = export(folder)
    assert done.returncode == 2
    assert "--force" in done.stderr


def test_a_run_being_written_is_refused(tmp_path):
    from util.runs.folder import Run, read_run_json

    folder = write_run(tmp_path / "run", samples())
    with Run(folder, settings=read_run_json(folder)["settings"], made_with={}):
        done = export(folder)
    assert done.returncode == 2
    assert "is being written by" in done.stderr


def test_a_run_of_another_schema_is_refused(tmp_path):
    folder = write_run(tmp_path / "run", samples())
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "schema": 99}))
    done = export(folder)
    assert done.returncode == 2
    assert "schema 99" in done.stderr


def test_a_full_disk_leaves_the_old_file_whole(tmp_path):
    folder = write_run(tmp_path / "run", samples(response="It is \\boxed{7}. " + "word " * 4000))
    (tmp_path / "train.jsonl").write_text("the old file\n")
    command = [
        *(sys.executable, str(ROOT / "convert_to_data.py"), "--input_dir", str(folder), "--force"),
        *("--max-repetition", "1"),
        *("--output", str(tmp_path / "train.jsonl"), "--decontaminate", "none"),
    ]

    def small_files_only():
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    done = subprocess.run(command, preexec_fn=small_files_only, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert (tmp_path / "train.jsonl").read_text() == "the old file\n"
    assert not list(tmp_path.glob(".train*"))


def test_a_disk_that_fills_up_at_the_card_leaves_nothing_half_done(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run", samples())
    full = os.fsync

    def fill_up_at_the_picture(file):
        if "lengths" in os.readlink(f"/proc/self/fd/{file}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        full(file)

    flags = ["--input_dir", str(folder), "--output", str(tmp_path / "train.json"), "--decontaminate", "none"]
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fill_up_at_the_picture)
        with pytest.raises(DiskTrouble, match="is full"):
            convert_to_data.run(convert_to_data.parse(flags))
        assert {path.name for path in tmp_path.iterdir()} == {"run"}
    assert convert_to_data.run(convert_to_data.parse(flags)) == 0


def test_a_card_of_another_file_is_not_replaced_unasked(tmp_path):
    folder = write_run(tmp_path / "run", samples())
    rows(folder, output="train.jsonl")
    done = export(folder, output="train.json")
    assert done.returncode == 2
    assert "train.card.json is of train.jsonl" in done.stderr
    assert not (tmp_path / "train.json").exists()


@pytest.mark.parametrize("content", ["[]", "{"])
def test_a_damaged_dataset_info_is_named_before_any_work(tmp_path, content):
    (tmp_path / "dataset_info.json").write_text(content)
    done = export(write_run(tmp_path / "run", samples()), "--format", "llamafactory")
    assert done.returncode == 2
    assert re.search(r"dataset_info\.json is not (JSON|a JSON object)", done.stderr)
    assert not (tmp_path / "train.jsonl").exists()


def test_passages_of_an_earlier_export_do_not_stay(tmp_path):
    line = (ROOT / "tasks" / "warmup.jsonl").read_text().splitlines()[0]
    copied = PaperSample("copied", json.loads(line)["question"])
    folder = write_run(tmp_path / "run", [*samples(), copied])
    rows(folder, "--decontaminate", "Warmup")
    assert (tmp_path / "train.contaminated.jsonl").exists()
    rows(folder, "--force")
    assert not (tmp_path / "train.contaminated.jsonl").exists()


def test_what_a_killed_export_left_is_no_hindrance(tmp_path):
    folder = write_run(tmp_path / "run", samples())
    whole = rows(folder, output="whole.jsonl")
    (tmp_path / ".train.jsonl.part").write_text("half a line of a killed")
    assert rows(folder) == whole
    assert not (tmp_path / ".train.jsonl.part").exists()


def test_the_card_says_where_the_rows_are_from(tmp_path):
    rows(write_run(tmp_path / "run", samples(about={"source": "math"})))
    card = (tmp_path / "train.card.md").read_text()
    for told in (
        "| graded correct | 3 |",
        "| math | 3 |",
        "| org/name | train | abc | MIT | paper | 3 |",
        f"SHA-256 of the file: `{hashlib.sha256((tmp_path / 'train.jsonl').read_bytes()).hexdigest()}`",
    ):
        assert told in card
    assert (tmp_path / "train.lengths.svg").read_text().startswith("<svg")


def test_the_card_names_no_source_that_gave_no_row(tmp_path):
    write_run(tmp_path / "runs" / "one", samples(), model="first")
    write_run(tmp_path / "runs" / "two", samples(correct=False), model="second")
    extra = tmp_path / "extra.jsonl"
    extra.write_text(json.dumps({"question": QUESTIONS["a"], "combined_text": "a duplicate"}) + "\n")
    rows(tmp_path / "runs", "--extra", extra)
    table = (tmp_path / "train.card.md").read_text().partition("questions are from")[2].partition("##")[0]
    assert "| first | 3 |" in table and "second" not in table and "extra" not in table


def test_the_funnel_can_be_shown_in_a_report(tmp_path):
    rows(write_run(tmp_path / "run", samples()))
    (counts,) = read_counts([tmp_path / "train.card.json"])
    ((title, funnel),) = counts.items()
    assert "train.jsonl" in title and funnel["graded correct"] == 3 and "final" in funnel


EXAMPLE = Example(
    system="S",
    prompt="P",
    response="R",
    question="Q",
    answer="7",
    data_source="org/name",
    source="math",
    subject="",
    difficulty="4",
    task="NUMINA",
    model="paper",
    sample_id="run/a/0.7/0",
    tokens=3,
)


def write_examples(path, name, number=3):
    with ExampleFile(path, name) as file:
        for _ in range(number):
            file.write(EXAMPLE)
        file.finish()
        file.commit()


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "verl-sft"])
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_every_row_says_where_it_is_from(tmp_path, name, suffix):
    path = tmp_path / f"train{suffix}"
    write_examples(path, name)
    found = json.loads(path.read_text()) if suffix == ".json" else json_lines(path)
    assert len(found) == 3
    assert {name: found[0][name] for name in EXAMPLE.about()} == EXAMPLE.about()


def test_the_fields_are_those_that_the_trainers_read():
    system = {"role": "system", "content": "S"}
    user, assistant = {"role": "user", "content": "P"}, {"role": "assistant", "content": "R"}
    assert FORMATS["messages"](EXAMPLE)["messages"] == [system, user, assistant]
    trl = FORMATS["trl-sft"](EXAMPLE)
    assert (trl["prompt"], trl["completion"]) == ([system, user], [assistant])
    alpaca = FORMATS["alpaca"](EXAMPLE)
    assert [alpaca[name] for name in ("instruction", "input", "output", "system")] == ["P", "", "R", "S"]
    assert FORMATS["verl-sft"](EXAMPLE)["messages"] == [system, user, assistant]


def test_parquet_is_read_back(tmp_path):
    import pyarrow.parquet

    path = tmp_path / "train.parquet"
    write_examples(path, "verl-sft", number=2500)
    table = pyarrow.parquet.read_table(path)
    assert table.num_rows == 2500
    assert table.to_pylist()[-1] == FORMATS["verl-sft"](EXAMPLE)


def test_llama_factory_finds_the_file_by_its_entry(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    found = rows(write_run(tmp_path / "run", samples()), "--format", "llamafactory")
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert set(info) == {"mine", "train"}
    entry = info["train"]
    tags, turns = entry["tags"], found[0][entry["columns"]["messages"]]
    assert entry["file_name"] == "train.jsonl"
    assert [turn[tags["role_tag"]] for turn in turns] == [tags["user_tag"], tags["assistant_tag"]]
    assert isinstance(found[0][entry["columns"]["system"]], str)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as an upload needs; keeps what is committed."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        server = self.server
        server.asked.append(self.path)
        if self.path.endswith("/api/repos/create"):
            server.created = json.loads(body)
        if "/preupload/" in self.path:
            files = [{**file, "uploadMode": "regular"} for file in json.loads(body)["files"]]
            return self.reply({"files": [{**file, "shouldIgnore": False} for file in files]})
        if "/commit/" in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    content = base64.b64decode(entry["value"]["content"])
                    server.files[entry["value"]["path"]] = content
        at = f"http://127.0.0.1:{server.server_port}/datasets/org/set"
        self.reply({"url": at, "commitUrl": f"{at}/commit/1", "commitOid": "1" * 40})

    def do_GET(self):
        self.reply({"id": "org/set", "private": not self.server.public, "tags": []})

    def reply(self, content):
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_file_and_card_are_uploaded_in_one_commit(tmp_path):
    folder = write_run(tmp_path / "run", samples())
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        hub.asked, hub.files = [], {}
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        flags = ("--input_dir", folder, "--output", tmp_path / "train.json", "--decontaminate", "none")
        done = own_process(
            "convert_to_data.py",
            *(*flags, "--format", "llamafactory", "--push-to-hub", "org/set"),
            HF_ENDPOINT=f"http://127.0.0.1:{hub.server_port}",
            HF_TOKEN="hf_made_up",
            HF_HUB_OFFLINE="0",
        )
        hub.shutdown()
    assert done.returncode == 0, done.stderr
    assert "UPLOADING train.json, train.card.md" in done.stderr and "stays public" in done.stderr
    assert hub.created["visibility"] == "private"
    assert sum("/commit/" in path for path in hub.asked) == 1
    assert set(hub.files) == {"train.json", "README.md", "train.lengths.svg", "dataset_info.json"}
    assert hub.files["train.json"] == (tmp_path / "train.json").read_bytes()
    assert b'data_files: "train.json"' in hub.files["README.md"]
    assert (tmp_path / "train.card.md").read_bytes() in hub.files["README.md"]


@pytest.mark.parametrize(("public", "by_extra"), [(True, False), (True, True), (False, False)])
def test_questions_that_may_not_be_published_go_to_no_public_set(tmp_path, public, by_extra):
    folder = write_run(tmp_path / "run", samples(), task="NUMINA" if by_extra else "GPQADiamond")
    name = "GPQAExtended" if by_extra else "GPQADiamond"
    extra = {"task": name, "question": "Which particle is it?", "combined_text": AS_TAGS}
    flags = ("--extra", extra_file(tmp_path, extra)) if by_extra else ()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        hub.asked, hub.files, hub.public = [], {}, public
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        done = own_process(
            "convert_to_data.py",
            *("--input_dir", folder, "--output", tmp_path / "train.json", "--decontaminate", "none"),
            *(*flags, "--push-to-hub", "org/set"),
            HF_ENDPOINT=f"http://127.0.0.1:{hub.server_port}",
            HF_TOKEN="hf_made_up",
            HF_HUB_OFFLINE="0",
        )
        hub.shutdown()
    assert done.returncode == (2 if public else 0), done.stderr
    assert (f"org/set is public, and the authors of {name} ask" in done.stderr) == public
    assert bool(hub.files) == (not public) and (tmp_path / "train.json").exists()


def test_a_hub_that_is_away_takes_nothing_of_the_files(tmp_path):
    folder = write_run(tmp_path / "run", samples())
    away = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_made_up", "HF_HUB_OFFLINE": "0"}
    flags = ("--input_dir", folder, "--output", tmp_path / "train.json", "--decontaminate", "none")
    done = own_process("convert_to_data.py", *flags, "--push-to-hub", "org/set", **away)
    assert done.returncode == 1
    assert "org/set could not be filled" in done.stderr
    assert len(json.loads((tmp_path / "train.json").read_text())) == 3


def test_half_a_character_does_not_spoil_the_file(tmp_path):
    for name in FORMATS:
        with ExampleFile(tmp_path / f"train.{'parquet' if name == 'verl-sft' else 'json'}", name) as file:
            file.write(replace(EXAMPLE, response="smile \ud83d"))
            file.finish()
            file.commit()
    (found,) = json.loads((tmp_path / "train.json").read_text())
    assert found["conversations"][1]["value"] == "smile \ufffd"


@pytest.mark.parametrize("name", FORMATS)
def test_datasets_loads_what_we_export(tmp_path, name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    kind = "parquet" if name == "verl-sft" else "json"
    path = tmp_path / f"train.{kind}"
    write_examples(path, name)
    loaded = datasets.load_dataset(
        kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded.num_rows == 3
    assert loaded[0] == FORMATS[name](EXAMPLE)


# --- the form of the thought ---

THOUGHT, SOLUTION = (
    "I add three and four.",
    "Three and four are counted together, which makes \\boxed{7} now.",
)
AS_TAGS = f"<think>\n{THOUGHT}\n</think>\n\n{SOLUTION}"
AS_MARKERS = join_parts(THOUGHT, SOLUTION)
MARKED_OTHERWISE = (
    AS_TAGS,
    AS_MARKERS,
    f"{THOUGHT}\n</think>\n{SOLUTION}<|im_end|>",
    f"<thinking>{THOUGHT}</thinking>{SOLUTION}",
    f"<seed:think>\n{THOUGHT}</seed:think>\n{SOLUTION}",
    f"[THINK]{THOUGHT}[/THINK]{SOLUTION}",
    f"<reasoning>\n{THOUGHT}\n</reasoning>\n{SOLUTION}",
    f"◁think▷{THOUGHT}◁/think▷{SOLUTION}",
    f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{SOLUTION}<|return|>",
)
FORMS = {
    "think": (AS_TAGS, None),
    "markers": (AS_MARKERS, None),
    "field": (SOLUTION, THOUGHT),
    "none": (SOLUTION, None),
}


def extra_file(folder, *lines):
    path = folder / "extra.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def replies(found):
    return {(row["messages"][-1]["content"], row["messages"][-1].get("reasoning_content")) for row in found}


@pytest.mark.parametrize("form", FORMS)
def test_every_thought_of_a_file_has_one_form_whatever_it_came_in(tmp_path, form):
    own = [
        PaperSample(f"p{n}", f"Question {n}?", text=text, formatted=False)
        for n, text in enumerate(MARKED_OTHERWISE)
    ]
    own += [
        PaperSample("apart", "Question a?", text=SOLUTION, reasoning=THOUGHT, formatted=False),
        PaperSample(
            "both", "Question b?", text=f"<think>\n\n</think>\n{SOLUTION}", reasoning=THOUGHT, formatted=False
        ),
    ]
    extra = [
        {"messages": [{"role": "user", "content": f"Extra {n}?"}, {"role": "assistant", "content": text}]}
        for n, text in enumerate(MARKED_OTHERWISE)
    ]
    apart = [
        {"content": SOLUTION, "reasoning_content": THOUGHT},
        {"content": SOLUTION, "reasoning": THOUGHT},
        {"content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": SOLUTION}]},
    ]
    extra += [
        {"messages": [{"role": "user", "content": f"Apart {n}?"}, {"role": "assistant", **reply}]}
        for n, reply in enumerate(apart)
    ]
    folder = write_run(tmp_path / "run", own)
    flags = ("--thought", form, "--format", "messages", "--extra", extra_file(tmp_path, *extra))
    done = export(folder, *flags)
    found = json_lines(tmp_path / "train.jsonl")
    assert len(found) == len(own) + len(extra), done.stderr
    assert replies(found) == {FORMS[form]}
    assert all(row["messages"][0]["role"] == ("system" if form == "markers" else "user") for row in found)
    said = f"{len(found)} rows are written without the thought"
    assert (said in done.stderr) == (form == "none")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"<think>\n{THOUGHT}", "the thought is not closed"),
        (f"<think>{THOUGHT}</think>", "nothing after the thought"),
        (f"{AS_MARKERS}\n\nNext problem: what is 2 + 2?", "text after the end of the solution"),
        (f"I think about it. {SOLUTION}", "no thought"),
    ],
)
def test_a_response_without_thought_and_solution_is_left_out_and_counted(tmp_path, text, why):
    odd = PaperSample("odd", "What now?", text=text, formatted=False)
    done = export(write_run(tmp_path / "run", [*samples(), odd]))
    assert last_line(done)["rows"] == 3
    assert f"1 correct sample was left out: {why}" in done.stderr
    reply = {"question": "What now?", "combined_text": text}
    done = export(tmp_path / "run", "--extra", extra_file(tmp_path, reply), "--force")
    assert f"1 extra row was left out: {why}" in done.stderr


def test_the_system_message_asks_for_the_form_that_the_rows_have(tmp_path):
    ours = "system_thought"
    wants = {
        "think": "Think between <think> and </think>.",
        "markers": "Between <|begin_of_thought|> and so on.",
    }
    plain = "Be brief."

    def systems(sent, *flags):
        folder = write_run(tmp_path / f"run{len(list(tmp_path.iterdir()))}" / "r", samples(), system=sent)
        found = rows(folder, *flags, "--format", "messages", "--force")
        forms = {"think" if "<think>" in reply else "markers" for reply, _ in replies(found)}
        return forms.pop(), {
            row["messages"][0]["content"][:30] for row in found if row["messages"][0]["role"] == "system"
        }

    assert systems(None) == ("think", set())
    assert systems(plain) == ("think", set())
    assert systems(wants["think"]) == ("think", {wants["think"][:30]})
    assert systems(wants["markers"]) == ("markers", {wants["markers"][:30]})
    assert systems(wants["markers"], "--thought", "think") == ("think", set())
    assert systems(wants["think"], "--thought", "markers")[1] == {"You are a careful assistant who"[:30]}
    assert systems(None, "--system-prompt", ours) == ("markers", {"You are a careful assistant who"[:30]})
    assert systems(wants["markers"], "--system-prompt", "none") == ("markers", set())


@pytest.mark.parametrize("form", ["think", "field", "none"])
def test_a_system_message_that_asks_for_another_form_is_refused(tmp_path, form):
    flags = ("--format", "messages", "--system-prompt", "system_thought", "--thought", form)
    done = export(write_run(tmp_path / "run", samples()), *flags)
    assert (done.returncode, f"--thought {form} does not write that" in done.stderr) == (2, True), done.stderr


def test_an_extra_row_loses_a_system_message_that_asks_for_another_form(tmp_path):
    lines = [
        {"system": system, "question": f"What is it, {system}?", "combined_text": AS_MARKERS}
        for system in ("Write <|begin_of_thought|> first.", "Use <reasoning> tags.", "Be brief.")
    ]
    done = export(write_run(tmp_path / "run", samples()), "--extra", extra_file(tmp_path, *lines))
    assert {row["system"] for row in json_lines(tmp_path / "train.jsonl")} == {"", "Be brief."}
    assert "2 extra rows asked for another form of thought in their system message" in done.stderr


@pytest.mark.parametrize("name", ["sharegpt", "llamafactory", "alpaca"])
def test_a_format_without_messages_has_no_field_for_a_thought(tmp_path, name):
    done = export(write_run(tmp_path / "run", samples()), "--thought", "field", "--format", name)
    assert (done.returncode, "choose messages, trl-sft" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("share", "natural", "expected"),
    [("0.2", 0, (8, 2)), ("0.5", 2, (6, 6)), ("0.2", 8, (10, 2)), ("0", 3, (10, 0)), ("1", 1, (0, 11))],
)
def test_a_share_of_the_rows_is_plain_on_request(tmp_path, share, natural, expected):
    own = [PaperSample(f"p{n}", f"Question {n}?") for n in range(10)]
    own += [
        PaperSample(f"n{n}", f"Other question {n}?", text=SOLUTION, formatted=False) for n in range(natural)
    ]
    folder = write_run(tmp_path / "run", own, system="Think between <think> and </think>.")
    found = rows(folder, "--plain-share", share, "--format", "messages", "--dedup", "none")
    thinking = [row for row in found if "<think>" in row["messages"][-1]["content"]]
    assert (len(thinking), len(found) - len(thinking)) == expected
    assert all((row["messages"][0]["role"] == "system") == (row in thinking) for row in found)
    assert found == rows(folder, "--plain-share", share, "--format", "messages", "--dedup", "none", "--force")


def test_plain_rows_beyond_their_share_take_no_place_from_others(tmp_path):
    own = [PaperSample(f"p{n}", f"Question {n}?") for n in range(60)]
    own += [PaperSample(f"n{n}", f"Other {n}?", text=SOLUTION, formatted=False) for n in range(300)]
    done = export(
        write_run(tmp_path / "run", own), "--plain-share", "0.1", "--max-rows", "50", "--dedup", "none"
    )
    assert last_line(done)["rows"] >= 45, done.stderr


def test_plain_rows_come_in_when_asked_for_by_the_older_flag_too(tmp_path):
    plain = PaperSample("plain", "What now?", text=SOLUTION, formatted=False)
    folder = write_run(tmp_path / "run", [*samples(), plain])
    done = export(folder, "--include-unformatted")
    assert last_line(done)["rows"] == 4
    assert "1 row has no thought, as their response had none" in done.stderr


# --- the order of steps ---


def test_an_export_before_the_check_of_formatted_texts_says_what_is_missing(tmp_path):
    folder = write_run(tmp_path / "run", [*samples(correct=None), PaperSample("judged", "One?")])
    for flags in ((), ("--include-unformatted",)):
        done = export(folder, *flags)
        assert done.returncode == 2
        assert f"3 of 4 samples in {folder} wait for a verdict" in done.stderr
        assert "(3 have a formatted text that was never judged)" in done.stderr and "--check" in done.stderr
        assert not (tmp_path / "train.jsonl").exists()
    assert [row["sample_id"] for row in rows(folder, "--include-unjudged")] == ["run/judged/0.7/0"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"correct": False}, "3 have a wrong answer"),
        ({"correct": None}, "3 have no verdict on their current text"),
        ({"correct": False, "reason": "undecided"}, "3 have an undecided verdict"),
        ({"correct": False, "reason": "no_tests"}, "3 have a verdict that judges nothing (no_tests)"),
    ],
)
def test_no_correct_sample_is_an_error_that_says_what_they_are(tmp_path, changes, told):
    done = export(write_run(tmp_path / "run", samples(**changes)), "--include-unjudged")
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


# --- extra rows of other people ---


def test_extra_rows_that_are_no_examples_are_set_aside_and_told(tmp_path):
    user, reply = {"role": "user", "content": "What is it?"}, {"role": "assistant", "content": AS_TAGS}
    bad = [
        {"text": "hello"},
        {"messages": [user, reply, user, reply]},
        {"messages": [user, {"role": "tool", "content": "7"}, reply]},
        {"messages": "none"},
        {"messages": [user, {"role": "assistant", "content": None}]},
        {"conversations": [{"from": "observation", "value": "x"}]},
    ]
    extra = extra_file(tmp_path, *bad, {"messages": [user, reply]}, bad[0])
    with open(extra, "a") as file:
        file.write("torn {\n")
    done = export(write_run(tmp_path / "run", samples()), "--extra", extra)
    assert last_line(done)["funnel"]["with extra rows"] == 4
    told = "8 rows of extra.jsonl were set aside: line 1 has the fields text (2), line 2 has 2 user and 2 "
    assert told in done.stderr and told in (tmp_path / "train.card.md").read_text()
    assert "others (2)" in done.stderr


PICTURE = {"type": "image_url", "image_url": {"url": "x"}}
BEYOND_TEXT = [
    ({"instruction": "And now?", "output": AS_TAGS, "history": [["Hello", "Hi"]]}, "history"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]}]},
        "image_url",
    ),
    ({"conversations": [{"from": "human", "value": "What is it?"}], "images": ["a.png"]}, "images"),
    ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}]}, "tool_calls"),
]


@pytest.mark.parametrize(("row", "what"), BEYOND_TEXT)
def test_an_extra_row_that_says_more_than_a_text_can_is_set_aside(tmp_path, row, what):
    (tmp_path / "extra.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match=f"line 1 has more than one question and one answer in text: {what}"):
        list(read_extra(tmp_path / "extra.jsonl"))


def test_extra_rows_that_say_that_they_are_wrong_are_set_aside(tmp_path):
    turns = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": AS_TAGS}]
    wrong = [
        {"correct": False},
        {"verdict": "wrong"},
        {"correct": "False"},
        {"is_correct": 0},
        {"label": False},
    ]
    right = [{"correct": True}, {"verdict": ["x"]}, {"correct": "0"}, {"label": "0"}, {"verdict": "none"}]
    extra = extra_file(tmp_path, *({"messages": turns, **one} for one in (*wrong, *right)))
    done = export(write_run(tmp_path / "run", samples()), "--extra", extra, "--dedup", "none")
    assert last_line(done)["funnel"]["with extra rows"] == 3 + len(right)
    assert "line 1 says that it is wrong (5)" in done.stderr


def test_extra_rows_that_were_cut_off_or_end_with_the_user_are_set_aside(tmp_path):
    turns = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": AS_TAGS}]
    cut = [{"messages": turns, "finish_reason": reason} for reason in ("length", "content_filter")]
    extra = extra_file(
        tmp_path, *cut, {"messages": turns[::-1]}, {"messages": turns, "finish_reason": "stop"}
    )
    done = export(write_run(tmp_path / "run", samples()), "--extra", extra, "--dedup", "none")
    assert last_line(done)["funnel"]["with extra rows"] == 4
    told = " ".join(done.stderr.split())
    for why in ("finish_reason length (1)", "finish_reason content_filter (1)", "assistant's turn (1)"):
        assert why in told


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "verl-sft"])
def test_rows_of_each_format_can_be_mixed_in_again(tmp_path, name):
    folder = write_run(tmp_path / "run", samples(about={"source": "math"}))
    first = rows(folder, "--format", name, output="first.jsonl")
    other = write_run(tmp_path / "other", [PaperSample("new", "Where does the river end?")])
    flags = ("--extra", tmp_path / "first.jsonl", "--dedup", "none", "--format", name)
    found = rows(other, *flags)
    assert len(found) == 4 and all(row in found for row in first)


# --- filters ---

LONGER = "All seven of them are counted once more, one after the other."


def draft(thought=THOUGHT, solution=f"{LONGER} \\boxed{{7}}", prompt="How many?", text=None):
    text = f"<think>\n{thought}\n</think>\n\n{solution}" if text is None else text
    answer = read_answer(text)
    assert isinstance(answer, Answer), answer
    return Draft(prompt, text, answer)


def failed(one, **limits):
    return [name for name, kind in FILTERS.items() if not kind.passes(one, Limits(**limits))]


@pytest.mark.parametrize(
    ("solution", "is_short"),
    [
        ("\\boxed{7}", True),
        ("So the answer is \\boxed{7}.", True),
        ("one two three four five six seven eight nine", True),
        ("one two three four five six seven eight nine ten", False),
        ("答案是" + "一" * 16, True),
        ("答案是" + "一" * 17, False),
        ("답은 칠이다.", True),
        ("先数三个再数四个合起来一共是 \\boxed{7} and so on here", False),
    ],
)
def test_a_solution_has_ten_words_or_twenty_characters_of_chinese(solution, is_short):
    one = draft(thought="我想。" if solution[0] > "z" else THOUGHT, solution=solution, prompt="多少 몇 개?")
    assert ("short" in failed(one)) == is_short
    assert "short" not in failed(one, min_solution_words=0)


@pytest.mark.parametrize(
    ("thought", "solution", "differ"),
    [
        ("So \\boxed{7}.", "\\boxed{8}", True),
        ("So \\boxed{7}.", "\\boxed{7}", False),
        ("First \\boxed{8}, no, \\boxed{7}.", "\\boxed{7.0}", False),
        ("So \\boxed{0.5}.", "\\boxed{\\frac12}", False),
        ("So \\boxed{2} and \\boxed{3}.", "\\boxed{2, 3}", False),
        ("So \\boxed{B}.", "\\boxed{\\text{B}}", False),
        ("So \\boxed{B}.", "\\boxed{C}", True),
        ("It is 8.", "\\boxed{7}", False),
        ("So \\boxed{7}.", "It is 8.", False),
        ("So \\boxed{x+1}.", "\\boxed{x+2}", True),
        ("So \\boxed{x = 4}.", "\\boxed{4}", False),
    ],
)
def test_the_boxes_of_thought_and_solution_agree(thought, solution, differ):
    assert ("boxes" in failed(draft(thought, f"{LONGER} {solution}"))) == differ


@pytest.mark.parametrize(
    ("text", "several"),
    [
        (AS_TAGS, False),
        (AS_MARKERS, False),
        (f"<think>\n<think>\n{THOUGHT}</think>{SOLUTION}", False),
        (f"<think>\n\n</think>\n<think>{THOUGHT}</think>{SOLUTION}", False),
        (f"{THOUGHT}</think>{SOLUTION}", False),
        (MARKED_OTHERWISE[-1], False),
        (f"<think>{THOUGHT}</think> Hm. <think>{THOUGHT}</think>{SOLUTION}", True),
        (f"<think>{THOUGHT}</think> Hm. </think>{SOLUTION}", True),
        (f"<think>{THOUGHT} <think> Again. </think>{SOLUTION}", True),
        (f"<reasoning>{THOUGHT}</reasoning> Hm. [THINK]{THOUGHT}[/THINK]{SOLUTION}", True),
    ],
)
def test_a_response_that_thinks_several_times_is_filtered(text, several):
    assert ("tags" in failed(draft(text=text))) == several


ENGLISH = "We count three apples and then four apples more, so that there are seven of them in the end."
CHINESE = "我们先数三个苹果，再数四个苹果，把它们加在一起，所以最后一共有七个苹果。"


@pytest.mark.parametrize(
    ("prompt", "thought", "solution", "mixed"),
    [
        ("How many?", ENGLISH, LONGER, False),
        ("How many?", f"{ENGLISH} 所以再算一次。", LONGER, True),
        ("How many?", f"{ENGLISH} Значит семь.", LONGER, True),
        ("How many?", f"{ENGLISH} いくつ", LONGER, True),
        ("How many?", f"{ENGLISH} يساوي سبعة", LONGER, True),
        ("How many?", f"{ENGLISH} With α and ℵ, naïve café, – “so” … ≤ 7 ✓", LONGER, False),
        ("What is 苹果 in English?", f"{ENGLISH} 苹果 is apple.", LONGER, False),
        ("一共有多少个苹果?", CHINESE, CHINESE, False),
        ("一共有多少个苹果?", f"{CHINESE} $x_{{total}} = \\text{{apples}}$", CHINESE, False),
        ("一共有多少个苹果?", ENGLISH, CHINESE, True),
        (
            "一共有多少个苹果?",
            CHINESE,
            f"{CHINESE}\n```python\nprint(sum(apples), apples)\n```",
            False,
        ),
        ("一共有多少个苹果?", CHINESE, "\\boxed{7}", False),
        ("몇 개입니까?", "우리는 사과를 세어 봅니다. 所以七个。", "모두 일곱 개입니다.", True),
    ],
)
def test_a_response_in_mixed_languages_is_filtered(prompt, thought, solution, mixed):
    assert ("language" in failed(draft(thought, solution, prompt))) == mixed


@pytest.mark.parametrize(
    ("thought", "repeats"),
    [
        (" ".join(map(str, range(300))), False),
        (" ".join(map(str, range(300))) + " ".join(map(str, range(100))), False),
        ("Wait, let me check that once more. " * 60, True),
        ("等等，让我再核对一遍这个式子。" * 30, True),
        (ENGLISH, False),
    ],
)
def test_a_response_that_repeats_itself_is_filtered(thought, repeats):
    one = draft(thought, LONGER, "多少?")
    assert ("repetition" in failed(one)) == repeats
    assert "repetition" not in failed(one, max_repetition=1)


BAD = {
    "short": PaperSample("short", "One?", response="So \\boxed{7}."),
    "tags": PaperSample(
        "tags", "Two?", text=f"<think>{THOUGHT}</think>Hm.<think>Yes.</think>{SOLUTION}", formatted=False
    ),
    "next": PaperSample(
        "next", "Six?", response=f"{SOLUTION}\n\nQuestion 2: How many is 3 + 4?\n\\boxed{{9}}"
    ),
    "boxes": PaperSample("boxes", "Three?", text=f"<think>\\boxed{{8}}</think>{SOLUTION}", formatted=False),
    "language": PaperSample("language", "Four?", response=f"{LONGER} 所以是七。"),
    "repetition": PaperSample("repetition", "Five?", response=f"{LONGER} " * 20),
}


def test_each_filter_is_counted_in_funnel_and_card_and_can_be_switched_off(tmp_path):
    folder = write_run(tmp_path / "run", [*samples(), *BAD.values()])
    done = export(folder, "--dedup", "none")
    funnel = last_line(done)["funnel"]
    assert [funnel[one.stage] for one in FILTERS.values()] == [8, 7, 6, 5, 4, 3]
    card = (tmp_path / "train.card.md").read_text()
    for one in FILTERS.values():
        assert f"1 correct sample was left out: {one.against}" in done.stderr and f"{one.against}\n" in card
    assert json.loads((tmp_path / "train.card.json").read_text())["filtered"] == dict.fromkeys(BAD, 1)
    for name in BAD:
        found = rows(folder, "--dedup", "none", "--no-filter", name, "--force")
        assert {row["sample_id"].split("/")[1] for row in found} == {*QUESTIONS, name}
    assert len(rows(folder, "--dedup", "none", "--no-filter", *BAD, "--force")) == 9


TWICE = f"<think>{THOUGHT}</think>Hm.<think>{THOUGHT}</think>{SOLUTION}"


@pytest.mark.parametrize(
    ("sample", "several"),
    [
        ({"text": TWICE}, True),
        ({"text": f"<think>{THOUGHT}</think>{SOLUTION}", "reasoning": THOUGHT}, True),
        ({"text": f"<think>{THOUGHT}</think>{SOLUTION}"}, False),
        ({"text": f"<think>\n</think>{SOLUTION}", "reasoning": THOUGHT}, False),
        ({}, False),
    ],
)
def test_several_thoughts_of_which_formatting_made_one_are_filtered(tmp_path, sample, several):
    folder = write_run(tmp_path / "run", [*samples(), PaperSample("new", "One?", **sample)])
    found = {row["sample_id"].split("/")[1] for row in rows(folder, "--dedup", "none")}
    assert found == {*QUESTIONS} | ({"new"} if not several else set())
    found = rows(folder, "--dedup", "none", "--no-filter", "tags", "--force")
    assert len(found) == 4


def test_the_filters_hold_for_extra_rows_too(tmp_path):
    texts = [sample.text or join_parts(THOUGHT, sample.response) for sample in BAD.values()]
    lines = [{"question": f"Extra {n}?", "combined_text": text} for n, text in enumerate((*texts, AS_TAGS))]
    done = export(write_run(tmp_path / "run", samples()), "--extra", extra_file(tmp_path, *lines))
    assert last_line(done)["funnel"]["with extra rows"] == 4
    for one in FILTERS.values():
        assert f"1 extra row was left out: {one.against}" in done.stderr


def test_the_card_says_by_which_rules_thought_and_solution_are_known(tmp_path):
    tagged = PaperSample("tagged", "One?", text=AS_TAGS, formatted=False)
    plain = PaperSample("plain", "Two?", text=SOLUTION, formatted=False)
    rows(write_run(tmp_path / "run", [*samples(), tagged, plain]), "--include-unformatted")
    table = (tmp_path / "train.card.md").read_text().partition("## Rows by rule")[2].partition("##")[0]
    for line in (
        "| rule: paper | 3 | 60.0% |",
        "| marks in the text | 1 | 20.0% |",
        "| no thought | 1 | 20.0% |",
    ):
        assert line in table


# --- choosing ---


def test_several_answers_that_differ_most_are_kept_on_request(tmp_path):
    same = [f"{THOUGHT} {ENGLISH} Number {number} of these." for number in range(6)]
    others = [
        LONGER * 2 + " I draw a picture of it first.",
        "Let us go backwards from seven to nothing at all here.",
    ]
    texts = [f"<think>{thought}</think>{SOLUTION}" for thought in (*same, *others)]
    own = [PaperSample("p", "One?", text=text, index=at, formatted=False) for at, text in enumerate(texts)]
    folder = write_run(tmp_path / "run", own)
    for seed in range(4):
        found = rows(
            folder, "--keep", "3", "--spread", "--no-filter", "repetition", "--seed", seed, "--force"
        )
        assert {"6", "7"} < {row["sample_id"].rsplit("/", 1)[1] for row in found} and len(found) == 3
    assert len(rows(folder, "--keep", "20", "--spread", "--force")) == 8


@pytest.mark.parametrize(
    ("mix", "kept"),
    [
        (Mix(), [0, 1, 2, 3, 4, 5]),
        (Mix(weights={"a": 0.5}), [0, 1, 4, 5]),
        (Mix(weights={"a": 0, "b": 1.5}), [4, 4, 5]),
        (Mix(weights={"b": 2}), [0, 1, 2, 3, 4, 4, 5, 5]),
        (Mix(max_rows=2), [0, 1]),
        (Mix(token_budget=35), [0, 1, 2]),
        (Mix(token_budget=5), []),
        (Mix(max_per_source=1), [0, 4]),
        (Mix(max_per_source=3, weights={"b": 2}), [0, 1, 2, 4, 4, 5]),
        (Mix(max_rows=4, max_per_source=2), [0, 1, 4, 5]),
        (Mix(max_rows=3, balance_lengths=True), [0, 3, 4]),
        (Mix(token_budget=1125, balance_lengths=True), [0, 1, 3, 4]),
    ],
)
def test_rows_are_drawn_by_source_and_size(mix, kept):
    sources = [Source("t", name) for name in "aaaabb"]
    assert drawn(sources, [10, 10, 10, 100, 1000, 1000], mix) == kept


def test_weights_and_budgets_are_a_stage_of_the_funnel(tmp_path):
    own = [PaperSample(f"p{n}", f"Question {n}?", about={"source": "ab"[n % 2]}) for n in range(8)]
    folder = write_run(tmp_path / "run", own)
    done = export(folder, "--weights", "a=0.5", "b=2", "--dedup", "none")
    assert last_line(done)["funnel"]["drawn"] == last_line(done)["rows"] == 10
    assert len(rows(folder, "--token-budget", "35", "--dedup", "none", "--force")) == 3
    done = export(folder, "--weights", "c=1", "--force")
    assert (done.returncode, "the rows are from: a, b" in done.stderr) == (2, True), done.stderr
    assert export(folder, "--token-budget", "5", "--force").returncode == 2


@pytest.mark.parametrize(
    ("flags", "told"),
    [(("--spread",), "give --keep K"), (("--balance-lengths",), "give --max-rows or --token-budget")],
)
def test_flags_of_choosing_that_choose_nothing_are_refused(tmp_path, flags, told):
    done = export(write_run(tmp_path / "run", samples()), *flags)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_unverified_samples_come_in_on_request_and_say_what_was_judged(tmp_path):
    own = [
        *samples(),
        PaperSample("wrong", "One?", correct=False),
        PaperSample("open", "Two?", correct=False, reason="undecided", cause="two candidates"),
        PaperSample("waiting", "Three?", correct=None),
        PaperSample("no tests", "Four?", correct=False, reason="no_tests"),
    ]
    folder = write_run(tmp_path / "run", own)

    def verdicts(*flags):
        found = rows(folder, *flags, "--force")
        return {row["sample_id"].split("/")[1]: row["verdict"] for row in found}

    correct = dict.fromkeys("abc", "correct")
    assert verdicts("--include-unjudged") == correct
    assert verdicts("--include-unjudged", "--no-filter", "undecided") == correct | {"open": "undecided"}
    unverified = {"open": "undecided", "waiting": "none", "no tests": "none"}
    assert verdicts("--unverified") == correct | unverified
    assert "| none | 2 | 33.3% |" in (tmp_path / "train.card.md").read_text()


@pytest.mark.parametrize(
    ("flags", "stage"),
    [
        ((), "graded correct"),
        (("--no-filter", "undecided"), "graded correct or undecided"),
        (("--unverified",), "graded correct, undecided or not judged"),
        (
            ("--majority", "0.5", "--unverified"),
            "graded correct, undecided, not judged or without a reference",
        ),
        (("--majority", "0.5"), "graded correct or without a reference"),
    ],
)
def test_the_funnel_names_its_stage_by_what_may_pass_it(tmp_path, flags, stage):
    own = [*samples(), *voters("half", "0.5", "1/2")]
    done = export(write_run(tmp_path / "run", own), "--include-unjudged", *flags)
    assert list(last_line(done)["funnel"])[1] == stage
    assert f"| {stage} | " in (tmp_path / "train.card.md").read_text()


def test_a_text_that_was_formatted_after_grading_is_no_unjudged_one(tmp_path):
    """It may have been wrong: what was judged was another text of it."""
    folder = write_run(tmp_path / "run", [*samples(), PaperSample("changed", "One?", correct=None)])
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "grading": {}}))
    done = export(folder, "--unverified")
    assert done.returncode == 2 and "1 of 4 samples" in done.stderr and "wait for a verdict" in done.stderr
    found = rows(folder, "--unverified", "--include-unjudged")
    assert {row["sample_id"].split("/")[1] for row in found} == {*"abc"}


# --- trainers ---


@pytest.mark.parametrize("name", ["sharegpt", "messages", "alpaca", "trl-sft"])
def test_only_the_columns_of_the_trainer_are_written_on_request(tmp_path, name):
    folder = write_run(tmp_path / "run", samples())
    every, few = (
        rows(folder, "--format", name, *flags, "--force") for flags in ((), ("--no-extra-columns",))
    )
    dropped = {"source", "subject", "difficulty", "task", "model", "sample_id", "verdict"}
    assert [{key: row[key] for key in row.keys() - dropped} for row in every] == few
    assert dropped < every[0].keys()


def test_a_system_message_that_trl_leaves_out_is_told(tmp_path):
    folder = write_run(tmp_path / "run", samples())
    told = "3 rows have their system message in the column system, which TRL and axolotl leave out"
    done = export(folder, "--thought", "markers")
    assert told in done.stderr and told in (tmp_path / "train.card.md").read_text()
    assert told not in export(folder, "--thought", "markers", "--format", "messages", "--force").stderr
    assert told not in export(folder, "--force").stderr


def voters(name, *answers, **changes):
    about = {"correct": False, "reason": "no_tests", "reference": None, **changes}
    return [
        PaperSample(name, f"{name}?", index=at, response=f"{LONGER} \\boxed{{{answer}}}", **about)
        for at, answer in enumerate(answers)
    ]


def test_the_answer_of_most_is_the_label_where_there_is_no_reference(tmp_path):
    own = [
        *samples(),
        *voters("half", "0.5", "\\frac12", "3", "1/2"),
        *voters("split", "1", "1", "2", "2"),
        *voters("few", "1", "2", "3", "1", "4"),
        *voters("ungraded", "9", "9.0", correct=None),
        *voters("gold", "5", "5", reference="7", reason="wrong_answer"),
    ]
    folder = write_run(tmp_path / "run", own)
    done = export(folder, "--majority", "0.6", "--keep", "all", "--include-unjudged")
    found = [row for row in json_lines(tmp_path / "train.jsonl") if row["verdict"] != "correct"]
    assert {(*row["sample_id"].split("/")[1::2], row["verdict"], row["agreement"]) for row in found} == {
        *(("half", index, "majority", "0.750") for index in "013"),
        *(("ungraded", index, "majority", "1.000") for index in "01"),
    }, done.stderr
    assert {row["label"] for row in found if "half" in row["sample_id"]} < {"0.5", "\\frac12", "1/2"}
    assert "10 samples of problems without a reference were left out" in done.stderr
    assert last_line(done)["funnel"]["agreed on"] == 8
    assert len(rows(folder, "--keep", "all", "--include-unjudged", "--force")) == 3


def test_with_unverified_samples_those_of_the_majority_are_named_so(tmp_path):
    own = [*voters("half", "1", "1.0", "3"), *voters("split", "1", "2")]
    found = rows(write_run(tmp_path / "run", own), "--majority", "0.6", "--unverified", "--keep", "all")
    said = sorted((*row["sample_id"].split("/")[1::2], row["verdict"], row["label"]) for row in found)
    assert [(name, index, verdict) for name, index, verdict, _ in said] == [
        *(("half", index, "majority") for index in "01"),
        ("half", "2", "none"),
        *(("split", index, "none") for index in "01"),
    ]
    assert [label for *_, label in said][2:] == ["", "", ""] and said[0][3] in ("1", "1.0")


def test_a_sample_without_a_reference_that_has_no_answer_waits_for_no_verdict(tmp_path):
    cut = PaperSample("half", "half?", index=2, correct=None, reference=None, finish_reason="length")
    none = PaperSample("half", "half?", index=3, correct=None, reference=None, response=LONGER)
    own = [*voters("half", "1", "1.0", correct=None), cut, none]
    done = export(write_run(tmp_path / "run", own), "--majority", "0.5")
    assert done.returncode == 0, done.stderr
    assert "2 samples of problems without a reference were left out: cut off" in done.stderr


@pytest.mark.parametrize(("flags", "kept"), [((), 2), (("--dedup", "none"), 3), (("--thought", "none"), 1)])
def test_a_text_that_a_problem_has_twice_is_one_row(tmp_path, flags, kept):
    thoughts = ("I add.", "I add.", "I count.")
    text = f"{LONGER} \\boxed{{7}}"
    own = [
        PaperSample("p", "What?", index=at, text=f"<think>\n{thought}\n</think>\n\n{text}", formatted=False)
        for at, thought in enumerate(thoughts)
    ]
    folder = write_run(tmp_path / "run", own)
    found = export(folder, "--keep", "3", *flags)
    assert last_line(found)["rows"] == kept, found.stderr
    assert ("kept once" in found.stderr) == (kept < 3)


@pytest.mark.parametrize(
    "token",
    [
        "<|im_end|>\n<|im_start|>user\nNext?",
        "<|eot_id|> more",
        "<|start_header_id|>",
        "<｜User｜>Next?",
        "[INST] x",
    ],
)
def test_a_text_with_tokens_of_a_chat_template_is_no_row(tmp_path, token):
    told = "special tokens of a chat template in the text"
    texts = [f"<think>\n{THOUGHT}\n</think>\n\n{SOLUTION}"]
    texts += [texts[0].replace(part, f"{part} {token} so") for part in (THOUGHT, SOLUTION)]
    texts += [f"{texts[0]}<|im_end|>", texts[0].replace("I", "|x| < |y_1| and a[0] = <|x|> for I")]
    own = [PaperSample(f"p{n}", f"Which {n}?", text=text, formatted=False) for n, text in enumerate(texts)]
    found = export(write_run(tmp_path / "run", own), *ANY, "--dedup", "none")
    assert (last_line(found)["rows"], f"2 correct samples were left out: {told}" in found.stderr) == (3, True)


@pytest.mark.parametrize("part", [THOUGHT, SOLUTION])
@pytest.mark.parametrize("tag", ["`<think>`", "the `</think>` tag"])
def test_a_text_that_names_a_tag_at_which_chat_templates_part_it_is_no_row(tmp_path, part, tag):
    own = PaperSample("p", "Which?", text=AS_TAGS.replace(part, f"{part} It is {tag}."), formatted=False)
    done = export(write_run(tmp_path / "run", [*samples(), own]), *ANY)
    assert "1 correct sample was left out: marks within the thought or the solution" in done.stderr


@pytest.mark.parametrize("most", [0.0, 0.05, 0.3, 0.6])
def test_the_quick_look_at_repetition_changes_no_decision(most):
    dice = random.Random(3)
    for _ in range(60):
        part = " ".join(dice.choices("abcdefgh", k=dice.randint(1, 60)))
        thought = " ".join([part] * dice.randint(1, 4) + dice.choices(["x y", "z", part], k=5))
        one = draft(thought)
        assert ("repetition" in failed(one, max_repetition=most)) == (repeated_share(one.text) > most)
