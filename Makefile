# Needs Python 3.11 or newer; everything else is installed into .venv by the first target.
#   make run      the service in the foreground, http://127.0.0.1:8081/ (CONFIG=FILE for your own)
#   make test     format, lint, types, then all tests
#   make check    format, lint, types
#   make unit     the tests without real services (seconds)
#   make clients  the tests with real clients; make services: all the others
#   make bench    the benchmark table (ROWS="throttled hit" for some of it)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CONFIG ?=
ROWS ?=
# Real services and real clients; everything else is quick, and needs neither.
REAL := clients e2e
UNIT := $(subst /,.,$(basename $(wildcard tests/test_*.py))) $(subst /,.,$(patsubst %/__init__.py,%,\
	$(filter-out $(REAL:%=tests/%/__init__.py),$(wildcard tests/*/__init__.py))))
# Each half's lines together; makes before 4.0, such as that of macOS, mix them.
APART := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
TRIAL = $(BIN)/trial --temp-directory=_trial_temp_$@

.PHONY: run test clients services check unit bench clean

run: $(READY)
	$(BIN)/aimirror $(if $(CONFIG),--config $(CONFIG))

# The clients wait for each other and for time to pass more than they work: both halves at once.
test: check
	$(MAKE) --no-print-directory --keep-going --jobs=2 $(APART) clients services

clients: $(READY)
	$(TRIAL) tests.clients

services: $(READY)
	$(TRIAL) $(UNIT) tests.e2e

unit: $(READY)
	$(TRIAL) $(UNIT)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/run.py $(ROWS)

# The stamp is newer than what was installed; a failed installation leaves none.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aimirror needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist _trial_temp* .mypy_cache .ruff_cache .hypothesis *.egg-info
	find aimirror tests twisted benchmarks \( -name __pycache__ -o -name dropin.cache \) -prune -exec rm -rf {} +
