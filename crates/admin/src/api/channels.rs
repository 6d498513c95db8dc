//! Channels: of all connections, of a virtual host, of one connection, or one.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use ferry_broker::{ChannelInfo, ConnectionInfo};
use serde_json::{Value, json};

use super::connections::{find, named_peer, visible, visible_in};
use super::details::{CourseQuery, DELIVERED, PUBLISHED, Windows, seen};
use super::list::{Columns, Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, Query, Shared, Shown, State, consumers, gather, gather_list,
};
use crate::auth::LoggedIn;
use crate::sampler::Key;

/// A channel and its connection.
struct Placed {
    connection: Arc<ConnectionInfo>,
    channel: ChannelInfo,
    name: String,
    state: &'static str,
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/channels", get(all))
        .route("/channels/{channel}", get(one))
        .route("/connections/{name}/channels", get(of_connection))
        .route("/vhosts/{vhost}/channels", get(of_vhost))
}

async fn all(user: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_list(shared, query.0, move |shared| {
        let seen = visible(shared, &user.0);
        Ok(seen.into_iter().flat_map(placed).collect())
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
        let seen = visible_in(shared, &user.0, &vhost)?;
        Ok(seen.into_iter().flat_map(placed).collect())
    })
    .await
}

async fn of_connection(
    user: LoggedIn,
    State(shared): Context,
    Path(name): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_list(shared, query.0, move |shared| {
        Ok(placed(find(shared, &user.0, &name)?))
    })
    .await
}

async fn one(
    user: LoggedIn,
    State(shared): Context,
    Path(name): Path<String>,
    query: Query<CourseQuery>,
) -> Shown {
    gather(shared, move |shared| {
        // The name of its connection, and its number in brackets.
        let (connection, number) = name
            .strip_suffix(')')
            .and_then(|name| name.rsplit_once(" ("))
            .ok_or(ApiError::NotFound)?;
        let number: u16 = number.parse().map_err(|_| ApiError::NotFound)?;
        let connection = find(shared, &user.0, connection)?;
        let mut channels = placed(connection).into_iter();
        let channel = channels.find(|placed| placed.channel.number == number);
        let channel = channel.ok_or(ApiError::NotFound)?;
        shared.sampler.watch(&channel.key(), shared.broker.now());
        let mut shown = channel.shown(shared, query.windows());
        shown["consumer_details"] =
            json!(consumers::of_channel(&channel.connection, number, shared));
        // Which queue got what is told where rates are kept in all detail, and so not here.
        shown["deliveries"] = json!([]);
        shown["publishes"] = json!([]);
        Ok(Columns::of(query.columns.as_deref()).pick(shown))
    })
    .await
}

fn placed(connection: ConnectionInfo) -> Vec<Placed> {
    let Some(probe) = connection.probe.upgrade() else {
        return Vec::new();
    };
    let state = match probe.state() {
        "flow" => "flow",
        _ => "running",
    };
    let connection = Arc::new(connection);
    let channels = probe.channels().into_iter();
    channels
        .map(|channel| Placed {
            name: format!("{} ({})", connection.name(), channel.number),
            connection: Arc::clone(&connection),
            channel,
            state,
        })
        .collect()
}

impl Placed {
    fn key(&self) -> Key {
        Key::Channel(self.connection.id, self.channel.number)
    }

    fn shown(&self, shared: &Shared, windows: Windows) -> Value {
        let Placed {
            connection,
            channel,
            name,
            state,
        } = self;
        let mut details = json!({ "name": connection.name() });
        named_peer(connection, &mut details);
        let mut object = json!({
            "name": name,
            "number": channel.number,
            "connection_details": details,
            "user": connection.user,
            "user_who_performed_action": connection.user,
            "vhost": connection.vhost,
            "node": shared.node.name,
            "state": state,
            "confirm": channel.confirms,
            "transactional": channel.transactional,
            "prefetch_count": channel.prefetch,
            "global_prefetch_count": channel.global_prefetch,
            "consumer_count": channel.consumers,
            "messages_unacknowledged": channel.unacknowledged,
            "messages_unconfirmed": channel.unconfirmed,
            "messages_uncommitted": channel.uncommitted,
            "acks_uncommitted": channel.acks_uncommitted,
        });
        let stats = seen(shared, &self.key(), windows, |seen| {
            seen.message_stats(&channel.stats, &[PUBLISHED, DELIVERED])
        });
        if let Some(stats) = stats {
            object["message_stats"] = stats;
        }
        object
    }
}

impl Listed for Placed {
    fn name(&self) -> &str {
        &self.name
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(match field {
            "name" => SortKey::Text(&self.name),
            "user" => SortKey::Text(&self.connection.user),
            "vhost" => SortKey::Text(&self.connection.vhost),
            "number" => SortKey::Number(self.channel.number.into()),
            "consumer_count" => SortKey::Number(self.channel.consumers.into()),
            "messages_unacknowledged" => SortKey::Number(self.channel.unacknowledged),
            "messages_unconfirmed" => SortKey::Number(self.channel.unconfirmed),
            _ => return None,
        })
    }

    fn show(&self, shared: &Shared) -> Value {
        self.shown(shared, Windows::default())
    }
}
