//! Consumers that do not read: their messages stay in the queue, and come when they do read.

#![allow(clippy::unwrap_used)]

mod common;

use common::Node;

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
