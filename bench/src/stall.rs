//! The generator's proof that it omits nothing: a sink that stalls must show in the percentiles.
//!
//! Invariants
//! - The very engine of a run sends through a relay of this process that stops once for a while.
//! - What was due meanwhile waits for the rest of the stall, so with a stall of a third of the time
//!   the 99th percentile is nearly the stall; if latency counted from when a message was sent, or
//!   if the load waited for the sink, one message would have been late and the percentile tiny.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Res;
use crate::conn::Conn;
use crate::engine::{self, Watch};
use crate::proto;
use crate::scenario::Load;
use crate::stats::Figures;
use crate::target::{Proto, Target};

const RATE_PER_S: f64 = 2000.0;
const SECONDS: f64 = 1.0;
/// The share of the stall that the 99th percentile has to show.
const SHOWN_MIN: f64 = 0.9;

/// A stall: from when on, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// Begins so long after the first bytes.
    pub after: Duration,
    /// Lasts so long.
    pub lasts: Duration,
    /// The generator waits when so many messages are under way; 0: never.
    pub inflight_max: usize,
}

/// One that ends in the measured time, one that makes the generator wait, and one that outlasts
/// the measured time.
pub const STALLS: [Stall; 3] = [
    Stall {
        after: Duration::from_millis(300),
        lasts: Duration::from_millis(350),
        inflight_max: 0,
    },
    Stall {
        after: Duration::from_millis(300),
        lasts: Duration::from_millis(350),
        inflight_max: 2,
    },
    Stall {
        after: Duration::from_millis(600),
        lasts: Duration::from_millis(2000),
        inflight_max: 0,
    },
];

impl Stall {
    /// What a message that is due when the stall begins waits at least within the measured time.
    pub fn seen_ms(self) -> f64 {
        let to_end = Duration::from_secs_f64(SECONDS).saturating_sub(self.after);
        self.lasts.min(to_end).as_secs_f64() * 1e3
    }
}

struct Silent;

impl Watch for Silent {
    fn begin(&mut self) {}
    fn end(&mut self) {}
    fn tick(&mut self) {}
}

fn pass(mut from: TcpStream, mut to: TcpStream, stall: Stall) {
    let mut block = vec![0u8; 64 << 10];
    let mut stall_at = None;
    while let Ok(bytes @ 1..) = from.read(&mut block) {
        let begin: Instant = *stall_at.get_or_insert_with(|| Instant::now() + stall.after);
        if Instant::now() >= begin {
            thread::sleep((begin + stall.lasts).saturating_duration_since(Instant::now()));
        }
        if to.write_all(&block[..bytes]).is_err() {
            return;
        }
    }
}

fn accept(listener: &TcpListener) -> Res<TcpStream> {
    let (mut socket, _) = listener.accept().map_err(|error| error.to_string())?;
    socket
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    // the side that a raw client says first
    socket.read_exact(&mut [0]).map_err(|e| e.to_string())?;
    Ok(socket)
}

fn open(target: &Target, load: &Load, listener: &TcpListener, stall: Stall) -> Res<Vec<Conn>> {
    let mut conns = proto::open_consumers(target, load)?;
    let to = accept(listener)?;
    conns.extend(proto::open_producers(target, load)?);
    let from = accept(listener)?;
    thread::spawn(move || pass(from, to, stall));
    Ok(conns)
}

/// Runs an open loop through the stall; an error if the percentiles hide it.
pub fn measure(stall: Stall) -> Res<Figures> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    let target = Target::parse(&format!("stall=raw@127.0.0.1:{port}"))?;
    let mut load = Load::of("T7", Proto::Raw)?;
    load.rate_per_s = RATE_PER_S;
    load.seconds = SECONDS;
    load.warmup_s = 0.0;
    load.inflight_max = stall.inflight_max;
    let mut conns = open(&target, &load, &listener, stall)?;
    let outcome = engine::run(&load, &mut conns, &mut Silent)?;
    let p99_ms = outcome.latency.quantile(0.99) as f64 / 1e6;
    let wanted_ms = stall.seen_ms();
    if p99_ms < wanted_ms * SHOWN_MIN {
        return Err(format!(
            "a stall of {wanted_ms} ms shows as a 99th percentile of {p99_ms:.1} ms"
        ));
    }
    let mut figures = Figures::default();
    figures.put("stall_ms", wanted_ms);
    figures.put("p50_ms", outcome.latency.quantile(0.5) as f64 / 1e6);
    figures.put("p99_ms", p99_ms);
    figures.put("outstanding", outcome.outstanding as f64);
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_sink_shows_in_the_percentiles() {
        for stall in STALLS {
            let figures = measure(stall).unwrap_or_else(|error| panic!("{stall:?}: {error}"));
            let outstanding = figures.get("outstanding").expect("counted");
            let outlasts = stall.after + stall.lasts > Duration::from_secs_f64(SECONDS);
            assert!(outstanding > 100.0 || !outlasts, "{stall:?}: {outstanding}");
        }
    }
}
