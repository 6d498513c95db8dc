//! Retained messages: who gets which, when, and that a client that does not read harms nobody.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::time::Duration;

use common::Node;
use common::mqtt::{Mqtt, Post, Sub, after_power_loss, eventually, hello, node};
use mqtt::{ReasonCode, RetainHandling, SubscribeOptions, Version, write_properties};

const VERSIONS: [Version; 2] = [Version::V4, Version::V5];

/// What comes for a filter, and whether as retained, in order of the topics.
fn retained(node: &Node, version: Version, filter: &str) -> Vec<(String, String, u8)> {
    let mut client = Mqtt::open(node, &hello(version, "reader"));
    client.subscribe(filter, Sub::qos(2));
    let mut all = Vec::new();
    while !client.is_quiet(Duration::from_millis(60)) {
        let got = client.got_whole();
        assert!(got.retain && !got.dup);
        all.push((got.topic, got.payload, got.qos));
    }
    client.disconnect(ReasonCode::Success);
    all.sort_unstable();
    all
}

fn set(node: &Node, posts: &[Post<'_>]) {
    let mut client = Mqtt::open(node, &hello(Version::V5, "writer"));
    for post in posts {
        client.publish_whole(&Post {
            retain: true,
            ..*post
        });
    }
    client.disconnect(ReasonCode::Success);
}

fn found(all: &[(&str, &str, u8)]) -> Vec<(String, String, u8)> {
    let owned = |(topic, payload, qos): &(&str, &str, u8)| {
        ((*topic).to_owned(), (*payload).to_owned(), *qos)
    };
    all.iter().map(owned).collect()
}

#[test]
fn the_newest_of_each_topic_is_kept_and_outlasts_the_broker() {
    let mut node = node();
    set(
        &node,
        &[
            Post::new("a/x", 1, 1, "old"),
            Post::new("a/x", 2, 1, "new"),
            Post::new("a/y", 1, 1, "gone"),
            Post::new("a/y", 1, 1, ""),
            Post::new("a/*", 1, 1, "star"),
            Post::new("a", 0, 0, "above"),
            Post::new("$a", 1, 1, "hidden"),
        ],
    );
    for version in VERSIONS {
        for (filter, expected) in [
            (
                "a/#",
                &[("a", "above", 0), ("a/*", "star", 1), ("a/x", "new", 2)][..],
            ),
            ("a/+", &[("a/*", "star", 1), ("a/x", "new", 2)]),
            ("a/*", &[("a/*", "star", 1)]),
            ("+", &[("a", "above", 0)]),
            ("$a", &[("$a", "hidden", 1)]),
            ("a/y", &[]),
        ] {
            assert_eq!(
                retained(&node, version, filter),
                found(expected),
                "{filter}"
            );
        }
    }
    node = after_power_loss(node);
    let expected = found(&[("a/*", "star", 1), ("a/x", "new", 2)]);
    assert_eq!(retained(&node, Version::V5, "a/+"), expected);
}

#[test]
fn one_that_expires_is_not_given_any_more() {
    let node = node();
    let mut block = Vec::new();
    let properties = write_properties(&mut block, |writer| {
        writer.message_expiry(1);
    });
    set(
        &node,
        &[Post {
            properties,
            ..Post::new("t", 1, 1, "short")
        }],
    );
    assert_eq!(retained(&node, Version::V5, "t").len(), 1);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(retained(&node, Version::V5, "t"), []);
}

#[test]
fn they_come_as_the_subscription_asks() {
    let node = node();
    set(&node, &[Post::new("t", 1, 1, "m")]);
    let mut client = Mqtt::open(&node, &hello(Version::V5, "c"));
    let sub = |retain_handling, retain_as_published| Sub {
        options: SubscribeOptions {
            retain_handling,
            retain_as_published,
            ..Sub::qos(1).options
        },
        id: None,
    };
    for (handling, comes) in [
        (RetainHandling::DoNotSend, false),
        (RetainHandling::SendIfNew, false),
        (RetainHandling::Send, true),
        (RetainHandling::Send, true),
    ] {
        client.subscribe("t", sub(handling, false));
        if comes {
            assert!(client.got_whole().retain);
        }
        client.has_all();
    }
    client.unsubscribe("t");
    client.subscribe("t", sub(RetainHandling::SendIfNew, true));
    assert!(client.got_whole().retain);
    for (as_published, retain) in [(true, true), (true, false), (false, true), (false, false)] {
        client.subscribe("t", sub(RetainHandling::DoNotSend, as_published));
        let mut other = Mqtt::open(&node, &hello(Version::V5, "other"));
        other.publish_whole(&Post {
            retain,
            ..Post::new("t", 1, 1, "n")
        });
        assert_eq!(client.got_whole().retain, as_published && retain);
    }
}

#[test]
fn who_does_not_read_has_few_of_them_waiting_and_gets_all_in_the_end() {
    const TOPICS: usize = 6_000;
    let node = node();
    let mut writer = Mqtt::open(&node, &hello(Version::V4, "writer"));
    let payload = "x".repeat(2_000);
    let mut all = Vec::new();
    for number in 0..TOPICS {
        let topic = format!("many/{number}");
        let post = Post {
            retain: true,
            ..Post::new(&topic, 0, 0, &payload)
        };
        all.extend(post.bytes(Version::V4));
    }
    writer.send_bytes(&all);
    writer.ping();
    let vhost = node.broker.vhost("/").unwrap();
    eventually("all are kept", || vhost.retained().count() == TOPICS as u64);
    for (name, qos) in [("zero", 0), ("one", 1)] {
        let mut deaf = Mqtt::open(&node, &hello(Version::V4, name));
        deaf.send_subscribe("many/+", Sub::qos(qos));
        std::thread::sleep(Duration::from_millis(400));
        let queue_name = format!("mqtt-subscription-{name}");
        let mut queues = vhost.queues().into_iter();
        let queue = queues.find(|queue| queue.name() == queue_name).unwrap();
        assert!(queue.ready() <= 2_000, "{} wait", queue.ready());
        writer.ping();
        assert!(matches!(
            deaf.next().unwrap().packet(),
            mqtt::Packet::Suback(_)
        ));
        let mut topics = std::collections::HashSet::new();
        for _ in 0..TOPICS {
            assert!(topics.insert(deaf.got_whole().topic), "each once");
        }
        deaf.has_all();
    }
}
