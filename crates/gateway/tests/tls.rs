//! AMQP over TLS: what a session sees is what the client meant, and nobody else reads it.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp091::method::connection;
use amqp091::{LongStr, RawTable, ShortStr};
use common::{Client, Node};
use ferry_auth::{ClientAuth, LoginFrom, ServerTls, TlsSettings, TlsVersionMin};
use ferry_gateway::{Door, GatewayConfig};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::AsyncWriteExt;

/// An authority, and what it has signed.
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
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let ca = Issuer::new(params, key);
        let files = Files { dir, ca };
        files.issue("localhost");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn node(&self, client_auth: ClientAuth) -> Node {
        let tls = ServerTls::open(TlsSettings {
            cert: self.path("localhost.pem"),
            key: self.path("localhost.key"),
            client_ca: Some(self.path("ca.pem")),
            client_auth,
            version_min: TlsVersionMin::Tls12,
            login_from: LoginFrom::CommonName,
        });
        let config = GatewayConfig {
            amqps: vec!["127.0.0.1:0".parse().unwrap()],
            tls: Some(Arc::new(tls.unwrap())),
            ..GatewayConfig::default()
        };
        Node::with(config, 1 << 30)
    }

    fn client_config(&self, identity: Option<&str>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.path("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let cert = CertificateDer::from_pem_file(self.path(&format!("{name}.pem")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key")));
                let chain = vec![cert.unwrap()];
                builder.with_client_auth_cert(chain, key.unwrap()).unwrap()
            }
        })
    }

    /// A client whose bytes are sealed on their way by somebody between.
    fn connect(&self, node: &Node, identity: Option<&str>) -> Client {
        let config = self.client_config(identity);
        let to = tls_address(node);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let between = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        node.runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (mut plain, _) = listener.accept().await.unwrap();
            let stream = tokio::net::TcpStream::connect(to).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let sealed = tokio_rustls::TlsConnector::from(config).connect(name, stream);
            let Ok(mut sealed) = sealed.await else {
                return;
            };
            let _ = tokio::io::copy_bidirectional(&mut plain, &mut sealed).await;
            let _ = plain.shutdown().await;
        });
        Client::raw(between)
    }
}

fn tls_address(node: &Node) -> SocketAddr {
    let doors = node.gateway.as_ref().unwrap().doors();
    let sealed = doors.iter().find(|(door, _)| *door == Door::Amqps);
    sealed.unwrap().1
}

#[test]
fn messages_of_all_sizes_pass_both_ways() {
    let files = Files::new();
    let node = files.node(ClientAuth::None);
    let mut client = files.connect(&node, None);
    client.log_in(&["basic.nack"]);
    client.open_channel(1);
    client.declare(1, "q", true);
    client.confirm_select(1);
    for size in [0, 1, 1000, 16_384, 100_000, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|number: usize| number as u8).collect();
        client.publish(1, "", "q", &body);
        client.expect(1, "basic.ack");
        let got = client.get(1, "q", true).unwrap();
        assert_eq!(got.body.len(), size);
        assert_eq!(got.body, body);
    }
    let info = node.broker.connections();
    let tls = info[0].tls.as_ref().unwrap();
    assert_eq!(
        (tls.protocol, tls.key_exchange, tls.hash),
        ("tlsv1.3", "any", "aead")
    );
}

#[test]
fn the_end_is_said_before_the_socket_is_closed() {
    let files = Files::new();
    let node = files.node(ClientAuth::None);
    let config = files.client_config(None);
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = rustls::ClientConnection::new(config, name).unwrap();
    let mut socket = TcpStream::connect(tls_address(&node)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut all = Vec::new();
    // Without a close_notify this is an error.
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, amqp091::handshake::REPLY);
}

#[test]
fn a_certificate_logs_its_user_in() {
    let files = Files::new();
    files.issue("guest");
    files.issue("stranger");
    let node = files.node(ClientAuth::Request);
    for (identity, code) in [
        (Some("guest"), None),
        (Some("stranger"), Some(403)),
        (None, Some(403)),
    ] {
        let mut client = files.connect(&node, identity);
        client.send(&amqp091::handshake::REPLY);
        client.expect(0, "connection.start");
        let capabilities = b"\x1cauthentication_failure_closet\x01";
        let mut properties = b"\x0ccapabilitiesF".to_vec();
        properties.extend((capabilities.len() as u32).to_be_bytes());
        properties.extend(capabilities);
        client.method(
            0,
            connection::StartOk {
                client_properties: RawTable::new(&properties),
                mechanism: ShortStr::lit("EXTERNAL"),
                response: LongStr::new(b""),
                locale: ShortStr::lit("en_US"),
            },
        );
        match code {
            None => {
                client.expect(0, "connection.tune");
            }
            Some(code) => assert_eq!(client.expect_close(0).0, code, "{identity:?}"),
        }
    }
}

#[test]
fn plain_bytes_and_half_handshakes_end_in_time_and_disturb_nobody() {
    let files = Files::new();
    let node = files.node(ClientAuth::None);
    let halves: Vec<_> = (0..200)
        .map(|_| {
            let mut socket = TcpStream::connect(tls_address(&node)).unwrap();
            socket.write_all(b"\x16\x03\x01\x02\x00\x01\x00").unwrap();
            socket
        })
        .collect();
    let mut plain = Client::raw(tls_address(&node));
    plain.send(&amqp091::handshake::REPLY);
    let start = Instant::now();
    plain.read_to_end();
    assert!(start.elapsed() < Duration::from_secs(1));
    let mut client = files.connect(&node, None);
    client.log_in(&[]);
    for mut half in halves {
        half.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut rest = Vec::new();
        let _ = half.read_to_end(&mut rest);
    }
    assert!(start.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_client_that_does_not_read_is_not_written_to_without_bound() {
    let files = Files::new();
    let node = files.node(ClientAuth::None);
    let mut publisher = node.channel();
    publisher.declare(1, "q", false);
    publisher.confirm_select(1);
    for _ in 0..300 {
        publisher.publish(1, "", "q", &[7; 100_000]);
    }
    let mut client = files.connect(&node, None);
    client.log_in(&[]);
    client.open_channel(1);
    client.consume(1, "q", true);
    std::thread::sleep(Duration::from_secs(1));
    let left = node.channel().ready(1, "q");
    assert!(left > 100, "{left} are left");
    for _ in 0..300 {
        assert_eq!(client.next_message(1).body, [7; 100_000]);
    }
}
