//! `peek`: messages of a queue, left where they are.

use clap::Args;
use serde_json::Value;

use super::list::{field_of, text};
use super::messages::{self, Matching};
use super::outcome::{Done, Failure};
use super::session::{InVhost, Showing};
use crate::client::with_query;
use crate::show::{self, Align, Table, Terminal, moment};

/// The most that the API gives at once.
const PAGE_ITEMS_MAX: u64 = 500;
/// How much of each body is asked for, in bytes, where it stands in a table.
const PREVIEW_BYTES: u64 = 80;

#[derive(Debug, Args)]
pub(crate) struct Peek {
    /// Queue
    queue: String,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Where they are
    #[arg(long, value_name = "STATE", default_value = "ready",
          value_parser = ["ready", "delayed", "leased", "stuck", "all"])]
    state: String,
    /// Writes their whole bodies, a line after each, instead of a table
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    showing: Showing,
}

impl Peek {
    pub fn run(self) -> Done {
        let session = self.showing.open()?;
        let preview = match self.raw || session.json {
            true => u32::MAX.into(),
            false => PREVIEW_BYTES,
        };
        let mut items: Vec<Value> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let left = self.limit - items.len() as u64;
            let mut query = self.matching.query();
            query.extend([
                ("state", Some(self.state.clone())),
                ("limit", Some(left.min(PAGE_ITEMS_MAX).to_string())),
                ("payload_bytes", Some(preview.to_string())),
                ("cursor", cursor.take()),
            ]);
            let path = messages::path_of(&self.vhost.vhost, &self.queue, &["messages"]);
            let page = session.client.get(&with_query(path, &query));
            let mut page = page.map_err(|error| error.named("queue", &self.queue))?;
            let Value::Array(more) = page["items"].take() else {
                return Err(Failure::Failed(
                    "the node's answer has no messages".to_owned(),
                ));
            };
            items.extend(more);
            cursor = match page["next"].take() {
                Value::Null => None,
                Value::String(next) => Some(next),
                next => Some(next.to_string()),
            };
            if cursor.is_none() || items.len() as u64 >= self.limit {
                break;
            }
        }
        if self.raw {
            for message in &items {
                show::write(&messages::written(message, false, session.terminal)?)?;
            }
            return Ok(());
        }
        session.show(&Value::Array(items), table)
    }
}

fn table(items: &Value, terminal: Terminal) -> String {
    let mut table = Table::new([
        ("ref", Align::Left),
        ("state", Align::Left),
        ("since", Align::Left),
        ("id", Align::Left),
        ("exchange", Align::Left),
        ("routing key", Align::Left),
        ("died of", Align::Left),
        ("bytes", Align::Right),
        ("body", Align::Left),
    ]);
    for message in items.as_array().into_iter().flatten() {
        let since = match (message["enqueued_at"].as_u64(), terminal.is_terminal) {
            (Some(ms), true) => moment(ms),
            (ms, _) => ms.map_or_else(String::new, |ms| ms.to_string()),
        };
        let body = match message["payload_encoding"].as_str() {
            Some("base64") => "(no text)".to_owned(),
            _ => text(&message["payload"]),
        };
        let more = if message["truncated"] == true {
            "..."
        } else {
            ""
        };
        table.row([
            text(&message["ref"]),
            text(&message["state"]),
            since,
            text(&message["message_id"]),
            text(&message["exchange"]),
            text(&message["routing_key"]),
            text(field_of(message, "death.reason")),
            text(&message["payload_bytes"]),
            format!("{body}{more}"),
        ]);
    }
    table.render(terminal)
}
