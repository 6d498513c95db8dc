//! Commands against a node: what they write, and what they end with.

use serde_json::Value;

use crate::support::{Running, command, run};

const DONE: i32 = 0;
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 3;
const REFUSED: i32 = 4;

fn start() -> (tempfile::TempDir, Running, String) {
    let directory = tempfile::tempdir().unwrap();
    let node = Running::start(directory.path(), &[]);
    let url = format!("http://{}", node.http);
    (directory, node, url)
}

/// Runs a command on the node of this URL.
fn on(url: &str, args: &[&str]) -> (i32, String, String) {
    run(args, &[("FERRYMQ_NODE", url)])
}

#[test]
fn lists_are_tables_for_scripts_and_json_for_programs() {
    let (_directory, node, url) = start();
    let (code, out, log) = on(&url, &["exchanges", "--vhost", "/"]);
    assert_eq!((code, log.as_str()), (DONE, ""));
    let mut lines = out.lines();
    let heads = lines.next().unwrap();
    assert!(heads.starts_with("vhost\tname\ttype\t"), "{heads}");
    assert!(
        lines.any(|line| line.starts_with("/\tamq.topic\ttopic\tyes\t")),
        "{out}"
    );

    let (code, out, _) = on(&url, &["exchanges", "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    let asked: Value = serde_json::from_str(&node.get("/api/exchanges")).unwrap();
    assert_eq!((code, listed), (DONE, asked));

    let (code, out, _) = on(&url, &["status", "--json"]);
    let status: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, DONE);
    assert_eq!(status["overview"]["product_name"], "FerryMQ");
    assert_eq!(on(&url, &["status", "--ready"]).0, DONE);
}

#[test]
fn what_is_set_is_shown_and_what_is_deleted_is_gone() {
    let (_directory, _node, url) = start();
    let set = [
        "policies",
        "set",
        "p",
        "^a",
        "max-length=5",
        "--apply-to",
        "queues",
    ];
    assert_eq!(on(&url, &set).0, DONE);
    let (_, out, _) = on(&url, &["policies"]);
    assert!(
        out.contains("/\tp\t^a\tqueues\t0\t{\"max-length\":5}\n"),
        "{out}"
    );
    assert_eq!(
        on(&url, &["limits", "set", "vhost", "/", "max-queues", "7"]).0,
        DONE
    );
    let (_, out, _) = on(&url, &["limits"]);
    assert!(out.contains("vhost\t/\tmax-queues\t7\n"), "{out}");
    assert_eq!(
        on(&url, &["limits", "clear", "vhost", "/", "max-queues"]).0,
        DONE
    );
    assert_eq!(on(&url, &["policies", "delete", "p"]).0, DONE);
    assert_eq!(on(&url, &["policies"]).1.lines().count(), 1);
    let (code, out, log) = on(&url, &["policies", "delete", "p"]);
    assert_eq!((code, out.as_str()), (REFUSED, ""));
    assert_eq!(log, "ferrymq: there is no policy p\n");
}

#[test]
fn an_exit_code_says_what_kind_of_failure_it_was() {
    let (_directory, _node, url) = start();
    for (args, expected, said) in [
        (&["queues", "none"][..], REFUSED, "there is no queue none"),
        (
            &["queues", "a\u{1b}[2J"],
            REFUSED,
            "there is no queue a\\u{1b}[2J",
        ),
        (&["purge", "none"], REFUSED, "there is no queue none"),
        (
            &["status", "--password-file", "-"],
            REFUSED,
            "does not let user guest in",
        ),
        (
            &["status", "--node", "http://127.0.0.1:1"],
            UNREACHABLE,
            "ferrymq serve",
        ),
        (
            &["status", "--node", "http://127.0.0.1:1", "--ready"],
            UNREACHABLE,
            "refused",
        ),
        (&["status", "--node", "nonsense://"], USAGE, "http://"),
        (&["status", "--user", "ann"], USAGE, "FERRYMQ_PASSWORD"),
        (&["status", "--password", "x"], USAGE, "--password"),
        (&["move", "a", "b"], USAGE, "--all"),
        (&["policies", "set", "p", "^a"], USAGE, "--definition"),
        (
            &["policies", "set", "p", "^a", "max-length"],
            USAGE,
            "NAME=VALUE",
        ),
        (&["consume", "a", "--ack", "requeue"], USAGE, "--count"),
        (
            &[
                "status",
                "--ca-file",
                "/none",
                "--node",
                "https://127.0.0.1:1",
            ],
            USAGE,
            "/none",
        ),
        (&["frobnicate"], USAGE, "frobnicate"),
    ] {
        let (code, out, log) = on(&url, args);
        assert_eq!((code, out.as_str()), (expected, ""), "{args:?}: {log}");
        assert!(log.contains(said), "{args:?}: {log}");
        assert!(!log.contains('\u{1b}'), "{args:?}");
    }
}

#[test]
fn what_needs_no_node_starts_none() {
    for args in [
        &["completions", "bash"][..],
        &["man"],
        &["man", "--markdown"],
        &["--help"],
    ] {
        // More than fits into a pipe: it is read while it is written.
        let done = command(args)
            .env("FERRYMQ_NODE", "http://127.0.0.1:1")
            .output()
            .unwrap();
        assert!(
            done.status.success() && done.stderr.is_empty(),
            "{args:?}: {done:?}"
        );
        assert!(done.stdout.len() > 1000, "{args:?}");
    }
}

#[test]
fn users_and_rights_of_mosquitto_are_shown_and_then_imported() {
    let (directory, node, url) = start();
    let file = |name: &str| directory.path().join(name).display().to_string();
    // Made by mosquitto_passwd: `test12`.
    let hash = "$7$101$jEex+D0qNxc97MOL$\
        s68+dwBdGH0guI+ATcVLcKI0/Gs70LArodrT9zTT0BltTgMm/4H8ZEjcaqJc55mnv2vHJ1rpI1eOSfwZ4O3AZw==";
    std::fs::write(file("passwords"), format!("roger:{hash}\n")).unwrap();
    std::fs::write(file("acl"), "user roger\ntopic read a/#\ntopic deny b\n").unwrap();
    let text = format!(
        "listener 1883 127.0.0.1\npassword_file {}\nacl_file {}\nmax_keepalive 60\n",
        file("passwords"),
        file("acl")
    );
    std::fs::write(file("mosquitto.conf"), text).unwrap();
    let conf = file("mosquitto.conf");

    let (code, out, log) = on("http://127.0.0.1:1", &["import", &conf, "--dry-run"]);
    assert_eq!(
        (code, out.as_str()),
        (DONE, "mqtt = [\"127.0.0.1:1883\"]\n"),
        "{log}"
    );
    for part in [
        "mosquitto.conf:4: `max_keepalive 60`: it has no equivalent",
        "acl:3: `topic deny b` has no equivalent",
        "roger on amq.topic",
        "nothing was imported",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    assert!(!node.get("/api/users").contains("roger"));

    let (code, _, log) = on(&url, &["import", &conf]);
    assert_eq!(code, DONE, "{log}");
    let user: Value = serde_json::from_str(&node.get("/api/users/roger")).unwrap();
    assert_eq!(
        (&user["hashing_algorithm"], &user["password_hash"]),
        (&"mosquitto".into(), &hash.into())
    );
    let topics = node.get("/api/users/roger/topic-permissions");
    assert!(topics.contains(r#""read":"^(a(\\..*)?)$""#), "{topics}");
    let (code, _, log) = on(&url, &["import", &conf, "--from", "rabbitmq"]);
    assert!(code == USAGE && log.contains("not JSON"), "{log}");
}
