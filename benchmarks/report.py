"""How long does a report take, how much memory, and how large is it, as a run grows?
(goal: 1,000,000 samples of 8 kB within 500 MB, in time proportional to the bytes read; the page of 10,000
opens within 3 s and is at most 1.2 times as large as their texts)

python benchmarks/report.py [--samples 50000 200000] [--per-problem 8] [--dir DIR]

Makes the runs of benchmarks/pairs.py, about 9 kB of disk a sample, and starts report.py on each. With --open
the page is opened in a headless Chromium, too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pairs import ROOT, make_run

sys.path.insert(0, str(ROOT / "tests"))  # for its browser


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="reporting on a large run")
    parser.add_argument("--samples", type=int, nargs="+", default=[50_000, 200_000], help="(50000 200000)")
    parser.add_argument("--per-problem", type=int, default=8, metavar="N", help="samples per problem (8)")
    parser.add_argument(
        "--chars", type=int, default=8_000, metavar="N", help="mean length of a sample (8000)"
    )
    parser.add_argument(
        "--dir", type=Path, help="where runs are made for a while; default: the temporary one"
    )
    parser.add_argument("--open", action="store_true", help="time how long Chromium takes to open the page")
    return parser.parse_args()


def measure(folder: Path, page: Path) -> dict:
    """Seconds by the clock, CPU seconds, peak memory and size of the page."""
    command = [sys.executable, str(ROOT / "report.py"), str(folder), "-o", str(page)]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    return {
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
        "page_mb": round(page.stat().st_size / 1e6, 1),
    }


def opening_s(page: Path, profile: Path) -> float:
    """Seconds until a browser shows the first samples, the slower of two times."""
    from browser import open_browser

    browser = open_browser(profile)
    seconds = []
    try:
        for _ in range(2):
            began = time.monotonic()
            browser.get(page.as_uri())
            while browser.execute_script("return document.documentElement.dataset.ready") != "yes":
                time.sleep(0.01)
            seconds.append(time.monotonic() - began)
    finally:
        browser.quit()
    return round(max(seconds), 2)


def main() -> None:
    args = parse()
    for samples in sorted(args.samples):
        with tempfile.TemporaryDirectory(dir=args.dir) as folder:
            run = Path(folder) / "run"
            make_run(run, samples, args.per_problem, args.chars)
            size = sum(file.stat().st_size for file in run.iterdir())
            page = Path(folder) / "report.html"
            found = measure(run, page)
            if args.open:
                found["opens_s"] = opening_s(page, Path(folder) / "profile")
            print(json.dumps({"samples": samples, "mb": round(size / 1e6), **found}), flush=True)


if __name__ == "__main__":
    main()
