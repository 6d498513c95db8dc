//! What a turn owes in MQTT: acknowledgements.
//!
//! Invariants
//! - Acknowledgements go out in the order of the packets that they answer, when what they stand for
//!   is safe: those of a turn wait for the ticket of its burst.

use std::sync::Arc;

use ferry_broker::Ticket;

use super::wire::{Ack, Link};
use crate::turn;

/// The work of one socket read.
pub(crate) type Turn<'w> = turn::Turn<'w, Ack>;

impl Turn<'_> {
    /// Answers a packet once all that was staged so far is safe.
    pub(crate) fn ack(&mut self, ack: Ack) {
        self.owed.push(ack);
    }

    /// Hands what was staged to the broker; these PUBLISH packets go out when it is safe.
    pub(crate) fn submit_for(&mut self, link: &Link, ids: Vec<u16>) {
        let ticket = self.hand_over(link.broker());
        self.owe(link, ticket.clone());
        link.owe_publishes(ticket, ids);
    }

    /// Hands what was staged to the broker.
    pub(crate) fn submit(&mut self, link: &Link) {
        let ticket = match self.has_staged() {
            true => self.hand_over(link.broker()),
            false => None,
        };
        self.owe(link, ticket);
    }

    fn owe(&mut self, link: &Link, ticket: Option<Arc<Ticket>>) {
        if !self.owed.is_empty() {
            link.owe_acks(ticket, std::mem::take(&mut self.owed), self.read_at());
        }
    }
}
