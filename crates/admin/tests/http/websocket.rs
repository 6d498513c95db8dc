//! Requests for a WebSocket: who answers them, and what the one gets who takes the socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::http::{Request, Response, StatusCode};
use ferry_admin::{Admin, AdminConfig, Node, Upgraded, WebSockets};
use ferry_auth::Whence;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Door;

/// Lets in who names himself, says who that was, and gives back what comes.
#[derive(Debug)]
struct Parrot;

impl WebSockets for Parrot {
    fn answer(&self, request: &Request<()>) -> Response<String> {
        let mut response = Response::new(String::new());
        if request.headers().contains_key("x-name") {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert("connection", "Upgrade".parse().unwrap());
            headers.insert("upgrade", "websocket".parse().unwrap());
        } else {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            *response.body_mut() = "who are you?".to_owned();
        }
        response
    }

    fn take(&self, request: Request<()>, upgraded: Upgraded) {
        let Upgraded {
            mut stream,
            tls,
            early,
            whence: Whence { peer, loopback },
        } = upgraded;
        let name = request.headers()["x-name"].to_str().unwrap().to_owned();
        let path = request.uri().path().to_owned();
        tokio::spawn(async move {
            let hello = format!("{name} {path} {} {loopback} {}|", peer.ip(), tls.is_some());
            stream.write_all(hello.as_bytes()).await.unwrap();
            stream.write_all(&early).await.unwrap();
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        });
    }
}

async fn admin(door: &Door, websockets: Option<Arc<dyn WebSockets>>) -> Admin {
    let config = AdminConfig {
        http: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        websockets,
        ..AdminConfig::default()
    };
    let node = Node {
        name: "ferrymq@test".to_owned(),
        version: "1".to_owned(),
        data_dir: ".".into(),
        message_bytes_max: 1 << 20,
        listeners: Vec::new(),
    };
    Admin::open(Arc::clone(&door.broker), node, config)
        .await
        .unwrap()
}

async fn ask(admin: &Admin, path: &str, more: &str) -> TcpStream {
    let mut stream = TcpStream::connect(admin.local_addr()).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{more}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// What comes until the end of this text.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut got = Vec::new();
    while !got.ends_with(end.as_bytes()) {
        got.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(got).unwrap()
}

#[tokio::test]
async fn who_is_let_in_leaves_http_with_what_it_has_sent() {
    let door = Door::open().await;
    let admin = admin(&door, Some(Arc::new(Parrot))).await;
    for path in ["/mqtt", "/ws", "/ws/", "/ws/mqtt", "/ws/amqp", "/ws/json"] {
        // What comes behind the request is not for HTTP.
        let mut stream = ask(&admin, path, "X-Name: ann\r\n\r\nearly").await;
        let head = read_to(&mut stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let hello = read_to(&mut stream, "|").await;
        assert_eq!(hello, format!("ann {path} 127.0.0.1 true false|"));
        assert_eq!(read_to(&mut stream, "\r\n").await, "early\r\n");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n!").await.unwrap();
        assert_eq!(read_to(&mut stream, "!").await, "GET / HTTP/1.1\r\n\r\n!");
    }
    admin.shutdown().await;
}

#[tokio::test]
async fn who_is_refused_hears_why_and_the_connection_goes_on() {
    let door = Door::open().await;
    let admin = admin(&door, Some(Arc::new(Parrot))).await;
    let mut stream = ask(&admin, "/ws", "").await;
    let answer = read_to(&mut stream, "who are you?").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    stream
        .write_all(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    read_to(&mut stream, "who are you?").await;
    admin.shutdown().await;
}

#[tokio::test]
async fn without_a_taker_there_is_nothing_there() {
    let door = Door::open().await;
    let admin = admin(&door, None).await;
    let mut stream = ask(&admin, "/ws", "X-Name: ann\r\n").await;
    let head = read_to(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    admin.shutdown().await;
}
