# `make demo` and `make test` are all one needs: each makes .venv by itself, once, and again when pyproject.toml changes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test cover mutate prove bench peers lint
.DEFAULT_GOAL := test
.DELETE_ON_ERROR:

demo: $(READY)  ## papers from a local replica of PubMed, killed three times and resumed
	@$(BIN)/python examples/papers/demo.py

test: $(READY)  ## the tests, without the long counts
	@$(BIN)/python -m pytest -q -n auto --dist worksteal

# The rooms that everything rests on; the other tests have nothing to add to them. Before Python 3.12 a coroutine that is
# not traced cannot catch a cancellation while others are. Dask's own tasks do not come back under a tracer.
cover: $(READY)  ## the tests of journal/ and work/, which must reach every line and branch of both
	@$(BIN)/python -c 'import sys; sys.exit(None if sys.version_info >= (3, 12) else "coverage needs Python 3.12 or newer: make $@ VENV=.venv-3.13 PYTHON=python3.13")'
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest -q -n auto --dist worksteal \
		--ignore tests/work/test_dask.py \
		tests/contract tests/journal tests/work tests/cli tests/crash/test_postgres.py
	@$(BIN)/python -m coverage combine -q
	@$(BIN)/python -m coverage report

prove: $(READY)  ## the long counts: thousands of kills and power failures; then `cover` and `mutate`
	@$(BIN)/python -m pytest -q -n auto --dist worksteal --timeout 7200 -o faulthandler_timeout=7500 -m prove
	@$(MAKE) --no-print-directory cover
	@$(MAKE) --no-print-directory mutate

mutate: $(READY)  ## journal/ changed in small ways: nine of ten must be seen
	@$(BIN)/python tests/planted/mutate.py

bench: $(READY)  ## what recording one item costs, beside its raw cost
	@$(BIN)/python benchmarks/item.py

peers: $(READY)  ## leftoff beside seven libraries: speed, kills, an edit, a changed list, two processes
	@$(BIN)/python -m pip install --quiet --quiet --group peers
	@$(BIN)/python benchmarks/peers/compare.py

lint: $(READY)  ## style, types and the import rule
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# pip reads dependency groups from 25.1 on; a Python may bring an older one.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 10) else "leftoff needs Python 3.10 or newer and $(PYTHON) is %d.%d: name another with make PYTHON=..." % v[:2])'
	@echo "setting up $(VENV) (once; a minute or so)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --quiet --group dev --editable '.[all]'
	@touch $@
