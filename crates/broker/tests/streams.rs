//! Streams: read by many, kept over restarts, freed by age and size.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;

use common::doors::{self, Door, Post, bind, dying_to, exchange, once, take};
use common::{Node, Seen, Sink};
use ferry_broker::{
    Browse, Choice, ConsumeError, ConsumerHandle, ConsumerSpec, DefinitionError, MessageRef,
    MoveTo, OperateError, Outcome, Policy, QueueHandle, StreamOffset,
};
use ferry_core::arguments::{Arguments, Value};

const ACTOR: &str = "a test";

fn declare(node: &Node, name: &str, arguments: &[(&str, Value)]) -> Arc<QueueHandle> {
    let mut all = vec![("x-queue-type", Value::from("stream"))];
    all.extend(arguments.iter().cloned());
    node.declare(name, &all).queue
}

fn reader(sink: &Arc<Sink>, offset: StreamOffset, prefetch: u32) -> ConsumerSpec {
    ConsumerSpec {
        tag: "r".to_owned(),
        no_ack: false,
        exclusive: false,
        priority: 0,
        prefetch,
        choice: Choice {
            offset,
            ..Choice::default()
        },
        outlet: sink.clone(),
    }
}

fn read(node: &Node, queue: &str, offset: StreamOffset) -> (Arc<Sink>, ConsumerHandle) {
    let sink = Sink::open();
    let spec = reader(&sink, offset, 1000);
    let queue = node.queue(queue);
    let handle = node.broker.consume(&queue, spec, &mut || ()).unwrap();
    (sink, handle)
}

fn texts(seen: &[Seen]) -> Vec<(u64, String)> {
    let text = |seen: &Seen| {
        assert!(!seen.redelivered);
        let body = String::from_utf8(seen.body.clone()).unwrap();
        (seen.offset.unwrap(), body)
    };
    seen.iter().map(text).collect()
}

/// All messages that are kept, with their offsets.
fn all(node: &Node, queue: &str) -> Vec<(u64, String)> {
    let (sink, handle) = read(node, queue, StreamOffset::First);
    node.broker.cancel(&handle);
    texts(&sink.take())
}

/// The node as a kill leaves it when all has been written.
fn kill(node: Node, entropy: u64) -> Node {
    node.broker.commit_log().unwrap();
    node.killed(entropy)
}

fn numbered(from: u64, bodies: &[&str]) -> Vec<(u64, String)> {
    let bodies = bodies.iter().map(|body| body.to_string());
    (from..).zip(bodies).collect()
}

#[test]
fn messages_and_offsets_survive_kills_and_checkpoints_however_they_were_published() {
    let mut node = Node::new();
    declare(&node, "s", &[]);
    let mut door = Door::new(&node, 1);
    let transient = Post {
        persistent: false,
        ..Post::new("", "s", "b")
    };
    node.publish("s", &["a"]);
    door.send(&node, &[transient]);
    let mut node = kill(node, 2);
    assert_eq!(all(&node, "s"), numbered(0, &["a", "b"]));
    node.broker.checkpoint().unwrap();
    node.publish("s", &["c"]);
    let mut node = kill(node, 3);
    node.publish("s", &["d"]);
    assert_eq!(all(&node, "s"), numbered(0, &["a", "b", "c", "d"]));
    node.broker.close().unwrap();
    let node = node.killed(4);
    assert_eq!(all(&node, "s"), numbered(0, &["a", "b", "c", "d"]));
    assert_eq!(node.ready("s"), 4);
}

#[test]
fn what_a_stream_can_not_do_is_refused() {
    let mut node = Node::new();
    let queue = declare(&node, "s", &[]);
    node.publish("s", &["a"]);
    let sink = Sink::open();
    let in_words = "stream queues queue 's' in vhost '/'";
    for (no_ack, prefetch, why) in [
        (
            false,
            0,
            "prefetch count is not set for stream queue 's' in vhost '/'",
        ),
        (
            true,
            0,
            "prefetch count is not set for stream queue 's' in vhost '/'",
        ),
        (true, 5, "automatic acknowledgement not supported by "),
    ] {
        let spec = ConsumerSpec {
            no_ack,
            ..reader(&sink, StreamOffset::First, prefetch)
        };
        let refused = node.broker.consume(&queue, spec, &mut || ());
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let get = node.broker.get(&queue, false, &mut |_| ());
    let Err(error @ ConsumeError::NotForStreams { .. }) = get else {
        panic!("nothing is taken out of a stream");
    };
    assert_eq!(
        error.to_string(),
        format!("basic.get not supported by {in_words}")
    );
    let purge = node.vhost.purge_queue("s", node.connection);
    let Err(error @ DefinitionError::NotForStreams { .. }) = purge else {
        panic!("a stream is not emptied");
    };
    assert_eq!(
        error.to_string(),
        format!("queue.purge not supported by {in_words}")
    );
    let browse = Browse::default();
    let page = node.broker.browse(&queue, &browse).unwrap();
    let name: MessageRef = page.messages[0].name;
    let to = MoveTo::Queue("elsewhere".to_owned());
    node.declare("elsewhere", &[]);
    for refused in [
        node.broker.cancel_message(&queue, &name, ACTOR),
        node.broker.move_message(&queue, &name, &to, ACTOR),
        node.broker.replay_message(&queue, &name, &to, None, ACTOR),
    ] {
        assert!(matches!(refused, Err(OperateError::Stream)));
    }
    assert_eq!(all(&node, "s"), numbered(0, &["a"]));
}

#[test]
fn a_hundred_readers_cost_one_read_of_the_disk() {
    let cost = |readers: usize| {
        let mut node = Node::new();
        declare(&node, "s", &[]);
        let bodies: Vec<String> = (0..400).map(|number| format!("{number:>1000}")).collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        node.publish("s", &bodies);
        node.broker.close().unwrap();
        let node = node.killed(2);
        let queue = node.queue("s");
        let sinks: Vec<Arc<Sink>> = (0..readers).map(|_| Arc::default()).collect();
        let handles: Vec<ConsumerHandle> = sinks
            .iter()
            .map(|sink| {
                let spec = reader(sink, StreamOffset::First, 1000);
                node.broker.consume(&queue, spec, &mut || ()).unwrap()
            })
            .collect();
        let before = node.disk.reads();
        for sink in &sinks {
            sink.room.store(1000, std::sync::atomic::Ordering::Relaxed);
        }
        for handle in &handles {
            node.broker.resume(std::slice::from_ref(handle));
        }
        let read: usize = sinks.iter().map(|sink| sink.take().len()).sum();
        assert_eq!(read, readers * 400);
        node.disk.reads() - before
    };
    let (one, hundred) = (cost(1), cost(100));
    assert!(one > 0);
    assert!(
        hundred <= 100 * one,
        "{hundred} reads for 100, {one} for one"
    );
}

#[test]
fn readers_of_the_tail_read_nothing_back() {
    let mut node = Node::new();
    declare(&node, "s", &[]);
    let sinks: Vec<_> = (0..100)
        .map(|_| read(&node, "s", StreamOffset::Next))
        .collect();
    let before = node.disk.reads();
    node.publish("s", &["a", "b"]);
    for (sink, _) in &sinks {
        assert_eq!(texts(&sink.take()), numbered(0, &["a", "b"]));
    }
    assert_eq!(node.disk.reads(), before);
}

#[test]
fn transactions_dead_letters_delays_moves_and_ids_end_at_the_end_of_a_stream() {
    let mut node = Node::new();
    declare(&node, "s", &[("x-message-deduplication", true.into())]);
    node.declare("q", &dying_to("s"));
    once(&node, "guarded");
    exchange(&node, "plain", true, &[]);
    bind(&node, "guarded", "s", "#");
    bind(&node, "plain", "s", "#");
    let mut door = Door::new(&node, 1);
    door.send(
        &node,
        &[
            Post::with_id("", "s", "id"),
            Post::with_id("plain", "s", "id"),
        ],
    );
    door.send(
        &node,
        &[
            Post::with_id("guarded", "k", "g"),
            Post::with_id("guarded", "k", "g"),
        ],
    );
    let later = Post {
        deliver_at: Some(node.broker.now() + 1000),
        ..Post::new("plain", "k", "later")
    };
    door.stage(&node, &later);
    for body in ["t1", "t2"] {
        let post = Post {
            confirm: false,
            ..Post::new("", "s", body)
        };
        door.stage(&node, &post);
    }
    door.commit(&node).unwrap();
    node.publish("q", &["dead", "moved"]);
    let seen = take(&node, &node.queue("q")).unwrap();
    node.settle(&seen, Outcome::Reject);
    let queue = node.queue("q");
    let page = node.broker.browse(&queue, &Browse::default()).unwrap();
    let to = MoveTo::Queue("s".to_owned());
    let name = page.messages[0].name;
    node.broker.move_message(&queue, &name, &to, ACTOR).unwrap();
    node.publish("s", &["last"]);
    let now = numbered(0, &["id", "g", "t1", "t2", "dead", "moved", "last"]);
    assert_eq!(all(&node, "s"), now);
    node.pass(1000);
    let with_later = [now.clone(), numbered(7, &["later"])].concat();
    assert_eq!(all(&node, "s"), with_later);
    let node = kill(node, 2);
    assert_eq!(all(&node, "s"), with_later);
    node.broker.close().unwrap();
    assert_eq!(all(&node.killed(3), "s"), with_later);
}

#[test]
fn wherever_a_kill_cuts_the_log_the_offsets_before_it_are_the_same() {
    let mut node = Node::new();
    declare(&node, "s", &[("x-max-length-bytes", 6.into())]);
    node.publish("s", &["0"]);
    node.broker.commit_log().unwrap();
    let from = node.broker.log().end().offset();
    let mut door = Door::new(&node, 1);
    let mut expected = vec!["0".to_owned()];
    for number in 1..10 {
        let body = number.to_string();
        let post = Post {
            confirm: false,
            ..Post::new("", "s", &body)
        };
        door.stage(&node, &post);
        match number % 3 {
            0 => drop(door.commit(&node).unwrap()),
            _ => drop(door.burst.submit(&node.broker)),
        }
        node.pass(60);
        expected.push(body);
    }
    node.broker.commit_log().unwrap();
    let clock = node.clock.clone();
    doors::cuts(&node.disk, from, |disk, cut| {
        let node = Node::on(disk, clock.clone(), 2);
        node.pass(0);
        for (offset, body) in all(&node, "s") {
            assert_eq!(expected[offset as usize], body, "cut at {cut}");
        }
        assert!((1..=6).contains(&node.ready("s")), "cut at {cut}");
    });
}

#[test]
fn what_left_gives_the_disk_back() {
    let mut node = Node::new();
    declare(&node, "s", &[("x-max-length-bytes", 50_000.into())]);
    declare(&node, "old", &[("x-max-age", "10s".into())]);
    let body = "b".repeat(5_000);
    for _ in 0..200 {
        node.publish("s", &[&body]);
        node.publish("old", &[&body]);
        node.pass(1000);
        node.broker.upkeep().unwrap();
    }
    assert_eq!(node.ready("s"), 10);
    assert!((10..=12).contains(&node.ready("old")));
    node.broker.checkpoint().unwrap();
    node.broker.upkeep().unwrap();
    let segments = node.broker.log().segments().len();
    assert!(
        segments < 12,
        "{segments} segments for two megabytes that left"
    );
    let first = all(&node, "s")[0].0;
    assert_eq!(first, 190);
    let node = kill(node, 2);
    assert_eq!(all(&node, "s")[0].0, 190);
    assert_eq!(all(&node, "s").len(), 10);
}

#[test]
fn sparse_segments_are_emptied_under_a_stream() {
    let mut node = Node::new();
    declare(&node, "s", &[]);
    node.declare("q", &[]);
    let filler = "f".repeat(20_000);
    for number in 0..40 {
        node.publish("s", &[&number.to_string()]);
        node.publish("q", &[&filler]);
    }
    while node.get("q").is_some() {}
    let before = node.broker.log().segments().len();
    for _ in 0..before {
        node.broker.checkpoint().unwrap();
        node.broker.upkeep().unwrap();
    }
    let after = node.broker.log().segments().len();
    assert!(after < before / 2, "{before} {after}");
    let numbers: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    assert_eq!(all(&node, "s"), numbered(0, &numbers));
    assert_eq!(all(&kill(node, 2), "s"), numbered(0, &numbers));
}

#[test]
fn readers_go_past_a_damaged_message() {
    let mut node = Node::new();
    declare(&node, "s", &[]);
    for body in ["first", "the-rotten-one", "third"] {
        node.publish("s", &[body]);
    }
    node.broker.close().unwrap();
    let needle = b"the-rotten-one";
    let files = ferry_log::Disk::list(&node.disk).unwrap();
    for name in files.iter().filter(|name| name.ends_with(".log")) {
        node.disk.damage(name, |bytes| {
            let at = bytes.windows(needle.len()).position(|it| it == needle);
            bytes[at.unwrap()] ^= 1;
        });
    }
    let mut node = node.killed(2);
    let sink = Sink::open();
    let spec = reader(&sink, StreamOffset::First, 1);
    let queue = node.queue("s");
    node.broker.consume(&queue, spec, &mut || ()).unwrap();
    let first = sink.take();
    assert_eq!(texts(&first), [(0, "first".to_owned())]);
    node.settle(&first[0], Outcome::Accept);
    node.pass(0);
    assert_eq!(texts(&sink.take()), [(2, "third".to_owned())]);
}

#[test]
fn a_policy_for_streams_keeps_them_short() {
    let mut node = Node::new();
    declare(&node, "s", &[]);
    node.declare("q", &[]);
    let bodies: Vec<String> = (0..20).map(|number| format!("{number:>10}")).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    node.publish("s", &bodies);
    node.publish("q", &bodies);
    let definition = Arguments::from_iter([
        ("max-length-bytes", Value::I32(100)),
        ("max-age", "1h".into()),
        ("stream-max-segment-size-bytes", 40.into()),
        ("message-ttl", 1000.into()),
        ("dead-letter-exchange", "".into()),
        ("max-length", 1.into()),
    ]);
    let said = Arguments::from_iter([
        ("pattern", Value::from(".*")),
        ("apply-to", "streams".into()),
        ("definition", Value::Table(definition)),
    ]);
    let policy = Policy::read("/", "short", &said).unwrap();
    node.broker.set_policy(policy).unwrap();
    node.pass(5000);
    assert_eq!(
        (node.ready("s"), node.ready("q")),
        (8, 20),
        "two parts of four"
    );
    node.pass(3_600_000);
    assert_eq!(node.ready("s"), 4, "the newest part stays");
    let node = kill(node, 2);
    assert_eq!(all(&node, "s")[0].0, 16);
    assert_eq!(node.ready("q"), 20);
}

#[test]
fn a_reader_that_went_or_whose_stream_went_is_forgotten() {
    let mut node = Node::new();
    declare(&node, "s", &[]);
    node.publish("s", &["a", "b"]);
    let (sink, handle) = read(&node, "s", StreamOffset::First);
    let seen = sink.take();
    node.broker.cancel(&handle);
    node.settle(&seen[0], Outcome::Requeue);
    assert!(sink.take().is_empty());
    let (sink, _) = read(&node, "s", StreamOffset::Last);
    let seen = sink.take();
    assert_eq!(
        texts(&seen),
        numbered(0, &["a", "b"]),
        "one burst is one part"
    );
    doors::delete(&node, "s");
    node.settle(&seen[0], Outcome::Accept);
    assert_eq!(
        node.broker
            .log()
            .segments()
            .iter()
            .map(|s| s.live_refs)
            .sum::<u64>(),
        0
    );
}
