# `make demo` and `make test` work in a fresh clone. Both install into .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN = .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export OMP_WAIT_POLICY = PASSIVE  # threads that spin while they wait cost time on a machine of few cores

.PHONY: install demo test test-real chaos lint bench clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -U pip
	$(BIN)/pip install -q torch==2.13.0  # first and pinned, so that later packages that need torch use this version
	$(BIN)/pip install -q -c constraints.txt -e ".[pipeline,pdf,ray,train,bench,test]"
	touch $@

demo: install
	$(BIN)/python -m pipelines.commands.demo

test: install
	$(BIN)/python -m pytest -n 2

# tests that need ../shared (skipped with a message if it is absent) or take long
test-real: install
	$(BIN)/python -m pytest -m "real or slow"

# kills drivers and workers at random moments; every output must equal that of a run without kills (docs/chaos.log)
chaos: install
	$(BIN)/python -m tests.chaos --on local
	$(BIN)/python -m tests.chaos --on ray
	$(BIN)/python -m tests.chaos --sample --drivers 10 --workers 10

lint: install
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

clean:
	rm -rf .venv runs
