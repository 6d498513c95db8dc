//! Shared subscriptions: one queue for all that share one, and who of those who come back does.
//!
//! A session that lasts notes what it shares as a binding of an exchange that nobody publishes to.
//!
//! Invariants
//! - The queue outlives each session that shares it: it is durable, and expires no sooner than any
//!   of them.
//! - It goes with the last of them; nobody comes back to messages that were for those who left.

use std::sync::Arc;

use ferry_broker::{Binding, Exchange, ExchangeKind, Promise, QueueHandle};
use ferry_core::arguments::Value;
use mqtt::topic;

use super::{
    EXPIRES, FILTER, RESUME_S_MIN, arguments_of, bind, bounded, declare, expires_ms, refused, text,
    unbind,
};
use crate::mqtt::common::{Common, End, TOPIC_EXCHANGE};
use crate::mqtt::subscriptions::Subscription;

/// The exchange whose bindings say which shared subscriptions a session has.
pub(super) const SHARED_EXCHANGE: &str = "mqtt-shared";

/// A shared subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    /// The name of those who share it.
    pub(crate) group: Box<[u8]>,
    /// What each of them gets.
    pub(crate) subscription: Subscription,
}

/// The name of the queue of a shared subscription.
pub(crate) fn shared_queue_name(group: &[u8], filter: &[u8]) -> String {
    let (group, filter) = (
        String::from_utf8_lossy(group),
        String::from_utf8_lossy(filter),
    );
    format!("mqtt-shared-{}", bounded(&format!("{group}/{filter}")))
}

/// The queue of a shared subscription, made if it is not there, for a session that is kept for so
/// long.
pub(crate) fn shared_queue(
    common: &Common,
    shared: &Shared,
    expiry_s: u32,
) -> Result<(Arc<QueueHandle>, Promise), End> {
    let filter = &shared.subscription.filter;
    let name = shared_queue_name(&shared.group, filter);
    let expires_ms = expires_ms(expiry_s.max(RESUME_S_MIN));
    let (queue, there) = match common.vhost.queue(&name, common.connection) {
        Ok(queue) => {
            let kept = outlive(common, &queue, expires_ms)?;
            (queue, kept)
        }
        Err(_) => declare(common, name, true, false, expires_ms)?,
    };
    let key = &shared.subscription.key;
    let arguments = [(FILTER, text(filter))].into_iter().collect();
    let bound = bind(common, TOPIC_EXCHANGE, &queue, key, arguments)?;
    Ok((queue, there.max(bound)))
}

/// Has a queue kept for so long without anybody, if it is not anyway.
fn outlive(
    common: &Common,
    queue: &Arc<QueueHandle>,
    expires_ms: Option<u64>,
) -> Result<Promise, End> {
    let arguments = queue.arguments();
    let now = arguments.get(EXPIRES).and_then(Value::as_integer);
    let is_longer = now.is_some_and(|now| expires_ms.is_none_or(|ms| now < i128::from(ms)));
    if !is_longer {
        return Ok(Promise::Now);
    }
    let set = common.vhost.set_queue_expiry(queue, expires_ms);
    set.map_err(|error| refused(&error))
}

/// The whole filter of a shared subscription.
fn whole(shared: &Shared) -> Vec<u8> {
    [
        b"$share/",
        &*shared.group,
        b"/",
        &*shared.subscription.filter,
    ]
    .concat()
}

/// Notes that a session shares a subscription, in the place of what was noted before.
pub(crate) fn share(
    common: &Common,
    queue: &QueueHandle,
    shared: &Shared,
    before: Option<&Shared>,
) -> Result<Promise, End> {
    if !queue.durable() || before == Some(shared) {
        return Ok(Promise::Now);
    }
    let exchange = Exchange {
        internal: true,
        ..Exchange::new(SHARED_EXCHANGE, ExchangeKind::Direct)
    };
    let declared = common.vhost.declare_exchange(exchange);
    let declared = declared.map_err(|error| refused(&error))?;
    let arguments = arguments_of(&shared.subscription);
    let bound = bind(common, SHARED_EXCHANGE, queue, &whole(shared), arguments)?;
    let unbound = match before {
        Some(before) => unshare(common, queue, before)?,
        None => Promise::Now,
    };
    Ok(declared.max(bound).max(unbound))
}

/// Takes that back.
pub(crate) fn unshare(
    common: &Common,
    queue: &QueueHandle,
    shared: &Shared,
) -> Result<Promise, End> {
    let arguments = arguments_of(&shared.subscription);
    unbind(common, SHARED_EXCHANGE, queue, &whole(shared), arguments)
}

/// A session does not share these any more: a queue that nobody shares goes.
pub(crate) fn leave_all<'a>(common: &Common, all: impl IntoIterator<Item = &'a Shared>) -> Promise {
    let mut promise = Promise::Now;
    for shared in all {
        if common.vhost.has_route(SHARED_EXCHANGE, &whole(shared)) {
            continue;
        }
        let name = shared_queue_name(&shared.group, &shared.subscription.filter);
        let vhost = &common.vhost;
        match vhost.delete_queue(&name, true, false, common.connection) {
            Ok((_, gone)) => promise = promise.max(gone),
            Err(error) => tracing::debug!(queue = name, %error, "a shared subscription goes on"),
        }
    }
    promise
}

/// What a binding says.
pub(super) fn read(binding: &Binding, subscription: Subscription) -> Option<Shared> {
    let (group, filter) = topic::shared(&binding.routing_key)?;
    let mut key = Vec::new();
    topic::filter_to_key(filter, &mut key);
    Some(Shared {
        group: group.into(),
        subscription: Subscription {
            key: key.into(),
            ..subscription
        },
    })
}
