//! The management API, as RabbitMQ's clients call it: paths, log-in, and how refusals look.
//!
//! Invariants
//! - Field names are RabbitMQ's; a field is there only if its figure is known.
//! - What may take long for many objects runs on a thread of its own.

mod bindings;
mod connections;
mod exchanges;
mod health;
mod list;
mod overview;
mod queues;
mod values;
mod vhosts;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::auth::LoggedIn;
use crate::routes::not_found;
use crate::shared::Shared;
use list::ListQuery;

/// Why a request was not answered.
pub(crate) enum ApiError {
    NotFound,
    BadRequest(String),
    /// A health check that says no, with its whole body.
    Unhealthy(Value),
    Internal,
}

pub(crate) type Answer = Result<Value, ApiError>;

/// The body of a refusal.
pub(crate) fn error_body(error: &str, reason: &str) -> Json<Value> {
    Json(json!({ "error": error, "reason": reason }))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            ApiError::NotFound => (
                StatusCode::NOT_FOUND,
                error_body("Object Not Found", "Not Found"),
            ),
            ApiError::BadRequest(reason) => {
                (StatusCode::BAD_REQUEST, error_body("bad_request", &reason))
            }
            ApiError::Unhealthy(body) => (StatusCode::SERVICE_UNAVAILABLE, Json(body)),
            ApiError::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                error_body("internal_error", "the answer could not be made"),
            ),
        };
        (status, body).into_response()
    }
}

type Shown = Result<Json<Value>, ApiError>;
type Context = State<Arc<Shared>>;

/// Gathers an answer where it hurts nobody.
async fn gather(
    shared: Arc<Shared>,
    make: impl FnOnce(&Shared) -> Answer + Send + 'static,
) -> Shown {
    let made = tokio::task::spawn_blocking(move || make(&shared));
    made.await.map_err(|_| ApiError::Internal)?.map(Json)
}

/// The same for a list, as the query wants it.
async fn gather_list<T: list::Listed + 'static>(
    shared: Arc<Shared>,
    query: ListQuery,
    find: impl FnOnce(&Shared) -> Result<Vec<T>, ApiError> + Send + 'static,
) -> Shown {
    gather(shared, move |shared| {
        list::present(find(shared)?, &query, shared)
    })
    .await
}

/// The paths below `/api`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/overview", get(overview::overview))
        .route("/cluster-name", get(overview::cluster_name))
        .route("/nodes", get(overview::nodes))
        .route("/nodes/{node}", get(overview::node))
        .route("/whoami", get(whoami))
        .route("/vhosts", get(vhosts::all))
        .route("/vhosts/{vhost}", get(vhosts::one))
        .route("/queues", get(queues::all))
        .route("/queues/{vhost}", get(queues::of_vhost))
        .route("/queues/{vhost}/{queue}", get(queues::one))
        .route("/queues/{vhost}/{queue}/bindings", get(bindings::of_queue))
        .route("/exchanges", get(exchanges::all))
        .route("/exchanges/{vhost}", get(exchanges::of_vhost))
        .route("/exchanges/{vhost}/{exchange}", get(exchanges::one))
        .route(
            "/exchanges/{vhost}/{exchange}/bindings/source",
            get(bindings::from_exchange),
        )
        .route(
            "/exchanges/{vhost}/{exchange}/bindings/destination",
            get(bindings::to_exchange),
        )
        .route("/bindings", get(bindings::all))
        .route("/bindings/{vhost}", get(bindings::of_vhost))
        .route(
            "/bindings/{vhost}/e/{source}/q/{queue}",
            get(bindings::between_queue),
        )
        .route(
            "/bindings/{vhost}/e/{source}/e/{exchange}",
            get(bindings::between_exchanges),
        )
        .route("/connections", get(connections::all))
        .route("/connections/{name}", get(connections::one))
        .merge(health::routes())
        .fallback(not_found)
}

async fn whoami(LoggedIn(user): LoggedIn) -> Json<Value> {
    Json(json!({
        "name": user.name,
        "tags": ["administrator"],
        "is_internal_user": true,
    }))
}
