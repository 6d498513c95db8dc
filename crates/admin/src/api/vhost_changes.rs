//! Virtual hosts: made, described, started and deleted.
//!
//! Invariants
//! - A change is answered when it is safe on the disk.
//! - Who makes a virtual host has all rights in it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{post, put};
use ferry_broker::{Permission, VhostSpec};
use ferry_core::arguments::{Arguments, Value as Argument};
use serde_json::{Value, json};

use super::{ApiError, Context, Shared, State, change, users, values, vhosts};
use crate::auth::LoggedIn;

type Changed = Result<StatusCode, ApiError>;

/// How RabbitMQ writes that there is no default type.
const UNDEFINED: &str = "undefined";

/// The paths that change virtual hosts.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/vhosts/{vhost}", put(set).delete(delete))
        .route("/vhosts/{vhost}/start/{node}", post(start))
}

async fn set(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    Path(name): Path<String>,
    body: Bytes,
) -> Changed {
    change(shared, move |shared| {
        let broker = &shared.broker;
        let known = broker.vhost(&name).map(|vhost| vhost.spec());
        let before = known.unwrap_or(VhostSpec {
            name: name.clone(),
            ..VhostSpec::default()
        });
        let set = broker.set_vhost(described(before, &values::body(&body)?)?)?;
        if !set.created {
            return Ok((StatusCode::NO_CONTENT, set.durable_at));
        }
        let mut safe_at = set.durable_at;
        if broker.account(&user.name).is_some() {
            let all = || ".*".to_owned();
            let own = broker.set_permission(Permission {
                user: user.name.as_str().into(),
                vhost: name.into(),
                configure: all(),
                write: all(),
                read: all(),
            })?;
            safe_at = safe_at.max(own.durable_at);
        }
        Ok((StatusCode::CREATED, safe_at))
    })
    .await
}

/// What a body says of a virtual host; what it does not say stays.
fn described(before: VhostSpec, said: &Arguments) -> Result<VhostSpec, ApiError> {
    let text = |field: &str| match said.get(field) {
        None | Some(Argument::Void) => Ok(None),
        Some(Argument::Str(bytes)) => Ok(Some(values::text(bytes))),
        Some(_) => Err(ApiError::BadRequest(format!("{field} is a text"))),
    };
    let tags = match said.get("tags") {
        None => before.tags,
        Some(tags) => users::words(tags)
            .ok_or_else(|| ApiError::BadRequest("tags are a list of words, or a text".into()))?,
    };
    if said.get("tracing") == Some(&Argument::Bool(true)) {
        let why = "tracing is not offered: a queue's passport tells the way of its messages";
        return Err(ApiError::BadRequest(why.to_owned()));
    }
    let kind = text("default_queue_type")?.or(before.default_queue_type);
    Ok(VhostSpec {
        name: before.name,
        description: text("description")?.unwrap_or(before.description),
        tags,
        default_queue_type: kind.filter(|kind| !kind.is_empty() && kind != UNDEFINED),
    })
}

async fn delete(State(shared): Context, Path(name): Path<String>) -> Changed {
    change(shared, move |shared| {
        vhosts::find(shared, &name)?;
        Ok((StatusCode::NO_CONTENT, shared.broker.delete_vhost(&name)?))
    })
    .await
}

/// A virtual host that is there has started.
async fn start(State(shared): Context, Path((name, node)): Path<(String, String)>) -> Changed {
    let failed = |why: &str| {
        let why = format!("Request to node {node} failed with {why}");
        Err(ApiError::BadRequest(why))
    };
    if node != shared.node.name {
        return failed("nodedown");
    }
    match shared.broker.vhost(&name) {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => failed(&format!("{{no_such_vhost,<<\"{name}\">>}}")),
    }
}

/// Adds what is said of a virtual host to the object that shows it.
pub(super) fn show(object: &mut Value, spec: VhostSpec) {
    let kind = spec.default_queue_type.as_deref().unwrap_or(UNDEFINED);
    object["description"] = json!(spec.description);
    object["tags"] = json!(spec.tags);
    object["default_queue_type"] = json!(kind);
    object["metadata"] = json!({ "description": spec.description, "tags": spec.tags });
    if let Some(kind) = spec.default_queue_type {
        object["metadata"]["default_queue_type"] = json!(kind);
    }
}
