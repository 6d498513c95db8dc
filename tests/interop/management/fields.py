"""Compares what the API shows, field by field, with what RabbitMQ shows of the same traffic.

    fields.py check|record HTTP_PORT AMQP_PORT

Owns: `fields.json`, the fields of RabbitMQ 3.10.8 and their types, and `LEFT_OUT`, those that are not
shown here (docs/management-api.md says why).
"""

import json
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

import pika

RECORDED = pathlib.Path(__file__).with_name("fields.json")

# Two samples have to be taken after the traffic began, five seconds from each other.
TRAFFIC_S = 11

LEFT_OUT = re.compile(r"""
    garbage_collection|reductions|backing_queue_status|recoverable_slaves|open_files  # Erlang's
  | erlang|gc_num|gc_bytes|run_queue|proc_|context_switches|net_ticktime|cowboy_opts
  | mnesia|ra_open_file|metrics_gc|pending_raft|release_series|socket_opts\.|ssl_opts
  | io_|msg_store|queue_index                             # of files that are not here
  | _ram$|_paged_out$|_persistent$|_dlx$|(?<!\.total)\.memory$  # where a queue keeps what
  | head_message_timestamp|user_who_performed_action$|_ctag$
  | config_files|enabled_plugins|log_files|\[\]\.exclusive_consumer_tag
  | idle_since$|default_queue_type|\.description$|\.tags|metadata
""", re.X)

PAGES = ["overview", "nodes", "connections", "channels", "consumers", "exchanges", "queues",
         "bindings", "vhosts", "whoami", "vhosts/%2F", "queues/%2F/fields.jobs",
         "queues/%2F/fields.safe", "exchanges/%2F/fields.events", "queues/%2F/fields.jobs/bindings",
         "queues/%2F/fields.jobs?lengths_age=20&lengths_incr=5&msg_rates_age=20&msg_rates_incr=5",
         "overview?lengths_age=20&lengths_incr=5&msg_rates_age=20&msg_rates_incr=5",
         "queues?page=1&page_size=2&columns=name,message_stats.publish_details.rate"]


def get(port, path):
    """One page as guest."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/{path}",
                                     headers={"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def shape(value, path, found):
    """Every field below a value, with the types that it has."""
    if isinstance(value, dict):
        for name, inner in value.items():
            shape(inner, f"{path}.{name}", found)
    elif isinstance(value, list):
        for inner in value:
            shape(inner, f"{path}[]", found)
    else:
        kind = "number" if type(value) in (int, float) else type(value).__name__
        found.setdefault(path, set()).add(kind)


def traffic(port, begun):
    """Something of everything, for a while; gives the connections, still open."""
    def connect():
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", port, client_properties={"connection_name": "fields"}))
    publisher, consumer = connect(), connect()
    sends, takes, free = publisher.channel(), consumer.channel(), consumer.channel()
    sends.confirm_delivery()
    sends.exchange_declare("fields.events", "topic")
    sends.queue_declare("fields.jobs", durable=True)
    sends.queue_declare("fields.free", durable=True)
    sends.queue_declare("fields.safe", durable=True, arguments={"x-queue-type": "quorum"})
    sends.queue_bind("fields.jobs", "fields.events", "a.*")
    takes.basic_qos(prefetch_count=5)
    takes.basic_consume("fields.jobs", lambda channel, method, *_: method.delivery_tag % 2
                        and channel.basic_ack(method.delivery_tag), consumer_tag="one")
    free.basic_consume("fields.free", lambda *_: None, auto_ack=True, consumer_tag="two")
    begun()
    end = time.monotonic() + TRAFFIC_S
    while time.monotonic() < end:
        persistent = pika.BasicProperties(delivery_mode=2)
        sends.basic_publish("fields.events", "a.b", b"hello", persistent)
        sends.basic_publish("", "fields.free", b"hello")
        sends.basic_publish("", "fields.safe", b"hello")
        sends.basic_publish("", "fields.none", b"hello")
        try:
            sends.basic_publish("", "fields.none", b"hello", mandatory=True)
        except pika.exceptions.UnroutableError:
            pass
        sends.basic_get("fields.safe")
        consumer.process_data_events(0.02)
        time.sleep(0.02)
    return publisher, consumer


def pages(port):
    """The shape of every page, and of one connection and one channel."""
    found = {}
    names = [get(port, what)[0]["name"] for what in ("connections", "channels")]
    one = ["connections/" + urllib.parse.quote(names[0], safe=""),
           "channels/" + urllib.parse.quote(names[1], safe="")]
    for title, path in zip(PAGES + ["one connection", "one channel"], PAGES + one):
        fields = {}
        shape(get(port, path), "", fields)
        found[title] = {re.sub(r"[a-z]+\d*@[\w.-]+", "NODE", field): sorted(kinds)
                        for field, kinds in sorted(fields.items())}
    return found


def differences(recorded, found):
    """Fields that RabbitMQ has and we have not, or with another type."""
    for field, kinds in recorded.items():
        if LEFT_OUT.search(field):
            continue
        if field not in found:
            yield f"{field} is missing"
        elif not set(found[field]) & set(kinds) and "NoneType" not in found[field] + kinds:
            yield f"{field} is {found[field]}, not {kinds}"


def main():
    """Prints `ok` or `FAIL` for every page, and a total."""
    action, http, amqp = sys.argv[1], sys.argv[2], int(sys.argv[3])
    # What was looked at has a course from then on.
    clients = traffic(amqp, lambda: get(http, "queues/%2F/fields.jobs"))
    found = pages(http)
    for client in clients:
        client.close()
    if action == "record":
        RECORDED.write_text(json.dumps(found, indent=1) + "\n")
        return
    good = bad = 0
    for title, recorded in json.loads(RECORDED.read_text()).items():
        wrong = list(differences(recorded, found[title]))
        good, bad = good + (not wrong), bad + bool(wrong)
        print(f"FAIL fields of {title}: {'; '.join(wrong)}" if wrong else f"ok fields of {title}")
    print(f"{good} passed, {bad} failed")


main()
