//! Publish, deliver, settle, confirm, transactions and replies over a real socket.

mod common;

use std::time::Duration;

use amqp091::method::{basic, channel, queue, tx};
use amqp091::properties::{Change, Edit, Properties};
use amqp091::{Method, RawTable, ShortStr, Table, Value};
use common::{Node, publish_frames};

#[test]
fn bodies_of_every_size_come_back_untouched() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let properties = Edit {
        content_type: Change::Set(ShortStr::lit("text/plain")),
        correlation_id: Change::Set(ShortStr::lit("c-1")),
        ..Edit::default()
    };
    for size in [0, 1, 131_063, 131_064, 131_065, 400_000, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|index| index as u8).collect();
        client.publish_with(1, "", "q", false, &properties, &body);
        let message = client.get(1, "q", true).unwrap();
        assert_eq!(message.body.len(), size);
        assert_eq!(message.body, body);
        assert_eq!(message.properties, properties.build());
        assert_eq!((message.routing_key.as_str(), message.left), ("q", 0));
    }
    assert_eq!(client.get(1, "q", true), None);
    client.close();
}

#[test]
fn a_consumer_gets_messages_in_order_and_acks_them() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let tag = client.consume(1, "q", false);
    assert!(tag.starts_with("amq.ctag-"));
    for number in 0..100u8 {
        client.publish(1, "", "q", &[number]);
    }
    for number in 0..100u8 {
        let message = client.next_message(1);
        assert_eq!(
            (message.tag, message.body),
            (u64::from(number) + 1, vec![number])
        );
        assert_eq!(
            (message.redelivered, message.consumer.as_str()),
            (false, tag.as_str())
        );
    }
    client.ack(1, 50, true);
    client.ack(1, 100, false);
    client.method(
        1,
        channel::Close {
            reply_code: 200,
            reply_text: ShortStr::EMPTY,
            class_id: 0,
            method_id: 0,
        },
    );
    client.expect(1, "channel.close_ok");
    client.open_channel(1);
    assert_eq!(client.ready(1, "q"), 49, "unacked messages are back");
    let message = client.get(1, "q", true).unwrap();
    assert_eq!((message.body, message.redelivered), (vec![50], true));
    client.close();
}

#[test]
fn what_a_dropped_connection_held_goes_to_the_next() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    for number in 0..10u8 {
        client.publish(1, "", "q", &[number]);
    }
    let mut holder = node.channel();
    holder.consume(1, "q", false);
    for _ in 0..10 {
        holder.next_message(1);
    }
    drop(holder);
    client.consume(1, "q", false);
    for number in 0..10u8 {
        let message = client.next_message(1);
        assert_eq!((message.body, message.redelivered), (vec![number], true));
    }
    client.close();
}

#[test]
fn rejected_messages_come_back_or_go() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    for number in 0..4u8 {
        client.publish(1, "", "q", &[number]);
    }
    for _ in 0..4 {
        client.get(1, "q", false).unwrap();
    }
    client.method(
        1,
        basic::Reject {
            delivery_tag: 1,
            requeue: true,
        },
    );
    client.method(
        1,
        basic::Reject {
            delivery_tag: 2,
            requeue: false,
        },
    );
    client.method(
        1,
        basic::Nack {
            delivery_tag: 4,
            multiple: true,
            requeue: true,
        },
    );
    let bodies: Vec<_> = (0..3)
        .map(|_| client.get(1, "q", true).unwrap().body[0])
        .collect();
    assert_eq!(bodies, [0, 2, 3], "back in their places");
    assert_eq!(client.get(1, "q", true), None);
    client.close();
}

#[test]
fn prefetch_limits_a_consumer_and_the_channel() {
    let node = Node::start();
    for global in [false, true] {
        let mut client = node.channel();
        client.declare(1, "q", false);
        client.method(
            1,
            basic::Qos {
                prefetch_size: 0,
                prefetch_count: 3,
                global,
            },
        );
        client.expect(1, "basic.qos_ok");
        client.send_consume(1, "q", "a", false);
        client.expect(1, "basic.consume_ok");
        for number in 0..10u8 {
            client.publish(1, "", "q", &[number]);
        }
        let mut tags: Vec<u64> = (0..3).map(|_| client.next_message(1).tag).collect();
        assert!(
            client.is_quiet(Duration::from_millis(100)),
            "global: {global}"
        );
        client.ack(1, tags[2], true);
        tags = (0..3).map(|_| client.next_message(1).tag).collect();
        assert_eq!(tags, [4, 5, 6]);
        assert!(
            client.is_quiet(Duration::from_millis(100)),
            "global: {global}"
        );
        client.ack(1, 6, true);
        tags = (0..3).map(|_| client.next_message(1).tag).collect();
        assert_eq!(tags, [7, 8, 9]);
        client.ack(1, 9, true);
        assert_eq!(client.next_message(1).tag, 10);
        client.ack(1, 10, false);
        client.method(
            1,
            queue::Purge {
                ticket: 0,
                queue: ShortStr::lit("q"),
                no_wait: false,
            },
        );
        client.expect(1, "queue.purge_ok");
        client.close();
    }
}

#[test]
fn confirms_come_in_order_and_unroutable_ones_are_returned_before() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "durable", true);
    client.confirm_select(1);
    let persistent = Edit {
        delivery_mode: Change::Set(2),
        ..Edit::default()
    };
    let mut burst = Vec::new();
    for _ in 0..500 {
        burst.extend(publish_frames(
            1,
            "",
            "durable",
            false,
            &persistent,
            b"kept",
        ));
    }
    client.send(&burst);
    assert!(client.wait_confirmed(1, 500).is_empty());
    client.publish_with(1, "", "nowhere", true, &persistent, b"back");
    let returned = client.next_message(1);
    assert_eq!((returned.name, returned.tag), ("basic.return", 312));
    assert_eq!(
        (returned.consumer.as_str(), returned.body.as_slice()),
        ("NO_ROUTE", &b"back"[..])
    );
    assert!(client.wait_confirmed(1, 501).is_empty());
    assert_eq!(client.ready(1, "durable"), 500);
    client.close();
}

#[test]
fn a_full_queue_nacks_what_it_refuses() {
    let node = Node::start();
    let mut client = node.channel();
    let mut arguments = Table::new();
    arguments.push(ShortStr::lit("x-max-length"), 3i32);
    arguments.push(ShortStr::lit("x-overflow"), Value::from("reject-publish"));
    client.send_declare(1, "full", false, false, &arguments);
    client.expect_declared(1);
    client.confirm_select(1);
    let burst: Vec<u8> = (0..5u8)
        .flat_map(|number| publish_frames(1, "", "full", false, &Edit::default(), &[number]))
        .collect();
    client.send(&burst);
    assert_eq!(client.wait_confirmed(1, 5), [4, 5]);
    assert_eq!(client.ready(1, "full"), 3);
    client.close();
}

#[test]
fn a_transaction_is_seen_whole_or_not_at_all() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", true);
    client.publish(1, "", "q", b"first");
    client.method(1, tx::Select {});
    client.expect(1, "tx.select_ok");
    let taken = client.get(1, "q", false).unwrap();
    let persistent = Edit {
        delivery_mode: Change::Set(2),
        ..Edit::default()
    };
    client.publish_with(1, "", "q", false, &persistent, b"second");
    client.ack(1, taken.tag, false);
    assert_eq!(client.get(1, "q", true), None, "nothing before the commit");
    client.method(1, tx::Rollback {});
    client.expect(1, "tx.rollback_ok");
    assert_eq!(
        client.get(1, "q", true),
        None,
        "the ack is undone, the message is still unacked"
    );
    client.publish_with(1, "", "q", false, &persistent, b"third");
    client.ack(1, taken.tag, false);
    client.method(1, tx::Commit {});
    client.expect(1, "tx.commit_ok");
    assert_eq!(client.get(1, "q", true).unwrap().body, b"third");
    assert_eq!(client.get(1, "q", true), None);
    client.close();
}

#[test]
fn replies_come_directly() {
    let node = Node::start();
    let mut asker = node.channel();
    asker.send_consume(1, "amq.rabbitmq.reply-to", "r", true);
    asker.expect(1, "basic.consume_ok");
    let mut answerer = node.channel();
    answerer.declare(1, "questions", false);
    let request = Edit {
        reply_to: Change::Set(ShortStr::lit("amq.rabbitmq.reply-to")),
        correlation_id: Change::Set(ShortStr::lit("7")),
        ..Edit::default()
    };
    asker.publish_with(1, "", "questions", false, &request, b"?");
    let question = answerer.consume(1, "questions", true);
    assert!(!question.is_empty());
    let message = answerer.next_message(1);
    let properties = Properties::parse(&message.properties).unwrap();
    let key = properties.reply_to().unwrap().as_str_lossy().into_owned();
    assert!(key.starts_with("amq.rabbitmq.reply-to."), "{key}");
    answerer.publish_with(1, "", &key, true, &Edit::default(), b"!");
    let reply = asker.next_message(1);
    assert_eq!(
        (reply.body.as_slice(), reply.consumer.as_str()),
        (&b"!"[..], "r")
    );
    drop(asker);
    let mut gone = false;
    for _ in 0..100 {
        answerer.publish_with(1, "", &key, true, &Edit::default(), b"late");
        std::thread::sleep(Duration::from_millis(10));
        if !answerer.is_quiet(Duration::from_millis(10)) {
            assert_eq!(answerer.next_message(1).name, "basic.return");
            gone = true;
            break;
        }
    }
    assert!(gone, "a late reply is returned");
    answerer.close();
}

#[test]
fn cc_and_bcc_reach_more_queues_and_bcc_is_not_shown() {
    let node = Node::start();
    let mut client = node.channel();
    for queue in ["a", "b", "c"] {
        client.declare(1, queue, false);
    }
    let list = |key: &str| Value::from(vec![Value::from(key)]);
    let mut headers = Table::new();
    headers.push(ShortStr::lit("CC"), list("b"));
    headers.push(ShortStr::lit("BCC"), list("c"));
    let headers = headers.to_bytes();
    let properties = Edit {
        headers: Change::Set(RawTable::new(&headers)),
        ..Edit::default()
    };
    client.publish_with(1, "", "a", false, &properties, b"copy");
    for queue in ["a", "b", "c"] {
        let message = client.get(1, queue, true).unwrap();
        let properties = Properties::parse(&message.properties).unwrap();
        let headers = properties.headers().unwrap();
        assert!(
            headers.get(b"CC").is_some() && headers.get(b"BCC").is_none(),
            "{queue}"
        );
        assert_eq!(message.routing_key, "a");
    }
    client.close();
}

#[test]
fn a_deleted_queue_cancels_its_consumers() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let tag = client.consume(1, "q", false);
    let mut other = node.channel();
    let delete = queue::Delete {
        ticket: 0,
        queue: ShortStr::lit("q"),
        if_unused: false,
        if_empty: false,
        no_wait: false,
    };
    other.method(1, delete);
    other.expect(1, "queue.delete_ok");
    let got = client.expect(1, "basic.cancel");
    let Method::BasicCancel(cancel) = got.method() else {
        unreachable!()
    };
    assert_eq!(cancel.consumer_tag.as_bytes(), tag.as_bytes());
    client.close();
}

#[test]
fn nothing_is_delivered_after_cancel_ok() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.send_consume(1, "q", "c", true);
    client.expect(1, "basic.consume_ok");
    client.method(
        1,
        basic::Cancel {
            consumer_tag: ShortStr::lit("c"),
            no_wait: false,
        },
    );
    client.expect(1, "basic.cancel_ok");
    client.publish(1, "", "q", b"stays");
    assert_eq!(client.ready(1, "q"), 1);
    client.method(
        1,
        basic::Cancel {
            consumer_tag: ShortStr::lit("unknown"),
            no_wait: false,
        },
    );
    client.expect(1, "basic.cancel_ok");
    client.close();
}

#[test]
fn recover_is_answered_and_brings_unacked_messages_again() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.consume(1, "q", false);
    client.publish(1, "", "q", b"again");
    assert!(!client.next_message(1).redelivered);
    client.method(1, basic::Recover { requeue: true });
    assert_eq!(
        client.next().unwrap().method().name(),
        "basic.recover_ok",
        "what comes behind it has been given back"
    );
    let again = client.next_message(1);
    assert!(again.redelivered);
    assert_eq!(again.tag, 2);
    client.ack(1, 2, false);
    client.close();
}
