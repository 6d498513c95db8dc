//! Passports: the way of each message through the queues that ask for it, by the message's id.
//!
//! ```text
//! published ▶ routed ▶ entered ▶ delivered ▶ acked | returned | dead_lettered ▶ entered ▶ ...
//! ```
//!
//! Invariants
//! - What is kept is bounded in bytes; the message that was noted first is forgotten first.
//! - A message that has no id is not noted, and neither is one in queues without a passport.
//! - It is kept in memory alone: after a restart nothing is known of what was before.
//!
//! Not here: what a queue tells (`ferry-core`), what a publish tells (`publish`).

mod hop;
mod publish;
mod store;
mod trace_context;

use std::sync::atomic::{AtomicU64, Ordering};

use ferry_core::Millis;
use ferry_core::message::Message;
use ferry_core::view::{MessageView, Operand, Property};
use parking_lot::Mutex;

pub use hop::{Event, Hop};
pub(crate) use publish::{Act, Noted, Posted, with_passport};
use store::Store;
pub use trace_context::TraceContext;

use crate::{Broker, Formats, QueueHandle};

/// What all passports may take, in bytes, unless it is set otherwise.
pub const PASSPORT_BYTES_DEFAULT: u64 = 64 << 20;

/// Longest id that is noted, in bytes.
const ID_BYTES_MAX: usize = 1024;

/// Is told of each hop of a message that takes part in a trace.
pub trait HopSink: Send + Sync {
    /// A hop of the message of that id was noted; called under the lock of a partition, so it must
    /// not wait.
    fn hop(&self, trace: &TraceContext, message_id: &[u8], hop: &Hop);
}

/// What names a message for its passport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    id: Vec<u8>,
    trace: Option<TraceContext>,
}

impl Name {
    /// None for a message without an id.
    pub(crate) fn of(view: &dyn MessageView) -> Option<Name> {
        let Some(Operand::Text(id)) = view.property(Property::MessageId) else {
            return None;
        };
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return None;
        }
        let trace = match view.header(trace_context::HEADER) {
            Some(Operand::Text(text)) => TraceContext::parse(text),
            _ => None,
        };
        let id = id.to_vec();
        Some(Name { id, trace })
    }

    /// The same for a message as it is stored.
    pub(crate) fn of_message(formats: &Formats, message: &Message<'_>) -> Option<Name> {
        let mut name = None;
        let format = formats.get(message.format())?;
        format.view(message, &mut |view| name = Name::of(view));
        name
    }
}

/// The passports of all messages.
pub(crate) struct Passports {
    store: Mutex<Store>,
    bytes_max: AtomicU64,
    sink: std::sync::OnceLock<Box<dyn HopSink>>,
}

impl Default for Passports {
    fn default() -> Passports {
        Passports {
            store: Mutex::default(),
            bytes_max: AtomicU64::new(PASSPORT_BYTES_DEFAULT),
            sink: std::sync::OnceLock::new(),
        }
    }
}

impl Passports {
    /// Notes something that happened to a message of a virtual host, in a queue perhaps.
    pub(crate) fn note(&self, vhost: &str, name: &Name, (at, queue): Place<'_>, event: Event) {
        let hop = Hop {
            at,
            queue: queue.map(|queue| queue.name().to_owned()),
            trace_id: name.trace.map(|trace| trace.trace_id),
            event,
        };
        if let (Some(sink), Some(trace)) = (self.sink.get(), &name.trace) {
            sink.hop(trace, &name.id, &hop);
        }
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        self.store.lock().add(vhost, &name.id, &hop, bytes_max);
    }

    /// The same for a message as it is stored.
    pub(crate) fn note_message(
        &self,
        formats: &Formats,
        queue: &QueueHandle,
        at: Millis,
        message: &Message<'_>,
        event: Event,
    ) {
        if let Some(name) = Name::of_message(formats, message) {
            self.note(queue.vhost(), &name, (at, Some(queue)), event);
        }
    }
}

/// When and where something happened.
pub(crate) type Place<'a> = (Millis, Option<&'a QueueHandle>);

impl Broker {
    /// The way of the message of that id, in the order of time; none if nothing is known of it.
    pub fn passport(&self, vhost: &str, message_id: &[u8]) -> Option<Vec<Hop>> {
        let mut hops = self.passports.store.lock().find(vhost, message_id)?;
        hops.sort_by_key(|hop| hop.at);
        Some(hops)
    }

    /// How many messages have a passport, and what these take, in bytes.
    pub fn passport_usage(&self) -> (usize, u64) {
        self.passports.store.lock().usage()
    }

    /// Sets what all passports may take, in bytes.
    pub fn set_passport_bytes_max(&self, bytes: u64) {
        self.passports.bytes_max.store(bytes, Ordering::Relaxed);
        self.passports.store.lock().fit(bytes);
    }

    /// Sets who is told of hops that belong to a trace.
    pub fn set_hop_sink(&self, sink: Box<dyn HopSink>) {
        let _first_wins = self.passports.sink.set(sink);
    }
}
