//! Bindings, all or between two ends; every queue is bound to the default exchange by its name.

mod change;
mod hash;

use std::sync::Arc;

use axum::extract::Path;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ferry_broker::{Binding, Destination, QueueHandle, Vhost};
use ferry_core::arguments::Arguments;
use serde_json::{Value, json};

pub(super) use change::routes;

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

pub(super) async fn all(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    query: Query<ListQuery>,
) -> Shown {
    gather_all(shared, user, query.0, |vhost| list(vhost)).await
}

pub(super) async fn of_vhost(
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_of_vhost(shared, query.0, vhost, |vhost| list(vhost)).await
}

pub(super) async fn of_queue(
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
    // Between two ends there may be nothing; of one end it is asked what it has.
    match ends {
        Ends {
            from: Some(name),
            to: None,
        }
        | Ends {
            from: None,
            to: Some((EXCHANGE, name)),
        } => drop(exchanges::find(&vhost, name)?),
        Ends {
            from: None,
            to: Some((_, name)),
        } => drop(queues::find(&vhost, name)?),
        _ => {}
    }
    let from = ends.from.as_deref().map(exchanges::plain_name);
    let to = match &ends.to {
        Some((EXCHANGE, name)) => Some((EXCHANGE, exchanges::plain_name(name))),
        Some((kind, name)) => Some((*kind, name.as_str())),
        None => None,
    };
    let mut found = match (from, to) {
        (_, Some((QUEUE, name))) => {
            let queue = vhost.any_queue(name);
            queue.map_or_else(Vec::new, |queue| list_of(&vhost, &queue))
        }
        (_, Some((_, name))) => declared(&vhost, vhost.bindings_to(name)).collect(),
        (Some(""), None) => all_by_name(&vhost).collect(),
        (Some(name), None) => declared(&vhost, vhost.bindings_from(name)).collect(),
        (None, None) => list(&vhost),
    };
    found.retain(|binding| {
        let source = from.is_none_or(|from| from == binding.source);
        let destination = to.is_none_or(|(kind, name)| {
            kind == binding.destination_type && name == binding.destination
        });
        source && destination
    });
    Ok(found)
}

/// All bindings.
fn list(vhost: &Vhost) -> Vec<Named> {
    let declared = declared(vhost, vhost.bindings());
    all_by_name(vhost).chain(declared).collect()
}

/// Those of the default exchange.
fn all_by_name(vhost: &Vhost) -> impl Iterator<Item = Named> {
    let queues = vhost.queues().into_iter();
    queues.map(|queue| by_name(vhost, &queue))
}

/// Those that somebody has made.
fn declared(vhost: &Vhost, bindings: Vec<(Binding, String)>) -> impl Iterator<Item = Named> {
    let bindings = bindings.into_iter();
    bindings.map(|(binding, destination)| named(vhost, binding, destination))
}

/// Those of one queue.
fn list_of(vhost: &Vhost, queue: &QueueHandle) -> Vec<Named> {
    let declared = vhost.bindings_of(queue).into_iter();
    let declared = declared.map(|binding| named(vhost, binding, queue.name().to_owned()));
    std::iter::once(by_name(vhost, queue))
        .chain(declared)
        .collect()
}

fn by_name(vhost: &Vhost, queue: &QueueHandle) -> Named {
    Named {
        vhost: vhost.name().to_owned(),
        source: String::new(),
        destination: queue.name().to_owned(),
        destination_type: QUEUE,
        routing_key: queue.name().as_bytes().to_vec(),
        arguments: Arguments::new(),
    }
}

fn named(vhost: &Vhost, binding: Binding, destination: String) -> Named {
    Named {
        vhost: vhost.name().to_owned(),
        source: binding.source.to_string(),
        destination,
        destination_type: match binding.destination {
            Destination::Queue(_) => QUEUE,
            Destination::Exchange(_) => EXCHANGE,
        },
        routing_key: binding.routing_key,
        arguments: binding.arguments,
    }
}

/// What tells a binding from others between the same ends: its key, and its arguments if any.
fn properties_key(binding: &Named) -> String {
    let key = escape_all(&binding.routing_key);
    if !binding.arguments.is_empty() {
        let hash = hash::of_arguments(&binding.arguments).to_be_bytes();
        return format!("{key}~{}", BASE64_URL_SAFE_NO_PAD.encode(hash));
    }
    if key.is_empty() { "~".to_owned() } else { key }
}

/// As it stands in a query: a space is a plus.
fn escape_all(bytes: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(*byte).to_string()
        }
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    bytes.iter().map(escape).collect()
}

/// As it may stand in a head.
fn escape_unsafe(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'!'..=b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
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
