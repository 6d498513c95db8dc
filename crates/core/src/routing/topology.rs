//! The topology of one virtual host: its exchanges and bindings, and how they are added.
//!
//! Invariants
//! - A binding's source and, if it leads to an exchange, its destination exist.
//! - `by_name` holds every exchange once; `by_queue` has an entry for a queue with bindings only.
//! - `epoch` grows with every change that may alter a route, and with no other.
//! - Nothing that is handed out depends on the order of a hash table, hence not on the seed.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::arena::{Arena, Chain, Ends, Identity, Target};
use super::hashed::{self, stable};
use super::headers;
use super::ids::{BindingIx, ExchangeIx, QueueId, place};
use super::matcher::Matcher;
use super::options::Rule;
use super::selection::Selection;
use super::{
    BindError, Binding, DeclareExchangeError, Declared, Destination, Exchange, ExchangeKind,
    InvalidFilter, ROUTING_KEY_BYTES_MAX, SETTLE_EXCHANGE,
};
use crate::arguments::Arguments;

const SEED_DEFAULT: u64 = 0x6665_7272_796d_7100;

/// One exchange with its bindings.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) exchange: Exchange,
    /// Bindings from it.
    pub(super) outgoing: Ends,
    /// Bindings to it.
    pub(super) incoming: Ends,
    pub(super) matcher: Matcher,
    /// Takes what it routes nowhere, unless its own argument says where that goes.
    pub(super) policy_alternate: Option<Arc<str>>,
}

/// The exchanges and bindings of one virtual host.
#[derive(Clone, Debug)]
pub struct Topology {
    pub(super) vhost: Arc<str>,
    pub(super) hasher: FixedState,
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) free: Vec<ExchangeIx>,
    pub(super) by_name: HashMap<Arc<str>, ExchangeIx, FixedState>,
    pub(super) by_queue: HashMap<QueueId, Ends, FixedState>,
    pub(super) arena: Arena,
    pub(super) epoch: u64,
}

impl Topology {
    /// A topology with the exchanges that every virtual host has.
    pub fn new(vhost: impl Into<Arc<str>>) -> Topology {
        Topology::with_seed(vhost, SEED_DEFAULT)
    }

    /// The same with hash tables seeded by a secret, so that names can not be chosen to collide.
    pub fn with_seed(vhost: impl Into<Arc<str>>, seed: u64) -> Topology {
        let hasher = FixedState::with_seed(seed);
        let mut topology = Topology {
            vhost: vhost.into(),
            hasher: hasher.clone(),
            nodes: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::with_hasher(hasher.clone()),
            by_queue: HashMap::with_hasher(hasher.clone()),
            arena: Arena::new(hasher),
            epoch: 0,
        };
        let trace = Exchange {
            internal: true,
            ..Exchange::new("amq.rabbitmq.trace", ExchangeKind::Topic)
        };
        for exchange in [
            Exchange::new("amq.direct", ExchangeKind::Direct),
            Exchange::new("amq.fanout", ExchangeKind::Fanout),
            Exchange::new("amq.headers", ExchangeKind::Headers),
            Exchange::new("amq.match", ExchangeKind::Headers),
            Exchange::new("amq.topic", ExchangeKind::Topic),
            Exchange::new(SETTLE_EXCHANGE, ExchangeKind::Direct),
            trace,
        ] {
            let declared = topology.declare_exchange(exchange);
            declared.expect("their names differ and they have no arguments");
        }
        topology
    }

    /// The virtual host's name.
    pub fn vhost(&self) -> &Arc<str> {
        &self.vhost
    }

    /// Grows with every change that may alter a route.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Declares an exchange, or checks that the one there is equivalent.
    pub fn declare_exchange(&mut self, spec: Exchange) -> Result<Declared, DeclareExchangeError> {
        if let Some(current) = self.exchange(&spec.name) {
            current.assert_equivalent(&spec, &self.vhost)?;
            return Ok(Declared { created: false });
        }
        let rule = spec.validate(&self.vhost)?;
        self.add_exchange(spec, rule);
        Ok(Declared { created: true })
    }

    fn add_exchange(&mut self, exchange: Exchange, rule: Rule) {
        let matcher = Matcher::new(rule, &self.hasher);
        let name = Arc::clone(&exchange.name);
        let node = Node {
            exchange,
            outgoing: Ends::EMPTY,
            incoming: Ends::EMPTY,
            matcher,
            policy_alternate: None,
        };
        let ix = match self.free.pop() {
            Some(ix) => {
                self.nodes[ix.0 as usize] = Some(node);
                ix
            }
            None => {
                self.nodes.push(Some(node));
                ExchangeIx(place(self.nodes.len() - 1))
            }
        };
        self.by_name.insert(name, ix);
        self.epoch += 1;
    }

    /// Binds; false when the very same binding is there already.
    pub fn bind(
        &mut self,
        source: &str,
        destination: &Destination,
        routing_key: &[u8],
        arguments: &Arguments,
    ) -> Result<bool, BindError> {
        self.add_binding(source, destination, routing_key, arguments, Selection::of)
    }

    /// Binds what was bound before a restart. A filter that is none any more is reported, and the
    /// binding takes nothing.
    pub fn restore_binding(
        &mut self,
        binding: &Binding,
    ) -> Result<Option<InvalidFilter>, BindError> {
        let mut refused = None;
        let select = |arguments: &Arguments| {
            Ok(Selection::of(arguments).unwrap_or_else(|invalid| {
                refused = Some(invalid);
                Selection::Nothing
            }))
        };
        let Binding {
            source,
            destination,
            routing_key,
            arguments,
        } = binding;
        self.add_binding(source, destination, routing_key, arguments, select)?;
        Ok(refused)
    }

    fn add_binding(
        &mut self,
        source: &str,
        destination: &Destination,
        routing_key: &[u8],
        arguments: &Arguments,
        select: impl FnOnce(&Arguments) -> Result<Selection, InvalidFilter>,
    ) -> Result<bool, BindError> {
        if routing_key.len() > ROUTING_KEY_BYTES_MAX {
            return Err(BindError::RoutingKeyTooLong(routing_key.len()));
        }
        let source = self.find_or_refuse(source)?;
        let target = match destination {
            Destination::Queue(queue) => Target::Queue(*queue),
            Destination::Exchange(name) => Target::Exchange(self.find_or_refuse(name)?),
        };
        self.validate_binding(source, target, routing_key, arguments)?;
        let selection = select(arguments)?;
        let arguments = &sorted(arguments);
        let identity = Identity {
            source,
            target,
            key: routing_key,
            arguments,
        };
        if self.arena.find(identity).is_some() {
            return Ok(false);
        }
        if self.arena.is_full() {
            return Err(BindError::TooManyBindings);
        }
        let ix = self.arena.insert(identity, selection);
        self.link(ix, source, target);
        self.epoch += 1;
        Ok(true)
    }

    /// What the type of the exchange asks of its bindings.
    fn validate_binding(
        &self,
        source: ExchangeIx,
        target: Target,
        key: &[u8],
        arguments: &Arguments,
    ) -> Result<(), BindError> {
        let Node {
            exchange, matcher, ..
        } = self.node(source);
        match exchange.kind {
            ExchangeKind::ConsistentHash => hashed::validate_weight(key)?,
            ExchangeKind::LocalRandom if !key.is_empty() => {
                let key = String::from_utf8_lossy(key).into_owned();
                return Err(BindError::KeyNotEmpty(key));
            }
            ExchangeKind::LocalRandom if matches!(target, Target::Exchange(_)) => {
                return Err(BindError::NotToQueue);
            }
            _ if matcher.asks_headers() => headers::validate(arguments)?,
            _ => {}
        }
        Ok(())
    }

    fn link(&mut self, ix: BindingIx, source: ExchangeIx, target: Target) {
        let destination = match target {
            Target::Queue(queue) => stable::of_queue(queue.0),
            Target::Exchange(exchange) => stable::of_exchange(&self.node(exchange).exchange.name),
        };
        let Topology {
            arena,
            nodes,
            hasher,
            by_queue,
            ..
        } = self;
        let node = taken(nodes, source);
        arena.append(Chain::Source, &mut node.outgoing, ix);
        node.matcher.insert(arena, hasher, ix, destination);
        let incoming = match target {
            Target::Queue(queue) => by_queue.entry(queue).or_insert(Ends::EMPTY),
            Target::Exchange(exchange) => &mut taken(nodes, exchange).incoming,
        };
        arena.append(Chain::Destination, incoming, ix);
    }

    pub(super) fn find_exchange(&self, name: &str) -> Option<ExchangeIx> {
        self.by_name.get(name).copied()
    }

    fn find_or_refuse(&self, name: &str) -> Result<ExchangeIx, BindError> {
        self.find_exchange(name)
            .ok_or_else(|| BindError::NoSuchExchange {
                name: name.to_owned(),
                vhost: Arc::clone(&self.vhost),
            })
    }

    pub(super) fn node(&self, ix: ExchangeIx) -> &Node {
        let node = self.nodes.get(ix.0 as usize).and_then(Option::as_ref);
        node.expect("the place of an exchange that exists is taken")
    }
}

/// The node at a place that is known to be taken.
pub(super) fn taken(nodes: &mut [Option<Node>], ix: ExchangeIx) -> &mut Node {
    let node = nodes.get_mut(ix.0 as usize).and_then(Option::as_mut);
    node.expect("the place of an exchange that exists is taken")
}

/// Arguments in the order that is part of a binding's identity.
pub(super) fn sorted(arguments: &Arguments) -> Arguments {
    let mut arguments = arguments.clone();
    arguments.sort_by_name();
    arguments
}
