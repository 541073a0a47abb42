"""LiveCodeBench: contest problems from 2023 on, judged by running the answer on public and private tests."""

import re
from dataclasses import replace
from functools import partial

from tasks.apps import prompt
from util.errors import UserError
from util.grading.code import GRADE_TIMEOUT_S, USUAL_LIMITS, grade_code
from util.grading.code.places import BadRow
from util.grading.code.suites import suite_of
from util.records import Problem
from util.task import Source, Task

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

RELEASES = ("v1", "v2", "v3", "v4", "v5", "v6")
DEFAULT_RELEASE = "v6"
# The windows of contests that are reported most, by their numbers of problems: release, first and last day.
WINDOWS = {"v6-175": ("v6", "2025-02-01", "2025-05-31"), "v6-454": ("v6", "2024-08-01", "2025-05-31")}
# Problems that the authors' errata list: a comparison of outputs cannot judge the first two kinds.
ERRATA = {
    **dict.fromkeys(
        "abc311_c abc326_d abc327_b abc333_e abc343_e abc362_c arc185_c abc343_a "
        "find-words-containing-character find-the-peaks "
        "generate-binary-strings-without-adjacent-zeros".split(),
        "several answers are right",
    ),
    **dict.fromkeys(("abc337_e", "abc355_e"), "interactive"),
    **dict.fromkeys(
        ("abc350_c", "apply-operations-to-make-string-empty", "most-frequent-ids", "arc189_a"), "wrong tests"
    ),
}


def files_of_release(release: str) -> tuple[str, ...]:
    """The files of a release, which holds those before it; raises UserError for an unknown one."""
    if release not in RELEASES:
        raise UserError(f"--release {release}: choose from {', '.join([*RELEASES, *WINDOWS])}")
    return ("test.jsonl", *(f"test{n}.jsonl" for n in range(2, RELEASES.index(release) + 2)))


def narrowed(
    task: Task, *, release: str = DEFAULT_RELEASE, start_date: str | None = None, end_date: str | None = None
) -> Task:
    """The task with the problems of one release, of contests between two dates, both included."""
    choice = {"release": release, "start_date": start_date, "end_date": end_date}
    if release in WINDOWS:
        if start_date or end_date:
            raise UserError(
                f"--release {release} says itself which contests: leave --start-date and --end-date out"
            )
        release, start_date, end_date = WINDOWS[release]
    for flag, date in (("--start-date", start_date), ("--end-date", end_date)):
        if date is not None and not _DATE.fullmatch(date):
            raise UserError(f"{flag} {date}: write it as YYYY-MM-DD")
    if start_date and end_date and end_date < start_date:
        raise UserError(f"--end-date {end_date} is before --start-date {start_date}")
    keep = None
    if start_date or end_date:
        keep = partial(is_between, start_date=start_date or "", end_date=end_date or "9999")
    source = replace(task.source, files={"test": files_of_release(release)}, keep=keep)
    contests = (
        f"release {release}, contests from {start_date or 'its first day'} to {end_date or 'its last day'}"
    )
    return replace(task, source=source, choice=choice, notes={**task.notes, "contests": contests})


def is_between(row: dict, *, start_date: str, end_date: str) -> bool:
    return start_date <= row["contest_date"][:10] <= end_date


def erratum(row: dict) -> str:
    """What the errata say about a row, which they name by id or by title in short form; "" for most."""
    return ERRATA.get(row["question_id"]) or ERRATA.get(row["question_title"].lower().replace(" ", "-"), "")


def problem(row: dict) -> Problem:
    about = {name: row[name] for name in ("platform", "difficulty", "contest_date")}
    about["month"] = row["contest_date"][:7]
    note = erratum(row)
    if note:
        about["erratum"] = note
    reference, unusable = None, ""
    try:
        reference = suite_of(row, "livecodebench", starter_code=row["starter_code"] or "", note=note)
    except BadRow as error:
        unusable = str(error)
    return Problem(row["question_id"], row["question_content"], reference, about=about, unusable=unusable)


def gold(row: dict) -> str | None:
    return None  # the data set has no solutions


task = Task(
    name="LiveCodeBench",
    source=Source(
        path="livecodebench/code_generation_lite",
        files={"test": files_of_release(DEFAULT_RELEASE)},
        split="test",
        revision="0fe84c3912ea0c4d4a78037083943e8f0c4dd505",
        by="difficulty",
        licence="CC",
        unread=("private_test_cases",),
        tests_on_disk=True,
    ),
    problem=problem,
    prompt=prompt,
    grade=grade_code,
    gold=gold,
    groups=("platform", "difficulty", "month"),
    grade_timeout_s=GRADE_TIMEOUT_S,
    limits=USUAL_LIMITS,
    notes={
        "contests": f"release {DEFAULT_RELEASE}, all contests",
        "tests": "public and private tests",
        "doubtful": "erratum",  # the accuracy is also given without problems that have this in `about`
    },
    choice={"release": DEFAULT_RELEASE, "start_date": None, "end_date": None},
    narrow=narrowed,
)
