//! Why a request was refused: a status, a word for programs and a sentence for people.
//!
//! Invariants
//! - Every refusal has the form `{"error", "reason"}`; one that is worth trying again soon says
//!   when in `Retry-After`.
//! - No `_` arm: a new refusal of the broker has to be given its status here.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ferry_broker::{
    BlockReason, ConsumeError, DefinitionError, ErrorKind, Hold, InvalidRef, OperateError,
    PropertyError, PublishError,
};
use ferry_core::Millis;
use serde_json::json;

/// How long a publisher waits that is held by an alarm, in milliseconds.
const ALARM_RETRY_MS: u64 = 2_000;

/// A refusal.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    error: &'static str,
    reason: String,
    retry_after_ms: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, error: &'static str, reason: impl Into<String>) -> Problem {
        Problem {
            status,
            error,
            reason: reason.into(),
            retry_after_ms: None,
        }
    }

    pub fn bad(reason: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    pub fn not_found(reason: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", reason)
    }

    pub fn forbidden(reason: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "access_refused", reason)
    }

    pub fn conflict(error: &'static str, reason: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, error, reason)
    }

    pub fn too_large(reason: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", reason)
    }

    pub fn internal(reason: impl Into<String>) -> Problem {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "internal_error", reason)
    }

    pub fn unavailable(reason: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason)
    }

    /// Come again after so many milliseconds.
    pub fn later(error: &'static str, reason: impl Into<String>, retry_after_ms: u64) -> Problem {
        Problem {
            retry_after_ms: Some(retry_after_ms),
            ..Problem::new(StatusCode::TOO_MANY_REQUESTS, error, reason)
        }
    }

    /// An alarm holds publishers.
    pub fn held(by: BlockReason) -> Problem {
        let what = match by {
            BlockReason::Memory => "messages take more memory than they may",
            BlockReason::Disk => "the disk has too little free space",
        };
        let reason = format!("publishers are held: {what}");
        Problem::later("publishers_held", reason, ALARM_RETRY_MS)
    }

    /// A rate holds this publisher.
    pub fn limited(hold: &Hold, now: Millis) -> Problem {
        let wait_ms = hold.resumes_at.saturating_sub(now);
        let reason = format!("{} is reached", hold.reason());
        Problem::later("rate_limited", reason, wait_ms)
    }

    /// The same, found at a part of the request.
    #[must_use]
    pub fn at(self, place: &str) -> Problem {
        let reason = format!("{place}: {}", self.reason);
        Problem { reason, ..self }
    }

    #[cfg(test)]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem {
            status,
            error,
            reason,
            retry_after_ms,
        } = self;
        let mut body = json!({ "error": error, "reason": reason });
        if let Some(wait_ms) = retry_after_ms {
            body["retry_after_ms"] = json!(wait_ms);
        }
        let mut response = (status, Json(body)).into_response();
        if let Some(wait_ms) = retry_after_ms {
            let seconds = HeaderValue::from(wait_ms.div_ceil(1000).max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Problem {
        let reason = error.to_string();
        match error {
            OperateError::NoSuchQueue { .. }
            | OperateError::NoSuchExchange { .. }
            | OperateError::NotFound
            | OperateError::NoSuchJob => Problem::not_found(reason),
            OperateError::Leased => Problem::conflict("leased", reason),
            OperateError::NotDelayed => Problem::conflict("not_delayed", reason),
            OperateError::NotLeased => Problem::conflict("not_leased", reason),
            OperateError::Stream => Problem::conflict("stream", reason),
            OperateError::NotRouted => Problem::conflict("not_routed", reason),
            OperateError::NoOrigin => Problem::conflict("no_origin", reason),
            OperateError::Refused(_) => Problem::conflict("queue_full", reason),
            OperateError::NotAllowed(_) => Problem::forbidden(reason),
            OperateError::UnknownFormat(_) => Problem::conflict("unknown_format", reason),
            OperateError::OutOfRange { .. } => Problem::bad(reason),
            OperateError::TooMany { .. } => Problem::later("too_many", reason, ALARM_RETRY_MS),
            OperateError::Unreadable(_) | OperateError::Log(_) => Problem::internal(reason),
        }
    }
}

impl From<DefinitionError> for Problem {
    fn from(error: DefinitionError) -> Problem {
        let reason = error.to_string();
        match error.kind() {
            ErrorKind::NotFound => Problem::not_found(reason),
            ErrorKind::AccessRefused => Problem::forbidden(reason),
            ErrorKind::ResourceLocked => Problem::conflict("resource_locked", reason),
            ErrorKind::PreconditionFailed | ErrorKind::NotImplemented => Problem::bad(reason),
            ErrorKind::Internal => Problem::internal(reason),
        }
    }
}

impl From<ConsumeError> for Problem {
    fn from(error: ConsumeError) -> Problem {
        let reason = error.to_string();
        match error {
            ConsumeError::ExclusiveUse { .. } => Problem::conflict("exclusive_use", reason),
            ConsumeError::NoPrefetch { .. } | ConsumeError::NoRoom(_) => Problem::bad(reason),
            ConsumeError::NotForStreams { .. } => Problem::conflict("stream", reason),
            ConsumeError::Gone { .. } => Problem::not_found(reason),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Problem {
        let reason = error.to_string();
        match error {
            PublishError::ExchangeNotFound(_) => Problem::not_found(reason),
            PublishError::ExchangeInternal { .. } | PublishError::AccessRefused(_) => {
                Problem::forbidden(reason)
            }
            PublishError::RuleBroken(_) => Problem::conflict("rule_broken", reason),
        }
    }
}

impl From<PropertyError> for Problem {
    fn from(error: PropertyError) -> Problem {
        Problem::bad(error.to_string())
    }
}

impl From<InvalidRef> for Problem {
    fn from(error: InvalidRef) -> Problem {
        Problem::bad(error.to_string())
    }
}
