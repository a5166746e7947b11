//! How long the steps of a candidate will take: as in earlier runs of this state directory, else by the size of the model.

use crate::config::plan::Candidate;
use crate::store::Store;
use crate::student;
use crate::vocabulary::PlatformKind;

use super::outcome::{EvaluationFact, ModelVariant, TrainingFact, deployed_key, evaluation_key, training_key};

/// The newest runs that are asked how long things took.
const ASKED: usize = 30;

/// The expected seconds of each step of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// From the create of the deployment until its model is served.
    pub deployment: f64,
    /// 0 if the model is not trained.
    pub training: f64,
    pub evaluation: f64,
    /// An earlier run took this long. Otherwise only how candidates compare means something.
    pub measured: bool,
}

impl Estimate {
    /// Returns the seconds from the start of the deployment to the end of the evaluations.
    pub(crate) fn serving(&self) -> f64 {
        self.deployment + self.evaluation
    }

    fn total(&self) -> f64 {
        self.training + self.serving()
    }
}

/// Returns the estimate of each candidate. Of earlier runs, only those on the same kind of platform count.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn of(
    store: Option<&Store>,
    platform: PlatformKind,
    rehearsal: bool,
    candidates: &[Candidate],
) -> anyhow::Result<Vec<Estimate>> {
    let mut runs = store.map(Store::runs).transpose()?.unwrap_or_default();
    runs.retain(|run| run.platform == platform && run.rehearsal == rehearsal);
    runs.truncate(ASKED);
    let mut estimates: Vec<Estimate> = candidates.iter().map(guess).collect();
    let (mut took, mut guessed) = (0.0, 0.0);
    for (candidate, estimate) in candidates.iter().zip(&mut estimates) {
        for run in &runs {
            if let Some(measured) = store.map(|store| measured(store, &run.id, candidate)).transpose()?.flatten() {
                took += measured.total();
                guessed += estimate.total();
                *estimate = measured;
                break;
            }
        }
    }
    // Models that never ran must compare with those that did.
    let scale = if guessed > 0.0 { took / guessed } else { 1.0 };
    for estimate in estimates.iter_mut().filter(|estimate| !estimate.measured) {
        estimate.deployment *= scale;
        estimate.training *= scale;
        estimate.evaluation *= scale;
    }
    Ok(estimates)
}

/// Returns how long a run took for a candidate. `None` if it did not complete each step in one process.
fn measured(store: &Store, run: &str, candidate: &Candidate) -> anyhow::Result<Option<Estimate>> {
    let model = &candidate.model_name;
    let evaluation = |variant| -> anyhow::Result<Option<f64>> {
        Ok(store.fact::<EvaluationFact>(run, &evaluation_key(model, variant))?.and_then(|fact| fact.seconds))
    };
    let deployment: Option<f64> = store.fact(run, &deployed_key(model))?;
    let training = match candidate.customizer {
        None => Some(0.0),
        Some(_) => store.fact::<TrainingFact>(run, &training_key(model))?.and_then(|fact| fact.seconds),
    };
    // The evaluations run side by side, the customized one last.
    let evaluation = evaluation(ModelVariant::Customized)?.or(evaluation(ModelVariant::Base)?);
    Ok(match (deployment, training, evaluation) {
        (Some(deployment), Some(training), Some(evaluation)) => {
            Some(Estimate { deployment, training, evaluation, measured: true })
        }
        _ => None,
    })
}

/// Returns a guess from the size of the model.
fn guess(candidate: &Candidate) -> Estimate {
    let gpus = f64::from(candidate.gpus + candidate.training_gpus());
    // A name without a size: more GPUs are for a larger model.
    let billions = student::billions(&candidate.model_name).unwrap_or(4.0 * gpus);
    Estimate {
        deployment: 60.0f64.mul_add(billions, 180.0),
        training: if candidate.customizer.is_some() { 900.0 * billions } else { 0.0 },
        evaluation: 60.0f64.mul_add(billions, 120.0),
        measured: false,
    }
}
