//! The pages that Prometheus reads: the node as a whole, and queue by queue.
//!
//! Invariants
//! - A name of RabbitMQ's is used only for what it means there; what is our own begins with
//!   `ferrymq_`.
//! - A family is written once, with all its samples together.

mod node;
mod rules;
mod text;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use ferry_broker::QueueHandle;

use crate::api::error_body;
use crate::shared::Shared;
use text::{Family, Text};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn whole(State(shared): State<Arc<Shared>>) -> Response {
    page(shared, |shared, text| {
        node::write(shared, text);
        let totals = shared.totals();
        let bytes = totals.ready_bytes;
        for (family, value) in [
            (READY, totals.ready),
            (UNACKED, totals.unsettled),
            (MESSAGES, totals.ready + totals.unsettled),
            (READY_BYTES, bytes),
            (DELAYED, totals.delayed),
            (DEAD_LETTERS_PENDING, totals.dead_letters_pending),
        ] {
            text.gauge(family, value as f64);
        }
    })
    .await
}

pub(crate) async fn per_object(State(shared): State<Arc<Shared>>) -> Response {
    page(shared, |shared, text| {
        node::write(shared, text);
        queues(shared, text);
    })
    .await
}

const READY: Family = Family(
    "rabbitmq_queue_messages_ready",
    "Messages ready to be delivered to consumers",
);
const UNACKED: Family = Family(
    "rabbitmq_queue_messages_unacked",
    "Messages delivered and not yet acknowledged",
);
const MESSAGES: Family = Family(
    "rabbitmq_queue_messages",
    "Messages ready and unacknowledged",
);
const READY_BYTES: Family = Family(
    "rabbitmq_queue_messages_ready_bytes",
    "Bytes of the bodies of ready messages",
);
const DELAYED: Family = Family(
    "ferrymq_messages_delayed",
    "Messages that wait for their time, a retry's wait included",
);
const DEAD_LETTERS_PENDING: Family = Family(
    "ferrymq_messages_dead_letter_pending",
    "Dead letters kept because they can not arrive where they go",
);
const CONSUMERS: Family = Family("rabbitmq_queue_consumers", "Consumers on a queue");

/// What is shown of a queue.
type Figure = fn(&QueueHandle) -> u64;

fn queues(shared: &Shared, text: &mut Text) {
    let queues: Vec<Arc<QueueHandle>> = shared
        .broker
        .vhosts()
        .iter()
        .flat_map(|vhost| vhost.queues())
        .collect();
    let families: [(Family, Figure); 7] = [
        (READY, |queue| queue.ready()),
        (UNACKED, |queue| queue.unsettled()),
        (MESSAGES, |queue| queue.ready() + queue.unsettled()),
        (READY_BYTES, |queue| queue.ready_bytes()),
        (DELAYED, |queue| queue.delayed()),
        (DEAD_LETTERS_PENDING, |queue| queue.dead_letters_pending()),
        (CONSUMERS, |queue| u64::from(queue.consumers())),
    ];
    for (family, value) in families {
        text.open(family, "gauge");
        for queue in &queues {
            let labels = [("vhost", queue.vhost()), ("queue", queue.name())];
            text.sample(family, &labels, value(queue) as f64);
        }
    }
}

/// Counting may take a while with many queues: it has a thread of its own.
async fn page(
    shared: Arc<Shared>,
    write: impl FnOnce(&Shared, &mut Text) + Send + 'static,
) -> Response {
    let written = tokio::task::spawn_blocking(move || {
        let mut text = Text::default();
        write(&shared, &mut text);
        text.finish()
    });
    match written.await {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(_) => {
            let body = error_body("internal_error", "the metrics could not be gathered");
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}
