//! `queues`.

use clap::Args;

use super::list::{self, Column, ListArgs, Show};
use super::outcome::Done;
use super::session::{OfVhost, Showing, VHOST_DEFAULT};
use crate::client::path;

const COLUMNS: [Column; 11] = [
    Column("vhost", "vhost", Show::Text),
    Column("name", "name", Show::Text),
    Column("type", "type", Show::Text),
    Column("ready", "messages_ready", Show::Number),
    Column("unacked", "messages_unacknowledged", Show::Number),
    Column("delayed", "messages_delayed", Show::Number),
    Column("consumers", "consumers", Show::Number),
    Column("in/s", "message_stats.publish_details.rate", Show::Rate),
    Column(
        "out/s",
        "message_stats.deliver_get_details.rate",
        Show::Rate,
    ),
    Column("policy", "policy", Show::Text),
    Column("state", "state", Show::Text),
];

#[derive(Debug, Args)]
pub(crate) struct Queues {
    /// Shows all of this one
    queue: Option<String>,
    #[command(flatten)]
    vhost: OfVhost,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    showing: Showing,
}

impl Queues {
    pub fn run(self) -> Done {
        let session = self.showing.open()?;
        let vhost = self.vhost.vhost.as_deref();
        if let Some(queue) = &self.queue {
            let path = path(&["queues", vhost.unwrap_or(VHOST_DEFAULT), queue]);
            let found = session.client.get(&path);
            return list::show_one(
                &session,
                &found.map_err(|error| error.named("queue", queue))?,
            );
        }
        let path = vhost.map_or_else(|| path(&["queues"]), |vhost| path(&["queues", vhost]));
        list::show_pages(&session, &path, &self.list, &COLUMNS)
    }
}
