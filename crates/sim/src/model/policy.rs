//! The one policy that an operator sets, changes and clears, and the queues that it is for.
//!
//! Invariants
//! - The last version is in force; earlier ones are kept until it is safe that they are not.

use super::rules::PolicyRules;
use super::{Model, Step};
use crate::{Checked, violated};

/// The policy's name.
pub const NAME: &str = "sim";

/// Names of queues that it is for.
pub const PATTERN: &str = "^(w[1-3]|o[12])$";

/// Whether the policy is for a queue of that name.
#[must_use]
pub fn is_for(name: &str) -> bool {
    ["w1", "w2", "w3", "o1", "o2"].contains(&name)
}

#[derive(Debug, Clone, Copy)]
struct Version {
    rules: Option<PolicyRules>,
    step: Step,
    number: u64,
    confirmed: bool,
}

const NONE: Version = Version {
    rules: None,
    step: 0,
    number: 0,
    confirmed: true,
};

/// The versions of the policy.
#[derive(Debug, Clone)]
pub struct PolicyModel {
    versions: Vec<Version>,
}

impl Default for PolicyModel {
    fn default() -> PolicyModel {
        PolicyModel {
            versions: vec![NONE],
        }
    }
}

impl PolicyModel {
    fn last(&self) -> Version {
        self.versions.last().copied().unwrap_or(NONE)
    }

    /// What it says; none if it is not there.
    #[must_use]
    pub fn rules(&self) -> Option<PolicyRules> {
        self.last().rules
    }

    /// It is set or cleared. Says which version this is.
    pub fn set(&mut self, rules: Option<PolicyRules>, step: Step) -> u64 {
        let number = self.last().number + 1;
        self.versions.push(Version {
            rules,
            step,
            number,
            confirmed: false,
        });
        number
    }

    /// Somebody was told that a version is safe.
    pub fn confirm(&mut self, number: u64) {
        for version in &mut self.versions {
            version.confirmed |= version.number == number;
        }
    }

    /// After a restart: goes on from what was found.
    pub fn adopt(&mut self, found: Option<PolicyRules>, clean: bool, safe: Step) -> Checked {
        let known = |version: &Version| clean || version.confirmed || version.step <= safe;
        let first = self.versions.iter().rposition(known).unwrap_or(0);
        let first = if clean {
            self.versions.len() - 1
        } else {
            first
        };
        let may_be = &self.versions[first..];
        if !may_be.iter().any(|version| version.rules == found) {
            return violated!("the policy is {found:?} and was {may_be:?}");
        }
        let number = self.last().number;
        let rules = found;
        self.versions = vec![Version {
            rules,
            number,
            ..NONE
        }];
        Ok(())
    }
}

impl Model {
    /// What a queue of that name does that was declared like this.
    #[must_use]
    pub fn rules_of(&self, name: &str, declared: &super::rules::Rules) -> super::rules::Rules {
        match self.policy.rules() {
            Some(policy) if is_for(name) => declared.under(policy),
            _ => declared.clone(),
        }
    }
}
