//! `doctor`: is all well, and if not, what to do.
//!
//! Invariants
//! - Every finding is ok, warn or bad, and one that is not ok says what to do.
//! - What can not be found out is said to be unknown, not left out.
//! - The queue that is tried is deleted again, and goes by itself where that fails.

mod clock;
mod doors;
mod resources;
mod trial;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::list::text;
use super::outcome::{Done, Failure};
use super::session::{InVhost, Session, Showing};
use super::status::if_allowed;
use crate::client::{ClientError, path};
use crate::show::{self, Terminal, escape};
use crate::size;

/// Free disk below which there is a warning, if nothing is said.
const DISK_FREE_MIN_DEFAULT: &str = "1GiB";

#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 1 if something is bad, and 0 if there are warnings only.")]
pub(crate) struct Doctor {
    /// Free space on the node's disk below which there is a warning
    #[arg(long, value_name = "SIZE", default_value = DISK_FREE_MIN_DEFAULT,
          value_parser = parse_size)]
    disk_free_min: u64,
    /// Ms that a durable message may take until it is confirmed
    #[arg(long, value_name = "MS", default_value_t = 500)]
    confirm_ms_max: u64,
    #[command(flatten)]
    vhost: InVhost,
    #[command(flatten)]
    showing: Showing,
}

fn parse_size(text: &str) -> Result<u64, String> {
    size::parse(text).ok_or_else(|| "wanted is a size such as 500MiB or 10GiB".to_owned())
}

/// How well it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Bad,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Bad => "bad",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            State::Ok => "\x1b[32m",
            State::Warn => "\x1b[33m",
            State::Bad => "\x1b[31m",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    state: State,
    text: String,
    advice: String,
}

impl Finding {
    fn ok(check: &'static str, text: impl Into<String>) -> Finding {
        let (state, text, advice) = (State::Ok, text.into(), String::new());
        Finding {
            check,
            state,
            text,
            advice,
        }
    }

    fn warn(check: &'static str, text: impl Into<String>, advice: &str) -> Finding {
        let (state, text, advice) = (State::Warn, text.into(), advice.to_owned());
        Finding {
            check,
            state,
            text,
            advice,
        }
    }

    fn bad(check: &'static str, text: impl Into<String>, advice: &str) -> Finding {
        let (state, text, advice) = (State::Bad, text.into(), advice.to_owned());
        Finding {
            check,
            state,
            text,
            advice,
        }
    }

    fn line(&self, colours: bool) -> String {
        let word = match colours {
            true => format!("{}{:4}\x1b[0m", self.state.colour(), self.state.word()),
            false => format!("{:4}", self.state.word()),
        };
        let mut line = format!("{word}  {:10} {}\n", self.check, escape(&self.text));
        if !self.advice.is_empty() {
            line.push_str(&format!("{:18}{}\n", "", escape(&self.advice)));
        }
        line
    }

    fn json(&self) -> Value {
        let Finding {
            check,
            state,
            text,
            advice,
        } = self;
        json!({ "check": check, "state": state.word(), "text": text, "advice": advice })
    }
}

/// Shows findings as they come, or all of them as JSON at the end.
struct Report {
    findings: Vec<Finding>,
    as_json: bool,
    terminal: Terminal,
}

impl Report {
    fn add(&mut self, finding: Finding) -> Done {
        if !self.as_json {
            show::write(finding.line(self.terminal.colours).as_bytes())?;
        }
        self.findings.push(finding);
        Ok(())
    }

    fn finish(self) -> Done {
        let count = |state| self.findings.iter().filter(|f| f.state == state).count();
        let (warnings, bad) = (count(State::Warn), count(State::Bad));
        let text = match self.as_json {
            true => show::json(&self.findings.iter().map(Finding::json).collect()),
            false => match (bad, warnings) {
                (0, 0) => "All is well.\n".to_owned(),
                (0, warnings) => format!("{}.\n", show::count(warnings as u64, "warning")),
                (bad, _) => format!("{bad} bad, {}.\n", show::count(warnings as u64, "warning")),
            },
        };
        show::write(text.as_bytes())?;
        match bad {
            0 => Ok(()),
            _ => Err(Failure::Said),
        }
    }
}

impl Doctor {
    pub fn run(self) -> Done {
        let session = self.showing.open()?;
        let mut report = Report {
            findings: Vec::new(),
            as_json: session.json,
            terminal: session.terminal,
        };
        let clock = clock::Watched::new();
        // A node that can not be reached or does not let us in is no finding among others.
        let overview = session.client.get(&path(&["overview"]))?;
        report.add(Finding::ok("node", who(&session, &overview)))?;
        for finding in doors::check(&session, &overview["listeners"]) {
            report.add(finding)?;
        }
        let confirm_max = Duration::from_millis(self.confirm_ms_max);
        for finding in trial::run(&session, &self.vhost.vhost, confirm_max) {
            report.add(finding)?;
        }
        self.look_at_node(&session, &overview, &mut report)?;
        for finding in clock.check(&session)? {
            report.add(finding)?;
        }
        report.finish()
    }

    fn look_at_node(&self, session: &Session, overview: &Value, report: &mut Report) -> Done {
        let nodes = if_allowed(session, &["nodes"])?;
        let name = &overview["node"];
        let nodes = nodes.as_array().map_or(&[][..], Vec::as_slice);
        match nodes.iter().find(|node| node["name"] == *name) {
            Some(node) => {
                for finding in resources::check(node, self.disk_free_min) {
                    report.add(finding)?;
                }
            }
            None => report.add(Finding::warn(
                "resources",
                "memory, disk and open files are unknown: this user may not see them",
                "Ask as a user with the tag monitoring or administrator.",
            ))?,
        }
        report.add(resources::promise(&overview["sync"]))?;
        for finding in resources::queues(&overview["queue_totals"]) {
            report.add(finding)?;
        }
        match if_allowed(session, &["ferry", "alarms"])? {
            Value::Array(alarms) if alarms.is_empty() => report.add(Finding::ok("alarms", "none")),
            Value::Array(alarms) => {
                for alarm in &alarms {
                    let what = format!("{}: {}", text(&alarm["name"]), text(&alarm["text"]));
                    report.add(Finding::bad("alarms", what, &text(&alarm["advice"])))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn who(session: &Session, overview: &Value) -> String {
    let version = text(&overview["product_version"]);
    let address = session.client.address().show();
    format!(
        "{} {version}, {} at {address}",
        text(&overview["product_name"]),
        text(&overview["node"])
    )
}

/// What a refusal says, on one line.
fn first_line(error: &ClientError) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests;
