//! The deliver rate of a queue.

use super::*;

fn paced(rate: Rate) -> Bench {
    Bench::new(Options {
        deliver_rate: rate,
        ..Options::default()
    })
}

fn messages(per_s: u64) -> Rate {
    Rate {
        messages: Some(per_s),
        bytes: None,
    }
}

/// Lets time pass up to `until`, as a partition does, and says how much was delivered.
fn delivered(bench: &mut Bench, until: Millis) -> usize {
    let mut count = bench.deliveries().len();
    while let Some(at) = bench.queue.next_deadline().filter(|at| *at <= until) {
        assert!(at > bench.now, "a deadline is done when it was ticked");
        bench.tick_at(at);
        count += bench.deliveries().len();
    }
    bench.now = until;
    count
}

#[test]
fn a_minute_of_deliveries_is_what_the_rate_says() {
    for (rate, expected) in [
        (messages(10), 600),
        (messages(1_000), 60_000),
        (messages(3_333), 199_980),
        // Each message has ten bytes.
        (
            Rate {
                messages: None,
                bytes: Some(5_000),
            },
            30_000,
        ),
        (
            Rate {
                messages: Some(100),
                bytes: Some(5_000),
            },
            6_000,
        ),
    ] {
        let mut bench = paced(rate);
        bench.subscribe(7, true, 0);
        for _ in 0..expected + 1_000 {
            bench.publish(false);
        }
        let count = delivered(&mut bench, 61_000);
        assert!(
            count.abs_diff(expected) * 100 <= expected,
            "{count} for {expected}"
        );
    }
}

#[test]
fn a_slow_flow_passes_straight_through() {
    let mut bench = paced(messages(100));
    bench.subscribe(7, true, 0);
    for round in 0..100 {
        bench.now = 1_000 + round * 10;
        bench.publish(true);
        assert_eq!(bench.deliveries().len(), 1, "{round}");
    }
    assert_eq!(bench.queue.next_deadline(), None);
}

#[test]
fn acks_and_new_consumers_do_not_end_a_pause() {
    let mut bench = paced(messages(10));
    bench.subscribe(7, false, 0);
    for _ in 0..10 {
        bench.publish(true);
    }
    let held = bench.leases();
    assert_eq!((held.len(), bench.counts()), (2, (8, 2)));
    bench.subscribe(8, false, 0);
    assert!(bench.settle(held[0], Outcome::Accept));
    assert!(bench.settle(held[1], Outcome::Requeue));
    bench.publish(true);
    assert_eq!((bench.deliveries().len(), bench.counts()), (0, (10, 0)));
    // A tenth of a second is owed, and half a burst is waited for.
    assert_eq!(bench.queue.next_deadline(), Some(1_150));
    bench.tick_at(1_149);
    assert!(bench.deliveries().is_empty());
    let ticked = bench.run(|queue, cx| {
        cx.now = 1_150;
        queue.tick(cx)
    });
    assert_eq!(ticked.pauses_ended, 1);
    assert_eq!(bench.deliveries().len(), 1);
}

#[test]
fn nobody_is_woken_for_a_pause_that_nobody_waits_for() {
    let mut bench = paced(messages(10));
    let slot = bench.subscribe(7, true, 0);
    for _ in 0..3 {
        bench.publish(false);
    }
    assert_eq!(
        (bench.counts().0, bench.queue.next_deadline()),
        (1, Some(1_150))
    );
    bench.run(|queue, cx| queue.unsubscribe(slot, cx));
    assert_eq!(bench.queue.next_deadline(), None);
    bench.now = 2_000;
    bench.deliveries();
    bench.subscribe(8, true, 0);
    assert_eq!(bench.deliveries().len(), 1);
}

#[test]
fn a_get_is_answered_and_paid_afterwards() {
    let mut bench = paced(messages(10));
    for _ in 0..6 {
        bench.publish(false);
    }
    for _ in 0..5 {
        assert!(bench.get(true).is_some());
    }
    bench.subscribe(7, true, 0);
    assert!(bench.deliveries().is_empty());
    assert_eq!(bench.queue.next_deadline(), Some(1_450));
}

#[test]
fn another_rate_counts_at_once() {
    let mut bench = paced(messages(1));
    bench.subscribe(7, true, 0);
    for _ in 0..2_000 {
        bench.publish(false);
    }
    assert!(delivered(&mut bench, 1_500) <= 2);
    let set = |bench: &mut Bench, rate: Rate| {
        let options = Options {
            deliver_rate: rate,
            ..Options::default()
        };
        bench.run(|queue, cx| queue.set_options(options.into(), cx));
    };
    set(&mut bench, messages(1_000));
    let fast = delivered(&mut bench, 2_500);
    assert!((940..=1_110).contains(&fast), "{fast}");
    set(&mut bench, Rate::default());
    assert_eq!(bench.counts().0, 0, "without a rate all goes at once");
}

#[test]
fn a_clock_that_goes_back_does_not_stop_a_queue() {
    let mut bench = paced(messages(10));
    bench.now = 3_600_000;
    bench.subscribe(7, true, 0);
    for _ in 0..100 {
        bench.publish(false);
    }
    bench.deliveries();
    bench.tick_at(10_000);
    let at = bench.queue.next_deadline().unwrap();
    assert!(at <= 10_200, "{at}");
    let count = delivered(&mut bench, 15_000);
    assert!((48..=53).contains(&count), "{count}");
}

#[test]
fn a_stream_whose_readers_are_at_its_end_is_not_ticked_again_and_again() {
    let mut bench = Bench::new(Options {
        durable: true,
        kind: QueueKind::Stream,
        deliver_rate: messages(10),
        ..Options::default()
    });
    bench.subscribe(7, false, 100);
    (0..3).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let mut ticks = 0;
    while let Some(at) = bench.queue.next_deadline() {
        bench.tick_at(at.max(bench.now));
        ticks += 1;
        assert!(ticks < 10, "a deadline at {at} is done when it was ticked");
    }
    let read = |effect: &Effect| matches!(effect, Effect::Read(_));
    assert_eq!(
        bench.effects.iter().filter(|effect| read(effect)).count(),
        3
    );
}

#[test]
fn what_is_taken_at_the_end_of_a_pause_leaves_nobody_waiting() {
    let mut bench = paced(messages(50));
    bench.subscribe(7, true, 0);
    (0..20).for_each(|_| assert_eq!(bench.publish(false), Enqueued::Taken));
    bench.now = bench.queue.next_deadline().unwrap();
    assert!(bench.get(true).is_some());
    assert!(bench.queue.next_deadline().is_some());
}
