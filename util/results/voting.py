"""Which answers of different samples say the same, so that they have one vote together?

Call `grouped_by_value`.
"""

from __future__ import annotations

from functools import lru_cache

MAX_GROUPS_COMPARED = 60  # different answers to one problem that are compared by value


def grouped_by_value(counts: dict[str, int]) -> list[tuple[str, int]]:
    """Join answers that say the same: maths by value, letters and everything else by their text."""
    groups: dict[object, list] = {}  # normal form -> [an answer as written, count]
    forms: list[tuple[object, str]] = []  # normal forms that are compared by value
    for key, count in sorted(counts.items()):
        kind, _, answer = key.partition(":")
        form = _normal_form(answer) if kind == "maths" else answer
        if form not in groups and kind == "maths":
            form = _same_as_earlier(form, answer, forms)
        groups.setdefault(form, [answer, 0])[1] += count
    return sorted(((answer, count) for answer, count in groups.values()), key=lambda group: -group[1])


@lru_cache(maxsize=10_000)
def _normal_form(answer: str) -> object:
    """What equal answers usually have in common: the number they are, else the cleaned text."""
    from util.grading.maths.numbers import plain_number
    from util.grading.maths.reader import MAX_CHARS, clean

    cleaned = clean(answer) if len(answer) <= MAX_CHARS else answer
    number = plain_number(cleaned)
    return number.value if number is not None and not number.percent else cleaned


def _same_as_earlier(form: object, answer: str, forms: list[tuple[object, str]]) -> object:
    """The form of an earlier answer with the same value, else this one, which is then remembered."""
    from util.grading.maths import same_answer

    for earlier, example in forms:
        plain = not isinstance(form, str) and not isinstance(earlier, str)
        if not plain and same_answer(example, answer, symbolic=False).equal:
            return earlier
    if len(forms) < MAX_GROUPS_COMPARED:
        forms.append((form, answer))
    return form
