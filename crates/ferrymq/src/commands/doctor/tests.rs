//! What findings follow from what a node tells.

use super::*;

fn node(changes: &[(&str, Value)]) -> Value {
    let mut node = json!({
        "running": true,
        "mem_limit": 1_000_000, "message_memory_used": 500_000, "mem_alarm": false,
        "disk_free": 10_000_000_000_u64, "disk_free_alarm": false,
        "fd_used": 100, "fd_total": 65_536,
    });
    for (field, value) in changes {
        node[*field] = value.clone();
    }
    node
}

#[test]
fn what_a_node_lacks_is_warned_of_and_what_holds_publishers_is_bad() {
    for (changes, check, state) in [
        (&[][..], "memory", State::Ok),
        (
            &[("message_memory_used", json!(800_001))],
            "memory",
            State::Warn,
        ),
        (&[("mem_alarm", json!(true))], "memory", State::Bad),
        (&[("mem_limit", Value::Null)], "memory", State::Warn),
        (&[], "disk", State::Ok),
        (&[("disk_free", json!(999))], "disk", State::Warn),
        (&[("disk_free_alarm", json!(true))], "disk", State::Bad),
        (&[("disk_free", Value::Null)], "disk", State::Warn),
        (&[], "files", State::Ok),
        (&[("fd_used", json!(60_000))], "files", State::Warn),
        (&[("fd_total", json!(1024))], "files", State::Warn),
        (&[("fd_total", json!("unknown"))], "files", State::Warn),
        (&[("running", json!(false))], "log", State::Bad),
    ] {
        let findings = resources::check(&node(changes), 1_000);
        let found = findings
            .iter()
            .find(|finding| finding.check == check)
            .unwrap();
        assert_eq!(found.state, state, "{check} {changes:?}");
        assert_eq!(
            found.advice.is_empty(),
            state == State::Ok,
            "{check} {changes:?}"
        );
    }
}

#[test]
fn dead_letters_that_stay_are_warned_of() {
    for (pending, state) in [(0, State::Ok), (1, State::Warn)] {
        let totals = json!({ "messages_ready": 5, "messages_dead_letter_pending": pending });
        assert_eq!(resources::queues(&totals)[0].state, state);
    }
}

#[test]
fn a_weaker_promise_is_warned_of() {
    for (sync, state) in [
        (json!("sync"), State::Ok),
        (json!("written"), State::Warn),
        (json!("memory"), State::Warn),
        (Value::Null, State::Warn),
    ] {
        let found = resources::promise(&sync);
        assert_eq!(found.state, state, "{sync}");
        assert_eq!(found.advice.is_empty(), state == State::Ok, "{sync}");
    }
}

#[test]
fn a_line_says_what_to_do_and_escapes_what_a_node_says() {
    let finding = Finding::bad("disk", "full\u{1b}[2J", "Make room.");
    assert_eq!(
        finding.line(false),
        "bad   disk       full\\u{1b}[2J\n                  Make room.\n"
    );
    assert!(finding.line(true).starts_with("\x1b[31mbad \x1b[0m  disk"));
    assert_eq!(finding.json()["state"], "bad");
}
