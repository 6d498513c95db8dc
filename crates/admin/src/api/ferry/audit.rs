//! Who changed what by HTTP: the last acts, in memory.
//!
//! Invariants
//! - At most `ACTS_MAX` acts are kept; the newest are.
//! - What applications do with messages is no act: it would push out all others.
//! - Nothing of a password, a query or a body is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use ferry_auth::Whence;
use ferry_core::Millis;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::data::DATA_PLANE;
use super::extract::Params;
use super::problem::Problem;
use super::{Context, Shared};
use crate::auth::claimed_user;

/// Acts that are kept.
const ACTS_MAX: usize = 1000;

/// Longest name or path that is kept, in characters.
const TEXT_CHARS_MAX: usize = 512;

/// Something that was asked for by HTTP.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Act {
    /// When, in milliseconds since the Unix epoch.
    at: Millis,
    /// Who, as the request said; whether that was right the status tells.
    user: Option<String>,
    /// From where.
    address: Option<String>,
    method: String,
    path: String,
    /// What was answered.
    status: u16,
}

/// The last acts, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Audit(Mutex<VecDeque<Act>>);

impl Audit {
    fn add(&self, act: Act) {
        let mut acts = self.0.lock();
        if acts.len() >= ACTS_MAX {
            acts.pop_front();
        }
        acts.push_back(act);
    }

    fn newest(&self, count: usize) -> Vec<Act> {
        self.0.lock().iter().rev().take(count).cloned().collect()
    }
}

fn is_act(method: &Method, path: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let ours = path.strip_prefix("/api/ferry/");
    let first = ours.and_then(|rest| rest.split('/').next());
    path.starts_with("/api/") && first.is_none_or(|first| !DATA_PLANE.contains(&first))
}

fn clipped(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// Notes acts on their way out.
pub(crate) async fn note(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    if !is_act(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let whence = request.extensions().get::<Whence>();
    let mut act = Act {
        at: shared.broker.now(),
        user: claimed_user(request.headers()).map(|user| clipped(&user)),
        address: whence.map(|whence| whence.peer.to_string()),
        method: request.method().to_string(),
        path: clipped(request.uri().path()),
        status: 0,
    };
    let response = next.run(request).await;
    act.status = response.status().as_u16();
    shared.audit.add(act);
    response
}

/// How many are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// At most so many, 100 if nothing is said.
    limit: Option<usize>,
}

/// Who changed what by HTTP, the newest first; kept in memory, so the last 1,000 since the start.
#[utoipa::path(get, path = "/api/ferry/audit", tag = "node", params(AuditQuery),
    responses((status = 200, body = Vec<Act>)))]
pub(super) async fn list(
    State(shared): Context,
    Params(query): Params<AuditQuery>,
) -> Result<Json<Vec<Act>>, Problem> {
    let limit = query.limit.unwrap_or(100).min(ACTS_MAX);
    Ok(Json(shared.audit.newest(limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_acts_and_what_applications_do_is_none() {
        for (method, path, expected) in [
            (Method::PUT, "/api/queues/%2F/q", true),
            (Method::DELETE, "/api/ferry/queues/%2F/q/messages/01", true),
            (Method::POST, "/api/ferry/queues/%2F/q/replay", true),
            (Method::POST, "/api/ferry/publish/%2F/amq.topic", false),
            (Method::POST, "/api/ferry/lease/%2F/q", false),
            (Method::GET, "/api/queues", false),
            (Method::POST, "/", false),
        ] {
            assert_eq!(is_act(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn the_newest_are_kept() {
        let audit = Audit::default();
        for at in 0..ACTS_MAX as u64 + 5 {
            audit.add(Act {
                at,
                user: None,
                address: None,
                method: "PUT".to_owned(),
                path: clipped(&"x".repeat(2000)),
                status: 204,
            });
        }
        let newest = audit.newest(usize::MAX);
        assert_eq!(
            (newest.len(), newest[0].at),
            (ACTS_MAX, ACTS_MAX as u64 + 4)
        );
        assert_eq!(
            (newest[ACTS_MAX - 1].at, newest[0].path.len()),
            (5, TEXT_CHARS_MAX)
        );
        assert_eq!(audit.newest(2).len(), 2);
    }
}
