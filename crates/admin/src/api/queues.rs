//! Queues, all or one; and emptying one.
//!
//! Invariants
//! - `messages` is ready and unacknowledged, as in RabbitMQ: what clients scale on does not grow
//!   with what waits for its time.
//! - An exclusive queue is emptied by its own connection only.

mod show;

use std::sync::Arc;

use axum::extract::Path;
use axum::http::StatusCode;
use ferry_broker::{ConnectionId, QueueHandle, Vhost};
use serde_json::Value;

use super::details::{CourseQuery, Windows};
use super::list::{Columns, Listed, SortKey, present_as};
use super::{
    Answer, ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, change, gate,
    gather, vhosts,
};
use crate::sampler::queue_key;
use show::Brief;

pub(super) async fn all(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    query: Query<ListQuery>,
    brief: Query<Brief>,
) -> Shown {
    list(shared, query.0, brief.0, move |shared| {
        Ok(gate::vhosts_seen(shared, &user))
    })
    .await
}

pub(super) async fn of_vhost(
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
    brief: Query<Brief>,
) -> Shown {
    list(shared, query.0, brief.0, move |shared| {
        Ok(vec![vhosts::find(shared, &vhost)?])
    })
    .await
}

/// The queues of some virtual hosts, shown as briefly as is asked for.
async fn list(
    shared: Arc<Shared>,
    query: ListQuery,
    brief: Brief,
    of: impl FnOnce(&Shared) -> Result<Vec<Arc<Vhost>>, ApiError> + Send + 'static,
) -> Shown {
    gather(shared, move |shared| {
        let mut found: Vec<Arc<QueueHandle>> = Vec::new();
        for vhost in &of(shared)? {
            found.extend(shared.queues_of(vhost).iter().cloned());
        }
        present_as(found, &query, shared, |queue| brief.show(queue, shared))
    })
    .await
}

pub(super) async fn one(
    State(shared): Context,
    Path((vhost, queue)): Path<(String, String)>,
    query: Query<CourseQuery>,
) -> Shown {
    gather(shared, move |shared| -> Answer {
        let queue = find(&*vhosts::find(shared, &vhost)?, &queue)?;
        shared
            .sampler
            .watch(&queue_key(&queue), shared.broker.now());
        let shown = show::one(&queue, shared, query.windows());
        Ok(Columns::of(query.columns.as_deref()).pick(shown))
    })
    .await
}

/// Drops the ready messages.
pub(super) async fn purge(
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

/// A queue by name; another connection's exclusive ones are shown, too.
pub(super) fn find(vhost: &Vhost, name: &str) -> Result<Arc<QueueHandle>, ApiError> {
    vhost.any_queue(name).ok_or(ApiError::NotFound)
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
            "message_bytes_unacknowledged" => SortKey::Number(self.unsettled_bytes()),
            "message_bytes" => SortKey::Number(self.ready_bytes() + self.unsettled_bytes()),
            "consumers" => SortKey::Number(u64::from(self.consumers())),
            _ => return None,
        })
    }

    fn sort_key_in(&self, field: &str, shared: &Shared) -> Option<SortKey<'_>> {
        self.sort_key(field)
            .or_else(|| show::sort_key(self, field, shared))
    }

    fn show(&self, shared: &Shared) -> Value {
        show::whole(self, shared, Windows::default())
    }
}
