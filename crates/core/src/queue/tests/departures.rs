//! Dead letters that can not leave at once.

use super::*;

fn bench(overflow: Overflow) -> Bench {
    Bench::new(Options {
        max_length: Some(2),
        overflow,
        dead_letter: Some(DeadLetterTarget {
            exchange: "dlx".into(),
            routing_key: None,
        }),
        ..Options::default()
    })
}

fn departing(bench: &mut Bench) -> Vec<LeaseId> {
    let lease = |effect| match effect {
        Effect::DeadLetter { lease, .. } => lease,
        _ => None,
    };
    bench.effects.drain(..).filter_map(lease).collect()
}

#[test]
fn what_can_not_leave_is_kept_counted_and_survives() {
    let mut bench = bench(Overflow::DropHead);
    (0..4).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let leaving = departing(&mut bench);
    assert_eq!((leaving.len(), bench.counts()), (2, (2, 0)));
    for _ in 0..2 {
        bench.run(|queue, cx| queue.departure_failed(leaving[0], cx));
    }
    assert_eq!(bench.queue.counts().stuck, 1);
    assert!(bench.run(|queue, cx| queue.departed(leaving[1], cx)));
    assert!(!bench.run(|queue, cx| queue.departed(leaving[1], cx)));
    for restart in [Bench::crash, Bench::restart_from_image] {
        restart(&mut bench);
        assert_eq!((bench.counts(), bench.queue.counts().stuck), ((2, 0), 1));
        let stuck: Vec<_> = bench.queue.stuck_departures().collect();
        assert_eq!(stuck.len(), 1);
        assert_eq!(stuck[0].1, DeadLetterReason::MaxLength);
    }
    let (lease, _) = bench.queue.stuck_departures().next().unwrap();
    assert!(bench.run(|queue, cx| queue.departed(lease, cx)));
    assert_eq!(bench.queue.counts().stuck, 0);
    bench.crash();
    assert_eq!((bench.counts(), bench.queue.counts().stuck), ((2, 0), 0));
}

#[test]
fn publishers_are_refused_when_as_many_are_stuck_as_there_may_be_messages() {
    let mut bench = bench(Overflow::DropHead);
    (0..4).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let leaving = departing(&mut bench);
    for lease in &leaving {
        assert!(bench.queue.has_room(10));
        bench.run(|queue, cx| queue.departure_failed(*lease, cx));
    }
    assert!(!bench.queue.has_room(10));
    assert_eq!(bench.publish(true), Enqueued::Rejected);
    bench.run(|queue, cx| queue.departed(leaving[0], cx));
    assert_eq!(bench.publish(true), Enqueued::Taken);
}

#[test]
fn a_departure_that_was_not_tried_is_delivered_again_after_a_crash() {
    let mut bench = bench(Overflow::RejectPublish);
    bench.publish(true);
    let got = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    bench.settle(got.lease.unwrap(), Outcome::Reject);
    assert_eq!(departing(&mut bench).len(), 1);
    bench.crash();
    let again = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    assert_eq!((again.redelivered, again.returns), (true, 1));
}

#[test]
fn a_checkpoint_knows_what_is_on_its_way_in_the_order_of_the_queue() {
    let mut bench = bench(Overflow::RejectPublish);
    (0..2).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let take = |bench: &mut Bench| bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    let got: Vec<_> = (0..2).map(|_| take(&mut bench).lease.unwrap()).collect();
    for lease in got.into_iter().rev() {
        bench.settle(lease, Outcome::Reject);
    }
    assert_eq!(departing(&mut bench).len(), 2);
    bench.restart_from_image();
    assert_eq!((bench.counts(), bench.queue.counts().stuck), ((0, 0), 2));
    let stuck = bench.queue.stuck_departures();
    let seqs: Vec<_> = stuck
        .map(|(lease, _)| bench.queue.leased(lease).unwrap().seq)
        .collect();
    assert_eq!(seqs, [1, 2]);
}
