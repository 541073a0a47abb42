"""What do several benchmarks say alike? Prompts, graders and right answers of options and of maths."""

from collections.abc import Sequence

from util.grading.choice import grade_choice
from util.grading.maths import grade_maths
from util.records import Problem, Verdict, by_letter

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WRITE_LETTER = "Think it through, then write the letter of the right option inside \\boxed{}."


def lettered(options: Sequence[str]) -> str:
    return "\n".join(f"{letter}. {text}" for letter, text in by_letter(options).items())


def letter_prompt(problem: Problem, model: str) -> str:
    return "\n\n".join(filter(None, [problem.question, lettered(problem.choices), WRITE_LETTER]))


def grade_letter(problem: Problem, response: str) -> Verdict:
    return grade_choice(problem.answer, response, options=problem.choices)


def right_letter(letter: str) -> str:
    return f"The right option is \\boxed{{{letter}}}."


def maths_prompt(problem: Problem, model: str) -> str:
    return f"{problem.question}\n\nThink it through, then write the final answer inside \\boxed{{}}."


def plain_maths_prompt(problem: Problem, model: str) -> str:
    return f"{problem.question}\n\nPut the final answer in \\boxed{{}}."


def grade_any_maths(problem: Problem, response: str) -> Verdict:
    return grade_maths(problem.answer, response, question=problem.question)


def right_answer(answer: str) -> str:
    return f"The final answer is \\boxed{{{answer}}}."
