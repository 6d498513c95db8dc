//! Start: from the last checkpoint and the records after it to the broker as it was.
//!
//! Invariants
//! - Every record is applied in the order of the log; facts for a queue that is not known belong
//!   to one that was deleted.
//! - A queue's image in the checkpoint may be newer than the definitions beside it: it waits
//!   here until its queue is declared.
//! - After a crash every recovered message counts as redelivered. A stop is clean only if its
//!   record is the very last: a start after it writes a record of its own before anything else.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry_core::Millis;
use ferry_core::facts::{Fact, Facts, Mark};
use ferry_core::queue::{Queue, Recovering};
use ferry_core::routing::{Destination, Exchange, QueueId};
use ferry_core::wire::Cursor;
use ferry_log::{Position, ReadError, Reader, Replay};

use crate::checkpoint;
use crate::definitions::{
    Definition, DefinitionsImage, KIND_BODY, KIND_CLEAN_STOP, KIND_DEFINITION, KIND_FACTS,
    KIND_START, KIND_TRANSACTION, QueueDefinition, STREAM_BODIES, STREAM_BROKER,
    STREAM_DEFINITIONS,
};
use crate::handle::HandleSpec;
use crate::vhost::Map;
use crate::{Broker, DefinitionError, QueueHandle};

struct Found {
    definition: QueueDefinition,
    recovering: Recovering,
}

/// What the log tells, as it is read.
pub(crate) struct Recovered {
    now: Millis,
    partitions: u16,
    next_queue_id: u64,
    definitions: Vec<Definition>,
    queues: Map<QueueId, Found>,
    images: Map<QueueId, Vec<u8>>,
    clean: bool,
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
            queues: Map::default(),
            images: Map::default(),
            clean: false,
        }
    }

    fn define(&mut self, definition: Definition) -> Result<(), String> {
        match definition {
            Definition::Queue(queue) => {
                let id = queue.id;
                self.next_queue_id = self.next_queue_id.max(id.0 + 1);
                let mut recovering = Recovering::new(id, queue.options.clone(), self.now);
                if let Some(image) = self.images.remove(&id) {
                    recovering
                        .read_image(&mut Cursor::new(&image))
                        .map_err(|_| format!("the image of queue '{}' is cut", queue.name))?;
                }
                self.queues.insert(
                    id,
                    Found {
                        definition: queue,
                        recovering,
                    },
                );
            }
            Definition::QueueDeleted { id, .. } => {
                self.queues.remove(&id);
            }
            other => self.definitions.push(other),
        }
        Ok(())
    }

    fn facts(&mut self, bytes: &[u8]) -> Result<(), String> {
        let queues = &mut self.queues;
        let decoded = Facts::decode(bytes, |fact| match fact {
            Fact::Entered(entered) => with(queues, entered.queue, |q| q.entered(&entered)),
            Fact::Moved(queue, from, to) => with(queues, queue, |q| q.moved(from, to)),
            Fact::Delivered(queue, position) => with(queues, queue, |q| q.delivered(position)),
            Fact::Gone(queue, position) => with(queues, queue, |q| q.gone(position)),
        });
        decoded.map_err(|error| error.to_string())
    }

    fn read_definitions(&mut self, bytes: &[u8]) -> Result<(), String> {
        let image: DefinitionsImage =
            postcard::from_bytes(bytes).map_err(|error| format!("definitions: {error}"))?;
        self.next_queue_id = self.next_queue_id.max(image.next_queue_id);
        image
            .definitions
            .into_iter()
            .try_for_each(|definition| self.define(definition))
    }

    fn read_images(&mut self, bytes: &[u8]) -> Result<(), String> {
        checkpoint::split_images(bytes, |id, image| match self.queues.get_mut(&id) {
            Some(found) => found.recovering.read_image(&mut Cursor::new(image)).is_ok(),
            None => {
                self.images.insert(id, image.to_vec());
                true
            }
        })
    }

    /// Makes everything that was found part of `broker`, whose log has been opened.
    pub fn install(mut self, broker: &Arc<Broker>) -> Result<Summary, String> {
        let mut summary = Summary {
            clean: self.clean,
            ..Summary::default()
        };
        let first = self.next_queue_id;
        broker
            .next_queue_id
            .store(first, std::sync::atomic::Ordering::Relaxed);
        let mut found: Vec<Found> = self.queues.drain().map(|(_, found)| found).collect();
        found.sort_unstable_by_key(|found| found.definition.id);
        let mut segments = Segments::new(broker);
        for Found {
            definition,
            recovering,
        } in found
        {
            let queue = recovering.finish(self.clean, |mark| {
                summary.messages += 1;
                segments.retain(broker, mark);
            });
            if let Some(number) = segments.missing {
                return Err(format!(
                    "segment {number} is missing, and messages of queue '{}' are in it: put the \
                     file back",
                    definition.name
                ));
            }
            summary.queues += 1;
            install_queue(broker, definition, queue, self.partitions)?;
        }
        for definition in self.definitions.drain(..) {
            replay_definition(broker, definition).map_err(|error| error.to_string())?;
        }
        Ok(summary)
    }
}

fn with(queues: &mut Map<QueueId, Found>, id: QueueId, apply: impl FnOnce(&mut Recovering)) {
    if let Some(found) = queues.get_mut(&id) {
        apply(&mut found.recovering);
    }
}

/// The segments that recovered messages are in. A checkpoint may refer to one that is gone: the
/// log, which knows of no message, takes it for one that was not needed any more.
struct Segments {
    reader: Reader,
    present: BTreeSet<u32>,
    missing: Option<u32>,
}

impl Segments {
    fn new(broker: &Broker) -> Segments {
        Segments {
            reader: Reader::new(Arc::clone(&broker.durability.log)),
            present: BTreeSet::new(),
            missing: None,
        }
    }

    fn retain(&mut self, broker: &Broker, mark: Mark) {
        let position = Position(mark.position);
        let number = position.segment();
        if !self.present.contains(&number) {
            if let Err(ReadError::Gone { .. }) = self.reader.read(position) {
                self.missing.get_or_insert(number);
                return;
            }
            self.present.insert(number);
        }
        let bytes = crate::definitions::live_bytes(mark.size);
        broker.durability.log.retain(position, bytes, 1);
    }
}

fn install_queue(
    broker: &Arc<Broker>,
    definition: QueueDefinition,
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
    let handle = Arc::new(QueueHandle::new(HandleSpec {
        id: definition.id,
        name: definition.name,
        vhost: Arc::clone(&vhost.name),
        partition: definition.partition,
        declared_durable: true,
        auto_delete: definition.auto_delete,
        owner: None,
        arguments: definition.arguments,
        options: queue.shared_options(),
    }));
    let cx = broker.context();
    broker
        .partition(&handle)
        .call(&cx, |state| state.add_queue(queue, &handle));
    let mut definitions = vhost.definitions.write();
    definitions
        .queues
        .insert(Arc::clone(&handle.name), Arc::clone(&handle));
    definitions.by_id.insert(handle.id, handle);
    Ok(())
}

/// Applies a definition without writing it again.
fn replay_definition(broker: &Arc<Broker>, definition: Definition) -> Result<(), DefinitionError> {
    match definition {
        Definition::Exchange { vhost, exchange } => {
            let vhost = broker.make_vhost(&vhost);
            vhost
                .definitions
                .write()
                .topology
                .declare_exchange(exchange)?;
        }
        Definition::ExchangeDeleted { vhost, name } => {
            let vhost = broker.make_vhost(&vhost);
            let mut definitions = vhost.definitions.write();
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
            if known {
                let (source, key) = (&binding.source, &binding.routing_key);
                definitions
                    .topology
                    .bind(source, &binding.destination, key, &binding.arguments)?;
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
        Definition::Queue(_) | Definition::QueueDeleted { .. } => {}
    }
    Ok(())
}

impl Replay for Recovered {
    fn section(&mut self, stream: u16, bytes: &[u8]) -> Result<(), String> {
        match stream {
            STREAM_DEFINITIONS => self.read_definitions(bytes),
            STREAM_BODIES | STREAM_BROKER => Ok(()),
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
                let definition = postcard::from_bytes(payload)
                    .map_err(|error| format!("the definition at {position}: {error}"))?;
                self.define(definition)
            }
            other => Err(format!(
                "the record at {position} is of unknown kind {other}"
            )),
        }
    }
}

/// The exchanges of a virtual host that are not there from its beginning.
pub(crate) fn declared(exchange: &Exchange) -> bool {
    exchange.durable && !crate::vhost::predeclared(exchange)
}
