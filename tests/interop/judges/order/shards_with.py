"""Shard groups together with everything else that a queue does, and their arguments."""

from tools import (Team, arguments, closed, equal, fresh, make, pair, policy, properties, ready,
                   run, send, shards, take, team_of)


def with_a_filter(ch):
    """What its holder refuses waits for one that takes it, and stops nothing else."""
    queue, team = shards(ch), Team()
    one = team.join(queue, 10, arguments={"x-filter": "colour = 'red'"})
    for number, colour in enumerate(("red", "blue", "red")):
        send(ch, queue, f"a.{number}", headers={"colour": colour})
    team.wait(2)
    team.quiet()
    equal((team.names(), ready(ch, queue)), (["a.0", "a.2"], 1))
    one.ack()
    one.cancel()
    team.join(queue, 10)
    team.wait(3)
    equal(team.names(), ["a.0", "a.2", "a.1"])
    team.close()


def with_a_single_active_consumer(ch):
    """One has all keys; the next has all after it, in order."""
    queue, team, (one, two) = team_of(ch, 2, 3, single_active_consumer=True)
    send(ch, queue, "a.1", "b.1", "a.2", "b.2")
    team.wait(3)
    team.quiet()
    equal((one.names(), two.names()), (["a.1", "b.1", "a.2"], []))
    one.kill()
    team.on_message = lambda got: got.member.ack(got)
    team.wait(7)
    equal([[got.number for got in two.got if got.key == key] for key in "ab"], [["1", "2"]] * 2)
    equal(len(two.got), 4)
    team.close()


def with_priorities(ch):
    """Higher first; within a key and a level in order."""
    queue = shards(ch, 8, max_priority=5)
    for number, level in enumerate((1, 5, 1, 5, 3)):
        send(ch, queue, f"a.{number}", priority=level)
    _, team, _ = team_of(ch, 1, 1, queue=queue)
    team.on_message = lambda got: got.member.ack(got)
    team.wait(5)
    equal(team.names(), ["a.1", "a.3", "a.4", "a.0", "a.2"])
    team.close()


def with_a_time_to_live(ch):
    """What waits behind a held key expires like anything else."""
    queue, dead = pair(ch, shards=8)
    team = Team()
    one = team.join(queue, 1)
    send(ch, queue, "a.1")
    team.wait(1)
    send(ch, queue, "a.2", expiration="300")
    send(ch, queue, "a.3")
    equal(take(ch, dead).body, b"a.2")
    one.ack()
    team.wait(2)
    equal(team.names(), ["a.1", "a.3"])
    team.close()


def with_a_length(ch):
    """A full queue drops its oldest, whosever key it is."""
    queue = shards(ch, 8, max_length=3)
    send(ch, queue, "a.1", "b.1", "a.2", "c.1", "a.3")
    equal([take(ch, queue, auto_ack=True).body for _ in range(3)], [b"a.2", b"c.1", b"a.3"])


def with_a_lease_that_ends(ch):
    """What its holder was too slow with comes again in order, before what is behind it."""
    queue, team, (one,) = team_of(ch, 1, 4, lease_timeout=700)
    send(ch, queue, "a.1", "a.2")
    team.wait(4)
    equal(team.names(), ["a.1", "a.2"] * 2)
    send(ch, queue, "a.3")
    one.ack(*team.got[2:4])
    team.wait(5)
    equal(team.names()[4:], ["a.3"])
    team.close()


def with_consumer_priorities(ch):
    """The lower one stands by."""
    queue, team = shards(ch), Team()
    low = team.join(queue, 10)
    high = team.join(queue, 10, arguments={"x-priority": 5})
    send(ch, queue, *(f"k{n}.1" for n in range(8)))
    team.wait(8)
    equal((len(low.got), len(high.got)), (0, 8))
    high.kill()
    team.wait(16)
    equal(len(low.got), 8)
    team.close()


def multiple_acks(ch):
    """One ack for several, over keys."""
    queue, team, (one,) = team_of(ch, 1, 4)
    send(ch, queue, "a.1", "b.1", "a.2", "b.2", "a.3", "b.3")
    held = list(team.wait(4))
    one.ch.basic_ack(held[3].tag, multiple=True)
    team.wait(6)
    equal(team.names()[4:], ["a.3", "b.3"])
    team.close()


def delayed_messages(ch):
    """A delayed message takes its place when it is due, and holds up no key before."""
    queue, team, (one,) = team_of(ch, 1, 1)
    team.on_message = lambda got: got.member.ack(got)
    send(ch, queue, "a.1", headers={"x-delay": 700})
    send(ch, queue, "a.2")
    team.wait(2)
    equal(team.names(), ["a.2", "a.1"])
    team.close()


def transactions(ch):
    """Published in a transaction, delivered in its order; acked in one that is rolled back."""
    queue, team, (one,) = team_of(ch, 1, 2)
    other = ch.connection.channel()
    other.tx_select()
    for number in range(4):
        other.basic_publish("", queue, b"a.%d" % number, properties({"x-shard-key": "a"}))
    team.quiet(0.2)
    other.tx_commit()
    team.wait(2)
    one.ack()
    team.wait(4)
    equal(team.names(), ["a.0", "a.1", "a.2", "a.3"])
    team.close()


def by_policy(ch):
    """Shards switched on and off under way; what comes from then on has its key."""
    queue = make(ch)
    off = policy(f"^{queue}$", {"shards": 8})
    send(ch, queue, "a.1", "a.2", "b.1")
    _, team, (one, two) = team_of(ch, 2, 1, queue=queue)
    team.wait(2)
    team.quiet()
    equal(sorted(team.names()), ["a.1", "b.1"])
    off()
    team.on_message = lambda got: got.member.ack(got)
    holder = one if "b.1" in one.names() else two
    holder.ack()
    team.wait(3)
    equal(team.names()[2], "a.2")
    team.close()


def purge_and_delete(ch):
    """Waiting messages of held keys are purged, too."""
    queue, team, (one,) = team_of(ch, 1, 1)
    send(ch, queue, "a.1", "a.2", "b.1", "-.1")
    team.wait(1)
    equal(ch.queue_purge(queue).method.message_count, 3)
    one.back(team.got[0])
    team.wait(2)
    equal(team.names(), ["a.1", "a.1"])
    ch.queue_delete(queue)
    team.close()


def bad_arguments(ch):
    """406, and nothing is declared."""
    for settings in ({"shards": 1}, {"shards": 0}, {"shards": 1025}, {"shards": -2},
                     {"shards": "64"}, {"shards": 1.5}, {"shards": True}, {"shards": 2**40},
                     {"shards": 8, "shard_key_header": 5}, {"shards": [8]}):
        def declare(settings=settings):
            ch.connection.channel().queue_declare(fresh("bad"), arguments=arguments(settings))
        equal((settings, closed(declare)[0]), (settings, 406))
    for count in (2, 1024):
        make(ch, shards=count)


def redeclared(ch):
    """Another number of shards is another queue."""
    queue = shards(ch, 16)
    ch.queue_declare(queue, durable=True, arguments={"x-shards": 16})
    other = ch.connection.channel()
    equal(closed(lambda: other.queue_declare(queue, durable=True,
                                             arguments={"x-shards": 17}))[0], 406)


run("shards_with", ours=(
    with_a_filter, with_a_single_active_consumer, with_priorities, with_a_time_to_live,
    with_a_length, with_a_lease_that_ends, with_consumer_priorities, multiple_acks,
    delayed_messages, transactions, by_policy, purge_and_delete, bad_arguments, redeclared))
