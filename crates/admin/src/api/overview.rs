//! The node at a glance.

use std::net::SocketAddr;

use ferry_broker::{ExchangeKind, MessageStats, RABBITMQ_VERSION};
use serde_json::{Map, Value, json};

use super::details::{CourseQuery, DELIVERED, DISK, Kind, PUBLISHED, Windows, seen};
use super::list::Columns;
use super::parameters::cluster_name;
use super::{Context, Query, Shared, Shown, State, gather};
use crate::sampler::{CHURN, Key, OBJECT, churn, node_stats};
use crate::shared::Totals;

const PRODUCT: &str = "FerryMQ";

pub(super) async fn overview(State(shared): Context, query: Query<CourseQuery>) -> Shown {
    gather(shared, move |shared| {
        let shown = show_overview(shared, query.windows());
        Ok(Columns::of(query.columns.as_deref()).pick(shown))
    })
    .await
}

fn show_overview(shared: &Shared, windows: Windows) -> Value {
    let sums = shared.sums();
    let totals = sums.totals;
    let mut object = json!({
        "product_name": PRODUCT,
        "product_version": shared.node.version,
        "management_version": shared.node.version,
        "rabbitmq_version": RABBITMQ_VERSION,
        "cluster_name": cluster_name(shared),
        "node": shared.node.name,
        "sync": shared.broker.sync_default().name(),
        "rates_mode": "basic",
        "sample_retention_policies": {
            "global": [600, 3600],
            "basic": [600, 3600],
            "detailed": [600],
        },
        "statistics_db_event_queue": 0,
        "disable_stats": false,
        "enable_queue_totals": false,
        "exchange_types": exchange_types(),
        "object_totals": object_totals(shared, &totals),
        "listeners": listeners(shared),
        "contexts": contexts(shared, true),
    });
    let mut counted = MessageStats::default();
    sums.vhosts
        .iter()
        .for_each(|(_, sums)| counted += sums.stats);
    let stats = node_stats(shared, &counted);
    let mut lengths = json_object(json!({
        "messages": totals.ready + totals.unsettled,
        "messages_ready": totals.ready,
        "messages_unacknowledged": totals.unsettled,
        "messages_delayed": totals.delayed,
        "messages_dead_letter_pending": totals.dead_letters_pending,
    }));
    let mut churned = Map::new();
    for (field, count) in CHURN.iter().zip(churn(shared)) {
        churned.insert(field.name.to_owned(), json!(count));
    }
    let groups = [PUBLISHED, DELIVERED, DISK];
    object["message_stats"] = seen(shared, &Key::Node, windows, |seen| {
        let total = [OBJECT.ready.at, OBJECT.unacknowledged.at];
        seen.put_sum(&mut lengths, "messages", &total, Kind::Length);
        seen.put(&mut lengths, OBJECT.ready, Kind::Length);
        seen.put(&mut lengths, OBJECT.unacknowledged, Kind::Length);
        for field in CHURN {
            seen.put(&mut churned, field, Kind::Message);
        }
        let stats = seen.message_stats(&stats, &groups);
        stats.unwrap_or_else(|| json!({}))
    });
    object["queue_totals"] = Value::Object(lengths);
    object["churn_rates"] = Value::Object(churned);
    object
}

fn json_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn object_totals(shared: &Shared, totals: &Totals) -> Value {
    let broker = &shared.broker;
    let exchanges: usize = broker
        .vhosts()
        .iter()
        .map(|vhost| vhost.exchanges().len() + 1)
        .sum();
    json!({
        "connections": broker.connection_count(),
        "channels": shared.channels(),
        "exchanges": exchanges,
        "queues": totals.queues,
        "consumers": totals.consumers,
    })
}

/// The types of exchanges that there are.
pub(super) fn exchange_types() -> Vec<Value> {
    let describe = |kind: &ExchangeKind| {
        let what = match kind {
            ExchangeKind::Direct => "by the routing key as it is",
            ExchangeKind::Fanout => "to all that are bound",
            ExchangeKind::Topic => "by a pattern over the words of the routing key",
            ExchangeKind::Headers => "by the headers",
            ExchangeKind::DelayedMessage => "when their delay is over, as another type",
            ExchangeKind::MessageDeduplication => "each message id once",
            ExchangeKind::ConsistentHash => "to one destination, by a value of the message",
            ExchangeKind::ModulusHash => "to one destination, by the routing key",
            ExchangeKind::Random => "to one destination, by chance",
            ExchangeKind::LocalRandom => "to one queue of this node, by chance",
        };
        json!({ "name": kind.as_str(), "description": what, "enabled": true })
    };
    ExchangeKind::ALL.iter().map(describe).collect()
}

fn listeners(shared: &Shared) -> Vec<Value> {
    let show = |protocol: &str, address: SocketAddr| {
        json!({
            "node": shared.node.name,
            "protocol": protocol,
            "ip_address": address.ip().to_string(),
            "port": address.port(),
            "socket_opts": {},
        })
    };
    let listeners = shared.node.listeners.iter();
    listeners
        .map(|listener| show(listener.protocol, listener.address))
        .collect()
}

/// Where HTTP is spoken for its own sake.
pub(super) fn contexts(shared: &Shared, with_node: bool) -> Vec<Value> {
    let http = shared.node.listeners.iter();
    let is_own = |protocol: &str| protocol.starts_with("http") && !protocol.ends_with("/web-mqtt");
    http.filter(|listener| is_own(listener.protocol))
        .map(|listener| {
            let mut context = json!({
                "description": "FerryMQ Management",
                "path": "/",
                "ip": listener.address.ip().to_string(),
                "port": listener.address.port().to_string(),
            });
            if with_node {
                context["node"] = json!(shared.node.name);
            }
            context
        })
        .collect()
}
