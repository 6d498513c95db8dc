"""Dead letters: reasons, keys, x-death and its counts, cycles, missing targets."""

from scenario import cases, scenario


def pair(s, channel, **arguments):
    """A queue that dead-letters into another one, through a fanout."""
    name, target = s.exchange(channel, "dlx", "fanout"), s.queue(channel, "dead")
    s.bind(channel, target, name)
    queue = s.queue(channel, "q", arguments={"x-dead-letter-exchange": name, **arguments})
    return queue, target


@cases({"reject": ("basic.reject", {}), "nack": ("basic.nack", {}),
        "nack_multiple": ("basic.nack", {"multiple": True})})
def rejected(s, name, values):
    """A reject without requeue."""
    channel = s.channel()
    queue, dead = pair(s, channel)
    channel.publish("x", key=queue, props={"headers": {"own": 1}, "delivery-mode": 2})
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    channel.send(name, delivery_tag=1, **values)
    channel.count(dead, 1)
    channel.get(dead)


@scenario
def expired(s):
    """By the message's own time: expiration is taken off and kept in x-death."""
    channel = s.channel()
    queue, dead = pair(s, channel)
    channel.publish("x", key=queue, props={"expiration": "50", "message-id": "m"})
    channel.count(dead, 1)
    channel.get(dead)


@scenario
def expired_by_queue(s):
    """By the queue's time; routed to it by an exchange with copies."""
    channel = s.channel()
    queue, dead = pair(s, channel, **{"x-message-ttl": 50})
    s.bind(channel, queue, "amq.topic", s.name("#"))
    channel.publish("x", "amq.topic", s.name("one"), {"headers": {"CC": [s.name("two")]}})
    channel.count(dead, 1)
    channel.get(dead)


@scenario
def expired_with_bcc(s):
    """BCC keys do not show in x-death."""
    channel = s.channel()
    queue, dead = pair(s, channel, **{"x-message-ttl": 50})
    channel.publish("x", key=queue, props={"headers": {"BCC": [s.name("none")]}})
    channel.count(dead, 1)
    channel.get(dead)


@cases({"drop_head": ("drop-head", "a"), "reject_dlx": ("reject-publish-dlx", "b"),
        "reject": ("reject-publish", None)})
def over_length(s, overflow, loser):
    """What does not fit."""
    channel = s.channel()
    queue, dead = pair(s, channel, **{"x-max-length": 1, "x-overflow": overflow})
    channel.call("confirm.select")
    for tag, body in enumerate("ab", 1):
        channel.publish(body, key=queue)
        channel.confirms(tag, tag)
    channel.count(dead, 1 if loser else 0)
    channel.get(dead)
    channel.get(queue)


@cases({"kept": {}, "changed": {"x-dead-letter-routing-key": "other"}})
def routing_key(s, arguments):
    """The original key, or the queue's."""
    channel = s.channel()
    name, dead = s.exchange(channel, "dlx", "direct"), s.queue(channel, "dead")
    queue = s.queue(channel, "q", arguments={"x-dead-letter-exchange": name, **arguments})
    s.bind(channel, dead, name, "other" if arguments else queue)
    channel.publish("x", key=queue)
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(dead, 1)
    channel.get(dead)


@scenario
def twice_counts_up(s):
    """The same queue and reason again: the count goes up, other places come in front."""
    channel = s.channel()
    dead = s.queue(channel, "dead", arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": s.name("q")})
    queue = s.queue(channel, "q", arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    channel.publish("x", key=queue)
    for at, place in enumerate((queue, dead, queue, dead), 1):
        channel.count(place, 1)
        channel.get(place, no_ack=False)
        channel.send("basic.reject", delivery_tag=at)
    channel.count(queue, 1)
    channel.get(queue)


@scenario
def cycle_by_expiry_ends(s):
    """A message that would expire round and round is dropped."""
    channel = s.channel()
    queue = s.queue(channel, "q", arguments={
        "x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key":
        s.name("q")})
    channel.publish("x", key=queue)
    channel.count(queue, 0)
    channel.quiet(0.4)
    channel.count(queue, 0)


@scenario
def cycle_by_reject_goes_on(s):
    """A reject in the ring keeps it going."""
    channel = s.channel()
    queue = s.queue(channel, "q", arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": s.name("q")})
    channel.publish("x", key=queue)
    for tag in (1, 2, 3):
        channel.count(queue, 1)
        channel.get(queue, no_ack=False)
        channel.send("basic.reject", delivery_tag=tag)
    channel.count(queue, 1)
    channel.get(queue)


@scenario
def reasons_pile_up(s):
    """Two reasons for one queue are two entries."""
    channel = s.channel()
    wait = s.queue(channel, "wait", arguments={
        "x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key":
        s.name("q")})
    queue = s.queue(channel, "q", arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait})
    channel.publish("x", key=queue)
    for tag in (1, 2):
        channel.count(queue, 1)
        channel.get(queue, no_ack=False)
        channel.send("basic.reject", delivery_tag=tag)
    channel.count(queue, 1)
    channel.get(queue)


@scenario
def no_target(s):
    """A dead-letter exchange that is missing, or routes nowhere: dropped."""
    channel = s.channel()
    queue = s.queue(channel, "q", arguments={"x-dead-letter-exchange": s.name("none")})
    channel.publish("x", key=queue)
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(queue, 0)
    channel.call("basic.qos")


@scenario
def purge_and_delete_do_not(s):
    """Purged messages and those of a deleted queue are not dead letters."""
    channel = s.channel()
    queue, dead = pair(s, channel)
    channel.publish("x", key=queue)
    channel.count(queue, 1)
    channel.call("queue.purge", queue=queue)
    channel.publish("y", key=queue)
    channel.count(queue, 1)
    channel.call("queue.delete", queue=queue)
    channel.count(dead, 0)


@scenario
def forged_death(s):
    """x-death that comes from a publisher."""
    channel = s.channel()
    queue, dead = pair(s, channel)
    forged = {"x-death": [{"queue": queue, "reason": "rejected", "count": ("l", 41)}]}
    channel.publish("x", key=queue, props={"headers": forged})
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(dead, 1)
    channel.get(dead)


@cases({"text": "nonsense", "list": [1, 2]})
def forged_death_of_wrong_type(s, value):
    """x-death of a type that it never has."""
    channel = s.channel()
    queue, dead = pair(s, channel)
    channel.publish("x", key=queue, props={"headers": {"x-death": value}})
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(dead, 1)
    channel.get(dead)


@scenario
def order_is_kept(s):
    """Many at once arrive in order."""
    channel = s.channel()
    queue, dead = pair(s, channel)
    for body in "abcdefgh":
        channel.publish(body, key=queue)
    channel.count(queue, 8)
    for _ in range(8):
        channel.get(queue, no_ack=False)
    channel.send("basic.nack", delivery_tag=0, multiple=True)
    channel.count(dead, 8)
    for _ in range(8):
        channel.connection.put(1, "basic.get", queue=dead, no_ack=True)
        s.note(channel.connection.take(1).body.decode())


@scenario
def through_alternate(s):
    """Dead letters that their exchange can not route go to its alternate."""
    channel = s.channel()
    spare, dead = s.exchange(channel, "spare", "fanout"), s.queue(channel, "dead")
    s.bind(channel, dead, spare)
    name = s.exchange(channel, "dlx", "direct", arguments={"alternate-exchange": spare})
    queue = s.queue(channel, "q", arguments={"x-dead-letter-exchange": name})
    channel.publish("x", key=queue)
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(dead, 1)
    channel.get(dead)
