//! What in a file is likely to hurt, and what to do about it.
//!
//! Invariants
//! - A finding says what it is about, what happens, and what to do.
//! - What a file can not tell is not guessed: who consumes, and how, is not in it.

mod access;
mod queues;
mod wires;

use serde_json::{Value, json};

use super::File;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Messages are lost, or it does not do what it says.
    Bad,
    /// It hurts on a bad day.
    Warning,
    /// Worth knowing.
    Note,
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Level::Bad => "bad",
            Level::Warning => "warning",
            Level::Note => "note",
        }
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub level: Level,
    /// The name of the rule.
    pub rule: &'static str,
    /// What it is about, in the singular.
    pub kind: &'static str,
    /// Its virtual host; empty if it is in none.
    pub vhost: String,
    pub name: String,
    /// What happens.
    pub what: String,
    /// What to do.
    pub advice: &'static str,
}

impl Finding {
    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "level": self.level.word(),
            "rule": self.rule,
            "kind": self.kind,
            "vhost": self.vhost,
            "name": self.name,
            "what": self.what,
            "advice": self.advice,
        })
    }
}

/// Looks the whole file over; the worst comes first.
pub(crate) fn lint(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    wires::check(file, &mut findings);
    queues::check(file, &mut findings);
    access::check(file, &mut findings);
    findings.sort_by_key(|finding| finding.level);
    findings
}

/// A field of an object that is text.
fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or("")
}
