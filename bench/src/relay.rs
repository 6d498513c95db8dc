//! `relay`: bytes from a producer to a consumer with no look at them; the ceiling of this machine.
//!
//! Invariants
//! - The n-th producer is joined to the n-th consumer; the first byte says which side one is.
//! - With two threads a pair, blocks go round between them: none is allocated while bytes flow.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use crate::Res;

const BLOCK_BYTES: usize = 256 * 1024;
/// Blocks on their way between the two threads of a pair.
const BLOCKS: usize = 8;

/// Serves a port until it is killed.
pub fn run(port: u16, threads: usize) -> Res<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    println!("ready");
    serve(&listener, threads)
}

/// Joins whoever connects.
pub fn serve(listener: &TcpListener, threads: usize) -> Res<()> {
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
            if threads == 2 {
                pass_in_two(from, to)
            } else {
                pass_in_one(from, to)
            }
        }
    }
    Ok(())
}

fn pass_in_one(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut block = vec![0u8; BLOCK_BYTES];
        while let Ok(bytes @ 1..) = from.read(&mut block) {
            if to.write_all(&block[..bytes]).is_err() {
                return;
            }
        }
    });
}

fn pass_in_two(mut from: TcpStream, mut to: TcpStream) {
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
            pass(from, to);
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
