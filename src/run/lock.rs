//! The lock of a state directory: at most one run at a time. The kernel frees it with its process, so a run whose row
//! says `running` while nobody holds the lock has died.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::stop::Stop;

const FILE: &str = "lock";

/// How often a waiting run looks whether the lock is free.
const LOOK: Duration = Duration::from_millis(200);

/// Held for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Another process holds the lock.
#[derive(Debug, thiserror::Error)]
#[error("another run{} holds {}", .run.as_ref().map(|run| format!(" ({run})")).unwrap_or_default(), .path.display())]
pub struct Locked {
    /// The run that holds it, when it has said so.
    pub run: Option<String>,
    /// The lock file.
    pub path: PathBuf,
}

fn open(state_dir: &Path) -> anyhow::Result<(File, PathBuf)> {
    let path = state_dir.join(FILE);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("opening the lock file {}", path.display()))?;
    Ok((file, path))
}

impl Lock {
    /// Takes the lock for a run, at once.
    ///
    /// # Errors
    /// [`Locked`] when another process holds it.
    pub fn take(state_dir: &Path) -> anyhow::Result<Lock> {
        let (file, path) = open(state_dir)?;
        // An onlooker holds it for an instant; a run holds it longer than this.
        for _ in 0..5 {
            match file.try_lock() {
                Ok(()) => {
                    // The name of the last holder must not pass for this one's.
                    file.set_len(0).with_context(|| format!("emptying the lock file {}", path.display()))?;
                    return Ok(Lock { file });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::Error(error)) => {
                    return Err(error)
                        .with_context(|| format!("locking {} (is it on a file system with locks?)", path.display()));
                }
            }
        }
        Err(Locked { run: read(&file), path }.into())
    }

    /// Takes the lock, waiting for whoever holds it.
    ///
    /// # Errors
    /// When it was asked to stop meanwhile, or the file cannot be locked at all.
    pub async fn wait(state_dir: &Path, stop: &Stop) -> anyhow::Result<Lock> {
        loop {
            match Lock::take(state_dir) {
                Err(error) if error.is::<Locked>() => {}
                other => return other,
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                interrupted = stop.asked() => return Err(interrupted.into()),
            }
        }
    }

    /// Says which run holds it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn name(&mut self, run: &str) -> anyhow::Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(run.as_bytes()))
            .context("writing the lock file")
    }
}

fn read(mut file: &File) -> Option<String> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    super::names::is_run_id(text.trim()).then(|| text.trim().to_owned())
}

/// The run that is being worked on in this state directory right now, by whatever process: `Some(None)` when a process
/// holds the lock and has not said for which run.
pub fn holder(state_dir: &Path) -> Option<Option<String>> {
    let file = File::open(state_dir.join(FILE)).ok()?;
    // A shared lock, so that two onlookers do not take each other for a run.
    match file.try_lock_shared() {
        Ok(()) => None,
        Err(TryLockError::WouldBlock) => Some(read(&file)),
        Err(TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_holder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()), None);
        let mut lock = Lock::take(dir.path()).unwrap();
        assert_eq!(holder(dir.path()), Some(None));
        lock.name("abcd2345").unwrap();
        assert_eq!(holder(dir.path()), Some(Some("abcd2345".to_owned())));
        let locked = Lock::take(dir.path()).unwrap_err();
        assert_eq!(locked.downcast_ref::<Locked>().unwrap().run.as_deref(), Some("abcd2345"));
        drop(lock);
        assert_eq!(holder(dir.path()), None);
        Lock::take(dir.path()).unwrap();
    }
}
