//! The management API, as RabbitMQ's clients call it: paths, log-in, and how refusals look.
//!
//! Invariants
//! - Field names are RabbitMQ's; a field is there only if its figure is known.
//! - What may take long for many objects runs on a thread of its own.

mod attempts;
mod bindings;
mod channels;
mod connections;
mod consumers;
mod dates;
mod declare;
mod definitions;
mod details;
mod exchanges;
mod features;
pub(crate) mod ferry;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
pub(crate) mod gate;
mod health;
mod limits;
mod list;
mod messages;
mod nodes;
mod overview;
mod parameters;
mod permissions;
mod policies;
mod queues;
mod users;
mod values;
mod vhost_changes;
mod vhosts;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use ferry_broker::{Broker, DefinitionError, DurableWaiter, ErrorKind, Promise, User, Vhost};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::auth::LoggedIn;
use crate::routes::not_found;
use crate::shared::Shared;
pub(crate) use definitions::{FILE_BYTES_MAX, takes_files};
use list::ListQuery;

/// Why a request was not answered.
pub(crate) enum ApiError {
    NotFound,
    /// The virtual host of what is to be changed.
    NoSuchVhost,
    /// The user that is to be changed, by name.
    NoSuchUser(String),
    BadRequest(String),
    /// The same, with the name of an error of its own.
    Refused {
        error: &'static str,
        reason: String,
    },
    /// The same, with a reason that is no text.
    BadRequestWith(Value),
    /// Something that the request names is not there.
    Missing(String),
    UnsupportedMediaType,
    /// What a user lacks to be allowed this.
    Unauthorised(&'static str),
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
            ApiError::NoSuchVhost => (
                StatusCode::NOT_FOUND,
                error_body("not_found", "vhost_not_found"),
            ),
            ApiError::NoSuchUser(name) => {
                let body = json!({ "error": "bad_request", "reason": ["no_such_user", name] });
                (StatusCode::BAD_REQUEST, Json(body))
            }
            ApiError::BadRequest(reason) => {
                (StatusCode::BAD_REQUEST, error_body("bad_request", &reason))
            }
            ApiError::Refused { error, reason } => {
                (StatusCode::BAD_REQUEST, error_body(error, &reason))
            }
            ApiError::BadRequestWith(reason) => {
                let body = json!({ "error": "bad_request", "reason": reason });
                (StatusCode::BAD_REQUEST, Json(body))
            }
            ApiError::Missing(reason) => (StatusCode::NOT_FOUND, error_body("not_found", &reason)),
            ApiError::Unauthorised(reason) => (
                StatusCode::UNAUTHORIZED,
                error_body("not_authorised", reason),
            ),
            ApiError::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                error_body("unsupported_media_type", "send application/json"),
            ),
            ApiError::Unhealthy(body) => (StatusCode::SERVICE_UNAVAILABLE, Json(body)),
            ApiError::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                error_body("internal_error", "the answer could not be made"),
            ),
        };
        (status, body).into_response()
    }
}

impl From<DefinitionError> for ApiError {
    fn from(error: DefinitionError) -> ApiError {
        match error.kind() {
            ErrorKind::NotFound => ApiError::NotFound,
            ErrorKind::AccessRefused
            | ErrorKind::ResourceLocked
            | ErrorKind::PreconditionFailed
            | ErrorKind::NotImplemented => ApiError::BadRequest(error.to_string()),
            ErrorKind::Internal => ApiError::Internal,
        }
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

/// What `list` finds in every virtual host that the user sees, as the query wants it.
async fn gather_all<T: list::Listed + 'static>(
    shared: Arc<Shared>,
    user: Arc<User>,
    query: ListQuery,
    list: fn(&Arc<Vhost>) -> Vec<T>,
) -> Shown {
    gather_list(shared, query, move |shared| {
        let seen = gate::vhosts_seen(shared, &user);
        Ok(seen.iter().flat_map(list).collect())
    })
    .await
}

/// What `list` finds in one virtual host, as the query wants it.
async fn gather_of_vhost<T: list::Listed + 'static>(
    shared: Arc<Shared>,
    query: ListQuery,
    vhost: String,
    list: fn(&Arc<Vhost>) -> Vec<T>,
) -> Shown {
    gather_list(shared, query, move |shared| {
        Ok(list(&vhosts::find(shared, &vhost)?))
    })
    .await
}

/// Wakes the request that waits for the disk.
struct Safe(Notify);

impl DurableWaiter for Safe {
    fn kept(&self) {
        self.0.notify_one();
    }
}

/// Changes something where it hurts nobody, and answers when the change is safe.
async fn change(
    shared: Arc<Shared>,
    make: impl FnOnce(&Shared) -> Result<(StatusCode, Promise), ApiError> + Send + 'static,
) -> Result<StatusCode, ApiError> {
    change_with(shared, make).await
}

/// The same with another answer.
async fn change_with<T: Send + 'static>(
    shared: Arc<Shared>,
    make: impl FnOnce(&Shared) -> Result<(T, Promise), ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let broker = Arc::clone(&shared.broker);
    let made = tokio::task::spawn_blocking(move || make(&shared));
    let (status, promise) = made.await.map_err(|_| ApiError::Internal)??;
    kept(&broker, promise).await;
    Ok(status)
}

/// Waits until a promise is kept.
async fn kept(broker: &Broker, promise: Promise) {
    let safe = Arc::new(Safe(Notify::new()));
    broker.when_kept(promise, safe.clone());
    safe.0.notified().await;
}

/// How a request is answered that made something, or changed what was there.
fn created(new: bool) -> StatusCode {
    match new {
        true => StatusCode::CREATED,
        false => StatusCode::NO_CONTENT,
    }
}

/// The paths below `/api`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/overview", get(overview::overview))
        .route("/vhosts", get(vhosts::all))
        .route("/vhosts/{vhost}", get(vhosts::one))
        .route("/queues", get(queues::all))
        .route("/queues/{vhost}", get(queues::of_vhost))
        .route("/queues/{vhost}/{queue}", get(queues::one))
        .route("/queues/{vhost}/{queue}/bindings", get(bindings::of_queue))
        .route("/queues/{vhost}/{queue}/contents", delete(queues::purge))
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
        .nest("/ferry", ferry::routes())
        .merge(declare::routes())
        .merge(messages::routes())
        .merge(nodes::routes())
        .merge(bindings::routes())
        .merge(connections::routes())
        .merge(channels::routes())
        .merge(consumers::routes())
        .merge(policies::routes())
        .merge(users::routes())
        .merge(permissions::routes())
        .merge(vhost_changes::routes())
        .merge(attempts::routes())
        .merge(limits::routes())
        .merge(health::routes())
        .merge(definitions::routes())
        .merge(parameters::routes())
        .merge(features::routes())
        .fallback(not_found)
}
