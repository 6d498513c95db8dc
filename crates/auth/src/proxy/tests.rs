//! PROXY headers by bytes.

use super::*;

fn read_all(mut bytes: &[u8]) -> (Result<Proxied, String>, usize) {
    let before = bytes.len();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let read = runtime.block_on(read_proxy_header(&mut bytes));
    (
        read.map_err(|error| error.to_string()),
        before - bytes.len(),
    )
}

fn two(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([version_command, family]);
    bytes.extend((rest.len() as u16).to_be_bytes());
    bytes.extend(rest);
    bytes
}

#[test]
fn headers_of_both_versions_are_read_and_nothing_behind_them() {
    let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 4, 0x16, 0x28];
    let mut v6 = [0_u8; 36];
    (v6[15], v6[31], v6[32], v6[33]) = (1, 2, 0x10, 0);
    let with_more = [&v4[..], &[3, 0, 2, b'h', b'i']].concat();
    for (header, expected) in [
        (
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 5672\r\n".to_vec(),
            "192.0.2.1:56324",
        ),
        (b"PROXY TCP6 ::1 ::2 1 2\r\n".to_vec(), "[::1]:1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "unknown"),
        (
            b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(),
            "unknown",
        ),
        (two(0x21, 0x11, &v4), "192.0.2.1:56324"),
        (two(0x21, 0x11, &with_more), "192.0.2.1:56324"),
        (two(0x21, 0x21, &v6), "[::1]:4096"),
        (two(0x20, 0, &[]), "itself"),
        (two(0x20, 0x11, &v4), "itself"),
        (two(0x21, 0, &[]), "unknown"),
    ] {
        let length = header.len();
        let expected = match expected {
            "itself" => Proxied::Itself,
            "unknown" => Proxied::Unknown,
            address => Proxied::Client(address.parse().unwrap()),
        };
        let bytes = [header, b"AMQP\0\0\x09\x01".to_vec()].concat();
        assert_eq!(read_all(&bytes), (Ok(expected), length), "{bytes:?}");
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let long = [b"PROXY TCP4 ".as_slice(), &[b' '; 200]].concat();
    for (bytes, expected) in [
        (
            b"AMQP\0\0\x09\x01AMQP\0\0\x09\x01".to_vec(),
            "no PROXY header",
        ),
        (
            b"PROXY TCP4 192.0.2.1 ::1 1 2\r\n".to_vec(),
            "no PROXY header",
        ),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(), "no PROXY header"),
        (
            b"PROXY TCP5 1.1.1.1 1.1.1.1 1 2\r\n".to_vec(),
            "no PROXY header",
        ),
        (
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n".to_vec(),
            "no PROXY header",
        ),
        (
            b"PROXY TCP4 1.1.1.1 1.1.1.1 01 2\r\n".to_vec(),
            "no PROXY header",
        ),
        (
            b"PROXY TCP4 1.1.1.1 1.1.1.1 +1 2\r\n".to_vec(),
            "no PROXY header",
        ),
        (
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 2 3\r\n".to_vec(),
            "no PROXY header",
        ),
        (
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n".to_vec(),
            "no PROXY header",
        ),
        (
            b"PROXY TCP4 1.1.1.\xff 1.1.1.1 1 1\r\n".to_vec(),
            "no PROXY header",
        ),
        (long, "too long"),
        (two(0x21, 0x11, &[0; 2049]), "too long"),
        (two(0x21, 0x11, &[0; 11]), "no PROXY header"),
        (two(0x21, 0x21, &[0; 35]), "no PROXY header"),
        (two(0x21, 0x12, &[0; 12]), "no PROXY header"),
        (two(0x21, 0x31, &[0; 216]), "no PROXY header"),
        (two(0x22, 0x11, &[0; 12]), "no PROXY header"),
        (two(0x11, 0x11, &[0; 12]), "no PROXY header"),
        (b"PROXY TCP4 1.1.1.1".to_vec(), "eof"),
        (b"PROXY".to_vec(), "eof"),
        (two(0x21, 0x11, &[0; 12])[..20].to_vec(), "eof"),
    ] {
        let (read, _) = read_all(&bytes);
        let error = read.unwrap_err().replace("end of file", "eof");
        assert!(error.contains(expected), "{bytes:?}: {error}");
    }
}

#[test]
fn every_cut_of_a_header_is_refused() {
    let whole = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 5672\r\n";
    for length in 0..whole.len() {
        assert!(read_all(&whole[..length]).0.is_err(), "{length}");
    }
}
