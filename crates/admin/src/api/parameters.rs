//! Parameters: those of the node, which are kept, and those of virtual hosts, which are its limits
//! and its policies under other names.
//!
//! Invariants
//! - A component that nothing here acts on is refused, never stored.
//! - A change is answered when it is safe on the disk.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use ferry_broker::{CLUSTER_NAME, Import, ImportError, LimitsOf, Policy, Promise, Vhost};
use ferry_core::arguments::Value as Argument;
use serde_json::{Value, json};

use super::definitions::{policy_value, values_of};
use super::{
    ApiError, Context, Shared, Shown, State, change, created, gate, gather, values, vhosts,
};
use crate::auth::LoggedIn;

const LIMITS: &str = "vhost-limits";
/// The only name of a parameter of that component.
const LIMITS_NAME: &str = "limits";
const POLICY: &str = "policy";
const OPERATOR_POLICY: &str = "operator_policy";

type Changed = Result<StatusCode, ApiError>;

/// The paths of parameters.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/parameters", get(all))
        .route("/parameters/{component}", get(of_component))
        .route("/parameters/{component}/{vhost}", get(of_vhost))
        .route(
            "/parameters/{component}/{vhost}/{name}",
            get(one).put(put_one).delete(delete_one),
        )
        .route("/global-parameters", get(all_global))
        .route(
            "/global-parameters/{name}",
            get(one_global).put(put_global).delete(delete_global),
        )
        .route("/cluster-name", get(name).put(put_name))
}

/// What the cluster is called: as the node, unless somebody gave it a name.
pub(super) fn cluster_name(shared: &Shared) -> String {
    match shared.broker.global_parameter(CLUSTER_NAME) {
        Some(Value::String(name)) => name,
        _ => shared.node.name.clone(),
    }
}

async fn name(State(shared): Context) -> Shown {
    gather(shared, |shared| Ok(json!({ "name": cluster_name(shared) }))).await
}

async fn put_name(State(shared): Context, body: Bytes) -> Changed {
    change(shared, move |shared| {
        let name = member(&body, "name")?;
        let set = shared.broker.set_global_parameter(CLUSTER_NAME, name)?;
        Ok((StatusCode::NO_CONTENT, set.durable_at))
    })
    .await
}

/// A member that the body of a request has to have.
fn member(body: &[u8], name: &str) -> Result<Value, ApiError> {
    let said = values::body(body)?;
    if !said.contains(name) {
        return Err(ApiError::BadRequest(format!("[{{key_missing,{name}}}]")));
    }
    let mut object = values::object(&said);
    Ok(object[name].take())
}

async fn all_global(State(shared): Context) -> Json<Value> {
    let all = shared.broker.global_parameters().into_iter();
    Json(all.map(|(name, value)| show_global(&name, value)).collect())
}

async fn one_global(State(shared): Context, Path(name): Path<String>) -> Shown {
    let value = shared.broker.global_parameter(&name);
    let value = value.ok_or(ApiError::NotFound)?;
    Ok(Json(show_global(&name, value)))
}

fn show_global(name: &str, value: Value) -> Value {
    json!({ "name": name, "value": value })
}

async fn put_global(State(shared): Context, Path(name): Path<String>, body: Bytes) -> Changed {
    change(shared, move |shared| {
        let set = shared
            .broker
            .set_global_parameter(&name, member(&body, "value")?)?;
        Ok((created(set.created), set.durable_at))
    })
    .await
}

async fn delete_global(State(shared): Context, Path(name): Path<String>) -> Changed {
    change(shared, move |shared| {
        let promise = shared.broker.clear_global_parameter(&name)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

async fn all(LoggedIn(user): LoggedIn, State(shared): Context) -> Shown {
    gather(shared, move |shared| {
        let seen = gate::vhosts_seen(shared, &user).into_iter();
        // Policies are shown by those who ask for them by name, as in RabbitMQ.
        let parameters = seen.flat_map(|vhost| {
            let limits = list(shared, &vhost, LIMITS);
            let policies = list(shared, &vhost, OPERATOR_POLICY);
            limits.into_iter().chain(policies)
        });
        Ok(parameters.collect())
    })
    .await
}

async fn of_component(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    Path(component): Path<String>,
) -> Shown {
    gather(shared, move |shared| {
        let seen = gate::vhosts_seen(shared, &user).into_iter();
        Ok(seen
            .flat_map(|vhost| list(shared, &vhost, &component))
            .collect())
    })
    .await
}

async fn of_vhost(
    State(shared): Context,
    Path((component, vhost)): Path<(String, String)>,
) -> Shown {
    gather(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        Ok(Value::Array(list(shared, &vhost, &component)))
    })
    .await
}

async fn one(
    State(shared): Context,
    Path((component, vhost, name)): Path<(String, String, String)>,
) -> Shown {
    gather(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        let mut found = list(shared, &vhost, &component).into_iter();
        found
            .find(|parameter| parameter["name"] == *name)
            .ok_or(ApiError::NotFound)
    })
    .await
}

/// The parameters of a component in a virtual host; none of one that is not known.
fn list(shared: &Shared, vhost: &Vhost, component: &str) -> Vec<Value> {
    let show = |name: &str, value: Value| {
        json!({
            "vhost": vhost.name(), "component": component, "name": name, "value": value,
        })
    };
    let policies = |policies: Vec<Arc<Policy>>| {
        let shown = policies.iter();
        shown
            .map(|policy| show(&policy.name, policy_value(policy)))
            .collect()
    };
    match component {
        LIMITS => {
            let of = LimitsOf::Vhost(vhost.name().into());
            let set = shared.broker.limits_of(&of).ok().flatten();
            set.iter()
                .map(|set| show(LIMITS_NAME, values_of(set)))
                .collect()
        }
        POLICY => policies(vhost.policies()),
        OPERATOR_POLICY => policies(vhost.operator_policies()),
        _ => Vec::new(),
    }
}

fn bad<T>(why: &str) -> Result<T, ApiError> {
    Err(ApiError::BadRequest(why.to_owned()))
}

fn unknown<T>(component: &str) -> Result<T, ApiError> {
    bad(&format!(
        "Validation failed\n\ncomponent {component} not found\n"
    ))
}

async fn put_one(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    Path((component, vhost, name)): Path<(String, String, String)>,
    body: Bytes,
) -> Changed {
    change(shared, move |shared| {
        let Some(there) = shared.broker.vhost(&vhost) else {
            return Err(ApiError::NoSuchVhost);
        };
        let said = values::body(&body)?;
        let Some(value) = said.get("value") else {
            return bad("[{key_missing,value}]");
        };
        match component.as_str() {
            POLICY => bad("policies may not be set using this method"),
            LIMITS | OPERATOR_POLICY if !user.has_tag("administrator") => {
                Err(ApiError::Unauthorised("Not administrator user"))
            }
            LIMITS => set_limits(shared, &there, &name, value),
            OPERATOR_POLICY => {
                let Argument::Table(said) = value else {
                    return bad("Validation failed\n\nvalue should be an object\n");
                };
                let policy = Policy::read(&vhost, &name, said)?;
                let set = shared.broker.set_operator_policy(policy)?;
                Ok((created(set.created), set.durable_at))
            }
            other => unknown(other),
        }
    })
    .await
}

/// Sets all limits of a virtual host at once: those that are not named are cleared.
fn set_limits(
    shared: &Shared,
    vhost: &Vhost,
    name: &str,
    value: &Argument,
) -> Result<(StatusCode, Promise), ApiError> {
    if name != LIMITS_NAME {
        return bad("Validation failed\n\na parameter of vhost-limits is named limits\n");
    }
    let Argument::Table(limits) = value else {
        return bad("Validation failed\n\nlimits should be an object\n");
    };
    let of = LimitsOf::Vhost(vhost.name().into());
    let new = shared.broker.limits_of(&of)?.is_none();
    let import = Import {
        vhost_limits: vec![(
            vhost.name().to_owned(),
            limits.clone().into_iter().collect(),
        )],
        ..Import::default()
    };
    let promise = shared.broker.import(&import, "");
    let promise = promise.map_err(|error| match error {
        // Without the place in a file, which there is none of.
        ImportError::Limit { error, .. } => (*error).into(),
        other => ApiError::from(other),
    })?;
    Ok((created(new), promise))
}

async fn delete_one(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    Path((component, vhost, name)): Path<(String, String, String)>,
) -> Changed {
    change(shared, move |shared| {
        let there = vhosts::find(shared, &vhost)?;
        let promise = match component.as_str() {
            POLICY => shared.broker.clear_policy(&vhost, &name)?,
            LIMITS | OPERATOR_POLICY if !user.has_tag("administrator") => {
                return Err(ApiError::Unauthorised("Not administrator user"));
            }
            OPERATOR_POLICY => shared.broker.clear_operator_policy(&vhost, &name)?,
            LIMITS if !list(shared, &there, LIMITS).is_empty() => {
                let none = Argument::Table(Default::default());
                set_limits(shared, &there, &name, &none)?.1
            }
            _ => return Err(ApiError::NotFound),
        };
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}
