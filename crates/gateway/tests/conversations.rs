//! Sessions on sockets of memory: what a client is told, when, and what a bad socket changes.

#![allow(clippy::unwrap_used)]

mod house;

use ferry_gateway::testing::{Conversation, Protocol};
use house::{
    Node, connect, consume, declare, frames, names, opening, opening_with, publish, publish_once,
};

const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0xce];

fn all_of(client: &Conversation) -> Vec<u8> {
    client.take(usize::MAX)
}

#[test]
fn a_confirm_comes_when_the_log_is_safe_and_not_before() {
    let node = Node::new();
    let mut client = node.open_amqp();
    client.send(&declare("q"));
    client.send(&publish("q", b"hello"));
    node.settle([&mut client]);
    assert_eq!(names(&all_of(&client)), [""; 0], "nothing is safe yet");
    node.broker.commit_log().unwrap();
    node.settle([&mut client]);
    assert_eq!(names(&all_of(&client)), ["queue.declare_ok", "basic.ack"]);
}

#[test]
fn bytes_mean_the_same_however_they_are_cut() {
    for piece in [1, 2, 3, 7, 64, 4096] {
        let node = Node::new();
        let mut client = node.connect(Protocol::Amqp091);
        let said = [
            opening(),
            declare("q"),
            publish("q", &[7; 5_000]),
            consume("q"),
        ]
        .concat();
        client.set_room(Some(11));
        let mut heard = Vec::new();
        for bytes in said.chunks(piece) {
            client.send(bytes);
            node.settle([&mut client]);
            node.broker.commit_log().unwrap();
        }
        // It reads a few bytes at a time, and all comes in the end.
        loop {
            node.settle([&mut client]);
            assert!(client.waiting() <= 11, "no more than there is room for");
            let some = client.take(5);
            if some.is_empty() {
                break;
            }
            heard.extend(some);
        }
        let told = names(&heard);
        assert_eq!(
            told[..2],
            ["connection.start", "connection.tune"],
            "{piece}"
        );
        let mut rest = told[3..].to_vec();
        rest.sort_unstable();
        let expected = [
            "basic.ack",
            "basic.consume_ok",
            "basic.deliver",
            "channel.open_ok",
            "confirm.select_ok",
            "queue.declare_ok",
        ];
        assert_eq!(rest, expected, "{piece}");
    }
}

/// What a client of MQTT 5 says whose session is kept for a second.
fn short_stay() -> Vec<u8> {
    let (mut out, mut block) = (Vec::new(), Vec::new());
    let properties = mqtt::write_properties(&mut block, |writer| {
        writer.session_expiry(1);
    });
    let connect = mqtt::Connect {
        version: mqtt::Version::V5,
        clean_start: false,
        keep_alive_seconds: 0,
        client_id: "short",
        properties,
        will: None,
        user_name: None,
        password: None,
    };
    let written = mqtt::Packet::Connect(connect).write(&mut out, mqtt::Version::V5);
    written.unwrap();
    out
}

#[test]
fn a_session_does_not_expire_while_its_beginning_is_made_safe() {
    let mut node = Node::new();
    let mut client = node.connect(Protocol::Mqtt);
    client.send(&short_stay());
    node.settle([&mut client]);
    assert!(all_of(&client).is_empty(), "nothing is safe yet");
    node.advance(2_000);
    node.broker.commit_log().unwrap();
    node.settle([&mut client]);
    client.send(b"\x82\x07\x00\x01\x00\x00\x01t\x01");
    node.settle([&mut client]);
    node.broker.commit_log().unwrap();
    node.settle([&mut client]);
    let told = all_of(&client);
    assert!(told.ends_with(b"\x90\x04\x00\x01\x00\x01"), "{told:?}");
}

#[test]
fn who_goes_before_it_is_let_in_has_its_session_kept_as_long_as_it_asked() {
    for (is_stopped, time_ms, count) in [
        (false, 999, 1),
        (false, 1_000, 0),
        (true, 999, 1),
        (true, 1_000, 0),
    ] {
        let mut node = Node::new();
        let mut client = node.connect(Protocol::Mqtt);
        client.send(&short_stay());
        node.settle([&mut client]);
        match is_stopped {
            true => node.house.stop(),
            false => client.reset(),
        }
        node.settle([&mut client]);
        node.broker.commit_log().unwrap();
        node.settle([&mut client]);
        node.advance(time_ms);
        let queues = node.broker.vhost("/").unwrap().queues();
        let kept = queues
            .iter()
            .filter(|queue| queue.name().ends_with("short"));
        assert_eq!(kept.count(), count, "{is_stopped}, after {time_ms} ms");
    }
}

#[test]
fn what_a_lost_client_had_comes_to_the_next() {
    for (way, lose) in [
        ("reset", Conversation::reset as fn(&Conversation)),
        ("hung up", Conversation::hang_up),
    ] {
        let node = Node::new();
        let (mut first, mut second) = (node.open_amqp(), node.open_amqp());
        first.send(&[declare("q"), consume("q"), publish("q", b"once")].concat());
        // A frame that never ends.
        first.send(&publish("q", b"never")[..30]);
        node.settle([&mut first]);
        node.broker.commit_log().unwrap();
        node.settle([&mut first]);
        assert!(names(&all_of(&first)).contains(&"basic.deliver"), "{way}");
        lose(&first);
        second.send(&consume("q"));
        node.settle([&mut first, &mut second]);
        assert!(first.is_over() && !second.is_over(), "{way}");
        let heard = all_of(&second);
        assert_eq!(
            names(&heard),
            ["basic.consume_ok", "basic.deliver"],
            "{way}"
        );
        assert!(heard.windows(4).any(|bytes| bytes == b"once"), "{way}");
        assert_eq!(node.house.connections(), 1, "{way}");
    }
}

#[test]
fn a_silent_client_is_closed_when_its_time_is_up() {
    for protocol in [Protocol::Amqp091, Protocol::Mqtt, Protocol::Json] {
        let mut node = Node::new();
        let mut client = node.house.connect(protocol, None);
        node.settle([&mut client]);
        node.advance(9_999);
        node.settle([&mut client]);
        assert!(!client.is_over(), "{protocol:?}");
        node.advance(1);
        node.settle([&mut client]);
        assert!(client.is_over(), "{protocol:?}");
    }
}

#[test]
fn a_node_that_stood_still_does_not_take_that_for_silence() {
    let mqtt_hello = b"\x10\x0d\0\x04MQTT\x04\x02\0\x02\0\x01a";
    for (protocol, hello, life) in [
        (Protocol::Mqtt, mqtt_hello.to_vec(), &[0xc0, 0][..]),
        (Protocol::Amqp091, opening_with_heartbeats(), &HEARTBEAT),
    ] {
        let mut node = Node::new();
        let mut client = node.connect(protocol);
        client.send(&hello);
        node.settle([&mut client]);
        // What says that it lives is in the socket when the node goes on.
        for _ in 0..3 {
            client.send(life);
            node.advance(60_000);
            node.settle([&mut client]);
            assert!(!client.is_over(), "{protocol:?}");
        }
        for _ in 0..4 {
            node.advance(60_000);
            node.settle([&mut client]);
        }
        assert!(client.is_over(), "{protocol:?}");
    }
}

#[test]
fn a_client_that_reads_nothing_is_not_sent_everything() {
    let node = Node::new();
    let (mut reader, mut writer) = (node.open_amqp(), node.open_amqp());
    reader.set_room(Some(100));
    reader.send(&[declare("q"), consume("q")].concat());
    node.settle([&mut reader]);
    node.broker.commit_log().unwrap();
    for _ in 0..100 {
        writer.send(&publish("q", &[1; 100_000]));
        node.settle([&mut reader, &mut writer]);
        node.broker.commit_log().unwrap();
    }
    let queue = node.broker.vhost("/").unwrap().queues().remove(0);
    assert!(queue.ready() > 80, "{} are kept back", queue.ready());
    reader.set_room(None);
    let mut count = 0;
    loop {
        node.settle([&mut reader]);
        let heard = all_of(&reader);
        if heard.is_empty() {
            break;
        }
        count += names(&heard)
            .iter()
            .filter(|name| **name == "basic.deliver")
            .count();
    }
    assert_eq!((count, queue.ready()), (100, 0));
    let ack = amqp091::method::basic::Ack {
        delivery_tag: 0,
        multiple: true,
    };
    reader.send(&frames([ack]));
    node.settle([&mut reader]);
    assert_eq!(queue.unsettled(), 0);
}

/// What an AMQP client says to be in with heartbeats each 2 seconds.
fn opening_with_heartbeats() -> Vec<u8> {
    let start = amqp091::method::connection::StartOk {
        mechanism: amqp091::ShortStr::lit("EXTERNAL"),
        locale: amqp091::ShortStr::lit("en_US"),
        ..Default::default()
    };
    opening_with(start, 2)
}

/// A client for whose socket more waits than is kept, so that nothing of it is read.
fn with_a_full_outbox(node: &Node) -> Conversation {
    let mut client = node.connect(Protocol::Amqp091);
    client.send(&opening_with_heartbeats());
    client.send(&declare("q"));
    for _ in 0..18 {
        client.send(&publish("q", &[1; 1 << 20]));
        node.settle([&mut client]);
        node.broker.commit_log().unwrap();
        node.settle([&mut client]);
    }
    all_of(&client);
    client.set_room(Some(0));
    let get = amqp091::method::basic::Get {
        queue: amqp091::ShortStr::lit("q"),
        no_ack: true,
        ..Default::default()
    };
    client.send(&frames([get; 18]));
    node.settle([&mut client]);
    client
}

#[test]
fn who_is_not_read_is_taken_for_silent_only_if_it_reads_nothing() {
    let mut node = Node::new();
    let mut client = with_a_full_outbox(&node);
    client.send(&HEARTBEAT);
    for second in 1..20 {
        client.set_room(Some(100));
        node.settle([&mut client]);
        all_of(&client);
        node.settle([&mut client]);
        client.set_room(Some(0));
        node.advance(1_000);
        node.settle([&mut client]);
        assert!(!client.is_over(), "after {second} s");
        assert_eq!(client.unread(), HEARTBEAT.len(), "it is held back");
    }
    // Two intervals, and the time that the rest has to leave.
    for _ in 0..4 + 5 {
        assert!(!client.is_over());
        node.advance(1_000);
        node.settle([&mut client]);
    }
    node.advance(1_000);
    node.settle([&mut client]);
    assert!(client.is_over(), "nothing came, and nothing was taken");
}

#[test]
fn who_waits_for_a_slow_disk_is_not_silent() {
    let mqtt_hello = b"\x10\x0d\0\x04MQTT\x04\0\0\x02\0\x01a";
    let mut mqtt_publish = Vec::new();
    let message = mqtt::Publish {
        topic: b"t",
        qos: mqtt::Qos::AtLeastOnce,
        packet_id: 1,
        dup: false,
        retain: false,
        properties: mqtt::Properties::EMPTY,
        payload: &[1; 9 << 20],
    };
    let written = mqtt::Packet::Publish(message).write(&mut mqtt_publish, mqtt::Version::V4);
    written.unwrap();
    let mqtt_subscribe = b"\x82\x06\0\x02\0\x01t\x01";
    let amqp = [declare("q"), publish("q", &[1; 9 << 20])].concat();
    let mqtt = [&mqtt_subscribe[..], &mqtt_publish].concat();
    for (protocol, hello, says, life) in [
        (
            Protocol::Amqp091,
            opening_with_heartbeats(),
            amqp,
            &HEARTBEAT[..],
        ),
        (Protocol::Mqtt, mqtt_hello.to_vec(), mqtt, &[0xc0, 0]),
    ] {
        let mut node = Node::new();
        let mut client = node.connect(protocol);
        client.send(&hello);
        node.settle([&mut client]);
        node.broker.commit_log().unwrap();
        node.settle([&mut client]);
        client.send(&says);
        node.settle([&mut client]);
        for _ in 0..20 {
            client.send(life);
            node.advance(1_000);
            node.settle([&mut client]);
            assert!(!client.is_over(), "{protocol:?}");
        }
        assert_eq!(
            client.unread(),
            20 * life.len(),
            "{protocol:?}: it is held back"
        );
        node.broker.commit_log().unwrap();
        node.settle([&mut client]);
        assert_eq!(
            (client.unread(), client.is_over()),
            (0, false),
            "{protocol:?}"
        );
        for _ in 0..6 {
            node.advance(1_000);
            node.settle([&mut client]);
        }
        assert!(client.is_over(), "{protocol:?}: it says nothing more");
    }
}

#[test]
fn who_is_let_in_while_an_alarm_ends_is_not_held_by_it() {
    let node = Node::new();
    let mut filler = node.open_amqp();
    node.disk.enospc_after(0);
    filler.send(&[declare("q"), publish("q", &[1; 10_000])].concat());
    node.settle([&mut filler]);
    let _no_space = node.broker.commit_log();
    assert!(node.broker.memory().blocked().is_some(), "the disk is full");
    let mut client = node.connect(Protocol::Mqtt);
    client.send(&connect("c"));
    node.settle([&mut client]);
    assert_eq!(client.waiting(), 0, "its session is not safe yet");
    node.disk.heal();
    node.disk.set_capacity(None);
    while node.broker.memory().blocked().is_some() {
        node.broker.commit_log().unwrap();
    }
    client.send(&publish_once("t", 7));
    node.settle([&mut filler, &mut client]);
    node.broker.commit_log().unwrap();
    node.settle([&mut client]);
    let puback = [0x40, 2, 0, 7];
    assert!(all_of(&client).ends_with(&puback), "it may publish");
}

#[test]
fn who_is_taken_over_is_heard_out_before_it_goes() {
    const FAREWELL: &[u8] = b"\xe0\0";
    // A PUBLISH of QoS 0 that nobody would say again.
    const LAST: &[u8] = b"\x30\x07\0\x01tlast";
    for (said, heard) in [
        (&[LAST, FAREWELL][..], &[LAST][..]),
        (&[LAST], &[LAST, b"\x30\x07\0\x01twill"]),
    ] {
        let node = Node::new();
        let mut watcher = node.connect(Protocol::Mqtt);
        let mut first = node.connect(Protocol::Mqtt);
        let mut second = node.connect(Protocol::Mqtt);
        watcher.send(&[&connect("watcher")[..], b"\x82\x06\0\x01\0\x01t\0"].concat());
        let mut with_will = Vec::new();
        mqtt::Connect {
            version: mqtt::Version::V4,
            clean_start: true,
            keep_alive_seconds: 0,
            client_id: "same",
            properties: mqtt::Properties::EMPTY,
            will: Some(mqtt::Will {
                qos: mqtt::Qos::AtMostOnce,
                retain: false,
                topic: "t",
                payload: b"will",
                properties: mqtt::Properties::EMPTY,
            }),
            user_name: None,
            password: None,
        }
        .write(&mut with_will);
        first.send(&with_will);
        for _ in 0..2 {
            node.settle([&mut watcher, &mut first]);
            node.broker.commit_log().unwrap();
        }
        all_of(&watcher);
        // All of it has come before the next connection, and nobody has looked at it yet.
        first.send(&said.concat());
        second.send(&connect("same"));
        node.settle([&mut second]);
        node.settle([&mut watcher, &mut first, &mut second]);
        node.broker.commit_log().unwrap();
        node.settle([&mut watcher, &mut first, &mut second]);
        assert!(first.is_over() && second.waiting() > 0);
        assert_eq!(all_of(&watcher), heard.concat());
    }
}
