//! The page and the object of `run --plan`: what would run where, and every value with its origin.

use serde::Serialize;

use super::json::SCHEMA;
use super::layout::{Grid, Overflow, Page, Side};
use super::text::{Tone, count, duration};
use crate::config::plan::{IclPlan, Plan, ServicePlace, ValueOrigin, ValueSource};
use crate::run::check::Findings;
use crate::run::gpus::{Budget, Mode};
use crate::run::latency::load;
use crate::source::dataset::Manifest;
use crate::vocabulary::{PlatformKind, ReportedGeneration};

/// The checked plan of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlanReport {
    pub schema: u32,
    pub platform: PlatformKind,
    /// `v1`, `helix` or `embedded`.
    pub generation: Option<ReportedGeneration>,
    /// The version that the platform reports. Only Helix does.
    pub platform_version: Option<String>,
    /// Students stand in for the candidates.
    pub rehearsal: bool,
    pub workload: String,
    /// The records that the datasets are made of.
    pub kept: u64,
    pub eval: u64,
    pub train: u64,
    pub validation: u64,
    /// The GPU budget. `None`: unknown, one candidate at a time.
    pub gpus: Option<u32>,
    /// Where the budget comes from.
    pub gpus_why: String,
    pub candidates: Vec<PlannedCandidate>,
    /// From the end of the preparations to the end of the last candidate, as earlier runs tell. `None`: not every candidate
    /// has run here.
    pub seconds: Option<f64>,
    /// `None` when no judge is asked.
    pub judge: Option<PlannedJudge>,
    /// `None` unless base models are also evaluated with examples in the prompt.
    pub examples: Option<PlannedExamples>,
    /// `None` unless the latency is measured.
    pub latency: Option<PlannedLatency>,
    pub values: Vec<PlannedValue>,
    pub warnings: Vec<String>,
}

/// Start and end in seconds since the preparations ended.
pub(crate) type Span = (f64, f64);

/// How one candidate would run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlannedCandidate {
    pub model: String,
    /// `overlap` or `in turn`.
    pub mode: &'static str,
    /// The GPUs that it leases.
    pub gpus: u32,
    pub trained: bool,
    /// When it trains, as earlier runs tell.
    pub training: Option<Span>,
    /// When it is deployed, as earlier runs tell.
    pub serving: Option<Span>,
    /// The run uses a NIM that the operator has deployed.
    pub adopted: bool,
}

/// The judge of a plan.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlannedJudge {
    pub model: String,
    /// `local` or `remote`.
    pub deployment: &'static str,
    /// The GPUs that it holds for the whole run.
    pub gpus: u32,
    /// The address of a remote judge.
    pub url: Option<String>,
    /// The run uses a NIM that the operator has deployed.
    pub adopted: bool,
}

/// The evaluation with examples in the prompt.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlannedExamples {
    /// The largest number in a prompt.
    pub most: usize,
    /// `uniform_distribution` or `semantic_similarity`.
    pub selection: &'static str,
    /// The model that finds similar rows.
    pub model: Option<String>,
}

/// The measurement of latency.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlannedLatency {
    /// The most requests to each model.
    pub requests: usize,
    /// The longest time that a NIM is kept for the load on one model, in seconds.
    pub seconds: u64,
    /// The production model behind its endpoint. `None`: its latency comes from the logs.
    pub teacher: Option<String>,
}

/// A value of the configuration with its origin.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlannedValue {
    /// The key path.
    pub key: String,
    /// Masked if it is a secret.
    pub value: String,
    pub from: ValueSource,
}

impl PlannedLatency {
    fn new(plan: &Plan) -> PlannedLatency {
        PlannedLatency {
            requests: load::most_requests(),
            seconds: load::BOUNDS.whole.as_secs(),
            teacher: plan.teacher.as_ref().map(|teacher| teacher.model_name.clone()),
        }
    }
}

impl PlannedExamples {
    fn new(icl: &IclPlan) -> PlannedExamples {
        PlannedExamples {
            most: icl.rules.max_examples,
            selection: if icl.embedding.is_some() { "semantic_similarity" } else { "uniform_distribution" },
            model: icl.embedding.as_ref().map(|embedding| embedding.model_name.clone()),
        }
    }

    fn in_words(&self) -> String {
        let chosen = match &self.model {
            Some(model) => format!("the nearest to each row, found by {model}"),
            None => "the shortest of each class, the same for every row".to_owned(),
        };
        format!(
            "examples: each base model is also evaluated with up to {} training rows in its prompts, {chosen}",
            self.most
        )
    }
}

impl PlanReport {
    /// Returns the report of a plan and what its check found.
    pub(crate) fn new(plan: &Plan, budget: &Budget, findings: &Findings, manifest: &Manifest) -> PlanReport {
        let trained = |model: &str| {
            plan.candidates.iter().any(|candidate| candidate.model_name == model && candidate.customizer.is_some())
        };
        let planned = findings.modes.iter().map(|(model, mode, gpus)| PlannedCandidate {
            model: model.clone(),
            mode: match mode {
                Mode::Overlap => "overlap",
                Mode::InTurn => "in turn",
            },
            gpus: *gpus,
            trained: trained(model),
            training: None,
            serving: None,
            adopted: findings.adopted.contains(model),
        });
        let value = |(key, origin): (&String, &ValueOrigin)| PlannedValue {
            key: key.clone(),
            value: origin.value.clone(),
            from: origin.from,
        };
        let platform = if plan.rehearse { PlatformKind::Embedded } else { plan.platform.kind };
        let warnings = plan.warnings.iter().chain(&findings.warnings).chain(&manifest.warnings);
        PlanReport {
            schema: SCHEMA,
            platform,
            generation: Some(ReportedGeneration::of(platform, findings.version.generation)),
            platform_version: findings.version.version.clone(),
            rehearsal: plan.rehearse,
            workload: manifest.workload.clone(),
            kept: manifest.kept,
            eval: manifest.eval,
            train: manifest.train,
            validation: manifest.validation,
            gpus: budget.gpus,
            gpus_why: budget.why.clone(),
            candidates: planned.collect(),
            seconds: None,
            judge: plan.judge_of(manifest.workload_type).map(|judge| PlannedJudge {
                model: judge.model_name.clone(),
                deployment: match judge.place {
                    ServicePlace::Local(_) => "local",
                    ServicePlace::Remote { .. } => "remote",
                },
                gpus: judge.gpus(),
                url: match &judge.place {
                    ServicePlace::Local(_) => None,
                    ServicePlace::Remote { url, .. } => Some(url.clone()),
                },
                adopted: findings.adopted.contains(&judge.model_name),
            }),
            examples: plan.icl.as_ref().map(PlannedExamples::new),
            latency: plan.measure_latency.then(|| PlannedLatency::new(plan)),
            values: plan.origins.iter().map(value).collect(),
            warnings: warnings.cloned().collect(),
        }
    }

    /// Adds the schedule that earlier runs let expect: of each candidate, the start and end of its training and of its
    /// deployment.
    pub(crate) fn with_schedule(mut self, spans: &[(Option<Span>, Span)]) -> PlanReport {
        for (candidate, (training, serving)) in self.candidates.iter_mut().zip(spans) {
            (candidate.training, candidate.serving) = (*training, Some(*serving));
        }
        self.seconds = spans.iter().map(|(_, (_, end))| *end).reduce(f64::max);
        self
    }

    /// Returns the report as a page for people.
    pub(crate) fn text(&self, width: usize, color: bool) -> String {
        let mut page = Page::new(width, color);
        if self.rehearsal {
            page.tone(Tone::Warning, "", "REHEARSAL: students stand in for the candidates");
        }
        let platform = self.platform.as_stated(self.generation, self.platform_version.as_deref());
        page.plain("", &format!("workload {}, on {platform}", self.workload));
        let rows = [
            (self.kept, "records kept:"),
            (self.eval, "eval,"),
            (self.train, "train,"),
            (self.validation, "validation"),
        ];
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
            page.plain("", &format!("judge of the tool calls: {}, {place}", judge.model));
        }
        if let Some(examples) = &self.examples {
            page.plain("", &examples.in_words());
        }
        if let Some(latency) = &self.latency {
            let PlannedLatency { requests, seconds, teacher } = latency;
            let also = teacher.as_ref().map_or_else(String::new, |teacher| format!(", and to {teacher}"));
            page.plain(
                "",
                &format!(
                    "latency: up to {requests} requests to each base and customized model after its evaluations, which keeps its \
                     NIM for at most {} longer for each{also}",
                    duration(*seconds as f64)
                ),
            );
        }
        self.write_candidates(&mut page);
        page.title("values");
        let mut grid = Grid::new(&[("key", Side::Left), ("from", Side::Left), ("value", Side::Left)])
            .overflow(Overflow::SpillLong);
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

    /// Writes how each candidate would run, and how long all of them would take.
    fn write_candidates(&self, page: &mut Page) {
        page.title("candidates");
        let mut grid = Grid::new(&[
            ("model", Side::Left),
            ("mode", Side::Left),
            ("GPUs", Side::Right),
            ("trained", Side::Left),
            ("expected to train", Side::Left),
            ("to serve", Side::Left),
        ]);
        for planned in &self.candidates {
            let trained = if planned.trained { "yes" } else { "no" };
            let mode = if planned.adopted { format!("{}, adopted", planned.mode) } else { planned.mode.to_owned() };
            let span = |times: Option<Span>| {
                times.map_or_else(|| "-".to_owned(), |(from, to)| format!("{} to {}", duration(from), duration(to)))
            };
            let (training, serving) = (span(planned.training), span(planned.serving));
            grid.row([planned.model.clone(), mode, planned.gpus.to_string(), trained.to_owned(), training, serving]);
        }
        page.grid(&grid);
        let expected = match self.seconds {
            Some(seconds) => format!("expected to take {} after the datasets, as in earlier runs", duration(seconds)),
            None => "no estimate: not every candidate has completed a run here".to_owned(),
        };
        page.plain("", &expected);
    }
}
