#!/usr/bin/env bash
# Finds headless Chromium and its driver for the browser tests, or installs the system's packages.
#
#   chromium.sh find        exit 0 if both are here
#   chromium.sh ensure      find, or else install if this is root on a system with apt-get; exit 1 if they can't be had
#   chromium.sh install     the same, and asks sudo if this is not root
#
# Environment: CHROMIUM_NO_INSTALL=1. All words go to standard error.
set -euo pipefail

say() { printf 'chromium: %s\n' "$*" >&2; }
find_both() {
  command -v chromedriver >/dev/null 2>&1 || return 1
  local name
  for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then return 0; fi
  done
  return 1
}
install() { # install [sudo]
  if [ -n "${CHROMIUM_NO_INSTALL:-}" ]; then
    say 'not installed, and CHROMIUM_NO_INSTALL is set'
    return 1
  fi
  if ! command -v apt-get >/dev/null 2>&1; then
    say 'not installed: put chromium (or google-chrome) and a chromedriver of the same version into PATH'
    return 1
  fi
  local root=()
  if [ "$(id -u)" != 0 ]; then
    if [ $# = 0 ]; then
      say 'not installed: scripts/chromium.sh install does it with sudo'
      return 1
    fi
    root=("$1")
  fi
  say 'installing chromium and chromium-driver (up to a minute)'
  local log
  log=$(mktemp)
  # A machine without a way to the packages is told so soon.
  local get=("${root[@]}" env DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -q -o Acquire::Retries=1 -o Acquire::http::Timeout=20)
  if ! { "${get[@]}" update && "${get[@]}" install -y --no-install-recommends chromium chromium-driver; } >"$log" 2>&1 </dev/null ||
    ! find_both; then
    tail -n 15 "$log" >&2
    say 'they could not be installed; what apt-get said is above'
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

case ${1:-} in
find) find_both ;;
ensure) find_both || install ;;
install) find_both || install sudo ;;
*)
  say 'find, ensure or install?'
  exit 2
  ;;
esac
