//! Virtual hosts, all or one.

use std::sync::Arc;

use axum::extract::Path;
use ferry_broker::Vhost;
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, gather, gather_list,
};
use crate::shared::Totals;

pub(super) async fn all(_: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_list(shared, query.0, |shared| Ok(shared.broker.vhosts())).await
}

pub(super) async fn one(_: LoggedIn, State(shared): Context, Path(vhost): Path<String>) -> Shown {
    gather(shared, move |shared| Ok(find(shared, &vhost)?.show(shared))).await
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
        let mut totals = Totals::default();
        self.queues().iter().for_each(|queue| totals.add(queue));
        json!({
            "name": Vhost::name(self),
            "tracing": false,
            "cluster_state": { &shared.node.name: "running" },
            "messages": totals.ready + totals.unsettled,
            "messages_ready": totals.ready,
            "messages_unacknowledged": totals.unsettled,
        })
    }
}
