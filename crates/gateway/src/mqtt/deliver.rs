//! Consumers: how many messages a queue may hand to a session's connection, and where they arrive.
//!
//! Invariants
//! - Called under a partition's lock; takes the link's lock and never calls the broker.
//! - No more messages of QoS 1 and 2 are in flight than the client takes, whichever queues they are
//!   from; who was refused for that hears of it when there is room.
//!
//! Not here: what is sent (`send`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferry_broker::{ConnectionId, ConnectionLimits, ConsumerInfo, Delivery, Outlet, QueueHandle};
use ferry_core::arguments::Arguments;
use mqtt::Version;

use super::alias::OutAliases;
use super::subscriptions::Subscriptions;
use super::wire::{Link, Wire};
use crate::link::event;

/// Where a session's messages come from: its own queue, or one that it shares.
pub(crate) struct Source {
    /// The queue.
    pub(crate) queue: Arc<QueueHandle>,
    /// What is subscribed by way of it.
    pub(crate) subscriptions: Subscriptions,
    /// Whether its messages need no settling.
    pub(crate) no_ack: bool,
    /// Whether its messages keep their packet ids: those of a queue of several sessions do not.
    pub(crate) keeps_ids: bool,
}

/// What a client receives, and how.
pub(crate) struct Receiver {
    /// The protocol's version.
    pub(crate) version: Version,
    /// Most messages of QoS 1 and 2 in flight.
    pub(crate) receive_max: u16,
    /// Largest packet that the client takes, in bytes.
    pub(crate) packet_bytes_max: u32,
    /// Who it is, as messages say it.
    pub(crate) digest: u64,
    /// The topics that stand for themselves by a number.
    pub(crate) aliases: OutAliases,
    /// Where messages come from; none where a shared one was left.
    pub(crate) sources: Vec<Option<Source>>,
    /// The topic of what is being sent, and what its subscriptions are called.
    pub(crate) topic: Vec<u8>,
    pub(crate) ids: Vec<u32>,
}

impl Receiver {
    /// Of a session that receives nothing yet.
    pub(crate) fn new(
        version: Version,
        receive_max: u16,
        packet_bytes_max: u32,
        alias_max: u16,
        digest: u64,
    ) -> Receiver {
        Receiver {
            version,
            receive_max,
            packet_bytes_max,
            digest,
            aliases: OutAliases::new(alias_max),
            sources: Vec::new(),
            topic: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// The consumers, for listings.
    pub(crate) fn consumers(&self) -> impl Iterator<Item = ConsumerInfo> {
        self.sources.iter().flatten().map(|source| ConsumerInfo {
            queue: Arc::clone(&source.queue),
            tag: source.queue.name().to_owned(),
            channel: 1,
            no_ack: source.no_ack,
            exclusive: false,
            prefetch: self.receive_max.into(),
            arguments: Arguments::new(),
        })
    }
}

/// The way out of one queue of a session.
pub(crate) struct SourceOutlet {
    link: Arc<Link>,
    limits: Arc<ConnectionLimits>,
    connection: ConnectionId,
    source: u16,
    no_ack: bool,
    starved: AtomicBool,
}

impl SourceOutlet {
    /// An outlet for that source.
    pub(crate) fn new(
        link: Arc<Link>,
        limits: Arc<ConnectionLimits>,
        connection: ConnectionId,
        source: u16,
        no_ack: bool,
    ) -> SourceOutlet {
        SourceOutlet {
            link,
            limits,
            connection,
            source,
            no_ack,
            starved: AtomicBool::new(false),
        }
    }

    /// Whether it was refused room since the last call.
    pub(crate) fn take_starved(&self) -> bool {
        self.starved.load(Ordering::SeqCst) && self.starved.swap(false, Ordering::SeqCst)
    }

    fn passes_ids(&self) -> bool {
        self.no_ack
            || self.link.with(|state| {
                let fits = state.wire.reserve_id();
                if !fits {
                    self.starved.store(true, Ordering::SeqCst);
                }
                fits
            })
    }
}

/// The event, if there is something to tell.
fn event_if(is_so: bool, event: u32) -> u32 {
    if is_so { event } else { 0 }
}

impl Outlet for SourceOutlet {
    fn admit(&self, bytes: usize) -> bool {
        let passes = || self.passes_ids();
        self.link.admit(bytes, &self.limits, &self.starved, passes)
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        let now = || self.link.broker().now();
        let events = self.link.with(|state| {
            let (wire, outbox) = (&mut state.wire, &mut state.outbox);
            if self.no_ack {
                // It takes no packet id, and leaves nothing to be settled.
                wire.deliver(outbox, self.source, &delivery, now);
                return 0;
            }
            let before = wire.leftovers.is_empty();
            wire.spend_id();
            wire.deliver(outbox, self.source, &delivery, now);
            let leaves = before && !state.wire.leftovers.is_empty();
            // What takes no packet id has left room for another consumer.
            let wakes = state.wire.take_id_starved();
            event_if(leaves, event::LEFTOVERS) | event_if(wakes, event::RESUME)
        });
        self.link.unreserve(delivery.admitted_bytes);
        if events != 0 {
            self.link.notify(events);
        }
    }

    fn forgo(&self, admitted_bytes: usize) {
        let wakes = !self.no_ack
            && self.link.with(|state| {
                state.wire.spend_id();
                state.wire.take_id_starved()
            });
        self.link.unreserve(admitted_bytes);
        if wakes {
            self.link.notify(event::RESUME);
        }
    }

    fn connection(&self) -> ConnectionId {
        self.connection
    }

    fn cancelled(&self) {
        self.link
            .with(|state| state.wire.leftovers.cancelled.push(self.source));
        self.link.notify(event::LEFTOVERS);
    }
}

impl Wire {
    /// Whether one more message may be in flight; if so, it is counted until it comes.
    fn reserve_id(&mut self) -> bool {
        let fits = self.has_room();
        self.reserved += usize::from(fits);
        self.id_starved |= !fits;
        fits
    }

    /// What was counted has come, or will not.
    fn spend_id(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Whether a consumer was refused for want of an id, and there is one now.
    pub(crate) fn take_id_starved(&mut self) -> bool {
        self.id_starved && self.has_room() && std::mem::take(&mut self.id_starved)
    }

    fn has_room(&self) -> bool {
        let receiver = self.receiver.as_ref();
        let window = receiver.map_or(0, |receiver| usize::from(receiver.receive_max));
        self.flights.len() + self.reserved < window
    }
}
