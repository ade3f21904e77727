# What can be done here, each in one word. A fresh machine needs Python >= 3.11 and make; `make demo` and `make test`
# do all the rest by themselves, in .venv and build/ (scripts/environment.py says how).

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench dev clean

# The first Python that is new enough; asked only while there is no .venv.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && exit; \
	done; echo python3)

PY := $(CURDIR)/.venv/bin/python
ENVIRONMENT = $(if $(wildcard $(PY)),$(if $(shell $(PY) -c 'print(1)' 2>/dev/null),$(PY),$(PYTHON)),$(PYTHON)) \
	scripts/environment.py
TREE := PYTHONPATH=$(CURDIR)/src:$(CURDIR)/client

# More workers than four cost more memory than they save time here.
WORKERS := -n auto --maxprocesses 4 --dist worksteal

# Each worker is a process of its own: libraries that start a thread for every core would only wait for each other.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 POLARS_MAX_THREADS=1

# Arguments for the tool behind a task, e.g. make test ARGS="tests/stats -k psi".
ARGS ?=

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1 -- /p' $(MAKEFILE_LIST) | awk -F ' -- ' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: ## tell the story of the flights, from drift to recovery
	@$(ENVIRONMENT) wheel
	@$(PY) -m killick demo $(ARGS)

test: ## build the wheels, install them and test what was installed
	@$(ENVIRONMENT) wheel
	KILLICK_TEST_WHEEL=1 $(ONE_THREAD) $(PY) -m pytest $(WORKERS) $(ARGS)

check: ## format, lint, types, layers and the rules of the house: what CI runs
	@$(ENVIRONMENT) tools
	@status=0; \
	say() { echo "== $$*"; "$$@" || status=1; }; \
	say $(PY) -m ruff format --check --quiet . ; \
	say $(PY) -m ruff check --quiet . ; \
	say $(PY) -m mypy --no-error-summary ; \
	say env $(TREE) $(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-logo ; \
	say env $(TREE) $(PY) -m pytest tests/house --quiet -p no:xdist ; \
	exit $$status

format: ## put the code into its form and mend what can be mended
	@$(ENVIRONMENT) tools
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

bench: ## measure the budgets and the rivals (benchmarks/)
	@$(ENVIRONMENT) wheel
	$(PY) -m benchmarks $(ARGS)

dev: ## install editable, for day-to-day work
	@$(ENVIRONMENT) dev

clean: ## throw away the environment and everything built
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
