//! The same bytes, read by another implementation: `mqtt-protocol-core`, which speaks MQTT 3.1.1
//! and 5.
//!
//! What we write they write again as the same bytes; what both accept is read alike; what only one
//! accepts is in one of two lists, [`is_lenient_there`] and [`is_lenient_here`], with its reason.
#![allow(clippy::unwrap_used)]

mod generate;

use generate::Sample;
use mqtt::{ErrorKind, Frame, Packet, PacketType, PropertyId, Version, frame};
use mqtt_protocol_core::mqtt::Arc;
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use proptest::prelude::*;

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
fn theirs(frame: Frame<'_>, version: Version) -> Option<Vec<u8>> {
    let (bytes, size) = match version {
        Version::V3 => return None,
        Version::V4 => parse!(v3_1_1, frame: Connect, Connack, Puback, Pubrec, Pubrel, Pubcomp,
            Subscribe, Suback, Unsubscribe, Unsuback, Pingreq, Pingresp, Disconnect),
        Version::V5 => parse!(v5_0, frame: Connect, Connack, Puback, Pubrec, Pubrel, Pubcomp,
            Subscribe, Suback, Unsubscribe, Unsuback, Pingreq, Pingresp, Disconnect, Auth),
    };
    (size == frame.body.len()).then_some(bytes)
}

fn ours<'a>(frame: Frame<'a>, sample: &Sample) -> Result<Packet<'a>, mqtt::DecodeError> {
    match sample.from_client {
        true => Packet::decode(frame, sample.version),
        false => Packet::decode_from_server(frame, sample.version),
    }
}

/// What they let through and we do not, each with its reason.
fn is_lenient_there(packet_type: PacketType, version: Version, kind: ErrorKind) -> bool {
    match kind {
        // They look at flags and length of the fixed header in a part that is not used here.
        ErrorKind::BadFlags | ErrorKind::BadVarint => true,
        // Strings are UTF-8 to them; NUL, control and non-characters they leave to others.
        ErrorKind::BadText => true,
        // Wildcards in names and filters: likewise. Shares they do check.
        ErrorKind::BadTopicName | ErrorKind::BadTopicFilter => true,
        ErrorKind::PropertyValue(PropertyId::ResponseTopic) => true,
        // Reserved flags and options they do not look at.
        ErrorKind::BadConnackFlags | ErrorKind::BadConnectFlags => true,
        ErrorKind::BadOptions => version == Version::V4,
        ErrorKind::BadQos => packet_type == PacketType::Connect,
        ErrorKind::DuplicateQos0 => true,
        // A message that ends before the length of its properties has none, they say.
        ErrorKind::Truncated => packet_type == PacketType::Publish && version == Version::V5,
        // An AUTH of theirs may leave out its method.
        ErrorKind::PropertyMissing(PropertyId::AuthenticationMethod) => {
            packet_type == PacketType::Auth
        }
        // Their packets have no side: what only the other may send is accepted.
        ErrorKind::BadReason(_) => {
            matches!(packet_type, PacketType::Disconnect | PacketType::Auth)
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_we_write_they_read_alike(sample in generate::sample()) {
        if sample.version == Version::V3 {
            return Ok(());
        }
        let found = frame(&sample.bytes, u32::MAX).unwrap().unwrap();
        prop_assert_eq!(theirs(found, sample.version), Some(sample.bytes.clone()));
    }

    #[test]
    fn what_is_broken_we_refuse_if_they_do(
        sample in generate::sample(),
        at in any::<prop::sample::Index>(),
        change in prop_oneof![any::<u8>(), (0..8u8).prop_map(|bit| 1 << bit)],
    ) {
        if sample.version == Version::V3 {
            return Ok(());
        }
        let mut bytes = sample.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let Ok(Some(found)) = frame(&bytes, u32::MAX) else {
            return Ok(());
        };
        match (ours(found, &sample), theirs(found, sample.version)) {
            (Ok(packet), Some(theirs)) => {
                // Not as bytes: they keep a reason of success that could be left out.
                let theirs = frame(&theirs, u32::MAX).unwrap().unwrap();
                prop_assert_eq!(ours(theirs, &sample), Ok(packet));
            }
            (Ok(packet), None) => {
                prop_assert!(is_lenient_here(&packet), "only we read {:?}", packet);
            }
            (Err(error), Some(_)) => {
                let known = is_lenient_there(found.packet_type, sample.version, error.kind);
                prop_assert!(known, "only they read it: {}", error);
            }
            (Err(_), None) => {}
        }
    }
}
