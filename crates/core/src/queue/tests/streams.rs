//! What a stream does, command by command.

mod leave;
mod model;

use std::borrow::Cow;

use super::*;
use crate::arguments::Arguments;
use crate::facts::{Change, Entered, StreamFact};
use crate::filter::Filter;
use crate::limits::HOT_ENTRIES_MAX;
use crate::view::{MessageView, Operand, Property};

const FIRST_POSITION: u64 = (1 << 32) + 100;

fn options(retention: Retention, max_bytes: Option<u64>) -> Options {
    Options {
        durable: true,
        kind: QueueKind::Stream,
        max_length_bytes: max_bytes,
        retention,
        ..Options::default()
    }
}

fn forever() -> Options {
    options(Retention::default(), None)
}

fn aged(max_age_ms: u64, segment_bytes: Option<u64>) -> Options {
    let max_age_ms = Some(max_age_ms);
    let retention = Retention {
        max_age_ms,
        segment_bytes,
    };
    options(retention, None)
}

/// A reading, without its body.
type Read = (u64, u64, Option<LeaseId>);

impl Bench {
    fn append(&mut self, count: u64) {
        (0..count).for_each(|_| assert_eq!(self.publish(true), Enqueued::Taken));
    }

    fn read_from(&mut self, id: u64, offset: StreamOffset, prefetch: u32) -> ConsumerSlot {
        self.read_with(id, offset, prefetch, None)
    }

    fn read_with(
        &mut self,
        id: u64,
        offset: StreamOffset,
        prefetch: u32,
        filter: Option<&str>,
    ) -> ConsumerSlot {
        let subscription = Subscription {
            id: ConsumerId(id),
            no_ack: false,
            exclusive: false,
            priority: 0,
            prefetch,
        };
        let filter = filter.and_then(|text| Filter::compile(text).unwrap());
        let choice = Choice { filter, offset };
        let now = self.now;
        let slot = self.queue.subscribe(subscription, choice, now).unwrap();
        self.run(|queue, cx| queue.deliver_ready(cx));
        slot
    }

    fn readings(&mut self) -> Vec<Read> {
        let read = |effect| match effect {
            Effect::Read(reading) => Some((reading.consumer.0, reading.offset, reading.lease)),
            other => panic!("a stream does not {other:?}"),
        };
        self.effects.drain(..).filter_map(read).collect()
    }

    /// Which offsets went to the only reader.
    fn offsets(&mut self) -> Vec<u64> {
        self.readings()
            .iter()
            .map(|(_, offset, _)| *offset)
            .collect()
    }

    fn kept(&self) -> std::ops::Range<u64> {
        let next = self.queue.next_seq() - 1;
        next - self.queue.counts().ready..next
    }

    fn tick(&mut self) {
        self.run(|queue, cx| queue.tick(cx));
    }
}

#[test]
fn readers_are_each_at_their_own_place_and_nothing_goes() {
    let mut bench = Bench::new(forever());
    bench.append(5);
    for (offset, expected) in [
        (StreamOffset::First, vec![0, 1, 2, 3, 4, 5]),
        (StreamOffset::Last, vec![4, 5]),
        (StreamOffset::Next, vec![5]),
        (StreamOffset::Offset(0), vec![0, 1, 2, 3, 4, 5]),
        (StreamOffset::Offset(3), vec![3, 4, 5]),
        (StreamOffset::Offset(5), vec![5]),
        (StreamOffset::Offset(u64::MAX), vec![]),
        (StreamOffset::Timestamp(0), vec![0, 1, 2, 3, 4, 5]),
        (StreamOffset::Timestamp(u64::MAX), vec![5]),
    ] {
        let mut bench = Bench::new(forever());
        bench.append(5);
        bench.read_from(7, offset, 100);
        bench.append(1);
        assert_eq!(bench.offsets(), expected, "{offset:?}");
        assert_eq!(bench.counts(), (6, 0));
        assert_eq!(bench.memory, 0);
    }
    bench.read_from(7, StreamOffset::Offset(7), 100);
    bench.append(4);
    assert_eq!(
        bench.offsets(),
        [7, 8],
        "one that is ahead waits for its offset"
    );
}

#[test]
fn what_waits_for_its_time_is_no_part_of_what_a_step_appended() {
    let mut bench = Bench::new(forever());
    bench.append(2);
    let later = bench.special(true, None, Some(bench.now + 1000), None);
    let at_once = Incoming {
        special: false,
        position: later.position + 100,
        ..later
    };
    bench.run(|queue, cx| {
        queue.enqueue(&later, cx);
        queue.enqueue(&at_once, cx)
    });
    bench.read_from(7, StreamOffset::Last, 10);
    assert_eq!(bench.offsets(), [2]);
}

#[test]
fn to_settle_in_any_way_gives_credit_for_one_more() {
    let outcomes = [
        Outcome::Accept,
        Outcome::Requeue,
        Outcome::Reject,
        Outcome::Delay(Some(50)),
        Outcome::Release,
    ];
    let mut bench = Bench::new(forever());
    bench.append(20);
    let slot = bench.read_from(7, StreamOffset::First, 2);
    let first = bench.readings();
    assert_eq!(first.iter().map(|read| read.1).collect::<Vec<_>>(), [0, 1]);
    let lease = first[0].2.unwrap();
    let extended = bench.queue.extend(lease, Some(5_000), bench.now);
    assert_eq!(
        (extended, bench.queue.next_deadline()),
        (Settled::Done, None)
    );
    for (outcome, next) in outcomes.into_iter().zip(2..) {
        assert!(bench.settle(lease, outcome), "{outcome:?}");
        assert_eq!(bench.offsets(), [next], "{outcome:?}");
    }
    assert_eq!(bench.counts(), (20, 0));
    assert_eq!(
        bench.history.len(),
        21,
        "20 entered, one time, nothing of readers"
    );
    bench.run(|queue, cx| queue.unsubscribe(slot, cx));
    assert!(
        bench.settle(lease, Outcome::Requeue),
        "too late does no harm"
    );
    assert!(bench.offsets().is_empty());
    assert_eq!(bench.queue.counts().consumers, 0);
}

#[test]
fn who_stands_at_one_message_gets_it_in_one_turn() {
    let mut bench = Bench::new(forever());
    bench.append(3000);
    let slots: Vec<_> = (1..=3)
        .map(|id| {
            bench.shut = id;
            bench.read_from(id as u64, StreamOffset::Offset(1500), 2)
        })
        .collect();
    assert!(bench.offsets().is_empty(), "no outlet has room");
    bench.shut = usize::MAX;
    let readings = |bench: &mut Bench| -> Vec<(u64, u64)> {
        let all = bench.readings();
        all.iter().map(|read| (read.0, read.1)).collect()
    };
    bench.run(|queue, cx| {
        for slot in slots {
            queue.resume_reader(slot.id());
        }
        queue.deliver_ready(cx);
    });
    let together = [
        (1, 1500),
        (2, 1500),
        (3, 1500),
        (1, 1501),
        (2, 1501),
        (3, 1501),
    ];
    assert_eq!(readings(&mut bench), together);
}

#[test]
fn a_full_outlet_stops_its_reader_only() {
    let mut bench = Bench::new(forever());
    bench.shut = 1;
    let slot = bench.read_from(1, StreamOffset::First, 10);
    bench.read_from(2, StreamOffset::First, 10);
    bench.append(3);
    assert_eq!(
        bench.readings().iter().filter(|read| read.0 == 2).count(),
        3
    );
    bench.shut = usize::MAX;
    bench.run(|queue, cx| queue.resume(slot, cx));
    assert_eq!(bench.offsets(), [0, 1, 2]);
}

#[test]
fn the_body_of_what_has_just_come_is_at_hand() {
    let mut bench = Bench::new(forever());
    bench.read_from(7, StreamOffset::Next, 1);
    bench.append(2);
    let Some(Effect::Read(reading)) = bench.effects.pop() else {
        panic!("the first is read at once");
    };
    assert!(matches!(reading.body, BodyRef::Staged { .. }));
    bench.settle(reading.lease.unwrap(), Outcome::Accept);
    let Some(Effect::Read(reading)) = bench.effects.pop() else {
        panic!("the second follows");
    };
    assert!(matches!(reading.body, BodyRef::Log(at) if at == FIRST_POSITION + 100));
}

#[test]
fn nothing_is_taken_out_of_a_stream() {
    let mut bench = Bench::new(forever());
    bench.append(3);
    assert!(bench.run(|queue, cx| queue.get(false, cx)).is_none());
    assert_eq!(bench.run(|queue, cx| queue.purge(u64::MAX, cx)), 0);
    let spot = Spot::Ready {
        priority: 0,
        seq: 1,
    };
    let borrowed = bench.run(|queue, cx| queue.borrow(spot, Some(FIRST_POSITION), cx));
    assert!(borrowed.is_none());
    assert_eq!(
        bench.queue.at(spot).unwrap().position(),
        Some(FIRST_POSITION)
    );
    bench.publish_with(true, 9, Some(10));
    bench.now += 60_000;
    bench.tick();
    assert_eq!(bench.counts(), (4, 0), "a time to live means nothing here");
    assert_eq!(bench.dissolve(), [1; 4]);
    assert_eq!((bench.released.len(), bench.memory), (4, 0));
}

/// Shows messages of which every fifth is one that is wanted.
struct Glass;

struct Shown(bool);

impl Lens for Glass {
    fn show(&self, _: &[u8], body: &BodyRef, look: &mut dyn FnMut(&dyn MessageView)) {
        let number = match body {
            BodyRef::Log(position) => (position - FIRST_POSITION) / 100,
            _ => return,
        };
        look(&Shown(number % 5 == 0));
    }
}

impl MessageView for Shown {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Owned(Arguments::new())
    }

    fn header(&self, name: &str) -> Option<Operand<'_>> {
        let known = name.starts_with("wanted") && self.0;
        known.then_some(Operand::Bool(true))
    }

    fn property(&self, _: Property) -> Option<Operand<'_>> {
        None
    }
}

impl Bench {
    fn looking<R>(&mut self, command: impl FnOnce(&mut Queue, &mut Context<'_>) -> R) -> R {
        self.run(|queue, cx| {
            let mut cx = Context {
                now: cx.now,
                staged: cx.staged,
                gate: cx.gate,
                lens: &Glass,
                effects: cx.effects,
                facts: cx.facts,
                released: cx.released,
                memory: cx.memory,
                copied: cx.copied,
            };
            command(queue, &mut cx)
        })
    }
}

#[test]
fn a_filter_is_asked_so_often_in_one_command_and_goes_on_in_the_next() {
    let mut bench = Bench::new(forever());
    bench.append(3000);
    bench.read_with(7, StreamOffset::First, 1000, Some("wanted IS NOT NULL"));
    assert!(
        bench.offsets().is_empty(),
        "nobody can look into a message here"
    );
    assert_eq!(bench.queue.next_deadline(), Some(0));
    let (mut found, mut ticks) = (Vec::new(), 0);
    while bench.queue.next_deadline().is_some() {
        bench.looking(|queue, cx| queue.tick(cx));
        found.extend(bench.offsets());
        ticks += 1;
    }
    assert_eq!(ticks, 2);
    let passed = 1024; // in the turn that could not look
    let expected: Vec<u64> = (passed..3000).filter(|offset| offset % 5 == 0).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_can_not_be_read_costs_no_credit() {
    let mut bench = Bench::new(forever());
    bench.append(3);
    bench.read_from(7, StreamOffset::First, 1);
    let (_, offset, lease) = bench.readings()[0];
    bench.queue.pass_over(lease);
    assert_eq!((offset, bench.queue.next_deadline()), (0, Some(0)));
    bench.tick();
    assert_eq!(
        (bench.offsets(), bench.queue.next_deadline()),
        (vec![1], None)
    );
}

#[test]
fn a_delayed_message_gets_its_offset_when_it_is_due() {
    let mut bench = Bench::new(forever());
    bench.append(2);
    let due = bench.now + 500;
    bench.publish_special(true, None, Some(due), None);
    bench.append(1);
    assert_eq!((bench.kept(), bench.queue.counts().delayed), (0..3, 1));
    bench.now += 500;
    bench.tick();
    bench.append(1);
    bench.read_from(7, StreamOffset::First, 10);
    assert_eq!(bench.offsets(), [0, 1, 2, 3, 4]);
    let positions = |queue: &Queue| {
        let mut all = Vec::new();
        queue.visit_ready(None, |entry| {
            all.push((
                entry.seq,
                (entry.position().unwrap() - FIRST_POSITION) / 100,
            ));
            true
        });
        all
    };
    let expected = [(1, 0), (2, 1), (3, 3), (4, 2), (5, 4)];
    assert_eq!(positions(&bench.queue), expected);
    assert_eq!(positions(&bench.recovered(false)), expected);
}

#[test]
fn a_stream_that_lost_facts_has_no_gap() {
    let entered = |position, expires_at| Entered {
        queue: QueueId(1),
        position,
        size: 10,
        priority: 7,
        expires_at,
        wakes_at: 0,
        key: 0,
    };
    let mut recovering = Recovering::new(QueueId(1), forever(), 0);
    for number in 0..5 {
        recovering.entered(&entered(FIRST_POSITION + number, number));
    }
    recovering.gone(FIRST_POSITION + 2);
    let mut bench = Bench::new(forever());
    bench.queue = recovering.finish(false, |_| ());
    bench.now = 1 << 40;
    bench.tick();
    assert_eq!(bench.kept(), 1..5);
    bench.read_from(7, StreamOffset::First, 10);
    assert_eq!(bench.offsets(), [1, 2, 3, 4]);
}

#[test]
fn bodies_move_under_readers() {
    let mut bench = Bench::new(forever());
    let count = 3 * HOT_ENTRIES_MAX as u64;
    bench.append(count);
    bench.read_from(7, StreamOffset::Offset(1), 1);
    let lease = bench.readings()[0].2.unwrap();
    let (from, to) = (1 << 32, 1 << 40);
    bench.run(|queue, cx| queue.evacuate(from, to, |old, _| Some(old + (1 << 40)), cx));
    assert_eq!(bench.released.len() as u64, count);
    bench.settle(lease, Outcome::Accept);
    let Some(Effect::Read(reading)) = bench.effects.pop() else {
        panic!("the next message");
    };
    let moved = FIRST_POSITION + 200 + (1 << 40);
    assert!(matches!(reading.body, BodyRef::Log(at) if at == moved));
    assert_eq!(bench.recovered(false).counts().ready, count);
}

#[test]
fn what_comes_after_lost_facts_is_not_taken_for_what_left() {
    let mut bench = Bench::new(forever());
    let left = Change::Stream(QueueId(1), StreamFact::Left(9));
    bench.append(3);
    bench.history.push(Fact::Changed(left));
    bench.queue = bench.recovered(false);
    assert_eq!(bench.kept(), 8..8);
    bench.append(1);
    bench.read_from(7, StreamOffset::First, 10);
    assert_eq!((bench.offsets(), bench.kept()), (vec![8], 8..9));
}

#[test]
fn places_that_no_message_can_have_had_are_not_where_messages_left() {
    let mut bench = Bench::new(forever());
    let left = |below| Fact::Changed(Change::Stream(QueueId(1), StreamFact::Left(below)));
    bench.append(3);
    bench
        .history
        .extend([left(2), left(u64::MAX), left((1 << 54) + 1)]);
    bench.queue = bench.recovered(false);
    assert_eq!(bench.kept(), 1..3);
}
