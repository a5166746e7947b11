//! The release of resources: the only code that deletes anything on a platform. It works from the ledger alone, so the end
//! of a run, a later run and `cleanup` release in the same way.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::names;
use crate::nemo::{ApiError, Client, Removal};
use crate::store::{Resource, ResourceClass, ResourceKind, ResourceState, Store, StoreError, now_ms};

/// How many times a resource is looked for before it is deleted, or a job cancelled, once more.
const LOOKS: u32 = 8;

/// Returns the part of a deadline for the resources of candidates. The rest is kept for the resources of the whole run, which are
/// released last, because otherwise one candidate that cannot be released would leave no time for the judge.
pub(crate) fn for_candidates(deadline: Duration, whole_run_holds: bool) -> Duration {
    if whole_run_holds { deadline / 2 } else { deadline }
}

/// Releases resources of a run.
pub(crate) struct Releaser<'a> {
    pub nemo: &'a Client,
    pub store: &'a Store,
    pub namespace: &'a str,
    /// As in the descriptions of the resources.
    pub owner: &'a str,
    /// How long a resource may still appear after a create without an answer.
    pub settle: Duration,
    /// The jobs that wrote to adapters which no ledger knows, by the name of the adapter.
    pub jobs_of_adapters: BTreeMap<String, Vec<String>>,
    /// Hears of each released resource.
    pub on_release: &'a (dyn Fn(&Resource) + Send + Sync),
}

/// A resource that could not be released, and why.
pub(crate) type StillHeld = (Resource, anyhow::Error);

/// A resource is off the platform, and the ledger could not be told, as on a full disk.
#[derive(Debug, thiserror::Error)]
#[error("it is released, but that cannot be recorded")]
pub(crate) struct Unrecorded(#[from] StoreError);

impl Releaser<'_> {
    /// Releases the resources of class GPU: per candidate the evaluation, the training, then the deployment; candidates
    /// side by side. A failure stops nothing else. Returns what is still held at the deadline.
    pub(crate) async fn gpus(&self, rows: Vec<Resource>, deadline: Duration) -> Vec<StillHeld> {
        self.release(rows, deadline, |row| row.class() == ResourceClass::Gpu, gpu_order).await
    }

    /// Deletes all other resources: evaluations, adapters, configs and datasets.
    pub(crate) async fn storage(&self, rows: Vec<Resource>, deadline: Duration) -> Vec<StillHeld> {
        self.release(rows, deadline, |row| row.class() != ResourceClass::Gpu, storage_order).await
    }

    async fn release(
        &self,
        rows: Vec<Resource>,
        deadline: Duration,
        wanted: fn(&Resource) -> bool,
        order: fn(ResourceKind) -> u8,
    ) -> Vec<StillHeld> {
        let started = Instant::now();
        let mut groups: BTreeMap<Option<String>, Vec<Resource>> = BTreeMap::new();
        for row in rows.into_iter().filter(wanted) {
            groups.entry(row.candidate.clone()).or_default().push(row);
        }
        // A resource of the whole run serves all candidates, so it goes last.
        let whole = groups.remove(&None);
        let until = started + for_candidates(deadline, whole.is_some());
        let group = |mut rows: Vec<Resource>, until: Instant| async move {
            rows.sort_by_key(|row| (order(row.kind), -row.id));
            let mut left = Vec::new();
            let mut rest = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            for row in rows {
                // Each gets its share of the remaining time, so one that never ends leaves time for the others.
                let share = until.saturating_duration_since(Instant::now()) / rest.max(1);
                rest = rest.saturating_sub(1);
                if let Err(error) = self.one_until(&row, Instant::now() + share).await {
                    left.push((row, error));
                }
            }
            left
        };
        let mut left: Vec<StillHeld> =
            futures_util::future::join_all(groups.into_values().map(|rows| group(rows, until)))
                .await
                .into_iter()
                .flatten()
                .collect();
        if let Some(rows) = whole {
            left.extend(group(rows, started + deadline).await);
        }
        left
    }

    async fn one_until(&self, row: &Resource, until: Instant) -> anyhow::Result<()> {
        let act = || format!("cannot release the {} {}", row.kind.in_words(), row.name);
        let obstacle = Obstacle::default();
        match tokio::time::timeout_at(until, self.one(row, &obstacle)).await {
            Ok(done) => done.with_context(act)?,
            Err(_) => {
                let why = obstacle.take();
                return Err(why.context("it took longer than its part of limits.release")).with_context(act);
            }
        }
        (self.on_release)(row);
        Ok(())
    }

    async fn one(&self, row: &Resource, obstacle: &Obstacle) -> anyhow::Result<()> {
        match (row.kind, row.class()) {
            (ResourceKind::Training | ResourceKind::Evaluation, ResourceClass::Gpu) => {
                self.end_job(row, obstacle).await
            }
            // Another run has it too: the last run that lets go of it deletes it.
            (ResourceKind::BaseModel, _) if self.store.is_shared(row)? => Ok(self.store.mark_released(row.id)?),
            // NeMo has no call to delete the record of a finished training job.
            (ResourceKind::Training, _) => Ok(()),
            _ => self.delete(row, obstacle).await,
        }
    }

    /// Deletes a resource. One whose create was not answered is deleted again after it could still have appeared.
    async fn delete(&self, row: &Resource, obstacle: &Obstacle) -> anyhow::Result<()> {
        let jobs = self.jobs_of(row).await?;
        let removal = self.remove_until_gone(row, &jobs, obstacle).await?;
        if removal == Removal::Absent && row.state == ResourceState::Intended {
            self.settle(row, obstacle).await?;
            self.remove_until_gone(row, &jobs, obstacle).await?;
        }
        Ok(self.store.mark_released(row.id).map_err(Unrecorded)?)
    }

    /// Deletes a resource and looks until it is gone, because not every answer to a delete is the service's.
    async fn remove_until_gone(&self, row: &Resource, jobs: &[String], obstacle: &Obstacle) -> anyhow::Result<Removal> {
        let started = Instant::now();
        let mut removed = None;
        for look in 0.. {
            if look % LOOKS == 0 || removed.is_none() {
                match self.remove(row, jobs).await {
                    Ok(removal) => _ = removed.get_or_insert(removal),
                    // A second delete may be refused while the first one goes on.
                    Err(error) if error.is_transient() || removed.is_some() => obstacle.meet(error.into()),
                    Err(error) => return Err(error.into()),
                }
            }
            match self.remains(row, jobs).await {
                Ok(false) => break,
                Ok(true) if removed.is_some() => obstacle.meet(anyhow::anyhow!("it was deleted, and is still there")),
                Ok(true) => {}
                // The deadline limits the wait for a service that is away.
                Err(error) if error.is_transient() => obstacle.meet(error.into()),
                Err(error) => return Err(error.into()),
            }
            pause(started).await;
        }
        Ok(removed.unwrap_or(Removal::Absent))
    }

    async fn remove(&self, row: &Resource, jobs: &[String]) -> Result<Removal, ApiError> {
        let (nemo, namespace, name) = (self.nemo, self.namespace, row.name.as_str());
        match row.kind {
            ResourceKind::Deployment => nemo.delete_deployment(namespace, name).await,
            ResourceKind::Dataset => nemo.delete_dataset(namespace, name).await,
            ResourceKind::TrainingConfig => nemo.delete_training_config(namespace, name).await,
            ResourceKind::Adapter => {
                let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
                nemo.delete_adapter(namespace, name, &jobs).await
            }
            ResourceKind::BaseModel => nemo.delete_base_model(row.remote_id.as_deref().unwrap_or(name)).await,
            ResourceKind::Evaluation | ResourceKind::Training => match jobs.first() {
                Some(id) => nemo.delete_evaluation_job(id).await,
                None => Ok(Removal::Absent),
            },
        }
    }

    async fn remains(&self, row: &Resource, jobs: &[String]) -> Result<bool, ApiError> {
        let (nemo, namespace, name) = (self.nemo, self.namespace, row.name.as_str());
        match row.kind {
            ResourceKind::Deployment => Ok(nemo.deployment(namespace, name).await?.is_some()),
            ResourceKind::Dataset => nemo.dataset_remains(namespace, name).await,
            ResourceKind::TrainingConfig => Ok(nemo.training_config(namespace, name).await?.is_some()),
            ResourceKind::Adapter => {
                let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
                nemo.adapter_remains(namespace, name, &jobs).await
            }
            // One of the same name may be somebody else's.
            ResourceKind::BaseModel => Ok(false),
            ResourceKind::Evaluation | ResourceKind::Training => match jobs.first() {
                Some(id) => nemo.evaluation_remains(id).await,
                None => Ok(false),
            },
        }
    }

    /// Returns the ids of the jobs that a delete needs: those that wrote to an adapter, or the evaluation itself.
    async fn jobs_of(&self, row: &Resource) -> anyhow::Result<Vec<String>> {
        match row.kind {
            ResourceKind::Adapter => {
                if let Some(jobs) = self.jobs_of_adapters.get(&row.name) {
                    return Ok(jobs.clone());
                }
                let all = self.store.all_resources(&row.run)?.into_iter();
                let own = all.filter(|other| other.kind == ResourceKind::Training && other.candidate == row.candidate);
                Ok(own.filter_map(|training| training.remote_id).collect())
            }
            ResourceKind::Evaluation => Ok(self.job_id(row).await?.into_iter().collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// Waits until a resource that was not found can no longer appear.
    async fn settle(&self, row: &Resource, obstacle: &Obstacle) -> anyhow::Result<()> {
        obstacle.meet(anyhow::anyhow!("its create was not answered, so it may still appear (limits.settle)"));
        let first = self.store.record_vain_lookup(row.id).unwrap_or_else(|_| now_ms());
        let passed = Duration::from_millis(u64::try_from(now_ms() - first).unwrap_or(0));
        tokio::time::sleep(self.settle.saturating_sub(passed)).await;
        Ok(())
    }

    /// Cancels a job and waits until it has ended.
    async fn end_job(&self, row: &Resource, obstacle: &Obstacle) -> anyhow::Result<()> {
        let mut id = self.job_id(row).await?;
        if id.is_none() && row.state == ResourceState::Intended {
            self.settle(row, obstacle).await?;
            id = self.job_id(row).await?;
        }
        let Some(id) = id else {
            return Ok(self.store.mark_released(row.id).map_err(Unrecorded)?);
        };
        // A ledger that cannot be written, as on a full disk, must not keep the GPUs taken.
        if let Err(error) = self.store.mark_live(row.id, Some(&id)) {
            tracing::warn!(error = format!("{error:#}"), "cannot record the id of a job");
        }
        let started = Instant::now();
        let mut cancelled = false;
        for look in 0.. {
            if look % LOOKS == 0 || !cancelled {
                match self.cancel(row.kind, &id).await {
                    Ok(()) => cancelled = true,
                    // A second cancel may be refused while the first one goes on.
                    Err(error) if error.is_transient() || cancelled => obstacle.meet(error.into()),
                    Err(error) => return Err(error.into()),
                }
            }
            match self.has_ended(row.kind, &id).await {
                Ok(true) => break,
                Ok(false) if cancelled => obstacle.meet(anyhow::anyhow!("it was cancelled, and goes on")),
                Ok(false) => {}
                // The deadline limits the wait for a service that is away.
                Err(error) if error.is_transient() => obstacle.meet(error.into()),
                Err(error) => return Err(error.into()),
            }
            pause(started).await;
        }
        Ok(self.store.mark_finished(row.id).map_err(Unrecorded)?)
    }

    async fn cancel(&self, kind: ResourceKind, id: &str) -> Result<(), ApiError> {
        match kind {
            ResourceKind::Training => self.nemo.cancel_training_job(id).await,
            _ => self.nemo.cancel_evaluation_job(id).await,
        }
    }

    /// Tells whether a job has ended, or is not there any more.
    async fn has_ended(&self, kind: ResourceKind, id: &str) -> Result<bool, ApiError> {
        let status = match kind {
            ResourceKind::Training => match self.nemo.training_status(id).await {
                Ok(status) => Some(status.status),
                Err(error) if error.status() == Some(404) => self.nemo.training_job(id).await?.map(|job| job.status),
                Err(error) => return Err(error),
            },
            _ => self.nemo.evaluation_job(id).await?.map(|job| job.status),
        };
        Ok(status.is_none_or(|status| status.is_terminal()))
    }

    async fn job_id(&self, row: &Resource) -> Result<Option<String>, ApiError> {
        if let Some(id) = &row.remote_id {
            return Ok(Some(id.clone()));
        }
        let description = names::description(&row.name, self.owner);
        Ok(match row.kind {
            ResourceKind::Training => self.nemo.find_training_job(&description).await?.map(|job| job.id),
            _ => self.nemo.find_evaluation_job(&description).await?.map(|job| job.id),
        })
    }
}

/// The latest reason why a release goes on, told if its time runs out.
#[derive(Default)]
struct Obstacle(Mutex<Option<anyhow::Error>>);

impl Obstacle {
    fn meet(&self, why: anyhow::Error) {
        tracing::debug!(why = format!("{why:#}"), "not released yet");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    fn take(&self) -> anyhow::Error {
        let met = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        met.unwrap_or_else(|| anyhow::anyhow!("a service does not answer"))
    }
}

/// Waits between two looks: longer, the longer it takes.
async fn pause(started: Instant) {
    let pause = started.elapsed().mul_f64(0.1).clamp(Duration::from_millis(20), Duration::from_secs(2));
    tokio::time::sleep(pause).await;
}

fn gpu_order(kind: ResourceKind) -> u8 {
    match kind {
        ResourceKind::Evaluation => 0,
        ResourceKind::Training => 1,
        _ => 2,
    }
}

fn storage_order(kind: ResourceKind) -> u8 {
    match kind {
        ResourceKind::Evaluation => 0,
        ResourceKind::Adapter => 1,
        ResourceKind::TrainingConfig => 2,
        // The adapters are trained from it.
        ResourceKind::BaseModel => 4,
        _ => 3,
    }
}
