//! The PROXY protocol, versions 1 and 2: a proxy that is trusted says whom it speaks for.
//!
//! ```text
//! 1: PROXY TCP4 192.0.2.1 198.51.100.1 56324 5672\r\n
//! 2: signature(12) version and command(1) family(1) length(2) addresses, more
//! ```
//!
//! Invariants
//! - A header is read from sources that the operator has named, and from those it must come; from
//!   everybody else such bytes are what they are to the protocol behind: no greeting.
//! - No byte behind the header is taken, and a header has at most `HEADER_BYTES_MAX`.
//!
//! Not here: whether the address it tells is believed (`whence`).

#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod networks;
mod whence;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

pub use networks::{Network, Networks};
pub use whence::{Proxies, Whence};

/// How long a header may take.
pub const PROXY_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of the longest line of version 1, with its end.
const LINE_BYTES_MAX: usize = 107;
/// Bytes that version 2 may have behind its fixed part: addresses, and what else the proxy tells.
const REST_BYTES_MAX: usize = 2048;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const BEGINNING_1: &[u8] = b"PROXY ";

/// Why a header is not one.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The bytes are none.
    #[error("there is no PROXY header, or it makes no sense")]
    Malformed,
    /// It is longer than one may be.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It did not come in time.
    #[error("the PROXY header did not come in time")]
    Slow,
    /// The socket's.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// Whom a proxy speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxied {
    /// For itself, as its health checks do.
    Itself,
    /// It does not say; certainly not for itself.
    Unknown,
    /// For who has this address.
    Client(SocketAddr),
}

/// Reads the header.
///
/// # Errors
/// Whatever is not a header. Nothing may be said to such a peer.
pub async fn read_proxy_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Proxied, ProxyError> {
    match tokio::time::timeout(PROXY_TIME_MAX, read(stream)).await {
        Ok(read) => read,
        Err(_) => Err(ProxyError::Slow),
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Proxied, ProxyError> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let [version_command, family, length_high, length_low] = fixed;
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        if length > REST_BYTES_MAX {
            return Err(ProxyError::TooLong);
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        return version_2(version_command, family, &rest);
    }
    if !start.starts_with(BEGINNING_1) {
        return Err(ProxyError::Malformed);
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_BYTES_MAX {
            return Err(ProxyError::TooLong);
        }
        line.push(stream.read_u8().await?);
    }
    let line = std::str::from_utf8(&line[..line.len() - 2]).map_err(|_| ProxyError::Malformed)?;
    version_1(line)
}

fn version_1(line: &str) -> Result<Proxied, ProxyError> {
    let mut words = line.split(' ').skip(1);
    let mut word = || words.next().ok_or(ProxyError::Malformed);
    let family = word()?;
    if family == "UNKNOWN" {
        return Ok(Proxied::Unknown);
    }
    let (source, destination) = (address(family, word()?)?, address(family, word()?)?);
    let (source_port, _) = (port(word()?)?, port(word()?)?);
    if words.next().is_some() || source.is_ipv4() != destination.is_ipv4() {
        return Err(ProxyError::Malformed);
    }
    Ok(Proxied::Client(SocketAddr::new(source, source_port)))
}

fn address(family: &str, text: &str) -> Result<IpAddr, ProxyError> {
    let address = match family {
        "TCP4" => text.parse().map(IpAddr::V4).ok(),
        "TCP6" => text.parse().map(IpAddr::V6).ok(),
        _ => None,
    };
    address.ok_or(ProxyError::Malformed)
}

fn port(text: &str) -> Result<u16, ProxyError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    text.parse()
        .ok()
        .filter(|_| plain)
        .ok_or(ProxyError::Malformed)
}

fn version_2(version_command: u8, family: u8, rest: &[u8]) -> Result<Proxied, ProxyError> {
    match version_command {
        0x20 => return Ok(Proxied::Itself),
        0x21 => {}
        _ => return Err(ProxyError::Malformed),
    }
    let found = match family {
        0x11 => rest.first_chunk::<12>().map(|bytes| {
            let ip = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
            SocketAddr::new(ip.into(), u16::from_be_bytes([bytes[8], bytes[9]]))
        }),
        0x21 => rest.first_chunk::<36>().map(|bytes| {
            let mut ip = [0; 16];
            ip.copy_from_slice(&bytes[..16]);
            let port = u16::from_be_bytes([bytes[32], bytes[33]]);
            SocketAddr::new(Ipv6Addr::from(ip).into(), port)
        }),
        0x00 => return Ok(Proxied::Unknown),
        // Datagrams and paths of files are nobody's address here.
        _ => None,
    };
    found.map(Proxied::Client).ok_or(ProxyError::Malformed)
}

#[cfg(test)]
mod tests;
