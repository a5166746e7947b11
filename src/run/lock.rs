//! The lock of a state directory, which allows one run at a time. The kernel frees it with its process: a run that is
//! recorded as running while nobody holds the lock has died.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::signals::Stop;

const FILE: &str = "lock";

/// How often a waiting run tries the lock.
const RETRY: Duration = Duration::from_millis(200);

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// Another process holds the lock.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the state directory: another run{} holds the lock {}", .run.as_ref().map(|run| format!(" ({run})")).unwrap_or_default(), .path.display())]
pub(crate) struct Locked {
    /// The run that holds it, if it has written its id.
    pub run: Option<String>,
    pub path: PathBuf,
}

fn open(state_dir: &Path) -> anyhow::Result<(File, PathBuf)> {
    let path = state_dir.join(FILE);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open the lock file {}", path.display()))?;
    Ok((file, path))
}

impl Lock {
    /// Takes the lock for a run, at once.
    ///
    /// # Errors
    /// [`Locked`] when another process holds it.
    pub(crate) fn take(state_dir: &Path) -> anyhow::Result<Lock> {
        let (file, path) = open(state_dir)?;
        // A process that only looks holds it for an instant. A run holds it longer than this.
        for _ in 0..5 {
            match file.try_lock() {
                Ok(()) => {
                    // The file must not name the last holder any more.
                    file.set_len(0).with_context(|| format!("cannot write the lock file {}", path.display()))?;
                    return Ok(Lock { file });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::Error(error)) => {
                    return Err(error)
                        .with_context(|| format!("cannot lock {} (does its file system have locks?)", path.display()));
                }
            }
        }
        Err(Locked { run: read(&file), path }.into())
    }

    /// Waits for the lock and takes it.
    ///
    /// # Errors
    /// When asked to stop meanwhile, or when the file cannot be locked at all.
    pub(crate) async fn wait(state_dir: &Path, stop: &Stop) -> anyhow::Result<Lock> {
        loop {
            match Lock::take(state_dir) {
                Err(error) if error.is::<Locked>() => {}
                other => return other,
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                interrupted = stop.asked() => return Err(interrupted.into()),
            }
        }
    }

    /// Writes the id of the run that holds the lock.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_holder(&mut self, run: &str) -> anyhow::Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(run.as_bytes()))
            .context("cannot write the lock file")
    }
}

fn read(mut file: &File) -> Option<String> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    super::names::is_run_id(text.trim()).then(|| text.trim().to_owned())
}

/// Returns the run that a process works on in this state directory right now. `Some(None)`: a process holds the lock and
/// has not written the id of its run.
pub(crate) fn holder(state_dir: &Path) -> Option<Option<String>> {
    let file = File::open(state_dir.join(FILE)).ok()?;
    // A shared lock: two processes that look must not take each other for a run.
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
        lock.write_holder("abcd2345").unwrap();
        assert_eq!(holder(dir.path()), Some(Some("abcd2345".to_owned())));
        let locked = Lock::take(dir.path()).unwrap_err();
        assert_eq!(locked.downcast_ref::<Locked>().unwrap().run.as_deref(), Some("abcd2345"));
        drop(lock);
        assert_eq!(holder(dir.path()), None);
        Lock::take(dir.path()).unwrap();
    }
}
