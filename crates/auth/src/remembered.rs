//! Decisions that are remembered for a while.
//!
//! Invariants
//! - At most `DECISIONS_MAX` of them; when there are more, all are forgotten.
//! - One that is too old counts no more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const DECISIONS_MAX: usize = 65_536;

/// Questions, what was said, and until when that counts.
#[derive(Debug)]
pub(crate) struct Remembered {
    time: Duration,
    decisions: Mutex<HashMap<String, (bool, Instant)>>,
}

impl Remembered {
    /// Nothing yet; `time` is how long a decision counts.
    pub(crate) fn new(time: Duration) -> Remembered {
        Remembered {
            time,
            decisions: Mutex::default(),
        }
    }

    /// What was said to that question.
    pub(crate) fn get(&self, question: &str, now: Instant) -> Option<bool> {
        let decisions = self.decisions.lock();
        let (decision, until) = decisions.get(question)?;
        (*until > now).then_some(*decision)
    }

    /// Notes what was said.
    pub(crate) fn put(&self, question: String, decision: bool, now: Instant) {
        if self.time.is_zero() {
            return;
        }
        let mut decisions = self.decisions.lock();
        if decisions.len() >= DECISIONS_MAX {
            decisions.clear();
        }
        decisions.insert(question, (decision, now + self.time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_counts_for_its_time_and_their_number_is_bounded() {
        let (second, start) = (Duration::from_secs(1), Instant::now());
        let remembered = Remembered::new(second);
        remembered.put("a".to_owned(), true, start);
        assert_eq!(remembered.get("a", start + second / 2), Some(true));
        assert_eq!(remembered.get("a", start + second), None);
        assert_eq!(remembered.get("b", start), None);
        for number in 0..=DECISIONS_MAX {
            remembered.put(number.to_string(), false, start);
        }
        assert!(remembered.decisions.lock().len() <= DECISIONS_MAX);
        let never = Remembered::new(Duration::ZERO);
        never.put("a".to_owned(), true, start);
        assert_eq!(never.get("a", start), None);
    }
}
