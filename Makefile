# The first command of a newcomer: `make demo`. Everything else: `make help`.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test check fix bench docs systems clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

# The stamp is newer than what decides the environment, so an unchanged project installs in no time.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

install: .venv/installed  ## .venv with the project and its tools, from pinned versions

demo: install  ## compare a VAE, a flow, a GAN and baselines on scanned digits (under 4 minutes)
	$(BIN)/thalweg compare vae real-nvp wgan --data digits --minutes 0.8 --out runs/demo --overwrite

test: install  ## run all tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: install  ## format, lint, types, layout
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layout.py

fix: install  ## format, and fix what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install  ## measure speed as ratios within one run; results in benchmarks/speed/results
	$(BIN)/python benchmarks/speed/run.py

docs: install  ## the documentation, into docs/_build/html
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

systems: install  ## the systems of the course, their modules and the number of tests for each
	$(BIN)/python tests/course/table.py

clean:  ## remove .venv, builds and caches
	rm -rf .venv docs/_build build dist .pytest_cache .mypy_cache .ruff_cache
