//! RabbitMQ's counters of messages: by protocol and kind of queue, and those of channels.
//!
//! Those of channels are sums over open channels in RabbitMQ and fall when one closes; here they
//! are sums since the start, which only grow.

use std::sync::atomic::Ordering;

use ferry_broker::{DeadLetters, Deliveries};
use ferry_core::queue::{DeadLetterReason, QueueKind};

use super::text::{Text, counter, gauge};
use crate::shared::{Shared, Totals};

const PROTOCOL: (&str, &str) = ("protocol", "amqp091");

/// The name of a kind of queue in the labels of RabbitMQ.
fn queue_type(kind: QueueKind) -> &'static str {
    match kind {
        QueueKind::Classic => "rabbit_classic_queue",
        QueueKind::Quorum => "rabbit_quorum_queue",
        QueueKind::Stream => "rabbit_stream_queue",
    }
}

pub(super) fn write(shared: &Shared, totals: &Totals, text: &mut Text) {
    by_protocol(shared, totals, text);
    let kinds = shared.broker.deliveries();
    for (name, help, count) in BY_KIND {
        let family = counter(name, help);
        text.open(family);
        for (kind, counts) in &kinds {
            let labels = [PROTOCOL, ("queue_type", queue_type(*kind))];
            text.sample(family, &labels, count(counts) as f64);
        }
    }
    dead_letters(shared, text);
    let mut all = Deliveries::default();
    kinds.iter().for_each(|(_, counts)| all += *counts);
    channels(shared, totals, &all, text);
}

/// What was published, and what became of it.
struct Published {
    received: u64,
    confirm_asked: u64,
    confirmed: u64,
    routed: u64,
    returned: u64,
    dropped: u64,
}

impl Published {
    fn read(shared: &Shared) -> Published {
        let metrics = shared.broker.metrics();
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let returned = load(&metrics.messages_returned);
        Published {
            received: load(&metrics.messages_published),
            confirm_asked: load(&metrics.messages_confirm_asked),
            confirmed: load(&metrics.messages_confirmed),
            routed: load(&metrics.messages_routed),
            returned,
            dropped: load(&metrics.messages_unroutable).saturating_sub(returned),
        }
    }
}

fn by_protocol(shared: &Shared, totals: &Totals, text: &mut Text) {
    let published = Published::read(shared);
    for (family, value) in [
        (
            counter(
                "rabbitmq_global_messages_received_total",
                "Messages received from publishers",
            ),
            published.received,
        ),
        (
            counter(
                "rabbitmq_global_messages_received_confirm_total",
                "Messages received from publishers that expect a confirm",
            ),
            published.confirm_asked,
        ),
        (
            counter(
                "rabbitmq_global_messages_confirmed_total",
                "Messages confirmed to publishers",
            ),
            published.confirmed,
        ),
        (
            counter(
                "rabbitmq_global_messages_routed_total",
                "Queues and streams that messages were routed to",
            ),
            published.routed,
        ),
        (
            counter(
                "rabbitmq_global_messages_unroutable_dropped_total",
                "Messages without a route that were not mandatory and went nowhere",
            ),
            published.dropped,
        ),
        (
            counter(
                "rabbitmq_global_messages_unroutable_returned_total",
                "Mandatory messages without a route, returned to their publisher",
            ),
            published.returned,
        ),
        (
            gauge(
                "rabbitmq_global_publishers",
                "Channels that have published and are open",
            ),
            shared.publishers(),
        ),
        (
            gauge("rabbitmq_global_consumers", "Consumers now"),
            totals.consumers,
        ),
    ] {
        text.open(family);
        text.sample(family, &[PROTOCOL], value as f64);
    }
}

type ByKind = (&'static str, &'static str, fn(&Deliveries) -> u64);

const BY_KIND: [ByKind; 8] = [
    (
        "rabbitmq_global_messages_delivered_total",
        "Messages delivered to consumers, in whatever way",
        Deliveries::delivered,
    ),
    (
        "rabbitmq_global_messages_delivered_consume_manual_ack_total",
        "Messages delivered to consumers that acknowledge",
        |counts| counts.consumed,
    ),
    (
        "rabbitmq_global_messages_delivered_consume_auto_ack_total",
        "Messages delivered to consumers that do not acknowledge",
        |counts| counts.consumed_auto_ack,
    ),
    (
        "rabbitmq_global_messages_delivered_get_manual_ack_total",
        "Messages fetched by basic.get, to be acknowledged",
        |counts| counts.got,
    ),
    (
        "rabbitmq_global_messages_delivered_get_auto_ack_total",
        "Messages fetched by basic.get, not to be acknowledged",
        |counts| counts.got_auto_ack,
    ),
    (
        "rabbitmq_global_messages_get_empty_total",
        "Times that basic.get found nothing",
        |counts| counts.got_nothing,
    ),
    (
        "rabbitmq_global_messages_redelivered_total",
        "Messages delivered that may have been delivered before",
        |counts| counts.redelivered,
    ),
    (
        "rabbitmq_global_messages_acknowledged_total",
        "Messages acknowledged by consumers",
        |counts| counts.acknowledged,
    ),
];

/// RabbitMQ's name for a strategy.
fn strategy(at_least_once: bool) -> (&'static str, &'static str) {
    let name = match at_least_once {
        true => "at_least_once",
        false => "at_most_once",
    };
    ("dead_letter_strategy", name)
}

fn dead_letters(shared: &Shared, text: &mut Text) {
    let rows = shared.broker.dead_letters();
    for (reason, name, help) in [
        (
            DeadLetterReason::Expired,
            "rabbitmq_global_messages_dead_lettered_expired_total",
            "Messages dead-lettered because their time to live was over",
        ),
        (
            DeadLetterReason::MaxLength,
            "rabbitmq_global_messages_dead_lettered_maxlen_total",
            "Messages dead-lettered because their queue was full",
        ),
        (
            DeadLetterReason::Rejected,
            "rabbitmq_global_messages_dead_lettered_rejected_total",
            "Messages dead-lettered because a consumer rejected them",
        ),
        (
            DeadLetterReason::DeliveryLimit,
            "rabbitmq_global_messages_dead_lettered_delivery_limit_total",
            "Messages dead-lettered because they came back too often",
        ),
    ] {
        let family = counter(name, help);
        text.open(family);
        for row in rows.iter().filter(|row| row.reason == reason) {
            let DeadLetters {
                kind,
                at_least_once,
                count,
                ..
            } = *row;
            let labels = [("queue_type", queue_type(kind)), strategy(at_least_once)];
            text.sample(family, &labels, count as f64);
        }
    }
    let family = counter(
        "rabbitmq_global_messages_dead_lettered_confirmed_total",
        "Dead letters that stayed in their queue until they had arrived where they go",
    );
    text.open(family);
    for (kind, count) in shared.broker.dead_letters_arrived() {
        let labels = [("queue_type", queue_type(kind)), strategy(true)];
        text.sample(family, &labels, count as f64);
    }
}

fn channels(shared: &Shared, totals: &Totals, all: &Deliveries, text: &mut Text) {
    for (family, value) in [
        (
            gauge("rabbitmq_channel_consumers", "Consumers on channels"),
            totals.consumers,
        ),
        (
            gauge(
                "rabbitmq_channel_messages_unacked",
                "Messages delivered and not yet acknowledged",
            ),
            totals.unsettled,
        ),
    ] {
        text.one(family, value as f64);
    }
    publishes_of_channels(&Published::read(shared), text);
    deliveries_of_channels(all, text);
}

fn publishes_of_channels(published: &Published, text: &mut Text) {
    for (name, help, value) in [
        (
            "rabbitmq_channel_messages_published_total",
            "Messages published on channels",
            published.received,
        ),
        (
            "rabbitmq_channel_messages_confirmed_total",
            "Messages published on channels and confirmed",
            published.confirmed,
        ),
        (
            "rabbitmq_channel_messages_unroutable_returned_total",
            "Mandatory messages without a route, returned",
            published.returned,
        ),
        (
            "rabbitmq_channel_messages_unroutable_dropped_total",
            "Messages without a route, dropped",
            published.dropped,
        ),
        (
            "rabbitmq_queue_messages_published_total",
            "Messages published to queues",
            published.routed,
        ),
    ] {
        text.one(counter(name, help), value as f64);
    }
}

fn deliveries_of_channels(all: &Deliveries, text: &mut Text) {
    for (name, help, value) in [
        (
            "rabbitmq_channel_get_ack_total",
            "Messages fetched by basic.get, to be acknowledged",
            all.got,
        ),
        (
            "rabbitmq_channel_get_total",
            "Messages fetched by basic.get, not to be acknowledged",
            all.got_auto_ack,
        ),
        (
            "rabbitmq_channel_get_empty_total",
            "Times that basic.get found nothing",
            all.got_nothing,
        ),
        (
            "rabbitmq_channel_messages_delivered_ack_total",
            "Messages delivered to consumers that acknowledge",
            all.consumed,
        ),
        (
            "rabbitmq_channel_messages_delivered_total",
            "Messages delivered to consumers that do not acknowledge",
            all.consumed_auto_ack,
        ),
        (
            "rabbitmq_channel_messages_redelivered_total",
            "Messages delivered that may have been delivered before",
            all.redelivered,
        ),
        (
            "rabbitmq_channel_messages_acked_total",
            "Messages acknowledged by consumers",
            all.acknowledged,
        ),
    ] {
        text.one(counter(name, help), value as f64);
    }
}
