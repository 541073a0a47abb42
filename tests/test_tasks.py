"""Does every benchmark turn its rows into problems, and does its grader accept the row's own answer?"""

import copy
import json
import pickle
import sys
from pathlib import Path

import pytest
from helpers import json_lines

from tasks import FAMILIES, FILES, SETS, full_name, load_task
from util import records
from util.data import rows as hub_rows
from util.errors import UserError
from util.generation.golds import check_golds

ROOT = Path(__file__).resolve().parent.parent
HUB = ROOT.parent / "shared" / "data" / "hub"
ROWS = json.loads((ROOT / "tests" / "rows.json").read_text(encoding="utf-8"))
TASKS = {name: load_task(name) for name in FILES}
needs_real_rows = pytest.mark.skipif(not HUB.is_dir(), reason=f"no copies of the data sets at {HUB}")


def example(name):
    return copy.deepcopy(ROWS[name]["row"])


def right_answer(name):
    """The row's own answer; LiveCodeBench has none, so that its example brings one."""
    return TASKS[name].gold(example(name)) or ROWS[name]["right"]


def test_every_task_file_is_listed():
    files = {file.stem for file in (ROOT / "tasks").glob("*.py")} - {"__init__", "common", "own"}
    assert files == {*FILES.values(), *FAMILIES.values()}, "add the new file to tasks/__init__.py"


def test_every_task_has_an_example_row():
    assert set(ROWS) == set(TASKS), "give each task one example row in tests/rows.json"


@pytest.mark.parametrize("name", TASKS)
def test_a_row_becomes_the_same_problem_twice(name):
    assert TASKS[name].problem(example(name)) == TASKS[name].problem(example(name))


@pytest.mark.parametrize("name", TASKS)
def test_a_benchmark_whose_answers_are_programs_leaves_its_tests_on_disk(name):
    # A run of code asks for a sandbox that isolates programs before it generates anything.
    has_programs = isinstance(TASKS[name].problem(example(name)).reference, records.TestSuite)
    assert TASKS[name].source.tests_on_disk is TASKS[name].is_code is has_programs


@pytest.mark.parametrize("name", TASKS)
def test_a_row_comes_out_as_it_went_in(name):
    row = example(name)
    problem = TASKS[name].problem(row)
    TASKS[name].prompt(problem, "some/model")
    TASKS[name].grade(problem, right_answer(name))
    assert row == ROWS[name]["row"]


@pytest.mark.parametrize("name", TASKS)
def test_the_gold_answer_of_a_row_is_accepted(name):
    problem = TASKS[name].problem(example(name))
    assert problem.unusable == ""
    verdict = TASKS[name].grade(problem, right_answer(name))
    assert verdict.correct, verdict


@pytest.mark.parametrize("name", TASKS)
def test_a_wrong_answer_is_not_accepted(name):
    verdict = TASKS[name].grade(TASKS[name].problem(example(name)), ROWS[name]["wrong"])
    assert not verdict.correct and verdict.reason, verdict


@pytest.mark.parametrize("name", TASKS)
def test_the_prompt_holds_the_question_and_every_option(name):
    problem = TASKS[name].problem(example(name))
    prompt = TASKS[name].prompt(problem, "some/model")
    assert problem.question in prompt
    for letter, text in zip("ABCDEFGHIJ", problem.choices, strict=False):
        assert f"{letter}. {text}" in prompt


@pytest.mark.parametrize("name", TASKS)
def test_a_task_travels_to_other_processes_by_name(name):
    task = TASKS[name]
    for function in (task.problem, task.prompt, task.grade, task.gold):
        assert getattr(sys.modules[function.__module__], function.__name__) is function


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_where_its_rows_lie_and_under_which_licence(name):
    source = TASKS[name].source
    assert source.split in source.files and source.licence


def test_gpqa_options_keep_their_order_and_the_letter_follows_the_right_one():
    letters = set()
    for number in range(40):
        row = example("GPQADiamond") | {"Record ID": f"recInvented{number:06d}"}
        problem = TASKS["GPQADiamond"].problem(row)
        assert problem.choices["ABCD".index(problem.reference)] == "The blip"
        assert set(problem.choices) == {"The blip", "NA", "None", "The blop"}
        letters.add(problem.reference)
    assert letters == set("ABCD")


def test_gpqa_options_that_differ_by_white_space_alone_make_a_row_unusable():
    row = example("GPQADiamond") | {"Incorrect Answer 1": " The blip"}
    assert TASKS["GPQADiamond"].problem(row).unusable == "two options are equal"


def test_a_numina_reference_is_the_last_box_and_boxes_are_counted():
    problem = TASKS["NUMINA"].problem(example("NUMINA"))
    assert (problem.reference, problem.about["boxes"]) == ("4", 2)


@pytest.mark.parametrize("solution", ["Thus it is proved.", "\\boxed{}", "\\boxed{3", None])
def test_a_numina_solution_without_a_whole_box_is_unusable(solution):
    row = example("NUMINA") | {"solution": solution}
    assert TASKS["NUMINA"].problem(row).unusable == "no boxed answer"
    assert TASKS["NUMINA"].gold(row) is None


def test_an_mmlu_pro_row_whose_letter_and_index_disagree_is_unusable():
    row = example("MMLUPro") | {"answer": "A"}
    assert TASKS["MMLUPro"].problem(row).unusable == "letter and index of the answer disagree"


def test_an_mmlu_pro_row_whose_first_option_is_right_is_usable():
    row = example("MMLUPro") | {"answer": "A", "answer_index": 0}
    assert TASKS["MMLUPro"].problem(row).unusable == ""


def test_arc_answers_follow_the_position_whatever_the_labels_are():
    assert TASKS["ARC-C"].problem(example("ARC-C")).reference == "C"
    row = example("ARC-C") | {"answerKey": "9"}
    assert TASKS["ARC-C"].problem(row).unusable == "the answer is not among the options"


def test_two_mmlu_rows_that_share_a_question_have_different_ids():
    other = example("MMLU") | {"choices": ["2", "4", "6", "8"], "answer": 0}
    assert TASKS["MMLU"].problem(other).id != TASKS["MMLU"].problem(example("MMLU")).id


def test_aime_answers_are_compared_as_integers():
    task = TASKS["AIME"]
    problem = task.problem(example("AIME"))
    assert task.grade(problem, "\\boxed{033}").correct and task.grade(problem, "\\boxed{33}").correct


def test_warmup_has_forty_different_problems():
    rows = hub_rows.open_rows(TASKS["Warmup"].source)
    problems = list(hub_rows.problems(TASKS["Warmup"], rows))
    assert len({p.id for p in problems}) == len({p.question for p in problems}) == 40


def rows_here(task):
    for split, files in task.source.files.items():
        if all((HUB / task.source.path / file).is_file() for file in files):
            yield from hub_rows.open_rows(task.source, split=split, data_dir=HUB)


@needs_real_rows
@pytest.mark.parametrize("name", [name for name in TASKS if name not in ("Warmup", "LiveCodeBench")])
def test_the_gold_answers_of_all_rows_are_accepted(name):
    task, refused, asked = TASKS[name], [], 0
    for row in rows_here(task):
        problem, answer = task.problem(row), task.gold(row)
        if problem.unusable or answer is None:
            continue
        asked += 1
        verdict = task.grade(problem, answer)
        if not verdict.correct:
            refused.append((problem.id, answer[:200], verdict))
    assert asked and not refused, f"{len(refused)} of {asked}: {refused[:5]}"


@needs_real_rows
@pytest.mark.parametrize("name", [name for name in TASKS if name not in ("Warmup", "LiveCodeBench")])
def test_the_ids_of_all_problems_differ(name):
    rows = hub_rows.open_rows(TASKS[name].source, data_dir=HUB)
    ids = [problem.id for problem in hub_rows.problems(TASKS[name], rows)]
    assert len(ids) == len(set(ids)) > 0


@needs_real_rows
@pytest.mark.parametrize(("name", "rows"), [("AIME", 30), ("AMC23", 40), ("MATH500", 500), ("ARC-C", 1172)])
def test_a_benchmark_has_the_rows_it_is_known_for(name, rows):
    counts = hub_rows.RowCounts()
    for _ in hub_rows.problems(
        TASKS[name], hub_rows.open_rows(TASKS[name].source, data_dir=HUB), counts=counts
    ):
        pass
    assert counts.rows == counts.problems == rows


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2.0 seconds", 2.0), ("1 second", 1.0), ("0.5 s", 0.5), ("3 sec", 3.0), ("", None), (None, None)]
    + [("0 seconds", None), ("500 ms", None), ("two seconds", None)],
)
def test_a_row_of_taco_may_say_how_long_a_test_may_take(text, seconds):
    problem = TASKS["TACO"].problem({**example("TACO"), "time_limit": text})
    assert problem.reference.time_s == seconds


# --- families: a row in the schema of their data set each, invented ---

MATHS = {
    "problem": "What is $1+1$?",
    "answer": "2",
    "problem_idx": 7,
    "problem_type": ["Algebra", "Geometry"],
}
OPTIONS = {
    "question": "Which is even?",
    "options": ["1", "2", "3"],
    "answer": "2",
    "answer_letter": "B",
    "uuid": "u",
}
# Invented, in the schema of the data sets' cards.
SIMPLE_QA = [
    {
        "original_index": number,
        "problem": question,
        "answer": answer,
        "topic": topic,
        "answer_type": kind,
        "multi_step": False,
        "requires_reasoning": False,
        "urls": "https://example.org/a,https://example.org/b",
    }
    for number, (question, answer, topic, kind) in enumerate(
        (
            ("In which year did the invented town of Aal get its mill?", "1871", "History", "Date"),
            ("Who painted the invented picture Two Kites?", "Ida Holm", "Art", "Person"),
            (
                "How many metres high is the invented Mount Brumm?",
                "2104 (acceptable range: anything between 2083 and 2125)",
                "Geography",
                "Number",
            ),
        )
    )
]
HLE = [
    {
        "id": f"invented-{number}",
        "question": question,
        "image": image,
        "image_preview": None,
        "answer": answer,
        "answer_type": kind,
        "author_name": "Nobody",
        "rationale": "As it says.",
        "rationale_image": None,
        "raw_subject": "Algebra",
        "category": "Math",
        "canary": "invented",
    }
    for number, (question, image, answer, kind) in enumerate(
        (
            (
                "Which group has one element?\n\nAnswer Choices:\nA. The trivial one\nB. Z",
                "",
                "A",
                "multipleChoice",
            ),
            ("What is shown?", "data:image/png;base64,AAAA", "A knot", "exactMatch"),
            (
                "What is the order of $\\boxed{S_3}$? #### Say it.",
                "",
                "6, that is 3! \\boxed{}",
                "exactMatch",
            ),
        )
    )
]
FAMILY_ROWS = {
    "contests": MATHS,
    "OlymMATH": {"problem": "What is $1+1$?", "answer": "2", "subject": "Algebra"},
    "OlympiadBench": {"id": 4, "question": "What is $1+1$?", "final_answer": ["2"], "subfield": "Algebra"},
    "Minerva": {
        "idx": 4,
        "question": "What is $1+1$?",
        "answer": "2}",
        "solution": "So \\boxed{2}.",
        "type": "x",
    },
    "MATH": {
        "problem": "What is $1+1$?",
        "solution": "So \\boxed{2}.",
        "type": "Algebra",
        "level": "Level 1",
    },
    "IMOAnswerBench": {
        "Problem ID": "a-1",
        "Problem": "What is $1+1$?",
        "Short Answer": "$2$",
        "Category": "Algebra",
    },
    "SuperGPQA": {**OPTIONS, "discipline": "Science", "field": "Maths", "difficulty": "easy"},
    "MMLURedux": {
        "question": "Which is even?",
        "choices": ["1", "2", "3", "5"],
        "answer": 1,
        "error_type": "ok",
        "config": "astronomy",
    },
    "SimpleQA-Verified": SIMPLE_QA[0],
    "HLE-text": HLE[0],
    "MGSM": {"question": "Was ist 1 + 1?", "answer": None, "answer_number": 2},
    **{row["task"]: row["row"] for row in json_lines(ROOT / "tests/cases/test_programs.jsonl")},
    "IFEval": {
        "key": 1000,
        "prompt": "How was it? In small letters and without commas.",
        "instruction_id_list": ["punctuation:no_comma", "detectable_format:number_bullet_lists"],
        "kwargs": [{}, {"num_bullets": 1}],
    },
    "IFBench": {
        "key": "0",
        "prompt": "How was it? As a list with one star, and at most ten words.",
        "instruction_id_list": ["format:list", "count:word_count_range"],
        "kwargs": [{"sep": "*", "N": None}, {"sep": None, "min_words": 1.0, "max_words": 10.0}],
    },
    "PolyMath": {"id": "top-de-0", "question": "Was ist 1 + 1?", "answer": "2"},
}


RIGHT = "* good\n\nx *"  # of the benchmarks without gold answers


def family_row(name):
    if name in ("GPQAMain", "GPQAExtended"):
        return example("GPQADiamond")
    own = FAMILY_ROWS.get(name) or FAMILY_ROWS.get(name.split("-")[0]) or FAMILY_ROWS[FAMILIES[name]]
    return copy.deepcopy(own)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_benchmark_of_a_family_reads_a_row_asks_it_and_grades_it(name):
    task, row = load_task(name), family_row(name)
    problem = task.problem(row)
    assert task.name == name and row == family_row(name) and not problem.unusable
    assert task.ask_judge is not None or task.grade(problem, task.gold(row) or RIGHT).correct
    wrong = task.grade(problem, "The answer is \\boxed{3}." if not problem.choices else "It is \\boxed{Z}.")
    assert not wrong.correct and wrong.reason
    prompt, is_bare = task.prompt(problem, "m"), "rules" in problem.about or task.ask_judge is not None
    form = "```python" if task.is_code else "" if is_bare else "\\boxed{}"
    assert problem.question in prompt and form in prompt and all(text in prompt for text in problem.choices)
    assert {*problem.about} == {*task.groups}
    assert pickle.loads(pickle.dumps((task.problem, task.grade, task.gold, task.prompt)))
    source = task.source
    assert source.licence and source.split and (source.is_streamed or source.split in source.files)
    assert source.keep is None or source.keep(row)


LANGUAGES = json_lines(ROOT / "tests/cases/languages.jsonl")  # invented, in the forms of the real answers


@pytest.mark.parametrize("case", LANGUAGES, ids=[f"{case['task']} {case['right'][0]}" for case in LANGUAGES])
def test_numbers_of_many_languages_and_answers_in_latex_are_read_as_they_are_meant(case):
    task = load_task(case["task"])
    problem = task.problem(case["row"])
    assert not problem.unusable and task.grade(problem, task.gold(case["row"])).correct
    for right in case["right"]:
        assert task.grade(problem, f"\\boxed{{{right}}}").correct, right
    for wrong in case["wrong"]:
        assert task.grade(problem, f"\\boxed{{{wrong}}}").reason in ("wrong_answer", "undecided"), wrong


def test_rows_of_mmlu_that_were_found_wrong_are_no_part_of_mmlu_redux():
    assert not load_task("MMLURedux").source.keep({"error_type": "wrong_groundtruth"})


@pytest.mark.parametrize(("name", "rows"), [("SimpleQA-Verified", SIMPLE_QA), ("HLE-text", HLE)])
def test_rows_that_a_judge_grades_are_asked_as_they_stand_and_their_answers_are_taken_whole(name, rows):
    task = load_task(name)
    kept = [row for row in rows if task.source.keep is None or task.source.keep(row)]
    assert len(kept) == (3 if name == "SimpleQA-Verified" else 2)  # one has a picture
    for row in kept:
        problem = task.problem(row)
        assert problem.answer == row["answer"] and task.prompt(problem, "m") == problem.question
        assert task.gold(row) is None
        found = task.grade(problem, f"<think>hm</think>{row['answer']}")
        assert (found.reason, found.extracted) == ("not_asked", row["answer"])
        asked = task.ask_judge(problem.question, problem.answer, found.extracted)
        assert f"Right answer: {json.dumps(problem.answer)}\n" in asked
    assert len({task.problem(row).id for row in kept}) == len(kept)
    with pytest.raises(UserError, match=f"{name} is graded by a judge: check-golds asks graders"):
        check_golds(task, [])


@needs_real_rows
@pytest.mark.parametrize(("name", "rows"), [("OlympiadBench", 675), ("Minerva", 272)])
def test_the_grader_accepts_all_answers_of_a_family_whose_rows_are_here(name, rows):
    task = load_task(name)
    found = list(hub_rows.problems(task, hub_rows.open_rows(task.source, data_dir=HUB)))
    assert len(found) == rows == check_golds(task, found).accepted


def test_sets_name_benchmarks_that_exist():
    assert all(full_name(name, what="x") == name for names in SETS.values() for name in names)
