//! Log-ins that were tried, by protocol, and where people log in.
//!
//! Invariants
//! - Where they came from is not kept, as RabbitMQ does not unless it is told to.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{ApiError, Context, Shared, Shown, State};

/// The paths of log-ins.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/auth", get(auth))
        .route("/auth/attempts/{node}", get(counts).delete(reset))
        .route("/auth/attempts/{node}/source", get(sources).delete(reset))
}

/// How people log in is told before they do.
async fn auth() -> Json<Value> {
    Json(json!({ "oauth_enabled": false }))
}

async fn counts(State(shared): Context, Path(node): Path<String>) -> Shown {
    check_node(&shared, &node)?;
    let counts = shared.broker.login_counts().into_iter();
    let shown = counts.map(|count| {
        json!({
            "protocol": count.protocol,
            "auth_attempts": count.succeeded + count.failed,
            "auth_attempts_failed": count.failed,
            "auth_attempts_succeeded": count.succeeded,
        })
    });
    Ok(Json(shown.collect()))
}

async fn sources(State(shared): Context, Path(node): Path<String>) -> Shown {
    check_node(&shared, &node)?;
    Ok(Json(json!([])))
}

async fn reset(State(shared): Context, Path(node): Path<String>) -> Result<StatusCode, ApiError> {
    check_node(&shared, &node)?;
    shared.broker.reset_login_counts();
    Ok(StatusCode::NO_CONTENT)
}

fn check_node(shared: &Shared, node: &str) -> Result<(), ApiError> {
    match node == shared.node.name {
        true => Ok(()),
        false => Err(ApiError::NotFound),
    }
}
