//! The protocol header: the eight bytes a client opens a connection with.
//!
//! Invariant: whatever else those bytes are, [`REPLY`] is the answer that names what we speak.

/// Bytes of a protocol header.
pub const PROTOCOL_HEADER_BYTES: usize = 8;
/// What is sent, before closing, to a client that speaks something else.
pub const REPLY: [u8; PROTOCOL_HEADER_BYTES] = *b"AMQP\x00\x00\x09\x01";

/// What a client's first eight bytes ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolHeader {
    /// AMQP 0-9-1: `AMQP 0 0 9 1`.
    Amqp091,
    /// AMQP 0-9: `AMQP 1 1 0 9`. Spoken as 0-9-1; `connection.start` says 0-9 either way.
    Amqp09,
    /// AMQP 1.0, with a protocol id: 0 plain, 2 TLS, 3 SASL.
    Amqp10 {
        /// The byte after `AMQP`.
        protocol_id: u8,
    },
    /// `AMQP`, and a version we do not speak.
    OtherVersion([u8; 4]),
    /// A TLS client hello on a port without TLS.
    TlsHello,
    /// An HTTP request.
    Http,
    /// Anything else.
    Other,
}

impl ProtocolHeader {
    /// Reads the header; `None` while fewer than eight bytes are here.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<PROTOCOL_HEADER_BYTES>()?;
        Some(match *header {
            [b'A', b'M', b'Q', b'P', 0, 0, 9, 1] => Self::Amqp091,
            [b'A', b'M', b'Q', b'P', 1, 1, 0, 9] => Self::Amqp09,
            [b'A', b'M', b'Q', b'P', protocol_id, 1, 0, 0] => Self::Amqp10 { protocol_id },
            [b'A', b'M', b'Q', b'P', a, b, c, d] => Self::OtherVersion([a, b, c, d]),
            [b'G', b'E', b'T', b' ', ..] | [b'P', b'O', b'S', b'T', b' ', ..] => Self::Http,
            [0x16, 0x03, _, _, _, 0x01, ..] => Self::TlsHello,
            _ => Self::Other,
        })
    }

    /// Whether the connection goes on as 0-9-1.
    #[must_use]
    pub const fn is_091(self) -> bool {
        matches!(self, Self::Amqp091 | Self::Amqp09)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_091_and_09_are_spoken() {
        for (bytes, expected, spoken) in [
            (b"AMQP\x00\x00\x09\x01", ProtocolHeader::Amqp091, true),
            (b"AMQP\x01\x01\x00\x09", ProtocolHeader::Amqp09, true),
            (
                b"AMQP\x00\x01\x00\x00",
                ProtocolHeader::Amqp10 { protocol_id: 0 },
                false,
            ),
            (
                b"AMQP\x03\x01\x00\x00",
                ProtocolHeader::Amqp10 { protocol_id: 3 },
                false,
            ),
            (
                b"AMQP\x01\x01\x08\x00",
                ProtocolHeader::OtherVersion([1, 1, 8, 0]),
                false,
            ),
            (b"GET / HT", ProtocolHeader::Http, false),
            (
                b"\x16\x03\x01\x02\x00\x01\x00\x01",
                ProtocolHeader::TlsHello,
                false,
            ),
            (b"\x10\x1b\x00\x04MQTT", ProtocolHeader::Other, false),
        ] {
            let header = ProtocolHeader::parse(bytes).unwrap();
            assert_eq!((header, header.is_091()), (expected, spoken));
        }
        assert_eq!(ProtocolHeader::parse(b"AMQP\x00\x00\x09"), None);
    }
}
