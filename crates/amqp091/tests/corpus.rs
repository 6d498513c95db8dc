//! The fuzz targets' checks over their seed corpus, cut and mutated: what a fuzzer does, in a
//! second.
#![allow(clippy::unwrap_used)]

mod checks;
// Each test uses one of the limits.
#[allow(dead_code, unsafe_code)]
#[path = "../../../fuzz/src/memory.rs"]
mod memory;
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

use memory::{Memory, bounded};
use seeds::{Mutations, Rng};

const MUTATIONS: Mutations<'static> = Mutations {
    per_seed: 400,
    edges: [0, 1, 0x7F, 0x80, 0xCE, 0xFF],
    insert: &|rng: &mut Rng| vec![rng.next() as u8],
};

#[test]
fn any_frames_are_read_or_refused() {
    MUTATIONS.run("amqp091_frame", |bytes| {
        bounded(Memory::CODEC, bytes, checks::check_frames);
    });
}

#[test]
fn any_method_is_read_or_refused() {
    MUTATIONS.run("amqp091_method", |bytes| {
        bounded(Memory::CODEC, bytes, checks::check_method);
    });
}

#[test]
fn any_table_is_read_or_refused() {
    MUTATIONS.run("amqp091_table", |bytes| {
        bounded(Memory::CODEC, bytes, checks::check_table);
    });
}

#[test]
fn any_properties_are_read_or_refused() {
    MUTATIONS.run("amqp091_properties", |bytes| {
        bounded(Memory::CODEC, bytes, checks::check_properties);
    });
}
