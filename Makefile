# Two commands: `make run` (set up, make a synthetic 4D corpus, train and evaluate both models) and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
# More for `kedro run`: make run RUN="--params corpus=open-4dfer-ict,ict_folder=/path/to/ICT-FaceKit"
RUN ?=
PORT_MLFLOW ?= 5000
PORT_VIZ ?= 4141
PORT_APP ?= 8501

# TORCH=cpu: a new .venv gets torch without CUDA, half as large (docs/deploy.md).
TORCH ?=

# The folder of the app's live mode: make app WATCH=/scans
WATCH ?=

FUZZ_SECONDS ?= 60

# Which benchmarks: make bench BENCH="parse render.views"
BENCH ?=

.PHONY: help setup run test test-slow test-browser test-faults coverage fuzz bench bench-quick check format mlflow viz viz-static app docs audit lock prune clean

help:            ## show this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

.venv/ready: requirements.lock requirements-pretrained.lock pyproject.toml
	@PYTHON=$(PYTHON) TORCH=$(TORCH) bash scripts/setup

setup: .venv/ready ## create .venv from requirements.lock

run: .venv/ready ## synthetic corpus → both models, trained and evaluated → table and report
	@$(BIN)/kedro run $(RUN)
	@$(BIN)/python scripts/what_next.py

test: .venv/ready ## the unmarked tests: fast, no GPU, display, network or licence
	@$(BIN)/pytest

test-slow: .venv/ready ## the slow tests, and those on outside data where it is there
	@$(BIN)/pytest -m "(slow or corpus) and not fault and not gpu and not browser"

test-browser: .venv/ready ## the pages as a person sees them, in headless Chromium (installed where Debian's apt can)
	@bash scripts/chromium
	@$(BIN)/pytest -m browser tests/browser

test-faults: .venv/ready ## the tests that kill and hang processes on purpose
	@$(BIN)/pytest -m fault

coverage: .venv/ready ## the lines that tests reach, those of compiled loops as plain Python; half an hour
	@$(BIN)/pytest -n 2 --dist loadfile -m "not fault and not gpu and not browser" --cov --cov-report=
	@NUMBA_DISABLE_JIT=1 $(BIN)/pytest -o filterwarnings=ignore --cov --cov-append --cov-report=term:skip-covered \
		tests/scans/readers tests/scans/test_geometry.py tests/scans/test_mesh_to_depth_image.py tests/rendering tests/views

fuzz: .venv/ready ## feed damaged files to every reader for FUZZ_SECONDS (60): first with the loops interpreted, then compiled
	@$(BIN)/python tests/fuzz/fuzz_readers.py -verbosity=0 -max_total_time=$$(( $(FUZZ_SECONDS) / 2 ))
	@FUZZ_COMPILED=1 $(BIN)/python tests/fuzz/fuzz_readers.py -verbosity=0 -max_total_time=$$(( $(FUZZ_SECONDS) / 2 ))
	@echo "No reader crashed."

check: .venv/ready ## what CI checks: ruff, format, mypy, import contracts, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: .venv/ready ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready ## every benchmark beside its peer, same run → table and benchmarks/latest.json
	@$(BIN)/python -m benchmarks $(BENCH)

bench-quick: .venv/ready ## the same, smaller: some three minutes
	@$(BIN)/python -m benchmarks --quick $(BENCH)

mlflow: .venv/ready ## compare runs in the browser
	@bash scripts/check_port $(PORT_MLFLOW) PORT_MLFLOW mlflow
	@$(BIN)/python scripts/mlflow_server.py --host 127.0.0.1 --port $(PORT_MLFLOW)

viz: .venv/ready ## browse the pipelines in the browser
	@$(BIN)/kedro viz run --no-browser --port $(PORT_VIZ)

viz-static: .venv/ready ## the same as static pages in build/, to be served by any web server
	@$(BIN)/kedro viz build --include-previews

app: .venv/ready ## a face in 3D, both models' answers, and your own sentences, in the browser; WATCH=FOLDER: live
	@bash scripts/check_port $(PORT_APP) PORT_APP app
	@$(BIN)/python -m affect4d.app --server.port $(PORT_APP) $(if $(WATCH),--watch "$(WATCH)")

docs: .venv/ready ## the pages of docs/ with a reference of the code, as HTML in docs/_build
	@$(BIN)/sphinx-build -q -W --keep-going docs docs/_build
	@echo "docs/_build/index.html"

audit: ## known vulnerabilities of what requirements.lock names, from PyPI; fails where it cannot tell
	@[ -x build/audit/bin/pip-audit ] || { $(PYTHON) -m venv build/audit && build/audit/bin/pip install -q pip-audit; }
	@build/audit/bin/pip-audit --strict --no-deps --disable-pip -r requirements.lock -r requirements-pretrained.lock

lock: ## renew requirements.lock (needs uv); no index address is written
	uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header -q --upgrade --extra dev pyproject.toml -o requirements.lock

prune: .venv/ready ## list what no manifest names, with sizes; YES=1 drops it, HOURS=24 spares less
	@$(BIN)/python scripts/prune.py $(if $(HOURS),--hours $(HOURS)) $(if $(YES),--yes)

clean: ## list the environment and what was made from the synthetic corpora, with sizes; YES=1 drops it
	@bash scripts/clean $(if $(YES),--yes)
