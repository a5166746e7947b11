//! The release of resources: the only code that deletes anything on a platform. It works from the ledger alone, so the end
//! of a run, a later run and `cleanup` release in the same way.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::names;
use crate::nemo::{ApiError, Client, Removal};
use crate::store::{Resource, ResourceClass, ResourceKind, ResourceState, Store, now_ms};

/// How far before its intent a job is looked for, because the clocks of two machines differ.
const CLOCK_SKEW_MS: i64 = 10 * 60 * 1000;

/// Releases resources of a run.
pub(crate) struct Releaser<'a> {
    pub nemo: &'a Client,
    pub store: &'a Store,
    pub namespace: &'a str,
    /// As in the descriptions of the resources.
    pub owner: &'a str,
    /// How long a resource may still appear after a create without an answer.
    pub settle: Duration,
    /// Hears of each released resource.
    pub on_release: &'a (dyn Fn(&Resource) + Send + Sync),
}

/// A resource that could not be released, and why.
pub(crate) type StillHeld = (Resource, anyhow::Error);

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
        let until = Instant::now() + deadline;
        let mut groups: BTreeMap<Option<String>, Vec<Resource>> = BTreeMap::new();
        for row in rows.into_iter().filter(wanted) {
            groups.entry(row.candidate.clone()).or_default().push(row);
        }
        // A resource of the whole run serves all candidates, so it goes last.
        let whole = groups.remove(&None);
        let group = |mut rows: Vec<Resource>| async move {
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
            futures_util::future::join_all(groups.into_values().map(group)).await.into_iter().flatten().collect();
        if let Some(rows) = whole {
            left.extend(group(rows).await);
        }
        left
    }

    async fn one_until(&self, row: &Resource, until: Instant) -> anyhow::Result<()> {
        let act = || format!("cannot release the {} {}", row.kind.in_words(), row.name);
        match tokio::time::timeout_at(until, self.one(row)).await {
            Ok(done) => done.with_context(act)?,
            Err(_) => return Err(anyhow::anyhow!("it took longer than limits.release")).with_context(act),
        }
        (self.on_release)(row);
        Ok(())
    }

    async fn one(&self, row: &Resource) -> anyhow::Result<()> {
        match (row.kind, row.class()) {
            (ResourceKind::Deployment, _) => {
                self.delete(row, || Box::pin(self.nemo.delete_deployment(self.namespace, &row.name))).await
            }
            (ResourceKind::Training | ResourceKind::Evaluation, ResourceClass::Gpu) => self.end_job(row).await,
            (ResourceKind::Evaluation, _) => self.delete_evaluation(row).await,
            (ResourceKind::Dataset, _) => {
                self.delete(row, || Box::pin(self.nemo.delete_dataset(self.namespace, &row.name))).await
            }
            (ResourceKind::TrainingConfig, _) => {
                self.delete(row, || Box::pin(self.nemo.delete_training_config(self.namespace, &row.name))).await
            }
            (ResourceKind::Adapter, _) => self.delete_adapter(row).await,
            (ResourceKind::BaseModel, _) => self.delete_base_model(row).await,
            // NeMo has no call to delete the record of a finished training job.
            (ResourceKind::Training, _) => Ok(()),
        }
    }

    /// Deletes a resource by name. One whose create was not answered is deleted again after it could still have appeared.
    async fn delete<'b, D>(&self, row: &Resource, delete: D) -> anyhow::Result<()>
    where
        D: Fn() -> Pin<Box<dyn Future<Output = Result<Removal, ApiError>> + Send + 'b>>,
    {
        if delete().await? == Removal::Absent && row.state == ResourceState::Intended {
            self.settle(row).await?;
            delete().await?;
        }
        self.store.mark_released(row.id)?;
        Ok(())
    }

    /// Waits until a resource that was not found can no longer appear.
    async fn settle(&self, row: &Resource) -> anyhow::Result<()> {
        let first = self.store.record_vain_lookup(row.id)?;
        let passed = Duration::from_millis(u64::try_from(now_ms() - first).unwrap_or(0));
        tokio::time::sleep(self.settle.saturating_sub(passed)).await;
        Ok(())
    }

    /// Cancels a job and waits until it has ended.
    async fn end_job(&self, row: &Resource) -> anyhow::Result<()> {
        let mut id = self.job_id(row).await?;
        if id.is_none() && row.state == ResourceState::Intended {
            self.settle(row).await?;
            id = self.job_id(row).await?;
        }
        let Some(id) = id else {
            self.store.mark_released(row.id)?;
            return Ok(());
        };
        self.store.mark_live(row.id, Some(&id))?;
        let started = Instant::now();
        let mut cancelled = false;
        loop {
            match self.cancel_and_poll(row.kind, &id, &mut cancelled).await {
                Ok(true) => break,
                Ok(false) => {}
                // The deadline limits the wait for a service that is away.
                Err(error) if error.is_transient() => tracing::warn!(%error, "cannot release a job yet, trying again"),
                Err(error) => return Err(error.into()),
            }
            let pause = started.elapsed().mul_f64(0.1).clamp(Duration::from_millis(20), Duration::from_secs(2));
            tokio::time::sleep(pause).await;
        }
        self.store.mark_finished(row.id)?;
        Ok(())
    }

    /// Cancels the job once. Returns whether it has ended.
    async fn cancel_and_poll(&self, kind: ResourceKind, id: &str, cancelled: &mut bool) -> Result<bool, ApiError> {
        if !*cancelled {
            match kind {
                ResourceKind::Training => self.nemo.cancel_training_job(id).await?,
                _ => self.nemo.cancel_evaluation_job(id).await?,
            }
            *cancelled = true;
        }
        let status = match kind {
            ResourceKind::Training => match self.nemo.training_status(id).await {
                Ok(status) => status.status,
                Err(error) if error.is_not_found() => return Ok(true),
                Err(error) => return Err(error),
            },
            _ => match self.nemo.evaluation_job(id).await? {
                Some(job) => job.status,
                None => return Ok(true),
            },
        };
        Ok(status.is_terminal())
    }

    async fn job_id(&self, row: &Resource) -> Result<Option<String>, ApiError> {
        if let Some(id) = &row.remote_id {
            return Ok(Some(id.clone()));
        }
        let description = names::description(&row.name, self.owner);
        let since = looked_for_since(row);
        Ok(match row.kind {
            ResourceKind::Training => self.nemo.find_training_job(&description, since).await?.map(|job| job.id),
            _ => self.nemo.find_evaluation_job(&description, since).await?.map(|job| job.id),
        })
    }

    async fn delete_evaluation(&self, row: &Resource) -> anyhow::Result<()> {
        if let Some(id) = self.job_id(row).await? {
            self.nemo.delete_evaluation_job(&id).await?;
        }
        self.store.mark_released(row.id)?;
        Ok(())
    }

    /// Deletes an adapter with what each training job of its candidate wrote to it.
    async fn delete_adapter(&self, row: &Resource) -> anyhow::Result<()> {
        let all = self.store.all_resources(&row.run)?;
        let trainings =
            all.iter().filter(|other| other.kind == ResourceKind::Training && other.candidate == row.candidate);
        let jobs: Vec<&str> = trainings.filter_map(|training| training.remote_id.as_deref()).collect();
        self.nemo.delete_adapter(self.namespace, &row.name, &jobs).await?;
        self.store.mark_released(row.id)?;
        Ok(())
    }

    /// Deletes a base model, unless another run has it too: the last run that lets go of it deletes it.
    async fn delete_base_model(&self, row: &Resource) -> anyhow::Result<()> {
        if !self.store.is_shared(row)? {
            self.nemo.delete_base_model(row.remote_id.as_deref().unwrap_or(&row.name)).await?;
        }
        self.store.mark_released(row.id)?;
        Ok(())
    }
}

/// Returns the earliest creation time of the job of a resource, by the clock of another machine.
pub(crate) fn looked_for_since(row: &Resource) -> i64 {
    row.intended_ms - CLOCK_SKEW_MS
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
