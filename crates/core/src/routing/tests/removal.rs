//! Removal: what goes, what goes with it, and what stays.

use super::*;

fn declare_auto_delete(topology: &mut Topology, name: &str) {
    let spec = Exchange {
        auto_delete: true,
        ..Exchange::new(name, ExchangeKind::Fanout)
    };
    assert_eq!(
        topology.declare_exchange(spec),
        Ok(Declared { created: true })
    );
}

fn names(removed: &Removed) -> Vec<&str> {
    removed
        .exchanges
        .iter()
        .map(|exchange| &*exchange.name)
        .collect()
}

#[test]
fn unbinding_takes_that_one_binding() {
    for kind in [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
        ExchangeKind::Headers,
    ] {
        let mut topology = with_exchange(kind);
        let none = Arguments::new();
        for queue in 1..=3 {
            bind(&mut topology, "x", &to_queue(queue), "k");
        }
        let epoch = topology.epoch();
        for (source, destination, key) in [
            ("x", to_queue(4), "k"),
            ("x", to_queue(2), "other"),
            ("none", to_queue(2), "k"),
            ("x", to_exchange("none"), "k"),
        ] {
            let removed = topology.unbind(source, &destination, key.as_bytes(), &none);
            assert!(removed.is_empty(), "{kind}");
        }
        assert_eq!(topology.epoch(), epoch);
        let removed = topology.unbind("x", &to_queue(2), b"k", &none);
        let expected = Binding {
            source: "x".into(),
            destination: to_queue(2),
            routing_key: b"k".to_vec(),
            arguments: none.clone(),
        };
        assert_eq!(
            removed,
            Removed {
                bindings: vec![expected],
                exchanges: vec![]
            }
        );
        assert_eq!(routed(&topology, "x", "k"), [1, 3], "{kind}");
        assert!(topology.epoch() > epoch);
        bind(&mut topology, "x", &to_queue(2), "k");
        assert_eq!(routed(&topology, "x", "k"), [1, 2, 3], "{kind}");
    }
}

#[test]
fn a_queue_takes_its_bindings_along() {
    let mut topology = Topology::new("/");
    for exchange in ["amq.direct", "amq.fanout", "amq.topic", "amq.match"] {
        bind(&mut topology, exchange, &to_queue(1), "k");
        bind(&mut topology, exchange, &to_queue(2), "k");
        bind(&mut topology, exchange, &to_queue(1), "#");
    }
    let epoch = topology.epoch();
    assert_eq!(topology.remove_queue(QueueId(1)).bindings.len(), 8);
    assert!(topology.epoch() > epoch);
    for exchange in ["amq.direct", "amq.fanout", "amq.topic", "amq.match"] {
        assert_eq!(routed(&topology, exchange, "k"), [2], "{exchange}");
    }
    let epoch = topology.epoch();
    assert!(topology.remove_queue(QueueId(1)).is_empty());
    assert_eq!(topology.epoch(), epoch);
    assert_eq!(topology.binding_count(), 4);
}

#[test]
fn an_exchange_goes_as_source_and_as_destination() {
    let mut topology = with_exchange(ExchangeKind::Topic);
    bind(&mut topology, "amq.fanout", &to_exchange("x"), "");
    bind(&mut topology, "x", &to_queue(1), "#");
    bind(&mut topology, "x", &to_exchange("x"), "self");
    assert_eq!(routed(&topology, "amq.fanout", "k"), [1]);
    let in_use = topology
        .delete_exchange("x", true)
        .expect_err("it has bindings");
    assert_eq!(in_use.to_string(), "exchange 'x' in vhost '/' in use");
    let removed = topology.delete_exchange("x", false).expect("it exists");
    assert_eq!((removed.bindings.len(), names(&removed)), (3, vec!["x"]));
    assert_eq!(topology.binding_count(), 0);
    assert_eq!(routed(&topology, "amq.fanout", "k"), Vec::<u64>::new());
    let gone = topology
        .delete_exchange("x", false)
        .expect_err("it is gone");
    assert_eq!(gone.to_string(), "no exchange 'x' in vhost '/'");
}

#[test]
fn an_unused_exchange_may_still_be_bound_to() {
    let mut topology = with_exchange(ExchangeKind::Topic);
    bind(&mut topology, "amq.fanout", &to_exchange("x"), "");
    let removed = topology
        .delete_exchange("x", true)
        .expect("nothing is bound from it");
    assert_eq!(removed.bindings.len(), 1);
}

#[test]
fn auto_delete_exchanges_go_with_their_last_outgoing_binding() {
    let mut topology = Topology::new("/");
    for name in ["a", "b", "c"] {
        declare_auto_delete(&mut topology, name);
    }
    bind(&mut topology, "a", &to_exchange("b"), "");
    bind(&mut topology, "b", &to_exchange("c"), "");
    bind(&mut topology, "c", &to_queue(1), "");
    bind(&mut topology, "c", &to_queue(2), "");
    bind(&mut topology, "b", &to_queue(3), "");
    assert_eq!(
        names(&topology.remove_queue(QueueId(1))),
        Vec::<&str>::new()
    );
    let removed = topology.remove_queue(QueueId(2));
    assert_eq!((removed.bindings.len(), names(&removed)), (2, vec!["c"]));
    let removed = topology.unbind("b", &to_queue(3), b"", &Arguments::new());
    assert_eq!(
        (removed.bindings.len(), names(&removed)),
        (2, vec!["b", "a"])
    );
    assert_eq!(topology.binding_count(), 0);
    assert!(topology.exchange("a").is_none());
}

#[test]
fn an_auto_delete_exchange_that_was_never_bound_from_stays() {
    let mut topology = Topology::new("/");
    declare_auto_delete(&mut topology, "a");
    bind(&mut topology, "amq.fanout", &to_exchange("a"), "");
    let none = Arguments::new();
    let removed = topology.unbind("amq.fanout", &to_exchange("a"), b"", &none);
    assert_eq!((removed.bindings.len(), removed.exchanges.len()), (1, 0));
    assert!(topology.exchange("a").is_some());
}

#[test]
fn a_cycle_of_auto_delete_exchanges_ends() {
    let mut topology = Topology::new("/");
    for name in ["a", "b"] {
        declare_auto_delete(&mut topology, name);
    }
    bind(&mut topology, "a", &to_exchange("b"), "");
    bind(&mut topology, "b", &to_exchange("a"), "");
    let removed = topology.delete_exchange("a", false).expect("it exists");
    assert_eq!(
        (removed.bindings.len(), names(&removed)),
        (2, vec!["a", "b"])
    );
}

#[test]
fn a_new_exchange_in_an_old_place_starts_empty() {
    let mut topology = with_exchange(ExchangeKind::Fanout);
    bind(&mut topology, "x", &to_queue(1), "");
    bind(&mut topology, "amq.fanout", &to_exchange("x"), "");
    assert!(topology.delete_exchange("x", false).is_ok());
    declare(&mut topology, "y", ExchangeKind::Fanout);
    assert_eq!(routed(&topology, "y", ""), Vec::<u64>::new());
    assert_eq!(routed(&topology, "amq.fanout", ""), Vec::<u64>::new());
    assert_eq!(topology.bindings_to("y").count(), 0);
}
