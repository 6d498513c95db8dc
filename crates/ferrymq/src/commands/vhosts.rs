//! `vhosts`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::list::{self, Column, Show};
use super::outcome::Done;
use super::session::{Remote, Showing, say};
use crate::client::path;
use crate::show::escape;

const COLUMNS: [Column; 6] = [
    Column("name", "name", Show::Text),
    Column("description", "description", Show::Text),
    Column("tags", "tags", Show::Text),
    Column("default queue type", "default_queue_type", Show::Text),
    Column("ready", "messages_ready", Show::Number),
    Column("unacked", "messages_unacknowledged", Show::Number),
];

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Vhosts {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    showing: Showing,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Adds a virtual host, or changes what is said about one
    Add(Add),
    /// Deletes a virtual host, with its queues and all messages in them
    Delete(Delete),
}

#[derive(Debug, Args)]
struct Add {
    /// Name
    name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Tags, with commas between
    #[arg(long, value_name = "TAG,...")]
    tags: Option<String>,
    /// Type of queues that are declared without one
    #[arg(long, value_name = "TYPE", value_parser = ["classic", "quorum", "stream"])]
    default_queue_type: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Delete {
    /// Name
    name: String,
    #[command(flatten)]
    remote: Remote,
}

impl Vhosts {
    pub fn run(self) -> Done {
        match self.act {
            Some(Act::Add(add)) => add.run(),
            Some(Act::Delete(delete)) => {
                let Delete { name, remote } = delete;
                remote.delete(&path(&["vhosts", &name]), "virtual host", &name)
            }
            None => {
                let session = self.showing.open()?;
                let items = session.client.get(&path(&["vhosts"]))?;
                list::show(&session, &items, &COLUMNS)
            }
        }
    }
}

impl Add {
    fn run(self) -> Done {
        let mut body = json!({});
        for (name, value) in [
            ("description", self.description),
            ("tags", self.tags),
            ("default_queue_type", self.default_queue_type),
        ] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let client = self.remote.client()?;
        client.put(&path(&["vhosts", &self.name]), &body)?;
        say(&format!("added virtual host {}", escape(&self.name)))
    }
}
