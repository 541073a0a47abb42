"""Does a model's rewrite of a response, split into thought and solution, still say what the response said?

`check_rewrite` compares the two word by word. What carries meaning (numbers, negations, signs, symbols, and
words such as "less" or "odd") must come again in its order; of the other words a few may change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from util.grading.maths.answers import find_answer
from util.response import join_parts, part, program, split_parts, tidy_markers
from util.training.formatting import GradedBy, same_ending

LEAST_IN_THOUGHT = 0.5  # of a plain trace's words, its program aside
MAX_WORDS = 200_000  # of a text whose fidelity is measured; longer ones count as changed
NEW_WORDS = {"thought": 3, "solution": 2}  # so many in a row that the original lacks are the model's own
WINDOW = 3  # words and signs in a row by which a passage is found in the original
_MUST_STAY = "numbers, negations and signs must stay"


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a sign, spelled as all spellings of it."""

    text: str
    carries: bool  # meaning that must survive: a number, a negation, a sign, a symbol


END = Token("", False)  # of a sentence, of a clause in it, or of a line


def check_rewrite(
    original: str, rewritten: str, *, min_fidelity: float, graded_by: GradedBy = "anything"
) -> str | None:
    """What is wrong with a model's rewrite of a response; None when it may stand for it."""
    parts = split_parts(tidy_markers(rewritten))
    if parts is None:
        return "the four markers do not stand once each and in order"
    if not same_ending(original, parts[1], graded_by=graded_by):
        return "the solution has another final answer or program"
    delimited = _delimited_thought(original)
    whole, thought, solution = map(tokens, (part(original).without_marks(), *parts))
    source = whole if delimited is None else tokens(delimited)
    before, written, solved = map(_said, (source, thought, solution))
    kept = common_words(before, written if delimited is not None else written + solved)
    if kept < min_fidelity * len(before):
        return f"only {kept / len(before):.0%} of the words were kept in order"
    in_thought = kept if delimited is not None else common_words(before, written)
    if in_thought < min_fidelity * len(written):
        return f"{1 - in_thought / len(written):.0%} of the thought's words are not in the original"
    if delimited is None:
        if in_thought < LEAST_IN_THOUGHT * len(_said(tokens(_without_program(original)))):
            return "most of the thought stands in the solution"
    if len(solved) > len(_said(whole)):
        return "the solution is longer than the whole original"
    if lost := _lost(_carried(source), _carried(whole), _carried(thought), _carried(solution), delimited):
        return f"{lost}: {_MUST_STAY}"
    for where, found in (("thought", thought), ("solution", solution)):
        if own := _invented(whole, found, most=NEW_WORDS[where]):
            return f"the {where} has words of its own: {own!r}"
    if said := _broken_off(source, thought):
        return f"the thought ends with {said!r} where the original goes on"
    answer = find_answer(parts[1])
    if unfounded := _unfounded(whole, solution, "" if answer is None else answer.text):
        return f"the solution has {unfounded!r}, which does not stand like that in the original"
    return None


def tidy_rewrite(rewritten: str) -> str:
    """A checked rewrite, set like every other formatted text."""
    parts = split_parts(tidy_markers(rewritten))
    assert parts is not None, "only rewrites that passed the check are tidied"
    return join_parts(*parts)


def common_words(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words two texts have in common, in order: the length of their longest common subsequence.

    One bit per word of `before` in one large integer, one addition per word of `after` (Hyyro 2004):
    30,000 against 30,000 words take about a tenth of a second.
    """
    if len(before) > MAX_WORDS or len(after) > MAX_WORDS:
        return 0
    places: dict[str, int] = {}
    for number, word in enumerate(before):
        places[word] = places.get(word, 0) | 1 << number
    full = (1 << len(before)) - 1
    row = full
    for word in after:
        hits = row & places.get(word, 0)
        row = (row + hits | row - hits) & full
    return len(before) - row.bit_count()


# --- what is compared ---


def _delimited_thought(text: str) -> str | None:
    """The thought, where the response delimits it; None where it does not."""
    parts = part(text)
    return parts.thought if not parts.is_open and parts.thought.strip() else None


def _without_program(text: str) -> str:
    block = program(text)
    return text if block is None else text[: block.begin] + text[block.end :]


def _said(found: list[Token]) -> list[str]:
    return [token.text for token in found if token is not END]


def _carried(found: list[Token]) -> list[str]:
    return [token.text for token in found if token.carries]


def _lost(
    source: list[str], whole: list[str], thought: list[str], solution: list[str], delimited: str | None
) -> str | None:
    """The first number, negation or sign that did not survive in its place, in words.

    The thought holds all of a delimited one, and of a plain trace all up to some place. The solution holds
    the rest, and may say again what came before.
    """
    for had, has in zip(source, thought, strict=False):
        if had != has:
            return f"the thought has {has!r} in place of {had!r}"
    if len(thought) > len(source):
        return f"the thought has {thought[len(source)]!r}, which the original lacks"
    if delimited is not None and len(thought) < len(source):
        return f"the thought lacks {source[len(thought)]!r}"
    remaining = iter(solution)
    for token in whole[len(thought) :]:
        if token not in remaining:
            return f"the solution lacks {token!r}"
    return None


def _invented(whole: list[Token], written: list[Token], *, most: int) -> str | None:
    """A passage of the model's own: a stretch of words that stands nowhere in the original, or a sentence.

    Chatter, lines of the prompt and invented steps are such passages.
    """
    new = iter(_new(whole, written))
    run: list[str] = []
    sentence: list[bool] = []  # whether words and signs are new
    own: list[str] = []  # the new words of the sentence that say something
    for token in (*written, END):
        if token is END:
            if own and all(sentence):
                return " ".join(own)
            sentence, own = [], []
            continue
        sentence.append(next(new))
        if not sentence[-1]:
            run = []
        elif not token.carries and token.text not in _LINKS:
            run.append(token.text)
            own.append(token.text)
        if len(run) == most:
            return " ".join(run)
    return None


def _broken_off(source: list[Token], thought: list[Token]) -> str | None:
    """How the thought ends behind the last number or sign that it keeps, where the original does not end so.

    It holds other words there, or the original goes on with a number in the same clause.
    """
    kept = len(_carried(thought))
    goes_on, behind = _behind(source, kept), _behind(thought, kept)
    if behind and behind[-1] is END:
        behind.pop()
    said = [token.text for token in behind if token is not END]
    is_broken = kept < len(_carried(source)) and behind.count(END) >= goes_on.count(END)
    is_other = any(token not in goes_on and token.text not in _LINKS for token in behind if token is not END)
    return " ".join(said) if said and (is_broken or is_other) else None


def _behind(found: list[Token], number: int) -> list[Token]:
    """The words between what carries meaning for the so-manieth time and for the next one."""
    begin = end = 0
    for at, token in enumerate(found):
        if token.carries:
            number -= 1
            if number < 0:
                break
            begin = at + 1
        end = at + 1
    return found[begin:end]


def _new(whole: list[Token], written: list[Token]) -> list[bool]:
    """Which words and signs stand in no passage of the original."""
    before, after = _said(whole), _said(written)
    width = min(WINDOW, len(after))
    known = set(_windows(before, width))
    new = [True] * len(after)
    for at, one in enumerate(_windows(after, width)):
        if one in known:
            new[at : at + width] = [False] * width
    return new


def _unfounded(whole: list[Token], solution: list[Token], answer: str) -> str | None:
    """A formula of the solution that the original does not hold, or a number in another place than there.

    The answer itself may be announced in other words.
    """
    announced = _carried(tokens(answer))
    is_new = _new(whole, solution)
    if spliced := _spliced(_said(whole), solution, is_new):
        return spliced
    new = iter(is_new)
    before, edges = _carried(whole), _edges(whole)
    places: dict[str, list[int]] = {}
    for number, token in enumerate(before):
        places.setdefault(token, []).append(number)
    for formula in _formulas(solution, new):
        said = [token for token, _ in formula]
        if said == announced:
            continue
        found = any(
            before[at : at + len(said)] == said and at in edges and at + len(said) in edges
            for at in places.get(said[0], ())
        )
        if not found or any(is_new for _, is_new in formula):
            return " ".join(said)
    return None


def _spliced(before: list[str], solution: list[Token], is_new: list[bool]) -> str | None:
    """Words that stand together in the solution and not in the original: what stood between was left out."""
    known = {width: set(_windows(before, width)) for width in range(1, WINDOW + 1)}
    words = set(before)
    new, clause = iter(is_new), []
    for token in (*solution, END):
        if token is not END and (not next(new) or token.text in words and token.text not in _LINKS):
            clause.append(token.text)
            continue
        width = min(WINDOW, len(clause))
        spliced = (
            next((one for one in _windows(clause, width) if one not in known[width]), ()) if clause else ()
        )
        if spliced:
            return " ".join(spliced)
        clause = []
    return None


def _windows(words: list[str], width: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[at : at + width]) for at in range(len(words) - width + 1))


def _formulas(found: list[Token], new: Iterator[bool]) -> Iterator[list[tuple[str, bool]]]:
    """Stretches of what carries meaning, with whether each of it is new; words and ends lie between them."""
    formula: list[tuple[str, bool]] = []
    for token in found:
        is_new = token is not END and next(new)
        if token.carries:
            formula.append((token.text, is_new))
        elif formula:
            yield formula
            formula = []
    if formula:
        yield formula


def _edges(found: list[Token]) -> set[int]:
    """Where formulas and their sides begin and end, by the number of what carries meaning."""
    edges, number = {0}, 0
    for token in found:
        if not token.carries:
            edges.add(number)
            continue
        if token.text in _RELATIONS:
            edges |= {number, number + 1}
        number += 1
    return edges | {number}


# --- words and signs ---

_SPACING = re.compile(  # what LaTeX and Markdown only set differently
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|boxed|fbox|q?quad|text(?:bf|it|rm)?|math(?:rm|bf)|operatorname"
    r"|limits)(?![A-Za-z])"
    r"|\\(?:begin|end)\{[A-Za-z]*\*?\}(?:\{[lcr|]*\})?|\\[()\[\],;:!\\ ]|\$+|~|&"
    r"|(?m:^[ \t]*(?:#+|[-*•>]+)[ \t])|`+[a-z]*"
)
_BARE_FRACTION = re.compile(r"(\\[dt]?frac)[ ]*(\d)(\d)")
_SAME = {
    **dict.fromkeys(("\\times", "\\cdot", "\\ast", "×", "·", "⋅"), "*"),
    **dict.fromkeys(("\\div", "÷"), "/"),
    **dict.fromkeys(("\\leq", "\\le", "\\leqslant", "≤"), "<="),
    **dict.fromkeys(("\\geq", "\\ge", "\\geqslant", "≥"), ">="),
    **dict.fromkeys(("\\neq", "\\ne", "≠"), "!="),
    **dict.fromkeys(("\\dfrac", "\\tfrac"), "\\frac"),
    **dict.fromkeys(("\\Rightarrow", "\\implies", "\\to", "\\rightarrow", "→"), "⇒"),
    **dict.fromkeys(("\\lt", "＜"), "<"),
    **dict.fromkeys(("\\gt", "＞"), ">"),
    **dict.fromkeys(("−", "－"), "-"),
    **dict.fromkeys(("\\approx", "≈"), "\\approx"),
    **dict.fromkeys(("\\equiv", "≡"), "\\equiv"),
    **dict.fromkeys(("\\pm", "±"), "\\pm"),
    **dict.fromkeys(("\\infty", "∞"), "\\infty"),
    **dict.fromkeys(("\\circ", "°"), "°"),
    "\\lbrace": "⦃",
    "\\rbrace": "⦄",
    **dict.fromkeys(("\\%",), "%"),
    **dict.fromkeys(("（",), "("),
    **dict.fromkeys(("）",), ")"),
    **dict.fromkeys(("＝",), "="),
    **dict.fromkeys(("＋",), "+"),
}  # fmt: skip
_RELATIONS = frozenset(("=", "<", ">", "<=", ">=", "!=", "\\approx", "\\equiv", "⇒"))
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
_TOKEN = re.compile(
    r"(?P<number>\d{1,3}(?:(?:,|\{,\})\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?)"
    rf"|(?P<wide>[{_CJK}])"
    rf"|(?P<word>(?:(?![{_CJK}])[^\W\d_])+(?:['’](?:(?![{_CJK}])[^\W\d_])+)*)"
    r"|(?P<sign>\\[A-Za-z]+|\\[{}%]|<=|>=|(?<![\d)\]}])!=|==|[+/=<>^_|%⦃⦄°±×·⋅÷−－≤≥≠≈≡∈∉⊂∪∩√∞∑∏∫→⇒()\[\]{}＝＋＜＞（）]"
    r"|(?<=[\w)}\]])\*{1,2}(?=[\w(\\{])|(?<=[^\s] )\*(?=\s)"
    r"|(?<![^\W\d_-])-(?!-)|(?<=\b[A-Za-z])-(?!-)|-(?=[A-Za-z]\b)"
    r"|(?<=[\d)\]}])!|(?<=\d):(?=\d)|(?<=\b[A-Za-z])['′]+(?!\w))"
    r"|(?P<end>[.,!?;:。，、！？；：]|\n)"
)
_WEIGHTY_ZH = frozenset(
    "零〇一二三四五六七八九十百千万亿两半倍不没無无非未否莫勿大小多少正负奇偶加减乘除对错真假增减升降前后左右上下"
)
_WEIGHTY = re.compile(  # words that turn a sentence round, or count
    r"not|no|none|never|neither|nor|without|nothing|nobody|nowhere|hardly|unless|except|fail(?:s|ed)?"
    r"|(?:in)?correct(?:ly)?|right|wrong(?:ly)?|true|false|(?:in)?valid|(?:im)?possible|(?:un)?equal|(?:un)?likely"
    r"|(?:in)?finite(?:ly)?|(?:in)?consistent|(?:in)?dependent|(?:non)?zero|(?:non)?negative|positive|odd|even"
    r"|(?:ir)?rational|(?:un)?bounded|(?:dis)?similar|(?:in)?congruent|(?:in)?divisible|(?:dis)?agrees?"
    r"|more|less|fewer|greater|smaller|larger|bigger|higher|lower|least|most|max(?:imum|imal|imize)?"
    r"|min(?:imum|imal|imize)?|(?:in|de)creas(?:e|es|ed|ing)|add(?:s|ed|ing)?|subtract(?:s|ed|ing)?"
    r"|plus|minus|times|multipl(?:y|ies|ied|ying)|divid(?:e|es|ed|ing)|sum|difference|product|quotient|ratio"
    r"|both|either|all|any|every|each|some|only|always|before|after|above|below|inside|outside|left"
    r"|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?"
    r"|millions?|billions?|half|halves|thirds?|fourths?|fifths?|quarters?|dozens?|once|twice|thrice|doubl(?:e|ed)"
    r"|tripl(?:e|ed)|first|second|sixth|tenth|last"
    r"|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|größer\w*|kleiner\w*|mehr|weniger|(?:un)?gerade\w*|höher\w*"
    r"|mindestens|höchstens|größte\w*|kleinste\w*|falsch|richtig|positiv|negativ|gleich|ungleich|alle|immer|nur"
    r"|deux|trois|quatre|cinq|sept|huit|neuf|moins|(?:im)?pairs?|petite?s?|grande?s?|tous|toutes|toujours|seulement"
    r"|vrai|faux|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|más|menos|mayor|menor|(?:im)?par|todos|siempre"
    r"|sólo|solo|falso|verdadero|больше|меньше|(?:не)?чётн\w*|(?:не)?четн\w*|два|две|три|четыре|пять|все|всегда"
    r"|nicht|kein\w*|nie|ohne|ne|pas|jamais|sans|non|sin|nunca|ningun\w*|não|sem|не|нет|ни|без|нельзя"
)
_JOINING = frozenset("=+/^_<>≤≥")  # a word beside one of these is the name of a value
_NO_LETTER = re.compile(r"[:：]| [a-z]")  # behind the article, or the label "A:"
_NEAR = 6  # characters around a word in which such a sign is looked for
_LINKS = frozenset(  # may be added: they join what is said, or announce the answer
    "so thus therefore hence then now and or but also as since because the a an this that these it its we "
    "our us i is are was be been have has had get gets got of to in on for by with from at here there let "
    "final answer solution result conclusion value finally gives give giving means which where when problem "
    "to conclude 所 以 因 此 故 则 得 到 最 终 答 案 是 为 的 了 我 们 这 那 即 综 上 述 可".split()
)


def tokens(text: str) -> list[Token]:
    """A text's words and signs, and END where a sentence, a clause of it or a line ends."""
    text = _BARE_FRACTION.sub(r"\1 \2 \3", text.replace("\\{", "⦃").replace("\\}", "⦄"))
    text = _SPACING.sub(" ", text)
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind, said = match.lastgroup, match.group()
        if kind == "end":
            if found and found[-1] is not END:
                found.append(END)
        elif kind == "number":
            found.append(Token(said.replace("{,}", "").replace(",", ""), True))
        elif kind == "wide":
            found.append(Token(said, said in _WEIGHTY_ZH))
        elif kind == "sign":
            _add_sign(found, _SAME.get(said, said))
        else:
            begin, end = match.span()
            beside = (text[max(0, begin - _NEAR) : begin].rstrip()[-1:], text[end : end + _NEAR].lstrip()[:1])
            is_letter = (
                len(said) == 1 and said not in "aI" and not (said == "A" and _NO_LETTER.match(text, end))
            )
            _add_word(found, said, is_name=is_letter or not _JOINING.isdisjoint(beside))
    return found


def _add_sign(found: list[Token], sign: str) -> None:
    """A sign more; braces around a single one say nothing."""
    if sign == "}" and len(found) > 1 and found[-2].text == "{" and found[-1] is not END:
        found[-2:] = found[-1:]
    else:
        found.append(Token(sign, True))


def _add_word(found: list[Token], word: str, *, is_name: bool) -> None:
    """A word more; what is negated in two, and a letter or the name of a value as a symbol."""
    said = word.lower().replace("’", "'")
    if said == "cannot":
        said = "can't"
    if is_name or 1 < len(word) < 4 and word.isupper():
        found.append(Token(word, True))
    elif said.endswith("n't"):
        found += (Token(said.removesuffix("n't"), False), Token("not", True))
    else:
        found.append(Token(said, _WEIGHTY.fullmatch(said) is not None))
