//! The same bytes, read by another implementation: `mqtt-protocol-core`, which speaks MQTT 3.1.1
//! and 5. Shared by the differential test and the fuzz target.
//!
//! What both accept is read alike; what only one accepts is in one of two lists,
//! [`is_lenient_there`] and [`is_lenient_here`], with its reason.

use mqtt::{Connect, ErrorKind, Frame, Packet, PacketType, PropertyId, Version, frame};
use mqtt_protocol_core::mqtt::Arc;
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};

macro_rules! parse {
    ($module:ident, $frame:ident: $($name:ident),+) => {
        match $frame.packet_type {
            PacketType::Publish => {
                let parsed = $module::Publish::parse($frame.flags, Arc::from($frame.body));
                let (packet, size) = parsed.ok()?;
                (packet.to_continuous_buffer(), size)
            }
            $(PacketType::$name => {
                let (packet, size) = $module::$name::parse($frame.body).ok()?;
                (packet.to_continuous_buffer(), size)
            })+
            #[allow(unreachable_patterns)]
            _ => return None,
        }
    };
}

/// The packet as they write what they read; `None` if they refuse it.
pub fn theirs(frame: Frame<'_>, version: Version) -> Option<Vec<u8>> {
    let (bytes, size) = match version {
        Version::V3 => return None,
        Version::V4 => parse!(v3_1_1, frame: Connect, Connack, Puback, Pubrec, Pubrel, Pubcomp,
            Subscribe, Suback, Unsubscribe, Unsuback, Pingreq, Pingresp, Disconnect),
        Version::V5 => parse!(v5_0, frame: Connect, Connack, Puback, Pubrec, Pubrel, Pubcomp,
            Subscribe, Suback, Unsubscribe, Unsuback, Pingreq, Pingresp, Disconnect, Auth),
    };
    (size == frame.body.len()).then_some(bytes)
}

fn ours(
    frame: Frame<'_>,
    version: Version,
    from_client: bool,
) -> Result<Packet<'_>, mqtt::DecodeError> {
    match from_client {
        true => Packet::decode(frame, version),
        false => Packet::decode_from_server(frame, version),
    }
}

/// What they let through and we do not, each with its reason.
fn is_lenient_there(packet_type: PacketType, version: Version, kind: ErrorKind) -> bool {
    match kind {
        // Their packets have no side.
        ErrorKind::WrongSide => true,
        // They look at flags and length of the fixed header in a part that is not used here.
        ErrorKind::BadFlags | ErrorKind::BadVarint => true,
        // Strings are UTF-8 to them; NUL, control and non-characters they leave to others.
        ErrorKind::BadText => true,
        // Wildcards in names and filters, and shares: likewise.
        ErrorKind::BadShare | ErrorKind::NoLocalShared => true,
        ErrorKind::BadTopicName | ErrorKind::BadTopicFilter => true,
        ErrorKind::PropertyValue(PropertyId::ResponseTopic) => true,
        // Reserved flags and options they do not look at.
        ErrorKind::BadConnackFlags | ErrorKind::BadConnectFlags => true,
        ErrorKind::BadOptions => version == Version::V4,
        ErrorKind::BadQos => packet_type == PacketType::Connect,
        ErrorKind::DuplicateQos0 => true,
        // The packet id 0 they refuse in acknowledgements of a PUBLISH alone.
        ErrorKind::PacketIdZero => matches!(
            packet_type,
            PacketType::Publish
                | PacketType::Subscribe
                | PacketType::Suback
                | PacketType::Unsubscribe
                | PacketType::Unsuback
        ),
        // An empty client id asks for a clean session in MQTT 3.1.1; they leave it to others.
        ErrorKind::EmptyClientId => version == Version::V4,
        // Acknowledgements of MQTT 3.1.1 have no room for a reason; they read one all the same.
        ErrorKind::Trailing => {
            version == Version::V4
                && matches!(
                    packet_type,
                    PacketType::Puback
                        | PacketType::Pubrec
                        | PacketType::Pubrel
                        | PacketType::Pubcomp
                )
        }
        // A message that ends before the length of its properties has none, they say.
        ErrorKind::Truncated => packet_type == PacketType::Publish && version == Version::V5,
        // Nor do they ask for a topic or an alias of it.
        ErrorKind::PropertyMissing(PropertyId::TopicAlias) => packet_type == PacketType::Publish,
        // An AUTH, a CONNACK or a CONNECT of theirs may leave out the method.
        ErrorKind::PropertyMissing(PropertyId::AuthenticationMethod) => {
            let named = [PacketType::Auth, PacketType::Connack, PacketType::Connect];
            named.contains(&packet_type)
        }
        // Their packets have no side: what only the other may send is accepted.
        ErrorKind::BadReason(_) => {
            matches!(packet_type, PacketType::Disconnect | PacketType::Auth)
        }
        // SUBSCRIBE may have one Subscription Identifier (section 3.8.2.1.2); they read any number.
        ErrorKind::PropertyTwice(PropertyId::SubscriptionIdentifier) => {
            packet_type == PacketType::Subscribe
        }
        ErrorKind::PropertyNotAllowed(id) => matches!(
            (packet_type, id),
            (PacketType::Publish, PropertyId::SubscriptionIdentifier)
                | (PacketType::Disconnect, PropertyId::SessionExpiryInterval)
        ),
        _ => false,
    }
}

/// What we let through and they do not: in MQTT 5 a password needs no user name
/// (section 3.1.2.9).
fn is_lenient_here(packet: &Packet<'_>) -> bool {
    matches!(packet, Packet::Connect(connect)
        if connect.version.is_5() && connect.password.is_some() && connect.user_name.is_none())
}

/// A packet is read alike, or the difference has its reason.
pub fn compare(found: Frame<'_>, version: Version, from_client: bool) {
    let ours = |frame| ours(frame, version, from_client);
    match (ours(found), theirs(found, version)) {
        (Ok(packet), Some(theirs)) => {
            // Not as bytes: they keep a reason of success that could be left out.
            let theirs = frame(&theirs, u32::MAX)
                .expect("a packet")
                .expect("all of it");
            assert_eq!(ours(theirs), Ok(packet));
        }
        (Ok(packet), None) => assert!(is_lenient_here(&packet), "only we read {packet:?}"),
        (Err(error), Some(_)) => {
            let known = is_lenient_there(found.packet_type, version, error.kind);
            let packet_type = found.packet_type;
            assert!(
                known,
                "only they read {packet_type:?} of {version:?}: {error}"
            );
        }
        (Err(_), None) => {}
    }
}

/// Packets one after another, as either side's.
pub fn check_reference(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some(found)) = frame(rest, 1 << 20) {
        for version in [Version::V4, Version::V5] {
            // It says itself which version it is of.
            if found.packet_type == PacketType::Connect
                && Connect::version_of(found.body).is_ok_and(|own| own != version)
            {
                continue;
            }
            compare(found, version, true);
            compare(found, version, false);
        }
        rest = &rest[found.size..];
    }
}
