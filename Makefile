# make env | demo | test | bench | lock | docker-check
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= runs/demo
DEMO_RUN := $(BIN)/python main.py --config=configs/cld/digits.py --workdir=$(DEMO)

.PHONY: env demo test bench lock docker-check

env: $(VENV)/.complete

$(VENV)/.complete: requirements.lock
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Linnet needs Python 3.11 or newer; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

demo: env
	$(DEMO_RUN) --mode=train
	$(DEMO_RUN) --mode=check

test: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n auto --dist loadfile

bench: env
	$(BIN)/python -m benchmarks.train_step
	$(BIN)/python -m benchmarks.sampling

# Needs uv; writes no index address.
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
lock:
	$(COMPILE) --output-file requirements-runtime.lock
	$(COMPILE) --extra dev --output-file requirements.lock

docker-check:
	bash tests/docker_check.sh
