//! Where passports are kept.
//!
//! Invariants
//! - `by_age` names every path once, the one that began first in front.
//! - `bytes` is what all paths take, and at most what is allowed when a call has ended.
//! - Of a path the first and the last hops are kept, `HOPS_KEPT` of each.

use std::collections::VecDeque;
use std::sync::Arc;

use super::hop::{Event, Hop};
use crate::vhost::Map;

/// Hops that are kept at each end of a path.
const HOPS_KEPT: usize = 128;

/// What a path takes besides its hops and its name, in bytes.
const PATH_OVERHEAD_BYTES: usize = size_of::<Path>() + 96;

/// What one of the last hops takes besides itself, in bytes.
const HOP_OVERHEAD_BYTES: usize = 32;

/// The hops of one message.
#[derive(Debug, Default)]
struct Path {
    /// The first ones, one after the other.
    first: Vec<u8>,
    first_count: usize,
    /// The last ones, once there are that many.
    last: VecDeque<Box<[u8]>>,
    left_out: u64,
}

impl Path {
    fn bytes(&self) -> usize {
        let last = self.last.iter().map(|hop| hop.len() + HOP_OVERHEAD_BYTES);
        self.first.capacity() + last.sum::<usize>()
    }

    /// Adds a hop and says how many more bytes the path takes, or fewer.
    fn add(&mut self, hop: &[u8]) -> isize {
        if self.first_count < HOPS_KEPT {
            let before = self.first.capacity();
            self.first_count += 1;
            self.first.extend_from_slice(hop);
            return (self.first.capacity() - before) as isize;
        }
        let mut more = (hop.len() + HOP_OVERHEAD_BYTES) as isize;
        if self.last.len() == HOPS_KEPT
            && let Some(oldest) = self.last.pop_front()
        {
            self.left_out += 1;
            more -= (oldest.len() + HOP_OVERHEAD_BYTES) as isize;
        }
        self.last.push_back(hop.into());
        more
    }

    fn hops(&self) -> Vec<Hop> {
        let read = |bytes| postcard::take_from_bytes::<Hop>(bytes).expect("a hop that was written");
        let mut hops = Vec::with_capacity(self.first_count + self.last.len() + 1);
        let mut rest = self.first.as_slice();
        for _ in 0..self.first_count {
            let (hop, behind) = read(rest);
            hops.push(hop);
            rest = behind;
        }
        if self.left_out > 0 {
            hops.push(Hop {
                at: hops.last().map_or(0, |hop| hop.at),
                queue: None,
                trace_id: None,
                event: Event::LeftOut {
                    hops: self.left_out,
                },
            });
        }
        hops.extend(self.last.iter().map(|hop| read(hop).0));
        hops
    }
}

/// The paths of all messages.
#[derive(Debug, Default)]
pub(super) struct Store {
    paths: Map<Arc<[u8]>, Path>,
    by_age: VecDeque<Arc<[u8]>>,
    bytes: u64,
    /// Where hops are written before they are kept, and names before they are looked up.
    written: Vec<u8>,
    name: Vec<u8>,
}

impl Store {
    fn set_name(&mut self, vhost: &str, id: &[u8]) {
        self.name.clear();
        self.name.extend_from_slice(vhost.as_bytes());
        self.name.push(0xff); // in no UTF-8 name
        self.name.extend_from_slice(id);
    }

    /// Adds a hop to the path of a message.
    pub fn add(&mut self, vhost: &str, id: &[u8], hop: &Hop, bytes_max: u64) {
        self.set_name(vhost, id);
        let mut written = std::mem::take(&mut self.written);
        written.clear();
        written = postcard::to_extend(hop, written).expect("a hop goes into memory");
        let path = match self.paths.get_mut(self.name.as_slice()) {
            Some(path) => path,
            None => {
                let name: Arc<[u8]> = Arc::from(self.name.as_slice());
                self.bytes += (PATH_OVERHEAD_BYTES + name.len()) as u64;
                self.by_age.push_back(Arc::clone(&name));
                self.paths.entry(name).or_default()
            }
        };
        let more = path.add(&written);
        self.bytes = self.bytes.saturating_add_signed(more as i64);
        self.written = written;
        self.fit(bytes_max);
    }

    /// Forgets the oldest until the rest fits.
    pub fn fit(&mut self, bytes_max: u64) {
        while self.bytes > bytes_max
            && let Some(name) = self.by_age.pop_front()
        {
            if let Some(path) = self.paths.remove(&name) {
                self.bytes -= (PATH_OVERHEAD_BYTES + name.len() + path.bytes()) as u64;
            }
        }
        if self.paths.is_empty() {
            assert_eq!(self.bytes, 0, "nothing takes nothing");
        }
    }

    /// The hops of a message in the order in which they were noted.
    pub fn find(&mut self, vhost: &str, id: &[u8]) -> Option<Vec<Hop>> {
        self.set_name(vhost, id);
        self.paths.get(self.name.as_slice()).map(Path::hops)
    }

    /// How many paths there are, and what they take.
    pub fn usage(&self) -> (usize, u64) {
        (self.paths.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(at: u64) -> Hop {
        Hop {
            at,
            queue: Some("jobs".to_owned()),
            trace_id: None,
            event: Event::Entered,
        }
    }

    #[test]
    fn the_first_and_the_last_hops_are_kept_with_the_gap_marked() {
        for (count, left_out) in [(1, 0), (128, 0), (256, 0), (257, 1), (1000, 744)] {
            let mut store = Store::default();
            for at in 1..=count {
                store.add("/", b"m", &hop(at), u64::MAX);
            }
            let found = store.find("/", b"m").unwrap();
            assert_eq!(found.first().unwrap().at, 1);
            assert_eq!(found.last().unwrap().at, count);
            let gap: Vec<_> = found.iter().enumerate().filter_map(gap_of).collect();
            match left_out {
                0 => assert_eq!((gap, found.len() as u64), (vec![], count)),
                _ => assert_eq!((gap, found.len()), (vec![(128, left_out)], 257)),
            }
        }
    }

    fn gap_of((place, hop): (usize, &Hop)) -> Option<(usize, u64)> {
        match hop.event {
            Event::LeftOut { hops } => Some((place, hops)),
            _ => None,
        }
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_is_too_much() {
        let mut store = Store::default();
        let bytes_max = 100_000;
        for number in 0..10_000u32 {
            store.add("/", &number.to_be_bytes(), &hop(1), bytes_max);
            assert!(store.usage().1 <= bytes_max);
        }
        let kept = store.usage().0 as u32;
        assert!(kept > 200, "{kept}");
        for (number, known) in [(0, false), (9_999 - kept, false), (10_000 - kept, true)] {
            let found = store.find("/", &u32::to_be_bytes(number));
            assert_eq!(found.is_some(), known, "{number} with {kept} kept");
        }
        store.fit(0);
        assert_eq!(store.usage(), (0, 0));
    }

    #[test]
    fn an_id_is_its_bytes_in_its_virtual_host() {
        let mut store = Store::default();
        let ids: [&[u8]; 5] = [b"a", b"\xff", b"\0", b"a/b", "\u{fc}".as_bytes()];
        for (at, id) in ids.iter().enumerate() {
            store.add("/", id, &hop(at as u64), u64::MAX);
            store.add("v", id, &hop(100 + at as u64), u64::MAX);
        }
        for (at, id) in ids.iter().enumerate() {
            let found = |store: &mut Store, vhost: &str| store.find(vhost, id).unwrap()[0].at;
            assert_eq!(found(&mut store, "/"), at as u64);
            assert_eq!(found(&mut store, "v"), 100 + at as u64);
        }
        assert!(store.find("w", b"a").is_none());
    }
}
