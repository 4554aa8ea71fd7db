# `make` lists what there is. Every target sets the environment up first; that takes no time once it stands.

PYTHON ?= python3
DATA ?=
ONLY ?=
PEERS ?= ../shared/bench
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
DOCTESTS := --doctest-modules platform flink_jobs/lineshaft_flink governance/lineshaft_governance

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check bench bench-serving proto docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv from requirements.lock (Python 3.11 or 3.12 is all it needs)
	@$(PYTHON) scripts/setup.py

demo: setup ## the whole product on a simulated fleet, with its proof; DATA=<folder> takes a real data set
	@$(BIN)/lineshaft demo $(if $(DATA),--data "$(DATA)")

up: setup ## keep a fleet materialized and served until interrupted
	@$(BIN)/lineshaft up $(if $(DATA),--data "$(DATA)")

test: setup ## every test and doctest: the light ones on two workers, then those that start Flink, Kafka or a browser
	$(PYTEST) tests $(DOCTESTS) -m "not heavy" -n 2 --dist loadfile $(PYTEST_OPTIONS)
	$(PYTEST) tests -m heavy $(PYTEST_OPTIONS)

check: setup ## format, lint, types, contracts, house rules, stubs, docs, chart, alerts: exactly what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -q -p no:cacheprovider tests/test_house_rules.py tests/test_documents.py tests/unit/helm tests/unit/monitoring $(PYTEST_OPTIONS)
	$(BIN)/python scripts/reference_docs.py --check

bench-serving: setup ## the figures of serving beside Feast and a bare server; PEERS=<folder> of the scripts that start those
	$(BIN)/python tests/bench/bench_serving.py --peers "$(PEERS)"
	$(BIN)/python tests/bench/bench_throughput.py --peers "$(PEERS)"
	$(BIN)/python tests/bench/bench_overload.py

bench: setup ## the figures of docs/measurements.md, measured again; ONLY=join takes one of tests/bench/
	@for script in tests/bench/bench_$(or $(ONLY),*).py; do echo "== $$script"; \
	  case $$script in *_serving.py|*_throughput.py) set -- --peers "$(PEERS)";; *) set --;; esac; \
	  $(BIN)/python $$script "$$@" || exit 1; done

proto: setup ## regenerate the gRPC stubs from proto/
	$(BIN)/python scripts/generate_stubs.py

docs: setup ## regenerate docs/reference/ from the code
	$(BIN)/python scripts/reference_docs.py

lock: setup ## resolve every dependency again into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links -o requirements.lock

clean: ## remove the environment, caches and local state
	rm -rf .venv .lineshaft .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
