//! A connection of MQTT, behind the CONNECT that its client says.

use ferry_gateway::testing::Conversation;
use mqtt::{Connack, DecodeError, Packet, ReasonCode, Version, frame};

use super::Unread;
use crate::wire::desk::Desk;
use crate::wire::pipe::Pipe;
use crate::{Checked, Violation, violated};

/// Largest packet that it takes, in bytes.
const PACKET_BYTES_MAX: u32 = 1 << 20;

/// A connection.
pub(in crate::wire) struct MqttLine {
    pub(in crate::wire) pipe: Pipe,
    pub(in crate::wire) life: u64,
    /// What the other side has closed it for.
    pub(in crate::wire) closed: Option<String>,
    version: Version,
    open: bool,
    unread: Unread,
}

/// Something that is for the client.
pub(in crate::wire) enum Arriving<'a> {
    /// It is let in; whether its session goes on.
    LetIn(bool),
    Packet(Packet<'a>),
}

impl MqttLine {
    pub(in crate::wire) fn new(
        conversation: Conversation,
        life: u64,
        version: Version,
        desk: &mut Desk<'_>,
    ) -> MqttLine {
        MqttLine {
            pipe: Pipe::new(conversation, desk.random),
            life,
            closed: None,
            version,
            open: false,
            unread: Unread::default(),
        }
    }

    pub(in crate::wire) fn is_open(&self) -> bool {
        self.open
    }

    pub(in crate::wire) fn say(&mut self, packet: Packet<'_>) {
        let written = packet.write(self.pipe.out(), self.version);
        written.expect("what clients of a simulation say is small");
    }

    /// All that has come by now; what is read of it is told to `keep`.
    pub(in crate::wire) fn gather(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.unread.with(bytes)
    }

    pub(in crate::wire) fn keep(&mut self, all: Vec<u8>, read: usize) {
        self.unread.keep(all, read);
    }

    /// The next that is for the client, behind `at`.
    pub(in crate::wire) fn next<'a>(
        &mut self,
        all: &'a [u8],
        at: &mut usize,
    ) -> Checked<Option<Arriving<'a>>> {
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
                    reason => self.closed = Some(format!("CONNACK {reason}")),
                },
                Packet::Disconnect(disconnect) if self.version == Version::V5 => {
                    self.closed = Some(format!("DISCONNECT {}", disconnect.reason));
                }
                packet if self.open => return Ok(Some(Arriving::Packet(packet))),
                packet => return violated!("{:?} before CONNACK", packet.packet_type()),
            }
        }
    }
}
