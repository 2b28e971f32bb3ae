#!/usr/bin/env bash
# Finds a RabbitMQ broker or brings one, and keeps private nodes for tests.
#
#   broker.sh ensure [--while PID]      print AMQP_URL=… of a broker that answers; see below which
#   broker.sh with CMD…                 run CMD with AMQP_URL set, end afterwards what was started for it
#   broker.sh release PID               PID needs the broker no longer: ends our own one if nobody else does
#   broker.sh stop                      end the broker that `ensure` started; never one that it found
#   broker.sh check [URL]               does a broker answer at URL and take the login? exit 0 if so
#   broker.sh delete URL KIND:NAME…     delete queues (`queue:NAME`) and exchanges (`exchange:NAME`)
#   broker.sh install                   install the system's rabbitmq-server package if there is none
#
#   broker.sh node start NAME DIR [PORT]   a node of its own in DIR; the second start finds its data and port again
#   broker.sh node stop DIR                an orderly stop; the data stays
#   broker.sh node kill DIR                kill -9. Let two seconds pass after declaring a quorum queue: RabbitMQ 3.10
#                                          writes their directory once a second, a younger one comes back empty
#   broker.sh node pause DIR               freeze it (SIGSTOP): connections stand, nobody answers
#   broker.sh node resume DIR              thaw it
#   broker.sh node url DIR                 print AMQP_URL=…
#   broker.sh node ctl DIR ARGS…           rabbitmqctl for this node (slow: it starts a virtual machine)
#
# `ensure` takes the first of these:
#   1. $AMQP_URL, if set: it must answer, nothing else is tried
#   2. a broker on the default port of this machine that takes guest/guest
#   3. the one that an earlier `ensure` started
#   4. a container, if a Docker engine answers
#   5. the system's package, installed if need be, as a node of our own
#
# Whatever is started here listens on 127.0.0.1 alone and lives in .run/broker under the project.
# Environment: BROKER_DEFAULT_PORT (5672), BROKER_RUN_DIR (.run/broker), BROKER_IMAGE (rabbitmq:4),
# BROKER_NO_DOCKER=1, BROKER_NO_INSTALL=1, BROKER_START_TIMEOUT (seconds, 90), RABBITMQ_SERVER (its start script).
# A `rabbitmq.config` in a node's DIR is left as it is: put one there before the start to set limits.
# Standard output carries results only, words for people go to standard error.
set -euo pipefail
export LC_ALL=C

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SELF=$ROOT/scripts/broker.sh
RUN_DIR=${BROKER_RUN_DIR:-$ROOT/.run/broker}
DEFAULT_PORT=${BROKER_DEFAULT_PORT:-5672}
IMAGE=${BROKER_IMAGE:-rabbitmq:4}
START_TIMEOUT=${BROKER_START_TIMEOUT:-90}
PATIENCE=5 # seconds for each byte of an answer

say() { printf '%s%s\n' "${BROKER_SAY-broker: }" "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# ---------------------------------------------------------------- AMQP, as much of it as is needed here
# Outgoing bytes are kept as printf escapes (\xHH), because a shell variable holds no NUL.

octets() { # octets VALUE COUNT: a big-endian number
  local hex i
  printf -v hex '%0*x' $(($2 * 2)) "$1"
  for ((i = 0; i < ${#hex}; i += 2)); do printf '\\x%s' "${hex:i:2}"; done
}
text() {
  local i byte
  for ((i = 0; i < ${#1}; i++)); do
    printf -v byte '%d' "'${1:i:1}"
    printf '\\x%02x' $((byte & 255))
  done
}
short_string() { octets ${#1} 1 && text "$1"; }
send_method() { # send_method CHANNEL PAYLOAD
  local frame
  frame="\\x01$(octets "$1" 2)$(octets $((${#2} / 4)) 4)$2\\xce"
  # shellcheck disable=SC2059 # the escapes are the point
  printf "$frame" >&3 2>/dev/null
}
read_octets() { # read_octets COUNT: sets HEX
  local i c byte
  HEX=
  for ((i = 0; i < $1; i++)); do
    IFS= read -r -d '' -n 1 -t "$PATIENCE" c <&3 2>/dev/null || return 1
    byte=0 # a NUL comes as nothing
    if [ -n "$c" ]; then printf -v byte '%d' "'$c"; fi
    printf -v HEX '%s%02x' "$HEX" $((byte & 255))
  done
}
read_method() { # sets METHOD to "class.method" in hexadecimal and ARGUMENTS
  local kind size
  while :; do
    read_octets 7 || return 1
    kind=${HEX:0:2} size=$((16#${HEX:6:8}))
    [ "$size" -le 131072 ] || return 1
    read_octets $((size + 1)) || return 1
    [ "$kind" = 01 ] && break # heartbeats are passed over
  done
  METHOD=${HEX:0:8}
  ARGUMENTS=${HEX:8}
}
hex_to_text() {
  local i out=
  for ((i = 0; i < ${#1}; i += 2)); do out+="\\x${1:i:2}"; done
  # shellcheck disable=SC2059
  printf "$out"
}

parse_url() { # sets SCHEME USER PASSWORD HOST PORT VHOST
  local rest authority
  case $1 in
  amqp://* | amqps://*) SCHEME=${1%%://*} ;;
  *) return 1 ;;
  esac
  rest=${1#*://} rest=${rest%%\?*} authority=${rest%%/*} VHOST=/
  if [ "$authority" != "$rest" ]; then VHOST=$(decode "${rest#*/}"); fi
  USER=guest PASSWORD=guest
  if [ "${authority%@*}" != "$authority" ]; then
    local login=${authority%@*}
    USER=$(decode "${login%%:*}")
    PASSWORD=
    if [ "${login#*:}" != "$login" ]; then PASSWORD=$(decode "${login#*:}"); fi
    authority=${authority##*@}
  fi
  PORT=5672
  if [ "$SCHEME" = amqps ]; then PORT=5671; fi
  case $authority in
  \[*\]:*) HOST=${authority%%\]*} HOST=${HOST#\[} PORT=${authority##*:} ;;
  \[*\]) HOST=${authority#\[} HOST=${HOST%\]} ;;
  *:*) HOST=${authority%%:*} PORT=${authority##*:} ;;
  *) HOST=$authority ;;
  esac
  case $PORT in '' | *[!0-9]*) return 1 ;; esac
  [ -n "$HOST" ]
}
decode() {
  local escaped=${1//\\/\\\\}
  printf '%b' "${escaped//%/\\x}"
}
public() { # the URL without its password
  if parse_url "$1"; then printf '%s at %s:%s, vhost %s' "$USER" "$HOST" "$PORT" "${VHOST:-/}"; else printf '%s' 'an address that is none'; fi
}

dial() { exec 3<>"/dev/tcp/$HOST/$PORT"; } 2>/dev/null

greet() { # a broker says Connection.Start
  printf 'AMQP\x00\x00\x09\x01' >&3 2>/dev/null && read_method && [ "$METHOD" = 000a000a ]
}
login() {
  local response
  response="\\x00$(text "$USER")\\x00$(text "$PASSWORD")"
  send_method 0 "$(octets 0x000a000b 4)$(octets 0 4)$(short_string PLAIN)$(octets $((${#response} / 4)) 4)$response$(short_string en_US)" || return 1
  read_method && [ "$METHOD" = 000a001e ]
}

# 0: a broker answers and takes the login. 1: nobody there. 2: no AMQP. 3: the login is refused. 4: no such URL.
probe_here() {
  parse_url "$1" || return 4
  (dial && exec 3>&-) 2>/dev/null || return 1
  if [ "$SCHEME" = amqps ]; then return 0; fi # TLS is more than a shell can speak: the port has to do
  dial || return 1
  greet || return 2
  login || return 3
  exec 3>&-
}
probe() {
  local code=0
  if command -v timeout >/dev/null 2>&1; then
    timeout 15 bash "$SELF" probe-here "$1" 2>/dev/null || code=$?
  else
    (probe_here "$1") 2>/dev/null || code=$?
  fi
  return "$code"
}
explain() { # explain CODE
  case $1 in
  1 | 124) printf 'nobody answers there' ;;
  2) printf 'something listens there, but it speaks no AMQP 0-9-1' ;;
  3) printf 'the broker there refuses this user and password' ;;
  4) printf 'it has to look like amqp://user:password@host:5672/%%2f' ;;
  *) printf 'it could not be asked (code %s)' "$1" ;;
  esac
}

delete() { # delete URL KIND:NAME…
  local url=$1 name payload failed=0
  PATIENCE=30 # a quorum queue takes its time
  shift
  parse_url "$url" || die "not an AMQP URL; it has to look like amqp://user:password@host:5672/%2f"
  [ "$SCHEME" = amqp ] || die 'delete speaks no TLS; use the management page or rabbitmqctl there'
  { dial && greet && login; } || die "cannot delete: no login as $(public "$url")"
  # TuneOk with the limits that the broker named, but no heartbeats; then Open.
  send_method 0 "$(octets 0x000a001f 4)$(octets "0x${ARGUMENTS:0:4}" 2)$(octets "0x${ARGUMENTS:4:8}" 4)$(octets 0 2)"
  send_method 0 "$(octets 0x000a0028 4)$(short_string "${VHOST:-/}")$(octets 0 2)"
  { read_method && [ "$METHOD" = 000a0029 ]; } || die "cannot delete: the vhost ${VHOST:-/} is refused"
  for name in "$@"; do
    send_method 1 "$(octets 0x0014000a 4)$(octets 0 1)" # Channel.Open
    { read_method && [ "$METHOD" = 0014000b ]; } || die 'cannot delete: the broker opens no channel'
    case $name in
    queue:*) payload="$(octets 0x00320028 4)$(octets 0 2)$(short_string "${name#*:}")$(octets 0 1)" ;;
    exchange:*) payload="$(octets 0x00280014 4)$(octets 0 2)$(short_string "${name#*:}")$(octets 0 1)" ;;
    *) die "delete what? queue:NAME or exchange:NAME, not '$name'" ;;
    esac
    send_method 1 "$payload"
    read_method || die "the broker hung up while deleting $name"
    case $METHOD in
    00320029 | 00280015)
      send_method 1 "$(octets 0x00140028 4)$(octets 200 2)$(short_string '')$(octets 0 4)" # Channel.Close
      read_method || :
      ;;
    00140028) # the broker closed the channel: a word why, then the next
      failed=1
      say "$name stays: $(hex_to_text "${ARGUMENTS:6:$((2 * 16#${ARGUMENTS:4:2}))}")"
      send_method 1 "$(octets 0x00140029 4)"
      ;;
    *) die "the broker answered $METHOD while deleting $name" ;;
    esac
  done
  send_method 0 "$(octets 0x000a0032 4)$(octets 200 2)$(short_string '')$(octets 0 4)" # Connection.Close
  read_method || :
  exec 3>&-
  return $failed
}

# ---------------------------------------------------------------- processes and ports

lives() { # a zombie does not
  local status
  kill -0 "$1" 2>/dev/null || return 1
  if [ -d /proc/self ]; then
    status=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    status=${status##*) }
    [ "${status:0:1}" != Z ]
  fi
}
command_line() {
  if [ -d /proc/self ]; then
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || :
  else
    ps -ww -o args= -p "$1" 2>/dev/null || :
  fi
}
alive() { # alive PID WORD: the process lives and still is the one we mean, not another with its number
  [ -n "$1" ] && lives "$1" || return 1
  case $(command_line "$1") in *"$2"*) return 0 ;; *) return 1 ;; esac
}
await_end() { # await_end PID WORD SECONDS
  local i
  for ((i = 0; i < $3 * 20; i++)); do
    alive "$1" "$2" || return 0
    sleep 0.05
  done
  return 1
}
free_port() { # below the range that the system hands out by itself
  local port i
  for ((i = 0; i < 200; i++)); do
    port=$((10240 + (RANDOM * 32768 + RANDOM) % 22000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || {
      printf '%s' "$port"
      return 0
    }
  done
  die 'found no free port on 127.0.0.1'
}

# ---------------------------------------------------------------- a node of our own

server_script() { # the start script itself: Debian's wrapper would change user and folders
  local candidate
  for candidate in "${RABBITMQ_SERVER:-}" /usr/lib/rabbitmq/bin/rabbitmq-server \
    /opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server /usr/local/opt/rabbitmq/sbin/rabbitmq-server; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      printf '%s' "$candidate"
      return 0
    fi
  done
  return 1
}
epmd_program() {
  local candidate erl
  candidate=$(command -v epmd 2>/dev/null || :)
  if [ -z "$candidate" ]; then
    erl=$(command -v erl 2>/dev/null || :)
    [ -n "$erl" ] || return 1
    candidate=$(dirname "$(readlink -f "$erl")")/epmd
  fi
  [ -x "$candidate" ] && printf '%s' "$candidate"
}
detached() { # runs it in a session of its own, so that no Ctrl-C of ours reaches it; the pid is $!
  if command -v setsid >/dev/null 2>&1; then exec setsid "$@"; else exec nohup "$@"; fi
}

# node.env in DIR holds NAME, PORT, DIST_PORT, EPMD_PORT; `pid` and `epmd.pid` the processes.
node_load() {
  [ -f "$1/node.env" ] || return 1
  # shellcheck disable=SC1091 # written by node_start
  . "$1/node.env"
}
node_pid() { cat "$1/$2" 2>/dev/null || :; }
node_runs() { alive "$(node_pid "$1" pid)" "$1"; }
node_url() { printf 'amqp://guest:guest@127.0.0.1:%s/%%2f' "$PORT"; }

node_environment() { # node_environment DIR: the lines for `env -i`
  printf '%s\n' "PATH=$PATH:/usr/sbin" "HOME=$1" LANG=C.UTF-8 \
    "RABBITMQ_CONF_ENV_FILE=$1/no-env.conf" "RABBITMQ_NODENAME=$NAME@localhost" \
    "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1" "RABBITMQ_NODE_PORT=$PORT" "RABBITMQ_DIST_PORT=$DIST_PORT" \
    "RABBITMQ_MNESIA_BASE=$1/data" "RABBITMQ_LOG_BASE=$1/log" \
    "RABBITMQ_CONFIG_FILE=$1/rabbitmq.config" "RABBITMQ_ENABLED_PLUGINS_FILE=$1/enabled_plugins" \
    "RABBITMQ_PID_FILE=$1/rabbitmq.pid" \
    "ERL_EPMD_ADDRESS=127.0.0.1" "ERL_EPMD_PORT=$EPMD_PORT" "ERL_CRASH_DUMP=/dev/null" \
    "RABBITMQ_SERVER_START_ARGS=-kernel inet_dist_use_interface {127,0,0,1}" \
    "RUNNING_UNDER_SYSTEMD=true" \
    "RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD=medium"
  # RUNNING_UNDER_SYSTEMD makes the script become the virtual machine instead of waiting beside it: one pid, one signal.
  # The waiting threads spin a moment before they sleep: where system calls are dear, a start takes a third of the time.
}

node_start() { # node_start NAME DIR [PORT]: prints nothing; PORT is set afterwards
  local name=$1 dir server epmd wanted_port=${3:-} attempt
  case $name in '' | *[!a-zA-Z0-9_-]*) die "a node's name has letters, digits, - and _ only, not '$name'" ;; esac
  mkdir -p "$2" && chmod 700 "$2"
  dir=$(cd "$2" && pwd)
  server=$(server_script) || die 'RabbitMQ is not installed here: scripts/broker.sh install'
  epmd=$(epmd_program) || die "found RabbitMQ at $server but no epmd: is Erlang installed?"
  if node_runs "$dir"; then
    node_load "$dir"
    return 0
  fi

  mkdir -p "$dir/data" "$dir/log"
  if [ ! -f "$dir/.erlang.cookie" ]; then
    od -An -N 20 -tx1 /dev/urandom | tr -d ' \n' >"$dir/.erlang.cookie"
    chmod 400 "$dir/.erlang.cookie"
  fi
  [ -f "$dir/enabled_plugins" ] || printf '[].\n' >"$dir/enabled_plugins"
  # 64 MiB instead of 512 for each write-ahead log: a test node needs no more, and small disks live.
  [ -f "$dir/rabbitmq.config" ] || printf '[{ra, [{wal_max_size_bytes, 67108864}]}].\n' >"$dir/rabbitmq.config"

  for attempt in 1 2 3; do
    if ! node_load "$dir" || [ "$attempt" -gt 1 ]; then
      NAME=$name PORT=${wanted_port:-$(free_port)} DIST_PORT=$(free_port) EPMD_PORT=$(free_port)
    elif [ -n "$wanted_port" ]; then
      PORT=$wanted_port
    fi
    [ "$NAME" = "$name" ] || die "$2 belongs to the node $NAME, not $name"
    printf 'NAME=%s PORT=%s DIST_PORT=%s EPMD_PORT=%s\n' "$NAME" "$PORT" "$DIST_PORT" "$EPMD_PORT" >"$dir/node.env"
    if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
      if [ -n "$wanted_port" ]; then die "port $PORT of 127.0.0.1 is taken, the node $NAME can't have it"; fi
    else
      if node_boot "$dir" "$server" "$epmd"; then return 0; fi
    fi
    [ "$attempt" = 3 ] || grep -qs -e eaddrinuse -e 'port.*in use' -e 'already in use' "$dir/log/start.log" || break
  done
  tail -n 20 "$dir/log/start.log" >&2 || :
  die "the node $NAME did not come up; its words are above and in $dir/log"
}

node_boot() { # one try; 1 if the node ended or did not answer in time
  local dir=$1 server=$2 epmd=$3 pid i line
  local -a environment=()
  while IFS= read -r line; do environment+=("$line"); done < <(node_environment "$dir")
  if ! alive "$(node_pid "$dir" epmd.pid)" "-port $EPMD_PORT"; then
    (cd "$dir" && detached "$epmd" -port "$EPMD_PORT" -address 127.0.0.1) >/dev/null 2>&1 </dev/null 3>&- 9>&- &
    printf '%s\n' "$!" >"$dir/epmd.pid"
  fi
  (cd "$dir" && detached env -i "${environment[@]}" "$server") >"$dir/log/start.log" 2>&1 </dev/null 3>&- 9>&- &
  pid=$!
  printf '%s\n' "$pid" >"$dir/pid"
  HOST=127.0.0.1
  for ((i = 0; i < START_TIMEOUT * 20; i++)); do
    if (dial && greet) 2>/dev/null; then
      node_runs "$dir" && return 0
    fi
    lives "$pid" || break
    sleep 0.05
  done
  node_end "$dir" KILL
  return 1
}

node_end() { # node_end DIR SIGNAL: the node, then its epmd
  local dir=$1 pid epmd_pid
  pid=$(node_pid "$dir" pid) epmd_pid=$(node_pid "$dir" epmd.pid)
  if alive "$pid" "$dir" || alive "$pid" rabbitmq-server; then
    kill -CONT "$pid" 2>/dev/null || :
    kill "-$2" "$pid" 2>/dev/null || :
    if ! await_end "$pid" "$dir" 30; then
      say "the node in $dir does not stop, it is killed"
      kill -KILL "$pid" 2>/dev/null || :
      await_end "$pid" "$dir" 10 || :
    fi
  fi
  if node_load "$dir" && alive "$epmd_pid" "-port $EPMD_PORT"; then
    kill "$epmd_pid" 2>/dev/null || :
    await_end "$epmd_pid" "-port $EPMD_PORT" 5 || :
  fi
  rm -f "$dir/pid" "$dir/epmd.pid"
}

node() {
  local verb=${1:-} dir
  shift || :
  if [ "$verb" = start ]; then
    [ $# -ge 2 ] || die 'usage: broker.sh node start NAME DIR [PORT]'
    node_start "$@"
    printf 'AMQP_URL=%s\n' "$(node_url)"
    return
  fi
  [ $# -ge 1 ] || die 'usage: broker.sh node start NAME DIR [PORT] | stop|kill|pause|resume|url DIR | ctl DIR ARGS…'
  if [ ! -d "$1" ]; then
    case $verb in stop | kill) return 0 ;; *) die "there is no node in $1" ;; esac
  fi
  dir=$(cd "$1" && pwd)
  shift
  case $verb in
  stop) node_end "$dir" TERM ;;
  kill) node_end "$dir" KILL ;;
  pause | resume)
    node_runs "$dir" || die "no node runs in $dir"
    if [ "$verb" = pause ]; then kill -STOP "$(node_pid "$dir" pid)"; else kill -CONT "$(node_pid "$dir" pid)"; fi
    ;;
  url)
    node_load "$dir" || die "there is no node in $dir"
    printf 'AMQP_URL=%s\n' "$(node_url)"
    ;;
  ctl)
    local line
    local -a environment=()
    node_load "$dir" || die "there is no node in $dir"
    while IFS= read -r line; do environment+=("$line"); done < <(node_environment "$dir")
    env -i "${environment[@]}" "$(dirname "$(server_script)")/rabbitmqctl" "$@"
    ;;
  *) die "node what? start, stop, kill, pause, resume, url or ctl, not '$verb'" ;;
  esac
}

# ---------------------------------------------------------------- the system's package

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    sudo "$@"
  else
    die "this needs root or sudo: $*"
  fi
}

install_package() {
  local policy=/usr/sbin/policy-rc.d brought_policy='' log=$RUN_DIR/install.log code=0
  server_script >/dev/null && return 0
  [ -z "${BROKER_NO_INSTALL:-}" ] || die 'RabbitMQ is not installed and BROKER_NO_INSTALL is set'
  command -v apt-get >/dev/null 2>&1 || die 'no broker to be had here: start RabbitMQ 3.10 or newer (for example
        docker run -d -p 127.0.0.1:5672:5672 rabbitmq:4) and set AMQP_URL=amqp://user:password@host:5672/%2f'
  mkdir -p "$RUN_DIR"
  say 'installing the package rabbitmq-server (its own service stays off); this takes a minute or two'
  # The package would start a broker on every network interface: this file tells it not to.
  if [ ! -e "$policy" ]; then
    brought_policy=1
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy"
  fi
  {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends rabbitmq-server
  } >"$log" 2>&1 </dev/null || code=$?
  if [ -n "$brought_policy" ]; then as_root rm -f "$policy"; fi
  if [ "$code" != 0 ]; then
    tail -n 15 "$log" >&2
    die 'the package rabbitmq-server could not be installed; what apt-get said is above'
  fi
  if command -v systemctl >/dev/null 2>&1; then
    as_root systemctl disable rabbitmq-server.service epmd.socket >/dev/null 2>&1 || :
  fi
  server_script >/dev/null || die 'rabbitmq-server is installed, but its start script is not where Debian puts it; set RABBITMQ_SERVER'
}

# ---------------------------------------------------------------- the broker that `ensure` brings

docker_answers() {
  [ -z "${BROKER_NO_DOCKER:-}" ] && command -v docker >/dev/null 2>&1 || return 1
  local -a limit=()
  if command -v timeout >/dev/null 2>&1; then limit=(timeout 10); fi
  ${limit[@]+"${limit[@]}"} docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}
container_url() { # of the container we remember, if it runs
  local id port
  id=$(cat "$RUN_DIR/container" 2>/dev/null) && [ -n "$id" ] || return 1
  port=$(docker port "$id" 5672/tcp 2>/dev/null | head -n 1) || return 1
  port=${port##*:}
  [ -n "$port" ] && printf 'amqp://guest:guest@127.0.0.1:%s/%%2f' "$port"
}
start_container() {
  local id url i name
  name=ffn-bridge-broker-$(printf '%s' "$ROOT" | cksum | cut -d ' ' -f 1)
  docker rm -f "$name" >/dev/null 2>&1 || :
  say "starting the container $name ($IMAGE)"
  id=$(docker run -d --name "$name" --label ffn-bridge=broker -p 127.0.0.1::5672 "$IMAGE") || return 1
  printf '%s\n' "$id" >"$RUN_DIR/container"
  for ((i = 0; i < START_TIMEOUT; i++)); do
    if url=$(container_url) && (probe_here "$url") 2>/dev/null; then return 0; fi
    sleep 1
  done
  docker logs --tail 20 "$id" >&2 || :
  docker rm -f "$id" >/dev/null 2>&1 || :
  rm -f "$RUN_DIR/container"
  return 1
}
own_url() { # of the broker that an earlier `ensure` started
  local url
  if [ -f "$RUN_DIR/container" ] && url=$(container_url) && probe "$url"; then
    printf '%s' "$url"
  elif [ -d "$RUN_DIR/node" ] && node_runs "$(cd "$RUN_DIR/node" && pwd)" && node_load "$RUN_DIR/node"; then
    node_url
  else
    return 1
  fi
}

lock() { # one at a time in RUN_DIR
  mkdir -p "$RUN_DIR/users"
  if command -v flock >/dev/null 2>&1; then
    exec 9>"$RUN_DIR/lock"
    flock 9
  fi
}
unlock() { exec 9>&- || :; }

ensure() { # ensure [PID]: prints the URL
  local url code=0 user=${1:-kept}
  if [ -n "${AMQP_URL:-}" ]; then
    probe "$AMQP_URL" || code=$?
    [ "$code" = 0 ] || die "AMQP_URL is set ($(public "$AMQP_URL")), but $(explain "$code"). Mend it or unset it."
    say "using AMQP_URL: $(public "$AMQP_URL")"
    printf '%s' "$AMQP_URL"
    return
  fi
  url="amqp://guest:guest@127.0.0.1:$DEFAULT_PORT/%2f"
  probe "$url" || code=$?
  if [ "$code" = 0 ]; then
    say "using the broker of this machine: $(public "$url")"
    printf '%s' "$url"
    return
  fi
  if [ "$code" != 1 ]; then say "not using 127.0.0.1:$DEFAULT_PORT: $(explain "$code"). Set AMQP_URL if it is the one you mean."; fi
  lock
  printf '%s\n' "$user" >"$RUN_DIR/users/$user"
  if url=$(own_url); then
    say "using the broker that was started here before: $(public "$url")"
  elif docker_answers && start_container; then
    url=$(container_url)
    say "using it: $(public "$url")"
  else
    install_package
    node_start ffn-bridge "$RUN_DIR/node"
    url=$(node_url)
    say "started a RabbitMQ node of our own: $(public "$url"), files in ${RUN_DIR#"$ROOT"/}/node"
  fi
  unlock
  printf '%s' "$url"
}

stop() {
  lock
  if [ -f "$RUN_DIR/container" ]; then
    docker rm -f "$(cat "$RUN_DIR/container")" >/dev/null 2>&1 || :
    say 'removed the container that was started here'
    rm -f "$RUN_DIR/container"
  fi
  if [ -d "$RUN_DIR/node" ]; then
    node_end "$(cd "$RUN_DIR/node" && pwd)" TERM
    rm -rf "$RUN_DIR/node"
    say 'stopped the node that was started here'
  fi
  rm -rf "$RUN_DIR/users"
  unlock
}

release() { # release PID
  local user
  rm -f "$RUN_DIR/users/$1"
  [ -d "$RUN_DIR/users" ] || return 0
  for user in "$RUN_DIR"/users/*; do
    [ -e "$user" ] || continue
    user=${user##*/}
    if [ "$user" = kept ] || kill -0 "$user" 2>/dev/null; then return 0; fi
    rm -f "$RUN_DIR/users/$user"
  done
  stop
}

with() {
  local url code=0
  [ $# -gt 0 ] || die 'usage: broker.sh with CMD…'
  trap 'release $$' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  url=$(ensure $$)
  AMQP_URL=$url "$@" || code=$?
  exit "$code"
}

usage() { awk 'NR > 1 && /^#/ { sub(/^# ?/, ""); print; next } NR > 1 { exit }' "$SELF"; }

main() {
  local verb=${1:-help}
  shift || :
  case $verb in
  ensure)
    local user=kept url
    if [ "${1:-}" = --while ]; then user=${2:?--while needs a process id}; fi
    url=$(ensure "$user")
    printf 'AMQP_URL=%s\n' "$url"
    ;;
  with) with "$@" ;;
  release) release "${1:?release needs a process id}" ;;
  stop) stop ;;
  check)
    local code=0 url=${1:-${AMQP_URL:-amqp://guest:guest@127.0.0.1:$DEFAULT_PORT/%2f}}
    probe "$url" || code=$?
    if [ "$code" != 0 ]; then die "$(public "$url"): $(explain "$code")"; fi
    say "$(public "$url"): answers"
    ;;
  delete)
    [ $# -ge 2 ] || die 'usage: broker.sh delete URL queue:NAME|exchange:NAME…'
    delete "$@"
    ;;
  install) install_package ;;
  node) node "$@" ;;
  probe-here) probe_here "$1" ;;
  help | --help | -h) usage ;;
  *)
    usage >&2
    exit 2
    ;;
  esac
}
main "$@"
