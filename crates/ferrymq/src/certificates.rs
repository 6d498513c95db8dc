//! Certificates that change while the node runs.
//!
//! Invariants
//! - Files that can not be used are complained about once per change, and those before them stay.

use std::sync::Arc;
use std::time::Duration;

use ferry_auth::{ServerTls, TlsError};

use crate::signals::Hangups;

/// How often the files are looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(60);

/// Reads the files again when they change, and when SIGHUP asks for it.
pub(crate) async fn watch(tls: Arc<ServerTls>, mut hangups: Hangups) {
    loop {
        let asked = tokio::select! {
            () = hangups.next() => true,
            () = tokio::time::sleep(LOOK_PERIOD) => false,
        };
        let tls = Arc::clone(&tls);
        let read = tokio::task::spawn_blocking(move || match asked {
            true => tls.reload().map(|()| true),
            false => tls.reload_if_changed(),
        });
        report(read.await.unwrap_or(Ok(false)));
    }
}

fn report(read: Result<bool, TlsError>) {
    match read {
        Ok(true) => tracing::info!("certificates for TLS were read again"),
        Ok(false) => {}
        Err(error) => {
            tracing::error!("certificates for TLS stay as they were: {error}");
        }
    }
}
