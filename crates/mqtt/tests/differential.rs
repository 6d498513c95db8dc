//! The same bytes, read by another implementation: `mqtt-protocol-core`, which speaks MQTT 3.1.1
//! and 5.
//!
//! What we write they write again as the same bytes; what is broken is read alike, or not at all,
//! but for what `reference` lists.
#![allow(clippy::unwrap_used)]

mod generate;
mod reference;
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

use mqtt::{Version, frame};
use proptest::prelude::*;
use seeds::{Mutations, Rng};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_we_write_they_read_alike(sample in generate::sample()) {
        if sample.version == Version::V3 {
            return Ok(());
        }
        let found = frame(&sample.bytes, u32::MAX).unwrap().unwrap();
        let theirs = reference::theirs(found, sample.version);
        prop_assert_eq!(theirs, Some(sample.bytes.clone()));
    }

    #[test]
    fn what_is_broken_we_refuse_if_they_do(
        sample in generate::sample(),
        at in any::<prop::sample::Index>(),
        change in prop_oneof![any::<u8>(), (0..8u8).prop_map(|bit| 1 << bit)],
    ) {
        if sample.version == Version::V3 {
            return Ok(());
        }
        let mut bytes = sample.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        if let Ok(Some(found)) = frame(&bytes, u32::MAX) {
            reference::compare(found, sample.version, sample.from_client);
        }
    }
}

#[test]
fn what_a_fuzzer_finds_is_read_alike() {
    let mutations = Mutations {
        per_seed: 200,
        edges: [0, 1, 0x7F, 0x80, 0x26, 0xFF],
        insert: &|rng: &mut Rng| vec![rng.next() as u8],
    };
    mutations.run("mqtt_reference", reference::check_reference);
}
