//! The pages that Prometheus reads: the node as a whole, and object by object.
//!
//! `/metrics` has sums, `/metrics/per-object` every queue in their place, `/metrics/detailed` only
//! the families that are asked for, as in RabbitMQ's Prometheus plug-in.
//!
//! Invariants
//! - A name of RabbitMQ's is used only for what it means there; what is our own begins with
//!   `ferrymq_`.
//! - A family is written once, with all its samples together.
//! - `/metrics` walks over the queues at most once a second if that takes long; the other two are
//!   sent while they are written.

mod accept;
mod detailed;
mod global;
mod node;
mod own;
mod queues;
mod stream;
mod text;
mod times;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::error_body;
use crate::shared::Shared;
use detailed::Wanted;
use text::{Format, Text};

pub(crate) async fn whole(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let format = accept::format(&headers);
    let written = tokio::task::spawn_blocking(move || {
        let mut text = Text::whole(format);
        let totals = shared.totals();
        node::identity(&shared, "aggregated", &mut text);
        node::write(&shared, &totals, &mut text);
        queues::write_totals(&totals, &mut text);
        text.finish()
    });
    match written.await {
        Ok(text) => answer(format, text),
        Err(_) => {
            let body = error_body("internal_error", "the metrics could not be gathered");
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}

pub(crate) async fn per_object(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    streamed(accept::format(&headers), move |text| {
        node::identity(&shared, "per-object", text);
        node::write(&shared, &shared.totals(), text);
        queues::write_each(&queues::of(&shared, &[]), text);
    })
}

pub(crate) async fn detailed(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let wanted = Wanted::of(query);
    streamed(accept::format(&headers), move |text| {
        node::identity(&shared, "detailed", text);
        detailed::write(&shared, &wanted, text);
    })
}

/// A page that is written on a thread of its own while it is sent.
fn streamed(format: Format, write: impl FnOnce(&mut Text) + Send + 'static) -> Response {
    let (sender, body) = stream::body();
    tokio::task::spawn_blocking(move || {
        let mut text = Text::streamed(format, sender);
        write(&mut text);
        text.finish();
    });
    answer(format, body)
}

fn answer(format: Format, body: impl IntoResponse) -> Response {
    ([(CONTENT_TYPE, format.content_type())], body).into_response()
}
