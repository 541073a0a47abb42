"""Where do the attempts at an answer begin in a response's thought, and at which answer does each arrive?

`slices_of` finds the thought, `attempt_cuts` its attempts and `score_piece` judges one; `cuts_named` and
`truth_of` read what a model says where rules end.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from util.grading.maths.answers import find_answer
from util.records import NOT_JUDGED, Verdict
from util.response import Parts, part, split_parts
from util.training.formatting import DECLARING, Formatted, format_by_rule
from util.training.pairs.turns import takes_back, turns

RULES = "rule-6"  # goes up when the rules cut otherwise
_DOUBT_CHARS = 160


@dataclass(frozen=True)
class Slices:
    """A response in pieces that joined again are the response."""

    form: str  # of the marks, or "plain"
    head: str
    thought: str
    bridge: str  # what stands between thought and solution, markers and white space
    solution: str
    tail: str

    def joined(self) -> str:
        return self.head + self.thought + self.bridge + self.solution + self.tail


def slices_of(text: str) -> Slices:
    """Where thought and solution of a response lie; all is thought where nothing shows a border."""
    found = part(text)
    head, border = _opening(found), found.border
    close = next((mark.begin for mark in found.marks if mark.end > head and mark.kind != "open"), border)
    bridge = [mark for mark in found.marks if close <= mark.begin < border]
    within = sum(head <= mark.begin < border for mark in found.marks)
    is_gapless = not any(text[one.end : other.begin].strip() for one, other in itertools.pairwise(bridge))
    if found.is_open or not bridge or len(bridge) < within or not is_gapless:
        return _plain(text)
    thought = text[head:close].rstrip()
    solution = text[border : found.end]
    if found.end < len(text):
        solution = solution.rstrip()
    tail = text[border + len(solution) :]
    between = text[head + len(thought) : border]
    return Slices(found.form, text[:head], thought, between, solution, tail)


def _opening(found: Parts) -> int:
    """Where the thought begins behind the marks that open it and the white space around them."""
    at = 0
    for mark in found.marks:
        if mark.kind != "open" or found.text[at : mark.begin].strip():
            break
        at = mark.end
    if at:
        at = len(found.text) - len(found.text[at:].lstrip())
    return at


def _plain(text: str) -> Slices:
    found = format_by_rule(text, graded_by="answer")
    parts = split_parts(found.text) if isinstance(found, Formatted) else None
    if parts is not None and not part(text).marks:
        border = text.rfind(parts[1])
        # The last part of a plain trace may as well be one more attempt, which is no solution of the others.
        is_attempt = any(turn.kind != "restated" for turn in turns(parts[1]))
        if border > 0 and text[:border].strip() == parts[0] and not is_attempt:
            thought = text[:border].rstrip()
            return Slices("plain", "", thought, text[len(thought) : border], text[border:], "")
    return Slices("plain", "", text, "", "", "")


# --- attempts ---


def attempt_cuts(thought: str) -> list[int]:
    """Where each attempt after the first begins.

    An attempt ends at a turn (a re-check, another way, the answer said again) once it holds an answer: before
    the answer said again one that is declared, before other turns one that is concluded, and before a
    re-check or another way one that is only computed. Where a re-check follows a doubt ("Hmm, that seems too
    easy."), the doubt belongs to it. What follows the last answer belongs to the last attempt.
    """
    cuts: list[int] = []
    begin = looked_at = 0
    declared = False  # whether the current attempt holds an answer that is declared as such
    doubt: int | None = None  # where a doubt began behind a value that was only computed
    for turn in turns(thought):
        segment = thought[looked_at : turn.at]
        looked_at = turn.at
        declared = declared or declared_answer(segment) is not None
        end = None
        if declared or turn.kind != "restated" and value_reached(thought[begin : turn.at], computed=False):
            end = turn.at
        elif turn.kind == "loose" and value_reached(segment, computed=True):
            doubt = turn.at
        elif turn.kind == "firm" and doubt is not None and _leads_on(thought[doubt : turn.at]):
            end = doubt
        elif turn.kind == "firm" and value_reached(segment, computed=True):
            end = turn.at
        if end is not None:
            if thought[begin:end].strip():
                cuts.append(end)
                begin = end
            declared, doubt = False, None
    if cuts and piece_answer(thought[begin:]) is None:
        cuts.pop()
    return cuts


def _leads_on(doubt: str) -> bool:
    """Whether a doubt is short and takes nothing back."""
    return len(doubt) <= _DOUBT_CHARS and not takes_back(doubt)


def pieces_of(thought: str, cuts: Sequence[int]) -> list[str]:
    """The thought in slices that joined again are the thought."""
    places = [0, *cuts, len(thought)]
    return [thought[begin:end] for begin, end in zip(places, places[1:], strict=False)]


# --- answers within a thought ---

_MAY_DECLARE = re.compile(r"box|nswer|NSWER|####|^A:|答案|故选|应选", re.MULTILINE)
_LAST_CHARS = 400
_CHARS_BEHIND = 120  # more than this behind the conclusion, and the piece does not end with it
# A sentence ends at a full stop or at a line's end, but 3! is a factorial.
_END = r"(?:[.?](?=\s|\Z)|(?<![\d)\]}])!(?=\s|\Z)|[。！？；]|\n|\Z)"
_CONCLUSION = re.compile(
    r"(?:\A|(?<=[.!?:,]\s)|(?<=\n))[ \t]*(?:so|thus|therefore|hence|giving|in total|altogether"
    r"|which (?:gives|means|is)|this (?:gives|means|is)|that(?:'s| is| gives| means)"
    rf"|we (?:get|have|find|obtain)|it(?:'s| is| equals))\b[^\n]*?(?={_END})"
    r"|(?:所以|因此|因而|从而|于是|故而?(?![意事障])|即(?![使便将刻])|可得|得到|也就是说?|总共有?|一共有?|共计)[^\n。！？；]*(?=[。！？；\n]|\Z)",
    re.IGNORECASE,
)
_MODULUS = re.compile(r"\s*\\?\(?\\?p?mod\b[^\n.。]{0,20}")  # the 4 of "1 (mod 4)" is no answer
_NUMBER = r"[-−]?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?"
_FRACTION = r"[-−]?\\[dt]?frac\s*\{[^{}\n]{1,40}\}\s*\{[^{}\n]{1,40}\}"
# A sentence that ends in "= 12" or "Total: 12", perhaps with a unit of a word or two, or of a few Chinese
# characters.
_COMPUTED = re.compile(
    rf"(?:=|≡|≈|\\equiv|\\approx|(?<=[A-Za-z\u4e00-\u9fff])[:：])\s*\**(?P<value>{_NUMBER}|{_FRACTION})"
    r"(?:\s*(?:\\?%|°|\\?\(?\\?p?mod[^\n.]{1,12})|[ \t]+[A-Za-z]{1,15}){0,2}"
    rf"[ \t]*[$\\\])*]*[ \t]*[\u4e00-\u9fff]{{0,4}}(?={_END})"
)


_EQUALS = re.compile(r"=|≡|\\equiv\b")


_NO_VALUE = re.compile(  # a question, or what was found earlier: "why did I get 61 earlier?"
    r"[?？]|\b(?:earlier|previously|last time|(?:got|had) before|initially|originally)\b|之前|刚才|刚刚|先前",
    re.IGNORECASE,
)
# "So it falls on a Sunday", "所以是星期天": a name at the end of a conclusion
_NAME = re.compile(
    r"(?:\b(?:is|was|are|be|on|gives?|means)|(?<=\w)['’]s)[ \t]+(?:(?:an?|the|on)[ \t]+)?[*$\"“]*"
    r"(?P<name>[A-Z][a-z]+(?:[ \t]+(?:and[ \t]+)?[A-Z][a-z]+)*)[*$\"”]*\Z"
    r"|[是为](?P<wide>[\u4e00-\u9fff]{1,6})\Z"
)
_DENIED = re.compile(r"\bnot\b|n['’]t\b|\bnever\b|[不没]", re.IGNORECASE)


def _end_of_chain(text: str) -> str:
    """15, of 3^5 = 15; x = 15 as it is, and so x = 2, x = 3."""
    sides = _EQUALS.split(text)
    is_equation = len(sides[0].strip(" $")) < 2 and (len(sides) == 2 or "," in text)
    return text if is_equation else sides[-1].strip(" $")


def _concluded(sentence: str) -> str:
    """The value that a conclusion arrives at: a number, a set, a name; "" where it says none."""
    answer = find_answer(_MODULUS.sub("", sentence))
    if answer is not None and answer.how != "whole response":
        return _end_of_chain(answer.text)
    name = _NAME.search(sentence.strip())
    return "" if name is None or _DENIED.search(sentence) else name["name"] or name["wide"]


def declared_answer(piece: str) -> str | None:
    """The answer that is declared to be one: in a box or a tag, or behind words such as "the answer is"."""
    if not _MAY_DECLARE.search(piece):
        return None
    found = find_answer(piece)
    return found.text if found is not None and found.how in DECLARING else None


def value_reached(piece: str, *, computed: bool) -> str | None:
    """The value at the end of a piece: of the last sentence that draws a conclusion or, with `computed`, that
    ends in an equation; whichever stands later."""
    tail = piece.rstrip()[-_LAST_CHARS:]
    found: list[tuple[int, str]] = []  # where the sentence ends, its value
    for sentence in _CONCLUSION.finditer(tail):
        if not _NO_VALUE.search(tail, sentence.start(), sentence.end() + 1):
            found.append((sentence.end(), _concluded(sentence.group())))
    if computed:
        found += [
            (equation.end(), equation["value"])
            for equation in _COMPUTED.finditer(tail)
            if tail[equation.end() : equation.end() + 1] != "?"
        ]
    if not found:
        return None
    end, value = max(found, key=lambda entry: entry[0])
    return value if value and len(tail) - end <= _CHARS_BEHIND else None


def piece_answer(piece: str) -> str | None:
    """The answer at which an attempt arrives; None when no rule finds one."""
    declared = declared_answer(piece)
    return value_reached(piece, computed=True) if declared is None else declared


def score_piece(piece: str, grade: Callable[[str], Verdict]) -> tuple[bool | None, str | None]:
    """Whether an attempt arrives at the right answer, and at which one; None where no answer is found, and
    in place of the first where it cannot be told.

    `grade` judges a response; it gets the attempt's own answer in a box.
    """
    answer = piece_answer(piece)
    if answer is None:
        return None, None
    verdict = grade(f"\\boxed{{{answer}}}")
    # A name that is not the right one may be that of something on the way.
    is_name = not verdict.correct and not any(character.isdigit() for character in answer)
    unknown = is_name or verdict.reason in ("no_answer", "undecided", *NOT_JUDGED)
    return None if unknown else verdict.correct, answer


# --- what a model says ---

_BULLET = re.compile(r"^\s*(?:[-*•>]+|\(?\d+[.):]|attempt \d+:)\s*", re.IGNORECASE)
_QUOTES = " \t\"'`“”‘’*…"
_NONE = re.compile(r"\W*(?:none|no (?:other|further|new) attempts?)\W*", re.IGNORECASE)
MIN_WORDS, MIN_CHARS_ZH = 2, 4  # what fewer words, or Chinese characters, name may stand anywhere
_ZH = re.compile(r"[\u4e00-\u9fff]")


def cuts_named(answer: str, thought: str) -> list[int] | None:
    """Where the first words that a model copied stand in the thought; None when no line of it is found.

    Lines that do not stand there are passed over; a line counts behind the one before it.
    """
    if _NONE.fullmatch(answer):
        return []
    cuts, behind, known = [], 0, False
    for line in answer.split("\n"):
        words = _BULLET.sub("", line).strip(_QUOTES).removesuffix("...").strip(_QUOTES).split()
        if len(words) < MIN_WORDS and len(_ZH.findall("".join(words))) < MIN_CHARS_ZH:
            continue
        found = re.compile(r"\s+".join(map(re.escape, words))).search(thought, behind)
        if found is None:
            continue
        known = True
        behind = found.end()
        if thought[: found.start()].strip():
            cuts.append(found.start())
    return cuts if known else None


_TRUTH = re.compile(
    r"(?:\b(?=[a-z])|(?=[\u4e00-\u9fff]))"
    r"(?:(?P<no>false|incorrect|wrong|no|not (?:true|correct|right)|不正确|错误|不对)"
    r"|(?P<yes>true|correct|right|yes|正确))(?:(?<=[\u4e00-\u9fff])|\b)",
    re.IGNORECASE,
)
_PLAIN_TRUTH = re.compile(r"\b(?:(?P<no>false)|(?P<yes>true))\b", re.IGNORECASE)


def truth_of(answer: str) -> bool | None:
    """True or False as a model wrote it; None when it wrote neither, or both."""
    for pattern in (_PLAIN_TRUTH, _TRUTH):
        for text in (answer, answer.strip().rsplit("\n", 1)[-1]):
            said = {found["yes"] is not None for found in pattern.finditer(text)}
            if len(said) == 1:
                return said.pop()
            if not said:
                break
    return None
