# make demo      the main job on a small file, from nothing but python3
# make test      the tests (minutes)
# make test-all  the slow ones too
# make fuzz      the parsers against made and mangled inputs, ten minutes each (FUZZ_SECONDS, FUZZ_SEED)
# make bench     the phases of a real fit, and the engine against the dense sum

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= testdata/small.h5ad

.PHONY: demo test test-all fuzz bench environment

demo: $(READY)
	$(BIN)/scribe fit $(DATA) --recipe zinbvcp -o demo.scribe --overwrite
	$(BIN)/scribe summary demo.scribe
	@echo; echo "Results:"; ls -d demo.scribe/*
	@echo; echo "Open the report: $(CURDIR)/demo.scribe/report.html"

test: $(READY)
	$(BIN)/python -m pytest

test-all: $(READY)
	$(BIN)/python -m pytest -m "slow or not slow"

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz

bench: $(READY)
	BENCH_DATA=$(BENCH) $(BIN)/python -m tests.bench

environment: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "scribe needs Python 3.11 or later; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
