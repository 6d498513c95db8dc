"""Exchanges that hash or draw lots: spread, weights, what stays and what moves."""

import pika
from tools import connect, equal, fresh, make, owner, properties, ready, run

CONSISTENT, RANDOM, MODULUS = "x-consistent-hash", "x-random", "x-modulus-hash"


def exchange_of(ch, kind, weights, arguments=None):
    """(exchange, queues) with these weights."""
    name = fresh("hash")
    ch.exchange_declare(name, kind, durable=True, arguments=arguments)
    queues = [make(ch) for _ in weights]
    for queue, weight in zip(queues, weights):
        ch.queue_bind(queue, name, str(weight))
    return name, queues


def pour(exchange, messages):
    """Publishes (key, headers, properties) quickly, and waits until the broker has them."""
    connection = connect()
    channel = connection.channel()
    channel.tx_select()
    for key, headers, props in messages:
        channel.basic_publish(exchange, key, key.encode(),
                              properties(headers, delivery_mode=1, **props))
    channel.tx_commit()
    connection.close()


def counts(ch, queues):
    """How many are in each."""
    return [ready(ch, queue) for queue in queues]


def contents(ch, queues):
    """{body: queue number}, taken out; no body may be in two."""
    found = {}
    for number, queue in enumerate(queues):
        while (body := ch.basic_get(queue, auto_ack=True)[2]) is not None:
            assert body not in found, f"{body} is in two queues"
            found[body] = number
    return found


def keys(count):
    """Routing keys of their own."""
    return [(f"key-{number}", None, {}) for number in range(count)]


def share(found, wanted, slack):
    """Each within so much of what it should have."""
    total = sum(wanted)
    for count, part in zip(found, wanted):
        right = sum(found) * part / total
        assert abs(count - right) <= right * slack, f"{found} for weights {wanted}"


def spread(ch):
    """Equal weights, equal shares; one key, one queue."""
    name, queues = exchange_of(ch, CONSISTENT, [10] * 4)
    pour(name, keys(8000))
    equal(sum(counts(ch, queues)), 8000)
    share(counts(ch, queues), [1] * 4, 0.45)


def close_spread(ch):
    """Within ten per cent."""
    name, queues = exchange_of(ch, CONSISTENT, [1] * 4)
    pour(name, keys(20000))
    share(counts(ch, queues), [1] * 4, 0.10)


def weights(ch):
    """A weight is a share."""
    name, queues = exchange_of(ch, CONSISTENT, [10, 20, 30, 40])
    pour(name, keys(10000))
    share(counts(ch, queues), [1, 2, 3, 4], 0.4)


def close_weights(ch):
    """Within fifteen per cent."""
    name, queues = exchange_of(ch, CONSISTENT, [1, 2, 5])
    pour(name, keys(16000))
    share(counts(ch, queues), [1, 2, 5], 0.15)


def same_key_same_queue(ch):
    """Again and again."""
    for kind in (CONSISTENT, MODULUS):
        name, queues = exchange_of(ch, kind, [1, 1, 1])
        pour(name, keys(100))
        first = contents(ch, queues)
        pour(name, keys(100))
        equal(contents(ch, queues), first)


def growing_moves_a_share(ch):
    """A new queue takes its share from all; nothing moves between the others."""
    name, queues = exchange_of(ch, CONSISTENT, [5] * 4)
    pour(name, keys(1000))
    before = contents(ch, queues)
    queues.append(make(ch))
    ch.queue_bind(queues[4], name, "5")
    pour(name, keys(1000))
    after = contents(ch, queues)
    moved = [key for key in before if before[key] != after[key]]
    equal({after[key] for key in moved}, {4})
    assert 80 <= len(moved) <= 400, f"{len(moved)} of 1000 moved"


def shrinking_moves_a_share(ch):
    """Only what was in the queue that goes (RabbitMQ moves others, too)."""
    name, queues = exchange_of(ch, CONSISTENT, [5] * 4)
    pour(name, keys(600))
    before = contents(ch, queues)
    ch.queue_delete(queues[1])
    pour(name, keys(600))
    after = contents(ch, [queue for queue in queues if queue != queues[1]])
    place = {0: 0, 1: 2, 2: 3}
    equal([key for key in before if before[key] != 1 and place[after[key]] != before[key]], [])


def by_header(ch):
    """The header's value, of any kind; the key means nothing."""
    name, queues = exchange_of(ch, CONSISTENT, [1, 1], {"hash-header": "customer"})
    for value in ("a", "b", 5, 2**40, True):
        pour(name, [(f"key-{n}", {"customer": value}, {}) for n in range(20)])
        equal((value, sorted(counts(ch, queues))), (value, [0, 20]))
        for queue in queues:
            ch.queue_purge(queue)
    pour(name, [(f"key-{n}", {"customer": str(n)}, {}) for n in range(400)])
    share(counts(ch, queues), [1, 1], 0.5)


def by_property(ch):
    """message_id, correlation_id, timestamp."""
    for which, one, many in (
            ("message_id", {"message_id": "a"}, [{"message_id": str(n)} for n in range(200)]),
            ("correlation_id", {"correlation_id": "a"},
             [{"correlation_id": str(n)} for n in range(200)]),
            ("timestamp", {"timestamp": 7}, [{"timestamp": n} for n in range(200)])):
        name, queues = exchange_of(ch, CONSISTENT, [1, 1], {"hash-property": which})
        pour(name, [(f"key-{n}", None, one) for n in range(20)])
        equal((which, sorted(counts(ch, queues))), (which, [0, 20]))
        pour(name, [(f"key-{n}", None, props) for n, props in enumerate(many)])
        assert min(counts(ch, queues)) >= 50, counts(ch, queues)


def random_spread(ch):
    """One key, all queues, evenly."""
    name, queues = exchange_of(ch, RANDOM, ["x", "y", "z", "w"])
    pour(name, [("key", None, {})] * 4000)
    share(counts(ch, queues), [1] * 4, 0.2)


def modulus_spread(ch):
    """Keys over all queues, whatever the keys of the bindings."""
    name, queues = exchange_of(ch, MODULUS, ["same", "same", "other"])
    pour(name, keys(6000))
    share(counts(ch, queues), [1] * 3, 0.2)


def one_copy(ch):
    """A message goes to one queue, also through exchanges that are bound."""
    for kind in (CONSISTENT, RANDOM, MODULUS):
        name, queues = exchange_of(ch, kind, [1, 1])
        middle = fresh("hash")
        ch.exchange_declare(middle, "fanout")
        ch.exchange_bind(middle, name, "1")
        behind = make(ch)
        ch.queue_bind(behind, middle)
        pour(name, keys(300))
        found = counts(ch, [*queues, behind])
        equal((kind, sum(found), min(found) > 0), (kind, 300, True))


def restarted(ch):
    """A key keeps its queue over a restart."""
    with owner() as broker:
        def channel():
            parameters = pika.ConnectionParameters("127.0.0.1", broker.port)
            return pika.BlockingConnection(parameters).channel()

        for kind in (CONSISTENT, MODULUS):
            other = channel()
            name, queues = exchange_of(other, kind, [1, 2, 3])
            found = []
            for _ in range(2):
                other.confirm_delivery()
                for key, _, _ in keys(60):
                    other.basic_publish(name, key, key.encode(), properties())
                found.append(contents(other, queues))
                broker.restart()
                other = channel()
                for queue in queues:  # an ack has no reply: one just before a kill may be undone
                    other.queue_purge(queue)
            equal((kind, found[1]), (kind, found[0]))


def filtered(ch):
    """A filter on such a binding: what it refuses is not that queue's."""
    name = fresh("hash")
    ch.exchange_declare(name, CONSISTENT)
    red, rest = make(ch), make(ch)
    ch.queue_bind(red, name, "1", {"x-filter": "colour = 'red'"})
    ch.queue_bind(rest, name, "1")
    pour(name, [(f"key-{n}", {"colour": "blue"}, {}) for n in range(50)])
    equal(ready(ch, red), 0)


STOCK = (spread, weights, same_key_same_queue, growing_moves_a_share, by_header, by_property,
         random_spread, modulus_spread, one_copy)
run("hashes", STOCK, (shrinking_moves_a_share, close_spread, close_weights, restarted, filtered))
