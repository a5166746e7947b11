//! The flywheel: one run from records to scores, as a straight line of async code that can run again from the top. Remote
//! resources are in the ledger before they exist, and every fact is remembered.

pub(crate) mod across;
mod adapter_proof;
mod base_model;
mod candidate;
pub(crate) mod check;
mod conclude;
pub(crate) mod context;
mod counterparts;
mod customize;
pub(crate) mod datasets;
pub(crate) mod dead_runs;
mod deploy;
pub(crate) mod drift;
pub(crate) mod embed;
pub(crate) mod estimate;
mod evaluate;
pub(crate) mod event;
mod examples;
mod floor;
pub(crate) mod gates;
pub(crate) mod gold;
pub(crate) mod gpu_time;
pub(crate) mod gpus;
mod hold;
mod job;
pub(crate) mod judge;
pub(crate) mod latency;
mod leases;
pub(crate) mod liveness;
pub(crate) mod lock;
pub(crate) mod names;
pub(crate) mod obstacle;
pub(crate) mod orphans;
pub(crate) mod others;
pub(crate) mod outcome;
mod paired;
pub(crate) mod rehearsal;
pub(crate) mod release;
pub(crate) mod rows;
pub(crate) mod schedule;
pub(crate) mod signals;
mod suspicions;
pub(crate) mod triage;
pub(crate) mod twins;
pub(crate) mod wait;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::plan::Candidate;
use crate::source::dataset::Manifest;
use crate::store::{Resource, now_ms};
use crate::vocabulary::{CandidateState, Failure, RunState};

use context::RunContext;
use event::{EventKind, Step};
use gpus::{Mode, mode};
use leases::Leases;
use outcome::{CandidateFact, candidate_key};
use release::StillHeld;
use signals::Interrupted;

/// How often a run looks for a request of `dfwfd cancel`.
const CANCEL_POLL: Duration = Duration::from_millis(250);

/// The end of a run.
#[derive(Debug)]
pub(crate) struct End {
    pub state: RunState,
    /// Why it did not complete: one error for each failed candidate.
    pub errors: Vec<anyhow::Error>,
    /// The resources that could not be released.
    pub still_held: Vec<StillHeld>,
}

/// Runs the flywheel: the datasets, then the candidates side by side within the GPU budget. Releases everything of class
/// GPU at the end, whatever happened.
pub(crate) async fn execute(run: Arc<RunContext>, resumed: bool) -> End {
    run.events.tell(EventKind::RunStarted {
        workload: run.plan.data.filter.workload.clone(),
        platform: run.platform_kind,
        rehearsal: run.rehearsal,
        resumed,
        candidates: run.plan.candidates.iter().map(|candidate| candidate.model_name.clone()).collect(),
        gpus: run.budget,
    });
    let work = async {
        let result = AssertUnwindSafe(flywheel(&run)).catch_unwind().await;
        let mut still_held = release_gpus(&run, None).await;
        still_held.extend(release_twins(&run).await);
        (result.unwrap_or_else(|panic| vec![Err(panicked(panic.as_ref()))]), still_held)
    };
    tokio::pin!(work);
    // The watchers never end, so the work ends first.
    let (result, still_held) = tokio::select! {
        ended = &mut work => ended,
        () = watch_for_cancel(&run) => Default::default(),
        () = announce_stop(&run) => Default::default(),
    };
    conclude_off_thread(&run).await;
    let (state, errors) = sum_up(&run, result);
    End { state, errors, still_held }
}

/// Compares the models on a thread for blocking work, because the simulations keep all cores busy.
async fn conclude_off_thread(run: &Arc<RunContext>) {
    let shared = Arc::clone(run);
    let concluded = tokio::task::spawn_blocking(move || conclude::conclude(&shared)).await;
    let concluded = concluded.unwrap_or_else(|error| Err(anyhow::anyhow!("{error}")));
    if let Err(error) = concluded {
        tracing::error!("cannot compare the models: {error:#}");
    }
}

/// The straight line. Returns the end of each candidate. An error before the candidates is the end of all.
async fn flywheel(run: &Arc<RunContext>) -> Vec<anyhow::Result<()>> {
    let (done, todo): (Vec<usize>, Vec<usize>) =
        (0..run.plan.candidates.len()).partition(|&index| is_completed(run, &run.plan.candidates[index]));
    for &index in &todo {
        if let Err(error) = record_state(run, &run.plan.candidates[index], CandidateState::Waiting, None) {
            return vec![Err(error)];
        }
    }
    let sets = match prepare(run, &todo).await {
        Ok(sets) => sets,
        Err(error) => {
            let state = if error.is::<Interrupted>() { CandidateState::Cancelled } else { CandidateState::Skipped };
            for &index in &todo {
                if let Err(error) = record_state(run, &run.plan.candidates[index], state, None) {
                    tracing::warn!(error = format!("{error:#}"), "cannot record the end of a candidate");
                }
            }
            return vec![Err(error)];
        }
    };
    tracing::debug!(eval = sets.eval, train = sets.train, "the datasets are on the platform");
    let candidates: Vec<&Candidate> = todo.iter().map(|&index| &run.plan.candidates[index]).collect();
    let leases = match leases::first_leases(run, &candidates).await {
        Ok(leases) => leases,
        Err(error) => return vec![Err(error)],
    };
    let mut tasks = JoinSet::new();
    for (index, leases) in todo.into_iter().zip(leases) {
        let run = Arc::clone(run);
        tasks.spawn(async move { one_candidate(&run, index, leases).await });
    }
    let mut ends: Vec<anyhow::Result<()>> = done.iter().map(|_| Ok(())).collect();
    let candidates = async {
        while let Some(end) = tasks.join_next().await {
            ends.push(end.unwrap_or_else(|error| Err(anyhow::anyhow!("a candidate's task ended early: {error}"))));
        }
    };
    let others = async {
        floor::measure(run).await;
        // Not beside the floor, which takes all cores.
        latency::of_teacher(run).await;
    };
    tokio::join!(candidates, others);
    ends
}

/// Makes what all candidates need: the datasets, the examples and the judge.
async fn prepare(run: &RunContext, todo: &[usize]) -> anyhow::Result<Manifest> {
    let sets = datasets::make_and_hold(run).await?;
    examples::make_and_hold(run).await?;
    let todo: Vec<&Candidate> = todo.iter().map(|&index| &run.plan.candidates[index]).collect();
    judge::make_ready(run, &todo).await?;
    Ok(sets)
}

/// Runs one candidate on leased GPUs. Releases its resources before its leases are dropped, even if a step panics.
async fn one_candidate(run: &RunContext, index: usize, mut leases: Leases) -> anyhow::Result<()> {
    let candidate = &run.plan.candidates[index];
    let work = async {
        leases.begin(run, candidate).await?;
        record_state(run, candidate, CandidateState::Running, None)?;
        candidate::drive(run, candidate, &mut leases).await
    };
    let result = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
    for (row, error) in release_gpus(run, Some(&candidate.model_name)).await {
        // The end of the run tries again, and tells what is held then.
        tracing::debug!(error = format!("{error:#}"), name = row.name, "still held");
    }
    drop(leases);
    let state = match &result {
        Ok(()) => CandidateState::Completed,
        Err(error) if error.is::<Interrupted>() => CandidateState::Cancelled,
        Err(_) => CandidateState::Failed,
    };
    let error = result.as_ref().err().filter(|_| state == CandidateState::Failed).map(Failure::new);
    record_state(run, candidate, state, error.clone())?;
    run.events.tell(EventKind::CandidateDone {
        candidate: candidate.model_name.clone(),
        state,
        error: result.as_ref().err().map(|error| format!("{error:#}")),
    });
    result.map_err(|error| error.context(format!("cannot complete candidate {}", candidate.model_name)))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> anyhow::Error {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    anyhow::anyhow!("a step panicked: {message} (this is a bug in dfwfd)")
}

/// Tells whether an earlier process has completed a candidate.
fn is_completed(run: &RunContext, candidate: &Candidate) -> bool {
    let fact = run.store.fact::<CandidateFact>(&run.id, &candidate_key(&candidate.model_name));
    fact.is_ok_and(|fact| fact.is_some_and(|fact| fact.state == CandidateState::Completed))
}

/// Records the state of a candidate.
fn record_state(
    run: &RunContext,
    candidate: &Candidate,
    state: CandidateState,
    error: Option<Failure>,
) -> anyhow::Result<()> {
    let key = candidate_key(&candidate.model_name);
    let (mode, gpus) = mode(candidate, run.leasable_gpus());
    let known: Option<CandidateFact> = run.store.fact(&run.id, &key)?;
    let started_ms = match state {
        CandidateState::Waiting => None,
        CandidateState::Running => Some(now_ms()),
        _ => known.and_then(|fact| fact.started_ms),
    };
    let ended_ms = (!matches!(state, CandidateState::Waiting | CandidateState::Running))
        .then(now_ms)
        .filter(|_| started_ms.is_some());
    let fact = CandidateFact { state, error, gpus, overlap: mode == Mode::Overlap, started_ms, ended_ms };
    run.store.remember(&run.id, &key, &fact)?;
    Ok(())
}

/// Releases what a candidate, or the whole run, holds of class GPU.
async fn release_gpus(run: &RunContext, candidate: Option<&str>) -> Vec<StillHeld> {
    let mut held = match run.store.held(&run.id) {
        Ok(held) => held,
        Err(error) => {
            tracing::error!(%error, "cannot read what is still held");
            return Vec::new();
        }
    };
    let deadline = time_to_release(run, candidate, held.iter().any(|row| row.candidate.is_none()));
    held.retain(|row| candidate.is_none() || row.candidate.as_deref() == candidate);
    if held.is_empty() {
        return Vec::new();
    }
    let on_release = |row: &Resource| run.tell_released(row);
    let releaser = run.releaser(&on_release);
    let candidate = candidate.map(str::to_owned);
    run.events.tell(EventKind::StepStarted { candidate: candidate.clone(), step: Step::Release });
    let started = Instant::now();
    let left = releaser.gpus(held, deadline).await;
    match left.first() {
        None => run.events.tell(EventKind::StepDone {
            candidate,
            step: Step::Release,
            seconds: started.elapsed().as_secs_f64(),
            detail: None,
        }),
        Some((_, error)) => {
            run.events.tell(EventKind::StepFailed { candidate, step: Step::Release, error: format!("{error:#}") });
        }
    }
    left
}

/// Cancels what the run has made without knowing.
async fn release_twins(run: &RunContext) -> Vec<StillHeld> {
    let deadline = time_to_release(run, None, false);
    let on_release = |row: &Resource| run.tell_released(row);
    twins::release(&run.releaser(&on_release), &run.id, &run.platform, deadline).await
}

/// Returns how long a release may take. A run that stops releases everything within one `limits.release`: its candidates
/// first, then what they have left and what serves them all.
fn time_to_release(run: &RunContext, candidate: Option<&str>, whole_run_holds: bool) -> Duration {
    let limit = names::millis(run.plan.limits.release_ms);
    let Some(since) = run.stop.releases_since() else { return limit };
    let limit = release::for_candidates(limit, candidate.is_some() && whole_run_holds);
    limit.saturating_sub(since.elapsed())
}

/// Turns the request of `dfwfd cancel` in another process into a request to stop.
async fn watch_for_cancel(run: &RunContext) {
    loop {
        tokio::time::sleep(CANCEL_POLL).await;
        if run.store.cancel_asked(&run.id).unwrap_or(false) {
            run.stop.ask("dfwfd cancel");
        }
    }
}

/// Tells that the run stops, and why, as soon as it was asked.
async fn announce_stop(run: &RunContext) {
    let Interrupted { reason } = run.stop.asked().await;
    run.events.tell(EventKind::Stopping { reason });
    std::future::pending().await
}

fn sum_up(run: &RunContext, ends: Vec<anyhow::Result<()>>) -> (RunState, Vec<anyhow::Error>) {
    let total = ends.len();
    let mut errors: Vec<anyhow::Error> = ends.into_iter().filter_map(Result::err).collect();
    // A request to stop after the last step has cancelled nothing.
    if errors.iter().any(is_interrupted) {
        let reason = run.stop.check().err();
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

/// Tells whether an error means that the run was asked to stop.
fn is_interrupted(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Interrupted>().is_some()
}
