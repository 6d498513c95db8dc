//! Groups whose end the test decides, and the file.

use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// How long what must not happen is waited for, and what must.
const NEVER: Duration = Duration::from_millis(50);
const SOON: Duration = Duration::from_secs(10);

/// The two ends of a connection.
fn joined() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let near = TcpStream::connect(address).expect("it listens");
    (near, listener.accept().expect("it was connected to").0)
}

/// What a producer is told within a time; none if it is told nothing.
fn told(mut producer: &TcpStream, within: Duration) -> Option<u64> {
    producer.set_read_timeout(Some(within)).expect("a time");
    let mut safe = [0; 8];
    match producer.read_exact(&mut safe) {
        Ok(()) => Some(u64::from_le_bytes(safe)),
        Err(error) => {
            let waited = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
            assert!(waited.contains(&error.kind()), "{error}");
            None
        }
    }
}

#[test]
fn a_producer_is_told_after_the_sync_and_who_comes_meanwhile_is_in_the_next() {
    let log = Arc::new(Log::default());
    let ((a, a_far), (b, b_far)) = (joined(), joined());
    let mut from_a = Entrance::open(&log, &a_far).expect("a second handle");
    let mut from_b = Entrance::open(&log, &b_far).expect("a second handle");
    let (began, begins) = mpsc::channel();
    let (end, ends) = mpsc::channel();
    let writer = thread::spawn(move || {
        log.write(|bytes| {
            began.send(bytes.to_vec()).expect("the test waits for it");
            ends.recv().expect("the test says how it ends")
        })
    });
    let begins = || begins.recv_timeout(SOON).expect("a group is committed");

    from_a.bring(b"one");
    assert_eq!(begins(), b"one");
    from_a.bring(b"two");
    from_b.bring(b"six");
    from_a.bring(b"three");
    assert_eq!(told(&a, NEVER), None, "the sync still goes on");
    end.send(Ok(())).expect("it waits");
    assert_eq!(told(&a, SOON), Some(3));
    assert_eq!(begins(), b"twosixthree");
    assert_eq!(told(&b, NEVER), None, "nor is this one at its end");
    end.send(Ok(())).expect("it waits");
    assert_eq!(told(&b, SOON), Some(3));
    let of_a = [told(&a, SOON), told(&a, SOON)];
    assert_eq!(of_a, [Some(6), Some(11)], "its last word is all of it");

    from_b.bring(b"lost");
    assert_eq!(begins(), b"lost");
    let failure = Err(io::Error::other("no disk"));
    end.send(failure).expect("it waits");
    let error = writer.join().expect("no panic");
    assert_eq!(error.to_string(), "no disk");
    assert_eq!(told(&b, NEVER), None, "it is not safe");
}

#[test]
fn no_more_is_taken_than_may_wait() {
    let log = Arc::new(Log::default());
    let (_near, far) = joined();
    let mut entrance = Entrance::open(&log, &far).expect("a second handle");
    let (brought, brings) = mpsc::channel();
    let reader = thread::spawn(move || {
        for _ in 0..2 {
            entrance.bring(&vec![b'x'; WAITING_BYTES_MAX]);
            brought.send(()).expect("the test counts them");
        }
    });
    assert!(brings.recv_timeout(SOON).is_ok(), "there is room for one");
    assert!(brings.recv_timeout(NEVER).is_err(), "but not for two");
    log.take(&mut Group::default());
    assert!(brings.recv_timeout(SOON).is_ok(), "now there is");
    reader.join().expect("no panic");
}

#[test]
fn a_file_that_is_full_is_begun_anew() {
    let path = std::env::temp_dir().join(format!("relay-log-test-{}", std::process::id()));
    let mut file = LogFile::make(&path, 8).expect("it can be written");
    for (bytes, expected) in [
        ("abc", "abc\0\0\0\0\0"),
        ("defgh", "abcdefgh"),
        ("ij", "ijcdefgh"),
        ("klmnopq", "klmnopqh"),
    ] {
        file.append(bytes.as_bytes()).expect("it can be written");
        let found = std::fs::read(&path).expect("it can be read");
        assert_eq!(found, expected.as_bytes(), "{bytes}");
    }
    std::fs::remove_file(&path).expect("it is there");
}
