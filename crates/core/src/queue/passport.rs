//! What a queue tells of the way of its messages, where its options ask for a passport.
//!
//! Invariants
//! - A queue without a passport tells nothing and pays one look at its options.
//! - What is told stands among the effects in the order in which it happened.
//!
//! Not here: deliveries and dead letters, which are effects already; who keeps what is told.

use super::effect::{Context, Effect, Incoming, Outcome};
use super::entry::{BodyRef, Entry};
use super::lease::{Holder, Lease};
use super::{Enqueued, Queue};
use crate::Millis;
use crate::reason::DeadLetterReason;

/// Something that happened to a message in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is in the queue.
    Entered,
    /// The queue was full and refused it.
    Refused,
    /// The queue had one of its id before.
    Duplicate,
    /// It waits until then.
    Delayed(Millis),
    /// Its wait is over.
    Awake,
    /// Its holder is done with it.
    Acked,
    /// Its holder does not want it.
    Rejected,
    /// It came back; a try that counts.
    Returned,
    /// Nobody settled it in time.
    LeaseExpired,
    /// It left for this reason, and there is nowhere to go for dead letters.
    Dropped(DeadLetterReason),
}

impl Queue {
    #[inline]
    pub(super) fn note(&self, entry: &Entry, step: Step, cx: &mut Context<'_>) {
        if self.options.passport {
            let body = BodyRef::from(&entry.body);
            cx.effects.push(Effect::Passed { body, step });
        }
    }

    /// Tells how a lease ends. What the broker moves is told by who moves it.
    #[inline]
    pub(super) fn note_end(&self, lease: &Lease, outcome: Outcome, cx: &mut Context<'_>) {
        if !self.options.passport || matches!(lease.holder, Holder::Operator(_)) {
            return;
        }
        let step = match outcome {
            Outcome::Accept => Step::Acked,
            Outcome::Reject => Step::Rejected,
            Outcome::Requeue | Outcome::Delay(_) => Step::Returned,
            Outcome::Release => return,
        };
        self.note(&lease.entry, step, cx);
    }

    /// Tells what became of an arriving message, before whatever followed from that.
    #[inline]
    pub fn note_arrival(&self, incoming: &Incoming, result: Enqueued, cx: &mut Context<'_>) {
        if self.options.passport {
            tell_arrival(incoming, result, cx);
        }
    }
}

#[cold]
fn tell_arrival(incoming: &Incoming, result: Enqueued, cx: &mut Context<'_>) {
    let step = match result {
        Enqueued::Taken => Step::Entered,
        Enqueued::Duplicate => Step::Duplicate,
        Enqueued::Rejected => Step::Refused,
    };
    let mut steps = vec![step];
    let wakes_at = incoming.special(cx.staged).deliver_at;
    if let (Step::Entered, Some(at)) = (step, wakes_at.filter(|at| *at > cx.now)) {
        steps.push(Step::Delayed(at));
    }
    let Incoming { offset, len, .. } = *incoming;
    let passed = steps.into_iter().map(|step| Effect::Passed {
        body: BodyRef::Staged { offset, len },
        step,
    });
    cx.effects.splice(0..0, passed);
}
