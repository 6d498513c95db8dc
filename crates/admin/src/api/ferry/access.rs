//! What a user may see and do, and the queue or virtual host that it is about.
//!
//! Invariants
//! - Rights are asked for first: who has none does not learn whether something is there, but for
//!   virtual hosts, which who monitors the node sees in a list.
//! - Publishing by the default exchange takes the right to write to `amq.default`, as in AMQP.

use std::sync::Arc;

use ferry_broker::{ConnectionId, MayWrite, QueueHandle, Resource, Right, User, Vhost};

use super::Shared;
use super::problem::Problem;
use crate::api::gate;

/// How the default exchange is called where a name is needed.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// A virtual host that the user may enter.
pub(super) fn vhost(shared: &Shared, user: &User, name: &str) -> Result<Arc<Vhost>, Problem> {
    let found = shared.broker.vhost(name);
    let knows = gate::monitors(user) && found.is_none();
    if !user.may_enter(name) && !knows {
        let reason = format!("access to vhost '{name}' refused for user '{}'", user.name);
        return Err(Problem::forbidden(reason));
    }
    found.ok_or_else(|| Problem::not_found(format!("vhost '{name}' not found")))
}

/// Refuses who may not read a queue.
fn check_read(user: &User, vhost: &str, queue: &str) -> Result<(), Problem> {
    check(user, vhost, Right::Read, Resource::Queue, queue)
}

fn check(
    user: &User,
    vhost: &str,
    right: Right,
    kind: Resource,
    name: &str,
) -> Result<(), Problem> {
    let checked = user.check(vhost, right, kind, name);
    checked.map_err(|refused| Problem::forbidden(refused.to_string()))
}

/// Whether the user may read a queue.
pub(super) fn may_read(user: &User, vhost: &str, queue: &str) -> bool {
    user.may_enter(vhost) && user.may(vhost, Right::Read, Resource::Queue, queue)
}

/// A queue that the user may look into, whoever has it for itself.
pub(super) fn queue_to_see(
    shared: &Shared,
    user: &User,
    (in_vhost, name): (&str, &str),
) -> Result<Arc<QueueHandle>, Problem> {
    let vhost = vhost(shared, user, in_vhost)?;
    check_read(user, in_vhost, name)?;
    let missing = || Problem::not_found(format!("no queue '{name}' in vhost '{in_vhost}'"));
    vhost.any_queue(name).ok_or_else(missing)
}

/// A queue that the user may take messages from: not one that a connection has for itself.
pub(super) fn queue_to_read(
    shared: &Shared,
    user: &User,
    (in_vhost, name): (&str, &str),
) -> Result<Arc<QueueHandle>, Problem> {
    let vhost = vhost(shared, user, in_vhost)?;
    check_read(user, in_vhost, name)?;
    Ok(vhost.queue(name, ConnectionId::NOBODY)?)
}

/// The name of an exchange as the broker has it, from one that was asked for.
pub(super) fn exchange_of(asked: &str) -> &str {
    match asked {
        DEFAULT_EXCHANGE => "",
        name => name,
    }
}

/// Refuses who may not publish to an exchange.
pub(super) fn check_write(user: &User, vhost: &str, exchange: &str) -> Result<(), Problem> {
    check(user, vhost, Right::Write, Resource::Exchange, exchange)
}

/// The same for acts that find out later where they write to.
pub(super) fn may_write(user: &Arc<User>, vhost: &str) -> MayWrite {
    let (user, vhost) = (Arc::clone(user), vhost.to_owned());
    Arc::new(move |exchange| user.may(&vhost, Right::Write, Resource::Exchange, exchange))
}
