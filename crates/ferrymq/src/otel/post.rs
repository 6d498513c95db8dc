//! Sending a body to a collector: one HTTP request on a connection of its own.
//!
//! Invariants
//! - Each step has a time limit, and no more of an answer is read than says whether it worked.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Where OTLP takes spans, below the endpoint.
const PATH: &str = "/v1/traces";

/// How long connecting, and each read or write, may take.
const STEP_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest beginning of an answer that is looked at, in bytes.
const STATUS_LINE_BYTES_MAX: usize = 256;

/// A collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Host and port.
    authority: String,
    path: String,
}

impl Endpoint {
    /// Reads a URL such as `http://127.0.0.1:4318`.
    pub fn parse(text: &str) -> Option<Endpoint> {
        let rest = text.strip_prefix("http://")?;
        let (authority, base) = match rest.split_once('/') {
            Some((authority, base)) => (authority, format!("/{base}")),
            None => (rest, String::new()),
        };
        let (host, port) = authority.rsplit_once(':')?;
        let is_sound = |byte: u8| byte.is_ascii_graphic() && !b"@?#".contains(&byte);
        let sound = !host.is_empty() && rest.bytes().all(is_sound) && port.parse::<u16>().is_ok();
        sound.then(|| Endpoint {
            authority: authority.to_owned(),
            path: format!("{}{PATH}", base.trim_end_matches('/')),
        })
    }

    /// Sends a body of JSON and waits for a yes.
    pub fn post(&self, body: &[u8]) -> io::Result<()> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(STEP_TIME_MAX))?;
        stream.set_write_timeout(Some(STEP_TIME_MAX))?;
        let Endpoint { authority, path } = self;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let status = read_status(&mut stream)?;
        match status.as_bytes() {
            [b'2', _, _] => Ok(()),
            _ => Err(io::Error::other(format!("the collector answers {status}"))),
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::other("the collector's name has no address");
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, STEP_TIME_MAX) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The three digits of an answer.
fn read_status(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut limited = stream.take(STATUS_LINE_BYTES_MAX as u64);
    let mut byte = [0];
    while !line.ends_with(b"\r\n") && limited.read(&mut byte)? == 1 {
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let no_http = || io::Error::other("the collector does not answer in HTTP/1");
    Ok(status.ok_or_else(no_http)?.to_owned())
}
