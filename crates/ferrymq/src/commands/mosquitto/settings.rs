//! Settings of a node as a file for it, and what could not be put into them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::lines::Place;

/// Settings by key, as TOML has them.
#[derive(Debug, Default)]
pub(super) struct Settings {
    values: BTreeMap<&'static str, String>,
    pub notes: Vec<String>,
}

impl Settings {
    pub fn set(&mut self, key: &'static str, text: &str) {
        self.values.insert(key, toml::Value::from(text).to_string());
    }

    pub fn set_number(&mut self, key: &'static str, number: u64) {
        self.values.insert(key, number.to_string());
    }

    pub fn set_list(&mut self, key: &'static str, texts: Vec<String>) {
        self.values
            .insert(key, toml::Value::from(texts).to_string());
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The place of what stands in no file.
    pub fn nowhere(&self) -> Place {
        Place {
            file: PathBuf::from("the default listener"),
            line: 0,
        }
    }

    /// As a file for a node.
    pub fn to_toml(&self) -> String {
        let lines = self.values.iter();
        lines
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect()
    }
}
