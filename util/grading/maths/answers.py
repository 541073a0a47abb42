"""Where in a response is the answer, and how far can the sign be trusted by which it was found?

Call `find_answer`; `last_box` is for text that is known to hold a box.

A sign points to a span (a box, a tag, the sentence behind "the answer is", the last line), and the whole span
goes to `read_span`. High trust: a box, an answer tag, a "####" line, a finished declaration. Medium: bold,
a conclusion in the last line, a response that is nothing but the answer. Low: the last number.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from util.grading.languages import SCRIPT, SCRIPTS, SPACED, any_of
from util.grading.maths.beside import (
    SCALE,
    equal_behind,
    is_part,
    other_before,
    other_behind,
    scale_behind,
    sign_before,
    stands_among_cases,
    unit_behind,
    with_unit,
)
from util.grading.maths.numbers import SPELLED, number_word, plain_number
from util.grading.maths.spans import (
    ABOUT,
    BOUND,
    CLAUSE,
    DENIED,
    EXPANDED,
    REASON,
    SEVERAL,
    TAKEN_BACK,
    UNCLEAR,
    Statement,
    formula_at_head,
    formulas,
    has_words,
    is_denied,
    read_span,
)
from util.grading.maths.spelling import clean, mended
from util.grading.maths.spoken import in_notation
from util.grading.maths.units import unit_of
from util.grading.maths.words import is_compound
from util.response import before_other_problems, without_turn_tokens

MAX_ANSWER = 4_000  # characters of one answer; what is longer is no answer
TAIL = 12_000  # characters at the end of a solution in which answers without a box are looked for
MAX_BOXES = 200
_CALCULATION = re.compile(r"<<[^<>\n]{1,200}>>")  # as in "9 * 2 = $<<9*2=18>>18"
_ONLY_NUMBER = re.compile(r"\s*\$?-?\d+(?:[.,/]\d+)*%?\$?\s*")  # as base models answer


class Found(NamedTuple):
    """An answer found in a response, and by which sign."""

    text: str  # what the span says
    how: str  # "box", "answer tag", "####", "declared", "bold", "whole response", "last line", "last number"
    trust: str  # one of `records.TRUSTS`
    span: str  # as it stands in the response
    cause: str = ""  # why the span says no single answer
    rival: str = ""  # another answer that stands behind it; both have to be right
    about: str = ""  # the same as a decimal, as the text has it
    unit: str = ""  # that stands behind the box
    of: str = ""  # what the text says to be equal to it: the left side of its equation


def find_answer(solution: str, *, lowest: str = "low") -> Found | None:
    """The final answer of a solution by the strongest sign; `lowest` is the least trust that counts."""
    return find_in(own_text(solution), lowest=lowest)


def own_text(solution: str) -> str:
    """A solution without its ornaments, up to another problem with which it goes on."""
    return without_turn_tokens(before_other_problems(_bare(solution), _is_answered))


def goes_on(solution: str) -> bool:
    """Whether another problem follows the answer, as base models go on."""
    bare = _bare(solution)
    return before_other_problems(bare, _is_answered) != bare


def _bare(solution: str) -> str:
    solution = mended(solution)
    if not solution.isascii():
        solution = _ORNAMENT.sub("", solution)
    if end := _END_OF_PROOF.search(solution, max(0, len(solution) - _NEAR)):
        solution = solution[: end.start()]
    return solution


def _is_answered(text: str, ends_turn: bool) -> bool:
    if _ONLY_NUMBER.fullmatch(text):
        return True
    return find_in(without_turn_tokens(text), lowest="low" if ends_turn else "high") is not None


def find_in(solution: str, *, lowest: str) -> Found | None:
    """The final answer of an `own_text`."""
    if (found := _boxed(solution)) is not None:
        return found
    unfinished = solution.rfind("boxed{")
    tail = (solution if unfinished < 0 else solution[:unfinished])[-TAIL:]
    if "<<" in tail:
        tail = _CALCULATION.sub("", tail)
    found = _tagged(tail) or _after_hashes(tail) or _declared(tail)
    if found is None and lowest != "high" and unfinished < 0:
        found = _whole(tail) or _in_bold(tail) or _last_line(tail)
        if lowest == "low" and (found is None or found.cause or _is_sentence(found)):
            found = _last_number(tail) or found
    return found


_WORDS_FIRST = re.compile(r"[A-Za-z]+[,\s]\s*[A-Za-z]{2}")


def _is_sentence(found: Found) -> bool:
    """Whether the last line is taken as it stands, words first: a number in it says more."""
    return found.how == "last line" and _WORDS_FIRST.match(found.text) is not None


_END_OF_PROOF = re.compile(r"(?<=\s)\$?\\(?:blacksquare|square|Box|qed|qedsymbol)\$?\s*\Z")
_ORNAMENT = re.compile("[\U0001f000-\U0001faff\u2600-\u2712\u2714-\u2716\u2719-\u274b\ufe0f]")


def _found(span: str, said: Statement, how: str, trust: str) -> Found:
    return Found(said.text or span, how, trust, span, said.cause, about=said.about)


# ---------------------------------------------------------------- boxes

_BOX = re.compile(r"\\(?:f?boxed|framebox|fbox)\s*(?:\[[^\]]{0,20}\])?\s*(\{|-?\d+(?:\.\d+)?|\\[a-z]+)")
_JOINED = re.compile(
    r"(?:[\s,;$.()\[\]]|\\\\|\\[()\[\],;:! ]|\\q?quad|\\text(?:bf|rm)?\s*\{|\}"
    r"|(?:\\text\{)?(?:\s*(?:and|or|both|for part|in part)\s*)"
    r"|\([a-z]\)|[a-zA-Z](?:_\{?\d\}?)?\s*=|&|~|和|或|以及|(?<=\n)\s*(?:[-*•]|\d{1,2}[.)])\s)*"
)
_JOINT = re.compile(r",|;|and|or\b|&|quad|和|或|以及|^[^\n\w]*\n(?!\s*\n)|\n\s*(?:[-*•]|\d{1,2}[.)])\s")


def last_box(text: str) -> str | None:
    r"""The contents of the last complete, non-empty \boxed{...}; None if there is none."""
    found = boxes(text)
    return found[-1] if found else None


def boxes(text: str) -> list[str]:
    r"""The contents of all complete boxes."""
    return [content for _, _, content in _boxes(text)]


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """Start, end and contents of the outermost complete boxes, the last ones if there are very many."""
    starts = list(_BOX.finditer(text))[-MAX_BOXES:]
    found: list[tuple[int, int, str]] = []
    for match in starts:
        if found and match.start() < found[-1][1]:
            continue  # a box within a box
        if match.group(1) != "{":
            if match.group(1)[-1].isdecimal():
                found.append((match.start(), match.end(), match.group(1)))
            continue
        end = _closing(text, match.end())
        if end is not None and text[match.end() : end].strip():
            found.append((match.start(), end + 1, text[match.end() : end].strip()))
    return found


def _standing_boxes(text: str) -> list[tuple[int, int, str]]:
    """The same without those at the end of which the next words say that they are wrong."""
    found = _boxes(text)
    while found and _REFUTED.match(text, found[-1][1], found[-1][1] + _BEHIND):
        found.pop()
    return found


_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def _closing(text: str, start: int) -> int | None:
    r"""Where the brace opened before `start` closes; \{ and \} do not count."""
    depth = 1
    for match in _BRACE.finditer(text, start, start + MAX_ANSWER):
        brace = match.group()
        if brace == "{":
            depth += 1
        elif brace == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return None


_OR_ELSE = re.compile(
    r"[\s$.)*]*(?:,?\s*(?:or|或)\s+(?:(?:possibly\s+)?\$?-?\d|something|maybe|is it)"
    r"|\s+(?:is (?:the|our|my) (?:\w+ )?answer\s+)?(?-i:if)\b|,?\s*give or take\b"
    r"|\s+is (?:one (?:of|possible|such)|a possible|another)\b)",
    re.IGNORECASE,
)
_CONCLUDING = re.compile(
    r"\b(?:correct\w*|wrong|wait|actually|instead|check\w*|verif\w+|so|thus|hence|therefore|finally|final"
    r"|answer|total|overall|altogether|conclu\w+"
    r"|consequently|then|sum|product|need|asked|want|required)\b|\\(?:Rightarrow|implies|therefore)|∴|因此"
    r"|所以|故|则",
    re.IGNORECASE,
)
_NEAR = 80  # characters between two boxes of one sentence
_BEHIND = 240  # characters behind an answer in which it may be taken back


def _boxed(text: str) -> Found | None:
    """The last box, or the last boxes where the text joins them."""
    if "box" not in text:
        return None
    found = _standing_boxes(text)
    if not found:
        return None
    group, rivals = _last_group(text, found)
    joined = _said_in(text, group)
    start, end, content = group[-1]
    before = _in_front(text, found, group[-1])
    behind = text[end : end + _BEHIND]
    unit = ""
    if scale := scale_behind(behind):
        joined += scale
    elif (unit := unit_behind(behind)) and " and " in unit:
        joined, unit = with_unit(joined, unit), ""
    said = Statement(joined, SEVERAL) if rivals else read_span(joined, declared=True)
    if not unit and is_part(before, behind):
        said = Statement(joined, UNCLEAR)
    answer = _found(joined, said, "box", "high")._replace(unit=unit)
    if (front := before.rstrip(" $-−&")).endswith("=") and (left := _LEFT_SIDE.search(front)):
        answer = answer._replace(of=left[1].strip())
    answer = _settled(text, before, end, answer)
    if answer.cause:
        return answer
    name = _name_in(content) or answer.of.rpartition("}" if "\\begin" in answer.of else "\n")[2].strip(" &")
    first = _in_front(text, found, group[0])
    rival = other_before(first, name, content)
    if rival := rival or (not answer.rival and other_behind(behind, name, content)) or "":
        return answer._replace(rival=rival)
    return answer._replace(cause=SEVERAL) if stands_among_cases(text, start, end, name, content) else answer


def _in_front(text: str, found: list[tuple[int, int, str]], box: tuple[int, int, str]) -> str:
    """What stands in front of a box, behind the one before it."""
    place = found.index(box)
    return text[max(found[place - 1][1] if place else 0, box[0] - _NEAR) : box[0]]


def _said_in(text: str, group: list[tuple[int, int, str]]) -> str:
    """The contents of boxes with the signs and, where there are several, the names in front of them."""
    contents, names = [], []
    for start, _, content in group:
        before = text[max(0, start - _NEAR) : start]
        if sign := sign_before(before):
            content = f"{sign}({content})" if re.search(r"[-+]", content) else sign + content
        contents.append(content)
        name = _NAMED_BOX.search(before) if len(group) > 1 else None
        names.append(name[1] if name and "=" not in content else "")
    if len(set(contents)) == 1:
        return contents[0]
    if all(names) and len(set(names)) == len(names):
        contents = [f"{name} = {content}" for name, content in zip(names, contents, strict=True)]
    return ", ".join(contents)


_NAMED_BOX = re.compile(r"(?<![a-zA-Z\\])([a-zA-Z](?:_(?:\w|\{\w{1,8}\}))?)\s*&?=\s*-?\s*\Z")


def _name_in(content: str) -> str:
    """What an equation in a box gives the value of."""
    return content.partition("=")[0].strip() if "=" in content else ""


_LEFT_SIDE = re.compile(r"(?:^|[$\n=,;:(]|(?<![\\a-zA-Z])[a-z]{2,}\s)([^$\n=,;:]{1,60}?)=[\s$]*$")


def _settled(text: str, before: str, end: int, found: Found) -> Found:
    """An answer; not, where the words in front of it deny it or what stands behind it takes it back."""
    behind = text[end : end + TAIL]
    denied = is_denied(before)
    head = behind[:_NEAR].lstrip(" $,\n")
    if head[:1] in _OPENS and (about := ABOUT.match(head) or EXPANDED.match(head)):
        found = found._replace(about=next(filter(None, about.groups())))
    if not denied and (also := _said_also(found, behind)):
        return also
    if other := equal_behind(behind, found.text):
        return found._replace(rival=other)
    if not _LETTERS.search(behind):
        if denied or _REFUTED.match(behind[:_BEHIND]):
            return found._replace(cause=TAKEN_BACK)
        later = _signed(behind) if _DIGIT.search(behind) else None
        return found._replace(rival=later.text) if later and later.text != found.text else found
    if denied or is_taken_back(behind, answer=found.text):
        return _concluded(behind) or found._replace(cause=TAKEN_BACK)
    if later := _signed(behind):
        return found._replace(rival=later.text) if later.text != found.text else found
    if _SAME_AGAIN.match(behind):
        return found
    sentence_end = _SENTENCE_END.search(text, max(0, end - 1))
    rest = len(behind) if sentence_end is None else sentence_end.end() - end
    later = _concluded(behind) or _comes_to(behind[:rest])
    if later is None:
        later = _last_line(behind[rest:])
        if later is None or later.cause or _CHECKS.match(later.span) or _COMPARES.search(later.span):
            return found
        if later.span.rpartition("=")[2].strip(" $.*)]\\") == found.text:
            return found  # it explains the answer, to which it comes
        if _WANTED.search(later.span):
            later = later._replace(text=later.text.rpartition("=")[2].strip())
        elif _CONCLUDES.match(later.span) and not found.of and "=" not in found.text:
            later = later._replace(text=_ONE_NAME.sub("", later.text))
        if not _NUMBER.match(later.text):
            return found
    return found._replace(rival=later.text) if later.text != found.text else found


_ONE_NAME = re.compile(r"\A\s*[a-z]\s*=\s*")
_COMPARES = re.compile(r"[<>≤≥≠]|\\(?:leq?|geq?|neq?|lt|gt)\b")
_SIGNED = re.compile(  # a line of nothing but an answer, in bold or behind ####
    r"^[ \t]*(?:####[ \t]*(?!\d+[.)][ \t])|\*\*)[ \t]*([-$\\(\d][^\n]{0,200}?)[* .$]{0,9}$", re.MULTILINE
)


def _signed(behind: str) -> Found | None:
    """The answer behind another one that a tag, a #### line or a line in bold gives."""
    if ("nswer" in behind or "NSWER" in behind or "<ans>" in behind) and (found := _tagged(behind)):
        return found
    if "##" not in behind and "**" not in behind:
        return None
    for match in reversed(list(_SIGNED.finditer(behind))[-_LAST_LINES:]):
        said = read_span(match[1].strip("* "), declared=True)
        if (
            not said.cause
            and (not has_words(match[1]) or _NUMBER.match(said.text))
            and not _COMPARES.search(match[1])
        ):
            return _found(match[1], said, "####", "high")
    return None


_OR_VALUE = re.compile(
    r"(?:[\s$*.)]|\\[)\]])*+(?:([a-zA-Z]+)(?![a-zA-Z]))?[\s$]*+(?:,|\()?\s*+"
    r"(?:(?<![a-zA-Z])(?:or|that is)\b|或|i\.e\.)[\s,:]*+"
    r"(?:(?:equivalently|simply|also|just)\b[\s,:]*+)?"
    r"(\$[^$\n]{1,80}\$|\\\(.{1,80}?\\\)|[-−]?[\d\\][^\s,;$]*)(?:\s?([a-zA-Z]+))?",
    re.IGNORECASE,
)


def _said_also(found: Found, behind: str) -> Found | None:
    """An answer behind which another way to write it, or another answer, follows at once: "or 0.5"."""
    if not (match := _OR_VALUE.match(behind)) or "boxed" in match[2]:
        return None
    first_unit, other, unit = match.groups()
    rest = behind[match.end(2) :]
    if first_unit and unit_of(first_unit) is None or is_taken_back(rest) or _concluded(rest) is not None:
        return None
    other = other.strip("$").removeprefix(r"\(").removesuffix(r"\)").rstrip(".*:)")
    if unit and (unit_of(unit) or SCALE.fullmatch(unit)):
        other = f"{other} {unit}"
    text = f"{found.text} {first_unit}" if first_unit and plain_number(found.text) else found.text
    return found._replace(text=text, rival=other) if other.strip() else None


def around_answer(text: str, *, boxed: bool) -> tuple[str, str]:
    """What stands in front of the last box (`boxed`) or the last answer tags, and what stands behind."""
    if boxed:
        places = [(start, end) for start, end, _ in _standing_boxes(text)[-1:]]
    else:
        places = [(tag[0], tag[2]) for tag in (_tag(text),) if tag is not None]
    if not places:
        return "", ""
    start, end = places[0]
    return text[max(0, start - _NEAR) : start], text[end : end + TAIL]


def _comes_to(rest: str) -> Found | None:
    """The number to which the rest of an answer's sentence comes, where it concludes one."""
    if not _DIGIT.search(rest):
        return None
    kept = _EXAMPLE.sub("", REASON.sub("", rest))
    if (sign := _COMES_TO.search(kept)) is None:
        return None
    numbers = [match.group().strip() for match in _NUMBER.finditer(kept, sign.start())]
    return Found(numbers[-1], "last line", "medium", kept) if numbers else None


def _concluded(text: str) -> Found | None:
    """The answer that a text declares; not that "the answer is correct"."""
    found = _declared(text)
    return None if found is None or _PREDICATE.match(found.span) else found


def is_taken_back(behind: str, *, answer: str = "") -> bool:
    """Whether the text behind an answer takes it back; what is said of another value takes back nothing."""
    near = behind[:_BEHIND]
    if any(sign.match(near) for sign in (_REFUTED, _OR_ELSE)):
        return True
    if _RETRACTS.search(near):
        return True
    return any(not _is_of_another(near[: match.end()], answer) for match in _FAILS.finditer(near))


_OTHER = re.compile(
    r"\b(?:others?|another|negative|second|remaining|former|latter|smaller|larger)\b", re.IGNORECASE
)
_CLAUSE_END = re.compile(r"[.;!?(\n](?:\s|\Z|(?<=[(\n]))|\b(?:since|because|as|while|whereas|but)\b")


def _is_of_another(said: str, answer: str) -> bool:
    """Whether the clause with which a text ends speaks of another value than the answer."""
    clause = _CLAUSE_END.split(said)[-1]
    if _OPTION.fullmatch(answer):
        named = _OPTION.findall(said)[-1:]
    else:
        named = _NUMBER.findall(clause)
    own = {answer, *_NUMBER.findall(answer)}
    return bool(named) and own.isdisjoint(named) or _OTHER.search(clause) is not None


_OPTION = re.compile(r"(?<![\w'’])(?:[B-HJ]|[AI](?! [a-z]))(?![\w'’])")


def boxed_answer(text: str) -> str | None:
    """The last box, or the last boxes that the text joins by commas or "and"."""
    found = _standing_boxes(text) if "box" in text else []
    if not found:
        return None
    group, rivals = _last_group(text, found)
    contents = [content for _, _, content in group]
    return contents[-1] if rivals or len(set(contents)) == 1 else ", ".join(contents)


def _last_group(text: str, found: list[tuple[int, int, str]]) -> tuple[list[tuple[int, int, str]], bool]:
    """The last boxes that the text joins; and whether nothing says that one of them is the result."""
    group, rivals = [found[-1]], False
    for earlier, (start, _, _) in zip(reversed(found[:-1]), reversed(found[1:]), strict=True):
        between = text[earlier[1] : start]
        if len(between) > _NEAR or is_denied(text[max(0, earlier[0] - _NEAR) : earlier[0]]):
            break
        if not (_JOINED.fullmatch(between) and _JOINT.search(between)):
            if _CONCLUDING.search(between) or "\n" in between and _PART.search(between):
                break
            rivals = rivals or clean(earlier[2]) != clean(group[0][2])
            if not has_words(between):
                break
        group.insert(0, earlier)
    return group, rivals


_COMES_TO = re.compile(  # in the same sentence: " per box, so 36 in all", " apples for 3 days = 36 apples"
    r"\b(?:so|hence|thus|therefore|giving|gives|making|makes|yields?|yielding|totall?ing|adding"
    r"|meaning|means|to (?:get|obtain|give)|we (?:get|obtain|have)|for a total of|i\.e\.|that is(?=,| \$?\d)"
    r"|(?:requested|required|desired|wanted|final|total|sum|asked|result|value)\b[^.,;]{0,40}?\b(?:is|are|equals|of)"
    r"|donc|así que|entonces|portanto|então|quindi|così|dus|daher|somit|итого|значит|поэтому)(?!\w)"
    r"|[^\W\d_]{2}\.?[$)\s]*=|所以|因此|一共|总共|共有|합계|모두|合計"
    r"|\d\W*(?:\w+\s){0,3}(?:in all|in total|altogether|overall|in totale|no total)\b"
    r"|\b(?:insgesamt|всего|au total|en total)\b",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(r"\b(?:for (?:example|instance)|e\.g\.).*$", re.IGNORECASE | re.DOTALL)
_WANTED = re.compile(r"\b(?:requested|desired|required|wanted|asked|final|looking for)\b", re.IGNORECASE)
_CHECKS = re.compile(
    r"\W*(?:for (?:example|instance)|e\.g"
    r"|check|v[eé]rif|proof|indeed|note|remark|here|prob[ea]|comproba|conferi|sprawdz|провер|kontrol)",
    re.IGNORECASE,
)
_SAME_AGAIN = re.compile(
    r"[\s$]*(?:(?:,? which )?is (?:the|our|my) (?:final |correct )?answer\b|=|≈|\\(?:approx|simeq|doteq)\b)"
)
_IT = (
    r"(?:th(?:is|at|ese)|it|which|he|she|the above"
    r"|(?:this|that|the|my) (?:value|result|answer|number|calculation|computation|choice|option|guess"
    r"|solution))"
)
_WRONG = (
    r"(?:\w+ly )?(?:wrong|incorrect|false|invalid|mistaken|off|an? (?:mistake|error|trap|slip)"
    r"|not (?:right|correct|true|valid|possible|allowed|it|an? solution|the (?:\w+ )?(?:solution|answer"
    r"|value|result)))"
)
_WORKS = r"(?:work|hold|fit|pass|check|add up|match|agree|satisfy|meet|make sense)"
_DOES_NOT = rf"(?:fails?|(?:does not|doesn['’]t|cannot|can['’]t|do not|don['’]t) {_WORKS})\b"

_REFUTED = re.compile(  # right behind an answer, of which it is said
    r"[\s$.*)?~—–-]*(?:\\text\s*\{)?\s*(?:(?:is|would be|was|cannot be|can['’]t be)\s+(?:wrong|incorrect|not"
    r"|impossible|false|a (?:trap|distractor)|what (?:you|one|we) (?:would |might )?(?:get|obtain))(?!\w)"
    rf"|(?:no|nope|wrong|incorrect|not quite)[.!]|(?:is|was)n['’]t\b|{_DOES_NOT})",
    re.IGNORECASE,
)
_NOT_THIS = (  # said behind an answer, each from the start of a word
    rf"{_IT}(?: is| was| are|['’]s| (?:may|might|could)(?: well)? be) {_WRONG}\b",
    rf"{_IT} (?:cannot be|can['’]t be|isn['’]t|is what you get)\b",
    r"not (?:the|my|our) (?:final|correct|right|actual|real) (?:answer|solution|result)\b",
    r"is not (?:a|the) (?:solution|answer|result)\b",
    r"no (?!(?:other|further|more|additional|real|negative|second)\b)(?:\w+ )?solutions?\b",
    r"(?:falsch|faux|equivoqu\w+|неверно|sbagliat\w|errad\w)(?!\w)",
    # the writer starts again
    r"(?:wait|hmm+|oops|hold on|actually|correction|updated|scratch that|strike that|i meant|my bad)\b",
    r"(?:on second thoughts?|reconsider\w*|upon reflection|recompute|redo|start (?:over|again))\b",
    r"(?:never ?mind\b|tak(?:e|ing) (?:that|it|this) back|i (?:withdraw|retract)|edit:)",
    r"first (?:guess|attempt)\b",
    r"let me (?:correct|fix|redo|recalculate|rethink)\b|i['’]d go with\b|still (?:have|need) to\b",
    # names a mistake
    r"(?:there (?:is|was)|there['’]s|made|had|contains?) an? (?:\w+ )?(?:error|mistake|slip)\b|my mistake\b",
    r"sorry\b(?!,? (?:for|about)\b)",
    r"(?:sorry|apolog\w+),? (?:for|about) (?:\w+ ){0,3}(?:mistake|error|confusion)s?\b",
    # names another answer
    r"(?:correct|right|true|actual|valid) (?:answer|value|result|number|total|one) (?:is|should|would)\b",
    r"but (?:really|rather)\b",
    r"should have been\b|it should be\b|no[,:] (?=\(?[A-J]\b)",
    r"but (?:the|this) (?:question|problem|task) (?:asks|wants)\b",
    # goes on
    r"(?:now|(?:we|i) (?:must|have to|need to|should)) (?:subtract|add|multiply|divide|double|halve)\b",
    # doubts whether it is right, or gives up; a guess is an answer
    r"(?:i|we) give up\b|(?:i|we) could(?: not|n['’]t) (?:solve|finish|complete)\b",
    r"(?:i|we)(?:['’]m|['’]re| am| are) (?:\w+ )?(?:not (?:[\w%]+ )?(?:sure|certain|confident)|unsure)\b",
)
_DISREGARD = (
    r"(?:^|[.!?;,—–-])[\s$*]*(?:please )?(?:disregard|ignore|forget|strike|discard) "
    r"(?:everything|what i|the above|(?:that|this|it|my|the)"
    r"(?: (?:last|previous|boxed|answer|result|value|box|calculation|work|attempt))*\s*(?:[.,;!)\n]|\Z))"
)
_RETRACTS = re.compile(
    rf"\b(?:{'|'.join(_NOT_THIS)})|{_DISREGARD}|~~\d|是错误|漏掉|应为|不对|错了|应该是|不(?:太|是很)?确定|間違",
    re.IGNORECASE,
)
_FAILS = re.compile(  # said of the answer, if no other value is named in the clause
    rf"\b(?:(?:but|however|yet|although|though|{_IT}),? (?:{_IT} )?{_DOES_NOT}"
    r"|(?:does not|doesn['’]t) satisfy|rejected|extraneous|contradicts?|violates?"
    r"|(?:checks?|verification|test) fails?|off by one|this ignores|counts each|that forgets)\b",
    re.IGNORECASE,
)

_OPENS = frozenset("(≈\\oit")  # what says again how much an answer is: (about 7.2), ≈ 7.2, or about, i.e.
_LETTERS, _DIGIT = re.compile(r"[^\W\d_]{2}"), re.compile(r"\d")


_ROMAN = ("i", "ii", "iii", "iv", "v", "vi")
_PART = re.compile(  # its first character alone decides at most places
    r"[(（pP1-9\u2460-\u2468](?<![^\s;,.。；*#:：].)"
    r"(?:(?<=[(（])\s*([1-9]|[a-hA-H]|[iI]{1,3}|[iI][vV]|[vV][iI]?)\s*[)）]"
    r"|(?<=[pP])(?:art|ART)\s*[(]?([1-9a-hA-H])\b|(?<=([1-9]))[.)]\s|(?<=([\u2460-\u2468])))"
)


def parts(text: str) -> list[str]:
    """The boxes of numbered parts, in order: "(1) ... (2) ..."; empty where there are not at least two.

    Within a part the last box counts: a worked solution may box what it needs first.
    """
    found: dict[int, str] = {}
    at = place = 0
    for start, end, content in _boxes(text):
        for match in _PART.finditer(text, at, start):
            number = _ordinal(match)
            if number == place + 1 or not place and number == 2:  # the first may ask for a proof
                place = number
        if place:
            found[place] = content
        at = end
    return list(found.values()) if len(found) > 1 else []


def _ordinal(match: re.Match[str]) -> int:
    """Which part a mark opens, from 1."""
    mark = next(group for group in match.groups() if group is not None).lower()
    if mark in _ROMAN:
        return _ROMAN.index(mark) + 1
    if "\u2460" <= mark:
        return ord(mark) - 0x245F
    return int(mark) if mark.isdecimal() else ord(mark) - 96


# ---------------------------------------------------------------- tags, hashes, declarations

_HASHES = re.compile(r"^[ \t]*####[ \t]*(\S.*)$|(?<=\s)####[ \t]+(\S.*)$", re.MULTILINE)
_SAYS = re.compile(
    r"s?(?:[^\S\n]+(?:to|for)\s[^.\n]{1,60}?)?[^\S\n]*\**[^\S\n]*"
    r"(?:(?:is|are|was|will be|would be|must be|should be|equals|comes to)\b|[:：=])\**[:：]?"
    r"|[\"']\s*:\s*(?=[\"'\d$\\-])|[^\S\n]*(?:\*\*[^\S\n]*)?(?:[-=]>|[-–—→.\]])[^\S\n]+(?=[\d$\\-])|\**\s*(?=[\\$])"
    r"|\**[^\S\n]*\n\s*(?=[\\$\d*-])"
)
_CHINESE = re.compile(
    r"(?:答案|答(?=[:：])|故选|应选|结果(?=是|为))\s*】?\s*(?:是|为|為|应为|应是|就是|等于)?\s*[:：]?"
)
_ABROAD = re.compile(  # la respuesta es, die Antwort lautet, 답은
    rf"(?<!\w)(?:{any_of(SPACED, 'answer')})(?:\s+[^\W\d_]{{2,14}}){{0,3}}?"
    rf"\s*(?:(?<=\s)(?:{any_of(SPACED, 'be')}|[-–—](?=\s))(?!\w)|[:：=])\s*[:：]?"
    rf"|(?:{any_of(SCRIPTS, 'answer')})\s*(?:{any_of(SCRIPTS, 'be')}|[:：])\s*[:：]?",
    re.IGNORECASE,
)
_ANSWER_ABROAD = tuple(
    "respuest respost répons repons rispost soluzion solució antwor lösung ответ đáp câu".split()
)
_HEADING = re.compile(r"^[ \t#*]*(?:final\s+|my\s+)?answer[ \t*:：]*$", re.IGNORECASE | re.MULTILINE)
_OF_THE_ANSWER = frozenset(  # words that may stand in front of "answer"; another one names another answer
    "the our my your an this that a final correct right exact simplified numerical numeric required requested"
    " desired actual true only closed-form resulting complete full best overall decimal integer unique boxed"
    " single short so and thus hence therefore then now bf is as get got have has gives with approximate"
    " estimated mathematical official intended expected proper sought possible multiple-choice whole"
    " revised updated corrected".split()
)
_TO_ANOTHER = re.compile(r"s?\s+(?:to|of|for)\s+(?:an?other|a different|the (?:first|previous|other|last))\b")
_WORD_BEFORE = re.compile(r"([a-z][a-z'’-]*)[ *]+$", re.IGNORECASE)
_NAMED_ANSWER = re.compile(r"([a-z][a-z'’-]*)[ *]+answers?\b", re.IGNORECASE)
_PREDICATE = re.compile(  # what an answer is said to be without saying which: "the answer is correct"
    r"(?:(?:indeed|therefore|thus|also|hence|clearly|now|then|only|as) )*(?:correct|right|consistent"
    r"|positive|negative"
    r"|reasonable|valid|verified|confirmed|an? integer|exact|unique|expected|plausible|expressed|rounded"
    r"|obtained"
    r"|required|in the|simplified|complete|not)\b[^\d$\\]*$",
    re.IGNORECASE,
)
_LINE_A = re.compile(r"^\s*\**A\**\s*[:：]\**", re.MULTILINE)
_MOST_DECLARATIONS = 20
_FENCE = re.compile(r"^```\w*(?:\n|$)")
_COPULA = re.compile(r"\s*(?:입니다|이다|이에요|예요|です|である|となります|ครับ|ค่ะ)\s*[.。]?\s*$")  # is
_SENTENCE_END = re.compile(
    r"(?<!\bi\.e)(?<!\be\.g)[.?](?=(?:\$|\\[)\]])?(?:\s|$))|\n|。|．(?!\d)|;\s(?=[A-Za-z])|；|！|!(?=\s|$)"
)
_UNSURE = re.compile(  # in small letters
    r"\b(?:not|never|doubt|cannot|unlikely|if|unless|suppose|supposing|assume|assuming|whether|might"
    r"|could|may|alternative|another|previous|first|initial|wrong|students?|says?|said|claims?|nobody"
    r"|tempting|rules? out|no way|false|mistakes?|mistakenly|careless|errors?|(?:some|many|most|people)"
    r" (?:people |students )?(?:think|believe|answer))\b|n['’]t\b"
    r"|\b(?:is|was)\s+(?:the|your)\s*(?:final\s*)?$|如果|不"
)
_ASIDE = re.compile(  # what is said of another value: "6 (12 is extraneous)"
    r"(?:\(|,?\s(?:since|because|as)\s)[$a-z=\s]{0,5}[-−]?\d[^()]{0,60}?\b(?:extraneous|rejected|invalid|impossible"
    r"|too \w+|not \w+)\b[^()\d]*(?:\)|$)"
)
_NO_DOUBT = re.compile(r"\b(?:no|without(?: a)?|beyond) doubt\b")
_OTHERWISE = re.compile(  # behind an answer: another one is as good
    r"[\s*_.]*(?:(?:and|or)\s+(?=[$\\\d-])|(?:on the other hand|alternatively|(?:but )?it (?:could|may|might)"
    r"|or is it"
    r"|or (?:maybe|perhaps|possibly)|both)\b)"
    r"[^\n]{0,100}\d",
    re.IGNORECASE,
)
_IN_ANOTHER_PROBLEM = re.compile(
    r"(?:^|[.!?\n])\W*(?:if (?:we|you|one) (?:ignore|forget|neglect|drop|misread)|ignoring|neglecting"
    r"|without the"
    r"|assuming|unless|for the (?:unrestricted|unconstrained|simpler|original))\b[^.!?\n]*$",
    re.IGNORECASE,
)
_WOULD = re.compile(r"\b(?:would|should) be\b")
_IMAGINED = re.compile(r"\b(?:if|had|were|without|otherwise|unless|assuming)\b[^.\n]*$", re.IGNORECASE)


_TAG_ENDS = ("</answer>", "</final_answer>", "</ans>", "[/answer]")


def tagged_answer(text: str) -> str | None:
    """What the last complete pair of answer tags holds."""
    found = _tag(text)
    return None if found is None else found[1]


def _tag(text: str) -> tuple[int, str, int] | None:
    """Where the last complete pair of answer tags begins, what it holds, and where it ends."""
    lower = text.lower()
    end, closing = max((lower.rfind(closing), closing) for closing in _TAG_ENDS)
    opening = closing.replace("/", "")
    start = lower.rfind(opening, 0, max(end, 0))
    return None if start < 0 else (start, text[start + len(opening) : end].strip(), end + len(closing))


def _tagged(text: str) -> Found | None:
    place = _tag(text)
    if place is None or not place[1]:
        return None
    start, span, end = place
    found = None
    if (len(span) > 60 or "\n" in span) and "<answer>" not in span:
        found = find_answer(span, lowest="medium")
    if found is None:
        found = _found(span, read_span(span, declared=True), "", "")
    return _settled(
        text, text[max(0, start - _NEAR) : start], end, found._replace(how="answer tag", trust="high")
    )


def _after_hashes(text: str) -> Found | None:
    matches = list(_HASHES.finditer(text)) if "####" in text else []
    if not matches:
        return None
    span = (matches[-1].group(1) or matches[-1].group(2)).strip().strip("*").strip()
    trust = "high" if matches[-1].end() < len(text) else "medium"  # the line may go on
    said = read_span(span, declared=True)
    return _settled(text, "", matches[-1].end(), _found(span, said, "####", trust))


def _declared(text: str) -> Found | None:
    """What the last "the answer is" and its like declare."""
    predicate = None  # "the answer is correct" says no answer, unless nothing else does
    for start, end in _declarations(text):
        if end < 0:  # "x < 5 is the answer"
            line = text.rfind("\n", 0, start) + 1
            span, behind = text[line:start].strip(), start
            if span.lower() in ("this", "that", "it", "which", "above"):
                continue
        else:
            before = text[max(0, start - 80) : start].lower()
            if _UNSURE.search(before) and _UNSURE.search(_NO_DOUBT.sub("", CLAUSE.split(before)[-1])):
                continue
            span, behind = _json_value(text, start, end) or _bullets(text, end) or _sentence(text, end)
        if not span or text[behind - 1 : behind] == "?":
            continue
        kept = _ASIDE.sub("", span)
        said = read_span(kept, declared=True)
        if _OTHERWISE.match(text, behind):
            span = text[end : behind + 120].strip()
            said = Statement(span, SEVERAL)
        elif _RETRACTS.search(kept):
            said = Statement(span, TAKEN_BACK)
        elif (
            end > 0 and _WOULD.search(text, start, end) and _IMAGINED.search(text[max(0, start - 120) : end])
        ):
            said = Statement(span, UNCLEAR)
        if said.cause != DENIED:
            ends = formulas(span)
            is_whole = (
                behind < len(text.rstrip())
                or text.rstrip()[-1:] in ".*"
                or text[-1:] == "\n"
                or ends
                and ends[-1][1] == len(span)
            )
            if end > 0 and _IN_ANOTHER_PROBLEM.search(text[max(0, start - 160) : start]):
                said = Statement(span, UNCLEAR)
            found = _found(span, said, "declared", "high" if is_whole else "medium")
            if not _PREDICATE.match(span):
                return _settled(text, "", max(end, behind), found)
            predicate = predicate or found
    return predicate


def _declarations(text: str) -> list[tuple[int, int]]:
    """Where declarations of an answer begin and end, the last one first; the end is -1 where the
    answer precedes."""
    found = []
    shift = max(0, len(text) - 300)
    found += [(match.start() + shift, match.end() + shift) for match in _LINE_A.finditer(text[-300:])]
    at = len(text)
    for _ in range(_MOST_DECLARATIONS):
        at = max(text.rfind("nswer", 0, at), text.rfind("NSWER", 0, at))
        if at < 0:
            break
        if match := _SAYS.match(text, at + 5):
            word = _WORD_BEFORE.search(text[max(0, at - 25) : at - 1])
            if word is None or word[1].lower() in _OF_THE_ANSWER:
                found.append((at - 1, match.end()))
        elif before := re.search(
            r"\s+(?:is|are|as)\s+(?:the|our|my)\s+(?:final\s+|correct\s+)?.$", text[max(0, at - 30) : at]
        ):
            if not _TO_ANOTHER.match(text, at + 5):
                found.append((max(0, at - 30) + before.start(), -1))
    if "nswer" in text or "NSWER" in text:
        found += [match.span() for match in _HEADING.finditer(text)]
    is_ascii = text.isascii()
    if not is_ascii:
        found += [match.span() for match in _CHINESE.finditer(text)]
    end = text[shift:].lower()
    if not is_ascii and SCRIPT.search(end) or any(word in end for word in _ANSWER_ABROAD):
        said = (match for match in _ABROAD.finditer(text[shift:]) if not is_denied(match[0].rstrip(" :：=")))
        found += [(match.start() + shift, match.end() + shift) for match in said]
    return sorted(found, key=max, reverse=True)


_BULLETS = re.compile(r"[ \t*]*\n(?:[ \t]*\n)?((?:[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+[^\n]+(?:\n|$))+)")
_BULLET = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+", re.MULTILINE)


_PARTS = re.compile(r"[ \t*]*+\n*+((?:[ \t]*\([1-9a-h]\)[ \t]*[^\n]+(?:\n+|$)){2,})")


def _json_value(text: str, start: int, end: int) -> tuple[str, int] | None:
    """The value of the member of a JSON object whose name ends in "answer", and where it ends."""
    if '"' not in text[start:end]:
        return None
    try:
        value, stop = json.JSONDecoder().raw_decode(text, end)
    except (ValueError, RecursionError):
        return None
    return (value if isinstance(value, str) else text[end:stop]), stop


def _bullets(text: str, start: int) -> tuple[str, int] | None:
    """The items of a list that follows at once, joined by commas, and where it ends."""
    if numbered := _PARTS.match(text, start):
        return "; ".join(
            line.strip(" .;") for line in numbered[1].splitlines() if line.strip()
        ), numbered.end()
    line_end = text.rfind("\n", 0, start + 1)
    match = _BULLETS.match(text, line_end if line_end >= 0 and not text[line_end:start].strip() else start)
    if match is None:
        return None
    items = [item.strip(" .;,") for item in _BULLET.sub("", match.group(1)).splitlines()]
    return ", ".join(item for item in items if item), match.end()


_BEFORE_VALUE = re.compile(r"^(?:=+>|[-=]{3,}(?=\s)|[\s:：*=}…→⇒]|\.\.\.)*")


def _sentence(text: str, start: int) -> tuple[str, int]:
    """The sentence behind a declaration, and where it ends; a formula at its head may hold full stops."""
    rest = text[start : start + MAX_ANSWER]
    shorter = _FENCE.sub("", _BEFORE_VALUE.sub("", rest))
    skipped = len(rest) - len(shorter)
    at = formula_at_head(shorter)
    end = _SENTENCE_END.search(shorter, at)
    sentence = shorter[: end.start()] if end else shorter
    if sentence.count("}") > sentence.count("{"):
        sentence = sentence.rstrip("} ")  # of \textbf{Answer: 7}
    sentence = _COPULA.sub("", sentence)
    return sentence.strip().strip("*`").strip(), start + skipped + (end.end() if end else len(shorter))


# ---------------------------------------------------------------- the end of the text

_BOLD = re.compile(r"\*\*(?!\s)([^*\n]{1,300}?)(?<!\s)\*\*|\\textbf\{([^{}]{1,300})\}")
_CONCLUDES = re.compile(
    r"^\W*(?:so|thus|hence|therefore|then|finally|consequently|altogether|in total|in all|overall"
    r"|we (?:get|have|find|conclude|obtain)"
    r"|this (?:gives|means|is)|that (?:gives|means|is)|which gives|giving|it follows|因此|所以|故|则|即)\b"
    r"|^\W*(?:因此|所以|故|则|即|∴)",
    re.IGNORECASE,
)
_STATES = re.compile(
    r"\b(?:is|are|was|were|be|equals?|gives?|becomes?|yields?|è|é|ist|lautet|beträgt|est|vaut|es"
    r"|равн\w+|составляет)\b|[:：]\s|[是为為]|等于|^[^\w\n]*[\w\s'’-]{2,60}:",
    re.IGNORECASE,
)
_TENTATIVE = re.compile(
    r"^\W*let\b"
    r"|\b(?:let me|let us|let['’]s|try|suppose|assume|consider|if|maybe|perhaps|check(?:ed)?|verify|verified"
    r"|i (?:used|tried|tested)|whether"
    r"|need to|would|could|might"
    r"|step \d|case \d|recall|note that|know that|given that|we want|guess|again|see|refer to|test|next"
    r"|(?:i|we) (?:will|shall|need to|must|now))\b"
    r"|\?\s*$|让我|假设|如果|验证|检验|考虑|试",
    re.IGNORECASE,
)
_NOT_BEFORE_A_RESULT = re.compile(
    r"(?:^|\s)(?:confidence|score|rating|difficulty|base|from|in|by|than|for|after|before|per|since"
    r"|until|page|equation|row|step|case|line"
    r"|figure"
    r"|table|problem|question|part"
    r"|(?<!up )(?<!left )(?<!home )(?<!her )(?<!him )(?<!them )(?<!ends )(?<!ended )(?<!end )(?<!away )"
    r"(?<!finish )(?<!finishes )with"
    r"|(?<!score )(?<!total )(?<!profit )(?<!loss )(?<!sum )(?<!amount )(?<!value )(?<!area )(?<!cost )"
    r"(?<!price )(?<!volume )"
    r"(?<!average )(?<!length )(?<!distance )(?<!probability )(?<!maximum )(?<!minimum )(?<!perimeter )of)$",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"(?<=[.!?。])\s+(?=[A-Z\u4e00-\u9fff$\\*])|(?<=。)")
_CLAUSE_START = re.compile(
    r"\b(?:therefore|thus|hence|so(?! (?:that|far|many|much|groß|viel|hoch|lang))|consequently)\b(?=.*\d)",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"\b(?:next,? we|we (?:now )?need to|let us|let['’]s|let me (?!know))\b", re.IGNORECASE)
_LAST_LINES = 3
_NUMBER = re.compile(
    r"[-−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?(?:[eE][+-]?\d+)?(?:\s?\\?%)?"
    r"|[-−]?\.\d+"
)
_OR_NUMBER = re.compile(r"\d\W*\b(?:or|oder|ou|или)\b\W*[-−]?\.?\d", re.IGNORECASE)
_AND_A_PART = re.compile(  # "2 and a half hours"
    r"\d\s+and\s+(?:an?|one|two|three|\d)[\s-]+(?:half|halves|thirds?|quarters?|fourths?|fifths?|\w+ths?)\b",
    re.IGNORECASE,
)
_PART_OF_MORE = re.compile(r"(?:[\d,.]\s|[+*/^_√(±×·≠<>≤≥{\[-]\s?|\\[a-z]+\s?|(?:\d|\b[a-z])\s?[+-]\s?)$")


_DISPLAY = re.compile(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", re.DOTALL)


def _lines(text: str) -> list[str]:
    if "\\begin" in text:
        text = _DISPLAY.sub(lambda match: " ".join(match.group().split()), text)
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


def _whole(text: str) -> Found | None:
    """A response that is nothing but an answer: a formula, or a word or two."""
    span = text.strip().strip("*`\"'").lstrip(". ").strip()
    if not span or "\n" in span or len(span) > 200:
        return None
    is_name = (
        is_compound(span)
        or re.fullmatch(r"[^\W\d_][\w'’-]*(?: [\w'’-]+)?[.!]?", span)
        and not re.search(r"\d", span)
    )
    if not is_name and (
        has_words(span) and not _is_count(span) or len(span.split()) > 12 and not formulas(span)
    ):
        return None
    return _found(
        span, Statement(span.rstrip(".!")) if is_name else read_span(span), "whole response", "medium"
    )


def _is_count(span: str) -> bool:
    """Whether words are a number, perhaps of something: three and a half hours."""
    first = re.split(r"[ -]", span.lower(), maxsplit=1)[0]
    if len(span) > 60 or " to " in span or first != "half" and number_word(first) is None:
        return False
    return in_notation(clean(span.lower()))[:1].isdecimal()


def _is_label(match: re.Match[str], line: str) -> bool:
    """Whether bold print names what stands in its line: **Total:** 36, the **area** is 12."""
    said = (match[1] or match[2]).strip()
    if (
        not said.strip(" .:$")
        or said.endswith((":", "："))
        or line[match.end() :].lstrip().startswith((":", "："))
    ):
        return True
    return not re.search(r"[\d$\\=]", said) and re.search(r"\d|\$", line[match.end() :]) is not None


def _in_bold(text: str) -> Found | None:
    for line in reversed(_lines(text)[-_LAST_LINES:]):
        bold = [match for match in _BOLD.finditer(line) if not _is_label(match, line)]
        if bold or _BOLD.search(line):
            break
    else:
        return None
    if not bold:
        return None
    said = [(match[1] or match[2]).strip(" .:$") for match in bold]
    before, behind = line[: bold[-1].start()], text[text.rfind(line) + bold[-1].end() :]
    if _TENTATIVE.search(said[-1]) or _UNSURE.search(before.lower()) or is_denied(before):
        return None
    span = said[-1]
    for first, second, content in zip(
        reversed(bold[:-1]), reversed(bold[1:]), reversed(said[:-1]), strict=True
    ):
        if not _JOINT.search(between := line[first.end() : second.start()]) or not _JOINED.fullmatch(between):
            break
        span = f"{content}, {span}"
    statement = read_span(span)
    if statement.cause == DENIED:
        return None
    found = _found(span, statement, "bold", "medium")
    also = _said_also(found, behind)
    return also or (found._replace(cause=TAKEN_BACK) if is_taken_back(behind) else found)


def _last_line(text: str) -> Found | None:
    """What the last sentence concludes; a sentence that only tells of numbers concludes nothing."""
    if found := _listed(text):
        return found
    sentence = _last_sentence(text)
    behind = text.rpartition(sentence)[2] if sentence else "\n".join(_lines(text)[-1:])
    if spelled := _TELLS.search(behind) or _TELLS.search(sentence):
        sentence = sentence or behind
    if not sentence or _TENTATIVE.search(sentence):
        return None
    if (answer := _NAMED_ANSWER.search(sentence)) and answer[1].lower() not in _OF_THE_ANSWER:
        return None
    said = read_span(sentence)
    if _NOT_BEFORE_A_RESULT.search(said.lead.rstrip(" :")):
        return None
    concludes = not has_words(sentence) or _CONCLUDES.search(sentence) or _STATES.search(sentence)
    if said.cause == DENIED or not re.search(r"\d|\\|\W", said.text):
        return None
    if not concludes and (said.cause or ", " in said.text):
        return None
    found = _found(sentence, said, "last line", "medium")
    return found._replace(rival=str(number_word(spelled[1]))) if spelled and sentence != behind else found


_TELLS = re.compile(  # three apples left; Tim has six
    rf"(?:^|\b(?:is|are|has|have|gets?|makes?|leaves?|gives?)\s(?:(?:only|exactly|now|then|about)\s)*)"
    rf"({SPELLED.pattern})(?:\s\w+){{0,3}}[\s.!*]*$",
    re.IGNORECASE,
)


_MOST_ROOT = 400  # characters of a line that may be one of several values
_ROOT = re.compile(
    r"(?:[\w ]{1,40}:[\s*]*)?(?:[-*•]|\d{1,2}[.)])?[\s$(\\[]*([a-zA-Z])(?:_\{?\d\}?|[₀-₉])?\s*=\s*([^=,;]+?)"
    r"(?:\s\([^()\d]+\))?(?:[\s;.,$)\]\\]|\b(?:or|and))*"
)


def _listed(text: str) -> Found | None:
    """Several values on the last lines, such as x = 7 and below it x = 8, or y = 8: one line says not all."""
    names: list[str] = []
    values: list[str] = []
    lines = _lines(text)
    if 1 < len(lines) < _MOST_DECLARATIONS and all(map(plain_number, lines)):
        span = ", ".join(lines)
        return Found(span, "last line", "medium", span)
    if numbered := _part_lines(lines):
        return numbered
    for line in reversed(lines[-_MOST_DECLARATIONS:]):
        if line in ("or", "and"):
            continue
        if (
            len(line) > _MOST_ROOT
            or not (root := _ROOT.fullmatch(line))
            or plain_number(clean(root[2])) is None
        ):
            break
        names.append(root[1])
        values.append(root[2].strip())
    if len({*names}) == 1 and len({plain_number(clean(value)) for value in values}) > 1:
        span = ", ".join(reversed(values))
        return Found(span, "last line", "medium", span)
    if len(names) > 1 and len({*names}) == len(names):
        span = ", ".join(f"{name} = {value}" for name, value in zip(names[::-1], values[::-1], strict=True))
        return Found(span, "last line", "medium", span, SEVERAL)
    return None


_PART_LINE = re.compile(r"[\s*]*\(([a-h])\)[\s*:]*(.+?)[\s*.]*")


def _part_lines(lines: list[str]) -> Found | None:
    """What the last lines give for (a), (b) and so on, if each gives one value without words."""
    values: list[str] = []
    for line in reversed(lines):
        part = _PART_LINE.fullmatch(line)
        if part is None or has_words(part[2]):
            return None
        values.insert(0, f"({part[1]}) {read_span(part[2]).text}")
        if part[1] == "a":
            break
    is_all = [value[1] for value in values] == [*"abcdefgh"[: len(values)]]
    span = ", ".join(values)
    return Found(span, "last line", "medium", span) if is_all and len(values) > 1 else None


def _last_sentence(text: str) -> str:
    """The last sentence with a value in it, out of the last lines."""
    for line in reversed(_lines(text)[-_LAST_LINES:]):
        for sentence in reversed(_SENTENCES.split(line[-1500:])):
            if _GOES_ON.search(sentence):
                return ""
            if re.search(r"[\d$\\=⁺⁻]", sentence):
                clauses = [match.start() for match in _CLAUSE_START.finditer(sentence)]
                return sentence[clauses[-1] :] if clauses else sentence
    return ""


def _last_number(text: str) -> Found | None:
    """The last number of the text, if it is no part of a longer expression and nothing denies or
    doubts it."""
    sentence = _last_sentence(text)
    numbers = list(_NUMBER.finditer(sentence))
    if not numbers or read_span(sentence).cause in (DENIED, BOUND, UNCLEAR) or _TENTATIVE.search(sentence):
        return None
    if _OR_NUMBER.search(sentence) or _AND_A_PART.search(sentence):
        return None
    last = numbers[-1]
    before = [
        word for word in re.findall(r"[a-z]+", sentence[: last.start()]) if word not in ("the", "an", "a")
    ]
    if _NOT_BEFORE_A_RESULT.search(" ".join(before[-2:])):
        return None
    if _PART_OF_MORE.search(sentence[: last.start()]) or re.match(
        r"\s?[!^*/+_a-z\\]", sentence[last.end() :].replace(" ", "  ")
    ):
        return None
    return Found(last.group().strip(), "last number", "low", last.group().strip())
