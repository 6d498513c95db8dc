//! Policies: all, of a virtual host, or one; set and cleared.
//!
//! Invariants
//! - A change is answered when it is safe on the disk.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use ferry_broker::{ApplyTo, Policy, PolicyError};
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, change, gather,
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
        let policies = vhosts::find(shared, &vhost)?.policies();
        let found = policies.iter().find(|policy| policy.name == name);
        found
            .map(|policy| policy.show(shared))
            .ok_or(ApiError::NotFound)
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
        if shared.broker.vhost(&vhost).is_none() {
            return Err(ApiError::NoSuchVhost);
        }
        let policy = Policy::read(&vhost, &name, &values::body(&body)?)?;
        let set = shared.broker.set_policy(policy)?;
        let status = match set.created {
            true => StatusCode::CREATED,
            false => StatusCode::NO_CONTENT,
        };
        Ok((status, set.durable_at))
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
