//! Telling the processes behind backends to end.

use std::{fs, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{process::Command, time::timeout};

use crate::{host::docker, model::Process};

/// Longest time for a signal to be delivered, or for a command to do so.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Tells processes to end, each in its own way.
#[derive(Clone, Debug)]
pub struct Stopper {
    /// Socket of the Docker API.
    pub docker: PathBuf,
}

impl Stopper {
    /// Tells the process behind a backend to end; does not wait until it has.
    pub async fn stop(&self, process: &Process, service: &str, backend: SocketAddr) -> Result<()> {
        let stop = async {
            match process {
                Process::Container(name) => docker::stop(&self.docker, name).await,
                Process::Pid { id, start } => terminate(*id, *start),
                Process::Unit(unit) => {
                    // Sends the unit's KillSignal, and keeps its Restart= from undoing that.
                    run(Command::new("systemctl").args(["stop", "--no-block", "--", unit])).await
                }
                Process::Command(argv) => {
                    let (program, arguments) = argv.split_first().context("the command is empty")?;
                    let mut command = Command::new(program);
                    command.args(arguments).env("GATEWAY_SERVICE", service);
                    run(command.env("GATEWAY_BACKEND", backend.to_string())).await
                }
            }
        };
        timeout(TIMEOUT, stop).await.with_context(|| format!("not done after {} s", TIMEOUT.as_secs()))?
    }
}

/// Notes when a process was started, so that no later one with its id is ever signalled in its place.
///
/// # Errors
/// There is no such process.
pub fn identify(process: &mut Process) -> Result<()> {
    if let Process::Pid { id, start: start @ None } = process {
        *start = Some(started(*id)?);
    }
    Ok(())
}

/// Sends SIGTERM to the process that has this id since `start`.
fn terminate(id: u32, start: Option<u64>) -> Result<()> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).with_context(|| format!("{id} is no process id"))?;
    let process = pidfd_open(pid, PidfdFlags::empty()).with_context(|| format!("open process {id}"))?;
    // The descriptor is of one process for good; if the times agree, that is the one that is meant.
    ensure!(start == Some(started(id)?), "process {id} is another one by now");
    pidfd_send_signal(&process, Signal::TERM).with_context(|| format!("signal process {id}"))
}

/// Clock ticks from the host's boot to the start of a process (field 22 of proc_pid_stat(5)).
fn started(id: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).with_context(|| format!("there is no process {id}"))?;
    // The second field is the program's name in parentheses, which may hold anything.
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace());
    let field = after_name.and_then(|mut fields| fields.nth(19)).context("read when the process was started")?;
    field.parse().context("read when the process was started")
}

async fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("run {:?}", command.as_std().get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{:?}: {}: {}", command.as_std().get_program(), output.status, said.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::ExitStatusExt,
        process::{Child, Command as StdCommand},
    };

    use super::*;

    const BACKEND: &str = "10.0.1.2:80";

    fn stop(process: &Process) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stopper = Stopper { docker: "/nonexistent/docker.sock".into() };
        runtime.block_on(stopper.stop(process, "web", BACKEND.parse().unwrap()))
    }

    fn sleeper() -> Child {
        StdCommand::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn process_gets_sigterm() {
        let mut child = sleeper();
        let mut process = Process::Pid { id: child.id(), start: None };
        identify(&mut process).unwrap();
        stop(&process).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    }

    #[test]
    fn another_process_with_the_same_id_is_left_alone() {
        let mut child = sleeper();
        let start = Some(started(child.id()).unwrap() - 1);
        let error = stop(&Process::Pid { id: child.id(), start }).unwrap_err().to_string();
        assert!(error.contains("another one"), "{error}");
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn process_that_is_gone_is_refused_when_it_is_named_and_when_it_is_signalled() {
        let mut child = sleeper();
        let mut process = Process::Pid { id: child.id(), start: None };
        let mut late = process.clone();
        identify(&mut process).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        stop(&process).unwrap_err();
        assert!(identify(&mut late).unwrap_err().to_string().contains("no process"));
    }

    #[test]
    fn command_learns_what_it_is_about_and_may_fail() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("said");
        let script = format!("echo $GATEWAY_SERVICE $GATEWAY_BACKEND > {}; echo no >&2; exit 3", file.display());
        let error = stop(&Process::Command(vec!["sh".into(), "-c".into(), script])).unwrap_err().to_string();
        assert!(error.contains("exit status: 3: no"), "{error}");
        assert_eq!(fs::read_to_string(file).unwrap().trim(), format!("web {BACKEND}"));
        let error = format!("{:#}", stop(&Process::Command(vec!["/nonexistent".into()])).unwrap_err());
        assert!(error.contains("/nonexistent"), "{error}");
    }

    #[test]
    fn unit_without_systemd_is_a_failure_and_no_more() {
        let error = format!("{:#}", stop(&Process::Unit("gateway-test-absent.service".into())).unwrap_err());
        assert!(error.contains("systemctl"), "{error}");
    }
}
