"""Who may import whom, and does --help stay light? The table of the layout, read from the code itself."""

import ast
import subprocess
import sys

import pytest
from helpers import ROOT

# module or folder (longest match wins) -> what it may import from the project; a name allows all below it
ALLOWED = {
    "util": [],
    "util.errors": [],
    "util.records": [],
    "util.models": [],
    "util.cores": [],
    "util.versions": ["util.cores"],
    "util.journal": ["util.errors"],
    "util.keys": ["util.errors"],
    "util.offsets": ["util.journal"],
    "util.replicas": ["util.errors", "util.records"],
    "util.task": ["util.models", "util.records"],
    "util.prompts": ["util.records", "util.errors"],
    "util.sampling": ["util.records", "util.errors"],
    "util.fetching": ["util.errors"],
    "util.row_files": ["util.errors"],
    "util.hub": ["util.task", "util.records", "util.errors", "util.fetching", "util.row_files"],
    "util.labels": ["util.hub", "util.fetching", "util.task", "util.errors"],
    "util.asking": ["util.engines", "util.records"],
    "util.cost": ["util.errors", "util.engines"],
    "util.forecast": ["util"],  # joins the parts of a command that is not carried out
    "util.formatting": ["util.records", "util.errors", "util.grading"],
    "util.labelling": ["util.errors", "util.journal"],
    "util.curation": ["util.records", "util.errors"],
    "util.extra_rows": ["util.errors", "util.journal"],
    "util.formats": ["util.records", "util.errors", "util.journal"],
    "util.forked": ["util.errors"],
    "util.export": [
        "util.forked",
        "util.cores",
        "util.cost",
        "util.curation",
        "util.errors",
        "util.extra_rows",
        "util.formats",
        "util.formatting",
        "util.journal",
        "util.records",
        "util.runs",
    ],
    "util.datacard": ["util.export", "util.cost", "util.records", "util.errors", "util.curation"],
    "util.old_results": ["util"],  # joins the parts for one file of another layout
    "util.runs": [
        "util.records",
        "util.errors",
        "util.journal",
        "util.offsets",
        "util.cli",
        "util.old_results",
    ],  # its own command line
    "util.engines": [
        "util.records",
        "util.errors",
        "util.models",
        "util.keys",
        "util.cores",
        "util.replicas",
        "util.engines",
    ],
    "util.grading": ["util.records", "util.errors", "util.replicas", "util.grading"],
    "util.estimates": [],
    "util.statistics": ["util.estimates", "util.records", "util.errors", "util.grading"],
    "util.pipeline": [
        "util.runs",
        "util.task",
        "util.engines",
        "util.grading",
        "util.records",
        "util.sampling",
    ],
    "util.cli": ["util.models", "util.errors", "util.engines"],
    "util.system_prompts": ["util"],  # reads names, files and data sets
    "util.turns": [],
    "util.rewriting": ["util.records", "util.errors", "util.formatting", "util.grading", "util.turns"],
    "util.pair_formats": ["util.errors", "util.journal"],
    "util.pair_samples": ["util.rewriting", "util.records", "util.runs", "util.tokens"],
    "util.pair_cuts": [
        "util.pair_samples",
        "util.rewriting",
        "util.runs",
        "util.journal",
        "util.asking",
        "util.engines",
        "util.prompts",
        "util.records",
    ],
    "util.pairing": [
        "util.pair_samples",
        "util.pair_cuts",
        "util.pair_formats",
        "util.rewriting",
        "util.tokens",
        "util.journal",
    ],
    "util.pair_forecast": ["util.pair_cuts", "util.cost", "util.tokens"],
    "util.pair_input": ["util.pair_samples", "util.report.manifest", "util.task", "util.errors"],
    "util.pair_report": ["util.pair_cuts", "util.pairing", "util.rewriting", "util.journal", "util.versions"],
    "util.regrading": ["util"],  # joins the parts for a run that is there
    "util.tokens": ["util.models", "util.engines"],
    "util.evaluation": ["util"],  # runs several of them on one engine
    "util.benchmark": ["util"],  # joins the parts for one benchmark
    "util.comparison": ["util.estimates", "util.statistics"],
    "util.report": [
        "util.estimates",
        "util.statistics",
        "util.comparison",
        "util.journal",
        "util.runs",
        "util.records",
        "util.errors",
        "util.prompts",
        "util.report",
    ],
    "tasks": ["util.task", "util.records", "util.grading", "util.prompts", "util.errors"],
}
HEAVY = (
    "vllm torch transformers ray openai aiohttp huggingface_hub pyarrow datasets math_verify sympy pebble "
    "tqdm numpy latex2sympy2_extended asyncio datasketch "
    "dataclasses inspect tempfile subprocess socket"  # as long as all the rest of --help together
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


def rule_for(name):
    while name and name not in ALLOWED:
        name = name.rpartition(".")[0]
    return name


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_imports_only_what_the_layout_allows(path):
    name = module_name(path)
    if name in (script.removesuffix(".py") for script in SCRIPTS):
        allowed = ["tasks", "util"]
    elif name == "tasks":
        allowed = ["util.task", "util.errors"]
    else:
        allowed = ALLOWED.get(rule_for(name))
        assert allowed is not None, f"say in ALLOWED what {name} may import"
    for imported in project_imports(path):
        fits = any(imported == one or imported.startswith(f"{one}.") for one in allowed)
        assert fits or imported == name or imported == "util", (
            f"{name} imports {imported}, allowed: {allowed}"
        )


def test_no_module_of_util_imports_a_task_or_a_script():
    scripts = {script.removesuffix(".py") for script in SCRIPTS}
    for path in ROOT.glob("util/**/*.py"):
        for imported in project_imports(path):
            assert imported.split(".")[0] not in scripts | {"tasks"}, f"{path} imports {imported}"


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
