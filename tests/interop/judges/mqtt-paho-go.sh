#!/usr/bin/env bash
# The functional suite of Eclipse's client for Go (3.1.1), as Debian packages it. Its port is ours;
# left out are two cases that want a broker which is too slow to answer before the client goes.
set -u
. "$(dirname "$0")/../lib.sh"
package=github.com/eclipse/paho.mqtt.golang
if ! command -v go >/dev/null || [ ! -d "/usr/share/gocode/src/$package" ]; then
  echo "FAIL paho.mqtt.golang is not installed (apt-get install golang-go golang-github-eclipse-paho.mqtt.golang-dev)"
  echo "0 passed, 1 failed"
  exit 1
fi
# A path of our own: the suite is built as a package of a GOPATH, which must be writable.
go=$(mktemp -d); trap 'rm -rf "$go"' EXIT
cp -r /usr/share/gocode/src "$go/src"
cd "$go/src/$package" || exit 1
sed -i "s/:1883/:$MQTT_PORT/" fvt_test.go
sed -i 's/^func Test_cleanUpMids/func leftOut/' fvt_client_test.go
GOPATH=$go GO111MODULE=off GOCACHE=$INTEROP_CACHE/go-build TEST_FVT_ADDR=$HOST \
  go test -v -vet=off -run '^Test' fvt_*.go $(ls ./*.go | grep -v _test.go) >"$go/report" 2>&1
outcome=$?
while read -r _ result name _; do
  case $result in
  PASS:) good=$((good + 1)); echo "ok $name" ;;
  FAIL:) bad=$((bad + 1)); echo "FAIL $name" ;;
  esac
done < <(grep -E '^--- (PASS|FAIL): ' "$go/report")
check "the suite ends well" 0 "$outcome"
check "the suite ran" yes "$([ "$good" -gt 20 ] && echo yes)"
[ "$bad" = 0 ] || tail -60 "$go/report"
finish
