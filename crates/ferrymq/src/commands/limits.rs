//! `limits` of virtual hosts and users.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::arguments::value_of;
use super::outcome::Done;
use super::session::{Remote, Showing, say};
use crate::client::path;
use crate::show::{Align, Table, escape};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Limits {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    showing: Showing,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Sets a limit
    Set(Set),
    /// Clears a limit
    Clear(Clear),
}

/// Who has the limit.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Of {
    Vhost,
    User,
}

impl Of {
    fn plain(self) -> &'static str {
        match self {
            Of::Vhost => "vhost-limits",
            Of::User => "user-limits",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Of::Vhost => "vhost",
            Of::User => "user",
        }
    }
}

#[derive(Debug, Args)]
struct Set {
    /// What has the limit
    of: Of,
    /// Its name
    name: String,
    /// The limit, such as max-connections or max-queues
    limit: String,
    /// The most there may be; -1 is no limit
    #[arg(allow_negative_numbers = true)]
    value: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Clear {
    /// What has the limit
    of: Of,
    /// Its name
    name: String,
    /// The limit
    limit: String,
    #[command(flatten)]
    remote: Remote,
}

impl Limits {
    pub fn run(self) -> Done {
        match self.act {
            None => list(&self.showing),
            Some(Act::Set(set)) => {
                let Set {
                    of,
                    name,
                    limit,
                    value,
                    remote,
                } = set;
                let body = json!({ "value": value_of(&value) });
                remote
                    .client()?
                    .put(&path(&[of.plain(), &name, &limit]), &body)?;
                say(&format!(
                    "set {} of {} {}",
                    escape(&limit),
                    of.word(),
                    escape(&name)
                ))
            }
            Some(Act::Clear(clear)) => {
                let Clear {
                    of,
                    name,
                    limit,
                    remote,
                } = clear;
                let client = remote.client()?;
                client.delete(&path(&[of.plain(), &name, &limit]), &Value::Null)?;
                say(&format!(
                    "cleared {} of {} {}",
                    escape(&limit),
                    of.word(),
                    escape(&name)
                ))
            }
        }
    }
}

fn list(showing: &Showing) -> Done {
    let session = showing.open()?;
    let mut all = Vec::new();
    for of in [Of::Vhost, Of::User] {
        if let Value::Array(items) = session.client.get(&path(&[of.plain()]))? {
            all.extend(items);
        }
    }
    session.show(&Value::Array(all), |all, terminal| {
        let mut table = Table::new([
            ("of", Align::Left),
            ("name", Align::Left),
            ("limit", Align::Left),
            ("value", Align::Right),
        ]);
        for item in all.as_array().into_iter().flatten() {
            let of = if item.get("user").is_some() {
                Of::User
            } else {
                Of::Vhost
            };
            let name = item[of.word()].as_str().unwrap_or_default();
            for (limit, value) in item["value"].as_object().into_iter().flatten() {
                table.row([of.word(), name, limit, &value.to_string()]);
            }
        }
        table.render(terminal)
    })
}
