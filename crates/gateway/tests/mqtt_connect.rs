//! Connections of MQTT over real sockets: who gets in, who has to go, and what is said.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::mqtt::{Mqtt, add_user, add_vhost, address, eventually, hello, node, node_with};
use ferry_broker::{LimitsOf, Spoken};
use ferry_core::arguments::Value;
use ferry_gateway::MqttConfig;
use ferry_log::testing::Fault;
use mqtt::{Connect, Packet, ReasonCode, Version, write_properties};

const VERSIONS: [Version; 3] = [Version::V3, Version::V4, Version::V5];

#[test]
fn clients_of_every_version_come_and_go() {
    let node = node();
    for version in VERSIONS {
        let mut client = Mqtt::open(&node, &hello(version, "c1"));
        client.ping();
        let infos = node.broker.connections();
        let info = infos.first().unwrap();
        let client_id = info.client_properties.get("client_id");
        assert_eq!(client_id.and_then(|id| id.as_bytes()), Some(&b"c1"[..]));
        assert_eq!((info.user.as_str(), info.vhost.as_str()), ("guest", "/"));
        assert_eq!(info.mechanism, "PLAIN");
        client.disconnect(ReasonCode::Success);
        eventually("the connection is gone", || {
            node.broker.connection_count() == 0
        });
    }
}

#[test]
fn a_connection_counts_as_a_channel_and_one_that_publishes_as_a_publisher() {
    let node = node();
    let counts = || {
        let metrics = node.broker.metrics();
        [
            &metrics.channels_opened,
            &metrics.channels_closed,
            &metrics.publishers_opened,
            &metrics.publishers_closed,
        ]
        .map(|counter| counter.load(Ordering::Relaxed))
    };
    let quiet = Mqtt::open(&node, &hello(Version::V5, "quiet"));
    let mut publisher = Mqtt::open(&node, &hello(Version::V5, "publisher"));
    for _ in 0..3 {
        publisher.send_bytes(b"\x30\x07\x00\x03a/b\x00x");
    }
    publisher.ping();
    assert_eq!(counts(), [2, 0, 1, 0]);
    let of = |spoken| node.broker.edges().traffic_bytes_of(spoken);
    assert_eq!(of(Spoken::Amqp091), (0, 0));
    assert!(of(Spoken::Mqtt).0 > 3 * 8, "CONNECT and what was published");
    quiet.disconnect(ReasonCode::Success);
    publisher.drop_dead();
    eventually("both are gone", || counts() == [2, 2, 1, 1]);
}

#[test]
fn a_connect_may_come_byte_by_byte_and_with_what_follows() {
    let node = node();
    let mut bytes = Vec::new();
    hello(Version::V5, "slow").write(&mut bytes);
    bytes.extend_from_slice(&[0xC0, 0, 0xC0, 0]);
    let mut client = Mqtt::raw(address(&node), Version::V5);
    for byte in &bytes {
        client.send_bytes(&[*byte]);
    }
    assert_eq!(client.connack().1, ReasonCode::Success);
    for _ in 0..2 {
        assert!(matches!(client.next().unwrap().packet(), Packet::Pingresp));
    }
    let mut client = Mqtt::raw(address(&node), Version::V5);
    client.send_bytes(&bytes);
    assert_eq!(client.connack().1, ReasonCode::Success);
    for _ in 0..2 {
        assert!(matches!(client.next().unwrap().packet(), Packet::Pingresp));
    }
}

#[test]
fn what_is_no_connect_ends_its_own_connection_only() {
    let node = node();
    let mut other = Mqtt::open(&node, &hello(Version::V5, "other"));
    let mut second = Vec::new();
    hello(Version::V5, "again").write(&mut second);
    for bytes in [
        &[0xC0, 0][..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"AMQP\0\0\x09\x01",
        &[0x10, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x10, 0xFF, 0xFF, 0xFF, 0x7F],
        &[0x10, 2, 0, 4],
        &[0x30, 2, 0, 1],
    ] {
        let mut client = Mqtt::raw(address(&node), Version::V5);
        client.send_bytes(bytes);
        assert_eq!(client.next(), None, "{bytes:?}");
        other.ping();
    }
    let mut client = Mqtt::open(&node, &hello(Version::V5, "twice"));
    client.send_bytes(&second);
    assert_eq!(client.ended(), Some(ReasonCode::ProtocolError));
    other.ping();
}

#[test]
fn a_client_that_does_not_say_who_it_is_is_not_waited_for() {
    let node = node();
    let begun = Instant::now();
    let mut whole = Vec::new();
    hello(Version::V5, "c").write(&mut whole);
    let mut clients = [0, 1, whole.len() - 1].map(|end| {
        let mut client = Mqtt::raw_for(address(&node), Version::V5, Duration::from_secs(20));
        client.send_bytes(&whole[..end]);
        client
    });
    for client in &mut clients {
        assert_eq!(client.next(), None);
    }
    let waited = begun.elapsed();
    assert!((9..15).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn a_connect_that_is_too_large_is_refused_before_it_is_there() {
    let node = node();
    let mut client = Mqtt::raw(address(&node), Version::V5);
    client.send_bytes(&[0x10, 0xFF, 0xFF, 0x7F, 0, 4, b'M', b'Q', b'T', b'T', 5]);
    assert_eq!(client.connack(), (false, ReasonCode::PacketTooLarge));
    assert_eq!(client.next(), None);
}

#[test]
fn log_ins_are_right_or_refused() {
    let node = node();
    add_vhost(&node, "tenant");
    add_user(&node, "ann", &["/"]);
    add_user(&node, "bob", &["tenant"]);
    let (bad, no) = (ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized);
    for (user_name, password, expected) in [
        (Some("ann"), Some("ann"), ReasonCode::Success),
        (Some("/:ann"), Some("ann"), ReasonCode::Success),
        (Some("tenant:bob"), Some("bob"), ReasonCode::Success),
        (Some("ann"), Some("other"), bad),
        (Some("nobody"), Some("x"), bad),
        (Some("ann"), None, bad),
        (Some("tenant:ann"), Some("ann"), no),
        (Some("nowhere:ann"), Some("ann"), no),
        (Some("bob"), Some("bob"), no),
        (None, None, no),
    ] {
        for version in VERSIONS {
            let connect = Connect {
                user_name,
                password: password.map(str::as_bytes),
                ..hello(version, "c")
            };
            let mut client = Mqtt::begin(&node, &connect);
            let (_, reason) = client.connack();
            assert_eq!(reason, expected, "{version:?} {user_name:?} {password:?}");
            match reason {
                ReasonCode::Success => client.ping(),
                _ => assert_eq!(client.next(), None),
            }
        }
    }
    eventually("all are gone", || node.broker.connection_count() == 0);
}

#[test]
fn a_refusal_arrives_though_more_was_sent() {
    let node = node();
    let connect = Connect {
        password: Some(b"wrong"),
        ..hello(Version::V5, "c")
    };
    for _ in 0..20 {
        let mut client = Mqtt::begin(&node, &connect);
        // The broker may have closed the connection by then.
        client.try_send(&[0x30; 300_000]);
        let expected = (false, ReasonCode::BadUserNameOrPassword);
        assert_eq!(client.connack(), expected);
    }
}

#[test]
fn nobody_is_let_in_on_what_the_disk_does_not_keep() {
    let node = node();
    let mut before = Mqtt::open(&node, &hello(Version::V5, "before"));
    node.disk.fail_call(1, Fault::Io, true);
    let (mut block, clean_start) = (Vec::new(), false);
    let properties = write_properties(&mut block, |writer| {
        writer.session_expiry(60);
    });
    let connect = Connect {
        clean_start,
        properties,
        ..hello(Version::V5, "after")
    };
    let mut after = Mqtt::begin(&node, &connect);
    let answer = after.next();
    let is_in = answer.as_ref().is_some_and(|came| match came.packet() {
        Packet::Connack(connack) => connack.reason == ReasonCode::Success,
        _ => false,
    });
    assert!(!is_in, "{answer:?}");
    assert_eq!(before.ended(), Some(ReasonCode::UnspecifiedError));
}

#[test]
fn clients_without_a_name_are_whom_the_configuration_says() {
    let node = node_with(MqttConfig {
        anonymous: Some("guest".to_owned()),
        ..MqttConfig::default()
    });
    // Fields that were left blank are sent by some, and name nobody.
    for (user_name, password) in [(None, None), (Some(""), None), (Some(""), Some(&b""[..]))] {
        let nobody = Connect {
            user_name,
            password,
            ..hello(Version::V4, "")
        };
        let mut client = Mqtt::open(&node, &nobody);
        client.ping();
        let infos = node.broker.connections();
        assert_eq!(infos[0].mechanism, "ANONYMOUS");
    }
    let half = Connect {
        user_name: Some(""),
        password: Some(b"guest"),
        ..hello(Version::V5, "")
    };
    let reason = Mqtt::begin(&node, &half).connack_with(|connack| connack.reason);
    assert_eq!(reason, ReasonCode::BadUserNameOrPassword);
}

#[test]
fn a_client_is_told_what_it_did_not_ask_for() {
    let node = node_with(MqttConfig {
        keep_alive_max_s: 60,
        session_expiry_max_s: 100,
        receive_max: 50,
        topic_alias_max: 7,
        packet_bytes_max: 5000,
        ..MqttConfig::default()
    });
    let mut block = Vec::new();
    let properties = write_properties(&mut block, |writer| {
        writer.session_expiry(1000);
    });
    let connect = Connect {
        properties,
        keep_alive_seconds: 120,
        ..hello(Version::V5, "")
    };
    let mut client = Mqtt::begin(&node, &connect);
    let assigned = client.connack_with(|connack| {
        let properties = connack.properties;
        assert_eq!(properties.server_keep_alive(), Some(60));
        assert_eq!(properties.session_expiry(), Some(100));
        assert_eq!(properties.receive_maximum(), Some(50));
        assert_eq!(properties.topic_alias_maximum(), Some(7));
        assert_eq!(properties.maximum_packet_size(), Some(5000));
        properties.assigned_client_identifier().unwrap().to_owned()
    });
    let mut other = Mqtt::begin(&node, &connect);
    let another = other.connack_with(|connack| {
        let properties = connack.properties;
        properties.assigned_client_identifier().unwrap().to_owned()
    });
    assert_ne!(assigned, another);
    client.ping();
    other.ping();
}

#[test]
fn a_silent_client_is_given_up_after_one_and_a_half_keep_alives() {
    let node = node();
    for (version, expected) in [
        (Version::V5, Some(ReasonCode::KeepAliveTimeout)),
        (Version::V4, None),
    ] {
        let connect = Connect {
            keep_alive_seconds: 1,
            ..hello(version, "silent")
        };
        let begun = Instant::now();
        let mut client = Mqtt::open(&node, &connect);
        std::thread::sleep(Duration::from_millis(900));
        client.ping();
        let pinged = Instant::now();
        assert_eq!(client.ended(), expected);
        let silent = pinged.elapsed();
        assert!(silent >= Duration::from_millis(1450), "{silent:?}");
        assert!(begun.elapsed() < Duration::from_secs(6));
    }
}

#[test]
fn limits_refuse_and_are_free_again() {
    let node = node();
    let of = LimitsOf::User("guest".into());
    let limit = Value::I64(1);
    node.broker
        .set_limit(of, "max-connections", &limit)
        .unwrap();
    let mut first = Mqtt::open(&node, &hello(Version::V5, "first"));
    for (version, expected) in [
        (Version::V5, ReasonCode::QuotaExceeded),
        (Version::V4, ReasonCode::ServerUnavailable),
    ] {
        let mut second = Mqtt::begin(&node, &hello(version, "second"));
        assert_eq!(second.connack(), (false, expected));
        assert_eq!(second.next(), None);
    }
    first.ping();
    let mut again = Mqtt::open(&node, &hello(Version::V5, "first"));
    assert_eq!(first.ended(), Some(ReasonCode::SessionTakenOver));
    again.ping();
    again.disconnect(ReasonCode::Success);
    eventually("it is gone", || node.broker.connection_count() == 0);
    Mqtt::open(&node, &hello(Version::V5, "second")).ping();
}

#[test]
fn clients_are_told_why_they_have_to_go() {
    let mut node = node();
    add_user(&node, "ann", &["/"]);
    let connect = Connect {
        user_name: Some("ann"),
        password: Some(b"ann"),
        ..hello(Version::V5, "ann")
    };
    let mut deleted = Mqtt::open(&node, &connect);
    node.broker.delete_user("ann").unwrap();
    assert_eq!(deleted.ended(), Some(ReasonCode::NotAuthorized));

    let mut closed = Mqtt::open(&node, &hello(Version::V5, "closed"));
    let infos = node.broker.connections();
    let info = infos.iter().find(|info| info.user == "guest").unwrap();
    info.probe.upgrade().unwrap().close("by hand");
    assert_eq!(closed.ended(), Some(ReasonCode::AdministrativeAction));

    let mut new = Mqtt::open(&node, &hello(Version::V5, "new"));
    let mut old = Mqtt::open(&node, &hello(Version::V4, "old"));
    let gateway = node.gateway.take().unwrap();
    node.runtime.block_on(gateway.shutdown());
    assert_eq!(new.ended(), Some(ReasonCode::ServerShuttingDown));
    assert_eq!(old.ended(), None);
}

#[test]
fn a_session_that_was_not_wanted_can_not_be_kept_at_the_end() {
    let node = node();
    for (asked, said, expected) in [
        (0, 60, Some(ReasonCode::ProtocolError)),
        (60, 30, None),
        (60, 0, None),
        (0, 0, None),
    ] {
        let (mut block, mut last) = (Vec::new(), Vec::new());
        let properties = write_properties(&mut block, |writer| {
            writer.session_expiry(asked);
        });
        let connect = Connect {
            properties,
            ..hello(Version::V5, "c")
        };
        let mut client = Mqtt::open(&node, &connect);
        let properties = write_properties(&mut last, |writer| {
            writer.session_expiry(said);
        });
        client.send(&Packet::Disconnect(mqtt::Disconnect {
            reason: ReasonCode::Success,
            properties,
        }));
        assert_eq!(client.ended(), expected, "{asked} {said}");
    }
}

#[test]
fn a_session_is_present_only_if_it_was_kept() {
    let node = node();
    let (mut block, none) = (Vec::new(), mqtt::Properties::EMPTY);
    let kept = write_properties(&mut block, |writer| {
        writer.session_expiry(60);
    });
    for (clean_start, properties, expected) in [
        (false, kept, false),
        (false, kept, true),
        (true, kept, false),
        (false, none, true),
        (false, none, false),
    ] {
        let connect = Connect {
            clean_start,
            properties,
            ..hello(Version::V5, "c")
        };
        let mut client = Mqtt::begin(&node, &connect);
        assert_eq!(client.connack(), (expected, ReasonCode::Success));
        client.disconnect(ReasonCode::Success);
        eventually("it is gone", || node.broker.connection_count() == 0);
    }
}

#[test]
fn a_storm_of_clients_is_let_in() {
    let node = node();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let node = &node;
            scope.spawn(move || {
                let mut clients: Vec<_> = (0..50)
                    .map(|number| {
                        let client_id = format!("{thread}-{number}");
                        Mqtt::begin(node, &hello(Version::V4, &client_id))
                    })
                    .collect();
                for client in &mut clients {
                    assert_eq!(client.connack(), (false, ReasonCode::Success));
                    client.ping();
                }
            });
        }
    });
    eventually("all are gone", || node.broker.connection_count() == 0);
}
