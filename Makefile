# The commands that always hold. Each sets up what it needs in .venv from the lock file.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 500
SECONDS_EACH ?= 120
WHOLE_SEEDS ?= 40
WHOLE_SECONDS ?= 60
AGAIN ?= 20
JOBS ?= 0
CHAOS_SECONDS ?= 120
MESSAGES ?= 2000
# A node starts in half the time when its modules need not be compiled again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test check bench sim damage fuzz chaos growth mutants browser clients lock clean
run: $(VENV)/.ready
	@$(BIN)/trireme up -c cluster.toml

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready-dev
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.proposals
	$(BIN)/python -m tests.bench.failover

sim: $(VENV)/.ready-dev
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --seconds $(SECONDS_EACH) \
		--whole-seeds $(WHOLE_SEEDS) --whole-seconds $(WHOLE_SECONDS) --again $(AGAIN) --jobs $(JOBS)

damage: $(VENV)/.ready-dev
	DAMAGE_SHARE=1 $(BIN)/python -m pytest -n 2 --timeout 1800 tests/raft/test_damage.py

fuzz: $(VENV)/.ready-dev
	$(BIN)/python -m fuzz parsers
	$(BIN)/python -m fuzz jmap

chaos: $(VENV)/.ready-dev
	$(BIN)/python -m fuzz cluster --seconds $(CHAOS_SECONDS)

growth: $(VENV)/.ready-dev
	$(BIN)/python -m tests.e2e.growth

mutants: $(VENV)/.ready-dev
	$(BIN)/python -m fuzz.mutants --report fuzz/MUTANTS.md

browser: $(VENV)/.ready-dev
	BROWSER=1 $(BIN)/python -m pytest -rs tests/e2e/test_browser.py

clients: $(VENV)/.ready-dev
	$(BIN)/python -m tests.clients --messages $(MESSAGES)

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header
lock: $(VENV)/.ready-dev
	$(COMPILE) --group build pyproject.toml -o requirements.lock
	$(COMPILE) --group build --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) var

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Trireme needs Python 3.11 or newer: install it, or name it with make PYTHON=/path/to/python3."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python cannot make a virtual environment here: on Debian run 'apt-get install python3-venv'."; exit 1; }

$(VENV)/.ready: $(BIN)/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
