//! The fuzz targets' checks over their seed corpus, cut and mutated: what a fuzzer does, in a
//! second.
#![allow(clippy::unwrap_used)]

mod checks;

use std::path::Path;

const MUTATIONS_PER_SEED: u64 = 2000;

/// A small generator of numbers that a test can repeat.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Changes, removes, adds or repeats bytes in one to four places.
fn mutate(bytes: &mut Vec<u8>, words: &[&[u8]], rng: &mut Rng) {
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len());
        match rng.below(6) {
            0 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
            1 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            2 => bytes.truncate(at),
            3 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][rng.below(6)],
            4 => {
                let word = words[rng.below(words.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            _ => {
                let end = at + rng.below(bytes.len() - at);
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
        }
    }
}

fn run(target: &str, words: &[&[u8]], check: fn(&[u8])) {
    for (index, seed) in corpus(target).iter().enumerate() {
        for end in 0..=seed.len() {
            check(&seed[..end]);
        }
        for mutation in 1..=MUTATIONS_PER_SEED {
            let mut rng = Rng((index as u64 + 1) << 32 | mutation);
            let mut bytes = seed.clone();
            mutate(&mut bytes, words, &mut rng);
            let outcome = std::panic::catch_unwind(|| check(&bytes));
            assert!(
                outcome.is_ok(),
                "{target}, seed file {index}, mutation {mutation}: {bytes:?}"
            );
        }
    }
}

/// Numbers as they are written down: zero, small, and the largest of 32 and 64 bits.
const NUMBERS: [&[u8]; 5] = [
    &[0],
    &[3],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
    &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
];

#[test]
fn any_facts_are_read_or_refused() {
    run("core_facts", &NUMBERS, checks::check_facts);
}

#[test]
fn any_image_of_a_queue_is_read_or_refused() {
    run("core_image", &NUMBERS, checks::check_image);
}

#[test]
fn any_stored_message_is_read_or_refused() {
    run("core_message", &NUMBERS, checks::check_message);
}

#[test]
fn topic_routes_are_those_of_a_plain_matcher() {
    let words: [&[u8]; 8] = [b"#", b"*", b".", b"a", b"a.", b".#.", b"\n", b"*."];
    run("core_topic", &words, checks::check_topic);
}
