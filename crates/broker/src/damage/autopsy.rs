//! What can be read of a damaged directory, gathered as a start would.
//!
//! Invariants
//! - Nothing that is read stops it: what a start could not take is noted.
//! - What it remembers is bounded, but for what a start has in memory, too.

use std::collections::{BTreeMap, BTreeSet};

use ferry_core::Millis;
use ferry_core::facts::{Fact, Facts};
use ferry_core::message::Message;
use ferry_core::queue::Queue;
use ferry_core::routing::QueueId;
use ferry_log::{Position, Region, Remains, Replay};

use super::{More, Stray};
use crate::broker::PARTITIONS;
use crate::definitions::{
    Definition, KIND_BODY, KIND_DEFINITION, KIND_FACTS, KIND_TRANSACTION, QueueDefinition,
};
use crate::recovery::Recovered;

/// Bodies without a queue that are remembered: those of the last bursts.
const LOOSE_MAX: usize = 4096;
/// Messages without a queue that are listed.
const STRAYS_MAX: usize = 1000;
/// Contradictions that are listed.
const CONTRADICTIONS_MAX: usize = 100;

/// Everything that was seen.
pub(super) struct Autopsy {
    /// What a start would have; none when all has been read.
    recovered: Option<Recovered>,
    /// What it came to.
    pub queues: Vec<(QueueDefinition, Queue)>,
    /// Damaged parts, and what they held besides bodies.
    pub told: Vec<(Region, More)>,
    /// Queues that damaged facts name, and partitions whose facts name none.
    pub concerned: BTreeSet<QueueId>,
    pub concerned_partitions: BTreeSet<u16>,
    /// How many messages entered queues that were never declared.
    pub undeclared: BTreeMap<QueueId, u64>,
    deleted: BTreeSet<QueueId>,
    /// Bodies that no queue has so far.
    loose: BTreeMap<Position, Stray>,
    pub strays: BTreeMap<Position, Stray>,
    pub contradictions: Vec<String>,
}

impl Autopsy {
    pub fn new(now: Millis) -> Autopsy {
        Autopsy {
            recovered: Some(Recovered::new(now, PARTITIONS)),
            queues: Vec::new(),
            told: Vec::new(),
            concerned: BTreeSet::new(),
            concerned_partitions: BTreeSet::new(),
            undeclared: BTreeMap::new(),
            deleted: BTreeSet::new(),
            loose: BTreeMap::new(),
            strays: BTreeMap::new(),
            contradictions: Vec::new(),
        }
    }

    fn recovered(&mut self) -> &mut Recovered {
        let recovered = self.recovered.as_mut();
        recovered.expect("it is taken when all has been read")
    }

    fn note(&mut self, taken: Result<(), String>) {
        if let Err(what) = taken
            && self.contradictions.len() < CONTRADICTIONS_MAX
        {
            self.contradictions.push(what);
        }
    }

    fn body(&mut self, position: Position, payload: &[u8]) {
        let Ok(message) = Message::parse(payload) else {
            return self.note(Err(format!("the record at {position} is no message")));
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let stray = Stray {
            position,
            exchange: text(message.exchange()),
            routing_key: text(message.routing_key()),
        };
        self.loose.insert(position, stray);
        if self.loose.len() > LOOSE_MAX {
            self.loose.pop_first();
        }
    }

    fn facts(&mut self, payload: &[u8]) {
        let (mut found, mut entered) = (Vec::new(), BTreeMap::<QueueId, u64>::new());
        let whole = Facts::decode(payload, |fact| match fact {
            Fact::Entered(one) => {
                found.push(Position(one.position));
                *entered.entry(one.queue).or_default() += 1;
            }
            Fact::Moved(_, _, to) => found.push(Position(to)),
            _ => {}
        });
        self.note(whole.map_err(|error| error.to_string()));
        for position in found {
            self.loose.remove(&position);
            self.strays.remove(&position);
        }
        for (id, messages) in entered {
            let known = self.recovered().partition_of(id).is_some();
            if !known && !self.deleted.contains(&id) {
                *self.undeclared.entry(id).or_default() += messages;
            }
        }
    }

    /// Which queues facts are about of which not all is right.
    fn damaged_facts(&mut self, stream: u16, payload: &[u8]) {
        let mut named = BTreeSet::new();
        // Up to where it makes no sense any more.
        let _cut = Facts::decode(payload, |fact| {
            named.insert(match fact {
                Fact::Entered(entered) => entered.queue,
                Fact::Moved(queue, ..) | Fact::Delivered(queue, _) | Fact::Gone(queue, _) => queue,
                Fact::Changed(change) => change.queue(),
            });
        });
        let is_partition = stream < PARTITIONS;
        let recovered = self.recovered();
        named.retain(|id| {
            let partition = recovered.partition_of(*id);
            partition.is_some_and(|its| !is_partition || its == stream)
        });
        if named.is_empty() && is_partition {
            self.concerned_partitions.insert(stream);
        }
        self.concerned.append(&mut named);
    }
}

impl Replay for Autopsy {
    fn section(&mut self, stream: u16, bytes: &[u8]) -> Result<(), String> {
        let taken = self.recovered().section(stream, bytes);
        self.note(taken);
        Ok(())
    }

    fn record(
        &mut self,
        position: Position,
        stream: u16,
        kind: u8,
        flags: u8,
        payload: &[u8],
    ) -> Result<(), String> {
        match kind {
            KIND_BODY => self.body(position, payload),
            KIND_FACTS | KIND_TRANSACTION => self.facts(payload),
            KIND_DEFINITION => {
                if let Ok(Definition::QueueDeleted { id, .. }) = postcard::from_bytes(payload) {
                    self.deleted.insert(id);
                }
            }
            _ => {}
        }
        let recovered = self.recovered();
        let taken = recovered.record(position, stream, kind, flags, payload);
        self.note(taken);
        Ok(())
    }

    fn remains(&mut self, remains: &Remains<'_>) {
        let mut more = More {
            unknown: !remains.is_told,
            ..More::default()
        };
        for head in remains.heads {
            let payload = &remains.bytes[head.payload_start..head.payload_end];
            match head.kind {
                KIND_BODY => {}
                KIND_FACTS | KIND_TRANSACTION => {
                    more.facts = true;
                    self.damaged_facts(head.stream, payload);
                }
                KIND_DEFINITION => more.definitions = true,
                _ => more.unknown = true,
            }
        }
        self.told.push((remains.region, more));
        if !more.is_nothing() {
            let room = STRAYS_MAX.saturating_sub(self.strays.len());
            let loose = std::mem::take(&mut self.loose);
            self.strays.extend(loose.into_iter().rev().take(room));
        }
    }

    fn missed(&mut self, segments: &BTreeSet<u32>) -> Vec<Position> {
        let mut missed = BTreeMap::<u32, Position>::new();
        let recovered = self.recovered.take();
        let recovered = recovered.expect("it is taken when all has been read");
        self.queues = recovered.into_queues(|mark| {
            let position = Position(mark.position);
            if !segments.contains(&position.segment()) {
                let last = missed.entry(position.segment()).or_default();
                *last = position.max(*last);
            }
        });
        missed.into_values().collect()
    }
}
