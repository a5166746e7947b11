//! Splits of made-up corpora: shares, groups, pools and what is held back.

use proptest::prelude::*;

use super::*;
use crate::data::corpus::{CorpusRow, NO_TIME};
use crate::data::counts::{LineCounts, TypeCounts};
use crate::data::groups::GroupCause;
use crate::data::origin::Origin;
use crate::data::workload_type::WorkloadType;

/// A corpus of rows given as (class, group), in canonical order.
fn corpus(rows: impl IntoIterator<Item = (u32, u64)>) -> Corpus {
    let rows: Vec<CorpusRow> = rows
        .into_iter()
        .map(|(class, group)| CorpusRow {
            origin: Origin::default(),
            class,
            group,
            cause: GroupCause::UserText,
            timestamp: 0,
            is_frozen: false,
        })
        .collect();
    let classes = rows.iter().map(|row| row.class).max().map_or(0, |last| last + 1);
    Corpus {
        workload: "w".into(),
        workload_type: WorkloadType::Classification,
        types: TypeCounts::default(),
        counts: LineCounts::default(),
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        rows,
        clients: Vec::new(),
        conflicts: Vec::new(),
        window: None,
        late: Vec::new(),
    }
}

/// Rows of every class, each a group of its own.
fn singles(sizes: &[u64]) -> Vec<(u32, u64)> {
    let rows = sizes.iter().enumerate().flat_map(|(class, &size)| (0..size).map(move |_| class as u32));
    rows.enumerate().map(|(group, class)| (class, group as u64)).collect()
}

fn per_class(corpus: &Corpus, rows: &[u32]) -> Vec<usize> {
    let mut counts = vec![0; corpus.classes.len()];
    rows.iter().for_each(|&row| counts[corpus.rows[row as usize].class as usize] += 1);
    counts
}

#[test]
fn classes_share_by_the_largest_remainder() {
    // Quotas of 10 of 100: 4.7, 1.6, 1.58, 1.2, 0.61 and 0.31 of 470, 160, 158, 120, 61 and 31 of 1000 rows.
    let corpus = corpus(singles(&[470, 160, 158, 120, 61, 31]));
    let split = split(&corpus, &SplitRules::for_tests(10)).unwrap();
    assert_eq!(per_class(&corpus, &split.eval), [5, 2, 1, 1, 1, 0]);
    // A tenth of the other 990: 465, 158, 157, 119, 60 and 31 rows of 990 share 99.
    assert_eq!(per_class(&corpus, &split.validation), [46, 16, 16, 12, 6, 3]);
    assert_eq!(split.train.len(), 891);
}

#[test]
fn rare_classes_are_pooled() {
    let mut sizes = vec![80];
    sizes.extend([1; 20]);
    let corpus = corpus(singles(&sizes));
    let split = split(&corpus, &SplitRules::for_tests(10)).unwrap();
    let eval = per_class(&corpus, &split.eval);
    assert_eq!((eval[0], eval[1..].iter().sum::<usize>()), (8, 2));
}

#[test]
fn without_strata_only_the_size_is_kept() {
    let corpus = corpus(singles(&[50, 50]));
    let mut sizes = std::collections::BTreeSet::new();
    for random_seed in 0..20 {
        let rules = SplitRules { random_seed, stratify_enabled: false, ..SplitRules::for_tests(10) };
        let split = split(&corpus, &rules).unwrap();
        assert_eq!(split.eval.len(), 10);
        sizes.insert(per_class(&corpus, &split.eval)[0]);
    }
    assert!(sizes.len() > 1, "twenty seeds gave the same share");
}

#[test]
fn of_a_group_that_does_not_fit_the_newest_rows_stay() {
    // Two groups of ten in one class and 80 single rows of another: the first class owes two rows.
    let rows = (0..20).map(|n| (0, n / 10)).chain((0..80).map(|n| (1, 100 + n)));
    let corpus = corpus(rows);
    let split = split(&corpus, &SplitRules::for_tests(10)).unwrap();
    let cut: Vec<u32> = split.eval.iter().copied().filter(|&row| row < 20).collect();
    assert!(cut == [8, 9] || cut == [18, 19], "{cut:?}");
    assert_eq!(split.held_back, (cut[0] - 8..cut[0]).collect::<Vec<_>>());
    assert_eq!((split.eval.len(), split.kept()), (10, 100));
}

#[test]
fn a_class_with_one_group_keeps_it_for_training() {
    let corpus = corpus((0..20).map(|_| (0, 0)).chain((0..80).map(|n| (1, 100 + n))));
    let split = split(&corpus, &SplitRules::for_tests(10)).unwrap();
    assert_eq!(per_class(&corpus, &split.eval), [0, 10]);
    assert_eq!(per_class(&corpus, &split.train)[0], 20);
    assert!(split.held_back.is_empty());
}

#[test]
fn a_group_counts_as_its_majority() {
    // Nine rows of class 0 and one of class 1 in each of ten groups: no stratum of class 1.
    let corpus = corpus((0..100).map(|n| (u32::from(n % 10 == 0), n / 10)));
    let split = split(&corpus, &SplitRules::for_tests(20)).unwrap();
    assert_eq!(per_class(&corpus, &split.eval), [18, 2]);
    assert!(split.held_back.is_empty());
}

#[test]
fn one_group_of_everything_cannot_be_split() {
    let corpus = corpus((0..100).map(|_| (0, 0)));
    let problem = split(&corpus, &SplitRules::for_tests(10)).unwrap_err();
    assert!(matches!(problem, Unusable::EvalTooLarge { held_back: 90, kept: 100, .. }), "{problem}");
}

#[test]
fn a_limit_samples_evenly_and_the_rest_is_counted() {
    let corpus = corpus(singles(&[1000]));
    let rules = SplitRules { limit: Some(100), ..SplitRules::for_tests(10) };
    let split = split(&corpus, &rules).unwrap();
    assert_eq!((split.kept(), split.over_limit), (100, 900));
    let all: Vec<u32> = [split.eval, split.train, split.validation].concat();
    let late = all.iter().filter(|&&row| row >= 500).count();
    assert!((30..70).contains(&late), "{late} of 100 from the later half");
}

/// A corpus of rows of one class, given as (time, group), in canonical order.
/// A second later than given, because 0 stands for no time.
fn timed(rows: impl IntoIterator<Item = (i64, u64)>) -> Corpus {
    let rows: Vec<(i64, u64)> = rows.into_iter().collect();
    let mut corpus = corpus(rows.iter().map(|&(_, group)| (0, group)));
    corpus.rows.iter_mut().zip(&rows).for_each(|(row, &(timestamp, _))| row.timestamp = timestamp + 1);
    corpus
}

fn by_time(eval_size: usize, embargo_s: u64) -> SplitRules {
    SplitRules { split: SplitBy::Temporal, embargo_s, val_ratio: 0.0, ..SplitRules::for_tests(eval_size) }
}

#[test]
fn by_time_the_newest_rows_are_measured_and_older_ones_trained_on() {
    let split = split(&timed((0..100).map(|n| (n as i64, n))), &by_time(10, 0)).unwrap();
    assert_eq!(split.eval, (90..100).collect::<Vec<_>>());
    assert_eq!(split.train, (0..90).collect::<Vec<_>>());
}

#[test]
fn rows_of_the_time_of_eval_rows_or_within_the_embargo_are_held_back() {
    // Ten rows in each of ten seconds. The eval set begins within the last second.
    let corpus = timed((0..100).map(|n| (n as i64 / 10, n)));
    let same_second = split(&corpus, &by_time(5, 0)).unwrap();
    assert_eq!((same_second.held_back, same_second.train.len()), ((90..95).collect(), 90));
    let embargo = split(&corpus, &by_time(5, 3)).unwrap();
    assert_eq!((embargo.held_back, embargo.train.len()), ((60..95).collect(), 60));
    assert!(matches!(split(&corpus, &by_time(5, 9)), Err(Unusable::NothingBefore { is_one_time: false, .. })));
}

#[test]
fn a_group_across_the_cut_keeps_its_eval_side() {
    let split = split(&timed((0..100).map(|n| (n as i64, n % 50))), &by_time(10, 0)).unwrap();
    assert_eq!((split.eval.len(), split.held_back), (10, (40..50).collect()));
}

#[test]
fn one_time_cannot_be_split_by_time() {
    let problem = split(&timed((0..100).map(|n| (7, n))), &by_time(10, 0)).unwrap_err();
    assert!(matches!(problem, Unusable::NothingBefore { is_one_time: true, .. }), "{problem}");
}

#[test]
fn rows_without_a_time_are_in_no_dataset_of_a_split_by_time() {
    let mut corpus = timed((0..100).map(|n| (n as i64, n)));
    corpus.rows[..30].iter_mut().for_each(|row| row.timestamp = NO_TIME);
    let dated = split(&corpus, &by_time(10, 0)).unwrap();
    assert_eq!((dated.eval, dated.held_back, dated.train.len()), ((90..100).collect(), (0..30).collect(), 60));
    assert_eq!(split(&corpus, &SplitRules::for_tests(10)).unwrap().held_back, [0; 0]);
    let few = split(&corpus, &by_time(70, 0)).unwrap_err();
    assert!(matches!(few, Unusable::NothingBefore { timeless: 30, is_one_time: false, .. }), "{few}");
    corpus.rows.iter_mut().for_each(|row| row.timestamp = NO_TIME);
    let none = split(&corpus, &by_time(10, 0)).unwrap_err();
    assert!(none.to_string().contains("none has a time") && none.hint().contains("timestamp"), "{none}");
}

proptest! {
    #[test]
    fn the_size_that_the_error_hints_at_leaves_rows(rows in prop::collection::vec((0_u32..3, 0_u64..4), 2..60)) {
        let is_one_group = rows.iter().all(|(_, group)| *group == rows[0].1);
        let corpus = corpus(rows);
        let all = corpus.rows.len();
        let Err(Unusable::EvalTooLarge { room: Some(room), .. }) = split(&corpus, &SplitRules::for_tests(all)) else {
            return Err(TestCaseError::fail("all rows are too many"));
        };
        prop_assert_eq!(room == 0, is_one_group);
        prop_assert!(room == 0 || split(&corpus, &SplitRules::for_tests(room)).is_ok());
    }
}

#[test]
fn a_frozen_eval_set_keeps_its_rows_and_their_groups_out_of_training() {
    let mut frozen = timed((0..100).map(|n| (n as i64, n % 60)));
    frozen.rows[..8].iter_mut().for_each(|row| row.is_frozen = true);
    let rules = SplitRules { limit: Some(80), ..SplitRules::for_tests(30) };
    let random = split(&frozen, &rules).unwrap();
    assert_eq!((&random.eval, random.kept(), random.over_limit), (&(0..8).collect(), 88, 12));
    assert!(random.held_back.iter().all(|row| (60..68).contains(row)) && !random.held_back.is_empty());
    let by_time = SplitRules { split: SplitBy::Temporal, ..rules };
    assert!(matches!(split(&frozen, &by_time), Err(Unusable::NothingBefore { eval_size: 8, .. })));
    frozen.rows[..8].iter_mut().for_each(|row| row.is_frozen = false);
    frozen.rows[90..95].iter_mut().for_each(|row| row.is_frozen = true);
    let later = split(&frozen, &SplitRules { limit: None, ..by_time }).unwrap();
    assert_eq!((later.eval, later.held_back), ((90..95).collect(), (30..35).chain(95..100).collect()));
}

#[test]
fn a_cap_holds_back_training_rows_at_random() {
    let corpus = corpus(singles(&[500, 100, 20]));
    let capped = split(&corpus, &SplitRules { max_per_class: Some(60), ..SplitRules::for_tests(62) }).unwrap();
    let free = split(&corpus, &SplitRules::for_tests(62)).unwrap();
    assert_eq!((&capped.eval, &capped.validation), (&free.eval, &free.validation));
    assert_eq!(per_class(&corpus, &capped.train), [60, 60, per_class(&corpus, &free.train)[2]]);
    assert_eq!(capped.kept(), 620);
    assert_eq!(capped.held_back.len(), free.train.len() - capped.train.len());
    let late = capped.train.iter().filter(|&&row| (250..500).contains(&row)).count();
    assert!((15..45).contains(&late), "{late} of 60 from the later half");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_in_one_place_and_groups_are_whole(
        rows in prop::collection::vec((0..5_u32, 0..40_u64), 2..150), eval_size in 0..60_usize, val_ratio in 0.0..0.9,
        random_seed: u64, stratify_enabled: bool, rare_class_threshold in 0..6_usize,
    ) {
        let corpus = corpus(rows);
        let rules = SplitRules { val_ratio, random_seed, stratify_enabled, rare_class_threshold, ..SplitRules::for_tests(eval_size) };
        let Ok(split) = split(&corpus, &rules) else { return Ok(()) };
        prop_assert_eq!(split.eval.len(), eval_size);
        prop_assert!(!split.train.is_empty());
        let mut all = [split.eval.clone(), split.train.clone(), split.validation.clone(), split.held_back.clone()].concat();
        prop_assert!([&split.eval, &split.train, &split.validation].iter().all(|rows| rows.is_sorted()));
        all.sort_unstable();
        prop_assert_eq!(all, (0..corpus.rows.len() as u32).collect::<Vec<_>>());
        let groups = |rows: &[u32]| -> std::collections::BTreeSet<u64> {
            rows.iter().map(|&row| corpus.rows[row as usize].group).collect()
        };
        prop_assert!(groups(&split.eval).is_disjoint(&groups(&split.train)));
        prop_assert!(groups(&split.eval).is_disjoint(&groups(&split.validation)));
        prop_assert!(groups(&split.train).is_disjoint(&groups(&split.validation)));
        prop_assert!(groups(&split.held_back).is_subset(&groups(&split.eval)));
        // Of a group that was cut, no row that stayed is older than one that went.
        for &back in &split.held_back {
            let group = corpus.rows[back as usize].group;
            prop_assert!(split.eval.iter().all(|&row| corpus.rows[row as usize].group != group || row > back));
        }
    }

    #[test]
    fn by_time_no_training_row_looks_ahead(
        mut times in prop::collection::vec((0..60_i64, 0..40_u64), 2..150), eval_size in 1..40_usize, embargo_s in 0..20_u64,
        max_per_class in prop::option::of(1..40_usize), limit in prop::option::of(20..100_usize),
    ) {
        times.sort_unstable();
        let corpus = timed(times);
        let rules = SplitRules { max_per_class, limit, val_ratio: 0.2, ..by_time(eval_size, embargo_s) };
        let Ok(split) = split(&corpus, &rules) else { return Ok(()) };
        let of = |rows: &[u32]| rows.iter().map(|&row| corpus.rows[row as usize]).collect::<Vec<_>>();
        let (eval, before) = (of(&split.eval), of(&[split.train.clone(), split.validation.clone()].concat()));
        prop_assert_eq!(eval.len(), eval_size);
        prop_assert_eq!(split.kept() + split.over_limit, corpus.rows.len());
        for row in &before {
            prop_assert!(eval.iter().all(|eval| row.timestamp + (embargo_s as i64) < eval.timestamp && row.group != eval.group));
        }
        prop_assert!(max_per_class.is_none_or(|most| split.train.len() <= most));
    }
}
