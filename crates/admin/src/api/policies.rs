//! Policies of users and of operators: all, of a virtual host, or one; set and cleared.
//!
//! Invariants
//! - A change is answered when it is safe on the disk.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use ferry_broker::{ApplyTo, Broker, Policy, PolicyError, PolicySet, Promise, Vhost};
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, change, created, gather,
    gather_all, gather_of_vhost, values, vhosts,
};

/// Whose policies a path is about.
trait Tier: 'static {
    fn of(vhost: &Vhost) -> Vec<Arc<Policy>>;
    fn set(broker: &Broker, policy: Policy) -> Result<PolicySet, PolicyError>;
    fn clear(broker: &Broker, vhost: &str, name: &str) -> Result<Promise, PolicyError>;
}

struct User;

impl Tier for User {
    fn of(vhost: &Vhost) -> Vec<Arc<Policy>> {
        vhost.policies()
    }

    fn set(broker: &Broker, policy: Policy) -> Result<PolicySet, PolicyError> {
        broker.set_policy(policy)
    }

    fn clear(broker: &Broker, vhost: &str, name: &str) -> Result<Promise, PolicyError> {
        broker.clear_policy(vhost, name)
    }
}

struct Operator;

impl Tier for Operator {
    fn of(vhost: &Vhost) -> Vec<Arc<Policy>> {
        vhost.operator_policies()
    }

    fn set(broker: &Broker, policy: Policy) -> Result<PolicySet, PolicyError> {
        broker.set_operator_policy(policy)
    }

    fn clear(broker: &Broker, vhost: &str, name: &str) -> Result<Promise, PolicyError> {
        broker.clear_operator_policy(vhost, name)
    }
}

/// The paths of the policies of users and of those of operators.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .nest("/policies", routes_of::<User>())
        .nest("/operator-policies", routes_of::<Operator>())
}

fn routes_of<T: Tier>() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(all::<T>))
        .route("/{vhost}", get(of_vhost::<T>))
        .route(
            "/{vhost}/{policy}",
            get(one::<T>).put(put::<T>).delete(delete::<T>),
        )
}

async fn all<T: Tier>(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    query: Query<ListQuery>,
) -> Shown {
    gather_all(shared, user, query.0, |vhost| T::of(vhost)).await
}

async fn of_vhost<T: Tier>(
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_of_vhost(shared, query.0, vhost, |vhost| T::of(vhost)).await
}

async fn one<T: Tier>(
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
) -> Shown {
    gather(shared, move |shared| {
        let policies = T::of(vhosts::find(shared, &vhost)?.as_ref());
        let found = policies.iter().find(|policy| policy.name == name);
        found
            .map(|policy| policy.show(shared))
            .ok_or(ApiError::NotFound)
    })
    .await
}

async fn put<T: Tier>(
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        if shared.broker.vhost(&vhost).is_none() {
            return Err(ApiError::NoSuchVhost);
        }
        let policy = Policy::read(&vhost, &name, &values::body(&body)?)?;
        let set = T::set(&shared.broker, policy)?;
        Ok((created(set.created), set.durable_at))
    })
    .await
}

async fn delete<T: Tier>(
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let promise = T::clear(&shared.broker, &vhost, &name)?;
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
