//! The track of one object: its last sample, its rates, and its course if it is kept.
//!
//! Invariants
//! - A rate belongs to the last two samples; a count that went back has none.
//! - A course is at most `COURSE_COUNT_MAX` samples, the oldest first.

use std::collections::VecDeque;

use ferry_core::Millis;

use super::fields::OBJECT;

/// Samples of a course: an hour of them.
const COURSE_COUNT_MAX: usize = 720;

/// How much the last sample counts in a share of time.
const FREE_WEIGHT: f64 = 0.2;

fn free_now(values: &[u64]) -> f64 {
    let waiting = values.get(OBJECT.ready.at).copied().unwrap_or(0);
    f64::from(u8::from(waiting == 0))
}

/// A sample of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    pub at: Millis,
    pub value: u64,
}

/// What is known of how an object's counts grow.
#[derive(Debug)]
pub(crate) struct Track {
    at: Millis,
    values: Box<[u64]>,
    rates: Box<[f64]>,
    course: Option<VecDeque<(Millis, Box<[u64]>)>>,
    /// How much of the time nothing waited, the last samples counting most.
    free: f64,
    /// When it was last seen.
    pub(super) round: u64,
}

impl Track {
    pub(super) fn new(values: Box<[u64]>, at: Millis, round: u64, course: bool) -> Track {
        let rates = vec![0.0; values.len()].into_boxed_slice();
        let first = || VecDeque::from([(at, values.clone())]);
        Track {
            course: course.then(first),
            free: free_now(&values),
            at,
            values,
            rates,
            round,
        }
    }

    pub(super) fn add(&mut self, values: Box<[u64]>, at: Millis, round: u64, course: bool) {
        let seconds = at.saturating_sub(self.at) as f64 / 1000.0;
        for (index, rate) in self.rates.iter_mut().enumerate() {
            let grown = values[index] as f64 - self.values[index] as f64;
            *rate = match seconds > 0.0 {
                true => grown / seconds,
                false => 0.0,
            };
        }
        self.free += (free_now(&values) - self.free) * FREE_WEIGHT;
        if course {
            let course = self.course.get_or_insert_default();
            if course.len() >= COURSE_COUNT_MAX {
                course.pop_front();
            }
            course.push_back((at, values.clone()));
        } else {
            self.course = None;
        }
        (self.at, self.values, self.round) = (at, values, round);
    }

    /// How fast the sum of these fields grows, per second.
    pub fn rate_of(&self, fields: &[usize]) -> f64 {
        fields.iter().map(|field| self.rates[*field]).sum()
    }

    /// How much of the time nothing waited, from 0 to 1.
    pub fn free_share(&self) -> f64 {
        self.free
    }

    /// The course of the sum of these fields, the oldest first; empty if none is kept.
    pub fn course_of(&self, fields: &[usize]) -> Vec<Point> {
        let course = self.course.iter().flatten();
        course
            .map(|(at, values)| Point {
                at: *at,
                value: fields.iter().map(|field| values[*field]).sum(),
            })
            .collect()
    }
}
