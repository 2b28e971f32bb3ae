#!/usr/bin/env bash
# Runs the tests with a broker that is found or brought (scripts/broker.sh), and ends it afterwards if it was brought.
#
#   test.sh [NAME…]     all of them, or those whose names contain NAME
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CARGO=${CARGO:-cargo}

if "$CARGO" nextest --version >/dev/null 2>&1; then
  profile=default
  if [ -n "${CI:-}" ]; then profile=ci; fi
  command=("$CARGO" nextest run --locked --profile "$profile" "$@")
else
  printf 'test: cargo-nextest is not installed, so it is cargo test\n' >&2
  command=("$CARGO" test --locked)
  if [ $# -gt 1 ]; then
    printf 'test: cargo test takes one name\n' >&2
    exit 2
  fi
  if [ $# = 1 ]; then command+=("$1"); fi
fi
printf 'test: %s\n' "${command[*]}" >&2
exec scripts/broker.sh with "${command[@]}"
