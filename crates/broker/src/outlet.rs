//! Where deliveries go: what a door gives to a queue, one for each consumer.

use std::sync::Arc;

use ferry_core::message::Message;
use ferry_core::queue::LeaseId;

use crate::{ConnectionId, QueueHandle};

/// The way out to one consumer.
///
/// All methods are called under the lock of a partition: they must not call the broker.
pub trait Outlet: Send + Sync {
    /// Whether `bytes` more may be handed over now; a yes reserves them until `deliver` or `forgo`.
    ///
    /// A no is remembered by the outlet, which calls `Broker::resume` once there is room. To lose
    /// no wake-up it looks for room, marks itself starved, and looks again.
    fn admit(&self, bytes: usize) -> bool;

    /// Hands a message over.
    fn deliver(&self, delivery: Delivery<'_>);

    /// What was reserved by a yes will not be delivered.
    fn forgo(&self, admitted_bytes: usize);

    /// The queue is gone: nothing will come any more.
    fn cancelled(&self);

    /// The connection that it belongs to.
    fn connection(&self) -> ConnectionId {
        ConnectionId::NOBODY
    }
}

/// A message on its way to a consumer.
pub struct Delivery<'a> {
    /// The message.
    pub message: Message<'a>,
    /// What settles it; none if it needs no settling.
    pub lease: Option<Lease>,
    /// Its queue; none for a direct reply.
    pub queue: Option<&'a Arc<QueueHandle>>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Its offset, if its queue is a stream.
    pub offset: Option<u64>,
    /// How often it came back.
    pub delivery_count: u32,
    /// The number that it keeps in its queue, if it does (`Burst::tag`).
    pub tag: Option<u32>,
    /// Whether the consumer is told that count.
    pub stamp_count: bool,
    /// Messages that are ready in the queue after this one.
    pub ready_left: u64,
    /// What `Outlet::admit` has reserved for it; 0 if it was not asked.
    pub admitted_bytes: usize,
}

/// A delivered, unsettled message of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease(pub(crate) LeaseId);
