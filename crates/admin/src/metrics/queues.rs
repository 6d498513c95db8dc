//! What is shown of queues: summed up, or one by one.

use std::sync::Arc;

use ferry_broker::QueueHandle;

use super::text::{Family, MILLIS, Text, gauge, histogram};
use crate::shared::{Shared, Totals};

const READY: Family = gauge(
    "rabbitmq_queue_messages_ready",
    "Messages ready to be delivered to consumers",
);
const UNACKED: Family = gauge(
    "rabbitmq_queue_messages_unacked",
    "Messages delivered to consumers and not yet acknowledged",
);
const MESSAGES: Family = gauge(
    "rabbitmq_queue_messages",
    "Ready and unacknowledged messages, together the depth",
);
const READY_BYTES: Family = gauge(
    "rabbitmq_queue_messages_ready_bytes",
    "Bytes of the bodies of ready messages",
);
const DELAYED: Family = gauge(
    "ferrymq_messages_delayed",
    "Messages that wait for their time, a retry's wait included",
);
const DEAD_LETTERS_PENDING: Family = gauge(
    "ferrymq_messages_dead_letter_pending",
    "Dead letters kept because they can not arrive where they go",
);
const CONSUMERS: Family = gauge("rabbitmq_queue_consumers", "Consumers on a queue");
const WAITED: Family = histogram(
    "ferrymq_queue_publish_deliver_seconds",
    "From a publish to each delivery from the queue, by 1 ms, since it was first asked for",
);
const LEASED: Family = histogram(
    "ferrymq_queue_lease_seconds",
    "From a delivery from the queue to its settlement, by 1 ms, since it was first asked for",
);

/// What is shown of a queue.
pub(super) type Figure = (Family, fn(&QueueHandle) -> u64);

/// How deep queues are.
pub(super) const DEPTHS: [Figure; 3] = [
    (READY, |queue| queue.ready()),
    (UNACKED, |queue| queue.unsettled()),
    (MESSAGES, |queue| queue.ready() + queue.unsettled()),
];
pub(super) const CONSUMER_COUNTS: [Figure; 1] = [(CONSUMERS, |queue| u64::from(queue.consumers()))];
/// The rest.
pub(super) const FURTHER: [Figure; 3] = [
    (READY_BYTES, |queue| queue.ready_bytes()),
    (DELAYED, |queue| queue.delayed()),
    (DEAD_LETTERS_PENDING, |queue| queue.dead_letters_pending()),
];

/// The queues of these virtual hosts, or all if none is named.
pub(super) fn of(shared: &Shared, vhosts: &[String]) -> Vec<Arc<QueueHandle>> {
    let named = |name: &str| vhosts.is_empty() || vhosts.iter().any(|vhost| vhost == name);
    let all = shared.broker.vhosts();
    let wanted = all.iter().filter(|vhost| named(vhost.name()));
    wanted.flat_map(|vhost| vhost.queues()).collect()
}

pub(super) fn write_totals(totals: &Totals, text: &mut Text) {
    for (family, value) in [
        (READY, totals.ready),
        (UNACKED, totals.unsettled),
        (MESSAGES, totals.ready + totals.unsettled),
        (READY_BYTES, totals.ready_bytes),
        (CONSUMERS, totals.consumers),
        (DELAYED, totals.delayed),
        (DEAD_LETTERS_PENDING, totals.dead_letters_pending),
    ] {
        text.one(family, value as f64);
    }
}

/// Every figure of every queue.
pub(super) fn write_each(queues: &[Arc<QueueHandle>], text: &mut Text) {
    for figures in [&DEPTHS[..], &CONSUMER_COUNTS, &FURTHER] {
        write(queues, figures, text);
    }
}

pub(super) fn write(queues: &[Arc<QueueHandle>], figures: &[Figure], text: &mut Text) {
    for (family, value) in figures {
        text.open(*family);
        for queue in queues {
            if text.is_closed() {
                return;
            }
            text.sample(*family, &labels(queue), value(queue) as f64);
        }
    }
}

fn labels(queue: &QueueHandle) -> [(&'static str, &str); 2] {
    [("vhost", queue.vhost()), ("queue", queue.name())]
}

/// How long the messages of each queue take. Who asks makes it be measured from then on.
pub(super) fn write_times(queues: &[Arc<QueueHandle>], text: &mut Text) {
    for family in [WAITED, LEASED] {
        text.open(family);
        for queue in queues {
            if text.is_closed() {
                return;
            }
            let times = queue.measure_times();
            let counted = match family.name == WAITED.name {
                true => times.waited_ms,
                false => times.leased_ms,
            };
            text.distribution(family, &labels(queue), &counted, &MILLIS);
        }
    }
}
