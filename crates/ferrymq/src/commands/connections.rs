//! `connections`.

use clap::{Args, Subcommand};

use super::list::{self, Column, ListArgs, Show};
use super::outcome::Done;
use super::session::{OfVhost, Remote, Showing, say};
use crate::client::path;
use crate::show::escape;

const COLUMNS: [Column; 9] = [
    Column("name", "name", Show::Text),
    Column("user", "user", Show::Text),
    Column("vhost", "vhost", Show::Text),
    Column("protocol", "protocol", Show::Text),
    Column("client id", "client_properties.client_id", Show::Text),
    Column("state", "state", Show::Text),
    Column("channels", "channels", Show::Number),
    Column("received", "recv_oct", Show::Bytes),
    Column("sent", "send_oct", Show::Bytes),
];

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Connections {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    vhost: OfVhost,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    showing: Showing,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Closes connections; their clients are told why
    Close(Close),
}

#[derive(Debug, Args)]
struct Close {
    /// Name of the connection, as the list has it
    #[arg(required_unless_present = "of_user")]
    name: Option<String>,
    /// All connections of this user instead
    #[arg(long, value_name = "USER", conflicts_with = "name")]
    of_user: Option<String>,
    /// What their clients are told
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "Closed via management plugin"
    )]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

impl Connections {
    pub fn run(self) -> Done {
        if let Some(Act::Close(close)) = self.act {
            return close.run();
        }
        let session = self.showing.open()?;
        let path = match &self.vhost.vhost {
            Some(vhost) => path(&["vhosts", vhost, "connections"]),
            None => path(&["connections"]),
        };
        list::show_pages(&session, &path, &self.list, &COLUMNS)
    }
}

impl Close {
    fn run(self) -> Done {
        let client = self.remote.client()?;
        match (&self.name, &self.of_user) {
            (Some(name), _) => {
                let closed = client.delete_because(&path(&["connections", name]), &self.reason);
                closed.map_err(|error| error.named("connection", name))?;
                say(&format!("closed {}", escape(name)))
            }
            (None, user) => {
                let user = user.as_deref().unwrap_or_default();
                let all = path(&["connections", "username", user]);
                let open = client.get(&all)?;
                let open = open.as_array().map_or(0, Vec::len);
                client.delete_because(&all, &self.reason)?;
                let count = crate::show::count(open as u64, "connection");
                say(&format!("closed {count} of {}", escape(user)))
            }
        }
    }
}
