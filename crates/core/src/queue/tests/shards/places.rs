//! Everything that is done to messages by their place or time reaches those set aside, too.

use super::*;

#[test]
fn an_operator_sees_moves_and_drops_what_is_set_aside() {
    let mut bench = Bench::new(sharded(2));
    bench.subscribe(1, false, 1);
    let sent: Vec<u64> = (0..3).map(|_| bench.keyed(1)).collect();
    let held = bench.taken()[0].2;
    assert_eq!(bench.got(true), None, "the key is held, and set aside now");
    let places: Vec<u64> = {
        let mut seqs = Vec::new();
        bench.queue.visit_ready(None, |entry| {
            seqs.push(entry.seq);
            true
        });
        seqs
    };
    assert_eq!(places, [2, 3]);
    let spot = Spot::Ready {
        priority: 0,
        seq: 2,
    };
    let body = bench.queue.at(spot).unwrap().position();
    let borrowed = bench.run(|queue, cx| queue.borrow(spot, body, cx)).unwrap();
    bench.settle(held, Outcome::Accept);
    assert!(
        bench.taken().is_empty(),
        "the second is in the operator's hands"
    );
    bench.settle(borrowed.lease.unwrap(), Outcome::Release);
    let next = bench.taken();
    assert_eq!(numbers(&next), sent[1..2]);
    assert_eq!(bench.run(|queue, cx| queue.purge(u64::MAX, cx)), 1);
    bench.settle(next[0].2, Outcome::Accept);
    assert_eq!((bench.counts(), bench.queue.keys_out()), ((0, 0), 0));
}

#[test]
fn what_is_set_aside_expires_and_is_dropped_at_the_maximum() {
    let mut bench = Bench::new(Options {
        max_length: Some(3),
        message_ttl_ms: Some(500),
        dead_letter: dead_letters(),
        ..sharded(2)
    });
    bench.subscribe(1, false, 1);
    (0..5).for_each(|_| {
        bench.keyed(1);
    });
    assert_eq!(bench.got(true), None);
    assert_eq!(reasons(&bench.effects), ["maxlen"]);
    bench.effects.clear();
    assert_eq!(bench.queue.next_deadline(), Some(1500));
    bench.now = 1500;
    bench.run(|queue, cx| queue.tick(cx));
    assert_eq!(reasons(&bench.effects), ["expired"; 3]);
    assert_eq!(bench.queue.next_deadline(), None);
}

#[test]
fn a_long_run_of_a_key_that_is_held_is_set_aside_in_parts() {
    let mut bench = Bench::new(sharded(2));
    (0..3_000).for_each(|_| {
        bench.keyed(1);
    });
    let other = bench.keyed(2);
    let (_, lease) = bench.got(false).unwrap();
    bench.subscribe(1, false, 10);
    let mut ticks = 0;
    while bench.queue.next_deadline().is_some() {
        assert!(
            bench.queue.next_deadline() <= Some(bench.now),
            "due at once"
        );
        bench.run(|queue, cx| queue.tick(cx));
        ticks += 1;
    }
    assert!((1..=3).contains(&ticks), "{ticks}");
    assert_eq!(bench.delivered(), [(1, other)]);
    bench.settle(lease.unwrap(), Outcome::Requeue);
    let numbers: Vec<u64> = bench
        .delivered()
        .iter()
        .map(|(_, number)| *number)
        .collect();
    assert_eq!(numbers, (1..=9).collect::<Vec<u64>>());
}
