# `make help` lists the targets. README.md uses `make demo` and `make test`, CONTRIBUTING.md the others.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# TensorFlow has wheels for Python 3.11 to 3.13; the embedded Redis of the demo has them for 3.11 and 3.12.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
ARGS ?=

.PHONY: help install demo test one lint format types docs check lock audit release clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## make the virtual environment with `thoraq` and the tools

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Thoraq needs Python 3.11, 3.12 or 3.13 with the venv module; none was found." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## run the whole product on this machine; ARGS="--once --images DIR --port N"
	$(BIN)/thoraq demo $(ARGS)

test: install ## run the tests that need only Python
	$(BIN)/python -m pytest -n auto $(ARGS)

# Runs in one process, without coverage and the pytest plugin of Hypothesis, because importing those takes longer than
# most tests. Property tests do not need the plugin.
one: install ## run one folder, file or test: T=tests/unit/worker/decoding
	@test -n "$(T)" || { echo "say which tests: make one T=tests/unit/worker/decoding" >&2; exit 2; }
	$(BIN)/python -m pytest -p no:xdist -p no:xdist.looponfail -p no:pytest_cov -p no:hypothesispytest $(T) $(ARGS)

lint: install ## show what ruff and the import contracts find
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: install ## format every file, and mend what ruff can mend safely
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

types: install ## check the types
	$(BIN)/mypy

# Mermaid draws the pictures in the reader's browser. npm downloads its files, and the hash makes sure of their content.
MERMAID := 12.3.0
MERMAID_SHA256 := be0684e8d20bfc874df12c0f04927a5c482f57f2200eec54cca52a4583fd4040

build/mermaid-$(MERMAID).tgz:
	@command -v npm >/dev/null || { echo "make docs needs npm, which fetches Mermaid" >&2; exit 1; }
	mkdir -p build
	npm pack --silent --pack-destination build mermaid@$(MERMAID)
	echo "$(MERMAID_SHA256)  $@" | sha256sum --check --quiet || { rm -f $@; exit 1; }

docs/mermaid/mermaid.esm.min.mjs: build/mermaid-$(MERMAID).tgz
	mkdir -p docs/mermaid
	tar -xzf $< -C docs/mermaid --touch --strip-components=2 --wildcards --exclude='*.map' 'package/dist/mermaid.esm.min.mjs' 'package/dist/chunks/mermaid.esm.min/*.mjs'

docs: install docs/mermaid/mermaid.esm.min.mjs ## build the documentation site into build/docs; a warning is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs build/docs

check: ## run everything that CI runs
	bash .ci/run

# Extras stay in the lock: without them pip looks for the newest kombu[redis] and then rejects it, because it has no hash.
LOCK = $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
	--group build --no-header --no-annotate --exclude-newer $$(date -u -d '7 days ago' +%Y-%m-%d)

lock: install ## lock the newest dependencies that are at least a week old
	$(LOCK) --extra trainer --extra dashboard --extra hospital --output-file requirements.lock
	$(LOCK) --extra dashboard --constraint requirements.lock --output-file requirements-dashboard.lock
	$(LOCK) --extra trainer --extra dashboard --extra hospital --extra gpu --constraint requirements.lock --output-file requirements-gpu.lock
	$(LOCK) --extra demo --group dev --constraint requirements.lock --output-file requirements-dev.lock

# --strict: a package that could not be looked up is an error. PyPI's own service says of those "no known vulnerabilities".
audit: install ## look up the locked dependencies in the OSV database; an unreachable database is an error
	$(BIN)/pip-audit --vulnerability-service osv --strict --disable-pip --require-hashes --progress-spinner off \
		$(foreach lock,$(wildcard requirements*.lock),--requirement $(lock))

release: install ## check that version, changelog, images and tag agree, and say what to do next; changes nothing
	$(BIN)/python .ci/release.py

clean: ## remove the virtual environment and the demo's data
	rm -rf $(VENV) .thoraq build docs/mermaid *.egg-info
