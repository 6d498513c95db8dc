//! Virtual hosts, all or one.

use std::sync::Arc;

use axum::extract::Path;
use ferry_broker::Vhost;
use serde_json::{Value, json};

use super::details::{CourseQuery, DELIVERED, Kind, PUBLISHED, Windows, seen};
use super::list::{Columns, Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, gate, gather, gather_list,
    vhost_changes,
};
use crate::sampler::{Key, OBJECT};

pub(super) async fn all(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    query: Query<ListQuery>,
) -> Shown {
    gather_list(shared, query.0, move |shared| {
        let mut vhosts = shared.broker.vhosts();
        vhosts.retain(|vhost| gate::monitors(&user) || user.may_enter(vhost.name()));
        Ok(vhosts)
    })
    .await
}

pub(super) async fn one(
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<CourseQuery>,
) -> Shown {
    gather(shared, move |shared| {
        let vhost = find(shared, &vhost)?;
        let key = Key::Vhost(vhost.name().into());
        shared.sampler.watch(&key, shared.broker.now());
        let shown = show(&vhost, shared, query.windows());
        Ok(Columns::of(query.columns.as_deref()).pick(shown))
    })
    .await
}

pub(super) fn find(shared: &Shared, name: &str) -> Result<Arc<Vhost>, ApiError> {
    shared.broker.vhost(name).ok_or(ApiError::NotFound)
}

impl Listed for Arc<Vhost> {
    fn name(&self) -> &str {
        Vhost::name(self)
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        (field == "name").then(|| SortKey::Text(Vhost::name(self)))
    }

    fn show(&self, shared: &Shared) -> Value {
        show(self, shared, Windows::default())
    }
}

fn show(vhost: &Vhost, shared: &Shared, windows: Windows) -> Value {
    let sums = shared.sums();
    let found = sums
        .vhosts
        .iter()
        .find(|(known, _)| known.name() == vhost.name());
    let sums = found.map(|(_, sums)| *sums).unwrap_or_default();
    let mut object = json!({
        "name": vhost.name(),
        "tracing": false,
        "cluster_state": { &shared.node.name: "running" },
        "messages": sums.ready + sums.unsettled,
        "messages_ready": sums.ready,
        "messages_unacknowledged": sums.unsettled,
        "recv_oct": sums.received_bytes,
        "send_oct": sums.sent_bytes,
    });
    vhost_changes::show(&mut object, vhost.spec());
    let Some(fields) = object.as_object_mut() else {
        return object;
    };
    seen(shared, &Key::Vhost(vhost.name().into()), windows, |seen| {
        let total = [OBJECT.ready.at, OBJECT.unacknowledged.at];
        seen.put_sum(fields, "messages", &total, Kind::Length);
        seen.put(fields, OBJECT.ready, Kind::Length);
        seen.put(fields, OBJECT.unacknowledged, Kind::Length);
        seen.put(fields, OBJECT.received, Kind::Data);
        seen.put(fields, OBJECT.sent, Kind::Data);
        if let Some(stats) = seen.message_stats(&sums.stats, &[PUBLISHED, DELIVERED]) {
            fields.insert("message_stats".to_owned(), stats);
        }
    });
    object
}
