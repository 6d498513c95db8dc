//! Frames as clients send them, whole, in pieces, and wrong.

use std::task::Poll;

use super::*;

const TEXTS: Content = Content::Texts { bytes_max: 8 };
const MASK: [u8; 4] = [0x11, 0x92, 0x53, 0xD4];

/// A frame of a client: its first byte, and what it carries.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What a session gets of bytes that come in these pieces, what the client is told, and the fault.
fn open(content: Content, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, Option<String>) {
    let framed = Framed::new(content);
    let mut deframer = Deframer::new(content, Vec::new());
    let (mut pieces, mut got) = (pieces.iter(), Vec::new());
    let mut buffer = vec![0; 1024];
    loop {
        let mut out = ReadBuf::new(&mut buffer);
        let read = deframer.poll_read(&framed, &mut out, &mut false, |raw| {
            let Some(piece) = pieces.next() else {
                return Poll::Pending;
            };
            raw.put_slice(piece);
            Poll::Ready(Ok(()))
        });
        let fault = match read {
            Poll::Ready(Ok(())) if !out.filled().is_empty() => {
                got.extend_from_slice(out.filled());
                continue;
            }
            Poll::Ready(Err(error)) => Some(error.to_string()),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        let mut told = Vec::new();
        framed.frame(b"", &mut told);
        return (got, told, fault);
    }
}

#[test]
fn a_session_gets_the_same_bytes_however_they_are_cut() {
    let long = [9; 300];
    let cases: [(Content, Vec<Vec<u8>>, Vec<u8>); 6] = [
        (Content::Stream, vec![frame(0x82, b"abc")], b"abc".to_vec()),
        (
            Content::Stream,
            vec![frame(0x02, b"ab"), frame(0x80, b"c"), frame(0x82, b"")],
            b"abc".to_vec(),
        ),
        (
            Content::Stream,
            vec![frame(0x02, b"a"), frame(0x8A, b"x"), frame(0x80, b"b")],
            b"ab".to_vec(),
        ),
        (Content::Stream, vec![frame(0x82, &long)], long.to_vec()),
        (
            TEXTS,
            vec![frame(0x81, b"{}"), frame(0x81, b"[1]")],
            b"{}\0[1]\0".to_vec(),
        ),
        (
            TEXTS,
            vec![frame(0x01, b"[1"), frame(0x00, b""), frame(0x80, b",2]")],
            b"[1,2]\0".to_vec(),
        ),
    ];
    for (content, frames, expected) in cases {
        let bytes = frames.concat();
        for size in 1..=bytes.len() {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            let (got, told, fault) = open(content, &pieces);
            assert_eq!(got, expected, "in pieces of {size}");
            assert_eq!((told, fault), (Vec::new(), None), "in pieces of {size}");
        }
    }
}

#[test]
fn pings_and_farewells_are_answered_in_their_own_words() {
    let cases: [(Vec<u8>, &[u8]); 4] = [
        (frame(0x89, b"hey"), b"\x8a\x03hey"),
        (frame(0x88, b""), b"\x88\x00"),
        (frame(0x88, b"\x03\xe8bye"), b"\x88\x05\x03\xe8bye"),
        (frame(0x88, b"\x0f\xa0"), b"\x88\x02\x0f\xa0"),
    ];
    for (bytes, answer) in cases {
        for size in 1..=bytes.len() {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            let (got, told, fault) = open(Content::Stream, &pieces);
            assert_eq!(told, answer, "{bytes:?}");
            assert_eq!((got, fault), (Vec::new(), None), "{bytes:?}");
        }
    }
}

#[test]
fn bad_frames_are_told_what_is_wrong_and_what_came_before_them_counts() {
    let unmasked = b"\x82\x01a".to_vec();
    let endless = [
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(),
        &MASK,
    ]
    .concat();
    let wide = [b"\x82\xfe\x00\x01".as_slice(), &MASK, b"a"].concat();
    let fragments = [frame(0x02, b"a"), frame(0x82, b"b")].concat();
    let too_long = [frame(0x01, b"12345"), frame(0x80, b"6789")].concat();
    let cases: [(Content, Vec<u8>, u16); 19] = [
        (Content::Stream, unmasked, 1002),
        (Content::Stream, frame(0xC2, b"a"), 1002),
        (Content::Stream, frame(0xA2, b"a"), 1002),
        (Content::Stream, frame(0x92, b"a"), 1002),
        (Content::Stream, frame(0x83, b"a"), 1002),
        (Content::Stream, frame(0x8B, b"a"), 1002),
        (Content::Stream, frame(0x80, b"a"), 1002),
        (Content::Stream, frame(0x09, b"a"), 1002),
        (Content::Stream, frame(0x89, &[0; 126]), 1002),
        (Content::Stream, wide, 1002),
        (Content::Stream, fragments, 1002),
        (Content::Stream, endless, 1009),
        (Content::Stream, frame(0x81, b"a"), 1003),
        (TEXTS, frame(0x82, b"a"), 1003),
        (TEXTS, too_long, 1009),
        (TEXTS, frame(0x81, b"a\0b"), 1007),
        (Content::Stream, frame(0x88, b"\x03"), 1002),
        (Content::Stream, frame(0x88, b"\x03\xed"), 1002),
        (Content::Stream, frame(0x88, b"\x03\xe8\xff"), 1007),
    ];
    for (content, bad, code) in cases {
        let good = match content {
            Content::Stream => frame(0x82, b"ok"),
            Content::Texts { .. } => frame(0x81, b"ok"),
        };
        let late = frame(0x82, b"late");
        let bytes = [good, bad.clone(), late].concat();
        for size in [1, 3, bytes.len()] {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            let (got, told, fault) = open(content, &pieces);
            assert!(got.starts_with(b"ok"), "{bad:?}");
            assert!(!got.ends_with(b"late"), "{bad:?}");
            assert_eq!(told[0], 0x88, "{bad:?}");
            assert_eq!(told[2..4], code.to_be_bytes(), "{bad:?}");
            assert!(fault.is_some(), "{bad:?}");
        }
    }
}

#[test]
fn what_came_with_the_request_comes_first() {
    let framed = Framed::new(Content::Stream);
    let mut deframer = Deframer::new(Content::Stream, frame(0x82, b"early"));
    let mut buffer = [0; 64];
    let mut out = ReadBuf::new(&mut buffer);
    let read = deframer.poll_read(&framed, &mut out, &mut false, |_| Poll::Pending);
    assert!(matches!(read, Poll::Ready(Ok(()))));
    assert_eq!(out.filled(), b"early");
    assert_eq!(deframer.early.capacity(), 0);
}
