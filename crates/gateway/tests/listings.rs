//! What a connection tells of itself, its channels and its consumers, and being closed by an
//! operator.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp091::Method;
use amqp091::method::{basic, tx};
use common::Node;
use ferry_broker::{ChannelInfo, ConnectionInfo, MessageStats, Probe};

/// The connections that are open, each with its probe.
fn connections(node: &Node) -> Vec<(ConnectionInfo, Arc<dyn Probe>)> {
    let all = node.broker.connections().into_iter();
    all.map(|info| {
        let probe = info.probe.upgrade().unwrap();
        (info, probe)
    })
    .collect()
}

/// The channel of that number of the first connection, once it is as wanted.
fn channel(node: &Node, number: u16, wanted: impl Fn(&ChannelInfo) -> bool) -> ChannelInfo {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let channels = connections(node)[0].1.channels();
        let found = channels.into_iter().find(|one| one.number == number);
        match found {
            Some(found) if wanted(&found) => return found,
            found => assert!(Instant::now() < deadline, "{found:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_connection_tells_who_it_is_and_what_passed() {
    let node = Node::start();
    let mut client = node.channel();
    client.open_channel(7);
    let (info, probe) = connections(&node).remove(0);
    assert_eq!(info.local, node.address.to_string());
    assert_eq!(info.name(), format!("{} -> {}", info.peer, info.local));
    assert_eq!(
        (info.user.as_str(), info.mechanism.as_str()),
        ("guest", "PLAIN")
    );
    assert!(info.client_properties.get("capabilities").is_some());
    assert!(info.frame_bytes_max > 0 && info.connected_at > 0 && info.tls.is_none());
    assert_eq!((probe.state(), probe.channel_count()), ("running", 2));
    let numbers: Vec<u16> = probe.channels().iter().map(|one| one.number).collect();
    assert_eq!(numbers, [1, 7]);
    let before = probe.traffic();
    client.declare(1, "jobs", false);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let after = probe.traffic();
        let received = after.received_bytes > before.received_bytes && after.reads > before.reads;
        // Counted once the socket has taken it, which the client may notice first.
        if received && after.sent_bytes > before.sent_bytes && after.writes > before.writes {
            break;
        }
        assert!(Instant::now() < deadline, "{before:?} {after:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    client.close();
}

#[test]
fn a_channel_counts_what_its_client_does() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "jobs", false);
    client.confirm_select(1);
    for key in ["jobs", "jobs", "jobs", "nowhere"] {
        client.publish(1, "", key, b"x");
    }
    client.wait_confirmed(1, 4);
    client.consume(1, "jobs", false);
    let tags: Vec<u64> = (0..3).map(|_| client.next_message(1).tag).collect();
    client.ack(1, tags[0], false);
    let found = channel(&node, 1, |found| found.stats.ack == 1);
    let expected = MessageStats {
        publish: 4,
        confirm: 4,
        deliver: 3,
        ack: 1,
        drop_unroutable: 1,
        ..MessageStats::default()
    };
    assert_eq!(found.stats, expected);
    assert_eq!(
        (
            found.unacknowledged,
            found.unconfirmed,
            found.consumers,
            found.confirms
        ),
        (2, 0, 1, true)
    );
    // What a closed channel has counted stays with its connection, and then with its virtual host.
    client.open_channel(2);
    client.declare(2, "others", false);
    client.publish(2, "", "others", b"y");
    channel(&node, 2, |found| found.stats.publish == 1);
    let probe = connections(&node).remove(0).1;
    assert_eq!(probe.totals().publish, 5);
    client.close();
    let deadline = Instant::now() + Duration::from_secs(5);
    while node.broker.connection_count() > 0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    let vhost = node.broker.vhost("/").unwrap();
    let sums = vhost.sums(&vhost.queues(), &node.broker.connections());
    assert_eq!(
        (
            sums.stats.publish,
            sums.stats.confirm,
            sums.stats.drop_unroutable
        ),
        (5, 4, 1)
    );
    assert_eq!((sums.stats.deliver, sums.ready), (3, 3));
    assert!(sums.received_bytes > 0 && sums.sent_bytes > 0);
}

#[test]
fn a_transaction_shows_what_waits_for_its_commit() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "jobs", false);
    client.publish(1, "", "jobs", b"before");
    client.method(1, tx::Select {});
    client.expect(1, "tx.select_ok");
    client.publish(1, "", "jobs", b"a");
    client.publish(1, "", "jobs", b"b");
    let got = client.get(1, "jobs", false).unwrap();
    client.ack(1, got.tag, false);
    let open = channel(&node, 1, |found| found.acks_uncommitted == 1);
    assert_eq!(
        (open.transactional, open.uncommitted, open.stats.ack),
        (true, 2, 0)
    );
    client.method(1, tx::Commit {});
    client.expect(1, "tx.commit_ok");
    let done = channel(&node, 1, |found| found.stats.ack == 1);
    assert_eq!((done.uncommitted, done.acks_uncommitted), (0, 0));
    client.publish(1, "", "jobs", b"c");
    channel(&node, 1, |found| found.uncommitted == 1);
    client.method(1, tx::Rollback {});
    client.expect(1, "tx.rollback_ok");
    assert_eq!(
        channel(&node, 1, |found| found.uncommitted == 0).stats.ack,
        1
    );
    client.close();
}

#[test]
fn consumers_are_listed_while_they_consume() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "jobs", false);
    let qos = basic::Qos {
        prefetch_size: 0,
        prefetch_count: 9,
        global: false,
    };
    client.method(1, qos);
    client.expect(1, "basic.qos_ok");
    client.send_consume(1, "jobs", "mine", true);
    client.expect(1, "basic.consume_ok");
    let probe = connections(&node).remove(0).1;
    channel(&node, 1, |found| {
        found.consumers == 1 && found.prefetch == 9
    });
    let consumers = probe.consumers();
    let found = &consumers[0];
    assert_eq!(
        (
            found.queue.name(),
            found.tag.as_str(),
            found.channel,
            found.no_ack,
            found.prefetch
        ),
        ("jobs", "mine", 1, true, 9)
    );
    let id = node.broker.connections()[0].id;
    assert_eq!(node.broker.consuming_connections(&found.queue), [id]);
    client.method(
        1,
        basic::Cancel {
            consumer_tag: amqp091::ShortStr::lit("mine"),
            no_wait: false,
        },
    );
    client.expect(1, "basic.cancel_ok");
    assert!(probe.consumers().is_empty());
    client.close();
}

#[test]
fn an_operator_closes_a_connection_and_its_client_is_told_why() {
    let node = Node::start();
    let mut client = node.channel();
    let mut other = node.channel();
    client.declare(1, "jobs", false);
    connections(&node)[0].1.close("enough of it");
    let (code, text) = client.expect_close(0);
    assert_eq!(
        (code, text.as_str()),
        (320, "CONNECTION_FORCED - enough of it")
    );
    client.method(0, amqp091::method::connection::CloseOk {});
    other.declare(1, "others", false);
    let closed = client.next();
    assert!(closed.is_none_or(|got| matches!(got.method(), Method::ConnectionCloseOk(_))));
    other.close();
}
