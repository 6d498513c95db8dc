//! Dead letters brought back by a job.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use ferry_broker::{
    Filter, JobId, JobState, MoveTo, OperateError, Outcome, Progress, ReplayJob, ReplaySpec,
    Selection, Threads, What,
};
use ferry_core::arguments::Value;

use crate::common::properties::Full;
use crate::common::{Node, Sink};
use crate::support::*;

fn spec(selection: Selection, to: MoveTo) -> ReplaySpec {
    ReplaySpec {
        selection,
        to,
        rate: None,
    }
}

fn start(node: &Node, spec: ReplaySpec) -> Result<JobId, OperateError> {
    node.broker.start_replay(&node.queue("dead"), spec, ACTOR)
}

fn job(node: &Node, id: JobId) -> ReplayJob {
    let jobs = node.broker.replay_jobs();
    jobs.into_iter().find(|job| job.id == id).unwrap()
}

/// Lets jobs have their turns as long as any is due.
fn run(node: &Node) {
    let mut turns = 0;
    while node.broker.next_deadline() <= node.broker.now() {
        node.broker.tick();
        turns += 1;
        assert!(turns < 10_000, "it never ends");
    }
}

fn dead(node: &mut Node, count: usize) {
    let bodies: Vec<String> = (0..count).map(|index| format!("m{index}")).collect();
    for body in &bodies {
        let order = Post {
            exchange: "orders",
            full: Full::new(
                body,
                &[(
                    "even",
                    Value::Bool(body.ends_with(['0', '2', '4', '6', '8'])),
                )],
            ),
            ..post("paid", body)
        };
        order.send(node);
    }
    kill_all(node, "work");
    node.broker.commit_log().unwrap();
    assert_eq!(node.ready("dead"), count as u64);
}

#[test]
fn a_job_replays_all_in_order_and_costs_nothing_after() {
    let mut node = Node::new();
    shop(&node);
    dead(&mut node, 1000);
    let id = start(&node, spec(Selection::All, MoveTo::Origin)).unwrap();
    assert_eq!(job(&node, id).state, JobState::Running);
    node.broker.tick();
    let part = job(&node, id).progress.done;
    assert!((1..1000).contains(&part), "a turn is short: {part}");
    run(&node);
    let job = job(&node, id);
    let progress = Progress {
        looked_at: 1000,
        done: 1000,
        ..Progress::default()
    };
    assert_eq!((job.state, job.progress), (JobState::Done, progress));
    assert_eq!((job.queue.as_str(), job.actor.as_str()), ("dead", ACTOR));
    assert_eq!(job.ended_at, Some(node.broker.now()));
    let expected: Vec<_> = (0..1000).map(|index| format!("m{index}")).collect();
    assert_eq!(ready(&node, "work"), expected);
    assert_eq!(node.broker.next_deadline(), u64::MAX);
}

#[test]
fn a_filter_and_a_list_choose() {
    let mut node = Node::new();
    shop(&node);
    dead(&mut node, 100);
    let filter = Filter {
        headers: [("even", Value::Bool(true))].into_iter().collect(),
        ..Filter::default()
    };
    let id = start(
        &node,
        spec(Selection::Filter(Box::new(filter)), MoveTo::Origin),
    )
    .unwrap();
    run(&node);
    let Progress {
        done,
        skipped,
        looked_at,
        ..
    } = job(&node, id).progress;
    assert_eq!((done, skipped, looked_at), (50, 50, 100));
    let names: Vec<_> = look(&node, "dead", What::Ready)
        .iter()
        .map(|one| one.name)
        .collect();
    let twice = [&names[..10], &names[..10]].concat();
    let id = start(&node, spec(Selection::Refs(twice), MoveTo::Origin)).unwrap();
    run(&node);
    let Progress {
        done,
        skipped,
        looked_at,
        ..
    } = job(&node, id).progress;
    assert_eq!((done, skipped, looked_at), (10, 10, 20));
    assert_eq!((node.ready("dead"), node.ready("work")), (40, 60));
}

#[test]
fn a_job_sees_only_what_was_there_when_it_started() {
    let mut node = Node::new();
    shop(&node);
    node.declare("levels", &[("x-max-priority", Value::I32(3))]);
    for index in 0..300_u64 {
        let body = index.to_string();
        let mut one = post("levels", &body);
        one.full.priority = (index % 4) as u8;
        one.send(&mut node);
    }
    let queue = node.queue("levels");
    let itself = spec(Selection::All, MoveTo::Queue("levels".to_owned()));
    let id = node.broker.start_replay(&queue, itself, ACTOR).unwrap();
    node.broker.tick();
    let mut late = post("levels", "late");
    late.full.priority = 1;
    late.send(&mut node);
    run(&node);
    assert_eq!(job(&node, id).progress.done, 300);
    let counts = look(&node, "levels", What::Ready);
    let replayed = counts
        .iter()
        .filter(|one| one.headers.contains("x-ferry-replay"));
    assert_eq!((replayed.count(), counts.len()), (300, 301));
}

#[test]
fn a_rate_is_kept() {
    for (rate, seconds) in [(3, 20), (5, 20), (100, 10), (2000, 1)] {
        let mut node = Node::new();
        shop(&node);
        dead(&mut node, 3000);
        let mut spec = spec(Selection::All, MoveTo::Origin);
        spec.rate = NonZeroU32::new(rate);
        start(&node, spec).unwrap();
        let end = node.broker.now() + seconds * 1000;
        let mut wakes = 0;
        while node.broker.next_deadline() < end {
            let wait = node
                .broker
                .next_deadline()
                .saturating_sub(node.broker.now());
            node.pass(wait);
            node.broker.commit_log().unwrap();
            wakes += 1;
        }
        let expected = u64::from(rate) * seconds;
        let moved = node.ready("work");
        assert!(
            moved.abs_diff(expected) <= 1 + expected / 50,
            "{rate}/s: {moved}"
        );
        assert!(
            wakes <= expected + 2,
            "{rate}/s: {wakes} turns for {moved} messages"
        );
    }
}

#[test]
fn what_fails_stays_and_the_first_error_is_told() {
    let mut node = Node::new();
    let limits = [
        ("x-max-length", Value::I32(3)),
        ("x-overflow", Value::from("reject-publish")),
    ];
    shop(&node);
    node.declare("small", &limits);
    dead(&mut node, 10);
    let id = start(
        &node,
        spec(Selection::All, MoveTo::Queue("small".to_owned())),
    )
    .unwrap();
    run(&node);
    let Progress {
        done,
        failed,
        first_error,
        ..
    } = job(&node, id).progress;
    assert_eq!((done, failed), (3, 7));
    assert_eq!(first_error.as_deref(), Some("queue 'small' is full"));
    let left: Vec<_> = (3..10).map(|index| format!("m{index}")).collect();
    assert_eq!(ready(&node, "dead"), left);
}

#[test]
fn a_cancelled_job_stops_where_it_is() {
    let mut node = Node::new();
    shop(&node);
    dead(&mut node, 500);
    let id = start(&node, spec(Selection::All, MoveTo::Origin)).unwrap();
    node.broker.tick();
    node.broker.cancel_replay(id, ACTOR).unwrap();
    let moved = node.ready("work");
    run(&node);
    assert_eq!(
        (job(&node, id).state, node.ready("work")),
        (JobState::Cancelled, moved)
    );
    assert_eq!(
        (moved + node.ready("dead"), job(&node, id).progress.done),
        (500, moved)
    );
    node.broker.cancel_replay(id, ACTOR).unwrap();
    let unknown = node.broker.cancel_replay(JobId(99), ACTOR);
    assert!(matches!(unknown, Err(OperateError::NoSuchJob)));
}

#[test]
fn a_job_ends_with_its_queue_and_one_without_a_target_does_not_start() {
    let mut node = Node::new();
    shop(&node);
    dead(&mut node, 200);
    let nowhere = start(
        &node,
        spec(Selection::All, MoveTo::Queue("none".to_owned())),
    );
    assert!(matches!(nowhere, Err(OperateError::NoSuchQueue { .. })));
    let name = "none".to_owned();
    let nowhere = MoveTo::Exchange {
        name,
        routing_key: None,
    };
    let nowhere = start(&node, spec(Selection::All, nowhere));
    assert!(matches!(nowhere, Err(OperateError::NoSuchExchange { .. })));
    let id = start(&node, spec(Selection::All, MoveTo::Origin)).unwrap();
    node.broker.tick();
    node.vhost
        .delete_queue("dead", false, false, node.connection)
        .unwrap();
    run(&node);
    let failed = JobState::Failed("no queue 'dead' in vhost '/'".to_owned());
    assert_eq!(job(&node, id).state, failed);
}

#[test]
fn jobs_are_bounded() {
    let mut node = Node::new();
    shop(&node);
    dead(&mut node, 1);
    let all = || spec(Selection::All, MoveTo::Origin);
    for _ in 0..16 {
        start(&node, all()).unwrap();
    }
    let refused = start(&node, all());
    assert!(matches!(
        refused,
        Err(OperateError::TooMany { max: 16, .. })
    ));
    run(&node);
    for _ in 0..100 {
        start(&node, all()).unwrap();
        run(&node);
    }
    let jobs = node.broker.replay_jobs();
    assert_eq!(jobs.len(), 64);
    assert!(jobs.is_sorted_by_key(|job| job.id) && jobs[63].id == JobId(116));
    let name = name_of(&node, "work", What::Ready, "m0");
    let many = start(
        &node,
        spec(Selection::Refs(vec![name; 10_001]), MoveTo::Origin),
    );
    assert!(matches!(many, Err(OperateError::OutOfRange { .. })));
}

#[test]
fn a_job_waits_while_publishers_are_held() {
    let mut node = Node::new();
    shop(&node);
    dead(&mut node, 10);
    node.declare("memory", &[("x-sync", Value::from("memory"))]);
    node.publish("memory", &[&"x".repeat(2 << 20)]);
    assert!(node.broker.memory().blocked().is_some());
    let id = start(&node, spec(Selection::All, MoveTo::Origin)).unwrap();
    run(&node);
    let later = node.broker.next_deadline();
    assert!(later > node.broker.now() && later <= node.broker.now() + 100);
    assert_eq!(node.ready("work"), 0);
    node.get("memory").unwrap();
    assert!(node.broker.memory().blocked().is_none());
    node.pass(100);
    run(&node);
    assert_eq!(
        (job(&node, id).state, node.ready("work")),
        (JobState::Done, 10)
    );
}

#[test]
fn what_a_consumer_has_or_takes_is_skipped() {
    let mut node = Node::new();
    let (_, dead_queue) = shop(&node);
    dead(&mut node, 200);
    let names: Vec<_> = look(&node, "dead", What::Ready)
        .iter()
        .map(|one| one.name)
        .collect();
    let sink = Sink::open();
    let consumer = node.consume(&dead_queue, &sink, false, 20);
    node.broker.cancel(&consumer);
    let id = start(&node, spec(Selection::Refs(names), MoveTo::Origin)).unwrap();
    run(&node);
    let Progress { done, skipped, .. } = job(&node, id).progress;
    assert_eq!((done, skipped), (180, 20));
    for seen in sink.take() {
        node.settle(&seen, Outcome::Requeue);
    }
    assert_eq!((node.ready("dead"), node.ready("work")), (20, 180));
}

#[test]
fn the_background_thread_runs_jobs_by_itself() {
    let mut node = Node::new();
    shop(&node);
    dead(&mut node, 300);
    let threads = Threads::start(&node.broker).unwrap();
    let id = start(&node, spec(Selection::All, MoveTo::Origin)).unwrap();
    let began = Instant::now();
    while job(&node, id).state == JobState::Running {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody runs it");
        std::thread::sleep(Duration::from_millis(5));
    }
    threads.stop().unwrap();
    assert_eq!(node.queue("work").ready(), 300);
}
