//! The client's socket, its frames and the handshake.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use amqp091::frame::FrameKind;
use amqp091::method::{channel, connection};
use amqp091::{LongStr, Method, RawTable, ShortStr, Table, Value};

pub(super) const FRAME_BYTES_MAX: u32 = 131_072;

/// A frame that came.
#[derive(Debug, Clone)]
pub struct Got {
    pub kind: FrameKind,
    pub channel: u16,
    pub payload: Vec<u8>,
}

impl Got {
    pub fn method(&self) -> Method<'_> {
        assert_eq!(self.kind, FrameKind::Method, "{self:?}");
        Method::decode(&self.payload).unwrap()
    }
}

/// A message that came, by `deliver`, `get_ok` or `return`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub name: &'static str,
    pub tag: u64,
    pub redelivered: bool,
    pub routing_key: String,
    pub consumer: String,
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
    pub left: u32,
}

/// A client that knows only frames.
pub struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn raw(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Client {
            socket,
            buffer: Vec::new(),
        }
    }

    pub fn log_in(&mut self, capabilities: &[&'static str]) {
        self.log_in_to_open(capabilities);
        self.expect(0, "connection.open_ok");
    }

    /// Logs in; the answer to `connection.open` is to come.
    pub fn log_in_to_open(&mut self, capabilities: &[&'static str]) {
        self.send(&amqp091::handshake::REPLY);
        self.expect(0, "connection.start");
        let mut can = Table::new();
        capabilities
            .iter()
            .for_each(|name| can.push(ShortStr::lit(name), true));
        let mut properties = Table::new();
        properties.push(ShortStr::lit("capabilities"), Value::from(can));
        let properties = properties.to_bytes();
        self.method(
            0,
            connection::StartOk {
                client_properties: RawTable::new(&properties),
                mechanism: ShortStr::lit("PLAIN"),
                response: LongStr::new(b"\0guest\0guest"),
                locale: ShortStr::lit("en_US"),
            },
        );
        self.expect(0, "connection.tune");
        let frame_max = FRAME_BYTES_MAX;
        self.method(
            0,
            connection::TuneOk {
                channel_max: 2047,
                frame_max,
                heartbeat: 0,
            },
        );
        self.open("/");
    }

    pub fn open(&mut self, vhost: &'static str) {
        self.method(
            0,
            connection::Open {
                virtual_host: ShortStr::lit(vhost),
                capabilities: ShortStr::EMPTY,
                insist: false,
            },
        );
    }

    pub fn open_channel(&mut self, number: u16) {
        self.method(
            number,
            channel::Open {
                out_of_band: ShortStr::EMPTY,
            },
        );
        self.expect(number, "channel.open_ok");
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends, and does not mind a closed socket.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    pub fn method<'a>(&mut self, channel: u16, method: impl Into<Method<'a>>) {
        let mut out = Vec::new();
        method.into().write_frame(&mut out, channel);
        self.send(&out);
    }

    /// The next frame but heartbeats; none when the socket was closed.
    pub fn next(&mut self) -> Option<Got> {
        loop {
            let parsed = amqp091::frame::parse(&self.buffer, FRAME_BYTES_MAX).unwrap();
            if let Some(frame) = parsed {
                let (kind, channel, size) = (frame.kind, frame.channel, frame.size);
                let payload = frame.payload.to_vec();
                self.buffer.drain(..size);
                if kind != FrameKind::Heartbeat {
                    return Some(Got {
                        kind,
                        channel,
                        payload,
                    });
                }
                continue;
            }
            let mut chunk = [0; 65_536];
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing comes: {error}"),
            }
        }
    }

    /// Raw bytes up to the end of the stream.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.buffer);
        let _ = self.socket.read_to_end(&mut all);
        all
    }

    /// Whether nothing comes for a while.
    pub fn is_quiet(&mut self, time: Duration) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut chunk = [0; 4096];
        let quiet = match self.socket.read(&mut chunk) {
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                false
            }
            Err(_) => true,
        };
        self.socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        quiet
    }

    pub fn expect(&mut self, channel: u16, name: &str) -> Got {
        let got = self
            .next()
            .unwrap_or_else(|| panic!("{name} expected, the socket was closed"));
        assert_eq!(
            (got.channel, got.method().name()),
            (channel, name),
            "{:?}",
            got.method()
        );
        got
    }

    /// The code and text of the close that comes next.
    pub fn expect_close(&mut self, channel: u16) -> (u16, String) {
        let got = self.next().expect("a close");
        assert_eq!(got.channel, channel, "{got:?}");
        match got.method() {
            Method::ChannelClose(close) => (
                close.reply_code,
                close.reply_text.as_str_lossy().into_owned(),
            ),
            Method::ConnectionClose(close) => (
                close.reply_code,
                close.reply_text.as_str_lossy().into_owned(),
            ),
            other => panic!("a close, not {other:?}"),
        }
    }

    /// Takes a channel error, and opens the channel again.
    pub fn expect_channel_error(&mut self, number: u16) -> (u16, String) {
        let close = self.expect_close(number);
        self.method(number, channel::CloseOk {});
        self.open_channel(number);
        close
    }
}
