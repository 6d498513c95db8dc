//! The ready messages against a sorted map, over random operations from a seed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::super::super::entry::Body;
use super::super::*;

const SEEDS: u64 = 8;
const STEPS: u64 = 5_000;
const PRIORITIES: [u8; 4] = [0, 0, 3, 255];

type Place = (Reverse<u8>, u64);

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

#[derive(Default)]
struct World {
    ready: Levels,
    model: BTreeMap<Place, Entry>,
    out: Vec<Entry>,
    next_seq: u64,
    now: Millis,
}

fn place(entry: &Entry) -> Place {
    (Reverse(entry.priority), entry.seq)
}

/// All of an entry, to be compared.
fn show(entry: &Entry) -> impl PartialEq + std::fmt::Debug + use<> {
    let Entry {
        seq,
        expires_at,
        size,
        returns,
        priority,
        durable,
        ..
    } = *entry;
    let body = (entry.position(), entry.memory_bytes());
    (seq, body, expires_at, size, returns, priority, durable)
}

impl World {
    fn push(&mut self, rng: &mut Rng) {
        for _ in 0..rng.below(80) {
            let in_memory = self.next_seq % 8_000 < 800 && rng.below(4) == 0;
            let body = if in_memory {
                Body::Memory(Arc::from(&b"body"[..]))
            } else {
                Body::Log((1 << 32) + rng.below(1 << 30))
            };
            let ttl = [0, 0, 500, 1 + rng.below(2_000)][rng.below(4) as usize];
            let entry = Entry {
                seq: self.next_seq,
                body,
                expires_at: if ttl == 0 { 0 } else { self.now + ttl },
                size: rng.below(100) as u32,
                returns: 0,
                returned_by: 0,
                key: 0,
                priority: PRIORITIES[rng.below(4) as usize],
                redelivered: false,
                durable: !in_memory,
            };
            self.next_seq += 1 + rng.below(2);
            self.model.insert(place(&entry), entry.clone());
            self.ready.push_back(entry);
        }
    }

    fn pop(&mut self, count: u64) {
        for _ in 0..count {
            let front = self.ready.front().map(show);
            let popped = self.ready.pop_front();
            let expected = self.model.pop_first().map(|(_, entry)| entry);
            assert_eq!(popped.as_ref().map(show), expected.as_ref().map(show));
            assert_eq!(front, expected.as_ref().map(show));
            self.out.extend(popped);
        }
    }

    fn put_back(&mut self, rng: &mut Rng) {
        for _ in 0..rng.below(30).min(self.out.len() as u64) {
            let at = rng.below(self.out.len() as u64) as usize;
            let mut entry = self.out.swap_remove(at);
            entry.returns += 1;
            self.model.insert(place(&entry), entry.clone());
            self.ready.put_back(entry);
        }
    }

    /// Somebody takes much and gives most of it back.
    fn hoard(&mut self, rng: &mut Rng) {
        let before = self.out.len();
        self.pop(rng.below(8_000).min(self.model.len() as u64));
        let kept = 2 + rng.below(500);
        let mut held = self.out.split_off(before);
        if rng.below(3) == 0 {
            held.reverse();
        }
        for mut entry in held {
            if entry.seq.is_multiple_of(kept) {
                self.out.push(entry);
                continue;
            }
            entry.returns += 1;
            self.model.insert(place(&entry), entry.clone());
            self.ready.put_back(entry);
        }
    }

    fn take(&mut self, rng: &mut Rng) {
        let priority = PRIORITIES[rng.below(4) as usize];
        let from = (Reverse(priority), rng.below(self.next_seq + 1));
        let near = self.model.range(from..).next().map(|(place, _)| *place);
        for (priority, seq) in [(priority, from.1), near.map_or((1, 0), |p| (p.0.0, p.1))] {
            let expected = self.model.get(&(Reverse(priority), seq)).map(show);
            assert_eq!(self.ready.get(priority, seq).as_ref().map(show), expected);
            let taken = self.ready.take(priority, seq);
            assert_eq!(taken.as_ref().map(show), expected);
            if let Some(entry) = taken {
                self.model.remove(&place(&entry));
                self.out.push(entry);
            }
        }
    }

    fn expire(&mut self, rng: &mut Rng) {
        self.now += rng.below(80);
        let max = [1, 20, 1_000_000][rng.below(3) as usize];
        let mut expired = Vec::new();
        self.ready.take_expired(self.now, max, &mut expired);
        let due = self.model.values().filter(|entry| entry.expired(self.now));
        assert_eq!(expired.len(), due.count().min(max));
        assert!(expired.is_sorted_by(|a, b| a.seq < b.seq));
        for entry in expired {
            let expected = self.model.remove(&place(&entry));
            assert_eq!(Some(show(&entry)), expected.as_ref().map(show));
            assert!(entry.expired(self.now));
        }
        let more = self.model.values().any(|entry| entry.expired(self.now));
        let asks = self
            .ready
            .sums()
            .next_expiry()
            .is_some_and(|at| at <= self.now);
        assert_eq!(asks, more);
    }

    fn retain(&mut self, rng: &mut Rng) {
        let (divisor, base) = (2 + rng.below(50), 1 << 33);
        let expires_at = [0, self.now + rng.below(500) + 1][rng.below(2) as usize];
        let unpacked = rng.below(2) == 0;
        let change = |entry: &mut Entry| {
            if entry.seq.is_multiple_of(3) {
                (entry.body, entry.expires_at) = (Body::Log(base + entry.seq), expires_at);
            }
            !entry.seq.is_multiple_of(divisor)
        };
        if unpacked {
            // Only what is unpacked is seen; it must not matter to the rest.
            self.ready.retain(|_| false, |_| true);
            return;
        }
        self.ready.retain(|_| true, change);
        self.model.retain(|_, entry| change(entry));
    }

    fn check(&self, rng: &mut Rng) {
        let all = || self.model.values();
        assert_eq!(self.ready.count(), self.model.len() as u64);
        let bytes: u64 = all().map(|entry| u64::from(entry.size)).sum();
        assert_eq!(self.ready.sums().bytes, bytes);
        let expiries = || all().map(|entry| entry.expires_at).filter(|at| *at != 0);
        assert_eq!(self.ready.sums.expiring, expiries().count() as u64);
        match (self.ready.sums().next_expiry(), expiries().min()) {
            (Some(bound), Some(earliest)) => assert!(bound <= earliest),
            (bound, earliest) => assert_eq!((bound, earliest), (None, None)),
        }
        assert!(self.ready.upper.iter().all(|(_, level)| !level.is_empty()));
        let after = match rng.below(3) {
            0 => None,
            _ => Some((
                PRIORITIES[rng.below(4) as usize],
                rng.below(self.next_seq + 1),
            )),
        };
        let mut expected = all().filter(|entry| {
            after.is_none_or(|(priority, seq)| place(entry) > (Reverse(priority), seq))
        });
        self.ready.visit_after(after, |entry| {
            assert_eq!(expected.next().map(show), Some(show(entry)));
            true
        });
        assert!(expected.next().is_none());
        let mut durable = Vec::new();
        self.ready
            .durable_pages(|page| durable.extend(page.entries()));
        durable.extend(self.ready.returned().filter(|e| e.durable).cloned());
        durable.sort_by_key(place);
        let expected = all().filter(|entry| entry.durable);
        assert!(durable.iter().map(show).eq(expected.map(show)));
    }
}

#[test]
fn ready_messages_behave_like_a_sorted_map() {
    for seed in 1..=SEEDS {
        println!("seed {seed}");
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut world = World {
            next_seq: 1,
            now: 1_000,
            ..World::default()
        };
        for step in 0..STEPS {
            // Grows to several pages, then shrinks, four times.
            let growing = step % (STEPS / 4) < STEPS / 8;
            match rng.below(100) {
                0..10 => world.push(&mut rng),
                10..40 if growing => world.push(&mut rng),
                10..60 => world.pop(if growing { 5 } else { 40 }),
                60..75 => world.put_back(&mut rng),
                75..88 => world.take(&mut rng),
                88..98 => world.expire(&mut rng),
                98 if rng.below(4) == 0 => world.hoard(&mut rng),
                98 => world.check(&mut rng),
                _ if rng.below(10) == 0 => world.retain(&mut rng),
                _ => world.out.clear(),
            }
        }
        world.check(&mut rng);
        world.pop(world.model.len() as u64 + 1);
        assert_eq!((world.ready.count(), world.ready.sums().bytes), (0, 0));
        assert_eq!(world.ready.sums().next_expiry(), None);
    }
}
