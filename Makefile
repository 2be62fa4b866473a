# All commands of the project. Paths are relative, so a clone also works under a path with spaces.
PYTHON ?= python3
SCENARIO ?= all
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test demo bench check format lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

run: .venv/run.stamp ## set up everything and serve on http://127.0.0.1:8080
	@echo "In another terminal, $(BIN)/tidemark --help lists the commands." >&2
	@exec $(BIN)/tidemark serve

test: .venv/dev.stamp ## run the whole test suite on every storage engine this machine has
	@exec $(BIN)/python -m pytest -n auto $(ARGS)

demo: .venv/dev.stamp ## send a year of weather and one of cold storage to the running service and check the answers
	@exec $(BIN)/tidemark demo

bench: .venv/dev.stamp ## run the benchmarks; SCENARIO=name runs one
	@exec $(BIN)/python -m bench $(SCENARIO)

check: .venv/dev.stamp ## run the formatter, the linter and the type checker
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

format: .venv/dev.stamp ## format the sources and apply the linter's fixes
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lock: ## pin the newest versions that pyproject.toml allows (requires uv on the PATH)
	@cd requirements && UV_CUSTOM_COMPILE_COMMAND="make lock" && export UV_CUSTOM_COMPILE_COMMAND && \
	compile="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url" && \
	$$compile ../pyproject.toml build.in --output-file run.lock && \
	$$compile ../pyproject.toml build.in --all-extras --constraint run.lock --output-file dev.lock

clean: ## remove the virtual environment, but never your data in .tidemark
	rm -rf .venv

# The virtual environment is created without pip and filled by the system's pip. This is faster, and also works if the
# distribution ships Python without ensurepip.
.venv/run.stamp: requirements/run.lock pyproject.toml
	@sh scripts/setup.sh "$(PYTHON)" requirements/run.lock
	@touch $@

.venv/dev.stamp: requirements/dev.lock pyproject.toml
	@sh scripts/setup.sh "$(PYTHON)" requirements/dev.lock
	@touch $@ .venv/run.stamp
