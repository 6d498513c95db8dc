//! Logging in: at once, or by somebody who has to be asked.
//!
//! Invariants
//! - Nobody waits on a runtime's thread: what is decided elsewhere comes back as an event.
//! - The time of a handshake goes on meanwhile, and what was decided too late counts for nothing.

use std::sync::Arc;
use std::time::Instant;

use ferry_auth::LogIn;
use ferry_broker::{Login, LoginBy, LoginError, User};
use parking_lot::Mutex;

use super::door::Door;
use super::{Phase, Session};
use crate::amqp091::handshake::{Decision, FRAME_BYTES_MIN, Terms};
use crate::arrival::Arrival;
use crate::link::event;
use crate::shared::Shared;
use crate::worker;

/// Largest frame of a log-in where tokens are accepted, in bytes.
const TOKEN_FRAME_BYTES_MAX: u32 = 24 << 10;

/// Where a decision is left.
pub(super) type LoginSlot = Arc<Mutex<Option<Result<Arc<User>, String>>>>;

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

fn refused(user: &str, error: LoginError) -> String {
    format!("user {user:?}: {error}")
}

/// Has a log-in decided.
pub(super) fn begin(door: &mut Door<'_>, user: &str, password: Option<&[u8]>) -> Decision {
    let backends = &door.shared.backends;
    let login = LogIn {
        user,
        password,
        loopback: door.arrival.loopback,
        address: door.arrival.peer.ip(),
        by: LoginBy::Amqp091,
    };
    let (slot, link) = (Arc::clone(door.login), Arc::downgrade(door.link));
    let name = user.to_owned();
    if !backends.may_wait() {
        let check = match backends.begin_internal(&login) {
            Login::Check(check) => check,
            Login::Done(decided) => {
                let decided = decided.map_err(|error| refused(user, error));
                return Decision::Now(decided.map(|user| *door.user = Some(user)));
            }
        };
        worker::aside(move || {
            // The client may not have waited for it.
            if let Some(link) = link.upgrade() {
                *slot.lock() = Some(check.run().map_err(|error| refused(&name, error)));
                link.notify(event::LOGIN);
            }
        });
        return Decision::Later;
    }
    let (backends, password) = (backends.clone(), password.map(<[u8]>::to_vec));
    let (loopback, address, by) = (login.loopback, login.address, login.by);
    tokio::spawn(async move {
        let login = LogIn {
            user: &name,
            password: password.as_deref(),
            loopback,
            address,
            by,
        };
        let decided = backends.login(login).await;
        *slot.lock() = Some(decided.map_err(|error| refused(&name, error)));
        if let Some(link) = link.upgrade() {
            link.notify(event::LOGIN);
        }
    });
    Decision::Later
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

    /// Whether bytes that waited for a decision are to be looked at now; says so once.
    pub(crate) fn takes_rest(&mut self) -> bool {
        std::mem::take(&mut self.login_decided)
    }
}
