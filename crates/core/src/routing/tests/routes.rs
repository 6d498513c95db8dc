//! Routes over direct, fanout and bound exchanges, alternates, declarations and listings.

use super::*;

#[test]
fn a_direct_exchange_matches_the_exact_key() {
    let mut topology = with_exchange(ExchangeKind::Direct);
    for (queue, key) in [(1, "k"), (2, "k"), (2, "other"), (3, ""), (4, "*")] {
        bind(&mut topology, "x", &to_queue(queue), key);
    }
    for (key, expected) in [
        ("k", &[1, 2][..]),
        ("other", &[2]),
        ("", &[3]),
        ("*", &[4]),
        ("K", &[]),
        ("k.", &[]),
    ] {
        assert_eq!(routed(&topology, "x", key), expected, "{key:?}");
    }
}

#[test]
fn a_fanout_exchange_ignores_the_key_and_gives_one_copy() {
    let mut topology = with_exchange(ExchangeKind::Fanout);
    for (queue, key) in [(3, ""), (1, "k"), (2, "a.b"), (1, "second")] {
        bind(&mut topology, "x", &to_queue(queue), key);
    }
    assert_eq!(routed(&topology, "x", "whatever"), [1, 2, 3]);
}

#[test]
fn keys_need_not_be_utf_8() {
    for kind in [ExchangeKind::Direct, ExchangeKind::Topic] {
        let mut topology = with_exchange(kind);
        let none = Arguments::new();
        assert_eq!(
            topology.bind("x", &to_queue(1), &[0xff, b'.', 0], &none),
            Ok(true)
        );
        let mut out = Vec::new();
        assert!(
            topology
                .route("x", &[0xff, b'.', 0], &none, &|| 0, &mut out)
                .is_ok()
        );
        assert_eq!(out, [QueueId(1)]);
    }
}

#[test]
fn bound_exchanges_pass_messages_on_without_looping() {
    let mut topology = Topology::new("/");
    for (name, kind) in [
        ("a", ExchangeKind::Fanout),
        ("b", ExchangeKind::Topic),
        ("c", ExchangeKind::Direct),
    ] {
        declare(&mut topology, name, kind);
    }
    bind(&mut topology, "a", &to_exchange("b"), "");
    bind(&mut topology, "b", &to_exchange("c"), "order.#");
    bind(&mut topology, "c", &to_exchange("a"), "order.paid");
    bind(&mut topology, "c", &to_exchange("c"), "order.paid");
    bind(&mut topology, "a", &to_queue(1), "");
    bind(&mut topology, "b", &to_queue(2), "#.paid");
    bind(&mut topology, "c", &to_queue(3), "order.paid");
    bind(&mut topology, "c", &to_queue(1), "order.paid");
    for (exchange, key, expected) in [
        ("a", "order.paid", &[1, 2, 3][..]),
        ("b", "order.paid", &[1, 2, 3]),
        ("c", "order.paid", &[1, 2, 3]),
        ("a", "order.lost", &[1]),
        ("b", "x.paid", &[2]),
        ("c", "x", &[]),
    ] {
        assert_eq!(
            routed(&topology, exchange, key),
            expected,
            "{exchange} {key}"
        );
    }
}

#[test]
fn a_long_chain_of_exchanges_is_walked_once() {
    const LENGTH: u64 = 2000;
    let mut topology = Topology::new("/");
    for index in 0..LENGTH {
        declare(&mut topology, &format!("e{index}"), ExchangeKind::Fanout);
        bind(&mut topology, &format!("e{index}"), &to_queue(index), "");
    }
    for index in 0..LENGTH {
        for step in [1, 7] {
            let next = format!("e{}", (index + step) % LENGTH);
            bind(&mut topology, &format!("e{index}"), &to_exchange(&next), "");
        }
    }
    assert_eq!(
        routed(&topology, "e5", ""),
        (0..LENGTH).collect::<Vec<u64>>()
    );
}

fn declare_with_alternate(topology: &mut Topology, name: &str, alternate: &str) {
    let spec = Exchange::new(name, ExchangeKind::Direct);
    let arguments = arguments([("alternate-exchange", alternate.into())]);
    let declared = topology.declare_exchange(Exchange { arguments, ..spec });
    assert_eq!(declared, Ok(Declared { created: true }));
}

#[test]
fn an_alternate_takes_what_its_exchange_routes_nowhere() {
    let mut topology = Topology::new("/");
    declare(&mut topology, "last", ExchangeKind::Fanout);
    declare(&mut topology, "dead end", ExchangeKind::Direct);
    declare_with_alternate(&mut topology, "middle", "last");
    declare_with_alternate(&mut topology, "first", "middle");
    declare_with_alternate(&mut topology, "own", "own");
    declare_with_alternate(&mut topology, "dangling", "nowhere");
    bind(&mut topology, "first", &to_queue(1), "one");
    bind(
        &mut topology,
        "first",
        &to_exchange("dead end"),
        "swallowed",
    );
    bind(&mut topology, "first", &to_exchange("middle"), "passed on");
    bind(&mut topology, "middle", &to_queue(2), "two");
    bind(&mut topology, "last", &to_queue(3), "");
    for (exchange, key, expected) in [
        ("first", "one", &[1][..]),
        ("first", "two", &[2]),
        ("first", "else", &[3]),
        // A binding matched, so the alternate is out, wherever that binding leads.
        ("first", "swallowed", &[]),
        ("first", "passed on", &[3]),
        ("own", "k", &[]),
        ("dangling", "k", &[]),
    ] {
        assert_eq!(
            routed(&topology, exchange, key),
            expected,
            "{exchange} {key}"
        );
    }
    declare(&mut topology, "nowhere", ExchangeKind::Fanout);
    bind(&mut topology, "nowhere", &to_queue(4), "");
    assert_eq!(routed(&topology, "dangling", "k"), [4]);
}

#[test]
fn several_keys_route_to_whatever_any_of_them_matches() {
    let mut topology = with_exchange(ExchangeKind::Direct);
    declare_with_alternate(&mut topology, "y", "amq.fanout");
    bind(&mut topology, "amq.fanout", &to_queue(9), "");
    for exchange in ["x", "y"] {
        bind(&mut topology, exchange, &to_queue(2), "a");
        bind(&mut topology, exchange, &to_queue(1), "b");
        bind(&mut topology, exchange, &to_queue(2), "b");
    }
    for (exchange, keys, expected) in [
        ("x", &[&b"a"[..], b"b"][..], &[1, 2][..]),
        ("x", &[b"none", b"a"], &[2]),
        ("x", &[], &[]),
        ("y", &[b"none", b"a"], &[2]),
        ("y", &[b"none", b"nor this"], &[9]),
    ] {
        let mut out = Vec::new();
        assert!(
            topology
                .route_many(exchange, keys, &NoView, &|| 0, &mut out)
                .is_ok()
        );
        let out: Vec<u64> = out.into_iter().map(|queue| queue.0).collect();
        assert_eq!(out, expected, "{exchange} {keys:?}");
    }
}

#[test]
fn an_unknown_exchange_is_refused_by_name() {
    let mut topology = Topology::new("v");
    let expected = "no exchange 'e' in vhost 'v'";
    let mut out = Vec::new();
    let refused = topology
        .route("e", b"", &NoView, &|| 0, &mut out)
        .expect_err("unknown");
    assert_eq!(refused.to_string(), expected);
    let none = Arguments::new();
    for (source, destination) in [("e", to_queue(1)), ("amq.topic", to_exchange("e"))] {
        let refused = topology
            .bind(source, &destination, b"", &none)
            .expect_err("unknown");
        assert_eq!(refused.to_string(), expected);
    }
}

#[test]
fn keys_may_be_as_long_as_topics_are_and_no_longer() {
    let mut topology = Topology::new("v");
    let none = Arguments::new();
    let long = "a.".repeat(ROUTING_KEY_BYTES_MAX / 2) + "b";
    assert_eq!(long.len(), ROUTING_KEY_BYTES_MAX);
    for (queue, pattern) in [(1, long.as_str()), (2, "a.#.b"), (3, "a.*"), (4, "#.a.#")] {
        topology
            .bind("amq.topic", &to_queue(queue), pattern.as_bytes(), &none)
            .unwrap();
    }
    let mut out = Vec::new();
    topology
        .route("amq.topic", long.as_bytes(), &NoView, &|| 0, &mut out)
        .unwrap();
    assert_eq!(out, [QueueId(1), QueueId(2), QueueId(4)]);
    let too_long = topology.bind("amq.topic", &to_queue(1), &[b'a'; 65_536], &none);
    assert_eq!(too_long, Err(BindError::RoutingKeyTooLong(65_536)));
}

#[test]
fn every_virtual_host_has_the_standard_exchanges() {
    let topology = Topology::new("/");
    let listed: Vec<(&str, &str, bool)> = topology
        .exchanges()
        .map(|exchange| (&*exchange.name, exchange.kind.as_str(), exchange.internal))
        .collect();
    let expected = [
        ("amq.direct", "direct", false),
        ("amq.fanout", "fanout", false),
        ("amq.headers", "headers", false),
        ("amq.match", "headers", false),
        ("amq.rabbitmq.trace", "topic", true),
        ("amq.topic", "topic", false),
        ("ferry.settle", "direct", false),
    ];
    assert_eq!(listed, expected);
    assert!(
        topology
            .exchanges()
            .all(|exchange| exchange.durable && !exchange.auto_delete)
    );
}

/// An exchange `e` with an alternate, and a change to it.
fn varied(change: impl FnOnce(&mut Exchange)) -> Exchange {
    let mut spec = Exchange::new("e", ExchangeKind::Direct);
    spec.arguments.insert("alternate-exchange", "a");
    change(&mut spec);
    spec
}

#[test]
fn a_second_declaration_must_be_equivalent() {
    let mut topology = Topology::new("/");
    assert_eq!(
        topology.declare_exchange(varied(|_| {})),
        Ok(Declared { created: true })
    );
    let extra = varied(|spec| drop(spec.arguments.insert("x-other", 1i32)));
    assert_eq!(
        topology.declare_exchange(extra),
        Ok(Declared { created: false })
    );
    let epoch = topology.epoch();
    for (spec, argument, received, current) in [
        (
            varied(|spec| spec.kind = ExchangeKind::Fanout),
            "type",
            "'fanout'",
            "'direct'",
        ),
        (
            varied(|spec| spec.durable = false),
            "durable",
            "'false'",
            "'true'",
        ),
        (
            varied(|spec| spec.auto_delete = true),
            "auto_delete",
            "'true'",
            "'false'",
        ),
        (
            varied(|spec| spec.internal = true),
            "internal",
            "'true'",
            "'false'",
        ),
        (
            varied(|spec| drop(spec.arguments.insert("alternate-exchange", "b"))),
            "alternate-exchange",
            "'b'",
            "'a'",
        ),
        (
            varied(|spec| drop(spec.arguments.remove("alternate-exchange"))),
            "alternate-exchange",
            "none",
            "the value 'a' of type 'longstr'",
        ),
    ] {
        let refused = topology
            .declare_exchange(spec)
            .expect_err("inequivalent")
            .to_string();
        let expected = format!(
            "inequivalent arg '{argument}' for exchange 'e' in vhost '/': \
             received {received} but current is {current}"
        );
        assert_eq!(refused, expected);
    }
    assert_eq!(topology.epoch(), epoch);
}

#[test]
fn an_alternate_is_named_by_text() {
    let mut topology = Topology::new("/");
    let wrong = varied(|spec| drop(spec.arguments.insert("alternate-exchange", 1i32)));
    let refused = topology.declare_exchange(wrong);
    assert_eq!(
        refused.map_err(|refusal| refusal.to_string()),
        Err(
            "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'e' in vhost '/'"
                .to_owned()
        )
    );
    assert!(topology.exchange("e").is_none());
}

#[test]
fn exchange_kinds_are_read_by_name() {
    for (name, kind) in [
        ("direct", ExchangeKind::Direct),
        ("fanout", ExchangeKind::Fanout),
        ("topic", ExchangeKind::Topic),
        ("headers", ExchangeKind::Headers),
        ("x-delayed-message", ExchangeKind::DelayedMessage),
        (
            "x-message-deduplication",
            ExchangeKind::MessageDeduplication,
        ),
        ("x-consistent-hash", ExchangeKind::ConsistentHash),
        ("x-modulus-hash", ExchangeKind::ModulusHash),
        ("x-random", ExchangeKind::Random),
        ("x-local-random", ExchangeKind::LocalRandom),
    ] {
        assert_eq!(name.parse(), Ok(kind));
        assert_eq!(kind.to_string(), name);
    }
    let refused = "x-recent-history"
        .parse::<ExchangeKind>()
        .map_err(|refusal| refusal.to_string());
    assert_eq!(
        refused,
        Err("unknown exchange type 'x-recent-history'".to_owned())
    );
}

#[test]
fn the_same_binding_twice_is_one_whatever_the_order_of_its_arguments() {
    let mut topology = Topology::new("/");
    let (a, b) = (("a", Value::I32(1)), ("b", Value::I32(2)));
    let bind = |topology: &mut Topology, arguments: Arguments| {
        topology.bind("amq.topic", &to_queue(1), b"k", &arguments)
    };
    assert_eq!(
        bind(&mut topology, arguments([a.clone(), b.clone()])),
        Ok(true)
    );
    let epoch = topology.epoch();
    assert_eq!(bind(&mut topology, arguments([b, a.clone()])), Ok(false));
    assert_eq!(topology.epoch(), epoch);
    assert_eq!(bind(&mut topology, arguments([a])), Ok(true));
    assert_eq!(
        bind(&mut topology, arguments([("a", Value::I64(1))])),
        Ok(true)
    );
    assert_eq!(bind(&mut topology, Arguments::new()), Ok(true));
    assert!(topology.epoch() > epoch);
    assert_eq!(topology.binding_count(), 4);
    assert_eq!(routed(&topology, "amq.topic", "k"), [1]);
}

#[test]
fn listings_keep_the_order_of_binding() {
    let mut topology = Topology::new("/");
    for (source, destination, key) in [
        ("amq.topic", to_queue(2), "b"),
        ("amq.direct", to_queue(1), "z"),
        ("amq.topic", to_queue(1), "a"),
        ("amq.topic", to_exchange("amq.direct"), "e"),
    ] {
        bind(&mut topology, source, &destination, key);
    }
    let keys = |bindings: Vec<BindingView<'_>>| -> Vec<String> {
        let key = |view: &BindingView<'_>| String::from_utf8_lossy(view.routing_key).into_owned();
        bindings.iter().map(key).collect()
    };
    assert_eq!(keys(topology.bindings().collect()), ["z", "b", "a", "e"]);
    assert_eq!(
        keys(topology.bindings_from("amq.topic").collect()),
        ["b", "a", "e"]
    );
    assert_eq!(keys(topology.bindings_to("amq.direct").collect()), ["e"]);
    assert_eq!(
        keys(topology.bindings_of_queue(QueueId(1)).collect()),
        ["z", "a"]
    );
    assert_eq!(topology.bindings_from("none").count(), 0);
    assert_eq!(topology.bindings_of_queue(QueueId(7)).count(), 0);
    assert_eq!(topology.bindings_from("amq.fanout").count(), 0);
}
