"""Metrics, health and the log of a node, as Prometheus, a probe and an operator see them.

The figures in `SAME` are what RabbitMQ 3.10.8 with its Prometheus plug-in counts for the calls of
`work`; the names, types and labels of its families are in `rabbitmq-3.10.8.txt` beside this file.
"""

import json
import os
import pathlib
import re
import socket
import time
import urllib.error
import urllib.request

import lib
import pika
from lib import Checks
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

HERE = pathlib.Path(__file__).resolve().parent
HTTP = f"http://127.0.0.1:{os.environ['HTTP_PORT']}"
PAGES = ("/metrics", "/metrics/per-object",
         "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics&family=node_metrics"
         "&family=exchange_bindings&family=ferrymq_queue_times")
HOSTILE = ['quote"d', "back\\slash", "{a=\"b\"} 1", "é\u202eü", "<script>", "x" * 255]
# Left out in RabbitMQ's place: reasons are in docs/metrics.md.
NOT_HERE = re.compile(
    r"rabbitmq_(alarms_file_descriptor_limit|io_(read|write|seek|reopen)_.*|msg_store_.*|schema_db_.*"
    r"|queue_index_.*|.*_process_reductions_total|queue_process_memory_bytes|.*uncommitted|.*prefetch"
    r"|.*_packets(_total)?|connection_channels|channel_messages_unconfirmed|queue_consumer_(capacity"
    r"|utilisation)|queue_head_message_timestamp|queue_disk_(reads|writes)_total|queue_messages_(bytes"
    r"|(unacked|ready|persistent|paged_out)?_?(ram|unacked|persistent|paged_out)?(_ram)?(_bytes)?))")
SAME = {
    "rabbitmq_channels": 3, "rabbitmq_channel_consumers": 2, "rabbitmq_channel_get_ack_total": 3,
    "rabbitmq_channel_get_empty_total": 1, "rabbitmq_channel_get_total": 1,
    "rabbitmq_channel_messages_acked_total": 2, "rabbitmq_channel_messages_confirmed_total": 16,
    "rabbitmq_channel_messages_delivered_ack_total": 4,
    "rabbitmq_channel_messages_delivered_total": 3, "rabbitmq_channel_messages_published_total": 16,
    "rabbitmq_channel_messages_redelivered_total": 1, "rabbitmq_channel_messages_unacked": 3,
    "rabbitmq_channel_messages_unroutable_dropped_total": 1,
    "rabbitmq_channel_messages_unroutable_returned_total": 1, "rabbitmq_channels_opened_total": 3,
    "rabbitmq_connections": 1, "rabbitmq_connections_opened_total": 1, "rabbitmq_consumers": 2,
    "rabbitmq_auth_attempts_succeeded_total": 1, "rabbitmq_auth_attempts_failed_total": 0,
    "rabbitmq_global_consumers": 2, "rabbitmq_global_messages_acknowledged_total": 2,
    "rabbitmq_global_messages_confirmed_total": 16,
    "rabbitmq_global_messages_dead_lettered_rejected_total": 1,
    "rabbitmq_global_messages_delivered_consume_auto_ack_total": 3,
    "rabbitmq_global_messages_delivered_consume_manual_ack_total": 4,
    "rabbitmq_global_messages_delivered_get_auto_ack_total": 1,
    "rabbitmq_global_messages_delivered_get_manual_ack_total": 3,
    "rabbitmq_global_messages_delivered_total": 11, "rabbitmq_global_messages_get_empty_total": 1,
    "rabbitmq_global_messages_received_confirm_total": 16,
    "rabbitmq_global_messages_received_total": 16, "rabbitmq_global_messages_redelivered_total": 1,
    "rabbitmq_global_messages_routed_total": 14,
    "rabbitmq_global_messages_unroutable_dropped_total": 1,
    "rabbitmq_global_messages_unroutable_returned_total": 1, "rabbitmq_global_publishers": 1,
    "rabbitmq_queue_messages": 8, "rabbitmq_queue_messages_ready": 5,
    "rabbitmq_queue_messages_ready_bytes": 41, "rabbitmq_queue_messages_unacked": 3,
    "rabbitmq_queue_consumers": 2, "rabbitmq_queues": 3, "rabbitmq_queues_created_total": 3,
    "rabbitmq_queues_declared_total": 3, "rabbitmq_queues_deleted_total": 0,
}

checks = Checks()


def equal(found, wanted):
    """Fails unless both are the same."""
    if found != wanted:
        raise AssertionError(f"wanted {wanted!r}, found {found!r}")


def ask(path, accept="text/plain", base=HTTP):
    """Status, content type and text of a page."""
    request = urllib.request.Request(base + path, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def page(path="/metrics", base=HTTP):
    """The families of a page by name."""
    families = list(prometheus(ask(path, base=base)[2]))
    by_name = {family.name: family for family in families}
    equal(len(by_name), len(families))
    return by_name


def total(families, name):
    """The sum of a family's samples of that name."""
    samples = (s for f in families.values() for s in f.samples if s.name == name)
    return sum(sample.value for sample in samples)


def connect(port=int(os.environ["PORT"])):
    """A connection."""
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))


def work(connection):
    """Publishes, fetches, rejects, consumes: every way that is counted."""
    ch = connection.channel()
    ch.confirm_delivery()
    ch.queue_declare("q1", durable=True)
    ch.queue_declare("dead")
    ch.queue_declare("q2", arguments={"x-dead-letter-exchange": "",
                                      "x-dead-letter-routing-key": "dead"})
    for _ in range(10):
        ch.basic_publish("", "q1", b"x" * 10, pika.BasicProperties(delivery_mode=2))
    for _ in range(4):
        ch.basic_publish("", "q2", b"y")
    try:
        ch.basic_publish("", "nowhere", b"z", mandatory=True)
    except pika.exceptions.UnroutableError:
        pass
    ch.basic_publish("", "nowhere", b"z")
    ch.basic_ack(ch.basic_get("q1")[0].delivery_tag)
    ch.basic_get("q1", auto_ack=True)
    ch.basic_get("dead")
    ch.basic_nack(ch.basic_get("q2")[0].delivery_tag, requeue=True)
    ch.basic_nack(ch.basic_get("q2")[0].delivery_tag, requeue=False)
    consumer, tags = connection.channel(), []
    consumer.basic_qos(prefetch_count=3)
    consumer.basic_consume("q1", lambda _c, method, _p, _b: tags.append(method.delivery_tag))
    connection.process_data_events(0.3)
    consumer.basic_ack(tags[0])
    connection.channel().basic_consume("q2", lambda *_: None, auto_ack=True)
    connection.process_data_events(0.3)


def figures():
    """All counts are RabbitMQ's for the same work."""
    families, wrong = page(), []
    for name, wanted in SAME.items():
        if total(families, name) != wanted:
            wrong.append(f"{name}: wanted {wanted}, found {total(families, name)}")
    equal(wrong, [])


def families_of_rabbitmq():
    """Each of its families is here with its type and labels, or left out on purpose."""
    here = page()
    for line in (HERE / "rabbitmq-3.10.8.txt").read_text().splitlines()[1:]:
        name, kind, labels = (line + " ").split(" ")[:3]
        family = here.get(name.removesuffix("_total"))
        if family is None:
            assert NOT_HERE.fullmatch(name), f"{name} is not there"
            continue
        # RabbitMQ has no type for what is 0 or 1; a gauge says more.
        assert family.type in ({"gauge", "unknown"} if kind == "untyped" else {kind}), name
        found = {label for sample in family.samples for label in sample.labels}
        if family.type != "unknown":
            equal((name, found), (name, set(filter(None, labels.split(",")))))


def joins():
    """What dashboards join with has what they select by."""
    identity = page()["rabbitmq_identity_info"].samples[0].labels
    equal(identity["rabbitmq_endpoint"], "aggregated")
    assert identity["rabbitmq_node"] and identity["rabbitmq_cluster"]
    assert page()["rabbitmq_build_info"].samples[0].labels["rabbitmq_version"][0] in "34"


def histograms():
    """Every delivery, settlement, confirm and sync is in its histogram."""
    families = page()
    for name, least in (("publish_confirm_seconds", 16), ("publish_deliver_seconds", 11),
                        ("lease_seconds", 4), ("log_sync_seconds", 10), ("burst_publishes", 1)):
        count = total(families, f"ferrymq_{name}_count")
        assert count >= least, f"{name}: {count}"
        infinite = [s.value for f in families.values() for s in f.samples
                    if s.name == f"ferrymq_{name}_bucket" and s.labels["le"] == "+Inf"]
        equal(infinite, [count])
    equal(total(families, "ferrymq_publish_confirm_seconds_count"), 16)
    equal(total(families, "ferrymq_publish_deliver_seconds_count"), 11)
    mean = total(families, "ferrymq_publish_confirm_seconds_sum") / 16
    assert 0 < mean < 5, mean


def hostile_names():
    """Names of queues arrive as they are, each in one line."""
    connection = connect()
    for name in HOSTILE:
        connection.channel().queue_declare(name)
    for path, name in ((PAGES[1], "rabbitmq_queue_messages"),
                       (PAGES[2], "rabbitmq_detailed_queue_messages")):
        found = {sample.labels["queue"] for sample in page(path)[name].samples}
        equal(set(HOSTILE) - found, set())
        equal(page(path)[name].samples[0].labels.keys(), {"vhost", "queue"})
    connection.close()


def both_formats():
    """Each page is what its content type says, read by the parsers of Prometheus' own client."""
    for path in PAGES:
        status, kind, text = ask(path)
        equal((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"))
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        series = [line.rsplit(" ", 1)[0] for line in lines]
        equal(len(series), len(set(series)))
        named = list(prometheus(text))
        status, kind, text = ask(path, "application/openmetrics-text;version=1.0.0")
        equal((status, kind.split(";")[0]), (200, "application/openmetrics-text"))
        equal([f.name for f in openmetrics(text)], [f.name for f in named])


def lint():
    """Units, suffixes and helps as `promtool check metrics` wants them."""
    for path in PAGES:
        for family in page(path).values():
            assert family.documentation, family.name
            assert not re.search(r"_(ms|us|kb|mb|milliseconds|megabytes)(_|$)", family.name), family
            assert not re.search(r"_(bucket|count|sum|total|gauge)$", family.name), family
            if family.type == "counter":
                equal({s.name for s in family.samples} - {family.name + "_total"}, set())


def probes():
    """Alive, ready, started, and working."""
    for path in ("/health/live", "/health/ready", "/health/startup"):
        status, _, text = ask(path)
        equal((path, status, json.loads(text)), (path, 200, {"status": "ok"}))
    status, _, text = ask("/health/deep")
    first = json.loads(text)
    equal((status, first["status"]), (200, "ok"))
    assert 0 < first["confirm_ms"] <= first["took_ms"], first
    again = json.loads(ask("/health/deep")[2])
    equal(again["took_ms"], first["took_ms"])


def log_in_with(port, user):
    """A log-in that is refused."""
    credentials = pika.PlainCredentials(user, "x")
    try:
        pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port,
                                                          credentials=credentials))
    except pika.exceptions.AMQPConnectionError:
        pass


def door_and_log():
    """The address for Prometheus has nothing else; a log in JSON is an object per line."""
    port = lib.free_port()
    os.environ.update(FERRYMQ_PROMETHEUS=f"127.0.0.1:{port}", FERRYMQ_LOG_FORMAT="json")
    node = lib.Broker("ferrymq", http=True)
    with node:
        base = f"http://127.0.0.1:{port}"
        assert "rabbitmq_identity_info" in page(base=base)
        equal(ask("/health/ready", base=base)[0], 200)
        for path in ("/", "/api/overview", "/page.js", "/api/whoami"):
            equal((path, ask(path, base=base)[0]), (path, 404))
        log_in_with(node.port, "evil\r\n{\"level\":\"INFO\"} \x1b[2J")
        families = page(base=base)
        equal(total(families, "rabbitmq_auth_attempts_failed_total"), 1)
        time.sleep(0.2)
        output = (node.folder / "output").read_text()
    lines = [json.loads(line) for line in output.splitlines() if line != "ready"]
    for line in lines:
        equal({"timestamp", "level", "message", "target"} - line.keys(), set())
    refused = [line for line in lines if line["message"] == "login refused"]
    equal(len(refused), 1)
    assert "evil" in refused[0]["reason"] and refused[0]["peer"].startswith("127.0.0.1:")
    assert "guest:guest" not in output


def text_log():
    """A name with line breaks makes no line of its own."""
    os.environ.update(FERRYMQ_PROMETHEUS="off", FERRYMQ_LOG_FORMAT="text")
    node = lib.Broker("ferrymq")
    with node:
        log_in_with(node.port, "evil\r\nINFO forged")
        with socket.create_connection(("127.0.0.1", node.port)) as raw:
            raw.sendall(b"GET /\r\n\x1b[2J")
            raw.recv(8)
        time.sleep(0.2)
        output = (node.folder / "output").read_text()
    stamp = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z +(ERROR|WARN|INFO) ")
    wrong = [line for line in output.split("\n") if line not in ("", "ready")
             and not stamp.match(line)]
    equal(wrong, [])
    assert "evil" in output and "\x1b" not in output and "\r" not in output


def main():
    """Every check; the figures first, before others count."""
    connection = connect()
    work(connection)
    for check in (figures, families_of_rabbitmq, joins, histograms, both_formats, lint,
                  hostile_names, probes, door_and_log, text_log):
        checks.run(f"metrics {check.__name__}", check)
    connection.close()
    checks.finish()


main()
