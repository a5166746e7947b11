//! Broken input of every kind: counted, located, never a panic, nothing good lost.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::harness::{Folder, Output, lines, log, parse_lines, record, testdata};
use crate::load::counts;

/// The reasons that only tables give.
const OF_TABLES: [&str; 2] = ["bad_row", "empty_text"];
/// The reasons that depend on the type of the workload, and so come from `split` alone.
const OF_SPLIT: [&str; 5] = ["no_label", "off_taxonomy", "no_tool_calls", "bad_tool_arguments", "not_text"];

/// Name, extension and bytes of every fixture. A line that is too long is made here rather than shipped: the fixture is
/// for a smaller limit.
fn fixtures() -> Vec<(String, String, Vec<u8>)> {
    let mut found: Vec<(String, String, Vec<u8>)> = std::fs::read_dir(testdata("rejects"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let part = |part: Option<&std::ffi::OsStr>| part.unwrap().to_str().unwrap().to_owned();
            let mut bytes = std::fs::read(&path).unwrap();
            let name = part(path.file_stem());
            if name == "line_too_long" {
                let good = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                bytes.truncate(good);
                bytes.extend(std::iter::repeat_n(b' ', 64 << 20));
                bytes.extend(b"{}\n");
            }
            (name, part(path.extension()), bytes)
        })
        .collect();
    found.sort();
    assert!(found.len() >= 29, "the reasons of docs/records.md");
    found
}

/// The rejected lines as (line, reason), and that each names its file.
fn rejects(folder: &Folder, name: &str, file: &str) -> Vec<(u64, String)> {
    parse_lines(&folder.read(name))
        .iter()
        .map(|row| {
            assert!(row["file"].as_str().unwrap().ends_with(file), "{row}");
            // A line that is too long is not kept in full, or at all.
            assert!(row["text"].is_string() || row["reason"] == "line_too_long", "{row}");
            (row["line"].as_u64().unwrap(), row["reason"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn load_counts_locates_and_explains_every_reason() {
    for (reason, extension, bytes) in fixtures() {
        if OF_SPLIT.contains(&reason.as_str()) {
            continue;
        }
        let folder = Folder::new();
        let file = format!("{reason}.{extension}");
        folder.write(&file, &bytes);
        let mut flags = vec!["load", &file, "--rejects", "bad.jsonl", "--strict", "--format", "json"];
        if OF_TABLES.contains(&reason.as_str()) {
            flags.extend(["--workload", "w"]);
        }
        let output = folder.dfwfd(flags).run();
        output.code(6);
        assert_eq!(counts(&output), [2, 1, 0, 1], "{reason}: the good row is kept");
        assert_eq!(output.json()["data"]["rejected"], json!({ reason.as_str(): 1 }));
        let found = rejects(&folder, "bad.jsonl", &file);
        assert_eq!(found.len(), 1, "{reason}");
        assert_eq!(found[0].1, reason);
        let located = format!("{file}:{}", found[0].0);
        assert!(output.stderr.contains(&located), "{reason} is located as {located}: {output}");
    }
}

#[test]
fn split_counts_locates_and_explains_every_reason() {
    for (reason, extension, bytes) in fixtures() {
        if OF_TABLES.contains(&reason.as_str()) {
            continue;
        }
        let folder = Folder::new();
        let kind = match reason.as_str() {
            "no_tool_calls" | "bad_tool_arguments" => "tool_calling",
            "not_text" => "text",
            _ => "classification",
        };
        folder.write("flywheel.yaml", format!("evaluation_config: {{workload_type: {kind}}}\n"));
        let file = format!("{reason}.{extension}");
        folder.write(&file, &bytes);
        // Every good row of the fixtures says Dividends; a few more make a dataset.
        folder.write("more.jsonl", more(kind));
        let mut flags = vec!["split", "--logs", &file, "more.jsonl", "--out", "d", "--rejects", "bad.jsonl"];
        flags.extend(["--strict", "--format", "json", "--workload", "news"]);
        flags.extend(["--set", "data_split_config.eval_size=2", "--set", "data_split_config.min_total_records=5"]);
        flags.extend(["--set", "labels=[Dividends]"]);
        let output = folder.dfwfd(flags).run();
        output.code(6).says("--strict");
        let data = output.json()["data"].clone();
        assert_eq!(data["rejected"], json!({ reason.as_str(): 1 }), "{output}");
        assert_eq!((&data["read"], &data["kept"]), (&json!(12), &json!(11)), "{output}");
        let found = rejects(&folder, "bad.jsonl", &file);
        assert_eq!(found, [(2, reason)]);
    }
}

/// Ten good records of workload `news` that are both: a label and a call.
fn more(kind: &str) -> String {
    let records: Vec<Value> = (0..10)
        .map(|number| {
            let mut record = record("news", number);
            let message = &mut record["response"]["choices"][0]["message"];
            message["content"] = json!("[[[Dividends]]]");
            if kind == "tool_calling" {
                message["tool_calls"] =
                    json!([{"type": "function", "function": {"name": "file_event", "arguments": "{}"}}]);
            }
            record
        })
        .collect();
    lines(&records)
}

/// Good rows between broken ones of every kind.
fn mixed() -> (Vec<u8>, u64, u64) {
    let good: Vec<String> = (0..30).map(|number| record("w", number).to_string()).collect();
    let half = &good[0].as_bytes()[..good[0].len() / 2];
    let latin = [b"{\"workload_id\": \"w\", \"caf\xe9\": 1}".as_slice(), b"\xff\xfe\x00"].concat();
    let bad: Vec<&[u8]> = vec![
        half,
        b"\0\0\0\0\0\0\0\0",
        &latin,
        b"",
        b"   \t",
        b"null",
        b"[]",
        b"\"text\"",
        b"{",
        b"}",
        b"{\"workload_id\": \"w\"}",
        b"{} {}",
        b"\x1b[31mred\x1b[0m",
        b"{\"a\": 1e999999999}",
        b"NaN",
    ];
    let mut bytes = Vec::new();
    for (number, row) in good.iter().enumerate() {
        if let Some(bad) = bad.get(number / 2).filter(|_| number % 2 == 0) {
            bytes.extend_from_slice(bad);
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(row.as_bytes());
        bytes.push(b'\n');
    }
    (bytes, good.len() as u64, bad.len() as u64)
}

#[test]
fn good_rows_between_broken_ones_are_kept() {
    let (bytes, good, bad) = mixed();
    let folder = Folder::new();
    folder.write("mixed.jsonl", &bytes);
    let loaded = folder.dfwfd(["load", "mixed.jsonl", "--format", "json", "--rejects", "bad.jsonl"]).run();
    assert_eq!(counts(loaded.code(0)), [good + bad, good, 0, bad]);
    assert!(!loaded.stderr.contains('\x1b'), "no control character of a log reaches the terminal");
    // Every second line from the first on is broken, in the order of the file.
    let located: Vec<u64> = rejects(&folder, "bad.jsonl", "mixed.jsonl").into_iter().map(|(line, _)| line).collect();
    assert_eq!(located, (0..bad).map(|number| 1 + 3 * number).collect::<Vec<_>>());
    let split = split(&folder, &["--logs", "mixed.jsonl"]);
    split.code(0);
    let data = split.json()["data"].clone();
    assert_eq!((data["read"].as_u64(), data["kept"].as_u64()), (Some(good + bad), Some(good)), "{split}");
    let piped = folder.dfwfd(["load", "-", "--format", "json", "--state-dir", "piped"]).input(bytes).run();
    assert_eq!(piped.code(0).json(), loaded.json());
}

fn split(folder: &Folder, flags: &[&str]) -> Output {
    let rules = ["--set", "data_split_config.eval_size=5", "--set", "data_split_config.min_total_records=10"];
    let out = format!("d{}", std::fs::read_dir(folder.path()).unwrap().count());
    folder.dfwfd(["split", "--format", "json", "--out", &out]).args(rules).args(flags).run()
}

#[test]
fn line_ends_and_byte_order_marks_change_nothing() {
    let folder = Folder::new();
    let plain = log("w", 30);
    let dos = plain.replace('\n', "\r\n");
    let marked = format!("\u{feff}{plain}");
    let endless = plain.trim_end().to_owned();
    folder.write("plain.jsonl", &plain);
    folder.write("dos.jsonl", &dos);
    folder.write("marked.jsonl", &marked);
    folder.write("endless.jsonl", &endless);
    let wanted = split(&folder, &["--logs", "plain.jsonl"]);
    wanted.code(0);
    let files = |output: &Output| output.json()["data"]["files"].clone();
    for other in ["dos.jsonl", "marked.jsonl", "endless.jsonl"] {
        assert_eq!(files(split(&folder, &["--logs", other]).code(0)), files(&wanted), "{other}");
        let loaded =
            folder.dfwfd(["load", other, "--format", "json", "--state-dir", other.trim_end_matches("l")]).run();
        assert_eq!(counts(loaded.code(0)), [30, 30, 0, 0], "{other}");
    }
    // With a Windows log a blank line is one line.
    folder.write("blank.jsonl", format!("{dos}\r\n"));
    let loaded = folder.dfwfd(["load", "blank.jsonl", "--format", "json"]).run();
    assert_eq!(loaded.code(0).json()["data"]["rejected"], json!({"empty_line": 1}));
}

#[test]
fn what_is_no_log_at_all() {
    let folder = Folder::new();
    let noise: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    folder.write("noise", &noise);
    folder.write("zeros", vec![0; 100_000]);
    folder.write("empty.jsonl", "");
    folder.write("marked.jsonl", "\u{feff}");
    folder.write("gzip.jsonl.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    std::fs::create_dir(folder.at("folder")).unwrap();
    for (file, load_code, split_code) in [
        ("noise", 6, 6),
        ("zeros", 6, 6),
        ("empty.jsonl", 0, 6),
        ("marked.jsonl", 6, 6),
        ("gzip.jsonl.gz", 6, 6),
        ("folder", 2, 2),
        ("nowhere.jsonl", 2, 2),
    ] {
        let loaded = folder.dfwfd(["load", file, "--workload", "w", "--format", "json"]).run();
        loaded.code(load_code);
        if load_code == 0 {
            let [_, added, present, _] = counts(&loaded);
            assert_eq!((added, present), (0, 0), "{loaded}");
        } else {
            assert!(loaded.json()["error"]["message"].is_string(), "{loaded}");
        }
        let split = split(&folder, &["--logs", file, "--workload", "w"]);
        split.code(split_code);
        assert!(split.json()["error"]["message"].is_string(), "{split}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    let path = folder.write("mine.jsonl", log("w", 3));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        // The superuser reads everything.
        crate::harness::skip("a_file_that_may_not_be_read", "permissions", "this user reads every file");
        return;
    }
    for command in [&["load", "mine.jsonl"][..], &["split", "--logs", "mine.jsonl", "--out", "d"]] {
        let output = folder.dfwfd(command).run();
        output.says("mine.jsonl").says("Permission denied");
        assert!(matches!(output.code, Some(1 | 2)), "{output}");
    }
}

#[test]
fn a_good_row_survives_a_bad_file_beside_it() {
    let folder = Folder::new();
    folder.write("good.jsonl", log("w", 30));
    folder.write("noise.jsonl", [0xff; 1000]);
    let loaded = folder.dfwfd(["load", "noise.jsonl", "good.jsonl", "--format", "json"]).run();
    assert_eq!(counts(loaded.code(0)), [31, 30, 0, 1]);
    // A file that is not there is noticed before anything is loaded.
    let missing = folder.dfwfd(["load", "good.jsonl", "nowhere.jsonl", "--state-dir", "s"]).run();
    missing.code(2).says("nowhere.jsonl");
    assert!(!folder.at("s/logs").exists(), "nothing is half loaded");
}

/// Good lines with bytes flipped, cut, doubled and put in, the same every time.
fn mutated(lines: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    let pieces: [&[u8]; 12] =
        [b"\"", b"{", b"}", b"[", b"]", b",", b":", b"\\", b"null", b"\\ud800", b"-1e400", b"\xf0\x9f"];
    let mut bytes = Vec::new();
    for number in 0..lines {
        let mut line = record("w", number).to_string().into_bytes();
        for _ in 0..=below(3) {
            let at = below(line.len());
            match below(4) {
                0 => line[at] = u8::try_from(below(256)).unwrap(),
                1 => line.truncate(at.max(1)),
                2 => drop(line.splice(at..at, pieces[below(pieces.len())].iter().copied())),
                _ => {
                    let end = (at + below(40)).min(line.len());
                    let twice = line[at..end].to_vec();
                    drop(line.splice(at..at, twice));
                }
            }
        }
        // A line is one line, whatever it holds.
        line.retain(|byte| *byte != b'\n');
        bytes.extend(line);
        bytes.push(b'\n');
    }
    bytes
}

#[test]
fn mutated_lines_are_counted_and_both_commands_agree() {
    let folder = Folder::new();
    let lines = 3000;
    folder.write("mutated.jsonl", mutated(lines));
    let loaded = folder.dfwfd(["load", "mutated.jsonl", "--format", "json", "--rejects", "bad.jsonl"]).run();
    let [read, added, present, rejected] = counts(loaded.code(0));
    assert_eq!(read, lines as u64);
    assert!(added > 100 && rejected > 1000, "some survive: {loaded}");
    let reasons = loaded.json()["data"]["rejected"].as_object().unwrap().len();
    assert!(reasons >= 8, "of many kinds: {loaded}");
    assert_eq!(rejects(&folder, "bad.jsonl", "mutated.jsonl").len() as u64, rejected);

    let flags = ["--logs", "mutated.jsonl", "--workload", "w"];
    let direct = split(&folder, &flags).code(0).json()["data"].clone();
    assert_eq!(direct["read"], lines);
    // `split` rejects each line that `load` rejects, for the same reason. Its own reasons depend on the workload type.
    for (reason, count) in loaded.json()["data"]["rejected"].as_object().unwrap() {
        assert_eq!(direct["rejected"].get(reason), Some(count), "{reason}");
    }
    let stored = split(&folder, &["--workload", "w"]).code(0).json()["data"].clone();
    assert_eq!(stored["read"], added, "{loaded}");
    assert_eq!(stored["files"], direct["files"]);
    assert_eq!(present, 0);
}

#[test]
fn a_rejects_file_never_replaces_a_log() {
    let folder = Folder::new();
    let bytes = log("w", 60);
    folder.write("logs.jsonl", &bytes);
    for name in ["logs.jsonl", "./logs.jsonl"] {
        for command in [&["load", "logs.jsonl"][..], &["split", "--logs", "logs.jsonl", "--out", "d"]] {
            folder.dfwfd(command).args(["--rejects", name]).run().code(2).says("--rejects").hints();
            assert_eq!(folder.read("logs.jsonl"), bytes, "{command:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_can_be_named_as_a_file() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 60) + "{\n");
    let made = std::process::Command::new("mkfifo").arg(folder.at("pipe")).status();
    if !made.is_ok_and(|status| status.success()) {
        crate::harness::skip("a_pipe_can_be_named_as_a_file", "mkfifo", "there is no mkfifo");
        return;
    }
    let wanted = split(&folder, &["--logs", "logs.jsonl"]);
    let feed = |target: std::path::PathBuf| {
        let bytes = folder.bytes("logs.jsonl");
        std::thread::spawn(move || std::fs::write(target, bytes).unwrap())
    };
    let feeding = feed(folder.at("pipe"));
    let split = folder
        .dfwfd(["split", "--logs", "pipe", "--out", "piped", "--rejects", "bad.jsonl", "--format", "json"])
        .args(["--set", "data_split_config.eval_size=5", "--set", "data_split_config.min_total_records=10"])
        .run();
    assert_eq!(split.code(0).json()["data"]["files"], wanted.code(0).json()["data"]["files"]);
    feeding.join().unwrap();
    assert_eq!(rejects(&folder, "bad.jsonl", "pipe"), [(61, "invalid_json".to_owned())]);
    let hidden = std::fs::read_dir(folder.at("piped")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(hidden.into_iter().all(|name| !name.to_string_lossy().starts_with('.')), "no copy is left");
    let feeding = feed(folder.at("pipe"));
    let loaded = folder.dfwfd(["load", "pipe", "--format", "json"]).run();
    assert_eq!(counts(loaded.code(0)), [61, 60, 0, 1]);
    feeding.join().unwrap();
}

#[test]
fn a_compressed_log_is_read_or_named_as_such_by_every_command_that_reads_logs() {
    let folder = Folder::shipped();
    folder.write("logs.jsonl.xz", b"\xfd7zXZ\x00and so on");
    folder.write("logs.jsonl.gz", b"\x1f\x8b\x08\x00and so on");
    let commands =
        [&["split", "--out", "sets", "--logs"][..], &["run", "-q", "--logs"], &["load", "--set", "logs.source=local"]];
    for command in commands {
        let output = folder.dfwfd(command.iter().chain(&["logs.jsonl.xz"])).run();
        output.code(6).says("logs.jsonl.xz: it is an xz file, which is not supported").says("hint: ").says("xz -dc ");
        assert_eq!(output.stderr.matches("an xz file").count(), 1, "{}", output.stderr);
        let output = folder.dfwfd(command.iter().chain(&["logs.jsonl.gz"])).run();
        output.code(6).says("logs.jsonl.gz to its end: the compressed data is cut off or damaged").hints();
    }
}

#[test]
fn a_packed_log_is_as_good_as_the_log() {
    let folder = Folder::shipped();
    let news = std::fs::read(testdata("news_logs.jsonl")).unwrap();
    folder.write("news.jsonl.zst", zstd::encode_all(news.as_slice(), 0).unwrap());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&news).unwrap();
    let gzip = gzip.finish().unwrap();
    let datasets = |logs: &str, out: &str, stdin: &[u8]| {
        let split = ["split", "--workload", "news_classifier", "--format", "json", "--logs", logs, "--out", out];
        let output = folder.dfwfd(split).input(stdin).run();
        output.code(0);
        output.json()["data"]["files"].clone()
    };
    folder.write("news.jsonl", &news);
    let wanted = datasets("news.jsonl", "plain", b"");
    assert!(wanted.as_array().is_some_and(|files| files.len() == 3), "{wanted}");
    assert_eq!(datasets("news.jsonl.zst", "packed", b""), wanted);
    assert_eq!(datasets("-", "streamed", &gzip), wanted);
}
