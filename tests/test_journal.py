"""Does a journal keep what was finished, whatever happens to the process, the line or the disk?"""

import errno
import json
import os
import subprocess
import sys

import pytest
from helpers import ROOT

from util.errors import RunStopped, UserError
from util.runs.journal import Journal, read_line_at, read_lines, write_whole


def values(path):
    return [value for _, value in read_lines(path)]


def test_what_was_appended_is_read_back_as_it_was(tmp_path):
    lines = [{"text": "a\u2028b\nc"}, {"text": "\ud800 alone"}, {"text": "ü" * 1000, "n": 10**400}]
    with Journal(tmp_path / "j.jsonl") as journal:
        for line in lines:
            journal.append(line)
    assert values(tmp_path / "j.jsonl") == lines


@pytest.mark.parametrize(
    "torn", [b'{"n": 2', b'{"n": {"m": 2}', b'"n"', b'{"text": "\xc3', b"\x00" * 100_000]
)
def test_a_torn_last_line_is_dropped_and_its_place_taken(tmp_path, capsys, torn):
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n": 1}\n' + torn)
    assert values(path) == [{"n": 1}]
    with Journal(path) as journal:
        journal.append({"n": 3})
    assert values(path) == [{"n": 1}, {"n": 3}]
    assert capsys.readouterr().err.count("j.jsonl ends in zero bytes, as a power cut") == (torn[-1:] == b"\0")


def test_a_last_line_that_lacks_nothing_but_its_end_is_kept(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2}')
    [_, (offset, line)] = read_lines(path)
    assert line == {"n": 2}
    with open(path, "rb") as file:
        assert read_line_at(file, offset) == {"n": 2}
    with Journal(path) as journal:
        assert journal.append({"n": 3}) == path.read_bytes().index(b'{"n": 3}')
    assert values(path) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_what_is_cut_off_by_whoever_never_read_it_is_told(tmp_path, capsys):
    (tmp_path / "j.jsonl").write_bytes(b"\0" * 100)
    Journal(tmp_path / "j.jsonl").close()
    assert "j.jsonl ends in zero bytes" in capsys.readouterr().err


def test_a_damaged_line_in_the_middle_is_refused_with_file_and_line_and_the_way_out(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": garbage\n{"n": 3}\n')
    with pytest.raises(UserError, match=r"j.jsonl: line 2 is damaged") as caught:
        values(path)
    command = str(caught.value).split("run\n  ")[1]
    subprocess.run(command, shell=True, check=True)
    assert values(path) == [{"n": 1}, {"n": 3}]
    assert b"garbage" in (tmp_path / "j.jsonl.damaged").read_bytes()


def test_the_mark_that_editors_put_before_a_text_costs_no_line(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"n": 1}\r\n{"n": 2}\n')
    assert values(path) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("gone")])
def test_nothing_is_written_into_a_pipe_or_through_a_link_to_nowhere(tmp_path, put):
    put(tmp_path / "j.jsonl")
    with pytest.raises(UserError, match="j.jsonl is a (pipe|link)"):
        Journal(tmp_path / "j.jsonl")
    assert not (tmp_path / "gone").exists()


def test_a_folder_that_may_not_be_listed_hides_no_file_of_a_job(tmp_path, monkeypatch):
    def listdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    (tmp_path / "samples.jsonl").touch()
    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(UserError, match=f"cannot look into {tmp_path}: Permission denied"):
        values(tmp_path / "samples.jsonl")


def test_offsets_point_at_their_lines(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        given = [journal.append({"n": n, "text": "é" * n}) for n in range(5)]
    assert [offset for offset, _ in read_lines(path)] == given


def test_a_full_disk_stops_the_run_and_leaves_whole_lines(tmp_path):
    program = """
import resource, signal, sys
from pathlib import Path
from util.errors import RunStopped
from util.runs.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
with Journal(Path(sys.argv[1])) as journal:
    try:
        for n in range(1000):
            journal.append({"n": n, "text": "x" * 90})
    except RunStopped as error:
        print(error)
        sys.exit(1)
"""
    path = tmp_path / "j.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1 and "same command again" in done.stdout
    found = values(path)
    assert found == [{"n": n, "text": "x" * 90} for n in range(len(found))] and len(found) > 20
    assert path.read_bytes().endswith(b"\n")


def test_a_whole_file_is_replaced_at_once_or_not_at_all(tmp_path):
    path = tmp_path / "run.json"
    write_whole(path, json.dumps({"n": 1}))
    path.parent.chmod(0o755)
    beside = path.with_name(f".run.json.{os.getpid()}")
    beside.mkdir()  # the place where the new file would be written is taken
    with pytest.raises((RunStopped, OSError)):
        write_whole(path, "new")
    assert json.loads(path.read_text()) == {"n": 1}


KEY = {"problem_id": "p", "temperature": 0.7, "index": 0}
SAMPLE = {**KEY, "text": "a", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1}
VERDICT = {**KEY, "judged": "0", "verdict": {"correct": True, "reason": ""}}
PROBLEM = {"id": "p", "question": "q", "prompt": "q", "answer": None}


@pytest.mark.parametrize(
    ("name", "good", "change", "why"),
    [
        ("samples", SAMPLE, {"temperature": ...}, "it has no temperature"),
        ("samples", SAMPLE, {"temperature": "hot"}, "its temperature is 'hot', not a temperature"),
        ("samples", SAMPLE, {"temperature": float("nan")}, "its temperature is nan"),
        ("samples", SAMPLE, {"index": -1}, "its index is -1, not a number from 0"),
        ("samples", SAMPLE, {"index": 10**15}, "its index is 1000000000000000"),
        ("samples", SAMPLE, {"index": "1"}, "its index is '1'"),
        ("samples", SAMPLE, {"index": True}, "its index is True"),
        ("samples", SAMPLE, {"text": None}, "its text is None, not a text"),
        ("samples", SAMPLE, {"completion_tokens": float("nan")}, "its completion_tokens is nan, not a count"),
        ("samples", SAMPLE, {"prompt_tokens": 10**400}, "its prompt_tokens is 1000"),
        ("samples", SAMPLE, {"reasoning": 3}, "its reasoning is 3"),
        ("problems", PROBLEM, {"question": ...}, "it has no question"),
        ("problems", PROBLEM, {"answer": ...}, "it has no answer"),
        ("problems", PROBLEM, {"choices": "ab"}, "its choices is 'ab', not a list of texts"),
        ("verdicts", VERDICT, {"judged": ...}, "it has no judged"),
        ("verdicts", VERDICT, {"verdict": {"reason": ""}}, "its verdict is"),
        ("verdicts", VERDICT, {"verdict": ["correct"]}, "its verdict is"),
        ("verdicts", VERDICT, {"verdict": {"correct": "yes"}}, "its verdict is"),
        ("verdicts", VERDICT, {"verdict": {"correct": True, "extracted": 3}}, "its verdict is"),
        (
            "verdicts",
            VERDICT,
            {"verdict": {"correct": True, "extracted": None, "how": None}},
            "its verdict is",
        ),
        ("verdicts", VERDICT, {"verdict": {"correct": True, "reason": False}}, "its verdict is"),
        (
            "verdicts",
            VERDICT,
            {"verdict": {"correct": True, "certainty": "x"}},
            "'certainty': a newer version",
        ),
        ("formatted", {**KEY, "text": "a"}, {"text": None}, "its text is None"),
    ],
)
def test_a_line_that_does_not_hold_what_its_readers_expect_is_refused(tmp_path, name, good, change, why):
    path = tmp_path / f"{name}.jsonl"
    bad = {field: value for field, value in {**good, **change}.items() if value is not ...}
    path.write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    with pytest.raises(UserError, match=r"line 2 is damaged \(") as caught:
        values(path)
    assert why in str(caught.value)
    with open(path, "rb") as file, pytest.raises(UserError, match="line 2 is damaged"):
        assert read_line_at(file, 0) == good
        read_line_at(file, len(json.dumps(good)) + 1)


@pytest.mark.parametrize(
    "line",
    [
        '{"a": }',
        '{"a": 1',
        '{"a": 1}}',
        '{"a": 1}{"b": 2}',
        '{"a": 1} x',
        '{"a": "\x01"}',
        "{",
        "",
        "[]",
        "3",
        "-",
    ],
)
def test_a_line_that_is_not_one_object_is_damaged(tmp_path, line):
    path = tmp_path / "j.jsonl"
    path.write_text(f' {{"a": 0}}\t\r\n{line}\n{{"a": 2}}\n')  # blanks around an object do no harm
    with open(path, "rb") as file:
        assert read_line_at(file, 0) == {"a": 0}
    with pytest.raises(UserError, match="line 2 is damaged"):
        values(path)


def test_brackets_without_end_are_a_damaged_line(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(UserError, match="line 1 is damaged"):
        values(path)
