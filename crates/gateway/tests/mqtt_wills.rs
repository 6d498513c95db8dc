//! Wills: when they are published, and when not. What is published is seen by an AMQP queue.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::time::{Duration, Instant};

use common::mqtt::{Mqtt, eventually, hello, node};
use common::{Client, Node};
use ferry_broker::{Permission, TopicPermission};
use mqtt::{Connect, Properties, Qos, ReasonCode, Version, Will, write_properties};

/// How long to wait for what must not come.
const QUIET: Duration = Duration::from_millis(150);

/// A client of AMQP whose queue `q` gets what is published to `gone/#`.
fn watcher(node: &Node) -> Client {
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.bind(1, "q", "amq.topic", "gone.#");
    client.expect(1, "queue.bind_ok");
    client
}

fn next(watcher: &mut Client) -> Vec<u8> {
    let mut found = None;
    eventually("a will is published", || {
        found = watcher.get(1, "q", true);
        found.is_some()
    });
    found.unwrap().body
}

fn nothing(watcher: &mut Client) {
    std::thread::sleep(QUIET);
    assert_eq!(watcher.get(1, "q", true), None);
}

const WILL: Will<'static> = Will {
    qos: Qos::AtLeastOnce,
    retain: false,
    topic: "gone/c",
    payload: b"bye",
    properties: Properties::EMPTY,
};

/// Opens with a will and these times in seconds.
struct Times {
    clean_start: bool,
    expiry_s: u32,
    delay_s: u32,
}

const AT_ONCE: Times = Times {
    clean_start: true,
    expiry_s: 0,
    delay_s: 0,
};

fn open(node: &Node, version: Version, times: &Times) -> Mqtt {
    let (mut block, mut will_block) = (Vec::new(), Vec::new());
    let connect = Connect {
        clean_start: times.clean_start,
        properties: write_properties(&mut block, |writer| {
            writer.session_expiry(times.expiry_s);
        }),
        will: Some(Will {
            properties: write_properties(&mut will_block, |writer| {
                writer.will_delay(times.delay_s);
            }),
            ..WILL
        }),
        ..hello(version, "c")
    };
    let mut client = Mqtt::begin(node, &connect);
    assert_eq!(client.connack().1, ReasonCode::Success);
    client
}

#[test]
fn a_client_that_is_lost_leaves_its_will() {
    let node = node();
    let mut watcher = watcher(&node);
    for version in [Version::V3, Version::V4, Version::V5] {
        open(&node, version, &AT_ONCE).drop_dead();
        assert_eq!(next(&mut watcher), b"bye", "{version:?}");
        open(&node, version, &AT_ONCE).disconnect(ReasonCode::Success);
        nothing(&mut watcher);
        let mut wrong = open(&node, version, &AT_ONCE);
        wrong.send_bytes(&[0x00]);
        assert_eq!(next(&mut watcher), b"bye", "{version:?}: we have ended it");
        open(&node, version, &AT_ONCE);
        assert_eq!(next(&mut watcher), b"bye", "the socket is closed");
    }
    for reason in [
        ReasonCode::DisconnectWithWill,
        ReasonCode::UnspecifiedError,
        ReasonCode::MessageRateTooHigh,
    ] {
        open(&node, Version::V5, &AT_ONCE).disconnect(reason);
        assert_eq!(next(&mut watcher), b"bye", "{reason}");
    }
    nothing(&mut watcher);
}

#[test]
fn a_client_that_is_silent_or_taken_over_leaves_its_will() {
    let node = node();
    let mut watcher = watcher(&node);
    let mut silent = Mqtt::open(
        &node,
        &Connect {
            keep_alive_seconds: 1,
            will: Some(WILL),
            ..hello(Version::V5, "silent")
        },
    );
    assert_eq!(silent.ended(), Some(ReasonCode::KeepAliveTimeout));
    assert_eq!(next(&mut watcher), b"bye");
    let mut first = open(&node, Version::V5, &AT_ONCE);
    let second = open(&node, Version::V4, &AT_ONCE);
    assert_eq!(first.ended(), Some(ReasonCode::SessionTakenOver));
    assert_eq!(next(&mut watcher), b"bye");
    second.disconnect(ReasonCode::Success);
    nothing(&mut watcher);
}

#[test]
fn a_will_waits_for_its_delay_or_the_end_of_its_session() {
    let node = node();
    let mut watcher = watcher(&node);
    for (expiry_s, delay_s, waits_s) in [(60, 1, 1), (1, 60, 1), (0, 60, 0)] {
        let lost = open(
            &node,
            Version::V5,
            &Times {
                clean_start: true,
                expiry_s,
                delay_s,
            },
        );
        let begun = Instant::now();
        lost.drop_dead();
        assert_eq!(next(&mut watcher), b"bye");
        let waited = begun.elapsed();
        let least = Duration::from_secs(waits_s);
        assert!(waited >= least, "{expiry_s} {delay_s}: {waited:?}");
        assert!(waited < least + Duration::from_secs(5), "{waited:?}");
    }
}

#[test]
fn a_session_that_goes_on_takes_its_will_back() {
    let node = node();
    let mut watcher = watcher(&node);
    let waits = Times {
        clean_start: false,
        expiry_s: 60,
        delay_s: 1,
    };
    open(&node, Version::V5, &waits).drop_dead();
    let again = open(&node, Version::V5, &waits);
    std::thread::sleep(Duration::from_millis(1300));
    nothing(&mut watcher);
    // Taken over with its session: the will of the one before is not published, either.
    let third = open(&node, Version::V5, &waits);
    drop(again);
    std::thread::sleep(Duration::from_millis(1300));
    nothing(&mut watcher);
    third.disconnect(ReasonCode::Success);
    nothing(&mut watcher);
}

#[test]
fn a_session_that_is_forgotten_has_its_will_published_at_once() {
    let node = node();
    let mut watcher = watcher(&node);
    let waits = Times {
        clean_start: false,
        expiry_s: 60,
        delay_s: 60,
    };
    open(&node, Version::V5, &waits).drop_dead();
    nothing(&mut watcher);
    let new = open(&node, Version::V5, &AT_ONCE);
    assert_eq!(next(&mut watcher), b"bye");
    new.disconnect(ReasonCode::Success);
    nothing(&mut watcher);
}

#[test]
fn a_broker_that_goes_down_publishes_all_wills() {
    let mut node = node();
    let mut watcher = watcher(&node);
    let waits = Times {
        clean_start: true,
        expiry_s: 600,
        delay_s: 600,
    };
    open(&node, Version::V5, &waits).drop_dead();
    eventually("it is gone", || node.broker.connection_count() == 1);
    nothing(&mut watcher);
    let connect = Connect {
        will: Some(WILL),
        ..hello(Version::V4, "still there")
    };
    let _there = Mqtt::open(&node, &connect);
    let vhost = node.broker.vhost("/").unwrap();
    let queues = vhost.queues();
    let queue = queues.iter().find(|queue| queue.name() == "q").unwrap();
    let gateway = node.gateway.take().unwrap();
    node.runtime.block_on(gateway.shutdown());
    assert_eq!(queue.ready(), 2);
}

#[test]
fn a_will_that_may_not_be_published_is_refused_with_its_client() {
    let node = node();
    let guest = |write: &str| Permission {
        user: "guest".into(),
        vhost: "/".into(),
        configure: ".*".to_owned(),
        write: write.to_owned(),
        read: ".*".to_owned(),
    };
    let connect = |version| Connect {
        will: Some(WILL),
        ..hello(version, "c")
    };
    let refused = |version| {
        let mut client = Mqtt::begin(&node, &connect(version));
        let (_, reason) = client.connack();
        assert_eq!(client.next(), None);
        reason
    };
    node.broker.set_permission(guest("^mine")).unwrap();
    assert_eq!(refused(Version::V5), ReasonCode::NotAuthorized);
    assert_eq!(refused(Version::V4), ReasonCode::NotAuthorized);
    node.broker.set_permission(guest(".*")).unwrap();
    let topic = |write: &str| TopicPermission {
        user: "guest".into(),
        vhost: "/".into(),
        exchange: "amq.topic".into(),
        write: write.to_owned(),
        read: ".*".to_owned(),
    };
    node.broker.set_topic_permission(topic("^here")).unwrap();
    assert_eq!(refused(Version::V5), ReasonCode::NotAuthorized);
    let own = topic("^gone\\.{client_id}$");
    node.broker.set_topic_permission(own).unwrap();
    let mut watcher = watcher(&node);
    Mqtt::open(&node, &connect(Version::V5)).drop_dead();
    assert_eq!(next(&mut watcher), b"bye");
    // What is taken afterwards counts, too: the rights are those of the moment.
    let lost = Mqtt::open(&node, &connect(Version::V5));
    node.broker.set_topic_permission(topic("^here")).unwrap();
    lost.drop_dead();
    nothing(&mut watcher);
}

#[test]
fn nobody_leaves_a_will_to_the_brokers_own_topics() {
    let node = node();
    for (version, expected) in [
        (Version::V5, ReasonCode::TopicNameInvalid),
        (Version::V4, ReasonCode::ServerUnavailable),
    ] {
        let connect = Connect {
            will: Some(Will {
                topic: "$SYS/broker/uptime",
                ..WILL
            }),
            ..hello(version, "c")
        };
        let mut client = Mqtt::begin(&node, &connect);
        assert_eq!(client.connack(), (false, expected));
    }
}
