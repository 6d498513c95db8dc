//! Logging in, as a handshake asks for it.
//!
//! Invariants
//! - The time of a handshake goes on while somebody decides; what comes too late counts for
//!   nothing.

use std::sync::{Arc, Weak};
use std::time::Instant;

use ferry_auth::LogIn;
use ferry_broker::LoginBy;

use super::door::Door;
use super::{Phase, Session};
use crate::amqp091::handshake::{Decision, FRAME_BYTES_MIN, Terms};
use crate::arrival::Arrival;
use crate::link::AnyLink;
use crate::login;
use crate::shared::Shared;

/// Largest frame of a log-in where tokens are accepted, in bytes.
const TOKEN_FRAME_BYTES_MAX: u32 = 24 << 10;

/// What the client may do before it is known.
pub(super) fn terms(shared: &Shared, arrival: &Arrival) -> Terms {
    Terms {
        external: arrival.external,
        frame_bytes_max: match shared.backends.takes_tokens() {
            true => TOKEN_FRAME_BYTES_MAX,
            false => FRAME_BYTES_MIN,
        },
        peer: arrival.peer,
    }
}

/// Has a log-in decided.
pub(super) fn begin(door: &mut Door<'_>, user: &str, password: Option<&[u8]>) -> Decision {
    let arrival = door.arrival;
    let asked = LogIn {
        user,
        password,
        loopback: arrival.loopback,
        address: arrival.peer.ip(),
        by: LoginBy::Amqp091,
    };
    let link: Weak<dyn AnyLink> = Arc::downgrade(door.link) as _;
    match login::begin(&door.shared.backends, asked, door.login, link) {
        Some(decided) => Decision::Now(decided.map(|user| *door.user = Some(user))),
        None => Decision::Later,
    }
}

impl Session {
    /// Goes on with what was decided.
    pub(super) fn take_login(&mut self, now: Instant) {
        let Some(decided) = self.login.lock().take() else {
            return;
        };
        let Phase::Handshake(handshake) = &mut self.phase else {
            return;
        };
        let decided = decided.map(|user| self.user = Some(user));
        let mut out = Vec::new();
        let went_on = handshake.logged_in(decided, &mut out);
        self.link
            .with(|state| state.outbox.buffer().extend_from_slice(&out));
        match went_on {
            Ok(()) => self.login_decided = true,
            Err(fault) => self.fault(fault, now),
        }
    }
}
