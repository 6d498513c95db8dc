//! The schedule against a plain ordered map, its image, and what it costs.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::entry::Body;
use super::*;

const ENTRY_BYTES_MAX: usize = 40;

/// Everything, in order.
fn drain(schedule: &mut Schedule) -> impl Iterator<Item = (Millis, Entry)> {
    std::iter::from_fn(|| schedule.pop_due(Millis::MAX))
}

/// Numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn entry(&mut self, seq: u64) -> Entry {
        let position = (1 << 32) + self.roll(1 << 34);
        let in_memory = self.roll(8) == 0;
        Entry {
            seq,
            body: if in_memory {
                Body::Memory(Arc::from(&b"body"[..]))
            } else {
                Body::Log(position)
            },
            expires_at: [0, u64::MAX - self.roll(1000)][self.roll(2) as usize],
            size: self.roll(1 << 32) as u32,
            returns: [0, self.roll(1 << 32) as u32][self.roll(2) as usize],
            returned_by: 0,
            key: 0,
            priority: [0, self.roll(256) as u8][self.roll(2) as usize],
            redelivered: self.roll(2) == 0,
            durable: !in_memory && self.roll(4) != 0,
        }
    }

    fn at(&mut self) -> Millis {
        match self.roll(8) {
            0 => 1000,
            1 => u64::MAX - self.roll(3),
            2 => self.roll(3),
            _ => 1_700_000_000_000 + self.roll(1 << 40),
        }
    }
}

/// The schedule and what it should be.
#[derive(Default)]
struct Pair {
    schedule: Schedule,
    model: BTreeMap<Key, Entry>,
    next_seq: u64,
}

/// All that must survive.
type Seen = (u64, Option<Position>, Millis, u32, u32, u8, bool, bool);

fn look(entry: &Entry) -> Seen {
    (
        entry.seq,
        entry.position(),
        entry.expires_at,
        entry.size,
        entry.returns,
        entry.priority,
        entry.redelivered,
        entry.durable,
    )
}

fn image(schedule: &Schedule) -> Vec<u8> {
    let mut out = Vec::new();
    schedule.write(&mut out);
    out
}

fn read(image: &[u8]) -> Result<Schedule, Truncated> {
    let mut cursor = Cursor::new(image);
    let schedule = Schedule::read(&mut cursor, |_, _| true)?;
    if cursor.is_empty() {
        Ok(schedule)
    } else {
        Err(Truncated)
    }
}

fn seen(schedule: &Schedule, after: Option<Key>) -> Vec<(Millis, Seen)> {
    let mut seen = Vec::new();
    schedule.visit(after, |at, entry| {
        seen.push((at, look(entry)));
        true
    });
    seen
}

impl Pair {
    fn insert(&mut self, dice: &mut Dice, count: u64) {
        for _ in 0..count {
            self.next_seq += 1;
            let (at, entry) = (dice.at(), dice.entry(self.next_seq));
            self.schedule.insert(at, entry.clone());
            self.model.insert((at, entry.seq), entry);
        }
    }

    fn pop(&mut self, count: u64, now: Millis) {
        for _ in 0..count {
            let due = self
                .model
                .first_entry()
                .filter(|first| first.key().0 <= now);
            let expected = due.map(|first| first.remove_entry());
            let expected = expected.map(|((at, _), entry)| (at, look(&entry)));
            let popped = self.schedule.pop_due(now);
            assert_eq!(popped.map(|(at, entry)| (at, look(&entry))), expected);
            assert_eq!(
                self.schedule.next_at(),
                self.model.keys().next().map(|key| key.0)
            );
        }
    }

    /// A key that is there, or was, or never was.
    fn any_key(&self, dice: &mut Dice) -> Key {
        let from = (dice.at(), dice.roll(self.next_seq + 1));
        let there = self.model.range(from..).next().map(|(key, _)| *key);
        there.filter(|_| dice.roll(8) != 0).unwrap_or(from)
    }

    fn take(&mut self, dice: &mut Dice, count: u64) {
        for _ in 0..count {
            let key = self.any_key(dice);
            let expected = self.model.remove(&key).map(|entry| look(&entry));
            let got = self.schedule.get(key.0, key.1).map(|entry| look(&entry));
            assert_eq!(got, expected);
            let taken = self.schedule.take(key.0, key.1).map(|entry| look(&entry));
            assert_eq!(taken, expected);
            assert!(self.schedule.take(key.0, key.1).is_none());
        }
    }

    /// Moves bodies within some positions, and drops some of those.
    fn retain(&mut self, dice: &mut Dice) {
        let start = (1 << 32) + dice.roll(1 << 34);
        let range = start..=start + dice.roll(1 << 32);
        let inside = |at: &Position| range.contains(at);
        let change = |entry: &mut Entry| {
            if entry.position().is_some_and(|at| inside(&at)) {
                entry.body = Body::Log(entry.seq * 100);
                entry.returns += 1;
                return !entry.seq.is_multiple_of(4);
            }
            true
        };
        let touched = |bodies: RangeInclusive<Position>| {
            bodies.start() <= range.end() && bodies.end() >= range.start()
        };
        self.schedule.retain(touched, |_, entry| change(entry));
        self.model.retain(|_, entry| change(entry));
    }

    /// Gives bodies in memory a position, until the store declines.
    fn spill(&mut self, limit: u64) {
        let left = Cell::new(limit);
        let mut spilled = BTreeMap::new();
        let store = |_, entry: &mut Entry| {
            if entry.position().is_none() && left.get() > 0 {
                left.set(left.get() - 1);
                entry.body = Body::Log(7 + entry.seq);
                spilled.insert(entry.seq, 7 + entry.seq);
            }
            true
        };
        self.schedule.retain(|_| false, store);
        for entry in self.model.values_mut() {
            if let Some(position) = spilled.get(&entry.seq) {
                entry.body = Body::Log(*position);
            }
        }
    }

    /// Forgets what a restart forgets.
    fn restart(&mut self) {
        self.schedule = read(&image(&self.schedule)).unwrap();
        self.model.retain(|_, entry| entry.durable);
    }

    fn check(&self, dice: &mut Dice) {
        let schedule = &self.schedule;
        assert_eq!(schedule.count(), self.model.len() as u64);
        let bytes: u64 = self.model.values().map(|entry| u64::from(entry.size)).sum();
        assert_eq!(schedule.bytes(), bytes);
        for after in [None, Some(self.any_key(dice))] {
            let later = self.model.iter().filter(|(key, _)| Some(**key) > after);
            let later: Vec<_> = later.map(|(key, entry)| (key.0, look(entry))).collect();
            assert_eq!(seen(schedule, after), later);
        }
        assert_eq!(schedule.head.is_empty(), schedule.count() == 0);
        let mut bounds = schedule.chunks.keys().skip(1).copied();
        let mut last = schedule.head.keys().next_back().copied();
        for (bound, chunk) in &schedule.chunks {
            let entries = chunk.entries();
            assert!(!entries.is_empty() && entries.len() <= PAGE_ENTRIES);
            assert!(last < Some(*bound) && *bound <= key(&entries[0]));
            last = entries.last().map(key);
            assert!(bounds.next().is_none_or(|next| last < Some(next)));
        }
    }
}

#[test]
fn it_does_what_an_ordered_map_does() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut pair = Pair::default();
        for _ in 0..25 {
            match dice.roll(8) {
                0..=2 => {
                    let count = dice.roll(1500);
                    pair.insert(&mut dice, count);
                }
                3 => {
                    let now = dice.at();
                    pair.pop(dice.roll(800), now);
                }
                4 => {
                    let count = dice.roll(200);
                    pair.take(&mut dice, count);
                }
                5 => pair.retain(&mut dice),
                6 => pair.spill(dice.roll(400)),
                _ => pair.restart(),
            }
            pair.check(&mut dice);
        }
        let rest = drain(&mut pair.schedule);
        let drained: Vec<_> = rest.map(|(at, entry)| (at, look(&entry))).collect();
        let all = pair.model.iter().map(|(key, entry)| (key.0, look(entry)));
        assert_eq!(drained, all.collect::<Vec<_>>());
        assert_eq!(pair.schedule.memory_bytes(), 0);
    }
}

#[test]
fn nothing_is_due_before_its_time() {
    let mut schedule = Schedule::default();
    for (at, seq) in [(2000, 1), (1000, 2), (u64::MAX, 3), (0, 4)] {
        schedule.insert(at, Entry::plain(seq, seq));
    }
    for (now, expected) in [
        (0, Some((0, 4))),
        (999, None),
        (1000, Some((1000, 2))),
        (1999, None),
        (5000, Some((2000, 1))),
        (u64::MAX - 1, None),
        (u64::MAX, Some((u64::MAX, 3))),
        (u64::MAX, None),
    ] {
        let popped = schedule.pop_due(now).map(|timed| key(&timed));
        assert_eq!(popped, expected, "at {now}");
    }
    assert_eq!(schedule.next_at(), None);
}

#[test]
fn messages_of_one_time_leave_in_order_of_arrival() {
    let mut schedule = Schedule::default();
    let mut dice = Dice(1);
    let mut seqs: Vec<u64> = (0..5_000).collect();
    for i in (1..seqs.len()).rev() {
        seqs.swap(i, dice.roll(i as u64 + 1) as usize);
    }
    for seq in seqs {
        schedule.insert(1000, Entry::plain(seq, 100 * seq));
    }
    let left: Vec<_> = drain(&mut schedule).map(|(_, entry)| entry.seq).collect();
    assert_eq!(left, (0..5_000).collect::<Vec<_>>());
}

#[test]
fn a_waiting_message_costs_few_bytes_whatever_the_order_of_times() {
    const COUNT: u64 = 200_000;
    let mut dice = Dice(7);
    let mut random = || 1_700_000_000_000 + dice.roll(86_400_000);
    type At<'a> = &'a mut dyn FnMut(u64) -> Millis;
    let orders: [(&str, At<'_>); 4] = [
        ("random", &mut |_| random()),
        ("rising", &mut |i| 1_700_000_000_000 + i),
        ("falling", &mut |i| 1_700_000_000_000 - i),
        ("equal", &mut |_| 1_700_000_000_000),
    ];
    for (name, at) in orders {
        let mut schedule = Schedule::default();
        for seq in 0..COUNT {
            schedule.insert(at(seq), Entry::plain(seq, (1 << 32) + seq * 210));
        }
        let each = schedule.memory_bytes() / COUNT as usize;
        assert!(each <= ENTRY_BYTES_MAX / 2, "{name}: {each} bytes");
        while schedule.count() > COUNT / 100 {
            schedule.pop_due(u64::MAX);
        }
        let each = schedule.memory_bytes() / schedule.count() as usize;
        assert!(
            each <= 2 * ENTRY_BYTES_MAX,
            "{name}: {each} bytes of the last"
        );
    }
}

#[test]
fn cancelling_most_of_them_gives_their_memory_back() {
    const COUNT: u64 = 20_000;
    let mut dice = Dice(3);
    let mut schedule = Schedule::default();
    let mut keys = Vec::new();
    for seq in 0..COUNT {
        keys.push((dice.roll(1 << 30), seq));
        schedule.insert(
            keys[seq as usize].0,
            Entry::plain(seq, (1 << 32) + seq * 210),
        );
    }
    for (at, seq) in keys.iter().filter(|(_, seq)| seq % 50 != 0) {
        assert!(schedule.take(*at, *seq).is_some());
    }
    assert_eq!(schedule.count(), COUNT / 50);
    let packed = schedule.memory_bytes() - schedule.head.len() * size_of::<Timed>() * 3 / 2;
    assert!(packed <= schedule.count() as usize * ENTRY_BYTES_MAX);
}

#[test]
fn runs_that_no_moved_body_is_in_stay_unseen() {
    let mut schedule = Schedule::default();
    for seq in 0..5_000 {
        // Every run spans all positions; only one entry is where something moves.
        let position = if seq == 3_000 {
            555
        } else {
            1 + (seq % 2) * 1_000_000
        };
        schedule.insert(seq, Entry::plain(seq, position));
    }
    let mut unpacked = 0;
    schedule.retain(
        |_| false,
        |_, _| {
            unpacked += 1;
            true
        },
    );
    let mut visited = 0;
    schedule.retain(
        |bodies| *bodies.start() <= 555 && *bodies.end() >= 555,
        |_, entry| {
            visited += 1;
            entry.seq != 3_000
        },
    );
    assert!(visited <= unpacked + PAGE_ENTRIES);
    assert_eq!(schedule.count(), 4_999);
    assert!(schedule.get(3_000, 3_000).is_none());
}

#[test]
fn every_cut_of_an_image_is_an_error() {
    let mut dice = Dice(11);
    let mut pair = Pair::default();
    pair.insert(&mut dice, 700);
    let image = image(&pair.schedule);
    assert!(read(&image).is_ok());
    for len in 0..image.len() {
        assert!(read(&image[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn a_damaged_image_gives_an_error_or_a_schedule_that_holds_together() {
    let mut dice = Dice(13);
    let mut pair = Pair::default();
    pair.insert(&mut dice, 1_000);
    let good = image(&pair.schedule);
    let mut accepted = 0;
    for _ in 0..1_000 {
        let mut bad = good.clone();
        for _ in 0..=dice.roll(3) {
            let at = dice.roll(bad.len() as u64) as usize;
            bad[at] = dice.roll(256) as u8;
        }
        let Ok(mut schedule) = read(&bad) else {
            continue;
        };
        accepted += 1;
        let (count, mut last, mut drained) = (schedule.count(), None, 0);
        for (at, entry) in drain(&mut schedule) {
            assert!(last < Some((at, entry.seq)));
            last = Some((at, entry.seq));
            drained += 1;
        }
        assert_eq!((drained, schedule.bytes()), (count, 0));
    }
    assert!(accepted > 0, "some damage is not to be seen");
}

#[test]
fn announced_numbers_are_no_allocation_sizes() {
    for numbers in [
        &[u64::MAX][..],
        &[1, u64::MAX],
        &[1, 512, u64::MAX],
        &[1, 512, 1 << 40, 0, 0],
    ] {
        let mut image = Vec::new();
        numbers
            .iter()
            .for_each(|number| put_varint(&mut image, *number));
        assert!(read(&image).is_err(), "{numbers:?}");
    }
}

#[test]
fn an_entry_that_the_reader_declines_is_damage() {
    let mut schedule = Schedule::default();
    (0..10).for_each(|seq| schedule.insert(5, Entry::plain(seq, 1)));
    let image = image(&schedule);
    for (next_seq, fine) in [(10, true), (9, false)] {
        let result = Schedule::read(&mut Cursor::new(&image), |_, entry| entry.seq < next_seq);
        assert_eq!(result.is_ok(), fine, "next seq {next_seq}");
    }
}
