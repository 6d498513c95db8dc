//! What RabbitMQ's management API does not have: paths below `/api/ferry`.
//!
//! Invariants
//! - A field is there only if its figure is known, as in the rest of the API.

mod passport;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::{ApiError, Context, LoggedIn, Shared, State, error_body, gather, vhosts};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/passport/{vhost}/{*message_id}", get(passport::one))
}
