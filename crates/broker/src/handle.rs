//! What everybody outside a partition holds of a queue: its name, its place, its counts.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ferry_core::Millis;
use ferry_core::arguments::Arguments;
use ferry_core::queue::{Counts, Options, QueueKind, SyncPolicy};
use ferry_core::routing::QueueId;
use parking_lot::RwLock;

use crate::arguments::Flags;
use crate::arrivals::Arrivals;
use crate::measure::MessageTimes;
use crate::partition::QueuePlace;
use crate::pressure::index_bytes;
use crate::rates::{Hold, Meter, RateOf};
use crate::stats::{MessageStats, QueueTally};
use crate::{ConnectionId, Policy};

/// What a queue does, and the policies that have a part in it.
#[derive(Debug, Clone)]
pub(crate) struct Effective {
    pub options: Arc<Options>,
    pub policy: Option<Arc<Policy>>,
    pub operator_policy: Option<Arc<Policy>>,
}

/// A queue, seen from outside.
#[derive(Debug)]
pub struct QueueHandle {
    pub(crate) id: QueueId,
    pub(crate) name: Arc<str>,
    pub(crate) vhost: Arc<str>,
    pub(crate) partition: u16,
    pub(crate) slot: AtomicU32,
    /// As declared; an exclusive queue is declared durable and yet goes with its connection.
    pub(crate) declared_durable: bool,
    /// Whether it is kept over a restart.
    pub(crate) kept: bool,
    pub(crate) sync: SyncPolicy,
    pub(crate) kind: QueueKind,
    pub(crate) auto_delete: bool,
    /// The connection that has it for itself.
    pub(crate) owner: Option<ConnectionId>,
    arguments: RwLock<Arc<Arguments>>,
    effective: RwLock<Effective>,
    pub(crate) had_consumer: AtomicBool,
    /// Whether it wants to know the identity of messages.
    deduplicates: AtomicBool,
    /// Whether the way of its messages is noted.
    passport: AtomicBool,
    /// Whether publishes to it are counted.
    metered: AtomicBool,
    /// Somebody waits for it to have room for so many bytes less one; 0 if nobody does.
    pub(crate) awaited: AtomicU64,
    pub(crate) arrivals: Arrivals,
    ready: AtomicU64,
    ready_bytes: AtomicU64,
    unsettled: AtomicU64,
    unsettled_bytes: AtomicU64,
    consumers: AtomicU32,
    /// When something was last done with it.
    active_at: AtomicU64,
    /// What it has counted, once it has.
    tally: OnceLock<Box<QueueTally>>,
    /// Whether something is delayed or stuck.
    rare: AtomicBool,
    /// Made when it is needed.
    seldom: OnceLock<Box<Seldom>>,
}

/// What few queues have.
#[derive(Debug, Default)]
struct Seldom {
    delayed: AtomicU64,
    stuck: AtomicU64,
    publish_meter: OnceLock<Box<Meter>>,
    /// How long its messages take, once somebody has asked.
    times: OnceLock<Box<MessageTimes>>,
}

/// What makes a handle.
pub(crate) struct HandleSpec {
    pub id: QueueId,
    pub name: Arc<str>,
    pub vhost: Arc<str>,
    pub partition: u16,
    pub declared_durable: bool,
    pub auto_delete: bool,
    pub owner: Option<ConnectionId>,
    pub arguments: Arc<Arguments>,
    pub effective: Effective,
}

impl QueueHandle {
    pub(crate) fn new(spec: HandleSpec) -> QueueHandle {
        let options = &spec.effective.options;
        let deduplicates = AtomicBool::new(options.deduplication.is_some());
        let passport = AtomicBool::new(options.passport);
        let handle = QueueHandle {
            id: spec.id,
            name: spec.name,
            vhost: spec.vhost,
            partition: spec.partition,
            slot: AtomicU32::new(u32::MAX),
            declared_durable: spec.declared_durable,
            kept: options.durable,
            sync: options.sync,
            kind: options.kind,
            auto_delete: spec.auto_delete,
            owner: spec.owner,
            arguments: RwLock::new(spec.arguments),
            effective: RwLock::new(spec.effective),
            had_consumer: AtomicBool::new(false),
            deduplicates,
            passport,
            metered: AtomicBool::new(false),
            awaited: AtomicU64::new(0),
            arrivals: Arrivals::default(),
            rare: AtomicBool::new(false),
            seldom: OnceLock::new(),
            ready: AtomicU64::new(0),
            ready_bytes: AtomicU64::new(0),
            unsettled: AtomicU64::new(0),
            unsettled_bytes: AtomicU64::new(0),
            consumers: AtomicU32::new(0),
            active_at: AtomicU64::new(0),
            tally: OnceLock::new(),
        };
        handle.fit_meter(0);
        handle
    }

    /// Its identity.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The virtual host it is in.
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// Whether it was declared durable.
    pub fn durable(&self) -> bool {
        self.declared_durable
    }

    /// When a persistent message in it is safe, and so confirmed; none if it is not kept over a
    /// restart, and nothing in it either.
    pub fn sync(&self) -> Option<SyncPolicy> {
        self.kept.then_some(self.sync)
    }

    /// Whether it goes with its last consumer.
    pub fn auto_delete(&self) -> bool {
        self.auto_delete
    }

    /// Whether one connection has it for itself.
    pub fn exclusive(&self) -> bool {
        self.owner.is_some()
    }

    /// The arguments that it was declared with, with what was changed since.
    pub fn arguments(&self) -> Arc<Arguments> {
        Arc::clone(&self.arguments.read())
    }

    pub(crate) fn set_arguments(&self, arguments: Arc<Arguments>) {
        *self.arguments.write() = arguments;
    }

    /// What its declaration says besides its arguments.
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            durable: self.declared_durable,
            exclusive: self.owner.is_some(),
            auto_delete: self.auto_delete,
            sync_default: self.sync,
        }
    }

    /// Whether it wants to know the identity of messages.
    pub(crate) fn deduplicates(&self) -> bool {
        self.deduplicates.load(Ordering::Relaxed)
    }

    /// Whether the way of its messages is noted.
    pub fn has_passport(&self) -> bool {
        self.passport.load(Ordering::Relaxed)
    }

    /// What it does: as it was declared, and as the policy in force says.
    pub fn options(&self) -> Arc<Options> {
        Arc::clone(&self.effective.read().options)
    }

    /// The policy in force.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.effective.read().policy.clone()
    }

    /// The operator policy in force.
    pub fn operator_policy(&self) -> Option<Arc<Policy>> {
        self.effective.read().operator_policy.clone()
    }

    /// Whether publishes to it are counted.
    pub(crate) fn is_metered(&self) -> bool {
        self.metered.load(Ordering::Relaxed)
    }

    fn seldom(&self) -> &Seldom {
        self.seldom.get_or_init(Box::default)
    }

    fn meter(&self) -> Option<&Meter> {
        self.seldom.get()?.publish_meter.get().map(|meter| &**meter)
    }

    /// How long its messages take, if somebody has asked.
    #[inline]
    pub(crate) fn times(&self) -> Option<&MessageTimes> {
        self.seldom.get()?.times.get().map(|times| &**times)
    }

    /// The same, measured from now on.
    pub(crate) fn times_from_now(&self) -> &MessageTimes {
        self.seldom().times.get_or_init(Box::default)
    }

    /// A message was published to it. Says what its publisher has to wait for.
    pub(crate) fn charge_publish(&self, bytes: u64, now: Millis) -> Option<Hold> {
        let owed = self.meter()?.charge(bytes, now)?;
        Some(Hold::new(owed, RateOf::Queue(Arc::clone(&self.name))))
    }

    /// Goes by the publish rate of the options. Says whether that is another one.
    pub(crate) fn fit_meter(&self, now: Millis) -> bool {
        let rate = self.options().publish_rate;
        if !rate.is_bound() && self.meter().is_none() {
            return false;
        }
        let meter = self.seldom().publish_meter.get_or_init(Box::default);
        self.metered.store(rate.is_bound(), Ordering::Relaxed);
        meter.set_rate(rate, now)
    }

    pub(crate) fn set_effective(&self, effective: Effective) {
        let deduplicates = effective.options.deduplication.is_some();
        let passport = effective.options.passport;
        *self.effective.write() = effective;
        self.deduplicates.store(deduplicates, Ordering::Relaxed);
        self.passport.store(passport, Ordering::Relaxed);
    }

    /// Messages that wait.
    pub fn ready(&self) -> u64 {
        self.ready.load(Ordering::Relaxed)
    }

    /// Bytes of the bodies that wait.
    pub fn ready_bytes(&self) -> u64 {
        self.ready_bytes.load(Ordering::Relaxed)
    }

    /// Messages that were delivered and not settled.
    pub fn unsettled(&self) -> u64 {
        self.unsettled.load(Ordering::Relaxed)
    }

    /// Bytes of the bodies that were delivered and not settled.
    pub fn unsettled_bytes(&self) -> u64 {
        self.unsettled_bytes.load(Ordering::Relaxed)
    }

    /// When something was last done with it, since the start of the broker.
    pub fn active_at(&self) -> Millis {
        self.active_at.load(Ordering::Relaxed)
    }

    /// What it has counted since the start of the broker.
    pub fn stats(&self) -> MessageStats {
        self.tally
            .get()
            .map(|tally| tally.stats())
            .unwrap_or_default()
    }

    /// Where whoever has its partition counts.
    #[inline]
    pub(crate) fn tally(&self) -> &QueueTally {
        self.tally.get_or_init(Box::default)
    }

    /// Messages that wait for their time.
    pub fn delayed(&self) -> u64 {
        let seldom = self.seldom.get();
        seldom.map_or(0, |seldom| seldom.delayed.load(Ordering::Relaxed))
    }

    /// Dead letters that can not arrive where they go.
    pub fn dead_letters_pending(&self) -> u64 {
        let seldom = self.seldom.get();
        seldom.map_or(0, |seldom| seldom.stuck.load(Ordering::Relaxed))
    }

    /// Its consumers.
    pub fn consumers(&self) -> u32 {
        self.consumers.load(Ordering::Relaxed)
    }

    /// Shows what is in the queue now; gives how many bytes more are kept of its
    /// messages, beside their bodies.
    #[must_use]
    pub(crate) fn show(&self, counts: &Counts, now: Millis) -> i64 {
        let before = self.index_bytes();
        self.active_at.store(now, Ordering::Relaxed);
        self.ready.store(counts.ready, Ordering::Relaxed);
        self.ready_bytes
            .store(counts.ready_bytes, Ordering::Relaxed);
        self.unsettled.store(counts.unsettled, Ordering::Relaxed);
        self.unsettled_bytes
            .store(counts.unsettled_bytes, Ordering::Relaxed);
        self.consumers.store(counts.consumers, Ordering::Relaxed);
        if self.arrivals.is_awaited() && counts.ready > 0 {
            self.arrivals.tell();
        }
        let rare = counts.delayed > 0 || counts.stuck > 0;
        if rare || self.rare.load(Ordering::Relaxed) {
            self.rare.store(rare, Ordering::Relaxed);
            let seldom = self.seldom();
            seldom.delayed.store(counts.delayed, Ordering::Relaxed);
            seldom.stuck.store(counts.stuck, Ordering::Relaxed);
        }
        self.index_bytes() as i64 - before as i64
    }

    /// Bytes that are kept of its messages, beside their bodies, about.
    pub fn index_bytes(&self) -> u64 {
        let waiting = self.ready() + self.delayed() + self.dead_letters_pending();
        index_bytes(waiting, self.unsettled())
    }

    pub(crate) fn place(&self) -> QueuePlace {
        QueuePlace {
            slot: self.slot.load(Ordering::Acquire),
            id: self.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million queues wait: whatever only some of them need belongs into `Seldom`.
    #[test]
    fn the_handle_of_a_queue_is_small() {
        let counted = size_of::<QueueHandle>() + 2 * size_of::<usize>();
        assert!(counted <= 256, "{counted}");
    }
}
