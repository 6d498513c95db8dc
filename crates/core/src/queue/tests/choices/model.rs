//! Choosy consumers under random commands: nobody idles, nobody gets what it does not want, and
//! nothing is lost.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SEEDS: u64 = 30;
const STEPS: usize = 500;
const ALIVE_MAX: usize = 50;
const FILTERS: [&str; 5] = [
    "",
    "color = 1",
    "color = 2 AND size > 1",
    "size < 2",
    "color <> size",
];

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len().max(1) as u64) as usize).copied()
    }
}

#[derive(Clone, Copy)]
struct Taker {
    id: u64,
    slot: ConsumerSlot,
    prefetch: usize,
    filter: usize,
}

struct World {
    bench: Bench,
    rng: Rng,
    filters: Vec<Option<Filter>>,
    /// Ready messages, by number.
    ready: BTreeSet<u64>,
    out: BTreeMap<u64, (u64, LeaseId)>,
    takers: Vec<Taker>,
    next_id: u64,
}

impl World {
    fn wants(&self, filter: usize, number: u64) -> bool {
        let filter = self.filters[filter].as_ref();
        filter.is_none_or(|filter| filter.matches(&self.bench.messages[number as usize]))
    }

    fn notice(&mut self) {
        // In a queue with a rate a pause lasts for some commands.
        let until = match self.rng.below(4) {
            0 => u64::MAX,
            _ => self.bench.now,
        };
        while let Some(at) = self.bench.queue.next_deadline().filter(|at| *at <= until) {
            self.take();
            self.bench.now = self.bench.now.max(at);
            self.bench.run(|queue, cx| queue.tick(cx));
        }
        self.take();
        if self.bench.queue.next_deadline().is_some() {
            return;
        }
        for number in &self.ready {
            for taker in &self.takers {
                let held = self.out.values().filter(|(id, _)| *id == taker.id).count();
                let willing = held < taker.prefetch && self.bench.shut as u64 != taker.id;
                let idle = willing && self.wants(taker.filter, *number);
                assert!(!idle, "{number} is left, {} is idle", taker.id);
            }
        }
        let counts = (self.ready.len() as u64, self.out.len() as u64);
        assert_eq!(self.bench.counts(), counts);
    }

    fn take(&mut self) {
        for (id, number, lease) in self.bench.taken() {
            let taker = self.takers.iter().find(|taker| taker.id == id);
            let filter = taker.expect("who has gone gets nothing").filter;
            assert!(self.wants(filter, number), "{id} does not want {number}");
            assert!(self.ready.remove(&number), "{number} was not ready");
            self.out.insert(number, (id, lease));
        }
    }

    fn come(&mut self) {
        let filter = self.rng.below(FILTERS.len() as u64) as usize;
        let choice = Choice {
            filter: self.filters[filter].clone(),
            ..Choice::default()
        };
        let (id, prefetch) = (self.next_id, 1 + self.rng.below(4) as u32);
        self.next_id += 1;
        let slot = self
            .bench
            .queue
            .subscribe(subscription(id, prefetch), choice, 0);
        self.takers.push(Taker {
            id,
            slot: slot.unwrap(),
            prefetch: prefetch as usize,
            filter,
        });
        self.bench.run(|queue, cx| queue.deliver_ready(cx));
    }

    fn settle(&mut self) {
        let out: Vec<(u64, LeaseId)> = self.out.iter().map(|(n, (_, l))| (*n, *l)).collect();
        let Some((number, lease)) = self.rng.pick(&out) else {
            return;
        };
        self.out.remove(&number);
        let outcome = match self.rng.below(3) {
            0 => Outcome::Requeue,
            _ => Outcome::Accept,
        };
        if outcome == Outcome::Requeue {
            self.ready.insert(number);
        }
        self.bench.settle(lease, outcome);
    }

    fn step(&mut self) {
        match self.rng.below(20) {
            0..7 if self.ready.len() < ALIVE_MAX => {
                let (color, size) = (self.rng.below(4) as i64, self.rng.below(4) as i64);
                let headers = [("color", Value::I64(color)), ("size", Value::I64(size))];
                self.ready.insert(self.bench.published + 1);
                self.bench.publish_headers(true, &headers);
            }
            7 if self.takers.len() < 6 => self.come(),
            8 => {
                if let Some(taker) = self.rng.pick(&self.takers) {
                    self.takers.retain(|other| other.id != taker.id);
                    self.bench
                        .run(|queue, cx| queue.unsubscribe(taker.slot, cx));
                }
            }
            9 => {
                let next = self.rng.pick(&self.takers).map_or(0, |taker| taker.id);
                let before = std::mem::replace(&mut self.bench.shut, next as usize) as u64;
                let slot = self.takers.iter().find(|taker| taker.id == before);
                if let Some(slot) = slot.map(|taker| taker.slot) {
                    self.bench.run(|queue, cx| queue.resume(slot, cx));
                }
            }
            10 => {
                let out = self.bench.run(|queue, cx| queue.get(false, cx));
                if let Some(out) = out {
                    let number = number_of(&self.bench.staged, &out.body);
                    assert_eq!(self.ready.pop_first(), Some(number));
                    self.out.insert(number, (0, out.lease.unwrap()));
                }
            }
            _ => self.settle(),
        }
        self.notice();
    }
}

#[test]
fn everybody_gets_what_it_wants_whatever_happens() {
    let compile = |text: &&str| Filter::compile(text).unwrap();
    for seed in 1..=SEEDS {
        println!("seed {seed}");
        let mut world = World {
            bench: Bench::new(Options {
                deliver_rate: Rate {
                    messages: seed.is_multiple_of(3).then_some(20),
                    bytes: None,
                },
                ..Options::default()
            }),
            rng: Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            filters: FILTERS.iter().map(compile).collect(),
            ready: BTreeSet::new(),
            out: BTreeMap::new(),
            takers: Vec::new(),
            next_id: 1,
        };
        (0..STEPS).for_each(|_| world.step());
    }
}
