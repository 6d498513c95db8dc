//! Rates: how much connections, users, virtual hosts and queues may bring and get in a second.
//!
//! A message that has come is taken, whatever its size; who then owes time is held until that is
//! paid. Whoever was held is let go on with one message at least, so that all who share a rate
//! have their turn.
//!
//! Invariants
//! - Of several rates the one that holds longest counts.
//! - Where no rate is set a look at one flag is all that it costs.
//!
//! Not here: how publishers are held and consumers stopped (the doors), the deliver rate of a
//! queue (`ferry-core`), who sets rates (`limits`).

mod connection;
mod meter;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferry_core::Millis;

pub use connection::ConnectionLimits;
pub(crate) use meter::{Meter, Owed};

/// Is told when rates have changed: who is held may be free now.
pub trait RateWaiter: Send + Sync {
    /// A rate has changed.
    fn rates_changed(&self);
}

/// Whose rate it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateOf {
    /// Each connection's own.
    Connection,
    /// A user's.
    User(Arc<str>),
    /// A virtual host's.
    Vhost(Arc<str>),
    /// A queue's.
    Queue(Arc<str>),
}

impl RateOf {
    fn index(&self) -> usize {
        match self {
            RateOf::Connection => 0,
            RateOf::User(_) => 1,
            RateOf::Vhost(_) => 2,
            RateOf::Queue(_) => 3,
        }
    }
}

/// Why a publisher is held, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// When it goes on.
    pub resumes_at: Millis,
    /// Whose rate it is.
    pub of: RateOf,
    /// Whether it is a rate in bytes, not in messages.
    pub bytes: bool,
}

impl Hold {
    pub(crate) fn new(owed: Owed, of: RateOf) -> Hold {
        Hold {
            resumes_at: owed.resumes_at,
            of,
            bytes: owed.bytes,
        }
    }

    /// The one that lasts longer.
    #[must_use]
    pub fn longer(one: Option<Hold>, other: Option<Hold>) -> Option<Hold> {
        match (one, other) {
            (Some(one), Some(other)) if other.resumes_at > one.resumes_at => Some(other),
            (Some(one), _) => Some(one),
            (None, other) => other,
        }
    }

    /// The limit by its name, for who is held: `publish-rate of user 'guest'`.
    pub fn reason(&self) -> String {
        let name = match self.bytes {
            true => "publish-byte-rate",
            false => "publish-rate",
        };
        match &self.of {
            RateOf::Connection => format!("connection-{name}"),
            RateOf::User(user) => format!("{name} of user '{user}'"),
            RateOf::Vhost(vhost) => format!("{name} of vhost '{vhost}'"),
            RateOf::Queue(queue) => format!("{name} of queue '{queue}'"),
        }
    }
}

/// How often rates have made somebody wait, by [`RateOf`].
#[derive(Debug, Default)]
pub(crate) struct Throttled {
    publishes: [AtomicU64; 4],
    deliveries: [AtomicU64; 4],
}

/// How often the rates of one kind have made somebody wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleCount {
    /// `connection`, `user`, `vhost` or `queue`.
    pub limit: &'static str,
    /// Waits of publishers.
    pub publishes: u64,
    /// Waits of consumers, or of a queue for its deliveries.
    pub deliveries: u64,
}

impl Throttled {
    pub fn publish(&self, of: &RateOf) {
        self.publishes[of.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub fn deliver(&self, of: &RateOf) {
        self.deliveries[of.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub fn counts(&self, queue_pauses: u64) -> [ThrottleCount; 4] {
        let names = ["connection", "user", "vhost", "queue"];
        let pauses = [0, 0, 0, queue_pauses];
        std::array::from_fn(|index| ThrottleCount {
            limit: names[index],
            publishes: self.publishes[index].load(Ordering::Relaxed),
            deliveries: self.deliveries[index].load(Ordering::Relaxed) + pauses[index],
        })
    }
}
