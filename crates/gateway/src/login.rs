//! Logging in: at once, or by somebody who has to be asked.
//!
//! Invariants
//! - Nobody waits on a runtime's thread: what is decided elsewhere comes back as an event.

use std::sync::{Arc, Weak};

use ferry_auth::{Backends, LogIn};
use ferry_broker::{Login, LoginError, User};
use parking_lot::Mutex;

use crate::link::{AnyLink, event};
use crate::worker;

/// What became of a log-in: who it is, or why not, for the log.
pub(crate) type Decided = Result<Arc<User>, String>;

/// Where a decision is left.
pub(crate) type LoginSlot = Arc<Mutex<Option<Decided>>>;

fn refused(user: &str, error: LoginError) -> String {
    format!("user {user:?}: {error}")
}

/// Has a log-in decided: at once, or later, which leaves the decision in `slot` and tells the link.
pub(crate) fn begin(
    backends: &Backends,
    asked: LogIn<'_>,
    slot: &LoginSlot,
    link: Weak<dyn AnyLink>,
) -> Option<Decided> {
    let slot = Arc::clone(slot);
    let name = asked.user.to_owned();
    let waits = {
        let link = link.clone();
        move || link.strong_count() > 0
    };
    let decide = move |decided: Decided| {
        if let Some(link) = link.upgrade() {
            *slot.lock() = Some(decided);
            link.notify(event::LOGIN);
        }
    };
    if !backends.may_wait() {
        match backends.begin_internal(&asked) {
            Login::Done(decided) => return Some(decided.map_err(|error| refused(&name, error))),
            // The client may not have waited for it.
            Login::Check(check) => worker::aside(move || {
                if waits() {
                    decide(check.run().map_err(|error| refused(&name, error)));
                }
            }),
        }
        return None;
    }
    let (backends, password) = (backends.clone(), asked.password.map(<[u8]>::to_vec));
    let (loopback, address, by) = (asked.loopback, asked.address, asked.by);
    tokio::spawn(async move {
        let asked = LogIn {
            user: &name,
            password: password.as_deref(),
            loopback,
            address,
            by,
        };
        let decided = backends.login(asked).await;
        decide(decided.map_err(|error| refused(&name, error)));
    });
    None
}
