"""How many rewrites that change the meaning pass the check, and how many honest ones?

python benchmarks/rewrites.py [--texts FILE.jsonl ...] [--most 500] [--seed 0]

Goals: at most 1 of 100 spoilt rewrites accepted, at least 93 of 100 honest ones; exit status 1 where one is
missed. Texts are JSON lines with `response`, `solution` or `text`, traces with an answer. Each is split
honestly in five ways, spelled otherwise as the form allows, and spoilt in each way that it has room for.
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

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from util import prompts  # noqa: E402
from util.response import join_parts, split_parts  # noqa: E402
from util.training.formatting import has_ending, same_ending  # noqa: E402
from util.training.rewrites import check_rewrite  # noqa: E402

MOST_SPOILT, LEAST_HONEST = 0.01, 0.93
CASES = ROOT / "tests" / "cases" / "traces.jsonl"
SENTENCE = re.compile(r"[^.!?。\n]*(?:[.!?。](?=\s|$|[\u4e00-\u9fff])|\n+|$)|[^\n]+")
INVENTED = (
    " By symmetry we are done with this part.", " This follows from Vieta's formulas.",
    " Then 7 + 8 = 15.",
    " The theorem of the purple octagon applies.",
    "\n\nNote that $k \\le 9$ here.", " 由对称性可知结论成立。",
)  # fmt: skip
CHATTER = (
    "Sure, here is the reformatted answer:\n\n", "Certainly! I have split it into two parts.\n\n",
    "(the reasoning)\n\n", "Here is the thought:\n\n", "好的，以下是整理后的内容：\n\n",
)  # fmt: skip
SIGNS = {
    "+": "-",
    "-": "+",
    "=": "<",
    "<": ">",
    ">": "<",
    "*": "+",
    "\\cdot": "+",
    "\\times": "+",
    "\\le": "\\ge",
}
OPPOSITES = {"even": "odd", "odd": "even", "greater": "less", "less": "greater", "positive": "negative",
             "both": "neither", "all": "some", "two": "three", "first": "second",
             "correct": "incorrect", "right": "wrong"}  # fmt: skip


# --- honest ---


def sentences(text: str) -> list[str]:
    return [found.group() for found in SENTENCE.finditer(text) if found.group()]


def splits(text: str) -> Iterator[str]:
    """A plain trace split where its last paragraph or its last sentence begins, or copied whole."""
    said = sentences(text)
    whole = [number for number, one in enumerate(said) if one.strip()]
    last, before = whole[-1], whole[-2]
    yield join_parts("".join(said[:last]), "".join(said[last:]))
    yield join_parts("".join(said[:before]), "".join(said[before:]))
    yield join_parts(text, "".join(said[last:]))
    yield join_parts(text, "".join(said[before:]))
    yield join_parts(text, "So the final answer is: " + "".join(said[last:]))


def respelled(rewritten: str, dice: random.Random) -> str:
    """What may change: white space, the signs around formulas, bold print, words that join."""
    for pattern, other in dice.sample(TOUCHES, 4):
        rewritten = re.sub(pattern, other, rewritten)
    return rewritten


TOUCHES = (
    (r"\$([^$\n]+)\$", r"\\(\1\\)"), (r"\$\$([^$]+)\$\$", r"\\[\1\\]"), (r"\\\[([^\\\n]+)\\\]", r"$$\1$$"),
    (r"\bSo\b", "Thus"), (r"\bThus\b", "Therefore"), (r"\bn't\b", " not"), (r"\*\*(\w+)\*\*", r"\1"),
    (r"\\dfrac", r"\\frac"), (r"(?<=[a-z]\.) (?=[A-Z])", "\n\n"), (r" = ", "="),
    (r"(?<=[0-9a-z])=(?=[0-9a-z])", " = "), (r"\\left\(", "("), (r"\\right\)", ")"), (r"\bcannot\b", "can't"),
    (r"\n\n", "\n"),
    (r"\\cdot\b", r"\\times"),
)  # fmt: skip


# --- spoilt ---


def at(pattern: str, other: Callable[[str], str]) -> Callable[[str, random.Random], str]:
    """A change of one place that fits, chosen by chance."""

    def change(text: str, dice: random.Random) -> str:
        found = list(re.finditer(pattern, text))
        if not found:
            return text
        place = dice.choice(found)
        return text[: place.start()] + other(place.group()) + text[place.end() :]

    return change


def put_in(stock: tuple[str, ...]) -> Callable[[str, random.Random], str]:
    def change(text: str, dice: random.Random) -> str:
        ends = [found.end() for found in re.finditer(r"[.。](?=\s)|[.。]$", text)] or [len(text)]
        place = dice.choice(ends)
        return text[:place] + dice.choice(stock) + text[place:]

    return change


def left_out(text: str, dice: random.Random) -> str:
    """The thought without a step that is not its last ones, which the solution may have taken over."""
    said = sentences(text)
    gone = [number for number, one in enumerate(said[:-3]) if re.search(r"\d", one)]
    if not gone:
        return text
    number = dice.choice(gone)
    return "".join(said[:number] + said[number + 1 :])


def leaked(text: str, dice: random.Random) -> str:
    lines = [
        line.removeprefix("- ")
        for line in prompts.load("rewrite").split("\n")
        if len(line) > 30 and "{" not in line
    ]
    return put_in(tuple("\n\n" + line for line in lines))(text, dice)


SPOILT: dict[str, Callable[[str, random.Random], str]] = {
    "digit": at(r"\d", lambda said: str((int(said) + 3) % 10)),
    "number left out": at(r"(?<![\w{])\d+ ", lambda said: ""),
    "sign": at(
        r"(?<=[\w )])[+=<>*](?=[\w (])|\\(?:cdot|times|le)\b|(?<=\w )-(?= \w)", lambda said: SIGNS[said]
    ),
    "variable": at(r"(?<=\$)[b-hj-z](?![A-Za-z])", lambda said: "w" if said != "w" else "v"),
    "negation put in": at(r"\b(?:is|are|can|does|has|will|must)\b", lambda said: f"{said} not"),
    "negation taken out": at(r" not\b|n't\b|不(?=[能是会等])", lambda said: ""),
    "opposite": at(rf"\b(?:{'|'.join(OPPOSITES)})\b", lambda said: OPPOSITES[said]),
    "step invented": put_in(INVENTED),
    "step left out": left_out,
    "chatter": lambda text, dice: dice.choice(CHATTER) + text,
    "prompt": leaked,
}


def spoil(rewritten: str, kind: str, dice: random.Random) -> str | None:
    """The rewrite with one part changed, thought or solution; None where nothing can change."""
    parts = split_parts(rewritten)
    if parts is None:
        return None
    which = dice.randrange(2)
    changed = [SPOILT[kind](text, dice) if number == which else text for number, text in enumerate(parts)]
    if changed == list(parts) or kind == "step left out" and which == 1:
        return None
    return join_parts(changed[0], changed[1])


# --- what is measured ---


def texts(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text = row.get("response") or row.get("solution") or row.get("text") or ""
            if len(sentences(text)) > 3 and has_ending(text):
                yield text


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=Path, nargs="+", default=[CASES], metavar="FILE")
    parser.add_argument("--most", type=int, default=500, metavar="N", help="texts of each file (500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--show", type=int, default=0, metavar="N", help="print so many wrong decisions of each kind"
    )
    return parser.parse_args()


def main() -> int:
    args = parse()
    asked: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    seconds = time.process_time()
    for path in args.texts:
        found = list(texts([path]))
        for text in random.Random(args.seed).sample(found, min(args.most, len(found))):
            measure(text, asked, accepted, show=args.show, seed=args.seed)
    seconds = time.process_time() - seconds
    for kind, number in asked.items():
        print(f"{kind:<20} {accepted[kind]:>6} of {number:>6} accepted  {accepted[kind] / number:>7.2%}")
    spoilt, honest = (
        sum(accepted[kind] for kind in asked if (kind in SPOILT) == wanted)
        / max(1, sum(number for kind, number in asked.items() if (kind in SPOILT) == wanted))
        for wanted in (True, False)
    )
    print(
        json.dumps(
            {"spoilt_accepted": spoilt, "honest_accepted": honest, "ms_each": 1000 * seconds / asked.total()}
        )
    )
    return 0 if spoilt <= MOST_SPOILT and honest >= LEAST_HONEST else 1


def measure(text: str, asked: Counter[str], accepted: Counter[str], *, show: int, seed: int) -> None:
    dice = random.Random(f"{seed} {text}")
    honest = [
        (f"split {number}", one)
        for number, one in enumerate(splits(text), 1)
        if (parts := split_parts(one)) and 2 * len(parts[1]) < len(text)
        # Where the answer stands in several sentences, the last one is no solution.
        if same_ending(text, parts[1], graded_by="answer")
    ]
    honest += [("split, respelled", respelled(one, dice)) for _, one in honest]
    spoilt = [(kind, spoil(dice.choice(honest)[1], kind, dice)) for kind in SPOILT] if honest else []
    for kind, rewritten in (*honest, *spoilt):
        if rewritten is None:
            continue
        wrong = check_rewrite(text, rewritten, min_fidelity=0.9, graded_by="answer")
        asked[kind] += 1
        accepted[kind] += wrong is None
        if (wrong is None) == (kind in SPOILT) and asked[f"shown {kind}"] < show:
            print("=" * 30, kind, wrong, text, "-" * 30, rewritten, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
