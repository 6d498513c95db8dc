//! The timer of a session: its own ticks, the end of waits for the sake of rates, and that of a
//! log-in which does not last.
//!
//! Invariants
//! - A wait is timed by the broker's clock; the instant here only says when to look at it again.

use std::time::{Duration, Instant};

use amqp091::ReplyCode;
use ferry_broker::Burst;

use super::{Phase, Session};
use crate::amqp091::errors::Refusal;
use crate::amqp091::running::End;
use crate::amqp091::turn::Turn;
use crate::link::event;

/// After how long the clock is looked at again, however far away the end is.
const WAIT_MS_MAX: u64 = 3_600_000;

impl Session {
    fn has_expired(&self) -> bool {
        let Phase::Running(running) = &self.phase else {
            return false;
        };
        let common = &running.common;
        let expires_at = common.user.expires_at();
        expires_at.is_some_and(|at| at <= common.broker.now())
    }

    /// Notes when a wait is over.
    pub(super) fn plan_wake(&mut self, now: Instant) {
        if let Phase::Running(running) = &self.phase {
            self.link
                .front
                .show(running.publishes(), running.is_paced());
        }
        self.wake = match &self.phase {
            Phase::Running(running) => {
                let expires_at = running.common.user.expires_at();
                running
                    .wakes_at()
                    .into_iter()
                    .chain(expires_at)
                    .min()
                    .map(|at| {
                        let wait_ms = at.saturating_sub(running.common.broker.now());
                        now + Duration::from_millis(wait_ms.clamp(1, WAIT_MS_MAX))
                    })
            }
            _ => None,
        };
    }

    /// Goes on with what waited, if it is time, or if rates have changed.
    pub(super) fn wake_up(&mut self, events: u32, burst: &mut Burst, now: Instant) {
        let due = self.wake.is_some_and(|at| at <= now);
        if due && self.has_expired() {
            let refusal = Refusal::new(ReplyCode::ConnectionForced, "credential expired");
            let mut turn = Turn::new(burst);
            self.end(End::Close(refusal), &mut turn, now);
        }
        if let Phase::Running(running) = &mut self.phase
            && (due || events & event::RATES != 0)
        {
            let mut turn = Turn::new(burst);
            let woken = match events & event::RATES {
                0 => running.wake_up(&mut turn),
                _ => running.rates_changed(&mut turn),
            };
            running.submit(&mut turn);
            if let Err(end) = woken {
                self.end(end, &mut turn, now);
            }
        }
        self.plan_wake(now);
    }
}
