//! Publish rates of a connection: when its publishes are held, and what the client hears of it.
//!
//! A client that publishes faster than its rates is held for a moment again and again. It is told
//! when one wait is longer than [`TOLD_WAIT_MS`], or when the waits go on
//! for [`TOLD_AFTER_MS`]; and told the contrary when it was not held for [`FREE_MS`].
//!
//! Invariants
//! - What was published is counted when it has been published: a rate loses and refuses nothing.
//! - Whoever has waited publishes one message at least.
//! - A connection without rates has no timer and looks at one flag per read.
//!
//! Not here: what waits and how the client is told (the protocol), what is owed
//! (`ferry_broker::ConnectionLimits`).

use std::sync::Arc;

use ferry_broker::{ConnectionLimits, Hold};
use ferry_core::Millis;

/// A wait that is longer is told at once, in milliseconds.
const TOLD_WAIT_MS: u64 = 200;
/// Waits that go on for so long are told, in milliseconds.
const TOLD_AFTER_MS: u64 = 1_000;
/// Without a wait for so long a connection is free again, in milliseconds.
const FREE_MS: u64 = 200;

/// The publish rates of one connection.
pub(crate) struct Pacing {
    limits: Arc<ConnectionLimits>,
    hold: Option<Box<Hold>>,
    /// Since when it is held again and again.
    throttled_since: Millis,
    /// When it was let go last.
    released_at: Millis,
    told: bool,
}

impl Pacing {
    /// Nothing was published yet.
    pub(crate) fn new(limits: Arc<ConnectionLimits>) -> Pacing {
        Pacing {
            limits,
            hold: None,
            throttled_since: 0,
            released_at: 0,
            told: false,
        }
    }

    /// Whether publishes are counted.
    pub(crate) fn is_metered(&self) -> bool {
        self.limits.meters_publishes()
    }

    /// Whether publishes are held.
    pub(crate) fn is_holding(&self) -> bool {
        self.hold.is_some()
    }

    /// Why publishes are held.
    pub(crate) fn reason(&self) -> Option<String> {
        self.hold.as_ref().map(|hold| hold.reason())
    }

    /// More has come: held if others that share a rate are in debt.
    pub(crate) fn begin(&mut self, now: Millis) {
        if self.hold.is_none()
            && let Some(hold) = self.limits.publish_owed(now)
        {
            self.hold(hold, now);
        }
    }

    /// A message of so many bytes was published, for which a queue wants `hold`.
    pub(crate) fn charge(&mut self, bytes: usize, hold: Option<Hold>, now: Millis) {
        let own = match self.limits.meters_publishes() {
            true => self.limits.charge_publish(bytes as u64, now),
            false => None,
        };
        if let Some(hold) = Hold::longer(own, hold) {
            self.hold(hold, now);
        }
    }

    fn hold(&mut self, hold: Hold, now: Millis) {
        self.limits.count_held_publisher(&hold);
        if now.saturating_sub(self.released_at) >= FREE_MS {
            self.throttled_since = now;
        }
        self.hold = Some(Box::new(hold));
    }

    /// Whether the client is to be told now that it is held; it is told then.
    pub(crate) fn tells(&mut self, now: Millis) -> bool {
        let Some(hold) = self.hold.as_ref().filter(|_| !self.told) else {
            return false;
        };
        let wait_ms = hold.resumes_at.saturating_sub(now);
        let since_ms = now.saturating_sub(self.throttled_since);
        self.told = wait_ms > TOLD_WAIT_MS || since_ms >= TOLD_AFTER_MS;
        self.told
    }

    /// Lets publishes go on if it is time; whether they were held.
    pub(crate) fn release(&mut self, now: Millis) -> bool {
        match &self.hold {
            Some(hold) if hold.resumes_at <= now => {
                self.release_now(now);
                true
            }
            _ => false,
        }
    }

    /// Rates are others now: publishes go on, unless something is owed to these. What is owed to a
    /// queue is known at the next publish to it.
    pub(crate) fn rates_changed(&mut self, now: Millis) {
        self.release_now(now);
        self.begin(now);
    }

    fn release_now(&mut self, now: Millis) {
        if self.hold.take().is_some() {
            self.released_at = now;
        }
    }

    /// Whether the client is to be told now that it is free again; it is told then.
    pub(crate) fn tells_free(&mut self, now: Millis) -> bool {
        let free_ms = now.saturating_sub(self.released_at);
        let tells = self.told && self.hold.is_none() && free_ms >= FREE_MS;
        self.told &= !tells;
        tells
    }

    /// Whether the client believes that it is held.
    pub(crate) fn has_told(&self) -> bool {
        self.told
    }

    /// When there is something to do.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        match &self.hold {
            Some(hold) => Some(hold.resumes_at),
            None => self.told.then(|| self.released_at + FREE_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use ferry_broker::{ConnectionInfo, LimitsOf, RateOf};
    use ferry_core::arguments::Value;

    use super::*;
    use crate::for_tests::{NOW, broker};

    fn pacing() -> Pacing {
        let admitted = broker(1 << 20).admit_connection(ConnectionInfo::default());
        Pacing::new(admitted.unwrap().limits)
    }

    /// A wait that begins and ends then. Says whether the client was told of the one, the other.
    fn wait(pacing: &mut Pacing, from: Millis, until: Millis) -> [bool; 2] {
        let free = pacing.tells_free(from);
        pacing.hold(
            Hold {
                resumes_at: until,
                of: RateOf::Connection,
                bytes: false,
            },
            from,
        );
        assert_eq!(pacing.wakes_at(), Some(until));
        assert!(!pacing.release(until - 1) && pacing.is_holding());
        let told = pacing.tells(from);
        assert!(!pacing.tells(from), "it is told once");
        assert!(pacing.release(until) && !pacing.is_holding());
        [told, free]
    }

    #[test]
    fn long_waits_and_many_waits_are_told_and_short_ones_are_not() {
        for (waits, told_at) in [
            (&[(0, 200)][..], None),
            (&[(0, 201)], Some(0)),
            (&[(0, 60), (100, 160), (900, 960), (1_000, 1_060)], None),
            (
                &[
                    (0, 100),
                    (200, 300),
                    (400, 500),
                    (600, 700),
                    (800, 900),
                    (999, 1_050),
                ],
                None,
            ),
            (
                &[
                    (0, 100),
                    (200, 300),
                    (400, 500),
                    (600, 700),
                    (800, 900),
                    (1_000, 1_050),
                ],
                Some(5),
            ),
        ] {
            let mut pacing = pacing();
            let at = |(from, until): (u64, u64)| (NOW + from, NOW + until);
            let tell = |wait_of: &(u64, u64)| {
                let (from, until) = at(*wait_of);
                wait(&mut pacing, from, until)[0]
            };
            let told: Vec<_> = waits.iter().map(tell).collect();
            assert_eq!(told.iter().position(|told| *told), told_at, "{waits:?}");
        }
    }

    #[test]
    fn who_was_told_hears_when_it_is_free_and_only_then() {
        let mut pacing = pacing();
        assert_eq!(wait(&mut pacing, NOW, NOW + 500), [true, false]);
        assert_eq!(pacing.wakes_at(), Some(NOW + 700));
        assert!(!pacing.tells_free(NOW + 699));
        // Held again in time: that is the same wait to the client.
        assert_eq!(wait(&mut pacing, NOW + 699, NOW + 800), [false, false]);
        assert!(pacing.has_told());
        assert!(pacing.tells_free(NOW + 1_000) && !pacing.has_told());
        assert!(!pacing.tells_free(NOW + 2_000), "it is told once");
        assert_eq!(pacing.wakes_at(), None);
        assert_eq!(wait(&mut pacing, NOW + 9_000, NOW + 9_100), [false, false]);
    }

    #[test]
    fn who_is_let_go_by_others_may_go_at_once() {
        let mut pacing = pacing();
        let hold = Hold {
            resumes_at: NOW + 86_400_000,
            of: RateOf::Queue("q".into()),
            bytes: true,
        };
        pacing.charge(10, Some(hold), NOW);
        assert_eq!(
            pacing.reason().as_deref(),
            Some("publish-byte-rate of queue 'q'")
        );
        assert!(pacing.is_holding() && pacing.tells(NOW));
        pacing.rates_changed(NOW + 5);
        assert!(!pacing.is_holding());
        assert_eq!(pacing.wakes_at(), Some(NOW + 205));
    }

    #[test]
    fn what_is_owed_is_owed_to_other_rates_too() {
        let broker = broker(1 << 20);
        let admitted = broker.admit_connection(ConnectionInfo {
            vhost: "/".to_owned(),
            ..ConnectionInfo::default()
        });
        let mut pacing = Pacing::new(admitted.unwrap().limits);
        let set = |rate: i64| {
            let vhost = LimitsOf::Vhost("/".into());
            broker.set_limit(vhost, "publish-byte-rate", &Value::I64(rate))
        };
        set(10).unwrap();
        pacing.charge(20_000, None, NOW);
        assert!(pacing.is_holding());
        pacing.rates_changed(NOW);
        assert!(pacing.is_holding(), "nothing passes in between");
        set(10_000).unwrap();
        pacing.rates_changed(NOW);
        assert!(pacing.wakes_at().is_some_and(|at| at < NOW + 2_500));
        let vhost = LimitsOf::Vhost("/".into());
        broker.clear_limit(vhost, "publish-byte-rate").unwrap();
        pacing.rates_changed(NOW);
        assert!(!pacing.is_holding());
    }
}
