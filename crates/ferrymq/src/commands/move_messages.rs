//! `move`: messages from one queue to another.

use clap::Args;
use serde_json::{Value, json};

use super::messages::{self, Matching};
use super::outcome::{Done, Failure};
use super::session::{InVhost, Remote, say};
use crate::client::Client;
use crate::show::{count, escape};

#[derive(Debug, Args)]
pub(crate) struct Move {
    /// Queue that they are in
    from_queue: String,
    /// Queue that they go to
    to_queue: String,
    /// One message by its ref, as `peek` shows it; may be given several times
    #[arg(long = "ref", value_name = "REF")]
    refs: Vec<String>,
    /// All of them, where nothing else is said
    #[arg(long, conflicts_with = "refs")]
    all: bool,
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

impl Move {
    pub fn run(self) -> Done {
        let mut body = chosen(&self.refs, &self.matching, self.all)?;
        body["queue"] = json!(self.to_queue);
        let client = self.remote.client()?;
        let act = messages::path_of(&self.vhost.vhost, &self.from_queue, &["messages", "move"]);
        let done = act_on_many(&client, &act, &body, &self.from_queue)?;
        let moved = count(done.done, "message");
        say(&format!("moved {moved} to {}", escape(&self.to_queue)))?;
        done.verdict()
    }
}

/// What became of many messages.
#[derive(Debug, Default)]
pub(super) struct Acted {
    pub done: u64,
    gone: u64,
    error: Option<String>,
}

impl Acted {
    /// Whether the rest was left alone.
    pub fn verdict(self) -> Done {
        if let Some(error) = self.error {
            return Err(Failure::Failed(format!(
                "the rest stays: {}",
                escape(&error)
            )));
        }
        match self.gone {
            0 => Ok(()),
            gone => say(&format!("{} had gone meanwhile", count(gone, "message"))),
        }
    }
}

/// Asks for as long as the node says that there is more to do.
pub(super) fn act_on_many(
    client: &Client,
    path: &str,
    body: &Value,
    queue: &str,
) -> Result<Acted, Failure> {
    let mut all = Acted::default();
    loop {
        let part = client.post(path, body);
        let part = part.map_err(|error| error.named("queue", queue))?;
        let done = part["done"].as_u64().unwrap_or_default();
        all.done += done;
        all.gone += part["gone"].as_u64().unwrap_or_default();
        all.error = part["error"].as_str().map(str::to_owned);
        // What does nothing twice in a row would go on for ever.
        if part["complete"] != false || done == 0 || all.error.is_some() {
            return Ok(all);
        }
    }
}

/// Messages by their refs, by conditions, or all of them; all must be asked for.
pub(super) fn chosen(refs: &[String], matching: &Matching, all: bool) -> Result<Value, Failure> {
    let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
    match (refs.is_empty(), matching.is_empty(), all) {
        (false, true, _) => Ok(json!({ "refs": refs })),
        (true, false, false) => Ok(Value::Object(matching.body())),
        (true, true, true) => Ok(json!({ "state": "ready" })),
        (true, true, false) => usage("which messages? Say --all, --ref, or a condition"),
        (false, false, _) => usage("--ref names messages already: leave the conditions out"),
        (true, false, true) => usage("--all has no conditions"),
    }
}
