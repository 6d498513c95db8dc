//! What clients get: in which quality, how often, under which packet id, and how many at a time.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::time::Duration;

use common::Node;
use common::mqtt::{Got, Mqtt, Post, Sub, after_power_loss, hello, node};
use ferry_broker::Policy;
use ferry_core::arguments::{Arguments, Value};
use mqtt::{Connect, Packet, Pubrec, ReasonCode, Version, write_properties};

const VERSIONS: [Version; 2] = [Version::V4, Version::V5];
const QUIET: Duration = Duration::from_millis(100);

/// Publishes these to `t` at QoS 2.
fn publish(node: &Node, payloads: &[&str]) {
    let mut client = Mqtt::open(node, &hello(Version::V5, "publisher"));
    for payload in payloads {
        client.publish_whole(&Post::new("t", 2, 1, payload));
    }
    client.disconnect(ReasonCode::Success);
}

/// A lasting session that takes so many messages at a time.
fn narrow(node: &Node, receive_max: u16, present: bool) -> Mqtt {
    let mut block = Vec::new();
    let connect = Connect {
        clean_start: false,
        properties: write_properties(&mut block, |writer| {
            writer.session_expiry(600).receive_maximum(receive_max);
        }),
        ..hello(Version::V5, "c")
    };
    let mut client = Mqtt::begin(node, &connect);
    assert_eq!(client.connack(), (present, ReasonCode::Success));
    client
}

#[test]
fn a_message_comes_with_the_lower_of_two_qualities() {
    let node = node();
    for version in VERSIONS {
        for granted in 0..=2 {
            let mut client = Mqtt::open(&node, &hello(version, "c"));
            client.subscribe("t", Sub::qos(granted));
            let mut publisher = Mqtt::open(&node, &hello(version, "p"));
            for sent in 0..=2 {
                publisher.publish_whole(&Post::new("t", sent, 1, "m"));
                let got = client.got_whole();
                assert_eq!(got.brief(), ("m", sent.min(granted), false));
            }
            client.has_all();
        }
    }
}

#[test]
fn what_was_not_acknowledged_comes_again_as_it_was() {
    for version in VERSIONS {
        let mut node = node();
        let mut client = Mqtt::lasting(&node, version, "c", false);
        client.subscribe("t", Sub::qos(2));
        let mut publisher = Mqtt::open(&node, &hello(Version::V5, "p"));
        for (number, payload) in ["a", "b", "c", "d"].iter().enumerate() {
            publisher.publish_whole(&Post::new("t", 1 + (number % 2) as u8, 1, payload));
        }
        let mut first: Vec<Got> = (0..4).map(|_| client.got()).collect();
        first.sort_by_key(|got| got.id);
        client.drop_dead();
        for round in 0..3 {
            if round > 0 {
                node = after_power_loss(node);
            }
            let mut client = Mqtt::lasting(&node, version, "c", true);
            let mut again: Vec<Got> = (0..4).map(|_| client.got()).collect();
            again.sort_by_key(|got| got.id);
            let of_two = |all: &[Got]| -> Vec<_> {
                let of_two = all.iter().filter(|got| got.qos == 2);
                of_two.map(|got| (got.id, got.payload.clone())).collect()
            };
            assert_eq!(of_two(&again), of_two(&first), "{version:?} {round}");
            assert!(again.iter().all(|got| got.dup));
            client.has_all();
            if round == 0 {
                client.drop_dead();
                continue;
            }
            // Power is lost before the session is given back.
        }
    }
}

#[test]
fn a_release_is_said_until_it_is_answered_and_the_message_does_not_come_again() {
    for version in VERSIONS {
        let mut node = node();
        let mut client = Mqtt::lasting(&node, version, "c", false);
        client.subscribe("t", Sub::qos(2));
        publish(&node, &["m"]);
        let id = client.got().id;
        client.pubrec(id);
        client.acked("PUBREL", id);
        for round in 0..3 {
            node = after_power_loss(node);
            client = Mqtt::lasting(&node, version, "c", true);
            client.acked("PUBREL", id);
            if round == 1 {
                client.pubrec(id);
                client.acked("PUBREL", id);
            }
            client.has_all();
        }
        client.pubcomp(id);
        client.has_all();
        client.drop_dead();
        client = Mqtt::lasting(&node, version, "c", true);
        client.has_all();
    }
}

#[test]
fn nothing_else_gets_the_id_of_a_message_that_will_come_again() {
    let node = node();
    let mut client = narrow(&node, 20, false);
    client.subscribe("t", Sub::qos(2));
    client.subscribe("$share/g/s", Sub::qos(1));
    let payloads = ["a", "b", "c", "d", "e", "f"];
    publish(&node, &payloads);
    let first: Vec<_> = payloads.iter().map(|_| client.got()).collect();
    client.drop_dead();
    let mut publisher = Mqtt::open(&node, &hello(Version::V5, "p"));
    // The window is narrow now: what is shared comes in between.
    let mut client = narrow(&node, 1, true);
    for _ in 0..6 {
        publisher.publish_whole(&Post::new("s", 1, 1, "shared"));
    }
    let all: Vec<_> = (0..12).map(|_| client.got_whole()).collect();
    let (again, shared): (Vec<_>, Vec<_>) = all.into_iter().partition(|got| got.topic == "t");
    let ids = |all: &[Got]| -> Vec<_> {
        all.iter()
            .map(|got| (got.id, got.payload.clone()))
            .collect()
    };
    assert_eq!(ids(&again), ids(&first));
    assert!(again.iter().all(|got| got.dup && got.qos == 2));
    assert!(shared.iter().all(|got| !got.dup && got.qos == 1));
    client.has_all();
}

#[test]
fn what_was_begun_is_ended_though_nothing_is_subscribed_any_more() {
    let node = node();
    for (sub, lower) in [(1, None), (2, None), (2, Some(0)), (2, Some(1))] {
        let mut client = Mqtt::lasting(&node, Version::V5, "c", false);
        client.subscribe("t", Sub::qos(sub));
        publish(&node, &["begun"]);
        let first = client.got();
        match lower {
            Some(lower) => {
                client.subscribe("t", Sub::qos(lower));
            }
            None => client.unsubscribe("t"),
        }
        client.drop_dead();
        let mut client = Mqtt::lasting(&node, Version::V5, "c", true);
        let again = client.got_whole();
        assert_eq!((again.id, again.brief()), (first.id, ("begun", sub, true)));
        client.has_all();
        drop(client);
        Mqtt::open(&node, &hello(Version::V5, "c")).disconnect(ReasonCode::Success);
    }
}

#[test]
fn no_more_are_on_their_way_than_the_client_takes() {
    let node = node();
    for qos in [1, 2] {
        let mut client = narrow(&node, 3, false);
        client.subscribe("t", Sub::qos(qos));
        client.subscribe("$share/g/t", Sub::qos(1));
        publish(&node, &["a", "b", "c", "d", "e"]);
        let mut came = 0;
        let mut open: Vec<Got> = (0..3).map(|_| client.got()).collect();
        while let Some(got) = open.pop() {
            came += 1;
            assert!(client.is_quiet(QUIET / 5), "the window is full");
            if got.qos == 2 {
                client.pubrec(got.id);
                client.acked("PUBREL", got.id);
                assert!(client.is_quiet(QUIET / 5), "the window is full");
                client.pubcomp(got.id);
            } else {
                client.puback(got.id);
            }
            if came + open.len() < 10 {
                open.push(client.got());
            }
        }
        assert_eq!(came, 10);
        client.has_all();
        drop(client);
        Mqtt::open(&node, &hello(Version::V5, "c")).disconnect(ReasonCode::Success);
    }
}

#[test]
fn a_window_of_one_is_not_stopped_by_what_needs_no_window() {
    let node = node();
    let mut client = narrow(&node, 1, false);
    client.subscribe("t/#", Sub::qos(2));
    client.subscribe("$share/g/t/#", Sub::qos(1));
    let mut publisher = Mqtt::open(&node, &hello(Version::V5, "p"));
    for round in 0..100 {
        let post = Post::new("t/x", (round % 3 == 0).into(), 1, "m");
        publisher.publish_whole(&post);
    }
    for _ in 0..200 {
        client.got_whole();
    }
    client.has_all();
}

#[test]
fn a_message_that_the_client_refuses_is_not_offered_again() {
    let node = node();
    let mut client = Mqtt::lasting(&node, Version::V5, "c", false);
    client.subscribe("t", Sub::qos(2));
    publish(&node, &["no", "yes"]);
    let (no, yes) = (client.got(), client.got());
    let refused = Pubrec::new(no.id, ReasonCode::NotAuthorized);
    client.send(&Packet::Pubrec(refused));
    client.has_all();
    client.drop_dead();
    let mut client = Mqtt::lasting(&node, Version::V5, "c", true);
    let again = client.got_whole();
    assert_eq!((again.id, again.brief()), (yes.id, ("yes", 2, true)));
    client.has_all();
}

#[test]
fn acknowledgements_of_what_nobody_sent_do_no_harm() {
    let node = node();
    for version in VERSIONS {
        let mut client = Mqtt::open(&node, &hello(version, "c"));
        client.subscribe("t", Sub::qos(2));
        publish(&node, &["m"]);
        let got = client.got();
        for id in [got.id + 1, 65_535] {
            client.puback(id);
            client.pubcomp(id);
        }
        client.pubrec(999);
        client.acked("PUBREL", 999);
        client.pubcomp(999);
        client.pubrec(got.id);
        client.acked("PUBREL", got.id);
        client.pubcomp(got.id);
        client.pubcomp(got.id);
        client.has_all();
    }
}

#[test]
fn who_answers_by_the_wrong_packet_has_to_go_and_the_message_stays() {
    type Answer = fn(&mut Mqtt, u16);
    const PUBACK: Answer = Mqtt::puback;
    const PUBREC: Answer = Mqtt::pubrec;
    const PUBCOMP: Answer = Mqtt::pubcomp;
    for (qos, answers) in [
        (1, &[PUBREC][..]),
        (1, &[PUBCOMP]),
        (2, &[PUBACK]),
        (2, &[PUBCOMP]),
        (2, &[PUBREC, PUBACK]),
    ] {
        let node = node();
        let mut client = narrow(&node, 10, false);
        client.subscribe("t", Sub::qos(qos));
        publish(&node, &["m"]);
        let id = client.got().id;
        for (nth, answer) in answers.iter().enumerate() {
            if nth > 0 {
                client.acked("PUBREL", id);
            }
            answer(&mut client, id);
        }
        assert_eq!(client.ended(), Some(ReasonCode::ProtocolError), "QoS {qos}");
        let mut client = narrow(&node, 10, true);
        match answers.len() {
            1 => assert_eq!(client.got().brief(), ("m", qos, true)),
            _ => assert_eq!(client.acked("PUBREL", id), ReasonCode::Success),
        }
    }
}

#[test]
fn a_packet_may_be_as_large_as_the_client_takes_and_no_larger() {
    let node = node();
    let mut publisher = Mqtt::open(&node, &hello(Version::V5, "publisher"));
    for aliases in [0, 10] {
        for qos in 0..=2 {
            let mut block = Vec::new();
            let connect = Connect {
                properties: write_properties(&mut block, |writer| {
                    writer.maximum_packet_size(40).topic_alias_maximum(aliases);
                }),
                ..hello(Version::V5, "c")
            };
            let mut client = Mqtt::open(&node, &connect);
            client.subscribe("topic", Sub::qos(qos));
            let head_bytes = 2 + 2 + "topic".len() + if qos == 0 { 1 } else { 3 };
            let fits = "x".repeat(40 - head_bytes);
            let too_large = format!("{fits}x");
            for payload in [&fits, &too_large, &fits, "short", &fits] {
                publisher.publish_whole(&Post::new("topic", qos, 1, payload));
                if payload != too_large {
                    assert_eq!(client.got_whole().brief().0, payload, "QoS {qos}");
                }
            }
            client.has_all();
        }
    }
}

#[test]
fn a_message_whose_lease_ends_comes_again_with_its_id_and_takes_no_more_of_the_window() {
    let node = node();
    let settings = Arguments::from_iter([("lease-timeout", Value::I64(150))]);
    let said = Arguments::from_iter([
        ("pattern", Value::from("^mqtt-subscription-")),
        ("definition", Value::Table(settings)),
    ]);
    let policy = Policy::read("/", "p", &said).unwrap();
    node.broker.set_policy(policy).unwrap();
    let mut client = narrow(&node, 2, false);
    client.subscribe("t", Sub::qos(2));
    for _ in 0..3 {
        publish(&node, &["m"]);
        let first = client.got();
        let again = client.got();
        assert_eq!((again.id, again.brief()), (first.id, ("m", 2, true)));
        client.pubrec(again.id);
        client.acked("PUBREL", again.id);
        client.pubcomp(again.id);
        client.has_all();
    }
}
