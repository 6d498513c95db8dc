//! `purge`.

use clap::Args;
use serde_json::Value;

use super::messages::{self, Matching};
use super::move_messages::act_on_many;
use super::outcome::Done;
use super::session::{InVhost, Remote, say};
use crate::client::path;
use crate::show::{count, escape};

#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Queue
    queue: String,
    /// Those that wait for their time, instead of those that are ready
    #[arg(long)]
    delayed: bool,
    #[command(flatten)]
    matching: Matching,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    remote: Remote,
}

impl Purge {
    pub fn run(self) -> Done {
        let client = self.remote.client()?;
        let (vhost, queue) = (&self.vhost.vhost, &self.queue);
        if !self.matching.is_empty() {
            let state = if self.delayed { "delayed" } else { "ready" };
            let mut body = self.matching.body();
            body.insert("state".to_owned(), state.into());
            let act = messages::path_of(vhost, queue, &["messages", "delete"]);
            let done = act_on_many(&client, &act, &Value::Object(body), queue)?;
            let deleted = count(done.done, "message");
            say(&format!("deleted {deleted} from {}", escape(queue)))?;
            return done.verdict();
        }
        let all = match self.delayed {
            true => messages::path_of(vhost, queue, &["delayed"]),
            false => path(&["queues", vhost, queue, "contents"]),
        };
        let gone = client.delete(&all, &Value::Null);
        gone.map_err(|error| error.named("queue", queue))?;
        say(&format!("purged {}", escape(queue)))
    }
}
