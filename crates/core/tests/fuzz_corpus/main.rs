//! The fuzz targets' checks over their seed corpus, cut and mutated: what a fuzzer does, in a
//! second.
#![allow(clippy::unwrap_used)]

mod checks;
mod exchanges;
// Each test uses one of the limits.
#[allow(dead_code, unsafe_code)]
#[path = "../../../../fuzz/src/memory.rs"]
mod memory;
#[path = "../../../../fuzz/seeds.rs"]
mod seeds;

use memory::{Memory, bounded};
use seeds::{Mutations, Rng};

fn run(target: &str, per_seed: u64, words: &[&[u8]], check: fn(&[u8])) {
    let mutations = Mutations {
        per_seed,
        edges: [0, 1, 0x7F, 0x80, 0xFE, 0xFF],
        insert: &|rng: &mut Rng| words[rng.below(words.len())].to_vec(),
    };
    mutations.run(target, check);
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
fn exchanges_route_as_a_list_does() {
    let changes: [&[u8]; 4] = [
        b"\0\x09\x01\0",
        b"\x01\x0A\x06\0",
        b"\x02\x01\0\x15",
        b"\x08\x01\x01\0",
    ];
    run("core_exchanges", 200, &changes, |bytes| {
        bounded(Memory::MACHINE, bytes, exchanges::check_exchanges);
    });
}

#[test]
fn any_facts_are_read_or_refused() {
    run("core_facts", 1000, &NUMBERS, |bytes| {
        bounded(Memory::MACHINE, bytes, checks::check_facts);
    });
}

#[test]
fn any_filter_is_compiled_or_refused() {
    let words: [&[u8]; 12] = [
        b"a", b" AND ", b" OR ", b"NOT ", b"(", b")", b"'", b"-", b"1", b"%", b" LIKE ", b" IN (",
    ];
    run("core_filter", 1000, &words, |bytes| {
        bounded(Memory::COMPILED, bytes, checks::check_filter);
    });
}

#[test]
fn any_image_of_a_queue_is_read_or_refused() {
    run("core_image", 1000, &NUMBERS, |bytes| {
        bounded(Memory::MACHINE, bytes, checks::check_image);
    });
}

#[test]
fn any_stored_message_is_read_or_refused() {
    run("core_message", 1000, &NUMBERS, |bytes| {
        bounded(Memory::CODEC, bytes, checks::check_message);
    });
}

#[test]
fn routes_do_not_depend_on_the_order_of_bindings() {
    let changes: [&[u8]; 4] = [b"\0\x01\x01", b"\x01\x02\0", b"\x08\x01\x01", b"\x0C\x01\0"];
    run("core_routes", 100, &changes, |bytes| {
        bounded(Memory::MACHINE, bytes, checks::check_routes);
    });
}

#[test]
fn topic_routes_are_those_of_a_plain_matcher() {
    let words: [&[u8]; 8] = [b"#", b"*", b".", b"a", b"a.", b".#.", b"\n", b"*."];
    run("core_topic", 1000, &words, |bytes| {
        bounded(Memory::MACHINE, bytes, checks::check_topic);
    });
}
