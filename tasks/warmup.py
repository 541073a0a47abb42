"""Warmup: 40 word problems that come with the suite; a very small model gets about half of them."""

from util.grading.maths import grade_maths
from util.records import Problem, Verdict
from util.task import Source, Task

# A model of 135 million parameters copies the form of worked examples and follows no instruction about boxes.
EXAMPLES = """\
Question: A box holds 6 pens. How many pens are in the box?
Answer: The answer is 6.

Question: Tom has 31 apples. He eats none of them. How many apples does he have?
Answer: The answer is 31.

Question: There are 27 ducks on a pond. No duck flies away. How many ducks are on the pond?
Answer: The answer is 27.

Question: Lisa has 5 cups. She buys 3 more cups. How many cups does she have?
Answer: The answer is 8."""


def problem(row: dict) -> Problem:
    return Problem(row["id"], row["question"], row["answer"])


def prompt(problem: Problem, model: str) -> str:
    return f"{EXAMPLES}\n\nQuestion: {problem.question}\nAnswer:"


def grade(problem: Problem, response: str) -> Verdict:
    answer = response.split("Question:")[0]  # small models go on with questions of their own
    return grade_maths(problem.answer, answer, kind="number", accept="low")


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
