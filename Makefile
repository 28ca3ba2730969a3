# One command for everything: `make` runs the study, `make test` the tests. Both set up .venv first.
PYTHON ?= python3.11
BIN := .venv/bin
CODE := yapo snakemake_logger_plugin_yapo world tests benchmarks docs
CORES ?= $(shell getconf _NPROCESSORS_ONLN)

.DEFAULT_GOAL := study
.PHONY: study studies smollm2 regions test proofs interop chaos docs docs-check ui report lint format types world bench clean help

$(BIN)/.ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[all,dev]'
	@touch $@

study: $(BIN)/.ready  ## run the whole study on the embedded world: all tables and figures
	$(BIN)/snakemake --cores $(CORES) all_tables
	@echo "Tables: results/embedded/tables   Figures: results/embedded/figures   Curves: make ui"

studies: $(BIN)/.ready  ## run the studies around the tables too, and write results/embedded/report.html
	$(BIN)/snakemake --cores $(CORES) all_studies
	@echo "Open results/embedded/report.html"

smollm2: $(BIN)/.ready  ## get SmolLM2-135M-Instruct, a real model, into the user's cache (93 MB; docs/smollm2.md)
	$(BIN)/python -m world.smollm2

regions: $(BIN)/.ready  ## train the tiny model that knows the regional atlas, into the user's cache (docs/regions.md)
	$(BIN)/python -m world.build --only regions

test: $(BIN)/.ready  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

proofs: $(BIN)/.ready  ## run the tests that take long (not in CI)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow

interop: $(BIN)/.ready smollm2  ## build and get the tools that read exported vectors, and test what they do with them (not in CI)
	CMAKE_ARGS="-DGGML_NATIVE=off -DGGML_OPENMP=off -DLLAVA_BUILD=off" CMAKE_BUILD_PARALLEL_LEVEL=1 \
		nice -n 19 $(BIN)/python -m pip install --quiet --upgrade --no-deps --target .interop --requirement tests/exchange/other_tools.txt
	PYTHONPATH=.interop OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/exchange/test_other_tools.py

chaos: $(BIN)/.ready  ## kill, fill, close and lock the small study at random, then compare it with one left alone (not in CI; Linux)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.chaos --kills 50 --seed 0

docs-check: $(BIN)/.ready  ## run every command of the README and of docs/ on a small study
	$(BIN)/python -m tests.docs.check

docs: $(BIN)/.ready  ## build the pages of docs/ and the API into site/index.html; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

ui: $(BIN)/.ready  ## open the MLflow pages of the study (live while it trains)
	$(BIN)/python -m yapo.tracking ui --results results/embedded

report: $(BIN)/.ready  ## write results/embedded/report.zip: tables, figures and provenance in one place
	$(BIN)/snakemake --cores 1 --report results/embedded/report.zip all_tables

lint: $(BIN)/.ready  ## ruff, snakefmt and snakemake --lint (but for its wish for a conda environment a rule: jobs run in the active one)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/snakefmt --check Snakefile workflow yapo/studies
	! $(BIN)/snakemake --lint 2>&1 | grep -E '^    \* |rror' | grep -v 'Specify a conda environment'

format: $(BIN)/.ready  ## rewrite the code in the house style
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/snakefmt Snakefile workflow yapo/studies

types: $(BIN)/.ready  ## mypy, strict
	$(BIN)/mypy

world: $(BIN)/.ready  ## train the shipped models and autoencoders again (about half an hour)
	$(BIN)/python -m world.build

bench: $(BIN)/.ready  ## measure speed and write docs/speed.md (about ten minutes)
	for name in training_step sae_edit decoding engine profile_step scaling; do $(BIN)/python -m benchmarks.$$name || exit 1; done
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.paper_runs

clean:  ## delete results and the environment
	rm -rf results/*/ site .venv

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
