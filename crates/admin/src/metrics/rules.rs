//! What the rules of exchanges refused, and what kinds of messages they let through.

use std::sync::atomic::Ordering;

use ferry_broker::Metrics;

use super::text::{Family, Text};

pub(super) fn write(metrics: &Metrics, text: &mut Text) {
    let refused = Family(
        "ferrymq_messages_refused_total",
        "Publishes that broke a rule of their exchange",
    );
    let count = metrics.messages_refused.load(Ordering::Relaxed);
    text.counter(refused, count as f64);
    let by_kind = Family(
        "ferrymq_messages_published_by_kind_total",
        "Messages published to exchanges that are strict about kinds",
    );
    text.open(by_kind, "counter");
    for (kind, counter) in [
        ("document", &metrics.documents_published),
        ("command", &metrics.commands_published),
        ("event", &metrics.events_published),
        ("query", &metrics.queries_published),
    ] {
        let count = counter.load(Ordering::Relaxed);
        text.sample(by_kind, &[("kind", kind)], count as f64);
    }
}
