//! The ACL file: who may read and write which topics.
//!
//! ```text
//!  topic read a/#          before the first user: of clients without a name
//!  user ann
//!  topic readwrite b/+     of ann
//!  pattern write c/%c/#    of everybody; %c is the client's id, %u the user
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use super::lines::{Line, Place, words};
use super::topic::Topic;
use crate::commands::outcome::Failure;

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allows {
    Read,
    Write,
    Both,
    /// Nothing, whatever others allow.
    Denies,
}

/// A rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub place: Place,
    pub text: String,
    pub allows: Allows,
    pub topic: Topic,
}

/// The rules of a file.
#[derive(Debug, Default)]
pub(super) struct Acl {
    pub anonymous: Vec<Rule>,
    pub users: BTreeMap<String, Vec<Rule>>,
    /// Of everybody.
    pub patterns: Vec<Rule>,
    /// What is not understood.
    pub notes: Vec<String>,
}

impl Acl {
    pub fn read(path: &Path) -> Result<Acl, Failure> {
        let mut acl = Acl::default();
        let mut user: Option<String> = None;
        for line in words(path)? {
            match line.word.as_str() {
                "user" if !line.rest.is_empty() => {
                    acl.users.entry(line.rest.clone()).or_default();
                    user = Some(line.rest);
                }
                "topic" => match (rule(&line, false), &user) {
                    (Err(why), _) => acl.note(&line, why),
                    (Ok(rule), None) => acl.anonymous.push(rule),
                    (Ok(rule), Some(user)) => {
                        acl.users.entry(user.clone()).or_default().push(rule);
                    }
                },
                "pattern" => match rule(&line, true) {
                    Err(why) => acl.note(&line, why),
                    Ok(rule) => acl.patterns.push(rule),
                },
                _ => acl.note(&line, "it is neither topic nor pattern nor user: left out"),
            }
        }
        Ok(acl)
    }

    fn note(&mut self, line: &Line, why: &str) {
        self.notes
            .push(format!("{}: `{}`: {why}", line.place, line.text()));
    }
}

fn rule(line: &Line, pattern: bool) -> Result<Rule, &'static str> {
    let (word, rest) = line
        .rest
        .split_once([' ', '\t'])
        .unwrap_or((&line.rest, ""));
    let allows = match word {
        "read" => Some(Allows::Read),
        "write" => Some(Allows::Write),
        "readwrite" => Some(Allows::Both),
        "deny" => Some(Allows::Denies),
        _ => None,
    };
    let (allows, topic) = match allows {
        Some(allows) if !rest.is_empty() => (allows, rest.trim()),
        None if rest.is_empty() => (Allows::Both, word),
        _ => return Err("a topic with blanks needs read, write, readwrite or deny: left out"),
    };
    Ok(Rule {
        place: line.place.clone(),
        text: line.text(),
        allows,
        topic: Topic::parse(topic, pattern).ok_or("it is not a filter of topics: left out")?,
    })
}
