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
const RELAY_LOG: &str = "relay-log";

/// Brokers that bars are held against; they are never ours.
pub const PEERS: &[&str] = &[RABBITMQ, NATS, MOSQUITTO, "mosquitto-nodelay"];

/// All bars in the order of the page.
pub const BARS: &[Bar] = &[
    of_nats("T1", 1.0),
    of_nats("T2", 0.7),
    of_jetstream("T3", 0.25),
    of_jetstream("T3s", 0.25),
    of_nats("T4", 1.0),
    of_jetstream("T4p", 0.25),
    of_nats("T5", 1.5),
    amqp("T7", "p50, over the relay's", share(RELAY, "p50_ms", 1.5)),
    amqp("T7", "p99, over the relay's", share(RELAY, "p99_ms", 1.5)),
    amqp(
        "T7p",
        "p50 of a confirm, over that of a relay with a log",
        share(RELAY_LOG, "confirm_p50_ms", 1.5),
    ),
    amqp(
        "T7p",
        "p99 of a confirm, over that of a relay with a log",
        share(RELAY_LOG, "confirm_p99_ms", 2.0),
    ),
    amqp(
        "T7p",
        "p99 of a confirm, over that of one sync",
        Ask::Share(DISK, "confirm_p99_ms", "sync_p99_ms", 2.0),
    ),
    amqp(
        "T7p",
        "p99 of a confirm, over that of an ideal log",
        Ask::Share(DISK, "confirm_p99_ms", "ideal_p99_ms", 2.0),
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
        "T3",
        "throughput, as a share of that of a relay with a log",
        Ask::Times(RELAY_LOG, "msgs_s", 0.7),
    ),
    over_rabbitmq("T1", 25.0),
    over_rabbitmq("T2", 12.0),
    over_rabbitmq("T3", 10.0),
    over_rabbitmq("T3s", 18.0),
    over_rabbitmq("T4", 24.0),
    over_rabbitmq("T4p", 10.0),
    over_rabbitmq("T5", 60.0),
    over_rabbitmq("T7", 3.0),
    over_rabbitmq("T11", 80.0),
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
    amqp("T8", "refused", Ask::AtMost("refused", 0.0)),
    amqp("T9", "KiB/queue", Ask::AtMost("kib_per_queue", 1.5)),
    amqp("T9", "declares/s", Ask::AtLeast("declares_s", 10_000.0)),
    amqp(
        "S1",
        "CPU, as a share of that of a queue without acks (SQ)",
        Ask::OfScenario("SQ", CPU, 1.0),
    ),
    amqp(
        "SR",
        "times that 100 readers fetch it off the disk",
        Ask::AtMost("disk_reads", 1.25),
    ),
    over_mosquitto("T1", 12.0),
    over_mosquitto("T2", 5.0),
    over_mosquitto("T3", 4.0),
    over_mosquitto("T3s", 8.0),
    over_mosquitto("MQ2", 6.0),
    over_mosquitto("T5", 30.0),
    mqtt("MI", "KiB/connection", Ask::AtMost("kib_per_conn", 4.0)),
    mqtt(
        "MI",
        "MiB with all open",
        Ask::AtMost("rss_after_mib", 100.0),
    ),
    mqtt("MI", "refused", Ask::AtMost("refused", 0.0)),
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

const fn of_nats(scenario: &'static str, most: f64) -> Bar {
    let ask = share(NATS, CPU, most);
    amqp(scenario, "CPU, as a share of NATS core", ask)
}

const fn of_jetstream(scenario: &'static str, most: f64) -> Bar {
    let ask = share(NATS, CPU, most);
    amqp(scenario, "CPU, as a share of JetStream", ask)
}

const fn over_rabbitmq(scenario: &'static str, times: f64) -> Bar {
    let ask = less(RABBITMQ, CPU, times);
    amqp(scenario, "CPU advantage over RabbitMQ", ask)
}

const fn over_mosquitto(scenario: &'static str, times: f64) -> Bar {
    let ask = less(MOSQUITTO, CPU, times);
    mqtt(scenario, "CPU advantage over Mosquitto", ask)
}

const fn share(peer: &'static str, figure: &'static str, most: f64) -> Ask {
    Ask::Share(peer, figure, figure, most)
}

const fn less(peer: &'static str, figure: &'static str, times: f64) -> Ask {
    Ask::Advantage(peer, figure, times)
}
