# Needs make and Python 3.11 or newer; all the rest is installed by the target that needs it.
#   make run         the service in the foreground, http://127.0.0.1:8081/ (CONFIG=FILE for your own)
#   make test        everything; sets up what it needs, and ends with "N passed, M failed, K skipped"
#   make test-quick  the tests without real services and clients, on all cores (seconds)
#   make check       format, lint, types
#   make unit        as test-quick, one after another; TESTS="tests.http" for some of them
#   make services    unit, and the real service; make clients: real clients of all package worlds
#   make no-clients  the tests of clients where there is none: all that needs one is skipped
#   make lowest      unit with the lowest version of each dependency that pyproject.toml allows
#   make elsewhere   unit, and some of the real service, in a Python without what Linux alone has
#   make set-up      installs the real clients (PACKAGES=no: but no Debian packages)
#   make bench       the benchmark table (ROWS="throttled hit" for some of it)
#   make clean       removes all that was made here

# The first Python that is new enough; that of macOS is not.
PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(python))) python3)
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
# Stamps: what running needs is installed, and what the tests need as well.
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
CONFIG ?=
ROWS ?=
# Real services and real clients; everything else is quick, and needs neither.
REAL := clients e2e
UNIT := $(subst /,.,$(basename $(wildcard tests/test_*.py))) $(subst /,.,$(patsubst %/__init__.py,%,\
	$(filter-out $(REAL:%=tests/%/__init__.py),$(wildcard tests/*/__init__.py))))
# How many processes test-quick has.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
TRIAL = $(BIN)/trial --temp-directory=_trial_temp_$@

.PHONY: help run test test-quick set-up clients no-clients services lowest elsewhere check unit bench clean

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

run: $(RUNS)
	$(BIN)/aimirror $(if $(CONFIG),--config $(CONFIG))

# Each target in a process of its own, those of one list one after another.
test: set-up
	$(BIN)/python tests/run.py check clients,lowest,elsewhere services,no-clients

test-quick: TESTS = $(UNIT)
test-quick: $(READY)
	$(TRIAL) --jobs=$(CORES) $(TESTS)

set-up: $(READY)
	$(BIN)/python tests/clients/install.py

clients: TESTS = tests.clients
clients: $(READY)
	$(TRIAL) $(TESTS)

# A client that is missing makes a test skip, never fail: no clients' environments, and no programs.
no-clients: TESTS = tests.clients
no-clients: $(READY)
	env AIMIRROR_TEST_CLIENTS=$(VENV)/no-clients PATH=$(VENV)/no-programs $(TRIAL) $(TESTS)

services: TESTS = $(UNIT) tests.e2e
services: $(READY)
	$(TRIAL) $(TESTS)

unit: TESTS = $(UNIT)
unit: $(READY)
	$(TRIAL) $(TESTS)

lowest: TESTS = $(UNIT)
lowest: $(READY)
	$(BIN)/python tests/lowest.py $(LOWEST) trial --temp-directory=_trial_temp_$@ $(TESTS)

elsewhere: TESTS = $(UNIT) tests.e2e.test_cache tests.e2e.test_downloads
elsewhere: $(READY)
	env PYTHONPATH=$(CURDIR)/tests/elsewhere $(TRIAL) $(TESTS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/run.py $(ROWS)

# pip by its own settings, and, where these lead to an index that is down or to the very mirror that
# is going to be started, from PyPI.
PYPI := https://pypi.org/simple
PIP = $(BIN)/python -m pip install --disable-pip-version-check --timeout 15 --retries 2
install = $(PIP) $(1) || { \
	echo "aimirror: pip's index can't be used ($$($(BIN)/python -m pip config get global.index-url 2>/dev/null \
	|| echo "$${PIP_INDEX_URL:-not set}")); once more from $(PYPI)"; \
	$(PIP) --index-url $(PYPI) $(1); }

# A stamp is newer than what was installed; a failed installation leaves none.
$(RUNS): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aimirror needs Python 3.11 or newer")'
	@echo "aimirror: installing what it needs to run into $(VENV), once"
	@$(PYTHON) -m venv $(VENV)
	@$(call install,--editable .)
	@touch $@

$(READY): pyproject.toml | $(RUNS)
	@echo "aimirror: installing what its tests need into $(VENV), once"
	@$(call install,--quiet --editable '.[test]')
	@touch $@ $(RUNS)

clean:
	rm -rf $(VENV) $(LOWEST) .venv-clients build dist _trial_temp* test-*.log .mypy_cache .ruff_cache .hypothesis *.egg-info
	find aimirror tests twisted benchmarks \( -name __pycache__ -o -name dropin.cache \) -prune -exec rm -rf {} +
