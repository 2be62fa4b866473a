# Every command of the project. Paths are relative, so that a clone under a path with spaces works too.
PYTHON ?= python3
SCENARIO ?= all
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test demo bench check format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

run: .venv/run.stamp ## set everything up and serve on http://127.0.0.1:8080
	@echo "In another terminal, $(BIN)/tidemark --help lists the commands." >&2
	@exec $(BIN)/tidemark serve

test: .venv/dev.stamp ## the whole suite, on every storage engine this machine has
	@exec $(BIN)/python -m pytest $(ARGS)

demo: .venv/dev.stamp ## a year of real weather and one of cold storage through the HTTP API of the running service
	@exec $(BIN)/tidemark demo

bench: .venv/dev.stamp ## the benchmark harness; SCENARIO=name for one
	@exec $(BIN)/python -m bench $(SCENARIO)

check: .venv/dev.stamp ## formatter, linter, type checker
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

format: .venv/dev.stamp ## rewrite the sources as the formatter and linter want them
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lock: ## pin the newest versions that pyproject.toml allows (needs uv on the PATH)
	@cd requirements && UV_CUSTOM_COMPILE_COMMAND="make lock" && export UV_CUSTOM_COMPILE_COMMAND && \
	compile="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url" && \
	$$compile ../pyproject.toml build.in --output-file run.lock && \
	$$compile ../pyproject.toml build.in --all-extras --constraint run.lock --output-file dev.lock

clean: ## remove the virtual environment (never data: .tidemark stays)
	rm -rf .venv

# The virtual environment is made without pip of its own and filled by the machine's pip: that is quick, and works
# where the distribution ships Python without ensurepip.
.venv/run.stamp: requirements/run.lock pyproject.toml
	@sh scripts/setup.sh "$(PYTHON)" requirements/run.lock
	@touch $@

.venv/dev.stamp: requirements/dev.lock pyproject.toml
	@sh scripts/setup.sh "$(PYTHON)" requirements/dev.lock
	@touch $@ .venv/run.stamp
