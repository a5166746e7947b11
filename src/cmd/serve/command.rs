//! The command of `serve -- CMD`: starts it with the settings in its environment, and waits for it.

use std::process::{Child, Command, ExitStatus};

use anyhow::Context as _;

use crate::error::{Exit, Fault};
use crate::run::signals::Stop;

/// Runs a command until it ends, and returns its exit code.
pub(super) async fn run(
    program: &str,
    arguments: &[String],
    settings: &[(&'static str, String)],
    stop: &Stop,
) -> anyhow::Result<Exit> {
    attend(spawn(program, arguments, settings)?, stop).await
}

fn spawn(program: &str, arguments: &[String], settings: &[(&str, String)]) -> anyhow::Result<Child> {
    let started =
        Command::new(program).args(arguments).envs(settings.iter().map(|(name, value)| (name, value))).spawn();
    match started {
        Ok(child) => Ok(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Fault::new(Exit::Usage, format!("cannot start {program}: there is no such program"))
                .hint("no shell runs the command after --; to use one: -- sh -c '...'")
                .into())
        }
        Err(error) => Err(error).with_context(|| format!("cannot start {program}")),
    }
}

/// Waits for the command, and forwards a SIGTERM to it. A Ctrl-C reaches it from the terminal.
async fn attend(mut child: Child, stop: &Stop) -> anyhow::Result<Exit> {
    let id = child.id();
    let ended = tokio::task::spawn_blocking(move || child.wait());
    tokio::pin!(ended);
    let status = tokio::select! {
        status = &mut ended => status,
        why = stop.asked() => {
            if why.reason != "Ctrl-C" {
                terminate(id);
            }
            ended.await
        }
    };
    Ok(Exit::Child(code(status?.context("cannot wait for the command")?)))
}

#[cfg(unix)]
fn terminate(id: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have just ended.
        let _ = kill_process(pid, Signal::TERM);
    }
}

#[cfg(not(unix))]
fn terminate(_: u32) {}

/// Returns the exit code of the command: 128 plus the signal that ended it, as in a shell.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0));
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
