//! What a link knows of the protocol that is spoken on it.
//!
//! Invariants
//! - A wire is touched with its link's lock held, and calls neither the broker nor its link.

use std::sync::Arc;

use ferry_broker::{Broker, ChannelInfo, ConsumerInfo, MessageStats, Spoken, Ticket};

use super::Link;
use super::owed::Wait;
use crate::outbox::Outbox;

/// A protocol's part of what a link's lock covers: what is owed to the client once the disk has
/// caught up, and what its deliveries have left behind.
pub(crate) trait Wire: Default + Send + 'static {
    /// What is spoken on it, for counts.
    const SPOKEN: Spoken;

    /// Writes what is owed and due; what to wait for next, which then counts as armed; and whether
    /// consumers may go on that a reply held.
    fn pay(&mut self, outbox: &mut Outbox, broker: &Broker) -> (Wait<Arc<Ticket>>, bool);

    /// The armed wait is over, or came to nothing.
    fn disarm(&mut self);

    /// Forgets everything that is owed.
    fn clear(&mut self);

    /// Its channels, for listings; in any order.
    fn channels(&self) -> Vec<ChannelInfo>;

    /// How many they are.
    fn channel_count(&self) -> usize;

    /// Its consumers, for listings.
    fn consumers(&self) -> Vec<ConsumerInfo>;

    /// What it has counted, and its closed channels.
    fn totals(&self) -> MessageStats;
}

/// A link, whatever is spoken on it.
pub(crate) trait AnyLink: Send + Sync {
    /// See [`Link::flush`].
    fn flush(&self);

    /// See [`Link::notify`].
    fn notify(&self, events: u32);
}

impl<W: Wire> AnyLink for Link<W> {
    fn flush(&self) {
        Link::flush(self);
    }

    fn notify(&self, events: u32) {
        Link::notify(self, events);
    }
}
