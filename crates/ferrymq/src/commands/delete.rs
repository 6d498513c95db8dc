//! `delete`: queues, exchanges and bindings.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::arguments::object;
use super::declare::Ends;
use super::outcome::{Done, Failure};
use super::session::{InVhost, Remote, say};
use crate::client::{ClientError, path, with_query};
use crate::show::escape;

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Deletes a queue, with all messages in it
    Queue(Queue),
    /// Deletes an exchange, with its bindings
    Exchange(Exchange),
    /// Deletes the binding with that key and those arguments
    Binding(Binding),
}

#[derive(Debug, Args)]
struct Queue {
    /// Name
    name: String,
    /// Only if it has no messages
    #[arg(long)]
    if_empty: bool,
    /// Only if it has no consumers
    #[arg(long)]
    if_unused: bool,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Exchange {
    /// Name
    name: String,
    /// Only if nothing is bound to it
    #[arg(long)]
    if_unused: bool,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Binding {
    #[command(flatten)]
    ends: Ends,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

impl Delete {
    pub fn run(self) -> Done {
        match self.what {
            What::Queue(Queue {
                name,
                if_empty,
                if_unused,
                vhost,
                remote,
            }) => {
                let path = path(&["queues", &vhost.vhost, &name]);
                let conditions = [("if-empty", flag(if_empty)), ("if-unused", flag(if_unused))];
                remote.delete(&with_query(path, &conditions), "queue", &name)
            }
            What::Exchange(Exchange {
                name,
                if_unused,
                vhost,
                remote,
            }) => {
                let path = path(&["exchanges", &vhost.vhost, &name]);
                let conditions = [("if-unused", flag(if_unused))];
                remote.delete(&with_query(path, &conditions), "exchange", &name)
            }
            What::Binding(binding) => binding.run(),
        }
    }
}

fn flag(set: bool) -> Option<String> {
    set.then(|| "true".to_owned())
}

impl Binding {
    fn run(self) -> Done {
        let client = self.remote.client()?;
        let between = self.ends.path(&self.vhost.vhost);
        let arguments = Value::Object(object(self.ends.arguments.clone())?);
        let all = client.get(&between)?;
        let is_meant = |binding: &&Value| {
            binding["routing_key"] == self.ends.key.as_str() && binding["arguments"] == arguments
        };
        let found = all.as_array().into_iter().flatten().find(is_meant);
        let Some(key) = found.and_then(|binding| binding["properties_key"].as_str()) else {
            let missing = "no binding with that key and those arguments is there".to_owned();
            return Err(Failure::Client(ClientError::not_found(missing)));
        };
        // Names within it are encoded once already; as a segment of a path it is encoded again.
        let one = path(&[key]);
        let key = one.strip_prefix("/api").unwrap_or(&one);
        client.delete(&format!("{between}{key}"), &Value::Null)?;
        let (destination, source) = (&self.ends.destination, &self.ends.source);
        say(&format!(
            "unbound {} from {}",
            escape(destination),
            escape(source)
        ))
    }
}
