#!/usr/bin/env bash
# Looks for what a build needs beside Rust, and installs what is missing where that is possible: a C compiler,
# for SQLite and the TLS provider. Says so if it does; silent if all is there.
set -euo pipefail

say() { printf 'tools: %s\n' "$*" >&2; }
if ! command -v cargo >/dev/null 2>&1; then
  say 'Rust is missing: install it as https://rustup.rs says, then open a new shell'
  exit 1
fi
if command -v cc >/dev/null 2>&1; then exit 0; fi

root=''
if [ "$(id -u)" != 0 ]; then root=sudo; fi
if ! command -v apt-get >/dev/null 2>&1 || { [ -n "$root" ] && ! command -v sudo >/dev/null 2>&1; }; then
  say 'a C compiler (cc) is missing: install gcc or clang with the header files of the C library'
  exit 1
fi
say 'installing gcc and the C library header files'
log=$(mktemp)
if ! { $root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
  $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends gcc libc6-dev; } >"$log" 2>&1 </dev/null; then
  tail -n 15 "$log" >&2
  say 'they could not be installed; what apt-get said is above'
  exit 1
fi
rm -f "$log"
