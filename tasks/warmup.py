"""Warmup: 40 one-step word problems that come with the suite, easy enough for a very small model."""

from util.grading.maths import grade_maths
from util.records import Problem, Verdict
from util.task import Source, Task

# A model of 135 million parameters copies worked examples; it follows no instruction about boxes.
EXAMPLES = """\
Question: Tom has 3 apples. He buys 4 more apples. How many apples does he have now?
Answer: 3 + 4 = 7. The answer is 7.

Question: There are 9 birds on a wall. 2 birds fly away. How many birds are left?
Answer: 9 - 2 = 7. The answer is 7.

Question: A box holds 5 pens. How many pens are in 2 boxes?
Answer: 5 x 2 = 10. The answer is 10.

Question: Eva reads 6 pages on Monday and 8 pages on Tuesday. How many pages does she read in all?
Answer: 6 + 8 = 14. The answer is 14."""


def problem(row: dict) -> Problem:
    return Problem(row["id"], row["question"], row["answer"])


def prompt(problem: Problem, model: str) -> str:
    return f"{EXAMPLES}\n\nQuestion: {problem.question}\nAnswer:"


def grade(problem: Problem, response: str) -> Verdict:
    return grade_maths(problem.reference, response, kind="number")


def gold(row: dict) -> str | None:
    return f"The answer is {row['answer']}."


task = Task(
    name="Warmup",
    source=Source(
        path="tasks/warmup.jsonl", files={"test": ("warmup.jsonl",)}, split="test", licence="as the suite"
    ),
    problem=problem,
    prompt=prompt,
    grade=grade,
    gold=gold,
)
