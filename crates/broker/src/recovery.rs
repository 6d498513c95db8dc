//! Start: from the last checkpoint and the records after it to the broker as it was.
//!
//! Invariants
//! - Every record is applied in the order of the log; facts for a queue that is not known belong
//!   to one that was deleted.
//! - A queue's image in the checkpoint may be newer than the definitions beside it: it waits
//!   here until its queue is declared.
//! - After a crash every recovered message counts as redelivered. A stop is clean only if its
//!   record is the very last, and its note is there (`clean_stop`).

mod examined;
mod segments;

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry_core::Millis;
use ferry_core::arguments::Arguments;
use ferry_core::facts::{Fact, Facts};
use ferry_core::queue::{Deduplication, Queue, Recovering, Window};
use ferry_core::routing::{Destination, Exchange, QueueId};
use ferry_core::wire::Cursor;
use ferry_log::{Position, Replay};

use crate::access::{AccessChange, RecoveredAccess};
use crate::arguments::{self, Declared, Flags};
use crate::checkpoint;
use crate::definitions::{
    Definition, KIND_BODY, KIND_CLEAN_STOP, KIND_DEFINITION, KIND_FACTS, KIND_START,
    KIND_TRANSACTION, QueueDefinition, STREAM_BODIES, STREAM_DEFINITIONS, read_image,
};
use crate::guard::{Guard, remember};
use crate::handle::{Effective, HandleSpec};
use crate::policies::{Policies, Rule, Tier};
use crate::pool::Pool;
use crate::vhost::Map;
use crate::{Broker, DefinitionError, LimitsOf, Policy, QueueHandle};
use segments::Segments;

struct Found {
    definition: QueueDefinition,
    effective: Effective,
    recovering: Recovering,
}

/// What the log tells, as it is read.
pub(crate) struct Recovered {
    now: Millis,
    partitions: u16,
    next_queue_id: u64,
    definitions: Vec<Definition>,
    policies: Map<Arc<str>, Policies>,
    queues: Map<QueueId, Box<Found>>,
    images: Map<QueueId, Vec<u8>>,
    /// Of queues.
    arguments: Pool<Arguments>,
    /// What exchanges remember.
    windows: Map<QueueId, (Deduplication, Window)>,
    access: RecoveredAccess,
    /// Bodies that can not be read back.
    spared: BTreeSet<Position>,
    clean: bool,
    /// What a checkpoint of the definitions takes, about.
    image_bytes: i64,
}

/// What a start found, for the operator.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    pub queues: usize,
    pub messages: u64,
    pub clean: bool,
}

impl Recovered {
    pub fn new(now: Millis, partitions: u16) -> Recovered {
        Recovered {
            now,
            partitions,
            next_queue_id: 1,
            definitions: Vec::new(),
            policies: Map::default(),
            queues: Map::default(),
            images: Map::default(),
            arguments: Pool::default(),
            windows: Map::default(),
            access: RecoveredAccess::default(),
            spared: BTreeSet::new(),
            clean: false,
            image_bytes: 0,
        }
    }

    fn define(&mut self, definition: Definition) -> Result<(), String> {
        match definition {
            Definition::Queue(queue) => self.define_queue(queue)?,
            Definition::QueueDeleted { id, .. } => {
                self.queues.remove(&id);
            }
            Definition::Policy(policy) => self.define_policy(Tier::User, policy)?,
            Definition::OperatorPolicy(policy) => self.define_policy(Tier::Operator, policy)?,
            Definition::PolicyDeleted { vhost, name } => {
                self.clear_policy(Tier::User, &vhost, &name);
            }
            Definition::OperatorPolicyDeleted { vhost, name } => {
                self.clear_policy(Tier::Operator, &vhost, &name);
            }
            Definition::Access(change) => self.define_access(change),
            other => {
                self.define_guard(&other)?;
                self.definitions.push(other);
            }
        }
        Ok(())
    }

    /// With a virtual host goes all that was in it, and with either of both their limits.
    fn define_access(&mut self, change: AccessChange) {
        match &change {
            AccessChange::VhostDeleted(name) => {
                self.queues
                    .retain(|_, found| found.definition.vhost != *name);
                self.policies.remove(name);
                self.definitions.retain(|one| !one.is_in(name));
            }
            AccessChange::UserDeleted(name) => self.definitions.retain(|one| {
                let of_user = |of: &LimitsOf| matches!(of, LimitsOf::User(user) if user == name);
                !matches!(one, Definition::Limit { of, .. } if of_user(of))
            }),
            _ => {}
        }
        self.access.apply(change);
    }

    fn define_guard(&mut self, definition: &Definition) -> Result<(), String> {
        let Definition::Exchange {
            exchange,
            guard: Some(id),
            ..
        } = definition
        else {
            return Ok(());
        };
        self.next_queue_id = self.next_queue_id.max(id.0 + 1);
        let wanted = exchange.deduplication();
        let wanted =
            wanted.ok_or_else(|| format!("exchange '{}' remembers no ids", exchange.name))?;
        let window = match self.images.remove(id) {
            Some(image) => Window::read(&mut Cursor::new(&image), wanted)
                .map_err(|_| format!("the image of exchange '{}' is cut", exchange.name))?,
            None => Window::new(wanted),
        };
        self.windows.insert(*id, (wanted, window));
        Ok(())
    }

    fn define_queue(&mut self, mut definition: QueueDefinition) -> Result<(), String> {
        let id = definition.id;
        self.next_queue_id = self.next_queue_id.max(id.0 + 1);
        let declared = read_declaration(&definition)?;
        if !self.policies.contains_key(&definition.vhost) {
            let vhost = Arc::clone(&definition.vhost);
            self.policies.insert(vhost, Policies::default());
        }
        let known = self.policies.get_key_value(&definition.vhost);
        let (vhost, policies) = known.expect("it is there by now");
        // One for all queues: each record came with its own.
        definition.vhost = Arc::clone(vhost);
        definition.arguments = self.arguments.share(definition.arguments);
        let effective = policies.effective(&definition.name, &declared);
        if let Some(found) = self.queues.get_mut(&id) {
            let options = Arc::clone(&effective.options);
            found.recovering.set_options(options);
            found.definition = definition;
            found.effective = effective;
            return Ok(());
        }
        let mut recovering = Recovering::new(id, Arc::clone(&effective.options), self.now);
        if let Some(image) = self.images.remove(&id) {
            recovering
                .read_image(&mut Cursor::new(&image))
                .map_err(|_| format!("the image of queue '{}' is cut", definition.name))?;
        }
        let found = Found {
            definition,
            effective,
            recovering,
        };
        self.queues.insert(id, Box::new(found));
        Ok(())
    }

    fn define_policy(&mut self, tier: Tier, policy: Policy) -> Result<(), String> {
        let vhost: Arc<str> = policy.vhost.as_str().into();
        let rule = Rule::new(tier, policy).map_err(|error| error.to_string())?;
        let policies = self.policies.entry(vhost.clone()).or_default();
        policies.of_mut(tier).set(rule);
        self.apply_policies(&vhost);
        Ok(())
    }

    fn clear_policy(&mut self, tier: Tier, vhost: &Arc<str>, name: &str) {
        let policies = self.policies.entry(vhost.clone()).or_default();
        policies.of_mut(tier).remove(name);
        self.apply_policies(vhost);
    }

    /// What follows in the log was done by queues with these policies.
    fn apply_policies(&mut self, vhost: &Arc<str>) {
        let policies = self.policies.entry(Arc::clone(vhost)).or_default();
        let queues = self.queues.values_mut();
        for found in queues.filter(|found| found.definition.vhost == *vhost) {
            let declared =
                read_declaration(&found.definition).expect("it was read when it was found");
            found.effective = policies.effective(&found.definition.name, &declared);
            found
                .recovering
                .set_options(Arc::clone(&found.effective.options));
        }
    }

    fn facts(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (queues, windows) = (&mut self.queues, &mut self.windows);
        let decoded = Facts::decode(bytes, |fact| match fact {
            Fact::Entered(entered) => with(queues, entered.queue, |q| q.entered(&entered)),
            Fact::Moved(queue, from, to) => with(queues, queue, |q| q.moved(from, to)),
            Fact::Delivered(queue, position) => with(queues, queue, |q| q.delivered(position)),
            Fact::Gone(queue, position) => with(queues, queue, |q| q.gone(position)),
            Fact::Changed(change) => match windows.get_mut(&change.queue()) {
                Some((_, window)) => remember(window, &change),
                None => with(queues, change.queue(), |q| q.changed(&change)),
            },
        });
        decoded.map_err(|error| error.to_string())
    }

    fn read_definitions(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.access.made = true;
        self.image_bytes = bytes.len() as i64;
        let next_queue_id = read_image(bytes, |definition| self.define(definition))?;
        self.next_queue_id = self.next_queue_id.max(next_queue_id);
        Ok(())
    }

    fn read_images(&mut self, bytes: &[u8]) -> Result<(), String> {
        checkpoint::split_images(bytes, |id, image| {
            let mut cursor = Cursor::new(image);
            if let Some(found) = self.queues.get_mut(&id) {
                return found.recovering.read_image(&mut cursor).is_ok();
            }
            if let Some((wanted, window)) = self.windows.get_mut(&id) {
                let read = Window::read(&mut cursor, *wanted);
                return read.map(|read| *window = read).is_ok();
            }
            // Of a queue or an exchange whose definition is read later.
            self.images.insert(id, image.to_vec());
            true
        })
    }

    /// Makes everything that was found part of `broker`, whose log has been opened.
    /// Whether the last stop left its note is for `stop_noted` to say.
    pub fn install(mut self, broker: &Arc<Broker>, stop_noted: bool) -> Result<Summary, String> {
        self.clean &= stop_noted;
        let mut summary = Summary {
            clean: self.clean,
            ..Summary::default()
        };
        broker.durability.image_bytes.set(self.image_bytes);
        let first = self.next_queue_id;
        broker
            .next_queue_id
            .store(first, std::sync::atomic::Ordering::Relaxed);
        match self.access.made {
            true => std::mem::take(&mut self.access).install(broker),
            false => broker
                .make_first_access()
                .map_err(|error| error.to_string())?,
        }
        let queues = std::mem::take(&mut self.queues);
        let mut found: Vec<(QueueId, Box<Found>)> = queues.into_iter().collect();
        found.sort_unstable_by_key(|(id, _)| *id);
        for (vhost, policies) in self.policies.drain() {
            broker.make_vhost(&vhost).definitions.write().policies = policies;
        }
        let mut segments = Segments::new(broker, std::mem::take(&mut self.spared));
        for (_, found) in found {
            let Found {
                definition,
                effective,
                recovering,
            } = *found;
            let queue = recovering.finish(self.clean, |mark| {
                summary.messages += 1;
                segments.retain(broker, mark);
            });
            segments.report(&definition)?;
            summary.queues += 1;
            install_queue(broker, definition, effective, queue, self.partitions)?;
        }
        for definition in self.definitions.drain(..) {
            match replay_definition(broker, definition, &mut self.windows) {
                Ok(()) => {}
                // What it builds on was lost, and that was told.
                Err(error) if broker.recovery().holes > 0 => {
                    tracing::error!("after a repair a definition is left out: {error}");
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        for vhost in broker.vhosts() {
            vhost.definitions.write().apply_to_exchanges();
        }
        Ok(summary)
    }
}

/// What a queue was declared to do.
fn read_declaration(definition: &QueueDefinition) -> Result<Declared, String> {
    let flags = Flags {
        durable: true,
        exclusive: false,
        auto_delete: definition.auto_delete,
        sync_default: definition.sync,
    };
    arguments::declared(&definition.arguments, flags)
        .map_err(|why| format!("the arguments of queue '{}': {why:?}", definition.name))
}

fn with(queues: &mut Map<QueueId, Box<Found>>, id: QueueId, apply: impl FnOnce(&mut Recovering)) {
    if let Some(found) = queues.get_mut(&id) {
        apply(&mut found.recovering);
    }
}

fn install_queue(
    broker: &Arc<Broker>,
    definition: QueueDefinition,
    effective: Effective,
    queue: Queue,
    partitions: u16,
) -> Result<(), String> {
    if definition.partition >= partitions {
        return Err(format!(
            "queue '{}' is in a partition that is not there",
            definition.name
        ));
    }
    let vhost = broker.make_vhost(&definition.vhost);
    let mut definitions = vhost.definitions.write();
    let handle = Arc::new(QueueHandle::new(HandleSpec {
        id: definition.id,
        name: definition.name,
        vhost: Arc::clone(&vhost.name),
        partition: definition.partition,
        declared_durable: true,
        auto_delete: definition.auto_delete,
        owner: None,
        arguments: definitions.arguments.share(definition.arguments),
        effective,
    }));
    broker.with_state(&handle, |state, cx| state.add_queue(queue, &handle, cx.now));
    if handle.dead_letters_pending() > 0 {
        broker.resume_departures(&handle);
    }
    definitions
        .queues
        .insert(Arc::clone(&handle.name), Arc::clone(&handle));
    definitions.by_id.insert(handle.id, handle);
    Ok(())
}

/// Applies a definition without writing it again.
fn replay_definition(
    broker: &Arc<Broker>,
    definition: Definition,
    windows: &mut Map<QueueId, (Deduplication, Window)>,
) -> Result<(), DefinitionError> {
    match definition {
        Definition::Exchange {
            vhost,
            exchange,
            guard,
        } => {
            let vhost = broker.make_vhost(&vhost);
            let mut definitions = vhost.definitions.write();
            let window = guard.and_then(|id| Some((id, windows.remove(&id)?.1)));
            let guard = window.map(|(id, window)| Guard::new(id, exchange.durable, window));
            vhost.take_care(&mut definitions, &exchange, guard);
            definitions.topology.declare_exchange(exchange)?;
        }
        Definition::ExchangeDeleted { vhost, name } => {
            let vhost = broker.make_vhost(&vhost);
            let mut definitions = vhost.definitions.write();
            definitions.cares.remove(&name);
            if definitions.topology.exchange(&name).is_some() {
                definitions.topology.delete_exchange(&name, false)?;
            }
        }
        Definition::Binding { vhost, binding } => {
            let vhost = broker.make_vhost(&vhost);
            let mut definitions = vhost.definitions.write();
            // A binding to a queue that was deleted later: its removal went with the queue.
            let known = match &binding.destination {
                Destination::Queue(id) => definitions.by_id.contains_key(id),
                Destination::Exchange(_) => true,
            };
            if known && let Some(refused) = definitions.topology.restore_binding(&binding)? {
                tracing::warn!(
                    vhost = vhost.name(),
                    source = &*binding.source,
                    routing_key = %String::from_utf8_lossy(&binding.routing_key),
                    %refused,
                    "a binding takes nothing: its filter is not one any more"
                );
            }
        }
        Definition::BindingDeleted { vhost, binding } => {
            let vhost = broker.make_vhost(&vhost);
            let mut definitions = vhost.definitions.write();
            let (source, key) = (&binding.source, &binding.routing_key);
            definitions
                .topology
                .unbind(source, &binding.destination, key, &binding.arguments);
        }
        Definition::Limit { of, name, value } => {
            broker.limits.apply(of, name, value, broker.now());
        }
        Definition::GlobalParameter { name, json } => {
            if !broker.parameters.restore(name, json.as_deref()) {
                return Err(DefinitionError::log("a global parameter is not JSON"));
            }
        }
        Definition::Access(_)
        | Definition::Queue(_)
        | Definition::QueueDeleted { .. }
        | Definition::Policy(_)
        | Definition::PolicyDeleted { .. }
        | Definition::OperatorPolicy(_)
        | Definition::OperatorPolicyDeleted { .. } => {}
    }
    Ok(())
}

impl Replay for Recovered {
    fn section(&mut self, stream: u16, bytes: &[u8]) -> Result<(), String> {
        match stream {
            STREAM_DEFINITIONS => self.read_definitions(bytes),
            STREAM_BODIES => Ok(()),
            _ => self.read_images(bytes),
        }
    }

    fn record(
        &mut self,
        position: Position,
        _stream: u16,
        kind: u8,
        _flags: u8,
        payload: &[u8],
    ) -> Result<(), String> {
        self.clean = kind == KIND_CLEAN_STOP;
        match kind {
            KIND_BODY | KIND_CLEAN_STOP | KIND_START => Ok(()),
            KIND_FACTS | KIND_TRANSACTION => self.facts(payload),
            KIND_DEFINITION => {
                let definition: Definition = postcard::from_bytes(payload)
                    .map_err(|error| format!("the definition at {position}: {error}"))?;
                self.image_bytes += definition.growth(payload.len());
                self.define(definition)
            }
            other => Err(format!(
                "the record at {position} is of unknown kind {other}"
            )),
        }
    }

    /// Without a body one message is lost, which can be said when its queue is known.
    fn spare(&mut self, position: Position, stream: u16, kind: u8) -> bool {
        let is_body = kind == KIND_BODY && stream == STREAM_BODIES;
        if is_body {
            self.spared.insert(position);
        }
        is_body
    }
}

/// The exchanges of a virtual host that are not there from its beginning.
pub(crate) fn declared(exchange: &Exchange) -> bool {
    exchange.durable && !crate::vhost::predeclared(exchange)
}
