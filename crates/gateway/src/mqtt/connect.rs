//! CONNECT: what a client says of itself and what it wants.
//!
//! Invariants
//! - Nothing but a CONNECT is looked at, and of it no more than [`CONNECT_BYTES_MAX`].
//! - What is refused is answered as its version wants it: with a CONNACK where there is one for
//!   that, else with the end of the connection.
//!
//! Not here: the rules of the packet by itself (`mqtt::Connect`), who the client is (`opening`).

use mqtt::frame::FIXED_HEADER_BYTES_MAX;
use mqtt::{Connect, DecodeError, ErrorKind, PacketType, ReasonCode, Version};

use super::will::Will;

/// Largest packet of a client that is not logged in, in bytes.
pub(crate) const CONNECT_BYTES_MAX: u32 = 64 << 10;

/// Longest client id, in bytes.
pub(crate) const CLIENT_ID_BYTES_MAX: usize = 1024;

/// What a client has said of itself.
pub(crate) struct Hello {
    /// Which MQTT it speaks.
    pub(crate) version: Version,
    /// Its name; empty if it is to be given one.
    pub(crate) client_id: String,
    /// Whether an old session is to be forgotten.
    pub(crate) clean_start: bool,
    /// Seconds that its session is to outlive the connection.
    pub(crate) expiry_s: u32,
    /// Seconds after which it sends something; 0 for never.
    pub(crate) keep_alive_s: u16,
    /// Publishes of QoS 1 and 2 that it takes at a time.
    pub(crate) receive_max: u16,
    /// Largest packet that it takes, in bytes.
    pub(crate) packet_bytes_max: u32,
    /// Topic aliases that it takes.
    pub(crate) alias_max: u16,
    /// Whether it wants to be told more than reason codes.
    pub(crate) problem_information: bool,
    /// The user that it names.
    pub(crate) user: Option<String>,
    /// Password, or token.
    pub(crate) password: Option<Box<[u8]>>,
    /// A method of authentication beyond these, and its message: the first of the client, or what
    /// is left to say when all is well.
    pub(crate) method: Option<(String, Vec<u8>)>,
    /// What is published when it is lost.
    pub(crate) will: Option<Will>,
}

/// A client that is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// In which version it is told; not at all if there is none.
    pub(crate) version: Option<Version>,
    /// Largest packet that the client takes, in bytes, as far as that is known.
    pub(crate) packet_bytes_max: u32,
    /// Why.
    pub(crate) reason: ReasonCode,
    /// The same for the log, and for clients that read it.
    pub(crate) text: String,
}

impl Refused {
    /// Says nothing.
    pub(crate) fn silently(reason: ReasonCode, text: impl Into<String>) -> Refused {
        Refused {
            version: None,
            packet_bytes_max: u32::MAX,
            reason,
            text: text.into(),
        }
    }
}

/// Reads a CONNECT off the front; none while more of it is to come.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Hello, usize)>, Refused> {
    let is_connect = |first: &u8| PacketType::from_first_byte(*first) == Some(PacketType::Connect);
    if !bytes.first().is_none_or(is_connect) {
        let text = "the first packet is not a CONNECT";
        return Err(Refused::silently(ReasonCode::ProtocolError, text));
    }
    let frame = match mqtt::frame(bytes, CONNECT_BYTES_MAX) {
        Ok(None) => return Ok(None),
        Ok(Some(frame)) => frame,
        Err(error) => return Err(refuse(&error, body_so_far(bytes))),
    };
    let connect = Connect::decode(frame).map_err(|error| refuse(&error, frame.body))?;
    let hello = Hello::of(&connect);
    let length = hello.client_id.len();
    if length > CLIENT_ID_BYTES_MAX {
        let text = format!("a client id of {length} bytes is longer than {CLIENT_ID_BYTES_MAX}");
        return Err(hello.refuse(ReasonCode::ClientIdentifierNotValid, text));
    }
    Ok(Some((hello, frame.size)))
}

/// What has come behind the fixed header.
fn body_so_far(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().skip(1).take(FIXED_HEADER_BYTES_MAX - 1);
    let more = length.take_while(|byte| **byte & 0x80 != 0).count();
    bytes.get(2 + more..).unwrap_or_default()
}

/// MQTT 3 has a word for two refusals of this kind; for all others it has the closed connection.
fn refuse(error: &DecodeError, body: &[u8]) -> Refused {
    let text = error.to_string();
    let version = match (Connect::version_of(body), error.kind) {
        (Ok(Version::V5), _) => Some(Version::V5),
        (Ok(version), ErrorKind::EmptyClientId) => Some(version),
        // Who is newer than what is spoken here reads the newest form.
        (Err(_), ErrorKind::UnsupportedLevel(level)) if level > Version::V5.level() => {
            Some(Version::V5)
        }
        (Err(_), ErrorKind::UnsupportedLevel(_)) => Some(Version::V4),
        _ => None,
    };
    Refused {
        version,
        packet_bytes_max: u32::MAX,
        reason: error.reason,
        text,
    }
}

impl Hello {
    fn of(connect: &Connect<'_>) -> Hello {
        let Connect {
            version,
            properties,
            ..
        } = *connect;
        let expiry_s = match (version.is_5(), connect.clean_start) {
            (true, _) => properties.session_expiry().unwrap_or(0),
            (false, true) => 0,
            (false, false) => u32::MAX,
        };
        let method = properties.authentication_method();
        let data = properties.authentication_data().unwrap_or_default();
        Hello {
            version,
            client_id: connect.client_id.to_owned(),
            clean_start: connect.clean_start,
            expiry_s,
            keep_alive_s: connect.keep_alive_seconds,
            receive_max: properties.receive_maximum().unwrap_or(u16::MAX),
            packet_bytes_max: properties.maximum_packet_size().unwrap_or(u32::MAX),
            alias_max: properties.topic_alias_maximum().unwrap_or(0),
            problem_information: properties.request_problem_information().unwrap_or(true),
            user: connect.user_name.map(str::to_owned),
            password: connect.password.map(Into::into),
            method: method.map(|method| (method.to_owned(), data.into())),
            will: connect.will.as_ref().map(Will::of),
        }
    }

    /// Refuses the client, in its version.
    pub(crate) fn refuse(&self, reason: ReasonCode, text: impl Into<String>) -> Refused {
        Refused {
            version: Some(self.version),
            packet_bytes_max: self.packet_bytes_max,
            reason,
            text: text.into(),
        }
    }
}

#[cfg(test)]
mod tests;
