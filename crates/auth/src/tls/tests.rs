//! TLS by certificates and handshakes in memory.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType as Alternative,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::*;

/// A directory with an authority, a server's files, and a client's.
struct Files {
    dir: tempfile::TempDir,
    ca: Issuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Files {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let files = Files {
            dir,
            ca: Issuer::new(params, key),
        };
        files.issue("server", |_| {});
        files
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn settings(&self, client_auth: ClientAuth) -> TlsSettings {
        TlsSettings {
            cert: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: Some(self.path("ca.pem")),
            client_auth,
            version_min: TlsVersionMin::Tls12,
            login_from: LoginFrom::DistinguishedName,
        }
    }

    fn client(
        &self,
        identity: Option<&str>,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for certificate in files::certificates(&self.path("ca.pem")).unwrap() {
            roots.add(certificate).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = files::certificates(&self.path(&format!("{name}.pem"))).unwrap();
                let key = files::private_key(&self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }
}

/// Carries bytes between the two until neither has any; the first error.
fn converse(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
) -> Result<(), rustls::Error> {
    let mut wire = Vec::new();
    while client.wants_write() || server.wants_write() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(())
}

fn pair(tls: &ServerTls, client: ClientConfig) -> (ClientConnection, ServerConnection) {
    let name = ServerName::try_from("localhost").unwrap();
    (
        ClientConnection::new(Arc::new(client), name).unwrap(),
        ServerConnection::new(tls.config()).unwrap(),
    )
}

static V12: &SupportedProtocolVersion = &rustls::version::TLS12;
static V13: &SupportedProtocolVersion = &rustls::version::TLS13;

#[test]
fn clients_are_let_in_by_what_they_show() {
    let files = Files::new();
    files.issue("alice", |_| {});
    files.issue("late", |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let strangers = Files::new();
    strangers.issue("mallory", |_| {});
    for name in ["mallory.pem", "mallory.key"] {
        std::fs::copy(strangers.path(name), files.path(name)).unwrap();
    }
    use ClientAuth::{None as Nobody, Request, Require};
    for (asked, identity, user) in [
        (Nobody, None, Some(None)),
        (Nobody, Some("alice"), Some(None)),
        (Request, None, Some(None)),
        (Request, Some("alice"), Some(Some("CN=alice"))),
        (Request, Some("late"), None),
        (Request, Some("mallory"), None),
        (Require, None, None),
        (Require, Some("alice"), Some(Some("CN=alice"))),
        (Require, Some("late"), None),
        (Require, Some("mallory"), None),
    ] {
        for version in [V12, V13] {
            let tls = ServerTls::open(files.settings(asked)).unwrap();
            let (mut client, mut server) = pair(&tls, files.client(identity, version));
            let done = converse(&mut client, &mut server);
            let case = format!("{asked:?} {identity:?} {version:?}");
            assert_eq!(done.is_ok(), user.is_some(), "{case}: {done:?}");
            if let Some(user) = user {
                let certificate = tls.client_certificate(&server);
                let found = certificate.and_then(|one| one.user(LoginFrom::default()));
                assert_eq!(found.as_deref(), user, "{case}");
                assert!(!tls_info(&server, None).protocol.is_empty(), "{case}");
            }
        }
    }
}

#[test]
fn an_old_version_is_not_spoken_when_it_is_ruled_out() {
    let files = Files::new();
    let mut settings = files.settings(ClientAuth::None);
    settings.version_min = TlsVersionMin::Tls13;
    let tls = ServerTls::open(settings).unwrap();
    for (version, fits) in [(V12, false), (V13, true)] {
        let (mut client, mut server) = pair(&tls, files.client(None, version));
        assert_eq!(converse(&mut client, &mut server).is_ok(), fits);
    }
}

#[test]
fn a_flood_of_key_updates_ends_the_connection() {
    let files = Files::new();
    let tls = ServerTls::open(files.settings(ClientAuth::None)).unwrap();
    let (mut client, mut server) = pair(&tls, files.client(None, V13));
    converse(&mut client, &mut server).unwrap();
    let flood = (0..100).try_for_each(|_| {
        client.refresh_traffic_keys().unwrap();
        converse(&mut client, &mut server)
    });
    assert!(flood.is_err());
}

#[test]
fn a_broken_file_keeps_what_works_and_a_sound_one_replaces_it() {
    let files = Files::new();
    let tls = ServerTls::open(files.settings(ClientAuth::None)).unwrap();
    let before = tls.config();
    assert!(!tls.reload_if_changed().unwrap());
    std::fs::write(files.path("server.pem"), "nothing").unwrap();
    assert!(tls.reload_if_changed().is_err());
    assert!(Arc::ptr_eq(&before, &tls.config()));
    assert!(!tls.reload_if_changed().unwrap(), "it complains once");
    files.issue("server", |_| {});
    assert!(tls.reload_if_changed().unwrap());
    assert!(!Arc::ptr_eq(&before, &tls.config()));
}

#[test]
fn files_that_make_no_server_are_named() {
    let files = Files::new();
    files.issue("other", |_| {});
    let with = |change: &dyn Fn(&mut TlsSettings)| {
        let mut settings = files.settings(ClientAuth::Require);
        change(&mut settings);
        ServerTls::open(settings).unwrap_err().to_string()
    };
    let missing = Path::new("none-such.pem");
    for (error, expected) in [
        (
            with(&|one| one.cert = missing.into()),
            "can not read none-such.pem",
        ),
        (
            with(&|one| one.key = missing.into()),
            "can not read none-such.pem",
        ),
        (
            with(&|one| one.client_ca = None),
            "can not be verified without `tls_client_ca`",
        ),
        (
            with(&|one| one.key = files.path("other.key")),
            "server.pem: keys may not be",
        ),
        (
            with(&|one| one.key = files.path("ca.pem")),
            "there is no private key in it",
        ),
        (
            with(&|one| one.cert = files.path("other.key")),
            "there is no certificate in it",
        ),
        (
            with(&|one| one.client_ca = Some(files.path("other.key"))),
            "no certificate in it",
        ),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_certificate_names_its_user_in_three_ways() {
    let files = Files::new();
    files.issue("alice", |params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::CountryName, "DE");
        name.push(DnType::OrganizationName, "Ferry, Ltd");
        name.push(DnType::from_oid(&[1, 2, 3, 4]), "x");
        params.subject_alt_names = vec![
            Alternative::DnsName("a.example".try_into().unwrap()),
            Alternative::IpAddress("127.0.0.1".parse().unwrap()),
            Alternative::DnsName("b.example".try_into().unwrap()),
            Alternative::Rfc822Name("alice@example".try_into().unwrap()),
        ];
    });
    let der = files::certificates(&files.path("alice.pem")).unwrap();
    let certificate = Certificate::parse(&der[0]).unwrap();
    let san = |san_type, index| LoginFrom::SubjectAlternativeName { san_type, index };
    for (from, expected) in [
        (
            LoginFrom::DistinguishedName,
            Some("1.2.3.4=x,O=Ferry\\, Ltd,C=DE,CN=alice"),
        ),
        (LoginFrom::CommonName, Some("alice")),
        (san(SanType::Dns, 0), Some("a.example")),
        (san(SanType::Dns, 1), Some("b.example")),
        (san(SanType::Dns, 2), None),
        (san(SanType::Ip, 0), Some("127.0.0.1")),
        (san(SanType::Email, 0), Some("alice@example")),
        (san(SanType::Uri, 0), None),
    ] {
        assert_eq!(certificate.user(from).as_deref(), expected, "{from:?}");
    }
    assert_eq!(certificate.issuer, "CN=authority");
    assert_eq!(Certificate::parse(b"nothing"), None);
}
