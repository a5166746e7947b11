//! The checked plan, as `run --plan` shows it: what would run where, and every value that matters with its origin.

use serde::Serialize;

use super::layout::{Grid, Overflow, Page, Side};
use super::model::SCHEMA;
use super::text::{Tone, count};
use crate::config::plan::{JudgePlace, Plan, PlatformKind, ValueOrigin, ValueSource};
use crate::run::candidate::Mode;
use crate::run::check::{Budget, Findings};
use crate::source::dataset::Manifest;

/// The object that `run --plan --format json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The version of the contract.
    pub schema: u32,
    /// `nemo` or `embedded`.
    pub platform: String,
    /// Whether students stand in for the candidates.
    pub rehearsal: bool,
    /// The workload.
    pub workload: String,
    /// Records that datasets are made of.
    pub kept: u64,
    /// Rows of the eval set.
    pub eval: u64,
    /// Rows of the training set.
    pub train: u64,
    /// Rows of the validation set.
    pub validation: u64,
    /// The GPU budget; null: unknown, one candidate at a time.
    pub gpus: Option<u32>,
    /// Why it is that.
    pub gpus_why: String,
    /// How each candidate runs.
    pub candidates: Vec<Planned>,
    /// Who judges the calls; null: nobody is asked.
    pub judge: Option<PlannedJudge>,
    /// Every value that matters, with its origin.
    pub values: Vec<Value>,
    /// Worth knowing.
    pub warnings: Vec<String>,
}

/// How one candidate runs.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// The candidate.
    pub model: String,
    /// `overlap` or `in turn`.
    pub mode: &'static str,
    /// GPUs that it leases.
    pub gpus: u32,
    /// Whether it is trained.
    pub trained: bool,
    /// Whether the operator's NIM is used.
    pub adopted: bool,
}

/// The judge of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedJudge {
    /// The model that is asked.
    pub model: String,
    /// `local` or `remote`.
    pub deployment: &'static str,
    /// GPUs that it takes for the whole run.
    pub gpus: u32,
    /// Where it is, when it is not deployed.
    pub url: Option<String>,
    /// Whether the operator's NIM is used.
    pub adopted: bool,
}

/// One value.
#[derive(Clone, Debug, Serialize)]
pub struct Value {
    /// Its key path.
    pub key: String,
    /// The value; a secret is masked.
    pub value: String,
    /// `flag`, `environment`, `file` or `default`.
    pub from: ValueSource,
}

impl Shown {
    /// The plan as the check found it.
    pub fn new(plan: &Plan, budget: &Budget, findings: &Findings, manifest: &Manifest) -> Shown {
        let trained = |model: &str| {
            plan.candidates.iter().any(|candidate| candidate.model_name == model && candidate.customizer.is_some())
        };
        let planned = findings.modes.iter().map(|(model, mode, gpus)| Planned {
            model: model.clone(),
            mode: match mode {
                Mode::Overlap => "overlap",
                Mode::InTurn => "in turn",
            },
            gpus: *gpus,
            trained: trained(model),
            adopted: findings.adopted.contains(model),
        });
        let value = |(key, origin): (&String, &ValueOrigin)| Value {
            key: key.clone(),
            value: origin.value.clone(),
            from: origin.from,
        };
        let platform = match plan.platform.kind {
            PlatformKind::Nemo if !plan.rehearse => "nemo",
            _ => "embedded",
        };
        let warnings = plan.warnings.iter().chain(&findings.warnings).chain(&manifest.warnings);
        Shown {
            schema: SCHEMA,
            platform: platform.to_owned(),
            rehearsal: plan.rehearse,
            workload: manifest.workload.clone(),
            kept: manifest.kept,
            eval: manifest.eval,
            train: manifest.train,
            validation: manifest.validation,
            gpus: budget.gpus,
            gpus_why: budget.why.clone(),
            candidates: planned.collect(),
            judge: plan.judge_of(manifest.workload_type).map(|judge| PlannedJudge {
                model: judge.model_name.clone(),
                deployment: match judge.place {
                    JudgePlace::Local(_) => "local",
                    JudgePlace::Remote { .. } => "remote",
                },
                gpus: judge.gpus(),
                url: match &judge.place {
                    JudgePlace::Local(_) => None,
                    JudgePlace::Remote { url, .. } => Some(url.clone()),
                },
                adopted: findings.adopted.contains(&judge.model_name),
            }),
            values: plan.origins.iter().map(value).collect(),
            warnings: warnings.cloned().collect(),
        }
    }

    /// The same for people.
    pub fn text(&self, width: usize, color: bool) -> String {
        let mut page = Page::new(width, color);
        if self.rehearsal {
            page.tone(Tone::Warning, "", "REHEARSAL: students stand in for the candidates");
        }
        page.plain("", &format!("workload {}, on platform {}", self.workload, self.platform));
        let rows =
            [(self.kept, "kept:"), (self.eval, "eval,"), (self.train, "train,"), (self.validation, "validation")];
        let rows: Vec<String> = rows.iter().map(|(rows, what)| format!("{} {what}", count(*rows))).collect();
        page.plain("", &rows.join(" "));
        let gpus = self.gpus.map_or_else(|| "unknown".to_owned(), |gpus| gpus.to_string());
        page.plain("", &format!("GPU budget {gpus}: {}", self.gpus_why));
        if let Some(judge) = &self.judge {
            let place = match (&judge.url, judge.adopted) {
                (Some(url), _) => format!("remote, at {url}"),
                (None, true) => "local, adopted".to_owned(),
                (None, false) => format!("local, GPUs for the whole run: {}", judge.gpus),
            };
            page.plain("", &format!("calls are judged by {}: {place}", judge.model));
        }
        page.title("candidates");
        let mut grid =
            Grid::new(&[("model", Side::Left), ("mode", Side::Left), ("GPUs", Side::Right), ("trained", Side::Left)]);
        for planned in &self.candidates {
            let trained = if planned.trained { "yes" } else { "no" };
            let mode = if planned.adopted { format!("{}, adopted", planned.mode) } else { planned.mode.to_owned() };
            grid.row([planned.model.clone(), mode, planned.gpus.to_string(), trained.to_owned()]);
        }
        page.grid(&grid);
        page.title("values");
        let mut grid =
            Grid::new(&[("key", Side::Left), ("from", Side::Left), ("value", Side::Left)]).overflow(Overflow::Wrap);
        for value in &self.values {
            let from = match value.from {
                ValueSource::Flag => "flag",
                ValueSource::Environment => "environment",
                ValueSource::File => "file",
                ValueSource::Default => "default",
            };
            grid.row([value.key.clone(), from.to_owned(), value.value.clone()]);
        }
        page.grid(&grid);
        page.text()
    }
}
