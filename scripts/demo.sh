#!/usr/bin/env bash
# An order's way through the bridge, on this machine, in about a minute: `make demo`.
#
#   demo.sh            brings a broker, starts the simulator and the bridge, sends an order, shows its events
#                      until it is dispatched, and ends everything it started
#   demo.sh --keep     the same, but leaves it all running (`make demo KEEP=1`)
#   demo.sh stop       ends what --keep left (`make demo-stop`)
#
# Environment: DEMO_SPEED (how much faster than life the simulator's warehouse works: a step takes 60 s / speed, 15), DEMO_DEADLINE (seconds for the order to be
# dispatched, 120), DEMO_BIN (folder with both programs: nothing is built), AMQP_URL and what scripts/broker.sh knows.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

KEPT=.run/demo-kept # a running demo's folder: --keep leaves it here
SPEED=${DEMO_SPEED:-15}
DEADLINE=${DEMO_DEADLINE:-120}
BIN=${DEMO_BIN:-${CARGO_TARGET_DIR:-target}/debug}

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' BLUE=$'\e[34m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' GREEN='' RED='' BLUE='' PLAIN=''
fi
step() { printf '\n%s▸ %s%s\n' "$BOLD" "$*" "$PLAIN"; }
note() { printf '  %s\n' "$*"; }
fail() {
  printf '\n%s✗ %s%s\n' "$RED" "$*" "$PLAIN" >&2
  local log
  for log in simulator.log bridge.log tail.err send.log; do
    if [ -s "$DIR/$log" ]; then
      printf '\n%s--- the end of %s%s\n' "$DIM" "$log" "$PLAIN" >&2
      tail -n 15 "$DIR/$log" >&2
    fi
  done
  exit 1
}

# ---------------------------------------------------------------- processes, ports, HTTP

lives() { # a zombie does not
  local status
  kill -0 "$1" 2>/dev/null || return 1
  if [ -d /proc/self ]; then
    status=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    status=${status##*) }
    [ "${status:0:1}" != Z ]
  fi
}
end() { # end PID: asks, waits, insists
  local i
  lives "$1" || return 0
  kill "$1" 2>/dev/null || return 0
  for ((i = 0; i < 150; i++)); do
    lives "$1" || return 0
    sleep 0.1
  done
  kill -9 "$1" 2>/dev/null || :
}
free_port() {
  local port i
  for ((i = 0; i < 200; i++)); do
    port=$((10240 + (RANDOM * 32768 + RANDOM) % 22000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || {
      printf '%s' "$port"
      return 0
    }
  done
  return 1
}
get() { # get PORT PATH: prints the body; 1 unless the answer is 200. No curl: a Rust machine need not have it.
  local answer
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$2" >&3 || return 1
    answer=$(cat <&3) || return 1
    exec 3>&-
  } 2>/dev/null
  case $answer in 'HTTP/1.'?' 200'*) ;; *) return 1 ;; esac
  answer=${answer#*$'\r\n\r\n'}
  printf '%s\n' "$answer"
}
wait_for() { # wait_for SECONDS WHAT PIDS CMD…: until CMD says yes; fails at once if one of PIDS dies
  local seconds=$1 what=$2 pids=$3 until pid
  shift 3
  until=$((SECONDS + seconds))
  while ! "$@" >/dev/null 2>&1; do
    for pid in $pids; do
      lives "$pid" || fail "$what: a program ended before its time"
    done
    [ "$SECONDS" -lt "$until" ] || fail "$what: nothing after $seconds seconds"
    sleep 0.2
  done
}

# ---------------------------------------------------------------- ending it

# What the bridge declares for the configuration below; with one waiting step, so that this list stays short.
NAMES='queue:ffn-demo.commands queue:ffn-demo.commands.dead queue:ffn-demo.commands.wait.10s
  exchange:ffn-demo.events exchange:ffn-demo.commands exchange:ffn-demo.results
  exchange:ffn-demo.commands.dead exchange:ffn-demo.commands.retry exchange:ffn-demo.commands.wait.10s'
take_down() { # everything that DIR remembers, in the order that lets the bridge drain
  local file
  for file in tail bridge; do
    if [ -f "$DIR/$file.pid" ]; then end "$(cat "$DIR/$file.pid")"; fi
  done
  if [ -f "$DIR/broker.url" ]; then
    # shellcheck disable=SC2086 # a list of words
    scripts/broker.sh delete "$(cat "$DIR/broker.url")" $NAMES >/dev/null || :
  fi
  if [ -f "$DIR/simulator.pid" ]; then end "$(cat "$DIR/simulator.pid")"; fi
  if [ -f "$DIR/broker.user" ]; then scripts/broker.sh release "$(cat "$DIR/broker.user")" || :; fi
  rm -rf "$DIR"
}

KEEP='' VERB=run
for argument in "$@"; do
  case $argument in
  --keep) KEEP=1 ;;
  stop) VERB=stop ;;
  *)
    printf 'usage: %s [--keep | stop]\n' "$0" >&2
    exit 2
    ;;
  esac
done

if [ "$VERB" = stop ]; then
  if [ ! -d "$KEPT" ]; then
    note 'no demo is running'
    exit 0
  fi
  DIR=$KEPT
  take_down
  note 'the demo is stopped, nothing of it is left'
  exit 0
fi
if [ -d "$KEPT" ]; then
  printf 'A demo is already running (%s). End it first: make demo-stop\n' "$KEPT" >&2
  exit 1
fi

mkdir -p .run
if [ -n "$KEEP" ]; then
  DIR=$KEPT
  mkdir "$DIR"
else
  DIR=$(mktemp -d .run/demo-XXXXXX)
fi
leave() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "$KEEP" ] && [ "$code" = 0 ]; then exit 0; fi
  take_down
  exit "$code"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# What has to live on after this script starts in a session of its own, out of reach of Ctrl-C and hang-up.
detached() { if command -v setsid >/dev/null 2>&1; then exec setsid "$@" 4>&-; else exec nohup "$@" 4>&-; fi; }

# ---------------------------------------------------------------- the demo

printf '%sAn order through ffn-bridge%s: RabbitMQ → bridge → FFN (simulated) → bridge → RabbitMQ\n' "$BOLD" "$PLAIN"

exec 4>&1 # its words are part of the story
step 'A broker'
user=$$
if [ -n "$KEEP" ]; then user=kept; fi
printf '%s\n' "$user" >"$DIR/broker.user"
export BROKER_SAY='  ' # how its lines begin
line=$(scripts/broker.sh ensure --while "$user" 2>&4 4>&-)
broker_url=${line#AMQP_URL=}
(umask 077 && printf '%s\n' "$broker_url" >"$DIR/broker.url")

if [ -z "${DEMO_BIN:-}" ]; then
  step 'The programs (the first build takes some minutes)'
  started=$SECONDS
  cargo build --bins --locked || fail 'the build failed'
  note "built in $((SECONDS - started)) s"
fi

step 'FFN: the simulator'
detached "$BIN/ffn-simulator" --listen 127.0.0.1:0 --seed 7 --speed "$SPEED" \
  --client-id demo-client --client-secret demo-secret --initial-refresh-token demo-refresh-token \
  >"$DIR/simulator.log" 2>&1 </dev/null &
simulator=$!
printf '%s\n' "$simulator" >"$DIR/simulator.pid"
wait_for 15 'the simulator does not come up' "$simulator" grep -q 'listening on http://' "$DIR/simulator.log"
ffn=$(grep -o -m 1 'http://[0-9.:]*' "$DIR/simulator.log")
note "$ffn/api"

step 'The bridge'
http=$(free_port)
# An absolute path: the bridge may read it as relative to the configuration or to the working folder.
store=$(cd "$DIR" && pwd)/ffn-bridge.db
(
  umask 077
  cat >"$DIR/ffn-bridge.toml" <<EOF
# Written by scripts/demo.sh: exchanges and queues have names of their own, so nothing of yours is touched.
[broker]
url = "$broker_url"
events_exchange = "ffn-demo.events"
commands_exchange = "ffn-demo.commands"
results_exchange = "ffn-demo.results"
commands_queue = "ffn-demo.commands"
dead_letter_queue = "ffn-demo.commands.dead"

[commands]
retry_steps = ["10s"]

[store]
url = "sqlite:$store"

[http]
listen = "127.0.0.1:$http"

[[accounts]]
name = "acme"
role = "merchant"
base_url = "$ffn/api"
authorize_url = "$ffn/authorize"
token_url = "$ffn/token"
client_id = "demo-client"
client_secret = "demo-secret"
poll_interval = "1s"
overlap = "30s"
safety_lag = "1s"
rate_limit = "50/s"
EOF
)
bridge() { "$BIN/ffn-bridge" --config "$DIR/ffn-bridge.toml" "$@"; }
printf 'demo-refresh-token\n' | bridge login acme --refresh-token - >"$DIR/bridge.log" 2>&1 ||
  fail 'signing in to the simulator failed'
detached "$BIN/ffn-bridge" --config "$DIR/ffn-bridge.toml" run >>"$DIR/bridge.log" 2>&1 </dev/null &
bridge=$!
printf '%s\n' "$bridge" >"$DIR/bridge.pid"
wait_for 30 'the bridge does not get ready' "$simulator $bridge" get "$http" /readyz
note "ready: http://127.0.0.1:$http"

step "An order, as a shop would place it: a message with the key acme.outbound.create"
number=DEMO-$(date +%Y%m%d-%H%M%S)-$$
cat >"$DIR/order.json" <<EOF
{
  "merchantOutboundNumber": "$number",
  "warehouseId": "WARE04MAIN-00001-0001",
  "currency": "EUR",
  "shippingAddress": {
    "firstname": "Ada", "lastname": "Lovelace", "street": "St. James's Square 12",
    "zip": "10115", "city": "Berlin", "country": "DE"
  },
  "items": [
    {"outboundItemId": "1", "merchantSku": "MUG-BLUE", "name": "Mug, blue", "quantity": 2, "price": 9.90, "vat": 19}
  ]
}
EOF
: >"$DIR/tail.log"
detached "$BIN/ffn-bridge" --config "$DIR/ffn-bridge.toml" tail 'acme.#' >"$DIR/tail.log" 2>"$DIR/tail.err" </dev/null &
tailing=$!
printf '%s\n' "$tailing" >"$DIR/tail.pid"
wait_for 15 'ffn-bridge tail does not come up' "$simulator $bridge $tailing" grep -q '^listening' "$DIR/tail.err"
begun=$SECONDS
note "2 × MUG-BLUE to Berlin, the shop calls it $number"
bridge send acme.outbound.create "$DIR/order.json" --wait >"$DIR/send.log" 2>&1 </dev/null || fail 'the order was not accepted'
outbound=$(grep -o '"outboundId" *: *"[^"]*"' "$DIR/send.log" | head -n 1 | sed 's/.*"\([^"]*\)"$/\1/' || :)
[ -n "$outbound" ] || fail "the result names no outbound"
note "the result is back: FFN took it and calls it $outbound"
printf '  %s│%s %s…\n' "$BLUE" "$PLAIN" "$(head -c 190 "$DIR/send.log" | tr -d '\n')"

step "Its events, as \`ffn-bridge tail 'acme.#'\` shows them"
# The two feeds are polled apart, so the parcel may be told of before its order's last status; it is shown after it.
shown=0 shipped='' parcel='' dispatched='' until=$((SECONDS + DEADLINE))
while [ -z "$shipped" ] || [ -z "$dispatched" ]; do
  total=$(wc -l <"$DIR/tail.log")
  while [ "$shown" -lt "$total" ]; do
    shown=$((shown + 1))
    line=$(sed -n "${shown}p" "$DIR/tail.log")
    case $line in
    *acme.shipment.dispatched*) parcel=$line ;;
    *) printf '  %s│%s %s\n' "$BLUE" "$PLAIN" "$line" ;;
    esac
    case $line in
    *acme.outbound.shipped*"$number"*) shipped=yes ;;
    *acme.shipment.dispatched*"$number"*) # the words after the order's number: status, then carrier and tracking number
      dispatched=$(printf '%s' "${line#*"$number"}" | awk -F '  +' '{ for (i = NF; i > 0; i--) if ($i !~ /:\/\// && $i != "") { print $i; exit } }')
      [ -n "$dispatched" ] || fail 'shipment.dispatched came without a tracking number'
      ;;
    esac
  done
  for pid in $simulator $bridge $tailing; do
    lives "$pid" || fail 'a program ended before its time'
  done
  [ "$SECONDS" -lt "$until" ] || fail "the order was not dispatched within $DEADLINE seconds"
  sleep 0.2
done
printf '  %s│%s %s\n' "$BLUE" "$PLAIN" "$parcel"
took=$((SECONDS - begun))
dispatched_counted() { get "$http" /metrics | grep -q '^ffn_bridge_events_published_total{.*shipment\.dispatched.* [1-9]'; }
wait_for 10 'shipment.dispatched does not show in /metrics' "$bridge" dispatched_counted

step "What the bridge counted (http://127.0.0.1:$http/metrics)"
get "$http" /metrics >"$DIR/metrics.txt" || fail 'the bridge shows no metrics'
for metric in 'commands_total{.*outbound\.create' 'events_published_total{.*shipment\.dispatched' 'event_delay_seconds_(sum|count)' \
  'journal_pending_events{'; do
  grep -E "^ffn_bridge_${metric//\{/\\\{}" "$DIR/metrics.txt" | grep -v -E 'commands_total.* 0$' | head -n 2 | sed 's/^/  /' || :
done

printf '\n%s✓ From a message to a parcel in %s s: order %s, %s, %s events.%s\n' "$GREEN" "$took" "$number" "$dispatched" "$shown" "$PLAIN"

if [ -n "$KEEP" ]; then
  end "$tailing"
  rm -f "$DIR/tail.pid"
  cat <<EOF

It all goes on running: the bridge at http://127.0.0.1:$http (/metrics, /readyz), the simulator at $ffn. To look around:
  export FFN_BRIDGE_CONFIG=$DIR/ffn-bridge.toml
  $BIN/ffn-bridge check
  $BIN/ffn-bridge tail 'acme.#'
  sed 's/DEMO-/AGAIN-/' $DIR/order.json | $BIN/ffn-bridge send acme.outbound.create --wait
  tail -f $DIR/bridge.log
To end it: make demo-stop
EOF
fi
