//! Limits and rates: who is refused, who has to wait, and what a crash leaves of them.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Node, Sink};
use ferry_broker::{
    Admitted, ConnectError, ConnectionInfo, Hold, LimitError, LimitsOf, Policy, RateWaiter,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_log::testing::Fault;

fn vhost() -> LimitsOf {
    LimitsOf::Vhost("/".into())
}

fn user() -> LimitsOf {
    LimitsOf::User("guest".into())
}

fn set(node: &Node, of: LimitsOf, name: &str, value: i64) {
    node.broker.set_limit(of, name, &Value::I64(value)).unwrap();
}

fn connect(node: &Node) -> Result<Admitted, ConnectError> {
    node.broker.admit_connection(ConnectionInfo {
        user: "guest".to_owned(),
        vhost: "/".to_owned(),
        ..ConnectionInfo::default()
    })
}

#[test]
fn connections_are_refused_beyond_a_limit_and_let_in_when_one_goes() {
    let node = Node::new();
    let first = connect(&node).unwrap();
    set(&node, vhost(), "max-connections", 2);
    let second = connect(&node).unwrap();
    let full = |limit| {
        format!(
            "access to vhost '/' refused for user 'guest': connection limit ({limit}) is reached"
        )
    };
    assert_eq!(connect(&node).err().unwrap().to_string(), full(2));
    node.broker.connection_closed(first.id);
    let third = connect(&node).unwrap();
    set(&node, vhost(), "max-connections", 0);
    node.broker.connection_closed(second.id);
    assert_eq!(connect(&node).err().unwrap().to_string(), full(0));
    set(&node, vhost(), "max-connections", -1);
    set(&node, user(), "max-connections", 1);
    let of_user = "connection refused for user 'guest': user connection limit (1) is reached";
    assert_eq!(connect(&node).err().unwrap().to_string(), of_user);
    node.broker.clear_limit(user(), "max-connections").unwrap();
    let fourth = connect(&node).unwrap();
    for connection in [third, fourth] {
        node.broker.connection_closed(connection.id);
    }
    // A refusal of the user gave the place in the virtual host back.
    set(&node, vhost(), "max-connections", 1);
    connect(&node).unwrap();
}

#[test]
fn queues_are_refused_beyond_the_limit_and_what_is_there_stays() {
    let node = Node::new();
    node.declare("a", &[]);
    set(&node, vhost(), "max-queues", 2);
    node.declare("b", &[]);
    let declare = |name: &str| {
        let spec = ferry_broker::QueueSpec {
            name: name.to_owned(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Arguments::from_iter([("x-max-length", Value::from("bad"))]),
        };
        let refused = node.vhost.declare_queue(spec, node.connection);
        refused.err().unwrap().to_string()
    };
    let full = "cannot declare queue 'c': queue limit in vhost '/' (2) is reached";
    assert_eq!(declare("c"), full);
    let made_up = declare("");
    assert!(
        made_up.starts_with("cannot declare queue 'amq.gen-"),
        "{made_up}"
    );
    node.declare("a", &[]);
    set(&node, vhost(), "max-queues", 1);
    assert_eq!(node.vhost.queues().len(), 2);
    for queue in ["a", "b"] {
        node.vhost
            .delete_queue(queue, false, false, node.connection)
            .unwrap();
    }
    node.declare("c", &[]);
}

#[test]
fn limits_survive_a_crash_and_a_checkpoint() {
    let mut node = Node::new();
    set(&node, vhost(), "max-queues", 1);
    set(&node, user(), "connection-deliver-byte-rate", 5);
    set(&node, user(), "max-channels", 3);
    node.broker.clear_limit(user(), "max-channels").unwrap();
    node.broker.commit_log().unwrap();
    for entropy in 2..5 {
        let before = node.broker.limits();
        assert_eq!(before.len(), 2);
        if entropy == 3 {
            node.broker.checkpoint().unwrap();
        }
        node = node.killed(entropy);
        assert_eq!(node.broker.limits(), before);
        assert!(connect(&node).unwrap().limits.meters_deliveries());
    }
    node.declare("only", &[]);
    let spec = ferry_broker::QueueSpec {
        name: "more".to_owned(),
        durable: false,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::new(),
    };
    assert!(node.vhost.declare_queue(spec, node.connection).is_err());
}

#[test]
fn a_limit_that_can_not_be_written_is_not_in_force() {
    let node = Node::new();
    node.disk.fail_call(1, Fault::Io, true);
    node.declare("q", &[]);
    node.broker.commit_log().unwrap_err();
    let refused = node
        .broker
        .set_limit(vhost(), "max-connections", &Value::I64(0));
    assert!(
        matches!(refused, Err(LimitError::Definition(_))),
        "{refused:?}"
    );
    assert!(node.broker.limits().is_empty());
    assert!(connect(&node).is_ok());
}

/// What a publisher that never rests gets through in so many seconds, with `connections`.
fn published(node: &Node, connections: &[Admitted], seconds: u64, size: u64) -> u64 {
    let mut count = 0;
    let mut resumes_at = vec![0; connections.len()];
    for _ in 0..seconds * 1_000 {
        let now = node.broker.now();
        for (connection, at) in connections.iter().zip(&mut resumes_at) {
            while now >= *at && connection.limits.meters_publishes() {
                count += 1;
                let hold = connection.limits.charge_publish(size, now);
                *at = hold.map_or(0, |hold| hold.resumes_at);
            }
        }
        node.clock.0.fetch_add(1, Ordering::Relaxed);
    }
    count
}

#[test]
fn ten_connections_share_a_rate_and_each_has_its_own() {
    for (of, name, value, size, expected) in [
        (vhost(), "publish-rate", 500, 1, 30_000),
        (user(), "publish-byte-rate", 500_000, 100, 300_000),
        (user(), "connection-publish-rate", 50, 1, 30_000),
        (vhost(), "connection-publish-byte-rate", 500, 10, 30_000),
    ] {
        let node = Node::new();
        set(&node, of, name, value);
        let connections: Vec<_> = (0..10).map(|_| connect(&node).unwrap()).collect();
        let count = published(&node, &connections, 60, size);
        let off = count.abs_diff(expected);
        assert!(off * 100 <= expected * 2, "{name}: {count} for {expected}");
    }
}

#[test]
fn of_two_rates_the_lower_one_holds_and_names_itself() {
    let node = Node::new();
    let connection = connect(&node).unwrap();
    assert!(!connection.limits.meters_publishes());
    let reason = |size| {
        let limits = &connection.limits;
        let hold = (0..5).find_map(|_| limits.charge_publish(size, node.broker.now()));
        node.clock.0.fetch_add(1_000_000, Ordering::Relaxed);
        hold.map(|hold: Hold| hold.reason())
    };
    set(&node, vhost(), "publish-rate", 10);
    assert_eq!(reason(1).as_deref(), Some("publish-rate of vhost '/'"));
    set(&node, user(), "publish-rate", 5);
    assert_eq!(reason(1).as_deref(), Some("publish-rate of user 'guest'"));
    set(&node, user(), "connection-publish-byte-rate", 1_000);
    set(&node, vhost(), "connection-publish-byte-rate", 10);
    assert_eq!(reason(100).as_deref(), Some("connection-publish-byte-rate"));
    for (of, name) in [
        (vhost(), "publish-rate"),
        (user(), "publish-rate"),
        (user(), "connection-publish-byte-rate"),
        (vhost(), "connection-publish-byte-rate"),
    ] {
        assert!(connection.limits.meters_publishes(), "{name}");
        node.broker.clear_limit(of, name).unwrap();
    }
    assert!(!connection.limits.meters_publishes());
    assert_eq!(reason(1_000_000), None);
}

#[test]
fn who_comes_later_waits_for_what_others_owe() {
    let node = Node::new();
    set(&node, vhost(), "publish-byte-rate", 1_000);
    let (first, second) = (connect(&node).unwrap(), connect(&node).unwrap());
    let now = node.broker.now();
    assert_eq!(second.limits.publish_owed(now), None);
    first.limits.charge_publish(10_100, now).unwrap();
    let hold = second.limits.publish_owed(now).unwrap();
    assert_eq!(hold.resumes_at - now, 10_050);
}

#[test]
fn a_queue_asks_its_publishers_to_wait_and_no_others() {
    let mut node = Node::new();
    node.declare("slow", &[("x-publish-rate", Value::I64(10))]);
    node.declare("fast", &[]);
    let stage = |node: &mut Node, queue: &str| {
        node.stage(queue, "body");
        let hold = node.burst.take_hold();
        node.publish(queue, &[]);
        hold
    };
    for _ in 0..100 {
        assert_eq!(stage(&mut node, "fast"), None);
    }
    assert_eq!(stage(&mut node, "slow"), None);
    let hold = stage(&mut node, "slow").unwrap();
    assert_eq!(hold.reason(), "publish-rate of queue 'slow'");
    assert_eq!(hold.resumes_at, node.broker.now() + 150);
    assert_eq!(node.ready("slow"), 2, "what has come is taken");

    let definition = Arguments::from_iter([("publish-byte-rate", Value::I64(4))]);
    let said = Arguments::from_iter([
        ("pattern", Value::from("fast")),
        ("definition", Value::Table(definition)),
    ]);
    let told = Arc::new(Told::default());
    let waiter: Arc<dyn RateWaiter> = told.clone();
    node.broker.watch_rates(Arc::downgrade(&waiter));
    node.broker
        .set_policy(Policy::read("/", "p", &said).unwrap())
        .unwrap();
    assert_eq!(told.0.load(Ordering::Relaxed), 1);
    let hold = stage(&mut node, "fast").unwrap();
    assert_eq!(hold.reason(), "publish-byte-rate of queue 'fast'");
    node.broker.clear_policy("/", "p").unwrap();
    assert_eq!(told.0.load(Ordering::Relaxed), 2);
    assert_eq!(stage(&mut node, "fast"), None);
    set(&node, vhost(), "max-queues", 100);
    assert_eq!(told.0.load(Ordering::Relaxed), 2, "that is no rate");
}

#[derive(Default)]
struct Told(AtomicU64);

impl RateWaiter for Told {
    fn rates_changed(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn deliveries_of_a_connection_stop_when_they_owe_and_go_on_when_it_is_paid() {
    let node = Node::new();
    set(&node, user(), "deliver-rate", 100);
    let connections = [connect(&node).unwrap(), connect(&node).unwrap()];
    let start = node.broker.now();
    let mut count = 0;
    while node.broker.now() < start + 60_000 {
        for connection in &connections {
            while connection.limits.may_deliver() {
                connection.limits.charge_delivery(1);
                count += 1;
            }
            connection.limits.await_deliveries();
            let at = connection.limits.deliver_resumes_at().unwrap();
            assert!(at > node.broker.now());
            assert!(!connection.limits.take_awaited(at - 1));
        }
        node.clock.0.fetch_add(1, Ordering::Relaxed);
    }
    assert!((5_940..=6_060).contains(&count), "{count}");
    let counts = node.broker.throttled();
    assert!(
        counts[1].deliveries > 1_000 && counts[0].deliveries == 0,
        "{counts:?}"
    );
}

#[test]
fn a_queue_delivers_at_its_rate_in_time_of_the_broker() {
    let mut node = Node::new();
    let queue = node
        .declare("q", &[("x-deliver-rate", Value::I64(100))])
        .queue;
    for _ in 0..10 {
        node.publish("q", &["body"; 100]);
    }
    let sink = Sink::open();
    node.consume(&queue, &sink, true, 0);
    let mut count = sink.take().len();
    assert!(count <= 11, "{count}");
    for _ in 0..5_000 {
        node.pass(1);
    }
    count += sink.take().len();
    assert!((495..=515).contains(&count), "{count}");
    assert!(node.broker.next_deadline() > node.broker.now());
    let queues = node.broker.throttled()[3];
    assert_eq!((queues.limit, queues.deliveries > 50), ("queue", true));
}

#[test]
fn a_queue_keeps_to_the_rate_of_its_policy_after_a_kill() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let definition = Arguments::from_iter([("deliver-rate", Value::I64(10))]);
    let said = Arguments::from_iter([
        ("pattern", Value::from("q")),
        ("definition", Value::Table(definition)),
    ]);
    let policy = Policy::read("/", "p", &said).unwrap();
    node.broker.set_policy(policy).unwrap();
    node.publish("q", &["body"; 20]);
    for (cleared, expected) in [(false, 2), (true, 20)] {
        if cleared {
            node.broker.checkpoint().unwrap();
            node.broker.clear_policy("/", "p").unwrap();
        }
        node.broker.commit_log().unwrap();
        node = node.killed(2);
        let sink = Sink::open();
        let consumer = node.consume(&node.queue("q"), &sink, false, 0);
        assert_eq!(sink.take().len(), expected);
        node.broker.cancel(&consumer);
    }
}
