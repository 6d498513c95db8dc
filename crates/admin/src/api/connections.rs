//! Connections: all, of a virtual host, of a user, or one; and closing them.
//!
//! Invariants
//! - Who may not see everything of the node sees connections of the same user only.
//! - A connection is closed by its own task, which tells its client why.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use ferry_broker::{ConnectionInfo, TlsInfo, User};
use serde_json::{Value, json};

use super::details::{CourseQuery, Kind, Windows, seen};
use super::list::{Columns, Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, Query, Shared, Shown, State, gate, gather, gather_list, values,
    vhosts,
};
use crate::auth::LoggedIn;
use crate::sampler::{Key, OBJECT};

/// What the client is told if nothing else is said.
const CLOSE_REASON: &str = "Closed via management plugin";

/// Longest reason, in bytes: it has to fit a short string with what stands before it.
const REASON_BYTES_MAX: usize = 200;

const REASON_HEADER: &str = "x-reason";

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/connections", get(all))
        .route("/connections/{name}", get(one).delete(close))
        .route(
            "/connections/username/{user}",
            get(of_user).delete(close_of_user),
        )
        .route("/vhosts/{vhost}/connections", get(of_vhost))
}

async fn all(user: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_list(shared, query.0, move |shared| {
        Ok(named(visible(shared, &user.0)))
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
        Ok(named(visible_in(shared, &user.0, &vhost)?))
    })
    .await
}

async fn of_user(
    user: LoggedIn,
    State(shared): Context,
    Path(name): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_list(shared, query.0, move |shared| {
        Ok(named(used_by(shared, &user.0, &name)))
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
        let connection = find(shared, &user.0, &name)?;
        let key = Key::Connection(connection.id);
        shared.sampler.watch(&key, shared.broker.now());
        let shown = show(&connection, shared, query.windows());
        Ok(Columns::of(query.columns.as_deref()).pick(shown))
    })
    .await
}

async fn close(
    user: LoggedIn,
    State(shared): Context,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let connection = find(&shared, &user.0, &name)?;
    tell_to_close(&connection, &user.0, &headers);
    Ok(StatusCode::NO_CONTENT)
}

async fn close_of_user(
    user: LoggedIn,
    State(shared): Context,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    for connection in used_by(&shared, &user.0, &name) {
        tell_to_close(&connection, &user.0, &headers);
    }
    StatusCode::NO_CONTENT
}

fn tell_to_close(connection: &ConnectionInfo, user: &User, headers: &HeaderMap) {
    let given = headers
        .get(REASON_HEADER)
        .and_then(|reason| reason.to_str().ok());
    let reason = given
        .filter(|reason| !reason.is_empty())
        .unwrap_or(CLOSE_REASON);
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    tracing::warn!(
        connection = ?connection.name(),
        by = ?user.name,
        reason = ?&reason[..end],
        "closing a connection"
    );
    if let Some(probe) = connection.probe.upgrade() {
        probe.close(&reason[..end]);
    }
}

/// Whether a user sees a connection.
fn seen_by(user: &User, connection: &ConnectionInfo) -> bool {
    gate::monitors(user) || connection.user == user.name
}

/// Those that a user sees.
pub(super) fn visible(shared: &Shared, user: &User) -> Vec<ConnectionInfo> {
    let mut found = shared.broker.connections();
    found.retain(|connection| seen_by(user, connection));
    found
}

/// Those of a virtual host that a user sees.
pub(super) fn visible_in(
    shared: &Shared,
    user: &User,
    vhost: &str,
) -> Result<Vec<ConnectionInfo>, ApiError> {
    let vhost = vhosts::find(shared, vhost)?;
    let mut found = shared.broker.connections_in(vhost.name());
    found.retain(|connection| seen_by(user, connection));
    Ok(found)
}

fn used_by(shared: &Shared, user: &User, name: &str) -> Vec<ConnectionInfo> {
    let mut found = visible(shared, user);
    found.retain(|connection| connection.user == name);
    found
}

/// A connection by its name; who may not see it learns no more than that it is not for them.
pub(super) fn find(shared: &Shared, user: &User, name: &str) -> Result<ConnectionInfo, ApiError> {
    let mut all = shared.broker.connections().into_iter();
    let found = all.find(|connection| connection.name() == name);
    let found = found.ok_or(ApiError::NotFound)?;
    match seen_by(user, &found) {
        true => Ok(found),
        false => Err(ApiError::Unauthorised("Not owner of the connection")),
    }
}

/// Puts the address of the peer into an object, in two fields.
pub(super) fn named_peer(connection: &ConnectionInfo, object: &mut Value) {
    if let Ok(address) = connection.peer.parse::<SocketAddr>() {
        object["peer_host"] = json!(address.ip().to_string());
        object["peer_port"] = json!(address.port());
    }
}

/// Fields that are empty for a connection in the clear.
fn show_tls(tls: Option<&TlsInfo>, object: &mut Value) {
    let word = |word: fn(&TlsInfo) -> &'static str| json!(tls.map(word));
    let of_peer =
        |text: fn(&TlsInfo) -> &Option<String>| json!(tls.and_then(|tls| text(tls).as_ref()));
    for (field, value) in [
        ("peer_cert_issuer", of_peer(|tls| &tls.peer_cert_issuer)),
        ("peer_cert_subject", of_peer(|tls| &tls.peer_cert_subject)),
        ("peer_cert_validity", of_peer(|tls| &tls.peer_cert_validity)),
        ("ssl_cipher", word(|tls| tls.cipher)),
        ("ssl_hash", word(|tls| tls.hash)),
        ("ssl_key_exchange", word(|tls| tls.key_exchange)),
        ("ssl_protocol", word(|tls| tls.protocol)),
    ] {
        object[field] = value;
    }
}

fn show(connection: &ConnectionInfo, shared: &Shared, windows: Windows) -> Value {
    let properties = values::object(&connection.client_properties);
    let given_name = properties.get("connection_name").cloned();
    let mut object = json!({
        "name": connection.name(),
        "user": connection.user,
        "user_who_performed_action": connection.user,
        "vhost": connection.vhost,
        "protocol": connection.protocol,
        "node": shared.node.name,
        "type": "network",
        "state": "running",
        "auth_mechanism": connection.mechanism,
        "client_properties": properties,
        "channel_max": connection.channel_max,
        "frame_max": connection.frame_bytes_max,
        "timeout": connection.heartbeat_s,
        "ssl": connection.tls.is_some(),
        "connected_at": connection.connected_at,
    });
    show_tls(connection.tls.as_deref(), &mut object);
    named_peer(connection, &mut object);
    if let Ok(address) = connection.local.parse::<SocketAddr>() {
        object["host"] = json!(address.ip().to_string());
        object["port"] = json!(address.port());
    }
    if let Some(name) = given_name {
        object["user_provided_name"] = name;
    }
    let (Some(probe), Some(fields)) = (connection.probe.upgrade(), object.as_object_mut()) else {
        return object;
    };
    let traffic = probe.traffic();
    for (name, value) in [
        ("state", json!(probe.state())),
        ("channels", json!(probe.channel_count())),
        ("recv_oct", json!(traffic.received_bytes)),
        ("recv_cnt", json!(traffic.reads)),
        ("send_oct", json!(traffic.sent_bytes)),
        ("send_cnt", json!(traffic.writes)),
        ("send_pend", json!(traffic.waiting_bytes)),
    ] {
        fields.insert(name.to_owned(), value);
    }
    seen(shared, &Key::Connection(connection.id), windows, |seen| {
        seen.put(fields, OBJECT.received, Kind::Data);
        seen.put(fields, OBJECT.sent, Kind::Data);
    });
    object
}

/// A connection and its name.
struct Named {
    info: ConnectionInfo,
    name: String,
}

fn named(found: Vec<ConnectionInfo>) -> Vec<Named> {
    let name = |info: ConnectionInfo| Named {
        name: info.name(),
        info,
    };
    found.into_iter().map(name).collect()
}

impl Listed for Named {
    fn name(&self) -> &str {
        &self.name
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(match field {
            "name" => SortKey::Text(&self.name),
            "user" => SortKey::Text(&self.info.user),
            "vhost" => SortKey::Text(&self.info.vhost),
            "protocol" => SortKey::Text(self.info.protocol),
            "connected_at" => SortKey::Number(self.info.connected_at),
            _ => return None,
        })
    }

    fn show(&self, shared: &Shared) -> Value {
        show(&self.info, shared, Windows::default())
    }
}
