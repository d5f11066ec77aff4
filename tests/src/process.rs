//! Programs started by the tests: output collected, ended with the guard that started them.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::eventually;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Output {
    /// The exit code; a program ended by a signal has none.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON: {e}: {self:?}"))
    }

    /// The output of a program that must succeed.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "failed: {self:?}");
        self
    }
}

impl Process {
    /// Starts `command`. The program is killed when the calling thread ends, so that a killed test leaves none.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("start {name}: {e}"));
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().expect("stdout is piped"), &stdout),
            collect(child.stderr.take().expect("stderr is piped"), &stderr),
        ];
        Self { name, child, stdout, stderr, readers }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// What the program has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until the program has written a line that begins with `text` to standard output.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str, timeout: Duration) {
        eventually(timeout, || {
            if self.stdout().lines().any(|line| line.starts_with(text)) {
                return Ok(());
            }
            if let Some(status) = self.exit_status() {
                self.read_to_end();
                panic!("{} ended ({status}) before {text:?}:\n{}{}", self.name, self.stdout(), self.stderr());
            }
            Err(format!("{} has not said {text:?}:\n{}{}", self.name, self.stdout(), self.stderr()))
        });
    }

    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("own child can be waited for")
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().cast_signed());
        kill(id, signal).unwrap_or_else(|e| panic!("send {signal} to {}: {e}", self.name));
    }

    /// Whether the program ends in this time.
    pub fn ends_within(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.exit_status().is_none() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Waits for the end of the program.
    #[track_caller]
    pub fn wait(&mut self, timeout: Duration) -> Output {
        let status = eventually(timeout, || self.exit_status().ok_or_else(|| format!("{} still runs", self.name)));
        self.read_to_end();
        Output { code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Process {
    /// Takes in what is still in the pipes. Bounded, because a grandchild may hold them open for ever, but not before the
    /// readers had their turn on a machine with much else to do.
    fn read_to_end(&self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the program has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(source: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        while source.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}
