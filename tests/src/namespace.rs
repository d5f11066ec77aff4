//! A network namespace as a guard: it, the programs in it and its devices end with the value.
#![expect(unsafe_code, reason = "what a program does between fork(2) and exec(2)")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::{
        prctl,
        signal::{SigSet, Signal},
    },
};

use crate::{
    Output, Process,
    lab_id::{BPFFS, LabId, NETNS_DIRECTORY},
    leftovers,
};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// A network namespace, named so that `ip -n NAME` reaches it while a test is looked into.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: File,
}

impl Namespace {
    /// Creates the namespace of `role` in the lab `id`, with loopback up and without the delays of IPv6
    /// duplicate address detection.
    #[track_caller]
    pub fn new(id: LabId, role: &str) -> Self {
        let name = id.namespace(role);
        succeed(Command::new("ip").args(["netns", "add", &name]));
        let handle = File::open(Path::new(NETNS_DIRECTORY).join(&name)).expect("namespace was just created");
        let namespace = Self { name, handle };
        namespace.sysctl("net/ipv6/conf/all/accept_dad", "0");
        namespace.sysctl("net/ipv6/conf/default/accept_dad", "0");
        namespace.ip(&["link set lo up"]);
        namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Configures the namespace with `ip` commands (without the leading `ip`), in one batch.
    #[track_caller]
    pub fn ip<S: AsRef<str>>(&self, commands: &[S]) {
        let script = commands.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n");
        feed(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), &script);
    }

    /// Loads nftables rules.
    #[track_caller]
    pub fn nft(&self, rules: &str) {
        feed(self.command("nft").args(["-f", "-"]), rules);
    }

    /// Sets a value below `/proc/sys`.
    #[track_caller]
    pub fn sysctl(&self, path: &str, value: &str) {
        self.run(|| {
            fs::write(Path::new("/proc/sys").join(path), value)
                .unwrap_or_else(|e| panic!("set {path} to {value}: {e}"));
        });
    }

    /// Runs `work` on a thread inside the namespace. Sockets made there stay there, so they can be given out.
    #[track_caller]
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                setns(&self.handle, CloneFlags::CLONE_NEWNET).unwrap_or_else(|e| panic!("enter {}: {e}", self.name));
                work()
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread inside the namespace. The namespace lives until the thread ends.
    #[track_caller]
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let handle = self.handle.try_clone().expect("file descriptors are left");
        thread::spawn(move || {
            setns(&handle, CloneFlags::CLONE_NEWNET).expect("an open namespace can be entered");
            work()
        })
    }

    /// A program inside the namespace, with a `/sys` that shows the namespace's devices and the machine's bpffs.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command_with_machine_sysfs(program);
        // SAFETY: between fork and exec it only makes system calls with constant arguments; it allocates nothing and
        // takes no lock.
        unsafe { command.pre_exec(|| Ok(show_own_devices_in_sysfs()?)) };
        command
    }

    /// A program inside the namespace that sees the machine's `/sys`, and so its control groups.
    pub fn command_with_machine_sysfs(&self, program: impl AsRef<OsStr>) -> Command {
        let handle = self.handle.try_clone().expect("file descriptors are left");
        let mut command = Command::new(program);
        let enter = move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The starter may keep signals for itself; programs are to end by them.
            SigSet::empty().thread_set_mask()?;
            setns(&handle, CloneFlags::CLONE_NEWNET)?;
            Ok(())
        };
        // SAFETY: as in `command`.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Runs a program to its end.
    #[track_caller]
    pub fn output(&self, program: &str, arguments: &[&str]) -> Output {
        Process::start(self.command(program).args(arguments)).wait(COMMAND_TIMEOUT)
    }

    /// Starts a program that ends with the guard.
    #[track_caller]
    pub fn start(&self, program: &str, arguments: &[&str]) -> Process {
        Process::start(self.command(program).args(arguments))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        leftovers::remove_namespace(&self.name);
    }
}

/// Gives the calling process its own view of `/sys`. The bpffs mount would be hidden by the new sysfs, so it is
/// carried over.
fn show_own_devices_in_sysfs() -> nix::Result<()> {
    const NONE: Option<&str> = None;
    const ASIDE: &str = "/mnt";
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mount(Some(BPFFS), ASIDE, NONE, MsFlags::MS_BIND, NONE)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), NONE)?;
    mount(Some(ASIDE), BPFFS, NONE, MsFlags::MS_MOVE, NONE)
}

#[track_caller]
fn succeed(command: &mut Command) {
    Process::start(command).wait(COMMAND_TIMEOUT).success();
}

/// Runs a program with `input` on its standard input.
#[track_caller]
fn feed(command: &mut Command, input: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("start {command:?}: {e}"));
    child.stdin.take().expect("stdin is piped").write_all(input.as_bytes()).expect("program reads its input");
    let output = child.wait_with_output().expect("own child can be waited for");
    assert!(
        output.status.success(),
        "{command:?} failed with input\n{input}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
