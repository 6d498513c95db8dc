//! Many clients that connect, at most so many at a time, on one thread.
//!
//! Invariants
//! - A client is at home after its CONNACK, or, where it subscribes, after its SUBACK; its time
//!   counts from the first step of its TCP connection.
//! - Every client ends either at home or refused; a refusal is counted, it does not end the run.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::Res;
use crate::hist::Hist;
use crate::sys::{Poll, Ready, now_ns};
use crate::target::Target;

use super::super::io_text;
use super::wire::{self, CONNACK, SUBACK, Version};

/// Clients that begin before those under way are looked at again.
const BEGIN_AT_ONCE: usize = 64;
/// When nobody came home for so long, all that are left count as refused.
const QUIET_NS_MAX: u64 = 60_000_000_000;
const WAIT_NS: u64 = 100_000_000;
/// The longest answer before a client is at home.
const ANSWER_BYTES_MAX: usize = 4096;

/// Who is to connect, and how.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// How many; their client ids are always the same ones.
    pub clients: usize,
    /// At most so many on their way at a time.
    pub under_way_max: usize,
    /// The session ends with the connection, and an older one is forgotten.
    pub clean: bool,
    /// Each subscribes to a topic of its own, at quality 1.
    pub subscribe: bool,
}

/// The clients, connected.
pub struct Crowd {
    /// Clients that did not come home.
    pub refused: usize,
    /// Why, of the first of them.
    pub first_refusal: Option<String>,
    /// Clients whose session was there.
    pub resumed: usize,
    /// From the start to being at home, per client.
    pub times: Hist,
    sockets: Vec<TcpStream>,
}

impl Crowd {
    /// Clients at home.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Cuts all connections as a lost network does: no DISCONNECT, no orderly end.
    pub fn cut(self) -> Res<()> {
        for socket in &self.sockets {
            sockopt::set_socket_linger(socket, Some(Duration::ZERO)).map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Connecting,
    AwaitingWelcome,
    AwaitingSubscription,
    Home,
}

/// A client on its way.
struct Caller {
    socket: TcpStream,
    began_ns: u64,
    step: Step,
    input: Vec<u8>,
    resumed: bool,
}

impl Caller {
    fn begin(address: SocketAddr) -> Res<Caller> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)
            .map_err(|e| e.to_string())?;
        let began_ns = now_ns();
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(Caller {
            socket: TcpStream::from(socket),
            began_ns,
            step: Step::Connecting,
            input: Vec::new(),
            resumed: false,
        })
    }

    /// Takes what has come and answers it.
    fn advance(&mut self, target: &Target, asked: &Asked, index: usize) -> Res<()> {
        if self.step == Step::Connecting {
            if let Some(error) = self.socket.take_error().map_err(io_text)? {
                return Err(io_text(error));
            }
            let mut out = Vec::new();
            wire::put_connect(&mut out, target, &format!("bench-m{index}"), asked.clean)?;
            self.step = Step::AwaitingWelcome;
            // a new socket takes a packet as short as this whole
            return self.socket.write_all(&out).map_err(io_text);
        }
        self.read()?;
        let version = Version::of(target)?;
        while let Some(packet) = wire::packet(&self.input)? {
            match (self.step, packet.kind()) {
                (Step::AwaitingWelcome, CONNACK) => {
                    self.resumed = wire::welcome(version, packet.body)?.resumed;
                    self.step = Step::Home;
                    if asked.subscribe {
                        self.step = Step::AwaitingSubscription;
                        let (mut out, filter) = (Vec::new(), format!("bench/m/{index}"));
                        wire::put_subscribe(&mut out, version, 1, &[filter], 1);
                        self.socket.write_all(&out).map_err(io_text)?;
                    }
                }
                (Step::AwaitingSubscription, SUBACK) => {
                    wire::granted(version, packet.body, 1, 1)?;
                    self.step = Step::Home;
                }
                (_, kind) => return Err(format!("a packet of type {kind} came")),
            }
            let used = packet.bytes;
            self.input.drain(..used);
        }
        Ok(())
    }

    fn read(&mut self) -> Res<()> {
        let mut chunk = [0u8; 512];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err("the broker closed the connection".into()),
                Ok(bytes) => self.input.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(io_text(error)),
            }
            if self.input.len() > ANSWER_BYTES_MAX {
                return Err("the answer is too long".into());
            }
        }
    }
}

struct Gate<'a> {
    target: &'a Target,
    asked: Asked,
    address: SocketAddr,
    poll: Poll,
    /// By client; none once it is at home or refused.
    callers: Vec<Option<Caller>>,
    under_way: usize,
    crowd: Crowd,
}

/// Connects the clients.
pub fn open(target: &Target, asked: Asked) -> Res<Crowd> {
    let mut addresses = (target.host.as_str(), target.port)
        .to_socket_addrs()
        .map_err(io_text)?;
    let mut gate = Gate {
        target,
        asked,
        address: addresses.next().ok_or("the host has no address")?,
        poll: Poll::new()?,
        callers: Vec::with_capacity(asked.clients),
        under_way: 0,
        crowd: Crowd {
            refused: 0,
            first_refusal: None,
            resumed: 0,
            times: Hist::default(),
            sockets: Vec::with_capacity(asked.clients),
        },
    };
    gate.run()?;
    Ok(gate.crowd)
}

impl Gate<'_> {
    fn run(&mut self) -> Res<()> {
        let mut moved_ns = now_ns();
        loop {
            let decided = self.callers.len() - self.under_way;
            let room = self.asked.under_way_max.saturating_sub(self.under_way);
            let left = self.asked.clients - self.callers.len();
            let begin = room.min(left).min(BEGIN_AT_ONCE);
            for _ in 0..begin {
                self.begin()?;
            }
            if self.under_way == 0 && self.callers.len() == self.asked.clients {
                return Ok(());
            }
            let more = begin < room.min(left);
            for n in 0..self.poll.wait(if more { 0 } else { WAIT_NS })? {
                let ready = self.poll.ready(n);
                self.serve(ready)?;
            }
            let now = now_ns();
            if self.callers.len() - self.under_way > decided {
                moved_ns = now;
            } else if now - moved_ns > QUIET_NS_MAX {
                self.give_up();
                return Ok(());
            }
        }
    }

    fn begin(&mut self) -> Res<()> {
        let index = self.callers.len();
        match Caller::begin(self.address) {
            Ok(caller) => {
                self.poll.add(&caller.socket, index)?;
                self.poll.watch(&caller.socket, index, true)?;
                self.under_way += 1;
                self.callers.push(Some(caller));
            }
            Err(error) => {
                self.callers.push(None);
                self.refuse(1, error);
            }
        }
        Ok(())
    }

    fn serve(&mut self, ready: Ready) -> Res<()> {
        let index = ready.index;
        let Some(caller) = &mut self.callers[index] else {
            return Ok(());
        };
        let was = caller.step;
        let result = caller.advance(self.target, &self.asked, index);
        if result.is_ok() && caller.step != Step::Home {
            if was == Step::Connecting {
                self.poll.watch(&caller.socket, index, false)?;
            }
            return Ok(());
        }
        self.under_way -= 1;
        let caller = self.callers[index].take().expect("it was there above");
        match result {
            Ok(()) => {
                self.poll.remove(&caller.socket)?;
                self.crowd.times.add(now_ns() - caller.began_ns);
                self.crowd.resumed += usize::from(caller.resumed);
                self.crowd.sockets.push(caller.socket);
            }
            Err(error) => self.refuse(1, error),
        }
        Ok(())
    }

    fn refuse(&mut self, clients: usize, why: String) {
        self.crowd.refused += clients;
        self.crowd.first_refusal.get_or_insert(why);
    }

    /// Refuses all that are not at home.
    fn give_up(&mut self) {
        let left = self.under_way + self.asked.clients - self.callers.len();
        let seconds = QUIET_NS_MAX / 1_000_000_000;
        self.refuse(left, format!("nobody came home for {seconds} s"));
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const WELCOME: &[u8] = b"\x20\x02\x01\x00";
    const GRANTED: &[u8] = b"\x90\x03\x00\x01\x01";

    /// A broker that answers each of `turns` in its own way: the packets after CONNECT and after
    /// what follows; an empty one closes.
    fn broker(turns: Vec<[&'static [u8]; 2]>) -> Target {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for turn in turns {
                let (mut socket, _) = listener.accept().expect("a client comes");
                for answer in turn {
                    let asked = socket.read(&mut [0; 512]).unwrap_or(0);
                    if asked == 0 || answer.is_empty() || socket.write_all(answer).is_err() {
                        break;
                    }
                }
                if !turn[0].is_empty() {
                    open.push(socket);
                }
            }
        });
        Target::parse(&format!("a=mqtt@127.0.0.1:{port}")).expect("well formed")
    }

    #[test]
    fn every_client_ends_at_home_or_refused() {
        let cases: [([&[u8]; 2], bool); 5] = [
            ([WELCOME, GRANTED], true),
            ([b"", b""], false),
            ([b"\x20\x02\x00\x05", b""], false),
            ([WELCOME, b"\x90\x03\x00\x01\x80"], false),
            ([b"\xd0\x00", b""], false),
        ];
        for under_way_max in [1, 5] {
            let target = broker(cases.iter().map(|(turn, _)| *turn).collect());
            let asked = Asked {
                clients: cases.len(),
                under_way_max,
                clean: true,
                subscribe: true,
            };
            let crowd = open(&target, asked).expect("it comes to an end");
            let home = cases.iter().filter(|(_, home)| *home).count();
            assert_eq!((crowd.len(), crowd.refused), (home, cases.len() - home));
            assert_eq!((crowd.resumed, crowd.times.samples), (home, home as u64));
            assert!(crowd.first_refusal.is_some());
        }
    }

    #[test]
    fn without_a_listener_all_are_refused() {
        let target = Target::parse("a=mqtt@127.0.0.1:1").expect("well formed");
        let asked = Asked {
            clients: 3,
            under_way_max: 2,
            clean: true,
            subscribe: false,
        };
        let crowd = open(&target, asked).expect("it comes to an end");
        assert_eq!((crowd.len(), crowd.refused), (0, 3));
    }
}
