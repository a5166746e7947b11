//! The order in which the pool grants.

use futures_util::FutureExt as _;

use super::*;
use crate::config::plan::{Candidate, CustomizerPlan, HelixModel};

/// Returns a candidate with this many GPUs for its NIM and for its training.
pub(crate) fn candidate(nim: u32, training: u32) -> Candidate {
    Candidate {
        model_name: "m".into(),
        context_length: 8192,
        gpus: nim,
        pvc_size: None,
        tag: None,
        registry_base: None,
        helix: HelixModel::default(),
        customizer: Some(CustomizerPlan {
            target: Some("m@1".into()),
            gpus: training,
            num_nodes: 1,
            tensor_parallel_size: 1,
            data_parallel_size: None,
            use_sequence_parallel: false,
            micro_batch_size: 1,
            training_precision: None,
            max_seq_length: 4096,
        }),
    }
}

fn claim(candidate: usize, share: Share, gpus: u32, remaining: f64) -> Claim {
    Claim { candidate, share, gpus, remaining }
}

fn training(candidate: usize, gpus: u32) -> Claim {
    claim(candidate, Share::Training, gpus, 1.0)
}

fn nim(candidate: usize, gpus: u32) -> Claim {
    claim(candidate, Share::Nim, gpus, 1.0)
}

#[tokio::test]
async fn leases_come_back_when_dropped() {
    let gpus = GpuPool::new(2, None);
    let first = gpus.lease(training(0, 2)).await;
    assert!(gpus.lease(training(1, 1)).now_or_never().is_none());
    drop(first);
    let _second = gpus.lease(training(1, 2)).await;
}

#[tokio::test]
async fn one_that_fits_overtakes_and_the_longest_way_to_go_decides_among_equals() {
    let gpus = GpuPool::new(3, None);
    let first = gpus.lease(training(0, 2)).await;
    let large = gpus.lease(training(1, 2));
    tokio::pin!(large);
    assert!(large.as_mut().now_or_never().is_none());
    let small = gpus.lease(training(2, 1)).now_or_never().expect("one GPU is free");
    let longer = gpus.lease(claim(3, Share::Training, 2, 9.0));
    tokio::pin!(longer);
    assert!(longer.as_mut().now_or_never().is_none());
    drop(first);
    assert!(large.as_mut().now_or_never().is_none());
    drop((longer.now_or_never().expect("it goes first"), small));
    assert!(large.now_or_never().is_some());
}

#[tokio::test]
async fn a_nim_that_would_wait_for_its_training_goes_last() {
    let gpus = GpuPool::new(3, None);
    let long = gpus.lease(claim(0, Share::Training, 1, 9.0)).await;
    let other = gpus.lease(training(1, 2)).await;
    let early = gpus.lease(claim(0, Share::Nim, 1, 9.0));
    let next = gpus.lease(training(2, 1));
    tokio::pin!(early, next);
    assert!(early.as_mut().now_or_never().is_none() && next.as_mut().now_or_never().is_none());
    drop(other);
    let next = next.now_or_never().expect("a training goes before it");
    let early = early.now_or_never().expect("nobody else wants the last GPU");
    drop((next, early, long));
}

#[tokio::test]
async fn an_early_nim_leaves_the_others_what_they_need_once_they_are_trained() {
    let gpus = GpuPool::new(4, None);
    let first = gpus.lease(training(0, 1)).await;
    let second = gpus.lease(training(1, 1)).await;
    let small = gpus.lease(nim(1, 1));
    let large = gpus.lease(nim(0, 3));
    tokio::pin!(large, small);
    // Two are free: a NIM of one GPU would leave the other candidate two of the three that it needs.
    assert!(large.as_mut().now_or_never().is_none() && small.as_mut().now_or_never().is_none());
    drop(first);
    let large = large.now_or_never().expect("its candidate is trained");
    drop(large);
    drop((small.now_or_never().expect("no other NIM waits"), second));
}

#[tokio::test]
async fn where_one_thing_fits_at_a_time_a_candidate_is_completed_first() {
    let gpus = GpuPool::new(1, None);
    let first = gpus.lease(training(0, 1)).await;
    let next = gpus.lease(claim(1, Share::Training, 1, 9.0));
    let nim = gpus.lease(nim(0, 1));
    tokio::pin!(next, nim);
    assert!(next.as_mut().now_or_never().is_none() && nim.as_mut().now_or_never().is_none());
    drop(first);
    assert!(next.as_mut().now_or_never().is_none());
    assert!(nim.now_or_never().is_some());
}

#[tokio::test]
async fn a_wait_that_is_given_up_takes_nothing() {
    let gpus = GpuPool::new(1, None);
    let lease = gpus.lease(training(0, 1)).await;
    {
        let waiting = gpus.lease(training(1, 1));
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(lease);
    }
    assert!(gpus.lease(training(2, 1)).now_or_never().is_some());
}

#[tokio::test]
async fn places_bound_the_nims_and_an_early_one_leaves_one_to_each_other() {
    let gpus = GpuPool::new(8, Some(1));
    let first = gpus.lease(training(0, 1)).await;
    let second = gpus.lease(training(1, 1)).await;
    let (a, b) = (gpus.lease(nim(0, 1)), gpus.lease(nim(1, 1)));
    tokio::pin!(a, b);
    let early = a.as_mut().now_or_never().expect("no other NIM waits");
    assert!(b.as_mut().now_or_never().is_none());
    drop(early);
    drop(second);
    let ready = b.now_or_never().expect("the place is free");
    drop((first, ready));
}

#[tokio::test]
async fn what_is_reserved_is_nobodys_to_lease() {
    let gpus = GpuPool::new(3, None);
    gpus.reserve(2);
    assert_eq!(gpus.total(), 1);
    let all = gpus.lease(training(0, 5)).await;
    assert!(gpus.lease(training(1, 1)).now_or_never().is_none());
    drop(all);
    assert!(gpus.lease(training(1, 1)).now_or_never().is_some());
}

#[tokio::test]
async fn a_need_above_the_budget_takes_all_of_it() {
    assert!(GpuPool::new(1, None).lease(nim(0, 5)).now_or_never().is_some());
}
