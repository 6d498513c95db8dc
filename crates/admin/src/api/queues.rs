//! Queues, all or one.

use std::sync::Arc;

use axum::extract::Path;
use ferry_broker::{QueueHandle, Vhost};
use ferry_core::queue::QueueKind;
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    Answer, ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, gather,
    gather_list, values, vhosts,
};

pub(super) async fn all(_: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_list(shared, query.0, |shared| {
        Ok(shared
            .broker
            .vhosts()
            .iter()
            .flat_map(|vhost| vhost.queues())
            .collect())
    })
    .await
}

pub(super) async fn of_vhost(
    _: LoggedIn,
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_list(shared, query.0, move |shared| {
        Ok(vhosts::find(shared, &vhost)?.queues())
    })
    .await
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
            "message_bytes_ready" => SortKey::Number(self.ready_bytes()),
            "consumers" => SortKey::Number(u64::from(self.consumers())),
            _ => return None,
        })
    }

    fn show(&self, shared: &Shared) -> Value {
        let node = &shared.node.name;
        let (ready, unsettled) = (self.ready(), self.unsettled());
        let mut object = json!({
            "name": QueueHandle::name(self),
            "vhost": self.vhost(),
            "durable": self.durable(),
            "auto_delete": self.auto_delete(),
            "exclusive": self.exclusive(),
            "arguments": values::object(self.arguments()),
            "type": "classic",
            "node": node,
            "state": "running",
            "messages": ready + unsettled,
            "messages_ready": ready,
            "messages_unacknowledged": unsettled,
            "message_bytes_ready": self.ready_bytes(),
            "consumers": self.consumers(),
        });
        if self.options().kind == QueueKind::Quorum {
            object["type"] = json!("quorum");
            object["leader"] = json!(node);
            object["members"] = json!([node]);
            object["online"] = json!([node]);
        }
        object
    }
}
