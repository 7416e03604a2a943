# Everything here works on a machine with Python 3.11 or later and the package registries; nothing is installed globally.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := requirements.txt requirements-dev.txt functions/requirements.txt

.PHONY: help demo test soak lint layer sample clean

help: ## Say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/ready ## Deploy to a local AWS, send the sample month through it and check every number (EVENTS=file, KEEP=1, PORT=n)
	@EVENTS="$(EVENTS)" KEEP="$(KEEP)" PORT="$(PORT)" $(BIN)/python -m local.demo

test: $(VENV)/ready ## Run all tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile

soak: $(VENV)/ready ## Try to break it with random faults (SECONDS=300, or SCHEDULES=n from SEED=n on)
	@SECONDS="$(SECONDS)" SCHEDULES="$(SCHEDULES)" SEED="$(SEED)" $(BIN)/python -m local.soak

lint: $(VENV)/ready ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

layer: $(VENV)/ready ## Build the dependency layer for both architectures (needed before `pulumi up`)
	@$(BIN)/python -m bundle.layer --arch x86_64
	@$(BIN)/python -m bundle.layer --arch arm64

sample: $(VENV)/ready ## Make the sample month anew
	@$(BIN)/python -m functions.simulator --month tests/data/sample-month.ndjson

clean: ## Remove everything that the other targets have made
	@rm -rf .venv .venv-ministack build .hypothesis .mypy_cache .pytest_cache .ruff_cache

# functions/requirements.txt has hashes, which pip then demands of all that is installed with it: hence two calls.
$(VENV)/ready: $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), needed: Python 3.11 or later (make PYTHON=...)"; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r functions/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	@touch $@
