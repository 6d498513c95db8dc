//! A turn: what one socket read makes a connection do.
//!
//! Invariants
//! - What was staged is submitted before anything else asks the broker about its effect, and at
//!   the latest at the end of the turn.
//!
//! Not here: what the client is told when it is safe (`owed`), which each protocol submits in its
//! own way.

use std::sync::Arc;
use std::time::Instant;

use ferry_broker::{Broker, Burst, Hold, Ticket};
use ferry_core::Millis;

/// The work of one socket read.
pub(crate) struct Turn<'w, O> {
    burst: &'w mut Burst,
    staged: bool,
    /// What the client is to be told of what was staged.
    pub(crate) owed: Vec<O>,
    now: Option<Millis>,
    hold: Option<Hold>,
    read_at: Option<Instant>,
}

impl<'w, O> Turn<'w, O> {
    /// A turn over the thread's burst.
    pub(crate) fn new(burst: &'w mut Burst) -> Turn<'w, O> {
        Turn {
            burst,
            staged: false,
            owed: Vec::new(),
            now: None,
            hold: None,
            read_at: None,
        }
    }

    /// The same over what was just read from the socket: what it confirms is measured from there.
    pub(crate) fn of_read(burst: &'w mut Burst, read_at: Instant) -> Turn<'w, O> {
        Turn {
            read_at: Some(read_at),
            ..Turn::new(burst)
        }
    }

    /// From when what it confirms is measured, if it is.
    pub(crate) fn read_at(&self) -> Option<Instant> {
        self.read_at
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

    /// Whether something was staged and not handed to the broker yet.
    pub(crate) fn has_staged(&self) -> bool {
        self.staged
    }

    /// Hands the burst to the broker; its ticket, if there is something to wait for.
    pub(crate) fn hand_over(&mut self, broker: &Broker) -> Option<Arc<Ticket>> {
        self.staged = false;
        self.burst.submit(broker)
    }
}
