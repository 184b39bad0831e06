# Everything a person or CI runs. `make demo` is the whole way from a fresh clone to a recall.
#
# PYTHON       the interpreter for the virtual environment: python3.11 or newer
# TORCH_INDEX  package index of the small CPU build of torch, e.g. https://download.pytorch.org/whl/cpu
# LLAMA_INDEX  package index of a prebuilt llama-cpp-python, where one exists for your system
PYTHON ?= python3
TORCH_INDEX ?=
LLAMA_INDEX ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --quiet --progress-bar off
PACKAGES := store/penchant_store ranker/penchant_ranker daemon/penchant_daemon mcp_server/penchant_mcp_server

# llama-cpp-python is compiled where no wheel is found: text models only, one job per core of a small machine.
export CMAKE_BUILD_PARALLEL_LEVEL ?= 2
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# More BLAS threads than one make a search of ours slower on a busy machine (24 ms for 0.7).
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
# Compiled once and not by each of the many processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test check lint types bench soak clean
.DEFAULT_GOAL := install

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penchant needs Python 3.11 or newer, this is %d.%d: make PYTHON=/path/to/python3.12 %s" % (*sys.version_info[:2], "$(MAKECMDGOALS)"))'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing the environment; where llama-cpp-python has no wheel it is compiled, which takes 5 to 10 minutes on 2 cores."
	$(PIP_INSTALL) -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(PIP_INSTALL) -c constraints.txt $(if $(LLAMA_INDEX),--extra-index-url $(LLAMA_INDEX)) -e '.[dev]'
	@touch $@

demo: install
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" bash examples/demo.sh

# Two at a time; the tests of one file stay together, because they share a daemon.
test: install
	$(PY) -m pytest -q -n 2 --dist loadfile

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: install
	$(VENV)/bin/mypy $(PACKAGES) tests benchmarks

# Import direction, the wheel's contents and the promises of README and docs are tests too (tests/test_house*.py).
# Tests come last, so that the output closes with pytest's own summary.
check: lint types test

bench: install
	$(PY) -m benchmarks.run_all

soak: install
	$(PY) -m benchmarks.soak

clean:
	rm -rf .demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find store ranker daemon mcp_server tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
