//! What a door does for a client of quality of service 2: notes, tags and tickets in the place of
//! everything that it would have to remember.
//!
//! Invariants
//! - A door answers when what it answers for is safe, in order, and keeps nothing that outlives a
//!   connection but in the queue of the session.
//! - What an earlier connection may have left is said again to the broker before it is answered
//!   for: it was seen there, which does not mean that it is safe.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ferry_broker::{
    Broker, Burst, Choice, Clock, ConsumerHandle, ConsumerSpec, Delivery, Lease, NOTE_KEYS, NoView,
    Outcome, Outlet, Published, Publisher, QueueHandle, Ticket,
};
use ferry_core::message::Draft;
use parking_lot::Mutex;

use super::Sessions;
use super::client::Packet;
use crate::body::{body, message_of};
use crate::format::{plain, properties};
use crate::{Checked, violated};

/// Deliveries that wait for an answer.
const PREFETCH: u32 = 3;

/// The exchange that every session is bound to.
pub const EXCHANGE: &str = "amq.fanout";

/// The note of a packet id that was received and not released.
pub fn incoming(pid: u16) -> u32 {
    u32::from(pid)
}

/// The note of a packet id that the client has, and that is not complete.
pub fn outgoing(pid: u16) -> u32 {
    NOTE_KEYS / 2 + u32::from(pid)
}

/// What a tag says besides the packet id: how a message is to be sent, whoever sends it again.
const QUALITIES: u64 = 8;

/// Messages of several sizes, so that the log has several segments.
fn body_bytes(id: u64) -> u32 {
    40 + (id * 389 % 1500) as u32
}

/// A message on its way to a client.
struct Coming {
    id: Option<u64>,
    lease: Option<Lease>,
    tag: Option<u32>,
}

/// Where the broker puts deliveries.
#[derive(Default)]
struct Inbox(Mutex<Vec<Coming>>);

impl Outlet for Inbox {
    fn admit(&self, _bytes: usize) -> bool {
        true
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        self.0.lock().push(Coming {
            id: message_of(delivery.message.body()),
            lease: delivery.lease,
            tag: delivery.tag,
        });
    }

    fn forgo(&self, _admitted_bytes: usize) {}

    fn cancelled(&self) {}
}

/// One connection.
pub struct Door {
    pub queue: Arc<QueueHandle>,
    publisher: Publisher,
    consumer: ConsumerHandle,
    inbox: Arc<Inbox>,
    /// Messages that the client has not confirmed, by packet id.
    in_flight: BTreeMap<u16, (Lease, u64)>,
    /// Answers that wait until they are safe.
    answers: VecDeque<(Arc<Ticket>, Packet)>,
    pub to_door: VecDeque<Packet>,
    pub to_client: VecDeque<Packet>,
}

impl Door {
    /// A connection that serves the session of `queue`.
    pub fn new(broker: &Broker, queue: Arc<QueueHandle>, publisher: Publisher) -> Checked<Door> {
        let inbox = Arc::new(Inbox::default());
        let spec = ConsumerSpec {
            tag: queue.name().to_owned(),
            no_ack: false,
            exclusive: true,
            priority: 0,
            prefetch: PREFETCH,
            choice: Choice::default(),
            outlet: inbox.clone(),
        };
        let consumer = match broker.consume(&queue, spec, &mut || {}) {
            Ok(consumer) => consumer,
            Err(error) => return violated!("consuming from {}: {error}", queue.name()),
        };
        Ok(Door {
            queue,
            publisher,
            consumer,
            inbox,
            in_flight: BTreeMap::new(),
            answers: VecDeque::new(),
            to_door: VecDeque::new(),
            to_client: VecDeque::new(),
        })
    }

    /// Whether nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        let Door {
            in_flight,
            answers,
            to_door,
            to_client,
            ..
        } = self;
        in_flight.is_empty() && answers.is_empty() && to_door.is_empty() && to_client.is_empty()
    }

    /// Sends the answers that are safe by now.
    pub fn flush(&mut self, broker: &Broker) {
        let kept = |(ticket, _): &(Arc<Ticket>, Packet)| {
            ticket
                .resolved()
                .is_some_and(|promise| broker.kept(promise))
        };
        while self.answers.front().is_some_and(kept) {
            let answer = self.answers.pop_front();
            self.to_client.extend(answer.map(|(_, packet)| packet));
        }
    }

    /// The connection ends: what the client has not confirmed comes back.
    pub fn close(self, broker: &Broker) {
        broker.cancel(&self.consumer);
        let mut burst = Burst::new();
        for (lease, _) in self.in_flight.into_values() {
            burst.settle(&self.queue, lease, Outcome::Requeue);
        }
        burst.submit(broker);
    }
}

impl Sessions {
    /// A packet of a client comes to its door.
    pub fn take_packet(&mut self, client: usize, packet: Packet) -> Checked {
        self.trace
            .line(format!("  client {client} says {packet:?}"));
        match packet {
            Packet::Publish { pid, id } => self.take_publish(client, pid, id),
            Packet::Release(pid) => {
                let answer = Packet::Complete(pid);
                self.note(client, (incoming(pid), false), Some(answer))
            }
            Packet::Received(pid) => self.take_received(client, pid),
            Packet::Complete(pid) => self.note(client, (outgoing(pid), false), None),
        }
    }

    fn take_publish(&mut self, client: usize, pid: u16, id: u64) -> Checked {
        let (key, answer) = (incoming(pid), Packet::Received(pid));
        let door = &mut self.doors[client];
        if self.broker.notes(&door.queue).contains(&key) {
            if self.random.chance(50) {
                return self.note(client, (key, true), Some(answer));
            }
            let mut burst = Burst::new();
            burst.cover();
            return self.submit(client, burst, Some(answer));
        }
        let mut burst = Burst::new();
        let (properties, body) = (properties(id), body(id, body_bytes(id)));
        let draft = Draft {
            persistent: true,
            exchange: EXCHANGE.as_bytes(),
            published_ms: self.clock.now(),
            ..plain("", &properties, &body)
        };
        let published = burst.publish(&self.broker, &mut door.publisher, &draft, &NoView, None);
        if published != Ok(Published::Routed) {
            return violated!("message {id} was {published:?}");
        }
        burst.note(&door.queue, key, true);
        burst.make_atomic();
        for session in &mut self.model {
            if session.messages.insert(id, None).is_some() {
                return violated!("message {id} is stored a second time");
            }
        }
        self.model[client].notes.insert(key);
        self.submit(client, burst, Some(answer))
    }

    fn take_received(&mut self, client: usize, pid: u16) -> Checked {
        let (key, answer) = (outgoing(pid), Packet::Release(pid));
        let Some((lease, id)) = self.doors[client].in_flight.remove(&pid) else {
            return violated!("client {client} received {pid}, which is nothing");
        };
        let mut burst = Burst::new();
        burst.settle(&self.doors[client].queue, lease, Outcome::Accept);
        burst.note(&self.doors[client].queue, key, true);
        if self.random.chance(50) {
            burst.make_atomic();
        }
        self.model[client].messages.remove(&id);
        self.model[client].notes.insert(key);
        self.submit(client, burst, Some(answer))
    }

    /// Sets a note or takes it away, and answers.
    pub fn note(
        &mut self,
        client: usize,
        (key, on): (u32, bool),
        answer: Option<Packet>,
    ) -> Checked {
        let mut burst = Burst::new();
        burst.note(&self.doors[client].queue, key, on);
        let notes = &mut self.model[client].notes;
        match on {
            true => notes.insert(key),
            false => notes.remove(&key),
        };
        self.submit(client, burst, answer)
    }

    fn submit(&mut self, client: usize, mut burst: Burst, answer: Option<Packet>) -> Checked {
        if answer.is_some() {
            burst.want_ticket();
        }
        let ticket = burst.submit(&self.broker);
        self.remember_past();
        match (ticket, answer) {
            (Some(ticket), Some(answer)) => self.doors[client].answers.push_back((ticket, answer)),
            (None, None) => {}
            (ticket, answer) => {
                return violated!("a ticket is {}, for {answer:?}", ticket.is_some());
            }
        }
        self.take_deliveries()
    }

    /// Tags what has come, so that it can be sent.
    pub fn take_deliveries(&mut self) -> Checked {
        for client in 0..self.doors.len() {
            let coming = std::mem::take(&mut *self.doors[client].inbox.0.lock());
            for one in coming {
                self.take_delivery(client, one)?;
            }
        }
        Ok(())
    }

    fn take_delivery(&mut self, client: usize, coming: Coming) -> Checked {
        let (Some(id), Some(lease)) = (coming.id, coming.lease) else {
            return violated!("client {client} is given a message that is not whole");
        };
        let known = self.model[client].messages.get(&id).copied();
        if known != Some(coming.tag) {
            let tag = coming.tag;
            return violated!("client {client}: message {id} has tag {tag:?}, not {known:?}");
        }
        let tag = match coming.tag {
            Some(tag) => tag,
            None => self.free_tag(client) | (self.random.below(QUALITIES) as u32) << 16,
        };
        let pid = tag as u16;
        let taken = self.model[client].messages.iter();
        let mut others = taken.filter(|(other, _)| **other != id);
        if others.any(|(_, other)| other.is_some_and(|other| other as u16 == pid)) {
            return violated!("client {client}: {pid} is of two messages");
        }
        let door = &mut self.doors[client];
        door.in_flight.insert(pid, (lease, id));
        let mut burst = Burst::new();
        burst.tag(&door.queue, lease, tag);
        self.model[client].messages.insert(id, Some(tag));
        self.submit(client, burst, Some(Packet::Publish { pid, id }))
    }

    /// The lowest number that no message has and that is not waited for.
    fn free_tag(&self, client: usize) -> u32 {
        let door = &self.doors[client];
        let notes = self.broker.notes(&door.queue);
        let is_free =
            |pid: &u16| !door.in_flight.contains_key(pid) && !notes.contains(&outgoing(*pid));
        let free = (1..u16::MAX).find(is_free);
        u32::from(free.expect("few messages are in flight"))
    }
}
