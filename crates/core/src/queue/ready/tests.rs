//! The parts of a queue with shards against a sorted map, over random operations from a seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::entry::Body;
use super::*;

const SEEDS: u64 = 12;
const STEPS: u64 = 2_000;
const SHARDS: u16 = 5;

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

struct World {
    ready: Ready,
    model: BTreeMap<Place, Entry>,
    out: Vec<Entry>,
    next_seq: u64,
    now: Millis,
}

fn show(entry: &Entry) -> (u64, u8, u32, u32, Millis) {
    let Entry {
        seq,
        priority,
        key,
        size,
        expires_at,
        ..
    } = *entry;
    (seq, priority, key, size, expires_at)
}

impl World {
    fn push(&mut self, rng: &mut Rng) {
        for _ in 0..rng.below(60) {
            let body = match rng.below(50) {
                0 => Body::Memory(Arc::from(&b"body"[..])),
                _ => Body::Log((1 << 32) + rng.below(1 << 30)),
            };
            let ttl = [0, 0, 1 + rng.below(2_000)][rng.below(3) as usize];
            let entry = Entry {
                body,
                expires_at: if ttl == 0 { 0 } else { self.now + ttl },
                size: rng.below(100) as u32,
                key: rng.below(12) as u32,
                priority: [0, 0, 3][rng.below(3) as usize],
                ..Entry::plain(self.next_seq, 0)
            };
            self.next_seq += 1;
            self.model.insert(place(&entry), entry.clone());
            self.ready.push_back(entry);
        }
    }

    fn pop(&mut self, count: u64) {
        for _ in 0..count {
            let front = self.ready.front().map(show);
            let popped = self.ready.pop_front();
            let expected = self.model.pop_first().map(|(_, entry)| entry);
            assert_eq!(front, expected.as_ref().map(show));
            assert_eq!(popped.as_ref().map(show), expected.as_ref().map(show));
            self.out.extend(popped);
        }
    }

    fn put_back(&mut self, rng: &mut Rng) {
        for _ in 0..rng.below(30).min(self.out.len() as u64) {
            let at = rng.below(self.out.len() as u64) as usize;
            let entry = self.out.swap_remove(at);
            self.model.insert(place(&entry), entry.clone());
            self.ready.put_back(entry);
        }
    }

    fn take(&mut self, rng: &mut Rng) {
        let from = (
            Reverse(3 * rng.below(2) as u8),
            rng.below(self.next_seq + 1),
        );
        let Some((&place, _)) = self.model.range(from..).next() else {
            return;
        };
        let (Reverse(priority), seq) = place;
        let expected = self.model.remove(&place).unwrap();
        assert_eq!(
            self.ready.get(priority, seq).as_ref().map(show),
            Some(show(&expected))
        );
        self.out.extend(self.ready.take(priority, seq));
        assert!(self.ready.get(priority, seq).is_none());
        assert!(self.ready.take(priority, seq).is_none());
    }

    fn expire(&mut self, rng: &mut Rng) {
        self.now += rng.below(120);
        let max = [1, 20, 1_000_000][rng.below(3) as usize];
        let mut expired = Vec::new();
        self.ready.take_expired(self.now, max, &mut expired);
        let due = self.model.values().filter(|entry| entry.expired(self.now));
        assert_eq!(expired.len(), due.count().min(max));
        assert!(expired.is_sorted_by(|a, b| a.seq < b.seq));
        for entry in expired {
            let expected = self.model.remove(&place(&entry));
            assert_eq!(Some(show(&entry)), expected.as_ref().map(show));
        }
    }

    /// Moves stores and next messages about, which changes nothing that is seen from outside.
    fn rearrange(&mut self, rng: &mut Rng) {
        let parts = self.ready.parts().unwrap();
        for _ in 0..rng.below(40) {
            let shard = rng.below(u64::from(SHARDS)) as u16;
            let from = [Source::Shard(shard), Source::Unwanted(shard)][rng.below(2) as usize];
            let key = parts.front(from).map_or(0, |entry| entry.key);
            let pile = Pile::of(rng.below(3) as u32);
            match rng.below(5) {
                0 | 1 if key != 0 => parts.pass(from, Source::Key(key)),
                2 => parts.pass(Source::Shard(shard), Source::Unwanted(shard)),
                3 => parts.move_shard(shard, pile),
                _ => parts.move_key(rng.below(12) as u32, pile),
            }
        }
    }

    fn check(&mut self, rng: &mut Rng) {
        let all = || self.model.values();
        assert_eq!(self.ready.count(), self.model.len() as u64);
        assert_eq!(
            self.ready.bytes(),
            all().map(|entry| u64::from(entry.size)).sum::<u64>()
        );
        let expiries = all().map(|entry| entry.expires_at).filter(|at| *at != 0);
        match (self.ready.next_expiry(), expiries.min()) {
            (Some(bound), Some(earliest)) => assert!(bound <= earliest),
            (bound, earliest) => assert_eq!((bound, earliest), (None, None)),
        }
        let after = (3 * rng.below(2) as u8, rng.below(self.next_seq + 1));
        let after = (rng.below(3) > 0).then_some(after);
        let behind = |entry: &&Entry| {
            after.is_none_or(|(priority, seq)| place(entry) > (Reverse(priority), seq))
        };
        let mut expected = all().filter(behind);
        self.ready.visit_after(after, |entry| {
            assert_eq!(expected.next().map(show), Some(show(entry)));
            true
        });
        assert!(expected.next().is_none());
        // Every store stands in its pile under the place of its next message.
        let parts = self.ready.parts().unwrap();
        let standing: u64 = parts
            .places()
            .map(|(first, filed)| {
                assert_eq!(first, filed);
                u64::from(filed.is_some())
            })
            .sum();
        assert_eq!(standing, parts.piled());
    }
}

#[test]
fn parts_behave_like_one_sorted_map() {
    for seed in 1..=SEEDS {
        println!("seed {seed}");
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut world = World {
            ready: Ready::Sharded(Box::new(Parts::new(SHARDS))),
            model: BTreeMap::new(),
            out: Vec::new(),
            next_seq: 1,
            now: 1_000,
        };
        for step in 0..STEPS {
            let growing = step % (STEPS / 2) < STEPS / 4;
            match rng.below(100) {
                0..15 => world.push(&mut rng),
                15..40 if growing => world.push(&mut rng),
                15..55 => world.pop(if growing { 5 } else { 40 }),
                55..65 => world.put_back(&mut rng),
                65..75 => world.take(&mut rng),
                75..90 => world.rearrange(&mut rng),
                90..97 => world.expire(&mut rng),
                97 | 98 => world.check(&mut rng),
                _ => world.out.clear(),
            }
        }
        world.check(&mut rng);
        let mut all = world.ready.take_all();
        let mut left = world.model.values();
        all.drain(|entry| assert_eq!(Some(show(&entry)), left.next().map(show)));
        assert_eq!((left.next().map(show), world.ready.count()), (None, 0));
    }
}

#[test]
fn two_messages_of_one_place_are_refused() {
    let mut stores = [Levels::default(), Levels::default()];
    for (store, seqs) in stores.iter_mut().zip([[1, 4], [2, 4]]) {
        for seq in seqs {
            store.push_back(Entry::plain(seq, seq));
        }
    }
    assert!(merge(stores.into()).is_err());
}
