//! WebSocket: MQTT and AMQP where a browser can reach them, and what is not let in.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Client, Node};
use ferry_auth::{ClientAuth, LoginFrom, ServerTls, TlsSettings, TlsVersionMin};
use ferry_gateway::{Door, GatewayConfig, MqttConfig};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Message, WebSocket};

const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const PINGREQ: &[u8] = b"\xc0\x00";
const PINGRESP: &[u8] = b"\xd0\x00";

fn node() -> Node {
    let mqtt = MqttConfig {
        websocket: vec!["127.0.0.1:0".parse().unwrap()],
        anonymous: Some("guest".to_owned()),
        ..MqttConfig::default()
    };
    let config = GatewayConfig {
        mqtt,
        ..GatewayConfig::default()
    };
    Node::with(config, 1 << 30)
}

fn address(node: &Node, door: Door) -> SocketAddr {
    let doors = node.gateway.as_ref().unwrap().doors();
    let found = doors.iter().find(|(found, _)| *found == door);
    found.unwrap().1
}

type Socket = WebSocket<TcpStream>;

fn connect_with(node: &Node, path: &str, headers: &[(&'static str, &'static str)]) -> Socket {
    let address = address(node, Door::WebSocket);
    let stream = TcpStream::connect(address).unwrap();
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).unwrap();
    let url = format!("ws://{address}{path}");
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(*name, value);
    }
    tungstenite::client::client(request, stream).unwrap().0
}

fn connect(node: &Node, path: &str, name: &'static str) -> Socket {
    connect_with(node, path, &[("Sec-WebSocket-Protocol", name)])
}

fn send(socket: &mut WebSocket<impl Read + Write>, bytes: &[u8]) {
    let message = Message::Binary(Bytes::copy_from_slice(bytes));
    socket.send(message).unwrap();
}

/// So many bytes, in however many messages.
fn receive(socket: &mut WebSocket<impl Read + Write>, count: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < count {
        if let Message::Binary(bytes) = socket.read().unwrap() {
            got.extend_from_slice(&bytes);
        }
    }
    got
}

fn close_code(socket: &mut WebSocket<impl Read + Write>) -> Option<CloseCode> {
    loop {
        if let Message::Close(frame) = socket.read().unwrap() {
            return frame.map(|frame| frame.code);
        }
    }
}

/// A client of AMQP whose bytes somebody between puts into messages of so many bytes.
fn amqp_client(node: &Node, path: &str, message_bytes: usize) -> Client {
    let mut socket = connect(node, path, "amqp");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let between = listener.local_addr().unwrap();
    let client = Client::raw(between);
    let (mut plain, _) = listener.accept().unwrap();
    plain.set_nonblocking(true).unwrap();
    let soon = Some(Duration::from_millis(1));
    socket.get_ref().set_read_timeout(soon).unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; message_bytes];
        loop {
            match plain.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => send(&mut socket, &buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
            match socket.read() {
                Ok(Message::Binary(bytes)) => {
                    plain.set_nonblocking(false).unwrap();
                    plain.write_all(&bytes).unwrap();
                    plain.set_nonblocking(true).unwrap();
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    });
    client
}

#[test]
fn mqtt_is_spoken_however_its_packets_are_cut() {
    let node = node();
    for (path, name) in [("/mqtt", "mqtt"), ("/ws", "mqtt"), ("/", "mqttv3.1")] {
        let mut socket = connect(&node, path, name);
        // One packet in many messages, many packets in one.
        for byte in CONNECT {
            send(&mut socket, &[*byte]);
        }
        assert_eq!(receive(&mut socket, CONNACK.len()), CONNACK);
        send(&mut socket, &PINGREQ.repeat(3));
        assert_eq!(receive(&mut socket, 6), PINGRESP.repeat(3));
        send(&mut socket, b"\xe0\x00");
        assert_eq!(close_code(&mut socket), Some(CloseCode::Normal), "{path}");
    }
}

#[test]
fn mqtt_delivers_in_binary_messages() {
    let node = node();
    let mut socket = connect(&node, "/mqtt", "mqtt");
    send(&mut socket, CONNECT);
    receive(&mut socket, CONNACK.len());
    send(&mut socket, b"\x82\x06\x00\x01\x00\x01t\x01");
    assert_eq!(receive(&mut socket, 5), b"\x90\x03\x00\x01\x01");
    let payload = vec![b'x'; 200_000];
    let mut publish = b"\x30\xc3\x9a\x0c\x00\x01t".to_vec();
    publish.extend_from_slice(&payload);
    send(&mut socket, &publish);
    assert_eq!(receive(&mut socket, publish.len()), publish);
}

#[test]
fn amqp_is_spoken_with_bodies_of_all_sizes() {
    let node = node();
    for (path, message_bytes) in [("/amqp", 4096), ("/ws/amqp", 7)] {
        let mut client = amqp_client(&node, path, message_bytes);
        client.log_in(&["basic.nack"]);
        client.open_channel(1);
        client.declare(1, "q", true);
        client.confirm_select(1);
        for size in [0, 1, 1000, 300_000] {
            let size = if message_bytes < 10 { size / 100 } else { size };
            let body: Vec<u8> = (0..size).map(|number: usize| number as u8).collect();
            client.publish(1, "", "q", &body);
            client.expect(1, "basic.ack");
            assert_eq!(client.get(1, "q", true).unwrap().body, body);
        }
        client.close();
    }
}

#[test]
fn mqtt_is_spoken_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (pem, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&pem, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = ServerTls::open(TlsSettings {
        cert: pem,
        key,
        client_ca: None,
        client_auth: ClientAuth::None,
        version_min: TlsVersionMin::Tls12,
        login_from: LoginFrom::CommonName,
    });
    let mqtt = MqttConfig {
        websockets: vec!["127.0.0.1:0".parse().unwrap()],
        anonymous: Some("guest".to_owned()),
        ..MqttConfig::default()
    };
    let config = GatewayConfig {
        mqtt,
        tls: Some(Arc::new(tls.unwrap())),
        ..GatewayConfig::default()
    };
    let node = Node::with(config, 1 << 30);
    let address = address(&node, Door::WebSockets);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).unwrap();
    let url = format!("wss://{address}/mqtt");
    let mut request = url.into_client_request().unwrap();
    let name = HeaderValue::from_static("mqtt");
    request.headers_mut().insert("Sec-WebSocket-Protocol", name);
    let stream = rustls::StreamOwned::new(tls, stream);
    let mut socket = tungstenite::client::client(request, stream).unwrap().0;
    send(&mut socket, CONNECT);
    assert_eq!(receive(&mut socket, CONNACK.len()), CONNACK);
    let info = node.broker.connections();
    assert_eq!(info[0].tls.as_ref().unwrap().protocol, "tlsv1.3");
    send(&mut socket, &PINGREQ.repeat(100_000));
    assert_eq!(receive(&mut socket, 200_000), PINGRESP.repeat(100_000));
    send(&mut socket, b"\xe0\x00");
    assert_eq!(close_code(&mut socket), Some(CloseCode::Normal));
}

#[test]
fn pings_are_answered_while_nothing_is_said() {
    let node = node();
    let mut socket = connect(&node, "/amqp", "amqp");
    let ping = Message::Ping(Bytes::from_static(b"there?"));
    socket.send(ping).unwrap();
    let pong = Message::Pong(Bytes::from_static(b"there?"));
    assert_eq!(socket.read().unwrap(), pong);
}

#[test]
fn who_says_goodbye_hears_it_and_leaves_nothing() {
    let node = node();
    let mut socket = connect(&node, "/mqtt", "mqtt");
    send(&mut socket, CONNECT);
    receive(&mut socket, CONNACK.len());
    socket.close(None).unwrap();
    assert_eq!(close_code(&mut socket), None);
    let begun = Instant::now();
    while !node.broker.connections().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn texts_are_refused_where_bytes_are_spoken() {
    let node = node();
    for (path, name) in [("/mqtt", "mqtt"), ("/amqp", "amqp")] {
        let mut socket = connect(&node, path, name);
        socket.send(Message::text("hello")).unwrap();
        assert_eq!(close_code(&mut socket), Some(CloseCode::Unsupported));
    }
}

#[test]
fn a_frame_that_is_not_masked_ends_the_connection() {
    let node = node();
    let mut socket = connect(&node, "/amqp", "amqp");
    socket.get_mut().write_all(b"\x82\x01a").unwrap();
    assert_eq!(close_code(&mut socket), Some(CloseCode::Protocol));
}

#[test]
fn shutdown_says_that_the_node_goes_away() {
    let mut node = node();
    let mut socket = connect(&node, "/mqtt", "mqtt");
    send(&mut socket, CONNECT);
    receive(&mut socket, CONNACK.len());
    let gateway = node.gateway.take().unwrap();
    let gone = node.runtime.spawn(gateway.shutdown());
    assert_eq!(close_code(&mut socket), Some(CloseCode::Away));
    node.runtime.block_on(gone).unwrap();
}

#[test]
fn a_page_from_elsewhere_is_no_guest_of_this_machine() {
    let node = node();
    for (origin, lets_in) in [
        ("http://localhost:8080", true),
        ("http://elsewhere.example", false),
    ] {
        let headers = [("Sec-WebSocket-Protocol", "amqp"), ("Origin", origin)];
        let mut socket = connect_with(&node, "/amqp", &headers);
        send(&mut socket, &amqp091::handshake::REPLY);
        assert_eq!(receive(&mut socket, 8)[0], 1, "{origin}");
        send(&mut socket, &start_ok());
        // Who does not ask to be told is closed without a word of AMQP.
        match lets_in {
            true => assert_eq!(receive(&mut socket, 11)[8..11], [10, 0, 30]),
            false => assert_eq!(close_code(&mut socket), Some(CloseCode::Normal)),
        }
    }
}

fn start_ok() -> Vec<u8> {
    let mut payload = vec![0, 10, 0, 11, 0, 0, 0, 0, 5];
    payload.extend_from_slice(b"PLAIN\x00\x00\x00\x0c\x00guest\x00guest\x05en_US");
    let mut frame = vec![1, 0, 0];
    frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    frame.extend_from_slice(&payload);
    frame.push(0xCE);
    frame
}

/// What is answered to these bytes, to the end of the connection.
fn answer_to(node: &Node, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address(node, Door::WebSocket)).unwrap();
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A socket that is closed with something unread in it may be reset.
    let _maybe_reset = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn what_asks_for_no_websocket_is_answered_in_words_and_closed() {
    let node = node();
    let asks = |path: &str, more: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
    };
    let cases = [
        ("GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426"),
        (asks("/elsewhere", ""), "404"),
        (asks("/mqtt", ""), "400"),
        (asks("/mqtt", "Sec-WebSocket-Protocol: amqp\r\n"), "400"),
    ];
    for (request, status) in cases {
        let answer = answer_to(&node, request.as_bytes());
        let line = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&line), "{request}: {answer}");
        assert!(answer.contains("connection: close") && answer.ends_with('\n'));
    }
    let endless = format!("GET /mqtt HTTP/1.1\r\nX: {}", "x".repeat(9000));
    for garbage in ["\x10\x0d\0\x04MQTT\r\n\r\n", endless.as_str()] {
        assert_eq!(answer_to(&node, garbage.as_bytes()), "");
    }
}
