//! Snapshots of the tables of every kind of run, at 80 and 160 columns.

use super::super::samples;
use super::*;
use crate::report::text::width as shown;

/// Both pages of a report at a width, without colour.
fn pages(report: &Report, width: usize) -> String {
    let text = format!("{}\n=== in full ===\n{}", summary(report, width, false), full(report, width, false));
    for line in text.lines() {
        assert!(shown(line) <= width, "{} columns: {line}", shown(line));
        assert!(!line.contains('\u{1b}') && !line.ends_with(' '), "{line:?}");
    }
    text
}

macro_rules! snapshots {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            let report = samples::$name();
            insta::assert_snapshot!(concat!(stringify!($name), "_80"), pages(&report, 80));
            insta::assert_snapshot!(concat!(stringify!($name), "_160"), pages(&report, 160));
            pages(&report, 40);
        }
    )*};
}

snapshots!(completed, concluded, judged, partial, cancelled, running, held, long_names);

#[test]
fn every_table_of_a_rehearsal_says_so() {
    let text = full(&samples::long_names(), 160, false);
    for line in
        text.lines().filter(|line| line.contains("Scores of") || line.contains("Classes") || line.contains("run abcd"))
    {
        assert!(line.starts_with("REHEARSAL"), "{line}");
    }
    assert!(text.matches("REHEARSAL").count() >= 8);
    assert!(!full(&samples::completed(), 160, false).contains("REHEARSAL"));
}

#[test]
fn a_run_without_scores_shows_no_table_of_them() {
    let mut report = samples::concluded();
    report.floor = None;
    report.verdict = None;
    report.comparisons.clear();
    for candidate in &mut report.candidates {
        candidate.state = CandidateState::Skipped;
        candidate.seconds = None;
        candidate.training = None;
        candidate.evaluations = Default::default();
    }
    report.cost.as_mut().unwrap().run = Some(0.0);
    let text = summary(&report, 80, false);
    for nothing in ["Macro F1", "score", "skipped", "this run", "teacher"] {
        assert!(!text.contains(nothing), "{nothing}: {text}");
    }
    // Its training has failed, and has cost something.
    (report.candidates[0].state, report.candidates[0].seconds) = (CandidateState::Failed, Some(8.1));
    report.cost.as_mut().unwrap().run = Some(2.5);
    let text = summary(&report, 80, false);
    assert!(text.contains("failed after 8.1 s") && text.contains("this run: 2.50"), "{text}");
    assert!(!text.contains("Macro F1") && !text.contains("skipped"), "{text}");
}

#[test]
fn nothing_that_matters_is_cut() {
    let report = samples::long_names();
    for width in [40, 80, 160] {
        let text: String = full(&report, width, false).chars().filter(|c| !c.is_whitespace()).collect();
        for candidate in &report.candidates {
            assert!(text.contains(&candidate.model), "{} at {width}", candidate.model);
            assert!(text.contains(candidate.training.as_ref().unwrap().adapter.as_ref().unwrap()));
        }
    }
}

/// A column that says nothing of any model is left out, and so is the sentence that explains it.
#[test]
fn the_table_has_the_columns_that_are_known() {
    let text = summary(&samples::concluded(), 80, false);
    for known in ["teacher ", "floor (n-grams)", "  with examples", "cost/1,000  saving", "verdict: Look", "1.25 USD"] {
        assert!(text.contains(known), "{known}: {text}");
    }
    let text = summary(&samples::completed(), 80, false);
    for unknown in ["teacher", "floor", "examples", "cost", "saving", "verdict:"] {
        assert!(!text.contains(unknown), "{unknown}: {text}");
    }
    assert!(text.contains("score  95 % interval  change"), "{text}");
}

#[test]
fn colour_adds_styles_and_nothing_else() {
    for report in [samples::concluded(), samples::partial(), samples::long_names()] {
        let (plain, colored) = (full(&report, 80, false), full(&report, 80, true));
        assert_ne!(plain, colored);
        assert_eq!(console::strip_ansi_codes(&colored), plain);
    }
}

#[test]
fn a_class_that_is_never_predicted_is_named() {
    let mut report = samples::completed();
    let customized = report.candidates[0].evaluations.customized.as_mut().unwrap();
    customized.classes[1].predicted = 0;
    let name = customized.classes[1].label.clone();
    assert!(full(&report, 80, false).contains(&format!("Never predicted: {name}")));
}
