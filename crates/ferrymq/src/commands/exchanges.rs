//! `exchanges`.

use clap::Args;

use super::list::{self, Column, Kind, ListArgs, Show};
use super::outcome::Done;
use super::session::{OfVhost, Showing};

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
        let Self { list, showing, .. } = &self;
        let kind = Kind {
            plural: "exchanges",
            one: "exchange",
            columns: &COLUMNS,
        };
        let vhost = self.vhost.vhost.as_deref();
        list::browse(showing, &kind, vhost, self.exchange.as_deref(), list)
    }
}
