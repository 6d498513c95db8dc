//! The side of a session that outlives its connection: a queue, its bindings, its notes.
//!
//! A session that lasts is a durable queue that expires when nobody has consumed from it for so
//! long; what is subscribed are bindings of the topic exchange, and shared subscriptions are
//! bindings of an exchange that nobody publishes to. A session that ends with its connection has a
//! queue that does so, too, from its first subscription on.
//!
//! Invariants
//! - A session is there if and only if its durable queue is.
//! - What a queue's bindings say is what the session has subscribed to.
//! - Nobody gets into a session that holds what he may not read.
//!
//! Not here: what the queue remembers of packet ids (`notes`), queues of several sessions
//! (`shared`).

mod notes;
mod shared;

use std::sync::Arc;

use ferry_broker::{
    AccessRefused, Binding, BindingSpec, Burst, DefinitionError, ErrorKind, Promise, QueueHandle,
    QueueSpec,
};
use ferry_core::arguments::{Arguments, Value};
use mqtt::ReasonCode;

pub(crate) use self::notes::{KeptId, Note};
use self::shared::SHARED_EXCHANGE;
pub(crate) use self::shared::{Shared, leave_all, share, shared_queue, shared_queue_name, unshare};
use super::common::{Common, End, TOPIC_EXCHANGE};
use super::subscriptions::Subscription;

/// Longest expiry of a queue, in seconds: ten years.
const EXPIRY_S_MAX: u32 = 10 * 365 * 24 * 3600;

/// What a session lasts at least while its client comes to it, in seconds.
const RESUME_S_MIN: u32 = 60;

/// Longest part of a name that is taken from a client as it is, in bytes.
const PLAIN_NAME_BYTES_MAX: usize = 160;

const FILTER: &str = "x-mqtt-filter";
const QOS: &str = "x-mqtt-qos";
const OPTIONS: &str = "x-mqtt-options";
const ID: &str = "x-mqtt-id";
const EXPIRES: &str = "x-expires";

const NO_LOCAL: i64 = 4;
const RETAIN_AS_PUBLISHED: i64 = 8;

/// What there is of a session when its client comes.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Whether there was a session.
    pub(crate) present: bool,
    /// Its queue, if it has one.
    pub(crate) queue: Option<Arc<QueueHandle>>,
    /// For how many seconds it is kept without a connection.
    pub(crate) expiry_s: u32,
    /// What is subscribed.
    pub(crate) subscriptions: Vec<Subscription>,
    /// What is subscribed together with others.
    pub(crate) shared: Vec<Shared>,
    /// What the queue has noted.
    pub(crate) notes: Vec<Note>,
    /// Packet ids that messages in the queue keep.
    pub(crate) kept_ids: Vec<KeptId>,
}

/// The name of a session's queue.
pub(crate) fn queue_name(client_id: &str) -> String {
    format!("mqtt-subscription-{}", bounded(client_id))
}

/// A name that fits into those of queues, and is told apart from all others.
fn bounded(name: &str) -> String {
    if name.len() <= PLAIN_NAME_BYTES_MAX {
        return name.to_owned();
    }
    let digest = super::block::publisher_digest(name.as_bytes());
    let end = name.floor_char_boundary(PLAIN_NAME_BYTES_MAX);
    format!("{}-{digest:016x}", &name[..end])
}

/// Refuses a connection for what the broker says of a definition.
pub(crate) fn refused(error: &DefinitionError) -> End {
    let reason = match error.kind() {
        ErrorKind::AccessRefused => ReasonCode::NotAuthorized,
        ErrorKind::ResourceLocked | ErrorKind::PreconditionFailed => ReasonCode::QuotaExceeded,
        _ => ReasonCode::ImplementationSpecific,
    };
    End::refused(reason, error.to_string())
}

/// Finds the session of a client, or makes one if it is to last. The promise covers what the client
/// is told of it.
pub(crate) fn open(
    common: &Common,
    clean_start: bool,
    expiry_s: u32,
) -> Result<(Stored, Promise), End> {
    let name = queue_name(&common.client_id);
    let mut promise = Promise::Now;
    if clean_start && common.vhost.has_queue(&name) {
        promise = clean(common, &name)?;
    }
    let fresh = Stored {
        expiry_s,
        ..Stored::default()
    };
    let queue = match common.vhost.queue(&name, common.connection) {
        Ok(queue) => queue,
        // One that was there may have expired, and that is not safe yet.
        Err(_) if expiry_s == 0 => return Ok((fresh, promise.max(common.vhost.changes()))),
        Err(_) => {
            let (queue, made) = make(common, expiry_s)?;
            let queue = Some(queue);
            return Ok((Stored { queue, ..fresh }, promise.max(made)));
        }
    };
    let (stored, found) = take_up(common, queue, fresh)?;
    Ok((stored, promise.max(found)))
}

/// Takes up a session that is there.
fn take_up(
    common: &Common,
    queue: Arc<QueueHandle>,
    fresh: Stored,
) -> Result<(Stored, Promise), End> {
    let broker = &common.broker;
    let expiry_s = fresh.expiry_s;
    let mut stored = Stored {
        present: true,
        notes: broker.notes(&queue).into_iter().map(Note::of).collect(),
        kept_ids: broker.tags(&queue).into_iter().map(KeptId::of).collect(),
        ..read_bindings(common, &queue, fresh)
    };
    check_begin(common, queue.name())?;
    check_subscriptions(common, &queue, &mut stored)?;
    // As long as the client is here the queue is in use, but for this moment.
    let kept = set_expiry(common, &queue, expiry_s.max(RESUME_S_MIN))?;
    let covered = cover(common, &queue, &stored.notes);
    let queue = Some(queue);
    Ok((Stored { queue, ..stored }, kept.max(covered)))
}

/// Ends a session for a client that does not want it any more.
fn clean(common: &Common, name: &str) -> Result<Promise, End> {
    check_begin(common, name)?;
    let Ok(queue) = common.vhost.queue(name, common.connection) else {
        return end(common, name);
    };
    let stored = read_bindings(common, &queue, Stored::default());
    let ended = end(common, name)?;
    Ok(ended.max(leave_all(common, &stored.shared)))
}

fn not_authorized(refused: &AccessRefused) -> End {
    End::refused(ReasonCode::NotAuthorized, refused.to_string())
}

fn check_begin(common: &Common, queue: &str) -> Result<(), End> {
    let allowed = common.user.check_session_begin(common.vhost.name(), queue);
    allowed.map_err(|refused| not_authorized(&refused))
}

/// A session may have been somebody else's, or rights have been taken meanwhile.
fn check_subscriptions(
    common: &Common,
    queue: &QueueHandle,
    stored: &mut Stored,
) -> Result<(), End> {
    let (user, vhost) = (&common.user, common.vhost.name());
    if !stored.subscriptions.is_empty() || !stored.shared.is_empty() {
        let allowed = user.check_session_subscribe(vhost, queue.name());
        allowed.map_err(|refused| not_authorized(&refused))?;
    }
    let refused = |one: &Subscription| {
        let filter = String::from_utf8_lossy(&one.filter);
        let text = format!("the session is subscribed to '{filter}', which may not be read");
        End::refused(ReasonCode::NotAuthorized, text)
    };
    for one in &stored.subscriptions {
        let key = user.may_subscribe_filter(vhost, &one.key);
        if key.is_none_or(|key| *key != *one.key) {
            return Err(refused(one));
        }
    }
    for Shared { subscription, .. } in &mut stored.shared {
        let key = user.may_subscribe_filter(vhost, &subscription.key);
        let key = key.ok_or_else(|| refused(subscription))?;
        subscription.key = key.into();
    }
    Ok(())
}

/// Ends a session: its queue goes, and all that was in it.
pub(crate) fn end(common: &Common, name: &str) -> Result<Promise, End> {
    let deleted = common
        .vhost
        .delete_queue(name, false, false, common.connection);
    deleted
        .map(|(_, promise)| promise)
        .map_err(|error| refused(&error))
}

/// What a queue's own expiry can say; a session that is kept for longer is kept for ever.
fn expires_ms(expiry_s: u32) -> Option<u64> {
    (expiry_s <= EXPIRY_S_MAX).then(|| (u64::from(expiry_s) * 1000).max(1))
}

/// What a client finds may have been seen by nobody yet but in memory: before it is told of it, it
/// is made safe.
fn cover(common: &Common, queue: &QueueHandle, notes: &[Note]) -> Promise {
    if notes.is_empty() && queue.ready() == 0 {
        return Promise::Now;
    }
    let mut burst = Burst::new();
    burst.cover();
    let ticket = burst.submit(&common.broker);
    ticket
        .and_then(|ticket| ticket.resolved())
        .unwrap_or(Promise::Now)
}

/// Makes the queue of a session. Until its client is told and consumes from it, which waits for the
/// disk, nobody uses it.
pub(crate) fn make(common: &Common, expiry_s: u32) -> Result<(Arc<QueueHandle>, Promise), End> {
    let lasts = expiry_s > 0;
    let name = queue_name(&common.client_id);
    check_begin(common, &name)?;
    declare(
        common,
        name,
        lasts,
        !lasts,
        expires_ms(expiry_s.max(RESUME_S_MIN)).filter(|_| lasts),
    )
}

fn declare(
    common: &Common,
    name: String,
    durable: bool,
    exclusive: bool,
    expires_ms: Option<u64>,
) -> Result<(Arc<QueueHandle>, Promise), End> {
    let expires = expires_ms.map(|ms| (EXPIRES, Value::I64(ms.min(i64::MAX as u64) as i64)));
    let kind = ("x-queue-type", Value::Str(b"classic".to_vec()));
    // QoS 0 is for who is here.
    let transient = ("x-discard-transient", Value::Bool(true));
    let spec = QueueSpec {
        name,
        durable,
        exclusive,
        auto_delete: !durable && !exclusive,
        arguments: [kind, transient].into_iter().chain(expires).collect(),
    };
    let declared = common.vhost.declare_queue(spec, common.connection);
    declared
        .map(|declared| (declared.queue, declared.durable_at))
        .map_err(|error| refused(&error))
}

/// A session is kept for so long from the end of its connection.
pub(crate) fn set_expiry(
    common: &Common,
    queue: &Arc<QueueHandle>,
    expiry_s: u32,
) -> Result<Promise, End> {
    if !queue.durable() {
        return Ok(Promise::Now);
    }
    let set = common.vhost.set_queue_expiry(queue, expires_ms(expiry_s));
    set.map_err(|error| refused(&error))
}

fn text(bytes: &[u8]) -> Value {
    Value::Str(bytes.to_vec())
}

/// A binding of a queue.
fn spec<'a>(
    common: &Common,
    source: &'a str,
    queue: &'a QueueHandle,
    routing_key: &'a [u8],
    arguments: Arguments,
) -> BindingSpec<'a> {
    BindingSpec {
        source,
        queue: Some(queue.name()),
        exchange: None,
        routing_key,
        arguments,
        connection: common.connection,
    }
}

fn bind(
    common: &Common,
    source: &str,
    queue: &QueueHandle,
    key: &[u8],
    arguments: Arguments,
) -> Result<Promise, End> {
    let spec = spec(common, source, queue, key, arguments);
    common.vhost.bind(&spec).map_err(|error| refused(&error))
}

fn arguments_of(subscription: &Subscription) -> Arguments {
    let options = i64::from(subscription.no_local) * NO_LOCAL
        + i64::from(subscription.retain_as_published) * RETAIN_AS_PUBLISHED;
    let id = subscription.id.map(|id| (ID, Value::I64(id.into())));
    let fixed = [
        (FILTER, text(&subscription.filter)),
        (QOS, Value::I64(subscription.qos.into())),
        (OPTIONS, Value::I64(options)),
    ];
    fixed.into_iter().chain(id).collect()
}

/// Writes a subscription down, in the place of the one before.
pub(crate) fn subscribe(
    common: &Common,
    queue: &QueueHandle,
    subscription: &Subscription,
    before: Option<&Subscription>,
) -> Result<Promise, End> {
    if before == Some(subscription) {
        return Ok(Promise::Now);
    }
    let key = &subscription.key;
    // The new one first: at no moment is nothing subscribed.
    let bound = bind(
        common,
        TOPIC_EXCHANGE,
        queue,
        key,
        arguments_of(subscription),
    )?;
    let unbound = match before {
        Some(before) => unsubscribe(common, queue, before)?,
        None => Promise::Now,
    };
    Ok(bound.max(unbound))
}

/// Takes a subscription back.
pub(crate) fn unsubscribe(
    common: &Common,
    queue: &QueueHandle,
    subscription: &Subscription,
) -> Result<Promise, End> {
    let arguments = arguments_of(subscription);
    unbind(common, TOPIC_EXCHANGE, queue, &subscription.key, arguments)
}

fn unbind(
    common: &Common,
    source: &str,
    queue: &QueueHandle,
    key: &[u8],
    arguments: Arguments,
) -> Result<Promise, End> {
    let spec = spec(common, source, queue, key, arguments);
    common.vhost.unbind(&spec).map_err(|error| refused(&error))
}

fn read_bindings(common: &Common, queue: &QueueHandle, mut stored: Stored) -> Stored {
    for binding in common.vhost.bindings_of(queue) {
        let Some(subscription) = read_subscription(&binding) else {
            continue;
        };
        match &*binding.source {
            TOPIC_EXCHANGE => stored.subscriptions.push(subscription),
            SHARED_EXCHANGE => stored.shared.extend(shared::read(&binding, subscription)),
            _ => {}
        }
    }
    stored
}

/// What a binding says that the door has made; none of others.
fn read_subscription(binding: &Binding) -> Option<Subscription> {
    let arguments = &binding.arguments;
    let number = |name| arguments.get(name).and_then(Value::as_integer);
    let filter = arguments.get(FILTER)?.as_bytes()?;
    let options = number(OPTIONS)?;
    Some(Subscription {
        filter: filter.into(),
        key: binding.routing_key.as_slice().into(),
        qos: u8::try_from(number(QOS)?).ok().filter(|qos| *qos <= 2)?,
        no_local: options & i128::from(NO_LOCAL) != 0,
        retain_as_published: options & i128::from(RETAIN_AS_PUBLISHED) != 0,
        id: number(ID).and_then(|id| u32::try_from(id).ok()),
    })
}
