//! Kinds of messages: what a document, a command, an event and a query ask of their route.
//!
//! Invariants
//! - A message without a kind is free to go anywhere.

use std::sync::atomic::AtomicU64;

use ferry_core::view::{MessageView, Property};

use super::{Broken, broken, clipped, keys, text};
use crate::Metrics;

/// The header that names the kind.
const KIND: &str = "x-kind";
/// Longest part of an unknown kind that a refusal repeats, in bytes.
const UNKNOWN_BYTES_MAX: usize = 40;

/// What a message is meant as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Document,
    Command,
    Event,
    Query,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Document, Kind::Command, Kind::Event, Kind::Query];

    fn name(self) -> &'static str {
        match self {
            Kind::Document => "document",
            Kind::Command => "command",
            Kind::Event => "event",
            Kind::Query => "query",
        }
    }

    /// What a message is meant as, if it says so.
    pub(super) fn of(view: &dyn MessageView) -> Result<Option<Kind>, Broken> {
        let refuse = |why: String| Err(broken(keys::KIND_STRICT, why));
        let Ok(name) = text(view, KIND) else {
            return refuse(format!("{KIND} is no text"));
        };
        let Some(name) = name else {
            return Ok(None);
        };
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
            let name = clipped(name.into_owned(), UNKNOWN_BYTES_MAX);
            return refuse(format!(
                "{KIND} '{name}' is none of document, command, event, query"
            ));
        };
        if kind == Kind::Query && !view.has(Property::ReplyTo) {
            return refuse("a query needs reply_to".to_owned());
        }
        Ok(Some(kind))
    }

    /// Whether it may go to so many queues.
    pub fn fits(self, queues: usize) -> Result<(), Broken> {
        if self == Kind::Command && queues != 1 {
            let why = format!("a command goes to exactly one queue, this one would go to {queues}");
            return Err(broken(keys::KIND_STRICT, why));
        }
        Ok(())
    }

    /// Where it is counted.
    pub fn counter(self, metrics: &Metrics) -> &AtomicU64 {
        match self {
            Kind::Document => &metrics.documents_published,
            Kind::Command => &metrics.commands_published,
            Kind::Event => &metrics.events_published,
            Kind::Query => &metrics.queries_published,
        }
    }
}
