//! Asking another server by HTTP or HTTPS: one request on a connection of its own.
//!
//! Invariants
//! - An answer has at most `ANSWER_BYTES_MAX` and comes within the time that was given.
//! - HTTPS verifies the server's certificate, by the system's authorities or by a file of them.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls::certificates;

const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// Reads `http://host:port/path` or the same with `https`.
    ///
    /// # Errors
    /// What is not such a URL.
    pub fn parse(text: &str) -> Result<Url, String> {
        let why = || format!("`{text}` is not a URL such as https://host:8443/path");
        let (secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(why()),
        };
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !path.starts_with('/') || !path.bytes().all(plain) {
            return Err(why());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(why)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| why())?;
                (host, port)
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        let port = match port.strip_prefix(':') {
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(why)?,
            None if port.is_empty() => {
                if secure {
                    443
                } else {
                    80
                }
            }
            None => return Err(why()),
        };
        if host.is_empty() || !host.bytes().all(named) {
            return Err(why());
        }
        Ok(Url {
            secure,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody is there.
    #[error("can not connect: {0}")]
    Connect(#[source] std::io::Error),
    /// No certificate of an authority is known.
    #[error("no authorities for HTTPS: {0}")]
    Authorities(String),
    /// The connection or what came over it.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// Another status than 200 or 201.
    #[error("the answer has the status {0}")]
    Status(StatusCode),
    /// The answer is too long, or broke off.
    #[error("the answer broke off or is too long")]
    Body,
    /// The request could not be made of what it was to say.
    #[error("the request makes no sense: {0}")]
    Request(#[from] hyper::http::Error),
    /// It took too long.
    #[error("no answer in time")]
    Slow,
}

/// Asks other servers.
#[derive(Debug, Default)]
pub(crate) struct Fetcher {
    ca: Option<PathBuf>,
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Fetcher {
    /// With the authorities of a file, or those of the system.
    pub(crate) fn new(ca: Option<PathBuf>) -> Fetcher {
        Fetcher {
            ca,
            tls: OnceLock::new(),
        }
    }

    /// The body of the answer to GET.
    pub(crate) async fn get(
        &self,
        url: &Url,
        query: &str,
        time: Duration,
    ) -> Result<Bytes, FetchError> {
        let mut path = url.path.clone();
        if !query.is_empty() {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(query);
        }
        let request = Request::builder().method(Method::GET).uri(path);
        let request = request
            .header(HOST, url.authority())
            .body(Full::default())?;
        self.send(url, request, time).await
    }

    /// The body of the answer to POST of a form.
    pub(crate) async fn post(
        &self,
        url: &Url,
        form: String,
        time: Duration,
    ) -> Result<Bytes, FetchError> {
        let request = Request::builder().method(Method::POST).uri(&url.path);
        let request = request
            .header(HOST, url.authority())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form))?;
        self.send(url, request, time).await
    }

    async fn send(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        time: Duration,
    ) -> Result<Bytes, FetchError> {
        let whole = async {
            let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
            let stream = stream.map_err(FetchError::Connect)?;
            if !url.secure {
                return exchange(stream, request).await;
            }
            let unknown = |error| FetchError::Authorities(format!("{error}"));
            let name = ServerName::try_from(url.host.clone()).map_err(unknown)?;
            let stream = TlsConnector::from(self.tls()?).connect(name, stream).await;
            exchange(stream.map_err(FetchError::Connect)?, request).await
        };
        let answer = tokio::time::timeout(time, whole).await;
        answer.unwrap_or(Err(FetchError::Slow))
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, FetchError> {
        if let Some(known) = self.tls.get() {
            return Ok(Arc::clone(known));
        }
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                let found = certificates(path);
                let found = found.map_err(|error| FetchError::Authorities(error.to_string()))?;
                roots.add_parsable_certificates(found);
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
            }
        }
        if roots.is_empty() {
            return Err(FetchError::Authorities("there are none".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| FetchError::Authorities(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<Bytes, FetchError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        if !matches!(answer.status(), StatusCode::OK | StatusCode::CREATED) {
            return Err(FetchError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        Ok(body.map_err(|_| FetchError::Body)?.to_bytes())
    };
    tokio::pin!(answered, connection);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        ended = &mut connection => {
            ended?;
            answered.await
        }
    }
}

/// Writes a form or a query: names and values with `&` between.
pub(crate) fn form(pairs: &[(&str, &[u8])]) -> String {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    pairs.join("&")
}

/// `%xx` for each byte that could mean something.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            write!(out, "%{byte:02X}").expect("a text grows");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (text, secure, authority, path) in [
            ("http://localhost", false, "localhost:80", "/"),
            (
                "https://a.example/b/c?d=e",
                true,
                "a.example:443",
                "/b/c?d=e",
            ),
            (
                "http://127.0.0.1:8000/auth/user",
                false,
                "127.0.0.1:8000",
                "/auth/user",
            ),
            ("https://[::1]:8443/x", true, "[::1]:8443", "/x"),
            ("http://[::1]/x", false, "[::1]:80", "/x"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.secure, url.authority().as_str(), url.path.as_str()),
                (secure, authority, path)
            );
        }
        for wrong in [
            "",
            "localhost",
            "ftp://a/",
            "http://",
            "http:///x",
            "http://a:0/",
            "http://a:x/",
            "http://a:65536/",
            "http://u:p@a/",
            "http://[::1/",
            "http://a/ b",
            "http://a\r\nb/",
            "http://a?x",
            "http://a/#b",
            "http://[x]/",
            "http://[::1]x/",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_form_is_escaped() {
        let pairs: [(&str, &[u8]); 3] = [("user", b"a b&c=d"), ("vhost", b"/"), ("empty", b"")];
        assert_eq!(form(&pairs), "user=a%20b%26c%3Dd&vhost=%2F&empty=");
        assert_eq!(form(&[("x", "é\0".as_bytes())]), "x=%C3%A9%00");
    }
}
