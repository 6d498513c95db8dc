//! A ticket stands for all that one burst published with confirms.
//!
//! Invariants
//! - A ticket is resolved once, when the last partition has applied its part.
//! - Its promise covers every part; its rejected tags are complete once it is resolved.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::Promise;

/// One publish that asked for a confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfirmTag {
    /// Channel, or what the door has in its place.
    pub channel: u16,
    /// Number of the publish on that channel.
    pub tag: u64,
}

/// Is told when a ticket is resolved.
pub trait TicketWaiter: Send + Sync {
    /// The ticket is resolved.
    fn ticket_resolved(&self);
}

struct State {
    parts_left: usize,
    promise: Promise,
    rejected: Vec<ConfirmTag>,
    failed: bool,
    waiter: Option<Arc<dyn TicketWaiter>>,
}

/// The fate of a burst's publishes.
pub struct Ticket(Mutex<State>);

impl Ticket {
    pub(crate) fn new(parts: usize) -> Arc<Ticket> {
        Arc::new(Ticket(Mutex::new(State {
            parts_left: parts,
            promise: Promise::Now,
            rejected: Vec::new(),
            failed: false,
            waiter: None,
        })))
    }

    /// A part was applied. A part that could not be written leaves the ticket open for ever:
    /// nothing of it is confirmed, and the node stops.
    pub(crate) fn part_done(&self, promise: Option<Promise>, rejected: &mut Vec<ConfirmTag>) {
        let waiter = {
            let mut state = self.0.lock();
            state.parts_left -= 1;
            state.rejected.append(rejected);
            match promise {
                Some(promise) => state.promise = state.promise.max(promise),
                None => state.failed = true,
            }
            if state.parts_left > 0 || state.failed {
                None
            } else {
                state.waiter.take()
            }
        };
        if let Some(waiter) = waiter {
            waiter.ticket_resolved();
        }
    }

    /// What the confirms wait for now that all is applied; none before that.
    pub fn resolved(&self) -> Option<Promise> {
        let state = self.0.lock();
        (state.parts_left == 0 && !state.failed).then_some(state.promise)
    }

    /// The publishes that a queue refused; complete once resolved.
    pub fn rejected(&self) -> Vec<ConfirmTag> {
        let mut rejected = self.0.lock().rejected.clone();
        rejected.sort_unstable();
        rejected.dedup();
        rejected
    }

    /// Tells `waiter` when it is resolved. False if it is already: the waiter is not kept.
    pub fn on_resolved(&self, waiter: Arc<dyn TicketWaiter>) -> bool {
        let mut state = self.0.lock();
        if state.parts_left == 0 {
            return false;
        }
        state.waiter = Some(waiter);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_log::Position;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Count(AtomicU32);

    impl TicketWaiter for Count {
        fn ticket_resolved(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_ticket_resolves_with_its_last_part() {
        let ticket = Ticket::new(2);
        let count = Arc::new(Count(AtomicU32::new(0)));
        assert!(ticket.on_resolved(count.clone()));
        let tag = ConfirmTag { channel: 1, tag: 7 };
        ticket.part_done(Some(Promise::Synced(Position(9))), &mut vec![tag]);
        assert_eq!(
            (ticket.resolved(), count.0.load(Ordering::Relaxed)),
            (None, 0)
        );
        ticket.part_done(Some(Promise::Now), &mut vec![tag]);
        assert_eq!(ticket.resolved(), Some(Promise::Synced(Position(9))));
        assert_eq!(
            (ticket.rejected(), count.0.load(Ordering::Relaxed)),
            (vec![tag], 1)
        );
        assert!(!ticket.on_resolved(count));
    }

    #[test]
    fn a_part_that_was_not_written_is_never_confirmed() {
        let ticket = Ticket::new(1);
        ticket.part_done(None, &mut Vec::new());
        assert_eq!(ticket.resolved(), None);
    }
}
