"""Who may import whom, and does --help stay light? The table of the layout, read from the code itself."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from helpers import ROOT

GROUND = {"records", "errors", "settings", "response", "terminal"}
# room -> rooms it may import besides the ground and itself; what is not named here imports nothing of ours
ROOMS = {
    "terminal": {"errors"},
    "task": {"records"},
    "prompts": set(),
    "machines": set(),
    "data": {"task", "prompts"},
    "runs": {"task", "machines", "prompts"},
    "engines": {"machines"},
    "grading": {"machines"},
    "results": {"runs", "grading"},
    "generation": {"data", "runs", "engines", "grading", "results", "machines", "task"},
    "training": {
        "runs",
        "engines",
        "grading",
        "machines",
        "prompts",
        "task",
        "results.page.charts",
        "results.voting",
    },
    "cli": {"generation", "engines", "data", "task", "training.leaks", "runs.lines"},
    "tasks": {"task", "data", "grading", "prompts"},
}
GROUND_IMPORTS = {"terminal": {"errors"}}
# What takes long to load; of our own modules the grader for maths, with some hundred patterns.
HEAVY = (
    "vllm torch transformers ray openai aiohttp huggingface_hub pyarrow datasets math_verify sympy pebble "
    "tqdm numpy latex2sympy2_extended tokenizers util.grading.maths"
).split()
SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
MODULES = sorted([*ROOT.glob("util/**/*.py"), *ROOT.glob("tasks/*.py"), *ROOT.glob("*.py")])


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def project_imports(path):
    """Modules of the project that a file imports, anywhere in it; `from a import b` may mean a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name for name in below if is_module(name)] or [node.module]
        yield from (name for name in names if is_module(name))


def is_module(name):
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def room_of(name):
    parts = name.split(".")
    return parts[0] if parts[0] != "util" else ".".join(parts[1:2])


def is_script(path):
    return path.name == "__main__.py" or path.parent == ROOT


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_room_imports_only_the_rooms_of_the_table(path):
    name = module_name(path)
    room = room_of(name)
    for imported in project_imports(path):
        target = room_of(imported)
        assert not imported.endswith("__main__"), f"{name} imports {imported}, which is a script"
        assert target in ("", "tasks") or imported.startswith("util"), f"{name} imports the script {imported}"
        if is_script(path) or target in (room, ""):
            continue
        allowed = GROUND_IMPORTS.get(room, set()) if room in GROUND else ROOMS.get(room, set()) | GROUND
        fits = target in allowed or any(imported == f"util.{one}" for one in allowed)
        assert fits, f"{name} imports {imported}; {room or name} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("util/**/*.py")), ids=module_name)
def test_a_file_opens_with_its_question_and_then_says_what_to_call(path):
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    question, mark, rest = doc.partition("?")
    assert mark and ". " not in question, doc
    assert len(rest.strip()) > 10, doc


def test_the_house_stays_small():
    folders = [path for path in (ROOT / "util").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert len(folders) <= 9 and len(list(ROOT.glob("util/[!_]*.py"))) <= 7


def test_no_files_import_each_other_in_a_circle():
    imports = {module_name(path): set(project_imports(path)) - {module_name(path)} for path in MODULES}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_only_tasks_and_scripts_load_tasks_by_name():
    for path in ROOT.glob("util/**/*.py"):
        if path.name != "__main__.py":
            assert "import_module(" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_loads_no_heavy_package(script):
    program = (
        "import runpy, sys\n"
        "sys.argv = [sys.argv[1], '--help']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as done:\n    assert not done.code, done.code\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / script)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("LOADED []"), done.stdout[-300:]
    assert "usage:" in done.stdout
