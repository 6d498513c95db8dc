//! What operators and their tools ask a cluster for besides: feature flags, deprecated features,
//! extensions, and acts that mean something in a cluster or to its statistics.
//!
//! Invariants
//! - All feature flags of RabbitMQ that are named here are things this node does.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use ferry_broker::RABBITMQ_VERSION;
use serde_json::{Value, json};

use super::{ApiError, Context, Shared, Shown, State, gather, values};

/// Feature flags of RabbitMQ, by name, of what is built in here.
const FLAGS: &[(&str, &str)] = &[
    (
        "direct_exchange_routing_v2",
        "Fast routing of direct exchanges",
    ),
    (
        "drop_unroutable_metric",
        "Publishes that were dropped are counted",
    ),
    ("empty_basic_get_metric", "Gets of empty queues are counted"),
    (
        "implicit_default_bindings",
        "Every queue is bound to the default exchange",
    ),
    (
        "message_containers",
        "Messages are kept in a form of their own",
    ),
    ("quorum_queue", "Queues of type quorum"),
    ("rabbit_exchange_type_local_random", "Local random exchange"),
    ("stream_queue", "Queues of type stream"),
    ("stream_single_active_consumer", "Single active consumer"),
    ("user_limits", "Limits of a user's connections and channels"),
    (
        "virtual_host_metadata",
        "Descriptions and tags of virtual hosts",
    ),
];

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/feature-flags", get(flags))
        .route("/feature-flags/{name}/enable", put(enable))
        .route("/deprecated-features", get(deprecated))
        .route("/deprecated-features/used", get(deprecated_used))
        .route("/extensions", get(extensions))
        .route("/version", get(version))
        .route("/reset", delete(reset))
        .route("/reset/{node}", delete(reset_node))
        .route("/rebalance/queues", post(rebalance))
}

async fn flags() -> Json<Value> {
    let show = |(name, what): &(&str, &str)| {
        json!({
            "name": name,
            "desc": what,
            "doc_url": "",
            "state": "enabled",
            "stability": "required",
            "provided_by": "ferrymq",
        })
    };
    Json(FLAGS.iter().map(show).collect())
}

async fn enable(Path(name): Path<String>, body: Bytes) -> Result<StatusCode, ApiError> {
    values::body(&body)?;
    match FLAGS.iter().any(|(known, _)| *known == name) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::BadRequest("unsupported".to_owned())),
    }
}

/// RabbitMQ's, of which all are here to stay.
const DEPRECATED: &[(&str, &str)] = &[
    ("classic_queue_mirroring", "denied_by_default"),
    ("global_qos", "permitted_by_default"),
    ("transient_nonexcl_queues", "permitted_by_default"),
];

async fn deprecated() -> Json<Value> {
    Json(DEPRECATED.iter().map(show_deprecated).collect())
}

fn show_deprecated((name, phase): &(&str, &str)) -> Value {
    json!({
        "name": name,
        "desc": "",
        "deprecation_phase": phase,
        "doc_url": "",
        "provided_by": "ferrymq",
    })
}

/// Those that somebody uses, as far as it can be seen.
async fn deprecated_used(State(shared): Context) -> Shown {
    gather(shared, |shared| {
        let transient = shared.broker.vhosts().iter().any(|vhost| {
            let queues = vhost.queues();
            queues
                .iter()
                .any(|queue| !queue.durable() && !queue.exclusive())
        });
        let used = DEPRECATED
            .iter()
            .filter(|(name, _)| transient && *name == "transient_nonexcl_queues");
        Ok(used.map(show_deprecated).collect())
    })
    .await
}

/// The version of RabbitMQ whose API this is.
async fn version() -> Json<Value> {
    Json(json!(RABBITMQ_VERSION))
}

/// The page is one; nothing is added to it by others.
async fn extensions() -> Json<Value> {
    Json(json!([{ "javascript": "dispatcher.js" }]))
}

/// There is no database of statistics apart from the node: nothing is left to be dropped.
async fn reset() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn reset_node(
    State(shared): Context,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    match name == shared.node.name {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound),
    }
}

/// On one node every queue is where it belongs.
async fn rebalance() -> StatusCode {
    StatusCode::NO_CONTENT
}
