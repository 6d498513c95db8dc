//! Declaring, binding, purging and deleting.
//!
//! Queues that dead letters go to drop nothing for want of room: the order of dead letters that
//! arrive in one step is not known to the model, so it could not tell which of them is dropped.
//!
//! Invariants
//! - A queue's rules are drawn when it is declared; only the policy changes them.

use ferry_broker::{BindingSpec, ErrorKind, Exchange, ExchangeKind, QueueSpec};
use ferry_core::arguments::Arguments;

use super::arguments::{arguments, text};
use super::ruled::{HASH, STRICT, WEIGHTS, set_rules};
use crate::model::Life;
use crate::model::order::FILTERS;
use crate::model::queue::QueueModel;
use crate::model::routing::{Binding, ExchangeModel, Kind};
use crate::model::rules::{PLAIN, Rules};
use crate::world::{Defined, Pending, World};
use crate::{Checked, violated};

/// Names of queues: work, dead letters, auto-delete, transient, exclusive.
const QUEUES: [&str; 13] = [
    "w0", "w1", "w2", "w3", "w4", "w5", "d0", "d1", "d2", "a0", "t0", "x0", "x1",
];

/// Queues with shards and filters.
const ORDER: [&str; 3] = ["o0", "o1", "o2"];

/// Keys of bindings.
const BINDING_KEYS: [&str; 7] = ["k0", "k1", "k0.b", "*", "#", "k0.*", "*.b.#"];

/// Exchanges that queues are bound to.
const SOURCES: [&str; 7] = ["fan", "dir", "top", "churn0", "churn1", STRICT, HASH];

impl World {
    /// What every world begins with.
    pub(crate) fn define_first(&mut self) -> Checked {
        let kinds = [
            ("fan", Kind::Fanout),
            ("dir", Kind::Direct),
            ("top", Kind::Topic),
        ];
        for (name, kind) in kinds.into_iter().chain([("dead", Kind::Fanout)]) {
            self.declare_exchange(name, kind, true)?;
        }
        for name in ["w0", "w1", "d0", "d1", "d2"] {
            self.declare(0, name)?;
        }
        if self.workload.order > 0 {
            self.declare_exchange(STRICT, Kind::Topic, true)?;
            self.declare_exchange(HASH, Kind::Hash, true)?;
            set_rules(self)?;
        }
        let d1 = self.model.queue_named("d1").map(|queue| queue.id);
        d1.map_or(Ok(()), |d1| {
            self.bind_to(0, ("dead".to_owned(), d1, String::new(), None))
        })
    }

    /// Dead letters that had nowhere to go have somewhere to go.
    pub(crate) fn open_ways(&mut self) -> Checked {
        self.model.step += 1;
        // What is too long for a queue with a limit in bytes would stay for ever.
        let limited = self.model.queue_named("d2").map(|queue| queue.id);
        if let Some(id) = limited {
            let connection = self.clients[0].connection;
            let deleted = self.vhost.delete_queue("d2", false, false, connection);
            if let Err(error) = deleted {
                return violated!("deleting d2: {error}");
            }
            self.model.remove_queue(id);
            self.observe(Vec::new())?;
        }
        for name in ["w0", "d0", "d1", "d2"] {
            if self.model.queue_named(name).is_none() {
                let rules = match name {
                    "d2" => PLAIN,
                    _ => self.draw_rules(name),
                };
                self.declare_as(0, name, rules)?;
            }
        }
        self.declare_exchange("dead", Kind::Fanout, true)?;
        self.declare_exchange("nowhere", Kind::Fanout, true)?;
        let d1 = self.model.queue_named("d1").map(|queue| queue.id);
        d1.map_or(Ok(()), |d1| {
            self.bind_to(0, ("dead".to_owned(), d1, String::new(), None))?;
            self.bind_to(0, ("nowhere".to_owned(), d1, String::new(), None))
        })?;
        self.end_step()
    }

    /// A queue is declared, perhaps once more.
    pub(crate) fn declare_queue(&mut self) -> Checked {
        let client = self.any_client();
        let name = match self.random.chance(self.workload.order) {
            true => ORDER[self.random.below(ORDER.len() as u64) as usize],
            false => QUEUES[self.random.below(QUEUES.len() as u64) as usize],
        };
        self.declare(client, name)
    }

    fn declare(&mut self, client: usize, name: &str) -> Checked {
        let known = self.model.queue_named(name);
        let rules = match known {
            Some(known) => known.declared.clone(),
            None => self.draw_rules(name),
        };
        self.declare_as(client, name, rules)
    }

    fn declare_as(&mut self, client: usize, name: &str, rules: Rules) -> Checked {
        let known = self.model.queue_named(name).cloned();
        let (exclusive, auto_delete) = (name.starts_with('x'), name.starts_with('a'));
        let as_durable = !name.starts_with('t');
        let differs = known.is_some() && self.random.chance(10);
        let spec = QueueSpec {
            name: name.to_owned(),
            durable: as_durable != differs,
            exclusive,
            auto_delete,
            arguments: arguments(&rules),
        };
        let connection = self.clients[client].connection;
        self.trace
            .line(format!("  declare {name} by {client}: {rules:?}"));
        let declared = self.vhost.declare_queue(spec, connection);
        if let Some(known) = known {
            let locked = known.owner.is_some_and(|owner| owner != client);
            let expected = match (locked, differs) {
                (true, _) => Some(ErrorKind::ResourceLocked),
                (false, true) => Some(ErrorKind::PreconditionFailed),
                (false, false) => None,
            };
            let (ready, consumers) = (known.ready.len() as u64, known.consumers.len() as u32);
            return match (declared, expected) {
                (Err(error), Some(kind)) if error.kind() == kind => Ok(()),
                (Ok(found), None) if (found.messages, found.consumers) == (ready, consumers) => {
                    if found.queue.id().0 == known.id {
                        let what = Defined::Queue(known.id);
                        self.pending
                            .push(Pending::Definition(found.durable_at, what));
                    }
                    Ok(())
                }
                (other, _) => violated!("declaring {name} again: {other:?}"),
            };
        }
        let declared = match declared {
            Ok(declared) => declared,
            Err(error) => return violated!("declaring {name}: {error}"),
        };
        let id = declared.queue.id().0;
        let owner = exclusive.then_some(client);
        let model = self.new_queue(id, name, rules, owner);
        self.model.queues.insert(
            id,
            QueueModel {
                durable: as_durable && !exclusive,
                auto_delete,
                ..model
            },
        );
        self.pending
            .push(Pending::Definition(declared.durable_at, Defined::Queue(id)));
        Ok(())
    }

    fn new_queue(&self, id: u64, name: &str, rules: Rules, owner: Option<usize>) -> QueueModel {
        QueueModel {
            id,
            name: name.to_owned(),
            durable: false,
            auto_delete: false,
            owner,
            rules: self.model.rules_of(name, &rules),
            declared: rules,
            born: self.model.step,
            confirmed: false,
            ready: Default::default(),
            delayed: Default::default(),
            leased: Default::default(),
            lost: Default::default(),
            stuck: Default::default(),
            gone: Vec::new(),
            window: Default::default(),
            consumers: Default::default(),
            active: None,
            owners: Default::default(),
            paused: Default::default(),
            shared: Default::default(),
            pace: Default::default(),
        }
    }

    /// A queue is deleted, perhaps only if it is unused or empty.
    pub(crate) fn delete_queue(&mut self) -> Checked {
        let client = self.any_client();
        let name = QUEUES[self.random.below(QUEUES.len() as u64) as usize];
        let (if_unused, if_empty) = (self.random.chance(30), self.random.chance(30));
        let connection = self.clients[client].connection;
        self.trace.line(format!(
            "  delete {name} by {client}, {if_unused} {if_empty}"
        ));
        let deleted = self
            .vhost
            .delete_queue(name, if_unused, if_empty, connection);
        let Some(known) = self.model.queue_named(name).cloned() else {
            return match deleted {
                Ok((0, _)) => Ok(()),
                other => violated!("deleting {name}, which is not there: {other:?}"),
            };
        };
        let locked = known.owner.is_some_and(|owner| owner != client);
        let used = if_unused && !known.consumers.is_empty();
        let filled = if_empty && !known.ready.is_empty();
        match deleted {
            Err(_) if locked || used || filled => Ok(()),
            Ok((count, promise)) if !locked && !used && !filled => {
                if count != known.ready.len() as u64 {
                    return violated!("deleting {name} dropped {count}");
                }
                self.model.remove_queue(known.id);
                self.observe(Vec::new())?;
                let what = Defined::QueueGone(known.id);
                self.pending.push(Pending::Definition(promise, what));
                Ok(())
            }
            other => violated!("deleting {name}: {other:?}"),
        }
    }

    /// The ready messages of a queue are dropped.
    pub(crate) fn purge(&mut self) -> Checked {
        let client = self.any_client();
        let queues: Vec<_> = self
            .model
            .queues
            .values()
            .filter(|q| q.owner.is_none())
            .collect();
        let names: Vec<(u64, String)> = queues.iter().map(|q| (q.id, q.name.clone())).collect();
        let Some((id, name)) = self.any_of(&names) else {
            return Ok(());
        };
        let connection = self.clients[client].connection;
        self.trace.line(format!("  purge {name}"));
        let purged = self.vhost.purge_queue(&name, connection);
        let step = self.model.step;
        let Some(queue) = self.model.queues.get_mut(&id) else {
            return Ok(());
        };
        let ready = std::mem::take(&mut queue.ready);
        let count = ready.len() as u64;
        ready
            .into_values()
            .for_each(|instance| queue.leaves(instance, step, None));
        match purged {
            Ok((purged, _)) if purged == count => Ok(()),
            other => violated!("purging {name} of {count}: {other:?}"),
        }
    }

    fn draw_binding(&mut self) -> Option<Binding> {
        let source = SOURCES[self.random.below(SOURCES.len() as u64) as usize].to_owned();
        // Dead-letter queues take what dies and nothing else that could overflow.
        let streams = self.model.streams.keys();
        let queues: Vec<u64> = self.model.queues.keys().chain(streams).copied().collect();
        let queue = self.any_of(&queues)?;
        let keys: &[&str] = match &*source {
            HASH => &WEIGHTS,
            _ => &BINDING_KEYS,
        };
        let key = keys[self.random.below(keys.len() as u64) as usize];
        let filtered = self.random.chance(self.workload.order * 2);
        let filter = filtered.then(|| self.random.below(FILTERS.len() as u64) as usize);
        Some((source, queue, key.to_owned(), filter))
    }

    fn spec<'a>(&self, client: usize, binding: &'a Binding, queue: &'a str) -> BindingSpec<'a> {
        let mut arguments = Arguments::new();
        if let Some(filter) = binding.3 {
            text(&mut arguments, "x-filter", FILTERS[filter].0);
        }
        BindingSpec {
            source: &binding.0,
            queue: Some(queue),
            exchange: None,
            routing_key: binding.2.as_bytes(),
            arguments,
            connection: self.clients[client].connection,
        }
    }

    /// Name and owner of a queue or stream.
    fn bound_queue(&self, id: u64) -> (String, Option<usize>) {
        match self.model.streams.get(&id) {
            Some(stream) => (stream.name.clone(), None),
            None => {
                let queue = &self.model.queues[&id];
                (queue.name.clone(), queue.owner)
            }
        }
    }

    /// A queue is bound.
    pub(crate) fn bind(&mut self) -> Checked {
        let client = self.any_client();
        match self.draw_binding() {
            Some(binding) => self.bind_to(client, binding),
            None => Ok(()),
        }
    }

    fn bind_to(&mut self, client: usize, binding: Binding) -> Checked {
        let (name, owner) = self.bound_queue(binding.1);
        let may = owner.is_none_or(|owner| owner == client)
            && self.model.routing.exchanges.contains_key(&binding.0);
        self.trace.line(format!("  bind {name}: {binding:?}"));
        match self.vhost.bind(&self.spec(client, &binding, &name)) {
            Ok(promise) if may => {
                let life = Life::new(self.model.step);
                self.model
                    .routing
                    .bindings
                    .entry(binding.clone())
                    .or_insert(life);
                self.pending
                    .push(Pending::Definition(promise, Defined::Binding(binding)));
                Ok(())
            }
            Err(_) if !may => Ok(()),
            other => violated!("binding {binding:?}: {other:?}"),
        }
    }

    /// A queue is unbound, from what it was bound to mostly.
    pub(crate) fn unbind(&mut self) -> Checked {
        let client = self.any_client();
        let known: Vec<Binding> = self.model.routing.bindings.keys().cloned().collect();
        let drawn = if self.random.chance(80) {
            self.any_of(&known)
        } else {
            self.draw_binding()
        };
        let Some(binding) = drawn.filter(|binding| binding.0 != "dead") else {
            return Ok(());
        };
        let (name, owner) = self.bound_queue(binding.1);
        // What is not bound is unbound; only somebody else's binding is refused.
        let bound = self.model.routing.bindings.contains_key(&binding);
        let may = !bound || owner.is_none_or(|owner| owner == client);
        self.trace.line(format!("  unbind {name}: {binding:?}"));
        match self.vhost.unbind(&self.spec(client, &binding, &name)) {
            Ok(promise) if may => {
                self.model.routing.unbind(&binding, self.model.step);
                self.pending
                    .push(Pending::Definition(promise, Defined::BindingGone(binding)));
                Ok(())
            }
            Err(_) if !may => Ok(()),
            other => violated!("unbinding {binding:?}: {other:?}"),
        }
    }

    /// An exchange comes or goes.
    pub(crate) fn exchange(&mut self) -> Checked {
        let name = ["churn0", "churn1"][self.random.below(2) as usize];
        let durable = name == "churn0";
        let kind = [Kind::Fanout, Kind::Topic][self.random.below(2) as usize];
        if self.model.routing.exchanges.contains_key(name) && self.random.chance(50) {
            self.trace.line(format!("  delete exchange {name}"));
            return match self.vhost.delete_exchange(name, false) {
                Ok(promise) => {
                    self.model.routing.exchange_gone(name, self.model.step);
                    let what = Defined::ExchangeGone(name.to_owned());
                    self.pending.push(Pending::Definition(promise, what));
                    Ok(())
                }
                Err(error) => violated!("deleting exchange {name}: {error}"),
            };
        }
        self.declare_exchange(name, kind, durable)
    }

    fn declare_exchange(&mut self, name: &str, kind: Kind, durable: bool) -> Checked {
        let known = self
            .model
            .routing
            .exchanges
            .get(name)
            .map(|exchange| exchange.kind);
        let broker_kind = match kind {
            Kind::Direct => ExchangeKind::Direct,
            Kind::Fanout => ExchangeKind::Fanout,
            Kind::Topic => ExchangeKind::Topic,
            Kind::Hash => ExchangeKind::ConsistentHash,
        };
        let exchange = Exchange {
            durable,
            ..Exchange::new(name, broker_kind)
        };
        self.trace
            .line(format!("  declare exchange {name} {kind:?}"));
        match self.vhost.declare_exchange(exchange) {
            Ok(promise) if known.is_none_or(|known| known == kind) => {
                let life = Life::new(self.model.step);
                let model = ExchangeModel {
                    kind,
                    durable,
                    life,
                };
                self.model
                    .routing
                    .exchanges
                    .entry(name.to_owned())
                    .or_insert(model);
                let what = Defined::Exchange(name.to_owned());
                self.pending.push(Pending::Definition(promise, what));
                Ok(())
            }
            Err(_) if known.is_some_and(|known| known != kind) => Ok(()),
            other => violated!("declaring exchange {name}: {other:?}"),
        }
    }
}
