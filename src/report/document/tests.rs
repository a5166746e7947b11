//! The documents against the report that they show.

use super::extras::{EvaluatedRows, PastRun, WrongRow};
use super::*;
use crate::report::json::Evaluations;
use crate::report::samples;
use crate::vocabulary::{CandidateState, PlatformKind, ReportedGeneration};

fn extras() -> Extras {
    let wrong =
        WrongRow { text: "<script>alert(1)</script> & more".into(), gold: "Earnings".into(), reply: "[[[x]]]".into() };
    let past = |run: &str, value| PastRun {
        run: run.into(),
        started_at: "2026-01-01T00:00:00Z".into(),
        model: "dfwfd/ngram-small".into(),
        score: crate::score::Estimate { value, low: Some(value - 0.05), high: Some(value + 0.05) },
    };
    Extras {
        rows: vec![EvaluatedRows { model: samples::completed().candidates[0].model.clone(), wrong: vec![wrong] }],
        history: vec![past("aaaa2222", 0.6), past("bbbb3333", 0.7)],
    }
}

#[test]
fn the_numbers_of_the_page_are_those_of_the_report() {
    let report = samples::completed();
    let html = render(&report, &extras(), Form::Html).unwrap();
    let marked = regex::Regex::new(r#"data-score="([a-z0-9_]+)" data-value="([^"]+)">([^<]*)"#).unwrap();
    let mut seen = 0;
    let mut expected: Vec<(String, f64)> = Vec::new();
    for candidate in &report.candidates {
        let all = &candidate.evaluations;
        for one in [&all.base, &all.icl, &all.customized].into_iter().flatten() {
            expected.extend(one.scores.iter().map(|(name, score)| (name.clone(), score.value)));
        }
    }
    for found in marked.captures_iter(&html) {
        let value: f64 = found[2].parse().unwrap();
        assert!(expected.contains(&(found[1].to_owned(), value)), "{} {value}", &found[1]);
        assert_eq!(&found[3], format!("{value:.3}"));
        seen += 1;
    }
    assert_eq!(seen, expected.len());
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_escapes_what_it_shows() {
    let html = render(&samples::completed(), &extras(), Form::Html).unwrap();
    assert!(
        !html.contains("<script")
            && !html.contains("http://")
            && !html.contains("https://")
            && !html.contains("@import")
    );
    assert!(html.contains("&lt;script&gt;alert(1)"));
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    assert_eq!(html.matches("<svg").count(), 1, "runs are drawn");
}

#[test]
fn every_series_has_a_colour_of_its_own_and_one_loss_is_no_curve() {
    let mut report = samples::completed();
    let svgs = |report: &Report| render(report, &Extras::default(), Form::Html).unwrap().matches("<svg").count();
    assert_eq!(svgs(&report), 0, "one loss is told in words");
    let html = render(&report, &Extras::default(), Form::Html).unwrap();
    assert!(html.contains("Loss: training 0.410 at step 10."), "{html}");
    let training = report.candidates[0].training.as_mut().unwrap();
    let point = |step, loss| crate::vocabulary::LossPoint { step, train: Some(loss), validation: Some(loss + 0.1) };
    training.loss = vec![point(10, 0.4), point(20, 0.3)];
    let html = render(&report, &Extras::default(), Form::Html).unwrap();
    for shade in ["s0", "s1"] {
        assert!(html.contains(&format!("<polyline class=\"line {shade}\"")), "{shade}");
        assert_eq!(html.matches(&format!("<circle class=\"dot {shade}\"")).count(), 2, "{shade}");
    }
}

#[test]
fn every_state_of_a_run_has_a_page() {
    for report in samples::all() {
        for form in [Form::Html, Form::Markdown, Form::JUnit] {
            let text = render(&report, &Extras::default(), form).unwrap();
            assert!(text.contains(&report.run), "{form:?}: {text}");
            assert_eq!(text.contains("REHEARSAL"), report.rehearsal, "{form:?}: {text}");
            assert!(!text.contains('\u{1b}'), "{form:?}: nothing drives a terminal");
        }
    }
}

#[test]
fn a_table_in_markdown_is_not_broken_by_what_it_shows() {
    let mut report = samples::completed();
    report.candidates[0].model = "a|b\n<i>c</i>".into();
    let text = render(&report, &extras(), Form::Markdown).unwrap();
    assert!(text.contains("a\\|b &lt;i>c&lt;/i>"), "{text}");
    let mut columns = None;
    let mut tables = 0;
    for line in text.lines() {
        let bars = line.replace("\\|", "").matches('|').count();
        match columns {
            _ if bars == 0 => columns = None,
            None => (columns, tables) = (Some(bars), tables + 1),
            Some(wanted) => assert_eq!(bars, wanted, "{line}"),
        }
    }
    assert!(tables >= 5, "{text}");
    insta::assert_snapshot!(render(&samples::partial(), &extras(), Form::Markdown).unwrap());
}

#[test]
fn every_table_in_markdown_has_the_columns_of_its_header() {
    let estimate = |value| crate::score::Estimate { value, low: Some(value - 0.1), high: Some(value + 0.05) };
    let scores = |value| ["macro_f1", "accuracy"].map(|name| (name.to_owned(), estimate(value))).into();
    let model = crate::run::gold::GoldModel {
        model: "dfwfd/ngram-large:customized".into(),
        human: scores(0.875),
        teacher: scores(0.75),
        disagreements: 7,
        right: Some(estimate(0.5)),
    };
    let gold = crate::run::gold::GoldFact {
        file: "a|b.csv".into(),
        labels: 12,
        matched: 10,
        unmatched: 2,
        contradictory: 1,
        unknown: Vec::new(),
        teacher: scores(0.9),
        models: vec![model],
        warnings: vec!["ngram|large copies errors".into()],
    };
    let mut report = samples::completed();
    report.cost = Some(crate::report::json::Cost {
        currency: "USD".into(),
        teacher_per_1000: Some(1.0),
        gpu_hours: None,
        run: None,
    });
    report.gold = Some(gold);
    let text = render(&report, &extras(), Form::Markdown).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut tables = 0;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("|---")) {
        assert!(line.chars().all(|letter| "|-:".contains(letter)), "{line}");
        let rows = lines[at..].iter().take_while(|line| line.starts_with('|'));
        assert!(rows.chain([&lines[at - 1]]).all(|row| cells(row) == cells(line)), "{line} of {text}");
        tables += 1;
    }
    assert!(tables > 5, "{text}");
    assert!(
        text.contains("| dfwfd/ngram-large, customized | where they differ | - | - | 0.500 | 0.400–0.550 | 7 |"),
        "{text}"
    );
}

#[test]
fn each_candidate_is_a_test_case() {
    insta::assert_snapshot!(render(&samples::partial(), &Extras::default(), Form::JUnit).unwrap());
}

#[test]
fn a_run_without_scores_shows_how_far_its_candidates_came() {
    let mut report = samples::cancelled();
    report.floor = None;
    report.platform = PlatformKind::Nemo;
    report.generation = Some(ReportedGeneration::Helix);
    report.platform_version = Some("0.8.1".into());
    for candidate in &mut report.candidates {
        candidate.evaluations = Evaluations::default();
        (candidate.state, candidate.seconds) = (CandidateState::Cancelled, Some(12.0));
    }
    for form in [Form::Html, Form::Markdown] {
        let page = render(&report, &Extras::default(), form).unwrap();
        assert!(page.contains("Candidates") && page.contains("cancelled after 12 s"), "{page}");
        for scored in ["before and after", "Each mark is the score", "95 % interval", "class=\"axis\""] {
            assert!(!page.contains(scored), "{scored}: {page}");
        }
    }
    let page = render(&report, &Extras::default(), Form::Html).unwrap();
    assert!(page.contains("NeMo Helix 0.8.1"), "{page}");
}
