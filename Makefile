# make            what there is to do
# make demo       an order's way through the bridge, on this machine
# make test       the tests, with a broker that is found or brought

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
# Names of the tests to run, all if empty: make test TESTS=smoke
TESTS ?=
SCRIPTS := $(wildcard scripts/*.sh bench/*.sh) .ci/run

.PHONY: help build test lint demo demo-stop soak bench schemas tools clean-run

help: ## shows this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: tools ## builds both programs
	@$(CARGO) build --bins --locked

demo: tools ## sends an order and shows its events until it is dispatched (KEEP=1: leaves all running)
	@scripts/demo.sh $(if $(KEEP),--keep)

demo-stop: ## ends what `make demo KEEP=1` left running
	@scripts/demo.sh stop

test: tools ## runs the tests (TESTS=name: some of them)
	@scripts/test.sh $(TESTS)

lint: tools ## format, clippy with warnings as errors, shell scripts
	@echo 'lint: cargo fmt --check'
	@$(CARGO) fmt --all --check
	@echo 'lint: cargo clippy --all-targets'
	@$(CARGO) clippy --all-targets --locked -- -D warnings
	@if command -v shellcheck >/dev/null; then \
	  echo 'lint: shellcheck $(SCRIPTS)'; shellcheck $(SCRIPTS); \
	else echo 'lint: shellcheck is not installed, the scripts are not looked at'; fi

soak: tools ## millions of damaged inputs, 10,000 random histories, 5,000 commands under kills, a long outage, a large snapshot (hours)
	@FFN_BRIDGE_FUZZ_INPUTS=$(or $(INPUTS),2000000) $(CARGO) test --locked --profile bench --lib fuzz:: -- --nocapture
	@FFN_BRIDGE_SEEDS=$(or $(SEEDS),0..10000) $(CARGO) test --locked --profile bench --test it property:: -- --nocapture --test-threads 4
	@FFN_BRIDGE_CHAOS_COMMANDS=$(or $(COMMANDS),5000) scripts/broker.sh with $(CARGO) test --locked --profile bench --test it chaos:: -- --nocapture --test-threads 1
	@FFN_BRIDGE_OUTAGE_COMMANDS=10002 FFN_BRIDGE_OUTAGE_PROBES=120 scripts/broker.sh with $(CARGO) test --locked --profile bench --test it commands::outage::an_outage_of_hours -- --nocapture
	@FFN_BRIDGE_SNAPSHOT_ROWS=100000 scripts/broker.sh with $(CARGO) test --locked --profile bench --test it lists::a_snapshot_killed -- --nocapture

bench: tools ## measures throughput, and the delay beside a backfill
	@scripts/broker.sh with bench/run.sh

schemas: tools ## writes schemas/ anew from the code
	@$(CARGO) run --quiet --locked --bin ffn-bridge -- schema --write schemas

tools:
	@scripts/tools.sh

clean-run: ## ends what the scripts started and removes .run
	@scripts/demo.sh stop
	@scripts/broker.sh stop
	@rm -rf .run
