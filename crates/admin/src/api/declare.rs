//! Declaring and deleting queues and exchanges.
//!
//! Invariants
//! - A change is answered when it is safe on the disk.
//! - What a client may not do over a protocol it may not do here, and is refused in the same words:
//!   the gate asks for the rights that a path shows, this file for those that arguments need.
//! - A queue of a connection of its own can not be declared by somebody without a connection.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::routing::{post, put};
use ferry_broker::{ConnectionId, Exchange, ExchangeKind, QueueSpec, SETTLE_EXCHANGE, Vhost};
use ferry_core::arguments::{Arguments, Value};
use serde::Deserialize;
use serde_json::json;

use super::list::is_true;
use super::{
    ApiError, Context, Shared, State, change, created, exchanges, gather, queues, values, vhosts,
};
use crate::auth::LoggedIn;

/// What the protocol would refuse with `ACCESS_REFUSED`.
pub(super) const REFUSED: ApiError = ApiError::Unauthorised("Access refused.");

/// Names that begin with it are the broker's own.
const OWN_PREFIX: &str = "amq.";

/// Longest name of a queue or an exchange, in bytes.
const NAME_BYTES_MAX: usize = 255;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/queues/{vhost}/{queue}",
            put(declare_queue).delete(delete_queue),
        )
        .route("/queues/{vhost}/{queue}/actions", post(act))
        .route(
            "/exchanges/{vhost}/{exchange}",
            put(declare_exchange).delete(delete_exchange),
        )
}

/// Only what nobody uses, or what is empty.
#[derive(Debug, Deserialize)]
struct Only {
    #[serde(rename = "if-unused")]
    if_unused: Option<String>,
    #[serde(rename = "if-empty")]
    if_empty: Option<String>,
}

async fn declare_queue(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let vhost = enter(shared, &vhost, &name)?;
        let body = values::body(&body)?;
        check_node(shared, &body)?;
        if flag(&body, "exclusive", false)? {
            let why = "an exclusive queue belongs to a connection: declare it over a protocol";
            return Err(ApiError::BadRequest(why.to_owned()));
        }
        let known = vhost.any_queue(&name).is_some();
        if !known && name.starts_with(OWN_PREFIX) {
            return Err(REFUSED);
        }
        let spec = QueueSpec {
            name,
            durable: flag(&body, "durable", true)?,
            exclusive: false,
            auto_delete: flag(&body, "auto_delete", false)?,
            arguments: arguments_of(&body)?,
        };
        if !known {
            let checked = user.check_new_queue(vhost.name(), &spec.name, &spec.arguments);
            checked.map_err(|_| REFUSED)?;
        }
        let declared = vhost.declare_queue(spec, ConnectionId::NOBODY)?;
        Ok((created(!known), declared.durable_at))
    })
    .await
}

async fn delete_queue(
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
    only: Query<Only>,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        queues::find(&vhost, &name)?;
        let (if_unused, if_empty) = (
            is_true(only.if_unused.as_ref()),
            is_true(only.if_empty.as_ref()),
        );
        let (_, promise) = vhost.delete_queue(&name, if_unused, if_empty, ConnectionId::NOBODY)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

async fn declare_exchange(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let vhost = enter(shared, &vhost, &name)?;
        let body = values::body(&body)?;
        check_node(shared, &body)?;
        let known = vhost.exchange(&name).is_ok();
        if exchanges::is_default(&name) || !known && name.starts_with(OWN_PREFIX) {
            return Err(REFUSED);
        }
        let kind = match body.get("type") {
            None | Some(Value::Void) => "direct",
            Some(kind) => kind.as_str().unwrap_or_default(),
        };
        let kind: Result<ExchangeKind, _> = kind.parse();
        let exchange = Exchange {
            name: name.into(),
            kind: kind.map_err(|unknown| ApiError::BadRequest(unknown.to_string()))?,
            durable: flag(&body, "durable", true)?,
            auto_delete: flag(&body, "auto_delete", false)?,
            internal: flag(&body, "internal", false)?,
            arguments: arguments_of(&body)?,
        };
        if !known {
            let Exchange {
                name, arguments, ..
            } = &exchange;
            let checked = user.check_new_exchange(vhost.name(), name, arguments);
            checked.map_err(|_| REFUSED)?;
        }
        let promise = vhost.declare_exchange(exchange)?;
        Ok((created(!known), promise))
    })
    .await
}

async fn delete_exchange(
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
    only: Query<Only>,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        let exchange = exchanges::find(&vhost, &name)?;
        if exchanges::is_default(&name) || name.starts_with(OWN_PREFIX) || name == SETTLE_EXCHANGE {
            return Err(REFUSED);
        }
        let if_unused = is_true(only.if_unused.as_ref());
        let promise = vhost.delete_exchange(&exchange.name, if_unused)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

/// What operators of mirrored queues ask for: a queue has no mirrors here, so both are done.
async fn act(
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let shown = gather(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        queues::find(&vhost, &name)?;
        let body = values::body(&body)?;
        let Some(action) = body.get("action") else {
            let why = "[{key_missing,action}]";
            return Err(ApiError::BadRequest(why.to_owned()));
        };
        match action.as_str() {
            Some("sync" | "cancel_sync") => Ok(json!(null)),
            Some(other) => Err(ApiError::BadRequestWith(json!(["unknown", other]))),
            None => Err(ApiError::BadRequest("action is no text".to_owned())),
        }
    });
    shown.await.map(|_| StatusCode::NO_CONTENT)
}

/// The virtual host of what is to be declared by that name.
fn enter(shared: &Shared, vhost: &str, name: &str) -> Result<Arc<Vhost>, ApiError> {
    let vhost = shared.broker.vhost(vhost).ok_or(ApiError::NoSuchVhost)?;
    if name.len() > NAME_BYTES_MAX {
        let why = format!("a name may have {NAME_BYTES_MAX} bytes");
        return Err(ApiError::BadRequest(why));
    }
    if name.contains(['\r', '\n']) {
        let why = "a name has no line breaks";
        return Err(ApiError::BadRequest(why.to_owned()));
    }
    Ok(vhost)
}

/// The node that is named has to be this one.
fn check_node(shared: &Shared, body: &Arguments) -> Result<(), ApiError> {
    match body.get("node").and_then(Value::as_str) {
        Some(node) if node != shared.node.name => Err(ApiError::BadRequest(format!(
            "Node {node} could not be contacted"
        ))),
        _ => Ok(()),
    }
}

/// A flag, as the value it is or as text.
fn flag(body: &Arguments, name: &str, default: bool) -> Result<bool, ApiError> {
    match body.get(name) {
        None | Some(Value::Void) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => match other.as_str() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            text => Err(ApiError::BadRequestWith(json!([
                "not_boolean",
                text.unwrap_or(other.type_name())
            ]))),
        },
    }
}

/// The arguments in a body. Some clients write no arguments as an empty list.
pub(super) fn arguments_of(body: &Arguments) -> Result<Arguments, ApiError> {
    match body.get("arguments") {
        None | Some(Value::Void) => Ok(Arguments::new()),
        Some(Value::Table(table)) => Ok(table.clone()),
        Some(Value::Array(values)) if values.is_empty() => Ok(Arguments::new()),
        Some(_) => Err(ApiError::BadRequest("arguments is no object".to_owned())),
    }
}
