//! TLS for listeners: one configuration for all of them, read from files, replaced while in use.
//!
//! Invariants
//! - TLS 1.2 and 1.3 only. With an authority for clients a certificate that does not verify ends
//!   the handshake, whether or not one is required.
//! - Files that can not be used never replace those that could.
//! - Who was verified once is verified again: sessions of clients with certificates are not
//!   resumed.

mod certificate;
mod files;
mod info;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use certificate::{Certificate, LoginFrom, SanType};
pub use info::tls_info;

use files::Stamp;
pub(crate) use files::{certificates, read};

/// How long a handshake may take.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not.
    #[default]
    None,
    /// They are; who has none is let in, who has one that does not verify is not.
    Request,
    /// Who has none that verifies is not let in.
    Require,
}

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersionMin {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Where certificates are, and what is asked of clients.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The chain of certificates, PEM, the server's own first.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities whose certificates clients may show, PEM.
    pub client_ca: Option<PathBuf>,
    /// Whether clients are asked for one.
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken.
    pub version_min: TlsVersionMin,
    /// What of a client's certificate is its user's name.
    pub login_from: LoginFrom,
}

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can not be read.
    #[error("can not read {}: {error}", .path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file has none of what should be in it.
    #[error("{}: {why}", .path.display())]
    Contents {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key do not make a server.
    #[error("{}: {why}", .path.display())]
    Unfit {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// TLS for listeners.
pub struct ServerTls {
    settings: TlsSettings,
    current: RwLock<Arc<ServerConfig>>,
    stamps: Mutex<Vec<Option<Stamp>>>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ServerTls").field(&self.settings).finish()
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that is not there or not what it should be.
    pub fn open(settings: TlsSettings) -> Result<ServerTls, TlsError> {
        let stamps = stamps(&settings);
        let config = build(&settings)?;
        files::warn_if_others_read(&settings.key);
        Ok(ServerTls {
            settings,
            current: RwLock::new(Arc::new(config)),
            stamps: Mutex::new(stamps),
        })
    }

    /// What it was made from.
    pub fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// Reads the files again; connections that there are stay as they are.
    ///
    /// # Errors
    /// As [`ServerTls::open`]; then everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let stamps = stamps(&self.settings);
        *self.stamps.lock() = stamps;
        let config = build(&self.settings)?;
        files::warn_if_others_read(&self.settings.key);
        *self.current.write() = Arc::new(config);
        Ok(())
    }

    /// The same if a file is another than at the last look; whether one was.
    ///
    /// # Errors
    /// As [`ServerTls::reload`].
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        if *self.stamps.lock() == stamps(&self.settings) {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    /// Whether clients are asked for certificates.
    pub fn asks_clients(&self) -> bool {
        self.settings.client_auth != ClientAuth::None
    }

    /// The configuration for the next handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read())
    }

    /// Does the handshake on a socket that was just accepted. Takes [`HANDSHAKE_TIME_MAX`] at most.
    ///
    /// # Errors
    /// What the peer did wrong, or that it took too long.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let accepted = TlsAcceptor::from(self.config()).accept(stream);
        match tokio::time::timeout(HANDSHAKE_TIME_MAX, accepted).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the TLS handshake took too long",
            )),
        }
    }

    /// The certificate that the client has shown, which was verified.
    pub fn client_certificate(&self, connection: &ServerConnection) -> Option<Certificate> {
        let der = connection.peer_certificates()?.first()?;
        Certificate::parse(der)
    }
}

fn stamps(settings: &TlsSettings) -> Vec<Option<Stamp>> {
    let paths = [&settings.cert, &settings.key];
    let paths = paths.into_iter().chain(&settings.client_ca);
    paths.map(|path| Stamp::of(path)).collect()
}

fn build(settings: &TlsSettings) -> Result<ServerConfig, TlsError> {
    let chain = files::certificates(&settings.cert)?;
    let key = files::private_key(&settings.key)?;
    let unfit = |error: String| TlsError::Unfit {
        path: settings.cert.clone(),
        why: error,
    };
    info::warn_of_dates(&settings.cert, &chain);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = match settings.version_min {
        TlsVersionMin::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersionMin::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| unfit(error.to_string()))?;
    let builder = match &settings.client_ca {
        Some(path) if settings.client_auth != ClientAuth::None => {
            let mut roots = RootCertStore::empty();
            for certificate in files::certificates(path)? {
                roots.add(certificate).map_err(|error| TlsError::Contents {
                    path: path.clone(),
                    why: error.to_string(),
                })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            let verifier = match settings.client_auth {
                ClientAuth::Request => verifier.allow_unauthenticated(),
                ClientAuth::None | ClientAuth::Require => verifier,
            };
            let verifier = verifier.build().map_err(|error| TlsError::Contents {
                path: path.clone(),
                why: error.to_string(),
            })?;
            builder.with_client_cert_verifier(verifier)
        }
        _ if settings.client_auth != ClientAuth::None => {
            return Err(unfit(
                "clients can not be verified without `tls_client_ca`".to_owned(),
            ));
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| unfit(error.to_string()))?;
    if settings.client_auth != ClientAuth::None {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
