"""Where in a response is the answer?

Call `find_answer`; `last_box` is for text that is known to hold a box.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from util.grading.maths.spelling import mended
from util.response import without_turn_tokens

MAX_ANSWER = 4_000  # characters of one answer; what is longer is no answer
TAIL = 12_000  # characters at the end of a solution in which answers without a box are looked for
MAX_BOXES = 200


class Found(NamedTuple):
    """An answer found in a response, and by which sign."""

    text: str
    how: str  # "box", "answer tag", "####", "declared", "formula", "bold", "last number"


def find_answer(solution: str) -> Found | None:
    """The final answer of a solution by the strongest sign: boxes before words, words before numbers."""
    solution = without_turn_tokens(mended(solution))
    boxed = boxed_answer(solution)
    if boxed is not None:
        return Found(boxed, "box")
    unfinished = solution.rfind("boxed{")
    if unfinished >= 0:
        solution = solution[:unfinished]
    for find, how in _FINDERS:
        if unfinished >= 0 and how == "last number":
            return None  # cut off within its box: the numbers before it are no answer
        answer = find(solution[-TAIL:])
        if answer:
            return Found(answer, how)
    return None


# ---------------------------------------------------------------- boxes

_BOX = re.compile(r"\\(?:f?boxed|framebox|fbox)\s*(?:\[[^\]]{0,20}\])?\s*(\{|\d|\\[a-z]+)")
_JOINED = re.compile(
    r"(?:[\s,;$.()\[\]]|\\\\|\\[()\[\],;:! ]|\\q?quad|\\text(?:bf|rm)?\s*\{|\}"
    r"|(?:\\text\{)?(?:\s*(?:and|or|both|for part|in part)\s*)"
    r"|\([a-z]\)|[a-zA-Z](?:_\{?\d\}?)?\s*=|&|~|和|或|以及)*"
)


def last_box(text: str) -> str | None:
    r"""The contents of the last complete, non-empty \boxed{...}; None if there is none."""
    boxes = _boxes(text)
    return boxes[-1][2] if boxes else None


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


def boxed_answer(text: str) -> str | None:
    """The last box, or the last boxes that the text joins by commas or "and"."""
    if "box" not in text:
        return None
    boxes = _boxes(text)
    if not boxes:
        return None
    joined = [boxes[-1][2]]
    for (_, end, content), (start, _, _) in zip(reversed(boxes[:-1]), reversed(boxes[1:]), strict=True):
        between = text[end:start]
        if (
            len(between) > 80
            or not _JOINED.fullmatch(between)
            or not re.search(r",|;|and|or\b|&|quad|和|或|以及", between)
        ):
            break
        joined.insert(0, content)
    return ", ".join(joined) if len(set(joined)) > 1 else joined[-1]


# ---------------------------------------------------------------- other signs

_HASHES = re.compile(r"^\s*####[ \t]*(\S.*)$|(?<=\s)####[ \t]+(\S.*)$", re.MULTILINE)
_SAYS = re.compile(
    r"s?(?:[^\S\n]+(?:to|for)\s[^.\n]{1,60}?)?[^\S\n]*\**[^\S\n]*"
    r"(?:(?:is|are|will be|would be|must be|equals|comes to)\b|[:：=])\**[:：]?"
    r"|\**\s*(?=[\\$])|\**[^\S\n]*\n\s*(?=[\\$\d*-])"
)
_CHINESE = re.compile(r"(?:答案|故选|应选|结果(?=是|为))\s*(?:是|为|為|应为|应是|就是|等于)?\s*[:：]?")
_HEADING = re.compile(r"^[ \t#*]*(?:final\s+|my\s+)?answer[ \t*:：]*$", re.IGNORECASE | re.MULTILINE)
_CONCLUSION = re.compile(
    r"(?:解集|解|值|范围|概率|个数|距离|面积|体积|长|和|度数|方程)(?:应?[是为]|等于)\s*[:：]?"
)
_LINE_A = re.compile(r"^\s*\**A\**\s*[:：]\**", re.MULTILINE)
_MOST_DECLARATIONS = 20
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_JOINED_FORMULAS = re.compile(  # "are $x = 1$ and $x = 4$." at the end
    r"(?<![\w$])(?:\$[^$\n]{1,80}\$\s*(?:,|、|，)\s*){0,8}\$[^$\n]{1,80}\$\s*,?\s*(?:and|or|和|或|或者|与)\s*\$[^$\n]{1,80}\$"
    r"(?=[\s.。]*$)"
)
_BOLD = re.compile(r"\*\*(?!\s)([^*\n]{1,300}?)(?<!\s)\*\*|\\textbf\{([^{}]{1,300})\}")
_FRACTION = r"-?\\[dt]?frac\s*\{[^{}]{1,40}\}\s*\{[^{}]{1,40}\}"
_NUMBER = re.compile(
    rf"{_FRACTION}|\d{{1,9}}(?::\d{{1,9}})+|-?\d*√\(?\d+\)?|-?\d*π(?:/\d+)?"
    r"|[-−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?(?:[eE][+-]?\d+)?|[-−]?\.\d+"
)
_REASON = re.compile(r"\((?:since|because|as|where|for|when|see|note)\b[^()]{0,200}\)", re.IGNORECASE)
_DENIED = re.compile(r"\bnot\s+(?:equal to\s+|be\s+)?\$?-?\d[\d.,/]*")
_REJECTED = re.compile(r"[\s$]*(?:does not|doesn['’]t|is not|isn['’]t|cannot|can['’]t|fails)\b")
_ASIDE_AT_END = re.compile(r"(\d[^\n()]{0,60})\((?=[^()\n]*[A-Za-z]{2})[^()\n]{1,200}\)[\s.]*\Z")
_ABOUT = re.compile(r"[\s$,(]*(?:≈|\\approx|or\s+(?:about|approximately|roughly)|approximately|about)[\s$]*")
_GROUP_AT_END = re.compile(r"(?:\b(?:is|are|be|at)|=)\s*([(\[{][^()\[\]{}]{1,200}[)\]}])[\s.*$]*$")
_PLAIN_END = re.compile(r"[\s*$]*(-?\d[\d,]*(?:\.\d+)?)(?<!,)[\s*$.]*\Z")
_MORE = re.compile(r"\s*(?:,|and|or|, and|, or|和|或|与|或者|以及|、|，)\s*\$([^$]+)\$")
_LEADING = re.compile(  # "12, which is", "12 (twelve)", "12 since": the value before an afterthought
    r"\$?([-−]?\d[\d,]*(?:\.\d+)?(?:/\d+)?)(?<!,)\$?(?:\s*,)?\s+(?:which|since|because|where|when|\((?![\d\s]))"
)
_FENCE = re.compile(r"^```\w*\n")
_SENTENCE_END = re.compile(r"\.(?=\s|$)|\n|。|;\s(?=[A-Za-z])|；|！|!(?=\s|$)")
_TRAILING = re.compile(
    r"\s*(?:I hope (?:it|this) is correct.*|\(approximately\)|approximately)$", re.IGNORECASE | re.DOTALL
)


def tagged_answer(text: str) -> str | None:
    """What the last complete pair of answer tags holds."""
    lower = text.lower()
    end = lower.rfind("</answer>")
    start = lower.rfind("<answer>", 0, max(end, 0))
    if start < 0:
        return None
    answer = text[start + len("<answer>") : end].strip()
    if " " in answer and not answer.startswith("$") and (formula := _FORMULA.search(answer)):
        answer = next(group for group in formula.groups() if group is not None).strip()
    inner = find_answer(answer) if len(answer) > 60 and "<answer>" not in answer else None
    return inner.text if inner and inner.how != "last number" else answer


def _after_hashes(text: str) -> str | None:
    matches = _HASHES.findall(text)
    if not matches:
        return None
    answer = (matches[-1][0] or matches[-1][1]).strip().strip("*$ ")
    return _value_in(answer) or answer


def _declared(text: str) -> str | None:
    """What stands behind the last "the answer is" and its like."""
    for end in _declarations(text):
        answer = _value_in(text[end : end + MAX_ANSWER])
        if answer:
            return answer
    return None


def _declarations(text: str) -> list[int]:
    """Where declarations of an answer end, the last one first."""
    ends = [match.end() for match in _LINE_A.finditer(text[-300:])]
    ends = [end + max(0, len(text) - 300) for end in ends]
    at = len(text)
    for _ in range(_MOST_DECLARATIONS):
        at = max(text.rfind("nswer", 0, at), text.rfind("NSWER", 0, at))
        if at < 0:
            break
        match = _SAYS.match(text, at + 5)
        if match:
            ends.append(match.end())
    ends.extend(match.end() for match in _HEADING.finditer(text))
    if not text.isascii():
        ends.extend(match.end() for match in _CHINESE.finditer(text))
    return sorted(ends, reverse=True)


def _value_in(text: str) -> str | None:
    """The value at the head of what follows a declaration."""
    if simple := _PLAIN_END.match(text):
        return simple.group(1)
    text = _FENCE.sub("", text.lstrip(" \t:：*=}\n").lstrip())
    if leading := _LEADING.match(text):
        return leading.group(1)
    text = _TRAILING.sub("", text)
    formula = _FORMULA.match(text)
    if formula:
        inside = next(group for group in formula.groups() if group is not None)
        rest = text[formula.end() :]
        joined = [inside.strip()]
        while (more := _MORE.match(rest)) is not None:
            joined.append(more.group(1).strip())
            rest = rest[more.end() :]
        return ", ".join(joined) if "=" not in inside or len(joined) > 1 else inside.strip()
    if text.startswith(("$", "\\$")) and re.match(r"\\?\$\s*-?[\d.]", text):
        text = text.lstrip("\\$ ")
    end = _SENTENCE_END.search(text)
    sentence = text[: end.start()] if end else text
    sentence = sentence.strip().strip("*").strip()
    if sentence.count("}") > sentence.count("{"):
        sentence = sentence.rstrip("} ")  # of \textbf{Answer: 7}
    if not sentence:
        return None
    behind = re.search(r"\$\s+(?:is|equals|=)\s+([^$]+)$", sentence)
    if behind:
        return _from_words(behind.group(1))
    inside = _FORMULA.search(sentence)
    if inside and len(sentence) > len(inside.group()) + 3:
        return next(group for group in inside.groups() if group is not None).strip()
    return _from_words(sentence)


def _from_words(sentence: str) -> str:
    """A short answer in words as it is; of a sentence that tells about a number, the number."""
    sentence = re.sub(
        r"^(?:that\s+)?(?:the\s+)?(?:largest|smallest|answer|number|value)[^.]{0,60}?\s(?:is|=)\s+",
        "",
        sentence,
    )
    sentence = re.sub(
        r"^(?:therefore|thus|so|hence|simply|just|indeed|approximately|about|exactly|equal to)\b,?\s*",
        "",
        sentence,
        flags=re.IGNORECASE,
    )
    numbers = _NUMBER.findall(sentence)
    if len(numbers) == 1 and not re.search(r"[\\^_<>|(\[{]", sentence):
        if len(sentence.split()) > 4 or re.search(
            rf"\s(?:is|are|equals|=)\s+\$?{re.escape(numbers[0])}\b", sentence
        ):
            return numbers[0]
    return _AFTERTHOUGHT.split(sentence, maxsplit=1)[0].strip().strip("*")


_AFTERTHOUGHT = re.compile(
    r",?\s(?:because|since|as|which|so|where|(?:and\s+|but\s+)?not|instead of|rather than)\s"
)


def _in_formula(text: str) -> str | None:
    """The last formula of the text's last lines, if no number stands behind it."""
    tail = text.rstrip()[-1500:]
    formulas = [
        next(g for g in groups if g) for groups in _FORMULA.findall(tail) if any(g.strip() for g in groups)
    ]
    formulas = [formula.strip().rstrip(".,") for formula in formulas if formula.strip(" .,")]
    if not formulas:
        return None
    after = tail[tail.rfind(formulas[-1]) + len(formulas[-1]) :]
    if re.search(r"\d", after) or _REJECTED.match(after):
        return None
    joined = _JOINED_FORMULAS.search(tail)
    if joined and joined.group().rstrip("$").endswith(formulas[-1]):
        return ", ".join(formula.strip() for formula in re.findall(r"\$([^$]+)\$", joined.group()))
    return formulas[-1]


def _concluded(text: str) -> str | None:
    """What stands behind "的值为" and its like in the last line."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines or lines[-1].isascii():
        return None
    ends = [match.end() for match in _CONCLUSION.finditer(lines[-1])]
    return _value_in(lines[-1][ends[-1] :]) if ends else None


def _bare_relation(text: str) -> str | None:
    match = re.search(
        r"\$?([a-z]\s*(?:<=|>=|!=|<|>|≤|≥)\s*-?\d+(?:\.\d+)?)\$?\s*(?:is (?:our|the) answer)", text
    )
    return match.group(1) if match else None


def _in_bold(text: str) -> str | None:
    lines = [line for line in text.strip().splitlines() if line.strip()][-3:]
    found = [a or b for a, b in _BOLD.findall("\n".join(lines))]
    found = [item.strip(" .:$") for item in found if item.strip(" .:$")]
    if not found:
        return None
    last = found[-1]
    return _NUMBER.findall(last)[-1] if re.search(r"\s", last) and len(_NUMBER.findall(last)) == 1 else last


def _last_fraction(text: str) -> str | None:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    match = re.search(rf"({_FRACTION})\s*\.?\s*$", lines[-1]) if lines else None
    return match.group(1) if match else None


def _last_group(text: str) -> str | None:
    """(1, 2), of a last line that ends in "is (1, 2)" or "= (1, 2)"."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    match = _GROUP_AT_END.search(lines[-1][-300:]) if lines else None
    return match.group(1) if match else None


def _last_number(text: str) -> str | None:
    text = _ASIDE_AT_END.sub(r"\1", _DENIED.sub("", _REASON.sub("", text[-4000:])))
    numbers = list(_NUMBER.finditer(text))
    if len(numbers) > 1 and _ABOUT.fullmatch(text[numbers[-2].end() : numbers[-1].start()]):
        numbers.pop()  # 5/12 is the answer of "5/12, about 0.42"
    if not numbers or text[: numbers[-1].start()].endswith(("^", "^{", "_", "_{")):
        return None
    return None if _REJECTED.match(text, numbers[-1].end()) else numbers[-1].group().strip()


_FINDERS = (
    (tagged_answer, "answer tag"),
    (_after_hashes, "####"),
    (_declared, "declared"),
    (_bare_relation, "formula"),
    (_concluded, "declared"),
    (_in_bold, "bold"),
    (_in_formula, "formula"),
    (_last_fraction, "formula"),
    (_last_group, "formula"),
    (_last_number, "last number"),
)
