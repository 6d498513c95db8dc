//! What happens to the node: commits, faults, crashes, and what they must leave.
//!
//! Invariants
//! - Before each start a copy of the disk is opened and taken apart; the node goes on from the same
//!   bytes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use ferry_broker::{
    BindingSpec, Broker, ConnectionId, Delivery, Publisher, QueueHandle, QueueSpec,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_log::testing::{Crash, Fault, FaultyDisk};
use ferry_log::{LogError, Position};

use super::client::Packet;
use super::door::{Door, EXCHANGE, outgoing};
use super::{CLIENTS, Session, Sessions};
use crate::body::message_of;
use crate::tear::cut;
use crate::world::open;
use crate::{Checked, Violation, violated};

/// How many commits are followed by a look at a torn copy, in percent.
const TORN_PERCENT: u64 = 10;

/// How many rounds of upkeep find no room for a checkpoint, in percent.
const REFUSED_PERCENT: u64 = 30;

/// No queue goes while a world lasts.
const EXPIRES_MS: u64 = 86_400_000;

fn name_of(client: usize) -> String {
    format!("session{client}")
}

impl Sessions {
    /// Every client has a queue, which gets all messages.
    pub(super) fn declare(&mut self) -> Checked {
        for client in 0..CLIENTS {
            let name = name_of(client);
            let spec = QueueSpec {
                name: name.clone(),
                durable: true,
                exclusive: false,
                auto_delete: false,
                arguments: Arguments::new(),
            };
            let binding = BindingSpec {
                source: EXCHANGE,
                queue: Some(&name),
                exchange: None,
                routing_key: b"",
                arguments: Arguments::new(),
                connection: ConnectionId::NOBODY,
            };
            let declared = self.vhost.declare_queue(spec, ConnectionId::NOBODY);
            if let Err(error) = declared.and_then(|_| self.vhost.bind(&binding)) {
                return violated!("{name} is refused: {error}");
            }
        }
        let committed = self.broker.commit_log();
        committed.map_err(|error| Violation(format!("the first commit: {error}")))
    }

    /// Everybody connects to a broker that was just opened; everything in it is safe.
    pub(super) fn begin_life(&mut self) -> Checked {
        self.past = vec![(Position::ZERO, self.model.clone())];
        self.whole_below = self.broker.log().end();
        self.doors.clear();
        for client in 0..CLIENTS {
            let door = self.connect(client)?;
            self.doors.push(door);
        }
        (0..CLIENTS).try_for_each(|client| self.greet(client))
    }

    fn connect(&self, client: usize) -> Checked<Door> {
        let queue = match self.vhost.queue(&name_of(client), ConnectionId::NOBODY) {
            Ok(queue) => queue,
            Err(error) => return violated!("the session of {client} is lost: {error}"),
        };
        Door::new(&self.broker, queue, Publisher::new(Arc::clone(&self.vhost)))
    }

    /// Both sides say again what was not answered.
    fn greet(&mut self, client: usize) -> Checked {
        let again = self.clients[client].say_again();
        self.doors[client].to_door.extend(again);
        for key in self.broker.notes(&self.doors[client].queue) {
            if let Some(pid) = key.checked_sub(outgoing(0)) {
                self.note(client, (key, true), Some(Packet::Release(pid as u16)))?;
            }
        }
        self.take_deliveries()
    }

    /// A connection ends, with all that was on its way, and another one comes.
    pub(super) fn reconnect(&mut self) -> Checked {
        let client = self.random.below(CLIENTS as u64) as usize;
        self.trace.line(format!("  client {client} comes back"));
        self.doors.remove(client).close(&self.broker);
        let door = self.connect(client)?;
        self.doors.insert(client, door);
        self.greet(client)
    }

    /// A session is to be kept for another time.
    pub(super) fn set_expiry(&mut self) -> Checked {
        let client = self.random.below(CLIENTS as u64) as usize;
        let days = self.random.below(4);
        let expires_ms = (days > 0).then_some(days * EXPIRES_MS);
        self.trace
            .line(format!("  session {client} is kept for {expires_ms:?}"));
        let queue = Arc::clone(&self.doors[client].queue);
        match self.vhost.set_queue_expiry(&queue, expires_ms) {
            Ok(_) => {
                self.model[client].expires_ms = expires_ms;
                self.remember_past();
                Ok(())
            }
            Err(error) => self.excuse("an expiry", error),
        }
    }

    /// Keeps what is true now with the end of the log.
    pub(super) fn remember_past(&mut self) {
        let now = (self.broker.log().end(), self.model.clone());
        self.past.push(now);
    }

    pub(super) fn commit(&mut self) -> Checked {
        match self.broker.commit_log() {
            Ok(()) if !self.fault_armed && self.random.chance(TORN_PERCENT) => self.tear(),
            Ok(()) => Ok(()),
            Err(error) => self.excuse("a commit", error),
        }
    }

    /// A copy of the disk whose log ends anywhere has what was true when it ended there.
    fn tear(&mut self) -> Checked {
        let end = self.broker.log().end();
        let in_segment =
            |(at, _): &&(Position, _)| at.segment() == end.segment() && *at >= self.whole_below;
        let Some((first, _)) = self.past.iter().find(in_segment) else {
            return Ok(());
        };
        let length = end.offset() - first.offset();
        let cut_at = first.plus(self.random.below(u64::from(length) + 1) as u32);
        let copy = self.disk.fork(self.random.any());
        if !cut(&copy, cut_at) {
            return violated!("the log has no segment {}", end.segment());
        }
        self.trace.line(format!("  a copy is torn at {cut_at:?}"));
        let found = take_apart(&self.open(&copy)?)?;
        // Behind the record that counts there may be one of what it led to.
        let before = self.past.partition_point(|(at, _)| *at <= cut_at);
        let mut possible = self.past.iter().skip(before.saturating_sub(1)).take(2);
        match possible.any(|(_, state)| *state == found) {
            true => Ok(()),
            false => violated!("torn at {cut_at:?} the disk has {found:?}: {:?}", self.past),
        }
    }

    /// The house is kept in order.
    pub(super) fn upkeep(&mut self, keep: fn(&Broker) -> Result<(), LogError>) -> Checked {
        let refused = self.random.chance(REFUSED_PERCENT);
        self.disk.refuse(refused.then_some("checkpoint"));
        let done = keep(&self.broker);
        self.disk.refuse(None);
        self.whole_below = self.broker.log().end();
        match done {
            Err(error) if !refused => self.excuse("upkeep", error),
            _ => Ok(()),
        }
    }

    /// Whether an error of the disk is nothing to wonder at.
    pub(super) fn excuse(&self, what: &str, error: impl Display) -> Checked {
        match self.fault_armed {
            true => Ok(()),
            false => violated!("{what} without a fault: {error}"),
        }
    }

    /// The disk will fail soon.
    pub(super) fn disk_fault(&mut self) -> Checked {
        let call = 1 + self.random.below(8);
        self.trace.line(format!("  a fault at call {call}"));
        self.disk.fail_call(call, Fault::Io, true);
        self.fault_armed = true;
        Ok(())
    }

    pub(super) fn heal(&mut self) {
        self.disk.heal();
        self.fault_armed = false;
    }

    pub(super) fn crash(&mut self) -> Checked {
        let kinds = [Crash::Process, Crash::LoseAll, Crash::LoseSome];
        let kind = kinds[self.random.below(3) as usize];
        let log = self.broker.log();
        let safe = match kind {
            Crash::Process => log.written(),
            _ => log.durable(),
        };
        self.die(kind, safe)
    }

    /// The node is stopped in order and comes back.
    pub(super) fn restart(&mut self) -> Checked {
        match self.broker.close() {
            Ok(_) => {
                let safe = self.broker.log().end();
                self.die(Crash::LoseAll, safe)
            }
            Err(error) => {
                self.excuse("a stop", error)?;
                self.crash()
            }
        }
    }

    fn die(&mut self, kind: Crash, safe: Position) -> Checked {
        self.restarts += 1;
        self.trace.line(format!("  {kind:?}, safe is {safe:?}"));
        self.disk.crash(kind);
        self.heal();
        let copy = self.disk.fork(self.random.any());
        let broker = self.open(&copy)?;
        let found = take_apart(&broker)?;
        let first = self.past.iter().rposition(|(end, _)| *end <= safe);
        let mut possible = self.past.iter().skip(first.unwrap_or(0));
        if !possible.any(|(_, state)| *state == found) {
            let safe = &self.past[first.unwrap_or(0)];
            return violated!("the disk has {found:?}, and safe was {safe:?}");
        }
        self.model = found;
        self.broker = self.open(&self.disk.clone())?;
        self.vhost = match self.broker.vhost("/") {
            Some(vhost) => vhost,
            None => return violated!("the virtual host is lost"),
        };
        self.begin_life()
    }

    fn open(&mut self, disk: &FaultyDisk) -> Checked<Arc<Broker>> {
        let entropy = self.random.any();
        let broker = open(disk, self.clock.clone(), self.segment_bytes, entropy);
        broker.map_err(|error| Violation(format!("the node does not start: {error}")))
    }
}

/// What is in the queues of a copy, which are emptied.
fn take_apart(broker: &Arc<Broker>) -> Checked<Vec<Session>> {
    let Some(vhost) = broker.vhost("/") else {
        return violated!("the virtual host is lost");
    };
    let mut found = Vec::new();
    for client in 0..CLIENTS {
        match vhost.queue(&name_of(client), ConnectionId::NOBODY) {
            Ok(queue) => found.push(session_of(broker, &queue)?),
            Err(error) => return violated!("the session of {client} is lost: {error}"),
        }
    }
    Ok(found)
}

fn session_of(broker: &Broker, queue: &Arc<QueueHandle>) -> Checked<Session> {
    let mut messages = BTreeMap::new();
    let mut whole = true;
    let mut take = |delivery: Delivery<'_>| match message_of(delivery.message.body()) {
        Some(id) => whole &= messages.insert(id, delivery.tag).is_none(),
        None => whole = false,
    };
    while matches!(broker.get(queue, true, &mut take), Ok(true)) {}
    if !whole {
        return violated!("{} has a message twice, or damaged", queue.name());
    }
    let expires = queue
        .arguments()
        .get("x-expires")
        .and_then(Value::as_integer);
    Ok(Session {
        notes: broker.notes(queue).into_iter().collect(),
        messages,
        expires_ms: expires.and_then(|ms| u64::try_from(ms).ok()),
    })
}
