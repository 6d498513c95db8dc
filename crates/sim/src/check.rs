//! What must be true after each step, and at the end of a world.
//!
//! Invariants
//! - A check asks the broker only what doors can ask it, and changes nothing before the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry_broker::{Burst, Clock, Outcome, Published, QueueHandle};
use ferry_core::queue::QueueKind;
use ferry_log::Pending as LogPending;

use crate::model::Change;
use crate::model::queue::QueueModel;
use crate::world::World;
use crate::{Checked, peek, violated};

/// Rounds of draining before a queue counts as never empty.
const ROUNDS_MAX: usize = 50;

/// Longer than most lives.
const LONG_MS: u64 = 3_600_000;

/// Messages that are looked at after each step.
const MANY: u64 = 300;

/// More are looked at once in so many steps.
const MANY_STEPS: u64 = 8;

/// After each step: counts, and nobody waits who could be served.
pub fn step(world: &mut World) -> Checked {
    let queues = world.vhost.queues();
    let stream = |queue: &Arc<QueueHandle>| queue.kind() == QueueKind::Stream;
    let (streams, queues): (Vec<_>, Vec<_>) = queues.into_iter().partition(stream);
    check_streams(world, &streams)?;
    let names: Vec<&str> = queues.iter().map(|queue| queue.name()).collect();
    let mut known: Vec<_> = world.model.queues.values().collect();
    known.sort_by(|a, b| a.name.cmp(&b.name));
    let expected: Vec<&str> = known.iter().map(|queue| queue.name.as_str()).collect();
    if names != expected {
        return violated!("the queues are {names:?} and must be {expected:?}");
    }
    let mut transient = false;
    for (queue, model) in queues.iter().zip(&known) {
        let is = (
            queue.ready(),
            queue.ready_bytes(),
            queue.unsettled(),
            queue.consumers(),
            queue.delayed(),
            queue.dead_letters_pending(),
        );
        let must = (
            model.ready.len() as u64,
            model.ready_bytes(),
            model.leased.len() as u64,
            model.consumers.len() as u32,
            model.delayed.len() as u64,
            model.stuck.len() as u64,
        );
        if is != must {
            return violated!("queue {} counts {is:?} and has {must:?}", model.name);
        }
        transient |= model.all().any(|instance| !instance.durable);
        let waits = model.rules.rate.is_some() && !model.pace.is_free(world.model.now);
        if waits || model.ready.is_empty() {
            continue;
        }
        let consumers = world.clients.iter().flat_map(|client| &client.consumers);
        if model.is_choosy() {
            let starved = consumers.filter(|consumer| consumer.outlet.is_starved());
            let starved: BTreeSet<u64> = starved.map(|consumer| consumer.number).collect();
            model.check_served(&starved, world.model.now)?;
            continue;
        }
        for consumer in consumers {
            if model.willing(consumer.number) && !consumer.outlet.is_starved() {
                let (name, number) = (&model.name, consumer.number);
                return violated!("queue {name} has messages and consumer {number} gets none");
            }
        }
    }
    check_memory(world, &queues, transient)?;
    world.model.check_kept()?;
    let damaged = world
        .broker
        .metrics()
        .messages_damaged
        .load(std::sync::atomic::Ordering::Relaxed);
    if damaged > 0 {
        return violated!("{damaged} messages can not be read back");
    }
    Ok(())
}

/// Streams keep what they must, and everybody reads on.
fn check_streams(world: &World, streams: &[Arc<QueueHandle>]) -> Checked {
    let ids: BTreeSet<u64> = streams.iter().map(|stream| stream.id().0).collect();
    if !ids.iter().eq(world.model.streams.keys()) {
        return violated!("the streams are {ids:?}");
    }
    let consumers = world.clients.iter().flat_map(|client| &client.consumers);
    let starved = consumers.filter(|consumer| consumer.outlet.is_starved());
    let starved: BTreeSet<u64> = starved.map(|consumer| consumer.number).collect();
    for stream in streams {
        let model = &world.model.streams[&stream.id().0];
        let is = (
            stream.ready(),
            stream.ready_bytes(),
            stream.unsettled(),
            stream.consumers(),
            stream.delayed(),
        );
        let sizes = model.kept().iter().map(|item| u64::from(item.size));
        let must = (
            model.kept().len() as u64,
            sizes.sum(),
            0,
            model.readers.len() as u32,
            model.waiting.len() as u64,
        );
        if is != must {
            return violated!("stream {} counts {is:?} and has {must:?}", model.name);
        }
        model.check_kept(world.model.now, world.model.clock_fell)?;
        model.check_readers(|consumer| starved.contains(&consumer))?;
    }
    Ok(())
}

/// The account of memory is what the messages take.
fn check_memory(world: &World, queues: &[Arc<QueueHandle>], transient: bool) -> Checked {
    let used = world.broker.memory().body_bytes();
    if !transient && used != 0 {
        return violated!("{used} bytes of memory are used by nothing");
    }
    // The broker's own, too.
    let vhosts = world.broker.vhosts();
    let all = vhosts.iter().flat_map(|vhost| vhost.queues_in_any_order());
    let kept: u64 = all.map(|queue| queue.index_bytes()).sum();
    let counted = world.broker.memory().index_bytes();
    if counted != kept {
        return violated!("{counted} bytes are counted beside bodies, and {kept} are kept");
    }
    let many: u64 = queues.iter().map(|queue| queue.ready()).sum();
    if transient && (many <= MANY || world.model.step.is_multiple_of(MANY_STEPS)) {
        let taken = queues
            .iter()
            .map(|queue| peek::memory_bytes(&world.broker, queue));
        let taken: u64 = taken.sum();
        if taken != used {
            return violated!("{used} bytes of memory are used, and messages take {taken}");
        }
    }
    Ok(())
}

/// At the end: everything drains, and gives back what it took.
pub fn end(world: &mut World) -> Checked {
    world.model.step += 1;
    world.trace.line("the end".to_owned());
    world.heal()?;
    world.commit_log()?;
    world.end_step()?;
    if !world.pending.is_empty() && world.broker.log().pending() == LogPending::None {
        return violated!("{} replies are never given", world.pending.len());
    }
    world.restart()?;
    world.end_step()?;
    world.read_all_streams()?;
    world.open_ways()?;
    world.forget_retained()?;
    drain(world)?;
    give_back(world)?;
    alive(world)
}

fn drain(world: &mut World) -> Checked {
    for _ in 0..ROUNDS_MAX {
        world.model.step += 1;
        for client in 0..world.clients.len() {
            while !world.clients[client].consumers.is_empty() {
                world.cancel(client, 0)?;
            }
            let (mut burst, mut changes) = (Burst::new(), Vec::new());
            for held in std::mem::take(&mut world.clients[client].held) {
                burst.settle(&held.queue, held.lease, Outcome::Accept);
                let (queue, lease) = (held.queue.id().0, held.number);
                changes.push(Change::Settle {
                    queue,
                    lease,
                    outcome: Outcome::Accept,
                    transaction: None,
                });
            }
            burst.submit(&world.broker);
            world.observe(changes)?;
        }
        world.give_back_all()?;
        let queues = world.model.queues.values();
        let queues: Vec<_> = queues.map(|q| (q.id, q.name.clone(), q.owner)).collect();
        for (id, name, owner) in queues {
            while world.get_one(owner.unwrap_or(0), id, &name, true)? {}
        }
        let next = world.broker.next_deadline();
        let far = (next < u64::MAX).then(|| next.saturating_sub(world.clock.now()));
        world.clock.advance(far.unwrap_or(0).max(LONG_MS));
        world.end_step()?;
        let empty = |queue: &QueueModel| queue.all().next().is_none();
        if world.model.queues.values().all(empty) {
            return Ok(());
        }
    }
    violated!("queues are not empty after {ROUNDS_MAX} rounds")
}

fn give_back(world: &mut World) -> Checked {
    let used = world.broker.memory().body_bytes();
    if used != 0 {
        return violated!("{used} bytes of memory are used when all is drained");
    }
    for _ in 0..3 {
        world.model.step += 1;
        world.commit_log()?;
        world.checkpoint_with_room()?;
        world.upkeep()?;
        world.end_step()?;
    }
    let segments = world.broker.log().segments();
    if let Some(used) = segments
        .iter()
        .find(|segment| segment.live_refs + segment.live_bytes > 0)
    {
        return violated!("a segment is in use when all is drained: {used:?}");
    }
    if segments.len() > 2 {
        return violated!("{} segments are left when all is drained", segments.len());
    }
    Ok(())
}

/// After everything the node still does what it is for.
fn alive(world: &mut World) -> Checked {
    world.model.step += 1;
    let id = world.next_message;
    if world.model.queue_named("d1").is_none() {
        return Ok(());
    }
    let mut burst = Burst::new();
    let (properties, body) = (crate::format::properties(id), crate::body::body(id, 64));
    let draft = ferry_core::message::Draft {
        persistent: true,
        ..crate::format::plain("d1", &properties, &body)
    };
    let publisher = &mut world.clients[0].publisher;
    let headers = &ferry_broker::NoView;
    let tag = Some(World::tag(id));
    let published = burst.publish(&world.broker, publisher, &draft, headers, tag);
    if published != Ok(Published::Routed) {
        return violated!("the last publish: {published:?}");
    }
    let ticket = burst.submit(&world.broker);
    world.commit_log()?;
    let kept = ticket
        .and_then(|ticket| ticket.resolved())
        .map(|p| world.broker.kept(p));
    if kept != Some(true) {
        return violated!("the last publish is not confirmed: {kept:?}");
    }
    Ok(())
}
