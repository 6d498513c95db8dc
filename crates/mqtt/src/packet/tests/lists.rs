//! SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.

use super::*;
use crate::version::Qos;

const QOS_1: SubscribeOptions = SubscribeOptions {
    qos: Qos::AtLeastOnce,
    no_local: false,
    retain_as_published: false,
    retain_handling: RetainHandling::Send,
};

const ALL: SubscribeOptions = SubscribeOptions {
    qos: Qos::ExactlyOnce,
    no_local: true,
    retain_as_published: true,
    retain_handling: RetainHandling::DoNotSend,
};

#[test]
fn subscribes_are_read() {
    let wanted = |options| {
        [
            ("a/+", QOS_1),
            ("$share/g/#", SubscribeOptions::default()),
            ("b", options),
        ]
        .map(|(filter, options)| Subscription { filter, options })
    };
    let in_3 = packet(0x82, b"\0\x07\0\x03a/+\x01\0\x0A$share/g/#\0\0\x01b\x02");
    let in_5 = packet(
        0x82,
        b"\0\x07\x02\x0B\x09\0\x03a/+\x01\0\x0A$share/g/#\0\0\x01b\x2E",
    );
    let qos_2 = SubscribeOptions {
        qos: Qos::ExactlyOnce,
        ..SubscribeOptions::default()
    };
    for (bytes, version, options, block) in [
        (&in_3, Version::V3, qos_2, &[][..]),
        (&in_3, Version::V4, qos_2, &[]),
        (&in_5, Version::V5, ALL, &[0x0B, 9]),
    ] {
        let mut list = Vec::new();
        let expected = Subscribe {
            packet_id: 7,
            properties: Properties::from_checked(block),
            filters: FilterList::write(&mut list, wanted(options)),
        };
        assert!(expected.filters.iter().eq(wanted(options)));
        assert_same(client, bytes, version, Packet::Subscribe(expected));
    }
    // Options of MQTT 5 are not written for MQTT 3.
    let mut list = Vec::new();
    let subscribe = Subscribe {
        packet_id: 7,
        properties: Properties::from_checked(&[0x0B, 9]),
        filters: FilterList::write(&mut list, wanted(ALL)),
    };
    let mut out = Vec::new();
    subscribe.write(&mut out, Version::V4);
    assert_eq!(out, in_3);
}

#[test]
fn options_are_a_byte() {
    let known = (0..=u8::MAX).filter(|byte| {
        let options = SubscribeOptions::from_byte(*byte);
        options.is_some_and(|options| options.byte() == *byte)
    });
    assert_eq!(known.count(), 3 * 2 * 2 * 3);
    assert_eq!(SubscribeOptions::from_byte(0x2E), Some(ALL));
    for byte in [3, 0x30, 0x40, 0x80] {
        assert_eq!(SubscribeOptions::from_byte(byte), None);
    }
}

/// A SUBSCRIBE with id 1, no properties and these filters and options.
fn subscribe(version: Version, payload: &[u8]) -> Vec<u8> {
    let head: &[u8] = if version.is_5() { &[0, 1, 0] } else { &[0, 1] };
    packet(0x82, &[head, payload].concat())
}

#[test]
fn bad_filters_are_refused_in_every_version() {
    use ErrorKind as Kind;
    let short = (Kind::Truncated, MALFORMED, "MQTT-4.13.1-1");
    let text = (Kind::BadText, MALFORMED, "MQTT-3.8.3-1");
    let filter = |statement| {
        (
            Kind::BadTopicFilter,
            ReasonCode::TopicFilterInvalid,
            statement,
        )
    };
    for (payload, expected) in [
        (&b""[..], (Kind::EmptyList, PROTOCOL, "MQTT-3.8.3-2")),
        (b"\0", short),
        (b"\0\x02a", short),
        (b"\0\x01a", short),
        (b"\0\x01a\0\0\x01b", short),
        (b"\0\x01\xFF\0", text),
        (b"\0\x01\0\0", text),
        (b"\0\0\0", filter("MQTT-4.7.3-1")),
        (b"\0\x02a#\0", filter("MQTT-4.7.1-1")),
        (b"\0\x02+a\0", filter("MQTT-4.7.1-2")),
    ] {
        for version in [Version::V3, Version::V4, Version::V5] {
            let bytes = subscribe(version, payload);
            assert_refused(client(&bytes, version), expected, &bytes);
        }
    }
    let bytes = packet(0x82, b"\0\0\0\0\x01a\0");
    let expected = (Kind::PacketIdZero, MALFORMED, "MQTT-2.2.1-3");
    assert_refused(client(&bytes, Version::V5), expected, &bytes);
}

#[test]
fn options_of_mqtt_3_are_the_quality_alone() {
    use ErrorKind as Kind;
    for (options, kind) in [
        (0x03, Kind::BadQos),
        (0x04, Kind::BadOptions),
        (0x80, Kind::BadOptions),
    ] {
        for version in [Version::V3, Version::V4] {
            let bytes = subscribe(version, &[0, 1, b'a', options]);
            let expected = (kind, MALFORMED, "MQTT-3.8.3-4 (3.1.1)");
            assert_refused(client(&bytes, version), expected, &bytes);
        }
    }
}

#[test]
fn options_and_shares_of_mqtt_5_are_checked() {
    use ErrorKind as Kind;
    let share = |statement| (Kind::BadShare, ReasonCode::TopicFilterInvalid, statement);
    let reserved = (Kind::BadOptions, MALFORMED, "MQTT-3.8.3-5");
    for (payload, expected) in [
        (
            &b"\0\x01a\x03"[..],
            (Kind::BadQos, PROTOCOL, "MQTT-4.13.1-1"),
        ),
        (
            b"\0\x01a\x30",
            (Kind::BadOptions, PROTOCOL, "MQTT-4.13.1-1"),
        ),
        (b"\0\x01a\x40", reserved),
        (b"\0\x01a\x80", reserved),
        (b"\0\x09$share//a\0", share("MQTT-4.8.2-1")),
        (b"\0\x08$share/g\0", share("MQTT-4.8.2-2")),
        (b"\0\x0A$share/+/a\0", share("MQTT-4.8.2-2")),
        (
            b"\0\x0A$share/g/a\x04",
            (Kind::NoLocalShared, PROTOCOL, "MQTT-3.8.3-4"),
        ),
    ] {
        let bytes = subscribe(Version::V5, payload);
        assert_refused(client(&bytes, Version::V5), expected, &bytes);
    }
}

#[test]
fn filters_that_look_shared_are_plain_in_mqtt_3() {
    let bytes = packet(0x82, b"\0\x01\0\x09$share//a\0");
    assert!(client(&bytes, Version::V4).is_ok());
}

#[test]
fn subacks_are_read() {
    let granted = [
        ReasonCode::GrantedQos2,
        ReasonCode::Success,
        ReasonCode::UnspecifiedError,
    ];
    let mut list = Vec::new();
    let suback = Suback {
        packet_id: 9,
        properties: Properties::EMPTY,
        reasons: ReasonList::write(&mut list, granted),
    };
    assert!(suback.reasons.iter().eq(granted));
    assert_eq!(
        (suback.reasons.len(), suback.reasons.is_empty()),
        (3, false)
    );
    let packet_5 = packet(0x90, &[0, 9, 0, 2, 0, 0x80]);
    assert_same(server, &packet_5, Version::V5, Packet::Suback(suback));
    let packet_3 = packet(0x90, &[0, 9, 2, 0, 0x80]);
    assert_same(server, &packet_3, Version::V4, Packet::Suback(suback));
    // MQTT 3 has one failure.
    let mut list = Vec::new();
    let refused = [ReasonCode::GrantedQos1, ReasonCode::NotAuthorized];
    let suback = Suback {
        reasons: ReasonList::write(&mut list, refused),
        ..suback
    };
    let mut out = Vec::new();
    suback.write(&mut out, Version::V4);
    assert_eq!(out, packet(0x90, &[0, 9, 1, 0x80]));
}

#[test]
fn unsubscribes_and_unsubacks_are_read() {
    let filters = ["a/#", "$share/g/b"];
    let mut list = Vec::new();
    let unsubscribe = Unsubscribe {
        packet_id: 3,
        properties: Properties::EMPTY,
        filters: NameList::write(&mut list, filters),
    };
    assert!(unsubscribe.filters.iter().eq(filters));
    let expected = Packet::Unsubscribe(unsubscribe);
    let in_3 = packet(0xA2, b"\0\x03\0\x03a/#\0\x0A$share/g/b");
    assert_same(client, &in_3, Version::V4, expected);
    let in_5 = packet(0xA2, b"\0\x03\0\0\x03a/#\0\x0A$share/g/b");
    assert_same(client, &in_5, Version::V5, expected);

    let codes = [ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    let mut list = Vec::new();
    let unsuback = Unsuback {
        packet_id: 3,
        properties: Properties::EMPTY,
        reasons: ReasonList::write(&mut list, codes),
    };
    let bytes = packet(0xB0, &[0, 3, 0, 0, 0x11]);
    assert_same(server, &bytes, Version::V5, Packet::Unsuback(unsuback));
    let mut out = Vec::new();
    unsuback.write(&mut out, Version::V4);
    assert_eq!(out, [0xB0, 2, 0, 3]);
    let without = Unsuback {
        reasons: ReasonList::default(),
        ..unsuback
    };
    assert_same(server, &out, Version::V4, Packet::Unsuback(without));
}

#[test]
fn bad_unsubscribes_are_refused() {
    use ErrorKind as Kind;
    let filter = ReasonCode::TopicFilterInvalid;
    for (body, expected) in [
        (
            &b"\0\x01\0"[..],
            (Kind::EmptyList, PROTOCOL, "MQTT-3.10.3-2"),
        ),
        (
            b"\0\0\0\0\x01a",
            (Kind::PacketIdZero, MALFORMED, "MQTT-2.2.1-3"),
        ),
        (
            b"\0\x01\0\0\x02a",
            (Kind::Truncated, MALFORMED, "MQTT-4.13.1-1"),
        ),
        (
            b"\0\x01\0\0\x01\xFF",
            (Kind::BadText, MALFORMED, "MQTT-3.10.3-1"),
        ),
        (
            b"\0\x01\0\0\x02a#",
            (Kind::BadTopicFilter, filter, "MQTT-4.7.1-1"),
        ),
        (
            b"\0\x01\0\0\x08$share/g",
            (Kind::BadShare, filter, "MQTT-4.8.2-2"),
        ),
    ] {
        let bytes = packet(0xA2, body);
        assert_refused(client(&bytes, Version::V5), expected, &bytes);
    }
    let bytes = packet(0xA2, b"\0\x01");
    let expected = (Kind::EmptyList, PROTOCOL, "MQTT-3.10.3-2");
    assert_refused(client(&bytes, Version::V4), expected, &bytes);
}

#[test]
fn bad_answers_to_lists_are_refused() {
    use ErrorKind as Kind;
    let trailing = (Kind::Trailing, MALFORMED, "MQTT-4.13.1-1");
    for (first, body, version, expected) in [
        (
            0x90,
            &[0, 1, 0][..],
            Version::V5,
            (Kind::EmptyList, PROTOCOL, "MQTT-4.13.1-1"),
        ),
        (
            0x90,
            &[0, 1],
            Version::V4,
            (Kind::EmptyList, PROTOCOL, "MQTT-4.13.1-1"),
        ),
        (
            0x90,
            &[0, 1, 0, 3],
            Version::V5,
            (Kind::BadReason(3), PROTOCOL, "MQTT-3.9.3-2"),
        ),
        (
            0x90,
            &[0, 1, 0x87],
            Version::V4,
            (Kind::BadReason(0x87), PROTOCOL, "MQTT-3.9.3-2"),
        ),
        (
            0xB0,
            &[0, 1, 0, 1],
            Version::V5,
            (Kind::BadReason(1), PROTOCOL, "MQTT-3.11.3-2"),
        ),
        (
            0xB0,
            &[0, 1, 0],
            Version::V5,
            (Kind::EmptyList, PROTOCOL, "MQTT-4.13.1-1"),
        ),
        (0xB0, &[0, 1, 0], Version::V4, trailing),
    ] {
        let bytes = packet(first, body);
        assert_refused(server(&bytes, version), expected, &bytes);
    }
}
