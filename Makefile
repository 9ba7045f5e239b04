# Everything starts here: `make run` and `make test` need Python 3.11, 3.12 or 3.13 (or uv, which
# finds or fetches one) and set up the rest. Not 3.14 yet: pycddl, which the tests use, has no wheel.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done

# More arguments for the command behind a target: make test ARGS="tests/protocol -k noise"
ARGS :=

.PHONY: help setup run test lint lock clean

help:
	@echo "make setup   make $(VENV) with the hwangso command in it"
	@echo "make run     set up, then play Pohang 2017 for real: control off, then on (2 minutes)"
	@echo "make test    set up, then run the tests"
	@echo "make lint    set up, then check style, types and import contracts"
	@echo "make lock    pin the dependencies of pyproject.toml again (ARGS=--upgrade for newer ones)"
	@echo "make clean   remove $(VENV), caches and build output"

setup: $(STAMP)

run: setup
	$(BIN)/hwangso storm pohang-2017 --real --control both $(ARGS)

# worksteal: a few end-to-end tests take seconds, most take milliseconds.
test: setup
	$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:
	@command -v uv >/dev/null || { echo "error: make lock needs uv on the PATH" >&2; exit 1; }
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --quiet \
		--custom-compile-command "make lock" --output-file requirements.lock $(ARGS)

clean:
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted setup runs again; what is already installed is kept.
# _version.py counts because the installed metadata hold the version too.
SUITABLE := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'

$(STAMP): requirements.lock pyproject.toml protocol/hwangso_protocol/_version.py
	@rm -f $@
	@echo "setting up $(VENV) (once, up to a minute or two)"
	@if command -v uv >/dev/null; then $(SETUP_WITH_UV); else $(SETUP_WITH_PIP); fi
	@touch $@

define SETUP_WITH_UV
set -e; \
$(BIN)/python $(SUITABLE) 2>/dev/null || uv venv --quiet --clear --python '>=3.11,<3.14' $(VENV); \
uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock; \
uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
endef

define SETUP_WITH_PIP
set -e; \
$(BIN)/python $(SUITABLE) 2>/dev/null || { \
	python=; \
	for candidate in python3.11 python3.12 python3.13 python3; do \
		if $$candidate $(SUITABLE) 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "error: no Python 3.11, 3.12 or 3.13 on the PATH; install one, or uv" >&2; exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip' 2>/dev/null; then \
		echo "error: $$python lacks ensurepip; install it (Debian, Ubuntu: apt install python3-venv), or uv" >&2; exit 1; \
	fi; \
	$$python -m venv --clear --without-pip $(VENV); \
}; \
$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--require-hashes -r requirements.lock; \
$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--no-deps --no-build-isolation -e .
endef
