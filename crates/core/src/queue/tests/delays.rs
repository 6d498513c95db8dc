//! Messages that are not ready before their time.

use super::*;
use crate::message::Draft;

impl Bench {
    /// Publishes what a delay and an id make special.
    pub(super) fn publish_special(
        &mut self,
        durable: bool,
        ttl_ms: Option<u64>,
        deliver_at: Option<Millis>,
        id: Option<u8>,
    ) -> Enqueued {
        let incoming = self.special(durable, ttl_ms, deliver_at, id);
        self.run(|queue, cx| queue.enqueue(&incoming, cx))
    }

    pub(super) fn special(
        &mut self,
        durable: bool,
        ttl_ms: Option<u64>,
        deliver_at: Option<Millis>,
        id: Option<u8>,
    ) -> Incoming {
        self.published += 1;
        let draft = Draft {
            format: 1,
            persistent: durable,
            dead_lettered: false,
            priority: 0,
            ttl_ms,
            published_ms: self.now,
            deliver_at,
            id: id.map(|id| [id; 16]),
            exchange: b"",
            routing_key: b"q",
            properties: b"",
            body: b"0123456789",
        };
        self.staged.clear();
        draft.encode(&mut self.staged);
        let position = match durable {
            true => (1 << 32) + self.published * 100,
            false => NOT_LOGGED,
        };
        Incoming {
            offset: 0,
            len: self.staged.len() as u32,
            position,
            size: 10,
            priority: 0,
            ttl_ms,
            recorded: false,
            special: true,
        }
    }

    pub(super) fn tick_at(&mut self, now: Millis) {
        self.now = now;
        self.run(|queue, cx| queue.tick(cx));
    }

    /// The bodies of all ready messages, as the numbers of their publishes.
    pub(super) fn ready(&self) -> Vec<u64> {
        numbers(&self.queue)
    }

    /// Goes on with what a crash would leave.
    pub(super) fn crash(&mut self) {
        self.queue = self.recovered(false);
        self.effects.clear();
    }

    /// Goes on with what a checkpoint and a restart would leave.
    pub(super) fn restart_from_image(&mut self) {
        let mut image = Vec::new();
        self.queue.write_image(&mut image);
        let options = self.queue.shared_options();
        let mut again = Recovering::new(QueueId(1), options, self.now);
        again.read_image(&mut Cursor::new(&image)).unwrap();
        self.queue = again.finish(true, |_| ());
        self.effects.clear();
    }
}

pub(super) fn numbers(queue: &Queue) -> Vec<u64> {
    let mut numbers = Vec::new();
    queue.visit_ready(None, |entry| {
        numbers.push((entry.position().unwrap_or(0) & 0xffff_ffff) / 100);
        true
    });
    numbers
}

fn delayed(bench: &Bench) -> u64 {
    bench.queue.counts().delayed
}

#[test]
fn a_delayed_message_is_not_ready_before_its_time_and_then_stands_at_the_end() {
    for durable in [true, false] {
        let mut bench = Bench::new(Options::default());
        let taken = bench.publish_special(durable, None, Some(1500), None);
        assert_eq!(taken, Enqueued::Taken);
        bench.publish_special(durable, None, Some(1400), None);
        bench.publish(durable);
        assert_eq!((bench.counts(), delayed(&bench)), ((1, 0), 2));
        assert_eq!(bench.queue.next_deadline(), Some(1400));
        bench.tick_at(1399);
        assert_eq!(bench.counts(), (1, 0));
        bench.tick_at(1500);
        assert_eq!((bench.counts(), delayed(&bench)), ((3, 0), 0));
        if durable {
            assert_eq!(bench.ready(), [3, 2, 1]);
        }
        assert_eq!(bench.queue.next_deadline(), None);
    }
}

#[test]
fn a_delay_that_is_over_when_it_comes_is_none() {
    let mut bench = Bench::new(Options::default());
    bench.publish_special(true, None, Some(1000), None);
    assert_eq!((bench.counts(), delayed(&bench)), ((1, 0), 0));
}

#[test]
fn waiting_messages_are_given_to_consumers_when_they_wake() {
    let mut bench = Bench::new(Options::default());
    bench.subscribe(7, false, 0);
    bench.publish_special(true, None, Some(1500), None);
    assert!(bench.deliveries().is_empty());
    bench.tick_at(1500);
    let given = bench.deliveries();
    assert_eq!((given.len(), given[0].1.redelivered), (1, false));
}

#[test]
fn a_delay_survives_a_crash_and_a_checkpoint_and_is_not_marked() {
    let mut bench = Bench::new(Options::default());
    bench.publish_special(true, None, Some(1500), None);
    bench.publish_special(true, None, Some(1600), None);
    bench.publish(true);
    bench.tick_at(1500);
    assert_eq!(bench.ready(), [3, 1]);
    bench.crash();
    assert_eq!((bench.ready(), delayed(&bench)), (vec![3, 1], 1));
    bench.restart_from_image();
    assert_eq!((bench.ready(), delayed(&bench)), (vec![3, 1], 1));
    bench.tick_at(1600);
    assert_eq!(bench.ready(), [3, 1, 2]);
    bench.subscribe(7, true, 0);
    let marks: Vec<bool> = bench
        .deliveries()
        .iter()
        .map(|(_, out)| out.redelivered)
        .collect();
    assert_eq!(marks, [true, true, false]);
}

#[test]
fn the_time_to_live_starts_when_the_message_is_ready() {
    let mut bench = Bench::new(Options::default());
    bench.publish_special(true, Some(100), Some(1500), None);
    bench.tick_at(1550);
    assert_eq!(bench.counts(), (1, 0));
    bench.tick_at(1649);
    assert_eq!(bench.counts(), (1, 0));
    bench.crash();
    assert_eq!(bench.counts(), (1, 0));
    bench.tick_at(1650);
    assert_eq!(bench.counts(), (0, 0));
}

#[test]
fn a_delayed_message_is_no_part_of_the_maximum_length() {
    let options = Options {
        max_length: Some(1),
        overflow: Overflow::RejectPublish,
        ..Options::default()
    };
    let mut bench = Bench::new(options);
    bench.publish(true);
    assert_eq!(bench.publish(true), Enqueued::Rejected);
    let taken = bench.publish_special(true, None, Some(1500), None);
    assert_eq!(taken, Enqueued::Taken);
    assert_eq!(bench.run(|queue, cx| queue.purge(u64::MAX, cx)), 1);
    assert_eq!(delayed(&bench), 1);
    assert_eq!(bench.run(|queue, cx| queue.purge_delayed(u64::MAX, cx)), 1);
    assert_eq!((delayed(&bench), bench.memory), (0, 0));
    bench.crash();
    assert_eq!((bench.counts(), delayed(&bench)), ((0, 0), 0));
}

#[test]
fn a_waiting_message_gets_another_time_is_found_and_taken() {
    let mut bench = Bench::new(Options::default());
    bench.publish_special(true, Some(100), Some(1500), None);
    let body = Some((1 << 32) + 100);
    let spot = Spot::Delayed { at: 1500, seq: 1 };
    assert_eq!(bench.queue.find(spot, body).unwrap().size, 10);
    assert!(bench.queue.find(spot, Some(77)).is_none());
    let moved = bench.run(|queue, cx| queue.reschedule(1500, 1, 3000, cx));
    assert_eq!(moved, Some(3000));
    let again = bench.run(|queue, cx| queue.reschedule(1500, 1, 3000, cx));
    assert_eq!(again, None);
    bench.crash();
    bench.tick_at(2999);
    assert_eq!((bench.counts(), delayed(&bench)), ((0, 0), 1));
    let spot = Spot::Delayed { at: 3000, seq: 1 };
    let taken = bench.run(|queue, cx| queue.borrow(spot, body, cx)).unwrap();
    assert_eq!((bench.counts(), delayed(&bench)), ((0, 1), 0));
    bench.restart_from_image();
    assert_eq!((bench.counts(), delayed(&bench)), ((0, 0), 1));
    let taken_again = bench.run(|queue, cx| queue.borrow(spot, body, cx)).unwrap();
    bench.settle(taken_again.lease.unwrap(), Outcome::Release);
    assert_eq!((bench.counts(), delayed(&bench)), ((0, 0), 1));
    bench.tick_at(3000);
    assert_eq!(bench.ready(), [1]);
    assert_eq!(taken.returns, 0);
    bench.tick_at(3100);
    assert_eq!(bench.counts(), (0, 0));
}

#[test]
fn bodies_of_waiting_messages_move_and_spill() {
    let mut bench = Bench::new(Options::default());
    bench.publish_special(true, None, Some(1500), None);
    bench.publish_special(false, None, Some(1600), None);
    assert!(bench.memory > 0);
    bench.run(|queue, cx| queue.spill(|_, _| Some(9 << 32), cx));
    assert_eq!(bench.memory, 0);
    let copy = |old, _| Some(old + (5 << 32));
    bench.run(|queue, cx| queue.evacuate(1 << 32, 2 << 32, copy, cx));
    bench.crash();
    bench.tick_at(2000);
    let mut at = 0;
    bench.queue.visit_ready(None, |entry| {
        at = entry.position().unwrap();
        true
    });
    assert_eq!(at, (6 << 32) + 100);
}
