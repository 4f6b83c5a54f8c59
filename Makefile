# Every target does its own set-up: a virtual environment in .venv, made once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What a user needs, and what developers add, in one environment.
BASE := $(VENV)/.base
DEV := $(VENV)/.dev
DOCS := $(VENV)/.docs
# Overrides for train and bench, for example: make train ARGS="model=gan data=fashion_mnist"
ARGS ?=
RUN ?= outputs/latest

.DEFAULT_GOAL := help
.PHONY: help install train sweep evaluate generate bench lint test test-full docs clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(BASE)  ## create .venv and install ganforge

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ganforge needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(BASE): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $(BASE) $@

$(DOCS): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	@touch $(BASE) $@

train: $(BASE)  ## train a DCGAN on drawn faces (ARGS="..." trains something else)
	@$(BIN)/ganforge train $(or $(ARGS),experiment=quickstart)

sweep: $(BASE)  ## sweep over losses and seeds (ARGS="..." another one, resume_sweep=... goes on)
	@$(BIN)/ganforge train $(if $(findstring sweep=,$(ARGS)),,-m) $(or $(ARGS),experiment=quickstart loss=hinge,non_saturating seed=1,2)

evaluate: $(BASE)  ## score the newest run (RUN=outputs/... another one)
	@$(BIN)/ganforge evaluate run=$(RUN) $(ARGS)

generate: $(BASE)  ## draw pictures with the newest run (RUN=outputs/... another one)
	@$(BIN)/ganforge generate run=$(RUN) $(ARGS)

bench: $(DEV)  ## measure speed beside plain programs (ARGS="case=dcgan32" for one)
	@$(BIN)/python -m benchmarks $(ARGS)

lint: $(DEV)  ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

# A process a core, each with one thread; a file stays with one process, for what its tests share.
test: $(DEV)  ## run the fast tests (under 10 minutes on 2 cores)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile $(ARGS)

test-full: $(DEV)  ## run all tests, trainings of minutes included
	@$(BIN)/python -m pytest -m "not gpu" --timeout=3600 $(ARGS)

docs: $(DOCS)  ## build the documentation as a site in site/, every link checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

clean:  ## remove caches and build results (never outputs/ or .venv)
	rm -rf build dist site .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
