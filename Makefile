# make env | demo | quick | test | test-eight | test-unlocked | docs | bench | lock | docker-check
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOLDERS := configs data devices engine evaluation files interop models modes samplers sde_lib training
QUICK := tests/test_house.py tests/test_imports.py tests/command/test_overrides.py tests/sde_lib/test_chain.py tests/samplers/test_coefficients.py tests/files \
	tests/data/test_image_rule.py tests/models/test_layers.py tests/evaluation/test_moments.py tests/training/test_state.py
DEMO ?= runs/demo
DEMO_RUN := $(BIN)/python main.py --config=configs/cld/digits.py --workdir=$(DEMO)

.PHONY: env demo lint types quick test test-eight test-unlocked docs bench lock docker-check

env: $(VENV)/.complete

$(VENV)/.complete: requirements.lock
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Linnet needs Python 3.11 or newer; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

demo: env
	$(DEMO_RUN) --mode=train
	$(DEMO_RUN) --mode=check

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy reads the folders of the clone under their full names, through links.
TYPED := build/types/linnet
types: env
	mkdir -p $(TYPED)
	ln -sfn $(CURDIR)/linnet/*.py $(foreach folder,$(FOLDERS),$(CURDIR)/$(folder)) $(TYPED)/
	cd build/types && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p linnet

# Under a minute: the house rules, and tests that compile little.
quick: lint
	$(BIN)/python -m pytest -n auto --durations=0 $(QUICK)

test: lint types docs
	$(BIN)/python -m pytest -n auto --dist loadfile

# The engines of training on eight devices, where the tests have two.
test-eight: env
	JAX_NUM_CPU_DEVICES=8 $(BIN)/python -m pytest -n 0 tests/training/test_engines.py

# The tests alone with other packages than the locked ones: needs uv, which fetches a Python that is not there.
# make test-unlocked PYTHON=3.13 RESOLUTION=highest; lowest-direct takes the oldest that pyproject.toml allows.
RESOLUTION ?= highest
UNLOCKED := build/$(RESOLUTION)-$(PYTHON)
test-unlocked:
	uv venv --quiet --clear --python $(PYTHON) $(UNLOCKED)
	VIRTUAL_ENV=$(UNLOCKED) uv pip install --quiet --requirements pyproject.toml --extra dev --resolution $(RESOLUTION)
	$(UNLOCKED)/bin/python -m pytest -n auto --dist loadfile

docs: env
	JAX_PLATFORMS=cpu $(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

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
