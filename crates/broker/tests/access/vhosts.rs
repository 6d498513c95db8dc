//! Virtual hosts: made, described, and deleted with everything in them, whatever happens then.

use ferry_broker::{
    ApplyTo, BindingSpec, ConnectionId, DefinitionError, Exchange, ExchangeKind, LimitsOf, Policy,
    Publisher, QueueSpec, Vhost, VhostSpec,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::queue::QueueKind;

use crate::common::Node;
use crate::support::{add_user, add_vhost, login, permit};

fn spec(name: &str, durable: bool, exclusive: bool) -> QueueSpec {
    QueueSpec {
        name: name.to_owned(),
        durable,
        exclusive,
        auto_delete: false,
        arguments: Arguments::new(),
    }
}

/// A virtual host with one of everything in it.
fn fill(node: &Node, name: &str) {
    add_vhost(&node.broker, name);
    permit(&node.broker, "ann", name, [".*", ".*", ".*"]).unwrap();
    let vhost = node.broker.vhost(name).unwrap();
    vhost
        .declare_queue(spec("q", true, false), node.connection)
        .unwrap();
    vhost
        .declare_queue(spec("own", false, true), node.connection)
        .unwrap();
    let exchange = Exchange {
        durable: true,
        ..Exchange::new("e", ExchangeKind::Topic)
    };
    vhost.declare_exchange(exchange).unwrap();
    let binding = BindingSpec {
        source: "e",
        queue: Some("q"),
        exchange: None,
        routing_key: b"#",
        arguments: Arguments::new(),
        connection: node.connection,
    };
    vhost.bind(&binding).unwrap();
    node.broker.set_policy(policy(name)).unwrap();
    let of = LimitsOf::Vhost(name.into());
    node.broker
        .set_limit(of, "max-queues", &Value::I64(5))
        .unwrap();
}

fn policy(vhost: &str) -> Policy {
    Policy {
        vhost: vhost.to_owned(),
        name: "p".to_owned(),
        pattern: ".*".to_owned(),
        apply_to: ApplyTo::Queues,
        definition: Arguments::from_iter([("max-length", Value::I64(5))]),
        priority: 0,
    }
}

/// How much there is of everything: queues, own exchanges, bindings, policies, limits, rights.
fn contents(node: &Node, name: &str) -> Option<[usize; 6]> {
    let vhost = node.broker.vhost(name)?;
    let exchanges = vhost.exchanges();
    let own = exchanges.iter().filter(|exchange| *exchange.name == *"e");
    let limits = node.broker.limits();
    let of = LimitsOf::Vhost(name.into());
    let permissions = node.broker.permissions();
    Some([
        vhost.queues().len(),
        own.count(),
        vhost.bindings().len(),
        vhost.policies().len(),
        limits.iter().filter(|set| set.of == of).count(),
        permissions.iter().filter(|one| *one.vhost == *name).count(),
    ])
}

fn filled() -> Node {
    let node = Node::new();
    add_user(&node.broker, "ann");
    fill(&node, "a");
    fill(&node, "b");
    node.broker.commit_log().unwrap();
    node
}

#[test]
fn a_deleted_virtual_host_takes_everything_with_it() {
    for checkpoint in [false, true] {
        let node = filled();
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        let ann = login(&node.broker, "ann", "ann").unwrap();
        node.broker.delete_vhost("a").unwrap();
        assert!(!ann.may_enter("a") && ann.may_enter("b"));
        assert_eq!(contents(&node, "a"), None);
        node.broker.commit_log().unwrap();
        let node = node.killed(2);
        assert_eq!(contents(&node, "a"), None);
        assert_eq!(contents(&node, "b"), Some([1, 1, 1, 1, 1, 1]));
        add_vhost(&node.broker, "a");
        assert_eq!(contents(&node, "a"), Some([0; 6]));
        node.broker.commit_log().unwrap();
        let node = node.killed(3);
        assert_eq!(contents(&node, "a"), Some([0; 6]));
    }
}

#[test]
fn a_kill_leaves_a_virtual_host_whole_or_not_at_all() {
    let node = filled();
    node.broker.delete_vhost("a").unwrap();
    let node = node.killed(2);
    assert_eq!(contents(&node, "a"), Some([1; 6]));
}

#[test]
fn messages_of_a_deleted_virtual_host_are_given_back() {
    let mut node = filled();
    let before = node.broker.memory().used_bytes();
    add_vhost(&node.broker, "c");
    let vhost = node.broker.vhost("c").unwrap();
    let declared = vhost.declare_queue(spec("q", true, false), node.connection);
    let queue = declared.unwrap().queue;
    node.publisher = Publisher::new(vhost);
    for _ in 0..100 {
        node.publish("q", &["some body"]);
    }
    assert_eq!(queue.ready(), 100);
    node.broker.delete_vhost("c").unwrap();
    assert_eq!(node.broker.memory().used_bytes(), before);
    node.broker.commit_log().unwrap();
    // What is left of the log is no burden to a start.
    let node = node.killed(2);
    assert_eq!(contents(&node, "c"), None);
}

#[test]
fn nothing_is_made_in_a_virtual_host_that_was_deleted() {
    let node = filled();
    let vhost = node.broker.vhost("a").unwrap();
    node.broker.delete_vhost("a").unwrap();
    add_vhost(&node.broker, "a");
    assert!(vhost.is_deleted());
    let gone = |found: Result<(), DefinitionError>| {
        assert_eq!(found, Err(DefinitionError::VhostDeleted("a".to_owned())));
    };
    let declared = vhost.declare_queue(spec("q", true, false), node.connection);
    gone(declared.map(|_| ()));
    let declared = vhost.declare_queue(spec("t", false, false), node.connection);
    gone(declared.map(|_| ()));
    let exchange = Exchange::new("e", ExchangeKind::Topic);
    gone(vhost.declare_exchange(exchange).map(|_| ()));
    assert!(vhost.queue("q", node.connection).is_err());
    assert_eq!(contents(&node, "a"), Some([0; 6]));
    node.broker.connection_closed(node.connection);
    for name in ["a", "none"] {
        let deleted = node.broker.delete_vhost(name);
        assert_eq!(deleted.is_ok(), name == "a", "{name}");
    }
}

#[test]
fn a_description_is_kept_and_can_be_changed() {
    let node = Node::new();
    let described = VhostSpec {
        name: "v".to_owned(),
        description: "for orders".to_owned(),
        tags: vec!["one".to_owned()],
        default_queue_type: Some("quorum".to_owned()),
    };
    assert!(node.broker.set_vhost(described.clone()).unwrap().created);
    node.broker.commit_log().unwrap();
    node.broker.checkpoint().unwrap();
    let node = node.killed(2);
    assert_eq!(node.broker.vhost("v").unwrap().spec(), described);
    assert_eq!(node.vhost.spec().description, "Default virtual host");
    let changed = VhostSpec {
        description: String::new(),
        ..described
    };
    assert!(!node.broker.set_vhost(changed.clone()).unwrap().created);
    node.broker.commit_log().unwrap();
    let node = node.killed(3);
    assert_eq!(node.broker.vhost("v").unwrap().spec(), changed);
    let bad = |change: fn(&mut VhostSpec)| {
        let mut spec = changed.clone();
        change(&mut spec);
        assert!(node.broker.set_vhost(spec.clone()).is_err(), "{spec:?}");
    };
    bad(|spec| spec.name = String::new());
    bad(|spec| spec.name = "v".repeat(256));
    bad(|spec| spec.description = "d".repeat(5000));
    bad(|spec| spec.default_queue_type = Some("nope".to_owned()));
}

#[test]
fn a_queue_without_a_type_has_the_default_one_where_that_fits() {
    let node = Node::new();
    let kind = |vhost: &Vhost, spec: QueueSpec| {
        let declared = vhost.declare_queue(spec, ConnectionId::NOBODY).unwrap();
        declared.queue.kind()
    };
    for (default, durable, exclusive, expected) in [
        (None, true, false, QueueKind::Classic),
        (Some("classic"), true, false, QueueKind::Classic),
        (Some("quorum"), true, false, QueueKind::Quorum),
        (Some("quorum"), false, false, QueueKind::Classic),
        (Some("quorum"), true, true, QueueKind::Classic),
        (Some("stream"), true, false, QueueKind::Stream),
    ] {
        let spec_of = VhostSpec {
            name: "v".to_owned(),
            default_queue_type: default.map(str::to_owned),
            ..VhostSpec::default()
        };
        node.broker.set_vhost(spec_of).unwrap();
        let vhost = node.broker.vhost("v").unwrap();
        let found = kind(&vhost, spec("q", durable, exclusive));
        assert_eq!(found, expected, "{default:?} {durable} {exclusive}");
        // The same declaration finds it again.
        assert_eq!(kind(&vhost, spec("q", durable, exclusive)), expected);
        let mut named = spec("named", true, false);
        named
            .arguments
            .insert("x-queue-type", Value::Str(b"classic".to_vec()));
        assert_eq!(kind(&vhost, named), QueueKind::Classic);
        node.broker.delete_vhost("v").unwrap();
    }
}
