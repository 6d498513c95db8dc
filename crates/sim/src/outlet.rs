//! Where deliveries of the simulated broker end up, with room that runs out.
//!
//! Invariants
//! - What a broker does to its clients is one list of events, in the order in which it did them.
//! - An outlet that refused once is starved until the world gives it room again.

use std::sync::Arc;

use ferry_broker::{Delivery, Lease, Outlet, QueueHandle};
use parking_lot::Mutex;

use crate::body;
use crate::format::{self, Death};

/// A message as somebody got it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The queue it came from.
    pub queue: Arc<QueueHandle>,
    /// Number of the message; none if the body is not what was published.
    pub message: Option<u64>,
    /// Length of its body, in bytes.
    pub size: u32,
    /// What settles it.
    pub lease: Option<Lease>,
    /// Its offset, if it came from a stream.
    pub offset: Option<u64>,
    /// As flagged.
    pub redelivered: bool,
    /// As counted.
    pub returns: u32,
    /// Its deaths, the latest first; none if its properties make no sense.
    pub deaths: Option<Vec<Death>>,
    /// As published.
    pub persistent: bool,
}

impl Seen {
    /// What a delivery shows.
    #[must_use]
    pub fn new(delivery: &Delivery<'_>) -> Option<Seen> {
        let message = &delivery.message;
        let history = format::history(message.properties());
        let named = history.as_ref().map(|(id, _)| *id);
        let found = body::message_of(message.body()).filter(|id| Some(*id) == named);
        Some(Seen {
            queue: Arc::clone(delivery.queue?),
            message: found,
            size: message.body_len(),
            lease: delivery.lease,
            offset: delivery.offset,
            redelivered: delivery.redelivered,
            returns: delivery.delivery_count,
            deaths: history.map(|(_, deaths)| deaths),
            persistent: message.persistent(),
        })
    }
}

/// Something that the broker did to a client.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message for a consumer.
    Delivered(u64, Seen),
    /// A message for somebody who asked for one.
    Got(usize, Seen),
    /// A consumer was told that it consumes.
    Started(u64),
    /// A consumer was told that its queue is gone.
    Cancelled(u64),
}

/// All events since somebody looked.
#[derive(Debug, Clone, Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    /// Adds one.
    pub fn push(&self, event: Event) {
        self.0.lock().push(event);
    }

    /// Takes all.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[derive(Debug)]
struct Room {
    bytes: i64,
    starved: bool,
}

/// The outlet of one consumer.
#[derive(Debug)]
pub struct SimOutlet {
    consumer: u64,
    events: Events,
    capacity_bytes: i64,
    room: Mutex<Room>,
}

impl SimOutlet {
    /// An outlet with room.
    #[must_use]
    pub fn new(consumer: u64, events: Events, capacity_bytes: i64) -> SimOutlet {
        let room = Mutex::new(Room {
            bytes: capacity_bytes,
            starved: false,
        });
        SimOutlet {
            consumer,
            events,
            capacity_bytes,
            room,
        }
    }

    /// Whether it refused something since it last had room.
    pub fn is_starved(&self) -> bool {
        self.room.lock().starved
    }

    /// Makes room; true if the consumer must be resumed.
    pub fn flush(&self) -> bool {
        let mut room = self.room.lock();
        room.bytes = self.capacity_bytes;
        std::mem::take(&mut room.starved)
    }
}

impl Outlet for SimOutlet {
    fn admit(&self, bytes: usize) -> bool {
        let mut room = self.room.lock();
        if room.bytes <= 0 {
            room.starved = true;
            return false;
        }
        room.bytes -= bytes as i64;
        true
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        if let Some(seen) = Seen::new(&delivery) {
            self.events.push(Event::Delivered(self.consumer, seen));
        }
    }

    fn forgo(&self, admitted_bytes: usize) {
        self.room.lock().bytes += admitted_bytes as i64;
    }

    fn cancelled(&self) {
        self.events.push(Event::Cancelled(self.consumer));
    }
}
