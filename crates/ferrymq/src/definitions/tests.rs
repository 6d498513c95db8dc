//! Files, plans and findings.

use serde_json::{Value, json};

use super::{File, Level, Op, lint, plan};

fn file(value: Value) -> File {
    File::new(value, None).unwrap()
}

#[test]
fn objects_of_a_single_virtual_host_are_put_into_one() {
    let single = json!({
        "rabbitmq_definition_format": "single_virtual_host", "original_vhost_name": "v1",
        "queues": [{ "name": "q" }], "bindings": [{ "vhost": "v2" }], "tags": ["a"],
    });
    for (vhost, expected) in [(None, "v1"), (Some("other"), "other")] {
        let file = File::new(single.clone(), vhost).unwrap();
        assert_eq!(file.all("queues")[0]["vhost"], expected);
        assert_eq!(file.all("bindings")[0]["vhost"], "v2");
    }
    for (value, expected) in [
        (json!([]), "definitions are one JSON object"),
        (json!({ "queues": [1] }), "queues[0] should be an object"),
        (
            json!({ "original_vhost_name": "v", "queues": [{ "name": "q" }] }),
            "queues[0] names no virtual host: say which with --vhost",
        ),
    ] {
        assert_eq!(
            File::new(value.clone(), None).unwrap_err(),
            expected,
            "{value}"
        );
    }
}

/// Signs, kinds and names of a plan.
fn planned(wanted: Value, node: Value) -> Vec<String> {
    let changes = plan(&file(wanted), &file(node));
    let lines = changes.iter().map(|change| {
        let line = format!("{} {} {}", change.op.sign(), change.kind, change.name());
        format!("{line} {}", change.details()).trim_end().to_owned()
    });
    lines.collect()
}

type Planned = (Value, Value, &'static [&'static str]);

fn queue(arguments: Value) -> Value {
    json!({ "queues": [{
        "name": "q", "vhost": "/", "durable": true, "auto_delete": false, "arguments": arguments,
    }] })
}

fn policy(definition: Value) -> Value {
    json!({ "policies": [{
        "name": "p", "vhost": "/", "pattern": "", "definition": definition,
    }] })
}

fn user(hash: &str, algorithm: &str) -> Value {
    json!({ "users": [{
        "name": "u", "tags": "a, b", "password_hash": hash, "hashing_algorithm": algorithm,
    }] })
}

/// What a file wants, what a node has, and the plan for it.
fn plans() -> Vec<Planned> {
    let vhost = |more: Value| json!({ "vhosts": [more] });
    let sha = "rabbit_password_hashing_sha256";
    vec![
        (json!({}), queue(json!({})), &[][..]),
        (queue(json!({})), json!({}), &["+ queue q"]),
        (json!({ "queues": [] }), queue(json!({})), &["- queue q"]),
        (
            queue(json!({})),
            json!({ "queues": [{ "name": "q", "vhost": "/" }] }),
            &[],
        ),
        (
            queue(json!([])),
            queue(json!({ "x-queue-type": "classic" })),
            &[],
        ),
        (
            queue(json!({ "x-max-length": 1 })),
            queue(json!({})),
            &["! queue q arguments: {} -> {\"x-max-length\":1}"],
        ),
        (
            policy(json!({ "max-length": 1 })),
            policy(json!({ "max-length": 2 })),
            &["~ policy p definition: {\"max-length\":2} -> {\"max-length\":1}"],
        ),
        (
            user("x", sha),
            user("y", sha),
            &["~ user u password_hash: \"one hash\" -> \"another\""],
        ),
        (user("x", sha), user("y", "argon2id"), &[]),
        (
            json!({ "users": [{ "name": "u", "tags": ["a"] }] }),
            user("y", sha),
            &["~ user u tags: [\"a\",\"b\"] -> [\"a\"]"],
        ),
        (
            vhost(json!({ "name": "v", "metadata": { "description": "d" } })),
            vhost(json!({ "name": "v", "description": "d", "default_queue_type": "undefined" })),
            &[],
        ),
        (
            json!({ "vhosts": [], "queues": [] }),
            json!({ "vhosts": [{ "name": "/" }], "queues": [{ "name": "q", "vhost": "/" }] }),
            &["- vhost /"],
        ),
        (
            json!({ "exchanges": [{ "name": "amq.topic", "vhost": "/" }] }),
            json!({ "exchanges": [] }),
            &[],
        ),
        (
            json!({ "global_parameters": [{ "name": "internal_cluster_id", "value": "a" }] }),
            json!({ "global_parameters": [{ "name": "mine", "value": "b" }] }),
            &["- global parameter mine"],
        ),
    ]
}

#[test]
fn a_plan_names_every_difference_and_nothing_else() {
    for (wanted, node, expected) in plans() {
        assert_eq!(
            planned(wanted.clone(), node.clone()),
            expected,
            "{wanted} {node}"
        );
    }
    let binding = |key: &str, arguments: Value| {
        json!({ "bindings": [{
        "source": "e", "vhost": "/", "destination": "q", "destination_type": "queue",
        "routing_key": key, "arguments": arguments,
    }] })
    };
    let changes = planned(binding("a", json!({})), binding("b", json!({})));
    assert_eq!(
        changes,
        ["+ binding e -> queue q (a)", "- binding e -> queue q (b)"]
    );
    assert_eq!(
        planned(binding("a", json!({})), binding("a", json!([]))),
        [""; 0]
    );
    let changes = plan(&file(queue(json!({}))), &file(json!({})));
    assert_eq!(changes[0].op, Op::Add);
    assert_eq!(
        changes[0].to_json(),
        json!({ "op": "add", "kind": "queue", "vhost": "/", "name": "q", "fields": [] })
    );
}

/// What is found, without what is said of every queue of a small file.
fn found(mut definitions: Value) -> Vec<(Level, &'static str, String)> {
    for section in [
        "queues",
        "exchanges",
        "bindings",
        "policies",
        "parameters",
        "permissions",
    ] {
        for item in definitions[section].as_array_mut().into_iter().flatten() {
            item["vhost"] = json!("/");
        }
    }
    let findings = lint(&file(definitions));
    findings
        .into_iter()
        .map(|finding| (finding.level, finding.rule, finding.name))
        .collect()
}

type Found = (Value, Vec<(Level, &'static str, &'static str)>);

fn bound() -> Value {
    json!({ "source": "amq.fanout", "destination": "q", "destination_type": "queue" })
}

fn queues_and_policies() -> Vec<Found> {
    use Level::{Bad, Note, Warning};
    let fine = json!({ "x-max-length": 1, "x-dead-letter-exchange": "amq.fanout" });
    let queue = |arguments: Value| {
        json!({
            "queues": [{ "name": "q", "durable": true, "arguments": arguments }],
            "bindings": [bound()],
        })
    };
    let no_policy = (Note, "queue-without-policy", "q");
    let with_policy = |policy: Value| {
        let mut definitions = queue(fine.clone());
        definitions["policies"] = json!([policy]);
        definitions
    };
    vec![
        (json!({}), vec![]),
        (queue(fine.clone()), vec![no_policy]),
        (
            queue(json!({})),
            vec![
                (Warning, "unbounded-queue", "q"),
                (Warning, "no-dead-letters", "q"),
                no_policy,
            ],
        ),
        (
            queue(json!({ "x-message-ttl": 1, "x-dead-letter-exchange": "none" })),
            vec![(Bad, "dead-letters-lost", "q"), no_policy],
        ),
        (
            queue(json!({
                "x-expires": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "none",
            })),
            vec![(Bad, "dead-letters-lost", "q"), no_policy],
        ),
        (
            queue(json!({
                "x-max-length": 1, "x-dead-letter-exchange": "amq.fanout", "x-sync": "written",
            })),
            vec![(Warning, "weak-confirms", "q"), no_policy],
        ),
        (
            queue(json!({
                "x-max-length": 1, "x-dead-letter-exchange": "amq.fanout", "x-sync": "sync",
            })),
            vec![no_policy],
        ),
        (
            queue(json!({ "x-max-age": "1D", "x-queue-type": "stream" })),
            vec![no_policy],
        ),
        (
            with_policy(
                json!({ "name": "p", "pattern": "^q$", "definition": { "ha-mode": "all" } }),
            ),
            vec![(Warning, "mirrored-policy", "p")],
        ),
        (
            with_policy(json!({ "name": "p", "pattern": "z", "definition": {} })),
            vec![(Note, "policy-for-nothing", "p"), no_policy],
        ),
        (
            with_policy(json!({ "name": "p", "pattern": "(", "definition": {} })),
            vec![(Bad, "bad-pattern", "p"), no_policy],
        ),
    ]
}

fn wires_and_access() -> Vec<Found> {
    use Level::{Bad, Note, Warning};
    vec![
        (
            json!({ "bindings": [bound()] }),
            vec![(Bad, "binding-to-nothing", "amq.fanout -> q")],
        ),
        (
            json!({ "exchanges": [{ "name": "e" }, { "name": "a", "arguments": {
                "alternate-exchange": "e" } }] }),
            vec![(Warning, "exchange-to-nothing", "e")],
        ),
        (
            json!({ "parameters": [{ "component": "shovel", "name": "s" }] }),
            vec![(Bad, "not-offered", "shovel/s")],
        ),
        (
            json!({ "users": [
                { "name": "guest", "tags": "administrator" },
                { "name": "a", "password": "x" },
                { "name": "b", "hashing_algorithm": "rabbit_password_hashing_md5" },
                { "name": "c", "hashing_algorithm": "bcrypt" },
            ], "permissions": [
                { "user": "guest", "configure": ".*", "write": ".*", "read": ".*" },
                { "user": "a", "configure": ".*", "write": ".*", "read": ".*" },
                { "user": "b", "configure": "", "write": ".*", "read": ".*" },
            ] }),
            vec![
                (Bad, "plain-password", "a"),
                (Bad, "unknown-hash", "c"),
                (Warning, "guest", "guest"),
                (Warning, "weak-hash", "b"),
                (Note, "all-rights", "a"),
            ],
        ),
    ]
}

#[test]
fn every_rule_finds_what_it_is_for() {
    for (definitions, expected) in wires_and_access().into_iter().chain(queues_and_policies()) {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(level, rule, name)| (level, rule, name.to_owned()))
            .collect();
        assert_eq!(found(definitions.clone()), expected, "{definitions}");
    }
}

#[test]
fn the_policy_that_counts_is_the_one_that_is_looked_at() {
    let definitions = |high: Value, low: Value| {
        json!({
            "queues": [{ "name": "q" }, { "name": "dead", "arguments": { "x-max-length": 1 } }],
            "policies": [
                { "name": "low", "pattern": "^q$", "definition": low },
                { "name": "high", "pattern": "^q$", "priority": 1, "definition": high },
            ],
        })
    };
    let dead = json!({
        "max-length": 1, "dead-letter-exchange": "", "dead-letter-routing-key": "dead",
    });
    let unbounded = |findings: &[(Level, &'static str, String)]| {
        let rules: Vec<_> = findings.iter().map(|(_, rule, _)| *rule).collect();
        rules.contains(&"unbounded-queue")
    };
    assert!(!unbounded(&found(definitions(dead.clone(), json!({})))));
    assert!(unbounded(&found(definitions(
        json!({ "overflow": "drop-head" }),
        dead
    ))));
}
