//! Consumers that come, go, run full and resume; gets; connections that end.
//!
//! Invariants
//! - A consumer is told that it consumes before its first delivery.

use std::sync::Arc;

use ferry_broker::{Burst, Choice, Clock, ConsumerSpec, Outcome};

use ferry_core::filter::Filter;

use crate::model::Change;
use crate::model::order::FILTERS;
use crate::model::queue::{Consumer, QueueModel};
use crate::outlet::{Event, Seen, SimOutlet};
use crate::world::{SimConsumer, World};
use crate::{Checked, violated};

/// Consumers of one client.
const CONSUMERS_MAX: usize = 6;

impl World {
    /// A queue by chance that a client may use; a refusal of one that it may not is checked.
    fn usable_queue(&mut self, client: usize) -> Checked<Option<(u64, String)>> {
        let all: Vec<(u64, String, Option<usize>)> = self
            .model
            .queues
            .values()
            .map(|q| (q.id, q.name.clone(), q.owner))
            .collect();
        let Some((id, name, owner)) = self.any_of(&all) else {
            return Ok(None);
        };
        let found = self.vhost.queue(&name, self.clients[client].connection);
        let may = owner.is_none_or(|owner| owner == client);
        if found.is_ok() != may {
            return violated!("client {client} looked for {name}: {:?}", found.err());
        }
        Ok(may.then_some((id, name)))
    }

    /// A consumer comes.
    pub(crate) fn consume(&mut self) -> Checked {
        let client = self.any_client();
        if self.clients[client].consumers.len() >= CONSUMERS_MAX {
            return Ok(());
        }
        let Some((queue, name)) = self.usable_queue(client)? else {
            return Ok(());
        };
        let number = self.next_consumer;
        self.next_consumer += 1;
        let capacity_bytes = [700, 5_000, 1 << 20][self.random.below(3) as usize];
        let outlet = Arc::new(SimOutlet::new(number, self.events.clone(), capacity_bytes));
        let no_ack = self.random.chance(25);
        let prefetch = [0, 1, 3, 10][self.random.below(4) as usize];
        let priority = [0, 0, 0, 5][self.random.below(4) as usize];
        self.trace.line(format!(
            "  consumer {number} of {name}, {no_ack} {prefetch} {priority}"
        ));
        let filter = self.draw_filter(&name);
        let compiled = filter.map(|filter| Filter::compile(FILTERS[filter].0));
        let compiled = match compiled.transpose() {
            Ok(compiled) => compiled.flatten(),
            Err(error) => return violated!("a filter is refused: {error}"),
        };
        let spec = ConsumerSpec {
            tag: format!("c{number}"),
            no_ack,
            exclusive: false,
            priority,
            prefetch,
            choice: Choice {
                filter: compiled,
                ..Choice::default()
            },
            outlet: outlet.clone(),
        };
        let connection = self.clients[client].connection;
        let handle = match self.vhost.queue(&name, connection) {
            Ok(handle) => handle,
            Err(error) => return violated!("the queue {name} was just there: {error}"),
        };
        let events = self.events.clone();
        let mut started = || events.push(Event::Started(number));
        let handle = match self.broker.consume(&handle, spec, &mut started) {
            Ok(handle) => handle,
            Err(error) => return violated!("consuming from {name}: {error}"),
        };
        self.clients[client].consumers.push(SimConsumer {
            number,
            handle,
            outlet,
        });
        let state = Consumer {
            client,
            no_ack,
            prefetch,
            unsettled: 0,
            priority,
            filter,
        };
        self.observe(vec![Change::Subscribe {
            queue,
            consumer: number,
            state,
        }])?;
        Ok(())
    }

    fn draw_filter(&mut self, name: &str) -> Option<usize> {
        let percent = if name.starts_with('o') {
            35
        } else {
            self.workload.order / 2
        };
        let filtered = self.random.chance(percent);
        filtered.then(|| self.random.below(FILTERS.len() as u64) as usize)
    }

    /// A consumer goes; what it holds stays with its client.
    pub(crate) fn cancel_any(&mut self) -> Checked {
        let client = self.any_client();
        let count = self.clients[client].consumers.len() as u64;
        if count == 0 {
            return Ok(());
        }
        let index = self.random.below(count) as usize;
        self.cancel(client, index)
    }

    pub(crate) fn cancel(&mut self, client: usize, index: usize) -> Checked {
        let consumer = self.clients[client].consumers.remove(index);
        let queue = consumer.handle.queue().id().0;
        self.trace
            .line(format!("  cancel consumer {}", consumer.number));
        self.broker.cancel(&consumer.handle);
        self.observe(vec![Change::Unsubscribe {
            queue,
            consumer: consumer.number,
        }])?;
        let goes = self
            .model
            .queues
            .get(&queue)
            .is_some_and(|model| model.auto_delete && model.consumers.is_empty());
        if goes {
            self.model.remove_queue(queue);
        }
        Ok(())
    }

    /// Outlets have room again.
    pub(crate) fn flush(&mut self) -> Checked {
        let client = self.any_client();
        // One by one: who has room again is served before the next has.
        for index in 0..self.clients[client].consumers.len() {
            let Some(consumer) = self.clients[client].consumers.get(index) else {
                continue;
            };
            if consumer.outlet.flush() {
                let handle = consumer.handle.clone();
                self.broker.resume(&[handle]);
                self.observe(Vec::new())?;
            }
        }
        Ok(())
    }

    /// Somebody asks for single messages.
    pub(crate) fn get(&mut self) -> Checked {
        let client = self.any_client();
        let Some((queue, name)) = self.usable_queue(client)? else {
            return Ok(());
        };
        let no_ack = self.random.chance(40);
        for _ in 0..1 + self.random.below(4) {
            self.get_one(client, queue, &name, no_ack)?;
        }
        Ok(())
    }

    /// Takes one message; false if there is none.
    pub(crate) fn get_one(
        &mut self,
        client: usize,
        queue: u64,
        name: &str,
        no_ack: bool,
    ) -> Checked<bool> {
        let now = self.clock.now();
        let waits = |model: &QueueModel| model.has_for_anyone(now);
        let waiting = self.model.queues.get(&queue).is_some_and(waits);
        let handle = match self.vhost.queue(name, self.clients[client].connection) {
            Ok(handle) => handle,
            Err(error) => return violated!("the queue {name} was just there: {error}"),
        };
        let events = self.events.clone();
        let mut take = |delivery: ferry_broker::Delivery<'_>| {
            if let Some(seen) = Seen::new(&delivery) {
                events.push(Event::Got(client, seen));
            }
        };
        match self.broker.get(&handle, no_ack, &mut take) {
            Ok(had_one) if had_one == waiting => {
                self.observe(vec![Change::Look(queue)])?;
                Ok(had_one)
            }
            Ok(had_one) => {
                violated!("a get from {name} with something ready, {waiting}: {had_one}")
            }
            Err(error) => violated!("a get from {name}: {error}"),
        }
    }

    /// A client ends its connection, as its door does: consumers go, what is held comes back.
    pub(crate) fn reconnect(&mut self) -> Checked {
        let client = self.any_client();
        while !self.clients[client].consumers.is_empty() {
            self.cancel(client, 0)?;
        }
        let (mut burst, mut changes) = (Burst::new(), Vec::new());
        for held in std::mem::take(&mut self.clients[client].held) {
            burst.settle(&held.queue, held.lease, Outcome::Requeue);
            let (queue, lease) = (held.queue.id().0, held.number);
            changes.push(Change::Settle {
                queue,
                lease,
                outcome: Outcome::Requeue,
                transaction: None,
            });
        }
        burst.submit(&self.broker);
        self.observe(changes)?;
        self.broker
            .connection_closed(self.clients[client].connection);
        let own = self
            .model
            .queues
            .values()
            .filter(|queue| queue.owner == Some(client));
        for queue in own.map(|queue| queue.id).collect::<Vec<_>>() {
            self.model.remove_queue(queue);
        }
        self.observe(Vec::new())?;
        self.clients[client] = self.connect();
        Ok(())
    }
}
