//! What clients publish, in every quality of service: taken once, answered when it is safe.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::time::Duration;

use common::mqtt::{Mqtt, Post, Sub, after_power_loss, eventually, hello, node};
use common::{Client, Node};
use ferry_broker::{LimitsOf, Policy};
use ferry_core::arguments::{Arguments, Value};
use mqtt::{Connect, Packet, ReasonCode, Version, Will, write_properties};

const VERSIONS: [Version; 2] = [Version::V4, Version::V5];

/// A client of AMQP with a durable queue `q` that gets all topics under `t`.
fn watcher(node: &Node) -> Client {
    let mut client = node.channel();
    client.declare(1, "q", true);
    client.bind(1, "q", "amq.topic", "t.#");
    client.expect(1, "queue.bind_ok");
    client
}

fn bodies(watcher: &mut Client) -> Vec<String> {
    let next = || watcher.get(1, "q", true);
    let bodies = std::iter::from_fn(next).map(|message| message.body);
    bodies
        .map(|body| String::from_utf8(body).unwrap())
        .collect()
}

fn policy(node: &Node, settings: &[(&str, Value)]) {
    let said = Arguments::from_iter([
        ("pattern", Value::from("^q$")),
        (
            "definition",
            Value::Table(Arguments::from_iter(settings.iter().cloned())),
        ),
    ]);
    let policy = Policy::read("/", "p", &said).unwrap();
    node.broker.set_policy(policy).unwrap();
}

#[test]
fn every_quality_arrives_once_and_in_order() {
    let node = node();
    let mut watcher = watcher(&node);
    for version in VERSIONS {
        let mut client = Mqtt::open(&node, &hello(version, "c"));
        for (number, payload) in ["a", "b", "c"].iter().enumerate() {
            client.publish_whole(&Post::new("t/x", number as u8, 1, payload));
        }
        client.has_all();
        assert_eq!(bodies(&mut watcher), ["a", "b", "c"]);
    }
}

#[test]
fn a_publish_of_quality_2_that_comes_again_is_answered_and_not_taken() {
    let node = node();
    let mut watcher = watcher(&node);
    let again = Post {
        dup: true,
        ..Post::new("t/x", 2, 9, "once")
    };
    for version in VERSIONS {
        let mut client = Mqtt::open(&node, &hello(version, "c"));
        client.publish(&again);
        client.publish(&again);
        client.acked("PUBREC", 9);
        client.acked("PUBREC", 9);
        client.pubrel(9);
        client.acked("PUBCOMP", 9);
        client.pubrel(9);
        let unknown = client.acked("PUBCOMP", 9);
        assert_eq!(unknown.is_error(), version.is_5(), "{unknown}");
        client.publish_whole(&Post::new("t/x", 2, 9, "next"));
        assert_eq!(bodies(&mut watcher), ["once", "next"]);
    }
}

#[test]
fn what_was_taken_is_not_taken_again_after_a_reconnect_or_a_loss_of_power() {
    for version in VERSIONS {
        let mut node = node();
        drop(watcher(&node));
        let mut client = Mqtt::lasting(&node, version, "c", false);
        client.publish(&Post::new("t/x", 2, 5, "m"));
        client.acked("PUBREC", 5);
        client.drop_dead();
        for round in 0..3 {
            if round > 0 {
                node = after_power_loss(node);
            }
            let mut client = Mqtt::lasting(&node, version, "c", true);
            client.publish(&Post {
                dup: true,
                ..Post::new("t/x", 2, 5, "m")
            });
            client.acked("PUBREC", 5);
            if round == 2 {
                client.pubrel(5);
                client.acked("PUBCOMP", 5);
            }
            client.has_all();
        }
        node = after_power_loss(node);
        assert_eq!(bodies(&mut watcher(&node)), ["m"]);
        let mut client = Mqtt::lasting(&node, version, "c", true);
        client.publish_whole(&Post::new("t/x", 2, 5, "new"));
        assert_eq!(bodies(&mut watcher(&node)), ["new"]);
    }
}

#[test]
fn a_session_that_is_begun_anew_has_taken_nothing() {
    let node = node();
    let mut watcher = watcher(&node);
    let mut client = Mqtt::lasting(&node, Version::V5, "c", false);
    client.publish(&Post::new("t/x", 2, 5, "before"));
    client.acked("PUBREC", 5);
    client.drop_dead();
    let mut client = Mqtt::open(&node, &hello(Version::V5, "c"));
    client.publish_whole(&Post::new("t/x", 2, 5, "after"));
    assert_eq!(bodies(&mut watcher), ["before", "after"]);
}

#[test]
fn a_full_queue_is_told_as_the_version_can_and_leaves_no_id_behind() {
    let node = node();
    let mut watcher = watcher(&node);
    policy(
        &node,
        &[
            ("max-length", 1.into()),
            ("overflow", "reject-publish".into()),
        ],
    );
    let mut client = Mqtt::lasting(&node, Version::V5, "five", false);
    client.publish_whole(&Post::new("t/x", 1, 1, "full"));
    for (kind, qos) in [("PUBACK", 1), ("PUBREC", 2), ("PUBREC", 2)] {
        client.publish(&Post::new("t/x", qos, 3, "no"));
        assert_eq!(client.acked(kind, 3), ReasonCode::QuotaExceeded);
    }
    // Both in one piece: the id was in use when the second was sent.
    assert_eq!(bodies(&mut watcher), ["full"]);
    client.publish_whole(&Post::new("t/x", 2, 3, "now"));
    client.disconnect(ReasonCode::Success);
    for (qos, round) in [(1, 0), (2, 1), (2, 2)] {
        let mut client = Mqtt::lasting(&node, Version::V4, "three", round > 0);
        client.publish(&Post::new("t/x", qos, 3, "no"));
        assert_eq!(
            client.next(),
            None,
            "it is not left to believe that it was taken"
        );
    }
    assert_eq!(bodies(&mut watcher), ["now"]);
    let mut client = Mqtt::lasting(&node, Version::V4, "three", true);
    client.publish_whole(&Post {
        dup: true,
        ..Post::new("t/x", 2, 3, "again")
    });
    assert_eq!(bodies(&mut watcher), ["again"]);
}

#[test]
fn answers_come_in_the_order_of_what_they_answer() {
    let node = node();
    let _watcher = watcher(&node);
    let mut client = Mqtt::open(&node, &hello(Version::V4, "c"));
    let mut all = Vec::new();
    for id in 1..=300 {
        let post = Post::new(
            if id % 3 == 0 { "none" } else { "t/x" },
            1 + (id % 2) as u8,
            id,
            "m",
        );
        all.extend(post.bytes(Version::V4));
    }
    client.send_bytes(&all);
    for id in 1..=300 {
        client.acked(if id % 2 == 0 { "PUBACK" } else { "PUBREC" }, id);
    }
}

#[test]
fn more_publishes_than_allowed_end_the_connection() {
    let node = common::mqtt::node_with(ferry_gateway::MqttConfig {
        receive_max: 3,
        ..ferry_gateway::MqttConfig::default()
    });
    let _watcher = watcher(&node);
    let mut client = Mqtt::open(&node, &hello(Version::V5, "c"));
    for round in 0..3 {
        // What is released, or never began, is not under way.
        for id in 1..=3 {
            client.publish(&Post::new("t/x", 2, id, "m"));
            client.acked("PUBREC", id);
        }
        client.publish(&Post {
            dup: true,
            ..Post::new("t/x", 2, 1, "m")
        });
        client.acked("PUBREC", 1);
        for id in 1..=3 {
            client.pubrel(id);
            client.acked("PUBCOMP", id);
        }
        client.pubrel(40 + round);
        client.acked("PUBCOMP", 40 + round);
    }
    for id in 1..=3 {
        client.publish(&Post::new("t/x", 2, id, "m"));
        client.acked("PUBREC", id);
    }
    client.publish(&Post::new("t/x", 1, 4, "m"));
    assert_eq!(client.ended(), Some(ReasonCode::ReceiveMaximumExceeded));
}

#[test]
fn odd_topics_reach_amqp_as_they_are_meant() {
    let node = node();
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.bind(1, "q", "amq.topic", "#");
    client.expect(1, "queue.bind_ok");
    let mut device = Mqtt::open(&node, &hello(Version::V5, "c"));
    let long = "l/".repeat(32_767);
    for (topic, key) in [
        ("/", "."),
        ("a.b/c", "a/b.c"),
        ("//", ".."),
        ("*", "*"),
        ("a b/ü", "a b.ü"),
    ] {
        device.publish_whole(&Post::new(topic, 1, 1, "m"));
        let got = client.get(1, "q", true).unwrap();
        assert_eq!(got.routing_key, key, "{topic}");
    }
    device.publish_whole(&Post::new(&long, 1, 1, "long"));
    device.has_all();
}

/// Bytes of a DISCONNECT behind publishes that a rate holds.
#[test]
fn what_a_rate_holds_is_taken_when_the_client_has_gone() {
    let node = node();
    let mut watcher = watcher(&node);
    let rate = LimitsOf::User("guest".into());
    node.broker
        .set_limit(rate, "publish-rate", &Value::I64(5))
        .unwrap();
    let (mut block, mut all) = (Vec::new(), Vec::new());
    let connect = Connect {
        will: Some(Will {
            qos: mqtt::Qos::AtMostOnce,
            retain: false,
            topic: "t/will",
            payload: b"will",
            properties: write_properties(&mut block, |_| {}),
        }),
        ..hello(Version::V4, "c")
    };
    let mut client = Mqtt::open(&node, &connect);
    for number in 0..40 {
        all.extend(Post::new("t/x", 0, 0, &number.to_string()).bytes(Version::V4));
    }
    let farewell = Packet::Disconnect(mqtt::Disconnect::new(ReasonCode::Success));
    farewell.write(&mut all, Version::V4).unwrap();
    client.send_bytes(&all);
    client.drop_dead();
    let mut found = Vec::new();
    eventually("all are there", || {
        found.extend(bodies(&mut watcher));
        found.len() >= 40
    });
    std::thread::sleep(Duration::from_millis(50));
    found.extend(bodies(&mut watcher));
    let expected: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    assert_eq!(found, expected, "each once, and no will");
}

#[test]
fn publishes_wait_while_memory_is_short_and_all_else_goes_on() {
    const TAKEN: i64 = 2 << 30;
    let node = node();
    let mut watcher = watcher(&node);
    let memory = node.broker.memory();
    for version in VERSIONS {
        let mut reader = Mqtt::open(&node, &hello(version, "reader"));
        reader.subscribe("t/#", Sub::qos(1));
        let mut client = Mqtt::open(&node, &hello(version, "c"));
        client.publish_whole(&Post::new("t/x", 1, 1, "before"));
        let before = reader.got();
        memory.account(TAKEN);
        eventually("publishers are held", || {
            // What is published makes the broker look.
            let mut other = Mqtt::open(&node, &hello(version, "other"));
            other.publish(&Post::new("none", 0, 0, "look"));
            other.drop_dead();
            memory.blocked().is_some()
        });
        std::thread::sleep(Duration::from_millis(30));
        client.publish(&Post::new("t/x", 2, 2, "held"));
        client.pubrel(2);
        client.publish(&Post::new("t/x", 0, 0, "too"));
        client.publish(&Post::new("t/x", 1, 3, "last"));
        client.ping();
        assert!(client.is_quiet(Duration::from_millis(60)));
        reader.puback(before.id);
        reader.has_all();
        memory.account(-TAKEN);
        node.broker.memory_given_back();
        client.acked("PUBREC", 2);
        client.acked("PUBCOMP", 2);
        client.acked("PUBACK", 3);
        for payload in ["held", "too", "last"] {
            assert_eq!(reader.got_whole().payload, payload);
        }
        assert_eq!(bodies(&mut watcher), ["before", "held", "too", "last"]);
        client.has_all();
        reader.has_all();
    }
}
