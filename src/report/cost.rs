//! The money of a run, and what the teacher and the models took of time and tokens: prices of the configuration times the
//! tokens of the log, and times the hours on GPUs.

use super::json::{Candidate, Cost, Evaluation, Report, Usage};
use super::text::count;
use crate::config::plan::CostPlan;
use crate::source::dataset::{Manifest, TeacherUsage};

/// The columns of [`rows`].
pub(super) const COLUMNS: [&str; 8] =
    ["model", "tokens in", "tokens out", "p50", "p95", "cost of 1,000", "saving", "breaks even at"];

/// Counts what the teacher and the run cost. `None` without prices.
pub(super) fn of_run(plan: &CostPlan, manifest: Option<&Manifest>, gpu_hours: f64) -> Option<Cost> {
    if plan.teacher.is_none() && plan.gpu_hour.is_none() {
        return None;
    }
    let teacher = manifest.and_then(|manifest| manifest.teacher.as_ref());
    Some(Cost {
        currency: plan.currency.clone(),
        teacher_per_1000: teacher.and_then(|usage| of_teacher(plan, usage)),
        gpu_hours: Some(gpu_hours),
        run: plan.gpu_hour.map(|price| price * gpu_hours),
    })
}

fn of_teacher(plan: &CostPlan, usage: &TeacherUsage) -> Option<f64> {
    let prices = plan.teacher?;
    let money = usage.prompt_tokens as f64 * prices.input_per_million
        + usage.completion_tokens as f64 * prices.output_per_million;
    (usage.usage_rows > 0).then(|| money / 1e6 / usage.usage_rows as f64 * 1000.0)
}

/// Enters the cost of a model that is served on so many GPUs and answered the eval set at the pace of its evaluation.
pub(super) fn enter(plan: &CostPlan, cost: &Cost, evaluation: &mut Evaluation, gpus: u32) {
    let Some(per_hour) = plan.gpu_hour.map(|price| price * f64::from(gpus)) else { return };
    let mut usage = evaluation.usage.unwrap_or_default();
    let pace = evaluation.seconds.zip(evaluation.rows).filter(|(_, rows)| *rows > 0);
    usage.cost_per_1000 = pace.map(|(seconds, rows)| per_hour * seconds / 3600.0 / rows as f64 * 1000.0);
    if let Some(teacher) = cost.teacher_per_1000.filter(|teacher| *teacher > 0.0) {
        usage.saving = usage.cost_per_1000.map(|cost| 1.0 - cost / teacher);
        usage.break_even_per_hour = Some(per_hour / teacher * 1000.0);
    }
    evaluation.usage = Some(usage);
}

/// Returns what the teacher and the last evaluation of each candidate took, as texts.
pub(super) fn rows(report: &Report) -> Vec<[String; 8]> {
    let currency = report.cost.as_ref().map_or("", |cost| &cost.currency);
    let teacher = report.data.as_ref().and_then(|data| data.teacher);
    let teacher = teacher.map(|told| {
        let usage = Usage {
            p50_ms: told.p50_ms,
            p95_ms: told.p95_ms,
            prompt_tokens: Some(told.prompt_tokens).filter(|_| told.usage_rows > 0),
            completion_tokens: Some(told.completion_tokens).filter(|_| told.usage_rows > 0),
            cost_per_1000: report.cost.as_ref().and_then(|cost| cost.teacher_per_1000),
            ..Usage::default()
        };
        row("teacher, as logged".to_owned(), &usage, told.usage_rows, currency)
    });
    let candidate = |one: &Candidate| {
        let last = one.evaluations.last()?;
        Some(row(one.model.clone(), &last.usage?, last.rows?, currency))
    };
    teacher.into_iter().chain(report.candidates.iter().filter_map(candidate)).collect()
}

fn row(name: String, usage: &Usage, rows: u64, currency: &str) -> [String; 8] {
    let shown = |value: Option<f64>, words: &dyn Fn(f64) -> String| value.map_or_else(|| "-".to_owned(), words);
    let whole = |value: f64| count(value.round().max(0.0) as u64);
    let each = |tokens: Option<u64>| tokens.filter(|_| rows > 0).map(|tokens| tokens as f64 / rows as f64);
    let ms = |value: f64| format!("{} ms", whole(value));
    [
        name,
        shown(each(usage.prompt_tokens), &whole),
        shown(each(usage.completion_tokens), &whole),
        shown(usage.p50_ms, &ms),
        shown(usage.p95_ms, &ms),
        shown(usage.cost_per_1000, &|cost| money(cost, currency)),
        shown(usage.saving, &|saving| format!("{:.0} %", saving * 100.0)),
        shown(usage.break_even_per_hour, &|requests| format!("{} per hour", whole(requests.ceil()))),
    ]
}

/// Writes an amount with two significant digits at least.
pub(super) fn money(amount: f64, currency: &str) -> String {
    if amount == 0.0 || amount >= 0.1 { format!("{amount:.2} {currency}") } else { format!("{amount:.4} {currency}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::TokenPrices;
    use crate::report::samples;

    #[test]
    fn money_is_tokens_and_hours_times_prices() {
        let plan = CostPlan {
            teacher: Some(TokenPrices { input_per_million: 5.0, output_per_million: 15.0 }),
            gpu_hour: Some(3.0),
            currency: "EUR".to_owned(),
        };
        let mut report = samples::completed();
        let data = report.data.as_mut().unwrap();
        // 400 tokens in and 20 out for each request: 0.0023 EUR.
        data.teacher = Some(TeacherUsage {
            usage_rows: 50,
            prompt_tokens: 20_000,
            completion_tokens: 1_000,
            ..TeacherUsage::default()
        });
        report.candidates.truncate(1);
        let cost = of_run(&plan, report.data.as_ref(), 2.0 / 3.0).unwrap();
        assert!((cost.teacher_per_1000.unwrap() - 2.3).abs() < 1e-12 && (cost.run.unwrap() - 2.0).abs() < 1e-12);
        let evaluation = report.candidates[0].evaluations.customized.as_mut().unwrap();
        (evaluation.seconds, evaluation.rows) = (Some(36.0), Some(100));
        enter(&plan, &cost, evaluation, 1);
        let usage = evaluation.usage.unwrap();
        // A tenth of an hour for 1,000 requests.
        assert!((usage.cost_per_1000.unwrap() - 0.3).abs() < 1e-12);
        assert!((usage.saving.unwrap() - (1.0 - 0.3 / 2.3)).abs() < 1e-12);
        assert!((usage.break_even_per_hour.unwrap() - 3000.0 / 2.3).abs() < 1e-9);
        report.cost = Some(cost);
        let rows = rows(&report);
        assert_eq!(rows[0], ["teacher, as logged", "400", "20", "-", "-", "2.30 EUR", "-", "-"]);
        assert_eq!(rows[1][5..], ["0.30 EUR", "87 %", "1,305 per hour"]);
        assert_eq!(of_run(&CostPlan::default(), None, 1.0), None, "no prices");
    }
}
