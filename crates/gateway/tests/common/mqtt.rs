//! A client of MQTT that knows only packets.

mod talk;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ferry_broker::{Account, Permission, VhostSpec};
use ferry_gateway::{Door, GatewayConfig, MqttConfig};
use mqtt::{
    Auth, Connack, Connect, Disconnect, Packet, PacketType, Properties, ReasonCode, Version,
    write_properties,
};

pub use self::talk::{Got, Post, Sub};
use super::Node;
use ferry_log::testing::Crash;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn config_with(mqtt: MqttConfig) -> GatewayConfig {
    GatewayConfig {
        mqtt: MqttConfig {
            addresses: vec!["127.0.0.1:0".parse().unwrap()],
            ..mqtt
        },
        ..GatewayConfig::default()
    }
}

/// A node that speaks MQTT, too.
pub fn node_with(mqtt: MqttConfig) -> Node {
    Node::with(config_with(mqtt), 1 << 30)
}

/// The node that starts after power was lost: what was not synced is gone.
pub fn after_power_loss(node: Node) -> Node {
    let disk = node.disk.clone();
    disk.crash(Crash::LoseAll);
    drop(node);
    Node::on(disk, config_with(MqttConfig::default()), 1 << 30)
}

/// The same with what is set by default.
pub fn node() -> Node {
    node_with(MqttConfig::default())
}

/// Where it speaks MQTT.
pub fn address(node: &Node) -> SocketAddr {
    let doors = node.gateway.as_ref().unwrap().doors();
    let mqtt = doors.iter().find(|(door, _)| *door == Door::Mqtt);
    mqtt.unwrap().1
}

/// A packet that came.
#[derive(Clone, PartialEq, Eq)]
pub struct Came {
    pub bytes: Vec<u8>,
    version: Version,
}

impl Came {
    pub fn packet(&self) -> Packet<'_> {
        let frame = mqtt::frame(&self.bytes, u32::MAX).unwrap().unwrap();
        Packet::decode_from_server(frame, self.version).unwrap()
    }
}

impl std::fmt::Debug for Came {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.packet().fmt(f)
    }
}

/// What a client opens with unless a test wants something else.
pub fn hello(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id,
        properties: Properties::EMPTY,
        will: None,
        user_name: Some("guest"),
        password: Some(b"guest"),
    }
}

/// The client.
pub struct Mqtt {
    socket: TcpStream,
    buffer: Vec<u8>,
    pub version: Version,
}

impl Mqtt {
    pub fn raw(address: SocketAddr, version: Version) -> Mqtt {
        Mqtt::raw_for(address, version, PATIENCE)
    }

    /// The same with more patience.
    pub fn raw_for(address: SocketAddr, version: Version, patience: Duration) -> Mqtt {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        Mqtt {
            socket,
            buffer: Vec::new(),
            version,
        }
    }

    /// Says who it is; what is answered is still to come.
    pub fn begin(node: &Node, connect: &Connect<'_>) -> Mqtt {
        let mut client = Mqtt::raw(address(node), connect.version);
        client.send(&Packet::Connect(*connect));
        client
    }

    /// Is let in.
    pub fn open(node: &Node, connect: &Connect<'_>) -> Mqtt {
        let mut client = Mqtt::begin(node, connect);
        let (present, reason) = client.connack();
        assert_eq!(reason, ReasonCode::Success);
        assert!(!(present && connect.clean_start));
        client
    }

    pub fn send(&mut self, packet: &Packet<'_>) {
        let mut out = Vec::new();
        packet.write(&mut out, self.version).unwrap();
        self.send_bytes(&out);
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The same; whether the socket has taken it.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// The next packet; none if the broker has closed the connection.
    pub fn next(&mut self) -> Option<Came> {
        loop {
            if let Some(frame) = mqtt::frame(&self.buffer, u32::MAX).unwrap() {
                let size = frame.size;
                return Some(Came {
                    bytes: self.buffer.drain(..size).collect(),
                    version: self.version,
                });
            }
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    /// Whether nothing comes for so long.
    pub fn is_quiet(&mut self, time: Duration) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut chunk = [0; 1];
        let read = self.socket.peek(&mut chunk);
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let timed_out = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
        read.is_err_and(|error| timed_out(error.kind()))
    }

    /// Whether it is let in, and whether its session was there.
    pub fn connack(&mut self) -> (bool, ReasonCode) {
        let came = self.next().unwrap();
        let Packet::Connack(connack) = came.packet() else {
            panic!("{came:?}");
        };
        (connack.session_present, connack.reason)
    }

    /// What `look` finds in the CONNACK.
    pub fn connack_with<R>(&mut self, look: impl FnOnce(&Connack<'_>) -> R) -> R {
        let came = self.next().unwrap();
        match came.packet() {
            Packet::Connack(connack) => look(&connack),
            other => panic!("{other:?}"),
        }
    }

    /// Why the broker ends the connection, if it says so; then it is over.
    pub fn ended(&mut self) -> Option<ReasonCode> {
        let reason = self.next().map(|came| match came.packet() {
            Packet::Disconnect(disconnect) => disconnect.reason,
            other => panic!("{other:?}"),
        });
        assert_eq!(reason.and_then(|_| self.next()), None);
        reason
    }

    /// That the broker answers.
    pub fn ping(&mut self) {
        self.send(&Packet::Pingreq);
        let came = self.next().unwrap();
        assert_eq!(came.packet().packet_type(), PacketType::Pingresp);
    }

    /// Ends in order, or with that reason.
    pub fn disconnect(mut self, reason: ReasonCode) {
        self.send(&Packet::Disconnect(Disconnect::new(reason)));
        assert_eq!(self.next(), None);
    }

    /// Is lost.
    pub fn drop_dead(self) {
        self.socket.shutdown(Shutdown::Both).unwrap();
    }

    /// A step of authentication.
    pub fn auth(&mut self, reason: ReasonCode, method: &str, data: &[u8]) {
        let mut block = Vec::new();
        let properties = write_properties(&mut block, |writer| {
            writer
                .authentication_method(method)
                .authentication_data(data);
        });
        self.send(&Packet::Auth(Auth { reason, properties }));
    }

    /// What the broker answers to one.
    pub fn authed(&mut self) -> (ReasonCode, Vec<u8>) {
        let came = self.next().unwrap();
        match came.packet() {
            Packet::Auth(auth) => {
                let data = auth.properties.authentication_data();
                (auth.reason, data.unwrap_or_default().to_vec())
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Waits until it is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A user whose password is the name.
pub fn add_user(node: &Node, name: &str, vhosts: &[&str]) {
    let password_hash = node.broker.hash_password(name.as_bytes()).unwrap();
    let account = Account {
        name: name.into(),
        password_hash: Some(password_hash),
        tags: Vec::new(),
    };
    node.broker.set_user(account).unwrap();
    for vhost in vhosts {
        let all = || ".*".to_owned();
        let permission = Permission {
            user: name.into(),
            vhost: (*vhost).into(),
            configure: all(),
            write: all(),
            read: all(),
        };
        node.broker.set_permission(permission).unwrap();
    }
}

/// One more virtual host.
pub fn add_vhost(node: &Node, name: &str) {
    let spec = VhostSpec {
        name: name.into(),
        ..VhostSpec::default()
    };
    node.broker.set_vhost(spec).unwrap();
}
