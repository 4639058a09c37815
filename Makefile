# make demo: set up and run the whole path on a small synthesised dataset.   make test: set up and run all checks.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint types tests long format clean

demo: $(VENV)/.core
	$(BIN)/harken demo

test: lint types tests

lint: $(VENV)/.dev
	$(BIN)/ruff check harken tests examples benchmarks
	$(BIN)/ruff format --check harken tests examples benchmarks

types: $(VENV)/.dev
	$(BIN)/mypy

tests: $(VENV)/.dev  # a worker a core, and so a thread a worker
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -n auto

long: $(VENV)/.dev
	$(BIN)/pytest -m long

format: $(VENV)/.dev
	$(BIN)/ruff check --fix harken tests examples benchmarks
	$(BIN)/ruff format harken tests examples benchmarks

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Harken needs Python 3.11 or later; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "Python's venv module is missing (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
