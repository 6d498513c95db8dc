//! What a turn owes in JSON: answers to publishes.

use super::wire::{Confirm, Link};
use crate::turn;

/// The work of one socket read.
pub(super) type Turn<'w> = turn::Turn<'w, Confirm>;

impl Turn<'_> {
    /// Answers a publish once all that was staged so far is safe.
    pub(super) fn confirm(&mut self, confirm: Confirm) {
        self.owed.push(confirm);
    }

    /// Hands what was staged to the broker.
    pub(super) fn submit(&mut self, link: &Link) {
        let ticket = match self.has_staged() {
            true => self.hand_over(link.broker()),
            false => None,
        };
        if !self.owed.is_empty() {
            link.owe(ticket, std::mem::take(&mut self.owed), self.read_at());
        }
    }
}
