//! Which path is answered by what, and what every answer carries.
//!
//! Invariants
//! - Every answer has the headers of `SECURITY_HEADERS`.
//! - A request takes at most `REQUEST_TIME_MAX`, and its body has at most `BODY_BYTES_MAX`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{self, CONTENT_LENGTH, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::api::error_body;
use crate::shared::Shared;
use crate::{api, health, metrics, page};

const BODY_BYTES_MAX: u64 = 1 << 20;
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/page.js", get(page::script))
        .route("/page.css", get(page::style))
        .route("/icon.svg", get(page::icon))
        .route("/metrics", get(metrics::whole))
        .route("/metrics/per-object", get(metrics::per_object))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .nest("/api", api::routes())
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX as usize))
        .layer(middleware::from_fn(limits))
        .with_state(shared)
}

pub(crate) async fn not_found() -> Response {
    let body = error_body("Object Not Found", "Not Found");
    (StatusCode::NOT_FOUND, body).into_response()
}

async fn limits(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some(refusal) => refusal,
        None => match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let body = error_body("timeout", "the answer took too long");
                (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
            }
        },
    };
    for (name, value) in SECURITY_HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// An announced length is refused before anything is read; who reads a body reads no more than
/// that, and the server cuts what nobody reads.
fn refusal(request: &Request) -> Option<Response> {
    let length = request.headers().get(CONTENT_LENGTH)?.to_str().ok()?;
    let fits = length
        .parse::<u64>()
        .is_ok_and(|bytes| bytes <= BODY_BYTES_MAX);
    if fits {
        return None;
    }
    let reason = format!("a body may have {BODY_BYTES_MAX} bytes");
    let body = error_body("payload_too_large", &reason);
    Some((StatusCode::PAYLOAD_TOO_LARGE, body).into_response())
}
