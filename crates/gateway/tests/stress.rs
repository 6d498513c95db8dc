//! Many publishers and consumers at once, with small outboxes and consumers that vanish.

mod common;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use amqp091::method::basic;
use amqp091::properties::{Change, Edit};
use common::{Client, Node, publish_frames};
use ferry_gateway::GatewayConfig;

const PUBLISHERS: u32 = 4;
const MESSAGES: u32 = 3_000;
const WINDOW: u32 = 100;
const PREFETCH: u16 = 50;

/// What all consumers have seen.
#[derive(Default)]
struct Seen {
    bodies: Mutex<HashSet<Vec<u8>>>,
    acked: AtomicUsize,
    done: AtomicBool,
}

fn publish(node: &Node, publisher: u32) {
    let mut client = node.channel();
    client.confirm_select(1);
    let persistent = Edit {
        delivery_mode: Change::Set(2),
        ..Edit::default()
    };
    for window in 0..MESSAGES / WINDOW {
        let mut burst = Vec::new();
        for number in window * WINDOW..(window + 1) * WINDOW {
            let mut body = vec![0; 2_000];
            body[..4].copy_from_slice(&publisher.to_be_bytes());
            body[4..8].copy_from_slice(&number.to_be_bytes());
            burst.extend(publish_frames(1, "", "stress", false, &persistent, &body));
        }
        client.send(&burst);
        let last = u64::from((window + 1) * WINDOW);
        let refused = client.wait_confirmed(1, last);
        assert!(refused.is_empty(), "nothing is refused");
    }
    client.close();
}

/// Consumes until all is done; every now and then it vanishes with what it holds.
fn consume(node: &Node, seen: &Seen, vanishes: bool) {
    while !seen.done.load(Ordering::Relaxed) {
        let mut client = node.channel();
        client.method(
            1,
            basic::Qos {
                prefetch_size: 0,
                prefetch_count: PREFETCH,
                global: false,
            },
        );
        client.expect(1, "basic.qos_ok");
        client.consume(1, "stress", false);
        consume_some(&mut client, seen, if vanishes { 700 } else { u32::MAX });
    }
}

fn consume_some(client: &mut Client, seen: &Seen, limit: u32) {
    for count in 0..limit {
        while client.is_quiet(Duration::from_millis(200)) {
            if seen.done.load(Ordering::Relaxed) {
                return;
            }
        }
        let message = client.next_message(1);
        seen.bodies
            .lock()
            .expect("no test thread panicked")
            .insert(message.body[..8].to_vec());
        if count % 10 == 9 {
            client.ack(1, message.tag, true);
            seen.acked.fetch_add(10, Ordering::Relaxed);
        }
    }
}

#[test]
fn every_confirmed_message_is_delivered_whoever_vanishes() {
    let config = GatewayConfig {
        outbox_bytes_max: 16 << 10,
        ..GatewayConfig::default()
    };
    let node = Node::with(config, 1 << 30);
    let mut watcher = node.channel();
    watcher.declare(1, "stress", true);
    let seen = Seen::default();
    let total = (PUBLISHERS * MESSAGES) as usize;
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let node = &node;
            scope.spawn(move || publish(node, publisher));
        }
        for vanishes in [true, true, false, false] {
            let (node, seen) = (&node, &seen);
            scope.spawn(move || consume(node, seen, vanishes));
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while seen.bodies.lock().unwrap().len() < total && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        seen.done.store(true, Ordering::Relaxed);
    });
    assert_eq!(seen.bodies.into_inner().unwrap().len(), total);
    let deadline = Instant::now() + Duration::from_secs(5);
    while watcher.ready(1, "stress") > 4 * u32::from(PREFETCH) {
        assert!(Instant::now() < deadline, "only what was not acked is left");
    }
    watcher.close();
}
