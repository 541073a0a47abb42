"""Does a response follow the instructions of its prompt, as IFEval and IFBench check them?

Call `grade_instructions`. The reference is JSON: [["a rule's id", {its arguments}], ...].

Each rule says of a text what the official grader says of it (google-research/instruction_following_eval at
3f357bd, allenai/IFBench at 1d62c1d), oddities included, as numbers have to be comparable: the docstrings of
the rules name them. Three things differ. Where an argument is missing, those graders draw one at random: here
the rule is undecided, as it is where a package or its data is missing. Where a text ends in a traceback
there, the rule is not followed. And the thought is never graded: suites that grade it, too, come to lower
numbers.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from util.grading.instructions import ifbench, ifeval
from util.grading.instructions.language import Missing
from util.records import FOLLOWED, Problem, Verdict, rules_in_short
from util.response import part

GRADER = "instructions-2"
RULES = {**ifeval.RULES, **ifbench.RULES}


class BadRule(Exception):
    """A rule that nobody knows, or whose arguments are not there, or no rules at all."""


def grade_instructions(problem: Problem, response: str) -> Verdict:
    """Whether the answer follows every rule to the letter; `rules` of the verdict also says which it follows
    loosely: without its first line, its last line or asterisks."""
    parts = part(response)
    if parts.is_open:
        return Verdict(False, "truncated", detail="the thought is not closed", grader=GRADER)
    body = response[: parts.end]
    # As others see it: what follows a thought without white space around it, and everything else as it is.
    text = (parts.solution or "") if parts.marks else body if body != response.rstrip() else response
    try:
        named = read_rules(problem.answer)
    except BadRule as error:
        return Verdict(False, "no_tests", detail=str(error), grader=GRADER)
    said = [(name, *_follows(name, given, text)) for name, given in named]
    rules = "".join(mark for _, mark, _ in said)
    whole = rules_in_short(rules)
    detail = f"{rules.count('s')} of {len(rules)} rules followed"
    for mark, how in (("l", "only loosely"), ("-", "not"), ("~", "not strictly"), ("?", "undecided")):
        if names := [name for name, found, _ in said if found == mark]:
            detail += f"; {how}: {', '.join(names)}"
    strict, _ = FOLLOWED[whole]
    reason = {True: "", False: "wrong_answer", None: "undecided"}[strict]
    if not text.strip():
        reason, detail = "no_answer", "the answer is empty"
    return Verdict(
        strict is True,
        reason,
        detail=detail,
        grader=GRADER,
        cause="" if reason != "undecided" else next(why for _, mark, why in said if mark == "?"),
        rules=rules,
    )


def read_rules(reference: str) -> list[tuple[str, dict[str, Any]]]:
    """Ids and arguments of the rules; raises BadRule where a reference is no list of them."""
    try:
        rules = json.loads(reference)
    except (ValueError, RecursionError):
        rules = None
    is_list = isinstance(rules, list) and all(isinstance(rule, list) and len(rule) == 2 for rule in rules)
    if not rules or not is_list or not all(isinstance(a, str) and isinstance(b, dict) for a, b in rules):
        raise BadRule(f"the reference {reference[:60]!r} is no list of rules with their arguments")
    return [(name, given) for name, given in rules]


def _follows(name: str, given: Mapping[str, Any], text: str) -> tuple[str, str]:
    """The mark in FOLLOWED of one rule, and why it is undecided."""
    if not text.strip():
        return "-", ""
    try:
        arguments = arguments_of(name, given)
    except BadRule as error:
        return "?", str(error)
    strict, why = _ask(name, arguments, text)
    if strict:
        return "s", ""
    loose: bool | None = False
    for variant in _loosened(text):
        found, reason = _ask(name, arguments, variant)
        if found:
            return ("l", "") if strict is False else ("?", why)
        if found is None:
            loose, why = None, why or reason
    mark = next(
        mark for mark, said in FOLLOWED.items() if said == (strict, None if strict is None else loose)
    )
    return mark, why


def _ask(name: str, arguments: Mapping[str, Any], text: str) -> tuple[bool | None, str]:
    try:
        return RULES[name](text, **arguments), ""
    except Missing as error:
        return None, f"{name} needs {error}"


def _loosened(text: str) -> Iterator[str]:
    """The text without asterisks, first line and last line, and all combinations, where words are left."""
    lines = text.split("\n")
    shorter = ["\n".join(lines[first:last]).strip() for first, last in ((1, None), (0, -1), (1, -1))]
    variants = (text.replace("*", ""), *shorter, *(variant.replace("*", "") for variant in shorter))
    return (variant for variant in dict.fromkeys(variants) if variant != text and variant.strip())


def arguments_of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a rule takes out of a row's, where nulls mean nothing; raises BadRule."""
    if name not in RULES:
        raise BadRule(f"the rule {name} is not known")
    wanted = _parameters(name)
    found = {key: value for key, value in given.items() if value is not None}
    if missing := [key for key in wanted if key not in found]:
        raise BadRule(f"{name} has no {', '.join(missing)}")
    if strange := [key for key in found if key not in wanted]:
        raise BadRule(f"{name} takes no {', '.join(strange)}")
    for key, kind in wanted.items():
        value = found[key]
        if isinstance(value, float) and value.is_integer():  # as a table of numbers with gaps holds them
            found[key] = value = int(value)
        if not KINDS[kind](value):
            raise BadRule(f"{name} has {key} {value!r}")
    return found


@lru_cache(maxsize=len(RULES))
def _parameters(name: str) -> dict[str, str]:
    """The arguments of a rule besides the text, with the names of their kinds."""
    _, *others = inspect.signature(RULES[name]).parameters.values()
    return {one.name: one.annotation for one in others}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


KINDS: Mapping[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "int": _is_count,
    "Position": lambda value: _is_count(value) and value > 0,
    "Letter": lambda value: _is_text(value) and len(value) == 1,
    "Percentage": lambda value: isinstance(value, int | float) and 0 <= value <= 100,
    "Relation": lambda value: value in ifeval.RELATIONS,
    "Sequence[str]": lambda value: isinstance(value, list) and bool(value) and all(map(_is_text, value)),
}
