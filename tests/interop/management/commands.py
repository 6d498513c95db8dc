"""What rabbitmqadmin is asked, command by command, and how its answers are made comparable.

Owns: the script of commands (`COMMANDS`) and what differs between two nodes by nature (names, ports,
addresses), which is put in one form by `plain`.
"""

import html
import re

# One name per command; the arguments are what a person types.
COMMANDS = [
    ("version of the API", "show overview product_name"),
    ("exchanges of a new node", "list exchanges name type durable auto_delete internal"),
    ("no queues", "list queues"),
    ("declare a queue", "declare queue name=jobs durable=true"),
    ("declare it again", "declare queue name=jobs durable=true"),
    ("declare it otherwise", "declare queue name=jobs durable=false"),
    ("declare one with arguments",
     'declare queue name=ranked durable=true arguments={"x-max-priority":5,"x-max-length":3}'),
    ("declare one that goes", "declare queue name=brief auto_delete=true durable=false"),
    ("a queue of quorum type",
     'declare queue name=safe durable=true arguments={"x-queue-type":"quorum"}'),
    ("an argument of a wrong type",
     'declare queue name=odd arguments={"x-max-length":"three"}'),
    ("a reserved name", "declare queue name=amq.mine"),
    ("declare an exchange", "declare exchange name=events type=topic"),
    ("declare it again", "declare exchange name=events type=topic"),
    ("declare it otherwise", "declare exchange name=events type=fanout"),
    ("declare one of no type", "declare exchange name=none type=none-such"),
    ("declare one for exchanges alone",
     "declare exchange name=inner type=fanout internal=true durable=false"),
    ("bind a queue", "declare binding source=events destination=jobs routing_key=order.#"),
    ("bind it again", "declare binding source=events destination=jobs routing_key=order.#"),
    ("bind with arguments", 'declare binding source=events destination=ranked '
     'routing_key=x arguments={"b":1,"a":"x"}'),
    ("bind an exchange", "declare binding source=events destination_type=exchange "
     "destination=inner routing_key=#"),
    ("bind to nothing", "declare binding source=events destination=none routing_key=x"),
    ("bind from nothing", "declare binding source=none destination=jobs routing_key=x"),
    ("bindings", "list bindings source destination destination_type routing_key properties_key"),
    ("queues", "list queues name durable auto_delete arguments messages"),
    ("queues, the other way round", "--sort=name --sort-reverse list queues name"),
    ("exchanges", "list exchanges name type durable auto_delete internal"),
    ("publish", "publish exchange=events routing_key=order.paid payload=hello"),
    ("publish to a queue", "publish routing_key=ranked payload=first"),
    ("publish with properties", 'publish routing_key=ranked payload=second '
     'properties={"priority":3,"delivery_mode":2,"headers":{"n":1}}'),
    ("publish base64", "publish routing_key=ranked payload=aGk= payload_encoding=base64"),
    ("publish to nobody", "publish exchange=events routing_key=none payload=x"),
    ("publish to no exchange", "publish exchange=none routing_key=x payload=x"),
    ("get and keep", "get queue=ranked ackmode=ack_requeue_true"),
    ("get more", "get queue=ranked count=5 ackmode=ack_requeue_true"),
    ("get as base64", "get queue=ranked ackmode=ack_requeue_true encoding=base64"),
    ("get and take", "get queue=ranked ackmode=ack_requeue_false"),
    ("get from nothing", "get queue=none"),
    ("get from an empty one", "get queue=brief"),
    ("lengths", "list queues name messages messages_ready messages_unacknowledged"),
    ("purge", "purge queue name=ranked"),
    ("purge nothing", "purge queue name=none"),
    ("lengths after that", "list queues name messages"),
    ("a policy", 'declare policy name=short pattern=^jobs$ definition={"max-length":10} '
     'apply-to=queues'),
    ("policies", "list policies name pattern apply-to definition priority"),
    ("an operator policy",
     'declare operator_policy name=cap pattern=.* definition={"max-length":99} apply-to=queues'),
    ("operator policies", "list operator_policies name pattern definition"),
    ("a policy of no sense", 'declare policy name=bad pattern=x definition={"none-such":1}'),
    ("policies of queues", "list queues name policy"),
    ("a policy goes", "delete policy name=short"),
    ("an operator policy goes", "delete operator_policy name=cap"),
    ("a limit of the virtual host", "declare vhost_limit vhost=/ name=max-queues value=100"),
    ("limits", "list vhost_limits"),
    ("a limit goes", "delete vhost_limit vhost=/ name=max-queues"),
    ("unbind", "delete binding source=events destination_type=queue destination=jobs "
     "properties_key=order.%23"),
    ("unbind by arguments", "delete binding source=events destination_type=queue "
     "destination=ranked properties_key=x~{hash}"),
    ("unbind nothing", "delete binding source=events destination_type=queue destination=jobs "
     "properties_key=none"),
    ("bindings after that", "list bindings source destination routing_key"),
    ("delete a queue", "delete queue name=brief"),
    ("delete nothing", "delete queue name=brief"),
    ("delete an exchange", "delete exchange name=inner"),
    ("delete one of the node's own", "delete exchange name=amq.topic"),
    ("what is left", "list queues name"),
    ("connections", "list connections vhost user protocol state channels ssl type timeout"),
    ("channels", "list channels number user vhost state confirm transactional consumer_count "
     "messages_unacknowledged prefetch_count global_prefetch_count"),
    ("consumers", "list consumers queue.name consumer_tag ack_required exclusive prefetch_count "
     "arguments"),
    ("as JSON", "--format=raw_json list queues name durable"),
    ("in long form", "--format=long list queues name durable"),
    ("as key and value", "--format=kvp list queues name messages"),
    ("as tabs", "--format=tsv list queues name messages"),
    ("as bash", "--format=bash list queues name"),
    ("an unknown host of queues", "--vhost=none list queues"),
]

# What a node of ours has besides.
OURS = re.compile(r"^.*ferry\.settle.*\n", re.M)


def plain(output, kind):
    """One answer without what two nodes can not have in common; the order of lists is one such."""
    output = html.unescape(output)
    if kind == "ferrymq":
        output = OURS.sub("", output)
    output = re.sub(r"FerryMQ|RabbitMQ", "PRODUCT", output)
    # Where rabbitmqadmin lies, and what its own lines are, is no answer of a node.
    output = re.sub(r"^(Traceback).*\n( .*\n)+", r"\1\n", output, flags=re.M)
    output = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", output)
    output = re.sub(r"[a-z]+\d*@[\w.-]+", "NODE", output)
    lines = [re.sub(r"-{3,}", "---", re.sub(r" {2,}", " ", line)).rstrip()
             for line in output.splitlines()]
    return sorted(line for line in lines if line)
