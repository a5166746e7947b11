//! Giving back: the only code that takes anything off a platform. It works from rows of the ledger alone, so a run that
//! ends, a later run and `cleanup` give back the same way.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::names;
use crate::nemo::{ApiError, Client, Removal};
use crate::store::{Resource, ResourceClass, ResourceKind, ResourceState, Store, now_ms};

/// How far back a job is looked for before its intent was written: the clocks of two machines differ.
const CLOCK_SKEW_MS: i64 = 10 * 60 * 1000;

/// What giving back needs to know.
pub struct Releaser<'a> {
    /// The platform that the rows are on.
    pub nemo: &'a Client,
    /// The ledger.
    pub store: &'a Store,
    /// The namespace that the rows are in.
    pub namespace: &'a str,
    /// Who made them, as in their descriptions.
    pub owner: &'a str,
    /// How long an unanswered create may still appear.
    pub settle: Duration,
    /// Told about each row that was given back.
    pub told: &'a (dyn Fn(&Resource) + Send + Sync),
}

/// A row that could not be given back, and why.
pub type Left = (Resource, anyhow::Error);

impl Releaser<'_> {
    /// Gives back rows of class GPU: per candidate evaluation, training, deployment; candidates side by side; nothing
    /// stops early. What is not done by the deadline is left.
    pub async fn gpus(&self, rows: Vec<Resource>, deadline: Duration) -> Vec<Left> {
        self.give_back(rows, deadline, |row| row.class() == ResourceClass::Gpu, gpu_order).await
    }

    /// Deletes everything else that rows stand for: evaluations, adapters, configs, datasets.
    pub async fn storage(&self, rows: Vec<Resource>, deadline: Duration) -> Vec<Left> {
        self.give_back(rows, deadline, |row| row.class() != ResourceClass::Gpu, storage_order).await
    }

    async fn give_back(
        &self,
        rows: Vec<Resource>,
        deadline: Duration,
        wanted: fn(&Resource) -> bool,
        order: fn(ResourceKind) -> u8,
    ) -> Vec<Left> {
        let until = Instant::now() + deadline;
        let mut groups: BTreeMap<Option<String>, Vec<Resource>> = BTreeMap::new();
        for row in rows.into_iter().filter(wanted) {
            groups.entry(row.candidate.clone()).or_default().push(row);
        }
        // What belongs to the whole run serves all candidates: it goes last.
        let whole = groups.remove(&None);
        let group = |mut rows: Vec<Resource>| async move {
            rows.sort_by_key(|row| (order(row.kind), -row.id));
            let mut left = Vec::new();
            let mut rest = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            for row in rows {
                // Each has its share of what is left, so that one that never ends does not take it all.
                let share = until.saturating_duration_since(Instant::now()) / rest.max(1);
                rest = rest.saturating_sub(1);
                if let Err(error) = self.one_until(&row, Instant::now() + share).await {
                    left.push((row, error));
                }
            }
            left
        };
        let mut left: Vec<Left> =
            futures_util::future::join_all(groups.into_values().map(group)).await.into_iter().flatten().collect();
        if let Some(rows) = whole {
            left.extend(group(rows).await);
        }
        left
    }

    async fn one_until(&self, row: &Resource, until: Instant) -> anyhow::Result<()> {
        let act = || format!("giving back {} {}", row.kind.as_str().replace('_', " "), row.name);
        match tokio::time::timeout_at(until, self.one(row)).await {
            Ok(done) => done.with_context(act)?,
            Err(_) => return Err(anyhow::anyhow!("the deadline of limits.release has passed")).with_context(act),
        }
        (self.told)(row);
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
            // Records of finished training jobs cannot be deleted: NeMo has no call for it.
            (ResourceKind::Training, _) => Ok(()),
        }
    }

    /// Deletes by name. A row that was never answered is ticked off only when it is still not there once it could not
    /// appear any more.
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

    /// Waits until an intent that was looked up in vain could not appear any more.
    async fn settle(&self, row: &Resource) -> anyhow::Result<()> {
        let first = self.store.record_vain_lookup(row.id)?;
        let passed = Duration::from_millis(u64::try_from(now_ms() - first).unwrap_or(0));
        tokio::time::sleep(self.settle.saturating_sub(passed)).await;
        Ok(())
    }

    /// Cancels a job and waits until its status is an end.
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
            match self.cancel_and_look(row.kind, &id, &mut cancelled).await {
                Ok(true) => break,
                Ok(false) => {}
                // The deadline bounds how long a service that is away is waited for.
                Err(error) if error.is_transient() => tracing::warn!(%error, "giving back a job: trying again"),
                Err(error) => return Err(error.into()),
            }
            let pause = started.elapsed().mul_f64(0.1).clamp(Duration::from_millis(20), Duration::from_secs(2));
            tokio::time::sleep(pause).await;
        }
        self.store.mark_finished(row.id)?;
        Ok(())
    }

    /// Cancels once, and says whether the job has ended.
    async fn cancel_and_look(&self, kind: ResourceKind, id: &str, cancelled: &mut bool) -> Result<bool, ApiError> {
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
}

/// When a job that a row stands for can have been made at the earliest, by another machine's clock.
pub fn looked_for_since(row: &Resource) -> i64 {
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
        _ => 3,
    }
}
