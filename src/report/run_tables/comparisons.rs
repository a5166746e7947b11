//! Models compared in pairs, as a table.

use super::mark;
use crate::report::json::Report;
use crate::report::layout::{Page, Side};
use crate::report::metrics::evaluated_label;
use crate::report::text::Tone;
use crate::run::outcome::ComparisonFact;

/// Every pair of models that was compared, and the verdict on each candidate.
pub(super) fn section(page: &mut Page, report: &Report) {
    let verdicts: Vec<_> = report.candidates.iter().filter_map(|one| Some((one, one.verdict.as_ref()?))).collect();
    if !verdicts.is_empty() {
        page.title(&format!("{}The candidates", mark(report)));
        for (candidate, verdict) in verdicts {
            page.plain(&format!("{}: ", candidate.model), &verdict.sentence);
        }
    }
    if !report.comparisons.is_empty() {
        page.title(&format!("{}Comparisons on the same rows", mark(report)));
        rows(page, &report.comparisons);
    }
}

/// Shows comparisons, one a row, and below them the rows that they lack.
pub(in crate::report) fn rows(page: &mut Page, comparisons: &[ComparisonFact]) {
    if comparisons.is_empty() {
        return;
    }
    let columns =
        [("model, against", Side::Left), ("change", Side::Right), ("95 % interval", Side::Right), ("p", Side::Right)];
    let rows = comparisons.iter().map(|one| {
        let ends = one.difference.low.zip(one.difference.high);
        [
            evaluated_label(&one.b),
            against(one),
            format!("{:+.3}", one.difference.value),
            ends.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:+.3} to {high:+.3}")),
            one.p.map_or_else(|| "-".to_owned(), |p| if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }),
            one.verdict.clone(),
        ]
    });
    page.grid_of_groups(&[&columns[..], &[("verdict", Side::Left)]].concat(), &rows.collect::<Vec<_>>());
    for one in comparisons.iter().filter(|one| one.explanation != one.verdict) {
        let (b, a) = (evaluated_label(&one.b), evaluated_label(&one.a));
        let shows = |least: f64| format!("; these rows show a difference of {least:.3} or more");
        let detectable = one.detectable.filter(|_| one.verdict == "cannot tell").map(shows).unwrap_or_default();
        page.tone(Tone::Faint, "", &format!("{b} against {a}: {}{detectable}", one.explanation));
    }
}

/// Names the measure of a comparison, in short if it is the same model.
fn against(one: &ComparisonFact) -> String {
    let model = |name: &str| name.rsplit_once(':').map(|(model, _)| model.to_owned());
    let label = evaluated_label(&one.a);
    match label.rsplit_once(", ").filter(|_| model(&one.a) == model(&one.b) && one.a != one.b) {
        Some((_, which)) => which.to_owned(),
        None => label,
    }
}
