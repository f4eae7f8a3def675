# Each target works alone on a machine that has only Python: the first one creates .venv and installs into it.

# Python 3.11 or newer.
PYTHON ?= python3
# The CPU build is enough for the demo and the tests. Set TORCH to choose your own, pip options included.
TORCH ?= torch==2.13.0
# Test processes, one thread each.
WORKERS ?= 2

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile

.PHONY: demo test test-all lint types check docs package matrix lowest clean

demo: .venv/demo.stamp  ## estimate the keypoints of two people in an image, into out/
	$(BIN)/python scripts/demo_images.py out/images
	$(BIN)/rsn predict out/images/portraits.png --flip --output out

test: .venv/dev.stamp  ## the fast tests
	$(PYTEST)

test-all: .venv/dev.stamp  ## all tests
	$(PYTEST) -m 'not gpu'

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev.stamp
	$(BIN)/mypy

check: lint types test

docs: .venv/docs.stamp  ## build the documentation site in site/; a broken link or a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

package:  ## build the wheel and the sdist, and check them in an empty environment
	PYTHON='$(PYTHON)' TORCH='$(TORCH)' scripts/check_package.sh

matrix:  ## the tests on every supported Python, and on the lowest versions of all libraries
	PYTHON='$(PYTHON)' TORCH='$(TORCH)' scripts/test_matrix.sh

lowest:  ## the fast tests on the lowest versions only; TESTS='tests/data tests/codecs' runs a part
	PYTHON='$(PYTHON)' TORCH='$(TORCH)' scripts/test_matrix.sh lowest -- $(TESTS)

clean:
	rm -rf .venv* build dist out site .pytest_cache .ruff_cache .mypy_cache src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch and the package in one pip command, so that pip resolves them together.
.venv/%.stamp: pyproject.toml | .venv/pyvenv.cfg
	$(BIN)/python -m pip install --quiet $(TORCH) -e '.[$*]'
	@touch $@

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "rsn needs Python 3.11 or newer; choose one, for example: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
