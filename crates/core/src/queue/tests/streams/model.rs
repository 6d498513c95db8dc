//! A stream against a plain list, over random operations from a seed, with restarts.

use super::*;

const SEEDS: u64 = 60;
const STEPS: u64 = 400;

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A message as the model has it.
struct Appended {
    number: u64,
    at: Millis,
}

struct Reader {
    id: u64,
    slot: ConsumerSlot,
    next: u64,
    prefetch: usize,
    leases: Vec<LeaseId>,
}

struct World {
    bench: Bench,
    rng: Rng,
    appended: Vec<Appended>,
    first: u64,
    delayed: Vec<(Millis, u64)>,
    readers: Vec<Reader>,
    next_reader: u64,
    image: Option<Vec<u8>>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let some = |rng: &mut Rng, values: [u64; 3]| {
            let value = values[rng.below(3) as usize];
            (value > 0).then_some(value)
        };
        let retention = Retention {
            max_age_ms: some(&mut rng, [0, 500, 20_000]),
            segment_bytes: some(&mut rng, [0, 25, 400]),
        };
        let max_bytes = some(&mut rng, [0, 300, 9_000]);
        World {
            bench: Bench::new(options(retention, max_bytes)),
            rng,
            appended: Vec::new(),
            first: 0,
            delayed: Vec::new(),
            readers: Vec::new(),
            next_reader: 1,
            image: None,
        }
    }

    fn next(&self) -> u64 {
        self.appended.len() as u64
    }

    fn note(&mut self, number: u64) {
        let at = self.bench.now;
        self.appended.push(Appended { number, at });
    }

    /// Publishes some in one step: at once, for later, or in a transaction.
    fn publish(&mut self) {
        let in_transaction = self.rng.one_in(4);
        for _ in 0..self.rng.below(12) {
            let wait_ms = [0, 0, 0, 700][self.rng.below(4) as usize];
            let deliver_at = (wait_ms > 0).then(|| self.bench.now + wait_ms);
            let mut incoming = self.bench.special(true, None, deliver_at, None);
            if in_transaction {
                self.bench.run(|queue, cx| {
                    let now = cx.now;
                    queue.prepare(&incoming, cx.staged, cx.lens, now, cx.facts);
                });
                incoming.recorded = true;
            }
            let taken = self.bench.run(|queue, cx| queue.enqueue(&incoming, cx));
            assert_eq!(taken, Enqueued::Taken);
            let number = self.bench.published;
            match deliver_at {
                Some(at) => self.delayed.push((at, number)),
                None => self.note(number),
            }
            self.look();
        }
    }

    fn pass_time(&mut self) {
        self.bench.now += self.rng.below(900);
        let now = self.bench.now;
        self.delayed.sort_unstable();
        let due = self.delayed.partition_point(|(at, _)| *at <= now);
        for (_, number) in self.delayed.drain(..due).collect::<Vec<_>>() {
            self.note(number);
        }
        self.bench.tick();
        self.look();
    }

    fn subscribe(&mut self) {
        let id = self.next_reader;
        self.next_reader += 1;
        let (next, span) = (self.next(), self.next() - self.first);
        let (offset, at) = match self.rng.below(4) {
            0 => (StreamOffset::First, self.first),
            1 => (StreamOffset::Next, next),
            2 => {
                let offset = self.first + self.rng.below(span + 1);
                (StreamOffset::Offset(offset), offset)
            }
            _ => {
                let offset = self.rng.below(next + 3);
                (StreamOffset::Offset(offset), offset.max(self.first))
            }
        };
        let prefetch = 1 + self.rng.below(40) as u32;
        let slot = self.bench.read_from(id, offset, prefetch);
        self.readers.push(Reader {
            id,
            slot,
            next: at,
            prefetch: prefetch as usize,
            leases: Vec::new(),
        });
        self.look();
    }

    fn settle(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let at = self.rng.below(self.readers.len() as u64) as usize;
        if self.rng.one_in(12) {
            let reader = self.readers.remove(at);
            self.bench
                .run(|queue, cx| queue.unsubscribe(reader.slot, cx));
            return;
        }
        for _ in 0..self.rng.below(30) {
            if let Some(lease) = self.readers[at].leases.pop() {
                self.bench.settle(lease, Outcome::Accept);
                self.look();
            }
        }
    }

    /// Compares what the stream did with what it should do.
    fn look(&mut self) {
        let kept = self.bench.kept();
        assert_eq!(kept.end, self.next());
        assert!(kept.start >= self.first, "what left stays away");
        let (left_from, readings) = (self.first, self.bench.readings());
        self.first = kept.start;
        for (id, offset, lease) in readings {
            let reader = self.readers.iter_mut().find(|reader| reader.id == id);
            // One that has just come is noted behind its first messages.
            let Some(reader) = reader else { continue };
            let passed = reader.next.max(left_from.min(offset));
            assert!(
                offset == passed || offset <= kept.start,
                "reader {id} at {offset}"
            );
            assert!(offset >= reader.next);
            reader.next = offset + 1;
            reader.leases.extend(lease);
            assert!(reader.leases.len() <= reader.prefetch);
        }
        for reader in &self.readers {
            let stands_at = reader.next.max(self.first);
            let has_credit = reader.leases.len() < reader.prefetch;
            assert!(
                !has_credit || stands_at >= self.next(),
                "reader {} waits",
                reader.id
            );
        }
        self.check_retention();
        self.check_messages();
    }

    fn check_messages(&self) {
        let mut expected = self.first;
        self.bench.queue.visit_ready(None, |entry| {
            assert_eq!(entry.seq, expected + 1);
            let number = self.appended[expected as usize].number;
            assert_eq!(entry.position(), Some((1 << 32) + number * 100));
            expected += 1;
            true
        });
        assert_eq!(expected, self.next());
    }

    /// Nothing is kept that must go, and nothing left that might stay.
    fn check_retention(&self) {
        let options = self.bench.queue.options();
        let segment = options.retention.segment_bytes;
        let bytes = (self.next() - self.first) * 10;
        if let (Some(max), None) = (options.max_length_bytes, segment) {
            assert!(bytes <= max.max(10));
        }
        if let (Some(max_age), None) = (options.retention.max_age_ms, segment)
            && self.next() - self.first > 1
        {
            let oldest = self.appended[self.first as usize].at;
            assert!(oldest + max_age + 100 > self.bench.now);
        }
        if options.max_length_bytes.is_none() && options.retention.max_age_ms.is_none() {
            assert_eq!(self.first, 0);
        }
    }

    fn restart(&mut self) {
        let clean = self.rng.one_in(2);
        let queue_options = self.bench.queue.options().clone();
        let mut recovering = Recovering::new(QueueId(1), queue_options, self.bench.now);
        if let Some(image) = &self.image {
            recovering.read_image(&mut Cursor::new(image)).unwrap();
        }
        for fact in &self.bench.history {
            match fact {
                Fact::Entered(entered) => recovering.entered(entered),
                Fact::Moved(_, from, to) => recovering.moved(*from, *to),
                Fact::Changed(change) => recovering.changed(change),
                Fact::Delivered(..) | Fact::Gone(..) => panic!("a stream has no {fact:?}"),
            }
        }
        let mut kept = 0;
        self.bench.queue = recovering.finish(clean, |_| kept += 1);
        let (ready, delayed) = (self.next() - self.first, self.delayed.len() as u64);
        assert_eq!(kept, ready + delayed);
        self.readers.clear();
        self.pass_time();
    }

    fn checkpoint(&mut self) {
        let mut image = Vec::new();
        self.bench.queue.write_image(&mut image);
        self.image = Some(image);
        self.bench.history.clear();
    }
}

#[test]
fn a_stream_is_a_list_with_readers() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            match world.rng.below(40) {
                0 => world.restart(),
                1 => world.checkpoint(),
                2..6 => world.subscribe(),
                6..16 => world.settle(),
                16..24 => world.pass_time(),
                _ => world.publish(),
            }
        }
    }
}
