//! `plan`: what makes a node different from a definitions file.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::outcome::{Done, Failure};
use super::session::Showing;
use crate::client::{Client, path};
use crate::definitions::{Change, File, Op, plan};
use crate::show::{Align, Table, Terminal, count};

#[derive(Debug, Args)]
#[command(after_help = "\
Signs: + the node does not have it, ~ it will be changed, ! it differs and has to be deleted first,
- the file does not have it (deleted by `apply --prune` only). A section that the file does not
have is not compared. The exit code is 2 if there is any difference, 0 if there is none.")]
pub(crate) struct Plan {
    /// File in RabbitMQ's format, - for standard input
    file: PathBuf,
    /// Where a file of a single virtual host belongs [default: the one that it is from]
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    #[command(flatten)]
    showing: Showing,
}

impl Plan {
    pub fn run(self) -> Done {
        let file = File::read(&self.file, self.vhost.as_deref())?;
        let session = self.showing.open()?;
        let changes = plan(&file, &node(&session.client)?);
        let all: Value = changes.iter().map(Change::to_json).collect();
        session.show(&all, |_, terminal| match changes.is_empty() {
            true => "The node is as the file says.\n".to_owned(),
            false => table(&changes, terminal),
        })?;
        match changes.is_empty() {
            true => Ok(()),
            false => Err(Failure::Differs),
        }
    }
}

/// What the node has.
pub(super) fn node(client: &Client) -> Result<File, Failure> {
    let all = client.get(&path(&["definitions"]))?;
    File::new(all, None).map_err(Failure::Failed)
}

/// Changes as a table, with their number.
pub(super) fn table(changes: &[Change], terminal: Terminal) -> String {
    let heads = ["", "kind", "vhost", "name", "difference"];
    let mut table = Table::new(heads.map(|head| (head, Align::Left)));
    for change in changes {
        table.row([
            change.op.sign(),
            change.kind,
            change.vhost(),
            &change.name(),
            &change.details(),
        ]);
    }
    let mut text = table.render(terminal);
    if terminal.is_terminal {
        let of = |op| changes.iter().filter(|change| change.op == op).count() as u64;
        text.push_str(&format!(
            "\n{} to add, {} to change, {} that differ, {} not in the file\n",
            of(Op::Add),
            of(Op::Change),
            of(Op::Differ),
            count(of(Op::Remove), "thing"),
        ));
    }
    text
}
