#!/usr/bin/env bash
# Runs the tests with a broker that is found or brought (scripts/broker.sh), and ends it afterwards if it was brought.
# The browser tests need Chromium: it is found or, for a run of all tests, brought (scripts/chromium.sh). Where that can't
# be, they are left out, and that is said before and after. The same goes for the tests of examples/caller.py and
# pika (scripts/pika.sh); FFN_BRIDGE_NEEDS_PIKA=1: they have to run.
# All messages that the tests received are then checked once more by a second validator (scripts/validate.py), where
# Python has one; if not, that is said.
#
#   test.sh [NAME…]     all of them, or those whose names contain NAME
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CARGO=${CARGO:-cargo}

say() { printf 'test: %s\n' "$*" >&2; }
left_out=() # each: what, and the tests' module
want=ensure
if [ $# -gt 0 ]; then want=find; fi
if scripts/chromium.sh "$want"; then
  export FFN_BRIDGE_NEEDS_CHROMIUM=1
else
  left_out+=(login_browser 'chromium and chromedriver are not here')
fi
if python=$(scripts/pika.sh "$want"); then
  export FFN_BRIDGE_PYTHON=$python
elif [ -n "${FFN_BRIDGE_NEEDS_PIKA:-}" ]; then
  say 'there is no Python with pika, and FFN_BRIDGE_NEEDS_PIKA is set'
  exit 1
else
  left_out+=(caller 'there is no Python with pika')
fi
say_left_out() {
  local at
  for ((at = 0; at < ${#left_out[@]}; at += 2)); do
    say "the tests in tests/it/${left_out[at]}.rs are LEFT OUT: ${left_out[at + 1]}"
  done
}
say_left_out

if "$CARGO" nextest --version >/dev/null 2>&1; then
  profile=default
  if [ -n "${CI:-}" ]; then profile=ci; fi
  command=("$CARGO" nextest run --locked --profile "$profile" "$@")
  filter='all()'
  for ((at = 0; at < ${#left_out[@]}; at += 2)); do filter+=" and not test(/^${left_out[at]}::/)"; done
  if [ ${#left_out[@]} != 0 ]; then command+=(-E "$filter"); fi
else
  say 'cargo-nextest is not installed, so it is cargo test'
  command=("$CARGO" test --locked)
  if [ $# -gt 1 ]; then
    say 'cargo test takes one name'
    exit 2
  fi
  if [ $# = 1 ]; then command+=("$1"); fi
  if [ ${#left_out[@]} != 0 ]; then command+=(--); fi
  for ((at = 0; at < ${#left_out[@]}; at += 2)); do command+=(--skip "${left_out[at]}::"); done
fi
say "${command[*]}"
FFN_BRIDGE_MESSAGES=$(mktemp -d)
export FFN_BRIDGE_MESSAGES
trap 'rm -rf "$FFN_BRIDGE_MESSAGES"' EXIT
code=0
scripts/broker.sh with "${command[@]}" || code=$?
say_left_out
if [ -z "$(ls -A "$FFN_BRIDGE_MESSAGES")" ]; then
  say 'no test has received a message that the second validator could check'
elif python3 -c 'import jsonschema; jsonschema.Draft202012Validator.FORMAT_CHECKER' 2>/dev/null; then
  python3 scripts/validate.py "$FFN_BRIDGE_MESSAGES" || code=1
else
  say 'the second look at the messages is LEFT OUT: Python has no jsonschema 4 (Debian: python3-jsonschema)'
fi
exit "$code"
