//! The LoRA customization of a candidate: config, job, adapter.

use anyhow::{Context as _, bail};

use super::cx::{Cx, Look, Spec};
use super::event::{EventKind, Step};
use super::names;
use super::outcome::{JobCancelled, TrainingFact, training_key};
use super::release::looked_for_since;
use super::{base_model, datasets, deploy};
use crate::config::plan::{Candidate, CustomizerPlan};
use crate::nemo::{Hyperparameters, JobStatus, NewTrainingConfig, NewTrainingJob, TrainingOption, TrainingStatus};
use crate::store::{NewResource, Resource, ResourceKind};
use crate::vocabulary::Generation;

/// Trains a candidate and returns the id under which its adapter is served.
///
/// # Errors
/// When the job ends badly or takes too long.
pub async fn customize(cx: &Cx, candidate: &Candidate) -> anyhow::Result<String> {
    let model = &candidate.model_name;
    let customizer = candidate.customizer.as_ref().context("this candidate has no customizer_configs")?;
    let work = async {
        let config = hold_config(cx, candidate, customizer).await?;
        let adapter = intend_adapter(cx, candidate)?;
        let (row, job, status, output) = job(cx, candidate, config.as_ref(), &adapter).await?;
        cx.store.mark_finished(row.id)?;
        cx.store.mark_live(adapter.id, Some(&output))?;
        remember(cx, candidate, &row, &job, &output, &status)
    };
    let fact = cx.step(Some(model), Step::Train, work, detail).await?;
    Ok(fact.adapter)
}

/// Waits until the NIM serves the adapter.
///
/// # Errors
/// When it takes longer than `limits.adapter`.
pub async fn adapter_served(cx: &Cx, candidate: &Candidate, adapter: &str) -> anyhow::Result<()> {
    let work =
        deploy::served(cx, Some(&candidate.model_name), adapter, Step::Adapter, cx.plan.limits.adapter_ms, "adapter");
    cx.step(Some(&candidate.model_name), Step::Adapter, work, |()| None).await
}

fn detail(fact: &TrainingFact) -> Option<String> {
    let last = fact.loss.iter().rev().find_map(|point| point.train)?;
    Some(format!("loss {last:.3}"))
}

fn of(cx: &Cx, candidate: &Candidate, kind: &str) -> String {
    names::of_candidate(&cx.run, cx.slugs.of(&candidate.model_name), kind)
}

fn training_option(cx: &Cx, customizer: &CustomizerPlan) -> TrainingOption {
    TrainingOption {
        training_type: cx.plan.training.training_type.clone(),
        finetuning_type: cx.plan.training.finetuning_type.clone(),
        num_gpus: customizer.gpus,
        num_nodes: customizer.num_nodes,
        tensor_parallel_size: customizer.tensor_parallel_size,
        data_parallel_size: customizer.data_parallel_size,
        use_sequence_parallel: customizer.use_sequence_parallel,
        micro_batch_size: customizer.micro_batch_size,
    }
}

/// Returns the stored configuration of the training, or `None` where the job carries everything.
async fn hold_config(cx: &Cx, candidate: &Candidate, customizer: &CustomizerPlan) -> anyhow::Result<Option<Resource>> {
    if cx.generation == Generation::Helix {
        return Ok(None);
    }
    let base = format!("{}@v1", of(cx, candidate, "config"));
    let spec =
        Spec { kind: ResourceKind::TrainingConfig, base: &base, candidate: Some(&candidate.model_name), by_name: true };
    let wanted = |row: &Resource| NewTrainingConfig {
        namespace: cx.plan.platform.namespace.clone(),
        name: row.name.clone(),
        description: names::description(&row.name, &cx.owner),
        target: customizer.target.clone(),
        max_seq_length: customizer.max_seq_length,
        training_precision: customizer.training_precision.clone(),
        option: training_option(cx, customizer),
    };
    let look = |row: Resource| async move {
        let Some(there) = cx.nemo.training_config(&cx.plan.platform.namespace, &row.name).await? else {
            return Ok(Look::Absent);
        };
        if let Some(difference) = wanted(&row).differs_from(&there) {
            bail!("a customization config named {} is there and is not the wanted one: {difference}", row.name);
        }
        Ok(Look::There(None))
    };
    let create = |row: Resource| async move { cx.nemo.create_training_config(&wanted(&row)).await.map(|_| None) };
    let config = cx.hold(spec, look, create).await;
    Ok(Some(config.with_context(|| format!("making the customization config of {base}"))?))
}

/// The adapter comes to be with the job, so its row is written before the job is created.
fn intend_adapter(cx: &Cx, candidate: &Candidate) -> anyhow::Result<Resource> {
    let base = of(cx, candidate, "lora");
    if let Some(row) = cx.store.open_resource(&cx.run, ResourceKind::Adapter, &base)? {
        if row.platform == cx.platform {
            return Ok(row);
        }
        cx.store.mark_released(row.id)?;
    }
    Ok(cx.store.record_intent(&NewResource {
        run: &cx.run,
        candidate: Some(&candidate.model_name),
        kind: ResourceKind::Adapter,
        base: &base,
        platform: &cx.platform,
    })?)
}

/// The finished job. One of an earlier process that ends cancelled was being given back when that process died: then
/// another one is started.
async fn job(
    cx: &Cx,
    candidate: &Candidate,
    config: Option<&Resource>,
    adapter: &Resource,
) -> anyhow::Result<(Resource, String, TrainingStatus, String)> {
    loop {
        let row = hold_job(cx, candidate, config, adapter).await?;
        let job = row.remote_id.clone().context("the customization job has no id")?;
        match finish(cx, candidate, &row, &job, adapter).await {
            Ok((status, output)) => return Ok((row, job, status, output)),
            Err(error) if error.is::<JobCancelled>() && row.intended_ms < cx.started_ms => {}
            Err(error) => return Err(error),
        }
    }
}

async fn hold_job(
    cx: &Cx,
    candidate: &Candidate,
    config: Option<&Resource>,
    adapter: &Resource,
) -> anyhow::Result<Resource> {
    let base = of(cx, candidate, "train");
    let spec =
        Spec { kind: ResourceKind::Training, base: &base, candidate: Some(&candidate.model_name), by_name: false };
    let look = |row: Resource| async move {
        let job = match &row.remote_id {
            Some(id) => cx.nemo.training_job(id).await?,
            None => {
                let description = names::description(&row.name, &cx.owner);
                cx.nemo.find_training_job(&description, looked_for_since(&row)).await?
            }
        };
        let Some(job) = job else { return Ok(Look::Absent) };
        // The adapter of a finished job must still be there for the job to be of use.
        let spent = match cx.nemo.training_status(&job.id).await?.status {
            JobStatus::Failed(_) | JobStatus::Cancelled => true,
            JobStatus::Done => !cx.nemo.adapter_exists(&cx.plan.platform.namespace, &adapter.name, &job.id).await?,
            JobStatus::Waiting | JobStatus::Running(_) | JobStatus::Unknown(_) => false,
        };
        Ok(if spent { Look::Spent(Some(job.id)) } else { Look::There(Some(job.id)) })
    };
    let dataset = &datasets::name(cx, datasets::TRAIN)?;
    let customizer = candidate.customizer.as_ref().context("this candidate has no customizer_configs")?;
    let model = &base_model::id(cx, candidate).await?;
    let create = |row: Resource| async move {
        let training = &cx.plan.training;
        let namespace = &cx.plan.platform.namespace;
        let job = cx
            .nemo
            .create_training_job(&NewTrainingJob {
                namespace: namespace.clone(),
                description: names::description(&row.name, &cx.owner),
                config: config.map(|config| config.name.clone()).unwrap_or_default(),
                dataset: dataset.clone(),
                adapter: adapter.name.clone(),
                model: model.clone(),
                max_seq_length: customizer.max_seq_length,
                training_precision: customizer.training_precision.clone(),
                option: training_option(cx, customizer),
                execution_profile: candidate.helix.execution_profile.clone(),
                hyperparameters: Hyperparameters {
                    training_type: training.training_type.clone(),
                    finetuning_type: training.finetuning_type.clone(),
                    epochs: training.epochs,
                    batch_size: training.batch_size,
                    learning_rate: training.learning_rate,
                    adapter_dim: training.adapter_dim,
                    adapter_dropout: training.adapter_dropout,
                    sequence_packing_enabled: training.sequence_packing_enabled,
                    seed: Some(cx.plan.data.split.random_seed),
                },
            })
            .await?;
        Ok(Some(job.id))
    };
    cx.hold(spec, look, create).await.with_context(|| format!("starting the customization of {}", candidate.model_name))
}

async fn finish(
    cx: &Cx,
    candidate: &Candidate,
    row: &Resource,
    job: &str,
    adapter: &Resource,
) -> anyhow::Result<(TrainingStatus, String)> {
    let what = format!("customization job {job}");
    let status = cx
        .wait(&what, names::millis(cx.plan.limits.train_ms), "train", || async {
            let status = cx.nemo.training_status(job).await?;
            match &status.status {
                JobStatus::Done => return Ok(Some(status)),
                JobStatus::Failed(why) => {
                    cx.store.mark_finished(row.id)?;
                    bail!("customization job {job} failed: {why}");
                }
                JobStatus::Cancelled => {
                    cx.store.mark_finished(row.id)?;
                    return Err(JobCancelled { job: format!("customization job {job}") }.into());
                }
                JobStatus::Waiting | JobStatus::Running(_) | JobStatus::Unknown(_) => tell(cx, candidate, &status),
            }
            Ok(None)
        })
        .await?;
    let served = cx.read(cx.nemo.served_adapter(&cx.plan.platform.namespace, &adapter.name, job)).await?;
    Ok((status, served))
}

fn tell(cx: &Cx, candidate: &Candidate, status: &TrainingStatus) {
    let (percent, waiting) = match status.status {
        JobStatus::Running(percent) => (percent.or(status.percentage).map(f64::from), false),
        _ => (None, true),
    };
    let epochs = cx.plan.training.epochs;
    let detail = match (waiting, status.epochs_completed) {
        (true, _) => Some("pending".to_owned()),
        (false, Some(done)) if epochs > 1 => Some(format!("epoch {} of {epochs}", (done + 1).min(epochs.into()))),
        _ => None,
    };
    cx.tell(EventKind::StepProgress {
        candidate: Some(candidate.model_name.clone()),
        step: Step::Train,
        percent,
        detail,
        train_loss: status.train_loss,
        validation_loss: status.val_loss,
    });
}

fn remember(
    cx: &Cx,
    candidate: &Candidate,
    row: &Resource,
    job: &str,
    adapter: &str,
    status: &TrainingStatus,
) -> anyhow::Result<TrainingFact> {
    let key = training_key(&candidate.model_name);
    if let Some(known) = cx.store.fact::<TrainingFact>(&cx.run, &key)?.filter(|known| known.job == job) {
        return Ok(known);
    }
    let seconds = cx.seconds_of(row);
    let fact = TrainingFact { job: job.to_owned(), adapter: adapter.to_owned(), seconds, loss: status.losses.clone() };
    cx.store.remember(&cx.run, &key, &fact)?;
    Ok(fact)
}
