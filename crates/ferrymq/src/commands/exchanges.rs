//! `exchanges`.

use clap::Args;

use super::list::{self, Column, ListArgs, Show};
use super::outcome::Done;
use super::session::{OfVhost, Showing, VHOST_DEFAULT};
use crate::client::path;

const COLUMNS: [Column; 9] = [
    Column("vhost", "vhost", Show::Text),
    Column("name", "name", Show::Text),
    Column("type", "type", Show::Text),
    Column("durable", "durable", Show::Text),
    Column("auto-delete", "auto_delete", Show::Text),
    Column("internal", "internal", Show::Text),
    Column("in/s", "message_stats.publish_in_details.rate", Show::Rate),
    Column(
        "out/s",
        "message_stats.publish_out_details.rate",
        Show::Rate,
    ),
    Column("policy", "policy", Show::Text),
];

#[derive(Debug, Args)]
pub(crate) struct Exchanges {
    /// Shows all of this one
    exchange: Option<String>,
    #[command(flatten)]
    vhost: OfVhost,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    showing: Showing,
}

impl Exchanges {
    pub fn run(self) -> Done {
        let session = self.showing.open()?;
        let vhost = self.vhost.vhost.as_deref();
        if let Some(exchange) = &self.exchange {
            let path = path(&["exchanges", vhost.unwrap_or(VHOST_DEFAULT), exchange]);
            let found = session.client.get(&path);
            let found = found.map_err(|error| error.named("exchange", exchange))?;
            return list::show_one(&session, &found);
        }
        let path = vhost.map_or_else(|| path(&["exchanges"]), |vhost| path(&["exchanges", vhost]));
        list::show_pages(&session, &path, &self.list, &COLUMNS)
    }
}
