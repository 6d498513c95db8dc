"""The language of filters: selectors over real messages, by consumers and by bindings.

Four messages go to every selector of the table; its last column names those that it lets through.
Values of unlike types are not equal: their comparison is false, and NOT of it true.
"""

import re

from tools import closed, connect, equal, fresh, make, publish, ready, run, until

MESSAGES = {
    "a": ({"colour": "red", "size": 5, "weight": 1.5, "fresh": True, "note": "it's",
           "dotted.name": "x", "x-dash": "d"},
          {"priority": 7, "delivery_mode": 2, "message_id": "id-1", "correlation_id": "c-1",
           "type": "order", "timestamp": 1700000000, "app_id": "shop", "content_type": "text/plain",
           "content_encoding": "utf-8", "reply_to": "back", "user_id": "guest"}),
    "b": ({"colour": "green", "size": 10, "weight": -2.0, "fresh": False, "note": "100%_sure"},
          {"priority": 1, "delivery_mode": 1, "type": "event", "expiration": "600000"}),
    "c": ({"colour": 5, "size": "5", "Colour": "RED", "note": "", "big": 2**40},
          {"delivery_mode": 1}),
    "d": (None, {"delivery_mode": 1}),
}
SELECTORS = (
    # comparisons
    ("colour = 'red'", "a"), ("'red' = colour", "a"), ("colour <> 'red'", "b"),
    ("size = 5", "a"), ("size = 5.0", "a"), ("size > 5", "b"), ("size >= 5", "ab"),
    ("size < 10", "a"), ("size <= 10", "ab"), ("weight < 0", "b"), ("weight = 1.5", "a"),
    ("weight = 15E-1", "a"), ("weight = -2", "b"), ("big = 1099511627776", "c"),
    ("colour = 5", "c"),
    ("size = '5'", "c"), ("Colour = 'RED'", "c"), ("COLOUR = 'red'", ""), ("note = 'it''s'", "a"),
    ("note = ''", "c"), ("fresh = TRUE", "a"), ("fresh = false", "b"), ("fresh", "a"),
    ("NOT fresh", "b"), ("fresh <> TRUE", "b"), ("5 = 5", "abcd"), ("1 > 2", ""),
    ("TRUE", "abcd"), ("FALSE", ""),
    # unknown
    ("missing = 1", ""), ("missing <> 1", ""), ("NOT (missing = 1)", ""),
    ("missing IS NULL", "abcd"),
    ("colour IS NULL", "d"), ("colour IS NOT NULL", "abc"), ("missing = 1 OR size = 5", "a"),
    ("missing = 1 AND size = 5", ""), ("NOT (missing = 1 AND size = 10)", "ac"),
    ("missing > 0 OR TRUE", "abcd"), ("missing > 0 AND FALSE", ""),
    # and, or, not
    ("colour = 'red' AND size = 5", "a"), ("colour = 'red' OR colour = 'green'", "ab"),
    ("colour = 'green' OR colour = 'red' AND size = 10", "b"),
    ("(colour = 'green' OR colour = 'red') AND size = 5", "a"),
    ("NOT colour = 'red'", "bc"), ("NOT NOT colour = 'red'", "a"),
    ("colour = 'red' and not (size = 6 or size = 7)", "a"), (" \t\n colour='red' ", "a"),
    # between, in, like
    ("size BETWEEN 5 AND 9", "a"), ("size NOT BETWEEN 5 AND 9", "b"), ("size BETWEEN 10 AND 5", ""),
    ("colour IN ('red', 'blue')", "a"), ("colour NOT IN ('red', 'blue')", "bc"),
    ("missing IN ('red')", ""), ("missing NOT IN ('red')", ""),
    ("colour LIKE 'r%'", "a"), ("colour LIKE '_ed'", "a"), ("colour LIKE '%e%'", "ab"),
    ("colour LIKE '%'", "ab"), ("JMSType NOT LIKE 'o%'", "b"),
    ("note LIKE '100!%!_%' ESCAPE '!'", "b"),
    ("note LIKE '%s'", "a"), ("colour LIKE 'RED'", ""), ("missing LIKE '%'", ""),
    # arithmetic
    ("size + 1 = 6", "a"), ("size * 2 = 20", "b"), ("size - 5 = 0", "a"), ("size / 2 = 5", "b"),
    ("2 + 3 * size = 17", "a"), ("(2 + 3) * size = 25", "a"), ("-size = -5", "a"),
    ("+size = 10", "b"),
    ("weight * 2 = 3", "a"), ("size / 0 = 1", ""), ("NOT (size / 0 = 1)", ""),
    ("size / 0 = 1 OR size = 5", "a"), ("colour + 1 = 6", "c"), ("missing + 1 = 2", ""),
    ("size * 9223372036854775807 > 0 OR TRUE", "abcd"),
    # names of properties
    ("JMSType = 'order'", "a"), ("JMSPriority = 7", "a"),
    ("JMSPriority < 5 AND JMSType = 'event'", "b"),
    ("JMSMessageID = 'id-1'", "a"), ("JMSCorrelationID = 'c-1'", "a"),
    ("JMSDeliveryMode = 'PERSISTENT'", "a"), ("JMSDeliveryMode = 'NON_PERSISTENT'", "bcd"),
    ("JMSTimestamp IS NOT NULL", "a"), ("JMSTimestamp > 0", "a"),
    ("amqp.app_id = 'shop'", "a"), ("amqp.content_type LIKE 'text/%'", "a"),
    ("amqp.content_encoding = 'utf-8'", "a"), ("amqp.reply_to = 'back'", "a"),
    ("amqp.user_id = 'guest'", "a"), ("amqp.expiration = '600000'", "b"),
    ("amqp.exchange LIKE 'language.%'", "abcd"), ("amqp.routing_key = 'key.a'", "a"),
    ("amqp.routing_key LIKE 'key._'", "abcd"), ("amqp.app_id IS NULL", "bcd"),
)
# (selector, first and last character where the mistake may be said to be)
MISTAKES = (
    ("colour =", 8, 9), ("colour = = 'red'", 10, 10), ("= 'red'", 1, 1), ("colour 'red'", 8, 8),
    ("colour = 'red", 10, 14), ("(colour = 'red'", 1, 16), ("colour = 'red')", 15, 15),
    ("colour IN ()", 11, 12), ("colour IN ('a',)", 15, 16), ("colour IN (missing)", 12, 12),
    ("size BETWEEN 1", 14, 15), ("size BETWEEN 1 OR 2", 16, 16), ("colour LIKE 5", 13, 13),
    ("colour LIKE 'a' ESCAPE 'ab'", 17, 27), ("colour LIKE other", 13, 13),
    ("colour IS 5", 11, 11), ("colour = 'a' AND", 14, 17), ("AND colour = 'a'", 1, 1),
    ("colour = 'a' colour = 'b'", 14, 14), ("colour == 'a'", 8, 9), ("colour != 'a'", 8, 9),
    ("colour = \u00a7", 10, 10), ("size = 1.2.3", 8, 12), ("size = 5x", 8, 9),
    ("amqp.no_such = 1", 1, 16),
    ("colour = ?", 10, 10), ("size & 1 = 1", 6, 6), ("colour = 'a'; DROP", 13, 13),
)
PLACE = re.compile(r"(?:character|position|column|offset) (\d+)")


def fill(ch, exchange):
    """The four messages."""
    for name, (headers, props) in MESSAGES.items():
        publish(ch, f"key.{name}", name.encode(), headers, exchange, mandatory=False, **props)


def consumers(ch):
    """Each selector on a consumer."""
    exchange = fresh("language")
    ch.exchange_declare(exchange, "fanout")
    connection, found = connect(), {}
    reader = connection.channel()
    for number in range(len(SELECTORS)):
        queue = make(ch)
        ch.queue_bind(queue, exchange)
        found[number] = queue, []
    fill(ch, exchange)
    for number, (selector, _) in enumerate(SELECTORS):
        queue, got = found[number]
        reader.basic_consume(queue, lambda _, m, p, body, got=got: got.append(body.decode()),
                             auto_ack=True, arguments={"x-filter": selector})
    wanted = {selector: "".join(names) for selector, names in SELECTORS}

    def state():
        connection.process_data_events(0)
        return {SELECTORS[n][0]: "".join(got) for n, (_, got) in found.items()}

    try:
        until(lambda: state() == wanted, 5)
    except AssertionError:
        wrong = {text: (got, wanted[text]) for text, got in state().items() if got != wanted[text]}
        raise AssertionError(f"(found, wanted): {wrong}") from None
    for number, (selector, names) in enumerate(SELECTORS):
        equal((selector, ready(ch, found[number][0])), (selector, 4 - len(names)))
    connection.close()


def bindings(ch):
    """Each selector on a binding."""
    exchange, queues = fresh("language"), []
    ch.exchange_declare(exchange, "fanout")
    for selector, _ in SELECTORS:
        queues.append(make(ch))
        ch.queue_bind(queues[-1], exchange, "", {"x-filter": selector})
    fill(ch, exchange)
    wrong = {}
    for (selector, names), queue in zip(SELECTORS, queues):
        got = ""
        while (body := ch.basic_get(queue, auto_ack=True)[2]) is not None:
            got += body.decode()
        if got != names:
            wrong[selector] = got, names
    equal(wrong, {})


def refusal(action, first, last):
    """What is wrong with a refusal, or None."""
    try:
        code, text = closed(action)
    except AssertionError as error:
        return str(error)
    place = PLACE.search(text)
    if code != 406 or not place:
        return code, text
    return None if first <= int(place[1]) <= last else text


def mistakes_of_consumers(ch):
    """406, with the place."""
    queue, wrong = make(ch), {}
    for selector, first, last in MISTAKES:
        other = ch.connection.channel()
        found = refusal(lambda: other.basic_consume(
            queue, lambda *_: None, arguments={"x-filter": selector}), first, last)
        if found:
            wrong[selector] = found
            if other.is_open:
                other.close()
    equal(wrong, {})
    equal(ch.queue_declare(queue, passive=True).method.consumer_count, 0)


def mistakes_of_bindings(ch):
    """406, with the place; nothing is bound."""
    queue, wrong = make(ch), {}
    for selector, first, last in MISTAKES:
        other = ch.connection.channel()
        found = refusal(lambda: other.queue_bind(queue, "amq.fanout", "", {"x-filter": selector}),
                        first, last)
        if found:
            wrong[selector] = found
            if other.is_open:
                other.close()
    publish(ch, "", b"x", exchange="amq.fanout", mandatory=False)
    equal((wrong, ready(ch, queue)), ({}, 0))


def wrong_types(ch):
    """A filter is a text."""
    queue = make(ch)
    for value in (5, True, None, ["a"], {"a": 1}, 1.5):
        told = {"x-filter": value}
        for act in (lambda c, told=told: c.basic_consume(queue, print, arguments=told),
                    lambda c, told=told: c.queue_bind(queue, "amq.fanout", "", told)):
            other = ch.connection.channel()
            equal((value, closed(lambda: act(other))[0]), (value, 406))


def empty_text_is_no_filter(ch):
    """Nothing said, everything taken."""
    for text in ("", "   "):
        queue = make(ch)
        publish(ch, queue, b"x")
        got = []
        tag = ch.basic_consume(queue, lambda *args: got.append(args[3]), auto_ack=True,
                               arguments={"x-filter": text})
        until(lambda: (ch.connection.process_data_events(0), got)[1])
        ch.basic_cancel(tag)
        ch.queue_bind(queue, "amq.fanout", "", {"x-filter": text})
        publish(ch, "", b"y", exchange="amq.fanout")
        equal(ready(ch, queue), 1)


run("language", ours=(consumers, bindings, mistakes_of_consumers, mistakes_of_bindings, wrong_types,
                      empty_text_is_no_filter))
