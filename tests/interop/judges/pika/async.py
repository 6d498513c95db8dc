"""pika, event driven (SelectConnection): many confirms at once, returns before their confirms."""

import pika
from common import equal, fresh, parameters
from lib import Checks

PUBLISHES = 5000


class Run:
    """One connection that publishes; every third message is mandatory and goes nowhere."""

    def __init__(self):
        self.queue, self.log, self.open, self.delivered = fresh(), [], set(), 0
        self.error = "time is up"
        self.connection = pika.SelectConnection(
            parameters(), on_open_callback=lambda c: c.channel(on_open_callback=self.opened),
            on_open_error_callback=self.failed, on_close_callback=self.failed)
        self.connection.ioloop.call_later(60, self.connection.ioloop.stop)
        self.connection.ioloop.start()

    def failed(self, _, error):
        """The connection could not be opened, or is gone."""
        self.error = repr(error)
        self.connection.ioloop.stop()

    def opened(self, channel):
        """The channel is there."""
        self.channel = channel
        channel.add_on_return_callback(lambda _, m, p, b: self.log.append(("return", int(b))))
        channel.queue_declare(self.queue, exclusive=True, callback=self.declared)

    def declared(self, _):
        """The queue is there."""
        self.channel.confirm_delivery(self.confirmed, callback=self.publish)

    def publish(self, _):
        """All at once."""
        self.channel.basic_consume(self.queue, self.deliver, auto_ack=True)
        for number in range(1, PUBLISHES + 1):
            self.open.add(number)
            key = self.queue if number % 3 else self.queue + ".none"
            self.channel.basic_publish("", key, b"%d" % number, mandatory=True)

    def deliver(self, *_):
        """A message came back by the consumer."""
        self.delivered += 1
        self.finish()

    def confirmed(self, frame):
        """Acks, single or up to a tag."""
        tag, kind = frame.method.delivery_tag, type(frame.method).__name__
        done = {t for t in self.open if t <= tag} if frame.method.multiple else {tag} & self.open
        self.open -= done
        self.log.extend((kind, t) for t in sorted(done))
        self.finish()

    def finish(self):
        """The end, when all is in."""
        if not self.open and self.delivered == PUBLISHES - PUBLISHES // 3:
            self.error = None
            self.connection.ioloop.stop()


def main():
    """One run, several questions."""
    run, checks = Run(), Checks()
    checks.run("pika async run ended", lambda: equal(run.error, None))
    acked = sorted(tag for kind, tag in run.log if kind == "Ack")
    checks.run("pika async every tag acked once",
               lambda: equal(acked, list(range(1, PUBLISHES + 1))))
    returned = [tag for kind, tag in run.log if kind == "return"]
    checks.run("pika async every third returned, in order",
               lambda: equal(returned, list(range(3, PUBLISHES + 1, 3))))
    place = {entry: at for at, entry in enumerate(run.log)}
    late = [tag for tag in returned if place["return", tag] > place.get(("Ack", tag), -1)]
    checks.run("pika async a return comes before its confirm", lambda: equal(late, []))
    checks.finish()


main()
