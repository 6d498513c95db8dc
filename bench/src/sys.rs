//! What the generator asks of the kernel for itself: clock, CPU time, limits, readiness.
//!
//! Invariants
//! - `now_ns` never goes back and is never 0, so 0 can mean "no time".
//! - No unsafe code: every call goes through rustix or std.

use std::fs::File;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use rustix::event::epoll;
use rustix::fs::Advice;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::Res;

/// Events taken from the kernel in one call.
const EVENTS_MAX: usize = 512;
/// Open files that a run with many connections wants.
const OPEN_FILES_WANTED: u64 = 200_000;

/// Nanoseconds since the first call, plus one.
#[inline]
pub fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

/// Seconds since a moment that `now_ns` gave.
pub fn seconds_since(start_ns: u64) -> f64 {
    (now_ns() - start_ns) as f64 / 1e9
}

/// CPU seconds of this process so far.
pub fn own_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Raises the limit of open files as far as allowed, and makes timed waits exact to 1 us: with
/// the default slack of 50 us an open loop would measure the generator's own late wake-ups.
pub fn prepare_process() {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: Some(OPEN_FILES_WANTED),
        maximum: now.maximum.map(|maximum| maximum.max(OPEN_FILES_WANTED)),
    };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        // without the right to raise the hard limit: take what it allows
        let allowed = Rlimit {
            current: now.maximum,
            maximum: now.maximum,
        };
        if setrlimit(Resource::Nofile, allowed).is_err() {
            eprintln!("the limit of open files stays at {:?}", now.current);
        }
    }
    if rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000)).is_err() {
        eprintln!("timer slack stays at the default: latencies carry up to 50 us of it");
    }
}

/// Has the kernel forget what it keeps of a file in memory. What was not written to the disk yet
/// it keeps.
pub fn forget_file(path: &Path) -> std::io::Result<()> {
    let file = File::open(path)?;
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    Ok(())
}

/// Readiness of many sockets; a socket is named by its index.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

/// One ready socket.
#[derive(Clone, Copy)]
pub struct Ready {
    /// The index that was given when the socket was added.
    pub index: usize,
    /// There is something to read (or an end, or an error, that reading will tell).
    pub readable: bool,
}

impl Poll {
    /// An empty set.
    pub fn new() -> Res<Poll> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| e.to_string())?;
        Ok(Poll {
            epoll,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Watches a socket for input.
    pub fn add(&self, socket: impl AsFd, index: usize) -> Res<()> {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN).map_err(|e| e.to_string())
    }

    /// Watches a socket for input, and for room to write if `write`.
    pub fn watch(&self, socket: impl AsFd, index: usize, write: bool) -> Res<()> {
        let data = epoll::EventData::new_u64(index as u64);
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, write);
        epoll::modify(&self.epoll, socket, data, flags).map_err(|e| e.to_string())
    }

    /// Watches a socket no longer.
    pub fn remove(&self, socket: impl AsFd) -> Res<()> {
        epoll::delete(&self.epoll, socket).map_err(|e| e.to_string())
    }

    /// Waits at most `wait_ns` and returns how many sockets are ready.
    pub fn wait(&mut self, wait_ns: u64) -> Res<usize> {
        let timeout = Timespec {
            tv_sec: (wait_ns / 1_000_000_000) as i64,
            tv_nsec: (wait_ns % 1_000_000_000) as i64,
        };
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(self.events.len()),
            Err(error) => Err(format!("epoll: {error}")),
        }
    }

    /// The `n`-th ready socket of the last wait.
    pub fn ready(&self, n: usize) -> Ready {
        let event = self.events[n];
        let flags = event.flags;
        let inward = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        Ready {
            index: event.data.u64() as usize,
            readable: flags.intersects(inward),
        }
    }
}
