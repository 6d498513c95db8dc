//! Rights of sessions: who may begin one, take one up, and keep one.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::Node;
use common::mqtt::{Mqtt, Post, Sub, add_user, add_vhost, eventually, hello, node};
use ferry_broker::{Permission, TopicPermission};
use mqtt::{Connect, ReasonCode, Version, write_properties};

fn permit(node: &Node, user: &str, [configure, write, read]: [&str; 3]) {
    let permission = Permission {
        user: user.into(),
        vhost: "/".into(),
        configure: configure.into(),
        write: write.into(),
        read: read.into(),
    };
    node.broker.set_permission(permission).unwrap();
}

fn permit_topics(node: &Node, user: &str, read: &str) {
    let permission = TopicPermission {
        user: user.into(),
        vhost: "/".into(),
        exchange: "amq.topic".into(),
        write: ".*".into(),
        read: read.into(),
    };
    node.broker.set_topic_permission(permission).unwrap();
}

/// A client of that user; gives the reason if it is not let in.
fn enter(node: &Node, user: &str, expiry_s: u32) -> Result<Mqtt, ReasonCode> {
    let mut block = Vec::new();
    let connect = Connect {
        clean_start: false,
        properties: write_properties(&mut block, |writer| {
            writer.session_expiry(expiry_s);
        }),
        user_name: Some(user),
        password: Some(user.as_bytes()),
        ..hello(Version::V5, "c")
    };
    let mut client = Mqtt::begin(node, &connect);
    match client.connack().1 {
        ReasonCode::Success => Ok(client),
        reason => Err(reason),
    }
}

#[test]
fn a_session_needs_the_right_to_its_queue() {
    let node = node();
    add_user(&node, "ann", &["/"]);
    permit(&node, "ann", ["^other", ".*", ".*"]);
    assert_eq!(
        enter(&node, "ann", 600).err(),
        Some(ReasonCode::NotAuthorized)
    );
    let mut client = enter(&node, "ann", 0).ok().unwrap();
    client.publish_whole(&Post::new("t", 1, 1, "m"));
    assert_eq!(
        client.subscribe("t", Sub::qos(1)),
        ReasonCode::NotAuthorized
    );
    client.has_all();
    client.disconnect(ReasonCode::Success);
    assert_eq!(node.broker.vhost("/").unwrap().queues().len(), 0);
}

#[test]
fn nobody_takes_up_a_session_with_what_he_may_not_read() {
    let node = node();
    for user in ["ann", "bob"] {
        add_user(&node, user, &["/"]);
    }
    permit_topics(&node, "ann", r"^(secret|open)\.");
    permit_topics(&node, "bob", r"^open\.");
    let publish = |topic: &str| {
        let mut publisher = Mqtt::open(&node, &hello(Version::V5, "p"));
        publisher.publish_whole(&Post::new(topic, 1, 1, "m"));
    };
    for filter in ["secret/x", "$share/g/secret/x"] {
        let mut ann = enter(&node, "ann", 600).ok().unwrap();
        assert!(!ann.subscribe(filter, Sub::qos(1)).is_error());
        ann.disconnect(ReasonCode::Success);
        publish("secret/x");
        assert_eq!(
            enter(&node, "bob", 600).err(),
            Some(ReasonCode::NotAuthorized)
        );
        let mut ann = enter(&node, "ann", 600).ok().unwrap();
        assert_eq!(ann.got_whole().payload, "m");
        ann.unsubscribe(filter);
        ann.subscribe("open/x", Sub::qos(1));
        ann.disconnect(ReasonCode::Success);
        publish("open/x");
        let mut bob = enter(&node, "bob", 600).ok().unwrap();
        assert_eq!(bob.got_whole().payload, "m");
        bob.disconnect(ReasonCode::Success);
        assert!(enter(&node, "ann", 0).is_ok());
    }
}

#[test]
fn rights_that_are_taken_end_what_needs_them() {
    let node = node();
    add_user(&node, "ann", &["/"]);
    let mut ann = enter(&node, "ann", 600).ok().unwrap();
    ann.subscribe("a/#", Sub::qos(1));
    permit_topics(&node, "ann", r"^a\.");
    permit_topics(&node, "ann", r"^a(\.|$)");
    permit_topics(&node, "ann", r"^b\.");
    assert_eq!(ann.ended(), Some(ReasonCode::NotAuthorized));
    assert_eq!(
        enter(&node, "ann", 600).err(),
        Some(ReasonCode::NotAuthorized)
    );
    permit_topics(&node, "ann", ".*");
    let mut ann = enter(&node, "ann", 600).ok().unwrap();
    let mut publisher = Mqtt::open(&node, &hello(Version::V5, "p"));
    publisher.publish_whole(&Post::new("a/b", 1, 1, "m"));
    assert_eq!(ann.got_whole().payload, "m");
    node.broker.delete_user("ann").unwrap();
    assert_eq!(ann.ended(), Some(ReasonCode::NotAuthorized));
}

#[test]
fn a_virtual_host_that_is_deleted_ends_its_clients_and_no_others() {
    let node = node();
    add_vhost(&node, "tenant");
    add_user(&node, "ann", &["/", "tenant"]);
    let open = |user: &'static str, version| {
        let mut block = Vec::new();
        let connect = Connect {
            clean_start: false,
            properties: write_properties(&mut block, |writer| {
                writer.session_expiry(600);
            }),
            user_name: Some(user),
            password: Some(b"ann"),
            ..hello(version, "c")
        };
        let mut client = Mqtt::begin(&node, &connect);
        assert_eq!(client.connack(), (false, ReasonCode::Success));
        client.subscribe("t", Sub::qos(2));
        client
    };
    let mut other = open("/:ann", Version::V5);
    let mut gone = open("tenant:ann", Version::V4);
    gone.send_bytes(&Post::new("t", 2, 1, "m").bytes(Version::V4));
    node.broker.delete_vhost("tenant").unwrap();
    while gone.next().is_some() {}
    other.ping();
    eventually("one is left", || node.broker.connection_count() == 1);
}
