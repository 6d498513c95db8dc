//! Imports: whole or not at all, and nothing twice.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::Node;
use ferry_broker::{
    Account, Exchange, ExchangeKind, Import, ImportError, ImportedBinding, ImportedUser, LimitsOf,
    Permission, Policy, QueueSpec, VhostSpec,
};
use ferry_core::arguments::{Arguments, Value};
use serde_json::json;

fn vhost(name: &str) -> VhostSpec {
    VhostSpec {
        name: name.to_owned(),
        ..VhostSpec::default()
    }
}

fn queue(vhost: &str, name: &str, arguments: Arguments) -> (String, QueueSpec) {
    let spec = QueueSpec {
        name: name.to_owned(),
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments,
    };
    (vhost.to_owned(), spec)
}

fn binding(vhost: &str, source: &str, queue: &str) -> ImportedBinding {
    ImportedBinding {
        vhost: vhost.to_owned(),
        source: source.to_owned(),
        destination: queue.to_owned(),
        to_queue: true,
        routing_key: "key".to_owned(),
        arguments: Arguments::new(),
    }
}

fn policy(vhost: &str, max: i64) -> Policy {
    let definition = Arguments::from_iter([("max-length", max)]);
    let said = Arguments::from_iter([
        ("pattern", Value::from("^q")),
        ("definition", Value::Table(definition)),
    ]);
    Policy::read(vhost, "p", &said).unwrap()
}

/// Something of everything, in a virtual host of its own.
fn whole() -> Import {
    let exchange = Exchange::new("e", ExchangeKind::Topic);
    Import {
        vhosts: vec![vhost("v")],
        users: vec![ImportedUser {
            account: Account {
                name: "u".into(),
                password_hash: None,
                tags: vec!["management".to_owned()],
            },
            limits: vec![("max-channels".to_owned(), Value::I64(5))],
        }],
        permissions: vec![Permission {
            user: "u".into(),
            vhost: "v".into(),
            configure: "^a".to_owned(),
            write: String::new(),
            read: ".*".to_owned(),
        }],
        vhost_limits: vec![(
            "v".to_owned(),
            vec![("max-queues".to_owned(), Value::I64(2))],
        )],
        global_parameters: vec![("mine".to_owned(), json!({ "a": 1 }))],
        policies: vec![policy("v", 7)],
        operator_policies: vec![policy("v", 9)],
        exchanges: vec![("v".to_owned(), exchange)],
        queues: vec![
            queue("v", "q1", Arguments::new()),
            queue("v", "q2", Arguments::from_iter([("x-expires", 60_000i64)])),
        ],
        bindings: vec![binding("v", "e", "q1"), binding("v", "amq.direct", "q2")],
        ..Import::default()
    }
}

#[test]
fn the_same_import_again_writes_nothing() {
    let node = Node::new();
    node.broker.import(&whole(), "guest").unwrap();
    let end = node.broker.log().end();
    node.broker.import(&whole(), "guest").unwrap();
    assert_eq!(node.broker.log().end(), end);
    let vhost = node.broker.vhost("v").unwrap();
    assert_eq!((vhost.queues().len(), vhost.bindings().len()), (2, 2));
    let limits = node.broker.limits_of(&LimitsOf::User("u".into())).unwrap();
    assert_eq!(limits.unwrap().values[0].1, 5);
    let queue = &vhost.queues()[0];
    assert_eq!(queue.options().max_length, Some(7));
}

#[test]
fn a_new_virtual_host_is_for_who_imports_unless_the_file_says_for_whom() {
    let node = Node::new();
    let mut import = whole();
    import.vhosts.push(vhost("open"));
    node.broker.import(&import, "guest").unwrap();
    let given = node.broker.permissions();
    let given: Vec<(&str, &str, &str)> = given
        .iter()
        .map(|one| (&*one.vhost, &*one.user, &*one.configure))
        .collect();
    for expected in [("open", "guest", ".*"), ("v", "u", "^a")] {
        assert!(given.contains(&expected), "{given:?}");
    }
    assert!(!given.contains(&("v", "guest", ".*")), "{given:?}");
}

/// Gives an import something wrong; names what.
type Spoil = fn(&mut Import);

#[test]
fn an_import_that_is_refused_has_changed_nothing() {
    let node = Node::new();
    let end = node.broker.log().end();
    let bad_argument = || Arguments::from_iter([("x-max-length", "x")]);
    let spoils: [(Spoil, &str); 11] = [
        (|all| all.vhosts.clear(), "Please create virtual host \"v\""),
        (
            |all| all.users.clear(),
            "permission of 'u' in vhost 'v': no such user",
        ),
        (
            |all| all.permissions[0].read = "(".to_owned(),
            "is not a regular expression",
        ),
        // A variable is one in topic permissions alone.
        (
            |all| all.permissions[0].write = "0+^{username}".to_owned(),
            "'0+^{username}' is not a regular expression",
        ),
        (
            |all| all.permissions[0].write = "a".repeat(5000),
            "it is longer than 4096 bytes",
        ),
        (
            |all| all.vhost_limits[0].1[0].1 = Value::I64(1),
            "would exceed the limit of 1",
        ),
        (
            |all| all.policies[0].pattern = "(".to_owned(),
            "pattern should be regular expression",
        ),
        (
            |all| all.operator_policies[0].name.clear(),
            "the name should have 1 to 255 bytes",
        ),
        (
            |all| all.global_parameters[0].0.clear(),
            "the name should have 1 to 255 bytes",
        ),
        (
            |all| all.bindings[0].source = "none".to_owned(),
            "no exchange 'none' in vhost 'v'",
        ),
        (
            |all| all.bindings[1].destination = "none".to_owned(),
            "no queue 'none' in vhost 'v'",
        ),
    ];
    for (spoil, expected) in spoils {
        let mut import = whole();
        spoil(&mut import);
        refuses(&node, &import, expected);
    }
    let mut import = whole();
    import.queues[1].1.arguments = bad_argument();
    refuses(
        &node,
        &import,
        "invalid arg 'x-max-length' for queue 'q2' in vhost 'v'",
    );
    assert_eq!(node.broker.log().end(), end);
    assert!(node.broker.vhost("v").is_none());
}

fn refuses(node: &Node, import: &Import, expected: &str) {
    for refused in [
        node.broker.check_import(import).unwrap_err(),
        node.broker.import(import, "guest").unwrap_err(),
    ] {
        assert!(refused.to_string().contains(expected), "{refused}");
        assert!(!refused.is_internal(), "{refused}");
    }
}

#[test]
fn an_exclusive_queue_is_nothing_to_bind_to() {
    let node = Node::new();
    let spec = QueueSpec {
        exclusive: true,
        ..queue("/", "mine", Arguments::new()).1
    };
    node.vhost.declare_queue(spec, node.connection).unwrap();
    let import = Import {
        queues: vec![queue("/", "mine", Arguments::new())],
        bindings: vec![binding("/", "amq.direct", "mine")],
        ..Import::default()
    };
    let refused = node.broker.check_import(&import).unwrap_err();
    assert!(matches!(refused, ImportError::Definition(_)), "{refused}");
}
