# The two commands of the README: `make demo` and `make test`.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# TensorFlow has wheels for Python 3.11 to 3.13; the embedded Redis of the demo has them for 3.11 and 3.12.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
ARGS ?=

.PHONY: help install demo test check lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## make the virtual environment in which `thoraq` lives

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Thoraq needs Python 3.11, 3.12 or 3.13 with the venv module; none was found." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## run the whole product on this machine; ARGS="--once --images DIR --port N"
	$(BIN)/thoraq demo $(ARGS)

test: install ## the tests that need nothing but Python
	$(BIN)/python -m pytest -n auto $(ARGS)

check: ## everything that CI runs
	bash .ci/run

# Extras stay in the lock: without them pip asks the registry for the newest kombu[redis], and refuses it for want of a hash.
LOCK = $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
	--no-header --no-annotate --exclude-newer $$(date -u -d '7 days ago' +%Y-%m-%d)

lock: install ## lock the newest dependencies that are at least a week old
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra gpu --constraint requirements.lock --output-file requirements-gpu.lock
	$(LOCK) --extra demo --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove the virtual environment and the demo's data
	rm -rf $(VENV) .thoraq build *.egg-info
