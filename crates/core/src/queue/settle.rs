//! Ending leases: by who holds them, by their deadline, by an operator.
//!
//! Invariants
//! - A try counts once: when its message comes back, however it does.
//! - What a consumer has not settled counts against it until it does, also after its lease ended.

use super::Queue;
use super::effect::{Context, Outcome, Settled};
use super::entry::Entry;
use super::lease::{Ended, Holder, Lease, LeaseId};
use super::passport::Step;
use crate::Millis;
use crate::facts::{Change, Facts};
use crate::reason::DeadLetterReason;

/// Leases that end by themselves in one tick, so that nobody waits long for the partition.
const OVERDUE_MAX: usize = 4096;

impl Queue {
    /// The holder ends its lease.
    pub fn settle(&mut self, id: LeaseId, outcome: Outcome, cx: &mut Context<'_>) -> Settled {
        self.settle_as(id, outcome, false, cx)
    }

    /// The same for a settle that a transaction has written down already.
    pub fn settle_recorded(
        &mut self,
        id: LeaseId,
        outcome: Outcome,
        cx: &mut Context<'_>,
    ) -> Settled {
        self.settle_as(id, outcome, true, cx)
    }

    fn settle_as(
        &mut self,
        id: LeaseId,
        outcome: Outcome,
        recorded: bool,
        cx: &mut Context<'_>,
    ) -> Settled {
        if let Some(settled) = self.settle_reading(id, cx) {
            return settled;
        }
        let ended = self.leases.end(id);
        if let Ended::Lease(Lease { holder, .. }) | Ended::Late(holder) = &ended
            && let Holder::Consumer(slot) = holder
        {
            self.consumers.settled(*slot);
            self.call(*slot);
        }
        let settled = match ended {
            Ended::Lease(mut lease) => {
                // Its end is not written twice.
                lease.entry.durable &= !(recorded && outcome == Outcome::Accept);
                self.finish(lease, outcome, cx);
                Settled::Done
            }
            Ended::Late(_) | Ended::Unknown => Settled::Late,
        };
        self.deliver_ready(cx);
        settled
    }

    /// Somebody else ends a lease; its holder's settle will be too late.
    pub fn revoke(&mut self, id: LeaseId, outcome: Outcome, cx: &mut Context<'_>) -> Settled {
        let Some(lease) = self.leases.revoke(id) else {
            return Settled::Late;
        };
        self.finish(lease, outcome, cx);
        self.deliver_ready(cx);
        Settled::Done
    }

    /// Gives a lease so much time from now; without a number as much as the queue gives, and no
    /// deadline if it gives none. Those who read a stream have all the time that they need.
    pub fn extend(&mut self, id: LeaseId, time_ms: Option<u64>, now: Millis) -> Settled {
        if self.is_stream() {
            return Settled::Done;
        }
        let deadline = match time_ms {
            Some(time_ms) => now.saturating_add(time_ms).max(1),
            None => self.lease_deadline(now),
        };
        match self.leases.set_deadline(id, deadline) {
            true => Settled::Done,
            false => Settled::Late,
        }
    }

    /// When a lease that is opened now ends by itself; 0 for never.
    pub(super) fn lease_deadline(&self, now: Millis) -> Millis {
        let timeout = self.options.lease_timeout_ms;
        timeout.map_or(0, |timeout_ms| now.saturating_add(timeout_ms))
    }

    /// Ends the leases whose time has passed. Says how many.
    pub(super) fn end_overdue(&mut self, cx: &mut Context<'_>) -> usize {
        let mut count = 0;
        while count < OVERDUE_MAX
            && let Some(id) = self.leases.overdue(cx.now)
            && let Some(lease) = self.leases.revoke(id)
        {
            count += 1;
            self.note(&lease.entry, Step::LeaseExpired, cx);
            self.finish(lease, Outcome::Requeue, cx);
        }
        count
    }

    fn finish(&mut self, lease: Lease, outcome: Outcome, cx: &mut Context<'_>) {
        self.note_end(&lease, outcome, cx);
        let Lease { entry, holder, .. } = lease;
        let key = entry.key;
        let back = match outcome {
            Outcome::Accept => {
                self.gone(&entry, cx);
                false
            }
            Outcome::Reject => {
                self.dead_letter(entry, DeadLetterReason::Rejected, cx);
                false
            }
            Outcome::Requeue => self.try_again(entry, holder, None, cx),
            Outcome::Delay(wait_ms) => self.try_again(entry, holder, wait_ms, cx),
            Outcome::Release => {
                match holder {
                    Holder::Operator(Some(at)) => {
                        self.key_waits(&entry);
                        self.waiting().insert(at, entry);
                    }
                    _ => self.put_back(entry),
                }
                true
            }
        };
        self.key_ended(key, holder, back);
        if back {
            self.fit_length(cx);
        }
    }

    /// The wait before the next try of a message that is out now.
    fn retry_wait(&self, entry: &Entry) -> u64 {
        let failed = entry.returns.saturating_add(1);
        self.options.retry.wait_ms(failed, entry.seq)
    }

    /// False if that was its last try.
    fn try_again(
        &mut self,
        mut entry: Entry,
        holder: Holder,
        wait_ms: Option<u64>,
        cx: &mut Context<'_>,
    ) -> bool {
        let wait_ms = wait_ms.unwrap_or_else(|| self.retry_wait(&entry));
        entry.returns = entry.returns.saturating_add(1);
        entry.redelivered = true;
        entry.returned_by = match holder {
            Holder::Consumer(slot) => slot.preference(),
            _ => 0,
        };
        let tried_out = self.options.is_tried_out(entry.returns);
        if tried_out {
            self.dead_letter(entry, DeadLetterReason::DeliveryLimit, cx);
        } else if wait_ms > 0 {
            self.delay(entry, cx.now.saturating_add(wait_ms), cx);
        } else {
            self.put_back(entry);
        }
        !tried_out
    }

    /// Writes down what a settle that is part of a transaction will do, before it is done.
    pub fn prepare_settle(&self, id: LeaseId, outcome: Outcome, now: Millis, facts: &mut Facts) {
        let Some(lease) = self.leases.get(id) else {
            return;
        };
        let Some(mark) = self.durable_mark(&lease.entry) else {
            return;
        };
        match outcome {
            Outcome::Accept => facts.gone.push(mark),
            Outcome::Reject if self.options.dead_letter.is_none() => facts.gone.push(mark),
            Outcome::Reject => {
                let change = Change::Departed(mark, DeadLetterReason::Rejected);
                facts.changes.push(change);
            }
            Outcome::Delay(wait_ms) => {
                let wait_ms = wait_ms.unwrap_or_else(|| self.retry_wait(&lease.entry));
                let at = now.saturating_add(wait_ms);
                let change = Change::Delayed(mark, at, lease.entry.expires_at);
                facts.changes.push(change);
            }
            Outcome::Requeue | Outcome::Release => {}
        }
    }
}
