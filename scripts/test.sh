#!/usr/bin/env bash
# Runs the tests with a broker that is found or brought (scripts/broker.sh), and ends it afterwards if it was brought.
# The browser tests need Chromium: it is found or, for a run of all tests, brought (scripts/chromium.sh). Where that can't
# be, they are left out, and that is said before and after.
# All messages that the tests received are then checked once more by a second validator (scripts/validate.py), where
# Python has one; if not, that is said.
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
FFN_BRIDGE_MESSAGES=$(mktemp -d)
export FFN_BRIDGE_MESSAGES
trap 'rm -rf "$FFN_BRIDGE_MESSAGES"' EXIT
code=0
scripts/broker.sh with "${command[@]}" || code=$?
if [ -n "$left_out" ]; then say "$left_out"; fi
if [ -z "$(ls -A "$FFN_BRIDGE_MESSAGES")" ]; then
  say 'no test has received a message that the second validator could check'
elif python3 -c 'import jsonschema; jsonschema.Draft202012Validator.FORMAT_CHECKER' 2>/dev/null; then
  python3 scripts/validate.py "$FFN_BRIDGE_MESSAGES" || code=1
else
  say 'the second look at the messages is LEFT OUT: Python has no jsonschema 4 (Debian: python3-jsonschema)'
fi
exit "$code"
