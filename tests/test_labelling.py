"""Does a label come from a model's number alone, and is no problem asked twice?"""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pyarrow
import pyarrow.parquet
import pytest
from faulty_endpoint import FaultyEndpoint, Script
from helpers import HANG_S, ROOT, asking, json_lines, last_line, paper_engine, script, wait_until

from tasks import load_task
from util.data.difficulty import read_labels
from util.engines.checked import Answers, Question, Refused, ask
from util.errors import UserError
from util.records import Completion, Failure
from util.training.ratings import parse_difficulty

QUESTIONS = [f"Problem {number}: what is {number} + 1?" for number in range(6)]


def small_numina(folder):
    """A local copy of a data set of six problems in NuminaMath's layout."""
    source = load_task("NUMINA").source
    for number, name in enumerate(source.files["train"]):
        path = folder / "mirror" / source.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        found = QUESTIONS if number == 0 else []
        rows = [{"source": "math", "problem": text, "solution": "\\boxed{1}"} for text in found]
        rows += [{"source": "olympiads", "problem": f"Other {number}", "solution": "\\boxed{1}"}]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return folder / "mirror"


@pytest.fixture
def mirror(tmp_path):
    return small_numina(tmp_path)


def label(mirror, *flags, **environment):
    folder = mirror.parent / "labels"
    return script(
        "label_math_difficulty.py",
        *("--source", "math", "--data-dir", mirror, "--output-dir", folder),
        *flags,
        **environment,
    )


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("It is like an AMC 10 problem. [[4]]", 4),
        ("[[3]] at first sight, but in the end [[6]]", 6),
        ("4.5", 4.5),
        ("**7**", 7),
        ("7/10", 7),
        ("I would say level 7.", 7),
        ("Difficulty: 7 out of 10", 7),
        ("[[08]]", 8),
        ("[[12]]", None),
        ("[[0]]", None),
        ("[[-3]]", None),
        ("Error code: 429 - [5]", None),
        ("Problem 5 of the IMO", None),
        ("level 5 or maybe level 6", None),
        ("difficulty 5-6", None),
        ("Its difficulty is 3 out of 5.", None),
        ("difficulty: 3/5", None),
        ("", None),
    ],
)
def test_the_number_is_read_where_it_is_meant(words, number):
    assert parse_difficulty(words) == number


def test_all_problems_get_a_label_and_the_last_one_too(mirror):
    done = label(mirror, *paper_engine(mirror.parent, {"text": "Easy. [[2]]"}))
    assert done.returncode == 0, done.stderr
    found = json.loads((mirror.parent / "labels" / "labeled_math_0_-1.json").read_text())
    assert [row["problem"] for row in found] == QUESTIONS
    assert {row["gpt_difficulty_parsed"] for row in found} == {2.0}
    assert found[0]["source"] == "math" and found[0]["gpt_difficulty"] == "Easy. [[2]]"


def test_the_labels_are_those_that_the_filter_reads(mirror):
    label(mirror, "--end", "2", *paper_engine(mirror.parent, {"text": "[[2]]"}))
    labels = read_labels("none", asking(QUESTIONS[0]), folder=mirror.parent / "labels")
    assert [labels.of(text) for text in QUESTIONS[:3]] == [2.0, 2.0, None]


def test_an_answer_without_a_number_is_asked_again_with_a_reminder(mirror):
    engine = paper_engine(
        mirror.parent,
        {"contains": "Your last reply could not be used", "text": "[[3]]"},
        {"text": "Rather easy."},
    )
    label(mirror, "--end", "1", *engine)
    assert read_labels("none", asking(QUESTIONS[0]), folder=mirror.parent / "labels").of(QUESTIONS[0]) == 3.0


def test_a_problem_without_a_usable_answer_is_kept_apart(mirror):
    engine = paper_engine(mirror.parent, {"contains": "Problem 1:", "text": "12"}, {"text": "[[5]]"})
    done = label(mirror, *engine)
    assert done.returncode == 0
    assert last_line(done)["labelled"] == 5
    (apart,) = json_lines(mirror.parent / "labels" / "unlabelled" / "math_0_-1.jsonl")
    assert (apart["problem"], apart["gpt_difficulty"]) == (QUESTIONS[1], "12")
    assert "no single number" in apart["reason"]
    better = paper_engine(mirror.parent, {"text": "[[6]]"})
    assert last_line(label(mirror, *better))["labelled"] == 5
    assert last_line(label(mirror, "--retry", *better))["labelled"] == 6


def test_an_api_error_never_becomes_a_label(mirror):
    engine = paper_engine(mirror.parent, {"contains": "Problem 1:", "fail": "429 - [[5]]"}, {"text": "[[5]]"})
    done = label(mirror, *engine)
    assert done.returncode == 1 and re.search(r"(?<![-\d])1 of 6 requests failed", done.stderr)
    assert len(json_lines(mirror.parent / "labels" / "labeled_math_0_-1.jsonl")) == 5
    assert not (mirror.parent / "labels" / "labeled_math_0_-1.json").exists()
    assert label(mirror, *paper_engine(mirror.parent, {"text": "[[5]]"})).returncode == 0


def test_an_unknown_source_names_the_known_ones(mirror):
    done = label(mirror, "--source", "olympiad", *paper_engine(mirror.parent, {"text": "[[5]]"}))
    assert done.returncode == 2
    assert "did you mean olympiads?" in done.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ("--source", "olympiad"),
        ("--start", "9"),
        ("--start", "4", "--end", "2"),
        ("--start", "2", "--end", "2"),
        ("--start", "-1"),
        ("--end", "0"),
        ("--end", "-2"),
    ],
)
def test_a_command_that_means_no_problem_leaves_no_labels(mirror, flags):
    done = label(mirror, *flags, *paper_engine(mirror.parent, {"text": "[[5]]"}))
    assert done.returncode == 2
    assert not list((mirror.parent / "labels").glob("*.json*"))


def test_labels_are_read_while_others_are_written(mirror):
    folder = mirror.parent / "labels"
    label(mirror, *paper_engine(mirror.parent, {"text": "[[2]]"}))
    with (folder / "labeled_math_0_-1.jsonl").open("a") as journal:
        journal.write('{"id": "torn", "problem": "Pro')
    (folder / ".labeled_math_0_-1.json.4711").write_text('[{"problem": "Pro')
    assert read_labels("none", asking(QUESTIONS[5]), folder=folder).of(QUESTIONS[5]) == 2.0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'[{"problem": "x", "gpt_difficulty_parsed": 3}', "not a complete list"),
        (b'[{"problem": "x", "gpt_diff', "not a complete list"),
        (b'[{"problem": ["x"], "gpt_difficulty_parsed": 3}]', "not text"),
        (b'[{"problem": "x", "gpt_difficulty_parsed": "3"}]', "not a number"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_damaged_file_of_labels_is_named(tmp_path, content, told):
    (tmp_path / "labeled_math_0_-1.json").write_bytes(content)
    with pytest.raises(UserError, match=told):
        read_labels("none", asking("one"), folder=tmp_path)


def test_a_dry_run_tells_the_price_and_asks_nobody(mirror):
    done = label(mirror, "--dry-run")
    assert last_line(done)["missing"] == 6
    assert "$0.00" in done.stderr
    assert not (mirror.parent / "labels").exists()


def test_a_longer_slice_asks_only_about_its_further_problems(mirror):
    label(mirror, "--end", "4", *paper_engine(mirror.parent, {"text": "[[2]]"}))
    assert last_line(label(mirror, "--dry-run"))["missing"] == 2
    assert last_line(label(mirror, "--dry-run", "--model", "another"))["missing"] == 6
    done = label(mirror, *paper_engine(mirror.parent, {"text": "[[7]]"}))
    assert "4 labels were taken over from other slices" in done.stderr
    found = json.loads((mirror.parent / "labels" / "labeled_math_0_-1.json").read_text())
    assert [row["gpt_difficulty_parsed"] for row in found] == [2, 2, 2, 2, 7, 7]


def test_a_budget_that_ends_leaves_no_list_and_the_same_command_goes_on(mirror):
    folder = mirror.parent / "labels"
    engine = paper_engine(mirror.parent, {"text": "[[2]]"})
    limited = ("--max-tokens", 20, "--max-tokens-total", 2000, *engine)
    done = label(mirror, *limited)
    assert done.returncode == 1, done.stderr
    journal = json_lines(folder / "labeled_math_0_-1.jsonl")
    assert 0 < len(journal) < 6 and last_line(done)["missing"] == 6 - len(journal)
    assert "of --max-tokens-total are spent" in done.stderr and "spent 0" not in done.stderr
    assert not (folder / "labeled_math_0_-1.json").exists()
    for _ in range(2):
        done = label(mirror, *limited)
    assert done.returncode == 0 and last_line(done)["labelled"] == 6
    whole = mirror.parent / "whole"
    label(mirror, "--output-dir", whole, *engine)
    lists = [(place / "labeled_math_0_-1.json").read_bytes() for place in (folder, whole)]
    assert lists[0] == lists[1]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--max-tokens-total", 10), "one request may use 1,024 tokens"),
        (("--max-tokens-total", 1100), "one request may use"),  # the answer would fit, the prompt does not
        (("--max-cost", 0.0001), "one request may use $0.0006"),
        (("--max-cost", 1, "--model", "openai/my-own"), "needs the price of openai/my-own"),
    ],
)
def test_a_budget_below_one_request_is_refused(mirror, flags, told):
    done = label(mirror, *flags, *paper_engine(mirror.parent, {"text": "[[2]]"}))
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


class RatingEndpoint(FaultyEndpoint):
    """Rates every problem with 5."""

    def answer(self, body: dict) -> dict:
        reply = super().answer(body)
        reply["choices"][0]["message"]["content"] = "[[5]]"
        return reply


def test_two_keys_share_the_requests_and_a_bad_one_is_dropped(mirror):
    keys = mirror.parent / "keys.txt"
    keys.write_text("good-key-number-one\nbad-key-number-twoo\nspent-key-number-33\n")
    keys.chmod(0o600)
    accepted = ("good-key-number-one", "spent-key-number-33")
    with RatingEndpoint(Script(keys=accepted, spent_keys=("spent-key-number-33",))) as endpoint:
        done = label(mirror, "--keys", keys, "--api-base", endpoint.url, "--model", "test-model")
        assert done.returncode == 0, done.stderr
        assert last_line(done)["labelled"] == 6
    assert "twoo" in done.stderr and "bad-key-number-twoo" not in done.stderr


class ClosingEndpoint(RatingEndpoint):
    """Takes no key any more after two answers."""

    def refusal(self, body: dict, headers: dict[str, str]) -> bytes | None:
        self.script = replace(self.script, keys=("another-key",) if self._answers >= 2 else ())
        return super().refusal(body, headers)


def test_when_all_keys_are_gone_the_command_stops_with_what_is_done(mirror):
    keys = mirror.parent / "keys.txt"
    keys.write_text("a-key-that-will-end\n")
    keys.chmod(0o600)
    with ClosingEndpoint() as endpoint:
        flags = ("--keys", keys, "--api-base", endpoint.url, "--model", "test-model", "--concurrency", "1")
        done = label(mirror, *flags)
    assert done.returncode == 1, done.stderr
    assert "key" in done.stderr
    assert len(json_lines(mirror.parent / "labels" / "labeled_math_0_-1.jsonl")) == 2


def test_an_empty_key_file_is_refused(mirror):
    keys = mirror.parent / "keys.txt"
    keys.write_text("# none\n")
    done = label(mirror, "--keys", keys, "--api-base", "http://127.0.0.1:9/v1")
    assert done.returncode == 2
    assert "holds no key" in done.stderr


def test_a_killed_command_goes_on_to_the_same_labels(mirror):
    folder = mirror.parent / "labels"
    hangs = {"text": "[[4]]", "contains": QUESTIONS[3], "delay_s": HANG_S}  # not done before it is killed
    slow = paper_engine(mirror.parent, hangs, {"text": "[[4]]"})
    command = [sys.executable, str(ROOT / "label_math_difficulty.py"), "--source", "math"]
    command += ["--data-dir", str(mirror), "--output-dir", str(folder), *slow]
    journal = folder / "labeled_math_0_-1.jsonl"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as running:
        wait_until(lambda: journal.exists() and journal.stat().st_size, running)
        running.send_signal(signal.SIGKILL)
    done_before = len(json_lines(journal))
    assert 0 < done_before < 6
    with journal.open("a") as torn:
        torn.write('{"id": "torn')
    label(mirror, *paper_engine(mirror.parent, {"text": "[[4]]"}))
    assert len(json_lines(journal)) == 6
    interrupted = (folder / "labeled_math_0_-1.json").read_bytes()
    whole = mirror.parent / "whole"
    label(mirror, "--output-dir", whole, *paper_engine(mirror.parent, {"text": "[[4]]"}))
    assert (whole / "labeled_math_0_-1.json").read_bytes() == interrupted


class PaperModel:
    """Answers with the given results in turn."""

    def __init__(self, *results):
        self.results = list(results)
        self.requests = []

    def generate(self, requests):
        for request in requests:
            if request is not None:
                self.requests.append(request)
                yield request, self.results.pop(0)


def ask_paper(*results, tries=3):
    model = PaperModel(*results)
    found = list(
        ask(
            model,
            [Question("q", "How hard?", 10)],
            lambda question, text: text if text == "good" else Refused("it is bad"),
            reminder="Again, as {reason}.",
            tries=tries,
            answers=Answers(),
        )
    )
    return model, found


def test_an_answer_that_was_cut_off_is_asked_again():
    model, found = ask_paper(Completion("good", "length", 1, 1), Completion("good", "stop", 1, 1))
    assert [said for _, _, said in found] == ["good"]
    assert "Again, as the answer was cut off" in model.requests[1].messages[0]["content"]


def test_a_question_is_asked_so_many_times_and_no_more():
    model, found = ask_paper(*[Completion("bad", "stop", 1, 1)] * 5)
    assert len(model.requests) == 3
    assert found[0][2] == Refused("it is bad")


def test_a_failed_request_is_not_an_answer():
    _, found = ask_paper(Failure("429"))
    assert found[0][2] == Failure("429")


@pytest.mark.parametrize(
    "written", [("math", "olympiads"), ("[math,", "'olympiads']"), ("[math,olympiads]",)]
)
def test_several_sources_are_rated_one_after_the_other(mirror, written):
    done = label(mirror, "--source", *written, *paper_engine(mirror.parent, {"text": "[[2]]"}))
    assert done.returncode == 0, done.stderr
    told = last_line(done)
    assert (told["problems"], told["missing"]) == (11, 0)
    assert [one["labelled"] for one in told["slices"]] == [6, 5]
    for name, number in (("math", 6), ("olympiads", 5)):
        rows = json.loads((mirror.parent / "labels" / f"labeled_{name}_0_-1.json").read_text())
        assert len(rows) == number and {row["source"] for row in rows} == {name}
    again = label(mirror, "--source", *written, *paper_engine(mirror.parent, {"fail": "asked twice"}))
    assert again.returncode == 0


def test_an_unknown_source_among_several_is_refused_before_any_is_paid_for(mirror):
    engine = paper_engine(mirror.parent, {"text": "[[2]]"})
    done = label(mirror, "--source", "math", "olympiad", *engine)
    assert done.returncode == 2 and "did you mean olympiads?" in done.stderr
    assert not list((mirror.parent / "labels").glob("labeled*"))
    for written in (("[,]",), ("all", "math")):
        assert label(mirror, "--source", *written, *engine).returncode == 2


def test_one_budget_holds_for_all_sources(mirror):
    flags = ("--max-tokens", "10", "--max-tokens-total", "2200")
    done = label(
        mirror, "--source", "math", "olympiads", *flags, *paper_engine(mirror.parent, {"text": "[[2]]"})
    )
    told = last_line(done)
    assert done.returncode == 1 and 0 < told["missing"] < 11
    assert told["slices"][1]["labels"] is None and told["slices"][1]["missing"] == 5
