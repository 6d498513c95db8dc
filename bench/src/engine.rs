//! The loop that drives every producer and consumer connection of a run.
//!
//! Invariants
//! - One thread, on purpose: on a machine of two cores the broker keeps at least one.
//! - A closed loop never has more under way than the load's windows; an open loop sends by the
//!   clock, and latency counts from the time at which a message was due.
//! - What was due in an open loop and had not arrived at the end counts with the time that it had
//!   waited by then: a sink that stalls can not hide what it did not deliver.
//! - A run in which nothing moves for a while is an error, not a low rate.

use crate::Res;
use crate::codec::{Counters, Stamps};
use crate::conn::{Conn, OUTPUT_BYTES};
use crate::hist::Hist;
use crate::scenario::Load;
use crate::sys::{Poll, now_ns};

const TICK_NS: u64 = 50_000_000;
/// Wait when a message is due but a window is closed.
const BEHIND_WAIT_NS: u64 = 200_000;
/// Nothing moved for so long: the run has failed.
const STALL_NS_MAX: u64 = 10_000_000_000;
/// The same while a backlog is filled or drained, where a broker may pause.
const STALL_BACKLOG_NS_MAX: u64 = 60_000_000_000;
/// A batch is not begun before this share of a window is free.
const BATCHES_PER_CONFIRM_WINDOW: usize = 8;
const BATCHES_PER_INFLIGHT: usize = 16;

/// What a run tells while it goes on.
pub trait Watch {
    /// The measured time begins.
    fn begin(&mut self);
    /// The measured time ends.
    fn end(&mut self);
    /// Called about every 50 ms.
    fn tick(&mut self);
}

/// What happened in the measured time.
#[derive(Default)]
pub struct Outcome {
    /// Messages published.
    pub published: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Messages confirmed or refused.
    pub confirmed: u64,
    /// Messages refused, in the whole run.
    pub nacked: u64,
    /// How long the measured time was.
    pub seconds: f64,
    /// From the intended send time to the delivery.
    pub latency: Hist,
    /// From the intended send time to the confirm.
    pub confirm_latency: Hist,
    /// Messages of an open loop that were due and had not arrived at the end.
    pub outstanding: u64,
    /// The generator was at most so late with a message that was due.
    pub late_ms: f64,
    /// From the start of the run to the first delivery.
    pub first_delivery_ms: Option<f64>,
}

/// Puts the load on the connections until it is done.
pub fn run(load: &Load, conns: &mut [Conn], watch: &mut dyn Watch) -> Res<Outcome> {
    let mut engine = Engine::new(load, conns)?;
    let mut next_tick = engine.start_ns;
    loop {
        let now = now_ns();
        if engine.base.is_none() && now >= engine.measure_from_ns {
            engine.begin(now);
            watch.begin();
        }
        if engine.is_done(now) {
            break;
        }
        engine.check_progress(now)?;
        if now >= next_tick {
            next_tick = now + TICK_NS;
            watch.tick();
        }
        let to_end = if now < engine.end_ns {
            engine.end_ns - now
        } else {
            1_000_000
        };
        let wait = engine.produce(now)?.min(next_tick - now).min(to_end);
        engine.serve(wait)?;
    }
    let end = now_ns();
    if engine.base.is_none() {
        engine.begin(end);
        watch.begin();
    }
    watch.end();
    Ok(engine.outcome(end))
}

/// The counts at the start of the measured time.
#[derive(Clone, Copy)]
struct Base {
    at_ns: u64,
    published: u64,
    delivered: u64,
    confirmed: u64,
}

struct Engine<'a> {
    load: &'a Load,
    conns: &'a mut [Conn],
    poll: Poll,
    counters: Counters,
    producers: usize,
    has_consumers: bool,
    start_ns: u64,
    measure_from_ns: u64,
    end_ns: u64,
    /// Time from one message to the next in an open loop; 0 in a closed one.
    step_ns: u64,
    published: u64,
    /// The connection that is served first, so that none is always last.
    turn: usize,
    base: Option<Base>,
    progress: u64,
    progress_ns: u64,
    late_ns: u64,
    first_delivery_ns: Option<u64>,
}

impl<'a> Engine<'a> {
    fn new(load: &'a Load, conns: &'a mut [Conn]) -> Res<Engine<'a>> {
        let poll = Poll::new()?;
        for (index, conn) in conns.iter().enumerate() {
            poll.add(&conn.socket, index)?;
        }
        let timing = load.rate_per_s > 0.0;
        let start_ns = now_ns();
        let measure_from_ns = start_ns + (load.warmup_s * 1e9) as u64;
        Ok(Engine {
            load,
            poll,
            counters: Counters {
                timing,
                ..Counters::default()
            },
            producers: conns.iter().filter(|conn| conn.producer).count(),
            has_consumers: conns.iter().any(|conn| !conn.producer),
            conns,
            start_ns,
            measure_from_ns,
            end_ns: measure_from_ns + (load.seconds * 1e9) as u64,
            step_ns: if timing {
                ((1e9 / load.rate_per_s) as u64).max(1)
            } else {
                0
            },
            published: 0,
            turn: 0,
            base: None,
            progress: 0,
            progress_ns: start_ns,
            late_ns: 0,
            first_delivery_ns: None,
        })
    }

    fn begin(&mut self, now: u64) {
        self.base = Some(Base {
            at_ns: now,
            published: self.published,
            delivered: self.counters.delivered,
            confirmed: self.counters.confirmed,
        });
        self.counters.latency = Hist::default();
        self.counters.confirm_latency = Hist::default();
        self.late_ns = 0;
    }

    fn counts_to_something(&self) -> bool {
        self.load.publish_count > 0 || self.load.drain_count > 0
    }

    fn is_done(&self, now: u64) -> bool {
        if !self.counts_to_something() {
            return now >= self.end_ns;
        }
        let wanted = self.load.publish_count;
        let answered = self.load.confirm_window == 0 || self.counters.confirmed >= wanted;
        self.published >= wanted && answered && self.counters.delivered >= self.load.drain_count
    }

    fn check_progress(&mut self, now: u64) -> Res<()> {
        let (delivered, confirmed) = (self.counters.delivered, self.counters.confirmed);
        let progress = self.published + delivered + confirmed;
        if progress != self.progress {
            self.progress = progress;
            self.progress_ns = now;
        }
        let backlog = self.counts_to_something();
        let limit = if backlog {
            STALL_BACKLOG_NS_MAX
        } else {
            STALL_NS_MAX
        };
        if now - self.progress_ns > limit {
            let published = self.published;
            return Err(format!(
                "stalled: published {published}, confirmed {confirmed}, delivered {delivered}"
            ));
        }
        Ok(())
    }

    /// Messages that may be published now over all producers.
    fn allowance(&self, now: u64) -> usize {
        let load = self.load;
        let mut left = usize::MAX;
        if load.publish_count > 0 {
            left = load.publish_count.saturating_sub(self.published) as usize;
        }
        if let Some(steps) = (now - self.start_ns).checked_div(self.step_ns) {
            left = left.min((steps + 1).saturating_sub(self.published) as usize);
        }
        if load.inflight_max > 0 && self.has_consumers {
            let arrived = self.counters.delivered / load.copies.max(1) as u64;
            let room = load
                .inflight_max
                .saturating_sub(self.published.saturating_sub(arrived) as usize);
            if self.step_ns == 0 && room < load.inflight_max / BATCHES_PER_INFLIGHT {
                return 0;
            }
            left = left.min(room);
        }
        left
    }

    /// Messages that one producer may publish now.
    fn quota(&self, conn: &Conn, share: usize) -> usize {
        if !conn.producer || conn.unsent() >= OUTPUT_BYTES {
            return 0;
        }
        let mut quota = share;
        let window = self.load.confirm_window;
        if window > 0 {
            let open = (conn.published - conn.confirmed) as usize;
            let room = window.saturating_sub(open);
            if self.step_ns == 0 && open > 0 && room < window / BATCHES_PER_CONFIRM_WINDOW {
                return 0;
            }
            quota = quota.min(room);
        }
        quota.min(conn.output_room())
    }

    /// Publishes what is allowed; returns how long nothing else needs to be published.
    fn produce(&mut self, now: u64) -> Res<u64> {
        if self.producers == 0 {
            return Ok(u64::MAX);
        }
        let mut left = self.allowance(now);
        let share = left.div_ceil(self.producers);
        let mut wait = u64::MAX;
        let count = self.conns.len();
        for k in 0..count {
            if left == 0 {
                break;
            }
            let index = (k + self.turn) % count;
            let quota = self.quota(&self.conns[index], share.min(left));
            if quota == 0 {
                continue;
            }
            let stamps = (self.step_ns > 0).then(|| Stamps {
                first_ns: self.start_ns + self.published * self.step_ns,
                step_ns: self.step_ns,
            });
            self.conns[index].fill(quota, stamps);
            self.published += quota as u64;
            left -= quota;
            if self.flush(index)? && self.step_ns == 0 {
                // the socket took it all: there may be room for more at once
                wait = 0;
            }
        }
        self.turn = self.turn.wrapping_add(1);
        if self.step_ns > 0 {
            wait = wait.min(self.wait_for_due());
        }
        Ok(wait)
    }

    /// Time until the next message of an open loop is due.
    fn wait_for_due(&mut self) -> u64 {
        let due = self.start_ns + self.published * self.step_ns;
        let now = now_ns();
        if due > now {
            return due - now;
        }
        self.late_ns = self.late_ns.max(now - due);
        BEHIND_WAIT_NS
    }

    /// Sends what is unsent and watches the socket for room if it did not take all.
    fn flush(&mut self, index: usize) -> Res<bool> {
        let conn = &mut self.conns[index];
        let all = conn.flush()?;
        if all == conn.armed {
            conn.armed = !all;
            self.poll.watch(&conn.socket, index, !all)?;
        }
        Ok(all)
    }

    /// Waits for sockets and serves those that are ready.
    fn serve(&mut self, wait_ns: u64) -> Res<()> {
        for n in 0..self.poll.wait(wait_ns)? {
            let ready = self.poll.ready(n);
            if ready.readable {
                self.conns[ready.index].read(&mut self.counters)?;
                if self.first_delivery_ns.is_none() && self.counters.delivered > 0 {
                    self.first_delivery_ns = Some(now_ns());
                }
            }
            self.flush(ready.index)?;
        }
        Ok(())
    }

    /// Adds what was due and has not arrived (been confirmed) with the time waited so far. Messages
    /// arrive in their order where each has one copy; elsewhere nothing can be said.
    fn count_outstanding(&mut self, end_ns: u64) -> u64 {
        let Some(steps) = (end_ns - self.start_ns).checked_div(self.step_ns) else {
            return 0;
        };
        let (due, start_ns, step_ns) = (steps + 1, self.start_ns, self.step_ns);
        let waited = |n: u64| end_ns.saturating_sub(start_ns + n * step_ns);
        if self.load.confirm_window > 0 {
            for n in self.counters.confirmed..due {
                self.counters.confirm_latency.add(waited(n));
            }
        }
        if !self.has_consumers || self.load.copies > 1 {
            return 0;
        }
        for n in self.counters.delivered..due {
            self.counters.latency.add(waited(n));
        }
        due.saturating_sub(self.counters.delivered)
    }

    fn outcome(mut self, end_ns: u64) -> Outcome {
        let outstanding = self.count_outstanding(end_ns);
        let base = self.base.expect("the measured time has begun");
        Outcome {
            published: self.published - base.published,
            delivered: self.counters.delivered - base.delivered,
            confirmed: self.counters.confirmed - base.confirmed,
            nacked: self.counters.nacked,
            seconds: (end_ns - base.at_ns) as f64 / 1e9,
            latency: self.counters.latency,
            confirm_latency: self.counters.confirm_latency,
            outstanding,
            late_ms: self.late_ns as f64 / 1e6,
            first_delivery_ms: self
                .first_delivery_ns
                .map(|at| (at - self.start_ns) as f64 / 1e6),
        }
    }
}

#[cfg(test)]
mod tests;
