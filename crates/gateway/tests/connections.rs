//! Connections under pressure: slow readers, held publishers, lost heartbeats, shutdown, channels.

mod common;

use std::time::{Duration, Instant};

use amqp091::frame::FrameKind;
use amqp091::method::{basic, connection};
use amqp091::properties::{Change, Edit};
use amqp091::{LongStr, Method, RawTable, ShortStr};
use common::{Client, Node, publish_frames};
use ferry_gateway::GatewayConfig;
use ferry_log::testing::Fault;

#[test]
fn a_consumer_that_does_not_read_holds_only_itself() {
    let config = GatewayConfig {
        outbox_bytes_max: 64 << 10,
        ..GatewayConfig::default()
    };
    let node = Node::with(config, 1 << 30);
    let mut slow = node.channel();
    slow.declare(1, "slow", false);
    slow.consume(1, "slow", true);
    let mut publisher = node.channel();
    publisher.declare(1, "fast", false);
    let body = vec![7; 100_000];
    for _ in 0..300 {
        publisher.publish(1, "", "slow", &body);
    }
    publisher.publish(1, "", "fast", b"goes on");
    assert_eq!(publisher.get(1, "fast", true).unwrap().body, b"goes on");
    assert!(
        publisher.ready(1, "slow") > 100,
        "not everything is in a socket or an outbox"
    );
    for number in 1..=300 {
        let message = slow.next_message(1);
        assert_eq!((message.tag, message.body.len()), (number, 100_000));
    }
    slow.close();
    publisher.close();
}

#[test]
fn publishers_are_held_and_told_while_acks_flow() {
    let node = Node::start();
    let mut consumer = node.channel();
    consumer.declare(1, "memory", false);
    consumer.declare(1, "disk", true);
    let mut client = node.channel();
    client.open_channel(2);
    client.publish(1, "", "memory", b"before");
    node.disk.set_capacity(Some(1 << 20));
    let persistent = Edit {
        delivery_mode: Change::Set(2),
        ..Edit::default()
    };
    // More than the disk takes, and the rest is less than what is held before the socket is left.
    for _ in 0..30 {
        client.publish_with(1, "", "disk", false, &persistent, &[1; 50_000]);
    }
    let got = client.expect(0, "connection.blocked");
    let Method::ConnectionBlocked(blocked) = got.method() else {
        unreachable!()
    };
    assert_eq!(blocked.reason.as_bytes(), b"low on disk");
    for number in 0..10u8 {
        client.publish(1, "", "memory", &[number]);
    }
    let message = client
        .get(2, "memory", false)
        .expect("gets flow on another channel");
    assert_eq!(message.body, b"before");
    client.ack(2, message.tag, false);
    assert_eq!(client.ready(2, "memory"), 0, "publishes are held");
    node.disk.set_capacity(None);
    client.expect(0, "connection.unblocked");
    for number in 0..10u8 {
        let deadline = Instant::now() + Duration::from_secs(5);
        let body = loop {
            match consumer.get(1, "memory", true) {
                Some(message) => break message.body,
                None => assert!(
                    Instant::now() < deadline,
                    "held publishes are done in the end"
                ),
            }
        };
        assert_eq!(body, [number]);
    }
    client.close();
    consumer.close();
}

fn with_heartbeat(node: &Node, heartbeat: u16) -> Client {
    let mut client = Client::raw(node.address);
    client.send(&amqp091::handshake::REPLY);
    client.expect(0, "connection.start");
    client.method(
        0,
        connection::StartOk {
            client_properties: RawTable::EMPTY,
            mechanism: ShortStr::lit("PLAIN"),
            response: LongStr::new(b"\0guest\0guest"),
            locale: ShortStr::lit("en_US"),
        },
    );
    client.expect(0, "connection.tune");
    client.method(
        0,
        connection::TuneOk {
            channel_max: 10,
            frame_max: 131_072,
            heartbeat,
        },
    );
    client.open("/");
    client.expect(0, "connection.open_ok");
    client
}

#[test]
fn heartbeats_are_sent_and_missed() {
    let node = Node::start();
    let mut client = with_heartbeat(&node, 1);
    let since = Instant::now();
    let rest = client.read_to_end();
    let after = since.elapsed();
    assert!(rest.len() >= 16, "at least two heartbeats: {rest:?}");
    assert!(
        rest.chunks(8)
            .all(|frame| frame == [8, 0, 0, 0, 0, 0, 0, 0xCE])
    );
    assert!(
        (1900..4000).contains(&after.as_millis()),
        "closed after two intervals: {after:?}"
    );
    let mut alive = with_heartbeat(&node, 1);
    for _ in 0..8 {
        alive.send(&[8, 0, 0, 0, 0, 0, 0, 0xCE]);
        std::thread::sleep(Duration::from_millis(400));
    }
    alive.open_channel(1);
    alive.close();
}

#[test]
fn a_shutdown_tells_everybody() {
    let mut node = Node::start();
    let mut client = node.channel();
    let gateway = node.gateway.take().unwrap();
    let stopping = node.runtime.spawn(gateway.shutdown());
    let expected = (
        320,
        "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'".to_owned(),
    );
    assert_eq!(client.expect_close(0), expected);
    client.method(0, connection::CloseOk {});
    assert!(client.next().is_none());
    node.runtime.block_on(stopping).unwrap();
    assert!(std::net::TcpStream::connect(node.address).is_err());
}

#[test]
fn a_client_that_says_nothing_is_closed_in_time() {
    let node = Node::start();
    let mut client = Client::raw(node.address);
    client.send(b"AMQ");
    let since = Instant::now();
    assert_eq!(client.read_to_end(), b"");
    assert!((9_900..12_000).contains(&since.elapsed().as_millis()));
}

#[test]
fn channels_are_counted_and_numbered_as_the_client_likes() {
    let node = Node::start();
    let mut client = node.connect();
    for number in [1, 63, 64, 2000, 65_535] {
        client.open_channel(number);
        let name = client.declare(number, "", false);
        assert!(name.starts_with("amq.gen-"));
        client.publish(number, "", &name, b"x");
    }
    client.close();
    let mut client = with_heartbeat(&node, 0);
    for number in 1..=10 {
        client.open_channel(number);
    }
    client.method(
        11,
        amqp091::method::channel::Open {
            out_of_band: ShortStr::EMPTY,
        },
    );
    let text =
        "NOT_ALLOWED - number of channels opened (10) has reached the negotiated channel_max (10)";
    assert_eq!(client.expect_close(0), (530, text.to_owned()));
}

#[test]
fn deliveries_do_not_overtake_the_reply_that_waits_for_the_disk() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.publish(1, "", "q", b"waiting");
    let mut bytes = Vec::new();
    for index in 0..20 {
        let name = format!("durable-{index}");
        Method::from(amqp091::method::queue::Declare {
            ticket: 0,
            queue: ShortStr::clipped(name.as_bytes()),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            no_wait: false,
            arguments: RawTable::EMPTY,
        })
        .write_frame(&mut bytes, 1);
    }
    Method::from(basic::Consume {
        ticket: 0,
        queue: ShortStr::lit("q"),
        consumer_tag: ShortStr::lit("c"),
        no_local: false,
        no_ack: true,
        exclusive: false,
        no_wait: false,
        arguments: RawTable::EMPTY,
    })
    .write_frame(&mut bytes, 1);
    client.send(&bytes);
    for index in 0..20 {
        assert_eq!(client.expect_declared(1).0, format!("durable-{index}"));
    }
    client.expect(1, "basic.consume_ok");
    assert_eq!(client.next_message(1).body, b"waiting");
    client.close();
}

#[test]
fn many_connections_share_one_queue() {
    let node = Node::start();
    let mut first = node.channel();
    first.declare(1, "q", false);
    let mut consumers: Vec<Client> = (0..50).map(|_| node.channel()).collect();
    for consumer in &mut consumers {
        consumer.consume(1, "q", false);
    }
    let burst: Vec<u8> = (0..500u16)
        .flat_map(|number| {
            publish_frames(1, "", "q", false, &Edit::default(), &number.to_be_bytes())
        })
        .collect();
    first.send(&burst);
    let mut seen = Vec::new();
    for consumer in &mut consumers {
        for _ in 0..10 {
            let message = consumer.next_message(1);
            seen.push(u16::from_be_bytes([message.body[0], message.body[1]]));
            consumer.ack(1, message.tag, false);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..500).collect::<Vec<u16>>());
    first.close();
}

#[test]
fn nothing_is_confirmed_once_the_log_has_failed() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", true);
    client.confirm_select(1);
    let persistent = Edit {
        delivery_mode: Change::Set(2),
        ..Edit::default()
    };
    client.publish_with(1, "", "q", false, &persistent, b"kept");
    assert!(client.wait_confirmed(1, 1).is_empty());
    node.disk.fail_call(1, Fault::Io, true);
    client.publish_with(1, "", "q", false, &persistent, b"lost");
    let expected = (
        541,
        "INTERNAL_ERROR - the message log has failed".to_owned(),
    );
    assert_eq!(client.expect_close(0), expected);
}

#[test]
fn a_direct_reply_to_a_client_that_does_not_read_is_dropped_in_the_end() {
    let node = Node::start();
    let mut asker = node.channel();
    asker.send_consume(1, "amq.rabbitmq.reply-to", "r", true);
    asker.expect(1, "basic.consume_ok");
    asker.declare(1, "questions", false);
    let reply_to = ShortStr::lit("amq.rabbitmq.reply-to");
    let request = Edit {
        reply_to: Change::Set(reply_to),
        ..Edit::default()
    };
    asker.publish_with(1, "", "questions", false, &request, b"?");
    assert_eq!(asker.ready(1, "questions"), 1);
    let mut answerer = node.channel();
    let message = answerer.get(1, "questions", true).unwrap();
    let properties = amqp091::Properties::parse(&message.properties).unwrap();
    let key = properties.reply_to().unwrap().as_str_lossy().into_owned();
    let body = vec![1; 100_000];
    for _ in 0..600 {
        answerer.publish(1, "", &key, &body);
    }
    assert_eq!(answerer.ready(1, "questions"), 0);
    let mut count = 0;
    asker.passive_declare(1, "questions");
    loop {
        let got = asker.next().unwrap();
        match got.kind {
            FrameKind::Method if got.method().name() == "queue.declare_ok" => break,
            FrameKind::Method => count += 1,
            _ => {}
        }
    }
    assert!((100..600).contains(&count), "{count}");
    asker.close();
    answerer.close();
}
