"""Does every command that we show to a user run as it stands, and does every page say what is there?"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from helpers import ROOT, script
from made_runs import make_imported, make_run
from test_imports import GROUND, ROOMS

from tasks import FAMILIES, FILES, load_task
from util.cli import asking_options
from util.generation.order import DEFAULT_PROMPT
from util.runs.theirs import TheirScore
from util.training.formats import FORMATS, RL_FORMATS

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LONGEST_README = 150
BENCHMARK_COLUMNS = ("name", "data set", "default split", "rows", "prompts", "graded by", "metric")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
TOOLS = ("python", "make", "bash", "sbatch", "pip", "ray")
HUB = ROOT.parent / "shared" / "data" / "hub"
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


def joined(text: str) -> list[str]:
    """The lines of a shell text, those that end in a backslash joined with the next."""
    return [line.strip() for line in re.sub(r"\\\n\s*", "", text).split("\n")]


def shown_in(page: Path) -> Iterator[str]:
    """The commands of a page: in its fenced blocks without a language, and in running text."""
    text = page.read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if not language:
            yield from (line for line in joined(block) if line and not line.startswith("#"))
    for span in re.findall(r"`([^`\n]+)`", FENCE.sub("", text).replace("\n", " ")):
        if span.split()[0] in TOOLS and " " in span:
            yield span


def shown_in_recipe(recipe: Path) -> Iterator[str]:
    """The commands in the comment at the head of a recipe."""
    head = "\n".join(
        line[1:] for line in recipe.read_text(encoding="utf-8").split("\n") if line.startswith("#")
    )
    yield from (line for line in joined(head) if line.split(" ")[0] in TOOLS)


def shown_in_script(script: Path) -> Iterator[str]:
    """The commands in the docstring of a script, which are the head of its --help."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    yield from (line for line in joined(text) if line.startswith("python "))


SHOWN = [
    (place.relative_to(ROOT).as_posix(), command)
    for places, found_in in (
        (PAGES, shown_in),
        (sorted(ROOT.glob("recipes/*.sh")), shown_in_recipe),
        (sorted(ROOT.glob("*.py")), shown_in_script),
    )
    for place in places
    for command in found_in(place)
]
COMMANDS = [*dict.fromkeys([*(command for _, command in SHOWN), *FAMILIAR])]


def words(command: str) -> list[str]:
    return shlex.split(command, comments=True)


def starting(*names: str) -> list[str]:
    return [command for command in COMMANDS if words(command)[0] in names]


def understood(script: str, flags: list[str]) -> bool:
    """Whether a script takes these flags; --version and --help end it."""
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    if flags[-1:] in (["--version"], ["--help"]):
        with pytest.raises(SystemExit) as ended:
            module.parse(flags)
        return ended.value.code == 0
    args = module.parse(flags)
    if hasattr(args, "replicas") and getattr(args, "model", None):  # flags of an engine have to go together
        args.batch = None  # that needs a package
        asking_options(args)
    return args is not None


def test_the_pictures_in_documents_are_there_and_small():
    shown = {
        page.parent / name
        for page in PAGES
        for name in re.findall(r"!\[[^]]+\]\((\S+?)\)", page.read_text(encoding="utf-8"))
    }
    assert ROOT / "docs/report.png" in shown
    assert all(picture.stat().st_size <= 150_000 for picture in shown)


def test_every_line_of_a_block_is_a_command_that_some_test_reads():
    unread = [(where, command) for where, command in SHOWN if words(command)[0] not in TOOLS]
    assert not unread
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_hides_in_a_block_that_shows_output(page):
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        assert language in ("", "text", "python")
        if language == "text":
            assert not re.search(r"^(python|make|bash|sbatch|pip|ray) ", block, re.MULTILINE)


@pytest.mark.parametrize("command", [one for one in starting("python") if words(one)[1] != "-m"])
def test_the_flags_of_a_shown_command_are_known_to_its_script(command):
    _, script, *flags = words(command)
    assert (ROOT / script).is_file() and understood(script, flags)


@pytest.mark.parametrize("command", starting("make"))
def test_a_shown_make_target_exists(command):
    makefile = (ROOT / "Makefile").read_text()
    for word in words(command)[1:]:
        name, is_variable, _ = word.partition("=")
        assert re.search(
            rf"^{name} \?=|\$\({name}\)" if is_variable else rf"^{name}:", makefile, re.MULTILINE
        )


@pytest.mark.parametrize("command", starting("pip"))
def test_a_shown_list_of_packages_exists(command):
    _, install, *flags, name = words(command)
    assert install == "install" and flags in (["-r"], ["--no-deps", "-r"]) and (ROOT / name).is_file()


@pytest.mark.parametrize("command", starting("ray"))
def test_a_shown_command_of_ray_is_known_to_it(command):
    commands = pytest.importorskip("ray.scripts.scripts", reason="Ray is not installed")
    _, name, *flags = words(command)
    known = {flag for option in getattr(commands, name).params for flag in option.opts}
    assert {flag for flag in flags if flag.startswith("--")} <= known


@pytest.mark.parametrize("command", starting("bash", "sbatch"))
def test_a_shown_recipe_exists_and_its_command_is_understood(command):
    parts = words(command)
    (at,) = [position for position, part in enumerate(parts) if part.startswith("recipes/")]
    recipe = ROOT / parts[at]
    assert recipe.is_file() and os.access(recipe.parent, os.R_OK)
    scripts = [position for position, part in enumerate(parts) if part.endswith(".py")]
    assert bool(scripts) == (recipe.name in ("slurm.sh", "ssh_cluster.sh"))
    # The recipe adds the flags of its cluster.
    added = ["--shard", "1/8"] if "--array" in parts else ["--engine", "ray"]
    for position in scripts:
        assert understood(parts[position], [*parts[position + 1 :], *added])


def test_every_command_of_the_recipe_is_understood(tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> {tmp_path}/commands\n")
    python.chmod(0o755)
    recipe = ["bash", str(ROOT / "recipes" / "sky_t1.sh"), "sky-t1", "keys.txt", "still2.jsonl"]
    subprocess.run(recipe, env={**os.environ, "PYTHON": str(python)}, check=True)
    commands = (tmp_path / "commands").read_text().splitlines()
    assert len(commands) == 3 + 6 + 2 + 6 + 1
    for name, *flags in map(str.split, commands):
        assert understood(name, flags)


# --- commands that need neither a model nor the network are run ---


def further_flags(command: str) -> list[str] | None:
    """What a command gets besides, so that it runs here; None where it needs a model or an endpoint."""
    _, script, *flags = words(command)
    if script == "doctor.py" and "tune" in flags:
        return None
    if script == "-m" or script in ("report.py", "doctor.py"):
        return []
    if script == "convert_to_data.py":
        # The other benchmarks are not at hand everywhere; the runs made here were not formatted.
        about_rows = [] if set(flags) & set(RL_FORMATS) else ["--include-unformatted"]
        return ["--decontaminate", "Warmup", *about_rows]
    if script in ("convert_format.py", "response_rewrite.py") and {"--no-llm", "--dry-run"} & set(flags):
        return []
    if "--dry-run" in flags:
        return [] if "Warmup" in flags else ["--data-dir", str(HUB)]
    return None


RUNNABLE = [one for one in starting("python") if one not in FAMILIAR and further_flags(one) is not None]


def response(attempts: int, value: int) -> str:
    """A response that reaches its answer several times."""
    again = "\n\nWait, let me check that again. 6 times 7 is 42, so the answer is 42. " * (attempts - 1)
    thought = f"6 times 7 is 42, so the answer is {value}. {again}"
    return (
        f"<think>\n{thought}</think>\n\nSix times seven was worked out, so the answer is \\boxed{{{value}}}."
    )


@pytest.fixture(scope="session")
def graded_runs(tmp_path_factory) -> Path:
    """A folder with everything that the shown commands read."""
    folder = tmp_path_factory.mktemp("shown")
    names = {found for command in RUNNABLE for found in re.findall(r"results/([\w.-]+)", command)}
    for number, name in enumerate(sorted(names)):
        samples = [
            {
                "problem_id": f"p{problem}",
                "index": index,
                "text": response(index + 1, 42 if index != problem % 4 else 41),
                "correct": index != problem % 4,
                "tokens": 40 * (index + 1),
            }
            for problem in range(6 + number)
            for index in range(4)
        ]
        made = make_run(folder / "results" / name, samples)
        if any(f"audit results/{name}" in command for command in RUNNABLE):
            make_imported(made, {("p0", 0.7, 0): TheirScore("acc", 1, "42")})
    (folder / "problems.csv").write_text("problem,answer\nWhat is 2 + 2?,4\n")
    (folder / "data").mkdir()
    (folder / "keys.txt").write_text("sk-of-nobody-0000\n")
    (folder / "keys.txt").chmod(0o600)
    sample = {"content": "So it is \\boxed{4}.", "correctness": True, "reason": ""}
    old = {"What is 2 + 2?": {"problem": "What is 2 + 2?", "answer": "4", "responses": {"0": [sample]}}}
    for name in (found for command in RUNNABLE for found in re.findall(r"import (\S+\.json)", command)):
        (folder / name).write_text(json.dumps(old))
    make_logs(folder)
    return folder


def make_logs(folder: Path) -> None:
    """The logs of other suites that are imported: of one sample each."""
    commands = "\n".join(RUNNABLE)
    question = json.loads((ROOT / "tasks" / "warmup.jsonl").read_text().partition("\n")[0])["question"]
    for name in re.findall(r"import (\S+\.jsonl)", commands):
        row = {"doc_id": 0, "doc": {"question": question}, "target": "1", "resps": [["1"]], "metrics": []}
        (folder / name).write_text(json.dumps(row) + "\n")
    for name in re.findall(r"import (\S+\.eval)", commands):
        shutil.copy(ROOT / "tests" / "foreign" / "inspect_ai" / "sums.eval", folder / name)
    for name in re.findall(r"import (\S+\.parquet)", commands):
        table = pyarrow.table({"task": ["What is 2 + 2?"], "result": ["4"], "texts": [["It is 4.", "5"]]})
        pyarrow.parquet.write_table(table, folder / name)


@pytest.mark.parametrize("command", RUNNABLE)
def test_a_shown_command_that_needs_no_model_runs(command, graded_runs, tmp_path, monkeypatch):
    further = further_flags(command)
    if "--data-dir" in further and not HUB.is_dir():
        pytest.skip(f"no copies of the data sets at {HUB}")
    place = tmp_path / "here"
    shutil.copytree(graded_runs, place)
    monkeypatch.chdir(place)
    _, first, *flags = words(command)
    if first == "-m":
        first, flags = f"{flags[0]}.__main__", flags[1:]
    with socket.socket() as nobody:  # a port that is taken and does not answer: the hub is away
        nobody.bind(("127.0.0.1", 0))
        done = script(first, *flags, *further, HF_ENDPOINT=f"http://127.0.0.1:{nobody.getsockname()[1]}")
    # A gate speaks by its exit status: 1 fail, 3 cannot tell.
    assert done.returncode in ((0, 1, 3) if "gate" in flags[:1] else (0,)), done.stderr[-2000:]


# --- what the pages say is there ---


def test_the_readme_is_short():
    assert len(README.rstrip("\n").split("\n")) <= LONGEST_README


def test_the_readme_shows_a_command_of_every_script():
    shown = {words(command)[1] for where, command in SHOWN if where == "README.md" and " " in command}
    assert {script.name for script in ROOT.glob("*.py")} <= shown


def test_every_page_is_reached_from_the_readme():
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)", README))
    pages = {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert pages - linked <= {"README.md", "CHANGELOG.md"}


def anchor(heading: str) -> str:
    """The name under which the usual viewers link to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_internal_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in map(anchor, headings), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_a_page_names_exists(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    named = re.findall(r"`((?:util|tasks|tests|docs|recipes|requirements|benchmarks)/[\w/.*-]*)`", text)
    for name in named:
        assert "NAME" in name or next(ROOT.glob(name.rstrip("/")), None), name


def test_the_plan_of_the_house_names_every_room():
    plan = next(block for language, block in FENCE.findall(ARCHITECTURE) if "util/\n" in block)
    named = set(re.findall(r"^  ([\w.]+)/? ", plan, re.MULTILINE))
    there = {
        path.name
        for path in (ROOT / "util").iterdir()
        if path.name not in ("__init__.py", "__pycache__") and (path.suffix == ".py" or path.is_dir())
    }
    assert there == named


def test_the_table_of_imports_is_the_one_that_is_tested():
    table = ARCHITECTURE.partition("| room | may import")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([a-z, ]+) \| ([a-z, .]+) \|$", table, re.MULTILINE)
    said = {
        room: set() if allowed == "nothing else" else set(allowed.split(", "))
        for rooms, allowed in rows
        for room in rooms.split(", ")
    }
    assert said == {room: allowed - GROUND for room, allowed in ROOMS.items() if room not in GROUND}


def test_the_ground_is_named_as_it_is_tested():
    (sentence,) = re.findall(r"^(`.*) are the ground:", ARCHITECTURE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", sentence)) == GROUND


def test_every_format_of_a_training_file_is_described():
    formats = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in formats for name in (*FORMATS, *RL_FORMATS))


@pytest.mark.parametrize("name", FILES)
def test_a_benchmark_is_in_the_readme_with_its_data_set_split_prompts_and_metric(name):
    assert f"| {' | '.join(BENCHMARK_COLUMNS)} |\n" in README
    table = README.partition(f"| {' | '.join(BENCHMARK_COLUMNS)} |\n")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.split("\n")[1:]]
    (row,) = [dict(zip(BENCHMARK_COLUMNS, row, strict=True)) for row in rows if row[0] == name]
    task = load_task(name)
    assert task.source.path in row["data set"] or task.source.path.startswith("tasks/")
    assert row["default split"] == task.source.split and int(row["rows"].replace(",", "")) > 0
    assert row["prompts"].split(", ") == [DEFAULT_PROMPT, *task.prompts]
    assert row["metric"] == task.metric


def test_every_further_benchmark_is_listed_with_its_data_set_and_split():
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.split("\n") if line.startswith("| ")][2:]
    assert sorted(name for row in rows for name in row[0].split(", ")) == sorted(FAMILIES)
    for names, where, split, *_ in rows:
        for name in names.split(", "):
            source = load_task(name).source
            assert source.path in where and source.split == split
            assert ("streamed" in where) == source.is_streamed


def test_the_prompt_of_every_benchmark_is_looked_for():
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    table = page.partition("| where the published prompt stands |")[2].partition("\n\n")[0]
    names = [name for row in table.split("\n")[2:] for name in row.split(" | ")[0].strip("| ").split(", ")]
    assert sorted(names) == sorted(FILES)


def test_the_example_benchmark_works(tmp_path):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = [text for language, text in FENCE.findall(page) if language == "python"]
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
