//! SIGTERM and SIGINT: the first ends the node in order, the second at once. SIGHUP: files are read
//! again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The code of a process that a second signal ended.
const EXIT_AT_ONCE: i32 = 1;

/// The signals that end a node.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on these signals no longer end the process by themselves.
    pub fn new() -> io::Result<StopSignals> {
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ends the process when one more comes.
    pub fn exit_at_next(mut self) {
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!("{name} again: ending at once");
            std::process::exit(EXIT_AT_ONCE);
        });
    }
}

/// SIGHUP, which no longer ends the process.
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// From now on it is listened to.
    pub fn new() -> io::Result<Hangups> {
        Ok(Hangups(signal(SignalKind::hangup())?))
    }

    /// The next one.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}
