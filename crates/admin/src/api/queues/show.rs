//! A queue as the API shows it: whole, one by itself, or briefly.
//!
//! Invariants
//! - What RabbitMQ tells of the inside of its own queues (their process, their memory, what is
//!   paged out) is left out.

use std::sync::Arc;

use ferry_broker::{QueueHandle, SyncPolicy};
use ferry_core::queue::QueueKind;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::consumers;
use super::super::dates::iso;
use super::super::details::{DELIVERED, ENTERED, Kind, Stat, Windows, seen};
use super::super::list::SortKey;
use super::super::values;
use crate::sampler::{INTERVAL, OBJECT, queue_key};
use crate::shared::Shared;

/// How much of each queue a list shows.
#[derive(Debug, Default, Clone, Deserialize)]
pub(in crate::api) struct Brief {
    disable_stats: Option<String>,
    enable_queue_totals: Option<String>,
}

impl Brief {
    pub(super) fn show(&self, queue: &Arc<QueueHandle>, shared: &Shared) -> Value {
        let says = |flag: &Option<String>| flag.as_deref() == Some("true");
        if !says(&self.disable_stats) {
            return whole(queue, shared, Windows::default());
        }
        let mut object = declared(queue, shared);
        if says(&self.enable_queue_totals) {
            lengths(queue, &mut object);
        }
        Value::Object(object)
    }
}

/// By what a list of queues is sorted besides.
pub(super) fn sort_key(
    queue: &QueueHandle,
    field: &str,
    shared: &Shared,
) -> Option<SortKey<'static>> {
    let rate = |fields: &[usize]| {
        let rate = shared.sampler.rate(&queue_key(queue), fields);
        Some(SortKey::Real(rate))
    };
    match field {
        "messages_details.rate" => return rate(&[OBJECT.ready.at, OBJECT.unacknowledged.at]),
        "messages_ready_details.rate" => return rate(&[OBJECT.ready.at]),
        "messages_unacknowledged_details.rate" => return rate(&[OBJECT.unacknowledged.at]),
        "state" => return Some(SortKey::Text("running")),
        "type" => return Some(SortKey::Text(kind_name(queue))),
        "durable" => return Some(SortKey::Flag(queue.durable())),
        "sync" => return Some(SortKey::Text(queue.sync().map_or("", SyncPolicy::name))),
        _ => {}
    }
    let stat = field.strip_prefix("message_stats.")?;
    if let Some(name) = stat.strip_suffix("_details.rate") {
        return rate(Stat::named(name)?.fields());
    }
    let fields = Stat::named(stat)?.fields();
    let counts = queue.stats().values();
    let count = fields.iter().map(|field| counts[*field]).sum();
    Some(SortKey::Number(count))
}

fn kind_name(queue: &QueueHandle) -> &'static str {
    match queue.options().kind {
        QueueKind::Classic => "classic",
        QueueKind::Quorum => "quorum",
        QueueKind::Stream => "stream",
    }
}

/// What was declared, and where it is.
fn declared(queue: &QueueHandle, shared: &Shared) -> Map<String, Value> {
    let (node, kind) = (&shared.node.name, kind_name(queue));
    let mut object = object(json!({
        "name": queue.name(),
        "vhost": queue.vhost(),
        "durable": queue.durable(),
        "auto_delete": queue.auto_delete(),
        "exclusive": queue.exclusive(),
        "sync": queue.sync().map(SyncPolicy::name),
        "arguments": values::object(&queue.arguments()),
        "type": kind,
        "node": node,
        "state": "running",
    }));
    if kind != "classic" {
        object.insert("leader".to_owned(), json!(node));
        object.insert("members".to_owned(), json!([node]));
        object.insert("online".to_owned(), json!([node]));
    }
    object
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn lengths(queue: &QueueHandle, object: &mut Map<String, Value>) {
    let (ready, unsettled) = (queue.ready(), queue.unsettled());
    for (name, count) in [
        ("messages", ready + unsettled),
        ("messages_ready", ready),
        ("messages_unacknowledged", unsettled),
    ] {
        object.insert(name.to_owned(), json!(count));
    }
}

/// All that lists show.
pub(super) fn whole(queue: &Arc<QueueHandle>, shared: &Shared, windows: Windows) -> Value {
    let mut object = declared(queue, shared);
    lengths(queue, &mut object);
    let (ready_bytes, unsettled_bytes) = (queue.ready_bytes(), queue.unsettled_bytes());
    let (policy, operator_policy) = (queue.policy(), queue.operator_policy());
    let name = |policy: Option<Arc<ferry_broker::Policy>>| json!(policy.map(|p| p.name.clone()));
    for (field, value) in [
        ("messages_delayed", json!(queue.delayed())),
        (
            "messages_dead_letter_pending",
            json!(queue.dead_letters_pending()),
        ),
        ("message_bytes", json!(ready_bytes + unsettled_bytes)),
        ("message_bytes_ready", json!(ready_bytes)),
        ("message_bytes_unacknowledged", json!(unsettled_bytes)),
        ("consumers", json!(queue.consumers())),
        ("policy", name(policy)),
        ("operator_policy", name(operator_policy)),
        (
            "effective_policy_definition",
            values::object(&queue.effective_policy_definition()),
        ),
        (
            "single_active_consumer_tag",
            json!(shared.broker.active_consumer_tag(queue)),
        ),
    ] {
        object.insert(field.to_owned(), value);
    }
    let (now, active_at) = (shared.broker.now(), queue.active_at());
    if now.saturating_sub(active_at) >= INTERVAL.as_millis() as u64 {
        object.insert("idle_since".to_owned(), json!(iso(active_at)));
    }
    seen(shared, &queue_key(queue), windows, |seen| {
        let total = [OBJECT.ready.at, OBJECT.unacknowledged.at];
        seen.put_sum(&mut object, "messages", &total, Kind::Length);
        seen.put(&mut object, OBJECT.ready, Kind::Length);
        seen.put(&mut object, OBJECT.unacknowledged, Kind::Length);
        if let Some(stats) = seen.message_stats(&queue.stats(), &[ENTERED, DELIVERED]) {
            object.insert("message_stats".to_owned(), stats);
        }
        let capacity = match queue.consumers() {
            0 => 0.0,
            _ => seen.free_share(queue.ready() == 0),
        };
        for name in ["consumer_capacity", "consumer_utilisation"] {
            object.insert(name.to_owned(), json!(capacity));
        }
    });
    Value::Object(object)
}

/// One queue, with its consumers.
pub(super) fn one(queue: &Arc<QueueHandle>, shared: &Shared, windows: Windows) -> Value {
    let mut shown = whole(queue, shared, windows);
    let details = consumers::of_queue(queue, shared);
    let exclusive = details
        .iter()
        .find(|consumer| consumer["exclusive"] == json!(true))
        .map(|consumer| consumer["consumer_tag"].clone());
    shown["exclusive_consumer_tag"] = json!(exclusive);
    shown["consumer_details"] = json!(details);
    // Which channel did what is told where rates are kept in all detail, and so not here.
    shown["deliveries"] = json!([]);
    shown["incoming"] = json!([]);
    shown
}
