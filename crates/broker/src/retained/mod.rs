//! Retained messages: the newest message of each topic, kept for who comes later.
//!
//! ```text
//!  publish ─▶ its queues
//!     └─────▶ mqtt-retained ──lease──▶ index by topic ──settles──▶ the one before
//! ```
//!
//! A virtual host keeps them in one durable queue, whose only consumer is the store. The store
//! holds the newest message of a topic as a lease and settles the one before. A topic is a routing
//! key. What has an empty body removes: it goes the same way, and is settled with what it removes.
//!
//! Invariants
//! - Which of two messages of a topic counts is the order in which they entered the queue, before
//!   and after a restart: what is settled was followed by what replaced it.
//! - A start hands the queue to the store before anybody else can ask it.
//! - The lock of the shelf is taken under that of the partition, never the other way round; leases
//!   are settled when neither is held.
//! - Nobody but the store ends its leases, so that what it has given back never comes again.
//! - Bodies are in the queue alone. The queue knows of no expiry: a newer message that is past its
//!   time must not give way to an older one.
//!
//! Not here: what retaining means in a protocol (its door), how messages are kept (`ferry-core`).

mod feed;
mod index;
mod levels;
mod name;
mod set;
#[cfg(test)]
mod tests;
mod walk;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ferry_core::Millis;
use ferry_core::message::Message;
use ferry_core::queue::Outcome;
use parking_lot::Mutex;

use crate::partition::{After, Batch, Command};
use crate::{
    Broker, Choice, ConnectionId, ConsumeError, ConsumerSpec, Lease, Pressure, QueueHandle,
};
use feed::Feed;
use index::{Held, Index};
pub use name::RETAINED_QUEUE;
pub(crate) use name::check_declaration;
pub use set::{RETAINED_LEVELS_MAX, RetainError};
pub use walk::{RetainedCursor, RetainedPage};

/// Topics with a retained message that one virtual host may have, unless the node says otherwise.
pub const RETAINED_TOPICS_MAX_DEFAULT: u64 = 5_000_000;

/// Bytes that the retained messages of one virtual host may take, unless the node says otherwise.
pub const RETAINED_BYTES_MAX_DEFAULT: u64 = 16 << 30;

/// All topics with a retained message may take so large a part of the high watermark: nobody
/// consumes them, so publishers that are held for them would be held for ever.
const MEMORY_PART: u64 = 4;

/// Messages that a queue hands over in a row at a start, and leases that are settled in a row.
const PIECE_MESSAGES: usize = 4096;

/// How long after a sweep of what has expired the next one is, in milliseconds.
const SWEEP_MS: u64 = 1000;

/// How often a message is looked for that is replaced while it is read.
const READS_MAX: usize = 8;

/// What all stores of a node share.
pub(crate) struct RetainedNode {
    /// When one of them has to be swept; `Millis::MAX` for never.
    due: AtomicU64,
    pub(super) topics_max: AtomicU64,
    pub(super) bytes_max: AtomicU64,
    /// What all indexes take in memory, about.
    memory_bytes: AtomicU64,
}

impl Default for RetainedNode {
    fn default() -> RetainedNode {
        RetainedNode {
            due: AtomicU64::new(Millis::MAX),
            topics_max: AtomicU64::new(RETAINED_TOPICS_MAX_DEFAULT),
            bytes_max: AtomicU64::new(RETAINED_BYTES_MAX_DEFAULT),
            memory_bytes: AtomicU64::new(0),
        }
    }
}

impl RetainedNode {
    /// When something expires.
    pub fn due(&self) -> Millis {
        self.due.load(Ordering::Relaxed)
    }

    /// Whether there is no memory for one topic more.
    pub(super) fn is_full(&self, memory: &Pressure) -> bool {
        let most = memory.high_bytes() / MEMORY_PART;
        self.memory_bytes.load(Ordering::Relaxed) >= most
    }
}

/// What one lock guards.
#[derive(Default)]
struct Shelf {
    index: Index,
    queue: Option<Arc<QueueHandle>>,
    /// Leases of what was replaced, removed or has expired, yet to be settled.
    done: Vec<Lease>,
    /// Before when nothing is swept.
    swept_until: Millis,
    /// What the node knows of the memory that the index takes, in bytes.
    told_bytes: u64,
}

impl Shelf {
    fn take_in(&mut self, message: &Message<'_>, lease: Lease, now: Millis) {
        let key = message.routing_key();
        let expires_at = expires_at(message);
        let held = Held {
            lease,
            bytes: NonZeroU32::new(message.bytes().len() as u32).expect("a stored form has a head"),
            expires_at,
        };
        if message.body_len() == 0 || held.expired(now) {
            // In this order: a crash between the two must not leave the older one.
            let before = self.index.remove(key);
            self.done.extend(before.map(|before| before.lease));
            self.done.push(lease);
        } else if set::is_too_deep(key) {
            self.done.push(lease);
        } else {
            let before = self.index.set(key, held);
            self.done.extend(before.map(|before| before.lease));
        }
    }

    /// Tells the node what the index takes in memory.
    fn tell_memory(&mut self, node: &RetainedNode) {
        let bytes = self.index.memory_bytes();
        let before = std::mem::replace(&mut self.told_bytes, bytes);
        // Wraps where it is less than before.
        let more = bytes.wrapping_sub(before);
        node.memory_bytes.fetch_add(more, Ordering::Relaxed);
    }

    /// When the next sweep is due.
    fn next_sweep(&self) -> Millis {
        let first = self.index.next_expiry();
        first.map_or(Millis::MAX, |at| at.max(self.swept_until))
    }
}

/// When a message is past its time; 0 for never.
fn expires_at(message: &Message<'_>) -> Millis {
    message.ttl_ms().map_or(0, |ttl_ms| {
        message.published_ms().saturating_add(ttl_ms).max(1)
    })
}

/// The retained messages of a virtual host.
pub struct Retained {
    broker: Weak<Broker>,
    shelf: Mutex<Shelf>,
    /// Where it is fed from. Not taken under a partition's lock.
    feed: Mutex<Option<(Arc<QueueHandle>, Arc<Feed>)>>,
}

impl Retained {
    pub(crate) fn new(broker: Weak<Broker>) -> Arc<Retained> {
        Arc::new(Retained {
            broker,
            shelf: Mutex::default(),
            feed: Mutex::default(),
        })
    }

    /// How many topics have a message.
    pub fn count(&self) -> u64 {
        self.shelf.lock().index.topics()
    }

    /// Bytes that their messages take.
    pub fn bytes(&self) -> u64 {
        self.shelf.lock().index.bytes()
    }

    /// Topics that a filter takes, behind `after`: so many at most. A filter is a key with `*` for
    /// one level and, at its end, `#` for any number. A page that has no topics may have a next.
    pub fn matching(
        &self,
        filter: &[u8],
        limit: usize,
        after: Option<&RetainedCursor>,
    ) -> RetainedPage {
        let Some(broker) = self.broker.upgrade() else {
            return RetainedPage::default();
        };
        let now = broker.now();
        let mut shelf = self.shelf.lock();
        let (page, expired) = shelf.index.page(filter, limit, after, now);
        if !expired.is_empty() {
            let removed = expired
                .into_iter()
                .filter_map(|node| shelf.index.remove_at(node));
            let leases: Vec<Lease> = removed.map(|held| held.lease).collect();
            shelf.done.extend(leases);
            shelf.tell_memory(&broker.retained);
            drop(shelf);
            self.settle_done(&broker);
        }
        page
    }

    /// The message of a topic in its stored form. None if it has none, not any more, or one that
    /// can not be read back.
    pub fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
        let broker = self.broker.upgrade()?;
        for _ in 0..READS_MAX {
            let (queue, held) = {
                let shelf = self.shelf.lock();
                (shelf.queue.clone()?, shelf.index.get(key)?)
            };
            if held.expired(broker.now()) {
                return None;
            }
            let body = broker.on_partition(&queue, |state, cx| {
                state.leased_body(cx, queue.place(), held.lease.0)
            });
            let is_there = body.is_some();
            let is_its = |bytes: &Vec<u8>| {
                Message::parse(bytes).is_ok_and(|message| message.routing_key() == key)
            };
            if let Some(message) = body.and_then(Result::ok).filter(is_its) {
                return Some(message);
            }
            if is_there {
                return None;
            }
        }
        None
    }

    /// Takes what has entered the queue. Called under the partition's lock.
    fn take_in(self: &Arc<Self>, message: &Message<'_>, lease: Lease) {
        let Some(broker) = self.broker.upgrade() else {
            return;
        };
        let mut shelf = self.shelf.lock();
        let nothing_done = shelf.done.is_empty();
        shelf.take_in(message, lease, broker.now());
        shelf.tell_memory(&broker.retained);
        if nothing_done && !shelf.done.is_empty() {
            let after = After::Retained(Arc::clone(self));
            broker.afters.lock().push(after);
        }
        let sweep_at = match message.ttl_ms() {
            Some(_) => shelf.next_sweep(),
            None => Millis::MAX,
        };
        drop(shelf);
        if sweep_at < broker.retained.due() {
            broker.retained.due.fetch_min(sweep_at, Ordering::Relaxed);
            broker.signals.deadline_moved(sweep_at);
        }
    }

    /// The queue is gone, and all that was in it. Called under the partition's lock.
    fn forget_all(&self) {
        let mut forgotten = std::mem::take(&mut *self.shelf.lock());
        forgotten.index = Index::default();
        if let Some(broker) = self.broker.upgrade() {
            forgotten.tell_memory(&broker.retained);
        }
    }

    /// Settles what was replaced, removed or has expired.
    pub(crate) fn settle_done(&self, broker: &Broker) {
        let (queue, done) = {
            let mut shelf = self.shelf.lock();
            (shelf.queue.clone(), std::mem::take(&mut shelf.done))
        };
        let Some(queue) = queue else {
            return;
        };
        let settle = |lease: &Lease| Command::Settle {
            queue: queue.place(),
            lease: lease.0,
            outcome: Outcome::Accept,
            recorded: false,
        };
        for leases in done.chunks(PIECE_MESSAGES) {
            let batch = Batch {
                staged: Arc::from([]),
                commands: leases.iter().map(settle).collect(),
                ticket: None,
            };
            broker
                .partition(&queue)
                .submit(&broker.surroundings(), batch);
        }
    }

    /// Lets go what is past its time. Says when to come again.
    fn sweep(&self, broker: &Broker, now: Millis) -> Millis {
        let mut shelf = self.shelf.lock();
        let expired = shelf.index.take_expired(now, PIECE_MESSAGES);
        let all = expired.len() < PIECE_MESSAGES;
        shelf.done.extend(expired);
        shelf.tell_memory(&broker.retained);
        shelf.swept_until = if all { now + SWEEP_MS } else { now };
        let next = shelf.next_sweep();
        drop(shelf);
        self.settle_done(broker);
        next
    }

    /// Becomes the consumer of the queue, and takes all that is in it.
    pub(crate) fn attach(
        self: &Arc<Self>,
        broker: &Broker,
        queue: &Arc<QueueHandle>,
    ) -> Result<(), ConsumeError> {
        let mut attached = self.feed.lock();
        let is_alive =
            |(of, feed): &(Arc<QueueHandle>, Arc<Feed>)| of.id() == queue.id() && !feed.is_gone();
        if attached.as_ref().is_some_and(is_alive) {
            return Ok(());
        }
        self.shelf.lock().queue = Some(Arc::clone(queue));
        let feed = Arc::new(Feed::new(Arc::downgrade(self), PIECE_MESSAGES as u64));
        let spec = ConsumerSpec {
            tag: "retained".to_owned(),
            no_ack: false,
            exclusive: true,
            priority: 0,
            prefetch: 0,
            choice: Choice::default(),
            outlet: feed.clone(),
        };
        let consumer = [broker.consume(queue, spec, &mut || ())?];
        let resume = || {
            broker.resume(&consumer);
            // Whoever has the partition now has done it when this comes to its turn.
            broker.on_partition(queue, |_, _| ());
        };
        while feed.was_starved() {
            feed.let_in(PIECE_MESSAGES as u64);
            resume();
        }
        feed.open();
        if feed.was_starved() {
            resume();
        }
        *attached = Some((Arc::clone(queue), feed));
        Ok(())
    }

    /// The queue that it is fed from, if there is one.
    fn queue(&self) -> Option<Arc<QueueHandle>> {
        let attached = self.feed.lock();
        let (queue, feed) = attached.as_ref()?;
        (!feed.is_gone()).then(|| Arc::clone(queue))
    }
}

impl Broker {
    /// How much each virtual host may retain: so many topics, and so many bytes of their messages.
    pub fn set_retained_limits(&self, topics_max: u64, bytes_max: u64) {
        let node = &self.retained;
        node.topics_max.store(topics_max, Ordering::Relaxed);
        node.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// Hands what the log brought back to the stores.
    pub(crate) fn attach_retained(&self) {
        for vhost in self.vhosts() {
            let Ok(queue) = vhost.queue(RETAINED_QUEUE, ConnectionId::NOBODY) else {
                continue;
            };
            if let Err(error) = vhost.retained().attach(self, &queue) {
                let vhost = vhost.name();
                tracing::error!(
                    vhost,
                    "nothing is retained, for the queue is no store: {error}"
                );
            }
        }
    }

    /// Lets go what is retained and past its time, in every virtual host.
    pub(crate) fn sweep_retained(&self) {
        let now = self.now();
        if self.retained.due() > now {
            return;
        }
        // Before any is asked: what comes meanwhile says so again.
        self.retained.due.store(Millis::MAX, Ordering::Relaxed);
        let next = self
            .vhosts()
            .iter()
            .map(|vhost| vhost.retained().sweep(self, now))
            .min();
        let next = next.unwrap_or(Millis::MAX);
        self.retained.due.fetch_min(next, Ordering::Relaxed);
    }
}
