//! Looking into queues.

use std::sync::atomic::Ordering;

use ferry_broker::{
    Browse, ConnectionId, Filter, LeaseHolder, Listed, MessageRef, OperateError, Outcome, Page,
    Standing, What,
};
use ferry_core::arguments::Value;
use ferry_core::queue::DeadLetterReason;

use crate::common::properties::Full;
use crate::common::{Node, Sink};
use crate::support::*;

fn page(node: &Node, browse: &Browse) -> Page {
    node.broker.browse(&node.queue("q"), browse).unwrap()
}

/// All pages, one after the other, and how many there were.
fn walk(node: &Node, browse: &Browse) -> (Vec<Listed>, usize) {
    let mut browse = browse.clone();
    let (mut all, mut pages) = (Vec::new(), 0);
    loop {
        let page = page(node, &browse);
        all.extend(page.messages);
        pages += 1;
        browse.after = page.next;
        if page.next.is_none() {
            return (all, pages);
        }
        assert!(pages < 1000, "it goes in circles");
    }
}

#[test]
fn a_thousand_looks_change_nothing() {
    for consumers in [0, 100] {
        let mut node = Node::new();
        let queue = node.declare("q", &[]).queue;
        let shut = Sink::open();
        shut.room.store(0, Ordering::Relaxed);
        for _ in 0..consumers {
            node.consume(&queue, &shut, false, 1);
        }
        for body in ["a", "b", "c"] {
            post("q", body).send(&mut node);
        }
        for _ in 0..1000 {
            assert_eq!(ready(&node, "q"), ["a", "b", "c"]);
        }
        assert_eq!((queue.ready(), queue.unsettled()), (3, 0));
        let first = node.get("q").unwrap();
        assert_eq!((first.body.as_slice(), first.count), (&b"a"[..], 0));
        assert!(!first.redelivered);
        assert_eq!(ready(&node, "q"), ["b", "c"]);
    }
}

#[test]
fn a_message_is_shown_with_all_that_is_known_of_it() {
    let mut node = Node::new();
    node.declare("q", &[("x-max-priority", Value::I32(5))]);
    let full = Full {
        priority: 4,
        ttl_ms: Some(60_000),
        ..Full::new("m-1", &[("kind", Value::I32(7))])
    };
    let order = Post {
        full: full.clone(),
        ..post("q", "hello")
    };
    order.send(&mut node);
    let listed = look(&node, "q", What::Ready).remove(0);
    assert_eq!(listed.standing, Standing::Ready);
    assert_eq!(listed.properties, full.write());
    assert_eq!(listed.headers, full.headers);
    assert_eq!((listed.body.as_slice(), listed.size), (&b"hello"[..], 5));
    assert_eq!(
        (listed.exchange.as_slice(), listed.routing_key.as_slice()),
        (&b""[..], &b"q"[..])
    );
    assert_eq!((listed.published_ms, listed.priority), (1_000_000, 4));
    assert_eq!(listed.expires_at, Some(1_060_000));
    assert_eq!(
        (listed.returns, listed.redelivered, listed.durable),
        (0, false, true)
    );
    let short = Browse {
        body_bytes_max: 2,
        ..Browse::default()
    };
    let listed = page(&node, &short).messages.remove(0);
    assert_eq!((listed.body.as_slice(), listed.size), (&b"he"[..], 5));
}

#[test]
fn every_state_has_its_list() {
    let mut node = Node::new();
    let (work, _) = shop(&node);
    let full = [
        ("x-max-length", Value::I32(0)),
        ("x-overflow", Value::from("reject-publish")),
    ];
    node.declare("full", &full);
    let target = texts(&[
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", "full"),
    ]);
    node.declare("q", &target);
    for body in ["stuck", "held", "got", "free"] {
        post("q", body).send(&mut node);
    }
    let later = Post {
        deliver_at: Some(1_500_000),
        ..post("q", "later")
    };
    later.send(&mut node);
    let sink = Sink::open();
    let consumer = node.consume(&node.queue("q"), &sink, false, 2);
    let seen = sink.take();
    node.broker.cancel(&consumer);
    let sink = Sink::open();
    sink.room.store(0, Ordering::Relaxed);
    node.consume(&node.queue("q"), &sink, false, 1);
    node.settle(&seen[0], Outcome::Reject);
    let mut held = |_: ferry_broker::Delivery<'_>| ();
    node.broker.get(&node.queue("q"), false, &mut held).unwrap();
    assert_eq!(ready(&node, "q"), ["free"]);
    let until = Standing::Delayed { until: 1_500_000 };
    let delayed = look(&node, "q", What::Delayed);
    assert_eq!((delayed.len(), &delayed[0].standing), (1, &until));
    let pending = look(&node, "q", What::Pending);
    let reason = DeadLetterReason::Rejected;
    let since = 1_000_000;
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].standing, Standing::Pending { reason, since });
    let leased = look(&node, "q", What::Leased);
    let holders: Vec<_> = leased.iter().map(|listed| &listed.standing).collect();
    let standing = |by| Standing::Leased {
        by,
        connection: ConnectionId::NOBODY,
        since,
        deadline: None,
    };
    // The consumer has gone: what it holds has no tag any more.
    let expected = [
        standing(LeaseHolder::Consumer(None)),
        standing(LeaseHolder::Get),
    ];
    assert!(
        expected.iter().all(|one| holders.contains(&one)),
        "{holders:?}"
    );
    assert_eq!((leased.len(), work.ready()), (2, 0));
}

#[test]
fn a_lease_tells_its_consumer_and_its_deadline() {
    let mut node = Node::new();
    let queue = node
        .declare("q", &[("x-lease-timeout", Value::I32(9_000))])
        .queue;
    let sink = Sink::open();
    node.consume(&queue, &sink, false, 0);
    post("q", "x").send(&mut node);
    let leased = look(&node, "q", What::Leased).remove(0);
    let expected = Standing::Leased {
        by: LeaseHolder::Consumer(Some("c".to_owned())),
        connection: ConnectionId::NOBODY,
        since: 1_000_000,
        deadline: Some(1_009_000),
    };
    assert_eq!(leased.standing, expected);
}

#[test]
fn pages_follow_each_other_through_a_long_queue() {
    let mut node = Node::new();
    let queue = node
        .declare("q", &[("x-max-priority", Value::I32(2))])
        .queue;
    for index in 0..3000 {
        let body = index.to_string();
        let mut one = post("q", &body);
        one.full.priority = (index % 3) as u8;
        one.full.persistent = index % 7 != 0;
        one.send(&mut node);
    }
    let (all, pages) = walk(
        &node,
        &Browse {
            limit: 70,
            ..Browse::default()
        },
    );
    assert_eq!(pages, 3000_usize.div_ceil(70));
    let order = |level: usize| (0..3000).filter(move |index| index % 3 == level);
    let expected: Vec<String> = [2, 1, 0]
        .into_iter()
        .flat_map(order)
        .map(|i| i.to_string())
        .collect();
    let seen: Vec<_> = all
        .iter()
        .map(|one| String::from_utf8(one.body.clone()).unwrap())
        .collect();
    assert_eq!(seen, expected);
    // A page goes on although the message it ended with has gone.
    let browse = Browse {
        limit: 10,
        ..Browse::default()
    };
    let first = page(&node, &browse);
    for _ in 0..20 {
        node.get("q");
    }
    let second = page(
        &node,
        &Browse {
            after: first.next,
            ..browse
        },
    );
    assert_eq!(second.messages[0].body, expected[20].as_bytes());
    assert_eq!(queue.ready(), 2980);
}

#[test]
fn pages_follow_each_other_through_delayed_and_leased_ones() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    for index in 0..700_u64 {
        let body = index.to_string();
        let later = Post {
            deliver_at: Some(2_000_000 + index * 37 % 700),
            ..post("q", &body)
        };
        later.send(&mut node);
        post("q", &body).send(&mut node);
    }
    let sink = Sink::open();
    node.consume(&queue, &sink, false, 0);
    for what in [What::Delayed, What::Leased] {
        let (all, _) = walk(
            &node,
            &Browse {
                what,
                limit: 33,
                ..Browse::default()
            },
        );
        let mut numbers: Vec<u64> = all
            .iter()
            .map(|one| {
                String::from_utf8(one.body.clone())
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        if what == What::Delayed {
            assert!(numbers.is_sorted_by_key(|number| number * 37 % 700));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..700).collect::<Vec<_>>(), "{what:?}");
    }
    assert_eq!(look(&node, "q", What::Pending), []);
}

#[test]
fn one_call_looks_at_so_many_and_no_more() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let many: Vec<String> = (0..5000).map(|index| index.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    node.publish("q", &many);
    let wanted = Browse {
        filter: Filter {
            body: Some(b"4999".to_vec()),
            ..Filter::default()
        },
        ..Browse::default()
    };
    let first = page(&node, &wanted);
    assert_eq!((first.messages.len(), first.looked_at), (0, 4096));
    let (found, pages) = walk(&node, &wanted);
    assert_eq!((found.len(), pages), (1, 2));
    let large = "x".repeat(3 << 20);
    let mut node = Node::new();
    node.declare("q", &[]);
    for _ in 0..8 {
        node.publish("q", &[&large]);
        node.broker.commit_log().unwrap();
    }
    let (found, pages) = walk(
        &node,
        &Browse {
            body_bytes_max: 0,
            ..Browse::default()
        },
    );
    assert_eq!(
        (found.len(), pages),
        (8, 2),
        "bytes that are read are bounded too"
    );
}

#[test]
fn a_place_of_another_listing_is_refused_and_a_gone_queue_said_so() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    node.declare("other", &[]);
    post("q", "a").send(&mut node);
    let name: MessageRef = name_of(&node, "q", What::Ready, "a");
    for (queue, what) in [
        ("q", What::Delayed),
        ("q", What::Leased),
        ("other", What::Ready),
    ] {
        let browse = Browse {
            what,
            after: Some(name),
            ..Browse::default()
        };
        let refused = node.broker.browse(&node.queue(queue), &browse);
        assert!(
            matches!(refused, Err(OperateError::OutOfRange { .. })),
            "{queue} {what:?}"
        );
    }
    node.vhost
        .delete_queue("q", false, false, node.connection)
        .unwrap();
    let gone = node.broker.browse(&queue, &Browse::default());
    assert!(matches!(gone, Err(OperateError::NoSuchQueue { .. })));
}

#[test]
fn bodies_that_were_copied_elsewhere_are_found_again() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let body = "x".repeat(1000);
    for index in 0..1000 {
        node.publish("q", &[&format!("{index:05}{body}")]);
    }
    node.broker.commit_log().unwrap();
    let sink = Sink::open();
    let consumer = node.consume(&node.queue("q"), &sink, false, 0);
    let seen = sink.take();
    node.broker.cancel(&consumer);
    for (index, seen) in seen.iter().enumerate() {
        let outcome = match index % 100 {
            0 => Outcome::Release,
            _ => Outcome::Accept,
        };
        node.settle(seen, outcome);
    }
    let before = look(&node, "q", What::Ready);
    node.broker.checkpoint().unwrap();
    for _ in 0..40 {
        node.broker.upkeep().unwrap();
    }
    let after = look(&node, "q", What::Ready);
    assert_eq!((before.len(), after.len()), (10, 10));
    assert!(
        before.iter().zip(&after).any(|(a, b)| a.name != b.name),
        "some have moved"
    );
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old.body, new.body);
        node.broker
            .cancel_message(&node.queue("q"), &old.name, ACTOR)
            .unwrap();
    }
    assert_eq!(node.ready("q"), 0, "the old names are still good");
}
