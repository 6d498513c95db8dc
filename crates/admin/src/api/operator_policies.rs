//! Operator policies: all, of a virtual host, or one; set and cleared.
//!
//! Invariants
//! - A change is answered when it is safe on the disk.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;

use super::policies::{answer, read, show_one};
use super::{
    ApiError, Context, ListQuery, LoggedIn, Query, Shown, State, change, gather, gather_all,
    gather_of_vhost, vhosts,
};

pub(super) async fn all(_: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_all(shared, query.0, |vhost| vhost.operator_policies()).await
}

pub(super) async fn of_vhost(
    _: LoggedIn,
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_of_vhost(shared, query.0, vhost, |vhost| vhost.operator_policies()).await
}

pub(super) async fn one(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
) -> Shown {
    gather(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        show_one(&vhost.operator_policies(), &name, shared)
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
        Ok(answer(shared.broker.set_operator_policy(policy)?))
    })
    .await
}

pub(super) async fn delete(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let promise = shared.broker.clear_operator_policy(&vhost, &name)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}
