//! Gathering: one request, several responders, one answer.
//!
//! ```text
//!  request ──reply-to: key──▶ responders ──to key──▶ gathering ──count or deadline──▶ one answer
//! ```
//!
//! The responders are given a routing key that nobody guesses, as that of a direct reply. What
//! comes to it is kept in memory until so many replies are there or the time is over; then the
//! broker publishes one message to where the requester wants its answer.
//!
//! Invariants
//! - A gathering ends once: by its count, its deadline, its bounds, or because its requester is
//!   gone; in all cases but the last it is answered once.
//! - It begins when its request is submitted: what is rolled back is not waited for.
//! - What replies take is in the account of memory from their arrival to the answer.
//!
//! Not here: what headers ask for a gathering (the door), what an answer holds (`answer`).

mod answer;
mod ongoing;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use ferry_core::Millis;
use parking_lot::Mutex;

use crate::direct_reply::KEY_PREFIX;
use crate::vhost::Map;
use crate::{Broker, Burst, Metrics, Vhost};
pub(crate) use answer::Answer;
use ongoing::Ongoing;

/// How the keys of gatherings begin; they are direct-reply keys in all else.
pub(crate) const GATHER_PREFIX: &str = "amq.rabbitmq.reply-to.gather.";

/// Most replies of one gathering.
pub const GATHER_COUNT_MAX: u64 = 10_000;

/// Longest time of a gathering, in milliseconds.
pub const GATHER_TIMEOUT_MS_MAX: u64 = 86_400_000;

/// How long is waited for a count without a time, in milliseconds.
pub const GATHER_TIMEOUT_MS_DEFAULT: u64 = 5_000;

/// Gatherings of one virtual host at once.
const GATHERINGS_MAX: usize = 10_000;

/// Gatherings that one tick ends.
const ENDED_IN_A_TICK_MAX: usize = 256;

/// What is to be gathered, and where the answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatherSpec {
    /// How many replies are enough; none for all that come in time.
    pub count: Option<u64>,
    /// For how long, in milliseconds; none for the default.
    pub timeout_ms: Option<u64>,
    /// Where the answer goes: a routing key of the default exchange.
    pub reply_to: Vec<u8>,
    /// The format of the answer.
    pub format: u8,
    /// The properties of the answer but for its headers, in that format.
    pub properties: Vec<u8>,
    /// Whether the answer outlives the broker.
    pub persistent: bool,
}

/// Why nothing is gathered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// The count is out of range.
    #[error("a count of {0} is not in 1..{GATHER_COUNT_MAX}")]
    Count(u64),
    /// The time is out of range.
    #[error("a timeout of {0} is not in 1..{GATHER_TIMEOUT_MS_MAX}")]
    Timeout(u64),
    /// There are as many as there may be.
    #[error("{GATHERINGS_MAX} gatherings are under way in vhost '{0}'")]
    TooMany(String),
}

/// One of the gatherings that a virtual host may have.
struct Slot {
    broker: Weak<Broker>,
    vhost: Arc<str>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.upgrade() {
            broker.gathers.0.lock().give_back(&self.vhost);
        }
    }
}

/// A gathering that begins when its request is submitted, or never.
pub struct Gathering {
    key: String,
    spec: GatherSpec,
    slot: Slot,
}

impl Gathering {
    /// Where responders send their replies: a routing key of the default exchange.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// When a gathering ends, and its number.
type Due = (Millis, u64);

/// All gatherings of the broker.
#[derive(Default)]
pub(crate) struct Gathers(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_deadline: BTreeMap<Due, Arc<Ongoing>>,
    /// Those whose answer is a direct reply, by the key of that.
    of_requester: Map<Box<[u8]>, Vec<Due>>,
    /// How many there are by virtual host, with those that have not begun.
    taken: Map<Arc<str>, usize>,
    next: u64,
}

impl Inner {
    fn take_one(&mut self, vhost: &Arc<str>) -> bool {
        let taken = self.taken.entry(Arc::clone(vhost)).or_default();
        let free = *taken < GATHERINGS_MAX;
        *taken += usize::from(free);
        free
    }

    fn give_back(&mut self, vhost: &Arc<str>) {
        if let Some(taken) = self.taken.get_mut(vhost) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(vhost);
            }
        }
    }

    fn remove(&mut self, due: Due) -> Option<Arc<Ongoing>> {
        let ongoing = self.by_deadline.remove(&due)?;
        let requester = ongoing.spec.reply_to.as_slice();
        if let Some(all) = self.of_requester.get_mut(requester) {
            all.retain(|other| *other != due);
            if all.is_empty() {
                self.of_requester.remove(requester);
            }
        }
        Some(ongoing)
    }
}

impl Gathers {
    /// When the first ends by its time.
    pub fn next_deadline(&self) -> Millis {
        let inner = self.0.lock();
        let first = inner.by_deadline.first_key_value();
        first.map_or(Millis::MAX, |((at, _), _)| *at)
    }
}

impl Broker {
    /// Prepares a gathering; its request is to carry the key that it has.
    pub fn gather(&self, vhost: &Vhost, spec: GatherSpec) -> Result<Gathering, GatherError> {
        if let Some(count) = spec.count.filter(|n| !(1..=GATHER_COUNT_MAX).contains(n)) {
            return Err(GatherError::Count(count));
        }
        let in_range = 1..=GATHER_TIMEOUT_MS_MAX;
        if let Some(timeout_ms) = spec.timeout_ms.filter(|ms| !in_range.contains(ms)) {
            return Err(GatherError::Timeout(timeout_ms));
        }
        if !self.gathers.0.lock().take_one(&vhost.name) {
            return Err(GatherError::TooMany(vhost.name.to_string()));
        }
        Ok(Gathering {
            key: self.made_up_name(GATHER_PREFIX),
            spec,
            slot: Slot {
                broker: self.me.clone(),
                vhost: Arc::clone(&vhost.name),
            },
        })
    }

    /// How many gatherings are under way.
    pub fn gatherings(&self) -> usize {
        self.gathers.0.lock().by_deadline.len()
    }

    fn begin_gathering(&self, gathering: Gathering) {
        let Gathering { key, spec, slot } = gathering;
        let now = self.now();
        let timeout_ms = spec.timeout_ms.unwrap_or(GATHER_TIMEOUT_MS_DEFAULT);
        let deadline = now.saturating_add(timeout_ms);
        let requester = spec.reply_to.clone();
        let mut inner = self.gathers.0.lock();
        inner.next += 1;
        let due = (deadline, inner.next);
        let ongoing = Arc::new(Ongoing::new(key, spec, slot, (now, due)));
        if requester.starts_with(KEY_PREFIX.as_bytes()) {
            let all = inner.of_requester.entry(requester.into()).or_default();
            all.push(due);
        }
        let key = ongoing.key.clone();
        inner.by_deadline.insert(due, Arc::clone(&ongoing));
        self.direct_replies.open(key.as_bytes(), ongoing);
        drop(inner);
        Metrics::add(&self.metrics.gathers_begun, 1);
        self.signals.deadline_moved(deadline);
    }

    /// Ends those whose time is over.
    pub(crate) fn end_gatherings(&self) {
        let now = self.now();
        let overdue: Vec<Arc<Ongoing>> = {
            let inner = self.gathers.0.lock();
            let due = inner.by_deadline.range(..=(now, u64::MAX));
            due.take(ENDED_IN_A_TICK_MAX)
                .map(|(_, ongoing)| Arc::clone(ongoing))
                .collect()
        };
        for ongoing in overdue {
            ongoing.end(self, false);
        }
    }

    /// Whoever waited for direct replies with that key is gone: nobody wants the answers.
    pub(crate) fn requester_gone(&self, key: &[u8]) {
        let theirs: Vec<Arc<Ongoing>> = {
            let inner = self.gathers.0.lock();
            let theirs = inner.of_requester.get(key).into_iter().flatten();
            let ongoing = theirs.filter_map(|due| inner.by_deadline.get(due));
            ongoing.cloned().collect()
        };
        for ongoing in theirs {
            ongoing.drop_it(self);
        }
    }
}

impl Burst {
    /// Has a gathering begin when the burst is submitted.
    pub fn gather(&mut self, gathering: Gathering) {
        self.gatherings.push(gathering);
    }

    #[inline]
    pub(crate) fn begin_gatherings(&mut self, broker: &Broker) {
        for gathering in self.gatherings.drain(..) {
            broker.begin_gathering(gathering);
        }
    }
}
