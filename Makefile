# Two commands for a newcomer: `make demo` and `make test`. Everything is installed into .venv from the two lock files.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One core per process: the work is spread over processes, not over threads inside a library.
export OMP_NUM_THREADS ?= 1
# Many images forbid bytecode: every process would then compile Dagster again, five seconds each.
export PYTHONDONTWRITEBYTECODE =
# One more than cores: tests of daemons and servers wait most of their time.
TESTERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.PHONY: help install demo dev test lint docs validation versions screenshot clean

help:
	@echo "make demo   make the synthetic study in data/demo and run everything on it"
	@echo "make dev    open the demo study in the Dagster UI on http://127.0.0.1:3000"
	@echo "make test   run all tests"
	@echo "make lint   formatting, lint, types, import contracts"
	@echo "make docs   write the generated pages of docs/ again"
	@echo "make validation   compare with R, PyRadiomics and phantoms again, and write docs/validation.md"
	@echo "make screenshot   take the README's picture again, of the demo study in the UI; needs Chromium"
	@echo "make versions   lock the code behind each asset, after its code_version was bumped where values change"

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock requirements-as-is.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements-as-is.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation -e .
	touch $@

demo: install
	$(BIN)/paraspinal demo data/demo

dev: install
	$(BIN)/paraspinal ui data/demo

test: install
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install
	$(BIN)/python -c "from pathlib import Path; from paraspinal_assets.study.pages import write_pages; write_pages(Path('docs'))"

validation: install
	$(BIN)/python -m paraspinal_assets_tests.validation.page

screenshot: install
	$(BIN)/python -m paraspinal_assets_tests.browser.screenshot data/demo docs/images/asset-graph.png

versions: install
	$(BIN)/python -m paraspinal_assets_tests.defs.code_versions

clean:
	rm -rf $(VENV)
