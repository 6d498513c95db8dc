//! The runtime that connections live on; in one place, so that another can be tried.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// A runtime with that many threads for connections.
pub(crate) fn build(workers: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("ferrymq-worker")
        .enable_io()
        .enable_time()
        .build()
}
