//! The node at a glance.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Path;
use ferry_broker::{BlockReason, ExchangeKind};
use serde_json::{Value, json};

use super::{ApiError, Context, LoggedIn, Shared, Shown, State, gather};
use crate::process;

pub(super) async fn overview(_: LoggedIn, State(shared): Context) -> Shown {
    gather(shared, |shared| Ok(show_overview(shared))).await
}

pub(super) async fn cluster_name(_: LoggedIn, State(shared): Context) -> Shown {
    gather(shared, |shared| Ok(json!({ "name": shared.node.name }))).await
}

pub(super) async fn nodes(_: LoggedIn, State(shared): Context) -> Shown {
    gather(shared, |shared| Ok(json!([show_node(shared)]))).await
}

pub(super) async fn node(_: LoggedIn, State(shared): Context, Path(name): Path<String>) -> Shown {
    gather(shared, move |shared| match name == shared.node.name {
        true => Ok(show_node(shared)),
        false => Err(ApiError::NotFound),
    })
    .await
}

fn show_overview(shared: &Shared) -> Value {
    let totals = shared.totals();
    let broker = &shared.broker;
    let exchanges: usize = broker
        .vhosts()
        .iter()
        .map(|vhost| vhost.exchanges().len() + 1)
        .sum();
    json!({
        "product_name": "FerryMQ",
        "product_version": shared.node.version,
        "management_version": shared.node.version,
        "cluster_name": shared.node.name,
        "node": shared.node.name,
        "rates_mode": "none",
        "exchange_types": exchange_types(),
        "message_stats": message_stats(shared),
        "churn_rates": churn(shared),
        "queue_totals": {
            "messages": totals.ready + totals.unsettled,
            "messages_ready": totals.ready,
            "messages_unacknowledged": totals.unsettled,
            "messages_delayed": totals.delayed,
            "messages_dead_letter_pending": totals.dead_letters_pending,
        },
        "object_totals": {
            "connections": broker.connection_count(),
            "channels": shared.channels(),
            "exchanges": exchanges,
            "queues": totals.queues,
            "consumers": totals.consumers,
        },
        "listeners": listeners(shared),
    })
}

fn exchange_types() -> Vec<Value> {
    ExchangeKind::ALL
        .iter()
        .map(|kind| json!({ "name": kind.as_str(), "enabled": true }))
        .collect()
}

fn message_stats(shared: &Shared) -> Value {
    let metrics = shared.broker.metrics();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (manual, auto) = (
        count(&metrics.messages_delivered),
        count(&metrics.messages_delivered_auto_ack),
    );
    json!({
        "publish": count(&metrics.messages_published),
        "confirm": count(&metrics.messages_confirmed),
        "deliver": manual,
        "deliver_no_ack": auto,
        "deliver_get": manual + auto,
        "redeliver": count(&metrics.messages_redelivered),
        "ack": count(&metrics.messages_acknowledged),
    })
}

fn churn(shared: &Shared) -> Value {
    let metrics = shared.broker.metrics();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    json!({
        "connection_created": count(&metrics.connections_opened),
        "connection_closed": count(&metrics.connections_closed),
        "channel_created": count(&metrics.channels_opened),
        "channel_closed": count(&metrics.channels_closed),
        "queue_created": count(&metrics.queues_declared),
        "queue_deleted": count(&metrics.queues_deleted),
    })
}

fn listeners(shared: &Shared) -> Vec<Value> {
    let show = |protocol: &str, address: SocketAddr| {
        json!({
            "node": shared.node.name,
            "protocol": protocol,
            "ip_address": address.ip().to_string(),
            "port": address.port(),
        })
    };
    let listeners = shared.node.listeners.iter();
    listeners
        .map(|listener| show(listener.protocol, listener.address))
        .collect()
}

fn show_node(shared: &Shared) -> Value {
    let memory = shared.broker.memory();
    let blocked = memory.blocked();
    let processors = std::thread::available_parallelism().map(usize::from).ok();
    let mut node = json!({
        "name": shared.node.name,
        "type": "disc",
        "running": shared.broker.failed().is_none(),
        "os_pid": std::process::id().to_string(),
        "uptime": shared.started.elapsed().as_millis() as u64,
        "rates_mode": "none",
        "mem_limit": memory.high_bytes(),
        "mem_alarm": blocked == Some(BlockReason::Memory),
        "disk_free_alarm": blocked == Some(BlockReason::Disk),
        "message_memory_used": memory.used_bytes(),
    });
    for (name, value) in [
        ("mem_used", process::resident_bytes()),
        ("disk_free", shared.disk_free_bytes()),
        ("fd_used", process::open_files()),
        ("fd_total", process::open_files_max()),
        ("processors", processors.map(|count| count as u64)),
    ] {
        if let Some(value) = value {
            node[name] = json!(value);
        }
    }
    node
}
