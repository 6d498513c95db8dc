//! Limits and rates in the words of AMQP 0-9-1: who is refused, held, told, and let go on.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::time::{Duration, Instant};

use amqp091::Method;
use amqp091::Table;
use amqp091::method::channel;
use amqp091::properties::Edit;
use common::{Client, Node, publish_frames};
use ferry_broker::LimitsOf;
use ferry_core::arguments::Value;

fn vhost() -> LimitsOf {
    LimitsOf::Vhost("/".into())
}

fn user() -> LimitsOf {
    LimitsOf::User("guest".into())
}

fn set(node: &Node, of: LimitsOf, name: &str, value: i64) {
    node.broker.set_limit(of, name, &Value::I64(value)).unwrap();
}

fn expect_blocked(client: &mut Client) -> String {
    let got = client.expect(0, "connection.blocked");
    let Method::ConnectionBlocked(blocked) = got.method() else {
        unreachable!()
    };
    blocked.reason.as_str_lossy().into_owned()
}

/// Whether a time is as long as it should be, with some for a machine that is busy.
fn assert_took(since: Instant, seconds: f64, what: &str) {
    let took = since.elapsed().as_secs_f64();
    assert!(
        took >= seconds * 0.93 - 0.11,
        "{what} took {took} s, not {seconds}"
    );
    assert!(
        took <= seconds * 1.1 + 1.5,
        "{what} took {took} s, not {seconds}"
    );
}

#[test]
fn connections_channels_and_queues_are_refused_in_the_usual_words() {
    let node = Node::start();
    let mut first = node.channel();
    set(&node, vhost(), "max-connections", 1);
    let refused = |node: &Node| {
        let mut client = Client::raw(node.address);
        client.log_in_to_open(&[]);
        client.expect_close(0)
    };
    let text = "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) \
                is reached";
    assert_eq!(refused(&node), (530, text.to_owned()));
    set(&node, vhost(), "max-connections", -1);
    set(&node, user(), "max-connections", 1);
    let text = "NOT_ALLOWED - connection refused for user 'guest': user connection limit (1) is \
                reached";
    assert_eq!(refused(&node), (530, text.to_owned()));
    set(&node, user(), "max-connections", 2);
    set(&node, user(), "max-channels", 3);

    let mut second = node.channel();
    second.open_channel(2);
    second.method(
        2,
        channel::Close {
            reply_code: 200,
            reply_text: amqp091::ShortStr::EMPTY,
            class_id: 0,
            method_id: 0,
        },
    );
    second.expect(2, "channel.close_ok");
    first.open_channel(2);
    second.method(
        2,
        channel::Open {
            out_of_band: amqp091::ShortStr::EMPTY,
        },
    );
    let text = "NOT_ALLOWED - number of channels opened for user 'guest' has reached the maximum \
                allowed user limit of (3)";
    assert_eq!(second.expect_close(0), (530, text.to_owned()));
    first.open_channel(3);

    set(&node, vhost(), "max-queues", 1);
    first.declare(1, "a", false);
    first.send_declare(1, "b", false, false, &Table::new());
    let text = "PRECONDITION_FAILED - cannot declare queue 'b': queue limit in vhost '/' (1) is \
                reached";
    assert_eq!(first.expect_channel_error(1), (406, text.to_owned()));
    first.declare(1, "a", false);
    first.close();
    node.channel().close();
}

#[test]
fn a_publisher_over_its_rate_is_held_and_told_while_everything_else_flows() {
    let node = Node::start();
    let mut client = node.channel();
    client.open_channel(2);
    client.declare(1, "q", false);
    client.publish(1, "", "q", b"first");
    assert_eq!(client.ready(1, "q"), 1);
    set(&node, vhost(), "publish-byte-rate", 10);
    client.publish(1, "", "q", &[7; 20_000]);
    assert_eq!(
        expect_blocked(&mut client),
        "publish-byte-rate of vhost '/'"
    );
    for number in 0..5 {
        client.publish(1, "", "q", &[number]);
    }
    let first = client
        .get(2, "q", false)
        .expect("gets flow on another channel");
    assert_eq!(first.body, b"first");
    client.ack(2, first.tag, false);
    let ready = client.ready(2, "q");
    assert_eq!(ready, 1, "what came before is taken, the rest is held");
    // Half an hour is owed: with a higher rate it is two seconds.
    set(&node, vhost(), "publish-byte-rate", 10_000);
    let since = Instant::now();
    client.expect(0, "connection.unblocked");
    assert_took(since, 2.0, "a debt of two seconds");
    let bodies: Vec<_> = (0..6)
        .map(|_| client.get(1, "q", true).unwrap().body)
        .collect();
    assert_eq!(bodies[1..], [[0], [1], [2], [3], [4]]);
    client.close();
}

#[test]
fn a_short_wait_is_not_told() {
    let node = Node::start();
    set(&node, user(), "publish-rate", 100);
    let mut client = node.channel();
    client.declare(1, "q", false);
    for _ in 0..15 {
        client.publish(1, "", "q", b"x");
    }
    assert!(client.is_quiet(Duration::from_millis(600)));
    assert_eq!(client.ready(1, "q"), 15);
    client.close();
}

#[test]
fn who_is_held_again_and_again_is_told_once() {
    let node = Node::start();
    set(&node, user(), "connection-publish-rate", 500);
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.confirm_select(1);
    let since = Instant::now();
    for _ in 0..1_500 {
        client.publish(1, "", "q", b"x");
    }
    let (mut blocked, mut unblocked, mut confirmed) = (0, 0, 0);
    while confirmed < 1_500 || unblocked < blocked {
        let got = client.next().unwrap();
        match got.method() {
            Method::BasicAck(ack) => confirmed = ack.delivery_tag,
            Method::ConnectionBlocked(_) => {
                assert!(since.elapsed() > Duration::from_millis(900));
                blocked += 1;
            }
            Method::ConnectionUnblocked(_) => unblocked += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((blocked, unblocked), (1, 1));
    assert_took(since, 3.1, "three seconds of publishes");
    assert!(node.broker.throttled()[0].publishes > 20);
    client.close();
}

#[test]
fn publishers_share_a_rate_and_each_keeps_its_order() {
    let node = Node::start();
    set(&node, vhost(), "publish-rate", 2_000);
    let mut reader = node.channel();
    let names = ["a", "b", "c"];
    for name in names {
        reader.declare(1, name, false);
    }
    let since = Instant::now();
    let mut clients: Vec<_> = names.iter().map(|_| node.channel()).collect();
    for (client, name) in clients.iter_mut().zip(names) {
        client.confirm_select(1);
        let mut frames = Vec::new();
        for number in 0..2_000_u32 {
            let body = number.to_be_bytes();
            frames.extend(publish_frames(1, "", name, false, &Edit::default(), &body));
        }
        client.send(&frames);
    }
    for mut client in clients {
        let mut confirmed = 0;
        while confirmed < 2_000 {
            let got = client.next().unwrap();
            if let Method::BasicAck(ack) = got.method() {
                confirmed = ack.delivery_tag;
            }
        }
        client.close();
    }
    assert_took(since, 3.0, "6,000 publishes at 2,000 a second");
    for name in names {
        for number in 0..2_000_u32 {
            assert_eq!(
                reader.get(1, name, true).unwrap().body,
                number.to_be_bytes()
            );
        }
    }
    reader.close();
}

#[test]
fn frames_of_mixed_channels_are_held_and_go_on_whole() {
    let node = Node::start();
    set(&node, user(), "publish-rate", 200);
    let mut client = node.channel();
    client.open_channel(2);
    client.declare(1, "one", false);
    client.declare(1, "two", false);
    let mut frames = Vec::new();
    for number in 0..100_u8 {
        let one = publish_frames(1, "", "one", false, &Edit::default(), &[number]);
        let two = publish_frames(2, "", "two", false, &Edit::default(), &[number]);
        let parts = |frames: &[u8]| {
            let mut at = 0;
            let mut parts = Vec::new();
            while let Some(frame) = amqp091::frame::parse(&frames[at..], 4096).unwrap() {
                parts.push(frames[at..at + frame.size].to_vec());
                at += frame.size;
            }
            parts
        };
        let mixed = parts(&one).into_iter().zip(parts(&two));
        frames.extend(mixed.flat_map(|(one, two)| [one, two].concat()));
    }
    client.send(&frames);
    let mut reader = node.channel();
    let deadline = Instant::now() + Duration::from_secs(10);
    while reader.ready(1, "one") < 100 || reader.ready(1, "two") < 100 {
        assert!(Instant::now() < deadline, "what is held goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    for name in ["one", "two"] {
        for number in 0..100_u8 {
            assert_eq!(reader.get(1, name, true).unwrap().body, [number]);
        }
    }
    reader.close();
}

#[test]
fn whoever_is_held_goes_on_when_the_rate_goes() {
    let node = Node::start();
    set(&node, user(), "publish-byte-rate", 1);
    let mut client = node.channel();
    client.confirm_select(1);
    client.declare(1, "q", false);
    for _ in 0..3 {
        client.publish(1, "", "q", &[7; 100_000]);
    }
    let mut blocked = false;
    while !blocked {
        blocked = matches!(
            client.next().unwrap().method(),
            Method::ConnectionBlocked(_)
        );
    }
    node.broker
        .clear_limit(user(), "publish-byte-rate")
        .unwrap();
    let since = Instant::now();
    let mut unblocked = false;
    while !unblocked {
        unblocked = matches!(
            client.next().unwrap().method(),
            Method::ConnectionUnblocked(_)
        );
    }
    assert!(
        since.elapsed() < Duration::from_secs(3),
        "a debt of a day is forgotten"
    );
    assert_eq!(client.ready(1, "q"), 3);
    client.close();
}

#[test]
fn a_queue_holds_the_publishers_that_it_has_too_much_of() {
    let node = Node::start();
    let mut client = node.channel();
    let mut arguments = Table::new();
    arguments.push(amqp091::ShortStr::lit("x-publish-rate"), 4_i64);
    client.send_declare(1, "slow", false, false, &arguments);
    client.expect_declared(1);
    for _ in 0..3 {
        client.publish(1, "", "slow", b"x");
    }
    assert_eq!(expect_blocked(&mut client), "publish-rate of queue 'slow'");
    let mut other = node.channel();
    other.declare(1, "fast", false);
    for _ in 0..1_000 {
        other.publish(1, "", "fast", b"x");
    }
    assert_eq!(other.ready(1, "fast"), 1_000);
    other.close();
    client.expect(0, "connection.unblocked");
    assert_eq!(client.ready(1, "slow"), 3);
    client.close();
}

#[test]
fn consumers_keep_to_the_rates_of_deliveries() {
    for (of, name, value, size) in [
        (vhost(), "deliver-rate", 1_000, 10),
        (user(), "deliver-byte-rate", 500_000, 500),
        (user(), "connection-deliver-rate", 500, 10),
    ] {
        let node = Node::start();
        let mut clients = [node.channel(), node.channel()];
        for (client, queue) in clients.iter_mut().zip(["a", "b"]) {
            client.declare(1, queue, false);
            for _ in 0..1_000 {
                client.publish(1, "", queue, &vec![7; size]);
            }
            assert_eq!(client.ready(1, queue), 1_000);
        }
        set(&node, of, name, value);
        let since = Instant::now();
        clients[0].consume(1, "a", true);
        clients[1].consume(1, "b", true);
        for client in &mut clients {
            for number in 1..=1_000 {
                assert_eq!(client.next_message(1).tag, number);
            }
        }
        assert_took(since, 2.0, name);
        for client in clients {
            client.close();
        }
    }
}
