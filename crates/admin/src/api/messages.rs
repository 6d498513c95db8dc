//! Publishing and getting messages, the way RabbitMQ's page does it.
//!
//! Invariants
//! - `routed` is answered once the message is as safe as a confirm would promise.
//! - What is got and goes back is leased meanwhile, and goes back when all has been got.
//! - One answer holds a bounded number of messages and bytes.

mod get;
mod publish;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use ferry_core::arguments::Arguments;

use super::{ApiError, Shared};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/queues/{vhost}/{queue}/get", post(get::get))
        .route(
            "/exchanges/{vhost}/{exchange}/publish",
            post(publish::publish),
        )
}

/// Refuses a body that lacks one of these.
fn require(body: &Arguments, names: &[&str]) -> Result<(), ApiError> {
    let missing = names.iter().filter(|name| body.get(name).is_none());
    let missing: Vec<String> = missing
        .map(|name| format!("{{key_missing,{name}}}"))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ApiError::BadRequest(format!("[{}]", missing.join(",")))),
    }
}
