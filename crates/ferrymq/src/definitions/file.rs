//! A definitions file, every object of it with its virtual host.

use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

/// Longest file, in bytes: as long as a node takes.
const FILE_BYTES_MAX: u64 = 20_000_000;

/// Sections whose objects are in a virtual host.
const IN_VHOST: &[&str] = &["parameters", "policies", "exchanges", "queues", "bindings"];

/// What a file of a single virtual host says of itself.
const OF_SINGLE: &[&str] = &[
    "rabbitmq_definition_format",
    "original_vhost_name",
    "explanation",
    "metadata",
    "description",
    "tags",
    "default_queue_type",
    "limits",
];

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("can not read {path}: {error}")]
    Unreadable { path: String, error: io::Error },
    #[error("{path} has more than {FILE_BYTES_MAX} bytes")]
    TooLong { path: String },
    #[error("{path}: not JSON: {error}")]
    NotJson {
        path: String,
        error: serde_json::Error,
    },
    #[error("{path}: {why}")]
    NotDefinitions { path: String, why: String },
}

/// Definitions of a node.
#[derive(Debug, Clone)]
pub(crate) struct File {
    sections: Map<String, Value>,
}

impl File {
    /// Reads a file, - for standard input. What is in no virtual host by itself is in `vhost`, or
    /// in the one that the file is from.
    pub fn read(path: &Path, vhost: Option<&str>) -> Result<File, FileError> {
        let name = path.display().to_string();
        let unreadable = |error| FileError::Unreadable {
            path: name.clone(),
            error,
        };
        let mut text = Vec::new();
        let read = match path == Path::new("-") {
            true => io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut text),
            false => std::fs::File::open(path)
                .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)),
        };
        if read.map_err(unreadable)? as u64 > FILE_BYTES_MAX {
            return Err(FileError::TooLong { path: name });
        }
        let value = serde_json::from_slice(&text).map_err(|error| FileError::NotJson {
            path: name.clone(),
            error,
        })?;
        File::new(value, vhost).map_err(|why| FileError::NotDefinitions { path: name, why })
    }

    /// Takes definitions, or says what is wrong with them.
    pub fn new(value: Value, vhost: Option<&str>) -> Result<File, String> {
        let Value::Object(mut sections) = value else {
            return Err("definitions are one JSON object".to_owned());
        };
        let single = sections.get("rabbitmq_definition_format");
        let single = single.is_some_and(|format| format == "single_virtual_host");
        let from = sections.get("original_vhost_name").and_then(Value::as_str);
        let from = from.filter(|_| single).map(str::to_owned);
        let vhost = vhost.map(str::to_owned).or(from);
        if single {
            sections.retain(|section, _| !OF_SINGLE.contains(&section.as_str()));
        }
        for (section, list) in &mut sections {
            let Value::Array(list) = list else { continue };
            for (index, item) in list.iter_mut().enumerate() {
                let Value::Object(item) = item else {
                    return Err(format!("{section}[{index}] should be an object"));
                };
                if !IN_VHOST.contains(&section.as_str()) || item.contains_key("vhost") {
                    continue;
                }
                let Some(vhost) = &vhost else {
                    return Err(format!(
                        "{section}[{index}] names no virtual host: say which with --vhost"
                    ));
                };
                item.insert("vhost".to_owned(), Value::String(vhost.clone()));
            }
        }
        Ok(File { sections })
    }

    /// The objects of a section; none if the file has no such section.
    pub fn section(&self, name: &str) -> Option<&[Value]> {
        self.sections.get(name)?.as_array().map(Vec::as_slice)
    }

    /// The objects of a section, if there are any.
    pub fn all(&self, name: &str) -> &[Value] {
        self.section(name).unwrap_or(&[])
    }

    /// As a node takes it.
    pub fn to_value(&self) -> Value {
        Value::Object(self.sections.clone())
    }
}
