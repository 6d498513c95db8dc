//! `bindings`.

use clap::Args;

use super::list::{self, Column, Show};
use super::outcome::Done;
use super::session::{OfVhost, Showing};
use crate::client::path;

const COLUMNS: [Column; 6] = [
    Column("vhost", "vhost", Show::Text),
    Column("source", "source", Show::Text),
    Column("to", "destination_type", Show::Text),
    Column("destination", "destination", Show::Text),
    Column("routing key", "routing_key", Show::Text),
    Column("arguments", "arguments", Show::Text),
];

#[derive(Debug, Args)]
pub(crate) struct Bindings {
    /// Only those from this exchange
    #[arg(long, value_name = "EXCHANGE")]
    source: Option<String>,
    /// Only those to this queue or exchange
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    #[command(flatten)]
    vhost: OfVhost,
    #[command(flatten)]
    showing: Showing,
}

impl Bindings {
    pub fn run(self) -> Done {
        let session = self.showing.open()?;
        let path = match &self.vhost.vhost {
            Some(vhost) => path(&["bindings", vhost]),
            None => path(&["bindings"]),
        };
        let items = session.client.get(&path)?;
        let items = list::only(items, "source", self.source.as_deref());
        let items = list::only(items, "destination", self.destination.as_deref());
        list::show(&session, &items, &COLUMNS)
    }
}
