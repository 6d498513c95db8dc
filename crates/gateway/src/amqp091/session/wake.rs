//! The timer of a session: its own ticks, and the end of waits for the sake of rates.
//!
//! Invariants
//! - A wait is timed by the broker's clock; the instant here only says when to look at it again.

use std::time::{Duration, Instant};

use ferry_broker::Burst;

use super::{Phase, Session};
use crate::amqp091::turn::Turn;
use crate::link::event;

impl Session {
    /// When [`Session::tick`] is due.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        self.next_tick.into_iter().chain(self.wake).min()
    }

    /// Notes when a wait is over.
    pub(super) fn plan_wake(&mut self, now: Instant) {
        self.wake = match &self.phase {
            Phase::Running(running) => running.wakes_at().map(|at| {
                let wait_ms = at.saturating_sub(running.common.broker.now());
                now + Duration::from_millis(wait_ms.max(1))
            }),
            _ => None,
        };
    }

    /// Goes on with what waited, if it is time, or if rates have changed.
    pub(super) fn wake_up(&mut self, events: u32, burst: &mut Burst, now: Instant) {
        let due = self.wake.is_some_and(|at| at <= now);
        if let Phase::Running(running) = &mut self.phase
            && (due || events & event::RATES != 0)
        {
            let mut turn = Turn::new(burst);
            let woken = match events & event::RATES {
                0 => running.wake_up(&mut turn),
                _ => running.rates_changed(&mut turn),
            };
            turn.submit(&running.common);
            if let Err(end) = woken {
                self.end(end, &mut turn, now);
            }
        }
        self.plan_wake(now);
    }
}
