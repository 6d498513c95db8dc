//! Sessions of `ferrymq.json`: texts, each with a NUL behind it.

use ferry_gateway::testing::Protocol;

use super::{Play, Tape};

const QUEUES: [&str; 3] = ["a", "b", "canary"];
const TOPICS: [&str; 4] = ["a", "a/#", "+/b", ""];

/// Plays a tape.
pub fn check_json(bytes: &[u8]) {
    let login = r#"{"op":"login","user":"guest","password":"guest"}"#;
    let opening = [login.as_bytes(), b"\0"].concat();
    Play::new(Protocol::Json, vec![opening], check_heard).run(bytes, say);
}

fn check_heard(heard: &[u8]) {
    // The last one may not be whole.
    let texts = heard.split_inclusive(|byte| *byte == 0);
    for text in texts.filter_map(|text| text.strip_suffix(b"\0")) {
        let value: serde_json::Value = serde_json::from_slice(text).unwrap();
        assert!(value.is_object(), "an answer is an object");
    }
}

fn say(tape: &mut Tape<'_>, out: &mut Vec<u8>) {
    let (id, tag, flag) = (tape.byte() % 8, tape.byte() % 12, tape.flag());
    let (queue, topic) = (tape.one_of(&QUEUES), tape.one_of(&TOPICS));
    let body = "b".repeat(usize::from(tape.word() % 3_000));
    let text = match tape.below(10) {
        0 => format!(r#"{{"op":"subscribe","id":{id},"queue":"{queue}","no_ack":{flag}}}"#),
        1 => format!(r#"{{"op":"subscribe","id":{id},"topic":"{topic}"}}"#),
        2 => format!(r#"{{"op":"unsubscribe","subscription":{id}}}"#),
        3 => format!(r#"{{"op":"publish","id":{id},"key":"{queue}","body":"{body}"}}"#),
        4 => format!(r#"{{"op":"publish","topic":"{topic}","body":"{body}"}}"#),
        5 => format!(r#"{{"op":"publish","topic":"a/b","id":{id},"body_base64":"{body}"}}"#),
        6 => format!(r#"{{"op":"ack","id":{id},"tag":{tag}}}"#),
        7 => format!(r#"{{"op":"nack","tag":{tag},"requeue":{flag}}}"#),
        8 => format!(r#"{{"op":"ping","id":{id}}}"#),
        _ => format!(r#"{{"op":"{topic}","id":{id}}}"#),
    };
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}
