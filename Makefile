# What people type. Each target makes the virtual environment by itself; nothing is installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed
TEST_WORKERS ?= 2
TESTS ?= tests
SERVICES := api ocpp_gateway simulator standalone

.PHONY: help run test check lock format clean
.DEFAULT_GOAL := help

help:
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Voltuj needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Making the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

$(RUN_STAMP): standalone/requirements.txt | $(VENV)/bin/python
	@echo "Installing hash-locked requirements (once)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r standalone/requirements.txt
	@touch $@

$(DEV_STAMP): requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing hash-locked requirements for development (once)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@ $(RUN_STAMP)

run: $(RUN_STAMP) ## start everything on this machine, with a demo (ARGS=--help for options)
	@exec $(BIN)/python -m standalone $(ARGS)

test: $(DEV_STAMP) ## every test that needs no Docker
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) $(TESTS)

check: $(DEV_STAMP) ## format, lint, types, import contracts, migrations against the schema
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m standalone.check_migrations

format: $(DEV_STAMP) ## put the code into its format
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

lock: $(DEV_STAMP) ## resolve the requirements again (all files from one resolution)
	@$(BIN)/python -m standalone.lock $(SERVICES)

clean: ## remove the virtual environment and caches; data in .voltuj stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
