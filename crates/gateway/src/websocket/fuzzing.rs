//! WebSocket held against another implementation of it, and against itself in other pieces.

use std::io::Cursor;
use std::task::Poll;

use tokio::io::ReadBuf;
use tungstenite::Message;
use tungstenite::handshake::machine::TryParse;
use tungstenite::http::{Request, header};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use super::request::answer;
use super::{Content, Deframer, Framed};

const TEXTS: Content = Content::Texts { bytes_max: 1 << 10 };

/// The longest message that the other implementation reads.
const REFERENCE_BYTES_MAX: usize = 1 << 16;

/// What became of bytes: what the session got, what is answered, what was wrong with them.
#[derive(Debug, PartialEq, Eq)]
struct Opened {
    got: Vec<u8>,
    told: Vec<u8>,
    fault: Option<String>,
}

impl Opened {
    /// What the session makes something of: a text that is cut has no NUL behind it.
    fn taken(&self, content: Content) -> &[u8] {
        let end = match (content, &self.fault) {
            (Content::Texts { .. }, Some(_)) => self.got.iter().rposition(|byte| *byte == 0),
            _ => return &self.got,
        };
        &self.got[..end.map_or(0, |end| end + 1)]
    }
}

/// Two bytes say what messages carry and how the frames that follow are cut. What the session gets
/// does not depend on the cuts, but for the beginning of a text that is refused, and is what
/// `tungstenite` reads.
pub fn check_frames(bytes: &[u8]) {
    let Some(([how, seed], frames)) = bytes.split_first_chunk() else {
        return;
    };
    let content = if how & 1 == 0 { Content::Stream } else { TEXTS };
    let whole = open(content, frames, usize::MAX, how & 2 != 0);
    let pieces = open(content, frames, usize::from(*seed).max(1), false);
    assert_eq!((&whole.told, &whole.fault), (&pieces.told, &pieces.fault));
    assert_eq!(whole.taken(content), pieces.taken(content));
    let nuls = frames.len();
    assert!(whole.got.len() <= frames.len() + nuls);
    check_reference(content, frames, &whole);
    check_way_out(content, frames);
}

/// Gives the bytes in pieces of that size; the first of them may have come with the request.
fn open(content: Content, bytes: &[u8], piece_bytes: usize, early: bool) -> Opened {
    let framed = Framed::new(content);
    let (came, bytes) = bytes.split_at(if early { bytes.len() / 2 } else { 0 });
    let mut deframer = Deframer::new(content, came.to_vec());
    let mut pieces = bytes.chunks(piece_bytes.min(bytes.len().max(1)));
    let mut got = Vec::new();
    let mut buffer = vec![0; bytes.len().max(came.len()) + 2];
    let fault = loop {
        let mut out = ReadBuf::new(&mut buffer);
        let read = deframer.poll_read(&framed, &mut out, &mut false, |raw| {
            let Some(piece) = pieces.next() else {
                return Poll::Pending;
            };
            raw.put_slice(piece);
            Poll::Ready(Ok(()))
        });
        match read {
            Poll::Ready(Ok(())) if !out.filled().is_empty() => got.extend_from_slice(out.filled()),
            Poll::Ready(Err(error)) => break Some(error.to_string()),
            Poll::Ready(Ok(())) | Poll::Pending => break None,
        }
    };
    assert_eq!(fault.is_some(), deframer.is_faulty());
    let mut told = Vec::new();
    framed.frame(b"", &mut told);
    Opened { got, told, fault }
}

/// Messages that `tungstenite` reads are those that we do, as far as nothing is wrong.
fn check_reference(content: Content, frames: &[u8], opened: &Opened) {
    // It makes room for what is announced.
    let config = WebSocketConfig::default()
        .max_message_size(Some(REFERENCE_BYTES_MAX))
        .max_frame_size(Some(REFERENCE_BYTES_MAX));
    let stream = Cursor::new(frames.to_vec());
    let mut reference = WebSocket::from_raw_socket(Twoway(stream), Role::Server, Some(config));
    let mut theirs = Vec::new();
    while let Ok(message) = reference.read() {
        match (message, content) {
            (Message::Binary(bytes), Content::Stream) => theirs.extend_from_slice(&bytes),
            (Message::Text(text), Content::Texts { .. }) => {
                theirs.extend_from_slice(text.as_bytes());
                theirs.push(0);
            }
            (Message::Binary(_) | Message::Text(_), _) => {
                assert!(opened.fault.is_some(), "messages of the wrong kind");
                return;
            }
            _ => {}
        }
    }
    // We are stricter, and pass on what of a message is there.
    let common = theirs.len().min(opened.got.len());
    assert_eq!(theirs[..common], opened.got[..common]);
    let all = theirs.len() <= opened.got.len();
    assert!(all || opened.fault.is_some(), "a message was lost");
}

/// Bytes to read; what is written goes nowhere.
struct Twoway(Cursor<Vec<u8>>);

impl std::io::Read for Twoway {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(out)
    }
}

impl std::io::Write for Twoway {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a session writes is what a client reads.
fn check_way_out(content: Content, plain: &[u8]) {
    let text = String::from_utf8_lossy(plain);
    let plain = match content {
        Content::Stream => plain,
        Content::Texts { .. } => text.as_bytes(),
    };
    let mut framed = Vec::new();
    Framed::new(content).frame(plain, &mut framed);
    let stream = Twoway(Cursor::new(framed));
    let mut client = WebSocket::from_raw_socket(stream, Role::Client, None);
    let mut read = Vec::new();
    while let Ok(message) = client.read() {
        read.extend_from_slice(&message.into_data());
    }
    let said = plain
        .iter()
        .filter(|byte| content == Content::Stream || **byte != 0);
    assert!(said.eq(read.iter()));
}

/// Who is let in has asked for what is answered, and a refusal is one.
pub fn check_upgrade(bytes: &[u8]) {
    let Ok(Some((used, request))) = Request::<()>::try_parse(bytes) else {
        return;
    };
    assert!(used <= bytes.len());
    let (accepted, response) = answer(&request);
    let status = response.status().as_u16();
    assert_eq!(accepted.is_some(), status == 101);
    let headers = response.headers();
    if accepted.is_none() {
        assert!(matches!(status, 400 | 404 | 426) && !response.body().is_empty());
        return;
    }
    assert!(headers.contains_key(header::SEC_WEBSOCKET_ACCEPT));
    if let Some(name) = headers.get(header::SEC_WEBSOCKET_PROTOCOL) {
        let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let mut offers = offers
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        assert!(offers.any(|offer| offer.trim_ascii() == name.as_bytes()));
    }
}
