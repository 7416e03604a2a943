# Everything here works on a machine with Python 3.11 or later and the package registries; nothing is installed globally.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := requirements.txt requirements-dev.txt functions/requirements.txt policy/requirements.txt

.PHONY: help demo test quick mutants soak bench lint layer sample clean

help: ## Say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/ready ## Deploy to a local AWS, send the sample month through it and check every number (EVENTS=file, KEEP=1, PORT=n)
	@EVENTS="$(EVENTS)" KEEP="$(KEEP)" PORT="$(PORT)" $(BIN)/python -m local.demo

test: $(VENV)/ready ## Run all tests; those of the report page need Chromium
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: $(VENV)/ready ## Check what a change touches, in under a minute (SINCE=revision, default HEAD)
	@$(BIN)/python -m tools.quick $(SINCE)

mutants: $(VENV)/ready ## Change the functions' code in one place at a time and see whether a test notices (ONLY=file, SAMPLE=n)
	@$(BIN)/python -m tools.mutate $(or $(ONLY),functions) $(addprefix --sample ,$(SAMPLE))

soak: $(VENV)/ready ## Try to break it with random faults (SECONDS=300, or SCHEDULES=n from SEED=n on)
	@SECONDS="$(SECONDS)" SCHEDULES="$(SCHEDULES)" SEED="$(SEED)" $(BIN)/python -m proof.soak

bench: $(VENV)/bench ## Measure it against a plain handler and other engines, some 15 minutes (ONLY=part, QUICK=1)
	@$(BIN)/python -m bench $(addprefix --only ,$(ONLY)) $(if $(QUICK),--quick)

lint: $(VENV)/ready ## Check style, types and workflows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy examples/metrics-and-alerts/__main__.py
	@$(BIN)/zizmor --offline --quiet --persona auditor .github

layer: $(VENV)/ready ## Build the dependency layer for both architectures, needed before `pulumi up` (BYTECODE=python3.12)
	@$(BIN)/python -m bundle.layer --arch x86_64 --bytecode "$(BYTECODE)"
	@$(BIN)/python -m bundle.layer --arch arm64 --bytecode "$(BYTECODE)"

sample: $(VENV)/ready ## Make the sample month anew
	@$(BIN)/python -m functions.simulator --month tests/data/sample-month.ndjson

clean: ## Remove everything that the other targets have made
	@rm -rf .venv .venv-ministack build .hypothesis .mypy_cache .pytest_cache .ruff_cache

# functions/requirements.txt has hashes, which pip then demands of all that is installed with it: hence a call of its own.
# So has the policy pack: pulumi-policy asks for an older protobuf than the program's, and works with both.
$(VENV)/ready: $(REQUIREMENTS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), needed: Python 3.11 or later (make PYTHON=...)"; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r functions/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r policy/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/bench: $(VENV)/ready bench/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@touch $@
