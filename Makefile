# demo  set up and run the flagship pipeline on 16 built-in phantoms; the report is runs/vessel_flow/report/index.html
# test  set up and run the tests          check  lint and types          docs  stage cards          bench  benchmarks
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check docs bench clean

demo: $(VENV)/.base
	$(BIN)/voxfield run vessel_flow

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/make_cards.py --check

docs: $(VENV)/.dev
	$(BIN)/python docs/make_cards.py

bench: $(VENV)/.dev
	for file in benchmarks/[a-z]*.py; do OMP_NUM_THREADS=1 $(BIN)/python $$file --quick || exit 1; done

$(VENV)/.base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) -e ".[dev,formats,slurm]"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
