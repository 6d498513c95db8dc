//! An open connection from the side of its end: who ends it, what is said, and its will.
//!
//! ```text
//! DISCONNECT 0            will taken back
//! all other ends          will published: at once, after its delay, or when the session ends
//! ```
//!
//! Invariants
//! - Whatever the way out, everything is given back exactly once, and the client id last: the next
//!   connection of the client finds the will where it belongs.
//! - DISCONNECT is sent to clients of MQTT 5 only, never larger than they take, and as the last
//!   packet.
//!
//! Not here: what an open connection does (`running`).

use std::time::Duration;

use mqtt::{Disconnect, Packet, PacketType, ReasonCode, write_properties};

use super::clients::{Seat, Standing};
use super::common::{Common, End, EndKind};
use super::running::Running;
use super::sasl::Method;
use super::turn::Turn;
use super::will::{Author, Will};
use crate::link::Wire as _;

/// What a keep-alive is multiplied with, in halves.
const KEEP_ALIVE_HALVES: u64 = 3;

/// An open connection.
pub(crate) struct Open {
    /// What it does.
    pub(crate) running: Box<Running>,
    seat: Seat,
    will: Option<Box<Will>>,
    /// By what the client has logged in, and can do so again; none if by a password alone.
    method: Option<Box<Method>>,
    /// Whether the client asked for a session that ends with the connection.
    asked_for_none: bool,
    /// Seconds that the session outlives the connection.
    expiry_s: u32,
    /// How long the client may be silent.
    pub(crate) silence_max: Option<Duration>,
}

/// What was agreed about times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Seconds that the client wants its session kept.
    pub(crate) asked_expiry_s: u32,
    /// Seconds that it is kept.
    pub(crate) expiry_s: u32,
    /// Seconds between signs of life; 0 for none.
    pub(crate) keep_alive_s: u16,
}

impl Open {
    /// A connection that was just let in.
    pub(crate) fn new(
        running: Box<Running>,
        seat: Seat,
        will: Option<Box<Will>>,
        method: Option<Box<Method>>,
        of: Times,
    ) -> Open {
        let silence_ms = u64::from(of.keep_alive_s) * 1000 * KEEP_ALIVE_HALVES / 2;
        Open {
            running,
            seat,
            will,
            method,
            asked_for_none: of.asked_expiry_s == 0,
            expiry_s: of.expiry_s,
            silence_max: (silence_ms > 0).then_some(Duration::from_millis(silence_ms)),
        }
    }

    /// What all its parts share.
    pub(crate) fn common(&self) -> &Common {
        self.running.common()
    }

    /// Works through what has come; gives how much of it was used.
    #[inline]
    pub(crate) fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<usize, End> {
        let first = bytes.first().copied().unwrap_or_default();
        match PacketType::from_first_byte(first) {
            Some(PacketType::Auth) => self.receive_auth(bytes),
            _ => self.running.receive(bytes, turn),
        }
    }

    #[cold]
    fn receive_auth(&mut self, bytes: &[u8]) -> Result<usize, End> {
        let common = self.running.common();
        let Some(frame) = mqtt::frame(bytes, common.terms.packet_bytes_max_in)? else {
            return Ok(0);
        };
        match (Packet::decode(frame, common.version)?, &mut self.method) {
            (Packet::Auth(auth), Some(method)) => method.receive(&auth, common)?,
            _ => {
                let text = "AUTH without an authentication method in CONNECT";
                return Err(End::refused(ReasonCode::ProtocolError, text));
            }
        }
        Ok(frame.size)
    }

    /// Whether another connection waits for the client id.
    pub(crate) fn is_wanted(&self) -> bool {
        self.seat.standing() != Standing::Holds
    }

    /// Ends a connection whose user or virtual host was deleted.
    pub(crate) fn check_access(&self) -> Result<(), End> {
        let Common { user, vhost, .. } = self.common();
        if user.is_deleted() {
            let text = format!("user '{}' is deleted", user.name);
            return Err(End::refused(ReasonCode::NotAuthorized, text));
        }
        if vhost.is_deleted() {
            let text = format!("vhost '{}' is deleted", vhost.name());
            return Err(End::refused(ReasonCode::AdministrativeAction, text));
        }
        Ok(())
    }

    /// Ends it; gives how, for the log.
    pub(crate) fn close(mut self, mut end: End, turn: &mut Turn<'_>) -> End {
        if let Some(expiry_s) = end.expiry_s {
            if self.asked_for_none && expiry_s > 0 {
                let text = "DISCONNECT wants a session kept that CONNECT did not want";
                end = End::refused(ReasonCode::ProtocolError, text);
            } else {
                let max = self.common().shared.config.mqtt.session_expiry_max_s;
                self.expiry_s = expiry_s.min(max);
                self.running.set_expiry(self.expiry_s);
            }
        }
        let will = self.will.take().filter(|_| end.kind != EndKind::ByClient);
        let will = will.map(|will| (Author::of(self.common()), *will));
        self.running.release(turn);
        if end.kind == EndKind::Refused {
            say_disconnect(self.common(), &end);
        }
        if let Some((author, will)) = will {
            self.leave(author, will, turn);
        }
        end
    }

    /// Publishes the will, or has it wait.
    fn leave(&self, author: Author, will: Will, turn: &mut Turn<'_>) {
        let shared = &self.common().shared;
        // A session that ends takes its will along, into publication.
        let delay_s = will.delay_s.min(self.expiry_s);
        let (mut author, mut will) = (author, will);
        if delay_s > 0 && !shared.is_stopping() {
            let (key, delay) = (self.seat.key().clone(), Duration::from_secs(delay_s.into()));
            match shared.mqtt.wills.wait(key, author, will, delay) {
                Ok(()) => return,
                Err(given_back) => (author, will) = given_back,
            }
        }
        author.publish(&will, turn.staging());
    }
}

/// Tells a client that it has to go, where its version has a packet for that.
fn say_disconnect(common: &Common, end: &End) {
    if !common.version.is_5() {
        return;
    }
    let (mut block, mut out) = (Vec::new(), Vec::new());
    let is_sayable = end.reason.is_of_server(PacketType::Disconnect);
    let packet = Packet::Disconnect(Disconnect {
        reason: if is_sayable {
            end.reason
        } else {
            ReasonCode::UnspecifiedError
        },
        properties: write_properties(&mut block, |writer| {
            writer.reason_string(&end.text);
        }),
    });
    // What the client does not take is not said: `out` stays empty.
    let limit = common.terms.packet_bytes_max_out;
    packet
        .write_within(&mut out, common.version, limit)
        .unwrap_or_default();
    common.link.with(|state| {
        state.outbox.buffer().extend_from_slice(&out);
        // Nothing follows a DISCONNECT, whatever is still owed.
        state.wire.clear();
    });
}
