"""Can whoever brings a file of problems ask and grade them without writing a line of Python?"""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest
from faulty_endpoint import FaultyEndpoint
from helpers import json_lines, last_line, paper_engine, script
from huggingface_hub.errors import OfflineModeIsEnabled

import report
import tasks
import util.grading.__main__ as grading_cli
from tasks.own import own_task
from util import cli
from util.data import hub
from util.data.addresses import Address, is_address, read_address
from util.data.rows import open_rows
from util.errors import UserError
from util.generation.golds import check_golds
from util.runs.repeat import repeat_command


def file_of(folder: Path, rows: list[dict], name: str = "own.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def problems_of(task):
    return [task.problem(row) for row in open_rows(task.source)]


def test_a_judge_is_shown_options_and_the_text_of_the_right_one(tmp_path):
    rows = [
        {"question": "Which?", "options": ["red", "blue"], "answer": answer} for answer in (1, "A", "red")
    ]
    first, *others = problems_of(own_task(file_of(tmp_path, rows), grade="judge", columns=["first=0"]))
    assert (first.question, first.answer, first.choices) == ("Which?\n\nA. red\nB. blue", "B. blue", ())
    assert [one.answer for one in others] == ["A. red"] * 2
    whole = own_task(
        file_of(tmp_path, [{"question": "q", "answer": "so 1 #### 2 \\boxed{3}"}]), grade="judge"
    )
    assert problems_of(whole)[0].answer == "so 1 #### 2 \\boxed{3}"


@pytest.mark.parametrize("grade", ["maths", "number", "judge"])
def test_answers_are_asked_for_where_there_are_tests_alone(tmp_path, grade):
    with pytest.raises(UserError, match="which column of .* has the answers"):
        own_task(file_of(tmp_path, [{"question": "q", "tests": [{"input": "", "output": "1"}]}]), grade=grade)


# --- addresses ---


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf://datasets/org/name", Address("org/name")),
        ("hf://datasets/org/name@v1", Address("org/name", "v1")),
        ("hf://datasets/org/name:test", Address("org/name", None, None, "test")),
        ("hf://datasets/org/name@v1:main/test", Address("org/name", "v1", "main", "test")),
    ],
)
def test_the_address_of_a_data_set_is_read_and_written_alike(text, address):
    assert read_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["hf://org/name", "hf://datasets/name", "hf://datasets/a/b/c", "hf://datasets/a/b:"]
)
def test_what_is_no_address_of_a_data_set_is_refused(text):
    with pytest.raises(UserError, match="names no data set: write hf://datasets/ORG/NAME"):
        read_address(text)


@pytest.mark.parametrize(
    ("name", "is_one"), [("AIME", False), ("a.jsonl", True), ("dir/file", True), ("ARC-C", False)]
)
def test_a_name_of_a_benchmark_is_no_address(name, is_one):
    assert is_address(name) is is_one


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing.jsonl", "there is no file"), ("rows.json", "has to end in .jsonl, .csv, .tsv, .parquet")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, why):
    with pytest.raises(UserError, match=why):
        own_task(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (
            "twice.csv",
            "question,answer,answer\nWhat?,2,3\n",
            "several columns are called 'answer': rename them",
        ),
        ("torn.jsonl", '{"question": "1+1?", "answer": "2"}\n{"question": "1+', "line 2: .*mend the file"),
        ("list.jsonl", "[1, 2]\n", "line 1 is not a JSON object"),
        ("cells.csv", "question,answer\nWhat?,2,3\n", "different number of cells"),
        ("above.csv", "\nquestion,answer\nWhat?,2\n", "its first line is empty"),
        ("open.csv", 'question,answer\nWhat?,2\n"And?,3\n', "from line 3 on: unexpected end of data"),
        ("cut.csv", "question,answer\nWhat?,2\n\0\0\0", "it holds zero bytes: it is UTF-16, or was cut"),
        ("cut.jsonl", "\0\0", "line 1: it is UTF-16, or was cut by a power failure; save it as UTF-8"),
        ("not.parquet", "PAR1", "cannot be read"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, name, content, why):
    (tmp_path / name).write_text(content)
    with pytest.raises(
        UserError, match=f"^{tmp_path / name} cannot be read .*{why}" if why[0] != "c" else why
    ):
        own_task(str(tmp_path / name))


TABLE = "question,answer\nWhat is 2+2?,4\nWhat is 3+3?,6\n"
LONG = "word " * 30_000  # more than the csv module takes by itself


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.csv", TABLE),
        ("own.tsv", TABLE.replace(",", "\t")),
        ("OWN.TSV", TABLE.replace(",", "\t").encode("utf-16")),
        ("big.csv", TABLE.encode("utf-16-be").join([b"\xfe\xff", b""])),
        ("marked.csv", TABLE.encode("utf-8-sig")),
        ("ends.csv", TABLE.replace("\n", "\r\n")),
        ("told.csv", "sep=;\n" + TABLE.replace(",", ";")),
        ("commas.csv", TABLE.replace(",", ";").replace("answer", "answer;notes, if any")
         .replace(";4", ";4;a, b").replace(";6", ";6;")),
        ("blanks.csv", TABLE.replace("question,", " question , ")),
        ("behind.csv", TABLE.replace("\n", ",,\n")),
        ("behind_rows.csv", TABLE.replace("4\n", "4,\n")),
        ("tabs.tsv", TABLE.replace(",", "\t").replace("answer", "answer\thow, and why")
         .replace("4\n", "4\ta\n").replace("6\n", "6\tb\n")),
    ],
)  # fmt: skip
def test_a_table_is_read_as_spreadsheets_of_any_language_save_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    problems = problems_of(own_task(str(tmp_path / name)))
    assert [(one.question, one.answer) for one in problems] == [("What is 2+2?", "4"), ("What is 3+3?", "6")]


def test_a_cell_may_be_longer_than_131072_characters(tmp_path):
    (tmp_path / "own.csv").write_text(f'question,answer\n"{LONG}2+2?",4\n')
    (problem,) = problems_of(own_task(str(tmp_path / "own.csv")))
    assert len(problem.question) == len(LONG) + 4


# --- what the columns are ---

QUESTION = "Which is prime?"
COLUMNS = [
    ({"problem": "1+1?", "answer": "2"}, "maths", "2"),
    ({"Question": "1+1?", "Final_Answer": ["2"], "answer_type": "x"}, "maths", "2"),
    ({"prompt": [{"role": "user", "content": "1+1?"}], "reward_model": {"ground_truth": "2"}}, "maths", "2"),
    ({"question": "1+1?", "answer": "It is two.\n#### 2"}, "maths", "2"),
    ({"question": "1+1?", "solution": "We add and get \\boxed{2}."}, "maths", "2"),
    ({"question": "1+1?", "answer": 2}, "maths", "2"),
    ({"question": QUESTION, "options": ["4", "5", "6"], "answer": "B"}, "letter", "B"),
    (
        {"question": QUESTION, "choices": {"text": ["4", "5"], "label": ["1", "2"]}, "answerKey": "2"},
        "letter",
        "B",
    ),
    ({"question": QUESTION, "choices": {"A": "4", "B": "5"}, "answer": "(b)"}, "letter", "B"),
    ({"question": QUESTION, "options": '["four", "five"]', "answer": "five"}, "letter", "B"),
    ({"question": QUESTION, "A": "4", "B": "5", "C": "6", "answer": "B"}, "letter", "B"),
    ({"question": f"{QUESTION}\n(A) 4\n(B) 5\n(C) 6", "answer": "B"}, "letter", "B"),
    ({"question": QUESTION, "choices": ["5", "4"], "answer": 0}, "letter", "A"),
    ({"question": QUESTION, "option1": "4", "option2": "five", "option3": "6", "answer": "2"}, "letter", "B"),
    ({"question": QUESTION, "option1": "4", "option2": "five", "answer": 2}, "letter", "B"),
    ({"question": QUESTION, "option1": "4", "option2": "five", "answer": 0}, "letter", "A"),
    ({"question": QUESTION, "Option A": "4", "Option B": "five", "answer": "B"}, "letter", "B"),
    ({"question": QUESTION, "answer_1": "4", "answer_2": "5", "correct_answer": "5"}, "letter", "B"),
    ({"question": QUESTION, "number1": "4", "number2": "five", "answer": "five"}, "letter", "B"),
    ({"question": QUESTION, "hint1": "Try.", "hint2": "Divide.", "answer": "2"}, "maths", "2"),
    ({"question": QUESTION, "options": ["A. 4", "B. five"], "answer": "B"}, "letter", "B"),
    ({"question": QUESTION, "options": ["(A) 4", "(B) five"], "answer": "(B) five"}, "letter", "B"),
    ({"question": "1+1?", "answer": "答案是2。"}, "maths", "2"),
    ({"question": "1+1?", "answer": "So the answer is 2."}, "maths", "2"),
    ({"question": "1+1?", "answer": "정답은 2입니다."}, "maths", "2"),
    ({"question": QUESTION, "choices": ["4", "5"], "answer": 2}, "letter", "B"),
    ({"question": QUESTION, "options": "['4', 'it is 5']", "answer": "B"}, "letter", "B"),
    ({"question": QUESTION, "options": "A) 4 B) five C) 6", "answer": "B"}, "letter", "B"),
    ({"question": QUESTION, "options": "A. 4\nB. five", "answer": "five"}, "letter", "B"),
    ({"question": QUESTION, "options": "four\nfive\n", "answer": "B"}, "letter", "B"),
    ({"question": QUESTION, "options": ["A)4", "B)5"], "answer": "B)5"}, "letter", "B"),
    ({"question": QUESTION, "options": ["4", "five", "", None], "answer": "Five"}, "letter", "B"),
    ({"question": QUESTION, "options": {"A": "4", "B": "five", "C": None}, "answer": "B"}, "letter", "B"),
    (
        {
            "question": QUESTION,
            "options": [{"key": "1", "value": "4"}, {"key": "2", "value": "5"}],
            "answer": "2",
        },
        "letter",
        "B",
    ),
    ({"Problem": "1+1?", "Solution": "We add.", "Final Answer": "2"}, "maths", "2"),
    ({"question": QUESTION, "choices": ["4", "five"], "answer": 0.0}, "letter", "A"),
    ({"question": QUESTION, "options": "a ) 4 , b ) five , c ) 6", "answer": "b"}, "letter", "B"),
    ({"question": QUESTION, "Option A": "4", "Option B": "five", "Correct Option": "B"}, "letter", "B"),
]


@pytest.mark.parametrize(("row", "grade", "answer"), COLUMNS)
def test_columns_and_grader_are_guessed(tmp_path, row, grade, answer):
    task = own_task(file_of(tmp_path, [row]))
    (problem,) = problems_of(task)
    assert (task.choice["grade"], problem.answer, problem.unusable) == (grade, answer, "")
    assert task.grade(problem, task.gold(row)).correct
    assert not task.grade(problem, "The answer is \\boxed{C}.").correct
    assert "\\boxed{}" in task.prompt(problem, "m")
    pickle.loads(pickle.dumps((task.problem, task.grade)))  # they travel to other processes


def test_programs_are_judged_by_the_tests_of_their_row(tmp_path):
    tests = [{"input": "2\n", "output": "4\n"}, {"input": "3\n", "expected_output": "6\n"}]
    rows = [
        {"id": 1, "question": "Print twice the number.", "tests": tests},
        {
            "id": 2,
            "question": "Print twice the number.",
            "input_output": {"inputs": ["2\n"], "outputs": ["4\n"]},
        },
        {
            "id": 3,
            "question": "Print twice the number.",
            "input_output": '{"inputs": ["2\\n"], "outputs": ["4\\n"]}',
        },
    ]
    for row in rows:
        task = own_task(file_of(tmp_path, [row]))
        (problem,) = problems_of(task)
        assert task.choice["grade"] == "code" and task.limits["memory_limit"] == 2048
        assert task.grade(problem, "```python\nprint(2 * int(input()))\n```").correct
        assert task.grade(problem, "```python\nprint(int(input()))\n```").reason == "wrong_output"


def test_named_columns_win_and_a_column_can_be_left_out(tmp_path):
    rows = [{"id": "x", "question": "1+1?", "answer": "3", "mine": "2"}]
    task = own_task(file_of(tmp_path, rows), columns=["answer=mine", "id=none"])
    (problem,) = problems_of(task)
    assert problem.answer == "2" and problem.id != "x"


def test_rows_without_an_answer_or_a_question_are_counted(tmp_path):
    rows = [{"question": "1+1?", "answer": "2"}] * 3 + [{"question": "2?"}, {"answer": "2", "question": " "}]
    rows.append({"question": "both?", "answer": ["1", "2"]})
    assert [p.unusable for p in problems_of(own_task(file_of(tmp_path, rows)))[3:]] == [
        "no answer",
        "no question",
        "several answers",
    ]


USER = {"role": "user", "content": "1+1?"}
UNUSABLE = [
    ({"question": QUESTION, "A": "1", "B": "", "C": "3", "answer": "C"}, "an option is empty"),
    ({"question": QUESTION, "options": ["1", None, "3"], "answer": "C"}, "an option is empty"),
    (
        {"question": QUESTION, "options": ["1", "1"], "answer": "A"},
        "another option is equal to the right one",
    ),
    ({"question": "1+1?", "answer": float("nan")}, "no answer"),
    ({"question": ["1+1?"], "answer": "2"}, "a conversation instead of a question"),
    (
        {"messages": [{"role": "system", "content": "Be brief."}, USER], "answer": "2"},
        "a system message stands",
    ),
    ({"messages": [USER, {"role": "assistant", "content": "2"}, USER], "answer": "3"}, "a conversation"),
    ({"messages": [{"role": "user", "content": [{"type": "image"}]}], "answer": "3"}, "not all text"),
    ({"question": "add", "tests": [{"input": [1, 2], "output": 3}]}, "no function is named"),
    ({"question": "add", "tests": [{"input": "1 2", "result": "3"}]}, "a test without input and output"),
    (
        {"question": QUESTION, "options": list("abcdefghijk"), "answer": "K"},
        "11 options; letters are read up",
    ),
    ({"question": QUESTION, "options": "4|5|6", "answer": "B"}, "the options cannot be read: '4|5|6'"),
    (
        {"question": QUESTION, "options": [{"name": "4"}, {"name": "5"}], "answer": "B"},
        "options cannot be read",
    ),
    ({"question": QUESTION, "options": [["4"], ["5"]], "answer": "A"}, "the options cannot be read"),
]


@pytest.mark.parametrize(("row", "why"), UNUSABLE)
def test_a_row_that_would_be_asked_or_graded_otherwise_than_it_says_is_left_out(tmp_path, row, why):
    usable = {**row, "question": "?", "messages": [USER], "A": "1", "B": "2", "C": "3", "answer": "A"}
    usable |= {"options": ["1", "2"]} if "options" in row else {}
    usable |= {"tests": [{"input": "1", "output": "1"}]} if "tests" in row else {}
    usable = {name: usable[name] for name in row}
    first, second = problems_of(own_task(file_of(tmp_path, [usable, row])))
    assert not first.unusable and why in second.unusable


def test_the_options_of_a_map_are_shown_and_named_by_its_keys(tmp_path):
    import pyarrow
    import pyarrow.parquet

    options = pyarrow.array(
        [[("1", "four"), ("2", "five")]], pyarrow.map_(pyarrow.string(), pyarrow.string())
    )
    table = pyarrow.table({"question": [QUESTION], "options": options, "answer": ["2"]})
    pyarrow.parquet.write_table(table, tmp_path / "own.parquet")
    (problem,) = problems_of(own_task(str(tmp_path / "own.parquet")))
    assert (problem.choices, problem.answer) == (("four", "five"), "B")


def test_options_are_shown_without_what_they_were_written_in(tmp_path):
    written = (
        "['4', 'five']",
        "A) 4 B) five",
        "4\nfive",
        [{"label": "A", "text": "4"}, {"label": "B", "text": "five"}],
    )
    for options in written:
        task = own_task(file_of(tmp_path, [{"question": QUESTION, "options": options, "answer": "B"}]))
        assert f"{QUESTION}\n\nA. 4\nB. five\n\n" in task.prompt(problems_of(task)[0], "m")


def test_a_row_may_have_fewer_options_and_the_only_message_may_have_parts(tmp_path):
    rows = [{"question": QUESTION, "A": "1", "B": "2", "C": end, "answer": "B"} for end in ("3", "")]
    assert [len(p.choices) for p in problems_of(own_task(file_of(tmp_path, rows)))] == [3, 2]
    parts = [{"from": "human", "value": [{"type": "text", "text": "1+1?"}]}]
    (problem,) = problems_of(own_task(file_of(tmp_path, [{"messages": parts, "answer": "2"}])))
    assert problem.question == "1+1?"


def test_tests_may_call_a_function_that_a_column_names(tmp_path):
    row = {"question": "add", "fn_name": "add", "tests": [{"input": [1, 2], "output": 3}]}
    task = own_task(file_of(tmp_path, [row]))
    (problem,) = problems_of(task)
    assert "`add`" in task.prompt(problem, "m")
    assert task.grade(problem, "```python\ndef add(a, b):\n    return a + b\n```").correct


def test_letters_that_options_carry_are_shown_once(tmp_path):
    mixed = (["A. red", "blue"], "A. A. red\nB. blue")
    for options, shown in ((["A. red", "B. blue"], "A. red\nB. blue"), mixed):
        task = own_task(file_of(tmp_path, [{"question": "?", "options": options, "answer": "B"}]))
        assert f"?\n\n{shown}\n\n" in task.prompt(problems_of(task)[0], "m")


@pytest.mark.parametrize("name", ["own.JSONL", "Own.Jsonl"])
def test_suffixes_may_have_capitals(tmp_path, name):
    assert is_address(name)
    (problem,) = problems_of(own_task(file_of(tmp_path, [{"question": "1+1?", "answer": "2"}], name)))
    assert problem.answer == "2"


SENTENCES = [("共有12种", False), ("等于5", False), ("12种", True), ("甲班", True)]


@pytest.mark.parametrize(("answer", "reads"), SENTENCES)
def test_a_reference_that_reads_as_a_sentence_is_not_accepted_as_its_own_answer(tmp_path, answer, reads):
    task = own_task(file_of(tmp_path, [{"question": "?", "answer": answer}]))
    found = check_golds(task, problems_of(task))
    assert found.accepted == reads
    assert reads or "reads as a sentence" in next(iter(found.refused))


def test_golds_of_a_file_are_checked_with_named_columns(tmp_path, capsys):
    name = file_of(tmp_path, [{"question": "1+1?", "answer": "3", "mine": "2 or so"}])
    words = ["check-golds", "--dataset", name, "--columns", "answer=mine", "--grade", "number"]
    assert grading_cli.run(grading_cli.parse(words)) == 0
    assert "of 1 references are accepted" in capsys.readouterr().out
    with pytest.raises(UserError, match="Warmup says itself what its columns are"):
        grading_cli.run(grading_cli.parse(["check-golds", "--dataset", "Warmup", "--grade", "maths"]))


def test_who_cannot_reach_a_streamed_set_is_not_told_to_give_data_dir(monkeypatch):
    def fails(action, **about):
        raise hub._explained(OfflineModeIsEnabled("off"), **about)

    monkeypatch.setattr(hub, "_persistently", fails)
    with pytest.raises(UserError, match="or download its files and name one of them$"):
        hub.commit_of("org/name", "main")


def test_results_are_split_by_short_facts_alone(tmp_path):
    rows = [
        {"question": "1+1?", "answer": "2", "subject": "sums", "level": 3, "source": "x" * 100, "note": "y"}
    ]
    task = own_task(file_of(tmp_path, rows))
    assert task.groups == ("subject", "level")
    assert problems_of(task)[0].about == {"subject": "sums", "level": 3}


REFUSED = [
    (
        [{"text": "1+1?", "result": "2"}],
        {},
        "which column of .* has the answers.* its columns are text, result",
    ),
    ([{"a": "1+1?", "answer": "2"}], {}, "which column of .* has the questions.*--columns question=NAME"),
    ([{"question": "1+1?", "answer": "2"}], {"columns": ["answer=gold"]}, "has no column 'gold'"),
    ([{"question": "1+1?", "answer": "2"}], {"columns": ["reply=answer"]}, "it can name question, answer"),
    ([{"question": "1+1?", "answer": "2"}], {"grade": "code"}, "needs a column of tests"),
    (
        [{"question": QUESTION, "options": ["4", "5"], "answer": "B"}, {"question": "1+1?", "answer": "2"}],
        {},
        "of the first 2 rows 1 look like answers to be graded as",
    ),
    ([{"question": QUESTION, "choices": ["3", "4", "5"], "answer": 1}], {}, "first option the number 0 or 1"),
    (
        [{"question": QUESTION, "options": "4|5", "answer": "B"}],
        {},
        "cannot be read: '4|5': write .* JSON list",
    ),
    ([], {}, "has no rows"),
    (
        [{"question": QUESTION, "choices": ["3", "4"], "answer": 1}],
        {"columns": ["first=2"]},
        "has the number 0 or 1",
    ),
]


@pytest.mark.parametrize(("rows", "flags", "why"), REFUSED)
def test_what_cannot_be_guessed_is_asked_for(tmp_path, rows, flags, why):
    with pytest.raises(UserError, match=why):
        own_task(file_of(tmp_path, rows), **flags)


def test_the_number_of_the_first_option_can_be_said(tmp_path):
    rows = [{"question": QUESTION, "choices": ["3", "4", "5"], "answer": 1}]
    for first, letter in (("0", "B"), ("1", "A")):
        task = own_task(file_of(tmp_path, rows), columns=[f"first={first}"])
        assert problems_of(task)[0].answer == letter


# --- as a user runs it ---


@pytest.fixture
def ask(tmp_path):
    (tmp_path / "own.csv").write_text(
        "Problem,Answer,Topic,Key\nWhat is 2+2?,4,sums,a\nWhat is 1+3?,4,sums,b\nWhat is 2*3?,6,products,c\n"
        "What is left?,,sums,d\n"
    )
    engine = paper_engine(tmp_path, {"text": "That makes \\boxed{4}."})

    def run(*flags, name="own.csv"):
        where = ["--dataset", tmp_path / name, "--model", "m", "--result-dir", tmp_path / "r"]
        return script("inference_and_check.py", *where, *engine, *flags)

    return run


def test_one_command_leads_from_a_table_to_verdicts_and_the_next_ones_know_it(ask, tmp_path):
    done = ask("--columns", "id=Key")
    assert done.returncode == 0, done.stderr
    told = done.stderr
    assert "own.csv: answer=Answer, id=Key, question=Problem; graded as maths, results by Topic" in told
    assert "3 of 3 references are accepted as their own answer" in told
    assert "--- prompt 3, as it will be sent ---\nWhat is 2*3?\n" in told
    assert "3 problems, 1 left out (no answer)" in told
    assert last_line(done)["temperatures"]["0"]["correct"] == 2
    (folder,) = (tmp_path / "r").iterdir()
    info = json.loads((folder / "run.json").read_text())
    assert info["settings"]["columns"] == ["answer=Answer", "id=Key", "question=Problem"]
    assert info["groups"] == ["Topic"]
    assert [line["id"] for line in json_lines(folder / "problems.jsonl")] == ["a", "b", "c"]
    task = tasks.task_of(info)
    assert task is not None and task.choice == {key: info["settings"][key] for key in ("columns", "grade")}
    command = repeat_command(folder)
    assert f"--dataset {tmp_path / 'own.csv'} " in command and "--grade maths" in command
    assert "id=Key" in command

    assert "nothing to generate" in ask("--columns", "id=Key").stderr
    done = ask()
    assert done.returncode == 2 and "columns" in done.stderr
    text = (tmp_path / "own.csv").read_text()
    (tmp_path / "own.csv").write_text(text.replace("2*3?,6", "2*3?,5"))
    done = ask("--columns", "id=Key", "--check")
    assert done.returncode == 2 and "have changed since this run was made" in done.stderr


def test_programs_of_ones_own_are_run_as_those_of_a_benchmark(tmp_path):
    tests = [{"input": f"{n}\n", "output": f"{2 * n}\n"} for n in (1, 2, 3)]
    wanted = file_of(tmp_path, [{"id": 1, "question": "Print twice the number.", "tests": tests}])
    right = "print(2 * int(input()))"
    programs = (
        right,
        f"# as it is read, so it is doubled and printed\n{right}",
        "print(4)",
        "while True: pass",
    )
    lines = [{"index": n, "text": f"```python\n{text}\n```"} for n, text in enumerate(programs)]
    flags = ("--n", 4, "--temperatures", 1, "--all-tests", "--time-limit", 0.5)
    where = ("--dataset", wanted, "--model", "m", "--result-dir", tmp_path / "r")
    done = script("inference_and_check.py", *where, *paper_engine(tmp_path, *lines), *flags)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "r").iterdir()
    assert json.loads((folder / "run.json").read_text())["grading"]["isolation"]["tier"]
    found = {line["index"]: line["verdict"] for line in json_lines(folder / "verdicts.jsonl")}
    assert [found[n]["correct"] for n in range(4)] == [True, True, False, False]
    assert found[2]["detail"].endswith("; 1 passed"), "--all-tests runs those after the failed one"
    assert "0.5 s" in found[3]["detail"]
    pairs = ("--dataset", folder, "--target-model", "m", "--result-dir", tmp_path / "p")
    made = script("response_rewrite.py", *pairs)
    assert made.returncode == 0, made.stderr
    assert last_line(made)["pairs"]["whole"] == 1


def test_a_file_that_was_moved_is_the_same_data(ask, tmp_path, capsys):
    ask()
    (folder,) = (tmp_path / "r").iterdir()
    folder.rename(tmp_path / "first")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "own.csv").rename(tmp_path / "elsewhere" / "own.csv")
    assert ask(name="elsewhere/own.csv").returncode == 0
    (folder,) = (tmp_path / "r").iterdir()
    assert report.run(report.parse(["compare", str(tmp_path / "first"), str(folder)])) == 0


def test_answers_that_the_grader_does_not_read_are_shown_and_can_be_refused(ask, tmp_path):
    rows = [
        {"question": f"{n}?", "answer": answer} for n, answer in enumerate(["1", "2", "1.6} \\mathrm{~cm"])
    ]
    file_of(tmp_path, rows)
    done = ask("--dry-run", name="own.jsonl")
    assert done.returncode == 0 and "2 of 3 references are accepted" in done.stderr
    assert "1.6} " in done.stderr
    done = ask("--require-golds", 0.98, name="own.jsonl")
    assert done.returncode == 2 and "fewer than --require-golds 0.98: nothing was asked" in done.stderr
    assert not (tmp_path / "r").exists()


def test_one_right_option_for_all_and_repeated_questions_are_said(ask, tmp_path):
    rows = [{"question": f"{n % 10}?", "options": ["yes", "no"], "answer": "A"} for n in range(12)]
    file_of(tmp_path, rows)
    told = ask("--dry-run", name="own.jsonl").stderr
    assert "the right options: A 12" in told and "always the same one" in told
    assert "2 questions are asked more than once" in told


def test_questions_that_stand_in_a_benchmark_of_this_machine_are_named(ask, tmp_path):
    warm = json_lines(Path(tasks.__file__).parent / "warmup.jsonl")[4]
    rows = [{"id": "mine", "question": "Is 7 less than 9?", "answer": "yes"}]
    rows.append({"id": "theirs", "question": f"{warm['question'].upper()} ", "answer": "4"})
    file_of(tmp_path, rows)
    told = " ".join(ask("--dry-run", name="own.jsonl").stderr.split())
    assert "these stand in benchmarks, too: Warmup 1 (such as theirs, which is Warmup " in told
    assert re.search(r"compared with [\d,]+ of benchmarks that are here \(.*Warmup", told)
    assert re.search(r"not with the other \d\d, which are not", told)
    file_of(tmp_path, rows[:1])
    assert "stand in benchmarks" not in ask("--dry-run", name="own.jsonl").stderr


def test_a_benchmark_that_is_large_or_not_here_is_not_compared(tmp_path, monkeypatch):
    source = tasks.load_task("MATH500").source
    file = tmp_path / source.path / source.files["test"][0]
    file.parent.mkdir(parents=True)
    assert not cli._is_read_at_once(source, tmp_path)
    file.write_text("{}\n" * 10)
    assert cli._is_read_at_once(source, tmp_path)
    monkeypatch.setattr(cli, "READ_AT_ONCE_BYTES", 20)
    assert not cli._is_read_at_once(source, tmp_path)
    assert not cli._is_read_at_once(tasks.load_task("MATH").source, tmp_path)  # it is streamed


BAD = [
    (["--split", "test"], "no split 'test'"),
    (["--revision", "main"], "a file of this machine: leave --revision main out"),
    (["--release", "v5"], "--release narrows LiveCodeBench"),
    (["--columns", "question"], "is not WHAT=COLUMN"),
    (["--columns", "id=Topic"], "rows 1 and 2 of .* have the same id 'sums'"),
]


@pytest.mark.parametrize(("flags", "why"), BAD)
def test_flags_that_do_not_fit_are_refused_in_one_line(ask, flags, why):
    done = ask(*flags)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert re.search(why, done.stderr), done.stderr


def test_columns_of_a_benchmark_are_its_own():
    done = script("inference_and_check.py", "--dataset", "Warmup", "--model", "m", "--grade", "letter")
    assert done.returncode == 2 and "--grade: Warmup says itself what its columns are" in done.stderr


def test_two_files_of_one_name_are_refused_before_anything_is_asked(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        file_of(tmp_path / folder, [{"question": "1+1?", "answer": "2"}])
    names = ",".join(str(tmp_path / folder / "own.jsonl") for folder in ("a", "b"))
    done = script("eval.py", "--evals", names, "--model", "m", "--output-file", tmp_path / "out.json")
    assert done.returncode == 2 and "two of --evals are called own.jsonl" in done.stderr


def test_rows_that_cannot_be_asked_are_told_before_anything_is(ask, tmp_path):
    rows = [{"question": f"{n}?", "answer": ["1", "2"]} for n in range(3)]
    file_of(tmp_path, rows)
    done = ask("--dry-run", name="own.jsonl")
    assert done.returncode == 2 and "can be asked: 3 left out (several answers)" in done.stderr
    file_of(tmp_path, [*rows, {"question": "1+1?", "answer": "2"}])
    assert "own.jsonl: 3 left out (several answers)" in ask("--dry-run", name="own.jsonl").stderr


def test_eval_takes_own_problems_beside_benchmarks(tmp_path):
    name = file_of(tmp_path, [{"question": "What is 2+2?", "answer": "4"}])
    engine = paper_engine(tmp_path, {"text": "That makes \\boxed{4}."})
    out = tmp_path / "out.json"
    flags = ["--evals", f"Warmup,{name}", "--model", "m", "--limit", 1, "--result-dir", tmp_path / "r"]
    done = script("eval.py", *flags, *engine, "--output-file", out)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())["own.jsonl"] == 1.0


# --- from a stranger's table to training files ---


class Adder(FaultyEndpoint):
    """A model behind an endpoint that adds; every third answer is wrong, and some think longer."""

    def answer(self, body: dict) -> dict:
        reply = super().answer(body)
        a, b = map(int, re.findall(r"(\d+)\+(\d+)", body["messages"][-1]["content"])[0])
        turn = self._answers % 3
        thought = f"We have {a} and {b}. " + f"Once more we add {b} to {a}. " * 9 * turn
        total = a + b + (turn == 2)
        text = f"<think>\n{thought}\n</think>\n\nAdding {b} to the other number, {a}, "
        text += f"we see that the answer is \\boxed{{{total}}}."
        reply["choices"][0]["message"]["content"] = text
        reply["usage"]["completion_tokens"] = len(text.split())
        return reply


def test_a_strangers_table_leads_to_verdicts_in_one_command_and_to_pairs_and_training_data(tmp_path):
    rows = [f"q{n},What is {n}+{n + 1}?,答案是{2 * n + 1}。" for n in range(4)]
    (tmp_path / "Mine.CSV").write_text("Name,Problem,Solution\n" + "\n".join(rows) + "\n", encoding="utf-8")
    with Adder() as endpoint:
        where = ("--model", "openai/test-model", "--api-base", endpoint.url, "--result-dir", tmp_path / "r")
        sampling = ("--n", 3, "--temperatures", 0.7, "--concurrency", 1)
        done = script("inference_and_check.py", "--dataset", tmp_path / "Mine.CSV", *where, *sampling)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 references are accepted" in done.stderr
    assert last_line(done)["temperatures"]["0.7"]["correct"] == 8
    (run,) = (tmp_path / "r").iterdir()
    made = ("--target-model", "test-model", "--tokenizer", "none", "--thought", "think")
    done = script(
        "response_rewrite.py", "--variants", "whole", "--dataset", run, "--result-dir", tmp_path / "p", *made
    )
    assert done.returncode == 0, done.stderr
    assert last_line(done)["pairs"]["whole"] == 4
    out = ("--output", tmp_path / "train.json", "--thought", "think", "--decontaminate", "none")
    done = script("convert_to_data.py", "--input_dir", run, "--include-unformatted", *out)
    assert done.returncode == 0, done.stderr
    assert last_line(done)["rows"] == 4
