# make lab   the whole lab at default size: experiments, a real network, the report
# make test  the linters, the type checker and the tests
# make paper the experiments at paper size, and README's tables from them; hours, and it continues where it was stopped.
#            Seed 1: default-size runs of seed 0 were looked at while criteria and numbers of trials were chosen
# make bench the engine beside other tail fitters and LAPACK, and real networks beside WeightWatcher: speed and agreement, in three
#            quarters of an hour; BENCH=--quick, BENCH='--readme README.md'
# Each first makes or updates the virtual environment .venv from requirements.lock; make bench has its own, .venv-bench.

PYTHON ?= python3
BIN := .venv/bin
OUT ?= results

.PHONY: lab test paper bench lock clean

lab: .venv/installed
	@$(BIN)/realnets zoo g2p && $(BIN)/realnets zoo minilm || \
	  { [ $$? -eq 3 ] && echo "lab: no network, so the real-network parts are skipped; run make lab again when there is one"; }
	$(BIN)/rmt run experiments --size default --out $(OUT)
	@$(BIN)/realnets compare zoo:minilm --nulls 10 --report $(OUT) || [ $$? -eq 3 ]
	$(BIN)/rmt report $(OUT)

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

paper: .venv/installed
	$(BIN)/rmt run experiments --size paper --seed 1 --out $(OUT)
	cd $(OUT) && tar cf - */paper.json */paper.nc */paper.svg | tar xf - -C $(CURDIR)/experiments/verdicts
	$(BIN)/rmt report experiments/verdicts --readme README.md

bench: .venv-bench/installed
	.venv-bench/bin/python tests/benchmarks/peers.py --out $(OUT)/bench.json $(BENCH)
	.venv-bench/bin/python tests/benchmarks/networks.py --out $(OUT)/bench-networks.json $(BENCH)
	.venv-bench/bin/python tests/benchmarks/spectra.py --out $(OUT)/bench-spectra.json $(filter --quick,$(BENCH))

.venv/installed: WHAT := --no-deps --editable .
.venv-bench/installed: WHAT := --editable '.[bench]'

.venv/installed .venv-bench/installed: %/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: needs Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); try make PYTHON=python3.12"; exit 2; }
	@echo "installing the locked dependencies into $*; a minute or two the first time"
	@$(PYTHON) -m venv $*
	@$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$*/bin/python -m pip install --quiet --disable-pip-version-check $(WHAT)
	@touch $@

# For maintainers; needs uv on the PATH. Hashes only, no index addresses: it installs from whatever registry pip is set to.
lock:
	uv pip compile pyproject.toml --extra test --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --output-file requirements.lock

clean:
	rm -rf .venv .venv-bench
