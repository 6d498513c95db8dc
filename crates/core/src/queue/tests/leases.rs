//! Leases with a deadline, and leases that others end.

use super::*;

fn with_timeout(timeout_ms: u64) -> Bench {
    Bench::new(Options {
        lease_timeout_ms: Some(timeout_ms),
        ..Options::default()
    })
}

#[test]
fn an_overdue_lease_ends_and_the_message_is_tried_again() {
    let mut bench = with_timeout(500);
    bench.subscribe(7, false, 1);
    bench.publish(true);
    let late = bench.leases()[0];
    bench.tick_at(1499);
    assert_eq!(bench.counts(), (0, 1));
    bench.tick_at(1500);
    // Its consumer has not settled, so it gets nothing more.
    assert_eq!(bench.counts(), (1, 0));
    assert!(bench.deliveries().is_empty());
    bench.subscribe(8, false, 1);
    let again = bench.deliveries();
    assert_eq!((again[0].0, again[0].1.returns), (8, 1));
    assert!(!bench.settle(late, Outcome::Accept), "too late");
    assert_eq!(bench.counts(), (0, 1));
    assert!(!bench.settle(late, Outcome::Accept), "and told once more");
    bench.publish(true);
    assert_eq!(bench.deliveries()[0].0, 7, "its credit is back");
}

#[test]
fn an_extended_lease_lasts_longer() {
    let mut bench = with_timeout(500);
    bench.subscribe(7, false, 1);
    bench.publish(true);
    let lease = bench.leases()[0];
    bench.now = 1400;
    let extended = bench.queue.extend(lease, None, 1400);
    assert_eq!(
        (extended, bench.queue.next_deadline()),
        (Settled::Done, Some(1900))
    );
    bench.queue.extend(lease, Some(10_000), 1400);
    bench.tick_at(11_399);
    assert_eq!(bench.counts(), (0, 1));
    assert!(bench.settle(lease, Outcome::Accept));
    assert_eq!(bench.queue.extend(lease, None, 1400), Settled::Late);
    assert_eq!(bench.queue.next_deadline(), None);
}

#[test]
fn a_lease_without_a_deadline_lasts_for_ever() {
    let mut bench = Bench::new(Options::default());
    bench.subscribe(7, false, 1);
    bench.publish(true);
    let lease = bench.leases()[0];
    bench.tick_at(1000 + 6 * 3_600_000);
    assert!(bench.settle(lease, Outcome::Accept));
}

#[test]
fn a_lease_that_an_operator_ends_is_lost_to_its_holder() {
    for outcome in [Outcome::Accept, Outcome::Requeue, Outcome::Reject] {
        let mut bench = Bench::new(Options::default());
        bench.subscribe(7, false, 1);
        bench.publish(true);
        let lease = bench.leases()[0];
        let mut seen = Vec::new();
        bench.queue.visit_leased(None, |id, entry, info| {
            seen.push((id, entry.seq, info.held, info.since, info.deadline));
            true
        });
        let holder = Held::Consumer(ConsumerId(7));
        assert_eq!(seen, [(lease, 1, holder, 1000, 0)]);
        let ended = bench.run(|queue, cx| queue.revoke(lease, outcome, cx));
        assert_eq!(ended, Settled::Done);
        let ready = u64::from(outcome == Outcome::Requeue);
        assert_eq!(bench.counts(), (ready, 0));
        let again = bench.run(|queue, cx| queue.revoke(lease, outcome, cx));
        assert_eq!(again, Settled::Late);
        assert!(!bench.settle(lease, Outcome::Accept));
    }
}

#[test]
fn looking_changes_nothing() {
    let mut bench = Bench::new(Options::default());
    bench.publish(true);
    let spot = Spot::Ready {
        priority: 0,
        seq: 1,
    };
    for _ in 0..1000 {
        let found = bench.queue.find(spot, Some((1 << 32) + 100)).unwrap();
        assert_eq!((found.returns, found.redelivered), (0, false));
    }
    let got = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    assert_eq!((got.returns, got.redelivered), (0, false));
}
