//! What a request says: names in its path, its query, its JSON body.
//!
//! Invariants
//! - What is not understood is refused and named; nothing that was asked for is passed over.
//! - A body that is to be read as JSON says that it is: a form of another page can not send one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Shared;
use super::problem::Problem;

/// Names in the path.
pub(super) struct At<T>(pub T);

/// The query.
pub(super) struct Params<T>(pub T);

/// The body, which is JSON.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Shared>> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<At<T>, Problem> {
        let path = Path::<T>::from_request_parts(parts, shared).await;
        let Path(names) = path.map_err(|error| Problem::bad(error.body_text()))?;
        Ok(At(names))
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<Shared>> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Shared>) -> Result<Params<T>, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        let Query(params) = query.map_err(|error| Problem::bad(error.body_text()))?;
        Ok(Params(params))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Body<T>, Problem> {
        check_json(
            request
                .headers()
                .get(CONTENT_TYPE)
                .map(|value| value.as_bytes()),
        )?;
        let bytes = Bytes::from_request(request, shared).await;
        let bytes = bytes.map_err(|error| {
            let reason = error.body_text();
            match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(reason),
                _ => Problem::bad(reason),
            }
        })?;
        from_json(&bytes).map(Body)
    }
}

/// Refuses a body that does not say that it is JSON.
pub(super) fn check_json(content_type: Option<&[u8]>) -> Result<(), Problem> {
    let media = content_type
        .unwrap_or_default()
        .split(|byte| *byte == b';')
        .next();
    let media = media.unwrap_or_default().trim_ascii();
    if media.eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "the body is JSON and says so: Content-Type: application/json",
    ))
}

/// Reads JSON; a refusal says where it is wrong.
pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad("the body is an object"));
    }
    serde_json::from_slice(bytes).map_err(|error| Problem::bad(format!("the body: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_json_says_so() {
        for (content_type, fits) in [
            (Some("application/json"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some(" application/json ;x"), true),
            (None, false),
            (Some(""), false),
            (Some("text/plain"), false),
            (Some("application/x-www-form-urlencoded"), false),
            (Some("application/jsonx"), false),
            (Some("text/plain; application/json"), false),
        ] {
            let found = check_json(content_type.map(str::as_bytes));
            assert_eq!(found.is_ok(), fits, "{content_type:?}");
        }
    }
}
