//! The fuzz targets' checks over their seed corpus, cut and mutated: what a fuzzer does, in a
//! second.

#[path = "../../../fuzz/seeds.rs"]
mod seeds;

use ferry_gateway::fuzzing;
use seeds::{Mutations, Rng};

fn run(target: &str, words: &[&[u8]], check: fn(&[u8])) {
    let mutations = Mutations {
        per_seed: 300,
        edges: [0, 1, 0x7E, 0x80, 0xFE, 0xFF],
        insert: &|rng: &mut Rng| words[rng.below(words.len())].to_vec(),
    };
    mutations.run(target, check);
}

#[test]
fn any_frames_of_websocket_are_read_or_refused() {
    let words: [&[u8]; 5] = [
        b"\x82\x80mask",
        b"\x81\x81mask",
        b"\x89\x80mask",
        b"\0",
        &[0x88],
    ];
    run("websocket_frames", &words, fuzzing::check_frames);
}

#[test]
fn any_request_for_a_websocket_is_answered() {
    let words: [&[u8]; 5] = [b"mqtt", b", ", b"\r\n", b"Sec-WebSocket-Protocol: ", b"/ws"];
    run("websocket_upgrade", &words, fuzzing::check_upgrade);
}

#[test]
fn any_request_in_json_is_read_or_refused() {
    let words: [&[u8]; 6] = [b"null", b"\"headers\":", b"{", b"[1e400", b"-1", b","];
    run("json_request", &words, fuzzing::check_request);
}

#[test]
fn any_message_is_translated() {
    let words: [&[u8]; 4] = [
        b"\x26\0\x01a\0\x01b",
        b"\x01aS\0\0\0\x01b",
        b"\x01\x01",
        b"x-amqp-",
    ];
    run("message_map", &words, fuzzing::check_map);
}
