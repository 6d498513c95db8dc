//! Shards under random commands: order per key, one holder for each, nothing lost, nobody idle.

mod commands;

use std::collections::{BTreeMap, BTreeSet};

use super::super::choices::wanting;
use super::*;

const SEEDS: u64 = 40;
const STEPS: usize = 600;
const KEYS: u64 = 7;
const ALIVE_MAX: u64 = 40;

/// The number of the message at a position.
fn number_at(position: u64) -> u64 {
    (position - (1 << 32)) / 100
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(of.len().max(1) as u64) as usize;
        of.get(at).cloned()
    }
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// With a consumer, or with somebody who asked for one or the operator: 0.
    Out(u64, LeaseId),
    Waiting,
}

#[derive(Debug, Clone, Copy)]
struct Message {
    /// 0 for none.
    key: u64,
    priority: u8,
    size: i64,
    state: State,
}

#[derive(Debug, Clone, Copy)]
struct Taker {
    id: u64,
    slot: ConsumerSlot,
    no_ack: bool,
    prefetch: u32,
    /// It wants messages of at least this size.
    size_min: i64,
}

struct World {
    bench: Bench,
    rng: Rng,
    /// By number, which is the order of arrival.
    alive: BTreeMap<u64, Message>,
    /// Keys that something came back of while something was out.
    paused: BTreeSet<u64>,
    takers: Vec<Taker>,
    /// What each consumer has not settled, lost leases included.
    unsettled: BTreeMap<u64, u32>,
    lost: Vec<(u64, LeaseId)>,
    expired: BTreeSet<u64>,
    /// What the operator has.
    borrowed: Option<LeaseId>,
    next_id: u64,
    keyed: bool,
    retry_ms: u64,
}

fn options(seed: u64, count: Option<u16>, retry_ms: u64) -> Options {
    Options {
        shards: count.map(|count| Shards {
            count,
            key_header: None,
        }),
        max_priority: 2 * u8::from(seed.is_multiple_of(3)),
        single_active_consumer: seed.is_multiple_of(7),
        max_length: seed.is_multiple_of(5).then_some(30),
        delivery_limit: seed.is_multiple_of(3).then_some(3),
        lease_timeout_ms: (seed % 4 == 1).then_some(700),
        retry: Retry {
            delay_ms: retry_ms,
            factor_milli: 1500,
            ..Retry::default()
        },
        deliver_rate: Rate {
            messages: (seed % 6 == 2).then_some(50),
            bytes: None,
        },
        ..Options::default()
    }
}

impl World {
    fn new(seed: u64) -> World {
        let retry_ms = 300 * (seed % 2);
        let count = [2, 3, 16, 64][seed as usize % 4];
        World {
            bench: Bench::new(options(seed, Some(count), retry_ms)),
            rng: Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            alive: BTreeMap::new(),
            paused: BTreeSet::new(),
            takers: Vec::new(),
            unsettled: BTreeMap::new(),
            lost: Vec::new(),
            expired: BTreeSet::new(),
            borrowed: None,
            next_id: 1,
            keyed: true,
            retry_ms,
        }
    }

    /// Takes notice of what came out of the last command.
    fn notice(&mut self) {
        self.note_expired();
        let deliveries = self.bench.deliveries();
        let number = |out: &Outgoing| number_of(&self.bench.staged, &out.body);
        let deliveries: Vec<(u64, u64, Option<LeaseId>)> = deliveries
            .iter()
            .map(|(id, out)| (*id, number(out), out.lease))
            .collect();
        let settled = |(_, number, lease): &(_, u64, Option<_>)| lease.is_none().then_some(*number);
        let settled: BTreeSet<u64> = deliveries.iter().filter_map(settled).collect();
        for mark in self.bench.released.drain(..) {
            let number = number_at(mark.position);
            if !settled.contains(&number) {
                self.alive.remove(&number);
            }
        }
        for (id, number, lease) in deliveries {
            self.is_in_order(id, number);
            match lease {
                None => drop(self.alive.remove(&number)),
                Some(lease) => {
                    self.alive.get_mut(&number).unwrap().state = State::Out(id, lease);
                    *self.unsettled.entry(id).or_default() += 1;
                }
            }
        }
        self.nobody_is_idle();
        let count = |wanted: fn(&State) -> bool| {
            let states = self.alive.values().map(|message| message.state);
            states.filter(wanted).count() as u64
        };
        let counts = self.bench.queue.counts();
        assert_eq!(counts.ready, count(|state| *state == State::Ready));
        assert_eq!(counts.delayed, count(|state| *state == State::Waiting));
        assert_eq!(
            counts.unsettled,
            count(|state| matches!(state, State::Out(..)))
        );
    }

    fn of_key(&self, key: u64) -> impl Iterator<Item = (&u64, &Message)> {
        self.alive
            .iter()
            .filter(move |(_, message)| message.key == key)
    }

    /// A message may be handed to `id` now: nothing before it is left, nobody else has its key.
    fn is_in_order(&self, id: u64, number: u64) {
        let message = self.alive[&number];
        assert_eq!(message.state, State::Ready, "{number} is in one place");
        if !self.keyed || message.key == 0 {
            return;
        }
        assert!(
            !self.paused.contains(&message.key),
            "{number}: its key is paused"
        );
        let taker = self.takers.iter().find(|taker| taker.id == id);
        let size_min = taker.map_or(0, |taker| taker.size_min);
        for (other, known) in self.of_key(message.key) {
            match known.state {
                State::Out(holder, _) => assert_eq!(holder, id, "{other} is out, {number} came"),
                State::Waiting => panic!("{other} waits, {number} came"),
                State::Ready if known.size < size_min || self.expired.contains(other) => {}
                State::Ready if known.priority == message.priority => {
                    assert!(*other >= number, "{other} was before {number}");
                }
                State::Ready => {}
            }
        }
    }

    fn willing(&self, taker: &Taker) -> bool {
        let held = self.unsettled.get(&taker.id).copied().unwrap_or(0);
        let room = taker.no_ack || taker.prefetch == 0 || held < taker.prefetch;
        let active = self.bench.queue.active_consumer();
        room && self.bench.shut as u64 != taker.id
            && active.is_none_or(|active| active.0 == taker.id)
    }

    /// No message is left that somebody willing may have.
    fn nobody_is_idle(&self) {
        let queue = &self.bench.queue;
        if queue.work.next().is_some() || queue.pace_deadline().is_some() {
            return;
        }
        let bounded = self.bench.queue.options().max_length.is_some();
        for (number, message) in &self.alive {
            if message.state != State::Ready || self.expired.contains(number) {
                continue;
            }
            let owner = match self.keyed && message.key != 0 {
                true => self.bench.first_owner(*number),
                false => None,
            };
            let open = |id| {
                let others = |(_, other): (_, &Message)| match other.state {
                    State::Ready => true,
                    // What came back and was dropped leaves a pause that is not known here.
                    State::Out(holder, _) => {
                        holder == id && !bounded && !self.paused.contains(&message.key)
                    }
                    State::Waiting => false,
                };
                self.of_key(message.key).all(others)
            };
            for taker in self.takers.iter().filter(|taker| self.willing(taker)) {
                let may = match owner {
                    Some(owner) => owner == taker.id && open(taker.id),
                    None => !self.keyed || message.key == 0,
                };
                let idle = may && message.size >= taker.size_min;
                assert!(!idle, "{number} is left, {} is idle", taker.id);
            }
        }
    }

    /// Ready messages that are past their time, and gone with the next tick.
    fn note_expired(&mut self) {
        self.expired.clear();
        let (expired, now) = (&mut self.expired, self.bench.now);
        self.bench.queue.visit_ready(None, |entry| {
            if entry.expired(now) {
                expired.insert(number_at(entry.position().unwrap()));
            }
            true
        });
    }

    /// Shards differ by one at most among those of the highest priority.
    fn is_even(&self) {
        if !self.keyed {
            return;
        }
        let leading = self.bench.queue.consumers.leading();
        let owners = self.bench.queue.owners();
        let shares = leading.iter().map(|slot| {
            let of = |owner: &&Option<ConsumerId>| **owner == Some(slot.id());
            owners.iter().filter(of).count()
        });
        let shares: Vec<usize> = shares.collect();
        let (least, most) = (shares.iter().min(), shares.iter().max());
        assert!(
            most.is_none_or(|most| most - least.unwrap() <= 1),
            "{shares:?}"
        );
        assert_eq!(
            shares.iter().sum::<usize>(),
            owners.len() * shares.len().min(1)
        );
    }
}

#[test]
fn order_holds_per_key_whatever_happens() {
    for seed in 1..=SEEDS {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step(seed);
        }
        world.restart();
        world.bench.now += 100_000;
        world.pass_time();
        let alive: BTreeSet<u64> = std::mem::take(&mut world.alive).into_keys().collect();
        let unpaced = Options {
            deliver_rate: Rate::default(),
            ..world.bench.queue.options().clone()
        };
        world
            .bench
            .run(|queue, cx| queue.set_options(unpaced.into(), cx));
        world.bench.subscribe(9_999, true, 0);
        let last: BTreeSet<u64> = world.bench.delivered_numbers().into_iter().collect();
        assert_eq!(last, alive, "nothing is lost");
        assert_eq!(world.bench.queue.keys_out(), 0);
    }
}
