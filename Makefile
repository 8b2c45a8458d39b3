# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Needs root on Debian 12: containers and network namespaces. What the targets
# need they install themselves (tests/lab/bootstrap.sh).

LAB = PYTHONPATH=tests/lab build/venv/bin/python -m lab

.PHONY: help bootstrap lab lab-down test lint docs bench faults model wire requirements

help:
	@echo 'make lab                  two tenants over three providers: set up, probed, shown'
	@echo 'make lab-down             remove every trace of them'
	@echo 'make test [PHASES=...]    all tests (phases: unit integration molecule lab)'
	@echo 'make lint                 all linters'
	@echo 'make docs                 the reference pages: build/docs/html/index.html'
	@echo 'make bench PART=...       one benchmark'
	@echo 'make faults SEED=...      the fault tests, from a seed'
	@echo "make model                the model of the ledger's protocol, within its larger bounds"
	@echo 'make wire [SEED=1]        5,000 generated manifests on real packets: build/wire/seed-1.json'
	@echo 'make requirements         the hash-locked requirements anew (UPGRADE=1: newest versions)'

bootstrap:
	@tests/lab/bootstrap.sh

lab: bootstrap
	@PYTHONPATH=tests/lab build/venv/bin/python -m scenario $(ARGS)

lab-down:
	@$(LAB) down $(ARGS)

test: bootstrap
	@tests/lab/test.sh $(PHASES)

lint: bootstrap
	@tests/lab/lint.sh

docs: bootstrap
	@docs/docsite/build.sh

bench: bootstrap
	@tests/lab/part.sh bench '$(PART)' $(ARGS)

faults: bootstrap
	@tests/lab/part.sh faults run $(if $(SEED),--seed $(SEED)) $(ARGS)

model: bootstrap
	@tests/lab/part.sh model run $(ARGS)

wire: bootstrap
	@tests/lab/part.sh integration/firewall campaign $(if $(SEED),--seed $(SEED)) $(ARGS)

requirements:
	@tests/lab/requirements.sh
