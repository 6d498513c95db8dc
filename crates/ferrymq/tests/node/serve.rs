//! A node as its operator meets it: start, readiness, signals, a second node, data that stays.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Running, command, run};
use rustix::process::Signal;

#[test]
fn a_node_starts_serves_and_stops_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let node = Running::start(&data, &["--memory-high", "64MiB"]);
    for part in [
        &format!("FerryMQ {} starts", env!("CARGO_PKG_VERSION")),
        data.to_str().unwrap(),
        "take 64.0 MiB of memory",
        "a new data directory",
    ] {
        assert!(node.log.contains(part), "{part} is not in {}", node.log);
    }
    assert!(!node.log.contains('\x1b'), "colours: {}", node.log);
    assert!(!node.log.contains("confirm"), "weak: {}", node.log);

    let mut client = TcpStream::connect(node.amqp).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    client.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
    let mut start = [0; 11];
    client.read_exact(&mut start).unwrap();
    assert_eq!(
        (start[0], &start[7..]),
        (1, &[0, 10, 0, 10][..]),
        "connection.start"
    );

    let port = node.amqp.port();
    assert!(
        node.get("/api/overview")
            .contains(&format!("\"port\":{port},\"protocol\":\"amqp\""))
    );
    assert!(
        node.get("/metrics")
            .contains("\nrabbitmq_resident_memory_limit_bytes 67108864\n")
    );
    assert_eq!(node.get("/health/ready"), "{\"status\":\"ok\"}");

    node.signal(Signal::TERM);
    let (status, out, log) = node.end();
    assert_eq!((status.code(), out.as_str()), (Some(0), ""), "{log}");
    assert!(
        log.contains("SIGTERM: stopping") && log.ends_with("stopped\n"),
        "{log}"
    );
}

#[test]
fn sigint_ends_a_node_and_the_next_start_finds_it_clean() {
    let directory = tempfile::tempdir().unwrap();
    let node = Running::start(directory.path(), &[]);
    node.signal(Signal::INT);
    assert_eq!(node.end().0.code(), Some(0));
    let node = Running::start(directory.path(), &[]);
    assert!(node.log.contains("clean=true"), "{}", node.log);
    node.signal(Signal::TERM);
    assert_eq!(node.end().0.code(), Some(0));
}

#[test]
fn a_data_directory_has_one_node() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let node = Running::start(directory.path(), &[]);
    for args in [
        &[
            "serve",
            "--data-dir",
            data,
            "--amqp",
            "127.0.0.1:0",
            "--http",
            "off",
        ][..],
        &["verify", "--data-dir", data],
        &["repair", "--data-dir", data],
    ] {
        let (code, out, log) = run(args, &[]);
        assert_eq!((code, out.as_str()), (1, ""), "{args:?}: {log}");
        assert!(
            log.contains("is in use by another process"),
            "{args:?}: {log}"
        );
    }
    assert_eq!(node.get("/health/live"), "{\"status\":\"ok\"}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for args in [
        ["--amqp", address.as_str(), "--http", "off"],
        ["--amqp", "127.0.0.1:0", "--http", address.as_str()],
        ["--amqp", "127.0.0.1:0", "--prometheus", address.as_str()],
    ] {
        let line: Vec<&str> = ["--data-dir", data].into_iter().chain(args).collect();
        let (code, out, log) = run(&line, &[]);
        assert_eq!((code, out.as_str()), (1, ""), "{args:?}: {log}");
        assert!(
            log.contains("can not listen on") && log.contains(&address),
            "{log}"
        );
    }
}

#[test]
fn systemd_is_told_of_readiness_and_of_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let data = directory.path().join("data");
    let mut command = command(&["--data-dir", data.to_str().unwrap()]);
    command
        .args(["--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &path);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let node = Running::from(command);
    let receive = || {
        let mut bytes = [0; 32];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    assert_eq!(receive(), "READY=1");
    node.signal(Signal::TERM);
    assert_eq!(receive(), "STOPPING=1");
    assert_eq!(node.end().0.code(), Some(0));
}
