//! Sessions of AMQP 0-9-1.

use amqp091::method::{basic, channel, connection, exchange, queue, tx};
use amqp091::{LongStr, Method, RawTable, ShortStr, Table, Value, frame};
use ferry_gateway::testing::Protocol;

use super::words::{EXCHANGES, KEYS, QUEUES, REPLIES, arguments, properties};
use super::{Play, Tape};
use crate::house;

const KINDS: [&str; 7] = [
    "direct",
    "fanout",
    "topic",
    "headers",
    "x-consistent-hash",
    "x-delayed-message",
    "x-nobody",
];
const TAGS: [&str; 3] = ["c", "d", ""];

/// Plays a tape.
pub fn check_amqp091(bytes: &[u8]) {
    Play::new(Protocol::Amqp091, openings(), check_heard).run(bytes, say);
}

/// Log-ins of each kind; then channel 1 has confirms and channel 2 transactions.
fn openings() -> Vec<Vec<u8>> {
    vec![
        opening("EXTERNAL", b"", true, 0),
        opening("EXTERNAL", b"", false, 0),
        opening("EXTERNAL", b"", true, 0),
        opening("EXTERNAL", b"", true, 1),
        opening("PLAIN", b"\0guest\0guest", true, 0),
        opening("PLAIN", b"\0guest", true, 0),
        opening("AMQPLAIN", b"\x05LOGINS\0\0\0\x05guest", true, 0),
    ]
}

fn opening(mechanism: &str, response: &[u8], notices: bool, heartbeat: u16) -> Vec<u8> {
    let mut capabilities = Table::new();
    for name in ["connection.blocked", "consumer_cancel_notify"] {
        capabilities.push(ShortStr::lit(name), Value::Bool(notices));
    }
    let mut properties = Table::new();
    properties.push(ShortStr::lit("capabilities"), Value::from(capabilities));
    let properties = properties.to_bytes();
    let start = connection::StartOk {
        client_properties: RawTable::new(&properties),
        mechanism: ShortStr::lit(mechanism),
        response: LongStr::new(response),
        locale: ShortStr::lit("en_US"),
    };
    let mut out = house::opening_with(start, heartbeat);
    Method::from(channel::Open::default()).write_frame(&mut out, 2);
    Method::from(tx::Select {}).write_frame(&mut out, 2);
    out
}

fn check_heard(heard: &[u8]) {
    // Who says what is not AMQP is told what would be.
    let mut rest = heard
        .strip_prefix(&amqp091::handshake::REPLY)
        .unwrap_or(heard);
    while let Some(frame) = frame::parse(rest, 131_072).unwrap() {
        rest = &rest[frame.size..];
    }
}

fn say(tape: &mut Tape<'_>, out: &mut Vec<u8>) {
    let number = tape.one_of(&[1, 1, 1, 2, 0, 2, 3]);
    match tape.below(5) {
        0 => say_publish(tape, number, out),
        1 => say_queue(tape, number, out),
        2 => say_basic(tape, number, out),
        3 => say_channel(tape, number, out),
        _ => say_exchange(tape, number, out),
    }
}

fn say_publish(tape: &mut Tape<'_>, number: u16, out: &mut Vec<u8>) {
    let publish = basic::Publish {
        exchange: ShortStr::lit(tape.one_of(&EXCHANGES)),
        routing_key: ShortStr::lit(tape.one_of(&KEYS)),
        mandatory: tape.flag(),
        immediate: tape.byte() == 255,
        ..basic::Publish::default()
    };
    Method::from(publish).write_frame(out, number);
    let size = usize::from(tape.word() % 9_000);
    let announced = match tape.byte() {
        254 => size as u64 + 1,
        255 => u64::MAX,
        _ => size as u64,
    };
    let properties = properties(tape);
    frame::write_header(out, number, 60, announced, &properties);
    frame::write_body(out, number, &vec![tape.byte(); size], 4_096);
}

fn say_queue(tape: &mut Tape<'_>, number: u16, out: &mut Vec<u8>) {
    let name = ShortStr::lit(tape.one_of(&QUEUES));
    let source = ShortStr::lit(tape.one_of(&EXCHANGES));
    let routing_key = ShortStr::lit(tape.one_of(&KEYS));
    let table = arguments(tape);
    let (arguments, bits) = (RawTable::new(&table), tape.byte());
    let bit = |at: u8| bits >> at & 1 == 1;
    let method: Method<'_> = match tape.below(8) {
        0..=2 => queue::Declare {
            queue: name,
            passive: bit(0),
            durable: bit(1),
            exclusive: bit(2),
            auto_delete: bit(3),
            no_wait: bit(4),
            arguments,
            ..queue::Declare::default()
        }
        .into(),
        3 => queue::Bind {
            queue: name,
            exchange: source,
            routing_key,
            no_wait: bit(0),
            arguments,
            ..queue::Bind::default()
        }
        .into(),
        4 => queue::Unbind {
            queue: name,
            exchange: source,
            routing_key,
            arguments,
            ..queue::Unbind::default()
        }
        .into(),
        5 => queue::Delete {
            queue: name,
            if_unused: bit(0),
            if_empty: bit(1),
            no_wait: bit(2),
            ..queue::Delete::default()
        }
        .into(),
        6 => queue::Purge {
            queue: name,
            no_wait: bit(0),
            ..queue::Purge::default()
        }
        .into(),
        _ => exchange::Declare {
            exchange: source,
            kind: ShortStr::lit(tape.one_of(&KINDS)),
            passive: bit(0),
            durable: bit(1),
            auto_delete: bit(2),
            internal: bit(3),
            no_wait: bit(4),
            arguments,
            ..exchange::Declare::default()
        }
        .into(),
    };
    method.write_frame(out, number);
}

fn say_exchange(tape: &mut Tape<'_>, number: u16, out: &mut Vec<u8>) {
    let name = ShortStr::lit(tape.one_of(&EXCHANGES));
    let source = ShortStr::lit(tape.one_of(&EXCHANGES));
    let routing_key = ShortStr::lit(tape.one_of(&KEYS));
    let table = arguments(tape);
    let (arguments, bits) = (RawTable::new(&table), tape.byte());
    let bit = |at: u8| bits >> at & 1 == 1;
    let method: Method<'_> = match tape.below(4) {
        0 => exchange::Delete {
            exchange: name,
            if_unused: bit(0),
            no_wait: bit(1),
            ..exchange::Delete::default()
        }
        .into(),
        1 => exchange::Bind {
            destination: name,
            source,
            routing_key,
            no_wait: bit(0),
            arguments,
            ..exchange::Bind::default()
        }
        .into(),
        2 => exchange::Unbind {
            destination: name,
            source,
            routing_key,
            no_wait: bit(0),
            arguments,
            ..exchange::Unbind::default()
        }
        .into(),
        // Answers come to this consumer.
        _ => basic::Consume {
            queue: ShortStr::lit(REPLIES),
            no_ack: bit(0),
            ..basic::Consume::default()
        }
        .into(),
    };
    method.write_frame(out, number);
}

fn say_basic(tape: &mut Tape<'_>, number: u16, out: &mut Vec<u8>) {
    let name = ShortStr::lit(tape.one_of(&QUEUES));
    let consumer_tag = ShortStr::lit(tape.one_of(&TAGS));
    let table = arguments(tape);
    let (delivery_tag, bits) = (u64::from(tape.byte() % 12), tape.byte());
    let bit = |at: u8| bits >> at & 1 == 1;
    let method: Method<'_> = match tape.below(8) {
        0 => basic::Consume {
            queue: name,
            consumer_tag,
            no_ack: bit(0),
            exclusive: bit(1),
            no_wait: bit(2),
            no_local: bit(3),
            arguments: RawTable::new(&table),
            ..basic::Consume::default()
        }
        .into(),
        1 => basic::Cancel {
            consumer_tag,
            no_wait: bit(0),
        }
        .into(),
        2 => basic::Get {
            queue: name,
            no_ack: bit(0),
            ..basic::Get::default()
        }
        .into(),
        3 => basic::Ack {
            delivery_tag,
            multiple: bit(0),
        }
        .into(),
        4 => basic::Nack {
            delivery_tag,
            multiple: bit(0),
            requeue: bit(1),
        }
        .into(),
        5 => basic::Reject {
            delivery_tag,
            requeue: bit(0),
        }
        .into(),
        6 => basic::Recover { requeue: bit(0) }.into(),
        _ => basic::Qos {
            prefetch_count: tape.byte().into(),
            global: bit(0),
            ..basic::Qos::default()
        }
        .into(),
    };
    method.write_frame(out, number);
}

fn say_channel(tape: &mut Tape<'_>, number: u16, out: &mut Vec<u8>) {
    let method: Method<'_> = match tape.below(10) {
        0 | 1 => channel::Open::default().into(),
        2 => channel::Close::default().into(),
        3 => channel::CloseOk {}.into(),
        4 => channel::Flow {
            active: tape.flag(),
        }
        .into(),
        5 => tx::Select {}.into(),
        6 => tx::Commit {}.into(),
        7 => tx::Rollback {}.into(),
        8 => return frame::write_heartbeat(out),
        _ => connection::Close::default().into(),
    };
    method.write_frame(out, number);
}
