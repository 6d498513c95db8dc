//! Consumers: of all, of a virtual host, or of one queue.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use ferry_broker::{ConnectionId, ConnectionInfo, ConsumerInfo, QueueHandle};
use serde_json::{Value, json};

use super::connections::{named_peer, visible, visible_in};
use super::list::{Listed, SortKey};
use super::{Context, ListQuery, Query, Shared, Shown, State, gather_list, values};
use crate::auth::LoggedIn;

/// A consumer and its connection.
pub(super) struct Placed {
    connection: Arc<ConnectionInfo>,
    consumer: ConsumerInfo,
    active: bool,
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/consumers", get(all))
        .route("/consumers/{vhost}", get(of_vhost))
}

async fn all(user: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_list(shared, query.0, move |shared| {
        Ok(list(visible(shared, &user.0), shared))
    })
    .await
}

async fn of_vhost(
    user: LoggedIn,
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_list(shared, query.0, move |shared| {
        Ok(list(visible_in(shared, &user.0, &vhost)?, shared))
    })
    .await
}

fn list(connections: Vec<ConnectionInfo>, shared: &Shared) -> Vec<Placed> {
    connections
        .into_iter()
        .flat_map(|connection| of_connection(Arc::new(connection), shared, |_| true))
        .collect()
}

/// The consumers of a connection that `wanted` wants.
fn of_connection(
    connection: Arc<ConnectionInfo>,
    shared: &Shared,
    wanted: impl Fn(&ConsumerInfo) -> bool,
) -> Vec<Placed> {
    let probe = connection.probe.upgrade();
    let consumers = probe.map(|probe| probe.consumers()).unwrap_or_default();
    consumers
        .into_iter()
        .filter(wanted)
        .map(|consumer| Placed {
            active: is_active(&consumer, connection.id, shared),
            connection: Arc::clone(&connection),
            consumer,
        })
        .collect()
}

fn is_active(consumer: &ConsumerInfo, connection: ConnectionId, shared: &Shared) -> bool {
    if !consumer.queue.options().single_active_consumer {
        return true;
    }
    let active = shared.broker.active_consumer(&consumer.queue);
    active.is_some_and(|(of, tag)| of == connection && tag == consumer.tag)
}

/// The consumers of a queue, as its own page shows them.
pub(super) fn of_queue(queue: &Arc<QueueHandle>, shared: &Shared) -> Vec<Value> {
    if queue.consumers() == 0 {
        return Vec::new();
    }
    let connections = shared.broker.consuming_connections(queue).into_iter();
    connections
        .filter_map(|id| shared.broker.connection(id))
        .flat_map(|connection| {
            let here = |consumer: &ConsumerInfo| Arc::ptr_eq(&consumer.queue, queue);
            of_connection(Arc::new(connection), shared, here)
        })
        .map(|placed| placed.show(shared))
        .collect()
}

/// The consumers of a channel, as its own page shows them.
pub(super) fn of_channel(connection: &ConnectionInfo, number: u16, shared: &Shared) -> Vec<Value> {
    let here = |consumer: &ConsumerInfo| consumer.channel == number;
    let placed = of_connection(Arc::new(connection.clone()), shared, here);
    placed.iter().map(|placed| placed.show(shared)).collect()
}

impl Listed for Placed {
    fn name(&self) -> &str {
        &self.consumer.tag
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(match field {
            "consumer_tag" => SortKey::Text(&self.consumer.tag),
            "queue.name" => SortKey::Text(self.consumer.queue.name()),
            "queue.vhost" => SortKey::Text(self.consumer.queue.vhost()),
            "prefetch_count" => SortKey::Number(self.consumer.prefetch.into()),
            _ => return None,
        })
    }

    fn show(&self, shared: &Shared) -> Value {
        let Placed {
            connection,
            consumer,
            active,
        } = self;
        let single = consumer.queue.options().single_active_consumer;
        let status = match (single, active) {
            (false, _) => "up",
            (true, true) => "single_active",
            (true, false) => "waiting",
        };
        let mut channel = json!({
            "name": format!("{} ({})", connection.name(), consumer.channel),
            "number": consumer.channel,
            "connection_name": connection.name(),
            "user": connection.user,
            "node": shared.node.name,
        });
        named_peer(connection, &mut channel);
        json!({
            "consumer_tag": consumer.tag,
            "queue": { "name": consumer.queue.name(), "vhost": consumer.queue.vhost() },
            "channel_details": channel,
            "ack_required": !consumer.no_ack,
            "exclusive": consumer.exclusive,
            "prefetch_count": consumer.prefetch,
            "active": active,
            "activity_status": status,
            "arguments": values::object(&consumer.arguments),
        })
    }
}
