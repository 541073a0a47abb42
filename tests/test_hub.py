"""Do rows arrive whole, at one revision, in order, and does each failure say what to do?"""

import dataclasses
import errno
import importlib.util
import json
import os
from pathlib import Path

import huggingface_hub.constants
import pyarrow
import pyarrow.parquet
import pytest
from helpers import asking

from tasks import FILES, load_task
from util.data import difficulty
from util.data import rows as hub_rows
from util.data.files import RowFilter, read_rows
from util.data.hub import is_commit
from util.errors import DiskTrouble, UserError
from util.records import Problem, Verdict
from util.task import Source, Task, content_id

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
STAND_IN = SHARED / "tools" / "loopback_hub.py"
needs_stand_in = pytest.mark.skipif(not STAND_IN.is_file(), reason=f"no stand-in for the hub at {STAND_IN}")

COMMIT = "1234567890abcdef1234567890abcdef12345678"
OTHER = "abcdefabcdefabcdefabcdefabcdefabcdefabcd"
TEXTS = ["one", "two", "three\u2028still three", "four", "one", "six"]
KINDS = ["even", "odd", "odd", "even", "odd", "odd"]


def problem(row):
    return Problem(
        content_id(row["text"]), row["text"], "1", unusable="no six" if row["text"] == "six" else ""
    )


def prompt(problem, model):
    return problem.question


def grade(problem, response):
    return Verdict(True)


def gold(row):
    return "1"


def source(**changes):
    plain = Source(
        "org/toy",
        {"test": ("data/a.parquet", "b.jsonl"), "train": ("c.csv",)},
        "test",
        revision=COMMIT,
        by="kind",
    )
    return dataclasses.replace(plain, **changes)


def toy(**changes):
    return Task("Toy", source(**changes), problem, prompt, grade, gold)


@pytest.fixture
def data(tmp_path):
    """Three files of six rows: parquet, JSON lines, csv."""
    rows = [{"text": text, "kind": kind} for text, kind in zip(TEXTS, KINDS, strict=True)]
    folder = tmp_path / "data" / "org" / "toy"
    (folder / "data").mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows[:3]), folder / "data" / "a.parquet")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[3:])
    (folder / "b.jsonl").write_text(text, encoding="utf-8")
    (folder / "c.csv").write_text('text,kind\n"NA","two\nlines"\nNone,odd\n', encoding="utf-8")
    return tmp_path / "data"


def texts(rows):
    return [row["text"] for row in rows]


def asked(data, counts=None, **options):
    rows = hub_rows.open_rows(source(), data_dir=data)
    return [p.question for p in hub_rows.problems(toy(), rows, counts=counts, **options)]


# --- a local copy ---


def test_rows_of_all_files_come_in_order(data):
    assert texts(hub_rows.open_rows(source(), data_dir=data)) == TEXTS


def test_a_file_without_the_column_of_the_sources_is_named(data):
    with pytest.raises(UserError, match="a.parquet has no column level: choose another --revision"):
        list(hub_rows.open_rows(source(), data_dir=data).where("level", "odd"))


def test_cells_of_a_csv_file_stay_the_text_they_are(data):
    rows = list(hub_rows.open_rows(source(), split="train", data_dir=data))
    assert rows == [{"text": "NA", "kind": "two\nlines"}, {"text": "None", "kind": "odd"}]


def test_an_unknown_split_names_the_ones_there_are(data):
    with pytest.raises(UserError, match="no split 'dev': choose from test, train"):
        hub_rows.open_rows(source(), split="dev", data_dir=data)


def test_a_missing_folder_says_which_path_was_looked_for(tmp_path):
    with pytest.raises(UserError, match=f"looked for {tmp_path}/org/toy"):
        hub_rows.open_rows(source(), data_dir=tmp_path)


def test_another_revision_of_a_local_copy_lies_in_its_own_folder(data):
    (data / "org" / "toy").rename(data / "org" / "toy@refs%2Fconvert%2Fparquet")
    rows = hub_rows.open_rows(source(), data_dir=data, revision="refs/convert/parquet")
    assert texts(rows) == TEXTS


def test_the_revision_of_a_local_copy_changes_with_its_content_and_is_held_to(data):
    before = hub_rows.open_rows(source(), data_dir=data).revision
    assert before.startswith("local:")
    assert hub_rows.open_rows(source(), data_dir=data, revision=before).revision == before
    (data / "org" / "toy" / "b.jsonl").write_text('{"text": "new", "kind": "odd"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="have changed since this run was made"):
        hub_rows.open_rows(source(), data_dir=data, revision=before)


def test_a_run_made_from_local_files_asks_for_them_again():
    with pytest.raises(UserError, match="give the same --data-dir again"):
        hub_rows.open_rows(source(), revision="local:0123456789abcdef")


def test_a_broken_line_is_named(data):
    (data / "org" / "toy" / "b.jsonl").write_text('{"text": "four", "kind": "odd"}\n{"te', encoding="utf-8")
    with pytest.raises(UserError, match="b.jsonl of org/toy cannot be read .line 2"):
        list(hub_rows.open_rows(source(), data_dir=data))


@pytest.mark.parametrize("text", ["", "a", 'a"', "a\\", 'a\\"', "a\\\\", '"\\"', "é\n"])
def test_a_column_that_is_left_unread_comes_empty_and_the_next_one_whole(tmp_path, text):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"tests": text, "id": 'q"1'}) + "\n", encoding="utf-8")
    (row,) = read_rows(file, RowFilter(None, None, None), unread=("tests",), with_places=True)
    assert row == {"tests": "", "id": 'q"1', "tests_at": {"file": str(file), "offset": 0}}


def test_a_broken_parquet_file_is_named(data):
    (data / "org" / "toy" / "data" / "a.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UserError, match=r"data/a.parquet of org/toy cannot be read"):
        list(hub_rows.open_rows(source(), data_dir=data))


def test_a_csv_row_with_a_cell_too_many_is_named(data):
    (data / "org" / "toy" / "c.csv").write_text("text,kind\na,b,c\n", encoding="utf-8")
    with pytest.raises(UserError, match="a different number of cells"):
        list(hub_rows.open_rows(source(), split="train", data_dir=data))


def test_a_column_that_is_missing_is_named(data):
    with pytest.raises(UserError, match="no column colour"):
        list(hub_rows.open_rows(source(columns=("colour",)), data_dir=data))


# --- which problems ---


def test_the_source_comes_before_the_positions(data):
    assert asked(data, source="even") == ["one", "four"]
    assert asked(data, source="odd", start=1, end=3) == ["three\u2028still three", "one"]


@pytest.mark.parametrize("every", [None, "all"])
def test_without_a_source_all_rows_are_taken(data, every):
    assert len(asked(data, source=every)) == 5


@pytest.mark.parametrize("end", [-1, 100])
def test_an_end_of_minus_one_or_behind_them_is_the_end_of_the_rows(data, end):
    assert asked(data, start=3, end=end) == ["four", "one"]


def test_an_unknown_source_names_the_closest_and_all(data):
    with pytest.raises(UserError, match="did you mean even. choose from even, odd"):
        asked(data, source="evn")


def test_a_start_past_the_last_row_is_refused(data):
    assert asked(data, start=4) == ["one"]
    with pytest.raises(UserError, match="--start 6 is past the last of the 6 rows"):
        asked(data, start=6)


def test_a_benchmark_without_sources_refuses_one(data):
    with pytest.raises(UserError, match="has no sources to choose from"):
        hub_rows.problems(toy(by=None), hub_rows.open_rows(source(), data_dir=data), source="even")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 5, "end": 3}, "--start 5 and --end 3 select no rows"),
        ({"start": -1}, "--start -1 is negative"),
        ({"limit": -2}, "--limit -2 is negative"),
        ({"difficulty": (9, 4), "labels": len}, "lower difficulty bound 9 is above the upper bound 4"),
        ({"difficulty": (4, None)}, "Toy has no difficulty labels"),
    ],
)
def test_bounds_that_make_no_sense_are_refused_at_once(data, options, message):
    rows = hub_rows.open_rows(source(), data_dir=data)
    with pytest.raises(UserError, match=message):
        hub_rows.problems(toy(), rows, **options)


def test_an_id_that_occurs_again_is_numbered_wherever_the_reading_starts(data):
    rows = hub_rows.open_rows(source(), data_dir=data)
    whole = [p.id for p in hub_rows.problems(toy(), rows)]
    late = [p.id for p in hub_rows.problems(toy(), rows, start=4)]
    assert whole[4] == f"{whole[0]}-2" and late == whole[4:]


def test_unusable_rows_are_left_out_and_counted(data):
    counts = hub_rows.RowCounts()
    assert "six" not in asked(data, counts)
    assert (counts.rows, counts.chosen, counts.problems) == (6, 6, 5)
    assert counts.unusable == {"no six": 1}


def test_difficulty_bounds_include_both_ends_and_unlabelled_problems_are_counted(data):
    counts = hub_rows.RowCounts()
    known = {"one": 4.0, "two": 5.0, "four": 9.0}
    assert asked(data, counts, difficulty=(4, 5), labels=known.get) == ["one", "two", "one"]
    assert (counts.unlabelled, counts.outside) == (1, 1)


def test_open_bounds_take_every_labelled_problem(data):
    assert asked(data, difficulty=(None, None), labels={"one": 1.0}.get) == ["one", "one"]


def test_the_label_is_kept_with_the_problem(data):
    rows = hub_rows.open_rows(source(), data_dir=data)
    first = next(hub_rows.problems(toy(), rows, difficulty=(None, None), labels={"one": 4.0}.get))
    assert first.about["difficulty"] == 4.0


def test_the_limit_comes_last(data):
    assert asked(data, difficulty=(4, 9), labels={"four": 4.0, "one": 1.0}.get, limit=1) == ["four"]
    assert asked(data, limit=0) == []


def test_reading_stops_at_the_end_position(data):
    (data / "org" / "toy" / "b.jsonl").write_text("not JSON\n", encoding="utf-8")
    assert asked(data, end=3) == TEXTS[:3]


def test_rows_that_do_not_belong_to_the_benchmark_take_no_position(data):
    rows = hub_rows.open_rows(source(), data_dir=data)
    task = toy(keep=lambda row: row["text"] != "two")
    assert [p.question for p in hub_rows.problems(task, rows, start=1, end=2)] == ["three\u2028still three"]


def test_a_row_without_what_the_task_needs_names_the_revision(data):
    (data / "org" / "toy" / "b.jsonl").write_text('{"question": "?", "kind": "odd"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="has no 'text', which Toy needs"):
        asked(data)


# --- difficulty labels ---


def write_labels(folder, name, *pairs):
    folder.mkdir(exist_ok=True)
    rows = [
        {"source": "math", "problem": p, "gpt_difficulty": "", "gpt_difficulty_parsed": label}
        for p, label in pairs
    ]
    (folder / name).write_text(json.dumps(rows), encoding="utf-8")


def test_labels_in_the_folder_win_over_those_of_the_hub(tmp_path):
    write_labels(tmp_path / "mine", "labeled_math_0_2.json", ("one", 4), ("two", 5.5))
    found = difficulty.read_labels("org/labels", asking("one", "two"), folder=tmp_path / "mine")
    assert (found.of("one"), found.of("two"), found.of("three")) == (4, 5.5, None)


def test_the_last_label_of_a_problem_counts_in_the_natural_order_of_the_files(tmp_path):
    write_labels(tmp_path, "labeled_math_100_200.json", ("one", 7), ("two", -1), ("three", None))
    write_labels(tmp_path, "labeled_math_20_100.json", ("one", 3), ("two", 3), ("three", 3))
    found = difficulty.read_labels("org/labels", asking("one"), folder=tmp_path)
    assert (found.of("one"), found.of("two"), found.of("three")) == (7, None, None)


def test_long_label_files_are_read_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(difficulty, "CHUNK_CHARS", 50)
    write_labels(tmp_path, "labeled_math_0_9.json", *((f"{n} {'x' * n} [", n) for n in range(200)))
    found = difficulty.read_labels("org/labels", asking("0  ["), folder=tmp_path)
    assert all(found.of(f"{n} {'x' * n} [") == n for n in range(200))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"problem": "one", "gpt_difficulty_parsed": 4}, {"prob', "not a complete list of labels"),
        ('[{"problem": "one"}]', "without problem and gpt_difficulty_parsed"),
        ('[{"problem": "one", "gpt_difficulty_parsed": "4"}]', "which is not a number"),
    ],
)
def test_a_label_file_that_holds_something_else_is_named(tmp_path, text, message):
    (tmp_path / "labeled_math_0_1.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=f"labeled_math_0_1.json.*{message}"):
        difficulty.read_labels("org/labels", asking("one"), folder=tmp_path)


def write_label_shards(data, *names):
    folder = data / "org" / "labels" / "data"
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        rows = [{"problem": "one", "gpt_difficulty_parsed": float(number), "messages": ""}]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / name)


def test_labels_of_the_hub_are_read_whatever_their_shards_are_called(tmp_path):
    write_label_shards(tmp_path, "train-00000-of-00003.parquet", "train-00001-of-00003.parquet", "notes.txt")
    found = difficulty.read_labels("org/labels", tuple, folder=tmp_path / "none", data_dir=tmp_path)
    assert found.of("one") == 1.0 and found.note["revision"].startswith("local:")


# --- the hub ---


@pytest.fixture
def stand_in(data, tmp_path, monkeypatch):
    """A hub on the loopback interface that serves `data`, an empty cache, and no waiting."""
    yield from serve(data, tmp_path / "cache", monkeypatch)


def serve(folder, cache, monkeypatch):
    spec = importlib.util.spec_from_file_location("loopback_hub", STAND_IN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr("util.data.hub.FIRST_WAIT_S", 0.01)
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    with module.LoopbackHub(folder) as running:
        running.waits = waits
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def pin(data, **settings):
    (data / "org" / "toy.hub.json").write_text(json.dumps({"commits": {"main": COMMIT}, **settings}))


@needs_stand_in
def test_rows_come_from_the_hub_at_the_pinned_commit(stand_in, data):
    pin(data)
    rows = hub_rows.open_rows(source())
    assert (rows.revision, texts(rows)) == (COMMIT, TEXTS)


@needs_stand_in
def test_a_warm_cache_at_a_pinned_commit_needs_no_request(stand_in, data):
    pin(data)
    list(hub_rows.open_rows(source()))
    stand_in.log.clear()
    assert texts(hub_rows.open_rows(source())) == TEXTS and stand_in.log == []


@needs_stand_in
def test_main_is_asked_for_once_and_kept(stand_in, data):
    first = hub_rows.open_rows(source(revision="main"))
    list(first)
    stand_in.log.clear()
    pin(data)  # the hub moves on to another commit
    stand_in.reload()
    again = hub_rows.open_rows(source(revision="main"))
    assert (again.revision, texts(again), stand_in.log) == (first.revision, TEXTS, [])


@needs_stand_in
def test_a_revision_given_by_name_is_looked_up_anew(stand_in, data):
    first = hub_rows.open_rows(source(), revision="main").revision
    pin(data)
    stand_in.reload()
    assert hub_rows.open_rows(source(), revision="main").revision == COMMIT != first


@needs_stand_in
def test_a_file_is_fetched_when_it_is_reached(stand_in, data):
    pin(data)
    rows = hub_rows.open_rows(source())
    assert len(list(hub_rows.problems(toy(), rows, end=2))) == 2
    assert not [line for line in stand_in.log if "b.jsonl" in line[1]]


@needs_stand_in
def test_a_mirror_without_the_pinned_commit_is_used_loudly(stand_in, capfd):
    rows = hub_rows.open_rows(source())
    assert texts(rows) == TEXTS and rows.revision != COMMIT
    warning = capfd.readouterr().err
    assert COMMIT in warning and rows.revision in warning and stand_in.url in warning


@needs_stand_in
def test_the_default_hub_without_the_pinned_commit_is_an_error(stand_in, monkeypatch):
    monkeypatch.setattr("util.data.hub.is_mirror", lambda: False)
    with pytest.raises(UserError, match=f"org/toy has no revision '{COMMIT}'"):
        hub_rows.open_rows(source())


@needs_stand_in
def test_a_commit_that_was_asked_for_is_never_replaced(stand_in, data):
    pin(data)
    list(hub_rows.open_rows(source()))
    with pytest.raises(UserError, match=f"no revision '{OTHER}'"):
        hub_rows.open_rows(source(), revision=OTHER)


@needs_stand_in
@pytest.mark.parametrize(
    ("method", "fault"),
    [
        *((method, {"status": 503, "times": 3}) for method in ("HEAD", "GET")),
        *((method, {"status": 429, "times": 2}) for method in ("HEAD", "GET")),
        *((method, {"drop": True, "times": 2}) for method in ("HEAD", "GET")),
        ("GET", {"truncate": 20, "times": 1}),
    ],
    ids=str,
)
def test_a_fault_that_passes_is_waited_out(stand_in, data, fault, method):
    pin(data)
    stand_in.fault(f"{method} .*b.jsonl", **fault)
    assert texts(hub_rows.open_rows(source())) == TEXTS
    assert stand_in.waits


@needs_stand_in
def test_a_hub_that_asks_to_wait_is_given_that_time(stand_in, data):
    pin(data)
    stand_in.fault("HEAD .*b.jsonl", status=429, headers={"Retry-After": "7"}, times=1)
    list(hub_rows.open_rows(source()))
    assert stand_in.waits == [7.0]


@needs_stand_in
def test_a_byte_changed_on_the_way_is_fetched_again(stand_in, data):
    pin(data)
    stand_in.fault("GET .*b.jsonl", corrupt=True, times=1)
    stand_in.fault("GET .*_hub/lfs", corrupt=True, times=1)
    assert texts(hub_rows.open_rows(source())) == TEXTS


@needs_stand_in
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"status": 429}, r"too many requests \(429\)"),
        ({"status": 503}, "answered 503.*run the same command again"),
        ({"status": 429, "headers": {"Retry-After": "86400"}}, r"too many requests \(429\)"),
        ({"drop": True}, "no complete answer"),
        ({"truncate": 20}, "no complete answer"),
        ({"corrupt": True}, "arrived damaged twice"),
        ({"status": 403}, r"refused your token for org/toy \(403\)"),
        ({"status": 418}, "answered 418"),
        ({"status": 200, "body": "<html>hello</html>"}, "does not answer like a data set hub"),
    ],
    ids=str,
)
def test_a_fault_for_ever_becomes_one_sentence(stand_in, data, fault, message):
    pin(data)
    method = "GET" if "truncate" in fault or "corrupt" in fault else "HEAD"
    stand_in.fault(f"{method} .*b.jsonl", times=None, **fault)
    with pytest.raises(UserError, match=message) as caught:
        list(hub_rows.open_rows(source()))
    assert "\n" not in str(caught.value)


@needs_stand_in
def test_a_damaged_file_in_the_cache_is_fetched_once_more(stand_in, data, capfd):
    pin(data)
    rows = hub_rows.open_rows(source())
    list(rows)
    for name in ("b.jsonl", "data/a.parquet"):
        blob = rows.local(name).resolve()
        blob.chmod(0o644)
        blob.write_bytes(b"#" * blob.stat().st_size)
    assert texts(rows) == TEXTS
    assert "b.jsonl of org/toy is damaged; fetching it again" in capfd.readouterr().err


@needs_stand_in
def test_a_file_that_is_broken_at_the_hub_is_named(stand_in, data):
    pin(data)
    (data / "org" / "toy" / "b.jsonl").write_text("not JSON\n", encoding="utf-8")
    with pytest.raises(UserError, match="b.jsonl of org/toy cannot be read .line 1"):
        list(hub_rows.open_rows(source()))


@needs_stand_in
def test_a_gated_data_set_says_where_to_ask_and_how_to_log_in(stand_in, data, monkeypatch):
    pin(data, gated=True, granted=["hf_good"])
    with pytest.raises(
        UserError, match="ask for access at .*/datasets/org/toy, then log in with `hf auth login`"
    ):
        hub_rows.open_rows(source())
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(UserError, match="your token has no access to org/toy: ask for it at"):
        hub_rows.open_rows(source())
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert texts(hub_rows.open_rows(source())) == TEXTS


@needs_stand_in
def test_a_missing_data_set_is_named(stand_in):
    with pytest.raises(UserError, match="there is no data set org/missing at"):
        hub_rows.open_rows(source(path="org/missing"))


@needs_stand_in
def test_a_missing_file_is_named(stand_in, data):
    pin(data)
    with pytest.raises(UserError, match="org/toy has no file nothing.jsonl at revision"):
        hub_rows.open_rows(source(), files=("nothing.jsonl",))


@needs_stand_in
def test_offline_with_a_cold_cache_says_so_and_a_warm_one_works(stand_in, data, monkeypatch):
    pin(data)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="is not on this machine and HF_HUB_OFFLINE is set"):
        hub_rows.open_rows(source())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    list(hub_rows.open_rows(source()))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert texts(hub_rows.open_rows(source())) == TEXTS


@needs_stand_in
def test_a_hub_that_cannot_be_reached_says_what_to_do(stand_in, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="could not be fetched in 5 attempts .*--data-dir"):
        hub_rows.open_rows(source())


@needs_stand_in
@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.ENOSPC, DiskTrouble, "no space left .* make room, or set HF_HOME"),
        (errno.EROFS, UserError, "cannot use the cache .*Read-only.*set HF_HOME"),
    ],
)
def test_a_disk_that_takes_no_more_is_named(stand_in, data, monkeypatch, number, kind, message):
    pin(data)

    def full(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(kind, match=message):
        hub_rows.open_rows(source())


@needs_stand_in
def test_a_cache_folder_that_is_a_file_is_named(stand_in, data, monkeypatch, tmp_path):
    pin(data)
    (tmp_path / "file").touch()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    for revision in (COMMIT, "main"):
        with pytest.raises(UserError, match="cannot use the cache .*set HF_HOME"):
            hub_rows.open_rows(source(revision=revision))


@needs_stand_in
def test_labels_come_from_the_hub_whatever_their_shards_are_called(stand_in, data, tmp_path):
    write_label_shards(data, "train-00000-of-00003.parquet", "train-00001-of-00003.parquet")
    found = difficulty.read_labels("org/labels", tuple, folder=tmp_path / "none")
    assert found.of("one") == 1.0 and is_commit(found.note["revision"])


@needs_stand_in
@pytest.mark.parametrize("name", [name for name in FILES if name != "Warmup"])
def test_every_benchmark_loads_from_a_hub(name, tmp_path, monkeypatch):
    for stand_in in serve(SHARED / "data" / "hub", tmp_path / "cache", monkeypatch):
        monkeypatch.setenv("HF_TOKEN", "hf_granted_test_token")
        task = load_task(name)
        rows = hub_rows.open_rows(task.source)
        problems = list(hub_rows.problems(task, rows))
        assert problems and is_commit(rows.revision)
        stand_in.log.clear()
        again = hub_rows.open_rows(task.source, revision=rows.revision)
        assert list(hub_rows.problems(task, again)) == problems and stand_in.log == []


# --- labels of a run that is continued ---


@pytest.fixture
def two_origins(tmp_path):
    """Label files of two problems here, and the hub's labels of one of them and of another one."""
    write_labels(tmp_path / "mine", "labeled_math_0_2.json", ("one", 4), ("two", 5), ("six", -1))
    folder = tmp_path / "org" / "labels" / "data"
    folder.mkdir(parents=True)
    rows = [{"problem": name, "gpt_difficulty_parsed": 9.0} for name in ("two", "three", "six")]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "train-00000-of-00002.parquet")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows[:1]), folder / "train-00001-of-00002.parquet")

    def read(*questions, data_dir=tmp_path, begun=None):
        where = {"folder": tmp_path / "mine", "data_dir": data_dir, "begun": begun}
        found = difficulty.read_labels("org/labels", asking(*questions), **where)
        return found, [found.of(question) for question in questions]

    return read


def test_problems_without_a_label_here_have_that_of_the_hub_and_it_is_said(two_origins):
    found, labels = two_origins("one", "two", "three", "six", "four")
    assert labels == [4, 5, 9, 9, None]
    assert "2 of the files in" in found.told and "2 of org/labels, 1 problem has none" in found.told
    assert found.note["revision"].startswith("local:") and len(found.note["local"]) == 16


def test_the_hub_is_not_asked_where_all_problems_have_a_label_here(two_origins, tmp_path):
    found, labels = two_origins("one", "two", data_dir=tmp_path / "nothing")
    assert labels == [4, 5] and found.note["revision"] is None


def test_labels_here_are_enough_where_those_of_the_hub_cannot_be_had(two_origins, tmp_path):
    found, labels = two_origins("one", "three", data_dir=tmp_path / "nothing")
    assert labels == [4, None] and "labels of org/labels cannot be read" in found.told
    again, labels = two_origins("one", "three", begun=found.note)  # also when they can, later on
    assert labels == [4, None] and again.note == found.note


def test_a_run_keeps_the_labels_that_it_was_begun_with(two_origins, tmp_path):
    of_the_hub, _ = two_origins("three")
    assert set(of_the_hub.note) == {"from", "revision"} and of_the_hub.told == ""
    begun, labels = two_origins("one", "two", begun=of_the_hub.note)
    assert labels == [None, 9] and "are not used" in begun.told and begun.note == of_the_hub.note
    before = {"from": "labeled_numina_difficulty", "revision": "local"}  # by version 0.9
    begun, labels = two_origins("one", "two", "three", begun=before)
    assert labels == [4, 5, None] and begun.note == before


def test_a_run_is_not_continued_with_other_labels_here(two_origins, tmp_path):
    questions = ("one", "two", "three")
    found, _ = two_origins(*questions)
    write_labels(tmp_path / "mine", "labeled_other_0_9.json", ("four", 3))  # of a problem that is not asked
    assert two_origins(*questions, begun=found.note)[0].note == found.note
    write_labels(tmp_path / "mine", "labeled_zz_0_9.json", ("two", 8))
    with pytest.raises(UserError, match="other difficulties than when this run was begun"):
        two_origins(*questions, begun=found.note)
    for path in (tmp_path / "mine").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="now None"):
        two_origins(*questions, begun=found.note)
