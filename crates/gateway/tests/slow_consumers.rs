//! Clients that do not read: messages stay in their queue, and what waits for a socket counts as
//! used memory until the client is gone.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use amqp091::properties::Edit;
use common::{Client, Node, publish_frames};
use ferry_gateway::GatewayConfig;

const MESSAGES: u32 = 600;
const BODY_BYTES: usize = 100_000;
/// What the buffers of both sockets may swallow, generously, in messages.
const SWALLOWED_MAX: u32 = 300;

#[test]
fn a_backlog_stays_in_its_queue_while_the_consumer_does_not_read() {
    let node = Node::start();
    let mut publisher = node.channel();
    publisher.declare(1, "backlog", false);
    publisher.confirm_select(1);
    for _ in 0..MESSAGES {
        publisher.publish(1, "", "backlog", &vec![7; BODY_BYTES]);
    }
    publisher.wait_confirmed(1, u64::from(MESSAGES));
    let used_before = node.broker.memory().used_bytes();

    let mut consumer = node.channel();
    consumer.send_consume(1, "backlog", "c", false);
    consumer.expect(1, "basic.consume_ok");
    let ready = publisher.ready(1, "backlog");
    assert!(
        ready >= MESSAGES - SWALLOWED_MAX,
        "all but {ready} messages left the queue for an outbox that has a limit"
    );
    let used = node.broker.memory().used_bytes();
    assert!(
        used < used_before + (16 << 20),
        "{used_before} became {used}"
    );

    for _ in 0..MESSAGES {
        assert_eq!(consumer.next_message(1).body.len(), BODY_BYTES);
    }
    consumer.ack(1, 0, true);
    consumer.close();
    publisher.close();
}

/// Sends publishes that come back until the broker holds publishers.
fn clog(node: &Node, deaf: &mut Client) {
    let returned = publish_frames(1, "", "nowhere", true, &Edit::default(), &[7; BODY_BYTES]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while node.broker.memory().blocked().is_none() {
        assert!(
            Instant::now() < deadline,
            "what waits for a socket is not accounted"
        );
        deaf.send(&returned);
    }
}

#[test]
fn publishers_go_on_when_the_client_that_took_the_memory_is_gone() {
    let node = Node::with(GatewayConfig::default(), 4 << 20);
    let mut deaf = node.channel();
    clog(&node, &mut deaf);
    let mut publisher = node.channel();
    publisher.confirm_select(1);
    publisher.publish(1, "", "nowhere", b"held");
    publisher.expect(0, "connection.blocked");
    drop(deaf);
    publisher.expect(0, "connection.unblocked");
    publisher.wait_confirmed(1, 1);
    publisher.close();
}

#[test]
fn who_acks_nothing_does_not_get_everything_while_memory_is_short() {
    const MANY: u64 = 90_000;
    // The most that a prefetch count can ask for.
    const LIMIT: u64 = 65_535;
    // What each takes, unacked, is enough for that.
    let node = Node::with(GatewayConfig::default(), 8 << 20);
    let mut publisher = node.channel();
    publisher.declare(1, "many", false);
    publisher.confirm_select(1);
    for count in 1..=MANY {
        publisher.publish(1, "", "many", b"");
        if count.is_multiple_of(1000) {
            publisher.wait_confirmed(1, count);
        }
    }
    let mut greedy = node.channel();
    let mut got = take_all(&mut greedy);
    assert!(node.broker.memory().is_short());
    assert!((LIMIT..MANY).contains(&got), "{got} came");
    greedy.send_get(1, "many", false);
    let text = format!(
        "PRECONDITION_FAILED - this channel holds {got} unacked messages and memory is short: \
         settle some before the next get"
    );
    assert_eq!(greedy.expect_channel_error(1), (406, text));

    // It gave all back, and may have as much again.
    got = take_all(&mut greedy);
    assert!((LIMIT..MANY).contains(&got), "{got} came");
    greedy.ack(1, got - LIMIT / 2, true);
    while got < MANY {
        greedy.next_message(1);
        got += 1;
    }
    greedy.ack(1, 0, true);
    assert!(greedy.get(1, "many", false).is_none());
    greedy.close();
    publisher.close();
}

/// Consumes, and says how many came until nothing more does.
fn take_all(client: &mut Client) -> u64 {
    client.send_consume(1, "many", "c", false);
    client.expect(1, "basic.consume_ok");
    let mut got = 0;
    while !client.is_quiet(Duration::from_millis(200)) {
        client.next_message(1);
        got += 1;
    }
    got
}
