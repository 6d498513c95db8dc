//! Acts on single messages where they are: dropped, given another time, their leases ended.
//!
//! Invariants
//! - Who did what, and to how many, is logged once per act.
//! - The promise that an act returns is kept when the act outlives a loss of power.

use ferry_core::Millis;
use ferry_core::facts::Facts;
use ferry_core::limits::DELAY_MS_MAX;
use ferry_core::queue::{Held, LeaseId, Outcome, Settled, Spot};
use ferry_log::Need;

use super::reference::MessageRef;
use crate::partition::{State, StateContext};
use crate::{Broker, OperateError, Promise, QueueHandle, RETAINED_QUEUE};

impl Broker {
    /// Drops a message that is ready or waits for its time.
    pub fn cancel_message(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        actor: &str,
    ) -> Result<Promise, OperateError> {
        self.cancel_once(queue, name, actor)?;
        audit(actor, queue, "cancelled", 1);
        self.promise_all()
    }

    pub(super) fn cancel_once(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        actor: &str,
    ) -> Result<(), OperateError> {
        self.with_state(queue, |state, cx| {
            let lease = state.borrow(cx, self.run, queue, name)?;
            state.note_cancelled(cx, queue, lease, actor);
            state.settle_borrowed(cx, queue, lease, Outcome::Accept);
            Ok(())
        })
    }

    /// Gives a message that waits for its time another time, in milliseconds since the Unix
    /// epoch; one in the past makes it ready. Returns its name at the new place.
    pub fn reschedule_message(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        at: Millis,
        actor: &str,
    ) -> Result<(MessageRef, Promise), OperateError> {
        if at > self.now().saturating_add(DELAY_MS_MAX) {
            let range = format!("at most {DELAY_MS_MAX} ms from now");
            return Err(OperateError::out_of_range("the time", range));
        }
        let Spot::Delayed { at: old, seq } = name.spot else {
            return Err(OperateError::NotDelayed);
        };
        let spot = self.with_state(queue, |state, cx| {
            state.named(self.run, queue, name)?;
            let moved = state.with_queue(cx, queue.place(), &[], |core, context| {
                core.reschedule(old, seq, at, context)
            });
            let at = moved.flatten().ok_or(OperateError::NotFound)?;
            Ok::<Spot, OperateError>(Spot::Delayed { at, seq })
        })?;
        audit(actor, queue, "rescheduled", 1);
        let run = self.run;
        Ok((MessageRef { spot, run, ..*name }, self.promise_all()?))
    }

    /// Gives a lease so much time from now, in milliseconds; without a number as much as the
    /// queue gives.
    pub fn extend_leased(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        time_ms: Option<u64>,
        actor: &str,
    ) -> Result<(), OperateError> {
        if time_ms.is_some_and(|time_ms| time_ms == 0 || time_ms > DELAY_MS_MAX) {
            let range = format!("from 1 to {DELAY_MS_MAX} ms");
            return Err(OperateError::out_of_range("the time of a lease", range));
        }
        let extended = self.with_state(queue, |state, cx| {
            let lease = state.lease_outside(self.run, queue, name)?;
            let extend = state.with_queue(cx, queue.place(), &[], |core, context| {
                core.extend(lease, time_ms, context.now)
            });
            match extend {
                Some(Settled::Done) => Ok(()),
                _ => Err(OperateError::NotFound),
            }
        });
        extended?;
        audit(actor, queue, "given more time", 1);
        Ok(())
    }

    /// Ends a lease for whoever has it; the settle of that one will be too late.
    pub fn end_leased(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        outcome: Outcome,
        actor: &str,
    ) -> Result<Promise, OperateError> {
        let ended = self.with_state(queue, |state, cx| {
            let lease = state.lease_outside(self.run, queue, name)?;
            let revoke = state.with_queue(cx, queue.place(), &[], |core, context| {
                core.revoke(lease, outcome, context)
            });
            match revoke {
                Some(Settled::Done) => Ok(()),
                _ => Err(OperateError::NotFound),
            }
        });
        ended?;
        audit(actor, queue, "taken back", 1);
        self.promise_all()
    }

    /// Promises that everything so far is safe.
    pub(crate) fn promise_all(&self) -> Result<Promise, OperateError> {
        self.after_act();
        Ok(self.write_transaction(&Facts::default(), Need::Sync)?)
    }
}

/// Says who did what.
pub(crate) fn audit(actor: &str, queue: &QueueHandle, act: &str, messages: u64) {
    tracing::info!(
        actor,
        queue = queue.name(),
        vhost = queue.vhost(),
        messages,
        "messages were {act}"
    );
}

impl State {
    /// Takes a message that is ready or delayed, to be dropped or moved.
    pub(super) fn borrow(
        &mut self,
        cx: &StateContext<'_>,
        run: u32,
        queue: &QueueHandle,
        name: &MessageRef,
    ) -> Result<LeaseId, OperateError> {
        let entry = self.named(run, queue, name)?;
        let spot = match name.spot {
            Spot::Leased(_) => return Err(OperateError::Leased),
            // What is past its time is on its way out already.
            Spot::Ready { .. } if queue.check_taking().is_err() => {
                return Err(OperateError::Stream);
            }
            Spot::Ready { .. } if entry.expired(cx.now) => return Err(OperateError::NotFound),
            spot => spot,
        };
        let borrowed = self.with_queue(cx, queue.place(), &[], |core, context| {
            core.borrow(spot, entry.position(), context)
        });
        let outgoing = borrowed.flatten().ok_or(OperateError::NotFound)?;
        outgoing.lease.ok_or(OperateError::NotFound)
    }

    /// Ends the lease of a borrowed message.
    pub(super) fn settle_borrowed(
        &mut self,
        cx: &StateContext<'_>,
        queue: &QueueHandle,
        lease: LeaseId,
        outcome: Outcome,
    ) {
        self.with_queue(cx, queue.place(), &[], |core, context| {
            core.settle(lease, outcome, context)
        });
    }

    /// The lease of that name, if somebody outside has it.
    fn lease_outside(
        &self,
        run: u32,
        queue: &QueueHandle,
        name: &MessageRef,
    ) -> Result<LeaseId, OperateError> {
        let Spot::Leased(lease) = name.spot else {
            return Err(OperateError::NotLeased);
        };
        self.named(run, queue, name)?;
        let core = self.queue(queue.place());
        match core.and_then(|core| core.lease_info(lease)) {
            // The broker itself holds what is retained.
            Some(_) if queue.name() == RETAINED_QUEUE => Err(OperateError::NotLeased),
            Some(info) if matches!(info.held, Held::Consumer(_) | Held::Get) => Ok(lease),
            _ => Err(OperateError::NotLeased),
        }
    }
}
