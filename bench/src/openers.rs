//! Opens many connections from several threads at once.
//!
//! Invariants
//! - Every index is tried once; what was opened comes back in the order of its index.
//! - A connection that is refused is counted, and the first reason kept; when so many were refused
//!   that a broker is ill rather than busy, nobody goes on.
//!
//! Handshakes are blocking ones, a thread has one at a time: a thread waits while the broker works
//! on its connection, so as many are under way as there are threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::Res;
use crate::hist::Hist;
use crate::sys::now_ns;

/// Connections under way at a time, where nobody says otherwise: more do not make any broker here
/// quicker.
pub const OPENERS: usize = 16;
/// With so many refused nobody goes on.
const REFUSED_MAX: usize = 100;

/// What became of the connections.
pub struct Openings<T> {
    /// Those that are open.
    pub open: Vec<T>,
    /// How many are not.
    pub refused: usize,
    /// Why, of the one with the lowest index.
    pub first_refusal: Option<String>,
    /// From the first packet of each to the end of its handshake.
    pub times: Hist,
}

/// Opens connections 0 to `wanted`, at most `threads` at a time.
pub fn open<T: Send>(
    wanted: usize,
    threads: usize,
    one: impl Fn(usize) -> Res<T> + Sync,
) -> Openings<T> {
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let opener = || {
        let mut done = Vec::new();
        while refused.load(Ordering::Relaxed) < REFUSED_MAX {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= wanted {
                break;
            }
            let begin = now_ns();
            let result = one(index);
            if result.is_err() {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            done.push((index, now_ns() - begin, result));
        }
        done
    };
    let threads = threads.clamp(1, wanted.max(1));
    let mut all: Vec<(usize, u64, Res<T>)> = thread::scope(|scope| {
        let openers: Vec<_> = (0..threads).map(|_| scope.spawn(opener)).collect();
        let done = openers
            .into_iter()
            .map(|opener| opener.join().expect("an opener does not panic"));
        done.flatten().collect()
    });
    all.sort_unstable_by_key(|(index, ..)| *index);
    let mut openings = Openings {
        open: Vec::with_capacity(wanted),
        refused: wanted - all.len(),
        first_refusal: None,
        times: Hist::default(),
    };
    for (_, time_ns, result) in all {
        match result {
            Ok(open) => {
                openings.times.add(time_ns);
                openings.open.push(open);
            }
            Err(error) => {
                openings.refused += 1;
                openings.first_refusal.get_or_insert(error);
            }
        }
    }
    openings
}

/// The same where a load needs all of them.
pub fn all<T: Send>(
    wanted: usize,
    threads: usize,
    one: impl Fn(usize) -> Res<T> + Sync,
) -> Res<Vec<T>> {
    let openings = open(wanted, threads, one);
    match openings.first_refusal {
        Some(why) => Err(format!("{} of {wanted} refused: {why}", openings.refused)),
        None => Ok(openings.open),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn all_are_tried_once_and_come_back_in_order() {
        for (wanted, threads) in [(0, 4), (1, 4), (100, 1), (1000, 7)] {
            let got = open(wanted, threads, Ok);
            assert_eq!(got.open, (0..wanted).collect::<Vec<_>>());
            assert_eq!((got.refused, got.times.samples), (0, wanted as u64));
        }
    }

    #[test]
    fn as_many_are_under_way_as_there_are_threads() {
        // ends only if three are in it at a time
        let together = Barrier::new(3);
        let got = open(6, 3, |_| Ok(together.wait().is_leader()));
        let leaders = got.open.iter().filter(|leads| **leads).count();
        assert_eq!((got.open.len(), leaders), (6, 2));
    }

    #[test]
    fn refusals_are_counted_until_there_are_too_many() {
        let odd = |index: usize| match index % 2 {
            0 => Ok(index),
            _ => Err(format!("{index} is odd")),
        };
        let some = open(10, 3, odd);
        assert_eq!((some.open.len(), some.refused), (5, 5));
        assert_eq!(some.first_refusal.as_deref(), Some("1 is odd"));
        let tried = AtomicUsize::new(0);
        let none = open(10_000, 2, |index| {
            tried.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(format!("{index}"))
        });
        assert_eq!((none.open.len(), none.refused), (0, 10_000));
        assert!(tried.into_inner() <= REFUSED_MAX + 1, "two were under way");
        assert_eq!(
            all(10, 3, odd),
            Err("5 of 10 refused: 1 is odd".to_string())
        );
        assert_eq!(all(3, 2, Ok), Ok(vec![0, 1, 2]));
    }
}
