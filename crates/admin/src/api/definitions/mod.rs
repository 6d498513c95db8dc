//! Definitions: everything that is declared on a node, as one file in RabbitMQ's format.
//!
//! Invariants
//! - What is given out is complete and in an order of its own: exporting, importing into an empty
//!   node and exporting again gives the same.
//! - A file that is refused has changed nothing.
//! - What a file says and nothing here does is named as a warning, never passed over.

mod body;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod item;
mod read;
mod sections;
mod show;

pub(super) use show::{policy_value, values_of};

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ferry_broker::{ImportError, ParameterError};
use serde::Deserialize;
use serde_json::json;

use super::{ApiError, Context, Query, Shared, Shown, State, change, gather};
use crate::auth::LoggedIn;

/// Largest file, in bytes: as in RabbitMQ.
pub(crate) const FILE_BYTES_MAX: u64 = 20_000_000;

/// Whether the body of a request to that path may be a definitions file.
pub(crate) fn takes_files(path: &str) -> bool {
    let path = path.strip_prefix("/api").unwrap_or("");
    path.starts_with("/definitions") || path.starts_with("/ferry/definitions")
}

/// The paths of definitions.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/definitions", get(all).post(import_all))
        .route("/definitions/{vhost}", get(of_vhost).post(import_of_vhost))
        .route("/ferry/definitions/check", post(check))
        .layer(DefaultBodyLimit::max(FILE_BYTES_MAX as usize))
}

#[derive(Debug, Deserialize)]
struct Download {
    /// The name of the file that a browser is to make of the answer.
    download: Option<String>,
}

async fn all(State(shared): Context, Query(query): Query<Download>) -> Result<Response, ApiError> {
    let shown = gather(shared, |shared| Ok(show::all(shared))).await?;
    Ok(query.answer(shown))
}

async fn of_vhost(
    State(shared): Context,
    Path(vhost): Path<String>,
    Query(query): Query<Download>,
) -> Result<Response, ApiError> {
    let shown = gather(shared, move |shared| {
        let vhost = shared.broker.vhost(&vhost);
        // Who imports is told 404; who exports, this, as in RabbitMQ.
        let missing = || ApiError::BadRequest("vhost_not_found".to_owned());
        Ok(show::one(shared, &vhost.ok_or_else(missing)?))
    })
    .await?;
    Ok(query.answer(shown))
}

impl Download {
    fn answer(self, shown: Json<serde_json::Value>) -> Response {
        let mut response = shown.into_response();
        if let Some(name) = self.download {
            let name: String = name
                .chars()
                .filter(|char| char.is_ascii_graphic() && !matches!(char, '"' | '\\' | '/'))
                .collect();
            let value = match name.as_str() {
                "" => HeaderValue::from_str("attachment"),
                name => HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")),
            };
            let value = value.expect("no character is left that a header has not");
            response.headers_mut().insert(CONTENT_DISPOSITION, value);
        }
        response
    }
}

async fn import_all(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<StatusCode, ApiError> {
    let file = body::file(&headers, bytes)?;
    change(shared, move |shared| {
        let (import, warnings) = read::all(&shared.broker, &file)?;
        let promise = shared.broker.import(&import, &user.name)?;
        tell(&user.name, &warnings);
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

async fn import_of_vhost(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    Path(vhost): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<StatusCode, ApiError> {
    let file = body::file(&headers, bytes)?;
    change(shared, move |shared| {
        if shared.broker.vhost(&vhost).is_none() {
            return Err(ApiError::NoSuchVhost);
        }
        let (import, warnings) = read::of_vhost(&shared.broker, &file, &vhost)?;
        let promise = shared.broker.import(&import, &user.name)?;
        tell(&user.name, &warnings);
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

/// What an import would say, without one: 400 if it would be refused.
async fn check(State(shared): Context, headers: HeaderMap, bytes: Bytes) -> Shown {
    let file = body::file(&headers, bytes)?;
    gather(shared, move |shared| {
        let (import, warnings) = read::all(&shared.broker, &file)?;
        shared.broker.check_import(&import)?;
        Ok(json!({ "warnings": warnings }))
    })
    .await
}

fn tell(user: &str, warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("definitions: {warning}");
    }
    let user = user.escape_debug();
    tracing::info!(%user, warnings = warnings.len(), "definitions imported");
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> ApiError {
        match error.is_internal() {
            true => ApiError::Internal,
            false => ApiError::BadRequest(error.to_string()),
        }
    }
}

impl From<ParameterError> for ApiError {
    fn from(error: ParameterError) -> ApiError {
        match error {
            ParameterError::NotFound(_) => ApiError::NotFound,
            ParameterError::Invalid { .. } => ApiError::BadRequest(error.to_string()),
            ParameterError::Definition(_) => ApiError::Internal,
        }
    }
}
