//! Looking into the queues of a broker, as an operator can.
//!
//! Invariants
//! - Looking changes nothing.

use std::sync::Arc;

use ferry_broker::{Broker, QueueHandle};
use ferry_core::message::Message;
use ferry_core::queue::{Body, Entry, Held};
use ferry_log::{Position, Reader};

use crate::format;
use crate::model::Named;
use crate::model::recover::{FoundMessage, State};
use crate::outlet::Seen;
use crate::{Checked, violated};

/// Messages that wait for a consumer, in the order of leaving, those that wait for their time,
/// and those that can not get to the dead letters.
pub fn all(broker: &Broker, queue: &Arc<QueueHandle>) -> Checked<Vec<FoundMessage>> {
    let entries = broker.command(queue, |queue, _| {
        let mut entries: Vec<(State, Entry)> = Vec::new();
        queue.visit_ready(None, |entry| {
            entries.push((State::Ready, entry.clone()));
            true
        });
        queue.visit_delayed(None, |at, entry| {
            entries.push((State::Delayed(at), entry.clone()));
            true
        });
        queue.visit_leased(None, |_, entry, info| {
            if let Held::Departing(reason) = info.held {
                entries.push((State::Stuck(reason.name().to_owned()), entry.clone()));
            }
            true
        });
        queue.visit_waiting_departures(|reason, entry| {
            entries.push((State::Stuck(reason.name().to_owned()), entry.clone()));
            true
        });
        entries
    });
    shown(broker, queue, entries.unwrap_or_default())
}

/// Messages that wait for their time.
pub fn delayed(broker: &Broker, queue: &Arc<QueueHandle>) -> Checked<Vec<FoundMessage>> {
    let entries = broker.command(queue, |queue, _| {
        let mut entries = Vec::new();
        queue.visit_delayed(None, |at, entry| {
            entries.push((State::Delayed(at), entry.clone()));
            true
        });
        entries
    });
    shown(broker, queue, entries.unwrap_or_default())
}

/// Dead letters that can not arrive.
pub fn stuck(broker: &Broker, queue: &Arc<QueueHandle>) -> Checked<Vec<Named>> {
    let entries = broker.command(queue, |queue, _| {
        let mut entries = Vec::new();
        queue.visit_leased(None, |_, entry, info| {
            if let Held::Departing(reason) = info.held {
                entries.push((State::Stuck(reason.name().to_owned()), entry.clone()));
            }
            true
        });
        queue.visit_waiting_departures(|reason, entry| {
            entries.push((State::Stuck(reason.name().to_owned()), entry.clone()));
            true
        });
        entries
    });
    let found = shown(broker, queue, entries.unwrap_or_default())?;
    let named = |found: FoundMessage| Some((found.seen.message?, found.seen.deaths?));
    Ok(found.into_iter().filter_map(named).collect())
}

/// Bytes of memory that the bodies of a queue take.
pub fn memory_bytes(broker: &Broker, queue: &Arc<QueueHandle>) -> u64 {
    let bytes = broker.command(queue, |queue, _| {
        let mut bytes = 0;
        let mut add = |entry: &Entry| {
            bytes += entry.memory_bytes() as u64;
            true
        };
        queue.visit_ready(None, &mut add);
        queue.visit_delayed(None, |_, entry| add(entry));
        queue.visit_leased(None, |_, entry, _| add(entry));
        queue.visit_waiting_departures(|_, entry| add(entry));
        bytes
    });
    bytes.unwrap_or(0)
}

fn shown(
    broker: &Broker,
    queue: &Arc<QueueHandle>,
    entries: Vec<(State, Entry)>,
) -> Checked<Vec<FoundMessage>> {
    let mut reader = Reader::new(Arc::clone(broker.log()));
    let mut found = Vec::new();
    for (state, entry) in entries {
        let read = match &entry.body {
            Body::Memory(bytes) => see(queue, bytes, &entry),
            Body::Log(position) => match reader.read(Position(*position)) {
                Ok(record) => see(queue, record.payload, &entry),
                Err(error) => return violated!("a message of {} is lost: {error}", queue.name()),
            },
        };
        let Some(seen) = read else {
            return violated!("a message of {} is damaged", queue.name());
        };
        found.push(FoundMessage {
            seen,
            state,
            seq: entry.seq,
            level: entry.priority,
            position: entry.position(),
            came_by: None,
        });
    }
    Ok(found)
}

fn see(queue: &Arc<QueueHandle>, bytes: &[u8], entry: &Entry) -> Option<Seen> {
    let message = Message::parse(bytes).ok()?;
    let history = format::history(message.properties());
    let named = history.as_ref().map(|(id, _)| *id);
    Some(Seen {
        queue: Arc::clone(queue),
        message: crate::body::message_of(message.body()).filter(|id| Some(*id) == named),
        size: message.body_len(),
        lease: None,
        offset: None,
        redelivered: entry.redelivered,
        returns: entry.returns,
        deaths: history.map(|(_, deaths)| deaths),
        persistent: message.persistent(),
    })
}
