"""Does every command that we show to a user run as it stands?"""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from helpers import ROOT

from tasks import FILES, load_task
from util.generation.order import DEFAULT_PROMPT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BENCHMARK_COLUMNS = ("name", "data set", "default split", "rows", "prompts", "graded by", "metric")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
BLOCKS = [text for language, text in FENCED if not language]
COMMANDS = [line for block in BLOCKS for line in block.split("\n") if line.startswith(("python ", "make "))]
# What users of such suites have in their scripts already must be understood too.
FAMILIAR = """
python inference_and_check.py --dataset NUMINA --model Qwen/QwQ-32B-Preview --tp 8 --max_tokens 16384 --split train --source math --filter-difficulty --result-dir $DIR --inference
python inference_and_check.py --dataset NUMINA --model Qwen/QwQ-32B-Preview --tp 8 --max_tokens 16384 --split train --source olympiads --end 20000 --filter-difficulty --result-dir $DIR --math_difficulty_lower_bound 9 --math_difficulty_upper_bound 9
python inference_and_check.py --dataset MATH500 --model Qwen/Qwen2-7B-Instruct --tp 4 --max_tokens 4096 --split test --result-dir ./ --inference --temperatures 0.7 --n 64
python inference_and_check.py --dataset MATH500 --model Qwen/Qwen2-7B-Instruct --tp 4 --max_tokens 4096 --split test --result-dir ./ --check --temperatures 0.7 --n 8
python inference_and_check.py --dataset APPS --model Qwen/QwQ-32B-Preview --tp 8 --max_tokens 16384 --split test --source all --result-dir $DIR --check
python inference_and_check.py --dataset TACO --model Qwen/QwQ-32B-Preview --tp 8 --max_tokens 16384 --split train --source MEDIUM --filter-difficulty --result-dir $DIR --inference
python response_rewrite.py --SILC --rewrite-model meta-llama/Meta-Llama-3-8B-Instruct --target-model NovaSky-AI/Sky-T1-32B-Preview --dataset PATH --result-dir ./ --checkpoint --tp 8
python eval.py --model NovaSky-AI/Sky-T1-32B-Preview --evals=AIME,GPQADiamond --tp=8 --output_file=results.txt --temperatures 0.7
python eval.py --model Qwen/QwQ-32B-Preview --evals=AIME,MATH500,GPQADiamond --tp=8 --output_file=results.txt
""".strip().split("\n")  # fmt: skip  # noqa: E501


def words(command):
    return shlex.split(command, comments=True)


@pytest.mark.parametrize("command", [line for line in [*COMMANDS, *FAMILIAR] if ".py" in line])
def test_the_flags_of_a_shown_command_are_known_to_its_script(command):
    _, script, *flags = words(command)
    module = importlib.import_module(script.removesuffix(".py"))
    assert module.parse(flags) is not None


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("make ")])
def test_a_shown_make_target_exists(command):
    assert re.search(rf"^{words(command)[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("python -m ")])
def test_a_shown_tool_runs(command, tmp_path):
    sample = {"content": "So it is \\boxed{4}.", "correctness": True, "reason": ""}
    old = {"What is 2 + 2?": {"problem": "What is 2 + 2?", "answer": "4", "responses": {"0": [sample]}}}
    for name in re.findall(r"\S+\.json", command):
        (tmp_path / name).write_text(json.dumps(old))
    done = subprocess.run(
        [sys.executable, *words(command)[1:]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_recipe_is_understood(tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> {tmp_path}/commands\n")
    python.chmod(0o755)
    recipe = ["bash", str(ROOT / "recipes" / "sky_t1.sh"), "sky-t1", "keys.txt", "still2.jsonl"]
    subprocess.run(recipe, env={**os.environ, "PYTHON": str(python)}, check=True)
    commands = (tmp_path / "commands").read_text().splitlines()
    assert len(commands) == 3 + 6 + 2 + 6 + 1
    for script, *flags in map(str.split, commands):
        assert importlib.import_module(script.removesuffix(".py")).parse(flags) is not None


def test_the_readme_shows_commands_of_every_script():
    for script in ROOT.glob("*.py"):
        assert any(words(command)[1] == script.name for command in COMMANDS), script.name


@pytest.mark.parametrize("name", FILES)
def test_a_benchmark_is_in_the_readme_with_its_data_set_split_prompts_and_metric(name):
    assert f"| {' | '.join(BENCHMARK_COLUMNS)} |\n" in README
    rows = [line.strip("| ").split(" | ") for line in README.split("\n") if line.startswith("| ")]
    (row,) = [dict(zip(BENCHMARK_COLUMNS, row, strict=True)) for row in rows if row[0] == name]
    task = load_task(name)
    assert task.source.path in row["data set"] or task.source.path.startswith("tasks/")
    assert row["default split"] == task.source.split and int(row["rows"].replace(",", "")) > 0
    assert row["prompts"].split(", ") == [DEFAULT_PROMPT, *task.prompts]
    assert row["metric"] == task.metric


def test_the_example_benchmark_of_the_readme_works(tmp_path):
    (example,) = [text for language, text in FENCED if language == "python"]
    (tmp_path / "olympiadbench.py").write_text(example)
    program = (
        "import olympiadbench as o\n"
        "row = {'id': 1, 'question': 'What is 1/2?', 'final_answer': ['$0.5$']}\n"
        "problem = o.task.problem(row)\n"
        "assert o.task.grade(problem, o.task.gold(row)).correct\n"
        "assert 'What is 1/2?' in o.task.prompt(problem, 'm')\n"
    )
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
