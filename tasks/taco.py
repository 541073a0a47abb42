"""TACO: 26,443 programming problems from contests and courses, judged by running the answer on tests."""

import re

from tasks.apps import gold, prompt
from util.grading.code import GRADE_TIMEOUT_S, USUAL_LIMITS, grade_code
from util.grading.code.places import BadRow
from util.grading.code.suites import suite_of
from util.records import Problem
from util.task import Source, Task, content_id

# Rows of the test split with several right answers, which comparing outputs cannot judge: by their position,
# after the list that the authors published (FlagOpen/TACO, output_spj.jsonl, Apache-2.0).
SPECIAL_JUDGE = frozenset(
    map(
        int,
        """
    5 10 16 18 20 23 28 36 41 42 47 54 56 71 72 77 81 83 84 90 94 96 106 107 115 119 130 134 137 140
    141 143 147 155 161 162 168 169 173 175 179 186 188 191 198 205 210 211 220 221 229 238 240 242
    243 249 253 257 258 259 260 264 268 279 287 289 290 294 295 298 305 308 318 323 327 329 331 334
    335 337 342 343 347 348 351 353 362 366 373 375 379 381 382 383 384 391 394 400 408 412 417 422
    444 447 451 465 475 477 485 487 488 490 504 508 510 519 522 526 527 531 543 550 552 554 555 558
    561 565 568 574 577 578 579 582 583 586 587 594 601 610 615 617 621 625 628 629 630 638 641 647
    649 659 663 665 667 671 673 675 677 695 702 718 720 723 726 734 742 743 754 771 774 775 784 785
    790 805 808 815 818 820 822 825 831 832 834 850 852 856 864 867 868 869 870 876 889 916 918 919
    936 941 942 945 946 952 953 957 958 962 967 968 969 972 984 986 988 990 991 992
    """.split(),
    )
)


_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(?:seconds?|secs?|s)", re.ASCII | re.IGNORECASE)


def seconds_in(text: str | None) -> float | None:
    """What a column such as "2.0 seconds" allows; None where it is empty or says something else."""
    found = _SECONDS.fullmatch((text or "").strip())
    return float(found[1]) or None if found else None


def needs_special_judge(row: dict) -> bool:
    at = row.get("tests_at", {})
    return "/test-" in at.get("file", "") and at["index"] in SPECIAL_JUDGE


def problem(row: dict) -> Problem:
    reference, unusable = None, ""
    about = {"difficulty": row["difficulty"], "url": row["url"] or "", "source": row["source"] or ""}
    note = ""
    if needs_special_judge(row):
        about["special_judge"], note = True, "several answers may be right"
    starter_code = row["starter_code"] or ""
    try:
        time_s = seconds_in(row.get("time_limit"))
        reference = suite_of(row, "apps", starter_code=starter_code, note=note, time_s=time_s)
    except BadRow as error:
        unusable = str(error)
    number = content_id(row["question"], row["starter_code"], row["input_output"])
    return Problem(number, row["question"], reference, about=about, unusable=unusable)


task = Task(
    name="TACO",
    source=Source(
        path="BAAI/TACO",
        files={
            "test": ("ALL/test-00000-of-00001.parquet",),
            "train": tuple(f"ALL/train-{n:05d}-of-00009.parquet" for n in range(9)),
        },
        split="test",
        revision="d593ed0a2becbbc952230bb89be09189bf1056dc",
        by="difficulty",
        columns=(
            "question",
            "solutions",
            "starter_code",
            "input_output",
            "difficulty",
            "source",
            "url",
            "time_limit",
        ),
        licence="Apache-2.0; parts MIT and CC BY 4.0",
        tests_on_disk=True,
    ),
    problem=problem,
    prompt=prompt,
    grade=grade_code,
    gold=gold,
    groups=("difficulty", "source"),
    grade_timeout_s=GRADE_TIMEOUT_S,
    limits={**USUAL_LIMITS, "time_limit": "row"},
    notes={
        "doubtful": "special_judge",  # 218 of the 1,000 test problems have several right answers
    },
)
