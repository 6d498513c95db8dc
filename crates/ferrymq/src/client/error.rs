//! Why a request to a node came to nothing, and what to do about it.
//!
//! Invariants
//! - No text has a password in it; what the node said is escaped for a terminal.

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use serde_json::Value;

use super::Answer;
use crate::show::escape;

/// The longest reason that is repeated, in characters.
const REASON_CHARS_MAX: usize = 2_000;

/// A request that came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(
        "{node} can not be reached: {why}\n\
         Start a node with `ferrymq serve`, or say with --node where one is."
    )]
    Unreachable { node: String, why: String },
    #[error("{node} did not answer within {seconds} s (--timeout-s)")]
    Silent { node: String, seconds: u64 },
    #[error("the answer of the node is not understood: {why}")]
    NotUnderstood { why: String },
    #[error(
        "{node} does not let user {user} in: {reason}\n\
         Say who you are with --user, and the password with --password-file or FERRYMQ_PASSWORD."
    )]
    LoginRefused {
        node: String,
        user: String,
        reason: String,
    },
    #[error("not allowed: {0}")]
    Forbidden(String),
    #[error("{text}")]
    NotFound {
        text: String,
        /// Whether the node said what it is that is not there.
        is_told: bool,
    },
    #[error("refused: {reason}")]
    Refused { status: u16, reason: String },
    #[error("held back, try again{}: {reason}", after(.retry_after_s))]
    Held {
        retry_after_s: Option<u64>,
        reason: String,
    },
    #[error("the node failed ({status}): {reason}")]
    Failed { status: u16, reason: String },
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    System(String),
}

impl ClientError {
    /// Something is not there.
    pub fn not_found(text: String) -> ClientError {
        let is_told = true;
        ClientError::NotFound { text, is_told }
    }

    /// Names what was looked for, where the node only says that it is not there.
    pub fn named(self, what: &str, name: &str) -> ClientError {
        match self {
            ClientError::NotFound { is_told: false, .. } => {
                ClientError::not_found(format!("there is no {what} {}", escape(name)))
            }
            other => other,
        }
    }
}

fn after(seconds: &Option<u64>) -> String {
    seconds.map_or(String::new(), |seconds| format!(" in {seconds} s"))
}

/// What a refusal means.
pub(super) fn of_answer(answer: &Answer, node: String, user: &str, path: &str) -> ClientError {
    let reason = reason(answer);
    let status = answer.status.as_u16();
    match answer.status {
        // As RabbitMQ says that a user who is in may not do that.
        StatusCode::UNAUTHORIZED if reason.starts_with("Not ") && reason.ends_with(" user") => {
            ClientError::Forbidden(reason)
        }
        StatusCode::UNAUTHORIZED => ClientError::LoginRefused {
            node,
            user: escape(user).into_owned(),
            reason,
        },
        StatusCode::FORBIDDEN => ClientError::Forbidden(reason),
        StatusCode::NOT_FOUND => {
            let path = path.split('?').next().unwrap_or(path);
            let is_told = !matches!(reason.as_str(), "" | "Not Found");
            let text = match is_told {
                true => format!("not found: {reason} ({path})"),
                false => format!("not found: {path}"),
            };
            ClientError::NotFound { text, is_told }
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let after = answer.headers.get(RETRY_AFTER);
            let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
            ClientError::Held {
                retry_after_s: after,
                reason,
            }
        }
        other if other.is_client_error() => ClientError::Refused { status, reason },
        _ => ClientError::Failed { status, reason },
    }
}

/// The reason in a refusal's body, else its body, else its status.
fn reason(answer: &Answer) -> String {
    let text = match answer.json() {
        Ok(Value::Object(body)) => match body.get("reason").or_else(|| body.get("error")) {
            Some(Value::String(reason)) => reason.clone(),
            Some(other) => other.to_string(),
            None => Value::Object(body).to_string(),
        },
        _ => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    let text = text.trim();
    if text.is_empty() {
        return answer.status.to_string();
    }
    let short: String = text.chars().take(REASON_CHARS_MAX).collect();
    escape(&short).into_owned()
}
