"""Does every benchmark still run? At its smallest size, for what it would print and not for the figures."""

import json
import subprocess
import sys

import pytest
from helpers import ROOT, json_lines

CODE_CASES = ROOT / "tests" / "cases" / "code.jsonl"
# Benchmark and what to measure -> flags of the smallest size; {} is a folder for what it makes.
SMALLEST = {
    "adaptive": "--n 2 --limit 2",
    "checking": "--samples 40",
    "api_client": "--service-s 0.2 --slots 8 --rounds 3 --found-slots 4 --find-s 1 --found-s 1 --requests 99 "
    "--long 2",
    "curation": "--samples 40 --folder {}",
    "curation found": "",
    "generation": "--rounds 1 --n 1",
    "generation --beside-programs": "--rounds 1 --n 1",
    "grading_code light": f"--rounds 1 --cases {CODE_CASES}",
    "grading_code layers": "--rounds 1",
    "grading_code agreement": f"--cases {CODE_CASES}",
    "grading_code memory": "--checks 20",
    "grading_code endless": "--problems 5 --time-limit 0.2",
    "grading_maths": "--rounds 1 --cases {}/maths.jsonl --gsm8k {}/gsm8k.jsonl",
    "intervals": "--draws 10",
    "loops": "--loops 20 --healthy 16",
    "numina": "--rows 3000 --folder {}",
    "pairs": "--samples 40",
    "report": "--samples 40 --dir {}",
    "rewards": "--maths 20 --programs 4 --threads 2 --workers 1",
    "rewrites": "",
    "startup": "--rounds 1",
}
WITH_MODEL = {"adaptive", "generation", "generation --beside-programs"}


@pytest.fixture
def maths_cases(tmp_path):
    """Ten short answers and ten responses, labelled as benchmarks/grading_maths.py reads them."""
    more = {"source": "cases", "task": "gsm8k"}
    for name, file, label in (("maths", "maths_equality", "equal"), ("gsm8k", "maths_responses", "correct")):
        cases = [
            {**case, **more, "expected": case[label]}
            for case in json_lines(ROOT / f"tests/cases/{file}.jsonl")
        ]
        lines = [json.dumps(case) for case in cases[:10]]
        (tmp_path / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.engine if what in WITH_MODEL else ()) for what in SMALLEST]
)
def test_a_benchmark_runs_at_its_smallest_size(what, tmp_path, maths_cases):
    name, *words = what.split()
    flags = SMALLEST[what].replace("{}", str(tmp_path)).split()
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *words, *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert any(character.isdigit() for character in done.stdout)


def test_every_benchmark_is_run():
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert {what.split()[0] for what in SMALLEST} == names
