//! Enhanced authentication of MQTT 5: SCRAM-SHA-256, carried by AUTH.
//!
//! ```text
//! CONNECT (method, first message)   --> AUTH 0x18    AUTH 0x18 (last) --> CONNACK (the answer)
//! AUTH 0x19 on an open connection   --> AUTH 0x18    AUTH 0x18 (last) --> AUTH 0x00 (the same)
//! ```
//!
//! Invariants
//! - A connection keeps the method and the user that it was opened with.
//! - One exchange at a time; a new beginning drops what was begun.
//! - On an open connection everything else goes on meanwhile, and a failure ends it.
//!
//! Not here: the messages of SCRAM (`ferry_auth::scram`), the first log-in (`opening`, `who`).

use ferry_auth::scram::{ClientFirst, Exchange, NAME, ScramFrom};
use mqtt::{Auth, Packet, ReasonCode, Version, write_properties};

use super::common::{Common, End};

/// Appends an AUTH; nothing if it is more than the client takes.
pub(crate) fn write_auth(out: &mut Vec<u8>, reason: ReasonCode, data: &[u8], bytes_max: u32) {
    let mut block = Vec::new();
    let packet = Packet::Auth(Auth {
        reason,
        properties: write_properties(&mut block, |writer| {
            writer.authentication_method(NAME).authentication_data(data);
        }),
    });
    packet
        .write_within(out, Version::V5, bytes_max)
        .unwrap_or_default();
}

/// What a connection was opened with, so that it can be done again.
pub(crate) struct Method {
    /// The user as the client writes it.
    named: String,
    from: ScramFrom,
    begun: Option<Exchange>,
}

impl Method {
    /// A log-in that went well.
    pub(crate) fn new(named: String, from: ScramFrom) -> Method {
        Method {
            named,
            from,
            begun: None,
        }
    }

    /// A step of the client on an open connection.
    pub(crate) fn receive(&mut self, auth: &Auth<'_>, common: &Common) -> Result<(), End> {
        if auth.properties.authentication_method() != Some(NAME) {
            let text = "AUTH with another authentication method than CONNECT";
            return Err(End::refused(ReasonCode::ProtocolError, text));
        }
        let data = auth.properties.authentication_data().unwrap_or_default();
        let (reason, answer) = match (auth.reason, self.begun.take()) {
            (ReasonCode::ReAuthenticate, _) => {
                let answer = self.begin(data, common)?;
                (ReasonCode::ContinueAuthentication, answer)
            }
            (ReasonCode::ContinueAuthentication, Some(begun)) => {
                let finished = begun.finish(data);
                let (_, answer) = finished.map_err(|error| refused(error.to_string()))?;
                (ReasonCode::Success, answer)
            }
            _ => {
                let text = "AUTH goes on with what was not begun";
                return Err(End::refused(ReasonCode::ProtocolError, text));
            }
        };
        common.link.with(|state| {
            let limit = common.terms.packet_bytes_max_out;
            write_auth(state.outbox.buffer(), reason, &answer, limit);
        });
        Ok(())
    }

    fn begin(&mut self, data: &[u8], common: &Common) -> Result<Vec<u8>, End> {
        let first = ClientFirst::parse(data).map_err(|error| refused(error.to_string()))?;
        if first.user() != self.named {
            return Err(refused("another user than before"));
        }
        let backends = &common.shared.backends;
        let begun = Exchange::begin(first, &common.user.name, backends, &self.from);
        let (begun, answer) = begun.map_err(|error| refused(error.to_string()))?;
        self.begun = Some(begun);
        Ok(answer)
    }
}

fn refused(text: impl Into<String>) -> End {
    End::refused(ReasonCode::NotAuthorized, text)
}
