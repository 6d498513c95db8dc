//! Sessions with broken bytes: whatever a client sends, the others never notice.

mod common;

use amqp091::method::{basic, channel, connection, queue};
use amqp091::properties::Edit;
use amqp091::{LongStr, Method, RawTable, ShortStr, Table, Value};
use common::{Client, Node, publish_frames};
use ferry_log::testing::Random;

/// The frames that log in and open channel 1.
fn log_in(arguments: RawTable<'_>) -> Vec<u8> {
    let start_ok = connection::StartOk {
        client_properties: arguments,
        mechanism: ShortStr::lit("PLAIN"),
        response: LongStr::new(b"\0guest\0guest"),
        locale: ShortStr::lit("en_US"),
    };
    let open = connection::Open {
        virtual_host: ShortStr::lit("/"),
        capabilities: ShortStr::EMPTY,
        insist: false,
    };
    let tune_ok = connection::TuneOk {
        channel_max: 9,
        frame_max: 8192,
        heartbeat: 9,
    };
    let mut out = amqp091::handshake::REPLY.to_vec();
    Method::from(start_ok).write_frame(&mut out, 0);
    Method::from(tune_ok).write_frame(&mut out, 0);
    Method::from(open).write_frame(&mut out, 0);
    Method::from(channel::Open {
        out_of_band: ShortStr::EMPTY,
    })
    .write_frame(&mut out, 1);
    out
}

fn consume<'a>(queue: ShortStr<'a>, consumer_tag: ShortStr<'a>) -> basic::Consume<'a> {
    basic::Consume {
        ticket: 0,
        queue,
        consumer_tag,
        no_local: false,
        no_ack: false,
        exclusive: false,
        no_wait: false,
        arguments: RawTable::EMPTY,
    }
}

/// A whole session: log in, declare, consume, get, settle, and publishes in between.
fn session() -> Vec<u8> {
    let mut table = Table::new();
    table.push(ShortStr::lit("x-max-length"), 1000i32);
    table.push(
        ShortStr::lit("n"),
        Value::from(vec![Value::from("a"), Value::from(1i64)]),
    );
    let table = table.to_bytes();
    let arguments = RawTable::new(&table);
    let queue = ShortStr::lit("mutated");
    let consumer_tag = ShortStr::lit("c");
    let declare = queue::Declare {
        ticket: 0,
        queue,
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: RawTable::EMPTY,
    };
    let bind = queue::Bind {
        ticket: 0,
        queue,
        exchange: ShortStr::lit("amq.headers"),
        routing_key: ShortStr::EMPTY,
        no_wait: false,
        arguments,
    };
    let methods: [Method<'_>; 7] = [
        declare.into(),
        bind.into(),
        consume(queue, consumer_tag).into(),
        basic::Get {
            ticket: 0,
            queue,
            no_ack: false,
        }
        .into(),
        basic::Nack {
            delivery_tag: 1,
            multiple: true,
            requeue: true,
        }
        .into(),
        basic::Ack {
            delivery_tag: 2,
            multiple: false,
        }
        .into(),
        basic::Cancel {
            consumer_tag,
            no_wait: false,
        }
        .into(),
    ];
    let mut out = log_in(arguments);
    for method in methods {
        method.write_frame(&mut out, 1);
        out.extend(publish_frames(
            1,
            "",
            "mutated",
            true,
            &Edit::default(),
            b"body",
        ));
    }
    out
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(5) {
            0 => bytes[at] = random.any() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at.max(20)),
            3 => {
                let end = bytes.len().min(at + random.below(40) as usize);
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let end = bytes.len().min(at + random.below(20) as usize);
                bytes.drain(at..end);
            }
        }
    }
}

#[test]
fn broken_sessions_harm_nobody_else() {
    let node = Node::start();
    let mut canary = node.channel();
    canary.declare(1, "canary", false);
    let whole = session();
    let mut clients = Vec::new();
    for seed in 0..600 {
        let mut random = Random::new(seed);
        let mut bytes = whole.clone();
        if seed > 0 {
            mutate(&mut bytes, &mut random);
        }
        let mut client = Client::raw(node.address);
        client.try_send(&bytes);
        clients.push(client);
        if seed % 20 == 19 {
            clients.clear();
            canary.publish(1, "", "canary", &seed.to_be_bytes());
            let message = canary.get(1, "canary", true);
            assert_eq!(
                message.map(|message| message.body),
                Some(seed.to_be_bytes().to_vec())
            );
        }
    }
    drop(clients);
    canary.passive_declare(1, "mutated");
    let (_, _, consumers) = canary.expect_declared(1);
    assert!(
        consumers <= 20,
        "consumers go with their connections: {consumers}"
    );
    canary.close();
}
