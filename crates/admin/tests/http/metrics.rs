//! What Prometheus reads: names, labels, formats, and figures.

use crate::exposition::{self, Dialect, Page};
use crate::support::Door;
use ferry_broker::{Burst, Outcome};
use ferry_core::arguments::Arguments;

const IDENTITY: &str = "rabbitmq_identity_info{rabbitmq_node=\"ferrymq@test\",\
    rabbitmq_cluster=\"ferrymq@test\",rabbitmq_endpoint=";
const BY_KIND: &str = "{protocol=\"amqp091\",queue_type=\"rabbit_classic_queue\"}";

impl Door {
    async fn page(&self, path: &str) -> Page {
        let answer = self.request("GET", path, "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let content = "content-type: text/plain; version=0.0.4; charset=utf-8";
        assert!(answer.head.contains(content), "{}", answer.head);
        exposition::read(&answer.body, Dialect::Prometheus)
    }
}

#[tokio::test]
async fn metrics_can_be_read_and_have_the_known_names() {
    let door = Door::open().await;
    door.declare("a\"b", Arguments::new());
    let page = door.page("/metrics").await;
    for (series, expected) in [
        ("rabbitmq_connections", 1.0),
        ("rabbitmq_channels", 0.0),
        ("rabbitmq_queues", 1.0),
        ("rabbitmq_queues_declared_total", 1.0),
        ("rabbitmq_queues_created_total", 1.0),
        ("rabbitmq_queue_messages_ready", 0.0),
        (
            "rabbitmq_global_messages_received_total{protocol=\"amqp091\"}",
            0.0,
        ),
        ("rabbitmq_resident_memory_limit_bytes", 1_048_576.0),
        (&format!("{IDENTITY}\"aggregated\"}}"), 1.0),
        ("rabbitmq_alarms_memory_used_watermark", 0.0),
        ("ferrymq_log_segments", 1.0),
        ("ferrymq_ready", 1.0),
    ] {
        assert_eq!(page.value(series), Some(expected), "{series}");
    }
}

#[tokio::test]
async fn every_queue_has_its_line_whatever_its_name() {
    let door = Door::open().await;
    let names = [
        "plain",
        "a\"b",
        "back\\slash",
        "two\nlines",
        "é {x=\"1\"} 7",
        "",
    ];
    for name in &names[..5] {
        door.declare(name, Arguments::new());
    }
    for (path, series) in [
        ("/metrics/per-object", "rabbitmq_queue_messages"),
        (
            "/metrics/detailed?family=queue_coarse_metrics",
            "rabbitmq_detailed_queue_messages",
        ),
    ] {
        let page = door.page(path).await;
        let mut found = Vec::new();
        for (line, _) in page.all(series) {
            let labels = line.split_once('{').unwrap().1.strip_suffix('}').unwrap();
            found.push(exposition::labels(labels).pop().unwrap().1);
        }
        let mut expected = names[..5].to_vec();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{path}");
    }
}

#[tokio::test]
async fn details_are_what_was_asked_for() {
    let door = Door::open().await;
    door.declare("q", Arguments::new());
    let names = |page: &Page| -> Vec<String> {
        let names = page.families.iter().map(|family| family.name.clone());
        names.skip(2).collect()
    };
    for (query, expected) in [
        ("", &[][..]),
        ("?family=unheard_of", &[]),
        (
            "?family=queue_consumer_count&vhost=none",
            &["rabbitmq_detailed_queue_consumers"],
        ),
        ("?family=vhost_status", &["rabbitmq_cluster_vhost_status"]),
        (
            "?family=exchange_bindings&family=exchange_names&vhost=%2F",
            &[
                "rabbitmq_cluster_exchange_name",
                "rabbitmq_cluster_exchange_bindings",
            ],
        ),
        (
            "?family=ferrymq_queue_times",
            &[
                "ferrymq_queue_publish_deliver_seconds",
                "ferrymq_queue_lease_seconds",
            ],
        ),
    ] {
        let page = door.page(&format!("/metrics/detailed{query}")).await;
        assert_eq!(names(&page), expected, "{query}");
        assert_eq!(page.value(&format!("{IDENTITY}\"detailed\"}}")), Some(1.0));
    }
    let page = door
        .page("/metrics/detailed?family=queue_consumer_count&vhost=none")
        .await;
    assert_eq!(page.all("rabbitmq_detailed_queue_consumers").len(), 0);
    let both = "/metrics/detailed?family=queue_consumer_count&vhost=none&vhost=/";
    let page = door.page(both).await;
    assert_eq!(page.all("rabbitmq_detailed_queue_consumers").len(), 1);
}

#[tokio::test]
async fn openmetrics_is_for_who_asks() {
    let door = Door::open().await;
    let ask = "Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5\r\n";
    for path in ["/metrics", "/metrics/per-object", "/metrics/detailed"] {
        let answer = door.request("GET", path, ask).await;
        let content = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(answer.head.contains(content), "{path}: {}", answer.head);
        let page = exposition::read(&answer.body, Dialect::OpenMetrics);
        assert!(page.families.len() >= 2, "{path}");
    }
}

#[tokio::test]
async fn what_goes_through_queues_is_counted_and_timed() {
    let door = Door::open().await;
    door.declare("jobs", Arguments::new());
    let times = "/metrics/detailed?family=ferrymq_queue_times";
    for turn in 0..2 {
        if turn == 1 {
            door.page(times).await;
        }
        door.publish("jobs", None);
        door.pass(7);
        let queue = door.broker.vhost("/").unwrap().queues().remove(0);
        let mut lease = None;
        let mut take = |delivery: ferry_broker::Delivery<'_>| lease = delivery.lease;
        door.broker.get(&queue, false, &mut take).unwrap();
        door.broker.get(&queue, true, &mut |_| {}).unwrap();
        door.pass(100);
        let mut burst = Burst::new();
        burst.settle(&queue, lease.unwrap(), Outcome::Accept);
        burst.submit(&door.broker);
    }
    let page = door.page("/metrics").await;
    for (name, expected) in [
        ("rabbitmq_global_messages_delivered_total", 2.0),
        (
            "rabbitmq_global_messages_delivered_get_manual_ack_total",
            2.0,
        ),
        ("rabbitmq_global_messages_delivered_get_auto_ack_total", 0.0),
        ("rabbitmq_global_messages_get_empty_total", 2.0),
        ("rabbitmq_global_messages_acknowledged_total", 2.0),
        ("rabbitmq_global_messages_redelivered_total", 0.0),
    ] {
        let series = format!("{name}{BY_KIND}");
        assert_eq!(page.value(&series), Some(expected), "{series}");
    }
    for (series, expected) in [
        (
            "rabbitmq_global_messages_routed_total{protocol=\"amqp091\"}",
            2.0,
        ),
        ("rabbitmq_channel_get_ack_total", 2.0),
        ("ferrymq_publish_deliver_seconds_bucket{le=\"0.004\"}", 0.0),
        ("ferrymq_publish_deliver_seconds_bucket{le=\"0.008\"}", 2.0),
        ("ferrymq_publish_deliver_seconds_sum", 0.014),
        ("ferrymq_lease_seconds_bucket{le=\"0.064\"}", 0.0),
        ("ferrymq_lease_seconds_bucket{le=\"0.128\"}", 2.0),
        ("ferrymq_burst_publishes_count", 2.0),
    ] {
        assert_eq!(page.value(series), Some(expected), "{series}");
    }
    let page = door.page(times).await;
    for name in ["publish_deliver", "lease"] {
        let series = format!("ferrymq_queue_{name}_seconds_count{{vhost=\"/\",queue=\"jobs\"}}");
        assert_eq!(page.value(&series), Some(1.0), "{series}");
    }
}

#[tokio::test]
async fn dead_letters_are_counted_by_reason_and_strategy() {
    let door = Door::open().await;
    door.declare("dead", Arguments::new());
    let mut arguments = Arguments::from_iter([
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", "dead"),
    ]);
    door.declare("kept", arguments.clone());
    arguments.insert("x-dead-letter-strategy", "at-most-once");
    door.declare("dropped", arguments);
    for name in ["kept", "kept", "dropped"] {
        door.publish(name, None);
        let queues = door.broker.vhost("/").unwrap().queues();
        let queue = queues.iter().find(|queue| queue.name() == name).unwrap();
        let mut lease = None;
        let mut take = |delivery: ferry_broker::Delivery<'_>| lease = delivery.lease;
        door.broker.get(queue, false, &mut take).unwrap();
        let mut burst = Burst::new();
        burst.settle(queue, lease.unwrap(), Outcome::Reject);
        burst.submit(&door.broker);
    }
    let page = door.page("/metrics").await;
    let name = "rabbitmq_global_messages_dead_lettered";
    for (reason, strategy, expected) in [
        ("rejected", "at_least_once", 2.0),
        ("rejected", "at_most_once", 1.0),
        ("expired", "at_least_once", 0.0),
        ("confirmed", "at_least_once", 2.0),
    ] {
        let series = format!(
            "{name}_{reason}_total{{queue_type=\"rabbit_classic_queue\",\
             dead_letter_strategy=\"{strategy}\"}}"
        );
        assert_eq!(page.value(&series), Some(expected), "{series}");
    }
}
