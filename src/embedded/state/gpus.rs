//! The virtual pool of GPUs: who holds some, and who gets the free ones.

use super::deployment::Deployment;
use super::tracked_list::TrackedList;
use super::training::Training;
use crate::embedded::timing::Moment;

/// Returns how many GPUs deployments and training jobs hold.
pub(crate) fn taken(deployments: &TrackedList<Deployment>, trainings: &TrackedList<Training>) -> u32 {
    let deployed = deployments.iter().filter(|one| one.granted.is_some()).map(|one| one.gpus);
    let training = trainings.iter().filter(|one| one.holds_gpus()).map(|one| one.gpus);
    deployed.chain(training).fold(0, u32::saturating_add)
}

/// Returns how many GPUs deployments and training jobs hold or wait for.
pub(crate) fn wanted(deployments: &TrackedList<Deployment>, trainings: &TrackedList<Training>) -> u32 {
    let deployed = deployments.iter().map(|one| one.gpus);
    let training = trainings.iter().filter(|one| !one.has_ended()).map(|one| one.gpus);
    deployed.chain(training).fold(0, u32::saturating_add)
}

/// Gives the free GPUs of a pool of `total` to those that wait, in the order of their tickets. One that fits overtakes
/// one that does not. Returns the places of the training jobs that begin.
pub(crate) fn grant(
    deployments: &mut TrackedList<Deployment>,
    trainings: &mut TrackedList<Training>,
    total: u32,
    now: Moment,
) -> Vec<usize> {
    let mut free = total.saturating_sub(taken(deployments, trainings));
    let mut waiting: Vec<(u64, u32, Waiting)> = Vec::new();
    for (at, deployment) in deployments.iter().enumerate().filter(|(_, one)| one.granted.is_none()) {
        waiting.push((deployment.ticket, deployment.gpus, Waiting::Deployment(at)));
    }
    for (at, training) in trainings.iter().enumerate().filter(|(_, one)| one.is_waiting()) {
        waiting.push((training.ticket, training.gpus, Waiting::Training(at)));
    }
    waiting.sort_unstable_by_key(|(ticket, ..)| *ticket);
    let mut begun = Vec::new();
    for (_, gpus, who) in waiting {
        if gpus > free {
            continue;
        }
        free -= gpus;
        match who {
            Waiting::Deployment(at) => deployments[at].granted = Some(now),
            Waiting::Training(at) => {
                trainings[at].begin(now);
                begun.push(at);
            }
        }
    }
    begun
}

/// Who waits for GPUs, by its place in its list.
enum Waiting {
    Deployment(usize),
    Training(usize),
}
