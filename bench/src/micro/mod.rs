//! `micro`: parts of our broker by themselves, without a connection.
//!
//! Invariants
//! - A part is called as the broker calls it, through what its crates make public.
//! - Means are of CPU time, which others on the machine do not add to; a call timed on its own is
//!   timed by the clock, and so is what two cores do at the same time.
//! - What a call gives back is checked: a part that is quick because it does less is an error.
//!
//! Not here: bars. A time of one part on one machine is a figure to look at, not a promise.

mod cores;
mod filter;
mod levels;
mod routes;

use crate::Res;
use crate::stats::Figures;

/// What was measured of one case.
pub type Case = (&'static str, Figures);

/// A part: its name on the command line, what is measured, and how much is done in full.
pub struct Part {
    /// As written on the command line.
    pub name: &'static str,
    /// How many calls, or messages, a case has.
    pub count: usize,
    /// Measures all cases with so many calls.
    pub measure: fn(usize) -> Res<Vec<Case>>,
}

/// All parts.
pub const PARTS: [Part; 4] = [
    Part {
        name: "routes",
        count: 1_000_000,
        measure: routes::measure,
    },
    Part {
        name: "filter",
        count: 2_000_000,
        measure: filter::measure,
    },
    Part {
        name: "levels",
        count: 1_000_000,
        measure: levels::measure,
    },
    Part {
        name: "cores",
        count: 3_000_000,
        measure: cores::measure,
    },
];

/// The part of this name.
pub fn find(name: &str) -> Res<&'static Part> {
    let part = PARTS.iter().find(|part| part.name == name);
    part.ok_or_else(|| format!("there is no part `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_figures_of_every_case() {
        for part in &PARTS {
            let cases = (part.measure)(2_000).expect(part.name);
            assert!(!cases.is_empty(), "{}", part.name);
            for (case, figures) in cases {
                assert!(!figures.0.is_empty(), "{}: {case}", part.name);
            }
        }
        assert!(find("levels").is_ok() && find("level").is_err());
    }
}
