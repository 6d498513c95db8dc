//! The limits of one virtual host or user, and how much of them is taken.
//!
//! Invariants
//! - A seat is taken only below its limit, whatever others do at the same time, and given back
//!   once, when it is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ferry_core::Millis;
use ferry_core::queue::Rate;
use parking_lot::Mutex;

use super::name::{Direction, LIMITS, LimitName, LimitsOf};
use super::{ChannelLimit, ConnectError};
use crate::rates::{Meter, RateOf};

/// A place among a bounded number; given back when it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<AtomicU64>);

impl Seat {
    fn take(taken: &Arc<AtomicU64>, max: Option<u64>) -> Option<Seat> {
        let one_more = |taken: u64| (taken < max.unwrap_or(u64::MAX)).then(|| taken + 1);
        let found = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        found.ok().map(|_| Seat(Arc::clone(taken)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A virtual host or user.
#[derive(Debug)]
pub(crate) struct Scope {
    pub of: LimitsOf,
    /// As it was set, to be shown and written down.
    set: Mutex<BTreeMap<LimitName, i64>>,
    /// The same by the number of the limit; below 0 for none.
    values: [AtomicI64; LIMITS],
    connections: Arc<AtomicU64>,
    channels: Arc<AtomicU64>,
    publish: Meter,
    deliver: Meter,
}

impl Scope {
    pub fn new(of: LimitsOf) -> Scope {
        Scope {
            of,
            set: Mutex::default(),
            values: std::array::from_fn(|_| AtomicI64::new(-1)),
            connections: Arc::default(),
            channels: Arc::default(),
            publish: Meter::default(),
            deliver: Meter::default(),
        }
    }

    /// The limits that are set.
    pub fn all(&self) -> Vec<(LimitName, i64)> {
        self.set
            .lock()
            .iter()
            .map(|(name, value)| (*name, *value))
            .collect()
    }

    /// Sets a limit, or clears it.
    pub fn set(&self, name: LimitName, value: Option<i64>, now: Millis) {
        let mut set = self.set.lock();
        match value {
            Some(value) => set.insert(name, value),
            None => set.remove(&name),
        };
        self.values[name as usize].store(value.unwrap_or(-1), Ordering::Relaxed);
        for direction in [Direction::Publish, Direction::Deliver] {
            let [shared, _] = LimitName::rates(direction);
            self.meter(direction).set_rate(self.rate(shared), now);
        }
    }

    /// A limit that is in force.
    pub fn limit(&self, name: LimitName) -> Option<u64> {
        u64::try_from(self.values[name as usize].load(Ordering::Relaxed)).ok()
    }

    fn rate(&self, [messages, bytes]: [LimitName; 2]) -> Rate {
        Rate {
            messages: self.limit(messages),
            bytes: self.limit(bytes),
        }
    }

    /// The rate of each connection for itself.
    pub fn connection_rate(&self, direction: Direction) -> Rate {
        let [_, own] = LimitName::rates(direction);
        self.rate(own)
    }

    /// What all connections share.
    pub fn meter(&self, direction: Direction) -> &Meter {
        match direction {
            Direction::Publish => &self.publish,
            Direction::Deliver => &self.deliver,
        }
    }

    /// Whose rates these are.
    pub fn rate_of(&self) -> RateOf {
        match &self.of {
            LimitsOf::Vhost(vhost) => RateOf::Vhost(Arc::clone(vhost)),
            LimitsOf::User(user) => RateOf::User(Arc::clone(user)),
        }
    }

    /// A seat whatever the limit.
    pub fn count_connection(&self) -> Option<Seat> {
        Seat::take(&self.connections, None)
    }

    /// A seat for a connection of `user`.
    pub fn open_connection(&self, user: &str) -> Result<Seat, ConnectError> {
        let limit = self.limit(LimitName::MaxConnections);
        let refused = || {
            let (user, limit) = (user.to_owned(), limit.unwrap_or(0));
            match &self.of {
                LimitsOf::User(_) => ConnectError::UserFull { user, limit },
                LimitsOf::Vhost(vhost) => ConnectError::VhostFull {
                    vhost: vhost.to_string(),
                    user,
                    limit,
                },
            }
        };
        Seat::take(&self.connections, limit).ok_or_else(refused)
    }

    pub fn open_channel(&self) -> Result<Seat, ChannelLimit> {
        let limit = self.limit(LimitName::MaxChannels);
        Seat::take(&self.channels, limit).ok_or_else(|| ChannelLimit {
            user: self.of.name().to_owned(),
            limit: limit.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_taken_up_to_the_limit_and_given_back() {
        let scope = Scope::new(LimitsOf::User("u".into()));
        let first = scope.open_channel().unwrap();
        scope.set(LimitName::MaxChannels, Some(2), 0);
        let second = scope.open_channel().unwrap();
        let refused = scope.open_channel().unwrap_err();
        assert_eq!((refused.user.as_str(), refused.limit), ("u", 2));
        drop(first);
        let third = scope.open_channel().unwrap();
        assert!(scope.open_channel().is_err());
        scope.set(LimitName::MaxChannels, Some(1), 0);
        drop((second, third));
        let only = scope.open_channel().unwrap();
        assert!(scope.open_channel().is_err());
        scope.set(LimitName::MaxChannels, None, 0);
        scope.open_channel().unwrap();
        drop(only);
        for none in [-1, 0] {
            scope.set(LimitName::MaxChannels, Some(none), 0);
            assert_eq!(scope.open_channel().is_ok(), none < 0);
        }
    }
}
