//! One look at everything that has counts.
//!
//! Invariants
//! - A queue that nobody used since the look before, and that nobody watches, costs one load.
//! - No lock of the sampler is held meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferry_broker::{ConnectionInfo, Deliveries, MessageStats, QueueHandle, Vhost, VhostSums};

use super::fields::{CHURN, NODE_FIELDS, OBJECT, OBJECT_FIELDS, USED};
use super::{BLANKS_MAX, Key, Round};
use crate::process;
use crate::shared::Shared;

impl Round {
    fn take(&mut self, key: Key, values: Box<[u64]>) {
        self.taken.push((key, values));
    }

    /// The sample of a queue. One without a count makes no rate, so few of these are noted.
    pub(super) fn take_queue(&mut self, key: Key, values: Box<[u64]>, watched: bool) {
        if !watched && values.iter().all(|value| *value == 0) {
            self.blanks += 1;
            if self.blanks > BLANKS_MAX {
                return;
            }
        }
        self.take(key, values);
    }
}

/// A sample with the counts of messages in it.
fn sample(fields: usize, stats: &MessageStats) -> Box<[u64]> {
    let mut values = vec![0; fields].into_boxed_slice();
    let counts = stats.values();
    values[..counts.len()].copy_from_slice(&counts);
    values
}

pub(super) fn look(shared: &Shared, round: &mut Round) {
    let mut node = (0, 0, MessageStats::default());
    for (vhost, sums) in shared.sums().vhosts.iter() {
        node.0 += sums.ready;
        node.1 += sums.unsettled;
        node.2 += sums.stats;
        round.take(Key::Vhost(vhost.name().into()), of_vhost(sums));
        for queue in shared.all_queues_of(vhost).iter() {
            look_at_queue(queue, round);
        }
        look_at_exchanges(vhost, round);
    }
    for connection in shared.broker.connections() {
        look_at_connection(&connection, round);
    }
    let mut values = sample(NODE_FIELDS, &node_stats(shared, &node.2));
    values[OBJECT.ready.at] = node.0;
    values[OBJECT.unacknowledged.at] = node.1;
    for (field, count) in CHURN.iter().zip(churn(shared)) {
        values[field.at] = count;
    }
    for (field, count) in USED.iter().zip(used(shared)) {
        values[field.at] = count.unwrap_or(0);
    }
    round.take(Key::Node, values);
}

fn of_vhost(sums: &VhostSums) -> Box<[u64]> {
    let mut values = sample(OBJECT_FIELDS, &sums.stats);
    values[OBJECT.ready.at] = sums.ready;
    values[OBJECT.unacknowledged.at] = sums.unsettled;
    values[OBJECT.received.at] = sums.received_bytes;
    values[OBJECT.sent.at] = sums.sent_bytes;
    values
}

fn look_at_queue(queue: &Arc<QueueHandle>, round: &mut Round) {
    // One more interval, so that what has just ended shows that it has.
    let changed = queue.active_at() >= round.since;
    let watched = !round.watched.is_empty() && round.watched.contains(&queue_key(queue));
    if !changed && !watched {
        return;
    }
    let mut values = sample(OBJECT_FIELDS, &queue.stats());
    values[OBJECT.ready.at] = queue.ready();
    values[OBJECT.unacknowledged.at] = queue.unsettled();
    round.take_queue(queue_key(queue), values, watched);
}

/// The key of a queue.
pub(crate) fn queue_key(queue: &QueueHandle) -> Key {
    Key::Queue(queue.id().0)
}

fn look_at_exchanges(vhost: &Vhost, round: &mut Round) {
    for (name, stats) in vhost.all_exchange_stats() {
        let key = Key::Exchange(vhost.name().into(), name);
        round.take(key, sample(OBJECT_FIELDS, &stats));
    }
}

fn look_at_connection(connection: &ConnectionInfo, round: &mut Round) {
    let Some(probe) = connection.probe.upgrade() else {
        return;
    };
    let traffic = probe.traffic();
    let mut values = sample(OBJECT_FIELDS, &MessageStats::default());
    values[OBJECT.received.at] = traffic.received_bytes;
    values[OBJECT.sent.at] = traffic.sent_bytes;
    round.take(Key::Connection(connection.id), values);
    for channel in probe.channels() {
        if channel.stats != MessageStats::default() {
            let key = Key::Channel(connection.id, channel.number);
            round.take(key, sample(OBJECT_FIELDS, &channel.stats));
        }
    }
}

/// What the whole node has counted; `sums` are those of its virtual hosts.
pub(crate) fn node_stats(shared: &Shared, sums: &MessageStats) -> MessageStats {
    let metrics = shared.broker.metrics();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut all = Deliveries::default();
    let kinds = shared.broker.deliveries();
    kinds.iter().for_each(|(_, counts)| all += *counts);
    let returned = count(&metrics.messages_returned);
    MessageStats {
        publish: count(&metrics.messages_published),
        publish_in: 0,
        publish_out: 0,
        confirm: count(&metrics.messages_confirmed),
        deliver: all.consumed,
        deliver_no_ack: all.consumed_auto_ack,
        get: all.got,
        get_no_ack: all.got_auto_ack,
        get_empty: all.got_nothing,
        redeliver: all.redelivered,
        ack: all.acknowledged,
        return_unroutable: returned,
        drop_unroutable: count(&metrics.messages_unroutable).saturating_sub(returned),
        disk_reads: sums.disk_reads,
        disk_writes: sums.disk_writes,
    }
}

/// What came and went, in the order of `CHURN`.
pub(crate) fn churn(shared: &Shared) -> [u64; 7] {
    let metrics = shared.broker.metrics();
    let created = &metrics.queues_declared;
    [
        &metrics.connections_opened,
        &metrics.connections_closed,
        &metrics.channels_opened,
        &metrics.channels_closed,
        created,
        created,
        &metrics.queues_deleted,
    ]
    .map(|counter| counter.load(Ordering::Relaxed))
}

/// What is used, in the order of `USED`.
pub(crate) fn used(shared: &Shared) -> [Option<u64>; 4] {
    [
        process::resident_bytes(),
        process::open_files(),
        Some(shared.broker.connection_count() as u64),
        shared.disk_free_bytes(),
    ]
}
