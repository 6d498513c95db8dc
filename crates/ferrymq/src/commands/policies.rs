//! `policies`, of users and of operators.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::arguments::{Pair, object, parse_object, parse_pair};
use super::list::{self, Column, Show};
use super::outcome::{Done, Failure};
use super::session::{InVhost, OfVhost, Remote, Showing, say};
use crate::client::path;
use crate::show::escape;

const COLUMNS: [Column; 6] = [
    Column("vhost", "vhost", Show::Text),
    Column("name", "name", Show::Text),
    Column("pattern", "pattern", Show::Text),
    Column("apply to", "apply-to", Show::Text),
    Column("priority", "priority", Show::Number),
    Column("definition", "definition", Show::Text),
];

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Policies {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    tier: Tier,
    #[command(flatten)]
    vhost: OfVhost,
    #[command(flatten)]
    showing: Showing,
}

/// Whose policies.
#[derive(Debug, Args)]
struct Tier {
    /// Those of operators instead
    #[arg(long)]
    operator: bool,
}

impl Tier {
    fn plain(&self) -> &'static str {
        match self.operator {
            true => "operator-policies",
            false => "policies",
        }
    }
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Sets a policy: what all queues or exchanges get whose names match
    Set(Set),
    /// Deletes a policy
    Delete(Delete),
}

#[derive(Debug, Args)]
struct Set {
    /// Name of the policy
    name: String,
    /// Regular expression of the names that it is for
    pattern: String,
    /// What they get, such as max-length=1000 or dead-letter-exchange=dead
    #[arg(value_name = "KEY=VALUE", value_parser = parse_pair)]
    settings: Vec<Pair>,
    /// The whole definition as a JSON object instead
    #[arg(long, value_name = "JSON", value_parser = parse_object, conflicts_with = "settings",
          required_unless_present = "settings")]
    definition: Option<Value>,
    /// Of several that match, the one with the highest counts
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    priority: i64,
    /// What it is for
    #[arg(long, value_name = "KIND", default_value = "all", value_parser =
          ["all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges"])]
    apply_to: String,
    #[command(flatten)]
    tier: Tier,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Delete {
    /// Name of the policy
    name: String,
    #[command(flatten)]
    tier: Tier,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

impl Policies {
    pub fn run(self) -> Done {
        match self.act {
            None => {
                let session = self.showing.open()?;
                let path = match &self.vhost.vhost {
                    Some(vhost) => path(&[self.tier.plain(), vhost]),
                    None => path(&[self.tier.plain()]),
                };
                let items = session.client.get(&path)?;
                list::show(&session, &items, &COLUMNS)
            }
            Some(Act::Set(set)) => set.run(),
            Some(Act::Delete(delete)) => delete.run(),
        }
    }
}

impl Set {
    fn run(self) -> Done {
        let definition = match self.definition {
            Some(definition) => definition,
            None => Value::Object(object(self.settings)?),
        };
        // Operators' policies are for queues; RabbitMQ refuses the word for both.
        let apply_to = match (self.tier.operator, self.apply_to.as_str()) {
            (true, "all") => "queues",
            (true, "exchanges") => {
                let text = "a policy of operators is for queues".to_owned();
                return Err(Failure::Usage(text));
            }
            (_, kind) => kind,
        };
        let body = json!({
            "pattern": self.pattern,
            "definition": definition,
            "priority": self.priority,
            "apply-to": apply_to,
        });
        let path = path(&[self.tier.plain(), &self.vhost.vhost, &self.name]);
        self.remote.client()?.put(&path, &body)?;
        say(&format!("set policy {}", escape(&self.name)))
    }
}

impl Delete {
    fn run(self) -> Done {
        let path = path(&[self.tier.plain(), &self.vhost.vhost, &self.name]);
        self.remote.delete(&path, "policy", &self.name)
    }
}
