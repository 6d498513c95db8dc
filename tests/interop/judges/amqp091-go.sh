#!/usr/bin/env bash
# The integration suite of RabbitMQ's own Go client, unmodified, as Debian packages it.
set -u
. "$(dirname "$0")/../lib.sh"
go_source github.com/rabbitmq/amqp091-go golang-github-rabbitmq-amqp091-go-dev
AMQP_URL="amqp://guest:guest@$HOST:$PORT/" go_suite 50 -tags integration .
