//! `channels`.

use clap::Args;

use super::list::{self, Column, ListArgs, Show};
use super::outcome::Done;
use super::session::{OfVhost, Showing};
use crate::client::path;

const COLUMNS: [Column; 9] = [
    Column("name", "name", Show::Text),
    Column("user", "user", Show::Text),
    Column("vhost", "vhost", Show::Text),
    Column("state", "state", Show::Text),
    Column("consumers", "consumer_count", Show::Number),
    Column("unacked", "messages_unacknowledged", Show::Number),
    Column("unconfirmed", "messages_unconfirmed", Show::Number),
    Column("prefetch", "prefetch_count", Show::Number),
    Column("confirms", "confirm", Show::Text),
];

#[derive(Debug, Args)]
pub(crate) struct Channels {
    #[command(flatten)]
    vhost: OfVhost,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    showing: Showing,
}

impl Channels {
    pub fn run(self) -> Done {
        let session = self.showing.open()?;
        let path = match &self.vhost.vhost {
            Some(vhost) => path(&["vhosts", vhost, "channels"]),
            None => path(&["channels"]),
        };
        list::show_pages(&session, &path, &self.list, &COLUMNS)
    }
}
