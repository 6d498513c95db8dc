//! Misfortune: crashes, stops, disks that fill up and fail; and coming back from them.
//!
//! Before each start everything on the disk is copied, and a second broker opens the copy, at a
//! time at which nothing expires, and is drained: that is what the model is compared with. The
//! broker itself then goes on from the same bytes.
//!
//! Invariants
//! - A start fails only while a fault was asked for, and succeeds after the next crash.
//! - After a failure of the log no reply is given that was not given before.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry_broker::{
    Broker, Burst, Delivery, ExchangeKind, NoView, Published, Publisher, QueueHandle,
    SETTLE_EXCHANGE,
};
use ferry_core::arguments::Value;
use ferry_core::message::Draft;
use ferry_core::queue::QueueKind;
use ferry_log::Position;
use ferry_log::testing::{Crash, Fault, FaultyDisk};

use crate::clock::VirtualClock;
use crate::format::plain;
use crate::model::order::FILTERS;
use crate::model::recover::{Ending, Found, FoundQueue, State};
use crate::model::routing::Kind;
use crate::outlet::Seen;
use crate::world::{World, open};
use crate::{Checked, Violation, peek, violated};

/// The last so many ids are asked for after a start.
const IDENTITIES_ASKED: u64 = 200;

/// Starts that are tried before one must succeed.
const STARTS_MAX: u64 = 4;

impl World {
    /// The disk will have no room soon.
    pub(crate) fn disk_full(&mut self) -> Checked {
        let bytes = self.random.below(4 * self.segment_bytes);
        self.trace.line(format!("  {bytes} bytes are left"));
        self.disk.enospc_after(bytes);
        self.disk_limited = true;
        Ok(())
    }

    /// A call of the disk will fail soon.
    pub(crate) fn disk_fault(&mut self) -> Checked {
        let fault = [Fault::Io, Fault::NoSpace, Fault::Short][self.random.below(3) as usize];
        let call = 1 + self.random.below(12);
        let for_ever = self.random.chance(40);
        self.trace
            .line(format!("  {fault:?} at call {call}, {for_ever}"));
        self.disk.fail_call(call, fault, for_ever);
        self.fault_armed = true;
        Ok(())
    }

    /// The disk is well, and what waited for it is done.
    pub(crate) fn heal(&mut self) -> Checked {
        self.disk.heal();
        self.disk.set_capacity(None);
        (self.fault_armed, self.disk_limited) = (false, false);
        if self.broker.failed().is_some() {
            return Ok(());
        }
        // What a full disk held up goes first, what came meanwhile second.
        self.commit_log_once()?;
        self.commit_log_once()?;
        self.poll()?;
        if self.broker.log().disk_full() || self.broker.memory().blocked().is_some_and(is_disk) {
            return violated!("the disk has room and publishers are held");
        }
        if self.broker.log().pending() == ferry_log::Pending::None && !self.pending.is_empty() {
            return violated!(
                "{} replies are not given by a well disk",
                self.pending.len()
            );
        }
        Ok(())
    }

    fn commit_log_once(&mut self) -> Checked {
        let result = self.broker.commit_log();
        result.map_err(|error| Violation(format!("a commit on a well disk: {error}")))
    }

    /// The log has failed: nothing is confirmed, and the node starts again from the disk.
    pub(crate) fn after_failure(&mut self) -> Checked {
        let cause = self.broker.failed().unwrap_or_default();
        self.trace.line(format!("  the log failed: {cause}"));
        self.excuse("the log failed", &cause)?;
        self.poll()?;
        let waiting = self.pending.len();
        let mut burst = Burst::new();
        let id = self.next_message;
        self.next_message += 1;
        let properties = crate::format::properties(id);
        let body = crate::body::body(id, 64);
        let draft = Draft {
            persistent: self.random.chance(50),
            ..plain("d1", &properties, &body)
        };
        let publisher = &mut self.clients[0].publisher;
        let tag = Some(World::tag(id));
        let published = burst.publish(&self.broker, publisher, &draft, &NoView, tag);
        let routed = published == Ok(ferry_broker::Published::Routed);
        let ticket = burst.submit(&self.broker);
        let promise = ticket.and_then(|ticket| ticket.resolved());
        if routed && promise.is_some_and(|promise| self.broker.kept(promise)) {
            return violated!("a publish is confirmed after the log has failed");
        }
        if self.broker.commit_log().is_ok() {
            return violated!("a failed log commits");
        }
        let _events_of_the_dead = self.events.take();
        self.poll()?;
        if self.pending.len() != waiting {
            return violated!("a reply was given after the log had failed");
        }
        self.crash()
    }

    /// The node dies and comes back.
    pub(crate) fn crash(&mut self) -> Checked {
        let kinds = [
            Crash::Process,
            Crash::LoseAll,
            Crash::LoseSome,
            Crash::LoseSome,
        ];
        let kind = kinds[self.random.below(4) as usize];
        self.poll()?;
        self.die(kind, false, false)
    }

    /// The node is stopped in order and comes back.
    pub(crate) fn restart(&mut self) -> Checked {
        self.poll()?;
        match self.broker.close() {
            Ok(noted) => {
                self.poll()?;
                self.die(Crash::LoseAll, noted, !noted)
            }
            Err(error) => {
                self.trace.line(format!("  no clean stop: {error}"));
                self.excuse("a stop failed", &error)?;
                self.die(Crash::LoseSome, false, true)
            }
        }
    }

    fn die(&mut self, kind: Crash, clean: bool, stop_failed: bool) -> Checked {
        self.restarts += 1;
        self.poll_retained();
        let log = self.broker.log();
        let position = if kind == Crash::Process {
            log.written()
        } else {
            log.durable()
        };
        let ending = Ending {
            clean,
            stop_failed,
            power_lost: kind != Crash::Process,
            safe: self.safe_step(position),
        };
        self.trace.line(format!("  {kind:?}, {ending:?}"));
        self.disk.crash(kind);
        self.disk.set_capacity(None);
        (self.fault_armed, self.disk_limited) = (false, false);
        let _events_of_the_dead = self.events.take();
        let found = self.start(&mut { ending }, kind)?;
        self.begin_life();
        self.model.recover(ending, found)?;
        self.recover_retained()?;
        self.trace_disk();
        Ok(())
    }

    /// Starts until it succeeds, with faults at first, and says what a copy of the disk held.
    fn start(&mut self, ending: &mut Ending, kind: Crash) -> Checked<Found> {
        for attempt in 0.. {
            let copy = self.disk.fork(self.random.any());
            // After a stop in order, or one that looks so, the start has to note that first.
            let is_free = !ending.clean && !ending.stop_failed;
            let armed = attempt < STARTS_MAX && is_free && self.random.chance(30);
            if armed {
                let call = 1 + self.random.below(8);
                let fault = [Fault::Io, Fault::NoSpace][self.random.below(2) as usize];
                self.disk.fail_call(call, fault, self.random.chance(50));
            }
            let entropy = self.random.any();
            self.lives += 1;
            match open(&self.disk, self.clock.clone(), self.segment_bytes, entropy) {
                Ok(broker) => {
                    self.disk.heal();
                    self.broker = broker;
                    return self.look_into(&copy);
                }
                Err(error) if armed => {
                    self.trace.line(format!("  no start: {error}"));
                    self.disk.crash(kind);
                }
                Err(error) => return violated!("the node does not start: {error}"),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Opens a copy of the disk and takes everything out of it.
    pub(crate) fn look_into(&mut self, copy: &FaultyDisk) -> Checked<Found> {
        let still = Arc::new(VirtualClock::new(0));
        let broker = match open(copy, still, self.segment_bytes, self.random.any()) {
            Ok(broker) => broker,
            Err(error) => return violated!("a copy of the disk does not open: {error}"),
        };
        let Some(vhost) = broker.vhost("/") else {
            return violated!("the first virtual host is lost");
        };
        let mut found = Found::default();
        for queue in vhost.queues() {
            let found_queue = self.look_into_queue(&broker, &queue)?;
            match queue.kind() {
                QueueKind::Stream => found.streams.push(found_queue),
                _ => found.queues.push(found_queue),
            }
        }
        found.policy = World::policy_of(&broker)?;
        for (binding, _) in vhost.bindings() {
            if let ferry_broker::Destination::Queue(id) = &binding.destination {
                let key = String::from_utf8_lossy(&binding.routing_key).into_owned();
                let filter = binding.arguments.get("x-filter").and_then(Value::as_bytes);
                let named = |filter: &[u8]| {
                    let mut all = FILTERS.iter();
                    all.position(|(text, _)| text.as_bytes() == filter)
                };
                let source = binding.source.to_string();
                found
                    .bindings
                    .insert((source, id.0, key, filter.and_then(named)));
            }
        }
        found.exchanges = vhost
            .exchanges()
            .into_iter()
            .filter(|exchange| !exchange.name.is_empty() && !exchange.name.starts_with("amq."))
            .filter(|exchange| *exchange.name != *SETTLE_EXCHANGE)
            .filter_map(|exchange| {
                let kind = match exchange.kind {
                    ExchangeKind::Direct => Kind::Direct,
                    ExchangeKind::Fanout => Kind::Fanout,
                    ExchangeKind::Topic => Kind::Topic,
                    ExchangeKind::ConsistentHash => Kind::Hash,
                    _ => return None,
                };
                Some((exchange.name.to_string(), kind))
            })
            .collect();
        let used = broker.memory().body_bytes();
        if used != 0 {
            return violated!("{used} bytes of memory are used by a drained copy");
        }
        Ok(found)
    }
}

impl World {
    /// What is in a queue of a copy, which is emptied of what is ready.
    fn look_into_queue(
        &mut self,
        broker: &Arc<Broker>,
        queue: &Arc<QueueHandle>,
    ) -> Checked<FoundQueue> {
        let (id, name) = (queue.id().0, queue.name().to_owned());
        let mut messages = peek::all(broker, queue)?;
        let ids = self.known_ids(broker, queue)?;
        if queue.kind() == QueueKind::Stream {
            let shown = messages.iter().map(|found| (found.seen.message, found.seq));
            let shown: Vec<_> = shown.collect();
            self.trace.line(format!("    {name} has {shown:?}"));
            return Ok(FoundQueue {
                id,
                name,
                messages,
                ids,
            });
        }
        // Keys that wait are passed over otherwise.
        broker.command(queue, |queue, context| {
            let mut options = queue.options().clone();
            if options.shards.take().is_some() {
                options.max_length = None;
                queue.set_options(Arc::new(options), context);
            }
        });
        let mut taken = Vec::new();
        let mut take = |delivery: Delivery<'_>| taken.extend(Seen::new(&delivery));
        while matches!(broker.get(queue, true, &mut take), Ok(true)) {}
        if queue.ready() > 0 {
            return violated!("queue {name} can not be drained: a message is damaged");
        }
        let ready = messages
            .iter_mut()
            .filter(|found| found.state == State::Ready);
        let mut count = 0;
        for (found, seen) in ready.zip(taken.iter()) {
            if found.seen.message != seen.message {
                return violated!("queue {name} shows another order than it delivers");
            }
            count += 1;
            found.seen = seen.clone();
        }
        if count != taken.len() {
            return violated!("queue {name} delivered {} and shows {count}", taken.len());
        }
        for found in &mut messages {
            found.came_by = found.position.and_then(|at| self.step_of(Position(at)));
            let (message, redelivered) = (found.seen.message, found.seen.redelivered);
            let state = &found.state;
            self.trace.line(format!(
                "    {name} has {message:?} {redelivered} {state:?}"
            ));
        }
        if !ids.is_empty() {
            self.trace.line(format!("    {name} knows {ids:?}"));
        }
        Ok(FoundQueue {
            id,
            name,
            messages,
            ids,
        })
    }

    /// Which ids a queue of a copy counts, of those that it ever took or could have taken. It is
    /// made full for that, so that an id that is new is refused and leaves no trace.
    fn known_ids(&self, broker: &Arc<Broker>, queue: &Arc<QueueHandle>) -> Checked<BTreeSet<u64>> {
        if queue.options().deduplication.is_none() {
            return Ok(BTreeSet::new());
        }
        broker.command(queue, |queue, context| {
            let options = ferry_core::queue::Options {
                max_length: Some(0),
                overflow: ferry_core::queue::Overflow::RejectPublish,
                ..queue.options().clone()
            };
            queue.set_options(Arc::new(options), context);
        });
        let Some(vhost) = broker.vhost("/") else {
            return violated!("the first virtual host is lost");
        };
        let mut publisher = Publisher::new(vhost);
        let mut burst = Burst::new();
        let first = self.next_identity.saturating_sub(IDENTITIES_ASKED).max(1);
        let asked: Vec<u64> = (first..self.next_identity).collect();
        for identity in &asked {
            let properties = crate::format::identified(0, Some(*identity));
            let draft = plain(queue.name(), &properties, b"");
            let tag = Some(World::tag(*identity));
            let published = burst.publish(broker, &mut publisher, &draft, &NoView, tag);
            if published != Ok(Published::Routed) {
                return violated!("a probe of {}: {published:?}", queue.name());
            }
        }
        let mut known: BTreeSet<u64> = asked.into_iter().collect();
        if let Some(ticket) = burst.submit(broker) {
            for tag in ticket.rejected().iter() {
                known.remove(&tag.tag);
            }
        }
        Ok(known)
    }
}

fn is_disk(reason: ferry_broker::BlockReason) -> bool {
    reason == ferry_broker::BlockReason::Disk
}
