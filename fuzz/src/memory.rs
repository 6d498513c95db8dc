//! How much memory a check takes, counted by the allocator of the fuzz targets, and of the tests
//! over their corpora, which include this file.
//!
//! Invariants
//! - What is counted is what is alive at once, of one thread: a check does its work on its own.
//! - A length that is only announced is no reason to allocate: a limit depends on the bytes that
//!   are there, and on nothing in them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The most that may be alive at once.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// For each byte of the input.
    pub per_byte: usize,
    /// Whatever the input.
    pub fixed_bytes: usize,
}

impl Memory {
    /// For readers in place, and what copies a few times what it read.
    pub const CODEC: Memory = Memory {
        per_byte: 16,
        fixed_bytes: 16 << 10,
    };
    /// For JSON, in which two bytes are a value, and those values as ours and back.
    pub const JSON: Memory = Memory {
        per_byte: 512,
        fixed_bytes: 256 << 10,
    };
    /// For records, in which three bytes are a table with an entry, read twice.
    pub const RECORD: Memory = Memory {
        per_byte: 1024,
        fixed_bytes: 256 << 10,
    };
    /// With regular expressions or schemas, which are compiled; their size has limits of its own.
    pub const COMPILED: Memory = Memory {
        per_byte: 4096,
        fixed_bytes: 16 << 20,
    };
    /// With a queue, a log or a broker that is made for each input.
    pub const MACHINE: Memory = Memory {
        per_byte: 512,
        fixed_bytes: 16 << 20,
    };
}

struct Counting;

thread_local! {
    /// May be below zero: what one thread has allocated another one may give back.
    static ALIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: as the trait asks.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: as the trait asks.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn add(bytes: isize) {
    let alive = ALIVE.get() + bytes;
    ALIVE.set(alive);
    MOST.set(MOST.get().max(alive));
}

/// Runs a check and holds what it allocates against the limit.
///
/// # Panics
/// If the check does, or takes more.
pub fn bounded(memory: Memory, bytes: &[u8], check: fn(&[u8])) {
    let before = ALIVE.get();
    MOST.set(before);
    check(bytes);
    let took = (MOST.get() - before).cast_unsigned();
    let limit = bytes.len() * memory.per_byte + memory.fixed_bytes;
    let length = bytes.len();
    assert!(
        took <= limit,
        "{length} bytes of input took {took} bytes of memory, {limit} are the most"
    );
}
