"""How soon are texts that go in circles ended, and how many healthy ones by mistake?

python benchmarks/loops.py [--loops 4000] [--healthy 20000] [--texts FILE.jsonl ...] [--seed 0]

Goals: within 512 tokens of the onset in 95 of 100 loops; 1 in 10,000 healthy texts. Loops are made in
twelve languages, and of LaTeX, code, tables and digits; most change a little each time round. The onset
is where the text begins to repeat itself, which is behind the first time round. Healthy texts are made,
too: tables, lists, code, enumerations, proofs by cases, digits, matrices, solutions told again; --texts
adds texts of JSON lines ({"text": ...}), a dozen joined to a long one. Tokens of English, formulas and
code are those of the embedded model's tokenizer; of other languages so many characters as the cases say.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from util.engines.loops import loop_end  # noqa: E402

GOAL_TOKENS = 512
KINDS = ("exact", "counter", "reworded", "left out")
LONGEST_ROUND = 200  # tokens of one time round

# What a model that is lost says; {n} is a counter, {a|b} one of several wordings.
CASES = Path(__file__).resolve().parent.parent / "tests" / "cases" / "loops.jsonl"
SIGNS = (  # rounds without prose: these come again exactly
    "\\[ x^2 - 5x + 6 = (x - 2)(x - 3) = 0 \\]\n",
    "x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a} = \\frac{5 \\pm 1}{2}, \\quad ",
    "    if left < right and items[left] == items[right]:\n        left += 1\n",
    "| 12 | 7 | yes |\n", "142857", "3", "0", "\n", " ", "-", "= 0 ", "ab", "<|", "\\\\ & ", "()", "1/3 + ",
    "🙂",
)  # fmt: skip


# --- loops ---


def signs(dice: random.Random) -> Iterator[str]:
    """A loop without prose."""
    said = dice.choice(SIGNS)
    while True:
        yield said


def rounds(dice: random.Random, sentences: list[str], kind: str) -> Iterator[str]:
    """What one loop of prose says, time after time."""
    chosen = dice.sample(sentences, dice.randint(1, len(sentences)))
    if kind == "counter" and not any("{n}" in one for one in chosen):
        chosen.append(next(one for one in sentences if "{n}" in one))
    joint = dice.choice((" ", "\n", "\n\n"))
    fixed = [worded(dice, one) for one in chosen]
    number = dice.randint(1, 20)
    while True:
        number += kind == "counter"
        said = [worded(dice, one) for one in chosen] if kind == "reworded" else fixed
        if kind == "left out" and len(said) > 1 and dice.random() < 0.3:
            left_out = dice.randrange(len(said))
            said = said[:left_out] + said[left_out + 1 :]
        yield joint.join(said).replace("{n}", str(number)) + joint


def worded(dice: random.Random, sentence: str) -> str:
    """The sentence with one of its wordings."""
    return re.sub(r"\{([^{}]*\|[^{}]*)\}", lambda match: dice.choice(match[1].split("|")), sentence)


# --- healthy texts ---

WORDS = """
we see that the number of ways to choose a point on this line is given by sum over all even terms
and so each side must be equal to half of its length since angle between them does not change when
circle moves first second case follows from lemma because function grows faster than any power which
means limit exists let us suppose there were another root then polynomial would have degree at least
four but it has only three therefore product divides both sides hence triangle similar ratio area
square prime factor modulo remainder integer positive sequence next previous value table row column
graph vertex edge path colour count total
""".split()


def prose(dice: random.Random, words: int) -> str:
    """Sentences of random words: what no two of them share is as in real prose, or more."""
    parts = []
    while words > 0:
        length = dice.randint(5, 22)
        words -= length
        parts.append(
            " ".join(dice.choice(WORDS) for _ in range(length)).capitalize()
            + dice.choice((".", ".", ":", "?"))
        )
    return " ".join(parts)


def table(dice: random.Random) -> str:
    kind, rows = dice.randrange(5), dice.randint(20, 120)
    if kind == 0:
        lines = (f"| {n} | {n * n} | {n**3} | {n * n % 7} |" for n in range(1, rows))
    elif kind == 1:
        lines = (
            f"| {n:07b} | {'even' if n % 2 == 0 else 'odd'} | {bin(n).count('1')} |" for n in range(rows)
        )
    elif kind == 2:
        lines = (f"{n} & {dice.random():.3f} & {dice.random():.3f} \\\\" for n in range(rows))
    elif kind == 3:
        lines = (
            f"| {dice.choice(WORDS)} | {dice.choice(WORDS)} | {dice.randint(0, 1)} |" for _ in range(rows)
        )
    else:
        size = dice.randint(4, 8)
        lines = (
            "| " + " | ".join("TF"[n >> bit & 1] for bit in range(size)) + " |"
            for n in range(2 ** min(size, 6))
        )
    return "\n".join(lines)


def listing(dice: random.Random) -> str:
    step = dice.choice((1, 1, 2, 3, 7))
    if dice.random() < 0.5:
        return ", ".join(str(n) for n in range(dice.randint(0, 50), dice.randint(200, 900), step))
    return "\n".join(
        f"{n}. {dice.choice(WORDS).capitalize()} the {dice.choice(WORDS)} of {dice.choice(WORDS)}."
        for n in range(1, dice.randint(20, 100))
    )


def cases(dice: random.Random) -> str:
    m, kind, top = dice.choice((3, 4, 5, 7, 8, 9, 11, 13, 16)), dice.randrange(5), dice.randint(12, 60)
    return "\n".join(CASES_OF[kind](dice, n, m) for n in range(20 * (kind == 2), top + 20 * (kind == 2)))


def _seats(dice: random.Random) -> str:
    names = ("Anna", "Ben", "Carla", "Dan", "Eva", "Finn", "Gina", "Hugo")
    a, b, c = dice.sample(names, 3)
    ways = dice.randint(2, 30)
    return f"Suppose that {a} sits next to {b}. Then {c} must sit opposite {a}, and we have {ways} ways."


def _cube(n: int, m: int) -> str:
    end = "So it fails." if (n**3 + m) % m else "So it works!"
    return f"For n = {n} we get {n}^3 + {m} = {n**3 + m}, and this is {'not ' * ((n + m) % 2 == 0)}odd. {end}"


def _divisors(n: int) -> str:
    least = next((d for d in range(2, n) if n % d == 0), None)
    return (
        "Yes, nothing up to its root divides it." if least is None else f"No, {n} = {least} * {n // least}."
    )


CASES_OF: tuple[Callable[[random.Random, int, int], str], ...] = (
    lambda dice, n, m: f"Case {n}: if x = {n}, then x^2 = {n * n}, which is {n * n % m} modulo {m}.",
    lambda dice, n, m: _cube(n, m),
    lambda dice, n, m: f"Is {n} prime? {_divisors(n)}",
    lambda dice, n, m: _seats(dice),
    lambda dice, n, m: (
        f"If {n} of them are red, there are \\binom{{60}}{{{n}}} = {dice.randint(10, 10**6)} ways."
    ),
)


def digits(dice: random.Random) -> str:
    kind = dice.randrange(4)
    if kind == 0:
        p = dice.choice((7, 13, 17, 19, 23, 29, 31, 37, 41, 97, 101, 113, 239))
        places = dice.randint(30, 200)
        return f"1/{p} = 0.{10**places // p:0{places}d}..."
    if kind == 1:
        return f"2^{{{(n := dice.randint(100, 1500))}}} = {2**n}"
    if kind == 2:
        return f"The number 10^{{{(n := dice.randint(20, 300))}}} is {10**n}."
    return "".join(dice.choice("0123456789") for _ in range(dice.randint(100, 1000)))


def code(dice: random.Random) -> str:
    names = dice.sample(WORDS, 12)
    lines = []
    for name in names:
        lines.append(f"def {name}_{dice.choice(WORDS)}(values, {dice.choice(WORDS)}):")
        lines += (_statement(dice, *dice.choices(names, k=3)) for _ in range(dice.randint(2, 7)))
        lines.append("")
    return "\n".join(lines)


def _statement(dice: random.Random, a: str, b: str, c: str) -> str:
    number = dice.randint(0, 99)
    return dice.choice(
        (
            f"    if {a} > {number}:\n        return {b}[{number % 10}]",
            f"    for i in range(len({a})):\n        {b}[i] += {c}[i - 1]",
            f"    {a} = {b} + {number}",
            f"    assert {a}({number}) == {dice.randint(0, 99)}",
        )
    )


def matrix(dice: random.Random) -> str:
    size, most = dice.randint(3, 10), dice.choice((0, 1, 1, 9))
    rows = (" & ".join(str(dice.randint(0, most)) for _ in range(size)) for _ in range(size))
    return "\\begin{pmatrix} " + " \\\\ ".join(rows) + " \\end{pmatrix}"


def retold(dice: random.Random) -> str:
    """A solution in the thought, once more after a check, and once more as the answer."""
    solution = dice.choice((code, cases, table, lambda dice: prose(dice, 250)))(dice)
    again = ("Let me check this again. ", "So the final solution is:\n")
    return "\n\n".join(
        [
            solution,
            *(
                f"{head}{prose(dice, dice.randint(0, 60))}\n{solution}"
                for head in dice.sample(again, dice.randint(1, 2))
            ),
        ]
    )


HEALTHY: dict[str, Callable[[random.Random], str]] = {
    "prose": lambda dice: prose(dice, 600),
    **{make.__name__: make for make in (table, listing, cases, digits, code, matrix, retold)},
}


def healthy_text(dice: random.Random, kind: str, texts: list[str]) -> str:
    """A long healthy text with much of one kind."""
    if kind == "texts":
        return "\n\nWait, let me check.\n\n".join(dice.choice(texts) for _ in range(12))
    parts = []
    for _ in range(dice.randint(3, 6)):
        parts += [prose(dice, dice.randint(10, 80)), HEALTHY[kind](dice)]
    return "\n".join(parts)


# --- measuring ---


def measure_loops(number: int, seed: int, count: Callable[[str], int]) -> tuple[int, int]:
    dice = random.Random(seed)
    languages = [json.loads(line) for line in CASES.open(encoding="utf-8")]
    caught: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    waits: list[int] = []
    early = 0
    while tried.total() < number:
        before = prose(dice, dice.randint(0, 300)) + "\n"
        if dice.random() < 0.5:
            before += HEALTHY[dice.choice(list(HEALTHY))](dice) + "\n"
        tokens = count
        if dice.random() < 0.15:
            turns, name = signs(dice), "signs and code"
        else:
            language, kind = dice.choice(languages), dice.choice(KINDS)
            turns, name = rounds(dice, language["sentences"], kind), f"{language['language']}, {kind}"
            if rate := language.get("chars_per_token"):
                tokens = _by_chars(rate)
        first, loop = next(turns), ""
        if tokens(first) > LONGEST_ROUND:
            continue
        while tokens(loop) < 3 * GOAL_TOKENS:
            loop += "".join(next(turns) for _ in range(1 + 300 // len(first)))
        text, onset = before + first + loop, len(before) + len(first)
        end = loop_end(text)
        tried[name] += 1
        early += end is not None and end <= len(before)
        waits.append(10**6 if end is None else tokens(text[onset:end]))
        caught[name] += waits[-1] <= GOAL_TOKENS
    for name in sorted(tried):
        print(f"{name:24} {caught[name]:5} of {tried[name]:5} within {GOAL_TOKENS} tokens")
    waits.sort()
    print(f"{early} were ended before the loop began")
    print(
        f"median {waits[len(waits) // 2]} tokens after the onset, 95 % within {waits[int(0.95 * len(waits))]}"
    )
    return caught.total(), tried.total()


def _by_chars(chars_per_token: float) -> Callable[[str], int]:
    return lambda text: round(len(text) / chars_per_token)


def measure_healthy(number: int, seed: int, texts: list[str]) -> tuple[int, int, float]:
    dice = random.Random(seed)
    kinds = [*HEALTHY, *(["texts"] if texts else [])]
    tried: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    characters, cpu_s = 0, 0.0
    while tried.total() < number:
        kind = kinds[tried.total() % len(kinds)]
        text = healthy_text(dice, kind, texts)
        begun = time.process_time()
        end = loop_end(text)
        cpu_s += time.process_time() - begun
        characters += len(text) if end is None else end
        tried[kind] += 1
        if end is not None:
            ended[kind] += 1
            print(f"ended by mistake ({kind}): ...{text[max(0, end - 200) : end]!r}")
    for kind in kinds:
        print(f"{kind:24} {ended[kind]:5} of {tried[kind]:5} ended by mistake")
    return ended.total(), tried.total(), 4e6 * cpu_s / characters


def token_counter() -> Callable[[str], int]:
    """Counts by the embedded model's tokenizer; about four characters a token where that is not installed."""
    from util.engines.tokens import estimate_tokens, open_counter
    from util.errors import UserError

    try:
        counter = open_counter("embedded")
    except UserError:
        return estimate_tokens
    return counter.count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--loops", type=int, default=2000)
    parser.add_argument("--healthy", type=int, default=20000)
    parser.add_argument("--texts", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    texts = [json.loads(line)["text"] for path in args.texts for line in path.open(encoding="utf-8")]
    caught, loops = measure_loops(args.loops, args.seed, token_counter())
    ended, healthy, us = measure_healthy(args.healthy, args.seed, texts)
    print(
        f"loops ended within {GOAL_TOKENS} tokens of their onset: {caught} of {loops} "
        f"({100 * caught / loops:.1f} %, goal 95 %)"
    )
    print(f"healthy texts ended by mistake: {ended} of {healthy} (goal: at most 1 in 10,000)")
    print(f"cost: {us:.2f} us CPU per 4 characters, about a token")


if __name__ == "__main__":
    main()
