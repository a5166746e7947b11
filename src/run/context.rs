//! Everything that a step of a run needs, without globals, and how a step is told and remembered. `hold` creates remote
//! resources and `wait` waits for them.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::estimate::Estimate;
use super::event::{EventKind, EventStream, Step};
use super::gpus::GpuPool;
use super::names::{self, CandidateNames};
use super::outcome::WARNINGS;
use super::release::Releaser;
use super::signals::Stop;
use crate::config::plan::{Candidate, Plan};
use crate::nemo::{Client, Secret};
use crate::source::credentials::Credentials;
use crate::store::{Resource, ResourceKind, Store, now_ms};
use crate::vocabulary::{Generation, PlatformId, PlatformKind};

/// Everything that a step of a run needs.
pub(crate) struct RunContext {
    /// The id of the run.
    pub id: String,
    pub plan: Plan,
    /// The credentials of the log store.
    pub credentials: Credentials,
    pub nemo: Client,
    pub platform: PlatformId,
    /// As the platform itself tells, whatever the configuration says.
    pub platform_kind: PlatformKind,
    /// The generation of the platform's API.
    pub generation: Generation,
    pub store: Arc<Store>,
    pub events: EventStream,
    pub stop: Stop,
    /// The GPU budget. `None`: unknown, one candidate at a time.
    pub budget: Option<u32>,
    /// The candidates lease their GPUs here. Without a budget it has one place.
    pub gpus: GpuPool,
    /// How long each candidate will take, in the order of the plan.
    pub expected: Vec<Estimate>,
    /// The tokens of the repositories that base models are made from, by the name of the model.
    pub repository_tokens: BTreeMap<String, Secret>,
    /// The key of a remote judge.
    pub judge_key: Option<Secret>,
    /// The key of a remote embedding model.
    pub embedding_key: Option<Secret>,
    /// The key of the production model's endpoint.
    pub teacher_key: Option<Secret>,
    /// When this process began to work on the run, in ms UTC.
    pub started_ms: i64,
    /// `user@host`.
    pub owner: String,
    /// `runs/ID` of the state directory.
    pub dir: PathBuf,
    pub names: CandidateNames,
    /// Students stand in for the candidates.
    pub rehearsal: bool,
}

impl RunContext {
    /// Returns the GPUs that candidates can lease. `None`: unknown.
    pub(crate) fn leasable_gpus(&self) -> Option<u32> {
        self.budget.map(|_| self.gpus.total())
    }

    /// Tells and records a warning, once.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) fn warn(&self, message: impl Into<String>) -> anyhow::Result<()> {
        let message = message.into();
        if self.store.add_to_list(&self.id, WARNINGS, &message)? {
            self.events.tell(EventKind::Warning { message, is_in_report: false });
        }
        Ok(())
    }

    /// Returns the fact `key`, or runs the step that finds it out. The fact is stored before the step is told as done:
    /// whoever reads that may kill the process, and the step is not repeated.
    ///
    /// # Errors
    /// When the work fails, or the store.
    pub(crate) async fn step_once<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        candidate: Option<&str>,
        step: Step,
        work: impl Future<Output = anyhow::Result<T>>,
        detail: impl FnOnce(&T) -> Option<String>,
    ) -> anyhow::Result<T> {
        if let Some(known) = self.store.fact(&self.id, key)? {
            return Ok(known);
        }
        let remembered = async {
            let value = work.await?;
            self.store.remember(&self.id, key, &value)?;
            Ok(value)
        };
        self.step(candidate, step, remembered, detail).await
    }

    /// Runs a step and tells its beginning and its end. `detail` words its result.
    ///
    /// # Errors
    /// When the work fails.
    pub(crate) async fn step<T>(
        &self,
        candidate: Option<&str>,
        step: Step,
        work: impl Future<Output = anyhow::Result<T>>,
        detail: impl FnOnce(&T) -> Option<String>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        let candidate = candidate.map(str::to_owned);
        self.events.tell(EventKind::StepStarted { candidate: candidate.clone(), step });
        let result = work.await;
        match &result {
            Ok(value) => {
                let seconds = started.elapsed().as_secs_f64();
                self.events.tell(EventKind::StepDone { candidate, step, seconds, detail: detail(value) });
            }
            Err(error) => self.events.tell(EventKind::StepFailed { candidate, step, error: format!("{error:#}") }),
        }
        result
    }

    /// Tells how far a step is.
    pub(crate) fn progress(&self, candidate: Option<&str>, step: Step, percent: Option<f64>, detail: Option<String>) {
        let candidate = candidate.map(str::to_owned);
        self.events.tell(EventKind::StepProgress {
            candidate,
            step,
            percent,
            detail,
            train_loss: None,
            validation_loss: None,
        });
    }

    /// Returns the base name of a resource of a candidate. A run that was begun before keeps the name of its ledger.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn name_of(&self, candidate: &Candidate, kind: ResourceKind, suffix: &str) -> anyhow::Result<String> {
        let model = &candidate.model_name;
        let known = self.store.base_names(&self.id, kind, model)?;
        Ok(match names::known_name(known, suffix) {
            Some(base) => base,
            None if kind == ResourceKind::Deployment => self.names.deployment(&self.id, model, suffix),
            None => self.names.other(&self.id, model, suffix),
        })
    }

    /// Returns what releases the resources of this run. `on_release` hears of each.
    pub(crate) fn releaser<'a>(&'a self, on_release: &'a (dyn Fn(&Resource) + Send + Sync)) -> Releaser<'a> {
        Releaser {
            nemo: &self.nemo,
            store: &self.store,
            namespace: &self.plan.platform.namespace,
            owner: &self.owner,
            settle: names::millis(self.plan.limits.settle_ms),
            jobs_of_adapters: BTreeMap::new(),
            on_release,
        }
    }

    /// Tells that a resource was released.
    pub(crate) fn tell_released(&self, resource: &Resource) {
        self.events.tell(EventKind::ResourceReleased { kind: resource.kind, name: resource.name.clone() });
    }

    /// Returns the time since the create of a job. `None` when an earlier process created it.
    pub(crate) fn seconds_of(&self, job: &Resource) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a few hours in milliseconds")]
        let seconds = (now_ms() - job.intended_ms).max(0) as f64 / 1000.0;
        (job.intended_ms >= self.started_ms).then_some(seconds)
    }

    /// Creates a folder in the folder of the run.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn create_folder(&self, name: &str) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create the folder {}", path.display()))
    }
}
