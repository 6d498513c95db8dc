//! How much may pass in a second: debts that are paid with time, and the pace of one queue.
//!
//! What passes is charged; what was charged beyond the rate is a debt, and nothing passes until it
//! is paid. A pause that has begun lasts until half a burst is free again, so that what is always
//! over its rate goes on in a few large steps, not one by one, and a timer that fires late costs
//! nothing.
//!
//! Invariants
//! - What passes in a time is at most what the rate gives for it, and what it gives for
//!   [`BURST_MS`], and one message: whatever its size, a message passes when nothing is owed.
//! - Nothing is lost for coming late by less than half a burst.
//! - A clock that goes back far does not make a debt larger.
//!
//! Not here: who shares a debt with whom (the broker's meters).

use super::Queue;
use super::options::Rate;
use crate::Millis;

/// What may pass at once after a pause: as much as the rate gives for this time, in milliseconds.
pub const BURST_MS: u64 = 100;

/// Half of a burst, in milliseconds.
const RESUME_MS: u64 = BURST_MS / 2;

/// The clock has gone back if it shows this much less than before, in milliseconds: threads that
/// look at it one after the other may differ by less.
const WENT_BACK_MS: u64 = 1_000;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u128 = 1_000_000_000;

/// When all that has passed is paid, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Debt(pub u64);

impl Debt {
    /// The debt after `units` more have passed at a rate of `per_s`, which is not 0.
    #[must_use]
    pub fn charged(self, units: u64, per_s: u64, now: Millis) -> Debt {
        let per_s = u128::from(per_s.max(1));
        let cost_ns = (u128::from(units) * NS_PER_S + per_s / 2) / per_s;
        let cost_ns = u64::try_from(cost_ns).unwrap_or(u64::MAX);
        let from = nanos(now.saturating_sub(BURST_MS));
        Debt(self.0.max(from).saturating_add(cost_ns))
    }

    /// Whether it is not paid yet.
    pub fn is_owed(self, now: Millis) -> bool {
        self.0 > nanos(now)
    }

    /// When whoever pauses for it goes on.
    pub fn resumes_at(self) -> Millis {
        self.0.div_ceil(NS_PER_MS) + RESUME_MS
    }

    /// What is owed when the rate changes, none being 0: as many units as before.
    #[must_use]
    pub fn rescaled(self, old_per_s: u64, new_per_s: u64, now: Millis) -> Debt {
        if old_per_s == 0 || new_per_s == 0 {
            return Debt::default();
        }
        let owed_ns = u128::from(self.0.saturating_sub(nanos(now)));
        let owed_ns = owed_ns * u128::from(old_per_s) / u128::from(new_per_s);
        let owed_ns = u64::try_from(owed_ns).unwrap_or(u64::MAX);
        match owed_ns {
            0 => self,
            owed_ns => Debt(nanos(now).saturating_add(owed_ns)),
        }
    }

    /// The same debt by a clock that has gone back.
    #[must_use]
    pub fn moved_back(self, time_ms: u64) -> Debt {
        Debt(self.0.saturating_sub(nanos(time_ms)))
    }
}

/// By how much the clock has gone back, if it has.
pub fn went_back(seen: Millis, now: Millis) -> Option<u64> {
    let back_ms = seen.saturating_sub(now);
    (back_ms >= WENT_BACK_MS).then_some(back_ms)
}

fn nanos(time_ms: Millis) -> u64 {
    time_ms.saturating_mul(NS_PER_MS)
}

/// The pace at which one queue delivers.
#[derive(Debug, Default)]
pub(super) struct Pace {
    rate: Rate,
    messages: Debt,
    bytes: Debt,
    /// End of the pause; 0 if there is none.
    resumes_at: Millis,
    /// The time of the last look.
    seen: Millis,
}

impl Pace {
    fn set_rate(&mut self, rate: Rate, now: Millis) {
        let (old, new) = (self.rate, rate);
        let rescaled = |debt: Debt, old: Option<u64>, new: Option<u64>| {
            debt.rescaled(old.unwrap_or(0), new.unwrap_or(0), now)
        };
        self.messages = rescaled(self.messages, old.messages, new.messages);
        self.bytes = rescaled(self.bytes, old.bytes, new.bytes);
        self.rate = new;
        self.resumes_at = self.resumes_at.min(now);
        self.pause(now);
    }

    /// Whether the next message may go; ends a pause that is over.
    pub fn allows(&mut self, now: Millis) -> bool {
        if let Some(back_ms) = went_back(self.seen, now) {
            self.messages = self.messages.moved_back(back_ms);
            self.bytes = self.bytes.moved_back(back_ms);
            self.resumes_at = self.resumes_at.saturating_sub(back_ms);
        }
        self.seen = now;
        if self.resumes_at <= now {
            self.resumes_at = 0;
        }
        self.resumes_at == 0
    }

    /// A message of that many bytes goes.
    pub fn spend(&mut self, bytes: u32, now: Millis) {
        if let Some(per_s) = self.rate.messages {
            self.messages = self.messages.charged(1, per_s, now);
        }
        if let Some(per_s) = self.rate.bytes {
            self.bytes = self.bytes.charged(bytes.into(), per_s, now);
        }
        self.pause(now);
    }

    /// Begins or prolongs a pause if something is owed. One that is over ends in `allows`, so that
    /// nobody who waits for that is forgotten.
    fn pause(&mut self, now: Millis) {
        let debt = self.messages.max(self.bytes);
        if debt.is_owed(now) {
            self.resumes_at = debt.resumes_at();
        }
    }
}

impl Queue {
    /// Starts, changes or ends the pace as the options say.
    pub(super) fn fit_pace(&mut self, now: Millis) {
        let rate = self.options.deliver_rate;
        match (rate.is_bound(), &mut self.pace) {
            (false, pace) => *pace = None,
            (true, pace) => pace.get_or_insert_default().set_rate(rate, now),
        }
    }

    /// Whether the next message may be delivered now.
    pub(super) fn pace_allows(&mut self, now: Millis) -> bool {
        self.pace.as_mut().is_none_or(|pace| pace.allows(now))
    }

    /// A message of that many bytes is delivered.
    pub(super) fn pace_spend(&mut self, bytes: u32, now: Millis) {
        if let Some(pace) = &mut self.pace {
            pace.spend(bytes, now);
        }
    }

    /// Whether a pause is over by now.
    pub(super) fn pace_resumes(&self, now: Millis) -> bool {
        self.pace_deadline().is_some_and(|at| at <= now)
    }

    /// When a pause ends that somebody waits for.
    pub(super) fn pace_deadline(&self) -> Option<Millis> {
        let pace = self.pace.as_ref().filter(|pace| pace.resumes_at > 0)?;
        let awaited = self.ready.count() > 0 && self.consumers.count() > 0;
        awaited.then_some(pace.resumes_at)
    }
}
