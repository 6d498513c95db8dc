//! A turn: what one socket read makes a connection do.
//!
//! Invariants
//! - What was staged is submitted before anything else asks the broker about its effect, and at
//!   the latest at the end of the turn.
//! - Acknowledgements go out in the order of the packets that they answer, when what they stand for
//!   is safe: those of a turn wait for the ticket of its burst.

use std::time::Instant;

use ferry_broker::{Broker, Burst, Hold};
use ferry_core::Millis;

use super::wire::{Ack, Link};

/// The work of one socket read.
pub(crate) struct Turn<'w> {
    burst: &'w mut Burst,
    staged: bool,
    acks: Vec<Ack>,
    now: Option<Millis>,
    hold: Option<Hold>,
    read_at: Option<Instant>,
}

impl<'w> Turn<'w> {
    /// A turn over the thread's burst.
    pub(crate) fn new(burst: &'w mut Burst) -> Turn<'w> {
        Turn {
            burst,
            staged: false,
            acks: Vec::new(),
            now: None,
            hold: None,
            read_at: None,
        }
    }

    /// The same over what was just read from the socket: what it confirms is measured from there.
    pub(crate) fn of_read(burst: &'w mut Burst, read_at: Instant) -> Turn<'w> {
        Turn {
            read_at: Some(read_at),
            ..Turn::new(burst)
        }
    }

    /// The time of the turn: the clock is read once, however many messages it brings.
    pub(crate) fn now(&mut self, broker: &Broker) -> Millis {
        *self.now.get_or_insert_with(|| broker.now())
    }

    /// The burst, to stage something in.
    pub(crate) fn staging(&mut self) -> &mut Burst {
        self.staged = true;
        self.burst
    }

    /// Answers a packet once all that was staged so far is safe.
    pub(crate) fn ack(&mut self, ack: Ack) {
        self.acks.push(ack);
    }

    /// A queue wants the publisher to wait.
    pub(crate) fn note_hold(&mut self, hold: Hold) {
        self.hold = Some(hold);
    }

    /// Whether a queue wants the publisher to wait.
    pub(crate) fn has_hold(&self) -> bool {
        self.hold.is_some()
    }

    /// What a queue wants the publisher to wait for.
    pub(crate) fn take_hold(&mut self) -> Option<Hold> {
        self.hold.take()
    }

    /// Hands what was staged to the broker; these PUBLISH packets go out when it is safe.
    pub(crate) fn submit_for(&mut self, link: &Link, ids: Vec<u16>) {
        self.staged = false;
        let ticket = self.burst.submit(link.broker());
        if !self.acks.is_empty() {
            link.owe_acks(ticket.clone(), std::mem::take(&mut self.acks), self.read_at);
        }
        link.owe_publishes(ticket, ids);
    }

    /// Hands what was staged to the broker.
    pub(crate) fn submit(&mut self, link: &Link) {
        let ticket = match std::mem::take(&mut self.staged) {
            true => self.burst.submit(link.broker()),
            false => None,
        };
        if !self.acks.is_empty() {
            link.owe_acks(ticket, std::mem::take(&mut self.acks), self.read_at);
        }
    }
}
