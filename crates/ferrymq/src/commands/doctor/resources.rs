//! Memory, disk, open files and the promise of a node, as it tells them, and what waits in queues.

use ferry_broker::SyncPolicy;
use serde_json::Value;

use super::Finding;
use crate::show::count;
use crate::size;

/// Part of a limit above which there is a warning, in percent.
const WARN_PERCENT: u64 = 80;
/// A limit of open files below which there is a warning: each connection takes one.
const FILES_MIN: u64 = 4096;

pub(super) fn check(node: &Value, disk_free_min: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    if node["running"] == false {
        findings.push(Finding::bad(
            "log",
            "the log has failed: nothing can be stored any more",
            "Look at the disk and at the log of the node, then restart it.",
        ));
    }
    findings.push(memory(node));
    findings.push(disk(node, disk_free_min));
    findings.push(files(node));
    findings
}

fn memory(node: &Value) -> Finding {
    let used = node["message_memory_used"]
        .as_u64()
        .or(node["mem_used"].as_u64());
    let (Some(used), Some(limit)) = (used, node["mem_limit"].as_u64()) else {
        return Finding::warn("memory", "unknown", "The node does not tell it.");
    };
    let text = format!("{} of {} are used", size::show(used), size::show(limit));
    let advice = "Start consumers, or set a higher memory_high; long queues should have a limit.";
    if node["mem_alarm"] == true {
        return Finding::bad("memory", format!("{text}: publishers wait"), advice);
    }
    match above(used, limit) {
        true => Finding::warn("memory", text, advice),
        false => Finding::ok("memory", text),
    }
}

fn disk(node: &Value, free_min: u64) -> Finding {
    let Some(free) = node["disk_free"].as_u64() else {
        return Finding::warn("disk", "unknown", "The node does not tell it.");
    };
    let text = format!("{} free", size::show(free));
    if node["disk_free_alarm"] == true {
        let advice = "Free space on the disk of the data directory, or consume what waits.";
        return Finding::bad("disk", format!("{text}: publishers wait"), advice);
    }
    match free < free_min {
        true => Finding::warn(
            "disk",
            format!(
                "{text}, less than {} (--disk-free-min)",
                size::show(free_min)
            ),
            "Make room before publishers have to wait.",
        ),
        false => Finding::ok("disk", text),
    }
}

fn files(node: &Value) -> Finding {
    let (Some(used), Some(total)) = (node["fd_used"].as_u64(), node["fd_total"].as_u64()) else {
        return Finding::warn("files", "unknown", "The node does not tell it.");
    };
    let text = format!("{used} of {total} open");
    let advice = "Raise the limit: LimitNOFILE= of the systemd unit, or `ulimit -n`.";
    match above(used, total) || total < FILES_MIN {
        true => Finding::warn("files", text, advice),
        false => Finding::ok("files", text),
    }
}

fn above(used: u64, limit: u64) -> bool {
    u128::from(used) * 100 > u128::from(limit) * u128::from(WARN_PERCENT)
}

/// What a confirm means in queues that do not say.
pub(super) fn promise(sync: &Value) -> Finding {
    let Some(policy) = sync.as_str().and_then(SyncPolicy::from_name) else {
        return Finding::warn("sync", "unknown", "The node does not tell it.");
    };
    match policy.weakness() {
        None => Finding::ok("sync", "a confirm means synced to the disk"),
        Some(weakness) => Finding::warn(
            "sync",
            format!("{}: {weakness}", policy.name()),
            "Start the node with sync = \"sync\", and declare anew the queues that have less.",
        ),
    }
}

pub(super) fn queues(totals: &Value) -> Vec<Finding> {
    let ready = totals["messages_ready"].as_u64().unwrap_or_default();
    let pending = totals["messages_dead_letter_pending"]
        .as_u64()
        .unwrap_or_default();
    let text = format!("{} ready", count(ready, "message"));
    match pending {
        0 => vec![Finding::ok("queues", text)],
        pending => vec![Finding::warn(
            "queues",
            format!(
                "{} can not go where it should",
                count(pending, "dead letter")
            ),
            "Their queues: `ferrymq queues --columns vhost,name,messages_dead_letter_pending`.",
        )],
    }
}
