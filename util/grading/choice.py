"""Which option of a multiple-choice problem does a response choose?

Call `grade_choice`.

The signs, strongest first: a box, an answer tag, the last declaration ("the answer is B", "B is correct",
"故选B"), an option's text in place of its letter, and a letter that stands alone where a conclusion stands.
Letters that are only talked about (vitamin C, the field B, "option A is too small") choose nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from util.grading.maths import same_answer
from util.grading.maths.answers import TAIL, boxed_answer, tagged_answer
from util.grading.maths.reader import clean
from util.grading.maths.words import normal_text, unwrapped
from util.records import Verdict
from util.response import solution_part

GRADER = "choice-3"
LETTERS = "ABCDEFGHIJ"


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
    box = boxed_answer(solution)
    if box is not None and (chosen := _letter_of(box, valid, texts)):
        return chosen, "box"
    tail = solution[-TAIL:]
    tagged = tagged_answer(tail)
    if tagged and (chosen := _letter_of(tagged[:400], valid, texts)):
        return chosen, "answer tag"
    plain = _plain(tail)
    if chosen := _declared(plain, valid):
        return chosen, "declared"
    if box is not None:
        return None, ""
    if texts and (chosen := _declared_text(tail, valid, texts)):
        return chosen, "declared text"
    if chosen := _lone(tail, plain, valid):
        return chosen, "lone letter"
    return None, ""


# ---------------------------------------------------------------- a letter, and nothing but a letter


def _letter_of(answer: str, valid: str, texts: tuple[str, ...]) -> str | None:
    """The letter that an answer names, by itself or by an option's text."""
    said = unwrapped(clean(answer))
    answer = said.strip(" $*`\"'.{}")
    signs = _signs(valid)
    if match := signs.letter.fullmatch(answer):
        return match.group(1).upper()
    if signs.several.fullmatch(answer):
        return ", ".join(dict.fromkeys(re.findall(f"[{valid}]", answer)))
    if headed := signs.headed.match(answer):
        if signs.another_head.search(answer, headed.end()):
            return None
        return headed.group(1) or headed.group(2)
    return _option_with(said, valid, texts) or _declared(answer, valid)


def _option_with(answer: str, valid: str, texts: tuple[str, ...]) -> str | None:
    """The letter of the only option that says what the answer says."""
    wanted = normal_text(answer)
    found = [valid[i] for i, text in enumerate(texts) if normal_text(unwrapped(clean(text))) == wanted]
    if not found and len(answer) < 100:
        found = [
            valid[i]
            for i, text in enumerate(texts)
            if text and same_answer(text, answer, symbolic=False).equal
        ]
    return found[0] if len(found) == 1 else None


# ---------------------------------------------------------------- declarations

_DRESS = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathsf|boldsymbol|boxed|bf|rm)\s*\{\s*([^{}]{0,80})\}"
)
_MARKS = re.compile(r"[*_`$#]|\\[()\[\]]|\\quad|\\ ")
_GAPS = re.compile(r"\s+")
_QUOTED = re.compile(r"[\"'“”‘’「『【]\s*\(?([A-J])\)?\s*[\"'“”‘’」』】]")


def _plain(text: str) -> str:
    """A text without bold print, dollar signs and quotation marks round single letters."""
    text = _DRESS.sub(r"\1", text) if "\\" in text else text
    text = _QUOTED.sub(r" \1 ", _MARKS.sub("", text).replace("\u200b", ""))
    return _GAPS.sub(lambda gap: "\n" if "\n" in gap.group() else " ", text)


_SURELY = (
    r"(?:\s+(?:therefore|thus|then|hence|clearly|definitely|certainly|obviously|likely|probably|simply|indeed|"
    r"most|best|actually|really|described|given|represented|by|just|either|only))*"
)
_BE = r"(?:is|are|was|be|(?:would|should|must|will|has to|have to|seems to|appears to)\s+be|becomes)"
_KIND = r"(?:\s*(?:the\s+)?(?:correct\s+|right\s+)?(?:option|choice|answer|letter|statement))?"
_BARE = r"[(\[（{{]?[^\S\n]?([{valid}])(?![A-Za-z0-9_'’^/])(?!\s*[+=<>^])(?!-\w)(?!\.\d)"
_LETTER = r"[\s:：]*" + _BARE
_ANSWER = r"\b(?:answers?|ans|conclusion|solution|response|result)(?:\s+(?:choice|option|letter))?"
_ASIDE = r"(?:\s+(?:to|for)\s+(?:this|the|your)\s+(?:question|problem|multiple[\w -]{{0,20}}))?"
_CHOOSE = (
    r"\b(?:choos(?:e|es|ing)|chose|select(?:s|ing|ed)?|pick(?:s|ed|ing)?|go(?:ing)? (?:for|with)|opt for"
    r"|opting for|mark)"
)
_PATTERNS = (
    # "the answer is (B)", "Answer: B", "Ans. (B)", "answer choice B"
    rf"{_ANSWER}{_ASIDE}\W{{{{0,4}}}}(?:{_BE}{_SURELY}\b|[:：=.]|[-–—](?=\s)|\n|(?=\s*\())\s*{_KIND}{_LETTER}",
    rf"\banswer\s+(?:choice|option|letter){_LETTER}",
    # "the correct option is B", "choice: B", "it is B", "must be B"
    rf"\b(?:option|choice|letter|selection|correct|one)\s*(?:{_BE}{_SURELY}\b|[:：])[ :：]*{_KIND} ?{_BARE}",
    rf"\b(?:it|that|this)\s*(?:'s|\s{_BE}){_SURELY}\s*{_KIND}{_LETTER}(?=\s*(?:[.!。]|$|\n|\)))",
    # "I choose B", "go with (C)"
    rf"{_CHOOSE}{_KIND}{_LETTER}",
    rf"\b(?:leaves|left with)(?:\s+us)?(?:\s+with)?(?:\s+only)?{_KIND}{_LETTER}(?=\s*(?:[.!]|$))",
    # 答案是B, 故选B, B项正确
    rf"(?:答案|选项|结论)(?:[应该当就]*[是为為])?\s*(?:选项)?{_LETTER}",
    rf"而是\s*(?:选项)?{_LETTER}",
    rf"{_BARE}\s*项?[是为]?正确",
    rf"(?<!不)(?<!不能)(?:选择|选|選)\s*(?:项|项是|的是)?{_LETTER}",
)
# "B is correct", "(C) is the right answer"
_SUBJECT = (
    r"(?:^|(?<=[\s(:,]))[(\[]?([{valid}])[)\].]?\s+"
    rf"{_BE}{_SURELY}\s+(?:the\s+)?(?:only\s+|most\s+|single\s+|best\s+)*(?:{{words}})"
)
_DECISIVE = r"(?:correct|right)(?!\s+(?:about|that|in))|answer|best\s+(?:answer|choice|option)|one\b"
_FAVOURABLE = r"true|accurate|appropriate|valid|likely|best|suitable"
_NEGATED = re.compile(
    r"\b(?:not|never|neither|nor|cannot|without|except|unlikely|incorrect|wrong|rather than|instead of)\b"
    r"|n['’]t\b|不|排除",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.;,!?\n。；，！？]|\b(?:but|so|thus|hence|therefore|then)\b", re.IGNORECASE)
_LISTED = (
    r"[)\].\s]*(?:,|/|\bor\b|\band\b|&|或|和|、)\s*(?:or\s+|and\s+)?(?:the\s+)?(?:option\s+|both\s+)?[(\[]?([{valid}])"
    r"[)\]]?(?![\w'’])(?!\s+(?:is|was|are|has|have|does|do|would|cannot|can|fails?|because|since|am|think|believe)\b)"
)


class _Signs(NamedTuple):
    """The patterns for one set of valid letters."""

    letter: re.Pattern
    several: re.Pattern
    headed: re.Pattern
    another_head: re.Pattern
    declared: tuple[re.Pattern, ...]
    decisive: re.Pattern
    favourable: re.Pattern
    listed: re.Pattern
    alone: re.Pattern
    concluded: re.Pattern
    mentioned: re.Pattern


@lru_cache(maxsize=16)
def _signs(valid: str) -> _Signs:
    any_case = valid + valid.lower()
    flags = re.IGNORECASE | re.MULTILINE

    def of(pattern: str) -> re.Pattern:
        return re.compile(pattern.format(valid=valid), flags)

    return _Signs(
        letter=re.compile(
            r"(?:(?:so|thus|hence|therefore),?\s+)?(?:the\s+)?(?:final\s+|correct\s+|right\s+)?"
            rf"(?:(?:option|choice|answer|letter|statement)\s*(?:is)?\s*[:\s]?\s*)?[(\[]?\s*([{any_case}])\s*[)\]]?[.:]?",
            re.IGNORECASE,
        ),
        several=re.compile(
            rf"[(\[]?[{valid}][)\]]?(?:\s*(?:,|;|/|and|or|&|\\and|\\or|\s)+\s*[(\[]?[{valid}][)\]]?)+"
        ),
        headed=re.compile(rf"(?:[(\[]\s*([{valid}])\s*[)\]]|([{valid}])\s*(?:[.):]|\s[-–—](?=\s)))\s*\S"),
        another_head=re.compile(rf"\([{valid}]\)|(?<!\w)[{valid}][.):]\s"),
        declared=tuple(of(pattern) for pattern in _PATTERNS),
        decisive=of(_SUBJECT.replace("{words}", _DECISIVE)),
        favourable=of(_SUBJECT.replace("{words}", _FAVOURABLE)),
        listed=re.compile(_LISTED.format(valid=valid)),
        alone=re.compile(rf"[\s(\[]*([{valid}])[\s)\].:!]*"),
        concluded=re.compile(
            r"(?:\b(?:so|thus|hence|therefore|is|be|say|think|believe|guess|option|choice|answer|letter|ans|conclusion)"
            rf"\b|=>|->|∴|→|⇒|[:：])[\s,:：.]*[(\[]?([{valid}])[)\]]?(?:\s+it\s+is)?\s*[.!。)]*\s*$",
            re.IGNORECASE,
        ),
        mentioned=re.compile(
            rf"\b(?:option|choice)\s*\(?([{valid}])\b(?!['’^/-])|\(([{valid}])\)|选项\s*([{valid}])"
        ),
    )


def _declared(text: str, valid: str) -> str | None:
    """The letter of the last declaration; several letters where it names several."""
    signs = _signs(valid)
    found = [match for pattern in (*signs.declared, signs.decisive) for match in pattern.finditer(text)]
    found = [match for match in found if _is_chosen(match, text)]
    if not found:
        found = [match for match in signs.favourable.finditer(text) if _is_chosen(match, text)]
    if not found:
        return None
    last = max(found, key=lambda match: match.start(1))
    letters, at = [last.group(1).upper()], last.end(1)
    while (more := signs.listed.match(text, at)) and not _is_word(more, text):
        letters.append(more.group(1))
        at = more.end(1)
    if last.re is signs.decisive or last.re is signs.favourable:
        letters = _with_those_before(letters, text[: last.start(1)], valid)
    return ", ".join(dict.fromkeys(letters))


def _with_those_before(letters: list[str], before: str, valid: str) -> list[str]:
    """Both A and B are correct: the letters joined to the subject."""
    match = re.search(rf"([{valid}])[)\]]?\s*(?:,|and|or|/|&)\s*[(\[]?$", before[-20:])
    return [match.group(1), *letters] if match else letters


def _is_chosen(match: re.Match, text: str) -> bool:
    """Whether a capital letter is declared to be the answer: no word, and nothing denies it."""
    around = text[match.start(1) - 1 : match.end(1) + 1]
    if not (match.group(1).isupper() or around[:1] + around[-1:] == "()") or _is_word(match, text):
        return False
    before = text[max(0, match.start(1) - 80) : match.start(1)]
    return not _NEGATED.search(_SENTENCE.split(before)[-1])


def _is_word(match: re.Match, text: str) -> bool:
    """Whether the letter is the word "A" or "I": a lower-case word follows."""
    if match.group(1) not in "AI" or text[match.start(1) - 1 : match.start(1)] in ("(", "["):
        return False
    follows = re.match(r"\s+([a-z]+)", text[match.end(1) :])
    return follows is not None and follows.group(1) not in _AFTER_A_LETTER


_AFTER_A_LETTER = frozenset(
    "is because since as and or with based due for not rather but would must should seems are".split()
)


def _declared_text(text: str, valid: str, texts: tuple[str, ...]) -> str | None:
    """The one option whose text stands behind the last "answer is", or alone in the last line."""
    declared = list(re.finditer(r"\banswer\s*(?:is|:)\s*[:：]?\s*([^\n]{1,400})", text, re.IGNORECASE))
    lines = text.strip().splitlines()
    said = [declared[-1].group(1)] if declared else []
    said += [line for line in lines[-1:] if len(line) < 400]
    for candidate in said:
        candidate = candidate.strip(" *.$`")
        if candidate and (chosen := _option_with(unwrapped(clean(candidate)), valid, texts)):
            return chosen
    return None


# ---------------------------------------------------------------- letters that stand alone


def _lone(text: str, plain: str, valid: str) -> str | None:
    """The letter that is the last or the first line, in bold, concluded, or the only one mentioned last."""
    signs = _signs(valid)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    if not lines:
        return None
    for line in (lines[-1], lines[0]):
        if match := signs.alone.fullmatch(line):
            return match.group(1)
    heads = [match for line in lines if (match := signs.headed.match(line))]
    if heads and len({match.group(1) or match.group(2) for match in heads}) == 1:
        for line in (lines[-1], lines[0]):
            match = signs.headed.match(line)
            if match and not signs.another_head.search(line, match.end()):
                return match.group(1) or match.group(2)
    bold = re.findall(rf"\*\*\(?([{valid}])\)?[.:]?\*\*", "\n".join(text.strip().splitlines()[-3:]))
    if len(set(bold)) == 1:
        return bold[0]
    match = signs.concluded.search(lines[-1][-300:])
    if match and match.group(1).isupper() and _is_chosen(match, lines[-1][-300:]):
        return match.group(1)
    last = lines[-1][-400:]
    mentioned = list(signs.mentioned.finditer(last))
    letters = {next(filter(None, match.groups())) for match in mentioned}
    return letters.pop() if len(letters) == 1 and not _NEGATED.search(last) else None
