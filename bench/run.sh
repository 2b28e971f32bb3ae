#!/usr/bin/env bash
# The benchmarks, on the broker that AMQP_URL names. `make bench` brings one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo bench --bench events --bench commands --bench backfill "$@"
