# make demo: the main job on the embedded model, from nothing. make test: all tests. make check: what CI runs.
# Each target gets what it needs first, on a machine that has Python and nothing else.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
RESULTS ?= results

# Where pip is told of a folder of wheels (with torch's CPU build), uv is told too; elsewhere torch's own index
# serves the CPU build.
WHEELS := $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
TORCH := $(if $(WHEELS),,--torch-backend=cpu)
export UV_FIND_LINKS := $(WHEELS)

# Which versions of Python are supported stands in pyproject.toml alone.
define SUPPORTED_PYTHON
import re, sys
first, beyond = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', open("pyproject.toml").read()).groups()
if not (3, int(first)) <= sys.version_info[:2] < (3, int(beyond)):
    sys.exit("Python 3.%s to 3.%d is needed, this is %s: make PYTHON=python3.%s ..." % (first, int(beyond) - 1, sys.version.split()[0], first))
endef
export SUPPORTED_PYTHON

.PHONY: setup demo pipeline-demo browser test bench-smoke versions lint types check lock format

setup: $(VENV)/.cpu

$(UV):
	@$(PYTHON) -c "$$SUPPORTED_PYTHON"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet uv==0.13.9

$(VENV)/.cpu: requirements/cpu.lock | $(UV)
	$(UV) pip install --quiet --compile-bytecode --python $(PY) --no-deps $(TORCH) -r requirements/cpu.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.cpu requirements/dev.txt requirements/ray.txt
	$(UV) pip install --quiet --compile-bytecode --python $(PY) -r requirements/dev.txt -r requirements/ray.txt
	@touch $@

demo: setup
	$(PY) inference_and_check.py --dataset Warmup --model embedded --temperatures 0.7 --n 4 --max-tokens 48 --stop "Question:" \
	    --result-dir $(RESULTS)

pipeline-demo: setup
	bash recipes/pipeline_demo.sh $(PY) $(RESULTS)/pipeline-demo

# Reports are tested in a real browser. Without one those tests are skipped, and pytest's last line says so.
browser:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing chromium and chromium-driver with apt-get: tests look at reports in a browser"; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    { apt-get update -qq && apt-get install -qq -y chromium chromium-driver; } >/dev/null || \
	        echo "apt-get failed: the browser tests will be skipped"; \
	fi

test: $(VENV)/.dev browser
	$(PY) -m pytest -q $(TESTS)

# Every benchmark at its smallest size: whether it runs, not how fast. Part of the tests, too.
bench-smoke: $(VENV)/.dev
	$(PY) -m pytest -q tests/test_benchmarks.py

# The tests that need no engine, without torch, vLLM and Ray, under each supported Python that is here; not under
# that of $(VENV), under which `make test` runs them all.
versions: $(VENV)/.dev browser
	$(PY) tests/versions.py $(UV)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.dev
	$(VENV)/bin/mypy

# The versions of Python one beside the other: tests often wait.
check: lint types
	@$(MAKE) --keep-going --jobs=2 versions test
	@$(PY) tests/versions.py $(UV) --missing

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lock: | $(UV)
	$(UV) pip compile --quiet --python-version 3.11 --excludes requirements/excludes.txt --no-annotate --no-header \
	    --custom-compile-command "make lock" requirements/core.txt requirements/cpu.in -o requirements/cpu.lock
