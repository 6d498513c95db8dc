//! Ids with their times, in the order of arrival.
//!
//! A slot has a number for as long as its id is in. Slots stand in blocks of `BLOCK_SLOTS` numbers;
//! a block keeps one time, its slots what they are later by. A block whose times would be too far
//! apart is closed early, and the numbers that it has not used are not given.
//!
//! Invariants
//! - Times never fall from one slot to the next.
//! - The first slot and the last are of ids that are in; between them may be removed ones, `dead`.
//! - No block is empty; `taken` slots of the first one have been taken from the front.
//! - `allocated` is the capacity of all blocks, in slots.

use std::collections::VecDeque;

use super::id::MessageId;
use crate::Millis;

/// Numbers of a block.
const BLOCK_SLOTS: usize = 64;
/// Blocks that there are numbers for.
const BLOCKS_MAX: usize = 1 << 26;
/// What the first slots of a short history are allocated by.
const FIRST_SLOTS: usize = 4;
/// In place of a time: the id was removed.
const REMOVED: u32 = u32::MAX;

/// 20 bytes: an alignment of 4 is why the id is kept as bytes.
#[derive(Debug, Clone, Copy)]
struct Slot {
    id: [u8; 16],
    later_ms: u32,
}

#[derive(Debug)]
struct Block {
    time: Millis,
    slots: Vec<Slot>,
}

impl Block {
    fn new(time: Millis) -> Block {
        Block {
            time,
            slots: Vec::new(),
        }
    }

    /// What a slot that is taken at `at` would be later by, if there is one.
    fn room_for(&self, at: Millis) -> Option<u32> {
        let later_ms = u32::try_from(at - self.time).ok()?;
        (later_ms != REMOVED && self.slots.len() < BLOCK_SLOTS).then_some(later_ms)
    }
}

/// An id that is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) id: MessageId,
    pub(super) at: Millis,
    pub(super) number: u32,
}

/// All ids that are in.
#[derive(Debug, Default)]
pub(super) struct History {
    blocks: VecDeque<Block>,
    /// Number of the first slot of the first block; numbers wrap.
    first_number: u32,
    taken: usize,
    len: u64,
    dead: u64,
    allocated: usize,
}

impl History {
    /// Ids that are in.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Slots of removed ids.
    pub(super) fn dead(&self) -> u64 {
        self.dead
    }

    /// Whether there is no number for another block.
    pub(super) fn is_full(&self) -> bool {
        self.blocks.len() == BLOCKS_MAX
    }

    /// Memory beyond the struct itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.allocated * size_of::<Slot>() + self.blocks.capacity() * size_of::<Block>()
    }

    /// The time of the last one.
    pub(super) fn newest_at(&self) -> Option<Millis> {
        let block = self.blocks.back()?;
        Some(block.time + u64::from(block.slots.last()?.later_ms))
    }

    /// The first one.
    pub(super) fn oldest(&self) -> Option<Remembered> {
        let block = self.blocks.front()?;
        let slot = block.slots.get(self.taken)?;
        Some(Remembered {
            id: MessageId::from_bytes(slot.id),
            at: block.time + u64::from(slot.later_ms),
            number: self.first_number.wrapping_add(self.taken as u32),
        })
    }

    /// The id in a slot that was not taken from the front.
    pub(super) fn id(&self, number: u32) -> Option<MessageId> {
        let (block, place) = self.place_of(number);
        let slot = self.blocks.get(block)?.slots.get(place)?;
        Some(MessageId::from_bytes(slot.id))
    }

    /// Adds an id at the end, not before the time of the last one, and says its number.
    pub(super) fn push(&mut self, id: MessageId, now: Millis) -> u32 {
        let at = self.newest_at().map_or(now, |newest| now.max(newest));
        let room = self.blocks.back().and_then(|block| block.room_for(at));
        let later_ms = room.unwrap_or_else(|| {
            self.close_last();
            self.blocks.push_back(Block::new(at));
            0
        });
        let block = self.blocks.len() - 1;
        let number = (block * BLOCK_SLOTS + self.blocks[block].slots.len()) as u32;
        self.reserve(block);
        self.blocks[block].slots.push(Slot {
            id: id.to_bytes(),
            later_ms,
        });
        self.len += 1;
        self.first_number.wrapping_add(number)
    }

    /// Removes the first one.
    pub(super) fn pop_oldest(&mut self) -> Option<Remembered> {
        let oldest = self.oldest()?;
        self.len -= 1;
        self.taken += 1;
        self.trim_front();
        Some(oldest)
    }

    /// Removes the id in a slot.
    pub(super) fn remove(&mut self, number: u32) {
        let (block, place) = self.place_of(number);
        self.blocks[block].slots[place].later_ms = REMOVED;
        self.len -= 1;
        self.dead += 1;
        self.trim_back();
        self.trim_front();
    }

    /// All ids with their times, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (MessageId, Millis)> {
        let slots = self.blocks.iter().flat_map(|block| {
            let slots = block.slots.iter();
            slots.map(|slot| (block.time, slot))
        });
        slots
            .skip(self.taken)
            .filter(|(_, slot)| slot.later_ms != REMOVED)
            .map(|(time, slot)| {
                let at = time + u64::from(slot.later_ms);
                (MessageId::from_bytes(slot.id), at)
            })
    }

    fn place_of(&self, number: u32) -> (usize, usize) {
        let offset = number.wrapping_sub(self.first_number) as usize;
        (offset / BLOCK_SLOTS, offset % BLOCK_SLOTS)
    }

    /// Lets the first slot be one of an id that is in.
    fn trim_front(&mut self) {
        while let Some(block) = self.blocks.front() {
            match block.slots.get(self.taken) {
                None => {
                    self.allocated -= block.slots.capacity();
                    self.blocks.pop_front();
                    self.first_number = self.first_number.wrapping_add(BLOCK_SLOTS as u32);
                    self.taken = 0;
                }
                Some(slot) if slot.later_ms == REMOVED => {
                    self.taken += 1;
                    self.dead -= 1;
                }
                Some(_) => break,
            }
        }
        self.give_back();
    }

    /// Lets the last slot be one of an id that is in.
    fn trim_back(&mut self) {
        while self.blocks.len() > 1 || self.len > 0 {
            let Some(block) = self.blocks.back_mut() else {
                break;
            };
            match block.slots.last() {
                None => {
                    self.allocated -= block.slots.capacity();
                    self.blocks.pop_back();
                }
                Some(slot) if slot.later_ms == REMOVED => {
                    block.slots.pop();
                    self.dead -= 1;
                }
                Some(_) => break,
            }
        }
    }

    /// Gives back what the list of blocks no longer needs.
    fn give_back(&mut self) {
        if self.blocks.len() < self.blocks.capacity() / 3 {
            self.blocks.shrink_to(self.blocks.len() * 3 / 2);
        }
    }

    fn close_last(&mut self) {
        if let Some(block) = self.blocks.back_mut() {
            self.allocated -= block.slots.capacity();
            block.slots.shrink_to_fit();
            self.allocated += block.slots.capacity();
        }
    }

    /// Makes room for a slot in the last block: for all of them, unless it is the only block.
    fn reserve(&mut self, block: usize) {
        let slots = &mut self.blocks[block].slots;
        if slots.len() == slots.capacity() {
            let free = BLOCK_SLOTS - slots.len();
            let more = if block == 0 {
                slots.len().max(FIRST_SLOTS).min(free)
            } else {
                free
            };
            self.allocated -= slots.capacity();
            slots.reserve_exact(more);
            self.allocated += slots.capacity();
        }
    }

    /// Checks what the head of this file promises.
    #[cfg(test)]
    pub(super) fn assert_invariants(&self) {
        let times: Vec<Millis> = self.iter().map(|(_, at)| at).collect();
        assert!(times.is_sorted());
        assert_eq!(times.len() as u64, self.len);
        assert_eq!(
            times.first().copied(),
            self.oldest().map(|oldest| oldest.at)
        );
        assert_eq!(times.last().copied(), self.newest_at());
        assert_eq!(self.len == 0, self.blocks.is_empty());
        assert!(self.blocks.iter().all(|block| !block.slots.is_empty()));
        let slots: usize = self.blocks.iter().map(|block| block.slots.len()).sum();
        assert_eq!(slots as u64, self.len + self.dead + self.taken as u64);
        assert_eq!(
            self.blocks
                .iter()
                .map(|block| block.slots.capacity())
                .sum::<usize>(),
            self.allocated
        );
    }

    /// Memory of the list of blocks.
    #[cfg(test)]
    pub(super) fn directory_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
    }

    /// Starts over at another number.
    #[cfg(test)]
    pub(super) fn starting_at(first_number: u32) -> History {
        History {
            first_number,
            ..History::default()
        }
    }
}
