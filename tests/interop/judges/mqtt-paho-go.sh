#!/usr/bin/env bash
# The functional suite of Eclipse's client for Go (3.1.1), as Debian packages it. Its port is ours;
# left out are two cases that want a broker which is too slow to answer before the client goes.
set -u
. "$(dirname "$0")/../lib.sh"
go_source github.com/eclipse/paho.mqtt.golang golang-github-eclipse-paho.mqtt.golang-dev
sed -i "s/:1883/:$MQTT_PORT/" fvt_test.go
sed -i 's/^func Test_cleanUpMids/func leftOut/' fvt_client_test.go
mapfile -t sources < <(ls ./*.go | grep -v _test.go)
TEST_FVT_ADDR=$HOST go_suite 20 -vet=off fvt_*.go "${sources[@]}"
