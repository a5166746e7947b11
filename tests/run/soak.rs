//! Many runs against one `serve`, one after the other: neither it nor the state directory may keep what a run needed.

use std::path::Path;

use super::control::{Home, Platform, scores};
use crate::harness::files_below;

/// So many runs; `.ci/full` asks for 200.
fn wanted() -> usize {
    std::env::var("DFWFD_SOAK").ok().map_or(6, |text| text.parse().unwrap())
}

/// The runs after which caches, arenas and connections have their size.
const WARM: usize = 4;

/// The memory that the platform may gain for each further run: the record of a training job, which v1 cannot delete.
const GAIN: usize = 16 << 10;

/// The memory that it may gain in all besides, because an allocator gives back only whole pages.
const SLACK: usize = 4 << 20;

/// Settings with which the allocator of the platform gives back what is free, so that the test sees what is kept. All
/// threads share one arena: with several it keeps the peak of one run in each, and how many it has come to use says how
/// busy the machine was. Large pieces lie outside of it for good: otherwise small ones that stay are spread among them.
const ALLOCATOR: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

/// Resources of a process.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Bytes of memory of its own, without the pages of its program.
    memory: usize,
    /// Open files and sockets.
    handles: usize,
    threads: usize,
}

impl Held {
    fn by(process: u32) -> Held {
        let folder = Path::new("/proc").join(process.to_string());
        let status = std::fs::read_to_string(folder.join("status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
            line.split_whitespace().next().unwrap().parse::<usize>().unwrap()
        };
        let handles = std::fs::read_dir(folder.join("fd")).unwrap().count();
        Held { memory: number("RssAnon") << 10, handles, threads: number("Threads") }
    }
}

#[test]
fn many_runs_leave_the_platform_and_the_state_directory_as_they_were() {
    let home = Home::new(1, "2");
    let data = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(&["--gpus", "2", "--data-dir", data.path().to_str().unwrap()], &ALLOCATOR);
    let wanted = wanted().max(WARM + 1);
    let mut seen: Vec<(Held, usize)> = Vec::new();
    let (mut reference, mut local) = (None, None);
    for run in 0..wanted {
        let report = platform.dfwfd(&home, &["run", "--format", "json", "-q"]).expect(0).json();
        assert_eq!(*reference.get_or_insert(scores(&report)), scores(&report), "run {run}");
        assert_eq!(platform.gpus_held(), Vec::<String>::new(), "run {run}");
        platform.dfwfd(&home, &["cleanup", report["run"].as_str().unwrap(), "--purge"]).expect(0);
        assert_eq!(platform.purgeable(), Vec::<String>::new(), "run {run}");
        // It lists the calls since the last `hold`, which is this test's own need for memory.
        platform.hold(u64::MAX, "before");
        seen.push((Held::by(platform.id()), files_below(data.path()).len()));
        let kept = files_below(&home.state.join("runs").join(report["run"].as_str().unwrap())).len();
        assert_eq!(*local.get_or_insert(kept), kept, "run {run}");
    }
    let ((before, files), (after, files_after)) = (seen[WARM - 1], seen[wanted - 1]);
    println!("{wanted} runs: {before:?}, {files} files, after {WARM}; {after:?}, {files_after} files, at the end");
    assert!(after.memory <= before.memory + GAIN * (wanted - WARM) + SLACK, "{before:?}, then {after:?}");
    // A connection or two may be about to close.
    assert!(after.handles <= before.handles + 4 && after.threads <= before.threads + 2, "{before:?}, then {after:?}");
    assert!(files_after <= files + 2, "{files} files of the platform, then {files_after}");
}
