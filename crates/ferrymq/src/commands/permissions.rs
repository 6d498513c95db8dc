//! `permissions`: of users on names, and on the routing keys of exchanges.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::list::{self, Column, Show};
use super::outcome::Done;
use super::session::{InVhost, OfVhost, Remote, Showing, say};
use crate::client::path;
use crate::show::escape;

const COLUMNS: [Column; 5] = [
    Column("user", "user", Show::Text),
    Column("vhost", "vhost", Show::Text),
    Column("configure", "configure", Show::Text),
    Column("write", "write", Show::Text),
    Column("read", "read", Show::Text),
];

const TOPIC_COLUMNS: [Column; 5] = [
    Column("user", "user", Show::Text),
    Column("vhost", "vhost", Show::Text),
    Column("exchange", "exchange", Show::Text),
    Column("write", "write", Show::Text),
    Column("read", "read", Show::Text),
];

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Permissions {
    #[command(subcommand)]
    act: Option<Act>,
    /// Only those of this user
    #[arg(long = "of-user", value_name = "NAME")]
    of_user: Option<String>,
    /// Those on routing keys instead
    #[arg(long)]
    topic: bool,
    #[command(flatten)]
    vhost: OfVhost,
    #[command(flatten)]
    showing: Showing,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Sets what a user may do with the names of a virtual host that match
    Set(Set),
    /// Takes all rights of a user in a virtual host away
    Clear(Clear),
    /// Sets the routing keys that a user may use with a topic exchange
    SetTopic(SetTopic),
    /// Takes the limits on the routing keys of a user in a virtual host away
    ClearTopic(Clear),
}

#[derive(Debug, Args)]
struct Set {
    /// User
    name: String,
    /// Regular expression of what it may declare and delete; ^$ is nothing, .* is all
    configure: String,
    /// Regular expression of what it may publish to
    write: String,
    /// Regular expression of what it may consume from
    read: String,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct SetTopic {
    /// User
    name: String,
    /// Exchange
    exchange: String,
    /// Regular expression of the routing keys that it may publish with
    write: String,
    /// Regular expression of the routing keys that it may bind with
    read: String,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Clear {
    /// User
    name: String,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

impl Permissions {
    pub fn run(self) -> Done {
        match self.act {
            None => {
                let session = self.showing.open()?;
                let (plain, columns) = match self.topic {
                    true => ("topic-permissions", &TOPIC_COLUMNS),
                    false => ("permissions", &COLUMNS),
                };
                let items = session.client.get(&path(&[plain]))?;
                let items = list::only(items, "vhost", self.vhost.vhost.as_deref());
                let items = list::only(items, "user", self.of_user.as_deref());
                list::show(&session, &items, columns)
            }
            Some(Act::Set(set)) => {
                let Set {
                    name,
                    configure,
                    write,
                    read,
                    ..
                } = &set;
                let body = json!({ "configure": configure, "write": write, "read": read });
                put("permissions", name, &set.vhost, &set.remote, &body)
            }
            Some(Act::SetTopic(set)) => {
                let SetTopic {
                    name,
                    exchange,
                    write,
                    read,
                    ..
                } = &set;
                let body = json!({ "exchange": exchange, "write": write, "read": read });
                put("topic-permissions", name, &set.vhost, &set.remote, &body)
            }
            Some(Act::Clear(clear)) => clear.run("permissions"),
            Some(Act::ClearTopic(clear)) => clear.run("topic-permissions"),
        }
    }
}

fn put(plain: &str, name: &str, vhost: &InVhost, remote: &Remote, body: &Value) -> Done {
    let vhost = &vhost.vhost;
    remote.client()?.put(&path(&[plain, vhost, name]), body)?;
    say(&format!(
        "set {plain} of {} in {}",
        escape(name),
        escape(vhost)
    ))
}

impl Clear {
    fn run(&self, plain: &str) -> Done {
        let (vhost, name) = (&self.vhost.vhost, &self.name);
        let client = self.remote.client()?;
        let gone = client.delete(&path(&[plain, vhost, name]), &Value::Null);
        gone.map_err(|error| error.named(&format!("{plain} of user"), name))?;
        say(&format!(
            "cleared {plain} of {} in {}",
            escape(name),
            escape(vhost)
        ))
    }
}
