//! The binary as a process, on ports that the system chooses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const TIME_MAX: Duration = Duration::from_secs(30);

/// The binary with an environment of its own.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrymq"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FERRYMQ") {
            command.env_remove(name);
        }
    }
    // The addresses that it has otherwise are one for all nodes of a machine.
    command.env("FERRYMQ_PROMETHEUS", "off");
    command.env("FERRYMQ_MQTT", "off");
    command.args(args).stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error of a run that ends by itself.
pub fn run(args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = command(args);
    command.envs(variables.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let status = wait(&mut child);
    let (mut out, mut log) = (String::new(), String::new());
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    (status.code().unwrap(), out, log)
}

/// Waits for the end, which must come: what these runs write fits into a pipe.
fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + TIME_MAX;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A node that is ready.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    /// Its log up to the last address.
    pub log: String,
    pub amqp: SocketAddr,
    pub http: SocketAddr,
}

impl Running {
    pub fn start(data_dir: &Path, more: &[&str]) -> Running {
        let mut args = vec!["serve", "--data-dir", data_dir.to_str().unwrap()];
        args.extend(["--amqp", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        args.extend(more);
        let mut command = command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::from(command)
    }

    pub fn from(mut command: Command) -> Running {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        let mut find = |before: &str| -> SocketAddr {
            loop {
                let mut line = String::new();
                assert!(
                    stderr.read_line(&mut line).unwrap() > 0,
                    "it ended early: {log}"
                );
                log.push_str(&line);
                if let Some((_, rest)) = line.split_once(before) {
                    return rest.split([',', '\n']).next().unwrap().parse().unwrap();
                }
            }
        };
        let (amqp, http) = (find("AMQP 0-9-1 on "), find("HTTP on "));
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Running {
            child,
            stdout,
            stderr,
            log,
            amqp,
            http,
        }
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits for the end; returns the rest of standard output and of the log.
    pub fn end(mut self) -> (ExitStatus, String, String) {
        let status = wait(&mut self.child);
        let (mut out, mut log) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut log).unwrap();
        (status, out, log)
    }

    /// The body of a page.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(TIME_MAX)).unwrap();
        let authorization = "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=";
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        stream
            .write_all(format!("{head}{authorization}\r\n\r\n").as_bytes())
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After `end` it is gone already; after a failed assertion it must go.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
