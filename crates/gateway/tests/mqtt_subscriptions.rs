//! Subscriptions: what each lets through, what it is called, and that they outlast connections.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::mqtt::{Mqtt, Post, Sub, after_power_loss, hello, node};
use mqtt::{ReasonCode, SubscribeOptions, Version};

const VERSIONS: [Version; 2] = [Version::V4, Version::V5];

fn named(qos: u8, id: u32) -> Sub {
    Sub {
        id: Some(id),
        ..Sub::qos(qos)
    }
}

#[test]
fn a_message_comes_once_however_many_filters_take_it() {
    let node = node();
    let mut publisher = Mqtt::open(&node, &hello(Version::V5, "p"));
    let mut client = Mqtt::open(&node, &hello(Version::V5, "c"));
    for (filter, sub) in [
        ("a/#", named(0, 1)),
        ("a/+", named(1, 2)),
        ("+/b", named(2, 300_000)),
        ("a/b", Sub::qos(1)),
    ] {
        client.subscribe(filter, sub);
    }
    for (topic, qos, ids) in [
        ("a/b", 2, &[1, 2, 300_000][..]),
        ("a/c", 1, &[1, 2]),
        ("a", 0, &[1]),
        ("x/b", 2, &[300_000]),
    ] {
        publisher.publish_whole(&Post::new(topic, 2, 1, "m"));
        let mut got = client.got_whole();
        got.subscriptions.sort_unstable();
        assert_eq!((got.qos, &got.subscriptions[..]), (qos, ids), "{topic}");
        client.has_all();
    }
}

#[test]
fn filters_mean_what_they_say_and_no_more() {
    const ALL: [&str; 10] = [
        "a", "a/*", "a/b", "a/", "a/b/c", "*", "/", "a.b", "a.b/c.d", "$x/y",
    ];
    let node = node();
    let mut publisher = Mqtt::open(&node, &hello(Version::V5, "p"));
    for version in VERSIONS {
        for (filter, topics) in [
            ("a/*", &["a/*"][..]),
            ("a/+", &["a/*", "a/b", "a/"]),
            ("a/#", &["a/*", "a/b", "a/", "a", "a/b/c"]),
            ("+", &["a", "*", "a.b"]),
            ("/", &["/"]),
            ("+/+", &["a/*", "a/b", "a/", "/", "a.b/c.d"]),
            ("a.b", &["a.b"]),
            ("a.b/#", &["a.b", "a.b/c.d"]),
            (
                "#",
                &["a", "a/*", "a/b", "a/", "a/b/c", "*", "/", "a.b", "a.b/c.d"],
            ),
            ("$x/#", &["$x/y"]),
        ] {
            let mut client = Mqtt::open(&node, &hello(version, "c"));
            client.subscribe(filter, Sub::qos(0));
            for topic in ALL {
                publisher.publish_whole(&Post::new(topic, 1, 1, "m"));
            }
            for topic in ALL {
                if topics.contains(&topic) {
                    assert_eq!(client.got().topic, topic, "{filter}");
                }
            }
            client.has_all();
            client.disconnect(ReasonCode::Success);
        }
    }
}

#[test]
fn what_is_subscribed_outlasts_the_broker_and_can_be_taken_back() {
    let mut node = node();
    let own = SubscribeOptions {
        no_local: true,
        retain_as_published: true,
        ..Sub::qos(1).options
    };
    let sub = Sub {
        options: own,
        id: Some(77),
    };
    let mut client = Mqtt::lasting(&node, Version::V5, "c", false);
    client.subscribe("a/+", sub);
    client.subscribe("b", Sub::qos(2));
    client.subscribe("c", Sub::qos(2));
    client.unsubscribe("c");
    for _ in 0..2 {
        node = after_power_loss(node);
        let mut other = Mqtt::open(&node, &hello(Version::V5, "p"));
        for topic in ["a/x", "b", "c"] {
            let retained = Post {
                qos: 2,
                ..Post::retained(topic, "m")
            };
            other.publish_whole(&retained);
        }
        let mut client = Mqtt::lasting(&node, Version::V5, "c", true);
        let got = [client.got_whole(), client.got_whole()];
        let [a, b] = &got;
        assert_eq!(
            (a.qos, a.retain, &a.subscriptions[..]),
            (1, true, &[77][..])
        );
        assert_eq!((b.qos, b.retain, &b.subscriptions[..]), (2, false, &[][..]));
        client.publish_whole(&Post::new("a/own", 1, 1, "own"));
        client.has_all();
        client.drop_dead();
    }
    let mut client = Mqtt::lasting(&node, Version::V5, "c", true);
    client.unsubscribe("a/+");
    client.unsubscribe("b");
    node = after_power_loss(node);
    let mut client = Mqtt::lasting(&node, Version::V5, "c", true);
    let mut other = Mqtt::open(&node, &hello(Version::V5, "p"));
    for topic in ["a/x", "b"] {
        other.publish_whole(&Post::new(topic, 1, 1, "m"));
    }
    client.has_all();
    assert!(
        node.broker
            .vhost("/")
            .unwrap()
            .bindings()
            .iter()
            .all(|(binding, _)| !binding.source.starts_with("amq.topic"))
    );
}

#[test]
fn messages_wait_for_a_client_that_is_away_and_those_of_quality_0_do_not() {
    let node = node();
    for version in VERSIONS {
        let mut client = Mqtt::lasting(&node, version, "away", false);
        client.subscribe("t", Sub::qos(2));
        client.disconnect(ReasonCode::Success);
        let mut publisher = Mqtt::open(&node, &hello(Version::V5, "p"));
        for (number, payload) in ["gone", "one", "two"].iter().enumerate() {
            publisher.publish_whole(&Post::new("t", number as u8, 1, payload));
        }
        let mut client = Mqtt::lasting(&node, version, "away", true);
        assert_eq!(client.got_whole().brief(), ("one", 1, false));
        assert_eq!(client.got_whole().brief(), ("two", 2, false));
        client.has_all();
        drop(client);
        Mqtt::open(&node, &hello(version, "away")).disconnect(ReasonCode::Success);
    }
}

#[test]
fn what_amqp_publishes_with_keys_that_are_no_topics_is_left_out() {
    let node = node();
    let mut client = Mqtt::lasting(&node, Version::V5, "c", false);
    client.subscribe("#", Sub::qos(1));
    let mut amqp = node.channel();
    for key in ["", "a.+.b", "a.#", "a.*", "a/b", "a..b", ".", "$SYS.x"] {
        amqp.publish(1, "amq.topic", key, key.as_bytes());
    }
    for (topic, payload) in [("a/*", "a.*"), ("a.b", "a/b"), ("a//b", "a..b"), ("/", ".")] {
        let got = client.got_whole();
        assert_eq!((&*got.topic, &*got.payload), (topic, payload));
    }
    client.has_all();
    amqp.close();
    let vhost = node.broker.vhost("/").unwrap();
    common::mqtt::eventually("what is left out is settled", || {
        vhost
            .queues()
            .iter()
            .all(|queue| queue.ready() + queue.unsettled() == 0)
    });
}

#[test]
fn a_queue_that_is_deleted_ends_its_session_and_nobody_elses() {
    let node = node();
    let vhost = node.broker.vhost("/").unwrap();
    for version in VERSIONS {
        let mut other = Mqtt::lasting(&node, version, "other", version.is_5());
        let mut client = Mqtt::lasting(&node, version, "c", false);
        client.subscribe("t", Sub::qos(2));
        let queue = vhost.queues().into_iter();
        let mut queue = queue.filter(|queue| queue.name() == "mqtt-subscription-c");
        let connection = node.broker.consuming_connections(&queue.next().unwrap())[0];
        let name = "mqtt-subscription-c";
        vhost.delete_queue(name, false, false, connection).unwrap();
        let expected = version.is_5().then_some(ReasonCode::AdministrativeAction);
        assert_eq!(client.ended(), expected);
        other.ping();
        let mut client = Mqtt::lasting(&node, version, "c", false);
        client.ping();
        drop(client);
        Mqtt::open(&node, &hello(version, "c")).disconnect(ReasonCode::Success);
    }
}
