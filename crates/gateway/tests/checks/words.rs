//! What clients of AMQP 0-9-1 put into tables and properties: names that mean something, each
//! mostly with a value that it may have.

use amqp091::{ShortStr, Table, Value};

use super::Tape;

pub const QUEUES: [&str; 4] = ["a", "b", "", "amq.reserved"];
pub const EXCHANGES: [&str; 6] = [
    "",
    "amq.topic",
    "amq.headers",
    "e",
    "amq.nobody",
    ferry_broker::SETTLE_EXCHANGE,
];
pub const KEYS: [&str; 5] = ["a", "b", "a.b", "#", ""];
pub const REPLIES: &str = "amq.rabbitmq.reply-to";

/// Headers of messages, and one that means nothing.
const HEADERS: [&str; 12] = [
    "CC",
    "BCC",
    "x-delay",
    "x-deliver-at",
    "x-gather-count",
    "x-gather-timeout",
    "x-deduplication-header",
    "delivery-tag",
    "outcome",
    "delay",
    "x-kind",
    "a",
];

const ARGUMENTS: [&str; 28] = [
    "x-max-length",
    "x-message-ttl",
    "x-max-priority",
    "x-expires",
    "x-dead-letter-exchange",
    "x-single-active-consumer",
    "x-priority",
    "x-delivery-limit",
    "x-queue-type",
    "x-overflow",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-stream-offset",
    "x-filter",
    "x-sync",
    "x-shards",
    "x-shard-key-header",
    "x-lease-timeout",
    "x-retry-limit",
    "x-retry-delay",
    "x-message-deduplication",
    "x-cache-size",
    "x-deliver-rate",
    "x-discard-transient",
    "x-max-length-bytes",
    "x-match",
    "alternate-exchange",
    "x-delayed-type",
];

const FILTERS: [&str; 4] = [
    "a = 'a'",
    "a > 1 OR JMSPriority > 4",
    "NOT a IS NULL",
    "a =",
];

/// Texts that one of these names may have as its value.
fn texts_of(name: &str) -> &'static [&'static str] {
    match name {
        "x-queue-type" => &["classic", "quorum", "stream"],
        "x-overflow" => &["drop-head", "reject-publish", "reject-publish-dlx"],
        "x-dead-letter-strategy" => &["at-most-once", "at-least-once"],
        "x-stream-offset" => &["first", "last", "next", "1h"],
        "x-sync" => &["sync", "written", "memory"],
        "x-filter" => &FILTERS,
        "x-match" => &["any", "all", "any-with-x"],
        "x-delayed-type" => &["direct", "topic"],
        "outcome" => &["accept", "requeue", "reject", "delay", "extend"],
        "x-kind" => &["event", "command", "query"],
        "x-dead-letter-exchange" | "alternate-exchange" => &EXCHANGES,
        _ => &KEYS,
    }
}

fn value(tape: &mut Tape<'_>, name: &str) -> Value {
    match tape.below(5) {
        0 => Value::Bool(tape.flag()),
        1 => Value::I64(i64::from(tape.byte()) - 8),
        2 => Value::I32(i32::from(tape.word())),
        3 => {
            let keys = [tape.one_of(&KEYS), tape.one_of(&QUEUES)];
            Value::from(keys.map(Value::from).to_vec())
        }
        _ => Value::from(tape.one_of(texts_of(name))),
    }
}

fn table(tape: &mut Tape<'_>, names: &[&'static str], limit: usize) -> Vec<u8> {
    let mut table = Table::new();
    for _ in 0..tape.below(limit) {
        let name = tape.one_of(names);
        let value = value(tape, name);
        table.push(ShortStr::lit(name), value);
    }
    table.to_bytes()
}

/// Arguments of queues, exchanges, bindings and consumers.
pub fn arguments(tape: &mut Tape<'_>) -> Vec<u8> {
    table(tape, &ARGUMENTS, 4)
}

/// Delivery mode, priority, expiration, headers and an address for replies, each as a client
/// writes them.
pub fn properties(tape: &mut Tape<'_>) -> Vec<u8> {
    match tape.below(8) {
        0 => vec![0, 0],
        1 => vec![0x10, 0, 2],
        2 => vec![0x18, 0, 2, 9],
        3 => vec![0x01, 0, 1, b'5'],
        4 => [&[0x22, 0][..], &headers(tape), &short(REPLIES)].concat(),
        5 => [&[0x02, 0][..], &short(tape.one_of(&QUEUES))].concat(),
        6 => settlement(tape),
        _ => [&[0x30, 0][..], &headers(tape), &[2]].concat(),
    }
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn headers(tape: &mut Tape<'_>) -> Vec<u8> {
    long(&table(tape, &HEADERS, 4))
}

/// Headers that settle a delivery, if they come to the exchange for that.
fn settlement(tape: &mut Tape<'_>) -> Vec<u8> {
    let mut table = Table::new();
    let tag = Value::I64(i64::from(tape.byte() % 12));
    table.push(ShortStr::lit("delivery-tag"), tag);
    let outcome = Value::from(tape.one_of(texts_of("outcome")));
    table.push(ShortStr::lit("outcome"), outcome);
    if tape.flag() {
        table.push(ShortStr::lit("delay"), Value::I64(i64::from(tape.word())));
    }
    [&[0x20, 0][..], &long(&table.to_bytes())].concat()
}

fn long(table: &[u8]) -> Vec<u8> {
    [&(table.len() as u32).to_be_bytes(), table].concat()
}
