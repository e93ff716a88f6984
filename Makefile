# The few words that stay:
#   make demo    a real Neutron moves live, told as a story; KEEP=1 leaves everything up
#   make test    every test, unit and lab
#   make check   lint, types, arrows
#   make bench   benchmarks, printed as a table; bench-engine SIZE=ports for a cloud of another size
#   make chaos   a whole migration, there and back, while users write and everything breaks, N=200 times; SEED=, LABS=
#   make chaos-gateway   kills gateway, upstream and store under load, N=200 times; SEED= repeats one run
#   make simulate        thousands of schedules of writes, faults and handovers in simulated time, N= of them
#   make tempest-transparency   OpenStack's API tests directly and through the gateway; TESTS=REGEX for some of them
#   make compile  the gateway's hot path as machine code, where there is a C compiler; demo, test and bench do it too
#   make docs    the reference pages that are made from the code
# Each installs what it needs first, under this folder (Debian packages only when run as root).

PYTHON ?= python3
PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test unit check format compile bench bench-engine bench-gateway bench-mapping chaos chaos-gateway simulate tempest-transparency proto docs lock clean setup setup-cloud

help:
	@sed -n 's/^#   //p' Makefile

.venv/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) tools/preflight.py
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet -r requirements/dev.txt
	.venv/bin/pip install --quiet --no-deps --editable .
	@touch $@

.venv-cloud/.ready: requirements/cloud.txt
	@$(PYTHON) tools/preflight.py
	$(PYTHON) -m venv .venv-cloud
	.venv-cloud/bin/pip install --quiet -r requirements/cloud.txt
	@touch $@

setup: .venv/.ready

setup-cloud: .venv/.ready .venv-cloud/.ready
	@$(PY) -m lab.packages

compile: setup
	@$(PY) -m tools.compile

demo: setup-cloud compile
	$(PY) -m lab.demo $(if $(KEEP),--keep) $(if $(PORTS),--ports $(PORTS)) $(if $(SEED),--seed $(SEED))

test: setup-cloud compile
	$(PY) -m pytest tests
	ALCOR_MIGRATE_COMPILED=off $(PY) -m pytest -q tests/unit/gateway -m "not process"

unit: setup
	$(PY) -m pytest tests/unit -m "not process"

check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PY) -m pytest -q tests/unit/test_architecture.py

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: setup-cloud compile
	$(PY) -m benchmarks

bench-engine: setup-cloud
	$(PY) -m benchmarks.engine $(if $(SIZE),--size $(SIZE)) $(if $(OBJECTS),--objects $(OBJECTS)) $(if $(COUNT),--count $(COUNT)) $(if $(SOURCE),--source $(SOURCE)) $(if $(ONLY),--only $(ONLY))

bench-mapping: setup
	$(PY) -m benchmarks mapping

bench-gateway: setup-cloud compile
	$(PY) -m benchmarks gateway

chaos: setup-cloud compile
	$(PY) -m tests.chaos.journey --runs $(or $(N),200) $(if $(SEED),--seed $(SEED)) $(if $(LABS),--at-once $(LABS))

chaos-gateway: setup-cloud compile
	$(PY) -m tests.chaos.gateway --runs $(or $(N),200) $(if $(SEED),--seed $(SEED))

simulate: setup
	$(PY) -m tests.simulation $(or $(N),5000)

.venv-cloud/.tempest: requirements/tempest.txt .venv-cloud/.ready
	.venv-cloud/bin/pip install --quiet -r requirements/tempest.txt
	@touch $@

tempest-transparency: setup-cloud compile .venv-cloud/.tempest
	$(PY) -m tests.chaos.transparency $(if $(TESTS),'$(TESTS)')

proto: setup
	$(PY) -m tools.proto

docs: setup
	$(PY) -m tools.docs

COMPILE = build/lock-venv/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate

lock:
	$(PYTHON) -m venv build/lock-venv && build/lock-venv/bin/pip install --quiet uv
	$(COMPILE) --all-extras --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) --group pyproject.toml:cloud -o requirements/cloud.txt
	$(COMPILE) --group pyproject.toml:tempest -o requirements/tempest.txt

clean:
	rm -rf .venv .venv-cloud build src/alcor_migrate/_compiled .mypy_cache .ruff_cache .pytest_cache
