//! The work of a training job: reads its files, trains a student on a blocking thread, and publishes the adapter. Owns
//! the meeting of that thread and the status reads; the states themselves are in `job`.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::artifact::{self, Trained};
use super::job::{Ending, Series, Training};
use super::rows;
use crate::embedded::contents::Content;
use crate::embedded::wire::naive_now;
use crate::embedded::world::World;
use crate::student::{self, TrainError, TrainOptions, TrainingProgress};

/// The status read that waits for the end of the work, on `Clock::Polls`: created, pending, running, done.
const ENDS_AT_READ: u32 = 3;

/// One training under way.
#[derive(Debug)]
pub(in crate::embedded) struct Work {
    id: String,
    base_model: String,
    files_url: String,
    template: rows::Template,
    options: TrainOptions,
    log_every: u32,
    cancelled: AtomicBool,
    series: Mutex<Series>,
    outcome: Mutex<Option<Outcome>>,
    done: watch::Sender<bool>,
}

/// What came of the work.
#[derive(Debug)]
enum Outcome {
    Trained(Trained),
    Failed(String),
    Stopped,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Work {
    pub(super) fn new(job: &Training) -> Self {
        Work {
            id: job.id.clone(),
            base_model: job.base_model.clone(),
            files_url: job.files_url.clone(),
            template: rows::Template::parse(
                job.body["config_snapshot"]["prompt_template"].as_str().unwrap_or_default(),
            ),
            options: TrainOptions { epochs: job.epochs, seed: job.seed },
            log_every: job.log_every,
            cancelled: AtomicBool::new(false),
            series: Mutex::default(),
            outcome: Mutex::default(),
            done: watch::Sender::new(false),
        }
    }

    /// Asks the work to stop soon.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The progress so far.
    pub(super) fn series(&self) -> Series {
        lock(&self.series).clone()
    }

    async fn wait(&self) {
        // The sender lives as long as `self`: this cannot fail.
        let _ = self.done.subscribe().wait_for(|done| *done).await;
    }

    fn note(&self, progress: &TrainingProgress) {
        let mut series = lock(&self.series);
        let per_epoch = (progress.steps / progress.epochs.max(1)).max(1);
        let step = progress.step.saturating_sub(1);
        series.step = progress.step;
        series.steps = progress.steps;
        series.steps_per_epoch = per_epoch;
        series.epoch = progress.step / per_epoch;
        let last = progress.step == progress.steps;
        if progress.step.is_multiple_of(self.log_every) || last {
            series.train.push((step, naive_now(), progress.train_loss));
        }
        if let Some(loss) = progress.validation_loss.filter(|_| progress.step.is_multiple_of(per_epoch) || last) {
            series.validation.push((step, naive_now(), loss));
        }
    }

    fn run(&self, world: &World) -> Outcome {
        let files = world.state().store.dataset_files(&self.files_url);
        let Some(files) = files else {
            return Outcome::Failed(format!("{} holds no files", self.files_url));
        };
        let bytes = |(path, content): (String, Content)| match content.bytes() {
            Ok(bytes) => Ok((path, bytes)),
            Err(error) => Err(format!("{path} cannot be read: {error}")),
        };
        let read = files
            .into_iter()
            .map(bytes)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|files| rows::read(&files, &self.template));
        let rows = match read {
            Ok(rows) => rows,
            Err(problem) => return Outcome::Failed(problem),
        };
        let size = student::stand_in(&self.base_model);
        let mut on = |progress: &TrainingProgress| {
            self.note(progress);
            let stop = self.cancelled.load(Ordering::Relaxed) || world.is_shut();
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match student::train(size, &rows.training, &rows.validation, &self.options, &mut on) {
            Ok(adapter) => match Trained::keep(&world.contents, adapter) {
                Ok(trained) => Outcome::Trained(trained),
                Err(error) => Outcome::Failed(unstored(&error)),
            },
            Err(TrainError::Cancelled) => Outcome::Stopped,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }
}

/// Starts the work of a job; with time as the clock, the job ends when its work does.
pub(in crate::embedded) fn spawn(world: Arc<World>, work: Arc<Work>) {
    tokio::spawn(async move {
        let worker = Arc::clone(&work);
        let within = Arc::clone(&world);
        let ran = tokio::task::spawn_blocking(move || worker.run(&within)).await;
        let outcome = ran.unwrap_or_else(|_| Outcome::Failed("the training crashed".into()));
        *lock(&work.outcome) = Some(outcome);
        work.done.send_replace(true);
        if !world.polled() {
            finish(&world, &work.id);
        }
    });
}

fn unstored(error: &std::io::Error) -> String {
    format!("the adapter cannot be stored: {error}")
}

/// A status read of a job: with reads as the clock it advances one step, and waits for the work where that step needs it.
pub(super) async fn observe(world: &Arc<World>, id: &str) {
    let awaited = {
        let mut state = world.state();
        let Some(job) = state.trainings.find_mut(|job| job.id == id) else { return };
        if job.waits() {
            job.seen_waiting();
        }
        let Some(work) = job.work().cloned().filter(|_| world.polled()) else { return };
        job.reads += 1;
        (job.reads >= ENDS_AT_READ || job.is_cancelling()).then_some(work)
    };
    if let Some(work) = awaited {
        work.wait().await;
        finish(world, id);
    }
}

/// Ends a job whose work has ended, and publishes what it learnt.
fn finish(world: &Arc<World>, id: &str) {
    if world.is_shut() {
        // A platform that ends has stopped the work: the job has not ended by that.
        return;
    }
    {
        let mut state = world.state();
        let Some(at) = state.trainings.iter().position(|job| job.id == id) else { return };
        let Some(work) = state.trainings[at].work().cloned() else { return };
        let Some(outcome) = lock(&work.outcome).take() else { return };
        let ending = match outcome {
            _ if state.trainings[at].is_cancelling() => Ending::Cancelled,
            Outcome::Stopped => Ending::Cancelled,
            Outcome::Failed(reason) => Ending::Failed(reason),
            Outcome::Trained(_) if let Some(reason) = world.faults.failure(id) => Ending::Failed(reason),
            Outcome::Trained(trained) => match artifact::publish(world, &mut state, at, trained) {
                Ok(()) => Ending::Completed,
                Err(error) => Ending::Failed(unstored(&error)),
            },
        };
        if ending != Ending::Completed {
            artifact::give_up(&mut state, at);
        }
        state.trainings[at].end(ending);
    }
    world.grant();
}
