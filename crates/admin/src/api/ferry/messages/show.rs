//! A message of a queue as JSON.
//!
//! Invariants
//! - What is not known is null; nothing is made up.

use ferry_broker::{LeaseHolder, Listed, Standing};
use ferry_core::Millis;
use ferry_core::arguments::{Arguments, Value as Argument};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::ferry::properties::{Payload, PropertiesJson};
use crate::api::values::text;
use crate::shared::Shared;

/// Why a message died, the last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Death {
    /// `rejected`, `expired`, `maxlen`, `delivery_limit` or `unroutable`.
    reason: String,
    /// The queue that it died in.
    queue: Option<String>,
    /// The exchange that it had been published to.
    exchange: Option<String>,
    /// The keys that it had been published with.
    routing_keys: Vec<String>,
    /// How often it died there for that reason.
    count: Option<i64>,
    /// When it did so first.
    first_at: Option<Millis>,
    /// Where it died first of all.
    first_queue: Option<String>,
}

/// Who has a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct LeaseShown {
    /// `consumer`, `get` or `operator`.
    holder: &'static str,
    /// Since when.
    since: Millis,
    /// When the lease ends by itself; null for never.
    until: Option<Millis>,
}

/// A message of a queue.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api::ferry) struct MessageShown {
    /// Its name, for acts on it.
    #[serde(rename = "ref")]
    name: String,
    /// `ready`, `delayed`, `leased` or `stuck`.
    state: &'static str,
    message_id: Option<String>,
    exchange: String,
    routing_key: String,
    properties: PropertiesJson,
    #[serde(flatten)]
    payload: Payload,
    /// Where it came in its queue: later ones have higher numbers.
    position: Option<u64>,
    /// When the broker took it.
    enqueued_at: Millis,
    /// When it becomes ready.
    due_at: Option<Millis>,
    /// When it expires.
    expires_at: Option<Millis>,
    /// How often it came back.
    delivery_count: u32,
    redelivered: bool,
    /// Whether it outlives the broker.
    durable: bool,
    death: Option<Death>,
    lease: Option<LeaseShown>,
}

/// A message that somebody has.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct LeasedShown {
    /// Its name, for acts on its lease.
    #[serde(rename = "ref")]
    name: String,
    message_id: Option<String>,
    /// `consumer`, `get` or `operator`.
    holder: &'static str,
    /// The address of the consumer's peer.
    connection: Option<String>,
    consumer_tag: Option<String>,
    since: Millis,
    /// When the lease ends by itself; null for never.
    until: Option<Millis>,
    delivery_count: u32,
}

fn holder(by: &LeaseHolder) -> &'static str {
    match by {
        LeaseHolder::Consumer(_) => "consumer",
        LeaseHolder::Get => "get",
        LeaseHolder::Operator => "operator",
    }
}

impl MessageShown {
    pub fn new(shared: &Shared, listed: Listed) -> MessageShown {
        let format = shared.broker.format(listed.format);
        let properties = format.map(|format| format.describe(&listed.properties));
        let properties = properties.map(PropertiesJson::from).unwrap_or_default();
        let (state, due_at, lease) = match &listed.standing {
            Standing::Ready => ("ready", None, None),
            Standing::Delayed { until } => ("delayed", Some(*until), None),
            Standing::Pending { .. } => ("stuck", None, None),
            Standing::Leased {
                by,
                since,
                deadline,
                ..
            } => {
                let shown = LeaseShown {
                    holder: holder(by),
                    since: *since,
                    until: *deadline,
                };
                ("leased", None, Some(shown))
            }
        };
        MessageShown {
            name: listed.name.to_string(),
            state,
            message_id: properties.message_id.clone(),
            exchange: text(&listed.exchange),
            routing_key: text(&listed.routing_key),
            payload: Payload::show(&listed.body, listed.size as usize),
            position: listed.name.seq(),
            enqueued_at: listed.published_ms,
            due_at,
            expires_at: listed.expires_at,
            delivery_count: listed.returns,
            redelivered: listed.redelivered,
            durable: listed.durable,
            death: Death::of(&listed),
            properties,
            lease,
        }
    }
}

impl LeasedShown {
    /// None if nobody has it.
    pub fn new(shared: &Shared, listed: &Listed) -> Option<LeasedShown> {
        let Standing::Leased {
            by,
            connection,
            since,
            deadline,
        } = &listed.standing
        else {
            return None;
        };
        let format = shared.broker.format(listed.format);
        let basics = format.and_then(|format| format.basics(&listed.properties));
        Some(LeasedShown {
            name: listed.name.to_string(),
            message_id: basics.and_then(|basics| basics.message_id),
            holder: holder(by),
            connection: shared.broker.peer_of(*connection),
            consumer_tag: match by {
                LeaseHolder::Consumer(tag) => tag.clone(),
                LeaseHolder::Get | LeaseHolder::Operator => None,
            },
            since: *since,
            until: *deadline,
            delivery_count: listed.returns,
        })
    }
}

impl Death {
    /// The latest death, and where the first was.
    fn of(listed: &Listed) -> Option<Death> {
        let pending = match &listed.standing {
            Standing::Pending { reason, since } => Some((reason.name().to_owned(), *since)),
            _ => None,
        };
        let history = listed.headers.get("x-death");
        let latest = match history {
            Some(Argument::Array(deaths)) => deaths.first().and_then(Argument::as_table),
            _ => None,
        };
        let said = |name: &str| latest.and_then(|death| words(death, name));
        let number = |name: &str| {
            let value = latest.and_then(|death| death.get(name))?;
            i64::try_from(value.as_integer()?).ok()
        };
        let first_at = match latest.and_then(|death| death.get("time")) {
            Some(Argument::Timestamp(seconds)) => seconds.checked_mul(1000),
            _ => None,
        };
        let (reason, pending_since) = pending.unzip();
        Some(Death {
            reason: reason.or_else(|| said("reason"))?,
            queue: said("queue"),
            exchange: said("exchange"),
            routing_keys: match latest.and_then(|death| death.get("routing-keys")) {
                Some(Argument::Array(keys)) => keys
                    .iter()
                    .filter_map(Argument::as_bytes)
                    .map(text)
                    .collect(),
                _ => Vec::new(),
            },
            count: number("count"),
            first_at: first_at.or(pending_since),
            first_queue: words(&listed.headers, "x-first-death-queue"),
        })
    }
}

fn words(table: &Arguments, name: &str) -> Option<String> {
    Some(text(table.get(name)?.as_bytes()?))
}
