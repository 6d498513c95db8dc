//! Dead letters that their target can not take are kept, and arrive when it can.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;

use common::doors::{self, Door, Post, bind, counter, drain, dying_to, exchange, refusing};
use common::{Node, Sink};
use ferry_broker::{Outcome, Policy};
use ferry_core::arguments::{Arguments, Value};

/// A queue `q` whose dead letters go to `target`, and a consumer that rejects what it is told to.
struct Story {
    node: Node,
    sink: Arc<Sink>,
    door: Door,
}

impl Story {
    fn new(target: &[(&str, Value)], source: &[(&str, Value)]) -> Story {
        let node = Node::new();
        node.declare("target", target);
        let arguments: Vec<_> = dying_to("target")
            .into_iter()
            .chain(source.to_vec())
            .collect();
        node.declare("q", &arguments);
        Story::on(node)
    }

    fn on(node: Node) -> Story {
        let sink = Sink::open();
        node.consume(&node.queue("q"), &sink, false, 0);
        let door = Door::new(&node, 1);
        Story { node, sink, door }
    }

    /// Publishes to `q` and rejects there.
    fn reject(&mut self, bodies: &[&str]) {
        for body in bodies {
            self.door.send(&self.node, &[Post::new("", "q", body)]);
            for seen in self.sink.take() {
                self.door.settle(&seen, Outcome::Reject);
            }
            self.door.burst.submit(&self.node.broker);
        }
    }

    fn stuck(&self) -> u64 {
        self.node.queue("q").dead_letters_pending()
    }

    fn target(&self) -> Vec<String> {
        drain(&self.node, "target")
    }

    fn dropped(&self) -> u64 {
        counter(&self.node, "messages_dead_letter_dropped")
    }

    fn killed(self) -> Story {
        self.node.broker.commit_log().unwrap();
        drop((self.door, self.sink));
        Story::on(self.node.killed(2))
    }
}

#[test]
fn what_a_full_target_refuses_arrives_in_order_as_soon_as_it_has_room() {
    let mut story = Story::new(&refusing(2), &[]);
    story.reject(&["1", "2", "3", "4", "5"]);
    assert_eq!((story.stuck(), story.node.ready("target")), (3, 2));
    let sink = Sink::open();
    story
        .node
        .consume(&story.node.queue("target"), &sink, false, 2);
    let first = sink.take();
    assert_eq!(
        (first.len(), story.stuck(), story.node.ready("target")),
        (2, 1, 2)
    );
    story.node.settle(&first[0], Outcome::Accept);
    assert_eq!((story.stuck(), story.node.ready("target")), (0, 2));
    story.node.settle(&first[1], Outcome::Accept);
    assert_eq!(sink.bodies(), ["3", "4"]);
    assert_eq!(story.target(), ["5"]);
    assert_eq!(story.node.queue("q").unsettled(), 0);
}

#[test]
fn room_for_a_part_of_the_bytes_is_no_room() {
    let limits: [(&str, Value); 2] = [
        ("x-max-length-bytes", 100.into()),
        ("x-overflow", "reject-publish".into()),
    ];
    let mut story = Story::new(&limits, &[]);
    let large = "x".repeat(60);
    story.reject(&[&large, &large, "small"]);
    assert_eq!(story.stuck(), 2, "what comes later waits behind");
    let before = story.node.broker.log().end();
    for _ in 0..100 {
        story.node.ready("target");
    }
    let grown = story.node.broker.log().end().0 - before.0;
    assert_eq!(grown, 0, "nobody tries in vain");
    assert_eq!(story.target(), [&large, &large, "small"]);
}

#[test]
fn a_queue_that_has_room_before_anybody_waits_is_tried_again_within_a_second() {
    let mut story = Story::new(&refusing(1), &[]);
    story.reject(&["1", "2"]);
    // A target that is bound anew has room, and nobody is told.
    doors::delete(&story.node, "target");
    story.node.declare("target", &refusing(9));
    assert_eq!(story.stuck(), 1);
    assert!(story.node.broker.next_deadline() <= story.node.broker.now() + 1000);
    story.node.pass(1000);
    assert_eq!((story.stuck(), story.target()), (0, vec!["2".to_owned()]));
    story.reject(&["3"]);
    assert_eq!(story.target(), ["3"]);
}

#[test]
fn a_clock_that_falls_back_does_not_keep_what_is_stuck() {
    let mut story = Story::new(&refusing(1), &[]);
    story.reject(&["1", "2"]);
    doors::delete(&story.node, "target");
    story.node.declare("target", &refusing(9));
    let clock = &story.node.clock.0;
    clock.fetch_sub(500_000, std::sync::atomic::Ordering::Relaxed);
    story.node.pass(1000);
    assert_eq!(story.target(), ["2"]);
}

#[test]
fn only_who_refused_gets_another_copy() {
    for deleted in [false, true] {
        let node = Node::new();
        exchange(&node, "dlx", true, &[]);
        for (queue, max) in [("free", 99), ("full", 1)] {
            node.declare(queue, &refusing(max));
            bind(&node, "dlx", queue, "#");
        }
        node.declare("q", &[("x-dead-letter-exchange", "dlx".into())]);
        let mut story = Story::on(node);
        story.reject(&["1", "2", "3"]);
        assert_eq!(story.stuck(), 2);
        if deleted {
            doors::delete(&story.node, "full");
            story.node.pass(1000);
        } else {
            assert_eq!(drain(&story.node, "full"), ["1", "2", "3"]);
        }
        assert_eq!(story.stuck(), 0);
        assert_eq!(
            drain(&story.node, "free"),
            ["1", "2", "3"],
            "deleted: {deleted}"
        );
    }
}

#[test]
fn a_target_that_goes_is_no_route_any_more() {
    for (strategy, kept) in [(None, 0), (Some("at-least-once"), 2)] {
        let strategy: Vec<_> = strategy
            .map(|name| ("x-dead-letter-strategy", Value::from(name)))
            .into_iter()
            .collect();
        let mut story = Story::new(&refusing(1), &strategy);
        story.reject(&["1", "2", "3"]);
        doors::delete(&story.node, "target");
        story.node.pass(1000);
        assert_eq!((story.stuck(), story.dropped()), (kept, 2 - kept));
        story.node.declare("target", &[]);
        story.node.pass(1000);
        assert_eq!((story.stuck(), story.target().len() as u64), (0, kept));
    }
}

#[test]
fn a_source_that_goes_takes_what_is_stuck_with_it() {
    let mut story = Story::new(&refusing(1), &[]);
    story.reject(&["1", "2", "3"]);
    doors::delete(&story.node, "q");
    assert_eq!(
        story.node.broker.next_deadline(),
        u64::MAX,
        "nothing is left"
    );
    assert_eq!(story.target(), ["1"]);
    story.node.pass(1000);
    assert_eq!(story.target(), Vec::<String>::new());
    let segments = story.node.broker.log().segments();
    assert_eq!(segments.iter().map(|s| s.live_refs).sum::<u64>(), 0);
}

fn policy(node: &Node, settings: &[(&str, Value)]) {
    let definition = Arguments::from_iter(settings.iter().cloned());
    let said = [
        ("pattern", "^q$".into()),
        ("definition", Value::Table(definition)),
    ];
    let policy = Policy::read("/", "p", &Arguments::from_iter(said)).unwrap();
    node.broker.set_policy(policy).unwrap();
}

#[test]
fn what_is_stuck_follows_the_policy() {
    let target = |name: &'static str| -> Vec<(&'static str, Value)> {
        let names = ["dead-letter-exchange", "dead-letter-routing-key"];
        names
            .into_iter()
            .zip([Value::from(""), Value::from(name)])
            .collect()
    };
    let once = || ("dead-letter-strategy", Value::from("at-most-once"));
    for (settings, arrives, drops) in [
        (target("elsewhere"), 1, 0),
        (vec![("max-length", 9.into())], 0, 1),
        (target("target").into_iter().chain([once()]).collect(), 0, 1),
    ] {
        let node = Node::new();
        node.declare("target", &refusing(1));
        node.declare("elsewhere", &[]);
        node.declare("q", &[]);
        policy(&node, &target("target"));
        let mut story = Story::on(node);
        story.reject(&["1", "2"]);
        assert_eq!((story.stuck(), story.dropped()), (1, 0));
        policy(&story.node, &settings);
        story.node.pass(1000);
        let elsewhere = drain(&story.node, "elsewhere").len() as u64;
        let found = (story.stuck(), elsewhere, story.dropped());
        assert_eq!(found, (0, arrives, drops), "{settings:?}");
        assert_eq!(story.target(), ["1"]);
    }
}

#[test]
fn at_most_once_drops_and_counts_what_is_refused() {
    let once = [("x-dead-letter-strategy", "at-most-once".into())];
    let mut story = Story::new(&refusing(1), &once);
    story.reject(&["1", "2", "3"]);
    assert_eq!((story.stuck(), story.dropped()), (0, 2));
    assert_eq!(story.target(), ["1"]);
    story.reject(&["4"]);
    assert_eq!(story.target(), ["4"]);
}

#[test]
fn without_a_route_only_at_least_once_keeps() {
    for (strategy, kept) in [("at-most-once", 0), ("at-least-once", 3)] {
        let strategy = [("x-dead-letter-strategy", Value::from(strategy))];
        let mut story = Story::new(&[], &strategy);
        doors::delete(&story.node, "target");
        story.reject(&["1", "2", "3"]);
        assert_eq!((story.stuck(), story.dropped()), (kept, 3 - kept));
        story.node.declare("target", &[]);
        story.node.pass(1000);
        assert_eq!((story.stuck(), story.target().len() as u64), (0, kept));
    }
}

#[test]
fn what_has_no_route_is_not_in_the_way_of_what_has_one() {
    let node = Node::new();
    exchange(&node, "dlx", true, &[]);
    let arguments: [(&str, Value); 2] = [
        ("x-dead-letter-exchange", "dlx".into()),
        ("x-dead-letter-strategy", "at-least-once".into()),
    ];
    for queue in ["q", "r"] {
        node.declare(queue, &arguments);
    }
    let sink = Sink::open();
    node.consume(&node.queue("r"), &sink, false, 0);
    let mut story = Story::on(node);
    story.reject(&["1", "2"]);
    for body in ["3", "4"] {
        story.door.send(&story.node, &[Post::new("", "r", body)]);
        story.node.settle(&sink.take()[0], Outcome::Reject);
    }
    story.node.declare("target", &refusing(1));
    bind(&story.node, "dlx", "target", "r");
    for restart in [false, true] {
        story.node.pass(1000);
        let pending = story.node.queue("r").dead_letters_pending();
        assert_eq!((story.stuck(), pending), (2, 1), "{restart}");
        if !restart {
            story = story.killed();
        }
    }
    assert_eq!(story.target(), ["3", "4"]);
    bind(&story.node, "dlx", "target", "q");
    story.node.pass(1000);
    assert_eq!((story.target().len(), story.stuck()), (2, 0));
}

#[test]
fn what_is_stuck_survives_a_kill_in_its_order() {
    for checkpoint in [None, Some(3), Some(9)] {
        let mut story = Story::new(&refusing(1), &[]);
        for number in 0..10 {
            story.reject(&[&number.to_string()]);
            if Some(number) == checkpoint {
                story.node.broker.checkpoint().unwrap();
            }
        }
        let mut story = story.killed();
        assert_eq!(story.stuck(), 9, "{checkpoint:?}");
        assert_eq!(story.sink.take().len(), 0, "they are with nobody else");
        story.node.pass(0);
        assert_eq!(story.stuck(), 9);
        let sink = Sink::open();
        story
            .node
            .consume(&story.node.queue("target"), &sink, true, 0);
        let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(sink.bodies(), expected, "{checkpoint:?}");
        story.reject(&["10"]);
        assert_eq!((story.stuck(), sink.bodies().len()), (0, 1));
    }
}

#[test]
fn a_queue_with_as_many_stuck_as_it_may_have_messages_refuses_publishers() {
    let limit: [(&str, Value); 1] = [("x-max-length", 3.into())];
    let mut story = Story::new(&refusing(1), &limit);
    story.reject(&["1", "2", "3", "4"]);
    let sent = story.door.send(&story.node, &[Post::new("", "q", "5")]);
    assert_eq!((story.stuck(), sent.refused()), (3, vec![0]));
    assert_eq!(story.target(), ["1", "2", "3", "4"]);
    let sent = story.door.send(&story.node, &[Post::new("", "q", "6")]);
    assert!(sent.refused().is_empty());
}

/// A story whose messages die of age.
fn aging(target: &[(&str, Value)]) -> Story {
    let node = Node::new();
    node.declare("target", target);
    let ttl = ("x-message-ttl", Value::from(10));
    let arguments: Vec<_> = dying_to("target").into_iter().chain([ttl]).collect();
    node.declare("q", &arguments);
    let (sink, door) = (Sink::open(), Door::new(&node, 1));
    Story { node, sink, door }
}

#[test]
fn a_passive_look_lets_dead_letters_go() {
    let mut story = aging(&[]);
    story.door.send(&story.node, &[Post::new("", "q", "1")]);
    let clock = &story.node.clock.0;
    clock.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(story.node.ready("q"), 0);
    let target = story.node.queue("target");
    assert_eq!(target.ready(), 1, "without another command");
}

#[test]
fn ten_thousand_stuck_cost_little_and_are_drained_by_room() {
    const COUNT: usize = 10_000;
    let mut story = aging(&refusing(1));
    let body = "x".repeat(1000);
    for _ in 0..COUNT / 100 {
        story
            .door
            .send(&story.node, &[Post::new("", "q", &body); 100]);
    }
    story.node.broker.commit_log().unwrap();
    let grown_by = |story: &mut Story, passes: usize, ms: u64| {
        let before = story.node.broker.log().end();
        (0..passes).for_each(|_| story.node.pass(ms));
        story.node.broker.commit_log().unwrap();
        story.node.broker.log().end().0 - before.0
    };
    grown_by(&mut story, 50, 10);
    assert_eq!(story.stuck(), COUNT as u64 - 1);
    let bytes = story.node.broker.log().cleaning().disk_bytes;
    assert!(bytes < 20_000_000, "{bytes} bytes for 10,000 of 1 kB");
    let segments = |grown: u64| grown >> 32;
    let grown = grown_by(&mut story, 60, 1000);
    assert!(
        segments(grown) < 3,
        "a minute of waiting filled segments: {grown}"
    );
    assert_eq!(story.node.broker.memory().body_bytes(), 0);
    let sink = Sink::open();
    story
        .node
        .consume(&story.node.queue("target"), &sink, true, 0);
    (0..100).for_each(|_| story.node.pass(0));
    assert_eq!((sink.take().len(), story.stuck()), (COUNT, 0));
}
