//! `$SYS` over real sockets: who is told, when, and what.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Node;
use common::mqtt::{Mqtt, hello, node_with};
use ferry_gateway::MqttConfig;
use mqtt::{
    FilterList, Packet, Publish, Qos, ReasonCode, Subscribe, SubscribeOptions, Subscription,
    Unsubscribe, Version, write_properties,
};

fn node() -> Node {
    node_with(MqttConfig {
        sys_interval_s: 1,
        ..MqttConfig::default()
    })
}

fn subscribe(client: &mut Mqtt, filter: &str, id: Option<u32>) {
    let (mut block, mut list) = (Vec::new(), Vec::new());
    let options = SubscribeOptions::default();
    let filters = FilterList::write(&mut list, [Subscription { filter, options }]);
    let properties = write_properties(&mut block, |writer| {
        if let Some(id) = id {
            writer.subscription_identifier(id);
        }
    });
    client.send(&Packet::Subscribe(Subscribe {
        packet_id: 1,
        properties,
        filters,
    }));
}

/// All that comes until nothing comes for a moment: topics, what they say, and whether as retained.
fn told(client: &mut Mqtt) -> BTreeMap<String, (String, bool)> {
    let mut told = BTreeMap::new();
    while !client.is_quiet(Duration::from_millis(200)) {
        let came = client.next().unwrap();
        match came.packet() {
            Packet::Publish(publish) => {
                assert_eq!(publish.qos, Qos::AtMostOnce);
                let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
                let before = told.insert(topic, (payload, publish.retain));
                assert_eq!(before, None, "each topic once");
            }
            Packet::Suback(_) | Packet::Unsuback(_) => {}
            other => panic!("{other:?}"),
        }
    }
    told
}

#[test]
fn who_subscribes_is_told_at_once_and_again() {
    let node = node();
    for version in [Version::V4, Version::V5] {
        let mut client = Mqtt::open(&node, &hello(version, "c"));
        subscribe(&mut client, "$SYS/broker/clients/+", None);
        let first = told(&mut client);
        let topics: Vec<_> = first.keys().map(String::as_str).collect();
        assert_eq!(
            topics,
            [
                "$SYS/broker/clients/connected",
                "$SYS/broker/clients/maximum"
            ]
        );
        let connected = &first["$SYS/broker/clients/connected"];
        assert_eq!(connected, &("1".to_owned(), true));
        let mut other = Mqtt::open(&node, &hello(version, "other"));
        other.ping();
        let came = client.next().unwrap();
        assert!(matches!(came.packet(), Packet::Publish(publish) if !publish.retain));
        let again = told(&mut client);
        assert!(again.values().all(|(_, retain)| !retain));
        client.disconnect(ReasonCode::Success);
        other.disconnect(ReasonCode::Success);
    }
}

#[test]
fn all_of_it_has_its_topics() {
    let node = node();
    let mut client = Mqtt::open(&node, &hello(Version::V5, "c"));
    subscribe(&mut client, "$SYS/#", Some(7));
    let told = told(&mut client);
    for topic in [
        "$SYS/broker/version",
        "$SYS/broker/uptime",
        "$SYS/broker/clients/connected",
        "$SYS/broker/retained messages/count",
        "$SYS/broker/publish/messages/received",
        "$SYS/broker/publish/messages/sent",
        "$SYS/broker/bytes/received",
        "$SYS/broker/bytes/sent",
        "$SYS/broker/load/connections/1min",
        "$SYS/broker/load/bytes/sent/15min",
    ] {
        assert!(told.contains_key(topic), "{topic}");
    }
    let version = &told["$SYS/broker/version"].0;
    assert!(version.starts_with("FerryMQ version "), "{version}");
}

#[test]
fn who_does_not_ask_for_it_by_name_is_not_told() {
    let node = node();
    let mut client = Mqtt::open(&node, &hello(Version::V5, "c"));
    for filter in ["#", "+/#", "+/broker/uptime"] {
        subscribe(&mut client, filter, None);
    }
    assert_eq!(told(&mut client), BTreeMap::new());
    let mut watching = Mqtt::open(&node, &hello(Version::V5, "w"));
    subscribe(&mut watching, "$SYS/broker/uptime", None);
    assert_eq!(told(&mut watching).len(), 1);
    let mut list = Vec::new();
    watching.send(&Packet::Unsubscribe(Unsubscribe {
        packet_id: 2,
        properties: mqtt::Properties::EMPTY,
        filters: mqtt::NameList::write(&mut list, ["$SYS/broker/uptime"]),
    }));
    told(&mut watching);
    assert!(watching.is_quiet(Duration::from_millis(1500)));
    assert!(client.is_quiet(Duration::from_millis(10)));
}

#[test]
fn nobody_else_publishes_to_it() {
    let node = node();
    let mut client = Mqtt::open(&node, &hello(Version::V5, "c"));
    let publish = |qos, packet_id| {
        Packet::Publish(Publish {
            topic: b"$SYS/broker/version",
            qos,
            packet_id,
            dup: false,
            retain: false,
            properties: mqtt::Properties::EMPTY,
            payload: b"mine",
        })
    };
    client.send(&publish(Qos::AtLeastOnce, 1));
    let came = client.next().unwrap();
    match came.packet() {
        Packet::Puback(puback) => assert!(puback.reason.is_error()),
        Packet::Disconnect(disconnect) => assert!(disconnect.reason.is_error()),
        other => panic!("{other:?}"),
    }
}
