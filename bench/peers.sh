#!/usr/bin/env bash
# Starts and stops the brokers that bench compares: ours, and the peers from Debian's packages.
#   peers.sh start NAME    in the foreground, on a loopback port of its own
#   peers.sh stop NAME     ends what `start` started, by the pid that it left, and waits for the end
#   peers.sh target NAME   the broker as bench wants it named
#   peers.sh names         all names
# relay passes bytes on without a look: what the machine allows. relay-log also syncs and confirms
# them: what a broker allows that does nothing else.
# ferrymq is target/release/ferrymq, and BENCH_FERRYMQ_ARGS go behind its own; the peers are programs of
# the packages rabbitmq-server mosquitto nats-server redis-server, whose services need not run.
# Data and pids are below BENCH_DIR (default: target/bench); a start keeps the data that is there.
# Ports are the 50 from BENCH_PORTS (default: 5800) on.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
dir=${BENCH_DIR:-$root/target/bench}
first=${BENCH_PORTS:-5800}
amqp_beside_port=$((first + 2))
dist_port=$((first + 48))
epmd_port=$((first + 49))
stop_seconds_max=120

target() {
  case $1 in
  ferrymq) echo "$1=amqp@127.0.0.1:$first" ;;
  ferrymq-mqtt) echo "$1=mqtt@127.0.0.1:$((first + 1)),user=guest" ;;
  rabbitmq) echo "$1=amqp@127.0.0.1:$((first + 10))" ;;
  mosquitto) echo "$1=mqtt@127.0.0.1:$((first + 20))" ;;
  mosquitto-nodelay) echo "$1=mqtt@127.0.0.1:$((first + 21))" ;;
  nats) echo "$1=nats@127.0.0.1:$((first + 30))" ;;
  relay) echo "$1=raw@127.0.0.1:$((first + 35))" ;;
  relay-log) echo "$1=raw-log@127.0.0.1:$((first + 36))" ;;
  redis) echo "$1=redis@127.0.0.1:$((first + 40))" ;;
  redis-everysec) echo "$1=redis@127.0.0.1:$((first + 41))" ;;
  redis-always) echo "$1=redis@127.0.0.1:$((first + 42))" ;;
  *) echo "unknown broker $1" >&2; exit 1 ;;
  esac
}

start_rabbitmq() { # PORT
  printf '%s\n' "listeners.tcp.1 = 127.0.0.1:$1" 'log.file.level = warning' > rabbitmq.conf
  echo '[].' > plugins
  mkdir -p mnesia log
  export HOME=$PWD RABBITMQ_NODENAME=bench@localhost RABBITMQ_PID_FILE=$PWD/node.pid
  export RABBITMQ_MNESIA_BASE=$PWD/mnesia RABBITMQ_LOG_BASE=$PWD/log
  export RABBITMQ_CONFIG_FILE=$PWD/rabbitmq.conf RABBITMQ_ENABLED_PLUGINS_FILE=$PWD/plugins
  export RABBITMQ_DIST_PORT=$dist_port ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$epmd_port
  # not the wrapper in the PATH: that one changes the user and the folder
  exec /usr/lib/rabbitmq/bin/rabbitmq-server
}

# Persistent sessions and retained messages are written at the end, as in the package's own
# configuration; no limit may lose a message of a load. By default Mosquitto lets the kernel hold
# short packets back: that is its cheapest way, and mosquitto-nodelay its quickest.
start_mosquitto() { # PORT NODELAY
  printf '%s\n' "listener $1 127.0.0.1" 'allow_anonymous true' "user $(id -un)" 'log_type error' \
    'persistence true' "persistence_location $PWD/" 'autosave_interval 1800' \
    'max_inflight_messages 1000' 'max_queued_messages 0' "set_tcp_nodelay $2" > mosquitto.conf
  PATH=$PATH:/usr/sbin exec mosquitto -c mosquitto.conf
}

start_nats() { # PORT
  printf '%s\n' "listen: 127.0.0.1:$1" \
    "jetstream { store_dir: \"$PWD\", max_file: 20G }" > nats.conf
  PATH=$PATH:/usr/sbin exec nats-server -c nats.conf
}

start_redis() { # PORT FSYNC
  local append=(--appendonly no)
  [ -z "$2" ] || append=(--appendonly yes --appendfsync "$2")
  exec redis-server --bind 127.0.0.1 --port "$1" --save '' "${append[@]}"
}

start() { # NAME
  local spec port
  spec=$(target "$1")
  port=${spec##*:}
  port=${port%%,*}
  mkdir -p "$dir/$1"
  cd "$dir/$1"
  echo $$ > pid
  ulimit -n "$(ulimit -H -n)" # for ten thousand connections
  case $1 in
  ferrymq) # shellcheck disable=SC2086
    exec "$root/target/release/ferrymq" serve --data-dir "$PWD/data" --amqp "127.0.0.1:$port" \
      --http off --prometheus off --mqtt off ${BENCH_FERRYMQ_ARGS:-} ;;
  ferrymq-mqtt) # shellcheck disable=SC2086
    exec "$root/target/release/ferrymq" serve --data-dir "$PWD/data" --mqtt "127.0.0.1:$port" \
      --amqp "127.0.0.1:$amqp_beside_port" --http off --prometheus off ${BENCH_FERRYMQ_ARGS:-} ;;
  rabbitmq) start_rabbitmq "$port" ;;
  mosquitto) start_mosquitto "$port" false ;;
  mosquitto-nodelay) start_mosquitto "$port" true ;;
  nats) start_nats "$port" ;;
  redis) start_redis "$port" '' ;;
  redis-*) start_redis "$port" "${1#redis-}" ;;
  relay) exec "$root/target/release/bench" relay --port "$port" ;;
  relay-log) exec "$root/target/release/bench" relay --port "$port" --log . ;;
  esac
}

stop() { # NAME
  local home=$dir/$1 pid waited=0
  [ -f "$home/pid" ] || return 0
  pid=$(cat "$home/pid")
  # a pid that another program has got since then works in another folder
  if [ "$(readlink "/proc/$pid/cwd" || true)" = "$(readlink -f "$home")" ]; then
    kill -TERM "$pid"
    while [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2> /dev/null; do
      sleep 0.1
      waited=$((waited + 1))
      if [ $waited -gt $((stop_seconds_max * 10)) ]; then
        echo "$1 does not end" >&2
        return 1
      fi
    done
  fi
  rm -f "$home/pid"
  # the port mapper that the node started would outlive it; it refuses while a node is left
  [ "$1" != rabbitmq ] || epmd -port $epmd_port -kill > /dev/null || true
}

case ${1:-} in
start | stop | target) "$1" "${2:?a name is wanted}" ;;
names)
  echo ferrymq ferrymq-mqtt rabbitmq mosquitto mosquitto-nodelay nats redis redis-everysec \
    redis-always relay relay-log ;;
*) sed -n '2,12s/^# \{0,1\}//p' "$0" ;;
esac
