"""Q10, replacement while work goes on: consumers come and go, producers notice nothing.

Producers publish with confirms all the time and are never restarted. Consumers are replaced one by
one: every other one cancels, finishes what it has, and goes; the rest is cut off by a reset. Then
blue and green: a whole second set starts, then the first one stops at once; and once more, with the
first one cut off at once. Nothing is lost, no producer meets an error, and what is handled by two
was held by a consumer that was cut off, comes marked, and all of that does come.

Environment: ROLLS (2: how often each place is filled anew), PACE (400 messages a second in all).
"""

import time

import ledger
from ledger import size
from parties import Consumer, Producer, connect, depart, make, ready, until

ROLLS, PER_S = size("ROLLS", 2), size("PACE", 400)
PRODUCERS, PLACES = 2, 4
# All places together are slower than the producers, so who is cut off holds something.
HANDLE_S, PREFETCH = 0.015, 10
STEP_S, ALL_S_MAX = 0.3, 60
CUT_HOLDS_MIN = 3


class Shop:
    """The consumers that are there, and those that were."""

    def __init__(self, queue):
        self.queue, self.log, self.every = queue, [], []

    def hire(self, count=1):
        """So many more."""
        new = [Consumer(self.queue, PREFETCH, HANDLE_S, self.log, len(self.every) + at)
               for at in range(count)]
        self.every += new
        return [consumer.begin() for consumer in new]

    def part(self, consumers, cut):
        """These go, all at once; those that are cut off hold something."""
        for consumer in consumers:
            if cut:
                until(lambda one=consumer: len(one.inbox.got) - one.done >= CUT_HOLDS_MIN, 20,
                      "a consumer that holds something")
            (consumer.cut if cut else consumer.leave)()
        for consumer in consumers:
            consumer.gone()

    def held(self):
        """What all held that were cut off."""
        return [key for consumer in self.every for key in consumer.held]

    def acked(self):
        """What all have acked."""
        return [key for consumer in self.every for key in consumer.acked]


def replace_all(shop):
    """One by one, then set by set."""
    blue = shop.hire(PLACES)
    for step in range(ROLLS * PLACES):
        time.sleep(STEP_S)
        blue += shop.hire()
        shop.part([blue.pop(0)], cut=step % 2)
    for cut in (False, True):
        time.sleep(STEP_S)
        green = shop.hire(PLACES)
        time.sleep(STEP_S)
        shop.part(blue, cut)
        blue = green
    time.sleep(STEP_S)


def rolling_then_blue_green(tell):
    """All replacements under load; then the rest is handled."""
    channel = connect(heartbeat=0).channel()
    queue = make(channel)
    shop = Shop(queue)
    producers = [Producer(number, queue, lambda seconds: int(seconds * PER_S / PRODUCERS))
                 for number in range(PRODUCERS)]
    for producer in producers:
        producer.start()
    replace_all(shop)
    for producer in producers:
        producer.finish()
    sent = [(one.number, number) for one in producers for number in range(one.sent)]
    ledger.wait(lambda: len(set(shop.acked())) >= len(sent) or any(
        one.errors for one in shop.every), ALL_S_MAX)
    depart([one for one in shop.every if one.is_alive()])
    held, acked = shop.held(), shop.acked()
    print(f"replacement: {len(sent)} messages, {len(shop.every)} consumers one after the other, "
          f"{len(held)} messages held when they were cut off")
    tell("producers meet no error", [text for one in producers for text in one.trouble()])
    tell("producers were never restarted", [one.lives for one in producers if one.lives > 1])
    tell("every publish is confirmed", ledger.lost(
        sent, [key for one in producers for key in one.confirmed]))
    tell("nothing is lost", ledger.lost(sent, acked))
    tell("nothing is handled to its end twice", ledger.twice(acked))
    again = [one.key for one in shop.log if one.key in set(held)]
    tell("only what a cut consumer held is delivered twice", sorted(set(
        ledger.twice(one.key for one in shop.log)) - set(held)))
    tell("all that a cut consumer held comes again", sorted(set(held) - set(ledger.twice(again))))
    tell("what comes again is marked", ledger.unmarked(
        (one.key, one.redelivered) for one in shop.log))
    tell("consumers were cut off with messages in hand", [] if held else ["none was"])
    tell("consumers meet no error", [text for one in shop.every for text in one.errors])
    tell("the queue is empty", [one for one in [ready(channel, queue)] if one])


if __name__ == "__main__":
    ledger.play("replacement", rolling_then_blue_green)
