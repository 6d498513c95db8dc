//! A connection of MQTT, behind the CONNECT that its client says.

use mqtt::{Connack, DecodeError, Packet, ReasonCode, Version, frame};

use super::{End, Line, Telling};
use crate::wire::pipe::Pipe;
use crate::{Checked, Violation, violated};

/// Largest packet that it takes, in bytes.
const PACKET_BYTES_MAX: u32 = 1 << 20;

/// A connection.
pub(in crate::wire) struct MqttLine {
    end: End,
    version: Version,
    open: bool,
}

/// Something that is for the client.
pub(in crate::wire) enum Arriving<'a> {
    /// It is let in; whether its session goes on.
    LetIn(bool),
    Packet(Packet<'a>),
}

impl MqttLine {
    pub(in crate::wire) fn new(pipe: Pipe, life: u64, version: Version) -> MqttLine {
        MqttLine {
            end: End::new(pipe, life),
            version,
            open: false,
        }
    }

    pub(in crate::wire) fn say(&mut self, packet: Packet<'_>) {
        let written = packet.write(self.end.pipe.out(), self.version);
        written.expect("what clients of a simulation say is small");
    }
}

impl Line for MqttLine {
    fn end(&self) -> &End {
        &self.end
    }

    fn end_mut(&mut self) -> &mut End {
        &mut self.end
    }

    fn into_end(self) -> End {
        self.end
    }

    fn is_open(&self) -> bool {
        self.open
    }
}

impl Telling for MqttLine {
    type Heard<'a> = Arriving<'a>;

    fn next<'a>(&mut self, all: &'a [u8], at: &mut usize) -> Checked<Option<Arriving<'a>>> {
        loop {
            let unreadable = |error: DecodeError| Violation(error.to_string());
            let Some(frame) = frame(&all[*at..], PACKET_BYTES_MAX).map_err(unreadable)? else {
                return Ok(None);
            };
            *at += frame.size;
            let packet = Packet::decode_from_server(frame, self.version).map_err(unreadable)?;
            match packet {
                Packet::Connack(Connack {
                    reason,
                    session_present,
                    ..
                }) if !self.open => match reason {
                    ReasonCode::Success => {
                        self.open = true;
                        return Ok(Some(Arriving::LetIn(session_present)));
                    }
                    reason => self.end.closed = Some(format!("CONNACK {reason}")),
                },
                Packet::Disconnect(disconnect) if self.open && self.version == Version::V5 => {
                    self.end.closed = Some(format!("DISCONNECT {}", disconnect.reason));
                }
                packet if self.open => return Ok(Some(Arriving::Packet(packet))),
                packet => return violated!("{:?} before CONNACK", packet.packet_type()),
            }
        }
    }
}
