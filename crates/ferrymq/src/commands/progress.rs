//! How far long work has come: a bar on standard error if that is a terminal, else nothing.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar up to `total`, or a counter where that is not known.
pub(super) fn bar(total: Option<u64>, what: &str) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    let template = match total {
        Some(_) => "{bar:30} {human_pos}/{human_len} {msg}  {per_sec}  {eta} left",
        None => "{spinner} {human_pos} {msg}  {per_sec}",
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.expect("the template is one of the two above"))
        .with_message(what.to_owned())
}
