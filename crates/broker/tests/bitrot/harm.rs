//! One damage to one file.

use ferry_log::Disk;
use ferry_log::testing::Random;

use crate::filled::{Filled, segments};

const BLOCK_BYTES: u64 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Flipped,
    Zeroed,
    Swapped,
    Old,
    Cut,
    Missing,
}

/// What happens to which file, where.
#[derive(Debug)]
pub struct Harm {
    pub kind: Kind,
    pub name: String,
    /// First byte that may be another one.
    pub at: u64,
    /// Of the other file, or of the same one.
    other: (String, u64),
}

impl Harm {
    pub fn by(random: &mut Random, filled: &Filled) -> Harm {
        let kinds = [
            Kind::Flipped,
            Kind::Flipped,
            Kind::Flipped,
            Kind::Zeroed,
            Kind::Zeroed,
            Kind::Swapped,
            Kind::Old,
            Kind::Cut,
            Kind::Missing,
        ];
        let kind = kinds[random.below(kinds.len() as u64) as usize];
        let mut names = filled.disk.list().unwrap();
        names.sort();
        // Most damage is where most bytes are.
        if random.chance(75) {
            names = segments(&filled.disk)
                .into_iter()
                .map(|one| one.1)
                .collect();
        }
        let any = |random: &mut Random| names[random.below(names.len() as u64) as usize].clone();
        let (name, other) = (any(random), any(random));
        let length = |name: &str| {
            let bytes = filled.disk.bytes_of(name).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0);
            used.map_or(1, |last| last as u64 + 1)
        };
        let (at, other_at) = (random.below(length(&name)), random.below(length(&other)));
        let block = |at: u64| at / BLOCK_BYTES * BLOCK_BYTES;
        let (at, other_at) = match kind {
            Kind::Flipped | Kind::Cut => (at, 0),
            Kind::Zeroed | Kind::Swapped | Kind::Old => (block(at), block(other_at)),
            Kind::Missing => (0, 0),
        };
        Harm {
            kind,
            name,
            at,
            other: (other, other_at),
        }
    }

    pub fn inflict(&self, filled: &Filled) {
        let disk = &filled.disk;
        let at = self.at as usize;
        let block_of = |bytes: &[u8], at: u64| {
            let rest = bytes.get(at as usize..).unwrap_or_default();
            rest[..rest.len().min(BLOCK_BYTES as usize)].to_vec()
        };
        let put = |name: &str, at: u64, block: &[u8]| {
            disk.damage(name, |bytes| {
                let place = &mut bytes[at as usize..];
                let count = place.len().min(block.len());
                place[..count].copy_from_slice(&block[..count]);
            });
        };
        match self.kind {
            Kind::Flipped => disk.damage(&self.name, |bytes| bytes[at] ^= 1 << (at % 8)),
            Kind::Zeroed => put(&self.name, self.at, &[0; BLOCK_BYTES as usize]),
            Kind::Swapped => {
                let (other, other_at) = (&self.other.0, self.other.1);
                let one = block_of(&disk.bytes_of(&self.name).unwrap(), self.at);
                let two = block_of(&disk.bytes_of(other).unwrap(), other_at);
                put(&self.name, self.at, &two);
                put(other, other_at, &one);
            }
            Kind::Old => {
                let before = filled.earlier.bytes_of(&self.name).unwrap_or_default();
                let mut block = block_of(&before, self.at);
                block.resize(BLOCK_BYTES as usize, 0);
                put(&self.name, self.at, &block);
            }
            Kind::Cut => disk.damage(&self.name, |bytes| bytes.truncate(at)),
            Kind::Missing => disk.remove(&self.name).unwrap(),
        }
    }

    /// Whether the end of the log that a kill left may be gone without a trace: what says how far
    /// it had come stood there, too.
    pub fn may_look_torn(&self, filled: &Filled) -> bool {
        let last = segments_name(filled.last_segment);
        !filled.clean && (self.name == last || (self.kind == Kind::Swapped && self.other.0 == last))
    }

    /// First byte in the last segment that may be another one.
    pub fn torn_from(&self, filled: &Filled) -> u64 {
        let last = segments_name(filled.last_segment);
        let own = (self.name == last).then_some(self.at);
        let other = (self.kind == Kind::Swapped && self.other.0 == last).then_some(self.other.1);
        own.into_iter().chain(other).min().unwrap_or(u64::MAX)
    }
}

fn segments_name(number: u32) -> String {
    format!("seg-{number:010}.log")
}
