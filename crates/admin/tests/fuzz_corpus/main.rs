//! The fuzz targets' checks over their seed corpus, cut and mutated: what a fuzzer does, in a
//! second.

mod checks;
#[path = "../../../../fuzz/seeds.rs"]
mod seeds;

use seeds::{Mutations, Rng};

fn run(target: &str, per_seed: u64, words: &[&[u8]], check: fn(&[u8])) {
    let mutations = Mutations {
        per_seed,
        edges: [0, b'"', b'{', b'[', b'9', 0xFF],
        insert: &|rng: &mut Rng| words[rng.below(words.len())].to_vec(),
    };
    mutations.run(target, check);
}

#[test]
fn any_file_of_definitions_is_taken_or_refused() {
    let words: [&[u8]; 6] = [b"null", b"{}", b"[]", b"-1", b"\"\"", b"true"];
    run("definitions", 60, &words, checks::check_definitions);
}

#[test]
fn any_body_of_a_request_is_read_or_refused() {
    let words: [&[u8]; 6] = [b"null", b"\r\n--XX", b"\r\n\r\n", b"1e400", b": ", b","];
    run("http_body", 300, &words, ferry_admin::fuzzing::check_body);
}
