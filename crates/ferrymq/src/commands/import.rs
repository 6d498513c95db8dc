//! `import`: a definitions file into a node, with what the node has to say about it; or what a
//! configuration of Mosquitto becomes.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::mosquitto;
use super::outcome::{Done, Failure};
use super::plan::table;
use super::session::{Remote, VHOST_DEFAULT, say};
use crate::client::{Client, ClientError, path};
use crate::definitions::{File, FileError, plan};
use crate::show::{self, Terminal, escape};

/// Where definitions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Origin {
    /// A definitions file
    Rabbitmq,
    /// A configuration of Mosquitto, with the password and ACL files that it names
    Mosquitto,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Of a mosquitto.conf the users, their passwords and their rights are imported; the settings for a
node are written to standard output, and what has no equivalent to standard error, line by line.")]
pub(crate) struct Import {
    /// File in RabbitMQ's format, - for standard input; or a mosquitto.conf
    file: PathBuf,
    /// What the file is [default: mosquitto if its name ends in .conf, else rabbitmq]
    #[arg(long, value_name = "KIND")]
    from: Option<Origin>,
    /// Where a file of a single virtual host goes [default: the one that it is from]
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    /// Shows what would be imported, and asks no node
    #[arg(long)]
    dry_run: bool,
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
        let file = match self.origin() {
            Origin::Rabbitmq => File::read(&self.file, self.vhost.as_deref())?,
            Origin::Mosquitto => self.of_mosquitto()?,
        };
        if self.dry_run {
            let nothing = File::new(json!({}), None).map_err(Failure::Failed)?;
            eprint!("{}", table(&plan(&file, &nothing), Terminal::now()));
            return say("nothing was imported");
        }
        let client = self.remote.client()?;
        let warnings = send(&client, &file)?;
        let warnings = match warnings {
            0 => String::new(),
            count => format!(", with {}", show::count(count, "warning")),
        };
        let name = self.file.display().to_string();
        say(&format!("imported {}{warnings}", escape(&name)))
    }

    fn origin(&self) -> Origin {
        let conf = self
            .file
            .extension()
            .is_some_and(|extension| extension == "conf");
        self.from.unwrap_or(match conf {
            true => Origin::Mosquitto,
            false => Origin::Rabbitmq,
        })
    }

    /// Writes the settings out and what is otherwise; gives users and rights.
    fn of_mosquitto(&self) -> Result<File, Failure> {
        let vhost = self.vhost.as_deref().unwrap_or(VHOST_DEFAULT);
        let moved = mosquitto::read(&self.file, vhost)?;
        for note in &moved.notes {
            eprintln!("{}", escape(note));
        }
        show::write(moved.settings.as_bytes())?;
        File::new(moved.definitions, None).map_err(Failure::Failed)
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
