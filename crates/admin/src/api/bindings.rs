//! Bindings, all or between two ends; every queue is bound to the default exchange by its name.

use std::sync::Arc;

use axum::extract::Path;
use ferry_broker::{Destination, Vhost};
use ferry_core::arguments::Arguments;
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, exchanges, gather_all,
    gather_list, gather_of_vhost, queues, values, vhosts,
};

/// A binding with the names of both of its ends.
pub(super) struct Named {
    vhost: String,
    source: String,
    destination: String,
    destination_type: &'static str,
    routing_key: Vec<u8>,
    arguments: Arguments,
}

const QUEUE: &str = "queue";
const EXCHANGE: &str = "exchange";

pub(super) async fn all(_: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_all(shared, query.0, |vhost| list(vhost)).await
}

pub(super) async fn of_vhost(
    _: LoggedIn,
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_of_vhost(shared, query.0, vhost, |vhost| list(vhost)).await
}

pub(super) async fn of_queue(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, queue)): Path<(String, String)>,
    query: Query<ListQuery>,
) -> Shown {
    let ends = Ends {
        to: Some((QUEUE, queue)),
        from: None,
    };
    between(shared, query, vhost, ends).await
}

pub(super) async fn from_exchange(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, exchange)): Path<(String, String)>,
    query: Query<ListQuery>,
) -> Shown {
    let ends = Ends {
        from: Some(exchange),
        to: None,
    };
    between(shared, query, vhost, ends).await
}

pub(super) async fn to_exchange(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, exchange)): Path<(String, String)>,
    query: Query<ListQuery>,
) -> Shown {
    let ends = Ends {
        to: Some((EXCHANGE, exchange)),
        from: None,
    };
    between(shared, query, vhost, ends).await
}

pub(super) async fn between_queue(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, source, queue)): Path<(String, String, String)>,
    query: Query<ListQuery>,
) -> Shown {
    let ends = Ends {
        from: Some(source),
        to: Some((QUEUE, queue)),
    };
    between(shared, query, vhost, ends).await
}

pub(super) async fn between_exchanges(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, source, exchange)): Path<(String, String, String)>,
    query: Query<ListQuery>,
) -> Shown {
    let ends = Ends {
        from: Some(source),
        to: Some((EXCHANGE, exchange)),
    };
    between(shared, query, vhost, ends).await
}

/// The ends that are asked for, as they stand in a path.
struct Ends {
    from: Option<String>,
    to: Option<(&'static str, String)>,
}

/// Shows the bindings of a virtual host between the ends that are asked for.
async fn between(shared: Arc<Shared>, query: Query<ListQuery>, vhost: String, ends: Ends) -> Shown {
    gather_list(shared, query.0, move |shared| select(shared, &vhost, &ends)).await
}

fn select(shared: &Shared, vhost: &str, ends: &Ends) -> Result<Vec<Named>, ApiError> {
    let vhost = vhosts::find(shared, vhost)?;
    let from = ends
        .from
        .as_deref()
        .map(|name| exchanges::find(&vhost, name))
        .transpose()?;
    let to = match &ends.to {
        None => None,
        Some((QUEUE, name)) => Some((QUEUE, queues::find(&vhost, name)?.name().to_owned())),
        Some((kind, name)) => Some((*kind, exchanges::find(&vhost, name)?.name.to_string())),
    };
    let mut found = list(&vhost);
    found.retain(|binding| {
        let source = from
            .as_ref()
            .is_none_or(|from| *from.name == *binding.source);
        let destination = to.as_ref().is_none_or(|(kind, name)| {
            *kind == binding.destination_type && *name == binding.destination
        });
        source && destination
    });
    Ok(found)
}

fn list(vhost: &Vhost) -> Vec<Named> {
    let by_name = vhost.queues().into_iter().map(|queue| Named {
        vhost: vhost.name().to_owned(),
        source: String::new(),
        destination: queue.name().to_owned(),
        destination_type: QUEUE,
        routing_key: queue.name().as_bytes().to_vec(),
        arguments: Arguments::new(),
    });
    let declared = vhost
        .bindings()
        .into_iter()
        .map(|(binding, destination)| Named {
            vhost: vhost.name().to_owned(),
            source: binding.source.to_string(),
            destination,
            destination_type: match binding.destination {
                Destination::Queue(_) => QUEUE,
                Destination::Exchange(_) => EXCHANGE,
            },
            routing_key: binding.routing_key,
            arguments: binding.arguments,
        });
    by_name.chain(declared).collect()
}

/// What tells a binding from others between the same ends: its key, and its arguments if any.
fn properties_key(binding: &Named) -> String {
    let key: String = binding
        .routing_key
        .iter()
        .map(|byte| escape(*byte))
        .collect();
    if !binding.arguments.is_empty() {
        let text = values::object(&binding.arguments).to_string();
        return format!("{key}~{:016x}", fnv1a(text.as_bytes()));
    }
    if key.is_empty() { "~".to_owned() } else { key }
}

fn escape(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    }
}

/// The same text has the same hash on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

impl Listed for Named {
    fn name(&self) -> &str {
        &self.destination
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(SortKey::Text(match field {
            "source" => &self.source,
            "destination" => &self.destination,
            "vhost" => &self.vhost,
            _ => return None,
        }))
    }

    fn show(&self, _: &Shared) -> Value {
        json!({
            "source": self.source,
            "vhost": self.vhost,
            "destination": self.destination,
            "destination_type": self.destination_type,
            "routing_key": values::text(&self.routing_key),
            "arguments": values::object(&self.arguments),
            "properties_key": properties_key(self),
        })
    }
}
