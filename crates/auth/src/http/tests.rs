//! The HTTP service: what it is asked, and what its answers are taken for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use parking_lot::Mutex;

use super::*;

/// A service that answers as it is told, and remembers what it was asked.
struct Service {
    back_end: Arc<HttpService>,
    asked: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<String>>,
    runtime: tokio::runtime::Runtime,
}

const TIME: Duration = Duration::from_millis(500);

impl Service {
    fn new(method: HttpMethod) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::default(), Arc::new(Mutex::new(String::new())));
        let (seen, said): (Arc<Mutex<Vec<String>>>, _) = (Arc::clone(&asked), Arc::clone(&answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut line, mut length) = (String::new(), 0);
                stream.read_line(&mut line).unwrap();
                loop {
                    let mut header = String::new();
                    stream.read_line(&mut header).unwrap();
                    match header.to_lowercase().split_once(": ") {
                        Some(("content-length", value)) => length = value.trim().parse().unwrap(),
                        Some(_) => {}
                        None => break,
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let body = String::from_utf8(body).unwrap();
                seen.lock()
                    .push(format!("{} {body}", line.trim().replace(" HTTP/1.1", "")));
                let said = said.lock().clone();
                if said == "silence" {
                    std::thread::sleep(TIME * 2);
                }
                let _ = stream.get_mut().write_all(said.as_bytes());
            }
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let url = |path| Url::parse(&format!("{base}/{path}")).unwrap();
        let settings = HttpSettings {
            method,
            user: url("user"),
            vhost: url("vhost"),
            resource: url("resource"),
            topic: url("topic"),
            ca: None,
            time: TIME,
            remember: Duration::from_secs(60),
        };
        Service {
            back_end: HttpService::new(settings, runtime.handle().clone()),
            asked,
            answer,
            runtime,
        }
    }

    fn says(&self, status: &str, body: &str) {
        let length = body.len();
        *self.answer.lock() =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    }

    fn login(&self, password: Option<&[u8]>) -> Result<Arc<User>, String> {
        let login = LogIn {
            user: "a&b",
            password,
            loopback: true,
            address: "192.0.2.1".parse().unwrap(),
            by: ferry_broker::LoginBy::Amqp091,
        };
        self.runtime.block_on(self.back_end.login(&login))
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }
}

#[test]
fn only_a_clear_yes_lets_somebody_in() {
    let service = Service::new(HttpMethod::Post);
    for (status, body, tags) in [
        ("200 OK", "allow", Some(vec![])),
        (
            "200 OK",
            "ALLOW administrator management\n",
            Some(vec!["administrator", "management"]),
        ),
        ("201 Created", "allow", Some(vec![])),
        ("200 OK", "deny", None),
        ("200 OK", "allowed", None),
        ("200 OK", "", None),
        ("200 OK", "deny allow", None),
        ("404 Not Found", "allow", None),
        ("302 Found", "allow", None),
        ("500 Oops", "allow", None),
    ] {
        service.says(status, body);
        let user = service.login(Some(b"p w"));
        let found = user.ok().map(|user| user.tags.to_vec());
        let tags = tags.map(|tags| tags.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(found, tags, "{status} {body}");
        assert_eq!(
            service.asked(),
            ["POST /user username=a%26b&password=p%20w"]
        );
    }
    *service.answer.lock() = "nothing of HTTP\r\n\r\n".to_owned();
    assert!(service.login(Some(b"p")).is_err());
    *service.answer.lock() = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nallow".to_owned();
    assert!(service.login(Some(b"p")).is_err(), "it broke off");
    let long = 2 << 20;
    *service.answer.lock() = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {long}\r\n\r\nallow{}",
        " ".repeat(long - 5)
    );
    assert!(service.login(Some(b"p")).is_err(), "it is too long");
    *service.answer.lock() = "silence".to_owned();
    let start = Instant::now();
    assert!(service.login(Some(b"p")).is_err());
    assert!(start.elapsed() < TIME * 2);
}

#[test]
fn a_decision_is_asked_for_once_and_a_failure_is_a_no_for_now() {
    let service = Service::new(HttpMethod::Get);
    service.says("200 OK", "allow t");
    let user = service.login(None).unwrap();
    assert_eq!(service.asked(), ["GET /user?username=a%26b "]);
    service.says("500 Oops", "");
    assert!(!user.may_enter("/"));
    service.says("200 OK", "allow");
    for _ in 0..3 {
        assert!(user.may_enter("/"));
        assert!(user.may("/", Right::Write, Resource::Exchange, "x"));
        assert!(user.may_topic("/", Right::Write, "x", b"a.b"));
    }
    service.says("200 OK", "deny");
    for _ in 0..3 {
        assert!(!user.may("/", Right::Read, Resource::Queue, "q"));
    }
    let vhost = "GET /vhost?username=a%26b&vhost=%2F&ip=192.0.2.1&tags=t ";
    let of = "username=a%26b&vhost=%2F";
    assert_eq!(
        service.asked(),
        [
            vhost.to_owned(),
            vhost.to_owned(),
            format!("GET /resource?{of}&resource=exchange&name=x&permission=write&tags=t "),
            format!(
                "GET /topic?{of}&resource=topic&name=x&permission=write&tags=t&routing_key=a.b "
            ),
            format!("GET /resource?{of}&resource=queue&name=q&permission=read&tags=t "),
        ]
    );
}

#[test]
fn a_decision_can_be_asked_for_on_a_thread_of_the_runtime() {
    let service = Service::new(HttpMethod::Post);
    service.says("200 OK", "allow");
    let user = service.login(Some(b"p")).unwrap();
    let asked = service.runtime.spawn(async move { user.may_enter("/") });
    assert!(service.runtime.block_on(asked).unwrap());
}
