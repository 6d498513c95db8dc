"""Every argument that RabbitMQ names, each with values of every type and at its bounds."""

from scenario import cases

VALUES = {
    "text": "5", "empty": "", "yes": True, "float": 1.5, "void": None, "list": [1],
    "table": {"a": 1}, "minus_two": -2, "minus_one": -1, "zero": 0, "one": 1, "byte": ("b", 100),
    "unsigned": ("i", 4000000000), "ten_years": ("l", 315360000000),
    "over": ("l", 315360000001), "huge": ("l", 2**63 - 1), "decimal": ("D", (1, 25)),
}
NUMBERS = ("x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority",
           "x-delivery-limit", "x-queue-version")
TEXTS = ("x-overflow", "x-queue-mode", "x-queue-type", "x-dead-letter-exchange",
         "x-dead-letter-routing-key", "x-dead-letter-strategy")
FLAGS = ("x-single-active-consumer",)
NAMES = NUMBERS + TEXTS + FLAGS
QUORUM_ONLY = ("x-delivery-limit", "x-dead-letter-strategy")
CLASSIC_ONLY = ("x-queue-type", "x-max-priority", "x-queue-mode", "x-queue-version")
NEEDS = {"x-dead-letter-routing-key": {"x-dead-letter-exchange": ""},
         "x-dead-letter-strategy": {"x-dead-letter-exchange": ""}}


def declare(s, name, kind):
    """One declaration for each value, each on a channel of its own."""
    connection = s.connect()
    for number, (short, value) in enumerate(VALUES.items(), 1):
        arguments = {**NEEDS.get(name, {}), name: value}
        if kind and name != "x-queue-type":
            arguments["x-queue-type"] = kind
        s.note(f"-- {short}")
        connection.channel(number).call("queue.declare", queue=s.name(short), durable=True,
                                        arguments=arguments)


@cases({name[2:]: name for name in NAMES if name not in QUORUM_ONLY})
def classic(s, name):
    """On a classic queue."""
    declare(s, name, None)


@cases({name[2:]: name for name in NAMES if name not in CLASSIC_ONLY})
def quorum(s, name):
    """On a quorum queue."""
    declare(s, name, "quorum")


@cases({name[2:]: name for name in CLASSIC_ONLY[1:]})
def unfit_for_quorum(s, name):
    """Refused whatever the value."""
    channel = s.channel()
    channel.call("queue.declare", queue=s.name("q"), durable=True,
                 arguments={"x-queue-type": "quorum", name: 1})


CONSUMER = {"priority": "x-priority", "cancel_on_ha_failover": "x-cancel-on-ha-failover"}


@cases(CONSUMER)
def consumer(s, name):
    """Of a consumer."""
    connection = s.connect()
    queue = s.queue(connection.channel(1))
    for number, (short, value) in enumerate(VALUES.items(), 2):
        s.note(f"-- {short}")
        connection.channel(number).call("basic.consume", queue=queue, consumer_tag=short,
                                        arguments={name: value})


@cases({"alternate_exchange": "alternate-exchange"})
def exchange(s, name):
    """Of an exchange."""
    connection = s.connect()
    for number, (short, value) in enumerate(VALUES.items(), 1):
        s.note(f"-- {short}")
        connection.channel(number).call("exchange.declare", exchange=s.name(short), type="fanout",
                                        arguments={name: value})


EXPIRATIONS = {
    "zero": "0", "one": "1", "minus": "-1", "plus": "+1", "space": " 1", "letters": "1s",
    "float": "1.5", "ten_years": "315360000000", "over": "315360000001", "digits": "9" * 40}


@cases({name: value for name, value in EXPIRATIONS.items()})
def expiration(s, value):
    """Of a message: its time to live is a text of digits."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.call("confirm.select")
    channel.publish("x", key=queue, props={"expiration": value})
    channel.expect()
