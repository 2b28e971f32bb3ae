#!/usr/bin/env bash
# Runs the tests with a broker that is found or brought (scripts/broker.sh), and ends it afterwards if it was brought.
# The browser tests need Chromium: it is found or, for a run of all tests, brought (scripts/chromium.sh). Where that can't
# be, they are left out, and that is said before and after.
#
#   test.sh [NAME…]     all of them, or those whose names contain NAME
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CARGO=${CARGO:-cargo}

say() { printf 'test: %s\n' "$*" >&2; }
left_out=''
want=ensure
if [ $# -gt 0 ]; then want=find; fi
if scripts/chromium.sh "$want"; then
  export FFN_BRIDGE_NEEDS_CHROMIUM=1
else
  left_out='the tests in tests/it/login_browser.rs are LEFT OUT: chromium and chromedriver are not here'
  say "$left_out"
fi

if "$CARGO" nextest --version >/dev/null 2>&1; then
  profile=default
  if [ -n "${CI:-}" ]; then profile=ci; fi
  command=("$CARGO" nextest run --locked --profile "$profile" "$@")
  if [ -n "$left_out" ]; then command+=(-E 'not test(/^login_browser::/)'); fi
else
  say 'cargo-nextest is not installed, so it is cargo test'
  command=("$CARGO" test --locked)
  if [ $# -gt 1 ]; then
    say 'cargo test takes one name'
    exit 2
  fi
  if [ $# = 1 ]; then command+=("$1"); fi
  if [ -n "$left_out" ]; then command+=(-- --skip login_browser::); fi
fi
say "${command[*]}"
if [ -z "$left_out" ]; then exec scripts/broker.sh with "${command[@]}"; fi
code=0
scripts/broker.sh with "${command[@]}" || code=$?
say "$left_out"
exit "$code"
