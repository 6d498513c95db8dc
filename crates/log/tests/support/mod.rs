//! What the tests share: a model that knows what was appended, and a replay that collects.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;

use ferry_log::testing::{FaultyDisk, Random};
use ferry_log::{
    Batch, Log, LogError, Need, Options, Position, Reader, Recovery, ReleaseBatch, Replay, Section,
};

#[derive(Clone, PartialEq, Eq)]
pub struct Fact {
    pub position: Position,
    pub stream: u16,
    pub kind: u8,
    pub flags: u8,
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Fact {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}+{}", self.position, self.payload.len())
    }
}

/// Collects everything.
#[derive(Debug, Default)]
pub struct Collected {
    pub sections: Vec<(u16, Vec<u8>)>,
    pub facts: Vec<Fact>,
}

impl Replay for Collected {
    fn section(&mut self, stream: u16, bytes: &[u8]) -> Result<(), String> {
        self.sections.push((stream, bytes.to_vec()));
        Ok(())
    }

    fn record(
        &mut self,
        position: Position,
        stream: u16,
        kind: u8,
        flags: u8,
        payload: &[u8],
    ) -> Result<(), String> {
        self.facts.push(Fact {
            position,
            stream,
            kind,
            flags,
            payload: payload.to_vec(),
        });
        Ok(())
    }
}

pub fn options(segment_bytes: u64, entropy: u64) -> Options {
    Options {
        segment_bytes,
        entropy,
        fill_bytes: 4096,
        ..Options::default()
    }
}

pub fn open(
    disk: &FaultyDisk,
    options: &Options,
) -> Result<(Arc<Log>, Recovery, Collected), LogError> {
    let mut collected = Collected::default();
    let (log, recovery) = Log::open(Arc::new(disk.clone()), options.clone(), &mut collected)?;
    Ok((log, recovery, collected))
}

/// Appends one record and returns what was appended and where the batch ends.
pub fn append(log: &Log, stream: u16, payload: &[u8], need: Need) -> (Fact, Position) {
    let mut batch = Batch::new();
    batch.push(1, stream, &[payload]);
    let appended = log.append(&batch, need).expect("the log takes it");
    log.retain(appended.base, payload.len() as u64, 1);
    let position = appended.base;
    (
        Fact {
            position,
            stream,
            kind: 1,
            flags: 0,
            payload: payload.to_vec(),
        },
        appended.end,
    )
}

pub fn assert_reads(log: &Arc<Log>, facts: &[Fact]) {
    let mut reader = Reader::new(log.clone());
    for fact in facts {
        let record = reader
            .read(fact.position)
            .expect("what was appended can be read");
        assert_eq!(record.payload, fact.payload, "{}", fact.position);
        assert_eq!((record.kind, record.stream), (fact.kind, fact.stream));
        assert_eq!(record.flags, fact.flags);
    }
}

/// A log, and what it must hold.
pub struct World {
    pub disk: FaultyDisk,
    pub random: Random,
    pub options: Options,
    pub log: Arc<Log>,
    /// All that was appended and may be there, with the end of its batch.
    pub facts: Vec<(Fact, Position)>,
    /// Facts before this place are covered by a checkpoint; a later one perhaps, if the last
    /// attempt failed half-way.
    pub as_of: Vec<Position>,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let disk = FaultyDisk::new(random.any());
        let options = random_options(&mut random);
        let (log, _, _) = open(&disk, &options).expect("an empty disk opens");
        World {
            disk,
            random,
            options,
            log,
            facts: Vec::new(),
            as_of: vec![Position::ZERO],
        }
    }

    /// Does something; the disk may fail under it.
    pub fn step(&mut self) {
        match self.random.below(100) {
            0..55 => self.append(),
            55..85 => drop(self.log.commit()),
            85..89 => drop(self.log.commit_all()),
            89..91 => drop(self.log.attest()),
            91..94 => self.checkpoint(),
            94..97 => self.forget(),
            _ => self.read_some(),
        }
    }

    pub fn append(&mut self) {
        let mut batch = Batch::new();
        let mut news = Vec::new();
        for _ in 0..self.random.below(4) {
            let bytes = match self.random.below(20) {
                0 => self.random.below(20_000),
                1 => 0,
                _ => self.random.below(300),
            };
            let payload = self.random.bytes(bytes as usize);
            let (kind, flags) = (1 + self.random.below(0xEF) as u8, self.random.any() as u8);
            let stream = self.random.below(3) as u16;
            let middle = payload.len() / 2;
            let parts = [&payload[..middle], &payload[middle..]];
            let offset = batch.push_flagged(kind, flags, stream, &parts);
            news.push((
                offset,
                Fact {
                    position: Position::ZERO,
                    stream,
                    kind,
                    flags,
                    payload,
                },
            ));
        }
        let need = [Need::Lazy, Need::Write, Need::Sync][self.random.below(3) as usize];
        let Ok(appended) = self.log.append(&batch, need) else {
            return;
        };
        for (offset, mut fact) in news {
            fact.position = appended.base.plus(offset);
            self.log.retain(fact.position, fact.payload.len() as u64, 1);
            self.facts.push((fact, appended.end));
        }
    }

    pub fn checkpoint(&mut self) {
        if self.log.commit_all().is_err() {
            return;
        }
        let as_of = self.log.durable();
        let bytes = self.random.bytes(100);
        let sections = (0..3)
            .map(|stream| Section {
                stream,
                as_of,
                pieces: vec![bytes.clone().into()],
            })
            .collect();
        match self.log.write_checkpoint(sections) {
            Ok(_) => self.as_of = vec![as_of],
            Err(_) => self.as_of.push(as_of),
        }
    }

    /// Releases the oldest facts and removes what is dead.
    fn forget(&mut self) {
        let count = self.random.below(self.facts.len() as u64 / 2 + 1) as usize;
        let covered = self.as_of[0];
        let count = self.facts[..count].partition_point(|(fact, _)| fact.position < covered);
        let mut batch = ReleaseBatch::new();
        for (fact, _) in self.facts.drain(..count) {
            batch.add(fact.position, fact.payload.len() as u64, 1);
        }
        self.log.release(&mut batch);
        let _ = self.log.remove_dead();
    }

    fn read_some(&mut self) {
        let mut reader = Reader::new(self.log.clone());
        for _ in 0..self.facts.len().min(5) {
            let fact = &self.facts[self.random.below(self.facts.len() as u64) as usize].0;
            let record = reader.read(fact.position).expect("it was appended");
            assert_eq!(record.payload, fact.payload);
        }
    }

    /// Opens the log again and checks it against the model; `safe` must be there.
    pub fn reopen(&mut self, safe: Position) -> Recovery {
        self.options = random_options(&mut self.random);
        let (log, recovery, collected) =
            open(&self.disk, &self.options).expect("no crash keeps a log from opening");
        self.log = log;
        let replayed = self.check(&collected.facts, safe);
        self.facts.truncate(replayed);
        for (fact, _) in &self.facts {
            self.log.retain(fact.position, fact.payload.len() as u64, 1);
        }
        let facts: Vec<Fact> = self.facts.iter().map(|(fact, _)| fact.clone()).collect();
        assert_reads(&self.log, &facts);
        recovery
    }

    /// Returns how many of `self.facts` there are now.
    fn check(&mut self, replayed: &[Fact], safe: Position) -> usize {
        let start_of = |as_of: Position| {
            self.facts
                .partition_point(|(fact, _)| fact.position < as_of)
        };
        let expected_safe = self.facts.partition_point(|(_, end)| *end <= safe);
        let matching = self.as_of.iter().copied().find(|as_of| {
            let start = start_of(*as_of);
            let end = start + replayed.len();
            end >= expected_safe.max(start)
                && end <= self.facts.len()
                && self.facts[start..end]
                    .iter()
                    .map(|(fact, _)| fact)
                    .eq(replayed)
        });
        let as_of = matching.expect("what is replayed is what was appended, up to what was safe");
        let end = start_of(as_of) + replayed.len();
        self.as_of = vec![as_of];
        end
    }
}

fn random_options(random: &mut Random) -> Options {
    Options {
        segment_bytes: 2000 + random.below(20_000),
        fill_bytes: [0, 1, 700, 4096][random.below(4) as usize],
        entropy: random.any(),
        ..Options::default()
    }
}
