//! `status`: the node at a glance.

use clap::Args;
use ferry_broker::SyncPolicy;
use serde_json::{Value, json};

use super::list::{field_of, text};
use super::outcome::{Done, Failure};
use super::session::{Session, Showing, say};
use crate::client::{ClientError, path};
use crate::show::{Align, Table, Terminal, escape, span};
use crate::size;

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only asks whether it is ready, without a log-in, and ends with 0 or 1
    #[arg(long, conflicts_with = "json")]
    ready: bool,
    #[command(flatten)]
    showing: Showing,
}

impl Status {
    pub fn run(self) -> Done {
        let session = self.showing.open()?;
        if self.ready {
            return ready(&session);
        }
        let overview = session.client.get(&path(&["overview"]))?;
        let all = json!({
            "overview": overview,
            "nodes": if_allowed(&session, &["nodes"])?,
            "alarms": if_allowed(&session, &["ferry", "alarms"])?,
        });
        session.show(&all, render)
    }
}

fn ready(session: &Session) -> Done {
    let answer = session.client.look("/health/ready")?;
    let why = String::from_utf8_lossy(&answer.body);
    match answer.status.is_success() {
        true => say("ready"),
        false => Err(Failure::Failed(format!(
            "not ready: {}",
            escape(why.trim())
        ))),
    }
}

/// What this user may not see, or this node does not have, is null.
pub(super) fn if_allowed(session: &Session, segments: &[&str]) -> Result<Value, ClientError> {
    match session.client.get(&path(segments)) {
        Err(
            ClientError::NotFound { .. }
            | ClientError::Forbidden(_)
            | ClientError::LoginRefused { .. },
        ) => Ok(Value::Null),
        answer => answer,
    }
}

fn render(all: &Value, terminal: Terminal) -> String {
    let overview = &all["overview"];
    let mut table = Table::new([("what", Align::Left), ("how", Align::Left)]);
    let product = text(&overview["product_name"]);
    let version = text(&overview["product_version"]);
    table.row(["version", &format!("{product} {version}")]);
    table.row(["node", &text(&overview["node"])]);
    if let Some(policy) = SyncPolicy::from_name(&text(&overview["sync"])) {
        let name = policy.name();
        let weakness = policy.weakness();
        let how = weakness.map_or(name.to_owned(), |weakness| {
            format!("{name} - WEAK: {weakness}")
        });
        table.row(["sync", &how]);
    }
    let mut totals = Vec::new();
    for what in [
        "queues",
        "exchanges",
        "connections",
        "channels",
        "consumers",
    ] {
        let count = &overview["object_totals"][what];
        if !count.is_null() {
            totals.push(format!("{count} {what}"));
        }
    }
    table.row(["objects", &totals.join(", ")]);
    table.row(["messages", &messages(&overview["queue_totals"])]);
    if let Some(rates) = rates(&overview["message_stats"]) {
        table.row(["per second", &rates]);
    }
    for node in all["nodes"].as_array().into_iter().flatten() {
        for (what, how) in of_node(node) {
            table.row([what, &how]);
        }
    }
    for listener in overview["listeners"].as_array().into_iter().flatten() {
        let protocol = text(&listener["protocol"]);
        let address = text(&listener["ip_address"]);
        table.row([
            "listener",
            &format!("{protocol} on {address}:{}", listener["port"]),
        ]);
    }
    for alarm in all["alarms"].as_array().into_iter().flatten() {
        let (what, advice) = (text(&alarm["text"]), text(&alarm["advice"]));
        table.row(["ALARM", &format!("{what}: {advice}")]);
    }
    table.render(terminal)
}

fn messages(totals: &Value) -> String {
    let parts = [
        ("messages_ready", "ready"),
        ("messages_unacknowledged", "unacked"),
        ("messages_delayed", "delayed"),
        (
            "messages_dead_letter_pending",
            "dead letters that can not arrive",
        ),
    ];
    let parts = parts.iter().filter_map(|(field, word)| {
        let count = totals[*field].as_u64()?;
        Some(format!("{count} {word}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn rates(stats: &Value) -> Option<String> {
    let fields = [
        ("publish", "published"),
        ("deliver_get", "delivered"),
        ("ack", "acked"),
    ];
    let rates = fields.iter().filter_map(|(field, word)| {
        let rate = field_of(stats, &format!("{field}_details.rate")).as_f64()?;
        Some(format!("{rate:.1} {word}"))
    });
    let rates: Vec<_> = rates.collect();
    (!rates.is_empty()).then(|| rates.join(", "))
}

fn of_node(node: &Value) -> Vec<(&'static str, String)> {
    let bytes = |field: &str| node[field].as_u64().map(size::show);
    let mut lines = Vec::new();
    if let Some(ms) = node["uptime"].as_u64() {
        lines.push(("up for", span(ms)));
    }
    let held = |field: &str| match node[field] == true {
        true => " - ALARM: publishers wait",
        false => "",
    };
    if let Some(used) = bytes("mem_used") {
        lines.push(("memory", used));
    }
    if let (Some(used), Some(limit)) = (bytes("message_memory_used"), bytes("mem_limit")) {
        let alarm = held("mem_alarm");
        let text = format!("{used}, publishers wait at {limit}{alarm}");
        lines.push(("message memory", text));
    }
    if let Some(free) = bytes("disk_free") {
        lines.push(("disk", format!("{free} free{}", held("disk_free_alarm"))));
    }
    if let (Some(used), Some(total)) = (node["fd_used"].as_u64(), node["fd_total"].as_u64()) {
        lines.push(("open files", format!("{used} of {total}")));
    }
    lines
}
