//! Crashes: whatever is lost, nothing durable is, nothing is invented, and the order holds.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod support;

use ferry_log::testing::{Crash, Fault};
use support::World;

/// `count` seeds; `SEED` is one of them only, `SEEDS` is how many times as many.
fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let range = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..count * number("SEEDS").unwrap_or(1),
    };
    range.inspect(|seed| println!("SEED={seed}"))
}

#[test]
fn what_is_durable_survives_a_loss_of_power() {
    for seed in seeds(150) {
        let mut world = World::new(seed);
        for _ in 0..8 {
            for _ in 0..world.random.below(40) {
                world.step();
            }
            let durable = world.log.durable();
            let crash = match world.random.chance(50) {
                true => Crash::LoseSome,
                false => Crash::LoseAll,
            };
            world.disk.crash(crash);
            world.reopen(durable);
        }
    }
}

#[test]
fn what_is_written_survives_the_end_of_the_process() {
    for seed in seeds(150) {
        let mut world = World::new(seed);
        for _ in 0..6 {
            for _ in 0..world.random.below(40) {
                world.step();
            }
            let written = world.log.written();
            assert!(world.log.durable() <= written);
            world.disk.crash(Crash::Process);
            world.reopen(written);
        }
    }
}

#[test]
fn a_crash_may_come_at_any_call() {
    for seed in seeds(400) {
        let mut world = World::new(seed);
        for _ in 0..5 {
            let call = 1 + world.random.below(30);
            world.disk.fail_call(call, Fault::Io, true);
            for _ in 0..30 {
                world.step();
            }
            let durable = world.log.durable();
            let crash = match world.random.below(3) {
                0 => Crash::LoseAll,
                1 => Crash::LoseSome,
                _ => Crash::Process,
            };
            world.disk.crash(crash);
            // A crash while recovering changes nothing.
            if world.random.chance(30) {
                let call = 1 + world.random.below(6);
                world.disk.fail_call(call, Fault::Io, true);
                drop(support::open(&world.disk, &world.options));
                world.disk.crash(Crash::LoseSome);
            }
            world.reopen(durable);
        }
    }
}

#[test]
fn a_sync_that_failed_in_an_earlier_life_is_not_believed() {
    for seed in seeds(300) {
        let mut world = World::new(seed);
        for _ in 0..10 {
            world.append();
        }
        let call = 1 + world.random.below(8);
        world.disk.fail_call(call, Fault::Io, true);
        drop(world.log.commit_all());
        let durable = world.log.durable();
        // The process ends, what it wrote still reads from the cache; the next one confirms it.
        world.disk.crash(Crash::Process);
        world.reopen(durable);
        let durable = world.log.durable();
        world.disk.crash(Crash::LoseAll);
        world.reopen(durable);
    }
}
