//! `ferry.settle` in transactions, and while publishers are held.

mod common;

use std::time::{Duration, Instant};

use amqp091::method::tx;
use amqp091::properties::{Change, Edit};
use common::{Client, Node};

fn select(client: &mut Client) {
    client.method(1, tx::Select {});
    client.expect(1, "tx.select_ok");
}

fn commit(client: &mut Client) {
    client.method(1, tx::Commit {});
    client.expect(1, "tx.commit_ok");
}

/// Two messages, taken.
fn start(node: &Node) -> (Client, [u64; 2]) {
    let mut client = node.channel();
    client.declare(1, "q", true);
    let tags = [(); 2].map(|()| {
        client.publish(1, "", "q", b"work");
        client.get(1, "q", false).expect("a message").tag
    });
    select(&mut client);
    (client, tags)
}

#[test]
fn a_transaction_settles_at_its_commit() {
    let node = Node::start();
    let (mut client, [first, second]) = start(&node);
    client.settle(first, "accept", None);
    client.settle(second, "delay", Some(60_000));
    client.publish(1, "", "q", b"result");
    assert_eq!(client.ready(1, "q"), 0);
    assert_eq!(
        node.queue("q").unsettled(),
        2,
        "nothing happens before the commit"
    );
    commit(&mut client);
    assert_eq!(client.ready(1, "q"), 1);
    assert_eq!(node.queue("q").unsettled(), 0);
    assert_eq!(node.delayed("q"), 1);
    client.close();
}

#[test]
fn a_rollback_undoes_settlements_and_extensions() {
    let node = Node::start();
    let (mut client, [first, second]) = start(&node);
    client.settle(first, "accept", None);
    client.settle(second, "extend", Some(0));
    client.settle(first, "explode", None);
    client.settle(9, "accept", None);
    client.method(1, tx::Rollback {});
    client.expect(1, "tx.rollback_ok");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(node.queue("q").unsettled(), 2);
    client.settle(first, "accept", None);
    client.ack(1, second, false);
    commit(&mut client);
    assert_eq!(node.queue("q").unsettled(), 0);
    client.close();
}

#[test]
fn what_a_transaction_can_not_settle_comes_back_before_commit_ok() {
    let node = Node::start();
    let (mut client, [first, second]) = start(&node);
    client.settle(first, "explode", None);
    client.settle(9, "accept", None);
    client.settle(second, "accept", None);
    client.settle(second, "reject", None);
    assert_eq!(client.ready(1, "q"), 0, "nothing comes before the commit");
    client.method(1, tx::Commit {});
    assert_eq!(client.expect_return().0, 406);
    for tag in [9, second] {
        let text = format!("NOT_FOUND - unknown delivery tag {tag}");
        assert_eq!(client.expect_return(), (404, text));
    }
    client.expect(1, "tx.commit_ok");
    assert_eq!(node.queue("q").unsettled(), 1);
    client.close();
}

#[test]
fn a_lease_that_has_ended_by_the_commit_is_told_there() {
    let node = Node::start();
    let (mut client, [first, second]) = start(&node);
    client.settle(first, "extend", Some(0));
    client.settle(second, "extend", Some(0));
    commit(&mut client);
    node.wait_ready("q", 2);
    let mut other = node.channel();
    for _ in 0..2 {
        other.get(1, "q", true).unwrap();
    }
    client.settle(first, "extend", None);
    client.settle(second, "accept", None);
    client.publish(1, "", "q", b"all the same");
    client.method(1, tx::Commit {});
    for tag in [first, second] {
        let text = format!("NOT_FOUND - the lease of delivery tag {tag} has ended");
        assert_eq!(client.expect_return(), (404, text));
    }
    client.expect(1, "tx.commit_ok");
    assert_eq!(client.ready(1, "q"), 1);
    assert_eq!(node.counted("messages_settled_late"), 1);
    client.ack(1, first, false);
    commit(&mut client);
    assert_eq!(node.counted("messages_settled_late"), 2);
    client.close();
}

#[test]
fn an_extension_in_a_transaction_acts_at_the_commit() {
    let node = Node::start();
    let (mut client, [first, second]) = start(&node);
    client.settle(first, "extend", Some(100));
    client.settle(second, "extend", Some(60_000));
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(client.ready(1, "q"), 0);
    let start = Instant::now();
    commit(&mut client);
    node.wait_ready("q", 1);
    assert!(start.elapsed() >= Duration::from_millis(90));
    client.ack(1, second, false);
    commit(&mut client);
    assert_eq!(node.queue("q").unsettled(), 0);
    client.close();
}

#[test]
fn settlements_flow_while_publishers_are_held() {
    let node = Node::start();
    let mut publisher = node.channel();
    publisher.declare(1, "q", false);
    publisher.declare(1, "disk", true);
    publisher.publish(1, "", "q", b"work");
    node.disk.set_capacity(Some(1 << 20));
    let persistent = Edit {
        delivery_mode: Change::Set(2),
        ..Edit::default()
    };
    for _ in 0..60 {
        publisher.publish_with(1, "", "disk", false, &persistent, &[1; 50_000]);
    }
    publisher.expect(0, "connection.blocked");
    let mut client = node.channel();
    client.confirm_select(1);
    let message = client.get(1, "q", false).unwrap();
    client.settle(message.tag, "accept", None);
    client.wait_confirmed(1, 1);
    assert_eq!(node.queue("q").unsettled(), 0);
    client.publish(1, "", "q", b"held");
    client.settle(message.tag, "accept", None);
    client.expect(0, "connection.blocked");
    node.disk.set_capacity(None);
    client.expect(0, "connection.unblocked");
    client.wait_confirmed(1, 2);
    assert_eq!(client.expect_return().0, 404);
    client.wait_confirmed(1, 3);
    client.close();
}
