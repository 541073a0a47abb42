"""Which option of a multiple-choice problem does a response choose?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from util.grading.answers import TAIL, last_box, solution_part, tagged_answer
from util.grading.latex import clean
from util.grading.words import normal_text, unwrapped
from util.records import Verdict

GRADER = "choice-1"
LETTERS = "ABCDEFGHIJ"

_ALONE = r"[\s*_`$]*[(\[]?\s*([{valid}])\s*[)\].:]*[\s*_`$]*"
_HEDGES = r"(?:therefore|thus|clearly|definitely|likely|probably|simply|indeed|most likely|best described by)"
_KINDS = r"(?:option|choice|answer|letter)"
_OPENING = r"(?:\\text(?:bf|rm)?\s*\{{|\\mathbf\s*\{{|\\mathrm\s*\{{)*[(\[（]?"
_ENDS = r"(?![\w'’^_/-]|\s*[-+=<>^]|\.\d)"  # no variable, formula or word goes on
_DECLARATIONS = (
    # "the answer is (B)", "**Answer:** B", "correct option: B", "答案是 B"
    (
        rf"(?:\b(?:answers?|choice|option|solution|response|conclusion|letter)|答案|选项)\s*{_KINDS}?\s*\**\s*"
        r"(?:is|are|would be|should be|must be|will be|为|為|是|应为|应该是)?\s*"
        rf"(?:{_HEDGES}|{_KINDS}|the|\s)*[:：=]?\s*{_KINDS}?[\s*_`$:：\"'「【]*{_OPENING}([{{valid}}]){_ENDS}"
    ),
    # "B is correct", "(C) is the right answer", "option D fits best"
    (
        r"(?:^|[\s(*_`\"'])[(\[]?([{valid}])[)\]]?[\s*_`\"']{{1,4}}(?:is|would be|seems|must be)\s+"
        r"(?:therefore\s+|clearly\s+)?(?:the\s+)?(?:most\s+)?"
        r"(?:correct|right|best|true|accurate|appropriate|answer)"
    ),
    # "I choose B", "we select (C)", "go with D", "故选B"
    (
        r"(?:\b(?:choose|select|pick|go with|going with|chose|selecting|mark)\b|[故应]选|选择?)\s*"
        rf"{_KINDS}?[\s*_`$:：(\[（]*([{{valid}}])(?![\w'’^_/-])"
    ),
)
# A lone letter is no option in "Delta E", "vitamin C", "point A", "x = A".
_NAMED_THINGS = (
    "Delta ", "Δ", "Δ ", "vitamin ", "Vitamin ", "hepatitis ", "point ", "Point ", "type ", "Type ", "group ",
    "Group ",
    "statement ", "Statement ", "figure ", "Figure ", "angle ", "side ",
)  # fmt: skip
_LONE = (
    r"(?<![\w\\$'’^_{{=+/<>-])(?<![=+*/<>-]\s)"
    + "".join(f"(?<!{name})" for name in _NAMED_THINGS)
    + r"\(?([{valid}])\)?(?![\w'’^_/}}$-]|\s*[=+<>^])"
)
_PRONOUN = re.compile(r"\s+[a-z]")
_NEGATED = re.compile(r"(?:\bnot|n't|\bnever|\bnor|incorrect|wrong)\W*$", re.IGNORECASE)
_LISTED = re.compile(r"\s*(?:,|/|or\b|and\b|&)\s*(?:\(?|option\s+|both\s+)[(\[]?([A-J])[)\]]?(?![\w'’])")


def grade_choice(letter: str, response: str, *, options: int | Sequence[str]) -> Verdict:
    """Whether the response chooses the option `letter`; `options`: how many there are, or their texts."""
    texts = () if isinstance(options, int) else tuple(options)
    valid = LETTERS[: options if isinstance(options, int) else len(texts)]
    solution = solution_part(response)
    if solution is None:
        return Verdict(False, "truncated", detail="the thought is not closed", grader=GRADER)
    chosen, how = choose(solution, valid, texts)
    if chosen is None:
        return Verdict(False, "no_answer", detail=f"no letter out of {valid}", grader=GRADER)
    correct = chosen == letter
    return Verdict(correct, "" if correct else "wrong_answer", chosen, f"{how}; {letter} | {chosen}", GRADER)


def choose(solution: str, valid: str, texts: tuple[str, ...] = ()) -> tuple[str | None, str]:
    """The chosen letter (several, joined by commas, where the response hedges) and by which sign."""
    box = last_box(solution)
    if box is not None:
        chosen = _letter_of(box, valid, texts)
        if chosen:
            return chosen, "box"
    tail = solution[-TAIL:]
    tagged = tagged_answer(tail)
    if tagged and (chosen := _letter_of(tagged[:400], valid, texts)):
        return chosen, "answer tag"
    if chosen := _declared(tail, valid):
        return chosen, "declared"
    if box is None and texts and (chosen := _declared_text(tail, valid, texts)):
        return chosen, "declared text"
    if box is None and (chosen := _lone(tail, valid)):
        return chosen, "lone letter"
    return None, ""


def _letter_of(box: str, valid: str, texts: tuple[str, ...]) -> str | None:
    """The letter that the contents of a box name, by itself or by an option's text."""
    box = unwrapped(clean(box)).strip(" $*`\"'.{}")
    match = re.fullmatch(
        rf"(?:the\s+)?(?:correct\s+)?(?:(?:option|choice|answer)\s*(?:is)?\s*[:\s]?\s*)?[(\[]?\s*([{valid}{valid.lower()}])\s*[)\]]?[.:]?",
        box,
        re.IGNORECASE,
    )
    if match:
        return match.group(1).upper()
    several = re.fullmatch(
        rf"[(\[]?[{valid}][)\]]?(?:\s*(?:,|;|/|and|or|&|\\and|\\or)+\s*[(\[]?[{valid}][)\]]?)+", box
    )
    if several:
        return ", ".join(dict.fromkeys(re.findall(f"[{valid}]", box)))
    headed = re.match(rf"(?:[(\[]\s*([{valid}])\s*[)\]]|([{valid}])\s*[.):])\s*\S", box)
    if headed and not re.search(rf"\([{valid}]\)|(?<!\w)[{valid}][.):]\s", box[headed.end() :]):
        return headed.group(1) or headed.group(2)
    wanted = normal_text(box)
    found = [valid[i] for i, text in enumerate(texts) if normal_text(unwrapped(clean(text))) == wanted]
    return found[0] if len(found) == 1 else None


def _declared(text: str, valid: str) -> str | None:
    """The letter of the last declaration; several letters where it names several."""
    last: re.Match | None = None
    for pattern in _DECLARATIONS:
        for match in re.finditer(pattern.format(valid=valid), text, re.IGNORECASE | re.MULTILINE):
            start = match.start(1)
            if not text[start].isupper() and text[start - 1] not in "(*":
                continue
            if text[start] in "AI" and _is_word(text, match.end(1)):
                continue
            if _NEGATED.search(text[max(0, start - 12) : start]) or _NEGATED.search(
                text[max(0, match.start() - 12) : match.start()]
            ):
                continue
            if last is None or start > last.start(1):
                last = match
    if last is None:
        return None
    letters, at = [last.group(1).upper()], last.end(1)
    while at < len(text) and text[at] in ")]*_` ":
        at += 1
    while (more := _LISTED.match(text, at)) and more.group(1) in valid:
        letters.append(more.group(1))
        at = more.end()
    return ", ".join(dict.fromkeys(letters))


def _is_word(text: str, end: int) -> bool:
    """Whether the letter before `end` is the word "A" or "I": a lower-case word follows."""
    return bool(_PRONOUN.match(text, end)) and not re.match(
        r"\s+(?:is|because|since|as|and|or|with|based|due|for)\b", text[end:]
    )


def _declared_text(text: str, valid: str, texts: tuple[str, ...]) -> str | None:
    """The one option whose text stands behind the last "answer is"."""
    declared = list(re.finditer(r"\banswer\s*(?:is|:)\s*[:：]?\s*([^\n]{1,400})", text, re.IGNORECASE))
    if not declared:
        return None
    said = normal_text(declared[-1].group(1).strip(" *."))
    plain = [normal_text(option) for option in texts]
    found = [valid[i] for i, option in enumerate(plain) if option and said == option]
    return found[0] if len(found) == 1 else None


def _lone(text: str, valid: str) -> str | None:
    """The letter that stands alone in the last line, in bold, or as the only one in the last lines."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return None
    match = re.fullmatch(_ALONE.format(valid=valid).replace("{{", "{").replace("}}", "}"), lines[-1])
    if match:
        return match.group(1)
    headed = re.match(rf"(?:\*\*)?(?:\(([{valid}])\)|([{valid}])[.):])(?:\*\*)?\s*\S", lines[-1])
    if headed and (len(lines) == 1 or not re.match(rf"(?:\*\*)?\(?[{valid}][.):]", lines[-2])):
        return headed.group(1) or headed.group(2)
    bold = [letter for letter in re.findall(rf"\*\*\(?([{valid}])\)?[.:]?\*\*", "\n".join(lines[-3:]))]
    if len(set(bold)) == 1:
        return bold[0]
    tail = "\n".join(lines[-2:])[-400:]
    found = {
        match.group(1)
        for match in re.finditer(_LONE.format(valid=valid), tail)
        if not (
            match.group(1) in "AI" and match.group() == match.group(1) and _PRONOUN.match(tail, match.end())
        )
    }
    return found.pop() if len(found) == 1 else None
