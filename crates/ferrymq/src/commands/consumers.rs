//! `consumers`.

use clap::Args;

use super::list::{self, Column, Show};
use super::outcome::Done;
use super::session::{OfVhost, Showing};
use crate::client::path;

const COLUMNS: [Column; 8] = [
    Column("vhost", "queue.vhost", Show::Text),
    Column("queue", "queue.name", Show::Text),
    Column("tag", "consumer_tag", Show::Text),
    Column("channel", "channel_details.name", Show::Text),
    Column("acks", "ack_required", Show::Text),
    Column("prefetch", "prefetch_count", Show::Number),
    Column("exclusive", "exclusive", Show::Text),
    Column("active", "active", Show::Text),
];

#[derive(Debug, Args)]
pub(crate) struct Consumers {
    /// Only those of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    #[command(flatten)]
    vhost: OfVhost,
    #[command(flatten)]
    showing: Showing,
}

impl Consumers {
    pub fn run(self) -> Done {
        let session = self.showing.open()?;
        let path = match &self.vhost.vhost {
            Some(vhost) => path(&["consumers", vhost]),
            None => path(&["consumers"]),
        };
        let items = session.client.get(&path)?;
        let items = list::only(items, "queue.name", self.queue.as_deref());
        list::show(&session, &items, &COLUMNS)
    }
}
