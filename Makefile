# `make demo` and `make test` do everything from a fresh clone; both install into .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN = .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export OMP_WAIT_POLICY = PASSIVE  # spinning threads cost more than they win where cores are few

.PHONY: install demo test test-real chaos lint bench clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -U pip
	$(BIN)/pip install -q torch==2.13.0  # first and pinned: anything later that asks for torch finds this one
	$(BIN)/pip install -q -c constraints.txt -e ".[pipeline,pdf,ray,train,bench,test]"
	touch $@

demo: install
	$(BIN)/python -m pipelines.commands.demo

test: install
	$(BIN)/python -m pytest -n 2

# what needs ../shared (skipped with a message where it is absent) or takes long
test-real: install
	$(BIN)/python -m pytest -m "real or slow"

# kills drivers and workers at random moments; every output must be the clean run's (docs/chaos.log)
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
