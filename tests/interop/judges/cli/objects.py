"""Queues, exchanges, bindings, connections, channels, consumers: listed, made, deleted, closed."""

from kit import (Checks, DONE, REFUSED, api, as_json, channel, code, connect, name, ok, pika, quote,
                 rows, until)


def lists_are_the_api_s_own():
    queue = name()
    with channel() as opened:
        opened.queue_declare(queue, durable=True)
    for command in ("queues", "exchanges", "bindings", "connections", "channels", "consumers",
                    "users", "permissions", "vhosts", "policies"):
        listed = as_json(command)
        assert isinstance(listed, list), command
        assert rows(command) is not None
    listed = {item["name"]: item for item in as_json("queues")}
    asked = api("GET", f"queues/%2F/{quote(queue)}")[1]
    assert listed[queue]["durable"] is True and listed[queue]["vhost"] == asked["vhost"]


def a_queue_is_declared_with_arguments_by_name():
    queue = name()
    ok("declare", "queue", queue, "--dead-letter-exchange", "", "--dead-letter-key", "dead",
       "--max-length", "7", "--overflow", "reject-publish", "--lease-ms", "60000",
       "--arg", "x-message-ttl=60000")
    wanted = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead",
              "x-max-length": 7, "x-overflow": "reject-publish", "x-lease-timeout": 60000,
              "x-message-ttl": 60000}
    assert api("GET", f"queues/%2F/{queue}")[1]["arguments"] == wanted
    with channel() as opened:
        opened.queue_declare(queue, durable=True, arguments=wanted)
    shown = dict(line.split("\t", 1) for line in ok("queues", queue).splitlines())
    assert shown["arguments.x-max-length"] == "7" and shown["name"] == queue


def one_that_differs_is_refused():
    queue = name()
    ok("declare", "queue", queue, "--max-length", "7")
    ok("declare", "queue", queue, "--max-length", "7")
    code(REFUSED, "declare", "queue", queue, "--max-length", "8")
    code(REFUSED, "declare", "queue", queue, "--transient", "--max-length", "7")
    code(REFUSED, "declare", "queue", name(), "--max-length", "1", "--overflow", "no-such")


def exchanges_and_bindings_route():
    exchange, queue = name("x"), name()
    ok("declare", "exchange", exchange, "--type", "topic", "--alternate", "amq.fanout")
    ok("declare", "queue", queue)
    ok("declare", "binding", exchange, queue, "--key", "order.*")
    ok("declare", "binding", exchange, queue, "--key", "a/b %")
    code(REFUSED, "declare", "binding", exchange, name(), "--key", "x")
    with channel() as opened:
        opened.basic_publish(exchange, "order.paid", b"1", mandatory=True)
        assert opened.basic_get(queue, auto_ack=True)[2] == b"1"
    keys = {row["routing key"] for row in rows("bindings", "--source", exchange)}
    assert keys == {"order.*", "a/b %"}
    for key in keys:
        ok("delete", "binding", exchange, queue, "--key", key)
        code(REFUSED, "delete", "binding", exchange, queue, "--key", key)
    assert rows("bindings", "--source", exchange) == []
    ok("delete", "exchange", exchange)
    code(REFUSED, "exchanges", exchange)


def headers_bindings_are_told_apart_by_their_arguments():
    queue = name()
    ok("declare", "queue", queue)
    for number in ("1", "2"):
        ok("declare", "binding", "amq.headers", queue, "--arg", f"n={number}",
           "--arg", "x-match=any")
    ok("delete", "binding", "amq.headers", queue, "--arg", "x-match=any", "--arg", "n=2")
    found = as_json("bindings", "--source", "amq.headers", "--destination", queue)
    assert [item["arguments"] for item in found] == [{"n": 1, "x-match": "any"}]


def conditions_of_a_delete_hold():
    queue = name()
    ok("declare", "queue", queue)
    with channel() as opened:
        opened.basic_publish("", queue, b"1", mandatory=True)
        code(REFUSED, "delete", "queue", queue, "--if-empty")
        opened.queue_purge(queue)
        tag = opened.basic_consume(queue, lambda *_: None)
        until(lambda: api("GET", f"queues/%2F/{queue}")[1].get("consumers") == 1)
        code(REFUSED, "delete", "queue", queue, "--if-unused")
        opened.basic_cancel(tag)
    ok("delete", "queue", queue, "--if-empty", "--if-unused")
    code(REFUSED, "delete", "queue", queue)


def a_connection_is_closed_and_told_why():
    connection = connect()
    opened = connection.channel()
    queue = opened.queue_declare("", exclusive=True).method.queue
    opened.basic_consume(queue, lambda *_: None)
    connection.process_data_events(0.2)
    mine = until(lambda: rows("consumers", "--queue", queue))
    assert len(mine) == 1 and mine[0]["acks"] == "yes"
    peer = mine[0]["channel"].rsplit(" (", 1)[0]
    until(lambda: peer in [row["name"] for row in rows("connections")])
    until(lambda: any(row["name"].startswith(peer) for row in rows("channels")))
    ok("connections", "close", peer, "--reason", "time to go")
    try:
        for _ in range(50):
            connection.process_data_events(0.1)
        raise AssertionError("it stays open")
    except pika.exceptions.ConnectionClosedByBroker as closed:
        assert closed.reply_code == 320 and "time to go" in closed.reply_text, closed
    code(REFUSED, "connections", "close", peer)


def lists_are_cut_sorted_and_searched():
    prefix = name("many")
    for number in range(12):
        ok("declare", "queue", f"{prefix}-{number:02}")
    found = rows("queues", "--name", prefix, "--sort", "name", "--reverse", "--limit", "5")
    assert [row["name"] for row in found] == [f"{prefix}-{n:02}" for n in range(11, 6, -1)]
    found = rows("queues", "--name", f"^{prefix}-0[0-4]$", "--regex", "--columns", "name,durable")
    assert len(found) == 5 and set(found[0]) == {"name", "durable"}
    assert code(DONE, "queues", "--name", "no-such-thing").count("\n") == 1


def main():
    """All of them."""
    checks = Checks()
    for check in (lists_are_the_api_s_own, a_queue_is_declared_with_arguments_by_name,
                  one_that_differs_is_refused, exchanges_and_bindings_route,
                  headers_bindings_are_told_apart_by_their_arguments, conditions_of_a_delete_hold,
                  a_connection_is_closed_and_told_why, lists_are_cut_sorted_and_searched):
        checks.run("cli " + check.__name__.replace("_", " "), check)
    checks.finish()


if __name__ == "__main__":
    main()
