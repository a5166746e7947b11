//! Every reason to reject a line has a fixture that gives it and a row in docs/records.md.

use std::collections::BTreeSet;
use std::path::Path;

use crate::data::intake::Intake;
use crate::data::options::{DatasetRequest, Fields, Filter, LabelRules, LogSource, SplitRules, TypeChoice};
use crate::data::reject::Reject;
use crate::source::dataset::examined;
use crate::source::lines::Blocks;
use crate::source::load::{LoadRequest, load};
use crate::source::local::LocalStore;

/// Shorter than what `build` reads, so that the fixture of a line that is too long need not be.
const MAX_LINE: usize = 4096;

fn request(kind: TypeChoice) -> DatasetRequest {
    DatasetRequest {
        input: LogSource::Stdin,
        fields: Fields::default(),
        filter: Filter::default(),
        workload_type: kind,
        labels: LabelRules { allowed: Some(vec!["Dividends".into()]), pattern: None },
        accept_truncated: false,
        split: SplitRules { min_total_records: 1, ..SplitRules::for_tests(1) },
        redact: None,
        eval_set: None,
        corrections: None,
    }
}

#[test]
fn every_reason_has_a_fixture_that_gives_it() {
    // Refusals of a server are tested beside that server, files of a batch in tests/cli/exports.rs.
    let elsewhere = [Reject::RefusedByStore, Reject::AmbiguousRequest];
    for &reason in Reject::ALL.iter().filter(|reason| !elsewhere.contains(reason)) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/rejects/{reason}.jsonl"));
        if matches!(reason, Reject::BadRow | Reject::EmptyText) {
            loaded_table_gives(&path.with_extension("csv"), reason);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let kind = match reason {
            Reject::NoToolCalls | Reject::BadToolArguments => TypeChoice::ToolCalling,
            Reject::NotText => TypeChoice::Text,
            _ => TypeChoice::Classification,
        };
        let mut intake = Intake::new(&request(kind)).unwrap();
        let mut blocks = Blocks::new(bytes.as_slice(), 0).with_max_line(MAX_LINE);
        while let Some(block) = blocks.next(Vec::new()).unwrap() {
            intake.absorb(examined(&intake.examiner(), 0, &block, &mut Default::default()));
        }
        let corpus = intake.finish().unwrap().grouped(&[]);
        // The first line of each fixture is a good record, which must survive its neighbour.
        assert_eq!((corpus.counts.read, corpus.rows.len()), (2, 1), "{reason}");
        assert_eq!(corpus.counts.rejected.into_iter().collect::<Vec<_>>(), [(reason, 1)]);
    }
}

/// Checks the reason for a table that only `load` reads.
fn loaded_table_gives(path: &Path, reason: Reject) {
    let dir = tempfile::tempdir().unwrap();
    let request =
        LoadRequest { files: vec![path.to_owned()], workload: Some("w".to_owned()), ..LoadRequest::default() };
    let loaded = load(&request, &LocalStore::at(dir.path()), None, &mut |_| {}).unwrap();
    assert_eq!((loaded.read, loaded.added), (2, 1), "{reason}");
    assert_eq!(loaded.rejected.into_iter().collect::<Vec<_>>(), [(reason, 1)]);
}

#[test]
fn there_is_no_fixture_without_a_reason() {
    let names: BTreeSet<String> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/rejects"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let reasons: BTreeSet<String> = Reject::ALL.iter().map(|reason| reason.to_string()).collect();
    assert!(names.is_subset(&reasons) && names.len() + 2 == reasons.len(), "{names:?}");
}

#[test]
fn the_table_in_the_docs_lists_every_reason_in_order() {
    let docs = include_str!("../../docs/records.md");
    let table = docs.split("## Why a line is rejected").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let listed: Vec<(String, String)> =
        rows.map(|(name, rest)| (name.to_owned(), rest.split(" | ").nth(1).unwrap_or_default().to_owned())).collect();
    let wanted: Vec<(String, String)> =
        Reject::ALL.iter().map(|reason| (reason.to_string(), reason.meaning().to_owned())).collect();
    assert_eq!(listed, wanted);
    let remedies = table.lines().filter(|line| line.starts_with("| `"));
    assert!(remedies.into_iter().all(|line| line.split(" | ").nth(2).is_some_and(|remedy| remedy.len() > 10)));
}

#[test]
fn names_are_stable_words_and_what_serde_writes() {
    for &reason in Reject::ALL {
        assert!(reason.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()), "{reason}");
        assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{reason}\""));
    }
}
