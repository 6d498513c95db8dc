//! Queues, all or one; and emptying one.
//!
//! Invariants
//! - `messages` is ready and unacknowledged, as in RabbitMQ: what clients scale on does not grow
//!   with what waits for its time.
//! - An exclusive queue is emptied by its own connection only.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::StatusCode;
use ferry_broker::{ConnectionId, QueueHandle, Vhost};
use ferry_core::queue::QueueKind;
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    Answer, ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, change, gather,
    gather_all, gather_of_vhost, values, vhosts,
};

pub(super) async fn all(_: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_all(shared, query.0, |vhost| vhost.queues()).await
}

pub(super) async fn of_vhost(
    _: LoggedIn,
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_of_vhost(shared, query.0, vhost, |vhost| vhost.queues()).await
}

pub(super) async fn one(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, queue)): Path<(String, String)>,
) -> Shown {
    gather(shared, move |shared| -> Answer {
        let queue = find(&*vhosts::find(shared, &vhost)?, &queue)?;
        Ok(queue.show(shared))
    })
    .await
}

/// Drops the ready messages.
pub(super) async fn purge(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, queue)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        let (_, promise) = vhost.purge_queue(&queue, ConnectionId::NOBODY)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

/// Drops the messages that wait for their time.
pub(super) async fn purge_delayed(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, queue)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let queue = vhosts::find(shared, &vhost)?.queue(&queue, ConnectionId::NOBODY)?;
        let (_, promise) = shared.broker.purge_delayed(&queue);
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

/// A queue by name; another connection's exclusive ones are shown, too.
pub(super) fn find(vhost: &Vhost, name: &str) -> Result<Arc<QueueHandle>, ApiError> {
    let queues = vhost.queues();
    let found = queues.binary_search_by(|queue| queue.name().cmp(name));
    found
        .map(|index| Arc::clone(&queues[index]))
        .map_err(|_| ApiError::NotFound)
}

impl Listed for Arc<QueueHandle> {
    fn name(&self) -> &str {
        QueueHandle::name(self)
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(match field {
            "name" => SortKey::Text(QueueHandle::name(self)),
            "vhost" => SortKey::Text(self.vhost()),
            "messages" => SortKey::Number(self.ready() + self.unsettled()),
            "messages_ready" => SortKey::Number(self.ready()),
            "messages_unacknowledged" => SortKey::Number(self.unsettled()),
            "messages_delayed" => SortKey::Number(self.delayed()),
            "messages_dead_letter_pending" => SortKey::Number(self.dead_letters_pending()),
            "message_bytes_ready" => SortKey::Number(self.ready_bytes()),
            "consumers" => SortKey::Number(u64::from(self.consumers())),
            _ => return None,
        })
    }

    fn show(&self, shared: &Shared) -> Value {
        let node = &shared.node.name;
        let (policy, operator_policy) = (self.policy(), self.operator_policy());
        let (ready, unsettled) = (self.ready(), self.unsettled());
        let mut object = json!({
            "name": QueueHandle::name(self),
            "vhost": self.vhost(),
            "durable": self.durable(),
            "auto_delete": self.auto_delete(),
            "exclusive": self.exclusive(),
            "arguments": values::object(self.arguments()),
            "policy": policy.as_ref().map(|policy| policy.name.as_str()),
            "operator_policy": operator_policy.as_ref().map(|policy| policy.name.as_str()),
            "effective_policy_definition": values::object(&self.effective_policy_definition()),
            "type": "classic",
            "node": node,
            "state": "running",
            "messages": ready + unsettled,
            "messages_ready": ready,
            "messages_unacknowledged": unsettled,
            "messages_delayed": self.delayed(),
            "messages_dead_letter_pending": self.dead_letters_pending(),
            "message_bytes_ready": self.ready_bytes(),
            "consumers": self.consumers(),
            "single_active_consumer_tag": shared.broker.active_consumer_tag(self),
        });
        let replicated = match self.kind() {
            QueueKind::Classic => None,
            QueueKind::Quorum => Some("quorum"),
            QueueKind::Stream => Some("stream"),
        };
        if let Some(kind) = replicated {
            object["type"] = json!(kind);
            object["leader"] = json!(node);
            object["members"] = json!([node]);
            object["online"] = json!([node]);
        }
        object
    }
}
