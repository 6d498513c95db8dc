//! The fuzz targets' checks over their seed corpus, cut and mutated: what a fuzzer does, in a
//! second.

#[path = "../../../fuzz/seeds.rs"]
mod seeds;

use ferry_broker::fuzzing;
use seeds::{Mutations, Rng};

fn run(target: &str, per_seed: u64, words: &[&[u8]], check: fn(&[u8])) {
    let mutations = Mutations {
        per_seed,
        edges: [0, 1, b'"', b'{', b'9', 0xFF],
        insert: &|rng: &mut Rng| words[rng.below(words.len())].to_vec(),
    };
    mutations.run(target, check);
}

#[test]
fn any_definition_is_read_or_refused() {
    let numbers: [&[u8]; 3] = [&[0], &[3], &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]];
    run(
        "broker_definition",
        500,
        &numbers,
        fuzzing::check_definition,
    );
}

#[test]
fn any_policy_is_taken_or_refused() {
    let words: [&[u8]; 6] = [b"null", b"-1", b"1e9", b",", b"[]", b"(?:a{9}){9}"];
    run("broker_policy", 40, &words, fuzzing::check_policy);
}

#[test]
fn any_schema_is_taken_or_refused() {
    let words: [&[u8]; 6] = [
        b"null",
        b"{}",
        b"-1",
        b"\"$ref\":\"#\"",
        b"[]",
        b"\"pattern\":",
    ];
    run("broker_schema", 40, &words, fuzzing::check_schema);
}
