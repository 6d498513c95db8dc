//! `startup` (T12) and whatever else starts and stops a broker.
//!
//! Invariants
//! - A broker counts as ready when a full handshake is answered, not when its port is open.
//! - Brokers are stopped only by the command that was given for it.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Res;
use crate::args::Args;
use crate::procfs;
use crate::proto;
use crate::stats::Figures;
use crate::sys::{now_ns, seconds_since};
use crate::target::Target;

/// Time for a start.
pub const READY_S_MAX: f64 = 120.0;
/// Time for a stop.
const STOP_S_MAX: f64 = 120.0;
const SETTLE_S: f64 = 8.0;
/// How long an idle broker is watched.
const IDLE_S: f64 = 5.0;

/// The command behind a flag; `{name}` and `{port}` in it stand for those of the target.
pub fn command(args: &Args, flag: &str, target: &Target) -> Option<String> {
    let text = args.text(flag).filter(|text| !text.is_empty())?;
    Some(
        text.replace("{name}", &target.name)
            .replace("{port}", &target.port.to_string()),
    )
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    // a group of its own: an interrupt typed at the generator is not meant for the broker
    shell.process_group(0);
    shell
}

/// Waits until a full handshake is answered.
pub fn wait_ready(target: &Target, limit_s: f64) -> Res<()> {
    let start = now_ns();
    loop {
        let error = match proto::idle(target, 0) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if seconds_since(start) > limit_s {
            return Err(format!(
                "{} is not ready after {limit_s} s: {error}",
                target.name
            ));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts the broker; returns the milliseconds until it was ready.
pub fn start(target: &mut Target, command: &str, limit_s: f64) -> Res<f64> {
    if procfs::listener_pid(target.port).is_some() {
        return Err(format!(
            "{} runs already on port {}",
            target.name, target.port
        ));
    }
    let begin = now_ns();
    let mut child = shell(command).spawn().map_err(|error| error.to_string())?;
    wait_ready(target, limit_s)?;
    let ready_ms = seconds_since(begin) * 1e3;
    // reaps it when it ends, so that no dead entry stays behind while the generator lives
    std::thread::spawn(move || child.wait());
    target.find_pids();
    Ok(ready_ms)
}

/// Stops the broker; returns the milliseconds until nothing listened on its port.
pub fn stop(target: &Target, command: &str) -> Res<f64> {
    let begin = now_ns();
    let status = shell(command).status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("`{command}` ended with {status}"));
    }
    while procfs::listener_pid(target.port).is_some() {
        if seconds_since(begin) > STOP_S_MAX {
            return Err(format!(
                "{} still listens after {STOP_S_MAX} s",
                target.name
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(seconds_since(begin) * 1e3)
}

/// Stops and starts the broker, if it was told how: memory that an earlier load left would hide
/// what is weighed next.
pub fn again(target: &mut Target, args: &Args) -> Res<()> {
    let stop_command = command(args, "stop-cmd", target);
    if let (Some(stop_command), Some(start_command)) =
        (stop_command, command(args, "start-cmd", target))
    {
        stop(target, &stop_command)?;
        start(target, &start_command, READY_S_MAX)?;
    }
    Ok(())
}

/// Starts a broker that is not there (any more), if it was told how: one that died under a load is
/// out of that scenario, not out of all that follow.
pub fn revive(target: &mut Target, args: &Args) -> Res<()> {
    target.find_pids();
    match command(args, "start-cmd", target) {
        Some(start_command) if target.pids.is_empty() => {
            start(target, &start_command, READY_S_MAX).map(drop)
        }
        _ => Ok(()),
    }
}

/// Starts the broker (stops it first if it runs), and watches it idle.
pub fn measure(target: &mut Target, args: &Args) -> Res<Figures> {
    let start_command = command(args, "start-cmd", target).ok_or("--start-cmd is wanted")?;
    if !target.pids.is_empty()
        && let Some(stop_command) = command(args, "stop-cmd", target)
    {
        stop(target, &stop_command)?;
    }
    let settle_s = args.value("settle", SETTLE_S)?;
    let ready_ms = start(target, &start_command, args.value("limit", READY_S_MAX)?)?;
    let pids = target.charged()?;
    let at_ready = procfs::cpu_seconds(pids);
    std::thread::sleep(Duration::from_secs_f64(settle_s));
    let settled = procfs::cpu_seconds(pids);
    std::thread::sleep(Duration::from_secs_f64(IDLE_S));
    let idle = procfs::cpu_seconds(pids) - settled;
    let mut figures = Figures::default();
    figures.put("ready_ms", ready_ms);
    figures.put("cpu_s_at_ready", at_ready);
    figures.put("cpu_s_settled", settled);
    figures.put("idle_cpu_pct", 100.0 * idle / IDLE_S);
    figures.put("idle_rss_mib", procfs::rss_mib(pids));
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_made_for_the_target() {
        let words = [
            "startup",
            "--start-cmd",
            "run {name} at {port}",
            "--stop-cmd",
            "",
        ];
        let args = Args::parse(words.into_iter().map(String::from)).expect("known flags");
        let target = Target::parse("a=amqp@127.0.0.1:1").expect("well formed");
        assert_eq!(
            command(&args, "start-cmd", &target).as_deref(),
            Some("run a at 1")
        );
        assert_eq!(command(&args, "stop-cmd", &target), None, "empty");
    }

    #[test]
    fn a_broker_that_does_not_come_up_is_an_error() {
        let mut target = Target::parse("a=amqp@127.0.0.1:1").expect("well formed");
        assert!(start(&mut target, "true", 0.01).is_err());
        assert!(stop(&target, "false").is_err());
        assert!(stop(&target, "true").is_ok(), "nothing listens");
    }
}
