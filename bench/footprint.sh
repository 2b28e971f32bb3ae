#!/usr/bin/env bash
# Measures what the bridge costs while nothing happens, and how long it takes to be ready.
#
#   bench/footprint.sh [STARTS] [IDLE_SECONDS]     default: 9 starts, 60 seconds
#
# One account, both feeds, the simulator as FFN, a broker that is up. Printed, not asserted; the aims are
# less than 40 MB resident and ready in less than 1 s. Takes the release program if it has been built, else
# the dev one; BIN=target/debug chooses. The broker: $AMQP_URL, or what scripts/broker.sh finds or brings.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

STARTS=${1:-9} IDLE=${2:-60}
if [ -z "${BIN:-}" ]; then
  BIN=target/debug
  if [ -x target/release/ffn-bridge ] && [ -x target/release/ffn-simulator ]; then BIN=target/release; fi
fi
if [ ! -x "$BIN/ffn-bridge" ] || [ ! -x "$BIN/ffn-simulator" ]; then
  echo "footprint: $BIN holds no programs; run cargo build first" >&2
  exit 1
fi
if [ -z "${AMQP_URL:-}" ]; then
  found=$(scripts/broker.sh ensure --while $$)
  AMQP_URL=${found#AMQP_URL=}
fi

DIR=$(mktemp -d)
NAME=footprint.$$
SIMULATOR='' BRIDGE=''
end() {
  if [ -n "$BRIDGE" ]; then kill -9 "$BRIDGE" 2>/dev/null || true; fi
  if [ -n "$SIMULATOR" ]; then kill "$SIMULATOR" 2>/dev/null || true; fi
  items=()
  for queue in "$NAME.commands" "$NAME.commands.dead" "$NAME.commands.wait."{10s,1m,10m}; do
    items+=("queue:$queue" "exchange:$queue")
  done
  items+=("exchange:$NAME.events" "exchange:$NAME.results" "exchange:$NAME.commands.retry")
  scripts/broker.sh delete "$AMQP_URL" "${items[@]}" >/dev/null 2>&1 || true
  rm -rf "$DIR"
}
trap end EXIT

"$BIN/ffn-simulator" --listen 127.0.0.1:0 --speed 0 >"$DIR/simulator" 2>&1 &
SIMULATOR=$!
until base=$(sed -n 's/^listening on //p' "$DIR/simulator") && [ -n "$base" ]; do sleep 0.05; done

cat >"$DIR/ffn-bridge.toml" <<CONFIG
[broker]
url = "$AMQP_URL"
events_exchange = "$NAME.events"
commands_exchange = "$NAME.commands"
results_exchange = "$NAME.results"
commands_queue = "$NAME.commands"
dead_letter_queue = "$NAME.commands.dead"

[store]
url = "sqlite:$DIR/bridge.db"

[http]
listen = "127.0.0.1:0"

[log]
format = "json"

[[accounts]]
name = "acme"
role = "merchant"
client_id = "demo-client"
client_secret = "demo-secret"
base_url = "$base/api"
authorize_url = "$base/authorize"
token_url = "$base/token"
CONFIG
run() { "$BIN/ffn-bridge" --config "$DIR/ffn-bridge.toml" "$@"; }
echo demo-refresh-token | run login acme --refresh-token - >/dev/null

now() { printf '%s' "${EPOCHREALTIME/./}"; }
start() { # sets BRIDGE, ADMIN and READY (milliseconds from the start of the process)
  local begun
  : >"$DIR/log"
  begun=$(now)
  "$BIN/ffn-bridge" --config "$DIR/ffn-bridge.toml" run 2>"$DIR/log" &
  BRIDGE=$!
  until ADMIN=$(sed -n 's/.*"admin":"\([^"]*\)".*/\1/p' "$DIR/log") && [ -n "$ADMIN" ]; do sleep 0.005; done
  # Ready is: /readyz says so, and commands are taken.
  until curl -sf "http://$ADMIN/readyz" >/dev/null && grep -q 'taking commands' "$DIR/log"; do
    kill -0 "$BRIDGE" 2>/dev/null || {
      cat "$DIR/log" >&2
      exit 1
    }
    sleep 0.005
  done
  READY=$((($(now) - begun) / 1000))
}
stop() {
  kill "$BRIDGE"
  wait "$BRIDGE" || true
  BRIDGE=''
}

start # makes the topology
first=$READY
stop
times=()
for ((i = 0; i < STARTS; i++)); do
  start
  times+=("$READY")
  stop
done
median=$(printf '%s\n' "${times[@]}" | sort -n | sed -n "$(((STARTS + 1) / 2))p")

start
sleep "$IDLE"
rss=$(awk '/^VmRSS/ {print $2}' "/proc/$BRIDGE/status")
parts=$(awk '/^Rss(Anon|File)/ {printf " %s %.1f MB", tolower(substr($1, 4, 4)), $2 / 1024}' "/proc/$BRIDGE/status")
threads=$(awk '/^Threads/ {print $2}' "/proc/$BRIDGE/status")
ticks=$(awk '{print $14 + $15}' "/proc/$BRIDGE/stat")
cpu=$(awk -v ticks="$ticks" -v hertz="$(getconf CLK_TCK)" -v idle="$IDLE" 'BEGIN {printf "%.2f", 100 * ticks / hertz / idle}')
stop

echo "program      $BIN/ffn-bridge"
echo "idle         $(awk -v kb="$rss" 'BEGIN {printf "%.1f", kb / 1024}') MB resident after $IDLE s (aim: less than 40):$parts; $threads threads; $cpu % of a processor"
echo "ready        $median ms, median of $STARTS starts (aim: less than 1000): ${times[*]}"
echo "first start  $first ms, with the exchanges and queues to make"
