//! What the broker itself tells of a message: publishes, dead letters, and acts of operators.
//!
//! Invariants
//! - What is told of a publish waits in its burst: what is rolled back was not published.
//! - Nothing here is done for a message that goes through no queue with a passport.

use std::sync::Arc;

use ferry_core::Millis;
use ferry_core::message::{Draft, Message};
use ferry_core::queue::{DeadLetterReason, DeadLetterTarget};
use ferry_core::routing::{Destination, Leg, QueueId};
use ferry_core::view::MessageView;

use super::Name;
use super::hop::{Event, text};
use crate::dead_letter::Departure;
use crate::{Broker, Burst, ConnectionId, Origin, QueueHandle, Vhost};

/// Most queues that one hop names.
const NAMES_MAX: usize = 64;

/// A hop that waits for its burst.
pub(crate) struct Noted {
    vhost: Arc<str>,
    name: Name,
    at: Millis,
    queue: Option<Arc<QueueHandle>>,
    event: Event,
}

/// A publish that goes to queues with a passport.
pub(crate) struct Posted<'a> {
    pub draft: &'a Draft<'a>,
    pub routing_keys: &'a [&'a [u8]],
    pub view: &'a dyn MessageView,
    pub connection: ConnectionId,
    /// Who publishes, for who has no connection.
    pub origin: Option<&'a Origin>,
    /// Those of its queues.
    pub queues: &'a [Arc<QueueHandle>],
    /// Whether its exchange had seen its id.
    pub duplicate: bool,
}

/// An act of an operator on one message.
#[derive(Clone, Copy)]
pub(crate) struct Act<'a> {
    pub by: &'a str,
    /// What is done, in the past tense.
    pub what: &'static str,
}

/// Those queues that have a passport; in most cases none.
pub(crate) fn with_passport(queues: &[Arc<QueueHandle>]) -> Vec<Arc<QueueHandle>> {
    let with = queues.iter().filter(|queue| queue.has_passport());
    with.cloned().collect()
}

impl Burst {
    /// Tells of a publish when the burst is submitted.
    #[cold]
    pub(crate) fn note_publish(&mut self, broker: &Broker, vhost: &Vhost, posted: &Posted<'_>) {
        let Some(name) = Name::of(posted.view) else {
            return;
        };
        let at = broker.now();
        let mut note = |queue: Option<Arc<QueueHandle>>, event: Event| {
            self.noted.push(Noted {
                vhost: Arc::clone(&vhost.name),
                name: name.clone(),
                at,
                queue,
                event,
            });
        };
        let known = broker.connections.user_and_peer(posted.connection);
        let told = || {
            posted
                .origin
                .map(|by| (by.user.clone(), by.address.clone()))
        };
        let (user, connection) = known.or_else(told).unzip();
        let Posted { draft, queues, .. } = *posted;
        let published = Event::Published {
            exchange: text(draft.exchange),
            routing_key: text(draft.routing_key),
            user,
            connection,
            bytes: draft.body.len() as u64,
        };
        note(None, published);
        if posted.duplicate {
            return note(None, Event::Duplicate);
        }
        for (queue, event) in vhost.legs(posted) {
            let known = |known: &&Arc<QueueHandle>| Some(known.id) == queue;
            note(queues.iter().find(known).cloned(), event);
        }
    }

    /// Tells of a publish without a route that goes where its exchange sends such ones.
    pub(crate) fn note_unroutable(
        &mut self,
        broker: &Broker,
        vhost: &Vhost,
        message: &Message<'_>,
        target: &DeadLetterTarget,
        queues: &[Arc<QueueHandle>],
    ) {
        if with_passport(queues).is_empty() {
            return;
        }
        let key = target.routing_key.as_deref().map(str::as_bytes);
        let event = Event::DeadLettered {
            reason: DeadLetterReason::Unroutable.name().to_owned(),
            exchange: target.exchange.clone(),
            routing_key: text(key.unwrap_or(message.routing_key())),
            queues: names(queues),
        };
        let name = Name::of_message(&broker.options.formats, message);
        self.noted.extend(name.map(|name| Noted {
            vhost: Arc::clone(&vhost.name),
            name,
            at: broker.now(),
            queue: None,
            event,
        }));
    }

    /// Hands in what it has to tell.
    #[inline]
    pub(crate) fn tell(&mut self, broker: &Broker) {
        for noted in self.noted.drain(..) {
            let place = (noted.at, noted.queue.as_deref());
            let passports = &broker.passports;
            passports.note(&noted.vhost, &noted.name, place, noted.event);
        }
    }
}

impl Vhost {
    /// How a message came to its queues; nothing for the default exchange.
    fn legs(&self, posted: &Posted<'_>) -> Vec<(Option<QueueId>, Event)> {
        let Ok(exchange) = std::str::from_utf8(posted.draft.exchange) else {
            return Vec::new();
        };
        let queues: Vec<QueueId> = posted.queues.iter().map(|queue| queue.id).collect();
        let definitions = self.definitions.read();
        let legs = definitions
            .topology
            .trace(exchange, posted.routing_keys, posted.view, &queues);
        legs.into_iter().map(event_of).collect()
    }
}

fn event_of(leg: Leg<'_>) -> (Option<QueueId>, Event) {
    let routed = |exchange: &str, binding_key, to_exchange| Event::Routed {
        exchange: exchange.to_owned(),
        binding_key,
        to_exchange,
    };
    match leg {
        Leg::Alternate { source, alternate } => {
            (None, routed(source, None, Some(alternate.to_owned())))
        }
        Leg::Binding(binding) => {
            let key = Some(text(binding.routing_key));
            match binding.destination {
                Destination::Queue(queue) => (Some(queue), routed(binding.source, key, None)),
                Destination::Exchange(name) => {
                    (None, routed(binding.source, key, Some(name.to_string())))
                }
            }
        }
    }
}

fn names(queues: &[Arc<QueueHandle>]) -> Vec<String> {
    let some = queues.iter().take(NAMES_MAX);
    some.map(|queue| queue.name().to_owned()).collect()
}

impl Broker {
    /// Tells of a dead letter that is to arrive in these queues.
    pub(crate) fn note_dead_letter<'a>(
        &self,
        departure: &Departure,
        target: &DeadLetterTarget,
        message: &Message<'_>,
        queues: impl Iterator<Item = &'a QueueId>,
    ) {
        let queue = &departure.queue;
        if !queue.has_passport() || departure.order != 0 {
            return;
        }
        let vhost = self.vhost(&queue.vhost);
        let handles = queues
            .filter_map(|id| vhost.as_ref()?.queue_of(*id))
            .collect::<Vec<_>>();
        let key = target.routing_key.as_deref().map(str::as_bytes);
        let event = Event::DeadLettered {
            reason: departure.reason.name().to_owned(),
            exchange: target.exchange.clone(),
            routing_key: text(key.unwrap_or(message.routing_key())),
            queues: names(&handles),
        };
        let formats = &self.options.formats;
        let at = self.now();
        self.passports
            .note_message(formats, queue, at, message, event);
    }

    /// Tells of a message that an operator moves out of a queue.
    pub(crate) fn note_moved(
        &self,
        queue: &QueueHandle,
        act: Act<'_>,
        before: &Message<'_>,
        after: &Draft<'_>,
        queues: &[Arc<QueueHandle>],
    ) {
        let entered = queues.iter().any(|queue| queue.has_passport());
        if !queue.has_passport() && !entered {
            return;
        }
        let formats = &self.options.formats;
        let mut stored = Vec::new();
        after.encode(&mut stored);
        let after_it = Message::parse(&stored).expect("what was encoded is a message");
        let old = Name::of_message(formats, before);
        let new = Name::of_message(formats, &after_it).filter(|new| {
            let same = |old: &Name| old.id == new.id;
            !old.as_ref().is_some_and(same)
        });
        for (name, other) in [(&old, &new), (&new, &old)] {
            let Some(name) = name else {
                continue;
            };
            let event = Event::Moved {
                by: act.by.to_owned(),
                act: act.what.to_owned(),
                exchange: text(after.exchange),
                routing_key: text(after.routing_key),
                queues: names(queues),
                other_id: other.as_ref().map(|other| text(&other.id)),
            };
            let place = (self.now(), Some(queue));
            self.passports.note(queue.vhost(), name, place, event);
        }
    }
}
