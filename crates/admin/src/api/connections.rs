//! Connections, all or one.

use std::net::SocketAddr;

use axum::extract::Path;
use ferry_broker::ConnectionInfo;
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, gather, gather_list,
};

pub(super) async fn all(_: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_list(shared, query.0, |shared| Ok(shared.broker.connections())).await
}

pub(super) async fn one(_: LoggedIn, State(shared): Context, Path(name): Path<String>) -> Shown {
    gather(shared, move |shared| {
        let mut found = shared.broker.connections().into_iter();
        let connection = found.find(|connection| connection.peer == name);
        Ok(connection.ok_or(ApiError::NotFound)?.show(shared))
    })
    .await
}

impl Listed for ConnectionInfo {
    fn name(&self) -> &str {
        &self.peer
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(SortKey::Text(match field {
            "name" => &self.peer,
            "user" => &self.user,
            "vhost" => &self.vhost,
            "protocol" => self.protocol,
            _ => return None,
        }))
    }

    fn show(&self, shared: &Shared) -> Value {
        let mut object = json!({
            "name": self.peer,
            "user": self.user,
            "vhost": self.vhost,
            "protocol": self.protocol,
            "node": shared.node.name,
            "state": "running",
        });
        if let Ok(address) = self.peer.parse::<SocketAddr>() {
            object["peer_host"] = json!(address.ip().to_string());
            object["peer_port"] = json!(address.port());
        }
        object
    }
}
