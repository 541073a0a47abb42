"""Benchmarks of mathematics in many languages, a benchmark for each."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tasks import FAMILIES, gsm8k
from tasks.common import grade_any_maths
from tasks.own import task_of_columns
from util.records import Problem, Verdict
from util.task import Source, Task

LEVELS = ("top", "high", "medium", "low")
WITH_DOTS = frozenset("de es id it pt vi".split())  # 70.000 is seventy thousand
_DOTTED = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+)(?:,(\d+))?(?![\d.,]*\d)")
_INDIAN = re.compile(r"(?<![\d.,])\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])")  # 1,00,000
_MYRIADS = re.compile(r"(\d+(?:\.\d+)?)\s?([万萬億亿])\s?(\d{1,4}(?!\d))?")
_LARGE = {"万": 10**4, "萬": 10**4, "億": 10**8, "亿": 10**8}


def in_english(text: str, code: str) -> str:
    """A text with its numbers as English writes them: digits, and what stands between thousands."""
    text = re.sub(r"\d", lambda digit: str(int(digit[0])), text)
    if code in WITH_DOTS:
        text = _DOTTED.sub(
            lambda found: found[1].replace(".", "") + (f".{found[2]}" if found[2] else ""), text
        )
    text = _INDIAN.sub(lambda found: found[0].replace(",", ""), text)
    return _MYRIADS.sub(_written_out, text.replace("，", ","))


def _written_out(found: re.Match[str]) -> str:
    value = float(found[1]) * _LARGE[found[2]] + int(found[3] or 0)
    return str(int(value)) if value == int(value) else found[0]


def grade_mgsm(problem: Problem, response: str, *, code: str) -> Verdict:
    return _either(gsm8k.grade, problem, response, code)


def grade_polymath(problem: Problem, response: str, *, code: str) -> Verdict:
    """As any maths; where an integer is asked for, also as the language writes one."""
    if not problem.answer.isdecimal():
        return grade_any_maths(problem, response)
    return _either(grade_any_maths, problem, response, code)


def _either(grade: Callable[[Problem, str], Verdict], problem: Problem, response: str, code: str) -> Verdict:
    verdict = grade(problem, response)
    if verdict.correct or (other := in_english(response, code)) == response:
        return verdict
    again = grade(problem, other)
    return again if again.correct else verdict


def mgsm(name: str, code: str) -> Task:
    """Translations of 250 problems of GSM8K, in the hub's own copy as parquet: the data set is a script."""
    source = Source(
        path="juletxara/mgsm",
        files={"test": (f"{code}/test/0000.parquet",)},
        split="test",
        revision="refs/convert/parquet",
        licence="CC BY-SA 4.0",
    )
    task = task_of_columns(name, source, {"question": "question", "answer": "answer_number"}, grade="number")
    return replace(task, grade=partial(grade_mgsm, code=code))


def polymath(name: str, code: str) -> Task:
    """Problems of four levels, which are its splits: 125 each."""
    files: dict[str, tuple[str, ...]] = {level: (f"{code}/{level}.parquet",) for level in LEVELS}
    source = Source(path="Qwen/PolyMath", files=files, split="top", licence="Apache-2.0")
    task = task_of_columns(name, source, {"question": "question", "answer": "answer", "id": "id"})
    return replace(task, grade=partial(grade_polymath, code=code))


MAKERS = {"MGSM": mgsm, "PolyMath": polymath}
TASKS = {
    name: MAKERS[name.split("-")[0]](name, name.split("-")[1])
    for name, file in FAMILIES.items()
    if file == "languages"
}
