//! Shows how a run differs from the one of its workload before.

use super::super::json::Report;
use super::super::layout::{Grid, Page, Side};
use super::super::text::Tone;
use super::{comparisons, mark};

/// Shows the mix of labels, the scores and the latency, then and now.
pub(super) fn section(page: &mut Page, report: &Report) {
    let Some(drift) = &report.drift else { return };
    page.title(&format!("{}Since run {}", mark(report), drift.run));
    if let Some(mix) = &drift.labels {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let rows = mix.changes.iter().map(|one| [one.label.clone(), percent(one.before), percent(one.now)]);
        // A change that no digit shows is none to a reader.
        let rows: Vec<[String; 3]> = rows.filter(|[_, before, now]| before != now).collect();
        let mut grid = Grid::new(&[("label", Side::Left), ("then", Side::Right), ("now", Side::Right)]);
        for row in &rows {
            grid.row(row.clone());
        }
        if !rows.is_empty() {
            page.grid(&grid);
        }
        let which = if rows.is_empty() {
            "No label has another share than then."
        } else {
            "The labels whose shares changed most."
        };
        let p = p_in_words(mix.p);
        let text = format!("{which} The mixes differ by {:.3} ({p}, chi-squared).", mix.distance);
        page.tone(Tone::Faint, "", &text);
    }
    comparisons::rows(page, &drift.scores);
    if let Some((then, now)) = drift.teacher_p50_ms {
        let p = drift.teacher_latency_p.map(|p| format!(" ({}, rank test)", p_in_words(p))).unwrap_or_default();
        page.plain("", &format!("Median latency of the teacher: {then:.0} ms then, {now:.0} ms now{p}"));
    }
}

fn p_in_words(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}
