//! A broker on a disk in memory with the HTTP door before it, and a client of few lines.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::exposition::whole;
use ferry_admin::{Admin, Listener, Node};
use ferry_broker::{
    BindingSpec, Broker, Burst, Clock, ConnectionId, ConnectionInfo, Exchange, ExchangeKind,
    NoView, Options, Publisher, QueueSpec, SyncPolicy,
};
use ferry_core::arguments::Arguments;
use ferry_core::message::{Draft, FORMAT_AMQP091};
use ferry_log::testing::FaultyDisk;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// `guest:guest`.
pub const GUEST: &str = "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n";

/// Stands until it is moved.
pub struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A node that can be asked.
pub struct Door {
    pub broker: Arc<Broker>,
    pub disk: Arc<FaultyDisk>,
    pub clock: Arc<HandClock>,
    pub admin: Admin,
    pub connection: ConnectionId,
}

/// What was answered.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Door {
    pub async fn open() -> Door {
        Door::open_with(SyncPolicy::Sync).await
    }

    /// A node with that setting of `sync`.
    pub async fn open_with(sync: SyncPolicy) -> Door {
        let clock = Arc::new(HandClock(AtomicU64::new(1_000_000)));
        Door::open_on(Arc::new(FaultyDisk::new(1)), clock, sync).await
    }

    /// The node after its process was killed and started again, with the default of every setting.
    pub async fn killed(self) -> Door {
        let Door {
            broker,
            disk,
            clock,
            admin,
            ..
        } = self;
        admin.shutdown().await;
        drop(broker);
        Door::open_on(disk, clock, SyncPolicy::Sync).await
    }

    async fn open_on(disk: Arc<FaultyDisk>, clock: Arc<HandClock>, sync: SyncPolicy) -> Door {
        let broker = Broker::open(Options {
            disk: Arc::clone(&disk) as Arc<dyn ferry_log::Disk>,
            log: ferry_log::Options::default(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            formats: crate::passport::formats(),
            sync,
            memory_high_bytes: 1 << 20,
            disk_free_bytes_min: 0,
        });
        let broker = broker.unwrap();
        let node = Node {
            name: "ferrymq@test".to_owned(),
            version: "9.8.7".to_owned(),
            data_dir: PathBuf::from("."),
            message_bytes_max: 8 << 20,
            listeners: vec![Listener {
                protocol: "amqp",
                address: SocketAddr::from(([127, 0, 0, 1], 6199)),
            }],
        };
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let admin = Admin::start(Arc::clone(&broker), node, any_port)
            .await
            .unwrap();
        let connection = broker.connection_opened(ConnectionInfo {
            peer: "127.0.0.1:4242".to_owned(),
            user: "guest".to_owned(),
            vhost: "/".to_owned(),
            protocol: "AMQP 0-9-1",
            ..ConnectionInfo::default()
        });
        Door {
            broker,
            disk,
            clock,
            admin,
            connection,
        }
    }

    pub fn declare(&self, name: &str, arguments: Arguments) {
        let spec = QueueSpec {
            name: name.to_owned(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments,
        };
        self.broker
            .vhost("/")
            .unwrap()
            .declare_queue(spec, self.connection)
            .unwrap();
    }

    /// Publishes to a queue by its name; `delay_ms` is none for a message that is ready at once.
    pub fn publish(&self, queue: &str, delay_ms: Option<u64>) {
        let draft = Draft {
            format: FORMAT_AMQP091,
            persistent: true,
            dead_lettered: false,
            priority: 0,
            ttl_ms: None,
            published_ms: self.broker.now(),
            deliver_at: delay_ms.map(|delay_ms| self.broker.now() + delay_ms),
            id: None,
            exchange: b"",
            routing_key: queue.as_bytes(),
            properties: &[0, 0],
            body: b"body",
        };
        let mut publisher = Publisher::new(self.broker.vhost("/").unwrap());
        let mut burst = Burst::new();
        burst
            .publish(&self.broker, &mut publisher, &draft, &NoView, None)
            .unwrap();
        burst.submit(&self.broker);
    }

    /// Lets time pass, and what is due then happen.
    pub fn pass(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        self.broker.tick();
    }

    pub fn bind(&self, queue: &str, key: &str) {
        let vhost = self.broker.vhost("/").unwrap();
        vhost
            .declare_exchange(Exchange::new("events", ExchangeKind::Topic))
            .unwrap();
        let spec = BindingSpec {
            source: "events",
            queue: Some(queue),
            exchange: None,
            routing_key: key.as_bytes(),
            arguments: Arguments::new(),
            connection: self.connection,
        };
        vhost.bind(&spec).unwrap();
    }

    /// Sends these bytes, and reads until the other side has said everything.
    pub async fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.admin.local_addr()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let head = head.to_lowercase();
        Answer {
            status: status.unwrap_or(0),
            body: whole(&head, body),
            head,
        }
    }

    /// A request without a body; `more` are lines of its head.
    pub async fn request(&self, method: &str, path: &str, more: &str) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        self.send(&format!("{head}{more}\r\n")).await
    }

    /// As guest, with a body. The log is committed until there is an answer.
    pub async fn change(&self, method: &str, path: &str, body: &str) -> Answer {
        let head = format!("{GUEST}Content-Length: {}\r\n", body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{head}");
        let request = format!("{head}\r\n{body}");
        let answer = self.send(&request);
        tokio::pin!(answer);
        loop {
            let patience = std::time::Duration::from_millis(5);
            match tokio::time::timeout(patience, &mut answer).await {
                Ok(answer) => return answer,
                Err(_) => self.broker.commit_log().unwrap(),
            }
        }
    }

    /// The same with a body of its own.
    pub async fn change_owned(&self, method: &str, path: &str, body: String) -> Answer {
        self.change(method, path, &body).await
    }

    /// As guest.
    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, GUEST).await
    }
}
