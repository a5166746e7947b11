//! The money of a run, and what the teacher and the models took of time and tokens: prices of the configuration times the
//! tokens of the log, and times the hours on GPUs.

use super::json::{Candidate, Cost, Evaluation, MeasuredTeacher, Report, Usage};
use super::text::count;
use crate::config::plan::CostPlan;
use crate::run::outcome::{LoadStep, ModelVariant};
use crate::source::dataset::{Manifest, TeacherUsage};
use crate::vocabulary::PlatformKind;

/// The columns of [`rows`].
pub(super) const COLUMNS: [&str; 8] =
    ["model", "tokens in", "tokens out", "p50", "p95", "cost/1,000", "saving", "breaks even at"];

/// The place of the last of them.
const EVEN: usize = COLUMNS.len() - 1;

/// Stands for a break-even that no number of requests reaches.
const NEVER: &str = "never";

/// The columns of [`load_rows`].
pub(super) const LOAD_COLUMNS: [&str; 8] =
    ["model", "at once", "replies", "failed", "first token", "p50", "p95", "per second"];

/// Returns what is known of the teacher: as it was measured, and where it was not, as it was logged.
pub(super) fn teacher(manifest: Option<&Manifest>, measured: Option<&MeasuredTeacher>) -> Option<TeacherUsage> {
    let logged = manifest.and_then(|manifest| manifest.teacher);
    let Some(measured) = measured else { return logged };
    let mut usage = logged.unwrap_or_default();
    if let Some(alone) = measured.latency.iter().find(|step| step.at_once == 1) {
        (usage.latency_rows, usage.p50_ms, usage.p95_ms) = (alone.replies, alone.p50_ms, alone.p95_ms);
    }
    if measured.usage_rows > 0 {
        usage.usage_rows = measured.usage_rows;
        (usage.prompt_tokens, usage.completion_tokens) = (measured.prompt_tokens, measured.completion_tokens);
    }
    Some(usage).filter(|usage| *usage != TeacherUsage::default())
}

/// Counts what the teacher and the run cost. `None` without prices.
pub(super) fn of_run(plan: &CostPlan, teacher: Option<&TeacherUsage>, gpu_hours: f64) -> Option<Cost> {
    if plan.teacher.is_none() && plan.gpu_hour.is_none() {
        return None;
    }
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

/// Enters the cost of a model that is served on so many GPUs and answers at the best pace of its load, or else at the pace of
/// its evaluation.
pub(super) fn enter(plan: &CostPlan, cost: &Cost, evaluation: &mut Evaluation, gpus: u32) {
    let Some(per_hour) = plan.gpu_hour.map(|price| price * f64::from(gpus)) else { return };
    let mut usage = evaluation.usage.unwrap_or_default();
    let evaluated = evaluation.seconds.zip(evaluation.rows).filter(|(_, rows)| *rows > 0);
    let evaluated = evaluated.map(|(seconds, rows)| seconds / rows as f64);
    let under_load = best(&evaluation.latency).map(|step| 1.0 / step.per_second);
    usage.cost_per_1000 = under_load.or(evaluated).map(|seconds| per_hour * seconds / 3600.0 * 1000.0);
    if let Some(teacher) = cost.teacher_per_1000.filter(|teacher| *teacher > 0.0) {
        usage.saving = usage.cost_per_1000.map(|cost| 1.0 - cost / teacher);
        // A model that costs more at its best pace serves too few requests in an hour to make up for its GPUs.
        usage.break_even_per_hour = usage.saving.is_none_or(|saving| saving > 0.0).then(|| per_hour / teacher * 1000.0);
    }
    evaluation.usage = Some(usage);
}

/// Returns the step with the most replies per second.
fn best(steps: &[LoadStep]) -> Option<&LoadStep> {
    steps.iter().max_by(|a, b| a.per_second.total_cmp(&b.per_second))
}

/// Returns the steps of each load, as texts; or of each load the first and the best step.
pub(super) fn load_rows(report: &Report, all: bool) -> Vec<[String; 8]> {
    let teacher = report.teacher.iter().map(|one| (format!("{}, teacher", one.model), &one.latency));
    let models = report.candidates.iter().flat_map(|one| {
        let evaluations = one.evaluations.all().into_iter();
        evaluations.map(|(which, evaluation)| (format!("{}, {which}", one.model), &evaluation.latency))
    });
    let mut rows = Vec::new();
    for (name, steps) in teacher.chain(models) {
        let best = best(steps).map(|step| step.at_once);
        let shown = steps.iter().filter(|step| all || step.at_once == 1 || Some(step.at_once) == best);
        rows.extend(shown.map(|step| load_row(&name, step)));
    }
    rows
}

fn load_row(name: &str, step: &LoadStep) -> [String; 8] {
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0} ms"));
    [
        name.to_owned(),
        step.at_once.to_string(),
        count(step.replies),
        count(step.failed),
        ms(step.first_token_p50_ms),
        ms(step.p50_ms),
        ms(step.p95_ms),
        format!("{:.1}", step.per_second),
    ]
}

/// Returns how to read [`rows`].
pub(super) fn note(report: &Report) -> String {
    let rows = rows(report);
    let is_told = |name: &str| {
        let at = COLUMNS.iter().position(|column| *column == name);
        at.is_some_and(|at| rows.iter().any(|row| row[at] != "-"))
    };
    let per = match (is_told("tokens in") || is_told("tokens out"), is_told("cost/1,000")) {
        (true, true) => Some("Tokens are per request, costs per 1,000 requests."),
        (true, false) => Some("Tokens are per request."),
        (false, true) => Some("Costs are per 1,000 requests."),
        (false, false) => None,
    };
    let even =
        "Above the requests per hour of the last column, GPUs that serve all the time cost less than the teacher.";
    let even = rows.iter().any(|row| row[EVEN] != "-" && row[EVEN] != NEVER).then_some(even);
    let parts: Vec<String> =
        per.map(str::to_owned).into_iter().chain(basis(report)).chain(even.map(str::to_owned)).collect();
    parts.join(" ")
}

/// Says how the cost of a model is counted. `None` without costs.
pub(super) fn basis(report: &Report) -> Option<String> {
    let evaluations: Vec<_> = report.candidates.iter().flat_map(|one| one.evaluations.all()).collect();
    evaluations.iter().find_map(|(_, one)| one.usage?.cost_per_1000)?;
    let mut basis = match evaluations.iter().filter(|(_, one)| one.latency.is_empty()).count() {
        0 => "The cost of a model is the price of its GPUs at its most replies per second under load.".to_owned(),
        none if none == evaluations.len() => {
            "The cost of a model is the price of its GPUs during its evaluation.".to_owned()
        }
        _ => {
            "The cost of a model is the price of its GPUs at its most replies per second under load. A model that was \
              not measured under load, such as a base model with examples, counts with its evaluation."
                .to_owned()
        }
    };
    if report.platform == PlatformKind::Embedded {
        basis.push_str(" The GPUs of the embedded platform are virtual, so what they cost is an example.");
    }
    Some(basis)
}

/// Says at how many requests per hour a form of a candidate costs less than the teacher, if it ever does.
pub(super) fn break_even(report: &Report, model: &str, variant: ModelVariant) -> Option<String> {
    let candidate = report.candidates.iter().find(|one| one.model == model)?;
    let usage = candidate.evaluations.of(variant)?.usage?;
    let model = variant.of(model);
    let gpus = format!("GPUs that serve {model} all the time cost less than the teacher");
    match usage.break_even_per_hour {
        Some(even) => Some(format!("above {}, {gpus}", per_hour(even, "requests "))),
        None => {
            usage.saving.map(|_| format!("{NEVER}, because {model} at its pace costs as much as the teacher or more"))
        }
    }
}

/// Writes a saving in per cent, rounded down: there is always a cost.
pub(super) fn percent(saving: f64) -> String {
    match saving * 100.0 {
        much if much >= 99.0 => format!("{:.1} %", ((much * 10.0).floor() / 10.0).min(99.9)),
        some => format!("{:.0} %", some.floor()),
    }
}

fn per_hour(requests: f64, of: &str) -> String {
    format!("{} {of}per hour", count(requests.ceil().max(0.0) as u64))
}

/// Returns what the teacher and the last evaluation of each candidate took, as texts.
pub(super) fn rows(report: &Report) -> Vec<[String; 8]> {
    let currency = report.cost.as_ref().map_or("", |cost| &cost.currency);
    let measured = report.teacher.as_ref().is_some_and(|teacher| !teacher.latency.is_empty());
    let teacher = teacher(report.data.as_ref(), report.teacher.as_ref()).map(|told| {
        let usage = Usage {
            p50_ms: told.p50_ms,
            p95_ms: told.p95_ms,
            prompt_tokens: Some(told.prompt_tokens).filter(|_| told.usage_rows > 0),
            completion_tokens: Some(told.completion_tokens).filter(|_| told.usage_rows > 0),
            cost_per_1000: report.cost.as_ref().and_then(|cost| cost.teacher_per_1000),
            ..Usage::default()
        };
        row(
            if measured { "teacher, measured" } else { "teacher, as logged" }.to_owned(),
            &usage,
            told.usage_rows,
            currency,
        )
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
        shown(usage.saving, &percent),
        match (usage.break_even_per_hour, usage.saving) {
            (None, Some(_)) => NEVER.to_owned(),
            (even, _) => shown(even, &|requests| per_hour(requests, "")),
        },
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
    fn a_saving_is_rounded_down_and_never_all() {
        let told = [0.998, 0.9995, 0.999_999, 1.0, 0.99, 0.9899, 0.876, 0.0, -0.305].map(percent);
        let expected = ["99.8 %", "99.9 %", "99.9 %", "99.9 %", "99.0 %", "98 %", "87 %", "0 %", "-31 %"];
        assert_eq!(told, expected);
    }

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
        let cost = of_run(&plan, teacher(report.data.as_ref(), None).as_ref(), 2.0 / 3.0).unwrap();
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
        assert!(note(&report).ends_with("GPUs that serve all the time cost less than the teacher."));
        let rows = rows(&report);
        assert_eq!(rows[0], ["teacher, as logged", "400", "20", "-", "-", "2.30 EUR", "-", "-"]);
        assert_eq!(rows[1][5..], ["0.30 EUR", "86 %", "1,305 per hour"]);
        assert_eq!(of_run(&CostPlan::default(), None, 1.0), None, "no prices");
        // A GPU that serves 10,000 requests an hour for more than they cost at the teacher.
        let dear = CostPlan { gpu_hour: Some(30.0), ..plan.clone() };
        let evaluation = report.candidates[0].evaluations.customized.as_mut().unwrap();
        enter(&dear, report.cost.as_ref().unwrap(), evaluation, 1);
        assert_eq!(evaluation.usage.unwrap().break_even_per_hour, None);
        let (rows, told) = (super::rows(&report), note(&report));
        assert_eq!(rows[1][5..], ["3.00 EUR", "-31 %", "never"]);
        assert!(!told.contains("last column"), "{told}");
        let model = report.candidates[0].model.clone();
        let told = break_even(&report, &model, ModelVariant::Customized).unwrap();
        assert!(told.starts_with(&format!("never, because customized {model} ")), "{told}");
        assert_eq!(break_even(&report, &model, ModelVariant::Base), None, "its own cost, not another form's");
        // Without the teacher's prices nothing breaks even, and without the price of a GPU no model costs anything.
        let usage = report.candidates[0].evaluations.customized.as_mut().unwrap().usage.as_mut().unwrap();
        (usage.saving, usage.break_even_per_hour) = (None, None);
        let told = note(&report);
        assert!(told.contains("the price of its GPUs") && !told.contains("last column"), "{told}");
        report.candidates[0].evaluations.customized.as_mut().unwrap().usage = None;
        assert_eq!(note(&report), "Tokens are per request, costs per 1,000 requests.");
        report.cost = None;
        assert_eq!(note(&report), "Tokens are per request.");
    }
}
