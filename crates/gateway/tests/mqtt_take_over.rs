//! One client id, several connections: the newest has it, when the one before has given all back.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::Node;
use common::mqtt::{Mqtt, add_user, add_vhost, eventually, hello, node};
use mqtt::{Connect, ReasonCode, Version, write_properties};

#[test]
fn the_next_client_of_an_id_takes_over() {
    let node = node();
    let mut other = Mqtt::open(&node, &hello(Version::V5, "other"));
    for (old, new, told) in [
        (Version::V5, Version::V4, Some(ReasonCode::SessionTakenOver)),
        (Version::V4, Version::V5, None),
    ] {
        let mut first = Mqtt::open(&node, &hello(old, "same"));
        first.ping();
        let mut second = Mqtt::open(&node, &hello(new, "same"));
        assert_eq!(first.ended(), told);
        second.ping();
        other.ping();
        assert_eq!(node.broker.connection_count(), 2);
        second.disconnect(ReasonCode::Success);
    }
}

#[test]
fn one_id_in_two_virtual_hosts_is_two_clients() {
    let node = node();
    add_vhost(&node, "tenant");
    add_user(&node, "ann", &["/", "tenant"]);
    let mut clients = ["/:ann", "tenant:ann"].map(|user| {
        let connect = Connect {
            user_name: Some(user),
            password: Some(b"ann"),
            ..hello(Version::V5, "same")
        };
        Mqtt::open(&node, &connect)
    });
    clients.iter_mut().for_each(Mqtt::ping);
}

/// Fights for the client id `same`; gives how often it had it.
fn fight(node: &Node, fighter: u32) -> usize {
    let (mut entered, mut block) = (0, Vec::new());
    // Sessions that last and such that do not, of both versions.
    let properties = write_properties(&mut block, |writer| {
        writer.session_expiry((fighter % 3) * 30);
    });
    let version = [Version::V5, Version::V4][fighter as usize % 2];
    for round in 0..30 {
        let connect = Connect {
            clean_start: (fighter + round).is_multiple_of(4),
            properties,
            ..hello(version, "same")
        };
        let mut client = Mqtt::begin(node, &connect);
        let (_, reason) = client.connack();
        let busy = [ReasonCode::ServerBusy, ReasonCode::ServerUnavailable];
        assert!(
            reason == ReasonCode::Success || busy.contains(&reason),
            "{reason}"
        );
        entered += usize::from(reason == ReasonCode::Success);
    }
    entered
}

#[test]
fn many_that_fight_for_one_id_hurt_nobody_else() {
    let node = node();
    let mut other = Mqtt::open(&node, &hello(Version::V5, "other"));
    let entered: usize = std::thread::scope(|scope| {
        let node = &node;
        let fighters: Vec<_> = (0..8)
            .map(|fighter| scope.spawn(move || fight(node, fighter)))
            .collect();
        fighters.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert!(entered > 0);
    other.ping();
    eventually("one is left", || node.broker.connection_count() == 1);
    let mut last = Mqtt::open(&node, &hello(Version::V5, "same"));
    last.ping();
    other.ping();
}

#[test]
fn taking_over_leaves_nothing_behind() {
    let node = node();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let connect = Connect {
        clean_start: false,
        ..hello(Version::V4, "same")
    };
    let mut client = Mqtt::open(&node, &connect);
    let queues = node.broker.vhost("/").unwrap().queues().len();
    eventually("it has settled", || node.broker.connection_count() == 1);
    let before = descriptors();
    for _ in 0..500 {
        let mut next = Mqtt::begin(&node, &connect);
        assert_eq!(next.connack(), (true, ReasonCode::Success));
        assert_eq!(client.next(), None);
        client = next;
    }
    client.ping();
    assert_eq!(node.broker.connection_count(), 1);
    assert_eq!(node.broker.vhost("/").unwrap().queues().len(), queues);
    // Other tests of this process have sockets of their own: no more than so many.
    eventually("sockets are closed", || descriptors() < before + 250);
}
