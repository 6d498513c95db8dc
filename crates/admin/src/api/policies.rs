//! Policies: all, of a virtual host, or one; set and cleared.
//!
//! Invariants
//! - A change is answered when it is safe on the disk.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use ferry_broker::{ApplyTo, Policy, PolicyError, PolicySet, Promise};
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    Answer, ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, change, gather,
    gather_all, gather_of_vhost, values, vhosts,
};

pub(super) async fn all(_: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_all(shared, query.0, |vhost| vhost.policies()).await
}

pub(super) async fn of_vhost(
    _: LoggedIn,
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_of_vhost(shared, query.0, vhost, |vhost| vhost.policies()).await
}

pub(super) async fn one(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
) -> Shown {
    gather(shared, move |shared| {
        show_one(&vhosts::find(shared, &vhost)?.policies(), &name, shared)
    })
    .await
}

pub(super) async fn put(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let policy = read(shared, &vhost, &name, &body)?;
        Ok(answer(shared.broker.set_policy(policy)?))
    })
    .await
}

pub(super) async fn delete(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let promise = shared.broker.clear_policy(&vhost, &name)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

/// The policy of that name.
pub(super) fn show_one(policies: &[Arc<Policy>], name: &str, shared: &Shared) -> Answer {
    let found = policies.iter().find(|policy| policy.name == name);
    found
        .map(|policy| policy.show(shared))
        .ok_or(ApiError::NotFound)
}

/// The policy that a request asks for.
pub(super) fn read(
    shared: &Shared,
    vhost: &str,
    name: &str,
    body: &[u8],
) -> Result<Policy, ApiError> {
    if shared.broker.vhost(vhost).is_none() {
        return Err(ApiError::NoSuchVhost);
    }
    Ok(Policy::read(vhost, name, &values::body(body)?)?)
}

/// What a policy that was set is answered with, and when.
pub(super) fn answer(set: PolicySet) -> (StatusCode, Promise) {
    let status = match set.created {
        true => StatusCode::CREATED,
        false => StatusCode::NO_CONTENT,
    };
    (status, set.durable_at)
}

impl From<PolicyError> for ApiError {
    fn from(error: PolicyError) -> ApiError {
        match error {
            PolicyError::NoSuchVhost(_) | PolicyError::NotFound { .. } => ApiError::NotFound,
            PolicyError::Missing(_) | PolicyError::Invalid(_) | PolicyError::TooMany => {
                ApiError::BadRequest(error.to_string())
            }
            PolicyError::Definition(_) => ApiError::Internal,
        }
    }
}

impl Listed for Arc<Policy> {
    fn name(&self) -> &str {
        &self.name
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(match field {
            "name" => SortKey::Text(&self.name),
            "vhost" => SortKey::Text(&self.vhost),
            "pattern" => SortKey::Text(&self.pattern),
            "apply-to" => SortKey::Text(ApplyTo::name(self.apply_to)),
            // Negative ones come first.
            "priority" => SortKey::Number(self.priority.cast_unsigned() ^ (1 << 63)),
            _ => return None,
        })
    }

    fn show(&self, _: &Shared) -> Value {
        json!({
            "vhost": self.vhost,
            "name": self.name,
            "pattern": self.pattern,
            "apply-to": self.apply_to.name(),
            "definition": values::object(&self.definition),
            "priority": self.priority,
        })
    }
}
