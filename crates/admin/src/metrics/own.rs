//! Our own counters of messages.

use std::sync::atomic::{AtomicU64, Ordering};

use ferry_broker::{Metrics, Spoken};

use super::text::{Family, Text, counter};
use crate::shared::Shared;

type Row = (&'static str, &'static str, fn(&Metrics) -> &AtomicU64);

/// Publishes and what became of them; what the settings of queues did (delay, retry, lease,
/// de-duplication, dead letters); what was gathered; what was told of traces.
const ROWS: [Row; 15] = [
    (
        "ferrymq_messages_unroutable_total",
        "Messages that went to no queue",
        |metrics| &metrics.messages_unroutable,
    ),
    (
        "ferrymq_messages_dead_lettered_total",
        "Messages that were dead-lettered",
        |metrics| &metrics.messages_dead_lettered,
    ),
    (
        "ferrymq_messages_rejected_total",
        "Publishes that a full queue refused",
        |metrics| &metrics.messages_rejected,
    ),
    (
        "ferrymq_messages_refused_total",
        "Publishes that broke a rule of their exchange",
        |metrics| &metrics.messages_refused,
    ),
    (
        "ferrymq_messages_damaged_total",
        "Messages whose body was unreadable",
        |metrics| &metrics.messages_damaged,
    ),
    (
        "ferrymq_messages_woken_total",
        "Messages whose delay was over, a retry's wait included",
        |metrics| &metrics.messages_woken,
    ),
    (
        "ferrymq_messages_delay_ignored_total",
        "Delays that were negative or no numbers",
        |metrics| &metrics.messages_delay_ignored,
    ),
    (
        "ferrymq_leases_expired_total",
        "Leases that ended by their deadline",
        |metrics| &metrics.leases_expired,
    ),
    (
        "ferrymq_messages_settled_late_total",
        "Settlements of leases that had ended",
        |metrics| &metrics.messages_settled_late,
    ),
    (
        "ferrymq_messages_duplicate_total",
        "Publishes not stored because their id had been seen",
        |metrics| &metrics.messages_duplicate,
    ),
    (
        "ferrymq_messages_dead_letter_dropped_total",
        "Dead letters that had nowhere to go",
        |metrics| &metrics.messages_dead_letter_dropped,
    ),
    (
        "ferrymq_gathers_begun_total",
        "Gatherings that began",
        |metrics| &metrics.gathers_begun,
    ),
    (
        "ferrymq_gathers_answered_total",
        "Gatherings that were answered",
        |metrics| &metrics.gathers_answered,
    ),
    (
        "ferrymq_gather_replies_late_total",
        "Replies that came after their gathering had ended",
        |metrics| &metrics.gather_replies_late,
    ),
    (
        "ferrymq_spans_dropped_total",
        "Hops of traces that could not be sent to the collector",
        |metrics| &metrics.spans_dropped,
    ),
];

const BY_KIND: Family = counter(
    "ferrymq_messages_published_by_kind_total",
    "Messages published to exchanges that are strict about kinds",
);
const PUBLISHES_THROTTLED: Family = counter(
    "ferrymq_publishes_throttled_total",
    "Waits of publishers for a rate, by whose rate it was",
);
const DELIVERIES_THROTTLED: Family = counter(
    "ferrymq_deliveries_throttled_total",
    "Waits of deliveries for a rate, by whose rate it was",
);
const RECEIVED: Family = counter("ferrymq_received_bytes_total", "Bytes that clients sent");
const SENT: Family = counter(
    "ferrymq_sent_bytes_total",
    "Bytes that were sent to clients",
);

pub(super) fn write(shared: &Shared, text: &mut Text) {
    let metrics = shared.broker.metrics();
    for (name, help, of) in ROWS {
        text.one(
            counter(name, help),
            of(metrics).load(Ordering::Relaxed) as f64,
        );
    }
    text.open(BY_KIND);
    for (kind, counter) in [
        ("document", &metrics.documents_published),
        ("command", &metrics.commands_published),
        ("event", &metrics.events_published),
        ("query", &metrics.queries_published),
    ] {
        let count = counter.load(Ordering::Relaxed);
        text.sample(BY_KIND, &[("kind", kind)], count as f64);
    }
    throttled(shared, text);
    traffic(shared, text);
}

fn traffic(shared: &Shared, text: &mut Text) {
    let of = |spoken| {
        let name = match spoken {
            Spoken::Amqp091 => "amqp091",
            Spoken::Mqtt => "mqtt",
            Spoken::Json => "json",
        };
        (name, shared.broker.edges().traffic_bytes_of(spoken))
    };
    let all = Spoken::ALL.map(of);
    for (family, bytes) in [
        (RECEIVED, all.map(|(name, (received, _))| (name, received))),
        (SENT, all.map(|(name, (_, sent))| (name, sent))),
    ] {
        text.open(family);
        for (protocol, bytes) in bytes {
            text.sample(family, &[("protocol", protocol)], bytes as f64);
        }
    }
}

fn throttled(shared: &Shared, text: &mut Text) {
    let counts = shared.broker.throttled();
    for (family, waits) in [
        (PUBLISHES_THROTTLED, counts.map(|count| count.publishes)),
        (DELIVERIES_THROTTLED, counts.map(|count| count.deliveries)),
    ] {
        text.open(family);
        for (count, waits) in counts.iter().zip(waits) {
            text.sample(family, &[("limit", count.limit)], waits as f64);
        }
    }
}
