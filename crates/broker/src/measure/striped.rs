//! One of a thing per few threads, so that threads that count do not wait for each other's cache
//! lines.
//!
//! Invariants
//! - A thread keeps its stripe for life; several threads may share one.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

const STRIPES: usize = 8;
const UNKNOWN: usize = usize::MAX;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(UNKNOWN) };
}

/// Two lines, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe<T>(T);

#[derive(Debug, Default)]
pub(super) struct Striped<T>([Stripe<T>; STRIPES]);

impl<T> Striped<T> {
    /// That of the calling thread.
    pub fn mine(&self) -> &T {
        let mut mine = MINE.get();
        if mine == UNKNOWN {
            mine = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            MINE.set(mine);
        }
        &self.0[mine].0
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|stripe| &stripe.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn what_all_threads_count_adds_up() {
        let striped: Striped<AtomicU64> = Striped::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| striped.mine().fetch_add(1, Ordering::Relaxed));
            }
        });
        let sum: u64 = striped
            .all()
            .map(|count| count.load(Ordering::Relaxed))
            .sum();
        assert_eq!(sum, 2 * STRIPES as u64);
    }
}
