//! The bars as data: what is asked of our broker in each scenario, by protocol.
//!
//! Invariants
//! - A bar names its scenario, its figure, and whom it is held against; nothing is judged here.

use super::{Ask, Bar};
use crate::cmd::DISK;

const CPU: &str = "broker_cpu_us_per_message";
const RABBITMQ: &str = "rabbitmq";
const NATS: &str = "nats";
const MOSQUITTO: &str = "mosquitto";
const RELAY: &str = "relay";

/// Brokers that bars are held against; they are never ours.
pub const PEERS: &[&str] = &[RABBITMQ, NATS, MOSQUITTO, "mosquitto-nodelay"];

/// All bars in the order of the page.
pub const BARS: &[Bar] = &[
    amqp("T1", "CPU, as a share of NATS core", share(NATS, CPU, 1.0)),
    amqp("T2", "CPU, as a share of NATS core", share(NATS, CPU, 0.7)),
    amqp("T3", "CPU, as a share of JetStream", share(NATS, CPU, 0.25)),
    amqp(
        "T3s",
        "CPU, as a share of JetStream",
        share(NATS, CPU, 0.25),
    ),
    amqp("T4", "CPU, as a share of NATS core", share(NATS, CPU, 1.0)),
    amqp(
        "T4p",
        "CPU, as a share of JetStream",
        share(NATS, CPU, 0.25),
    ),
    amqp("T5", "CPU, as a share of NATS core", share(NATS, CPU, 1.5)),
    amqp("T7", "p50, over the relay's", share(RELAY, "p50_ms", 1.5)),
    amqp("T7", "p99, over the relay's", share(RELAY, "p99_ms", 1.5)),
    amqp(
        "T7p",
        "p99 of a confirm, over that of one sync",
        Ask::Share(DISK, "confirm_p99_ms", "sync_p99_ms", 2.0),
    ),
    amqp("T7p", "p50 ms", Ask::AtMost("p50_ms", 0.35)),
    amqp(
        "T7p",
        "p50 ms of a confirm",
        Ask::AtMost("confirm_p50_ms", 0.35),
    ),
    amqp(
        "T3",
        "throughput, as a share of what relay and disk allow",
        Ask::OfLimits(0.7),
    ),
    amqp(
        "T1",
        "CPU advantage over RabbitMQ",
        less(RABBITMQ, CPU, 25.0),
    ),
    amqp(
        "T2",
        "CPU advantage over RabbitMQ",
        less(RABBITMQ, CPU, 12.0),
    ),
    amqp(
        "T3",
        "CPU advantage over RabbitMQ",
        less(RABBITMQ, CPU, 10.0),
    ),
    amqp(
        "T3s",
        "CPU advantage over RabbitMQ",
        less(RABBITMQ, CPU, 18.0),
    ),
    amqp(
        "T4",
        "CPU advantage over RabbitMQ",
        less(RABBITMQ, CPU, 24.0),
    ),
    amqp(
        "T4p",
        "CPU advantage over RabbitMQ",
        less(RABBITMQ, CPU, 10.0),
    ),
    amqp(
        "T5",
        "CPU advantage over RabbitMQ",
        less(RABBITMQ, CPU, 60.0),
    ),
    amqp(
        "T7",
        "CPU advantage over RabbitMQ",
        less(RABBITMQ, CPU, 3.0),
    ),
    amqp(
        "T11",
        "CPU advantage over RabbitMQ",
        less(RABBITMQ, CPU, 80.0),
    ),
    amqp(
        "T6",
        "CPU advantage over RabbitMQ in the fill",
        less(RABBITMQ, "fill_cpu_us_per_message", 12.0),
    ),
    amqp(
        "T6",
        "times RabbitMQ's rate of the drain",
        Ask::Times(RABBITMQ, "drain_msgs_s", 5.0),
    ),
    amqp(
        "T6",
        "MiB held, 2 million",
        Ask::BacklogAtMost(2e6, "held_rss_mib", 120.0),
    ),
    amqp(
        "T6",
        "first delivery ms, 2 million",
        Ask::BacklogAtMost(2e6, "first_delivery_ms", 300.0),
    ),
    amqp(
        "T6",
        "MiB peak, 10 million",
        Ask::BacklogAtMost(1e7, "fill_rss_peak_mib", 512.0),
    ),
    amqp(
        "T6",
        "restart ms, 10 million",
        Ask::BacklogAtMost(1e7, "ready_ms", 2000.0),
    ),
    amqp(
        "T6",
        "drained/s, 10 million",
        Ask::BacklogAtLeast(1e7, "drain_msgs_s", 500_000.0),
    ),
    amqp("T8", "KiB/connection", Ask::AtMost("kib_per_conn", 8.0)),
    amqp("T8", "opens/s", Ask::AtLeast("opens_s", 5000.0)),
    amqp("T9", "KiB/queue", Ask::AtMost("kib_per_queue", 1.5)),
    amqp("T9", "declares/s", Ask::AtLeast("declares_s", 10_000.0)),
    mqtt(
        "T1",
        "CPU advantage over Mosquitto",
        less(MOSQUITTO, CPU, 12.0),
    ),
    mqtt(
        "T2",
        "CPU advantage over Mosquitto",
        less(MOSQUITTO, CPU, 5.0),
    ),
    mqtt(
        "T3",
        "CPU advantage over Mosquitto",
        less(MOSQUITTO, CPU, 4.0),
    ),
    mqtt(
        "T3s",
        "CPU advantage over Mosquitto",
        less(MOSQUITTO, CPU, 8.0),
    ),
    mqtt(
        "MQ2",
        "CPU advantage over Mosquitto",
        less(MOSQUITTO, CPU, 6.0),
    ),
    mqtt(
        "T5",
        "CPU advantage over Mosquitto",
        less(MOSQUITTO, CPU, 30.0),
    ),
    mqtt("MI", "KiB/connection", Ask::AtMost("kib_per_conn", 4.0)),
    mqtt(
        "MI",
        "MiB with all open",
        Ask::AtMost("rss_after_mib", 100.0),
    ),
    mqtt("MC", "connects/s", Ask::AtLeast("opens_s", 2000.0)),
    mqtt("MC", "refused", Ask::AtMost("refused", 0.0)),
    mqtt("MCp", "connects/s", Ask::AtLeast("opens_s", 2000.0)),
    mqtt("MCp", "refused", Ask::AtMost("refused", 0.0)),
    mqtt("MS", "refused", Ask::AtMost("refused", 0.0)),
    mqtt("MS", "sessions lost", Ask::AtMost("sessions_lost", 0.0)),
];

const fn amqp(scenario: &'static str, about: &'static str, ask: Ask) -> Bar {
    Bar {
        proto: "amqp",
        scenario,
        about,
        ask,
    }
}

const fn mqtt(scenario: &'static str, about: &'static str, ask: Ask) -> Bar {
    Bar {
        proto: "mqtt",
        scenario,
        about,
        ask,
    }
}

const fn share(peer: &'static str, figure: &'static str, most: f64) -> Ask {
    Ask::Share(peer, figure, figure, most)
}

const fn less(peer: &'static str, figure: &'static str, times: f64) -> Ask {
    Ask::Advantage(peer, figure, times)
}
