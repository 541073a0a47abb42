"""MMLU: 14,042 questions of 57 subjects with four options each."""

from tasks.common import grade_letter, letter_prompt, right_letter
from util.records import Problem
from util.task import Source, Task, content_id

# Of the areas in which Hendrycks et al., "Measuring Massive Multitask Language Understanding", 2021, sum up
# subjects; what is in none of these three is "other".
AREAS = {
    "humanities": frozenset(
        "formal_logic high_school_european_history high_school_us_history high_school_world_history"
        " international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy"
        " prehistory professional_law world_religions".split()
    ),
    "social sciences": frozenset(
        "econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics"
        " high_school_microeconomics high_school_psychology human_sexuality professional_psychology"
        " public_relations security_studies sociology us_foreign_policy".split()
    ),
    "STEM": frozenset(
        "abstract_algebra astronomy college_biology college_chemistry college_computer_science"
        " college_mathematics college_physics computer_security conceptual_physics electrical_engineering"
        " elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science"
        " high_school_mathematics high_school_physics high_school_statistics machine_learning".split()
    ),
}


def problem(row: dict) -> Problem:
    # 173 test rows share their question with an earlier row, so the subject and the options belong to the id.
    first, second, third, fourth = row["choices"]  # a row of another form is refused here
    return Problem(
        content_id(row["subject"], row["question"], row["choices"]),
        row["question"],
        "ABCD"[row["answer"]],
        choices=(first, second, third, fourth),
        about={"subject": row["subject"], "area": area(row["subject"])},
    )


def area(subject: str) -> str:
    return next((name for name, subjects in AREAS.items() if subject in subjects), "other")


def gold(row: dict) -> str | None:
    return right_letter("ABCD"[row["answer"]])


task = Task(
    name="MMLU",
    source=Source(
        path="cais/mmlu",
        files={
            "test": ("all/test-00000-of-00001.parquet",),
            "validation": ("all/validation-00000-of-00001.parquet",),
            "dev": ("all/dev-00000-of-00001.parquet",),
            "auxiliary_train": ("all/auxiliary_train-00000-of-00001.parquet",),
        },
        split="test",
        revision="c30699e8356da336a370243923dbaf21066bb9fe",
        by="subject",
        licence="MIT",
    ),
    problem=problem,
    prompt=letter_prompt,
    grade=grade_letter,
    gold=gold,
    groups=("area", "subject"),
)
