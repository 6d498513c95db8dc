//! A body that is written while it is sent, so that a long page is never in memory as a whole.
//!
//! Invariants
//! - A body that could not be written to its end ends in an error, so that nobody takes it for
//!   whole.
//! - Who does not read for `SEND_TIME_MAX` is not written for any longer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

const CHUNKS_WAITING_MAX: usize = 4;
const SEND_TIME_MAX: Duration = Duration::from_secs(10);

/// The writing end, for a thread that may block.
pub(super) struct Sender {
    runtime: Handle,
    /// None once the reader is gone.
    chunks: Option<mpsc::Sender<Bytes>>,
    whole: Arc<AtomicBool>,
}

impl Sender {
    pub fn is_closed(&self) -> bool {
        self.chunks.is_none()
    }

    /// Waits until there is room for it.
    pub fn send(&mut self, text: String) {
        let Some(chunks) = &self.chunks else {
            return;
        };
        let sent = chunks.send_timeout(Bytes::from(text), SEND_TIME_MAX);
        if self.runtime.block_on(sent).is_err() {
            self.chunks = None;
        }
    }

    /// Nothing comes any more.
    pub fn end(&mut self) {
        self.whole
            .store(self.chunks.take().is_some(), Ordering::Release);
    }
}

/// Both ends of a body. To be called inside a tokio runtime.
pub(super) fn body() -> (Sender, Body) {
    let (chunks, received) = mpsc::channel(CHUNKS_WAITING_MAX);
    let whole = Arc::new(AtomicBool::new(false));
    let sender = Sender {
        runtime: Handle::current(),
        chunks: Some(chunks),
        whole: Arc::clone(&whole),
    };
    let mut asked = false;
    let end = std::iter::from_fn(move || {
        let cut = !std::mem::replace(&mut asked, true) && !whole.load(Ordering::Acquire);
        cut.then(|| Err(io::Error::other("the page was cut")))
    });
    let stream = ReceiverStream::new(received)
        .map(Ok)
        .chain(tokio_stream::iter(end));
    (sender, Body::from_stream(stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn read(body: Body) -> Option<String> {
        let bytes = body.collect().await.ok()?.to_bytes();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_body_arrives_whole_or_as_an_error() {
        for (ends, expected) in [(true, Some("one two")), (false, None)] {
            let (mut sender, body) = self::body();
            let writing = tokio::task::spawn_blocking(move || {
                sender.send("one ".to_owned());
                sender.send("two".to_owned());
                if ends {
                    sender.end();
                }
            });
            assert_eq!(read(body).await.as_deref(), expected);
            writing.await.unwrap();
        }
    }

    #[tokio::test]
    async fn nothing_is_written_for_who_went() {
        let (mut sender, body) = self::body();
        drop(body);
        let writing = tokio::task::spawn_blocking(move || {
            sender.send("one".to_owned());
            sender.is_closed()
        });
        assert!(writing.await.unwrap());
    }
}
