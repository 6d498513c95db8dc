//! Dead letters that can not leave at once.

use std::collections::VecDeque;

use super::*;
use crate::message::Position;

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

/// A queue of which so many have expired, durable ones and, if asked for, one that is not after
/// each; none of those that left could arrive.
fn expired(durable: u64, transient: bool) -> Bench {
    let mut bench = Bench::new(Options {
        message_ttl_ms: Some(500),
        dead_letter: dead_letters(),
        ..Options::default()
    });
    for _ in 0..durable {
        bench.publish(true);
        if transient {
            bench.publish(false);
        }
    }
    let all = bench.counts().0;
    bench.now = 1500;
    while bench.counts().0 > 0 {
        bench.run(|queue, cx| queue.tick(cx));
    }
    let leaving = departing(&mut bench);
    assert_eq!(leaving.len(), 4, "others wait their turn");
    for (nth, lease) in leaving.into_iter().enumerate() {
        let first = bench.run(|queue, cx| queue.departure_failed(lease, cx));
        assert_eq!(first, nth == 0, "told once");
    }
    assert_eq!(bench.queue.counts().stuck, all);
    bench
}

/// Has so many of them arrive, one after another. Their places and positions.
fn arrive(bench: &mut Bench, count: usize) -> Vec<(u64, Option<Position>)> {
    let mut under_way: VecDeque<LeaseId> =
        bench.queue.stuck_departures().map(|(id, _)| id).collect();
    let mut arrived = Vec::new();
    while arrived.len() < count
        && let Some(lease) = under_way.pop_front()
    {
        let entry = bench.queue.leased(lease).unwrap();
        arrived.push((entry.seq, entry.position()));
        assert!(bench.run(|queue, cx| queue.departed(lease, cx)));
        assert!(
            reasons(&bench.effects)
                .iter()
                .all(|reason| *reason == "expired")
        );
        under_way.extend(departing(bench));
        assert!(under_way.len() <= 4);
    }
    arrived
}

fn arrive_all(bench: &mut Bench) -> Vec<(u64, Option<Position>)> {
    let arrived = arrive(bench, usize::MAX);
    assert_eq!((bench.queue.counts().stuck, bench.memory), (0, 0));
    assert_eq!(bench.recovered(true).counts().stuck, 0);
    arrived
}

#[test]
fn a_few_depart_at_once_and_all_in_the_end() {
    for restart in [|_: &mut Bench| (), Bench::crash, Bench::restart_from_image] {
        let mut bench = expired(3_000, false);
        restart(&mut bench);
        assert_eq!(bench.queue.counts().stuck, 3_000);
        let arrived = arrive_all(&mut bench);
        assert!(arrived.is_sorted() && arrived.len() == 3_000);
    }
}

#[test]
fn what_arrived_after_a_checkpoint_does_not_come_again() {
    let mut bench = expired(2_000, false);
    let (mut image, before) = (Vec::new(), bench.history.len());
    bench.queue.write_image(&mut image);
    arrive(&mut bench, 700);
    let copy = |old, _| Some(old + (5 << 32));
    let from = (1 << 32) + 150_000;
    bench.run(|queue, cx| queue.evacuate(from, from + 10_000, copy, cx));
    let mut again = Recovering::new(QueueId(1), bench.queue.shared_options(), bench.now);
    again.read_image(&mut Cursor::new(&image)).unwrap();
    tell(&mut again, &bench.history[before..]);
    let mut marks = 0;
    bench.queue = again.finish(true, |_| marks += 1);
    assert_eq!((marks, bench.queue.counts().stuck), (1_300, 1_300));
    let mut arrived = arrive_all(&mut bench);
    arrived.sort_unstable();
    assert!(arrived.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let moved = arrived.iter().filter(|(_, at)| at.unwrap() >= 5 << 32);
    assert_eq!((arrived.len(), moved.count()), (1_300, 100));
}

#[test]
fn bodies_of_what_waits_its_turn_move_spill_and_are_let_go() {
    let mut bench = expired(50, true);
    let waiting = bench.memory;
    bench.run(|queue, cx| queue.spill(|_, _| Some(9 << 32), cx));
    assert!(
        (1..waiting).contains(&bench.memory),
        "only of what is under way"
    );
    bench.run(|queue, cx| queue.evacuate(9 << 32, 10 << 32, |_, _| Some(11 << 32), cx));
    bench.released.clear();
    assert_eq!(bench.dissolve(), [1; 100]);
    assert_eq!(bench.memory, 0);
    let at = |position| {
        bench
            .released
            .iter()
            .filter(move |mark| mark.position == position)
    };
    assert_eq!((at(9 << 32).count(), at(11 << 32).count()), (0, 48));

    let mut bench = expired(50, true);
    bench.crash();
    assert_eq!(bench.queue.counts().stuck, 50, "who is not durable is gone");
}

#[test]
fn nobody_is_refused_for_those_that_wait_their_turn_unless_all_are_stuck() {
    let mut bench = Bench::new(Options {
        max_length: Some(10),
        ..bench(Overflow::DropHead).queue.options().clone()
    });
    (0..100).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let mut leaving = departing(&mut bench);
    assert_eq!(bench.queue.counts().stuck, 86);
    bench.run(|queue, cx| queue.departed(leaving[0], cx));
    leaving.extend(departing(&mut bench));
    for lease in &leaving[1..] {
        assert_eq!(bench.publish(true), Enqueued::Taken);
        bench.run(|queue, cx| queue.departure_failed(*lease, cx));
    }
    assert_eq!(bench.publish(true), Enqueued::Rejected);
}
