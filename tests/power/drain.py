"""After the last cut: everything is taken out of the node and compared with the ledger."""

import socket

import node  # noqa: F401  (first: it makes the next ones importable)
from crash_loop import Client
from load import (CLASSIC, EXCHANGE, MOVED, STREAM, TOKENS, TWO_PRODUCER, TX_PRODUCER, confirming,
                  message, publish)


def length_of(client, queue):
    """How many messages are ready in a queue."""
    client.call("queue.declare", queue=queue, passive=True)
    return client.expect("queue.declare-ok")["message-count"]


def deliveries(client, queue, **arguments):
    """Yields (tag, body) of all that is in a queue, and of what comes beyond that."""
    count = length_of(client, queue)
    client.call("basic.consume", queue=queue, consumer_tag=queue,
                no_ack="arguments" not in arguments, **arguments)
    client.expect("basic.consume-ok")
    while True:
        if count == 0:
            client.call("queue.declare", queue=queue, passive=True)
        name, values, body = client.event()
        if name != "basic.deliver":
            break
        count -= 1
        yield values["delivery-tag"], body
    client.socket.close()


def drain(port, ledger):
    """Takes all messages of all queues."""
    for queue in CLASSIC:
        client = Client(port)
        for _, body in deliveries(client, queue):
            if queue == MOVED:  # has each message twice
                key = ledger.read(queue, body)
                ledger.found[(queue, *key) if key else None] += 1
            else:
                ledger.found[ledger.deliver(queue, body)] += 1
    client = Client(port)
    client.call("basic.qos", prefetch_count=2000)
    client.expect("basic.qos-ok")
    expected = 0
    for tag, body in deliveries(client, STREAM, arguments={"x-stream-offset": "first"}):
        offset = client.properties["headers"]["x-stream-offset"][1]
        if offset != expected:
            ledger.note("a hole in the stream", (offset, expected))
        expected = offset + 1
        ledger.stream(offset, body, STREAM)
        if tag % 500 == 0:
            client.call("basic.ack", delivery_tag=tag, multiple=True)


def exactly_once(ledger, tokens, two):
    """Transactions and QoS 2: not less and not more than was asked for."""
    numbers = [place[2] for place in ledger.found if place and place[0] == TOKENS]
    if len(numbers) != 1:
        ledger.note("tokens are not one", numbers[:5])
    for number in numbers[:1]:
        tokens.check(number)
    for number in range(1, tokens.committed + 1):
        if ledger.found[(MOVED, TX_PRODUCER, number)] != 2:
            ledger.note("transaction undone or half done", number)
    beyond = [place for place in ledger.found if place and place[0] == MOVED
              and place[2] > tokens.committed]
    if beyond:
        ledger.note("transaction half done", beyond[:3])
    places = [place for place in ledger.found if place and place[1] == TWO_PRODUCER]
    sent = [key for key in ledger.sent if key[0] == TWO_PRODUCER]
    if len(places) != len(sent) or two.open:
        ledger.note("quality of service 2 is not exactly once", (len(places), len(sent)))
    if [place for place in places if ledger.found[place] != 1]:
        ledger.note("quality of service 2 is not exactly once", "a message came twice")


def definitions(port, ledger):
    """What was answered is there, with its binding; what was deleted is not."""
    client = confirming(port)
    for name, is_there in ledger.definitions.items():
        if is_there is None:
            continue
        body = message(0, 0, b"")
        publish(client, EXCHANGE, name, body, mandatory=True)
        answer = client.event()[0]
        if answer == "basic.return":
            client.expect("basic.ack")
        if (answer == "basic.ack") != is_there:
            ledger.note("a definition that was answered is not so", (name, is_there))
    client.socket.shutdown(socket.SHUT_RDWR)
