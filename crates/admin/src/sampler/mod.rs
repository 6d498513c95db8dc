//! The sampler: looks at every count each few seconds, so that there are rates and how counts grew.
//!
//! Invariants
//! - What nobody changes costs one look per interval; what changes has one track, at most
//!   `TRACKS_MAX` of them, and of those that are as empty as when they were made `BLANKS_MAX`.
//! - All looks together take one part of the time in `SHARE` at most: where there is so much to
//!   look at that one takes long, they are further apart.
//! - A course is kept for the node, and for what somebody looked at lately: at most `WATCHED_MAX`.
//! - No rate is made up: without two samples it is zero, as in RabbitMQ.
//!
//! Not here: how rates look in JSON (`api::details`).

mod fields;
mod look;
mod track;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ferry_broker::ConnectionId;
use ferry_core::Millis;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use fields::{CHURN, Field, OBJECT, USED};
pub(crate) use look::{churn, node_stats, queue_key, used};
pub(crate) use track::{Point, Track};

use crate::shared::Shared;

/// Time between two samples.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// Objects whose rates are known at a time.
const TRACKS_MAX: usize = 200_000;

/// New queues without a count that one look notes.
const BLANKS_MAX: usize = 1000;

/// A look comes at least so many times its own length after the one before.
const SHARE: u32 = 50;

/// Objects besides the node whose course is kept.
const WATCHED_MAX: usize = 256;

/// How long a course is kept after somebody looked at it, in milliseconds.
const WATCHED_MS_MAX: Millis = 10 * 60 * 1000;

/// What has rates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Node,
    Vhost(Arc<str>),
    Queue(u64),
    /// Virtual host and name.
    Exchange(Arc<str>, Arc<str>),
    Connection(ConnectionId),
    Channel(ConnectionId, u16),
}

/// The tracks of everything.
#[derive(Default)]
pub(crate) struct Sampler {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tracks: HashMap<Key, Track>,
    /// When somebody last looked at what has a course.
    watched: HashMap<Key, Millis>,
    round: u64,
    last_at: Millis,
}

impl Sampler {
    /// Samples until the node stops.
    pub async fn run(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
        let mut next = Instant::now();
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep_until(next) => {}
            }
            let begin = Instant::now();
            let shared = Arc::clone(&shared);
            let sampled = tokio::task::spawn_blocking(move || shared.sampler.sample(&shared));
            if sampled.await.is_err() {
                tracing::error!("statistics could not be sampled");
            }
            next = begin + pause_after(begin.elapsed());
        }
    }

    /// Takes one sample of everything.
    pub fn sample(&self, shared: &Shared) {
        let now = shared.broker.now();
        let mut round = self.begin(now);
        look::look(shared, &mut round);
        let taken = round.taken;
        let mut state = self.state.lock();
        for (key, values) in taken {
            state.add(key, values, now);
        }
        state.end();
    }

    fn begin(&self, now: Millis) -> Round {
        let mut state = self.state.lock();
        state.round += 1;
        state
            .watched
            .retain(|_, at| now.saturating_sub(*at) <= WATCHED_MS_MAX);
        let since = std::mem::replace(&mut state.last_at, now);
        Round {
            since,
            watched: state.watched.keys().cloned().collect(),
            taken: Vec::new(),
            blanks: 0,
        }
    }

    /// The rates and the course of an object, to be looked at by `look`.
    pub fn with<R>(&self, key: &Key, look: impl FnOnce(Option<&Track>) -> R) -> R {
        look(self.state.lock().tracks.get(key))
    }

    /// One rate of an object, per second.
    pub fn rate(&self, key: &Key, fields: &[usize]) -> f64 {
        self.with(key, |track| {
            track.map_or(0.0, |track| track.rate_of(fields))
        })
    }

    /// Keeps the course of an object from now on, as long as somebody asks now and then.
    pub fn watch(&self, key: &Key, now: Millis) {
        if *key == Key::Node {
            return;
        }
        let mut state = self.state.lock();
        if state.watched.len() >= WATCHED_MAX && !state.watched.contains_key(key) {
            let oldest = state.watched.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                state.watched.remove(&oldest);
            }
        }
        state.watched.insert(key.clone(), now);
    }
}

/// Time from the begin of a look that took so long to the begin of the next one.
fn pause_after(look: Duration) -> Duration {
    INTERVAL.max(look.saturating_mul(SHARE))
}

impl State {
    fn add(&mut self, key: Key, values: Box<[u64]>, now: Millis) {
        let (round, full) = (self.round, self.tracks.len() >= TRACKS_MAX);
        let course = key == Key::Node || self.watched.contains_key(&key);
        if let Some(track) = self.tracks.get_mut(&key) {
            track.add(values, now, round, course);
        } else if !full || key == Key::Node {
            self.tracks
                .insert(key, Track::new(values, now, round, course));
        }
    }

    /// Forgets what was not seen.
    fn end(&mut self) {
        let round = self.round;
        self.tracks.retain(|_, track| track.round == round);
    }
}

/// One look at everything.
pub(crate) struct Round {
    /// When the look before this one was.
    since: Millis,
    watched: HashSet<Key>,
    taken: Vec<(Key, Box<[u64]>)>,
    /// Queues without a count among them.
    blanks: usize,
}

#[cfg(test)]
mod tests;
