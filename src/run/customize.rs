//! The LoRA customization of a candidate: its config, its job and its adapter.

use anyhow::{Context as _, bail};

use super::context::RunContext;
use super::event::{EventKind, Step};
use super::hold::{Lookup, ResourceSpec};
use super::job::JobCancelled;
use super::names;
use super::outcome::{TrainingFact, training_key};
use super::wait::LastWord;
use super::{adapter_proof, base_model, datasets, deploy, suspicions};
use crate::config::plan::{Candidate, CustomizerPlan};
use crate::nemo::{Hyperparameters, JobStatus, NewTrainingConfig, NewTrainingJob, TrainingOption, TrainingStatus};
use crate::store::{NewResource, Resource, ResourceKind};
use crate::vocabulary::Generation;

/// Trains a candidate and returns the id under which its adapter is served.
///
/// # Errors
/// When the job fails or takes too long.
pub(super) async fn customize(run: &RunContext, candidate: &Candidate) -> anyhow::Result<String> {
    let model = &candidate.model_name;
    let customizer = candidate.customizer.as_ref().context("the candidate has no customizer_configs")?;
    let work = async {
        let config = hold_config(run, candidate, customizer).await?;
        let adapter = intend_adapter(run, candidate)?;
        let (row, job, status, output) = finished_job(run, candidate, config.as_ref(), &adapter).await?;
        run.store.mark_finished(row.id)?;
        run.store.mark_live(adapter.id, Some(&output))?;
        remember(run, candidate, &row, &job, &output, &status)
    };
    let fact = run.step(Some(model), Step::Train, work, last_loss).await?;
    Ok(fact.adapter)
}

/// Tells whether an earlier process has trained the candidate, and the platform still has the adapter.
///
/// # Errors
/// When the platform cannot be asked.
pub(super) async fn is_trained(run: &RunContext, candidate: &Candidate) -> anyhow::Result<bool> {
    let known = run.store.fact::<TrainingFact>(&run.id, &training_key(&candidate.model_name))?;
    let base = run.name_of(candidate, ResourceKind::Adapter, "lora")?;
    let adapter = run.store.open_resource(&run.id, ResourceKind::Adapter, &base)?;
    match (known, adapter.filter(|row| row.platform == run.platform)) {
        (Some(fact), Some(row)) => {
            run.read(run.nemo.adapter_exists(&run.plan.platform.namespace, &row.name, &fact.job)).await
        }
        _ => Ok(false),
    }
}

/// Waits until the NIM serves the adapter, and answers with it.
///
/// # Errors
/// When it takes longer than `limits.adapter`.
pub(super) async fn adapter_served(run: &RunContext, candidate: &Candidate, adapter: &str) -> anyhow::Result<()> {
    let nim = deploy::deployment_of(run, candidate)?;
    let (model, limit_ms) = (Some(candidate.model_name.as_str()), run.plan.limits.adapter_ms);
    let work = async {
        deploy::wait_until_served(run, nim.as_ref(), model, adapter, Step::Adapter, limit_ms, "adapter").await?;
        adapter_proof::prove(run, candidate, adapter).await
    };
    run.step(Some(&candidate.model_name), Step::Adapter, work, |()| None).await
}

/// Returns the last training loss, in words.
fn last_loss(fact: &TrainingFact) -> Option<String> {
    let last = fact.loss.iter().rev().find_map(|point| point.train)?;
    Some(format!("loss {last:.3}"))
}

fn training_option(run: &RunContext, customizer: &CustomizerPlan) -> TrainingOption {
    TrainingOption {
        training_type: run.plan.training.training_type.clone(),
        finetuning_type: run.plan.training.finetuning_type.clone(),
        num_gpus: customizer.gpus,
        num_nodes: customizer.num_nodes,
        tensor_parallel_size: customizer.tensor_parallel_size,
        data_parallel_size: customizer.data_parallel_size,
        use_sequence_parallel: customizer.use_sequence_parallel,
        micro_batch_size: customizer.micro_batch_size,
    }
}

/// Holds the config of the training. `None` where the job carries everything.
async fn hold_config(
    run: &RunContext,
    candidate: &Candidate,
    customizer: &CustomizerPlan,
) -> anyhow::Result<Option<Resource>> {
    if run.generation == Generation::Helix {
        return Ok(None);
    }
    let base = run.name_of(candidate, ResourceKind::TrainingConfig, "config@v1")?;
    let spec = ResourceSpec {
        kind: ResourceKind::TrainingConfig,
        base: &base,
        candidate: Some(&candidate.model_name),
        by_name: true,
    };
    let target = customizer.target.as_ref().context("the candidate has no customizer_configs.target")?;
    let wanted = |row: &Resource| NewTrainingConfig {
        namespace: run.plan.platform.namespace.clone(),
        name: row.name.clone(),
        description: names::description(&row.name, &run.owner),
        target: target.clone(),
        max_seq_length: customizer.max_seq_length,
        training_precision: customizer.training_precision.clone(),
        option: training_option(run, customizer),
    };
    let look_up = |row: Resource| async move {
        let Some(there) = run.nemo.training_config(&run.plan.platform.namespace, &row.name).await? else {
            return Ok(Lookup::Absent);
        };
        if let Some(difference) = wanted(&row).differs_from(&there) {
            bail!(
                "a customization config named {} exists and differs from the one of this run: {difference}",
                row.name
            );
        }
        Ok(Lookup::Found(None))
    };
    let create = |row: Resource| async move { run.nemo.create_training_config(&wanted(&row)).await.map(|_| None) };
    let config = run.hold(spec, look_up, create).await;
    Ok(Some(config.with_context(|| format!("cannot create the customization config {base}"))?))
}

/// Writes the row of the adapter. The job will create it, so its row comes before the row of the job.
fn intend_adapter(run: &RunContext, candidate: &Candidate) -> anyhow::Result<Resource> {
    let base = run.name_of(candidate, ResourceKind::Adapter, "lora")?;
    if let Some(row) = run.store.open_resource(&run.id, ResourceKind::Adapter, &base)? {
        if row.platform == run.platform {
            return Ok(row);
        }
        run.store.mark_released(row.id)?;
    }
    Ok(run.store.record_intent(&NewResource {
        run: &run.id,
        candidate: Some(&candidate.model_name),
        kind: ResourceKind::Adapter,
        base: &base,
        platform: &run.platform,
    })?)
}

/// Returns the finished job. A job that an earlier process had begun to cancel is replaced by another.
async fn finished_job(
    run: &RunContext,
    candidate: &Candidate,
    config: Option<&Resource>,
    adapter: &Resource,
) -> anyhow::Result<(Resource, String, TrainingStatus, String)> {
    loop {
        let row = hold_job(run, candidate, config, adapter).await?;
        let job = row.remote_id.clone().context("the customization job has no id")?;
        match wait_for_job(run, candidate, &row, &job, adapter).await {
            Ok((status, output)) => return Ok((row, job, status, output)),
            Err(error) if error.is::<JobCancelled>() && row.intended_ms < run.started_ms => {}
            Err(error) => return Err(error),
        }
    }
}

async fn hold_job(
    run: &RunContext,
    candidate: &Candidate,
    config: Option<&Resource>,
    adapter: &Resource,
) -> anyhow::Result<Resource> {
    let base = run.name_of(candidate, ResourceKind::Training, "train")?;
    let spec = ResourceSpec {
        kind: ResourceKind::Training,
        base: &base,
        candidate: Some(&candidate.model_name),
        by_name: false,
    };
    let look_up = |row: Resource| async move {
        let job = match &row.remote_id {
            Some(id) => run.nemo.training_job(id).await?,
            None => {
                let description = names::description(&row.name, &run.owner);
                run.nemo.find_training_job(&description).await?
            }
        };
        let Some(job) = job else { return Ok(Lookup::Absent) };
        // A finished job is of use only if its adapter still exists.
        let spent = match run.nemo.training_status(&job.id).await?.status {
            JobStatus::Failed(_) | JobStatus::Cancelled => true,
            JobStatus::Done => !run.nemo.adapter_exists(&run.plan.platform.namespace, &adapter.name, &job.id).await?,
            JobStatus::Waiting | JobStatus::Running(_) | JobStatus::Unknown(_) => false,
        };
        Ok(if spent { Lookup::Spent(Some(job.id)) } else { Lookup::Found(Some(job.id)) })
    };
    let dataset = &datasets::name(run, datasets::TRAIN)?;
    let customizer = candidate.customizer.as_ref().context("the candidate has no customizer_configs")?;
    let model = &base_model::id(run, candidate).await?;
    let create = |row: Resource| async move {
        let namespace = &run.plan.platform.namespace;
        let job = run
            .nemo
            .create_training_job(&NewTrainingJob {
                namespace: namespace.clone(),
                description: names::description(&row.name, &run.owner),
                config: config.map(|config| config.name.clone()).unwrap_or_default(),
                dataset: dataset.clone(),
                adapter: adapter.name.clone(),
                model: model.clone(),
                max_seq_length: customizer.max_seq_length,
                training_precision: customizer.training_precision.clone(),
                option: training_option(run, customizer),
                backend: candidate.helix.backend.clone(),
                execution_profile: candidate.helix.execution_profile.clone(),
                hyperparameters: hyperparameters(run),
            })
            .await?;
        Ok(Some(job.id))
    };
    run.hold(spec, look_up, create)
        .await
        .with_context(|| format!("cannot start the customization of {}", candidate.model_name))
}

fn hyperparameters(run: &RunContext) -> Hyperparameters {
    let training = &run.plan.training;
    Hyperparameters {
        training_type: training.training_type.clone(),
        finetuning_type: training.finetuning_type.clone(),
        epochs: training.epochs,
        batch_size: training.batch_size,
        learning_rate: training.learning_rate,
        adapter_dim: training.adapter_dim,
        adapter_dropout: training.adapter_dropout,
        sequence_packing_enabled: training.sequence_packing_enabled,
        seed: Some(run.plan.data.split.random_seed),
    }
}

async fn wait_for_job(
    run: &RunContext,
    candidate: &Candidate,
    row: &Resource,
    job: &str,
    adapter: &Resource,
) -> anyhow::Result<(TrainingStatus, String)> {
    let what = format!("customization job {job}");
    let last_word = LastWord::default();
    let status = run
        .wait(&what, names::millis(run.plan.limits.train_ms), "train", || async {
            let status = run.nemo.training_status(job).await?;
            last_word.note(&status.status, status.detail.as_deref());
            match &status.status {
                JobStatus::Done => return Ok(Some(status)),
                JobStatus::Failed(why) => {
                    run.store.mark_finished(row.id)?;
                    bail!("customization job {job} failed: {why}");
                }
                JobStatus::Cancelled => {
                    run.store.mark_finished(row.id)?;
                    return Err(JobCancelled { job: format!("customization job {job}") }.into());
                }
                JobStatus::Waiting | JobStatus::Running(_) | JobStatus::Unknown(_) => {
                    tell_progress(run, candidate, &status)
                }
            }
            Ok(None)
        })
        .await;
    let status = last_word.explain(&what, status)?;
    let served = run.read(run.nemo.served_adapter(&run.plan.platform.namespace, &adapter.name, job)).await?;
    Ok((status, served))
}

fn tell_progress(run: &RunContext, candidate: &Candidate, status: &TrainingStatus) {
    let (percent, waiting) = match status.status {
        JobStatus::Running(percent) => (percent.or(status.percentage).map(f64::from), false),
        _ => (None, true),
    };
    let epochs = run.plan.training.epochs;
    let detail = match (waiting, status.epochs_completed) {
        (true, _) => Some("pending".to_owned()),
        (false, Some(done)) if epochs > 1 => Some(format!("epoch {} of {epochs}", (done + 1).min(epochs.into()))),
        _ => None,
    };
    run.events.tell(EventKind::StepProgress {
        candidate: Some(candidate.model_name.clone()),
        step: Step::Train,
        percent,
        detail,
        train_loss: status.train_loss,
        validation_loss: status.val_loss,
    });
}

fn remember(
    run: &RunContext,
    candidate: &Candidate,
    row: &Resource,
    job: &str,
    adapter: &str,
    status: &TrainingStatus,
) -> anyhow::Result<TrainingFact> {
    let key = training_key(&candidate.model_name);
    if let Some(known) = run.store.fact::<TrainingFact>(&run.id, &key)?.filter(|known| known.job == job) {
        return Ok(known);
    }
    if let Some(suspicion) = suspicions::of_training(&status.losses, status.steps_completed) {
        run.warn(format!("{}: {suspicion}", candidate.model_name))?;
    }
    let seconds = run.seconds_of(row);
    let fact = TrainingFact { job: job.to_owned(), adapter: adapter.to_owned(), seconds, loss: status.losses.clone() };
    run.store.remember(&run.id, &key, &fact)?;
    Ok(fact)
}
