//! `apply`: makes a node as a definitions file says.
//!
//! Invariants
//! - What the file has not is deleted only if that is asked for, and a queue only when it is empty.
//! - The user who asks, and the rights of that user, are never deleted.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::import::send;
use super::outcome::{Done, Failure};
use super::plan::{node, table};
use super::session::Showing;
use crate::client::{Client, ClientError, path};
use crate::definitions::{Change, File, Op, plan};
use crate::show::{count, escape};

#[derive(Debug, Args)]
#[command(after_help = "\
A queue or exchange that differs is left as it is and named; the exit code is 1 then.
With --prune, queues that are not empty are left, too.")]
pub(crate) struct Apply {
    /// File in RabbitMQ's format, - for standard input
    file: PathBuf,
    /// Deletes what the node has and the file has not, in the sections of the file
    #[arg(long)]
    prune: bool,
    /// Where a file of a single virtual host belongs [default: the one that it is from]
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    #[command(flatten)]
    showing: Showing,
}

impl Apply {
    pub fn run(self) -> Done {
        let file = File::read(&self.file, self.vhost.as_deref())?;
        let session = self.showing.open()?;
        let client = &session.client;
        let me = client.get(&path(&["whoami"]))?;
        let me = me["name"].as_str().unwrap_or("").to_owned();
        let mut changes = plan(&file, &node(client)?);
        changes.retain(|change| change.op != Op::Remove || self.prune && !is_of(change, &me));
        if changes.iter().any(|change| change.op != Op::Remove) {
            send(client, &file)?;
        }
        let mut left = Vec::new();
        for change in changes.iter().filter(|change| change.op == Op::Differ) {
            left.push(format!(
                "{} is there otherwise, and was left",
                named(change)
            ));
        }
        // What is built on others goes first.
        for change in changes
            .iter()
            .rev()
            .filter(|change| change.op == Op::Remove)
        {
            match remove(client, change) {
                // It went with something else.
                Ok(()) | Err(Failure::Client(ClientError::NotFound { .. })) => {}
                Err(Failure::Client(error @ ClientError::Refused { .. })) => {
                    left.push(format!("{} was left: {error}", named(change)));
                }
                Err(error) => return Err(error),
            }
        }
        let all: Value = changes.iter().map(Change::to_json).collect();
        session.show(&all, |_, terminal| match changes.is_empty() {
            true => "The node was as the file says.\n".to_owned(),
            false => table(&changes, terminal),
        })?;
        if left.is_empty() {
            return Ok(());
        }
        left.iter().for_each(|text| eprintln!("{text}"));
        let number = count(left.len() as u64, "difference");
        Err(Failure::Failed(format!("{number} left")))
    }
}

fn named(change: &Change) -> String {
    let (name, vhost) = (change.name(), change.vhost());
    format!(
        "{} '{}' in vhost '{}'",
        change.kind,
        escape(&name),
        escape(vhost)
    )
}

/// Whether a change takes something away from that user.
fn is_of(change: &Change, user: &str) -> bool {
    match change.kind {
        "user" => change.object["name"] == user,
        "permission" | "topic permission" => change.object["user"] == user,
        _ => false,
    }
}

fn remove(client: &Client, change: &Change) -> Done {
    let text = |field: &str| change.object[field].as_str().unwrap_or("");
    let (vhost, name) = (change.vhost(), text("name"));
    let path = match change.kind {
        "vhost" => path(&["vhosts", name]),
        "user" => path(&["users", name]),
        "permission" => path(&["permissions", vhost, text("user")]),
        "topic permission" => path(&["topic-permissions", vhost, text("user"), text("exchange")]),
        "global parameter" => path(&["global-parameters", name]),
        "parameter" => path(&["parameters", text("component"), vhost, name]),
        "policy" => path(&["policies", vhost, name]),
        "exchange" => path(&["exchanges", vhost, name]),
        "queue" => format!("{}?if-empty=true", path(&["queues", vhost, name])),
        _ => match binding(client, change)? {
            Some(path) => path,
            None => return Ok(()),
        },
    };
    client.delete(&path, &Value::Null)?;
    Ok(())
}

/// The path of a binding, whose last part only the node can name; none if it is gone.
fn binding(client: &Client, change: &Change) -> Result<Option<String>, Failure> {
    let text = |field: &str| change.object[field].as_str().unwrap_or("");
    let kind = match text("destination_type") {
        "queue" => "q",
        _ => "e",
    };
    let (source, to) = (text("source"), text("destination"));
    let ends = ["bindings", change.vhost(), "e", source, kind, to];
    let all = client.get(&path(&ends))?;
    let mut all = all.as_array().into_iter().flatten();
    let same = |one: &&Value| {
        one["routing_key"] == change.object["routing_key"]
            && one["arguments"] == change.object["arguments"]
    };
    let found = all
        .find(same)
        .and_then(|one| one["properties_key"].as_str());
    Ok(found.map(|key| path(&[&ends[..], &[key]].concat())))
}
