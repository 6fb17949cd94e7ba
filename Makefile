# The few targets a person needs. Each sets up all that it needs; only Python 3.11+ and g++ must be there.
#   make quick            the main job: four backends, three data sets, a report
#   make quick-distributed   two backends on a small Spark cluster and on one machine, a report
#   make test             style, types, layering, docs, tests with real frameworks: each thing once
#   make test-all         the same with every crossing of frameworks, releases and settings
#   make test-fast        without frameworks, downloads, a browser, starts of the program, whole reports
#   make results          reports and tables under results/, outputs and the picture in README and docs, as of today
#   make docs             README and docs as a site in build/docs, which is read without network
#   make bench-NAME       one figure, its goal on the last line, non-zero exit where missed
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Twice --quiet: errors in full, and no warnings about settings of pip that are not ours to mend.

.PHONY: quick quick-distributed test test-all test-fast packages environments lint format lock results docs clean
quick: $(VENV)/.installed
	$(BIN)/bakeoff run quick

quick-distributed: $(VENV)/.installed
	$(BIN)/bakeoff run quick-distributed

# Slow files start first (tests/conftest.py), each on one of two workers.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
SLURM := slurmctld slurmd slurm-client munge
ENVIRONMENTS := tensorflow jax torch theano tensorflow_spark theano_spark vintage vintage_spark java

# Documents and fast tests are made while packages and environments are downloaded, which takes little of a processor.
test: $(VENV)/.installed-all
	$(MAKE) --jobs 2 environments docs test-fast
	$(PYTEST) -m "slow and not exhaustive"
	@echo "make test-all last passed: $$(cat tests/last-full-pass.txt)"

test-all: $(VENV)/.installed-all
	$(MAKE) --jobs 2 environments docs test-fast
	$(PYTEST) -m "slow or exhaustive"
	echo "$$(date -u +%F), of $$(git describe --always --dirty)" > tests/last-full-pass.txt

test-fast: $(VENV)/.installed-test lint
	$(PYTEST) -m "not slow and not exhaustive"

packages:
	scripts/system-packages chromium g++ python3-dev npm $(SLURM)

# Made on demand otherwise. Tests say what is amiss with one.
environments: $(VENV)/.installed packages
	@$(BIN)/bakeoff env create $(ENVIRONMENTS) >/dev/null 2>&1 || true

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.installed
	$(BIN)/python scripts/lock.py

results: $(VENV)/.installed
	$(BIN)/python scripts/results.py
	$(BIN)/python scripts/examples.py
	$(BIN)/python scripts/picture.py

docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -c docs . build/docs

bench-%: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.$(subst -,_,$*)

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# One call of pip for what `make test` needs, where nothing is there yet: each looks through the whole index.
$(VENV)/.installed-all: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --quiet --editable '.[test,docs]'
	@touch $(VENV)/.installed $(VENV)/.installed-test $(VENV)/.installed-docs $@

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --quiet --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --quiet --editable '.[test]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --quiet --editable '.[docs]'
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1), expected 3.11 or newer"; \
		  echo "hint: name another interpreter: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
