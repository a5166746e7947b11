//! The state directory: its place, its permissions, its space, its database, and what earlier runs have left.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::Section;
use crate::error::{Exit, Fault};
use crate::report::json::{Check, CheckState};
use crate::report::text::counted;
use crate::run::{dead_runs, liveness, lock};
use crate::store::{ResourceClass, Store, StoreError};

const PART: Section = Section::StateDirectory;

/// Below this much free space a run may not find room for its datasets and its log. Bytes.
const LITTLE: u64 = 1 << 30;

/// Returns what to do about a folder to which nothing can be written.
fn not_writable(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or name another folder with --state-dir",
        _ => "let this user write to it, or name another folder with --state-dir",
    }
}

/// Written to see that the file system takes it. Bytes.
const TRIAL: usize = 1 << 16;

/// The checks of a state directory, and its store if it has one.
pub(crate) struct StateDir {
    pub checks: Vec<Check>,
    pub store: Option<Store>,
}

impl StateDir {
    /// Checks a state directory, which may not exist yet.
    pub(crate) fn check(dir: &Path) -> StateDir {
        // A run makes a missing folder in the nearest one that exists.
        let folder = dir.ancestors().find(|folder| folder.exists()).unwrap_or(dir).to_path_buf();
        let mut checks = vec![check_folder(dir, &folder)];
        checks.extend(check_network(&folder));
        checks.push(check_space(&folder));
        let store = match Store::open_to_read(dir) {
            Ok(Some(store)) => Some(store),
            Ok(None) => {
                checks.push(PART.ok("database", "an older dfwfd wrote it; the next run brings it up to date"));
                None
            }
            Err(StoreError::Missing { .. }) => {
                checks.push(PART.ok("database", "no run yet"));
                None
            }
            Err(error) => {
                let remedy = "--state-dir DIR uses another state directory; this one stays as it is";
                checks.push(PART.failed("database", &error.into(), remedy));
                None
            }
        };
        if let Some(store) = &store {
            match check_runs(store, dir) {
                Ok(found) => checks.extend(found),
                Err(error) => checks.push(PART.failed("database", &error, "--state-dir DIR uses another one")),
            }
        }
        StateDir { checks, store }
    }

    /// Checks an existing state directory for what would end a run later, or cost it its results. Returns warnings.
    ///
    /// # Errors
    /// When nothing can be written to it.
    pub(crate) fn check_before_run(dir: &Path) -> Result<Vec<String>, Fault> {
        if let Err(error) = try_writing(dir) {
            let message = format!("cannot write to the state directory {}: {error}", dir.display());
            return Err(Fault::new(Exit::Failed, message).hint(not_writable(&error)));
        }
        let warnings = check_network(dir).into_iter().chain([check_space(dir)]);
        let warnings = warnings.filter(|check| check.state == CheckState::Warning);
        Ok(warnings.map(|check| format!("{}: {}", check.detail, check.remedy.unwrap_or_default())).collect())
    }
}

fn try_writing(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&[0; TRIAL])?;
    file.sync_all()
}

fn check_folder(dir: &Path, folder: &Path) -> Check {
    let subject = "folder";
    if let Err(error) = try_writing(folder) {
        let remedy = not_writable(&error);
        let error = anyhow::Error::from(error).context(format!("cannot write to {}", folder.display()));
        return PART.failed(subject, &error, remedy);
    }
    if folder != dir {
        return PART.ok(subject, format!("{} does not exist yet; a run makes it", dir.display()));
    }
    if is_open_to_others(dir) {
        let detail = format!("other users can read {}, which holds prompts and replies", dir.display());
        return PART.warning(subject, detail, format!("chmod 700 {}", dir.display()));
    }
    PART.ok(subject, dir.display().to_string())
}

#[cfg(unix)]
fn is_open_to_others(dir: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(dir).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

/// Returns a warning for a network file system, on which SQLite cannot rely on locks
/// (<https://sqlite.org/wal.html>, section 1).
fn check_network(folder: &Path) -> Option<Check> {
    let name = file_system(folder).and_then(network_name)?;
    Some(PART.warning(
        "file system",
        format!("{} is on {name}, where a database can be damaged and a lock may not hold", folder.display()),
        "name a folder on a disk of this machine with --state-dir",
    ))
}

#[cfg(target_os = "linux")]
fn file_system(folder: &Path) -> Option<u64> {
    // The width of the field differs between targets.
    rustix::fs::statfs(folder).ok().and_then(|found| u64::try_from(found.f_type).ok())
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Option<u64> {
    None
}

/// Returns the name of a file system that other machines share, by its number in `statfs(2)`.
fn network_name(number: u64) -> Option<&'static str> {
    match number {
        0x6969 => Some("NFS"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Some("SMB"),
        0x0102_1997 => Some("9P"),
        0x00C3_6400 => Some("Ceph"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x4750_4653 => Some("GPFS"),
        0x5346_414F => Some("AFS"),
        0x6573_5546 => Some("FUSE"),
        _ => None,
    }
}

fn check_space(folder: &Path) -> Check {
    match free_bytes(folder) {
        Some(free) if free < LITTLE => PART.warning(
            "space",
            format!("{} MiB are free", free >> 20),
            "free some space, or name a folder on another disk with --state-dir",
        ),
        Some(free) => PART.ok("space", format!("{} GiB are free", free >> 30)),
        None => PART.skipped("space", "the file system does not tell its free space"),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Checks which run works here, and what ended runs still hold.
fn check_runs(store: &Store, dir: &Path) -> anyhow::Result<Vec<Check>> {
    let runs = store.runs().context("cannot list the runs")?;
    let mut checks = vec![match lock::holder(dir) {
        Some(run) => {
            let run = run.map_or_else(|| "another command".to_owned(), |run| format!("run {run}"));
            PART.warning("lock", format!("{run} works here now"), "--wait makes a run wait until it ends")
        }
        None => PART.ok("database", format!("{}, no run works here now", counted(runs.len() as u64, "run"))),
    }];
    for run in runs.iter().filter(|run| !liveness::is_alive(run, dir)) {
        let mut open = dead_runs::open_resources(store, &run.id)?;
        open.retain(|resource| resource.class() == ResourceClass::Gpu);
        if let Some(first) = open.first() {
            let detail =
                format!("run {} still holds {}: {}", run.id, counted(open.len() as u64, "resource"), first.name);
            checks.push(PART.warning("leftovers", detail, format!("dfwfd cleanup {}", run.id)));
        }
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_named() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xFF53_4D42), Some("SMB"));
        let (ext4, tmpfs, btrfs) = (0xEF53, 0x0102_1994, 0x9123_683E);
        assert_eq!([ext4, tmpfs, btrfs].map(network_name), [None; 3]);
    }

    #[test]
    fn a_folder_that_does_not_exist_is_not_made() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("a/b");
        let found = StateDir::check(&dir);
        assert!(found.checks.iter().all(|check| check.state != CheckState::Failed), "{:?}", found.checks);
        assert!(found.checks[0].detail.ends_with("does not exist yet; a run makes it"));
        assert!(!outer.path().join("a").exists() && outer.path().read_dir().unwrap().next().is_none());
    }
}
