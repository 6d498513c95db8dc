//! The client against sockets that answer what the test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;

use clap::{Args, Command, FromArgMatches};
use rustls_pki_types::PrivateKeyDer;
use serde_json::json;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

fn client(address: SocketAddr, timeout_s: &str) -> Client {
    let command = NodeArgs::augment_args(Command::new("test"));
    let node = format!("http://{address}");
    let line = ["test", "--node", &node, "--timeout-s", timeout_s];
    let matches = command.try_get_matches_from(line).unwrap();
    let args = NodeArgs::from_arg_matches(&matches).unwrap();
    Client::new(&args.address().unwrap()).unwrap()
}

/// Answers one request on each connection with these bytes; returns what it was asked.
fn server(answers: &[&str]) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let (address, handle, _) = telling_server(answers);
    (address, handle)
}

/// The same, and tells of each connection that it has closed.
fn telling_server(
    answers: &[&str],
) -> (
    SocketAddr,
    thread::JoinHandle<Vec<String>>,
    mpsc::Receiver<()>,
) {
    let (closed, told) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
    let handle = thread::spawn(move || {
        let serve = |answer: String| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            drop(stream);
            // Most tests do not ask.
            let _ = closed.send(());
            String::from_utf8_lossy(&bytes[..count]).into_owned()
        };
        answers.into_iter().map(serve).collect()
    });
    (address, handle, told)
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nRetry-After: 7\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_refusal_becomes_its_kind_of_error() {
    let reason = r#"{"error":"x","reason":"because \u001b[2J"}"#;
    for (status, body, expected) in [
        (
            "401 Unauthorized",
            reason,
            "does not let user guest in: because \\u{1b}[2J",
        ),
        ("403 Forbidden", reason, "not allowed: because"),
        (
            "404 Not Found",
            r#"{"reason":"Not Found"}"#,
            "not found: /api/x",
        ),
        ("404 Not Found", reason, "not found: because"),
        ("400 Bad Request", reason, "refused: because"),
        (
            "400 Bad Request",
            r#"{"reason":["no_such_user","u"]}"#,
            r#"refused: ["no_such_user","u"]"#,
        ),
        ("409 Conflict", "", "refused: 409 Conflict"),
        (
            "429 Too Many Requests",
            reason,
            "held back, try again in 7 s: because",
        ),
        (
            "500 Internal Server Error",
            "<html>",
            "the node failed (500): <html>",
        ),
        ("200 OK", "{", "is not understood: its JSON is broken"),
    ] {
        let (address, server) = server(&[&answer(status, body)]);
        let error = client(address, "5")
            .get("/api/x?y=z")
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{status} {body}: {error}");
        server.join().unwrap();
    }
}

#[test]
fn a_request_names_its_user_and_carries_json() {
    let (address, server) = server(&[&answer("204 No Content", "")]);
    let body = json!({ "a": 1 });
    let said = client(address, "5").put(&path(&["x", "/"]), &body).unwrap();
    assert_eq!(said, Value::Null);
    let asked = server.join().unwrap().remove(0);
    assert!(asked.starts_with("PUT /api/x/%2F HTTP/1.1\r\n"), "{asked}");
    for part in [
        "authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n",
        "content-type: application/json\r\n",
        &format!("host: {address}\r\n"),
        "\r\n\r\n{\"a\":1}",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[test]
fn a_connection_that_the_node_closed_is_opened_again() {
    let closing = answer("200 OK", "1");
    let (address, server, closed) = telling_server(&[&closing, &closing]);
    let client = client(address, "5");
    assert_eq!(client.get("/api/x").unwrap(), 1);
    closed.recv().unwrap();
    assert_eq!(client.post("/api/x", &json!([])).unwrap(), 1);
    assert_eq!(server.join().unwrap().len(), 2);
}

#[test]
fn what_is_no_node_is_an_error() {
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = client(unused, "5").get("/api/x").unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("ferrymq serve"), "{error}");

    let (address, other) = server(&["AMQP\0\0\x09\x01"]);
    let error = client(address, "5").get("/api/x").unwrap_err();
    assert!(
        matches!(error, ClientError::NotUnderstood { .. }),
        "{error}"
    );
    other.join().unwrap();

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = client(silent.local_addr().unwrap(), "1").get("/api/x");
    assert!(matches!(error, Err(ClientError::Silent { seconds: 1, .. })));
}

#[test]
fn names_stay_within_their_segment() {
    for (segments, expected) in [
        (&["queues", "/", "a b"][..], "/api/queues/%2F/a%20b"),
        (&["queues", "..", "."], "/api/queues/%2E%2E/%2E"),
        (&["x", "ä?#%\r\n"], "/api/x/%C3%A4%3F%23%25%0D%0A"),
        (&["x", ""], "/api/x/"),
    ] {
        assert_eq!(path(segments), expected);
    }
    let query = [
        ("a", Some("&=".to_owned())),
        ("b", None),
        ("c", Some(String::new())),
    ];
    assert_eq!(
        with_query("/api/x".to_owned(), &query),
        "/api/x?a=%26%3D&c="
    );
}

/// A node with a certificate for this name, and the file that says to trust it.
fn tls_server(name: &str) -> (SocketAddr, tempfile::TempDir, thread::JoinHandle<bool>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.pem"), made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let asked = stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0);
        asked && stream.write_all(answer("200 OK", "1").as_bytes()).is_ok()
    });
    (address, directory, handle)
}

#[test]
fn a_node_proves_its_name_or_is_told_nothing() {
    for (name, trusted, expected) in [
        ("127.0.0.1", true, true),
        ("broker.example", true, false),
        ("127.0.0.1", false, false),
    ] {
        let (address, directory, node) = tls_server(name);
        let (_, other, _) = tls_server("127.0.0.1");
        let directory = if trusted { &directory } else { &other };
        let ca = directory.path().join("ca.pem");
        let node_url = format!("https://{address}");
        let line = [
            "test",
            "--node",
            &node_url,
            "--ca-file",
            ca.to_str().unwrap(),
        ];
        let command = NodeArgs::augment_args(Command::new("test"));
        let matches = command.try_get_matches_from(line).unwrap();
        let args = NodeArgs::from_arg_matches(&matches).unwrap();
        let found = Client::new(&args.address().unwrap()).unwrap().get("/api/x");
        assert_eq!(found.is_ok(), expected, "{name} {trusted}: {found:?}");
        assert_eq!(node.join().unwrap(), expected, "{name} {trusted}");
    }
}
