"""Which option of a multiple-choice problem does a response choose?

Call `grade_choice`.

The signs, strongest first: a box, an answer tag, the last declaration ("the answer is B", "B is correct",
"故选B"), an option's text in place of its letter, and a letter that stands alone where a conclusion stands.
The sentence round a letter decides whether it declares: a question, a supposition, a denial before or behind
the letter, and a letter that is only talked about (vitamin C, the field B) choose nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from util.grading.choice_words import (
    ALSO,
    ANSWERS_WRONG,
    AS_GOOD,
    AS_WELL,
    BEFORE_A_SUBJECT,
    CLAUSE,
    CONCLUDED,
    COUNTERFACTUAL,
    DENIED_BEHIND,
    DENIED_LINE,
    DENIED_TEXT,
    FAVOURABLE,
    FOREIGN,
    FOREIGN_PARTS,
    FRAMES,
    IDIOM,
    LISTED,
    NAMED,
    ONLY,
    SCRIPT_FRAMES,
    SCRIPT_SUBJECTS,
    SPACED_FRAMES,
    SPACED_SUBJECTS,
    SUBJECTS,
    TAKEN_BACK,
    TURNS,
    UNSURE,
    WORDS_AFTER_A_LETTER,
)
from util.grading.languages import SCRIPT
from util.grading.maths import same_answer
from util.grading.maths.answers import TAIL, around_answer, boxed_answer, is_taken_back, tagged_answer
from util.grading.maths.reader import clean
from util.grading.maths.spans import is_denied
from util.grading.maths.words import normal_text, unwrapped
from util.records import TRUSTS, Verdict
from util.response import before_other_problems, solution_part

GRADER = "choice-11"
LETTERS = "ABCDEFGHIJ"


class Choice(NamedTuple):
    """What a response chooses, and by which sign."""

    letter: str | None  # several, joined by commas, where the response hedges
    # "box", "answer tag", "declared", "option text", "whole response", "bold", "last line", "lone letter"
    how: str = ""
    trust: str = ""  # one of `records.TRUSTS`


def grade_choice(
    letter: str, response: str, *, options: int | Sequence[str], accept: str = "medium"
) -> Verdict:
    """Whether the response chooses the option `letter`; `options`: how many there are, or their texts.

    `accept` is the least trust that a choice needs.
    """
    texts = () if isinstance(options, int) else tuple(options)
    valid = LETTERS[: options if isinstance(options, int) else len(texts)]
    solution = solution_part(response)
    if solution is None:
        return Verdict(False, "truncated", detail="the thought is not closed", grader=GRADER)
    chosen = choose(solution, valid, texts)
    if chosen.letter is None or TRUSTS.index(chosen.trust) > TRUSTS.index(accept):
        return Verdict(False, "no_answer", detail=f"no letter out of {valid}", grader=GRADER)
    correct = chosen.letter == letter
    return Verdict(
        correct,
        "" if correct else "wrong_answer",
        chosen.letter,
        f"{chosen.how}; {letter} | {chosen.letter}",
        GRADER,
        how=chosen.how,
        trust=chosen.trust,
    )


def choose(solution: str, valid: str, texts: tuple[str, ...] = ()) -> Choice:
    """The chosen letter (several, joined by commas, where the response hedges) and by which sign."""

    def is_answered(text: str, ends_turn: bool) -> bool:
        found = _choose(text, valid, texts)
        return found.letter is not None and (ends_turn or found.trust != "low")

    return _choose(before_other_problems(solution, is_answered), valid, texts)


def _choose(solution: str, valid: str, texts: tuple[str, ...]) -> Choice:
    box = boxed_answer(solution)
    tail = solution[-TAIL:]
    for how, span in (("box", box), ("answer tag", tagged_answer(tail))):
        if not span:
            continue
        if letter := _letter_of(span[:400], valid, texts):
            before, behind = around_answer(solution, boxed=how == "box")
            plain = _without_texts(_plain(behind), valid, texts)
            if is_denied(before) or is_taken_back(behind, answer=letter):
                return _declared(plain, valid, texts) or Choice(None)
            others = [*_joined_to(_plain(before), plain, valid), *_as_good(plain, letter, valid)]
            later = _later(behind, plain, valid, texts)
            return Choice(", ".join(dict.fromkeys([letter, *others, *later])), how, "high")
        if UNSURE.search(span[:400]):
            return Choice(None)
    plain = _without_texts(_plain(tail), valid, texts)
    declared = _declared(plain, valid, texts)
    if box is not None or declared and not _may_be_text(declared, plain):
        return declared or Choice(None)
    if texts and (letter := _declared_text(tail, valid, texts)):
        return Choice(letter, "option text", "medium")
    return declared or _lone(tail, plain, valid)


def _joined_to(before: str, behind: str, valid: str) -> list[str]:
    """The letters that "or" and its like join to the chosen one: D or \\boxed{C}, \\boxed{C}/D."""
    signs, found = _signs(valid), []
    listed = signs.list_before.search(before)
    if listed and _OR_AT_END.search(before) and not _is_unsure(before[: listed.start()]):
        found = re.findall(rf"(?<!\w)[{valid}](?!\w)", listed.group())
    at = 0
    while (more := signs.listed.match(behind, at)) and not _is_word(more, behind):
        found.append(more.group(1))
        at = more.end(1)
    return found


_OR_AT_END = re.compile(r"(?:\b(?:or|oder|ou|o)|/)\s*[(\[]?$")
_HASHES = re.compile(r"^[ \t]*####[ \t]*(\S.*)$", re.MULTILINE)


def _later(behind: str, plain: str, valid: str, texts: tuple[str, ...]) -> list[str]:
    """The letters that a text gives as its answer behind the one that is chosen."""
    found = [tagged_answer(behind), *_HASHES.findall(behind)[-1:], *plain.strip().splitlines()[-1:]]
    letters = [
        match.group(1).upper()
        for said in found
        if said and (match := _signs(valid).letter.fullmatch(said.strip(" *$.")))
    ]
    declared = _declared(plain, valid, texts, favourable=False)
    return [*letters, *declared.letter.split(", ")] if declared and declared.letter else letters


def _as_good(text: str, chosen: str, valid: str) -> list[str]:
    """The other letters of which a text says that they are as good as the chosen one."""
    if not AS_WELL.search(text[:_BEHIND]):
        return []
    return [
        letter
        for match in _signs(valid).as_good.finditer(text[:_BEHIND])
        if (letter := next(filter(None, match.groups()))) not in chosen
        and not _is_unsure(text[: match.start()])  # "although C is also right" prefers the other one
        and not UNSURE.search(match.group())
    ]


_BEHIND = 300  # characters behind a choice in which another one is called as good


def _may_be_text(declared: Choice, plain: str) -> bool:
    """Whether an option's text may have been read as letters: "both A and B", "A DNA sequence"."""
    letter = declared.letter or ""
    return "," in letter or letter in "AI" and re.search(rf"\b{letter}\s+[A-Z]\w", plain) is not None


# ---------------------------------------------------------------- a letter, and nothing but a letter


def _letter_of(answer: str, valid: str, texts: tuple[str, ...]) -> str | None:
    """The letter that an answer names, by itself or by an option's text."""
    said = unwrapped(clean(answer))
    answer = said.strip(" $*`\"'.{}")
    signs = _signs(valid)
    if match := signs.letter.fullmatch(answer):
        return match.group(1).upper()
    if signs.several.fullmatch(answer) and not _saying(said, valid, texts):  # "both A and B" may be an option
        return ", ".join(dict.fromkeys(re.findall(rf"(?<!\w)[{valid}](?!\w)", answer)))
    if headed := signs.headed.match(answer):
        behind = answer[headed.end() - 1 :]
        if signs.another_head.search(behind) or DENIED_BEHIND.match(behind):
            return None
        return headed.group(1) or headed.group(2)
    if letter := _option_with(said, valid, texts):
        return letter
    declared = _declared(_plain(answer), valid, ())
    return declared and declared.letter


def _saying(answer: str, valid: str, texts: tuple[str, ...]) -> list[str]:
    """The letters of the options that say the same in the same words."""
    wanted = normal_text(answer)
    return [valid[i] for i, text in enumerate(texts) if normal_text(unwrapped(clean(text))) == wanted]


def _option_with(answer: str, valid: str, texts: tuple[str, ...]) -> str | None:
    """The letter of the only option that says what the answer says."""
    found = _saying(answer, valid, texts)
    if not found and len(answer) < 100 and not DENIED_LINE.search(answer):
        found = [
            valid[i]
            for i, text in enumerate(texts)
            if text and same_answer(text, answer, symbolic=False).equal
        ]
    return found[0] if len(found) == 1 else None


# ---------------------------------------------------------------- declarations

_MOST_DECLARATIONS = 12
_DRESS = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathsf|boldsymbol|boxed|bf|rm)\s*\{\s*([^{}]{0,80})\}"
)
_JOINT = re.compile(r"(?<=choice|option|nswer_)\\?_|(?<=choice|option|letter|answer)\\?_", re.IGNORECASE)
_MARKS = re.compile(r"\\?[*_]|[`$#]|\\[()\[\]]|\\quad|\\ |</?(?:b|strong|i|em)>")
_GAPS = re.compile(r"\s{2,}|[^\S\n ]")
_QUOTED = re.compile(r"(?<!\w)[\"'“”‘’「『【«]\s*\(?([A-J])\)?\s*[\"'“”‘’」』】»]")
# Russian answers type the look-alikes of Latin letters; where Б, Г or Д stand alone the letters are Russian.
_CYRILLIC = re.compile(r"(?<=[\s(:—-])[АВСЕ](?!\w)(?!\s+[а-яё])")
_RUSSIAN_LIST = re.compile(r"(?<!\w)[БГД](?!\w)")
_LATIN = str.maketrans("АВСЕ", "ABCE")
_STYLED = "Ａ𝐀𝐴𝑨𝖠𝗔𝘈𝘼𝙰"  # in full width, and the alphabets of bold and italic print
_NARROW = {ord(first) + i: LETTERS[i] for first in _STYLED for i in range(len(LETTERS))}


def _plain(text: str) -> str:
    """A text without bold print, dollar signs and quotation marks round single letters."""
    text = _DRESS.sub(r"\1", text) if "\\" in text else text
    text = _JOINT.sub(" ", text) if "_" in text else text
    text = _QUOTED.sub(r" \1 ", _MARKS.sub("", text).replace("\u200b", ""))
    if not text.isascii():
        text = text.translate(_NARROW)
        if not _RUSSIAN_LIST.search(text):
            text = _CYRILLIC.sub(lambda match: match.group().translate(_LATIN), text)
    return _GAPS.sub(lambda gap: "\n" if "\n" in gap.group() else " ", text)


def _without_texts(plain: str, valid: str, texts: tuple[str, ...]) -> str:
    """A text in which "B. a lever" is "(B)" where option B is "a lever"; a line of nothing else is "(B) …".

    What stands behind an option's text is then read as what stands behind its letter.
    """
    lower = plain.lower()
    if not texts or len(lower) != len(plain):
        return plain
    parts, at = [], 0
    known: dict[str, str] = {}
    for head in _signs(valid).head.finditer(plain):
        letter = head.group(1)
        if letter not in known:
            known[letter] = _plain(texts[valid.index(letter)]).strip(" .\n\"'“”‘’").lower()
        said = known[letter]
        end = head.end() + len(said)
        if head.start() < at or not said or not lower.startswith(said, head.end()):
            continue
        if _GOES_ON.match(plain, end):
            continue
        before = plain[at : head.start()].rstrip("([")
        is_line = (not before or before.endswith("\n")) and _LINE_END.match(plain, end)
        parts += [before, f"({letter})", " …" if is_line else ""]
        at = end + (plain[end : end + 1] in tuple("\"'”’"))
    return "".join([*parts, plain[at:]])


_GOES_ON = re.compile(r"\w|[.,]\d")
_LINE_END = re.compile(r"[\"'”’]?\s*\.?\s*(?:\n|$)")


class _Signs(NamedTuple):
    """The patterns for one set of valid letters."""

    spot: re.Pattern
    letter: re.Pattern
    several: re.Pattern
    head: re.Pattern
    headed: re.Pattern
    another_head: re.Pattern
    frames: tuple[re.Pattern, ...]
    named: tuple[re.Pattern, ...]
    decisive: tuple[re.Pattern, ...]
    favourable: re.Pattern
    as_good: re.Pattern
    listed: re.Pattern
    list_before: re.Pattern
    alone: re.Pattern
    named_alone: re.Pattern
    concluded: re.Pattern
    only: tuple[re.Pattern, ...]
    mentioned: re.Pattern


@lru_cache(maxsize=32)
def _signs(valid: str, is_foreign: bool = False, is_script: bool = False) -> _Signs:
    frames = FRAMES + SPACED_FRAMES * is_foreign + SCRIPT_FRAMES * is_script
    subjects = SUBJECTS + SPACED_SUBJECTS * is_foreign + SCRIPT_SUBJECTS * is_script
    any_case = valid + valid.lower()

    def of(pattern: str) -> re.Pattern:
        return re.compile(pattern.replace("{valid}", valid), re.IGNORECASE | re.MULTILINE)

    return _Signs(
        spot=re.compile(
            rf"(?<![A-Za-z0-9_])(?:[{valid}](?![A-Za-z0-9_])"
            rf"|[{valid.lower()}](?=[)\].!*]*\s*(?:\n|$))|(?<=\()[{valid.lower()}](?=\)))"
        ),
        letter=re.compile(
            r"(?:(?:so|thus|hence|therefore),?\s+)?(?:the\s+)?(?:final\s+|correct\s+|right\s+)?"
            rf"(?:(?:option|choice|answer|letter"
            rf"|statement)\s*(?:is)?\s*[:\s]?\s*)?[(\[]?\s*([{any_case}])\s*[)\]]?[.:]?",
            re.IGNORECASE,
        ),
        several=re.compile(
            rf"(?:both|either)?\s*[(\[]?[{valid}][)\]]?(?:\s*(?:,|;|/|and|or|&|\\and|\\or"
            rf"|\s)+\s*[(\[]?[{valid}][)\]]?)+"
        ),
        head=re.compile(
            rf"(?<![A-Za-z0-9_])([{valid}])(?:\s?[)\]][.:]?|[.:]|,(?=\s)|\s[-–—](?=\s)"
            rf"|(?<=[Oo]ption [{valid}])(?=\s))\s*[\"“'‘]?"
        ),
        headed=re.compile(rf"(?:[(\[]\s*([{valid}])\s*[)\]]|([{valid}])\s*(?:[.):]|\s[-–—](?=\s)))\s*\S"),
        another_head=re.compile(rf"\(([{valid}])\)|(?<!\w)([{valid}])[.):]\s"),
        frames=tuple(of(pattern) for pattern in frames),
        named=tuple(of(pattern) for pattern in NAMED),
        decisive=tuple(of(pattern) for pattern in subjects),
        favourable=of(FAVOURABLE),
        as_good=of(AS_GOOD),
        listed=re.compile(LISTED.replace("{valid}", valid)),
        list_before=re.compile(
            rf"(?:[(\[]?(?<!\w)[{valid}][)\]]?\s*(?:,|and|or|/|&|、)\s*(?:and\s+|or\s+)?)+[(\[]?$"
        ),
        alone=re.compile(rf"[\s(\[]*([{valid}])[\s)\].:!。]*"),
        named_alone=re.compile(
            rf"(?:option|choice|letter)[\s(\[]*((?-i:[{valid}]))(?!\w)[\s)\].:!。]*", re.IGNORECASE
        ),
        concluded=of(CONCLUDED),
        only=tuple(map(of, ONLY)),
        mentioned=re.compile(
            rf"\b(?:option|choice)\s*\(?([{valid}])\b(?!['’^/-])|\(([{valid}])\)|选项\s*([{valid}])"
        ),
    )


def _declared(text: str, valid: str, texts: tuple[str, ...], *, favourable: bool = True) -> Choice | None:
    """The letter of the last declaration; several letters where its sentence names several.

    `favourable`: "B is true" counts where nothing else declares.
    """
    lower = text.lower()
    is_foreign = any(part in lower for part in FOREIGN_PARTS) and FOREIGN.search(text) is not None
    signs = _signs(valid, is_foreign, not text.isascii() and SCRIPT.search(text) is not None)
    spots = [match.start() for match in signs.spot.finditer(text)]
    chosen = _chosen(
        [*_ending_at(spots, text, signs), *_beginning_at(spots, text, signs.decisive)], text, signs
    )
    also = [match for match in chosen if match.re in signs.decisive and ALSO.search(match.group())]
    found = [match for match in chosen if not any(match is one for one in also)]
    if not found and favourable:
        found = _chosen(_beginning_at(spots, text, (signs.favourable,)), text, signs)
    if not found:
        return None
    last = found[-1]
    letters, at = [last.group(1).upper()], last.end(1)
    while (more := signs.listed.match(text, at)) and not _is_word(more, text):
        letters.append(more.group(1))
        at = more.end(1)
    if last.re in signs.decisive or last.re is signs.favourable:
        before = signs.list_before.search(text[max(0, last.start(1) - 60) : last.start(1)])
        letters = [*(re.findall(rf"(?<!\w)[{valid}](?!\w)", before.group()) if before else ()), *letters]
    if last.re is not signs.favourable:
        letters += [one.group(1).upper() for one in found[:-1] if _in_one_sentence(one, last, text)]
    letters += [one.group(1).upper() for one in also if _follows_in_sentence(last, one, text)]
    letters += _as_good(text[last.end(1) :], last.group(1).upper(), valid)
    trust = "medium" if last.re is signs.favourable or _may_go_on(last, text, texts) else "high"
    return Choice(", ".join(dict.fromkeys(letters)), "declared", trust)


def _ending_at(spots: list[int], text: str, signs: _Signs) -> Iterator[re.Match]:
    """The frames whose letter stands at one of the spots."""
    for patterns, width in ((signs.frames, 120), (signs.named, 260)):
        windows: list[list[int]] = []
        for spot in spots:
            if windows and spot - width <= windows[-1][1]:
                windows[-1][1] = spot + 12
            else:
                windows.append([max(0, spot - width), spot + 12])
        for pattern in patterns:
            for start, end in windows:
                yield from pattern.finditer(text, start, end)


def _beginning_at(spots: list[int], text: str, patterns: tuple[re.Pattern, ...]) -> Iterator[re.Match]:
    """The sentences whose subject is a letter at one of the spots."""
    for spot in spots:
        start = spot - (spot > 0 and text[spot - 1] in "([（{")
        yield from filter(None, (pattern.match(text, start) for pattern in patterns))


def _chosen(declared: Iterable[re.Match], text: str, signs: _Signs) -> list[re.Match]:
    """The last declarations that nothing denies, in the order of the text."""
    found = sorted(declared, key=lambda match: match.start(1))
    chosen = (match for match in reversed(found) if _is_chosen(match, text, signs))
    return list(islice(chosen, _MOST_DECLARATIONS))[::-1]


def _is_unsure(before: str) -> bool:
    """Whether the clause in which a text ends denies, doubts or supposes."""
    return UNSURE.search(CLAUSE.split(IDIOM.sub("", before))[-1]) is not None


def _in_one_sentence(one: re.Match, other: re.Match, text: str) -> bool:
    """Whether two declarations stand side by side, with no turn or conclusion between them."""
    between = text[one.end(1) : other.start(1)]
    return len(between) < 120 and not TURNS.search(between)


def _follows_in_sentence(one: re.Match, other: re.Match, text: str) -> bool:
    """Whether the second letter is said to be correct as well, in the same sentence."""
    between = text[one.end(1) : other.start(1)]
    return 0 < len(between) < 120 and not re.search(r"[.!?。；;\n]\s", between)


def _may_go_on(match: re.Match, text: str, texts: tuple[str, ...]) -> bool:
    """Whether the text ends at the letter, which a longer text might continue to a word."""
    letter = match.group(1).upper()
    if text[match.end(1) :].strip(" ") or text[match.start(1) - 1 : match.start(1)] in ("(", "["):
        return False
    return letter in "AI" or any(said.strip().upper().startswith(letter) for said in texts)


def _is_chosen(match: re.Match, text: str, signs: _Signs) -> bool:
    """Whether a letter is declared to be the answer: no word, and nothing in its sentence denies it."""
    start, end = match.span(1)
    around = text[start - 1 : end + 1]
    in_brackets = around[:1] + around[-1:] in ("()", "[]")
    if not (match.group(1).isupper() or in_brackets or _is_small_letter(match, text)) or _is_word(
        match, text
    ):
        return False
    before = text[max(0, match.start() - 160) : match.start()]
    within = text[match.start() : start]
    if match.re not in signs.named:
        before += within
        if match.re not in signs.frames and (listed := signs.list_before.search(before)):
            before = before[: listed.start()]
    if _is_unsure(before) or ANSWERS_WRONG.search(text[max(0, match.start() - 20) : start]):
        return False
    behind = text[match.end() : match.end() + 300]
    if any(DENIED_BEHIND.match(text[at : at + 100]) for at in {end, match.end()}):
        return False
    taken_back = TAKEN_BACK.match(behind)
    if taken_back and match.group(1) in (re.findall(r"\b[A-J]\b", taken_back.group()) or match.group(1)):
        return False
    if DENIED_TEXT.match(text, end):
        return False
    rest = re.split(r"(?<=[?.!。？])|\n", behind, maxsplit=1)[0]
    sentence = re.split(r"[.!?\n。？；;]", before)[-1] + match.group() + rest
    if rest.rstrip().endswith(("?", "？")) and (_ASKS.match(sentence) or not _HEAD.match(text, end)):
        return False
    if is_taken_back(behind[len(rest) :].lstrip()[:_NEXT_SENTENCE]):
        return False
    if COUNTERFACTUAL.search(IDIOM.sub("", sentence)):
        return False
    if match.re in (signs.decisive[0], signs.favourable) and text[start - 1 : start] == " ":
        word = re.search(r"([^\s,;:(.!?]+) $", before)
        if word and word.group(1).lower() not in BEFORE_A_SUBJECT:
            return False  # vitamin C
    return not _is_list(text[start : start + 800], match.group(1).upper(), signs) and not _is_next(
        match, text, signs
    )


_NEXT_SENTENCE = 40  # characters of it, in which a choice is taken back
_HEAD = re.compile(r"\s*[.):]\s*\S{2}")  # the question mark belongs to the option's text
_ASKS = re.compile(
    r"\W*(?:\w+\s+)?(?:is|are|was|were|does|do|did|can|could|would|should|might|which|what|why|how)\b",
    re.IGNORECASE,
)


def _is_list(rest: str, letter: str, signs: _Signs) -> bool:
    """Whether the letter heads a list of the options: the next two letters follow at once as heads."""
    if not signs.another_head.match(rest) and rest[1:2] not in (")", ".", ":"):
        return False
    heads = [first or second for first, second in signs.another_head.findall(rest)]
    at = LETTERS.index(letter)
    return [head for head in heads if head != letter][:2] == list(LETTERS[at + 1 : at + 3]) != []


_CONCLUDES = re.compile(r"\b(?:so|thus|hence|therefore|but)\b", re.IGNORECASE)
_CONNECTS = re.compile(r"\b(?:is|are|be|was)\b|[:=：]|'s\b|correct\b", re.IGNORECASE)


def _is_next(match: re.Match, text: str, signs: _Signs) -> bool:
    """Whether the letter only goes on with a list of the options: the head before it is that of the letter
    before it, of which nothing is said, and nothing but a mark stands between the frame and the letter.
    """
    start, letter = match.start(1), match.group(1).upper()
    begins = match.re in signs.decisive[1:2]  # "(D) all of them are correct"
    if letter == "A" or not begins and match.re not in signs.frames:
        return False
    if not begins and _CONNECTS.search(text[match.start() : start]):
        return False
    if not begins and not re.match(r"\s?[)\].:]+\s*\w", text[start + 1 : start + 8]):
        return False
    before = text[max(0, start - 600) : start]
    heads = list(signs.another_head.finditer(before))
    if not heads or (heads[-1].group(1) or heads[-1].group(2)) != LETTERS[LETTERS.index(letter) - 1]:
        return False
    said = before[heads[-1].end() :]
    return not (DENIED_LINE.search(said) or _CONCLUDES.search(said) or _CONNECTS.search(said) and not begins)


def _is_small_letter(match: re.Match, text: str) -> bool:
    """Whether a lower-case letter ends a line that declares."""
    if not re.match(r"[)\].!*]*\s*(?:\n|$)", text[match.end(1) : match.end(1) + 9]):
        return False
    if re.search(r"[:：]\s*[(\[]?$", text[max(0, match.start(1) - 4) : match.start(1)]):
        return True
    return match.group(1) not in "ai" and bool(re.search(r"answer|option|choice|letter", match.group(), re.I))


def _is_word(match: re.Match, text: str) -> bool:
    """Whether the letter is the word "A" or "I": a lower-case word follows."""
    if match.group(1) not in "AI" or text[match.start(1) - 1 : match.start(1)] in ("(", "["):
        return False
    follows = re.match(r"\s+([^\W\d_]+)", text[match.end(1) : match.end(1) + 30])
    if follows is not None and match.group(1) == "I" and follows.group(1) in ("would", "should", "must"):
        return True
    return follows is not None and follows.group(1).islower() and follows.group(1) not in WORDS_AFTER_A_LETTER


_SAYS = re.compile(
    r"\banswer[^\S\n]{0,9}(?:is|:)[^\S\n]{0,9}[:：]?[^\S\n]{0,9}\n?([^\n]{1,400})", re.IGNORECASE
)


_DENIED_HEAD = re.compile(r"not\s+(?:\([A-J]\)|[A-J](?!\w))")


def _declared_text(text: str, valid: str, texts: tuple[str, ...]) -> str | None:
    """The one option whose text stands behind the last "answer is", alone in the last line, or behind its
    letter at the end of the last sentence."""
    declared = list(_SAYS.finditer(text))
    last = text.rstrip()[-1000:].splitlines()[-1:]
    said = [
        one.group(1) for one in declared[-1:] if not _is_unsure(text[max(0, one.start() - 160) : one.start()])
    ]
    headed = _signs(valid).headed
    if last and headed.match(last[0].strip()) and any(map(headed.match, text[-3000:].splitlines()[:-1])):
        last = []  # the last one of a list of options
    said += [line for line in last if len(line) < 400]
    for candidate in said:
        candidate = candidate.strip(" *.$`")
        if _DENIED_HEAD.match(candidate):
            continue
        if candidate and (chosen := _option_with(unwrapped(clean(candidate)), valid, texts)):
            head = headed.match(candidate)
            return chosen if head is None or chosen in head.groups() else None
    for line in last:
        heads = list(_signs(valid).another_head.finditer(line))
        if (
            heads
            and heads[0].start() > 2
            and not line.rstrip().endswith("?")
            and not _is_unsure(line[: heads[-1].start()])
        ):
            letter = heads[-1].group(1) or heads[-1].group(2)
            behind = normal_text(line[heads[-1].end() :].strip(" *.$`"))
            if len(heads) == 1 and behind and behind == normal_text(texts[valid.index(letter)].strip(" .")):
                return letter
    return None


# ---------------------------------------------------------------- letters that stand alone


def _lone(text: str, plain: str, valid: str) -> Choice:
    """The letter that is the last or the first line, in bold, concluded, or the only one mentioned last."""
    signs = _signs(valid)
    lines = [line for written in plain.splitlines() if (line := written.strip(" \t\r").lstrip(_POINTERS))]
    if not lines:
        return Choice(None)
    if len(lines) == 1 and (match := signs.letter.fullmatch(lines[0])) and " is a" not in lines[0]:
        return Choice(match.group(1).upper(), "whole response", "medium")
    for line in (lines[-1], lines[0]):
        if match := signs.alone.fullmatch(line):
            return Choice(match.group(1), "last line", "medium")
    if (match := signs.named_alone.fullmatch(lines[-1])) and not any(
        map(signs.named_alone.match, lines[:-1])
    ):
        return Choice(match.group(1), "last line", "medium")
    last = lines[-1][-400:]
    for sign in (signs.concluded, *signs.only):
        found = list(sign.finditer(last))
        match = found[0] if len(found) == 1 else None
        if match and match.group(1).isupper() and _is_chosen(match, last, signs):
            return Choice(match.group(1), "last line", "medium")
    heads = [match for line in lines if (match := signs.headed.match(line))]
    if heads and len({match.group(1) or match.group(2) for match in heads}) == 1:
        for line in (lines[-1], lines[0]):
            match = signs.headed.match(line)
            if match and not _denies(line, match.end() - 1, signs):
                return Choice(match.group(1) or match.group(2), "last line", "medium")
    bold = re.findall(rf"\*\*\(?([{valid}])\)?[.:]?\*\*", "\n".join(text.rstrip()[-2000:].splitlines()[-3:]))
    if len(set(bold)) == 1 and not (UNSURE.search(lines[-1][-300:]) or _CORRECTS.search(lines[-1][-300:])):
        return Choice(bold[0], "bold", "medium")
    letters = {next(filter(None, match.groups())) for match in signs.mentioned.finditer(last)}
    if len(letters) != 1 or signs.headed.match(last) or UNSURE.search(last) or last.endswith(("?", "？")):
        return Choice(None)
    return Choice(letters.pop(), "lone letter", "low")


_POINTERS = " >✓✔✅☑👉➡\ufe0f"  # in front of a line
_CORRECTS = re.compile(r"\b(?:wait|no|hmm+|actually|oops|sorry|hold on)\b\s*[,.:;!–—-]", re.IGNORECASE)


def _denies(line: str, at: int, signs: _Signs) -> bool:
    """Whether what stands behind a letter at the head of a line denies it, asks, or names another one."""
    behind = line[at:]
    return (
        bool(signs.another_head.search(behind) or DENIED_BEHIND.match(behind) or DENIED_LINE.search(behind))
        or _CORRECTS.search(behind) is not None
        or line.endswith(("?", "？"))
        or bool(re.match(r"\s*(?:is|was|would|cannot)\b", behind) and UNSURE.search(behind[:300]))
    )
