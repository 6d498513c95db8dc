//! `import`: a definitions file into a node, with what the node has to say about it.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::outcome::{Done, Failure};
use super::session::{Remote, say};
use crate::client::{Client, ClientError, path};
use crate::definitions::{File, FileError};
use crate::show::{self, escape};

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// File in RabbitMQ's format, - for standard input
    file: PathBuf,
    /// Where a file of a single virtual host goes [default: the one that it is from]
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Failure::Usage(escape(&error.to_string()).into_owned())
    }
}

impl Import {
    pub fn run(self) -> Done {
        let file = File::read(&self.file, self.vhost.as_deref())?;
        let client = self.remote.client()?;
        let warnings = send(&client, &file)?;
        let warnings = match warnings {
            0 => String::new(),
            count => format!(", with {}", show::count(count, "warning")),
        };
        let name = self.file.display().to_string();
        say(&format!("imported {}{warnings}", escape(&name)))
    }
}

/// Imports a file, after its warnings were written to standard error; says how many.
pub(super) fn send(client: &Client, file: &File) -> Result<u64, Failure> {
    let file = file.to_value();
    let warnings = match client.post(&path(&["ferry", "definitions", "check"]), &file) {
        Ok(answer) => answer["warnings"].as_array().cloned().unwrap_or_default(),
        // A node of RabbitMQ: it says nothing before.
        Err(ClientError::NotFound { .. } | ClientError::Refused { status: 405, .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    for warning in warnings.iter().filter_map(Value::as_str) {
        eprintln!("warning: {}", escape(warning));
    }
    client.post(&path(&["definitions"]), &file)?;
    Ok(warnings.len() as u64)
}
