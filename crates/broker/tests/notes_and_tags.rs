//! What queues and messages remember for a door, and bursts that are one record: all of it is
//! there after a kill, or nothing, wherever that cuts the log.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use common::doors::{self, Door, Post, drain, take};
use common::{HandClock, Node, Seen, Sink};
use ferry_broker::{ConfirmTag, NOTE_KEYS, Outcome, Promise, QueueSpec, Ticket};
use ferry_core::arguments::Arguments;

const IN: u32 = 0;
const OUT: u32 = NOTE_KEYS / 2;

fn node() -> (Node, Door) {
    let node = Node::new();
    for queue in ["session", "other"] {
        node.declare(queue, &[]);
    }
    let door = Door::new(&node, 1);
    (node, door)
}

fn submit(node: &Node, door: &mut Door) -> Arc<Ticket> {
    door.burst.want_ticket();
    assert!(!door.burst.is_empty());
    let ticket = door.burst.submit(&node.broker).unwrap();
    assert!(door.burst.is_empty());
    ticket
}

fn promise(node: &Node, door: &mut Door) -> Promise {
    submit(node, door).resolved().unwrap()
}

fn notes(node: &Node, queue: &str) -> Vec<u32> {
    node.broker.notes(&node.queue(queue))
}

/// What is in a queue: bodies with their tags.
fn tags(node: &Node, queue: &str) -> Vec<(String, Option<u32>)> {
    let named = |seen: Seen| (String::from_utf8(seen.body).unwrap(), seen.tag);
    std::iter::from_fn(|| node.get(queue)).map(named).collect()
}

fn transient(node: &Node, name: &str) {
    let spec = QueueSpec {
        name: name.to_owned(),
        durable: false,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::new(),
    };
    node.vhost.declare_queue(spec, node.connection).unwrap();
}

/// Runs the node of every place at which a kill can cut the log behind `from`.
fn each_cut(node: &Node, from: u32, mut each: impl FnMut(Node, u32)) {
    node.broker.commit_log().unwrap();
    let now = node.broker.now();
    doors::cuts(&node.disk, from, |disk, cut| {
        let clock = Arc::new(HandClock(AtomicU64::new(now)));
        each(Node::on(disk, clock, 2), cut);
    });
}

fn end(node: &Node) -> u32 {
    node.broker.commit_log().unwrap();
    node.broker.log().end().offset()
}

fn offset(promise: Promise) -> u32 {
    match promise {
        Promise::Synced(end) => end.offset(),
        other => panic!("it waits for the disk: {other:?}"),
    }
}

#[test]
fn a_wanted_ticket_promises_notes_and_tags_as_a_confirm_would() {
    let (node, mut door) = node();
    transient(&node, "memory");
    assert!(door.burst.is_empty());
    assert_eq!(promise(&node, &mut door), Promise::Now);
    for (queue, waits) in [("session", true), ("memory", false)] {
        door.burst.note(&node.queue(queue), IN | 7, true);
        let noted = promise(&node, &mut door);
        assert_eq!(matches!(noted, Promise::Synced(_)), waits, "{queue}");
        assert_eq!(node.broker.kept(noted), !waits);
        node.broker.commit_log().unwrap();
        assert!(node.broker.kept(noted));
        // The same again is promised again.
        door.burst.note(&node.queue(queue), IN | 7, true);
        assert_eq!(node.broker.kept(promise(&node, &mut door)), !waits);
        door.send(&node, &[Post::new("", queue, "m")]);
        node.broker.commit_log().unwrap();
        let seen = take(&node, &node.queue(queue)).unwrap();
        let (held, lease) = (node.queue(queue), seen.lease.unwrap());
        door.burst.tag(&held, lease, 9);
        assert_eq!(node.broker.kept(promise(&node, &mut door)), !waits);
        door.settle(&seen, Outcome::Requeue);
        assert_eq!(promise(&node, &mut door), Promise::Now);
        assert_eq!(node.broker.tags(&held), [9]);
        assert_eq!(tags(&node, queue), [("m".to_owned(), Some(9))]);
        door.burst.tag(&held, lease, 10);
        assert_eq!(promise(&node, &mut door), Promise::Now, "too late");
    }
    assert_eq!(
        (notes(&node, "session"), notes(&node, "memory")),
        (vec![7], vec![7])
    );
    let gone = node.queue("session");
    doors::delete(&node, "session");
    assert!(node.broker.notes(&gone).is_empty());
    door.burst.note(&gone, 1, true);
    assert_eq!(promise(&node, &mut door), Promise::Now);
}

#[test]
fn a_message_and_the_note_of_it_are_there_together_or_not_at_all() {
    for checkpoint in [false, true] {
        let (node, mut door) = node();
        let start = end(&node);
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        // To queues of several partitions, without a confirm.
        for queue in ["session", "other"] {
            let post = Post {
                confirm: false,
                ..Post::new("", queue, "m")
            };
            door.stage(&node, &post);
        }
        door.burst.note(&node.queue("session"), IN | 7, true);
        door.burst.make_atomic();
        let whole = offset(promise(&node, &mut door));
        assert_eq!((node.ready("session"), node.ready("other")), (1, 1));
        let mut seen = [0, 0];
        each_cut(&node, start, |node, cut| {
            let all = cut >= whole;
            seen[usize::from(all)] += 1;
            let expected: (&[u32], &[&str]) = if all { (&[7], &["m"]) } else { (&[], &[]) };
            assert_eq!(notes(&node, "session"), expected.0, "{cut} of {whole}");
            assert_eq!(drain(&node, "session"), expected.1, "{cut} of {whole}");
            assert_eq!(drain(&node, "other"), expected.1, "{cut} of {whole}");
        });
        assert!(seen[0] > 10 && seen[1] > 0, "{seen:?}");
    }
}

#[test]
fn a_settle_and_the_note_of_it_are_there_together_or_not_at_all() {
    for (held, atomic) in [("session", false), ("session", true), ("other", true)] {
        let (node, mut door) = node();
        door.send(&node, &[Post::new("", held, "m")]);
        let seen = take(&node, &node.queue(held)).unwrap();
        door.burst.tag(&node.queue(held), seen.lease.unwrap(), 7);
        submit(&node, &mut door);
        let start = end(&node);
        door.settle(&seen, Outcome::Accept);
        door.burst.note(&node.queue("session"), OUT | 7, true);
        if atomic {
            door.burst.make_atomic();
        }
        let whole = offset(promise(&node, &mut door));
        assert_eq!(node.queue(held).unsettled(), 0);
        // What the record says is not said again by the step that applies it.
        let written = node.broker.log().end().offset();
        assert_eq!(written, whole, "{held} {atomic}");
        let mut counts = [0, 0];
        each_cut(&node, start, |node, cut| {
            counts[usize::from(cut >= whole)] += 1;
            let (out, left) = match cut >= whole {
                true => (vec![OUT | 7], vec![]),
                false => (vec![], vec![("m".to_owned(), Some(7))]),
            };
            assert_eq!(notes(&node, "session"), out, "{cut} of {whole}");
            assert_eq!(tags(&node, held), left, "{cut} of {whole}");
        });
        assert!(counts[0] > 10 && counts[1] > 0, "{counts:?}");
    }
}

#[test]
fn a_whole_exchange_of_packets_is_cut_anywhere() {
    let (node, mut door) = node();
    let session = node.queue("session");
    door.send(&node, &[Post::new("", "session", "m")]);
    let start = end(&node);
    let sink = Sink::open();
    node.consume(&session, &sink, false, 10);
    let seen = sink.take().remove(0);
    assert_eq!((seen.tag, seen.redelivered), (None, false));
    let mut ends = Vec::new();
    door.burst.tag(&session, seen.lease.unwrap(), 3);
    ends.push(offset(promise(&node, &mut door)));
    node.broker.commit_log().unwrap();
    door.settle(&seen, Outcome::Accept);
    door.burst.note(&session, OUT | 3, true);
    ends.push(offset(promise(&node, &mut door)));
    node.broker.commit_log().unwrap();
    door.burst.note(&session, OUT | 3, false);
    ends.push(offset(promise(&node, &mut door)));
    each_cut(&node, start, |node, cut| {
        let m = |tag| vec![("m".to_owned(), tag)];
        let expected = match ends.iter().filter(|end| cut >= **end).count() {
            0 => (m(None), vec![]),
            1 => (m(Some(3)), vec![]),
            2 => (vec![], vec![OUT | 3]),
            _ => (vec![], vec![]),
        };
        let sink = Sink::open();
        node.consume(&node.queue("session"), &sink, true, 0);
        let named = |seen: Seen| (String::from_utf8(seen.body).unwrap(), seen.tag);
        let found: Vec<_> = sink.take().into_iter().map(named).collect();
        assert_eq!(
            (found, notes(&node, "session")),
            expected,
            "{cut} of {ends:?}"
        );
    });
}

#[test]
fn an_atomic_burst_tells_who_was_refused() {
    let (node, mut door) = node();
    node.declare("full", &doors::refusing(0));
    door.stage(&node, &Post::new("", "full", "m"));
    door.stage(&node, &Post::new("", "other", "m"));
    door.burst.note(&node.queue("session"), 5, true);
    door.burst.make_atomic();
    let ticket = submit(&node, &mut door);
    let refused: Vec<u64> = ticket.rejected().iter().map(|tag| tag.tag).collect();
    assert_eq!((refused, node.ready("other")), (vec![1], 1));
    assert_eq!(notes(&node, "session"), [5], "the door takes it back");
}

#[test]
fn a_note_that_goes_with_a_publish_goes_with_its_refusal() {
    let (node, mut door) = node();
    node.declare("full", &doors::refusing(0));
    let start = end(&node);
    for (queue, tag) in [("full", 1), ("other", 2)] {
        door.stage(&node, &Post::new("", queue, "m"));
        let with = ConfirmTag { channel: 1, tag };
        let key = IN | tag as u32;
        door.burst.note_with(&node.queue("session"), key, with);
    }
    let ticket = submit(&node, &mut door);
    let refused: Vec<u64> = ticket.rejected().iter().map(|tag| tag.tag).collect();
    assert_eq!((refused, notes(&node, "session")), (vec![1], vec![2]));
    let told = offset(ticket.resolved().unwrap());
    let mut seen = [0, 0];
    each_cut(&node, start, |node, cut| {
        let is_noted = notes(&node, "session").contains(&(IN | 1));
        let is_there = !drain(&node, "full").is_empty();
        assert_eq!(is_noted, is_there, "{cut} of {told}");
        assert!(!is_there || cut < told, "{cut} of {told}: it was refused");
        seen[usize::from(is_there)] += 1;
    });
    assert!(seen[0] > 10 && seen[1] > 0, "{seen:?}");
}

#[test]
fn a_cleared_burst_is_neither_atomic_nor_wants_a_ticket() {
    let (node, mut door) = node();
    door.burst.note(&node.queue("session"), 5, true);
    door.burst.want_ticket();
    door.burst.make_atomic();
    door.burst.clear();
    assert!(door.burst.is_empty());
    door.burst.note(&node.queue("session"), 6, true);
    assert!(door.burst.submit(&node.broker).is_none());
    assert_eq!(notes(&node, "session"), [6]);
}

#[test]
fn bodies_that_move_keep_their_tags() {
    let (node, mut door) = node();
    let body = "x".repeat(1000);
    for index in 0..300 {
        door.send(
            &node,
            &[Post::new("", "session", &format!("{index:03}{body}"))],
        );
    }
    let session = node.queue("session");
    let mut kept = Vec::new();
    for index in 0..300 {
        let seen = take(&node, &session).unwrap();
        if index % 50 == 0 {
            door.burst.tag(&session, seen.lease.unwrap(), index);
            kept.push((index, seen));
        } else {
            door.settle(&seen, Outcome::Accept);
        }
        submit(&node, &mut door);
    }
    node.broker.checkpoint().unwrap();
    let before = node.broker.log().cleaning();
    for _ in 0..40 {
        node.broker.upkeep().unwrap();
    }
    assert!(node.broker.log().cleaning().segments < before.segments);
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    let found: Vec<_> = tags(&node, "session")
        .into_iter()
        .map(|(_, tag)| tag)
        .collect();
    let expected: Vec<_> = kept.iter().map(|(index, _)| Some(*index)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_full_set_of_notes_survives() {
    let (node, mut door) = node();
    let session = node.queue("session");
    for key in 0..NOTE_KEYS {
        door.burst.note(&session, key, true);
    }
    submit(&node, &mut door);
    node.broker.commit_log().unwrap();
    let mut node = node.killed(2);
    assert_eq!(notes(&node, "session").len(), NOTE_KEYS as usize);
    node.broker.checkpoint().unwrap();
    node = node.killed(3);
    assert_eq!(notes(&node, "session"), (0..NOTE_KEYS).collect::<Vec<_>>());
}
