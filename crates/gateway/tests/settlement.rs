//! `ferry.settle`, leases that end, and the delivery count, over a real socket.

mod common;

use std::time::Instant;

use amqp091::method::{basic, channel};
use amqp091::properties::Edit;
use amqp091::{Method, ShortStr, Table, Value};
use common::{Client, Message, Node, SETTLE, is_early, publish_frames, settle_frames};

const COUNT: &str = "x-delivery-count";

/// A channel with a queue `q` whose dead letters go to `dead`.
fn start(node: &Node) -> Client {
    let mut client = node.channel();
    let mut arguments = Table::new();
    arguments.push(ShortStr::lit("x-dead-letter-exchange"), "");
    arguments.push(ShortStr::lit("x-dead-letter-routing-key"), "dead");
    client.send_declare(1, "q", true, false, &arguments);
    client.expect_declared(1);
    client.declare(1, "dead", true);
    client
}

/// Publishes a message and takes it.
fn take(client: &mut Client, consumer: bool) -> Message {
    client.publish(1, "", "q", b"work");
    if !consumer {
        return client.get(1, "q", false).expect("a message");
    }
    client.send_consume(1, "q", "c", false);
    client.expect(1, "basic.consume_ok");
    let message = client.next_message(1);
    cancel(client);
    message
}

fn cancel(client: &mut Client) {
    client.method(
        1,
        basic::Cancel {
            consumer_tag: ShortStr::lit("c"),
            no_wait: false,
        },
    );
    client.expect(1, "basic.cancel_ok");
}

fn close_channel(client: &mut Client) {
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
}

/// Ends the lease of a delivery from outside: its time is up, and somebody else has the message.
fn let_end(node: &Node, client: &mut Client, tag: u64) {
    client.settle(tag, "extend", Some(0));
    node.wait_ready("q", 1);
    let mut other = node.channel();
    let message = other.get(1, "q", true).expect("the message");
    assert!(message.redelivered);
    other.close();
}

#[test]
fn every_outcome_settles_deliveries_of_consumers_and_gets() {
    for consumer in [true, false] {
        let node = Node::start();
        let mut client = start(&node);
        for (outcome, delay_ms, ready, dead) in [
            ("accept", None, 0, 0),
            ("requeue", None, 1, 0),
            ("reject", None, 0, 1),
            ("delay", None, 1, 0),
            ("delay", Some(0), 1, 0),
        ] {
            let message = take(&mut client, consumer);
            assert_eq!(node.queue("q").unsettled(), 1);
            client.settle(message.tag, outcome, delay_ms);
            assert_eq!(client.ready(1, "q"), ready, "{outcome}");
            assert_eq!(client.ready(1, "dead"), dead, "{outcome}");
            assert_eq!(node.queue("q").unsettled(), 0, "{outcome}");
            for queue in ["q", "dead"] {
                if let Some(message) = client.get(1, queue, true) {
                    let count = (queue == "q").then_some(Value::I64(1));
                    assert_eq!(message.header(COUNT), count);
                    assert_eq!(message.redelivered, queue == "q");
                }
            }
        }
        assert_eq!(node.acknowledged(), 1);
        client.close();
    }
}

#[test]
fn a_delayed_settlement_brings_the_message_back_after_its_time() {
    let node = Node::start();
    let mut client = start(&node);
    let message = take(&mut client, true);
    let start = Instant::now();
    client.settle(message.tag, "delay", Some(300));
    assert_eq!(client.ready(1, "q"), 0);
    assert_eq!(node.delayed("q"), 1);
    client.send_consume(1, "q", "c", false);
    client.expect(1, "basic.consume_ok");
    let message = client.next_message(1);
    assert!(!is_early(start, 300));
    assert_eq!(message.header(COUNT), Some(Value::I64(1)));
    client.ack(1, message.tag, false);
    client.close();
}

#[test]
fn an_extended_delivery_stays_unacked() {
    let node = Node::start();
    let mut client = start(&node);
    for delay_ms in [None, Some(60_000), Some(1 << 40)] {
        let message = take(&mut client, false);
        client.settle(message.tag, "extend", delay_ms);
        client.settle(message.tag, "extend", delay_ms);
        assert_eq!(client.ready(1, "q"), 0);
        assert_eq!(node.queue("q").unsettled(), 1);
        client.ack(1, message.tag, false);
        assert_eq!(client.ready(1, "q"), 0);
        assert_eq!(node.queue("q").unsettled(), 0);
    }
    client.close();
}

#[test]
fn a_settlement_makes_room_for_the_next_delivery() {
    for global in [false, true] {
        let node = Node::start();
        let mut client = start(&node);
        let qos = basic::Qos {
            prefetch_size: 0,
            prefetch_count: 1,
            global,
        };
        client.method(1, qos);
        client.expect(1, "basic.qos_ok");
        client.consume(1, "q", false);
        for body in [b"1", b"2", b"3"] {
            client.publish(1, "", "q", body);
        }
        for body in [b"1", b"2", b"3"] {
            let message = client.next_message(1);
            assert_eq!(message.body, body);
            client.settle(message.tag, "accept", None);
        }
        assert_eq!(client.ready(1, "q"), 0);
        client.close();
    }
}

#[test]
fn confirms_of_settlements_stand_in_line_behind_what_they_say() {
    let node = Node::start();
    let mut client = start(&node);
    let messages: Vec<_> = (0..3).map(|_| take(&mut client, false)).collect();
    client.confirm_select(1);
    let settle = |tag: i64, outcome: &'static str| {
        let entries = [
            ("delivery-tag", Value::I64(tag)),
            ("outcome", Value::from(outcome)),
        ];
        settle_frames(1, false, &entries)
    };
    let persistent = Edit {
        delivery_mode: amqp091::properties::Change::Set(2),
        ..Edit::default()
    };
    let stored = publish_frames(1, "", "dead", false, &persistent, b"stored");
    let tags: Vec<i64> = messages.iter().map(|message| message.tag as i64).collect();
    let burst = [
        stored.clone(),
        settle(tags[0], "accept"),
        settle(99, "accept"),
        stored.clone(),
        settle(tags[1], "reject"),
        settle(tags[2], "explode"),
        settle(tags[2], "requeue"),
    ];
    client.send(&burst.concat());
    let (mut last, mut returns) = (0, Vec::new());
    while last < burst.len() as u64 {
        let got = client.next().unwrap();
        match got.method() {
            Method::BasicAck(ack) => {
                assert!(ack.delivery_tag > last && (ack.multiple || ack.delivery_tag == last + 1));
                last = ack.delivery_tag;
            }
            Method::BasicReturn(returned) => {
                returns.push((returned.reply_code, last));
                assert_eq!(returned.exchange.as_bytes(), SETTLE.as_bytes());
                assert_eq!(returned.routing_key.as_bytes(), b"key");
                client.next().unwrap();
                assert_eq!(client.next().unwrap().payload, b"body");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(
        matches!(returns[..], [(404, 0..3), (406, 0..6)]),
        "{returns:?}"
    );
    assert_eq!(client.ready(1, "q"), 1);
    assert_eq!(client.ready(1, "dead"), 3);
    assert_eq!(node.counted("messages_unroutable"), 0);
    client.close();
}

#[test]
fn a_tag_that_is_not_unacked_comes_back_as_404_and_the_channel_lives() {
    let node = Node::start();
    let mut client = start(&node);
    client.open_channel(2);
    let message = take(&mut client, false);
    client.settle(message.tag, "accept", None);
    let elsewhere = {
        client.publish(2, "", "dead", b"of channel 2");
        client.get(2, "dead", false).unwrap();
        let second = client.get(2, "dead", false);
        assert_eq!(second, None);
        2
    };
    for tag in [message.tag as i64, 0, -1, i64::MIN, i64::MAX, elsewhere] {
        for outcome in ["accept", "requeue", "reject", "delay", "extend"] {
            let entries = [
                ("delivery-tag", Value::I64(tag)),
                ("outcome", Value::from(outcome)),
            ];
            client.send(&settle_frames(1, tag % 2 == 0, &entries));
            let text = format!("NOT_FOUND - unknown delivery tag {tag}");
            assert_eq!(client.expect_return(), (404, text));
        }
    }
    assert_eq!(node.queue("dead").unsettled(), 1);
    client.ack(1, message.tag, false);
    let text = format!("PRECONDITION_FAILED - unknown delivery tag {}", message.tag);
    assert_eq!(client.expect_channel_error(1), (406, text));
    client.close();
}

#[test]
fn headers_that_make_no_sense_come_back_as_406_and_settle_nothing() {
    let node = Node::start();
    let mut client = start(&node);
    let message = take(&mut client, false);
    let tag = ("delivery-tag", Value::I64(message.tag as i64));
    let accept = ("outcome", Value::from("accept"));
    let delay = ("outcome", Value::from("delay"));
    for (entries, name) in [
        (vec![], "delivery-tag"),
        (vec![accept.clone()], "delivery-tag"),
        (
            vec![("delivery-tag", Value::from("1")), accept.clone()],
            "delivery-tag",
        ),
        (vec![tag.clone()], "outcome"),
        (
            vec![tag.clone(), ("outcome", Value::from("done"))],
            "outcome",
        ),
        (vec![tag.clone(), ("outcome", Value::I32(1))], "outcome"),
        (
            vec![tag.clone(), delay.clone(), ("delay", Value::I32(-1))],
            "delay",
        ),
        (
            vec![
                tag.clone(),
                delay.clone(),
                ("delay", Value::I64((1 << 40) + 1)),
            ],
            "delay",
        ),
        (
            vec![tag.clone(), delay.clone(), ("delay", Value::from("soon"))],
            "delay",
        ),
        (
            vec![tag.clone(), accept.clone(), ("delay", Value::I32(1))],
            "delay",
        ),
    ] {
        for mandatory in [false, true] {
            client.send(&settle_frames(1, mandatory, &entries));
            let (code, text) = client.expect_return();
            let start = format!("PRECONDITION_FAILED - invalid header '{name}': ");
            assert!(code == 406 && text.starts_with(&start), "{code} {text}");
        }
    }
    client.publish(1, SETTLE, "", b"no properties at all");
    assert_eq!(client.expect_return().0, 406);
    assert_eq!(node.queue("q").unsettled(), 1);
    let entries = [("delivery-tag", Value::U8(message.tag as u8)), accept];
    client.send(&settle_frames(1, true, &entries));
    assert_eq!(client.ready(1, "q"), 0);
    assert_eq!(node.queue("q").unsettled(), 0);
    client.close();
}

#[test]
fn a_late_settle_by_publish_is_told_so() {
    let node = Node::start();
    let mut client = start(&node);
    client.confirm_select(1);
    for (round, outcome) in (0..).zip(["accept", "requeue", "reject", "delay"]) {
        client.publish(1, "", "q", b"work");
        client.wait_confirmed(1, 4 * round + 1);
        let message = client.get(1, "q", false).unwrap();
        let_end(&node, &mut client, message.tag);
        client.wait_confirmed(1, 4 * round + 2);
        let text = format!(
            "NOT_FOUND - the lease of delivery tag {} has ended",
            message.tag
        );
        client.settle(message.tag, "extend", None);
        assert_eq!(client.expect_return(), (404, text.clone()));
        client.wait_confirmed(1, 4 * round + 3);
        client.settle(message.tag, outcome, None);
        assert_eq!(client.expect_return(), (404, text));
        client.wait_confirmed(1, 4 * round + 4);
        assert_eq!(node.counted("messages_settled_late"), round + 1);
    }
    assert_eq!((client.ready(1, "q"), client.ready(1, "dead")), (0, 0));
    client.close();
}

#[test]
fn a_late_settle_by_method_is_ignored_and_counted() {
    let node = Node::start();
    let mut client = start(&node);
    for late in 1..=3u64 {
        let message = take(&mut client, late == 2);
        let_end(&node, &mut client, message.tag);
        match late {
            1 => client.ack(1, message.tag, false),
            2 => client.method(
                1,
                basic::Nack {
                    delivery_tag: message.tag,
                    multiple: true,
                    requeue: true,
                },
            ),
            _ => client.method(
                1,
                basic::Reject {
                    delivery_tag: message.tag,
                    requeue: false,
                },
            ),
        }
        assert_eq!((client.ready(1, "q"), client.ready(1, "dead")), (0, 0));
        assert_eq!(node.counted("messages_settled_late"), late);
        if late == 3 {
            client.ack(1, message.tag, false);
            let text = format!("PRECONDITION_FAILED - unknown delivery tag {}", message.tag);
            assert_eq!(client.expect_channel_error(1), (406, text));
        }
    }
    client.close();
}

#[test]
fn a_channel_that_closes_gives_back_only_what_it_still_holds() {
    let node = Node::start();
    let mut client = start(&node);
    let ended = take(&mut client, true);
    let_end(&node, &mut client, ended.tag);
    let held = take(&mut client, true);
    client.settle(held.tag, "extend", Some(60_000));
    close_channel(&mut client);
    assert_eq!(client.ready(1, "q"), 1);
    let message = client.get(1, "q", true).unwrap();
    assert_eq!(message.header(COUNT), Some(Value::I64(1)));
    assert_eq!(node.queue("q").unsettled(), 0);
    client.close();
}

#[test]
fn the_delivery_count_is_on_redeliveries_only() {
    for kind in ["classic", "quorum"] {
        let node = Node::start();
        let mut client = node.channel();
        let mut arguments = Table::new();
        arguments.push(ShortStr::lit("x-queue-type"), kind);
        client.send_declare(1, "q", true, false, &arguments);
        client.expect_declared(1);
        client.publish(1, "", "q", b"work");
        for count in 0..4 {
            let expected = (count > 0).then_some(Value::I64(count));
            let message = if count % 2 == 0 {
                client.get(1, "q", false).unwrap()
            } else {
                client.send_consume(1, "q", "c", false);
                client.expect(1, "basic.consume_ok");
                let message = client.next_message(1);
                cancel(&mut client);
                message
            };
            assert_eq!(message.header(COUNT), expected, "{kind}");
            assert_eq!(message.redelivered, count > 0);
            match count {
                0 => close_channel(&mut client),
                _ => client.method(
                    1,
                    basic::Nack {
                        delivery_tag: message.tag,
                        multiple: false,
                        requeue: true,
                    },
                ),
            }
        }
        client.close();
    }
}
