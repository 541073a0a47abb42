# make demo: the main job on the embedded model, from nothing. make test: all tests. make check: what CI runs.
# Each target gets what it needs first, on a machine that has Python and nothing else: the official vLLM where
# nvidia-smi lists a GPU, vLLM's CPU build elsewhere. Machines that share this folder keep them apart.
PYTHON ?= python3
ENGINE := $(if $(shell timeout 60 nvidia-smi --list-gpus 2>/dev/null | grep '^GPU '),gpu,cpu)
VENV ?= .venv$(if $(filter gpu,$(ENGINE)),-gpu)
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
RESULTS ?= results

# Where pip is told of a folder of wheels (with torch's CPU build), uv is told too; elsewhere torch's own index
# serves the CPU build. The official vLLM is made for that of the main index.
WHEELS := $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
TORCH_cpu := $(if $(WHEELS),,--torch-backend=cpu)
export UV_FIND_LINKS := $(WHEELS)
WHEELS_gpu := UV_FIND_LINKS=
OTHER := $(VENV)/.$(if $(filter gpu,$(ENGINE)),cpu,gpu)

# Which versions of Python are supported stands in pyproject.toml alone.
define SUPPORTED_PYTHON
import re, sys
first, beyond = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', open("pyproject.toml").read()).groups()
if not (3, int(first)) <= sys.version_info[:2] < (3, int(beyond)):
    sys.exit("Python 3.%s to 3.%d is needed, this is %s: make PYTHON=python3.%s ..." % (first, int(beyond) - 1, sys.version.split()[0], first))
endef
export SUPPORTED_PYTHON

.PHONY: setup demo pipeline-demo browser test test-engine test-others bench-smoke versions campaign lint types check lock format

setup: $(VENV)/.$(ENGINE)

$(UV):
	@$(PYTHON) -c "$$SUPPORTED_PYTHON"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet uv==0.13.9

$(VENV)/.$(ENGINE): requirements/$(ENGINE).lock requirements/page.txt | $(UV)
	@if [ -e $(OTHER) ]; then echo "$(VENV) holds vLLM for another kind of machine: make VENV=FOLDER ..." >&2; exit 1; fi
	$(WHEELS_$(ENGINE)) $(UV) pip install --quiet --compile-bytecode --python $(PY) --no-deps $(TORCH_$(ENGINE)) \
	    -r requirements/$(ENGINE).lock -r requirements/page.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.$(ENGINE) requirements/dev.txt requirements/ray.txt
	$(UV) pip install --quiet --compile-bytecode --python $(PY) -r requirements/dev.txt -r requirements/ray.txt
	@touch $@

demo: setup
	$(PY) inference_and_check.py --dataset Warmup --model embedded --temperatures 0.7 --n 4 --max-tokens 48 --stop "Question:" \
	    --result-dir $(RESULTS)
	$(PY) report.py $(RESULTS) -o report.html
	@echo "Open $(abspath report.html) in a browser."

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

# Its two halves, which `make check` runs beside each other: those with an engine, and the others.
test-engine test-others: $(VENV)/.dev browser
	$(PY) -m pytest -q -m "$(if $(filter test-engine,$@),engine,not engine)"

# Every benchmark at its smallest size: whether it runs, not how fast. Part of the tests, too.
bench-smoke: $(VENV)/.dev
	$(PY) -m pytest -q tests/test_benchmarks.py

# The tests that need no engine, without torch, vLLM and Ray, under each supported Python that is here; not under
# that of $(VENV), under which `make test` runs them all.
versions: $(VENV)/.dev browser
	$(PY) tests/versions.py $(UV)

# Fifty kills at random moments over all steps, and faults of all kinds at batches; the tests do a tenth of it.
campaign: $(VENV)/.dev
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PY) tests/power.py "$$folder/power" 500
	BATCH_SEEDS=100 $(PY) -m pytest -q tests/test_batches.py
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PY) tests/kill_campaign.py "$$folder" 50 && mkdir "$$folder/shards" && \
	$(PY) tests/shard_campaign.py "$$folder/shards" 50 0 --grade

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.dev
	$(VENV)/bin/mypy

# All tests as three rows beside each other: tests often wait.
check: lint types
	@$(MAKE) --keep-going --jobs=3 versions test-engine test-others
	@$(PY) tests/versions.py $(UV) --missing

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

COMPILE := $(UV) pip compile --quiet --python-version 3.11 --no-annotate --no-header --excludes requirements/excludes.txt
EVERYWHERE := requirements/core.txt requirements/embedded.txt

lock: | $(UV)
	$(COMPILE) --excludes requirements/excludes-cpu.txt $(EVERYWHERE) requirements/cpu.in -o requirements/cpu.lock
	$(WHEELS_gpu) $(COMPILE) --python-platform x86_64-manylinux_2_28 $(EVERYWHERE) requirements/gpu.txt -o requirements/gpu.lock
