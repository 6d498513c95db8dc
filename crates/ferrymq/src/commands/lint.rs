//! `lint`: what in a definitions file is likely to hurt. Needs no node.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::outcome::{Done, Failure};
use crate::definitions::{File, Finding, Level, lint};
use crate::show::{self, Terminal, escape};

#[derive(Debug, Args)]
#[command(after_help = "\
What a file can not tell is not looked at: who consumes, and with which acknowledgements.
The exit code is 1 if something is bad or a warning, 0 if there are notes at most.")]
pub(crate) struct Lint {
    /// File in RabbitMQ's format, - for standard input
    file: PathBuf,
    /// Where a file of a single virtual host belongs [default: the one that it is from]
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    /// Writes the findings as JSON
    #[arg(long)]
    json: bool,
}

impl Lint {
    pub fn run(self) -> Done {
        let file = File::read(&self.file, self.vhost.as_deref())?;
        let findings = lint(&file);
        let text = match self.json {
            true => show::json(&findings.iter().map(Finding::to_json).collect::<Value>()),
            false => text(&findings, Terminal::now()),
        };
        show::write(text.as_bytes())?;
        match findings.iter().any(|finding| finding.level != Level::Note) {
            true => Err(Failure::Said),
            false => Ok(()),
        }
    }
}

fn text(findings: &[Finding], terminal: Terminal) -> String {
    if findings.is_empty() {
        return "Nothing was found.\n".to_owned();
    }
    if !terminal.is_terminal {
        let lines = findings.iter().map(|finding| {
            let fields = [
                finding.level.word(),
                finding.rule,
                finding.kind,
                &finding.vhost,
                &finding.name,
                &finding.what,
                finding.advice,
            ];
            let fields: Vec<_> = fields.iter().map(|field| escape(field)).collect();
            format!("{}\n", fields.join("\t"))
        });
        return lines.collect();
    }
    let mut text = String::new();
    for finding in findings {
        let place = match finding.vhost.as_str() {
            "" => String::new(),
            vhost => format!(" in vhost '{}'", escape(vhost)),
        };
        text.push_str(&format!(
            "{}: {} '{}'{place}: {}\n    {}  [{}]\n",
            finding.level.word(),
            finding.kind,
            escape(&finding.name),
            escape(&finding.what),
            finding.advice,
            finding.rule,
        ));
    }
    text
}
