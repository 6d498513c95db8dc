//! What an operator does with single messages.

use super::*;

fn full(overflow: Overflow) -> Bench {
    let mut bench = Bench::new(Options {
        max_length: Some(2),
        max_length_bytes: Some(25),
        overflow,
        ..Options::default()
    });
    (0..2).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    bench
}

fn spot(seq: u64) -> Spot {
    let priority = 0;
    Spot::Ready { priority, seq }
}

fn borrow(bench: &mut Bench, seq: u64) -> LeaseId {
    let entry = bench.queue.at(spot(seq)).unwrap();
    let taken = bench.run(|queue, cx| queue.borrow(spot(seq), entry.position(), cx));
    taken.unwrap().lease.unwrap()
}

#[test]
fn what_is_borrowed_is_nobodys_else_until_it_is_put_back() {
    let mut bench = full(Overflow::RejectPublish);
    let lease = borrow(&mut bench, 1);
    assert!(bench.queue.at(spot(1)).is_none());
    let (found, info) = bench.queue.lease_of(1).unwrap();
    assert_eq!(
        (found, info.held, info.deadline),
        (lease, Held::Operator, 0)
    );
    assert_eq!(bench.queue.lease_info(lease), Some(info));
    assert!(bench.queue.lease_of(2).is_none());
    assert!(bench.settle(lease, Outcome::Release));
    let back = bench.queue.at(spot(1)).unwrap();
    assert_eq!((back.returns, back.redelivered), (0, false));
    assert_eq!(bench.ready(), [1, 2]);
    assert!(bench.queue.lease_of(1).is_none());
}

#[test]
fn what_is_put_back_into_a_full_queue_is_its_head_and_goes() {
    let mut bench = full(Overflow::DropHead);
    let lease = borrow(&mut bench, 1);
    bench.publish(true);
    assert_eq!(bench.ready(), [2, 3]);
    assert!(bench.settle(lease, Outcome::Release));
    assert_eq!(bench.ready(), [2, 3], "the maximum length holds");
}

#[test]
fn room_is_asked_for_and_then_counted_on() {
    let mut bench = full(Overflow::RejectPublish);
    assert!(!bench.queue.would_take(1));
    let lease = borrow(&mut bench, 1);
    assert!(bench.queue.would_take(15) && !bench.queue.would_take(16));
    let incoming = Incoming {
        offset: 0,
        len: 10,
        position: (1 << 32) + 400,
        size: 15,
        priority: 0,
        ttl_ms: None,
        recorded: true,
        special: false,
    };
    // Somebody was faster, and the queue is full again.
    bench.publish(true);
    let facts = bench.history.len();
    bench.run(|queue, cx| queue.enqueue_moved(&incoming, cx));
    assert_eq!(bench.ready(), [2, 3, 4]);
    assert_eq!(
        bench.history.len(),
        facts,
        "that it entered is written already"
    );
    assert_eq!(bench.queue.next_seq(), 5);
    assert!(bench.settle(lease, Outcome::Accept));
}

#[test]
fn leases_are_listed_behind_a_place() {
    let mut bench = Bench::new(Options::default());
    bench.subscribe(7, false, 0);
    (0..5).for_each(|_| assert_eq!(bench.publish(false), Enqueued::Taken));
    let leases = bench.leases();
    assert!(bench.settle(leases[1], Outcome::Accept));
    let after = |first: Option<LeaseId>| {
        let mut seen = Vec::new();
        bench.queue.visit_leased(first, |_, entry, _| {
            seen.push(entry.seq);
            true
        });
        seen
    };
    assert_eq!(after(None), [1, 3, 4, 5]);
    assert_eq!(after(Some(leases[1])), [3, 4, 5], "the place may be vacant");
    assert_eq!(after(Some(leases[4])), [] as [u64; 0]);
}
