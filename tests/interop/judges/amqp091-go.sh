#!/usr/bin/env bash
# The integration suite of RabbitMQ's own Go client, unmodified, as Debian packages it.
set -u
. "$(dirname "$0")/../lib.sh"
source=/usr/share/gocode/src/github.com/rabbitmq/amqp091-go
if ! command -v go >/dev/null || [ ! -d "$source" ]; then
  echo "FAIL amqp091-go is not installed (apt-get install golang-go golang-github-rabbitmq-amqp091-go-dev)"
  echo "0 passed, 1 failed"
  exit 1
fi
# A path of our own: the suite is built as a package of a GOPATH, which must be writable.
go=$INTEROP_CACHE/go
mkdir -p "$go"
[ -d "$go/src" ] || cp -r /usr/share/gocode/src "$go/src"
report=$(mktemp); trap 'rm -f "$report"' EXIT
cd "$go/src/github.com/rabbitmq/amqp091-go" || exit 1
GOPATH=$go GO111MODULE=off GOCACHE=$INTEROP_CACHE/go-build \
  AMQP_URL="amqp://guest:guest@$HOST:$PORT/" \
  go test -v -tags integration -run '^Test' . >"$report" 2>&1
outcome=$?
while read -r _ result name _; do
  case $result in
  PASS:) good=$((good + 1)); echo "ok $name" ;;
  FAIL:) bad=$((bad + 1)); echo "FAIL $name" ;;
  esac
done < <(grep -E '^--- (PASS|FAIL): ' "$report")
check "the suite ends well" 0 "$outcome"
check "the suite ran" yes "$([ "$good" -gt 50 ] && echo yes)"
[ "$bad" = 0 ] || tail -60 "$report"
finish
