//! Whether this node is alive, and whether clients should be sent here; for probes.
//!
//! Invariants
//! - Alive: the log can still store. Ready: alive, and accepting connections.
//! - An alarm is no reason to be unready: consumers are what ends it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::shared::Shared;

pub(crate) async fn live(State(shared): State<Arc<Shared>>) -> Response {
    answer(shared.broker.failed())
}

pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let stopping = (!shared.ready()).then(|| "the node is stopping".to_owned());
    answer(shared.broker.failed().or(stopping))
}

fn answer(reason: Option<String>) -> Response {
    match reason {
        None => Json(json!({ "status": "ok" })).into_response(),
        Some(reason) => {
            let body = Json(json!({ "status": "failed", "reason": reason }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}
