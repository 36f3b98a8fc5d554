# Every target installs what it needs, on a machine that has Python 3.11 or newer, make and git.
.DEFAULT_GOAL := help
.PHONY: help install demo dev test quick programs screenshots soak fuzz lint sbom bench night migration lock clean

# Hundreds of programs are started here, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
BENCH_INSTALLED := .venv-bench/.installed

help: ## show the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

install: $(INSTALLED) ## make the environment in .venv

# pip's own progress is noise, its errors are not.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Name another: make install PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "This Python cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing into .venv (about a minute)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $(INSTALLED)

demo: $(INSTALLED) ## sync invented companies into PostgreSQL, and verify
	@$(BIN)/billingo-assets demo

dev: $(INSTALLED) ## the Dagster UI and its daemon on the same data
	@$(BIN)/billingo-assets dev

test: $(INSTALLED) programs ## all tests
	$(TESTS)

quick: $(INSTALLED) ## unit, engine and warehouse tests: about three minutes on two cores
	$(TESTS) -m 'not slow'

TESTS = $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadscope --no-loadscope-reorder

# One more than there are cores: half of a test's time is waiting for real servers.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# Without one, the tests of the UI fail and say what to do; the others need none.
programs: $(INSTALLED)
	-@$(BIN)/python -m billingo_assets_tests.support.programs

screenshots: $(INSTALLED) programs ## take new pictures of the UI for the docs
	$(BIN)/python -m pytest --screenshots billingo_assets_tests/ui

soak: $(INSTALLED) ## the fault suite at full size: ten times the random histories, and more of all else
	$(BIN)/python -m pytest --soak billingo_assets_tests/sync

fuzz: $(INSTALLED) ## 100,000 random documents, bodies and command lines; INPUTS=1000000: more
	$(BIN)/python -m pytest -q --fuzz $(or $(INPUTS),100000) billingo_assets_tests/fuzz billingo_assets_tests/cli/test_any_arguments.py

lint: $(INSTALLED) ## format, style, types, imports, words, secrets, known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@mkdir -p build/dagster && echo 'telemetry: {enabled: false}' > build/dagster/dagster.yaml
	@DAGSTER_HOME=$(CURDIR)/build/dagster $(BIN)/dg check defs
	@git ls-files -z '*.md' 'billingo_assets/*.py' Makefile deploy dagster.yaml workspace.yaml .env.example \
	  ':!billingo_assets/warehouse/migrations/versions' | xargs -0 $(BIN)/python -m tools.check_words
	@git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --disable-plugin KeywordDetector \
	  --exclude-secrets '$(INVENTED)' --exclude-files '(^|/)requirements\.lock$$'
	@$(BIN)/python -m tools.audit requirements.lock

# Passwords of examples and tests.
INVENTED := ^(password|word|s3cret|hunter2|first|\{SECRET\}.*)$$

sbom: $(INSTALLED) ## list every part and its licence: build/sbom.json (CycloneDX)
	@mkdir -p build
	@$(BIN)/python -m cyclonedx_py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible \
	  --output-format JSON --output-file build/sbom.json
	@echo "build/sbom.json"

bench: $(INSTALLED) $(BENCH_INSTALLED) ## measure against dlt and two bare scripts; QUICK=1: only see that it works
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

night: $(INSTALLED) ## a night in fast motion: 200 companies on one tick, one fails, alert, repair
	@$(BIN)/python -m benchmarks.night

# What is measured against has an environment of its own, so that its dependencies do not decide ours.
$(BENCH_INSTALLED): benchmarks/requirements.lock
	@$(PYTHON) -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r $<
	@touch $(BENCH_INSTALLED)

# NAME says what it does, in lower case with underscores.
migration: $(INSTALLED) ## write the migration to what the tables declare: NAME=what_it_does
	@$(BIN)/python -m tools.make_migration $(NAME)

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
  --custom-compile-command "make lock"

lock: $(INSTALLED) ## resolve the locks from pyproject.toml and benchmarks/requirements.in
	$(BIN)/$(COMPILE) --group dev --output-file requirements.lock pyproject.toml
	$(BIN)/$(COMPILE) --output-file benchmarks/requirements.lock benchmarks/requirements.in

clean: ## remove the environment and caches; the data in .billingo stays
	rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis
