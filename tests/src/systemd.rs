//! A systemd of its own for a lab: the first process of a process namespace on the front server, so that units run as
//! they do on a real one.
//!
//! It sees the machine's files, but what is written below `/etc`, `/usr`, `/var` and `/run` is gone with the guard, and the
//! machine's own units are out of its sight. There is no journal: what it says is in [`Systemd::log`].

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::{Lab, Output, Process, eventually, leftovers, process_namespace::ProcessNamespace};

const PROGRAM: &str = "/lib/systemd/systemd";
const START_TIMEOUT: Duration = Duration::from_secs(30);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// Moves into the lab's control group and makes it the root of a new namespace of control groups.
const ENTER: &str = "set -e
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/$GROUP
echo $$ > /sys/fs/cgroup/$GROUP/cgroup.procs
umount /sys/fs/cgroup
exec unshare --pid --mount --cgroup --fork --kill-child --propagation private sh -c \"$BOOT\"";

/// Gives systemd the file systems that it expects, and becomes it.
const BOOT: &str = "set -e
mount -t proc proc /proc
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf -o mode=0700 bpf /sys/fs/bpf
mount -t tmpfs -o mode=0755 tmpfs /run
for folder in etc usr var; do
    mkdir -p /run/lab/$folder/upper /run/lab/$folder/work
    mount -t overlay -o lowerdir=/$folder,upperdir=/run/lab/$folder/upper,workdir=/run/lab/$folder/work overlay /$folder
done
mount --bind $CONSOLE /dev/console
if [ -n \"$GATEWAY\" ]; then
    touch /usr/bin/gateway
    mount --bind $GATEWAY /usr/bin/gateway
fi
unset ENTER BOOT
exec $SYSTEMD --system --unit=multi-user.target --log-target=console --log-color=no --show-status=no";

/// What units depend on by default, with nothing in it.
const TARGETS: [&str; 4] = ["basic", "multi-user", "shutdown", "sysinit"];

/// A running systemd.
#[derive(Debug)]
pub struct Systemd<'lab> {
    lab: &'lab Lab,
    namespace: Option<ProcessNamespace>,
}

impl<'lab> Systemd<'lab> {
    /// Boots on the lab's front server. `/usr/bin/gateway` is the gateway under test.
    #[track_caller]
    pub fn start(lab: &'lab Lab) -> Self {
        Self::boot(lab, &crate::gateway::program())
    }

    /// The same without a gateway, for a package to bring one. Of the machine's unit files, only one with the name
    /// `gateway.service` is seen.
    #[track_caller]
    pub fn start_without_gateway(lab: &'lab Lab) -> Self {
        let units = lab.directory().join("units");
        fs::create_dir_all(&units).expect("the lab's folder is writable");
        symlink("/usr/lib/systemd/system/gateway.service", units.join("gateway.service")).expect("it is not there yet");
        Self::boot(lab, Path::new(""))
    }

    #[track_caller]
    fn boot(lab: &'lab Lab, gateway: &Path) -> Self {
        assert!(fs::exists(PROGRAM).is_ok_and(|exists| exists), "{PROGRAM} is missing: run `cargo xtask setup`");
        let units = lab.directory().join("units");
        let console = lab.directory().join("console");
        fs::create_dir_all(&units).expect("the lab's folder is writable");
        fs::write(&console, "").expect("the lab's folder is writable");
        for name in TARGETS {
            let target = "[Unit]\nDefaultDependencies=no\n";
            fs::write(units.join(format!("{name}.target")), target).expect("the lab's folder is writable");
        }
        let mut command = lab.front.command("sh");
        command.args(["-c", ENTER]).env("BOOT", BOOT).env("GROUP", lab.id().control_group()).env("SYSTEMD", PROGRAM);
        command.env("GATEWAY", gateway).env("CONSOLE", &console);
        command.env("SYSTEMD_UNIT_PATH", &units).env("container", "lab");
        let systemd = Self { lab, namespace: Some(ProcessNamespace::start(&mut command)) };
        eventually(START_TIMEOUT, || {
            let answer = systemd.run("systemctl", &["is-active", "multi-user.target"]);
            if answer.code == Some(0) { Ok(()) } else { Err(format!("{answer:?}\n{}", systemd.log())) }
        });
        systemd
    }

    /// Adds a unit or a drop-in, by its path below the folder of units.
    #[track_caller]
    pub fn add_unit(&self, name: &str, text: &str) {
        let path = self.lab.directory().join("units").join(name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("the lab's folder is writable");
        fs::write(path, text).expect("the lab's folder is writable");
        self.run("systemctl", &["daemon-reload"]).success();
    }

    /// Writes a file where units see it.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let source = self.lab.directory().join("file");
        fs::write(&source, text).expect("the lab's folder is writable");
        self.run("install", &["-D", "-m0644", &source.display().to_string(), path]).success();
    }

    /// Runs a program to its end beside the units, as root.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Process::start(self.inside(program).args(arguments)).wait(COMMAND_TIMEOUT)
    }

    /// Starts a program beside the units, as root.
    #[track_caller]
    pub fn begin(&self, program: &str, arguments: &[&str]) -> Process {
        Process::start(self.inside(program).args(arguments))
    }

    /// The main process of a unit, by its id where the units run.
    #[track_caller]
    pub fn main_process(&self, unit: &str) -> u32 {
        let shown = self.run("systemctl", &["show", "--property=MainPID", "--value", unit]).success().stdout;
        shown.trim().parse().unwrap_or_else(|_| panic!("{unit} has no main process: {shown:?}\n{}", self.log()))
    }

    /// What systemd and the programs on its console have said.
    pub fn log(&self) -> String {
        let said = self.namespace.as_ref().map(ProcessNamespace::output).unwrap_or_default();
        said + &fs::read_to_string(self.console()).unwrap_or_default()
    }

    /// The file that [`Self::log`] reads, for units to append to.
    pub fn console(&self) -> PathBuf {
        self.lab.directory().join("console")
    }

    fn inside(&self, program: &str) -> Command {
        let namespace = self.namespace.as_ref().expect("it is taken when this is dropped");
        let mut command = self.lab.front.command("nsenter");
        command.args(["--target", &namespace.first().to_string(), "--pid", "--mount", "--cgroup", "--", program]);
        command
    }
}

impl Drop for Systemd<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of systemd\n{}---", self.log());
        }
        drop(self.namespace.take());
        leftovers::remove_control_groups(self.lab.id());
    }
}
