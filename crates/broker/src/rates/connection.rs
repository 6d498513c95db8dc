//! The limits of one connection: its own, its user's and its virtual host's.
//!
//! Invariants
//! - `metered` says whether any of the three meters of a way has a rate.
//! - A way is held from the moment it owes until the debt that it saw is paid, whatever others
//!   who share the meters do meanwhile; then one message passes at least.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ferry_core::Millis;
use ferry_core::queue::Rate;

use super::{Hold, Meter, RateOf, Throttled};
use crate::limits::{ChannelLimit, Direction, Scope, Seat};
use crate::{Broker, Clock};

/// What goes one way: published by the connection, or delivered to it.
#[derive(Debug, Default)]
struct Way {
    own: Meter,
    metered: AtomicBool,
    /// When what was owed last is paid; 0 if nothing is.
    resumes_at: AtomicU64,
}

impl Way {
    fn refresh(&self, direction: Direction, scopes: [&Scope; 2], now: Millis) {
        let rates = scopes.map(|scope| scope.connection_rate(direction));
        self.own.set_rate(lower(rates[0], rates[1]), now);
        let shared = scopes.iter().any(|scope| scope.meter(direction).is_bound());
        let metered = self.own.is_bound() || shared;
        self.metered.store(metered, Ordering::Relaxed);
        self.resumes_at.store(0, Ordering::Relaxed);
    }

    fn is_metered(&self) -> bool {
        self.metered.load(Ordering::Relaxed)
    }
}

/// Of two rates the lower one, each part by itself.
fn lower(one: Rate, other: Rate) -> Rate {
    let lower = |one: Option<u64>, other| one.into_iter().chain(other).min();
    Rate {
        messages: lower(one.messages, other.messages),
        bytes: lower(one.bytes, other.bytes),
    }
}

/// What bounds one connection.
pub struct ConnectionLimits {
    clock: Arc<dyn Clock>,
    user: Arc<Scope>,
    vhost: Arc<Scope>,
    throttled: Arc<Throttled>,
    publish: Way,
    deliver: Way,
    /// A consumer was refused and waits for its turn.
    awaited: AtomicBool,
}

impl ConnectionLimits {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        vhost: Arc<Scope>,
        user: Arc<Scope>,
        throttled: Arc<Throttled>,
    ) -> ConnectionLimits {
        ConnectionLimits {
            clock,
            user,
            vhost,
            throttled,
            publish: Way::default(),
            deliver: Way::default(),
            awaited: AtomicBool::new(false),
        }
    }

    /// Looks at the limits anew; nobody is held for what was.
    pub(crate) fn refresh(&self) {
        let now = self.clock.now();
        let scopes = [&*self.vhost, &*self.user];
        self.publish.refresh(Direction::Publish, scopes, now);
        self.deliver.refresh(Direction::Deliver, scopes, now);
    }

    /// Takes a place for one more channel, until it is dropped.
    ///
    /// # Errors
    /// When the user has as many as it may have.
    pub fn open_channel(&self) -> Result<Seat, ChannelLimit> {
        self.user.open_channel()
    }

    /// Whether publishes are counted.
    pub fn meters_publishes(&self) -> bool {
        self.publish.is_metered()
    }

    /// What a connection has to wait for before it publishes at all.
    pub fn publish_owed(&self, now: Millis) -> Option<Hold> {
        self.worst(Direction::Publish, |meter| meter.owed(now))
    }

    /// A message was published. Says what has to be waited for before the next.
    pub fn charge_publish(&self, bytes: u64, now: Millis) -> Option<Hold> {
        self.worst(Direction::Publish, |meter| meter.charge(bytes, now))
    }

    /// Somebody is held for that.
    pub fn count_held_publisher(&self, hold: &Hold) {
        self.throttled.publish(&hold.of);
    }

    /// Whether deliveries are counted.
    pub fn meters_deliveries(&self) -> bool {
        self.deliver.is_metered()
    }

    /// Whether a delivery may go now. After a no the door asks [`Self::deliver_resumes_at`].
    pub fn may_deliver(&self) -> bool {
        let now = self.clock.now();
        let resumes_at = self.deliver.resumes_at.load(Ordering::Relaxed);
        if resumes_at == 0
            && let Some(hold) = self.worst(Direction::Deliver, |meter| meter.owed(now))
        {
            self.hold_deliveries(&hold);
            return false;
        }
        resumes_at <= now
    }

    /// A delivery goes.
    pub fn charge_delivery(&self, bytes: u64) {
        let now = self.clock.now();
        match self.worst(Direction::Deliver, |meter| meter.charge(bytes, now)) {
            Some(hold) => self.hold_deliveries(&hold),
            None => self.deliver.resumes_at.store(0, Ordering::Relaxed),
        }
    }

    fn hold_deliveries(&self, hold: &Hold) {
        let resumes_at = &self.deliver.resumes_at;
        resumes_at.store(hold.resumes_at, Ordering::Relaxed);
        self.throttled.deliver(&hold.of);
    }

    /// A consumer waits until deliveries go on.
    pub fn await_deliveries(&self) {
        self.awaited.store(true, Ordering::SeqCst);
    }

    /// When deliveries go on that a consumer waits for.
    pub fn deliver_resumes_at(&self) -> Option<Millis> {
        let awaited = self.awaited.load(Ordering::SeqCst);
        awaited.then(|| self.deliver.resumes_at.load(Ordering::Relaxed))
    }

    /// Whether consumers that wait may go on now; they do not wait any more then.
    pub fn take_awaited(&self, now: Millis) -> bool {
        self.deliver_resumes_at().is_some_and(|at| at <= now)
            && self.awaited.swap(false, Ordering::SeqCst)
    }

    fn worst(
        &self,
        direction: Direction,
        owed: impl Fn(&Meter) -> Option<super::Owed>,
    ) -> Option<Hold> {
        let own = match direction {
            Direction::Publish => &self.publish.own,
            Direction::Deliver => &self.deliver.own,
        };
        let hold = owed(own).map(|owed| Hold::new(owed, RateOf::Connection));
        [&self.user, &self.vhost]
            .into_iter()
            .fold(hold, |hold, scope| {
                let owed = owed(scope.meter(direction));
                Hold::longer(hold, owed.map(|owed| Hold::new(owed, scope.rate_of())))
            })
    }
}

impl Broker {
    /// How often rates have made somebody wait.
    pub fn throttled(&self) -> [super::ThrottleCount; 4] {
        let pauses = &self.metrics.deliver_pauses;
        self.limits.throttled.counts(pauses.load(Ordering::Relaxed))
    }
}
