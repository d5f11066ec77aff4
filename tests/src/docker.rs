//! A Docker daemon of its own for a lab: on the front server, with its own bridge, rules and data.
//!
//! The daemon, its containerd and every container run in a process namespace that ends with the guard, so nothing
//! outlives a test, however it ends. Images are made on the spot: there is no registry.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Lab, Output, Process, leftovers,
    process_namespace::{ProcessNamespace, first_child},
};

pub mod compose;
mod container;
mod image;

pub use container::{Container, ContainerSpec};
pub use image::{IMAGE, NEWER_IMAGE};

/// It takes half a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Collects the orphans of the process namespace: a dockerd that starts takes a dead containerd for a running one as
/// long as nobody has.
const HOLDER: &str = "sleep infinity & wait";

/// A running Docker daemon with the lab's images.
#[derive(Debug)]
pub struct Docker<'lab> {
    lab: &'lab Lab,
    /// All of its processes end with it.
    namespace: Option<ProcessNamespace>,
    daemon: Mutex<Option<Process>>,
}

impl<'lab> Docker<'lab> {
    /// Starts a daemon on the lab's front server. Where none can run, says why, and the test is to stop.
    pub fn start(lab: &'lab Lab) -> Option<Self> {
        match Self::try_start(lab) {
            Ok(docker) => Some(docker),
            Err(reason) => {
                println!("skipped: no Docker daemon can run here: {reason}");
                None
            }
        }
    }

    fn try_start(lab: &'lab Lab) -> Result<Self, String> {
        for program in ["dockerd", "containerd", "docker", "busybox", "iptables", "unshare", "nsenter"] {
            let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
            if !found.is_ok_and(|output| output.status.success()) {
                return Err(format!("there is no {program}"));
            }
        }
        let unshare = ["--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", HOLDER];
        let namespace = ProcessNamespace::start(lab.front.command_with_machine_sysfs("unshare").args(unshare));
        let docker = Self { lab, namespace: Some(namespace), daemon: Mutex::new(None) };
        fs::create_dir_all(docker.directory()).expect("the lab's folder is writable");
        // Instead of the machine's own configuration.
        fs::write(docker.directory().join("daemon.json"), "{}").expect("the lab's folder is writable");
        docker.try_start_daemon()?;
        image::make(&docker);
        Ok(docker)
    }

    /// The socket of its API.
    pub fn socket(&self) -> PathBuf {
        self.directory().join("docker.sock")
    }

    /// Runs `docker` against this daemon.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        // Its configuration is not the user's.
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        command.env("DOCKER_CONFIG", self.directory()).args(arguments);
        Process::start(&mut command).wait(COMMAND_TIMEOUT)
    }

    /// Starts a container.
    #[track_caller]
    pub fn run(&self, spec: &ContainerSpec) -> Container<'_> {
        let arguments = spec.arguments();
        let id = self.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).success().stdout;
        Container::new(self, id.trim().to_owned())
    }

    /// Makes a network of its own bridge.
    #[track_caller]
    pub fn create_network(&self, name: &str) {
        self.cli(&["network", "create", name]).success();
    }

    /// Ends the daemon as a crash does. Containers go on.
    #[track_caller]
    pub fn crash(&self) {
        let mut daemon = self.daemon.lock().unwrap().take().expect("the daemon runs");
        let id = first_child(daemon.id());
        kill(Pid::from_raw(id), Signal::SIGKILL).expect("the daemon can be signalled");
        daemon.wait(STOP_TIMEOUT);
    }

    /// Starts the daemon again.
    #[track_caller]
    pub fn start_daemon(&self) {
        self.try_start_daemon().unwrap_or_else(|reason| panic!("{reason}"));
    }

    /// Kills a process that has this id where the containers run.
    #[track_caller]
    pub fn kill(&self, process: &str) {
        Process::start(self.inside("kill").args(["-KILL", process])).wait(COMMAND_TIMEOUT).success();
    }

    fn directory(&self) -> PathBuf {
        self.lab.directory().join("docker")
    }

    fn try_start_daemon(&self) -> Result<(), String> {
        let directory = self.directory();
        let path = |name: &str| directory.join(name).display().to_string();
        let mut command = self.inside("dockerd");
        command.args([
            "--config-file",
            &path("daemon.json"),
            "--data-root",
            &path("data"),
            "--exec-root",
            &path("exec"),
        ]);
        command.args(["--pidfile", &path("pid"), "--host", &format!("unix://{}", path("docker.sock"))]);
        // vfs works on every file system; containers outlive the daemon, as they do where downtime matters.
        command.args(["--storage-driver", "vfs", "--live-restore"]);
        command.args(["--cgroup-parent", &format!("/{}", self.lab.id().control_group())]);
        let mut daemon = Process::start(&mut command);
        let deadline = Instant::now() + START_TIMEOUT;
        while self.cli(&["version"]).code != Some(0) {
            if daemon.exit_status().is_some() || Instant::now() > deadline {
                let log = daemon.stderr();
                let last: Vec<_> = log.lines().rev().take(3).collect();
                return Err(format!("dockerd does not answer: {last:?}"));
            }
        }
        *self.daemon.lock().unwrap() = Some(daemon);
        Ok(())
    }

    /// A program in the namespaces of the daemon.
    fn inside(&self, program: &str) -> Command {
        let mut command = self.lab.front.command_with_machine_sysfs("nsenter");
        let target = self.namespace.as_ref().expect("it is taken when this is dropped").first().to_string();
        command.args(["--target", &target, "--pid", "--mount", "--", program]);
        command
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        if thread::panicking()
            && let Ok(daemon) = self.daemon.lock()
            && let Some(daemon) = &*daemon
        {
            eprintln!("--- end of dockerd's log\n{}---", last_lines(&daemon.stderr(), 30));
        }
        drop(self.namespace.take());
        leftovers::remove_control_groups(self.lab.id());
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| format!("{line}\n")).collect()
}

/// Writes a program into an image that is being made.
fn write_program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, script).expect("the lab's folder is writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("own files can be changed");
}
