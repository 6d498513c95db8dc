//! The log on standard error: for people a line of text per event, for programs an object per line.
//!
//! Invariants
//! - An event is one line, whatever names are in it: a client can not make a line of its own.
//! - The keys of an object are `timestamp`, `level`, `target` and `message`, and beside them what
//!   the event has to tell.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{self as subscriber, FmtContext};
use tracing_subscriber::registry::LookupSpan;

/// What a line of the log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogFormat {
    pub fn from_name(name: &str) -> Option<LogFormat> {
        match name {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        }
    }
}

/// From now on the process logs what passes `filter`.
pub(crate) fn start(filter: &str, format: LogFormat) {
    let builder = subscriber()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr);
    match format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
        LogFormat::Text => {
            let colours = io::stderr().is_terminal();
            let line = subscriber::format()
                .compact()
                .with_ansi(colours)
                .with_target(false);
            let event = OneLine { line, colours };
            builder.with_ansi(colours).event_format(event).init();
        }
    }
}

fn subscriber() -> tracing_subscriber::fmt::SubscriberBuilder {
    tracing_subscriber::fmt()
}

/// Puts an event into one line.
struct OneLine<F> {
    line: F,
    colours: bool,
}

impl<S, N, F> FormatEvent<S, N> for OneLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.line
            .format_event(context, Writer::new(&mut text), event)?;
        writer.write_str(&one_line(&text, self.colours))?;
        writer.write_char('\n')
    }
}

/// The text without what would end the line or change how the rest is shown.
fn one_line(text: &str, colours: bool) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.strip_suffix('\n').unwrap_or(text).chars() {
        let is_colour = colours && character == '\x1b';
        if !is_colour && (character.is_control() || turns_text(character)) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Characters that change the direction of those behind them, and separators of lines.
fn turns_text(character: char) -> bool {
    matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_makes_a_line_of_its_own() {
        for (text, expected) in [
            ("a line\n", "a line"),
            ("name=\"é\"", "name=\"é\""),
            ("one\r\ntwo\n", "one\\r\\ntwo"),
            ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("a\u{2028}b\u{202e}c", "a\\u{2028}b\\u{202e}c"),
        ] {
            assert_eq!(one_line(text, false), expected);
        }
        assert_eq!(
            one_line("\x1b[2mtime\x1b[0m\ta", true),
            "\x1b[2mtime\x1b[0m\\ta"
        );
    }
}
