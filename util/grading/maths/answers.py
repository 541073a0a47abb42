"""Where in a response is the answer, and how far can the sign be trusted by which it was found?

Call `find_answer`; `last_box` is for text that is known to hold a box.

A sign points to a span (a box, a tag, the sentence behind "the answer is", the last line), and the whole span
goes to `read_span`. High trust: a box, an answer tag, a "####" line, a finished declaration. Medium: bold,
a conclusion in the last line, a response that is nothing but the answer. Low: the last number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from util.grading.maths.numbers import plain_number, same_number
from util.grading.maths.spans import (
    BOUND,
    DENIED,
    SEVERAL,
    TAKEN_BACK,
    UNCLEAR,
    Statement,
    formula_at_head,
    formulas,
    has_words,
    read_span,
)
from util.grading.maths.spelling import clean, mended
from util.response import without_turn_tokens

MAX_ANSWER = 4_000  # characters of one answer; what is longer is no answer
TAIL = 12_000  # characters at the end of a solution in which answers without a box are looked for
MAX_BOXES = 200
_CALCULATION = re.compile(r"<<[^<>\n]{1,200}>>")  # as in "9 * 2 = $<<9*2=18>>18"


class Found(NamedTuple):
    """An answer found in a response, and by which sign."""

    text: str  # what the span says
    how: str  # "box", "answer tag", "####", "declared", "bold", "whole response", "last line", "last number"
    trust: str  # one of `records.TRUSTS`
    span: str  # as it stands in the response
    cause: str = ""  # why the span says no single answer


def find_answer(solution: str, *, lowest: str = "low") -> Found | None:
    """The final answer of a solution by the strongest sign; `lowest` is the least trust that counts."""
    solution = without_turn_tokens(mended(solution))
    boxed = boxed_answer(solution)
    if boxed is not None:
        if (behind := _taken_back(solution)) is not None:
            return _declared(behind) or _found(boxed, Statement(boxed, TAKEN_BACK), "box", "high")
        behind = solution[_boxes(solution)[-1][1] :][-TAIL:].partition("Question")[
            0
        ]  # models go on with others
        later = _declared(behind) if "nswer" in behind else None
        if later is not None and _are_unlike_numbers(boxed, later.text):
            return _found(boxed, Statement(boxed, SEVERAL), "box", "high")
        return _found(boxed, read_span(boxed, declared=True), "box", "high")
    unfinished = solution.rfind("boxed{")
    tail = (solution if unfinished < 0 else solution[:unfinished])[-TAIL:]
    if "<<" in tail:
        tail = _CALCULATION.sub("", tail)
    found = _tagged(tail) or _after_hashes(tail) or _declared(tail)
    if found is None and lowest != "high" and unfinished < 0:
        found = _whole(tail) or _in_bold(tail) or _last_line(tail)
        if lowest == "low" and (found is None or found.cause):
            found = _last_number(tail) or found
    return found


def _found(span: str, said: Statement, how: str, trust: str) -> Found:
    return Found(said.text or span, how, trust, span, said.cause)


# ---------------------------------------------------------------- boxes

_BOX = re.compile(r"\\(?:f?boxed|framebox|fbox)\s*(?:\[[^\]]{0,20}\])?\s*(\{|\d|\\[a-z]+)")
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
            if match.group(1).isdecimal():
                found.append((match.start(), match.end(), match.group(1)))
            continue
        end = _closing(text, match.end())
        if end is not None and text[match.end() : end].strip():
            found.append((match.start(), end + 1, text[match.end() : end].strip()))
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


_REFUTED = re.compile(
    r"[\s$.*)]*(?:\\text\s*\{)?\s*(?:is|would be|was|cannot be|can['’]t be)\s+"
    r"(?:wrong|incorrect|not|impossible|false)\b",
    re.IGNORECASE,
)


def _are_unlike_numbers(boxed: str, declared: str) -> bool:
    first, second = plain_number(clean(boxed)), plain_number(clean(declared))
    return first is not None and second is not None and not same_number(first, second)


_RETRACTS = re.compile(
    r"\b(?:wait|hmm+|oops|hold on|actually,? no|no,? wait|sorry)\b"
    r"|\b(?:this|that|it|which|he|she) (?:is|was) (?:wrong|incorrect|false|not right|a mistake)\b"
    r"|\b(?:correct|right|true|actual) (?:answer|value|result|one) (?:is|should|would)\b|\bshould have been\b"
    r"|\bit should be\b|\bfirst (?:guess|attempt)\b|\bcorrection\b|\bedit:|\bscratch that\b"
    r"|\boff by one\b|\bcannot be right\b"
    r"|\bupon reflection\b|\bcounts each\b|\bthat forgets\b|\bstill (?:have|need) to\b|是错误|漏掉|应为"
    r"|\b(?:rejected|extraneous|does not satisfy|doesn['’]t satisfy|contradicts|violates)\b|不对|错了|应该是"
    r"|\b(?:falsch|faux|equivoqu\w+|неверно|sbagliat\w|errad\w)(?!\w)|間違",
    re.IGNORECASE,
)
_MISTAKEN = re.compile(
    r"(?:\b(?:wrong|incorrect|tempting|mistaken|naive|erroneous|cannot be|can['’]t be|not|never|nicht"
    r"|pas|no es|whether|if"
    r"|bound|e\.g\.|format|box like|students get)(?!\w)|n['’]t\b|不是|至少|至多|(?<!\w)не(?!\w))"
    r"(?:(?!\b(?:so|hence|thus|therefore|but|instead|then|and|answer)\b|[.,;:=\n，。；]).){0,30}$"
    r"|\b(?:at (?:least|most)|than)[\s$]*$|(?:~~|<del>|\\(?:cancel|sout|xcancel)\{)[\s$]*$"
    r"|[\d})a-z][^\S\n]*[-+/^][^\S\n]*$|\d$|[$=][^\S\n]*-[^\S\n]*$|[\s$][<>][^\S\n]*$"
    r"|\\(?:sqrt|cdot|times|leq?|geq?|neq?)\s*\{?\s*$|\\frac\s*\{[^{}]*\}\s*\{\s*$",
    re.IGNORECASE,
)
_ELSE = re.compile(
    r"[\s$.)*]*(?:,?\s*(?:or|或)\s+(?:(?:possibly\s+)?\$?-?\d|something|maybe)|\s+if\b|\^|!|[+x]"
    r"|\\(?:pi|cdot|times|sqrt)\b)",
    re.IGNORECASE,
)
_BEHIND_BOX = 240  # characters behind the last box in which it may be taken back


def _taken_back(solution: str) -> str | None:
    """What stands behind the last box, where that or the words before the box take the answer back."""
    found = _boxes(solution)
    start, end, _ = found[-1]
    begin = max(found[-2][1] if len(found) > 1 else 0, start - 80)
    if _RETRACTS.search(solution[end : end + _BEHIND_BOX]) or _ELSE.match(solution, end):
        return solution[end:]
    return solution[end:] if _MISTAKEN.search(solution[begin:start]) else None


def boxed_answer(text: str) -> str | None:
    """The last box, or the last boxes that the text joins by commas or "and"."""
    if "box" not in text:
        return None
    found = _boxes(text)
    while found and _REFUTED.match(text, found[-1][1]):
        found.pop()
    if not found:
        return None
    joined = [found[-1][2]]
    for (_, end, content), (start, _, _) in zip(reversed(found[:-1]), reversed(found[1:]), strict=True):
        between = text[end:start]
        if len(between) > 80 or not _JOINED.fullmatch(between) or not _JOINT.search(between):
            break
        joined.insert(0, content)
    return ", ".join(joined) if len(set(joined)) > 1 else joined[-1]


_ROMAN = ("i", "ii", "iii", "iv", "v", "vi")
_PART = re.compile(
    r"(?:^|(?<=[\s;,.。；*#:：]))(?:[(（]\s*([1-9]|[a-h]|i{1,3}|iv|vi?)\s*[)）]|part\s*[(]?([1-9a-h])\b"
    r"|([1-9])[.)]\s)"
    r"|([\u2460-\u2468])",
    re.IGNORECASE,
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
    r"|[^\S\n]*[-–—.][^\S\n]+(?=[\d$\\-])|\**\s*(?=[\\$])|\**[^\S\n]*\n\s*(?=[\\$\d*-])"
)
_CHINESE = re.compile(
    r"(?:答案|答(?=[:：])|故选|应选|结果(?=是|为))\s*(?:是|为|為|应为|应是|就是|等于)?\s*[:：]?"
)
_HEADING = re.compile(r"^[ \t#*]*(?:final\s+|my\s+)?answer[ \t*:：]*$", re.IGNORECASE | re.MULTILINE)
_LINE_A = re.compile(r"^\s*\**A\**\s*[:：]\**", re.MULTILINE)
_IS_THE_ANSWER = re.compile(r"\s+(?:is|are)\s+(?:the|our|my)\s+(?:final\s+|correct\s+)?answer\b")
_MOST_DECLARATIONS = 20
_FENCE = re.compile(r"^```\w*\n")
_SENTENCE_END = re.compile(r"[.?](?=\s|$)|\n|。|;\s(?=[A-Za-z])|；|！|!(?=\s|$)")
_CLAUSE = re.compile(r"[.;,!?\n。；，！？]|\b(?:and|but|so|thus|hence|therefore|then)\b", re.IGNORECASE)
_UNSURE = re.compile(
    r"\b(?:not|never|doubt|cannot|unlikely|if|unless|suppose|supposing|assume|assuming|whether|might"
    r"|could|may|alternative|another|previous|first|initial|wrong|students?|says|said|claims?|nobody"
    r"|tempting)\b|n['’]t\b"
    r"|\b(?:is|was)\s+(?:the|your)\s*(?:final\s*)?$|如果|不",
    re.IGNORECASE,
)
_NO_DOUBT = re.compile(r"\b(?:no|without(?: a)?|beyond) doubt\b", re.IGNORECASE)
_OTHERWISE = re.compile(  # behind an answer: another one is as good
    r"[\s*_.]*(?:on the other hand|alternatively|(?:but )?it (?:could|may|might)|or (?:maybe|perhaps"
    r"|possibly)|both)\b"
    r"[^\n]{0,100}\d",
    re.IGNORECASE,
)
_RETRACTED = re.compile(
    r"[\s*_.]*(?:no,? wait|wait,? no|oops|correction|on second thoughts?|hold on)\b|"
    r"[\s*_.]*(?:wait|no|hmm+|actually|but|oh|oops|sorry|hold on)\b[^.\n]{0,60}?"
    r"\b(?:wrong|incorrect|not right|not correct|mistake|mistaken|not the answer)\b",
    re.IGNORECASE,
)


def tagged_answer(text: str) -> str | None:
    """What the last complete pair of answer tags holds."""
    lower = text.lower()
    end = lower.rfind("</answer>")
    start = lower.rfind("<answer>", 0, max(end, 0))
    return None if start < 0 else text[start + len("<answer>") : end].strip()


def _tagged(text: str) -> Found | None:
    span = tagged_answer(text)
    if not span:
        return None
    behind = text[text.lower().rfind("</answer>") + 9 :][:_BEHIND_BOX]
    if _RETRACTS.search(behind):
        return _declared(behind) or _found(span, Statement(span, TAKEN_BACK), "answer tag", "high")
    if (len(span) > 60 or "\n" in span) and "<answer>" not in span:
        inner = find_answer(span, lowest="medium")
        if inner is not None:
            return inner._replace(how="answer tag", trust="high")
    return _found(span, read_span(span, declared=True), "answer tag", "high")


def _after_hashes(text: str) -> Found | None:
    matches = list(_HASHES.finditer(text)) if "####" in text else []
    if not matches:
        return None
    span = (matches[-1].group(1) or matches[-1].group(2)).strip().strip("*").strip()
    trust = "high" if matches[-1].end() < len(text) else "medium"
    if _RETRACTS.search(text[matches[-1].end() :][:_BEHIND_BOX]):
        return _found(span, Statement(span, TAKEN_BACK), "####", trust)
    return _found(span, read_span(span, declared=True), "####", trust)


def _declared(text: str) -> Found | None:
    """What the last "the answer is" and its like declare."""
    for start, end in _declarations(text):
        if end < 0:  # "x < 5 is the answer"
            line = text.rfind("\n", 0, start) + 1
            span, behind = text[line:start].strip(), start
        else:
            before = text[max(0, start - 80) : start]
            if _UNSURE.search(before) and _UNSURE.search(_NO_DOUBT.sub("", _CLAUSE.split(before)[-1])):
                continue
            span, behind = _bullets(text, end) or _sentence(text, end)
        if not span or text[behind - 1 : behind] == "?" or _RETRACTED.match(text, behind):
            continue
        said = read_span(span, declared=True)
        if _OTHERWISE.match(text, behind):
            span = text[end : behind + 120].strip()
            said = Statement(span, SEVERAL)
        if said.cause != DENIED:
            ends = formulas(span)
            is_whole = (
                behind < len(text.rstrip()) or text.rstrip()[-1:] in ".*" or ends and ends[-1][1] == len(span)
            )
            return _found(span, said, "declared", "high" if is_whole else "medium")
    return None


def _declarations(text: str) -> list[tuple[int, int]]:
    """Where declarations of an answer begin and end, the last one first; the end is -1 where the"
    " answer precedes."""
    found = []
    shift = max(0, len(text) - 300)
    found += [(match.start() + shift, match.end() + shift) for match in _LINE_A.finditer(text[-300:])]
    at = len(text)
    for _ in range(_MOST_DECLARATIONS):
        at = max(text.rfind("nswer", 0, at), text.rfind("NSWER", 0, at))
        if at < 0:
            break
        if match := _SAYS.match(text, at + 5):
            found.append((at - 1, match.end()))
        elif before := re.search(
            r"\s+(?:is|are|as)\s+(?:the|our|my)\s+(?:final\s+|correct\s+)?.$", text[max(0, at - 30) : at]
        ):
            found.append((max(0, at - 30) + before.start(), -1))
    found += [match.span() for match in _HEADING.finditer(text)]
    if not text.isascii():
        found += [match.span() for match in _CHINESE.finditer(text)]
    return sorted(found, key=lambda place: max(place), reverse=True)


_BULLETS = re.compile(r"[ \t*]*\n(?:[ \t]*\n)?((?:[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+[^\n]+(?:\n|$))+)")
_BULLET = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+", re.MULTILINE)


def _bullets(text: str, start: int) -> tuple[str, int] | None:
    """The items of a list that follows at once, joined by commas, and where it ends."""
    line_end = text.rfind("\n", 0, start + 1)
    match = _BULLETS.match(text, line_end if line_end >= 0 and not text[line_end:start].strip() else start)
    if match is None:
        return None
    items = [item.strip(" .;,") for item in _BULLET.sub("", match.group(1)).splitlines()]
    return ", ".join(item for item in items if item), match.end()


def _sentence(text: str, start: int) -> tuple[str, int]:
    """The sentence behind a declaration, and where it ends; a formula at its head may hold full stops."""
    rest = text[start : start + MAX_ANSWER]
    shorter = _FENCE.sub("", rest.lstrip(" \t:：*=}\n"))
    skipped = len(rest) - len(shorter)
    at = formula_at_head(shorter)
    end = _SENTENCE_END.search(shorter, at)
    sentence = shorter[: end.start()] if end else shorter
    if sentence.count("}") > sentence.count("{"):
        sentence = sentence.rstrip("} ")  # of \textbf{Answer: 7}
    return sentence.strip().strip("*").strip(), start + skipped + (end.end() if end else len(shorter))


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
    r"\b(?:let me|let us|let['’]s|try|suppose|assume|consider|if|maybe|perhaps|check|verify|whether"
    r"|need to|would|could|might"
    r"|step \d|case \d|recall|note that|know that|given that|we want|guess|again|see|refer to|test|next"
    r"|(?:i|we) (?:will|shall|need to|must|now))\b"
    r"|\?\s*$|让我|假设|如果|验证|检验|考虑|试",
    re.IGNORECASE,
)
_NOT_BEFORE_A_RESULT = re.compile(
    r"(?:^|\s)(?:from|in|by|than|with|for|after|before|per|since|until|page|equation|row|step|case|line"
    r"|figure"
    r"|table|problem|question|part"
    r"|(?<!total )(?<!profit )(?<!loss )(?<!sum )(?<!amount )(?<!value )(?<!area )(?<!cost )(?<!price )"
    r"(?<!volume )"
    r"(?<!average )(?<!length )(?<!distance )(?<!probability )(?<!maximum )(?<!minimum )(?<!perimeter )of)$",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"(?<=[.!?。])\s+(?=[A-Z\u4e00-\u9fff$\\*])|(?<=。)")
_CLAUSE_START = re.compile(
    r"\b(?:therefore|thus|hence|so(?! (?:that|far|many|much))|consequently)\b(?=.*\d)", re.IGNORECASE
)
_GOES_ON = re.compile(r"\b(?:next,? we|we (?:now )?need to|let us|let['’]s|let me (?!know))\b", re.IGNORECASE)
_LAST_LINES = 3
_NUMBER = re.compile(
    r"[-−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?(?:[eE][+-]?\d+)?(?:\s?\\?%)?"
    r"|[-−]?\.\d+"
)
_PART_OF_MORE = re.compile(r"(?:[\d,.]\s|[+*/^_√(±×·≠<>≤≥{\[-]\s?|\\[a-z]+\s?|(?:\d|\b[a-z])\s?[+-]\s?)$")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


def _whole(text: str) -> Found | None:
    """A response that is nothing but an answer: a formula, or a word or two."""
    span = text.strip().strip("*`\"'").lstrip(". ").strip()
    if not span or "\n" in span or len(span) > 200:
        return None
    is_name = re.fullmatch(r"[^\W\d_][\w'’-]*(?: [\w'’-]+)?[.!]?", span) and not re.search(r"\d", span)
    if not is_name and (has_words(span) or len(span.split()) > 12 and not formulas(span)):
        return None
    return _found(
        span, Statement(span.rstrip(".!")) if is_name else read_span(span), "whole response", "medium"
    )


def _in_bold(text: str) -> Found | None:
    found = [a or b for a, b in _BOLD.findall("\n".join(_lines(text)[-_LAST_LINES:]))]
    found = [span.strip(" .:$") for span in found if span.strip(" .:$")]
    if not found or _TENTATIVE.search(found[-1]):
        return None
    line = next(line for line in reversed(_lines(text)) if found[-1] in line)
    if _UNSURE.search(line[: line.rfind(found[-1])]):
        return None
    said = read_span(found[-1])
    return None if said.cause == DENIED else _found(found[-1], said, "bold", "medium")


def _last_line(text: str) -> Found | None:
    """What the last sentence concludes; a sentence that only tells of numbers concludes nothing."""
    sentence = _last_sentence(text)
    if not sentence or _TENTATIVE.search(sentence):
        return None
    said = read_span(sentence)
    if _NOT_BEFORE_A_RESULT.search(said.lead):
        return None
    concludes = not has_words(sentence) or _CONCLUDES.search(sentence) or _STATES.search(sentence)
    if not concludes and (said.cause or ", " in said.text):
        return None
    return (
        None
        if said.cause == DENIED or not re.search(r"\d|\\|\W", said.text)
        else _found(sentence, said, "last line", "medium")
    )


def _last_sentence(text: str) -> str:
    """The last sentence with a value in it, out of the last lines."""
    for line in reversed(_lines(text)[-_LAST_LINES:]):
        for sentence in reversed(_SENTENCES.split(line[-1500:])):
            if _GOES_ON.search(sentence):
                return ""
            if re.search(r"\d|[$\\=]", sentence):
                clauses = [match.start() for match in _CLAUSE_START.finditer(sentence)]
                return sentence[clauses[-1] :] if clauses else sentence
    return ""


def _last_number(text: str) -> Found | None:
    """The last number of the text, if it is no part of a longer expression and nothing denies or"
    " doubts it."""
    sentence = _last_sentence(text)
    numbers = list(_NUMBER.finditer(sentence))
    if not numbers or read_span(sentence).cause in (DENIED, BOUND, UNCLEAR) or _TENTATIVE.search(sentence):
        return None
    last = numbers[-1]
    if _NOT_BEFORE_A_RESULT.search(" ".join(re.findall(r"[a-z]+", sentence[: last.start()])[-2:])):
        return None
    if _PART_OF_MORE.search(sentence[: last.start()]) or re.match(
        r"\s?[!^*/+_a-z\\]", sentence[last.end() :].replace(" ", "  ")
    ):
        return None
    return Found(last.group().strip(), "last number", "low", last.group().strip())
