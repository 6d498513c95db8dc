//! What RabbitMQ's management API does not have: paths below `/api/ferry`.
//!
//! Two kinds: looking into queues and acting on messages, for people (`messages`, `replay`,
//! `node`, `audit`), and publishing and consuming by HTTP, for applications (`data`).
//!
//! Invariants
//! - A field is there only if its figure is known, as in the rest of the API.
//! - Every path is in the OpenAPI document (`openapi`), with what it takes and gives.
//! - Nothing of another origin changes anything here, and none is let in (`origin`).

mod access;
pub(crate) mod audit;
pub(crate) mod bounds;
pub(crate) mod data;
mod extract;
mod messages;
pub(crate) mod node;
mod openapi;
pub(crate) mod origin;
mod passport;
mod paths;
mod problem;
pub(super) mod properties;
mod replay;

use std::sync::Arc;

use axum::Router;
use ferry_broker::Promise;

use super::{ApiError, Context, Shared, State, error_body, gather, kept, values, vhosts};
use paths::Paths;
use problem::Problem;

pub(super) use passport::decoded;

pub(super) fn routes() -> Router<Arc<Shared>> {
    paths().into_router()
}

/// All paths, with who answers them.
fn paths() -> Paths {
    let paths = Paths::default()
        .get("/passport/{vhost}/{*message_id}", passport::one)
        .get("/audit", audit::list)
        .get("/openapi.json", openapi::document);
    let paths = messages::routes(paths);
    let paths = replay::routes(paths);
    let paths = node::routes(paths);
    data::routes(paths)
}

/// Does something that takes a while where it holds nobody up.
async fn blocking<R: Send + 'static>(
    shared: Arc<Shared>,
    make: impl FnOnce(&Shared) -> Result<R, Problem> + Send + 'static,
) -> Result<R, Problem> {
    let made = tokio::task::spawn_blocking(move || make(&shared));
    made.await
        .map_err(|_| Problem::internal("the answer could not be made"))?
}

/// The same for what changes something: it is answered when that is safe.
async fn acting<R: Send + 'static>(
    shared: Arc<Shared>,
    act: impl FnOnce(&Shared) -> Result<(R, Promise), Problem> + Send + 'static,
) -> Result<R, Problem> {
    let (answer, promise) = blocking(Arc::clone(&shared), act).await?;
    kept(&shared.broker, promise).await;
    Ok(answer)
}
