"""Make docs/report.png, the picture of a report that the README shows, anew.

    python tests/report_picture.py

Needs Chromium and KaTeX. Questions and answers are made up; the page is what report.py writes.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
SIZE = (1200, 1010)
QUESTIONS = (  # subject, question, answer, how many of eight samples are right
    ("algebra", r"Find all real $x$ with $\sqrt{2x + 7} = x - 4$.", "9", 7),
    ("counting", r"In how many ways can $\binom{6}{2}$ be written as a sum of two primes?", "2", 4),
    ("series", r"What is $\sum_{k=1}^{\infty} \frac{k}{3^k}$?", r"\frac{3}{4}", 5),
    (
        "geometry",
        r"The arc $\overarc{AB}$ of a circle of radius $6$ has length $5\pi$. Find its angle.",
        r"150^\circ",
        8,
    ),
    ("numbers", r"Find the remainder of $7^{100}$ divided by $13$.", "9", 0),
    ("algebra", r"Write $0.\overline{27}$ as a fraction.", r"\frac{3}{11}", 8),
    ("calculus", r"Find $\lim_{x \to 0} \frac{\sin 3x}{\tan 2x}$.", r"\frac{3}{2}", 6),
    ("matrices", r"What is $\det \begin{pmatrix} 2 & 5 \\ 1 & 4 \end{pmatrix}$?", "3", 8),
    ("counting", r"How many subsets of $\{1, \ldots, 8\}$ hold no two neighbours?", "55", 3),
    ("numbers", r"How many positive divisors does $2^4 \cdot 3^2 \cdot 5$ have?", "30", 8),
    ("geometry", r"A cone has height $4$ and volume $12\pi$. Find its radius.", "3", 8),
    ("series", r"Find $1 - \frac{1}{2} + \frac{1}{4} - \cdots$", r"\frac{2}{3}", 7),
    ("algebra", r"The roots of $x^2 - 5x + 3 = 0$ are $a$ and $b$. Find $a^3 + b^3$.", "80", 2),
    ("calculus", r"Find $\int_0^{\pi} x \sin x \, dx$.", r"\pi", 5),
)


def main() -> None:
    from browser import open_browser
    from made_runs import make_run
    from PIL import Image

    import report

    dice = random.Random(4)
    problems, samples = [], []
    for number, (subject, question, answer, right) in enumerate(QUESTIONS, 1):
        name = f"{subject}/{number}"
        problems.append({"id": name, "question": question, "answer": answer, "about": {"subject": subject}})
        wrong = dice.sample(range(8), 8 - right)
        for index in range(8):
            sample = {"problem_id": name, "index": index, "tokens": int(dice.lognormvariate(6.6, 0.6))}
            sample |= {"correct": index not in wrong, "extracted": answer if index not in wrong else "12"}
            if index in wrong and dice.random() < 0.3:
                text = f"<think>So it may be {answer}. Let me check" if dice.random() < 0.5 else "<think>Hm"
                sample |= {"finish_reason": "length", "reason": "truncated", "extracted": None, "text": text}
            samples.append(sample)
    with tempfile.TemporaryDirectory() as place:
        run = make_run(
            Path(place) / "run",
            samples,
            problems=problems,
            settings={"task": "Examples", "model": "org/a-model"},
        )
        page = Path(place) / "report.html"
        report.run(report.parse([str(run), "-o", str(page)]))
        driver = open_browser(Path(place) / "profile", size=SIZE)
        driver.get(page.as_uri())
        while driver.execute_script("return document.documentElement.dataset.ready") != "yes":
            time.sleep(0.1)
        width, height = SIZE
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        picture = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
        driver.quit()
    picture.quantize(96).save(ROOT / "docs" / "report.png", optimize=True)


if __name__ == "__main__":
    main()
