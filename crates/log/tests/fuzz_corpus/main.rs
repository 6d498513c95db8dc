//! The fuzz target's check over sound files, cut and mutated: what a fuzzer does, in a second.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod checks;
// Each test uses one of the limits.
#[allow(dead_code, unsafe_code)]
#[path = "../../../../fuzz/src/memory.rs"]
mod memory;
#[path = "../../../../fuzz/seeds.rs"]
mod seeds;

use ferry_log::testing::Random;
use memory::{Memory, bounded};
use seeds::{Mutations, Rng};

const MUTATIONS_PER_FILE: u64 = 1500;

/// Changes, removes, adds or repeats bytes in one to four places.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let end = bytes.len().min(at + random.below(200) as usize);
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] = random.any() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => bytes[at..end].fill(0),
            4 => bytes.splice(at..at, random.bytes(4)).for_each(drop),
            5 => bytes.drain(at..end).for_each(drop),
            _ => {
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
        }
    }
}

#[test]
fn any_file_is_read_or_refused_and_repaired() {
    for (which, (name, sound)) in checks::FILES.into_iter().enumerate() {
        for end in (0..=sound.len()).step_by(7) {
            checks::check_files(&[&[which as u8], &sound[..end]].concat());
        }
        for mutation in 0..MUTATIONS_PER_FILE {
            let mut random = Random::new(mutation);
            let mut bytes = sound.to_vec();
            mutate(&mut bytes, &mut random);
            let input = [&[which as u8], bytes.as_slice()].concat();
            let outcome = std::panic::catch_unwind(|| checks::check_files(&input));
            assert!(outcome.is_ok(), "{name}, mutation {mutation}");
        }
    }
}

#[test]
fn what_a_fuzzer_found_holds() {
    let mutations = Mutations {
        per_seed: 20,
        edges: [0, 1, 0x7F, 0x80, 0xF1, 0xFF],
        insert: &|rng: &mut Rng| rng.next().to_le_bytes().to_vec(),
    };
    mutations.run("log_files", |bytes| {
        bounded(Memory::MACHINE, bytes, checks::check_files);
    });
}
