# Every target does its own set-up; `make help` lists them.
PYTHON = .venv/bin/python
SHELL = /bin/bash

.PHONY: help demo test test-fast test-engines faults lint format lab lab-down bench bench-short bench-authoring bench-mixed mutants lock image clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo:  ## render, check and serve an example, without a Swarm; edit the example and watch
	@scripts/setup demo
	@$(PYTHON) examples/demo.py

test: lint  ## all tests: pure ones, those that ask real proxies, those on a real three-node Swarm
	@scripts/test

test-fast: lint  ## only the tests that need neither root nor a Swarm
	@$(PYTHON) -m pytest -m "not lab"

test-engines:  ## the lab's tests on engines 20.10, 26.1, 28.5, and on all three in one Swarm (ENGINES=28.5)
	@scripts/setup test
	@scripts/test-engines $(ENGINES)

faults:  ## what ended lbgen once, in a row, under traffic, with each proxy: requests lost (4 minutes; FAULTS=--short)
	@scripts/setup test
	@$(PYTHON) -m tests.support.faults $(FAULTS)

lint:  ## ruff, mypy, and who may import whom (.importlinter)
	@scripts/setup test
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy && .venv/bin/lint-imports

format:  ## let ruff put the code in form
	@scripts/setup test
	@$(PYTHON) -m ruff format . && $(PYTHON) -m ruff check --fix .

lab:  ## start a three-node Swarm in network namespaces (root); NODES=5 MANAGERS=3 ENGINE=28.5 for another one
	@scripts/setup test
	@$(PYTHON) -m tests.lab up $(if $(NODES),--nodes $(NODES)) $(if $(MANAGERS),--managers $(MANAGERS)) \
	    $(if $(ENGINE),--engine $(ENGINE))

lab-down:  ## stop it, and whatever a crashed run left behind
	@scripts/setup test
	@$(PYTHON) -m tests.lab down

bench:  ## compare lbgen, Traefik and HAProxy with DNS on a Swarm of their own (root; an hour; BENCH="--seats a,b")
	@scripts/setup test
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt || echo "without Traefik, then"
	@$(PYTHON) -m bench.authoring
	@$(PYTHON) -m bench.hosts
	@$(PYTHON) -m bench.hub $(if $(findstring --short,$(BENCH)),--edges 20 --rounds 5 --live 1 --loss 20)
	@$(PYTHON) -m bench.mixed --minutes $(if $(findstring --short,$(BENCH)),1,15)
	@$(PYTHON) -m bench $(BENCH)

bench-short:  ## the same with few rounds, in less than 10 minutes
	@$(MAKE) --no-print-directory bench BENCH="--short $(BENCH)"

bench-authoring:  ## only how long an author waits for the verdict on a saved template (no root, no Swarm)
	@scripts/setup test
	@$(PYTHON) -m bench.authoring

bench-mixed:  ## all kinds of traffic while services change (15 minutes; MIXED="--minutes 1 nginx")
	@scripts/setup test
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@$(PYTHON) -m bench.mixed $(MIXED)

mutants:  ## change the code in small ways and tell what no test notices (30 minutes; MUTANTS="lbgen/daemon/target.py")
	@scripts/setup test
	@MUTANTS="$(MUTANTS)" MINUTES="$(MINUTES)" scripts/mutants

lock:  ## renew the lock files from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	    pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	    --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

image:  ## build the image with HAProxy inside
	docker build --target haproxy -t lbgen:haproxy .

clean:  ## remove what the other targets made here
	rm -rf .venv mutants build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
