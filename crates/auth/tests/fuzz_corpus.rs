//! The fuzz targets' checks over their seed corpus, cut and mutated: what a fuzzer does, in a
//! second.

#[path = "../../../fuzz/seeds.rs"]
mod seeds;

use ferry_auth::fuzzing;
use seeds::{Mutations, Rng};

fn run(target: &str, words: &[&[u8]], check: fn(&[u8])) {
    let mutations = Mutations {
        per_seed: 300,
        edges: [0, 0x21, 0x7F, 0x80, b'"', 0xFF],
        insert: &|rng: &mut Rng| words[rng.below(words.len())].to_vec(),
    };
    mutations.run(target, check);
}

#[test]
fn any_proxy_header_is_read_or_refused() {
    let words: [&[u8]; 6] = [b"PROXY ", b"TCP4 ", b" 1", b"::", b"\r\n", &[0x21]];
    run("auth_proxy", &words, fuzzing::check_proxy);
}

#[test]
fn any_message_of_scram_is_read_or_refused() {
    let words: [&[u8]; 6] = [b"=2C", b"=3D", b",", b"p=", b"r=", b"\n"];
    run("auth_scram", &words, fuzzing::check_scram);
}

#[test]
fn any_token_is_read_or_refused() {
    let words: [&[u8]; 6] = [b".", b"*", b"/", b"{sub}", b"%2F", b" rabbitmq.read:*/*/"];
    run("auth_token", &words, fuzzing::check_token);
}
