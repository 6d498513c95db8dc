//! What the management API tells of a connection's TLS, in RabbitMQ's words.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ferry_broker::TlsInfo;
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use rustls_pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use super::Certificate;

/// How long before its end a certificate is warned of, in seconds.
const ENDS_SOON_S: i64 = 14 * 24 * 3600;

/// What is known once the handshake is done.
pub fn tls_info(connection: &ServerConnection, client: Option<&Certificate>) -> TlsInfo {
    let suite = connection
        .negotiated_cipher_suite()
        .map(|suite| suite.suite());
    let (key_exchange, cipher) = suite.map_or(("", ""), words);
    TlsInfo {
        protocol: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "tlsv1.3",
            Some(ProtocolVersion::TLSv1_2) => "tlsv1.2",
            _ => "",
        },
        key_exchange,
        cipher,
        hash: "aead",
        peer_cert_subject: client.map(|client| client.subject.clone()),
        peer_cert_issuer: client.map(|client| client.issuer.clone()),
        peer_cert_validity: client.map(|client| client.validity.clone()),
    }
}

/// Key exchange and cipher of a suite; all that are spoken are authenticated by themselves.
fn words(suite: CipherSuite) -> (&'static str, &'static str) {
    use CipherSuite as S;
    match suite {
        S::TLS13_AES_256_GCM_SHA384 => ("any", "aes_256_gcm"),
        S::TLS13_AES_128_GCM_SHA256 => ("any", "aes_128_gcm"),
        S::TLS13_CHACHA20_POLY1305_SHA256 => ("any", "chacha20_poly1305"),
        S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => ("ecdhe_ecdsa", "aes_256_gcm"),
        S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => ("ecdhe_ecdsa", "aes_128_gcm"),
        S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => ("ecdhe_ecdsa", "chacha20_poly1305"),
        S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => ("ecdhe_rsa", "aes_256_gcm"),
        S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => ("ecdhe_rsa", "aes_128_gcm"),
        S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => ("ecdhe_rsa", "chacha20_poly1305"),
        _ => ("", ""),
    }
}

/// Warns of a certificate of ours that is not valid, or not for long.
pub(crate) fn warn_of_dates(path: &Path, chain: &[CertificateDer<'_>]) {
    let Some(Ok((_, certificate))) = chain.first().map(|der| parse_x509_certificate(der)) else {
        return;
    };
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().cast_signed());
    let validity = certificate.validity();
    let (from_s, to_s) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let cert = path.display();
    if to_s < now_s {
        tracing::warn!(%cert, "the certificate has expired: clients will refuse it");
    } else if from_s > now_s {
        tracing::warn!(%cert, "the certificate is not valid yet: clients will refuse it");
    } else if to_s - now_s < ENDS_SOON_S {
        let days = (to_s - now_s) / 86_400;
        tracing::warn!(%cert, days, "the certificate expires soon");
    }
}
