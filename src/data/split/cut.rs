//! Eval sets that are not drawn: the newest rows, or those of an earlier run. No training row belongs together with them or,
//! in a split by time, is as new.

use std::collections::HashSet;

use crate::data::corpus::{Corpus, NO_TIME};
use crate::data::options::{SplitBy, SplitRules};
use crate::data::unusable::Unusable;

/// The rows of an eval set and the others, in ascending order.
pub(super) struct Cut {
    pub(super) eval: Vec<u32>,
    /// Rows to train on.
    pub(super) free: Vec<u32>,
    /// Rows of the groups of eval rows. In a split by time also those of their time, within the embargo before it, and without
    /// a time.
    pub(super) held_back: Vec<u32>,
}

/// Cuts rows in canonical order. The eval set is `frozen`, if it holds rows, else the newest `eval_size` rows.
pub(super) fn cut(corpus: &Corpus, rules: &SplitRules, rows: Vec<u32>, frozen: Vec<u32>) -> Result<Cut, Unusable> {
    let kept = rows.len() + frozen.len();
    let is_drawn = frozen.is_empty();
    let row = |at: u32| &corpus.rows[at as usize];
    // A record without a time may be newer than all others.
    let is_dated = |&at: &u32| rules.split == SplitBy::Random || row(at).timestamp != NO_TIME;
    let (mut rows, timeless): (Vec<u32>, Vec<u32>) = rows.into_iter().partition(is_dated);
    let eval = if is_drawn { rows.split_off(rows.len().saturating_sub(rules.eval_size)) } else { frozen };
    let times = || eval.iter().map(|&at| row(at).timestamp);
    let end = match rules.split {
        SplitBy::Random => i64::MAX,
        SplitBy::Temporal => times().min().unwrap_or(i64::MAX).saturating_sub_unsigned(rules.embargo_s),
    };
    let groups: HashSet<u64> = eval.iter().map(|&at| row(at).group).collect();
    let newest = times().max();
    let is_one_time = rows.first().is_some_and(|&at| newest == Some(row(at).timestamp)) && is_drawn;
    let is_free = |&at: &u32| row(at).timestamp < end && !groups.contains(&row(at).group);
    let (free, mut held_back): (Vec<u32>, Vec<u32>) = rows.into_iter().partition(is_free);
    if free.is_empty() && rules.split == SplitBy::Temporal {
        return Err(Unusable::NothingBefore {
            workload: corpus.workload.clone(),
            counts: corpus.counts.clone(),
            eval_size: eval.len(),
            kept,
            timeless: timeless.len(),
            embargo_s: rules.embargo_s,
            is_one_time,
        });
    }
    held_back.extend(timeless);
    held_back.sort_unstable();
    Ok(Cut { eval, free, held_back })
}
