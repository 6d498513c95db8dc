//! The timer of a session: signs of life, the end of waits for the sake of rates, and that of a
//! log-in which does not last.
//!
//! Invariants
//! - A client is given up when it was silent for all of its time, never before; while it is held
//!   back, its silence means nothing, but for one that takes nothing of what waits for it.
//! - A wait is timed by the broker's clock; the instant here only says when to look at it again.

use std::time::{Duration, Instant};

use mqtt::ReasonCode;

use super::{Phase, Session};
use crate::link::event;
use crate::mqtt::common::End;
use crate::mqtt::turn::Turn;

/// After how long the clock is looked at again, however far away the end is.
const WAIT_MS_MAX: u64 = 3_600_000;

impl Session {
    /// Ends a connection whose client was silent for too long.
    pub(super) fn look_for_life(
        &mut self,
        silence_max: Option<Duration>,
        is_read: bool,
        turn: &mut Turn<'_>,
        now: Instant,
    ) {
        let Some(silence_max) = silence_max else {
            self.next_tick = None;
            return;
        };
        let sent = self.link.sent_bytes();
        let taken = std::mem::replace(&mut self.sent_before, sent) != sent;
        if self.link.excuses_silence(is_read, taken) {
            self.heard = now;
        }
        let gives_up_at = self.heard + silence_max;
        if gives_up_at > now {
            self.next_tick = Some(gives_up_at);
            return;
        }
        let text = "nothing came for one and a half times the keep-alive";
        self.end(End::refused(ReasonCode::KeepAliveTimeout, text), turn);
    }

    fn has_expired(&self) -> bool {
        let Phase::Open(open) = &self.phase else {
            return false;
        };
        let common = open.common();
        let expires_at = common.user.expires_at();
        expires_at.is_some_and(|at| at <= common.broker.now())
    }

    /// Notes when a wait is over.
    pub(super) fn plan_wake(&mut self, now: Instant) {
        let Phase::Open(open) = &self.phase else {
            self.wake = None;
            return;
        };
        let (running, common) = (&open.running, open.common());
        self.link
            .front
            .show(running.publishes(), running.is_paced());
        let waits = running.wakes_at().into_iter();
        let next = waits.chain(common.user.expires_at()).min();
        self.wake = next.map(|at| {
            let wait_ms = at.saturating_sub(common.broker.now());
            now + Duration::from_millis(wait_ms.clamp(1, WAIT_MS_MAX))
        });
    }

    /// Goes on with what waited, if it is time, or if rates have changed.
    pub(super) fn wake_up(&mut self, events: u32, turn: &mut Turn<'_>, now: Instant) {
        let due = self.wake.is_some_and(|at| at <= now);
        if due && self.has_expired() {
            let text = "the credential has expired";
            self.end(End::refused(ReasonCode::MaximumConnectTime, text), turn);
        }
        if let Phase::Open(open) = &mut self.phase
            && (due || events & event::RATES != 0)
        {
            let woken = open.running.wake_up(events, turn);
            turn.submit(&self.link);
            if let Err(end) = woken {
                self.end(end, turn);
            }
        }
        self.plan_wake(now);
    }
}
