"""pika, with a broker that is killed: what was confirmed is there after the restart."""

import os
import time

import pika
from common import DURABLE, connect, equal, fresh, get
from lib import Broker, Checks

checks = Checks()
broker = Broker.attach(os.environ["BROKER_DIR"])
work, late, exclusive = fresh("durable"), fresh("unacked"), fresh("exclusive")
exchange, transient = fresh("topic"), fresh("transient")
bodies = [b"%d" % number for number in range(500)]


def prepare():
    """Durable and passing things, and messages in all states; then SIGKILL."""
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    for queue in (work, late):
        channel.queue_declare(queue, durable=True, arguments={"x-max-length": 100000})
    channel.queue_declare(exclusive, durable=True, exclusive=True)
    channel.exchange_declare(exchange, "topic", durable=True)
    channel.exchange_declare(transient, "fanout")
    channel.queue_bind(work, exchange, "a.#")
    for body in bodies:
        channel.basic_publish(exchange, "a.b", body, DURABLE, mandatory=True)
    channel.basic_publish("", work, b"passing", pika.BasicProperties(delivery_mode=1))
    for body in (b"held", b"acked"):
        channel.basic_publish("", late, body, DURABLE)
    get(channel, late, auto_ack=False)
    method = get(channel, late, auto_ack=False)[0]
    channel.basic_ack(method.delivery_tag)
    channel.queue_declare(late, passive=True)
    time.sleep(1)
    broker.restart(kill=True)


def confirmed_are_there():
    """All of them, in order, and not the transient one."""
    channel = connect().channel()
    found = []
    while True:
        method, _, body = channel.basic_get(work, auto_ack=True)
        if method is None:
            break
        found.append(body)
    equal(found, bodies)


def unacked_is_redelivered():
    """The message that a consumer held is back and marked; the acked one is not."""
    channel = connect().channel()
    method, _, body = get(channel, late)
    equal((method.redelivered, body, method.message_count), (True, b"held", 0))


def passing_things_are_gone():
    """Exclusive queue and transient exchange."""
    connection = connect()
    for declare in (lambda c: c.queue_declare(exclusive, passive=True),
                    lambda c: c.exchange_declare(transient, "fanout", passive=True)):
        try:
            declare(connection.channel())
        except pika.exceptions.ChannelClosedByBroker as error:
            equal(error.reply_code, 404)
        else:
            raise AssertionError("still there")


def settings_are_kept():
    """Arguments and bindings as before."""
    channel = connect().channel()
    channel.queue_declare(work, durable=True, arguments={"x-max-length": 100000})
    channel.confirm_delivery()
    channel.basic_publish(exchange, "a.c", b"again", mandatory=True)
    equal(get(channel, work)[2], b"again")


def clean_stop():
    """A polite restart keeps messages, too."""
    channel = connect().channel()
    channel.confirm_delivery()
    channel.basic_publish("", work, b"kept", DURABLE)
    broker.restart(kill=False)
    equal(get(connect().channel(), work)[2], b"kept")


for step in (prepare, confirmed_are_there, unacked_is_redelivered, passing_things_are_gone,
             settings_are_kept, clean_stop):
    checks.run(f"pika restart {step.__name__}", step)
checks.finish()
