# netspec in two commands: `make demo` and `make test`. Both work from a bare clone with Python 3.11 or newer.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(BIN)/python -m
PIP    := $(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt
OUT    := build/alexnet
PHOTO  ?= $(shell ls $(VENV)/lib/python3*/site-packages/sklearn/datasets/images/china.jpg)

# A stamp file for each set of extras. A set is installed again only when its versions change.
DEMO := $(VENV)/.demo-is-installed
DEV  := $(VENV)/.dev-is-installed
BENCH := $(VENV)/.bench-is-installed
PEERS := $(VENV)/.peers-are-installed
ROWS ?= # words that select the rows to measure or the models to compare; all if empty

.DEFAULT_GOAL := help
.PHONY: help demo test peers peers-keep bench bench-keep clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(DEMO) ## Build AlexNet for PyTorch, Keras and ONNX, run it on a photograph in all three, and prove them equal
	$(BIN)/netspec build specs/alexnet.yaml --backend all --out $(OUT)
	$(BIN)/netspec run $(OUT)/onnx/alexnet.onnx "$(PHOTO)"
	$(BIN)/netspec run specs/alexnet.yaml "$(PHOTO)" --weights $(OUT)/alexnet.safetensors
	$(BIN)/netspec verify specs/alexnet.yaml

test: $(DEV) ## Lint, check types and imports, and run all tests
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(RUN) pytest -n 2 --dist worksteal # waiting OpenMP threads spin: two per worker take ten times as long

peers: $(PEERS) ## Compare the zoo with the networks of torchvision, timm and Keras, with the same random weights
	$(RUN) pytest tests/peers $(if $(ROWS),-k "$(ROWS)")

peers-keep: $(PEERS) ## Do the same, and write the results to tests/peers/RESULTS.md
	$(RUN) pytest tests/peers --keep $(if $(ROWS),-k "$(ROWS)")

bench: $(BENCH) ## Measure time and memory as ratios to hand-written peers, beside the targets and the last results
	$(BIN)/python benchmarks/run.py $(ROWS)

bench-keep: $(BENCH) ## Do the same, and write the results to benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py $(ROWS) --keep

clean: ## Remove build results, caches and .venv
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find netspec backends tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { echo "netspec needs Python 3.11 or newer: there is no $(PYTHON)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "netspec needs Python 3.11 or newer: $(PYTHON) is $$($(PYTHON) --version). Name another: make PYTHON=python3.12" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

$(DEMO): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[all]'
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $@ $(DEMO)

$(BENCH): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[bench]'
	@touch $@ $(DEV) $(DEMO)

$(PEERS): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[peers]'
	@touch $@ $(DEV) $(DEMO)
