//! The lists at 80 and 160 columns.

use super::super::json::SCHEMA;
use super::super::samples;
use super::*;
use crate::report::text::width as shown;

fn rows() -> Vec<RunSummary> {
    let reports = [samples::completed(), samples::long_names(), samples::partial(), samples::held()];
    reports.iter().map(RunSummary::from).collect()
}

#[test]
fn runs_fit_the_width() {
    for width in [80, 160] {
        let text = runs(&rows(), width, false);
        assert!(text.lines().all(|line| shown(line) <= width), "{text}");
        insta::assert_snapshot!(format!("runs_{width}"), text);
    }
    assert_eq!(runs(&[], 80, false), "No runs yet.\n");
    assert_eq!(console::strip_ansi_codes(&runs(&rows(), 80, true)), runs(&rows(), 80, false));
}

#[test]
fn logs_fit_the_width() {
    let row = LogRow {
        workload: "news_classifier".into(),
        records: 1_488,
        clients: [("desk-1".to_owned(), 1_000), ("desk-2".to_owned(), 488)].into(),
        labels: [("Earnings Release".to_owned(), 283), ("Bankruptcy".to_owned(), 7)].into(),
        first: Some("2026-01-01T00:00:00Z".into()),
        last: None,
    };
    insta::assert_snapshot!("logs_80", logs(&[row], 80, false));
    assert_eq!(logs(&[], 80, false), "The log store is empty.\n");
}

#[test]
fn cleanup_names_what_is_gone_and_what_is_not() {
    let held = samples::held().held;
    let mut report =
        CleanupReport { released: held[..1].to_vec(), held: held[1..].to_vec(), ..CleanupReport::new(SCHEMA) };
    insta::assert_snapshot!("cleanup_80", cleanup(&report, 80, false));
    (report.released, report.held) = (Vec::new(), Vec::new());
    assert_eq!(cleanup(&report, 80, false), "Nothing to release.\n");
}
