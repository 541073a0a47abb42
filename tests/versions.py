"""Do the tests that need no engine, but for those of whole commands, pass under every supported Python?

    python tests/versions.py UV            runs them, each version in an environment of its own
    python tests/versions.py UV --all      also under the version that this command runs under
    python tests/versions.py UV --missing  only names the versions that are not here

Which versions are supported stands in pyproject.toml. The version that this command runs under is that of
.venv: `make test` runs all tests under it, so it is left out. UV finds the interpreters and downloads none.
A version that is not here is a warning at the end; the exit status is 1 only when tests fail.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = Path(sys.prefix) / "versions"
# What measures, and what runs whole commands again and again: one version tells.
LEFT_OUT = tuple(
    f"--ignore=tests/test_{name}.py"
    for name in (
        "adapters audit batch_runs benchmarks budget_report chain deadline docs endpoint_runs eval export "
        "full_disk inference kills labelling loops power recipes report sampling second_opinion shards "
        "thinking_budget walk"
    ).split()
)
OWN = f"3.{sys.version_info.minor}"


def supported() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    first, beyond = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"', text, re.MULTILINE).groups()
    return [f"3.{minor}" for minor in range(int(first), int(beyond))]


def interpreter(uv: str, version: str) -> str | None:
    """The path of this version, or None. A version that pyenv holds but has not switched on counts."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    held = [str(path.parent) for path in pyenv.glob(f"versions/{version}.*/bin/python{version}")]
    environment = {**os.environ, "PATH": os.pathsep.join([*held, os.environ["PATH"]])}
    command = [uv, "python", "find", "--no-python-downloads", "--system", version]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def tests_pass(uv: str, version: str, python: str) -> bool:
    """Whether they do in a new environment with what users of endpoints install; prints what they say."""
    folder = ENVIRONMENTS / version
    own = str(folder / "bin" / "python")
    requirements = [word for name in ("core", "dev") for word in ("-r", f"requirements/{name}.txt")]
    steps = (
        [uv, "venv", "--quiet", "--clear", "--python", python, str(folder)],
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", own, *requirements],
        [own, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not engine", *LEFT_OUT],
    )
    said, failed = f"== Python {version}: {python}\n", False
    for step in steps:
        done = subprocess.run(step, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said, failed = said + done.stdout, done.returncode != 0
        if failed:
            break
    print(said, end="", flush=True)
    return not failed


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("uv", help="the program uv")
    parser.add_argument("--all", action="store_true", help=f"run the tests under Python {OWN}, too")
    parser.add_argument("--missing", action="store_true", help="run nothing")
    args = parser.parse_args(argv)
    others = [version for version in supported() if args.all or version != OWN]
    found = {version: interpreter(args.uv, version) for version in others}
    if OWN not in others and not args.missing:
        print(f"Python {OWN} is left out: make test runs all tests under it (--all: here, too)", flush=True)
    here = {} if args.missing else {version: python for version, python in found.items() if python}
    passed = {version: tests_pass(args.uv, version, python) for version, python in here.items()}
    failed = [version for version in passed if not passed[version]]
    for version in failed:
        print(f"FAILED: the tests without an engine under Python {version}")
    for version, python in found.items():
        if python is None:
            print(f"WARNING: nothing was tested under Python {version}, which is not installed here")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
