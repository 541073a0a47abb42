"""Further benchmarks of programs: functions under test programs, HumanEval+ and MBPP+ of EvalPlus."""

from dataclasses import replace

from tasks.own import task_of_columns
from util.grading.code.places import BadRow
from util.grading.code.suites import function_of, suite_of
from util.records import Problem, TestSuite
from util.task import Source

WRITE = "Put the whole Python function `{name}`, with what it needs, into one ```python block."
# Its test hands the root over as if it were a list, and no answer passes it (evalplus issue 253).
WITHOUT_ORACLE = {"HumanEval/32": "its tests accept no answer"}
# Three tests of MBPP+ (737, 787, 794) look at the result and then assert nothing.
LOOKED_AT = "        exact_match = exp == (out is not None)\n"


def humaneval_problem(row: dict) -> Problem:
    return _problem(
        row["task_id"],
        row["prompt"].strip(),
        {"setup": row["prompt"], "test": row["test"], "entry_point": row["entry_point"]},
        WITHOUT_ORACLE.get(row["task_id"], ""),
    )


def humaneval_prompt(problem: Problem, model: str) -> str:
    return f"Complete this code.\n\n```python\n{problem.question}\n```\n\n{_words(problem)}"


def humaneval_gold(row: dict) -> str:
    return f"```python\n{row['prompt']}{row['canonical_solution']}\n```"


def mbpp_problem(row: dict) -> Problem:
    shown = "\n".join(row["test_list"])
    return _problem(
        str(row["task_id"]),
        f"{row['prompt'].strip()}\n\nThese tests have to pass:\n```python\n{shown}\n```",
        {
            "setup": "\n".join(row["test_imports"]),
            "test": row["test"].replace(LOOKED_AT, f"{LOOKED_AT}    assert exact_match\n"),
            "entry_point": function_of(shown),
        },
    )


def mbpp_prompt(problem: Problem, model: str) -> str:
    return f"{problem.question}\n\n{_words(problem)}"


def mbpp_gold(row: dict) -> str:
    return f"```python\n{row['code']}\n```"


def _problem(name: str, question: str, tests: dict, unusable: str = "") -> Problem:
    reference = None
    try:
        reference = suite_of(tests, "asserts")
    except BadRow as error:
        unusable = unusable or str(error)
    return Problem(name, question, reference, unusable=unusable)


def _words(problem: Problem) -> str:
    suite = problem.reference
    assert isinstance(suite, TestSuite), problem.unusable
    return WRITE.replace("{name}", suite.function or "")


def _source(path: str, file: str, revision: str) -> Source:
    name = f"data/test-00000-of-00001-{file}.parquet"
    return Source(path, {"test": (name,)}, split="test", revision=revision, licence="Apache-2.0")


HUMANEVAL = _source("evalplus/humanevalplus", "5973903632b82d40", "d32357cf319e50e9c8d8dab5ea876c72b0fd321b")
MBPP = _source("evalplus/mbppplus", "d5781c9c51e02795", "b2d74c91837c3f2a20c1299ae98133cbe7cfa077")
TASKS = {
    "HumanEval+": replace(
        task_of_columns("HumanEval+", HUMANEVAL, {}, grade="code"),
        problem=humaneval_problem,
        prompt=humaneval_prompt,
        gold=humaneval_gold,
    ),
    "MBPP+": replace(
        task_of_columns("MBPP+", MBPP, {}, grade="code"),
        problem=mbpp_problem,
        prompt=mbpp_prompt,
        gold=mbpp_gold,
    ),
}
