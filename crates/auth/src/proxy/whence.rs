//! Where a client is: what its socket says, or a proxy that is believed.
//!
//! ```text
//! socket --PROXY header--> a connection's address --X-Forwarded-For--> a request's
//! ```
//!
//! Invariants
//! - A proxy is believed if the operator has named it, and nobody who is farther than the first
//!   that was not named.
//! - Nothing that a proxy says makes a client one of this machine that its socket does not; of this
//!   machine is who is so by every address on the way.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, VIA};
use tokio::io::AsyncRead;

use super::{Networks, Proxied, ProxyError, read_proxy_header};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// What proxies write into a request, and nobody else.
const MARKS: [HeaderName; 4] = [
    X_FORWARDED_FOR,
    FORWARDED,
    VIA,
    HeaderName::from_static("x-real-ip"),
];

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whence {
    /// Its address.
    pub peer: SocketAddr,
    /// Whether it is on this machine.
    pub loopback: bool,
}

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Who says by the PROXY protocol whom it speaks for. From there it must be said, but for what
    /// comes to a listener for HTTP from who is believed in what follows.
    pub protocol_from: Networks,
    /// Whose `X-Forwarded-For` counts, in requests of HTTP and for a WebSocket.
    pub forwarded_for_from: Networks,
}

impl Whence {
    /// Where the other end of a socket is.
    pub fn of(peer: SocketAddr) -> Whence {
        let loopback = is_loopback(peer);
        Whence { peer, loopback }
    }

    /// The same socket, by which somebody speaks who is there.
    fn told(self, peer: SocketAddr) -> Whence {
        let loopback = self.loopback && is_loopback(peer);
        Whence { peer, loopback }
    }

    /// The same, by which somebody speaks who is anywhere.
    fn somewhere(self) -> Whence {
        Whence {
            loopback: false,
            ..self
        }
    }
}

impl Proxies {
    /// Where the client of a socket is that was just accepted; reads the PROXY header if one is
    /// due, and no byte behind it.
    ///
    /// # Errors
    /// Whatever is not a header. Nothing may be said to such a peer.
    pub async fn of_socket(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        peer: SocketAddr,
    ) -> Result<Whence, ProxyError> {
        let at = Whence::of(peer);
        if !self.protocol_from.contains(peer.ip()) {
            return Ok(at);
        }
        Ok(match read_proxy_header(stream).await? {
            Proxied::Itself => at,
            Proxied::Unknown => at.somewhere(),
            Proxied::Client(said) => at.told(said),
        })
    }

    /// The same for a socket by which HTTP is spoken: a proxy that says it with each request says
    /// nothing before the first.
    ///
    /// # Errors
    /// As [`Self::of_socket`].
    pub async fn of_http_socket(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        peer: SocketAddr,
    ) -> Result<Whence, ProxyError> {
        match self.forwarded_for_from.contains(peer.ip()) {
            true => Ok(Whence::of(peer)),
            false => self.of_socket(stream, peer).await,
        }
    }

    /// Where the client is that a request of such a connection is from. Each proxy adds to
    /// `X-Forwarded-For` whom it was sent the request by, so that is read from its end, up to the
    /// first who is not believed. A proxy tells addresses without ports: that of the connection
    /// stays.
    pub fn forwarded(&self, connection: Whence, headers: &HeaderMap) -> Whence {
        if !MARKS.iter().any(|mark| headers.contains_key(mark)) {
            return connection;
        }
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut said = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let mut at = connection;
        let mut counts = false;
        while self.forwarded_for_from.contains(at.peer.ip()) {
            let Some(word) = said.next() else { break };
            let Some(address) = address(word.trim(), at.peer.port()) else {
                return at.somewhere();
            };
            (at, counts) = (at.told(address), true);
        }
        // A proxy that is not believed, or does not say whom it speaks for.
        if counts { at } else { at.somewhere() }
    }
}

/// An address with or without a port, which some add.
fn address(word: &str, port: u16) -> Option<SocketAddr> {
    let bare = word
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let alone = bare.unwrap_or(word).parse::<IpAddr>();
    let alone = alone.map(|ip| SocketAddr::new(ip, port));
    alone.or_else(|_| word.parse()).ok()
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Networks {
        let words = text.split_whitespace();
        Networks(words.map(|word| word.parse().unwrap()).collect())
    }

    fn request(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn who_is_named_is_believed_and_nobody_behind_who_is_not() {
        let proxies = Proxies {
            forwarded_for_from: networks("127.0.0.1 10.0.0.0/8 2001:db8::/32"),
            ..Proxies::default()
        };
        for (from, list, expected, loopback) in [
            ("127.0.0.1:7", "192.0.2.1", "192.0.2.1:7", false),
            ("127.0.0.1:7", "192.0.2.9, 192.0.2.1", "192.0.2.1:7", false),
            ("127.0.0.1:7", "192.0.2.1, 10.0.0.2", "192.0.2.1:7", false),
            ("127.0.0.1:7", "127.0.0.1, 10.0.0.2", "127.0.0.1:7", false),
            ("127.0.0.1:7", "10.0.0.3,10.0.0.2", "10.0.0.3:7", false),
            ("127.0.0.1:7", "127.0.0.1", "127.0.0.1:7", true),
            ("127.0.0.1:7", "::1", "[::1]:7", true),
            ("10.0.0.2:7", "127.0.0.1", "127.0.0.1:7", false),
            ("10.0.0.2:7", "192.0.2.1:99", "192.0.2.1:99", false),
            ("10.0.0.2:7", "[2001:db8::1]:9", "[2001:db8::1]:9", false),
            ("[2001:db8::1]:7", "[::2]", "[::2]:7", false),
            ("[::ffff:10.0.0.2]:7", "192.0.2.1", "192.0.2.1:7", false),
            ("10.0.0.2:7", "unknown", "10.0.0.2:7", false),
            ("127.0.0.1:7", "", "127.0.0.1:7", false),
            ("127.0.0.1:7", "127.0.0.1,", "127.0.0.1:7", false),
            ("127.0.0.1:7", "192.0.2.1, a, 10.0.0.2", "10.0.0.2:7", false),
            ("192.0.2.7:7", "127.0.0.1", "192.0.2.7:7", false),
            ("127.0.0.2:7", "127.0.0.1", "127.0.0.2:7", false),
        ] {
            let connection = Whence::of(from.parse().unwrap());
            let found = proxies.forwarded(connection, &request(&[("x-forwarded-for", list)]));
            let peer = expected.parse().unwrap();
            assert_eq!(found, Whence { peer, loopback }, "{from} {list}");
        }
    }

    #[test]
    fn lines_are_one_list() {
        let proxies = Proxies {
            forwarded_for_from: networks("127.0.0.1 10.0.0.2"),
            ..Proxies::default()
        };
        let lines = [
            ("x-forwarded-for", "192.0.2.1, 192.0.2.2"),
            ("x-forwarded-for", "10.0.0.2"),
        ];
        let connection = Whence::of("127.0.0.1:7".parse().unwrap());
        let found = proxies.forwarded(connection, &request(&lines));
        assert_eq!(found.peer, "192.0.2.2:7".parse().unwrap());
    }

    #[test]
    fn what_only_a_proxy_writes_takes_the_rights_of_this_machine() {
        let here = Whence::of("127.0.0.1:7".parse().unwrap());
        let named = Proxies {
            forwarded_for_from: networks("127.0.0.0/8"),
            ..Proxies::default()
        };
        for proxies in [Proxies::default(), named] {
            assert_eq!(proxies.forwarded(here, &request(&[])), here);
            assert_eq!(proxies.forwarded(here, &request(&[("host", "x")])), here);
            for mark in [
                ("via", "1.1 x"),
                ("forwarded", "for=::1"),
                ("x-real-ip", "::1"),
            ] {
                let found = proxies.forwarded(here, &request(&[mark]));
                assert_eq!(found, here.somewhere(), "{mark:?}");
            }
        }
        let found = Proxies::default().forwarded(here, &request(&[("x-forwarded-for", "::1")]));
        assert_eq!(found, here.somewhere());
    }
}
