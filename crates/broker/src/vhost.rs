//! A virtual host: its exchanges, bindings and the names of its queues.
//!
//! Invariants
//! - A change of definitions and its record are made under one lock; nobody waits for the disk.
//! - The lock of definitions may be held while a partition is asked, never the other way round.
//! - The epoch grows before anybody can act on a change that may alter a route.
//!
//! Not here: listings (`listing`), declaring and deleting queues (`queues`), what a route costs
//! (`ferry-core`).

mod listing;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ferry_core::arguments::Arguments;
use ferry_core::routing::{
    Binding, Destination, Exchange, ExchangeKind, NoSuchExchange, QueueId, Removed,
    SETTLE_EXCHANGE, Topology,
};
use ferry_core::view::MessageView;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::definitions::{self, Definition};
use crate::guard::{Care, Guard};
use crate::policies::Policies;
use crate::pool::Pool;
use crate::room::Newcomer;
use crate::stats::{ExchangeTally, Retirement};
use crate::{
    Broker, ConnectionId, DefinitionError, Promise, QueueHandle, RETAINED_QUEUE, Retained,
    VhostSpec,
};

pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What a declaration of a queue asks for.
#[derive(Debug, Clone)]
pub struct QueueSpec {
    /// Its name; empty for one that the broker makes up.
    pub name: String,
    /// Whether it outlives the broker.
    pub durable: bool,
    /// Whether it belongs to the connection alone, and goes with it.
    pub exclusive: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Everything else.
    pub arguments: Arguments,
}

/// A queue that was declared or looked up.
#[derive(Debug, Clone)]
pub struct QueueDeclared {
    /// The queue.
    pub queue: Arc<QueueHandle>,
    /// Messages that wait.
    pub messages: u64,
    /// Its consumers.
    pub consumers: u32,
    /// When the declaration may be reported.
    pub durable_at: Promise,
}

/// A binding as a client names it.
#[derive(Debug, Clone)]
pub struct BindingSpec<'a> {
    /// The exchange that messages come from.
    pub source: &'a str,
    /// The queue that they go to, by name; or none.
    pub queue: Option<&'a str>,
    /// The exchange that they go to, if they go to no queue.
    pub exchange: Option<&'a str>,
    /// The routing key.
    pub routing_key: &'a [u8],
    /// Everything else.
    pub arguments: Arguments,
    /// Who asks.
    pub connection: ConnectionId,
}

pub(crate) struct Definitions {
    pub topology: Topology,
    pub queues: Map<Arc<str>, Arc<QueueHandle>>,
    pub by_id: Map<QueueId, Arc<QueueHandle>>,
    /// What exchanges do besides routing, for those that do.
    pub cares: Map<Arc<str>, Arc<Care>>,
    pub policies: Policies,
    /// What queues were declared with.
    pub arguments: Pool<Arguments>,
}

impl Definitions {
    /// What an exchange remembers, if it does.
    pub fn guard(&self, exchange: &str) -> Option<&Arc<Guard>> {
        self.cares.get(exchange)?.guard.as_ref()
    }
}

/// A virtual host.
pub struct Vhost {
    pub(crate) name: Arc<str>,
    pub(crate) broker: Weak<Broker>,
    pub(crate) definitions: RwLock<Definitions>,
    epoch: AtomicU64,
    /// Routes that were left to chance so far.
    chances: AtomicU64,
    /// When every definition so far is safe: who finds one that is there already is promised the
    /// same as who made it.
    promised: Mutex<Promise>,
    /// What is said of it.
    pub(crate) spec: RwLock<VhostSpec>,
    pub(crate) deleted: AtomicBool,
    pub(crate) exchange_tallies: Mutex<Map<Arc<str>, Arc<ExchangeTally>>>,
    pub(crate) retirement: Retirement,
    retained: Arc<Retained>,
}

/// What a route found.
pub(crate) struct Routed {
    /// Whether the same exchange and key lead to the same queues until the epoch changes.
    pub cacheable: bool,
}

impl Vhost {
    pub(crate) fn new(name: &str, broker: Weak<Broker>) -> Vhost {
        Vhost {
            name: name.into(),
            retained: Retained::new(broker.clone()),
            broker,
            definitions: RwLock::new(Definitions {
                topology: Topology::new(name),
                queues: Map::default(),
                by_id: Map::default(),
                cares: Map::default(),
                policies: Policies::default(),
                arguments: Pool::default(),
            }),
            epoch: AtomicU64::new(1),
            chances: AtomicU64::new(0),
            promised: Mutex::new(Promise::Now),
            spec: RwLock::new(VhostSpec {
                name: name.to_owned(),
                ..VhostSpec::default()
            }),
            deleted: AtomicBool::new(false),
            exchange_tallies: Mutex::default(),
            retirement: Retirement::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is retained in it.
    pub fn retained(&self) -> &Arc<Retained> {
        &self.retained
    }

    pub(crate) fn broker(&self) -> Arc<Broker> {
        self.broker
            .upgrade()
            .expect("a virtual host is used while its broker lives")
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Writes changes down, none perhaps. The promise covers all changes before as well.
    pub(crate) fn write(
        &self,
        broker: &Broker,
        changes: &[Definition],
    ) -> Result<Promise, DefinitionError> {
        let written = definitions::write(&broker.durability, changes)?;
        let mut promised = self.promised.lock();
        *promised = promised.max(written);
        Ok(*promised)
    }

    /// Covers all changes of definitions so far, whoever made them: what is not there may be gone
    /// in memory only.
    pub fn changes(&self) -> Promise {
        *self.promised.lock()
    }

    pub(crate) fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Declares an exchange, or checks that the one there is equivalent.
    pub fn declare_exchange(&self, exchange: Exchange) -> Result<Promise, DefinitionError> {
        let broker = self.broker();
        let mut definitions = self.definitions.write();
        self.check_alive()?;
        if definitions.topology.exchange(&exchange.name).is_none() {
            broker.admit(Newcomer::Definition)?;
        }
        if !definitions
            .topology
            .declare_exchange(exchange.clone())?
            .created
        {
            return self.write(&broker, &[]);
        }
        let guard = exchange.deduplication().map(|options| {
            let id = QueueId(broker.next_queue_id.fetch_add(1, Ordering::Relaxed));
            Guard::empty(id, exchange.durable, options)
        });
        let guard_id = guard.as_ref().map(|guard| guard.id);
        self.take_care(&mut definitions, &exchange, guard);
        self.changed();
        if !exchange.durable {
            return Ok(Promise::Now);
        }
        let definition = Definition::Exchange {
            vhost: Arc::clone(&self.name),
            exchange,
            guard: guard_id,
        };
        self.write(&broker, &[definition])
    }

    /// Notes what an exchange does besides routing, if anything.
    pub(crate) fn take_care(
        &self,
        definitions: &mut Definitions,
        exchange: &Exchange,
        guard: Option<Guard>,
    ) {
        let care = Care {
            guard: guard.map(Arc::new),
            dead_letter: exchange.dead_letter(),
            interceptor: None,
        };
        definitions.take_care(&exchange.name, care);
    }

    /// What an exchange does besides routing.
    pub(crate) fn care_of(&self, exchange: &str) -> Option<Arc<Care>> {
        let definitions = self.definitions.read();
        definitions.cares.get(exchange).cloned()
    }

    /// An exchange by name.
    pub fn exchange(&self, name: &str) -> Result<Exchange, DefinitionError> {
        let definitions = self.definitions.read();
        definitions
            .topology
            .exchange(name)
            .cloned()
            .ok_or_else(|| self.no_exchange(name))
    }

    /// Deletes an exchange; one that is not there is deleted already.
    pub fn delete_exchange(&self, name: &str, if_unused: bool) -> Result<Promise, DefinitionError> {
        let broker = self.broker();
        let mut definitions = self.definitions.write();
        if definitions.topology.exchange(name).is_none() {
            return self.write(&broker, &[]);
        }
        let removed = definitions.topology.delete_exchange(name, if_unused)?;
        self.changed();
        self.write_removed(&broker, &mut definitions, &removed)
    }

    /// Binds a queue or an exchange to an exchange.
    pub fn bind(&self, spec: &BindingSpec<'_>) -> Result<Promise, DefinitionError> {
        let broker = self.broker();
        let mut definitions = self.definitions.write();
        if definitions.topology.exchange(spec.source).is_none() {
            return Err(self.no_exchange(spec.source));
        }
        let destination = self.destination(&definitions, spec)?;
        let BindingSpec {
            source,
            routing_key,
            arguments,
            ..
        } = spec;
        let topology = &mut definitions.topology;
        if let Err(no_room) = broker.admit(Newcomer::Definition)
            && !topology.is_bound(source, &destination, routing_key, arguments)
        {
            return Err(no_room.into());
        }
        let new = topology.bind(source, &destination, routing_key, arguments)?;
        if !new {
            return self.write(&broker, &[]);
        }
        self.changed();
        let binding = Binding {
            source: Arc::from(*source),
            destination,
            routing_key: routing_key.to_vec(),
            arguments: arguments.clone(),
        };
        if !outlives(&definitions, &binding) {
            return Ok(Promise::Now);
        }
        let definition = Definition::Binding {
            vhost: Arc::clone(&self.name),
            binding,
        };
        self.write(&broker, &[definition])
    }

    /// Unbinds; a binding that is not there is gone already.
    pub fn unbind(&self, spec: &BindingSpec<'_>) -> Result<Promise, DefinitionError> {
        let broker = self.broker();
        let mut definitions = self.definitions.write();
        let destination = match self.destination(&definitions, spec) {
            Ok(destination) => destination,
            Err(DefinitionError::NotFound { .. }) => return self.write(&broker, &[]),
            Err(locked) => return self.unbind_locked(&definitions, spec, locked),
        };
        let BindingSpec {
            source,
            routing_key,
            arguments,
            ..
        } = spec;
        let removed = definitions
            .topology
            .unbind(source, &destination, routing_key, arguments);
        self.changed();
        self.write_removed(&broker, &mut definitions, &removed)
    }

    /// Somebody else's queue: a binding that is there is none of the caller's business.
    fn unbind_locked(
        &self,
        definitions: &Definitions,
        spec: &BindingSpec<'_>,
        locked: DefinitionError,
    ) -> Result<Promise, DefinitionError> {
        let queue = spec.queue.and_then(|name| definitions.queues.get(name));
        let is_this = |view: ferry_core::routing::BindingView<'_>| {
            **view.source == *spec.source && view.routing_key == spec.routing_key
        };
        match queue.is_some_and(|q| definitions.topology.bindings_of_queue(q.id).any(is_this)) {
            true => Err(locked),
            false => Ok(Promise::Now),
        }
    }

    fn destination(
        &self,
        definitions: &Definitions,
        spec: &BindingSpec<'_>,
    ) -> Result<Destination, DefinitionError> {
        match (spec.queue, spec.exchange) {
            (Some(RETAINED_QUEUE), _) => Err(self.reserved(RETAINED_QUEUE)),
            (Some(name), _) => {
                let queue = self.find_queue(definitions, name, spec.connection)?;
                Ok(Destination::Queue(queue.id))
            }
            (None, Some(name)) => Ok(Destination::Exchange(name.into())),
            (None, None) => Err(self.no_queue("")),
        }
    }

    /// Replaces `out` by the queues that a message goes to.
    pub(crate) fn route(
        &self,
        exchange: &str,
        routing_keys: &[&[u8]],
        view: &dyn MessageView,
        out: &mut Vec<Arc<QueueHandle>>,
    ) -> Result<Routed, NoSuchExchange> {
        out.clear();
        let definitions = self.definitions.read();
        if exchange.is_empty() {
            let by_name = |key: &&[u8]| {
                let name = std::str::from_utf8(key).ok()?;
                let name = Some(name).filter(|name| *name != RETAINED_QUEUE)?;
                definitions.queues.get(name).cloned()
            };
            out.extend(routing_keys.iter().filter_map(by_name));
            out.sort_by_key(|queue| queue.id);
            out.dedup_by_key(|queue| queue.id);
            return Ok(Routed {
                cacheable: !out.is_empty(),
            });
        }
        let mut ids = Vec::new();
        let chance = || self.chances.fetch_add(1, Ordering::Relaxed);
        let info =
            definitions
                .topology
                .route_many(exchange, routing_keys, view, &chance, &mut ids)?;
        out.extend(
            ids.iter()
                .filter_map(|id| definitions.by_id.get(id).cloned()),
        );
        Ok(Routed {
            cacheable: info.by_keys_alone,
        })
    }

    pub(crate) fn write_removed(
        &self,
        broker: &Broker,
        definitions: &mut Definitions,
        removed: &Removed,
    ) -> Result<Promise, DefinitionError> {
        for exchange in &removed.exchanges {
            definitions.cares.remove(&exchange.name);
            self.forget_exchange_tally(&exchange.name);
        }
        let vhost = || Arc::clone(&self.name);
        let mut changes: Vec<Definition> = Vec::new();
        for exchange in removed.exchanges.iter().filter(|exchange| exchange.durable) {
            let name = Arc::clone(&exchange.name);
            changes.push(Definition::ExchangeDeleted {
                vhost: vhost(),
                name,
            });
        }
        for binding in &removed.bindings {
            if removed
                .exchanges
                .iter()
                .all(|exchange| exchange.name != binding.source)
                && outlives(definitions, binding)
            {
                let binding = binding.clone();
                changes.push(Definition::BindingDeleted {
                    vhost: vhost(),
                    binding,
                });
            }
        }
        self.write(broker, &changes)
    }

    pub(crate) fn no_queue(&self, name: &str) -> DefinitionError {
        let vhost = self.name.to_string();
        DefinitionError::NotFound {
            what: "queue",
            name: name.to_owned(),
            vhost,
        }
    }

    fn no_exchange(&self, name: &str) -> DefinitionError {
        let vhost = self.name.to_string();
        DefinitionError::NotFound {
            what: "exchange",
            name: name.to_owned(),
            vhost,
        }
    }
}

/// Whether a binding survives a restart: both of its ends do.
pub(crate) fn outlives(definitions: &Definitions, binding: &Binding) -> bool {
    let durable = |name: &str| {
        definitions
            .topology
            .exchange(name)
            .is_some_and(|exchange| exchange.durable)
    };
    durable(&binding.source)
        && match &binding.destination {
            Destination::Queue(id) => definitions.by_id.get(id).is_some_and(|queue| queue.kept),
            Destination::Exchange(name) => durable(name),
        }
}

/// Whether an exchange is one of those that every virtual host has.
pub fn predeclared(exchange: &Exchange) -> bool {
    exchange.name.starts_with("amq.") && exchange.kind != ExchangeKind::Direct
        || matches!(&*exchange.name, "amq.direct" | SETTLE_EXCHANGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_virtual_host_has_is_known_as_such() {
        let topology = Topology::new("/");
        assert!(topology.exchanges().all(predeclared));
        for name in ["amqp", "settle", "ferry.settle.mine"] {
            assert!(!predeclared(&Exchange::new(name, ExchangeKind::Topic)));
        }
    }
}
