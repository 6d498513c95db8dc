//! A turn: what one socket read makes a connection do.
//!
//! Invariants
//! - What was staged is submitted before anything else asks the broker about its effect, and at
//!   the latest at the end of the turn.

use std::time::Instant;

use ferry_broker::Burst;

use super::wire::{Confirm, Link};

/// The work of one socket read.
pub(super) struct Turn<'w> {
    burst: &'w mut Burst,
    staged: bool,
    confirms: Vec<Confirm>,
    read_at: Instant,
}

impl<'w> Turn<'w> {
    /// A turn over the thread's burst.
    pub(super) fn new(burst: &'w mut Burst, read_at: Instant) -> Turn<'w> {
        Turn {
            burst,
            staged: false,
            confirms: Vec::new(),
            read_at,
        }
    }

    /// The burst, to stage something in.
    pub(super) fn staging(&mut self) -> &mut Burst {
        self.staged = true;
        self.burst
    }

    /// Answers a publish once all that was staged so far is safe.
    pub(super) fn confirm(&mut self, confirm: Confirm) {
        self.confirms.push(confirm);
    }

    /// Hands what was staged to the broker.
    pub(super) fn submit(&mut self, link: &Link) {
        let ticket = match std::mem::take(&mut self.staged) {
            true => self.burst.submit(link.broker()),
            false => None,
        };
        if !self.confirms.is_empty() {
            link.owe(ticket, std::mem::take(&mut self.confirms), self.read_at);
        }
    }
}
