# What people type. Each target makes the virtual environment by itself; nothing is installed by hand.
PYTHON ?= $(or $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed
PIP_LOG := $(VENV)/pip.log
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes
TEST_WORKERS ?= 2
TESTS ?= tests
SERVICES := api ocpp_gateway simulator standalone deploy/dev

.PHONY: help run test conformance fuzz faults overload simulate walk schemathesis mutation deploy-test bench bench-rest \
	bench-streams bench-scale bench-tunnels check audit sbom lock format clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Voltuj needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1). Name another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Making the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || \
		{ rm -rf $(VENV); echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(RUN_STAMP): standalone/requirements.txt | $(VENV)/bin/python
	@echo "Installing what Voltuj needs into $(VENV) (once)"
	@$(PIP) -r standalone/requirements.txt >$(PIP_LOG) 2>&1 || $(call pip_failed)
	@touch $@

$(DEV_STAMP): requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing what development needs into $(VENV) (once)"
	@$(PIP) -r requirements-dev.txt >$(PIP_LOG) 2>&1 || $(call pip_failed)
	@touch $@ $(RUN_STAMP)

pip_failed = { tail -n 5 $(PIP_LOG); echo "Installing failed; all of it is in $(PIP_LOG). Try again with: make $(MAKECMDGOALS)"; exit 1; }

run: $(RUN_STAMP) ## start everything on this machine, with a demo (ARGS=--help shows options)
	@exec $(BIN)/python -m standalone $(ARGS)

test: $(DEV_STAMP) ## every test that needs no Docker (TESTS=tests/unit runs a part)
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) $(TESTS)

conformance: $(DEV_STAMP) ## the OCPP certification cases; prints their table and writes docs/conformance.md
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) -q --no-summary tests/conformance --conformance docs/conformance.md

fuzz: $(DEV_STAMP) ## throw frames at a gateway process (COUNT=1000000 SEED=1)
	@$(BIN)/python -m tests.fuzz --count $(or $(COUNT),100000) --seed $(or $(SEED),1)

faults: $(DEV_STAMP) ## break the stack while a fleet charges, then check that nothing is lost (SESSIONS=10000 SEED=1)
	@$(BIN)/python -m tests.faults.campaign --sessions $(or $(SESSIONS),1000) --seed $(or $(SEED),1) $(ARGS)

overload: $(DEV_STAMP) ## ten times as many talk as there are slots; bounds, order, recovery (SECONDS=20 SEED=1)
	@$(BIN)/python -m tests.overload --seconds $(or $(SECONDS),20) --seed $(or $(SEED),1) $(ARGS)

schemathesis: $(DEV_STAMP) ## ask every operation of the REST API as owner, guest and operator (EXAMPLES=50 SEED=1)
	@$(BIN)/python -m tests.openapi --examples $(or $(EXAMPLES),50) $(if $(SEED),--seed $(SEED))

simulate: $(DEV_STAMP) ## the pure rooms on a fake clock and network, step by step (STEPS=1000000 SEED=1)
	@SIMULATION_STEPS=$(or $(STEPS),1000000) SIMULATION_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q tests/simulation

walk: $(DEV_STAMP) ## owners, guests, wallboxes and banks at random, held against a plain model (WALKS=500 SEED=1)
	@WALKS=$(or $(WALKS),500) SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q tests/integration/walk

mutation: $(DEV_STAMP) ## break the money code in every small way; at least 90 % must be noticed
	@$(BIN)/python -m tests.mutation $(TEST_WORKERS)

deploy-test: $(DEV_STAMP) ## the production and development stacks by docker compose (ARGS="-m 'not slow'" for the short form)
	@docker info >/dev/null 2>&1 || { echo "make deploy-test needs a Docker engine that this user may use; 'docker info' says why it does not answer."; exit 1; }
	@$(BIN)/python -m pytest --confcutdir tests/deploy tests/deploy $(ARGS)

bench: $(DEV_STAMP) ## speed beside three anchors (QUICK=1 takes two minutes; ARGS=--help shows options)
	@exec $(BIN)/python -m bench $(if $(QUICK),--quick) $(ARGS)

bench-rest: $(DEV_STAMP) ## lists, search, statements and exports over many sessions (SESSIONS=100000 SAMPLES=2000000)
	@exec $(BIN)/python -m bench.rest --sessions $(or $(SESSIONS),100000) --samples $(or $(SAMPLES),2000000) $(ARGS)

bench-streams: $(DEV_STAMP) ## one event to many event streams of one process (STREAMS=5000)
	@exec $(BIN)/python -m bench.streams --streams $(or $(STREAMS),5000) $(ARGS)

bench-scale: $(DEV_STAMP) ## two gateways and listeners beside one, and what 10,000 to 1,000,000 wallboxes need
	@exec $(BIN)/python -m bench.scale $(ARGS)

bench-tunnels: $(DEV_STAMP) ## what a wallbox's tunnel through Apache costs, by docker compose (COUNT=10000)
	@exec $(BIN)/python -m bench.tunnels --count $(or $(COUNT),5000) $(ARGS)

check: $(DEV_STAMP) ## format, lint, types, import contracts, migrations against the schema and for locks
	@$(BIN)/ruff format --check . || { echo "make format does it."; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m standalone.check_migrations
	@$(BIN)/python -m standalone.lint_migrations

format: $(DEV_STAMP) ## put the code into its format
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

audit: $(DEV_STAMP) ## known vulnerabilities in what the services are locked to
	@$(BIN)/python -m standalone.audit $(SERVICES:%=%/requirements.txt)

sbom: $(DEV_STAMP) ## a CycloneDX list of what each service consists of, in sbom/
	@mkdir -p sbom
	@for service in api ocpp_gateway; do \
		$(BIN)/cyclonedx-py requirements $$service/requirements.txt --pyproject pyproject.toml --short-PURLs \
			--output-reproducible --of JSON -o sbom/$$service.cdx.json && echo "sbom/$$service.cdx.json"; done

lock: $(DEV_STAMP) ## resolve the requirements again (all files from one resolution)
	@$(BIN)/python -m standalone.lock $(SERVICES)

clean: ## remove the virtual environment and caches; data in .voltuj stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache mutants mutants.log
