//! What is written about metrics: the list in `docs/metrics.md`, the dashboard of ours, and what
//! RabbitMQ's dashboards ask for.
//!
//! `WRITE_DOCS=1 cargo test -p ferry-admin --test http catalog` writes the list anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::exposition::{self, Dialect, Page};
use crate::support::Door;
use ferry_core::arguments::Arguments;

const DETAILS: &str = "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics\
    &family=connection_churn_metrics&family=node_metrics&family=node_coarse_metrics\
    &family=node_persister_metrics&family=auth_attempt_metrics&family=vhost_status\
    &family=exchange_names&family=exchange_bindings&family=ferrymq_queue_times";

/// What the panels of RabbitMQ's overview dashboard (10991) ask for: in its revisions up to 2021 of
/// channels, since then of global counters.
const OVERVIEW: [&str; 50] = [
    "rabbitmq_build_info",
    "rabbitmq_channel_consumers",
    "rabbitmq_channel_get_ack_total",
    "rabbitmq_channel_get_empty_total",
    "rabbitmq_channel_get_total",
    "rabbitmq_channel_messages_acked_total",
    "rabbitmq_channel_messages_confirmed_total",
    "rabbitmq_channel_messages_delivered_ack_total",
    "rabbitmq_channel_messages_delivered_total",
    "rabbitmq_channel_messages_published_total",
    "rabbitmq_channel_messages_redelivered_total",
    "rabbitmq_channel_messages_unconfirmed",
    "rabbitmq_channel_messages_unroutable_dropped_total",
    "rabbitmq_channel_messages_unroutable_returned_total",
    "rabbitmq_channels",
    "rabbitmq_channels_closed_total",
    "rabbitmq_channels_opened_total",
    "rabbitmq_connections",
    "rabbitmq_connections_closed_total",
    "rabbitmq_connections_opened_total",
    "rabbitmq_consumers",
    "rabbitmq_disk_space_available_bytes",
    "rabbitmq_global_messages_acknowledged_total",
    "rabbitmq_global_messages_confirmed_total",
    "rabbitmq_global_messages_delivered_consume_auto_ack_total",
    "rabbitmq_global_messages_delivered_consume_manual_ack_total",
    "rabbitmq_global_messages_delivered_get_auto_ack_total",
    "rabbitmq_global_messages_delivered_get_manual_ack_total",
    "rabbitmq_global_messages_get_empty_total",
    "rabbitmq_global_messages_received_confirm_total",
    "rabbitmq_global_messages_received_total",
    "rabbitmq_global_messages_redelivered_total",
    "rabbitmq_global_messages_routed_total",
    "rabbitmq_global_messages_unroutable_dropped_total",
    "rabbitmq_global_messages_unroutable_returned_total",
    "rabbitmq_global_publishers",
    "rabbitmq_identity_info",
    "rabbitmq_message_size_bytes",
    "rabbitmq_process_max_fds",
    "rabbitmq_process_max_tcp_sockets",
    "rabbitmq_process_open_fds",
    "rabbitmq_process_open_tcp_sockets",
    "rabbitmq_process_resident_memory_bytes",
    "rabbitmq_queue_messages_published_total",
    "rabbitmq_queue_messages_ready",
    "rabbitmq_queue_messages_unacked",
    "rabbitmq_queues",
    "rabbitmq_queues_created_total",
    "rabbitmq_queues_declared_total",
    "rabbitmq_queues_deleted_total",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn page(door: &Door, path: &str) -> Page {
    let answer = door.request("GET", path, "").await;
    exposition::read(&answer.body, Dialect::Prometheus)
}

/// A family, and on which pages it is.
struct Entry {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
    pages: Vec<&'static str>,
}

async fn catalog(door: &Door) -> BTreeMap<String, Entry> {
    let mut catalog = BTreeMap::new();
    for (path, name) in [
        ("/metrics", "metrics"),
        ("/metrics/per-object", "per-object"),
        (DETAILS, "detailed"),
    ] {
        let page = page(door, path).await;
        for family in &page.families {
            let labels = labels_of(&page, &family.name);
            let entry = catalog.entry(family.name.clone()).or_insert_with(|| Entry {
                kind: family.kind.clone(),
                help: family.help.clone(),
                labels: BTreeSet::new(),
                pages: Vec::new(),
            });
            assert_eq!(entry.help, family.help);
            entry.labels.extend(labels);
            entry.pages.push(name);
        }
    }
    catalog
}

fn labels_of(page: &Page, family: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for suffix in ["", "_bucket"] {
        for (series, _) in page.all(&format!("{family}{suffix}")) {
            let Some((_, labels)) = series.split_once('{') else {
                continue;
            };
            let labels = exposition::labels(labels.strip_suffix('}').unwrap());
            found.extend(labels.into_iter().map(|(name, _)| name));
        }
    }
    found
}

fn table(catalog: &BTreeMap<String, Entry>) -> String {
    let mut table = "\n| metric | type | labels | on | what |\n|---|---|---|---|---|\n".to_owned();
    for (name, entry) in catalog {
        let labels: Vec<String> = entry
            .labels
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        table += &format!(
            "| `{name}` | {} | {} | {} | {} |\n",
            entry.kind,
            labels.join(", "),
            entry.pages.join(", "),
            entry.help
        );
    }
    table
}

const BEGIN: &str = "<!-- the list is written by a test -->\n";
const END: &str = "<!-- end of the list -->";

#[tokio::test]
async fn the_list_in_the_docs_is_what_there_is() {
    let door = Door::open().await;
    door.declare("q", Arguments::new());
    // A protocol is shown once somebody has logged in over it.
    assert_eq!(door.get("/api/whoami").await.status, 200);
    let expected = table(&catalog(&door).await);
    let path = root().join("docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (list, after) = rest.split_once(END).unwrap();
    if std::env::var_os("WRITE_DOCS").is_some() {
        let text = format!("{before}{BEGIN}{expected}\n{END}{after}");
        std::fs::write(&path, text).unwrap();
        return;
    }
    assert_eq!(list.trim(), expected.trim(), "see the head of this file");
}

#[tokio::test]
async fn the_dashboard_asks_for_what_there_is() {
    let door = Door::open().await;
    let page = page(&door, "/metrics").await;
    let mut known: BTreeSet<&str> = page
        .samples
        .iter()
        .map(|(series, _)| series.split('{').next().unwrap())
        .collect();
    known.extend(page.families.iter().map(|family| family.name.as_str()));
    let path = root().join("dashboards/ferrymq-overview.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut asked = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().unwrap() {
            let names = names_in(target["expr"].as_str().unwrap());
            assert!(!names.is_empty(), "{panel}");
            for name in names {
                assert!(known.contains(name), "{name} in {}", panel["title"]);
                asked += 1;
            }
        }
    }
    assert!(asked > 50, "{asked}");
}

/// Names of metrics in a query.
fn names_in(query: &str) -> Vec<&str> {
    let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metric = |word: &&str| word.starts_with("rabbitmq_") || word.starts_with("ferrymq_");
    words.filter(metric).collect()
}

#[tokio::test]
async fn dashboards_of_rabbitmq_find_their_metrics_or_the_docs_say_why_not() {
    let door = Door::open().await;
    let page = page(&door, "/metrics").await;
    let text = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let (_, missing) = text.split_once("## What is not there").unwrap();
    for name in OVERVIEW {
        let there = page.families.iter().any(|family| family.name == name);
        let cell = |line: &str| line.split('|').nth(1).unwrap_or_default().to_owned();
        let explained = missing
            .lines()
            .any(|line| cell(line).contains(&format!("`{name}`")));
        assert!(
            there != explained,
            "{name}: there {there}, explained {explained}"
        );
    }
}
