# Thin: each target calls a tool. `make up` and `make test` set everything up first.
PYTHON ?= python3
STACK ?= local
BIN := .venv/bin
# Where this is set, every process compiles its libraries anew: Google's client alone takes 18 s instead of one.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup up preview down test lint bench fuzz soak native

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: ## virtual environment from the lock, base model
	@$(PYTHON) tools/bootstrap.py

up: setup ## build the stack: environments, tuned models, evaluations
	@$(BIN)/tunestack up --stack $(STACK) --yes

preview: setup ## say what `up` would do
	@$(BIN)/tunestack preview --stack $(STACK)

down: setup ## destroy the stack; asks first where data would be lost
	@$(BIN)/tunestack down --stack $(STACK)

test: setup ## run all tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal

lint: setup ## ruff, mypy, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## measure the goals (bench/README.md)
	@$(BIN)/python -m bench

fuzz: setup ## fuzz the dataset check for some minutes (FILES=n)
	@TUNESTACK_FUZZ=$(or $(FILES),10000) $(BIN)/python -m pytest --timeout 0 tests/unit/dataset/test_fuzz.py tests/unit/dataset/test_native.py

soak: setup ## random programs, faults and signals, for an hour or so (SOAK_SEED=n SOAK_RUNS=n)
	@SOAK_SEED=$(or $(SOAK_SEED),$(shell date +%s)) SOAK_RUNS=$(or $(SOAK_RUNS),2000) $(BIN)/python -m pytest -s -n 2 --dist worksteal --timeout 0 tests/soak

native: setup ## optional: build and install what makes dataset checks faster (native/README.md)
	@$(BIN)/uv pip install --python $(BIN)/python ./native
