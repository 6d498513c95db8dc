//! What a fuzzer does, in a second: the seed corpus of a target, cut and mutated.
//!
//! Not a crate of its own: the tests that check decoders include this file. `FUZZ_ROUNDS=100` has
//! them do a hundred times as much, for where there is no fuzzer; `FUZZ_ROUNDS=0` only the seeds.
//!
//! Invariants
//! - The same seed file and mutation give the same bytes, on every machine.

use std::path::Path;

/// Most cuts, and most changed copies, of all seeds of a target: a corpus grows, a test must not.
const CHECKS_MAX: u64 = 10_000;

/// A small generator of numbers that a test can repeat.
pub struct Rng(u64);

impl Rng {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// How the bytes of a seed are changed.
pub struct Mutations<'a> {
    /// How many cuts and changed copies of each seed are checked; fewer if there are many seeds.
    pub per_seed: u64,
    /// Bytes that mean something at the edges of the format.
    pub edges: [u8; 6],
    /// What is put between bytes.
    pub insert: &'a dyn Fn(&mut Rng) -> Vec<u8>,
}

impl Mutations<'_> {
    /// Checks every seed of the target, cuts of it, and changed copies of it.
    pub fn run(&self, target: &str, check: fn(&[u8])) {
        let seeds = corpus(target);
        let rounds = std::env::var("FUZZ_ROUNDS").ok();
        let rounds = rounds.map_or(1, |rounds| rounds.parse().expect("FUZZ_ROUNDS is a number"));
        let share = (CHECKS_MAX / seeds.len() as u64).clamp(1, self.per_seed) * rounds;
        for (index, seed) in seeds.iter().enumerate() {
            let hold = |bytes: &[u8]| {
                let outcome = std::panic::catch_unwind(|| check(bytes));
                assert!(outcome.is_ok(), "{target}, seed file {index}: {bytes:?}");
            };
            hold(seed);
            if share == 0 {
                continue;
            }
            let step = (seed.len() as u64).div_ceil(share).max(1);
            for end in (0..seed.len()).step_by(step as usize) {
                hold(&seed[..end]);
            }
            for mutation in 1..=share {
                let mut rng = Rng((index as u64 + 1) << 32 | mutation);
                let mut bytes = seed.clone();
                self.mutate(&mut bytes, &mut rng);
                hold(&bytes);
            }
        }
    }

    /// Changes, removes, adds or repeats bytes in one to four places.
    fn mutate(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len());
            match rng.below(6) {
                0 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
                1 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
                2 => bytes.truncate(at),
                3 if !bytes.is_empty() => bytes[at] = self.edges[rng.below(6)],
                4 => {
                    bytes.splice(at..at, (self.insert)(rng));
                }
                _ => {
                    let end = at + rng.below(bytes.len() - at);
                    let repeated = bytes[at..end].to_vec();
                    bytes.splice(at..at, repeated);
                }
            }
        }
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .expect("a target has a corpus")
        .map(|entry| entry.expect("a corpus can be listed").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("a seed can be read"))
        .collect()
}
