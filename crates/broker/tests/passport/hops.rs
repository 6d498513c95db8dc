//! Each kind of hop, where it happens.

use ferry_broker::{
    BindingSpec, ConnectionInfo, Event, Exchange, ExchangeKind, Outcome, Publisher,
};
use ferry_core::arguments::Value;

use crate::common::doors::exchange;
use crate::common::{Node, Sink};
use crate::support::{Post, TRACE, bind, consume, hops, noted, post, way};

#[test]
fn a_delivery_that_comes_back_and_is_acked_is_told_hop_by_hop() {
    let mut node = Node::new();
    let queue = noted(&node, "q", &[]);
    post("", "q", "m").send(&mut node);
    let (sink, seen) = consume(&node, &queue, false);
    node.settle(&seen[0], Outcome::Requeue);
    let again = sink.take();
    node.settle(&again[0], Outcome::Accept);
    let expected = [
        "published /q",
        "entered q",
        "delivered q to c",
        "returned q",
        "delivered q to c again",
        "acked q",
    ];
    assert_eq!(way(&node, "m"), expected);
    let trace = Some(*b"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c");
    assert!(hops(&node, "m").iter().all(|hop| hop.trace_id == trace));
}

#[test]
fn a_delivery_through_an_empty_queue_comes_after_the_arrival() {
    let mut node = Node::new();
    let queue = noted(&node, "q", &[]);
    let (sink, _) = consume(&node, &queue, true);
    post("", "q", "m").send(&mut node);
    assert_eq!(sink.take().len(), 1);
    let expected = ["published /q", "entered q", "delivered q to c for good"];
    assert_eq!(way(&node, "m"), expected);
    post("", "q", "n").send(&mut node);
    let taken = noted(&node, "taken", &[]);
    post("", "taken", "n").send(&mut node);
    node.get("taken").unwrap();
    assert_eq!(taken.ready(), 0);
    assert_eq!(
        way(&node, "n").last().unwrap(),
        "delivered taken to (get) for good"
    );
}

#[test]
fn everybody_who_reads_a_stream_is_told_of() {
    let mut node = Node::new();
    let queue = noted(&node, "s", &[("x-queue-type", "stream".into())]);
    let sink = Sink::open();
    (0..2).for_each(|_| drop(node.consume(&queue, &sink, false, 5)));
    post("", "s", "m").send(&mut node);
    assert_eq!(sink.take().len(), 2);
    let expected = [
        "published /s",
        "entered s",
        "delivered s to c",
        "delivered s to c",
    ];
    assert_eq!(way(&node, "m"), expected);
}

#[test]
fn who_published_and_to_whom_it_went_is_told() {
    let mut node = Node::new();
    let queue = noted(&node, "q", &[]);
    let connection = node.broker.connection_opened(ConnectionInfo {
        peer: "10.0.0.7:4242".to_owned(),
        user: "alice".to_owned(),
        ..ConnectionInfo::default()
    });
    node.publisher = Publisher::of(node.vhost.clone(), connection);
    post("", "q", "m").send(&mut node);
    let Event::Published {
        user,
        connection,
        bytes,
        ..
    } = &hops(&node, "m")[0].event
    else {
        panic!("the first hop is the publish");
    };
    let told = (user.as_deref(), connection.as_deref(), *bytes);
    assert_eq!(told, (Some("alice"), Some("10.0.0.7:4242"), 4));
    assert!(queue.has_passport());
}

#[test]
fn the_exchanges_on_the_way_are_told_and_no_others() {
    let mut node = Node::new();
    let alternate = [("alternate-exchange", Value::from("spare"))];
    for name in ["in", "next", "loop", "spare", "aside"] {
        let arguments: &[(&str, Value)] = if name == "next" { &alternate } else { &[] };
        exchange(&node, name, true, arguments);
    }
    for name in ["q", "r"] {
        noted(&node, name, &[]);
    }
    node.declare("plain", &[]);
    bind(&node, "in", None, Some("next"), "a.*");
    bind(&node, "in", None, Some("aside"), "#");
    bind(&node, "in", Some("plain"), None, "#");
    bind(&node, "next", None, Some("loop"), "a.b");
    bind(&node, "loop", None, Some("next"), "#");
    bind(&node, "loop", Some("q"), None, "#.b");
    bind(&node, "spare", Some("r"), None, "a.#");
    for (key, legs) in [
        (
            "a.b",
            vec!["in -a.*-> next", "next -a.b-> loop", "loop -#.b-> q"],
        ),
        (
            "a.c",
            vec![
                "in -a.*-> next",
                "next -(alternate)-> spare",
                "spare -a.#-> r",
            ],
        ),
    ] {
        post("in", key, key).send(&mut node);
        let way = way(&node, key);
        assert_eq!(way[0], format!("published in/{key}"));
        let routed = way.iter().filter(|hop| hop.contains("->"));
        let routed: Vec<&str> = routed.map(String::as_str).collect();
        assert_eq!(routed, legs, "{way:?}");
    }
    post("in", "other", "other").send(&mut node);
    assert!(
        way(&node, "other").is_empty(),
        "only the queue without a passport has it"
    );
}

#[test]
fn what_a_queue_refuses_or_knows_or_keeps_back_is_told() {
    let mut node = Node::new();
    let full = [
        ("x-max-length", 1.into()),
        ("x-overflow", "reject-publish".into()),
    ];
    noted(&node, "full", &full);
    noted(&node, "once", &[("x-message-deduplication", true.into())]);
    noted(&node, "later", &[]);
    for id in ["f1", "f2"] {
        post("", "full", id).send(&mut node);
    }
    assert_eq!(way(&node, "f2"), ["published /full", "refused full"]);
    post("", "once", "o").send(&mut node);
    post("", "once", "o").send(&mut node);
    let twice = [
        "published /once",
        "entered once",
        "published /once",
        "duplicate once",
    ];
    assert_eq!(way(&node, "o"), twice);
    let at = node.broker.now() + 500;
    let late = Post {
        deliver_at: Some(at),
        ..post("", "later", "l")
    };
    late.send(&mut node);
    node.pass(500);
    let until = format!("delayed later until {at}");
    let expected = [
        "published /later",
        "entered later",
        until.as_str(),
        "awake later",
    ];
    assert_eq!(way(&node, "l"), expected);
    assert_eq!(hops(&node, "l")[3].at, at);
}

#[test]
fn an_exchange_that_knows_an_id_is_told() {
    let mut node = Node::new();
    exchange(
        &node,
        "once",
        true,
        &[("x-message-deduplication", true.into())],
    );
    noted(&node, "q", &[]);
    bind(&node, "once", Some("q"), None, "#");
    for _ in 0..2 {
        post("once", "k", "m").send(&mut node);
    }
    let first = ["published once/k", "once -#-> q", "entered q"];
    let expected = [first.as_slice(), &["published once/k", "duplicate"]].concat();
    assert_eq!(way(&node, "m"), expected);
}

#[test]
fn a_lease_that_expires_and_a_retry_that_waits_are_told() {
    let mut node = Node::new();
    let arguments = [
        ("x-lease-timeout", 1000.into()),
        ("x-retry-delay", 700.into()),
        ("x-retry-jitter", 0.into()),
    ];
    let queue = noted(&node, "q", &arguments);
    post("", "q", "m").send(&mut node);
    let (sink, _) = consume(&node, &queue, false);
    node.pass(1000);
    let until = node.broker.now() + 700;
    node.pass(700);
    assert_eq!(sink.take().len(), 1);
    let delayed = format!("delayed q until {until}");
    let expected = [
        "lease expired q",
        "returned q",
        delayed.as_str(),
        "awake q",
        "delivered q to c again",
    ];
    assert_eq!(way(&node, "m")[3..], expected);
}

#[test]
fn a_message_that_dies_is_followed_or_its_end_told() {
    let mut node = Node::new();
    let to = |key: &str| {
        [
            ("x-dead-letter-exchange", Value::from("")),
            ("x-dead-letter-routing-key", Value::from(key)),
        ]
    };
    let work = noted(&node, "work", &to("dead"));
    noted(&node, "dead", &[]);
    noted(&node, "lost", &to("nowhere"));
    noted(&node, "end", &[("x-max-length", 1.into())]);
    post("", "work", "w").send(&mut node);
    let (_sink, seen) = consume(&node, &work, false);
    node.settle(&seen[0], Outcome::Reject);
    let expected = [
        "delivered work to c",
        "rejected work",
        "dead: rejected to /dead [dead] work",
        "entered dead",
    ];
    assert_eq!(way(&node, "w")[2..], expected);
    for (queue, id, expected) in [
        ("lost", "l", "dead: expired to /nowhere [] lost"),
        ("end", "e", "dropped end: expired"),
    ] {
        let short_lived = Post {
            ttl_ms: Some(50),
            ..post("", queue, id)
        };
        short_lived.send(&mut node);
        node.pass(60);
        assert_eq!(way(&node, id).last().unwrap(), expected);
    }
    post("", "end", "old").send(&mut node);
    post("", "end", "new").send(&mut node);
    assert_eq!(way(&node, "old").last().unwrap(), "dropped end: maxlen");
    assert_eq!(way(&node, "new").last().unwrap(), "entered end");
}

#[test]
fn a_publish_without_a_route_is_followed_to_where_its_exchange_sends_it() {
    let mut node = Node::new();
    let target = [
        ("x-dead-letter-exchange", Value::from("")),
        ("x-dead-letter-routing-key", Value::from("lost")),
    ];
    exchange(&node, "in", true, &target);
    noted(&node, "lost", &[]);
    post("in", "k", "m").send(&mut node);
    assert_eq!(
        way(&node, "m"),
        ["dead: unroutable to /lost [lost]", "entered lost"]
    );
}

#[test]
fn a_headers_exchange_and_several_keys_are_told() {
    let mut node = Node::new();
    let spec = Exchange::new("h", ExchangeKind::Headers);
    node.vhost.declare_exchange(spec).unwrap();
    noted(&node, "q", &[]);
    let binding = BindingSpec {
        source: "h",
        queue: Some("q"),
        exchange: None,
        routing_key: b"why",
        arguments: [("traceparent", Value::from(TRACE))].into_iter().collect(),
        connection: node.connection,
    };
    node.vhost.bind(&binding).unwrap();
    post("h", "", "m").send(&mut node);
    assert_eq!(way(&node, "m"), ["published h/", "h -why-> q", "entered q"]);
}
