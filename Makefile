# make run   serve the dashboard at http://127.0.0.1:8501 (PORT=... for another port)
# make test  lint, type-check and run the whole test suite
# make fuzz  try 50,000 odd inputs; the suite tries 2,000
# make test-nightly  the tests that take too long for each commit
# make docs  build the documentation into site/, strictly (make docs-serve: as you write)
# make verify-exports  each export read by its library, in environments of their own (ONLY=nncf,nni)
# All create .venv and install the pinned packages first.

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8501
# Tests share the cores: waiting threads should sleep, not spin.
export OMP_WAIT_POLICY = passive
# Each process that a test starts would compile the packages anew.
export PYTHONDONTWRITEBYTECODE =
BIN := $(VENV)/bin

.PHONY: run test compiled lint format fuzz test-nightly docs docs-serve verify-exports clean

run: $(VENV)/.run
	$(BIN)/prunescope serve --port $(PORT)

test: compiled lint
	$(BIN)/python -m pytest -n auto --dist loadfile

# Once for all workers of the tests, on another core than the check of types.
compiled: $(VENV)/.test
	$(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1 &

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: $(VENV)/.test
	FUZZ_INPUTS=50000 $(BIN)/python -m pytest tests/test_fuzz.py -n auto

test-nightly: $(VENV)/.test
	$(BIN)/python -m pytest -m nightly -n auto --dist loadfile

docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

docs-serve: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

verify-exports: $(VENV)/.test
	$(BIN)/python -m analysis.interop.verification.everywhere docs/exports.md $(if $(ONLY),--only $(ONLY))

clean:
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "PruneScope needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.run
