//! What is shown of the node: who it is, what it has, what it uses, and what is wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use ferry_broker::{BlockReason, Broker, LoginCount, Metrics, RABBITMQ_VERSION};

use super::text::{Family, Text, counter, facts, gauge};
use super::{global, own, times};
use crate::process;
use crate::shared::{Shared, Totals};

const BUILD: Family = facts("rabbitmq_build_info", "Version of the product");
const IDENTITY: Family = facts(
    "rabbitmq_identity_info",
    "Names of the node, of its cluster, and of this page",
);

/// Everything but the queues.
pub(super) fn write(shared: &Shared, totals: &Totals, text: &mut Text) {
    objects(shared, totals, text);
    churn(shared.broker.metrics(), text);
    logins(&shared.broker, text);
    global::write(shared, totals, text);
    own::write(shared, text);
    times::write(shared, text);
    resources(shared, text);
    limits(shared, text);
    persister(shared, text);
    traffic(shared, text);
    process(shared, text);
    alarms(shared, text);
    log(shared, text);
}

/// What the other families of a page are joined with.
pub(super) fn identity(shared: &Shared, page: &str, text: &mut Text) {
    let node = &shared.node;
    text.open(BUILD);
    let labels = [
        ("rabbitmq_version", RABBITMQ_VERSION),
        ("product_name", "FerryMQ"),
        ("product_version", &node.version),
    ];
    text.sample(BUILD, &labels, 1.0);
    text.open(IDENTITY);
    let labels = [
        ("rabbitmq_node", node.name.as_str()),
        ("rabbitmq_cluster", &node.name),
        ("rabbitmq_endpoint", page),
    ];
    text.sample(IDENTITY, &labels, 1.0);
}

fn objects(shared: &Shared, totals: &Totals, text: &mut Text) {
    let vhosts = shared.broker.vhosts();
    let exchanges: usize = vhosts.iter().map(|vhost| vhost.exchanges().len() + 1).sum();
    for (name, help, value) in [
        (
            "rabbitmq_connections",
            "Connections currently open",
            shared.broker.connection_count() as u64,
        ),
        (
            "rabbitmq_channels",
            "Channels currently open",
            shared.channels(),
        ),
        ("rabbitmq_queues", "Queues available", totals.queues),
        (
            "rabbitmq_consumers",
            "Consumers currently connected",
            totals.consumers,
        ),
        (
            "ferrymq_exchanges",
            "Exchanges, the predeclared ones included",
            exchanges as u64,
        ),
        ("ferrymq_vhosts", "Virtual hosts", vhosts.len() as u64),
    ] {
        text.one(gauge(name, help), value as f64);
    }
}

fn load(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

pub(super) fn churn(metrics: &Metrics, text: &mut Text) {
    for (name, help, count) in [
        (
            "rabbitmq_connections_opened_total",
            "Connections opened",
            &metrics.connections_opened,
        ),
        (
            "rabbitmq_connections_closed_total",
            "Connections closed or lost",
            &metrics.connections_closed,
        ),
        (
            "rabbitmq_channels_opened_total",
            "Channels opened",
            &metrics.channels_opened,
        ),
        (
            "rabbitmq_channels_closed_total",
            "Channels closed",
            &metrics.channels_closed,
        ),
        (
            "rabbitmq_queues_declared_total",
            "Queues declared, those that were there already included",
            &metrics.queue_declarations,
        ),
        (
            "rabbitmq_queues_created_total",
            "Queues created",
            &metrics.queues_declared,
        ),
        (
            "rabbitmq_queues_deleted_total",
            "Queues deleted",
            &metrics.queues_deleted,
        ),
    ] {
        text.one(counter(name, help), load(count));
    }
}

pub(super) fn logins(broker: &Broker, text: &mut Text) {
    type Figure = fn(&LoginCount) -> u64;
    let counts = broker.login_counts();
    let attempts: [(_, _, Figure); 3] = [
        ("rabbitmq_auth_attempts_total", "Log-ins tried", |count| {
            count.succeeded + count.failed
        }),
        (
            "rabbitmq_auth_attempts_succeeded_total",
            "Log-ins that succeeded",
            |count| count.succeeded,
        ),
        (
            "rabbitmq_auth_attempts_failed_total",
            "Log-ins that failed",
            |count| count.failed,
        ),
    ];
    for (name, help, value) in attempts {
        let family = counter(name, help);
        text.open(family);
        for count in &counts {
            text.sample(family, &[("protocol", count.protocol)], value(count) as f64);
        }
    }
}

/// A gauge for each value that is known.
fn known(rows: &[(&'static str, &'static str, Option<u64>)], text: &mut Text) {
    for (name, help, value) in rows {
        if let Some(value) = value {
            text.one(gauge(name, help), *value as f64);
        }
    }
}

pub(super) fn resources(shared: &Shared, text: &mut Text) {
    let connections = shared.broker.connection_count() as u64;
    let rows = [
        (
            "rabbitmq_process_open_fds",
            "Open file descriptors",
            process::open_files(),
        ),
        (
            "rabbitmq_process_open_tcp_sockets",
            "Sockets of clients that are logged in",
            Some(connections),
        ),
        (
            "rabbitmq_process_resident_memory_bytes",
            "Memory used in bytes",
            process::resident_bytes(),
        ),
        (
            "rabbitmq_disk_space_available_bytes",
            "Disk space available in bytes",
            shared.disk_free_bytes(),
        ),
    ];
    known(&rows, text);
}

pub(super) fn limits(shared: &Shared, text: &mut Text) {
    let files = process::open_files_max();
    let broker = &shared.broker;
    let uptime = gauge("rabbitmq_erlang_uptime_seconds", "Node uptime");
    let rows = [
        (
            "rabbitmq_process_max_fds",
            "Limit of open file descriptors",
            files,
        ),
        (
            "rabbitmq_process_max_tcp_sockets",
            "Limit of open sockets, which is that of file descriptors",
            files,
        ),
        (
            "rabbitmq_resident_memory_limit_bytes",
            "Memory high watermark in bytes",
            Some(broker.memory().high_bytes()),
        ),
        (
            "rabbitmq_disk_space_available_limit_bytes",
            "Free disk space below which publishers wait, in bytes",
            Some(broker.disk_free_bytes_min()),
        ),
    ];
    known(&rows, text);
    text.one(uptime, shared.started.elapsed().as_secs_f64());
}

pub(super) fn persister(shared: &Shared, text: &mut Text) {
    let syncs = shared.broker.measured().sync_us;
    let count = counter("rabbitmq_io_sync_ops_total", "Syncs of the log");
    text.one(count, syncs.count() as f64);
    let time = counter(
        "rabbitmq_io_sync_time_seconds_total",
        "Time that syncs of the log took",
    );
    text.one(time, syncs.sum as f64 / 1e6);
}

fn traffic(shared: &Shared, text: &mut Text) {
    let (received, sent) = shared.broker.edges().traffic_bytes();
    for (name, help, bytes) in [
        (
            "rabbitmq_connection_incoming_bytes_total",
            "Bytes received on connections",
            received,
        ),
        (
            "rabbitmq_connection_outgoing_bytes_total",
            "Bytes sent on connections",
            sent,
        ),
    ] {
        text.one(counter(name, help), bytes as f64);
    }
}

fn process(shared: &Shared, text: &mut Text) {
    let memory = gauge(
        "ferrymq_message_memory_bytes",
        "Memory of messages, held to the watermark: bodies, and 12 bytes for each in a queue, \
         150 if unacked",
    );
    text.one(memory, shared.broker.memory().used_bytes() as f64);
    if let Some(seconds) = process::cpu_seconds() {
        let cpu = counter("ferrymq_process_cpu_seconds_total", "CPU time used");
        text.one(cpu, seconds);
    }
    let uptime = shared.started.elapsed();
    text.one(
        gauge("ferrymq_uptime_seconds", "Time since the node started"),
        uptime.as_secs_f64(),
    );
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    if let Ok(now) = now {
        let family = gauge(
            "process_start_time_seconds",
            "When the node started, in seconds since the Unix epoch",
        );
        text.one(family, now.saturating_sub(uptime).as_secs_f64());
    }
}

fn alarms(shared: &Shared, text: &mut Text) {
    let blocked = shared.broker.memory().blocked();
    for (name, help, holds) in [
        (
            "rabbitmq_alarms_memory_used_watermark",
            "1 if publishers wait for memory",
            blocked == Some(BlockReason::Memory),
        ),
        (
            "rabbitmq_alarms_free_disk_space_watermark",
            "1 if publishers wait for disk",
            blocked == Some(BlockReason::Disk),
        ),
        (
            "ferrymq_log_failed",
            "1 if nothing can be stored until a restart",
            shared.broker.failed().is_some(),
        ),
        (
            "ferrymq_ready",
            "1 if clients should be sent here",
            shared.ready() && shared.broker.failed().is_none(),
        ),
    ] {
        text.one(gauge(name, help), f64::from(u8::from(holds)));
    }
}

fn log(shared: &Shared, text: &mut Text) {
    let log = shared.broker.log();
    let cleaning = log.cleaning();
    for (name, help, value) in [
        (
            "ferrymq_log_segments",
            "Segment files",
            cleaning.segments as u64,
        ),
        (
            "ferrymq_log_disk_bytes",
            "Bytes in segment files",
            cleaning.disk_bytes,
        ),
        (
            "ferrymq_log_live_bytes",
            "Bytes that are still needed",
            cleaning.live_bytes,
        ),
        (
            "ferrymq_log_backlog_bytes",
            "Bytes not yet written",
            log.backlog_bytes(),
        ),
        (
            "ferrymq_log_end_position",
            "Position of the end of the log",
            log.end().0,
        ),
        (
            "ferrymq_log_written_position",
            "Position up to which it is written",
            log.written().0,
        ),
        (
            "ferrymq_log_durable_position",
            "Position up to which it is synced",
            log.durable().0,
        ),
    ] {
        text.one(gauge(name, help), value as f64);
    }
}
