# Everything a newcomer needs: each target makes its own virtual environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench

.PHONY: demo test check bench soak docs clean

$(STAMP): pyproject.toml protocol/longwire_protocol/version.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "longwire needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing longwire and its tools into $(VENV) (once, a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[all]" --group dev
	@touch $@

$(BENCH_STAMP): $(STAMP)
	@echo "installing what is measured beside longwire into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	@touch $@

demo: $(STAMP)  ## two Lark bots, one DingTalk bot, and three faults to watch heal
	@$(BIN)/longwire demo

test: $(STAMP)  ## every test but the long campaigns, four side by side: most of them wait
	$(BIN)/python -m pytest -n 4 --dist worksteal

check: $(STAMP)  ## lint, types, layers, coverage of the pure parts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q tests/unit
	$(BIN)/coverage report

bench: $(BENCH_STAMP)  ## the table of numbers, side by side with their baselines; ARGS=--quick for a short look
	$(BIN)/python benchmarks/run.py $(ARGS)

soak: $(STAMP)  ## the long campaigns, two and a half hours; LONGWIRE_SOAK_S=300, LONGWIRE_EXAMPLES=200 for shorter ones, LONGWIRE_SEED=... to repeat one
	$(BIN)/python -m pytest -m soak

docs: $(STAMP)  ## write anew the documents that are made from the code and from trials
	$(BIN)/python docs/make_lifecycle.py
	LONGWIRE_WRITE_DOCUMENTS=1 $(BIN)/python -m pytest -q tests/acceptance/test_commands_document.py

clean:
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
