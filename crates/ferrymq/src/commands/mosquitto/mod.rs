//! Moving from Mosquitto: its configuration, passwords and ACL become settings and definitions.
//!
//! ```text
//!  mosquitto.conf ---> settings of a node (printed)
//!    password_file ---> users                        \
//!    acl_file ---> permissions, topic permissions     > definitions, imported
//! ```
//!
//! Invariants
//! - Nothing here speaks to a node: files in, settings, definitions and notes out.
//! - What has no equivalent is named with its line; nothing is left out silently.

mod acl;
mod lines;
mod listeners;
mod options;
mod settings;
#[cfg(test)]
mod tests;
mod topic;
mod users;

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::outcome::Failure;
use acl::Acl;
use lines::{Line, configuration};
use listeners::Listeners;
use settings::Settings;
use users::Users;

/// What a configuration becomes.
#[derive(Debug)]
pub(super) struct Moved {
    /// A file of settings.
    pub settings: String,
    /// Users and their rights.
    pub definitions: Value,
    /// What is otherwise, line by line.
    pub notes: Vec<String>,
}

/// Reads a configuration and the files that it names. `vhost` is where the users' rights are.
pub(super) fn read(path: &Path, vhost: &str) -> Result<Moved, Failure> {
    let lines = configuration(path)?;
    let mut settings = Settings::default();
    let mut listeners = Listeners::default();
    let mut access = Access::default();
    for line in &lines {
        match listeners.take(line) {
            Some(Ok(())) => {}
            Some(Err(why)) => {
                settings.note(format!("{}: `{}`: {why}", line.place, line.text()));
            }
            None if access.take(line)? => {}
            None => options::take(line, &mut settings),
        }
    }
    let mut anonymous = access.anonymous.unwrap_or_else(|| listeners.is_empty());
    if access.per_listener && !listeners.is_empty() {
        let (some, all) = listeners.allow_anonymous();
        anonymous = all;
        if some && !all {
            let why = "`allow_anonymous` holds for all listeners or for none: left out";
            settings.note(why.to_owned());
        }
    }
    listeners.put(&mut settings);
    let mut users = Users::default();
    if let Some(path) = &access.passwords {
        users.read_passwords(path)?;
    }
    if anonymous {
        users.allow_anonymous();
    }
    let acl = access.acl.as_deref().map(Acl::read).transpose()?;
    let definitions = users.definitions(acl.as_ref(), vhost);
    if let Some(user) = &users.anonymous {
        settings.set("mqtt_anonymous", user);
    }
    if vhost != super::session::VHOST_DEFAULT {
        settings.set("mqtt_vhost", vhost);
    }
    if anonymous && access.passwords.is_none() {
        let why = "users are checked here: without a password file only clients without a name \
                   are let in";
        settings.note(why.to_owned());
    }
    let mut notes = settings.notes.clone();
    notes.extend(acl.map(|acl| acl.notes).unwrap_or_default());
    notes.append(&mut users.notes);
    Ok(Moved {
        settings: settings.to_toml(),
        definitions,
        notes,
    })
}

/// Options about who may log in, and do what.
#[derive(Debug, Default)]
struct Access {
    per_listener: bool,
    anonymous: Option<bool>,
    passwords: Option<PathBuf>,
    acl: Option<PathBuf>,
}

impl Access {
    /// Takes a line, if it is about that.
    fn take(&mut self, line: &Line) -> Result<bool, Failure> {
        let file = match line.word.as_str() {
            "per_listener_settings" => {
                self.per_listener = line.rest == "true";
                return Ok(true);
            }
            "allow_anonymous" => {
                self.anonymous = Some(line.rest == "true");
                return Ok(true);
            }
            "password_file" => &mut self.passwords,
            "acl_file" => &mut self.acl,
            _ => return Ok(false),
        };
        let named = PathBuf::from(&line.rest);
        if file.as_ref().is_some_and(|other| *other != named) {
            return Err(Failure::Usage(format!(
                "{}: a second `{}`: users and rights of a node are the same at all its \
                 listeners. Make a file for each listener, and import each with a --vhost of its \
                 own",
                line.place, line.word
            )));
        }
        *file = Some(named);
        Ok(true)
    }
}
