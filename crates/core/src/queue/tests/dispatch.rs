//! Which consumer gets which message, seen through a whole queue.

use super::*;

fn consumer(bench: &mut Bench, id: u64, priority: i32, prefetch: u32) -> ConsumerSlot {
    let subscription = Subscription {
        id: ConsumerId(id),
        no_ack: false,
        exclusive: false,
        priority,
        prefetch,
    };
    let slot = bench
        .queue
        .subscribe(subscription, Choice::default(), bench.now)
        .unwrap();
    bench.run(|queue, cx| queue.deliver_ready(cx));
    slot
}

/// The only delivery since the last time: to whom, and its lease.
fn delivery(bench: &mut Bench) -> (u64, LeaseId) {
    let mut deliveries = bench.deliveries();
    assert_eq!(deliveries.len(), 1);
    let (id, outgoing) = deliveries.remove(0);
    (id, outgoing.lease.unwrap())
}

fn requeued_goes_to(bench: &mut Bench, lease: LeaseId) -> (u64, LeaseId) {
    assert!(bench.settle(lease, Outcome::Requeue));
    delivery(bench)
}

#[test]
fn what_one_gave_back_goes_to_another_of_whatever_priority() {
    let mut bench = Bench::new(Options::default());
    consumer(&mut bench, 1, 9, 10);
    consumer(&mut bench, 2, 0, 10);
    bench.publish(true);
    let (first, mut lease) = delivery(&mut bench);
    assert_eq!(first, 1);
    for expected in [2, 1, 2] {
        let (id, again) = requeued_goes_to(&mut bench, lease);
        assert_eq!(id, expected);
        lease = again;
    }
    bench.publish(true);
    assert_eq!(
        delivery(&mut bench).0,
        1,
        "other messages are not concerned"
    );
}

#[test]
fn what_one_gave_back_comes_again_if_nobody_else_is_willing() {
    let mut bench = Bench::new(Options::default());
    consumer(&mut bench, 1, 0, 10);
    bench.publish(false);
    let (_, lease) = delivery(&mut bench);
    let (id, lease) = requeued_goes_to(&mut bench, lease);
    assert_eq!(id, 1, "there is nobody else");
    let other = consumer(&mut bench, 2, 0, 1);
    bench.publish(false);
    let (id, _) = delivery(&mut bench);
    assert_eq!(id, 2);
    let (id, lease) = requeued_goes_to(&mut bench, lease);
    assert_eq!(id, 1, "the other one has its prefetch full");
    consumer(&mut bench, 3, 0, 10);
    bench.shut = 3;
    let (id, lease) = requeued_goes_to(&mut bench, lease);
    assert_eq!(id, 1, "the outlet of the third is full");
    bench.run(|queue, cx| queue.unsubscribe(other, cx));
    let (id, _) = requeued_goes_to(&mut bench, lease);
    assert_eq!(id, 1);
}

#[test]
fn what_a_get_or_a_lost_consumer_gave_back_goes_to_anyone() {
    let mut bench = Bench::new(Options::default());
    bench.publish(true);
    let got = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    let slot = consumer(&mut bench, 1, 0, 1);
    let (id, lease) = requeued_goes_to(&mut bench, got.lease.unwrap());
    assert_eq!(id, 1);
    bench.run(|queue, cx| queue.unsubscribe(slot, cx));
    assert!(bench.settle(lease, Outcome::Requeue));
    consumer(&mut bench, 2, 0, 1);
    assert_eq!(delivery(&mut bench).0, 2);
}

#[test]
fn a_thousand_consumers_share_what_comes() {
    let mut bench = Bench::new(Options::default());
    for id in 1..=1_000 {
        consumer(&mut bench, id, 0, 3);
    }
    (0..2_000).for_each(|_| assert_eq!(bench.publish(false), Enqueued::Taken));
    let mut held = [0; 1_001];
    let deliveries = bench.deliveries();
    deliveries
        .iter()
        .for_each(|(id, _)| held[*id as usize] += 1);
    assert!(held[1..].iter().all(|held| *held == 2));
    for (_, outgoing) in deliveries.iter().filter(|(id, _)| *id == 500) {
        bench.settle(outgoing.lease.unwrap(), Outcome::Accept);
    }
    (0..2).for_each(|_| assert_eq!(bench.publish(false), Enqueued::Taken));
    let ids: Vec<_> = bench.deliveries().iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [500, 500]);
}

#[test]
fn what_is_transient_can_be_for_consumers_alone() {
    let mut bench = Bench::new(Options {
        durable: true,
        discards_transient: true,
        ..Options::default()
    });
    let publish = |bench: &mut Bench| {
        [false, true].map(|durable| assert_eq!(bench.publish(durable), Enqueued::Taken))
    };
    publish(&mut bench);
    assert_eq!(bench.queue.counts().ready, 1, "nobody is here");
    let slot = bench.subscribe(1, false, 1);
    publish(&mut bench);
    assert_eq!(bench.queue.counts().ready, 2, "who is busy is here");
    bench.run(|queue, cx| queue.unsubscribe(slot, cx));
    publish(&mut bench);
    assert_eq!(bench.queue.counts().ready, 3);
}
