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

use ferry_core::image::{Image, ImageOut};
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

/// Moves the image of a queue behind the others of its section.
fn put_image(section: &mut Image, id: QueueId, image: &mut Image) {
    put_varint(section.tail(), id.0);
    put_varint(section.tail(), image.bytes() as u64);
    section.append(image);
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
            for (stream, image) in [
                (STREAM_BODIES, Image::default()),
                (STREAM_BROKER, self.guard_images()),
            ] {
                sections.push(self.section(stream, image));
            }
            sections
        };
        self.commit_all()?;
        self.durability.log.write_checkpoint(sections)?;
        Ok(())
    }

    fn partition_section(&self, number: u16) -> Section {
        self.partitions[usize::from(number)].call(&self.surroundings(), |state, cx| {
            state.finish(cx, None, &mut Vec::new());
            let (mut all, mut image) = (Image::default(), Image::default());
            state.images(|id, queue| {
                queue.write_image(&mut image);
                put_image(&mut all, id, &mut image);
            });
            self.section(number, all)
        })
    }

    /// A section of what covers all records of its stream up to now.
    fn section(&self, stream: u16, image: Image) -> Section {
        Section {
            stream,
            as_of: self.durability.log.end(),
            pieces: image.into_pieces(),
        }
    }

    /// What exchanges remember; only transactions change it, and none is under way.
    fn guard_images(&self) -> Image {
        let (mut all, mut one) = (Image::default(), Image::default());
        for vhost in self.vhosts() {
            let definitions = vhost.definitions.read();
            let mut cares: Vec<_> = definitions.cares.values().collect();
            cares.sort_unstable_by_key(|care| care.guard.as_ref().map(|guard| guard.id));
            for guard in cares.into_iter().filter_map(|care| care.guard.as_ref()) {
                if let Some(image) = guard.image() {
                    one.tail().extend(image);
                    put_image(&mut all, guard.id, &mut one);
                }
            }
        }
        all
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
        let image = image.finish(self.next_queue_id.load(Ordering::Relaxed));
        self.durability.image_bytes.set(image.bytes() as i64);
        Section {
            stream: STREAM_DEFINITIONS,
            as_of,
            pieces: image.into_pieces(),
        }
    }
}
