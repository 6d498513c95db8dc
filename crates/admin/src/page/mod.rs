//! The page for people: files of HTML, script, style and pictures, from the binary itself.
//!
//! Invariants
//! - Everything comes from this node; names that clients chose are shown as text, never as markup.
//! - A script runs only if it is a file of this table: `SECURITY_HEADERS` allows nothing else.
//! - A browser that has a file asks whether it is still the one, and gets it once per version.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ring::digest;

use crate::api::ApiError;
use crate::shared::Shared;

/// A file as it is served.
struct File {
    name: &'static str,
    content: &'static str,
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(File { name: $name, content: include_str!($name) }),*]
    };
}

/// What there is: the first two at the root, everything else below `/page/`.
const FILES: &[File] = files![
    "index.html",
    "icon.svg",
    "main.js",
    "routes.js",
    "lib/api.js",
    "lib/chart.js",
    "lib/dialog.js",
    "lib/dom.js",
    "lib/form.js",
    "lib/format.js",
    "lib/history.js",
    "lib/later.js",
    "lib/parts.js",
    "lib/picture.js",
    "lib/socket.js",
    "lib/table.js",
    "style/base.css",
    "style/fields.css",
    "style/narrow.css",
    "style/parts.css",
    "views/alarms.js",
    "views/audit.js",
    "views/bindings.js",
    "views/browser.js",
    "views/channels.js",
    "views/common.js",
    "views/connections.js",
    "views/dead_letters.js",
    "views/definitions.js",
    "views/exchange.js",
    "views/exchanges.js",
    "views/help.js",
    "views/leases.js",
    "views/limits.js",
    "views/log.js",
    "views/login.js",
    "views/message.js",
    "views/message_acts.js",
    "views/overview.js",
    "views/passport.js",
    "views/policies.js",
    "views/promise.js",
    "views/publish.js",
    "views/queue.js",
    "views/queue_acts.js",
    "views/queues.js",
    "views/replays.js",
    "views/settings.js",
    "views/standstill.js",
    "views/users.js",
    "views/vhosts.js",
    "views/waiting.js",
    "views/websocket.js",
];

/// One tag for all files, as they are made for each other.
static TAG: LazyLock<HeaderValue> = LazyLock::new(|| {
    let mut context = digest::Context::new(&digest::SHA256);
    for file in FILES {
        context.update(file.content.as_bytes());
    }
    let digest = context.finish();
    let digits: String = digest.as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    HeaderValue::from_str(&format!("\"{digits}\"")).expect("digits are a header value")
});

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(async |head: HeaderMap| serve("index.html", &head)))
        .route(
            "/icon.svg",
            get(async |head: HeaderMap| serve("icon.svg", &head)),
        )
        .route(
            "/page/{*name}",
            get(async |Path(name): Path<String>, head: HeaderMap| serve(&name, &head)),
        )
}

fn serve(name: &str, head: &HeaderMap) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return ApiError::NotFound.into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type(name))),
        (ETAG, TAG.clone()),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if head.get(IF_NONE_MATCH) == Some(&*TAG) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.content).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "image/svg+xml",
    }
}

#[cfg(test)]
mod tests;
