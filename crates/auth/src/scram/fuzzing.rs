//! Messages of SCRAM, taken apart and put together again.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::message::{ClientFinal, ClientFirst};

/// A client's first message, a line feed, and its second one: what is read of them says all that
/// they said.
pub fn check_scram(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (first, last) = (parts.next().unwrap_or_default(), parts.next());
    if let Ok(read) = ClientFirst::parse(first) {
        let whole = [&read.header, &read.bare].map(String::as_bytes).concat();
        assert_eq!(whole, first);
        let name = read.user().replace('=', "=3D").replace(',', "=2C");
        let said = format!("n={name},r={}", read.nonce);
        let more = read.bare.strip_prefix(said.as_str());
        let more = more.expect("the bare message begins with name and nonce");
        assert!(more.is_empty() || more.starts_with(','), "{more}");
        assert!(!name.is_empty() && !read.nonce.is_empty());
    }
    let last = last.unwrap_or_default();
    if let Ok(read) = ClientFinal::parse(last) {
        let proof = BASE64_STANDARD.encode(&read.proof);
        let whole = format!("{},p={proof}", read.without_proof);
        assert_eq!(whole.as_bytes(), last);
        let said = format!("c={},r={}", read.binding, read.nonce);
        assert!(read.without_proof.starts_with(&said));
    }
}
