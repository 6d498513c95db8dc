//! From what was seen to what it means for each queue.

use std::collections::BTreeMap;

use ferry_core::queue::{Entry, Queue};
use ferry_core::routing::QueueId;
use ferry_log::{Position, Region, Report};

use super::autopsy::Autopsy;
use super::{Damage, FactsLost, More, PLACES_MAX, Part, QueueDamage};
use crate::definitions::QueueDefinition;

/// Which of `regions`, which are in order, has that place.
fn region_of(regions: &[Region], position: Position) -> Option<usize> {
    let place = (position.segment(), position.offset());
    let behind = regions.partition_point(|region| (region.segment, region.offset) <= place);
    let index = behind.checked_sub(1)?;
    let region = &regions[index];
    let within = u64::from(position.offset()) < u64::from(region.offset) + region.bytes;
    (region.segment == position.segment() && within).then_some(index)
}

/// What a part held besides bodies. Before the start it is bodies alone that are referred to.
fn more_of(autopsy: &Autopsy, region: &Region, start: Position) -> More {
    let first = Position::new(region.segment, region.offset);
    if first < start {
        return More::default();
    }
    let told = autopsy.told.iter().find(|(whole, _)| {
        let whole = std::slice::from_ref(whole);
        region_of(whole, first).is_some()
    });
    told.map_or(
        More {
            unknown: true,
            ..More::default()
        },
        |(_, more)| *more,
    )
}

fn each_message(queue: &Queue, mut each: impl FnMut(Position)) {
    let mut look = |entry: &Entry| {
        if let Some(position) = entry.position() {
            each(Position(position));
        }
        true
    };
    queue.visit_ready(None, &mut look);
    queue.visit_delayed(None, |_, entry| look(entry));
    queue.visit_leased(None, |_, entry, _| look(entry));
    queue.visit_waiting_departures(|_, entry| look(entry));
}

/// One queue's messages in damaged parts, which are counted there, and in holes.
fn look_at(
    definition: &QueueDefinition,
    queue: &Queue,
    log: &Report,
    parts: &mut [Part],
) -> QueueDamage {
    let mut damage = QueueDamage {
        id: definition.id.0,
        name: Some((definition.vhost.to_string(), definition.name.to_string())),
        messages: 0,
        places: Vec::new(),
        set_aside: 0,
        undeclared: 0,
        facts: FactsLost::No,
    };
    each_message(queue, |position| {
        if let Some(index) = region_of(&log.regions, position) {
            parts[index].messages += 1;
            damage.messages += 1;
            if damage.places.len() < PLACES_MAX {
                damage.places.push(position);
            }
        } else if region_of(&log.holes, position).is_some() {
            damage.set_aside += 1;
        }
    });
    damage.places.sort_unstable();
    damage
}

/// Makes a report of it.
pub(super) fn tell(autopsy: Autopsy, log: Report) -> Damage {
    let part = |region: &Region| Part {
        region: *region,
        messages: 0,
        more: more_of(&autopsy, region, log.start),
    };
    let mut parts: Vec<Part> = log.regions.iter().map(part).collect();
    let mut queues = BTreeMap::<QueueId, QueueDamage>::new();
    for (definition, queue) in &autopsy.queues {
        let mut damage = look_at(definition, queue, &log, &mut parts);
        let of_partition = autopsy.concerned_partitions.contains(&definition.partition);
        damage.facts = match autopsy.concerned.contains(&definition.id) {
            true => FactsLost::Yes,
            false if of_partition => FactsLost::Perhaps,
            false => FactsLost::No,
        };
        if damage.messages + damage.set_aside > 0 || damage.facts != FactsLost::No {
            queues.insert(definition.id, damage);
        }
    }
    // Facts of a queue that was deleted look the same; they matter where a declaration may be lost.
    let lost_any = |part: &Part| part.more.definitions || part.more.unknown;
    if parts.iter().any(lost_any) || log.checkpoint_lost {
        for (id, messages) in &autopsy.undeclared {
            let damage = QueueDamage {
                id: id.0,
                name: None,
                messages: 0,
                places: Vec::new(),
                set_aside: 0,
                undeclared: *messages,
                facts: FactsLost::No,
            };
            queues.insert(*id, damage);
        }
    }
    let mut queues: Vec<QueueDamage> = queues.into_values().collect();
    queues.sort_by(|a, b| (a.name.is_none(), &a.name).cmp(&(b.name.is_none(), &b.name)));
    Damage {
        log,
        parts,
        queues,
        strays: autopsy.strays.into_values().collect(),
        contradictions: autopsy.contradictions,
    }
}
