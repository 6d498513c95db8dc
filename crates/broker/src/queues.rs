//! Declaring, finding, purging and deleting queues.
//!
//! Invariants
//! - A queue is in its partition before its name can be found, and its name is gone before it
//!   leaves its partition.
//! - An exclusive queue is known to its connection, and to nobody else's commands.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferry_core::arguments::{Arguments, Resource, assert_equivalent, assert_field_equivalent};
use ferry_core::queue::Queue;
use ferry_core::routing::QueueId;

use crate::arguments::{self, COMPARED, Declared, Flags, Refused};
use crate::definitions::{Definition, QueueDefinition};
use crate::handle::HandleSpec;
use crate::room::Newcomer;
use crate::streams::type_name;
use crate::vhost::Definitions;
use crate::{
    Broker, ConnectionId, DefinitionError, LimitName, Metrics, Promise, QueueDeclared, QueueHandle,
    QueueSpec, RETAINED_QUEUE, Vhost, retained,
};

impl Vhost {
    /// Declares a queue, or checks that the one there is equivalent.
    pub fn declare_queue(
        &self,
        spec: QueueSpec,
        connection: ConnectionId,
    ) -> Result<QueueDeclared, DefinitionError> {
        let broker = self.broker();
        let spec = self.with_default_type(spec);
        retained::check_declaration(self, &spec)?;
        let mut definitions = self.definitions.write();
        self.check_alive()?;
        if let Some(queue) = definitions.queues.get(spec.name.as_str()) {
            self.check_equivalent(queue, &spec, connection)?;
            let queue = Arc::clone(queue);
            drop(definitions);
            let promise = self.write(&broker, &[])?;
            let declared = broker.declared(queue, promise);
            Metrics::add(&broker.metrics.queue_declarations, 1);
            broker.run_afters();
            return Ok(declared);
        }
        let spec = self.named(&broker, &definitions, spec)?;
        let queue = self.make(&broker, &definitions, spec, connection)?;
        broker.with_state(&queue, |state, cx| {
            let core = Queue::new(queue.id, queue.options(), cx.now);
            state.add_queue(core, &queue, cx.now);
        });
        definitions
            .queues
            .insert(Arc::clone(&queue.name), Arc::clone(&queue));
        definitions.by_id.insert(queue.id, Arc::clone(&queue));
        Metrics::add(&broker.metrics.queue_declarations, 1);
        Metrics::add(&broker.metrics.queues_declared, 1);
        if let Some(owner) = queue.owner {
            broker.connections.own(owner, &queue);
        }
        let durable_at = match queue.kept {
            true => self.write(&broker, &[queue_definition(&queue)])?,
            false => Promise::Now,
        };
        drop(definitions);
        if *queue.name == *RETAINED_QUEUE {
            self.feed_retained(&queue);
        }
        broker.run_afters();
        Ok(QueueDeclared {
            queue,
            messages: 0,
            consumers: 0,
            durable_at,
        })
    }

    /// A name for a queue that is to be declared without one.
    pub fn queue_name(&self, arguments: &Arguments) -> Result<String, DefinitionError> {
        if let Some(kind) = arguments::replicated_kind(arguments) {
            let kind = type_name(kind);
            return Err(DefinitionError::ServerNamed { kind });
        }
        Ok(self.broker().made_up_name("amq.gen-"))
    }

    /// A declaration with a name, if there is room for one more queue.
    fn named(
        &self,
        broker: &Broker,
        definitions: &Definitions,
        mut spec: QueueSpec,
    ) -> Result<QueueSpec, DefinitionError> {
        if spec.name.is_empty() {
            spec.name = self.queue_name(&spec.arguments)?;
        }
        broker.admit(Newcomer::Definition)?;
        let limit = broker.limits.of_vhost(&self.name, LimitName::MaxQueues);
        match limit.filter(|limit| definitions.queues.len() as u64 >= *limit) {
            None => Ok(spec),
            Some(limit) => Err(DefinitionError::QueueLimit {
                name: spec.name,
                vhost: self.name.to_string(),
                limit,
            }),
        }
    }

    fn make(
        &self,
        broker: &Broker,
        definitions: &Definitions,
        spec: QueueSpec,
        connection: ConnectionId,
    ) -> Result<Arc<QueueHandle>, DefinitionError> {
        let declared = self.check_declaration(broker, &spec)?;
        let id = QueueId(broker.next_queue_id.fetch_add(1, Ordering::Relaxed));
        let name: Arc<str> = Arc::from(spec.name.as_str());
        let effective = definitions.policies.effective(&name, &declared);
        Ok(Arc::new(QueueHandle::new(HandleSpec {
            id,
            name,
            vhost: Arc::clone(&self.name),
            partition: (id.0 % broker.partitions.len() as u64) as u16,
            declared_durable: spec.durable,
            auto_delete: spec.auto_delete,
            owner: spec.exclusive.then_some(connection),
            arguments: definitions.arguments.share(spec.arguments),
            effective,
        })))
    }

    /// Reads what a declaration asks for, or says what is wrong with it.
    pub(crate) fn check_declaration(
        &self,
        broker: &Broker,
        spec: &QueueSpec,
    ) -> Result<Declared, DefinitionError> {
        let flags = Flags {
            durable: spec.durable,
            exclusive: spec.exclusive,
            auto_delete: spec.auto_delete,
            sync_default: broker.options.sync,
        };
        arguments::declared(&spec.arguments, flags)
            .map_err(|refused| self.refuse(spec.name.clone(), refused))
    }

    pub(crate) fn refuse(&self, name: String, refused: Refused) -> DefinitionError {
        let vhost = self.name.to_string();
        match refused {
            Refused::Argument { argument, why } => DefinitionError::InvalidArgument {
                argument,
                name,
                vhost,
                why,
            },
            Refused::ArgumentOfKind { argument, kind } => {
                let kind = type_name(kind);
                DefinitionError::ArgumentOfKind {
                    argument,
                    name,
                    vhost,
                    kind,
                }
            }
            Refused::Property(property) => DefinitionError::InvalidProperty {
                property,
                name,
                vhost,
            },
        }
    }

    fn check_equivalent(
        &self,
        queue: &QueueHandle,
        spec: &QueueSpec,
        connection: ConnectionId,
    ) -> Result<(), DefinitionError> {
        if queue.owner != spec.exclusive.then_some(connection) {
            return Err(self.locked(queue));
        }
        let resource = Resource {
            kind: "queue",
            name: &queue.name,
            vhost: &self.name,
        };
        assert_field_equivalent(resource, "durable", queue.declared_durable, spec.durable)?;
        assert_field_equivalent(resource, "auto_delete", queue.auto_delete, spec.auto_delete)?;
        assert_equivalent(resource, &queue.arguments(), &spec.arguments, COMPARED)?;
        Ok(())
    }

    /// A queue by name, as anybody may use it.
    pub fn queue(
        &self,
        name: &str,
        connection: ConnectionId,
    ) -> Result<Arc<QueueHandle>, DefinitionError> {
        self.find_queue(&self.definitions.read(), name, connection)
    }

    /// Whether there is a queue of that name.
    pub fn has_queue(&self, name: &str) -> bool {
        self.definitions.read().queues.contains_key(name)
    }

    /// A queue by name with its counts: a passive declaration.
    pub fn check_queue(
        &self,
        name: &str,
        connection: ConnectionId,
    ) -> Result<QueueDeclared, DefinitionError> {
        let queue = self.queue(name, connection)?;
        let broker = self.broker();
        let declared = broker.declared(queue, Promise::Now);
        broker.run_afters();
        Ok(declared)
    }

    pub(crate) fn find_queue(
        &self,
        definitions: &Definitions,
        name: &str,
        connection: ConnectionId,
    ) -> Result<Arc<QueueHandle>, DefinitionError> {
        let queue = definitions
            .queues
            .get(name)
            .ok_or_else(|| self.no_queue(name))?;
        match queue.owner {
            Some(owner) if owner != connection => Err(self.locked(queue)),
            _ => Ok(Arc::clone(queue)),
        }
    }

    /// Drops the ready messages of a queue and says how many.
    pub fn purge_queue(
        &self,
        name: &str,
        connection: ConnectionId,
    ) -> Result<(u64, Promise), DefinitionError> {
        let broker = self.broker();
        let queue = self.queue(name, connection)?;
        queue.check_purge()?;
        Ok(broker.purge_ready(&queue))
    }

    /// Deletes a queue and says how many ready messages it had; one that is not there is deleted.
    pub fn delete_queue(
        &self,
        name: &str,
        if_unused: bool,
        if_empty: bool,
        connection: ConnectionId,
    ) -> Result<(u64, Promise), DefinitionError> {
        let broker = self.broker();
        let mut definitions = self.definitions.write();
        let queue = match self.find_queue(&definitions, name, connection) {
            Ok(queue) => queue,
            Err(DefinitionError::NotFound { .. }) => return Ok((0, self.write(&broker, &[])?)),
            Err(error) => return Err(error),
        };
        let found = broker.declared(Arc::clone(&queue), Promise::Now);
        let vhost = self.name.to_string();
        if if_unused && found.consumers > 0 {
            return Err(DefinitionError::InUse {
                what: "queue",
                name: name.to_owned(),
                vhost,
            });
        }
        if if_empty && found.messages > 0 {
            return Err(DefinitionError::NotEmpty {
                name: name.to_owned(),
                vhost,
            });
        }
        let (removed, promise) = self.remove(&broker, &mut definitions, &queue)?;
        drop(definitions);
        let dropped = removed.as_ref().map_or(0, |queue| queue.counts().ready);
        broker.dissolve(removed);
        broker.after_call();
        Ok((dropped, promise))
    }

    /// Deletes a queue for a reason of its own, if `still` holds when nobody can change it.
    pub(crate) fn delete_if(
        &self,
        queue: &Arc<QueueHandle>,
        still: impl FnOnce(&Queue) -> bool,
    ) -> bool {
        let broker = self.broker();
        let mut definitions = self.definitions.write();
        let known = definitions.by_id.contains_key(&queue.id);
        let holds = known
            && broker.with_state(queue, |state, cx| {
                state.with_queue(cx, queue.place(), &[], |queue, _| still(queue)) == Some(true)
            });
        if !holds {
            return false;
        }
        let removed = self.remove(&broker, &mut definitions, queue);
        drop(definitions);
        match removed {
            Ok((removed, _)) => broker.dissolve(removed),
            Err(error) => tracing::error!(
                queue = queue.name(),
                "the end of a queue is not written: {error}"
            ),
        }
        true
    }

    /// What it gives is to be dissolved when the definitions are not held any more.
    fn remove(
        &self,
        broker: &Broker,
        definitions: &mut Definitions,
        queue: &Arc<QueueHandle>,
    ) -> Result<(Option<Queue>, Promise), DefinitionError> {
        let removed = definitions.topology.remove_queue(queue.id);
        definitions.queues.remove(&queue.name);
        self.changed();
        // Written before its bodies are released, and before its bindings: whatever a crash
        // leaves of these records, there is no queue without what belongs to it.
        let mut promise = Promise::Now;
        if queue.kept {
            let vhost = Arc::clone(&self.name);
            let definition = Definition::QueueDeleted {
                vhost,
                id: queue.id,
            };
            promise = self.write(broker, &[definition])?;
            let image_bytes = &broker.durability.image_bytes;
            image_bytes.add(-queue_definition(queue).image_bytes());
        }
        promise = promise.max(self.write_removed(broker, definitions, &removed)?);
        definitions.by_id.remove(&queue.id);
        let removed = broker.take_out(queue);
        self.retirement.queue(queue.stats());
        Ok((removed, promise))
    }

    fn locked(&self, queue: &QueueHandle) -> DefinitionError {
        DefinitionError::Locked {
            name: queue.name.to_string(),
            vhost: self.name.to_string(),
        }
    }
}

pub(crate) fn queue_definition(queue: &QueueHandle) -> Definition {
    definition_with(queue, queue.arguments())
}

/// The definition of a queue that has these arguments.
pub(crate) fn definition_with(queue: &QueueHandle, arguments: Arc<Arguments>) -> Definition {
    Definition::Queue(QueueDefinition {
        vhost: Arc::clone(&queue.vhost),
        id: queue.id,
        name: Arc::clone(&queue.name),
        partition: queue.partition,
        auto_delete: queue.auto_delete,
        arguments,
        sync: queue.sync,
    })
}

impl Broker {
    /// Takes a queue that was deleted out of its partition, with what it has, and forgets who had
    /// to do with it; none if it was not there any more.
    pub(crate) fn take_out(&self, queue: &Arc<QueueHandle>) -> Option<Queue> {
        if let Some(owner) = queue.owner {
            self.connections.disown(owner, queue);
        }
        if queue.dead_letters_pending() > 0 {
            self.forget_stuck_of(queue.id);
        }
        let removed = self.with_state(queue, |state, cx| state.remove_queue(cx, queue.place()));
        Metrics::add(&self.metrics.queues_deleted, 1);
        removed
    }

    /// A queue with the counts it has after everything that was submitted before. Whoever holds no
    /// lock then runs the afters.
    pub(crate) fn declared(&self, queue: Arc<QueueHandle>, durable_at: Promise) -> QueueDeclared {
        let counts = self.with_state(&queue, |state, cx| {
            state.with_queue(cx, queue.place(), &[], |queue, context| {
                queue.touch(context.now);
                cx.metrics.ticked(queue.tick(context));
                queue.counts()
            })
        });
        let (messages, consumers) =
            counts.map_or((0, 0), |counts| (counts.ready, counts.consumers));
        QueueDeclared {
            queue,
            messages,
            consumers,
            durable_at,
        }
    }
}
