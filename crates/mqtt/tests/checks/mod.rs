//! What must hold for any bytes at all. Shared by the corpus test and the fuzz targets.

use mqtt::{Forward, Frame, Packet, Properties, PropertyId, Publish, PublishHead, Version};
use mqtt::{frame, publish_bytes, topic, write_publish};

/// A side's way to read a packet.
type Read = fn(Frame<'_>, Version) -> Result<Packet<'_>, mqtt::DecodeError>;

const VERSIONS: [Version; 3] = [Version::V3, Version::V4, Version::V5];
const PACKET_BYTES_MAX: u32 = 1 << 20;

/// Packets one after another are read, as either side and in every version, or refused.
pub fn check_packets(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some(found)) = frame(rest, PACKET_BYTES_MAX) {
        assert!(found.size <= rest.len() && found.body.len() < found.size);
        for version in VERSIONS {
            check_packet(found, version, |found, version| {
                Packet::decode(found, version)
            });
            check_packet(found, version, |found, version| {
                Packet::decode_from_server(found, version)
            });
        }
        rest = &rest[found.size..];
    }
}

/// A packet that is read is the same after a second trip, and reads to the end of its lists.
fn check_packet(found: Frame<'_>, version: Version, read: Read) {
    let packet = match read(found, version) {
        Ok(packet) => packet,
        Err(error) => {
            assert!(error.reason.is_error() && !error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(packet.packet_type(), found.packet_type);
    let mut out = Vec::new();
    packet.write(&mut out, version).expect("it was no larger");
    // Shorter, if what says nothing was written out.
    assert!(out.len() <= found.size);
    let again = frame(&out, u32::MAX).expect("a packet").expect("all of it");
    assert_eq!(read(again, version), Ok(packet));
    let mut twice = Vec::new();
    packet.write(&mut twice, version).expect("as before");
    assert_eq!(twice, out);
    check_contents(&packet, version, found.body.len());
}

fn check_contents(packet: &Packet<'_>, version: Version, body_bytes: usize) {
    match packet {
        Packet::Publish(publish) => check_forward(publish, version),
        Packet::Connect(connect) => {
            check_properties(connect.properties);
            if let Some(will) = &connect.will {
                check_properties(will.properties);
                assert_eq!(topic::check_name(will.topic.as_bytes()), Ok(()));
            }
        }
        Packet::Connack(connack) => check_properties(connack.properties),
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter();
            let read: usize = filters.map(|found| 3 + found.filter.len()).sum();
            assert!(read > 0 && read <= body_bytes - 2);
            assert!(version.is_5() || read == body_bytes - 2);
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters.iter();
            let read: usize = filters.map(|filter| 2 + filter.len()).sum();
            assert!(read > 0 && read <= body_bytes - 2);
            assert!(version.is_5() || read == body_bytes - 2);
        }
        Packet::Suback(suback) => assert!(suback.reasons.iter().len() > 0),
        Packet::Unsuback(unsuback) => {
            assert_eq!(unsuback.reasons.iter().len() > 0, version.is_5());
        }
        Packet::Disconnect(disconnect) => check_properties(disconnect.properties),
        Packet::Auth(auth) => check_properties(auth.properties),
        _ => {}
    }
}

/// Every getter says what is there, and nothing else.
fn check_properties(properties: Properties<'_>) {
    assert_eq!(Properties::from_checked(properties.as_bytes()), properties);
    for (id, is_there) in [
        (
            PropertyId::PayloadFormatIndicator,
            properties.payload_format().is_some(),
        ),
        (
            PropertyId::MessageExpiryInterval,
            properties.message_expiry().is_some(),
        ),
        (PropertyId::ContentType, properties.content_type().is_some()),
        (
            PropertyId::ResponseTopic,
            properties.response_topic().is_some(),
        ),
        (
            PropertyId::CorrelationData,
            properties.correlation_data().is_some(),
        ),
        (
            PropertyId::SessionExpiryInterval,
            properties.session_expiry().is_some(),
        ),
        (
            PropertyId::AuthenticationMethod,
            properties.authentication_method().is_some(),
        ),
        (
            PropertyId::WillDelayInterval,
            properties.will_delay().is_some(),
        ),
        (
            PropertyId::ReceiveMaximum,
            properties.receive_maximum().is_some(),
        ),
        (PropertyId::TopicAlias, properties.topic_alias().is_some()),
        (
            PropertyId::UserProperty,
            properties.user_properties().next().is_some(),
        ),
        (
            PropertyId::SubscriptionIdentifier,
            properties.subscription_identifiers().next().is_some(),
        ),
    ] {
        assert_eq!(properties.has(id), is_there, "{id:?}");
    }
}

/// A message goes on with its own expiry and ids, and the rest as it was.
fn check_forward(publish: &Publish<'_>, version: Version) {
    check_properties(publish.properties);
    let _ = publish.payload_is_as_said();
    let topic = match publish.topic {
        b"" => b"known by its alias",
        topic => topic,
    };
    let head = PublishHead {
        topic,
        qos: publish.qos,
        packet_id: publish.packet_id,
        dup: publish.dup,
        retain: publish.retain,
    };
    let mut forward = Forward::of(publish.properties);
    forward.message_expiry = Some(9);
    forward.subscription_ids = &[1, 200];
    let mut out = Vec::new();
    write_publish(
        &mut out,
        version,
        &head,
        &forward,
        publish.payload,
        u32::MAX,
    )
    .expect("it is far below what MQTT allows");
    let bytes = publish_bytes(version, &head, &forward, publish.payload.len());
    assert_eq!(bytes, Some(out.len()));
    let sent = frame(&out, u32::MAX).expect("a packet").expect("all of it");
    let sent = Publish::decode_from_server(sent, version).expect("we wrote it");
    assert_eq!((sent.topic, sent.payload), (topic, publish.payload));
    if version.is_5() {
        assert_eq!(sent.properties.message_expiry(), Some(9));
        assert!(sent.properties.subscription_identifiers().eq([1, 200]));
        assert_eq!(sent.properties.topic_alias(), None);
        let (was, is) = (publish.properties, sent.properties);
        assert_eq!(was.content_type(), is.content_type());
        assert_eq!(was.correlation_data(), is.correlation_data());
        assert!(was.user_properties().eq(is.user_properties()));
    }
}

/// A filter, a line feed, a topic name: whether one matches the other is what it should be, and
/// what matches also matches as routing and binding key.
pub fn check_topic(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let filter = parts.next().unwrap_or_default();
    let name = parts.next().unwrap_or_default();
    let is_filter = topic::check_filter(filter).is_ok();
    let is_name = topic::check_name(name).is_ok();
    let matches = topic::matches(filter, name);
    if topic::check_filter_or_share(filter).is_ok() {
        assert!(is_filter);
    }
    if is_filter && let Some((group, rest)) = topic::shared(filter) {
        assert!(!group.is_empty() && topic::check_filter(rest).is_ok());
    }
    let mut key = Vec::new();
    topic::to_key(name, &mut key);
    let mut back = Vec::new();
    assert_eq!(topic::from_key(&key, &mut back), is_name);
    if is_name {
        assert_eq!(back, name);
    }
    if is_filter && is_name {
        let is_hidden = name[0] == b'$' && matches!(filter[0], b'+' | b'#');
        let expected = !is_hidden && levels_match(Some(filter), Some(name));
        assert_eq!(matches, expected);
        let mut pattern = Vec::new();
        topic::filter_to_key(filter, &mut pattern);
        assert!(!matches || key_matches(&pattern, &key));
    }
}

/// The rules of MQTT once more, another way: the first level, then what is left.
fn levels_match(filter: Option<&[u8]>, name: Option<&[u8]>) -> bool {
    let level = |text: &[u8]| text.iter().position(|byte| *byte == b'/');
    let first = |text| level(text).map_or(text, |end| &text[..end]);
    let rest = |text| level(text).map(|end| &text[end + 1..]);
    match (filter, name) {
        (None, None) => true,
        (Some(b"#"), _) => true,
        (Some(filter), Some(name)) => {
            let is_first = first(filter) == b"+" || first(filter) == first(name);
            is_first && levels_match(rest(filter), rest(name))
        }
        _ => false,
    }
}

/// The rules of AMQP topics, for patterns whose only `#` is the last word.
fn key_matches(pattern: &[u8], key: &[u8]) -> bool {
    let mut words = key.split(|byte| *byte == b'.');
    for wanted in pattern.split(|byte| *byte == b'.') {
        match (wanted, words.next()) {
            (b"#", _) => return true,
            (b"*", Some(_)) => {}
            (_, Some(word)) if word == wanted => {}
            _ => return false,
        }
    }
    words.next().is_none()
}
