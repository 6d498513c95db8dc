//! Rates of those who publish and lease by HTTP: all requests of a user in a virtual host count as
//! one connection, but for the rates of queues, which hold only what would go the same way again.
//!
//! Invariants
//! - What is delivered by HTTP counts for the rates of deliveries, too.
//! - A message that has come is taken, whatever its size; who then owes time is told when to come
//!   again, as a connection is held.
//! - At most `WAYS_MAX` ways of a user are held at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferry_broker::{Broker, ConnectionLimits, Hold};
use ferry_core::Millis;
use parking_lot::Mutex;

use crate::api::ferry::problem::Problem;

/// Users and virtual hosts that are remembered.
const PUBLISHERS_MAX: usize = 1024;

/// Ways of one of them that are held at once.
const WAYS_MAX: usize = 1024;

/// One user in one virtual host.
pub(super) struct Rate {
    limits: Arc<ConnectionLimits>,
    /// Until when any way is held by a queue's rate.
    held_until: AtomicU64,
    /// Ways that are held: exchange and routing key.
    held: Mutex<HashMap<Way, Hold>>,
}

/// Exchange and routing key.
pub(super) type Way = (String, Vec<u8>);

type Key = (String, String);

/// All who have published lately.
#[derive(Default)]
pub(super) struct Rates(Mutex<HashMap<Key, Arc<Rate>>>);

impl Rates {
    pub fn of(&self, broker: &Broker, user: &str, vhost: &str) -> Arc<Rate> {
        let key = (user.to_owned(), vhost.to_owned());
        let mut rates = self.0.lock();
        if let Some(rate) = rates.get(&key) {
            return Arc::clone(rate);
        }
        if rates.len() >= PUBLISHERS_MAX {
            rates.clear();
        }
        let rate = Arc::new(Rate {
            limits: broker.rates_for(user, vhost),
            held_until: AtomicU64::new(0),
            held: Mutex::default(),
        });
        rates.insert(key, Arc::clone(&rate));
        rate
    }
}

impl Rate {
    /// Refuses who is held by an alarm or by what it owes.
    pub fn check(&self, broker: &Broker) -> Result<(), Problem> {
        if broker.failed().is_some() {
            return Err(Problem::unavailable("the message log has failed"));
        }
        if let Some(reason) = broker.memory().blocked() {
            return Err(Problem::held(reason));
        }
        let now = broker.now();
        if self.limits.meters_publishes()
            && let Some(hold) = self.limits.publish_owed(now)
        {
            return Err(self.refuse(&hold, now));
        }
        Ok(())
    }

    /// Refuses what goes a way that the rate of a queue holds.
    pub fn check_way(&self, broker: &Broker, way: &Way) -> Result<(), Problem> {
        let now = broker.now();
        if self.held_until.load(Ordering::Relaxed) <= now {
            return Ok(());
        }
        match self.held.lock().get(way) {
            Some(hold) if hold.resumes_at > now => Err(self.refuse(hold, now)),
            _ => Ok(()),
        }
    }

    fn refuse(&self, hold: &Hold, now: Millis) -> Problem {
        self.limits.count_held_publisher(hold);
        Problem::limited(hold, now)
    }

    /// A message was published that way; its queues hold what comes after it like this.
    pub fn charge(&self, bytes: usize, way: &Way, queues: Option<Hold>, now: Millis) {
        if self.limits.meters_publishes() {
            self.limits.charge_publish(bytes as u64, now);
        }
        let Some(hold) = queues else {
            return;
        };
        let mut held = self.held.lock();
        if held.len() >= WAYS_MAX {
            held.retain(|_, hold| hold.resumes_at > now);
        }
        if held.len() < WAYS_MAX {
            self.held_until
                .fetch_max(hold.resumes_at, Ordering::Relaxed);
            held.insert(way.clone(), hold);
        }
    }

    /// When deliveries go on that a rate holds; none if none does.
    pub fn deliveries_resume_at(&self) -> Option<Millis> {
        resume_at(&self.limits)
    }

    /// So many bytes were delivered.
    pub fn charge_delivery(&self, bytes: usize) {
        if self.limits.meters_deliveries() {
            self.limits.charge_delivery(bytes as u64);
        }
    }
}

/// When deliveries go on that a rate holds; none if none does.
pub(super) fn resume_at(limits: &ConnectionLimits) -> Option<Millis> {
    if !limits.meters_deliveries() || limits.may_deliver() {
        return None;
    }
    limits.await_deliveries();
    limits.deliver_resumes_at()
}

#[cfg(test)]
pub(super) mod tests {
    use ferry_broker::{Clock, Formats, LimitsOf, Options, SyncPolicy};
    use ferry_core::arguments::Value;
    use ferry_log::testing::FaultyDisk;

    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Millis {
            1_000_000
        }
    }

    fn broker() -> Arc<Broker> {
        let options = Options {
            disk: Arc::new(FaultyDisk::new(1)),
            log: ferry_log::Options::default(),
            clock: Arc::new(Noon),
            formats: Formats::default(),
            sync: SyncPolicy::Sync,
            memory_high_bytes: 1 << 20,
            disk_free_bytes_min: 0,
        };
        Broker::open(options).unwrap()
    }

    /// The limits of a user who has none.
    pub fn unlimited() -> Arc<ConnectionLimits> {
        broker().rates_for("guest", "/")
    }

    fn way(key: &str) -> Way {
        ("e".to_owned(), key.as_bytes().to_vec())
    }

    #[test]
    fn a_queue_holds_its_way_and_no_other() {
        let broker = broker();
        let rates = Rates::default();
        let rate = rates.of(&broker, "guest", "/");
        let hold = |resumes_at| Hold {
            resumes_at,
            of: ferry_broker::RateOf::Queue("q".into()),
            bytes: false,
        };
        rate.charge(10, &way("slow"), Some(hold(1_000_500)), 1_000_000);
        rate.charge(10, &way("past"), Some(hold(999_999)), 999_000);
        rate.charge(10, &way("free"), None, 1_000_000);
        assert!(rate.check(&broker).is_ok());
        for (key, held) in [("slow", true), ("past", false), ("free", false)] {
            let checked = rate.check_way(&broker, &way(key));
            assert_eq!(checked.is_err(), held, "{key}");
        }
        for number in 0..2 * WAYS_MAX {
            let key = number.to_string();
            rate.charge(10, &way(&key), Some(hold(1_000_500)), 1_000_000);
        }
        assert_eq!(rate.held.lock().len(), WAYS_MAX);
    }

    #[test]
    fn requests_of_a_user_count_together() {
        let broker = broker();
        let rates = Rates::default();
        let user = LimitsOf::User("guest".into());
        for name in ["publish-rate", "deliver-rate"] {
            let set = broker.set_limit(user.clone(), name, &Value::I64(1));
            set.unwrap();
        }
        let rate = rates.of(&broker, "guest", "/");
        assert_eq!(rate.deliveries_resume_at(), None);
        for _ in 0..3 {
            rate.charge(10, &way("k"), None, 1_000_000);
            rate.charge_delivery(10);
        }
        let again = rates.of(&broker, "guest", "/");
        assert!(again.check(&broker).is_err());
        assert!(
            again
                .deliveries_resume_at()
                .is_some_and(|at| at > 1_000_000)
        );
    }
}
