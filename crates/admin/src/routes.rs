//! Which path is answered by what, and what every answer carries.
//!
//! Invariants
//! - Every answer has the headers of `SECURITY_HEADERS`.
//! - A request takes at most `REQUEST_TIME_MAX`, and its body has at most `BODY_BYTES_MAX`, unless
//!   its path has its own bounds.
//! - Nothing is changed for a page of another origin.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{self, CONTENT_LENGTH, HeaderName};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::api::error_body;
use crate::api::ferry::bounds::{self, Bounds};
use crate::api::ferry::{audit, origin};
use crate::shared::Shared;
use crate::{api, health, metrics, page, websocket};

const BODY_BYTES_MAX: u64 = 1 << 20;
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

const SECURITY_HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
];

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let gate = middleware::from_fn_with_state(Arc::clone(&shared), api::gate::pass);
    Router::new()
        .merge(page::routes())
        .merge(websocket::routes())
        .nest("/api", api::routes().route_layer(gate))
        .merge(observed())
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX as usize))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&shared),
            audit::note,
        ))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), limits))
        .with_state(shared)
}

/// The door that has nothing but metrics and health.
pub(crate) fn metrics_router(shared: Arc<Shared>) -> Router {
    observed()
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), limits))
        .with_state(shared)
}

/// What is told to everybody.
fn observed() -> Router<Arc<Shared>> {
    Router::new()
        .route("/metrics", get(metrics::whole))
        .route("/metrics/per-object", get(metrics::per_object))
        .route("/metrics/detailed", get(metrics::detailed))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/startup", get(health::startup))
        .route("/health/deep", get(health::deep))
}

/// The same path without a slash behind its last name: clients of RabbitMQ's API may end so.
pub(crate) fn without_last_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/')?;
    if !path.starts_with("/api/") || path.ends_with('/') {
        return None;
    }
    match uri.query() {
        None => path.parse().ok(),
        Some(query) => format!("{path}?{query}").parse().ok(),
    }
}

pub(crate) async fn not_found() -> Response {
    let body = error_body("Object Not Found", "Not Found");
    (StatusCode::NOT_FOUND, body).into_response()
}

async fn limits(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let usual = Bounds {
        time: REQUEST_TIME_MAX,
        body_bytes: match api::takes_files(path) {
            true => api::FILE_BYTES_MAX,
            false => BODY_BYTES_MAX,
        },
    };
    let bounds = bounds::of(path, usual, shared.node.message_bytes_max);
    let mut response = match refusal(&request, &bounds) {
        Some(refusal) => refusal,
        None => match tokio::time::timeout(bounds.time, next.run(request)).await {
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
    // Nobody keeps an answer that does not say how.
    let caching = response.headers_mut().entry(header::CACHE_CONTROL);
    caching.or_insert(HeaderValue::from_static("no-store"));
    response
}

/// An announced length is refused before anything is read; who reads a body reads no more than
/// that, and the server cuts what nobody reads.
fn refusal(request: &Request, bounds: &Bounds) -> Option<Response> {
    if origin::is_foreign(request.method(), request.headers()) {
        let body = error_body(
            "foreign_origin",
            "another page may not change anything here",
        );
        return Some((StatusCode::FORBIDDEN, body).into_response());
    }
    let length = request.headers().get(CONTENT_LENGTH)?.to_str().ok()?;
    let fits = length
        .parse::<u64>()
        .is_ok_and(|bytes| bytes <= bounds.body_bytes);
    if fits {
        return None;
    }
    let reason = format!("a body may have {} bytes", bounds.body_bytes);
    let body = error_body("payload_too_large", &reason);
    Some((StatusCode::PAYLOAD_TOO_LARGE, body).into_response())
}
