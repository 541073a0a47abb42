"""Problems of one's own: any file or data set with columns for questions and answers.

`own_task` looks at the first rows, guesses what the columns are, and makes a benchmark of them.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tasks import apps, gsm8k, numina
from tasks.common import LETTERS, grade_any_maths, grade_letter, letter_prompt, lettered, maths_prompt
from util import prompts
from util.data.addresses import Address, read_address
from util.data.columns import NAMES
from util.data.columns import value_at as _at
from util.data.rows import open_rows
from util.data.streamed import ONLY_CONFIG
from util.errors import UserError
from util.grading.choice import LETTERS as READ_LETTERS
from util.grading.choice import grade_choice
from util.grading.code import GRADE_TIMEOUT_S, USUAL_LIMITS, grade_code
from util.grading.code.places import BadRow
from util.grading.code.suites import asserts, code_of, function_of, suite_of
from util.grading.judged import grade_judged
from util.grading.maths.answers import find_answer
from util.records import Problem, TestSuite, Verdict
from util.task import Source, Task, content_id

FACTS = "subject category topic field domain type level difficulty source language".split()
LOOKED_AT = 200  # rows from which columns and grader are guessed
BOX = "\\boxed"
FACT_CHARS = 60  # longer texts are no facts by which results are split
PAIRED_TESTS = ("inputs", "outputs")  # tests in two columns
NO_COLUMN = "none"  # stands for a column that is not to be guessed
FIRST = "first"  # among the columns: the number that the first option has, where answers are numbers
_RISKY = re.compile(r"[\x7f-\x9f\u2028\u2029]|<(?=[^\s\d=])|\[(?=/?(?:INST|SYS))")
_LETTERED = re.compile(r"\s*[(\[]?([A-Z])[.):\]]\s*(.*\S)\s*", re.DOTALL)  # "A. red"
_HEAD = re.compile(
    r"(?:^|(?<=\s))[(\[]?([A-Za-z])\s?[.):\]](?=\s)"
)  # of an option, in a text that lists several
LABELLED = (("label", "text"), ("key", "value"))  # what the parts of an option that is an object are called
OUTPUTS = ("output", "expected_output", "expected")  # what a test with an "input" may call the other side
# What a column of an option ends with, behind what all of them begin with.
_MARKED = re.compile(r"(.*?)[_ -]?([A-Ja-j]|10|[0-9])")
OPTION_STEMS = ("option", "options", "choice", "choices", "opt", "answer", "ans", "alternative")
_SAID = re.compile(r"[^\W\d_]{2}.*\s|[^\x00-\u03ff]", re.DOTALL)  # words, as far as that is seen at once
_LISTED = re.compile(r"^\s*[(\[]?([A-Z])[.):\]]\s*\S", re.MULTILINE)


def own_task(
    text: str,
    *,
    columns: Sequence[str] | None = None,
    grade: str | None = None,
    split: str | None = None,
    revision: str | None = None,
) -> Task:
    """The benchmark that a file or data set is.

    `columns` are pairs such as "question=problem"; what they leave out, and `grade`, is guessed from the
    first rows. Raises UserError where that cannot be done.
    """
    address = read_address(text)
    source = _source(address, split, revision)
    opened = open_rows(source, revision=revision or address.revision)
    if source.is_streamed:
        config = None if opened.streamed_from == ONLY_CONFIG else opened.streamed_from
        address = Address(address.path, config=config, split=opened.split)
        source = replace(source, config=opened.streamed_from, split=opened.split, revision=opened.revision)
    rows = list(itertools.islice(opened, LOOKED_AT))
    if not rows:
        raise UserError(f"{address} has no rows")
    found = _columns(address, rows, dict(pair.split("=", 1) for pair in columns or ()), grade)
    judged = grade or _guess_grade(address, rows, found)
    if judged == "code" and "tests" not in found:
        raise UserError(f"{address}: --grade code needs a column of tests: {_what_is_there(rows)}")
    if judged != "code" and "answer" not in found:
        raise _unknown(address, rows, "the answers", "answer")
    choice = {"columns": sorted(f"{what}={name}" for what, name in found.items()), "grade": judged}
    task = task_of_columns(address.name, source, found, grade=judged, facts=_facts(rows, {*found.values()}))
    return replace(task, choice=choice, address=str(address))


def task_of_columns(
    name: str,
    source: Source,
    columns: Mapping[str, str],
    *,
    grade: str = "maths",
    facts: tuple[str, ...] = (),
) -> Task:
    """The benchmark whose rows have these columns; results are split by the columns `facts`."""
    is_code = grade == "code"
    return Task(
        name=name,
        source=source,
        problem=partial(problem, columns=columns, grade=grade, facts=facts),
        prompt=PROMPTS[grade],
        grade=grade_code if is_code else GRADERS[grade],
        gold=partial(gold, columns=columns, grade=grade),
        ask_judge=ask_judge if grade == "judge" else None,
        grade_timeout_s=GRADE_TIMEOUT_S if is_code else Task.grade_timeout_s,
        limits=USUAL_LIMITS if is_code else {},
        groups=facts,
    )


# --- one row ---


def problem(row: dict, *, columns: Mapping[str, str], grade: str, facts: tuple[str, ...]) -> Problem:
    question, unusable = "", ""
    reference: str | TestSuite | None = None
    options: tuple[str, ...] = ()
    try:
        question = _question(_at(row, columns["question"]))
        options, labels = _options(row, columns.get("options"))
        if grade == "code":
            reference = _suite(row, columns)
        elif grade == "letter":
            options = options or _listed_options(question)
            if len(options) > len(READ_LETTERS):
                raise BadRow(f"{len(options)} options; letters are read up to {READ_LETTERS[-1]}")
            reference = _letter(_right_option_at(row, columns), options, labels, columns.get(FIRST))
        elif grade == "judge" and options:
            letter = _letter(_right_option_at(row, columns), options, labels, columns.get(FIRST))
            question += f"\n\n{lettered(options)}"
            reference = f"{letter}. {options[LETTERS.index(letter)]}"
        else:
            reference = _answer(_at(row, columns["answer"]), is_whole=grade == "judge")
    except BadRow as error:
        unusable = str(error)
    name = _at(row, columns["id"]) if "id" in columns else None
    answer = reference if isinstance(reference, str) else None
    return Problem(
        content_id(question, answer) if name is None else str(name),
        question,
        reference,
        choices=options if grade == "letter" and "options" in columns else (),
        about={fact: _fact(row[fact]) for fact in facts if row.get(fact) is not None},
        unusable=unusable or ("" if question.strip() else "no question"),
    )


def gold(row: dict, *, columns: Mapping[str, str], grade: str) -> str | None:
    if grade in ("code", "judge"):
        return None
    found = problem(row, columns=columns, grade=grade, facts=())
    if found.unusable:
        return None
    return f"The final answer is {found.answer if BOX in found.answer else f'{BOX}{{{found.answer}}}'}."


def _fact(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _question(value: Any) -> str:
    """The text of a question, which may be the only message of a list."""
    if not isinstance(value, list):
        return value if isinstance(value, str) else ""
    messages = [each for each in value if isinstance(each, Mapping)]
    roles = [each.get("role", each.get("from")) for each in messages]
    if "system" in roles:
        raise BadRow("a system message stands before the question")
    if len(value) != 1 or roles[:1] not in (["user"], ["human"]):
        raise BadRow("a conversation instead of a question")
    content = messages[0].get("content", messages[0].get("value"))
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise BadRow("a question that is not all text")
        content = "\n".join(map(str, parts))
    return content if isinstance(content, str) else ""


def _right_option_at(row: Mapping[str, Any], columns: Mapping[str, str]) -> Any:
    """What the column of answers holds where it names an option; a table with gaps holds 2 as 2.0."""
    value = _at(row, columns["answer"])
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _answer(value: Any, *, is_whole: bool) -> str:
    """The answer that a text gives, or the text itself where it `is_whole`."""
    if isinstance(value, list):
        if len(value) != 1:
            raise BadRow("no answer" if not value else "several answers")
        value = value[0]
    if value is None or isinstance(value, dict) or (isinstance(value, float) and not math.isfinite(value)):
        raise BadRow("no answer")
    text = str(value).strip()
    if is_whole:
        pass
    elif "####" in text:  # a worked solution that ends so
        text = text.rpartition("####")[2].strip()
    elif BOX in text:
        text = numina.answer_text(text) or ""
    if not text:
        raise BadRow("no answer")
    if _SAID.search(text) and (found := find_answer(text, lowest="medium")) is not None:
        if found.how == "declared" and not found.cause:  # a sentence such as "The answer is 12."
            return found.text
    return text


def _options(row: Mapping[str, Any], name: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts of the options and their own labels, where they have some."""
    if name is None:
        return (), ()
    if "," in name:
        texts = _without_last_blanks([_at(row, one) for one in name.split(",")])  # this row may have fewer
        marks = [one[len(one.rstrip("0123456789")) :] for one in name.split(",")[: len(texts)]]
        return _unlettered(texts), tuple(marks) if all(marks) else ()
    value = _at(row, name)
    if not isinstance(value, str | list | Mapping) or not value:
        return (), ()
    if isinstance(value, str):
        value = _written_options(value)
    labels: Sequence[object] = ()
    if isinstance(value, Mapping):
        if isinstance(value.get("text"), list):
            value, labels = value["text"], value.get("label") or ()
        else:
            value, labels = list(value.values()), list(value)
    elif isinstance(value, list) and value and all(isinstance(one, tuple) and len(one) == 2 for one in value):
        value, labels = [text for _, text in value], [label for label, _ in value]  # a map of parquet
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        value, labels = _from_objects(value)
    if not isinstance(value, list) or any(isinstance(one, list | tuple | Mapping) for one in value):
        raise BadRow(f"the options cannot be read: {str(_at(row, name))[:FACT_CHARS]!r}")
    value = _without_last_blanks(value)
    return _unlettered(value), tuple(map(str, labels[: len(value)]))


def _written_options(text: str) -> Any:
    """The options that a text lists: as JSON or in Python's way, behind their letters, or one a line."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    heads: list[re.Match[str]] = []
    for head in _HEAD.finditer(text.strip()):
        if head[1].upper() == LETTERS[len(heads)] and (heads or head.start() == 0):
            heads.append(head)
    if len(heads) > 1:
        ends = [*(head.start() for head in heads[1:]), len(text.strip())]
        return [text.strip()[head.end() : end].strip(" \n,;") for head, end in zip(heads, ends, strict=True)]
    lines = text.strip().splitlines()
    return lines if len(lines) > 1 else None


def _from_objects(options: Sequence[Any]) -> tuple[list, list]:
    """The texts and the labels of options that are an object each."""
    for label, text in LABELLED:
        if all(isinstance(one, Mapping) and text in one for one in options):
            labels = [one.get(label) for one in options]
            return [one[text] for one in options], labels if None not in labels else []
    raise BadRow(f"the options cannot be read: {str(options[0])[:FACT_CHARS]}")


def _without_last_blanks(values: Sequence[object]) -> list:
    """As tables of a fixed width fill up a row that has fewer options than others."""
    end = len(values)
    while end and values[end - 1] in (None, ""):
        end -= 1
    return list(values[:end])


def _unlettered(options: Sequence[object]) -> tuple[str, ...]:
    """The texts of options, without their letters where each begins with its own: they are shown once."""
    texts = ["" if text is None else str(text) for text in options]
    found = [_LETTERED.match(text) for text in texts]
    if found and [match and match[1] for match in found] == list(LETTERS[: len(texts)]):
        texts = [match[2] for match in found if match is not None]
    return tuple(texts)


def _listed_options(question: str) -> tuple[str, ...]:
    """As many options as the question lists by letters from A on; their texts are part of it."""
    listed = _LISTED.findall(question)
    count = 0
    while count < len(listed) and listed[count] == LETTERS[count]:
        count += 1
    return tuple(LETTERS[:count])


def _letter(value: Any, options: Sequence[str], labels: Sequence[str], first: str | None) -> str:
    """The letter of the right option; raises BadRow where another option says the same."""
    letter = _named_option(value, options, labels, first)
    right = options[LETTERS.index(letter)]
    if options.count(right) > 1:
        raise BadRow("another option is equal to the right one")
    return letter


def _named_option(value: Any, options: Sequence[str], labels: Sequence[str], first: str | None) -> str:
    """The letter that a row names by letter, label, number or text."""
    if len(options) < 2:
        raise BadRow("no options")
    if not all(option.strip() for option in options):
        raise BadRow("an option is empty")
    if len(options) > len(LETTERS):
        raise BadRow(f"{len(options)} options")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, list | dict):
        raise BadRow("no answer")
    text = str(value).strip()
    bare = text.strip("().[]: ")
    letters = LETTERS[: len(options)]
    if first is not None and bare.isdecimal() and int(first) <= int(bare) < int(first) + len(options):
        return letters[int(bare) - int(first)]
    if text in labels:
        return letters[labels.index(text)]
    if len(bare) == 1 and bare.upper() in letters:
        return bare.upper()
    lettered = _LETTERED.fullmatch(text)
    if lettered is not None and lettered[1] in letters and options[letters.index(lettered[1])] == lettered[2]:
        return lettered[1]
    for said, known in ((text, list(options)), (text.casefold(), [each.casefold() for each in options])):
        if known.count(said) == 1:
            return letters[known.index(said)]
    raise BadRow("the answer is none of the options" if text else "no answer")


def _suite(row: Mapping[str, Any], columns: Mapping[str, str]) -> TestSuite:
    named = _at(row, columns["function"]) if "function" in columns else None
    starter = _at(row, columns["starter"]) if "starter" in columns else None
    starter = starter if isinstance(starter, str) else ""
    if "," in columns["tests"]:
        given = (_parsed(_at(row, name)) for name in columns["tests"].split(","))
        value: Any = {**dict(zip(PAIRED_TESTS, given, strict=True)), "fn_name": named}
    else:
        value = _parsed(_at(row, columns["tests"]))
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        value = "\n".join(value)
    if isinstance(value, str) and asserts(value):
        setup = _at(row, columns["setup"]) if "setup" in columns else _at(row, columns["question"])
        setup = "\n".join(setup) if isinstance(setup, list) else setup or ""
        row = {"setup": code_of(setup), "test": value, "entry_point": named or function_of(value)}
        return suite_of(row, "asserts", starter_code=starter)
    if isinstance(value, list):
        pairs = [each for each in value if isinstance(each, Mapping) and "input" in each]
        outputs = [each[name] for each in pairs for name in OUTPUTS if name in each]
        if not len(value) == len(pairs) == len(outputs):
            raise BadRow("a test without input and output")
        inputs = [each["input"] for each in pairs]
        if not named and any(isinstance(one, list | dict) for one in inputs):
            raise BadRow("the tests hand over arguments, and no function is named")
        value = {"inputs": inputs, "outputs": outputs, "fn_name": named}
    elif isinstance(value, dict) and named:
        value = {"fn_name": named, **value}
    text = value if isinstance(value, str) else json.dumps(value)
    return suite_of({"input_output": text}, "apps", starter_code=starter)


def _parsed(value: Any) -> Any:
    """A list that stands as JSON in a text; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError as error:
            raise BadRow("the tests are no JSON") from error
    return value


# --- asking and grading ---


def grade_own_letter(problem: Problem, response: str) -> Verdict:
    """As any letter; where no column has the options, the question lists them."""
    if problem.choices:
        return grade_letter(problem, response)
    return grade_choice(problem.answer, response, options=len(_listed_options(problem.question)))


def bare_prompt(problem: Problem, model: str) -> str:
    return problem.question


def ask_judge(question: str, reference: str, answer: str) -> str:
    """What a judge is asked: each text is one line of JSON, so that it can make up no further part."""
    texts = {"question": question, "reference": reference, "answer": answer}
    quoted = {name: _quoted(text.strip()) for name, text in texts.items()}
    return prompts.render(prompts.load("grade"), **quoted)


def _quoted(text: str) -> str:
    """A text as JSON, in which nothing is a line end or opens a tag that may end a turn."""
    return _RISKY.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


GRADERS = {
    "maths": grade_any_maths,
    "number": gsm8k.grade,
    "letter": grade_own_letter,
    "judge": grade_judged,
}
PROMPTS = {
    "maths": maths_prompt,
    "number": gsm8k.prompt,
    "letter": letter_prompt,
    "code": apps.prompt,
    "judge": bare_prompt,
}


# --- what the columns are ---


def _source(address: Address, split: str | None, revision: str | None) -> Source:
    if address.is_file:
        file = Path(address.path)
        return Source(address.path, {"all": (file.name,)}, "all")
    return Source(
        address.path,
        {},
        split or address.split or "",
        revision=revision or address.revision or "main",
        config=address.config,
        is_streamed=True,
    )


def _columns(address: Address, rows: list[dict], named: dict[str, str], grade: str | None) -> dict[str, str]:
    """Which column is what: as `named`, or the likeliest of those that hold something."""
    unused = [what for what, name in named.items() if name == NO_COLUMN]
    named = {what: name for what, name in named.items() if name != NO_COLUMN}
    for what, name in named.items():
        if what not in (*NAMES, FIRST):
            raise UserError(f"--columns {what}={name}: it can name {', '.join(NAMES)}, and say {FIRST}")
        if what == FIRST and name not in ("0", "1"):
            raise UserError(f"--columns {FIRST}={name}: the first option has the number 0 or 1")
        several = what in ("options", "tests")
        for one in () if what == FIRST else name.split(",") if several else (name,):
            if all(_at(row, one) is None for row in rows):
                raise UserError(f"{address} has no column {one!r}: {_what_is_there(rows)}")
    by_name = {spelled(name): name for spelled in (_spelled, str.lower) for row in rows for name in row}
    found = dict(named)
    for what, names in NAMES.items():
        taken = set(found.values())
        candidates = (by_name.get(name.lower(), name) for name in names.split())
        likely = (name for name in candidates if name not in taken and _holds(rows, name, what))
        if what not in (*found, *unused) and (column := next(likely, None)) is not None:
            found[what] = column
    if "tests" not in (*found, *unused):
        pair = [by_name.get(name) for name in PAIRED_TESTS]
        if None not in pair and all(_holds(rows, str(name), "tests") for name in pair):
            found["tests"] = ",".join(map(str, pair))
    if "options" not in (*found, *unused) and (marked := _option_columns(rows, found.get("answer"))):
        found["options"] = ",".join(marked)
    if "question" not in found:
        raise _unknown(address, rows, "the questions", "question")
    if "answer" not in found and "tests" not in found:
        raise _unknown(address, rows, "the answers", "answer")
    if "options" in found and "answer" in found and FIRST not in found and grade in (None, "letter", "judge"):
        first = _number_of_first(address, rows, found)
        if first is not None:
            found[FIRST] = first
    return found


def _spelled(name: str) -> str:
    """A name of a column as `NAMES` writes it: "Final Answer" is final_answer."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _option_columns(rows: list[dict], answer: str | None) -> list[str]:
    """The columns that hold an option each: marked A, B, ... or 1, 2, ... (or 0, 1, ...) behind one word.

    A word that does not say so (`colour1`, `colour2`) is believed where most answers are one of the texts.
    """
    marked: dict[str, dict[str, str]] = {}  # the word -> mark -> column
    for name in dict.fromkeys(name for row in rows for name in row if isinstance(name, str)):
        if (match := _MARKED.fullmatch(name)) is not None:
            marked.setdefault(match[1].lower(), {}).setdefault(match[2].upper(), name)
    for word, columns in marked.items():
        for series in (LETTERS, [*map(str, range(1, 11))], [*map(str, range(10))]):
            several = [columns[mark] for mark in itertools.takewhile(columns.__contains__, series)]
            if answer in several or len(several) < (2 if word else 3):
                continue
            if not all(_holds(rows, name, "options") for name in several[:2]):
                continue
            right = (
                sum(_at(row, answer) in [row.get(name) for name in several] for row in rows) if answer else 0
            )
            if word in (*OPTION_STEMS, "") or 2 * right > len(rows):
                return several
    return []


def _unknown(address: Address, rows: list[dict], what: str, name: str) -> UserError:
    return UserError(
        f"which column of {address} has {what}? {_what_is_there(rows)}: say it with --columns {name}=NAME"
    )


def _what_is_there(rows: list[dict]) -> str:
    return f"its columns are {', '.join(dict.fromkeys(name for row in rows for name in row))}"


def _holds(rows: list[dict], name: str, what: str) -> bool:
    """Whether a column holds something that can be `what`: in most rows, options and tests in any."""
    values = [value for row in rows if (value := _at(row, name)) not in (None, "", [])]
    if what == "question":
        fitting = sum(
            bool(value.strip()) if isinstance(value, str) else isinstance(value, list) for value in values
        )
    elif what == "options":
        fitting = sum(not isinstance(value, int | float) for value in values)
    elif what == "tests":
        fitting = sum(
            value.lstrip()[:1] in ("[", "{") or asserts(value)
            if isinstance(value, str)
            else isinstance(value, list | dict)
            for value in values
        )
    else:
        fitting = sum(not isinstance(value, dict) for value in values)
    return fitting > 0 if what in ("options", "tests") else 2 * fitting > len(rows)


def _number_of_first(address: Address, rows: list[dict], columns: Mapping[str, str]) -> str | None:
    """The number that the first option has where answers are numbers; None where they are none."""
    numbers, counts, is_text = [], [], []
    for row in rows:
        value = _right_option_at(row, columns)
        try:
            options, labels = _options(row, columns["options"])
        except BadRow:  # counted when problems are made
            continue
        text = str(value).strip()
        if not options or value is None:
            continue
        if not text.isdecimal():
            return None
        is_text.append(text in labels or (isinstance(value, str) and text in options))
        numbers.append(int(text))
        counts.append(len(options))
    if not numbers or all(is_text):
        return None
    if 0 in numbers:
        return "0"
    if any(number == count for number, count in zip(numbers, counts, strict=True)):
        return "1"
    raise UserError(
        f"{address}: has the first option the number 0 or 1? Say it with --columns {FIRST}=0 or {FIRST}=1"
    )


def _guess_grade(address: Address, rows: list[dict], columns: Mapping[str, str]) -> str:
    """What judges answers: programs where there are tests, letters where there are options, else maths."""
    if "tests" in columns:
        return "code"
    kinds: Counter[str] = Counter()
    unread: list[str] = []
    for row in rows:
        try:
            options, _ = _options(row, columns.get("options"))
        except BadRow as error:
            unread.append(str(error))
            continue
        if options:
            kinds["letter"] += 1
            continue
        value = str(_at(row, columns["answer"]) or "").strip().strip("().")
        asked = _at(row, columns["question"])
        listed = _listed_options(asked if isinstance(asked, str) else "")
        kinds["letter" if len(value) == 1 and value in listed else "maths"] += 1
    if 2 * len(unread) > len(rows):
        raise UserError(
            f"{address}: {unread[0]}: write the options as a JSON list, or say --columns options={NO_COLUMN}"
        )
    (grade, count), *others = kinds.most_common()
    if others:
        raise UserError(
            f"{address}: of the first {len(rows)} rows {count} look like answers to be graded as {grade} and "
            f"{others[0][1]} as {others[0][0]}: split the file, or say --grade"
        )
    return grade


def _facts(rows: list[dict], taken: set[str]) -> tuple[str, ...]:
    """The columns by which results are split: short texts or numbers with a usual name."""
    names = dict.fromkeys(name for row in rows for name in row if name.lower() in FACTS and name not in taken)

    def is_short(value: object) -> bool:
        return value is None or (isinstance(value, str | int) and len(str(value)) <= FACT_CHARS)

    return tuple(name for name in names if all(is_short(row.get(name)) for row in rows))
