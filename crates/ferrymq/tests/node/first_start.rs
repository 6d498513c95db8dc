//! The first start of a node: who is there, and who is told how to get in.

use std::path::Path;
use std::process::Stdio;

use crate::support::{Running, command};
use rustix::process::Signal;

fn start(data: &Path, http: &str) -> Running {
    let data = data.to_str().unwrap();
    let args = [
        "serve",
        "--data-dir",
        data,
        "--amqp",
        "127.0.0.1:0",
        "--http",
        http,
    ];
    let mut command = command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Running::from(command)
}

fn stop(node: Running) {
    node.signal(Signal::TERM);
    assert!(node.end().0.success());
}

const MADE: &str = "user 'admin' is made";

#[test]
fn a_node_that_can_be_reached_makes_an_administrator_at_its_first_start_alone() {
    for (first, second, made) in [
        ("0.0.0.0:0", "0.0.0.0:0", true),
        ("127.0.0.1:0", "0.0.0.0:0", false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let node = start(directory.path(), first);
        assert_eq!(node.log.contains(MADE), made, "{}", node.log);
        assert!(node.get("/api/whoami").contains("\"name\":\"guest\""));
        stop(node);
        let node = start(directory.path(), second);
        assert!(!node.log.contains(MADE), "{}", node.log);
        assert_eq!(node.get("/api/users").contains("\"name\":\"admin\""), made);
        stop(node);
    }
}
