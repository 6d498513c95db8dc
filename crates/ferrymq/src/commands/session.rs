//! What the commands for a running node have in common: where it is, and how to answer.

use clap::Args;
use serde_json::Value;

use super::outcome::{Done, Failure};
use crate::client::{Client, NodeArgs};
use crate::show::{self, Terminal, escape};

/// The virtual host of acts that name none.
pub(super) const VHOST_DEFAULT: &str = "/";

/// Flags of every command that only acts.
#[derive(Debug, Args)]
pub(super) struct Remote {
    #[command(flatten)]
    node: NodeArgs,
}

impl Remote {
    pub fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.node.address()?)?)
    }

    /// Deletes what is at `path`, a `what` of this name, and says so.
    pub fn delete(&self, path: &str, what: &str, name: &str) -> Done {
        let gone = self.client()?.delete(path, &Value::Null);
        gone.map_err(|error| error.named(what, name))?;
        say(&format!("deleted {what} {}", escape(name)))
    }
}

/// Flags of every command that shows something.
#[derive(Debug, Args)]
pub(super) struct Showing {
    #[command(flatten)]
    remote: Remote,
    /// Writes the API's objects as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl Showing {
    pub fn open(&self) -> Result<Session, Failure> {
        Ok(Session {
            client: self.remote.client()?,
            json: self.json,
            terminal: Terminal::now(),
        })
    }
}

/// The virtual host that is acted in.
#[derive(Debug, Args)]
pub(super) struct InVhost {
    /// Virtual host
    #[arg(
        long,
        value_name = "NAME",
        env = "FERRYMQ_VHOST",
        default_value = VHOST_DEFAULT,
        hide_env_values = true,
        help_heading = "Node"
    )]
    pub vhost: String,
}

/// The virtual host whose objects are shown.
#[derive(Debug, Args)]
pub(super) struct OfVhost {
    /// Virtual host [default: all]
    #[arg(
        long,
        value_name = "NAME",
        env = "FERRYMQ_VHOST",
        hide_env_values = true,
        help_heading = "Node"
    )]
    pub vhost: Option<String>,
}

/// A node, and a place to show what it says.
pub(super) struct Session {
    pub client: Client,
    pub json: bool,
    pub terminal: Terminal,
}

impl Session {
    /// Writes a value as JSON if that is wanted, else what `text` makes of it.
    pub fn show(&self, value: &Value, text: impl FnOnce(&Value, Terminal) -> String) -> Done {
        let text = match self.json {
            true => show::json(value),
            false => text(value, self.terminal),
        };
        Ok(show::write(text.as_bytes())?)
    }
}

/// What an act has done, on standard error: standard output is for results.
pub(super) fn say(what: &str) -> Done {
    eprintln!("{what}");
    Ok(())
}
