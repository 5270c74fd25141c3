# Two commands matter: `make run` and `make test`. Both set up all they need by themselves.
BIN := .venv/bin
WORKERS ?= 2
ARGS ?=

.PHONY: help run test check lint types contracts docs tests evidence wheel lock clean

help:
	@echo "make run       the demo: a simulated building, the gateway, its page"
	@echo "make test      set up everything and run all checks and tests"
	@echo "make check     the same without set-up"
	@echo "make evidence  the slow runs: figures in docs/evidence/"

run:
	@bash .ci/setup run
	@exec $(BIN)/heyzack demo $(ARGS)

test:
	@bash .ci/setup test
	@$(MAKE) --no-print-directory check

check: lint types contracts docs tests

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports

docs:
	$(BIN)/heyzack validate configs/demo
	$(BIN)/python -m tests.docs_lint

# xdist keeps a file's tests on one worker, so that servers are started once a file.
tests:
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term:skip-covered

evidence:
	@bash .ci/setup test
	$(BIN)/python -m benchmarks.evidence

wheel:
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

lock:
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile -q --generate-hashes --extra demo --extra build --strip-extras --allow-unsafe --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o constraints.txt pyproject.toml
	$(BIN)/pip-compile -q --generate-hashes --extra demo --extra build --extra dev --strip-extras --allow-unsafe --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host -c constraints.txt -o constraints-dev.txt pyproject.toml

clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* htmlcov
