//! What a queue does, command by command, seen through its effects and facts.

mod choices;
mod clear;
mod delays;
mod departures;
mod dispatch;
mod duplicates;
mod idle;
mod leases;
mod numbered;
mod operator;
mod pace;
mod remembered;
mod retries;
mod shards;
mod streams;

use std::cell::Cell;

use super::*;
use crate::arguments::Arguments;
use crate::facts::{Fact, Facts, Mark};
use crate::message::NOT_LOGGED;
use crate::wire::Cursor;
use numbered::{Shelf, number_of};

struct Open(usize);

impl Gate for Open {
    fn admit(&self, consumer: ConsumerId, _bytes: usize) -> bool {
        consumer.0 as usize != self.0
    }
}

/// A queue with everything around it that a partition would have.
struct Bench {
    queue: Queue,
    now: Millis,
    shut: usize,
    effects: Vec<Effect>,
    facts: Facts,
    released: Vec<Mark>,
    memory: i64,
    published: u64,
    history: Vec<Fact>,
    staged: Vec<u8>,
    /// The headers of messages, by number.
    messages: Vec<Arguments>,
    /// How many messages were looked into.
    looks: Cell<usize>,
}

impl Bench {
    fn new(options: Options) -> Bench {
        Bench {
            queue: Queue::new(QueueId(1), options, 1000),
            now: 1000,
            shut: usize::MAX,
            effects: Vec::new(),
            facts: Facts::default(),
            released: Vec::new(),
            memory: 0,
            published: 0,
            history: Vec::new(),
            staged: b"0123456789".to_vec(),
            messages: Vec::new(),
            looks: Cell::new(0),
        }
    }

    /// Ends the queue, one message at a time; what was dropped each time.
    fn dissolve(&mut self) -> Vec<u64> {
        let (queue, released, memory) = (&mut self.queue, &mut self.released, &mut self.memory);
        let drop_one = || Some(queue.dissolve(1, released, memory)).filter(|count| *count > 0);
        std::iter::from_fn(drop_one).collect()
    }

    fn run<R>(&mut self, command: impl FnOnce(&mut Queue, &mut Context<'_>) -> R) -> R {
        let gate = Open(self.shut);
        let mut cx = Context {
            now: self.now,
            staged: &self.staged,
            gate: &gate,
            lens: &Shelf(&self.messages, &self.looks),
            effects: &mut self.effects,
            facts: &mut self.facts,
            released: &mut self.released,
            memory: &mut self.memory,
            copied: &mut None,
        };
        let result = command(&mut self.queue, &mut cx);
        for effect in &self.effects {
            if let Effect::Deliver(_, outgoing) = effect
                && let Some(unread) = outgoing.unread
            {
                let account = (&mut self.facts, &mut self.released, &mut self.memory);
                self.queue.handed_over(unread, account);
            }
        }
        let mut record = Vec::new();
        self.facts.encode(&mut record);
        self.facts.clear();
        let history = &mut self.history;
        Facts::decode(&record, |fact| history.push(fact)).unwrap();
        result
    }

    fn publish(&mut self, durable: bool) -> Enqueued {
        self.publish_with(durable, 0, None)
    }

    fn publish_with(&mut self, durable: bool, priority: u8, ttl_ms: Option<u64>) -> Enqueued {
        self.publish_at(0, durable, priority, ttl_ms)
    }

    fn publish_at(
        &mut self,
        offset: u32,
        durable: bool,
        priority: u8,
        ttl_ms: Option<u64>,
    ) -> Enqueued {
        self.published += 1;
        let position = match durable {
            true => (1 << 32) + self.published * 100,
            false => NOT_LOGGED,
        };
        let incoming = Incoming {
            offset,
            len: 10,
            position,
            size: 10,
            priority,
            ttl_ms,
            recorded: false,
            special: false,
        };
        self.run(|queue, cx| queue.enqueue(&incoming, cx))
    }

    fn subscribe(&mut self, id: u64, no_ack: bool, prefetch: u32) -> ConsumerSlot {
        let subscription = Subscription {
            id: ConsumerId(id),
            no_ack,
            exclusive: false,
            priority: 0,
            prefetch,
        };
        let now = self.now;
        let choice = Choice::default();
        let slot = self.queue.subscribe(subscription, choice, now).unwrap();
        self.run(|queue, cx| queue.deliver_ready(cx));
        slot
    }

    /// Takes one message; its body can always be read.
    fn get(&mut self, no_ack: bool) -> Option<Outgoing> {
        self.run(|queue, cx| {
            let outgoing = queue.get(no_ack, cx)?;
            if let Some(unread) = outgoing.unread {
                let account = (&mut *cx.facts, &mut *cx.released, &mut *cx.memory);
                queue.handed_over(unread, account);
            }
            Some(outgoing)
        })
    }

    fn deliveries(&mut self) -> Vec<(u64, Outgoing)> {
        let take = |effect| match effect {
            Effect::Deliver(consumer, outgoing) => Some((consumer.0, outgoing)),
            _ => None,
        };
        self.effects.drain(..).filter_map(take).collect()
    }

    fn leases(&mut self) -> Vec<LeaseId> {
        self.deliveries()
            .into_iter()
            .filter_map(|(_, outgoing)| outgoing.lease)
            .collect()
    }

    fn settle(&mut self, lease: LeaseId, outcome: Outcome) -> bool {
        self.run(|queue, cx| queue.settle(lease, outcome, cx)) == Settled::Done
    }

    fn counts(&self) -> (u64, u64) {
        let counts = self.queue.counts();
        (counts.ready, counts.unsettled)
    }

    /// The queue that a restart would make of the facts so far.
    fn recovered(&self, clean: bool) -> Queue {
        let mut recovering = Recovering::new(QueueId(1), self.queue.options().clone(), 0);
        tell(&mut recovering, &self.history);
        recovering.finish(clean, |_| ())
    }
}

fn tell(recovering: &mut Recovering, facts: &[Fact]) {
    for fact in facts {
        match fact {
            Fact::Entered(entered) => recovering.entered(entered),
            Fact::Moved(_, from, to) => recovering.moved(*from, *to),
            Fact::Delivered(_, position) => recovering.delivered(*position),
            Fact::Gone(_, position) => recovering.gone(*position),
            Fact::Changed(change) => recovering.changed(change),
        }
    }
}

fn dead_letters() -> Option<DeadLetterTarget> {
    Some(DeadLetterTarget {
        exchange: "dlx".into(),
        routing_key: None,
    })
}

fn reasons(effects: &[Effect]) -> Vec<&'static str> {
    let reason = |effect: &Effect| match effect {
        Effect::DeadLetter { reason, .. } => Some(reason.name()),
        _ => None,
    };
    effects.iter().filter_map(reason).collect()
}

#[test]
fn a_message_without_need_of_settling_passes_through_and_leaves_no_fact() {
    let mut bench = Bench::new(Options::default());
    bench.subscribe(7, true, 0);
    bench.publish(true);
    bench.publish(false);
    let delivered = bench.deliveries();
    assert_eq!(delivered.len(), 2);
    assert!(
        delivered
            .iter()
            .all(|(_, out)| matches!(out.body, BodyRef::Staged { .. }))
    );
    assert!(bench.history.is_empty());
    assert_eq!(
        bench.released.len(),
        1,
        "the body in the log is not needed any more"
    );
    assert_eq!((bench.counts(), bench.memory), ((0, 0), 0));
}

#[test]
fn a_requeued_message_comes_back_to_its_place_marked() {
    let mut bench = Bench::new(Options::default());
    bench.subscribe(7, false, 2);
    (0..4).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let leases = bench.leases();
    assert_eq!((leases.len(), bench.counts()), (2, (2, 2)));
    assert!(bench.settle(leases[0], Outcome::Requeue));
    let again = bench.deliveries();
    assert_eq!(again.len(), 1);
    assert!(again[0].1.redelivered);
    assert_eq!(again[0].1.returns, 1);
    assert!(matches!(again[0].1.body, BodyRef::Log(at) if at == (1 << 32) + 100));
    assert!(
        !bench.settle(leases[0], Outcome::Accept),
        "that lease has ended"
    );
}

#[test]
fn a_full_outlet_stops_deliveries_until_it_has_room() {
    let mut bench = Bench::new(Options::default());
    bench.shut = 7;
    let slot = bench.subscribe(7, true, 0);
    (0..3).for_each(|_| assert_eq!(bench.publish(false), Enqueued::Taken));
    assert_eq!((bench.deliveries().len(), bench.counts()), (0, (3, 0)));
    assert_eq!(bench.memory, 30);
    bench.shut = usize::MAX;
    bench.run(|queue, cx| queue.resume(slot, cx));
    assert_eq!(
        (bench.deliveries().len(), bench.counts(), bench.memory),
        (3, (0, 0), 0)
    );
}

#[test]
fn the_head_goes_when_the_queue_is_too_long() {
    let options = Options {
        max_length: Some(2),
        dead_letter: dead_letters(),
        ..Options::default()
    };
    let mut bench = Bench::new(options);
    (0..3).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    assert_eq!(reasons(&bench.effects), ["maxlen"]);
    assert_eq!(
        bench.counts(),
        (2, 0),
        "what departs is neither ready nor unsettled"
    );
    let Some(Effect::DeadLetter {
        lease: Some(lease), ..
    }) = bench.effects.pop()
    else {
        panic!("a dead letter keeps its hold until it has arrived");
    };
    assert_eq!(
        bench.recovered(true).counts().ready,
        3,
        "not gone before it has arrived"
    );
    bench.settle(lease, Outcome::Accept);
    assert_eq!(bench.recovered(true).counts().ready, 2);
}

#[test]
fn a_full_queue_that_rejects_says_so_and_stores_nothing() {
    for (overflow, dead) in [
        (Overflow::RejectPublish, vec![]),
        (Overflow::RejectPublishDlx, vec!["maxlen"]),
    ] {
        let options = Options {
            max_length_bytes: Some(25),
            overflow,
            dead_letter: dead_letters(),
            ..Options::default()
        };
        let mut bench = Bench::new(options);
        let taken: Vec<_> = (0..3).map(|_| bench.publish(true)).collect();
        assert_eq!(
            taken,
            [Enqueued::Taken, Enqueued::Taken, Enqueued::Rejected]
        );
        assert_eq!(reasons(&bench.effects), dead);
        assert_eq!(bench.counts(), (2, 0));
        assert_eq!(bench.released.len(), 1);
    }
}

#[test]
fn messages_expire_wherever_they_stand_and_say_when() {
    let options = Options {
        message_ttl_ms: Some(500),
        dead_letter: dead_letters(),
        ..Options::default()
    };
    let mut bench = Bench::new(options);
    bench.publish(false);
    bench.publish_with(false, 0, Some(100));
    assert_eq!(bench.queue.next_deadline(), Some(1100));
    bench.now = 1200;
    bench.run(|queue, cx| queue.tick(cx));
    assert_eq!(bench.counts(), (1, 0), "the head is not in the way");
    assert_eq!(bench.queue.next_deadline(), Some(1500));
    bench.now = 1500;
    bench.run(|queue, cx| queue.tick(cx));
    assert_eq!(bench.counts(), (0, 0));
    assert_eq!(bench.queue.next_deadline(), None);
    assert_eq!(reasons(&bench.effects), ["expired", "expired"]);
}

#[test]
fn a_tick_takes_a_bounded_number_and_asks_for_the_next() {
    let options = Options {
        message_ttl_ms: Some(500),
        ..Options::default()
    };
    let mut bench = Bench::new(options);
    let count = depart::EXPIRIES_MAX as u64 + 1;
    (0..count).for_each(|_| assert_eq!(bench.publish(false), Enqueued::Taken));
    bench.now = 1500;
    for (ready, due) in [(1, Some(1500)), (0, None)] {
        bench.run(|queue, cx| queue.tick(cx));
        assert_eq!(
            (bench.counts().0, bench.queue.next_deadline()),
            (ready, due)
        );
    }
}

#[test]
fn an_expired_message_is_not_handed_out_before_the_tick() {
    let mut bench = Bench::new(Options::default());
    bench.publish_with(false, 0, Some(100));
    bench.publish_with(false, 0, Some(300));
    bench.now = 1200;
    bench.subscribe(7, false, 1);
    assert_eq!(bench.deliveries().len(), 1);
    assert_eq!(bench.counts(), (0, 1));
}

#[test]
fn a_zero_time_to_live_reaches_only_who_waits_for_it() {
    let options = Options {
        message_ttl_ms: Some(0),
        ..Options::default()
    };
    let mut bench = Bench::new(options);
    bench.publish(false);
    bench.subscribe(7, true, 0);
    assert!(bench.deliveries().is_empty());
    bench.publish(false);
    assert_eq!(bench.deliveries().len(), 1);
}

#[test]
fn a_message_that_comes_back_too_often_is_dead_lettered() {
    let options = Options {
        delivery_limit: Some(1),
        dead_letter: dead_letters(),
        ..Options::default()
    };
    let mut bench = Bench::new(options);
    bench.subscribe(7, false, 1);
    bench.publish(true);
    for expected in [vec![], vec!["delivery_limit"]] {
        let lease = bench.leases()[0];
        bench.settle(lease, Outcome::Requeue);
        assert_eq!(reasons(&bench.effects), expected);
    }
}

#[test]
fn recovery_keeps_what_is_not_settled_and_counts_what_was_delivered() {
    let mut bench = Bench::new(Options {
        max_priority: 2,
        ..Options::default()
    });
    for priority in [0, 2, 1, 0] {
        bench.publish_with(true, priority, None);
    }
    bench.publish(false);
    bench.subscribe(7, false, 2);
    let leases = bench.leases();
    bench.settle(leases[1], Outcome::Accept);
    let mut queue = bench.recovered(true);
    let mut seen = Vec::new();
    queue.visit_ready(None, |entry| {
        seen.push((entry.seq, entry.redelivered, entry.returns));
        true
    });
    assert_eq!(seen, [(2, true, 1), (1, true, 1), (4, false, 0)]);
    let mut image = Vec::new();
    queue.write_image(&mut image);
    let mut again = Recovering::new(QueueId(1), queue.options().clone(), 0);
    again.read_image(&mut Cursor::new(&image)).unwrap();
    let mut again = again.finish(false, |_| ());
    assert_eq!(again.counts().ready, 3);
    std::mem::swap(&mut bench.queue, &mut again);
    let first = bench.get(true).unwrap();
    assert!(first.redelivered);
    assert_eq!(first.returns, 1);
    std::mem::swap(&mut bench.queue, &mut queue);
}

#[test]
fn an_image_holds_leased_messages_at_their_place() {
    let mut bench = Bench::new(Options::default());
    bench.subscribe(7, false, 3);
    (0..2_000).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let leases = bench.leases();
    bench.settle(leases[1], Outcome::Accept);
    let mut image = Vec::new();
    bench.queue.write_image(&mut image);
    let mut again = Recovering::new(QueueId(1), Options::default(), 0);
    again.read_image(&mut Cursor::new(&image)).unwrap();
    let mut kept = 0;
    let again = again.finish(true, |_| kept += 1);
    let mut order = Vec::new();
    again.visit_ready(None, |entry| {
        order.push(entry.position().unwrap() - (1 << 32));
        true
    });
    let expected: Vec<u64> = (1..=2_000).filter(|i| *i != 2).map(|i| i * 100).collect();
    assert_eq!(order, expected);
    assert_eq!(kept, 1_999);
}

#[test]
fn bodies_move_with_their_messages() {
    let mut bench = Bench::new(Options::default());
    bench.subscribe(7, false, 1);
    (0..3).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let (from, to) = ((1 << 32), (1 << 32) + 250);
    bench.run(|queue, cx| queue.evacuate(from, to, |old, _| Some(old + (1 << 40)), cx));
    assert_eq!(bench.released.len(), 2);
    let lease = bench.leases()[0];
    bench.settle(lease, Outcome::Accept);
    let mut positions = Vec::new();
    bench.recovered(false).visit_ready(None, |entry| {
        positions.push(entry.position().unwrap());
        true
    });
    assert_eq!(positions, [(1 << 40) + (1 << 32) + 200, (1 << 32) + 300]);
}
