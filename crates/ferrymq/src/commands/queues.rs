//! `queues`.

use clap::Args;

use super::list::{self, Column, Kind, ListArgs, Show};
use super::outcome::Done;
use super::session::{OfVhost, Showing};

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
        let Self { list, showing, .. } = &self;
        let kind = Kind {
            plural: "queues",
            one: "queue",
            columns: &COLUMNS,
        };
        let vhost = self.vhost.vhost.as_deref();
        list::browse(showing, &kind, vhost, self.queue.as_deref(), list)
    }
}
