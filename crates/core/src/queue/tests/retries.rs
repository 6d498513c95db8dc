//! Messages that come back and are tried again.

use super::*;

fn options(limit: Option<u32>, delay_ms: u64) -> Options {
    Options {
        retry: Retry {
            limit,
            delay_ms,
            factor_milli: 2000,
            ..Retry::default()
        },
        dead_letter: Some(DeadLetterTarget {
            exchange: "dlx".into(),
            routing_key: None,
        }),
        ..Options::default()
    }
}

fn reasons(bench: &mut Bench) -> Vec<DeadLetterReason> {
    let reason = |effect| match effect {
        Effect::DeadLetter { reason, .. } => Some(reason),
        _ => None,
    };
    bench.effects.drain(..).filter_map(reason).collect()
}

#[test]
fn tries_are_spaced_and_the_last_one_is_dead_lettered() {
    let mut bench = Bench::new(options(Some(3), 100));
    bench.publish(true);
    bench.subscribe(7, false, 1);
    for (try_no, wakes_at) in [(0, 1100), (1, 1300)] {
        let given = bench.deliveries();
        assert_eq!((given.len(), given[0].1.returns), (1, try_no));
        assert!(bench.settle(given[0].1.lease.unwrap(), Outcome::Requeue));
        assert_eq!(bench.queue.next_deadline(), Some(wakes_at));
        bench.tick_at(wakes_at - 1);
        assert!(bench.deliveries().is_empty());
        bench.tick_at(wakes_at);
    }
    let given = bench.deliveries();
    assert_eq!(given[0].1.returns, 2);
    bench.settle(given[0].1.lease.unwrap(), Outcome::Requeue);
    assert_eq!(reasons(&mut bench), [DeadLetterReason::DeliveryLimit]);
    assert_eq!(bench.counts(), (0, 0));
}

#[test]
fn a_rejection_is_no_try() {
    let mut bench = Bench::new(options(Some(3), 100));
    bench.publish(true);
    bench.subscribe(7, false, 1);
    let lease = bench.leases()[0];
    bench.settle(lease, Outcome::Reject);
    assert_eq!(reasons(&mut bench), [DeadLetterReason::Rejected]);
}

#[test]
fn a_consumer_may_choose_the_wait() {
    let mut bench = Bench::new(options(None, 100));
    bench.publish(true);
    bench.subscribe(7, false, 1);
    for (outcome, wait) in [
        (Outcome::Delay(Some(5_000)), 5_000),
        (Outcome::Delay(None), 200),
        (Outcome::Delay(Some(0)), 0),
    ] {
        let lease = bench.leases()[0];
        bench.settle(lease, outcome);
        let now = bench.now;
        if wait > 0 {
            assert_eq!(bench.queue.next_deadline(), Some(now + wait), "{outcome:?}");
            bench.tick_at(now + wait);
        }
    }
    let given = bench.deliveries();
    assert_eq!((given.len(), given[0].1.returns), (1, 3));
}

#[test]
fn a_message_that_was_tried_wakes_to_its_old_place() {
    let mut bench = Bench::new(options(None, 100));
    for _ in 0..3 {
        bench.publish(true);
    }
    let first = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    bench.settle(first.lease.unwrap(), Outcome::Requeue);
    assert_eq!(bench.queue.counts().delayed, 1);
    bench.tick_at(1100);
    assert_eq!(bench.ready(), [1, 2, 3]);
}

#[test]
fn tries_and_waits_survive_a_crash() {
    let mut bench = Bench::new(options(Some(3), 100));
    bench.publish(true);
    let first = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    bench.settle(first.lease.unwrap(), Outcome::Requeue);
    bench.crash();
    assert_eq!(bench.queue.next_deadline(), Some(1100));
    bench.tick_at(1100);
    let second = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    assert_eq!((second.returns, second.redelivered), (1, true));
    bench.crash();
    // What was held when the broker died counts as a try.
    bench.tick_at(1200);
    let third = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    assert_eq!(third.returns, 2);
    bench.settle(third.lease.unwrap(), Outcome::Requeue);
    assert_eq!(reasons(&mut bench), [DeadLetterReason::DeliveryLimit]);
}

#[test]
fn a_message_may_expire_while_it_waits_for_its_next_try() {
    let options = Options {
        message_ttl_ms: Some(50),
        ..options(None, 100)
    };
    let mut bench = Bench::new(options);
    bench.publish(true);
    let first = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    bench.settle(first.lease.unwrap(), Outcome::Requeue);
    assert_eq!(bench.queue.next_deadline(), Some(1050));
    bench.tick_at(1050);
    assert_eq!(reasons(&mut bench), [DeadLetterReason::Expired]);
}

#[test]
fn other_options_hold_for_what_is_there_already() {
    let mut bench = Bench::new(options(None, 100));
    bench.publish(true);
    let lease = bench.run(|queue, cx| queue.get(false, cx)).unwrap().lease;
    let stricter = Arc::new(options(Some(1), 0));
    bench.run(|queue, cx| queue.set_options(stricter, cx));
    bench.settle(lease.unwrap(), Outcome::Requeue);
    assert_eq!(reasons(&mut bench), [DeadLetterReason::DeliveryLimit]);
}

#[test]
fn a_last_try_that_was_under_way_in_a_crash_is_not_repeated() {
    for restart in [Bench::crash, Bench::restart_from_image] {
        let mut bench = Bench::new(options(Some(2), 0));
        bench.publish(true);
        bench.publish(true);
        let first = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
        bench.settle(first.lease.unwrap(), Outcome::Requeue);
        let last = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
        assert_eq!(last.returns, 1);
        restart(&mut bench);
        assert_eq!(bench.ready(), [2], "the other one is delivered on");
        let stuck: Vec<_> = bench.queue.stuck_departures().collect();
        assert_eq!(stuck.len(), 1);
        assert_eq!(stuck[0].1, DeadLetterReason::DeliveryLimit);
    }
}

#[test]
fn the_limit_of_tries_at_a_start_is_the_one_in_force_then() {
    let tries = |limit| Options {
        durable: true,
        retry: Retry {
            limit: Some(limit),
            factor_milli: 1000,
            ..Retry::default()
        },
        dead_letter: dead_letters(),
        ..Options::default()
    };
    let mut bench = Bench::new(tries(1));
    bench.publish(true);
    assert!(bench.run(|queue, cx| queue.get(false, cx)).is_some());
    let mut image = Vec::new();
    bench.queue.write_image(&mut image);
    for (limit, ready) in [(1, 0), (5, 1)] {
        let mut recovering = Recovering::new(QueueId(1), tries(1), 0);
        recovering.read_image(&mut Cursor::new(&image)).unwrap();
        recovering.set_options(tries(limit).into());
        let queue = recovering.finish(false, |_| ());
        assert_eq!(queue.counts().ready, ready, "a limit of {limit}");
    }
}
