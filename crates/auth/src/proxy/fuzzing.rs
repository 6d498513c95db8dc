//! A PROXY header that is read, read again; and a list of whom a request was sent by.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::{BEGINNING_1, Networks, Proxied, Proxies, REST_BYTES_MAX, SIGNATURE, Whence, read};

/// A header is read to its end and no further, and the address in it is the same in either
/// version.
pub fn check_proxy(bytes: &[u8]) {
    check_forwarded(bytes);
    let Some((found, used)) = header(bytes) else {
        return;
    };
    assert!(used <= SIGNATURE.len() + 4 + REST_BYTES_MAX);
    assert_eq!(header(&bytes[..used]), Some((found, used)));
    assert_eq!(header(&bytes[..used - 1]), None, "it was not needed");
    let Proxied::Client(address) = found else {
        return;
    };
    let (ip, port) = (address.ip(), address.port());
    let family = if ip.is_ipv4() { 4 } else { 6 };
    let line = format!("PROXY TCP{family} {ip} {ip} {port} 1\r\n");
    assert!(line.as_bytes().starts_with(BEGINNING_1));
    assert_eq!(header(line.as_bytes()), Some((found, line.len())));
    let octets = match ip {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let kind = if ip.is_ipv4() { 0x11 } else { 0x21 };
    let length = 2 * octets.len() as u16 + 4;
    let mut binary = SIGNATURE.to_vec();
    binary.extend([0x21, kind]);
    binary.extend(length.to_be_bytes());
    binary.extend([&octets[..], &octets[..]].concat());
    binary.extend(port.to_be_bytes());
    binary.extend([0, 1]);
    assert_eq!(header(&binary), Some((found, binary.len())));
}

/// Who is not named is not believed; of this machine is only who is so by the last that was added.
fn check_forwarded(bytes: &[u8]) {
    let Ok(list) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let proxies = Proxies {
        forwarded_for_from: Networks(vec!["127.0.0.0/8".parse().expect("it is a network")]),
        ..Proxies::default()
    };
    let last = list.to_str().ok().and_then(|text| text.rsplit(',').next());
    let last = last.map(|word| word.trim().to_owned());
    let name = HeaderName::from_static("x-forwarded-for");
    let headers = HeaderMap::from_iter([(name, list)]);
    let [near, far] = [[127, 0, 0, 1], [192, 0, 2, 1]].map(|ip| SocketAddr::from((ip, 1)));
    let found = proxies.forwarded(Whence::of(far), &headers);
    assert_eq!(found, Whence::of(far));
    if proxies.forwarded(Whence::of(near), &headers).loopback {
        let last = last.expect("something was said");
        let address: Option<IpAddr> = last.trim_matches(['[', ']']).parse().ok();
        let address = address.or_else(|| Some(last.parse::<SocketAddr>().ok()?.ip()));
        assert!(
            address.is_some_and(|ip| ip.to_canonical().is_loopback()),
            "{last}"
        );
    }
}

/// The header in front of these bytes, and how long it is.
fn header(bytes: &[u8]) -> Option<(Proxied, usize)> {
    let mut rest = bytes;
    let result = match pin!(read(&mut rest)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("bytes in memory are there at once"),
    };
    Some((result.ok()?, bytes.len() - rest.len()))
}
