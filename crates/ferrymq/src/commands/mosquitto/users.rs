//! Users and what they may do, as definitions.
//!
//! Invariants
//! - Nobody gets a topic that Mosquitto would not give: a rule of which a `deny` takes a part away
//!   is left out whole, and named.
//! - A hash is passed on as it is; a password that stands there in the clear is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::acl::{Acl, Allows, Rule};
use super::lines::numbered;
use crate::commands::outcome::Failure;

/// Queues of sessions.
const SESSIONS: &str = "^mqtt-(subscription|shared)-";
/// The same, and the exchange that all topics go through.
const SESSIONS_AND_TOPICS: &str = r"^(mqtt-(subscription|shared)-.*|amq\.topic)$";
const TOPICS: &str = "amq.topic";
/// What matches the empty key only, which no topic has.
const NOTHING: &str = "^$";
/// Longest pattern that a node takes, in bytes.
const PATTERN_BYTES_MAX: usize = 4_096;
/// Longest name of a user, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Who is there, and with which hash.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// By name; none for who has no password.
    hashes: BTreeMap<String, Option<String>>,
    /// Who clients without a name are.
    pub anonymous: Option<String>,
    pub notes: Vec<String>,
}

impl Users {
    /// Takes the users of a password file.
    pub fn read_passwords(&mut self, path: &Path) -> Result<(), Failure> {
        for (place, line) in numbered(path)? {
            let (name, hash) = line.split_once(':').unwrap_or((&line, ""));
            let why = match (name.len(), hash.get(..3)) {
                (1..=NAME_BYTES_MAX, Some("$6$" | "$7$")) => {
                    let hash = Some(hash.to_owned());
                    self.hashes.insert(name.to_owned(), hash);
                    continue;
                }
                (1..=NAME_BYTES_MAX, _) => {
                    self.hashes.insert(name.to_owned(), None);
                    "its password is not hashed as $6$ or $7$: set a new one"
                }
                _ => "the name is empty or too long: left out",
            };
            self.notes.push(format!("{place}: user `{name}`: {why}"));
        }
        Ok(())
    }

    /// Makes a user for clients without a name.
    pub fn allow_anonymous(&mut self) {
        let names = ["anonymous", "mqtt-anonymous"];
        let free = names
            .into_iter()
            .find(|name| !self.hashes.contains_key(*name));
        if let Some(name) = free {
            self.anonymous = Some(name.to_owned());
        }
    }

    /// All of them as definitions, with their rights in a virtual host. Without an ACL they may
    /// use all topics.
    pub fn definitions(&mut self, acl: Option<&Acl>, vhost: &str) -> Value {
        let mut topics = Vec::new();
        for name in acl.into_iter().flat_map(|acl| acl.users.keys()) {
            if !self.hashes.contains_key(name) {
                self.hashes.insert(name.clone(), None);
                let why = "has rules and no password: made without one, for a certificate";
                self.notes.push(format!("user `{name}` {why}"));
            }
        }
        if let Some(acl) = acl {
            let named = self
                .hashes
                .keys()
                .map(|name| (name.as_str(), Some(name.as_str())));
            let anonymous = self.anonymous.iter().map(|name| (name.as_str(), None));
            let mut notes = BTreeSet::new();
            for (name, user) in named.chain(anonymous) {
                let rights = Rights::of(acl, user, &mut notes);
                topics.push(rights.definition(name, vhost, &mut notes));
            }
            self.notes.extend(notes);
        }
        let anonymous = self.anonymous.iter().map(|name| (name, &None));
        let all: Vec<_> = self.hashes.iter().chain(anonymous).collect();
        let users = all.iter().map(|(name, hash)| {
            json!({
                "name": name,
                "password_hash": hash.as_deref().unwrap_or(""),
                "hashing_algorithm": "mosquitto",
                "tags": [],
            })
        });
        let permissions = all.iter().map(|(name, _)| {
            json!({
                "user": name, "vhost": vhost, "configure": SESSIONS,
                "write": SESSIONS_AND_TOPICS, "read": SESSIONS_AND_TOPICS,
            })
        });
        json!({
            "users": users.collect::<Value>(),
            "permissions": permissions.collect::<Value>(),
            "topic_permissions": topics,
        })
    }
}

/// What one user may write and read, as regular expressions over keys.
struct Rights {
    write: Vec<String>,
    read: Vec<String>,
}

impl Rights {
    /// Of a user, or of clients without a name.
    fn of(acl: &Acl, user: Option<&str>, notes: &mut BTreeSet<String>) -> Rights {
        let own = match user {
            Some(user) => acl.users.get(user).map_or(&[][..], Vec::as_slice),
            None => &acl.anonymous,
        };
        let name = user.unwrap_or("");
        // Mosquitto gives patterns with a user to nobody whose name would be more than a level.
        let fits = user.is_some_and(|user| !user.contains(['/', '+', '#']));
        let patterns = acl.patterns.iter();
        let patterns = patterns.filter(|rule| fits || !rule.topic.names_user());
        let rules: Vec<&Rule> = own.iter().chain(patterns).collect();
        let denied = |rule: &Rule| {
            let denials = rules.iter().filter(|other| other.allows == Allows::Denies);
            let mut denials = denials.filter(|other| other.topic.overlaps(&rule.topic, name));
            denials.next().copied()
        };
        let mut rights = Rights {
            write: Vec::new(),
            read: Vec::new(),
        };
        let mut used = BTreeSet::new();
        for rule in rules.iter().filter(|rule| rule.allows != Allows::Denies) {
            if let Some(denial) = denied(rule) {
                used.insert(denial.place.to_string());
                notes.insert(format!(
                    "{}: `{}` is left out: `{}` (line {}) takes a part of it away, for which \
                     permissions have no word. List the topics that are allowed",
                    rule.place, rule.text, denial.text, denial.place.line
                ));
                continue;
            }
            let regex = rule.topic.regex(name);
            if rule.allows != Allows::Read {
                rights.write.push(regex.clone());
            }
            if rule.allows != Allows::Write {
                rights.read.push(regex);
            }
        }
        for rule in rules.iter().filter(|rule| rule.allows == Allows::Denies) {
            if !used.contains(&rule.place.to_string()) {
                notes.insert(format!(
                    "{}: `{}` has no equivalent, and nothing to take away: what no rule allows \
                     is refused",
                    rule.place, rule.text
                ));
            }
        }
        rights
    }

    fn definition(self, user: &str, vhost: &str, notes: &mut BTreeSet<String>) -> Value {
        let mut pattern = |all: Vec<String>, what: &str| match all.as_slice() {
            [] => NOTHING.to_owned(),
            all => {
                let pattern = format!("^({})$", all.join("|"));
                if pattern.len() <= PATTERN_BYTES_MAX {
                    return pattern;
                }
                notes.insert(format!(
                    "user `{user}` has too many rules for one permission: may {what} nothing. \
                     Write fewer rules with wildcards"
                ));
                NOTHING.to_owned()
            }
        };
        json!({
            "user": user, "vhost": vhost, "exchange": TOPICS,
            "write": pattern(self.write, "write"), "read": pattern(self.read, "read"),
        })
    }
}
