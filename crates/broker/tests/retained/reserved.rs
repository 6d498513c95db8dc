//! What nobody does to the queue of the store.

use ferry_broker::{
    ApplyTo, Browse, ConsumeError, ConsumerSpec, DefinitionError, ErrorKind, MoveTo, OperateError,
    Outcome, Policy, Published, QueueSpec, RETAINED_QUEUE, What,
};
use ferry_core::arguments::{Arguments, Value};

use crate::common::{Node, Sink};
use crate::support::*;

fn filled() -> Node {
    let mut node = Node::new();
    set(&mut node, "a", "1");
    node
}

#[test]
fn nobody_else_takes_its_messages() {
    let mut node = filled();
    let queue = node.queue(RETAINED_QUEUE);
    let spec = ConsumerSpec {
        tag: "mine".to_owned(),
        no_ack: true,
        exclusive: false,
        priority: 9,
        prefetch: 0,
        choice: Default::default(),
        outlet: Sink::open(),
    };
    let refused = node.broker.consume(&queue, spec, &mut || ());
    assert!(matches!(refused, Err(ConsumeError::ExclusiveUse { .. })));
    assert!(node.get(RETAINED_QUEUE).is_none());
    let purged = node.vhost.purge_queue(RETAINED_QUEUE, node.connection);
    assert_eq!(purged.unwrap().0, 0);
    let browse = Browse {
        what: What::Leased,
        ..Default::default()
    };
    let page = node.broker.browse(&queue, &browse).unwrap();
    assert_eq!(page.messages.len(), 1);
    for outcome in [Outcome::Accept, Outcome::Requeue] {
        let ended = node
            .broker
            .end_leased(&queue, &page.messages[0].name, outcome, "me");
        assert!(matches!(ended, Err(OperateError::NotLeased)));
    }
    set(&mut node, "b", "2");
    assert_eq!(all(&node), topics(&[("a", "1"), ("b", "2")]));
}

#[test]
fn nothing_enters_it_but_what_is_retained() {
    let mut node = filled();
    let refused = node.vhost.bind(&binding(&node, RETAINED_QUEUE, "#"));
    assert!(matches!(refused, Err(DefinitionError::Reserved { .. })));
    assert_eq!(node.stage(RETAINED_QUEUE, "by name"), Published::Unroutable);
    node.declare("q", &[]);
    node.publish("q", &["to be moved"]);
    let queue = node.queue("q");
    let page = node.broker.browse(&queue, &Browse::default()).unwrap();
    let to = MoveTo::Queue(RETAINED_QUEUE.to_owned());
    let moved = node
        .broker
        .move_message(&queue, &page.messages[0].name, &to, "me");
    assert!(matches!(moved, Err(OperateError::NoSuchQueue { .. })));
    assert_eq!(all(&node), topics(&[("a", "1")]));
}

#[test]
fn it_is_declared_one_way_only() {
    let node = Node::new();
    let classic = Arguments::from_iter([("x-queue-type", "classic")]);
    let own = QueueSpec {
        name: RETAINED_QUEUE.to_owned(),
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: classic,
    };
    for other in [
        QueueSpec {
            durable: false,
            ..own.clone()
        },
        QueueSpec {
            exclusive: true,
            ..own.clone()
        },
        QueueSpec {
            auto_delete: true,
            ..own.clone()
        },
        QueueSpec {
            arguments: Arguments::from_iter([("x-queue-type", "quorum")]),
            ..own.clone()
        },
        QueueSpec {
            arguments: Arguments::new(),
            ..own.clone()
        },
    ] {
        let refused = node
            .vhost
            .declare_queue(other, node.connection)
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AccessRefused, "{refused}");
    }
    // As an import of definitions does.
    node.vhost
        .declare_queue(own.clone(), node.connection)
        .unwrap();
    assert_eq!(node.queue(RETAINED_QUEUE).consumers(), 1);
    let mut node = node;
    set(&mut node, "a", "1");
    node.vhost.declare_queue(own, node.connection).unwrap();
    assert_eq!(all(&node), topics(&[("a", "1")]));
}

#[test]
fn no_policy_is_in_force_for_it() {
    let mut node = filled();
    let definition = [("message-ttl", 10u32), ("max-length", 1), ("expires", 10)];
    let policy = Policy {
        vhost: "/".to_owned(),
        name: "everything".to_owned(),
        pattern: ".*".to_owned(),
        apply_to: ApplyTo::Queues,
        priority: 1,
        definition: Arguments::from_iter(
            definition.map(|(name, value)| (name, Value::from(value))),
        ),
    };
    node.broker.set_policy(policy).unwrap();
    node.declare("q", &[]);
    assert!(node.queue("q").policy().is_some());
    assert!(node.queue(RETAINED_QUEUE).policy().is_none());
    set(&mut node, "b", "2");
    node.broker.commit_log().unwrap();
    node.pass(1_000_000);
    let mut node = node.killed(2);
    set(&mut node, "c", "3");
    assert_eq!(all(&node), topics(&[("a", "1"), ("b", "2"), ("c", "3")]));
}
