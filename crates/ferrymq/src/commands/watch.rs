//! `watch`: the busiest queues, drawn again and again.
//!
//! Invariants
//! - The screen of a terminal is as it was afterwards, whatever ended it.
//! - Elsewhere each look is a table of its own, below the one before.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::list::{self, Column, Show, field_of};
use super::outcome::{Done, Failure};
use super::session::{OfVhost, Remote};
use crate::client::{Client, ClientError, path, with_query};
use crate::show::{self, Terminal, moment};

/// Lines above the rows and below.
const FRAME_LINES: u64 = 6;
/// Rows where the height of the screen is not known.
const ROWS_DEFAULT: u64 = 20;
const ROWS_MAX: u64 = 500;

const ENTER_SCREEN: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE_SCREEN: &[u8] = b"\x1b[?25h\x1b[?1049l";

const COLUMNS: [Column; 9] = [
    Column("vhost", "vhost", Show::Text),
    Column("queue", "name", Show::Text),
    Column("ready", "messages_ready", Show::Number),
    Column("unacked", "messages_unacknowledged", Show::Number),
    Column("delayed", "messages_delayed", Show::Number),
    Column("consumers", "consumers", Show::Number),
    Column("in/s", "message_stats.publish_details.rate", Show::Rate),
    Column(
        "out/s",
        "message_stats.deliver_get_details.rate",
        Show::Rate,
    ),
    Column("acks/s", "message_stats.ack_details.rate", Show::Rate),
];

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval_s: u64,
    /// Ends after so many looks [default: goes on until Ctrl-C]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Field to sort by, largest first
    #[arg(long, value_name = "FIELD", default_value = "messages")]
    sort: String,
    /// Most queues [default: what fits on the screen]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=ROWS_MAX))]
    rows: Option<u64>,
    #[command(flatten)]
    vhost: OfVhost,
    #[command(flatten)]
    remote: Remote,
}

/// The other screen of a terminal, left when this goes.
struct Screen;

impl Screen {
    fn enter() -> Result<Screen, Failure> {
        show::write(ENTER_SCREEN)?;
        Ok(Screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Who can not be written to has no screen to be put back.
        let _ = show::write(LEAVE_SCREEN);
    }
}

impl Watch {
    pub fn run(self) -> Done {
        let client = self.remote.client()?;
        let mut signals = client.runtime().block_on(async { Signals::new() })?;
        // What is wrong from the start stands on the usual screen.
        let mut looked = Some(self.look(&client, Terminal::now())?);
        let screen = match Terminal::now().is_terminal {
            true => Some(Screen::enter()?),
            false => None,
        };
        let mut looks = 0;
        loop {
            let terminal = Terminal::now();
            let text = match looked.take() {
                Some(text) => text,
                None => match self.look(&client, terminal) {
                    // A node that is started again is waited for.
                    Err(Failure::Client(error @ ClientError::Unreachable { .. }))
                        if screen.is_some() =>
                    {
                        format!("{error}\n")
                    }
                    looked => looked?,
                },
            };
            let text = match screen {
                Some(_) => frame(&text, terminal),
                None => text,
            };
            show::write(text.as_bytes())?;
            looks += 1;
            if self.count.is_some_and(|count| looks >= count) {
                return Ok(());
            }
            let interval = Duration::from_secs(self.interval_s);
            if client.runtime().block_on(signals.came_within(interval)) {
                return Ok(());
            }
        }
    }

    fn look(&self, client: &Client, terminal: Terminal) -> Result<String, Failure> {
        let overview = client.get(&path(&["overview"]))?;
        let fit = terminal
            .rows
            .map(|rows| u64::from(rows).saturating_sub(FRAME_LINES).max(1));
        let rows = self.rows.or(fit).unwrap_or(ROWS_DEFAULT).min(ROWS_MAX);
        let queues = match &self.vhost.vhost {
            Some(vhost) => path(&["queues", vhost]),
            None => path(&["queues"]),
        };
        let query = [
            ("page", Some("1".to_owned())),
            ("page_size", Some(rows.to_string())),
            ("sort", Some(self.sort.clone())),
            ("sort_reverse", Some("true".to_owned())),
        ];
        let queues = client.get(&with_query(queues, &query))?;
        Ok(text(&overview, &queues, terminal))
    }
}

fn text(overview: &Value, queues: &Value, terminal: Terminal) -> String {
    let number = |field: &str| field_of(overview, field).as_u64().unwrap_or_default();
    let rate = |field: &str| field_of(overview, field).as_f64().unwrap_or_default();
    let head = format!(
        "{}  {}\n{} queues, {} connections, {} consumers; {} ready, {} unacked; \
         {:.1} in/s, {:.1} out/s\n\n",
        show::escape(&list::text(&overview["node"])),
        moment(super::messages::now_ms()),
        number("object_totals.queues"),
        number("object_totals.connections"),
        number("object_totals.consumers"),
        number("queue_totals.messages_ready"),
        number("queue_totals.messages_unacknowledged"),
        rate("message_stats.publish_details.rate"),
        rate("message_stats.deliver_get_details.rate"),
    );
    let table = list::table(&queues["items"], &COLUMNS, terminal);
    format!("{head}{table}\n")
}

/// A text over the whole screen: each line ends what stood there before.
fn frame(text: &str, terminal: Terminal) -> String {
    let rows = terminal.rows.map_or(usize::MAX, usize::from);
    let lines: Vec<&str> = text.trim_end().lines().take(rows).collect();
    format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n"))
}

/// What ends it.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Signals, Failure> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn came_within(&mut self, time: Duration) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
            () = tokio::time::sleep(time) => false,
        }
    }
}
