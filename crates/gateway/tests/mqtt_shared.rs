//! Shared subscriptions: each message for one of those who share, and nothing left when all go.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::Node;
use common::mqtt::{Mqtt, Post, Sub, after_power_loss, eventually, hello, node};
use mqtt::{Connect, ReasonCode, Version, write_properties};

const SHARED: &str = "$share/g/t/+";

/// Queues of shared subscriptions.
fn queues(node: &Node) -> Vec<String> {
    let queues = node.broker.vhost("/").unwrap().queues();
    let names = queues.iter().map(|queue| queue.name().to_owned());
    names
        .filter(|name| name.starts_with("mqtt-shared-"))
        .collect()
}

fn publish(node: &Node, payloads: &[&str]) {
    let mut client = Mqtt::open(node, &hello(Version::V5, "publisher"));
    for payload in payloads {
        client.publish_whole(&Post::new("t/x", 2, 1, payload));
    }
    client.disconnect(ReasonCode::Success);
}

/// A member whose session is kept for so long.
fn member(node: &Node, name: &str, expiry_s: u32) -> Mqtt {
    let mut block = Vec::new();
    let connect = Connect {
        clean_start: false,
        properties: write_properties(&mut block, |writer| {
            writer.session_expiry(expiry_s);
        }),
        ..hello(Version::V5, name)
    };
    let mut client = Mqtt::begin(node, &connect);
    assert_eq!(client.connack().1, ReasonCode::Success);
    client
}

#[test]
fn each_message_goes_to_one_of_them() {
    let node = node();
    let mut members = ["a", "b"].map(|name| member(&node, name, 0));
    for client in &mut members {
        client.subscribe(SHARED, Sub::qos(1));
    }
    publish(&node, &["1", "2", "3", "4"]);
    let [a, b] = &mut members;
    let mut all: Vec<_> = [a.got(), a.got(), b.got(), b.got()]
        .map(|got| got.payload)
        .into();
    all.sort_unstable();
    assert_eq!(all, ["1", "2", "3", "4"]);
}

#[test]
fn what_one_leaves_the_others_get() {
    let node = node();
    let mut a = member(&node, "a", 600);
    a.subscribe(SHARED, Sub::qos(1));
    publish(&node, &["1", "2"]);
    assert_eq!((&*a.got().payload, &*a.got().payload), ("1", "2"));
    let mut b = member(&node, "b", 0);
    b.subscribe(SHARED, Sub::qos(1));
    a.drop_dead();
    for payload in ["1", "2"] {
        assert_eq!(b.got_whole().brief(), (payload, 1, true));
    }
    b.has_all();
}

#[test]
fn the_queue_goes_with_the_last_who_shares() {
    let node = node();
    // How each of two leaves: by itself, by its connection, or because its session is begun anew.
    for (first_s, second_s) in [(0, 0), (0, 600), (600, 0), (600, u32::MAX), (u32::MAX, 1)] {
        let mut first = member(&node, "a", first_s);
        let mut second = member(&node, "b", second_s);
        for client in [&mut first, &mut second] {
            client.subscribe(SHARED, Sub::qos(1));
            client.subscribe(SHARED, Sub::qos(1));
        }
        assert_eq!(queues(&node).len(), 1, "{first_s} {second_s}");
        first.unsubscribe(SHARED);
        publish(&node, &["m"]);
        assert_eq!(second.got_whole().payload, "m");
        first.has_all();
        second.disconnect(ReasonCode::Success);
        assert_eq!(queues(&node).is_empty(), second_s == 0);
        if second_s > 0 {
            Mqtt::open(&node, &hello(Version::V5, "b")).disconnect(ReasonCode::Success);
        }
        eventually("nobody shares it", || queues(&node).is_empty());
        first.disconnect(ReasonCode::Success);
        Mqtt::open(&node, &hello(Version::V5, "a")).disconnect(ReasonCode::Success);
    }
}

#[test]
fn a_session_that_lasts_gets_what_was_for_it_whoever_came_first() {
    let mut node = node();
    for first_s in [0, 1, 600] {
        let mut first = member(&node, "a", first_s);
        first.subscribe(SHARED, Sub::qos(1));
        let mut second = member(&node, "b", u32::MAX);
        second.subscribe(SHARED, Sub::qos(1));
        second.disconnect(ReasonCode::Success);
        first.unsubscribe(SHARED);
        first.disconnect(ReasonCode::Success);
        publish(&node, &["1", "2"]);
        node = after_power_loss(node);
        let mut second = member(&node, "b", u32::MAX);
        for payload in ["1", "2"] {
            assert_eq!(second.got_whole().payload, payload);
        }
        let vhost = node.broker.vhost("/").unwrap();
        let queue = vhost.queues().into_iter();
        let mut queue = queue.filter(|queue| queue.name().starts_with("mqtt-shared-"));
        let kept = queue.next().unwrap();
        assert!(kept.durable() && kept.arguments().get("x-expires").is_none());
        second.unsubscribe(SHARED);
        second.disconnect(ReasonCode::Success);
        assert_eq!(queues(&node), [""; 0]);
        node = after_power_loss(node);
        assert_eq!(queues(&node), [""; 0]);
        for name in ["a", "b"] {
            Mqtt::open(&node, &hello(Version::V5, name)).disconnect(ReasonCode::Success);
        }
    }
}

#[test]
fn subscribing_again_changes_what_was_asked_for_and_takes_no_more_room() {
    let node = node();
    let mut client = member(&node, "a", 600);
    for round in 0..100 {
        let sub = Sub {
            id: Some(1 + round),
            ..Sub::qos((round % 2) as u8)
        };
        let granted = client.subscribe(SHARED, sub);
        assert_eq!(u32::from(granted.byte()), round % 2);
    }
    publish(&node, &["m"]);
    let got = client.got_whole();
    assert_eq!((got.qos, &got.subscriptions[..]), (1, &[100][..]));
    client.has_all();
    client.drop_dead();
    let mut client = member(&node, "a", 600);
    publish(&node, &["n"]);
    let got = client.got_whole();
    assert_eq!((got.qos, &got.subscriptions[..]), (1, &[100][..]));
    client.has_all();
}
