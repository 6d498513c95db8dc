//! What clients have brought that is no message in a queue yet: it counts as memory, it is bounded,
//! and whoever has begun comes to an end.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use amqp091::Method;
use amqp091::method::tx;
use amqp091::properties::Edit;
use common::mqtt::{Mqtt, config_with, eventually, hello};
use common::{Client, Node, publish_frames};
use ferry_broker::{BlockReason, KeptFor};
use ferry_gateway::{GatewayConfig, MqttConfig};
use mqtt::Version;

const MIB: u64 = 1 << 20;
/// More than any of these nodes may use.
const TAKEN: i64 = 2 << 30;

fn frames(queue: &'static str, body: &[u8]) -> Vec<u8> {
    publish_frames(1, "", queue, false, &Edit::default(), body)
}

/// Has publishers held by memory that nobody has.
fn hold(node: &Node) {
    node.broker.memory().account(TAKEN);
    eventually("publishers are held", || {
        // What is published makes the broker look.
        let mut looks = node.channel();
        looks.publish(1, "", "nowhere", b"");
        drop(looks);
        node.broker.memory().blocked().is_some()
    });
}

fn free(node: &Node) {
    node.broker.memory().account(-TAKEN);
    node.broker.memory_given_back();
}

#[test]
fn messages_that_have_begun_count_as_whole_and_come_to_their_end() {
    let node = Node::with(GatewayConfig::default(), 8 * MIB);
    let memory = node.broker.memory();
    let mut consumer = node.channel();
    consumer.declare(1, "q", false);
    let bytes = frames("q", &[7; 3 << 20]);
    let (begin, rest) = bytes.split_at(200 << 10);
    let mut early = [(); 3].map(|()| node.channel());
    for client in &mut early {
        client.confirm_select(1);
        client.send(begin);
    }
    eventually("three messages are too much", || {
        memory.blocked() == Some(BlockReason::Memory)
    });
    let mut late = node.channel();
    late.confirm_select(1);
    late.send(begin);
    late.expect(0, "connection.blocked");
    let used = memory.used_bytes();
    assert!((9 * MIB..10 * MIB).contains(&used), "{used}");

    for client in &mut early {
        client.send(rest);
        await_confirm(client, 1);
    }
    consumer.consume(1, "q", true);
    for _ in 0..3 {
        assert_eq!(consumer.next_message(1).body.len(), 3 << 20);
    }
    late.send(rest);
    await_confirm(&mut late, 1);
    assert_eq!(consumer.next_message(1).body.len(), 3 << 20);
    eventually("nothing is left", || memory.used_bytes() == 0);
}

/// Waits for the confirm of a message, whatever is told of memory meanwhile.
fn await_confirm(client: &mut Client, tag: u64) {
    loop {
        let got = client.next().unwrap();
        match got.method() {
            Method::BasicAck(ack) => return assert_eq!(ack.delivery_tag, tag),
            Method::ConnectionBlocked(_) | Method::ConnectionUnblocked(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_goes_amid_a_message_gives_back_what_it_would_have_taken() {
    let node = Node::with(GatewayConfig::default(), 8 * MIB);
    let memory = node.broker.memory();
    for _ in 0..3 {
        let mut client = node.channel();
        client.send(&frames("q", &[7; 10 << 20])[..200 << 10]);
        eventually("it counts", || memory.used_bytes() >= 10 * MIB);
        assert!(memory.blocked().is_some());
        drop(client);
        eventually("it does not", || memory.used_bytes() == 0);
        assert!(memory.blocked().is_none());
    }
}

#[test]
fn many_that_are_held_keep_little_together() {
    const CLIENTS: u64 = 30;
    const EACH: u64 = 200;
    let node = Node::with(GatewayConfig::default(), 8 * MIB);
    let memory = node.broker.memory();
    hold(&node);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| node.channel()).collect();
    let all = frames("nowhere", &[7; 1000]).repeat(EACH as usize);
    for client in &mut clients {
        client.confirm_select(1);
        client.send(&all);
        client.expect(0, "connection.blocked");
    }
    eventually("they keep what they may", || {
        memory.kept_bytes(KeptFor::Held) >= MIB
    });
    std::thread::sleep(Duration::from_millis(100));
    let kept = memory.kept_bytes(KeptFor::Held);
    // Then each may have 16 KiB, and one read brings as much at most.
    let most = MIB + CLIENTS * (32 << 10);
    assert!(kept <= most, "{kept} of {}", CLIENTS * all.len() as u64);
    free(&node);
    for client in &mut clients {
        client.expect(0, "connection.unblocked");
        client.wait_confirmed(1, EACH);
    }
    assert_eq!(memory.kept_bytes(KeptFor::Held), 0);
}

/// Has others keep as much as all together may.
fn crowd(node: &Node) -> Vec<Client> {
    let memory = node.broker.memory();
    let all = frames("nowhere", &[7; 1000]).repeat(300);
    let mut crowd: Vec<Client> = (0..8).map(|_| node.channel()).collect();
    crowd.iter_mut().for_each(|client| client.send(&all));
    let most = MIB.max(memory.high_bytes() / 8);
    eventually("no more is kept", || {
        memory.kept_bytes(KeptFor::Held) >= most
    });
    crowd
}

#[test]
fn who_is_amid_a_message_is_read_on_whatever_others_keep() {
    let node = Node::with(GatewayConfig::default(), 8 * MIB);
    let memory = node.broker.memory();
    let mut client = node.channel();
    client.open_channel(2);
    client.confirm_select(1);
    // From then on it is a publisher.
    client.send(&frames("nowhere", b"first"));
    await_confirm(&mut client, 1);
    let bytes = frames("nowhere", &[7; 3 << 20]);
    let frame = |at| amqp091::frame::parse(&bytes[at..], 1 << 20);
    let mut ends = std::iter::successors(Some(0), |at| Some(at + frame(*at).unwrap()?.size));
    let (begin, rest) = bytes.split_at(ends.find(|at| *at >= 200 << 10).unwrap());
    client.send(begin);
    eventually("it has begun", || {
        memory.kept_bytes(KeptFor::Arriving) >= 3 * MIB
    });
    hold(&node);
    let _crowd = crowd(&node);
    client.publish(2, "", "nowhere", &[7; 100_000]);
    client.send(rest);
    await_confirm(&mut client, 2);
    eventually("it is through", || {
        memory.kept_bytes(KeptFor::Arriving) == 0
    });
    assert!(memory.is_short());
    free(&node);
}

#[test]
fn transactions_together_take_a_part_of_memory() {
    let node = Node::with(GatewayConfig::default(), 8 * MIB);
    let memory = node.broker.memory();
    let [mut one, mut other] = [(); 2].map(|()| node.channel());
    one.declare(1, "q", false);
    for client in [&mut one, &mut other] {
        client.method(1, tx::Select {});
        client.expect(1, "tx.select_ok");
    }
    (0..10).for_each(|_| one.publish(1, "", "q", &[7; 100 << 10]));
    assert_eq!(one.ready(1, "q"), 0);
    let used = memory.used_bytes();
    assert!(used >= MIB, "{used}");
    for _ in 0..10 {
        other.publish(1, "", "q", &[7; 100 << 10]);
    }
    let (code, text) = other.expect_channel_error(1);
    assert_eq!(code, 406);
    assert!(
        text.ends_with("and others, take as much memory as they may; commit more often"),
        "{text}"
    );
    eventually("it has given all back", || memory.used_bytes() == used);
    one.method(1, tx::Commit {});
    one.expect(1, "tx.commit_ok");
    assert_eq!(one.ready(1, "q"), 10);
    assert_eq!(memory.kept_bytes(KeptFor::Transaction), 0);
    one.close();
    other.close();
}

#[test]
fn a_long_packet_of_mqtt_that_has_begun_comes_to_its_end_and_none_begins_while_publishers_are_held()
{
    let node = Node::with(config_with(MqttConfig::default()), 16 * MIB);
    let memory = node.broker.memory();
    let arriving = || memory.kept_bytes(KeptFor::Arriving);
    // QoS 1, 3 MiB, topic t, packet id 1.
    let mut bytes = vec![0x32, 0x80, 0x80, 0xC0, 0x01, 0, 1, b't', 0, 1];
    let whole = (3 << 20) + 5;
    bytes.resize(whole, 7);
    let (begin, rest) = bytes.split_at(300 << 10);
    let mut early = Mqtt::open(&node, &hello(Version::V3, "early"));
    // From then on it is a publisher.
    early.send_bytes(&[0x32, 6, 0, 1, b't', 0, 9, 7]);
    early.acked("PUBACK", 9);
    early.send_bytes(begin);
    eventually("it counts as whole", || arriving() == whole as u64);
    hold(&node);
    let mut late = Mqtt::open(&node, &hello(Version::V3, "late"));
    late.send_bytes(begin);
    let _crowd = crowd(&node);
    let held = memory.kept_bytes(KeptFor::Held);
    early.send_bytes(rest);
    eventually("it is here, and held", || {
        memory.kept_bytes(KeptFor::Held) >= held + whole as u64
    });
    assert!(late.is_quiet(Duration::from_millis(50)));
    assert!(arriving() <= 16 << 10, "{} of it is here", arriving());
    free(&node);
    early.acked("PUBACK", 1);
    late.send_bytes(rest);
    late.acked("PUBACK", 1);
    eventually("nothing is left", || memory.used_bytes() == 0);
}
