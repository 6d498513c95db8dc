//! Whether this node is alive, whether clients should be sent here, and whether it does its work;
//! for probes.
//!
//! Invariants
//! - Alive: the log can still store. Ready: alive, and accepting connections.
//! - An alarm is no reason to be unready: consumers are what ends it.
//! - The deep check writes to the disk: it runs once at a time, and its result is kept for
//!   `DEEP_REST`, so that who asks more often costs nothing more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::shared::Shared;

/// How long a deep check may take.
const DEEP_TIME_MAX: Duration = Duration::from_secs(10);
/// How long its result is good for.
const DEEP_REST: Duration = Duration::from_secs(5);

pub(crate) async fn live(State(shared): State<Arc<Shared>>) -> Response {
    answer(shared.broker.failed())
}

pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let stopping = (!shared.ready()).then(|| "the node is stopping".to_owned());
    answer(shared.broker.failed().or(stopping))
}

/// Nothing is listened on before the start is over, so whoever gets an answer knows that it is.
pub(crate) async fn startup() -> Response {
    answer(None)
}

fn answer(reason: Option<String>) -> Response {
    match reason {
        None => Json(json!({ "status": "ok" })).into_response(),
        Some(reason) => failed(json!({ "status": "failed", "reason": reason })),
    }
}

fn failed(body: Value) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

/// What the last deep check found; locked while one runs.
#[derive(Default)]
pub(crate) struct DeepChecks(Mutex<Option<Found>>);

#[derive(Clone)]
struct Found {
    at: Instant,
    /// The figures, or why it failed.
    result: Result<Value, String>,
}

/// Really publishes, syncs and consumes.
pub(crate) async fn deep(State(shared): State<Arc<Shared>>) -> Response {
    // A check that was begun is ended and kept, also when who asked for it has gone.
    let Ok(found) = tokio::spawn(checked(shared)).await else {
        return answer(Some("the check ended in a panic".to_owned()));
    };
    let age_ms = found.at.elapsed().as_millis() as u64;
    match found.result {
        Ok(mut body) => {
            body["age_ms"] = json!(age_ms);
            Json(body).into_response()
        }
        Err(reason) => failed(json!({ "status": "failed", "reason": reason, "age_ms": age_ms })),
    }
}

async fn checked(shared: Arc<Shared>) -> Found {
    let mut last = shared.checked.0.lock().await;
    match &*last {
        Some(found) if found.at.elapsed() < DEEP_REST => found.clone(),
        _ => {
            let found = check(&shared).await;
            last.insert(found).clone()
        }
    }
}

async fn check(shared: &Shared) -> Found {
    let broker = Arc::clone(&shared.broker);
    let checked = tokio::task::spawn_blocking(move || broker.check_itself(DEEP_TIME_MAX)).await;
    let result = match checked {
        Ok(Ok(check)) => Ok(json!({
            "status": "ok",
            "confirm_ms": check.confirmed_in.as_secs_f64() * 1e3,
            "took_ms": check.took.as_secs_f64() * 1e3,
        })),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the check ended in a panic".to_owned()),
    };
    if let Err(reason) = &result {
        tracing::error!(reason, "the node can not do its work");
    }
    Found {
        at: Instant::now(),
        result,
    }
}
