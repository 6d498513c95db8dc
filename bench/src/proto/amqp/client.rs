//! The blocking side of a connection: handshake and declarations.
//!
//! Invariants
//! - Every request waits for its reply, except those whose name ends in `_send`.
//! - Heartbeats are off: an idle connection costs what the broker makes of it, nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Res;
use crate::proto::io_text;
use crate::target::Target;

use super::wire::{
    CHANNEL, FRAME_BYTES_MAX, FRAME_METHOD, Field, MethodId, frame, put_long, put_method,
    put_short, put_table, text_in_table, u16_at, u32_at,
};

/// Replies of set-up are short.
const READ_BYTES: usize = 4096;

/// A connection with one open channel.
pub struct Client {
    socket: TcpStream,
    arrived: Vec<u8>,
    /// What the broker calls itself.
    pub product: String,
}

impl Client {
    /// Connects, logs in and opens the channel.
    pub fn connect(target: &Target) -> Res<Client> {
        let socket = target.connect()?;
        let mut client = Client {
            socket,
            arrived: Vec::new(),
            product: String::new(),
        };
        client
            .socket
            .write_all(b"AMQP\x00\x00\x09\x01")
            .map_err(io_text)?;
        let start = client.expect((10, 10))?;
        let told = |key| text_in_table(&start, key).unwrap_or_default();
        client.product = format!("{} {}", told("product"), told("version"))
            .trim()
            .to_string();

        let mut args = Vec::new();
        put_table(&mut args, &[]);
        put_short(&mut args, "PLAIN");
        let (user, pass) = (
            target.option("user", "guest"),
            target.option("pass", "guest"),
        );
        put_long(&mut args, format!("\0{user}\0{pass}").as_bytes());
        put_short(&mut args, "en_US");
        client.send(0, (10, 11), &args)?;

        let tune = client.expect((10, 30))?;
        let (channels, offered) = (u16_at(&tune, 4), u32_at(&tune, 6));
        if offered != 0 && offered < FRAME_BYTES_MAX {
            return Err(format!(
                "the broker's limit of {offered} bytes a frame is too small"
            ));
        }
        let mut args = channels.to_be_bytes().to_vec();
        args.extend_from_slice(&FRAME_BYTES_MAX.to_be_bytes());
        args.extend_from_slice(&0u16.to_be_bytes());
        let mut out = Vec::new();
        put_method(&mut out, 0, (10, 31), &args);
        let mut args = Vec::new();
        put_short(&mut args, &target.option("vhost", "/"));
        args.extend_from_slice(&[0, 0]);
        put_method(&mut out, 0, (10, 40), &args);
        // nothing is answered to the first of the two
        client.socket.write_all(&out).map_err(io_text)?;
        client.expect((10, 41))?;
        client.call((20, 10), &[0], (20, 11))?;
        Ok(client)
    }

    /// Gives the socket up to a codec. Nothing may have arrived that nobody asked for.
    pub fn handover(self) -> Res<TcpStream> {
        if self.arrived.is_empty() {
            Ok(self.socket)
        } else {
            Err("early bytes".into())
        }
    }

    /// Keeps only the open socket.
    pub fn into_socket(self) -> TcpStream {
        self.socket
    }

    fn send(&mut self, channel: u16, id: MethodId, args: &[u8]) -> Res<()> {
        let mut out = Vec::with_capacity(args.len() + 16);
        put_method(&mut out, channel, id, args);
        self.socket.write_all(&out).map_err(io_text)
    }

    /// Waits for a method and returns its payload; a close is an error.
    pub fn expect(&mut self, id: MethodId) -> Res<Vec<u8>> {
        loop {
            if let Some(frame) = frame(&self.arrived)? {
                let (kind, got, bytes) = (frame.kind, frame.method(), frame.bytes);
                let payload = frame.payload.to_vec();
                if kind == FRAME_METHOD {
                    frame.closing()?;
                }
                self.arrived.drain(..bytes);
                if kind == FRAME_METHOD && got == id {
                    return Ok(payload);
                }
                continue;
            }
            let mut chunk = [0u8; READ_BYTES];
            let bytes = self.socket.read(&mut chunk).map_err(io_text)?;
            if bytes == 0 {
                return Err("the broker closed the connection during set-up".into());
            }
            self.arrived.extend_from_slice(&chunk[..bytes]);
        }
    }

    fn call(&mut self, id: MethodId, args: &[u8], reply: MethodId) -> Res<Vec<u8>> {
        self.send(CHANNEL, id, args)?;
        self.expect(reply)
    }

    /// Asks for a queue; the reply is to be awaited with `declared`.
    pub fn declare_send(&mut self, queue: &str, durable: bool, args: &[(&str, Field)]) -> Res<()> {
        let mut out = vec![0, 0];
        put_short(&mut out, queue);
        out.push(u8::from(durable) << 1);
        put_table(&mut out, args);
        self.send(CHANNEL, (50, 10), &out)
    }

    /// Awaits the reply to one `declare_send`.
    pub fn declared(&mut self) -> Res<()> {
        self.expect((50, 11)).map(drop)
    }

    /// Deletes a queue; one that does not exist is no error.
    pub fn delete(&mut self, queue: &str) -> Res<()> {
        let mut args = vec![0, 0];
        put_short(&mut args, queue);
        args.push(0);
        self.call((50, 40), &args, (50, 41)).map(drop)
    }

    /// Declares an exchange.
    pub fn declare_exchange(&mut self, exchange: &str, kind: &str, durable: bool) -> Res<()> {
        let mut args = vec![0, 0];
        put_short(&mut args, exchange);
        put_short(&mut args, kind);
        args.push(u8::from(durable) << 1);
        put_table(&mut args, &[]);
        self.call((40, 10), &args, (40, 11)).map(drop)
    }

    /// Deletes an exchange.
    pub fn delete_exchange(&mut self, exchange: &str) -> Res<()> {
        let mut args = vec![0, 0];
        put_short(&mut args, exchange);
        args.push(0);
        self.call((40, 20), &args, (40, 21)).map(drop)
    }

    /// Asks for a binding; the reply is to be awaited with `bound`.
    pub fn bind_send(
        &mut self,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: &[(&str, Field)],
    ) -> Res<()> {
        let mut args = vec![0, 0];
        put_short(&mut args, queue);
        put_short(&mut args, exchange);
        put_short(&mut args, key);
        args.push(0);
        put_table(&mut args, arguments);
        self.send(CHANNEL, (50, 20), &args)
    }

    /// Awaits the reply to one `bind_send`.
    pub fn bound(&mut self) -> Res<()> {
        self.expect((50, 21)).map(drop)
    }

    /// Limits what may be unacknowledged.
    pub fn set_prefetch(&mut self, prefetch: u16) -> Res<()> {
        let mut args = vec![0, 0, 0, 0];
        args.extend_from_slice(&prefetch.to_be_bytes());
        args.push(0);
        self.call((60, 10), &args, (60, 11)).map(drop)
    }

    /// Turns confirms on.
    pub fn select_confirms(&mut self) -> Res<()> {
        self.call((85, 10), &[0], (85, 11)).map(drop)
    }

    /// Asks for deliveries; the reply comes among them.
    pub fn consume_send(
        &mut self,
        queue: &str,
        tag: &str,
        no_ack: bool,
        arguments: &[(&str, Field)],
    ) -> Res<()> {
        let mut args = vec![0, 0];
        put_short(&mut args, queue);
        put_short(&mut args, tag);
        args.push(u8::from(no_ack) << 1);
        put_table(&mut args, arguments);
        self.send(CHANNEL, (60, 20), &args)
    }
}
