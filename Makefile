# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs, once.
#
# uv does the set-up. Where there is none, a private copy is put into .uv/ (ignored by git).

SHELL := /bin/sh
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
OWN_UV := $(filter .uv/bin/uv,$(UV))
export UV_COMPILE_BYTECODE = 1
# Certificates as the machine has them (a company's proxy has its own); uv's own list where it has none.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS ?= true
endif

.PHONY: demo test lint up bench faults fuzz audit sbom clean help

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: $(OWN_UV) ## the main job, with no network and nothing installed beside us: papers to a delivered digest
	$(UV) run --frozen --no-dev broadsheet demo $(ARGS)

test: $(OWN_UV) ## all tests, with real Redis and PostgreSQL
	$(UV) run --frozen pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

lint: $(OWN_UV) ## style, types, import contracts
	$(UV) run --frozen ruff check .
	$(UV) run --frozen ruff format --check .
	$(UV) run --frozen mypy
	$(UV) run --frozen lint-imports

up: $(OWN_UV) ## the service in one process
	$(UV) run --frozen --no-dev broadsheet up

bench: $(OWN_UV) ## how fast, beside hand-written references
	$(UV) run --frozen python -m tests.benchmarks $(ARGS)

faults: $(OWN_UV) ## a seeded plan of kills, cuts and restarts; nothing may be lost or doubled
	$(UV) run --frozen python -m tests.faults $(ARGS)

fuzz: $(OWN_UV) ## every parser under a coverage-guided fuzzer
	$(UV) run --frozen --group fuzz python -m tests.fuzz $(ARGS)

audit: $(OWN_UV) ## known weaknesses of the locked dependencies
	$(UV) export --frozen --no-dev --no-emit-project --format requirements-txt --quiet --output-file .uv-audit.txt
	$(UV) run --frozen --group audit pip-audit --require-hashes --disable-pip --requirement .uv-audit.txt $(ARGS)

sbom: $(OWN_UV) ## what is inside, as CycloneDX JSON on standard output
	@$(UV) export --frozen --no-dev --format cyclonedx1.5 --quiet

clean: ## remove what set-up made
	rm -rf .venv .uv .uv-audit.txt

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Broadsheet needs Python 3.11 or newer; $(PYTHON) is older. Name another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .uv 2>/dev/null || $(PYTHON) -m venv --without-pip .uv || { \
	  echo "python3 -m venv does not work here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@if [ -x .uv/bin/pip ]; then .uv/bin/pip install --quiet --disable-pip-version-check uv; \
	 else $(PYTHON) -m pip --python .uv install --quiet --disable-pip-version-check uv || { \
	  echo "neither venv nor pip can install uv here. Install one of: uv (https://docs.astral.sh/uv/), python3-venv, python3-pip"; \
	  rm -rf .uv; exit 1; }; fi
