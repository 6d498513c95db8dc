//! Limits of virtual hosts and users: shown, set and cleared.
//!
//! Invariants
//! - A change is answered when it is safe on the disk.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use ferry_broker::{LimitError, LimitsOf, LimitsSet};
use serde_json::{Map, Value, json};

use super::{ApiError, Context, LoggedIn, Shared, Shown, State, change, gate, values};

/// The paths of limits.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/vhost-limits", get(vhosts))
        .route("/vhost-limits/{vhost}", get(of_vhost))
        .route(
            "/vhost-limits/{vhost}/{limit}",
            put(put_of_vhost).delete(delete_of_vhost),
        )
        .route("/user-limits", get(users))
        .route("/user-limits/{user}", get(of_user))
        .route(
            "/user-limits/{user}/{limit}",
            put(put_of_user).delete(delete_of_user),
        )
}

type Changed = Result<StatusCode, ApiError>;

fn vhost(name: &str) -> LimitsOf {
    LimitsOf::Vhost(name.into())
}

fn user(name: &str) -> LimitsOf {
    LimitsOf::User(name.into())
}

async fn vhosts(LoggedIn(user): LoggedIn, State(shared): Context) -> Json<Value> {
    let shown = |vhost: &str| gate::monitors(&user) || user.may_enter(vhost);
    all(
        &shared,
        |of| matches!(of, LimitsOf::Vhost(vhost) if shown(vhost)),
    )
}

async fn users(LoggedIn(user): LoggedIn, State(shared): Context) -> Json<Value> {
    let shown = |name: &str| gate::monitors(&user) || *user.name == *name;
    all(
        &shared,
        |of| matches!(of, LimitsOf::User(name) if shown(name)),
    )
}

async fn of_vhost(State(shared): Context, Path(name): Path<String>) -> Shown {
    one(&shared, &vhost(&name))
}

async fn of_user(State(shared): Context, Path(name): Path<String>) -> Shown {
    one(&shared, &user(&name))
}

async fn put_of_vhost(
    State(shared): Context,
    Path((name, limit)): Path<(String, String)>,
    body: Bytes,
) -> Changed {
    set(shared, vhost(&name), limit, body).await
}

async fn put_of_user(
    State(shared): Context,
    Path((name, limit)): Path<(String, String)>,
    body: Bytes,
) -> Changed {
    set(shared, user(&name), limit, body).await
}

async fn delete_of_vhost(
    State(shared): Context,
    Path((name, limit)): Path<(String, String)>,
) -> Changed {
    clear(shared, vhost(&name), limit).await
}

async fn delete_of_user(
    State(shared): Context,
    Path((name, limit)): Path<(String, String)>,
) -> Changed {
    clear(shared, user(&name), limit).await
}

fn all(shared: &Shared, which: impl Fn(&LimitsOf) -> bool) -> Json<Value> {
    let sets = shared.broker.limits();
    let shown = sets.iter().filter(|set| which(&set.of)).map(show);
    Json(shown.collect())
}

fn one(shared: &Shared, of: &LimitsOf) -> Shown {
    let set = shared.broker.limits_of(of)?;
    Ok(Json(set.iter().map(show).collect()))
}

fn show(set: &LimitsSet) -> Value {
    let values = set.values.iter();
    let values: Map<_, _> = values
        .map(|(limit, value)| (limit.name().to_owned(), json!(value)))
        .collect();
    match &set.of {
        LimitsOf::Vhost(vhost) => json!({ "vhost": &**vhost, "value": values }),
        LimitsOf::User(user) => json!({ "user": &**user, "value": values }),
    }
}

async fn set(shared: Arc<Shared>, of: LimitsOf, limit: String, body: Bytes) -> Changed {
    change(shared, move |shared| {
        // Who has limits is looked for first, as in RabbitMQ.
        let known = shared.broker.limits_of(&of);
        known.map_err(missing)?;
        let said = values::body(&body)?;
        let Some(value) = said.get("value") else {
            return Err(ApiError::BadRequest("[{key_missing,value}]".to_owned()));
        };
        let promise = shared.broker.set_limit(of, &limit, value)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

/// What a change says of a virtual host or user that is not there.
fn missing(error: LimitError) -> ApiError {
    match error {
        LimitError::NoSuchVhost(_) => ApiError::NoSuchVhost,
        LimitError::NoSuchUser(name) => ApiError::NoSuchUser(name),
        other => other.into(),
    }
}

async fn clear(shared: Arc<Shared>, of: LimitsOf, limit: String) -> Changed {
    change(shared, move |shared| {
        let promise = shared.broker.clear_limit(of, &limit)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

impl From<LimitError> for ApiError {
    fn from(error: LimitError) -> ApiError {
        match error {
            LimitError::NoSuchVhost(_) | LimitError::NoSuchUser(_) => ApiError::NotFound,
            LimitError::Invalid(_) => ApiError::BadRequest(error.to_string()),
            LimitError::Definition(_) => ApiError::Internal,
        }
    }
}
