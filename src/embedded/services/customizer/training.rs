//! The work of training jobs: reads the dataset, trains a student on a blocking thread, publishes the adapter.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::adapter_repository;
use super::training_rows::{self, PromptTemplate};
use crate::embedded::backend::{Backend, StateGuard};
use crate::embedded::services::jobs::{self, Ending, Job};
use crate::embedded::state::PlatformState;
use crate::embedded::state::adapter::TrainedAdapter;
use crate::embedded::state::background_work::Outcome;
use crate::embedded::state::blobs::Blob;
use crate::embedded::state::tracked_list::TrackedList;
use crate::embedded::state::training::{Training, TrainingEnd, TrainingHistory, TrainingWork};
use crate::embedded::wire::stamps::naive_now;
use crate::student::{self, TrainError, TrainOptions, TrainingProgress};

impl Job for Training {
    type Progress = TrainingHistory;
    type Product = TrainedAdapter;

    fn list(state: &mut PlatformState) -> &mut TrackedList<Self> {
        &mut state.trainings
    }

    fn work(&self) -> Option<Arc<TrainingWork>> {
        self.work().cloned()
    }

    fn is_cancelling(&self) -> bool {
        self.is_cancelling()
    }

    fn count_read(&mut self) -> u32 {
        if self.is_waiting() {
            self.note_waiting();
        }
        self.reads += u32::from(self.work().is_some());
        self.reads
    }

    fn end(backend: &Arc<Backend>, mut state: StateGuard<'_>, at: usize, ending: Ending<TrainedAdapter>) {
        let end = match ending {
            Ending::Completed(trained) => match adapter_repository::publish(backend, &mut state, at, trained) {
                Ok(()) => TrainingEnd::Completed,
                Err(error) => TrainingEnd::Failed(not_stored(&error)),
            },
            Ending::Failed(reason) => TrainingEnd::Failed(reason),
            Ending::Cancelled => TrainingEnd::Cancelled,
        };
        if end != TrainingEnd::Completed {
            adapter_repository::give_up(&mut state, at);
        }
        state.trainings[at].end(end);
        drop(state);
        grant_gpus(backend);
    }
}

/// Grants free GPUs, and starts the training jobs that got theirs. Call it whenever GPUs may have become free or
/// wanted.
pub(in crate::embedded::services) fn grant_gpus(backend: &Arc<Backend>) {
    let mut state = backend.state();
    for at in state.grant_gpus(backend.options.gpus) {
        let job = &state.trainings[at];
        let Some(work) = job.work().cloned() else { continue };
        let (id, order) = (job.id.clone(), TrainingOrder::of(job));
        let run = run(Arc::clone(backend), Arc::clone(&work), order);
        jobs::spawn::<Training>(Arc::clone(backend), id, work, run);
    }
}

/// Takes up the jobs that were unfinished when the platform ended.
pub(crate) fn resume(backend: &Arc<Backend>) {
    {
        let mut state = backend.state();
        let unfinished = state.trainings.iter().enumerate().filter(|(_, job)| !job.has_ended()).map(|(at, _)| at);
        for at in unfinished.collect::<Vec<_>>() {
            state.trainings[at].restart();
            if state.trainings[at].has_ended() {
                adapter_repository::give_up(&mut state, at);
            }
        }
    }
    grant_gpus(backend);
}

/// The input of a training.
struct TrainingOrder {
    base_model: String,
    files_url: String,
    template: PromptTemplate,
    options: TrainOptions,
    log_every: u32,
}

impl TrainingOrder {
    fn of(job: &Training) -> Self {
        let body = job.body();
        let template = body["config_snapshot"]["prompt_template"].as_str().unwrap_or_default();
        TrainingOrder {
            base_model: job.base_model.clone(),
            files_url: job.files_url.clone(),
            template: PromptTemplate::parse(template),
            options: TrainOptions { epochs: job.epochs, seed: job.seed },
            log_every: job.log_every,
        }
    }
}

async fn run(backend: Arc<Backend>, work: Arc<TrainingWork>, order: TrainingOrder) -> Outcome<TrainedAdapter> {
    let ran = tokio::task::spawn_blocking(move || train(&backend, &work, &order)).await;
    ran.unwrap_or_else(|_| Outcome::Failed("the training crashed".into()))
}

/// Trains; blocks.
fn train(backend: &Backend, work: &TrainingWork, order: &TrainingOrder) -> Outcome<TrainedAdapter> {
    let files = backend.state().repositories.dataset_files(&order.files_url);
    let Some(files) = files else {
        return Outcome::Failed(format!("{} holds no files", order.files_url));
    };
    let bytes = |(path, file): (String, Blob)| match file.bytes() {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err(format!("{path} cannot be read: {error}")),
    };
    let files = files.into_iter().map(bytes).collect::<Result<Vec<_>, _>>();
    let rows = match files.and_then(|files| training_rows::read(&files, &order.template)) {
        Ok(rows) => rows,
        Err(problem) => return Outcome::Failed(problem),
    };
    let size = student::stand_in(&order.base_model);
    let mut on = |progress: &TrainingProgress| {
        work.update(|shown| record(shown, progress, order.log_every));
        let stop = work.is_cancelled() || backend.is_shut();
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    match student::train(size, &rows.training, &rows.validation, &order.options, &mut on) {
        Ok(adapter) => match TrainedAdapter::keep(&backend.blobs, adapter) {
            Ok(trained) => Outcome::Done(trained),
            Err(error) => Outcome::Failed(not_stored(&error)),
        },
        Err(TrainError::Cancelled) => Outcome::Stopped,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Records the progress of the student as the service shows it.
fn record(shown: &mut TrainingHistory, progress: &TrainingProgress, log_every: u32) {
    let per_epoch = (progress.steps / progress.epochs.max(1)).max(1);
    let step = progress.step.saturating_sub(1);
    shown.step = progress.step;
    shown.steps = progress.steps;
    shown.steps_per_epoch = per_epoch;
    shown.epoch = progress.step / per_epoch;
    let is_last = progress.step == progress.steps;
    if progress.step.is_multiple_of(log_every) || is_last {
        shown.train.push((step, naive_now(), progress.train_loss));
    }
    if let Some(loss) = progress.validation_loss.filter(|_| progress.step.is_multiple_of(per_epoch) || is_last) {
        shown.validation.push((step, naive_now(), loss));
    }
}

fn not_stored(error: &std::io::Error) -> String {
    format!("the adapter cannot be stored: {error}")
}
