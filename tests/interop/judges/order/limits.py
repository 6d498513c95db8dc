"""Limits of virtual hosts and users, on a broker of its own: queues, connections, channels."""

import re

import pika
import tools
from tools import Checks, closed, equal, fresh, make, owner, until

# How pika tells of a connection that was closed while it was opened.
CLOSED = re.compile(r"\((\d+)\) ['\"](.*)['\"]")
VHOST, USER = "vhost-limits/%2F", "user-limits/guest"


def play(broker):
    """All checks, one after the other."""
    checks = Checks()
    for check in (max_queues, queues_of_their_own, max_connections, user_connections, max_channels,
                  lifted, shown, bad_ones, kept_over_a_kill):
        checks.run(f"limits {check.__name__}", lambda check=check: check(broker))
    return checks


def connection(broker):
    """One to that broker."""
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.port))


def limit(broker, place, name, value):
    """Sets one."""
    tools.set_limit(place, name, value, broker.http)


def lift(broker, place, name):
    """Takes it away."""
    equal(tools.call("DELETE", f"{place}/{name}", None, broker.http)[0], 204)


def refused_connection(broker):
    """(code, text) of a connection that is turned away."""
    try:
        connection(broker).close()
    except pika.exceptions.AMQPConnectionError as error:
        found = CLOSED.search(str(error))
        assert found, f"{error!r}"
        return int(found[1]), found[2]
    return None


def max_queues(broker):
    """The next one is refused with 406; those that are there may be declared again."""
    link = connection(broker)
    first = make(link.channel())
    limit(broker, VHOST, "max-queues", 2)
    make(link.channel())
    code, text = closed(lambda: make(link.channel()))
    equal((code, "queue limit in vhost '/' (2) is reached" in text), (406, True))
    link.channel().queue_declare(first, durable=True)
    link.channel().queue_delete(first)
    make(link.channel())
    lift(broker, VHOST, "max-queues")
    make(link.channel())
    link.close()


def queues_of_their_own(broker):
    """Exclusive and server-named ones count, and stop to count with their connection."""
    link, other = connection(broker), connection(broker)
    there = len(tools.call("GET", "queues/%2F", None, broker.http)[1])
    limit(broker, VHOST, "max-queues", there + 1)
    link.channel().queue_declare("", exclusive=True)
    equal(closed(lambda: other.channel().queue_declare("", exclusive=True))[0], 406)
    link.close()

    def room():
        try:
            other.channel().queue_declare("", exclusive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True

    until(room)
    other.close()
    lift(broker, VHOST, "max-queues")


def counted_out(broker, place, words):
    """The first connections stay, the next is told why not, and there is room after one leaves."""
    limit(broker, place, "max-connections", 2)
    try:
        fill(broker, words)
    finally:
        lift(broker, place, "max-connections")


def fill(broker, words):
    """Opens as many as there may be, and one more."""
    links = []
    try:
        one_too_many(broker, links, words)
    finally:
        for link in links:
            link.close()


def one_too_many(broker, links, words):
    """The next is refused, with a reason; when one goes, another may come."""
    def enough():
        while len(links) < 2 and refused_connection(broker) is None:
            links.append(connection(broker))
        return len(links) == 2

    until(enough)
    found = until(lambda: refused_connection(broker))
    equal((found[0], words in found[1]), (530, True))
    links[0].channel().queue_declare("", exclusive=True)
    links.pop().close()
    until(lambda: refused_connection(broker) is None)


def max_connections(broker):
    """Of a virtual host."""
    counted_out(broker, VHOST,
                "access to vhost '/' refused for user 'guest': connection limit (2) is reached")


def user_connections(broker):
    """Of a user."""
    counted_out(broker, USER,
                "connection refused for user 'guest': user connection limit (2) is reached")


def max_channels(broker):
    """Of a user, over all connections; the connection that asks for too many is closed."""
    one, two = connection(broker), connection(broker)
    limit(broker, USER, "max-channels", 3)
    kept = [one.channel(), one.channel(), two.channel()]

    def too_many():
        try:
            kept.append(two.channel())
        except pika.exceptions.ConnectionClosedByBroker as error:
            return error.reply_code, error.reply_text
        return None

    code, text = until(too_many)
    equal((code, "has reached the maximum allowed user limit of (3)" in text), (530, True))
    kept[0].queue_declare("", exclusive=True)
    one.close()
    lift(broker, USER, "max-channels")


def lifted(broker):
    """-1 is no limit."""
    for place, name in ((VHOST, "max-queues"), (VHOST, "max-connections"),
                        (USER, "max-connections"), (USER, "max-channels")):
        limit(broker, place, name, 0)
        limit(broker, place, name, -1)
    link = connection(broker)
    make(link.channel())
    link.close()
    for place, name in ((VHOST, "max-queues"), (VHOST, "max-connections"),
                        (USER, "max-connections"), (USER, "max-channels")):
        lift(broker, place, name)


def shown(broker):
    """What is set, under RabbitMQ's names."""
    limit(broker, VHOST, "max-queues", 500)
    limit(broker, USER, "max-channels", 600)
    equal(tools.call("GET", VHOST, None, broker.http),
          (200, [{"vhost": "/", "value": {"max-queues": 500}}]))
    equal(tools.call("GET", "user-limits", None, broker.http),
          (200, [{"user": "guest", "value": {"max-channels": 600}}]))
    lift(broker, VHOST, "max-queues")
    lift(broker, USER, "max-channels")
    equal(tools.call("GET", VHOST, None, broker.http), (200, []))


def bad_ones(broker):
    """400, and nothing is set."""
    for place, content in ((f"{VHOST}/no-such", {"value": 1}), (f"{VHOST}/max-queues", {}),
                           (f"{VHOST}/max-queues", {"value": "5"}),
                           (f"{USER}/max-channels", {"value": None}),
                           (f"{USER}/max-queues", {"value": 5}),
                           (f"{VHOST}/max-queues", {"value": 1.5})):
        status, answer = tools.call("PUT", place, content, broker.http)
        assert status == 400, f"{place} {content}: {status} {answer}"
    equal(tools.call("GET", VHOST, None, broker.http), (200, []))


def kept_over_a_kill(broker):
    """Limits are as durable as anything."""
    limit(broker, VHOST, "max-queues", 0)
    limit(broker, USER, "max-channels", 5)
    broker.restart()
    link = connection(broker)
    equal(closed(lambda: link.channel().queue_declare(fresh("none")))[0], 406)
    equal(tools.call("GET", USER, None, broker.http)[1][0]["value"], {"max-channels": 5})
    link.close()


with owner() as own:
    done = play(own)
done.finish()
