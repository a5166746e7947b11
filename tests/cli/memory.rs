//! `--memory`: tables beyond it lie in a file, and nothing else changes.

use crate::harness::{self, Folder, Output};

/// Enough for tables of several MiB.
const RECORDS: usize = 20_000;

fn split(folder: &Folder, out: &str, flags: &[&str]) -> Output {
    folder.dfwfd(["split", "--logs", "logs.jsonl", "--out", out]).args(flags).run()
}

#[test]
fn datasets_do_not_depend_on_the_memory_for_tables() {
    let folder = Folder::new();
    folder.write("logs.jsonl", harness::log("news", RECORDS));
    let plenty = split(&folder, "plenty", &["--memory", "4G"]).expect(0);
    assert!(!plenty.stderr.contains("temporary file"), "{plenty}");
    split(&folder, "little", &["--memory", "1M"]).expect(0).says("tables beyond --memory lay in a temporary file");
    let (plenty, little) = (harness::files_below(&folder.at("plenty")), harness::files_below(&folder.at("little")));
    let name = |file: &(std::path::PathBuf, Vec<u8>)| file.0.file_name().map(std::ffi::OsStr::to_os_string);
    assert_eq!(plenty.iter().map(name).collect::<Vec<_>>(), little.iter().map(name).collect::<Vec<_>>());
    for (plenty, little) in plenty.iter().zip(&little) {
        assert!(plenty.1 == little.1, "{} differs", plenty.0.display());
    }
}

#[test]
fn load_and_run_take_the_limit_too() {
    let folder = Folder::shipped();
    for _ in 0..2 {
        folder.dfwfd(["load", "--memory", "0"]).arg(harness::testdata("news_logs.jsonl")).run().expect(0);
    }
    let run = folder.dfwfd(["run", "--workload", "news_classifier", "--memory", "512KiB", "--format", "json"]).run();
    assert_eq!(run.expect(0).json()["state"], "completed");
    // Who may not have the addresses for the file learns it before anything is read or begun.
    let news = harness::testdata("news_logs.jsonl").display().to_string();
    for command in [&["load", &news][..], &["run"], &["split", "--out", "out"]] {
        let refused = folder.dfwfd(command).args(["--memory", "1G"]).with_addresses(16 << 20).run().expect(2);
        refused.says("cannot make room for tables in").hints();
        folder.dfwfd(command).with_addresses(16 << 20).run().expect(0);
    }
    let runs = folder.dfwfd(["status", "--format", "json"]).run().json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "{runs}");
}

#[test]
fn a_size_that_cannot_be_read_is_a_usage_error() {
    let folder = Folder::new();
    for size in ["", "M", "1.5G", "-1", "4X", "4MM", "4ib", "4GBB", "99999999T"] {
        split(&folder, "out", &[&format!("--memory={size}")]).expect(2).says("--memory");
    }
    for size in ["1000", "512k", "512M", "4G", "4GB", "4GiB", "2t"] {
        // The file of logs is missing, which is looked at later.
        split(&folder, "out", &[&format!("--memory={size}")]).expect(2).says("logs.jsonl");
    }
}
