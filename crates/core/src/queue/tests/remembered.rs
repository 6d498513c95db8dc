//! Notes of a queue and tags of its messages: kept as long as they must, and no longer.

use super::*;
use crate::facts::Change;
use crate::limits::NOTE_KEYS;

fn durable() -> Options {
    Options {
        durable: true,
        ..Options::default()
    }
}

impl Bench {
    fn note(&mut self, key: u32, on: bool) {
        self.run(|queue, cx| queue.set_note(key, on, false, cx));
    }

    fn tag(&mut self, lease: LeaseId, number: u32) -> Settled {
        self.run(|queue, cx| queue.tag(lease, number, false, cx))
    }

    /// The queue of an image of this one.
    fn imaged(&self) -> Queue {
        let mut image = Vec::new();
        self.queue.write_image(&mut image);
        let mut recovering = Recovering::new(QueueId(1), self.queue.options().clone(), 0);
        recovering.read_image(&mut Cursor::new(&image)).unwrap();
        recovering.finish(false, |_| ())
    }

    /// Leases all that is ready to one who asks for it.
    fn take_all(&mut self) -> Vec<Outgoing> {
        let mut all = Vec::new();
        while let Some(outgoing) = self.run(|queue, cx| queue.get(false, cx)) {
            all.push(outgoing);
        }
        all
    }
}

fn notes(queue: &Queue) -> Vec<u32> {
    queue.notes().collect()
}

fn no_tags(queue: &Queue) -> bool {
    format!("{:?}", queue.tags) == "Tags(None)"
}

fn tags_of(mut queue: Queue) -> Vec<Option<u32>> {
    let mut bench = Bench::new(Options::default());
    std::mem::swap(&mut bench.queue, &mut queue);
    let all = bench.take_all();
    all.into_iter().map(|outgoing| outgoing.tag).collect()
}

#[test]
fn notes_are_a_set_that_survives_by_facts_and_by_image() {
    let mut bench = Bench::new(durable());
    let last = NOTE_KEYS - 1;
    for (key, on, expected) in [
        (7, false, &[][..]),
        (7, true, &[7][..]),
        (7, true, &[7]),
        (last, true, &[7, last]),
        (0, true, &[0, 7, last]),
        (7, false, &[0, last]),
        (0, false, &[last]),
        (last, false, &[]),
        (3, true, &[3]),
    ] {
        bench.note(key, on);
        assert_eq!(notes(&bench.queue), expected, "{key} {on}");
        assert_eq!(notes(&bench.recovered(false)), expected, "{key} {on}");
        assert_eq!(notes(&bench.imaged()), expected, "{key} {on}");
    }
}

#[test]
fn what_does_not_outlive_the_broker_writes_no_facts() {
    let mut bench = Bench::new(Options::default());
    bench.publish(false);
    bench.note(1, true);
    let lease = bench.take_all()[0].lease.unwrap();
    assert_eq!(bench.tag(lease, 9), Settled::Done);
    bench.settle(lease, Outcome::Requeue);
    assert_eq!(bench.take_all()[0].tag, Some(9));
    assert_eq!((notes(&bench.queue), bench.history.len()), (vec![1], 0));
    let mut bench = Bench::new(durable());
    bench.publish(false);
    let lease = bench.take_all()[0].lease.unwrap();
    bench.tag(lease, 9);
    assert!(bench.history.is_empty());
    let (plain, mut image) = (
        Queue::new(QueueId(1), durable(), 0),
        [Vec::new(), Vec::new()],
    );
    plain.write_image(&mut image[0]);
    bench.settle(lease, Outcome::Accept);
    bench.queue.write_image(&mut image[1]);
    assert_eq!(
        image[0].len(),
        image[1].len(),
        "an image without is what it was"
    );
}

#[test]
fn a_queue_without_notes_and_tags_takes_a_pointer_for_each() {
    assert_eq!(size_of::<Notes>(), size_of::<usize>());
    assert_eq!(size_of::<Tags>(), size_of::<usize>());
}

#[test]
fn a_note_that_can_not_be_is_left_out_or_refused() {
    let mut recovering = Recovering::new(QueueId(1), durable(), 0);
    for key in [NOTE_KEYS, u32::MAX] {
        recovering.changed(&Change::Noted(QueueId(1), key, true));
    }
    assert_eq!(notes(&recovering.finish(false, |_| ())), []);
    let mut image = Vec::new();
    Queue::new(QueueId(1), durable(), 0).write_image(&mut image);
    for (more, fits) in [
        (&[0, 0][..], true),
        (&[1, 0xFF, 0xFF, 0x07, 0], true),
        (&[1, 0x80, 0x80, 0x08, 0], false),
        (&[2, 0xFF, 0xFF, 0x07, 1, 0], false),
        (&[9, 0], false),
        (&[0], false),
        (&[0, 1, 1], false),
        (&[0, 1, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F], false),
    ] {
        let image = [&image[..], more].concat();
        let mut recovering = Recovering::new(QueueId(1), durable(), 0);
        let read = recovering.read_image(&mut Cursor::new(&image));
        assert_eq!(read.is_ok(), fits, "{more:?}");
    }
}

#[test]
fn a_tag_stays_with_its_message_however_that_comes_back() {
    for outcome in [
        Outcome::Requeue,
        Outcome::Release,
        Outcome::Delay(Some(100)),
        Outcome::Delay(None),
    ] {
        let mut bench = Bench::new(durable());
        bench.publish(true);
        bench.publish(true);
        let leases = bench.take_all();
        assert!(leases.iter().all(|outgoing| outgoing.tag.is_none()));
        let lease = leases[0].lease.unwrap();
        assert_eq!(bench.tag(lease, 5), Settled::Done);
        assert_eq!(bench.tag(lease, 6), Settled::Done, "the last one counts");
        assert!(bench.settle(lease, outcome));
        assert_eq!(bench.tag(lease, 7), Settled::Late);
        bench.tick_at(bench.now + 100);
        let tags = bench.take_all();
        assert_eq!((tags.len(), tags[0].tag), (1, Some(6)), "{outcome:?}");
    }
}

#[test]
fn a_tag_survives_a_restart_wherever_its_message_is() {
    let copy = |old, _| Some(old + (5 << 32));
    for (what, tags) in [
        ("leased", [None, Some(8)]),
        ("back", [None, Some(8)]),
        ("moved", [None, Some(8)]),
        ("moved, then tagged", [None, Some(9)]),
        ("moved, then back after a while", [None, Some(8)]),
        ("awake", [None, Some(8)]),
    ] {
        let mut bench = Bench::new(durable());
        bench.publish(true);
        bench.publish(true);
        let lease = bench.take_all()[1].lease.unwrap();
        bench.tag(lease, 8);
        match what {
            "back" => assert!(bench.settle(lease, Outcome::Requeue)),
            "awake" => {
                assert!(bench.settle(lease, Outcome::Delay(Some(50))));
                bench.tick_at(bench.now + 50);
            }
            _ => {}
        }
        if what.starts_with("moved") {
            bench.run(|queue, cx| queue.evacuate(1 << 32, 2 << 32, copy, cx));
        }
        if what.ends_with("while") {
            assert!(bench.settle(lease, Outcome::Delay(Some(50))));
        }
        if what.ends_with("then tagged") {
            bench.tag(lease, 9);
        }
        let mut recovered = bench.recovered(false);
        // What waits by its facts wakes when its time comes.
        bench.now += 100;
        let mut from_image = bench.imaged();
        for queue in [&mut recovered, &mut from_image] {
            std::mem::swap(&mut bench.queue, queue);
            bench.tick_at(bench.now);
            std::mem::swap(&mut bench.queue, queue);
        }
        assert_eq!(tags_of(recovered), tags, "{what}, by facts");
        assert_eq!(tags_of(from_image), tags, "{what}, by image");
    }
}

/// How a leased message goes.
type End<'a> = &'a dyn Fn(&mut Bench, LeaseId);

#[test]
fn a_tag_goes_with_its_message_however_that_goes() {
    let accept = |bench: &mut Bench, lease| assert!(bench.settle(lease, Outcome::Accept));
    let reject = |bench: &mut Bench, lease| assert!(bench.settle(lease, Outcome::Reject));
    let purge = |bench: &mut Bench, lease| {
        bench.settle(lease, Outcome::Requeue);
        assert_eq!(bench.run(|queue, cx| queue.purge(u64::MAX, cx)), 1);
    };
    let purge_waiting = |bench: &mut Bench, lease| {
        bench.settle(lease, Outcome::Delay(Some(9)));
        assert_eq!(bench.run(|queue, cx| queue.purge_delayed(u64::MAX, cx)), 1);
    };
    let without_lease = |bench: &mut Bench, lease| {
        bench.settle(lease, Outcome::Requeue);
        let outgoing = bench.get(true).unwrap();
        assert_eq!((outgoing.lease, outgoing.tag), (None, Some(5)));
    };
    let recorded = |bench: &mut Bench, lease| {
        let settle = |queue: &mut Queue, cx: &mut Context<'_>| {
            queue.prepare_settle(lease, Outcome::Accept, cx.now, cx.facts);
            queue.settle_recorded(lease, Outcome::Accept, cx)
        };
        assert_eq!(bench.run(settle), Settled::Done);
    };
    let ends: [(&str, End<'_>); 6] = [
        ("accepted", &accept),
        ("rejected", &reject),
        ("purged", &purge),
        ("purged while it waits", &purge_waiting),
        ("handed out without a lease", &without_lease),
        ("accepted in a transaction", &recorded),
    ];
    for (what, end) in ends {
        let mut bench = Bench::new(durable());
        bench.publish_with(true, 0, Some(5000));
        let lease = bench.take_all()[0].lease.unwrap();
        bench.tag(lease, 5);
        assert!(!no_tags(&bench.queue));
        end(&mut bench, lease);
        assert!(no_tags(&bench.queue), "{what}");
        let gone = |fact: &&Fact| matches!(fact, Fact::Gone(..));
        let written = bench.history.iter().filter(gone).count();
        assert_eq!(written, 1, "{what}: its end is written once");
        assert!(no_tags(&bench.recovered(false)), "{what}");
        assert_eq!(bench.released.len(), 1, "{what}");
    }
}

#[test]
fn a_dead_letter_keeps_its_tag_until_it_has_arrived() {
    let mut bench = Bench::new(Options {
        dead_letter: dead_letters(),
        ..durable()
    });
    bench.publish(true);
    let lease = bench.take_all()[0].lease.unwrap();
    bench.tag(lease, 5);
    bench.settle(lease, Outcome::Reject);
    let Some(Effect::DeadLetter {
        lease: Some(departing),
        ..
    }) = bench.effects.pop()
    else {
        panic!("it departs");
    };
    bench.run(|queue, cx| queue.departure_failed(departing, cx));
    assert!(!no_tags(&bench.queue));
    assert!(!no_tags(&bench.recovered(false)));
    assert!(!no_tags(&bench.imaged()));
    bench.run(|queue, cx| queue.departed(departing, cx));
    assert!(no_tags(&bench.queue));
}

#[test]
fn what_a_transaction_has_written_is_not_written_again() {
    let mut bench = Bench::new(durable());
    bench.publish(true);
    let lease = bench.take_all()[0].lease.unwrap();
    let before = bench.history.len();
    bench.run(|queue, cx| {
        queue.prepare_note(4, true, cx.facts);
        queue.prepare_tag(lease, 5, cx.facts);
    });
    assert_eq!((notes(&bench.queue), no_tags(&bench.queue)), (vec![], true));
    let written = &bench.history[before..];
    assert!(matches!(
        written,
        [
            Fact::Changed(Change::Noted(QueueId(1), 4, true)),
            Fact::Changed(Change::Tagged(_, 5))
        ]
    ));
    bench.run(|queue, cx| {
        queue.set_note(4, true, true, cx);
        queue.tag(lease, 5, true, cx)
    });
    assert_eq!(bench.history.len(), before + 2);
    assert_eq!(notes(&bench.queue), notes(&bench.recovered(false)));
    assert_eq!(tags_of(bench.recovered(false)), [Some(5)]);
}

#[test]
fn a_message_with_a_tag_does_not_expire() {
    let mut bench = Bench::new(durable());
    bench.publish_with(true, 0, Some(100));
    bench.publish_with(true, 0, Some(100));
    let leases: Vec<_> = bench
        .take_all()
        .iter()
        .filter_map(|one| one.lease)
        .collect();
    bench.tag(leases[1], 7);
    for lease in leases {
        bench.run(|queue, cx| queue.settle(lease, Outcome::Requeue, cx));
    }
    for queue in [bench.imaged(), {
        let mut live = Queue::new(QueueId(1), durable(), 0);
        std::mem::swap(&mut live, &mut bench.queue);
        live
    }] {
        let mut later = Bench::new(Options::default());
        later.queue = queue;
        later.now += 1_000;
        later.run(|queue, cx| queue.tick(cx));
        let left: Vec<_> = later.take_all().iter().map(|one| one.tag).collect();
        assert_eq!(left, [Some(7)]);
    }
}
