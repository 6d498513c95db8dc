//! A gathering under way: an outlet for replies.
//!
//! Invariants
//! - `gathered` is there until the gathering ends, and is taken once.
//! - Its lock is not held while the broker's lists are changed.
//! - Replies are delivered with no partition held, so that the broker may be called.

use std::sync::{Arc, Weak};

use ferry_core::Millis;
use ferry_core::message::Message;
use parking_lot::Mutex;

use super::answer::{Answer, Gathered};
use super::{Due, GatherSpec, Slot};
use crate::partition::After;
use crate::{Broker, Delivery, Metrics, Outlet};

/// What replies of one gathering may take, in bytes.
const GATHERED_BYTES_MAX: usize = 16 << 20;

/// What a reply takes besides its stored form, in bytes.
const REPLY_OVERHEAD_BYTES: usize = 256;

/// A gathering that has begun.
pub(super) struct Ongoing {
    pub key: String,
    pub spec: GatherSpec,
    began: Millis,
    due: Due,
    broker: Weak<Broker>,
    state: Mutex<Option<State>>,
}

struct State {
    gathered: Gathered,
    /// In the account of memory.
    bytes: usize,
    slot: Slot,
}

/// What a reply has led to.
enum Took {
    /// More is waited for.
    More,
    /// It was the last one.
    Enough,
    /// There was no room for it.
    NoRoom,
    /// The gathering had ended.
    Late,
}

impl Ongoing {
    pub fn new(key: String, spec: GatherSpec, slot: Slot, (began, due): (Millis, Due)) -> Ongoing {
        let broker = slot.broker.clone();
        let state = State {
            gathered: Gathered::default(),
            bytes: 0,
            slot,
        };
        Ongoing {
            key,
            spec,
            began,
            due,
            broker,
            state: Mutex::new(Some(state)),
        }
    }

    fn take_reply(&self, broker: &Broker, message: &Message<'_>) -> Took {
        let mut state = self.state.lock();
        let Some(State {
            gathered, bytes, ..
        }) = &mut *state
        else {
            return Took::Late;
        };
        let enough = |gathered: &Gathered| self.spec.count.is_some_and(|n| gathered.count >= n);
        if enough(gathered) {
            return Took::Late; // Who brought the last one is about to end it.
        }
        let more = message.bytes().len() + REPLY_OVERHEAD_BYTES;
        if *bytes + more > GATHERED_BYTES_MAX {
            return Took::NoRoom;
        }
        *bytes += more;
        broker.pressure.account(more as i64);
        let format = broker.options.formats.get(message.format());
        let received_ms = broker.now().saturating_sub(self.began);
        gathered.add(message, format, received_ms);
        match enough(gathered) {
            true => Took::Enough,
            false => Took::More,
        }
    }

    /// Ends it; its answer is published when nothing is held.
    pub fn end(&self, broker: &Broker, complete: bool) {
        if let Some(state) = self.close(broker) {
            let vhost = Arc::clone(&state.slot.vhost);
            let answer = Answer {
                vhost,
                spec: self.spec.clone(),
                complete,
                gathered: state.gathered,
                bytes: state.bytes,
            };
            broker.afters.lock().push(After::Gathered(Box::new(answer)));
        }
    }

    /// Ends it without an answer.
    pub fn drop_it(&self, broker: &Broker) {
        if let Some(state) = self.close(broker) {
            broker.pressure.account(-(state.bytes as i64));
        }
    }

    fn close(&self, broker: &Broker) -> Option<State> {
        let state = self.state.lock().take()?;
        broker.direct_replies.close(self.key.as_bytes());
        let _listed = broker.gathers.0.lock().remove(self.due);
        Some(state)
    }
}

impl Outlet for Ongoing {
    fn admit(&self, _bytes: usize) -> bool {
        true
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        let Some(broker) = self.broker.upgrade() else {
            return;
        };
        match self.take_reply(&broker, &delivery.message) {
            Took::More => {}
            Took::Enough => self.end(&broker, true),
            Took::NoRoom => self.end(&broker, false),
            Took::Late => Metrics::add(&broker.metrics.gather_replies_late, 1),
        }
    }

    fn forgo(&self, _admitted_bytes: usize) {}

    fn cancelled(&self) {}
}
