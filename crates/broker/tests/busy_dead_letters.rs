//! Dead letters while many threads publish, take and look: nothing is lost, doubled or left behind.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::Node;
use common::doors::{Door, Post, drain, dying_to, refusing};
use ferry_broker::Threads;
use ferry_core::arguments::Value;

const PUBLISHERS: u16 = 4;
const MESSAGES: usize = 500;

#[test]
fn every_dead_letter_arrives_once_at_a_target_that_is_mostly_full() {
    let node = Node::new();
    node.declare("target", &refusing(20));
    let ttl = ("x-message-ttl", Value::from(5));
    let arguments: Vec<_> = dying_to("target").into_iter().chain([ttl]).collect();
    node.declare("q", &arguments);
    let threads = Threads::start(&node.broker).unwrap();
    let done = AtomicBool::new(false);
    let count = usize::from(PUBLISHERS) * MESSAGES;
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        for channel in 0..PUBLISHERS {
            let node = &node;
            scope.spawn(move || {
                let mut door = Door::new(node, channel);
                for number in 0..MESSAGES {
                    let body = format!("{channel}-{number}");
                    door.send(node, &[Post::new("", "q", &body)]);
                }
            });
        }
        scope.spawn(|| {
            // The clock goes on, and somebody looks.
            while !done.load(Ordering::SeqCst) {
                node.clock.0.fetch_add(1, Ordering::SeqCst);
                node.ready("q");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let end = Instant::now() + Duration::from_secs(60);
        while seen.len() < count && Instant::now() < end {
            seen.extend(drain(&node, "target"));
            std::thread::yield_now();
        }
        done.store(true, Ordering::SeqCst);
    });
    threads.stop().unwrap();
    seen.extend(drain(&node, "target"));
    assert_eq!(
        seen.len(),
        count,
        "{} stuck",
        node.queue("q").dead_letters_pending()
    );
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "none came twice");
}
