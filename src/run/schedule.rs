//! The schedule that a run is expected to have: the candidates lease from a pool as in the run, in expected time.

use std::future::Future;
use std::pin::Pin;

use futures_util::FutureExt as _;

use super::estimate::Estimate;
use super::gpus::{Claim, GpuPool, Lease, Share};
use crate::config::plan::Candidate;

/// When a candidate is expected to train and to be deployed, in seconds from the end of the preparations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Planned {
    /// Start and end of the training. `None` if there is none.
    pub training: Option<(f64, f64)>,
    /// Start and end of the deployment.
    pub nim: (f64, f64),
}

type Wait = (Claim, Pin<Box<dyn Future<Output = Lease>>>);

/// Returns the claim of a candidate.
pub(crate) fn claim(place: usize, candidate: &Candidate, expected: &Estimate, share: Share) -> Claim {
    let (gpus, remaining) = match share {
        Share::Nim => (candidate.gpus, expected.serving()),
        Share::Training => (candidate.training_gpus(), expected.training + expected.serving()),
    };
    Claim { candidate: place, share, gpus, remaining }
}

/// Returns the schedule of candidates with these estimates, in the same order.
pub(crate) fn plan(pool: &GpuPool, candidates: &[Candidate], expected: &[Estimate]) -> Vec<Planned> {
    let mut planned = vec![Planned::default(); candidates.len()];
    let wait = |place: usize, share| -> Wait {
        let claim = claim(place, &candidates[place], &expected[place], share);
        let pool = pool.clone();
        (claim, Box::pin(async move { pool.lease(claim).await }))
    };
    let first = |candidate: &Candidate| if candidate.customizer.is_some() { Share::Training } else { Share::Nim };
    let mut waiting: Vec<Wait> =
        candidates.iter().enumerate().map(|(place, candidate)| wait(place, first(candidate))).collect();
    // The order in which a run leases at its start.
    waiting.sort_by(|(a, _), (b, _)| b.remaining.total_cmp(&a.remaining));
    let mut held: Vec<(f64, Lease)> = Vec::new();
    let mut now = 0.0;
    loop {
        let mut asked = 0;
        while asked < waiting.len() {
            let Some(lease) = waiting[asked].1.as_mut().now_or_never() else {
                asked += 1;
                continue;
            };
            let (claim, _) = waiting.remove(asked);
            let (times, slot) = (&expected[claim.candidate], &mut planned[claim.candidate]);
            let end = match claim.share {
                Share::Training => {
                    waiting.push(wait(claim.candidate, Share::Nim));
                    now + times.training
                }
                Share::Nim => {
                    let trained = slot.training.map_or(0.0, |(_, end)| end);
                    trained.max(now + times.deployment) + times.evaluation
                }
            };
            match claim.share {
                Share::Training => slot.training = Some((now, end)),
                Share::Nim => slot.nim = (now, end),
            }
            held.push((end, lease));
        }
        let Some(next) = held.iter().map(|(end, _)| *end).min_by(f64::total_cmp) else { return planned };
        now = next;
        held.retain(|(end, _)| *end > next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::gpus::tests::candidate;

    #[test]
    fn a_schedule_follows_the_pool() {
        let expected = Estimate { deployment: 3.0, training: 10.0, evaluation: 2.0, measured: true };
        let of = |gpus, count| plan(&GpuPool::new(gpus, None), &vec![candidate(1, 1); count], &vec![expected; count]);
        assert_eq!(of(1, 1), [Planned { training: Some((0.0, 10.0)), nim: (10.0, 15.0) }]);
        assert_eq!(of(2, 1), [Planned { training: Some((0.0, 10.0)), nim: (0.0, 12.0) }]);
        let two = of(1, 2);
        assert_eq!((two[0].nim, two[1].training), ((10.0, 15.0), Some((15.0, 25.0))), "one after the other");
        let ends = of(2, 3).iter().map(|planned| planned.nim.1).fold(0.0, f64::max);
        assert_eq!(ends, 25.0, "two train, then the third beside the NIM of the first");
    }
}
