//! Every property: where it may be, how often, which values, and its getter.

use super::*;
use crate::error::ErrorKind;
use crate::reason::ReasonCode;
use crate::wire::VARINT_MAX;

const PLACES: [For; 12] = [
    For::Connect,
    For::Will,
    For::Connack,
    For::Publish,
    For::Delivery,
    For::PublishAck,
    For::Subscribe,
    For::SubscribeAck,
    For::Unsubscribe,
    For::Disconnect,
    For::ServerDisconnect,
    For::Auth,
];

/// A property with a value that is right.
fn sample(id: PropertyId) -> Vec<u8> {
    let value: &[u8] = match id.shape() {
        Shape::Flag | Shape::Byte | Shape::Varint => &[1],
        Shape::Two => &[0, 1],
        Shape::Four => &[0, 0, 0, 1],
        Shape::Text | Shape::Blob => &[0, 1, b'a'],
        Shape::Pair => &[0, 1, b'a', 0, 1, b'b'],
    };
    [&[id as u8], value].concat()
}

/// A block with this property, and the authentication method where one must be.
fn block(id: PropertyId, place: For) -> Vec<u8> {
    let method = PropertyId::AuthenticationMethod;
    let needs = place == For::Auth || id == PropertyId::AuthenticationData;
    let mut bytes = sample(id);
    if needs && id != method && method.is_allowed(place) {
        bytes.extend(sample(method));
    }
    bytes
}

#[test]
fn properties_are_allowed_where_the_specification_has_them() {
    // A letter for each place, in the order of `PLACES`.
    for (id, letters) in [
        (0x01, ".w.pd......."),
        (0x02, ".w.pd......."),
        (0x03, ".w.pd......."),
        (0x08, ".w.pd......."),
        (0x09, ".w.pd......."),
        (0x0B, "....d.s....."),
        (0x11, "c.k......e.."),
        (0x12, "..k........."),
        (0x13, "..k........."),
        (0x15, "c.k........a"),
        (0x16, "c.k........a"),
        (0x17, "c..........."),
        (0x18, ".w.........."),
        (0x19, "c..........."),
        (0x1A, "..k........."),
        (0x1C, "..k......ef."),
        (0x1F, "..k..b.u.efa"),
        (0x21, "c.k........."),
        (0x22, "c.k........."),
        (0x23, "...pd......."),
        (0x24, "..k........."),
        (0x25, "..k........."),
        (0x26, "cwkpdbsuxefa"),
        (0x27, "c.k........."),
        (0x28, "..k........."),
        (0x29, "..k........."),
        (0x2A, "..k........."),
    ] {
        let id = PropertyId::from_number(id).unwrap();
        for (place, letter) in PLACES.into_iter().zip(letters.chars()) {
            let bytes = block(id, place);
            let found = Properties::parse(&bytes, place);
            assert_eq!(
                found.is_ok(),
                letter != '.',
                "{id:?} for {place:?}: {found:?}"
            );
            if let Err(error) = found {
                assert_eq!(error.kind, ErrorKind::PropertyNotAllowed(id));
                let (reason, statement) = match (id, place) {
                    (PropertyId::SubscriptionIdentifier, For::Publish) => {
                        (ReasonCode::ProtocolError, "MQTT-3.3.4-6")
                    }
                    (PropertyId::SessionExpiryInterval, For::ServerDisconnect) => {
                        (ReasonCode::ProtocolError, "MQTT-3.14.2-2")
                    }
                    _ => (ReasonCode::MalformedPacket, "MQTT-4.13.1-1"),
                };
                assert_eq!((error.reason, error.statement), (reason, statement));
            }
        }
    }
    assert_eq!(PropertyId::ALL.len(), 27);
}

#[test]
fn only_user_properties_and_ids_of_deliveries_repeat() {
    for id in PropertyId::ALL.iter().copied() {
        for place in PLACES.into_iter().filter(|place| id.is_allowed(*place)) {
            let twice = [block(id, place), sample(id)].concat();
            let found = Properties::parse(&twice, place).err();
            let is_id = id == PropertyId::SubscriptionIdentifier && place == For::Delivery;
            if id == PropertyId::UserProperty || is_id {
                assert_eq!(found, None, "{id:?} for {place:?}");
            } else {
                let error = found.unwrap();
                assert_eq!(error.kind, ErrorKind::PropertyTwice(id), "{place:?}");
                assert_eq!(error.reason, ReasonCode::ProtocolError);
            }
        }
    }
}

#[test]
fn numbers_that_a_property_can_not_have_are_refused() {
    use PropertyId as Id;
    for (bytes, place, id) in [
        (&[0x01, 2][..], For::Publish, Id::PayloadFormatIndicator),
        (&[0x17, 2], For::Connect, Id::RequestProblemInformation),
        (&[0x19, 255], For::Connect, Id::RequestResponseInformation),
        (&[0x24, 2], For::Connack, Id::MaximumQos),
        (&[0x25, 2], For::Connack, Id::RetainAvailable),
        (&[0x28, 2], For::Connack, Id::WildcardSubscriptionAvailable),
        (
            &[0x29, 2],
            For::Connack,
            Id::SubscriptionIdentifierAvailable,
        ),
        (&[0x2A, 2], For::Connack, Id::SharedSubscriptionAvailable),
        (&[0x21, 0, 0], For::Connect, Id::ReceiveMaximum),
        (&[0x27, 0, 0, 0, 0], For::Connect, Id::MaximumPacketSize),
        (&[0x0B, 0], For::Subscribe, Id::SubscriptionIdentifier),
        (&[0x0B, 0], For::Delivery, Id::SubscriptionIdentifier),
    ] {
        let expected = DecodeError::protocol(ErrorKind::PropertyValue(id), "MQTT-4.13.1-1");
        assert_eq!(
            Properties::parse(bytes, place),
            Err(expected),
            "{bytes:02X?}"
        );
    }
    let expected = DecodeError::new(
        ErrorKind::PropertyValue(Id::TopicAlias),
        ReasonCode::TopicAliasInvalid,
        "MQTT-3.3.2-8",
    );
    assert_eq!(
        Properties::parse(&[0x23, 0, 0], For::Publish),
        Err(expected)
    );
}

#[test]
fn strings_that_a_property_can_not_have_are_refused() {
    for (bytes, statement) in [
        (&[0x08, 0, 1, 0xFF][..], "MQTT-3.3.2-13"),
        (&[0x03, 0, 1, 0xFF], "MQTT-3.3.2-19"),
        (&[0x03, 0, 1, 0], "MQTT-3.3.2-19"),
        (&[0x26, 0, 1, 0xFF, 0, 0], "MQTT-1.5.7-1"),
        (&[0x26, 0, 0, 0, 1, 0], "MQTT-1.5.7-1"),
    ] {
        for place in [For::Publish, For::Will, For::Delivery] {
            let expected = DecodeError::malformed(ErrorKind::BadText, statement);
            assert_eq!(
                Properties::parse(bytes, place),
                Err(expected),
                "{bytes:02X?}"
            );
        }
    }
    let expected = DecodeError::malformed(ErrorKind::BadText, "MQTT-1.5.4-1");
    let reason_string = &[0x1F, 0, 1, 0xFF];
    assert_eq!(
        Properties::parse(reason_string, For::PublishAck),
        Err(expected)
    );
    for bytes in [
        &[0x08, 0, 1, b'#'][..],
        &[0x08, 0, 2, b'/', b'+'],
        &[0x08, 0, 0],
    ] {
        let kind = ErrorKind::PropertyValue(PropertyId::ResponseTopic);
        let expected = DecodeError::protocol(kind, "MQTT-3.3.2-14");
        assert_eq!(
            Properties::parse(bytes, For::Publish),
            Err(expected),
            "{bytes:02X?}"
        );
    }
}

#[test]
fn authentication_needs_a_method() {
    let kind = ErrorKind::PropertyMissing(PropertyId::AuthenticationMethod);
    let expected = DecodeError::protocol(kind, "MQTT-4.12.0-5");
    for (bytes, place) in [
        (&[0x16, 0, 0][..], For::Connect),
        (&[0x16, 0, 0], For::Connack),
        (&[0x16, 0, 0], For::Auth),
        (&[], For::Auth),
    ] {
        assert_eq!(Properties::parse(bytes, place), Err(expected), "{place:?}");
    }
}

#[test]
fn ids_and_numbers_that_do_not_exist_are_malformed() {
    for (bytes, kind, statement) in [
        (&[0x00][..], ErrorKind::UnknownProperty(0), "MQTT-4.13.1-1"),
        (&[0x04, 0], ErrorKind::UnknownProperty(4), "MQTT-4.13.1-1"),
        (
            &[0x2B, 0],
            ErrorKind::UnknownProperty(0x2B),
            "MQTT-4.13.1-1",
        ),
        (
            &[0xFF, 0x7F],
            ErrorKind::UnknownProperty(16_383),
            "MQTT-4.13.1-1",
        ),
        (&[0x81, 0x00, 1], ErrorKind::BadVarint, "MQTT-1.5.5-1"),
        (&[0x0B, 0x81, 0x00], ErrorKind::BadVarint, "MQTT-1.5.5-1"),
        (
            &[0x0B, 0xFF, 0xFF, 0xFF, 0xFF],
            ErrorKind::BadVarint,
            "MQTT-1.5.5-1",
        ),
    ] {
        let expected = DecodeError::malformed(kind, statement);
        assert_eq!(
            Properties::parse(bytes, For::Subscribe),
            Err(expected),
            "{bytes:02X?}"
        );
    }
}

#[test]
fn a_block_that_ends_within_a_property_is_malformed() {
    for id in PropertyId::ALL.iter().copied() {
        let bytes = sample(id);
        let place = PLACES
            .into_iter()
            .find(|place| id.is_allowed(*place))
            .unwrap();
        for end in 1..bytes.len() {
            let error = Properties::parse(&bytes[..end], place).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Truncated, "{id:?}, {end} bytes");
            assert_eq!(error.reason, ReasonCode::MalformedPacket);
        }
    }
}

#[test]
fn a_getter_gives_what_was_written() {
    let mut block = Vec::new();
    let message = write_properties(&mut block, |w| {
        w.payload_format(true)
            .message_expiry(u32::MAX)
            .content_type("text/plain")
            .response_topic("answers/7")
            .correlation_data(&[0, 255])
            .topic_alias(9)
            .user("b", "1")
            .subscription_identifier(VARINT_MAX)
            .user("a", "é")
            .subscription_identifier(1)
            .user("b", "");
    });
    let message = Properties::parse(message.as_bytes(), For::Delivery).unwrap();
    assert_eq!(message.payload_format(), Some(true));
    assert_eq!(message.message_expiry(), Some(u32::MAX));
    assert_eq!(message.content_type(), Some("text/plain"));
    assert_eq!(message.response_topic(), Some("answers/7"));
    assert_eq!(message.correlation_data(), Some(&[0, 255][..]));
    assert_eq!(message.topic_alias(), Some(9));
    let ids: Vec<_> = message.subscription_identifiers().collect();
    assert_eq!(ids, [VARINT_MAX, 1]);
    let user: Vec<_> = message.user_properties().collect();
    assert_eq!(user, [("b", "1"), ("a", "é"), ("b", "")]);
    assert_eq!(
        (message.session_expiry(), message.reason_string()),
        (None, None)
    );

    let mut block = Vec::new();
    let connect = write_properties(&mut block, |w| {
        w.session_expiry(5)
            .receive_maximum(10)
            .maximum_packet_size(1000)
            .topic_alias_maximum(0)
            .request_response_information(true)
            .request_problem_information(false)
            .authentication_method("SCRAM-SHA-256")
            .authentication_data(b"n,,n=u");
    });
    let connect = Properties::parse(connect.as_bytes(), For::Connect).unwrap();
    assert_eq!(connect.session_expiry(), Some(5));
    assert_eq!(connect.receive_maximum(), Some(10));
    assert_eq!(connect.maximum_packet_size(), Some(1000));
    assert_eq!(connect.topic_alias_maximum(), Some(0));
    assert_eq!(connect.request_response_information(), Some(true));
    assert_eq!(connect.request_problem_information(), Some(false));
    assert_eq!(connect.authentication_method(), Some("SCRAM-SHA-256"));
    assert_eq!(connect.authentication_data(), Some(&b"n,,n=u"[..]));
    assert_eq!(connect.user_properties().count(), 0);
    assert_eq!(connect.subscription_identifiers().count(), 0);
}

#[test]
fn a_getter_gives_what_a_server_wrote() {
    let mut block = Vec::new();
    let connack = write_properties(&mut block, |w| {
        w.assigned_client_identifier("auto-1")
            .server_keep_alive(60)
            .maximum_qos(true)
            .retain_available(false)
            .wildcard_subscription_available(true)
            .subscription_identifier_available(true)
            .shared_subscription_available(false)
            .response_information("answers/")
            .server_reference("other:1883")
            .reason_string("busy");
    });
    let connack = Properties::parse(connack.as_bytes(), For::Connack).unwrap();
    assert_eq!(connack.assigned_client_identifier(), Some("auto-1"));
    assert_eq!(connack.server_keep_alive(), Some(60));
    assert_eq!(connack.maximum_qos(), Some(true));
    assert_eq!(connack.retain_available(), Some(false));
    assert_eq!(connack.wildcard_subscription_available(), Some(true));
    assert_eq!(connack.subscription_identifier_available(), Some(true));
    assert_eq!(connack.shared_subscription_available(), Some(false));
    assert_eq!(connack.response_information(), Some("answers/"));
    assert_eq!(connack.server_reference(), Some("other:1883"));
    assert_eq!(connack.reason_string(), Some("busy"));

    let mut block = Vec::new();
    let will = write_properties(&mut block, |w| {
        w.will_delay(3);
    });
    let will = Properties::parse(will.as_bytes(), For::Will).unwrap();
    assert_eq!(will.will_delay(), Some(3));
}

#[test]
fn what_can_not_be_a_property_is_left_out() {
    let long = "a".repeat(65_536);
    let mut block = Vec::new();
    let found = write_properties(&mut block, |w| {
        w.content_type(&long)
            .content_type("nul\0")
            .correlation_data(long.as_bytes())
            .user(&long, "")
            .user("", "line\n")
            .topic_alias(0)
            .receive_maximum(0)
            .maximum_packet_size(0)
            .subscription_identifier(0)
            .subscription_identifier(VARINT_MAX + 1);
    });
    assert!(found.is_empty());
}

#[test]
fn a_copy_leaves_out_what_is_named() {
    let mut block = Vec::new();
    let all = write_properties(&mut block, |w| {
        w.user("a", "1")
            .topic_alias(3)
            .content_type("x")
            .user("b", "2");
    });
    let mut kept = b"before".to_vec();
    let kept = write_properties(&mut kept, |w| {
        w.copy(all, &[PropertyId::TopicAlias, PropertyId::ContentType]);
    });
    assert_eq!((kept.topic_alias(), kept.content_type()), (None, None));
    let user: Vec<_> = kept.user_properties().collect();
    assert_eq!(user, [("a", "1"), ("b", "2")]);
    let mut same = Vec::new();
    let same = write_properties(&mut same, |w| {
        w.copy(all, &[PropertyId::MessageExpiryInterval]);
    });
    assert_eq!(same, all);
}

#[test]
fn bytes_that_were_never_checked_show_what_comes_before_the_wrong_ones() {
    for bytes in [
        &[0x01, 1, 0x02, 0][..],
        &[0x01, 1, 0xFF],
        &[0x01, 1, 0x03, 0, 9, b'a'],
        &[0x01, 1, 0x03, 0, 1, 0xFF],
        &[0x01, 1, 0x26, 0, 1, 0xFF, 0, 0],
    ] {
        let found = Properties::from_checked(bytes);
        assert_eq!(found.payload_format(), Some(true), "{bytes:02X?}");
        assert_eq!((found.message_expiry(), found.content_type()), (None, None));
        assert_eq!(found.user_properties().count(), 0);
    }
}
