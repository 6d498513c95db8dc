//! The fuzz targets' checks over their seed corpus, cut and mutated: what a fuzzer does, in a
//! second.

mod checks;
// Each test uses one of the limits.
#[allow(dead_code, unsafe_code)]
#[path = "../../../fuzz/src/memory.rs"]
mod memory;
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

use memory::{Memory, bounded};
use seeds::{Mutations, Rng};

#[test]
fn any_packets_are_read_or_refused() {
    let mutations = Mutations {
        per_seed: 400,
        edges: [0, 1, 0x7F, 0x80, 0x26, 0xFF],
        insert: &|rng: &mut Rng| vec![rng.next() as u8],
    };
    mutations.run("mqtt_packet", |bytes| {
        bounded(Memory::CODEC, bytes, checks::check_packets);
    });
}

#[test]
fn any_topics_match_or_do_not() {
    let mutations = Mutations {
        per_seed: 2000,
        edges: *b"/+#.*$",
        insert: &|rng: &mut Rng| vec![b"/+#.*$\n\0"[rng.below(8)]],
    };
    mutations.run("mqtt_topic", |bytes| {
        bounded(Memory::CODEC, bytes, checks::check_topic);
    });
}
