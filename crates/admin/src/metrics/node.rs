//! What is counted for the node as a whole.

use std::sync::atomic::{AtomicU64, Ordering};

use ferry_broker::{BlockReason, Metrics};

use super::rules;
use super::text::{Family, Text};
use crate::process;
use crate::shared::Shared;

pub(super) fn write(shared: &Shared, text: &mut Text) {
    identity(shared, text);
    objects(shared, text);
    churn(shared.broker.metrics(), text);
    messages(shared.broker.metrics(), text);
    own_messages(shared.broker.metrics(), text);
    by_settings(shared.broker.metrics(), text);
    gathered(shared.broker.metrics(), text);
    rules::write(shared.broker.metrics(), text);
    throttled(shared, text);
    resources(shared, text);
    alarms(shared, text);
    log(shared, text);
}

fn identity(shared: &Shared, text: &mut Text) {
    let node = &shared.node;
    let build = Family("rabbitmq_build_info", "Version of the product");
    text.open(build, "gauge");
    text.sample(
        build,
        &[
            ("product_name", "FerryMQ"),
            ("product_version", &node.version),
        ],
        1.0,
    );
    let identity = Family(
        "rabbitmq_identity_info",
        "Names of the node and of its cluster",
    );
    text.open(identity, "gauge");
    let labels = [
        ("rabbitmq_node", node.name.as_str()),
        ("rabbitmq_cluster", &node.name),
    ];
    text.sample(identity, &labels, 1.0);
    let uptime = Family("ferrymq_uptime_seconds", "Time since the node started");
    text.gauge(uptime, shared.started.elapsed().as_secs_f64());
}

fn objects(shared: &Shared, text: &mut Text) {
    let totals = shared.totals();
    let vhosts = shared.broker.vhosts();
    let exchanges: usize = vhosts.iter().map(|vhost| vhost.exchanges().len() + 1).sum();
    for (family, value) in [
        (
            Family("rabbitmq_connections", "Connections currently open"),
            shared.broker.connection_count() as u64,
        ),
        (
            Family("rabbitmq_channels", "Channels currently open"),
            shared.channels(),
        ),
        (Family("rabbitmq_queues", "Queues available"), totals.queues),
        (
            Family("rabbitmq_consumers", "Consumers currently connected"),
            totals.consumers,
        ),
        (
            Family(
                "ferrymq_exchanges",
                "Exchanges, the predeclared ones included",
            ),
            exchanges as u64,
        ),
        (
            Family("ferrymq_vhosts", "Virtual hosts"),
            vhosts.len() as u64,
        ),
    ] {
        text.gauge(family, value as f64);
    }
}

fn counters<const N: usize>(text: &mut Text, rows: [(Family, &AtomicU64); N]) {
    for (family, counter) in rows {
        text.counter(family, counter.load(Ordering::Relaxed) as f64);
    }
}

fn churn(metrics: &Metrics, text: &mut Text) {
    counters(
        text,
        [
            (
                Family("rabbitmq_connections_opened_total", "Connections opened"),
                &metrics.connections_opened,
            ),
            (
                Family(
                    "rabbitmq_connections_closed_total",
                    "Connections closed or terminated",
                ),
                &metrics.connections_closed,
            ),
            (
                Family("rabbitmq_channels_opened_total", "Channels opened"),
                &metrics.channels_opened,
            ),
            (
                Family("rabbitmq_channels_closed_total", "Channels closed"),
                &metrics.channels_closed,
            ),
            (
                Family("rabbitmq_queues_created_total", "Queues created"),
                &metrics.queues_declared,
            ),
            (
                Family("rabbitmq_queues_deleted_total", "Queues deleted"),
                &metrics.queues_deleted,
            ),
        ],
    );
}

fn messages(metrics: &Metrics, text: &mut Text) {
    let auto_ack = metrics.messages_delivered_auto_ack.load(Ordering::Relaxed);
    let delivered = metrics.messages_delivered.load(Ordering::Relaxed) + auto_ack;
    text.counter(
        Family(
            "rabbitmq_global_messages_delivered_total",
            "Messages delivered to consumers",
        ),
        delivered as f64,
    );
    counters(
        text,
        [
            (
                Family(
                    "rabbitmq_global_messages_received_total",
                    "Messages from publishers",
                ),
                &metrics.messages_published,
            ),
            (
                Family(
                    "rabbitmq_global_messages_confirmed_total",
                    "Publishes that were confirmed",
                ),
                &metrics.messages_confirmed,
            ),
            (
                Family(
                    "rabbitmq_global_messages_acknowledged_total",
                    "Messages acknowledged",
                ),
                &metrics.messages_acknowledged,
            ),
            (
                Family(
                    "rabbitmq_global_messages_redelivered_total",
                    "Messages delivered again",
                ),
                &metrics.messages_redelivered,
            ),
        ],
    );
}

fn own_messages(metrics: &Metrics, text: &mut Text) {
    counters(
        text,
        [
            (
                Family(
                    "ferrymq_messages_delivered_manual_ack_total",
                    "Deliveries to be settled",
                ),
                &metrics.messages_delivered,
            ),
            (
                Family(
                    "ferrymq_messages_delivered_auto_ack_total",
                    "Deliveries settled at once",
                ),
                &metrics.messages_delivered_auto_ack,
            ),
            (
                Family(
                    "ferrymq_messages_unroutable_total",
                    "Messages that went to no queue",
                ),
                &metrics.messages_unroutable,
            ),
            (
                Family(
                    "ferrymq_messages_dead_lettered_total",
                    "Messages that were dead-lettered",
                ),
                &metrics.messages_dead_lettered,
            ),
            (
                Family(
                    "ferrymq_messages_rejected_total",
                    "Publishes that a full queue refused",
                ),
                &metrics.messages_rejected,
            ),
            (
                Family(
                    "ferrymq_messages_damaged_total",
                    "Messages whose body was unreadable",
                ),
                &metrics.messages_damaged,
            ),
        ],
    );
}

/// What the settings of queues did: delay, retry, lease, de-duplication, dead letters.
fn by_settings(metrics: &Metrics, text: &mut Text) {
    counters(
        text,
        [
            (
                Family(
                    "ferrymq_messages_woken_total",
                    "Messages whose delay was over, a retry's wait included",
                ),
                &metrics.messages_woken,
            ),
            (
                Family(
                    "ferrymq_messages_delay_ignored_total",
                    "Delays that were negative or no numbers",
                ),
                &metrics.messages_delay_ignored,
            ),
            (
                Family(
                    "ferrymq_leases_expired_total",
                    "Leases that ended by their deadline",
                ),
                &metrics.leases_expired,
            ),
            (
                Family(
                    "ferrymq_messages_settled_late_total",
                    "Settlements of leases that had ended",
                ),
                &metrics.messages_settled_late,
            ),
            (
                Family(
                    "ferrymq_messages_duplicate_total",
                    "Publishes not stored because their id had been seen",
                ),
                &metrics.messages_duplicate,
            ),
            (
                Family(
                    "ferrymq_messages_dead_letter_dropped_total",
                    "Dead letters that had nowhere to go",
                ),
                &metrics.messages_dead_letter_dropped,
            ),
        ],
    );
}

/// What was gathered, and what is told of traces.
fn gathered(metrics: &Metrics, text: &mut Text) {
    counters(
        text,
        [
            (
                Family("ferrymq_gathers_begun_total", "Gatherings that began"),
                &metrics.gathers_begun,
            ),
            (
                Family(
                    "ferrymq_gathers_answered_total",
                    "Gatherings that were answered",
                ),
                &metrics.gathers_answered,
            ),
            (
                Family(
                    "ferrymq_gather_replies_late_total",
                    "Replies that came after their gathering had ended",
                ),
                &metrics.gather_replies_late,
            ),
            (
                Family(
                    "ferrymq_spans_dropped_total",
                    "Hops of traces that could not be sent to the collector",
                ),
                &metrics.spans_dropped,
            ),
        ],
    );
}

/// Waits for the sake of rates, by whose rate it was.
fn throttled(shared: &Shared, text: &mut Text) {
    let counts = shared.broker.throttled();
    for (family, waits) in [
        (
            Family(
                "ferrymq_publishes_throttled_total",
                "Waits of publishers for a rate",
            ),
            counts.map(|count| count.publishes),
        ),
        (
            Family(
                "ferrymq_deliveries_throttled_total",
                "Waits of deliveries for a rate",
            ),
            counts.map(|count| count.deliveries),
        ),
    ] {
        text.open(family, "counter");
        for (count, waits) in counts.iter().zip(waits) {
            text.sample(family, &[("limit", count.limit)], waits as f64);
        }
    }
}

fn resources(shared: &Shared, text: &mut Text) {
    let memory = shared.broker.memory();
    let known = |value: Option<u64>| value.map(|value| value as f64);
    for (family, value) in [
        (
            Family(
                "rabbitmq_process_resident_memory_bytes",
                "Memory used in bytes",
            ),
            known(process::resident_bytes()),
        ),
        (
            Family(
                "rabbitmq_resident_memory_limit_bytes",
                "Memory high watermark in bytes",
            ),
            known(Some(memory.high_bytes())),
        ),
        (
            Family(
                "rabbitmq_disk_space_available_bytes",
                "Disk space available in bytes",
            ),
            known(shared.disk_free_bytes()),
        ),
        (
            Family("rabbitmq_process_open_fds", "Open file descriptors"),
            known(process::open_files()),
        ),
        (
            Family("rabbitmq_process_max_fds", "Limit of open file descriptors"),
            known(process::open_files_max()),
        ),
        (
            Family(
                "ferrymq_message_memory_bytes",
                "Memory of messages, held to the watermark",
            ),
            known(Some(memory.used_bytes())),
        ),
    ] {
        if let Some(value) = value {
            text.gauge(family, value);
        }
    }
    if let Some(seconds) = process::cpu_seconds() {
        text.counter(
            Family("ferrymq_process_cpu_seconds_total", "CPU time used"),
            seconds,
        );
    }
}

fn alarms(shared: &Shared, text: &mut Text) {
    let blocked = shared.broker.memory().blocked();
    for (family, reason) in [
        (
            Family(
                "rabbitmq_alarms_memory_used_watermark",
                "1 if publishers wait for memory",
            ),
            BlockReason::Memory,
        ),
        (
            Family(
                "rabbitmq_alarms_free_disk_space_watermark",
                "1 if publishers wait for disk",
            ),
            BlockReason::Disk,
        ),
    ] {
        text.gauge(family, f64::from(u8::from(blocked == Some(reason))));
    }
    let failed = shared.broker.failed().is_some();
    let family = Family(
        "ferrymq_log_failed",
        "1 if nothing can be stored until a restart",
    );
    text.gauge(family, f64::from(u8::from(failed)));
}

fn log(shared: &Shared, text: &mut Text) {
    let log = shared.broker.log();
    let cleaning = log.cleaning();
    for (family, value) in [
        (
            Family("ferrymq_log_segments", "Segment files"),
            cleaning.segments as u64,
        ),
        (
            Family("ferrymq_log_disk_bytes", "Bytes in segment files"),
            cleaning.disk_bytes,
        ),
        (
            Family("ferrymq_log_live_bytes", "Bytes that are still needed"),
            cleaning.live_bytes,
        ),
        (
            Family("ferrymq_log_backlog_bytes", "Bytes not yet written"),
            log.backlog_bytes(),
        ),
    ] {
        text.gauge(family, value as f64);
    }
    for (family, value) in [
        (
            Family("ferrymq_log_end_position", "Position of the end of the log"),
            log.end(),
        ),
        (
            Family(
                "ferrymq_log_written_position",
                "Position up to which it is written",
            ),
            log.written(),
        ),
        (
            Family(
                "ferrymq_log_durable_position",
                "Position up to which it is synced",
            ),
            log.durable(),
        ),
    ] {
        text.gauge(family, value.0 as f64);
    }
}
