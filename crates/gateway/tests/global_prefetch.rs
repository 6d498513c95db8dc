//! The prefetch count of a whole channel: what counts, who is held, whose turn it is.

mod common;

use amqp091::method::{basic, tx};
use common::{Client, Node};

/// A channel that may have so many deliveries unsettled.
fn limited(node: &Node, prefetch_count: u16) -> Client {
    let mut client = node.channel();
    let qos = basic::Qos {
        prefetch_size: 0,
        prefetch_count,
        global: true,
    };
    client.method(1, qos);
    client.expect(1, "basic.qos_ok");
    client
}

fn consume_as(client: &mut Client, queue: &'static str, tag: &'static str, no_ack: bool) {
    client.send_consume(1, queue, tag, no_ack);
    client.expect(1, "basic.consume_ok");
}

#[test]
fn gets_are_not_counted() {
    let node = Node::start();
    let mut client = limited(&node, 1);
    client.declare(1, "q", false);
    for body in [b"a", b"b", b"c", b"d"] {
        client.publish(1, "", "q", body);
    }
    let fetched = client.get(1, "q", false).expect("a message");
    consume_as(&mut client, "q", "c", false);
    let first = client.next_message(1);
    assert_eq!(client.ready(1, "q"), 2, "one is out, as many as may be");
    client.ack(1, first.tag, false);
    let second = client.next_message(1);
    client.ack(1, fetched.tag, false);
    assert_eq!(client.ready(1, "q"), 1, "its end makes no room either");
    client.ack(1, second.tag, false);
    assert_eq!(client.next_message(1).body, b"d");
    client.close();
}

#[test]
fn what_waits_for_a_commit_is_counted() {
    let node = Node::start();
    let mut client = limited(&node, 1);
    client.declare(1, "q", false);
    for body in [b"a", b"b"] {
        client.publish(1, "", "q", body);
    }
    client.method(1, tx::Select {});
    client.expect(1, "tx.select_ok");
    consume_as(&mut client, "q", "c", false);
    let first = client.next_message(1);
    client.ack(1, first.tag, false);
    client.method(1, tx::Rollback {});
    client.expect(1, "tx.rollback_ok");
    client.ack(1, first.tag, false);
    assert_eq!(client.ready(1, "q"), 1);
    client.method(1, tx::Commit {});
    client.expect(1, "tx.commit_ok");
    assert_eq!(client.next_message(1).body, b"b");
    client.close();
}

#[test]
fn what_waits_for_a_commit_is_not_given_back() {
    for consumes in [false, true] {
        let node = Node::start();
        let mut client = node.channel();
        client.declare(1, "q", false);
        client.publish(1, "", "q", b"taken");
        client.publish(1, "", "q", b"again");
        client.method(1, tx::Select {});
        client.expect(1, "tx.select_ok");
        let tags = match consumes {
            true => {
                consume_as(&mut client, "q", "c", false);
                [(); 2].map(|()| client.next_message(1).tag)
            }
            false => [(); 2].map(|()| client.get(1, "q", false).expect("a message").tag),
        };
        client.ack(1, tags[0], false);
        client.method(1, basic::Recover { requeue: true });
        client.expect(1, "basic.recover_ok");
        if consumes {
            assert_eq!(client.next_message(1).body, b"again");
        }
        client.method(1, tx::Commit {});
        client.expect(1, "tx.commit_ok");
        assert_eq!(client.ready(1, "q"), u32::from(!consumes));
        assert_eq!(node.queue("q").unsettled(), u64::from(consumes));
        client.close();
    }
}

#[test]
fn who_does_not_ack_waits_for_room_and_takes_none() {
    let node = Node::start();
    let mut client = limited(&node, 1);
    for queue in ["acked", "unacked"] {
        client.declare(1, queue, false);
    }
    consume_as(&mut client, "acked", "a", false);
    consume_as(&mut client, "unacked", "u", true);
    client.publish(1, "", "acked", b"held");
    let held = client.next_message(1);
    for body in [b"1", b"2"] {
        client.publish(1, "", "unacked", body);
    }
    assert_eq!(client.ready(1, "unacked"), 2, "there is no room");
    client.ack(1, held.tag, false);
    for body in [b"1", b"2"] {
        assert_eq!(client.next_message(1).body, body);
    }
    client.close();
}

#[test]
fn consumers_take_turns_with_the_room() {
    const MESSAGES: usize = 20;
    for queues in [["q", "q", "q"], ["a", "b", "c"]] {
        let node = Node::start();
        let mut client = limited(&node, 1);
        for queue in queues {
            client.declare(1, queue, false);
        }
        for (queue, tag) in queues.into_iter().zip(["0", "1", "2"]) {
            consume_as(&mut client, queue, tag, false);
        }
        for queue in queues {
            for _ in 0..MESSAGES {
                client.publish(1, "", queue, b"work");
            }
        }
        let mut shares = [0; 3];
        for _ in 0..MESSAGES {
            let message = client.next_message(1);
            shares[usize::from(message.consumer.as_bytes()[0] - b'0')] += 1;
            client.ack(1, message.tag, false);
        }
        assert!(
            shares.iter().all(|share| *share >= MESSAGES / 5),
            "{shares:?}"
        );
        client.close();
    }
}
