//! `relay`: bytes from a producer to a consumer with no look at them; the ceiling of this machine.
//! With a log it tells the producer which of them are on the disk: the least that a broker does
//! which confirms.
//!
//! Invariants
//! - The n-th producer is joined to the n-th consumer; the first byte says which side one is.
//! - Bytes are passed on at once, whether they are on the disk or not.
//! - With two threads a pair, blocks go round between them: none is allocated while bytes flow.

mod log;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use crate::Res;
use log::Entrance;
pub use log::Log;

const BLOCK_BYTES: usize = 256 * 1024;
/// Blocks on their way between the two threads of a pair.
const BLOCKS: usize = 8;

/// Serves a port until it is killed; with a log if it is given a folder for it.
pub fn run(port: u16, threads: usize, log: Option<&Path>) -> Res<()> {
    let start = |folder: &Path| {
        Log::start(folder).map_err(|error| format!("{}: {error}", folder.display()))
    };
    let log = log.map(start).transpose()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    println!("ready");
    serve(&listener, threads, log.as_ref())
}

/// Joins whoever connects; what producers send goes into the log, too, if there is one.
pub fn serve(listener: &TcpListener, threads: usize, log: Option<&Arc<Log>>) -> Res<()> {
    let (mut producers, mut consumers) = (VecDeque::new(), VecDeque::new());
    for socket in listener.incoming() {
        let mut socket = socket.map_err(|error| error.to_string())?;
        let mut side = [0u8; 1];
        if socket.read_exact(&mut side).is_err() || socket.set_nodelay(true).is_err() {
            continue; // gone again, as a mere look at the port is
        }
        let waiting = if side == *b"P" {
            &mut producers
        } else {
            &mut consumers
        };
        waiting.push_back(socket);
        if producers.is_empty() || consumers.is_empty() {
            continue;
        }
        if let (Some(from), Some(to)) = (producers.pop_front(), consumers.pop_front()) {
            let entrance = log.map(|log| Entrance::open(log, &from)).transpose();
            let entrance = entrance.map_err(|error| error.to_string())?;
            if threads == 2 {
                pass_in_two(from, to, entrance)
            } else {
                pass_in_one(from, to, entrance)
            }
        }
    }
    Ok(())
}

fn pass_in_one(mut from: TcpStream, mut to: TcpStream, mut log: Option<Entrance>) {
    thread::spawn(move || {
        let mut block = vec![0u8; BLOCK_BYTES];
        while let Ok(bytes @ 1..) = from.read(&mut block) {
            if to.write_all(&block[..bytes]).is_err() {
                return;
            }
            if let Some(log) = &mut log {
                log.bring(&block[..bytes]);
            }
        }
    });
}

fn pass_in_two(mut from: TcpStream, mut to: TcpStream, mut log: Option<Entrance>) {
    let (full, fulls) = mpsc::sync_channel::<(Vec<u8>, usize)>(BLOCKS);
    let (empty, empties) = mpsc::sync_channel::<Vec<u8>>(BLOCKS + 1);
    for _ in 0..=BLOCKS {
        empty
            .send(vec![0u8; BLOCK_BYTES])
            .expect("there is room for all");
    }
    thread::spawn(move || {
        while let Ok((block, bytes)) = fulls.recv() {
            if to.write_all(&block[..bytes]).is_err() {
                return;
            }
            // at the end the reader is gone first, and what it left is still to be written
            drop(empty.send(block));
        }
    });
    thread::spawn(move || {
        while let Ok(mut block) = empties.recv() {
            let Ok(bytes @ 1..) = from.read(&mut block) else {
                return;
            };
            if let Some(log) = &mut log {
                log.bring(&block[..bytes]);
            }
            if full.send((block, bytes)).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_unchanged() {
        for pass in [pass_in_one, pass_in_two] {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
            let address = listener.local_addr().expect("bound");
            let join = || {
                let near = TcpStream::connect(address).expect("it listens");
                (near, listener.accept().expect("it was connected to").0)
            };
            let ((mut producer, from), (mut consumer, to)) = (join(), join());
            pass(from, to, None);
            let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7) as u8).collect();
            let copy = sent.clone();
            let writer = thread::spawn(move || producer.write_all(&copy));
            let mut got = Vec::new();
            consumer
                .read_to_end(&mut got)
                .expect("it ends when the producer is done");
            assert!(writer.join().expect("no panic").is_ok());
            assert!(got == sent);
        }
    }
}
