//! TLS to a node: which certificates are trusted.
//!
//! Invariants
//! - A node whose certificate does not prove its name is not spoken to; there is no way around it.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::ClientError;

/// Where Debian and its relatives, Alpine and SUSE keep what the system trusts; then Red Hat's.
const SYSTEM_FILES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// Whom to believe.
pub(super) struct Trust(TlsConnector);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

/// Trust in the certificates of a file, or in those of the system.
pub(super) fn trust(file: Option<&Path>) -> Result<Trust, ClientError> {
    let file = match file {
        Some(file) => file,
        None => SYSTEM_FILES
            .iter()
            .map(Path::new)
            .find(|file| file.exists())
            .ok_or_else(|| {
                let text = "the system has no file of certificates: name one with --ca-file";
                ClientError::Usage(text.to_owned())
            })?,
    };
    let wrong = |why: String| ClientError::Usage(format!("{}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        // A system's file may hold one that is not understood; the others count.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Trust(TlsConnector::from(Arc::new(config))))
}

pub(super) async fn connect(
    trust: &Trust,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let connected = trust.0.connect(name, stream).await;
    connected.map_err(|error| error.to_string())
}
