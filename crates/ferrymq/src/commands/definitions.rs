//! `definitions`: all of them out of a node, or a file of them into one, as it is.
//!
//! Invariants
//! - An exported file replaces one that is there only when all of it is written.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::outcome::{Done, Failure};
use super::session::{Remote, say};
use crate::client::path;
use crate::show;

#[derive(Debug, Args)]
pub(crate) struct Definitions {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Writes all definitions to a file or to standard output, in RabbitMQ's format
    Export(Export),
    /// Posts a file of definitions to the node
    Import(Import),
}

#[derive(Debug, Args)]
struct Export {
    /// File, - for standard output
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Only those of this virtual host
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Import {
    /// File, - for standard input
    file: PathBuf,
    /// Into this virtual host: a file of a single one
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Definitions {
    pub fn run(self) -> Done {
        match self.act {
            Act::Export(export) => export.run(),
            Act::Import(import) => import.run(),
        }
    }
}

fn path_of(vhost: Option<&str>) -> String {
    vhost.map_or_else(
        || path(&["definitions"]),
        |vhost| path(&["definitions", vhost]),
    )
}

impl Export {
    fn run(self) -> Done {
        let all = self.remote.client()?.get(&path_of(self.vhost.as_deref()))?;
        let text = show::json(&all);
        if self.file == Path::new("-") {
            return Ok(show::write(text.as_bytes())?);
        }
        write_whole(&self.file, text.as_bytes()).map_err(|error| {
            Failure::Failed(format!("can not write {}: {error}", self.file.display()))
        })?;
        say(&format!("wrote {}", self.file.display()))
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut options = std::fs::OpenOptions::new();
    // Hashes of passwords are in it: for nobody else's eyes.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.write(true).create(true).truncate(true).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

impl Import {
    fn run(self) -> Done {
        let name = self.file.display();
        let mut text = String::new();
        let read = match self.file == Path::new("-") {
            true => io::stdin().read_to_string(&mut text),
            false => {
                std::fs::File::open(&self.file).and_then(|mut file| file.read_to_string(&mut text))
            }
        };
        read.map_err(|error| Failure::Usage(format!("can not read {name}: {error}")))?;
        let wrong = |why: &str| Failure::Usage(format!("{name}: {why}"));
        let all: Value =
            serde_json::from_str(&text).map_err(|error| wrong(&format!("not JSON: {error}")))?;
        if !all.is_object() {
            return Err(wrong("definitions are a JSON object"));
        }
        self.remote
            .client()?
            .post(&path_of(self.vhost.as_deref()), &all)?;
        say(&format!("imported {name}"))
    }
}
