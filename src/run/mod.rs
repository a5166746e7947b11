//! The flywheel: one run from records to scores, as a straight line of async code that can be run again from the top.
//! Remote resources are rows of the ledger before they exist, and what has been found out is remembered.

mod base_model;
pub mod candidate;
pub mod check;
mod conclude;
mod customize;
pub mod cx;
pub mod datasets;
pub mod dead;
mod deploy;
mod evaluate;
pub mod event;
pub mod gpus;
pub mod judge;
pub mod lock;
pub mod names;
pub mod outcome;
pub mod release;
pub mod stop;
mod tool_scores;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use crate::config::plan::Candidate;
use crate::source::dataset::Manifest;
use crate::store::{Resource, now_ms};
use crate::vocabulary::{CandidateState, Failure, RunState};

use cx::Cx;
use event::{EventKind, Step};
use outcome::{CandidateFact, candidate_key};
use release::Left;
use stop::Interrupted;

/// How often a run looks whether `dfwfd cancel` has asked it to stop.
const CANCEL_LOOK: Duration = Duration::from_millis(250);

/// The end of a run.
#[derive(Debug)]
pub struct End {
    /// How it ended.
    pub state: RunState,
    /// Why, unless it completed. With several failed candidates: that of each.
    pub errors: Vec<anyhow::Error>,
    /// What could not be given back.
    pub left: Vec<Left>,
}

/// Runs everything: datasets, then the candidates side by side within the GPU budget; gives back class GPU at the end,
/// whatever happened.
pub async fn execute(cx: Arc<Cx>, resumed: bool) -> End {
    cx.tell(EventKind::RunStarted {
        workload: cx.plan.data.filter.workload.clone(),
        platform: cx.kind,
        rehearsal: cx.rehearsal,
        resumed,
        candidates: cx.plan.candidates.iter().map(|candidate| candidate.model_name.clone()).collect(),
        gpus: cx.budget,
    });
    let work = AssertUnwindSafe(flywheel(&cx)).catch_unwind();
    tokio::pin!(work);
    // The watchers never end, so it is always the work that is finished.
    let result = tokio::select! {
        result = &mut work => result.unwrap_or_else(|panic| vec![Err(panicked(panic.as_ref()))]),
        () = watch_for_cancel(&cx) => Vec::new(),
        () = announce_stop(&cx) => Vec::new(),
    };
    let left = give_back(&cx, None).await;
    conclude_on(&cx).await;
    let (state, errors) = sum_up(&cx, result);
    End { state, errors, left }
}

/// Compares the models off the runtime's threads: the simulations keep all cores busy. Nothing remote waits for it.
async fn conclude_on(cx: &Arc<Cx>) {
    let shared = Arc::clone(cx);
    let concluded = tokio::task::spawn_blocking(move || conclude::conclude(&shared)).await;
    let concluded = concluded.unwrap_or_else(|error| Err(anyhow::anyhow!("{error}")));
    if let Err(error) = concluded {
        tracing::error!("cannot compare the models: {error:#}");
    }
}

/// The straight line. Returns each candidate's end; an error before the candidates is the end of all.
async fn flywheel(cx: &Arc<Cx>) -> Vec<anyhow::Result<()>> {
    let (done, todo): (Vec<usize>, Vec<usize>) =
        (0..cx.plan.candidates.len()).partition(|&index| is_completed(cx, &cx.plan.candidates[index]));
    for &index in &todo {
        if let Err(error) = note(cx, &cx.plan.candidates[index], CandidateState::Waiting, None) {
            return vec![Err(error)];
        }
    }
    let sets = match prepare(cx, &todo).await {
        Ok(sets) => sets,
        Err(error) => {
            let state = if error.is::<Interrupted>() { CandidateState::Cancelled } else { CandidateState::Skipped };
            for &index in &todo {
                if let Err(error) = note(cx, &cx.plan.candidates[index], state, None) {
                    tracing::warn!(error = format!("{error:#}"), "recording the end of a candidate");
                }
            }
            return vec![Err(error)];
        }
    };
    tracing::debug!(eval = sets.eval, train = sets.train, "datasets are on the platform");
    let mut order = todo;
    // The longest expected goes first: the one with the larger need, else in the order of the file.
    order.sort_by_key(|&index| {
        let candidate = &cx.plan.candidates[index];
        std::cmp::Reverse(candidate.gpus + candidate.training_gpus())
    });
    let mut tasks = JoinSet::new();
    for (rank, index) in order.into_iter().enumerate() {
        let cx = Arc::clone(cx);
        tasks.spawn(async move { one_candidate(&cx, index, rank).await });
    }
    let mut ends: Vec<anyhow::Result<()>> = done.iter().map(|_| Ok(())).collect();
    while let Some(end) = tasks.join_next().await {
        ends.push(end.unwrap_or_else(|error| Err(anyhow::anyhow!("a candidate's task ended early: {error}"))));
    }
    ends
}

/// What all candidates need: the datasets, and the judge that is asked about their calls.
async fn prepare(cx: &Cx, todo: &[usize]) -> anyhow::Result<Manifest> {
    let sets = datasets::make(cx).await?;
    let todo: Vec<&Candidate> = todo.iter().map(|&index| &cx.plan.candidates[index]).collect();
    judge::ready(cx, &todo).await?;
    Ok(sets)
}

/// One candidate with its GPUs, given back before the lease is dropped, also when a step panics.
async fn one_candidate(cx: &Cx, index: usize, rank: usize) -> anyhow::Result<()> {
    let candidate = &cx.plan.candidates[index];
    let (mode, need) = candidate::mode(candidate, cx.room());
    let lease = cx.gpus.lease(need, rank);
    tokio::pin!(lease);
    let granted = match lease.as_mut().now_or_never() {
        Some(granted) => Ok(granted),
        None => {
            cx.tell(EventKind::GpusAwaited { candidate: candidate.model_name.clone(), gpus: need });
            tokio::select! {
                granted = lease => Ok(granted),
                interrupted = cx.stop.asked() => Err(interrupted),
            }
        }
    };
    let result = match granted {
        Err(interrupted) => Err(interrupted.into()),
        Ok(mut lease) => {
            note(cx, candidate, CandidateState::Running, None)?;
            let work = AssertUnwindSafe(candidate::drive(cx, candidate, mode, &mut lease)).catch_unwind().await;
            let result = work.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            for (row, error) in give_back(cx, Some(&candidate.model_name)).await {
                tracing::warn!(error = format!("{error:#}"), name = row.name, "still held");
            }
            result
        }
    };
    let state = match &result {
        Ok(()) => CandidateState::Completed,
        Err(error) if error.is::<Interrupted>() => CandidateState::Cancelled,
        Err(_) => CandidateState::Failed,
    };
    let error = result.as_ref().err().filter(|_| state == CandidateState::Failed).map(Failure::new);
    note(cx, candidate, state, error.clone())?;
    cx.tell(EventKind::CandidateDone {
        candidate: candidate.model_name.clone(),
        state,
        error: result.as_ref().err().map(|error| format!("{error:#}")),
    });
    result.map_err(|error| error.context(format!("taking candidate {} through its steps", candidate.model_name)))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> anyhow::Error {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    anyhow::anyhow!("a step panicked: {message} (this is a bug in dfwfd)")
}

/// Whether an earlier process has taken a candidate to its end.
fn is_completed(cx: &Cx, candidate: &Candidate) -> bool {
    let fact = cx.store.fact::<CandidateFact>(&cx.run, &candidate_key(&candidate.model_name));
    fact.is_ok_and(|fact| fact.is_some_and(|fact| fact.state == CandidateState::Completed))
}

/// Records how a candidate fares.
fn note(cx: &Cx, candidate: &Candidate, state: CandidateState, error: Option<Failure>) -> anyhow::Result<()> {
    let key = candidate_key(&candidate.model_name);
    let (mode, gpus) = candidate::mode(candidate, cx.room());
    let known: Option<CandidateFact> = cx.store.fact(&cx.run, &key)?;
    let started_ms = match state {
        CandidateState::Waiting => None,
        CandidateState::Running => Some(now_ms()),
        _ => known.and_then(|fact| fact.started_ms),
    };
    let ended_ms = (!matches!(state, CandidateState::Waiting | CandidateState::Running))
        .then(now_ms)
        .filter(|_| started_ms.is_some());
    let fact = CandidateFact { state, error, gpus, overlap: mode == candidate::Mode::Overlap, started_ms, ended_ms };
    cx.store.remember(&cx.run, &key, &fact)?;
    Ok(())
}

/// Gives back what a candidate (or the whole run) holds of class GPU.
async fn give_back(cx: &Cx, candidate: Option<&str>) -> Vec<Left> {
    let mut held = match cx.store.held(&cx.run) {
        Ok(held) => held,
        Err(error) => {
            tracing::error!(%error, "what is still held cannot be read");
            return Vec::new();
        }
    };
    held.retain(|row| candidate.is_none() || row.candidate.as_deref() == candidate);
    if held.is_empty() {
        return Vec::new();
    }
    let told = |row: &Resource| cx.tell_released(row);
    let releaser = cx.releaser(&told);
    let candidate = candidate.map(str::to_owned);
    cx.tell(EventKind::StepStarted { candidate: candidate.clone(), step: Step::Release });
    let started = tokio::time::Instant::now();
    let left = releaser.gpus(held, names::millis(cx.plan.limits.release_ms)).await;
    match left.first() {
        None => cx.tell(EventKind::StepDone {
            candidate,
            step: Step::Release,
            seconds: started.elapsed().as_secs_f64(),
            detail: None,
        }),
        Some((_, error)) => {
            cx.tell(EventKind::StepFailed { candidate, step: Step::Release, error: format!("{error:#}") });
        }
    }
    left
}

/// Turns a request of another process into one of this process.
async fn watch_for_cancel(cx: &Cx) {
    loop {
        tokio::time::sleep(CANCEL_LOOK).await;
        if cx.store.cancel_asked(&cx.run).unwrap_or(false) {
            cx.stop.ask("dfwfd cancel");
        }
    }
}

/// Says that the run stops, and why, as soon as it was asked.
async fn announce_stop(cx: &Cx) {
    let Interrupted { reason } = cx.stop.asked().await;
    cx.tell(EventKind::Stopping { reason });
    std::future::pending().await
}

fn sum_up(cx: &Cx, ends: Vec<anyhow::Result<()>>) -> (RunState, Vec<anyhow::Error>) {
    let total = ends.len();
    let mut errors: Vec<anyhow::Error> = ends.into_iter().filter_map(Result::err).collect();
    // A stop that came after the last step has cancelled nothing.
    if errors.iter().any(is_interrupted) {
        let reason = cx.stop.check().err();
        errors.retain(|error| !is_interrupted(error));
        errors.insert(0, reason.map_or_else(|| anyhow::anyhow!("cancelled"), anyhow::Error::from));
        return (RunState::Cancelled, errors);
    }
    let state = match errors.len() {
        0 => RunState::Completed,
        failed if failed < total => RunState::Partial,
        _ => RunState::Failed,
    };
    (state, errors)
}

/// Whether an error means that the run was asked to stop.
pub fn is_interrupted(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Interrupted>().is_some()
}
