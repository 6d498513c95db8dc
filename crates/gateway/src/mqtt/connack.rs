//! CONNACK: what a client is told when it is let in, or not.
//!
//! Invariants
//! - What is not said is available: wildcards, subscription identifiers, shared subscriptions,
//!   retained messages, QoS 2.
//! - A client that is refused has no session present.
//! - Nothing goes out that is larger than the client takes.

use mqtt::{Connack, Packet, Properties, ReasonCode, Version, write_properties};

use super::common::Terms;
use super::connect::Refused;

/// What a client is told that was let in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Welcome<'a> {
    /// Whether there was a session.
    pub(crate) session_present: bool,
    /// What was agreed.
    pub(crate) terms: Terms,
    /// Seconds that the session is kept, if that is not what the client has asked for.
    pub(crate) expiry_s: Option<u32>,
    /// The keep-alive in seconds, if it is not the client's.
    pub(crate) keep_alive_s: Option<u16>,
    /// The client id, if the client had none.
    pub(crate) assigned: Option<&'a str>,
    /// How it has shown who it is, and the last word of that.
    pub(crate) method: Option<(&'a str, &'a [u8])>,
}

impl Welcome<'_> {
    fn properties<'b>(&self, block: &'b mut Vec<u8>) -> Properties<'b> {
        let terms = &self.terms;
        write_properties(block, |writer| {
            if let Some(expiry_s) = self.expiry_s {
                writer.session_expiry(expiry_s);
            }
            if terms.receive_max_in < u16::MAX {
                writer.receive_maximum(terms.receive_max_in);
            }
            writer.maximum_packet_size(terms.packet_bytes_max_in);
            if let Some(client_id) = self.assigned {
                writer.assigned_client_identifier(client_id);
            }
            if terms.alias_max_in > 0 {
                writer.topic_alias_maximum(terms.alias_max_in);
            }
            if let Some(seconds) = self.keep_alive_s {
                writer.server_keep_alive(seconds);
            }
            if let Some((method, data)) = self.method {
                writer.authentication_method(method);
                if !data.is_empty() {
                    writer.authentication_data(data);
                }
            }
        })
    }

    /// The packet; none if it is more than the client takes.
    pub(crate) fn write(&self, version: Version) -> Option<Vec<u8>> {
        let (mut block, mut out) = (Vec::new(), Vec::new());
        let packet = Packet::Connack(Connack {
            session_present: self.session_present,
            reason: ReasonCode::Success,
            properties: self.properties(&mut block),
        });
        let limit = self.terms.packet_bytes_max_out;
        let written = packet.write_within(&mut out, version, limit);
        written.is_ok().then_some(out)
    }
}

impl Refused {
    /// The packet that tells it; empty if nothing is told.
    pub(crate) fn write(&self) -> Vec<u8> {
        let (mut block, mut out) = (Vec::new(), Vec::new());
        let Some(version) = self.version else {
            return out;
        };
        let packet = Packet::Connack(Connack {
            properties: write_properties(&mut block, |writer| {
                writer.reason_string(&self.text);
            }),
            ..Connack::refusal(self.reason)
        });
        // One that takes not even this is told nothing: `out` stays empty.
        packet
            .write_within(&mut out, version, self.packet_bytes_max)
            .unwrap_or_default();
        out
    }
}

#[cfg(test)]
mod tests {
    use mqtt::Frame;

    use super::*;

    const TERMS: Terms = Terms {
        receive_max_out: 20,
        receive_max_in: 1024,
        packet_bytes_max_out: 1000,
        packet_bytes_max_in: 1 << 20,
        alias_max_out: 3,
        alias_max_in: 64,
        problem_information: true,
    };

    const WELCOME: Welcome<'static> = Welcome {
        session_present: true,
        terms: TERMS,
        expiry_s: None,
        keep_alive_s: None,
        assigned: None,
        method: None,
    };

    fn read(bytes: &[u8], version: Version) -> Connack<'_> {
        let frame: Frame<'_> = mqtt::frame(bytes, u32::MAX).unwrap().unwrap();
        match Packet::decode_from_server(frame, version).unwrap() {
            Packet::Connack(connack) => connack,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_client_is_told_what_holds_and_what_it_did_not_ask_for() {
        let bytes = WELCOME.write(Version::V5).unwrap();
        let connack = read(&bytes, Version::V5);
        let properties = connack.properties;
        assert!(connack.session_present);
        assert_eq!(properties.receive_maximum(), Some(1024));
        assert_eq!(properties.maximum_packet_size(), Some(1 << 20));
        assert_eq!(properties.topic_alias_maximum(), Some(64));
        assert_eq!(properties.session_expiry(), None);
        assert_eq!(properties.server_keep_alive(), None);
        assert_eq!(properties.assigned_client_identifier(), None);
        assert_eq!(properties.retain_available(), None);
        assert_eq!(properties.maximum_qos(), None);
        let welcome = Welcome {
            session_present: false,
            expiry_s: Some(60),
            keep_alive_s: Some(30),
            assigned: Some("auto-1"),
            method: Some(("SCRAM-SHA-256", b"v=x")),
            terms: Terms {
                receive_max_in: u16::MAX,
                alias_max_in: 0,
                ..TERMS
            },
        };
        let bytes = welcome.write(Version::V5).unwrap();
        let connack = read(&bytes, Version::V5);
        let properties = connack.properties;
        assert!(!connack.session_present);
        assert_eq!(properties.session_expiry(), Some(60));
        assert_eq!(properties.server_keep_alive(), Some(30));
        assert_eq!(properties.assigned_client_identifier(), Some("auto-1"));
        assert_eq!(properties.authentication_method(), Some("SCRAM-SHA-256"));
        assert_eq!(properties.authentication_data(), Some(&b"v=x"[..]));
        assert_eq!(
            properties.receive_maximum(),
            None,
            "65,535 goes without saying"
        );
        assert_eq!(
            properties.topic_alias_maximum(),
            None,
            "none goes without saying"
        );
    }

    #[test]
    fn what_is_said_has_the_form_of_the_version() {
        for (version, welcome) in [
            (Version::V3, [0x20, 2, 0, 0]),
            (Version::V4, [0x20, 2, 1, 0]),
        ] {
            assert_eq!(WELCOME.write(version).unwrap(), welcome, "{version:?}");
        }
        for (version, reason, expected) in [
            (
                Some(Version::V4),
                ReasonCode::NotAuthorized,
                &[0x20, 2, 0, 5][..],
            ),
            (
                Some(Version::V3),
                ReasonCode::BadUserNameOrPassword,
                &[0x20, 2, 0, 4],
            ),
            (
                Some(Version::V4),
                ReasonCode::QuotaExceeded,
                &[0x20, 2, 0, 3],
            ),
            (
                Some(Version::V5),
                ReasonCode::NotAuthorized,
                &[0x20, 8, 0, 0x87, 5, 0x1F, 0, 2, b'n', b'o'],
            ),
            (None, ReasonCode::ProtocolError, &[]),
        ] {
            let refused = Refused {
                version,
                packet_bytes_max: u32::MAX,
                reason,
                text: "no".into(),
            };
            assert_eq!(refused.write(), expected, "{version:?} {reason}");
        }
    }

    #[test]
    fn nothing_is_larger_than_the_client_takes() {
        let limit = |packet_bytes_max_out| Terms {
            packet_bytes_max_out,
            ..TERMS
        };
        let welcome = Welcome {
            terms: limit(8),
            ..WELCOME
        };
        assert_eq!(welcome.write(Version::V5), None);
        let refused = |packet_bytes_max| Refused {
            version: Some(Version::V5),
            packet_bytes_max,
            reason: ReasonCode::NotAuthorized,
            text: "far too long".into(),
        };
        assert_eq!(
            refused(8).write(),
            [0x20, 3, 0, 0x87, 0],
            "without the reason string"
        );
        assert!(refused(4).write().is_empty());
    }
}
