# Every task of the project. `make help` lists them; CI and people run the same ones.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-builtin-rules
# Each run of the tests would compile the libraries again: six seconds.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN    := .venv/bin
STAMP  := .venv/.installed
ARGS   ?=

UV      := $(BIN)/uv
HELM    := $$(command -v helm || (cd tests && ../$(BIN)/python -c 'from cluster.tools import helm; print(helm())') | tail -1)
KUBERNETES := 1.35.0
OF_STORE = tests/conformance tests/scenarios $(wildcard tests/integration/*$(subst -,_,$(STORE))_store tests/integration/test_$(STORE)_*.py)
TYPED_TESTS = $(filter-out tests/bench/ tests/__pycache__/,$(wildcard tests/*/)) tests/conftest.py --exclude servers/mongoeco/
SOURCES := client/pyproject.toml crds/pyproject.toml sidecar/pyproject.toml operator/pyproject.toml pannier/pyproject.toml testing/pyproject.toml
LINTED  := client crds sidecar operator testing tests examples scripts/new-store scripts/catalogue-names scripts/component-tables scripts/component-rules scripts/dapr-compatibility scripts/import-rules scripts/pannier_surface.py scripts/marked_section.py scripts/images scripts/image-root scripts/grpc-messages scripts/test-in-parts scripts/words

.PHONY: help run test test-unit test-in-parts hostile changes dapr-suite watch-check lint types format docs store-table chart manifests images cluster cluster-down demo bench bench-operator dist constraints setup clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMP) ## serve the state API here (ARGS="--components DIR -- python app.py" is passed on)
	@exec $(BIN)/pannier run $(ARGS)

test: $(STAMP) ## run every test except the benchmark (ARGS="-k etag" is passed to pytest), or with STORE=redis those of one store
	@scripts/debian-package redis-server command -v redis-server
	@$(BIN)/pytest --ignore=tests/bench $(if $(STORE),--store=$(STORE) $(OF_STORE)) $(ARGS)

test-unit: $(STAMP) ## run the tests that need no server: less than a minute
	@$(BIN)/pytest tests/unit $(ARGS)

test-in-parts: $(STAMP) ## run every test as CI does, several parts at the same time
	@scripts/debian-package redis-server command -v redis-server
	@$(BIN)/python scripts/test-in-parts $(ARGS)

hostile: $(STAMP) ## run the faults of production and hostile clients at length, and write docs/promises.md
	@scripts/debian-package redis-server command -v redis-server
	@$(BIN)/pytest tests/hostile --at-length --timeout=900 --promises=write $(ARGS)

changes: $(STAMP) ## make 10,000 increments and appends of one key on every store, by several sidecars, with every tenth answer lost (ARGS="--store redis")
	@scripts/debian-package redis-server command -v redis-server
	@$(BIN)/pytest --changes=10000 tests/conformance/test_changes_where_values_are.py tests/scenarios/test_every_tenth_answer_lost.py $(ARGS)

dapr-suite: $(STAMP) ## run Dapr's own integration tests of state against this sidecar (ARGS="--only secret"); the first time they are built
	@cd tests && ../$(BIN)/python -m dapr_suite $(ARGS)

watch-check: $(STAMP) ## make a million changes while databases and connections fail, and check that a watch misses none (ARGS="--store redis --changes 100000")
	@scripts/debian-package redis-server command -v redis-server
	@cd tests && ../$(BIN)/python -m watch_check $(ARGS)

lint: $(STAMP) types ## check style, types, layers and words
	@$(BIN)/ruff check --quiet $(wildcard $(LINTED))
	@$(BIN)/ruff format --quiet --check $(wildcard $(LINTED)) || { echo "unformatted files: run 'make format'" >&2; exit 1; }
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/catalogue-names --check
	@$(BIN)/python scripts/component-tables --check
	@for file in crds/*.yaml; do cmp -s $$file charts/pannier/crd/$${file##*/} || { echo "the chart has an older $$file: run 'make chart'" >&2; exit 1; }; done
	@$(BIN)/python scripts/component-rules --check
	@$(BIN)/python scripts/grpc-messages --check
	@$(BIN)/python scripts/import-rules --check
	@$(BIN)/python scripts/dapr-compatibility --check
	@$(BIN)/python scripts/words

types: $(STAMP) ## check types
	@$(BIN)/mypy
	@MYPYPATH=tests/bench:tests $(BIN)/mypy --cache-dir=.mypy_cache/bench --explicit-package-bases --follow-imports=silent tests/bench/*.py
	@MYPYPATH=tests $(BIN)/mypy --cache-dir=.mypy_cache/tests --explicit-package-bases $(TYPED_TESTS)

format: $(STAMP) ## format the code and sort imports
	@$(BIN)/ruff check --quiet --fix-only $(wildcard $(LINTED))
	@$(BIN)/ruff format $(wildcard $(LINTED))

docs: $(STAMP) ## write the catalogue's names, the tables of docs/components.md, the rules of the CRD, the messages of gRPC, the import rules and docs/dapr-compatibility.md
	@$(BIN)/python scripts/catalogue-names
	@$(BIN)/python scripts/component-tables
	@$(BIN)/python scripts/component-rules
	@$(BIN)/python scripts/grpc-messages
	@$(BIN)/python scripts/import-rules
	@$(BIN)/python scripts/dapr-compatibility

store-table: $(STAMP) ## write the table of stores into README.md from what the conformance suite proves
	@scripts/debian-package redis-server command -v redis-server
	@$(BIN)/pytest -q tests/conformance --store-table=write

chart: $(STAMP) ## copy the CustomResourceDefinitions into the chart, and check the chart
	@cp crds/*.yaml charts/pannier/crd/
	@$(HELM) lint --quiet charts/pannier
	@$(MAKE) --silent manifests >/dev/null

manifests: $(STAMP) ## print what the chart installs, for kubectl apply -f (ARGS="--set operator.replicas=3")
	@printf '%s\n' 'apiVersion: v1' 'kind: Namespace' 'metadata:' '  name: pannier-system'
	@$(HELM) template pannier charts/pannier -n pannier-system --kube-version $(KUBERNETES) --no-hooks $(ARGS)

images: ## build the images of the sidecar and the operator, by docker or buildah (ARGS="sidecar")
	@scripts/images build $(ARGS)

cluster: $(STAMP) ## keep a cluster for tests and demos running: kind, or one made here (docs/testing-on-a-cluster.md)
	@cd tests && ../$(BIN)/python -m cluster up

cluster-down: $(STAMP) ## end the cluster of `make cluster`
	@cd tests && ../$(BIN)/python -m cluster down

demo: $(STAMP) ## show the example on a test cluster: it goes on counting while a pod is killed
	@scripts/images build
	@cd tests && ../$(BIN)/python -m cluster.demo

bench: $(STAMP) ## measure Pannier, a plain service and a C program (ARGS="--seconds 1 --peer NAME=URL,PID"), or with STORE=redis one store and its client library
	@scripts/debian-package redis-server command -v redis-server
	@scripts/debian-package wrk command -v wrk
	@PYTHONPATH=tests $(BIN)/python tests/bench$(if $(STORE),/one_store.py $(STORE)) $(ARGS)

bench-operator: $(STAMP) ## measure the operator in a large cluster without nodes (ARGS="--components 100 --pods 400")
	@cd tests && ../$(BIN)/python -m bench_operator $(ARGS)

dist: $(STAMP) ## build the wheel and the source archive of each distribution (OUT=dist)
	@$(UV) build --quiet --no-build-isolation --python $(BIN)/python --all-packages --out-dir $(or $(OUT),dist)

constraints: $(STAMP) ## pin every dependency again in constraints.txt (UPGRADE=1 takes newer versions)
	@scripts/pin-constraints $(if $(UPGRADE),--upgrade)

setup: $(STAMP) ## make .venv and install everything pinned into it

$(STAMP): constraints.txt pyproject.toml $(SOURCES)
	@scripts/make-venv "$(PYTHON)"
	@$(BIN)/pannier schema > examples/component.schema.json  # for editors: each example names it
	@touch $@

clean: ## remove .venv and every cache
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find client crds sidecar operator testing tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
