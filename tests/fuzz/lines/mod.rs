//! Mutated lines of every form, against `load` and `split`: they end with code 0 or 6, within minutes, without a panic,
//! every line is in one of the counts, and every dataset holds the rows that it should. By default some thousand lines:
//! `DFWFD_FUZZ_LINES` sets their number, `DFWFD_FUZZ_SEED` the seed, `DFWFD_FUZZ_FROM` the first file that is tried.

mod checks;
mod forms;
mod mutate;
mod packed;

use std::collections::BTreeMap;

use crate::harness::{Folder, Output, labelled};
use crate::mutate::Dice;
use crate::number;
use checks::within;
use forms::{KINDS, Kind};

/// Lines of a file of a long run.
const MOST_LINES: usize = 200_000;
/// A line that is longer than allowed, in the first file of a long run.
const TOO_LONG: usize = (64 << 20) + 1;

/// Settings of `split`, of which each file gets some.
const SETTINGS: [&str; 14] = [
    "evaluation_config.workload_type=classification",
    "evaluation_config.workload_type=tool_calling",
    "evaluation_config.workload_type=text",
    "accept_truncated=true",
    "labels=[Earnings, Merger, Product]",
    "label_pattern='\\[\\[\\[(.+?)\\]\\]\\]'",
    "redact=all",
    "data_split_config.limit=1000",
    "data_split_config.near_duplicate_threshold=0.7",
    "data_split_config.split=temporal",
    "data_split_config.max_per_class=50",
    "data_split_config.train_on_thoughts=true",
    "data_split_config.parse_function_arguments=false",
    "data_split_config.stratify_enabled=false",
];

/// A file of mutated lines.
struct Made {
    kind: Kind,
    bytes: Vec<u8>,
    /// Lines, as far as the form of the file lets one tell.
    lines: Option<u64>,
    /// Its first line may be damaged.
    is_wild: bool,
}

/// Makes a file of mutated lines. Its first line is good, which tells its form, except in one of eight files.
fn make(kind: Kind, count: usize, dice: &mut Dice) -> Made {
    let is_wild = dice.below(8) == 0;
    let mut bytes = if kind == Kind::List { b"[".to_vec() } else { Vec::new() };
    let mut before = forms::line(kind, 0, dice);
    for number in 0..count {
        let line = forms::line(kind, number, dice);
        let is_good = dice.below(3) == 0 || number == 0 && !is_wild;
        match is_good {
            true => bytes.extend_from_slice(line.as_bytes()),
            false => bytes.extend(mutate::mutate(&line, &before, dice)),
        }
        let end = if kind == Kind::List { &b",\n"[..] } else { b"\n" };
        bytes.extend_from_slice(if dice.below(20) == 0 { b"\r\n" } else { end });
        before = line;
    }
    if count == MOST_LINES && kind == Kind::Records {
        bytes.extend(std::iter::repeat_n(b' ', TOO_LONG));
    }
    if kind == Kind::List && dice.below(2) == 0 {
        bytes.extend_from_slice(b"{}]");
    }
    let is_told = matches!(kind, Kind::Records | Kind::Mixed) && !is_wild;
    let feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
    let lines = is_told.then(|| (feeds + usize::from(bytes.last() != Some(&b'\n'))) as u64);
    Made { kind, bytes, lines, is_wild }
}

/// Loads a file, then splits it and what was loaded, unless it only has to draw from the dice.
fn take(folder: &Folder, made: &Made, count: usize, dice: &mut Dice, is_skipped: bool) -> BTreeMap<String, u64> {
    let (name, from) = match made.kind {
        Kind::Table('\t') => ("log.tsv", None),
        Kind::Table(_) => ("log.csv", None),
        Kind::Export(tool) => ("log.jsonl", Some(tool)),
        Kind::Records | Kind::Mixed | Kind::List | Kind::Pretty => ("log.jsonl", None),
    };
    let is_own = matches!(made.kind, Kind::Records | Kind::List | Kind::Pretty);
    let mut settings = vec!["data_split_config.min_total_records=1".to_owned()];
    settings.push(format!("data_split_config.eval_size={}", count / 50 + 1));
    settings.extend((0..dice.below(4)).map(|_| SETTINGS[dice.below(SETTINGS.len())].to_owned()));
    let settings: Vec<String> = settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect();
    let flags: &[&str] = [&[][..], &["--feedback", "positive"], &["--since", "2023-11-14T22:15:00Z"]][dice.below(3)];
    if is_skipped {
        return BTreeMap::new();
    }
    println!("{:?}, {} bytes, {} {}", made.kind, made.bytes.len(), settings.join(" "), flags.join(" "));

    folder.write(name, &made.bytes);
    // Without a workload of the load, `split` refuses the same lines.
    let workload = if is_own { None } else { Some("w") };
    let flag = |name: &'static str, value: Option<&'static str>| value.into_iter().flat_map(move |value| [name, value]);
    let load = folder.dfwfd(["load", name, "--format", "json", "--rejects", "load.rejects"]);
    let load = load.args(flag("--workload", workload)).args(flag("--from", from)).args(&settings);
    let loaded = within(load, made.is_wild);
    let counts = checks::load(folder, &loaded, made.lines);
    let split = |out: &str, logs: Option<&str>| {
        let rejects = format!("{out}.rejects");
        let command =
            folder.dfwfd(["split", "--format", "json", "--workload", "w", "--out", out, "--rejects", &rejects]);
        within(command.args(logs.into_iter().flat_map(|name| ["--logs", name])).args(&settings).args(flags), false)
    };
    let stored = checks::split(folder, "stored", &split("stored", None), Some(checks::stored(folder)));
    if matches!(made.kind, Kind::Records | Kind::Mixed | Kind::List | Kind::Pretty) {
        let direct = checks::split(folder, "direct", &split("direct", Some(name)), made.lines);
        // A store keeps the first of two records that differ only in further keys, such as feedback.
        if is_own && flags.first() != Some(&"--feedback") {
            assert_eq!(direct.map(|data| data["files"].clone()), stored.map(|data| data["files"].clone()), "{loaded}");
        }
    }
    counts
}

#[test]
fn no_line_brings_load_or_split_down() {
    let (wanted, seed) = (number("DFWFD_FUZZ_LINES", 4000), number("DFWFD_FUZZ_SEED", 1) as u64);
    let from = number("DFWFD_FUZZ_FROM", 0);
    let count = (wanted / 20).clamp(1, MOST_LINES);
    let mut dice = Dice(seed);
    let (mut done, mut reasons) = (0, BTreeMap::<String, u64>::new());
    for at in 0.. {
        if done >= wanted {
            break;
        }
        let made = make(KINDS[at % KINDS.len()], count, &mut dice);
        let folder = Folder::new();
        for (reason, lines) in take(&folder, &made, count, &mut dice, at < from) {
            *reasons.entry(reason).or_default() += lines;
        }
        done += count;
    }
    println!("{done} lines; rejected: {reasons:?}");
    // The mutations reach most rules, and leave records.
    assert!(reasons["added"] > done as u64 / 8 && reasons.len() > 12, "{reasons:?}");
}

/// Returns good records with one label for each.
fn records(count: usize) -> String {
    crate::harness::lines(&(0..count).map(|n| labelled("w", n, &crate::harness::text(n), "A")).collect::<Vec<_>>())
}

/// Splits a file of records and returns the output.
fn split_records(folder: &Folder, name: &str) -> Output {
    let split = ["split", "--format", "json", "--workload", "w", "--out", "out", "--logs", name];
    let rules = ["--set", "data_split_config.eval_size=2", "--set", "data_split_config.min_total_records=3"];
    within(folder.dfwfd(split).args(rules), false)
}
