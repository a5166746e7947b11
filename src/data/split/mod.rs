//! Divides rows into datasets: sampling, whole groups, stratified eval and validation sets, caps. Takes and returns indexes.

mod cut;
mod quotas;
pub(crate) mod random;

use std::collections::BTreeMap;

use crate::data::corpus::Corpus;
use crate::data::options::{SplitBy, SplitRules};
use crate::data::split::random::{Draw, Purpose};
use crate::data::unusable::Unusable;
use cut::Cut;

/// The rows of each dataset as ascending indexes into [`Corpus::rows`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) eval: Vec<u32>,
    pub(crate) train: Vec<u32>,
    pub(crate) validation: Vec<u32>,
    /// Rows in no dataset: of the groups of eval rows, too close to eval rows in time, or over the cap of their class.
    pub(crate) held_back: Vec<u32>,
    /// Number of records left out by `limit`.
    pub(crate) over_limit: usize,
}

impl Split {
    /// Returns the number of records that were divided.
    pub(crate) fn kept(&self) -> usize {
        self.eval.len() + self.train.len() + self.validation.len() + self.held_back.len()
    }
}

/// Rows that go to one dataset together.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Start of its rows in the list of rows by group. Within a group rows are in canonical order.
    start: u32,
    rows: u32,
}

/// Groups of one class, or of the pool of rare classes.
#[derive(Clone, Debug, Default)]
struct Stratum {
    /// Numbers of the groups that are still free, in random order.
    groups: Vec<u32>,
    rows: u64,
    /// It is one class, of which a group should be left to train on.
    is_class: bool,
    quota: u64,
}

/// Divides a corpus by the rules. All draws depend only on their seed. The error for an eval set that is too large has a size
/// that was tried.
pub(crate) fn split(corpus: &Corpus, rules: &SplitRules) -> Result<Split, Unusable> {
    let mut divided = divide(corpus, rules);
    if let Err(Unusable::EvalTooLarge { eval_size, kept, room: Some(room), .. }) = &mut divided {
        let half = |size: usize| Some(size / 2).filter(|half| *half > 0);
        let mut sizes = std::iter::successors(half((*eval_size).min(*kept)), |size| half(*size));
        let leaves_rows = |&eval_size: &usize| divide(corpus, &SplitRules { eval_size, ..rules.clone() }).is_ok();
        *room = sizes.find(leaves_rows).unwrap_or_default();
    }
    divided
}

fn divide(corpus: &Corpus, rules: &SplitRules) -> Result<Split, Unusable> {
    let (rows, over_limit) = sample(corpus, rules);
    let frozen: Vec<u32> = (0..).zip(&corpus.rows).filter(|(_, row)| row.is_frozen).map(|(at, _)| at).collect();
    let kept = rows.len() + frozen.len();
    if kept < rules.min_total_records {
        return Err(Unusable::TooFew {
            workload: corpus.workload.clone(),
            counts: corpus.counts.clone(),
            over_limit,
            kept,
            needed: rules.min_total_records,
        });
    }
    let eval_size = if frozen.is_empty() { rules.eval_size } else { frozen.len() };
    let is_frozen = !frozen.is_empty();
    let too_large = |held_back| Unusable::EvalTooLarge {
        workload: corpus.workload.clone(),
        counts: corpus.counts.clone(),
        eval_size,
        kept,
        held_back,
        room: (!is_frozen).then_some(0),
    };
    if eval_size >= kept {
        return Err(too_large(0));
    }
    let (eval, mut held_back, mut division) = if !is_frozen && rules.split == SplitBy::Random {
        let mut division = Division::new(corpus, rules, rows);
        division.shuffle(&mut Draw::new(rules.random_seed, Purpose::Eval));
        let (eval, held_back) = division.take_exactly(eval_size as u64);
        (eval, held_back, division)
    } else {
        let Cut { eval, free, held_back } = cut::cut(corpus, rules, rows, frozen)?;
        (eval, held_back, Division::new(corpus, rules, free))
    };
    let rest = kept - eval.len() - held_back.len();
    if rest == 0 {
        return Err(too_large(held_back.len()));
    }
    division.shuffle(&mut Draw::new(rules.random_seed, Purpose::Validation));
    let validation = division.take_about(validation_size(rest, rules.val_ratio));
    let train = capped(corpus, rules, division.remaining(), &mut held_back);
    Ok(Split { eval, train, validation, held_back, over_limit })
}

/// Draws the training rows that stay under the cap of their class. Holds back the others.
fn capped(corpus: &Corpus, rules: &SplitRules, train: Vec<u32>, held_back: &mut Vec<u32>) -> Vec<u32> {
    let Some(most) = rules.max_per_class else { return train };
    let class_of = |row: u32| corpus.rows[row as usize].class;
    let (train, others) = most_of_each(train, class_of, most, &mut Draw::new(rules.random_seed, Purpose::Cap));
    held_back.extend(others);
    held_back.sort_unstable();
    train
}

/// Draws up to `most` rows of each kind. Returns them in ascending order, and the others.
fn most_of_each(rows: Vec<u32>, kind: impl Fn(u32) -> u32, most: usize, draw: &mut Draw) -> (Vec<u32>, Vec<u32>) {
    let mut by_kind: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    rows.into_iter().for_each(|row| by_kind.entry(kind(row)).or_default().push(row));
    let mut others = Vec::new();
    for rows in by_kind.values_mut().filter(|rows| rows.len() > most) {
        draw.choose_front(rows, most);
        others.extend(rows.drain(most..));
    }
    let mut drawn: Vec<u32> = by_kind.into_values().flatten().collect();
    drawn.sort_unstable();
    (drawn, others)
}

/// Returns the size of the validation set: the rounded share, at least one unless the ratio is 0, never all.
fn validation_size(rest: usize, ratio: f64) -> u64 {
    if ratio <= 0.0 || rest < 2 {
        return 0;
    }
    ((rest as f64 * ratio).round() as u64).clamp(1, rest as u64 - 1)
}

/// Draws the rows that stay under `limit_per_client`, then under `limit`, apart from those of an earlier eval set. Returns them in ascending order, and the
/// number of the others.
fn sample(corpus: &Corpus, rules: &SplitRules) -> (Vec<u32>, usize) {
    let mut rows: Vec<u32> = (0..).zip(&corpus.rows).filter(|(_, row)| !row.is_frozen).map(|(at, _)| at).collect();
    let all = rows.len();
    if let Some(most) = rules.limit_per_client {
        let client_of = |row: u32| corpus.clients.get(row as usize).copied().unwrap_or_default();
        (rows, _) = most_of_each(rows, client_of, most, &mut Draw::new(rules.random_seed, Purpose::Client));
    }
    let limit = rules.limit.unwrap_or(usize::MAX);
    if rows.len() > limit {
        Draw::new(rules.random_seed, Purpose::Limit).choose_front(&mut rows, limit);
        rows.truncate(limit);
        rows.sort_unstable();
    }
    let over = all - rows.len();
    (rows, over)
}

/// The rows that are still free.
struct Division {
    /// Rows ordered by group.
    rows: Vec<u32>,
    groups: Vec<Group>,
    strata: Vec<Stratum>,
}

impl Division {
    fn new(corpus: &Corpus, rules: &SplitRules, rows: Vec<u32>) -> Division {
        let group_of = |row: u32| corpus.rows[row as usize].group;
        let class_of = |row: u32| corpus.rows[row as usize].class;
        let mut sizes = vec![0_usize; corpus.classes.len()];
        rows.iter().for_each(|&row| sizes[class_of(row) as usize] += 1);
        // Group and class stand beside each row, so that nothing is looked up in the order of groups.
        let mut by_group: Vec<(u64, u32, u32)> =
            rows.into_iter().map(|row| (group_of(row), row, class_of(row))).collect();
        by_group.sort_unstable();
        let pool = corpus.classes.len();
        let mut strata = vec![Stratum { is_class: true, ..Stratum::default() }; pool];
        strata.push(Stratum::default());
        let mut groups = Vec::new();
        let mut start = 0;
        for together in by_group.chunk_by(|a, b| a.0 == b.0) {
            let class = majority(together.iter().map(|&(_, _, class)| class as usize));
            let rare = sizes[class] <= rules.rare_class_threshold || sizes[class] < rules.min_samples_per_class;
            let stratum = if rare || !rules.stratify_enabled { pool } else { class };
            let group = Group { start, rows: together.len() as u32 };
            strata[stratum].groups.push(groups.len() as u32);
            strata[stratum].rows += u64::from(group.rows);
            groups.push(group);
            start += group.rows;
        }
        let rows = by_group.into_iter().map(|(_, row, _)| row).collect();
        Division { rows, groups, strata }
    }

    fn shuffle(&mut self, draw: &mut Draw) {
        for stratum in &mut self.strata {
            stratum.groups.sort_unstable();
            draw.shuffle(&mut stratum.groups);
        }
    }

    /// Takes exactly `target` rows in whole groups. If only larger groups are left, it takes the newest rows of one and
    /// holds back the others of that group.
    fn take_exactly(&mut self, target: u64) -> (Vec<u32>, Vec<u32>) {
        self.set_quotas(target);
        let mut taken = Vec::new();
        let mut held_back = Vec::new();
        for stratum in 0..self.strata.len() {
            self.take_whole(stratum, self.strata[stratum].quota, true, &mut taken);
            let missing = self.strata[stratum].quota;
            // A class keeps its last group for training. Other classes make up for it below.
            if missing > 0 && self.strata[stratum].groups.len() > 1 {
                self.cut(stratum, missing, &mut taken, &mut held_back);
            }
        }
        let missing = |taken: &Vec<u32>| target - taken.len() as u64;
        for leave_one in [true, false] {
            for stratum in self.by_missing() {
                self.take_whole(stratum, missing(&taken), leave_one, &mut taken);
            }
        }
        if missing(&taken) > 0 {
            let smallest =
                |&stratum: &usize| self.strata[stratum].groups.iter().map(|&g| self.groups[g as usize].rows).min();
            let with_groups = (0..self.strata.len()).filter(|stratum| !self.strata[*stratum].groups.is_empty());
            if let Some(stratum) = with_groups.min_by_key(smallest) {
                self.cut(stratum, missing(&taken), &mut taken, &mut held_back);
            }
        }
        taken.sort_unstable();
        held_back.sort_unstable();
        (taken, held_back)
    }

    /// Takes up to `target` rows in whole groups and leaves a group of every class.
    fn take_about(&mut self, target: u64) -> Vec<u32> {
        self.set_quotas(target);
        let mut taken = Vec::new();
        for stratum in 0..self.strata.len() {
            self.take_whole(stratum, self.strata[stratum].quota, true, &mut taken);
        }
        for stratum in self.by_missing() {
            self.take_whole(stratum, target - taken.len() as u64, true, &mut taken);
        }
        taken.sort_unstable();
        taken
    }

    /// Returns all rows that are still free.
    fn remaining(&self) -> Vec<u32> {
        let groups = self.strata.iter().flat_map(|stratum| &stratum.groups);
        let mut rows: Vec<u32> = groups.flat_map(|&group| self.rows_of(group)).copied().collect();
        rows.sort_unstable();
        rows
    }

    fn rows_of(&self, group: u32) -> &[u32] {
        let Group { start, rows, .. } = self.groups[group as usize];
        &self.rows[start as usize..(start + rows) as usize]
    }

    /// Sets the quotas that divide `target` rows among the strata.
    fn set_quotas(&mut self, target: u64) {
        let sizes: Vec<u64> = self.strata.iter().map(|stratum| stratum.rows).collect();
        for (stratum, quota) in self.strata.iter_mut().zip(quotas::largest_remainder(target, &sizes)) {
            stratum.quota = quota;
        }
    }

    /// Returns the strata, those with the largest open quota first.
    fn by_missing(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.strata.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(self.strata[at].quota));
        order
    }

    /// Takes the groups of a stratum that fit into `room`, in random order. `leave_one` leaves one group of a class.
    fn take_whole(&mut self, at: usize, mut room: u64, leave_one: bool, taken: &mut Vec<u32>) {
        let mut groups = std::mem::take(&mut self.strata[at].groups);
        let least = usize::from(leave_one && self.strata[at].is_class);
        let mut left = groups.len();
        groups.retain(|&group| {
            let rows = u64::from(self.groups[group as usize].rows);
            let take = rows <= room && left > least;
            if take {
                room -= rows;
                left -= 1;
                taken.extend_from_slice(self.rows_of(group));
                self.strata[at].quota = self.strata[at].quota.saturating_sub(rows);
                self.strata[at].rows -= rows;
            }
            !take
        });
        self.strata[at].groups = groups;
    }

    /// Takes the newest `room` rows of the smallest group of a stratum and holds back its other rows.
    fn cut(&mut self, at: usize, room: u64, taken: &mut Vec<u32>, held_back: &mut Vec<u32>) {
        let sizes = self.strata[at].groups.iter().map(|&group| self.groups[group as usize].rows);
        let Some((position, _)) = sizes.enumerate().min_by_key(|&(_, rows)| rows) else { return };
        let group = self.strata[at].groups.remove(position);
        let rows = self.rows_of(group).to_vec();
        let (older, newest) = rows.split_at(rows.len().saturating_sub(room as usize));
        held_back.extend_from_slice(older);
        taken.extend_from_slice(newest);
        self.strata[at].rows -= rows.len() as u64;
        self.strata[at].quota = self.strata[at].quota.saturating_sub(newest.len() as u64);
    }
}

/// Returns the most frequent class, of equals the first in the order of classes.
fn majority(mut classes: impl ExactSizeIterator<Item = usize>) -> usize {
    if classes.len() == 1 {
        return classes.next().unwrap_or_default();
    }
    let mut sorted: Vec<usize> = classes.collect();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.rev().max_by_key(|run| run.len()).and_then(|run| run.first().copied()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
