#!/usr/bin/env bash
# Finds a Python with pika for the test of examples/caller.py, or brings one, and prints its path.
#
#   pika.sh find        exit 1 if there is none
#   pika.sh ensure      find, or else make a virtual environment in .run/pika, or else, if this is root on a system with
#                       apt-get, install the system's package; exit 1 if it can't be had
#
# Environment: PIKA_NO_INSTALL=1. All other words go to standard error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
VERSION=1.3.2
OWN=$PWD/.run/pika

say() { printf 'pika: %s\n' "$*" >&2; }
find_one() {
  local name path
  for name in "$OWN/bin/python" python3 /usr/bin/python3; do
    if path=$(command -v "$name") && "$path" -c 'import pika' >/dev/null 2>&1; then
      printf '%s\n' "$path"
      return 0
    fi
  done
  return 1
}
environment() { # an environment of its own with pika
  command -v python3 >/dev/null 2>&1 || return 1
  rm -rf "$OWN"
  python3 -m venv "$OWN" &&
    "$OWN/bin/python" -m pip install -q --disable-pip-version-check --retries 1 --timeout 20 "pika==$VERSION"
}
package() { # the system's
  command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || return 1
  local get=(env DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -q -o Acquire::Retries=1 -o Acquire::http::Timeout=20)
  "${get[@]}" update && "${get[@]}" install -y --no-install-recommends python3-pika
}
bring() {
  if [ -n "${PIKA_NO_INSTALL:-}" ]; then
    say 'not installed, and PIKA_NO_INSTALL is set'
    return 1
  fi
  say "bringing pika $VERSION into .run/pika"
  local log
  log=$(mktemp)
  if environment >"$log" 2>&1 </dev/null && find_one; then
    rm -f "$log"
    return 0
  fi
  rm -rf "$OWN"
  if package >>"$log" 2>&1 </dev/null && find_one; then
    say 'that failed, so it is the system package python3-pika'
    rm -f "$log"
    return 0
  fi
  tail -n 15 "$log" >&2
  say 'it could not be had; what was said is above (pip install pika, or Debian: python3-pika)'
  rm -f "$log"
  return 1
}

case ${1:-} in
find) find_one ;;
ensure) find_one || bring ;;
*)
  say 'find or ensure?'
  exit 2
  ;;
esac
