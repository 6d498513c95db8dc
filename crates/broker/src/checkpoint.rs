//! A checkpoint: definitions and the durable part of every queue, so that a start reads little.
//!
//! ```text
//!  section of a partition: | queue id | length | image | ...        (varints)
//!  section of the broker:  the same, with what exchanges remember
//!  section of definitions: see `definitions::image`
//! ```
//!
//! Invariants
//! - Each section covers exactly the records of its stream before its `as_of`: it is taken while
//!   nothing can be appended to the stream.
//! - No transaction is half applied while sections are taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferry_core::routing::QueueId;
use ferry_core::wire::{Cursor, put_varint};
use ferry_log::{LogError, Section};

use crate::Broker;
use crate::access::AccessChange;
use crate::definitions::{
    Definition, ImageWriter, STREAM_BODIES, STREAM_BROKER, STREAM_DEFINITIONS,
};
use crate::queues::queue_definition;
use crate::recovery::declared;
use crate::vhost::outlives;

/// Hands every image of a section to `each`, until it declines.
pub(crate) fn split_images(
    bytes: &[u8],
    mut each: impl FnMut(QueueId, &[u8]) -> bool,
) -> Result<(), String> {
    let cut = || "a section of queues is cut".to_owned();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let id = QueueId(cursor.varint().map_err(|_| cut())?);
        let len = cursor.varint().map_err(|_| cut())? as usize;
        let image = cursor.bytes(len).map_err(|_| cut())?;
        if !each(id, image) {
            return Err(format!("the image of queue {} is cut", id.0));
        }
    }
    Ok(())
}

fn put_image(out: &mut Vec<u8>, id: QueueId, image: &[u8]) {
    put_varint(out, id.0);
    put_varint(out, image.len() as u64);
    out.extend_from_slice(image);
}

impl Broker {
    /// Writes a checkpoint of everything.
    pub fn checkpoint(&self) -> Result<(), LogError> {
        let sections = {
            let _no_transaction = self.transactions.write();
            let mut sections = vec![self.definitions_section()];
            for number in 0..self.partitions.len() as u16 {
                sections.push(self.partition_section(number));
            }
            for (stream, bytes) in [
                (STREAM_BODIES, Vec::new()),
                (STREAM_BROKER, self.guard_images()),
            ] {
                let as_of = self.durability.log.end();
                sections.push(Section {
                    stream,
                    as_of,
                    bytes,
                });
            }
            sections
        };
        self.durability.log.commit_all()?;
        self.durability.log.write_checkpoint(sections)?;
        Ok(())
    }

    fn partition_section(&self, number: u16) -> Section {
        let cx = self.context();
        self.partitions[usize::from(number)].call(&cx, |state| {
            state.finish(&cx, None, &mut Vec::new());
            let as_of = self.durability.log.end();
            let mut bytes = Vec::new();
            let mut image = Vec::new();
            state.images(|id, queue| {
                image.clear();
                queue.write_image(&mut image);
                put_image(&mut bytes, id, &image);
            });
            Section {
                stream: number,
                as_of,
                bytes,
            }
        })
    }

    /// What exchanges remember; only transactions change it, and none is under way.
    fn guard_images(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for vhost in self.vhosts() {
            let definitions = vhost.definitions.read();
            let mut cares: Vec<_> = definitions.cares.values().collect();
            cares.sort_unstable_by_key(|care| care.guard.as_ref().map(|guard| guard.id));
            for guard in cares.into_iter().filter_map(|care| care.guard.as_ref()) {
                if let Some(image) = guard.image() {
                    put_image(&mut bytes, guard.id, &image);
                }
            }
        }
        bytes
    }

    /// All virtual hosts are locked for reading together, so that no definition is written
    /// between the first and the last.
    fn definitions_section(&self) -> Section {
        let _no_access_changes = self.access.hold();
        let vhosts = self.vhosts();
        let locked: Vec<_> = vhosts
            .iter()
            .map(|vhost| (vhost, vhost.definitions.read()))
            .collect();
        let _no_limit_changes = self.limits.hold();
        let _no_parameter_changes = self.parameters.hold();
        let as_of = self.durability.log.end();
        let specs = vhosts.iter().map(|vhost| AccessChange::Vhost(vhost.spec()));
        let mut image = ImageWriter::default();
        image.add(specs.map(Definition::from));
        image.add(self.access.definitions());
        image.add(self.limits.definitions());
        image.add(self.parameters.definitions());
        for (vhost, all) in &locked {
            let name = || Arc::clone(&vhost.name);
            // Before the queues, which they act on.
            image.add(all.policies.definitions());
            let mut queues: Vec<_> = all.by_id.values().filter(|queue| queue.kept).collect();
            queues.sort_unstable_by_key(|queue| queue.id);
            image.add(queues.into_iter().map(|queue| queue_definition(queue)));
            let exchanges = all
                .topology
                .exchanges()
                .filter(|exchange| declared(exchange));
            image.add(exchanges.map(|exchange| Definition::Exchange {
                vhost: name(),
                exchange: exchange.clone(),
                guard: all.guard(&exchange.name).map(|guard| guard.id),
            }));
            let bindings = all.topology.bindings().map(|view| view.to_binding());
            let kept = bindings.filter(|binding| outlives(all, binding));
            image.add(kept.map(|binding| Definition::Binding {
                vhost: name(),
                binding,
            }));
        }
        let next_queue_id = self.next_queue_id.load(Ordering::Relaxed);
        Section {
            stream: STREAM_DEFINITIONS,
            as_of,
            bytes: image.finish(next_queue_id),
        }
    }
}
